//! `cd_session`: keeps one account logged in.

use std::ffi::c_char;
use std::time::Instant;

use crate::error::{Error, ErrorKind, cd_code};
use crate::ffi::auth::{call_context, credentials, own_timeout};
use crate::ffi::boundary::{catch_panic, clear, ffi_try, optional_str, write_out};
use crate::ffi::cancel::{self, cd_cancel};
use crate::ffi::error::cd_error;
use crate::ffi::options::cd_options;
use crate::ffi::token::cd_token;
use crate::login::session::Issued;
use crate::login::{Client, Session};
use crate::secret::Secret;
use crate::sys::fork_detect;

/// Keeps one account logged in: it holds the current token, and logs in again when a new one is needed.
///
/// Made by `cd_session_new()`. It must be released with `cd_session_free()` when no call uses it any more, and before
/// its options. Any number of threads may use it at the same time.
///
/// - One login at a time. The other callers wait for its result, each within its own limits, and receive it too.
/// - After a status of 401 or 403 the same error is returned for 60 s, without a request. Otherwise many workers with a
///   wrong password would lock the account.
/// - After the service's 429 or 503 with `Retry-After`, no login is sent before that time, at most an hour. A call
///   whose timeout allows it waits. Another returns the error at once, with the seconds that are left.
/// - A logger or a check that runs during the session's login may use the session: that call makes a login of its own.
/// - A child of `fork` begins with the parent's token. Until the child exits, its memory contains that copy.
///
/// Functions: `cd_session_new()`, `cd_session_token()`, `cd_session_peek()`, `cd_session_set_max_age_seconds()`,
/// `cd_session_set_min_age_seconds()`, `cd_session_free()`.
pub struct cd_session {
    session: Session,
    /// Belongs to the options, which outlive the session by the caller's promise.
    client: &'static Client,
}

/// Makes a session for one account. Sends nothing.
///
/// - `options`: how to reach the service; NULL = the defaults. This call freezes them. They must not be freed before
///   the session.
/// - `username`, `password`, `system`: as for `cd_authenticate_with()`. The session keeps copies, and wipes them in
///   `cd_session_free()`.
/// - `session`: receives the session; must not be NULL. Receives NULL on failure. The caller releases the session with
///   `cd_session_free()`.
/// - `error`: receives an error object on failure and NULL on success; NULL = not wanted. The caller releases the
///   object with `cd_error_free()`.
///
/// Returns `CD_OK`, `CD_ERR_NULL_ARGUMENT`, `CD_ERR_INVALID_UTF8`, `CD_ERR_EMPTY_ARGUMENT`, `CD_ERR_OUT_OF_RANGE`, or
/// for a variable of the environment that can't be used `CD_ERR_PROXY` or `CD_ERR_TLS`; also `CD_ERR_RESOURCES` and
/// `CD_ERR_PANIC`. Any thread may call it.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_session_new(
    options: *const cd_options,
    username: *const c_char,
    password: *const c_char,
    system: *const c_char,
    session: *mut *mut cd_session,
    error: *mut *mut cd_error,
) -> cd_code {
    let body = || {
        if session.is_null() {
            return Err(ErrorKind::NullArgument("session").into());
        }
        // SAFETY: strings are NULL or stay as they are during this call, and the options outlive the session, by the
        // caller's promise.
        let (credentials, client) = unsafe {
            (credentials(username, password, system)?, cd_options::given::<'static>(options).client()?)
        };
        let made = Session::new(&credentials).map_err(ErrorKind::from)?;
        // SAFETY: `session` may be written to, by the caller's promise.
        unsafe { write_out(session, cd_session { session: made, client }) };
        Ok(())
    };
    // SAFETY: `session` and `error` are NULL or may be written to, by the caller's promise.
    unsafe {
        clear(session);
        ffi_try(error, body)
    }
}

/// Returns the session's token. Logs in if there is none yet, if the token is older than the maximum age, or if
/// `rejected` is the current token.
///
/// With a current token it sends nothing, does not wait, and makes no system call. Otherwise it blocks as
/// `cd_authenticate_with()` does.
///
/// - `cancel`: the handle that can stop this call; NULL = none. With a triggered handle the call returns
///   `CD_ERR_CANCELLED` even if there is a token.
/// - `timeout_ms`: the limit for this call, 1 to 3600000 ms; 0 = the timeout of the options.
/// - `rejected`: the token that the service has just refused in another request, with a status such as 401 or 403;
///   NULL or empty = none. If the session has another token already, it returns that one. If `rejected` is the current
///   token and younger than the minimum age, the refusal is about a permission: the call returns the same token and
///   sends nothing. Then pass the refusal on to your caller.
/// - `token`: receives the token; must not be NULL. Receives NULL on failure. The caller releases the token with
///   `cd_token_free()`.
/// - `error`: receives an error object on failure and NULL on success; NULL = not wanted. The caller releases the
///   object with `cd_error_free()`. `cd_error_attempts()` is 0 if this call sent no request.
///
/// Returns `CD_OK` or an error code: those of `cd_authenticate_with()`. Any number of threads may call it.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_session_token(
    session: *mut cd_session,
    cancel: *const cd_cancel,
    timeout_ms: u32,
    rejected: *const c_char,
    token: *mut *mut cd_token,
    error: *mut *mut cd_error,
) -> cd_code {
    let body = || {
        let start = Instant::now();
        if token.is_null() {
            return Err(ErrorKind::NullArgument("token").into());
        }
        // SAFETY: NULL or a session that is not freed yet, by the caller's promise.
        let cd_session { session, client } = unsafe { given(session) }?;
        // SAFETY: NULL or a string that stays as it is during this call, by the caller's promise.
        let rejected = unsafe { optional_str("rejected", rejected) }?.unwrap_or_default();
        let timeout = own_timeout(timeout_ms)?;
        // SAFETY: NULL or a handle that is not freed yet, by the caller's promise.
        let cancel = unsafe { cancel::parts(cancel) };
        if cancel.0.as_ref().is_some_and(|cancel| cancel.is_triggered()) {
            return Err(ErrorKind::Cancelled.into());
        }
        let issued = match session.current(fork_detect::generation(), rejected) {
            Some(issued) => issued,
            None => {
                let call = call_context(client, cancel, timeout.unwrap_or(client.config().timeout), start);
                session.token(client, &call, rejected)?
            }
        };
        // SAFETY: `token` may be written to, by the caller's promise.
        unsafe { write_token(token, &issued) }
    };
    // SAFETY: `token` and `error` are NULL or may be written to, by the caller's promise.
    unsafe {
        clear(token);
        ffi_try(error, body)
    }
}

/// Returns the session's token only if there is a current one. Never waits and never logs in.
///
/// - `token`: receives the token; must not be NULL. Receives NULL if `cd_session_token()` would log in or wait. The
///   caller releases the token with `cd_token_free()`.
/// - `error`: receives an error object on failure and NULL on success; NULL = not wanted. The caller releases the
///   object with `cd_error_free()`.
///
/// Returns `CD_OK`, `CD_ERR_NULL_ARGUMENT`, `CD_ERR_RESOURCES` or `CD_ERR_PANIC`. Any number of threads may call it.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_session_peek(
    session: *mut cd_session,
    token: *mut *mut cd_token,
    error: *mut *mut cd_error,
) -> cd_code {
    let body = || {
        if token.is_null() {
            return Err(ErrorKind::NullArgument("token").into());
        }
        // SAFETY: NULL or a session that is not freed yet, by the caller's promise.
        let session = &unsafe { given(session) }?.session;
        match session.current(fork_detect::generation(), "") {
            // SAFETY: `token` may be written to, by the caller's promise.
            Some(issued) => unsafe { write_token(token, &issued) },
            None => Ok(()),
        }
    };
    // SAFETY: `token` and `error` are NULL or may be written to, by the caller's promise.
    unsafe {
        clear(token);
        ffi_try(error, body)
    }
}

/// Sets the maximum age of a token in seconds, counted from the response: an older one is replaced before its next use.
/// 0 = no maximum (the default). Time in suspend counts.
///
/// Any value is allowed, on any thread, at any time.
///
/// Returns `CD_OK`, `CD_ERR_NULL_ARGUMENT` or `CD_ERR_PANIC`. `error` is as for `cd_session_new()`.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_session_set_max_age_seconds(
    session: *mut cd_session,
    seconds: u32,
    error: *mut *mut cd_error,
) -> cd_code {
    // SAFETY: by the caller's promise.
    unsafe { set(session, error, Session::set_max_age_seconds, seconds) }
}

/// Sets the minimum age in seconds from which a rejected token is replaced (default 60). A younger one is returned
/// again, since the service has just issued it: the refusal is about a permission. With 0, each rejection of the current
/// token causes a login. Time in suspend counts.
///
/// Any value is allowed, on any thread, at any time.
///
/// Returns `CD_OK`, `CD_ERR_NULL_ARGUMENT` or `CD_ERR_PANIC`. `error` is as for `cd_session_new()`.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_session_set_min_age_seconds(
    session: *mut cd_session,
    seconds: u32,
    error: *mut *mut cd_error,
) -> cd_code {
    // SAFETY: by the caller's promise.
    unsafe { set(session, error, Session::set_min_age_seconds, seconds) }
}

/// Wipes and releases a session, when no call uses it any more. Tokens that it returned stay valid objects. NULL is
/// allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_session_free(session: *mut cd_session) {
    if !session.is_null() {
        // SAFETY: made by Box::into_raw, and freed once by the caller's promise.
        catch_panic(|_| (), || drop(unsafe { Box::from_raw(session) }));
    }
}

/// # Safety
/// `session` is NULL or a session that is not freed for `'a`.
unsafe fn given<'a>(session: *const cd_session) -> Result<&'a cd_session, ErrorKind> {
    // SAFETY: as promised by the caller.
    unsafe { session.as_ref() }.ok_or(ErrorKind::NullArgument("session"))
}

/// # Safety
/// `session` is NULL or a session that is not freed yet; `error` is NULL or may be written to.
#[inline(never)]
unsafe fn set(
    session: *mut cd_session,
    error: *mut *mut cd_error,
    change: fn(&Session, u32),
    seconds: u32,
) -> cd_code {
    // SAFETY: as promised by the caller.
    unsafe {
        ffi_try(error, || {
            change(&given(session)?.session, seconds);
            Ok(())
        })
    }
}

/// # Safety
/// `token` may be written to.
#[inline(never)]
unsafe fn write_token(token: *mut *mut cd_token, issued: &Issued) -> Result<(), Error> {
    let text = Secret::try_copy(&issued.text).map_err(ErrorKind::from)?;
    // SAFETY: as promised by the caller.
    unsafe { write_out(token, cd_token::new(text)) };
    Ok(())
}
