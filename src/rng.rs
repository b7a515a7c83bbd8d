//! Random numbers for jitter, which tests replace.

use std::time::Duration;

pub trait Rng: Sync {
    /// A duration from 0 to `max`, both included.
    fn random_up_to(&self, max: Duration) -> Duration;
}

/// Asks the operating system for each number, so that forked workers do not draw the same ones.
pub struct SystemRng;

impl Rng for SystemRng {
    fn random_up_to(&self, max: Duration) -> Duration {
        let mut bytes = [0; 8];
        if rustls::crypto::ring::default_provider().secure_random.fill(&mut bytes).is_err() {
            // Without random numbers: the longest wait causes the least load on the service.
            return max;
        }
        // A fraction with 2^53 steps is finer than a nanosecond of an hour.
        let fraction = (u64::from_ne_bytes(bytes) >> 11) as f64 / (1u64 << 53) as f64;
        max.mul_f64(fraction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_duration_is_in_range_and_varies() {
        let max = Duration::from_secs(3600);
        let drawn: Vec<_> = (0..32).map(|_| SystemRng.random_up_to(max)).collect();
        assert!(drawn.iter().all(|one| *one <= max));
        assert!(drawn.iter().any(|one| *one != drawn[0]));
    }
}
