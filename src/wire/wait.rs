//! All waits of a call: one `poll` over its descriptors and the cancel descriptor, until a deadline.

use std::io;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use crate::call::Call;
use crate::errno;
use crate::failure::Failure;

/// The interval at which a wait reads the cancel flag or calls the host's check.
const SLICE: Duration = Duration::from_millis(50);

pub fn readable(fd: RawFd) -> libc::pollfd {
    libc::pollfd { fd, events: libc::POLLIN, revents: 0 }
}

pub fn writable(fd: RawFd) -> libc::pollfd {
    libc::pollfd { fd, events: libc::POLLOUT, revents: 0 }
}

/// An unused entry.
pub fn nothing() -> libc::pollfd {
    readable(-1)
}

/// Waits for one descriptor, and returns its events. Fails when the call is cancelled or its deadline passes.
pub fn wait_for(call: &Call, what: libc::pollfd) -> Result<i16, Failure> {
    let mut polls = [what, nothing()];
    if wait(call, &mut polls, call.until())? { Ok(polls[0].revents) } else { Err(call.timed_out()) }
}

/// Sleeps for the back-off unless the call is cancelled.
pub fn pause(call: &Call, length: Duration) -> Result<(), Failure> {
    if call.clock.skip(length) {
        return call.check();
    }
    wait(call, &mut [nothing()], call.clock.now() + length)?;
    Ok(())
}

/// Waits until one of `polls` is ready (true) or `until` has passed (false). Fails when the call is cancelled. The
/// caller leaves the last of `polls` unused, for the cancel descriptor.
pub fn wait(call: &Call, polls: &mut [libc::pollfd], until: Instant) -> Result<bool, Failure> {
    let mut wake = None;
    if let (Some(cancel), Some(slot)) = (call.cancel.as_deref(), polls.last_mut()) {
        wake = cancel.descriptor(call.process);
        *slot = wake.map_or_else(nothing, readable);
    }
    loop {
        if call.cancel.as_deref().is_some_and(|cancel| cancel.is_triggered()) || call.is_anothers() {
            return Err(Failure::Cancelled);
        }
        let now = call.clock.now();
        let mut left = until.saturating_duration_since(now);
        if let Some(at) = call.host_must_be_asked_at(SLICE) {
            if now >= at && (call.host_says_stop() || call.is_anothers()) {
                return Err(Failure::Cancelled);
            }
            left = left.min(if now >= at { SLICE } else { at - now });
        } else if call.cancel.is_some() && wake.is_none() {
            left = left.min(SLICE);
        }
        if now >= until {
            return Ok(false);
        }
        // Rounded up: a poll that ends too early would only be repeated.
        let ms = left.as_millis().min(i32::MAX as u128 - 1) as i32
            + i32::from(left.subsec_nanos() % 1_000_000 != 0);
        // SAFETY: `polls` is a slice of pollfd and stays in place during the call.
        let ready = unsafe { libc::poll(polls.as_mut_ptr(), polls.len() as libc::nfds_t, ms) };
        if ready < 0 {
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                let why = errno::describe(&error);
                return Err(Failure::Resources(format!("poll failed: {why}").into()));
            }
            call.ask_host_soon();
        } else if let (1.., Some((slot, others))) = (ready, polls.split_last_mut()) {
            if others.iter().any(|poll| poll.revents != 0) {
                return Ok(true);
            }
            // Readable without a trigger: the host closed the descriptor during this call. From now on the flag is
            // polled instead.
            if !call.cancel.as_deref().is_some_and(|cancel| cancel.is_triggered()) {
                (wake, *slot) = (None, nothing());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_no_descriptor() {
        assert!(nothing().fd < 0);
    }
}
