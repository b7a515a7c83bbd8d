//! The record of requests and connections. Tests read it, and wait for it to change.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use hyper::HeaderMap;

use crate::login::Encoding;

/// A request that arrived in full, and its response. The `Debug` form leaves out the body and the token.
#[derive(Clone)]
#[non_exhaustive]
pub struct Recorded {
    /// True if it arrived over TLS.
    pub secure: bool,
    /// The number of its connection: 1 for the first that was accepted, with both servers counted together.
    pub connection: u64,
    /// The method, such as `POST`.
    pub method: String,
    /// Path and query, as sent.
    pub path: String,
    /// The header fields, with lower-case names.
    pub headers: HeaderMap,
    /// `None` if the body is missing, or if its `Content-Type` is neither a form nor JSON.
    pub encoding: Option<Encoding>,
    /// The field `username`, only for a login.
    pub username: Option<String>,
    /// The field `system`, only for a login.
    pub system: Option<String>,
    /// The raw body; empty if it was larger than [`MAX_BODY_BYTES`](crate::MAX_BODY_BYTES).
    pub body: Vec<u8>,
    /// The status of the response. `None`: the server sends no response.
    pub status: Option<u16>,
}

impl Recorded {
    /// The value of a header field, if there is exactly one of this name and it is plain text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok(),
            _ => None,
        }
    }
}

impl fmt::Debug for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorded")
            .field("secure", &self.secure)
            .field("connection", &self.connection)
            .field("method", &self.method)
            .field("path", &self.path)
            .field("headers", &self.headers)
            .field("encoding", &self.encoding)
            .field("username", &self.username)
            .field("system", &self.system)
            .field("body", &format_args!("{} bytes", self.body.len()))
            .field("status", &self.status)
            .finish()
    }
}

/// The connections of both servers. A client's plain `http` connection may be established just before the server
/// accepts it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Connections {
    /// The HTTP server.
    pub http: Count,
    /// The HTTPS server, counted from the TCP connection on.
    pub https: Count,
    /// Completed TLS handshakes: the client's last message has arrived.
    pub handshakes: usize,
}

/// The connections of one server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Count {
    /// Accepted since the start.
    pub accepted: usize,
    /// Open now.
    pub open: usize,
}

/// The shared record.
#[derive(Default)]
pub(crate) struct Record {
    seen: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Default)]
pub(crate) struct Seen {
    pub requests: Vec<Recorded>,
    pub connections: Connections,
    /// The open connections by number; true if the connection is secure.
    open: BTreeMap<u64, bool>,
}

impl Record {
    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    pub fn request(&self, recorded: Recorded) {
        self.seen().requests.push(recorded);
        self.changed.notify_all();
    }

    pub fn handshake(&self) {
        self.seen().connections.handshakes += 1;
        self.changed.notify_all();
    }

    /// Records an accepted connection, which counts as open until the returned value is dropped.
    pub fn accepted(self: &Arc<Self>, secure: bool) -> OpenConnection {
        let mut seen = self.seen();
        let number = (seen.connections.http.accepted + seen.connections.https.accepted) as u64 + 1;
        let count = seen.connections.count(secure);
        count.accepted += 1;
        count.open += 1;
        seen.open.insert(number, secure);
        self.changed.notify_all();
        OpenConnection { record: self.clone(), number, secure }
    }

    /// The numbers of the connections that are open now.
    pub fn open(&self) -> Vec<u64> {
        self.seen().open.keys().copied().collect()
    }

    /// Waits until all connections with these numbers are closed.
    pub fn wait_until_closed(&self, numbers: &[u64]) {
        let closed = |seen: &Seen| !numbers.iter().any(|number| seen.open.contains_key(number));
        drop(self.changed.wait_while(self.seen(), |seen| !closed(seen)).unwrap());
    }

    /// Waits until `condition` holds. Returns true if it did within `timeout`.
    pub fn wait(&self, timeout: Duration, mut condition: impl FnMut(&Seen) -> bool) -> bool {
        let deadline = Instant::now() + timeout;
        let mut seen = self.seen();
        while !condition(&seen) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            seen = self.changed.wait_timeout(seen, left).unwrap().0;
        }
        true
    }
}

impl Connections {
    fn count(&mut self, secure: bool) -> &mut Count {
        if secure { &mut self.https } else { &mut self.http }
    }
}

/// Keeps a connection recorded as open. Drop it after the socket.
pub(crate) struct OpenConnection {
    record: Arc<Record>,
    pub number: u64,
    pub secure: bool,
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        let mut seen = self.record.seen();
        seen.open.remove(&self.number);
        seen.connections.count(self.secure).open -= 1;
        self.record.changed.notify_all();
    }
}
