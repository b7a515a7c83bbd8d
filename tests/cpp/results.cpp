// Results as exceptions and as values: both have the same error, which outlives its result. tests/conformance
// checks the fields of the errors that are thrown.
#include "check.hpp"

#include "../c/server.h"

#include <ostream>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>

using namespace std::chrono_literals;
using couchdrop::authenticate;
using couchdrop::Credentials;
using couchdrop::Error;
using couchdrop::Options;
using couchdrop::Result;
using couchdrop::Token;
using couchdrop::try_authenticate;

namespace {

template <class T, class = void> struct is_printable : std::false_type {};
template <class T>
struct is_printable<T, std::void_t<decltype(std::declval<std::ostream &>() << std::declval<T>())>>
    : std::true_type {};

static_assert(is_printable<int>::value, "the question works");
static_assert(!is_printable<Token>::value && !is_printable<Credentials>::value);
static_assert(!is_printable<Result<Token>>::value);
static_assert(!std::is_copy_constructible_v<Token> && !std::is_copy_assignable_v<Token>);
static_assert(std::is_nothrow_move_constructible_v<Token>);
static_assert(std::is_nothrow_move_assignable_v<Token>);
static_assert(!std::is_copy_constructible_v<Result<Token>>);
static_assert(std::is_nothrow_move_constructible_v<Result<Token>>);
static_assert(std::is_nothrow_copy_constructible_v<Error>, "as an exception should be");
static_assert(std::is_base_of_v<std::exception, Error>);
static_assert(!std::is_convertible_v<Result<Token>, bool>, "but for conditions");
static_assert(noexcept(try_authenticate("", "")));
static_assert(noexcept(try_authenticate({}, std::declval<Options &>())));
static_assert(noexcept(couchdrop::try_connect(std::declval<Options &>())));

constexpr const char *usernames[] = {"nobody@example.com", "twofactor@example.com", "limited@example.com",
                                     "down@example.com",   "portal@example.com",    "moved@example.com"};

void check_equal(const Error &one, const Error &other) {
    CHECK_CODE(one.code(), other.code());
    CHECK_TEXT(one.name(), other.name());
    CHECK_TEXT(one.what(), other.what());
    CHECK(one.http_status() == other.http_status());
    CHECK(one.server_message() == other.server_message());
    CHECK(one.retry_after() == other.retry_after());
    CHECK(one.attempts() == other.attempts());
    CHECK(one.is_retryable() == other.is_retryable());
}

void refused(const Options &options) {
    for (const char *username : usernames) {
        const auto result = try_authenticate({username, PASSWORD}, options);
        CHECK(!result && !result.has_value() && result.error().code() != CD_OK);
        try {
            const Token token = authenticate({username, PASSWORD}, options);
            FAIL("a login that should throw");
        } catch (const std::exception &thrown) {
            const auto *error = dynamic_cast<const Error *>(&thrown);
            CHECK(error != nullptr);
            if (error != nullptr)
                check_equal(result.error(), *error);
        }
        CHECK_THROWS(result.error().code(), result.value());
    }
}

void granted(const Options &options) {
    const Token token = authenticate({ADA, PASSWORD, "test"}, options);
    CHECK(token.size() == 36 && token.view().size() == 36);
    CHECK(token.view() == token.c_str());
    CHECK(cd_token_str(token.get()) == token.c_str());

    auto result = try_authenticate({"json@example.com", PASSWORD}, options);
    CHECK(result && result.has_value() && result->size() == 36);
    CHECK_CODE(CD_OK, result.error().code());
    const Token moved = *std::move(result);
    CHECK(moved.view() != token.view());
}

void moves(const Options &options) {
    Token first = authenticate({ADA, PASSWORD}, options);
    const std::string text(first.view());
    Token second = std::move(first);
    CHECK(second.view() == text);
    CHECK(first.view().empty() && first.size() == 0 && first.get() == nullptr);
    CHECK_TEXT("", first.c_str());
    second = authenticate({ADA, PASSWORD}, options);
    CHECK(second.view() != text);
    first = std::move(second);
    CHECK(first.size() == 36);
}

// An error's strings live as long as one of its copies.
void copies_of_an_error(const Options &options) {
    std::optional<Error> copy;
    std::string_view message;
    {
        const auto result = try_authenticate({"broken@example.com", PASSWORD}, options);
        copy = result.error();
        message = copy->server_message();
    }
    CHECK(message == "Internal error 7");
    const Error second = *copy;
    const std::exception_ptr held = std::make_exception_ptr(*copy);
    copy.reset();
    try {
        std::rethrow_exception(held);
    } catch (const Error &error) {
        check_equal(second, error);
        CHECK(error.server_message() == message && error.attempts() == 5);
    }
}

// A proxy's refusal has one code, but may be temporary or not: the error itself says which.
void refused_by_a_proxy() {
    for (const bool may_pass : {true, false}) {
        const server proxy = server_start();
        std::thread responder([&proxy, may_pass] {
            const int connection = server_accept(&proxy);
            std::string request; // no body, so server_read_request() would hang
            for (char letter; request.find("\r\n\r\n") == request.npos; request += letter)
                need(read(connection, &letter, 1) == 1, "read of a request");
            const std::string_view response =
                may_pass ? "HTTP/1.1 503 Down\r\nContent-Length: 0\r\n\r\n"
                         : "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n";
            need(send(connection, response.data(), response.size(), MSG_NOSIGNAL) > 0, "send");
            close(connection);
        });
        const auto options =
            Options().base_url("https://couchdrop.invalid").proxy(proxy.url).max_retries(0);
        const auto result = couchdrop::try_connect(options);
        responder.join();
        close(proxy.listener);
        CHECK_CODE(CD_ERR_PROXY, result.error().code());
        CHECK(result.error().http_status() == (may_pass ? 503 : 403));
        CHECK(result.error().is_retryable() == may_pass);
    }
}

// For callers of the functions of couchdrop.h who use the types of this header.
void adopted() {
    cd_error *error = nullptr;
    const cd_code code = cd_options_set_timeout_ms(nullptr, 1, &error);
    const std::string message = cd_error_message(error);
    const Error taken(code, error);
    CHECK_CODE(CD_ERR_NULL_ARGUMENT, taken.code());
    CHECK(message == taken.what());

    const Error bare(CD_ERR_TLS);
    CHECK_TEXT(cd_code_message(CD_ERR_TLS), bare.what());
    CHECK(bare.server_message().empty() && !bare.retry_after() && bare.attempts() == 0);
    CHECK(!bare.is_retryable() && bare.http_status() == 0);
}

void connected(const Options &options) {
    couchdrop::connect(options);
    auto result = couchdrop::try_connect(options, 5s);
    CHECK(result && result.has_value());
    CHECK_CODE(CD_OK, result.error().code());
    result.value();

    const auto untrusting = Options().base_url(environment("COUCHDROP_BASE_URL"));
    CHECK_THROWS(CD_ERR_TLS, couchdrop::connect(untrusting));
    result = couchdrop::try_connect(untrusting);
    CHECK(!result);
    CHECK_CODE(CD_ERR_TLS, result.error().code());
    CHECK_THROWS(CD_ERR_TLS, result.value());
}

} // namespace

int main() {
    const Options options = options_for_fake_server();
    granted(options);
    refused(options);
    moves(options);
    copies_of_an_error(options);
    adopted();
    connected(options);
    refused_by_a_proxy();
    return checks_result();
}
