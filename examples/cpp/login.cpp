// Logs in to Couchdrop, and uses the token to list the root folder.
//
//     c++ -std=c++17 -o login login.cpp $(pkg-config --cflags --libs couchdrop libcurl)
//     COUCHDROP_USERNAME=ada@example.com COUCHDROP_PASSWORD=... ./login
//
// Optional: COUCHDROP_BASE_URL and COUCHDROP_FILES_URL (another server than the real ones) and
// COUCHDROP_CA_FILE (certificates to trust in place of the system's). Ctrl-C stops a waiting login.

#include <csignal>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>

#include <couchdrop.hpp>
#include <curl/curl.h>

namespace {

couchdrop::CancelSource interrupted;

// Triggering a cancel source is one of the few things that a signal handler may do.
extern "C" void on_interrupt(int) {
    interrupted.trigger();
}

// Never from the command line: other users of the machine can read that.
std::string environment(const char *name, const char *otherwise = "") {
    const char *value = std::getenv(name);
    return value != nullptr ? value : otherwise;
}

couchdrop::Token login() {
    const std::string username = environment("COUCHDROP_USERNAME");
    std::string password = environment("COUCHDROP_PASSWORD");
    const std::string base_url = environment("COUCHDROP_BASE_URL");
    const std::string ca_file = environment("COUCHDROP_CA_FILE");

    // Each setter throws when its argument is bad. Keep the options for further logins: they keep
    // the connection.
    auto options = couchdrop::Options().user_agent("login-example/1.0");
    if (!base_url.empty())
        options.base_url(base_url);
    if (!ca_file.empty())
        options.ca_file(ca_file);

    auto result = couchdrop::try_authenticate({username, password}, options, interrupted);
    cd_secure_zero(password.data(), password.size()); // a copy of it is the caller's to wipe
    return std::move(result).value();                 // throws what the login failed with
}

// Prints all that is known about a failed call.
void report(const couchdrop::Error &error) {
    std::cerr << "login failed: " << error.name() << ": " << error.what() << '\n';
    if (error.http_status() != 0)
        std::cerr << "  HTTP status: " << error.http_status() << '\n';
    if (!error.server_message().empty())
        std::cerr << "  the server says: " << error.server_message() << '\n';
    if (const auto wait = error.retry_after())
        std::cerr << "  try again in: " << wait->count() << " s\n";
}

// Sends the token in the header that the service reads it from. The answer, JSON, goes to stdout.
void list_root_folder(const couchdrop::Token &token) {
    const std::string url =
        environment("COUCHDROP_FILES_URL", "https://fileio.couchdrop.io") + "/file/ls?path=/";
    const std::string ca_file = environment("COUCHDROP_CA_FILE");

    std::string header = COUCHDROP_TOKEN_HEADER ": ";
    header.reserve(header.size() + token.size()); // so that it stays in one place, to be wiped
    header += token.view();
    const auto wipe_and_free = [](curl_slist *list) {
        cd_secure_zero(list->data, std::char_traits<char>::length(list->data));
        curl_slist_free_all(list);
    };
    const std::unique_ptr<curl_slist, decltype(wipe_and_free)> headers(
        curl_slist_append(nullptr, header.c_str()), wipe_and_free);
    cd_secure_zero(header.data(), header.size());

    const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(),
                                                                   &curl_easy_cleanup);
    if (!curl || !headers)
        throw std::bad_alloc();
    // Redirects stay off, which is the default: they would carry the token elsewhere.
    curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
    curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDS, "");
    curl_easy_setopt(curl.get(), CURLOPT_HTTPHEADER, headers.get());
    curl_easy_setopt(curl.get(), CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT, 30L);
    if (!ca_file.empty())
        curl_easy_setopt(curl.get(), CURLOPT_CAINFO, ca_file.c_str());
    std::cout << "files in /: " << std::flush;
    const CURLcode status = curl_easy_perform(curl.get());
    std::cout << std::endl;
    if (status != CURLE_OK)
        throw std::runtime_error(curl_easy_strerror(status));
}

} // namespace

int main() {
    try {
        std::signal(SIGINT, on_interrupt);
        const couchdrop::Token token = login();
        std::signal(SIGINT, SIG_DFL); // from here on Ctrl-C ends the program as usual

        // A token is a secret: show no more of it than tells two apart.
        std::cout << "logged in: token " << token.view().substr(0, 4) << "... (" << token.size()
                  << " characters)\n";
        curl_global_init(CURL_GLOBAL_DEFAULT);
        list_root_folder(token);
        curl_global_cleanup();
    } catch (const couchdrop::Error &error) {
        report(error);
        return EXIT_FAILURE;
    } catch (const std::exception &error) {
        std::cerr << "listing failed: " << error.what() << '\n';
        return EXIT_FAILURE;
    }
}
