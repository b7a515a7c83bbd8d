//! The library's file descriptors. A host may close descriptors that it does not own, as daemonising code does, and
//! reuse their numbers for its own files.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// Device, inode and type of an open file. Sockets and pipes have inodes of their own; an eventfd does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    device: libc::dev_t,
    inode: libc::ino_t,
    kind: libc::mode_t,
}

impl Identity {
    /// Async-signal-safe. None if the descriptor is not open.
    pub fn of(descriptor: RawFd) -> Option<Identity> {
        let mut stat = MaybeUninit::<libc::stat>::uninit();
        // SAFETY: `stat` has space for fstat's result, and is read only after success.
        let stat = unsafe {
            if libc::fstat(descriptor, stat.as_mut_ptr()) != 0 {
                return None;
            }
            stat.assume_init()
        };
        Some(Identity { device: stat.st_dev, inode: stat.st_ino, kind: stat.st_mode & libc::S_IFMT })
    }
}

/// Returns a descriptor that is not standard input, output or error. A host that has closed those may still use their
/// numbers.
pub fn above_standard(descriptor: OwnedFd) -> io::Result<OwnedFd> {
    // The copy is close-on-exec, and has a number from 3 on.
    if descriptor.as_raw_fd() > libc::STDERR_FILENO { Ok(descriptor) } else { descriptor.try_clone() }
}

/// True if the process or the system has no descriptors or memory left for a socket.
pub fn is_out_of_resources(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}

/// True if the process or the system has no descriptors left.
pub fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn identity_is_that_of_the_open_file() {
        let [(a, b), (c, _d)] = [UnixStream::pair().unwrap(), UnixStream::pair().unwrap()];
        let of = |descriptor: &dyn AsRawFd| Identity::of(descriptor.as_raw_fd());
        assert!(of(&a).is_some());
        assert_eq!(of(&a), of(&a.try_clone().unwrap()));
        assert_ne!(of(&a), of(&b));
        assert_ne!(of(&a), of(&c));
        assert_ne!(of(&a), of(&File::open("/dev/null").unwrap()));
        assert_eq!(Identity::of(-1), None);
    }

    #[test]
    fn emfile_is_not_an_address_error() {
        let is = |number| is_out_of_resources(&io::Error::from_raw_os_error(number));
        assert!([libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM].into_iter().all(is));
        assert!(![libc::ECONNREFUSED, libc::ENETUNREACH].into_iter().any(is));
    }
}
