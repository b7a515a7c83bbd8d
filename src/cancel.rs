//! Cancellation from another thread or a signal handler: a permanent flag, and a descriptor that wakes waiting calls.

use std::ffi::c_void;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use crate::process::{self, ProcessId};
use crate::registers;
use crate::wake::Wake;

/// A function that is called on the calling thread while a call waits; a result other than 0 stops the call.
pub type CheckFn = unsafe extern "C" fn(user_data: *mut c_void) -> i32;

/// Lets any thread, or a signal handler, stop the calls that use it.
///
/// The first call that waits creates the waker, and a child of `fork` creates its own. Otherwise a parent's trigger
/// would make a child's poll spin, and a child would stop its parent's calls.
#[derive(Default)]
pub struct Cancel {
    triggered: AtomicBool,
    wake: AtomicPtr<WakeOf>,
    /// A [`CheckFn`], or NULL. Atomic, since a trigger may run concurrently with the setter.
    check: AtomicPtr<()>,
    check_data: AtomicPtr<c_void>,
}

/// The waker for the calls of one process.
struct WakeOf {
    process: ProcessId,
    wake: Wake,
    /// A waker whose descriptors the host has closed. A trigger may still read it, so it is freed with the handle.
    before: *mut WakeOf,
}

// SAFETY: the caller promises that `user_data` may be used like this (documented at cd_cancel_set_check).
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
        // Without a descriptor no call waits, and this process may not have called `process::id` yet.
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

    /// Calls the host's check on this thread; true to stop.
    pub fn check_says_stop(&self) -> bool {
        let check = self.check.load(Ordering::Acquire);
        if check.is_null() {
            return false;
        }
        let user_data = self.check_data.load(Ordering::Acquire);
        registers::wipe();
        // SAFETY: stored by `set_check` as this type of function. The caller of cd_cancel_set_check promises that both
        // can be used during each call.
        unsafe { std::mem::transmute::<*mut (), CheckFn>(check)(user_data) != 0 }
    }

    /// Replaces a descriptor that the host has closed since the last call.
    pub fn replace_closed_descriptor(&self, process: ProcessId) {
        let found = self.wake.load(Ordering::SeqCst);
        if self.wake_of(process).is_some_and(|wake| !wake.is_intact()) {
            match Wake::new() {
                Ok(wake) => _ = self.publish(found, WakeOf { process, wake, before: found }),
                // The waker is leaked, but no call waits on it.
                Err(_) => {
                    let none = std::ptr::null_mut();
                    let _ = self.wake.compare_exchange(found, none, Ordering::SeqCst, Ordering::SeqCst);
                }
            }
        }
    }

    /// Replaces `found` with a new waker, and signals it if the handle was triggered in the meantime. Returns None if
    /// another thread was faster.
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
        // SAFETY: a pointer stored here came from Box::into_raw, and only Drop frees it.
        let found = unsafe { self.wake.load(Ordering::SeqCst).as_ref() };
        found.filter(|found| found.process == process).map(|found| &found.wake)
    }

    /// The descriptor that becomes readable on a trigger. None if no descriptor can be created: the caller must then
    /// poll the flag.
    pub fn descriptor(&self, process: ProcessId) -> Option<RawFd> {
        loop {
            let found = self.wake.load(Ordering::SeqCst);
            if let Some(wake) = self.wake_of(process) {
                return Some(wake.descriptor());
            }
            // A parent's waker and its descriptors are not touched. If the child has closed all descriptors, their
            // numbers may belong to other files.
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
        // SAFETY: made by Box::into_raw in `publish`, and freed only here; another process's is not touched.
        unsafe {
            while next.as_ref().is_some_and(|made| made.process == process) {
                next = Box::from_raw(next).before;
            }
        }
    }
}

/// A call's reference to a cancel handle.
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
        cancel.trigger(); // as the parent, whose process id is no longer the waker's
        assert!(!readable(childs));
    }
}
