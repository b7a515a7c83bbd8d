//! Sessions: one login for all callers, the ages of a token, refusals, and fork.
//!
//! Time passes by an offset that this program adds to CLOCK_BOOTTIME, for the thread that sets it.

mod common;

use std::cell::Cell;
use std::ffi::{c_char, c_int};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;

use couchdrop::error::cd_code::{self, *};
use couchdrop::ffi::options::CD_LOG_DEBUG;
use couchdrop::ffi::session::cd_session_token;
use couchdrop::ffi::token::cd_token;

use common::log::Log;
use common::session::{Session, Wanted, new_session};
use common::{Cancel, Options, c, call, code, garbage, timed};
use fault_server::Step::{Gate, Request};
use fault_server::{FaultServer, Script, closing, json_response, send, token};

thread_local! {
    static OFFSET: Cell<i64> = const { Cell::new(0) };
}

/// Lets seconds pass for calls of this thread.
fn pass_time(seconds: i64) {
    OFFSET.set(OFFSET.get() + seconds);
}

/// Replaces the C library's function in this program.
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, time: *mut libc::timespec) -> c_int {
    unsafe {
        let result = libc::syscall(libc::SYS_clock_gettime, clock, time) as c_int;
        if clock == libc::CLOCK_BOOTTIME {
            (*time).tv_sec += OFFSET.get();
        }
        result
    }
}

/// A session with a server whose connections play these scripts.
fn with(server: &FaultServer) -> Session {
    Session::new(Options::to(&server.url()))
}

/// Every connection serves one login. The tokens are `t1`, `t2` and so on.
fn issuing(count: usize) -> FaultServer {
    FaultServer::plain((1..=count).map(|number| closing(token(&format!("t{number}")))).collect())
}

/// Serves one login when the test opens the gate.
fn gated(response: Vec<u8>) -> Script {
    vec![Request, Gate("respond"), send(response), fault_server::Step::Close]
}

fn retry_after(status: u16, seconds: u32) -> Vec<u8> {
    format!("HTTP/1.1 {status} X\r\nRetry-After: {seconds}\r\nContent-Length: 0\r\n\r\n").into_bytes()
}

fn logins(server: &FaultServer) -> usize {
    server.connections().iter().map(|seen| seen.requests).sum()
}

const WAITING: &str = "waiting for the login of another call";

// ---- a token and its ages

#[test]
fn token_is_reused_until_it_is_rejected() {
    let server = issuing(2);
    let session = with(&server);
    assert_eq!(session.peek(), None);
    assert_eq!(session.token().unwrap(), "t1");
    assert_eq!((session.token().unwrap().as_str(), session.peek().as_deref()), ("t1", Some("t1")));
    assert_eq!(logins(&server), 1);
    pass_time(60);
    assert_eq!(session.renew("t1").unwrap(), "t2");
    assert_eq!((session.token().unwrap().as_str(), session.peek().as_deref()), ("t2", Some("t2")));
    assert_eq!(logins(&server), 2);
}

#[test]
fn rejected_young_token_is_returned_again() {
    let server = issuing(2);
    let session = with(&server);
    session.token().unwrap();
    for _ in 0..20 {
        assert_eq!(session.renew("t1").unwrap(), "t1");
    }
    pass_time(59);
    assert_eq!((session.renew("t1").unwrap().as_str(), logins(&server)), ("t1", 1));
    pass_time(1);
    assert_eq!((session.renew("t1").unwrap().as_str(), logins(&server)), ("t2", 2));
}

#[test]
fn rejected_other_token_gives_the_current_one() {
    let server = issuing(2);
    let session = with(&server);
    session.token().unwrap();
    pass_time(3600);
    for other in ["", "t0", "unknown", &"x".repeat(65_536)] {
        assert_eq!(session.renew(other).unwrap(), "t1");
    }
    assert_eq!(logins(&server), 1);
}

#[test]
fn minimum_age_of_zero_renews_at_once() {
    let server = issuing(3);
    let session = with(&server).min_age(0);
    session.token().unwrap();
    assert_eq!(session.renew("t1").unwrap(), "t2");
    assert_eq!(session.renew("t2").unwrap(), "t3");
}

#[test]
fn token_over_the_maximum_age_is_replaced() {
    let server = issuing(3);
    let session = with(&server).max_age(100);
    session.token().unwrap();
    pass_time(99);
    assert_eq!(session.token().unwrap(), "t1");
    pass_time(2);
    assert_eq!((session.peek(), logins(&server)), (None, 1));
    assert_eq!((session.token().unwrap().as_str(), logins(&server)), ("t2", 2));
    // The maximum age is looked at first, and can be changed at any time.
    pass_time(10);
    let session = session.max_age(5);
    assert_eq!((session.renew("t2").unwrap().as_str(), logins(&server)), ("t3", 3));
}

// ---- one login for all

/// Runs `count` calls, and `then` when the server has the request of the first and the others wait. Returns the results.
fn together<T: Send>(
    count: usize,
    server: &FaultServer,
    log: &Log,
    request: impl Fn(usize) -> T + Sync,
    then: impl FnOnce(),
) -> Vec<T> {
    thread::scope(|scope| {
        let request = &request;
        let first = scope.spawn(move || request(0));
        server.wait(|seen| seen.first().is_some_and(|seen| seen.requests == 1));
        let others: Vec<_> = (1..count).map(|index| scope.spawn(move || request(index))).collect();
        log.wait_for_count(WAITING, count - 1);
        then();
        [first].into_iter().chain(others).map(|call| call.join().unwrap()).collect()
    })
}

fn logged(server: &FaultServer) -> (Session, Arc<Log>) {
    let log = Log::new();
    let options = Options::to(&server.url());
    options.set_logger(&log, CD_LOG_DEBUG).unwrap();
    (Session::new(options), log)
}

#[test]
fn concurrent_callers_share_one_login() {
    let server = FaultServer::plain(vec![gated(token("t1"))]);
    let (session, log) = logged(&server);
    let tokens = together(
        20,
        &server,
        &log,
        |_| session.token().unwrap(),
        || {
            assert_eq!(session.peek(), None);
            server.open_gate("respond");
        },
    );
    assert_eq!((tokens, logins(&server)), (vec!["t1".to_owned(); 20], 1));
}

#[test]
fn waiters_receive_the_error_without_attempts() {
    let server = FaultServer::plain(vec![gated(json_response(403, r#"{"err":"no such user"}"#))]);
    let (session, log) = logged(&server);
    let done = together(4, &server, &log, |_| session.token().unwrap_err(), || server.open_gate("respond"));
    assert!(done.iter().all(|error| error.code == CD_ERR_ACCESS_DENIED && error.http_status == 403));
    assert!(done.iter().all(|error| error.server_message.as_deref() == Some("no such user")));
    assert_eq!(done.iter().map(|error| error.attempts).collect::<Vec<_>>(), [1, 0, 0, 0]);
    assert_eq!(logins(&server), 1);
}

#[test]
fn waiter_ends_by_its_own_limits() {
    let server = FaultServer::plain(vec![gated(token("t1"))]);
    let (session, log) = logged(&server);
    let cancel = Cancel::new();
    let requests = [
        Wanted::default(),
        Wanted { timeout_ms: 50, ..Wanted::default() },
        Wanted { cancel: Some(&cancel), ..Wanted::default() },
    ];
    let done = together(
        3,
        &server,
        &log,
        |index| session.request(requests[index]).map(|token| token.text()),
        || {
            cancel.trigger();
            log.wait_for("call ended while it waited: The deadline passed");
            log.wait_for("call ended while it waited: The call was cancelled");
            server.open_gate("respond");
        },
    );
    assert_eq!(done[0].as_deref().unwrap(), "t1");
    let timed_out = done[1].as_ref().unwrap_err();
    assert_eq!((timed_out.code, timed_out.attempts), (CD_ERR_TIMEOUT, 0));
    assert!(
        timed_out.message.ends_with("waiting for the login of another call of this session."),
        "{timed_out:?}"
    );
    assert_eq!(done[2].as_ref().unwrap_err().code, CD_ERR_CANCELLED);
}

#[test]
fn cancelled_performer_leaves_the_login_to_a_waiter() {
    let server = FaultServer::plain(vec![gated(token("t1")), closing(token("t2"))]);
    let (session, log) = logged(&server);
    let cancel = Cancel::new();
    let requests =
        [Wanted { cancel: Some(&cancel), ..Wanted::default() }, Wanted::default(), Wanted::default()];
    let done = together(
        3,
        &server,
        &log,
        |index| session.request(requests[index]).map(|token| token.text()),
        || {
            cancel.trigger();
        },
    );
    assert_eq!(done[0].as_ref().unwrap_err().code, CD_ERR_CANCELLED);
    assert_eq!((done[1].as_deref().unwrap(), done[2].as_deref().unwrap()), ("t2", "t2"));
    assert_eq!(logins(&server), 2);
}

#[test]
fn timed_out_performer_leaves_the_login_to_a_waiter() {
    let server = FaultServer::plain(vec![gated(token("t1")), closing(token("t2"))]);
    let (session, log) = logged(&server);
    let requests = [Wanted { timeout_ms: 500, ..Wanted::default() }, Wanted::default()];
    let done =
        together(2, &server, &log, |index| session.request(requests[index]).map(|token| token.text()), || {});
    assert_eq!(done[0].as_ref().unwrap_err().code, CD_ERR_TIMEOUT);
    assert_eq!((done[1].as_deref().unwrap(), logins(&server)), ("t2", 2));
}

#[test]
fn triggered_handle_wins_over_a_current_token() {
    let server = issuing(1);
    let session = with(&server);
    session.token().unwrap();
    let cancel = Cancel::new();
    cancel.trigger();
    let request = Wanted { cancel: Some(&cancel), ..Wanted::default() };
    assert_eq!(session.request(request).unwrap_err().code, CD_ERR_CANCELLED);
}

// ---- refusals

#[test]
fn refused_credentials_are_not_sent_again_for_a_minute() {
    for (status, code) in [(401, CD_ERR_TWO_FACTOR_REQUIRED), (403, CD_ERR_ACCESS_DENIED)] {
        let server = FaultServer::plain(vec![closing(json_response(status, "{}")), closing(token("t1"))]);
        let session = with(&server);
        assert_eq!(session.token().unwrap_err().attempts, 1);
        pass_time(59);
        for _ in 0..20 {
            let error = session.token().unwrap_err();
            assert_eq!((error.code, error.attempts, error.http_status), (code, 0, status.into()));
        }
        assert_eq!((session.peek(), logins(&server)), (None, 1));
        pass_time(1);
        assert_eq!((session.token().unwrap().as_str(), logins(&server)), ("t1", 2));
    }
}

#[test]
fn retry_after_blocks_calls_with_a_short_timeout() {
    for (status, code) in [(429, CD_ERR_RATE_LIMITED), (503, CD_ERR_UNAVAILABLE)] {
        let server = FaultServer::plain(vec![closing(retry_after(status, 600)), closing(token("t1"))]);
        let session = with(&server);
        let error = session.within(30_000).unwrap_err();
        assert_eq!((error.code, error.attempts, error.retry_after), (code, 1, 600));
        pass_time(500);
        let error = session.within(30_000).unwrap_err();
        assert_eq!((error.code, error.attempts, error.http_status), (code, 0, status.into()));
        assert!((98..=100).contains(&error.retry_after), "{error:?}");
        pass_time(100);
        assert_eq!((session.within(30_000).unwrap().as_str(), logins(&server)), ("t1", 2));
    }
}

#[test]
fn retry_after_is_waited_for_if_the_timeout_allows() {
    let server = FaultServer::plain(vec![closing(retry_after(429, 600)), closing(token("t1"))]);
    let options = Options::to(&server.url());
    options.set_max_retries(0).unwrap();
    let session = Session::new(options);
    assert_eq!(session.token().unwrap_err().retry_after, 600);
    pass_time(599);
    let (token, took) = timed(|| session.token().unwrap());
    assert_eq!((token.as_str(), logins(&server)), ("t1", 2));
    assert!(took.as_millis() > 10, "{took:?}");
}

#[test]
fn retry_after_blocks_for_an_hour_at_most() {
    let server = FaultServer::plain(vec![closing(retry_after(503, 100_000)), closing(token("t1"))]);
    let session = with(&server);
    assert_eq!(session.token().unwrap_err().retry_after, 100_000);
    assert_eq!(session.token().unwrap_err().retry_after, 3600);
    pass_time(3600);
    assert_eq!(session.token().unwrap(), "t1");
}

#[test]
fn retry_after_of_a_waiting_login_ends_short_calls() {
    let server = FaultServer::plain(vec![gated(retry_after(429, 5))]);
    let (session, log) = logged(&server);
    let cancel = Cancel::new();
    let requests = [
        Wanted { cancel: Some(&cancel), timeout_ms: 60_000, ..Wanted::default() },
        Wanted { timeout_ms: 5_000, ..Wanted::default() },
    ];
    let done = together(
        2,
        &server,
        &log,
        |index| {
            let done = session.request(requests[index]).map(|token| token.text());
            if index == 1 {
                cancel.trigger();
            }
            done
        },
        || server.open_gate("respond"),
    );
    assert_eq!(done[0].as_ref().unwrap_err().code, CD_ERR_CANCELLED);
    let error = done[1].as_ref().unwrap_err();
    assert_eq!((error.code, error.attempts, error.retry_after), (CD_ERR_RATE_LIMITED, 0, 5));
    // The performer was cancelled during its wait, and the refusal is still remembered.
    let error = session.within(1_000).unwrap_err();
    assert_eq!((error.code, error.attempts, logins(&server)), (CD_ERR_RATE_LIMITED, 0, 1));
}

#[test]
fn refusal_with_a_stalled_body_is_remembered() {
    for (head, code) in [
        ("403 X", CD_ERR_ACCESS_DENIED),
        ("429 X\r\nRetry-After: 600", CD_ERR_RATE_LIMITED),
        ("503 X\r\nRetry-After: 600\r\nConnection: close", CD_ERR_UNAVAILABLE),
    ] {
        let response = format!("HTTP/1.1 {head}\r\nContent-Length: 100\r\n\r\n");
        let server = FaultServer::plain(vec![vec![Request, send(response)]]);
        let session = with(&server);
        assert_eq!(session.within(300).unwrap_err().code, CD_ERR_TIMEOUT);
        let error = session.within(300).unwrap_err();
        assert_eq!((error.code, error.attempts, logins(&server)), (code, 0, 1));
    }
}

#[test]
fn logger_of_a_login_may_use_its_session() {
    static SESSION: OnceLock<Session> = OnceLock::new();
    static HAS_ASKED: AtomicBool = AtomicBool::new(false);
    let server = FaultServer::plain(vec![closing(token("t1")), closing(token("t2"))]);
    let log = Log::with_callback(|line| {
        if line.message.starts_with("connected to") && !HAS_ASKED.swap(true, Ordering::Relaxed) {
            let token = SESSION.get().unwrap().within(5_000).unwrap();
            assert_eq!(token, "t2");
        }
    });
    let options = Options::to(&server.url());
    options.set_logger(&log, CD_LOG_DEBUG).unwrap();
    let session = SESSION.get_or_init(|| Session::new(options));
    assert_eq!(session.within(5_000).unwrap(), "t1");
    assert_eq!((session.token().unwrap().as_str(), logins(&server)), ("t1", 2));
}

#[test]
fn refusal_by_a_proxy_is_not_remembered() {
    let proxy =
        FaultServer::plain(vec![closing(b"HTTP/1.1 503 X\r\nRetry-After: 600\r\nContent-Length: 0\r\n\r\n")]);
    let options = Options::to("https://api.couchdrop.test");
    options.set_proxy(Some(&proxy.url())).unwrap();
    options.set_max_retries(0).unwrap();
    let session = Session::new(options);
    for connections in 1..3 {
        let error = session.token().unwrap_err();
        assert_eq!((error.code, error.retry_after), (CD_ERR_PROXY, 600));
        assert_eq!(proxy.connections().len(), connections);
    }
}

#[test]
fn other_errors_are_not_remembered() {
    let server = FaultServer::plain(vec![
        closing(json_response(500, "{}")),
        closing(json_response(418, "{}")),
        closing(json_response(429, "{}")),
        closing(json_response(200, "{}")),
        closing(token("t1")),
    ]);
    let options = Options::to(&server.url());
    options.set_max_retries(0).unwrap();
    let session = Session::new(options);
    for code in [CD_ERR_SERVER, CD_ERR_HTTP_STATUS, CD_ERR_RATE_LIMITED, CD_ERR_MALFORMED_RESPONSE] {
        assert_eq!(session.token().unwrap_err().code, code);
    }
    assert_eq!(session.token().unwrap(), "t1");
}

// ---- fork

/// Runs `child` in a child process, which SIGALRM ends if it hangs. Returns true if `child` did.
fn in_child(child: impl FnOnce() -> bool) -> bool {
    unsafe {
        let pid = libc::fork();
        if pid == 0 {
            libc::alarm(30);
            libc::_exit(if child() { 0 } else { 1 });
        }
        let mut status = -1;
        libc::waitpid(pid, &mut status, 0);
        status == 0
    }
}

#[test]
fn child_begins_with_the_parents_token_and_refusals() {
    let server = issuing(2);
    let session = with(&server);
    session.token().unwrap();
    assert!(in_child(|| session.peek().as_deref() == Some("t1") && session.token().unwrap() == "t1"));
    assert_eq!(logins(&server), 1);
    pass_time(100);
    assert!(in_child(|| session.renew("t1").unwrap() == "t2" && session.token().unwrap() == "t2"));
    // The child's new token is its own.
    assert_eq!((session.token().unwrap().as_str(), logins(&server)), ("t1", 2));

    let server = FaultServer::plain(vec![closing(json_response(403, "{}"))]);
    let session = with(&server);
    session.token().unwrap_err();
    assert!(in_child(|| session.token().unwrap_err().attempts == 0));
    assert_eq!(logins(&server), 1);
}

#[test]
fn child_logs_in_while_a_parents_login_waits() {
    let server = FaultServer::plain(vec![gated(token("t1")), closing(token("t2"))]);
    let (session, log) = logged(&server);
    let tokens = together(
        3,
        &server,
        &log,
        |_| session.token().unwrap(),
        || {
            assert!(in_child(|| session.peek().is_none() && session.token().unwrap() == "t2"));
            server.open_gate("respond");
        },
    );
    assert_eq!((tokens, logins(&server)), (vec!["t1".to_owned(); 3], 2));
}

// ---- arguments

#[test]
fn session_checks_its_arguments() {
    let options = Options::to("http://127.0.0.1:9");
    let (ada, none) = (c"ada@example.com".as_ptr(), ptr::null());
    let long = c("x".repeat(65_537));
    let refused = |username, password| new_session(&options, username, password).unwrap_err().code;
    assert_eq!(refused(none, ada), CD_ERR_NULL_ARGUMENT);
    assert_eq!(refused(ada, none), CD_ERR_NULL_ARGUMENT);
    assert_eq!(refused(c"".as_ptr(), ada), CD_ERR_EMPTY_ARGUMENT);
    assert_eq!(refused(ada, c"\xff".as_ptr()), CD_ERR_INVALID_UTF8);
    assert_eq!(refused(ada, long.as_ptr()), CD_ERR_OUT_OF_RANGE);
    options.set_timeout_ms(1000).expect("a refused session freezes nothing");

    let session = Session::new(options);
    let refused = |rejected: *const c_char, timeout_ms| -> cd_code {
        let mut token = garbage::<cd_token>();
        let done = call(|error| unsafe {
            cd_session_token(session.raw, ptr::null(), timeout_ms, rejected, &mut token, error)
        });
        assert!(token.is_null());
        done.unwrap_err().code
    };
    assert_eq!(refused(c"\xff".as_ptr(), 0), CD_ERR_INVALID_UTF8);
    assert_eq!(refused(long.as_ptr(), 0), CD_ERR_OUT_OF_RANGE);
    assert_eq!(refused(none, 3_600_001), CD_ERR_OUT_OF_RANGE);
    assert_eq!(code(session.options.set_timeout_ms(1)), CD_ERR_OPTIONS_IN_USE);
}

#[test]
fn bad_environment_variable_is_refused_by_a_new_session() {
    for (name, value, code) in
        [("HTTPS_PROXY", "gopher://x", CD_ERR_PROXY), ("SSL_CERT_FILE", "/nonexistent", CD_ERR_TLS)]
    {
        let options = Options::new();
        options.set_environment(name, Some(value)).unwrap();
        let error = new_session(&options, c"ada".as_ptr(), c"x".as_ptr()).unwrap_err();
        assert_eq!(error.code, code);
        assert!(error.message.contains(name), "{error:?}");
        options.set_timeout_ms(1000).expect("nothing was frozen");
    }
}
