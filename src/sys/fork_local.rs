//! A value that each process creates at first use: one pointer, with the generation of its process beside it.
//!
//! A child of `fork` finds a value of another generation. Threads that don't exist in the child may hold locks in it, and
//! its connections belong to the parent. The child therefore leaves it untouched and builds its own. Only the function
//! passed to [`ForkLocal::get`] may read from it.

use std::ptr;

use super::fork_detect::{self, Generation};
use super::sync::atomic::{AtomicPtr, Ordering};

struct Entry<T> {
    generation: Generation,
    value: T,
}

/// A value that each process creates at first use, without a lock.
pub struct ForkLocal<T> {
    current: AtomicPtr<Entry<T>>,
}

impl<T: Send + Sync> ForkLocal<T> {
    pub const fn new() -> ForkLocal<T> {
        ForkLocal { current: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Returns the value of `generation`, which must be the current one. If there is none yet, `make` creates it. `make`
    /// receives the parent's value, and may read only data that was immutable there.
    pub fn get(&self, generation: Generation, make: impl Fn(Option<&T>) -> T) -> &T {
        // SAFETY: a pointer stored here came from Box::into_raw, and only Drop frees it.
        match unsafe { self.current.load(Ordering::Acquire).as_ref() } {
            Some(entry) if entry.generation == generation => &entry.value,
            _ => self.get_or_make(generation, &make),
        }
    }

    #[cold]
    fn get_or_make(&self, generation: Generation, make: &dyn Fn(Option<&T>) -> T) -> &T {
        let mut found = self.current.load(Ordering::Acquire);
        loop {
            // SAFETY: as above.
            let entry = unsafe { found.as_ref() };
            match entry {
                Some(entry) if entry.generation == generation => return &entry.value,
                _ => {}
            }
            let made =
                Box::into_raw(Box::new(Entry { generation, value: make(entry.map(|entry| &entry.value)) }));
            match self.current.compare_exchange(found, made, Ordering::AcqRel, Ordering::Acquire) {
                // SAFETY: just made, and only Drop frees it.
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

impl<T: Send + Sync> Default for ForkLocal<T> {
    fn default() -> ForkLocal<T> {
        ForkLocal::new()
    }
}

impl<T> Drop for ForkLocal<T> {
    fn drop(&mut self) {
        let entry = *self.current.get_mut();
        // SAFETY: as in `get`; a value that another process made is never touched.
        unsafe {
            if entry.as_ref().is_some_and(|entry| entry.generation == fork_detect::generation()) {
                drop(Box::from_raw(entry));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_is_made_once_for_each_process() {
        let value = ForkLocal::<String>::new();
        assert_eq!(value.get(1, |_| "parent".into()), "parent");
        assert_eq!(value.get(1, |_| unreachable!()), "parent");
        assert_eq!(value.get(2, |old| format!("child of {}", old.unwrap())), "child of parent");
    }
}
