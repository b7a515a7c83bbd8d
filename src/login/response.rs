//! Interprets responses: the token of a success, and the server's message of a refusal.

use std::borrow::Cow;

use serde::de::IgnoredAny;

use crate::error::ErrorKind;
use crate::limits::{MAX_SERVER_MESSAGE_BYTES, MAX_TOKEN_BYTES};
use crate::login::json::{Members, read_object};
use crate::login::redact;
use crate::login::text::{characters, is_invisible};
use crate::secret::Secret;

/// The part of a text that is searched for the password. An occurrence that begins in the displayed part and does not
/// end in this part counts as cut off.
const WINDOW_BYTES: usize = 8 * MAX_SERVER_MESSAGE_BYTES;

/// Returns the token in the body of a 200. The body must be a JSON object with exactly one member `token`, a string
/// that is allowed in a header.
pub fn token(body: &[u8]) -> Result<Secret, ErrorKind> {
    let no_object =
        || ErrorKind::Malformed("The response has status 200, but its body is not a JSON object".into());
    let body = std::str::from_utf8(body).map_err(|_| no_object())?;
    let mut found = Found::Nothing;
    let json = serde_json::Deserializer::from_str(body);
    let parsed = read_object(json, &mut TokenMember { found: &mut found });
    match (parsed, found) {
        (Ok(()), Found::Token(token)) => Ok(token),
        // serde_json's message may quote the body, so the error has the library's own text.
        (_, Found::Wrong(why)) => Err(ErrorKind::Malformed(why.into())),
        (Ok(()), Found::Nothing) => {
            Err(ErrorKind::Malformed("The response has status 200, but no member named token".into()))
        }
        (Err(_), _) => Err(no_object()),
    }
}

/// Returns the server's message in the body of a response other than 200. That is the member `err` or `error` of a JSON
/// object, or the start of a text. None if it is empty or may show the password; also if the body was `cut` and ends
/// with a beginning of the password.
pub fn server_message(body: &[u8], cut: bool, password: &str) -> Option<String> {
    let mut member = None;
    let json = serde_json::Deserializer::from_slice(body);
    let text = match read_object(json, &mut ErrorMember { message: &mut member }) {
        Ok(()) => Cow::Owned(member?.into_bytes()),
        Err(_) if serde_json::from_slice::<IgnoredAny>(body).is_ok() => return None, // JSON, but not an object
        Err(_) => Cow::Borrowed(body),
    };
    let (mut message, continues) = visible_start(&text);
    if redact::contains_secret(&message, cut || continues, password) {
        return None;
    }
    let end = (0..=MAX_SERVER_MESSAGE_BYTES).rev().find(|end| message.is_char_boundary(*end));
    message.truncate(end.unwrap_or(0));
    message.truncate(message.trim_end().len());
    (!message.is_empty()).then_some(message)
}

/// Returns the start of a text without leading white space and invisible characters, in at most `WINDOW_BYTES`. The
/// flag is true if the text continues.
fn visible_start(text: &[u8]) -> (String, bool) {
    let letters = characters(text).filter(|letter| !is_invisible(*letter));
    let mut start = String::with_capacity(WINDOW_BYTES);
    for letter in letters.skip_while(|letter| letter.is_whitespace()) {
        if start.len() + letter.len_utf8() > WINDOW_BYTES {
            return (start, true);
        }
        start.push(letter);
    }
    (start, false)
}

enum Found {
    Nothing,
    Token(Secret),
    Wrong(&'static str),
}

struct TokenMember<'a> {
    found: &'a mut Found,
}

impl Members for TokenMember<'_> {
    fn wants(&self, name: &str) -> bool {
        name == "token"
    }

    fn string(&mut self, value: &str) {
        *self.found = match self.found {
            Found::Wrong(why) => Found::Wrong(why),
            Found::Token(_) => Found::Wrong("The response has more than one member named token"),
            Found::Nothing if value.is_empty() => Found::Wrong("The token in the response is empty"),
            Found::Nothing if value.len() > MAX_TOKEN_BYTES => {
                Found::Wrong("The token in the response is longer than 65536 bytes")
            }
            Found::Nothing if !value.bytes().all(|byte| (0x21..=0x7e).contains(&byte)) => {
                Found::Wrong("The token in the response has characters that are not allowed in a header")
            }
            Found::Nothing => {
                let mut token = Secret::with_capacity(value.len() + 1); // for the NUL in C
                token.extend(value.as_bytes());
                Found::Token(token)
            }
        };
    }

    fn other(&mut self) {
        *self.found = Found::Wrong("The token in the response is not a string");
    }
}

struct ErrorMember<'a> {
    message: &'a mut Option<String>,
}

impl Members for ErrorMember<'_> {
    fn wants(&self, name: &str) -> bool {
        matches!(name, "err" | "error")
    }

    fn string(&mut self, value: &str) {
        self.message.get_or_insert_with(|| value.to_owned());
    }

    fn other(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_is_the_only_member_of_that_name() {
        let good: [(&[u8], &[u8]); 4] = [
            (br#"{"token":"a-1"}"#, b"a-1"),
            (br#" { "x" : [1,{"token":2}], "token" : "\u0041\/~!" , "y":null } "#, b"A/~!"),
            (br#"{"token":"x","Token":"y","tok":{}}"#, b"x"),
            (br#"{"\u0074oken":"x"}"#, b"x"),
        ];
        for (body, expected) in good {
            assert_eq!(&token(body).unwrap()[..], expected);
        }
        let long = format!(r#"{{"token":"{}"}}"#, "x".repeat(MAX_TOKEN_BYTES));
        assert_eq!(token(long.as_bytes()).unwrap().len(), MAX_TOKEN_BYTES);
    }

    #[test]
    fn other_body_is_malformed_and_not_quoted() {
        let longer = format!(r#"{{"token":"{}"}}"#, "x".repeat(MAX_TOKEN_BYTES + 1));
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let deep_member = format!(r#"{{"x":{deep}}}"#);
        let bodies: Vec<&[u8]> = vec![
            b"",
            b" ",
            b"{}",
            b"null",
            b"[]",
            b"\"SECRET\"",
            br#"{"token":""}"#,
            br#"{"token":null}"#,
            br#"{"token":7}"#,
            br#"{"token":["SECRET"]}"#,
            br#"{"token":{"token":"SECRET"}}"#,
            br#"{"token":true}"#,
            br#"{"token":1.5}"#,
            br#"{"token":-1}"#,
            br#"{"token":"SECRET","token":"SECRET"}"#,
            br#"{"token":"SECRET","token":1}"#,
            br#"{"token":1,"token":"SECRET"}"#,
            br#"{"token":"SECRET"} x"#,
            br#"{"token":"SECRET"}{}"#,
            br#"{"token":"SECRET""#,
            br#"{"token":"SECRET",}"#,
            br#"{'token':'SECRET'}"#,
            b"\xef\xbb\xbf{\"token\":\"SECRET\"}",
            b"\xff\xfe{\0",
            br#"{"token":"SEC RET"}"#,
            br#"{"token":"SECRET\r\nX: y"}"#,
            br#"{"token":"SECRET\u0000"}"#,
            "{\"token\":\"SECRETé\"}".as_bytes(),
            br#"{"token":"\ud800"}"#,
            b"{\"token\":\"\xff\"}",
            b"{\"token\":\"SECRET\",\"x\":\"\xff\"}",
            b"{\"token\":\"SECRET\",\"x\":\"\xed\xa0\x80\"}",
            b"<html>SECRET</html>",
            longer.as_bytes(),
            deep.as_bytes(),
            deep_member.as_bytes(),
        ];
        for body in bodies {
            let kind = token(body).unwrap_err();
            assert!(matches!(kind, ErrorKind::Malformed(_)), "{:?}", &body[..body.len().min(60)]);
            assert!(!kind.to_string().contains("SECRET"));
        }
    }

    #[test]
    fn defect_of_a_response_is_named() {
        let sentence = |body: &str| token(body.as_bytes()).unwrap_err().to_string();
        for body in ["", "7", "null", "true", "-1", "0.5", "\"text\"", "[]", "[{\"token\":\"x\"}]"] {
            assert!(sentence(body).contains("its body is not a JSON object"), "{body}");
        }
        for body in ["{}", r#"{"tokens":"x"}"#] {
            assert!(sentence(body).contains("no member named token"), "{body}");
        }
        for value in ["7", "null", "true", "-1", "0.5", "[]", "{}", r#"["x"]"#, r#"{"token":"x"}"#] {
            let body = format!(r#"{{"token":{value}}}"#);
            assert!(sentence(&body).contains("is not a string"), "{body}");
        }
    }

    #[test]
    fn server_message_is_trimmed_and_bounded() {
        let message = |body: &[u8]| server_message(body, false, "hunter2");
        assert_eq!(message(br#"{"err":" Access\r\ndenied\u0007 "}"#).unwrap(), "Accessdenied");
        assert_eq!(message(br#"{"x":1,"error":"no"}"#).unwrap(), "no");
        assert_eq!(message(br#"{"err":7,"error":"no"}"#).unwrap(), "no");
        assert_eq!(message(b"  Bad gateway\n").unwrap(), "Bad gateway");
        assert_eq!(message(b"caf\xc3\xa9 \xff").unwrap(), "caf\u{e9} \u{fffd}");
        assert_eq!(message("\u{202e}x".as_bytes()).unwrap(), "x");
        assert_eq!(message("a\u{200b}b\u{ad}c\u{feff}".as_bytes()).unwrap(), "abc");
        for nothing in [
            &b""[..],
            b" \n\t",
            b"{}",
            b"[1]",
            b"7",
            b"null",
            br#"{"err":""}"#,
            br#"{"err":null}"#,
            br#"{"message":"x"}"#,
        ] {
            assert_eq!(message(nothing), None, "{nothing:?}");
        }
        let long = message("é".repeat(2000).as_bytes()).unwrap();
        assert_eq!(long.len(), 1024);
        let odd = message(format!(" x{}", "é".repeat(2000)).as_bytes()).unwrap();
        assert_eq!(odd.len(), 1023);
    }

    #[test]
    fn server_message_never_contains_the_password() {
        let password = "p\u{7}w \"é&\\";
        let far = format!("{}{password}", "x".repeat(1020));
        for body in [
            password.to_owned(),
            format!("<{password}>"),
            "p%07w+%22%C3%A9%26%5C".to_owned(),
            r#"wrong: p\u0007w \"é&\\"#.to_owned(),
            r#"{"err":"wrong: p\u0007w \"\u00e9&\\"}"#.to_owned(),
            // Written by other encoders
            r#"wrong: p\u0007w \u0022\u00E9&\u005c"#.to_owned(),
            r#"{"err":"{\"password\": \"p\\u0007w \\\"\\u00e9&\\\\\"}"}"#.to_owned(),
            "p%07w%20%22%c3%a9%26%5c".to_owned(),
            "p%07w+%22\u{e9}%26\\".to_owned(),
            far,
        ] {
            assert_eq!(server_message(body.as_bytes(), false, password), None, "{body}");
        }
        // Only one way to parse a text finds each of these.
        for (password, body) in [
            ("a%41+b", "wrong: a%41+b"),
            ("a+b!", "wrong: a+b%21"),
            ("5%a z%!", "wrong: 5%a z%%21"),
            ("x%zz!", "wrong: x%zz%21"),
            ("a b!", "wrong: a+b%21"),
            ("tab\there", "wrong: tab\there"),
            ("tab\there", r"wrong: tab\there"),
            ("tabhere", "wrong: tab\there"),
            ("\u{1f600}AB\\", r"wrong: \ud83d\ude00\u0041B\"),
            ("\u{1f600}AB\\", r"wrong: \ud83d\ude00A\u0042\\"),
            ("AB\nC", r"wrong: \u0041\u0042\u000a\u0043"),
        ] {
            assert_eq!(server_message(body.as_bytes(), false, password), None, "{body}");
        }
    }

    #[test]
    fn message_cut_within_the_password_is_not_shown() {
        let message = |text: &str, password| server_message(text.as_bytes(), true, password);
        for (password, before, echo) in [
            ("Correct-Horse-7", "wrong password: ", "Correct-Horse-7"),
            ("p w \"é&\\", "wrong: ", "p+w+%22%C3%A9%26%5C"),
            ("p w \"é&\\", "wrong: ", r#"p w \"\u00e9&\\"#),
            ("p w \"é&\\", r#"{"err": ""#, r#"p w \"\u00e9&\\"#),
            ("p\u{1f600}x", "wrong: ", r"p\ud83d\ude00x"),
            ("aab-aaab", "wrong: ", "aab-aaab"),
        ] {
            for (end, _) in echo.char_indices().skip(1) {
                let text = format!("{before}{}", &echo[..end]);
                assert_eq!(message(&text, password), None, "{text}");
            }
        }
        // The text is compared without its control characters.
        assert_eq!(message("wrong: Cor\u{1}re", "Correct"), None);
        // Half of a character.
        assert_eq!(server_message(b"wrong: p\xc3", true, "p\u{e9}x"), None);
        // A text that was not cut, or ends differently, is shown.
        assert_eq!(message("no access for Cor", "Correct"), None);
        assert_eq!(message("no access for Cox", "Correct").unwrap(), "no access for Cox");
        assert_eq!(server_message(b"no access for Cor", false, "Correct").unwrap(), "no access for Cor");
    }

    #[test]
    fn control_characters_before_the_password_hide_nothing() {
        let password = "correct-horse";
        for removed in ["\n", "\0", "\u{202e}", "\u{200b}", " "] {
            for count in [
                0,
                8 * MAX_SERVER_MESSAGE_BYTES,
                8 * MAX_SERVER_MESSAGE_BYTES + 5 * password.len() + 1,
                64 << 10,
            ] {
                let body = format!("{}{password}", removed.repeat(count));
                assert_eq!(server_message(body.as_bytes(), false, password), None, "{count} of {removed:?}");
            }
        }
    }

    #[test]
    fn password_cut_by_the_window_is_not_shown() {
        // Three nested encodings: a character takes 26 bytes.
        let password = "0123456789abcdefghijklmnopqrstuvwxyz".repeat(10);
        let encoded: String = password.bytes().map(|byte| format!("&#38;#37;{byte:02x}")).collect();
        let encoded = encoded.replace('&', "\\u0026").replace('#', "\\u0023");
        assert!(encoded.len() > WINDOW_BYTES);
        assert_eq!(server_message(format!("no: {encoded}").as_bytes(), false, &password), None);
        // A text that continues without the password.
        let shown = server_message("no ".repeat(WINDOW_BYTES).as_bytes(), false, &password).unwrap();
        assert_eq!(shown.len(), MAX_SERVER_MESSAGE_BYTES);
    }

    #[test]
    fn long_password_is_not_shown_in_any_part_of_a_message() {
        let password: String = (0..16 << 10).map(|number| format!("{number:04x}")).collect();
        assert_eq!(password.len(), 64 << 10);
        for encoded in [
            password.clone(),
            password.bytes().map(|byte| format!("%{byte:02X}")).collect(),
            password.bytes().map(|byte| format!("\\u{byte:04x}")).collect(),
        ] {
            for start in [0, 1, 1000] {
                let body = format!("{}{encoded}", "-".repeat(start));
                assert_eq!(server_message(body.as_bytes(), false, &password), None);
            }
        }
    }

    #[test]
    fn password_is_searched_as_far_as_messages_are_shown() {
        let password = "0123456789abcdefghi!";
        let encoded: String = password.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let spaces = " ".repeat(7 * MAX_SERVER_MESSAGE_BYTES);
        // A part of the password would be at the end of the displayed text.
        let cut = format!("{spaces}{}{encoded}", "x".repeat(MAX_SERVER_MESSAGE_BYTES - 4));
        assert_eq!(server_message(cut.as_bytes(), false, password), None);
        // The password follows after the displayed text.
        let behind = format!("no{}{password}", "x".repeat(64 * MAX_SERVER_MESSAGE_BYTES));
        assert_eq!(
            server_message(behind.as_bytes(), false, password).unwrap().len(),
            MAX_SERVER_MESSAGE_BYTES
        );
    }
}
