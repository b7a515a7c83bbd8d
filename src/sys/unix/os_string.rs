//! Strings of the operating system.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

/// The value of an environment variable as the host passed it.
pub fn from_bytes(bytes: &[u8]) -> OsString {
    OsString::from_vec(bytes.to_vec())
}
