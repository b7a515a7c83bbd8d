//! Reads the kernel's state of a connection: if the server's data has arrived, even when the client does not read.

use std::fs;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;

/// True if the peer has acknowledged everything sent, including a FIN.
pub fn is_acknowledged(socket: &TcpStream) -> bool {
    // SAFETY: plain numbers.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
    let to = (&raw mut info).cast();
    // SAFETY: `to` has space for `length` bytes.
    let done =
        unsafe { libc::getsockopt(socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, to, &mut length) };
    assert_eq!(done, 0);
    info.tcpi_unacked == 0
}

/// True if the kernel no longer has this end of the connection, because a reset has arrived.
pub fn is_gone(local: SocketAddr, remote: SocketAddr) -> bool {
    let table = if local.is_ipv4() { "/proc/net/tcp" } else { "/proc/net/tcp6" };
    let table = fs::read_to_string(table).expect("the table of sockets");
    !table.contains(&format!("{} {}", written(local), written(remote)))
}

/// An address in the table's format: hexadecimal words in the machine's byte order.
fn written(address: SocketAddr) -> String {
    let word = |bytes: &[u8]| format!("{:08X}", u32::from_ne_bytes(bytes.try_into().unwrap()));
    let words: String = match address.ip() {
        IpAddr::V4(ip) => word(&ip.octets()),
        IpAddr::V6(ip) => ip.octets().chunks(4).map(word).collect(),
    };
    format!("{words}:{:04X}", address.port())
}
