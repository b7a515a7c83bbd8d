//! Detached helper threads.

use std::ffi::{CStr, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The C library's resolver needs this stack, and musl's default of 128 KiB may be too small.
const STACK_SIZE: usize = 1 << 20;

/// The name of a thread and the work that it does.
struct Start<F> {
    name: &'static CStr,
    work: F,
}

/// A thread of the model checker.
#[cfg(shuttle)]
pub fn spawn_detached<F: FnOnce() + Send + 'static>(_name: &'static CStr, work: F) -> io::Result<()> {
    drop(shuttle::thread::spawn(work));
    Ok(())
}

/// Runs `work` on a detached thread, which blocks all signals: they belong to the host. A panic ends the thread. The
/// name has at most 15 bytes.
///
/// Uses pthread_create: std's spawn needs thread-local state of the calling thread, which is gone in an `atexit`
/// handler and at the end of a thread.
#[cfg(not(shuttle))]
pub fn spawn_detached<F: FnOnce() + Send + 'static>(name: &'static CStr, work: F) -> io::Result<()> {
    let argument = Box::into_raw(Box::new(Start { name, work })).cast::<c_void>();
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
            libc::pthread_attr_setstacksize(attributes, stack_size(attributes));
            let mut thread = MaybeUninit::uninit();
            failed = libc::pthread_create(thread.as_mut_ptr(), attributes, run::<F>, argument);
            libc::pthread_attr_destroy(attributes);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut());
        if failed != 0 {
            drop(Box::from_raw(argument.cast::<Start<F>>()));
            return Err(io::Error::from_raw_os_error(failed));
        }
    }
    Ok(())
}

/// The size to ask for. glibc subtracts the static thread-local storage of all modules from it, which can be larger than
/// the resolver's own stack.
///
/// # Safety
/// `attributes` is initialised.
unsafe fn stack_size(attributes: *const libc::pthread_attr_t) -> usize {
    type MinStack = unsafe extern "C" fn(*const libc::pthread_attr_t) -> libc::size_t;
    // SAFETY: glibc's function of that name has this type. Other C libraries don't have it, and account for the storage
    // themselves.
    unsafe {
        let found = libc::dlsym(libc::RTLD_DEFAULT, c"__pthread_get_minstack".as_ptr());
        let static_storage =
            if found.is_null() { 0 } else { std::mem::transmute::<*mut c_void, MinStack>(found)(attributes) };
        (STACK_SIZE + static_storage).next_multiple_of(STACK_SIZE / 16) // a multiple of the page size
    }
}

extern "C" fn run<F: FnOnce()>(argument: *mut c_void) -> *mut c_void {
    // SAFETY: `spawn_detached` made it, and passed it only to this thread.
    let start = unsafe { Box::from_raw(argument.cast::<Start<F>>()) };
    #[cfg(any(target_os = "linux", target_os = "android"))]
    // SAFETY: the arguments are this thread and a string of less than 16 bytes.
    unsafe {
        libc::pthread_setname_np(libc::pthread_self(), start.name.as_ptr());
    }
    // A panic must not unwind into the C library.
    let _ = catch_unwind(AssertUnwindSafe(start.work));
    std::ptr::null_mut()
}
