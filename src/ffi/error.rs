//! `cd_error`: the reason why one call failed.

use std::ffi::{CString, c_char};

use crate::error::{Error, cd_code};
use crate::ffi::boundary::catch_panic;
use crate::limits::MAX_ERROR_MESSAGE_BYTES;
use crate::login::text::is_invisible;

/// The reason why ONE call failed: an immutable snapshot.
///
/// Made by any function with a `cd_error **` argument. It must be released with `cd_error_free()`. Every accessor
/// accepts NULL. Any thread may read it, several at the same time. The strings are valid until it is freed.
///
/// It never contains a token, or the password in a form that `cd_error_server_message()` lists. It contains the user
/// name only if the server's message does.
///
/// Functions: `cd_error_code()`, `cd_error_message()`, `cd_error_http_status()`, `cd_error_server_message()`,
/// `cd_error_retry_after_seconds()`, `cd_error_attempts()`, `cd_error_is_retryable()`, `cd_error_free()`.
pub struct cd_error {
    code: cd_code,
    message: CString,
    http_status: u16,
    server_message: Option<CString>,
    retry_after: Option<i64>,
    attempts: u32,
    retryable: bool,
}

impl From<Error> for cd_error {
    fn from(error: Error) -> cd_error {
        cd_error {
            code: error.kind.code(),
            message: c_string(error.kind.to_string()),
            http_status: error.http_status,
            server_message: error.server_message.map(c_string),
            retry_after: error.retry_after,
            attempts: error.attempts,
            retryable: error.kind.is_retryable(),
        }
    }
}

/// Converts a message to a C string, without invisible characters: a quoted file name may contain some.
fn c_string(mut text: String) -> CString {
    text.retain(|letter| !is_invisible(letter));
    let end = (0..=MAX_ERROR_MESSAGE_BYTES).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    if end < text.len() {
        text.truncate(end);
        text.push_str("….");
    }
    CString::new(text).unwrap_or_default()
}

/// Reads a field of an error, or returns `of_null` for NULL.
///
/// # Safety
/// `error` is NULL or an error that is not freed yet.
unsafe fn read<T: Copy>(error: *const cd_error, of_null: T, get: impl FnOnce(&cd_error) -> T) -> T {
    // SAFETY: as promised by the caller.
    catch_panic(|_| of_null, || unsafe { error.as_ref() }.map_or(of_null, get))
}

/// The code of the error; `CD_OK` for NULL.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_error_code(error: *const cd_error) -> cd_code {
    unsafe { read(error, cd_code::CD_OK, |error| error.code) }
}

/// The reason for the failure, in one or two English sentences. The text is the library's own and does not quote the
/// server.
///
/// Returns a UTF-8 string that belongs to the error and is valid until `cd_error_free()`; never NULL, and empty for
/// NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_error_message(error: *const cd_error) -> *const c_char {
    unsafe { read(error, c"".as_ptr(), |error| error.message.as_ptr()) }
}

/// The HTTP status of the last attempt's response; 0 if the attempt got none, and for NULL.
///
/// With `CD_ERR_PROXY` it is the proxy's own status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_error_http_status(error: *const cd_error) -> i32 {
    unsafe { read(error, 0, |error| error.http_status.into()) }
}

/// The server's message in the body of an error response: the member `err` or `error` of a JSON body, or the start of a
/// text body.
///
/// The text is trimmed, has no control or invisible characters, and is at most 1 KiB of UTF-8. It comes from the
/// server: show it, but don't parse it.
///
/// A message that repeats the password is not returned. The library searches it for the password, and for all of the
/// password except the first or last character if it has five or more. The search ignores case, white space, plus
/// signs, semicolons and invisible characters. It decodes percent-encoding, the escapes of JSON and `\xHH`, and HTML's
/// numeric entities and `amp`, `lt`, `gt`, `quot`, `apos` and `nbsp`, up to eight of these nested within each other. A
/// second search compares only ASCII letters and digits, so it ignores letters that were lost or encoded differently
/// (Latin-1, other entities, combining accents). It finds a password that has at least four of them. At the end
/// of a truncated text, any beginning of the password counts. No other form is searched for: a password in base64,
/// reversed or in parts is not found.
///
/// Returns a string that belongs to the error and is valid until `cd_error_free()`. Returns NULL if there is no
/// message, if the message repeats the password, after a status of 200 (the message might contain a token), and for
/// NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_error_server_message(error: *const cd_error) -> *const c_char {
    unsafe {
        read(error, std::ptr::null(), |error| {
            error.server_message.as_ref().map_or(std::ptr::null(), |message| message.as_ptr())
        })
    }
}

/// The seconds that the last response asked to wait (`Retry-After` header: RFC 9110, 10.2.3). -1 if the header is
/// missing or can't be parsed, and for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_error_retry_after_seconds(error: *const cd_error) -> i64 {
    unsafe { read(error, -1, |error| error.retry_after.unwrap_or(-1)) }
}

/// The number of requests sent. A request counts when its first byte is handed to a connection. 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_error_attempts(error: *const cd_error) -> u32 {
    unsafe { read(error, 0, |error| error.attempts) }
}

/// Returns 1 if the same call may succeed later without any change, else 0; 0 for NULL.
///
/// Differs from `cd_code_is_retryable()` for `CD_ERR_PROXY`. It is 1 if the proxy could not reach the service at that
/// moment (a CONNECT response of 429, 500, 502, 503 or 504; SOCKS5 replies 1, 3, 4, 5, 6). It is 0 if the proxy refused
/// by policy or because of the credentials. The library has already made its own retries, so wait before you call
/// again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_error_is_retryable(error: *const cd_error) -> i32 {
    unsafe { read(error, 0, |error| error.retryable.into()) }
}

/// Releases an error and its strings. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_error_free(error: *mut cd_error) {
    if !error.is_null() {
        // SAFETY: made by Box::into_raw, and freed once by the caller's promise.
        catch_panic(|_| (), || drop(unsafe { Box::from_raw(error) }));
    }
}
