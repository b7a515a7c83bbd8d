//! The HTTP client of one options handle: it sends a request over an idle connection or a new one.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use crate::context::CallContext;
use crate::error::{ErrorKind, Phase};
use crate::http::connection::{Account, Connection, IdleState, lost};
use crate::http::endpoint::Endpoint;
use crate::http::fast_path::{self, Exchanged};
use crate::http::happy_eyeballs;
use crate::http::pool::Pool;
use crate::http::proxy;
use crate::http::request::RequestHead;
use crate::http::response::Response;
use crate::http::shared::shared;
use crate::http::tls::Tls;
use crate::http::transport_error::TransportError;
use crate::logger::Level;
use crate::sys::clock::uptime;
use crate::sys::fork_snapshot::Snapshot;
use crate::url::{Host, ProxyKind, ProxyUrl};

/// The connections of one options handle in one process.
pub struct HttpClient {
    endpoint: Arc<Endpoint>,
    pool: Pool,
    tls: Tls,
    /// The addresses of the last successful lookup, used if a later one fails or stalls.
    stale_addresses: Snapshot<Vec<SocketAddr>>,
    account_key: RandomState,
}

/// State that a login carries across its attempts.
#[derive(Default)]
pub struct RetryState {
    failed: happy_eyeballs::Failed,
    /// A reused connection was closed by the server during this login.
    skip_pool: bool,
}

/// The limit for a lookup while addresses of an earlier one are known.
const STALE_ADDRESS_TIMEOUT: Duration = Duration::from_secs(2);

impl HttpClient {
    /// `parents` is the parent process's state: only its last good addresses are read.
    pub fn new(endpoint: &Arc<Endpoint>, parents: Option<&HttpClient>) -> HttpClient {
        HttpClient {
            endpoint: Arc::clone(endpoint),
            pool: Pool::default(),
            tls: Tls::new(&endpoint.trust),
            account_key: RandomState::new(),
            stale_addresses: parents.map(|parents| parents.stale_addresses.of_parent()).unwrap_or_default(),
        }
    }

    /// Identifies an account of this handle without keeping its name.
    pub fn account(&self, username: &str) -> Account {
        self.account_key.hash_one(username)
    }

    /// Makes sure that the pool has an open connection.
    pub fn connect(&self, call: &CallContext) -> Result<(), TransportError> {
        let connection = match self.pool.take(call, None) {
            Some(connection) => connection,
            None => {
                let mut connection =
                    self.open(call, &mut RetryState::default()).map_err(TransportError::before_request)?;
                connection.flush(call).map_err(TransportError::before_request)?;
                connection
            }
        };
        self.keep(call, connection);
        Ok(())
    }

    /// Keeps a connection for the next login. In a forked child the connection and the pool belong to the parent.
    fn keep(&self, call: &CallContext, connection: Box<Connection>) {
        if !call.is_in_forked_child() {
            self.pool.put(connection);
        }
    }

    /// Sends a request and returns its response, over an idle connection or a new one. A reused connection that ends
    /// before any byte of a response is replaced once.
    pub fn exchange(
        &self,
        call: &CallContext,
        retry: &mut RetryState,
        account: Account,
        head: &RequestHead,
        body: &[u8],
    ) -> Result<Response, TransportError> {
        loop {
            let pooled = if retry.skip_pool { None } else { self.pool.take(call, Some(account)) };
            let mut connection = match pooled {
                Some(connection) => connection,
                None => call
                    .with_timeout(self.endpoint.connect_timeout, || self.open_idle(call, retry))
                    .and_then(|connection| call.ensure_active().map(|()| connection))
                    .map_err(TransportError::before_request)?,
            };
            let reused = connection.reused;
            let began = call.is_logged(Level::Debug).then(|| call.clock.now());
            connection.account = Some(account);
            let why = match fast_path::exchange(call, connection, head, body, self.endpoint.max_response) {
                Ok(Exchanged { response, .. }) if reused && matches!(response.status, 408 | 421) => {
                    format!("was answered with status {}", response.status)
                }
                Err(error) if reused && error.is_stale_connection() => {
                    format!("ended ({})", error.kind)
                }
                Ok(Exchanged { response, connection }) => {
                    call.log(Level::Debug, || {
                        let kept = if connection.is_some() { "kept" } else { "closed" };
                        let ms = began.map_or(0, |began| ms_since(call, began));
                        format!("status {} after {ms} ms; connection {kept}", response.status)
                    });
                    if let Some(mut connection) = connection {
                        connection.idle_since = uptime();
                        self.keep(call, connection);
                    }
                    return Ok(response);
                }
                Err(error) => return Err(error),
            };
            call.log(Level::Info, || format!("a reused connection {why}: resending the login on a new one"));
            retry.skip_pool = true;
            call.ensure_active().map_err(TransportError::after_request)?;
            self.pool.clear();
        }
    }

    /// Opens a connection on which the server has sent no data yet.
    fn open_idle(&self, call: &CallContext, retry: &mut RetryState) -> Result<Box<Connection>, ErrorKind> {
        let mut connection = self.open(call, retry)?;
        call.ensure_same_process()?;
        match connection.probe_idle() {
            // Session tickets may arrive at any time.
            IdleState::Idle | IdleState::PartialRecord => Ok(connection),
            IdleState::Closed => Err(lost(call, "the server closed it immediately")),
            IdleState::UnexpectedData => Err(ErrorKind::Malformed(
                "The server sent data before the request; it is not an HTTP server".into(),
            )),
        }
    }

    fn open(&self, call: &CallContext, retry: &mut RetryState) -> Result<Box<Connection>, ErrorKind> {
        let started = call.clock.now();
        let (host, port) = match &self.endpoint.proxy {
            Some(proxy) => (&proxy.host, proxy.port),
            None => (&self.endpoint.base.host, self.endpoint.base.port),
        };
        let mut config = None;
        let prepare = || {
            if self.endpoint.base.https {
                config = Some(self.tls.config(call, &shared(call.generation).roots)?);
            }
            Ok(())
        };
        let mut connection = self
            .connect_tcp(call, host, port, retry, prepare)
            .map_err(|kind| self.with_proxy_context(kind))?;
        let peer = connection.peer;
        call.log(Level::Debug, || format!("connected to {peer} after {} ms", ms_since(call, started)));
        if let Some(proxy) = &self.endpoint.proxy {
            self.tunnel(call, &mut connection, proxy).map_err(|kind| self.with_proxy_context(kind))?;
            call.log(Level::Debug, || format!("tunnel through {proxy} after {} ms", ms_since(call, started)));
        }
        if let Some(config) = config {
            if let Err(kind) = self.start_tls(call, &mut connection, config) {
                retry.failed.push(peer);
                return Err(kind);
            }
            call.log(Level::Debug, || {
                let (ms, parameters) = (ms_since(call, started), connection.tls_parameters());
                format!("TLS handshake with {peer} after {ms} ms: {parameters}")
            });
        }
        Ok(connection)
    }

    /// Opens a TCP connection to a host: the service or a proxy.
    fn connect_tcp(
        &self,
        call: &CallContext,
        host: &Host,
        port: u16,
        retry: &mut RetryState,
        prepare: impl FnOnce() -> Result<(), ErrorKind>,
    ) -> Result<Box<Connection>, ErrorKind> {
        let mut addresses = self.addresses(call, host)?;
        addresses.iter_mut().for_each(|address| address.set_port(port));
        let peer = format!("{host}:{port}");
        let (socket, address) = happy_eyeballs::connect(call, &peer, &addresses, &mut retry.failed, prepare)?;
        Ok(Connection::new(socket, address))
    }

    /// Returns the addresses of a host, with port 0.
    fn addresses(&self, call: &CallContext, host: &Host) -> Result<Vec<SocketAddr>, ErrorKind> {
        let name = match host {
            Host::Address(address) => return Ok(vec![SocketAddr::new(*address, 0)]),
            // Never looked up: `localhost` is always this machine (RFC 6761, 6.3).
            Host::Name(name) if name == "localhost" => {
                return Ok(vec![(Ipv4Addr::LOCALHOST, 0).into(), (Ipv6Addr::LOCALHOST, 0).into()]);
            }
            Host::Name(name) => name,
        };
        call.set_phase(Phase::Lookup);
        let started = call.clock.now();
        call.log(Level::Debug, || format!("looking up {name}"));
        let known = self.stale_addresses.get();
        let limit = (!known.is_empty()).then(|| STALE_ADDRESS_TIMEOUT.min(self.endpoint.connect_timeout / 4));
        let why = match shared(call.generation).resolver.resolve(call, name, limit) {
            Ok(Some(found)) => {
                call.log(Level::Debug, || {
                    format!("{name} is {} after {} ms", join_addresses(&found), ms_since(call, started))
                });
                if found != known {
                    self.stale_addresses.set(found.clone());
                }
                return Ok(found);
            }
            Ok(None) => "takes too long".to_owned(),
            Err(kind @ (ErrorKind::Dns { .. } | ErrorKind::Resources(_))) if !known.is_empty() => {
                format!("failed: {kind}")
            }
            Err(kind) => return Err(kind),
        };
        call.log(Level::Warn, || {
            format!("the lookup of {name} {why}; using the previous addresses: {}", join_addresses(&known))
        });
        Ok(known)
    }

    fn tunnel(
        &self,
        call: &CallContext,
        connection: &mut Connection,
        proxy: &ProxyUrl,
    ) -> Result<(), ErrorKind> {
        let base = &self.endpoint.base;
        let target = match (proxy.kind, &base.host) {
            (ProxyKind::Socks5, host) if host.is_loopback() => proxy::Target::Address(loopback(host)),
            (ProxyKind::Socks5, Host::Name(name)) => {
                call.set_phase(Phase::Lookup);
                let found = shared(call.generation).resolver.resolve(call, name, None)?.unwrap_or_default();
                match found.first() {
                    Some(address) => proxy::Target::Address(address.ip()),
                    None => {
                        return Err(ErrorKind::Dns { host: name.clone(), why: "it has no address".into() });
                    }
                }
            }
            (_, host) => proxy::Target::Host(host),
        };
        proxy::tunnel(call, connection, proxy, &self.endpoint.user_agent, target, base.port)
    }

    fn start_tls(
        &self,
        call: &CallContext,
        connection: &mut Connection,
        config: Arc<ClientConfig>,
    ) -> Result<(), ErrorKind> {
        let name = match &self.endpoint.base.host {
            Host::Address(address) => ServerName::IpAddress((*address).into()),
            Host::Name(name) => ServerName::try_from(name.clone()).map_err(|_| {
                ErrorKind::Tls(format!("{name} is not a valid name for a certificate").into())
            })?,
        };
        connection.start_tls(call, config, name)
    }

    /// Adds the proxy to the message of a failure to reach it or to connect through it.
    fn with_proxy_context(&self, kind: ErrorKind) -> ErrorKind {
        let Some(proxy) = &self.endpoint.proxy else { return kind };
        let with = Some(format!("with the proxy {proxy}"));
        match kind {
            ErrorKind::Timeout { phase, after, connect_timeout, .. } => {
                ErrorKind::Timeout { phase, after, connect_timeout, with }
            }
            ErrorKind::Lost { phase, why, .. } => ErrorKind::Lost { phase, why, with },
            ErrorKind::Connect { peer, why } => ErrorKind::Connect { peer: format!("the proxy {peer}"), why },
            ErrorKind::Dns { host, why } if Host::Name(host.clone()) == proxy.host => {
                ErrorKind::Dns { host: format!("{host} of the proxy"), why }
            }
            other => other,
        }
    }
}

/// The address of a loopback host, without a lookup.
fn loopback(host: &Host) -> IpAddr {
    match host {
        Host::Address(address) => *address,
        Host::Name(_) => Ipv4Addr::LOCALHOST.into(),
    }
}

fn join_addresses(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(happy_eyeballs::without_port).collect::<Vec<_>>().join(", ")
}

fn ms_since(call: &CallContext, started: std::time::Instant) -> u128 {
    call.clock.now().saturating_duration_since(started).as_millis()
}
