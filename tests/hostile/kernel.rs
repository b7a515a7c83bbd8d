//! What the kernel knows of a connection: whether what the server sent has arrived, although nobody reads there.

use std::fs;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;

/// Whether the other end has acknowledged all that was sent, a FIN too.
pub fn is_acknowledged(socket: &TcpStream) -> bool {
    // SAFETY: plain numbers.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
    let to = (&raw mut info).cast();
    // SAFETY: `to` has room for `length` bytes.
    let done =
        unsafe { libc::getsockopt(socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, to, &mut length) };
    assert_eq!(done, 0);
    info.tcpi_unacked == 0
}

/// Whether this end of a connection is there no more: a reset has arrived.
pub fn is_gone(local: SocketAddr, remote: SocketAddr) -> bool {
    let table = if local.is_ipv4() { "/proc/net/tcp" } else { "/proc/net/tcp6" };
    let table = fs::read_to_string(table).expect("the table of sockets");
    !table.contains(&format!("{} {}", written(local), written(remote)))
}

/// An address as the table writes it: words of the machine's own byte order in hexadecimal.
fn written(address: SocketAddr) -> String {
    let word = |bytes: &[u8]| format!("{:08X}", u32::from_ne_bytes(bytes.try_into().unwrap()));
    let words: String = match address.ip() {
        IpAddr::V4(ip) => word(&ip.octets()),
        IpAddr::V6(ip) => ip.octets().chunks(4).map(word).collect(),
    };
    format!("{words}:{:04X}", address.port())
}
