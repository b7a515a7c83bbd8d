//! English sentences for the system's errors. `strerror` and `gai_strerror` answer in the language of the host's
//! locale, and in its character set.

use std::borrow::Cow;
use std::io;

/// The text for an error of the system, or of Rust's own library.
pub fn describe(error: &io::Error) -> Cow<'static, str> {
    match error.raw_os_error() {
        Some(number) => describe_number(number),
        None => error.to_string().into(),
    }
}

fn describe_number(number: i32) -> Cow<'static, str> {
    let text = match number {
        libc::EACCES => "permission denied",
        libc::EADDRINUSE => "address already in use",
        libc::EADDRNOTAVAIL => "no local address can be used for it",
        libc::EAFNOSUPPORT => "this system does not support the address family",
        libc::EAGAIN => "resource temporarily unavailable",
        libc::EALREADY => "operation already in progress",
        libc::EBADF => "bad file descriptor",
        libc::ECONNABORTED => "connection aborted",
        libc::ECONNREFUSED => "connection refused",
        libc::ECONNRESET => "connection reset by peer",
        libc::EEXIST => "file exists",
        libc::EFAULT => "bad address",
        libc::EHOSTDOWN => "host is down",
        libc::EHOSTUNREACH => "no route to host",
        libc::EINTR => "interrupted by a signal",
        libc::EINVAL => "invalid argument",
        libc::EIO => "input/output error",
        libc::EISDIR => "is a directory",
        libc::ELOOP => "too many symbolic links",
        libc::EMFILE => "too many open files",
        libc::EMSGSIZE => "message too long",
        libc::ENAMETOOLONG => "file name too long",
        libc::ENETDOWN => "network is down",
        libc::ENETRESET => "connection dropped by the network",
        libc::ENETUNREACH => "network is unreachable",
        libc::ENFILE => "too many open files in the system",
        libc::ENOBUFS => "no buffer space available",
        libc::ENODEV => "no such device",
        libc::ENOENT => "no such file or directory",
        libc::ENOMEM => "out of memory",
        libc::ENOPROTOOPT => "protocol option not available",
        libc::ENOSYS => "the system does not have this function",
        libc::ENOTCONN => "not connected",
        libc::ENOTDIR => "not a directory",
        libc::ENOTSOCK => "not a socket",
        libc::ENXIO => "no such device or address",
        libc::EOPNOTSUPP => "operation not supported",
        libc::EPERM => "operation not permitted",
        libc::EPIPE => "the peer closed it",
        libc::EPROTONOSUPPORT => "protocol not supported",
        libc::ESTALE => "stale file handle",
        libc::ETIMEDOUT => "the peer no longer answers",
        other => return format!("error {other} of the system").into(),
    };
    text.into()
}

/// The text for a result of `getaddrinfo` that is neither 0 nor `EAI_SYSTEM`.
pub fn describe_lookup(result: i32) -> Cow<'static, str> {
    let text = match result {
        libc::EAI_AGAIN => "temporary failure of the name server",
        libc::EAI_BADFLAGS => "bad flags",
        libc::EAI_FAIL => "the name server failed",
        libc::EAI_FAMILY => "this system does not support the address family",
        libc::EAI_MEMORY => "out of memory",
        libc::EAI_NODATA => "the name has no address",
        libc::EAI_NONAME => "the name does not exist",
        libc::EAI_OVERFLOW => "the name is too long",
        libc::EAI_SERVICE | libc::EAI_SOCKTYPE => "the system has no TCP",
        other => return format!("error {other} of the resolver").into(),
    };
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_errors_have_sentences_and_others_a_number() {
        for (number, text) in [
            (libc::ECONNRESET, "connection reset by peer"),
            (libc::ECONNREFUSED, "connection refused"),
            (libc::EPIPE, "the peer closed it"),
            (libc::ETIMEDOUT, "the peer no longer answers"),
            (libc::ENETUNREACH, "network is unreachable"),
            (9999, "error 9999 of the system"),
        ] {
            assert_eq!(describe(&io::Error::from_raw_os_error(number)), text);
        }
        assert_eq!(describe(&io::Error::other("own words")), "own words");
        assert_eq!(describe_lookup(libc::EAI_NONAME), "the name does not exist");
        assert_eq!(describe_lookup(-9999), "error -9999 of the resolver");
    }
}
