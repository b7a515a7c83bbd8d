//! Happy Eyeballs (RFC 8305, sections 4 and 5): the addresses alternate between both families. The next attempt starts
//! when one has failed or after 200 ms. The first connection wins.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::Duration;

use socket2::Socket;

use crate::context::CallContext;
use crate::error::{ErrorKind, Phase};
use crate::http::wait::{pause, wait};
use crate::logger::Level;
use crate::sys::descriptor::is_out_of_resources;
use crate::sys::errno::describe;
use crate::sys::poll::PollEntry;
use crate::sys::socket::{connect_result, start_connect};

/// RFC 8305 recommends 250 ms and allows 100 ms to 2 s; libcurl uses 200 ms.
const ATTEMPT_DELAY: Duration = Duration::from_millis(200);

/// The wait for other code to close descriptors, if the process has none left.
const RELEASE_DELAY: Duration = Duration::from_millis(10);

/// Addresses that failed during this login, in a connect or a handshake. They are tried last.
pub type Failed = Vec<SocketAddr>;

/// Connects to the first of `addresses` that accepts. `while_connecting` runs once, while the first attempt is in progress.
pub fn connect(
    call: &CallContext,
    peer: &str,
    addresses: &[SocketAddr],
    failed: &mut Failed,
    while_connecting: impl FnOnce() -> Result<(), ErrorKind>,
) -> Result<(Socket, SocketAddr), ErrorKind> {
    call.set_phase(Phase::Connect);
    let mut queue = VecDeque::from(interleave_families(addresses, failed));
    let mut has_paused = false;
    let mut while_connecting = Some(while_connecting);
    let mut attempts: Vec<(Socket, SocketAddr)> = Vec::new();
    let mut errors: Vec<String> = Vec::new();
    let mut next = call.clock.now();
    let done = loop {
        let is_time = attempts.is_empty() || call.clock.now() >= next;
        if let Some(address) = is_time.then(|| queue.pop_front()).flatten() {
            next = call.clock.now() + ATTEMPT_DELAY;
            match start_connect(address) {
                Ok(socket) => {
                    call.log(Level::Debug, || format!("connecting to {address}"));
                    attempts.push((socket, address));
                }
                Err(error) if is_out_of_resources(&error) && attempts.is_empty() && !has_paused => {
                    // The thread of a lookup that has just ended may still hold descriptors for a moment.
                    has_paused = true;
                    match pause(call, RELEASE_DELAY) {
                        // poll itself fails if the process may not open any descriptor.
                        Ok(()) | Err(ErrorKind::Resources(_)) => queue.push_front(address),
                        Err(kind) => return Err(kind),
                    }
                }
                Err(error) if is_out_of_resources(&error) && attempts.is_empty() => {
                    break Err(ErrorKind::Resources(
                        format!("The process can't open a socket: {}", describe(&error)).into(),
                    ));
                }
                Err(error) => record_failure(call, address, &error, &mut errors, failed),
            }
            continue;
        }
        if attempts.is_empty() {
            break Err(ErrorKind::Connect { peer: peer.to_owned(), why: errors.join("; ").into() });
        }
        if let Some(while_connecting) = while_connecting.take() {
            while_connecting()?;
        }
        let mut entries: Vec<_> =
            attempts.iter().map(|(socket, _)| PollEntry::writable(socket.as_raw_fd())).collect();
        entries.push(PollEntry::unused());
        let until =
            if queue.is_empty() { call.effective_deadline() } else { next.min(call.effective_deadline()) };
        if !wait(call, &mut entries, until)? {
            if call.clock.now() >= call.effective_deadline() {
                break Err(call.timed_out());
            }
            continue;
        }
        let mut winner = None;
        let mut entries = entries.iter();
        attempts.retain_mut(|(socket, address)| {
            if !entries.next().is_some_and(PollEntry::is_ready) {
                return true;
            }
            match connect_result(socket, *address) {
                Ok(()) => {
                    winner.get_or_insert(*address);
                    true
                }
                Err(error) => {
                    record_failure(call, *address, &error, &mut errors, failed);
                    next = call.clock.now();
                    false
                }
            }
        });
        if let Some(index) = winner.and_then(|won| attempts.iter().position(|(_, address)| *address == won)) {
            break Ok(attempts.swap_remove(index));
        }
    };
    if done.is_err() {
        failed.extend(attempts.iter().map(|(_, address)| *address));
    }
    done
}

fn record_failure(
    call: &CallContext,
    address: SocketAddr,
    error: &io::Error,
    errors: &mut Vec<String>,
    failed: &mut Failed,
) {
    let what = format!("{}: {}", without_port(&address), describe(error));
    call.log(Level::Debug, || format!("no connection to {what}"));
    errors.push(what);
    failed.push(address);
}

/// Alternates the families, beginning with the first address's. Failed addresses come last.
fn interleave_families(addresses: &[SocketAddr], failed: &Failed) -> Vec<SocketAddr> {
    let (tried, fresh): (Vec<SocketAddr>, Vec<_>) =
        addresses.iter().partition(|address| failed.contains(address));
    let mut order = Vec::with_capacity(addresses.len());
    for group in [fresh, tried] {
        let first_is_v6 = group.first().is_some_and(SocketAddr::is_ipv6);
        let (one, other): (Vec<SocketAddr>, Vec<_>) =
            group.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
        let (mut one, mut other) = (one.into_iter(), other.into_iter());
        loop {
            match (one.next(), other.next()) {
                (None, None) => break,
                (a, b) => order.extend(a.into_iter().chain(b)),
            }
        }
    }
    order
}

/// An address without its port; a link-local address keeps its scope.
pub fn without_port(address: &SocketAddr) -> String {
    match address {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("{}%{}", v6.ip(), v6.scope_id()),
        other => other.ip().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_alternate_and_failed_addresses_come_last() {
        let [a4, b4, c4] = [1, 2, 3].map(|last| SocketAddr::from(([192, 0, 2, last], 443)));
        let [a6, b6] = [1, 2].map(|last| SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, last], 443)));
        assert_eq!(interleave_families(&[a6, b6, a4, b4, c4], &vec![]), [a6, a4, b6, b4, c4]);
        assert_eq!(interleave_families(&[a4, b4, c4], &vec![]), [a4, b4, c4]);
        assert_eq!(interleave_families(&[a6, b6, a4, b4], &vec![a6]), [b6, a4, b4, a6]);
        assert_eq!(interleave_families(&[a4], &vec![a4]), [a4]);
    }
}
