//! The API itself, without I/O: the response to a request.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue, LOCATION, RETRY_AFTER};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::accounts::{self, Outcome};
use crate::login::{Encoding, Login};

/// The largest request body that is accepted: 1 MiB. Two fields of 64 KiB with every byte encoded fit into it.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// The route that expires tokens. The real service does not have it.
const EXPIRE: &str = "/expire-tokens";

pub(crate) type HttpResponse = Response<Full<Bytes>>;

/// The API's state, which lasts from one request to the next.
#[derive(Default)]
pub(crate) struct Api {
    tokens: Mutex<HashMap<String, TokenState>>,
    /// The sizes of uploaded files, by path.
    uploads: Mutex<BTreeMap<String, usize>>,
    busy_logins: AtomicU64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum TokenState {
    Valid,
    Expired,
}

/// The API's reaction to a request.
pub(crate) struct Reply {
    /// `None`: the server never responds.
    pub response: Option<HttpResponse>,
    /// The fields of the request, as far as they could be parsed, for the record.
    pub login: Login,
}

impl Api {
    /// `body` is `None` if it was larger than [`MAX_BODY_BYTES`].
    pub fn reply(&self, head: &Parts, body: Option<&[u8]>) -> Reply {
        let mut login = Login::default();
        let response = self.route(head, body, &mut login);
        Reply { response, login }
    }

    fn route(&self, head: &Parts, body: Option<&[u8]>, login: &mut Login) -> Option<HttpResponse> {
        let path = head.uri.path();
        let is_login = path.ends_with("/authenticate");
        if !is_login && !["/file/ls", "/file/upload", EXPIRE].contains(&path) {
            return Some(error(StatusCode::NOT_FOUND, "No such path"));
        }
        if head.method != Method::POST {
            return Some(with(error(StatusCode::METHOD_NOT_ALLOWED, "Use POST"), ALLOW, "POST"));
        }
        let Some(body) = body else {
            return Some(with(
                error(StatusCode::PAYLOAD_TOO_LARGE, "The body is too large"),
                CONNECTION,
                "close",
            ));
        };
        if is_login {
            return self.authenticate(head, body, login);
        }
        if path == EXPIRE {
            return Some(json(StatusCode::OK, &json!({"expired": self.expire_tokens()})));
        }
        Some(match self.refusal_of_token(head) {
            Some(refusal) => refusal,
            None if path == "/file/upload" => self.upload(head, body),
            None => self.list(head),
        })
    }

    /// Makes all tokens issued so far invalid. Returns their number.
    pub fn expire_tokens(&self) -> usize {
        let mut tokens = self.tokens.lock().unwrap();
        let valid = tokens.values_mut().filter(|state| **state == TokenState::Valid);
        valid.map(|state| *state = TokenState::Expired).count()
    }

    /// Returns the refusal of a request whose token is not valid; `None` if it is valid.
    fn refusal_of_token(&self, head: &Parts) -> Option<HttpResponse> {
        let token = head.headers.get("token").and_then(|value| value.to_str().ok()).unwrap_or_default();
        match self.tokens.lock().unwrap().get(token) {
            Some(TokenState::Valid) => None,
            Some(TokenState::Expired) => Some(error(StatusCode::UNAUTHORIZED, "The token has expired")),
            None => Some(error(StatusCode::FORBIDDEN, "Access denied")),
        }
    }

    fn authenticate(&self, head: &Parts, body: &[u8], login: &mut Login) -> Option<HttpResponse> {
        let Some(encoding) = Encoding::of(&head.headers) else {
            return Some(error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Send a form or JSON"));
        };
        let Ok(read) = Login::read(encoding, body) else {
            return Some(error(StatusCode::BAD_REQUEST, "The body is not JSON"));
        };
        *login = read;

        let denied = || Some(json(StatusCode::FORBIDDEN, &json!({"err": "Access denied"})));
        let (Some(username), Some(password)) = (&login.username, &login.password) else {
            return denied();
        };
        let Some(account) = accounts::find(username) else {
            return denied();
        };
        // A server that accepts only JSON never reads the password of a form.
        if account.outcome == Outcome::JsonOnly && encoding == Encoding::Form {
            return Some(error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send JSON"));
        }
        if account.password != password {
            return denied();
        }
        self.outcome(account.outcome)
    }

    fn outcome(&self, outcome: Outcome) -> Option<HttpResponse> {
        Some(match outcome {
            Outcome::Token | Outcome::JsonOnly => self.token(),
            Outcome::EverySecondTime if self.busy_logins.fetch_add(1, Ordering::Relaxed) % 2 == 0 => {
                too_many_requests("1")
            }
            Outcome::EverySecondTime => self.token(),
            Outcome::TwoFactor => {
                json(StatusCode::UNAUTHORIZED, &json!({"err": "Two-factor authentication is required"}))
            }
            Outcome::Limited => too_many_requests("3600"),
            Outcome::Unavailable => response(StatusCode::SERVICE_UNAVAILABLE, Bytes::new()),
            Outcome::Broken => error(StatusCode::INTERNAL_SERVER_ERROR, "Internal error 7"),
            Outcome::CaptivePortal => {
                let page = "<!DOCTYPE html><title>Welcome</title><p>Accept the terms of this network.</p>\n";
                with(response(StatusCode::OK, page), CONTENT_TYPE, "text/html; charset=utf-8")
            }
            Outcome::Moved => {
                with(response(StatusCode::TEMPORARY_REDIRECT, Bytes::new()), LOCATION, "/elsewhere")
            }
            Outcome::Silence => return None,
        })
    }

    fn token(&self) -> HttpResponse {
        let token = Uuid::new_v4().to_string();
        let response = json(StatusCode::OK, &json!({"token": token}));
        self.tokens.lock().unwrap().insert(token, TokenState::Valid);
        response
    }

    fn upload(&self, head: &Parts, body: &[u8]) -> HttpResponse {
        let Some(path) = path_parameter(head).filter(|path| path.starts_with('/') && !path.ends_with('/'))
        else {
            return error(StatusCode::BAD_REQUEST, "The parameter path must name a file: /folder/name");
        };
        let content_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content = match content_type.and_then(|value| value.split_once("boundary=")) {
            Some((kind, boundary)) if kind.to_ascii_lowercase().starts_with("multipart/form-data") => {
                match first_part(body, boundary.trim_matches('"')) {
                    Some(part) => part,
                    None => return error(StatusCode::BAD_REQUEST, "The body is not a multipart form"),
                }
            }
            _ => body,
        };
        let size = content.len();
        let response = json(StatusCode::OK, &json!({"path": path, "size": size}));
        self.uploads.lock().unwrap().insert(path, size);
        response
    }

    fn list(&self, head: &Parts) -> HttpResponse {
        if path_parameter(head).as_deref() != Some("/") {
            return error(StatusCode::NOT_FOUND, "There is no folder but path=/");
        }
        let mut entries = vec![
            json!({"filename": "invoices", "size": 0, "modtime": 1_753_000_000, "is_dir": true}),
            json!({"filename": "readme.txt", "size": 1_204, "modtime": 1_753_086_400, "is_dir": false}),
            json!({"filename": "übersicht 2025.csv", "size": 88_310, "modtime": 1_753_172_800, "is_dir": false}),
        ];
        for (path, size) in self.uploads.lock().unwrap().iter() {
            if let Some(name) = path.strip_prefix('/').filter(|name| !name.contains('/')) {
                let entry =
                    json!({"filename": name, "size": size, "modtime": 1_753_200_000, "is_dir": false});
                entries.push(entry);
            }
        }
        json(StatusCode::OK, &json!({"ls": entries}))
    }
}

/// The query parameter `path`.
fn path_parameter(head: &Parts) -> Option<String> {
    let query = head.uri.query().unwrap_or_default().as_bytes();
    form_urlencoded::parse(query).find(|(name, _)| name == "path").map(|(_, value)| value.into_owned())
}

/// The content of the first part of a multipart body (RFC 2046, 5.1.1).
fn first_part<'a>(body: &'a [u8], boundary: &str) -> Option<&'a [u8]> {
    let position = |text: &[u8], of: &str| text.windows(of.len()).position(|window| window == of.as_bytes());
    let part = body.strip_prefix(format!("--{boundary}\r\n").as_bytes())?;
    let content = &part[position(part, "\r\n\r\n")? + 4..];
    Some(&content[..position(content, &format!("\r\n--{boundary}"))?])
}

fn too_many_requests(retry_after_seconds: &'static str) -> HttpResponse {
    with(error(StatusCode::TOO_MANY_REQUESTS, "Too many requests"), RETRY_AFTER, retry_after_seconds)
}

/// The error format of all routes except the login.
fn error(status: StatusCode, text: &str) -> HttpResponse {
    json(status, &json!({"error": text}))
}

fn json(status: StatusCode, value: &Value) -> HttpResponse {
    with(response(status, value.to_string()), CONTENT_TYPE, "application/json")
}

fn response(status: StatusCode, body: impl Into<Bytes>) -> HttpResponse {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response
}

fn with(mut response: HttpResponse, name: hyper::header::HeaderName, value: &'static str) -> HttpResponse {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
    response
}
