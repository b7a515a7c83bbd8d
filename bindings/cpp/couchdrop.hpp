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
 * functions. A setter of Options that fails changes nothing, and Options::error() returns the first
 * such failure. Every call with these options returns it too, and sends nothing.
 *
 * String arguments (Text) are UTF-8 of at most 64 KiB. A string that contains a NUL fails with
 * CD_ERR_INVALID_UTF8, because C would truncate it there. A null `const char *`, for instance from
 * std::getenv(), fails with CD_ERR_NULL_ARGUMENT. The library receives a copy, which is wiped. The
 * caller wipes its own string (cd_secure_zero()).
 *
 * Duration arguments have any std::chrono type. They are converted to milliseconds and rounded up.
 * A duration out of range fails with CD_ERR_OUT_OF_RANGE.
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

struct Free {
    void operator()(cd_options *options) const noexcept { cd_options_free(options); }
    void operator()(cd_cancel *cancel) const noexcept { cd_cancel_free(cancel); }
    void operator()(cd_token *token) const noexcept { cd_token_free(token); }
};

/** The message of an error that this header creates: a static string. */
struct Sentence {
    const char *text;
};

/** A reference-counted cd_error. std::shared_ptr throws when it cannot allocate its counter. */
class SharedError {
  public:
    SharedError() noexcept = default;
    /** Takes ownership of `error`. Frees it if there is no memory for the counter. */
    explicit SharedError(cd_error *error) noexcept {
        if (error == nullptr)
            return;
        shared_ = new (std::nothrow) Counted{error, {1}};
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
    struct Counted {
        cd_error *error;
        std::atomic<std::size_t> count;
    };
    Counted *shared_ = nullptr;
};

/** An integer above the range of every setting: the library rejects it and returns the reason. */
inline constexpr std::uint32_t out_of_range = UINT32_MAX;

template <class Rep, class Period>
std::uint32_t milliseconds(std::chrono::duration<Rep, Period> length) noexcept {
    // No duration overflows a double, and a double is exact for every value in range.
    const double exact = std::chrono::duration<double, std::milli>(length).count();
    if (!(exact >= 0 && exact < out_of_range))
        return out_of_range;
    const auto whole = static_cast<std::uint32_t>(exact);
    return whole < exact ? whole + 1 : whole;
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
        : code_(code), snapshot_(error), sentence_{cd_code_message(code)} {}

    /** Not for callers. */
    Error(cd_code code, detail::Sentence sentence) noexcept : code_(code), sentence_(sentence) {}

    /** The library's message: English sentences in UTF-8. It does not quote the server. */
    const char *what() const noexcept override {
        return snapshot_.get() != nullptr ? cd_error_message(snapshot_.get()) : sentence_.text;
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
    detail::Sentence sentence_;
};

/**
 * A string argument. It converts from a `const char *` (which may be null), a std::string, or
 * anything else that converts to std::string_view. It also converts from a std::optional of these,
 * and is null if that is empty. Refers to the caller's string, which must outlive the call.
 */
class Text {
  public:
    /** Empty, but not null. */
    Text() noexcept = default;

    /** Null if `text` is. */
    Text(const char *text) noexcept
        : view_(text != nullptr ? std::string_view(text) : std::string_view()) {}

    /** Null. */
    Text(std::nullopt_t) noexcept : Text(static_cast<const char *>(nullptr)) {}

    /** Null if `text` is empty; otherwise converts its value, which may be null. */
    template <class S, std::enable_if_t<std::is_convertible_v<const S &, Text>, int> = 0>
    Text(const std::optional<S> &text) : Text(text ? Text(*text) : Text(std::nullopt)) {}

    /** From anything that converts to std::string_view; never null. */
    template <class S, std::enable_if_t<std::is_convertible_v<const S &, std::string_view> &&
                                            !std::is_convertible_v<const S &, const char *>,
                                        int> = 0>
    Text(const S &text) : Text(static_cast<std::string_view>(text), NotNull()) {}

    /** True if it was made from a null pointer or an empty std::optional. */
    bool is_null() const noexcept { return view_.data() == nullptr; }

    /** The characters; empty if it is null. */
    std::string_view view() const noexcept { return view_; }

  private:
    struct NotNull {};
    // An empty view may have a null address.
    Text(std::string_view text, NotNull) noexcept : view_(text.data() != nullptr ? text : "") {}

    std::string_view view_ = ""; // its data() is null if the argument is null
};

namespace detail {

/** A NUL-terminated copy for C, wiped by the destructor. NULL for a null argument. */
class Argument {
  public:
    /** `with_nul` is the error message for a string that contains a NUL. */
    Argument(Text argument, Sentence with_nul) noexcept : size_(argument.view().size()) {
        if (argument.is_null())
            return;
        const std::string_view text = argument.view();
        if (text.find('\0') != std::string_view::npos) {
            error_ = Error(CD_ERR_INVALID_UTF8, with_nul);
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
    Argument(const Argument &) = delete;
    Argument &operator=(const Argument &) = delete;
    ~Argument() {
        if (copy_ != nullptr)
            cd_secure_zero(copy_.get(), size_);
    }

    /** CD_OK, or the reason why the string cannot be passed to C. */
    const Error &error() const noexcept { return error_; }
    const char *c_str() const noexcept { return copy_.get(); }

  private:
    std::size_t size_;
    std::unique_ptr<char[]> copy_;
    Error error_{CD_OK};
};

/** True for std::filesystem::path and classes with the same members. */
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
    /** As has_value(). */
    explicit operator bool() const noexcept { return has_value(); }

#if COUCHDROP_EXCEPTIONS
    /** Returns the value, or throws the Error if there is no value. */
    T &value() & {
        if (!value_)
            throw error_;
        return *value_;
    }
    /** As above. */
    const T &value() const & {
        if (!value_)
            throw error_;
        return *value_;
    }
    /** As above, for an rvalue. */
    T &&value() && {
        if (!value_)
            throw error_;
        return *std::move(value_);
    }
#endif

    /** The value. Undefined behavior if there is no value. */
    T &operator*() &noexcept { return *value_; }
    /** As above. */
    const T &operator*() const &noexcept { return *value_; }
    /** As above, for an rvalue. */
    T &&operator*() &&noexcept { return *std::move(value_); }
    /** A member of the value. Undefined behavior if there is no value. */
    T *operator->() noexcept { return &*value_; }
    /** As above. */
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
    /** As has_value(). */
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
    std::unique_ptr<cd_token, detail::Free> handle_;
};

/** Deleted, so that a token is not printed by mistake. Token::view() gives the characters. */
template <class Char, class Traits>
std::basic_ostream<Char, Traits> &operator<<(std::basic_ostream<Char, Traits> &,
                                             const Token &) = delete;

/** The arguments of a login. Refers to the caller's strings, which must outlive the call. */
struct Credentials {
    /** UTF-8, neither null nor empty. */
    Text username;
    /** UTF-8, neither null nor empty. */
    Text password;
    /** The name of the program or system that logs in; empty or null = none. */
    Text system = {};
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
 * A setter copies its argument and returns the options, so that calls can be chained. It throws an
 * Error for a bad argument, and one with CD_ERR_OPTIONS_IN_USE after the first call that used the
 * options. A setter that throws changes nothing:
 *
 *     const auto options = couchdrop::Options().timeout(10s).max_retries(2);
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
    Options &base_url(Text url) & {
        return set_text(cd_options_set_base_url,
                        detail::Argument(url, {"The base URL contains a NUL."}));
    }
    /** The same for an rvalue. */
    Options base_url(Text url) && { return std::move(base_url(url)); }

    /** Sets the encoding of a login. The default is automatic. */
    Options &body_format(BodyFormat format) & {
        return set(cd_options_set_body_format, static_cast<std::int32_t>(format));
    }
    /** The same for an rvalue. */
    Options body_format(BodyFormat format) && { return std::move(body_format(format)); }

    /** Sets the time limit of a whole call with its retries: 1 ms to 1 hour. */
    template <class Rep, class Period>
    Options &timeout(std::chrono::duration<Rep, Period> length) & {
        return set(cd_options_set_timeout_ms, detail::milliseconds(length));
    }
    /** The same for an rvalue. */
    template <class Rep, class Period>
    Options timeout(std::chrono::duration<Rep, Period> length) && {
        return std::move(timeout(length));
    }

    /** Sets the limit for name lookup, connecting and handshakes of one attempt: 1 ms to 1 hour. */
    template <class Rep, class Period>
    Options &connect_timeout(std::chrono::duration<Rep, Period> length) & {
        return set(cd_options_set_connect_timeout_ms, detail::milliseconds(length));
    }
    /** The same for an rvalue. */
    template <class Rep, class Period>
    Options connect_timeout(std::chrono::duration<Rep, Period> length) && {
        return std::move(connect_timeout(length));
    }

    /**
     * Sets the maximum number of retries: 0 to 10. A login is retried after a response of 429, 500,
     * 502, 503 or 504, or if a connection could not be made.
     */
    Options &max_retries(std::int64_t count) & {
        const bool fits = count >= 0 && count < detail::out_of_range;
        return set(cd_options_set_max_retries,
                   fits ? static_cast<std::uint32_t>(count) : detail::out_of_range);
    }
    /** The same for an rvalue. */
    Options max_retries(std::int64_t count) && { return std::move(max_retries(count)); }

    /**
     * Sets the back-off. Each wait is random, uniform between 0 and a window. The window doubles
     * from `first` to `max` (both 0 to 1 hour, `first` not above `max`).
     */
    template <class Rep1, class Period1, class Rep2, class Period2>
    Options &backoff(std::chrono::duration<Rep1, Period1> first,
                     std::chrono::duration<Rep2, Period2> max) & {
        return set(cd_options_set_backoff_ms, detail::milliseconds(first),
                   detail::milliseconds(max));
    }
    /** The same for an rvalue. */
    template <class Rep1, class Period1, class Rep2, class Period2>
    Options backoff(std::chrono::duration<Rep1, Period1> first,
                    std::chrono::duration<Rep2, Period2> max) && {
        return std::move(backoff(first, max));
    }

    /**
     * Sets the proxy: `[http://][USER:PASSWORD@]HOST[:PORT]`, or the same with `socks5://` (this
     * machine looks up names) or `socks5h://` (the proxy looks up names). By default the
     * environment selects the proxy. no_proxy() disables it; null fails with CD_ERR_NULL_ARGUMENT.
     * Throws CD_ERR_INVALID_URL, or CD_ERR_INSECURE_URL if the base URL is plain http.
     */
    Options &proxy(Text url) & {
        if (url.is_null()) // in C, NULL means no proxy
            return fail(Error(CD_ERR_NULL_ARGUMENT, {"The proxy URL must not be null."}));
        return set_text(cd_options_set_proxy,
                        detail::Argument(url, {"The proxy URL contains a NUL."}));
    }
    /** The same for an rvalue. */
    Options proxy(Text url) && { return std::move(proxy(url)); }

    /** Disables the proxy and ignores the environment's. */
    Options &no_proxy() & { return set(cd_options_set_proxy, static_cast<const char *>(nullptr)); }
    /** The same for an rvalue. */
    Options no_proxy() && { return std::move(no_proxy()); }

    /**
     * Sets a file of CA certificates (PEM) to trust in place of the system's. The file is read
     * immediately. The path is UTF-8. Throws CD_ERR_CA_FILE.
     */
    Options &ca_file(Text path) & {
        return set_text(cd_options_set_ca_file,
                        detail::Argument(path, {"The path of the CA file contains a NUL."}));
    }
    /** The same for an rvalue. */
    Options ca_file(Text path) && { return std::move(ca_file(path)); }

    /** The same for std::filesystem::path or a class with the same members. */
    template <class Path, std::enable_if_t<detail::is_path<Path>::value, int> = 0>
    Options &ca_file(const Path &path) & {
        if constexpr (std::is_same_v<typename Path::value_type, char>) {
            return ca_file(Text(path.native()));
        } else {
            const auto text = path.u8string(); // char in C++17, char8_t from C++20 on
            return ca_file(
                std::string_view(reinterpret_cast<const char *>(text.data()), text.size()));
        }
    }
    /** The same for an rvalue. */
    template <class Path, std::enable_if_t<detail::is_path<Path>::value, int> = 0>
    Options ca_file(const Path &path) && {
        return std::move(ca_file(path));
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
    Options &environment(Text name, Text value) & {
        const detail::Argument name_in_c(name, {"The name of the variable contains a NUL."});
        const detail::Argument value_in_c(value, {"The value of the variable contains a NUL."});
        for (const detail::Argument *argument : {&name_in_c, &value_in_c})
            if (argument->error().code() != CD_OK)
                return fail(argument->error());
        return set(cd_options_set_environment, name_in_c.c_str(), value_in_c.c_str());
    }
    /** The same for an rvalue. */
    Options environment(Text name, Text value) && { return std::move(environment(name, value)); }

    /** Sets the product before the library's name in the User-Agent header, such as "acme/2.1". */
    Options &user_agent(Text product) & {
        return set_text(cd_options_set_user_agent,
                        detail::Argument(product, {"The user agent contains a NUL."}));
    }
    /** The same for an rvalue. */
    Options user_agent(Text product) && { return std::move(user_agent(product)); }

    /** Sets the maximum size of a response body: 1024 to 16777216 bytes. */
    Options &max_response_bytes(std::size_t bytes) & {
        return set(cd_options_set_max_response_bytes, bytes);
    }
    /** The same for an rvalue. */
    Options max_response_bytes(std::size_t bytes) && {
        return std::move(max_response_bytes(bytes));
    }

    /**
     * Sets the function that receives log messages up to `max_level`; an empty function = none. It
     * runs only on threads that are inside a call with these options, perhaps on several at once.
     * It must neither set nor destroy these options. Its exceptions are dropped.
     */
    Options &logger(Logger function, LogLevel max_level = LogLevel::info) & {
        auto logger = function ? std::make_unique<Logger>(std::move(function)) : nullptr;
        Error error = call(cd_options_set_logger, logger ? &log : nullptr,
                           static_cast<void *>(logger.get()), static_cast<std::int32_t>(max_level));
        if (error.code() != CD_OK)
            return fail(std::move(error)); // the library still uses the previous logger_
        logger_ = std::move(logger);
        return *this;
    }
    /** The same for an rvalue. */
    Options logger(Logger function, LogLevel max_level = LogLevel::info) && {
        return std::move(logger(std::move(function), max_level));
    }

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

    template <class Setter, class... Values> Error call(Setter setter, Values... values) noexcept {
        cd_error *error = nullptr;
        const cd_code code = setter(handle_.get(), values..., &error);
        return Error(code, error);
    }
    template <class Setter, class... Values> Options &set(Setter setter, Values... values) {
        Error error = call(setter, values...);
        return error.code() == CD_OK ? *this : fail(std::move(error));
    }
    template <class Setter> Options &set_text(Setter setter, const detail::Argument &text) {
        return text.error().code() == CD_OK ? set(setter, text.c_str()) : fail(text.error());
    }

    static void log(void *user_data, std::int32_t level, const char *message) noexcept {
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
    std::unique_ptr<cd_options, detail::Free> handle_;
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
     * and at least every 50 ms while it waits. Returning true stops only that call. An exception
     * stops it too and is dropped. For programs that must do other work while a login waits.
     */
    explicit CancelSource(Check check) : CancelSource() {
        if (check) {
            check_ = std::make_unique<Check>(std::move(check));
            cd_cancel_set_check(handle_.get(), &ask, check_.get());
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
    static std::int32_t ask(void *user_data) noexcept {
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
    std::unique_ptr<cd_cancel, detail::Free> handle_;
};

/** The time limit of one call: 1 ms to 1 hour. The call fails for any other value. */
class Timeout {
  public:
    /** The timeout of the options. */
    Timeout() noexcept = default;

    /** `length`. 0 is out of range too: it does not mean the timeout of the options. */
    template <class Rep, class Period>
    Timeout(std::chrono::duration<Rep, Period> length) noexcept
        : milliseconds_(detail::milliseconds(length)) {
        if (milliseconds_ == 0)
            milliseconds_ = detail::out_of_range;
    }

    /** The value for the functions of couchdrop.h: 0 = the timeout of the options. */
    std::uint32_t milliseconds() const noexcept { return milliseconds_; }

  private:
    std::uint32_t milliseconds_ = 0;
};

/**
 * The limits of one call: its timeout and its CancelSource. Written as `5s`, `cancel` or
 * `{cancel, 5s}`. Refers to the CancelSource, which must outlive the call.
 */
class Limits {
  public:
    /** The timeout of the options; no CancelSource. */
    Limits() noexcept = default;

    /** `timeout`; no CancelSource. */
    template <class Rep, class Period>
    Limits(std::chrono::duration<Rep, Period> timeout) noexcept : timeout_(timeout) {}

    /** `cancel` and `timeout`. */
    Limits(const CancelSource &cancel, Timeout timeout = {}) noexcept
        : cancel_(&cancel), timeout_(timeout) {}

    /** The source that may stop the call; null = none. */
    const CancelSource *cancel() const noexcept { return cancel_; }
    /** The time limit of the call. */
    Timeout timeout() const noexcept { return timeout_; }

  private:
    const CancelSource *cancel_ = nullptr;
    Timeout timeout_;
};

namespace detail {

/** Rejects moved-from objects, which C would take for the defaults, and options that failed. */
inline Error unusable(const Options &options, const Limits &limits) noexcept {
    if (options.get() == nullptr)
        return Error(CD_ERR_NULL_ARGUMENT, Sentence{"The options were moved from."});
#if !COUCHDROP_EXCEPTIONS
    if (options.error().code() != CD_OK)
        return options.error();
#endif
    if (limits.cancel() != nullptr && limits.cancel()->get() == nullptr)
        return Error(CD_ERR_NULL_ARGUMENT, Sentence{"The cancel source was moved from."});
    return Error(CD_OK);
}

inline const cd_cancel *handle(const Limits &limits) noexcept {
    return limits.cancel() != nullptr ? limits.cancel()->get() : nullptr;
}

/** Logs in. `options` and `cancel` may be NULL, as in C. */
inline Result<Token> log_in(const cd_options *options, const cd_cancel *cancel, Timeout timeout,
                            const Credentials &credentials) noexcept {
    const Argument username(credentials.username, {"The user name contains a NUL."});
    const Argument password(credentials.password, {"The password contains a NUL."});
    const Argument system(credentials.system, {"The name of the system contains a NUL."});
    for (const Argument *argument : {&username, &password, &system})
        if (argument->error().code() != CD_OK)
            return argument->error();

    cd_token *token = nullptr;
    cd_error *error = nullptr;
    const cd_code code =
        cd_authenticate_with(options, cancel, timeout.milliseconds(), username.c_str(),
                             password.c_str(), system.c_str(), &token, &error);
    if (code != CD_OK)
        return Error(code, error);
    return Token(token);
}

} // namespace detail

/**
 * Logs in as authenticate() does, but returns the Error instead of throwing it.
 */
inline Result<Token> try_authenticate(const Credentials &credentials, const Options &options,
                                      const Limits &limits = {}) noexcept {
    Error refused = detail::unusable(options, limits);
    if (refused.code() != CD_OK)
        return refused;
    return detail::log_in(options.get(), detail::handle(limits), limits.timeout(), credentials);
}

/** Logs in to the real service with the defaults; otherwise like try_authenticate() above. */
inline Result<Token> try_authenticate(const Credentials &credentials) noexcept {
    return detail::log_in(nullptr, nullptr, {}, credentials);
}

/** The same. */
inline Result<Token> try_authenticate(Text username, Text password, Text system = {}) noexcept {
    return try_authenticate(Credentials{username, password, system});
}

#if COUCHDROP_EXCEPTIONS

/**
 * Logs in: exchanges a user name and a password for a token.
 *
 * Blocks until the login succeeds, fails, times out or is cancelled. Keeps neither the credentials
 * nor the limits. Throws an Error; a code of 2xxx means that nothing was sent.
 */
inline Token authenticate(const Credentials &credentials, const Options &options,
                          const Limits &limits = {}) {
    return try_authenticate(credentials, options, limits).value();
}

/** Logs in to the real service with the defaults; otherwise like authenticate() above. */
inline Token authenticate(const Credentials &credentials) {
    return try_authenticate(credentials).value();
}

/** The same. */
inline Token authenticate(Text username, Text password, Text system = {}) {
    return try_authenticate(username, password, system).value();
}

#endif // COUCHDROP_EXCEPTIONS

/**
 * Connects as connect() does, but returns the Error instead of throwing it.
 */
inline Result<void> try_connect(const Options &options, const Limits &limits = {}) noexcept {
    Error refused = detail::unusable(options, limits);
    if (refused.code() != CD_OK)
        return refused;
    cd_error *error = nullptr;
    const cd_code code =
        cd_connect(options.get(), detail::handle(limits), limits.timeout().milliseconds(), &error);
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
inline void connect(const Options &options, const Limits &limits = {}) {
    try_connect(options, limits).value();
}
#endif

#if defined(__cpp_lib_jthread)

/**
 * From C++20 on: try_authenticate() that a `std::stop_token` stops, with CD_ERR_CANCELLED. It is a
 * template so that `{}` still means Limits.
 */
template <std::same_as<std::stop_token> Stop>
Result<Token> try_authenticate(const Credentials &credentials, const Options &options, Stop stop,
                               Timeout timeout = {}) noexcept {
    CancelSource cancel;
    const std::stop_callback trigger(std::move(stop), [&cancel]() noexcept { cancel.trigger(); });
    return try_authenticate(credentials, options, Limits(cancel, timeout));
}

/** From C++20 on: try_connect() that a `std::stop_token` stops, with CD_ERR_CANCELLED. */
template <std::same_as<std::stop_token> Stop>
Result<void> try_connect(const Options &options, Stop stop, Timeout timeout = {}) noexcept {
    CancelSource cancel;
    const std::stop_callback trigger(std::move(stop), [&cancel]() noexcept { cancel.trigger(); });
    return try_connect(options, Limits(cancel, timeout));
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
