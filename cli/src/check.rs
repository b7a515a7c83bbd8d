//! `couchdrop check`: each phase of a connection with its result and its time.

use std::ffi::CStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use couchdrop::cancel::SharedCancel;
use couchdrop::config::Config;
use couchdrop::error::ErrorKind;
use couchdrop::http::endpoint::Endpoint;
use couchdrop::logger::{Level, Logger};
use couchdrop::login::Client;
use couchdrop::url::Host;
use serde_json::{Value, json};

use crate::arguments::Check;
use crate::failure::Failure;
use crate::{Done, interrupt, output, service};

/// A step that is complete.
struct Step {
    name: &'static str,
    ended: Instant,
    detail: String,
}

/// A phase of the result.
struct Phase {
    name: &'static str,
    ms: f64,
    outcome: Result<String, Failure>,
}

pub fn run(options: &Check) -> Done {
    let cancel = interrupt::handle();
    let config = service::configure(&options.service)?;
    let (phases, status) = measure(config, options.timeout, &cancel)?;
    let mut text = if options.json {
        json!({"phases": phases.iter().map(Phase::json).collect::<Vec<_>>()}).to_string()
    } else {
        phases.iter().map(Phase::line).collect::<Vec<_>>().join("\n")
    };
    text.push('\n');
    output::write(&text.into_bytes().into())?;
    Ok(status)
}

/// Connects, and returns the phases with the exit status. The last phase may have failed.
fn measure(
    mut config: Config,
    timeout: Option<Duration>,
    cancel: &SharedCancel,
) -> Result<(Vec<Phase>, u8), Failure> {
    let steps = Arc::new(Mutex::new(Vec::new()));
    let recorded = Arc::clone(&steps);
    let sink = move |_: Level, message: &CStr| {
        if let Some(step) = Step::of(&message.to_string_lossy()) {
            lock(&recorded).push(step);
        }
    };
    config.set_logger(Some(Logger::new(Level::Debug as i32, Arc::new(sink))), Level::Debug as i32)?;

    let mut since = Instant::now();
    let chosen =
        Endpoint::choose(&config).and_then(|endpoint| Ok((planned(&endpoint), Client::new(config)?)));
    let (plan, connected) = match chosen {
        Ok((plan, client)) => {
            let timeout = timeout.unwrap_or(client.config().connect_timeout);
            since = Instant::now();
            let call = service::context(client.config(), timeout, cancel);
            (plan, service::guarded(|| client.connect(&call)))
        }
        // A variable of the environment can't be used.
        Err(kind) => (Vec::new(), Err(kind.into())),
    };
    let ended = Instant::now();

    let mut phases = Vec::new();
    for step in lock(&steps).drain(..) {
        phases.push(Phase { name: step.name, ms: ms(since, step.ended), outcome: Ok(step.detail) });
        since = step.ended;
    }
    let mut status = 0;
    if let Err(error) = connected {
        let name = failed_phase(&error.kind, &plan, &phases);
        let failure = Failure::from(error);
        status = failure.status();
        phases.push(Phase { name, ms: ms(since, ended), outcome: Err(failure) });
    }
    Ok((phases, status))
}

fn lock(steps: &Mutex<Vec<Step>>) -> MutexGuard<'_, Vec<Step>> {
    steps.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Step {
    /// Reads a line of the library's log. None for a line that does not end a phase.
    fn of(message: &str) -> Option<Step> {
        let ended = Instant::now();
        let (event, rest) = message.rsplit_once(" after ")?;
        let (name, detail) = if let Some(peer) = event.strip_prefix("connected to ") {
            ("connect", peer)
        } else if let Some(proxy) = event.strip_prefix("tunnel through ") {
            ("proxy", proxy)
        } else if event.starts_with("TLS handshake with ") {
            ("tls", rest.split_once(": ")?.1)
        } else if event.contains(" is ") {
            ("dns", event)
        } else {
            return None;
        };
        Some(Step { name, ended, detail: detail.to_owned() })
    }
}

impl Phase {
    fn line(&self) -> String {
        let (result, detail) = match &self.outcome {
            Ok(detail) => ("ok", detail.clone()),
            Err(failure) => ("failed", failure.sentence()),
        };
        format!("{:<8} {result:<6} {:>9.1} ms  {detail}", self.name, self.ms)
    }

    fn json(&self) -> Value {
        let error = self.outcome.as_ref().err().map(Failure::json);
        json!({"name": self.name, "ms": self.ms, "error": error})
    }
}

/// The phases of a connection, in their order.
fn planned(endpoint: &Endpoint) -> Vec<&'static str> {
    let first = endpoint.proxy.as_ref().map_or(&endpoint.base.host, |proxy| &proxy.host);
    let is_looked_up = matches!(first, Host::Name(name) if name != "localhost");
    [
        ("dns", is_looked_up),
        ("connect", true),
        ("proxy", endpoint.proxy.is_some()),
        ("tls", endpoint.base.https),
    ]
    .into_iter()
    .filter_map(|(name, is_needed)| is_needed.then_some(name))
    .collect()
}

/// The phase in which the connection failed: the first that is not complete, unless the error names another.
fn failed_phase(kind: &ErrorKind, plan: &[&'static str], complete: &[Phase]) -> &'static str {
    match kind {
        // The trust store is read while the connection is made.
        ErrorKind::Tls(_) => "tls",
        ErrorKind::Proxy { .. } => "proxy",
        _ => plan.get(complete.len()).or(plan.last()).copied().unwrap_or("connect"),
    }
}

/// Milliseconds, rounded to tenths.
fn ms(since: Instant, until: Instant) -> f64 {
    (until.saturating_duration_since(since).as_secs_f64() * 10_000.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use fake_server::FakeServer;

    use super::*;
    use crate::resolver;

    const NAME: &CStr = c"api.couchdrop.test";

    /// Replaces the C library's.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn getaddrinfo(
        name: *const libc::c_char,
        _: *const libc::c_char,
        _: *const libc::addrinfo,
        found: *mut *mut libc::addrinfo,
    ) -> libc::c_int {
        // SAFETY: the arguments are those of the C library's function.
        unsafe {
            if CStr::from_ptr(name) != NAME {
                return libc::EAI_NONAME;
            }
            found.write(resolver::list(&[Ipv4Addr::LOCALHOST]));
        }
        0
    }

    /// The name of each phase, with the name of its error's code.
    fn outcomes(base_url: &str, ca_file: Option<&str>, variable: Option<(&str, &str)>) -> (Vec<String>, u8) {
        let mut config = Config::default();
        config.set_base_url(base_url).unwrap();
        ca_file.into_iter().for_each(|path| config.set_ca_file(path).unwrap());
        let (name, value) = variable.unwrap_or(("NO_PROXY", ""));
        config.environment.set(name, Some(value.into())).unwrap();
        let (phases, status) = measure(config, None, &SharedCancel::default()).ok().unwrap();
        let outcomes = phases.iter().map(|phase| {
            assert!(phase.ms >= 0.0 && phase.ms < 60_000.0);
            match &phase.outcome {
                Ok(detail) => {
                    assert!(!detail.is_empty() && !detail.contains(" ms"), "{detail}");
                    phase.name.to_owned()
                }
                Err(failure) => format!("{} {}", phase.name, failure.json()["name"].as_str().unwrap()),
            }
        });
        (outcomes.collect(), status)
    }

    /// Also fails if the library changes the lines of its log that end a phase.
    #[test]
    fn each_phase_is_measured() {
        let fake_server = FakeServer::start();
        let port = fake_server.https_url().rsplit(':').next().unwrap();
        let ca_file = fake_server.ca_file().to_str();
        let named = format!("https://api.couchdrop.test:{port}");
        assert_eq!(outcomes(&named, ca_file, None), (vec!["dns".into(), "connect".into(), "tls".into()], 0));
        // Neither a lookup nor TLS.
        assert_eq!(outcomes(fake_server.http_url(), None, None), (vec!["connect".into()], 0));
        assert!(fake_server.requests().is_empty());
    }

    #[test]
    fn failed_phase_is_named() {
        let fake_server = FakeServer::start();
        let port = fake_server.https_url().rsplit(':').next().unwrap();
        let untrusted = format!("https://api.couchdrop.test:{port}");
        let proxy = Some(("HTTPS_PROXY", "ftp://proxy.example"));
        let store = Some(("SSL_CERT_FILE", "/nowhere/ca.pem"));
        for (base_url, variable, expected) in [
            ("https://unknown.invalid", None, &["dns CD_ERR_DNS"][..]),
            ("https://127.0.0.1:1", None, &["connect CD_ERR_CONNECT"]),
            (&untrusted, None, &["dns", "connect", "tls CD_ERR_TLS"]),
            ("https://api.couchdrop.test", proxy, &["proxy CD_ERR_PROXY"]),
            ("https://127.0.0.1:1", store, &["tls CD_ERR_TLS"]),
        ] {
            let (outcomes, status) = outcomes(base_url, None, variable);
            assert_eq!(
                (outcomes, status),
                (expected.iter().map(ToString::to_string).collect(), 6),
                "{base_url}"
            );
        }
    }

    #[test]
    fn proxy_that_refuses_is_named() {
        let fake_server = fake_server::Config::new().as_service().start().unwrap();
        let proxy = Some(("HTTPS_PROXY", fake_server.proxy_url().unwrap()));
        let ca_file = fake_server.ca_file().to_str();
        let service = outcomes("https://api.couchdrop.io", ca_file, proxy);
        assert_eq!(service, (vec!["connect".into(), "proxy".into(), "tls".into()], 0));
        let other = outcomes("https://other.example", ca_file, proxy);
        assert_eq!(other, (vec!["connect".into(), "proxy CD_ERR_PROXY".into()], 6));
    }
}
