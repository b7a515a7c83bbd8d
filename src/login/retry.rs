//! The wait before a retry: how long it is, and when the remaining time is too short for another attempt. `client.rs`
//! decides if a login is retried.

use std::time::Duration;

use crate::config::Config;
use crate::context::CallContext;
use crate::rng::Rng;

/// The minimum time for a useful attempt: this, or a quarter of a shorter deadline.
const MIN_ATTEMPT_TIME: Duration = Duration::from_secs(1);

/// The back-off of one login: exponential, with full jitter.
pub struct Backoff {
    left: u32,
    window: Duration,
    max: Duration,
    reserve: Duration,
}

impl Backoff {
    /// `whole` is the limit for the whole login.
    pub fn new(config: &Config, whole: Duration) -> Backoff {
        Backoff {
            left: config.max_retries,
            window: config.first_backoff,
            max: config.max_backoff,
            reserve: MIN_ATTEMPT_TIME.min(whole / 4),
        }
    }

    /// The back-off of a login of this call.
    pub fn for_call(config: &Config, call: &CallContext) -> Backoff {
        Backoff::new(config, call.deadline.saturating_duration_since(call.started))
    }

    /// True if no retry is left.
    pub fn is_exhausted(&self) -> bool {
        self.left == 0
    }

    /// Returns the wait before the next attempt of a login that has `remaining` time left, or None if there is no
    /// further attempt.
    ///
    /// Without `retry_after` the wait is random between 0 and the window. With it, the wait is that time plus a random
    /// part between 0 and the larger of it and the window. The range is limited to the time that is left, not the
    /// random value: otherwise all late retries would happen at the same moment.
    pub fn next(
        &mut self,
        remaining: Duration,
        retry_after: Option<Duration>,
        rng: &dyn Rng,
    ) -> Option<Duration> {
        self.left = self.left.checked_sub(1)?;
        let wait = self.wait(remaining, retry_after.unwrap_or_default(), rng);
        self.window = (self.window * 2).min(self.max);
        wait
    }

    /// Returns a wait of at least `base` that leaves time for an attempt. Does not count as a retry.
    pub fn wait(&self, remaining: Duration, base: Duration, rng: &dyn Rng) -> Option<Duration> {
        let available = remaining.checked_sub(self.reserve)?.checked_sub(base)?;
        Some(base + rng.random_up_to(self.window.max(base).min(available)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Most;
    impl Rng for Most {
        fn random_up_to(&self, below: Duration) -> Duration {
            below
        }
    }

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn backoff(whole: u64) -> Backoff {
        Backoff::new(&Config::default(), secs(whole))
    }

    #[test]
    fn window_doubles_to_its_maximum_and_retries_end() {
        let mut backoff = backoff(3600);
        let waits: Vec<_> = (0..5).map(|_| backoff.next(secs(3600), None, &Most)).collect();
        assert_eq!(waits, [Some(secs(1)), Some(secs(2)), Some(secs(4)), Some(secs(8)), None]);
    }

    #[test]
    fn backoff_leaves_time_for_an_attempt() {
        assert_eq!(
            backoff(30).next(Duration::from_millis(1500), None, &Most),
            Some(Duration::from_millis(500))
        );
        assert_eq!(backoff(30).next(secs(1), None, &Most), Some(Duration::ZERO));
        assert_eq!(backoff(30).next(Duration::from_millis(999), None, &Most), None);
        // A quarter of a short deadline
        assert_eq!(backoff(2).next(secs(1), None, &Most), Some(Duration::from_millis(500)));
    }

    #[test]
    fn retry_after_is_added_and_must_fit() {
        assert_eq!(backoff(30).next(secs(30), Some(secs(5)), &Most), Some(secs(10)));
        assert_eq!(backoff(30).next(secs(30), Some(Duration::ZERO), &Most), Some(secs(1)));
        assert_eq!(backoff(30).next(secs(30), Some(secs(20)), &Most), Some(secs(29)));
        assert_eq!(backoff(30).next(secs(30), Some(secs(29)), &Most), Some(secs(29)));
        assert_eq!(backoff(30).next(secs(30), Some(secs(30)), &Most), None);
        assert_eq!(backoff(30).next(secs(30), Some(Duration::from_secs(u64::MAX)), &Most), None);
    }
}
