//! Memory for secrets: a buffer that is wiped, and an allocator that wipes every block it frees. The allocator also
//! covers the memory of dependencies.

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::TryReserveError;
use std::fmt;
use std::ops::Deref;

/// Overwrites `bytes` with zeros in a way that the compiler can't optimize away.
///
/// Uses a memset and a barrier: a loop of volatile stores, byte by byte, costs a hundred times as much.
#[inline]
pub fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    keep(bytes.as_mut_ptr());
}

/// Makes the compiler assume that the data behind `pointer` is read here.
#[inline(always)]
fn keep(pointer: *mut u8) {
    std::hint::black_box(pointer);
}

/// More than a key exchange uses with Rust 1.85 to 1.95: 37 KiB in a build with LTO, 51 KiB without.
const KEY_EXCHANGE_STACK: usize = if cfg!(debug_assertions) { 64 << 10 } else { 38 << 10 };

/// Overwrites the stack of a key exchange, below the caller's frame.
#[inline(never)]
pub fn wipe_stack() {
    wipe(&mut [0; KEY_EXCHANGE_STACK]);
}

/// Bytes that are wiped when dropped and never printed.
#[derive(Default)]
pub struct Secret(Vec<u8>);

impl Secret {
    pub fn with_capacity(capacity: usize) -> Secret {
        Secret(Vec::with_capacity(capacity))
    }

    /// Copies `bytes`, with space for one more byte.
    pub fn try_copy(bytes: &[u8]) -> Result<Secret, TryReserveError> {
        let mut copy = Vec::new();
        copy.try_reserve_exact(bytes.len().saturating_add(1))?;
        copy.extend_from_slice(bytes);
        Ok(Secret(copy))
    }

    /// Growth leaves no copy behind: the allocator wipes the freed block.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Same as [`Secret::extend`], for data whose size a peer decides.
    pub fn try_extend(&mut self, bytes: &[u8]) -> Result<(), TryReserveError> {
        self.0.try_reserve(bytes.len())?;
        self.extend(bytes);
        Ok(())
    }

    pub fn push(&mut self, byte: u8) {
        self.0.push(byte);
    }

    pub fn truncate(&mut self, length: usize) {
        if let Some(rest) = self.0.get_mut(length..) {
            wipe(rest);
        }
        self.0.truncate(length);
    }
}

impl From<Vec<u8>> for Secret {
    fn from(bytes: Vec<u8>) -> Secret {
        Secret(bytes)
    }
}

impl From<&[u8]> for Secret {
    fn from(bytes: &[u8]) -> Secret {
        Secret(bytes.to_vec())
    }
}

impl std::io::Write for Secret {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Clone for Secret {
    fn clone(&self) -> Secret {
        Secret(self.0.clone())
    }
}

impl Deref for Secret {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// The system's allocator, which wipes every block before it is freed.
struct Wiping;

#[global_allocator]
static ALLOCATOR: Wiping = Wiping;

// SAFETY: every request goes to `System` with its layout. A block is written to only while the library owns it.
// `realloc` does not use the system's `realloc`, which could move the block and leave the old bytes behind.
unsafe impl GlobalAlloc for Wiping {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        unsafe { System.alloc(layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        unsafe { System.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        unsafe {
            block.write_bytes(0, layout.size());
            keep(block);
            System.dealloc(block, layout);
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        unsafe {
            let new = System.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !new.is_null() {
                new.copy_from_nonoverlapping(block, layout.size().min(size));
                self.dealloc(block, layout);
            }
            new
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_is_never_printed() {
        assert_eq!(format!("{:?}", Secret::from(&b"hunter2"[..])), "Secret(***)");
    }

    #[test]
    fn truncate_wipes_the_rest() {
        let mut secret = Secret::from(&b"hunter2"[..]);
        secret.truncate(3);
        let spare = secret.0.spare_capacity_mut();
        // SAFETY: these bytes were initialised before the cut.
        assert!(spare.iter().take(4).all(|byte| unsafe { byte.assume_init() } == 0));
        assert_eq!(&secret[..], b"hun");
    }
}
