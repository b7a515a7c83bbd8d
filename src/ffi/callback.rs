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

// SAFETY: the caller of cd_options_set_logger promises that the function may be called with it from any thread.
unsafe impl Send for UserData {}
unsafe impl Sync for UserData {}

impl UserData {
    /// A method, so that the closure captures the struct and not the raw pointer.
    fn get(&self) -> *mut c_void {
        self.0
    }
}

/// Wraps the host's log function.
///
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

/// Wraps the host's check.
///
/// # Safety
/// `check` may be called with `user_data` from any thread, as long as the returned check exists.
pub unsafe fn host_check(check: CheckFn, user_data: *mut c_void) -> HostCheck {
    HostCheck::new(run_check, [check as usize, user_data as usize])
}

fn run_check([check, user_data]: [usize; 2]) -> bool {
    registers::wipe();
    // SAFETY: only `host_check` passes this function on, with a check and its data. Its caller promises that both can be
    // used.
    unsafe { std::mem::transmute::<usize, CheckFn>(check)(user_data as *mut c_void) != 0 }
}
