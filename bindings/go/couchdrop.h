/**
 * @file couchdrop.h
 * libcouchdrop: log in to Couchdrop, the managed file-transfer service.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Generated from the Rust sources by cbindgen: do not edit; run `make header`.
 *
 *     cd_token *token = NULL;
 *     cd_error *error = NULL;
 *     if (cd_authenticate("ada@example.com", password, NULL, &token, &error) == CD_OK) {
 *         // send cd_token_str(token) in the request header COUCHDROP_TOKEN_HEADER
 *         cd_token_free(token);
 *     } else {
 *         fprintf(stderr, "%s\n", cd_error_message(error));
 *         cd_error_free(error);
 *     }
 *
 * Objects: what a function makes is released with that type's `_free` function, which takes NULL too; nobody calls
 * `free()` on anything from here. Strings out belong to their object. Strings in are NUL-terminated UTF-8 of at most
 * 64 KiB and are not kept.
 *
 * Errors: a function that can fail returns a `cd_code` and takes a `cd_error **` last, which may be NULL. On failure
 * it stores there what went wrong in this one call, on success NULL; there is no "last error" anywhere. A compiler
 * warns where a code is ignored; where it may be, say so: `if (cd_options_set_timeout_ms(o, 5000, NULL)) {}`.
 *
 * Threads: `cd_authenticate()`, `cd_authenticate_with()` and `cd_connect()` are re-entrant. Each type says what else
 * may happen at once. After `fork`, at any moment, a login in the child works.
 */

#ifndef COUCHDROP_H
#define COUCHDROP_H

#include <stddef.h>
#include <stdint.h>

/** The version of this header; the loaded library's is `cd_version()`. */
#define COUCHDROP_VERSION "1.0.0"
/** The version of this header as a number: major * 1000000 + minor * 1000 + patch. */
#define COUCHDROP_VERSION_NUMBER 1000000
/** The version of the ABI that this header describes; the loaded library's is `cd_abi_version()`. */
#define COUCHDROP_ABI_VERSION 1
/** The name of the request header that carries a token. */
#define COUCHDROP_TOKEN_HEADER "token"

/** Marks results that must not be ignored. */
#ifndef COUCHDROP_NODISCARD
#if defined(__cplusplus) && __cplusplus >= 201703L
#define COUCHDROP_NODISCARD [[nodiscard]]
#elif defined(__GNUC__) || defined(__clang__)
#define COUCHDROP_NODISCARD __attribute__((warn_unused_result))
#else
#define COUCHDROP_NODISCARD
#endif
#endif


/**
 * For `cd_options_set_body_format()`: a form first; JSON when the service refuses a form as such (the default).
 */
#define CD_BODY_AUTO 0

/**
 * For `cd_options_set_body_format()`: `application/x-www-form-urlencoded` alone.
 */
#define CD_BODY_FORM 1

/**
 * For `cd_options_set_body_format()`: `application/json` alone.
 */
#define CD_BODY_JSON 2

/**
 * A login or `cd_connect()` failed, and nobody cancelled it.
 */
#define CD_LOG_ERROR 1

/**
 * Something that an administrator should see to; a retry and its reason.
 */
#define CD_LOG_WARN 2

/**
 * A login that succeeded; a login or `cd_connect()` that was cancelled; a request sent again on a new connection.
 */
#define CD_LOG_INFO 3

/**
 * Each phase with its duration, addresses, and what became of connections.
 */
#define CD_LOG_DEBUG 4

/**
 * What a call ended with. Stable for ever: nothing is removed or renumbered, but new codes may appear, so a
 * `switch` needs a default. The category is `code / 1000`.
 */
enum cd_code
#ifdef __cplusplus
  : int32_t
#endif // __cplusplus
 {
    /**
     * Success.
     */
    CD_OK = 0,
    /**
     * The service answered with a status that has no code of its own: see `cd_error_http_status()`.
     */
    CD_ERR_HTTP_STATUS = 1400,
    /**
     * 401: the account needs two-factor authentication, for which the API documents no way. Never retried.
     */
    CD_ERR_TWO_FACTOR_REQUIRED = 1401,
    /**
     * 403: wrong user name or password, or an unconfirmed account. Never retried.
     */
    CD_ERR_ACCESS_DENIED = 1403,
    /**
     * 429: too many requests; retries did not help, or the wait that the service asks for does not fit into the
     * deadline and was not begun. See `cd_error_retry_after_seconds()`.
     */
    CD_ERR_RATE_LIMITED = 1429,
    /**
     * 500, 502 or 504: the service failed; retries did not help, or there was no time for them.
     */
    CD_ERR_SERVER = 1500,
    /**
     * 503: the service has no capacity; retries did not help, or there was no time for them.
     */
    CD_ERR_UNAVAILABLE = 1503,
    /**
     * An argument that must not be NULL was NULL.
     */
    CD_ERR_NULL_ARGUMENT = 2001,
    /**
     * A string is not valid UTF-8 (or, in languages whose strings can, holds a NUL).
     */
    CD_ERR_INVALID_UTF8 = 2002,
    /**
     * A string that must not be empty was empty.
     */
    CD_ERR_EMPTY_ARGUMENT = 2003,
    /**
     * A number or the length of a string is out of its range, or a string holds control characters.
     */
    CD_ERR_OUT_OF_RANGE = 2004,
    /**
     * A URL is none, or has a part that it must not have.
     */
    CD_ERR_INVALID_URL = 2005,
    /**
     * Plain `http` to a host that is not loopback, or through a proxy.
     */
    CD_ERR_INSECURE_URL = 2006,
    /**
     * A CA file is missing, unreadable, empty, or holds no usable certificate.
     */
    CD_ERR_CA_FILE = 2007,
    /**
     * A setter was called after the first call that used these options: a login, or `cd_connect()`.
     */
    CD_ERR_OPTIONS_IN_USE = 2008,
    /**
     * A host name could not be resolved.
     */
    CD_ERR_DNS = 3001,
    /**
     * No connection could be made to any address of the host, or of the proxy where one applies.
     */
    CD_ERR_CONNECT = 3002,
    /**
     * The proxy refused, or a proxy variable of the environment can't be used. A proxy that can't be reached has the
     * code of what failed (`CD_ERR_DNS`, `CD_ERR_CONNECT`, …), and its message names the proxy.
     */
    CD_ERR_PROXY = 3003,
    /**
     * TLS refused: the message says what was wrong, for instance with the server's certificate. Also where the
     * system's trust store, or what `SSL_CERT_FILE` or `SSL_CERT_DIR` name, can't be used.
     */
    CD_ERR_TLS = 3004,
    /**
     * The deadline passed, or a connection took longer than the connect timeout.
     */
    CD_ERR_TIMEOUT = 3005,
    /**
     * The connection ended before the answer was whole, or in the TLS handshake.
     */
    CD_ERR_CONNECTION_LOST = 3006,
    /**
     * The answer is not one of this API, or a 200 has no usable token.
     */
    CD_ERR_MALFORMED_RESPONSE = 4001,
    /**
     * The answer is larger than the limit.
     */
    CD_ERR_RESPONSE_TOO_LARGE = 4002,
    /**
     * The call was stopped by its cancel handle.
     */
    CD_ERR_CANCELLED = 5001,
    /**
     * A defect in the library, caught at its boundary. The process is unharmed.
     */
    CD_ERR_PANIC = 9001,
    /**
     * A state that the library did not expect.
     */
    CD_ERR_INTERNAL = 9002,
    /**
     * The process ran out of descriptors, threads or memory.
     */
    CD_ERR_RESOURCES = 9003,
};
#ifndef __cplusplus
typedef int32_t cd_code;
#endif // __cplusplus

/**
 * Lets another thread, or a signal handler, stop a login.
 *
 * Made by `cd_cancel_new()`, and must be released with `cd_cancel_free()` when no call, trigger or handler can use it
 * any more. One handle may serve many calls, at the same time or one after another. Triggering is sticky and there
 * is no reset: with a triggered handle a call gives `CD_ERR_CANCELLED` and sends nothing.
 *
 * Functions: `cd_cancel_new()`, `cd_cancel_trigger()`, `cd_cancel_is_triggered()`, `cd_cancel_set_check()`,
 * `cd_cancel_free()`.
 */
typedef struct cd_cancel cd_cancel;

/**
 * What went wrong in ONE call: an immutable snapshot.
 *
 * Made by any function with a `cd_error **` argument, and must be released with `cd_error_free()`. Every accessor
 * takes NULL. Any thread may read it, several at once; the strings are valid until it is freed. No part of it holds
 * a token, or the password in a form that `cd_error_server_message()` lists; the user name only if the server's message
 * holds it.
 *
 * Functions: `cd_error_code()`, `cd_error_message()`, `cd_error_http_status()`, `cd_error_server_message()`,
 * `cd_error_retry_after_seconds()`, `cd_error_attempts()`, `cd_error_is_retryable()`, `cd_error_free()`.
 */
typedef struct cd_error cd_error;

/**
 * How to reach the service; holds the connections that are kept for the next login.
 *
 * Made by `cd_options_new()`, and must be released with `cd_options_free()` when no call uses it any more. Set it up
 * on one thread; once no setter runs any more it serves any number of threads. The first call that uses it and whose
 * arguments are good freezes it: a later setter returns `CD_ERR_OPTIONS_IN_USE`. A setter copies its argument; it
 * refuses a bad one, and then changes nothing.
 *
 * When it freezes, the environment is read, once: the proxy variables (`HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`) if
 * no proxy was set, and `SSL_CERT_FILE` and `SSL_CERT_DIR` if no CA file was set. In a set-user-id process it is not
 * read at all.
 *
 * Functions: `cd_options_new()`, `cd_options_set_base_url()`, `cd_options_set_body_format()`,
 * `cd_options_set_timeout_ms()`, `cd_options_set_connect_timeout_ms()`, `cd_options_set_max_retries()`,
 * `cd_options_set_backoff_ms()`, `cd_options_set_proxy()`, `cd_options_set_ca_file()`,
 * `cd_options_set_user_agent()`, `cd_options_set_max_response_bytes()`, `cd_options_set_logger()`,
 * `cd_options_set_environment()`, `cd_options_free()`.
 */
typedef struct cd_options cd_options;

/**
 * A token: a secret of 1 to 65,536 printable ASCII characters, without a space.
 *
 * Made by `cd_authenticate()` and `cd_authenticate_with()`, and must be released with `cd_token_free()`, which wipes
 * it. Immutable: any thread may read it, several at once. Send it in the request header named
 * `COUCHDROP_TOKEN_HEADER`, over https, to the service alone.
 *
 * Functions: `cd_token_str()`, `cd_token_len()`, `cd_token_free()`.
 */
typedef struct cd_token cd_token;

/**
 * Told what happens, as one line of UTF-8 without secrets, valid during the call.
 *
 * Runs only on threads that are inside a call with these options, perhaps on several at once, never after that call
 * has returned, and with no lock held. It returns normally (no exception, `longjmp` or exit) and neither sets nor
 * frees these options.
 */
typedef void (*cd_log_fn)(void *user_data, int32_t level, const char *message);

/**
 * Asked on the calling thread, with no lock held, whenever a signal interrupts the wait of a call and at least every
 * 50 ms of it; returns 0 to go on, anything else to stop that call alone, which then gives `CD_ERR_CANCELLED`.
 *
 * For hosts that must run their own signal handlers while a login waits. It returns normally: no exception,
 * `longjmp` or exit.
 */
typedef int32_t (*cd_check_fn)(void *user_data);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Logs in to the real service with the defaults: `cd_authenticate_with()` without options, cancel handle and timeout
 * of its own.
 */
COUCHDROP_NODISCARD
cd_code cd_authenticate(const char *username,
                        const char *password,
                        const char *system,
                        cd_token **token,
                        cd_error **error);

/**
 * Logs in: turns a user name and a password into a token, over `POST BASE_URL/authenticate`.
 *
 * Blocks until the login has succeeded, failed, timed out or been cancelled. Re-entrant: any number of threads may
 * call it at once, with the same options and cancel handle too.
 *
 * - `options`: how to reach the service; NULL = the defaults. The first call that uses them, with good
 *   arguments, freezes them.
 * - `cancel`: what may stop this call; NULL = nothing.
 * - `timeout_ms`: how long this whole call may take, 1 to 3600000 ms; 0 = what the options say.
 * - `username`, `password`: UTF-8, not empty, at most 64 KiB each. They are not kept.
 * - `system`: names the program or system that logs in; NULL or empty = none.
 * - `token`: where the token goes; must not be NULL. NULL is stored there on failure. The caller releases it with
 *   `cd_token_free()`.
 * - `error`: where an error object goes that the caller releases with `cd_error_free()`; NULL = not wanted. NULL is
 *   stored there on success.
 *
 * Returns `CD_OK` or why not: any code but `CD_ERR_INVALID_URL`, `CD_ERR_INSECURE_URL`, `CD_ERR_CA_FILE` and
 * `CD_ERR_OPTIONS_IN_USE`. A code of 2xxx means that nothing was sent.
 */
COUCHDROP_NODISCARD
cd_code cd_authenticate_with(const cd_options *options,
                             const cd_cancel *cancel,
                             uint32_t timeout_ms,
                             const char *username,
                             const char *password,
                             const char *system,
                             cd_token **token,
                             cd_error **error);

/**
 * Connects now, so that the next login with these options needs one round trip: resolves, connects (through the
 * proxy where one applies), and finishes the TLS handshake. Sends no byte of a request, and does not retry.
 *
 * Also tells why a machine can't reach the service. A connection that is there and still alive makes it succeed at
 * once. Arguments and threads are as for `cd_authenticate_with()`; `timeout_ms` of 0 means the options' connect
 * timeout.
 *
 * Returns `CD_OK`, or the code that a login would return if it could not connect: `CD_ERR_DNS`,
 * `CD_ERR_CONNECT`, `CD_ERR_PROXY`, `CD_ERR_TLS`, `CD_ERR_TIMEOUT`, `CD_ERR_CONNECTION_LOST`, `CD_ERR_CANCELLED`,
 * `CD_ERR_RESOURCES`, `CD_ERR_INTERNAL`, `CD_ERR_PANIC`, `CD_ERR_OUT_OF_RANGE` for `timeout_ms`.
 */
COUCHDROP_NODISCARD
cd_code cd_connect(const cd_options *options,
                   const cd_cancel *cancel,
                   uint32_t timeout_ms,
                   cd_error **error);

/**
 * The token's characters, ended by a NUL.
 *
 * Returns a string that belongs to the token and is valid until `cd_token_free()`; NULL for NULL. A copy of it is
 * the caller's to wipe (`cd_secure_zero()`).
 */
const char *cd_token_str(const cd_token *token);

/**
 * The token's length in bytes, its NUL not counted; 0 for NULL.
 */
size_t cd_token_len(const cd_token *token);

/**
 * Wipes and releases a token. NULL is fine.
 */
void cd_token_free(cd_token *token);

/**
 * The code of the error; `CD_OK` for NULL.
 */
COUCHDROP_NODISCARD cd_code cd_error_code(const cd_error *error);

/**
 * What went wrong, in one or two English sentences of the library's own: it does not quote the server.
 *
 * Returns a UTF-8 string that belongs to the error and is valid until `cd_error_free()`; never NULL, and empty for
 * NULL.
 */
const char *cd_error_message(const cd_error *error);

/**
 * The HTTP status of the last attempt's answer; 0 where it got none, and for NULL.
 *
 * With `CD_ERR_PROXY` it is the proxy's own status.
 */
int32_t cd_error_http_status(const cd_error *error);

/**
 * The server's message in the body of its refusal: the member `err` or `error` of a JSON body, or the start of a text
 * body.
 *
 * Trimmed, without control and invisible characters, at most 1 KiB of UTF-8. Foreign text: show it, but don't parse it.
 *
 * A message that repeats the password is not returned. It is searched for the password, and for all of it but the first
 * or last character if it has five or more. The search ignores case, white space, plus signs, semicolons and invisible
 * characters. It decodes percent-encoding, the escapes of JSON and `\xHH`, and HTML's numeric entities and `amp`, `lt`,
 * `gt`, `quot`, `apos` and `nbsp`, up to eight of these within each other. Without the letters that are not ASCII
 * (Latin-1, other entities, combining accents) it finds a password that has at least four ASCII letters or digits. At
 * the end of a text that was cut, any beginning of the password counts. No other form is searched for: a server that
 * shows the password in base64, reversed or in parts is not noticed.
 *
 * Returns a string that belongs to the error and is valid until `cd_error_free()`; NULL if there is no message, if it
 * repeats the password, after a status of 200 (it might hold a token), and for NULL.
 */
const char *cd_error_server_message(const cd_error *error);

/**
 * How many seconds the last answer asked to wait (its `Retry-After` header: RFC 9110, 10.2.3); -1 where it asked
 * nothing that can be read, and for NULL.
 */
int64_t cd_error_retry_after_seconds(const cd_error *error);

/**
 * How many requests were sent: those whose first byte was handed to a connection. 0 for NULL.
 */
uint32_t cd_error_attempts(const cd_error *error);

/**
 * Returns 1 if the same call may succeed later without any change, else 0; 0 for NULL.
 *
 * Differs from `cd_code_is_retryable()` for `CD_ERR_PROXY`: 1 if the proxy could not reach the service at that moment
 * (CONNECT answered with 429, 500, 502, 503 or 504; SOCKS5 replies 1, 3, 4, 5, 6), 0 if it refused by policy or for
 * the credentials. The library has made its own retries already, so wait before you call again.
 */
int32_t cd_error_is_retryable(const cd_error *error);

/**
 * Releases an error, and with it its strings. NULL is fine.
 */
void cd_error_free(cd_error *error);

/**
 * The name of a code, for instance `"CD_ERR_TIMEOUT"`.
 *
 * Any integer is accepted; one that is no code of this version gives `"CD_ERR_UNKNOWN"`.
 *
 * Returns a static string, never NULL, that nobody frees. Any thread may call it.
 */
const char *cd_code_name(int32_t code);

/**
 * One English sentence about a code.
 *
 * Any integer is accepted; one that is no code of this version gives a sentence that says so.
 *
 * Returns a static string, never NULL, that nobody frees. Any thread may call it.
 */
const char *cd_code_message(int32_t code);

/**
 * Returns 1 if the same call may succeed later without any change, else 0.
 *
 * The library has retried already what it may retry (see `cd_options_set_max_retries()`), so wait before you call
 * again. Any integer is accepted; one that is no code of this version gives 0. Any thread may call it.
 */
int32_t cd_code_is_retryable(int32_t code);

/**
 * Makes options with the defaults: the real service, 30 s for a whole call, 10 s to connect, 4 retries with a
 * back-off of 1 s to 8 s, the environment's proxy, the system's trust store, answers of at most 64 KiB, no logger.
 *
 * The first call that uses options reads the environment with `getenv`. In C, `getenv` while another thread calls
 * `setenv`, `putenv` or `unsetenv` is a data race and can crash the process: a program that changes its environment
 * on another thread gives the variables by `cd_options_set_environment()` instead.
 *
 * Never returns NULL. Release them with `cd_options_free()`. Any thread may call it.
 */
COUCHDROP_NODISCARD
cd_options *cd_options_new(void);

/**
 * Sets where the service is: `https://HOST[:PORT][/PREFIX]`, to which `/authenticate` is added. A slash at its end
 * is ignored.
 *
 * Plain `http` is taken for loopback addresses alone (127.0.0.0/8, ::1, localhost).
 *
 * Fails with `CD_ERR_INVALID_URL` (no URL, user info, a query, a fragment, …), `CD_ERR_INSECURE_URL`,
 * `CD_ERR_NULL_ARGUMENT`, `CD_ERR_EMPTY_ARGUMENT`, `CD_ERR_INVALID_UTF8`, `CD_ERR_OUT_OF_RANGE`,
 * `CD_ERR_OPTIONS_IN_USE`.
 */
COUCHDROP_NODISCARD
cd_code cd_options_set_base_url(cd_options *options,
                                const char *url,
                                cd_error **error);

/**
 * Sets how a login is encoded: `CD_BODY_AUTO` (the default), `CD_BODY_FORM` or `CD_BODY_JSON`.
 *
 * The service documents neither. `CD_BODY_AUTO` sends a form; where that is answered with 400, 415 or 422 it sends
 * the same login once more as JSON, and remembers JSON for these options after a success with it.
 *
 * Fails with `CD_ERR_OUT_OF_RANGE`, `CD_ERR_NULL_ARGUMENT`, `CD_ERR_OPTIONS_IN_USE`.
 */
COUCHDROP_NODISCARD
cd_code cd_options_set_body_format(cd_options *options,
                                   int32_t format,
                                   cd_error **error);

/**
 * Sets how long a whole call may take, retries included: 1 to 3600000 ms, 30000 where nothing is set.
 *
 * Fails with `CD_ERR_OUT_OF_RANGE`, `CD_ERR_NULL_ARGUMENT`, `CD_ERR_OPTIONS_IN_USE`.
 */
COUCHDROP_NODISCARD
cd_code cd_options_set_timeout_ms(cd_options *options,
                                  uint32_t ms,
                                  cd_error **error);

/**
 * Sets how long one attempt may take to resolve, connect (through a proxy too) and finish the TLS handshake: 1 to
 * 3600000 ms, 10000 where nothing is set.
 *
 * Fails with `CD_ERR_OUT_OF_RANGE`, `CD_ERR_NULL_ARGUMENT`, `CD_ERR_OPTIONS_IN_USE`.
 */
COUCHDROP_NODISCARD
cd_code cd_options_set_connect_timeout_ms(cd_options *options,
                                          uint32_t ms,
                                          cd_error **error);

/**
 * Sets how often a login is tried again after an answer of 429, 500, 502, 503 or 504, or a connection that could not
 * be made: 0 to 10, 4 where nothing is set. Never tried again is what the service refused (401, 403).
 *
 * Fails with `CD_ERR_OUT_OF_RANGE`, `CD_ERR_NULL_ARGUMENT`, `CD_ERR_OPTIONS_IN_USE`.
 */
COUCHDROP_NODISCARD
cd_code cd_options_set_max_retries(cd_options *options,
                                   uint32_t count,
                                   cd_error **error);

/**
 * Sets the back-off between attempts, in ms: each wait is random between 0 and a window, which doubles from
 * `first` to `max` (1000 and 8000 where nothing is set; both 0 to 3600000, `first` not above `max`; a `first` of 0 stays
 * 0: no wait). With a `Retry-After` the wait is that time and a random part of the larger of it and the window.
 *
 * Fails with `CD_ERR_OUT_OF_RANGE`, `CD_ERR_NULL_ARGUMENT`, `CD_ERR_OPTIONS_IN_USE`.
 */
COUCHDROP_NODISCARD
cd_code cd_options_set_backoff_ms(cd_options *options,
                                  uint32_t first,
                                  uint32_t max,
                                  cd_error **error);

/**
 * Sets the proxy: `[http://][USER:PASSWORD@]HOST[:PORT]` (HTTP CONNECT), or the same with `socks5://` (names looked
 * up here) or `socks5h://` (by the proxy). NULL means none, whatever the environment says; where nothing is set, the
 * environment decides. The port is 1080 where none is given.
 *
 * Fails with `CD_ERR_INVALID_URL`, `CD_ERR_INSECURE_URL` (the base URL is plain http, which never goes through a
 * proxy), `CD_ERR_EMPTY_ARGUMENT`, `CD_ERR_INVALID_UTF8`, `CD_ERR_OUT_OF_RANGE`, `CD_ERR_NULL_ARGUMENT`,
 * `CD_ERR_OPTIONS_IN_USE`.
 */
COUCHDROP_NODISCARD
cd_code cd_options_set_proxy(cd_options *options,
                             const char *url,
                             cd_error **error);

/**
 * Sets a file of CA certificates (PEM) that are trusted in place of the system's. It is read here, at once.
 *
 * A server's own self-signed certificate may stand in it: it is taken when it is that very certificate, and its
 * name and dates are good.
 *
 * Fails with `CD_ERR_CA_FILE` (missing, unreadable, empty, no certificate in it, a broken one),
 * `CD_ERR_NULL_ARGUMENT`, `CD_ERR_EMPTY_ARGUMENT`, `CD_ERR_INVALID_UTF8`, `CD_ERR_OUT_OF_RANGE`,
 * `CD_ERR_OPTIONS_IN_USE`, `CD_ERR_RESOURCES`.
 */
COUCHDROP_NODISCARD
cd_code cd_options_set_ca_file(cd_options *options,
                               const char *path,
                               cd_error **error);

/**
 * Sets what stands before the library's own name in the `User-Agent` header (RFC 9110, 10.1.5), for instance
 * `acme/2.1`.
 *
 * Fails with `CD_ERR_OUT_OF_RANGE` (control characters, or too long), `CD_ERR_NULL_ARGUMENT`,
 * `CD_ERR_EMPTY_ARGUMENT`, `CD_ERR_INVALID_UTF8`, `CD_ERR_OPTIONS_IN_USE`.
 */
COUCHDROP_NODISCARD
cd_code cd_options_set_user_agent(cd_options *options,
                                  const char *product,
                                  cd_error **error);

/**
 * Sets how large the body of an answer may be: 1024 to 16777216 bytes, 65536 where nothing is set.
 *
 * Fails with `CD_ERR_OUT_OF_RANGE`, `CD_ERR_NULL_ARGUMENT`, `CD_ERR_OPTIONS_IN_USE`.
 */
COUCHDROP_NODISCARD
cd_code cd_options_set_max_response_bytes(cd_options *options,
                                          size_t bytes,
                                          cd_error **error);

/**
 * Sets the function that is told what happens (see `cd_log_fn`); NULL = none. `max_level` is from `CD_LOG_ERROR` (1)
 * to `CD_LOG_DEBUG` (4), also with NULL: a message above it is not even made. `user_data` is passed on and otherwise left alone; it
 * must live as long as calls with these options.
 *
 * Fails with `CD_ERR_OUT_OF_RANGE`, `CD_ERR_NULL_ARGUMENT`, `CD_ERR_OPTIONS_IN_USE`.
 */
COUCHDROP_NODISCARD
cd_code cd_options_set_logger(cd_options *options,
                              cd_log_fn log,
                              void *user_data,
                              int32_t max_level,
                              cd_error **error);

/**
 * Gives the value of an environment variable; NULL = unset. After the first such call the process's environment is
 * not read for these options: variables that were not given count as unset.
 *
 * - `name`: `HTTPS_PROXY`, `ALL_PROXY` or `NO_PROXY`, in upper or lower case, `SSL_CERT_FILE` or `SSL_CERT_DIR`.
 * - `value`: any bytes up to a NUL, of any length, as the environment has them; empty counts as unset. It is checked when the options freeze: the
 *   first call then fails with `CD_ERR_PROXY` or `CD_ERR_TLS` as for the process's own variables, freezes nothing, and
 *   the variable can be given again. In a set-user-id process the values are ignored, as the environment is.
 *
 * Fails with `CD_ERR_OUT_OF_RANGE` (another name), `CD_ERR_NULL_ARGUMENT`, `CD_ERR_EMPTY_ARGUMENT`,
 * `CD_ERR_INVALID_UTF8` (the name), `CD_ERR_OPTIONS_IN_USE`.
 */
COUCHDROP_NODISCARD
cd_code cd_options_set_environment(cd_options *options,
                                   const char *name,
                                   const char *value,
                                   cd_error **error);

/**
 * Releases options and closes their connections, when no call uses them any more. In a child of `fork` the parent's
 * connections are left alone. NULL is fine.
 */
void cd_options_free(cd_options *options);

/**
 * Makes a cancel handle. Takes no descriptor: the first call that waits on it does.
 *
 * Never returns NULL. Release it with `cd_cancel_free()`. Any thread may call it.
 */
COUCHDROP_NODISCARD cd_cancel *cd_cancel_new(void);

/**
 * Stops the calls that use this handle, now and later: each returns `CD_ERR_CANCELLED` within 50 ms, wherever it
 * waits.
 *
 * Async-signal-safe, keeps `errno`, and may be called from any thread, more than once. In a child of `fork` it does
 * not stop the parent's calls. NULL is fine.
 */
void cd_cancel_trigger(cd_cancel *cancel);

/**
 * Whether the handle was triggered: 1 or 0, and 0 for NULL. Any thread may call it.
 */
int32_t cd_cancel_is_triggered(const cd_cancel *cancel);

/**
 * Sets the function that calls with this handle ask while they wait (see `cd_check_fn`); NULL = none.
 *
 * Set it before the first call that uses the handle: while a call does, it has no effect. `user_data` is passed on to
 * the function and otherwise left alone. NULL for `cancel` is fine.
 */
void cd_cancel_set_check(cd_cancel *cancel,
                         cd_check_fn check,
                         void *user_data);

/**
 * Releases a cancel handle, when no call, trigger or handler can use it any more. NULL is fine.
 */
void cd_cancel_free(cd_cancel *cancel);

/**
 * The version of the library that is loaded, for instance `"1.0.0"`; compare with `COUCHDROP_VERSION`, that of the
 * header. A static string that nobody frees. Any thread may call it.
 */
const char *cd_version(void);

/**
 * The version as a number that grows: major * 1000000 + minor * 1000 + patch. Any thread may call it.
 */
uint32_t cd_version_number(void);

/**
 * The version of the ABI: 1. Within one nothing is removed, renumbered or changed in meaning. Any thread may call it.
 */
uint32_t cd_abi_version(void);

/**
 * Overwrites `length` bytes at `buffer` with zeros in a way that no compiler leaves out: for a caller's own copies
 * of a password or a token. NULL is fine. Any thread may call it.
 */
void cd_secure_zero(void *buffer,
                    size_t length);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* COUCHDROP_H */
