//! `cd_error`: what went wrong in one call.

use std::ffi::{CString, c_char};

use crate::failure::{Report, cd_code};
use crate::ffi::boundary::guarded;
use crate::login::redact::is_invisible;

/// What went wrong in ONE call: an immutable snapshot.
///
/// Made by any function with a `cd_error **` argument, and must be released with `cd_error_free()`. Every accessor
/// takes NULL. Any thread may read it, several at once; the strings are valid until it is freed. No part of it holds
/// a token, or the password in a form that `cd_error_server_message()` lists; the user name only if the server's message
/// holds it.
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

impl From<Report> for cd_error {
    fn from(report: Report) -> cd_error {
        cd_error {
            code: report.failure.code(),
            message: c_string(report.failure.to_string()),
            http_status: report.http_status,
            server_message: report.server_message.map(c_string),
            retry_after: report.retry_after,
            attempts: report.attempts,
            retryable: report.failure.is_retryable(),
        }
    }
}

/// No message is longer: a path or a variable that it quotes may be.
const MAX_MESSAGE_BYTES: usize = 4 << 10;

/// A message as C takes it: a file name or the like may bring characters along that do not print.
fn c_string(mut text: String) -> CString {
    text.retain(|letter| !is_invisible(letter));
    let end = (0..=MAX_MESSAGE_BYTES).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    if end < text.len() {
        text.truncate(end);
        text.push_str("….");
    }
    CString::new(text).unwrap_or_default()
}

/// Reads from an error, or gives what NULL gives.
///
/// # Safety
/// `error` is NULL or an error that is not freed yet.
unsafe fn read<T: Copy>(error: *const cd_error, of_null: T, get: impl FnOnce(&cd_error) -> T) -> T {
    // SAFETY: as promised by the caller.
    guarded(|_| of_null, || unsafe { error.as_ref() }.map_or(of_null, get))
}

/// The code of the error; `CD_OK` for NULL.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_error_code(error: *const cd_error) -> cd_code {
    unsafe { read(error, cd_code::CD_OK, |error| error.code) }
}

/// What went wrong, in one or two English sentences of the library's own: it does not quote the server.
///
/// Returns a UTF-8 string that belongs to the error and is valid until `cd_error_free()`; never NULL, and empty for
/// NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_error_message(error: *const cd_error) -> *const c_char {
    unsafe { read(error, c"".as_ptr(), |error| error.message.as_ptr()) }
}

/// The HTTP status of the last attempt's answer; 0 where it got none, and for NULL.
///
/// With `CD_ERR_PROXY` it is the proxy's own status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_error_http_status(error: *const cd_error) -> i32 {
    unsafe { read(error, 0, |error| error.http_status.into()) }
}

/// The server's message in the body of its refusal: the member `err` or `error` of a JSON body, or the start of a text
/// body.
///
/// Trimmed, without control and invisible characters, at most 1 KiB of UTF-8. Foreign text: show it, but don't parse it.
///
/// A message that repeats the password is not returned. It is searched for the password, and for all of it but the first
/// or last character if it has five or more. The search ignores case, white space, plus signs, semicolons and invisible
/// characters. It decodes percent-encoding, the escapes of JSON and `\xHH`, and HTML's numeric entities and `amp`, `lt`,
/// `gt`, `quot`, `apos` and `nbsp`, up to eight of these within each other. Without the letters that are not ASCII
/// (Latin-1, other entities, combining accents) it finds a password that has at least four ASCII letters or digits. At
/// the end of a text that was cut, any beginning of the password counts. No other form is searched for: a server that
/// shows the password in base64, reversed or in parts is not noticed.
///
/// Returns a string that belongs to the error and is valid until `cd_error_free()`; NULL if there is no message, if it
/// repeats the password, after a status of 200 (it might hold a token), and for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_error_server_message(error: *const cd_error) -> *const c_char {
    unsafe {
        read(error, std::ptr::null(), |error| {
            error.server_message.as_ref().map_or(std::ptr::null(), |message| message.as_ptr())
        })
    }
}

/// How many seconds the last answer asked to wait (its `Retry-After` header: RFC 9110, 10.2.3); -1 where it asked
/// nothing that can be read, and for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_error_retry_after_seconds(error: *const cd_error) -> i64 {
    unsafe { read(error, -1, |error| error.retry_after.unwrap_or(-1)) }
}

/// How many requests were sent: those whose first byte was handed to a connection. 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_error_attempts(error: *const cd_error) -> u32 {
    unsafe { read(error, 0, |error| error.attempts) }
}

/// Returns 1 if the same call may succeed later without any change, else 0; 0 for NULL.
///
/// Differs from `cd_code_is_retryable()` for `CD_ERR_PROXY`: 1 if the proxy could not reach the service at that moment
/// (CONNECT answered with 429, 500, 502, 503 or 504; SOCKS5 replies 1, 3, 4, 5, 6), 0 if it refused by policy or for
/// the credentials. The library has made its own retries already, so wait before you call again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_error_is_retryable(error: *const cd_error) -> i32 {
    unsafe { read(error, 0, |error| error.retryable.into()) }
}

/// Releases an error, and with it its strings. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_error_free(error: *mut cd_error) {
    if !error.is_null() {
        // SAFETY: made by Box::into_raw, and freed once by the caller's promise.
        guarded(|_| (), || drop(unsafe { Box::from_raw(error) }));
    }
}
