// Built with -fno-exceptions: the functions that do not throw are available, and a setter's failure
// is kept.
#include "check.hpp"

#include <filesystem>
#include <string>
#include <type_traits>
#include <utility>

#if defined(__cpp_exceptions)
#error "This program is for -fno-exceptions."
#endif

using namespace std::chrono_literals;
using couchdrop::CancelSource;
using couchdrop::Error;
using couchdrop::LogLevel;
using couchdrop::Options;
using couchdrop::Token;
using couchdrop::try_authenticate;
using couchdrop::try_connect;

namespace {

void granted() {
    int lines = 0;
    const Options options = options_for_fake_server()
                                .ca_file(std::filesystem::path(environment("COUCHDROP_CA_FILE")))
                                .environment("NO_PROXY", nullptr)
                                .logger([&lines](LogLevel, std::string_view) { lines++; });
    CHECK_CODE(CD_OK, options.error().code());
    CHECK(try_connect(options, 10s).has_value());
    auto result = try_authenticate({ADA, PASSWORD}, options);
    CHECK(result.has_value() && result->size() == 36);
    const Token token = *std::move(result);
    CHECK(token.size() == 36 && lines > 0);
}

void refused() {
    const auto denied = try_authenticate({"nobody@example.com", PASSWORD}, options_for_fake_server());
    CHECK(!denied);
    CHECK_CODE(CD_ERR_ACCESS_DENIED, denied.error().code());
    const Error copy = denied.error();
    CHECK(copy.server_message() == "Access denied" && copy.http_status() == 403);
    CHECK_CODE(CD_ERR_EMPTY_ARGUMENT, try_authenticate({"ada", ""}).error().code());
}

// Nothing is sent after a setter has failed.
void bad_settings() {
    Options options = options_for_fake_server().max_retries(11).ca_file("/nowhere/ca.pem");
    CHECK_CODE(CD_ERR_OUT_OF_RANGE, options.error().code());
    const auto result = try_authenticate({ADA, PASSWORD}, options);
    CHECK(!result && result.error().attempts() == 0);
    CHECK_CODE(CD_ERR_OUT_OF_RANGE, result.error().code());
    CHECK_TEXT(options.error().what(), result.error().what());
    CHECK_CODE(CD_ERR_OUT_OF_RANGE, try_connect(options).error().code());
    const Options moved = std::move(options);
    CHECK_CODE(CD_ERR_OUT_OF_RANGE, try_connect(moved).error().code());
    options = options_for_fake_server();
    CHECK(try_connect(options).has_value());

    CHECK_CODE(CD_ERR_NULL_ARGUMENT, Options().proxy(nullptr).error().code());
    CHECK_CODE(CD_ERR_INVALID_UTF8, Options().user_agent(std::string("a\0b", 3)).error().code());
    CHECK_CODE(CD_ERR_OUT_OF_RANGE, Options().environment("PATH", "/bin").error().code());
    // The earlier logger stays set.
    int lines = 0;
    const auto logger = [&lines](LogLevel, std::string_view) { lines++; };
    const Options bad =
        options_for_fake_server().logger(logger).logger(nullptr, static_cast<LogLevel>(9));
    CHECK_CODE(CD_ERR_OUT_OF_RANGE, bad.error().code());
}

void cancelled() {
    const Options options = options_for_fake_server();
    const CancelSource asks([] { return true; });
    CHECK_CODE(
        CD_ERR_CANCELLED,
        try_authenticate({"slow@example.com", PASSWORD}, options, {asks, 10s}).error().code());
#if defined(__cpp_lib_jthread)
    std::stop_source stop;
    stop.request_stop();
    CHECK_CODE(CD_ERR_CANCELLED, try_connect(options, stop.get_token()).error().code());
    CHECK_CODE(CD_ERR_CANCELLED,
               try_authenticate({"ada", PASSWORD}, options, stop.get_token()).error().code());
#endif
}

} // namespace

int main() {
    granted();
    refused();
    bad_settings();
    cancelled();
    return checks_result();
}
