//! The body of a login, as a form or as JSON.

use crate::login::Credentials;
use crate::secret::Secret;

/// Encodes `application/x-www-form-urlencoded`, as in the URL standard of the WHATWG.
pub fn form(credentials: &Credentials) -> Secret {
    let mut body = Secret::with_capacity(3 * credentials.bytes() + NAMES);
    for (index, (name, value)) in credentials.fields().enumerate() {
        if index > 0 {
            body.push(b'&');
        }
        body.extend(name.as_bytes());
        body.push(b'=');
        form_value(value, &mut body);
    }
    body
}

/// Encodes one value of a form. A run of unreserved bytes is copied as a whole: a library's pieces cost three times as
/// much.
pub fn form_value(value: &str, to: &mut Secret) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut rest = value.as_bytes();
    loop {
        let plain = rest.iter().position(|byte| !PLAIN[usize::from(*byte)]).unwrap_or(rest.len());
        let (run, other) = rest.split_at(plain);
        to.extend(run);
        match other {
            [] => return,
            [b' ', ..] => to.push(b'+'),
            [byte, ..] => {
                to.extend(&[b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
            }
        }
        rest = other.get(1..).unwrap_or_default();
    }
}

/// True for the bytes that a form does not escape.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0u8;
    while byte.is_ascii() {
        plain[byte as usize] = byte.is_ascii_alphanumeric() || matches!(byte, b'*' | b'-' | b'.' | b'_');
        byte += 1;
    }
    plain
};

/// Encodes `application/json` (RFC 8259).
pub fn json(credentials: &Credentials) -> Secret {
    let mut body = Secret::with_capacity(2 * credentials.bytes() + NAMES);
    for (index, (name, value)) in credentials.fields().enumerate() {
        body.push(if index == 0 { b'{' } else { b',' });
        json_string(name, &mut body);
        body.push(b':');
        json_string(value, &mut body);
    }
    body.push(b'}');
    body
}

/// Encodes one JSON string, with its quotes.
pub fn json_string(value: &str, to: &mut Secret) {
    // Writing a string to memory can't fail.
    let _ = serde_json::to_writer(to, value);
}

/// Capacity for the names and the characters between the values.
const NAMES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn text(body: &Secret) -> &str {
        std::str::from_utf8(body).unwrap()
    }

    #[test]
    fn both_encodings_carry_every_character() {
        let credentials = Credentials {
            username: "жук@example.com",
            password: "p&=+% \"\\\u{1}\u{7f}é*-._",
            system: Some("a b"),
        };
        assert_eq!(
            text(&form(&credentials)),
            "username=%D0%B6%D1%83%D0%BA%40example.com&password=p%26%3D%2B%25+%22%5C%01%7F%C3%A9*-._&system=a+b"
        );
        assert_eq!(
            text(&json(&credentials)),
            "{\"username\":\"жук@example.com\",\"password\":\"p&=+% \\\"\\\\\\u0001\u{7f}é*-._\",\"system\":\"a b\"}"
        );
    }

    #[test]
    fn missing_system_is_not_sent() {
        let credentials = Credentials { username: "u", password: "p", system: None };
        assert_eq!(text(&form(&credentials)), "username=u&password=p");
        assert_eq!(text(&json(&credentials)), "{\"username\":\"u\",\"password\":\"p\"}");
    }
}
