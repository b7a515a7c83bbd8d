//! For any response the reader returns it or an error: no panic, no endless wait, never more than the limit. The result
//! does not depend on how the response is segmented.

use std::sync::LazyLock;

use couchdrop::error::cd_code::{self, *};
use couchdrop::http::fast_path::exchange;
use couchdrop::http::request::RequestHead;
use couchdrop::http::response::Response;
use couchdrop::http::transport_error::TransportError;
use couchdrop::login::{Credentials, request, response};
use couchdrop::secret::Secret;
use couchdrop::url::BaseUrl;

use super::script::{Piece, Script, joined};
use super::scripted_peer::{self, Ending, ScriptedPeer};
use super::{PASSWORD, body, lockstep};

pub fn holds(input: &[u8]) {
    let script = Script::read(input);
    let (ending, limit) = (Ending::of(script.flags), limit(&script));
    let pieces = script.into_pieces();
    let whole = Piece { bytes: joined(&pieces), past_tls: false };
    let cut = read(pieces, ending, limit);
    cut.agrees_with(&read(vec![whole], ending, limit));
    cut.is_sensible(&[]);
}

/// The limits that a script may choose.
pub fn limit(script: &Script) -> usize {
    if script.flag(2) { 64 << 10 } else { 1 << 10 }
}

/// The result of a request.
#[derive(Debug, PartialEq, Eq)]
pub struct Read {
    pub done: Result<Whole, Failed>,
    /// True if the connection may serve the next request.
    pub kept: bool,
    limit: usize,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Whole {
    pub status: u16,
    pub body: Vec<u8>,
    pub retry_after: Option<i64>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Failed {
    pub code: cd_code,
    pub status: u16,
    no_response_bytes: bool,
}

/// Sends a request to a peer that sends these pieces.
pub fn read(pieces: Vec<Piece>, ending: Ending, limit: usize) -> Read {
    let silent = pieces.iter().all(|piece| piece.bytes.is_empty());
    let (connection, mut peer) = scripted_peer::connected(pieces, ending);
    let done = lockstep::run(&mut peer, |call| exchange(call, connection, &REQUEST.0, &REQUEST.1, limit));
    check_request(&peer, ending);
    let kept = matches!(&done, Ok(exchanged) if exchanged.connection.is_some());
    let read = Read::new(done.map(|exchanged| exchanged.response), kept, limit);
    if let Err(failed) = &read.done {
        assert!(!failed.no_response_bytes || silent, "a login would be sent twice: {failed:?}");
    }
    read
}

/// The head and body of the request, always a form.
pub static REQUEST: LazyLock<(RequestHead, Secret)> = LazyLock::new(|| {
    let base = BaseUrl::parse("http://127.0.0.1:1").expect("a base URL");
    let head = RequestHead::new(&base, "/authenticate", "application/x-www-form-urlencoded", "fuzzing/1");
    (head, request::form(&Credentials { username: "ada", password: PASSWORD, system: None }))
});

fn check_request(peer: &ScriptedPeer, ending: Ending) {
    if ending == Ending::Reset {
        return; // the peer does not read
    }
    let received = String::from_utf8_lossy(&peer.received);
    assert!(
        received.is_empty() || received.starts_with("POST /authenticate HTTP/1.1\r\nHost: 127.0.0.1:1\r\n")
    );
    assert!(received.is_empty() || peer.received.ends_with(&[b"\r\n\r\n", &REQUEST.1[..]].concat()));
}

impl Read {
    pub fn new(done: Result<Response, TransportError>, kept: bool, limit: usize) -> Read {
        let done = match done {
            Ok(response) => Ok(Whole {
                status: response.status,
                body: response.body.to_vec(),
                retry_after: response.retry_after,
            }),
            Err(broken) => {
                assert!(!broken.kind.to_string().contains(super::UNMISTAKABLE));
                Err(Failed {
                    code: broken.kind.code(),
                    status: broken.status,
                    no_response_bytes: broken.no_response_bytes,
                })
            }
        };
        Read { done, kept, limit }
    }

    /// Checks that the same bytes in other segments gave the same result. If the body of a refusal is truncated or
    /// unreadable, more or less of it may have been read.
    pub fn agrees_with(&self, other: &Read) {
        match (&self.done, &other.done) {
            (Ok(one), Ok(other)) if one.status != 200 => {
                assert_eq!((one.status, &one.retry_after), (other.status, &other.retry_after));
                let (short, long) =
                    if one.body.len() < other.body.len() { (one, other) } else { (other, one) };
                assert!(long.body.starts_with(&short.body), "{one:?}, {other:?}");
            }
            (one, other) => assert_eq!(one, other, "other segmentation"),
        }
    }

    /// Checks the properties of any response. `others` are permitted codes in addition to the usual ones.
    pub fn is_sensible(&self, others: &[cd_code]) {
        match &self.done {
            Ok(whole) => {
                assert!((100..1000).contains(&whole.status), "{}", whole.status);
                assert!(whole.body.len() <= self.limit, "{} bytes", whole.body.len());
                if whole.status == 200 {
                    body::check_token(response::token(&whole.body));
                } else {
                    body::check_message(&whole.body, PASSWORD);
                }
            }
            Err(failed) => {
                let usual = [CD_ERR_CONNECTION_LOST, CD_ERR_MALFORMED_RESPONSE, CD_ERR_RESPONSE_TOO_LARGE];
                assert!(usual.contains(&failed.code) || others.contains(&failed.code), "{failed:?}");
            }
        }
    }
}
