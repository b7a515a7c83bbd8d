//! A server for whole logins on loopback. It accepts connections and requests as they arrive and sends a script's
//! responses, all within turns on the login's own thread.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ServerConnection;
use socket2::Socket;

use super::script::Piece;
use super::speaker::{Ending, Speaker};
use super::turns::Peer;

pub struct Server {
    listener: Arc<TcpListener>,
    tls: Option<fn() -> ServerConnection>,
    ending: Ending,
    /// The responses for the next requests. Without one the connection is closed.
    pub answers: VecDeque<Vec<Piece>>,
    /// The bodies of the requests so far, in order.
    pub requests: Vec<Request>,
    connections: Vec<Speaker>,
    /// The connection that the client uses, and whether it has sent a request there. The connection ends when the
    /// client waits for more.
    current: usize,
    asked: bool,
    idle: u32,
}

#[derive(Clone, Debug)]
pub struct Request {
    pub head: String,
    pub body: Vec<u8>,
}

/// The number of consecutive idle turns after which a call counts as hung.
const MOST_IDLE: u32 = 100;

impl Server {
    pub fn new(listener: &Arc<TcpListener>, tls: Option<fn() -> ServerConnection>, ending: Ending) -> Server {
        Server {
            listener: Arc::clone(listener),
            tls,
            ending,
            answers: VecDeque::new(),
            requests: Vec::new(),
            connections: Vec::new(),
            current: 0,
            asked: false,
            idle: 0,
        }
    }

    /// A listener for [`Server::new`]; it may serve many.
    pub fn listen() -> Arc<TcpListener> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port of loopback");
        listener.set_nonblocking(true).expect("a socket of one's own");
        Arc::new(listener)
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("it is bound")
    }

    /// Sends the rest of the current response, even if the client does not wait for it.
    pub fn blurt(&mut self) {
        let Some(current) = self.connections.get_mut(self.current) else { return };
        current.blurt();
        let Some(socket) = current.socket() else { return };
        // The peer's kernel has received it once it is acknowledged.
        let patience = Instant::now() + Duration::from_secs(5);
        while unacknowledged(socket) > 0 && is_open(socket) {
            assert!(Instant::now() < patience, "what was sent over loopback does not arrive");
            std::thread::yield_now();
        }
    }

    fn accept(&mut self) -> bool {
        match self.listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(true).expect("a socket of one's own");
                stream.set_nodelay(true).expect("a socket of one's own");
                let mut speaker = Speaker::new(Socket::from(stream), Vec::new(), self.ending);
                speaker.tls = self.tls.map(|make| make());
                self.connections.push(speaker);
                self.current = self.connections.len() - 1;
                self.asked = false;
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
    fn turn(&mut self) -> bool {
        let mut busy = self.accept();
        let heard = self.connections.iter_mut().map(Speaker::listen).collect::<Vec<_>>();
        // A kept connection may be used again after others.
        if let Some(index) = heard.iter().position(|came| *came).filter(|index| *index != self.current) {
            self.current = index;
            self.asked = false;
        }
        let came = heard.get(self.current) == Some(&true);
        if let Some(current) = self.connections.get_mut(self.current) {
            if let Some(request) = take_request(&mut current.heard) {
                self.requests.push(request);
                self.asked = true;
                // The unread rest of the response before is not sent.
                current.pieces = self.answers.pop_front().unwrap_or_default().into();
            }
            // Before its first byte the client is still connecting.
            if self.asked || current.tls.is_some() && !current.came.is_empty() {
                return current.reply(came);
            }
        }
        busy |= came;
        self.idle = if busy { 0 } else { self.idle + 1 };
        self.idle < MOST_IDLE
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        while self.accept() {}
        self.connections.drain(..).for_each(Speaker::forget);
    }
}

fn take_request(heard: &mut Vec<u8>) -> Option<Request> {
    let end = heard.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = String::from_utf8(heard[..end].to_vec()).expect("a head of UTF-8");
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).expect("a length");
    let length: usize = length.parse().expect("a number");
    if heard.len() < end + length {
        return None;
    }
    let body = heard.drain(..end + length).skip(end).collect();
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
