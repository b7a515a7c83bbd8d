//! The server's side of one connection: says its pieces one at a time, through TLS where there is one, and then ends
//! the connection.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use couchdrop::wire::connection::Connection;
use rustls::ServerConnection;
use socket2::Socket;

use super::script::Piece;
use super::turns::Peer;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// In good order.
    Close,
    /// Within TLS: without its close_notify. The same as Close else.
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

pub struct Speaker {
    /// None once the connection was reset.
    socket: Option<Socket>,
    pub tls: Option<ServerConnection>,
    pub pieces: VecDeque<Piece>,
    ending: Ending,
    /// What came, as it came and out of TLS.
    pub came: Vec<u8>,
    pub heard: Vec<u8>,
    outgoing: Vec<u8>,
    /// At most this many bytes are sent in one turn.
    pub most: usize,
    /// What is done to the bytes that go out: at which place, and what is to be changed.
    pub distortions: Vec<(usize, u8)>,
    sent: usize,
    ended: bool,
    /// A socket that is closed with something unread in it resets its connection.
    deaf: bool,
    idle: u32,
}

/// How often in a row a peer may have nothing to do before its call is taken for one that hangs.
const MOST_IDLE: u32 = 100;

/// A connection, and a speaker at its other end.
pub fn connected(pieces: Vec<Piece>, ending: Ending) -> (Box<Connection>, Speaker) {
    let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
    let [ours, theirs] = [ours, theirs].map(|socket| {
        socket.set_nonblocking(true).expect("a socket of one's own");
        Socket::from(OwnedFd::from(socket))
    });
    let speaker = Speaker { deaf: ending == Ending::Reset, ..Speaker::new(theirs, pieces, ending) };
    (Connection::new(ours, (Ipv4Addr::LOCALHOST, 1).into()), speaker)
}

impl Speaker {
    pub fn new(socket: Socket, pieces: Vec<Piece>, ending: Ending) -> Speaker {
        Speaker {
            socket: Some(socket),
            tls: None,
            pieces: pieces.into(),
            ending,
            came: Vec::new(),
            heard: Vec::new(),
            outgoing: Vec::new(),
            most: usize::MAX,
            distortions: Vec::new(),
            sent: 0,
            ended: false,
            deaf: false,
            idle: 0,
        }
    }

    pub fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    /// Takes in what has come. False where nothing has.
    pub fn listen(&mut self) -> bool {
        if self.deaf && !self.is_handshaking() {
            return false;
        }
        let Some(mut socket) = self.socket.as_ref() else { return false };
        let before = self.came.len();
        let mut part = [0; 16 << 10];
        loop {
            match socket.read(&mut part) {
                Ok(count) if count > 0 => self.came.extend(&part[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                _ => break,
            }
        }
        let mut new = &self.came[before..];
        let came = !new.is_empty();
        match &mut self.tls {
            None => self.heard.extend(new),
            Some(tls) => {
                while matches!(tls.read_tls(&mut new), Ok(count) if count > 0) {
                    if tls.process_new_packets().is_err() {
                        break;
                    }
                }
                let _ = tls.reader().read_to_end(&mut self.heard);
            }
        }
        came
    }

    /// What is to be sent next, of TLS's own first. False where there is nothing.
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

    /// Sends what there is, as far as it goes and may.
    fn send(&mut self) {
        let now = self.outgoing.len().min(self.most);
        for (place, change) in &self.distortions {
            if (self.sent..self.sent + now).contains(place) {
                self.outgoing[place - self.sent] ^= change;
            }
        }
        // A byte that the socket did not take is not distorted twice.
        self.distortions.retain(|(place, _)| *place >= self.sent + now);
        let Some(socket) = self.socket.as_ref() else { return };
        // Under libFuzzer SIGPIPE kills: the library must never cause it, and this side may not either.
        let count = match socket.send_with_flags(&self.outgoing[..now], libc::MSG_NOSIGNAL) {
            Ok(count) => count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => 0,
            // The client has closed it.
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
                    self.most = usize::MAX;
                    self.send();
                }
                let _ = self.socket.as_ref().map(|socket| socket.shutdown(Shutdown::Write));
            }
            (_, None) => {}
        }
    }

    /// Sends all that is left to be said, whether somebody waits for it or not.
    pub fn blurt(&mut self) {
        self.most = usize::MAX;
        while !self.ended && self.prepare() {
            let before = self.outgoing.len();
            self.send();
            if self.outgoing.len() == before {
                return; // the socket is full
            }
        }
    }

    /// Gives the connection up without a trace: no socket of it lingers.
    pub fn forget(self) {
        if let Some(socket) = &self.socket {
            let _ = socket.set_linger(Some(Duration::ZERO));
        }
    }

    pub fn socket(&self) -> Option<&Socket> {
        self.socket.as_ref()
    }
}

impl Speaker {
    /// Says what is to be said next, or ends where nothing is and nothing new `came` either. False once it has ended
    /// and is waited for all the same.
    pub fn reply(&mut self, came: bool) -> bool {
        if self.ended {
            self.idle += 1;
        } else if self.prepare() {
            self.send();
        } else if !came {
            self.end();
        }
        self.idle < MOST_IDLE
    }
}

impl Peer for Speaker {
    fn turn(&mut self) -> bool {
        let came = self.listen();
        self.reply(came)
    }
}
