//! The C library, with a `poll` that waits in the model checker. The checker chooses which thread wakes, and when.
//!
//! Descriptors are real. An endless wait that is never woken is reported as a deadlock by the checker, so no time
//! passes in it.

pub use real::*;

use shuttle::sync::{Condvar, Mutex};

shuttle::lazy_static! {
    /// Notified after each write.
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

/// A thread of the model checker.
///
/// # Safety
/// `argument` is valid for `run`.
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

/// The system call with which `Wake` writes.
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
