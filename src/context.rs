//! The context of one call: deadline, cancel handle, logger, clock, random numbers and current phase.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::cancel::SharedCancel;
use crate::clock::{Clock, SystemClock};
use crate::error::{ErrorKind, Phase};
use crate::logger::{Level, Logger};
use crate::rng::{Rng, SystemRng};
use crate::sys::fork_detect::{self, Generation};

/// The host's check, which runs on the calling thread while a call waits. Plain data, so that a call does not allocate.
#[derive(Clone, Copy)]
pub struct HostCheck {
    run: fn([usize; 2]) -> bool,
    data: [usize; 2],
}

impl HostCheck {
    /// `run` receives `data`, and returns true to stop the call.
    pub fn new(run: fn([usize; 2]) -> bool, data: [usize; 2]) -> HostCheck {
        HostCheck { run, data }
    }
}

/// One call into the library, from the check of its arguments to its result.
#[derive(Clone)]
pub struct CallContext {
    /// The process that began this call.
    pub generation: Generation,
    pub started: Instant,
    pub deadline: Instant,
    pub cancel: Option<SharedCancel>,
    pub logger: Option<Logger>,
    pub clock: &'static dyn Clock,
    pub rng: &'static dyn Rng,
    check: Option<HostCheck>,
    /// The time of the last call of the host's check; None = the check is due at the next opportunity.
    checked_at: Cell<Option<Instant>>,
    /// The end of the connect timeout, if it is before the deadline.
    limit: Cell<Option<Limit>>,
    phase: Cell<Phase>,
    attempts: Cell<u32>,
}

#[derive(Clone, Copy)]
struct Limit {
    since: Instant,
    until: Instant,
}

impl CallContext {
    pub fn new(timeout: Duration, cancel: Option<SharedCancel>, logger: Option<Logger>) -> CallContext {
        CallContext::with(timeout, cancel, logger, &SystemClock, &SystemRng)
    }

    pub fn with(
        timeout: Duration,
        cancel: Option<SharedCancel>,
        logger: Option<Logger>,
        clock: &'static dyn Clock,
        rng: &'static dyn Rng,
    ) -> CallContext {
        let started = clock.now();
        let generation = fork_detect::generation();
        if let Some(cancel) = &cancel {
            cancel.replace_closed_descriptor(generation);
        }
        CallContext {
            generation,
            started,
            deadline: started + timeout,
            cancel,
            logger,
            clock,
            rng,
            check: None,
            checked_at: Cell::new(Some(started)),
            limit: Cell::new(None),
            phase: Cell::new(Phase::Start),
            attempts: Cell::new(0),
        }
    }

    /// Counts the time from `start` to the creation of this object as a part of the call.
    pub fn with_start(mut self, start: Instant) -> CallContext {
        self.deadline -= self.started.saturating_duration_since(start);
        self.started = start;
        self
    }

    pub fn with_check(mut self, check: Option<HostCheck>) -> CallContext {
        self.check = check;
        self
    }

    /// True if the handle was triggered, or in a child that a signal handler forked.
    pub fn is_cancelled(&self) -> bool {
        self.cancel.as_ref().is_some_and(|cancel| cancel.is_triggered()) || self.is_in_forked_child()
    }

    /// True in a child that a signal handler or a check forked during this call. The connection belongs to the parent,
    /// which continues the call.
    pub fn is_in_forked_child(&self) -> bool {
        fork_detect::generation() != self.generation
    }

    /// Fails in a forked child, before a lock or a connection of the parent is used: a thread that does not exist in the
    /// child may hold the lock.
    pub fn ensure_same_process(&self) -> Result<(), ErrorKind> {
        if self.is_in_forked_child() { Err(ErrorKind::Cancelled) } else { Ok(()) }
    }

    /// Fails if this call is cancelled or its deadline has passed.
    pub fn ensure_active(&self) -> Result<(), ErrorKind> {
        if self.is_cancelled() {
            return Err(ErrorKind::Cancelled);
        }
        if self.clock.now() >= self.effective_deadline() { Err(self.timed_out()) } else { Ok(()) }
    }

    /// The time at which the host's check is due: `interval` after its last run. None without a check.
    pub fn check_due_at(&self, interval: Duration) -> Option<Instant> {
        self.check.as_ref()?;
        Some(self.checked_at.get().map_or(self.started, |checked_at| checked_at + interval))
    }

    /// Runs the host's check. Returns true if the call must stop.
    pub fn run_check(&self) -> bool {
        self.checked_at.set(Some(self.clock.now()));
        self.check.is_some_and(|check| (check.run)(check.data)) || self.is_in_forked_child()
    }

    /// Makes the host's check due at once, since a signal arrived.
    pub fn make_check_due(&self) {
        self.checked_at.set(None);
    }

    pub fn set_phase(&self, phase: Phase) {
        self.phase.set(phase);
    }

    pub fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// The deadline of the current operation: the call's, or an earlier limit.
    pub fn effective_deadline(&self) -> Instant {
        match self.limit.get() {
            Some(limit) => limit.until,
            None => self.deadline,
        }
    }

    /// The time left for the whole call.
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(self.clock.now())
    }

    /// The time since the start of the call.
    pub fn elapsed(&self) -> Duration {
        self.clock.now().saturating_duration_since(self.started)
    }

    /// Runs `work` with a limit of `timeout`, or with the call's deadline if that is earlier.
    pub fn with_timeout<T>(&self, timeout: Duration, work: impl FnOnce() -> T) -> T {
        let since = self.clock.now();
        let until = since + timeout;
        self.limit.set((until < self.deadline).then_some(Limit { since, until }));
        let result = work();
        self.limit.set(None);
        result
    }

    /// The error of a call whose deadline or limit has passed.
    pub fn timed_out(&self) -> ErrorKind {
        let limit = self.limit.get();
        let since = limit.map_or(self.started, |limit| limit.since);
        let after = self.clock.now().saturating_duration_since(since);
        ErrorKind::Timeout { phase: self.phase.get(), after, connect_timeout: limit.is_some(), with: None }
    }

    /// Counts a request when its first byte is handed over.
    pub fn count_attempt(&self) {
        self.attempts.set(self.attempts.get() + 1);
    }

    pub fn attempts(&self) -> u32 {
        self.attempts.get()
    }

    /// Calls the host's logger. The message is formatted only if the level is enabled.
    #[inline]
    pub fn log(&self, level: Level, message: impl FnOnce() -> String) {
        if let Some(logger) = self.logger.as_ref().filter(|logger| logger.is_enabled(level)) {
            logger.write(level, message());
        }
    }

    /// True if the host's logger receives messages of this level.
    pub fn is_logged(&self, level: Level) -> bool {
        self.logger.as_ref().is_some_and(|logger| logger.is_enabled(level))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeout_ends_before_the_deadline_or_has_no_effect() {
        let call = CallContext::new(Duration::from_secs(10), None, None);
        call.with_timeout(Duration::from_secs(1), || {
            assert!(call.effective_deadline() < call.deadline);
            assert!(matches!(call.timed_out(), ErrorKind::Timeout { connect_timeout: true, .. }));
        });
        call.with_timeout(Duration::from_secs(60), || assert_eq!(call.effective_deadline(), call.deadline));
        assert!(matches!(call.timed_out(), ErrorKind::Timeout { connect_timeout: false, .. }));
    }
}
