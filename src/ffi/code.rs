//! Functions about codes.

use std::ffi::c_char;

use crate::error;
use crate::ffi::boundary::catch_panic;

/// The name of a code, for instance `"CD_ERR_TIMEOUT"`.
///
/// Any integer is accepted; a code that this version does not know gives `"CD_ERR_UNKNOWN"`.
///
/// Returns a static string, never NULL, that must not be freed. Any thread may call it.
#[unsafe(no_mangle)]
pub extern "C" fn cd_code_name(code: i32) -> *const c_char {
    catch_panic(|_| c"CD_ERR_PANIC", || error::code_name(code)).as_ptr()
}

/// One English sentence about a code.
///
/// Any integer is accepted; a code that this version does not know gives a sentence that says so.
///
/// Returns a static string, never NULL, that must not be freed. Any thread may call it.
#[unsafe(no_mangle)]
pub extern "C" fn cd_code_message(code: i32) -> *const c_char {
    catch_panic(|_| c"", || error::code_sentence(code)).as_ptr()
}

/// Returns 1 if the same call may succeed later without any change, else 0.
///
/// The library has already made the retries that are allowed (see `cd_options_set_max_retries()`), so wait before you
/// call again. Any integer is accepted; a code that this version does not know gives 0. Any thread may call it.
#[unsafe(no_mangle)]
pub extern "C" fn cd_code_is_retryable(code: i32) -> i32 {
    catch_panic(|_| 0, || error::code_is_retryable(code).into())
}
