//! `cd_token`: the secret that a login gives.

use std::ffi::c_char;

use crate::ffi::boundary::guarded;
use crate::secret::Secret;

/// A token: a secret of 1 to 65,536 printable ASCII characters, without a space.
///
/// Made by `cd_authenticate()` and `cd_authenticate_with()`, and must be released with `cd_token_free()`, which wipes
/// it. Immutable: any thread may read it, several at once. Send it in the request header named
/// `COUCHDROP_TOKEN_HEADER`, over https, to the service alone.
///
/// Functions: `cd_token_str()`, `cd_token_len()`, `cd_token_free()`.
pub struct cd_token {
    /// Ends in a NUL.
    text: Secret,
}

impl cd_token {
    /// `text` holds no NUL.
    pub fn new(mut text: Secret) -> cd_token {
        text.push(0);
        cd_token { text }
    }
}

/// The token's characters, ended by a NUL.
///
/// Returns a string that belongs to the token and is valid until `cd_token_free()`; NULL for NULL. A copy of it is
/// the caller's to wipe (`cd_secure_zero()`).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_token_str(token: *const cd_token) -> *const c_char {
    // SAFETY: NULL or a token that is not freed yet, by the caller's promise.
    guarded(
        |_| std::ptr::null(),
        || unsafe { token.as_ref() }.map_or(std::ptr::null(), |token| token.text.as_ptr().cast()),
    )
}

/// The token's length in bytes, its NUL not counted; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_token_len(token: *const cd_token) -> usize {
    // SAFETY: as above.
    guarded(|_| 0, || unsafe { token.as_ref() }.map_or(0, |token| token.text.len() - 1))
}

/// Wipes and releases a token. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_token_free(token: *mut cd_token) {
    if !token.is_null() {
        // SAFETY: made by Box::into_raw, and freed once by the caller's promise.
        guarded(|_| (), || drop(unsafe { Box::from_raw(token) }));
    }
}
