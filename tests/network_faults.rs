//! Network faults between the library and a TLS server. The network cuts a login at any byte of either direction, stops
//! forwarding, throttles to single bytes or delays them, while other logins run.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use common::Login;
use common::client::*;
use couchdrop::error::cd_code::*;
use fault_server::Step::{Repeat, Request};
use fault_server::{
    End, FaultServer, GOOD_PATH, Link, Network, Path, echo, good_server, good_server_but, serve, token,
};
use rustls::ProtocolVersion;
use rustls::version::{TLS12, TLS13};

const THREADS: usize = 8;

/// Calls `work` for each item, on a few threads.
fn for_each<T: Sync>(all: &[T], work: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(one) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    work(one);
                }
            });
        }
    });
}

/// The number of bytes by which signatures vary the length of a handshake.
const VARYING: usize = 8;

/// The cut is in either direction. No part of a response is accepted.
#[test]
fn cut_at_any_byte_is_a_lost_connection() {
    for (version, to_server) in [(&TLS13, true), (&TLS13, false), (&TLS12, true), (&TLS12, false)] {
        let tls = good_server_but(&[version], |config| config.send_tls13_tickets = 0);
        let server = FaultServer::tls(tls, vec![serve(token("whole"))]);

        let network = Network::new(server.address(), |_| GOOD_PATH);
        let client = Client::new(&network.url());
        assert_eq!(client.login().expect_token(), "whole");
        let whole = if to_server { network.passed().0 } else { network.passed().1 };
        drop(client);

        // Each position has one kind of end under TLS 1.3, and the other under 1.2.
        let resets = usize::from(version.version == ProtocolVersion::TLSv1_3);
        let end = |after| if after % 2 == resets { End::Reset } else { End::Close };
        let cuts: Vec<_> = (0..whole).map(|after| (after, end(after))).collect();
        assert!(cuts.len() > 500, "{} cuts", cuts.len());
        let taken = AtomicUsize::new(0);
        for_each(&cuts, |&(after, end)| {
            let cut = Link::Cut(after, end);
            let path = if to_server {
                Path { to_server: cut, ..GOOD_PATH }
            } else {
                Path { to_client: cut, ..GOOD_PATH }
            };
            let network = Network::new(server.address(), move |_| path);
            let outcome = Client::new(&network.url()).login();
            assert_eq!(network.connections(), 1);
            if !to_server && after + VARYING > whole && outcome.token.as_deref() == Some("whole") {
                return;
            }
            let what = format!("{version:?}, {path:?} of {whole}: {outcome:?}");
            // A reset may arrive before the login has checked that it is connected.
            if after == 0 && end == End::Reset && outcome.code == CD_ERR_CONNECT as i32 {
                return;
            }
            assert_eq!(outcome.code, CD_ERR_CONNECTION_LOST as i32, "{what}");
            assert!(outcome.attempts <= 1 && matches!(outcome.http_status, 0 | 200), "{what}");
            // A connection that ends before the request is sent is also reported as closed or reset.
            let is_named =
                ["reset by peer", "closed it immediately"].iter().any(|part| outcome.message.contains(part));
            assert!(end == End::Close || is_named, "{what}");
            taken.fetch_add(outcome.attempts as usize, Ordering::Relaxed);
        });
        assert!(taken.into_inner() > 10, "no connection was cut during a request");

        let seen = server.wait(|seen| seen.len() > cuts.len() && seen.iter().all(|seen| seen.over));
        let requests = seen[1..].iter().map(|seen| seen.requests).sum::<usize>();
        // A request that was cut on its way does not reach the server as a request, and no request is sent twice.
        assert!(
            requests <= if to_server { 0 } else { cuts.len() },
            "{requests} requests of {} logins",
            cuts.len()
        );
    }
}

/// The next login succeeds.
#[test]
fn stalled_network_times_out() {
    const DEADLINE: Duration = Duration::from_millis(300);
    let server = FaultServer::tls(good_server(), vec![serve(token("whole"))]);
    let network = Network::new(server.address(), |_| GOOD_PATH);
    let client = Client::new(&network.url());
    assert_eq!(client.login().expect_token(), "whole");
    let (to_server, to_client) = network.passed();
    drop((client, network));

    let places = |whole: usize| (0..16).map(move |place| (whole - VARYING) * place / 15);
    let mut paths: Vec<_> =
        places(to_server).map(|after| Path { to_server: Link::Stall(after), ..GOOD_PATH }).collect();
    paths.extend(places(to_client).map(|after| Path { to_client: Link::Stall(after), ..GOOD_PATH }));
    paths.push(Path { to_client: Link::Late(2 * DEADLINE), ..GOOD_PATH });
    paths.push(Path { to_server: Link::Late(2 * DEADLINE), ..GOOD_PATH });
    for_each(&paths, |&path| {
        let network = Network::new(server.address(), move |index| if index == 0 { path } else { GOOD_PATH });
        let client = Client::new(&network.url());
        let outcome = client.login_within(DEADLINE.as_millis() as u32).expect(CD_ERR_TIMEOUT);
        let late = outcome.elapsed.checked_sub(DEADLINE).expect("not before its deadline");
        assert!(late < Duration::from_secs(2), "{path:?}: {late:?} too late");
        assert_eq!(client.login().expect_token(), "whole", "{path:?}");
        assert_eq!(network.connections(), 2, "{path:?}");
    });
}

#[test]
fn byte_by_byte_network_succeeds() {
    for version in [&TLS13, &TLS12] {
        let server = FaultServer::tls(good_server_but(&[version], |_| {}), vec![serve(token("whole"))]);
        let path = Path { to_server: Link::Throttled, to_client: Link::Throttled };
        let network = Network::new(server.address(), move |_| path);
        let client = Client::new(&network.url());
        for _ in 0..2 {
            assert_eq!(client.login().expect_token(), "whole");
        }
        assert_eq!(network.connections(), 1);
    }
}

/// Responses take about as long as the timeout. Some arrive in time, and some arrive just after their login has timed
/// out and while others are running.
#[test]
fn late_responses_never_reach_other_logins() {
    let server = FaultServer::tls(good_server(), vec![vec![Repeat(vec![Request, echo()])]]);
    let network = Network::new(server.address(), |index| {
        let late = Duration::from_millis([10, 25, 40][index % 3]);
        Path { to_client: Link::Late(late), ..GOOD_PATH }
    });
    let client = Client::new(&network.url());
    let (given, timed_out) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let logins: Vec<usize> = (0..240).collect();
    for_each(&logins, |number| {
        let username = format!("account.{number}");
        // Every third login has its own timeout.
        let timeout = if number % 3 == 0 { 5 + number % 50 } else { 0 };
        let outcome =
            client.run(Login { timeout_ms: timeout as u32, username: &username, ..client.prepared() });
        if timeout > 0 && outcome.code == CD_ERR_TIMEOUT as i32 {
            timed_out.fetch_add(1, Ordering::Relaxed);
        } else {
            assert_eq!(outcome.expect_token(), username);
            given.fetch_add(1, Ordering::Relaxed);
        }
    });
    drop(client);
    let (given, timed_out) = (given.into_inner(), timed_out.into_inner());
    assert!(given >= 160 && timed_out > 10, "{given} got their responses, {timed_out} timed out");
}
