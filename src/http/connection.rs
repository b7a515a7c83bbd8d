//! One connection: its socket, its TLS and its buffers. The used parts of the buffers are wiped after an exchange.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use socket2::Socket;

use crate::context::CallContext;
use crate::error::{ErrorKind, Phase, Reason};
use crate::http::buffer::{Buffer, FIRST_BUFFER};
use crate::http::tls_stream::{Progress, TlsError, TlsStream};
use crate::http::wait::wait_for;
use crate::limits::{MAX_UNPROCESSED_BYTES, MAX_UNREQUESTED_BYTES};
use crate::sys::clock::uptime;
use crate::sys::errno::describe;
use crate::sys::poll::PollEntry;
use crate::sys::socket::KeptSocket;

/// The maximum time that sent data may stay unacknowledged, and so the time to detect a dead peer.
const USER_TIMEOUT: Duration = Duration::from_secs(5);

pub struct Connection {
    socket: KeptSocket,
    pub peer: SocketAddr,
    tls: Option<Box<TlsStream>>,
    /// Received data in plain text.
    input: Buffer,
    /// Data to send over the socket.
    output: Buffer,
    /// The TLS error after the input.
    pending_error: Option<ErrorKind>,
    /// This connection has already served a login.
    pub reused: bool,
    /// The account that this connection has served, if any. If a server sends one response too many, all later
    /// responses on the connection are shifted, and one account would receive the token of another.
    pub account: Option<Account>,
    pub created_at: Duration,
    pub idle_since: Duration,
}

/// A keyed hash of a user name.
pub type Account = u64;

/// The result of a read.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    Data,
    /// The peer closed the connection properly.
    Closed,
    /// The peer closed the connection without TLS's close_notify: an attacker may have truncated the data.
    Truncated,
    /// The connection failed, for this reason.
    Failed(String),
}

/// The state of a connection before a request.
#[derive(Debug, PartialEq, Eq)]
pub enum IdleState {
    Idle,
    Closed,
    /// A part of a TLS record arrived: of a session ticket, or of unrequested data.
    PartialRecord,
    /// The server sent data before a request.
    UnexpectedData,
}

impl Connection {
    pub fn new(socket: Socket, peer: SocketAddr) -> Box<Connection> {
        Box::new(Connection {
            socket: KeptSocket::new(socket),
            peer,
            tls: None,
            input: Buffer::default(),
            output: Buffer::default(),
            pending_error: None,
            reused: false,
            account: None,
            created_at: uptime(),
            idle_since: uptime(),
        })
    }

    /// Received data that is not consumed yet.
    pub fn input(&self) -> &[u8] {
        self.input.filled()
    }

    /// True if all received bytes were consumed, including those of incomplete TLS records.
    pub fn is_input_empty(&self) -> bool {
        self.input.is_empty() && self.tls.as_ref().is_none_or(|tls| tls.ciphertext_in.is_empty())
    }

    /// False if the host has closed the descriptor since the last call.
    pub fn is_intact(&self) -> bool {
        self.socket.is_intact()
    }

    /// Removes the first `count` bytes from the input.
    pub fn consume(&mut self, count: usize) {
        self.input.drop_front(count);
    }

    /// Performs the TLS handshake until a request may be sent. The rest of the handshake (in TLS 1.3 the last message)
    /// is sent with the request, or by [`Connection::flush`].
    pub fn start_tls(
        &mut self,
        call: &CallContext,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<(), ErrorKind> {
        call.set_phase(Phase::Handshake);
        self.tls = Some(TlsStream::new(config, name)?);
        loop {
            match self.process() {
                Ok(Progress::Ready) => return Ok(()),
                Ok(Progress::NeedsInput) => {}
                Err(error) => return Err(self.fail_tls(error)),
            }
            if self.is_closed() {
                return Err(lost(call, "the server closed it"));
            }
            self.flush(call)?;
            match self.fill_ciphertext(call)? {
                Received::Data => {}
                Received::Closed | Received::Truncated => return Err(lost(call, "the server closed it")),
                Received::Failed(why) => return Err(lost(call, why)),
            }
        }
    }

    /// The negotiated version and key exchange group, for the log.
    pub fn tls_parameters(&self) -> String {
        self.tls.as_ref().map_or_else(String::new, |tls| tls.parameters())
    }

    /// Sends the pending output.
    pub fn flush(&mut self, call: &CallContext) -> Result<(), ErrorKind> {
        match self.write_output(call, None)? {
            Ok(()) => Ok(()),
            Err(error) => Err(lost(call, describe(&error))),
        }
    }

    /// Sends data to a proxy. It is not counted as a request.
    pub fn write_all(&mut self, call: &CallContext, bytes: &[u8]) -> Result<(), ErrorKind> {
        self.output.extend(bytes)?;
        self.flush(call)
    }

    /// Sends a request in one write, if the socket accepts it. Counts an attempt when the first byte is handed over.
    ///
    /// Returns `Ok(Err)` if the peer has closed the connection, or has responded before the whole request was sent. A
    /// response may then be in the input. `is_before_response` receives the input so far.
    pub fn send(
        &mut self,
        call: &CallContext,
        parts: &[&[u8]],
        is_before_response: fn(&[u8]) -> bool,
    ) -> Result<io::Result<()>, ErrorKind> {
        call.set_phase(Phase::Send);
        let Some(tls) = &mut self.tls else {
            for part in parts {
                self.output.extend(part)?;
            }
            return self.write_output(call, Some(PendingRequest { before: 0, is_before_response }));
        };
        for part in parts {
            tls.plaintext_out.extend(part)?;
        }
        let before = self.output.len();
        match tls.encrypt(&mut self.output) {
            Ok(()) => {}
            Err(error) => return Err(self.fail_tls(error)),
        }
        self.write_output(call, Some(PendingRequest { before, is_before_response }))
    }

    /// Waits for more input.
    pub fn receive(&mut self, call: &CallContext) -> Result<Received, ErrorKind> {
        if self.tls.is_none() {
            return self.fill_input(call);
        }
        if let Some(kind) = self.pending_error.take() {
            return Err(kind);
        }
        loop {
            let before = self.input.len();
            let processed = self.process();
            let kind = processed.err().map(|error| self.fail_tls(error));
            if self.input.len() > before {
                self.pending_error = kind;
                return Ok(Received::Data);
            }
            if let Some(kind) = kind {
                return Err(kind);
            }
            if self.is_closed() {
                return Ok(Received::Closed);
            }
            self.flush(call)?;
            match self.fill_ciphertext(call)? {
                Received::Data => {}
                Received::Closed => return Ok(Received::Truncated),
                failed => return Ok(failed),
            }
        }
    }

    /// Returns the state of a connection before its request is sent. TLS's own messages (session tickets after a
    /// handshake) are processed.
    pub fn probe_idle(&mut self) -> IdleState {
        let mut received = 0;
        loop {
            // No server legitimately sends this much without a request. Without a limit the loop could run past the
            // call's deadline.
            if received > MAX_UNREQUESTED_BYTES {
                return IdleState::UnexpectedData;
            }
            let target = match &mut self.tls {
                Some(tls) => &mut tls.ciphertext_in,
                None => &mut self.input,
            };
            if target.spare().len() < FIRST_BUFFER / 4 && target.reserve(FIRST_BUFFER).is_err() {
                return IdleState::Closed;
            }
            match receive(&self.socket, target) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return match self.input.len() {
                        _ if self.is_fully_consumed() => IdleState::Idle,
                        _ if self.is_closed() => IdleState::Closed,
                        0 => IdleState::PartialRecord,
                        _ => IdleState::UnexpectedData,
                    };
                }
                Ok(0) | Err(_) => return IdleState::Closed,
                Ok(count) => match self.process() {
                    Ok(_) if !self.input.is_empty() => return IdleState::UnexpectedData,
                    Ok(_) => received += count,
                    Err(_) => return IdleState::Closed,
                },
            }
        }
    }

    /// True if all input was consumed, so that no remaining byte can become a part of the next response.
    pub fn is_fully_consumed(&self) -> bool {
        self.is_input_empty() && !self.is_closed() && self.pending_error.is_none()
    }

    /// True if the peer sent close_notify.
    fn is_closed(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_closed)
    }

    /// Wipes the buffers after an exchange, records the descriptor's identity, and sets the socket's timeout for a dead
    /// peer.
    pub fn prepare_for_pool(&mut self) {
        self.socket.remember();
        let tls_buffers =
            self.tls.iter_mut().flat_map(|tls| [&mut tls.ciphertext_in, &mut tls.plaintext_out]);
        for buffer in tls_buffers.chain([&mut self.input, &mut self.output]) {
            // Non-empty buffers hold pending TLS records; keep them.
            if buffer.is_empty() {
                buffer.wipe();
            }
        }
        if !self.reused {
            self.socket.set_user_timeout(USER_TIMEOUT);
        }
    }

    /// Lets TLS process the received data: plain text goes to `input`, TLS's own messages to `output`.
    fn process(&mut self) -> Result<Progress, TlsError> {
        match &mut self.tls {
            Some(tls) => tls.process(&mut self.input, &mut self.output),
            None => Ok(Progress::Ready),
        }
    }

    /// Handles a TLS error: sends an alert to the peer, if possible without waiting, and returns the error.
    fn fail_tls(&mut self, error: TlsError) -> ErrorKind {
        if let Some(tls) = &mut self.tls {
            self.output.clear();
            tls.encode_alert(&mut self.output);
            let _ = self.socket.send(self.output.filled());
            self.output.clear();
        }
        error.into()
    }

    /// Sends `output`. All of it, or its end, may be a request.
    fn write_output(
        &mut self,
        call: &CallContext,
        request: Option<PendingRequest>,
    ) -> Result<io::Result<()>, ErrorKind> {
        let mut sent = 0;
        let done = loop {
            let rest = self.output.filled().get(sent..).unwrap_or_default();
            if rest.is_empty() {
                break Ok(());
            }
            call.ensure_same_process()?;
            match self.socket.send(rest) {
                Ok(count) => {
                    if request.as_ref().is_some_and(|request| request.begins_in(sent, count)) {
                        call.count_attempt();
                    }
                    sent += count;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let mut entry = PollEntry::writable(self.socket.as_raw_fd());
                    if request.is_some() {
                        entry = entry.or_readable();
                    }
                    let entry = wait_for(call, entry)?;
                    let Some(request) = &request else { continue };
                    // The server may respond before it has read the whole request.
                    if !entry.is_writable() && self.has_response_or_end(request) {
                        break Err(io::Error::other("the server responded before the whole login was sent"));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        self.output.clear();
        Ok(done)
    }

    /// True if the rest of a request need not be sent, since a response or the end of the connection arrived.
    fn has_response_or_end(&mut self, request: &PendingRequest) -> bool {
        match self.probe_idle() {
            IdleState::Idle | IdleState::PartialRecord => false,
            IdleState::UnexpectedData => !(request.is_before_response)(self.input()),
            IdleState::Closed => true,
        }
    }

    fn fill_ciphertext(&mut self, call: &CallContext) -> Result<Received, ErrorKind> {
        let Some(tls) = &mut self.tls else { return self.fill_input(call) };
        if tls.ciphertext_in.len() >= MAX_UNPROCESSED_BYTES {
            return Err(ErrorKind::Tls(
                "The server sent too much TLS data without completing a message".into(),
            ));
        }
        fill(&self.socket, &mut tls.ciphertext_in, call)
    }

    fn fill_input(&mut self, call: &CallContext) -> Result<Received, ErrorKind> {
        fill(&self.socket, &mut self.input, call)
    }
}

/// A request that is being sent.
struct PendingRequest {
    /// The number of bytes in the output before the request.
    before: usize,
    /// Returns true if the input is not a response yet.
    is_before_response: fn(&[u8]) -> bool,
}

impl PendingRequest {
    /// True if the request's first byte is among the `count` bytes that follow the first `sent`.
    fn begins_in(&self, sent: usize, count: usize) -> bool {
        (sent..sent + count).contains(&self.before)
    }
}

fn fill(socket: &KeptSocket, buffer: &mut Buffer, call: &CallContext) -> Result<Received, ErrorKind> {
    socket.acknowledge();
    loop {
        wait_for(call, PollEntry::readable(socket.as_raw_fd()))?;
        if buffer.spare().len() < FIRST_BUFFER / 4 {
            buffer.reserve(FIRST_BUFFER)?;
        }
        match receive(socket, buffer) {
            Ok(0) => return Ok(Received::Closed),
            Ok(_) => return Ok(Received::Data),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => return Ok(Received::Failed(describe(&error).into_owned())),
        }
    }
}

/// Reads into the spare part of `buffer`, which must not be empty.
fn receive(socket: &KeptSocket, buffer: &mut Buffer) -> io::Result<usize> {
    let count = socket.receive(buffer.spare())?;
    buffer.advance(count);
    Ok(count)
}

pub fn lost(call: &CallContext, why: impl Into<Reason>) -> ErrorKind {
    ErrorKind::Lost { phase: call.phase(), why: why.into(), with: None }
}
