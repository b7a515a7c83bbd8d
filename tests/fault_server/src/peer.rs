//! The server's side of one connection. It plays its script, through TLS if the server has a TLS configuration.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection};
use socket2::SockRef;

use super::script::Step;
use super::server::{Request, Shared};

pub struct Peer {
    /// None after a reset.
    socket: Option<Arc<TcpStream>>,
    tls: Option<Box<ServerConnection>>,
    shared: Arc<Shared>,
    /// The number of this connection.
    index: usize,
    /// Received bytes that no step has taken yet.
    unread: Vec<u8>,
    /// The request that was read last.
    request: Request,
    /// The end of the first flight and the bytes after it, if they are held back.
    held: Option<Vec<u8>>,
    /// The number of bytes that may still be sent, and the step that then ends the connection.
    allowance: Option<(usize, Step)>,
}

impl Peer {
    pub fn new(
        socket: Arc<TcpStream>,
        tls: Option<&Arc<ServerConfig>>,
        shared: Arc<Shared>,
        index: usize,
    ) -> Peer {
        let tls = tls.map(|config| {
            let mut connection = ServerConnection::new(Arc::clone(config)).unwrap();
            connection.set_buffer_limit(None);
            Box::new(connection)
        });
        Peer {
            socket: Some(socket),
            tls,
            shared,
            index,
            unread: Vec::new(),
            request: Request::default(),
            held: None,
            allowance: None,
        }
    }

    /// Plays the script, then reads until the client closes. An error comes from the client's close, or from a step.
    pub fn play(&mut self, script: &[Step]) -> io::Result<()> {
        for step in script {
            let done = self.step(step);
            self.shared.change(self.index, |seen| seen.steps += 1);
            done?;
        }
        loop {
            self.receive()?;
        }
    }

    fn steps(&mut self, steps: &[Step]) -> io::Result<()> {
        steps.iter().try_for_each(|step| self.step(step))
    }

    fn step(&mut self, step: &Step) -> io::Result<()> {
        match step {
            Step::Handshake => self.handshake(),
            Step::Request => self.read_request(Peer::take_http),
            Step::Input => self.read_request(Peer::take_input),
            Step::Read(count) => {
                while self.unread.len() < *count {
                    self.receive()?;
                }
                self.unread.drain(..count);
                Ok(())
            }
            Step::Respond(respond) => self.steps(&respond.to(&self.request)),
            Step::Early(bytes) => {
                self.tls.as_mut().unwrap().writer().write_all(bytes)?;
                self.handshake()
            }
            Step::HalfEarly(bytes) => {
                self.held = Some(Vec::new());
                self.step(&Step::Early(bytes.clone()))?;
                let held = self.held.take().unwrap_or_default();
                self.write(&held)
            }
            Step::Send(bytes) => self.send(bytes),
            Step::Drip(bytes) => bytes.iter().try_for_each(|byte| self.send(&[*byte])),
            Step::Trickle { bytes, pause } => loop {
                for byte in bytes {
                    self.pause(*pause)?;
                    self.send(&[*byte])?;
                }
            },
            Step::Raw(bytes) => self.write(bytes),
            Step::CutAfter { bytes, end } => {
                self.allowance = Some((*bytes, (**end).clone()));
                Ok(())
            }
            Step::Repeat(steps) => loop {
                self.steps(steps)?;
            },
            Step::Gate(name) => self.shared.wait_for_gate(name),
            Step::NewKeys => {
                self.tls.as_mut().unwrap().refresh_traffic_keys().map_err(io::Error::other)?;
                self.flush()
            }
            Step::CloseNotify => self.close_notify(),
            Step::Close => {
                self.close_notify()?;
                self.socket()?.shutdown(Shutdown::Write)
            }
            Step::Cut => self.socket()?.shutdown(Shutdown::Write),
            Step::End => Err(io::Error::other("the script has ended")),
            Step::Reset => {
                SockRef::from(&*self.socket()?).set_linger(Some(Duration::ZERO))?;
                self.shared.forget_socket(self.index);
                self.socket = None;
                Err(io::Error::other("the script has reset it"))
            }
        }
    }

    fn socket(&self) -> io::Result<Arc<TcpStream>> {
        self.socket.clone().ok_or_else(|| ErrorKind::NotConnected.into())
    }

    fn read_request(&mut self, take: fn(&mut Peer) -> Option<Request>) -> io::Result<()> {
        let request = loop {
            match take(self) {
                Some(request) => break request,
                None => self.receive()?,
            }
        };
        self.request = self.shared.record(self.index, request);
        Ok(())
    }

    /// Takes a request from the received bytes, if it is complete.
    fn take_http(&mut self) -> Option<Request> {
        let end = self.unread.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&self.unread[..end]).into_owned();
        let request = Request { head, ..Request::default() };
        let length: usize =
            request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let body = self.unread.get(end + 4..end + 4 + length)?.to_vec();
        self.unread.drain(..end + 4 + length);
        Some(Request { body, ..request })
    }

    /// The same, or anything that does not begin with a method.
    fn take_input(&mut self) -> Option<Request> {
        if self.unread.first()?.is_ascii_alphabetic() {
            return self.take_http();
        }
        Some(Request { body: std::mem::take(&mut self.unread), ..Request::default() })
    }

    fn handshake(&mut self) -> io::Result<()> {
        while self.tls.as_ref().is_some_and(|tls| tls.is_handshaking()) {
            self.flush()?;
            self.read_tls()?;
        }
        self.flush()
    }

    /// Reads the next bytes and records them.
    fn receive(&mut self) -> io::Result<()> {
        let mut part = vec![0; 256 << 10];
        let count = if self.tls.is_none() {
            read(&mut &*self.socket()?, &mut part)?
        } else {
            self.handshake()?;
            loop {
                match self.tls.as_mut().unwrap().reader().read(&mut part) {
                    Ok(count) => break count,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => self.read_tls()?,
                    Err(error) => return Err(error),
                }
            }
        };
        if count == 0 {
            self.shared.change(self.index, |seen| seen.closed_in_order = true);
            return Err(ErrorKind::UnexpectedEof.into());
        }
        part.truncate(count);
        self.unread.extend_from_slice(&part);
        self.shared.change(self.index, |seen| {
            seen.received.extend_from_slice(&part);
            seen.reads.push(count);
        });
        Ok(())
    }

    /// Passes received bytes to TLS. If they are invalid, sends the client an alert.
    fn read_tls(&mut self) -> io::Result<()> {
        let socket = self.socket()?;
        let tls = self.tls.as_mut().unwrap();
        if tls.read_tls(&mut &*socket)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let was_handshaking = tls.is_handshaking();
        let processed = tls.process_new_packets().map(drop);
        let kind = tls.handshake_kind();
        let group = tls.negotiated_key_exchange_group().map(|group| group.name());
        let done = was_handshaking && !tls.is_handshaking();
        let version = tls.protocol_version();
        let alpn = tls.alpn_protocol().map(<[u8]>::to_vec);
        let name = tls.server_name().map(str::to_owned);
        self.shared.change(self.index, |seen| {
            if done {
                (seen.handshaken, seen.kind, seen.group) = (true, kind, group);
                (seen.version, seen.alpn, seen.server_name) = (version, alpn, name);
            }
            if let Err(error) = &processed {
                seen.tls_error = Some(error.clone());
            }
        });
        let flushed = self.flush();
        processed.map_err(io::Error::other)?;
        flushed
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.tls.is_none() {
            return self.write(bytes);
        }
        self.handshake()?;
        self.tls.as_mut().unwrap().writer().write_all(bytes)?;
        self.flush()
    }

    fn close_notify(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
        }
        self.flush()
    }

    /// Sends pending TLS data.
    fn flush(&mut self) -> io::Result<()> {
        let mut records = Vec::new();
        while let Some(tls) = self.tls.as_mut().filter(|tls| tls.wants_write()) {
            tls.write_tls(&mut records)?;
        }
        if records.is_empty() { Ok(()) } else { self.write(&records) }
    }

    /// Writes bytes to the socket, up to the allowance.
    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        match &mut self.held {
            None => {}
            Some(held) if held.is_empty() => {
                let (now, later) = bytes.split_at(bytes.len() - 10);
                held.extend_from_slice(later);
                bytes = now;
            }
            Some(held) => {
                held.extend_from_slice(bytes);
                return Ok(());
            }
        }
        let Some((left, end)) = &mut self.allowance else {
            return (&*self.socket()?).write_all(bytes);
        };
        let now = bytes.len().min(*left);
        *left -= now;
        let end = (*left == 0).then(|| end.clone());
        (&*self.socket()?).write_all(&bytes[..now])?;
        self.shared.change(self.index, |seen| seen.cut = end.is_some());
        match end {
            None => Ok(()),
            Some(end) => {
                self.tls = None; // drop its pending data
                self.step(&end)?;
                self.drain()
            }
        }
    }

    /// Reads and ignores bytes until the client closes.
    fn drain(&mut self) -> io::Result<()> {
        let socket = self.socket()?;
        let mut part = vec![0; 64 << 10];
        while read(&mut &*socket, &mut part)? > 0 {}
        Err(ErrorKind::UnexpectedEof.into())
    }

    /// Waits for this time, unless the client closes first.
    fn pause(&mut self, length: Duration) -> io::Result<()> {
        let socket = self.socket()?;
        socket.set_read_timeout(Some(length))?;
        let read = socket.peek(&mut [0]);
        socket.set_read_timeout(None)?;
        match read {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) => Ok(()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn read(from: &mut impl Read, to: &mut [u8]) -> io::Result<usize> {
    loop {
        match from.read(to) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}
