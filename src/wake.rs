//! A descriptor that stays readable once it was signalled: an eventfd, or a pipe where there are none.

use std::os::fd::RawFd;

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
        (made >= 0).then_some(Wake { read: made, write: made })
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
