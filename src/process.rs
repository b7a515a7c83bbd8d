//! What one process owns: one pointer, with the process id beside it.
//!
//! A child of `fork` finds a value whose id is not its own. Locks in it may be held by threads that don't exist in
//! the child, and its connections are the parent's; so the child leaves it behind, never touches it again (but for
//! what [`PerProcess::get`]'s maker reads of it), and builds its own.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

pub type ProcessId = u32;

/// This process, asked of the system each time: a remembered id would be the parent's in a child.
pub fn id() -> ProcessId {
    std::process::id()
}

struct Owned<T> {
    id: ProcessId,
    value: T,
}

/// A value that each process makes for itself at first use, without a lock.
pub struct PerProcess<T> {
    current: AtomicPtr<Owned<T>>,
}

impl<T: Send + Sync> PerProcess<T> {
    pub const fn new() -> PerProcess<T> {
        PerProcess { current: AtomicPtr::new(ptr::null_mut()) }
    }

    /// The value of process `id`, which must be the current one. Where there is none yet, `make` makes it; it is
    /// given the parent's, of which it may read only what was immutable there.
    pub fn get(&self, id: ProcessId, make: impl Fn(Option<&T>) -> T) -> &T {
        let mut found = self.current.load(Ordering::Acquire);
        loop {
            // SAFETY: a pointer stored here came from Box::into_raw and is freed by Drop alone.
            let owned = unsafe { found.as_ref() };
            match owned {
                Some(owned) if owned.id == id => return &owned.value,
                _ => {}
            }
            let made = Box::into_raw(Box::new(Owned { id, value: make(owned.map(|owned| &owned.value)) }));
            match self.current.compare_exchange(found, made, Ordering::AcqRel, Ordering::Acquire) {
                // SAFETY: just made, and freed by Drop alone.
                Ok(_) => return unsafe { &(*made).value },
                Err(other) => {
                    // Another thread was faster.
                    // SAFETY: `made` was never shared.
                    drop(unsafe { Box::from_raw(made) });
                    found = other;
                }
            }
        }
    }
}

impl<T: Send + Sync> Default for PerProcess<T> {
    fn default() -> PerProcess<T> {
        PerProcess::new()
    }
}

impl<T> Drop for PerProcess<T> {
    fn drop(&mut self) {
        let owned = *self.current.get_mut();
        // SAFETY: as in `get`; a value that another process made is left alone for good.
        unsafe {
            if owned.as_ref().is_some_and(|owned| owned.id == id()) {
                drop(Box::from_raw(owned));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_made_once_for_each_process_and_the_parents_is_left_alone() {
        let value = PerProcess::<String>::new();
        assert_eq!(value.get(1, |_| "parent".into()), "parent");
        assert_eq!(value.get(1, |_| unreachable!()), "parent");
        assert_eq!(value.get(2, |old| format!("child of {}", old.unwrap())), "child of parent");
    }
}
