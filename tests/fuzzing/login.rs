//! For any behaviour of a server, a login ends with a token or a documented code, and within the permitted number of
//! requests. The next login gets its own response, never a rest of the one before.

use std::cell::LazyCell;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use couchdrop::config::{BodyFormat, Config, Proxy};
use couchdrop::error::cd_code::{self, *};
use couchdrop::error::{Error, ErrorKind};
use couchdrop::login::{Client, Credentials};
use couchdrop::secret::Secret;
use couchdrop::url::BaseUrl;

use super::script::{Piece, Script};
use super::scripted_peer::Ending;
use super::server::{Request, Server};
use super::tls::MATERIAL;
use super::{PASSWORD, UNMISTAKABLE, lockstep};

const CREDENTIALS: Credentials = Credentials { username: "ada", password: PASSWORD, system: None };
const FORM: &[u8] = b"username=ada&password=hunter2+%22%C3%A9%26%25%5C%3D%2B";
const JSON: &str = "{\"username\":\"ada\",\"password\":\"hunter2 \\\"\u{e9}&%\\\\=+\"}";

const RETRIES: u32 = 2;
/// The first request, another one as JSON, and another one if a pooled connection was dead.
const MAX_REQUESTS: usize = 3 + RETRIES as usize;

const SECOND: &str = "the-second-token";

thread_local! {
    static LISTENER: LazyCell<Arc<TcpListener>> = LazyCell::new(Server::listen);
}

pub fn holds(input: &[u8]) {
    let script = Script::read(input);
    let (ending, secure) = (Ending::of(script.flags), script.flag(3));
    let tls: Option<fn() -> rustls::ServerConnection> = match (secure, script.flag(4)) {
        (false, _) => None,
        (true, old) if old => Some(|| MATERIAL.server(true)),
        (true, _) => Some(|| MATERIAL.server(false)),
    };
    let format = match (script.flags >> 5) & 3 {
        0 | 1 => BodyFormat::Auto,
        2 => BodyFormat::Form,
        _ => BodyFormat::Json,
    };
    let limit = super::response::limit(&script);

    let mut server = LISTENER.with(|listener| Server::new(listener, tls, ending));
    server.responses = script.responses.into();
    let service = service(&server, secure, format, limit);

    let (first, attempts) = login(&service, &mut server);
    assert!(!server.requests.is_empty(), "no request arrived: {:?}", first.map(drop));
    check_requests(&server.requests, format);
    assert_eq!(server.requests.len(), attempts as usize, "received requests, and attempts");
    check_first(&first, secure);

    server.send_remaining();
    let good =
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{{\"token\":\"{SECOND}\"}}", SECOND.len() + 12);
    server.responses = vec![vec![Piece { bytes: good.into_bytes(), past_tls: false }]; 2].into();
    let (second, _) = login(&service, &mut server);
    let second = second.unwrap_or_else(|error| panic!("the second login failed: {error:?}"));
    assert_eq!(&second[..], SECOND.as_bytes());
    drop(service);
}

fn service(server: &Server, secure: bool, format: BodyFormat, limit: usize) -> Client {
    let scheme = if secure { "https" } else { "http" };
    let settings = Config {
        base: BaseUrl::parse(&format!("{scheme}://{}", server.address())).expect("a base URL"),
        body_format: format,
        max_retries: RETRIES,
        first_backoff: Duration::ZERO,
        max_backoff: Duration::ZERO,
        proxy: Proxy::None,
        ca_file: secure.then(|| Arc::clone(&MATERIAL.trusted)),
        max_response: limit,
        ..Config::default()
    };
    Client::new(settings).expect("valid settings")
}

fn login(service: &Client, server: &mut Server) -> (Result<Secret, Error>, u32) {
    lockstep::run(server, |call| (service.login(call, &CREDENTIALS), call.attempts()))
}

fn check_requests(requests: &[Request], format: BodyFormat) {
    assert!(requests.len() <= MAX_REQUESTS, "{} requests", requests.len());
    for request in requests {
        assert!(request.head.starts_with("POST /authenticate HTTP/1.1\r\nHost: 127.0.0.1:"), "{request:?}");
        assert!(!request.head.contains(UNMISTAKABLE));
        let json = request.head.contains("\r\nContent-Type: application/json\r\n");
        assert_eq!(request.body, if json { JSON.as_bytes() } else { FORM });
        assert!(json && format != BodyFormat::Form || !json && format != BodyFormat::Json);
    }
    // JSON follows a form, never the reverse.
    let json: Vec<bool> = requests.iter().map(|request| request.body == JSON.as_bytes()).collect();
    assert!(json.is_sorted());
}

fn check_first(done: &Result<Secret, Error>, secure: bool) {
    let error = match done {
        Ok(token) => {
            assert!((1..=64 << 10).contains(&token.len()) && token.iter().all(u8::is_ascii_graphic));
            return;
        }
        Err(error) => error,
    };
    let code = error.kind.code();
    let expected: &[cd_code] = match &error.kind {
        ErrorKind::Refused { status } => {
            assert_eq!(*status, error.http_status);
            assert!(*status != 200 && (100..1000).contains(status));
            &[code]
        }
        ErrorKind::Tls(_) if secure => &[CD_ERR_TLS],
        _ => &[CD_ERR_CONNECTION_LOST, CD_ERR_MALFORMED_RESPONSE, CD_ERR_RESPONSE_TOO_LARGE],
    };
    assert!(expected.contains(&code), "{error:?}");
    assert!(error.retry_after.is_none_or(|seconds| seconds >= 0));
    let message = error.kind.to_string();
    assert!(!message.contains(UNMISTAKABLE) && message.ends_with('.'), "{message}");
    if let Some(message) = &error.server_message {
        assert!(!(200..300).contains(&error.http_status));
        assert!(!message.contains(PASSWORD) && (1..=1 << 10).contains(&message.len()));
    }
}
