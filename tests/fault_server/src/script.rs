//! The steps of scripts, and the most common responses.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::server::Request;

/// The steps of one connection. After the last step the server keeps it open and reads until the client closes it.
pub type Script = Vec<Step>;

#[derive(Clone, Debug)]
pub enum Step {
    /// Finishes the TLS handshake. Every other step also does this first, except those that only end or limit.
    Handshake,
    /// Reads until another complete request has arrived, head and body.
    Request,
    /// Like `Request`. Any bytes that are not HTTP also count as a request, whose head is empty.
    Input,
    /// Reads until this many bytes have arrived since the last `Request` or `Read`.
    Read(usize),
    /// Plays the steps that a function chooses for the request that was read last; see [`respond`].
    Respond(Respond),
    /// Under TLS 1.3: sends this with the server's part of the handshake, before the client has finished its part.
    Early(Vec<u8>),
    /// Like `Early`, but sends the last bytes of this record after the client has finished its part.
    HalfEarly(Vec<u8>),
    /// Sends this in one write; under TLS in as few records as possible.
    Send(Vec<u8>),
    /// Sends this one byte at a time. Each byte is its own write, segment and, under TLS, record.
    Drip(Vec<u8>),
    /// Sends this one byte at a time, each after a pause, and repeats it until the client closes.
    Trickle { bytes: Vec<u8>, pause: Duration },
    /// Sends this unencrypted, past TLS.
    Raw(Vec<u8>),
    /// Sends only this many more bytes (under TLS, bytes of records), then ends the connection as the step says.
    CutAfter { bytes: usize, end: Box<Step> },
    /// Repeats these steps until the client closes.
    Repeat(Vec<Step>),
    /// Waits until the test opens the gate of this name.
    Gate(&'static str),
    /// Under TLS 1.3: changes the keys for sending, and sends a KeyUpdate.
    NewKeys,
    /// Under TLS: sends close_notify, and leaves the connection open.
    CloseNotify,
    /// Shuts down its direction cleanly: close_notify under TLS, then FIN.
    Close,
    /// Shuts down its direction with a FIN only, also under TLS.
    Cut,
    /// Resets the connection.
    Reset,
    /// Ends the script and closes the connection in both directions.
    End,
}

/// The function of `Step::Respond`.
#[derive(Clone)]
pub struct Respond(Arc<dyn Fn(&Request) -> Script + Send + Sync>);

impl Respond {
    pub fn to(&self, request: &Request) -> Script {
        (self.0)(request)
    }
}

impl fmt::Debug for Respond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("_")
    }
}

/// Plays the steps that `choose` returns for the last request. All connections share the function.
pub fn respond(choose: impl Fn(&Request) -> Script + Send + Sync + 'static) -> Step {
    Step::Respond(Respond(Arc::new(choose)))
}

/// Responds to the last request with a token that is its user name, as the form encoded it.
pub fn echo() -> Step {
    respond(|request| vec![send(token(request.username().unwrap_or("unknown")))])
}

/// The token of the good responses. It must not appear in any message, log line or text from the server.
pub const TOKEN: &str = "0e2b6f14-5ad2-4c9e-b1f8-7a3c2d9e4f60";

/// A well-formed response with a token.
pub const GOOD: &str = concat!(
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 48\r\n\r\n",
    r#"{"token":"0e2b6f14-5ad2-4c9e-b1f8-7a3c2d9e4f60"}"#
);

pub fn send(bytes: impl AsRef<[u8]>) -> Step {
    Step::Send(bytes.as_ref().to_vec())
}

/// A response with this status, these header fields, each ended by CR LF, a Content-Length and this body.
pub fn response_with(status: u16, fields: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!("HTTP/1.1 {status} X\r\n{fields}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

pub fn json_response(status: u16, body: impl AsRef<[u8]>) -> Vec<u8> {
    response_with(status, "Content-Type: application/json\r\n", body)
}

/// Reads a request, sends this, and leaves the connection open. A client that waits for the close waits long.
pub fn whole(response: impl AsRef<[u8]>) -> Script {
    vec![Step::Request, send(response)]
}

/// Reads a request, sends this, and closes cleanly.
pub fn closing(response: impl AsRef<[u8]>) -> Script {
    then_closing(whole(response))
}

pub fn then_closing(mut script: Script) -> Script {
    script.push(Step::Close);
    script
}

/// A good response with this token.
pub fn token(token: &str) -> Vec<u8> {
    json_response(200, format!(r#"{{"token":"{token}"}}"#))
}

/// Responds to every request with this.
pub fn serve(response: impl AsRef<[u8]>) -> Script {
    vec![Step::Repeat(whole(response))]
}

// ---- replies to one request, for `FaultServer::replying`

pub fn reply(status: u16, body: impl AsRef<[u8]>) -> Script {
    vec![send(json_response(status, body))]
}

pub fn reply_with(status: u16, fields: &str, body: impl AsRef<[u8]>) -> Script {
    vec![send(response_with(status, fields, body))]
}

pub fn reply_token(text: &str) -> Script {
    vec![send(token(text))]
}

/// Sends this and closes cleanly.
pub fn last(bytes: impl AsRef<[u8]>) -> Script {
    vec![send(bytes), Step::Close]
}
