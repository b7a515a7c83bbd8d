// A session: one login for many calls, renewal, ages, limits of a call and lifetime. Built with and
// without exceptions.
#include "check.hpp"

#include "../c/server.h"

#include <atomic>
#include <string>
#include <sys/syscall.h>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using couchdrop::CancelSource;
using couchdrop::Credentials;
using couchdrop::Options;
using couchdrop::Result;
using couchdrop::Session;
using couchdrop::Token;

namespace {
std::atomic<std::int64_t> skipped_seconds{0};
}

// Replaces the C library's: the library measures ages with it.
extern "C" int clock_gettime(clockid_t clock, struct timespec *time) noexcept {
    const long result = syscall(SYS_clock_gettime, clock, time);
    if (clock == CLOCK_BOOTTIME)
        time->tv_sec += static_cast<time_t>(skipped_seconds.load());
    return static_cast<int>(result);
}

namespace {

const Credentials ada = {"ada@example.com", PASSWORD};

static_assert(!std::is_copy_constructible_v<Session> && !std::is_copy_assignable_v<Session>);
static_assert(std::is_nothrow_move_constructible_v<Session>);
static_assert(std::is_nothrow_move_assignable_v<Session>);
// Temporary options would not outlive the session.
static_assert(!std::is_constructible_v<Session, Options, const Credentials &>);
static_assert(!std::is_constructible_v<Session, const Options &&, const Credentials &>);
template <class O, class = void> struct is_accepted : std::false_type {};
template <class O>
struct is_accepted<O, std::void_t<decltype(Session::try_create(std::declval<O>(), ada))>>
    : std::true_type {};
static_assert(is_accepted<Options &>::value && is_accepted<const Options &>::value);
static_assert(!is_accepted<Options>::value && !is_accepted<const Options>::value);
static_assert(noexcept(std::declval<const Session &>().try_token()));
static_assert(noexcept(std::declval<const Session &>().peek()));

Session make(const Options &options, const Credentials &credentials) {
    auto session = Session::try_create(options, credentials);
    CHECK_CODE(CD_OK, session.error().code());
    return *std::move(session);
}

[[maybe_unused]] std::string text(const Token &token) {
    return std::string(token.view());
}

// The characters of a token, or the name of its error's code.
std::string text(const Result<Token> &token) {
    return token ? std::string(token->view()) : std::string(token.error().name());
}

void one_login_serves_many_calls() {
    const Options options = options_for_fake_server();
    const Session session = make(options, ada);
    CHECK(!session.peek());
    std::vector<std::string> tokens(8);
    {
        std::vector<std::thread> threads;
        for (std::string &token : tokens)
            threads.emplace_back([&token, &session] { token = text(session.try_token(10s)); });
        for (std::thread &thread : threads)
            thread.join();
    }
    CHECK(tokens[0].size() == 36);
    for (const std::string &token : tokens)
        CHECK(token == tokens[0]);
    const auto current = session.peek();
    CHECK(current && current->view() == tokens[0]);
    CHECK(text(session.try_token()) == tokens[0]);
}

void rejected_token_is_renewed() {
    const Options options = options_for_fake_server();
    Session session = make(options, ada);
    const Token first = *session.try_token();
    // Younger than the minimum age: the refusal is about a permission.
    CHECK(text(session.try_renew(first)) == first.view());
    skipped_seconds += 60;
    const Token second = *session.try_renew(first);
    CHECK(second.size() == 36 && second.view() != first.view());
    // Another caller has renewed it already.
    CHECK(text(session.try_renew(first, 5s)) == second.view());

    CHECK(session.try_set_min_age(0s).has_value());
    const Token third = *session.try_renew(second);
    CHECK(third.view() != second.view());
    CHECK(session.try_set_max_age(1min).has_value());
    CHECK(text(session.try_token()) == third.view());
    skipped_seconds += 61;
    CHECK(!session.peek());
    const Token fourth = *session.try_token();
    CHECK(fourth.view() != third.view());
    // 0 = no maximum age.
    CHECK(session.try_set_max_age(0s).has_value());
    skipped_seconds += 100'000;
    CHECK(text(session.try_token()) == fourth.view());
}

void ages_out_of_range_change_nothing() {
    const Options options = options_for_fake_server();
    Session session = make(options, ada);
    const Token token = *session.try_token();
    for (const std::chrono::seconds age :
         {-1s, std::chrono::seconds(std::int64_t(1) << 32), std::chrono::seconds::max()}) {
        CHECK_CODE(CD_ERR_OUT_OF_RANGE, session.try_set_max_age(age).error().code());
        CHECK_CODE(CD_ERR_OUT_OF_RANGE, session.try_set_min_age(age).error().code());
    }
    CHECK(session.try_set_min_age(std::chrono::seconds(UINT32_MAX)).has_value());
    CHECK(session.try_set_max_age(std::chrono::seconds(UINT32_MAX)).has_value());
    CHECK(text(session.try_renew(token)) == token.view());
}

void refused_credentials_are_remembered() {
    const Options options = options_for_fake_server().max_retries(0);
    const Session session = make(options, {"ada@example.com", "not my password"});
    const auto first = session.try_token();
    CHECK_CODE(CD_ERR_ACCESS_DENIED, first.error().code());
    CHECK(first.error().attempts() == 1 && first.error().server_message() == "Access denied");
    const auto second = session.try_token();
    CHECK_CODE(CD_ERR_ACCESS_DENIED, second.error().code());
    CHECK(second.error().attempts() == 0 && !session.peek());

    const Session limited = make(options, {"limited@example.com", PASSWORD});
    CHECK_CODE(CD_ERR_RATE_LIMITED, limited.try_token().error().code());
    CHECK(limited.try_token(1s).error().retry_after() > 3500s);
}

void limits_of_a_call_apply() {
    const Options options = options_for_fake_server();
    const Session session = make(options, {"slow@example.com", PASSWORD});
    CHECK_CODE(CD_ERR_TIMEOUT, session.try_token(100ms).error().code());
    CHECK_CODE(CD_ERR_OUT_OF_RANGE, session.try_token(0s).error().code());
    int calls = 0;
    const CancelSource third([&calls] { return ++calls == 3; });
    CHECK_CODE(CD_ERR_CANCELLED, session.try_token({third, 10s}).error().code());
    CHECK(calls == 3);

    const Session ready = make(options, ada);
    const Token token = *ready.try_token();
    CancelSource cancel;
    cancel.trigger();
    // Even if there is a token.
    CHECK_CODE(CD_ERR_CANCELLED, ready.try_token(cancel).error().code());
    CHECK_CODE(CD_ERR_CANCELLED, ready.try_renew(token, {cancel, 5s}).error().code());
    const CancelSource moved = std::move(cancel);
    CHECK_CODE(CD_ERR_NULL_ARGUMENT, ready.try_token(cancel).error().code());
    CHECK_CODE(CD_ERR_CANCELLED, ready.try_token(moved).error().code());
#if defined(__cpp_lib_jthread)
    std::stop_source stop;
    CHECK(text(ready.try_token(stop.get_token())) == token.view());
    stop.request_stop();
    CHECK_CODE(CD_ERR_CANCELLED, ready.try_token(stop.get_token()).error().code());
    CHECK_CODE(CD_ERR_CANCELLED, ready.try_renew(token, stop.get_token(), 5s).error().code());
    CHECK_CODE(CD_ERR_TIMEOUT, session.try_token(std::stop_token(), 100ms).error().code());
#endif
}

// A trigger on another thread stops a login that waits for its response.
void cancel_source_stops_login() {
    const server server = server_start();
    const Options options = Options().base_url(server.url).max_retries(0);
    const Session session = make(options, ada);
    CancelSource cancel;
    cd_code code = CD_OK;
    std::thread thread([&] { code = session.try_token(cancel).error().code(); });
    const int connection = server_accept(&server);
    server_read_request(connection);
    const std::int64_t stopped = now_ms();
    cancel.trigger();
    thread.join();
    CHECK_CODE(CD_ERR_CANCELLED, code);
    CHECK(now_ms() - stopped < 50 + slack_ms());
    close(connection);
    close(server.listener);
}

void bad_arguments_are_refused() {
    Options options = options_for_fake_server();
    const auto code = [&options](const Credentials &credentials) {
        return Session::try_create(options, credentials).error().code();
    };
    CHECK_CODE(CD_ERR_EMPTY_ARGUMENT, code({"", "pw"}));
    CHECK_CODE(CD_ERR_EMPTY_ARGUMENT, code({"ada", ""}));
    CHECK_CODE(CD_ERR_NULL_ARGUMENT, code({"ada", nullptr}));
    CHECK_CODE(CD_ERR_INVALID_UTF8, code({"ada", std::string("a\0b", 3)}));
    CHECK_CODE(CD_ERR_INVALID_UTF8, code({"ada", "pw", std::string("a\0b", 3)}));
    CHECK_CODE(CD_ERR_INVALID_UTF8, code({"\xc3\x28", "pw"}));
    CHECK_CODE(CD_ERR_OUT_OF_RANGE, code({std::string(65537, 'a'), "pw"}));
    const Options elsewhere = std::move(options);
    CHECK_CODE(CD_ERR_NULL_ARGUMENT, code(ada));
    Options bad = options_for_fake_server();
    CHECK(bad.environment("SSL_CERT_FILE", "/nowhere/ca.pem").get() != nullptr);
    bad = Options().environment("HTTPS_PROXY", "ftp://proxy.example");
    CHECK_CODE(CD_ERR_PROXY, Session::try_create(bad, ada).error().code());

    // A session freezes its options, and copies its credentials.
    std::string password = PASSWORD;
    Options used = options_for_fake_server();
    const Session session = make(used, {"ada@example.com", password});
    cd_secure_zero(password.data(), password.size());
    CHECK(session.try_token().has_value());
    CHECK_CODE(CD_ERR_OPTIONS_IN_USE, cd_options_set_timeout_ms(used.get(), 1000, nullptr));
}

void moved_from_objects_are_refused() {
    Options options = options_for_fake_server();
    Session first = make(options, ada);
    Token token = *first.try_token();
    Session second = std::move(first);
    CHECK(first.get() == nullptr && second.get() != nullptr);
    CHECK_CODE(CD_ERR_NULL_ARGUMENT, first.try_token().error().code());
    CHECK_CODE(CD_ERR_NULL_ARGUMENT, first.try_renew(token).error().code());
    CHECK_CODE(CD_ERR_NULL_ARGUMENT, first.try_set_max_age(1s).error().code());
    CHECK_CODE(CD_ERR_NULL_ARGUMENT, first.try_set_min_age(1s).error().code());
    CHECK(!first.peek());
    CHECK(text(second.try_token()) == token.view());
    // Moved options keep their address in C.
    const Options moved = std::move(options);
    CHECK(second.try_set_min_age(0s).has_value());
    CHECK(second.try_renew(token)->size() == 36);
    const Token other = std::move(token);
    const auto renewed = second.try_renew(token);
    CHECK_CODE(CD_ERR_NULL_ARGUMENT, renewed.error().code());
    CHECK(strstr(renewed.error().what(), "token was moved from") != nullptr);
    // A token outlives its session, and a session can be replaced.
    second = make(moved, ada);
    CHECK(other.size() == 36 && !second.peek() && second.try_token()->size() == 36);
}

#if defined(__cpp_exceptions)

void failures_are_thrown() {
    const Options options = options_for_fake_server().max_retries(0);
    CHECK_THROWS(CD_ERR_EMPTY_ARGUMENT, Session(options, {"ada", ""}));
    Session session(options, ada);
    const Token token = session.token(5s);
    CHECK(text(session.renew(token)) == token.view());
    CHECK(text(session.renew(token, 5s)) == token.view());
    session.set_min_age(0s);
    session.set_max_age(24h);
    CHECK(text(session.renew(token)) != token.view());
    CHECK_THROWS(CD_ERR_OUT_OF_RANGE, session.set_max_age(-1s));
    CHECK_THROWS(CD_ERR_OUT_OF_RANGE, session.set_min_age(-1s));
    CHECK_THROWS(CD_ERR_OUT_OF_RANGE, session.token(2h));
    CHECK_THROWS(CD_ERR_TWO_FACTOR_REQUIRED,
                 Session(options, {"twofactor@example.com", PASSWORD}).token());
    CancelSource cancel;
    cancel.trigger();
    CHECK_THROWS(CD_ERR_CANCELLED, session.renew(token, cancel));
#if defined(__cpp_lib_jthread)
    std::stop_source stop;
    stop.request_stop();
    CHECK_THROWS(CD_ERR_CANCELLED, session.token(stop.get_token(), 5s));
    CHECK_THROWS(CD_ERR_CANCELLED, session.renew(token, stop.get_token()));
#endif
}

#else

void failures_are_thrown() {
    Options bad = options_for_fake_server();
    bad.max_retries(11);
    CHECK_CODE(CD_ERR_OUT_OF_RANGE, Session::try_create(bad, ada).error().code());
}

#endif

} // namespace

int main() {
    one_login_serves_many_calls();
    rejected_token_is_renewed();
    ages_out_of_range_change_nothing();
    refused_credentials_are_remembered();
    limits_of_a_call_apply();
    cancel_source_stops_login();
    bad_arguments_are_refused();
    moved_from_objects_are_refused();
    failures_are_thrown();
    return checks_result();
}
