//! Protection from `pthread_cancel`, which cannot unwind a Rust frame.

/// Disables `pthread_cancel` on this thread while it exists.
pub struct CancelGuard {
    previous: libc::c_int,
}

unsafe extern "C" {
    fn pthread_setcancelstate(state: libc::c_int, previous: *mut libc::c_int) -> libc::c_int;
}

#[cfg(any(target_os = "macos", target_os = "ios"))]
const PTHREAD_CANCEL_DISABLE: libc::c_int = 0;
#[cfg(not(any(target_os = "macos", target_os = "ios")))]
const PTHREAD_CANCEL_DISABLE: libc::c_int = 1;

impl CancelGuard {
    #[inline]
    pub fn new() -> CancelGuard {
        let mut previous = PTHREAD_CANCEL_DISABLE;
        // SAFETY: `pthread_setcancelstate` writes only to `previous`.
        unsafe { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &mut previous) };
        CancelGuard { previous }
    }
}

impl Default for CancelGuard {
    fn default() -> CancelGuard {
        CancelGuard::new()
    }
}

impl Drop for CancelGuard {
    fn drop(&mut self) {
        let mut disabled = 0;
        // SAFETY: `pthread_setcancelstate` writes only to `disabled`.
        unsafe { pthread_setcancelstate(self.previous, &mut disabled) };
    }
}
