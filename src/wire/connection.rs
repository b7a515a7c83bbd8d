//! One connection: its socket, TLS and buffers. The buffers are wiped after an exchange, as far as they were used.

use std::collections::TryReserveError;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};
use rustls::{ClientConfig, ProtocolVersion};
use socket2::Socket;

use crate::call::Call;
use crate::errno::describe;
use crate::failure::{Failure, Phase};
use crate::secret::wipe;
use crate::wire::socket::KeptSocket;
use crate::wire::{pool, tls_error, wait};

/// Buffers start small and grow with the data that the peer sends.
const FIRST_BUFFER: usize = 4 << 10;
/// A handshake message is at most 64 KiB, in records with some overhead. rustls checks the exact limits.
const MOST_UNPROCESSED: usize = 128 << 10;
/// The limit for unrequested data on an idle connection, for example session tickets.
const MOST_UNASKED: usize = 64 << 10;
/// A buffer that is larger than this is freed after the exchange.
const LARGEST_KEPT: usize = 20 << 10;
/// The maximum time that sent data may stay unacknowledged, and so the time to detect a dead peer.
const USER_TIMEOUT: Duration = Duration::from_secs(5);

pub struct Connection {
    socket: KeptSocket,
    pub peer: SocketAddr,
    tls: Option<Box<UnbufferedClientConnection>>,
    /// Received data that TLS has not processed yet.
    raw: Buffer,
    /// Received data in plain text.
    input: Buffer,
    /// Plain text to send.
    plain: Buffer,
    /// Data to send over the socket.
    output: Buffer,
    /// The peer sent close_notify.
    closed: bool,
    /// The TLS error after the input.
    refused: Option<Failure>,
    /// This connection has already served a login.
    pub reused: bool,
    /// The account that this connection has served, if any. If a server sends one response too many, all later
    /// responses on the connection are shifted, and one account would receive the token of another.
    pub account: Option<Account>,
    pub born: Duration,
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
    Broken(String),
}

/// The state of a connection before a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Quiet {
    Yes,
    Ended,
    /// A part of a TLS record arrived: of a session ticket, or of unrequested data.
    Begun,
    /// The server sent data before a request.
    Spoke,
}

impl Connection {
    pub fn new(socket: Socket, peer: SocketAddr) -> Box<Connection> {
        Box::new(Connection {
            socket: KeptSocket::new(socket),
            peer,
            tls: None,
            raw: Buffer::default(),
            input: Buffer::default(),
            plain: Buffer::default(),
            output: Buffer::default(),
            closed: false,
            refused: None,
            reused: false,
            account: None,
            born: pool::uptime(),
            idle_since: pool::uptime(),
        })
    }

    /// Received data that is not consumed yet.
    pub fn input(&self) -> &[u8] {
        self.input.filled()
    }

    /// True if all received bytes were consumed, including those of incomplete TLS records.
    pub fn has_nothing(&self) -> bool {
        self.input.len() == 0 && self.raw.len() == 0
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
        call: &Call,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<(), Failure> {
        call.enter(Phase::Handshake);
        let client =
            UnbufferedClientConnection::new(config, name).map_err(|error| tls_error::failure(&error))?;
        self.tls = Some(Box::new(client));
        loop {
            match self.process() {
                Ok(Progress::Ready) => return Ok(()),
                Ok(Progress::NeedsInput) => {}
                Err(error) => return Err(self.refuse(error)),
            }
            if self.closed {
                return Err(lost(call, "the server closed it"));
            }
            self.flush(call)?;
            match self.fill_raw(call)? {
                Received::Data => {}
                Received::Closed | Received::Truncated => return Err(lost(call, "the server closed it")),
                Received::Broken(why) => return Err(lost(call, why)),
            }
        }
    }

    /// The negotiated version and key exchange group, for the log.
    pub fn tls_parameters(&self) -> String {
        let Some(tls) = &self.tls else { return String::new() };
        let version = match tls.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
            _ => "TLS 1.2",
        };
        match tls.negotiated_key_exchange_group() {
            Some(group) => format!("{version}, {:?}", group.name()),
            // A resumed session of TLS 1.2 has no group.
            None => version.to_owned(),
        }
    }

    /// Sends the pending output.
    pub fn flush(&mut self, call: &Call) -> Result<(), Failure> {
        match self.write_out(call, None)? {
            Ok(()) => Ok(()),
            Err(error) => Err(lost(call, describe(&error))),
        }
    }

    /// Sends data to a proxy. It is not counted as a request.
    pub fn say(&mut self, call: &Call, bytes: &[u8]) -> Result<(), Failure> {
        self.output.extend(bytes)?;
        self.flush(call)
    }

    /// Sends a request in one write, if the socket accepts it. Counts an attempt when the first byte is handed over.
    ///
    /// Returns `Ok(Err)` if the peer has closed the connection, or has responded before the whole request was sent. A
    /// response may then be in the input. `is_no_answer` receives the input so far.
    pub fn send(
        &mut self,
        call: &Call,
        parts: &[&[u8]],
        is_no_answer: fn(&[u8]) -> bool,
    ) -> Result<io::Result<()>, Failure> {
        call.enter(Phase::Send);
        if self.tls.is_none() {
            for part in parts {
                self.output.extend(part)?;
            }
            return self.write_out(call, Some(Sent { before: 0, is_no_answer }));
        }
        for part in parts {
            self.plain.extend(part)?;
        }
        let before = self.output.len();
        match self.encrypt() {
            Ok(()) => {}
            Err(error) => return Err(self.refuse(error)),
        }
        self.plain.clear();
        self.write_out(call, Some(Sent { before, is_no_answer }))
    }

    /// Waits for more input.
    pub fn receive(&mut self, call: &Call) -> Result<Received, Failure> {
        if self.tls.is_none() {
            return self.fill_input(call);
        }
        if let Some(failure) = self.refused.take() {
            return Err(failure);
        }
        loop {
            let before = self.input.len();
            let processed = self.process();
            let failure = processed.err().map(|error| self.refuse(error));
            if self.input.len() > before {
                self.refused = failure;
                return Ok(Received::Data);
            }
            if let Some(failure) = failure {
                return Err(failure);
            }
            if self.closed {
                return Ok(Received::Closed);
            }
            self.flush(call)?;
            match self.fill_raw(call)? {
                Received::Data => {}
                Received::Closed => return Ok(Received::Truncated),
                broken => return Ok(broken),
            }
        }
    }

    /// Returns the state of a connection before its request is sent. TLS's own messages (session tickets after a
    /// handshake) are processed.
    pub fn is_quiet(&mut self) -> Quiet {
        let mut taken_in = 0;
        loop {
            // No server legitimately sends this much without a request. Without a limit the loop could run past the
            // call's deadline.
            if taken_in > MOST_UNASKED {
                return Quiet::Spoke;
            }
            let target = if self.tls.is_some() { &mut self.raw } else { &mut self.input };
            if target.spare().len() < FIRST_BUFFER / 4 && target.make_room(FIRST_BUFFER).is_err() {
                return Quiet::Ended;
            }
            match receive(&self.socket, target) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return match self.input.len() {
                        _ if self.is_spent() => Quiet::Yes,
                        _ if self.closed => Quiet::Ended,
                        0 => Quiet::Begun,
                        _ => Quiet::Spoke,
                    };
                }
                Ok(0) | Err(_) => return Quiet::Ended,
                Ok(count) => match self.process() {
                    Ok(_) if self.input.len() > 0 => return Quiet::Spoke,
                    Ok(_) => taken_in += count,
                    Err(_) => return Quiet::Ended,
                },
            }
        }
    }

    /// True if all input was consumed, so that no remaining byte can become a part of the next response.
    pub fn is_spent(&self) -> bool {
        self.input.len() == 0 && self.raw.len() == 0 && !self.closed && self.refused.is_none()
    }

    /// Wipes the buffers after an exchange, records the descriptor's identity, and sets the socket's timeout for a dead
    /// peer.
    pub fn rest(&mut self) {
        self.socket.remember();
        for buffer in [&mut self.raw, &mut self.input, &mut self.plain, &mut self.output] {
            // Non-empty buffers hold pending TLS records; keep them.
            if buffer.len() == 0 {
                buffer.wipe();
            }
        }
        if !self.reused {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            let _ = self.socket.set_tcp_user_timeout(Some(USER_TIMEOUT));
        }
    }

    fn encrypt(&mut self) -> Result<(), TlsError> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        loop {
            // rustls keeps its position in the unprocessed input, so it needs the input here too.
            let UnbufferedStatus { discard, state } = tls.process_tls_records(self.raw.filled_mut());
            let mut done = false;
            match state.map_err(TlsError::from)? {
                ConnectionState::WriteTraffic(mut traffic) => loop {
                    match traffic.encrypt(self.plain.filled(), self.output.spare()) {
                        Ok(count) => {
                            self.output.appended(count);
                            done = true;
                            break;
                        }
                        Err(EncryptError::InsufficientSize(needed)) => {
                            self.output.make_room(needed.required_size)?;
                        }
                        Err(EncryptError::EncryptExhausted) => return Err(rustls::Error::EncryptError.into()),
                    }
                },
                ConnectionState::EncodeTlsData(mut data) => encode(&mut data, &mut self.output)?,
                ConnectionState::TransmitTlsData(data) => data.done(),
                // No other state is possible on a connection that is open and idle.
                _ => return Err(rustls::Error::HandshakeNotComplete.into()),
            }
            self.raw.drop_front(discard);
            if done {
                return Ok(());
            }
        }
    }

    /// Lets TLS process the received data: plain text goes to `input`, TLS's own messages to `output`.
    fn process(&mut self) -> Result<Progress, TlsError> {
        let Some(tls) = &mut self.tls else { return Ok(Progress::Ready) };
        loop {
            let UnbufferedStatus { mut discard, state } = tls.process_tls_records(self.raw.filled_mut());
            let mut progress = None;
            let mut failed = None;
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        match record {
                            Ok(record) => {
                                discard += record.discard;
                                if let Err(full) = self.input.extend(record.payload) {
                                    failed = Some(full.into());
                                    break;
                                }
                            }
                            Err(error) => {
                                failed = Some(error.into());
                                break;
                            }
                        }
                    }
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => encode(&mut data, &mut self.output)?,
                // The data is in `output`, and is sent before the next wait.
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::BlockedHandshake) => progress = Some(Progress::NeedsInput),
                Ok(ConnectionState::WriteTraffic(_)) => progress = Some(Progress::Ready),
                Ok(ConnectionState::PeerClosed) => self.closed = true,
                Ok(ConnectionState::Closed) => {
                    self.closed = true;
                    progress = Some(Progress::Ready);
                }
                Ok(_) => failed = Some(rustls::Error::General("unknown state".into()).into()),
                Err(error) => failed = Some(error.into()),
            }
            self.raw.drop_front(discard);
            if let Some(error) = failed {
                return Err(error);
            }
            if let Some(progress) = progress {
                return Ok(progress);
            }
        }
    }

    /// Handles a TLS error: sends an alert to the peer, if possible without waiting, and returns the failure.
    fn refuse(&mut self, error: TlsError) -> Failure {
        if let Some(tls) = &mut self.tls {
            self.output.clear();
            // The alert must be encoded before rustls sees further input, which would fail again.
            if let Ok(ConnectionState::EncodeTlsData(mut alert)) =
                tls.process_tls_records(self.raw.filled_mut()).state
            {
                let _ = encode(&mut alert, &mut self.output);
            }
            let _ = self.socket.send(self.output.filled());
            self.output.clear();
        }
        match error {
            TlsError::Tls(error) => tls_error::failure(&error),
            TlsError::Memory(full) => full.into(),
        }
    }

    /// Sends `output`. All of it, or its end, may be a request.
    fn write_out(&mut self, call: &Call, request: Option<Sent>) -> Result<io::Result<()>, Failure> {
        let mut sent = 0;
        let done = loop {
            let rest = self.output.filled().get(sent..).unwrap_or_default();
            if rest.is_empty() {
                break Ok(());
            }
            // A child that a logger forked must not send data in place of its parent.
            call.check_process()?;
            match self.socket.send(rest) {
                Ok(count) => {
                    if request.as_ref().is_some_and(|request| request.begins_in(sent, count)) {
                        call.count_attempt();
                    }
                    sent += count;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let mut either = wait::writable(self.socket.as_raw_fd());
                    if request.is_some() {
                        either.events |= libc::POLLIN;
                    }
                    let ready = wait::wait_for(call, either)?;
                    let Some(request) = &request else { continue };
                    // The server may respond before it has read the whole request.
                    if ready & libc::POLLOUT == 0 && self.has_answered(request) {
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
    fn has_answered(&mut self, request: &Sent) -> bool {
        match self.is_quiet() {
            Quiet::Yes | Quiet::Begun => false,
            Quiet::Spoke => !(request.is_no_answer)(self.input()),
            Quiet::Ended => true,
        }
    }

    fn fill_raw(&mut self, call: &Call) -> Result<Received, Failure> {
        if self.raw.len() >= MOST_UNPROCESSED {
            return Err(Failure::Tls(
                "The server sent too much TLS data without completing a message".into(),
            ));
        }
        fill(&self.socket, &mut self.raw, call)
    }

    fn fill_input(&mut self, call: &Call) -> Result<Received, Failure> {
        fill(&self.socket, &mut self.input, call)
    }
}

/// A request that is being sent.
struct Sent {
    /// The number of bytes in the output before the request.
    before: usize,
    /// Returns true if the input is not a response yet.
    is_no_answer: fn(&[u8]) -> bool,
}

impl Sent {
    /// True if the request's first byte is among the `count` bytes that follow the first `sent`.
    fn begins_in(&self, sent: usize, count: usize) -> bool {
        (sent..sent + count).contains(&self.before)
    }
}

enum Progress {
    /// The handshake is complete: a request may be sent, and all input was processed.
    Ready,
    NeedsInput,
}

/// The reason why TLS cannot continue.
enum TlsError {
    Tls(rustls::Error),
    Memory(TryReserveError),
}

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> TlsError {
        TlsError::Tls(error)
    }
}

impl From<TryReserveError> for TlsError {
    fn from(full: TryReserveError) -> TlsError {
        TlsError::Memory(full)
    }
}

fn encode<T>(
    data: &mut rustls::unbuffered::EncodeTlsData<'_, T>,
    output: &mut Buffer,
) -> Result<(), TryReserveError> {
    loop {
        match data.encode(output.spare()) {
            Ok(count) => {
                output.appended(count);
                return Ok(());
            }
            Err(EncodeError::InsufficientSize(needed)) => output.make_room(needed.required_size)?,
            Err(EncodeError::AlreadyEncoded) => return Ok(()),
        }
    }
}

fn fill(socket: &KeptSocket, buffer: &mut Buffer, call: &Call) -> Result<Received, Failure> {
    socket.acknowledge();
    loop {
        wait::wait_for(call, wait::readable(socket.as_raw_fd()))?;
        if buffer.spare().len() < FIRST_BUFFER / 4 {
            buffer.make_room(FIRST_BUFFER)?;
        }
        match receive(socket, buffer) {
            Ok(0) => return Ok(Received::Closed),
            Ok(_) => return Ok(Received::Data),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => return Ok(Received::Broken(describe(&error).into_owned())),
        }
    }
}

/// Reads into the spare part of `buffer`, which must not be empty.
fn receive(socket: &KeptSocket, buffer: &mut Buffer) -> io::Result<usize> {
    let count = socket.receive(buffer.spare())?;
    buffer.appended(count);
    Ok(count)
}

pub fn lost(call: &Call, why: impl Into<crate::failure::Why>) -> Failure {
    Failure::Lost { phase: call.phase(), why: why.into(), with: None }
}

/// Bytes with initialised spare capacity after them. Used bytes are wiped before they are freed.
#[derive(Default)]
struct Buffer {
    bytes: Vec<u8>,
    from: usize,
    to: usize,
    /// The bytes from this index on are unused since the last wipe.
    used: usize,
}

impl Buffer {
    fn len(&self) -> usize {
        self.to - self.from
    }

    fn filled(&self) -> &[u8] {
        self.bytes.get(self.from..self.to).unwrap_or_default()
    }

    fn filled_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.from..self.to).unwrap_or_default()
    }

    fn spare(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.to..).unwrap_or_default()
    }

    fn appended(&mut self, count: usize) {
        self.to = (self.to + count).min(self.bytes.len());
        self.used = self.used.max(self.to);
    }

    /// Fails if the process has no memory left, since the peer decides how much is needed.
    fn make_room(&mut self, count: usize) -> Result<(), TryReserveError> {
        let needed = self.to.saturating_add(count);
        let size = self.bytes.len();
        if needed > size {
            // Growth leaves no copy behind: the allocator wipes the freed block.
            let grown = needed.max(size * 2).max(FIRST_BUFFER);
            self.bytes.try_reserve_exact(grown - size)?;
            self.bytes.resize(grown, 0);
        }
        Ok(())
    }

    fn extend(&mut self, bytes: &[u8]) -> Result<(), TryReserveError> {
        self.make_room(bytes.len())?;
        if let Some(room) = self.bytes.get_mut(self.to..self.to + bytes.len()) {
            room.copy_from_slice(bytes);
            self.appended(bytes.len());
        }
        Ok(())
    }

    fn drop_front(&mut self, count: usize) {
        self.from = (self.from + count).min(self.to);
        if self.from == self.to {
            (self.from, self.to) = (0, 0);
        } else if self.from > self.bytes.len() / 2 {
            self.bytes.copy_within(self.from..self.to, 0);
            (self.from, self.to) = (0, self.to - self.from);
        }
    }

    fn clear(&mut self) {
        (self.from, self.to) = (0, 0);
    }

    fn wipe(&mut self) {
        self.clear();
        if self.bytes.len() > LARGEST_KEPT {
            self.bytes = Vec::new();
        } else if let Some(used) = self.bytes.get_mut(..self.used) {
            wipe(used);
        }
        self.used = 0;
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.wipe();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_gives_back_what_was_put_in_and_wipes_what_was_used() {
        let mut buffer = Buffer::default();
        buffer.extend(&[7; 10_000]).unwrap();
        buffer.drop_front(9_000);
        buffer.extend(b"end").unwrap();
        assert_eq!(buffer.len(), 1_003);
        assert_eq!(&buffer.filled()[1_000..], b"end");
        buffer.wipe();
        assert_eq!(buffer.len(), 0);
        assert!(!buffer.bytes.is_empty() && buffer.bytes.iter().all(|byte| *byte == 0));
    }

    #[test]
    fn a_buffer_moves_what_is_left_once_half_of_it_is_consumed() {
        let mut buffer = Buffer::default();
        buffer.extend(&[7; FIRST_BUFFER]).unwrap();
        buffer.drop_front(10);
        assert_eq!((buffer.from, buffer.len()), (10, FIRST_BUFFER - 10));
        buffer.drop_front(FIRST_BUFFER / 2 - 10);
        assert_eq!((buffer.from, buffer.len()), (FIRST_BUFFER / 2, FIRST_BUFFER / 2));
        buffer.drop_front(1);
        assert_eq!((buffer.from, buffer.len()), (0, FIRST_BUFFER / 2 - 1));
    }

    #[test]
    fn a_buffer_grows_twofold_and_only_when_it_is_full() {
        let mut buffer = Buffer::default();
        buffer.extend(&[7; FIRST_BUFFER]).unwrap();
        buffer.extend(&[]).unwrap();
        assert_eq!(buffer.bytes.len(), FIRST_BUFFER);
        buffer.extend(&[7]).unwrap();
        assert_eq!(buffer.bytes.len(), 2 * FIRST_BUFFER);
    }

    #[test]
    fn a_large_buffer_is_given_back() {
        for (size, kept) in [(LARGEST_KEPT, LARGEST_KEPT), (LARGEST_KEPT + 1, 0)] {
            let mut buffer = Buffer::default();
            buffer.extend(&vec![7; size]).unwrap();
            buffer.wipe();
            assert_eq!(buffer.bytes.len(), kept);
        }
    }
}
