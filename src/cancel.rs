//! Stopping a call from elsewhere: a sticky flag, and a descriptor that wakes whoever waits.

use std::ffi::c_void;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::process::{self, ProcessId};

/// A question asked on the calling thread while a call waits; not 0 = stop.
pub type CheckFn = unsafe extern "C" fn(user_data: *mut c_void) -> i32;

#[derive(Clone, Copy)]
struct Check {
    ask: CheckFn,
    user_data: *mut c_void,
}

/// Lets any thread, or a signal handler, stop the calls that carry it.
///
/// The descriptor is made by the first call that waits on it, and anew in a child of `fork`: what a parent triggers
/// would otherwise make a child's poll spin, and a child would stop its parent's calls.
#[derive(Default)]
pub struct Cancel {
    triggered: AtomicBool,
    /// Process id above, descriptor + 1 below; 0 = none yet. One word, so that a signal handler reads both at once.
    wake: AtomicU64,
    check: Option<Check>,
}

// SAFETY: what a check's `user_data` may be used for is the caller's promise (documented at cd_cancel_set_check).
unsafe impl Send for Cancel {}
unsafe impl Sync for Cancel {}

impl Cancel {
    pub fn set_check(&mut self, ask: Option<CheckFn>, user_data: *mut c_void) {
        self.check = ask.map(|ask| Check { ask, user_data });
    }

    /// Async-signal-safe; keeps errno.
    pub fn trigger(&self) {
        self.triggered.store(true, Ordering::SeqCst);
        if let Some(descriptor) = self.descriptor_of(process::id()) {
            descriptor::signal(descriptor);
        }
    }

    pub fn is_triggered(&self) -> bool {
        self.triggered.load(Ordering::SeqCst)
    }

    pub fn has_check(&self) -> bool {
        self.check.is_some()
    }

    /// Asks the host, on this thread, whether to stop.
    pub fn check_says_stop(&self) -> bool {
        // SAFETY: the caller of cd_cancel_set_check promised that both can be used during each call.
        self.check.is_some_and(|check| unsafe { (check.ask)(check.user_data) } != 0)
    }

    fn descriptor_of(&self, id: ProcessId) -> Option<RawFd> {
        let wake = self.wake.load(Ordering::SeqCst);
        (wake != 0 && (wake >> 32) as ProcessId == id).then(|| wake as u32 as RawFd - 1)
    }

    /// The descriptor that becomes readable when this is triggered; None where none can be had: then the flag has
    /// to be looked at now and then.
    pub fn descriptor(&self, id: ProcessId) -> Option<RawFd> {
        loop {
            let wake = self.wake.load(Ordering::SeqCst);
            if wake != 0 && (wake >> 32) as ProcessId == id {
                return Some(wake as u32 as RawFd - 1);
            }
            let made = descriptor::make()?;
            let word = u64::from(id) << 32 | (made as u64 + 1);
            match self.wake.compare_exchange(wake, word, Ordering::SeqCst, Ordering::SeqCst) {
                // The parent's descriptor, where there was one, is left alone: in a child that has closed
                // everything its number may be somebody else's by now.
                Ok(_) => {
                    if self.is_triggered() {
                        descriptor::signal(made);
                    }
                    return Some(made);
                }
                Err(_) => descriptor::close(made),
            }
        }
    }
}

impl Drop for Cancel {
    fn drop(&mut self) {
        if let Some(made) = self.descriptor_of(process::id()) {
            descriptor::close(made);
        }
    }
}

/// What a call holds of a cancel handle.
pub type SharedCancel = Arc<Cancel>;

/// A descriptor that stays readable once signalled: an eventfd.
pub mod descriptor {
    use std::os::fd::RawFd;

    #[cfg(any(target_os = "linux", target_os = "android"))]
    mod system {
        use super::*;

        pub fn make() -> Option<RawFd> {
            // SAFETY: takes no pointer.
            let made = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
            (made >= 0).then_some(made)
        }

        pub fn signal(descriptor: RawFd) {
            let one = 1u64;
            // SAFETY: errno is this thread's own. A bare system call is no point of thread cancellation, as
            // `write` is. It fails only when the counter is full, and then the descriptor is readable already.
            unsafe {
                let errno = libc::__errno_location();
                let kept = *errno;
                libc::syscall(libc::SYS_write, descriptor, &raw const one, size_of::<u64>());
                *errno = kept;
            }
        }

        pub fn close(descriptor: RawFd) {
            // SAFETY: made by `make` and closed once.
            unsafe { libc::close(descriptor) };
        }
    }

    /// Elsewhere there is none yet: the flag is looked at every 50 ms instead.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    mod system {
        use super::*;

        pub fn make() -> Option<RawFd> {
            None
        }

        pub fn signal(_: RawFd) {}

        pub fn close(_: RawFd) {}
    }

    pub use system::{close, make, signal};
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readable(descriptor: RawFd) -> bool {
        let mut poll = libc::pollfd { fd: descriptor, events: libc::POLLIN, revents: 0 };
        // SAFETY: one pollfd.
        unsafe { libc::poll(&mut poll, 1, 0) == 1 }
    }

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
