//! A caller of the C ABI for these suites. It uses no proxy and by default no retries. It searches every message and
//! log line for secrets.

use std::ffi::{CStr, CString, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use couchdrop::error::cd_code;
use couchdrop::ffi::auth::{cd_authenticate_with, cd_connect};
use couchdrop::ffi::cancel::cd_cancel;
use couchdrop::ffi::error::{
    cd_error, cd_error_attempts, cd_error_code, cd_error_free, cd_error_http_status, cd_error_is_retryable,
    cd_error_message, cd_error_retry_after_seconds, cd_error_server_message,
};
use couchdrop::ffi::options::*;
use couchdrop::ffi::token::{cd_token, cd_token_free, cd_token_len, cd_token_str};

pub const USERNAME: &str = "ada.l@example.com";
/// Its raw, form and JSON encodings all differ.
pub const PASSWORD: &str = "hunter2 \"é&%\\=+";

/// Strings that must not appear in a message, a log line or the server's text.
const SECRETS: [&str; 4] = [USERNAME, "ada.l%40example.com", "hunter2", "0e2b6f14"];

/// The result of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub code: i32,
    pub token: Option<String>,
    pub message: String,
    pub http_status: i32,
    pub server_message: Option<String>,
    pub retry_after: i64,
    pub attempts: u32,
    pub retryable: bool,
    pub elapsed: Duration,
}

impl Outcome {
    #[track_caller]
    pub fn expect(self, code: cd_code) -> Outcome {
        assert_eq!(self.code, code as i32, "{self:?}");
        self
    }

    #[track_caller]
    pub fn expect_token(self) -> String {
        self.expect(cd_code::CD_OK).token.unwrap()
    }
}

/// Called with every log line, on the thread of the call.
pub type Listener = Box<dyn Fn(&str) + Send + Sync>;

#[derive(Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    /// The number of lines that have been searched for secrets.
    checked: AtomicUsize,
    listener: Option<Listener>,
}

/// Options, and calls with them. Any number of threads may call.
pub struct Client {
    options: *mut cd_options,
    log: *mut Log,
}

// SAFETY: options serve any number of threads once no setter runs any more; setters take the client by value.
unsafe impl Send for Client {}
unsafe impl Sync for Client {}

impl Client {
    /// No retries, no proxy, a timeout of a minute for a call, and the CA file of the valid servers.
    pub fn new(url: &str) -> Client {
        let log = Box::into_raw(Box::<Log>::default());
        let client = Client { options: cd_options_new(), log };
        let url = CString::new(url).unwrap();
        client
            .set(|options, error| unsafe { cd_options_set_base_url(options, url.as_ptr(), error) })
            .set(|options, error| unsafe { cd_options_set_proxy(options, ptr::null(), error) })
            .set(|options, error| unsafe {
                cd_options_set_logger(options, Some(keep_line), log.cast(), CD_LOG_DEBUG, error)
            })
            .ca_file(super::ca_file())
            .timeout(60_000)
            .connect_timeout(60_000)
            .retries(0)
            .set(|options, error| unsafe { cd_options_set_backoff_ms(options, 0, 0, error) })
    }

    /// Calls any setter.
    #[track_caller]
    pub fn set(self, set: impl FnOnce(*mut cd_options, *mut *mut cd_error) -> cd_code) -> Client {
        let mut error = ptr::null_mut();
        let code = set(self.options, &mut error);
        assert_eq!(code, cd_code::CD_OK, "{:?}", outcome(code, error));
        self
    }

    pub fn timeout(self, ms: u32) -> Client {
        self.set(|options, error| unsafe { cd_options_set_timeout_ms(options, ms, error) })
    }

    pub fn connect_timeout(self, ms: u32) -> Client {
        self.set(|options, error| unsafe { cd_options_set_connect_timeout_ms(options, ms, error) })
    }

    pub fn retries(self, count: u32) -> Client {
        self.set(|options, error| unsafe { cd_options_set_max_retries(options, count, error) })
    }

    pub fn body_format(self, format: i32) -> Client {
        self.set(|options, error| unsafe { cd_options_set_body_format(options, format, error) })
    }

    pub fn max_response(self, bytes: usize) -> Client {
        self.set(|options, error| unsafe { cd_options_set_max_response_bytes(options, bytes, error) })
    }

    pub fn ca_file(self, path: &str) -> Client {
        let path = CString::new(path).unwrap();
        self.set(|options, error| unsafe { cd_options_set_ca_file(options, path.as_ptr(), error) })
    }

    pub fn proxy(self, url: &str) -> Client {
        let url = CString::new(url).unwrap();
        self.set(|options, error| unsafe { cd_options_set_proxy(options, url.as_ptr(), error) })
    }

    /// Also sends every log line to `listener`.
    pub fn listen(self, listener: impl Fn(&str) + Send + Sync + 'static) -> Client {
        // SAFETY: no call runs yet.
        unsafe { (*self.log).listener = Some(Box::new(listener)) };
        self
    }

    pub fn login(&self) -> Outcome {
        self.login_as(USERNAME, PASSWORD)
    }

    pub fn login_as(&self, username: &str, password: &str) -> Outcome {
        self.login_with(ptr::null(), 0, username, password)
    }

    /// A login with its own timeout, in ms.
    pub fn login_within(&self, timeout: u32) -> Outcome {
        self.login_with(ptr::null(), timeout, USERNAME, PASSWORD)
    }

    pub fn login_with(
        &self,
        cancel: *const cd_cancel,
        timeout: u32,
        username: &str,
        password: &str,
    ) -> Outcome {
        let (username, password) = (CString::new(username).unwrap(), CString::new(password).unwrap());
        let (mut token, mut error): (*mut cd_token, *mut cd_error) = (ptr::null_mut(), ptr::null_mut());
        let started = Instant::now();
        // SAFETY: strings, handles and out-parameters live through the call.
        let code = unsafe {
            cd_authenticate_with(
                self.options,
                cancel,
                timeout,
                username.as_ptr(),
                password.as_ptr(),
                ptr::null(),
                &mut token,
                &mut error,
            )
        };
        let elapsed = started.elapsed();
        assert_eq!(code == cd_code::CD_OK, !token.is_null(), "a token and a failure");
        let token = (!token.is_null()).then(|| {
            // SAFETY: a token, freed once, of which a copy is made before.
            unsafe {
                let text = CStr::from_ptr(cd_token_str(token)).to_str().unwrap().to_owned();
                assert_eq!(text.len(), cd_token_len(token));
                cd_token_free(token);
                text
            }
        });
        Outcome { token, elapsed, ..self.checked(outcome(code, error)) }
    }

    /// `cd_connect()`.
    pub fn connect(&self) -> Outcome {
        let mut error = ptr::null_mut();
        let started = Instant::now();
        // SAFETY: handles and out-parameters live through the call.
        let code = unsafe { cd_connect(self.options, ptr::null(), 0, &mut error) };
        let elapsed = started.elapsed();
        Outcome { elapsed, ..self.checked(outcome(code, error)) }
    }

    /// The log lines so far.
    pub fn log(&self) -> Vec<String> {
        // SAFETY: lives as long as the client.
        unsafe { &*self.log }.lines.lock().unwrap().clone()
    }

    /// Frees only the options in a child of fork. A thread of the parent may hold the lock of everything else.
    pub fn free_in_a_child(&self) {
        // SAFETY: the child uses them no more, and the parent has its own copy.
        unsafe { cd_options_free(self.options) };
    }

    #[track_caller]
    fn checked(&self, outcome: Outcome) -> Outcome {
        // SAFETY: lives as long as the client.
        let log = unsafe { &*self.log };
        let mut lines: Vec<String> = {
            let lines = log.lines.lock().unwrap();
            lines[log.checked.swap(lines.len(), Ordering::Relaxed)..].to_vec()
        };
        lines.push(outcome.message.clone());
        lines.extend(outcome.server_message.clone());
        for line in &lines {
            for secret in SECRETS {
                assert!(!line.contains(secret), "{secret} is in {line}");
            }
        }
        outcome
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // SAFETY: both were made in `new` and are freed once; no call runs any more.
        unsafe {
            cd_options_free(self.options);
            drop(Box::from_raw(self.log));
        }
    }
}

fn outcome(code: cd_code, error: *mut cd_error) -> Outcome {
    assert_eq!(code == cd_code::CD_OK, error.is_null(), "an error object goes with a failure");
    // SAFETY: NULL or an error, whose strings are copied before it is freed.
    unsafe {
        let text = |text: *const c_char| {
            (!text.is_null()).then(|| CStr::from_ptr(text).to_str().expect("UTF-8").to_owned())
        };
        assert_eq!(cd_error_code(error), code);
        let outcome = Outcome {
            code: code as i32,
            token: None,
            message: text(cd_error_message(error)).expect("a message is never NULL"),
            http_status: cd_error_http_status(error),
            server_message: text(cd_error_server_message(error)),
            retry_after: cd_error_retry_after_seconds(error),
            attempts: cd_error_attempts(error),
            retryable: cd_error_is_retryable(error) == 1,
            elapsed: Duration::ZERO,
        };
        assert_eq!(code == cd_code::CD_OK, outcome.message.is_empty(), "every failure has a sentence");
        cd_error_free(error);
        outcome
    }
}

unsafe extern "C" fn keep_line(log: *mut c_void, _level: i32, message: *const c_char) {
    // SAFETY: the log lives as long as the options, and the message during this call.
    let (log, line) = unsafe { (&*log.cast::<Log>(), CStr::from_ptr(message)) };
    let line = line.to_str().expect("UTF-8").to_owned();
    log.lines.lock().unwrap().push(line.clone());
    let Some(listener) = &log.listener else { return };
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| listener(&line))) {
        // The library silences panics on this thread, and a panic must not unwind through it.
        let why =
            panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        eprintln!("a listener panicked: {}", why.unwrap_or_default());
        std::process::abort();
    }
}
