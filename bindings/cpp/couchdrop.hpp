/**
 * @file couchdrop.hpp
 * libcouchdrop for C++17 and later: log in to Couchdrop, the managed file-transfer service.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 *     const auto token = couchdrop::authenticate("ada@example.com", password);
 *     // send token.view() in the request header COUCHDROP_TOKEN_HEADER
 *
 * Or with settings, a time limit, and errors as values in place of exceptions:
 *
 *     const auto options = couchdrop::Options().max_retries(2).ca_file("/etc/acme/ca.pem");
 *     auto result = couchdrop::try_authenticate({username, password}, options, 5s);
 *     if (!result)
 *         std::cerr << result.error().what() << '\n';
 *
 * The library is header-only and uses the C interface of couchdrop.h. Link with the output of
 * `pkg-config --libs couchdrop`.
 *
 * Without exceptions (-fno-exceptions) only the functions that do not throw are declared: the try_
 * functions, and Session::try_create() in place of its constructor. A setter of Options that fails
 * changes nothing, and Options::error() returns the first such failure. Every call with these
 * options returns it too, and sends nothing.
 *
 * String arguments (StringArg) are UTF-8 of at most 64 KiB. A string that contains a NUL fails with
 * CD_ERR_INVALID_UTF8, because C would truncate it there. A null `const char *`, for instance from
 * std::getenv(), fails with CD_ERR_NULL_ARGUMENT. The library receives a copy, which is wiped. The
 * caller wipes its own string (cd_secure_zero()).
 *
 * Duration arguments have any std::chrono type. They are converted to milliseconds and rounded up.
 * A duration out of range fails with CD_ERR_OUT_OF_RANGE.
 *
 * A program that runs longer than a token is valid uses a Session, which logs in again when needed:
 *
 *     const couchdrop::Session session(options, {username, password});
 *     auto token = session.token();
 *     // after a request with this token was refused with 401 or 403:
 *     auto renewed = session.renew(token);
 *
 * Threads: authenticate(), connect() and their try_ forms may run on any number of threads at once,
 * with the same Options and CancelSource. Each class documents its other thread rules.
 *
 * Binary compatibility: every type is the same in C++17, 20 and 23, so files built for different
 * standards may exchange these types. A newer standard adds only functions. A program may contain
 * files built with and without exceptions, but they cannot exchange these types: the linker reports
 * an undefined reference.
 */

#ifndef COUCHDROP_HPP
#define COUCHDROP_HPP

/** The C++ standard in use; undefined at the end of this header. */
#if defined(_MSVC_LANG) // MSVC may define __cplusplus as 199711L for every standard
#define COUCHDROP_STANDARD _MSVC_LANG
#else
#define COUCHDROP_STANDARD __cplusplus
#endif
#if COUCHDROP_STANDARD < 201703L
#error "couchdrop.hpp needs C++17 or later: compile with -std=c++17, or use couchdrop.h."
#else

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <iosfwd>
#include <memory>
#include <new>
#include <optional>
#include <ratio>
#include <string_view>
#include <type_traits>
#include <utility>

#if COUCHDROP_STANDARD >= 202002L
#include <version>
#endif
#if defined(__cpp_lib_jthread)
#include <concepts>
#include <stop_token>
#endif

#include "couchdrop.h"

/** Keeps exceptions catchable across shared libraries built with -fvisibility=hidden. */
#if defined(__GNUC__) || defined(__clang__)
#define COUCHDROP_VISIBLE __attribute__((visibility("default")))
#else
#define COUCHDROP_VISIBLE
#endif

#if defined(__cpp_exceptions) || defined(_CPPUNWIND)
/** 1 if exceptions are enabled. Functions that throw are declared only then. */
#define COUCHDROP_EXCEPTIONS 1
/** The inline namespace. Without exceptions definitions differ, so they need other linker names. */
#define COUCHDROP_NAMESPACE v1
#else
#define COUCHDROP_EXCEPTIONS 0
#if defined(__GNUC__) || defined(__clang__) // the tag covers functions that only return such a type
#define COUCHDROP_NAMESPACE v1_no_exceptions __attribute__((abi_tag("no_exceptions")))
#else
#define COUCHDROP_NAMESPACE v1_no_exceptions
#endif
#endif

namespace couchdrop {
/** Part of every linker name. A new layout gets a new number. */
inline namespace COUCHDROP_NAMESPACE {

/** Not for callers. */
namespace detail {

struct Deleter {
    void operator()(cd_options *options) const noexcept { cd_options_free(options); }
    void operator()(cd_cancel *cancel) const noexcept { cd_cancel_free(cancel); }
    void operator()(cd_token *token) const noexcept { cd_token_free(token); }
    void operator()(cd_session *session) const noexcept { cd_session_free(session); }
};

/** The message of an Error that this header creates: a string literal. */
struct StaticMessage {
    const char *text;
};

/** A reference-counted cd_error. std::shared_ptr throws if it cannot allocate its counter. */
class SharedError {
  public:
    SharedError() noexcept = default;
    /** Takes ownership of `error`. If it cannot allocate the counter, it frees `error`. */
    explicit SharedError(cd_error *error) noexcept {
        if (error == nullptr)
            return;
        shared_ = new (std::nothrow) ControlBlock{error, {1}};
        if (shared_ == nullptr)
            cd_error_free(error);
    }
    SharedError(const SharedError &other) noexcept : shared_(other.shared_) {
        if (shared_ != nullptr)
            shared_->count.fetch_add(1, std::memory_order_relaxed);
    }
    SharedError(SharedError &&other) noexcept : shared_(std::exchange(other.shared_, nullptr)) {}
    SharedError &operator=(SharedError other) noexcept {
        std::swap(shared_, other.shared_);
        return *this;
    }
    ~SharedError() {
        if (shared_ == nullptr || shared_->count.fetch_sub(1, std::memory_order_acq_rel) != 1)
            return;
        cd_error_free(shared_->error);
        delete shared_;
    }

    /** NULL if there is no error object. */
    const cd_error *get() const noexcept { return shared_ != nullptr ? shared_->error : nullptr; }

  private:
    struct ControlBlock {
        cd_error *error;
        std::atomic<std::size_t> count;
    };
    ControlBlock *shared_ = nullptr;
};

/** A value above the range of every setting: the library rejects it and returns the reason. */
inline constexpr std::uint32_t out_of_range = UINT32_MAX;

/** Rounds up to milliseconds; `out_of_range` if the duration is negative or does not fit. */
template <class Rep, class Period>
std::uint32_t ceil_ms(std::chrono::duration<Rep, Period> duration) noexcept {
    // No duration overflows a double, and a double is exact for every value in range.
    const double ms = std::chrono::duration<double, std::milli>(duration).count();
    if (!(ms >= 0 && ms < out_of_range))
        return out_of_range;
    const auto whole = static_cast<std::uint32_t>(ms);
    return whole < ms ? whole + 1 : whole;
}

} // namespace detail

/**
 * The failure of one call: authenticate() and connect() throw it, and a Result holds it.
 *
 * An immutable snapshot. It contains neither the password nor a token, and contains the user name
 * only if the server's message does. Copying is cheap and never throws. Copies share their strings,
 * which are valid until the last copy is destroyed. Any thread may read it.
 */
class COUCHDROP_VISIBLE Error : public std::exception {
  public:
    /**
     * Takes the code that a function of couchdrop.h returned and the object that it stored in its
     * `cd_error **`. Takes ownership of `error`. If it is NULL, the message is that of the code.
     */
    explicit Error(cd_code code, cd_error *error = nullptr) noexcept
        : code_(code), snapshot_(error), message_{cd_code_message(code)} {}

    /** Not for callers. */
    Error(cd_code code, detail::StaticMessage message) noexcept : code_(code), message_(message) {}

    /** The library's message: English sentences in UTF-8. It does not quote the server. */
    const char *what() const noexcept override {
        return snapshot_.get() != nullptr ? cd_error_message(snapshot_.get()) : message_.text;
    }

    /**
     * The reason for the failure: one of the CD_ERR_ values. Its category is `code() / 1000`. Later
     * versions may add values, so a switch needs a default.
     */
    cd_code code() const noexcept { return code_; }

    /** The name of the code, for instance "CD_ERR_TIMEOUT": a static string. */
    const char *name() const noexcept { return cd_code_name(code_); }

    /**
     * True if the same call may succeed later without any change. For CD_ERR_PROXY this depends on
     * the proxy's response. The library has already made its own retries, so wait before you call
     * again.
     */
    bool is_retryable() const noexcept {
        return snapshot_.get() != nullptr ? cd_error_is_retryable(snapshot_.get()) != 0
                                          : cd_code_is_retryable(code_) != 0;
    }

    /** The HTTP status of the last response (for CD_ERR_PROXY the proxy's); 0 = no response. */
    int http_status() const noexcept { return cd_error_http_status(snapshot_.get()); }

    /**
     * The message that the server sent with its refusal; empty if there is no message that may be
     * shown. Display it, but do not parse it. Valid as long as this error or a copy of it.
     */
    std::string_view server_message() const noexcept {
        const char *message = cd_error_server_message(snapshot_.get());
        return message != nullptr ? std::string_view(message) : std::string_view();
    }

    /** The delay that the last response requested (`Retry-After`), if any. */
    std::optional<std::chrono::seconds> retry_after() const noexcept {
        const std::int64_t seconds = cd_error_retry_after_seconds(snapshot_.get());
        return seconds >= 0 ? std::optional(std::chrono::seconds(seconds)) : std::nullopt;
    }

    /** The number of requests sent: a request counts once its first byte is written. */
    std::uint32_t attempts() const noexcept { return cd_error_attempts(snapshot_.get()); }

  private:
    cd_code code_;
    detail::SharedError snapshot_;
    detail::StaticMessage message_;
};

/**
 * The type of string parameters. It converts from a `const char *` (which may be null), a
 * std::string, or anything else that converts to std::string_view. It also converts from a
 * std::optional of these, and is null if that is empty.
 *
 * Does not own its characters: the caller's string must outlive the call.
 */
class StringArg {
  public:
    /** Empty, but not null. */
    StringArg() noexcept = default;

    /** Null if `text` is null. */
    StringArg(const char *text) noexcept
        : view_(text != nullptr ? std::string_view(text) : std::string_view()) {}

    /** Null. */
    StringArg(std::nullopt_t) noexcept : StringArg(static_cast<const char *>(nullptr)) {}

    /** Null if `text` is empty; otherwise converts its value, which may be null. */
    template <class S, std::enable_if_t<std::is_convertible_v<const S &, StringArg>, int> = 0>
    StringArg(const std::optional<S> &text)
        : StringArg(text ? StringArg(*text) : StringArg(std::nullopt)) {}

    /** From anything that converts to std::string_view; never null. */
    template <class S, std::enable_if_t<std::is_convertible_v<const S &, std::string_view> &&
                                            !std::is_convertible_v<const S &, const char *>,
                                        int> = 0>
    StringArg(const S &text) : StringArg(static_cast<std::string_view>(text), NotNull()) {}

    /** True if it was created from a null pointer or an empty std::optional. */
    bool is_null() const noexcept { return view_.data() == nullptr; }

    /** The characters; empty if it is null. */
    std::string_view view() const noexcept { return view_; }

  private:
    struct NotNull {};
    // The data() of an empty view may be null.
    StringArg(std::string_view text, NotNull) noexcept
        : view_(text.data() != nullptr ? text : "") {}

    std::string_view view_ = ""; // its data() is null if the argument is null
};

/** The former name of StringArg. */
using Text = StringArg;

namespace detail {

/** A NUL-terminated copy of a string argument for C; NULL if it is null. Wiped when destroyed. */
class CString {
  public:
    /** `nul_message` is the error message for a string that contains a NUL. */
    CString(StringArg argument, StaticMessage nul_message) noexcept
        : size_(argument.view().size()) {
        if (argument.is_null())
            return;
        const std::string_view text = argument.view();
        if (text.find('\0') != std::string_view::npos) {
            error_ = Error(CD_ERR_INVALID_UTF8, nul_message);
            return;
        }
        copy_.reset(new (std::nothrow) char[size_ + 1]);
        if (copy_ == nullptr) {
            error_ = Error(CD_ERR_RESOURCES);
            return;
        }
        text.copy(copy_.get(), size_);
        copy_[size_] = '\0';
    }
    CString(const CString &) = delete;
    CString &operator=(const CString &) = delete;
    ~CString() {
        if (copy_ != nullptr)
            cd_secure_zero(copy_.get(), size_);
    }

    /** The reason why the string cannot be passed to C; its code is CD_OK if it can. */
    const Error &error() const noexcept { return error_; }
    const char *c_str() const noexcept { return copy_.get(); }

  private:
    std::size_t size_;
    std::unique_ptr<char[]> copy_;
    Error error_{CD_OK};
};

/** True for std::filesystem::path and for classes with the same members. */
template <class P, class = void> struct is_path : std::false_type {};
template <class P>
struct is_path<P, std::void_t<typename P::value_type, decltype(std::declval<const P &>().native()),
                              decltype(std::declval<const P &>().u8string())>> : std::true_type {};

/** True if E is std::expected<T, Error> or a class with the same members. */
template <class E, class T, class = void> struct is_expected : std::false_type {};
template <class E, class T>
struct is_expected<E, T, std::void_t<typename E::unexpected_type>>
    : std::conjunction<std::is_same<typename E::value_type, T>,
                       std::is_same<typename E::error_type, Error>> {};

} // namespace detail

/**
 * The result of a call that does not throw: a T or an Error.
 *
 * It is the same type in every standard. An rvalue (`std::move(result)` or a call's return value)
 * converts to `std::expected<T, couchdrop::Error>` if the standard library has that type:
 *
 *     std::expected<couchdrop::Token, couchdrop::Error> e = couchdrop::try_authenticate(…);
 *
 * Not thread-safe.
 */
template <class T> class [[nodiscard]] Result {
  public:
    using value_type = T;     ///< the type of the value
    using error_type = Error; ///< the type of the error

    /** A success. */
    Result(T value) noexcept : value_(std::move(value)) {}
    /** A failure; the code is not CD_OK. */
    Result(Error error) noexcept : error_(std::move(error)) {}

    /** True if there is a value. */
    bool has_value() const noexcept { return value_.has_value(); }
    /** The same as has_value(). */
    explicit operator bool() const noexcept { return has_value(); }

#if COUCHDROP_EXCEPTIONS
    /** Returns the value, or throws the Error if there is no value. */
    T &value() & {
        if (!value_)
            throw error_;
        return *value_;
    }
    /** The same for a const Result. */
    const T &value() const & {
        if (!value_)
            throw error_;
        return *value_;
    }
    /** The same for an rvalue. */
    T &&value() && {
        if (!value_)
            throw error_;
        return *std::move(value_);
    }
#endif

    /** The value. Undefined behavior if there is no value. */
    T &operator*() &noexcept { return *value_; }
    /** The same for a const Result. */
    const T &operator*() const &noexcept { return *value_; }
    /** The same for an rvalue. */
    T &&operator*() &&noexcept { return *std::move(value_); }
    /** A member of the value. Undefined behavior if there is no value. */
    T *operator->() noexcept { return &*value_; }
    /** The same for a const Result. */
    const T *operator->() const noexcept { return &*value_; }

    /** The error; its code is CD_OK after a success. */
    const Error &error() const noexcept { return error_; }

    /** Converts an rvalue to std::expected. */
    template <class E, std::enable_if_t<detail::is_expected<E, T>::value, int> = 0>
    operator E() && {
        if (value_)
            return E(*std::move(value_));
        return E(typename E::unexpected_type(error_));
    }

  private:
    std::optional<T> value_;
    Error error_{CD_OK};
};

/** The result of a call that returns no value but may fail. */
template <> class [[nodiscard]] Result<void> {
  public:
    using value_type = void;  ///< there is no value
    using error_type = Error; ///< the type of the error

    Result() noexcept = default;
    /** A failure; the code is not CD_OK. */
    Result(Error error) noexcept : error_(std::move(error)) {}

    /** True if the call succeeded. */
    bool has_value() const noexcept { return error_.code() == CD_OK; }
    /** The same as has_value(). */
    explicit operator bool() const noexcept { return has_value(); }

#if COUCHDROP_EXCEPTIONS
    /** Throws the Error if the call failed. */
    void value() const {
        if (!has_value())
            throw error_;
    }
#endif

    /** The error; its code is CD_OK after a success. */
    const Error &error() const noexcept { return error_; }

    /** Converts an rvalue to std::expected. */
    template <class E, std::enable_if_t<detail::is_expected<E, void>::value, int> = 0>
    operator E() && {
        if (has_value())
            return E();
        return E(typename E::unexpected_type(error_));
    }

  private:
    Error error_{CD_OK};
};

/**
 * A token: a secret of printable ASCII. The destructor wipes it.
 *
 * It can be moved, but not copied or printed. Send it in the request header named
 * COUCHDROP_TOKEN_HEADER, over https, and only to the service. Any thread may read it, several at
 * once.
 */
class [[nodiscard]] Token {
  public:
    /** Takes ownership of the token that a function of couchdrop.h stored in its `cd_token **`. */
    explicit Token(cd_token *token) noexcept : handle_(token) {}

    /**
     * The characters, followed by a NUL that is not counted; empty after a move. The token owns
     * them and wipes them. The caller wipes its own copies (cd_secure_zero()).
     */
    std::string_view view() const &noexcept {
        return handle_ ? std::string_view(c_str(), size()) : std::string_view("");
    }
    std::string_view view() const && = delete;

    /** The same as a NUL-terminated string. */
    const char *c_str() const &noexcept { return handle_ ? cd_token_str(handle_.get()) : ""; }
    const char *c_str() const && = delete;

    /** The number of characters; 0 after a move. */
    std::size_t size() const noexcept { return cd_token_len(handle_.get()); }

    /** For functions of couchdrop.h. This object keeps ownership. NULL after a move. */
    const cd_token *get() const noexcept { return handle_.get(); }

  private:
    std::unique_ptr<cd_token, detail::Deleter> handle_;
};

/** Deleted, so that a token is not printed by mistake. Token::view() gives the characters. */
template <class Char, class Traits>
std::basic_ostream<Char, Traits> &operator<<(std::basic_ostream<Char, Traits> &,
                                             const Token &) = delete;

/** The arguments of a login. Refers to the caller's strings, which must outlive the call. */
struct Credentials {
    /** UTF-8, neither null nor empty. */
    StringArg username;
    /** UTF-8, neither null nor empty. */
    StringArg password;
    /** The name of the program or system that logs in; empty or null = none. */
    StringArg system = {};
};

/** Deleted, so that a password is not printed by mistake. */
template <class Char, class Traits>
std::basic_ostream<Char, Traits> &operator<<(std::basic_ostream<Char, Traits> &,
                                             const Credentials &) = delete;

/** The encoding of a login. */
enum class BodyFormat : std::int32_t {
    automatic = CD_BODY_AUTO, ///< a form; then JSON if the service rejects the form's encoding
    form = CD_BODY_FORM,      ///< only `application/x-www-form-urlencoded`
    json = CD_BODY_JSON,      ///< only `application/json`
};

/** The level of a log message. Each level includes those above it. */
enum class LogLevel : std::int32_t {
    error = CD_LOG_ERROR, ///< a login failed and was not cancelled
    warn = CD_LOG_WARN,   ///< a problem for the administrator; a retry and its reason
    info = CD_LOG_INFO,   ///< a login succeeded or was cancelled
    debug = CD_LOG_DEBUG, ///< each phase with its duration, addresses, and connections
};

/**
 * The settings of calls, and the connections kept for the next login.
 *
 * Options can be moved but not copied, and must outlive the calls that use them. Set them up on one
 * thread; after that any number of threads may use them. The first call freezes them. Moved-from
 * options fail with CD_ERR_NULL_ARGUMENT and are never taken for the defaults.
 *
 * A setter copies its argument and returns the options, so that calls can be chained. A setter of a
 * temporary returns the options by value, so that no reference to the temporary remains:
 *
 *     const auto options = couchdrop::Options().timeout(10s).max_retries(2);
 *
 * It throws an Error for a bad argument, and one with CD_ERR_OPTIONS_IN_USE after the first call
 * that used the options. A setter that throws changes nothing.
 *
 * Without exceptions a failed setter stores its Error, and error() returns the first one.
 */
class Options {
  public:
    /** Receives one line of UTF-8 without secrets. The line is valid during the call. */
    using Logger = std::function<void(LogLevel level, std::string_view message)>;

    /**
     * The defaults: the real service, 30 s for a whole call, 10 s to connect, 4 retries with a
     * back-off of 1 s to 8 s, the environment's proxy, the system's trust store, responses of at
     * most 64 KiB, no logger. The first call reads the environment with std::getenv(), unless
     * environment() was called.
     */
    Options() noexcept : handle_(cd_options_new()) {}

    /**
     * Sets the URL of the service: `https://HOST[:PORT][/PREFIX]`. Plain `http` is allowed only for
     * loopback addresses. Throws CD_ERR_INVALID_URL or CD_ERR_INSECURE_URL.
     */
    Options &base_url(StringArg url) & {
        return set_string(cd_options_set_base_url,
                          detail::CString(url, {"The base URL contains a NUL."}));
    }

    /** Sets the encoding of a login. The default is BodyFormat::automatic. */
    Options &body_format(BodyFormat format) & {
        return set(cd_options_set_body_format, static_cast<std::int32_t>(format));
    }

    /**
     * Sets the time limit of a whole call with its retries: 1 ms to 1 hour. The default is 30 s.
     * Throws CD_ERR_OUT_OF_RANGE.
     */
    template <class Rep, class Period>
    Options &timeout(std::chrono::duration<Rep, Period> duration) & {
        return set(cd_options_set_timeout_ms, detail::ceil_ms(duration));
    }

    /**
     * Sets the time limit for name lookup, connecting and handshakes of one attempt: 1 ms to
     * 1 hour. The default is 10 s. Throws CD_ERR_OUT_OF_RANGE.
     */
    template <class Rep, class Period>
    Options &connect_timeout(std::chrono::duration<Rep, Period> duration) & {
        return set(cd_options_set_connect_timeout_ms, detail::ceil_ms(duration));
    }

    /**
     * Sets the maximum number of retries: 0 to 10. The default is 4. A login is retried after a
     * response of 429, 500, 502, 503 or 504, or if a connection could not be made. Throws
     * CD_ERR_OUT_OF_RANGE.
     */
    Options &max_retries(std::int64_t count) & {
        const bool fits = count >= 0 && count < detail::out_of_range;
        return set(cd_options_set_max_retries,
                   fits ? static_cast<std::uint32_t>(count) : detail::out_of_range);
    }

    /**
     * Sets the back-off. Each wait is random, uniform between 0 and a window. The window doubles
     * from `first` to `max` (both 0 to 1 hour, `first` not above `max`). The defaults are 1 s and
     * 8 s. Throws CD_ERR_OUT_OF_RANGE.
     */
    template <class Rep1, class Period1, class Rep2, class Period2>
    Options &backoff(std::chrono::duration<Rep1, Period1> first,
                     std::chrono::duration<Rep2, Period2> max) & {
        return set(cd_options_set_backoff_ms, detail::ceil_ms(first), detail::ceil_ms(max));
    }

    /**
     * Sets the proxy: `[http://][USER:PASSWORD@]HOST[:PORT]`, or the same with `socks5://` (this
     * machine looks up names) or `socks5h://` (the proxy looks up names). By default the
     * environment selects the proxy. no_proxy() disables it; null fails with CD_ERR_NULL_ARGUMENT.
     * Throws CD_ERR_INVALID_URL, or CD_ERR_INSECURE_URL if the base URL is plain http.
     */
    Options &proxy(StringArg url) & {
        if (url.is_null()) // in C, NULL means no proxy
            return fail(Error(CD_ERR_NULL_ARGUMENT, {"The proxy URL must not be null."}));
        return set_string(cd_options_set_proxy,
                          detail::CString(url, {"The proxy URL contains a NUL."}));
    }

    /** Disables the proxy and ignores the environment's. */
    Options &no_proxy() & { return set(cd_options_set_proxy, static_cast<const char *>(nullptr)); }

    /**
     * Sets a file of CA certificates (PEM) to trust in place of the system's. The file is read
     * immediately. The path is UTF-8. Throws CD_ERR_CA_FILE.
     */
    Options &ca_file(StringArg path) & {
        return set_string(cd_options_set_ca_file,
                          detail::CString(path, {"The path of the CA file contains a NUL."}));
    }

    /** The same for a std::filesystem::path or a class with the same members. */
    template <class Path, std::enable_if_t<detail::is_path<Path>::value, int> = 0>
    Options &ca_file(const Path &path) & {
        if constexpr (std::is_same_v<typename Path::value_type, char>) {
            return ca_file(StringArg(path.native()));
        } else {
            const auto text = path.u8string(); // char in C++17, char8_t from C++20 on
            return ca_file(
                std::string_view(reinterpret_cast<const char *>(text.data()), text.size()));
        }
    }

    /**
     * Sets the value of an environment variable: HTTPS_PROXY, ALL_PROXY or NO_PROXY, in upper or
     * lower case, SSL_CERT_FILE or SSL_CERT_DIR. Null or an empty std::optional = unset. After the
     * first call of this function, these options do not read the process's environment. Variables
     * that were not set here count as unset.
     *
     * Without this function the first call reads the environment with std::getenv(). That is a data
     * race with setenv() on another thread and can crash the process. A program that changes its
     * environment while threads run reads the values before, and passes them here:
     *
     *     options.environment("HTTPS_PROXY", proxy).environment("NO_PROXY", nullptr);
     *
     * The first call checks the value. Throws CD_ERR_OUT_OF_RANGE for another name.
     */
    Options &environment(StringArg name, StringArg value) & {
        const detail::CString c_name(name, {"The name of the variable contains a NUL."});
        const detail::CString c_value(value, {"The value of the variable contains a NUL."});
        for (const detail::CString *argument : {&c_name, &c_value})
            if (argument->error().code() != CD_OK)
                return fail(argument->error());
        return set(cd_options_set_environment, c_name.c_str(), c_value.c_str());
    }

    /**
     * Sets the product before the library's name in the User-Agent header, such as "acme/2.1".
     * Throws CD_ERR_OUT_OF_RANGE for control characters.
     */
    Options &user_agent(StringArg product) & {
        return set_string(cd_options_set_user_agent,
                          detail::CString(product, {"The user agent contains a NUL."}));
    }

    /**
     * Sets the maximum size of a response body: 1024 to 16777216 bytes. The default is 65536.
     * Throws CD_ERR_OUT_OF_RANGE.
     */
    Options &max_response_bytes(std::size_t bytes) & {
        return set(cd_options_set_max_response_bytes, bytes);
    }

    /**
     * Sets the function that receives log messages up to `max_level`; an empty function = none. The
     * options own it. It runs only on threads that are inside a call with these options, perhaps on
     * several at once. It must neither set nor destroy these options. Its exceptions are dropped.
     * Throws CD_ERR_OUT_OF_RANGE for a level that LogLevel does not have.
     */
    Options &logger(Logger function, LogLevel max_level = LogLevel::info) & {
        auto logger = function ? std::make_unique<Logger>(std::move(function)) : nullptr;
        Error error =
            call_setter(cd_options_set_logger, logger ? &forward_log : nullptr,
                        static_cast<void *>(logger.get()), static_cast<std::int32_t>(max_level));
        if (error.code() != CD_OK)
            return fail(std::move(error)); // the library still uses the previous logger_
        logger_ = std::move(logger);
        return *this;
    }

    // C++17 cannot deduce the value category of *this, so each setter needs an overload for
    // temporaries. With one overload, `Options &` would let `auto &o = Options().timeout(5s)`
    // dangle, and `Options` would move out of named options.
    /// @cond
    Options base_url(StringArg url) && { return std::move(base_url(url)); }
    Options body_format(BodyFormat format) && { return std::move(body_format(format)); }
    template <class Rep, class Period>
    Options timeout(std::chrono::duration<Rep, Period> duration) && {
        return std::move(timeout(duration));
    }
    template <class Rep, class Period>
    Options connect_timeout(std::chrono::duration<Rep, Period> duration) && {
        return std::move(connect_timeout(duration));
    }
    Options max_retries(std::int64_t count) && { return std::move(max_retries(count)); }
    template <class Rep1, class Period1, class Rep2, class Period2>
    Options backoff(std::chrono::duration<Rep1, Period1> first,
                    std::chrono::duration<Rep2, Period2> max) && {
        return std::move(backoff(first, max));
    }
    Options proxy(StringArg url) && { return std::move(proxy(url)); }
    Options no_proxy() && { return std::move(no_proxy()); }
    Options ca_file(StringArg path) && { return std::move(ca_file(path)); }
    template <class Path, std::enable_if_t<detail::is_path<Path>::value, int> = 0>
    Options ca_file(const Path &path) && {
        return std::move(ca_file(path));
    }
    Options environment(StringArg name, StringArg value) && {
        return std::move(environment(name, value));
    }
    Options user_agent(StringArg product) && { return std::move(user_agent(product)); }
    Options max_response_bytes(std::size_t bytes) && {
        return std::move(max_response_bytes(bytes));
    }
    Options logger(Logger function, LogLevel max_level = LogLevel::info) && {
        return std::move(logger(std::move(function), max_level));
    }
    /// @endcond

#if !COUCHDROP_EXCEPTIONS
    /** Without exceptions only: the first failure of a setter, or CD_OK if none failed. */
    const Error &error() const noexcept { return error_; }
#endif

    /** For functions of couchdrop.h. This object keeps ownership. NULL after a move. */
    cd_options *get() const noexcept { return handle_.get(); }

  private:
    Options &fail(Error error) {
#if COUCHDROP_EXCEPTIONS
        throw error;
#else
        if (error_.code() == CD_OK)
            error_ = std::move(error);
        return *this;
#endif
    }

    template <class Setter, class... Values>
    Error call_setter(Setter setter, Values... values) noexcept {
        cd_error *error = nullptr;
        const cd_code code = setter(handle_.get(), values..., &error);
        return Error(code, error);
    }
    template <class Setter, class... Values> Options &set(Setter setter, Values... values) {
        Error error = call_setter(setter, values...);
        return error.code() == CD_OK ? *this : fail(std::move(error));
    }
    template <class Setter> Options &set_string(Setter setter, const detail::CString &text) {
        return text.error().code() == CD_OK ? set(setter, text.c_str()) : fail(text.error());
    }

    static void forward_log(void *user_data, std::int32_t level, const char *message) noexcept {
        const Logger &function = *static_cast<const Logger *>(user_data);
#if COUCHDROP_EXCEPTIONS
        try {
            function(static_cast<LogLevel>(level), message);
        } catch (...) { // an exception must not unwind through the library
        }
#else
        function(static_cast<LogLevel>(level), message);
#endif
    }

    std::unique_ptr<Logger> logger_; // before the handle that uses it, so destroyed after it
    std::unique_ptr<cd_options, detail::Deleter> handle_;
#if !COUCHDROP_EXCEPTIONS
    Error error_{CD_OK};
#endif
};

/**
 * Lets another thread or a signal handler stop logins.
 *
 * It can be moved but not copied, and must outlive the calls, threads and handlers that use it.
 * Many calls may use the same source. Triggering is sticky: a call with a triggered source fails
 * with CD_ERR_CANCELLED and sends nothing. A moved-from source fails with CD_ERR_NULL_ARGUMENT.
 */
class CancelSource {
  public:
    /** Called while a call waits. Returns true to stop that call. */
    using Check = std::function<bool()>;

    CancelSource() noexcept : handle_(cd_cancel_new()) {}

    /**
     * Sets a function that each call runs on its own thread: whenever a signal interrupts its wait,
     * and at least every 50 ms while it waits. If it returns true or throws, only that call stops.
     * The exception is dropped. For programs that must do other work while a login waits.
     */
    explicit CancelSource(Check check) : CancelSource() {
        if (check) {
            check_ = std::make_unique<Check>(std::move(check));
            cd_cancel_set_check(handle_.get(), &run_check, check_.get());
        }
    }

    /**
     * Stops present and later calls that use this source. Each returns within 50 ms. Any thread or
     * signal handler may call it, more than once. It preserves errno.
     */
    void trigger() noexcept { cd_cancel_trigger(handle_.get()); }

    /** True if it was triggered. Any thread may call it. */
    bool is_triggered() const noexcept { return cd_cancel_is_triggered(handle_.get()) != 0; }

    /** For functions of couchdrop.h. This object keeps ownership. NULL after a move. */
    cd_cancel *get() const noexcept { return handle_.get(); }

  private:
    static std::int32_t run_check(void *user_data) noexcept {
        const Check &function = *static_cast<const Check *>(user_data);
#if COUCHDROP_EXCEPTIONS
        try {
            return function() ? 1 : 0;
        } catch (...) { // an exception must not unwind through the library
            return 1;
        }
#else
        return function() ? 1 : 0;
#endif
    }

    std::unique_ptr<Check> check_; // before the handle that uses it, so destroyed after it
    std::unique_ptr<cd_cancel, detail::Deleter> handle_;
};

/** The time limit of one call: 1 ms to 1 hour. The call fails for any other value. */
class Timeout {
  public:
    /** The timeout of the options. */
    Timeout() noexcept = default;

    /** Rounds up to milliseconds. 0 is out of range: it does not mean the options' timeout. */
    template <class Rep, class Period>
    Timeout(std::chrono::duration<Rep, Period> duration) noexcept
        : milliseconds_(detail::ceil_ms(duration)) {
        if (milliseconds_ == 0)
            milliseconds_ = detail::out_of_range;
    }

    /** The value for the functions of couchdrop.h: 0 = the timeout of the options. */
    std::uint32_t milliseconds() const noexcept { return milliseconds_; }

  private:
    std::uint32_t milliseconds_ = 0;
};

/**
 * The options of one call: its timeout and its CancelSource. It converts from `5s`, `cancel` and
 * `{cancel, 5s}`. Does not own the CancelSource, which must outlive the call.
 */
class CallOptions {
  public:
    /** The timeout of the options; no CancelSource. */
    CallOptions() noexcept = default;

    /** `timeout`; no CancelSource. */
    template <class Rep, class Period>
    CallOptions(std::chrono::duration<Rep, Period> timeout) noexcept : timeout_(timeout) {}

    /** `cancel` and `timeout`. */
    CallOptions(const CancelSource &cancel, Timeout timeout = {}) noexcept
        : cancel_(&cancel), timeout_(timeout) {}

    /** The source that may stop the call; null = none. */
    const CancelSource *cancel() const noexcept { return cancel_; }
    /** The time limit of the call. */
    Timeout timeout() const noexcept { return timeout_; }

  private:
    const CancelSource *cancel_ = nullptr;
    Timeout timeout_;
};

/** The former name of CallOptions. */
using Limits = CallOptions;

namespace detail {

/** Rejects a moved-from source: in C its NULL means a call that cannot be cancelled. */
inline Error check_cancel_source(const CallOptions &call) noexcept {
    if (call.cancel() != nullptr && call.cancel()->get() == nullptr)
        return Error(CD_ERR_NULL_ARGUMENT, StaticMessage{"The cancel source was moved from."});
    return Error(CD_OK);
}

/** Rejects options that failed, and moved-from objects: in C their NULL means the defaults. */
inline Error check_objects(const Options &options, const CallOptions &call) noexcept {
    if (options.get() == nullptr)
        return Error(CD_ERR_NULL_ARGUMENT, StaticMessage{"The options were moved from."});
#if !COUCHDROP_EXCEPTIONS
    if (options.error().code() != CD_OK)
        return options.error();
#endif
    return check_cancel_source(call);
}

inline const cd_cancel *cancel_handle(const CallOptions &call) noexcept {
    return call.cancel() != nullptr ? call.cancel()->get() : nullptr;
}

/** Copies of the strings of a login for C. Wiped when destroyed. */
struct CCredentials {
    explicit CCredentials(const Credentials &credentials) noexcept
        : username(credentials.username, {"The user name contains a NUL."}),
          password(credentials.password, {"The password contains a NUL."}),
          system(credentials.system, {"The name of the system contains a NUL."}) {}

    /** The reason why they cannot be passed to C; its code is CD_OK if they can. */
    const Error &error() const noexcept {
        for (const CString *argument : {&username, &password})
            if (argument->error().code() != CD_OK)
                return argument->error();
        return system.error();
    }

    CString username, password, system;
};

/** Calls cd_authenticate_with(). `options` and `cancel` may be NULL, as there. */
inline Result<Token> authenticate_with(const cd_options *options, const cd_cancel *cancel,
                                       Timeout timeout, const Credentials &credentials) noexcept {
    const CCredentials copy(credentials);
    if (copy.error().code() != CD_OK)
        return copy.error();

    cd_token *token = nullptr;
    cd_error *error = nullptr;
    const cd_code code =
        cd_authenticate_with(options, cancel, timeout.milliseconds(), copy.username.c_str(),
                             copy.password.c_str(), copy.system.c_str(), &token, &error);
    if (code != CD_OK)
        return Error(code, error);
    return Token(token);
}

} // namespace detail

/**
 * Logs in as authenticate() does, but returns the Error instead of throwing it.
 */
inline Result<Token> try_authenticate(const Credentials &credentials, const Options &options,
                                      const CallOptions &call = {}) noexcept {
    Error invalid = detail::check_objects(options, call);
    if (invalid.code() != CD_OK)
        return invalid;
    return detail::authenticate_with(options.get(), detail::cancel_handle(call), call.timeout(),
                                     credentials);
}

/** Logs in to the real service with the defaults; otherwise like try_authenticate() above. */
inline Result<Token> try_authenticate(const Credentials &credentials) noexcept {
    return detail::authenticate_with(nullptr, nullptr, {}, credentials);
}

/** The same. */
inline Result<Token> try_authenticate(StringArg username, StringArg password,
                                      StringArg system = {}) noexcept {
    return try_authenticate(Credentials{username, password, system});
}

#if COUCHDROP_EXCEPTIONS

/**
 * Logs in: exchanges a user name and a password for a token.
 *
 * Blocks until the login succeeds, fails, times out or is cancelled. Keeps neither the credentials
 * nor the options. Throws an Error; a code of 2xxx means that nothing was sent.
 */
inline Token authenticate(const Credentials &credentials, const Options &options,
                          const CallOptions &call = {}) {
    return try_authenticate(credentials, options, call).value();
}

/** Logs in to the real service with the defaults; otherwise like authenticate() above. */
inline Token authenticate(const Credentials &credentials) {
    return try_authenticate(credentials).value();
}

/** The same. */
inline Token authenticate(StringArg username, StringArg password, StringArg system = {}) {
    return try_authenticate(username, password, system).value();
}

#endif // COUCHDROP_EXCEPTIONS

/**
 * Connects as connect() does, but returns the Error instead of throwing it.
 */
inline Result<void> try_connect(const Options &options, const CallOptions &call = {}) noexcept {
    Error invalid = detail::check_objects(options, call);
    if (invalid.code() != CD_OK)
        return invalid;
    cd_error *error = nullptr;
    const cd_code code = cd_connect(options.get(), detail::cancel_handle(call),
                                    call.timeout().milliseconds(), &error);
    if (code != CD_OK)
        return Error(code, error);
    return {};
}

#if COUCHDROP_EXCEPTIONS
/**
 * Connects now, so that the next login with these options needs one round trip. Looks up the name,
 * connects (through the proxy if one applies) and finishes the TLS handshake. Sends no credentials.
 *
 * It also shows why a machine cannot reach the service. The default timeout is the connect timeout
 * of the options. Throws the Error that a login would throw if it could not connect.
 */
inline void connect(const Options &options, const CallOptions &call = {}) {
    try_connect(options, call).value();
}
#endif

namespace detail {

/** Triggers a CancelSource when a Stop is requested. Complete only for std::stop_token (C++20). */
template <class Stop> class StopTrigger;

#if defined(__cpp_lib_jthread)
template <> class StopTrigger<std::stop_token> {
  public:
    explicit StopTrigger(std::stop_token stop) noexcept
        : callback_(std::move(stop), Trigger{&cancel_}) {}

    const CancelSource &cancel() const noexcept { return cancel_; }

  private:
    struct Trigger {
        CancelSource *cancel;
        void operator()() const noexcept { cancel->trigger(); }
    };
    CancelSource cancel_; // before the callback that uses it, so destroyed after it
    std::stop_callback<Trigger> callback_;
};
#endif

} // namespace detail

/**
 * Keeps one account logged in: it holds the current token, and logs in again when a new one is
 * needed.
 *
 * - One login at a time. Other threads wait for its result, each within its own CallOptions, and
 *   receive it too.
 * - With a current token a call sends nothing, does not wait and makes no system call.
 * - After a status of 401 or 403 the same error is returned for 60 s, without a request. Otherwise
 *   many workers with a wrong password would lock the account.
 * - After the service's 429 or 503 with `Retry-After`, no login is sent before that time, at most
 *   an hour. A call whose timeout allows it waits. Another fails at once.
 *
 * Lifetime: the session keeps copies of the credentials, which the destructor wipes. It uses the
 * options' handle, so the Options (or the object that they were moved to) must outlive it, and must
 * not be assigned to. Temporary Options are therefore rejected. Destroy or assign a session only
 * when no call uses it. A token that it returned belongs to the caller, and may outlive it.
 *
 * Threads: any number of threads may use a session at once. It can be moved, but not copied, and
 * not while a call uses it. A moved-from session fails with CD_ERR_NULL_ARGUMENT. A child of fork()
 * begins with the parent's token.
 */
class [[nodiscard]] Session {
  public:
#if COUCHDROP_EXCEPTIONS
    /**
     * Makes a session. Sends nothing, but freezes the options. Throws an Error for bad credentials
     * and for a bad variable of the environment (CD_ERR_PROXY, CD_ERR_TLS).
     */
    Session(const Options &options, const Credentials &credentials)
        : Session(try_create(options, credentials).value()) {}

    /** Deleted: temporary options would not outlive the session. */
    Session(const Options &&options, const Credentials &credentials) = delete;
#endif

    /** Makes a session as the constructor does, but returns the Error instead of throwing it. */
    static Result<Session> try_create(const Options &options,
                                      const Credentials &credentials) noexcept {
        Error invalid = detail::check_objects(options, {});
        if (invalid.code() != CD_OK)
            return invalid;
        const detail::CCredentials copy(credentials);
        if (copy.error().code() != CD_OK)
            return copy.error();
        cd_session *session = nullptr;
        cd_error *error = nullptr;
        const cd_code code =
            cd_session_new(options.get(), copy.username.c_str(), copy.password.c_str(),
                           copy.system.c_str(), &session, &error);
        if (code != CD_OK)
            return Error(code, error);
        return Session(session);
    }

    /** Deleted: temporary options would not outlive the session. */
    static Result<Session> try_create(const Options &&options,
                                      const Credentials &credentials) = delete;

    /** Takes ownership of a session of couchdrop.h. */
    explicit Session(cd_session *session) noexcept : handle_(session) {}

    /** Returns a token as token() does, but returns the Error instead of throwing it. */
    Result<Token> try_token(const CallOptions &call = {}) const noexcept {
        return token_with(call, nullptr);
    }

    /** From C++20 on: try_token() that a `std::stop_token` stops, with CD_ERR_CANCELLED. */
    template <class Stop, std::size_t = sizeof(detail::StopTrigger<Stop>)>
    Result<Token> try_token(Stop stop, Timeout timeout = {}) const noexcept {
        const detail::StopTrigger<Stop> trigger(std::move(stop));
        return try_token(CallOptions(trigger.cancel(), timeout));
    }

    /** Renews a token as renew() does, but returns the Error instead of throwing it. */
    Result<Token> try_renew(const Token &rejected, const CallOptions &call = {}) const noexcept {
        if (rejected.get() == nullptr) // in C, NULL means that no token was rejected
            return Error(CD_ERR_NULL_ARGUMENT,
                         detail::StaticMessage{"The rejected token was moved from."});
        return token_with(call, rejected.c_str());
    }

    /** From C++20 on: try_renew() that a `std::stop_token` stops, with CD_ERR_CANCELLED. */
    template <class Stop, std::size_t = sizeof(detail::StopTrigger<Stop>)>
    Result<Token> try_renew(const Token &rejected, Stop stop, Timeout timeout = {}) const noexcept {
        const detail::StopTrigger<Stop> trigger(std::move(stop));
        return try_renew(rejected, CallOptions(trigger.cancel(), timeout));
    }

#if COUCHDROP_EXCEPTIONS
    /**
     * Returns the session's token. Logs in if there is none yet, or if it is older than the maximum
     * age; then it blocks as authenticate() does. Each call returns a Token of its own, with the
     * same characters until the session logs in again.
     *
     * Throws an Error, with the codes of authenticate(). Its attempts() are 0 if this call sent no
     * request. With a triggered CancelSource it fails even if there is a token.
     */
    Token token(const CallOptions &call = {}) const { return try_token(call).value(); }

    /** From C++20 on: token() that a `std::stop_token` stops, with CD_ERR_CANCELLED. */
    template <class Stop, std::size_t = sizeof(detail::StopTrigger<Stop>)>
    Token token(Stop stop, Timeout timeout = {}) const {
        return try_token(std::move(stop), timeout).value();
    }

    /**
     * Returns a token in place of `rejected`, which the service has just refused in another request
     * with a status such as 401 or 403. Throws as token() does.
     *
     * If the session has another token already, it returns that one. If `rejected` is the current
     * token and younger than the minimum age, the refusal is about a permission: it returns the
     * same token and sends nothing. Then pass the refusal on to your caller. `rejected` may be a
     * token of any session; a moved-from one fails with CD_ERR_NULL_ARGUMENT.
     */
    Token renew(const Token &rejected, const CallOptions &call = {}) const {
        return try_renew(rejected, call).value();
    }

    /** From C++20 on: renew() that a `std::stop_token` stops, with CD_ERR_CANCELLED. */
    template <class Stop, std::size_t = sizeof(detail::StopTrigger<Stop>)>
    Token renew(const Token &rejected, Stop stop, Timeout timeout = {}) const {
        return try_renew(rejected, std::move(stop), timeout).value();
    }
#endif

    /**
     * Returns the current token. Never waits and never logs in: empty if token() would, or if this
     * session was moved from.
     */
    std::optional<Token> peek() const noexcept {
        cd_token *token = nullptr;
        if (cd_session_peek(handle_.get(), &token, nullptr) != CD_OK || token == nullptr)
            return std::nullopt;
        return Token(token);
    }

    /**
     * Sets the maximum age of a token, counted from the response: an older one is replaced before
     * its next use. 0 = no maximum (the default). Time in suspend counts. At most 4294967295 s;
     * another value changes nothing and fails with CD_ERR_OUT_OF_RANGE. Any thread may call it, at
     * any time.
     */
    Result<void> try_set_max_age(std::chrono::seconds age) noexcept {
        return set_age(cd_session_set_max_age_seconds, age, {"The maximum age is out of range."});
    }

    /**
     * Sets the age from which renew() replaces the current token. The default is 60 s. With 0 each
     * renew() of the current token logs in. Range and threads are as for try_set_max_age().
     */
    Result<void> try_set_min_age(std::chrono::seconds age) noexcept {
        return set_age(cd_session_set_min_age_seconds, age, {"The minimum age is out of range."});
    }

#if COUCHDROP_EXCEPTIONS
    /** Sets the maximum age as try_set_max_age() does, but throws the Error. */
    void set_max_age(std::chrono::seconds age) { try_set_max_age(age).value(); }

    /** Sets the minimum age as try_set_min_age() does, but throws the Error. */
    void set_min_age(std::chrono::seconds age) { try_set_min_age(age).value(); }
#endif

    /** For functions of couchdrop.h. This object keeps ownership. NULL after a move. */
    cd_session *get() const noexcept { return handle_.get(); }

  private:
    static Error moved_from() noexcept {
        return Error(CD_ERR_NULL_ARGUMENT, detail::StaticMessage{"The session was moved from."});
    }

    /** Calls cd_session_token(). `rejected` may be NULL, as there. */
    Result<Token> token_with(const CallOptions &call, const char *rejected) const noexcept {
        if (handle_ == nullptr)
            return moved_from();
        Error invalid = detail::check_cancel_source(call);
        if (invalid.code() != CD_OK)
            return invalid;
        cd_token *token = nullptr;
        cd_error *error = nullptr;
        const cd_code code =
            cd_session_token(handle_.get(), detail::cancel_handle(call),
                             call.timeout().milliseconds(), rejected, &token, &error);
        if (code != CD_OK)
            return Error(code, error);
        return Token(token);
    }

    template <class Setter>
    Result<void> set_age(Setter setter, std::chrono::seconds age,
                         detail::StaticMessage message) noexcept {
        if (handle_ == nullptr)
            return moved_from();
        if (age.count() < 0 || age.count() > UINT32_MAX)
            return Error(CD_ERR_OUT_OF_RANGE, message);
        cd_error *error = nullptr;
        const cd_code code = setter(handle_.get(), static_cast<std::uint32_t>(age.count()), &error);
        if (code != CD_OK)
            return Error(code, error);
        return {};
    }

    std::unique_ptr<cd_session, detail::Deleter> handle_;
};

#if defined(__cpp_lib_jthread)

/**
 * From C++20 on: try_authenticate() that a `std::stop_token` stops, with CD_ERR_CANCELLED. It is a
 * template so that `{}` still means CallOptions.
 */
template <std::same_as<std::stop_token> Stop>
Result<Token> try_authenticate(const Credentials &credentials, const Options &options, Stop stop,
                               Timeout timeout = {}) noexcept {
    CancelSource cancel;
    const std::stop_callback trigger(std::move(stop), [&cancel]() noexcept { cancel.trigger(); });
    return try_authenticate(credentials, options, CallOptions(cancel, timeout));
}

/** From C++20 on: try_connect() that a `std::stop_token` stops, with CD_ERR_CANCELLED. */
template <std::same_as<std::stop_token> Stop>
Result<void> try_connect(const Options &options, Stop stop, Timeout timeout = {}) noexcept {
    CancelSource cancel;
    const std::stop_callback trigger(std::move(stop), [&cancel]() noexcept { cancel.trigger(); });
    return try_connect(options, CallOptions(cancel, timeout));
}

#if COUCHDROP_EXCEPTIONS

/** From C++20 on: authenticate() that a `std::stop_token` stops, with CD_ERR_CANCELLED. */
template <std::same_as<std::stop_token> Stop>
Token authenticate(const Credentials &credentials, const Options &options, Stop stop,
                   Timeout timeout = {}) {
    return try_authenticate(credentials, options, std::move(stop), timeout).value();
}

/** From C++20 on: connect() that a `std::stop_token` stops, with CD_ERR_CANCELLED. */
template <std::same_as<std::stop_token> Stop>
void connect(const Options &options, Stop stop, Timeout timeout = {}) {
    try_connect(options, std::move(stop), timeout).value();
}

#endif // COUCHDROP_EXCEPTIONS

#endif // __cpp_lib_jthread

} // namespace COUCHDROP_NAMESPACE
} // namespace couchdrop

#undef COUCHDROP_VISIBLE
#undef COUCHDROP_EXCEPTIONS
#undef COUCHDROP_NAMESPACE

#endif // C++17
#undef COUCHDROP_STANDARD

#endif // COUCHDROP_HPP
