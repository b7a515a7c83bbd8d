//! `cd_cancel`: stopping a login from another thread or a signal handler.

use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::cancel::{Cancel, SharedCancel};
use crate::context::HostCheck;
use crate::ffi::boundary::catch_panic;
use crate::ffi::callback::{self, CheckFn};

/// Lets another thread, or a signal handler, stop a login.
///
/// Made by `cd_cancel_new()`. It must be released with `cd_cancel_free()` when no call, trigger or handler can use it
/// any more. One handle may serve many calls, at the same time or one after another. A trigger is permanent and can't
/// be reset: with a triggered handle a call returns `CD_ERR_CANCELLED` and sends nothing.
///
/// Functions: `cd_cancel_new()`, `cd_cancel_trigger()`, `cd_cancel_is_triggered()`, `cd_cancel_set_check()`,
/// `cd_cancel_free()`.
pub struct cd_cancel {
    shared: SharedCancel,
    /// A [`CheckFn`], or NULL. Atomic, since a trigger may run concurrently with the setter.
    check: AtomicPtr<()>,
    user_data: AtomicPtr<c_void>,
}

/// A function that the library calls on the calling thread, with no lock held. It is called whenever a signal
/// interrupts the wait of a call, and at least every 50 ms of the wait. It returns 0 to continue. Any other value stops
/// that call only, which then returns `CD_ERR_CANCELLED`.
///
/// For hosts that must run their own signal handlers while a login waits. The function must return normally (no
/// exception, `longjmp` or exit), and must not fork.
pub type cd_check_fn = Option<unsafe extern "C" fn(user_data: *mut c_void) -> i32>;

/// The part of a handle that a call keeps alive, and its check; None for NULL.
///
/// # Safety
/// `cancel` is NULL or a handle that is not freed yet.
pub unsafe fn parts(cancel: *const cd_cancel) -> (Option<SharedCancel>, Option<HostCheck>) {
    // SAFETY: as promised by the caller.
    let Some(cancel) = (unsafe { cancel.as_ref() }) else { return (None, None) };
    let check = cancel.check.load(Ordering::Acquire);
    let check = (!check.is_null()).then(|| {
        let user_data = cancel.user_data.load(Ordering::Acquire);
        // SAFETY: `cd_cancel_set_check` stored a function of this type. Its caller promises that both can be used during
        // each call.
        unsafe { callback::host_check(std::mem::transmute::<*mut (), CheckFn>(check), user_data) }
    });
    (Some(Arc::clone(&cancel.shared)), check)
}

/// Makes a cancel handle. This opens no descriptor: the first call that waits on the handle does.
///
/// Never returns NULL. Release it with `cd_cancel_free()`. Any thread may call it.
#[must_use]
#[unsafe(no_mangle)]
pub extern "C" fn cd_cancel_new() -> *mut cd_cancel {
    // This only allocates, and Rust aborts if that fails.
    Box::into_raw(Box::new(cd_cancel {
        shared: Arc::new(Cancel::default()),
        check: AtomicPtr::new(ptr::null_mut()),
        user_data: AtomicPtr::new(ptr::null_mut()),
    }))
}

/// Stops the calls that use this handle, now and later. Each returns `CD_ERR_CANCELLED` within 50 ms, in every phase.
///
/// Async-signal-safe, keeps `errno`, and may be called from any thread, more than once. In a child of `fork` it does
/// not stop the parent's calls. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_cancel_trigger(cancel: *mut cd_cancel) {
    // Without `catch_panic`: it may run in a signal handler. It contains no panic and no cancellation point.
    // SAFETY: NULL or a handle that is not freed yet, by the caller's promise.
    if let Some(cancel) = unsafe { cancel.as_ref() } {
        cancel.shared.trigger();
    }
}

/// Returns 1 if the handle was triggered, else 0; 0 for NULL. Any thread may call it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_cancel_is_triggered(cancel: *const cd_cancel) -> i32 {
    // SAFETY: as above.
    unsafe { cancel.as_ref() }.is_some_and(|cancel| cancel.shared.is_triggered()).into()
}

/// Sets the function that the library calls while a call with this handle waits (see `cd_check_fn`); NULL = none.
///
/// Set it before the first call that uses the handle: while a call uses the handle, this function has no effect. The
/// library passes `user_data` to the check and does not use it otherwise. NULL for `cancel` is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_cancel_set_check(
    cancel: *mut cd_cancel,
    check: cd_check_fn,
    user_data: *mut c_void,
) {
    catch_panic(
        |_| (),
        || {
            // SAFETY: NULL or a handle that is not freed yet, by the caller's promise.
            let cancel = unsafe { cancel.as_ref() };
            // A call that uses the handle owns a reference too: nothing changes then.
            if let Some(cancel) = cancel.filter(|cancel| Arc::strong_count(&cancel.shared) == 1) {
                cancel.user_data.store(user_data, Ordering::Release);
                cancel
                    .check
                    .store(check.map_or(ptr::null_mut(), |check| check as *mut ()), Ordering::Release);
            }
        },
    )
}

/// Releases a cancel handle, when no call, trigger or handler can use it any more. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_cancel_free(cancel: *mut cd_cancel) {
    if !cancel.is_null() {
        // SAFETY: made by Box::into_raw, and freed once by the caller's promise.
        catch_panic(|_| (), || drop(unsafe { Box::from_raw(cancel) }));
    }
}
