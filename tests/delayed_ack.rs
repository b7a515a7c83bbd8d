//! A response in two segments. A server with Nagle's algorithm sends the second only after the first is acknowledged,
//! and the kernel can delay that by up to 40 ms.

mod common;

use std::ffi::{c_int, c_void};
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::Duration;

use common::client::*;
use couchdrop::error::cd_code::{self, *};
use fault_server::Step::{Close, Gate, Request};
use fault_server::*;
use rustls::ALL_VERSIONS;

const PATIENCE: Duration = Duration::from_secs(20);

/// The number of times that the library requested an immediate acknowledgement.
static ACKNOWLEDGEMENT_REQUESTS: (Mutex<usize>, Condvar) = (Mutex::new(0), Condvar::new());

/// Replaces the C library's setsockopt.
///
/// # Safety
/// Same contract as setsockopt.
#[unsafe(no_mangle)]
unsafe extern "C" fn setsockopt(
    socket: c_int,
    level: c_int,
    name: c_int,
    value: *const c_void,
    length: libc::socklen_t,
) -> c_int {
    // SAFETY: the caller upholds the contract.
    let done = unsafe { libc::syscall(libc::SYS_setsockopt, socket, level, name, value, length) };
    if (level, name) == (libc::IPPROTO_TCP, libc::TCP_QUICKACK) {
        assert_eq!(done, 0);
        *ACKNOWLEDGEMENT_REQUESTS.0.lock().unwrap() += 1;
        ACKNOWLEDGEMENT_REQUESTS.1.notify_all();
    }
    done as c_int
}

fn acknowledgement_requests() -> usize {
    *ACKNOWLEDGEMENT_REQUESTS.0.lock().unwrap()
}

/// A login whose server passes `Gate` only after an acknowledgement was requested.
#[track_caller]
fn assert_acknowledged(server: &FaultServer, client: Client, expected: cd_code) {
    let before = acknowledgement_requests();
    let login = thread::spawn(move || client.login());
    let (count, timeout) = ACKNOWLEDGEMENT_REQUESTS
        .1
        .wait_timeout_while(ACKNOWLEDGEMENT_REQUESTS.0.lock().unwrap(), PATIENCE, |count| *count == before)
        .unwrap();
    assert!(!timeout.timed_out(), "no acknowledgement was requested");
    drop(count);
    server.open_gate("acknowledged");
    login.join().unwrap().expect(expected);
}

/// A single test, because the counter covers the whole program.
#[test]
fn beginning_of_a_response_is_acknowledged_at_once() {
    let (head, body) = GOOD.split_at(GOOD.find('{').unwrap());
    let in_two = vec![vec![Request, send(head), Gate("acknowledged"), send(body)]];
    let tls = good_server_but(ALL_VERSIONS, |config| config.send_tls13_tickets = 0);
    for server in [FaultServer::plain(in_two.clone()), FaultServer::tls(tls, in_two)] {
        let client = Client::new(&server.url());
        client.connect().expect(CD_OK);
        assert_acknowledged(&server, client, CD_OK);
    }

    let (line, rest) = ("HTTP/1.1 200 OK\r\n", "\r\n");
    let proxy = FaultServer::plain(vec![vec![Request, send(line), Gate("acknowledged"), send(rest), Close]]);
    let client = Client::new("https://api.couchdrop.test").proxy(&proxy.url());
    assert_acknowledged(&proxy, client, CD_ERR_CONNECTION_LOST);

    // A response in one segment costs no additional system call.
    let server = FaultServer::plain(vec![vec![Request, send(GOOD), Request, send(GOOD)]]);
    let client = Client::new(&server.url());
    let before = acknowledgement_requests();
    client.login().expect(CD_OK);
    client.login().expect(CD_OK);
    assert_eq!(acknowledgement_requests(), before);
}
