//! Sessions as a C caller uses them.

use std::ffi::{CStr, c_char};
use std::ptr;

use couchdrop::ffi::session::{
    cd_session, cd_session_free, cd_session_new, cd_session_peek, cd_session_set_max_age_seconds,
    cd_session_set_min_age_seconds, cd_session_token,
};
use couchdrop::ffi::token::cd_token;

use super::{Cancel, Error, Options, Token, c, call, garbage};

/// A session that is freed when dropped, and then its options.
pub struct Session {
    pub raw: *mut cd_session,
    pub options: Options,
}

// The contract allows any number of threads to use one session.
unsafe impl Send for Session {}
unsafe impl Sync for Session {}

impl Drop for Session {
    fn drop(&mut self) {
        unsafe { cd_session_free(self.raw) };
    }
}

/// The arguments of a request for a token.
#[derive(Clone, Copy, Default)]
pub struct Wanted<'a> {
    pub cancel: Option<&'a Cancel>,
    pub timeout_ms: u32,
    pub rejected: Option<&'a str>,
}

/// Calls `cd_session_new()`.
pub fn new_session(
    options: &Options,
    username: *const c_char,
    password: *const c_char,
) -> Result<*mut cd_session, Error> {
    let mut raw = garbage();
    let done = call(|error| unsafe {
        cd_session_new(options.raw(), username, password, ptr::null(), &mut raw, error)
    });
    assert_eq!(raw.is_null(), done.is_err(), "a session if and only if there is no error");
    done.map(|()| raw)
}

impl Session {
    pub fn new(options: Options) -> Session {
        let raw = new_session(&options, c"ada@example.com".as_ptr(), c"correct horse".as_ptr()).unwrap();
        Session { raw, options }
    }

    pub fn request(&self, request: Wanted) -> Result<Token, Error> {
        let rejected = request.rejected.map(c);
        let rejected = rejected.as_deref().map_or(ptr::null(), CStr::as_ptr);
        let cancel = request.cancel.map_or(ptr::null(), |cancel| cancel.raw.cast_const());
        let mut raw = garbage::<cd_token>();
        let done = call(|error| unsafe {
            cd_session_token(self.raw, cancel, request.timeout_ms, rejected, &mut raw, error)
        });
        assert_eq!(raw.is_null(), done.is_err(), "a token if and only if there is no error");
        done.map(|()| Token { raw })
    }

    pub fn token(&self) -> Result<String, Error> {
        self.request(Wanted::default()).map(|token| token.text())
    }

    pub fn renew(&self, rejected: &str) -> Result<String, Error> {
        self.request(Wanted { rejected: Some(rejected), ..Wanted::default() }).map(|token| token.text())
    }

    pub fn within(&self, timeout_ms: u32) -> Result<String, Error> {
        self.request(Wanted { timeout_ms, ..Wanted::default() }).map(|token| token.text())
    }

    pub fn peek(&self) -> Option<String> {
        let mut raw = garbage::<cd_token>();
        call(|error| unsafe { cd_session_peek(self.raw, &mut raw, error) }).unwrap();
        (!raw.is_null()).then(|| Token { raw }.text())
    }

    pub fn max_age(self, seconds: u32) -> Session {
        call(|error| unsafe { cd_session_set_max_age_seconds(self.raw, seconds, error) }).unwrap();
        self
    }

    pub fn min_age(self, seconds: u32) -> Session {
        call(|error| unsafe { cd_session_set_min_age_seconds(self.raw, seconds, error) }).unwrap();
        self
    }
}
