//! One request and its response over one connection, with a strict parser. ureq parses responses that are not strict. A
//! connection is reused only if the strict parser accepted its response.

use std::collections::TryReserveError;

use memchr::{memchr, memchr_iter};

use crate::call::Call;
use crate::failure::{Failure, Phase};
use crate::retry_after;
use crate::secret::Secret;
use crate::url::BaseUrl;
use crate::wire::connection::{Connection, Received, lost};
use crate::wire::{Answer, Broken, through_ureq};

pub const MOST_HEAD_BYTES: usize = 64 << 10;
pub const MOST_FIELDS: usize = 100;
const MOST_INTERIM: u32 = 16;
/// The maximum length of a line with a chunk's size, extensions included.
const MAX_CHUNK_LINE: usize = 4 << 10;
/// The maximum number of digits whose value fits into 64 bits.
const MAX_CHUNK_DIGITS: usize = 16;
const MAX_TRAILER_BYTES: usize = 8 << 10;

/// The head of a request up to the value of Content-Length, prepared once.
pub struct RequestHead(Vec<u8>);

impl RequestHead {
    pub fn new(base: &BaseUrl, path: &str, content_type: &str, user_agent: &str) -> RequestHead {
        let (prefix, host) = (&base.prefix, base.authority());
        let head = format!(
            "POST {prefix}{path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {user_agent}\r\nAccept: application/json\r\n\
             Content-Type: {content_type}\r\nContent-Length: "
        );
        RequestHead(head.into_bytes())
    }
}

/// A response, and the connection if it can carry another request.
pub struct Exchanged {
    pub answer: Answer,
    pub connection: Option<Box<Connection>>,
}

/// Sends a request and reads its response, with at most `limit` bytes of body.
pub fn exchange(
    call: &Call,
    mut connection: Box<Connection>,
    head: &RequestHead,
    body: &[u8],
    limit: usize,
) -> Result<Exchanged, Broken> {
    let before = call.attempts();
    let mut number = [0; 20];
    let parts = [&head.0, decimal(body.len(), &mut number), b"\r\n\r\n", body];
    let outcome = connection.send(call, &parts, is_no_answer);
    let sent = call.attempts() > before;
    // If the peer has closed the connection, it may have sent a response before that.
    let broken_pipe = match outcome {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(crate::errno::describe(&error).into_owned()),
        Err(failure) => return Err(Broken::new(failure, sent)),
    };
    call.enter(Phase::Receive);
    let mut reader = Reader::default();
    loop {
        match reader.read(connection.input(), limit).map_err(Unreadable::into_broken)? {
            Read::More => connection.consume(reader.take_done()),
            Read::Whole(answer) => {
                connection.consume(reader.at);
                let keep = broken_pipe.is_none() && !reader.unclear_interim && connection.is_spent();
                return Ok(Exchanged { answer, connection: keep.then_some(connection) });
            }
            Read::Cut(answer) => return Ok(Exchanged { answer, connection: None }),
            Read::Odd => {
                connection.consume(reader.start);
                let answer = match through_ureq::read(call, connection, limit) {
                    Ok(answer) => answer,
                    Err(broken) => reader.settle(&[], broken)?,
                };
                return Ok(Exchanged { answer, connection: None });
            }
        }
        let failure = match connection.receive(call) {
            Ok(Received::Data) => continue,
            Ok(Received::Closed) => {
                lost(call, broken_pipe.unwrap_or_else(|| "the server closed it".to_owned()))
            }
            Ok(Received::Truncated) => lost(call, broken_pipe.unwrap_or_else(|| NO_CLOSE_NOTIFY.to_owned())),
            Ok(Received::Broken(why)) => lost(call, broken_pipe.unwrap_or(why)),
            Err(failure) => failure,
        };
        let before_answer = connection.has_nothing() && reader.interim == 0 && reader.head.is_none();
        let broken = Broken { before_answer, ..Broken::new(failure, sent) };
        let answer = reader.settle(connection.input(), broken)?;
        return Ok(Exchanged { answer, connection: None });
    }
}

pub const NO_CLOSE_NOTIFY: &str = "the server closed it without TLS's close_notify";

/// True if the input has at most interim responses and an incomplete head.
fn is_no_answer(input: &[u8]) -> bool {
    let mut reader = Reader::default();
    matches!(reader.read(input, usize::MAX), Ok(Read::More)) && reader.head.is_none()
}

/// Parses a response incrementally and looks at each byte once.
#[derive(Default)]
struct Reader {
    /// The start of the final response, after the interim ones.
    start: usize,
    /// The input before this index was parsed.
    at: usize,
    interim: u32,
    /// A line of the head ends with a line feed alone.
    bare_newline: bool,
    /// The framing of an interim response is ambiguous.
    unclear_interim: bool,
    head: Option<Head>,
}

struct Head {
    status: u16,
    framing: Framing,
    retry_after: Option<i64>,
}

enum Framing {
    Length {
        from: usize,
        length: usize,
    },
    Chunked {
        state: Chunk,
        body: Secret,
    },
    /// ureq decides.
    Unclear,
}

enum Chunk {
    Size,
    Data { left: usize },
    End,
}

enum Read {
    More,
    Whole(Answer),
    /// A response whose rest is not read.
    Cut(Answer),
    /// Not strict: for ureq.
    Odd,
}

impl Reader {
    fn read(&mut self, input: &[u8], limit: usize) -> Result<Read, Unreadable> {
        loop {
            if let Some(head) = &mut self.head {
                return Ok(match &mut head.framing {
                    Framing::Unclear => Read::Odd,
                    Framing::Length { from, length } => {
                        let (from, until) = (*from, from.saturating_add(*length));
                        match input.get(from..until) {
                            None => Read::More,
                            Some(_) if input.len() > until => Read::Odd,
                            Some(bytes) => {
                                self.at = until;
                                let mut body = Secret::default();
                                body.try_extend(bytes)?;
                                Read::Whole(head.answer(body))
                            }
                        }
                    }
                    Framing::Chunked { state, body } => {
                        match chunked(input, &mut self.at, state, body, limit)? {
                            Chunked::More => Read::More,
                            Chunked::Broken if head.status == 200 => return Err(Unreadable::Framing),
                            Chunked::TooLarge if head.status == 200 => {
                                return Err(Unreadable::LargeBody { limit });
                            }
                            // The status decides; the received part of the body gives the reason.
                            Chunked::TooLarge | Chunked::Broken => {
                                let body = std::mem::take(body);
                                Read::Cut(head.cut_answer(body))
                            }
                            Chunked::LargeFraming if head.status == 200 => {
                                return Err(Unreadable::LargeFraming);
                            }
                            Chunked::LargeFraming => {
                                let cut = !matches!(state, Chunk::End);
                                let body = std::mem::take(body);
                                Read::Cut(Answer { cut, ..head.answer(body) })
                            }
                            Chunked::Whole => {
                                let body = std::mem::take(body);
                                let answer = head.answer(body);
                                if input.len() > self.at { Read::Cut(answer) } else { Read::Whole(answer) }
                            }
                        }
                    }
                });
            }
            let answer = input.get(self.start..).unwrap_or_default();
            // Lenient parsers skip empty lines before a response.
            let empty = answer.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            // If the input does not begin like HTTP/1, it has no head to wait for.
            const BEGINNING: &[u8] = b"HTTP/1.";
            let first_line = answer.get(empty..).unwrap_or_default();
            let known = first_line.len().min(BEGINNING.len());
            if first_line.get(..known) != BEGINNING.get(..known) {
                return Ok(Read::Odd);
            }
            self.at = self.at.max(self.start + empty);
            self.bare_newline |= has_bare_newline(answer.get(..empty).unwrap_or_default());
            let Some(end) = end_of_head(input, &mut self.at, &mut self.bare_newline) else {
                if answer.len() > MOST_HEAD_BYTES {
                    return Err(Unreadable::LargeHead);
                }
                return Ok(Read::More);
            };
            if end - self.start > MOST_HEAD_BYTES {
                return Err(Unreadable::LargeHead);
            }
            let head = input.get(self.start..end).unwrap_or_default();
            match parse(head, end, std::mem::take(&mut self.bare_newline), limit)? {
                Parsed::Odd => return Ok(Read::Odd),
                Parsed::Interim { clear } => {
                    self.unclear_interim |= !clear;
                    self.interim += 1;
                    if self.interim > MOST_INTERIM {
                        return Err(Unreadable::Interim);
                    }
                    self.start = end;
                    self.at = end;
                }
                Parsed::Head(head) => {
                    self.at = end;
                    self.head = Some(head);
                }
            }
        }
    }

    /// Returns the number of bytes at the start of the input that are no longer needed. A chunked body is decoded as it
    /// arrives, so its framing is not kept in memory.
    fn take_done(&mut self) -> usize {
        match &self.head {
            Some(Head { framing: Framing::Chunked { .. }, .. }) => std::mem::take(&mut self.at),
            _ => 0,
        }
    }

    /// Decides the result when a response breaks off. A status other than 200 is returned as it is, also with an
    /// incomplete body. The exception is a response that this call's own deadline or cancel handle ended.
    fn settle(&mut self, input: &[u8], broken: Broken) -> Result<Answer, Broken> {
        let Some(head) = &mut self.head else { return Err(broken) };
        // The last chunk and a part of the trailers arrived: the body is complete (RFC 9112, 8).
        if let Framing::Chunked { state: Chunk::End, body } = &mut head.framing {
            if broken.cut_short() && !matches!(input, [] | [b'\r']) {
                let body = std::mem::take(body);
                return Ok(head.answer(body));
            }
        }
        if head.status == 200 || !broken.cut_short() {
            return Err(Broken { status: head.status, ..broken });
        }
        let body = match &mut head.framing {
            Framing::Length { from, .. } => {
                let mut body = Secret::default();
                // The body gives only the reason: if there is no memory for it, the status alone is returned.
                let _ = body.try_extend(input.get(*from..).unwrap_or_default());
                body
            }
            Framing::Chunked { body, .. } => std::mem::take(body),
            Framing::Unclear => Secret::default(),
        };
        Ok(head.cut_answer(body))
    }
}

impl Head {
    fn answer(&mut self, body: Secret) -> Answer {
        Answer {
            status: self.status,
            body,
            cut: false,
            truncated: None,
            retry_after: self.retry_after.take(),
        }
    }

    fn cut_answer(&mut self, body: Secret) -> Answer {
        Answer { cut: true, ..self.answer(body) }
    }
}

/// The reason why parsing a response stops.
#[derive(Debug)]
enum Unreadable {
    LargeHead,
    Interim,
    LargeBody {
        limit: usize,
    },
    /// For a status of 200 only; any other status is returned as it is.
    Framing,
    /// Same as [`Unreadable::Framing`].
    LargeFraming,
    Memory(TryReserveError),
}

impl From<TryReserveError> for Unreadable {
    fn from(full: TryReserveError) -> Unreadable {
        Unreadable::Memory(full)
    }
}

impl Unreadable {
    fn into_broken(self) -> Broken {
        let (failure, status) = match self {
            Unreadable::LargeHead => (
                Failure::TooLarge(
                    "The header of the response is larger than 65536 bytes or 100 fields".into(),
                ),
                0,
            ),
            Unreadable::Interim => {
                (Failure::TooLarge("The server sent more than 16 interim responses".into()), 0)
            }
            Unreadable::LargeBody { limit } => {
                (Failure::TooLarge(format!("The response is larger than {limit} bytes").into()), 200)
            }
            Unreadable::Framing => (Failure::Malformed(BROKEN_FRAMING.into()), 200),
            Unreadable::LargeFraming => (Failure::TooLarge(LARGE_FRAMING.into()), 200),
            Unreadable::Memory(full) => (full.into(), 0),
        };
        Broken { status, ..Broken::sent(failure) }
    }
}

pub const LARGE_FRAMING: &str = "The chunk sizes or trailers of the response are too large";
pub const BROKEN_FRAMING: &str = "The response has status 200, but its body has broken framing";

/// The error for a successful response whose body exceeds the limit.
pub fn too_large_a_body(limit: usize) -> Broken {
    Unreadable::LargeBody { limit }.into_broken()
}

/// Finds the end of the head, after the first empty line. Looks at each byte once, and sets `bare` if a line ends with
/// a line feed alone.
fn end_of_head(input: &[u8], at: &mut usize, bare: &mut bool) -> Option<usize> {
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

enum Parsed {
    Head(Head),
    Interim { clear: bool },
    Odd,
}

/// Parses a head that ends before `end`. Its framing is clear if no parser could interpret it differently.
fn parse(head: &[u8], end: usize, bare_newline: bool, limit: usize) -> Result<Parsed, Unreadable> {
    let mut fields = [const { std::mem::MaybeUninit::uninit() }; MOST_FIELDS];
    let mut response = httparse::Response::new(&mut []);
    let parser = httparse::ParserConfig::default();
    match parser.parse_response_with_uninit_headers(&mut response, head, &mut fields) {
        Ok(httparse::Status::Complete(length)) if length == head.len() => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Unreadable::LargeHead),
        // An invalid field does not hide the status.
        _ => {
            return Ok(match status_of(head) {
                Some(100 | 102..=199) => Parsed::Interim { clear: false },
                Some(status) => Parsed::Head(Head { status, framing: Framing::Unclear, retry_after: None }),
                None => Parsed::Odd,
            });
        }
    }
    let status = response.code.unwrap_or(0);
    match status {
        0..=99 => return Ok(Parsed::Odd), // not a status
        100 | 102..=199 => {
            let frames = |name: &str| {
                same(name.as_bytes(), b"Content-Length") || same(name.as_bytes(), b"Transfer-Encoding")
            };
            let clear = response.version == Some(1)
                && !bare_newline
                && !response.headers.iter().any(|field| frames(field.name));
            return Ok(Parsed::Interim { clear });
        }
        _ => {}
    }
    let mut unclear = response.version != Some(1)
        || matches!(status, 101 | 204 | 304)
        || bare_newline
        || !head.starts_with(b"HTTP/");
    let (mut length, mut chunked) = (None, false);
    let (mut delay, mut date) = (None, None);
    for field in response.headers.iter() {
        let is = |name: &str| same(field.name.as_bytes(), name.as_bytes());
        match field.name.len() {
            14 if is("Content-Length") => {
                unclear |= length.is_some();
                length = plain_number(field.value);
                unclear |= length.is_none();
            }
            17 if is("Transfer-Encoding") => {
                unclear |= chunked || !same(field.value, b"chunked");
                chunked = true;
            }
            10 if is("Connection") => unclear |= !same(field.value, b"keep-alive"),
            7 if is("Upgrade") => unclear = true,
            11 if is("Retry-After") => delay = delay.or(Some(field.value)),
            4 if is("Date") => date = date.or(Some(field.value)),
            _ => {}
        }
    }
    let framing = match (length, chunked) {
        _ if unclear => Framing::Unclear,
        (Some(length), false) if length <= limit => Framing::Length { from: end, length },
        (Some(_), false) if status == 200 => return Err(Unreadable::LargeBody { limit }),
        (None, true) => Framing::Chunked { state: Chunk::Size, body: Secret::default() },
        _ => Framing::Unclear,
    };
    let retry_after = delay.and_then(|delay| retry_after::seconds(delay, date));
    Ok(Parsed::Head(Head { status, framing, retry_after }))
}

/// ASCII case-insensitive comparison, with a fast path for the usual spelling.
fn same(word: &[u8], usual: &[u8]) -> bool {
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

fn has_bare_newline(head: &[u8]) -> bool {
    memchr_iter(b'\n', head).any(|at| at.checked_sub(1).and_then(|before| head.get(before)) != Some(&b'\r'))
}

/// A number of ASCII digits that fits into 64 bits. A value that exceeds usize becomes usize::MAX.
fn plain_number(text: &[u8]) -> Option<usize> {
    let first = text.first().map(|_| 0u64);
    let number = text.iter().try_fold(first?, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })?;
    Some(usize::try_from(number).unwrap_or(usize::MAX))
}

enum Chunked {
    More,
    Whole,
    TooLarge,
    /// The line of a chunk's size is too long, or the trailers are too large.
    LargeFraming,
    /// Invalid framing: the data after it can't be trusted.
    Broken,
}

/// Decodes the received part of a chunked body (RFC 9112, 7.1). Extensions and trailers are skipped.
fn chunked(
    input: &[u8],
    at: &mut usize,
    state: &mut Chunk,
    body: &mut Secret,
    limit: usize,
) -> Result<Chunked, TryReserveError> {
    loop {
        let rest = input.get(*at..).unwrap_or_default();
        match state {
            Chunk::Size => {
                let (length, size) = match chunk_size(rest) {
                    ChunkSize::More => return Ok(Chunked::More),
                    ChunkSize::TooLong => return Ok(Chunked::LargeFraming),
                    ChunkSize::Broken => return Ok(Chunked::Broken),
                    ChunkSize::Line { length, size } => (length, size),
                };
                let size = usize::try_from(size).unwrap_or(usize::MAX);
                if body.len().saturating_add(size) > limit {
                    return Ok(Chunked::TooLarge);
                }
                *at += length;
                *state = if size == 0 { Chunk::End } else { Chunk::Data { left: size } };
            }
            Chunk::Data { left } => {
                if *left > 0 {
                    let part = rest.get(..*left).unwrap_or(rest);
                    body.try_extend(part)?;
                    *at += part.len();
                    *left -= part.len();
                    if *left > 0 {
                        return Ok(Chunked::More);
                    }
                    continue;
                }
                match rest {
                    [b'\r', b'\n', ..] => {
                        *at += 2;
                        *state = Chunk::Size;
                    }
                    [] | [b'\r'] => return Ok(Chunked::More),
                    _ => return Ok(Chunked::Broken),
                }
            }
            Chunk::End => {
                return Ok(match rest {
                    [b'\r', b'\n', ..] => {
                        *at += 2;
                        Chunked::Whole
                    }
                    [] | [b'\r'] => Chunked::More,
                    trailers => skip_trailers(trailers, at),
                });
            }
        }
    }
}

enum ChunkSize {
    More,
    Line { length: usize, size: u64 },
    TooLong,
    Broken,
}

/// The size of a chunk, and the length of its line: digits, white space, an extension after a semicolon.
///
/// Does not use httparse's parser, which takes a missing size for 0 and accepts a line feed in an extension. With
/// checks for both, it costs a login 120 more instructions.
fn chunk_size(rest: &[u8]) -> ChunkSize {
    let digits = rest.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (number, after) = rest.split_at(digits);
    let newline = memchr(b'\n', after);
    let line = newline.and_then(|newline| after.get(..newline)).unwrap_or(after);
    let (extension, returns) = match line.strip_suffix(b"\r") {
        Some(extension) => (extension, true),
        None => (line, false),
    };
    let is_begun = digits > 0 || line.is_empty();
    let is_too_long = digits > MAX_CHUNK_DIGITS && !after.is_empty();
    if !is_begun || is_too_long || !is_extension(extension) {
        return ChunkSize::Broken;
    }
    match newline {
        Some(_) if digits == 0 || !returns => ChunkSize::Broken,
        Some(newline) if digits + newline >= MAX_CHUNK_LINE => ChunkSize::TooLong,
        Some(newline) => {
            let digit = |byte: &u8| u64::from(char::from(*byte).to_digit(16).unwrap_or(0));
            let size = number.iter().fold(0, |size, byte| (size << 4) | digit(byte));
            ChunkSize::Line { length: digits + newline + 1, size }
        }
        None if rest.len() < MAX_CHUNK_LINE => ChunkSize::More,
        None => ChunkSize::TooLong,
    }
}

/// True for an extension of a chunk, which is ignored, and for an empty text.
fn is_extension(text: &[u8]) -> bool {
    match text.iter().find(|byte| !matches!(byte, b'\t' | b' ')) {
        None => true,
        Some(b';') => !text.contains(&b'\r'),
        Some(_) => false,
    }
}

/// Trailers stay in the input, and are parsed from their start, until they are complete.
fn skip_trailers(rest: &[u8], at: &mut usize) -> Chunked {
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    match httparse::parse_headers(rest, &mut fields) {
        Ok(httparse::Status::Complete((length, _))) if length > MAX_TRAILER_BYTES => Chunked::LargeFraming,
        Ok(httparse::Status::Complete((length, _))) => {
            if has_bare_newline(rest.get(..length).unwrap_or_default()) {
                return Chunked::Broken;
            }
            *at += length;
            Chunked::Whole
        }
        Ok(httparse::Status::Partial) if rest.len() < MAX_TRAILER_BYTES => Chunked::More,
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => Chunked::LargeFraming,
        Err(_) => Chunked::Broken,
    }
}

/// Formats a number in decimal, without an allocation.
fn decimal(mut number: usize, digits: &mut [u8; 20]) -> &[u8] {
    let mut from = digits.len();
    loop {
        from -= 1;
        digits[from] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &digits[from..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_decimal() {
        for number in [0, 9, 10, 4096, usize::MAX] {
            assert_eq!(decimal(number, &mut [0; 20]), number.to_string().as_bytes());
        }
    }

    /// Parses `input` byte by byte; returns the body, or how parsing ended.
    fn read(input: &[u8]) -> Result<String, &'static str> {
        let (mut reader, mut from) = (Reader::default(), 0);
        for end in 0..=input.len() {
            // The input holds at most one line of a chunked body, or its trailers.
            from += reader.take_done();
            match reader.read(&input[from..end], 1 << 10) {
                Err(_) => return Err("too large"),
                Ok(Read::Odd) => return Err("odd"),
                Ok(Read::Whole(answer) | Read::Cut(answer)) if end == input.len() => {
                    return Ok(format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body)));
                }
                Ok(Read::Whole(_) | Read::Cut(_)) => return Err("whole too early"),
                Ok(Read::More) => {}
            }
        }
        Err("more")
    }

    #[test]
    fn a_strict_answer_is_read_however_it_is_cut() {
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
    fn whatever_could_be_read_in_two_ways_is_odd() {
        for odd in [
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
            assert_eq!(read(odd), Err("odd"), "{}", String::from_utf8_lossy(odd));
        }
        // Bytes after the body that arrive with it.
        let longer = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxy";
        assert!(matches!(Reader::default().read(longer, 1024), Ok(Read::Odd)));
    }

    #[test]
    fn chunked_body_is_decoded_or_its_framing_is_broken() {
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
            fields(MOST_FIELDS),
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
            fields(MOST_FIELDS + 1),
            trailer(MAX_TRAILER_BYTES + 1),
            extension(MAX_CHUNK_LINE + 1),
        ] {
            assert!(matches!(read(format!("{}{bad}", head(200)).as_bytes()), Err("too large")), "{bad}");
            // A status other than 200 is returned with the received part of the body.
            let refused = format!("{}{bad}", head(403));
            let read = Reader::default().read(refused.as_bytes(), 1024);
            assert!(matches!(read, Ok(Read::Cut(answer)) if answer.status == 403), "{bad}");
        }
        // A body is marked as cut if its own framing cuts it.
        for (long, cut) in [(extension(MAX_CHUNK_LINE + 1), true), (trailer(MAX_TRAILER_BYTES + 1), false)] {
            let refused = format!("{}{long}", head(403));
            let read = Reader::default().read(refused.as_bytes(), 1024);
            assert!(matches!(read, Ok(Read::Cut(answer)) if answer.cut == cut));
        }
        // Bytes after the body only prevent reuse of the connection.
        let more = format!("{}1\r\nx\r\n0\r\n\r\nX", head(200));
        assert!(
            matches!(Reader::default().read(more.as_bytes(), 1024), Ok(Read::Cut(answer)) if answer.status == 200)
        );
    }

    #[test]
    fn largest_content_length_does_not_overflow() {
        let head = format!("HTTP/1.1 413 X\r\nContent-Length: {}\r\n\r\n", u64::MAX);
        assert!(!is_no_answer(head.as_bytes()));
    }

    #[test]
    fn an_answer_is_told_from_what_comes_before_it() {
        let interim = "HTTP/1.1 100 Continue\r\n\r\n";
        for none in ["", "H", "HTTP/1.1 1", "HTTP/1.1 413 X\r\n", interim, &interim.repeat(16)] {
            assert!(is_no_answer(none.as_bytes()), "{none}");
            assert!(is_no_answer(format!("{interim}{none}").as_bytes()) || none.len() > 100, "{none}");
        }
        for answer in [
            "HTTP/1.1 413 X\r\nContent-Length: 3\r\n\r\nno",
            "HTTP/1.1 413 X\r\nContent-Length: 2\r\n\r\nno",
            "HTTP/1.1 413 X\r\n\r\n",
            "HTTP/1.1 413 X\r\nTransfer-Encoding: chunked\r\n\r\n",
            "SSH-2.0",
            &interim.repeat(17),
        ] {
            assert!(!is_no_answer(answer.as_bytes()), "{answer}");
            assert!(!is_no_answer(format!("{interim}{answer}").as_bytes()), "{answer}");
        }
    }

    #[test]
    fn a_head_ends_behind_its_first_empty_line() {
        for (head, from, end) in [
            (&b"a: b\r\n\r\nx"[..], 0, Some(8)),
            (b"a: b\r\nc\r\n\r\nx", 3, Some(11)),
            (b"a: b\n\nx", 0, Some(6)),
            (b"a: b\nc\n\nx", 3, Some(8)),
            (b"a: b\r\n\r", 0, None),
        ] {
            let mut bare = false;
            assert_eq!(end_of_head(head, &mut { from }, &mut bare), end, "{}", String::from_utf8_lossy(head));
            assert_eq!(bare, has_bare_newline(&head[from..]), "{}", String::from_utf8_lossy(head));
        }
    }

    #[test]
    fn a_field_is_told_by_its_name() {
        let answer = b"HTTP/1.1 200 OK\r\nX-Content-Type: no number\r\nX-Forwarded: 7\r\nVary: x\r\n\
            retry-after: Wed, 21 Oct 2015 07:29:30 GMT\r\ndate: Wed, 21 Oct 2015 07:28:00 GMT\r\n\
            content-length: 0\r\n\r\n";
        let Ok(Read::Whole(answer)) = Reader::default().read(answer, 1024) else { panic!("not read") };
        assert_eq!(answer.retry_after, Some(90));
    }

    #[test]
    fn what_is_too_large_is_found_at_its_edge() {
        assert_eq!(read(b"HTTP/1.1 200 OK\r\nContent-Length: 1025\r\n\r\n"), Err("too large"));
        assert_eq!(read(b"HTTP/1.1 500 OK\r\nContent-Length: 1025\r\n\r\n"), Err("odd"));
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
        assert_eq!(read(&head(MOST_HEAD_BYTES)).unwrap(), "200 ");
        assert_eq!(read(&head(MOST_HEAD_BYTES + 1)), Err("too large"));
        let after_another = [&b"HTTP/1.1 100 C\r\n\r\n"[..], &head(MOST_HEAD_BYTES)].concat();
        assert!(matches!(Reader::default().read(&after_another, 1024), Ok(Read::Whole(_))));
        let unended = head(MOST_HEAD_BYTES + 4);
        assert!(matches!(Reader::default().read(&unended[..MOST_HEAD_BYTES], 1024), Ok(Read::More)));
        assert!(matches!(
            Reader::default().read(&unended[..=MOST_HEAD_BYTES], 1024),
            Err(Unreadable::LargeHead)
        ));
    }
}
