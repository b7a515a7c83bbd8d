//! Connection reuse: when a connection is reused, when it must not be, and for which logins.

mod common;
mod resolver;

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use common::client::*;
use common::{Cancel, Login};
use couchdrop::error::cd_code::*;
use fault_server::Step::{Close, Cut, CutAfter, Early, Gate, NewKeys, Raw, Repeat, Request, Reset};
use fault_server::*;
use rustls::version::{TLS12, TLS13};
use socket2::{Domain, SockAddr, Socket, Type};

/// Runs the test against one server over TCP and one over TLS, with the same scripts.
fn over_both(scripts: Vec<Script>, mut test: impl FnMut(FaultServer, &str)) {
    test(FaultServer::plain(scripts.clone()), "TCP");
    test(FaultServer::tls(good_server(), scripts), "TLS");
}

/// The number of requests that the last login logged.
fn requests_of_last_login(client: &Client) -> u32 {
    let log = client.log();
    let line =
        log.iter().rev().find_map(|line| line.strip_prefix("logged in: ")).expect("a success is logged");
    line.split(' ').next().unwrap().parse().unwrap()
}

fn requests(server: &FaultServer) -> Vec<usize> {
    server.connections().iter().map(|seen| seen.requests).collect()
}

// ---- reuse

static LOOKUPS: AtomicUsize = AtomicUsize::new(0);

/// Replaces the C library's getaddrinfo: every name is this machine, and each lookup is counted.
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
    LOOKUPS.fetch_add(1, Ordering::SeqCst);
    // SAFETY: a name, as the caller promises.
    assert_eq!(unsafe { CStr::from_ptr(node) }, c"api.couchdrop.test");
    // SAFETY: may be written to, as the caller promises.
    unsafe { *result = resolver::list(&[Ipv4Addr::LOCALHOST]) };
    0
}

#[test]
fn warm_login_reuses_the_connection_without_lookup() {
    let server = FaultServer::tls(good_server(), vec![serve(GOOD)]);
    let client = Client::new(&format!("https://api.couchdrop.test:{}", server.port()));
    for _ in 0..10 {
        assert_eq!(client.login().expect_token(), TOKEN);
    }
    assert_eq!(LOOKUPS.load(Ordering::SeqCst), 1);
    assert_eq!(requests(&server), [10]);
    assert_eq!(server.connections()[0].server_name.as_deref(), Some("api.couchdrop.test"));
}

#[test]
fn refused_login_keeps_the_connection() {
    let script = [403, 401, 429, 500, 503].map(|status| whole(json_response(status, "no"))).concat();
    over_both(vec![[script, whole(GOOD)].concat()], |server, _| {
        let client = Client::new(&server.url());
        for code in [
            CD_ERR_ACCESS_DENIED,
            CD_ERR_TWO_FACTOR_REQUIRED,
            CD_ERR_RATE_LIMITED,
            CD_ERR_SERVER,
            CD_ERR_UNAVAILABLE,
            CD_OK,
        ] {
            client.login().expect(code);
        }
        assert_eq!(requests(&server), [6]);
    });
}

/// The next login makes a new connection after a response that only the ureq path accepts.
#[test]
fn lenient_response_closes_the_connection() {
    for response in [
        GOOD.replace("HTTP/1.1", "HTTP/1.0"),
        GOOD.replace("HTTP/1.1 200 OK\r\n", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n"),
        GOOD.replace("\r\n", "\n"),
        GOOD.replace("Content-Length: 48", "Content-Length: 48\r\nContent-Length: 48"),
        GOOD.replace("Content-Length", "Connection: close\r\nContent-Length"),
        GOOD.replace("Content-Length", "Upgrade: h2c\r\nContent-Length"),
        format!("HTTP/1.1 103 X\n\n{GOOD}"),
        format!("{GOOD}x"),
        format!("{GOOD}{GOOD}"),
    ] {
        over_both(vec![serve(&response)], |server, over| {
            let client = Client::new(&server.url());
            client.login().expect(CD_OK);
            // Waits here, so that the close precedes the next login and is not caused by it.
            server.wait(|seen| seen[0].over);
            client.login().expect(CD_OK);
            assert_eq!(requests(&server), [1, 1], "over {over}: {response:?}");
        });
    }
}

#[test]
fn connection_serves_one_account_only() {
    over_both(vec![vec![Repeat(vec![Request, echo()])]], |server, over| {
        let client = Client::new(&server.url());
        client.connect().expect(CD_OK);
        for _ in 0..3 {
            for name in ["ada", "bob", "eve"] {
                assert_eq!(client.login_as(name, PASSWORD).expect_token(), name);
            }
        }
        // The connection that was opened ahead serves the first account.
        assert_eq!(requests(&server), [3, 3, 3], "over {over}");
    });
}

#[test]
fn late_response_shifts_no_token_to_another_account() {
    for config in [None, Some(good_server())] {
        // Each request gets the token of the request before it on its connection, the first one its own.
        let previous = Mutex::new(HashMap::new());
        let late = respond(move |request| {
            let own = request.username().unwrap().to_owned();
            let before = previous.lock().unwrap().insert(request.connection, own.clone());
            vec![send(token(&before.unwrap_or(own)))]
        });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = FaultServer::on(listener, config, vec![vec![Repeat(vec![Request, late])]]);
        let client = Client::new(&server.url());
        for name in ["ada", "ada", "bob", "bob", "ada", "eve", "bob"] {
            assert_eq!(client.login_as(name, PASSWORD).expect_token(), name);
        }
    }
}

#[test]
fn interim_responses_and_trailers_keep_the_connection() {
    let body = r#"{"token":"0e2b6f14-5ad2-4c9e-b1f8-7a3c2d9e4f60"}"#;
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n30;a=b\r\n";
    for response in [
        format!("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n{GOOD}"),
        format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 X\r\n\r\n{GOOD}"),
        format!("{chunked}{body}\r\n0\r\nServer-Timing: a\r\nX: y\r\n\r\n"),
    ] {
        over_both(vec![serve(&response)], |server, over| {
            let client = Client::new(&server.url());
            (0..3).for_each(|_| _ = client.login().expect(CD_OK));
            assert_eq!(requests(&server), [3], "over {over}: {response:?}");
        });
    }
}

#[test]
fn newest_idle_connection_is_reused_first() {
    for last in [0, 1] {
        let script = |gate| vec![Request, Gate(gate), send(GOOD), Repeat(whole(GOOD))];
        let server = FaultServer::plain(vec![script("first"), script("second")]);
        let client = Client::new(&server.url());
        thread::scope(|scope| {
            let mut logins = Vec::new();
            for so_far in 0..2 {
                logins.push(scope.spawn(|| client.login().expect_token()));
                server.wait(|seen| seen.len() > so_far && seen[so_far].requests == 1);
            }
            let gates = ["first", "second"];
            let newest = logins.remove(last);
            server.open_gate(gates[1 - last]);
            logins.remove(0).join().unwrap();
            server.open_gate(gates[last]);
            newest.join().unwrap();
        });
        for round in 2..5 {
            client.login().expect(CD_OK);
            assert_eq!(requests(&server)[last], round);
        }
        assert_eq!(requests(&server)[1 - last], 1);
        assert_eq!(requests(&server).len(), 2);
    }
}

#[test]
fn at_most_64_connections_stay_idle() {
    const LOGINS: usize = 70;
    let server = FaultServer::plain(vec![vec![Request, Gate("go"), send(GOOD), Repeat(whole(GOOD))]]);
    let client = Client::new(&server.url());
    thread::scope(|scope| {
        for _ in 0..LOGINS {
            scope.spawn(|| client.login().expect(CD_OK));
        }
        server.wait(|seen| seen.iter().filter(|seen| seen.requests == 1).count() == LOGINS);
        server.open_gate("go");
    });
    let closed = |seen: &[Seen]| seen.iter().filter(|seen| seen.over).count();
    server.wait(|seen| closed(seen) == LOGINS - 64);
    client.login().expect(CD_OK);
    assert_eq!(closed(&server.connections()), LOGINS - 64);
    assert_eq!(server.connections().len(), LOGINS);
}

#[test]
fn threads_sharing_a_handle_get_their_own_tokens() {
    const THREADS: usize = 64;
    const LOGINS: usize = 10;
    over_both(vec![vec![Repeat(vec![Request, echo()])]], |server, _| {
        let client = Client::new(&server.url());
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let client = &client;
                scope.spawn(move || {
                    let name = format!("user-{thread}");
                    for _ in 0..LOGINS {
                        assert_eq!(client.login_as(&name, PASSWORD).expect_token(), name);
                    }
                });
            }
        });
        let seen = server.connections();
        assert!(seen.len() <= THREADS, "{} connections", seen.len());
        assert_eq!(seen.iter().map(|seen| seen.requests).sum::<usize>(), THREADS * LOGINS);
    });
}

#[test]
fn head_and_body_are_sent_in_one_segment() {
    over_both(vec![serve(GOOD)], |server, over| {
        let client = Client::new(&server.url());
        for _ in 0..20 {
            client.login().expect(CD_OK);
        }
        let seen = server.connections().remove(0);
        // Each read returned one whole request.
        assert_eq!((seen.requests, seen.reads.len()), (20, 20), "over {over}");
        assert_eq!(seen.received.len() / 20, seen.reads[0], "over {over}");
    });
}

// ---- unusable idle connections

/// The login notices the close before it sends anything.
#[test]
fn closed_idle_connection_is_replaced() {
    for end in [Close, Cut, Reset] {
        let scripts = vec![vec![Request, send(token("one")), Gate("end"), end.clone()], serve(token("two"))];
        over_both(scripts, |server, over| {
            let client = Client::new(&server.url());
            assert_eq!(client.login().expect_token(), "one");
            server.open_gate("end");
            server.wait_until_arrived(4);
            assert_eq!(client.login().expect_token(), "two");
            assert_eq!(requests_of_last_login(&client), 1, "{end:?} over {over}");
            // The login did not discover it by trying the connection.
            let log = client.log();
            assert!(
                log.iter().any(|line| line == "dropped an idle connection: dead"),
                "{end:?} over {over}: {log:?}"
            );
            assert_eq!(requests(&server), [1, 1], "{end:?} over {over}");
        });
    }
}

/// Bytes that a server may send on an idle connection.
fn unsolicited() -> Vec<Step> {
    let stolen = token("stolen");
    vec![
        send("x"),
        send("\r\n"),
        send("HTTP"),
        send(&stolen),
        send([&stolen[..], &stolen].concat()),
        send(&stolen[..stolen.len() - 1]),
        send("HTTP/1.1 100 Continue\r\n\r\n"),
        send("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
        send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
        send("HTTP/1.0 200 OK\r\n\r\n"),
    ]
}

/// The next login succeeds on a new connection.
#[test]
fn data_on_an_idle_connection_closes_it() {
    for early in unsolicited() {
        for after in [None, Some(Close), Some(Reset)] {
            let mut script = vec![Request, send(token("one")), Gate("early"), early.clone()];
            script.extend(after.clone());
            over_both(vec![script, serve(token("two"))], |server, over| {
                let client = Client::new(&server.url());
                assert_eq!(client.login().expect_token(), "one");
                server.open_gate("early");
                server.wait_until_arrived(4 + usize::from(after.is_some()));
                assert_eq!(client.login().expect_token(), "two", "{early:?}, {after:?} over {over}");
                assert_eq!(requests_of_last_login(&client), 1);
                server.wait(|seen| seen[0].over);
                assert_eq!(requests(&server), [1, 1]);
            });
        }
    }
}

/// The next login succeeds on a new connection.
#[test]
fn data_after_a_response_closes_the_connection() {
    for early in unsolicited() {
        let Step::Send(behind) = early else { unreachable!() };
        let script = vec![Request, send([token("one"), behind.clone()].concat())];
        over_both(vec![script, serve(token("two"))], |server, over| {
            let client = Client::new(&server.url());
            assert_eq!(client.login().expect_token(), "one");
            assert_eq!(client.login().expect_token(), "two", "{behind:?} over {over}");
            assert_eq!(requests_of_last_login(&client), 1);
            assert_eq!(requests(&server), [1, 1]);
        });
    }
}

/// The record is incomplete or forged.
#[test]
fn bad_record_on_an_idle_connection_closes_it() {
    let record = [&[0x17, 3, 3, 0, 40][..], &[7; 40]].concat();
    for raw in [&record[..3], &record[..5], &record[..20], &record, b"HTTP/1.1 200 OK\r\n\r\n"] {
        let script = vec![Request, send(token("one")), Gate("early"), Raw(raw.into())];
        let server = FaultServer::tls(good_server(), vec![script, serve(token("two"))]);
        let client = Client::new(&server.url());
        assert_eq!(client.login().expect_token(), "one");
        server.open_gate("early");
        server.wait_until_arrived(4);
        assert_eq!(client.login().expect_token(), "two", "{raw:?}");
        assert_eq!(requests_of_last_login(&client), 1);
        assert_eq!(requests(&server), [1, 1]);
    }
}

#[test]
fn response_after_a_timeout_is_discarded() {
    let scripts = vec![vec![Request, Gate("late"), send(token("late"))], serve(token("two"))];
    over_both(scripts, |server, _| {
        let client = Client::new(&server.url());
        client.connect().expect(CD_OK);
        let outcome = client.login_within(500).expect(CD_ERR_TIMEOUT);
        assert_eq!(outcome.attempts, 1);
        server.open_gate("late");
        assert_eq!(client.login().expect_token(), "two");
        let seen = server.wait(|seen| seen[0].over);
        assert_eq!(seen.len(), 2);
    });
}

// ---- bytes before a request

/// A client that blocks in the logger at this line, until all bytes of the server's first steps have arrived.
fn client_that_waits(server: &Arc<FaultServer>, line: &'static str, steps: usize) -> Client {
    let waited_for = Arc::clone(server);
    Client::new(&server.url()).listen(move |message| {
        if message.starts_with(line) {
            waited_for.open_gate("connected");
            waited_for.wait_until_arrived(steps);
        }
    })
}

/// The server sends first on a new connection.
#[test]
fn unsolicited_data_prevents_the_request() {
    let expect_nothing_sent = |server: &FaultServer, client: Client| {
        let outcome = client.login().expect(CD_ERR_MALFORMED_RESPONSE);
        assert_eq!((outcome.attempts, outcome.http_status), (0, 0));
        drop(client);
        assert!(server.wait_until_over(1)[0].received.is_empty());
        assert_eq!(server.connections().len(), 1);
    };
    for early in unsolicited() {
        let Step::Send(bytes) = &early else { unreachable!() };
        // A close after that makes no difference.
        for after in [None, Some(Close)] {
            let mut script = vec![Gate("connected"), early.clone()];
            script.extend(after);
            let steps = script.len();
            let server = Arc::new(FaultServer::plain(vec![script.clone()]));
            expect_nothing_sent(&server, client_that_waits(&server, "connected to", steps));

            script.insert(0, Step::Handshake);
            let server = Arc::new(FaultServer::tls(good_server_but(&[&TLS12], |_| {}), vec![script]));
            expect_nothing_sent(&server, client_that_waits(&server, "TLS handshake", steps + 1));
        }

        let config = good_server_but(&[&TLS13], |config| config.send_half_rtt_data = true);
        let server = FaultServer::tls(config, vec![vec![Early(bytes.clone())]]);
        expect_nothing_sent(&server, Client::new(&server.url()));
    }
}

/// The socket stays open.
#[test]
fn close_notify_on_a_new_connection_is_a_lost_connection() {
    let script = vec![Step::Handshake, Gate("connected"), Step::CloseNotify];
    let server = Arc::new(FaultServer::tls(good_server_but(&[&TLS12], |_| {}), vec![script]));
    let outcome = client_that_waits(&server, "TLS handshake", 3).login().expect(CD_ERR_CONNECTION_LOST);
    assert_eq!((outcome.attempts, outcome.http_status), (0, 0));
    assert!(server.connections()[0].received.is_empty());
}

/// No login is sent on the closed connection.
#[test]
fn new_connection_closed_before_send_is_retried() {
    for end in [Close, Reset] {
        let server = Arc::new(FaultServer::plain(vec![vec![Gate("connected"), end.clone()], serve(GOOD)]));
        let outcome = client_that_waits(&server, "connected to", 2).login().expect(CD_ERR_CONNECTION_LOST);
        assert_eq!((outcome.attempts, outcome.http_status), (0, 0), "{end:?}");
        assert!(server.connections()[0].received.is_empty());

        let server = Arc::new(FaultServer::plain(vec![vec![Gate("connected"), end.clone()], serve(GOOD)]));
        let client = client_that_waits(&server, "connected to", 2).retries(1);
        client.login().expect(CD_OK);
        assert_eq!(requests_of_last_login(&client), 1, "{end:?}");
        assert_eq!(requests(&server), [0, 1]);
    }
}

// ---- retries on a new connection

/// The ways in which a server may end a connection before the first byte of a response, or refuse to use it.
fn dead_endings() -> Vec<Vec<Step>> {
    let status =
        |status: u16| send(format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"));
    vec![
        vec![Close],
        vec![Cut],
        vec![Reset],
        vec![status(408), Close],
        vec![status(421), Close],
        vec![send(json_response(408, "idle"))],
        vec![send("HTTP/1.0 408 X\r\n\r\n"), Close],
    ]
}

/// The connection ends without a response, and the login is sent once more on a new connection.
#[test]
fn login_on_a_dead_reused_connection_is_resent() {
    for end in dead_endings() {
        let stale = [whole(token("one")), vec![Request], end.clone()].concat();
        over_both(vec![stale, serve(token("two"))], |server, over| {
            let client = Client::new(&server.url());
            assert_eq!(client.login().expect_token(), "one");
            assert_eq!(client.login().expect_token(), "two", "{end:?} over {over}");
            assert_eq!(requests_of_last_login(&client), 2);
            assert_eq!(requests(&server), [2, 1]);
            assert_eq!(client.login().expect_token(), "two");
            assert_eq!(requests(&server), [2, 2]);
        });
    }
}

#[test]
fn retries_after_a_dead_connection_skip_the_pool() {
    let stale = [whole(token("one")), vec![Request, Close]].concat();
    let server = FaultServer::plain(vec![stale, whole(json_response(503, "later")), serve(token("two"))]);
    let client = Client::new(&server.url()).retries(1);
    assert_eq!(client.login().expect_token(), "one");
    assert_eq!(client.login().expect_token(), "two");
    assert_eq!(requests(&server), [2, 1, 1]);
    // Both are kept: the pool may hold more connections than threads log in.
    server.wait(|seen| seen.iter().filter(|seen| !seen.closed_in_order).count() == 2);
}

#[test]
fn login_is_resent_at_most_once() {
    for end in dead_endings() {
        let stale = [whole(token("one")), vec![Request], end.clone()].concat();
        let fresh = [vec![Request], end.clone()].concat();
        over_both(vec![stale, fresh], |server, over| {
            let client = Client::new(&server.url()).retries(4);
            assert_eq!(client.login().expect_token(), "one");
            let outcome = client.login();
            let expected = match outcome.http_status {
                0 => CD_ERR_CONNECTION_LOST,
                _ => CD_ERR_HTTP_STATUS,
            };
            assert_eq!(outcome.clone().expect(expected).attempts, 2, "{end:?} over {over}");
            assert_eq!(outcome.http_status == 0, !matches!(end[0], Step::Send(_)));
            assert_eq!(requests(&server), [2, 1]);
        });
    }
}

#[test]
fn login_is_not_resent_after_a_response_byte() {
    for part in ["H", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 100 Continue\r\n\r\n", &GOOD[..GOOD.len() - 1], "x"] {
        for end in [Close, Reset] {
            let stale = [whole(token("one")), vec![Request, send(part), end.clone()]].concat();
            over_both(vec![stale, serve(token("two"))], |server, over| {
                let client = Client::new(&server.url()).retries(4);
                assert_eq!(client.login().expect_token(), "one");
                let outcome = client.login();
                assert!(
                    [CD_ERR_CONNECTION_LOST as i32, CD_ERR_MALFORMED_RESPONSE as i32].contains(&outcome.code),
                    "{part:?}, {end:?} over {over}: {outcome:?}"
                );
                assert_eq!(outcome.attempts, 1);
                assert_eq!(requests(&server), [2]);
            });
        }
    }
}

#[test]
fn login_is_not_resent_after_a_partial_record() {
    let record = [&[0x17, 3, 3, 0, 40][..], &[7; 40]].concat();
    for part in [1, 5, 20] {
        for end in [Cut, Reset] {
            let stale =
                [whole(token("one")), vec![Request, Raw(record[..part].into()), end.clone()]].concat();
            let server = FaultServer::tls(good_server(), vec![stale, serve(token("two"))]);
            let client = Client::new(&server.url()).retries(4);
            assert_eq!(client.login().expect_token(), "one");
            let outcome = client.login().expect(CD_ERR_CONNECTION_LOST);
            assert_eq!((outcome.attempts, outcome.http_status), (1, 0), "{part} bytes, {end:?}");
            assert_eq!(requests(&server), [2]);
        }
    }
}

#[test]
fn timeout_on_a_reused_connection_is_not_resent() {
    over_both(vec![[whole(token("one")), vec![Request]].concat(), serve(token("two"))], |server, _| {
        let client = Client::new(&server.url()).timeout(1_000).retries(4);
        assert_eq!(client.login().expect_token(), "one");
        assert_eq!(client.login().expect(CD_ERR_TIMEOUT).attempts, 1);
        assert_eq!(requests(&server), [2]);
    });
}

/// The server closes the connection after it has received the request.
#[test]
fn login_on_a_new_connection_is_not_resent() {
    for end in [Close, Cut, Reset] {
        over_both(vec![vec![Request, end.clone()], serve(GOOD)], |server, over| {
            let outcome = Client::new(&server.url()).retries(4).login().expect(CD_ERR_CONNECTION_LOST);
            assert_eq!((outcome.attempts, outcome.http_status), (1, 0), "{end:?} over {over}");
            assert_eq!(requests(&server), [1]);
        });
    }
}

#[test]
fn dead_connection_drops_older_idle_ones() {
    let stale = vec![Request, Gate("go"), send(token("one")), Request, Close];
    let server = FaultServer::plain(vec![stale.clone(), stale.clone(), stale, serve(token("two"))]);
    let client = Client::new(&server.url());
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| client.login().expect(CD_OK));
        }
        server.wait(|seen| seen.iter().filter(|seen| seen.requests == 1).count() == 3);
        server.open_gate("go");
    });
    assert_eq!(client.login().expect_token(), "two");
    assert_eq!(requests_of_last_login(&client), 2);
    let seen = server.wait(|seen| seen[..3].iter().all(|seen| seen.over));
    let mut requests: Vec<_> = seen.iter().map(|seen| seen.requests).collect();
    requests.sort_unstable();
    assert_eq!(requests, [1, 1, 1, 2], "one old connection was tried, and the new one");
}

// ---- connecting ahead

/// It makes one connection and sends no request.
#[test]
fn cd_connect_prepares_the_next_logins_connection() {
    over_both(vec![vec![Step::Handshake, Repeat(whole(GOOD))]], |server, over| {
        let client = Client::new(&server.url());
        client.connect().expect(CD_OK);
        client.connect().expect(CD_OK);
        // The client's last message has been sent, and the tickets that follow it are harmless.
        server.wait_until_arrived(1);
        assert_eq!(server.connections()[0].handshaken, over == "TLS");
        assert_eq!(server.wait(|seen| !seen.is_empty()).len(), 1);
        assert!(server.connections()[0].received.is_empty());
        client.connect().expect(CD_OK);
        client.login().expect(CD_OK);
        client.connect().expect(CD_OK);
        assert_eq!(requests(&server), [1]);
        assert_eq!(requests_of_last_login(&client), 1);
    });
}

/// A few tickets are processed, and the connection is kept.
#[test]
fn session_ticket_flood_closes_the_connection() {
    for (tickets, expected) in [(4, [1].as_slice()), (1_000, &[0, 1])] {
        let config = good_server_but(&[&TLS13], |config| config.send_tls13_tickets = tickets);
        let server = FaultServer::tls(config, vec![vec![Step::Handshake, Repeat(whole(GOOD))]]);
        let client = Client::new(&server.url());
        client.connect().expect(CD_OK);
        // The server sent the tickets with the handshake.
        server.wait_until_arrived(1);
        client.login().expect(CD_OK);
        assert_eq!(requests(&server), expected, "{tickets} tickets");
    }
}

const GATES: [&str; 3] = ["blocked", "blocked still", "blocked for long"];

/// The check of a waiting call: opens the next gate on each call, once the handshake is complete.
///
/// # Safety
/// `server` points to a [`FaultServer`].
unsafe extern "C" fn open_after_handshake(server: *mut c_void) -> i32 {
    // SAFETY: as the caller promises.
    let server = unsafe { &*server.cast::<FaultServer>() };
    // There is a step before and after each gate.
    let steps = server.connections().first().map_or(0, |seen| seen.steps);
    if let (1, Some(gate)) = (steps % 2, GATES.get(steps / 2)) {
        server.open_gate(gate);
    }
    0
}

/// A key update or an interim response.
#[test]
fn interim_data_during_send_does_not_end_the_login() {
    for data in [NewKeys, send("HTTP/1.1 100 Continue\r\n\r\n")] {
        // The server reads only the handshake; its window is small, and so is the kernel's buffer for small segments.
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4 << 10).unwrap();
        socket.set_tcp_mss(536).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        socket.listen(1).unwrap();
        let config = good_server_but(&[&TLS13], |config| config.send_tls13_tickets = 0);
        let mut script = vec![Step::Handshake];
        script.extend(GATES.iter().flat_map(|gate| [Gate(gate), data.clone()]));
        script.extend(whole(GOOD));
        let server = FaultServer::on(TcpListener::from(socket), Some(config), vec![script]);
        let client = Client::new(&server.url());
        let cancel = Cancel::with_check(open_after_handshake, &server);
        // Each is three bytes in a form.
        let password = "%".repeat(64 << 10);
        let login =
            Login { cancel: Some(&cancel), timeout_ms: 20_000, password: &password, ..client.prepared() };
        client.run(login).expect(CD_OK);
        assert_eq!(requests_of_last_login(&client), 1);
        assert_eq!(requests(&server), [1]);
    }
}

#[test]
fn partial_record_on_a_new_connection_is_awaited() {
    // Servers that send session tickets with their part of the handshake send them like this.
    let early = Step::HalfEarly("HTTP/1.1 100 Continue\r\n\r\n".into());
    let script = [vec![early], whole(GOOD)].concat();
    let config = good_server_but(&[&TLS13], |config| config.send_half_rtt_data = true);
    let server = FaultServer::tls(config, vec![script]);
    let client = Client::new(&server.url());
    client.login().expect(CD_OK);
    assert_eq!(requests(&server), [1]);
}

#[test]
fn cd_connect_replaces_a_closed_connection() {
    over_both(vec![vec![Step::Handshake, Gate("end"), Close], serve(GOOD)], |server, _| {
        let client = Client::new(&server.url());
        client.connect().expect(CD_OK);
        server.open_gate("end");
        server.wait_until_arrived(3);
        client.connect().expect(CD_OK);
        client.login().expect(CD_OK);
        assert_eq!(requests(&server), [0, 1]);
    });
}

#[test]
fn cd_connect_does_not_retry() {
    let script = vec![CutAfter { bytes: 50, end: Box::new(Reset) }];
    let server = FaultServer::tls(good_server(), vec![script]);
    let outcome = Client::new(&server.url()).retries(4).connect().expect(CD_ERR_CONNECTION_LOST);
    assert_eq!(outcome.attempts, 0);
    assert_eq!(server.connections().len(), 1);

    let refusing = Refusing::new();
    refusing.client().retries(4).connect().expect(CD_ERR_CONNECT);
}

// ---- choice of address

/// A loopback port on which neither address family listens, and that no other process can take in the meantime.
struct Refusing {
    v4: Socket,
    v6: Socket,
    port: u16,
}

impl Refusing {
    fn new() -> Refusing {
        loop {
            let v4 = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            v4.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
            let port = v4.local_addr().unwrap().as_socket().unwrap().port();
            let v6 = Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
            v6.set_only_v6(true).unwrap();
            if v6.bind(&SockAddr::from(SocketAddr::from((Ipv6Addr::LOCALHOST, port)))).is_ok() {
                return Refusing { v4, v6, port };
            }
        }
    }

    fn client(&self) -> Client {
        Client::new(&format!("http://localhost:{}", self.port))
    }
}

fn listening(socket: Socket) -> FaultServer {
    socket.listen(128).unwrap();
    FaultServer::on(TcpListener::from(socket), None, vec![serve(GOOD)])
}

#[test]
fn localhost_connects_to_the_listening_family() {
    let only = Refusing::new();
    let client = only.client();
    let server = listening(only.v4);
    client.login().expect(CD_OK);
    assert_eq!(requests(&server), [1]);

    let only = Refusing::new();
    let client = only.client();
    let server = listening(only.v6);
    client.login().expect(CD_OK);
    assert_eq!(requests(&server), [1]);
    assert!(server.address().is_ipv6());
}

#[test]
fn refused_connection_names_every_tried_address() {
    let outcome = Refusing::new().client().login().expect(CD_ERR_CONNECT);
    assert_eq!((outcome.attempts, outcome.http_status), (0, 0));
    for part in ["localhost", "127.0.0.1", "::1", "connection refused"] {
        assert!(outcome.message.contains(part), "{part} in {}", outcome.message);
    }
}

#[test]
fn broadcast_address_is_a_connect_failure() {
    // The kernel refuses TCP to a broadcast address at once.
    let outcome = Client::new("https://255.255.255.255:1").connect().expect(CD_ERR_CONNECT);
    assert!(outcome.message.contains("255.255.255.255: "), "{}", outcome.message);
}

#[test]
fn refused_connection_is_retried() {
    let Refusing { v4, v6: _v6, port } = Refusing::new();
    let server = Arc::new(Mutex::new(None));
    let (waiting, started) = (Mutex::new(Some(v4)), Arc::clone(&server));
    // The server starts between the first and the second attempt.
    let client = Client::new(&format!("http://localhost:{port}")).retries(1).listen(move |line| {
        if line.starts_with("retrying") {
            *started.lock().unwrap() = Some(listening(waiting.lock().unwrap().take().unwrap()));
        }
    });
    client.login().expect(CD_OK);
    assert_eq!(requests_of_last_login(&client), 1);
    assert_eq!(requests(server.lock().unwrap().as_ref().unwrap()), [1]);

    let refusing = Refusing::new();
    let client = refusing.client().retries(3);
    client.login().expect(CD_ERR_CONNECT);
    assert_eq!(client.log().iter().filter(|line| line.starts_with("retrying")).count(), 3);
}

#[test]
fn truncated_handshake_is_retried() {
    for end in [Cut, Reset] {
        let script = vec![CutAfter { bytes: 200, end: Box::new(end.clone()) }];
        let server = FaultServer::tls(good_server(), vec![script.clone(), script, serve(GOOD)]);
        let client = Client::new(&server.url()).retries(2);
        client.login().expect(CD_OK);
        assert_eq!(requests_of_last_login(&client), 1, "{end:?}");
        assert_eq!(requests(&server), [0, 0, 1]);
    }
}

// ---- fork

/// Runs `child` in a child process and returns its exit status: 0 on success.
fn in_a_child(child: impl FnOnce()) -> i32 {
    // SAFETY: the child runs what the library promises to work there, and leaves without what the parent registered.
    match unsafe { libc::fork() } {
        0 => {
            let done = catch_unwind(AssertUnwindSafe(child));
            unsafe { libc::_exit(i32::from(done.is_err())) }
        }
        id => {
            assert!(id > 0, "fork failed");
            let mut status = 0;
            // SAFETY: `status` is local.
            assert_eq!(unsafe { libc::waitpid(id, &mut status, 0) }, id);
            if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { -libc::WTERMSIG(status) }
        }
    }
}

#[test]
fn child_freeing_options_keeps_parents_connection() {
    over_both(vec![serve(GOOD)], |server, over| {
        let client = Client::new(&server.url());
        client.login().expect(CD_OK);
        assert_eq!(in_a_child(|| client.free_in_a_child()), 0);
        client.login().expect(CD_OK);
        assert_eq!(requests(&server), [2], "over {over}");
    });
}

#[test]
fn child_uses_its_own_connections() {
    over_both(vec![serve(GOOD)], |server, over| {
        let client = Client::new(&server.url());
        client.login().expect(CD_OK);
        let child = in_a_child(|| {
            for _ in 0..3 {
                assert_eq!(client.login().expect_token(), TOKEN);
            }
            client.connect().expect(CD_OK);
            client.free_in_a_child();
        });
        assert_eq!(child, 0, "over {over}");
        client.login().expect(CD_OK);
        assert_eq!(requests(&server), [2, 3], "over {over}");
    });
}

#[test]
fn grandchild_can_log_in() {
    over_both(vec![serve(GOOD)], |server, over| {
        let client = Client::new(&server.url());
        client.connect().expect(CD_OK);
        let child = in_a_child(|| {
            client.login().expect(CD_OK);
            assert_eq!(in_a_child(|| assert_eq!(client.login().expect_token(), TOKEN)), 0);
            client.login().expect(CD_OK);
        });
        assert_eq!(child, 0, "over {over}");
        client.login().expect(CD_OK);
        assert_eq!(requests(&server), [1, 2, 1], "over {over}");
    });
}

#[test]
fn exiting_child_keeps_parents_connection() {
    over_both(vec![serve(GOOD)], |server, over| {
        let client = Client::new(&server.url());
        for _ in 0..5 {
            client.login().expect(CD_OK);
            assert_eq!(in_a_child(|| ()), 0);
        }
        assert_eq!(requests(&server), [5], "over {over}");
    });
}
