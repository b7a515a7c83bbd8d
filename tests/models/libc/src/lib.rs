//! The C library, with a `poll` that waits in the model checker: who is woken, and when, is for that to choose.
//!
//! Descriptors are the real ones. A wait without an end that comes from within is one that nobody wakes, which the
//! checker calls a deadlock; so no time passes in it.

pub use real::*;

use shuttle::sync::{Condvar, Mutex};

shuttle::lazy_static! {
    /// Something was written.
    static ref WRITTEN: (Mutex<()>, Condvar) = (Mutex::new(()), Condvar::new());
}

/// # Safety
/// As the real one.
pub unsafe fn poll(polls: *mut pollfd, count: nfds_t, _ms: c_int) -> c_int {
    let mut held = WRITTEN.0.lock().unwrap();
    loop {
        let ready = unsafe { real::poll(polls, count, 0) };
        if ready != 0 {
            return ready;
        }
        held = WRITTEN.1.wait(held).unwrap();
    }
}

/// A thread of the model checker's.
///
/// # Safety
/// `argument` is what `run` takes.
pub unsafe fn pthread_create(
    _thread: *mut pthread_t,
    _attributes: *const pthread_attr_t,
    run: extern "C" fn(*mut c_void) -> *mut c_void,
    argument: *mut c_void,
) -> c_int {
    let argument = argument as usize;
    drop(shuttle::thread::spawn(move || {
        run(argument as *mut c_void);
    }));
    0
}

/// What `Wake` writes with.
///
/// # Safety
/// As the real one.
pub unsafe fn syscall<T>(number: c_long, descriptor: c_int, from: *const T, length: usize) -> c_long {
    assert_eq!(number, SYS_write);
    let done = unsafe { real::syscall(number, descriptor, from, length) };
    drop(WRITTEN.0.lock().unwrap());
    WRITTEN.1.notify_all();
    done
}
