//! A session keeps one account logged in. It holds the current token, allows one login at a time, and remembers the
//! service's refusals, which block further logins for a while.
//!
//! The first caller that needs a login performs it, and the others wait for its result, as with Go's `singleflight`.

use std::cell::RefCell;
use std::collections::TryReserveError;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::context::CallContext;
use crate::error::{Error, ErrorKind, Phase};
use crate::http::wait::{CHECK_INTERVAL, pause, wait};
use crate::limits::REFUSAL_MEMORY;
use crate::logger::Level;
use crate::login::Client;
use crate::login::credentials::{Credentials, StoredCredentials};
use crate::login::retry::Backoff;
use crate::secret::Secret;
use crate::sys::clock::uptime;
use crate::sys::fork_detect::Generation;
use crate::sys::fork_local::ForkLocal;
use crate::sys::fork_snapshot::Snapshot;
use crate::sys::poll::PollEntry;
use crate::sys::waker::Waker;

const DEFAULT_MIN_AGE_SECONDS: u32 = 60;

/// Keeps one account logged in.
pub struct Session {
    credentials: StoredCredentials,
    /// In seconds; 0 = no maximum.
    max_age: AtomicU32,
    min_age: AtomicU32,
    state: ForkLocal<State>,
}

/// The state of one process.
#[derive(Default)]
struct State {
    memory: Snapshot<Memory>,
    /// The login that a thread performs. Lock order: this one, then that of `memory`.
    in_flight: Mutex<Option<Arc<InFlight>>>,
}

/// The result of the last login. A child of `fork` begins with its parent's.
#[derive(Clone, Default)]
struct Memory {
    token: Option<Arc<Issued>>,
    refusal: Option<Arc<Refusal>>,
}

impl Memory {
    fn of_token(issued: &Arc<Issued>) -> Memory {
        Memory { token: Some(Arc::clone(issued)), refusal: None }
    }

    fn of_refusal(refusal: Refusal) -> Memory {
        Memory { token: None, refusal: Some(Arc::new(refusal)) }
    }
}

/// A token, and the uptime at which the service issued it.
pub struct Issued {
    pub text: Secret,
    issued_at: Duration,
}

impl Issued {
    fn now(text: Secret) -> Arc<Issued> {
        Arc::new(Issued { text, issued_at: uptime() })
    }
}

/// A refusal of the service that blocks logins until a time.
struct Refusal {
    error: Error,
    until: Duration,
    /// True if a login may be sent after a wait (`Retry-After`), false if the credentials were refused.
    may_wait: bool,
}

impl Refusal {
    /// Returns None if the error does not block further logins.
    fn of(error: &Error) -> Option<Refusal> {
        // After this response the call's own limits may have ended it.
        let is_refused = matches!(
            error.kind,
            ErrorKind::Refused { .. }
                | ErrorKind::Cancelled
                | ErrorKind::Timeout { connect_timeout: false, .. }
        );
        let may_wait = !(is_refused && matches!(error.http_status, 401 | 403));
        let until = if may_wait { error.blocked_until? } else { uptime() + REFUSAL_MEMORY };
        let kind = ErrorKind::Refused { status: error.http_status };
        let error = Error { kind, attempts: 0, cut_by_deadline: false, ..error.clone() };
        Some(Refusal { error, until, may_wait })
    }

    fn error(&self, left: Duration) -> Error {
        let mut error = self.error.clone();
        if self.may_wait {
            let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
            error.retry_after = i64::try_from(seconds).ok();
        }
        error
    }
}

/// The decision of [`Session::next_step`].
enum Step {
    Return(Arc<Issued>),
    WaitFor(Arc<InFlight>),
    LogIn {
        in_flight: Arc<InFlight>,
        delay: Option<Duration>,
    },
    /// A logger or a check of this thread's own login asks for a token: a wait for that login could not end.
    LogInWithin,
}

thread_local! {
    /// Its address identifies the thread. It has no destructor, so it exists in an `atexit` handler too.
    static THREAD: u8 = const { 0 };
}

fn this_thread() -> usize {
    THREAD.with(|thread| std::ptr::from_ref(thread).addr())
}

impl Session {
    /// Copies the credentials.
    pub fn new(credentials: &Credentials) -> Result<Session, TryReserveError> {
        Ok(Session {
            credentials: StoredCredentials::copy(credentials)?,
            max_age: AtomicU32::new(0),
            min_age: AtomicU32::new(DEFAULT_MIN_AGE_SECONDS),
            state: ForkLocal::new(),
        })
    }

    pub fn set_max_age_seconds(&self, seconds: u32) {
        self.max_age.store(seconds, Ordering::Relaxed);
    }

    pub fn set_min_age_seconds(&self, seconds: u32) {
        self.min_age.store(seconds, Ordering::Relaxed);
    }

    /// Returns the current token, if there is one that [`Session::token`] would return without a wait.
    #[inline(never)]
    pub fn current(&self, generation: Generation, rejected: &str) -> Option<Arc<Issued>> {
        self.state(generation).memory.get().token.filter(|issued| self.is_usable(issued, rejected))
    }

    /// Returns the session's token, and logs in if there is none that can be used. `rejected` is the token that the
    /// service refused in another request; empty = none.
    pub fn token(&self, client: &Client, call: &CallContext, rejected: &str) -> Result<Arc<Issued>, Error> {
        loop {
            call.ensure_active()?;
            let state = self.state(call.generation);
            let step = self.next_step(state, client, call, rejected).inspect_err(|refused| {
                call.log(Level::Error, || {
                    format!("no login, since the last one was refused: {}", refused.kind)
                });
            })?;
            match step {
                Step::Return(issued) => return Ok(issued),
                Step::LogIn { in_flight, delay } => {
                    return self.log_in(state, client, call, in_flight, delay);
                }
                Step::LogInWithin => {
                    let issued = Issued::now(client.login(call, &self.credentials.get()?)?);
                    call.ensure_same_process()?;
                    let _in_flight = lock(&state.in_flight);
                    state.memory.set(Memory::of_token(&issued));
                    return Ok(issued);
                }
                Step::WaitFor(in_flight) => {
                    call.log(Level::Debug, || "waiting for the login of another call".to_owned());
                    let result = in_flight.wait(call).inspect_err(|ended| {
                        call.log(Level::Info, || format!("call ended while it waited: {ended}"));
                    })?;
                    if let Some(result) = result {
                        return result.map_err(|error| Error { attempts: 0, ..error });
                    }
                }
            }
        }
    }

    fn state(&self, generation: Generation) -> &State {
        self.state.get(generation, |parent| State {
            memory: parent.map_or_else(Snapshot::default, |parent| parent.memory.of_parent()),
            in_flight: Mutex::default(),
        })
    }

    /// Reads the clock only if the result depends on it.
    fn is_usable(&self, issued: &Issued, rejected: &str) -> bool {
        let is_rejected = rejected.as_bytes() == &*issued.text;
        let max_age = self.max_age.load(Ordering::Relaxed);
        if max_age == 0 && !is_rejected {
            return true;
        }
        let age = uptime().saturating_sub(issued.issued_at);
        let is_too_old = max_age != 0 && age > Duration::from_secs(max_age.into());
        let min_age = Duration::from_secs(self.min_age.load(Ordering::Relaxed).into());
        // The refusal of a younger token is about a permission.
        let is_refused = is_rejected && age >= min_age;
        !is_too_old && !is_refused
    }

    /// Decides under one lock, so that exactly one caller performs a login. Fails if a refusal blocks it.
    fn next_step(
        &self,
        state: &State,
        client: &Client,
        call: &CallContext,
        rejected: &str,
    ) -> Result<Step, Error> {
        let mut in_flight = lock(&state.in_flight);
        let mut memory = state.memory.get();
        if let Some(issued) = memory.token.take() {
            if self.is_usable(&issued, rejected) {
                return Ok(Step::Return(issued));
            }
            state.memory.set(memory.clone());
        }
        let is_own = in_flight.as_ref().is_some_and(|in_flight| in_flight.performer == this_thread());
        let mut delay = None;
        if let Some(refusal) = &memory.refusal {
            let left = refusal.until.saturating_sub(uptime());
            if !left.is_zero() {
                if refusal.may_wait && !is_own {
                    delay = Backoff::for_call(client.config(), call).wait(call.remaining(), left, call.rng);
                }
                if delay.is_none() {
                    return Err(refusal.error(left));
                }
            }
        }
        if let Some(in_flight) = &*in_flight {
            if is_own {
                return Ok(Step::LogInWithin);
            }
            return Ok(Step::WaitFor(Arc::clone(in_flight)));
        }
        let new = Arc::<InFlight>::default();
        *in_flight = Some(Arc::clone(&new));
        Ok(Step::LogIn { in_flight: new, delay })
    }

    fn log_in(
        &self,
        state: &State,
        client: &Client,
        call: &CallContext,
        in_flight: Arc<InFlight>,
        delay: Option<Duration>,
    ) -> Result<Arc<Issued>, Error> {
        let performer = Performer { state, call, in_flight: RefCell::new(in_flight) };
        if let Some(delay) = delay {
            call.log(Level::Warn, || {
                format!("login in {} ms, since the service asked to wait", delay.as_millis())
            });
            call.set_phase(Phase::BackOff);
            pause(call, delay)?;
        }
        let credentials = self.credentials.get()?;
        let result = client
            .login_observed(call, &credentials, &|failed| performer.share_refusal(failed))
            .map(Issued::now);
        performer.finish(&result);
        result
    }
}

/// The caller that performs a login. Ends the login for the others when dropped.
struct Performer<'a> {
    state: &'a State,
    call: &'a CallContext,
    in_flight: RefCell<Arc<InFlight>>,
}

impl Performer<'_> {
    /// Before the performer waits as the service asked: the other callers decide again, since the wait may be too long
    /// for some of them.
    fn share_refusal(&self, failed: &Error) {
        if self.call.is_in_forked_child() {
            return;
        }
        let Some(refusal) = Refusal::of(failed) else { return };
        let next = Arc::<InFlight>::default();
        {
            let mut in_flight = lock(&self.state.in_flight);
            self.state.memory.set(Memory::of_refusal(refusal));
            *in_flight = Some(Arc::clone(&next));
        }
        self.in_flight.replace(next).complete(Outcome::Abandoned);
    }

    fn finish(&self, result: &Result<Arc<Issued>, Error>) {
        // A thread that does not exist in the child may hold a lock, and the descriptor is the parent's.
        if self.call.is_in_forked_child() {
            return;
        }
        let memory = match result {
            Ok(issued) => Some(Memory::of_token(issued)),
            Err(error) => Refusal::of(error).map(Memory::of_refusal),
        };
        let outcome = match result {
            Err(error) if error.concerns_one_call() => Outcome::Abandoned,
            result => Outcome::Finished(result.clone()),
        };
        self.end(memory, outcome);
    }

    #[inline(never)]
    fn end(&self, memory: Option<Memory>, outcome: Outcome) {
        {
            let mut in_flight = lock(&self.state.in_flight);
            if let Some(memory) = memory {
                self.state.memory.set(memory);
            }
            *in_flight = None;
        }
        self.in_flight.borrow().complete(outcome);
    }
}

impl Drop for Performer<'_> {
    fn drop(&mut self) {
        if !self.call.is_in_forked_child() && !self.in_flight.borrow().is_complete() {
            self.end(None, Outcome::Abandoned);
        }
    }
}

#[derive(Clone)]
enum Outcome {
    Finished(Result<Arc<Issued>, Error>),
    /// The performer stopped for a reason of its own: another caller must decide again.
    Abandoned,
}

/// A login that one caller performs and others wait for.
struct InFlight {
    performer: usize,
    progress: Mutex<Progress>,
}

impl Default for InFlight {
    fn default() -> InFlight {
        InFlight { performer: this_thread(), progress: Mutex::default() }
    }
}

#[derive(Default)]
struct Progress {
    outcome: Option<Outcome>,
    /// Made by the first caller that waits.
    done: Option<Waker>,
}

impl InFlight {
    fn is_complete(&self) -> bool {
        lock(&self.progress).outcome.is_some()
    }

    fn complete(&self, outcome: Outcome) {
        let mut progress = lock(&self.progress);
        progress.outcome = Some(outcome);
        if let Some(done) = &progress.done {
            done.signal();
        }
    }

    /// Waits for the login's result, within this call's own limits. None if the login was abandoned.
    fn wait(&self, call: &CallContext) -> Result<Option<Result<Arc<Issued>, Error>>, ErrorKind> {
        call.set_phase(Phase::OtherLogin);
        loop {
            call.ensure_active()?;
            let descriptor = {
                let mut progress = lock(&self.progress);
                match &progress.outcome {
                    Some(Outcome::Finished(result)) => return Ok(Some(result.clone())),
                    Some(Outcome::Abandoned) => return Ok(None),
                    None => {}
                }
                if progress.done.is_none() {
                    progress.done = Waker::new().ok();
                }
                // The host may have closed it.
                progress.done.as_ref().filter(|done| done.is_intact()).map(Waker::descriptor)
            };
            let deadline = call.effective_deadline();
            match descriptor {
                Some(done) => wait(call, &mut [PollEntry::readable(done), PollEntry::unused()], deadline)?,
                None => {
                    wait(call, &mut [PollEntry::unused()], deadline.min(call.clock.now() + CHECK_INTERVAL))?
                }
            };
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
