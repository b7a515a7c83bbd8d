//! One login with its retries.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::config::{BodyFormat, Config};
use crate::context::CallContext;
use crate::error::{Error, ErrorKind, Phase};
use crate::http::client::{HttpClient, RetryState};
use crate::http::endpoint::Endpoint;
use crate::http::request::RequestHead;
use crate::http::response::Response;
use crate::http::wait::pause;
use crate::limits::MAX_RETRY_AFTER_MEMORY;
use crate::logger::Level;
use crate::login::credentials::Credentials;
use crate::login::response::{server_message, token as parse_token};
use crate::login::retry::Backoff;
use crate::login::{redact, request};
use crate::secret::Secret;
use crate::sys::clock::uptime;
use crate::sys::fork_local::ForkLocal;

/// A client: the configuration of frozen options, and one HTTP client for each process.
pub struct Client {
    config: Config,
    endpoint: Arc<Endpoint>,
    form_head: RequestHead,
    json_head: RequestHead,
    /// A server has received a password, and may repeat it in the names of a certificate.
    has_sent: AtomicBool,
    /// The service has accepted JSON after it refused a form.
    prefers_json: AtomicBool,
    http: ForkLocal<HttpClient>,
}

impl Client {
    /// Takes the configuration, and reads the environment once.
    pub fn new(config: Config) -> Result<Client, ErrorKind> {
        let endpoint = Arc::new(Endpoint::choose(&config)?);
        let head =
            |content_type| RequestHead::new(&config.base, "/authenticate", content_type, &config.user_agent);
        Ok(Client {
            form_head: head("application/x-www-form-urlencoded"),
            json_head: head("application/json"),
            has_sent: AtomicBool::new(false),
            prefers_json: AtomicBool::new(false),
            http: ForkLocal::new(),
            endpoint,
            config,
        })
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Opens a connection before a login; sends no credentials.
    pub fn connect(&self, call: &CallContext) -> Result<(), Error> {
        call.ensure_active()?;
        self.http(call).connect(call).map_err(|error| {
            call.log(level_of(&error.kind), || format!("connection failed: {}", error.kind));
            Error::from(error.kind)
        })?;
        Ok(call.ensure_same_process()?)
    }

    /// Logs in, with the retries that are needed and allowed.
    pub fn login(&self, call: &CallContext, credentials: &Credentials) -> Result<Secret, Error> {
        self.login_observed(call, credentials, &|_| {})
    }

    /// Same as [`Client::login`]. Passes each failure that is retried to `before_wait`.
    pub fn login_observed(
        &self,
        call: &CallContext,
        credentials: &Credentials,
        before_wait: &dyn Fn(&Error),
    ) -> Result<Secret, Error> {
        let done = self.attempts(call, credentials, before_wait);
        match &done {
            Ok(_) => call.log(Level::Info, || {
                format!("logged in: {} request(s), {} ms", call.attempts(), call.elapsed().as_millis())
            }),
            Err(failed) => call.log(level_of(&failed.kind), || {
                let (requests, ms) = (call.attempts(), call.elapsed().as_millis());
                format!("login failed: {requests} request(s), {ms} ms: {}", failed.kind)
            }),
        }
        if call.attempts() > 0 && !self.has_sent.load(Ordering::Relaxed) {
            self.has_sent.store(true, Ordering::Relaxed);
        }
        // In a child that a signal handler forked, the response belongs to the parent.
        call.ensure_same_process()?;
        done
    }

    fn attempts(
        &self,
        call: &CallContext,
        credentials: &Credentials,
        before_wait: &dyn Fn(&Error),
    ) -> Result<Secret, Error> {
        let mut json = match self.config.body_format {
            BodyFormat::Auto => self.prefers_json.load(Ordering::Relaxed),
            BodyFormat::Form => false,
            BodyFormat::Json => true,
        };
        let mut backoff = Backoff::for_call(&self.config, call);
        let mut last = None;
        let http = self.http(call);
        let mut retry = RetryState::default();
        let account = http.account(credentials.username);
        loop {
            if let Err(kind) = call.ensure_active() {
                return Err(ended(kind, last));
            }
            let (head, body) = if json {
                (&self.json_head, request::json(credentials))
            } else {
                (&self.form_head, request::form(credentials))
            };
            let failed = match http.exchange(call, &mut retry, account, head, &body) {
                Ok(response) if response.status == 200 => match parse_token(&response.body) {
                    Ok(token) => {
                        if json && !self.prefers_json.load(Ordering::Relaxed) {
                            self.prefers_json.store(true, Ordering::Relaxed);
                        }
                        return Ok(token);
                    }
                    Err(kind) => {
                        let kind = response.missing_close_notify.unwrap_or(kind);
                        return Err(Error { http_status: 200, attempts: call.attempts(), ..kind.into() });
                    }
                },
                Ok(response) => {
                    let failed = refused(&response, credentials.password, call);
                    // The service refused the format, not the account.
                    if !json
                        && self.config.body_format == BodyFormat::Auto
                        && matches!(response.status, 400 | 415 | 422)
                    {
                        call.log(Level::Warn, || {
                            format!("status {} for a form: retrying with JSON", response.status)
                        });
                        json = true;
                        last = Some(failed);
                        continue;
                    }
                    if !failed.kind.is_retryable() {
                        return Err(failed);
                    }
                    failed
                }
                Err(mut error) => {
                    if call.attempts() > 0 || self.has_sent.load(Ordering::Relaxed) {
                        error.kind = without_password(error.kind, credentials.password);
                    }
                    let retryable = error.may_be_retried();
                    // The head was complete, but this call's own limit ended the body.
                    let blocked_until = match error.kind {
                        ErrorKind::Proxy { .. } => None,
                        _ => blocked_until(error.status, error.retry_after),
                    };
                    let failed = Error {
                        http_status: error.status,
                        attempts: call.attempts(),
                        blocked_until,
                        ..error.kind.into()
                    };
                    if !retryable {
                        return Err(failed);
                    }
                    failed
                }
            };
            let retry_after = failed.retry_after.and_then(|seconds| u64::try_from(seconds).ok());
            let retry_after_note = || match retry_after {
                Some(seconds) => format!(" (the service asks to wait {seconds} s)"),
                None => String::new(),
            };
            let is_exhausted = backoff.is_exhausted();
            let wait = backoff.next(call.remaining(), retry_after.map(Duration::from_secs), call.rng);
            let Some(wait) = wait else {
                call.log(Level::Warn, || {
                    format!("giving up, no retries or no time left{}: {}", retry_after_note(), failed.kind)
                });
                return Err(Error { cut_by_deadline: !is_exhausted, ..failed });
            };
            call.log(Level::Warn, || {
                format!("retrying in {} ms{}: {}", wait.as_millis(), retry_after_note(), failed.kind)
            });
            before_wait(&failed);
            call.set_phase(Phase::BackOff);
            last = Some(failed);
            if let Err(kind) = pause(call, wait) {
                return Err(ended(kind, last));
            }
        }
    }

    fn http(&self, call: &CallContext) -> &HttpClient {
        self.http.get(call.generation, |parents| HttpClient::new(&self.endpoint, parents))
    }
}

/// A failure between attempts, with the details of the last attempt's response.
fn ended(kind: ErrorKind, last: Option<Error>) -> Error {
    match last {
        Some(last) => Error { kind, ..last },
        None => kind.into(),
    }
}

fn refused(response: &Response, password: &str, call: &CallContext) -> Error {
    Error {
        kind: ErrorKind::Refused { status: response.status },
        http_status: response.status,
        // A success other than 200 might contain a token too.
        server_message: match response.status {
            200..=299 => None,
            _ => server_message(&response.body, response.is_truncated, password),
        },
        retry_after: response.retry_after,
        attempts: call.attempts(),
        blocked_until: blocked_until(response.status, response.retry_after),
        cut_by_deadline: false,
    }
}

/// The uptime before which the service wants no further login.
fn blocked_until(status: u16, retry_after: Option<i64>) -> Option<Duration> {
    let seconds = u64::try_from(retry_after?).ok()?;
    matches!(status, 429 | 503).then(|| uptime() + Duration::from_secs(seconds).min(MAX_RETRY_AFTER_MEMORY))
}

/// Removes the reason of a TLS failure if it repeats the password: it quotes names of the server's certificate.
fn without_password(kind: ErrorKind, password: &str) -> ErrorKind {
    match kind {
        ErrorKind::Tls(why) if redact::contains_secret(&why, false, password) => ErrorKind::Tls(
            "TLS verification failed; the reason is not shown, since the server may have put the password into it"
                .into(),
        ),
        other => other,
    }
}

/// Log cancellation at info, not error.
fn level_of(kind: &ErrorKind) -> Level {
    match kind {
        ErrorKind::Cancelled => Level::Info,
        _ => Level::Error,
    }
}
