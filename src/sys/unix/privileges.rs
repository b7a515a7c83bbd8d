//! Detection of set-user-id programs, as glibc's `secure_getenv` does it.

/// Returns true if the process has privileges that the user who set its environment may lack.
pub fn is_privileged() -> bool {
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
    // SAFETY: these functions take no pointer.
    unsafe {
        libc::getuid() != libc::geteuid() || libc::getgid() != libc::getegid()
    }
}
