//! A server for whole logins on loopback. It accepts connections and requests as they arrive and sends a script's
//! responses, all in lockstep on the login's own thread.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ServerConnection;
use socket2::Socket;

use super::lockstep::Peer;
use super::script::Piece;
use super::scripted_peer::{Ending, ScriptedPeer};

pub struct Server {
    listener: Arc<TcpListener>,
    tls: Option<fn() -> ServerConnection>,
    ending: Ending,
    /// The responses for the next requests. Without one the connection is closed.
    pub responses: VecDeque<Vec<Piece>>,
    /// The bodies of the requests so far, in order.
    pub requests: Vec<Request>,
    connections: Vec<ScriptedPeer>,
    /// The connection that the client uses, and whether it has sent a request there. The connection ends when the
    /// client waits for more.
    current: usize,
    has_request: bool,
    idle: u32,
}

#[derive(Clone, Debug)]
pub struct Request {
    pub head: String,
    pub body: Vec<u8>,
}

/// The number of consecutive idle steps after which a call counts as hung.
const MAX_IDLE_STEPS: u32 = 100;

impl Server {
    pub fn new(listener: &Arc<TcpListener>, tls: Option<fn() -> ServerConnection>, ending: Ending) -> Server {
        Server {
            listener: Arc::clone(listener),
            tls,
            ending,
            responses: VecDeque::new(),
            requests: Vec::new(),
            connections: Vec::new(),
            current: 0,
            has_request: false,
            idle: 0,
        }
    }

    /// A listener for [`Server::new`]; it may serve many.
    pub fn listen() -> Arc<TcpListener> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port of loopback");
        listener.set_nonblocking(true).expect("a valid socket");
        Arc::new(listener)
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("it is bound")
    }

    /// Sends the rest of the current response, even if the client does not wait for it.
    pub fn send_remaining(&mut self) {
        let Some(current) = self.connections.get_mut(self.current) else { return };
        current.send_remaining();
        let Some(socket) = current.socket() else { return };
        // The peer's kernel has received it once it is acknowledged.
        let patience = Instant::now() + Duration::from_secs(5);
        while unacknowledged(socket) > 0 && is_open(socket) {
            assert!(Instant::now() < patience, "bytes sent over loopback do not arrive");
            std::thread::yield_now();
        }
    }

    fn accept(&mut self) -> bool {
        match self.listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(true).expect("a valid socket");
                stream.set_nodelay(true).expect("a valid socket");
                let mut peer = ScriptedPeer::new(Socket::from(stream), Vec::new(), self.ending);
                peer.tls = self.tls.map(|make| make());
                self.connections.push(peer);
                self.current = self.connections.len() - 1;
                self.has_request = false;
                true
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
                false
            }
        }
    }
}

impl Peer for Server {
    fn step(&mut self) -> bool {
        let mut busy = self.accept();
        let received = self.connections.iter_mut().map(ScriptedPeer::receive).collect::<Vec<_>>();
        // A kept connection may be used again after others.
        if let Some(index) =
            received.iter().position(|arrived| *arrived).filter(|index| *index != self.current)
        {
            self.current = index;
            self.has_request = false;
        }
        let arrived = received.get(self.current) == Some(&true);
        if let Some(current) = self.connections.get_mut(self.current) {
            if let Some(request) = take_request(&mut current.received) {
                self.requests.push(request);
                self.has_request = true;
                // The unread rest of the response before is not sent.
                current.pieces = self.responses.pop_front().unwrap_or_default().into();
            }
            // Before its first byte the client is still connecting.
            if self.has_request || current.tls.is_some() && !current.ciphertext.is_empty() {
                return current.reply(arrived);
            }
        }
        busy |= arrived;
        self.idle = if busy { 0 } else { self.idle + 1 };
        self.idle < MAX_IDLE_STEPS
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        while self.accept() {}
        self.connections.drain(..).for_each(ScriptedPeer::abort);
    }
}

fn take_request(received: &mut Vec<u8>) -> Option<Request> {
    let end = received.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = String::from_utf8(received[..end].to_vec()).expect("a head of UTF-8");
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).expect("a length");
    let length: usize = length.parse().expect("a number");
    if received.len() < end + length {
        return None;
    }
    let body = received.drain(..end + length).skip(end).collect();
    Some(Request { head, body })
}

fn unacknowledged(socket: &Socket) -> libc::c_int {
    let mut bytes = 0;
    // SAFETY: writes one number, to `bytes`.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &mut bytes) };
    if done == 0 { bytes } else { 0 }
}

fn is_open(socket: &Socket) -> bool {
    matches!(socket.take_error(), Ok(None)) && socket.peer_addr().is_ok()
}
