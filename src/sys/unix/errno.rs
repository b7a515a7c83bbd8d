//! English texts for system errors, the same as glibc's, because users search for them. `strerror` and `gai_strerror`
//! use the language and character set of the host's locale.

use std::borrow::Cow;
use std::io;

/// The text for an error of the system or of Rust's standard library.
pub fn describe(error: &io::Error) -> Cow<'static, str> {
    match error.raw_os_error() {
        Some(number) => describe_number(number),
        None => error.to_string().into(),
    }
}

fn describe_number(number: i32) -> Cow<'static, str> {
    let text = match number {
        libc::EACCES => "Permission denied",
        libc::EADDRINUSE => "Address already in use",
        libc::EADDRNOTAVAIL => "Cannot assign requested address",
        libc::EAFNOSUPPORT => "Address family not supported by protocol",
        libc::EAGAIN => "Resource temporarily unavailable",
        libc::EALREADY => "Operation already in progress",
        libc::EBADF => "Bad file descriptor",
        libc::ECONNABORTED => "Software caused connection abort",
        libc::ECONNREFUSED => "connection refused",
        libc::ECONNRESET => "connection reset by peer",
        libc::EEXIST => "File exists",
        libc::EFAULT => "Bad address",
        libc::EHOSTDOWN => "Host is down",
        libc::EHOSTUNREACH => "No route to host",
        libc::EINTR => "Interrupted system call",
        libc::EINVAL => "Invalid argument",
        libc::EIO => "Input/output error",
        libc::EISDIR => "Is a directory",
        libc::ELOOP => "Too many levels of symbolic links",
        libc::EMFILE => "Too many open files",
        libc::EMSGSIZE => "Message too long",
        libc::ENAMETOOLONG => "File name too long",
        libc::ENETDOWN => "Network is down",
        libc::ENETRESET => "Network dropped connection on reset",
        libc::ENETUNREACH => "Network is unreachable",
        libc::ENFILE => "Too many open files in system",
        libc::ENOBUFS => "No buffer space available",
        libc::ENODEV => "No such device",
        libc::ENOENT => "No such file or directory",
        libc::ENOMEM => "Cannot allocate memory",
        libc::ENOPROTOOPT => "Protocol not available",
        libc::ENOSYS => "Function not implemented",
        libc::ENOTCONN => "Transport endpoint is not connected",
        libc::ENOTDIR => "Not a directory",
        libc::ENOTSOCK => "Socket operation on non-socket",
        libc::ENXIO => "No such device or address",
        libc::EOPNOTSUPP => "Operation not supported",
        libc::EPERM => "Operation not permitted",
        libc::EPIPE => "the peer closed it",
        libc::EPROTONOSUPPORT => "Protocol not supported",
        libc::ESTALE => "Stale file handle",
        libc::ETIMEDOUT => "the peer no longer responds",
        other => return format!("error {other} of the system").into(),
    };
    text.into()
}

/// The text for a result of `getaddrinfo` that is neither 0 nor `EAI_SYSTEM`.
pub fn describe_lookup(result: i32) -> Cow<'static, str> {
    let text = match result {
        #[cfg(target_env = "gnu")]
        -9 => "Address family for hostname not supported", // EAI_ADDRFAMILY, which libc lacks
        libc::EAI_AGAIN => "Temporary failure in name resolution",
        libc::EAI_BADFLAGS => "Bad value for ai_flags",
        libc::EAI_FAIL => "Non-recoverable failure in name resolution",
        libc::EAI_FAMILY => "ai_family not supported",
        libc::EAI_MEMORY => "Memory allocation failure",
        libc::EAI_NODATA => "No address associated with hostname",
        libc::EAI_NONAME => "Name or service not known",
        libc::EAI_OVERFLOW => "The name is too long",
        libc::EAI_SERVICE | libc::EAI_SOCKTYPE => "Servname not supported for ai_socktype",
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
            (libc::ETIMEDOUT, "the peer no longer responds"),
            (libc::ENETUNREACH, "Network is unreachable"),
            (9999, "error 9999 of the system"),
        ] {
            assert_eq!(describe(&io::Error::from_raw_os_error(number)), text);
        }
        assert_eq!(describe(&io::Error::other("own words")), "own words");
        assert_eq!(describe_lookup(libc::EAI_NONAME), "Name or service not known");
        assert_eq!(describe_lookup(-9999), "error -9999 of the resolver");
    }
}
