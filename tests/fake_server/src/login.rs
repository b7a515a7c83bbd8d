//! The fields of a login, parsed from a form or from JSON.

use hyper::HeaderMap;
use hyper::header::CONTENT_TYPE;
use serde_json::Value;

/// The encoding of a login's fields, taken from its `Content-Type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// `application/x-www-form-urlencoded`
    Form,
    /// `application/json`
    Json,
}

impl Encoding {
    /// `None` for another media type or a missing one.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let media_type = headers.get(CONTENT_TYPE)?.to_str().ok()?.split(';').next()?.trim();
        if media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            Some(Self::Form)
        } else if media_type.eq_ignore_ascii_case("application/json") {
            Some(Self::Json)
        } else {
            None
        }
    }
}

/// The fields of a body. A field that is missing, or that is not a string in JSON, is `None`.
#[derive(Default)]
pub(crate) struct Login {
    pub username: Option<String>,
    pub password: Option<String>,
    pub system: Option<String>,
}

/// The body is not valid JSON.
pub(crate) struct Malformed;

impl Login {
    pub fn read(encoding: Encoding, body: &[u8]) -> Result<Self, Malformed> {
        match encoding {
            Encoding::Form => Ok(Self::read_form(body)),
            Encoding::Json => Self::read_json(body),
        }
    }

    fn read_form(body: &[u8]) -> Self {
        let mut login = Self::default();
        for (name, value) in form_urlencoded::parse(body) {
            if let Some(field @ None) = login.field(&name) {
                *field = Some(value.into_owned());
            }
        }
        login
    }

    fn read_json(body: &[u8]) -> Result<Self, Malformed> {
        let mut login = Self::default();
        if let Value::Object(members) = serde_json::from_slice(body).map_err(|_| Malformed)? {
            for (name, value) in members {
                if let (Some(field), Value::String(text)) = (login.field(&name), value) {
                    *field = Some(text);
                }
            }
        }
        Ok(login)
    }

    fn field(&mut self, name: &str) -> Option<&mut Option<String>> {
        match name {
            "username" => Some(&mut self.username),
            "password" => Some(&mut self.password),
            "system" => Some(&mut self.system),
            _ => None,
        }
    }
}
