//! The language of scripts: small steps, and the answers that most of them send.

use std::time::Duration;

/// What one connection does, step by step. At its end it stays open, and reads on, until the client closes it.
pub type Script = Vec<Step>;

#[derive(Clone, Debug)]
pub enum Step {
    /// Finishes the TLS handshake. Any other step does so first, too, but for those that only end or limit.
    Handshake,
    /// Reads until one more request has come, head and body.
    Request,
    /// Reads until this many bytes have come since the last `Request` or `Read`.
    Read(usize),
    /// Answers what `Request` has read last with a token: its user name, as the form had it.
    Echo,
    /// Reads one more request, and answers with the token of the one before, as `Echo` does.
    Late,
    /// Under TLS 1.3: has this go with the server's part of the handshake, before the client has ended its own.
    Early(Vec<u8>),
    /// As `Early`, but of the record that has it the last bytes come after the client has ended its part.
    HalfEarly(Vec<u8>),
    /// Sends this in one write; under TLS in as few records as it takes.
    Send(Vec<u8>),
    /// Sends this a byte at a time: each a write, a segment and, under TLS, a record of its own.
    Drip(Vec<u8>),
    /// Sends this a byte at a time, with a pause before each: from its start again, until the client closes.
    Trickle { bytes: Vec<u8>, pause: Duration },
    /// Sends this past TLS, as it is.
    Raw(Vec<u8>),
    /// Lets only so many more bytes out on the wire, under TLS those of records, then ends: as the step says.
    CutAfter { bytes: usize, end: Box<Step> },
    /// Plays these steps again and again, until the client closes.
    Repeat(Vec<Step>),
    /// Waits until the test opens the gate of this name.
    Gate(&'static str),
    /// Under TLS 1.3: takes new keys for what it sends from now on, and says so.
    NewKeys,
    /// Under TLS: says that no more will come, and leaves the connection open.
    CloseNotify,
    /// Ends its direction in good order: close_notify under TLS, then FIN.
    Close,
    /// Ends its direction with a FIN alone, also under TLS.
    Cut,
    /// Ends the connection with a reset.
    Reset,
}

/// The token of the good answers; it appears in no message, log line or server's words.
pub const TOKEN: &str = "0e2b6f14-5ad2-4c9e-b1f8-7a3c2d9e4f60";

/// An answer of which nobody could complain.
pub const GOOD: &str = concat!(
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 48\r\n\r\n",
    r#"{"token":"0e2b6f14-5ad2-4c9e-b1f8-7a3c2d9e4f60"}"#
);

pub fn send(bytes: impl AsRef<[u8]>) -> Step {
    Step::Send(bytes.as_ref().to_vec())
}

/// An answer with this status and body, and a Content-Length.
pub fn json_answer(status: u16, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Reads a request, sends this, and leaves the connection open: a client that waits for its end waits long.
pub fn whole(answer: impl AsRef<[u8]>) -> Script {
    vec![Step::Request, send(answer)]
}

/// Reads a request, sends this, and closes in good order.
pub fn closing(answer: impl AsRef<[u8]>) -> Script {
    then_closing(whole(answer))
}

pub fn then_closing(mut script: Script) -> Script {
    script.push(Step::Close);
    script
}

/// A good answer with this token.
pub fn token(token: &str) -> Vec<u8> {
    json_answer(200, format!(r#"{{"token":"{token}"}}"#))
}

/// Answers every request with this.
pub fn serve(answer: impl AsRef<[u8]>) -> Script {
    vec![Step::Repeat(whole(answer))]
}
