//! `cd_token`: the secret that a login returns.

use std::ffi::c_char;

use crate::ffi::boundary::catch_panic;
use crate::secret::Secret;

/// A token: a secret of 1 to 65,536 printable ASCII characters, without a space.
///
/// Made by `cd_authenticate()` and `cd_authenticate_with()`. It must be released with `cd_token_free()`, which wipes
/// it. Immutable: any thread may read it, several at the same time. Send it only to the service, over https, in the
/// request header named `COUCHDROP_TOKEN_HEADER`.
///
/// Functions: `cd_token_str()`, `cd_token_len()`, `cd_token_free()`.
pub struct cd_token {
    /// Ends with a NUL.
    text: Secret,
}

impl cd_token {
    /// `text` must not contain a NUL.
    pub fn new(mut text: Secret) -> cd_token {
        text.push(0);
        cd_token { text }
    }
}

/// The token's characters, followed by a NUL.
///
/// Returns a string that belongs to the token and is valid until `cd_token_free()`; NULL for NULL. The caller is
/// responsible for wiping copies of it (`cd_secure_zero()`).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_token_str(token: *const cd_token) -> *const c_char {
    // SAFETY: NULL or a token that is not freed yet, by the caller's promise.
    catch_panic(
        |_| std::ptr::null(),
        || unsafe { token.as_ref() }.map_or(std::ptr::null(), |token| token.text.as_ptr().cast()),
    )
}

/// The token's length in bytes, without the NUL; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_token_len(token: *const cd_token) -> usize {
    // SAFETY: as above.
    catch_panic(|_| 0, || unsafe { token.as_ref() }.map_or(0, |token| token.text.len() - 1))
}

/// Wipes and releases a token. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cd_token_free(token: *mut cd_token) {
    if !token.is_null() {
        // SAFETY: made by Box::into_raw, and freed once by the caller's promise.
        catch_panic(|_| (), || drop(unsafe { Box::from_raw(token) }));
    }
}
