//! The proxy connects the names of the service to the fake server, and no other name.

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;

use common::{SOON, client_trusting_through, log_in_by_form, response};
use fake_server::{Config, FakeServer, PASSWORD};

fn as_service() -> FakeServer {
    Config::new().as_service().start().unwrap()
}

fn proxy(fake_server: &FakeServer) -> &str {
    fake_server.proxy_url().unwrap()
}

/// Sends a request to the proxy. Returns the connection and the response up to the end of its head.
fn send_head(fake_server: &FakeServer, request: &str) -> (TcpStream, String) {
    let mut socket = TcpStream::connect(proxy(fake_server).strip_prefix("http://").unwrap()).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    socket.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    (socket, String::from_utf8(head).unwrap())
}

fn connect_to(target: &str) -> String {
    format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n")
}

#[test]
fn client_reaches_it_by_the_services_names() {
    let fake_server = as_service();
    let client = client_trusting_through(fake_server.ca_pem(), proxy(&fake_server));
    let token = log_in_by_form(&client, "https://api.couchdrop.io", "ada@example.com", PASSWORD).token();
    let listing = client.post("https://fileio.couchdrop.io/file/ls?path=/").header("token", token);
    assert_eq!(response(listing.send_empty()).status, 200);

    let requests = fake_server.requests();
    let seen: Vec<_> = requests.iter().map(|seen| (seen.secure, seen.header("host").unwrap())).collect();
    assert_eq!(seen, [(true, "api.couchdrop.io"), (true, "fileio.couchdrop.io")]);
    let connections = fake_server.connections();
    assert_eq!((connections.https.accepted, connections.handshakes, connections.http.accepted), (2, 2, 0));
}

#[test]
fn proxy_refuses_other_targets() {
    let fake_server = as_service();
    let (_, https) = fake_server.https_url().split_once("://").unwrap();
    for target in [
        "example.com:443",
        "couchdrop.io:443",
        "www.couchdrop.io:443",
        "api.couchdrop.io:80",
        "api.couchdrop.io:4430",
        "api.couchdrop.io.example.com:443",
        "127.0.0.1:443",
        https,
    ] {
        let (_, head) = send_head(&fake_server, &connect_to(target));
        assert!(head.starts_with("HTTP/1.1 403 "), "{target}: {head}");
    }
    for request in [
        "GET http://api.couchdrop.io/authenticate HTTP/1.1\r\nHost: api.couchdrop.io\r\n\r\n",
        "POST /authenticate HTTP/1.1\r\nHost: api.couchdrop.io\r\nContent-Length: 0\r\n\r\n",
    ] {
        let (_, head) = send_head(&fake_server, request);
        assert!(head.starts_with("HTTP/1.1 405 "), "{request}: {head}");
    }
    assert_eq!(fake_server.connections().https.accepted, 0);
    assert!(send_head(&fake_server, &connect_to("API.couchdrop.io:443")).1.starts_with("HTTP/1.1 200 "));
}

#[test]
fn tunnel_counts_as_a_connection() {
    let fake_server = as_service();
    let (mut tunnel, head) = send_head(&fake_server, &connect_to("api.couchdrop.io:443"));
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(fake_server.wait_for_connections(SOON, |now| now.https.open == 1));
    fake_server.close_connections();
    assert_eq!(tunnel.read(&mut [0]).unwrap(), 0);
    assert_eq!(fake_server.connections().https.open, 0);
}

#[test]
fn proxy_is_off_by_default() {
    assert_eq!(FakeServer::start().proxy_url(), None);
}
