//! An incremental parser of responses, which accepts only framing without ambiguity. ureq parses other responses.

use std::collections::TryReserveError;

use crate::error::ErrorKind;
use crate::http::chunked::{self, Chunk, Chunked};
use crate::http::response::Response;
use crate::http::response_head::{Framing, Head, Parsed, end_of_head, has_bare_line_feed, parse};
use crate::http::transport_error::TransportError;
use crate::limits::{MAX_HEAD_BYTES, MAX_INTERIM_RESPONSES};
use crate::secret::Secret;

/// True if the input has at most interim responses and an incomplete head.
pub fn is_before_response(input: &[u8]) -> bool {
    let mut reader = ResponseReader::default();
    matches!(reader.read(input, usize::MAX), Ok(ReadResult::NeedsInput)) && reader.head.is_none()
}

/// Parses a response incrementally and looks at each byte once.
#[derive(Default)]
pub struct ResponseReader {
    /// The start of the final response, after the interim ones.
    pub response_start: usize,
    /// The input before this index was parsed.
    pub position: usize,
    pub interim_count: u32,
    /// A line of the head ends with a line feed alone.
    bare_line_feed: bool,
    /// The framing of an interim response is ambiguous.
    pub ambiguous_interim: bool,
    pub head: Option<Head>,
}

pub enum ReadResult {
    NeedsInput,
    Complete(Response),
    /// A response after which the connection must be closed.
    CloseAfter(Response),
    /// The framing is not strict: ureq reads the response.
    NotStrict,
}

impl ResponseReader {
    /// Parses more of a response. `input` begins with the bytes that were not consumed.
    pub fn read(&mut self, input: &[u8], limit: usize) -> Result<ReadResult, ParseError> {
        while self.head.is_none() {
            let response = input.get(self.response_start..).unwrap_or_default();
            // Lenient parsers skip empty lines before a response.
            let empty = response.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            // If the input does not begin like HTTP/1, it has no head to wait for.
            const BEGINNING: &[u8] = b"HTTP/1.";
            let first_line = response.get(empty..).unwrap_or_default();
            let known = first_line.len().min(BEGINNING.len());
            if first_line.get(..known) != BEGINNING.get(..known) {
                return Ok(ReadResult::NotStrict);
            }
            self.position = self.position.max(self.response_start + empty);
            self.bare_line_feed |= has_bare_line_feed(response.get(..empty).unwrap_or_default());
            let Some(end) = end_of_head(input, &mut self.position, &mut self.bare_line_feed) else {
                if response.len() > MAX_HEAD_BYTES {
                    return Err(ParseError::LargeHead);
                }
                return Ok(ReadResult::NeedsInput);
            };
            if end - self.response_start > MAX_HEAD_BYTES {
                return Err(ParseError::LargeHead);
            }
            let head = input.get(self.response_start..end).unwrap_or_default();
            match parse(head, end, std::mem::take(&mut self.bare_line_feed), limit)? {
                Parsed::NotStrict => return Ok(ReadResult::NotStrict),
                Parsed::Interim { is_strict } => {
                    self.ambiguous_interim |= !is_strict;
                    self.interim_count += 1;
                    if self.interim_count > MAX_INTERIM_RESPONSES {
                        return Err(ParseError::Interim);
                    }
                    self.response_start = end;
                    self.position = end;
                }
                Parsed::Head(head) => {
                    self.position = end;
                    self.head = Some(head);
                }
            }
        }
        self.read_body(input, limit)
    }

    fn read_body(&mut self, input: &[u8], limit: usize) -> Result<ReadResult, ParseError> {
        let Some(head) = &mut self.head else { return Ok(ReadResult::NeedsInput) };
        let (state, body) = match &mut head.framing {
            Framing::Ambiguous => return Ok(ReadResult::NotStrict),
            Framing::Length { from, length } => {
                let end = from.saturating_add(*length);
                return match input.get(*from..end) {
                    None => Ok(ReadResult::NeedsInput),
                    Some(_) if input.len() > end => Ok(ReadResult::NotStrict),
                    Some(bytes) => {
                        self.position = end;
                        let mut body = Secret::default();
                        body.try_extend(bytes)?;
                        Ok(ReadResult::Complete(head.response(body)))
                    }
                };
            }
            Framing::Chunked { state, body } => (state, body),
        };
        let is_success = head.status == 200;
        let decoded = match chunked::decode(input, &mut self.position, state, body, limit)? {
            Chunked::NeedsInput => return Ok(ReadResult::NeedsInput),
            Chunked::Invalid if is_success => return Err(ParseError::Framing),
            Chunked::TooLarge if is_success => return Err(ParseError::LargeBody { limit }),
            Chunked::LargeFraming if is_success => return Err(ParseError::LargeFraming),
            decoded => decoded,
        };
        let is_last_chunk_read = matches!(state, Chunk::End);
        let body = std::mem::take(body);
        let response = head.response(body);
        Ok(match decoded {
            Chunked::Complete if input.len() == self.position => ReadResult::Complete(response),
            Chunked::Complete => ReadResult::CloseAfter(response),
            // The status decides; the received part of the body gives the reason.
            Chunked::LargeFraming if is_last_chunk_read => ReadResult::CloseAfter(response),
            _ => ReadResult::CloseAfter(Response { is_truncated: true, ..response }),
        })
    }

    /// Returns the number of bytes at the start of the input that are no longer needed. A chunked body is decoded as it
    /// arrives, so its framing is not kept in memory.
    pub fn take_consumed(&mut self) -> usize {
        match &self.head {
            Some(Head { framing: Framing::Chunked { .. }, .. }) => std::mem::take(&mut self.position),
            _ => 0,
        }
    }

    /// Decides the result when a response ends early. A status other than 200 is returned as it is, also with an
    /// incomplete body. The exception is a response that this call's own deadline or cancel handle ended.
    pub fn finish_after_error(
        &mut self,
        input: &[u8],
        error: TransportError,
    ) -> Result<Response, TransportError> {
        let Some(head) = &mut self.head else { return Err(error) };
        // The last chunk and a part of the trailers arrived: the body is complete (RFC 9112, 8).
        if let Framing::Chunked { state: Chunk::End, body } = &mut head.framing {
            if error.is_peer_failure() && !matches!(input, [] | [b'\r']) {
                let body = std::mem::take(body);
                return Ok(head.response(body));
            }
        }
        if head.status == 200 || !error.is_peer_failure() {
            return Err(TransportError { status: head.status, retry_after: head.retry_after, ..error });
        }
        let body = match &mut head.framing {
            Framing::Length { from, .. } => {
                let mut body = Secret::default();
                // The body gives only the reason: if there is no memory for it, the status alone is returned.
                let _ = body.try_extend(input.get(*from..).unwrap_or_default());
                body
            }
            Framing::Chunked { body, .. } => std::mem::take(body),
            Framing::Ambiguous => Secret::default(),
        };
        Ok(head.truncated_response(body))
    }
}

/// The reason why parsing a response stops.
#[derive(Debug)]
pub enum ParseError {
    LargeHead,
    Interim,
    LargeBody {
        limit: usize,
    },
    /// For a status of 200 only; any other status is returned as it is.
    Framing,
    /// Same as [`ParseError::Framing`].
    LargeFraming,
    Memory(TryReserveError),
}

impl From<TryReserveError> for ParseError {
    fn from(full: TryReserveError) -> ParseError {
        ParseError::Memory(full)
    }
}

impl ParseError {
    pub fn into_transport_error(self) -> TransportError {
        let (kind, status) = match self {
            ParseError::LargeHead => (
                ErrorKind::TooLarge(
                    "The header of the response is larger than 65536 bytes or 100 fields".into(),
                ),
                0,
            ),
            ParseError::Interim => {
                (ErrorKind::TooLarge("The server sent more than 16 interim responses".into()), 0)
            }
            ParseError::LargeBody { limit } => {
                (ErrorKind::TooLarge(format!("The response is larger than {limit} bytes").into()), 200)
            }
            ParseError::Framing => (ErrorKind::Malformed(INVALID_FRAMING.into()), 200),
            ParseError::LargeFraming => (ErrorKind::TooLarge(LARGE_FRAMING.into()), 200),
            ParseError::Memory(full) => (full.into(), 0),
        };
        TransportError { status, ..TransportError::after_request(kind) }
    }
}

pub const LARGE_FRAMING: &str = "The chunk sizes or trailers of the response are too large";
pub const INVALID_FRAMING: &str = "The response has status 200, but its body has broken framing";

/// The error for a successful response whose body exceeds the limit.
pub fn body_too_large(limit: usize) -> TransportError {
    ParseError::LargeBody { limit }.into_transport_error()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{MAX_CHUNK_LINE, MAX_FIELDS, MAX_TRAILER_BYTES};

    /// Parses `input` byte by byte; returns the body, or how parsing ended.
    fn read(input: &[u8]) -> Result<String, &'static str> {
        let (mut reader, mut from) = (ResponseReader::default(), 0);
        for end in 0..=input.len() {
            // The input holds at most one line of a chunked body, or its trailers.
            from += reader.take_consumed();
            match reader.read(&input[from..end], 1 << 10) {
                Err(_) => return Err("too large"),
                Ok(ReadResult::NotStrict) => return Err("not strict"),
                Ok(ReadResult::Complete(response) | ReadResult::CloseAfter(response))
                    if end == input.len() =>
                {
                    return Ok(format!("{} {}", response.status, String::from_utf8_lossy(&response.body)));
                }
                Ok(ReadResult::Complete(_) | ReadResult::CloseAfter(_)) => return Err("complete too early"),
                Ok(ReadResult::NeedsInput) => {}
            }
        }
        Err("needs input")
    }

    #[test]
    fn strict_response_is_parsed_at_any_split() {
        assert_eq!(read(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").unwrap(), "200 hi");
        assert_eq!(
            read(b"HTTP/1.1 403 \r\ncontent-length: 0\r\nConnection: Keep-Alive\r\n\r\n").unwrap(),
            "403 "
        );
        assert_eq!(
            read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n00a\r\n0123456789\r\n0\r\n\r\n").unwrap(),
            "200 h0123456789"
        );
        assert_eq!(
            read(b"HTTP/1.1 103 X\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap(),
            "200 "
        );
    }

    #[test]
    fn ambiguous_framing_is_not_strict() {
        for ambiguous in [
            &b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"[..],
            b"HTTP/2 200 OK\r\n\r\n",
            b"SSH-2.0-x\r\n",
            b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
            b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\n\n",
            b"HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 101 Sw\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
            b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\nx",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nUpgrade: h2c\r\n\r\nx",
        ] {
            assert_eq!(read(ambiguous), Err("not strict"), "{}", String::from_utf8_lossy(ambiguous));
        }
        // Bytes after the body that arrive with it.
        let longer = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxy";
        assert!(matches!(ResponseReader::default().read(longer, 1024), Ok(ReadResult::NotStrict)));
    }

    #[test]
    fn chunked_body_is_decoded_or_refused() {
        let head = |status: u16| format!("HTTP/1.1 {status} X\r\nTransfer-Encoding: chunked\r\n\r\n");
        let fields = |count: usize| format!("1\r\nx\r\n0\r\n{}\r\n", "X: y\r\n".repeat(count));
        let trailer = |bytes: usize| format!("1\r\nx\r\n0\r\nX: {}\r\n\r\n", "y".repeat(bytes - 7));
        let extension = |bytes: usize| format!("1;{}\r\nx\r\n0\r\n\r\n", "y".repeat(bytes - 4));
        for good in [
            "1\r\nx\r\n0\r\n\r\n".to_owned(),
            "0000000000000001\r\nx\r\n0\r\n\r\n".to_owned(),
            "1;a=b;c=\"d\"\r\nx\r\n0;e\r\n\r\n".to_owned(),
            "1 ; a\r\nx\r\n0\r\n\r\n".to_owned(),
            "1\r\nx\r\n0\r\nX: y\r\nZ:\r\n\r\n".to_owned(),
            fields(MAX_FIELDS),
            trailer(MAX_TRAILER_BYTES),
            extension(MAX_CHUNK_LINE),
        ] {
            assert_eq!(read(format!("{}{good}", head(200)).as_bytes()).unwrap(), "200 x", "{good}");
        }
        for bad in [
            "+1\r\nx\r\n0\r\n\r\n".to_owned(),
            " 1\r\nx\r\n0\r\n\r\n".to_owned(),
            "\r\nx\r\n0\r\n\r\n".to_owned(),
            ";a\r\nx\r\n0\r\n\r\n".to_owned(),
            "1\nx\r\n0\r\n\r\n".to_owned(),
            "1;\n2\r\nx\r\n0\r\n\r\n".to_owned(),
            "1 1\r\nx\r\n0\r\n\r\n".to_owned(),
            "1\r\nxy\r\n0\r\n\r\n".to_owned(),
            "1\r\nx\n0\r\n\r\n".to_owned(),
            "1\r\nx\r\n0\r\n\n".to_owned(),
            "1\r\nx\r\n0\r\nX: y\n\r\n".to_owned(),
            "1\r\nx\r\n0\r\nX y\r\n\r\n".to_owned(),
            "00000000000000001\r\nx\r\n0\r\n\r\n".to_owned(),
            fields(MAX_FIELDS + 1),
            trailer(MAX_TRAILER_BYTES + 1),
            extension(MAX_CHUNK_LINE + 1),
        ] {
            assert!(matches!(read(format!("{}{bad}", head(200)).as_bytes()), Err("too large")), "{bad}");
            // A status other than 200 is returned with the received part of the body.
            let refused = format!("{}{bad}", head(403));
            let read = ResponseReader::default().read(refused.as_bytes(), 1024);
            assert!(matches!(read, Ok(ReadResult::CloseAfter(response)) if response.status == 403), "{bad}");
        }
        // A body is marked as cut if its own framing cuts it.
        for (long, cut) in [(extension(MAX_CHUNK_LINE + 1), true), (trailer(MAX_TRAILER_BYTES + 1), false)] {
            let refused = format!("{}{long}", head(403));
            let read = ResponseReader::default().read(refused.as_bytes(), 1024);
            assert!(matches!(read, Ok(ReadResult::CloseAfter(response)) if response.is_truncated == cut));
        }
        // Bytes after the body only prevent reuse of the connection.
        let more = format!("{}1\r\nx\r\n0\r\n\r\nX", head(200));
        assert!(
            matches!(ResponseReader::default().read(more.as_bytes(), 1024), Ok(ReadResult::CloseAfter(response)) if response.status == 200)
        );
    }

    #[test]
    fn largest_content_length_does_not_overflow() {
        let head = format!("HTTP/1.1 413 X\r\nContent-Length: {}\r\n\r\n", u64::MAX);
        assert!(!is_before_response(head.as_bytes()));
    }

    #[test]
    fn start_of_the_response_is_detected() {
        let interim = "HTTP/1.1 100 Continue\r\n\r\n";
        for none in ["", "H", "HTTP/1.1 1", "HTTP/1.1 413 X\r\n", interim, &interim.repeat(16)] {
            assert!(is_before_response(none.as_bytes()), "{none}");
            assert!(is_before_response(format!("{interim}{none}").as_bytes()) || none.len() > 100, "{none}");
        }
        for response in [
            "HTTP/1.1 413 X\r\nContent-Length: 3\r\n\r\nno",
            "HTTP/1.1 413 X\r\nContent-Length: 2\r\n\r\nno",
            "HTTP/1.1 413 X\r\n\r\n",
            "HTTP/1.1 413 X\r\nTransfer-Encoding: chunked\r\n\r\n",
            "SSH-2.0",
            &interim.repeat(17),
        ] {
            assert!(!is_before_response(response.as_bytes()), "{response}");
            assert!(!is_before_response(format!("{interim}{response}").as_bytes()), "{response}");
        }
    }

    #[test]
    fn fields_are_found_by_name() {
        let response = b"HTTP/1.1 200 OK\r\nX-Content-Type: no number\r\nX-Forwarded: 7\r\nVary: x\r\n\
            retry-after: Wed, 21 Oct 2015 07:29:30 GMT\r\ndate: Wed, 21 Oct 2015 07:28:00 GMT\r\n\
            content-length: 0\r\n\r\n";
        let Ok(ReadResult::Complete(response)) = ResponseReader::default().read(response, 1024) else {
            panic!("not read")
        };
        assert_eq!(response.retry_after, Some(90));
    }

    #[test]
    fn limits_are_exact() {
        assert_eq!(read(b"HTTP/1.1 200 OK\r\nContent-Length: 1025\r\n\r\n"), Err("too large"));
        assert_eq!(read(b"HTTP/1.1 500 OK\r\nContent-Length: 1025\r\n\r\n"), Err("not strict"));
        assert_eq!(read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n401\r\n"), Err("too large"));
        let refusal = b"HTTP/1.1 500 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n400\r\n";
        assert_eq!(read(refusal).unwrap(), "500 hi");
        let fields = |count: usize| {
            [&b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"[..], &b"a: b\r\n".repeat(count - 1), b"\r\n"]
                .concat()
        };
        assert_eq!(read(&fields(100)).unwrap(), "200 ");
        assert_eq!(read(&fields(101)), Err("too large"));
        let interim = |count: usize| {
            [&b"HTTP/1.1 100 C\r\n\r\n".repeat(count)[..], b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]
                .concat()
        };
        assert_eq!(read(&interim(16)).unwrap(), "200 ");
        assert_eq!(read(&interim(17)), Err("too large"));
        let head = |bytes: usize| {
            let fixed = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\na: \r\n\r\n".len();
            [
                b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\na: ".as_slice(),
                &b"x".repeat(bytes - fixed),
                b"\r\n\r\n",
            ]
            .concat()
        };
        assert_eq!(read(&head(MAX_HEAD_BYTES)).unwrap(), "200 ");
        assert_eq!(read(&head(MAX_HEAD_BYTES + 1)), Err("too large"));
        let after_another = [&b"HTTP/1.1 100 C\r\n\r\n"[..], &head(MAX_HEAD_BYTES)].concat();
        assert!(matches!(ResponseReader::default().read(&after_another, 1024), Ok(ReadResult::Complete(_))));
        let unended = head(MAX_HEAD_BYTES + 4);
        assert!(matches!(
            ResponseReader::default().read(&unended[..MAX_HEAD_BYTES], 1024),
            Ok(ReadResult::NeedsInput)
        ));
        assert!(matches!(
            ResponseReader::default().read(&unended[..=MAX_HEAD_BYTES], 1024),
            Err(ParseError::LargeHead)
        ));
    }
}
