//! Stopping a call from elsewhere: a sticky flag, and a descriptor that wakes whoever waits.

use std::ffi::c_void;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use crate::process::{self, ProcessId};
use crate::registers;
use crate::wake::Wake;

/// A question asked on the calling thread while a call waits; not 0 = stop.
pub type CheckFn = unsafe extern "C" fn(user_data: *mut c_void) -> i32;

/// Lets any thread, or a signal handler, stop the calls that carry it.
///
/// What wakes a waiting call is made by the first call that waits, and anew in a child of `fork`: what a parent
/// triggers would otherwise make a child's poll spin, and a child would stop its parent's calls.
#[derive(Default)]
pub struct Cancel {
    triggered: AtomicBool,
    wake: AtomicPtr<WakeOf>,
    /// A [`CheckFn`], or NULL. Atomic, since a trigger may run beside the setter.
    check: AtomicPtr<()>,
    check_data: AtomicPtr<c_void>,
}

/// What wakes the calls of one process.
struct WakeOf {
    process: ProcessId,
    wake: Wake,
    /// One whose descriptors the host has closed. A trigger may still look at it, so it is freed with the handle.
    before: *mut WakeOf,
}

// SAFETY: what a check's `user_data` may be used for is the caller's promise (documented at cd_cancel_set_check).
unsafe impl Send for Cancel {}
unsafe impl Sync for Cancel {}

impl Cancel {
    /// Called before the first call that uses this.
    pub fn set_check(&self, ask: Option<CheckFn>, user_data: *mut c_void) {
        self.check_data.store(user_data, Ordering::Release);
        self.check.store(ask.map_or(std::ptr::null_mut(), |ask| ask as *mut ()), Ordering::Release);
    }

    /// Async-signal-safe; keeps errno.
    pub fn trigger(&self) {
        self.triggered.store(true, Ordering::SeqCst);
        // Without a descriptor nobody waits, and the process may not have been asked for its id yet.
        if !self.wake.load(Ordering::SeqCst).is_null() {
            if let Some(wake) = self.wake_of(process::id()) {
                wake.signal();
            }
        }
    }

    pub fn is_triggered(&self) -> bool {
        self.triggered.load(Ordering::SeqCst)
    }

    pub fn has_check(&self) -> bool {
        !self.check.load(Ordering::Acquire).is_null()
    }

    /// Asks the host, on this thread, whether to stop.
    pub fn check_says_stop(&self) -> bool {
        let check = self.check.load(Ordering::Acquire);
        if check.is_null() {
            return false;
        }
        let user_data = self.check_data.load(Ordering::Acquire);
        registers::wipe();
        // SAFETY: stored by `set_check` as this type of function; the caller of cd_cancel_set_check promised that both
        // can be used during each call.
        unsafe { std::mem::transmute::<*mut (), CheckFn>(check)(user_data) != 0 }
    }

    /// Replaces a descriptor that the host has closed since the last call.
    pub fn replace_closed_descriptor(&self, process: ProcessId) {
        let found = self.wake.load(Ordering::SeqCst);
        if self.wake_of(process).is_some_and(|wake| !wake.is_intact()) {
            match Wake::new() {
                Ok(wake) => _ = self.publish(found, WakeOf { process, wake, before: found }),
                // Lost for good, but never waited on.
                Err(_) => {
                    let none = std::ptr::null_mut();
                    let _ = self.wake.compare_exchange(found, none, Ordering::SeqCst, Ordering::SeqCst);
                }
            }
        }
    }

    /// Puts a new one in the place of `found`, and signals it if this was triggered meanwhile; None if another thread
    /// was faster.
    fn publish(&self, found: *mut WakeOf, made: WakeOf) -> Option<&Wake> {
        let made = Box::into_raw(Box::new(made));
        match self.wake.compare_exchange(found, made, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) => {
                // SAFETY: as in `wake_of`.
                let wake = unsafe { &(*made).wake };
                if self.is_triggered() {
                    wake.signal();
                }
                Some(wake)
            }
            Err(_) => {
                // SAFETY: `made` was never shared.
                drop(unsafe { Box::from_raw(made) });
                None
            }
        }
    }

    fn wake_of(&self, process: ProcessId) -> Option<&Wake> {
        // SAFETY: a pointer stored here came from Box::into_raw and is freed by Drop alone.
        let found = unsafe { self.wake.load(Ordering::SeqCst).as_ref() };
        found.filter(|found| found.process == process).map(|found| &found.wake)
    }

    /// The descriptor that becomes readable when this is triggered; None where none can be had: then the flag has
    /// to be looked at now and then.
    pub fn descriptor(&self, process: ProcessId) -> Option<RawFd> {
        loop {
            let found = self.wake.load(Ordering::SeqCst);
            if let Some(wake) = self.wake_of(process) {
                return Some(wake.descriptor());
            }
            // The parent's, if there was one, is left alone, descriptors and all: in a child that has closed everything
            // their numbers may be somebody else's by now.
            let made = WakeOf { process, wake: Wake::new().ok()?, before: std::ptr::null_mut() };
            if let Some(wake) = self.publish(found, made) {
                return Some(wake.descriptor());
            }
        }
    }
}

impl Drop for Cancel {
    fn drop(&mut self) {
        let process = process::id();
        let mut next = *self.wake.get_mut();
        // SAFETY: made by Box::into_raw in `publish`, and freed here alone; another process's is left alone.
        unsafe {
            while next.as_ref().is_some_and(|made| made.process == process) {
                next = Box::from_raw(next).before;
            }
        }
    }
}

/// What a call holds of a cancel handle.
pub type SharedCancel = Arc<Cancel>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wake::tests::readable;

    #[test]
    fn a_trigger_wakes_those_who_wait_and_those_who_come_later() {
        let cancel = Cancel::default();
        let early = cancel.descriptor(process::id()).unwrap();
        assert!(!readable(early));
        cancel.trigger();
        assert!(cancel.is_triggered() && readable(early));

        let late = Cancel::default();
        late.trigger();
        assert!(readable(late.descriptor(process::id()).unwrap()));
    }

    #[test]
    fn a_child_gets_a_descriptor_of_its_own() {
        let cancel = Cancel::default();
        let parents = cancel.descriptor(process::id()).unwrap();
        let childs = cancel.descriptor(process::id() + 1).unwrap();
        assert_ne!(parents, childs);
        cancel.trigger(); // as the parent: its process id is not the word's any more
        assert!(!readable(childs));
    }
}
