// Every form of a call: each compiles in every standard without a warning.
#include "check.hpp"

#include <filesystem>
#include <string>
#include <type_traits>
#if __has_include(<version>)
#include <version>
#endif
#if defined(__cpp_lib_expected)
#include <expected>
#endif

using namespace std::chrono_literals;
using couchdrop::authenticate;
using couchdrop::CancelSource;
using couchdrop::Credentials;
using couchdrop::Options;
using couchdrop::StringArg;
using couchdrop::try_authenticate;
using couchdrop::try_connect;

namespace {

// Programs that use the former names still compile.
static_assert(std::is_same_v<couchdrop::Text, StringArg>);
static_assert(std::is_same_v<couchdrop::Limits, couchdrop::CallOptions>);

// These would use the real service, so each has an argument that is refused before anything is
// sent.
void without_options() {
    const char *const text = "ada";
    const std::string string = "ada";
    const std::string_view view = string;
    const std::optional<std::string> none;
    const Credentials credentials = {"ada", ""};
    for (const cd_code code :
         {try_authenticate({"ada", ""}).error().code(), try_authenticate("ada", "").error().code(),
          try_authenticate({text, ""}).error().code(), try_authenticate(text, "").error().code(),
          try_authenticate({string, ""}).error().code(),
          try_authenticate(string, "").error().code(), try_authenticate({view, ""}).error().code(),
          try_authenticate(view, "", none).error().code(),
          try_authenticate({std::string("ada"), "", "test"}).error().code(),
          try_authenticate({"ada", "", none}).error().code(),
          try_authenticate(credentials).error().code(),
          try_authenticate(Credentials{"ada", ""}).error().code(),
#if __cplusplus >= 202002L
          try_authenticate({.username = "ada", .password = ""}).error().code(),
          try_authenticate({.username = string, .password = "", .system = view}).error().code(),
#endif
          thrown([&] { (void)authenticate({"ada", ""}); }),
          thrown([&] { (void)authenticate({string, ""}); }),
          thrown([&] { (void)authenticate(credentials); }),
          thrown([&] { (void)authenticate(text, ""); })})
        CHECK_CODE(CD_ERR_EMPTY_ARGUMENT, code);
    CHECK_CODE(CD_ERR_NULL_ARGUMENT, try_authenticate({none, "pw"}).error().code());
    CHECK_CODE(CD_ERR_NULL_ARGUMENT, try_authenticate({"ada", std::nullopt}).error().code());
    static_assert(noexcept(try_authenticate({"", ""})));
}

void with_options() {
    const Options options = options_for_fake_server();
    const std::string username = ADA;
    const std::optional<std::string> password = PASSWORD;
    const CancelSource cancel;
    CHECK(authenticate({username, password}, options).size() == 36);
    CHECK(authenticate({username, password}, options, {}).size() == 36);
    CHECK(authenticate({username, password}, options, 10s).size() == 36);
    CHECK(authenticate({username, password}, options, cancel).size() == 36);
    CHECK(authenticate({username, password}, options, {cancel, 10s}).size() == 36);
    CHECK(authenticate({username, password}, options_for_fake_server()).size() == 36);
    CHECK(try_authenticate({username, password}, options_for_fake_server().max_retries(0), 10s)
              .has_value());
    CHECK(authenticate(Credentials{username, password}, options).size() == 36);
#if __cplusplus >= 202002L
    CHECK(authenticate({.username = username, .password = password}, options).size() == 36);
#endif
    CHECK(try_connect(options).has_value());
    CHECK(try_connect(options, {}).has_value());
    CHECK(try_connect(options_for_fake_server(), {cancel, 10s}).has_value());
    // An empty `{}` means the defaults.
    CHECK_CODE(CD_ERR_EMPTY_ARGUMENT, try_authenticate({"ada", ""}, {}).error().code());
    CHECK_CODE(CD_ERR_EMPTY_ARGUMENT, try_authenticate({"ada", ""}, {}, {}).error().code());
}

void optional_strings() {
    const std::optional<std::string> empty;
    const std::optional<std::string_view> view = "ada";
    const std::optional<const char *> pointer = "ada", null = nullptr;
    CHECK(StringArg(empty).is_null() && StringArg(std::nullopt).is_null());
    CHECK(StringArg(null).is_null());
    CHECK(StringArg(view).view() == "ada" && StringArg(pointer).view() == "ada");
    static_assert(!std::is_convertible_v<std::optional<int>, StringArg>);
}

// A CA file as a std::filesystem::path, including one that is not ASCII.
void paths() {
    namespace fs = std::filesystem;
    const fs::path source = environment("COUCHDROP_CA_FILE");
    std::string name = (fs::temp_directory_path() / "couchdrop-calls-XXXXXX").string();
    CHECK(mkdtemp(name.data()) != nullptr);
    const fs::path directory = name;
    const fs::path copy = directory / fs::path("жук.pem");
    fs::copy_file(source, copy);
    Options options = options_for_fake_server();
    CHECK(&options.ca_file(copy) == &options);
    CHECK(authenticate({ADA, PASSWORD}, options).size() == 36);
    const Options temporary = options_for_fake_server().ca_file(copy);
    CHECK(authenticate({ADA, PASSWORD}, temporary).size() == 36);
    CHECK_THROWS(CD_ERR_CA_FILE, Options().ca_file(directory / "missing.pem"));
    CHECK_THROWS(CD_ERR_EMPTY_ARGUMENT, Options().ca_file(fs::path()));
    CHECK_THROWS(CD_ERR_INVALID_UTF8, Options().ca_file(fs::path("\xff.pem")));
    CHECK_THROWS(CD_ERR_INVALID_UTF8, Options().ca_file(fs::path(std::string("a\0b", 3))));
    fs::remove_all(directory);
}

// The given variables replace those of the process.
void environments() {
    const char *const ca_file = environment("COUCHDROP_CA_FILE");
    const std::optional<std::string> unset;
    const auto options = [] { return Options().base_url(environment("COUCHDROP_BASE_URL")); };
    const Options trusting = options().environment("SSL_CERT_FILE", ca_file);
    CHECK(authenticate({ADA, PASSWORD}, trusting).size() == 36);
    Options untrusting = options();
    CHECK(&untrusting.environment("SSL_CERT_FILE", std::string(ca_file))
               .environment("SSL_CERT_FILE", nullptr)
               .environment("SSL_CERT_DIR", unset)
               .environment("https_proxy", std::nullopt) == &untrusting);
    CHECK_THROWS(CD_ERR_TLS, authenticate({ADA, PASSWORD}, untrusting));

    CHECK_THROWS(CD_ERR_OUT_OF_RANGE, options().environment("PATH", "/bin"));
    CHECK_THROWS(CD_ERR_NULL_ARGUMENT, options().environment(nullptr, "/bin"));
    CHECK_THROWS(CD_ERR_INVALID_UTF8,
                 options().environment("NO_PROXY", std::string("a\0b", 3)));
    CHECK_THROWS(CD_ERR_INVALID_UTF8, options().environment(std::string("NO_\0", 4), "a"));
}

#if defined(__cpp_lib_expected)

template <class T> using Expected = std::expected<T, couchdrop::Error>;
using TokenResult = couchdrop::Result<couchdrop::Token>;

static_assert(std::is_convertible_v<TokenResult, Expected<couchdrop::Token>>);
static_assert(std::is_convertible_v<couchdrop::Result<void>, Expected<void>>);
// It does not convert to another value or error type, and an lvalue does not convert.
static_assert(!std::is_convertible_v<TokenResult, Expected<int>>);
static_assert(!std::is_convertible_v<TokenResult, Expected<void>>);
static_assert(!std::is_convertible_v<TokenResult, std::expected<couchdrop::Token, cd_code>>);
static_assert(!std::is_convertible_v<TokenResult &, Expected<couchdrop::Token>>);

// A result converts to a std::expected (C++23).
void expected() {
    const Options options = options_for_fake_server();
    const Expected<couchdrop::Token> token = try_authenticate({ADA, PASSWORD}, options);
    CHECK(token.has_value() && token->size() == 36);
    const Expected<couchdrop::Token> refused = try_authenticate({"nobody@example.com", PASSWORD}, options);
    CHECK(!refused.has_value());
    CHECK_CODE(CD_ERR_ACCESS_DENIED, refused.error().code());
    CHECK(refused.error().server_message() == "Access denied");
    const Expected<void> connected = try_connect(options);
    CHECK(connected.has_value());
    const Expected<void> unconnected = try_connect(Options().base_url("http://127.0.0.1:1").max_retries(0));
    CHECK(!unconnected.has_value());
    CHECK_CODE(CD_ERR_CONNECT, unconnected.error().code());
}

#else

void expected() {}

#endif

} // namespace

int main() {
    without_options();
    with_options();
    optional_strings();
    paths();
    environments();
    expected();
    return checks_result();
}
