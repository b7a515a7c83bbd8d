//! A call and its peer on one thread: whenever the call is about to wait, it is the peer's turn.
//!
//! A call asks its host's check when it waits and some time has passed since it last did. Its clock here moves on
//! whenever somebody looks at it, so the check is asked at each wait, and the check is the peer's turn: what it sends
//! is there when the call looks. No time passes that the clock does not make pass, so no input is slow.

use std::cell::Cell;
use std::ffi::c_void;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use couchdrop::call::{Call, Chance, Clock};
use couchdrop::cancel::Cancel;

/// The other side of a call.
pub trait Peer {
    /// The call waits. False where nothing will come any more that it could wait for.
    fn turn(&mut self) -> bool;
}

/// Runs `work` with a call whose waits are the turns of `peer`. A call that waits for nothing ends as cancelled.
pub fn with<T>(peer: &mut dyn Peer, work: impl FnOnce(&Call) -> T) -> T {
    NOW.set(Duration::ZERO);
    let mut peer = peer;
    let cancel = Cancel::default();
    cancel.set_check(Some(turn), (&raw mut peer).cast());
    work(&Call::with(AN_HOUR, Some(Arc::new(cancel)), None, &Steps, &Half))
}

const AN_HOUR: Duration = Duration::from_secs(3600);
/// Longer than a call goes without asking its check.
const STEP: Duration = Duration::from_millis(60);

unsafe extern "C" fn turn(peer: *mut c_void) -> i32 {
    // SAFETY: it is what `with` gave, which outlives the call.
    let peer = unsafe { &mut *peer.cast::<&mut dyn Peer>() };
    i32::from(!peer.turn())
}

thread_local! {
    static NOW: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// A clock that takes a step whenever somebody looks at it.
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

/// Draws the middle.
struct Half;

impl Chance for Half {
    fn draw(&self, below: Duration) -> Duration {
        below / 2
    }
}
