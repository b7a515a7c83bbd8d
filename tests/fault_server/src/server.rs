//! The listener, its connections, and the record of received bytes.

use std::collections::HashSet;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustls::{HandshakeKind, NamedGroup, ProtocolVersion, ServerConfig};

use super::kernel::{is_acknowledged, is_gone};
use super::peer::Peer;
use super::script::{Script, Step, respond};

/// The record of one connection.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The client's address.
    pub client: Option<SocketAddr>,
    /// The bytes from the client; under TLS the decrypted data, without the handshake.
    pub received: Vec<u8>,
    /// The number of bytes that each read returned.
    pub reads: Vec<usize>,
    /// The number of requests that `Step::Request` has read.
    pub requests: usize,
    pub handshaken: bool,
    pub kind: Option<HandshakeKind>,
    pub group: Option<NamedGroup>,
    pub version: Option<ProtocolVersion>,
    pub alpn: Option<Vec<u8>>,
    pub server_name: Option<String>,
    /// The reason TLS ended on this side, including an alert from the client.
    pub tls_error: Option<rustls::Error>,
    /// True if `Step::CutAfter` has cut the connection.
    pub cut: bool,
    /// True if the client has closed it, under TLS with close_notify.
    pub closed_in_order: bool,
    /// The number of steps played.
    pub steps: usize,
    /// True if the script has ended, or the client ended it.
    pub over: bool,
}

impl Seen {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.received).into_owned()
    }

    pub fn is_resumed(&self) -> bool {
        self.kind == Some(HandshakeKind::Resumed)
    }
}

/// A request that `Step::Request` or `Step::Input` has read.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The number of this request on the server, from 0.
    pub number: usize,
    /// The number of its connection, from 0.
    pub connection: usize,
    /// The request line and the header fields, without the empty line.
    pub head: String,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub fn is_json(&self) -> bool {
        self.header("content-type") == Some("application/json")
    }

    /// The user name of a form, as it is encoded there.
    pub fn username(&self) -> Option<&str> {
        std::str::from_utf8(&self.body).ok()?.strip_prefix("username=")?.split('&').next()
    }
}

/// A server on loopback. Dropping it ends its connections and threads.
pub struct FaultServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

pub struct Shared {
    /// The script of each connection, by its number.
    script: Box<dyn Fn(usize) -> Script + Send + Sync>,
    tls: Option<Arc<ServerConfig>>,
    stopping: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    seen: Vec<Seen>,
    requests: Vec<Request>,
    sockets: Vec<Option<Arc<TcpStream>>>,
    threads: Vec<JoinHandle<()>>,
    /// The number of threads that panicked, of those that were joined.
    panicked: usize,
    open_gates: HashSet<&'static str>,
}

/// A wait longer than this fails the test.
pub const PATIENCE: Duration = Duration::from_secs(30);

impl FaultServer {
    /// A server without TLS on 127.0.0.1. The first connection plays the first script, and so on. Connections after the
    /// last script repeat it.
    pub fn plain(scripts: Vec<Script>) -> FaultServer {
        FaultServer::on(TcpListener::bind("127.0.0.1:0").unwrap(), None, scripts)
    }

    /// The same under TLS.
    pub fn tls(config: Arc<ServerConfig>, scripts: Vec<Script>) -> FaultServer {
        FaultServer::on(TcpListener::bind("127.0.0.1:0").unwrap(), Some(config), scripts)
    }

    pub fn on(listener: TcpListener, tls: Option<Arc<ServerConfig>>, scripts: Vec<Script>) -> FaultServer {
        assert!(!scripts.is_empty());
        FaultServer::with(listener, tls, move |index| scripts[index.min(scripts.len() - 1)].clone())
    }

    /// Responds to each request, on any connection, with the steps that `choose` returns.
    pub fn responding(choose: impl Fn(&Request) -> Script + Send + Sync + 'static) -> FaultServer {
        FaultServer::plain(vec![vec![Step::Repeat(vec![Step::Request, respond(choose)])]])
    }

    /// Responds to each request, on any connection, with the next of these replies. Closes the connection on any
    /// further request.
    pub fn replying(replies: impl IntoIterator<Item = Script>) -> FaultServer {
        let replies: Vec<Script> = replies.into_iter().collect();
        FaultServer::responding(move |request| {
            replies.get(request.number).cloned().unwrap_or_else(|| vec![Step::Close])
        })
    }

    /// Accepts connections and never sends a byte.
    pub fn silent() -> FaultServer {
        FaultServer::plain(vec![Vec::new()])
    }

    /// A server whose connections play the script for their number.
    pub fn with(
        listener: TcpListener,
        tls: Option<Arc<ServerConfig>>,
        script: impl Fn(usize) -> Script + Send + Sync + 'static,
    ) -> FaultServer {
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script: Box::new(script),
            tls,
            stopping: AtomicBool::new(false),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let accepting = Arc::clone(&shared);
        let acceptor = thread::spawn(move || {
            while let Ok((socket, client)) = listener.accept() {
                if accepting.stopping.load(Ordering::SeqCst) {
                    return;
                }
                socket.set_nodelay(true).unwrap();
                accepting.start(socket, client);
            }
        });
        FaultServer { address, shared, acceptor: Some(acceptor) }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// `https://localhost:PORT` with TLS, `http://ADDRESS:PORT` without.
    pub fn url(&self) -> String {
        if self.shared.tls.is_some() { self.https_url() } else { format!("http://{}", self.address) }
    }

    /// The https URL, also of a server that only imitates TLS.
    pub fn https_url(&self) -> String {
        format!("https://localhost:{}", self.port())
    }

    pub fn open_gate(&self, name: &'static str) {
        self.shared.state().open_gates.insert(name);
        self.shared.changed.notify_all();
    }

    /// The connections so far, in the order of acceptance.
    pub fn connections(&self) -> Vec<Seen> {
        self.shared.state().seen.clone()
    }

    /// The requests so far, in the order of arrival.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.state().requests.clone()
    }

    /// The number of connections that clients have made, including those that wait to be accepted.
    pub fn connected(&self) -> usize {
        let own = TcpStream::connect(self.address).unwrap().local_addr().unwrap();
        let seen = self.wait(|seen| seen.iter().any(|seen| seen.client == Some(own)));
        let before = seen.iter().take_while(|seen| seen.client != Some(own));
        before.count()
    }

    /// Waits until this many requests have arrived.
    pub fn wait_for_requests(&self, count: usize) {
        self.wait(|seen| seen.iter().map(|seen| seen.requests).sum::<usize>() >= count);
    }

    /// Waits until bytes have arrived on the connection of this number.
    pub fn wait_for_bytes(&self, connection: usize) {
        self.wait(|seen| seen.get(connection).is_some_and(|seen| !seen.received.is_empty()));
    }

    /// Waits until `what` returns true for the connections.
    pub fn wait(&self, what: impl Fn(&[Seen]) -> bool) -> Vec<Seen> {
        let (state, waited) = self
            .shared
            .changed
            .wait_timeout_while(self.shared.state(), PATIENCE, |state| !what(&state.seen))
            .unwrap();
        let seen = state.seen.clone();
        drop(state); // a panic must not poison the lock of the other connections and `drop`
        assert!(!waited.timed_out(), "the expected state did not occur: {seen:?}");
        seen
    }

    /// Waits until the first connection has played this many steps, and the client's kernel has received everything
    /// sent. The client need not have read it.
    pub fn wait_until_arrived(&self, steps: usize) {
        let seen = self.wait(|seen| seen.first().is_some_and(|seen| seen.steps >= steps));
        let (client, started) = (seen[0].client.unwrap(), Instant::now());
        let socket = self.shared.state().sockets[0].clone();
        let has_arrived = || match &socket {
            Some(socket) => is_acknowledged(socket),
            None => is_gone(client, self.address),
        };
        while !has_arrived() {
            assert!(started.elapsed() < PATIENCE, "the bytes did not arrive");
            thread::yield_now();
        }
    }

    /// Waits until this many connections were accepted and all have ended.
    pub fn wait_until_over(&self, count: usize) -> Vec<Seen> {
        self.wait(|seen| seen.len() >= count && seen.iter().all(|seen| seen.over))
    }
}

impl Drop for FaultServer {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the acceptor.
        drop(TcpStream::connect(self.address));
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.join().unwrap();
        }
        let (threads, before) = {
            let mut state = self.shared.state();
            for socket in state.sockets.iter().flatten() {
                let _ = socket.shutdown(Shutdown::Both);
            }
            self.shared.changed.notify_all();
            (std::mem::take(&mut state.threads), state.panicked)
        };
        let panicked = threads.into_iter().map(JoinHandle::join).filter(Result::is_err).count();
        assert!(before + panicked == 0 || thread::panicking(), "a connection of the fault server panicked");
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn start(self: &Arc<Shared>, socket: TcpStream, client: SocketAddr) {
        let socket = Arc::new(socket);
        let mut state = self.state();
        let index = state.seen.len();
        // A thread that has ended keeps its stack until it is joined.
        let threads = std::mem::take(&mut state.threads);
        let (ended, running): (Vec<_>, Vec<_>) = threads.into_iter().partition(JoinHandle::is_finished);
        state.panicked += ended.into_iter().map(JoinHandle::join).filter(Result::is_err).count();
        state.threads = running;
        state.seen.push(Seen { client: Some(client), ..Seen::default() });
        state.sockets.push(Some(Arc::clone(&socket)));
        let shared = Arc::clone(self);
        state.threads.push(thread::spawn(move || {
            let script = (shared.script)(index);
            let mut peer = Peer::new(socket, shared.tls.as_ref(), Arc::clone(&shared), index);
            // Every connection ends in an error.
            let _ = peer.play(&script);
            shared.forget_socket(index);
            drop(peer);
            shared.change(index, |seen| seen.over = true);
        }));
        drop(state);
        self.changed.notify_all();
    }

    pub fn change(&self, index: usize, change: impl FnOnce(&mut Seen)) {
        change(&mut self.state().seen[index]);
        self.changed.notify_all();
    }

    /// Records a request, and returns it with its numbers.
    pub fn record(&self, connection: usize, request: Request) -> Request {
        let mut state = self.state();
        let request = Request { number: state.requests.len(), connection, ..request };
        state.requests.push(request.clone());
        state.seen[connection].requests += 1;
        self.changed.notify_all();
        request
    }

    /// Drops this reference to a connection's socket, so that dropping the other one closes it.
    pub fn forget_socket(&self, index: usize) {
        self.state().sockets[index] = None;
    }

    pub fn wait_for_gate(&self, name: &'static str) -> io::Result<()> {
        let closed =
            |state: &mut State| !state.open_gates.contains(name) && !self.stopping.load(Ordering::SeqCst);
        drop(self.changed.wait_while(self.state(), closed).unwrap());
        if self.stopping.load(Ordering::SeqCst) { Err(ErrorKind::Interrupted.into()) } else { Ok(()) }
    }
}
