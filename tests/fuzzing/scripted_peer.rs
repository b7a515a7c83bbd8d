//! The server's side of one connection. It sends its pieces one at a time, through TLS if configured, and then ends the
//! connection.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use couchdrop::http::connection::Connection;
use rustls::ServerConnection;
use socket2::Socket;

use super::lockstep::Peer;
use super::script::Piece;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// A clean close.
    Close,
    /// With TLS: without close_notify. Otherwise the same as Close.
    Cut,
    Reset,
}

impl Ending {
    pub fn of(bits: u8) -> Ending {
        match bits & 3 {
            0 | 1 => Ending::Close,
            2 => Ending::Cut,
            _ => Ending::Reset,
        }
    }
}

pub struct ScriptedPeer {
    /// None after a reset.
    socket: Option<Socket>,
    pub tls: Option<ServerConnection>,
    pub pieces: VecDeque<Piece>,
    ending: Ending,
    /// The bytes received: before decryption in `ciphertext`, and after it in `received`.
    pub ciphertext: Vec<u8>,
    pub received: Vec<u8>,
    outgoing: Vec<u8>,
    /// The most bytes that are sent in one step.
    pub max_step: usize,
    /// Changes to the outgoing bytes: the position, and the value.
    pub distortions: Vec<(usize, u8)>,
    sent: usize,
    ended: bool,
    /// If true, it does not read: closing a socket with unread data resets its connection.
    ignores_input: bool,
    idle: u32,
}

/// The number of consecutive idle steps after which a call counts as hung.
const MAX_IDLE_STEPS: u32 = 100;

/// A connection, and a peer at its other end.
pub fn connected(pieces: Vec<Piece>, ending: Ending) -> (Box<Connection>, ScriptedPeer) {
    let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
    let [ours, theirs] = [ours, theirs].map(|socket| {
        socket.set_nonblocking(true).expect("a valid socket");
        Socket::from(OwnedFd::from(socket))
    });
    let peer =
        ScriptedPeer { ignores_input: ending == Ending::Reset, ..ScriptedPeer::new(theirs, pieces, ending) };
    (Connection::new(ours, (Ipv4Addr::LOCALHOST, 1).into()), peer)
}

impl ScriptedPeer {
    pub fn new(socket: Socket, pieces: Vec<Piece>, ending: Ending) -> ScriptedPeer {
        ScriptedPeer {
            socket: Some(socket),
            tls: None,
            pieces: pieces.into(),
            ending,
            ciphertext: Vec::new(),
            received: Vec::new(),
            outgoing: Vec::new(),
            max_step: usize::MAX,
            distortions: Vec::new(),
            sent: 0,
            ended: false,
            ignores_input: false,
            idle: 0,
        }
    }

    pub fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    /// Reads the bytes that have arrived. Returns false if there are none.
    pub fn receive(&mut self) -> bool {
        if self.ignores_input && !self.is_handshaking() {
            return false;
        }
        let Some(mut socket) = self.socket.as_ref() else { return false };
        let before = self.ciphertext.len();
        let mut part = [0; 16 << 10];
        loop {
            match socket.read(&mut part) {
                Ok(count) if count > 0 => self.ciphertext.extend(&part[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                _ => break,
            }
        }
        let mut new = &self.ciphertext[before..];
        let arrived = !new.is_empty();
        match &mut self.tls {
            None => self.received.extend(new),
            Some(tls) => {
                while matches!(tls.read_tls(&mut new), Ok(count) if count > 0) {
                    if tls.process_new_packets().is_err() {
                        break;
                    }
                }
                let _ = tls.reader().read_to_end(&mut self.received);
            }
        }
        arrived
    }

    /// Prepares the next bytes to send, pending TLS data first. Returns false if there are none.
    fn prepare(&mut self) -> bool {
        self.prepare_tls();
        if !self.outgoing.is_empty() {
            return true;
        }
        if self.is_handshaking() {
            return false;
        }
        let Some(piece) = self.pieces.pop_front() else { return false };
        match &mut self.tls {
            Some(tls) if !piece.past_tls => {
                tls.writer().write_all(&piece.bytes).expect("TLS buffers what it is given");
                self.prepare_tls();
            }
            _ => self.outgoing = piece.bytes,
        }
        true
    }

    fn prepare_tls(&mut self) {
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() {
                tls.write_tls(&mut self.outgoing).expect("memory can be written to");
            }
        }
    }

    /// Sends the prepared bytes, as far as the socket and the limit permit.
    fn send(&mut self) {
        let now = self.outgoing.len().min(self.max_step);
        for (place, change) in &self.distortions {
            if (self.sent..self.sent + now).contains(place) {
                self.outgoing[place - self.sent] ^= change;
            }
        }
        // A byte that the socket did not accept is not changed twice.
        self.distortions.retain(|(place, _)| *place >= self.sent + now);
        let Some(socket) = self.socket.as_ref() else { return };
        // Under libFuzzer SIGPIPE kills the process. The library must never cause it, and neither may this side.
        let count = match socket.send_with_flags(&self.outgoing[..now], libc::MSG_NOSIGNAL) {
            Ok(count) => count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => 0,
            // The client has closed the connection.
            Err(_) => self.outgoing.len(),
        };
        self.sent += count;
        self.outgoing.drain(..count);
    }

    fn end(&mut self) {
        self.ended = true;
        match (self.ending, &self.socket) {
            (Ending::Reset, Some(socket)) => {
                let _ = socket.set_linger(Some(Duration::ZERO));
                self.socket = None;
            }
            (ending, Some(_)) => {
                if ending == Ending::Close {
                    if let Some(tls) = &mut self.tls {
                        tls.send_close_notify();
                    }
                    self.prepare_tls();
                    self.max_step = usize::MAX;
                    self.send();
                }
                let _ = self.socket.as_ref().map(|socket| socket.shutdown(Shutdown::Write));
            }
            (_, None) => {}
        }
    }

    /// Sends all remaining pieces, even if the client does not wait for them.
    pub fn send_remaining(&mut self) {
        self.max_step = usize::MAX;
        while !self.ended && self.prepare() {
            let before = self.outgoing.len();
            self.send();
            if self.outgoing.len() == before {
                return; // the socket is full
            }
        }
    }

    /// Drops the connection without a trace: none of its sockets lingers.
    pub fn abort(self) {
        if let Some(socket) = &self.socket {
            let _ = socket.set_linger(Some(Duration::ZERO));
        }
    }

    pub fn socket(&self) -> Option<&Socket> {
        self.socket.as_ref()
    }
}

impl ScriptedPeer {
    /// Sends the next piece, or ends the connection if there is none and nothing new arrived. Returns false if it has
    /// ended and the client still waits.
    pub fn reply(&mut self, arrived: bool) -> bool {
        if self.ended {
            self.idle += 1;
        } else if self.prepare() {
            self.send();
        } else if !arrived {
            self.end();
        }
        self.idle < MAX_IDLE_STEPS
    }
}

impl Peer for ScriptedPeer {
    fn step(&mut self) -> bool {
        let arrived = self.receive();
        self.reply(arrived)
    }
}
