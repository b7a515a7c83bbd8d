//! The time of a call, which tests replace.

use std::time::{Duration, Instant};

pub trait Clock: Sync {
    fn now(&self) -> Instant;

    /// True if this clock has skipped a pause of `length`, so that no wait is needed.
    fn skip(&self, length: Duration) -> bool;
}

pub struct SystemClock;

impl Clock for SystemClock {
    #[inline]
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn skip(&self, _: Duration) -> bool {
        false
    }
}
