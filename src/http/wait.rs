//! All waits of a call: one `poll` over its descriptors and the cancel descriptor, until a deadline.

use std::io;
use std::time::{Duration, Instant};

use crate::context::CallContext;
use crate::error::ErrorKind;
use crate::sys::errno;
use crate::sys::poll::{PollEntry, poll};

/// The interval at which a wait reads the cancel flag or calls the host's check.
pub const CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// Waits for one descriptor, and returns its entry with the events. Fails when the call is cancelled or its deadline
/// passes.
pub fn wait_for(call: &CallContext, entry: PollEntry) -> Result<PollEntry, ErrorKind> {
    let mut entries = [entry, PollEntry::unused()];
    if !wait(call, &mut entries, call.effective_deadline())? {
        return Err(call.timed_out());
    }
    let [entry, _] = entries;
    Ok(entry)
}

/// Sleeps for the back-off unless the call is cancelled.
pub fn pause(call: &CallContext, length: Duration) -> Result<(), ErrorKind> {
    if call.clock.skip(length) {
        return call.ensure_active();
    }
    wait(call, &mut [PollEntry::unused()], call.clock.now() + length)?;
    Ok(())
}

/// Waits until one of `entries` is ready (true) or `until` has passed (false). Fails when the call is cancelled. The
/// caller leaves the last entry unused, for the cancel descriptor.
pub fn wait(call: &CallContext, entries: &mut [PollEntry], until: Instant) -> Result<bool, ErrorKind> {
    let mut has_descriptor = false;
    if let (Some(cancel), Some(slot)) = (call.cancel.as_deref(), entries.last_mut()) {
        let entry = cancel.poll_entry(call.generation);
        has_descriptor = entry.is_some();
        *slot = entry.unwrap_or_else(PollEntry::unused);
    }
    loop {
        if call.is_cancelled() {
            return Err(ErrorKind::Cancelled);
        }
        let now = call.clock.now();
        let mut left = until.saturating_duration_since(now);
        if let Some(due) = call.check_due_at(CHECK_INTERVAL) {
            if now >= due && call.run_check() {
                return Err(ErrorKind::Cancelled);
            }
            left = left.min(if now >= due { CHECK_INTERVAL } else { due - now });
        } else if call.cancel.is_some() && !has_descriptor {
            left = left.min(CHECK_INTERVAL);
        }
        if now >= until {
            return Ok(false);
        }
        match poll(entries, left) {
            Ok(0) => {}
            Ok(_) => {
                let Some((slot, others)) = entries.split_last_mut() else { continue };
                if others.iter().any(PollEntry::is_ready) {
                    return Ok(true);
                }
                // Readable without a trigger: the host closed the descriptor during this call. From now on the flag is
                // polled instead.
                if !call.is_cancelled() {
                    has_descriptor = false;
                    *slot = PollEntry::unused();
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => call.make_check_due(),
            Err(error) => {
                let why = errno::describe(&error);
                return Err(ErrorKind::Resources(format!("poll failed: {why}").into()));
            }
        }
    }
}
