//! A value that is replaced as a whole. A child of `fork` may read it in any state of its parent's threads.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Two slots; the current one is never written to. A child reads its parent's current slot without the lock, which a
/// thread that does not exist in the child may hold. The child writes nothing there.
#[derive(Default)]
pub struct Snapshot<T> {
    slots: [UnsafeCell<T>; 2],
    current: AtomicUsize,
    writing: Mutex<()>,
}

// SAFETY: in the process that owns it, slots are read and written with `writing` held.
unsafe impl<T: Send> Sync for Snapshot<T> {}

impl<T: Clone + Default> Snapshot<T> {
    pub fn get(&self) -> T {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.current()
    }

    pub fn set(&self, value: T) {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let spare = 1 - self.current.load(Ordering::Acquire);
        // SAFETY: `writing` is held, and this is not the current slot.
        unsafe { *self.slots[spare].get() = value };
        self.current.store(spare, Ordering::Release);
        // The previous value may contain a secret.
        // SAFETY: as above.
        unsafe { *self.slots[1 - spare].get() = T::default() };
    }

    /// A child's own snapshot, with its parent's value. Must be called only in the child.
    pub fn of_parent(&self) -> Snapshot<T> {
        Snapshot { slots: [UnsafeCell::new(self.current()), UnsafeCell::default()], ..Snapshot::default() }
    }

    fn current(&self) -> T {
        // SAFETY: `writing` is held, or this process writes nothing here (a child, of its parent's snapshot).
        unsafe { (*self.slots[self.current.load(Ordering::Acquire)].get()).clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn child_reads_the_value_that_was_set_last() {
        let snapshot = Snapshot::<Vec<u8>>::default();
        assert!(snapshot.get().is_empty());
        for last in 1..5 {
            snapshot.set(vec![last]);
            assert_eq!(snapshot.get(), [last]);
            assert_eq!(snapshot.of_parent().get(), snapshot.get());
        }
    }
}
