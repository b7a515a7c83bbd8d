//! Parses a response that is not strict, from the bytes that were read and the rest of the connection. ureq is the
//! parser, because it is lenient and maintained.
//!
//! The connector passes the open connection to ureq, and discards ureq's request: the login was already sent. ureq
//! never receives a password. The connection is closed afterwards.
//!
//! `ureq::unversioned` is not covered by semver, so all code that uses it is here.

use std::collections::TryReserveError;
use std::fmt;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};
use ureq::{Agent, Body, http};

use crate::context::CallContext;
use crate::error::ErrorKind;
use crate::http::connection::{Connection, Received, lost};
use crate::http::fast_path::NO_CLOSE_NOTIFY;
use crate::http::response::Response;
use crate::http::response_reader::{INVALID_FRAMING, LARGE_FRAMING, body_too_large};
use crate::http::transport_error::TransportError;
use crate::limits::MAX_HEAD_BYTES;
use crate::retry_after;
use crate::secret::Secret;

/// Reads the response whose first bytes are in the input of `connection`, with at most `limit` bytes of body. The input
/// has at least one byte, so the connection was not stale.
pub fn read(
    call: &CallContext,
    connection: Box<Connection>,
    limit: usize,
) -> Result<Response, TransportError> {
    let ended = Ended::default();
    let open = OpenConnection {
        connection,
        call: Mutex::new(call.clone()),
        ended: ended.clone(),
        given: 0,
        most: MAX_HEAD_BYTES + FRAMING_FACTOR * limit,
        progress: true,
        sink: vec![0; SINK],
    };
    let agent = Agent::with_parts(
        Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .max_idle_connections(0)
            .max_response_header_size(MAX_HEAD_BYTES)
            .build(),
        SingleConnector(Mutex::new(Some(open))),
        NoLookup,
    );
    // The address does not matter: the request is not sent.
    let request =
        http::Request::post("http://response.invalid/").body(()).map_err(|error| internal(&error))?;
    let mut response = agent.run(request).map_err(|error| match ended.take() {
        Some(kind) => TransportError::after_request(kind),
        None => TransportError::after_request(ErrorKind::Malformed(malformed(&error))),
    })?;

    let status = response.status().as_u16();
    let field = |name| response.headers().get(name).map(http::HeaderValue::as_bytes);
    let retry_after = field("retry-after").and_then(|delay| retry_after::seconds(delay, field("date")));
    // A body delimited by connection close can be truncated undetected.
    let ends_with_connection = field("content-length").is_none() && field("transfer-encoding").is_none();
    let codings = response.headers().get_all("transfer-encoding");
    let codings = codings.iter().flat_map(|field| field.as_bytes().split(|byte| *byte == b','));
    let mut chunked = codings.map(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"chunked"));
    // ureq would decode the chunks, but here the end of the connection delimits the body (RFC 9112, 6.3).
    let is_not_last = chunked.any(|chunked| chunked) && chunked.next_back() == Some(false);
    if is_not_last && status == 200 {
        return Err(TransportError {
            status,
            ..TransportError::after_request(ErrorKind::Malformed(INVALID_FRAMING.into()))
        });
    }
    let mut body = Secret::default();
    let result = match read_body(response.body_mut(), limit, &mut body) {
        // If a body is delimited by connection close, ureq takes any error for its end.
        Ok(()) if ended.is(End::Failed) || ended.is(End::Truncated) => Err(BodyError::Failed),
        result => result,
    };
    let is_truncated = result.is_err() || ends_with_connection;
    let mut missing_close_notify = None;
    match result {
        Ok(()) => {}
        Err(_) if status != 200 => match ended.take().map(TransportError::after_request) {
            // The status decides, also with an incomplete body.
            Some(error) if !error.is_peer_failure() => {
                return Err(TransportError { status, retry_after, ..error });
            }
            _ => {}
        },
        Err(BodyError::TooLarge) => return Err(body_too_large(limit)),
        Err(BodyError::Memory(full)) => {
            return Err(TransportError { status, ..TransportError::after_request(full.into()) });
        }
        Err(BodyError::Failed) if ends_with_connection && ended.is(End::Truncated) => {
            missing_close_notify = ended.take()
        }
        Err(BodyError::Failed) => {
            let kind = ended.take().unwrap_or_else(|| ErrorKind::Malformed(INVALID_FRAMING.into()));
            return Err(TransportError { status, ..TransportError::after_request(kind) });
        }
    }
    Ok(Response { status, body, is_truncated, missing_close_notify, retry_after })
}

enum BodyError {
    TooLarge,
    Memory(TryReserveError),
    Failed,
}

fn read_body(from: &mut Body, limit: usize, to: &mut Secret) -> Result<(), BodyError> {
    let mut reader = from.as_reader();
    let mut part = [0; 4096];
    let done = loop {
        match reader.read(&mut part) {
            Ok(0) => break Ok(()),
            Ok(count) => {
                if let Err(full) = to.try_extend(part.get(..count).unwrap_or_default()) {
                    break Err(BodyError::Memory(full));
                }
                if to.len() > limit {
                    to.truncate(limit);
                    break Err(BodyError::TooLarge);
                }
            }
            Err(_) => break Err(BodyError::Failed),
        }
    };
    crate::secret::wipe(&mut part);
    done
}

fn internal(error: &dyn fmt::Display) -> TransportError {
    TransportError::after_request(ErrorKind::Internal(format!("a response can't be parsed: {error}").into()))
}

/// Returns only the kind of error, since ureq's message may quote the response.
fn malformed(error: &ureq::Error) -> crate::error::Reason {
    match error {
        ureq::Error::Protocol(_) | ureq::Error::Http(_) => "The response is not valid HTTP".into(),
        _ => "The response could not be parsed as HTTP".into(),
    }
}

/// The library's own reason why the connection ended. ureq's errors would lose it.
#[derive(Clone, Default)]
struct Ended(Arc<Mutex<Option<(End, ErrorKind)>>>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// The peer closed the connection properly, which may delimit a body.
    Closed,
    /// The peer closed the connection without TLS's close_notify.
    Truncated,
    Failed,
}

impl Ended {
    fn set(&self, end: End, kind: ErrorKind) {
        *self.lock() = Some((end, kind));
    }

    /// Returns the error that ends ureq's read.
    fn end(&self, end: End, kind: ErrorKind) -> ureq::Error {
        self.set(end, kind);
        ureq::Error::Io(io::ErrorKind::ConnectionAborted.into())
    }

    fn is(&self, end: End) -> bool {
        self.lock().as_ref().is_some_and(|(found, _)| *found == end)
    }

    fn take(&self) -> Option<ErrorKind> {
        self.lock().take().map(|(_, kind)| kind)
    }

    fn lock(&self) -> MutexGuard<'_, Option<(End, ErrorKind)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct SingleConnector(Mutex<Option<OpenConnection>>);

impl Connector for SingleConnector {
    type Out = OpenConnection;

    fn connect(&self, _: &ConnectionDetails, _: Option<()>) -> Result<Option<OpenConnection>, ureq::Error> {
        let open = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        open.map(Some).ok_or(ureq::Error::ConnectionFailed)
    }
}

#[derive(Debug)]
struct NoLookup;

impl Resolver for NoLookup {
    fn resolve(
        &self,
        _: &http::Uri,
        _: &ureq::config::Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut addresses = self.empty();
        addresses.push(([0, 0, 0, 0], 0).into());
        Ok(addresses)
    }
}

/// The limit of received bytes for each byte of the body: a chunk of one byte takes six.
const FRAMING_FACTOR: usize = 8;
/// Space for the request, which ureq writes and the transport discards.
const SINK: usize = 4 << 10;

/// The connection as ureq's transport. It stays on the thread of its call.
struct OpenConnection {
    connection: Box<Connection>,
    /// ureq requires Sync, which the cells of a call are not.
    call: Mutex<CallContext>,
    ended: Ended,
    /// The number of bytes that ureq has consumed; `most` is its limit.
    given: usize,
    most: usize,
    progress: bool,
    sink: Vec<u8>,
}

impl Buffers for OpenConnection {
    fn output(&mut self) -> &mut [u8] {
        &mut self.sink
    }

    fn input(&self) -> &[u8] {
        self.connection.input()
    }

    fn input_append_buf(&mut self) -> &mut [u8] {
        &mut [] // `await_input` appends by itself
    }

    fn input_appended(&mut self, _: usize) {}

    fn input_consume(&mut self, count: usize) {
        self.progress = count > 0;
        self.given += count;
        self.connection.consume(count);
    }

    fn tmp_and_output(&mut self) -> (&mut [u8], &mut [u8]) {
        let half = self.sink.len() / 2;
        self.sink.split_at_mut(half)
    }

    fn can_use_input(&self) -> bool {
        self.progress && !self.connection.input().is_empty()
    }
}

impl Transport for OpenConnection {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self
    }

    fn transmit_output(&mut self, _: usize, _: NextTimeout) -> Result<(), ureq::Error> {
        Ok(())
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, ureq::Error> {
        // ureq limits the size of the body, but not of its framing.
        let stuck = self.connection.input().len();
        if stuck > MAX_HEAD_BYTES && !self.progress || self.given > self.most {
            return Err(self.ended.end(End::Failed, ErrorKind::TooLarge(LARGE_FRAMING.into())));
        }
        let call = self.call.get_mut().unwrap_or_else(PoisonError::into_inner);
        let (end, kind) = match self.connection.receive(call) {
            Ok(Received::Data) => {
                self.progress = true;
                return Ok(true);
            }
            Ok(Received::Closed) => {
                self.ended.set(End::Closed, lost(call, "the server closed it"));
                return Ok(false);
            }
            Ok(Received::Truncated) => (End::Truncated, lost(call, NO_CLOSE_NOTIFY)),
            Ok(Received::Failed(why)) => (End::Failed, lost(call, why)),
            Err(kind) => (End::Failed, kind),
        };
        Err(self.ended.end(end, kind))
    }

    fn is_open(&mut self) -> bool {
        false // nothing is reused
    }
}

impl fmt::Debug for OpenConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpenConnection")
    }
}

impl fmt::Debug for SingleConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SingleConnector")
    }
}
