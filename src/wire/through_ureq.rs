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

use crate::call::Call;
use crate::failure::Failure;
use crate::retry_after;
use crate::secret::Secret;
use crate::wire::connection::{Connection, Received, lost};
use crate::wire::exchange::{self, BROKEN_FRAMING, LARGE_FRAMING, MOST_HEAD_BYTES, NO_CLOSE_NOTIFY};
use crate::wire::{Answer, Broken};

/// Reads the response whose first bytes are in the input of `connection`, with at most `limit` bytes of body. The input
/// has at least one byte, so the connection was not stale.
pub fn read(call: &Call, connection: Box<Connection>, limit: usize) -> Result<Answer, Broken> {
    let failure = Ended::default();
    let handed = Handed {
        connection,
        call: call.clone(),
        failure: failure.clone(),
        given: 0,
        most: MOST_HEAD_BYTES + MOST_AROUND * limit,
        progress: true,
        sink: vec![0; SINK],
    };
    let agent = Agent::with_parts(
        Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .max_idle_connections(0)
            .max_response_header_size(MOST_HEAD_BYTES)
            .build(),
        HandOver(Mutex::new(Some(handed))),
        NoLookup,
    );
    // The address does not matter: the request is not sent.
    let request = http::Request::post("http://answer.invalid/").body(()).map_err(|error| internal(&error))?;
    let mut response = agent.run(request).map_err(|error| match failure.take() {
        Some(failure) => Broken::sent(failure),
        None => Broken::sent(Failure::Malformed(malformed(&error))),
    })?;

    let status = response.status().as_u16();
    let field = |name| response.headers().get(name).map(http::HeaderValue::as_bytes);
    let retry_after = field("retry-after").and_then(|delay| retry_after::seconds(delay, field("date")));
    // A body delimited by connection close can be truncated undetected.
    let endless = field("content-length").is_none() && field("transfer-encoding").is_none();
    let codings = response.headers().get_all("transfer-encoding");
    let codings = codings.iter().flat_map(|field| field.as_bytes().split(|byte| *byte == b','));
    let mut chunked = codings.map(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"chunked"));
    // ureq would decode the chunks, but here the end of the connection delimits the body (RFC 9112, 6.3).
    let packed = chunked.any(|chunked| chunked) && chunked.next_back() == Some(false);
    if packed && status == 200 {
        return Err(Broken { status, ..Broken::sent(Failure::Malformed(BROKEN_FRAMING.into())) });
    }
    let mut body = Secret::default();
    let drained = match drain(response.body_mut(), limit, &mut body) {
        // If a body is delimited by connection close, ureq takes any error for its end.
        Ok(()) if failure.is(End::BrokeOff) || failure.is(End::Truncated) => Err(Undrained::Failed),
        drained => drained,
    };
    let cut = drained.is_err() || endless;
    let mut truncated = None;
    match drained {
        Ok(()) => {}
        Err(_) if status != 200 => match failure.take().map(Broken::sent) {
            // The status decides, also with an incomplete body.
            Some(broken) if !broken.cut_short() => return Err(Broken { status, ..broken }),
            _ => {}
        },
        Err(Undrained::TooLarge) => return Err(exchange::too_large_a_body(limit)),
        Err(Undrained::Memory(full)) => return Err(Broken { status, ..Broken::sent(full.into()) }),
        Err(Undrained::Failed) if endless && failure.is(End::Truncated) => truncated = failure.take(),
        Err(Undrained::Failed) => {
            let failure = failure.take().unwrap_or_else(|| Failure::Malformed(BROKEN_FRAMING.into()));
            return Err(Broken { status, ..Broken::sent(failure) });
        }
    }
    Ok(Answer { status, body, cut, truncated, retry_after })
}

enum Undrained {
    TooLarge,
    Memory(TryReserveError),
    Failed,
}

fn drain(from: &mut Body, limit: usize, to: &mut Secret) -> Result<(), Undrained> {
    let mut reader = from.as_reader();
    let mut part = [0; 4096];
    let done = loop {
        match reader.read(&mut part) {
            Ok(0) => break Ok(()),
            Ok(count) => {
                if let Err(full) = to.try_extend(part.get(..count).unwrap_or_default()) {
                    break Err(Undrained::Memory(full));
                }
                if to.len() > limit {
                    to.truncate(limit);
                    break Err(Undrained::TooLarge);
                }
            }
            Err(_) => break Err(Undrained::Failed),
        }
    };
    crate::secret::wipe(&mut part);
    done
}

fn internal(error: &dyn fmt::Display) -> Broken {
    Broken::sent(Failure::Internal(format!("a response can't be parsed: {error}").into()))
}

/// Returns only the kind of error, since ureq's message may quote the response.
fn malformed(error: &ureq::Error) -> crate::failure::Why {
    match error {
        ureq::Error::Protocol(_) | ureq::Error::Http(_) => "The response is not valid HTTP".into(),
        _ => "The response could not be parsed as HTTP".into(),
    }
}

/// The library's own reason why the connection ended. ureq's errors would lose it.
#[derive(Clone, Default)]
struct Ended(Arc<Mutex<Option<(End, Failure)>>>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// The peer closed the connection properly, which may delimit a body.
    Closed,
    /// The peer closed the connection without TLS's close_notify.
    Truncated,
    BrokeOff,
}

impl Ended {
    fn set(&self, end: End, failure: Failure) {
        *self.lock() = Some((end, failure));
    }

    fn is(&self, end: End) -> bool {
        self.lock().as_ref().is_some_and(|(found, _)| *found == end)
    }

    fn take(&self) -> Option<Failure> {
        self.lock().take().map(|(_, failure)| failure)
    }

    fn lock(&self) -> MutexGuard<'_, Option<(End, Failure)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct HandOver(Mutex<Option<Handed>>);

impl Connector for HandOver {
    type Out = Handed;

    fn connect(&self, _: &ConnectionDetails, _: Option<()>) -> Result<Option<Handed>, ureq::Error> {
        let handed = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        handed.map(Some).ok_or(ureq::Error::ConnectionFailed)
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
const MOST_AROUND: usize = 8;
/// Space for the request, which ureq writes and the transport discards.
const SINK: usize = 4 << 10;

/// The connection as ureq's transport. It stays on the thread of its call.
struct Handed {
    connection: Box<Connection>,
    call: Call,
    failure: Ended,
    /// The number of bytes that ureq has consumed; `most` is its limit.
    given: usize,
    most: usize,
    progress: bool,
    sink: Vec<u8>,
}

// SAFETY: ureq requires a transport that is Send and Sync, but runs it on the calling thread. `read` drops all of it
// before it returns. Only the cells of the call are not Send or Sync.
unsafe impl Send for Handed {}
unsafe impl Sync for Handed {}

impl Buffers for Handed {
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

impl Transport for Handed {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self
    }

    fn transmit_output(&mut self, _: usize, _: NextTimeout) -> Result<(), ureq::Error> {
        Ok(())
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, ureq::Error> {
        // ureq limits the size of the body, but not of its framing.
        let stuck = self.connection.input().len();
        if stuck > MOST_HEAD_BYTES && !self.progress || self.given > self.most {
            return Err(self.broken(Failure::TooLarge(LARGE_FRAMING.into())));
        }
        match self.connection.receive(&self.call) {
            Ok(Received::Data) => {
                self.progress = true;
                Ok(true)
            }
            Ok(Received::Closed) => {
                self.failure.set(End::Closed, lost(&self.call, "the server closed it"));
                Ok(false)
            }
            Ok(Received::Truncated) => Err(self.ended(End::Truncated, lost(&self.call, NO_CLOSE_NOTIFY))),
            Ok(Received::Broken(why)) => Err(self.broken(lost(&self.call, why))),
            Err(failure) => Err(self.broken(failure)),
        }
    }

    fn is_open(&mut self) -> bool {
        false // nothing is handed back
    }
}

impl Handed {
    fn broken(&self, failure: Failure) -> ureq::Error {
        self.ended(End::BrokeOff, failure)
    }

    fn ended(&self, end: End, failure: Failure) -> ureq::Error {
        self.failure.set(end, failure);
        ureq::Error::Io(io::ErrorKind::ConnectionAborted.into())
    }
}

impl fmt::Debug for Handed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handed")
    }
}

impl fmt::Debug for HandOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HandOver")
    }
}
