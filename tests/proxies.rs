//! Proxies: the requests to them, the handling of their responses, and the data that they must never receive.

mod common;
mod resolver;

use std::ffi::{CStr, c_char, c_int};
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::client::*;
use couchdrop::error::cd_code::{self, *};
use fault_server::Step::{Close, Cut, CutAfter, Read, Request};
use fault_server::*;
use socket2::{Domain, Socket, Type};

/// The number of lookups of `localhost`, which must stay 0.
static LOOKUPS_OF_LOCALHOST: AtomicUsize = AtomicUsize::new(0);

/// The address of every name here. Nothing listens there except the far end of the proxy, which maps the address.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);

/// Replaces the C library's getaddrinfo.
///
/// # Safety
/// Same contract as getaddrinfo.
#[unsafe(no_mangle)]
unsafe extern "C" fn getaddrinfo(
    node: *const c_char,
    _service: *const c_char,
    _hints: *const libc::addrinfo,
    result: *mut *mut libc::addrinfo,
) -> c_int {
    // SAFETY: a name, as the caller promises.
    let address = match unsafe { CStr::from_ptr(node) }.to_bytes() {
        b"localhost" => {
            LOOKUPS_OF_LOCALHOST.fetch_add(1, Ordering::SeqCst);
            Ipv4Addr::LOCALHOST
        }
        b"api.couchdrop.test" => ADDRESS,
        _ => return libc::EAI_NONAME,
    };
    // SAFETY: may be written to, as the caller promises.
    unsafe { *result = resolver::list(&[address]) };
    0
}

/// A base URL that only a proxy can reach.
const BASE: &str = "https://api.couchdrop.test:8443";
const AUTHORITY: &str = "api.couchdrop.test:8443";
const PORT: [u8; 2] = 8443_u16.to_be_bytes();

/// A proxy's credentials, as encoded in its URL.
const USER_INFO: &str = "prox%79:p%40ss%3Aw%C3%B6rd";
const PROXY_USER: &str = "proxy";
const PROXY_PASSWORD: &str = "p@ss:wörd";

/// A login with three retries through a proxy that plays `script` on each connection. Returns the number of connections
/// too.
fn login_with_retries(url: impl Fn(u16) -> String, script: Script) -> (Outcome, usize) {
    let server = FaultServer::plain(vec![script]);
    let client = Client::new(BASE).proxy(&url(server.port())).retries(3);
    let outcome = client.login();
    drop(client);
    (outcome, server.connections().len())
}

/// Secrets that neither a message nor a log line may contain.
fn proxy_secrets() -> [String; 5] {
    let basic = STANDARD.encode(format!("{PROXY_USER}:{PROXY_PASSWORD}"));
    ["p@ss".into(), "p%40ss".into(), "wörd".into(), "prox%79".into(), basic]
}

#[track_caller]
fn assert_no_proxy_secrets(client: &Client, outcome: &Outcome) {
    let mut lines = client.log();
    lines.extend([outcome.message.clone(), outcome.server_message.clone().unwrap_or_default()]);
    for secret in proxy_secrets() {
        assert!(!lines.iter().any(|line| line.contains(&secret)), "{secret} is in {lines:?}");
    }
}

fn http(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// A login through a proxy that plays this on its first connection. Also returns the bytes that it received.
fn login_through(url: impl Fn(u16) -> String, script: Script) -> (Outcome, Vec<u8>, String) {
    let server = FaultServer::plain(vec![script]);
    let client = Client::new(BASE).proxy(&url(server.port()));
    let outcome = client.login();
    assert_no_proxy_secrets(&client, &outcome);
    drop(client);
    let seen = server.wait_until_over(1);
    assert_eq!(seen.len(), 1, "{outcome:?}");
    assert_eq!(outcome.attempts, 0, "{outcome:?}");
    (outcome, seen[0].received.clone(), format!("127.0.0.1:{}", server.port()))
}

#[track_caller]
fn assert_fails(what: &str, outcome: &Outcome, code: cd_code, status: i32, parts: &[&str]) {
    assert_eq!(outcome.code, code as i32, "{what}: {outcome:?}");
    assert_eq!(outcome.http_status, status, "{what}: {outcome:?}");
    for part in parts {
        assert!(outcome.message.contains(part), "{what}: no {part:?} in {:?}", outcome.message);
    }
}

// ---- retries

#[test]
fn unreachable_target_is_retried_through_http_proxy() {
    for (status, connections) in
        [(429, 4), (500, 4), (502, 4), (503, 4), (504, 4), (403, 1), (404, 1), (407, 1)]
    {
        let (outcome, made) = login_with_retries(http, whole(json_response(status, "no")));
        assert_fails("a refusal", &outcome, CD_ERR_PROXY, status.into(), &["refused the tunnel"]);
        assert_eq!((made, outcome.attempts, outcome.retry_after), (connections, 0, -1), "{status}");
    }
}

#[test]
fn unreachable_target_is_retried_through_socks_proxy() {
    for (reply, connections) in [(1, 4), (2, 1), (3, 4), (4, 4), (5, 4), (6, 4), (7, 1), (8, 1), (9, 1)] {
        let refusal = send([5, reply, 0, 1, 0, 0, 0, 0, 0, 0]);
        let script = vec![Read(3), send([5, 0]), Read(by_name().len()), refusal];
        let (outcome, made) = login_with_retries(socks("socks5h"), script);
        assert_fails("a refusal", &outcome, CD_ERR_PROXY, 0, &[&format!("reply {reply}")]);
        assert_eq!(made, connections, "{reply}");
    }
}

#[test]
fn unreadable_field_does_not_hide_the_status_of_a_refusal() {
    for fields in ["X: y\r\n z\r\n", "X y: z\r\n", &"X: y\r\n".repeat(101)] {
        let refusal = format!("HTTP/1.1 503 No\r\n{fields}\r\n");
        let (outcome, made) = login_with_retries(http, whole(refusal));
        assert_fails("a refusal", &outcome, CD_ERR_PROXY, 503, &["status 503"]);
        assert_eq!((made, outcome.retryable), (4, true), "{fields}");
    }
    let (outcome, made) = login_with_retries(http, whole("HTTP/1.1 200 OK\r\nX y: z\r\n\r\n"));
    assert_fails("a tunnel", &outcome, CD_ERR_PROXY, 0, &["not HTTP"]);
    assert_eq!(made, 1);
}

#[test]
fn proxy_retry_after_beyond_the_deadline_is_returned() {
    let busy = "HTTP/1.1 429 Busy\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n";
    let (outcome, made) = login_with_retries(http, whole(busy));
    assert_fails("busy", &outcome, CD_ERR_PROXY, 429, &["status 429"]);
    assert_eq!((made, outcome.retry_after, outcome.retryable), (1, 3600, true));
}

// ---- HTTP CONNECT

/// The credentials are sent only if the proxy's URL has some.
#[test]
fn connect_request_has_host_and_credentials() {
    let refusal = "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n";
    let (_, seen, _) = login_through(http, whole(refusal));
    let agent = concat!("libcouchdrop/", env!("CARGO_PKG_VERSION"));
    let plain = format!("CONNECT {AUTHORITY} HTTP/1.1\r\nHost: {AUTHORITY}\r\nUser-Agent: {agent}\r\n\r\n");
    assert_eq!(String::from_utf8(seen).unwrap(), plain);

    let (_, seen, _) = login_through(|port| format!("http://{USER_INFO}@127.0.0.1:{port}"), whole(refusal));
    let basic = STANDARD.encode(format!("{PROXY_USER}:{PROXY_PASSWORD}"));
    let head = plain.trim_end();
    assert_eq!(
        String::from_utf8(seen).unwrap(),
        format!("{head}\r\nProxy-Authorization: Basic {basic}\r\n\r\n")
    );
}

#[test]
fn refused_connect_is_a_proxy_error_with_its_status() {
    for status in [300_u16, 302, 400, 401, 403, 404, 407, 429, 500, 502, 503, 504, 599] {
        let (outcome, _, address) =
            login_through(http, whole(json_response(status, "the proxy's own message")));
        let parts = ["refused the tunnel", &status.to_string(), &address];
        assert_fails("a refusal", &outcome, CD_ERR_PROXY, status.into(), &parts);
        assert_eq!(outcome.server_message, None);
        assert_eq!(outcome.message.contains("user name and a password"), status == 407);
        assert_eq!(outcome.retryable, matches!(status, 429 | 500 | 502 | 503 | 504), "{status}");
    }
    let (outcome, ..) = login_through(
        |port| format!("http://{USER_INFO}@127.0.0.1:{port}"),
        whole("HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n"),
    );
    let parts = ["rejected the user name and password"];
    assert_fails("wrong credentials", &outcome, CD_ERR_PROXY, 407, &parts);
}

#[test]
fn invalid_connect_response_is_a_proxy_error() {
    for response in [
        &b"garbage\r\n\r\n"[..],
        b"\x05\x00",
        b"\0\0\0\0",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
    ] {
        let (outcome, _, address) = login_through(http, vec![Request, send(response)]);
        assert_fails("garbage", &outcome, CD_ERR_PROXY, 0, &["not HTTP", &address]);
    }
    for endless in ["HTTP/1.1 103 X\r\n\r\n".repeat(17), format!("HTTP/1.1 200 {}", "x".repeat(70_000))] {
        let (outcome, ..) = login_through(http, vec![Request, send(endless)]);
        assert_eq!(outcome.code, CD_ERR_PROXY as i32, "{outcome:?}");
    }
}

#[test]
fn bytes_after_the_connect_response_are_a_proxy_error() {
    for after in ["x", "\r\n", "HTTP/1.1 200 OK\r\n\r\n", "\x16\x03\x03\0\x01"] {
        let response = format!("HTTP/1.1 200 OK\r\n\r\n{after}");
        let (outcome, _, address) = login_through(http, whole(response));
        assert_fails(after, &outcome, CD_ERR_PROXY, 200, &["data of its own", &address]);
    }
}

#[test]
fn truncated_connect_response_is_a_lost_connection() {
    let response = "HTTP/1.1 103 X\r\nA: b\r\n\r\nHTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n";
    for bytes in 0..response.len() {
        for end in [Close, Step::Reset] {
            let cut = if bytes == 0 {
                vec![Request, end.clone()]
            } else {
                vec![Request, CutAfter { bytes, end: Box::new(end.clone()) }, send(response)]
            };
            let (outcome, _, address) = login_through(http, cut);
            let parts = ["waiting for the proxy", &address];
            assert_fails(&format!("{end:?} after {bytes}"), &outcome, CD_ERR_CONNECTION_LOST, 0, &parts);
        }
    }
}

#[test]
fn hung_proxy_is_a_timeout_with_its_name() {
    for (scheme, steps) in [
        ("http", vec![Request]),
        ("http", vec![Request, send("HTTP/1.1 200 OK\r\n")]),
        ("socks5h", vec![Read(3)]),
        ("socks5h", vec![Read(3), send([5, 0])]),
    ] {
        let server = FaultServer::plain(vec![steps]);
        let address = format!("127.0.0.1:{}", server.port());
        let client = Client::new(BASE).proxy(&format!("{scheme}://{USER_INFO}@{address}"));
        let outcome = client.login_within(200);
        assert_fails("a hung proxy", &outcome, CD_ERR_TIMEOUT, 0, &["waiting for the proxy", &address]);
        assert_no_proxy_secrets(&client, &outcome);
        let outcome = Client::new(BASE).proxy(&format!("{scheme}://{address}")).connect_timeout(200).login();
        assert_fails("a hung proxy", &outcome, CD_ERR_TIMEOUT, 0, &["connect timeout", &address]);
    }
}

#[test]
fn unreachable_proxy_is_named() {
    // Nothing listens there, and no other process can: the port is bound.
    let taken = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    taken.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    let address = taken.local_addr().unwrap().as_socket().unwrap();
    for scheme in ["http", "socks5", "socks5h"] {
        let client = Client::new(BASE).proxy(&format!("{scheme}://{USER_INFO}@{address}"));
        let outcome = client.login();
        assert_fails(scheme, &outcome, CD_ERR_CONNECT, 0, &["the proxy", &address.to_string(), "refused"]);
        assert_no_proxy_secrets(&client, &outcome);

        let client = Client::new(BASE).proxy(&format!("{scheme}://{USER_INFO}@nobody.test:3128"));
        let outcome = client.login();
        assert_fails(scheme, &outcome, CD_ERR_DNS, 0, &["nobody.test", "of the proxy"]);
        assert_no_proxy_secrets(&client, &outcome);
    }
}

// ---- SOCKS5

fn socks(kind: &'static str) -> impl Fn(u16) -> String {
    move |port| format!("{kind}://127.0.0.1:{port}")
}

fn socks_with_credentials(port: u16) -> String {
    format!("socks5h://{USER_INFO}@127.0.0.1:{port}")
}

/// The SOCKS request for a tunnel by name.
fn by_name() -> Vec<u8> {
    let name = b"api.couchdrop.test";
    [&[5, 1, 0, 3, name.len() as u8], &name[..], &PORT].concat()
}

/// A proxy's success reply, with an address that it bound.
const CONSENT: [u8; 10] = [5, 0, 0, 1, 10, 0, 0, 1, 0x1f, 0x90];

#[test]
fn socks5_sends_an_address_and_socks5h_the_name() {
    let by_address = [&[5, 1, 0, 1], &ADDRESS.octets()[..], &PORT].concat();
    for (kind, request) in [("socks5", by_address), ("socks5h", by_name())] {
        let script = vec![Read(3), send([5, 0]), Read(request.len()), send([5, 2, 0, 1, 0, 0, 0, 0, 0, 0])];
        let (outcome, seen, _) = login_through(socks(kind), script);
        assert_fails(kind, &outcome, CD_ERR_PROXY, 0, &["not allowed by its rules"]);
        assert_eq!(seen, [&[5, 1, 0], &request[..]].concat(), "{kind}");
    }
}

#[test]
fn unresolved_target_for_socks5_is_not_a_proxy_error() {
    let proxy = FaultServer::plain(vec![vec![]]);
    let client = Client::new("https://nobody.test").proxy(&socks("socks5")(proxy.port()));
    let outcome = client.login();
    assert_fails("unknown host", &outcome, CD_ERR_DNS, 0, &["nobody.test"]);
    assert!(!outcome.message.contains("proxy"), "{outcome:?}");
}

#[test]
fn socks5_sends_credentials_if_the_proxy_asks() {
    let login = [
        &[1, PROXY_USER.len() as u8],
        PROXY_USER.as_bytes(),
        &[PROXY_PASSWORD.len() as u8],
        PROXY_PASSWORD.as_bytes(),
    ]
    .concat();
    let script = vec![Read(4), send([5, 2]), Read(login.len()), send([1, 1])];
    let (outcome, seen, address) = login_through(socks_with_credentials, script);
    assert_fails("wrong", &outcome, CD_ERR_PROXY, 0, &["refused its user name or password", &address]);
    assert_eq!(seen, [&[5, 2, 0, 2], &login[..]].concat());

    let script = vec![
        Read(4),
        send([5, 2]),
        Read(login.len()),
        send([1, 0]),
        Read(by_name().len()),
        send([5, 5, 0, 1]),
    ];
    let (outcome, seen, _) = login_through(socks_with_credentials, script);
    assert_fails("taken", &outcome, CD_ERR_PROXY, 0, &["connection refused"]);
    assert_eq!(seen, [&[5, 2, 0, 2], &login[..], &by_name()].concat());

    // Without a request for it the credentials are not sent.
    let script = vec![Read(4), send([5, 0]), Read(by_name().len()), send([5, 5, 0, 1])];
    let (_, seen, _) = login_through(socks_with_credentials, script);
    assert_eq!(seen, [&[5, 2, 0, 2], &by_name()[..]].concat());

    let (outcome, ..) = login_through(socks("socks5h"), vec![Read(3), send([5, 0xff])]);
    assert_fails("none", &outcome, CD_ERR_PROXY, 0, &["requires a user name and a password"]);
    let (outcome, ..) = login_through(socks_with_credentials, vec![Read(4), send([5, 0xff])]);
    assert_fails("others", &outcome, CD_ERR_PROXY, 0, &["does not accept a user name and password"]);
}

#[test]
fn socks5_refusal_is_a_proxy_error_with_its_reason() {
    for reply in 1..=255 {
        let why = match reply {
            1 => "general failure",
            2 => "not allowed by its rules",
            3 => "network is unreachable",
            4 => "host is unreachable",
            5 => "connection refused",
            6 => "TTL expired",
            7 => "command",
            8 => "address type",
            _ => "unknown",
        };
        let script =
            vec![Read(3), send([5, 0]), Read(by_name().len()), send([5, reply, 0, 1, 0, 0, 0, 0, 0, 0])];
        let (outcome, _, address) = login_through(socks("socks5h"), script);
        assert_fails("reply", &outcome, CD_ERR_PROXY, 0, &[why, &format!("reply {reply}"), &address]);
        assert_eq!(outcome.retryable, matches!(reply, 1 | 3 | 4 | 5 | 6), "{reply}");
    }
}

#[test]
fn invalid_socks5_reply_is_a_proxy_error() {
    for response in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], &[4, 90], &[0, 0], &[5, 1], &[5, 2], &[1, 0]] {
        let (outcome, _, address) = login_through(socks("socks5h"), vec![Read(3), send(response)]);
        assert_fails("its choice", &outcome, CD_ERR_PROXY, 0, &["The proxy", &address]);
    }
    for response in [&[4, 0, 0, 1][..], &[5, 0, 0, 2], &[5, 0, 0, 0], b"HTTP"] {
        let script = vec![Read(3), send([5, 0]), Read(by_name().len()), send(response)];
        let (outcome, ..) = login_through(socks("socks5h"), script);
        assert_fails("its reply", &outcome, CD_ERR_PROXY, 0, &["is not a SOCKS5 proxy"]);
    }
}

#[test]
fn bytes_after_the_socks5_reply_are_a_proxy_error() {
    let name = [&[5, 0, 0, 3, 1, b'x'], &PORT[..]].concat();
    let v6 = [&[5, 0, 0, 4], &[0; 16][..], &PORT].concat();
    for reply in [CONSENT.to_vec(), name, v6] {
        let script = vec![Read(3), send([5, 0]), Read(by_name().len()), send([&reply[..], b"\x16"].concat())];
        let (outcome, _, address) = login_through(socks("socks5h"), script);
        assert_fails("more", &outcome, CD_ERR_PROXY, 0, &["data of its own", &address]);
    }
}

#[test]
fn truncated_socks5_reply_is_a_lost_connection() {
    let login = 3 + PROXY_USER.len() + PROXY_PASSWORD.len();
    for end in [Cut, Step::Reset] {
        for bytes in 0..2 + 2 + CONSENT.len() {
            let ending = if bytes == 0 {
                vec![Read(4), end.clone()]
            } else {
                vec![
                    CutAfter { bytes, end: Box::new(end.clone()) },
                    Read(4),
                    send([5, 2]),
                    Read(login),
                    send([1, 0]),
                    Read(by_name().len()),
                    send(CONSENT),
                ]
            };
            let (outcome, _, address) = login_through(socks_with_credentials, ending);
            let what = format!("{end:?} after {bytes}");
            assert_fails(&what, &outcome, CD_ERR_CONNECTION_LOST, 0, &["waiting for the proxy", &address]);
        }
    }
}

// ---- tunnels

fn read_head(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(read_exactly(client, 1)?);
    }
    Ok(head)
}

fn read_exactly(client: &mut TcpStream, count: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; count];
    client.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// An HTTP CONNECT proxy with this response.
fn http_proxy(target: SocketAddr, response: &str) -> Relay {
    let response = response.to_owned();
    Relay::greeting(target, move |client| {
        let head = read_head(client)?;
        client.write_all(response.as_bytes())?;
        Ok(head)
    })
}

/// A SOCKS5 proxy without authentication, with this reply.
fn socks_proxy(target: SocketAddr, reply: Vec<u8>) -> Relay {
    Relay::greeting(target, move |client| {
        let mut request_bytes = read_exactly(client, 2)?;
        request_bytes.extend(read_exactly(client, request_bytes[1].into())?);
        client.write_all(&[5, 0])?;
        let request = read_exactly(client, 4)?;
        let address = match request[3] {
            1 => read_exactly(client, 4)?,
            4 => read_exactly(client, 16)?,
            _ => {
                let length = read_exactly(client, 1)?;
                let name = read_exactly(client, length[0].into())?;
                [length, name].concat()
            }
        };
        request_bytes.extend([request, address, read_exactly(client, 2)?].concat());
        client.write_all(&reply)?;
        Ok(request_bytes)
    })
}

/// Two logins through the proxy use one tunnel, which carries only TLS.
#[track_caller]
fn assert_tunnels(what: &str, host: &str, scheme: &str, proxy: impl Fn(SocketAddr) -> Relay) {
    let server = FaultServer::tls(good_server(), vec![serve(GOOD)]);
    let relay = proxy(server.address());
    let client = Client::new(&format!("https://{host}:{}", server.port()))
        .proxy(&format!("{scheme}://{USER_INFO}@127.0.0.1:{}", relay.port()));
    for _ in 0..2 {
        let outcome = client.login();
        assert_eq!(outcome.code, CD_OK as i32, "{what}: {outcome:?}");
        assert_eq!(outcome.token.as_deref(), Some(TOKEN));
        assert_no_proxy_secrets(&client, &outcome);
    }
    let connections = server.connections();
    assert_eq!(connections.len(), 1, "{what}");
    assert_eq!(connections[0].requests, 2, "{what}");
    assert_eq!(connections[0].server_name.as_deref(), Some(host), "{what}");
    let sent = relay.sent();
    assert_eq!(sent.len(), 1, "{what}");
    let seen = String::from_utf8_lossy(&sent[0]);
    assert!(sent[0].windows(3).any(|window| window == [23, 3, 3]), "{what}: no TLS was seen");
    for secret in ["hunter2", "ada.l", "/authenticate", TOKEN] {
        assert!(!seen.contains(secret), "{what}: the proxy saw {secret}");
    }
}

/// Interim responses are skipped.
#[test]
fn any_2xx_to_connect_opens_the_tunnel() {
    for response in [
        "HTTP/1.1 200 Connection established\r\n\r\n".to_owned(),
        "HTTP/1.0 200 OK\r\nProxy-Agent: x\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n".to_owned(), // ignored here: RFC 9110, 9.3.6
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
        "HTTP/1.1 201 X\r\n\r\n".to_owned(),
        "HTTP/1.1 204 X\r\n\r\n".to_owned(),
        "HTTP/1.1 299 X\r\n\r\n".to_owned(),
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n".to_owned(),
        format!("{}HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 103 X\r\nA: b\r\n\r\n".repeat(16)),
    ] {
        assert_tunnels(&response, "api.couchdrop.test", "http", |target| http_proxy(target, &response));
    }
}

#[test]
fn socks5_accepts_any_bound_address() {
    let v6 = [&[5, 0, 0, 4], &[0; 16][..], &PORT].concat();
    let name = [&[5, 0, 0, 3, 255], &[b'x'; 255][..], &PORT].concat();
    let empty = [&[5, 0, 0, 3, 0], &PORT[..]].concat();
    for reply in [CONSENT.to_vec(), v6, name, empty] {
        for scheme in ["socks5", "socks5h"] {
            let what = format!("{scheme}, {reply:?}");
            assert_tunnels(&what, "api.couchdrop.test", scheme, |target| socks_proxy(target, reply.clone()));
        }
    }
}

#[test]
fn explicit_proxy_is_used_for_loopback() {
    assert_tunnels("localhost", "localhost", "http", |target| http_proxy(target, "HTTP/1.1 200 OK\r\n\r\n"));
    assert_tunnels("localhost", "localhost", "socks5h", |target| socks_proxy(target, CONSENT.to_vec()));
}

#[test]
fn localhost_for_socks5_is_not_looked_up() {
    assert_tunnels("localhost", "localhost", "socks5", |target| socks_proxy(target, CONSENT.to_vec()));
    assert_eq!(LOOKUPS_OF_LOCALHOST.load(Ordering::SeqCst), 0);
}

#[test]
fn tls_failure_in_a_tunnel_is_not_a_proxy_error() {
    let server = FaultServer::plain(vec![vec![Read(5), send("HTTP/1.1 400 Bad Request\r\n\r\n")]]);
    let relay = http_proxy(server.address(), "HTTP/1.1 200 OK\r\n\r\n");
    let outcome = Client::new(BASE).proxy(&http(relay.port())).login();
    assert_fails("a server without TLS", &outcome, CD_ERR_TLS, 0, &["not TLS"]);
    assert_eq!(outcome.attempts, 0);

    let server = FaultServer::plain(vec![vec![Read(5), Cut]]);
    let relay = http_proxy(server.address(), "HTTP/1.1 200 OK\r\n\r\n");
    let outcome = Client::new(BASE).proxy(&http(relay.port())).login();
    assert_fails("cut", &outcome, CD_ERR_CONNECTION_LOST, 0, &["in the TLS handshake"]);
    assert_eq!(outcome.attempts, 0);
}

#[test]
fn concurrent_logins_use_separate_tunnels() {
    const LOGINS: usize = 8;
    let server = FaultServer::tls(good_server(), vec![vec![Request, Step::Gate("go"), send(GOOD)]]);
    let relay = http_proxy(server.address(), "HTTP/1.1 200 OK\r\n\r\n");
    let client = Client::new(&server.url()).proxy(&http(relay.port()));
    thread::scope(|scope| {
        for _ in 0..LOGINS {
            scope.spawn(|| client.login().expect(CD_OK));
        }
        server.wait(|seen| seen.iter().filter(|seen| seen.requests == 1).count() == LOGINS);
        server.open_gate("go");
    });
    assert_eq!(relay.sent().len(), LOGINS);
}
