//! Synchronisation between waiting threads, cancelling threads and later ones: no wake-up is lost.

use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use couchdrop::cancel::Cancel;
use couchdrop::context::CallContext;
use couchdrop::error::ErrorKind;
use couchdrop::http::wait::wait;
use couchdrop::sys::fork_detect;
use couchdrop::sys::fork_waker::ForkLocalWaker;
use couchdrop::sys::poll::PollEntry;
use shuttle::thread;

/// The number of schedules that are tried for each model: `MODEL_RUNS`.
fn runs() -> usize {
    std::env::var("MODEL_RUNS").map_or(2_000, |runs| runs.parse().unwrap())
}

/// Waits only for the cancel handle. Only a trigger ends the wait, so a lost one is a deadlock.
fn wait_until_cancelled(cancel: &Arc<Cancel>) {
    let call = CallContext::new(Duration::from_secs(3600), Some(Arc::clone(cancel)), None);
    let until = call.effective_deadline();
    let ended = wait(&call, &mut [PollEntry::unused()], until);
    assert!(matches!(ended, Err(ErrorKind::Cancelled)));
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn model(waiters: usize, triggers: usize) {
    let before = open_descriptors();
    {
        let cancel = Arc::new(Cancel::default());
        let threads: Vec<_> = (0..waiters + triggers)
            .map(|number| {
                let cancel = Arc::clone(&cancel);
                thread::spawn(
                    move || if number < waiters { wait_until_cancelled(&cancel) } else { cancel.trigger() },
                )
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(cancel.is_triggered());
    }
    // If two threads make a descriptor at once, the slower one closes its own.
    assert_eq!(open_descriptors(), before);
}

#[test]
fn trigger_wakes_all_waiters() {
    for (waiters, triggers) in [(1, 1), (2, 1), (3, 2)] {
        shuttle::check_random(move || model(waiters, triggers), runs());
        shuttle::check_pct(move || model(waiters, triggers), runs(), 3);
    }
}

#[test]
fn parent_and_child_wait_on_their_own_descriptors() {
    // Two processes after a fork share no memory; here they do, which is harder: both make theirs at once.
    shuttle::check_random(
        || {
            let waker = Arc::new(ForkLocalWaker::default());
            let own = fork_detect::generation();
            let threads: Vec<_> = (0..2)
                .map(|_| {
                    let waker = Arc::clone(&waker);
                    thread::spawn(move || waker.descriptor(own, &|| false).unwrap())
                })
                .collect();
            let seen: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
            assert_eq!(seen[0], seen[1]);
            let child_s = waker.descriptor(own + 1, &|| false).unwrap();
            assert_ne!(child_s, seen[0]);
            // The handle must not close either descriptor here: one belongs to another process, and the other was left
            // alone.
            drop(waker);
            for descriptor in [seen[0], child_s] {
                // SAFETY: no other owner remains.
                drop(unsafe { OwnedFd::from_raw_fd(descriptor) });
            }
        },
        runs(),
    );
}
