// Arguments of C++: chained setters, durations, strings with a NUL, null pointers, moved-from objects,
// and functions of the host. tests/conformance has the refusals that all languages share.
#include "check.hpp"

#include <cstdlib>
#include <filesystem>
#include <limits>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

using namespace std::chrono_literals;
using couchdrop::authenticate;
using couchdrop::BodyFormat;
using couchdrop::CancelSource;
using couchdrop::LogLevel;
using couchdrop::Options;
using couchdrop::StringArg;
using couchdrop::try_authenticate;
using couchdrop::try_connect;

namespace {

static_assert(!std::is_copy_constructible_v<Options> && !std::is_copy_assignable_v<Options>);
static_assert(std::is_nothrow_move_constructible_v<Options>);
static_assert(!std::is_copy_constructible_v<CancelSource>);
static_assert(std::is_nothrow_move_constructible_v<CancelSource>);

// Each setter returns a reference to named options, so that they are not moved, and a temporary by
// value, so that no reference to it remains.
#define SETTER(call)                                                                               \
    static_assert(std::is_same_v<decltype(std::declval<Options &>().call), Options &>);            \
    static_assert(std::is_same_v<decltype(std::declval<Options>().call), Options>)

SETTER(base_url(""));
SETTER(body_format(BodyFormat::json));
SETTER(timeout(1s));
SETTER(connect_timeout(1s));
SETTER(max_retries(1));
SETTER(backoff(1s, 2s));
SETTER(proxy(""));
SETTER(no_proxy());
SETTER(ca_file(""));
SETTER(ca_file(std::filesystem::path()));
SETTER(environment("", ""));
SETTER(user_agent(""));
SETTER(max_response_bytes(1));
SETTER(logger(nullptr));

// Nothing listens there: a login with good arguments fails with CD_ERR_CONNECT.
Options nowhere() {
    return Options().base_url("http://127.0.0.1:1").max_retries(0);
}

void settings() {
    auto options = Options()
                       .base_url("https://couchdrop.example")
                       .body_format(BodyFormat::json)
                       .timeout(10s)
                       .connect_timeout(2500ms)
                       .max_retries(10)
                       .backoff(0ms, 1h)
                       .proxy("proxy.example:3128")
                       .no_proxy()
                       .ca_file(environment("COUCHDROP_CA_FILE"))
                       .user_agent("acme/2.1")
                       .max_response_bytes(1024)
                       .logger([](LogLevel, std::string_view) {}, LogLevel::debug)
                       .logger(nullptr);
    // Setters also return the object itself when it has a name.
    CHECK(&options.base_url("http://localhost").body_format(BodyFormat::automatic).timeout(1ms) ==
          &options);
    CHECK(&options.connect_timeout(1h).max_retries(0).backoff(1s, 1s).no_proxy() == &options);
    CHECK(&options.user_agent("a").max_response_bytes(16777216).logger(nullptr) == &options);

    // A reference extends the lifetime of a temporary's result.
    const auto &referenced = Options().base_url("http://127.0.0.1:1").max_retries(0);
    CHECK_THROWS(CD_ERR_CONNECT, authenticate({"ada", "pw"}, referenced));

    // The error names the argument; setters on a temporary throw too.
    try {
        Options().timeout(0s).max_retries(1);
        FAIL("a setter that should throw");
    } catch (const couchdrop::Error &error) {
        CHECK_CODE(CD_ERR_OUT_OF_RANGE, error.code());
        CHECK(strstr(error.what(), "timeout") != nullptr);
    }
}

// Passes a duration to each parameter that takes one, and checks the resulting code.
template <class Duration> void check_duration(cd_code expected, Duration length) {
    Options options;
    CHECK_THROWS(expected, options.timeout(length));
    CHECK_THROWS(expected, options.connect_timeout(length));
    const Options elsewhere = nowhere();
    const cd_code call = expected == CD_OK ? CD_ERR_CONNECT : expected;
    CancelSource cancel;
    CHECK_CODE(call, try_authenticate({"ada", "pw"}, elsewhere, length).error().code());
    CHECK_CODE(call, try_authenticate({"ada", "pw"}, elsewhere, {cancel, length}).error().code());
    CHECK_CODE(call, try_connect(elsewhere, length).error().code());
}

void durations() {
    using years = std::chrono::duration<std::int64_t, std::ratio<31556952>>;
    using nanoseconds = std::chrono::nanoseconds;
    using seconds_as_double = std::chrono::duration<double>;
    using small_seconds = std::chrono::duration<std::int8_t>;
    using unsigned_ms = std::chrono::duration<std::uint32_t, std::milli>;

    check_duration(CD_OK, 1h);
    check_duration(CD_OK, nanoseconds(3600000000000));
    check_duration(CD_OK, seconds_as_double(3.5));
    check_duration(CD_OK, small_seconds(100)); // 100,000 ms don't fit into its 8 bits
    check_duration(CD_OK, unsigned_ms(3600000));

    // Rounded up: a small duration does not become 0, and a long one is not rounded down into the
    // range.
    CHECK(couchdrop::Timeout(1ns).milliseconds() == 1);
    CHECK(couchdrop::Timeout(1500us).milliseconds() == 2);
    CHECK(couchdrop::Timeout(3000us).milliseconds() == 3);
    check_duration(CD_ERR_OUT_OF_RANGE, 1h + 1ns);

    check_duration(CD_ERR_OUT_OF_RANGE, 0ms);
    check_duration(CD_ERR_OUT_OF_RANGE, -1ns);
    check_duration(CD_ERR_OUT_OF_RANGE, 4294967297ms); // 1 ms in 32 bits
    check_duration(CD_ERR_OUT_OF_RANGE, 4294968s);     // 704 ms in 32 bits
    check_duration(CD_ERR_OUT_OF_RANGE, std::chrono::hours::max());
    check_duration(CD_ERR_OUT_OF_RANGE, nanoseconds::min());
    check_duration(CD_ERR_OUT_OF_RANGE, years::max());
    check_duration(CD_ERR_OUT_OF_RANGE, unsigned_ms::max());
    check_duration(CD_ERR_OUT_OF_RANGE, seconds_as_double(std::numeric_limits<double>::infinity()));
    check_duration(CD_ERR_OUT_OF_RANGE, seconds_as_double(std::numeric_limits<double>::quiet_NaN()));

    Options options;
    CHECK_THROWS(CD_OK, options.backoff(0s, 0s));
    CHECK_THROWS(CD_ERR_OUT_OF_RANGE, options.backoff(-1s, 1s));
    CHECK_THROWS(CD_ERR_OUT_OF_RANGE, options.backoff(0s, std::chrono::hours::max()));
}

// C would cut each of these strings short.
void strings_with_a_nul() {
    using namespace std::string_literals;
    Options options = nowhere();
    CHECK_CODE(CD_ERR_INVALID_UTF8, try_authenticate("ada", "pass\0word"s).error().code());
    CHECK_CODE(CD_ERR_INVALID_UTF8, try_authenticate({"ada", "pw\0"s}, options).error().code());
    CHECK_THROWS(CD_ERR_INVALID_UTF8, options.proxy("a\0"s));
    CHECK_THROWS(CD_ERR_INVALID_UTF8, options.ca_file("/etc\0"s));
    CHECK_THROWS(CD_ERR_INVALID_UTF8, options.user_agent("a\0b"s));
    // No C function was called, so the options are not frozen.
    options.timeout(1s);
}

// std::getenv() returns a null pointer for an unset variable: it is refused, and names the argument.
void null_strings() {
    const char *const unset = std::getenv("COUCHDROP_NO_SUCH_VARIABLE");
    const auto check = [](const couchdrop::Error &error, const char *what) {
        CHECK_CODE(CD_ERR_NULL_ARGUMENT, error.code());
        CHECK(strstr(error.what(), what) != nullptr);
        CHECK(error.attempts() == 0);
    };
    Options options = nowhere();
    check(try_authenticate({unset, "pw"}, options).error(), "username");
    check(try_authenticate({"ada", nullptr}, options).error(), "password");
    check(try_authenticate(unset, "pw").error(), "username");
    check(try_authenticate("ada", unset).error(), "password");
    CHECK_THROWS(CD_ERR_NULL_ARGUMENT, authenticate("ada", unset));

    const auto check_setter = [&](const char *what, auto set) {
        try {
            set();
            FAIL("a setter that should throw");
        } catch (const couchdrop::Error &error) {
            check(error, what);
        }
    };
    check_setter("base URL", [&] { options.base_url(unset); });
    check_setter("proxy URL", [&] { options.proxy(unset); });
    check_setter("CA file", [&] { options.ca_file(unset); });
    check_setter("user agent", [&] { options.user_agent(unset); });
    // Nothing was changed, and the system is optional.
    CHECK_THROWS(CD_ERR_CONNECT, authenticate({"ada", "pw", unset}, options));
}

// A string type of the caller.
struct Name {
    operator std::string_view() const { return "ada"; }
};

static_assert(std::is_nothrow_constructible_v<StringArg, const char *>);
static_assert(std::is_convertible_v<char *, StringArg>);
static_assert(std::is_convertible_v<std::string, StringArg>);
static_assert(std::is_convertible_v<Name, StringArg>);
static_assert(!std::is_convertible_v<int, StringArg> &&
              !std::is_convertible_v<std::string *, StringArg>);
static_assert(std::is_aggregate_v<couchdrop::Credentials>);

void string_args() {
    CHECK(StringArg(static_cast<const char *>(nullptr)).is_null());
    CHECK(StringArg(nullptr).view().empty());
    // An empty string is not null, whatever its address.
    CHECK(!StringArg().is_null() && !StringArg("").is_null());
    CHECK(!StringArg(std::string()).is_null() && !StringArg(std::string_view()).is_null());
    char letters[] = "ada";
    const std::string name = "ada";
    for (const StringArg &text : {StringArg(letters), StringArg("ada"), StringArg(name),
                                  StringArg(std::string_view(name)), StringArg(Name())})
        CHECK(text.view() == "ada" && !text.is_null());
    CHECK(StringArg(name).view().data() == name.data()); // not a copy
    // A view need not end in a NUL.
    CHECK_THROWS(CD_ERR_CONNECT, authenticate({std::string_view("ada\xff", 3), "pw"}, nowhere()));
}

// A moved-from object means neither the defaults, which lead to the real service, nor a login that
// cannot be cancelled.
void moved_from() {
    Options first = nowhere();
    const Options second = std::move(first);
    CHECK(first.get() == nullptr && second.get() != nullptr);
    CHECK_THROWS(CD_ERR_NULL_ARGUMENT, authenticate({"ada", "pw"}, first));
    CHECK_CODE(CD_ERR_NULL_ARGUMENT, try_connect(first).error().code());
    CHECK_THROWS(CD_ERR_NULL_ARGUMENT, first.timeout(1s));
    CHECK_THROWS(CD_ERR_CONNECT, authenticate({"ada", "pw"}, second));

    CancelSource source;
    const CancelSource other = std::move(source);
    CHECK(source.get() == nullptr && !source.is_triggered());
    source.trigger();
    CHECK_THROWS(CD_ERR_NULL_ARGUMENT, authenticate({"ada", "pw"}, second, source));
    CHECK_CODE(CD_ERR_NULL_ARGUMENT, try_connect(second, {source, 1s}).error().code());
    CHECK_THROWS(CD_ERR_CONNECT, authenticate({"ada", "pw"}, second, other));

    // Assigning to it makes it usable again.
    first = nowhere();
    CHECK_THROWS(CD_ERR_CONNECT, authenticate({"ada", "pw"}, first));
}

// The logger's exceptions do not propagate, and it moves with the options.
void logging() {
    int lines = 0;
    const auto options = options_for_fake_server().logger(
        [&lines](LogLevel, std::string_view) {
            lines++;
            throw std::runtime_error("a logger's own failure");
        },
        LogLevel::debug);
    CHECK(authenticate({ADA, PASSWORD}, options).size() == 36);
    CHECK_THROWS(CD_ERR_SERVER, authenticate({"broken@example.com", PASSWORD}, options));
    CHECK(lines > 2);

    LogLevel last = LogLevel::error;
    Options moved = options_for_fake_server();
    moved.logger([&last](LogLevel level, std::string_view) { last = level; });
    const Options kept = std::move(moved);
    CHECK(authenticate({ADA, PASSWORD}, kept).size() == 36);
    CHECK(last == LogLevel::info);
}

} // namespace

int main() {
    settings();
    durations();
    strings_with_a_nul();
    null_strings();
    string_args();
    moved_from();
    logging();
    return checks_result();
}
