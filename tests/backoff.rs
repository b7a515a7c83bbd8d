//! The retry policy of a whole fleet: 10,000 clients log in at the same moment. The service accepts 1,000 logins a
//! second and a burst of 100, and sends 429 to the rest. Time is simulated.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Mutex;
use std::time::Duration;

use couchdrop::config::Config;
use couchdrop::login::retry::Backoff;
use couchdrop::rng::Rng;

const CLIENTS: usize = 10_000;
const DEADLINE: Duration = Duration::from_secs(30);
const LOGINS_A_SECOND: f64 = 1_000.0;
const RESERVE: f64 = 100.0;
const ROUND_TRIP: Duration = Duration::from_millis(20);

/// SplitMix64: the same numbers in every run.
struct Dice(Mutex<u64>);

impl Rng for Dice {
    fn random_up_to(&self, below: Duration) -> Duration {
        let mut state = self.0.lock().unwrap();
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let state = *state;
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        below.mul_f64(((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64)
    }
}

struct Outcome {
    succeeded: f64,
    /// Requests in the busiest 100 ms after the first second, as a multiple of the service's capacity in that time.
    busiest: f64,
    /// The least time that any attempt had left when it was sent.
    least_left: Duration,
}

fn fleet(retry_after: Option<Duration>) -> Outcome {
    let rng = Dice(Mutex::new(7));
    let settings = Config::default();
    let mut backoffs: Vec<_> = (0..CLIENTS).map(|_| Backoff::new(&settings, DEADLINE)).collect();
    let mut arrivals: BinaryHeap<_> = (0..CLIENTS).map(|client| Reverse((Duration::ZERO, client))).collect();
    let (mut bucket, mut filled_at) = (RESERVE, Duration::ZERO);
    let mut succeeded = 0;
    let mut slots = vec![0u32; 400];
    let mut least_left = DEADLINE;
    while let Some(Reverse((now, client))) = arrivals.pop() {
        slots[now.as_millis() as usize / 100] += 1;
        least_left = least_left.min(DEADLINE - now);
        bucket = (bucket + (now - filled_at).as_secs_f64() * LOGINS_A_SECOND).min(RESERVE);
        filled_at = now;
        if bucket >= 1.0 {
            bucket -= 1.0;
            succeeded += 1;
            continue;
        }
        let responded = now + ROUND_TRIP;
        if let Some(wait) = backoffs[client].next(DEADLINE - responded, retry_after, &rng) {
            arrivals.push(Reverse((responded + wait, client)));
        }
    }
    let busiest = slots.iter().skip(10).max().copied().unwrap_or(0);
    Outcome {
        succeeded: f64::from(succeeded) / CLIENTS as f64,
        busiest: f64::from(busiest) / (LOGINS_A_SECOND / 10.0),
        least_left,
    }
}

fn report(what: &str, outcome: &Outcome) {
    println!(
        "{what}: {:.3} succeed, busiest 100 ms {:.2} of what the service takes, least time left {:?}",
        outcome.succeeded, outcome.busiest, outcome.least_left
    );
}

#[test]
fn most_clients_succeed_without_retry_after() {
    let outcome = fleet(None);
    report("no Retry-After", &outcome);
    assert!(outcome.succeeded >= 0.90);
}

/// The retries are spread over time.
#[test]
fn nearly_all_clients_succeed_with_short_retry_after() {
    let outcome = fleet(Some(Duration::from_secs(5)));
    report("Retry-After: 5", &outcome);
    assert!(outcome.succeeded >= 0.99);
    assert!(outcome.busiest < 3.0);
}

/// Every attempt has at least a second left.
#[test]
fn most_clients_succeed_with_long_retry_after() {
    let outcome = fleet(Some(Duration::from_secs(20)));
    report("Retry-After: 20", &outcome);
    assert!(outcome.succeeded >= 0.90);
    assert!(outcome.busiest < 2.0);
    assert!(outcome.least_left >= Duration::from_secs(1));
}
