//! The chunked coding (RFC 9112, 7.1).

use std::collections::TryReserveError;

use memchr::memchr;

use crate::http::response_head::has_bare_line_feed;
use crate::limits::{MAX_CHUNK_DIGITS, MAX_CHUNK_LINE, MAX_FIELDS, MAX_TRAILER_BYTES};
use crate::secret::Secret;

/// The next part of a chunked body.
pub enum Chunk {
    Size,
    Data { left: usize },
    End,
}

pub enum Chunked {
    NeedsInput,
    Complete,
    TooLarge,
    /// The line of a chunk's size is too long, or the trailers are too large.
    LargeFraming,
    /// Invalid framing: the data after it can't be trusted.
    Invalid,
}

/// Decodes the received part of a chunked body (RFC 9112, 7.1). Extensions and trailers are skipped.
pub fn decode(
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
                    ChunkSize::NeedsInput => return Ok(Chunked::NeedsInput),
                    ChunkSize::TooLong => return Ok(Chunked::LargeFraming),
                    ChunkSize::Invalid => return Ok(Chunked::Invalid),
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
                        return Ok(Chunked::NeedsInput);
                    }
                    continue;
                }
                match rest {
                    [b'\r', b'\n', ..] => {
                        *at += 2;
                        *state = Chunk::Size;
                    }
                    [] | [b'\r'] => return Ok(Chunked::NeedsInput),
                    _ => return Ok(Chunked::Invalid),
                }
            }
            Chunk::End => {
                return Ok(match rest {
                    [b'\r', b'\n', ..] => {
                        *at += 2;
                        Chunked::Complete
                    }
                    [] | [b'\r'] => Chunked::NeedsInput,
                    trailers => skip_trailers(trailers, at),
                });
            }
        }
    }
}

enum ChunkSize {
    NeedsInput,
    Line { length: usize, size: u64 },
    TooLong,
    Invalid,
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
        return ChunkSize::Invalid;
    }
    match newline {
        Some(_) if digits == 0 || !returns => ChunkSize::Invalid,
        Some(newline) if digits + newline >= MAX_CHUNK_LINE => ChunkSize::TooLong,
        Some(newline) => {
            let digit = |byte: &u8| u64::from(char::from(*byte).to_digit(16).unwrap_or(0));
            let size = number.iter().fold(0, |size, byte| (size << 4) | digit(byte));
            ChunkSize::Line { length: digits + newline + 1, size }
        }
        None if rest.len() < MAX_CHUNK_LINE => ChunkSize::NeedsInput,
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
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    match httparse::parse_headers(rest, &mut fields) {
        Ok(httparse::Status::Complete((length, _))) if length > MAX_TRAILER_BYTES => Chunked::LargeFraming,
        Ok(httparse::Status::Complete((length, _))) => {
            if has_bare_line_feed(rest.get(..length).unwrap_or_default()) {
                return Chunked::Invalid;
            }
            *at += length;
            Chunked::Complete
        }
        Ok(httparse::Status::Partial) if rest.len() < MAX_TRAILER_BYTES => Chunked::NeedsInput,
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => Chunked::LargeFraming,
        Err(_) => Chunked::Invalid,
    }
}
