//! One request and its response over one connection. The connection can be reused only if the strict parser accepted the
//! response.

use crate::context::CallContext;
use crate::error::Phase;
use crate::http::connection::{Connection, Received, lost};
use crate::http::request::{RequestHead, decimal};
use crate::http::response::Response;
use crate::http::response_reader::{ParseError, ReadResult, ResponseReader, is_before_response};
use crate::http::transport_error::TransportError;
use crate::http::ureq_path;

/// A response, and the connection if it can carry another request.
pub struct Exchanged {
    pub response: Response,
    pub connection: Option<Box<Connection>>,
}

/// Sends a request and reads its response, with at most `limit` bytes of body.
pub fn exchange(
    call: &CallContext,
    mut connection: Box<Connection>,
    head: &RequestHead,
    body: &[u8],
    limit: usize,
) -> Result<Exchanged, TransportError> {
    let before = call.attempts();
    let mut number = [0; 20];
    let parts = [head.as_bytes(), decimal(body.len(), &mut number), b"\r\n\r\n", body];
    let outcome = connection.send(call, &parts, is_before_response);
    let sent = call.attempts() > before;
    // If the peer has closed the connection, it may have sent a response before that.
    let broken_pipe = match outcome {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(crate::sys::errno::describe(&error).into_owned()),
        Err(kind) => return Err(TransportError::new(kind, sent)),
    };
    call.set_phase(Phase::Receive);
    let mut reader = ResponseReader::default();
    loop {
        match reader.read(connection.input(), limit).map_err(ParseError::into_transport_error)? {
            ReadResult::NeedsInput => connection.consume(reader.take_consumed()),
            ReadResult::Complete(response) => {
                connection.consume(reader.position);
                let keep =
                    broken_pipe.is_none() && !reader.ambiguous_interim && connection.is_fully_consumed();
                return Ok(Exchanged { response, connection: keep.then_some(connection) });
            }
            ReadResult::CloseAfter(response) => return Ok(Exchanged { response, connection: None }),
            ReadResult::NotStrict => {
                connection.consume(reader.response_start);
                let response = match ureq_path::read(call, connection, limit) {
                    Ok(response) => response,
                    Err(error) => reader.finish_after_error(&[], error)?,
                };
                return Ok(Exchanged { response, connection: None });
            }
        }
        let kind = match connection.receive(call) {
            Ok(Received::Data) => continue,
            Ok(Received::Closed) => {
                lost(call, broken_pipe.unwrap_or_else(|| "the server closed it".to_owned()))
            }
            Ok(Received::Truncated) => lost(call, broken_pipe.unwrap_or_else(|| NO_CLOSE_NOTIFY.to_owned())),
            Ok(Received::Failed(why)) => lost(call, broken_pipe.unwrap_or(why)),
            Err(kind) => kind,
        };
        let no_response_bytes =
            connection.is_input_empty() && reader.interim_count == 0 && reader.head.is_none();
        let error = TransportError { no_response_bytes, ..TransportError::new(kind, sent) };
        let response = reader.finish_after_error(connection.input(), error)?;
        return Ok(Exchanged { response, connection: None });
    }
}

pub const NO_CLOSE_NOTIFY: &str = "the server closed it without TLS's close_notify";
