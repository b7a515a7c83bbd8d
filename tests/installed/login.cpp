// A user's program: logs in to the fake server, and prints the library's version and the length of the
// token.
#include <cstdlib>
#include <iostream>

#include <couchdrop.hpp>

int main() {
    try {
        couchdrop::Options options;
        options.base_url(std::getenv("COUCHDROP_BASE_URL"))
            .ca_file(std::getenv("COUCHDROP_CA_FILE"));
        const auto token = couchdrop::authenticate(
            {"ada@example.com", "correct horse battery staple"}, options);
        std::cout << COUCHDROP_VERSION << ' ' << cd_version() << ' ' << token.size() << '\n';
    } catch (const couchdrop::Error &error) {
        std::cerr << error.what() << '\n';
    }
}
