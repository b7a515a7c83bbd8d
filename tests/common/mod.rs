//! Calls the exported functions as a C caller does, through a few safe helpers. Each helper checks the promises that
//! hold for every call: see [`call`] and [`Login::run`].
#![allow(dead_code)] // each suite uses a part of this

pub mod behaviour;
pub mod client;
pub mod log;
pub mod session;

use std::any::Any;
use std::ffi::{CStr, CString, c_char};
use std::ptr::{self, NonNull};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use couchdrop::error::cd_code::{self, CD_ERR_TIMEOUT, CD_OK};
use couchdrop::ffi::auth::{cd_authenticate_with, cd_connect};
use couchdrop::ffi::cancel::{
    cd_cancel, cd_cancel_free, cd_cancel_is_triggered, cd_cancel_new, cd_cancel_set_check, cd_cancel_trigger,
};
use couchdrop::ffi::code::{cd_code_is_retryable, cd_code_message};
use couchdrop::ffi::error::{
    cd_error, cd_error_attempts, cd_error_code, cd_error_free, cd_error_http_status, cd_error_is_retryable,
    cd_error_message, cd_error_retry_after_seconds, cd_error_server_message,
};
use couchdrop::ffi::options::*;
use couchdrop::ffi::token::{cd_token, cd_token_free, cd_token_len, cd_token_str};
use fake_server::FakeServer;
use fault_server::FaultServer;
pub use fault_server::PATIENCE;

use log::Log;

/// A C string.
pub fn c(text: impl Into<Vec<u8>>) -> CString {
    CString::new(text).expect("no NUL")
}

/// # Safety
/// `text` is NULL, or a string that does not change during the call.
pub unsafe fn text(text: *const c_char) -> Option<String> {
    let text = NonNull::new(text.cast_mut())?;
    Some(unsafe { CStr::from_ptr(text.as_ptr()) }.to_str().expect("returned strings are UTF-8").to_owned())
}

/// The value of an out-parameter before a call: a pointer that must not be used.
pub fn garbage<T>() -> *mut T {
    ptr::without_provenance_mut(0xdead_bee0)
}

/// The content of an error object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    pub code: cd_code,
    pub message: String,
    pub http_status: i32,
    pub server_message: Option<String>,
    pub retry_after: i64,
    pub attempts: u32,
    pub retryable: bool,
}

impl Error {
    /// Reads an error object.
    ///
    /// # Safety
    /// `error` is NULL or not freed yet.
    pub unsafe fn read(error: *const cd_error) -> Error {
        unsafe {
            Error {
                code: cd_error_code(error),
                message: text(cd_error_message(error)).expect("a message is never NULL"),
                http_status: cd_error_http_status(error),
                server_message: text(cd_error_server_message(error)),
                retry_after: cd_error_retry_after_seconds(error),
                attempts: cd_error_attempts(error),
                retryable: cd_error_is_retryable(error) == 1,
            }
        }
    }
}

/// Makes a call that may fail, and reads and frees its error.
///
/// Checks that the call always writes the error's address. Checks that there is an error object exactly if the call
/// failed, and that the object has the returned code and a message of its own.
pub fn call(function: impl FnOnce(*mut *mut cd_error) -> cd_code) -> Result<(), Error> {
    let mut out = garbage();
    let code = function(&mut out);
    if code == CD_OK {
        assert!(out.is_null(), "an error object came with a success");
        return Ok(());
    }
    assert!(!out.is_null() && out != garbage(), "{code:?} came without an error object");
    let error = unsafe { Error::read(out) };
    unsafe { cd_error_free(out) };
    assert_eq!(error.code, code);
    let message = &error.message;
    assert!(message.ends_with('.') && message.len() > 10, "not a sentence: {message}");
    assert!(!message.chars().any(char::is_control), "control characters: {message:?}");
    assert!(unsafe { text(cd_code_message(code as i32)) }.is_some_and(|sentence| sentence.ends_with('.')));
    if code != cd_code::CD_ERR_PROXY {
        assert_eq!(error.retryable, cd_code_is_retryable(code as i32) == 1, "{error:?}");
    }
    if (2000..3000).contains(&(code as i32)) {
        assert_eq!((error.attempts, error.http_status), (0, 0), "something was sent: {error:?}");
    }
    Err(error)
}

/// The code of a call that must fail.
pub fn code<T>(done: Result<T, Error>) -> cd_code {
    done.map_or_else(|error| error.code, |_| CD_OK)
}

/// The milliseconds after which a call timed out, taken from its message.
pub fn timed_out_after(error: &Error) -> u64 {
    assert_eq!(error.code, CD_ERR_TIMEOUT, "{}", error.message);
    let (_, after) = error.message.split_once(" passed after ").expect("a duration");
    let (ms, _) = after.split_once(" ms, ").expect("in milliseconds");
    ms.parse().unwrap()
}

/// Options that are freed when dropped, and then everything that they point to.
pub struct Options {
    raw: *mut cd_options,
    kept: Mutex<Vec<Arc<dyn Any + Send + Sync>>>,
}

// The contract allows any number of threads to use one options handle.
unsafe impl Send for Options {}
unsafe impl Sync for Options {}

impl Drop for Options {
    fn drop(&mut self) {
        unsafe { cd_options_free(self.raw) };
    }
}

type Set<'a> = Result<&'a Options, Error>;

impl Options {
    /// The defaults, which lead to the real service.
    pub fn new() -> Options {
        Options { raw: cd_options_new(), kept: Mutex::default() }
    }

    /// Options for a test's server, without pauses between attempts.
    pub fn to(base_url: &str) -> Options {
        let options = Options::new();
        options.set_base_url(base_url).unwrap();
        options.set_backoff_ms(0, 1).unwrap();
        options
    }

    /// Options for the fake server over https.
    pub fn secure(fake_server: &FakeServer) -> Options {
        let options = Options::to(fake_server.https_url());
        options.set_ca_file(fake_server.ca_file().to_str().unwrap()).unwrap();
        options
    }

    /// Options for TLS with a server that never sends its certificate. They load no trust store, because that takes
    /// time.
    pub fn to_silent(silent: &FaultServer) -> Options {
        let options = Options::to(&format!("https://{}", silent.address()));
        options.set_ca_file(fault_server::ca_file()).unwrap();
        options
    }

    pub fn raw(&self) -> *mut cd_options {
        self.raw
    }

    pub fn set(
        &self,
        setter: impl FnOnce(*mut cd_options, *mut *mut cd_error) -> cd_code,
    ) -> Result<&Options, Error> {
        call(|error| setter(self.raw, error)).map(|()| self)
    }

    fn set_string(
        &self,
        setter: unsafe extern "C" fn(*mut cd_options, *const c_char, *mut *mut cd_error) -> cd_code,
        value: impl Into<Vec<u8>>,
    ) -> Set<'_> {
        let value = c(value);
        self.set(|options, error| unsafe { setter(options, value.as_ptr(), error) })
        // `value` is dropped here: the setter has copied it.
    }

    pub fn set_base_url(&self, url: &str) -> Set<'_> {
        self.set_string(cd_options_set_base_url, url)
    }

    pub fn set_proxy(&self, url: Option<&str>) -> Set<'_> {
        match url {
            Some(url) => self.set_string(cd_options_set_proxy, url),
            None => self.set(|options, error| unsafe { cd_options_set_proxy(options, ptr::null(), error) }),
        }
    }

    pub fn set_ca_file(&self, path: &str) -> Set<'_> {
        self.set_string(cd_options_set_ca_file, path)
    }

    pub fn set_user_agent(&self, product: &str) -> Set<'_> {
        self.set_string(cd_options_set_user_agent, product)
    }

    pub fn set_environment(&self, name: &str, value: Option<&str>) -> Set<'_> {
        let (name, value) = (c(name), value.map(c));
        let value = value.as_ref().map_or(ptr::null(), |value| value.as_ptr());
        self.set(|options, error| unsafe { cd_options_set_environment(options, name.as_ptr(), value, error) })
    }

    pub fn set_body_format(&self, format: i32) -> Set<'_> {
        self.set(|options, error| unsafe { cd_options_set_body_format(options, format, error) })
    }

    pub fn set_timeout_ms(&self, ms: u32) -> Set<'_> {
        self.set(|options, error| unsafe { cd_options_set_timeout_ms(options, ms, error) })
    }

    pub fn set_connect_timeout_ms(&self, ms: u32) -> Set<'_> {
        self.set(|options, error| unsafe { cd_options_set_connect_timeout_ms(options, ms, error) })
    }

    pub fn set_max_retries(&self, count: u32) -> Set<'_> {
        self.set(|options, error| unsafe { cd_options_set_max_retries(options, count, error) })
    }

    pub fn set_backoff_ms(&self, first: u32, max: u32) -> Set<'_> {
        self.set(|options, error| unsafe { cd_options_set_backoff_ms(options, first, max, error) })
    }

    pub fn set_max_response_bytes(&self, bytes: usize) -> Set<'_> {
        self.set(|options, error| unsafe { cd_options_set_max_response_bytes(options, bytes, error) })
    }

    /// Sets `log` as the logger. The log is kept until the options are freed.
    pub fn set_logger(&self, log: &Arc<Log>, max_level: i32) -> Set<'_> {
        self.kept.lock().unwrap().push(log.clone());
        let user_data = log.user_data();
        self.set(|options, error| unsafe {
            cd_options_set_logger(options, Some(log::record), user_data, max_level, error)
        })
    }

    pub fn login(&self, username: &str, password: &str) -> Result<Token, Error> {
        Login { username, password, ..Login::of(self) }.run()
    }

    pub fn connect(&self) -> Result<(), Error> {
        self.connect_within(0, None)
    }

    pub fn connect_within(&self, timeout_ms: u32, cancel: Option<&Cancel>) -> Result<(), Error> {
        let cancel = cancel.map_or(ptr::null(), |cancel| cancel.raw.cast_const());
        call(|error| unsafe { cd_connect(self.raw, cancel, timeout_ms, error) })
    }
}

/// A login to make. By default it is the fake server's good account.
#[derive(Clone, Copy)]
pub struct Login<'a> {
    pub options: &'a Options,
    pub cancel: Option<&'a Cancel>,
    pub timeout_ms: u32,
    pub username: &'a str,
    pub password: &'a str,
    pub system: Option<&'a str>,
}

impl<'a> Login<'a> {
    pub fn of(options: &'a Options) -> Login<'a> {
        Login {
            options,
            cancel: None,
            timeout_ms: 0,
            username: "ada@example.com",
            password: fake_server::PASSWORD,
            system: None,
        }
    }

    /// Logs in. Checks that the call always writes the token's address, and that there is a token exactly if there is
    /// no error.
    pub fn run(&self) -> Result<Token, Error> {
        let (username, password) = (c(self.username), c(self.password));
        let system = self.system.map(c);
        let cancel = self.cancel.map_or(ptr::null(), |cancel| cancel.raw.cast_const());
        let mut token = garbage();
        let done = call(|error| unsafe {
            cd_authenticate_with(
                self.options.raw,
                cancel,
                self.timeout_ms,
                username.as_ptr(),
                password.as_ptr(),
                system.as_ref().map_or(ptr::null(), |system| system.as_ptr()),
                &mut token,
                error,
            )
        });
        assert_eq!(token.is_null(), done.is_err(), "a token if and only if there is no error");
        done.map(|()| Token { raw: token })
    }
}

/// A token that is freed when dropped.
pub struct Token {
    pub raw: *mut cd_token,
}

// The contract allows any thread to read a token.
unsafe impl Send for Token {}
unsafe impl Sync for Token {}

impl Token {
    pub fn text(&self) -> String {
        let token = unsafe { text(cd_token_str(self.raw)) }.expect("a token has a string");
        assert_eq!(token.len(), unsafe { cd_token_len(self.raw) });
        token
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(***)")
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        unsafe { cd_token_free(self.raw) };
    }
}

/// A cancel handle that is freed when dropped.
pub struct Cancel {
    pub raw: *mut cd_cancel,
}

// The contract allows any thread to trigger and use a cancel handle.
unsafe impl Send for Cancel {}
unsafe impl Sync for Cancel {}

impl Cancel {
    pub fn new() -> Cancel {
        let cancel = Cancel { raw: cd_cancel_new() };
        assert!(!cancel.raw.is_null() && !cancel.is_triggered());
        cancel
    }

    /// A handle whose check is `check`, called with `data`. The handle must not outlive `data`.
    pub fn with_check<T: Sync>(
        check: unsafe extern "C" fn(*mut std::ffi::c_void) -> i32,
        data: &T,
    ) -> Cancel {
        let cancel = Cancel::new();
        unsafe { cd_cancel_set_check(cancel.raw, Some(check), ptr::from_ref(data).cast_mut().cast()) };
        cancel
    }

    pub fn trigger(&self) {
        unsafe { cd_cancel_trigger(self.raw) };
    }

    pub fn is_triggered(&self) -> bool {
        match unsafe { cd_cancel_is_triggered(self.raw) } {
            0 => false,
            1 => true,
            other => panic!("neither 0 nor 1: {other}"),
        }
    }
}

impl Drop for Cancel {
    fn drop(&mut self) {
        unsafe { cd_cancel_free(self.raw) };
    }
}

/// Runs `work` and returns its result and its duration.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let started = Instant::now();
    let done = work();
    (done, started.elapsed())
}
