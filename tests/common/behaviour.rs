//! Named behaviours of a server, each with the expected result of a login. A few threads try them in parallel.

use std::collections::HashSet;
use std::net::TcpListener;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use couchdrop::error::{ErrorKind, cd_code};

use fault_server::{FaultServer, Script, good_server};

use super::client::{Client, Outcome};

/// The expected result of a login. A field that is None is not checked.
#[derive(Clone, Debug)]
pub struct Expected {
    pub code: cd_code,
    pub token: Option<String>,
    pub status: Option<i32>,
    pub attempts: Option<u32>,
    pub retry_after: Option<i64>,
    pub message: Option<Option<String>>,
    /// The number of connections that the server must have seen at the end.
    pub connections: usize,
}

impl Expected {
    pub fn code(code: cd_code) -> Expected {
        Expected {
            code,
            token: None,
            status: None,
            attempts: Some(1),
            retry_after: None,
            message: None,
            connections: 1,
        }
    }

    pub fn success(token: &str) -> Expected {
        Expected { token: Some(token.to_owned()), ..Expected::code(cd_code::CD_OK).status(0) }
    }

    /// The code for a status, and the status itself.
    pub fn refused(status: u16) -> Expected {
        Expected::code(ErrorKind::Refused { status }.code()).status(status.into())
    }

    pub fn status(self, status: i32) -> Expected {
        Expected { status: Some(status), ..self }
    }

    /// The number of requests sent.
    pub fn attempts(self, attempts: u32) -> Expected {
        Expected { attempts: Some(attempts), ..self }
    }

    pub fn any_attempts(self) -> Expected {
        Expected { attempts: None, ..self }
    }

    pub fn connections(self, connections: usize) -> Expected {
        Expected { connections, ..self }
    }

    pub fn retry_after(self, seconds: i64) -> Expected {
        Expected { retry_after: Some(seconds), ..self }
    }

    pub fn message(self, message: impl Into<String>) -> Expected {
        Expected { message: Some(Some(message.into())), ..self }
    }

    pub fn no_message(self) -> Expected {
        Expected { message: Some(None), ..self }
    }

    fn differs(&self, outcome: &Outcome) -> bool {
        fn other<T: PartialEq>(expected: &Option<T>, got: &T) -> bool {
            expected.as_ref().is_some_and(|expected| expected != got)
        }
        self.code as i32 != outcome.code
            || self.token.is_some() && self.token != outcome.token
            || other(&self.status, &outcome.http_status)
            // A success has no error object, so the number of attempts is not known.
            || self.code != cd_code::CD_OK && other(&self.attempts, &outcome.attempts)
            || other(&self.retry_after, &outcome.retry_after)
            || other(&self.message, &outcome.server_message)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    Tcp,
    Tls,
}

type Prepare = Box<dyn Fn(Client) -> Client + Send + Sync>;

/// A server's script for each connection, and the expected result of each of a client's logins, in order.
pub struct Behaviour {
    name: String,
    /// The script of each connection. Connections after the last script repeat it.
    scripts: Vec<Script>,
    logins: Vec<Expected>,
    over: Vec<Over>,
    timeout: u32,
    prepare: Prepare,
    listener: Mutex<Option<TcpListener>>,
}

/// A behaviour for one login, tried over TCP and over TLS.
pub fn behaviour(name: impl Into<String>, script: Script, expected: Expected) -> Behaviour {
    behaviours_in_order(name, vec![(script, expected)])
}

/// A behaviour that varies a little from login to login. Each login must make its own connection.
pub fn behaviours_in_order(name: impl Into<String>, logins: Vec<(Script, Expected)>) -> Behaviour {
    let (scripts, logins) = logins.into_iter().unzip();
    Behaviour {
        name: name.into(),
        scripts,
        logins,
        over: vec![Over::Tcp, Over::Tls],
        timeout: 60_000,
        prepare: Box::new(|client| client),
        listener: Mutex::new(None),
    }
}

impl Behaviour {
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn over(self, over: Over) -> Behaviour {
        Behaviour { over: vec![over], ..self }
    }

    /// Adds the script of the next connection.
    pub fn then(mut self, script: Script) -> Behaviour {
        self.scripts.push(script);
        self
    }

    /// Adds a login that reuses an existing connection.
    pub fn then_login(mut self, expected: Expected) -> Behaviour {
        self.logins.push(expected.connections(0));
        self
    }

    /// Sets the timeout of each login, in ms.
    pub fn timeout(self, timeout: u32) -> Behaviour {
        Behaviour { timeout, ..self }
    }

    /// Sets further options.
    pub fn with(self, prepare: impl Fn(Client) -> Client + Send + Sync + 'static) -> Behaviour {
        Behaviour { prepare: Box::new(prepare), ..self }
    }

    /// Sets the server's listener, for a script that depends on its address.
    pub fn on(self, listener: TcpListener) -> Behaviour {
        Behaviour { listener: Mutex::new(Some(listener)), ..self }
    }

    fn try_out(&self, over: Over) -> Result<(), String> {
        let listener = self.listener.lock().unwrap().take();
        let listener = listener.unwrap_or_else(|| TcpListener::bind("127.0.0.1:0").unwrap());
        let server = FaultServer::on(listener, (over == Over::Tls).then(good_server), self.scripts.clone());
        let client = (self.prepare)(Client::new(&server.url()).timeout(self.timeout));
        let mut connections = 0;
        for (number, expected) in self.logins.iter().enumerate() {
            let outcome = client.login();
            connections += expected.connections;
            if expected.differs(&outcome) {
                return Err(format!("login {number}: expected {expected:?}\n    got {outcome:?}"));
            }
            let allowed = Duration::from_millis(self.timeout.into());
            let timed_out = expected.code == cd_code::CD_ERR_TIMEOUT;
            if timed_out && outcome.elapsed < allowed || outcome.elapsed > allowed + Duration::from_secs(2) {
                return Err(format!("login {number} took {:?}: {outcome:?}", outcome.elapsed));
            }
        }
        drop(client);
        let seen = server.wait(|seen| seen.len() >= connections);
        if seen.len() != connections {
            return Err(format!("{} connections, not {connections}", seen.len()));
        }
        Ok(())
    }
}

const THREADS: usize = 8;

/// Tries all behaviours, and fails with a list of those with an unexpected result. Returns their number.
#[track_caller]
pub fn try_all(behaviours: Vec<Behaviour>) -> usize {
    let mut names = HashSet::new();
    let tries: Vec<_> = behaviours
        .iter()
        .flat_map(|behaviour| behaviour.over.iter().map(move |over| (behaviour, *over)))
        .collect();
    for (behaviour, over) in &tries {
        assert!(names.insert((&behaviour.name, format!("{over:?}"))), "{} is there twice", behaviour.name);
    }
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some((behaviour, over)) = tries.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let done = catch_unwind(AssertUnwindSafe(|| behaviour.try_out(*over)));
                    if let Err(why) = done.unwrap_or_else(|_| Err("a panic, see above".to_owned())) {
                        failed.lock().unwrap().push(format!("{} over {over:?}: {why}", behaviour.name));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} of {}:\n  {}", failed.len(), tries.len(), failed.join("\n  "));
    tries.len()
}
