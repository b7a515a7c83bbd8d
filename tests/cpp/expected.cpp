// A Result converts to a std::expected if the library has it (C++23).
#include "check.hpp"

#include <expected>
#include <type_traits>

using couchdrop::Error;
using couchdrop::Options;
using couchdrop::Result;
using couchdrop::Token;

template <class T> using Expected = std::expected<T, Error>;

static_assert(std::is_convertible_v<Result<Token>, Expected<Token>>);
static_assert(std::is_convertible_v<Result<void>, Expected<void>>);
static_assert(std::is_constructible_v<Expected<Token>, Result<Token>>);
// It does not convert to another value or error type, and an lvalue does not convert.
static_assert(!std::is_convertible_v<Result<Token>, Expected<int>>);
static_assert(!std::is_convertible_v<Result<Token>, Expected<void>>);
static_assert(!std::is_convertible_v<Result<Token>, std::expected<Token, cd_code>>);
static_assert(!std::is_convertible_v<Result<Token> &, Expected<Token>>);

static Expected<Token> log_in(const Options &options, const char *username) {
    return couchdrop::try_authenticate({username, PASSWORD}, options);
}

int main() {
    const Options options = options_for_fake_server();

    const Expected<Token> token = log_in(options, "ada@example.com");
    CHECK(token.has_value() && token->size() == 36);

    const Expected<Token> refused = log_in(options, "nobody@example.com");
    CHECK(!refused.has_value());
    CHECK_CODE(CD_ERR_ACCESS_DENIED, refused.error().code());
    CHECK(refused.error().server_message() == "Access denied");

    auto result = couchdrop::try_authenticate({"ada@example.com", PASSWORD}, options);
    Expected<Token> direct(std::move(result));
    CHECK(direct && direct->size() == 36);
    direct = couchdrop::try_authenticate({"nobody@example.com", PASSWORD}, options);
    CHECK(!direct);

    const Expected<void> connected = couchdrop::try_connect(options);
    CHECK(connected.has_value());
    const Expected<void> untrusted =
        couchdrop::try_connect(Options().base_url(environment("COUCHDROP_BASE_URL")));
    CHECK(!untrusted.has_value());
    CHECK_CODE(CD_ERR_TLS, untrusted.error().code());
    return checks_result();
}
