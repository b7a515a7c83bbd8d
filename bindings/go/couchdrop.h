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
 * Objects: release each object with the `_free` function of its type, which accepts NULL too. Do not call `free()` on
 * anything from this library. Returned strings belong to their object. String arguments are NUL-terminated UTF-8 of at
 * most 64 KiB; the library does not keep them.
 *
 * Errors: a function that can fail returns a `cd_code`, and its last parameter is a `cd_error **`, which may be NULL.
 * On failure the function stores an error object for this one call there, and NULL on success. There is no global
 * "last error". Compilers warn if a code is ignored. To ignore it on purpose, write
 * `if (cd_options_set_timeout_ms(o, 5000, NULL)) {}`.
 *
 * Threads: `cd_authenticate()`, `cd_authenticate_with()` and `cd_connect()` are re-entrant. Each type documents its
 * other thread rules. A child process can log in after `fork`, at any moment.
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
 * For `cd_options_set_body_format()`: a form first, then JSON if the service rejects the format (the default).
 */
#define CD_BODY_AUTO 0

/**
 * For `cd_options_set_body_format()`: only `application/x-www-form-urlencoded`.
 */
#define CD_BODY_FORM 1

/**
 * For `cd_options_set_body_format()`: only `application/json`.
 */
#define CD_BODY_JSON 2

/**
 * A login or `cd_connect()` failed and was not cancelled.
 */
#define CD_LOG_ERROR 1

/**
 * A condition that an administrator should look at, or a retry with its reason.
 */
#define CD_LOG_WARN 2

/**
 * A login succeeded, a login or `cd_connect()` was cancelled, or a request was sent again on a new connection.
 */
#define CD_LOG_INFO 3

/**
 * Each phase with its duration, addresses, and events of connections.
 */
#define CD_LOG_DEBUG 4

/**
 * The result of a call. The codes are stable: none is removed or renumbered. New codes may appear, so a `switch` needs
 * a default. The category is `code / 1000`.
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
     * The service returned a status that has no code of its own: see `cd_error_http_status()`.
     */
    CD_ERR_HTTP_STATUS = 1400,
    /**
     * 401: the account needs two-factor authentication, and the API documents no way to do it. Never retried.
     */
    CD_ERR_TWO_FACTOR_REQUIRED = 1401,
    /**
     * 403: wrong user name or password, or an unconfirmed account. Never retried.
     */
    CD_ERR_ACCESS_DENIED = 1403,
    /**
     * 429: too many requests. Either the retries did not help, or the wait that the service asks for does not fit into
     * the deadline and did not start. See `cd_error_retry_after_seconds()`.
     */
    CD_ERR_RATE_LIMITED = 1429,
    /**
     * 500, 502 or 504: the service failed. The retries did not help, or there was no time for them.
     */
    CD_ERR_SERVER = 1500,
    /**
     * 503: the service has no capacity. The retries did not help, or there was no time for them.
     */
    CD_ERR_UNAVAILABLE = 1503,
    /**
     * An argument that must not be NULL was NULL.
     */
    CD_ERR_NULL_ARGUMENT = 2001,
    /**
     * A string is not valid UTF-8 or contains a NUL (in languages whose strings can).
     */
    CD_ERR_INVALID_UTF8 = 2002,
    /**
     * A string that must not be empty was empty.
     */
    CD_ERR_EMPTY_ARGUMENT = 2003,
    /**
     * A number or the length of a string is out of its range, or a string contains control characters.
     */
    CD_ERR_OUT_OF_RANGE = 2004,
    /**
     * A URL is not valid, or has a part that is not allowed.
     */
    CD_ERR_INVALID_URL = 2005,
    /**
     * Plain `http` to a host that is not loopback, or through a proxy.
     */
    CD_ERR_INSECURE_URL = 2006,
    /**
     * A CA file is missing, unreadable, empty, or contains no usable certificate.
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
     * No connection could be made to any address of the host, or of the proxy if one is used.
     */
    CD_ERR_CONNECT = 3002,
    /**
     * The proxy refused the connection, or a proxy variable of the environment can't be used. An unreachable proxy has
     * the code of the step that failed (`CD_ERR_DNS`, `CD_ERR_CONNECT`, …), and the message names the proxy.
     */
    CD_ERR_PROXY = 3003,
    /**
     * TLS failed. The message gives the reason, for example a fault of the server's certificate. Also returned if the
     * system's trust store, or the file or directory that `SSL_CERT_FILE` or `SSL_CERT_DIR` names, can't be used.
     */
    CD_ERR_TLS = 3004,
    /**
     * The deadline passed, or a connection took longer than the connect timeout.
     */
    CD_ERR_TIMEOUT = 3005,
    /**
     * The connection ended before the response was complete, or in the TLS handshake.
     */
    CD_ERR_CONNECTION_LOST = 3006,
    /**
     * The response is not one that this API documents, or a 200 has no usable token.
     */
    CD_ERR_MALFORMED_RESPONSE = 4001,
    /**
     * The response is larger than the limit.
     */
    CD_ERR_RESPONSE_TOO_LARGE = 4002,
    /**
     * The cancel handle stopped the call.
     */
    CD_ERR_CANCELLED = 5001,
    /**
     * A defect in the library, caught at the C boundary. The process is unharmed.
     */
    CD_ERR_PANIC = 9001,
    /**
     * The library reached an unexpected state.
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
 * Made by `cd_cancel_new()`. It must be released with `cd_cancel_free()` when no call, trigger or handler can use it
 * any more. One handle may serve many calls, at the same time or one after another. A trigger is permanent and can't
 * be reset: with a triggered handle a call returns `CD_ERR_CANCELLED` and sends nothing.
 *
 * Functions: `cd_cancel_new()`, `cd_cancel_trigger()`, `cd_cancel_is_triggered()`, `cd_cancel_set_check()`,
 * `cd_cancel_free()`.
 */
typedef struct cd_cancel cd_cancel;

/**
 * The reason why ONE call failed: an immutable snapshot.
 *
 * Made by any function with a `cd_error **` argument. It must be released with `cd_error_free()`. Every accessor
 * accepts NULL. Any thread may read it, several at the same time. The strings are valid until it is freed.
 *
 * It never contains a token, or the password in a form that `cd_error_server_message()` lists. It contains the user
 * name only if the server's message does.
 *
 * Functions: `cd_error_code()`, `cd_error_message()`, `cd_error_http_status()`, `cd_error_server_message()`,
 * `cd_error_retry_after_seconds()`, `cd_error_attempts()`, `cd_error_is_retryable()`, `cd_error_free()`.
 */
typedef struct cd_error cd_error;

/**
 * How to reach the service. The options also own the idle connections for the next login.
 *
 * Made by `cd_options_new()`. They must be released with `cd_options_free()` when no call uses them any more. Set them
 * up on one thread; when no setter runs any more, any number of threads may use them. The first call that uses them
 * with valid arguments freezes them: a later setter returns `CD_ERR_OPTIONS_IN_USE`. A setter copies its argument. If
 * the argument is invalid, the setter returns an error and changes nothing.
 *
 * The environment is read once, when the options freeze. If no proxy was set, the proxy variables are read
 * (`HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`). If no CA file was set, `SSL_CERT_FILE` and `SSL_CERT_DIR` are read. A
 * set-user-id process does not read the environment at all.
 *
 * Functions: `cd_options_new()`, `cd_options_set_base_url()`, `cd_options_set_body_format()`,
 * `cd_options_set_timeout_ms()`, `cd_options_set_connect_timeout_ms()`, `cd_options_set_max_retries()`,
 * `cd_options_set_backoff_ms()`, `cd_options_set_proxy()`, `cd_options_set_ca_file()`,
 * `cd_options_set_user_agent()`, `cd_options_set_max_response_bytes()`, `cd_options_set_logger()`,
 * `cd_options_set_environment()`, `cd_options_free()`.
 */
typedef struct cd_options cd_options;

/**
 * Keeps one account logged in: it holds the current token, and logs in again when a new one is needed.
 *
 * Made by `cd_session_new()`. It must be released with `cd_session_free()` when no call uses it any more, and before
 * its options. Any number of threads may use it at the same time.
 *
 * - One login at a time. The other callers wait for its result, each within its own limits, and receive it too.
 * - After a status of 401 or 403 the same error is returned for 60 s, without a request. Otherwise many workers with a
 *   wrong password would lock the account.
 * - After the service's 429 or 503 with `Retry-After`, no login is sent before that time, at most an hour. A call
 *   whose timeout allows it waits. Another returns the error at once, with the seconds that are left.
 * - A logger or a check that runs during the session's login may use the session: that call makes a login of its own.
 * - A child of `fork` begins with the parent's token. Until the child exits, its memory contains that copy.
 *
 * Functions: `cd_session_new()`, `cd_session_token()`, `cd_session_peek()`, `cd_session_set_max_age_seconds()`,
 * `cd_session_set_min_age_seconds()`, `cd_session_free()`.
 */
typedef struct cd_session cd_session;

/**
 * A token: a secret of 1 to 65,536 printable ASCII characters, without a space.
 *
 * Made by `cd_authenticate()` and `cd_authenticate_with()`. It must be released with `cd_token_free()`, which wipes
 * it. Immutable: any thread may read it, several at the same time. Send it only to the service, over https, in the
 * request header named `COUCHDROP_TOKEN_HEADER`.
 *
 * Functions: `cd_token_str()`, `cd_token_len()`, `cd_token_free()`.
 */
typedef struct cd_token cd_token;

/**
 * A function that receives each log message as one line of UTF-8 without secrets. The message is valid during the
 * call.
 *
 * It runs only on threads that are inside a call with these options, perhaps on several at the same time. It never
 * runs after that call has returned, or with a lock held. It must return normally (no exception, `longjmp` or exit).
 * It must not fork, and must neither set nor free these options.
 */
typedef void (*cd_log_fn)(void *user_data, int32_t level, const char *message);

/**
 * A function that the library calls on the calling thread, with no lock held. It is called whenever a signal
 * interrupts the wait of a call, and at least every 50 ms of the wait. It returns 0 to continue. Any other value stops
 * that call only, which then returns `CD_ERR_CANCELLED`.
 *
 * For hosts that must run their own signal handlers while a login waits. The function must return normally (no
 * exception, `longjmp` or exit), and must not fork.
 */
typedef int32_t (*cd_check_fn)(void *user_data);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Logs in to the real service with the defaults.
 * Same as `cd_authenticate_with()` without options or a cancel handle and with `timeout_ms` 0.
 */
COUCHDROP_NODISCARD
cd_code cd_authenticate(const char *username,
                        const char *password,
                        const char *system,
                        cd_token **token,
                        cd_error **error);

/**
 * Logs in: exchanges a user name and a password for a token, with `POST BASE_URL/authenticate`.
 *
 * Blocks until the login succeeds, fails, times out or is cancelled. Re-entrant: any number of threads may call it at
 * the same time, also with the same options and cancel handle.
 *
 * - `options`: how to reach the service; NULL = the defaults. The first call that uses them with valid arguments
 *   freezes them.
 * - `cancel`: the handle that can stop this call; NULL = none.
 * - `timeout_ms`: the limit for this whole call, 1 to 3600000 ms; 0 = the timeout of the options.
 * - `username`, `password`: UTF-8, not empty, at most 64 KiB each. They are not kept.
 * - `system`: names the program or system that logs in; NULL or empty = none.
 * - `token`: receives the token; must not be NULL. Receives NULL on failure. The caller releases the token with
 *   `cd_token_free()`.
 * - `error`: receives an error object on failure and NULL on success; NULL = not wanted. The caller releases the
 *   object with `cd_error_free()`.
 *
 * Returns `CD_OK` or an error code: any code except `CD_ERR_INVALID_URL`, `CD_ERR_INSECURE_URL`, `CD_ERR_CA_FILE` and
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
 * Connects now, so that the next login with these options needs one round trip. It resolves the host name, connects
 * (through the proxy if one is used), and finishes the TLS handshake. It sends no byte of a request, and does not
 * retry.
 *
 * Also reports why a machine can't reach the service. If an idle connection is still open, the call succeeds at once.
 * Arguments and threads are as for `cd_authenticate_with()`; a `timeout_ms` of 0 means the connect timeout of the
 * options.
 *
 * Returns `CD_OK`, or the code that a login would return if it could not connect: `CD_ERR_DNS`, `CD_ERR_CONNECT`,
 * `CD_ERR_PROXY`, `CD_ERR_TLS`, `CD_ERR_TIMEOUT`, `CD_ERR_CONNECTION_LOST`, `CD_ERR_CANCELLED`, `CD_ERR_RESOURCES`,
 * `CD_ERR_INTERNAL`, `CD_ERR_PANIC`, `CD_ERR_OUT_OF_RANGE` for `timeout_ms`.
 */
COUCHDROP_NODISCARD
cd_code cd_connect(const cd_options *options,
                   const cd_cancel *cancel,
                   uint32_t timeout_ms,
                   cd_error **error);

/**
 * Makes a session for one account. Sends nothing.
 *
 * - `options`: how to reach the service; NULL = the defaults. This call freezes them. They must not be freed before
 *   the session.
 * - `username`, `password`, `system`: as for `cd_authenticate_with()`. The session keeps copies, and wipes them in
 *   `cd_session_free()`.
 * - `session`: receives the session; must not be NULL. Receives NULL on failure. The caller releases the session with
 *   `cd_session_free()`.
 * - `error`: receives an error object on failure and NULL on success; NULL = not wanted. The caller releases the
 *   object with `cd_error_free()`.
 *
 * Returns `CD_OK`, `CD_ERR_NULL_ARGUMENT`, `CD_ERR_INVALID_UTF8`, `CD_ERR_EMPTY_ARGUMENT`, `CD_ERR_OUT_OF_RANGE`, or
 * for a variable of the environment that can't be used `CD_ERR_PROXY` or `CD_ERR_TLS`; also `CD_ERR_RESOURCES` and
 * `CD_ERR_PANIC`. Any thread may call it.
 */
COUCHDROP_NODISCARD
cd_code cd_session_new(const cd_options *options,
                       const char *username,
                       const char *password,
                       const char *system,
                       cd_session **session,
                       cd_error **error);

/**
 * Returns the session's token. Logs in if there is none yet, if the token is older than the maximum age, or if
 * `rejected` is the current token.
 *
 * With a current token it sends nothing, does not wait, and makes no system call. Otherwise it blocks as
 * `cd_authenticate_with()` does.
 *
 * - `cancel`: the handle that can stop this call; NULL = none. With a triggered handle the call returns
 *   `CD_ERR_CANCELLED` even if there is a token.
 * - `timeout_ms`: the limit for this call, 1 to 3600000 ms; 0 = the timeout of the options.
 * - `rejected`: the token that the service has just refused in another request, with a status such as 401 or 403;
 *   NULL or empty = none. If the session has another token already, it returns that one. If `rejected` is the current
 *   token and younger than the minimum age, the refusal is about a permission: the call returns the same token and
 *   sends nothing. Then pass the refusal on to your caller.
 * - `token`: receives the token; must not be NULL. Receives NULL on failure. The caller releases the token with
 *   `cd_token_free()`.
 * - `error`: receives an error object on failure and NULL on success; NULL = not wanted. The caller releases the
 *   object with `cd_error_free()`. `cd_error_attempts()` is 0 if this call sent no request.
 *
 * Returns `CD_OK` or an error code: those of `cd_authenticate_with()`. Any number of threads may call it.
 */
COUCHDROP_NODISCARD
cd_code cd_session_token(cd_session *session,
                         const cd_cancel *cancel,
                         uint32_t timeout_ms,
                         const char *rejected,
                         cd_token **token,
                         cd_error **error);

/**
 * Returns the session's token only if there is a current one. Never waits and never logs in.
 *
 * - `token`: receives the token; must not be NULL. Receives NULL if `cd_session_token()` would log in or wait. The
 *   caller releases the token with `cd_token_free()`.
 * - `error`: receives an error object on failure and NULL on success; NULL = not wanted. The caller releases the
 *   object with `cd_error_free()`.
 *
 * Returns `CD_OK`, `CD_ERR_NULL_ARGUMENT`, `CD_ERR_RESOURCES` or `CD_ERR_PANIC`. Any number of threads may call it.
 */
COUCHDROP_NODISCARD
cd_code cd_session_peek(cd_session *session,
                        cd_token **token,
                        cd_error **error);

/**
 * Sets the maximum age of a token in seconds, counted from the response: an older one is replaced before its next use.
 * 0 = no maximum (the default). Time in suspend counts.
 *
 * Any value is allowed, on any thread, at any time.
 *
 * Returns `CD_OK`, `CD_ERR_NULL_ARGUMENT` or `CD_ERR_PANIC`. `error` is as for `cd_session_new()`.
 */
COUCHDROP_NODISCARD
cd_code cd_session_set_max_age_seconds(cd_session *session,
                                       uint32_t seconds,
                                       cd_error **error);

/**
 * Sets the minimum age in seconds from which a rejected token is replaced (default 60). A younger one is returned
 * again, since the service has just issued it: the refusal is about a permission. With 0, each rejection of the current
 * token causes a login. Time in suspend counts.
 *
 * Any value is allowed, on any thread, at any time.
 *
 * Returns `CD_OK`, `CD_ERR_NULL_ARGUMENT` or `CD_ERR_PANIC`. `error` is as for `cd_session_new()`.
 */
COUCHDROP_NODISCARD
cd_code cd_session_set_min_age_seconds(cd_session *session,
                                       uint32_t seconds,
                                       cd_error **error);

/**
 * Wipes and releases a session, when no call uses it any more. Tokens that it returned stay valid objects. NULL is
 * allowed.
 */
void cd_session_free(cd_session *session);

/**
 * The token's characters, followed by a NUL.
 *
 * Returns a string that belongs to the token and is valid until `cd_token_free()`; NULL for NULL. The caller is
 * responsible for wiping copies of it (`cd_secure_zero()`).
 */
const char *cd_token_str(const cd_token *token);

/**
 * The token's length in bytes, without the NUL; 0 for NULL.
 */
size_t cd_token_len(const cd_token *token);

/**
 * Wipes and releases a token. NULL is allowed.
 */
void cd_token_free(cd_token *token);

/**
 * The code of the error; `CD_OK` for NULL.
 */
COUCHDROP_NODISCARD cd_code cd_error_code(const cd_error *error);

/**
 * The reason for the failure, in one or two English sentences. The text is the library's own and does not quote the
 * server.
 *
 * Returns a UTF-8 string that belongs to the error and is valid until `cd_error_free()`; never NULL, and empty for
 * NULL.
 */
const char *cd_error_message(const cd_error *error);

/**
 * The HTTP status of the last attempt's response; 0 if the attempt got none, and for NULL.
 *
 * With `CD_ERR_PROXY` it is the proxy's own status.
 */
int32_t cd_error_http_status(const cd_error *error);

/**
 * The server's message in the body of an error response: the member `err` or `error` of a JSON body, or the start of a
 * text body.
 *
 * The text is trimmed, has no control or invisible characters, and is at most 1 KiB of UTF-8. It comes from the
 * server: show it, but don't parse it.
 *
 * A message that repeats the password is not returned. The library searches it for the password, and for all of the
 * password except the first or last character if it has five or more. The search ignores case, white space, plus
 * signs, semicolons and invisible characters. It decodes percent-encoding, the escapes of JSON and `\xHH`, and HTML's
 * numeric entities and `amp`, `lt`, `gt`, `quot`, `apos` and `nbsp`, up to eight of these nested within each other. A
 * second search compares only ASCII letters and digits, so it ignores letters that were lost or encoded differently
 * (Latin-1, other entities, combining accents). It finds a password that has at least four of them. At the end
 * of a truncated text, any beginning of the password counts. No other form is searched for: a password in base64,
 * reversed or in parts is not found.
 *
 * Returns a string that belongs to the error and is valid until `cd_error_free()`. Returns NULL if there is no
 * message, if the message repeats the password, after a status of 200 (the message might contain a token), and for
 * NULL.
 */
const char *cd_error_server_message(const cd_error *error);

/**
 * The seconds that the last response asked to wait (`Retry-After` header: RFC 9110, 10.2.3). -1 if the header is
 * missing or can't be parsed, and for NULL.
 */
int64_t cd_error_retry_after_seconds(const cd_error *error);

/**
 * The number of requests sent. A request counts when its first byte is handed to a connection. 0 for NULL.
 */
uint32_t cd_error_attempts(const cd_error *error);

/**
 * Returns 1 if the same call may succeed later without any change, else 0; 0 for NULL.
 *
 * Differs from `cd_code_is_retryable()` for `CD_ERR_PROXY`. It is 1 if the proxy could not reach the service at that
 * moment (a CONNECT response of 429, 500, 502, 503 or 504; SOCKS5 replies 1, 3, 4, 5, 6). It is 0 if the proxy refused
 * by policy or because of the credentials. The library has already made its own retries, so wait before you call
 * again.
 */
int32_t cd_error_is_retryable(const cd_error *error);

/**
 * Releases an error and its strings. NULL is allowed.
 */
void cd_error_free(cd_error *error);

/**
 * The name of a code, for instance `"CD_ERR_TIMEOUT"`.
 *
 * Any integer is accepted; a code that this version does not know gives `"CD_ERR_UNKNOWN"`.
 *
 * Returns a static string, never NULL, that must not be freed. Any thread may call it.
 */
const char *cd_code_name(int32_t code);

/**
 * One English sentence about a code.
 *
 * Any integer is accepted; a code that this version does not know gives a sentence that says so.
 *
 * Returns a static string, never NULL, that must not be freed. Any thread may call it.
 */
const char *cd_code_message(int32_t code);

/**
 * Returns 1 if the same call may succeed later without any change, else 0.
 *
 * The library has already made the retries that are allowed (see `cd_options_set_max_retries()`), so wait before you
 * call again. Any integer is accepted; a code that this version does not know gives 0. Any thread may call it.
 */
int32_t cd_code_is_retryable(int32_t code);

/**
 * Makes options with the defaults: the real service, 30 s for a whole call, 10 s to connect, 4 retries with a back-off
 * of 1 s to 8 s, the environment's proxy, the system's trust store, responses of at most 64 KiB, no logger.
 *
 * The first call that uses options reads the environment with `getenv`. In C, `getenv` while another thread calls
 * `setenv`, `putenv` or `unsetenv` is a data race and can crash the process. A program that changes its environment on
 * another thread must pass the variables with `cd_options_set_environment()` instead.
 *
 * Never returns NULL. Release them with `cd_options_free()`. Any thread may call it.
 */
COUCHDROP_NODISCARD
cd_options *cd_options_new(void);

/**
 * Sets the URL of the service: `https://HOST[:PORT][/PREFIX]`. The library appends `/authenticate`, and ignores a
 * slash at the end.
 *
 * Plain `http` is accepted only for loopback addresses (127.0.0.0/8, ::1, localhost).
 *
 * Fails with `CD_ERR_INVALID_URL` (not a URL, user info, a query, a fragment, …), `CD_ERR_INSECURE_URL`,
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
 * The service documents neither format. `CD_BODY_AUTO` sends a form. If the response is 400, 415 or 422, it sends the
 * same login once more as JSON. After a success with JSON, these options use JSON.
 *
 * Fails with `CD_ERR_OUT_OF_RANGE`, `CD_ERR_NULL_ARGUMENT`, `CD_ERR_OPTIONS_IN_USE`.
 */
COUCHDROP_NODISCARD
cd_code cd_options_set_body_format(cd_options *options,
                                   int32_t format,
                                   cd_error **error);

/**
 * Sets the limit for a whole call, retries included: 1 to 3600000 ms, 30000 where nothing is set.
 *
 * Fails with `CD_ERR_OUT_OF_RANGE`, `CD_ERR_NULL_ARGUMENT`, `CD_ERR_OPTIONS_IN_USE`.
 */
COUCHDROP_NODISCARD
cd_code cd_options_set_timeout_ms(cd_options *options,
                                  uint32_t ms,
                                  cd_error **error);

/**
 * Sets the limit for the connection phase of one attempt: name lookup, connect (also through a proxy) and TLS
 * handshake. It is 1 to 3600000 ms, 10000 where nothing is set.
 *
 * Fails with `CD_ERR_OUT_OF_RANGE`, `CD_ERR_NULL_ARGUMENT`, `CD_ERR_OPTIONS_IN_USE`.
 */
COUCHDROP_NODISCARD
cd_code cd_options_set_connect_timeout_ms(cd_options *options,
                                          uint32_t ms,
                                          cd_error **error);

/**
 * Sets the maximum number of retries: 0 to 10, 4 by default. A login is retried after a response of 429, 500, 502, 503
 * or 504, or after a failure to connect. 401 and 403 are never retried.
 *
 * Fails with `CD_ERR_OUT_OF_RANGE`, `CD_ERR_NULL_ARGUMENT`, `CD_ERR_OPTIONS_IN_USE`.
 */
COUCHDROP_NODISCARD
cd_code cd_options_set_max_retries(cd_options *options,
                                   uint32_t count,
                                   cd_error **error);

/**
 * Sets the back-off between attempts, in ms. Each wait is random between 0 and a window, which doubles from `first` to
 * `max`. The defaults are 1000 and 8000. Both are 0 to 3600000, and `first` is not above `max`. A `first` of 0 stays
 * 0: no wait. After a `Retry-After` the wait is that time plus a random part of the larger of it and the window.
 *
 * Fails with `CD_ERR_OUT_OF_RANGE`, `CD_ERR_NULL_ARGUMENT`, `CD_ERR_OPTIONS_IN_USE`.
 */
COUCHDROP_NODISCARD
cd_code cd_options_set_backoff_ms(cd_options *options,
                                  uint32_t first,
                                  uint32_t max,
                                  cd_error **error);

/**
 * Sets the proxy: `[http://][USER:PASSWORD@]HOST[:PORT]` (HTTP CONNECT), or the same with `socks5://` (the library
 * resolves names) or `socks5h://` (the proxy does). NULL means no proxy, and the environment is ignored. By default
 * the environment decides. The default port is 1080.
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
 * Sets a file of CA certificates (PEM) that are trusted instead of the system's. This function reads the file at once.
 *
 * The file may contain a server's own self-signed certificate. It is accepted if the server sends exactly that
 * certificate and its name and dates are valid.
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
 * Sets the product that precedes the library's own name in the `User-Agent` header (RFC 9110, 10.1.5), for example
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
 * Sets the limit for the body of a response: 1024 to 16777216 bytes, 65536 by default.
 *
 * Fails with `CD_ERR_OUT_OF_RANGE`, `CD_ERR_NULL_ARGUMENT`, `CD_ERR_OPTIONS_IN_USE`.
 */
COUCHDROP_NODISCARD
cd_code cd_options_set_max_response_bytes(cd_options *options,
                                          size_t bytes,
                                          cd_error **error);

/**
 * Sets the function that receives log messages (see `cd_log_fn`); NULL = none. `max_level` is from `CD_LOG_ERROR` (1)
 * to `CD_LOG_DEBUG` (4), also with NULL; messages above it are not formatted. The library passes `user_data` to the
 * function and does not use it otherwise. `user_data` must live as long as calls with these options.
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
 * Sets the value of an environment variable; NULL = unset. After the first call of this function, these options do not
 * read the process's environment: other variables count as unset.
 *
 * - `name`: `HTTPS_PROXY`, `ALL_PROXY` or `NO_PROXY`, in upper or lower case, `SSL_CERT_FILE` or `SSL_CERT_DIR`.
 * - `value`: any bytes up to a NUL, of any length, as in the environment; empty counts as unset. The value is checked
 *   when the options freeze. If it is invalid, the first call fails with `CD_ERR_PROXY` or `CD_ERR_TLS`, as for the
 *   process's own variables. That call freezes nothing, and the variable can be set again. A set-user-id process
 *   ignores the values, as it ignores the environment.
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
 * connections are not touched. NULL is allowed.
 */
void cd_options_free(cd_options *options);

/**
 * Makes a cancel handle. This opens no descriptor: the first call that waits on the handle does.
 *
 * Never returns NULL. Release it with `cd_cancel_free()`. Any thread may call it.
 */
COUCHDROP_NODISCARD cd_cancel *cd_cancel_new(void);

/**
 * Stops the calls that use this handle, now and later. Each returns `CD_ERR_CANCELLED` within 50 ms, in every phase.
 *
 * Async-signal-safe, keeps `errno`, and may be called from any thread, more than once. In a child of `fork` it does
 * not stop the parent's calls. NULL is allowed.
 */
void cd_cancel_trigger(cd_cancel *cancel);

/**
 * Returns 1 if the handle was triggered, else 0; 0 for NULL. Any thread may call it.
 */
int32_t cd_cancel_is_triggered(const cd_cancel *cancel);

/**
 * Sets the function that the library calls while a call with this handle waits (see `cd_check_fn`); NULL = none.
 *
 * Set it before the first call that uses the handle: while a call uses the handle, this function has no effect. The
 * library passes `user_data` to the check and does not use it otherwise. NULL for `cancel` is allowed.
 */
void cd_cancel_set_check(cd_cancel *cancel,
                         cd_check_fn check,
                         void *user_data);

/**
 * Releases a cancel handle, when no call, trigger or handler can use it any more. NULL is allowed.
 */
void cd_cancel_free(cd_cancel *cancel);

/**
 * The version of the loaded library, for example `"1.0.0"`. `COUCHDROP_VERSION` is the version of the header. Returns
 * a static string that must not be freed. Any thread may call it.
 */
const char *cd_version(void);

/**
 * The version as an increasing number: major * 1000000 + minor * 1000 + patch. Any thread may call it.
 */
uint32_t cd_version_number(void);

/**
 * The version of the ABI: 1. While it is the same, nothing is removed, renumbered or changed in meaning. Any thread
 * may call it.
 */
uint32_t cd_abi_version(void);

/**
 * Overwrites `length` bytes at `buffer` with zeros in a way that no compiler optimizes away. For a caller's own copies
 * of a password or a token. NULL is allowed. Any thread may call it.
 */
void cd_secure_zero(void *buffer,
                    size_t length);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* COUCHDROP_H */
