//! A call and its peer on one thread: whenever the call is about to wait, the peer runs.
//!
//! A call invokes its host's check when it waits and some time has passed since the last check. Its clock here advances
//! on every read, so every wait invokes the check, and the check runs the peer. The bytes that the peer sends are
//! available when the call polls. Only the clock makes time pass, so no input is slow.

use std::cell::Cell;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use couchdrop::clock::Clock;
use couchdrop::context::{CallContext, HostCheck};
use couchdrop::rng::Rng;

/// The other side of a call.
pub trait Peer {
    /// Called when the call waits. Returns false if the call waits for something that will never come.
    fn step(&mut self) -> bool;
}

/// Runs `work` with a call whose waits run `peer`. A call that waits in vain ends as cancelled.
pub fn run<T>(peer: &mut dyn Peer, work: impl FnOnce(&CallContext) -> T) -> T {
    NOW.set(Duration::ZERO);
    let mut peer = peer;
    let call = CallContext::with(AN_HOUR, None, None, &Steps, &Half);
    work(&call.with_check(Some(HostCheck::new(stops, [(&raw mut peer) as usize, 0]))))
}

const AN_HOUR: Duration = Duration::from_secs(3600);
/// Longer than the interval at which a call invokes its check.
const STEP: Duration = Duration::from_millis(60);

fn stops([peer, _]: [usize; 2]) -> bool {
    // SAFETY: the pointer comes from `run`, and its target outlives the call.
    let peer = unsafe { &mut *(peer as *mut &mut dyn Peer) };
    !peer.step()
}

thread_local! {
    static NOW: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// A clock that advances by a step on every read.
struct Steps;

impl Clock for Steps {
    fn now(&self) -> Instant {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        NOW.set(NOW.get() + STEP);
        *START + NOW.get()
    }

    fn skip(&self, length: Duration) -> bool {
        NOW.set(NOW.get() + length);
        true
    }
}

/// Always returns the middle of the range.
struct Half;

impl Rng for Half {
    fn random_up_to(&self, below: Duration) -> Duration {
        below / 2
    }
}
