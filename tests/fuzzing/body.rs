//! The fields that are extracted from a response's body equal those that serde_json finds. The server's message never
//! contains the password in any encoding.

use std::fmt;

use couchdrop::error::ErrorKind;
use couchdrop::error::cd_code::CD_ERR_MALFORMED_RESPONSE;
use couchdrop::login::text::is_invisible;
use couchdrop::login::{request, response};
use couchdrop::secret::Secret;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

/// Input: a password, a line end, and a body.
pub fn holds(input: &[u8]) {
    let at = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (password, body) = (&input[..at], input.get(at + 1..).unwrap_or_default());
    let Ok(password) = std::str::from_utf8(password) else { return };
    if password.is_empty() {
        return; // refused before a login
    }
    let members = serde_json::from_slice::<Members>(body).map(|members| members.0).ok();
    let token = check_token(response::token(body));
    let message = check_message(body, password);
    match members {
        Some(members) => {
            assert_eq!(token, expected_token(&members));
            if let Some(text) = expected_message(&members) {
                check_shown(text, password, message.as_deref());
            } else {
                assert_eq!(message, None);
            }
        }
        // Other members are skipped without parsing: they may contain a number or an escape that has no value.
        None if token.is_some() => {
            serde_json::from_slice::<IgnoredAny>(body).expect("a token comes from JSON");
        }
        None => {}
    }
}

/// Checks the properties of any token, and returns it.
pub fn check_token(token: Result<Secret, ErrorKind>) -> Option<Vec<u8>> {
    match token {
        Ok(token) => {
            assert!((1..=64 << 10).contains(&token.len()));
            assert!(token.iter().all(u8::is_ascii_graphic));
            Some(token.to_vec())
        }
        Err(kind) => {
            assert_eq!(kind.code(), CD_ERR_MALFORMED_RESPONSE);
            None
        }
    }
}

/// Checks the properties of the server's message from any body, and returns it.
pub fn check_message(body: &[u8], password: &str) -> Option<String> {
    let message = response::server_message(body, false, password)?;
    // A truncated body must give the same message or none.
    if let Some(of_cut) = response::server_message(body, true, password) {
        assert_eq!(of_cut, message);
    }
    assert!((1..=1 << 10).contains(&message.len()));
    assert_eq!(message, message.trim());
    assert!(!message.chars().any(is_invisible), "{message:?}");
    for form in forms(password) {
        // A backslash before one of JSON's escapes changes the meaning of the text.
        let mut found = message.match_indices(&form).filter(|(at, _)| !message[..*at].ends_with('\\'));
        assert!(!message.contains(password) && found.next().is_none(), "{message:?} holds {form:?}");
    }
    // A program that displays it may decode it.
    if let Ok(read) = serde_json::from_str::<String>(&format!("\"{message}\"")) {
        assert!(!read.contains(password), "{message:?} reads as {read:?}");
    }
    let one_name = message.replace('&', "%26").replace('=', "%3d");
    let read: String =
        form_urlencoded::parse(one_name.as_bytes()).map(|(name, _)| name.into_owned()).collect();
    // Invalid UTF-8 is read as U+FFFD.
    assert!(password.contains('\u{fffd}') || !read.contains(password), "{message:?} reads as {read:?}");
    Some(message)
}

/// The password in each encoding that this library and others produce.
fn forms(password: &str) -> Vec<String> {
    let text = |write: fn(&str, &mut Secret)| {
        let mut written = Secret::default();
        write(password, &mut written);
        String::from_utf8(written.to_vec()).expect("an encoder writes UTF-8")
    };
    let form = text(request::form_value);
    let json = text(request::json_string);
    let json = json[1..json.len() - 1].to_owned();
    let ascii = password.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    let percent = password.bytes().map(|byte| format!("%{byte:02x}")).collect();
    vec![password.to_owned(), form.replace('+', "%20"), form, json, ascii, percent]
}

/// The members of an object in their order, including duplicates.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Members, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        json.deserialize_map(All)
    }
}

fn expected_token(members: &[(String, Value)]) -> Option<Vec<u8>> {
    let mut tokens = members.iter().filter(|(name, _)| name == "token").map(|(_, value)| value);
    let (Some(Value::String(token)), None) = (tokens.next(), tokens.next()) else { return None };
    let good = (1..=64 << 10).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
    good.then(|| token.clone().into_bytes())
}

fn expected_message(members: &[(String, Value)]) -> Option<&str> {
    members.iter().filter(|(name, _)| name == "err" || name == "error").find_map(|(_, value)| value.as_str())
}

/// Checks the message that is extracted from the text of an object's member.
fn check_shown(text: &str, password: &str, message: Option<&str>) {
    if text.len() > 8 << 10 {
        return; // only its start is searched
    }
    let visible: String = text.chars().filter(|letter| !is_invisible(*letter)).collect();
    let mut end = visible.trim().len().min(1 << 10);
    while !visible.trim().is_char_boundary(end) {
        end -= 1;
    }
    let shown = visible.trim()[..end].trim_end();
    match message {
        Some(message) => assert_eq!(message, shown),
        // Text with escapes may resemble the password only when decoded.
        None if shown.is_empty() || text.contains(['%', '&', '\\']) => {}
        None => assert!(resembles(&visible, password), "{text:?}"),
    }
}

/// True if a text contains the password, or all of it except its first or last character. Compares the letters without
/// case, or only the ASCII letters.
fn resembles(text: &str, password: &str) -> bool {
    let accents = |text: &str| text.contains(|letter| matches!(letter, '\u{300}'..='\u{36f}'));
    if accents(text) || accents(password) || password.contains(['%', '&', '\\']) {
        return true; // these cases are not compared
    }
    let mut letters = password.chars();
    let mut parts = vec![password];
    if password.chars().count() > 4 {
        letters.next();
        parts.push(letters.as_str());
        letters = password.chars();
        letters.next_back();
        parts.push(letters.as_str());
    }
    let folded = |text: &str| {
        let letters = text.chars().filter(|letter| !letter.is_whitespace() && !is_invisible(*letter));
        letters.collect::<String>().replace(['+', ';'], "").to_lowercase().to_uppercase().to_lowercase()
    };
    let ascii =
        |text: &str| text.to_ascii_lowercase().replace(|letter: char| !letter.is_ascii_alphanumeric(), "");
    parts.iter().any(|part| {
        folded(text).contains(&folded(part)) || !ascii(part).is_empty() && ascii(text).contains(&ascii(part))
    })
}
