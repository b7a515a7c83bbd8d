//! The result of a lookup, for tests that replace the C library's resolver in their program. Each test defines its own
//! `getaddrinfo`.

use std::net::Ipv4Addr;

/// A list of addresses as `getaddrinfo` returns it. It is never freed: tests make a bounded number of lookups.
pub fn list(addresses: &[Ipv4Addr]) -> *mut libc::addrinfo {
    addresses.iter().rev().fold(std::ptr::null_mut(), |next, address| {
        let socket = Box::leak(Box::new(libc::sockaddr_in {
            sin_family: libc::AF_INET as libc::sa_family_t,
            sin_port: 0,
            sin_addr: libc::in_addr { s_addr: u32::from(*address).to_be() },
            sin_zero: [0; 8],
        }));
        Box::leak(Box::new(libc::addrinfo {
            ai_flags: 0,
            ai_family: libc::AF_INET,
            ai_socktype: libc::SOCK_STREAM,
            ai_protocol: 0,
            ai_addrlen: size_of::<libc::sockaddr_in>() as libc::socklen_t,
            ai_addr: std::ptr::from_mut(socket).cast(),
            ai_canonname: std::ptr::null_mut(),
            ai_next: next,
        }))
    })
}

/// Replaces the C library's freeaddrinfo. Does not free a [`list`].
///
/// # Safety
/// Any pointer.
#[unsafe(no_mangle)]
unsafe extern "C" fn freeaddrinfo(_: *mut libc::addrinfo) {}
