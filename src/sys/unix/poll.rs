//! `poll`.

use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

/// A descriptor with the events to wait for, and the events that occurred.
#[repr(transparent)]
pub struct PollEntry(libc::pollfd);

impl PollEntry {
    pub fn readable(fd: RawFd) -> PollEntry {
        PollEntry(libc::pollfd { fd, events: libc::POLLIN, revents: 0 })
    }

    pub fn writable(fd: RawFd) -> PollEntry {
        PollEntry(libc::pollfd { fd, events: libc::POLLOUT, revents: 0 })
    }

    /// Waits for input too.
    pub fn or_readable(mut self) -> PollEntry {
        self.0.events |= libc::POLLIN;
        self
    }

    /// An entry that `poll` ignores.
    pub fn unused() -> PollEntry {
        PollEntry::readable(-1)
    }

    /// True if an event or an error occurred.
    pub fn is_ready(&self) -> bool {
        self.0.revents != 0
    }

    pub fn is_writable(&self) -> bool {
        self.0.revents & libc::POLLOUT != 0
    }
}

/// Waits until an entry is ready or `timeout` has passed. Returns the number of ready entries.
pub fn poll(entries: &mut [PollEntry], timeout: Duration) -> io::Result<usize> {
    // Rounded up: a poll that ends too early would only be repeated.
    let ms = timeout.as_millis().min(i32::MAX as u128 - 1) as i32
        + i32::from(timeout.subsec_nanos() % 1_000_000 != 0);
    // With the model checker no time passes: other threads run until an entry is ready.
    #[cfg(shuttle)]
    while poll_for(entries, 0)? == 0 {
        shuttle::thread::yield_now();
    }
    poll_for(entries, ms)
}

fn poll_for(entries: &mut [PollEntry], ms: i32) -> io::Result<usize> {
    // SAFETY: PollEntry is a transparent pollfd, and the slice does not move during the call.
    let ready = unsafe { libc::poll(entries.as_mut_ptr().cast(), entries.len() as libc::nfds_t, ms) };
    usize::try_from(ready).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unused_entry_has_no_descriptor() {
        assert!(PollEntry::unused().0.fd < 0);
    }
}
