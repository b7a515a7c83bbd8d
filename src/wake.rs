//! A descriptor that stays readable once it was signalled: an eventfd, or a pipe where there are none.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

/// Wakes whoever polls its descriptor, now and for ever.
pub struct Wake {
    read: RawFd,
    write: RawFd,
}

impl Wake {
    /// None where the process has no descriptor left.
    pub fn new() -> Option<Wake> {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        return Wake::eventfd();
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        Wake::pipe()
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn eventfd() -> Option<Wake> {
        // SAFETY: takes no pointer.
        let made = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if made < 0 {
            return None;
        }
        // SAFETY: just made, and nobody else's.
        let made = above_standard(unsafe { OwnedFd::from_raw_fd(made) }).ok()?.into_raw_fd();
        Some(Wake { read: made, write: made })
    }

    #[cfg(any(test, not(any(target_os = "linux", target_os = "android"))))]
    fn pipe() -> Option<Wake> {
        let mut ends = [0; 2];
        // SAFETY: `ends` has room for two. Where there is no pipe2, a fork and exec between the calls may inherit
        // the ends: nothing but a wake-up can be done with them.
        unsafe {
            if libc::pipe(ends.as_mut_ptr()) != 0 {
                return None;
            }
            for end in ends {
                libc::fcntl(end, libc::F_SETFD, libc::FD_CLOEXEC);
                libc::fcntl(end, libc::F_SETFL, libc::O_NONBLOCK);
            }
        }
        Some(Wake { read: ends[0], write: ends[1] })
    }

    /// What becomes readable.
    pub fn descriptor(&self) -> RawFd {
        self.read
    }

    /// Async-signal-safe; keeps errno. What is written is never read, so it fails only when the descriptor is
    /// readable already.
    pub fn signal(&self) {
        let one = 1u64;
        let (from, length) = (&raw const one, size_of::<u64>());
        // SAFETY: errno is this thread's own, and `from` points to `length` bytes.
        unsafe {
            let errno = errno();
            let kept = *errno;
            // A bare system call is no point of thread cancellation, as `write` is.
            #[cfg(any(target_os = "linux", target_os = "android"))]
            libc::syscall(libc::SYS_write, self.write, from, length);
            #[cfg(not(any(target_os = "linux", target_os = "android")))]
            libc::write(self.write, from.cast(), length);
            *errno = kept;
        }
    }
}

impl Drop for Wake {
    fn drop(&mut self) {
        // SAFETY: made by this, and closed once.
        unsafe {
            libc::close(self.read);
            if self.write != self.read {
                libc::close(self.write);
            }
        }
    }
}

/// Never a number of standard input, output or error: a host that has closed those may read and write them all the same.
pub fn above_standard(descriptor: OwnedFd) -> io::Result<OwnedFd> {
    // The copy is close-on-exec, and of a number from 3 on.
    if descriptor.as_raw_fd() > libc::STDERR_FILENO { Ok(descriptor) } else { descriptor.try_clone() }
}

/// Where this thread's errno is.
fn errno() -> *mut libc::c_int {
    // SAFETY: each gives a pointer that is valid for this thread's life.
    unsafe {
        #[cfg(any(target_os = "linux", target_os = "emscripten", target_os = "redox"))]
        return libc::__errno_location();
        #[cfg(any(target_os = "android", target_os = "netbsd", target_os = "openbsd"))]
        return libc::__errno();
        #[cfg(any(target_os = "macos", target_os = "ios", target_os = "freebsd", target_os = "dragonfly"))]
        return libc::__error();
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn readable(descriptor: RawFd) -> bool {
        let mut poll = libc::pollfd { fd: descriptor, events: libc::POLLIN, revents: 0 };
        // SAFETY: one pollfd.
        unsafe { libc::poll(&mut poll, 1, 0) == 1 }
    }

    /// In a child that has closed them `make` gives a descriptor that is none of them, and leaves them closed.
    pub(crate) fn without_standard_descriptors(make: impl FnOnce() -> RawFd) {
        // SAFETY: plain system calls; the child does nothing but what is tried.
        unsafe {
            let child = libc::fork();
            if child == 0 {
                for standard in 0..=2 {
                    libc::close(standard);
                }
                let made = make();
                let left = (0..=2).all(|standard| libc::fcntl(standard, libc::F_GETFD) == -1);
                libc::_exit(if made > 2 && left { 0 } else { 1 });
            }
            let mut status = -1;
            libc::waitpid(child, &mut status, 0);
            assert_eq!(status, 0);
        }
    }

    #[test]
    fn what_wakes_never_takes_a_number_of_standard_input_or_output() {
        without_standard_descriptors(|| {
            let wake = std::mem::ManuallyDrop::new(Wake::new());
            wake.as_ref().map_or(-1, Wake::descriptor)
        });
    }

    #[test]
    fn a_signal_is_seen_for_ever_by_eventfd_and_pipe_alike() {
        for wake in [Wake::new().unwrap(), Wake::pipe().unwrap()] {
            assert!(!readable(wake.descriptor()));
            // SAFETY: this thread's errno.
            unsafe { *errno() = 77 };
            for _ in 0..3 {
                wake.signal();
                assert!(readable(wake.descriptor()));
            }
            // SAFETY: as above.
            assert_eq!(unsafe { *errno() }, 77);
        }
    }
}
