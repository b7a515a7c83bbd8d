//! `cd_options`: how to reach the service.

use std::ffi::{c_char, c_void};
use std::sync::atomic::{AtomicPtr, Ordering};

use once_cell::race::OnceBox;

use crate::config::Config;
use crate::error::{ErrorKind, cd_code};
use crate::ffi::boundary::{catch_panic, ffi_try, non_empty_str, optional_bytes, optional_str};
use crate::ffi::callback;
use crate::ffi::error::cd_error;
use crate::login::Client;
use crate::sys::os_string;

/// For `cd_options_set_body_format()`: a form first, then JSON if the service rejects the format (the default).
pub const CD_BODY_AUTO: i32 = 0;
/// For `cd_options_set_body_format()`: only `application/x-www-form-urlencoded`.
pub const CD_BODY_FORM: i32 = 1;
/// For `cd_options_set_body_format()`: only `application/json`.
pub const CD_BODY_JSON: i32 = 2;

/// A login or `cd_connect()` failed and was not cancelled.
pub const CD_LOG_ERROR: i32 = 1;
/// A condition that an administrator should look at, or a retry with its reason.
pub const CD_LOG_WARN: i32 = 2;
/// A login succeeded, a login or `cd_connect()` was cancelled, or a request was sent again on a new connection.
pub const CD_LOG_INFO: i32 = 3;
/// Each phase with its duration, addresses, and events of connections.
pub const CD_LOG_DEBUG: i32 = 4;

/// A function that receives each log message as one line of UTF-8 without secrets. The message is valid during the
/// call.
///
/// It runs only on threads that are inside a call with these options, perhaps on several at the same time. It never
/// runs after that call has returned, or with a lock held. It must return normally (no exception, `longjmp` or exit).
/// It must not fork, and must neither set nor free these options.
pub type cd_log_fn = Option<unsafe extern "C" fn(user_data: *mut c_void, level: i32, message: *const c_char)>;

/// How to reach the service. The options also own the idle connections for the next login.
///
/// Made by `cd_options_new()`. They must be released with `cd_options_free()` when no call uses them any more. Set them
/// up on one thread; when no setter runs any more, any number of threads may use them. The first call that uses them
/// with valid arguments freezes them: a later setter returns `CD_ERR_OPTIONS_IN_USE`. A setter copies its argument. If
/// the argument is invalid, the setter returns an error and changes nothing.
///
/// The environment is read once, when the options freeze. If no proxy was set, the proxy variables are read
/// (`HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`). If no CA file was set, `SSL_CERT_FILE` and `SSL_CERT_DIR` are read. A
/// set-user-id process does not read the environment at all.
///
/// Functions: `cd_options_new()`, `cd_options_set_base_url()`, `cd_options_set_body_format()`,
/// `cd_options_set_timeout_ms()`, `cd_options_set_connect_timeout_ms()`, `cd_options_set_max_retries()`,
/// `cd_options_set_backoff_ms()`, `cd_options_set_proxy()`, `cd_options_set_ca_file()`,
/// `cd_options_set_user_agent()`, `cd_options_set_max_response_bytes()`, `cd_options_set_logger()`,
/// `cd_options_set_environment()`, `cd_options_free()`.
pub struct cd_options {
    /// The newest configuration; NULL = the defaults. This is not a lock, because a fork could happen while one is held.
    draft: AtomicPtr<Draft>,
    frozen: OnceBox<Client>,
}

/// One version of the configuration. Earlier versions exist until the options are freed. A thread that reads one during a
/// setter, against the rule, still reads consistent data.
struct Draft {
    config: Config,
    before: *mut Draft,
}

/// The options that NULL means: the defaults, with connections of their own.
static DEFAULTS: cd_options = cd_options::new();

impl cd_options {
    const fn new() -> cd_options {
        cd_options { draft: AtomicPtr::new(std::ptr::null_mut()), frozen: OnceBox::new() }
    }

    /// The caller's options, or the defaults for NULL.
    ///
    /// # Safety
    /// `options` is NULL or options that are not freed yet.
    pub unsafe fn given<'a>(options: *const cd_options) -> &'a cd_options {
        // SAFETY: as promised by the caller.
        unsafe { options.as_ref() }.unwrap_or(&DEFAULTS)
    }

    /// The client for these options, which this freezes.
    pub fn client(&self) -> Result<&Client, ErrorKind> {
        self.frozen.get_or_try_init(|| Ok(Box::new(Client::new(self.config())?)))
    }

    fn config(&self) -> Config {
        // SAFETY: drafts are freed with the options alone.
        unsafe { self.draft.load(Ordering::Acquire).as_ref() }
            .map_or_else(Config::default, |draft| draft.config.clone())
    }

    fn change(&self, change: impl FnOnce(&mut Config) -> Result<bool, ErrorKind>) -> Result<(), ErrorKind> {
        let mut config = self.config();
        if !change(&mut config)? {
            return Ok(());
        }
        let before = self.draft.load(Ordering::Acquire);
        let draft = Box::into_raw(Box::new(Draft { config, before }));
        self.draft.store(draft, Ordering::Release);
        Ok(())
    }
}

impl Drop for cd_options {
    fn drop(&mut self) {
        let mut next = *self.draft.get_mut();
        while !next.is_null() {
            // SAFETY: made by Box::into_raw in `change`, and freed here alone.
            let draft = unsafe { Box::from_raw(next) };
            next = draft.before;
        }
    }
}

/// The body of a setter: `change` sets `what`.
///
/// # Safety
/// `options` is NULL or options that are not freed yet; `error` is NULL or may be written to.
unsafe fn set(
    options: *mut cd_options,
    what: &'static str,
    error: *mut *mut cd_error,
    mut change: impl FnMut(&mut Config) -> Result<(), ErrorKind>,
) -> cd_code {
    // SAFETY: as promised by the caller.
    unsafe { set_if_new(options, what, error, &mut |config| change(config).map(|()| true)) }
}

/// Same as [`set`], for a `change` that returns false if nothing changes. One copy of this code serves all setters.
///
/// # Safety
/// Same as for [`set`].
#[inline(never)]
unsafe fn set_if_new(
    options: *mut cd_options,
    what: &'static str,
    error: *mut *mut cd_error,
    change: &mut dyn FnMut(&mut Config) -> Result<bool, ErrorKind>,
) -> cd_code {
    let body = || {
        // SAFETY: as promised by the caller.
        let options = unsafe { options.as_ref() }.ok_or(ErrorKind::NullArgument("options"))?;
        if options.frozen.get().is_some() {
            return Err(ErrorKind::OptionsInUse(what).into());
        }
        Ok(options.change(change)?)
    };
    // SAFETY: as promised by the caller.
    unsafe { ffi_try(error, body) }
}

/// Makes options with the defaults: the real service, 30 s for a whole call, 10 s to connect, 4 retries with a back-off
/// of 1 s to 8 s, the environment's proxy, the system's trust store, responses of at most 64 KiB, no logger.
///
/// The first call that uses options reads the environment with `getenv`. In C, `getenv` while another thread calls
/// `setenv`, `putenv` or `unsetenv` is a data race and can crash the process. A program that changes its environment on
/// another thread must pass the variables with `cd_options_set_environment()` instead.
///
/// Never returns NULL. Release them with `cd_options_free()`. Any thread may call it.
#[must_use]
#[unsafe(no_mangle)]
pub extern "C" fn cd_options_new() -> *mut cd_options {
    Box::into_raw(Box::new(cd_options::new()))
}

/// Sets the URL of the service: `https://HOST[:PORT][/PREFIX]`. The library appends `/authenticate`, and ignores a
/// slash at the end.
///
/// Plain `http` is accepted only for loopback addresses (127.0.0.0/8, ::1, localhost).
///
/// Fails with `CD_ERR_INVALID_URL` (not a URL, user info, a query, a fragment, …), `CD_ERR_INSECURE_URL`,
/// `CD_ERR_NULL_ARGUMENT`, `CD_ERR_EMPTY_ARGUMENT`, `CD_ERR_INVALID_UTF8`, `CD_ERR_OUT_OF_RANGE`,
/// `CD_ERR_OPTIONS_IN_USE`.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_options_set_base_url(
    options: *mut cd_options,
    url: *const c_char,
    error: *mut *mut cd_error,
) -> cd_code {
    unsafe {
        set(options, "The base URL", error, |config| config.set_base_url(non_empty_str("The base URL", url)?))
    }
}

/// Sets how a login is encoded: `CD_BODY_AUTO` (the default), `CD_BODY_FORM` or `CD_BODY_JSON`.
///
/// The service documents neither format. `CD_BODY_AUTO` sends a form. If the response is 400, 415 or 422, it sends the
/// same login once more as JSON. After a success with JSON, these options use JSON.
///
/// Fails with `CD_ERR_OUT_OF_RANGE`, `CD_ERR_NULL_ARGUMENT`, `CD_ERR_OPTIONS_IN_USE`.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_options_set_body_format(
    options: *mut cd_options,
    format: i32,
    error: *mut *mut cd_error,
) -> cd_code {
    unsafe { set(options, "The body format", error, |config| config.set_body_format(format)) }
}

/// Sets the limit for a whole call, retries included: 1 to 3600000 ms, 30000 where nothing is set.
///
/// Fails with `CD_ERR_OUT_OF_RANGE`, `CD_ERR_NULL_ARGUMENT`, `CD_ERR_OPTIONS_IN_USE`.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_options_set_timeout_ms(
    options: *mut cd_options,
    ms: u32,
    error: *mut *mut cd_error,
) -> cd_code {
    unsafe { set(options, "The timeout", error, |config| config.set_timeout(ms)) }
}

/// Sets the limit for the connection phase of one attempt: name lookup, connect (also through a proxy) and TLS
/// handshake. It is 1 to 3600000 ms, 10000 where nothing is set.
///
/// Fails with `CD_ERR_OUT_OF_RANGE`, `CD_ERR_NULL_ARGUMENT`, `CD_ERR_OPTIONS_IN_USE`.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_options_set_connect_timeout_ms(
    options: *mut cd_options,
    ms: u32,
    error: *mut *mut cd_error,
) -> cd_code {
    unsafe { set(options, "The connect timeout", error, |config| config.set_connect_timeout(ms)) }
}

/// Sets the maximum number of retries: 0 to 10, 4 by default. A login is retried after a response of 429, 500, 502, 503
/// or 504, or after a failure to connect. 401 and 403 are never retried.
///
/// Fails with `CD_ERR_OUT_OF_RANGE`, `CD_ERR_NULL_ARGUMENT`, `CD_ERR_OPTIONS_IN_USE`.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_options_set_max_retries(
    options: *mut cd_options,
    count: u32,
    error: *mut *mut cd_error,
) -> cd_code {
    unsafe { set(options, "The number of retries", error, |config| config.set_max_retries(count)) }
}

/// Sets the back-off between attempts, in ms. Each wait is random between 0 and a window, which doubles from `first` to
/// `max`. The defaults are 1000 and 8000. Both are 0 to 3600000, and `first` is not above `max`. A `first` of 0 stays
/// 0: no wait. After a `Retry-After` the wait is that time plus a random part of the larger of it and the window.
///
/// Fails with `CD_ERR_OUT_OF_RANGE`, `CD_ERR_NULL_ARGUMENT`, `CD_ERR_OPTIONS_IN_USE`.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_options_set_backoff_ms(
    options: *mut cd_options,
    first: u32,
    max: u32,
    error: *mut *mut cd_error,
) -> cd_code {
    unsafe { set(options, "The back-off", error, |config| config.set_backoff(first, max)) }
}

/// Sets the proxy: `[http://][USER:PASSWORD@]HOST[:PORT]` (HTTP CONNECT), or the same with `socks5://` (the library
/// resolves names) or `socks5h://` (the proxy does). NULL means no proxy, and the environment is ignored. By default
/// the environment decides. The default port is 1080.
///
/// Fails with `CD_ERR_INVALID_URL`, `CD_ERR_INSECURE_URL` (the base URL is plain http, which never goes through a
/// proxy), `CD_ERR_EMPTY_ARGUMENT`, `CD_ERR_INVALID_UTF8`, `CD_ERR_OUT_OF_RANGE`, `CD_ERR_NULL_ARGUMENT`,
/// `CD_ERR_OPTIONS_IN_USE`.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_options_set_proxy(
    options: *mut cd_options,
    url: *const c_char,
    error: *mut *mut cd_error,
) -> cd_code {
    unsafe {
        set(options, "The proxy", error, |config| {
            let url = optional_str("The proxy URL", url)?;
            if url == Some("") {
                return Err(ErrorKind::EmptyArgument("The proxy URL"));
            }
            config.set_proxy(url)
        })
    }
}

/// Sets a file of CA certificates (PEM) that are trusted instead of the system's. This function reads the file at once.
///
/// The file may contain a server's own self-signed certificate. It is accepted if the server sends exactly that
/// certificate and its name and dates are valid.
///
/// Fails with `CD_ERR_CA_FILE` (missing, unreadable, empty, no certificate in it, a broken one),
/// `CD_ERR_NULL_ARGUMENT`, `CD_ERR_EMPTY_ARGUMENT`, `CD_ERR_INVALID_UTF8`, `CD_ERR_OUT_OF_RANGE`,
/// `CD_ERR_OPTIONS_IN_USE`, `CD_ERR_RESOURCES`.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_options_set_ca_file(
    options: *mut cd_options,
    path: *const c_char,
    error: *mut *mut cd_error,
) -> cd_code {
    unsafe {
        set(options, "The CA file", error, |config| {
            config.set_ca_file(non_empty_str("The path of the CA file", path)?)
        })
    }
}

/// Sets the product that precedes the library's own name in the `User-Agent` header (RFC 9110, 10.1.5), for example
/// `acme/2.1`.
///
/// Fails with `CD_ERR_OUT_OF_RANGE` (control characters, or too long), `CD_ERR_NULL_ARGUMENT`,
/// `CD_ERR_EMPTY_ARGUMENT`, `CD_ERR_INVALID_UTF8`, `CD_ERR_OPTIONS_IN_USE`.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_options_set_user_agent(
    options: *mut cd_options,
    product: *const c_char,
    error: *mut *mut cd_error,
) -> cd_code {
    unsafe {
        set(options, "The user agent", error, |config| {
            config.set_user_agent(non_empty_str("The user agent", product)?)
        })
    }
}

/// Sets the limit for the body of a response: 1024 to 16777216 bytes, 65536 by default.
///
/// Fails with `CD_ERR_OUT_OF_RANGE`, `CD_ERR_NULL_ARGUMENT`, `CD_ERR_OPTIONS_IN_USE`.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_options_set_max_response_bytes(
    options: *mut cd_options,
    bytes: usize,
    error: *mut *mut cd_error,
) -> cd_code {
    unsafe { set(options, "The response limit", error, |config| config.set_max_response(bytes)) }
}

/// Sets the function that receives log messages (see `cd_log_fn`); NULL = none. `max_level` is from `CD_LOG_ERROR` (1)
/// to `CD_LOG_DEBUG` (4), also with NULL; messages above it are not formatted. The library passes `user_data` to the
/// function and does not use it otherwise. `user_data` must live as long as calls with these options.
///
/// Fails with `CD_ERR_OUT_OF_RANGE`, `CD_ERR_NULL_ARGUMENT`, `CD_ERR_OPTIONS_IN_USE`.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_options_set_logger(
    options: *mut cd_options,
    log: cd_log_fn,
    user_data: *mut c_void,
    max_level: i32,
    error: *mut *mut cd_error,
) -> cd_code {
    unsafe {
        set(options, "The logger", error, |config| {
            config.set_logger(log.map(|log| callback::logger(log, user_data, max_level)), max_level)
        })
    }
}

/// Sets the value of an environment variable; NULL = unset. After the first call of this function, these options do not
/// read the process's environment: other variables count as unset.
///
/// - `name`: `HTTPS_PROXY`, `ALL_PROXY` or `NO_PROXY`, in upper or lower case, `SSL_CERT_FILE` or `SSL_CERT_DIR`.
/// - `value`: any bytes up to a NUL, of any length, as in the environment; empty counts as unset. The value is checked
///   when the options freeze. If it is invalid, the first call fails with `CD_ERR_PROXY` or `CD_ERR_TLS`, as for the
///   process's own variables. That call freezes nothing, and the variable can be set again. A set-user-id process
///   ignores the values, as it ignores the environment.
///
/// Fails with `CD_ERR_OUT_OF_RANGE` (another name), `CD_ERR_NULL_ARGUMENT`, `CD_ERR_EMPTY_ARGUMENT`,
/// `CD_ERR_INVALID_UTF8` (the name), `CD_ERR_OPTIONS_IN_USE`.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_options_set_environment(
    options: *mut cd_options,
    name: *const c_char,
    value: *const c_char,
    error: *mut *mut cd_error,
) -> cd_code {
    unsafe {
        // Bindings pass a snapshot before each call until a call has frozen the options, so repeated values must not
        // make new drafts.
        set_if_new(options, "The environment", error, &mut |config| {
            let name = non_empty_str("The name of the environment variable", name)?;
            let value = optional_bytes(value);
            let before = config.environment.clone();
            config.environment.set(name, value.map(os_string::from_bytes))?;
            Ok(config.environment != before)
        })
    }
}

/// Releases options and closes their connections, when no call uses them any more. In a child of `fork` the parent's
/// connections are not touched. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_options_free(options: *mut cd_options) {
    if !options.is_null() {
        // SAFETY: made by Box::into_raw, and freed once by the caller's promise.
        catch_panic(|_| (), || drop(unsafe { Box::from_raw(options) }));
    }
}
