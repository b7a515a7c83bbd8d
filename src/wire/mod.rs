//! The transport: name lookup, connections, TLS, one request and its response. This layer knows nothing about passwords
//! or retries.

pub mod algorithms;
pub mod connect;
pub mod connection;
pub mod exchange;
pub mod key_exchange;
pub mod pool;
pub mod proxy;
pub mod resolve;
pub mod socket;
pub mod through_ureq;
pub mod tls;
pub mod tls_error;
pub mod trust;
pub mod verifier;
pub mod wait;

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use crate::call::{Call, Level};
use crate::failure::{Failure, Phase};
use crate::process::{self, PerProcess, ProcessId};
use crate::secret::Secret;
use crate::settings::Settings;
use crate::snapshot::Snapshot;
use crate::url::{BaseUrl, Host, ProxyKind, ProxyUrl};
use connection::{Account, Connection};
use exchange::{Exchanged, RequestHead};
use pool::Pool;
use resolve::Lookups;
use tls::Tls;
use trust::{RootCache, Trust};

/// A response.
pub struct Answer {
    pub status: u16,
    pub body: Secret,
    /// The body is, or may be, incomplete.
    pub cut: bool,
    /// Set if a body that ends with its connection ended without TLS's close_notify. It is the error, unless the body
    /// itself shows that it is complete.
    pub truncated: Option<Failure>,
    /// Seconds.
    pub retry_after: Option<i64>,
}

/// The reason why there is no response, and the state of the exchange.
#[derive(Debug)]
pub struct Broken {
    pub failure: Failure,
    /// A byte of the request was handed to the connection.
    pub sent: bool,
    /// The status of the response, if its head was complete; the proxy's status for a refusal.
    pub status: u16,
    /// No byte of a response was received.
    pub before_answer: bool,
}

impl Broken {
    fn new(failure: Failure, sent: bool) -> Broken {
        let status = if let Failure::Proxy { status, .. } = failure { status } else { 0 };
        Broken { failure, sent, status, before_answer: false }
    }

    /// No byte of the request was handed over.
    fn unsent(failure: Failure) -> Broken {
        Broken::new(failure, false)
    }

    fn sent(failure: Failure) -> Broken {
        Broken::new(failure, true)
    }

    /// True if the peer or the network ended the exchange, not this call's own deadline or cancel handle.
    fn cut_short(&self) -> bool {
        !matches!(self.failure, Failure::Timeout { .. } | Failure::Cancelled)
    }
}

/// The destination that frozen options define: decided once, from settings and environment.
pub struct Route {
    base: BaseUrl,
    proxy: Option<ProxyUrl>,
    trust: Trust,
    connect_timeout: Duration,
    max_response: usize,
    user_agent: String,
}

impl Route {
    pub fn choose(settings: &Settings) -> Result<Route, Failure> {
        Ok(Route {
            base: settings.base.clone(),
            proxy: proxy::choose(settings)?,
            trust: Trust::choose(settings, &shared(process::id()).roots)?,
            connect_timeout: settings.connect_timeout,
            max_response: settings.max_response,
            user_agent: settings.user_agent.clone(),
        })
    }
}

/// State that all options of one process share.
struct Shared {
    lookups: Lookups,
    roots: RootCache,
}

static SHARED: PerProcess<Shared> = PerProcess::new();

fn shared(process: ProcessId) -> &'static Shared {
    SHARED.get(process, |parent| Shared {
        lookups: Lookups::default(),
        roots: parent.map(|parent| parent.roots.of_parent()).unwrap_or_default(),
    })
}

/// The connections of one options handle in one process.
pub struct Wire {
    route: Arc<Route>,
    pool: Pool,
    tls: Tls,
    /// The addresses of the last successful lookup, used if a later one fails or stalls.
    last_good: Snapshot<Vec<SocketAddr>>,
    account_key: RandomState,
}

/// State that one login keeps from attempt to attempt.
#[derive(Default)]
pub struct Journey {
    failed: connect::Failed,
    /// A reused connection was closed by the server during this login.
    fresh_only: bool,
}

/// The limit for a lookup while addresses of an earlier one are known.
const PATIENCE: Duration = Duration::from_secs(2);

impl Wire {
    /// `parents` is the parent process's state: only its last good addresses are read.
    pub fn new(route: &Arc<Route>, parents: Option<&Wire>) -> Wire {
        Wire {
            route: Arc::clone(route),
            pool: Pool::default(),
            tls: Tls::new(&route.trust),
            account_key: RandomState::new(),
            last_good: parents.map(|parents| parents.last_good.of_parent()).unwrap_or_default(),
        }
    }

    /// Identifies an account of this handle without keeping its name.
    pub fn account(&self, username: &str) -> Account {
        self.account_key.hash_one(username)
    }

    /// Makes sure that the pool has an open connection.
    pub fn connect(&self, call: &Call) -> Result<(), Broken> {
        let connection = match self.pool.take(call, None) {
            Some(connection) => connection,
            None => {
                let mut connection = self.open(call, &mut Journey::default()).map_err(Broken::unsent)?;
                connection.flush(call).map_err(Broken::unsent)?;
                connection
            }
        };
        self.keep(call, connection);
        Ok(())
    }

    /// Keeps a connection for the next login. In a child that a logger forked, the connection is the parent's and is
    /// not kept.
    fn keep(&self, call: &Call, connection: Box<Connection>) {
        if !call.is_anothers() {
            self.pool.put(connection);
        }
    }

    /// Sends a request and returns its response, over an idle connection or a new one. A reused connection that ends
    /// before any byte of a response is replaced once.
    pub fn exchange(
        &self,
        call: &Call,
        journey: &mut Journey,
        account: Account,
        head: &RequestHead,
        body: &[u8],
    ) -> Result<Answer, Broken> {
        loop {
            let pooled = if journey.fresh_only { None } else { self.pool.take(call, Some(account)) };
            let mut connection = match pooled {
                Some(connection) => connection,
                None => call
                    .limited(self.route.connect_timeout, || self.open_quiet(call, journey))
                    .and_then(|connection| call.check().map(|()| connection))
                    .map_err(Broken::unsent)?,
            };
            let reused = connection.reused;
            let began = call.logs(Level::Debug).then(|| call.clock.now());
            connection.account = Some(account);
            let why = match exchange::exchange(call, connection, head, body, self.route.max_response) {
                Ok(Exchanged { answer, .. }) if reused && matches!(answer.status, 408 | 421) => {
                    format!("answered {}", answer.status)
                }
                Err(broken) if reused && broken.is_of_a_stale_connection() => {
                    format!("ended ({})", broken.failure)
                }
                Ok(Exchanged { answer, connection }) => {
                    call.log(Level::Debug, || {
                        let kept = if connection.is_some() { "kept" } else { "closed" };
                        let ms = began.map_or(0, |began| since(call, began));
                        format!("status {} after {ms} ms; connection {kept}", answer.status)
                    });
                    if let Some(mut connection) = connection {
                        connection.idle_since = pool::uptime();
                        self.keep(call, connection);
                    }
                    return Ok(answer);
                }
                Err(broken) => return Err(broken),
            };
            call.log(Level::Info, || format!("a reused connection {why}: resending the login on a new one"));
            call.check_process().map_err(Broken::sent)?;
            journey.fresh_only = true;
            self.pool.clear();
            call.check().map_err(Broken::sent)?;
        }
    }

    /// Opens a connection on which the server has sent no data yet.
    fn open_quiet(&self, call: &Call, journey: &mut Journey) -> Result<Box<Connection>, Failure> {
        let mut connection = self.open(call, journey)?;
        call.check_process()?;
        match connection.is_quiet() {
            // Session tickets may arrive at any time.
            connection::Quiet::Yes | connection::Quiet::Begun => Ok(connection),
            connection::Quiet::Ended => Err(connection::lost(call, "the server closed it immediately")),
            connection::Quiet::Spoke => Err(Failure::Malformed(
                "The server sent data before the request; it is not an HTTP server".into(),
            )),
        }
    }

    fn open(&self, call: &Call, journey: &mut Journey) -> Result<Box<Connection>, Failure> {
        let started = call.clock.now();
        let (host, port) = match &self.route.proxy {
            Some(proxy) => (&proxy.host, proxy.port),
            None => (&self.route.base.host, self.route.base.port),
        };
        let mut config = None;
        let prepare = || {
            if self.route.base.https {
                config = Some(self.tls.config(call, &shared(call.process).roots)?);
            }
            Ok(())
        };
        let mut connection =
            self.reach(call, host, port, journey, prepare).map_err(|failure| self.naming_proxy(failure))?;
        let peer = connection.peer;
        call.log(Level::Debug, || format!("connected to {peer} after {} ms", since(call, started)));
        if let Some(proxy) = &self.route.proxy {
            self.tunnel(call, &mut connection, proxy).map_err(|failure| self.naming_proxy(failure))?;
            call.log(Level::Debug, || format!("tunnel through {proxy} after {} ms", since(call, started)));
        }
        if let Some(config) = config {
            if let Err(failure) = self.start_tls(call, &mut connection, config) {
                journey.failed.push(peer);
                return Err(failure);
            }
            call.log(Level::Debug, || {
                let (ms, parameters) = (since(call, started), connection.tls_parameters());
                format!("TLS handshake with {peer} after {ms} ms: {parameters}")
            });
        }
        Ok(connection)
    }

    /// Opens a TCP connection to a host: the service or a proxy.
    fn reach(
        &self,
        call: &Call,
        host: &Host,
        port: u16,
        journey: &mut Journey,
        prepare: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<Box<Connection>, Failure> {
        let mut addresses = self.addresses(call, host)?;
        addresses.iter_mut().for_each(|address| address.set_port(port));
        let peer = format!("{host}:{port}");
        let (socket, address) = connect::race(call, &peer, &addresses, &mut journey.failed, prepare)?;
        Ok(Connection::new(socket, address))
    }

    /// Returns the addresses of a host, with port 0.
    fn addresses(&self, call: &Call, host: &Host) -> Result<Vec<SocketAddr>, Failure> {
        let name = match host {
            Host::Address(address) => return Ok(vec![SocketAddr::new(*address, 0)]),
            // Never looked up: `localhost` is always this machine (RFC 6761, 6.3).
            Host::Name(name) if name == "localhost" => {
                return Ok(vec![(Ipv4Addr::LOCALHOST, 0).into(), (Ipv6Addr::LOCALHOST, 0).into()]);
            }
            Host::Name(name) => name,
        };
        call.enter(Phase::Lookup);
        let started = call.clock.now();
        call.log(Level::Debug, || format!("looking up {name}"));
        let known = self.last_good.get();
        let patience = (!known.is_empty()).then(|| PATIENCE.min(self.route.connect_timeout / 4));
        let why = match shared(call.process).lookups.resolve(call, name, patience) {
            Ok(Some(found)) => {
                call.log(Level::Debug, || {
                    format!("{name} is {} after {} ms", listed(&found), since(call, started))
                });
                call.check_process()?;
                if found != known {
                    self.last_good.set(found.clone());
                }
                return Ok(found);
            }
            Ok(None) => "takes long".to_owned(),
            Err(failure @ (Failure::Dns { .. } | Failure::Resources(_))) if !known.is_empty() => {
                format!("failed: {failure}")
            }
            Err(failure) => return Err(failure),
        };
        call.log(Level::Warn, || {
            format!("the lookup of {name} {why}; using the previous addresses: {}", listed(&known))
        });
        Ok(known)
    }

    fn tunnel(&self, call: &Call, connection: &mut Connection, proxy: &ProxyUrl) -> Result<(), Failure> {
        let base = &self.route.base;
        let target = match (proxy.kind, &base.host) {
            (ProxyKind::Socks5, host) if host.is_loopback() => proxy::Target::Address(loopback(host)),
            (ProxyKind::Socks5, Host::Name(name)) => {
                call.enter(Phase::Lookup);
                let found = shared(call.process).lookups.resolve(call, name, None)?.unwrap_or_default();
                match found.first() {
                    Some(address) => proxy::Target::Address(address.ip()),
                    None => return Err(Failure::Dns { host: name.clone(), why: "it has no address".into() }),
                }
            }
            (_, host) => proxy::Target::Host(host),
        };
        proxy::tunnel(call, connection, proxy, &self.route.user_agent, target, base.port)
    }

    fn start_tls(
        &self,
        call: &Call,
        connection: &mut Connection,
        config: Arc<ClientConfig>,
    ) -> Result<(), Failure> {
        let name = match &self.route.base.host {
            Host::Address(address) => ServerName::IpAddress((*address).into()),
            Host::Name(name) => ServerName::try_from(name.clone())
                .map_err(|_| Failure::Tls(format!("{name} is not a valid name for a certificate").into()))?,
        };
        connection.start_tls(call, config, name)
    }

    /// Adds the proxy to the message of a failure to reach it or to connect through it.
    fn naming_proxy(&self, failure: Failure) -> Failure {
        let Some(proxy) = &self.route.proxy else { return failure };
        let with = Some(format!("with the proxy {proxy}"));
        match failure {
            Failure::Timeout { phase, after, connect_timeout, .. } => {
                Failure::Timeout { phase, after, connect_timeout, with }
            }
            Failure::Lost { phase, why, .. } => Failure::Lost { phase, why, with },
            Failure::Connect { peer, why } => Failure::Connect { peer: format!("the proxy {peer}"), why },
            Failure::Dns { host, why } if Host::Name(host.clone()) == proxy.host => {
                Failure::Dns { host: format!("{host} of the proxy"), why }
            }
            other => other,
        }
    }
}

impl Broken {
    /// True if the server probably closed the connection while it was idle.
    fn is_of_a_stale_connection(&self) -> bool {
        self.before_answer && matches!(self.failure, Failure::Lost { .. })
    }
}

/// The address of a loopback host, without a lookup.
fn loopback(host: &Host) -> IpAddr {
    match host {
        Host::Address(address) => *address,
        Host::Name(_) => Ipv4Addr::LOCALHOST.into(),
    }
}

fn listed(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(connect::without_port).collect::<Vec<_>>().join(", ")
}

fn since(call: &Call, started: std::time::Instant) -> u128 {
    call.clock.now().saturating_duration_since(started).as_millis()
}
