//! The request of a login and the handling of each response: against the fake server over http and https, and against a
//! fault server.

mod common;

use std::net::TcpListener;
use std::sync::Arc;

use couchdrop::error::cd_code::{self, *};
use couchdrop::ffi::options::{CD_BODY_FORM, CD_BODY_JSON, CD_LOG_DEBUG};
use fake_server::{Encoding, FakeServer, PASSWORD};

use common::log::Log;
use common::{Error, Login, Options, PATIENCE, code, timed};
use fault_server::{FaultServer, Refusing, Script, last, reply, reply_token, reply_with, send};

const ADA: &str = "ada@example.com";
/// The account whose name and password contain every character that an encoding can get wrong.
const BEETLE: (&str, &str) = ("жук@example.com", r#"пароль & 100% + "q"\ é"#);
const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// Options for each of the fake server's servers.
fn both(fake_server: &FakeServer) -> [Options; 2] {
    [Options::to(fake_server.http_url()), Options::secure(fake_server)]
}

/// A server that always responds with this status.
fn always(status: u16) -> FaultServer {
    FaultServer::responding(move |_| reply(status, ""))
}

/// The encoding of each request so far.
fn encodings(server: &FaultServer) -> Vec<&'static str> {
    server.requests().iter().map(|request| if request.is_json() { "JSON" } else { "form" }).collect()
}

// ---- the request

#[test]
fn login_sends_one_form_and_returns_a_token() {
    let fake_server = FakeServer::start();
    for (options, secure) in both(&fake_server).iter().zip([false, true]) {
        let token = options.login(ADA, PASSWORD).unwrap();
        assert_eq!(token.text().len(), 36);
        let request = fake_server.requests().pop().unwrap();
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/authenticate"));
        assert_eq!((request.secure, request.encoding), (secure, Some(Encoding::Form)));
        assert_eq!(request.body, b"username=ada%40example.com&password=correct+horse+battery+staple");
        let authority = if secure { fake_server.https_url() } else { fake_server.http_url() };
        let authority = authority.split("//").last().unwrap();
        let length = request.body.len().to_string();
        for (name, value) in [
            ("host", authority),
            ("content-type", FORM),
            ("content-length", &length),
            ("accept", JSON),
            ("user-agent", "libcouchdrop/1.0.0"),
        ] {
            assert_eq!(request.header(name), Some(value), "{name}");
        }
        assert_eq!(request.headers.len(), 5, "and nothing else");
    }
    assert_eq!(fake_server.requests().len(), 2);
}

#[test]
fn each_login_returns_its_own_token() {
    let fake_server = FakeServer::start();
    let options = Options::to(fake_server.http_url());
    let [first, second] = [(); 2].map(|()| options.login(ADA, PASSWORD).unwrap().text());
    assert_ne!(first, second);
}

#[test]
fn form_encodes_every_character() {
    let fake_server = FakeServer::start();
    for options in both(&fake_server) {
        Login { username: BEETLE.0, password: BEETLE.1, system: Some("a=b&c ~*-._"), ..Login::of(&options) }
            .run()
            .unwrap();
        let body = String::from_utf8(fake_server.requests().pop().unwrap().body).unwrap();
        assert_eq!(
            body,
            "username=%D0%B6%D1%83%D0%BA%40example.com\
             &password=%D0%BF%D0%B0%D1%80%D0%BE%D0%BB%D1%8C+%26+100%25+%2B+%22q%22%5C+%C3%A9\
             &system=a%3Db%26c+%7E*-._"
        );
    }
}

#[test]
fn json_encodes_every_character() {
    let fake_server = FakeServer::start();
    for options in both(&fake_server) {
        options.set_body_format(CD_BODY_JSON).unwrap();
        Login { username: BEETLE.0, password: BEETLE.1, system: Some("a\tb\u{1}/"), ..Login::of(&options) }
            .run()
            .unwrap();
        let request = fake_server.requests().pop().unwrap();
        assert_eq!(request.header("content-type"), Some(JSON));
        assert_eq!(
            String::from_utf8(request.body).unwrap(),
            r#"{"username":"жук@example.com","password":"пароль & 100% + \"q\"\\ é","system":"a\tb\u0001/"}"#
        );
    }
}

#[test]
fn login_is_sent_in_one_write() {
    // The fault server finds the end of the body only by a Content-Length in the head.
    let server = FaultServer::replying([reply_token("t")]);
    Options::to(&server.url()).login(ADA, PASSWORD).unwrap();
    let request = &server.requests()[0];
    let host = server.address();
    assert_eq!(
        request.head,
        format!(
            "POST /authenticate HTTP/1.1\r\nHost: {host}\r\nUser-Agent: libcouchdrop/1.0.0\r\n\
             Accept: application/json\r\nContent-Type: {FORM}\r\nContent-Length: {}",
            request.body.len()
        )
    );
}

// ---- form and JSON

#[test]
fn refused_form_is_retried_as_json() {
    for status in [400, 415, 422] {
        let server = FaultServer::replying([reply(status, ""), reply_token("taken")]);
        let options = Options::to(&server.url());
        options.set_max_retries(0).unwrap(); // this does not count as a retry
        assert_eq!(options.login(BEETLE.0, BEETLE.1).unwrap().text(), "taken");
        assert_eq!(encodings(&server), ["form", "JSON"]);
        let json: serde_json::Value = serde_json::from_slice(&server.requests()[1].body).unwrap();
        assert_eq!(json, serde_json::json!({"username": BEETLE.0, "password": BEETLE.1}));
    }
}

#[test]
fn json_account_of_the_fake_server_succeeds() {
    let fake_server = FakeServer::start();
    for (options, from) in both(&fake_server).iter().zip([0, 3]) {
        for _ in 0..2 {
            options.login("json@example.com", PASSWORD).unwrap();
        }
        let seen: Vec<_> =
            fake_server.requests()[from..].iter().map(|request| request.encoding.unwrap()).collect();
        assert_eq!(seen, [Encoding::Form, Encoding::Json, Encoding::Json]);
    }
}

#[test]
fn json_response_is_the_result() {
    for status in [400, 415, 422] {
        let server = FaultServer::replying([
            reply(status, r#"{"error":"to the form"}"#),
            reply(status, r#"{"error":"to JSON"}"#),
        ]);
        let error = Options::to(&server.url()).login(ADA, PASSWORD).unwrap_err();
        assert_eq!((error.code, error.http_status), (CD_ERR_HTTP_STATUS, i32::from(status)));
        assert_eq!((error.attempts, error.server_message.as_deref()), (2, Some("to JSON")));
        assert_eq!(encodings(&server), ["form", "JSON"]);
    }
}

#[test]
fn json_is_remembered_after_a_success() {
    let server = FaultServer::replying([reply(415, ""), reply_token("a"), reply_token("b"), reply(415, "")]);
    let options = Options::to(&server.url());
    options.login(ADA, PASSWORD).unwrap();
    options.login(ADA, PASSWORD).unwrap();
    // It does not change back: this is the response to JSON.
    assert_eq!(code(options.login(ADA, PASSWORD)), CD_ERR_HTTP_STATUS);
    assert_eq!(encodings(&server), ["form", "JSON", "JSON", "JSON"]);
}

#[test]
fn json_is_remembered_per_options() {
    let server = FaultServer::replying([reply(415, ""), reply_token("a"), reply_token("b")]);
    Options::to(&server.url()).login(ADA, PASSWORD).unwrap();
    Options::to(&server.url()).login(ADA, PASSWORD).unwrap();
    assert_eq!(encodings(&server), ["form", "JSON", "form"]);
}

#[test]
fn json_is_not_remembered_after_a_failure() {
    let no_token = || reply(200, "<html>Welcome</html>");
    let cut = || last("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{");
    let refused: Vec<(Script, cd_code)> = vec![
        (reply(400, ""), CD_ERR_HTTP_STATUS),
        (reply(401, ""), CD_ERR_TWO_FACTOR_REQUIRED),
        (reply(403, ""), CD_ERR_ACCESS_DENIED),
        (reply(415, ""), CD_ERR_HTTP_STATUS),
        (reply(201, r#"{"token":"t"}"#), CD_ERR_HTTP_STATUS),
        (reply(429, ""), CD_ERR_RATE_LIMITED),
        (reply(500, ""), CD_ERR_SERVER),
        (no_token(), CD_ERR_MALFORMED_RESPONSE),
        (cut(), CD_ERR_CONNECTION_LOST),
    ];
    for (second, expected) in refused {
        let server = FaultServer::replying([reply(415, ""), second, reply_token("taken")]);
        let options = Options::to(&server.url());
        options.set_max_retries(0).unwrap();
        assert_eq!(code(options.login(ADA, PASSWORD)), expected);
        options.login(ADA, PASSWORD).unwrap();
        assert_eq!(encodings(&server), ["form", "JSON", "form"], "after {expected:?}");
    }
}

#[test]
fn form_is_never_remembered() {
    let server = FaultServer::replying([reply_token("a"), reply(415, ""), reply_token("b")]);
    let options = Options::to(&server.url());
    options.login(ADA, PASSWORD).unwrap();
    options.login(ADA, PASSWORD).unwrap();
    assert_eq!(encodings(&server), ["form", "form", "JSON"]);
}

#[test]
fn pinned_format_is_the_only_one_sent() {
    for (format, expected) in [(CD_BODY_FORM, "form"), (CD_BODY_JSON, "JSON")] {
        for status in [400, 415, 422] {
            let server = FaultServer::replying([reply(status, ""), reply_token("t")]);
            let options = Options::to(&server.url());
            options.set_body_format(format).unwrap();
            let error = options.login(ADA, PASSWORD).unwrap_err();
            assert_eq!((error.http_status, error.attempts), (status.into(), 1));
            options.login(ADA, PASSWORD).unwrap();
            assert_eq!(encodings(&server), [expected, expected]);
        }
    }
}

#[test]
fn retry_keeps_the_body_format() {
    let server = FaultServer::replying([
        reply(503, ""),
        reply(415, ""),
        reply(503, ""),
        reply(429, ""),
        reply_token("t"),
    ]);
    Options::to(&server.url()).login(ADA, PASSWORD).unwrap();
    assert_eq!(encodings(&server), ["form", "form", "JSON", "JSON", "JSON"]);
}

// ---- statuses

#[test]
fn every_status_has_its_code() {
    let server = FaultServer::responding(|request| {
        // The path contains the requested status.
        let status = request.head.split(['/', ' ']).find_map(|part| part.parse().ok()).unwrap();
        let body = if matches!(status, 204 | 304) { "" } else { r#"{"token":"t"}"# };
        reply(status, body)
    });
    for status in 200..=599 {
        let options = Options::to(&format!("{}/{status}", server.url()));
        options.set_max_retries(0).unwrap();
        let expected = match status {
            200 => CD_OK,
            401 => CD_ERR_TWO_FACTOR_REQUIRED,
            403 => CD_ERR_ACCESS_DENIED,
            429 => CD_ERR_RATE_LIMITED,
            500 | 502 | 504 => CD_ERR_SERVER,
            503 => CD_ERR_UNAVAILABLE,
            _ => CD_ERR_HTTP_STATUS,
        };
        match options.login(ADA, PASSWORD) {
            Ok(token) => assert_eq!((status, token.text().as_str()), (200, "t")),
            Err(error) => {
                assert_eq!((error.code, error.http_status), (expected, status), "{}", error.message);
                let attempts = if matches!(status, 400 | 415 | 422) { 2 } else { 1 };
                assert_eq!(error.attempts, attempts, "{status}");
                assert!(error.message.contains(&format!("HTTP status {status}")), "{}", error.message);
                assert_eq!(error.retry_after, -1);
            }
        }
    }
    assert_eq!(server.requests().len(), 400 + 3);
}

#[test]
fn each_fake_server_account_has_its_result() {
    let fake_server = FakeServer::start();
    let table = [
        (ADA, PASSWORD, CD_OK, 0, None, -1),
        (BEETLE.0, BEETLE.1, CD_OK, 0, None, -1),
        (ADA, "not-the-one", CD_ERR_ACCESS_DENIED, 403, Some("Access denied"), -1),
        ("nobody@example.com", PASSWORD, CD_ERR_ACCESS_DENIED, 403, Some("Access denied"), -1),
        (
            "twofactor@example.com",
            PASSWORD,
            CD_ERR_TWO_FACTOR_REQUIRED,
            401,
            Some("Two-factor authentication is required"),
            -1,
        ),
        ("limited@example.com", PASSWORD, CD_ERR_RATE_LIMITED, 429, Some("Too many requests"), 3600),
        ("down@example.com", PASSWORD, CD_ERR_UNAVAILABLE, 503, None, -1),
        ("broken@example.com", PASSWORD, CD_ERR_SERVER, 500, Some("Internal error 7"), -1),
        ("portal@example.com", PASSWORD, CD_ERR_MALFORMED_RESPONSE, 200, None, -1),
        ("moved@example.com", PASSWORD, CD_ERR_HTTP_STATUS, 307, None, -1),
    ];
    for options in both(&fake_server) {
        options.set_max_retries(0).unwrap();
        for (username, password, expected, http_status, shown, retry_after) in table {
            let before = fake_server.requests().len();
            match options.login(username, password) {
                Ok(token) => assert_eq!((expected, token.text().len()), (CD_OK, 36)),
                Err(error) => {
                    let Error { code, message, server_message, .. } = error;
                    assert_eq!((code, server_message.as_deref()), (expected, shown), "{username}");
                    assert_eq!((error.http_status, error.retry_after), (http_status, retry_after));
                    assert_eq!(error.attempts, 1);
                    assert!(
                        !shown.is_some_and(|shown| message.contains(shown)),
                        "it quotes the server: {message}"
                    );
                    assert!(!message.contains(username) && !message.contains(password), "{message}");
                }
            }
            assert_eq!(fake_server.requests().len(), before + 1, "{username}");
        }
    }
}

// ---- redirects

#[test]
fn redirect_never_sends_the_password() {
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    target.set_nonblocking(true).unwrap();
    let elsewhere = format!("http://{}/elsewhere", target.local_addr().unwrap());
    for status in [301, 302, 303, 307, 308] {
        // With `Connection: close` the library uses another parser.
        for fields in ["", "Connection: close\r\n"] {
            let fields = format!("Location: {elsewhere}\r\n{fields}");
            let server = FaultServer::responding(move |_| reply_with(status, &fields, "moved"));
            let error = Options::to(&server.url()).login(ADA, PASSWORD).unwrap_err();
            assert_eq!((error.code, error.http_status), (CD_ERR_HTTP_STATUS, status.into()));
            assert_eq!((error.attempts, server.requests().len()), (1, 1));
            assert!(error.message.contains("Redirects are never followed"), "{}", error.message);
        }
    }
    let not_connected = target.accept().unwrap_err();
    assert_eq!(not_connected.kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn redirect_within_the_service_is_not_followed() {
    let fake_server = FakeServer::start();
    for options in both(&fake_server) {
        options.login("moved@example.com", PASSWORD).unwrap_err();
    }
    assert!(fake_server.requests().iter().all(|request| request.path == "/authenticate"));
    assert_eq!(fake_server.requests().len(), 2);
}

// ---- retries

#[test]
fn transient_status_is_retried_until_success() {
    for status in [429, 500, 502, 503, 504] {
        let server = FaultServer::replying([reply(status, ""), reply(status, ""), reply_token("at-last")]);
        assert_eq!(Options::to(&server.url()).login(ADA, PASSWORD).unwrap().text(), "at-last");
        let requests = server.requests();
        assert_eq!(requests.len(), 3);
        assert!(requests.iter().all(|request| request.body == requests[0].body));
        assert_eq!(server.connections().len(), 1);
    }
}

#[test]
fn attempts_are_retries_plus_one() {
    for status in [429, 500, 502, 503, 504] {
        for retries in [0, 1, 2, 10] {
            let server = always(status);
            let options = Options::to(&server.url());
            options.set_max_retries(retries).unwrap();
            let error = options.login(ADA, PASSWORD).unwrap_err();
            assert_eq!((error.http_status, error.attempts), (status.into(), retries + 1));
            assert_eq!(server.requests().len(), retries as usize + 1);
        }
    }
}

#[test]
fn four_retries_are_the_default() {
    let server = always(503);
    assert_eq!(Options::to(&server.url()).login(ADA, PASSWORD).unwrap_err().attempts, 5);
}

#[test]
fn other_statuses_are_not_retried() {
    for status in [201, 204, 301, 401, 403, 404, 408, 421, 425, 501, 505, 511, 599] {
        let server = always(status);
        let error = Options::to(&server.url()).login(ADA, PASSWORD).unwrap_err();
        assert_eq!((error.attempts, server.requests().len()), (1, 1), "{status}");
    }
    for body in ["", "{}", "<html>"] {
        let server = FaultServer::responding(move |_| reply(200, body));
        let error = Options::to(&server.url()).login(ADA, PASSWORD).unwrap_err();
        assert_eq!((error.code, error.attempts), (CD_ERR_MALFORMED_RESPONSE, 1));
    }
}

#[test]
fn connection_closed_without_a_response_is_not_retried() {
    let server = FaultServer::responding(|_| last(""));
    let error = Options::to(&server.url()).login(ADA, PASSWORD).unwrap_err();
    assert_eq!((error.code, error.http_status, error.attempts), (CD_ERR_CONNECTION_LOST, 0, 1));
    assert_eq!((server.requests().len(), server.connections().len()), (1, 1));
}

#[test]
fn last_response_is_the_result() {
    let server = FaultServer::replying([
        reply_with(429, "Retry-After: 0\r\n", r#"{"error":"first"}"#),
        reply(503, r#"{"error":"second"}"#),
        reply(403, r#"{"err":"third"}"#),
    ]);
    let error = Options::to(&server.url()).login(ADA, PASSWORD).unwrap_err();
    let expected = (CD_ERR_ACCESS_DENIED, 403, Some("third"), -1, 3);
    let Error { code, http_status, server_message, retry_after, attempts, .. } = error;
    assert_eq!((code, http_status, server_message.as_deref(), retry_after, attempts), expected);
}

#[test]
fn attempt_without_a_response_has_no_status() {
    let server = FaultServer::replying([
        reply_with(429, "Retry-After: 0\r\n", "slow down"),
        last("HTTP/1.1 200 OK\r\n"),
    ]);
    let error = Options::to(&server.url()).login(ADA, PASSWORD).unwrap_err();
    let expected = (CD_ERR_CONNECTION_LOST, 0, None, -1, 2);
    let Error { code, http_status, server_message, retry_after, attempts, .. } = error;
    assert_eq!((code, http_status, server_message, retry_after, attempts), expected);
}

#[test]
fn retry_after_beyond_the_deadline_returns_at_once() {
    let fake_server = FakeServer::start();
    for options in both(&fake_server) {
        let (done, took) = timed(|| options.login("limited@example.com", PASSWORD));
        let error = done.unwrap_err();
        assert_eq!((error.code, error.http_status, error.retry_after), (CD_ERR_RATE_LIMITED, 429, 3600));
        assert_eq!(error.attempts, 1);
        assert!(took < PATIENCE, "it waited: {took:?}");
    }
    assert_eq!(fake_server.requests().len(), 2);
}

#[test]
fn retry_after_is_waited_for() {
    let fake_server = FakeServer::start();
    let (token, took) = timed(|| Options::to(fake_server.http_url()).login("busy@example.com", PASSWORD));
    token.unwrap();
    assert!(took.as_millis() >= 1000, "Retry-After is a second: {took:?}");
    assert_eq!(
        fake_server.requests().iter().map(|request| request.status.unwrap()).collect::<Vec<_>>(),
        [429, 200]
    );
}

#[test]
fn retry_after_is_read_as_seconds_or_date() {
    let date = "Date: Wed, 21 Oct 2015 07:28:00 GMT\r\n";
    for (fields, expected) in [
        ("Retry-After: 120\r\n".to_owned(), 120),
        ("retry-after:  7 \r\n".to_owned(), 7),
        ("Retry-After: 0\r\n".to_owned(), 0),
        (format!("{date}Retry-After: Wed, 21 Oct 2015 07:29:30 GMT\r\n"), 90),
        (format!("{date}Retry-After: Wednesday, 21-Oct-15 07:29:30 GMT\r\n"), 90),
        (format!("{date}Retry-After: Wed Oct 21 07:29:30 2015\r\n"), 90),
        (format!("{date}Retry-After: Wed, 21 Oct 2015 07:00:00 GMT\r\n"), 0),
        ("Retry-After: 9223372036854775807\r\n".to_owned(), i64::MAX),
        ("Retry-After: 9223372036854775808\r\n".to_owned(), -1),
        ("Retry-After: -1\r\n".to_owned(), -1),
        ("Retry-After: 1.5\r\n".to_owned(), -1),
        ("Retry-After: soon\r\n".to_owned(), -1),
        ("Retry-After:\r\n".to_owned(), -1),
        (String::new(), -1),
    ] {
        for close in ["", "Connection: close\r\n"] {
            let fields = format!("{fields}{close}");
            let server = FaultServer::replying([reply_with(429, &fields, "")]);
            let options = Options::to(&server.url());
            options.set_max_retries(0).unwrap();
            let error = options.login(ADA, PASSWORD).unwrap_err();
            assert_eq!((error.code, error.retry_after), (CD_ERR_RATE_LIMITED, expected), "{fields}");
        }
    }
}

#[test]
fn refused_connection_is_retried_and_not_counted() {
    let refusing = Refusing::new();
    for retries in [0, 2] {
        let log = Log::new();
        let options = Options::to(&format!("http://{}", refusing.authority()));
        options.set_max_retries(retries).unwrap().set_logger(&log, CD_LOG_DEBUG).unwrap();
        let error = options.login(ADA, PASSWORD).unwrap_err();
        assert_eq!((error.code, error.http_status, error.attempts), (CD_ERR_CONNECT, 0, 0));
        assert_eq!(log.count("retrying"), retries as usize);
    }
}

// ---- connections

#[test]
fn consecutive_logins_share_a_connection() {
    let fake_server = FakeServer::start();
    for options in both(&fake_server) {
        for _ in 0..3 {
            options.login(ADA, PASSWORD).unwrap();
        }
        options.login(ADA, "wrong").unwrap_err();
        options.login(ADA, PASSWORD).unwrap();
    }
    let connections = fake_server.connections();
    assert_eq!((connections.http.accepted, connections.https.accepted), (1, 1));
    assert_eq!(fake_server.requests().len(), 10);
}

#[test]
fn options_do_not_share_connections() {
    let fake_server = FakeServer::start();
    for _ in 0..2 {
        Options::to(fake_server.http_url()).login(ADA, PASSWORD).unwrap();
    }
    assert_eq!(fake_server.connections().http.accepted, 2);
}

#[test]
fn freeing_options_closes_connections() {
    let fake_server = FakeServer::start();
    let options = Options::secure(&fake_server);
    options.login(ADA, PASSWORD).unwrap();
    assert_eq!(fake_server.connections().https.open, 1);
    drop(options);
    assert!(fake_server.wait_for_connections(PATIENCE, |connections| connections.https.open == 0));
}

#[test]
fn connection_closed_while_idle_is_replaced() {
    let fake_server = FakeServer::start();
    for options in both(&fake_server) {
        options.login(ADA, PASSWORD).unwrap();
        fake_server.close_connections();
        options.login(ADA, PASSWORD).unwrap();
    }
    let connections = fake_server.connections();
    assert_eq!((connections.http.accepted, connections.https.accepted), (2, 2));
    assert_eq!(fake_server.requests().len(), 4);
}

/// The ways in which a reused connection may end before the first byte of a response.
fn endings_without_response() -> [Script; 3] {
    [last(""), reply(408, ""), reply(421, "")]
}

#[test]
fn login_on_a_closed_reused_connection_is_resent() {
    for ended in endings_without_response() {
        let server = FaultServer::replying([reply_token("first"), ended, reply_token("again")]);
        let options = Options::to(&server.url());
        options.set_max_retries(0).unwrap(); // this does not count as a retry
        options.login(ADA, PASSWORD).unwrap();
        assert_eq!(options.login(ADA, PASSWORD).unwrap().text(), "again");
        let requests = server.requests();
        assert_eq!(requests.iter().map(|request| request.connection).collect::<Vec<_>>(), [0, 0, 1]);
        assert_eq!(requests[1].body, requests[2].body);
    }
}

#[test]
fn login_is_resent_once_and_both_attempts_count() {
    for (ended, status) in endings_without_response().into_iter().zip([403, 408, 421]) {
        let server =
            FaultServer::replying([reply_token("first"), ended, reply(status, ""), reply_token("never")]);
        let options = Options::to(&server.url());
        options.login(ADA, PASSWORD).unwrap();
        let error = options.login(ADA, PASSWORD).unwrap_err();
        assert_eq!((error.http_status, error.attempts), (status.into(), 2));
        assert_eq!(server.requests().len(), 3);
    }
    let gone = || last("");
    let server = FaultServer::replying([reply_token("first"), gone(), gone(), reply_token("never")]);
    let options = Options::to(&server.url());
    options.login(ADA, PASSWORD).unwrap();
    let error = options.login(ADA, PASSWORD).unwrap_err();
    assert_eq!((error.code, error.attempts), (CD_ERR_CONNECTION_LOST, 2));
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn truncation_on_a_reused_connection_is_not_resent() {
    let cut = last("HTTP/1.1 200 OK\r\nContent-");
    let server = FaultServer::replying([reply_token("first"), cut, reply_token("never")]);
    let options = Options::to(&server.url());
    options.login(ADA, PASSWORD).unwrap();
    let error = options.login(ADA, PASSWORD).unwrap_err();
    assert_eq!((error.code, error.http_status, error.attempts), (CD_ERR_CONNECTION_LOST, 0, 1));
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn connection_is_kept_after_unambiguous_framing() {
    let body = r#"{"token":"t"}"#;
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nd\r\n{\"token\":\"t\"}\r\n0\r\n\r\n";
    let trailing = "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{\"token\":\"t\"}\r\n";
    let old = "HTTP/1.0 200 OK\r\nContent-Length: 13\r\n\r\n{\"token\":\"t\"}";
    let bare = "HTTP/1.1 200 OK\nContent-Length: 13\n\n{\"token\":\"t\"}";
    for (first, kept) in [
        (reply(200, body), true),
        (reply_with(200, "Connection: keep-alive\r\n", body), true),
        (vec![send(chunked)], true),
        (reply_with(200, "Connection: close\r\n", body), false),
        (vec![send(trailing)], false),
        (vec![send(old)], false),
        (vec![send(bare)], false),
    ] {
        let server = FaultServer::replying([first, reply_token("u")]);
        let options = Options::to(&server.url());
        assert_eq!(options.login(ADA, PASSWORD).unwrap().text(), "t");
        assert_eq!(options.login(ADA, PASSWORD).unwrap().text(), "u");
        assert_eq!(server.connections().len(), if kept { 1 } else { 2 });
    }
}

// ---- the server's message

/// The server message of a refusal with this body.
fn server_message(password: &str, body: impl AsRef<[u8]>) -> Option<String> {
    let server = FaultServer::replying([reply(403, body)]);
    Options::to(&server.url()).login(ADA, password).unwrap_err().server_message
}

#[test]
fn server_message_is_err_error_or_plain_text() {
    for (body, expected) in [
        (r#"{"err":"Access denied"}"#, Some("Access denied")),
        (r#"{"error":"Access denied"}"#, Some("Access denied")),
        (r#"{"code":1,"error":"x","more":[{}]}"#, Some("x")),
        (r#"{"err":7,"error":"x"}"#, Some("x")),
        (r#"{"err":"caf\u00e9 \/ \ud83d\ude00"}"#, Some("café / 😀")),
        ("Bad gateway", Some("Bad gateway")),
        ("<html>\n<body>Oops</body>\n</html>\n", Some("<html><body>Oops</body></html>")),
        (r#"{"err":"#, Some(r#"{"err":"#)),
        (r#"{"err":"x"} y"#, Some(r#"{"err":"x"} y"#)),
        ("", None),
        (" \r\n\t ", None),
        ("{}", None),
        ("[]", None),
        ("null", None),
        ("\"text\"", None),
        (r#"{"err":null}"#, None),
        (r#"{"err":""}"#, None),
        (r#"{"err":" \n "}"#, None),
        (r#"{"err":["x"]}"#, None),
        (r#"{"message":"x"}"#, None),
    ] {
        assert_eq!(server_message(PASSWORD, body).as_deref(), expected, "{body}");
    }
}

#[test]
fn server_message_is_trimmed_and_sanitized() {
    for (body, expected) in [
        (&b"  \t Bad gateway \r\n"[..], "Bad gateway"),
        (br#"{"err":"\u0000a\u001b[31mb\u007f\u0085c\r\nd"}"#, "a[31mbcd"),
        (b"a\0b\x1bc\x7fd", "abcd"),
        ("a\u{202e}b\u{2066}c".as_bytes(), "abc"),
        (b"caf\xc3\xa9 \xff!", "café \u{fffd}!"),
    ] {
        assert_eq!(server_message(PASSWORD, body).as_deref(), Some(expected));
    }
}

#[test]
fn server_message_is_at_most_1_kib() {
    assert_eq!(server_message(PASSWORD, "x".repeat(1024)).unwrap(), "x".repeat(1024));
    assert_eq!(server_message(PASSWORD, "x".repeat(1025)).unwrap(), "x".repeat(1024));
    assert_eq!(
        server_message(PASSWORD, format!(r#"{{"err":"{}"}}"#, "x".repeat(3000))).unwrap(),
        "x".repeat(1024)
    );
    assert_eq!(server_message(PASSWORD, "é".repeat(700)).unwrap(), "é".repeat(512));
    assert_eq!(
        server_message(PASSWORD, format!("x{}", "é".repeat(700))).unwrap(),
        format!("x{}", "é".repeat(511))
    );
    assert_eq!(server_message(PASSWORD, "€".repeat(700)).unwrap(), "€".repeat(341));
    assert_eq!(server_message(PASSWORD, format!("{}end", " ".repeat(2000))).unwrap(), "end");
    // The library reads only the start of a longer refusal, and shows it.
    assert_eq!(server_message(PASSWORD, "x".repeat(200 << 10)).unwrap(), "x".repeat(1024));
}

#[test]
fn server_message_never_contains_the_password() {
    let password = "p w&\"é\\";
    for body in [
        "no: p w&\"é\\ is wrong".to_owned(),
        r#"{"err":"no: p w&\"é\\"}"#.to_owned(),
        r#"{"err":"no: p w\u0026\"\u00e9\\"}"#.to_owned(),
        "username=x&password=p+w%26%22%C3%A9%5C".to_owned(),
        r#"{"password":"p w&\"é\\"} broken"#.to_owned(),
        // Also if it would be truncated, or contains characters that are removed.
        format!("{}p w&\"é\\", "x".repeat(1020)),
        "p w\u{7}&\"é\\".to_owned(),
    ] {
        assert_eq!(server_message(password, body.as_str()), None, "{body}");
    }
    assert!(server_message(password, "no: p w& is wrong").is_some());
}

#[test]
fn status_200_has_no_server_message() {
    for body in [r#"{"err":"a secret"}"#, "a secret", r#"{"token":"a secret"}"#, r#"{"token":["a-secret"]}"#]
    {
        let server = FaultServer::replying([reply(200, body)]);
        let error = Options::to(&server.url()).login(ADA, PASSWORD).unwrap_err();
        assert_eq!((error.code, error.http_status), (CD_ERR_MALFORMED_RESPONSE, 200));
        assert_eq!(error.server_message, None);
        assert!(!error.message.contains("secret"), "{}", error.message);
    }
}

// ---- the token

/// A login that gets a 200 with this body.
fn login_with(body: impl AsRef<[u8]>) -> Result<String, Error> {
    let server = FaultServer::replying([reply(200, body)]);
    let options = Options::to(&server.url());
    options.set_max_response_bytes(16 << 20).unwrap();
    options.login(ADA, PASSWORD).map(|token| token.text())
}

#[test]
fn token_is_any_valid_header_value() {
    let all: String = (0x21..=0x7e_u8).map(char::from).collect();
    let escaped = all.replace('\\', "\\\\").replace('"', "\\\"");
    assert_eq!(login_with(format!(r#"{{"token":"{escaped}"}}"#)).unwrap(), all);
    for (body, expected) in [
        (r#"{"token":"x"}"#, "x"),
        ("\r\n {\t\"token\" :\n\"x\" } \n", "x"),
        (r#"{"a":{"token":"no"},"b":["token"],"token":"x","Token":"no"}"#, "x"),
        (r#"{"token":"\u0041\/b"}"#, "A/b"),
        (r#"{"\u0074oken":"x"}"#, "x"),
    ] {
        assert_eq!(login_with(body).unwrap(), expected, "{body}");
    }
}

#[test]
fn token_has_1_to_65536_bytes() {
    let token = |length| format!(r#"{{"token":"{}"}}"#, "x".repeat(length));
    assert_eq!(login_with(token(1)).unwrap(), "x");
    assert_eq!(login_with(token(65_536)).unwrap().len(), 65_536);
    assert_eq!(code(login_with(token(65_537))), CD_ERR_MALFORMED_RESPONSE);
    assert_eq!(code(login_with(token(0))), CD_ERR_MALFORMED_RESPONSE);
}

#[test]
fn status_200_without_a_token_is_malformed() {
    for body in [
        "",
        " ",
        "{}",
        "null",
        "[]",
        "\"x\"",
        "token=x",
        "<html>",
        r#"{"token":null}"#,
        r#"{"token":1}"#,
        r#"{"token":true}"#,
        r#"{"token":["x"]}"#,
        r#"{"token":{"token":"x"}}"#,
        r#"{"data":{"token":"x"}}"#,
        r#"[{"token":"x"}]"#,
        r#"{"Token":"x"}"#,
        r#"{"token":"x","token":"x"}"#,
        r#"{"token":"x","token":null}"#,
        r#"{"token":"x""#,
        r#"{"token":"x",}"#,
        r#"{"token":"x"} x"#,
        r#"{"token":"x"}{"token":"y"}"#,
        "\u{feff}{\"token\":\"x\"}",
        r#"{"token":"a b"}"#,
        r#"{"token":"a\r\nX: y"}"#,
        r#"{"token":"a\u0000"}"#,
        r#"{"token":"a\u007f"}"#,
        r#"{"token":"é"}"#,
    ] {
        let error = login_with(body).unwrap_err();
        assert_eq!((error.code, error.http_status), (CD_ERR_MALFORMED_RESPONSE, 200), "{body}");
        assert_eq!((error.attempts, error.retry_after), (1, -1));
    }
    assert_eq!(code(login_with(b"{\"token\":\"\xff\"}")), CD_ERR_MALFORMED_RESPONSE);
}

// ---- responses that are truncated, broken or too large

#[test]
fn bad_response_error_names_the_fault() {
    let no_body = || b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{".to_vec();
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(101));
    let large = format!("HTTP/1.1 200 OK\r\na: {}\r\n\r\n", "x".repeat(65 << 10));
    let interim =
        format!("{}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 102 P\r\n\r\n".repeat(17));
    let framing = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n";
    let longer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 65_537);
    let chunks = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10001\r\n{}\r\n0\r\n\r\n",
        "x".repeat(65_537)
    );
    for (what, bytes, expected, status) in [
        ("a truncated head", b"HTTP/1.1 200 OK\r\nConte".to_vec(), CD_ERR_CONNECTION_LOST, 0),
        ("a truncated body", no_body(), CD_ERR_CONNECTION_LOST, 200),
        ("not HTTP", b"SSH-2.0-OpenSSH\r\n".to_vec(), CD_ERR_MALFORMED_RESPONSE, 0),
        ("invalid framing", framing.into(), CD_ERR_MALFORMED_RESPONSE, 200),
        ("101 fields", many.into(), CD_ERR_RESPONSE_TOO_LARGE, 0),
        ("a large head", large.into(), CD_ERR_RESPONSE_TOO_LARGE, 0),
        ("17 interim responses", interim.into(), CD_ERR_RESPONSE_TOO_LARGE, 0),
        ("a body over the limit", longer.into(), CD_ERR_RESPONSE_TOO_LARGE, 200),
        ("chunks over the limit", chunks.into(), CD_ERR_RESPONSE_TOO_LARGE, 200),
    ] {
        let server = FaultServer::replying([last(bytes)]);
        let error = Options::to(&server.url()).login(ADA, PASSWORD).unwrap_err();
        assert_eq!((error.code, error.http_status), (expected, status), "{what}: {}", error.message);
        assert_eq!((error.attempts, error.server_message), (1, None), "{what}");
    }
}

#[test]
fn error_status_decides_despite_a_bad_body() {
    for bytes in [
        "HTTP/1.1 403 No\r\nContent-Length: 99\r\n\r\nAccess de",
        "HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nAccess de\r\nxyz",
        "HTTP/1.1 403 No\r\n\r\nAccess de",
    ] {
        let server = FaultServer::replying([last(bytes)]);
        let error = Options::to(&server.url()).login(ADA, PASSWORD).unwrap_err();
        assert_eq!(
            (error.code, error.http_status, error.attempts),
            (CD_ERR_ACCESS_DENIED, 403, 1),
            "{bytes}"
        );
        assert_eq!(error.server_message.as_deref(), Some("Access de"), "{bytes}");
    }
}

#[test]
fn response_limit_is_configurable() {
    let body = |length: usize| format!("{}{}", r#"{"token":"t"}"#, " ".repeat(length - 13));
    for (limit, length, fits) in [(1024, 1024, true), (1024, 1025, false), (1 << 20, 1 << 20, true)] {
        let server = FaultServer::replying([reply(200, body(length))]);
        let options = Options::to(&server.url());
        options.set_max_response_bytes(limit).unwrap();
        let expected = if fits { CD_OK } else { CD_ERR_RESPONSE_TOO_LARGE };
        assert_eq!(code(options.login(ADA, PASSWORD)), expected, "{length} of {limit}");
    }
    let server = FaultServer::replying([reply(200, body(65_536)), reply(200, body(65_537))]);
    let options = Options::to(&server.url());
    options.login(ADA, PASSWORD).unwrap();
    assert_eq!(code(options.login(ADA, PASSWORD)), CD_ERR_RESPONSE_TOO_LARGE);
}

// ---- many logins in parallel

#[test]
fn concurrent_switch_to_json_succeeds() {
    let server =
        Arc::new(FaultServer::responding(
            |request| if request.is_json() { reply_token("t") } else { reply(415, "") },
        ));
    let options = Options::to(&server.url());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..4 {
                    options.login(ADA, PASSWORD).unwrap();
                }
            });
        }
    });
    assert_eq!(encodings(&server).iter().filter(|encoding| **encoding == "JSON").count(), 32);
    options.login(ADA, PASSWORD).unwrap();
    assert_eq!(encodings(&server).last(), Some(&"JSON"));
}
