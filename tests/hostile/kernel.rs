//! What the kernel knows of a client's socket: how a test finds out that something has arrived there while nobody
//! reads it.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

/// The client's side of a connection, as /proc/net/tcp has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Open, with so many bytes that nobody has read.
    Open { unread: usize },
    /// The server's FIN has arrived.
    ServerClosed,
    /// Gone: reset, or closed by both.
    Gone,
}

/// Waits until `what` holds for the client's side of a connection.
pub fn wait_for_client(client: SocketAddr, server: SocketAddr, what: impl Fn(Side) -> bool) {
    let started = Instant::now();
    while !what(side(client, server)) {
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "it never came to that: {:?}",
            side(client, server)
        );
        thread::yield_now();
    }
}

fn side(client: SocketAddr, server: SocketAddr) -> Side {
    let table = if client.is_ipv4() { "/proc/net/tcp" } else { "/proc/net/tcp6" };
    let table = fs::read_to_string(table).expect("the table of sockets");
    let (local, remote) = (written(client), written(server));
    for line in table.lines() {
        let mut fields = line.split_whitespace().skip(1);
        if fields.next() != Some(&local) || fields.next() != Some(&remote) {
            continue;
        }
        let (state, queues) = (fields.next().unwrap(), fields.next().unwrap());
        let unread = queues.split_once(':').and_then(|(_, unread)| usize::from_str_radix(unread, 16).ok());
        return match state {
            "01" => Side::Open { unread: unread.unwrap() },
            "08" => Side::ServerClosed,
            _ => Side::Gone,
        };
    }
    Side::Gone
}

/// An address as the table writes it: words of the machine's own byte order in hexadecimal.
fn written(address: SocketAddr) -> String {
    let words: String = match address.ip() {
        IpAddr::V4(ip) => format!("{:08X}", u32::from_ne_bytes(ip.octets())),
        IpAddr::V6(ip) => {
            let word = |bytes: &[u8]| format!("{:08X}", u32::from_ne_bytes(bytes.try_into().unwrap()));
            ip.octets().chunks(4).map(word).collect()
        }
    };
    format!("{words}:{:04X}", address.port())
}
