//! A descriptor that stays readable once it was signalled: the read end of a pipe. An eventfd would need one descriptor
//! less. But it can't be told from an eventfd of the host ([`Identity`]), and sandboxes deny it more often.

use std::io;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd, RawFd};

use super::descriptor::{Identity, above_standard};

/// Wakes the calls that poll its descriptor, now and later.
pub struct Waker {
    read: RawFd,
    write: RawFd,
    /// The identity of both ends: a pipe has one inode. None if fstat is denied.
    identity: Option<Identity>,
}

impl Waker {
    pub fn new() -> io::Result<Waker> {
        let [read, write] = pipe()?;
        let (read, write) = (above_standard(read)?.into_raw_fd(), above_standard(write)?.into_raw_fd());
        Ok(Waker { read, write, identity: Identity::of(read) })
    }

    /// The descriptor that becomes readable.
    pub fn descriptor(&self) -> RawFd {
        self.read
    }

    /// True if the host has closed neither end.
    pub fn is_intact(&self) -> bool {
        self.owns(self.read) && self.owns(self.write)
    }

    /// Async-signal-safe; keeps errno. The bytes are never read, so a write fails only if the pipe is already readable.
    ///
    /// Checks both ends: a write to a pipe whose read end is closed raises SIGPIPE.
    pub fn signal(&self) {
        let one = 1u64;
        let (from, length) = (&raw const one, size_of::<u64>());
        // SAFETY: errno is this thread's own, and `from` points to `length` bytes.
        unsafe {
            let errno = errno();
            let kept = *errno;
            if self.is_intact() {
                // `write` is a thread cancellation point, a bare system call is not.
                #[cfg(any(target_os = "linux", target_os = "android"))]
                libc::syscall(libc::SYS_write, self.write, from, length);
                #[cfg(not(any(target_os = "linux", target_os = "android")))]
                libc::write(self.write, from.cast(), length);
            }
            *errno = kept;
        }
    }

    /// Also true if the system returns no identities, for example in a sandbox.
    fn owns(&self, descriptor: RawFd) -> bool {
        self.identity.is_none() || Identity::of(descriptor) == self.identity
    }
}

impl Drop for Waker {
    fn drop(&mut self) {
        for descriptor in [self.read, self.write] {
            if self.owns(descriptor) {
                // SAFETY: made by this, and closed once.
                unsafe { libc::close(descriptor) };
            }
        }
    }
}

/// A pipe whose ends do not block and are closed on exec.
fn pipe() -> io::Result<[OwnedFd; 2]> {
    let mut ends = [0; 2];
    #[cfg(any(target_os = "linux", target_os = "android"))]
    // SAFETY: `ends` has space for two.
    let made = unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) };
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    // SAFETY: `ends` has space for two. Between the calls, a process that is forked and executed may inherit the ends,
    // which is harmless.
    let made = unsafe {
        let made = libc::pipe(ends.as_mut_ptr());
        for end in ends {
            libc::fcntl(end, libc::F_SETFD, libc::FD_CLOEXEC);
            libc::fcntl(end, libc::F_SETFL, libc::O_NONBLOCK);
        }
        made
    };
    if made != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just made, and not owned elsewhere.
    Ok(unsafe { ends.map(|end| OwnedFd::from_raw_fd(end)) })
}

/// The location of this thread's errno.
fn errno() -> *mut libc::c_int {
    // SAFETY: each returns a pointer that is valid for this thread's lifetime.
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
    use std::os::fd::AsRawFd;

    use super::*;

    pub(crate) fn readable(descriptor: RawFd) -> bool {
        let mut poll = libc::pollfd { fd: descriptor, events: libc::POLLIN, revents: 0 };
        // SAFETY: one pollfd.
        unsafe { libc::poll(&mut poll, 1, 0) == 1 }
    }

    /// Runs `make` in a child that has closed the standard descriptors. `make` must return none of them, and leave them
    /// closed.
    pub(crate) fn without_standard_descriptors(make: impl FnOnce() -> RawFd) {
        // SAFETY: plain system calls; the child runs only the tested code.
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
    fn waker_avoids_the_standard_descriptors() {
        without_standard_descriptors(|| {
            let wake = std::mem::ManuallyDrop::new(Waker::new());
            wake.as_ref().map_or(-1, |wake| wake.read.min(wake.write))
        });
    }

    #[test]
    fn signal_stays_readable_and_keeps_errno() {
        let wake = Waker::new().unwrap();
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

    #[test]
    fn reused_descriptor_is_not_written_or_closed() {
        let wake = Waker::new().unwrap();
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        // SAFETY: the host takes the place of both ends.
        unsafe {
            libc::dup2(ours.as_raw_fd(), wake.read);
            libc::dup2(ours.as_raw_fd(), wake.write);
        }
        let descriptors = [wake.read, wake.write];
        assert!(!wake.is_intact());
        wake.signal();
        drop(wake);
        assert!(!readable(theirs.as_raw_fd()));
        // SAFETY: still open, and closed here once.
        assert!(descriptors.iter().all(|descriptor| unsafe { libc::close(*descriptor) } == 0));
    }

    #[test]
    fn signal_without_a_read_end_raises_no_sigpipe() {
        // SAFETY: the host closes the read end; Rust's test programs ignore SIGPIPE, so its default is set for a child.
        unsafe {
            let wake = Waker::new().unwrap();
            let child = libc::fork();
            if child == 0 {
                libc::signal(libc::SIGPIPE, libc::SIG_DFL);
                libc::close(wake.read);
                wake.signal();
                libc::_exit(0);
            }
            let mut status = -1;
            libc::waitpid(child, &mut status, 0);
            assert_eq!(status, 0);
        }
    }
}
