//! The system's resolver.

use std::ffi::CString;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use super::errno;
use super::waker::Waker;

/// The reason why a name has no address.
#[derive(Clone, Debug)]
pub enum ResolveError {
    /// The resolver's message.
    Failed(String),
    Resources(String),
}

/// Calls getaddrinfo, and keeps its order (RFC 6724). The addresses have port 0, and link-local ones their scope.
pub fn getaddrinfo(name: &str) -> Result<Vec<SocketAddr>, ResolveError> {
    let resources = |why: &str| ResolveError::Resources(format!("The process can't look up a name: {why}"));
    let name = CString::new(name).map_err(|_| ResolveError::Failed("it holds a NUL".to_owned()))?;
    // SAFETY: zeros are a valid addrinfo.
    let mut hints: libc::addrinfo = unsafe { std::mem::zeroed() };
    hints.ai_socktype = libc::SOCK_STREAM;
    let mut first = std::ptr::null_mut();
    // SAFETY: the string, the hints and the result pointer are valid during the call.
    let result = unsafe { libc::getaddrinfo(name.as_ptr(), std::ptr::null(), &hints, &mut first) };
    let error = io::Error::last_os_error();
    if result != 0 {
        // A resolver that cannot open a socket or a file reports that the name does not exist.
        if let Err(error) = Waker::new() {
            return Err(resources(&errno::describe(&error)));
        }
        return Err(match result {
            libc::EAI_MEMORY => resources("out of memory"),
            libc::EAI_SYSTEM => ResolveError::Failed(errno::describe(&error).into_owned()),
            other => ResolveError::Failed(errno::describe_lookup(other).into_owned()),
        });
    }
    let mut addresses: Vec<SocketAddr> = Vec::new();
    let mut next = first;
    // SAFETY: the list is unchanged until it is freed, once, after the loop.
    unsafe {
        while let Some(entry) = next.as_ref() {
            match address(entry) {
                Some(found) if !addresses.contains(&found) => addresses.push(found),
                _ => {}
            }
            next = entry.ai_next;
        }
        if !first.is_null() {
            libc::freeaddrinfo(first);
        }
    }
    if addresses.is_empty() {
        Err(ResolveError::Failed("it has no address".to_owned()))
    } else {
        Ok(addresses)
    }
}

/// The address of an entry; None for a family other than IPv4 and IPv6.
///
/// # Safety
/// `entry` comes from getaddrinfo.
unsafe fn address(entry: &libc::addrinfo) -> Option<SocketAddr> {
    if entry.ai_addr.is_null() {
        return None;
    }
    // SAFETY: the family determines the type. The value is copied, with any alignment.
    match entry.ai_family {
        libc::AF_INET => {
            let found = unsafe { entry.ai_addr.cast::<libc::sockaddr_in>().read_unaligned() };
            let ip = Ipv4Addr::from(u32::from_be(found.sin_addr.s_addr));
            Some(SocketAddrV4::new(ip, 0).into())
        }
        libc::AF_INET6 => {
            let found = unsafe { entry.ai_addr.cast::<libc::sockaddr_in6>().read_unaligned() };
            let ip = Ipv6Addr::from(found.sin6_addr.s6_addr);
            Some(SocketAddrV6::new(ip, 0, 0, found.sin6_scope_id).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_local_address_keeps_its_scope() {
        let scoped = SocketAddrV6::new("fe80::1".parse().unwrap(), 0, 0, 7);
        let socket = socket2::SockAddr::from(scoped);
        // SAFETY: zeros are a valid addrinfo, and `socket` outlives it.
        let found = unsafe {
            let mut entry: libc::addrinfo = std::mem::zeroed();
            entry.ai_family = libc::AF_INET6;
            entry.ai_addr = socket.as_ptr().cast_mut().cast();
            address(&entry)
        };
        assert_eq!(found, Some(scoped.into()));
    }
}
