//! The variables of the environment that this library reads, once, when options freeze; in a set-user-id process none.

use std::ffi::OsString;

/// A variable that is set and not empty, with the name that it was found under.
pub struct Variable {
    pub name: &'static str,
    pub value: OsString,
}

/// The first of `names` that is set; empty means unset.
pub fn first(names: &[&'static str]) -> Option<Variable> {
    if is_privileged() {
        return None;
    }
    names.iter().find_map(|name| {
        let value = std::env::var_os(name).filter(|value| !value.is_empty())?;
        Some(Variable { name, value })
    })
}

/// Whether this process has rights that whoever set its environment lacks.
fn is_privileged() -> bool {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    // SAFETY: takes no pointer.
    return unsafe { libc::getauxval(libc::AT_SECURE) } != 0;
    #[cfg(any(
        target_os = "macos",
        target_os = "ios",
        target_os = "freebsd",
        target_os = "openbsd",
        target_os = "netbsd"
    ))]
    // SAFETY: takes no pointer.
    return unsafe { libc::issetugid() } != 0;
    #[allow(unreachable_code)]
    // SAFETY: take no pointer.
    unsafe {
        libc::getuid() != libc::geteuid() || libc::getgid() != libc::getegid()
    }
}
