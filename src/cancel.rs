//! Cancellation from another thread or a signal handler: a permanent flag, and a descriptor that wakes waiting calls.

use std::sync::Arc;

use crate::sys::fork_detect::Generation;
use crate::sys::fork_waker::ForkLocalWaker;
use crate::sys::poll::PollEntry;
use crate::sys::sync::atomic::{AtomicBool, Ordering};

/// Lets any thread, or a signal handler, stop the calls that use it.
#[derive(Default)]
pub struct Cancel {
    triggered: AtomicBool,
    waker: ForkLocalWaker,
}

/// A call's reference to a cancel handle.
pub type SharedCancel = Arc<Cancel>;

impl Cancel {
    /// Async-signal-safe; keeps errno.
    pub fn trigger(&self) {
        self.triggered.store(true, Ordering::SeqCst);
        self.waker.signal();
    }

    pub fn is_triggered(&self) -> bool {
        self.triggered.load(Ordering::SeqCst)
    }

    /// Replaces a descriptor that the host has closed since the last call.
    pub fn replace_closed_descriptor(&self, generation: Generation) {
        self.waker.replace_closed(generation, &|| self.is_triggered());
    }

    /// An entry that becomes ready on a trigger. None if no descriptor can be created: the caller must then poll the
    /// flag.
    pub fn poll_entry(&self, generation: Generation) -> Option<PollEntry> {
        self.waker.descriptor(generation, &|| self.is_triggered()).map(PollEntry::readable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::fork_detect;
    use crate::sys::poll::poll;

    fn is_readable(entry: PollEntry) -> bool {
        poll(&mut [entry], std::time::Duration::ZERO).unwrap() == 1
    }

    #[test]
    fn trigger_wakes_current_and_later_waits() {
        let cancel = Cancel::default();
        let entry = || cancel.poll_entry(fork_detect::generation()).unwrap();
        let early = entry();
        assert!(!is_readable(entry()));
        cancel.trigger();
        assert!(cancel.is_triggered() && is_readable(early));

        let late = Cancel::default();
        late.trigger();
        assert!(is_readable(late.poll_entry(fork_detect::generation()).unwrap()));
    }

    #[test]
    fn child_gets_its_own_descriptor() {
        let cancel = Cancel::default();
        let process = fork_detect::generation();
        let parent = cancel.poll_entry(process).unwrap();
        let child = cancel.poll_entry(process + 1).unwrap();
        cancel.trigger(); // as the parent, whose waker was replaced
        assert!(!is_readable(parent) && !is_readable(child));
    }
}
