//! The login: it encodes the request, exchanges it, interprets the response and decides on a retry. This layer does not
//! know its callers or the transport's details.

pub mod answer;
pub mod encode;
pub mod redact;
pub mod retry;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::call::{Call, Level};
use crate::failure::{Failure, Phase, Report};
use crate::process::PerProcess;
use crate::secret::Secret;
use crate::settings::{BodyFormat, Settings};
use crate::wire::exchange::RequestHead;
use crate::wire::{Answer, Broken, Journey, Route, Wire};
use retry::Backoff;

/// The credentials of a login.
pub struct Credentials<'a> {
    pub username: &'a str,
    pub password: &'a str,
    pub system: Option<&'a str>,
}

impl<'a> Credentials<'a> {
    fn fields(&self) -> impl Iterator<Item = (&'static str, &'a str)> + use<'a> {
        let fields =
            [("username", Some(self.username)), ("password", Some(self.password)), ("system", self.system)];
        fields.into_iter().filter_map(|(name, value)| Some((name, value?)))
    }

    fn bytes(&self) -> usize {
        self.username.len() + self.password.len() + self.system.map_or(0, str::len)
    }
}

/// The service with the settings of frozen options.
pub struct Service {
    settings: Settings,
    route: Arc<Route>,
    form_head: RequestHead,
    json_head: RequestHead,
    /// A server has received a password, and may repeat it in the names of a certificate.
    has_sent: AtomicBool,
    /// The service has accepted JSON after it refused a form.
    prefers_json: AtomicBool,
    wire: PerProcess<Wire>,
}

impl Service {
    /// Freezes the settings and reads the environment, once.
    pub fn new(settings: Settings) -> Result<Service, Failure> {
        let route = Arc::new(Route::choose(&settings)?);
        let head = |content_type| {
            RequestHead::new(&settings.base, "/authenticate", content_type, &settings.user_agent)
        };
        Ok(Service {
            form_head: head("application/x-www-form-urlencoded"),
            json_head: head("application/json"),
            has_sent: AtomicBool::new(false),
            prefers_json: AtomicBool::new(false),
            wire: PerProcess::new(),
            route,
            settings,
        })
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Opens a connection before a login; sends no credentials.
    pub fn connect(&self, call: &Call) -> Result<(), Report> {
        call.check()?;
        self.wire(call).connect(call).map_err(|broken| {
            call.log(level_of(&broken.failure), || format!("connection failed: {}", broken.failure));
            Report::from(broken.failure)
        })?;
        Ok(call.check_process()?)
    }

    /// Logs in, with the retries that are needed and allowed.
    pub fn login(&self, call: &Call, credentials: &Credentials) -> Result<Secret, Report> {
        #[cfg(feature = "panic-probe")]
        assert!(credentials.username != "panic-probe", "a probe of {}", credentials.password);

        let done = self.attempts(call, credentials);
        match &done {
            Ok(_) => call.log(Level::Info, || {
                format!("logged in: {} request(s), {} ms", call.attempts(), elapsed(call).as_millis())
            }),
            Err(report) => call.log(level_of(&report.failure), || {
                let (requests, ms) = (call.attempts(), elapsed(call).as_millis());
                format!("login failed: {requests} request(s), {ms} ms: {}", report.failure)
            }),
        }
        if call.attempts() > 0 && !self.has_sent.load(Ordering::Relaxed) {
            self.has_sent.store(true, Ordering::Relaxed);
        }
        // In a forked child the response belongs to the parent.
        call.check_process()?;
        done
    }

    fn attempts(&self, call: &Call, credentials: &Credentials) -> Result<Secret, Report> {
        let mut json = match self.settings.body_format {
            BodyFormat::Auto => self.prefers_json.load(Ordering::Relaxed),
            BodyFormat::Form => false,
            BodyFormat::Json => true,
        };
        let mut backoff = Backoff::new(&self.settings, call.deadline.saturating_duration_since(call.started));
        let mut last = None;
        let wire = self.wire(call);
        let mut journey = Journey::default();
        let account = wire.account(credentials.username);
        loop {
            if let Err(failure) = call.check() {
                return Err(ended(failure, last));
            }
            let (head, body) = if json {
                (&self.json_head, encode::json(credentials))
            } else {
                (&self.form_head, encode::form(credentials))
            };
            let report = match wire.exchange(call, &mut journey, account, head, &body) {
                Ok(answer) if answer.status == 200 => match answer::token(&answer.body) {
                    Ok(token) => {
                        if json && !self.prefers_json.load(Ordering::Relaxed) {
                            self.prefers_json.store(true, Ordering::Relaxed);
                        }
                        return Ok(token);
                    }
                    Err(failure) => {
                        let failure = answer.truncated.unwrap_or(failure);
                        return Err(Report { http_status: 200, attempts: call.attempts(), ..failure.into() });
                    }
                },
                Ok(answer) => {
                    let report = refused(&answer, credentials.password, call);
                    // The service refused the format, not the account.
                    if !json
                        && self.settings.body_format == BodyFormat::Auto
                        && matches!(answer.status, 400 | 415 | 422)
                    {
                        call.log(Level::Warn, || {
                            format!("status {} for a form: retrying with JSON", answer.status)
                        });
                        json = true;
                        last = Some(report);
                        continue;
                    }
                    if !matches!(answer.status, 429 | 500 | 502 | 503 | 504) {
                        return Err(report);
                    }
                    report
                }
                Err(mut broken) => {
                    if call.attempts() > 0 || self.has_sent.load(Ordering::Relaxed) {
                        broken.failure = without_password(broken.failure, credentials.password);
                    }
                    let retryable = broken.may_be_retried();
                    let report = Report {
                        http_status: broken.status,
                        attempts: call.attempts(),
                        ..broken.failure.into()
                    };
                    if !retryable {
                        return Err(report);
                    }
                    report
                }
            };
            let retry_after = report.retry_after.and_then(|seconds| u64::try_from(seconds).ok());
            let asked = || match retry_after {
                Some(seconds) => format!(" (the service asks to wait {seconds} s)"),
                None => String::new(),
            };
            let wait = backoff.next(call.remaining(), retry_after.map(Duration::from_secs), call.chance);
            let Some(wait) = wait else {
                call.log(Level::Warn, || {
                    format!("giving up, no retries or no time left{}: {}", asked(), report.failure)
                });
                return Err(report);
            };
            call.log(Level::Warn, || {
                format!("retrying in {} ms{}: {}", wait.as_millis(), asked(), report.failure)
            });
            call.enter(Phase::BackOff);
            last = Some(report);
            if let Err(failure) = crate::wire::wait::pause(call, wait) {
                return Err(ended(failure, last));
            }
        }
    }

    fn wire(&self, call: &Call) -> &Wire {
        self.wire.get(call.process, |parents| Wire::new(&self.route, parents))
    }
}

/// A failure between attempts, with the details of the last attempt's response.
fn ended(failure: Failure, last: Option<Report>) -> Report {
    match last {
        Some(last) => Report { failure, ..last },
        None => failure.into(),
    }
}

fn refused(answer: &Answer, password: &str, call: &Call) -> Report {
    Report {
        failure: Failure::Refused { status: answer.status },
        http_status: answer.status,
        // A success other than 200 might contain a token too.
        server_message: match answer.status {
            200..=299 => None,
            _ => answer::server_message(&answer.body, answer.cut, password),
        },
        retry_after: answer.retry_after,
        attempts: call.attempts(),
    }
}

impl Broken {
    /// True if the library may retry: no byte of the request was handed over, and the failure may be temporary.
    fn may_be_retried(&self) -> bool {
        !self.sent
            && matches!(
                self.failure,
                Failure::Dns { .. }
                    | Failure::Connect { .. }
                    | Failure::Lost { .. }
                    | Failure::Timeout { connect_timeout: true, .. }
                    | Failure::Proxy { retryable: true, .. }
            )
    }
}

/// Removes the reason of a TLS failure if it repeats the password: it quotes names of the server's certificate.
fn without_password(failure: Failure, password: &str) -> Failure {
    match failure {
        Failure::Tls(why) if redact::may_hold(&why, false, password) => Failure::Tls(
            "TLS verification failed; the reason is not shown, since the server may have put the password into it"
                .into(),
        ),
        other => other,
    }
}

fn elapsed(call: &Call) -> Duration {
    call.clock.now().saturating_duration_since(call.started)
}

/// Log cancellation at info, not error.
fn level_of(failure: &Failure) -> Level {
    match failure {
        Failure::Cancelled => Level::Info,
        _ => Level::Error,
    }
}
