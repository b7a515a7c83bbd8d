//! The C boundary: panics and thread cancellation do not cross it, strings are checked, and out-parameters always hold
//! a value that may be freed.

use std::cell::Cell;
use std::ffi::{CStr, c_char};
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::atomic::{AtomicU8, Ordering};

use crate::error::{Error, ErrorKind, cd_code};
use crate::ffi::error::cd_error;
use crate::limits::MAX_STRING_BYTES;
use crate::registers;
use crate::sys::thread_cancel::CancelGuard;

thread_local! {
    /// The number of exported functions on this thread's stack: a logger may call one from within another.
    static INSIDE: Cell<u32> = const { Cell::new(0) };
    /// The place of this thread's last panic. It has no destructor, because one could not be used in an `atexit`
    /// handler or at the end of a thread.
    static PLACE: Cell<Option<Place>> = const { Cell::new(None) };
}

const _: () = assert!(!std::mem::needs_drop::<Place>());

/// A line of the source, with the end of the file's path.
#[derive(Clone, Copy)]
struct Place {
    path: [u8; 120],
    length: usize,
    line: u32,
}

impl Place {
    fn of(location: &Location) -> Place {
        let file = location.file().as_bytes();
        let mut place = Place { path: [0; 120], length: file.len().min(120), line: location.line() };
        let end = file.get(file.len() - place.length..).unwrap_or_default();
        place.path.iter_mut().zip(end).for_each(|(to, from)| *to = *from);
        place
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = self.path.get(..self.length).unwrap_or_default();
        write!(f, "{}:{}", String::from_utf8_lossy(path), self.line)
    }
}

const UNSET: u8 = 0;
const SETTING: u8 = 1;
const SET: u8 = 2;
static HOOK: AtomicU8 = AtomicU8::new(UNSET);

/// Runs the body of an exported function. If the body panics, it returns `on_panic` of the place of the panic. The
/// panic's message is dropped, since it might quote a secret. The function clears secrets from registers.
pub fn catch_panic<T>(on_panic: impl FnOnce(ErrorKind) -> T, body: impl FnOnce() -> T) -> T {
    set_hook();
    let cancel_guard = CancelGuard::new();
    INSIDE.set(INSIDE.get() + 1);
    let done = catch_unwind(AssertUnwindSafe(body));
    INSIDE.set(INSIDE.get() - 1);
    let done = done.unwrap_or_else(|payload| {
        // Dropping the payload may panic again. That payload is then leaked.
        std::mem::forget(catch_unwind(AssertUnwindSafe(|| drop(payload))));
        let place = PLACE.take().map_or_else(|| "at an unknown place".to_owned(), |place| place.to_string());
        on_panic(ErrorKind::Panic(place.into()))
    });
    drop(cancel_guard);
    registers::wipe();
    done
}

/// Installs a panic hook. On threads inside the library it records the place and prints nothing. On other threads it
/// calls the previous hook.
#[inline]
fn set_hook() {
    if HOOK.load(Ordering::Acquire) != SET {
        set_hook_once();
    }
}

#[cold]
fn set_hook_once() {
    if HOOK.compare_exchange(UNSET, SETTING, Ordering::AcqRel, Ordering::Acquire).is_ok() {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if INSIDE.get() == 0 {
                return before(panic);
            }
            PLACE.set(panic.location().map(Place::of));
        }));
        HOOK.store(SET, Ordering::Release);
    }
    // Another thread is setting the hook. A child of fork does not have that thread, so the wait is bounded.
    for _ in 0..1000 {
        if HOOK.load(Ordering::Acquire) == SET {
            return;
        }
        std::thread::yield_now();
    }
}

/// Reads a required string of the caller: NUL-terminated UTF-8 of at most 64 KiB. It may be empty.
///
/// # Safety
/// `text` is NULL or points to a NUL-terminated string that stays as it is for `'a`.
pub unsafe fn string<'a>(what: &'static str, text: *const c_char) -> Result<&'a str, ErrorKind> {
    // SAFETY: as promised by the caller.
    unsafe { optional_str(what, text) }?.ok_or(ErrorKind::NullArgument(what))
}

/// Same as [`string`], but an empty string is an error too.
///
/// # Safety
/// Same as for [`string`].
pub unsafe fn non_empty_str<'a>(what: &'static str, text: *const c_char) -> Result<&'a str, ErrorKind> {
    // SAFETY: as promised by the caller.
    match unsafe { string(what, text) }? {
        "" => Err(ErrorKind::EmptyArgument(what)),
        text => Ok(text),
    }
}

/// Same as [`string`], but NULL gives None.
///
/// # Safety
/// Same as for [`string`].
pub unsafe fn optional_str<'a>(
    what: &'static str,
    text: *const c_char,
) -> Result<Option<&'a str>, ErrorKind> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: `text` is NUL-terminated; the call reads no further than its NUL or the limit.
    let length = unsafe { libc::strnlen(text, MAX_STRING_BYTES + 1) };
    if length > MAX_STRING_BYTES {
        return Err(ErrorKind::OutOfRange { what, why: "must not be longer than 65536 bytes".into() });
    }
    // SAFETY: as promised by the caller.
    let bytes = unsafe { optional_bytes(text) }.unwrap_or_default();
    std::str::from_utf8(bytes).map(Some).map_err(|_| ErrorKind::InvalidUtf8(what))
}

/// The caller's bytes up to a NUL, of any length; None for NULL.
///
/// # Safety
/// Same as for [`string`].
pub unsafe fn optional_bytes<'a>(text: *const c_char) -> Option<&'a [u8]> {
    // SAFETY: as promised by the caller.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_bytes())
}

/// Sets an out-parameter to NULL. Every function does this first.
///
/// # Safety
/// `out` is NULL or may be written to.
pub unsafe fn clear<T>(out: *mut *mut T) {
    if !out.is_null() {
        // SAFETY: as promised by the caller.
        unsafe { out.write(std::ptr::null_mut()) };
    }
}

/// Stores a new object in an out-parameter; the caller owns it.
///
/// # Safety
/// Same as for [`clear`].
pub unsafe fn write_out<T>(out: *mut *mut T, object: T) {
    if !out.is_null() {
        // SAFETY: as promised by the caller.
        unsafe { out.write(Box::into_raw(Box::new(object))) };
    }
}

/// The body of every function that returns a code: clears `error`, runs `body`, and stores an error object on
/// failure.
///
/// # Safety
/// `error` is NULL or may be written to.
pub unsafe fn ffi_try(error: *mut *mut cd_error, body: impl FnOnce() -> Result<(), Error>) -> cd_code {
    // SAFETY: as promised by the caller.
    unsafe { clear(error) };
    let failed = match catch_panic(|panic| Err(panic.into()), body) {
        Ok(()) => return cd_code::CD_OK,
        Err(failed) => failed,
    };
    let code = failed.kind.code();
    // Guarded too, because building the message may panic.
    catch_panic(
        |_| (),
        // SAFETY: as promised by the caller.
        || unsafe { write_out(error, cd_error::from(failed)) },
    );
    code
}
