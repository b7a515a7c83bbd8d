// The same file, built three times. STANDARD is the function that it defines.
#include "mixed.hpp"

#include <utility>

using namespace couchdrop;

namespace {

Layout layout() {
    return {sizeof(Error),          sizeof(Token),       sizeof(Result<Token>),
            sizeof(Result<void>),   sizeof(CallOptions), sizeof(Options),
            sizeof(CancelSource),   sizeof(Credentials), sizeof(Timeout),
            alignof(Result<Token>), sizeof(StringArg)};
}

Options make_options() {
    return options_for_fake_server().logger([](LogLevel, std::string_view line) {
        CHECK(line.find(PASSWORD) == std::string_view::npos);
    });
}

CancelSource make_cancel_source(bool *asked) {
    return CancelSource([asked] { return *asked = true; });
}

Result<Token> log_in(const Options &options, const char *username) {
    return try_authenticate({username, PASSWORD}, options);
}

void log_in_or_throw(const Options &options, const char *username, Token *token) {
    *token = authenticate({username, PASSWORD}, options);
}

Result<void> connect(const Options &options, CallOptions call_options) {
    return try_connect(options, call_options);
}

bool takes(Result<Token> result, cd_code expected) {
    if (result.error().code() != expected || result.has_value() != (expected == CD_OK))
        return false;
    if (!result)
        return !result.error().server_message().empty() && result.error().attempts() == 1;
    const Token token = *std::move(result);
    return token.size() == 36;
}

bool catches(void (*throwing)(const Options &, const char *, Token *), const Options &options) {
    Token token(nullptr);
    try {
        throwing(options, "limited@example.com", &token);
    } catch (const Error &error) {
        return error.code() == CD_ERR_RATE_LIMITED &&
               error.retry_after() == std::chrono::hours(1) && token.view().empty();
    }
    return false;
}

} // namespace

Standard STANDARD() {
    return {__cplusplus, layout(), make_options, make_cancel_source, log_in, log_in_or_throw,
            connect,     takes,    catches};
}
