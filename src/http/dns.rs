//! DNS lookups with deadline and cancellation. The system's resolver runs on helper threads, which hold no secret. A
//! helper that hangs is abandoned. Concurrent lookups of the same name share one query.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::context::CallContext;
use crate::error::ErrorKind;
use crate::http::wait::wait;
use crate::limits::MAX_LOOKUP_THREADS;
use crate::sys::errno;
use crate::sys::getaddrinfo::{ResolveError, getaddrinfo};
use crate::sys::poll::PollEntry;
use crate::sys::sync::atomic::{AtomicBool, Ordering};
use crate::sys::sync::{Mutex, MutexGuard};
use crate::sys::thread::spawn_detached;
use crate::sys::waker::Waker;

/// A lookup that has run for longer than this is not joined by later calls: it may hang for ever.
const STALE: Duration = Duration::from_secs(5);

/// The lookups of one process.
#[derive(Default)]
pub struct Resolver {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    in_flight: HashMap<String, Arc<Lookup>>,
    queue: VecDeque<Arc<Lookup>>,
    helpers: usize,
}

/// One lookup of one name.
struct Lookup {
    name: String,
    started: Instant,
    /// A helper has taken it from the queue.
    taken: AtomicBool,
    result: OnceLock<Result<Vec<SocketAddr>, ResolveError>>,
    /// Signalled when the result is available.
    done: Waker,
}

impl Resolver {
    /// Returns the addresses of `name`, or None if `limit` ends before the lookup does.
    pub fn resolve(
        &self,
        call: &CallContext,
        name: &str,
        limit: Option<Duration>,
    ) -> Result<Option<Vec<SocketAddr>>, ErrorKind> {
        let failed = |unresolved: ResolveError| match unresolved {
            ResolveError::Failed(why) => ErrorKind::Dns { host: name.to_owned(), why: why.into() },
            ResolveError::Resources(why) => ErrorKind::Resources(why.into()),
        };
        call.ensure_same_process()?;
        let lookup = self.join(call, name).map_err(failed)?;
        let until = match limit {
            Some(limit) => call.effective_deadline().min(call.clock.now() + limit),
            None => call.effective_deadline(),
        };
        loop {
            if let Some(result) = lookup.result.get() {
                return result.clone().map(Some).map_err(failed);
            }
            let mut entries = [PollEntry::readable(lookup.done.descriptor()), PollEntry::unused()];
            if !wait(call, &mut entries, until)? {
                return if until < call.effective_deadline() { Ok(None) } else { Err(call.timed_out()) };
            }
        }
    }

    /// Returns the current lookup of `name`, or starts one.
    fn join(&self, call: &CallContext, name: &str) -> Result<Arc<Lookup>, ResolveError> {
        let now = call.clock.now();
        let mut state = lock(&self.state);
        let may_be_joined = |lookup: &&Arc<Lookup>| {
            // The host may have closed the descriptor of a lookup that outlived its call.
            lookup.done.is_intact()
                && (!lookup.taken.load(Ordering::Relaxed)
                    || now.saturating_duration_since(lookup.started) < STALE)
        };
        if let Some(lookup) = state.in_flight.get(name).filter(may_be_joined) {
            return Ok(Arc::clone(lookup));
        }
        let done = Waker::new().map_err(|error| {
            let why = errno::describe(&error);
            ResolveError::Resources(format!("The process can't create a descriptor for a lookup: {why}"))
        })?;
        let lookup = Arc::new(Lookup {
            name: name.to_owned(),
            started: now,
            taken: AtomicBool::new(false),
            result: OnceLock::new(),
            done,
        });
        state.queue.push_back(Arc::clone(&lookup));
        if state.helpers < MAX_LOOKUP_THREADS {
            let helper = Arc::clone(&self.state);
            match spawn_detached(c"couchdrop-dns", move || help(&helper)) {
                Ok(()) => state.helpers += 1,
                Err(_) if state.helpers > 0 => {} // one of those will come to it
                Err(error) => {
                    state.queue.pop_back();
                    let why = errno::describe(&error);
                    return Err(ResolveError::Resources(format!(
                        "The process can't start a thread for a lookup: {why}"
                    )));
                }
            }
        }
        state.in_flight.insert(name.to_owned(), Arc::clone(&lookup));
        Ok(lookup)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn help(state: &Mutex<State>) {
    loop {
        let lookup = {
            let mut state = lock(state);
            let Some(lookup) = state.queue.pop_front() else {
                state.helpers -= 1;
                return;
            };
            // Only the entry in `in_flight` and this variable own the lookup: all callers have left.
            let here = state.in_flight.get(&lookup.name).is_some_and(|current| Arc::ptr_eq(current, &lookup));
            if Arc::strong_count(&lookup) == 1 + usize::from(here) {
                if here {
                    state.in_flight.remove(&lookup.name);
                }
                continue;
            }
            lookup.taken.store(true, Ordering::Relaxed);
            lookup
        };
        let result = getaddrinfo(&lookup.name);
        {
            let mut state = lock(state);
            // A newer lookup of the same name may have replaced one that hung.
            if state.in_flight.get(&lookup.name).is_some_and(|current| Arc::ptr_eq(current, &lookup)) {
                state.in_flight.remove(&lookup.name);
            }
        }
        let _ = lookup.result.set(result);
        lookup.done.signal();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lookup_is_shared_unless_it_is_stale() {
        let lookups = Resolver::default();
        // No helper processes the queue.
        lock(&lookups.state).helpers = MAX_LOOKUP_THREADS;
        let call = CallContext::new(Duration::from_secs(1), None, None);
        let join = || lookups.join(&call, "a.test").ok().unwrap();
        let started_before = |age: Duration| {
            let mut state = lock(&lookups.state);
            let lookup = state.in_flight.get_mut("a.test").unwrap();
            let taken = AtomicBool::new(lookup.taken.load(Ordering::Relaxed));
            *lookup = Arc::new(Lookup {
                name: "a.test".to_owned(),
                started: Instant::now().checked_sub(age).unwrap(),
                taken,
                result: OnceLock::new(),
                done: Waker::new().unwrap(),
            });
            Arc::clone(lookup)
        };
        let first = join();
        assert!(Arc::ptr_eq(&first, &join()));
        // However long it waits for a helper.
        let waiting = started_before(2 * STALE);
        assert!(Arc::ptr_eq(&waiting, &join()));
        waiting.taken.store(true, Ordering::Relaxed);
        assert!(!Arc::ptr_eq(&waiting, &join()));
        started_before(Duration::ZERO).taken.store(true, Ordering::Relaxed);
        let fresh = join();
        assert!(fresh.taken.load(Ordering::Relaxed) && Arc::ptr_eq(&fresh, &join()));
    }
}
