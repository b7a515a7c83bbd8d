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
 * Header only, over the C interface of couchdrop.h: link with what `pkg-config --libs couchdrop`
 * says.
 *
 * Without exceptions (-fno-exceptions) only what does not throw is declared: the try_ functions. A
 * setter of Options that fails changes nothing; Options::error() returns the first such failure,
 * and so does every call with these options, which sends nothing.
 *
 * Strings in (Text) are UTF-8 of at most 64 KiB; one with a NUL in it is refused with
 * CD_ERR_INVALID_UTF8, since C would read it as a shorter one. A null `const char *`, such as
 * std::getenv() gives, is refused with CD_ERR_NULL_ARGUMENT. What is passed on is a copy that is
 * wiped; the caller's own string stays the caller's to wipe (cd_secure_zero()).
 *
 * Durations in are of any std::chrono type. They are counted in milliseconds, a fraction rounded
 * up; what is out of its range is refused with CD_ERR_OUT_OF_RANGE.
 *
 * Threads: authenticate(), connect() and their try_ forms may run on any number of threads at once,
 * with the same Options and CancelSource. Each class says what else may happen at once.
 *
 * Binary compatibility: every type means the same in C++17, 20 and 23, so that files built for
 * different standards may exchange them. What a newer standard adds are functions alone. A program
 * may contain files built with and without exceptions, but they cannot exchange these types: the
 * linker reports an undefined reference.
 */

#ifndef COUCHDROP_HPP
#define COUCHDROP_HPP

/** The C++ standard that is compiled for, in this header alone. */
#if defined(_MSVC_LANG) // where __cplusplus may say 199711L, whatever the standard
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

/** Exceptions are caught across shared libraries, also where all else is hidden. */
#if defined(__GNUC__) || defined(__clang__)
#define COUCHDROP_VISIBLE __attribute__((visibility("default")))
#else
#define COUCHDROP_VISIBLE
#endif

#if defined(__cpp_exceptions) || defined(_CPPUNWIND)
/** 1 if the compiler has exceptions: what throws is declared then only. */
#define COUCHDROP_EXCEPTIONS 1
/** The inline namespace. Without exceptions definitions differ, so they need other linker names. */
#define COUCHDROP_NAMESPACE v1
#else
#define COUCHDROP_EXCEPTIONS 0
#if defined(__GNUC__) || defined(__clang__) // the tag is for functions that only return such a type
#define COUCHDROP_NAMESPACE v1_no_exceptions __attribute__((abi_tag("no_exceptions")))
#else
#define COUCHDROP_NAMESPACE v1_no_exceptions
#endif
#endif

namespace couchdrop {
/** Part of every linker name: another layout gets another number. */
inline namespace COUCHDROP_NAMESPACE {

/** Not for callers. */
namespace detail {

struct Free {
    void operator()(cd_options *options) const noexcept { cd_options_free(options); }
    void operator()(cd_cancel *cancel) const noexcept { cd_cancel_free(cancel); }
    void operator()(cd_token *token) const noexcept { cd_token_free(token); }
};

/** What an error of this header's own says: a static string. */
struct Sentence {
    const char *text;
};

/** A cd_error that copies share. std::shared_ptr throws when it cannot allocate its counter. */
class SharedError {
  public:
    SharedError() noexcept = default;
    /** Takes over `error`. Without memory for the counter nothing is kept. */
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

    /** NULL when there is none. */
    const cd_error *get() const noexcept { return shared_ != nullptr ? shared_->error : nullptr; }

  private:
    struct Counted {
        cd_error *error;
        std::atomic<std::size_t> count;
    };
    Counted *shared_ = nullptr;
};

/** An integer that is above the range of every setting: the library refuses it, and says why. */
inline constexpr std::uint32_t out_of_range = UINT32_MAX;

template <class Rep, class Period>
std::uint32_t milliseconds(std::chrono::duration<Rep, Period> length) noexcept {
    // As floating point, which no duration overflows. It is exact far beyond the range in question.
    const double exact = std::chrono::duration<double, std::milli>(length).count();
    if (!(exact >= 0 && exact < out_of_range))
        return out_of_range;
    const auto whole = static_cast<std::uint32_t>(exact);
    return whole < exact ? whole + 1 : whole;
}

} // namespace detail

/**
 * What went wrong in one call: what authenticate() and connect() throw and a Result holds.
 *
 * An immutable snapshot without the password or a token; the user name stands in it only where the
 * server itself says it. Copies are cheap, never throw, and share their strings, which live as long as one of them does. Any thread may read it.
 */
class COUCHDROP_VISIBLE Error : public std::exception {
  public:
    /**
     * Takes over what a function of couchdrop.h returned and stored in its `cd_error **`; frees
     * `error`. Where that is NULL the code's own sentence is the message.
     */
    explicit Error(cd_code code, cd_error *error = nullptr) noexcept
        : code_(code), snapshot_(error), sentence_{cd_code_message(code)} {}

    /** Not for callers. */
    Error(cd_code code, detail::Sentence sentence) noexcept : code_(code), sentence_(sentence) {}

    /** English sentences of the library's own, in UTF-8: they don't quote the server. */
    const char *what() const noexcept override {
        return snapshot_.get() != nullptr ? cd_error_message(snapshot_.get()) : sentence_.text;
    }

    /**
     * Why the call failed: one of the CD_ERR_ values, whose category is `code() / 1000`. New ones
     * may appear in later versions, so a switch needs a default.
     */
    cd_code code() const noexcept { return code_; }

    /** The name of the code, for instance "CD_ERR_TIMEOUT": a static string. */
    const char *name() const noexcept { return cd_code_name(code_); }

    /**
     * True if the same call may succeed later without any change. With CD_ERR_PROXY that depends on
     * what the proxy answered. The library has made its own retries already, so wait before you
     * call again.
     */
    bool is_retryable() const noexcept {
        return snapshot_.get() != nullptr ? cd_error_is_retryable(snapshot_.get()) != 0
                                          : cd_code_is_retryable(code_) != 0;
    }

    /** The HTTP status of the last attempt's answer (with CD_ERR_PROXY the proxy's); 0 = none. */
    int http_status() const noexcept { return cd_error_http_status(snapshot_.get()); }

    /**
     * What the server said when it refused; empty where it said nothing that may be shown. Foreign
     * text: show it, but don't parse it. Valid as long as this error or a copy of it.
     */
    std::string_view server_message() const noexcept {
        const char *message = cd_error_server_message(snapshot_.get());
        return message != nullptr ? std::string_view(message) : std::string_view();
    }

    /** How long the last answer asked to wait (`Retry-After`), if it did. */
    std::optional<std::chrono::seconds> retry_after() const noexcept {
        const std::int64_t seconds = cd_error_retry_after_seconds(snapshot_.get());
        return seconds >= 0 ? std::optional(std::chrono::seconds(seconds)) : std::nullopt;
    }

    /** How many requests were sent: those whose first byte was handed to a connection. */
    std::uint32_t attempts() const noexcept { return cd_error_attempts(snapshot_.get()); }

  private:
    cd_code code_;
    detail::SharedError snapshot_;
    detail::Sentence sentence_;
};

/**
 * A string as an argument: made from a `const char *`, which may be null, a std::string, a
 * std::string_view, what else turns into one, or a std::optional of these, which is null if it is
 * empty. Refers to the caller's string, which must live as long as the call.
 */
class Text {
  public:
    /** Empty, which is not null. */
    Text() noexcept = default;

    /** Null where `text` is. */
    Text(const char *text) noexcept
        : view_(text != nullptr ? std::string_view(text) : std::string_view()) {}

    /** Null. */
    Text(std::nullopt_t) noexcept : Text(static_cast<const char *>(nullptr)) {}

    /** Null where `text` is empty, and otherwise what its value is. */
    template <class S, std::enable_if_t<std::is_convertible_v<const S &, Text>, int> = 0>
    Text(const std::optional<S> &text) : Text(text ? Text(*text) : Text(std::nullopt)) {}

    /** From anything that turns into a std::string_view; never null. */
    template <class S, std::enable_if_t<std::is_convertible_v<const S &, std::string_view> &&
                                            !std::is_convertible_v<const S &, const char *>,
                                        int> = 0>
    Text(const S &text) : Text(static_cast<std::string_view>(text), NotNull()) {}

    /** Whether it was made from a null pointer. */
    bool is_null() const noexcept { return view_.data() == nullptr; }

    /** The characters; none where it is null. */
    std::string_view view() const noexcept { return view_; }

  private:
    struct NotNull {};
    // A view of nothing may have no address either.
    Text(std::string_view text, NotNull) noexcept : view_(text.data() != nullptr ? text : "") {}

    std::string_view view_ = ""; // without an address where it is null
};

namespace detail {

/** A string on its way to C: a copy that ends in a NUL and is wiped; NULL for a null one. */
class Argument {
  public:
    /** `with_nul` says that the string holds a NUL. */
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

    /** CD_OK, or why the string can't be passed on. */
    const Error &error() const noexcept { return error_; }
    const char *c_str() const noexcept { return copy_.get(); }

  private:
    std::size_t size_;
    std::unique_ptr<char[]> copy_;
    Error error_{CD_OK};
};

/** True for std::filesystem::path and classes of the same shape. */
template <class P, class = void> struct is_path : std::false_type {};
template <class P>
struct is_path<P, std::void_t<typename P::value_type, decltype(std::declval<const P &>().native()),
                              decltype(std::declval<const P &>().u8string())>> : std::true_type {};

/** Whether E is std::expected<T, Error>, or another class of that shape. */
template <class E, class T, class = void> struct is_expected : std::false_type {};
template <class E, class T>
struct is_expected<E, T, std::void_t<typename E::unexpected_type>>
    : std::conjunction<std::is_same<typename E::value_type, T>,
                       std::is_same<typename E::error_type, Error>> {};

} // namespace detail

/**
 * What a call that doesn't throw gives: a T, or an Error.
 *
 * The same type in every standard. A result that goes away (`std::move(result)`, or a call's own)
 * turns into a `std::expected<T, couchdrop::Error>` where the compiler has it:
 *
 *     std::expected<couchdrop::Token, couchdrop::Error> e = couchdrop::try_authenticate(…);
 *
 * Not for several threads at once.
 */
template <class T> class [[nodiscard]] Result {
  public:
    using value_type = T;     ///< what a call gives
    using error_type = Error; ///< what it gives when it fails

    /** A success. */
    Result(T value) noexcept : value_(std::move(value)) {}
    /** A failure; the code is not CD_OK. */
    Result(Error error) noexcept : error_(std::move(error)) {}

    /** Whether there is a value. */
    bool has_value() const noexcept { return value_.has_value(); }
    /** As has_value(). */
    explicit operator bool() const noexcept { return has_value(); }

#if COUCHDROP_EXCEPTIONS
    /** The value; throws the Error where there is none. */
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
    /** As above, taken out of a result that goes away. */
    T &&value() && {
        if (!value_)
            throw error_;
        return *std::move(value_);
    }
#endif

    /** The value, which must be there. */
    T &operator*() &noexcept { return *value_; }
    /** As above. */
    const T &operator*() const &noexcept { return *value_; }
    /** As above, taken out of a result that goes away. */
    T &&operator*() &&noexcept { return *std::move(value_); }
    /** A member of the value, which must be there. */
    T *operator->() noexcept { return &*value_; }
    /** As above. */
    const T *operator->() const noexcept { return &*value_; }

    /** What went wrong; its code is CD_OK where nothing did. */
    const Error &error() const noexcept { return error_; }

    /** As a std::expected. */
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

/** What a call that gives nothing but may fail ends with. */
template <> class [[nodiscard]] Result<void> {
  public:
    using value_type = void;  ///< what a call gives
    using error_type = Error; ///< what it gives when it fails

    Result() noexcept = default;
    /** A failure; the code is not CD_OK. */
    Result(Error error) noexcept : error_(std::move(error)) {}

    /** Whether the call succeeded. */
    bool has_value() const noexcept { return error_.code() == CD_OK; }
    /** As has_value(). */
    explicit operator bool() const noexcept { return has_value(); }

#if COUCHDROP_EXCEPTIONS
    /** Throws the Error where there is one. */
    void value() const {
        if (!has_value())
            throw error_;
    }
#endif

    /** What went wrong; its code is CD_OK where nothing did. */
    const Error &error() const noexcept { return error_; }

    /** As a std::expected. */
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
 * A token: a secret of printable ASCII, wiped when this object goes away.
 *
 * Can be moved but not copied or printed. Send it in the request header named
 * COUCHDROP_TOKEN_HEADER, over https, to the service alone. Any thread may read it, several at
 * once.
 */
class [[nodiscard]] Token {
  public:
    /** Takes over what a function of couchdrop.h stored in its `cd_token **`. */
    explicit Token(cd_token *token) noexcept : handle_(token) {}

    /**
     * The characters, ended by a NUL that isn't counted; empty after the token was moved from. They
     * belong to the token: a copy is the caller's to wipe (cd_secure_zero()).
     */
    std::string_view view() const &noexcept {
        return handle_ ? std::string_view(c_str(), size()) : std::string_view("");
    }
    std::string_view view() const && = delete;

    /** The same for C. */
    const char *c_str() const &noexcept { return handle_ ? cd_token_str(handle_.get()) : ""; }
    const char *c_str() const && = delete;

    /** How many characters it has; 0 after it was moved from. */
    std::size_t size() const noexcept { return cd_token_len(handle_.get()); }

    /** For functions of couchdrop.h; stays this object's. NULL after it was moved from. */
    const cd_token *get() const noexcept { return handle_.get(); }

  private:
    std::unique_ptr<cd_token, detail::Free> handle_;
};

/** A secret isn't printed; where one must be, there is Token::view(). */
template <class Char, class Traits>
std::basic_ostream<Char, Traits> &operator<<(std::basic_ostream<Char, Traits> &,
                                             const Token &) = delete;

/** Who logs in. Refers to the caller's strings, which must live as long as the call. */
struct Credentials {
    /** UTF-8, neither null nor empty. */
    Text username;
    /** UTF-8, neither null nor empty. */
    Text password;
    /** Names the program or system that logs in; empty or null = none. */
    Text system = {};
};

/** A secret isn't printed. */
template <class Char, class Traits>
std::basic_ostream<Char, Traits> &operator<<(std::basic_ostream<Char, Traits> &,
                                             const Credentials &) = delete;

/** How a login is encoded. */
enum class BodyFormat : std::int32_t {
    automatic = CD_BODY_AUTO, ///< a form first; JSON when the service refuses a form as such
    form = CD_BODY_FORM,      ///< `application/x-www-form-urlencoded` alone
    json = CD_BODY_JSON,      ///< `application/json` alone
};

/** How much a logger is told: each level includes those above it. */
enum class LogLevel : std::int32_t {
    error = CD_LOG_ERROR, ///< a login failed, and nobody cancelled it
    warn = CD_LOG_WARN,   ///< what an administrator should see to; a retry and its reason
    info = CD_LOG_INFO,   ///< a login that succeeded, or was cancelled
    debug = CD_LOG_DEBUG, ///< each phase with its duration, addresses, and connections
};

/**
 * How to reach the service; keeps connections for the next login.
 *
 * Can be moved but not copied; must outlive the calls that use it. Set it up on one thread; after
 * that it serves any number of them. The first call that uses it freezes it. One that was moved
 * from is refused with CD_ERR_NULL_ARGUMENT, never taken for the defaults.
 *
 * A setter copies its argument and returns the options, to go on with. It throws an Error for a bad
 * argument, or with CD_ERR_OPTIONS_IN_USE after the first call that used it, and then changes nothing:
 *
 *     const auto options = couchdrop::Options().timeout(10s).max_retries(2);
 *
 * Without exceptions it stores that Error in error(), if it is the first.
 */
class Options {
  public:
    /** Told what happens, as one line of UTF-8 without secrets, valid during the call. */
    using Logger = std::function<void(LogLevel level, std::string_view message)>;

    /**
     * The defaults: the real service, 30 s for a whole call, 10 s to connect, 4 retries with a
     * back-off of 1 s to 8 s, the environment's proxy, the system's trust store, answers of at most
     * 64 KiB, no logger. The first call reads the environment with std::getenv(), unless
     * environment() was called.
     */
    Options() noexcept : handle_(cd_options_new()) {}

    /**
     * Where the service is: `https://HOST[:PORT][/PREFIX]`. Plain `http` is taken for loopback
     * addresses alone. Throws CD_ERR_INVALID_URL or CD_ERR_INSECURE_URL.
     */
    Options &base_url(Text url) & {
        return set_text(cd_options_set_base_url,
                        detail::Argument(url, {"The base URL contains a NUL."}));
    }
    /** The same for options that go away. */
    Options base_url(Text url) && { return std::move(base_url(url)); }

    /** How a login is encoded; automatic where nothing is set. */
    Options &body_format(BodyFormat format) & {
        return set(cd_options_set_body_format, static_cast<std::int32_t>(format));
    }
    /** The same for options that go away. */
    Options body_format(BodyFormat format) && { return std::move(body_format(format)); }

    /** How long a whole call may take, retries included: 1 ms to 1 hour. */
    template <class Rep, class Period>
    Options &timeout(std::chrono::duration<Rep, Period> length) & {
        return set(cd_options_set_timeout_ms, detail::milliseconds(length));
    }
    /** The same for options that go away. */
    template <class Rep, class Period>
    Options timeout(std::chrono::duration<Rep, Period> length) && {
        return std::move(timeout(length));
    }

    /** How long one attempt may take to resolve, connect and shake hands: 1 ms to 1 hour. */
    template <class Rep, class Period>
    Options &connect_timeout(std::chrono::duration<Rep, Period> length) & {
        return set(cd_options_set_connect_timeout_ms, detail::milliseconds(length));
    }
    /** The same for options that go away. */
    template <class Rep, class Period>
    Options connect_timeout(std::chrono::duration<Rep, Period> length) && {
        return std::move(connect_timeout(length));
    }

    /**
     * How often a login is tried again after an answer of 429, 500, 502, 503 or 504, or a
     * connection that could not be made: 0 to 10.
     */
    Options &max_retries(std::int64_t count) & {
        const bool fits = count >= 0 && count < detail::out_of_range;
        return set(cd_options_set_max_retries,
                   fits ? static_cast<std::uint32_t>(count) : detail::out_of_range);
    }
    /** The same for options that go away. */
    Options max_retries(std::int64_t count) && { return std::move(max_retries(count)); }

    /**
     * The back-off: each wait is drawn evenly from nought to a window, which doubles from `first`
     * to `max` (both 0 to 1 hour, `first` not above `max`).
     */
    template <class Rep1, class Period1, class Rep2, class Period2>
    Options &backoff(std::chrono::duration<Rep1, Period1> first,
                     std::chrono::duration<Rep2, Period2> max) & {
        return set(cd_options_set_backoff_ms, detail::milliseconds(first),
                   detail::milliseconds(max));
    }
    /** The same for options that go away. */
    template <class Rep1, class Period1, class Rep2, class Period2>
    Options backoff(std::chrono::duration<Rep1, Period1> first,
                    std::chrono::duration<Rep2, Period2> max) && {
        return std::move(backoff(first, max));
    }

    /**
     * The proxy: `[http://][USER:PASSWORD@]HOST[:PORT]`, or the same with `socks5://` (names looked
     * up here) or `socks5h://` (by the proxy); where nothing is set, the environment decides. For
     * none there is no_proxy(): null is refused. Throws CD_ERR_INVALID_URL, or CD_ERR_INSECURE_URL
     * where the base URL is plain http.
     */
    Options &proxy(Text url) & {
        if (url.is_null()) // which C takes for none
            return fail(Error(CD_ERR_NULL_ARGUMENT, {"The proxy URL must not be null."}));
        return set_text(cd_options_set_proxy,
                        detail::Argument(url, {"The proxy URL contains a NUL."}));
    }
    /** The same for options that go away. */
    Options proxy(Text url) && { return std::move(proxy(url)); }

    /** No proxy, whatever the environment says. */
    Options &no_proxy() & { return set(cd_options_set_proxy, static_cast<const char *>(nullptr)); }
    /** The same for options that go away. */
    Options no_proxy() && { return std::move(no_proxy()); }

    /**
     * A file of CA certificates (PEM) that are trusted in place of the system's, read at once. The
     * path is UTF-8. Throws CD_ERR_CA_FILE.
     */
    Options &ca_file(Text path) & {
        return set_text(cd_options_set_ca_file,
                        detail::Argument(path, {"The path of the CA file contains a NUL."}));
    }
    /** The same for options that go away. */
    Options ca_file(Text path) && { return std::move(ca_file(path)); }

    /** The same for a std::filesystem::path, or another class of that shape. */
    template <class Path, std::enable_if_t<detail::is_path<Path>::value, int> = 0>
    Options &ca_file(const Path &path) & {
        if constexpr (std::is_same_v<typename Path::value_type, char>) {
            return ca_file(Text(path.native()));
        } else {
            const auto text = path.u8string(); // of char in C++17, of char8_t since
            return ca_file(
                std::string_view(reinterpret_cast<const char *>(text.data()), text.size()));
        }
    }
    /** The same for options that go away. */
    template <class Path, std::enable_if_t<detail::is_path<Path>::value, int> = 0>
    Options ca_file(const Path &path) && {
        return std::move(ca_file(path));
    }

    /**
     * The value of an environment variable: HTTPS_PROXY, ALL_PROXY or NO_PROXY, in upper or lower
     * case, SSL_CERT_FILE or SSL_CERT_DIR. Null, also an empty std::optional, = unset. After the
     * first such call the process's environment is not read for these options: variables that were
     * not given count as unset.
     *
     * Otherwise the first call reads the environment with std::getenv(), which is a data race with
     * setenv() on another thread and can crash the process. A program that changes its environment
     * while threads run takes the values before, and gives them here:
     *
     *     options.environment("HTTPS_PROXY", proxy).environment("NO_PROXY", nullptr);
     *
     * The value is checked by the first call. Throws CD_ERR_OUT_OF_RANGE for another name.
     */
    Options &environment(Text name, Text value) & {
        const detail::Argument name_in_c(name, {"The name of the variable contains a NUL."});
        const detail::Argument value_in_c(value, {"The value of the variable contains a NUL."});
        for (const detail::Argument *argument : {&name_in_c, &value_in_c})
            if (argument->error().code() != CD_OK)
                return fail(argument->error());
        return set(cd_options_set_environment, name_in_c.c_str(), value_in_c.c_str());
    }
    /** The same for options that go away. */
    Options environment(Text name, Text value) && { return std::move(environment(name, value)); }

    /** What stands before the library's own name in the User-Agent header, such as "acme/2.1". */
    Options &user_agent(Text product) & {
        return set_text(cd_options_set_user_agent,
                        detail::Argument(product, {"The user agent contains a NUL."}));
    }
    /** The same for options that go away. */
    Options user_agent(Text product) && { return std::move(user_agent(product)); }

    /** How large the body of an answer may be: 1024 to 16777216 bytes. */
    Options &max_response_bytes(std::size_t bytes) & {
        return set(cd_options_set_max_response_bytes, bytes);
    }
    /** The same for options that go away. */
    Options max_response_bytes(std::size_t bytes) && {
        return std::move(max_response_bytes(bytes));
    }

    /**
     * The function that is told what happens, up to `max_level`; an empty one = none. It runs only
     * on threads that are inside a call with these options, perhaps on several at once, and neither
     * sets nor destroys these options. What it throws is dropped.
     */
    Options &logger(Logger function, LogLevel max_level = LogLevel::info) & {
        auto logger = function ? std::make_unique<Logger>(std::move(function)) : nullptr;
        Error error = call(cd_options_set_logger, logger ? &log : nullptr,
                           static_cast<void *>(logger.get()), static_cast<std::int32_t>(max_level));
        if (error.code() != CD_OK)
            return fail(std::move(error)); // the logger before stays, and so does its function
        logger_ = std::move(logger);
        return *this;
    }
    /** The same for options that go away. */
    Options logger(Logger function, LogLevel max_level = LogLevel::info) && {
        return std::move(logger(std::move(function), max_level));
    }

#if !COUCHDROP_EXCEPTIONS
    /** Without exceptions only: the first failure of a setter; its code is CD_OK if none failed. */
    const Error &error() const noexcept { return error_; }
#endif

    /** For functions of couchdrop.h; stays this object's. NULL after it was moved from. */
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
        } catch (...) { // no exception may pass through the library
        }
#else
        function(static_cast<LogLevel>(level), message);
#endif
    }

    std::unique_ptr<Logger> logger_; // before the handle that points to it, so destroyed after it
    std::unique_ptr<cd_options, detail::Free> handle_;
#if !COUCHDROP_EXCEPTIONS
    Error error_{CD_OK};
#endif
};

/**
 * Lets another thread, or a signal handler, stop logins.
 *
 * Can be moved but not copied; must outlive the calls, threads and handlers that use it. One may
 * serve many calls. Triggering is sticky: with a triggered source a call gives CD_ERR_CANCELLED and
 * sends nothing. One that was moved from is refused with CD_ERR_NULL_ARGUMENT.
 */
class CancelSource {
  public:
    /** Asked while a call waits; returns whether to stop that call. */
    using Check = std::function<bool()>;

    CancelSource() noexcept : handle_(cd_cancel_new()) {}

    /**
     * With a function that each call asks, on its own thread, whenever a signal interrupts its wait
     * and at least every 50 ms of it. True stops that call alone; so does an exception, which is
     * dropped. For programs that must do something else while a login waits.
     */
    explicit CancelSource(Check check) : CancelSource() {
        if (check) {
            check_ = std::make_unique<Check>(std::move(check));
            cd_cancel_set_check(handle_.get(), &ask, check_.get());
        }
    }

    /**
     * Stops the calls that use this source, now and later: each ends within 50 ms. May be called
     * from any thread or a signal handler, more than once; keeps errno.
     */
    void trigger() noexcept { cd_cancel_trigger(handle_.get()); }

    /** Whether it was triggered. Any thread may ask. */
    bool is_triggered() const noexcept { return cd_cancel_is_triggered(handle_.get()) != 0; }

    /** For functions of couchdrop.h; stays this object's. NULL after it was moved from. */
    cd_cancel *get() const noexcept { return handle_.get(); }

  private:
    static std::int32_t ask(void *user_data) noexcept {
        const Check &function = *static_cast<const Check *>(user_data);
#if COUCHDROP_EXCEPTIONS
        try {
            return function() ? 1 : 0;
        } catch (...) { // no exception may pass through the library
            return 1;
        }
#else
        return function() ? 1 : 0;
#endif
    }

    std::unique_ptr<Check> check_; // before the handle that points to it, so destroyed after it
    std::unique_ptr<cd_cancel, detail::Free> handle_;
};

/** How long one call may take: 1 ms to 1 hour. Anything else makes the call refuse it. */
class Timeout {
  public:
    /** What the options say. */
    Timeout() noexcept = default;

    /** `length`; none at all is out of range too, and doesn't mean what the options say. */
    template <class Rep, class Period>
    Timeout(std::chrono::duration<Rep, Period> length) noexcept
        : milliseconds_(detail::milliseconds(length)) {
        if (milliseconds_ == 0)
            milliseconds_ = detail::out_of_range;
    }

    /** As the functions of couchdrop.h take it: 0 = what the options say. */
    std::uint32_t milliseconds() const noexcept { return milliseconds_; }

  private:
    std::uint32_t milliseconds_ = 0;
};

/**
 * What bounds one call: how long it may take, and what may stop it. Written as `5s`, `cancel` or
 * `{cancel, 5s}`. Refers to the CancelSource, which must live as long as the call.
 */
class Limits {
  public:
    /** As long as the options say; nothing stops it. */
    Limits() noexcept = default;

    /** At most `timeout`; nothing stops it. */
    template <class Rep, class Period>
    Limits(std::chrono::duration<Rep, Period> timeout) noexcept : timeout_(timeout) {}

    /** `cancel` stops it; at most `timeout`. */
    Limits(const CancelSource &cancel, Timeout timeout = {}) noexcept
        : cancel_(&cancel), timeout_(timeout) {}

    /** What may stop the call; null = nothing. */
    const CancelSource *cancel() const noexcept { return cancel_; }
    /** How long the call may take. */
    Timeout timeout() const noexcept { return timeout_; }

  private:
    const CancelSource *cancel_ = nullptr;
    Timeout timeout_;
};

namespace detail {

/** CD_OK, or why a call would silently use something else than its caller means. */
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

/** Logs in; NULL for `options` and `cancel` as in C. */
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
 * Logs in as authenticate() does, and gives its Error as a value.
 */
inline Result<Token> try_authenticate(const Credentials &credentials, const Options &options,
                                      const Limits &limits = {}) noexcept {
    Error refused = detail::unusable(options, limits);
    if (refused.code() != CD_OK)
        return refused;
    return detail::log_in(options.get(), detail::handle(limits), limits.timeout(), credentials);
}

/** Logs in to the real service with the defaults; for the rest as the other try_authenticate(). */
inline Result<Token> try_authenticate(const Credentials &credentials) noexcept {
    return detail::log_in(nullptr, nullptr, {}, credentials);
}

/** The same. */
inline Result<Token> try_authenticate(Text username, Text password, Text system = {}) noexcept {
    return try_authenticate(Credentials{username, password, system});
}

#if COUCHDROP_EXCEPTIONS

/**
 * Logs in: turns a user name and a password into a token.
 *
 * Blocks until the login has succeeded, failed, timed out or been cancelled. Neither the
 * credentials nor the limits are kept. Throws an Error; a code of 2xxx means that nothing was sent.
 */
inline Token authenticate(const Credentials &credentials, const Options &options,
                          const Limits &limits = {}) {
    return try_authenticate(credentials, options, limits).value();
}

/** Logs in to the real service with the defaults; for the rest as the other authenticate(). */
inline Token authenticate(const Credentials &credentials) {
    return try_authenticate(credentials).value();
}

/** The same. */
inline Token authenticate(Text username, Text password, Text system = {}) {
    return try_authenticate(username, password, system).value();
}

#endif // COUCHDROP_EXCEPTIONS

/**
 * Connects as connect() does, and gives its Error as a value.
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
 * Connects now, so that the next login with these options needs one round trip: resolves, connects
 * (through the proxy where one applies) and finishes the TLS handshake. Sends no credentials.
 *
 * Also tells why a machine can't reach the service. Without a timeout of its own it has the
 * options' connect timeout. Throws an Error: what a login would fail with for want of a connection.
 */
inline void connect(const Options &options, const Limits &limits = {}) {
    try_connect(options, limits).value();
}
#endif

#if defined(__cpp_lib_jthread)

/**
 * From C++20 on: try_authenticate() that a `std::stop_token` stops, with CD_ERR_CANCELLED. A
 * template, so that `{}` still means Limits.
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
