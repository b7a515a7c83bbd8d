// Logs in to Couchdrop, and lists the root folder with the token.
//
//     c++ -std=c++17 -o login login.cpp $(pkg-config --cflags --libs couchdrop libcurl)
//     COUCHDROP_USERNAME=ada@example.com COUCHDROP_PASSWORD=... ./login
//
// Optional: COUCHDROP_BASE_URL and COUCHDROP_FILES_URL (another server than the real ones) and
// COUCHDROP_CA_FILE (certificates to trust in place of the system's). Ctrl-C stops a waiting login.

#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>

#include <couchdrop.hpp>
#include <curl/curl.h>

namespace {

couchdrop::CancelSource interrupted;

// CancelSource::trigger() is async-signal-safe.
extern "C" void on_interrupt(int) {
    interrupted.trigger();
}

// Returns an optional setting, or null if it is unset or empty.
const char *setting(const char *name) {
    const char *value = std::getenv(name);
    return value != nullptr && *value != '\0' ? value : nullptr;
}

couchdrop::Token login() {
    // A setter throws if its argument is invalid. Keep the options for further logins: they keep
    // the connection.
    couchdrop::Options options;
    if (const char *base_url = setting("COUCHDROP_BASE_URL"))
        options.base_url(base_url);
    if (const char *ca_file = setting("COUCHDROP_CA_FILE"))
        options.ca_file(ca_file);

    // Do not pass a password on the command line: other users of the machine can read it. This
    // program makes no copy that it would have to wipe. A variable that is not set is an error.
    return couchdrop::authenticate(
        {std::getenv("COUCHDROP_USERNAME"), std::getenv("COUCHDROP_PASSWORD"), "login-example"},
        options, interrupted);
}

// Prints all details of a failed call.
void report(const couchdrop::Error &error) {
    std::cerr << "login failed: " << error.name() << ": " << error.what() << '\n';
    if (error.http_status() != 0)
        std::cerr << "  HTTP status: " << error.http_status() << '\n';
    if (!error.server_message().empty())
        std::cerr << "  the server says: " << error.server_message() << '\n';
    if (const auto wait = error.retry_after())
        std::cerr << "  try again in: " << wait->count() << " s\n";
}

// Initializes libcurl, and cleans it up when it is no longer used.
struct Curl {
    Curl() { curl_global_init(CURL_GLOBAL_DEFAULT); }
    ~Curl() { curl_global_cleanup(); }
    Curl(const Curl &) = delete;
    Curl &operator=(const Curl &) = delete;
};

// A callback of libcurl, through which no exception may unwind: 0 makes the request fail.
extern "C" std::size_t append(char *data, std::size_t, std::size_t size, void *text) {
    try {
        static_cast<std::string *>(text)->append(data, size);
        return size;
    } catch (const std::exception &) {
        return 0;
    }
}

// Sends the token in the request header and prints the response, which is JSON.
void list_root_folder(const couchdrop::Token &token) {
    const Curl libcurl;
    const char *files_url = setting("COUCHDROP_FILES_URL");
    const std::string url =
        std::string(files_url != nullptr ? files_url : "https://fileio.couchdrop.io") +
        "/file/ls?path=/";
    std::string answer;

    std::string header = COUCHDROP_TOKEN_HEADER ": ";
    header.reserve(header.size() + token.size()); // no reallocation: its old copy would stay
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
    // By default libcurl does not follow redirects. They would send the token to another host.
    curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
    curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDS, "");
    curl_easy_setopt(curl.get(), CURLOPT_HTTPHEADER, headers.get());
    curl_easy_setopt(curl.get(), CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT, 30L);
    if (const char *ca_file = setting("COUCHDROP_CA_FILE"))
        curl_easy_setopt(curl.get(), CURLOPT_CAINFO, ca_file);
    curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, append);
    curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &answer);
    const CURLcode status = curl_easy_perform(curl.get());
    if (status != CURLE_OK)
        throw std::runtime_error(std::string("listing failed: ") + curl_easy_strerror(status));
    std::cout << "files in /: " << answer << '\n';
}

} // namespace

int main() {
    try {
        std::signal(SIGINT, on_interrupt);
        const couchdrop::Token token = login();
        std::signal(SIGINT, SIG_DFL); // from here on Ctrl-C ends the program

        // A token is a secret: print only enough to tell two tokens apart.
        std::cout << "logged in: token " << token.view().substr(0, 4) << "... (" << token.size()
                  << " characters)\n";
        list_root_folder(token);
    } catch (const couchdrop::Error &error) {
        report(error);
        return EXIT_FAILURE;
    } catch (const std::exception &error) {
        std::cerr << error.what() << '\n';
        return EXIT_FAILURE;
    }
}
