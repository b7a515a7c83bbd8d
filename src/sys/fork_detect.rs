//! Detection of `fork`, by a page that the kernel clears in a child (`MADV_WIPEONFORK`). BoringSSL (`fork_detect.c`) and
//! s2n-tls do the same. A call costs one load, and no `pthread_atfork` handler runs in the host.

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

/// Distinguishes a process from all its ancestors. This is not the process id: a child may have the same one as its
/// parent (each the first of its PID namespace), or reuse an ancestor's.
pub type Generation = u64;

/// The largest generation that this process or an ancestor has taken.
static LAST: AtomicU64 = AtomicU64::new(0);
/// The location of this process's generation, in the page that the kernel clears in a child: 0 means a new process.
static CURRENT: AtomicPtr<AtomicU64> = AtomicPtr::new(ptr::null_mut());
/// `CURRENT` if there is no such page. Then the process id is used, permanently: a generation must not change.
static NO_PAGE: AtomicU64 = AtomicU64::new(0);

/// Returns the generation of this process. Async-signal-safe after the first call.
pub fn generation() -> Generation {
    let mut current = CURRENT.load(Ordering::Acquire);
    if current.is_null() {
        let page = wipe_on_fork_page().unwrap_or((&raw const NO_PAGE).cast_mut());
        // If another thread was faster, one page is leaked, once.
        current = match CURRENT.compare_exchange(ptr::null_mut(), page, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => page,
            Err(other) => other,
        };
    }
    if ptr::eq(current, &raw const NO_PAGE) {
        return std::process::id().into();
    }
    // SAFETY: the page is never unmapped.
    let current = unsafe { &*current };
    match current.load(Ordering::Acquire) {
        0 => {
            // The parent's generation is smaller, and values of the ancestors have theirs.
            let new = LAST.fetch_add(1, Ordering::AcqRel) + 1;
            current
                .compare_exchange(0, new, Ordering::AcqRel, Ordering::Acquire)
                .map_or_else(|other| other, |_| new)
        }
        generation => generation,
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn wipe_on_fork_page() -> Option<*mut AtomicU64> {
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
fn wipe_on_fork_page() -> Option<*mut AtomicU64> {
    None
}
