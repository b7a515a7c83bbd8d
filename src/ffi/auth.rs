//! Logging in, and connecting in advance.

use std::ffi::c_char;
use std::time::{Duration, Instant};

use crate::cancel::SharedCancel;
use crate::config;
use crate::context::{CallContext, HostCheck};
use crate::error::{ErrorKind, cd_code};
use crate::ffi::boundary::{clear, ffi_try, non_empty_str, optional_str, write_out};
use crate::ffi::cancel::{self, cd_cancel};
use crate::ffi::error::cd_error;
use crate::ffi::options::cd_options;
use crate::ffi::token::cd_token;
use crate::login::{Client, Credentials};

/// Logs in to the real service with the defaults.
/// Same as `cd_authenticate_with()` without options or a cancel handle and with `timeout_ms` 0.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_authenticate(
    username: *const c_char,
    password: *const c_char,
    system: *const c_char,
    token: *mut *mut cd_token,
    error: *mut *mut cd_error,
) -> cd_code {
    unsafe {
        cd_authenticate_with(std::ptr::null(), std::ptr::null(), 0, username, password, system, token, error)
    }
}

/// Logs in: exchanges a user name and a password for a token, with `POST BASE_URL/authenticate`.
///
/// Blocks until the login succeeds, fails, times out or is cancelled. Re-entrant: any number of threads may call it at
/// the same time, also with the same options and cancel handle.
///
/// - `options`: how to reach the service; NULL = the defaults. The first call that uses them with valid arguments
///   freezes them.
/// - `cancel`: the handle that can stop this call; NULL = none.
/// - `timeout_ms`: the limit for this whole call, 1 to 3600000 ms; 0 = the timeout of the options.
/// - `username`, `password`: UTF-8, not empty, at most 64 KiB each. They are not kept.
/// - `system`: names the program or system that logs in; NULL or empty = none.
/// - `token`: receives the token; must not be NULL. Receives NULL on failure. The caller releases the token with
///   `cd_token_free()`.
/// - `error`: receives an error object on failure and NULL on success; NULL = not wanted. The caller releases the
///   object with `cd_error_free()`.
///
/// Returns `CD_OK` or an error code: any code except `CD_ERR_INVALID_URL`, `CD_ERR_INSECURE_URL`, `CD_ERR_CA_FILE` and
/// `CD_ERR_OPTIONS_IN_USE`. A code of 2xxx means that nothing was sent.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_authenticate_with(
    options: *const cd_options,
    cancel: *const cd_cancel,
    timeout_ms: u32,
    username: *const c_char,
    password: *const c_char,
    system: *const c_char,
    token: *mut *mut cd_token,
    error: *mut *mut cd_error,
) -> cd_code {
    let body = || {
        let start = Instant::now();
        if token.is_null() {
            return Err(ErrorKind::NullArgument("token").into());
        }
        // SAFETY: each is NULL or a string that stays as it is during this call, by the caller's promise.
        let credentials = unsafe { credentials(username, password, system) }?;
        let timeout = own_timeout(timeout_ms)?;
        // SAFETY: both are NULL or not freed yet, by the caller's promise.
        let (client, cancel) = unsafe { (cd_options::given(options).client()?, cancel::parts(cancel)) };
        let call = call_context(client, cancel, timeout.unwrap_or(client.config().timeout), start);
        let secret = client.login(&call, &credentials)?;
        // SAFETY: `token` may be written to, by the caller's promise.
        unsafe { write_out(token, cd_token::new(secret)) };
        Ok(())
    };
    // SAFETY: `token` and `error` are NULL or may be written to, by the caller's promise.
    unsafe {
        clear(token);
        ffi_try(error, body)
    }
}

/// Connects now, so that the next login with these options needs one round trip. It resolves the host name, connects
/// (through the proxy if one is used), and finishes the TLS handshake. It sends no byte of a request, and does not
/// retry.
///
/// Also reports why a machine can't reach the service. If an idle connection is still open, the call succeeds at once.
/// Arguments and threads are as for `cd_authenticate_with()`; a `timeout_ms` of 0 means the connect timeout of the
/// options.
///
/// Returns `CD_OK`, or the code that a login would return if it could not connect: `CD_ERR_DNS`, `CD_ERR_CONNECT`,
/// `CD_ERR_PROXY`, `CD_ERR_TLS`, `CD_ERR_TIMEOUT`, `CD_ERR_CONNECTION_LOST`, `CD_ERR_CANCELLED`, `CD_ERR_RESOURCES`,
/// `CD_ERR_INTERNAL`, `CD_ERR_PANIC`, `CD_ERR_OUT_OF_RANGE` for `timeout_ms`.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_connect(
    options: *const cd_options,
    cancel: *const cd_cancel,
    timeout_ms: u32,
    error: *mut *mut cd_error,
) -> cd_code {
    let body = || {
        let start = Instant::now();
        let timeout = own_timeout(timeout_ms)?;
        // SAFETY: both are NULL or not freed yet, by the caller's promise.
        let (client, cancel) = unsafe { (cd_options::given(options).client()?, cancel::parts(cancel)) };
        let call = call_context(client, cancel, timeout.unwrap_or(client.config().connect_timeout), start);
        client.connect(&call)
    };
    // SAFETY: `error` is NULL or may be written to, by the caller's promise.
    unsafe { ffi_try(error, body) }
}

/// Checks the credentials of a caller.
///
/// # Safety
/// Each is NULL or a NUL-terminated string that stays as it is for `'a`.
pub unsafe fn credentials<'a>(
    username: *const c_char,
    password: *const c_char,
    system: *const c_char,
) -> Result<Credentials<'a>, ErrorKind> {
    // SAFETY: as promised by the caller.
    unsafe {
        Ok(Credentials {
            username: non_empty_str("username", username)?,
            password: non_empty_str("password", password)?,
            system: optional_str("system", system)?.filter(|system| !system.is_empty()),
        })
    }
}

/// The context of a call that began at `start`.
pub fn call_context(
    client: &Client,
    (cancel, check): (Option<SharedCancel>, Option<HostCheck>),
    timeout: Duration,
    start: Instant,
) -> CallContext {
    CallContext::new(timeout, cancel, client.config().logger.clone()).with_start(start).with_check(check)
}

/// The call's own timeout; None for 0.
pub fn own_timeout(ms: u32) -> Result<Option<Duration>, ErrorKind> {
    if ms == 0 { Ok(None) } else { config::timeout("timeout_ms", ms).map(Some) }
}
