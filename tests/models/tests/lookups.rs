//! Name lookups, shared by all callers that wait for the same name, on threads that start and end. Every caller gets a
//! result, even if others leave early, and the number of threads stays within its limit.

use std::ffi::{CStr, c_char, c_int};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use couchdrop::cancel::Cancel;
use couchdrop::context::CallContext;
use couchdrop::error::ErrorKind;
use couchdrop::http::dns::Resolver;
use shuttle::thread;

const MAX_HELPERS: usize = 8;

static INSIDE: AtomicUsize = AtomicUsize::new(0);
static ASKED: AtomicUsize = AtomicUsize::new(0);

/// Replaces the C library's getaddrinfo: `name-7` is 192.0.2.7, after a while.
///
/// # Safety
/// Same contract as getaddrinfo.
#[unsafe(no_mangle)]
unsafe extern "C" fn getaddrinfo(
    node: *const c_char,
    _service: *const c_char,
    _hints: *const libc::addrinfo,
    result: *mut *mut libc::addrinfo,
) -> c_int {
    let inside = INSIDE.fetch_add(1, Ordering::Relaxed) + 1;
    assert!(inside <= MAX_HELPERS);
    ASKED.fetch_add(1, Ordering::Relaxed);
    thread::yield_now();
    // SAFETY: a string, as the caller promises.
    let name = unsafe { CStr::from_ptr(node) }.to_str().unwrap();
    let last = name.strip_prefix("name-").unwrap().parse().unwrap();
    let address = Box::leak(Box::new(libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: 0,
        sin_addr: libc::in_addr { s_addr: u32::from(Ipv4Addr::new(192, 0, 2, last)).to_be() },
        sin_zero: [0; 8],
    }));
    // SAFETY: may be written to, as the caller promises; freed by `freeaddrinfo`.
    unsafe {
        *result = Box::into_raw(Box::new(libc::addrinfo {
            ai_flags: 0,
            ai_family: libc::AF_INET,
            ai_socktype: libc::SOCK_STREAM,
            ai_protocol: 0,
            ai_addrlen: size_of::<libc::sockaddr_in>() as libc::socklen_t,
            ai_addr: std::ptr::from_mut(address).cast(),
            ai_canonname: std::ptr::null_mut(),
            ai_next: std::ptr::null_mut(),
        }));
    }
    INSIDE.fetch_sub(1, Ordering::Relaxed);
    0
}

/// # Safety
/// The list is a result of `getaddrinfo`.
#[unsafe(no_mangle)]
unsafe extern "C" fn freeaddrinfo(list: *mut libc::addrinfo) {
    // SAFETY: as there.
    unsafe {
        drop(Box::from_raw((*list).ai_addr.cast::<libc::sockaddr_in>()));
        drop(Box::from_raw(list));
    }
}

fn resolve(lookups: &Resolver, number: u8, cancel: Option<Arc<Cancel>>) -> Result<(), ErrorKind> {
    let call = CallContext::new(Duration::from_secs(3600), cancel, None);
    let found = lookups.resolve(&call, &format!("name-{number}"), None)?;
    assert_eq!(found, Some(vec![SocketAddr::from(([192, 0, 2, number], 0))]));
    Ok(())
}

/// `callers` threads look up `names` names in rotation. Every third caller may be cancelled before it has a result.
fn model(callers: usize, names: usize) {
    INSIDE.store(0, Ordering::Relaxed);
    ASKED.store(0, Ordering::Relaxed);
    let lookups = Arc::new(Resolver::default());
    let threads: Vec<_> = (0..callers)
        .map(|caller| {
            let lookups = Arc::clone(&lookups);
            thread::spawn(move || {
                let number = (caller % names) as u8;
                if caller % 3 == 2 {
                    let cancel = Arc::new(Cancel::default());
                    let triggered = Arc::clone(&cancel);
                    let other = thread::spawn(move || triggered.trigger());
                    let ended = resolve(&lookups, number, Some(cancel));
                    assert!(matches!(ended, Ok(()) | Err(ErrorKind::Cancelled)));
                    other.join().unwrap();
                } else {
                    resolve(&lookups, number, None).unwrap();
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    // The next lookup is served, in any state that the others left.
    resolve(&lookups, 200, None).unwrap();
    assert!(ASKED.load(Ordering::Relaxed) <= callers + 1);
}

fn runs() -> usize {
    std::env::var("MODEL_RUNS").map_or(2_000, |runs| runs.parse().unwrap())
}

#[test]
fn every_waiter_for_a_name_gets_a_result() {
    for (callers, names) in [(2, 1), (3, 2), (6, 3)] {
        shuttle::check_random(move || model(callers, names), runs());
        shuttle::check_pct(move || model(callers, names), runs(), 3);
    }
}

#[test]
fn lookup_threads_are_bounded() {
    shuttle::check_random(|| model(12, 12), runs() / 10);
}
