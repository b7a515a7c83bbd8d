//! A value for each process: one pointer, with the process's id beside it.
//!
//! A child of `fork` finds a value whose id is not its own. Threads that don't exist in the child may hold locks in it,
//! and its connections belong to the parent. The child therefore leaves it untouched and builds its own. Only the maker
//! passed to [`PerProcess::get`] may read from it.

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

/// Distinguishes a process from all its ancestors. This is not the system's id: a child may have the same one as its
/// parent (each the first of its PID namespace), or reuse an ancestor's.
pub type ProcessId = u64;

/// The largest id that this process or an ancestor has taken.
static LAST: AtomicU64 = AtomicU64::new(0);
/// The location of this process's id, in memory that the kernel clears in a child: 0 means a new process.
static MARK: AtomicPtr<AtomicU64> = AtomicPtr::new(ptr::null_mut());
/// Used if such memory is not available; permanently, since an id must not change.
static NO_MARK: AtomicU64 = AtomicU64::new(0);

/// Returns the id of this process. Async-signal-safe after the first call.
pub fn id() -> ProcessId {
    let mut mark = MARK.load(Ordering::Acquire);
    if mark.is_null() {
        let made = mark_that_a_fork_clears().unwrap_or((&raw const NO_MARK).cast_mut());
        // If another thread was faster, one page is leaked, once.
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
            // The parent's id is smaller, and values of the ancestors have their ids.
            let new = LAST.fetch_add(1, Ordering::AcqRel) + 1;
            mark.compare_exchange(0, new, Ordering::AcqRel, Ordering::Acquire)
                .map_or_else(|other| other, |_| new)
        }
        id => id,
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn mark_that_a_fork_clears() -> Option<*mut AtomicU64> {
    // SAFETY: a new page of our own, large and aligned enough for one number, which its zeros already are.
    unsafe {
        let length = libc::sysconf(libc::_SC_PAGESIZE).max(4096) as libc::size_t;
        let rights = libc::PROT_READ | libc::PROT_WRITE;
        let page =
            libc::mmap(ptr::null_mut(), length, rights, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0);
        if page == libc::MAP_FAILED {
            return None;
        }
        // Probe with an invalid advice: some qemu-user versions accept any value and do nothing.
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

/// A value that each process creates at first use, without a lock.
pub struct PerProcess<T> {
    current: AtomicPtr<Owned<T>>,
}

impl<T: Send + Sync> PerProcess<T> {
    pub const fn new() -> PerProcess<T> {
        PerProcess { current: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Returns the value of process `id`, which must be the current one. If there is none yet, `make` creates it.
    /// `make` receives the parent's value, and may read only data that was immutable there.
    pub fn get(&self, id: ProcessId, make: impl Fn(Option<&T>) -> T) -> &T {
        let mut found = self.current.load(Ordering::Acquire);
        loop {
            // SAFETY: a pointer stored here came from Box::into_raw, and only Drop frees it.
            let owned = unsafe { found.as_ref() };
            match owned {
                Some(owned) if owned.id == id => return &owned.value,
                _ => {}
            }
            let made = Box::into_raw(Box::new(Owned { id, value: make(owned.map(|owned| &owned.value)) }));
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

impl<T: Send + Sync> Default for PerProcess<T> {
    fn default() -> PerProcess<T> {
        PerProcess::new()
    }
}

impl<T> Drop for PerProcess<T> {
    fn drop(&mut self) {
        let owned = *self.current.get_mut();
        // SAFETY: as in `get`; a value that another process made is never touched.
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
