// Arguments: settings, strings with a NUL, durations out of range, and moved-from objects.
#include "check.hpp"

#include <cstdlib>
#include <filesystem>
#include <limits>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using couchdrop::authenticate;
using couchdrop::BodyFormat;
using couchdrop::CallOptions;
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

    CHECK_THROWS(CD_ERR_INVALID_URL, options.base_url("couchdrop"));
    CHECK_THROWS(CD_ERR_INSECURE_URL, options.base_url("http://couchdrop.example"));
    CHECK_THROWS(CD_ERR_EMPTY_ARGUMENT, options.base_url(""));
    CHECK_THROWS(CD_ERR_EMPTY_ARGUMENT, options.base_url({}));
    CHECK_THROWS(CD_ERR_INVALID_UTF8, options.user_agent("\xff"));
    CHECK_THROWS(CD_ERR_OUT_OF_RANGE, options.user_agent("a\nb"));
    CHECK_THROWS(CD_ERR_OUT_OF_RANGE, options.user_agent(std::string(65537, 'a')));
    CHECK_THROWS(CD_ERR_CA_FILE, options.ca_file("/dev/null"));
    CHECK_THROWS(CD_ERR_INSECURE_URL, options.proxy("proxy.example"));
    CHECK_THROWS(CD_ERR_OUT_OF_RANGE, options.body_format(static_cast<BodyFormat>(3)));
    CHECK_THROWS(CD_ERR_OUT_OF_RANGE, options.max_response_bytes(0));
    CHECK_THROWS(CD_ERR_OUT_OF_RANGE,
                 options.logger([](LogLevel, std::string_view) {}, static_cast<LogLevel>(0)));
    CHECK_THROWS(CD_ERR_OUT_OF_RANGE, options.backoff(2s, 1s));

    // The error names the argument; setters on a temporary throw too.
    try {
        Options().timeout(0s).max_retries(1);
        FAIL("a setter that should throw");
    } catch (const couchdrop::Error &error) {
        CHECK_CODE(CD_ERR_OUT_OF_RANGE, error.code());
        CHECK(strstr(error.what(), "timeout") != nullptr);
    }
}

// A number out of range is not truncated to one in range.
void numbers_out_of_range() {
    Options options;
    for (const std::int64_t count :
         {std::int64_t(-1), std::int64_t(11), std::int64_t(1) << 32,
          std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()})
        CHECK_THROWS(CD_ERR_OUT_OF_RANGE, options.max_retries(count));
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
    check_duration(CD_OK, 60min);
    check_duration(CD_OK, 3600000ms);
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
    check_duration(CD_ERR_OUT_OF_RANGE, -1h);
    check_duration(CD_ERR_OUT_OF_RANGE, 2h);
    check_duration(CD_ERR_OUT_OF_RANGE, 4294967297ms); // 1 ms in 32 bits
    check_duration(CD_ERR_OUT_OF_RANGE, 4294968s);     // 704 ms in 32 bits
    check_duration(CD_ERR_OUT_OF_RANGE, std::chrono::hours::max());
    check_duration(CD_ERR_OUT_OF_RANGE, std::chrono::hours::min());
    check_duration(CD_ERR_OUT_OF_RANGE, nanoseconds::max());
    check_duration(CD_ERR_OUT_OF_RANGE, nanoseconds::min());
    check_duration(CD_ERR_OUT_OF_RANGE, years::max());
    check_duration(CD_ERR_OUT_OF_RANGE, unsigned_ms::max());
    check_duration(CD_ERR_OUT_OF_RANGE, seconds_as_double::max());
    check_duration(CD_ERR_OUT_OF_RANGE, seconds_as_double(std::numeric_limits<double>::infinity()));
    check_duration(CD_ERR_OUT_OF_RANGE,
                   seconds_as_double(std::numeric_limits<double>::quiet_NaN()));

    Options options;
    CHECK_THROWS(CD_OK, options.backoff(0s, 0s));
    CHECK_THROWS(CD_ERR_OUT_OF_RANGE, options.backoff(-1s, 1s));
    CHECK_THROWS(CD_ERR_OUT_OF_RANGE, options.backoff(0s, std::chrono::hours::max()));
}

// C would cut each of these strings short, and a cut password is a different one.
void strings_with_a_nul() {
    using namespace std::string_literals;
    const std::string with_nul = "pass\0word"s;
    const Options options = nowhere();
    const auto check = [](const couchdrop::Error &error, const char *what) {
        CHECK_CODE(CD_ERR_INVALID_UTF8, error.code());
        CHECK(strstr(error.what(), what) != nullptr);
        CHECK(error.attempts() == 0);
    };
    check(try_authenticate({with_nul, "pw"}, options).error(), "user name");
    check(try_authenticate({"ada", with_nul}, options).error(), "password");
    check(try_authenticate({"ada", "pw", with_nul}, options).error(), "system");
    check(try_authenticate("ada", with_nul).error(), "password");
    CHECK_THROWS(CD_ERR_INVALID_UTF8, authenticate({"ada", "pw\0"s}, options));
    CHECK_THROWS(CD_ERR_INVALID_UTF8, authenticate({"ada", "\0"s}, options));
    CHECK_THROWS(CD_ERR_INVALID_UTF8, authenticate("ada\0"s, "pw"));

    Options other;
    CHECK_THROWS(CD_ERR_INVALID_UTF8, other.base_url("https://a.example\0.evil.example"s));
    CHECK_THROWS(CD_ERR_INVALID_UTF8, other.proxy("a\0"s));
    CHECK_THROWS(CD_ERR_INVALID_UTF8, other.ca_file("/etc\0"s));
    CHECK_THROWS(CD_ERR_INVALID_UTF8, other.user_agent("a\0b"s));

    // No C function was called, so the options are not frozen.
    Options untouched = nowhere();
    check(try_authenticate({"ada", with_nul}, untouched).error(), "password");
    untouched.timeout(1s);
}

// Passes std::getenv()'s result for an unset variable as an argument of each kind.
void null_strings() {
    const char *const unset = std::getenv("COUCHDROP_NO_SUCH_VARIABLE");
    const Options options = nowhere();
    const auto check = [](const couchdrop::Error &error, const char *what) {
        CHECK_CODE(CD_ERR_NULL_ARGUMENT, error.code());
        CHECK(strstr(error.what(), what) != nullptr);
        CHECK(error.attempts() == 0);
    };
    check(try_authenticate({unset, "pw"}, options).error(), "username");
    check(try_authenticate({"ada", unset}, options).error(), "password");
    check(try_authenticate({"ada", nullptr}, options).error(), "password");
    check(try_authenticate(unset, "pw").error(), "username");
    check(try_authenticate("ada", unset).error(), "password");
    CHECK_THROWS(CD_ERR_NULL_ARGUMENT, authenticate(std::getenv("COUCHDROP_NO_SUCH_VARIABLE"),
                                                    std::getenv("COUCHDROP_NO_SUCH_VARIABLE")));
    CHECK_THROWS(CD_ERR_CONNECT, authenticate({"ada", "pw", unset}, options));

    const auto check_setter = [&check](const char *what, auto set) {
        Options other = nowhere();
        try {
            set(other);
            FAIL("a setter that should throw");
        } catch (const couchdrop::Error &error) {
            check(error, what);
        }
        // Nothing was changed.
        CHECK_THROWS(CD_ERR_CONNECT, authenticate({"ada", "pw"}, other));
    };
    check_setter("base URL", [unset](Options &other) { other.base_url(unset); });
    check_setter("proxy URL", [unset](Options &other) { other.proxy(unset); });
    check_setter("CA file", [unset](Options &other) { other.ca_file(unset); });
    check_setter("user agent", [unset](Options &other) { other.user_agent(unset); });
    CHECK_THROWS(CD_ERR_NULL_ARGUMENT, Options().base_url(unset));
    CHECK_THROWS(CD_ERR_NULL_ARGUMENT, Options().proxy(nullptr));
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
}

void other_strings() {
    const Options options = nowhere();
    CHECK_THROWS(CD_ERR_EMPTY_ARGUMENT, authenticate({"", "pw"}, options));
    CHECK_THROWS(CD_ERR_EMPTY_ARGUMENT, authenticate({"ada", {}}, options));
    CHECK_THROWS(CD_ERR_INVALID_UTF8, authenticate({"\xc3\x28", "pw"}, options));
    CHECK_THROWS(CD_ERR_OUT_OF_RANGE, authenticate({"ada", std::string(65537, 'a')}, options));
    CHECK_THROWS(CD_ERR_CONNECT, authenticate({"ada", std::string(65536, 'a')}, options));
    CHECK_THROWS(CD_ERR_CONNECT, authenticate({"ada", "pw", ""}, options));
    // A view need not end in a NUL.
    CHECK_THROWS(CD_ERR_CONNECT, authenticate({std::string_view("ada\xff", 3), "pw"}, options));
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

void in_use() {
    Options options = nowhere();
    CHECK_CODE(CD_ERR_CONNECT,
               try_authenticate({"ada", "pw"}, options, CallOptions()).error().code());
    CHECK_THROWS(CD_ERR_OPTIONS_IN_USE, options.timeout(1s));
    CHECK_THROWS(CD_ERR_OPTIONS_IN_USE, options.logger(nullptr));
}

struct Line {
    LogLevel level;
    std::string message;
};

// The logger: its messages, and that its exceptions do not propagate.
void logging() {
    std::vector<Line> lines;
    {
        const auto options = options_for_fake_server().logger(
            [&lines](LogLevel level, std::string_view message) {
                lines.push_back({level, std::string(message)});
                throw std::runtime_error("a logger's own trouble");
            },
            LogLevel::debug);
        CHECK(authenticate({"ada@example.com", PASSWORD}, options).size() == 36);
        CHECK_THROWS(CD_ERR_SERVER, authenticate({"broken@example.com", PASSWORD}, options));
        // The logger moves with the options.
        Options moved = options_for_fake_server();
        moved.logger([&lines](LogLevel level, std::string_view) { lines.push_back({level, ""}); });
        const Options kept = std::move(moved);
        const std::size_t before = lines.size();
        CHECK(authenticate({"ada@example.com", PASSWORD}, kept).size() == 36);
        CHECK(lines.size() > before);
    }
    int count[5] = {};
    for (const Line &line : lines) {
        count[static_cast<int>(line.level)]++;
        CHECK(line.message.find(PASSWORD) == std::string::npos);
    }
    CHECK(count[CD_LOG_ERROR] > 0 && count[CD_LOG_WARN] > 0);
    CHECK(count[CD_LOG_INFO] > 0 && count[CD_LOG_DEBUG] > 0);
}

} // namespace

int main() {
    settings();
    numbers_out_of_range();
    durations();
    strings_with_a_nul();
    null_strings();
    string_args();
    other_strings();
    moved_from();
    in_use();
    logging();
    return checks_result();
}
