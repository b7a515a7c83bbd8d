//! The header's promises for arguments, results and objects, tested through the C ABI.

mod common;

use std::collections::BTreeSet;
use std::ffi::c_char;
use std::fs;
use std::path::PathBuf;
use std::ptr;
use std::sync::Arc;
use std::thread;

use couchdrop::error::cd_code::{self, *};
use couchdrop::ffi::auth::{cd_authenticate, cd_authenticate_with, cd_connect};
use couchdrop::ffi::cancel::*;
use couchdrop::ffi::error::*;
use couchdrop::ffi::options::*;
use couchdrop::ffi::session::{
    cd_session_free, cd_session_new, cd_session_peek, cd_session_set_max_age_seconds,
    cd_session_set_min_age_seconds, cd_session_token,
};
use couchdrop::ffi::token::*;
use couchdrop::ffi::version::cd_secure_zero;
use fake_server::{FakeServer, PASSWORD};

use common::log::Log;
use common::session::Session;
use common::{Cancel, Error, Login, Options, PATIENCE, Token, c, call, code, garbage, timed_out_after};
use fault_server::{FaultServer, Refusing, reply};

const ADA: &str = "ada@example.com";
const MAX_STRING_BYTES: usize = 64 << 10;
const MAX_MS: u32 = 3_600_000;

/// Checks that the fake server has seen nothing yet: after one login over each of its servers it has two requests.
fn assert_untouched(fake_server: &FakeServer) {
    assert!(fake_server.requests().is_empty());
    for options in [Options::to(fake_server.http_url()), Options::secure(fake_server)] {
        options.login(ADA, PASSWORD).unwrap();
    }
    // Connections are accepted in order, so an earlier one would have been counted by now.
    assert_eq!(fake_server.requests().len(), 2);
    let connections = fake_server.connections();
    assert_eq!((connections.http.accepted, connections.https.accepted), (1, 1));
}

// ---- string arguments

/// A string argument of a function.
struct Argument {
    function: &'static str,
    /// The name of the argument in messages.
    name: &'static str,
    pass: fn(&Options, *const c_char) -> Result<(), Error>,
    of_null: cd_code,
    of_empty: cd_code,
}

/// All string arguments. The options lead to a fake server, so a login succeeds if the other arguments are good.
const ARGUMENTS: &[Argument] = &[
    Argument {
        function: "cd_authenticate",
        name: "username",
        pass: |_, value| plain_login(value, c(PASSWORD).as_ptr()),
        of_null: CD_ERR_NULL_ARGUMENT,
        of_empty: CD_ERR_EMPTY_ARGUMENT,
    },
    Argument {
        function: "cd_authenticate",
        name: "password",
        pass: |_, value| plain_login(c(ADA).as_ptr(), value),
        of_null: CD_ERR_NULL_ARGUMENT,
        of_empty: CD_ERR_EMPTY_ARGUMENT,
    },
    Argument {
        function: "cd_authenticate_with",
        name: "username",
        pass: |options, value| login(options, value, c(PASSWORD).as_ptr(), ptr::null()),
        of_null: CD_ERR_NULL_ARGUMENT,
        of_empty: CD_ERR_EMPTY_ARGUMENT,
    },
    Argument {
        function: "cd_authenticate_with",
        name: "password",
        pass: |options, value| login(options, c(ADA).as_ptr(), value, ptr::null()),
        of_null: CD_ERR_NULL_ARGUMENT,
        of_empty: CD_ERR_EMPTY_ARGUMENT,
    },
    Argument {
        function: "cd_authenticate_with",
        name: "system",
        pass: |options, value| login(options, c(ADA).as_ptr(), c(PASSWORD).as_ptr(), value),
        of_null: CD_OK,
        of_empty: CD_OK,
    },
    Argument {
        function: "cd_options_set_base_url",
        name: "The base URL",
        pass: |options, value| set(options, cd_options_set_base_url, value),
        of_null: CD_ERR_NULL_ARGUMENT,
        of_empty: CD_ERR_EMPTY_ARGUMENT,
    },
    Argument {
        function: "cd_options_set_proxy",
        name: "The proxy URL",
        pass: |options, value| set(options, cd_options_set_proxy, value),
        of_null: CD_OK,
        of_empty: CD_ERR_EMPTY_ARGUMENT,
    },
    Argument {
        function: "cd_options_set_ca_file",
        name: "The path of the CA file",
        pass: |options, value| set(options, cd_options_set_ca_file, value),
        of_null: CD_ERR_NULL_ARGUMENT,
        of_empty: CD_ERR_EMPTY_ARGUMENT,
    },
    Argument {
        function: "cd_options_set_user_agent",
        name: "The user agent",
        pass: |options, value| set(options, cd_options_set_user_agent, value),
        of_null: CD_ERR_NULL_ARGUMENT,
        of_empty: CD_ERR_EMPTY_ARGUMENT,
    },
    Argument {
        function: "cd_options_set_environment",
        name: "The name of the environment variable",
        pass: |options, value| {
            call(|error| unsafe { cd_options_set_environment(options.raw(), value, c"".as_ptr(), error) })
        },
        of_null: CD_ERR_NULL_ARGUMENT,
        of_empty: CD_ERR_EMPTY_ARGUMENT,
    },
];

fn plain_login(username: *const c_char, password: *const c_char) -> Result<(), Error> {
    let mut token = garbage();
    let done = call(|error| unsafe { cd_authenticate(username, password, ptr::null(), &mut token, error) });
    assert!(token.is_null(), "the real service is never contacted here");
    done
}

fn login(
    options: &Options,
    username: *const c_char,
    password: *const c_char,
    system: *const c_char,
) -> Result<(), Error> {
    let mut token = garbage();
    let done = call(|error| unsafe {
        cd_authenticate_with(options.raw(), ptr::null(), 0, username, password, system, &mut token, error)
    });
    assert_eq!(token.is_null(), done.is_err());
    unsafe { cd_token_free(token) };
    done
}

fn set(
    options: &Options,
    setter: unsafe extern "C" fn(*mut cd_options, *const c_char, *mut *mut cd_error) -> cd_code,
    value: *const c_char,
) -> Result<(), Error> {
    call(|error| unsafe { setter(options.raw(), value, error) })
}

/// A string must not be NULL, not invalid UTF-8 and not too long.
#[test]
fn string_arguments_are_checked() {
    let fake_server = FakeServer::start();
    let too_long = "x".repeat(MAX_STRING_BYTES + 1);
    let refused: &[(&[u8], cd_code)] = &[
        (b"\xff", CD_ERR_INVALID_UTF8),
        (b"cut \xc3", CD_ERR_INVALID_UTF8),
        (b"overlong \xc0\xaf", CD_ERR_INVALID_UTF8),
        (b"surrogate \xed\xa0\x80", CD_ERR_INVALID_UTF8),
        (b"above \xf4\x90\x80\x80", CD_ERR_INVALID_UTF8),
        (too_long.as_bytes(), CD_ERR_OUT_OF_RANGE),
    ];
    for Argument { function, name, pass, of_null, of_empty } in ARGUMENTS {
        let options = Options::to(fake_server.http_url());
        let mut results: Vec<_> =
            refused.iter().map(|(value, expected)| (pass(&options, c(*value).as_ptr()), *expected)).collect();
        if *of_null != CD_OK {
            results.push((pass(&options, ptr::null()), *of_null));
        }
        if *of_empty != CD_OK {
            results.push((pass(&options, c"".as_ptr()), *of_empty));
        }
        for (result, expected) in results {
            let error = result.expect_err(function);
            assert_eq!(error.code, expected, "{function}: {name}");
            assert!(error.message.starts_with(name), "{function}: {}", error.message);
        }
    }
    assert_untouched(&fake_server);
}

#[test]
fn optional_arguments_accept_null() {
    let fake_server = FakeServer::start();
    for argument in ARGUMENTS.iter().filter(|argument| argument.of_null == CD_OK) {
        (argument.pass)(&Options::to(fake_server.http_url()), ptr::null()).expect(argument.function);
    }
}

#[test]
fn empty_system_is_omitted() {
    let fake_server = FakeServer::start();
    let options = Options::to(fake_server.http_url());
    for (system, expected) in [(None, None), (Some(""), None), (Some("nightly job"), Some("nightly job"))] {
        Login { system, ..Login::of(&options) }.run().unwrap();
        let request = fake_server.requests().pop().unwrap();
        assert_eq!(request.system.as_deref(), expected);
        assert_eq!(String::from_utf8(request.body).unwrap().contains("system"), expected.is_some());
    }
}

#[test]
fn string_of_64_kib_is_accepted() {
    let fake_server = FakeServer::start();
    let longest = "x".repeat(MAX_STRING_BYTES);
    let padded = |start: &str, end: &str| {
        format!("{start}{}{end}", "x".repeat(MAX_STRING_BYTES - start.len() - end.len()))
    };
    for (name, value, expected) in [
        ("username", longest.clone(), CD_ERR_ACCESS_DENIED),
        ("password", longest.clone(), CD_ERR_ACCESS_DENIED),
        ("system", longest.clone(), CD_OK),
        ("The base URL", padded("https://localhost/", ""), CD_OK),
        ("The path of the CA file", longest.clone(), CD_ERR_CA_FILE),
        ("The user agent", longest.clone(), CD_OK),
    ] {
        let argument =
            ARGUMENTS.iter().rfind(|argument| argument.name == name).expect("one of the arguments");
        let passed = (argument.pass)(&Options::to(fake_server.http_url()), c(value).as_ptr());
        assert_eq!(code(passed), expected, "{name}");
    }
    Options::new().set_proxy(Some(&padded("http://user:", "@proxy.example"))).unwrap();

    let requests = fake_server.requests();
    assert_eq!(requests.len(), 3);
    assert_eq!(requests[0].username.as_deref(), Some(longest.as_str()));
    assert!(String::from_utf8_lossy(&requests[1].body).contains(&longest));
    assert_eq!(requests[2].system.as_deref(), Some(longest.as_str()));
}

// ---- pointer arguments

#[test]
fn null_pointers_are_handled() {
    let fake_server = FakeServer::start();
    let options = Options::to(fake_server.http_url());
    let triggered = Cancel::new();
    triggered.trigger();
    let mut covered: BTreeSet<&str> = ARGUMENTS.iter().map(|argument| argument.function).collect();

    // `error` is the last argument of every function that can fail: with NULL there the code is the same.
    let (ada, password) = (c(ADA), c(PASSWORD));
    let (ada, password) = (ada.as_ptr(), password.as_ptr());
    let none = ptr::null();
    let mut token = garbage();
    let out: *mut *mut cd_token = &mut token;
    let session = Session::new(Options::to(fake_server.http_url()));
    type Call<'a> = Box<dyn Fn(*mut *mut cd_error) -> cd_code + 'a>;
    let calls: Vec<(&str, &str, cd_code, Call)> = unsafe {
        vec![
            (
                "cd_authenticate",
                "token",
                CD_ERR_NULL_ARGUMENT,
                Box::new(|error| cd_authenticate(ada, password, none, ptr::null_mut(), error)),
            ),
            (
                "cd_authenticate",
                "username",
                CD_ERR_NULL_ARGUMENT,
                Box::new(|error| cd_authenticate(none, password, none, out, error)),
            ),
            (
                "cd_authenticate_with",
                "token",
                CD_ERR_NULL_ARGUMENT,
                Box::new(|error| {
                    let no_token = ptr::null_mut();
                    cd_authenticate_with(options.raw(), ptr::null(), 0, ada, password, none, no_token, error)
                }),
            ),
            // The default options with a triggered handle, so nothing is sent.
            (
                "cd_authenticate_with",
                "",
                CD_ERR_CANCELLED,
                Box::new(|error| {
                    cd_authenticate_with(ptr::null(), triggered.raw, 0, ada, password, none, out, error)
                }),
            ),
            (
                "cd_connect",
                "",
                CD_ERR_CANCELLED,
                Box::new(|error| cd_connect(ptr::null(), triggered.raw, 0, error)),
            ),
            (
                "cd_options_set_base_url",
                "options",
                CD_ERR_NULL_ARGUMENT,
                Box::new(|error| {
                    cd_options_set_base_url(ptr::null_mut(), c"https://x.example".as_ptr(), error)
                }),
            ),
            (
                "cd_options_set_body_format",
                "options",
                CD_ERR_NULL_ARGUMENT,
                Box::new(|error| cd_options_set_body_format(ptr::null_mut(), 0, error)),
            ),
            (
                "cd_options_set_timeout_ms",
                "options",
                CD_ERR_NULL_ARGUMENT,
                Box::new(|error| cd_options_set_timeout_ms(ptr::null_mut(), 1, error)),
            ),
            (
                "cd_options_set_connect_timeout_ms",
                "options",
                CD_ERR_NULL_ARGUMENT,
                Box::new(|error| cd_options_set_connect_timeout_ms(ptr::null_mut(), 1, error)),
            ),
            (
                "cd_options_set_max_retries",
                "options",
                CD_ERR_NULL_ARGUMENT,
                Box::new(|error| cd_options_set_max_retries(ptr::null_mut(), 0, error)),
            ),
            (
                "cd_options_set_backoff_ms",
                "options",
                CD_ERR_NULL_ARGUMENT,
                Box::new(|error| cd_options_set_backoff_ms(ptr::null_mut(), 0, 0, error)),
            ),
            (
                "cd_options_set_proxy",
                "options",
                CD_ERR_NULL_ARGUMENT,
                Box::new(|error| cd_options_set_proxy(ptr::null_mut(), none, error)),
            ),
            (
                "cd_options_set_ca_file",
                "options",
                CD_ERR_NULL_ARGUMENT,
                Box::new(|error| cd_options_set_ca_file(ptr::null_mut(), c"/".as_ptr(), error)),
            ),
            (
                "cd_options_set_user_agent",
                "options",
                CD_ERR_NULL_ARGUMENT,
                Box::new(|error| cd_options_set_user_agent(ptr::null_mut(), c"x".as_ptr(), error)),
            ),
            (
                "cd_options_set_max_response_bytes",
                "options",
                CD_ERR_NULL_ARGUMENT,
                Box::new(|error| cd_options_set_max_response_bytes(ptr::null_mut(), 1024, error)),
            ),
            (
                "cd_options_set_logger",
                "options",
                CD_ERR_NULL_ARGUMENT,
                Box::new(|error| cd_options_set_logger(ptr::null_mut(), None, ptr::null_mut(), 1, error)),
            ),
            (
                "cd_options_set_environment",
                "options",
                CD_ERR_NULL_ARGUMENT,
                Box::new(|error| {
                    cd_options_set_environment(ptr::null_mut(), c"NO_PROXY".as_ptr(), ptr::null(), error)
                }),
            ),
            (
                "cd_options_set_environment",
                "",
                CD_OK,
                Box::new(|error| {
                    cd_options_set_environment(options.raw(), c"NO_PROXY".as_ptr(), ptr::null(), error)
                }),
            ),
            (
                "cd_options_set_logger",
                "",
                CD_OK,
                Box::new(|error| cd_options_set_logger(options.raw(), None, ptr::null_mut(), 1, error)),
            ),
            (
                "cd_session_new",
                "session",
                CD_ERR_NULL_ARGUMENT,
                Box::new(|error| cd_session_new(options.raw(), ada, password, none, ptr::null_mut(), error)),
            ),
            (
                "cd_session_token",
                "session",
                CD_ERR_NULL_ARGUMENT,
                Box::new(|error| cd_session_token(ptr::null_mut(), ptr::null(), 0, none, out, error)),
            ),
            (
                "cd_session_token",
                "token",
                CD_ERR_NULL_ARGUMENT,
                Box::new(|error| cd_session_token(session.raw, ptr::null(), 0, none, ptr::null_mut(), error)),
            ),
            (
                "cd_session_peek",
                "session",
                CD_ERR_NULL_ARGUMENT,
                Box::new(|error| cd_session_peek(ptr::null_mut(), out, error)),
            ),
            (
                "cd_session_peek",
                "token",
                CD_ERR_NULL_ARGUMENT,
                Box::new(|error| cd_session_peek(session.raw, ptr::null_mut(), error)),
            ),
            (
                "cd_session_set_max_age_seconds",
                "session",
                CD_ERR_NULL_ARGUMENT,
                Box::new(|error| cd_session_set_max_age_seconds(ptr::null_mut(), 1, error)),
            ),
            (
                "cd_session_set_min_age_seconds",
                "session",
                CD_ERR_NULL_ARGUMENT,
                Box::new(|error| cd_session_set_min_age_seconds(ptr::null_mut(), 1, error)),
            ),
        ]
    };
    for (function, what, expected, run) in &calls {
        covered.insert(function);
        let result = call(run);
        if let Err(error) = &result {
            assert!(error.message.starts_with(what), "{function}: {}", error.message);
        }
        assert_eq!((code(result), run(ptr::null_mut())), (*expected, *expected), "{function}");
    }

    unsafe {
        assert_eq!((cd_token_str(ptr::null()), cd_token_len(ptr::null())), (ptr::null(), 0));
        let of_null = Error {
            code: CD_OK,
            message: String::new(),
            http_status: 0,
            server_message: None,
            retry_after: -1,
            attempts: 0,
            retryable: false,
        };
        assert_eq!(Error::read(ptr::null()), of_null);
        cd_cancel_trigger(ptr::null_mut());
        assert_eq!(cd_cancel_is_triggered(ptr::null()), 0);
        cd_cancel_set_check(ptr::null_mut(), None, ptr::null_mut());
        cd_cancel_set_check(Cancel::new().raw, None, ptr::null_mut());
        cd_token_free(ptr::null_mut());
        cd_error_free(ptr::null_mut());
        cd_options_free(ptr::null_mut());
        cd_cancel_free(ptr::null_mut());
        cd_session_free(ptr::null_mut());
        cd_secure_zero(ptr::null_mut(), 7);
    }
    covered.extend([
        "cd_token_str",
        "cd_token_len",
        "cd_token_free",
        "cd_error_code",
        "cd_error_message",
        "cd_error_http_status",
        "cd_error_server_message",
        "cd_error_retry_after_seconds",
        "cd_error_attempts",
        "cd_error_is_retryable",
        "cd_error_free",
        "cd_cancel_trigger",
        "cd_cancel_is_triggered",
        "cd_cancel_set_check",
        "cd_cancel_free",
        "cd_options_free",
        "cd_session_free",
        "cd_secure_zero",
    ]);
    let takes_no_pointer = [
        "cd_abi_version",
        "cd_cancel_new",
        "cd_code_is_retryable",
        "cd_code_message",
        "cd_code_name",
        "cd_options_new",
        "cd_version",
        "cd_version_number",
    ];
    let exports = include_str!("../abi/exports.txt");
    let all: BTreeSet<&str> = exports.lines().filter(|name| !takes_no_pointer.contains(name)).collect();
    assert_eq!(covered, all, "every function that takes a pointer");
    assert_untouched(&fake_server);
}

#[test]
fn out_parameters_are_always_written() {
    let fake_server = FakeServer::start();
    let options = Options::to(fake_server.http_url());
    let (ada, good, bad) = (c(ADA), c(PASSWORD), c("wrong"));
    for password in [good.as_ptr(), bad.as_ptr(), c"".as_ptr(), ptr::null()] {
        let (mut token, mut error) = (garbage::<cd_token>(), garbage::<cd_error>());
        let (without, with) = unsafe {
            let log_in = |token: *mut *mut cd_token, error| {
                let (cancel, system) = (ptr::null(), ptr::null());
                cd_authenticate_with(options.raw(), cancel, 0, ada.as_ptr(), password, system, token, error)
            };
            let without = log_in(&mut token, ptr::null_mut());
            assert_eq!(token.is_null(), without != CD_OK);
            cd_token_free(token);
            token = garbage();
            (without, log_in(&mut token, &mut error))
        };
        assert_eq!(without, with);
        assert_eq!((token.is_null(), error.is_null()), (with != CD_OK, with == CD_OK));
        unsafe {
            cd_token_free(token);
            cd_error_free(error);
        }
    }
    // Without a place for the token the error says so.
    let error = login_without_token(&options);
    assert_eq!((error.code, error.message.as_str()), (CD_ERR_NULL_ARGUMENT, "token must not be NULL."));
}

fn login_without_token(options: &Options) -> Error {
    let (ada, password) = (c(ADA), c(PASSWORD));
    let (cancel, system, token) = (ptr::null(), ptr::null(), ptr::null_mut());
    call(|error| unsafe {
        cd_authenticate_with(options.raw(), cancel, 0, ada.as_ptr(), password.as_ptr(), system, token, error)
    })
    .unwrap_err()
}

#[test]
fn setter_writes_its_error() {
    let options = Options::new();
    // `call` checks that the garbage is overwritten, on success and on failure.
    options.set_timeout_ms(1).unwrap();
    assert_eq!(code(options.set_timeout_ms(0)), CD_ERR_OUT_OF_RANGE);
    assert_eq!(code(options.connect_within(MAX_MS + 1, None)), CD_ERR_OUT_OF_RANGE);
}

// ---- number arguments

#[test]
fn number_out_of_range_is_refused() {
    let options = Options::new();
    type Set = fn(&Options, i64) -> Result<&Options, Error>;
    let table: &[(Set, &str, &[i64], &[i64])] = &[
        (
            |o, n| o.set_timeout_ms(n as u32),
            "The timeout must be from 1 to 3600000 ms.",
            &[1, 30_000, 3_600_000],
            &[0, 3_600_001, u32::MAX as i64],
        ),
        (
            |o, n| o.set_connect_timeout_ms(n as u32),
            "The connect timeout must be from 1 to 3600000 ms.",
            &[1, 10_000, 3_600_000],
            &[0, 3_600_001, u32::MAX as i64],
        ),
        (
            |o, n| o.set_max_retries(n as u32),
            "The number of retries must be from 0 to 10.",
            &[0, 4, 10],
            &[11, u32::MAX as i64],
        ),
        (
            |o, n| o.set_backoff_ms(n as u32, n as u32),
            "The back-off must be from 0 to 3600000 ms.",
            &[0, 1, 3_600_000],
            &[3_600_001, u32::MAX as i64],
        ),
        (
            |o, n| o.set_backoff_ms(0, n as u32),
            "The back-off must be from 0 to 3600000 ms.",
            &[0, 3_600_000],
            &[3_600_001, u32::MAX as i64],
        ),
        (
            |o, n| o.set_backoff_ms(n as u32, 100),
            "The first back-off must not be above the largest.",
            &[0, 99, 100],
            &[101, 3_600_000],
        ),
        (
            |o, n| o.set_body_format(n as i32),
            "The body format must be CD_BODY_AUTO, CD_BODY_FORM or CD_BODY_JSON.",
            &[0, 1, 2],
            &[-1, 3, i32::MIN as i64, i32::MAX as i64],
        ),
        (
            |o, n| o.set_max_response_bytes(n as usize),
            "The response limit must be from 1024 to 16777216 bytes.",
            &[1024, 65_536, 16_777_216],
            &[0, 1023, 16_777_217, -1],
        ),
        (
            |o, n| o.set_logger(&Log::new(), n as i32),
            "The log level must be from CD_LOG_ERROR (1) to CD_LOG_DEBUG (4).",
            &[1, 2, 3, 4],
            &[0, 5, -1, i32::MIN as i64, i32::MAX as i64],
        ),
    ];
    for (set, sentence, good, bad) in table {
        for number in *good {
            set(&options, *number).unwrap_or_else(|error| panic!("{number}: {}", error.message));
        }
        for number in *bad {
            let error = set(&options, *number).map(drop).expect_err(sentence);
            assert_eq!((error.code, error.message.as_str()), (CD_ERR_OUT_OF_RANGE, *sentence), "{number}");
        }
    }
}

#[test]
fn timeout_of_a_call_out_of_range_is_refused() {
    let fake_server = FakeServer::start();
    let options = Options::to(fake_server.http_url());
    for timeout_ms in [MAX_MS + 1, u32::MAX] {
        let error = Login { timeout_ms, ..Login::of(&options) }.run().unwrap_err();
        assert_eq!(error.code, CD_ERR_OUT_OF_RANGE);
        assert_eq!(error.message, "timeout_ms must be from 1 to 3600000 ms.");
        assert_eq!(options.connect_within(timeout_ms, None).unwrap_err(), error);
    }
    assert_untouched(&fake_server);
    Login { timeout_ms: MAX_MS, ..Login::of(&options) }.run().unwrap();
    options.connect_within(MAX_MS, None).unwrap();
    let error =
        Login { timeout_ms: 1, username: "slow@example.com", ..Login::of(&options) }.run().unwrap_err();
    assert_eq!(error.code, CD_ERR_TIMEOUT);
}

// ---- a refused setter changes nothing

#[test]
fn refused_url_keeps_the_previous() {
    let fake_server = FakeServer::start();
    let options = Options::to(&format!("{}/before", fake_server.http_url()));
    for bad in ["http://api.couchdrop.io", "https://x?q", "", "\u{7f}"] {
        options.set_base_url(bad).map(drop).unwrap_err();
    }
    options.login(ADA, PASSWORD).unwrap();
    assert_eq!(fake_server.requests()[0].path, "/before/authenticate");
}

#[test]
fn refused_body_format_keeps_the_previous() {
    let fake_server = FakeServer::start();
    let options = Options::to(fake_server.http_url());
    options.set_body_format(CD_BODY_JSON).unwrap();
    options.set_body_format(3).map(drop).unwrap_err();
    options.login(ADA, PASSWORD).unwrap();
    assert_eq!(fake_server.requests()[0].encoding, Some(fake_server::Encoding::Json));
}

#[test]
fn refused_timeout_keeps_the_previous() {
    let fake_server = FakeServer::start();
    let options = Options::to(fake_server.http_url());
    options.set_timeout_ms(50).unwrap();
    options.set_timeout_ms(0).map(drop).unwrap_err();
    options.set_timeout_ms(MAX_MS + 1).map(drop).unwrap_err();
    let error = options.login("slow@example.com", PASSWORD).unwrap_err();
    assert!((50..10_000).contains(&timed_out_after(&error)), "{}", error.message);
}

#[test]
fn refused_connect_timeout_keeps_the_previous() {
    let silent = FaultServer::silent();
    let options = Options::to_silent(&silent);
    options.set_max_retries(0).unwrap();
    options.set_connect_timeout_ms(50).unwrap();
    options.set_connect_timeout_ms(0).map(drop).unwrap_err();
    options.set_connect_timeout_ms(MAX_MS + 1).map(drop).unwrap_err();
    let error = options.login(ADA, PASSWORD).unwrap_err();
    assert!(error.message.starts_with("The connect timeout passed"), "{}", error.message);
    assert!((50..10_000).contains(&timed_out_after(&error)), "{}", error.message);
}

#[test]
fn refused_max_retries_keeps_the_previous() {
    let fake_server = FakeServer::start();
    let options = Options::to(fake_server.http_url());
    options.set_max_retries(1).unwrap();
    options.set_max_retries(11).map(drop).unwrap_err();
    assert_eq!(options.login("down@example.com", PASSWORD).unwrap_err().attempts, 2);
}

#[test]
fn refused_backoff_keeps_the_previous() {
    let fake_server = FakeServer::start();
    let options = Options::to(fake_server.http_url());
    options.set_max_retries(10).unwrap();
    options.set_backoff_ms(MAX_MS, MAX_MS + 1).map(drop).unwrap_err();
    options.set_backoff_ms(MAX_MS, MAX_MS - 1).map(drop).unwrap_err();
    // With waits of up to an hour some of these attempts would not be made before the timeout.
    assert_eq!(options.login("down@example.com", PASSWORD).unwrap_err().attempts, 11);
}

#[test]
fn refused_proxy_keeps_the_previous() {
    let fake_server = FakeServer::start();
    let refusing = Refusing::new();
    let options = Options::secure(&fake_server);
    options.set_max_retries(0).unwrap();
    options.set_proxy(Some(&refusing.authority())).unwrap();
    options.set_proxy(Some("https://proxy.example")).map(drop).unwrap_err();
    options.set_proxy(Some("")).map(drop).unwrap_err();
    let error = options.connect().unwrap_err();
    assert_eq!(error.code, CD_ERR_CONNECT);
    assert!(error.message.contains(&format!("the proxy {}", refusing.authority())), "{}", error.message);
}

#[test]
fn refused_ca_file_keeps_the_previous() {
    let fake_server = FakeServer::start();
    let options = Options::secure(&fake_server);
    options.set_ca_file("/nowhere/ca.pem").map(drop).unwrap_err();
    options.set_ca_file("").map(drop).unwrap_err();
    options.login(ADA, PASSWORD).unwrap();
}

#[test]
fn refused_user_agent_keeps_the_previous() {
    let fake_server = FakeServer::start();
    let options = Options::to(fake_server.http_url());
    options.set_user_agent("acme/2.1").unwrap();
    options.set_user_agent("evil\r\nX: y").map(drop).unwrap_err();
    options.set_user_agent("").map(drop).unwrap_err();
    options.login(ADA, PASSWORD).unwrap();
    assert_eq!(fake_server.requests()[0].header("user-agent"), Some("acme/2.1 libcouchdrop/1.0.0"));
}

#[test]
fn refused_response_limit_keeps_the_previous() {
    let server = FaultServer::responding(|_| reply(200, format!("{:1025}", r#"{"token":"t"}"#)));
    let options = Options::to(&server.url());
    options.set_max_response_bytes(1024).unwrap();
    options.set_max_response_bytes(1023).map(drop).unwrap_err();
    options.set_max_response_bytes(usize::MAX).map(drop).unwrap_err();
    assert_eq!(code(options.login(ADA, PASSWORD)), CD_ERR_RESPONSE_TOO_LARGE);
}

#[test]
fn refused_logger_keeps_the_previous() {
    let fake_server = FakeServer::start();
    let (before, refused) = (Log::new(), Log::new());
    let options = Options::to(fake_server.http_url());
    options.set_logger(&before, CD_LOG_DEBUG).unwrap();
    options.set_logger(&refused, 0).map(drop).unwrap_err();
    options.set_logger(&refused, 5).map(drop).unwrap_err();
    options.login(ADA, PASSWORD).unwrap();
    assert_eq!((before.count("logged in"), refused.lines().len()), (1, 0));
}

#[test]
fn null_logger_disables_logging() {
    let fake_server = FakeServer::start();
    let log = Log::new();
    let options = Options::to(fake_server.http_url());
    options.set_logger(&log, CD_LOG_DEBUG).unwrap();
    options
        .set(|options, error| unsafe { cd_options_set_logger(options, None, ptr::null_mut(), 4, error) })
        .unwrap();
    options.login(ADA, PASSWORD).unwrap();
    assert_eq!(log.lines().len(), 0);
}

// ---- freezing

type Setter = fn(&Options) -> Result<&Options, Error>;

/// Each setter with a valid argument, and its name in the refusal.
const SETTERS: [(&str, Setter); 12] = [
    ("The base URL", |options| options.set_base_url("https://localhost:1")),
    ("The body format", |options| options.set_body_format(CD_BODY_JSON)),
    ("The timeout", |options| options.set_timeout_ms(1)),
    ("The connect timeout", |options| options.set_connect_timeout_ms(1)),
    ("The number of retries", |options| options.set_max_retries(0)),
    ("The back-off", |options| options.set_backoff_ms(0, 0)),
    ("The proxy", |options| options.set_proxy(None)),
    ("The CA file", |options| options.set_ca_file(&ca_file("another.pem", &other_ca()))),
    ("The user agent", |options| options.set_user_agent("late/1")),
    ("The response limit", |options| options.set_max_response_bytes(1024)),
    ("The environment", |options| options.set_environment("NO_PROXY", None)),
    ("The logger", |options| options.set_logger(&Log::new(), CD_LOG_DEBUG)),
];

fn is_frozen(options: &Options) -> bool {
    match options.set_user_agent("acme/2.1") {
        Ok(_) => false,
        Err(error) => {
            assert_eq!(error.code, CD_ERR_OPTIONS_IN_USE);
            true
        }
    }
}

#[test]
fn tests_cover_every_setter() {
    let exports = include_str!("../abi/exports.txt");
    let setters = exports.lines().filter(|name| name.starts_with("cd_options_set_")).count();
    assert_eq!(setters, SETTERS.len());
}

#[test]
fn setters_are_refused_after_the_first_login() {
    let fake_server = FakeServer::start();
    for (what, set) in SETTERS {
        let options = Options::secure(&fake_server);
        set(&options).unwrap_or_else(|error| panic!("{what}: {}", error.message));
    }
    let options = Options::secure(&fake_server);
    options.login(ADA, PASSWORD).unwrap();
    for (what, set) in SETTERS {
        let error = set(&options).map(drop).expect_err(what);
        assert_eq!(error.code, CD_ERR_OPTIONS_IN_USE, "{what}");
        assert!(error.message.starts_with(&format!("{what} can no longer be set")), "{}", error.message);
    }
    fake_server.close_connections();
    options.login(ADA, PASSWORD).unwrap();
    let last = fake_server.requests().pop().unwrap();
    assert_eq!(last.encoding, Some(fake_server::Encoding::Form));
    assert_eq!(last.header("user-agent"), Some("libcouchdrop/1.0.0"));
}

#[test]
fn first_valid_call_freezes_options() {
    let fake_server = FakeServer::start();
    let refusing = Refusing::new();
    let triggered = Cancel::new();
    triggered.trigger();
    let to = || Options::to(fake_server.http_url());
    type First<'a> = Box<dyn Fn(&Options) -> cd_code + 'a>;
    let firsts: Vec<(Options, cd_code, First)> = vec![
        (to(), CD_OK, Box::new(|options| code(options.login(ADA, PASSWORD)))),
        (to(), CD_ERR_ACCESS_DENIED, Box::new(|options| code(options.login(ADA, "wrong")))),
        (to(), CD_OK, Box::new(|options| code(options.connect()))),
        (
            to(),
            CD_ERR_CANCELLED,
            Box::new(|options| code(Login { cancel: Some(&triggered), ..Login::of(options) }.run())),
        ),
        (to(), CD_ERR_CANCELLED, Box::new(|options| code(options.connect_within(0, Some(&triggered))))),
        (
            Options::to(&format!("https://{}", refusing.authority())),
            CD_ERR_CONNECT,
            Box::new(|options| code(options.login(ADA, PASSWORD))),
        ),
    ];
    for (options, expected, first) in &firsts {
        assert!(!is_frozen(options));
        assert_eq!(first(options), *expected);
        assert!(is_frozen(options), "after {expected:?}");
    }
}

#[test]
fn invalid_call_does_not_freeze_options() {
    let fake_server = FakeServer::start();
    let options = Options::to(fake_server.http_url());
    let too_long = "x".repeat(MAX_STRING_BYTES + 1);
    for bad in [
        Login { username: "", ..Login::of(&options) },
        Login { password: "", ..Login::of(&options) },
        Login { username: &too_long, ..Login::of(&options) },
        Login { system: Some(&too_long), ..Login::of(&options) },
        Login { timeout_ms: MAX_MS + 1, ..Login::of(&options) },
    ] {
        let refused = bad.run().unwrap_err();
        assert!(!is_frozen(&options), "after {}", refused.message);
    }
    login_without_token(&options);
    login(&options, ptr::null(), c(PASSWORD).as_ptr(), ptr::null()).unwrap_err();
    login(&options, c(ADA).as_ptr(), c(b"\xff").as_ptr(), ptr::null()).unwrap_err();
    options.connect_within(MAX_MS + 1, None).unwrap_err();
    assert!(!is_frozen(&options));
    assert_untouched(&fake_server);
}

// ---- URLs

#[test]
fn base_url_is_validated() {
    let options = Options::new();
    for good in [
        "https://api.couchdrop.io",
        "HTTPS://API.Couchdrop.IO/",
        "https://api.couchdrop.io:1",
        "https://api.couchdrop.io:65535/v1/x-y/",
        "https://api.couchdrop.io/a%20b",
        "https://192.0.2.7",
        "https://[2001:db8::1]:8443",
        "https://xn--bcher-kva.example",
        "https://a_b.example",
    ] {
        options.set_base_url(good).unwrap_or_else(|error| panic!("{good}: {}", error.message));
    }
    for (bad, advice) in [
        ("api.couchdrop.io", "scheme"),
        ("//api.couchdrop.io", "scheme"),
        ("ftp://api.couchdrop.io", "https://"),
        ("socks5://api.couchdrop.io", "https://"),
        ("https:/api.couchdrop.io", "https://"),
        ("://api.couchdrop.io", "https://"),
        ("https://", "host"),
        ("https:///path", "host"),
        ("https://:443", "host"),
        ("https://user@api.couchdrop.io", "user info"),
        ("https://@api.couchdrop.io", "user info"),
        ("https://user:word@api.couchdrop.io", "user info"),
        ("https://api.couchdrop.io?a=b", "query"),
        ("https://api.couchdrop.io/?", "query"),
        ("https://api.couchdrop.io#top", "fragment"),
        ("https://api.couchdrop.io/#", "fragment"),
        ("https://api.couchdrop.io:", "port"),
        ("https://api.couchdrop.io:65536", "port"),
        ("https://api.couchdrop.io:99999", "port"),
        ("https://api.couchdrop.io:+443", "port"),
        ("https://api.couchdrop.io:-1", "port"),
        ("https://api.couchdrop.io:0x1bb", "port"),
        ("https://api.couchdrop.io:443:443", "port"),
        ("https://api.couchdrop.io:４４３", "port"),
        ("https://bücher.example", "xn--"),
        ("https://[fe80::1%eth0]", "zone id"),
        ("https://[fe80::1%25eth0]", "zone id"),
        ("https://[zz]", "IPv6"),
        ("https://[::1", "]"),
        ("https://127.1", "IPv4"),
        ("https://0x7f000001", "IPv4"),
        ("https://1.2.3.256", "IPv4"),
        ("https://a b.example", "white space"),
        (" https://api.couchdrop.io", "white space"),
        ("https://api.couchdrop.io/\r\nX: y", "white space"),
        ("https://api.couchdrop.io/a\tb", "white space"),
        ("https://api.couchdrop.io\\@evil.example", "%-escapes"),
        ("https://api.couchdrop.io/ü", "%-escapes"),
        ("https://a..b", "host"),
    ] {
        let error = options.set_base_url(bad).map(drop).expect_err(bad);
        assert_eq!(error.code, CD_ERR_INVALID_URL, "{bad}");
        assert!(error.message.starts_with("The base URL "), "{bad}: {}", error.message);
        assert!(error.message.contains(advice), "{bad}: {}", error.message);
    }
}

#[test]
fn plain_http_is_allowed_to_loopback_only() {
    let options = Options::new();
    for good in [
        "http://127.0.0.1",
        "http://127.255.255.254:8080/x",
        "http://[::1]:80",
        "http://localhost",
        "http://LOCALHOST:65535",
    ] {
        options.set_base_url(good).unwrap_or_else(|error| panic!("{good}: {}", error.message));
    }
    for (bad, host) in [
        ("http://api.couchdrop.io", "api.couchdrop.io"),
        ("http://api.couchdrop.io:443", "api.couchdrop.io"),
        ("HTTP://localhost.example.com", "localhost.example.com"),
        ("http://xlocalhost", "xlocalhost"),
        ("http://128.0.0.1", "128.0.0.1"),
        ("http://10.0.0.1", "10.0.0.1"),
        ("http://0.0.0.0", "0.0.0.0"),
        ("http://[::]", "[::]"),
        ("http://[::2]", "[::2]"),
        ("http://[::ffff:127.0.0.1]", "[::ffff:127.0.0.1]"),
    ] {
        let error = options.set_base_url(bad).map(drop).expect_err(bad);
        assert_eq!(error.code, CD_ERR_INSECURE_URL, "{bad}");
        assert!(error.message.contains(host) && error.message.contains("https"), "{}", error.message);
    }
}

#[test]
fn base_url_path_is_a_prefix() {
    let fake_server = FakeServer::start();
    for (path, expected) in [
        ("", "/authenticate"),
        ("/", "/authenticate"),
        ("/v1", "/v1/authenticate"),
        ("/v1/", "/v1/authenticate"),
        ("/a%20b/C", "/a%20b/C/authenticate"),
    ] {
        Options::to(&format!("{}{path}", fake_server.http_url())).login(ADA, PASSWORD).unwrap();
        assert_eq!(fake_server.requests().pop().unwrap().path, expected);
    }
}

#[test]
fn localhost_is_case_insensitive() {
    let fake_server = FakeServer::start();
    let port = fake_server.http_url().rsplit(':').next().unwrap();
    for host in ["localhost", "LocalHost", "127.0.0.1", "[::1]"] {
        let url = format!("http://{host}:{port}");
        Options::to(&url).login(ADA, PASSWORD).unwrap_or_else(|error| panic!("{url}: {}", error.message));
        let sent = fake_server.requests().pop().unwrap();
        assert_eq!(sent.header("host"), Some(format!("{}:{port}", host.to_ascii_lowercase()).as_str()));
    }
}

#[test]
fn proxy_url_is_validated() {
    let options = Options::new();
    for good in [
        "http://proxy.example",
        "HTTP://proxy.example:3128/",
        "proxy.example:3128",
        "user:word@proxy.example:3128",
        "http://user:w%40rd@proxy.example",
        "http://user@proxy.example",
        "socks5://[::1]:1080",
        "socks5h://user:word@proxy.example",
    ] {
        options.set_proxy(Some(good)).unwrap_or_else(|error| panic!("{good}: {}", error.message));
    }
    for bad in [
        "https://proxy.example",
        "socks4://proxy.example",
        "socks://proxy.example",
        "ftp://proxy.example",
        "http://",
        "http://proxy.example:99999",
        "http://proxy.example:+1",
        "http://proxy.example/path",
        "http://proxy.example?q",
        "http://proxy.example#f",
        "http://proxy.example\r\nX: y",
        "http://prøxy.example",
        "http://[fe80::1%eth0]:3128",
    ] {
        let error = options.set_proxy(Some(bad)).map(drop).expect_err(bad);
        assert_eq!(error.code, CD_ERR_INVALID_URL, "{bad}");
        assert!(error.message.starts_with("The proxy URL "), "{bad}: {}", error.message);
    }
}

#[test]
fn plain_http_with_a_proxy_is_refused() {
    let fake_server = FakeServer::start();

    let options = Options::to(fake_server.http_url());
    for proxy in ["http://proxy.example", "socks5://127.0.0.1", "socks5h://127.0.0.1:1"] {
        assert_eq!(code(options.set_proxy(Some(proxy))), CD_ERR_INSECURE_URL);
    }
    options.set_proxy(None).unwrap();
    options.login(ADA, PASSWORD).unwrap();
    assert_eq!(fake_server.requests().len(), 1);

    let refusing = Refusing::new();
    let options = Options::secure(&fake_server);
    options.set_proxy(Some(&refusing.authority())).unwrap();
    assert_eq!(code(options.set_base_url(fake_server.http_url())), CD_ERR_INSECURE_URL);
    let error = options.connect().unwrap_err();
    assert!(error.message.contains("proxy"), "still the https URL and its proxy: {}", error.message);
    assert_eq!(fake_server.connections().http.accepted, 1);

    // Without the proxy plain http is allowed again.
    let options = Options::secure(&fake_server);
    options.set_proxy(Some(&refusing.authority())).unwrap().set_proxy(None).unwrap();
    options.set_base_url(fake_server.http_url()).unwrap().login(ADA, PASSWORD).unwrap();
}

#[test]
fn message_never_contains_user_info() {
    let refusing = Refusing::new();
    let silent = |error: &Error| {
        let message = &error.message;
        assert!(!message.contains("hunter2") && !message.contains("jane"), "{message}");
    };
    let options = Options::new();
    for bad in [
        "https://jane:hunter2@api.couchdrop.io",
        "http://jane:hunter2@api.couchdrop.io",
        "jane:hunter2@api.couchdrop.io",
        "ftp://jane:hunter2@api.couchdrop.io",
        "https://jane:hunter2@",
        "https://jane:hunter2@api.couchdrop.io:bad",
        "https://jane:hunter2@api.couchdrop.io?q",
        "https://jane:hunter2@api.couchdrop.io/#f",
        "https://jane:hunter2@bücher.example",
        "https://jane:hunter2@[fe80::1%eth0]",
        "https://jane:hunter2 @api.couchdrop.io",
        "https://jane:hun@hunter2@api.couchdrop.io",
        "https://jane:hunter2%zz@api.couchdrop.io/%zz",
    ] {
        silent(&options.set_base_url(bad).map(drop).expect_err(bad));
    }
    for bad in [
        "https://jane:hunter2@proxy.example",
        "http://jane:hunter2%zz@proxy.example",
        "http://jane:hunter2@proxy.example/path",
        "http://jane:hunter2@proxy.example:bad",
        "jane:hunter2@",
        "socks5://jane:hunter2\n@proxy.example",
        &format!("socks5://jane:hunter2{}@proxy.example", "x".repeat(256)),
    ] {
        silent(&options.set_proxy(Some(bad)).map(drop).expect_err(bad));
    }
    // The message and the log name an unreachable proxy without its credentials.
    let log = Log::new();
    options.set_proxy(Some(&format!("http://jane:hunter2@{}", refusing.authority()))).unwrap();
    options.set_max_retries(0).unwrap().set_logger(&log, CD_LOG_DEBUG).unwrap();
    let error = options.login(ADA, PASSWORD).unwrap_err();
    assert_eq!((error.code, error.attempts), (CD_ERR_CONNECT, 0));
    assert!(error.message.contains(&refusing.authority()), "{}", error.message);
    silent(&error);
    assert_eq!((log.count("hunter2"), log.count("jane")), (0, 0));
}

// ---- the CA file

/// Writes a file with this content and returns its path.
fn ca_file(name: &str, content: &str) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("contract-{name}"));
    // Written to a temporary name and renamed, because several tests may write the same file at once.
    let own = path.with_extension(format!("{:?}", thread::current().id()));
    fs::write(&own, content).unwrap();
    fs::rename(own, &path).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The certificate of a CA that signed no certificate here.
fn other_ca() -> String {
    FakeServer::start().ca_pem().to_owned()
}

#[test]
fn unusable_ca_file_is_named_with_the_reason() {
    let good = other_ca();
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let files = [
        ("/nowhere/ca.pem".to_owned(), "does not exist"),
        (ca_file("empty.pem", ""), "is empty"),
        (ca_file("text.pem", "certificates? no"), "contains no PEM certificate"),
        (ca_file("key.pem", key), "contains no PEM certificate"),
        (ca_file("broken.pem", broken), "can't be parsed"),
        (ca_file("garbled.pem", &good.replace("MII", "!!!")), "can't be parsed"),
        (ca_file("cut.pem", &good[..good.len() / 2]), "can't be parsed"),
        (ca_file("half.pem", &format!("{good}{broken}")), "can't be parsed"),
        (env!("CARGO_TARGET_TMPDIR").to_owned(), "not a regular file"),
        ("/dev/null".to_owned(), "not a regular file"),
    ];
    // A sparse file, which takes no space on the disk.
    let large = PathBuf::from(ca_file("large.pem", ""));
    fs::File::options().write(true).open(&large).unwrap().set_len((64 << 20) + 1).unwrap();
    let files = files.into_iter().chain([(large.to_str().unwrap().to_owned(), "is larger than 64 MiB")]);
    let options = Options::new();
    for (path, why) in &files.collect::<Vec<_>>() {
        let error = options.set_ca_file(path).map(drop).expect_err(path);
        assert_eq!(error.code, CD_ERR_CA_FILE, "{path}");
        assert!(error.message.starts_with(&format!("The CA file {path} ")), "{}", error.message);
        assert!(error.message.contains(why), "{}", error.message);
    }
}

#[test]
fn ca_file_that_is_a_fifo_is_refused_at_once() {
    let path = format!("{}/pipe-{}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    let name = std::ffi::CString::new(path.clone()).unwrap();
    // SAFETY: a NUL-terminated path.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let error = Options::new().set_ca_file(&path).map(drop).unwrap_err();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(error.code, CD_ERR_CA_FILE);
    assert!(error.message.contains("not a regular file"), "{}", error.message);
}

#[test]
fn ca_file_name_is_sanitized_in_messages() {
    let error = Options::new().set_ca_file("/nowhere/a\n\u{1b}[31mb.pem").map(drop).unwrap_err();
    assert_eq!(error.code, CD_ERR_CA_FILE);
    assert!(error.message.contains("/nowhere/a[31mb.pem"), "{}", error.message);
}

#[test]
fn ca_file_is_read_by_its_setter() {
    let fake_server = FakeServer::start();
    let path = ca_file("read-at-once.pem", &format!("# a comment\n{}{}", other_ca(), fake_server.ca_pem()));
    let options = Options::to(fake_server.https_url());
    options.set_ca_file(&path).unwrap();
    fs::remove_file(&path).unwrap();
    options.login(ADA, PASSWORD).unwrap();
}

#[test]
fn ca_file_replaces_the_systems_trust_store() {
    let fake_server = FakeServer::start();
    let options = Options::to(fake_server.https_url());
    options.set_ca_file(&ca_file("of-another.pem", &other_ca())).unwrap();
    let error = options.login(ADA, PASSWORD).unwrap_err();
    assert_eq!((error.code, error.attempts, error.http_status), (CD_ERR_TLS, 0, 0), "{}", error.message);
    assert!(fake_server.requests().is_empty());
}

// ---- the user agent

#[test]
fn user_agent_puts_the_product_first() {
    let fake_server = FakeServer::start();
    let options = Options::to(fake_server.http_url());
    options.login(ADA, PASSWORD).unwrap();
    assert_eq!(fake_server.requests()[0].header("user-agent"), Some("libcouchdrop/1.0.0"));

    let options = Options::to(fake_server.http_url());
    options.set_user_agent("first/1").unwrap();
    options.set_user_agent("acme/2.1 (nightly)").unwrap();
    options.login(ADA, PASSWORD).unwrap();
    assert_eq!(fake_server.requests()[1].header("user-agent"), Some("acme/2.1 (nightly) libcouchdrop/1.0.0"));
}

#[test]
fn user_agent_with_control_characters_is_refused() {
    for bad in ["a\nb", "a\r\nX: y", "a\tb", "\u{1}", "a\u{7f}", "a\u{85}b"] {
        let error = Options::new().set_user_agent(bad).map(drop).unwrap_err();
        assert_eq!(error.code, CD_ERR_OUT_OF_RANGE, "{bad:?}");
        assert_eq!(error.message, "The user agent must not contain control characters.");
    }
}

// ---- objects and threads

#[test]
fn token_and_error_outlive_the_options() {
    let fake_server = FakeServer::start();
    let options = Options::to(fake_server.http_url());
    let token = options.login(ADA, PASSWORD).unwrap();
    let (ada, wrong, mut error) = (c(ADA), c("wrong"), garbage());
    let refused = unsafe {
        let mut token = garbage();
        let (cancel, system) = (ptr::null(), ptr::null());
        let (username, password) = (ada.as_ptr(), wrong.as_ptr());
        cd_authenticate_with(options.raw(), cancel, 0, username, password, system, &mut token, &mut error)
    };
    drop((options, fake_server, ada, wrong));
    assert_eq!(token.text().len(), 36);
    assert_eq!(unsafe { Error::read(error) }.code, refused);
    unsafe { cd_error_free(error) };
}

#[test]
fn token_is_readable_on_several_threads() {
    let fake_server = FakeServer::start();
    let options = Options::to(fake_server.http_url());
    let token = thread::scope(|scope| scope.spawn(|| options.login(ADA, PASSWORD).unwrap()).join().unwrap());
    let first = token.text();
    let token: Arc<Token> = Arc::new(token);
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let token = Arc::clone(&token);
            thread::spawn(move || (token.text(), unsafe { cd_token_str(token.raw) } as usize))
        })
        .collect();
    for reader in readers {
        assert_eq!(reader.join().unwrap(), (first.clone(), unsafe { cd_token_str(token.raw) } as usize));
    }
    thread::spawn(move || drop(token)).join().unwrap();
}

#[test]
fn error_is_an_immutable_snapshot() {
    let fake_server = FakeServer::start();
    let options = Options::to(fake_server.http_url());
    options.set_max_retries(0).unwrap();
    let (username, password, mut error) = (c("limited@example.com"), c(PASSWORD), garbage());
    unsafe {
        let mut token = garbage();
        let (cancel, system) = (ptr::null(), ptr::null());
        let (username, password) = (username.as_ptr(), password.as_ptr());
        assert_eq!(
            cd_authenticate_with(
                options.raw(),
                cancel,
                0,
                username,
                password,
                system,
                &mut token,
                &mut error
            ),
            CD_ERR_RATE_LIMITED
        );
    }
    let before = unsafe { Error::read(error) };
    let message = unsafe { cd_error_message(error) } as usize;
    assert_eq!((before.http_status, before.retry_after, before.attempts), (429, 3600, 1));
    assert_eq!(before.server_message.as_deref(), Some("Too many requests"));
    // Later calls don't change it.
    options.login(ADA, "wrong").unwrap_err();
    let address = error as usize;
    let readers: Vec<_> = (0..4)
        .map(|_| {
            thread::spawn(move || unsafe {
                let error = address as *const cd_error;
                (Error::read(error), cd_error_message(error) as usize)
            })
        })
        .collect();
    for reader in readers {
        assert_eq!(reader.join().unwrap(), (before.clone(), message));
    }
    unsafe { cd_error_free(error) };
}

#[test]
fn concurrent_calls_have_their_own_results() {
    let fake_server = FakeServer::start();
    let options = Options::secure(&fake_server);
    options.set_max_retries(0).unwrap();
    let cases = [
        (ADA, PASSWORD, CD_OK, None),
        (ADA, "wrong", CD_ERR_ACCESS_DENIED, Some("Access denied")),
        (
            "twofactor@example.com",
            PASSWORD,
            CD_ERR_TWO_FACTOR_REQUIRED,
            Some("Two-factor authentication is required"),
        ),
        ("limited@example.com", PASSWORD, CD_ERR_RATE_LIMITED, Some("Too many requests")),
        ("down@example.com", PASSWORD, CD_ERR_UNAVAILABLE, None),
        ("broken@example.com", PASSWORD, CD_ERR_SERVER, Some("Internal error 7")),
        ("portal@example.com", PASSWORD, CD_ERR_MALFORMED_RESPONSE, None),
        ("", PASSWORD, CD_ERR_EMPTY_ARGUMENT, None),
    ];
    let tokens: Vec<String> = thread::scope(|scope| {
        let threads: Vec<_> = cases
            .iter()
            .cycle()
            .take(2 * cases.len())
            .map(|(username, password, expected, message)| {
                let options = &options;
                scope.spawn(move || {
                    (0..8)
                        .filter_map(|_| match options.login(username, password) {
                            Ok(token) => {
                                assert_eq!(*expected, CD_OK);
                                Some(token.text())
                            }
                            Err(error) => {
                                assert_eq!(
                                    (error.code, error.server_message.as_deref()),
                                    (*expected, *message)
                                );
                                None
                            }
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(tokens.len(), 16);
    assert_eq!(BTreeSet::from_iter(&tokens).len(), 16, "each login has a token of its own");
}

#[test]
fn secure_zero_overwrites_exactly_its_range() {
    let mut buffer = *b"hunter2 stays";
    unsafe { cd_secure_zero(buffer.as_mut_ptr().cast(), 7) };
    assert_eq!(&buffer, b"\0\0\0\0\0\0\0 stays");
    unsafe { cd_secure_zero(buffer.as_mut_ptr().cast(), 0) };
    assert_eq!(&buffer[7..], b" stays");
}

#[test]
fn triggered_handle_stays_triggered() {
    let fake_server = FakeServer::start();
    let options = Options::to(fake_server.http_url());
    let cancel = Cancel::new();
    for _ in 0..3 {
        Login { cancel: Some(&cancel), ..Login::of(&options) }.run().unwrap();
    }
    cancel.trigger();
    cancel.trigger();
    for _ in 0..3 {
        assert!(cancel.is_triggered());
        let error = Login { cancel: Some(&cancel), ..Login::of(&options) }.run().unwrap_err();
        assert_eq!((error.code, error.attempts), (CD_ERR_CANCELLED, 0));
        assert_eq!(options.connect_within(0, Some(&cancel)).unwrap_err().code, CD_ERR_CANCELLED);
    }
    assert_eq!(fake_server.requests().len(), 3);
}

// ---- cd_connect

/// The next login uses its connection.
#[test]
fn connect_sends_nothing() {
    let fake_server = FakeServer::start();
    let options = Options::secure(&fake_server);
    options.connect().unwrap();
    assert!(fake_server.wait_for_connections(PATIENCE, |connections| connections.handshakes == 1));
    assert!(fake_server.requests().is_empty());
    options.connect().unwrap(); // the connection exists and is usable
    options.login(ADA, PASSWORD).unwrap();
    options.connect().unwrap();
    options.login(ADA, PASSWORD).unwrap();
    let connections = fake_server.connections();
    assert_eq!((connections.https.accepted, connections.handshakes), (1, 1));
    assert_eq!(fake_server.requests().iter().map(|request| request.connection).collect::<Vec<_>>(), [1, 1]);

    fake_server.close_connections();
    options.connect().unwrap();
    options.login(ADA, PASSWORD).unwrap();
    assert_eq!(fake_server.connections().https.accepted, 2);
}

/// It fails with the code that a login would have.
#[test]
fn connect_fails_without_retry() {
    let fake_server = FakeServer::start();
    let refusing = Refusing::new();
    let options = Options::to(&format!("https://{}", refusing.authority()));
    let error = options.connect().unwrap_err();
    assert_eq!((error.code, error.attempts, error.http_status), (CD_ERR_CONNECT, 0, 0));
    assert!(error.message.contains(&refusing.authority()), "{}", error.message);
    assert_eq!(error.message, options.login(ADA, PASSWORD).unwrap_err().message);

    let options = Options::to(fake_server.https_url());
    options.set_ca_file(&ca_file("of-another-ca.pem", &other_ca())).unwrap();
    let error = options.connect().unwrap_err();
    assert_eq!((error.code, error.attempts), (CD_ERR_TLS, 0), "{}", error.message);
    assert_eq!(error.message, options.login(ADA, PASSWORD).unwrap_err().message);
    assert_eq!(fake_server.requests().len(), 0);

    let silent = FaultServer::silent();
    let options = Options::to_silent(&silent);
    assert_eq!(code(options.connect_within(50, None)), CD_ERR_TIMEOUT);
    assert_eq!(silent.connected(), 1, "only one connection");
}

#[test]
fn connect_timeout_defaults_to_the_options() {
    let silent = FaultServer::silent();
    for (of_options, own, expected) in [(60, 0, 60), (20_000, 60, 60), (10, 120, 120)] {
        let options = Options::to_silent(&silent);
        options.set_connect_timeout_ms(of_options).unwrap();
        let error = options.connect_within(own, None).unwrap_err();
        assert!((expected..10_000).contains(&timed_out_after(&error)), "{}", error.message);
    }
}
