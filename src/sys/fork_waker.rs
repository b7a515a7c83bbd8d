//! A waker that each process creates when it first waits.
//!
//! A child of `fork` creates its own. Otherwise a parent's signal would make a child's poll spin, and a child would stop
//! its parent's calls.

use std::os::fd::RawFd;
use std::ptr;

use super::fork_detect::{self, Generation};
use super::sync::atomic::{AtomicPtr, Ordering};
use super::waker::Waker;

#[derive(Default)]
pub struct ForkLocalWaker {
    current: AtomicPtr<Node>,
}

struct Node {
    generation: Generation,
    waker: Waker,
    /// A waker whose descriptors the host has closed. A signal may still read it, so it is freed with the handle.
    previous: *mut Node,
}

// SAFETY: nodes are shared by reference only, and freed in `drop`.
unsafe impl Send for ForkLocalWaker {}
unsafe impl Sync for ForkLocalWaker {}

impl ForkLocalWaker {
    /// Wakes the waits of this process. Async-signal-safe; keeps errno.
    pub fn signal(&self) {
        // Without a descriptor no call waits, and this process may not have a generation yet.
        if !self.current.load(Ordering::SeqCst).is_null() {
            if let Some(waker) = self.waker_of(fork_detect::generation()) {
                waker.signal();
            }
        }
    }

    /// Returns the descriptor that becomes readable on a signal; creates it at first use. A new descriptor is readable at
    /// once if `is_signalled`. None if no descriptor can be created.
    pub fn descriptor(&self, generation: Generation, is_signalled: &dyn Fn() -> bool) -> Option<RawFd> {
        loop {
            let found = self.current.load(Ordering::SeqCst);
            if let Some(waker) = self.waker_of(generation) {
                return Some(waker.descriptor());
            }
            // A parent's waker and its descriptors are not touched. If the child has closed all descriptors, their
            // numbers may belong to other files.
            let node = Node { generation, waker: Waker::new().ok()?, previous: ptr::null_mut() };
            if let Some(waker) = self.replace(found, node, is_signalled) {
                return Some(waker.descriptor());
            }
        }
    }

    /// Replaces a descriptor that the host has closed.
    pub fn replace_closed(&self, generation: Generation, is_signalled: &dyn Fn() -> bool) {
        let found = self.current.load(Ordering::SeqCst);
        if self.waker_of(generation).is_some_and(|waker| !waker.is_intact()) {
            match Waker::new() {
                Ok(waker) => {
                    let node = Node { generation, waker, previous: found };
                    let _ = self.replace(found, node, is_signalled);
                }
                // The waker is leaked, but no call waits on it.
                Err(_) => {
                    let none = ptr::null_mut();
                    let _ = self.current.compare_exchange(found, none, Ordering::SeqCst, Ordering::SeqCst);
                }
            }
        }
    }

    /// Replaces `found` with a new node. Returns None if another thread was faster.
    fn replace(&self, found: *mut Node, node: Node, is_signalled: &dyn Fn() -> bool) -> Option<&Waker> {
        let node = Box::into_raw(Box::new(node));
        match self.current.compare_exchange(found, node, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) => {
                // SAFETY: as in `waker_of`.
                let waker = unsafe { &(*node).waker };
                // The signal may have come between the caller's last check and the exchange.
                if is_signalled() {
                    waker.signal();
                }
                Some(waker)
            }
            Err(_) => {
                // SAFETY: `node` was never shared.
                drop(unsafe { Box::from_raw(node) });
                None
            }
        }
    }

    fn waker_of(&self, generation: Generation) -> Option<&Waker> {
        // SAFETY: a pointer stored here came from Box::into_raw, and only Drop frees it.
        let found = unsafe { self.current.load(Ordering::SeqCst).as_ref() };
        found.filter(|found| found.generation == generation).map(|found| &found.waker)
    }
}

impl Drop for ForkLocalWaker {
    fn drop(&mut self) {
        let generation = fork_detect::generation();
        let mut next = *self.current.get_mut();
        // SAFETY: made by Box::into_raw in `replace`, and freed only here. Another process's node is not touched.
        unsafe {
            while next.as_ref().is_some_and(|node| node.generation == generation) {
                next = Box::from_raw(next).previous;
            }
        }
    }
}
