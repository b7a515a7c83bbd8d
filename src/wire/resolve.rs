//! DNS lookups with deadline and cancellation. The system's resolver runs on helper threads, which hold no secret. A
//! helper that hangs is abandoned. Concurrent lookups of the same name share one query.

use std::collections::{HashMap, VecDeque};
use std::ffi::{CString, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::call::Call;
use crate::errno;
use crate::failure::Failure;
use crate::wake::Wake;
use crate::wire::wait;

/// The maximum number of helper threads in a process. Further names wait for a free one.
const MOST_HELPERS: usize = 8;
/// The C library's resolver needs this stack, and musl's default of 128 KiB may be too small.
const HELPER_STACK: usize = 1 << 20;
/// A lookup that has run for longer than this is not joined by later calls: it may hang for ever.
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
    result: OnceLock<Result<Vec<SocketAddr>, Unresolved>>,
    /// Signalled when the result is available.
    done: Wake,
}

/// The reason why a name has no address.
#[derive(Clone, Debug)]
pub enum Unresolved {
    /// The resolver's message.
    Failed(String),
    Resources(String),
}

impl Lookups {
    /// Returns the addresses of `name`, or None if `patience` ends before the lookup does.
    pub fn resolve(
        &self,
        call: &Call,
        name: &str,
        patience: Option<Duration>,
    ) -> Result<Option<Vec<SocketAddr>>, Failure> {
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

    /// Returns the current lookup of `name`, or starts one.
    fn join(&self, call: &Call, name: &str) -> Result<Arc<Lookup>, Unresolved> {
        let now = call.clock.now();
        let mut state = lock(&self.state);
        let may_be_joined = |lookup: &&Arc<Lookup>| {
            // The host may have closed the descriptor of a lookup that outlived its call.
            lookup.done.is_intact()
                && (!lookup.taken.load(Ordering::Relaxed)
                    || now.saturating_duration_since(lookup.started) < STALE)
        };
        if let Some(lookup) = state.under_way.get(name).filter(may_be_joined) {
            return Ok(Arc::clone(lookup));
        }
        let done = Wake::new().map_err(|error| {
            let why = errno::describe(&error);
            Unresolved::Resources(format!("The process can't create a descriptor for a lookup: {why}"))
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
                    let why = errno::describe(&error);
                    return Err(Unresolved::Resources(format!(
                        "The process can't start a thread for a lookup: {why}"
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

/// Starts a detached thread that processes the queue. It blocks all signals, which belong to the host.
///
/// Uses pthread_create: std's spawn needs thread-local state of the calling thread, which is gone in an `atexit`
/// handler and at the end of a thread.
fn start_helper(state: Arc<Mutex<State>>) -> io::Result<()> {
    let argument = Arc::into_raw(state).cast_mut().cast::<c_void>();
    // SAFETY: all variables are local, and each is initialised by the call before its use. The new thread inherits the
    // full signal set from this one, and owns `argument` if it starts.
    unsafe {
        let (mut all, mut before) = (MaybeUninit::uninit(), MaybeUninit::uninit());
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
        let mut attributes = MaybeUninit::uninit();
        let mut failed = libc::pthread_attr_init(attributes.as_mut_ptr());
        if failed == 0 {
            let attributes = attributes.as_mut_ptr();
            libc::pthread_attr_setdetachstate(attributes, libc::PTHREAD_CREATE_DETACHED);
            libc::pthread_attr_setstacksize(attributes, helper_stack(attributes));
            let mut thread = MaybeUninit::uninit();
            failed = libc::pthread_create(thread.as_mut_ptr(), attributes, run_helper, argument);
            libc::pthread_attr_destroy(attributes);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut());
        if failed != 0 {
            drop(Arc::from_raw(argument.cast::<Mutex<State>>()));
            return Err(io::Error::from_raw_os_error(failed));
        }
    }
    Ok(())
}

/// The stack size of a helper. glibc subtracts the static thread-local storage of all modules from it, which can be
/// larger than the resolver's own stack.
///
/// # Safety
/// `attributes` is initialised.
unsafe fn helper_stack(attributes: *const libc::pthread_attr_t) -> usize {
    type MinStack = unsafe extern "C" fn(*const libc::pthread_attr_t) -> libc::size_t;
    // SAFETY: glibc's function of that name has this type. Other C libraries don't have it, and account for the storage
    // themselves.
    unsafe {
        let found = libc::dlsym(libc::RTLD_DEFAULT, c"__pthread_get_minstack".as_ptr());
        let taken =
            if found.is_null() { 0 } else { std::mem::transmute::<*mut c_void, MinStack>(found)(attributes) };
        (HELPER_STACK + taken).next_multiple_of(HELPER_STACK / 16) // a multiple of the page size
    }
}

extern "C" fn run_helper(argument: *mut c_void) -> *mut c_void {
    // SAFETY: `start_helper` made it from an Arc, and passed it only to this thread.
    let state = unsafe { Arc::from_raw(argument.cast::<Mutex<State>>()) };
    #[cfg(any(target_os = "linux", target_os = "android"))]
    // SAFETY: the arguments are this thread and a string of less than 16 bytes.
    unsafe {
        libc::pthread_setname_np(libc::pthread_self(), c"couchdrop-dns".as_ptr());
    }
    // A panic must not unwind into the C library. It leaves a lookup without a result: its callers time out.
    let _ = catch_unwind(AssertUnwindSafe(|| help(&state)));
    std::ptr::null_mut()
}

fn help(state: &Mutex<State>) {
    loop {
        let lookup = {
            let mut state = lock(state);
            let Some(lookup) = state.queue.pop_front() else {
                state.helpers -= 1;
                return;
            };
            // Only the entry in `under_way` and this variable own the lookup: all callers have left.
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
        let result = getaddrinfo(&lookup.name);
        {
            let mut state = lock(state);
            // A newer lookup of the same name may have replaced one that hung.
            if state.under_way.get(&lookup.name).is_some_and(|current| Arc::ptr_eq(current, &lookup)) {
                state.under_way.remove(&lookup.name);
            }
        }
        let _ = lookup.result.set(result);
        lookup.done.signal();
    }
}

/// Calls getaddrinfo, and keeps its order (RFC 6724). The addresses have port 0, and link-local ones their scope.
fn getaddrinfo(name: &str) -> Result<Vec<SocketAddr>, Unresolved> {
    let resources = |why: &str| Unresolved::Resources(format!("The process can't look up a name: {why}"));
    let name = CString::new(name).map_err(|_| Unresolved::Failed("it holds a NUL".to_owned()))?;
    // SAFETY: zeros are a valid addrinfo.
    let mut hints: libc::addrinfo = unsafe { std::mem::zeroed() };
    hints.ai_socktype = libc::SOCK_STREAM;
    let mut first = std::ptr::null_mut();
    // SAFETY: the string, the hints and the result pointer are valid during the call.
    let result = unsafe { libc::getaddrinfo(name.as_ptr(), std::ptr::null(), &hints, &mut first) };
    let error = io::Error::last_os_error();
    if result != 0 {
        // A resolver that cannot open a socket or a file reports that the name does not exist.
        if let Err(error) = Wake::new() {
            return Err(resources(&errno::describe(&error)));
        }
        return Err(match result {
            libc::EAI_MEMORY => resources("out of memory"),
            libc::EAI_SYSTEM => Unresolved::Failed(errno::describe(&error).into_owned()),
            other => Unresolved::Failed(errno::describe_lookup(other).into_owned()),
        });
    }
    let mut addresses: Vec<SocketAddr> = Vec::new();
    let mut next = first;
    // SAFETY: the list is unchanged until it is freed, once, after the loop.
    unsafe {
        while let Some(entry) = next.as_ref() {
            match address(entry) {
                Some(found) if !addresses.contains(&found) => addresses.push(found),
                _ => {}
            }
            next = entry.ai_next;
        }
        if !first.is_null() {
            libc::freeaddrinfo(first);
        }
    }
    if addresses.is_empty() { Err(Unresolved::Failed("it has no address".to_owned())) } else { Ok(addresses) }
}

/// The address of an entry; None for a family other than IPv4 and IPv6.
///
/// # Safety
/// `entry` comes from getaddrinfo.
unsafe fn address(entry: &libc::addrinfo) -> Option<SocketAddr> {
    if entry.ai_addr.is_null() {
        return None;
    }
    // SAFETY: the family determines the type. The value is copied, with any alignment.
    match entry.ai_family {
        libc::AF_INET => {
            let found = unsafe { entry.ai_addr.cast::<libc::sockaddr_in>().read_unaligned() };
            let ip = Ipv4Addr::from(u32::from_be(found.sin_addr.s_addr));
            Some(SocketAddrV4::new(ip, 0).into())
        }
        libc::AF_INET6 => {
            let found = unsafe { entry.ai_addr.cast::<libc::sockaddr_in6>().read_unaligned() };
            let ip = Ipv6Addr::from(found.sin6_addr.s6_addr);
            Some(SocketAddrV6::new(ip, 0, 0, found.sin6_scope_id).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_local_address_keeps_its_scope() {
        let scoped = SocketAddrV6::new("fe80::1".parse().unwrap(), 0, 0, 7);
        let socket = socket2::SockAddr::from(scoped);
        // SAFETY: zeros are a valid addrinfo, and `socket` outlives it.
        let found = unsafe {
            let mut entry: libc::addrinfo = std::mem::zeroed();
            entry.ai_family = libc::AF_INET6;
            entry.ai_addr = socket.as_ptr().cast_mut().cast();
            address(&entry)
        };
        assert_eq!(found, Some(scoped.into()));
        assert_eq!(crate::wire::connect::without_port(&scoped.into()), "fe80::1%7");
    }

    #[test]
    fn a_lookup_is_shared_until_a_helper_has_worked_on_it_for_long() {
        let lookups = Lookups::default();
        // No helper processes the queue.
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
