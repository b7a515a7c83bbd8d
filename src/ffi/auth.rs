//! The calls that this library is for: logging in, and connecting ahead of it.

use std::ffi::c_char;
use std::time::{Duration, Instant};

use crate::call::Call;
use crate::failure::{Failure, cd_code};
use crate::ffi::boundary::{clear, fallible, filled_string, hand_over, optional_string};
use crate::ffi::cancel::{self, cd_cancel};
use crate::ffi::error::cd_error;
use crate::ffi::options::cd_options;
use crate::ffi::token::cd_token;
use crate::login::Credentials;
use crate::settings;

/// Logs in to the real service with the defaults: `cd_authenticate_with()` without options, cancel handle and timeout
/// of its own.
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

/// Logs in: turns a user name and a password into a token, over `POST BASE_URL/authenticate`.
///
/// Blocks until the login has succeeded, failed, timed out or been cancelled. Re-entrant: any number of threads may
/// call it at once, with the same options and cancel handle too.
///
/// - `options`: how to reach the service; NULL = the defaults. The first call that uses them, with good
///   arguments, freezes them.
/// - `cancel`: what may stop this call; NULL = nothing.
/// - `timeout_ms`: how long this whole call may take, 1 to 3600000 ms; 0 = what the options say.
/// - `username`, `password`: UTF-8, not empty, at most 64 KiB each. They are not kept.
/// - `system`: names the program or system that logs in; NULL or empty = none.
/// - `token`: where the token goes; must not be NULL. NULL is stored there on failure. The caller releases it with
///   `cd_token_free()`.
/// - `error`: where an error object goes that the caller releases with `cd_error_free()`; NULL = not wanted. NULL is
///   stored there on success.
///
/// Returns `CD_OK` or why not: any code but `CD_ERR_INVALID_URL`, `CD_ERR_INSECURE_URL`, `CD_ERR_CA_FILE` and
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
    let begun = Instant::now();
    let body = || {
        if token.is_null() {
            return Err(Failure::NullArgument("token").into());
        }
        // SAFETY: each is NULL or a string that stays as it is during this call, by the caller's promise.
        let credentials = unsafe {
            Credentials {
                username: filled_string("username", username)?,
                password: filled_string("password", password)?,
                system: optional_string("system", system)?.filter(|system| !system.is_empty()),
            }
        };
        let timeout = own_timeout(timeout_ms)?;
        // SAFETY: both are NULL or not freed yet, by the caller's promise.
        let (service, cancel) = unsafe { (cd_options::given(options).service()?, cancel::shared(cancel)) };
        let call =
            Call::new(timeout.unwrap_or(service.settings().timeout), cancel, service.settings().logger)
                .begun(begun);
        let secret = service.login(&call, &credentials)?;
        // SAFETY: `token` may be written to, by the caller's promise.
        unsafe { hand_over(token, cd_token::new(secret)) };
        Ok(())
    };
    // SAFETY: `token` and `error` are NULL or may be written to, by the caller's promise.
    unsafe {
        clear(token);
        fallible(error, body)
    }
}

/// Connects now, so that the next login with these options needs one round trip: resolves, connects (through the
/// proxy where one applies), and finishes the TLS handshake. Sends no byte of a request, and does not retry.
///
/// Also tells why a machine can't reach the service. A connection that is there and still alive makes it succeed at
/// once. Arguments and threads are as for `cd_authenticate_with()`; `timeout_ms` of 0 means the options' connect
/// timeout.
///
/// Returns `CD_OK`, or the code that a login would return if it could not connect: `CD_ERR_DNS`,
/// `CD_ERR_CONNECT`, `CD_ERR_PROXY`, `CD_ERR_TLS`, `CD_ERR_TIMEOUT`, `CD_ERR_CONNECTION_LOST`, `CD_ERR_CANCELLED`,
/// `CD_ERR_RESOURCES`, `CD_ERR_INTERNAL`, `CD_ERR_PANIC`, `CD_ERR_OUT_OF_RANGE` for `timeout_ms`.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_connect(
    options: *const cd_options,
    cancel: *const cd_cancel,
    timeout_ms: u32,
    error: *mut *mut cd_error,
) -> cd_code {
    let begun = Instant::now();
    let body = || {
        let timeout = own_timeout(timeout_ms)?;
        // SAFETY: both are NULL or not freed yet, by the caller's promise.
        let (service, cancel) = unsafe { (cd_options::given(options).service()?, cancel::shared(cancel)) };
        let timeout = timeout.unwrap_or(service.settings().connect_timeout);
        service.connect(&Call::new(timeout, cancel, service.settings().logger).begun(begun))
    };
    // SAFETY: `error` is NULL or may be written to, by the caller's promise.
    unsafe { fallible(error, body) }
}

/// A call's own timeout; None for 0.
fn own_timeout(ms: u32) -> Result<Option<Duration>, Failure> {
    if ms == 0 { Ok(None) } else { settings::timeout("timeout_ms", ms).map(Some) }
}
