//! [`Options`] for suites with faulty servers: no proxy, no retries, and a search of every message and log line for
//! secrets.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use couchdrop::error::cd_code;
use couchdrop::ffi::options::{CD_LOG_DEBUG, cd_options_free};

use super::log::{Line, Log};
use super::{Error, Login, Options, timed};

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

/// Options, and calls with them. Any number of threads may call.
pub struct Client {
    options: Options,
    log: Arc<Log>,
    /// The number of log lines that have been searched for secrets.
    checked: AtomicUsize,
}

impl Client {
    /// No retries, no proxy, a timeout of a minute for a call, and the CA file of the valid servers.
    pub fn new(url: &str) -> Client {
        let client = Client { options: Options::to(url), log: Log::new(), checked: AtomicUsize::new(0) };
        client.options.set_proxy(None).unwrap().set_backoff_ms(0, 0).unwrap();
        client.options.set_logger(&client.log, CD_LOG_DEBUG).unwrap();
        client.ca_file(fault_server::ca_file()).timeout(60_000).connect_timeout(60_000).retries(0)
    }

    pub fn timeout(self, ms: u32) -> Client {
        self.options.set_timeout_ms(ms).unwrap();
        self
    }

    pub fn connect_timeout(self, ms: u32) -> Client {
        self.options.set_connect_timeout_ms(ms).unwrap();
        self
    }

    pub fn retries(self, count: u32) -> Client {
        self.options.set_max_retries(count).unwrap();
        self
    }

    pub fn body_format(self, format: i32) -> Client {
        self.options.set_body_format(format).unwrap();
        self
    }

    pub fn max_response(self, bytes: usize) -> Client {
        self.options.set_max_response_bytes(bytes).unwrap();
        self
    }

    pub fn ca_file(self, path: &str) -> Client {
        self.options.set_ca_file(path).unwrap();
        self
    }

    pub fn proxy(self, url: &str) -> Client {
        self.options.set_proxy(Some(url)).unwrap();
        self
    }

    /// Also sends every log line to `listener`, on the thread of the call.
    pub fn listen(self, listener: impl Fn(&str) + Send + Sync + 'static) -> Client {
        let log = Log::with_callback(move |line: &Line| {
            // The library silences panics on this thread, and a panic must not unwind through it.
            if catch_unwind(AssertUnwindSafe(|| listener(&line.message))).is_err() {
                eprintln!("a listener panicked at: {}", line.message);
                std::process::abort();
            }
        });
        self.options.set_logger(&log, CD_LOG_DEBUG).unwrap();
        Client { log, ..self }
    }

    pub fn login(&self) -> Outcome {
        self.run(self.prepared())
    }

    pub fn login_as(&self, username: &str, password: &str) -> Outcome {
        self.run(Login { username, password, ..self.prepared() })
    }

    /// A login with its own timeout, in ms.
    pub fn login_within(&self, timeout_ms: u32) -> Outcome {
        self.run(Login { timeout_ms, ..self.prepared() })
    }

    /// A login for [`USERNAME`] with [`PASSWORD`].
    pub fn prepared(&self) -> Login<'_> {
        Login { username: USERNAME, password: PASSWORD, ..Login::of(&self.options) }
    }

    #[track_caller]
    pub fn run(&self, login: Login<'_>) -> Outcome {
        let (done, elapsed) = timed(|| login.run());
        self.checked(done.map(|token| Some(token.text())), elapsed)
    }

    #[track_caller]
    pub fn connect(&self) -> Outcome {
        let (done, elapsed) = timed(|| self.options.connect());
        self.checked(done.map(|()| None), elapsed)
    }

    /// The log lines so far.
    pub fn log(&self) -> Vec<String> {
        self.log.since(0).into_iter().map(|line| line.message).collect()
    }

    /// Frees only the options in a child of fork. A thread of the parent may hold the lock of everything else.
    pub fn free_in_a_child(&self) {
        // SAFETY: the child uses them no more, and the parent has its own copy.
        unsafe { cd_options_free(self.options.raw()) };
    }

    #[track_caller]
    fn checked(&self, done: Result<Option<String>, Error>, elapsed: Duration) -> Outcome {
        let from = self.checked.load(Ordering::Relaxed);
        let lines = self.log.since(from);
        self.checked.fetch_max(from + lines.len(), Ordering::Relaxed);
        let outcome = match done {
            Ok(token) => Outcome { token, elapsed, retry_after: -1, ..Outcome::default() },
            Err(error) => Outcome {
                code: error.code as i32,
                token: None,
                message: error.message,
                http_status: error.http_status,
                server_message: error.server_message,
                retry_after: error.retry_after,
                attempts: error.attempts,
                retryable: error.retryable,
                elapsed,
            },
        };
        let mut texts: Vec<&str> = lines.iter().map(|line| line.message.as_str()).collect();
        texts.push(&outcome.message);
        texts.extend(outcome.server_message.as_deref());
        for text in texts {
            for secret in SECRETS {
                assert!(!text.contains(secret), "{secret} is in {text}");
            }
        }
        outcome
    }
}
