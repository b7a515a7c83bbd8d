//! The context of one call: deadline, cancel handle, logger, clock, random numbers and current phase.

use std::cell::Cell;
use std::ffi::{CString, c_char, c_void};
use std::time::{Duration, Instant};

use crate::cancel::SharedCancel;
use crate::failure::{Failure, Phase};
use crate::process::{self, ProcessId};
use crate::registers;

/// A host's function that receives log messages.
pub type LogFn = unsafe extern "C" fn(user_data: *mut c_void, level: i32, message: *const c_char);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i32)]
pub enum Level {
    Error = 1,
    Warn = 2,
    Info = 3,
    Debug = 4,
}

#[derive(Clone, Copy)]
pub struct Logger {
    pub log: LogFn,
    pub user_data: *mut c_void,
    pub max_level: i32,
}

// SAFETY: the caller of cd_options_set_logger promises that the function may be called from any thread.
unsafe impl Send for Logger {}
unsafe impl Sync for Logger {}

/// The source of time: the system, or a test that does not wait.
pub trait Clock: Sync {
    fn now(&self) -> Instant;

    /// True if this clock has skipped a pause of `length`, so that no wait is needed.
    fn skip(&self, length: Duration) -> bool;
}

/// The source of random numbers: the operating system for each number, so that forked workers don't draw the same ones.
pub trait Chance: Sync {
    /// A number from 0 to `below`, both included.
    fn draw(&self, below: Duration) -> Duration;
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

pub struct SystemChance;

impl Chance for SystemChance {
    fn draw(&self, below: Duration) -> Duration {
        let mut bytes = [0; 8];
        if rustls::crypto::ring::default_provider().secure_random.fill(&mut bytes).is_err() {
            // Without random numbers: the longest wait causes the least load on the service.
            return below;
        }
        // A fraction with 2^53 steps is finer than a nanosecond of an hour.
        let part = (u64::from_ne_bytes(bytes) >> 11) as f64 / (1u64 << 53) as f64;
        below.mul_f64(part)
    }
}

/// One call of a caller, from its first check to its last byte.
#[derive(Clone)]
pub struct Call {
    pub process: ProcessId,
    pub started: Instant,
    pub deadline: Instant,
    pub cancel: Option<SharedCancel>,
    pub logger: Option<Logger>,
    pub clock: &'static dyn Clock,
    pub chance: &'static dyn Chance,
    /// An end of the current operation before the deadline: a connect timeout.
    limit: Cell<Option<Limit>>,
    phase: Cell<Phase>,
    attempts: Cell<u32>,
    /// The time of the last call of the host's check; None = the check is due at the next opportunity.
    asked: Cell<Option<Instant>>,
}

#[derive(Clone, Copy)]
struct Limit {
    since: Instant,
    until: Instant,
}

impl Call {
    pub fn new(timeout: Duration, cancel: Option<SharedCancel>, logger: Option<Logger>) -> Call {
        Call::with(timeout, cancel, logger, &SystemClock, &SystemChance)
    }

    /// Counts the time from `at` to the creation of this object as a part of the call.
    pub fn begun(mut self, at: Instant) -> Call {
        self.deadline -= self.started.saturating_duration_since(at);
        self.started = at;
        self
    }

    pub fn with(
        timeout: Duration,
        cancel: Option<SharedCancel>,
        logger: Option<Logger>,
        clock: &'static dyn Clock,
        chance: &'static dyn Chance,
    ) -> Call {
        let started = clock.now();
        let process = process::id();
        if let Some(cancel) = &cancel {
            cancel.replace_closed_descriptor(process);
        }
        Call {
            process,
            started,
            deadline: started + timeout,
            cancel,
            logger,
            clock,
            chance,
            limit: Cell::new(None),
            phase: Cell::new(Phase::Start),
            attempts: Cell::new(0),
            asked: Cell::new(Some(started)),
        }
    }

    /// True if this is a parent's call, in a child that a logger, a check or a signal handler forked. Its connection
    /// belongs to the parent, which continues the call.
    pub fn is_anothers(&self) -> bool {
        process::id() != self.process
    }

    /// Fails in a forked child of the call's process, before a lock or a connection of the parent is used.
    pub fn check_process(&self) -> Result<(), Failure> {
        if self.is_anothers() { Err(Failure::Cancelled) } else { Ok(()) }
    }

    /// Fails if this call is cancelled or its deadline has passed.
    pub fn check(&self) -> Result<(), Failure> {
        if self.cancel.as_ref().is_some_and(|cancel| cancel.is_triggered()) || self.is_anothers() {
            return Err(Failure::Cancelled);
        }
        if self.clock.now() >= self.until() { Err(self.timed_out()) } else { Ok(()) }
    }

    /// The time at which the host's check is due: `slice` after its last call. None without a check.
    pub fn host_must_be_asked_at(&self, slice: Duration) -> Option<Instant> {
        self.cancel.as_deref().filter(|cancel| cancel.has_check())?;
        Some(self.asked.get().map_or(self.started, |asked| asked + slice))
    }

    /// Calls the host's check.
    pub fn host_says_stop(&self) -> bool {
        self.asked.set(Some(self.clock.now()));
        self.cancel.as_deref().is_some_and(|cancel| cancel.check_says_stop())
    }

    /// Makes the host's check due at once, since a signal arrived.
    pub fn ask_host_soon(&self) {
        self.asked.set(None);
    }

    /// Sets the phase of this call.
    pub fn enter(&self, phase: Phase) {
        self.phase.set(phase);
    }

    pub fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// The deadline of the current operation.
    pub fn until(&self) -> Instant {
        match self.limit.get() {
            Some(limit) => limit.until,
            None => self.deadline,
        }
    }

    /// The time left for the whole call.
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(self.clock.now())
    }

    /// Runs `work` with a limit of `length`, or with the call's deadline if that is earlier.
    pub fn limited<T>(&self, length: Duration, work: impl FnOnce() -> T) -> T {
        let since = self.clock.now();
        let until = since + length;
        self.limit.set((until < self.deadline).then_some(Limit { since, until }));
        let done = work();
        self.limit.set(None);
        done
    }

    /// The failure of a call whose deadline or limit has passed.
    pub fn timed_out(&self) -> Failure {
        let limit = self.limit.get();
        let since = limit.map_or(self.started, |limit| limit.since);
        let after = self.clock.now().saturating_duration_since(since);
        Failure::Timeout { phase: self.phase.get(), after, connect_timeout: limit.is_some(), with: None }
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
        if let Some(logger) = self.logger_of(level) {
            tell(logger, level, message());
        }
    }

    /// True if the host's logger receives this level.
    pub fn logs(&self, level: Level) -> bool {
        self.logger_of(level).is_some()
    }

    fn logger_of(&self, level: Level) -> Option<&Logger> {
        self.logger.as_ref().filter(|logger| level as i32 <= logger.max_level)
    }
}

#[cold]
fn tell(logger: &Logger, level: Level, mut message: String) {
    message.retain(|letter| !letter.is_control());
    if let Ok(message) = CString::new(message) {
        registers::wipe();
        // SAFETY: the caller of cd_options_set_logger promises that both can be used during each call.
        unsafe { (logger.log)(logger.user_data, level as i32, message.as_ptr()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_ends_before_the_deadline_or_not_at_all() {
        let call = Call::new(Duration::from_secs(10), None, None);
        call.limited(Duration::from_secs(1), || {
            assert!(call.until() < call.deadline);
            assert!(matches!(call.timed_out(), Failure::Timeout { connect_timeout: true, .. }));
        });
        call.limited(Duration::from_secs(60), || assert_eq!(call.until(), call.deadline));
        assert!(matches!(call.timed_out(), Failure::Timeout { connect_timeout: false, .. }));
    }

    #[test]
    fn chance_stays_in_its_range_and_is_not_the_same_twice() {
        let below = Duration::from_secs(3600);
        let draws: Vec<_> = (0..32).map(|_| SystemChance.draw(below)).collect();
        assert!(draws.iter().all(|drawn| *drawn <= below));
        assert!(draws.iter().any(|drawn| *drawn != draws[0]));
    }
}
