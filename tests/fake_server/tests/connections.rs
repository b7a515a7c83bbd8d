//! Connections are kept alive, counted and closed, and a stopped fake server leaves none behind.

mod common;

use std::io::{Read, Write};
use std::net::{Ipv6Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{SOON, client, client_trusting, log_in_by_form, response};
use fake_server::{Config, FakeServer, PASSWORD};
use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::{CertificateDer, pem::PemObject};

fn authority(url: &str) -> &str {
    url.split_once("://").unwrap().1
}

fn port(url: &str) -> u16 {
    url.rsplit_once(':').unwrap().1.parse().unwrap()
}

#[test]
fn kept_connection_is_counted_once() {
    let fake_server = FakeServer::start();
    let client = client(&fake_server);
    for base_url in [fake_server.https_url(), fake_server.http_url()] {
        log_in_by_form(&client, base_url, "ada@example.com", PASSWORD).token();
        log_in_by_form(&client, base_url, "ada@example.com", "wrong");
    }
    let connections = fake_server.connections();
    assert_eq!((connections.https.accepted, connections.https.open), (1, 1));
    assert_eq!((connections.http.accepted, connections.http.open), (1, 1));
    assert_eq!(connections.handshakes, 1);
    let over: Vec<u64> = fake_server.requests().iter().map(|request| request.connection).collect();
    assert_eq!(over, [1, 1, 2, 2]);
}

#[test]
fn connection_closed_by_the_client_is_not_open() {
    let fake_server = FakeServer::start();
    let client = client(&fake_server);
    log_in_by_form(&client, fake_server.https_url(), "ada@example.com", PASSWORD).token();
    drop(client);
    assert!(fake_server.wait_for_connections(SOON, |connections| connections.https.open == 0));
    assert_eq!(fake_server.connections().https.accepted, 1);
}

/// New connections are accepted afterwards.
#[test]
fn close_connections_closes_all_existing_ones() {
    let fake_server = FakeServer::start();
    let client = client(&fake_server);
    log_in_by_form(&client, fake_server.https_url(), "ada@example.com", PASSWORD).token();
    // Idle, in the middle of a request, and without any request.
    let mut partial = TcpStream::connect(authority(fake_server.http_url())).unwrap();
    partial.write_all(b"POST /authenticate HTTP/1.1\r\nHost: localhost\r\nContent-Le").unwrap();
    let mut silent = TcpStream::connect(("127.0.0.1", port(fake_server.https_url()))).unwrap();
    assert!(fake_server.wait_for_connections(SOON, |now| now.http.open == 1 && now.https.open == 2));

    for _ in 0..2 {
        fake_server.close_connections();
        assert_eq!((fake_server.connections().http.open, fake_server.connections().https.open), (0, 0));
    }
    assert_eq!(silent.read(&mut [0; 64]).unwrap(), 0, "a clean close, not a reset");
    // The server may not have read the last bytes yet, and then TCP sends a reset.
    assert!(partial.read(&mut [0; 64]).is_err() || partial.read(&mut [0; 64]).unwrap() == 0);

    log_in_by_form(&client, fake_server.https_url(), "ada@example.com", PASSWORD).token();
    assert_eq!(fake_server.connections().https.accepted, 3);
}

#[test]
fn tls_1_2_and_1_3_end_with_close_notify() {
    let fake_server = FakeServer::start();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(fake_server.ca_pem().as_bytes()).unwrap()).unwrap();
    for (count, version) in [&rustls::version::TLS12, &rustls::version::TLS13].into_iter().enumerate() {
        let config =
            rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_protocol_versions(&[version])
                .unwrap()
                .with_root_certificates(roots.clone())
                .with_no_client_auth();
        let name = "api.couchdrop.test".try_into().unwrap();
        let session = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
        let socket = TcpStream::connect(("127.0.0.1", port(fake_server.https_url()))).unwrap();
        let mut client = rustls::StreamOwned::new(session, socket);
        client.flush().unwrap();
        assert!(fake_server.wait_for_connections(SOON, |now| now.handshakes == count + 1));
        assert_eq!(client.conn.protocol_version(), Some(version.version));

        fake_server.close_connections();
        // Without a close_notify this would be an error.
        assert_eq!(client.read(&mut [0; 64]).unwrap(), 0);
    }
}

#[test]
fn slow_account_is_recorded_and_gets_no_response() {
    let fake_server = FakeServer::start();
    let log_in = || {
        let body = format!("username=slow%40example.com&password={}", PASSWORD.replace(' ', "+"));
        let head = "POST /authenticate HTTP/1.1\r\nHost: localhost\r\n\
                    Content-Type: application/x-www-form-urlencoded\r\nContent-Length: ";
        let mut client = TcpStream::connect(authority(fake_server.http_url())).unwrap();
        write!(client, "{head}{}\r\n\r\n{body}", body.len()).unwrap();
        client
    };
    let (mut patient, impatient) = (log_in(), log_in());
    assert!(fake_server.wait_for_requests(2, SOON));
    assert!(fake_server.requests().iter().all(|request| request.status.is_none()));
    patient.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert_eq!(patient.read(&mut [0; 64]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    assert_eq!(fake_server.connections().http.open, 2);

    drop(impatient);
    assert!(fake_server.wait_for_connections(SOON, |connections| connections.http.open == 1));
    fake_server.close_connections();
    assert_eq!(patient.read(&mut [0; 64]).unwrap(), 0);
}

#[test]
fn wait_without_event_times_out() {
    let fake_server = FakeServer::start();
    let start = Instant::now();
    assert!(!fake_server.wait_for_requests(1, Duration::from_millis(50)));
    assert!(!fake_server.wait_for_connections(Duration::ZERO, |connections| connections.http.accepted > 0));
    assert!(start.elapsed() >= Duration::from_millis(50));
}

#[test]
fn certificate_covers_every_loopback_address() {
    let fake_server = FakeServer::start();
    let client = client(&fake_server);
    let port = port(fake_server.https_url());
    let mut hosts = vec!["localhost", "127.0.0.1"];
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
        hosts.push("[::1]");
    }
    for host in hosts {
        let base_url = format!("https://{host}:{port}");
        log_in_by_form(&client, &base_url, "ada@example.com", PASSWORD).token();
    }
}

#[test]
fn client_of_another_authority_sends_nothing() {
    let (fake_server, other) = (FakeServer::start(), FakeServer::start());
    let client = client_trusting(other.ca_pem());
    let login =
        client.post(format!("{}/authenticate", fake_server.https_url())).send_form([("username", "a")]);
    assert!(login.is_err());
    assert!(fake_server.wait_for_connections(SOON, |now| now.https.accepted == 1 && now.https.open == 0));
    assert_eq!(fake_server.connections().handshakes, 0);
    assert!(fake_server.requests().is_empty());
}

#[test]
fn drop_closes_everything_and_removes_the_certificate() {
    let fake_server = FakeServer::start();
    let ca_file = fake_server.ca_file().to_owned();
    assert_eq!(std::fs::read_to_string(&ca_file).unwrap(), fake_server.ca_pem());
    let mut open = TcpStream::connect(authority(fake_server.http_url())).unwrap();
    assert!(fake_server.wait_for_connections(SOON, |connections| connections.http.open == 1));

    let start = Instant::now();
    drop(fake_server);
    assert!(start.elapsed() < Duration::from_secs(1));
    assert_eq!(open.read(&mut [0; 64]).unwrap(), 0);
    assert!(!ca_file.exists() && !ca_file.parent().unwrap().exists());
}

#[test]
fn ports_and_directory_can_be_chosen() {
    let directory = tempfile::tempdir().unwrap();
    let chosen = directory.path().join("new");
    let fake_server = Config::new().directory(&chosen).start().unwrap();
    assert_eq!(fake_server.ca_file(), chosen.join("ca.pem"));
    let (http, https) = (port(fake_server.http_url()), port(fake_server.https_url()));

    let taken = Config::new().http_port(http).start().unwrap_err();
    assert_eq!(taken.kind(), std::io::ErrorKind::AddrInUse);
    assert!(taken.to_string().contains(&format!("port {http}")), "{taken}");

    drop(fake_server);
    assert!(chosen.join("ca.pem").exists());
    let again = Config::new().http_port(http).https_port(https).start().unwrap();
    assert_eq!((port(again.http_url()), port(again.https_url())), (http, https));
    let response = response(client(&again).get(again.http_url()).call());
    assert_eq!(response.status, 404);
}
