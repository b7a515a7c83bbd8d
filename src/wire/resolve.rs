//! DNS that obeys deadline and cancellation: the system's resolver runs on helper threads, which hold no secret and
//! are left behind when they hang. One lookup serves all who wait for the same name.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::call::Call;
use crate::failure::Failure;
use crate::wake::Wake;
use crate::wire::wait;

/// Helper threads at most, in a process. Names beyond that wait for one.
const MOST_HELPERS: usize = 8;
/// What the C library's resolver needs and musl's default of 128 KiB may not give.
const HELPER_STACK: usize = 1 << 20;
/// A lookup that a helper has worked on for longer than this serves nobody who comes later: it may hang for ever.
const STALE: Duration = Duration::from_secs(5);

/// The lookups of one process.
#[derive(Default)]
pub struct Lookups {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    under_way: HashMap<String, Arc<Lookup>>,
    queue: VecDeque<Arc<Lookup>>,
    helpers: usize,
}

/// One lookup of one name.
struct Lookup {
    name: String,
    started: Instant,
    /// A helper has taken it from the queue.
    taken: AtomicBool,
    result: OnceLock<Result<Vec<IpAddr>, Unresolved>>,
    /// Signalled when the result is there.
    done: Wake,
}

/// Why a name has no address.
#[derive(Clone, Debug)]
pub enum Unresolved {
    /// What the resolver said.
    Failed(String),
    Resources(String),
}

impl Lookups {
    /// The addresses of `name`, or None when `patience` ends before the lookup does.
    pub fn resolve(
        &self,
        call: &Call,
        name: &str,
        patience: Option<Duration>,
    ) -> Result<Option<Vec<IpAddr>>, Failure> {
        let failed = |unresolved: Unresolved| match unresolved {
            Unresolved::Failed(why) => Failure::Dns { host: name.to_owned(), why: why.into() },
            Unresolved::Resources(why) => Failure::Resources(why.into()),
        };
        call.check_process()?;
        let lookup = self.join(call, name).map_err(failed)?;
        let until = match patience {
            Some(patience) => call.until().min(call.clock.now() + patience),
            None => call.until(),
        };
        loop {
            if let Some(result) = lookup.result.get() {
                return result.clone().map(Some).map_err(failed);
            }
            let mut polls = [wait::readable(lookup.done.descriptor()), wait::nothing()];
            if !wait::wait(call, &mut polls, until)? {
                return if until < call.until() { Ok(None) } else { Err(call.timed_out()) };
            }
        }
    }

    /// The lookup of `name` that is under way, or a new one.
    fn join(&self, call: &Call, name: &str) -> Result<Arc<Lookup>, Unresolved> {
        let now = call.clock.now();
        let mut state = lock(&self.state);
        let may_be_joined = |lookup: &&Arc<Lookup>| {
            !lookup.taken.load(Ordering::Relaxed) || now.saturating_duration_since(lookup.started) < STALE
        };
        if let Some(lookup) = state.under_way.get(name).filter(may_be_joined) {
            return Ok(Arc::clone(lookup));
        }
        let done = Wake::new().ok_or_else(|| {
            Unresolved::Resources("The process has no descriptor left for a lookup".to_owned())
        })?;
        let lookup = Arc::new(Lookup {
            name: name.to_owned(),
            started: now,
            taken: AtomicBool::new(false),
            result: OnceLock::new(),
            done,
        });
        state.queue.push_back(Arc::clone(&lookup));
        if state.helpers < MOST_HELPERS {
            match start_helper(Arc::clone(&self.state)) {
                Ok(()) => state.helpers += 1,
                Err(_) if state.helpers > 0 => {} // one of those will come to it
                Err(error) => {
                    state.queue.pop_back();
                    return Err(Unresolved::Resources(format!(
                        "The process can't start a thread for a lookup: {error}"
                    )));
                }
            }
        }
        state.under_way.insert(name.to_owned(), Arc::clone(&lookup));
        Ok(lookup)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a thread that works off the queue. It blocks all signals: those are the host's.
fn start_helper(state: Arc<Mutex<State>>) -> std::io::Result<()> {
    let mut all = std::mem::MaybeUninit::uninit();
    let mut before = std::mem::MaybeUninit::uninit();
    // SAFETY: both sets are local, and `before` is read only after it was written to.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
    }
    let started = std::thread::Builder::new()
        .name("couchdrop-dns".to_owned())
        .stack_size(HELPER_STACK)
        .spawn(move || help(&state));
    // SAFETY: as above; a new thread has taken the full set from this one.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
    started.map(drop)
}

fn help(state: &Mutex<State>) {
    loop {
        let lookup = {
            let mut state = lock(state);
            let Some(lookup) = state.queue.pop_front() else {
                state.helpers -= 1;
                return;
            };
            // Its place among those under way and this one: all who waited have gone.
            let here = state.under_way.get(&lookup.name).is_some_and(|current| Arc::ptr_eq(current, &lookup));
            if Arc::strong_count(&lookup) == 1 + usize::from(here) {
                if here {
                    state.under_way.remove(&lookup.name);
                }
                continue;
            }
            lookup.taken.store(true, Ordering::Relaxed);
            lookup
        };
        let result = ask_system(&lookup.name);
        {
            let mut state = lock(state);
            // A newer lookup of the same name may stand in the place of one that hung.
            if state.under_way.get(&lookup.name).is_some_and(|current| Arc::ptr_eq(current, &lookup)) {
                state.under_way.remove(&lookup.name);
            }
        }
        let _ = lookup.result.set(result);
        lookup.done.signal();
    }
}

/// getaddrinfo, whose order (RFC 6724) is kept.
fn ask_system(name: &str) -> Result<Vec<IpAddr>, Unresolved> {
    match (name, 0).to_socket_addrs() {
        Ok(found) => {
            let mut addresses: Vec<IpAddr> = Vec::new();
            for address in found.map(|address| address.ip()) {
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
            if addresses.is_empty() {
                return Err(Unresolved::Failed("it has no address".to_owned()));
            }
            Ok(addresses)
        }
        // A resolver that can't open a socket or a file says that there is no such name.
        Err(_) if Wake::new().is_none() => {
            Err(Unresolved::Resources("The process has no descriptor left for a lookup".to_owned()))
        }
        Err(error) => {
            let said = error.to_string();
            let said = said.strip_prefix("failed to lookup address information: ").unwrap_or(&said);
            Err(Unresolved::Failed(said.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lookup_is_shared_until_a_helper_has_worked_on_it_for_long() {
        let lookups = Lookups::default();
        // Nobody works on the queue.
        lock(&lookups.state).helpers = MOST_HELPERS;
        let call = Call::new(Duration::from_secs(1), None, None);
        let join = || lookups.join(&call, "a.test").ok().unwrap();
        let started_before = |age: Duration| {
            let mut state = lock(&lookups.state);
            let lookup = state.under_way.get_mut("a.test").unwrap();
            let taken = AtomicBool::new(lookup.taken.load(Ordering::Relaxed));
            *lookup = Arc::new(Lookup {
                name: "a.test".to_owned(),
                started: Instant::now().checked_sub(age).unwrap(),
                taken,
                result: OnceLock::new(),
                done: Wake::new().unwrap(),
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
