//! What one process owns: one pointer, with the process's id beside it.
//!
//! A child of `fork` finds a value whose id is not its own. Locks in it may be held by threads that don't exist in
//! the child, and its connections are the parent's; so the child leaves it behind, never touches it again (but for
//! what [`PerProcess::get`]'s maker reads of it), and builds its own.

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

/// Tells a process from all those that it descends from. Not the system's id: a child may have the same as its
/// parent (each the first of its PID namespace), or get one that an ancestor had before.
pub type ProcessId = u64;

/// The largest id that this process or one before it has taken.
static LAST: AtomicU64 = AtomicU64::new(0);
/// Where this process's id stands: in memory that the kernel clears in a child, so that nought means a new process.
static MARK: AtomicPtr<AtomicU64> = AtomicPtr::new(ptr::null_mut());
/// Stands for it where there is no such memory: for good, since an id must not change.
static NO_MARK: AtomicU64 = AtomicU64::new(0);

/// The id of this process. Async-signal-safe once it was asked for.
pub fn id() -> ProcessId {
    let mut mark = MARK.load(Ordering::Acquire);
    if mark.is_null() {
        let made = mark_that_a_fork_clears().unwrap_or((&raw const NO_MARK).cast_mut());
        // Where another thread was faster, a page is lost, once.
        mark = match MARK.compare_exchange(ptr::null_mut(), made, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => made,
            Err(other) => other,
        };
    }
    if ptr::eq(mark, &raw const NO_MARK) {
        return std::process::id().into();
    }
    // SAFETY: a mark is never freed.
    let mark = unsafe { &*mark };
    match mark.load(Ordering::Acquire) {
        0 => {
            // Its parent's is smaller, and what its ancestors made bears theirs.
            let new = LAST.fetch_add(1, Ordering::AcqRel) + 1;
            mark.compare_exchange(0, new, Ordering::AcqRel, Ordering::Acquire)
                .map_or_else(|other| other, |_| new)
        }
        id => id,
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn mark_that_a_fork_clears() -> Option<*mut AtomicU64> {
    // SAFETY: a new page of our own, large and aligned enough for one number, which its zeros are already.
    unsafe {
        let length = libc::sysconf(libc::_SC_PAGESIZE).max(4096) as libc::size_t;
        let rights = libc::PROT_READ | libc::PROT_WRITE;
        let page =
            libc::mmap(ptr::null_mut(), length, rights, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0);
        if page == libc::MAP_FAILED {
            return None;
        }
        // An advice that does not exist tells who says yes to all and does nothing: some versions of qemu-user.
        let is_honest = libc::madvise(page, length, -1) != 0;
        if !is_honest || libc::madvise(page, length, libc::MADV_WIPEONFORK) != 0 {
            libc::munmap(page, length); // or Linux before 4.14
            return None;
        }
        Some(page.cast())
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn mark_that_a_fork_clears() -> Option<*mut AtomicU64> {
    None
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
