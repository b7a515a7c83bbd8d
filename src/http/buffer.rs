//! A byte buffer that grows with the data that the peer sends, and wipes used bytes.

use std::collections::TryReserveError;

use crate::limits::MAX_KEPT_BUFFER;
use crate::secret::wipe;

/// Buffers start small.
pub const FIRST_BUFFER: usize = 4 << 10;

/// Bytes with initialised spare capacity after them. Used bytes are wiped before they are freed.
#[derive(Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    from: usize,
    to: usize,
    /// The bytes from this index on are unused since the last wipe.
    used: usize,
}

impl Buffer {
    pub fn len(&self) -> usize {
        self.to - self.from
    }

    pub fn is_empty(&self) -> bool {
        self.from == self.to
    }

    pub fn filled(&self) -> &[u8] {
        self.bytes.get(self.from..self.to).unwrap_or_default()
    }

    pub fn filled_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.from..self.to).unwrap_or_default()
    }

    pub fn spare(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.to..).unwrap_or_default()
    }

    pub fn advance(&mut self, count: usize) {
        self.to = (self.to + count).min(self.bytes.len());
        self.used = self.used.max(self.to);
    }

    /// Fails if the process has no memory left, since the peer decides how much is needed.
    pub fn reserve(&mut self, count: usize) -> Result<(), TryReserveError> {
        let needed = self.to.saturating_add(count);
        let size = self.bytes.len();
        if needed > size {
            // Growth leaves no copy behind: the allocator wipes the freed block.
            let grown = needed.max(size * 2).max(FIRST_BUFFER);
            self.bytes.try_reserve_exact(grown - size)?;
            self.bytes.resize(grown, 0);
        }
        Ok(())
    }

    pub fn extend(&mut self, bytes: &[u8]) -> Result<(), TryReserveError> {
        self.reserve(bytes.len())?;
        if let Some(target) = self.bytes.get_mut(self.to..self.to + bytes.len()) {
            target.copy_from_slice(bytes);
            self.advance(bytes.len());
        }
        Ok(())
    }

    pub fn drop_front(&mut self, count: usize) {
        self.from = (self.from + count).min(self.to);
        if self.from == self.to {
            (self.from, self.to) = (0, 0);
        } else if self.from > self.bytes.len() / 2 {
            self.bytes.copy_within(self.from..self.to, 0);
            (self.from, self.to) = (0, self.to - self.from);
        }
    }

    pub fn clear(&mut self) {
        (self.from, self.to) = (0, 0);
    }

    pub fn wipe(&mut self) {
        self.clear();
        if self.bytes.len() > MAX_KEPT_BUFFER {
            self.bytes = Vec::new();
        } else if let Some(used) = self.bytes.get_mut(..self.used) {
            wipe(used);
        }
        self.used = 0;
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.wipe();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffer_returns_its_bytes_and_wipes_used_ones() {
        let mut buffer = Buffer::default();
        buffer.extend(&[7; 10_000]).unwrap();
        buffer.drop_front(9_000);
        buffer.extend(b"end").unwrap();
        assert_eq!(buffer.len(), 1_003);
        assert_eq!(&buffer.filled()[1_000..], b"end");
        buffer.wipe();
        assert_eq!(buffer.len(), 0);
        assert!(!buffer.bytes.is_empty() && buffer.bytes.iter().all(|byte| *byte == 0));
    }

    #[test]
    fn buffer_moves_its_bytes_when_half_is_consumed() {
        let mut buffer = Buffer::default();
        buffer.extend(&[7; FIRST_BUFFER]).unwrap();
        buffer.drop_front(10);
        assert_eq!((buffer.from, buffer.len()), (10, FIRST_BUFFER - 10));
        buffer.drop_front(FIRST_BUFFER / 2 - 10);
        assert_eq!((buffer.from, buffer.len()), (FIRST_BUFFER / 2, FIRST_BUFFER / 2));
        buffer.drop_front(1);
        assert_eq!((buffer.from, buffer.len()), (0, FIRST_BUFFER / 2 - 1));
    }

    #[test]
    fn buffer_doubles_when_it_is_full() {
        let mut buffer = Buffer::default();
        buffer.extend(&[7; FIRST_BUFFER]).unwrap();
        buffer.extend(&[]).unwrap();
        assert_eq!(buffer.bytes.len(), FIRST_BUFFER);
        buffer.extend(&[7]).unwrap();
        assert_eq!(buffer.bytes.len(), 2 * FIRST_BUFFER);
    }

    #[test]
    fn large_buffer_is_freed() {
        for (size, kept) in [(MAX_KEPT_BUFFER, MAX_KEPT_BUFFER), (MAX_KEPT_BUFFER + 1, 0)] {
            let mut buffer = Buffer::default();
            buffer.extend(&vec![7; size]).unwrap();
            buffer.wipe();
            assert_eq!(buffer.bytes.len(), kept);
        }
    }
}
