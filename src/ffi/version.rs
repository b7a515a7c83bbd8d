//! The library's version, and one helper for callers' own copies of secrets.

use std::ffi::{CStr, c_char, c_void};

use crate::ffi::boundary::catch_panic;
use crate::secret;

const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => panic!("a version holds no NUL"),
};

const fn number(text: &str) -> u32 {
    let (bytes, mut at, mut value) = (text.as_bytes(), 0, 0);
    while at < bytes.len() {
        value = value * 10 + (bytes[at] - b'0') as u32;
        at += 1;
    }
    value
}

const VERSION_NUMBER: u32 = number(env!("CARGO_PKG_VERSION_MAJOR")) * 1_000_000
    + number(env!("CARGO_PKG_VERSION_MINOR")) * 1_000
    + number(env!("CARGO_PKG_VERSION_PATCH"));

/// The version of the loaded library, for example `"1.0.0"`. `COUCHDROP_VERSION` is the version of the header. Returns
/// a static string that must not be freed. Any thread may call it.
#[unsafe(no_mangle)]
pub extern "C" fn cd_version() -> *const c_char {
    VERSION.as_ptr()
}

/// The version as an increasing number: major * 1000000 + minor * 1000 + patch. Any thread may call it.
#[unsafe(no_mangle)]
pub extern "C" fn cd_version_number() -> u32 {
    VERSION_NUMBER
}

/// The version of the ABI: 1. While it is the same, nothing is removed, renumbered or changed in meaning. Any thread
/// may call it.
#[unsafe(no_mangle)]
pub extern "C" fn cd_abi_version() -> u32 {
    1
}

/// Overwrites `length` bytes at `buffer` with zeros in a way that no compiler optimizes away. For a caller's own copies
/// of a password or a token. NULL is allowed. Any thread may call it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_secure_zero(buffer: *mut c_void, length: usize) {
    if !buffer.is_null() && length > 0 {
        // SAFETY: `length` bytes at `buffer` belong to the caller, by the caller's promise.
        catch_panic(
            |_| (),
            || secret::wipe(unsafe { std::slice::from_raw_parts_mut(buffer.cast(), length) }),
        );
    }
}
