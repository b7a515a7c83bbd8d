//! For any response of a proxy, either the requested tunnel exists or the call ends with a documented code. Only the
//! proxy receives the credentials.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use couchdrop::error::ErrorKind;
use couchdrop::http::proxy::{Target, tunnel};
use couchdrop::url::{Host, ProxyUrl};

use super::lockstep;
use super::script::{Script, joined};
use super::scripted_peer::{Ending, connected};

const BASIC: &str = "Proxy-Authorization: Basic YTpodW50ZXIyOng=\r\n"; // a:hunter2:x
const PORT: u16 = 443;
const AGENT: &str = "fuzzing/1";

pub fn holds(input: &[u8]) {
    let script = Script::read(input);
    let ending = Ending::of(script.flags);
    let scheme = ["http", "socks5", "socks5h", "http"][usize::from((script.flags >> 2) & 3)];
    let credentials = script.flag(4);
    let hosts = [
        Host::Name("api.couchdrop.io".into()),
        Host::Address(Ipv4Addr::new(192, 0, 2, 7).into()),
        Host::Address(Ipv6Addr::LOCALHOST.into()),
    ];
    let host = &hosts[usize::from(script.flags >> 5) % hosts.len()];
    // With socks5 the target is the address that was looked up.
    let target = match host {
        Host::Address(address) if scheme == "socks5" => Target::Address(*address),
        host => Target::Host(host),
    };
    let pieces = script.into_pieces();
    let sent = joined(&pieces);
    let user = if credentials { "a:hunter2%3ax@" } else { "" };
    let proxy = ProxyUrl::parse("The proxy", &format!("{scheme}://{user}proxy.test:3128")).expect("a proxy");

    let (mut connection, mut peer) = connected(pieces, ending);
    let done = lockstep::run(&mut peer, |call| tunnel(call, &mut connection, &proxy, AGENT, target, PORT));
    peer.receive();
    match done {
        Ok(()) => {
            assert!(connection.is_input_empty());
            let sent = &sent[..sent.len() - joined(peer.pieces.make_contiguous()).len()];
            let expected = match scheme {
                "http" => {
                    assert!(sent.ends_with(b"\n\r\n") || sent.ends_with(b"\n\n"));
                    expected_http(host, credentials)
                }
                _ => expected_socks(host, credentials, sent),
            };
            assert!(ending == Ending::Reset || peer.received == expected, "{:?}", peer.received);
        }
        Err(kind) => {
            assert!(matches!(kind, ErrorKind::Proxy { .. } | ErrorKind::Lost { .. }), "{kind:?}");
            let message = kind.to_string();
            assert!(!message.contains(super::UNMISTAKABLE) && !message.contains("YTpo"), "{message}");
        }
    }
}

fn expected_http(host: &Host, credentials: bool) -> Vec<u8> {
    let basic = if credentials { BASIC } else { "" };
    format!("CONNECT {host}:{PORT} HTTP/1.1\r\nHost: {host}:{PORT}\r\nUser-Agent: {AGENT}\r\n{basic}\r\n")
        .into_bytes()
}

/// The request to a SOCKS proxy that sent `sent`, all of which must have been read.
fn expected_socks(host: &Host, credentials: bool, sent: &[u8]) -> Vec<u8> {
    let mut expected = if credentials { vec![5, 2, 0, 2] } else { vec![5, 1, 0] };
    let sent = match sent {
        [5, 0, rest @ ..] => rest,
        [5, 2, _, 0, rest @ ..] if credentials => {
            expected.extend(b"\x01\x01a\x09hunter2:x");
            rest
        }
        other => panic!("no method was negotiated: {other:?}"),
    };
    let length = match sent {
        [5, 0, _, 1, ..] => 4 + 4 + 2,
        [5, 0, _, 4, ..] => 4 + 16 + 2,
        [5, 0, _, 3, length, ..] => 4 + 1 + usize::from(*length) + 2,
        other => panic!("no tunnel was made: {other:?}"),
    };
    assert_eq!(sent.len(), length);
    expected.extend([5, 1, 0]);
    match host {
        Host::Name(name) => {
            expected.extend([3, name.len() as u8]);
            expected.extend(name.as_bytes());
        }
        Host::Address(IpAddr::V4(address)) => {
            expected.push(1);
            expected.extend(address.octets());
        }
        Host::Address(IpAddr::V6(address)) => {
            expected.push(4);
            expected.extend(address.octets());
        }
    }
    expected.extend(PORT.to_be_bytes());
    expected
}
