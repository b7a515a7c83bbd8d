//! The identity of a descriptor that is kept between calls. A host may close descriptors that it does not own, as
//! daemonising code does, and reuse their numbers for its own files.

use std::mem::MaybeUninit;
use std::os::fd::RawFd;

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

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn descriptors_of_one_file_are_identical_and_others_are_not() {
        let [(a, b), (c, _d)] = [UnixStream::pair().unwrap(), UnixStream::pair().unwrap()];
        let of = |descriptor: &dyn AsRawFd| Identity::of(descriptor.as_raw_fd());
        assert!(of(&a).is_some());
        assert_eq!(of(&a), of(&a.try_clone().unwrap()));
        assert_ne!(of(&a), of(&b));
        assert_ne!(of(&a), of(&c));
        assert_ne!(of(&a), of(&File::open("/dev/null").unwrap()));
        assert_eq!(Identity::of(-1), None);
    }
}
