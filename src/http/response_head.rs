//! The head of a response (RFC 9112, 4 to 6).

use memchr::{memchr, memchr_iter};

use crate::http::chunked::Chunk;
use crate::http::response::Response;
use crate::http::response_reader::ParseError;
use crate::limits::MAX_FIELDS;
use crate::retry_after;
use crate::secret::Secret;

pub struct Head {
    pub status: u16,
    pub framing: Framing,
    pub retry_after: Option<i64>,
}

pub enum Framing {
    Length {
        from: usize,
        length: usize,
    },
    Chunked {
        state: Chunk,
        body: Secret,
    },
    /// ureq decides.
    Ambiguous,
}

impl Head {
    pub fn response(&mut self, body: Secret) -> Response {
        Response {
            status: self.status,
            body,
            is_truncated: false,
            missing_close_notify: None,
            retry_after: self.retry_after.take(),
        }
    }

    pub fn truncated_response(&mut self, body: Secret) -> Response {
        Response { is_truncated: true, ..self.response(body) }
    }
}

/// Finds the end of the head, after the first empty line. Looks at each byte once, and sets `bare` if a line ends with
/// a line feed alone.
pub fn end_of_head(input: &[u8], at: &mut usize, bare: &mut bool) -> Option<usize> {
    loop {
        let rest = input.get(*at..)?;
        let Some(newline) = memchr(b'\n', rest) else {
            *at = input.len();
            return None;
        };
        let newline_at = *at + newline;
        *bare |= newline_at.checked_sub(1).and_then(|before| input.get(before)) != Some(&b'\r');
        match rest.get(newline + 1..)? {
            [b'\n', ..] => {
                *bare = true;
                return Some(*at + newline + 2);
            }
            [b'\r', b'\n', ..] => return Some(*at + newline + 3),
            [] | [b'\r'] => {
                *at += newline;
                return None;
            }
            _ => *at += newline + 1,
        }
    }
}

pub enum Parsed {
    Head(Head),
    Interim { is_strict: bool },
    NotStrict,
}

/// Parses a head that ends before `end`. Its framing is clear if no parser could interpret it differently.
pub fn parse(head: &[u8], end: usize, bare_line_feed: bool, limit: usize) -> Result<Parsed, ParseError> {
    let mut fields = [const { std::mem::MaybeUninit::uninit() }; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut []);
    let parser = httparse::ParserConfig::default();
    match parser.parse_response_with_uninit_headers(&mut response, head, &mut fields) {
        Ok(httparse::Status::Complete(length)) if length == head.len() => {}
        Err(httparse::Error::TooManyHeaders) => return Err(ParseError::LargeHead),
        // An invalid field does not hide the status.
        _ => {
            return Ok(match status_of(head) {
                Some(100 | 102..=199) => Parsed::Interim { is_strict: false },
                Some(status) => Parsed::Head(Head { status, framing: Framing::Ambiguous, retry_after: None }),
                None => Parsed::NotStrict,
            });
        }
    }
    let status = response.code.unwrap_or(0);
    match status {
        0..=99 => return Ok(Parsed::NotStrict), // not a status
        100 | 102..=199 => {
            let frames = |name: &str| {
                eq_ignore_case(name.as_bytes(), b"Content-Length")
                    || eq_ignore_case(name.as_bytes(), b"Transfer-Encoding")
            };
            let is_strict = response.version == Some(1)
                && !bare_line_feed
                && !response.headers.iter().any(|field| frames(field.name));
            return Ok(Parsed::Interim { is_strict });
        }
        _ => {}
    }
    let mut ambiguous = response.version != Some(1)
        || matches!(status, 101 | 204 | 304)
        || bare_line_feed
        || !head.starts_with(b"HTTP/");
    let (mut length, mut chunked) = (None, false);
    let (mut delay, mut date) = (None, None);
    for field in response.headers.iter() {
        let is = |name: &str| eq_ignore_case(field.name.as_bytes(), name.as_bytes());
        match field.name.len() {
            14 if is("Content-Length") => {
                ambiguous |= length.is_some();
                length = parse_content_length(field.value);
                ambiguous |= length.is_none();
            }
            17 if is("Transfer-Encoding") => {
                ambiguous |= chunked || !eq_ignore_case(field.value, b"chunked");
                chunked = true;
            }
            10 if is("Connection") => ambiguous |= !eq_ignore_case(field.value, b"keep-alive"),
            7 if is("Upgrade") => ambiguous = true,
            11 if is("Retry-After") => delay = delay.or(Some(field.value)),
            4 if is("Date") => date = date.or(Some(field.value)),
            _ => {}
        }
    }
    let framing = match (length, chunked) {
        _ if ambiguous => Framing::Ambiguous,
        (Some(length), false) if length <= limit => Framing::Length { from: end, length },
        (Some(_), false) if status == 200 => return Err(ParseError::LargeBody { limit }),
        (None, true) => Framing::Chunked { state: Chunk::Size, body: Secret::default() },
        _ => Framing::Ambiguous,
    };
    let retry_after = delay.and_then(|delay| retry_after::seconds(delay, date));
    Ok(Parsed::Head(Head { status, framing, retry_after }))
}

/// ASCII case-insensitive comparison, with a fast path for the usual spelling.
fn eq_ignore_case(word: &[u8], usual: &[u8]) -> bool {
    word == usual || word.eq_ignore_ascii_case(usual)
}

/// The status in the first line of a head, also if other lines are invalid.
pub fn status_of(head: &[u8]) -> Option<u16> {
    let line = head.trim_ascii_start().strip_prefix(b"HTTP/1.")?;
    match line {
        [b'0' | b'1', b' ', a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', b' ' | b'\r' | b'\n', ..] => {
            Some([a, b, c].into_iter().fold(0, |number, digit| number * 10 + u16::from(digit - b'0')))
        }
        _ => None,
    }
}

pub fn has_bare_line_feed(head: &[u8]) -> bool {
    memchr_iter(b'\n', head).any(|at| at.checked_sub(1).and_then(|before| head.get(before)) != Some(&b'\r'))
}

/// A number of ASCII digits that fits into 64 bits. A value that exceeds usize becomes usize::MAX.
fn parse_content_length(text: &[u8]) -> Option<usize> {
    let first = text.first().map(|_| 0u64);
    let number = text.iter().try_fold(first?, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })?;
    Some(usize::try_from(number).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_ends_after_the_first_empty_line() {
        for (head, from, end) in [
            (&b"a: b\r\n\r\nx"[..], 0, Some(8)),
            (b"a: b\r\nc\r\n\r\nx", 3, Some(11)),
            (b"a: b\n\nx", 0, Some(6)),
            (b"a: b\nc\n\nx", 3, Some(8)),
            (b"a: b\r\n\r", 0, None),
        ] {
            let mut bare = false;
            assert_eq!(end_of_head(head, &mut { from }, &mut bare), end, "{}", String::from_utf8_lossy(head));
            assert_eq!(bare, has_bare_line_feed(&head[from..]), "{}", String::from_utf8_lossy(head));
        }
    }
}
