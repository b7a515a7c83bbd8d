//! Happy Eyeballs (RFC 8305, sections 4 and 5): the addresses alternate between both families. The next attempt starts
//! when one has failed or after 200 ms. The first connection wins.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use crate::call::{Call, Level};
use crate::errno::describe;
use crate::failure::{Failure, Phase};
use crate::wake;
use crate::wire::wait;

/// RFC 8305 recommends 250 ms and allows 100 ms to 2 s; libcurl uses 200 ms.
const ATTEMPT_DELAY: Duration = Duration::from_millis(200);

/// The wait for other code to close descriptors, if the process has none left.
const RELEASE_DELAY: Duration = Duration::from_millis(10);

/// Addresses that failed during this login, in a connect or a handshake. They are tried last.
pub type Failed = Vec<SocketAddr>;

/// Connects to the first of `addresses` that accepts. `meanwhile` runs once, while the first attempt is in progress.
pub fn race(
    call: &Call,
    peer: &str,
    addresses: &[SocketAddr],
    failed: &mut Failed,
    meanwhile: impl FnOnce() -> Result<(), Failure>,
) -> Result<(Socket, SocketAddr), Failure> {
    call.enter(Phase::Connect);
    let mut queue = VecDeque::from(in_turn(addresses, failed));
    let mut has_paused = false;
    let mut meanwhile = Some(meanwhile);
    let mut under_way: Vec<(Socket, SocketAddr)> = Vec::new();
    let mut errors: Vec<String> = Vec::new();
    let mut next = call.clock.now();
    let done = loop {
        let is_time = under_way.is_empty() || call.clock.now() >= next;
        if let Some(address) = is_time.then(|| queue.pop_front()).flatten() {
            next = call.clock.now() + ATTEMPT_DELAY;
            match start(&address) {
                Ok(socket) => {
                    call.log(Level::Debug, || format!("connecting to {address}"));
                    under_way.push((socket, address));
                }
                Err(error) if out_of_resources(&error) && under_way.is_empty() && !has_paused => {
                    // The thread of a lookup that has just ended may still hold descriptors for a moment.
                    has_paused = true;
                    match wait::pause(call, RELEASE_DELAY) {
                        // poll itself fails if the process may not open any descriptor.
                        Ok(()) | Err(Failure::Resources(_)) => queue.push_front(address),
                        Err(failure) => return Err(failure),
                    }
                }
                Err(error) if out_of_resources(&error) && under_way.is_empty() => {
                    break Err(Failure::Resources(
                        format!("The process can't open a socket: {}", describe(&error)).into(),
                    ));
                }
                Err(error) => give_up(call, address, &error, &mut errors, failed),
            }
            continue;
        }
        if under_way.is_empty() {
            break Err(Failure::Connect { peer: peer.to_owned(), why: errors.join("; ").into() });
        }
        if let Some(meanwhile) = meanwhile.take() {
            meanwhile()?;
        }
        let mut polls: Vec<_> =
            under_way.iter().map(|(socket, _)| wait::writable(socket.as_raw_fd())).collect();
        polls.push(wait::nothing());
        let until = if queue.is_empty() { call.until() } else { next.min(call.until()) };
        if !wait::wait(call, &mut polls, until)? {
            if call.clock.now() >= call.until() {
                break Err(call.timed_out());
            }
            continue;
        }
        let mut ready: Vec<_> = polls.iter().map(|poll| poll.revents != 0).collect();
        ready.truncate(under_way.len());
        let mut winner = None;
        let mut ready = ready.into_iter();
        under_way.retain_mut(|(socket, address)| {
            if !ready.next().unwrap_or(false) {
                return true;
            }
            // In a child that the logger has just forked, the sockets are the parent's.
            if call.is_anothers() {
                return true;
            }
            match outcome(socket, address) {
                Ok(()) => {
                    winner.get_or_insert(*address);
                    true
                }
                Err(error) => {
                    give_up(call, *address, &error, &mut errors, failed);
                    next = call.clock.now();
                    false
                }
            }
        });
        if let Some(index) = winner.and_then(|won| under_way.iter().position(|(_, address)| *address == won))
        {
            break Ok(under_way.swap_remove(index));
        }
    };
    if done.is_err() {
        failed.extend(under_way.iter().map(|(_, address)| *address));
    }
    done
}

fn give_up(
    call: &Call,
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
fn in_turn(addresses: &[SocketAddr], failed: &Failed) -> Vec<SocketAddr> {
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

fn start(address: &SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(*address), Type::STREAM, Some(Protocol::TCP))?; // close-on-exec
    let socket = Socket::from(wake::above_standard(socket.into())?);
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    #[cfg(any(target_os = "macos", target_os = "ios"))]
    socket.set_nosigpipe(true)?;
    match socket.connect(&(*address).into()) {
        Ok(()) => Ok(socket),
        Err(error)
            if error.raw_os_error() == Some(libc::EINPROGRESS)
                || error.kind() == io::ErrorKind::WouldBlock =>
        {
            Ok(socket)
        }
        Err(error) => Err(error),
    }
}

/// The result of a finished connect.
fn outcome(socket: &Socket, address: &SocketAddr) -> io::Result<()> {
    match socket.take_error()? {
        Some(error) => Err(error),
        // Connecting to an unused ephemeral port can succeed as a TCP self-connect.
        None if socket.local_addr()?.as_socket() == Some(*address) => {
            Err(io::ErrorKind::ConnectionRefused.into())
        }
        None => Ok(()),
    }
}

fn out_of_resources(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
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
    fn families_come_in_turn_and_what_failed_comes_last() {
        let [a4, b4, c4] = [1, 2, 3].map(|last| SocketAddr::from(([192, 0, 2, last], 443)));
        let [a6, b6] = [1, 2].map(|last| SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, last], 443)));
        assert_eq!(in_turn(&[a6, b6, a4, b4, c4], &vec![]), [a6, a4, b6, b4, c4]);
        assert_eq!(in_turn(&[a4, b4, c4], &vec![]), [a4, b4, c4]);
        assert_eq!(in_turn(&[a6, b6, a4, b4], &vec![a6]), [b6, a4, b4, a6]);
        assert_eq!(in_turn(&[a4], &vec![a4]), [a4]);
    }

    #[test]
    fn a_socket_that_met_itself_has_met_nobody() {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let own = socket.local_addr().unwrap();
        socket.connect(&own).unwrap();
        let own = own.as_socket().unwrap();
        assert_eq!(outcome(&socket, &own).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert!(outcome(&socket, &SocketAddr::from(([127, 0, 0, 2], own.port()))).is_ok());
    }

    #[test]
    fn a_socket_never_takes_a_number_of_standard_input_or_output() {
        crate::wake::tests::without_standard_descriptors(|| {
            start(&SocketAddr::from(([127, 0, 0, 1], 9))).map_or(-1, |socket| socket.as_raw_fd())
        });
    }

    #[test]
    fn no_descriptor_and_no_memory_are_no_fault_of_an_address() {
        let is = |number| out_of_resources(&io::Error::from_raw_os_error(number));
        assert!([libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM].into_iter().all(is));
        assert!(![libc::ECONNREFUSED, libc::ENETUNREACH].into_iter().any(is));
    }
}
