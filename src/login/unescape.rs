//! Decoding of the escapes of URLs, JSON, C and HTML, one layer at a time.

use memchr::memchr3;

use crate::login::text::is_invisible;
use crate::secret::Secret;

/// A text without its last character, or without the last bytes that are not UTF-8.
pub fn without_last(text: &[u8]) -> &[u8] {
    let Some(last) = text.utf8_chunks().last() else { return text };
    let length = match last.invalid() {
        [] => last.valid().chars().next_back().map_or(0, char::len_utf8),
        invalid => invalid.len(),
    };
    text.get(..text.len() - length).unwrap_or_default()
}

/// A text without the incomplete escape or character at its end.
pub fn without_broken_escape(text: &[u8]) -> &[u8] {
    let broken_character = text.utf8_chunks().last().is_some_and(|last| !last.invalid().is_empty());
    if broken_character || text.ends_with("\u{fffd}".as_bytes()) {
        return without_last(text);
    }
    let start = text.len().saturating_sub(MAX_ENTITY_NAME + 1);
    let near_end = text.get(start..).unwrap_or_default();
    let Some(at) = near_end.iter().rposition(|byte| matches!(byte, b'%' | b'\\' | b'&')) else { return text };
    let is_broken = match near_end.get(at..).unwrap_or_default() {
        [b'%' | b'\\'] | [b'\\', b'u' | b'U' | b'x' | b'X'] => true,
        [b'%', digits @ ..] | [b'\\', b'x' | b'X', digits @ ..] => digits.len() < 2 && is_hexadecimal(digits),
        [b'\\', b'u' | b'U', digits @ ..] => digits.len() < 4 && is_hexadecimal(digits),
        [b'&', b'#', rest @ ..] | [b'&', rest @ ..] => rest.iter().all(u8::is_ascii_alphanumeric),
        _ => false,
    };
    if is_broken { text.get(..start + at).unwrap_or_default() } else { text }
}

fn is_hexadecimal(digits: &[u8]) -> bool {
    digits.iter().all(u8::is_ascii_hexdigit)
}

/// A text with one layer of escapes decoded (percent-encoding, JSON's and HTML's), and without invisible characters.
pub fn decode(text: &[u8]) -> Secret {
    let mut plain = Secret::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr3(b'%', b'\\', b'&', rest) {
        let (before, escape) = rest.split_at(at);
        plain.extend(before);
        let length = decode_escape(escape, &mut plain).unwrap_or_else(|| {
            plain.extend(escape.get(..1).unwrap_or_default());
            1
        });
        rest = escape.get(length..).unwrap_or_default();
    }
    plain.extend(rest);
    without_invisible(&plain)
}

/// A text without invisible characters. Invalid UTF-8 is kept, since the next layer may complete it.
pub fn without_invisible(text: &[u8]) -> Secret {
    let mut visible = Secret::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        for letter in chunk.valid().chars().filter(|letter| !is_invisible(*letter)) {
            push_character(letter, &mut visible);
        }
        visible.extend(chunk.invalid());
    }
    visible
}

/// Decodes the escape at the start of a text, and returns its length; None if it is not an escape. An escape is always
/// longer than its decoded form.
fn decode_escape(text: &[u8], to: &mut Secret) -> Option<usize> {
    match text {
        [b'%', digits @ ..] => {
            to.push(number(digits.get(..2)?, 16)? as u8);
            Some(3)
        }
        [b'\\', b'x' | b'X', digits @ ..] => {
            to.push(number(digits.get(..2)?, 16)? as u8);
            Some(4)
        }
        [b'\\', b'u' | b'U', ..] => {
            let unit = utf16_unit(text)?;
            // Two units make one character beyond U+FFFF.
            let pair = [Some(unit), text.get(6..).and_then(utf16_unit)].into_iter().flatten();
            let character = char::decode_utf16(pair).next()?.unwrap_or(char::REPLACEMENT_CHARACTER);
            push_character(character, to);
            Some(6 * character.len_utf16())
        }
        [b'\\', letter, ..] => {
            to.push(match letter.to_ascii_lowercase() {
                b'b' | b'f' | b'n' | b'r' | b't' => b'\n', // each is removed
                b'"' | b'\'' | b'/' | b'\\' => *letter,
                _ => return None,
            });
            Some(2)
        }
        [b'&', b'#', b'x' | b'X', digits @ ..] => Some(3 + decode_number(digits, 16, to)?),
        [b'&', b'#', digits @ ..] => Some(2 + decode_number(digits, 10, to)?),
        [b'&', name @ ..] => Some(1 + decode_name(name, to)?),
        _ => None,
    }
}

/// The UTF-16 unit of the `\uXXXX` at the start of a text.
fn utf16_unit(text: &[u8]) -> Option<u16> {
    match text {
        [b'\\', b'u' | b'U', digits @ ..] => number(digits.get(..4)?, 16)?.try_into().ok(),
        _ => None,
    }
}

/// A number of at most seven digits.
fn number(digits: &[u8], radix: u32) -> Option<u32> {
    digits.iter().try_fold(0, |number, digit| Some(number * radix + char::from(*digit).to_digit(radix)?))
}

/// Decodes the rest of a numeric entity: zeros, digits, and an optional semicolon.
fn decode_number(text: &[u8], radix: u32, to: &mut Secret) -> Option<usize> {
    let zeros = text.iter().take_while(|byte| **byte == b'0').count();
    let digits =
        text.iter().skip(zeros).take(7).take_while(|byte| char::from(**byte).is_digit(radix)).count();
    let length = zeros + digits;
    if length == 0 {
        return None;
    }
    let value = number(text.get(zeros..length)?, radix)?;
    push_character(char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER), to);
    Some(length + usize::from(text.get(length) == Some(&b';')))
}

/// Entities that all encoders use. Browsers accept them without a semicolon too.
const ENTITIES: [(&[u8], u8); 6] =
    [(b"amp", b'&'), (b"lt", b'<'), (b"gt", b'>'), (b"quot", b'"'), (b"apos", b'\''), (b"nbsp", b' ')];

/// The longest name of an entity in HTML is `CounterClockwiseContourIntegral`.
const MAX_ENTITY_NAME: usize = 31;

/// Decodes the rest of a named entity. Names that are not in `ENTITIES` mean a character that is not an ASCII letter or
/// digit.
fn decode_name(text: &[u8], to: &mut Secret) -> Option<usize> {
    let length =
        text.iter().take(MAX_ENTITY_NAME + 1).take_while(|byte| byte.is_ascii_alphanumeric()).count();
    let is_closed = text.get(length) == Some(&b';');
    let is_at_start =
        |name: &[u8]| text.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    match ENTITIES.iter().find(|(name, _)| is_at_start(name)) {
        Some((name, byte)) => {
            to.push(*byte);
            Some(name.len() + usize::from(is_closed && name.len() == length))
        }
        None if is_closed && (2..=MAX_ENTITY_NAME).contains(&length) => {
            push_character(char::REPLACEMENT_CHARACTER, to);
            Some(length + 1)
        }
        None => None,
    }
}

fn push_character(character: char, to: &mut Secret) {
    to.extend(character.encode_utf8(&mut [0; 4]).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoding_shortens_every_escape() {
        for escape in [
            "%00",
            r"\n",
            r"\xff",
            r"\u0800",
            r"\ud83d",
            r"\ud83d\ude00",
            "&lt",
            "&#9",
            "&#x800",
            "&#xffff",
            "&#65536",
            "&ab;",
        ] {
            let decoded = decode(escape.as_bytes());
            assert!(decoded.len() < escape.len(), "{escape}");
        }
        for other in
            ["%", "%0", "%g0", r"\", r"\q", r"\u00", r"\x0", "&", "&;", "&#", "&#;", "&#x;", "&noname", "&a;"]
        {
            assert_eq!(*decode(other.as_bytes()), *other.as_bytes());
        }
    }
}
