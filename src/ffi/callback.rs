//! Functions of the host that the library calls.

use std::ffi::{CStr, c_char, c_void};
use std::sync::Arc;

use crate::context::HostCheck;
use crate::logger::{Level, Logger};
use crate::registers;

pub type LogFn = unsafe extern "C" fn(user_data: *mut c_void, level: i32, message: *const c_char);
pub type CheckFn = unsafe extern "C" fn(user_data: *mut c_void) -> i32;

/// The host's pointer, which is only passed back to it.
#[derive(Clone, Copy)]
struct UserData(*mut c_void);

// SAFETY: the callers of cd_options_set_logger and cd_cancel_set_check promise that their functions may be called with it
// from any thread.
unsafe impl Send for UserData {}
unsafe impl Sync for UserData {}

impl UserData {
    fn get(&self) -> *mut c_void {
        self.0
    }
}

/// # Safety
/// `log` may be called with `user_data` from any thread, as long as the logger exists.
pub unsafe fn logger(log: LogFn, user_data: *mut c_void, max_level: i32) -> Logger {
    let user_data = UserData(user_data);
    Logger::new(
        max_level,
        Arc::new(move |level: Level, message: &CStr| {
            registers::wipe();
            // SAFETY: as promised by the caller.
            unsafe { log(user_data.get(), level as i32, message.as_ptr()) };
        }),
    )
}

/// # Safety
/// `check` may be called with `user_data` from any thread, as long as the returned check exists.
pub unsafe fn host_check(check: CheckFn, user_data: *mut c_void) -> HostCheck {
    let user_data = UserData(user_data);
    Arc::new(move || {
        registers::wipe();
        // SAFETY: as promised by the caller.
        unsafe { check(user_data.get()) != 0 }
    })
}
