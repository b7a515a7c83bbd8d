//! Stopping a call from another thread or a check, at each point where it waits, and the timeout of a call.

mod common;

use std::ffi::c_void;
use std::fs;
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use couchdrop::error::cd_code::*;
use couchdrop::ffi::cancel::{cd_cancel, cd_cancel_trigger};
use couchdrop::ffi::options::CD_LOG_DEBUG;
use fake_server::{FakeServer, PASSWORD};

use common::log::Log;
use common::{Cancel, Error, Login, Options, PATIENCE, timed, timed_out_after};
use fault_server::{BlackHole, FaultServer, Step, reply_token, reply_with, send};

const SLOW: &str = "slow@example.com";
/// Much longer than the promised 50 ms, because the machine may be busy.
const SOON: Duration = Duration::from_secs(2);

// ---- a call on its own thread

/// A thread that is inside a call.
#[derive(Clone, Copy)]
struct Caller {
    id: libc::pid_t,
    handle: libc::pthread_t,
}

impl Caller {
    fn this() -> Caller {
        unsafe { Caller { id: libc::gettid(), handle: libc::pthread_self() } }
    }

    /// Waits until the kernel reports the thread as sleeping: in this library it is then in `poll`.
    fn wait_until_asleep(self) {
        let started = Instant::now();
        loop {
            let stat = fs::read_to_string(format!("/proc/self/task/{}/stat", self.id)).unwrap();
            // The name of the thread is in parentheses and may contain any character.
            let state = stat.rsplit(')').next().unwrap().trim_start();
            if state.starts_with('S') {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "the call never started to wait");
            thread::yield_now();
        }
    }

    fn signal(self, signal: libc::c_int) {
        assert_eq!(unsafe { libc::pthread_kill(self.handle, signal) }, 0);
    }
}

/// Makes a call on its own thread, waits until `reached` returns and the thread sleeps, and stops the call. Checks that
/// it was cancelled, and returns the error and the time until the call returned.
fn stopped(
    what: &str,
    call: impl FnOnce() -> Result<(), Error> + Send,
    reached: impl FnOnce(),
    stop: impl FnOnce(Caller),
) -> Error {
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        let running = scope.spawn(move || {
            sender.send(Caller::this()).unwrap();
            (call(), Instant::now())
        });
        let caller = receiver.recv().unwrap();
        reached();
        caller.wait_until_asleep();
        let at = Instant::now();
        stop(caller);
        let (done, returned) = running.join().unwrap();
        let error = done.expect_err(what);
        let took = returned.saturating_duration_since(at);
        println!("{what}: stopped after {} µs", took.as_micros());
        assert_eq!(error.code, CD_ERR_CANCELLED, "{what}: {}", error.message);
        assert!(took < SOON, "{what}: stopped after {took:?}");
        error
    })
}

fn login(login: Login) -> Result<(), Error> {
    login.run().map(drop)
}

/// A connection on which the request can't be written in full. The peer accepts it and reads nothing, its window is
/// small, and so is the kernel's buffer for small segments.
struct BlockedSend {
    options: Options,
    username: String,
    listener: socket2::Socket,
    log: std::sync::Arc<Log>,
}

impl BlockedSend {
    fn new() -> BlockedSend {
        let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        listener.set_recv_buffer_size(4 << 10).unwrap();
        listener.set_tcp_mss(536).unwrap();
        listener.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(16).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let log = Log::new();
        let options = Options::to(&format!("http://{address}"));
        options.set_logger(&log, CD_LOG_DEBUG).unwrap();
        // Each is three bytes in a form: this is the longest possible request.
        BlockedSend { options, username: "%".repeat(64 << 10), listener, log }
    }

    /// The server's end of a connection on which bytes have arrived.
    fn accept_with_data(&self) -> socket2::Socket {
        let (server, _) = self.listener.accept().unwrap();
        assert_eq!(server.peek(&mut [std::mem::MaybeUninit::uninit()]).unwrap(), 1);
        server
    }

    fn login(&self) -> Login<'_> {
        let all = Some(self.username.as_str());
        Login { username: &self.username, password: &self.username, system: all, ..Login::of(&self.options) }
    }
}

// ---- a trigger

#[test]
fn triggered_handle_sends_nothing() {
    let silent = FaultServer::silent();
    let cancel = Cancel::new();
    cancel.trigger();
    for scheme in ["http", "https"] {
        let options = Options::to(&format!("{scheme}://{}", silent.address()));
        let error = Login { cancel: Some(&cancel), ..Login::of(&options) }.run().unwrap_err();
        assert_eq!((error.code, error.http_status, error.attempts), (CD_ERR_CANCELLED, 0, 0));
        assert_eq!(options.connect_within(0, Some(&cancel)).unwrap_err(), error);
    }
    assert_eq!(silent.connected(), 0, "no connection was made");
}

#[test]
fn trigger_stops_connect() {
    let hole = BlackHole::new();
    type Run = fn(&Options, &Cancel) -> Result<(), Error>;
    let runs: [(&str, Run); 2] = [
        ("a login that connects", |options, cancel| {
            login(Login { cancel: Some(cancel), ..Login::of(options) })
        }),
        ("cd_connect that connects", |options, cancel| options.connect_within(0, Some(cancel))),
    ];
    for (what, run) in runs {
        let (cancel, log) = (Cancel::new(), Log::new());
        let options = Options::to(&hole.url());
        options.set_logger(&log, CD_LOG_DEBUG).unwrap();
        let error =
            stopped(what, || run(&options, &cancel), || log.wait_for("connecting to"), |_| cancel.trigger());
        assert_eq!((error.http_status, error.attempts), (0, 0));
    }
}

#[test]
fn trigger_stops_tls_handshake() {
    let silent = FaultServer::silent();
    let cancel = Cancel::new();
    let options = Options::to_silent(&silent);
    let error = stopped(
        "a login in the TLS handshake",
        || login(Login { cancel: Some(&cancel), ..Login::of(&options) }),
        || silent.wait_for_bytes(0),
        |_| cancel.trigger(),
    );
    assert_eq!((error.http_status, error.attempts), (0, 0));

    let cancel = Cancel::new();
    let options = Options::to_silent(&silent);
    stopped(
        "cd_connect in the TLS handshake",
        || options.connect_within(0, Some(&cancel)),
        || silent.wait_for_bytes(1),
        |_| cancel.trigger(),
    );
}

#[test]
fn trigger_stops_wait_for_response() {
    let fake_server = FakeServer::start();
    for (number, options) in
        [Options::to(fake_server.http_url()), Options::secure(&fake_server)].iter().enumerate()
    {
        let cancel = Cancel::new();
        let error = stopped(
            "a login that waits for its response",
            || login(Login { cancel: Some(&cancel), username: SLOW, ..Login::of(options) }),
            || assert!(fake_server.wait_for_requests(number + 1, PATIENCE)),
            |_| cancel.trigger(),
        );
        assert_eq!((error.http_status, error.attempts), (0, 1));
    }
}

#[test]
fn trigger_stops_blocked_send() {
    let clogged = BlockedSend::new();
    let cancel = Cancel::new();
    let error = stopped(
        "a login that is being sent",
        || login(Login { cancel: Some(&cancel), ..clogged.login() }),
        || clogged.log.wait_for("connected to"),
        |_| cancel.trigger(),
    );
    assert_eq!((error.http_status, error.attempts), (0, 1));
}

#[test]
fn trigger_stops_backoff() {
    let server = FaultServer::replying([reply_with(429, "Retry-After: 2\r\n", r#"{"error":"slow down"}"#)]);
    let (cancel, log) = (Cancel::new(), Log::new());
    let options = Options::to(&server.url());
    options.set_logger(&log, CD_LOG_DEBUG).unwrap();
    let error = stopped(
        "a login in its back-off",
        || login(Login { cancel: Some(&cancel), ..Login::of(&options) }),
        || log.wait_for("retrying in"),
        |_| cancel.trigger(),
    );
    // The last attempt has received its response.
    assert_eq!((error.http_status, error.attempts, error.retry_after), (429, 1, 2));
    assert_eq!(error.server_message.as_deref(), Some("slow down"));
    assert_eq!(server.requests().len(), 1);
}

/// The status of an earlier attempt is not reported.
#[test]
fn cancelled_retry_has_no_status() {
    let server = FaultServer::replying([reply_with(503, "", "busy"), Vec::new()]);
    let cancel = Cancel::new();
    let options = Options::to(&server.url());
    let error = stopped(
        "a login in its second attempt",
        || login(Login { cancel: Some(&cancel), ..Login::of(&options) }),
        || server.wait_for_requests(2),
        |_| cancel.trigger(),
    );
    assert_eq!((error.http_status, error.attempts, error.server_message), (0, 2, None));
}

#[test]
fn trigger_stops_only_calls_of_its_handle() {
    let fake_server = FakeServer::start();
    let options = Options::to(fake_server.http_url());
    let (cancel, other) = (Cancel::new(), Cancel::new());
    thread::scope(|scope| {
        let run = |cancel| {
            let options = &options;
            scope.spawn(move || login(Login { cancel: Some(cancel), username: SLOW, ..Login::of(options) }))
        };
        let (calls, others) = ([(); 4].map(|()| run(&cancel)), run(&other));
        assert!(fake_server.wait_for_requests(5, PATIENCE));
        cancel.trigger();
        for call in calls {
            assert_eq!(call.join().unwrap().unwrap_err().code, CD_ERR_CANCELLED);
        }
        assert!(!others.is_finished() && !other.is_triggered());
        other.trigger();
        assert_eq!(others.join().unwrap().unwrap_err().code, CD_ERR_CANCELLED);
    });
}

#[test]
fn untriggered_handle_has_no_effect() {
    let fake_server = FakeServer::start();
    let options = Options::secure(&fake_server);
    let cancel = Cancel::new();
    for _ in 0..3 {
        login(Login { cancel: Some(&cancel), ..Login::of(&options) }).unwrap();
        options.connect_within(0, Some(&cancel)).unwrap();
    }
    assert!(!cancel.is_triggered());
    assert_eq!(fake_server.connections().https.accepted, 1);
}

#[test]
fn login_after_a_cancelled_one_succeeds() {
    let fake_server = FakeServer::start();
    let options = Options::secure(&fake_server);
    login(Login::of(&options)).unwrap();
    let cancel = Cancel::new();
    stopped(
        "a login on a reused connection",
        || login(Login { cancel: Some(&cancel), username: SLOW, ..Login::of(&options) }),
        || assert!(fake_server.wait_for_requests(2, PATIENCE)),
        |_| cancel.trigger(),
    );
    // The connection with the pending response is closed.
    login(Login::of(&options)).unwrap();
    assert_eq!(fake_server.connections().https.accepted, 2);
}

#[test]
fn trigger_preserves_errno() {
    let fake_server = FakeServer::start();
    let options = Options::to(fake_server.http_url());
    let cancel = Cancel::new();
    login(Login { cancel: Some(&cancel), ..Login::of(&options) }).unwrap(); // from here on the handle has a descriptor
    for _ in 0..2 {
        unsafe { *libc::__errno_location() = 77 };
        cancel.trigger();
        assert_eq!(unsafe { *libc::__errno_location() }, 77);
    }
}

/// The handle that the signal handler triggers.
static IN_HANDLER: AtomicPtr<cd_cancel> = AtomicPtr::new(ptr::null_mut());

extern "C" fn trigger_in_handler(_: libc::c_int) {
    unsafe { cd_cancel_trigger(IN_HANDLER.load(Ordering::SeqCst)) };
}

/// Installs `handler` for `signal`, without SA_RESTART: an interrupted system call is not restarted.
fn handle(signal: libc::c_int, handler: extern "C" fn(libc::c_int)) {
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as usize;
        assert_eq!(libc::sigaction(signal, &action, ptr::null_mut()), 0);
    }
}

#[test]
fn signal_handler_stops_call_on_any_thread() {
    handle(libc::SIGUSR1, trigger_in_handler);
    let fake_server = FakeServer::start();
    let options = Options::secure(&fake_server);
    type Raise = fn(Caller);
    let raises: [(&str, Raise); 2] = [
        ("by a signal on the thread of the call", |caller| caller.signal(libc::SIGUSR1)),
        ("by a signal on another thread", |_| Caller::this().signal(libc::SIGUSR1)),
    ];
    for (number, (what, raise)) in raises.into_iter().enumerate() {
        let cancel = Cancel::new();
        IN_HANDLER.store(cancel.raw, Ordering::SeqCst);
        let error = stopped(
            what,
            || login(Login { cancel: Some(&cancel), username: SLOW, ..Login::of(&options) }),
            || assert!(fake_server.wait_for_requests(number + 1, PATIENCE)),
            raise,
        );
        assert_eq!((error.http_status, error.attempts), (0, 1));
    }
}

// ---- a check

/// A check: the thread of each call to it, and its result.
#[derive(Default)]
struct CheckCalls {
    threads: Mutex<Vec<ThreadId>>,
    /// The call to the check that returns stop; 0 means none.
    stop_at: usize,
    /// Stop only on this thread.
    stop_on: Mutex<Option<ThreadId>>,
}

impl CheckCalls {
    fn times(&self) -> usize {
        self.threads.lock().unwrap().len()
    }
}

unsafe extern "C" fn check(user_data: *mut c_void) -> i32 {
    let calls = unsafe { &*user_data.cast::<CheckCalls>() };
    let this = thread::current().id();
    let times = {
        let mut threads = calls.threads.lock().unwrap();
        threads.push(this);
        threads.len()
    };
    let stop = times == calls.stop_at || *calls.stop_on.lock().unwrap() == Some(this);
    if stop { -7 } else { 0 } // any number but 0
}

/// The number of times a check is called during a login that times out after 500 ms without a response. It is the
/// maximum of a few runs, because a busy machine delays calls. Checks that every call is on the login's thread.
fn checks_in_500_ms(options: &Options) -> usize {
    let mut most = 0;
    for _ in 0..5 {
        let calls = CheckCalls::default();
        let cancel = Cancel::with_check(check, &calls);
        let slow = Login { cancel: Some(&cancel), timeout_ms: 500, username: SLOW, ..Login::of(options) };
        assert_eq!(login(slow).unwrap_err().code, CD_ERR_TIMEOUT);
        assert!(calls.threads.lock().unwrap().iter().all(|thread| *thread == thread::current().id()));
        println!("check called {} times in 500 ms", calls.times());
        most = most.max(calls.times());
        if most >= 8 {
            break;
        }
    }
    most
}

#[test]
fn check_runs_every_50_ms_on_the_calling_thread() {
    let fake_server = FakeServer::start();
    let calls = checks_in_500_ms(&Options::to(fake_server.http_url()));
    assert!((8..=20).contains(&calls), "check called {calls} times");
}

#[test]
fn check_runs_as_often_while_bytes_arrive() {
    // A head that never ends. The pauses are part of this server's behaviour: they are shorter than the 50 ms.
    let endless = Step::Trickle { bytes: b"x".to_vec(), pause: Duration::from_millis(35) };
    let server = FaultServer::plain(vec![vec![Step::Request, send("HTTP/1.1 200 OK\r\nX: "), endless]]);
    let options = Options::to(&server.url());
    let calls = checks_in_500_ms(&options);
    assert!((8..=20).contains(&calls), "check called {calls} times");
}

#[test]
fn check_stops_every_wait() {
    let fake_server = FakeServer::start();
    let (hole, silent, clogged) = (BlackHole::new(), FaultServer::silent(), BlockedSend::new());
    let server = FaultServer::responding(|_| reply_with(429, "Retry-After: 10\r\n", ""));
    let (http, secure) = (Options::to(fake_server.http_url()), Options::secure(&fake_server));
    let (connecting, shaking) = (Options::to(&hole.url()), Options::to_silent(&silent));
    let backing_off = Options::to(&server.url());
    for (what, call, attempts) in [
        ("connecting", Login::of(&connecting), 0),
        ("in the TLS handshake", Login::of(&shaking), 0),
        ("sending", clogged.login(), 1),
        ("waiting for the response", Login { username: SLOW, ..Login::of(&http) }, 1),
        ("waiting for the response over TLS", Login { username: SLOW, ..Login::of(&secure) }, 1),
        ("waiting before a retry", Login::of(&backing_off), 1),
    ] {
        let calls = CheckCalls { stop_at: 4, ..CheckCalls::default() };
        let cancel = Cancel::with_check(check, &calls);
        let (done, took) = timed(|| login(Login { cancel: Some(&cancel), ..call }));
        let error = done.unwrap_err();
        assert_eq!((error.code, error.attempts), (CD_ERR_CANCELLED, attempts), "{what}: {}", error.message);
        println!("{what}: the fourth question after {} ms", took.as_millis());
        assert_eq!(calls.times(), 4, "{what}: the check was called again after it returned stop");
        assert!(took < SOON, "{what}: {took:?}");
        assert!(!cancel.is_triggered(), "only that call");
    }
}

#[test]
fn check_stops_cd_connect() {
    let silent = FaultServer::silent();
    let calls = CheckCalls { stop_at: 2, ..CheckCalls::default() };
    let cancel = Cancel::with_check(check, &calls);
    let options = Options::to_silent(&silent);
    assert_eq!(options.connect_within(0, Some(&cancel)).unwrap_err().code, CD_ERR_CANCELLED);
    assert_eq!(calls.times(), 2);
}

#[test]
fn check_stops_only_its_call() {
    let fake_server = FakeServer::start();
    let options = Options::to(fake_server.http_url());
    let calls = CheckCalls::default();
    let cancel = Cancel::with_check(check, &calls);
    let slow = Login { cancel: Some(&cancel), timeout_ms: 20_000, username: SLOW, ..Login::of(&options) };
    thread::scope(|scope| {
        let [one, other] = [(); 2].map(|()| scope.spawn(move || login(slow)));
        assert!(fake_server.wait_for_requests(2, PATIENCE));
        *calls.stop_on.lock().unwrap() = Some(one.thread().id());
        assert_eq!(one.join().unwrap().unwrap_err().code, CD_ERR_CANCELLED);
        assert!(!other.is_finished() && !cancel.is_triggered());
        // The handle is still usable.
        login(Login { username: "ada@example.com", ..slow }).unwrap();
        cancel.trigger();
        assert_eq!(other.join().unwrap().unwrap_err().code, CD_ERR_CANCELLED);
    });
}

#[test]
fn handle_with_a_check_can_be_triggered() {
    let fake_server = FakeServer::start();
    let options = Options::to(fake_server.http_url());
    let calls = CheckCalls::default();
    let cancel = Cancel::with_check(check, &calls);
    stopped(
        "a login with a check, by a trigger",
        || login(Login { cancel: Some(&cancel), username: SLOW, ..Login::of(&options) }),
        || assert!(fake_server.wait_for_requests(1, PATIENCE)),
        |_| cancel.trigger(),
    );
}

static SIGNALS: AtomicUsize = AtomicUsize::new(0);

extern "C" fn note_signal(_: libc::c_int) {
    SIGNALS.fetch_add(1, Ordering::SeqCst);
}

unsafe extern "C" fn check_for_signals(_: *mut c_void) -> i32 {
    SIGNALS.load(Ordering::SeqCst) as i32
}

#[test]
fn signal_runs_the_check_at_once() {
    handle(libc::SIGUSR2, note_signal);
    let fake_server = FakeServer::start();
    let options = Options::to(fake_server.http_url());
    let cancel = Cancel::with_check(check_for_signals, &());
    // Like Python: the signal handler only notes the signal, and the check then runs the host's code.
    stopped(
        "a login whose host got a signal",
        || login(Login { cancel: Some(&cancel), username: SLOW, ..Login::of(&options) }),
        || assert!(fake_server.wait_for_requests(1, PATIENCE)),
        |caller| caller.signal(libc::SIGUSR2),
    );
}

#[test]
fn signal_without_trigger_does_not_end_a_wait() {
    handle(libc::SIGALRM, ignore_signal);
    let fake_server = FakeServer::start();
    let options = Options::to(fake_server.http_url());
    let cancel = Cancel::new();
    stopped(
        "a login that a signal has interrupted",
        || login(Login { cancel: Some(&cancel), username: SLOW, ..Login::of(&options) }),
        || assert!(fake_server.wait_for_requests(1, PATIENCE)),
        |caller| {
            for _ in 0..10 {
                caller.signal(libc::SIGALRM);
                caller.wait_until_asleep();
            }
            cancel.trigger();
        },
    );
}

extern "C" fn ignore_signal(_: libc::c_int) {}

// ---- timeouts

/// It may be shorter or longer than the timeout of the options.
#[test]
fn timeout_of_a_call_overrides_the_options() {
    let fake_server = FakeServer::start();
    for (of_options, own, expected) in [(100, 0, 100), (20_000, 100, 100), (50, 200, 200)] {
        let options = Options::to(fake_server.http_url());
        options.set_timeout_ms(of_options).unwrap();
        let slow = Login { timeout_ms: own, username: SLOW, ..Login::of(&options) };
        let (done, took) = timed(|| login(slow));
        let error = done.unwrap_err();
        assert!((expected..expected + 10_000).contains(&timed_out_after(&error)), "{}", error.message);
        assert!(took >= Duration::from_millis(expected), "{took:?}");
    }
}

#[test]
fn timeout_message_has_phase_and_duration() {
    let fake_server = FakeServer::start();
    let (hole, silent, clogged) = (BlackHole::new(), FaultServer::silent(), BlockedSend::new());
    let slow = Options::secure(&fake_server);
    slow.connect().unwrap(); // so that the login only waits for its response
    let (connecting, shaking) = (Options::to(&hole.url()), Options::to_silent(&silent));
    for (phase, call, attempts) in [
        ("connecting", Login::of(&connecting), 0),
        ("in the TLS handshake", Login::of(&shaking), 0),
        ("sending the login", clogged.login(), 1),
        ("waiting for the response", Login { username: SLOW, ..Login::of(&slow) }, 1),
    ] {
        let error = timed_out_in(phase, 200, |timeout_ms| login(Login { timeout_ms, ..call }));
        assert!((200..10_000).contains(&timed_out_after(&error)), "{}", error.message);
        assert!(error.message.starts_with("The deadline passed after "), "{}", error.message);
        assert_eq!((error.http_status, error.attempts, error.retry_after), (0, attempts, -1), "{phase}");
    }
    for (phase, options) in [("connecting", &connecting), ("in the TLS handshake", &shaking)] {
        let error = timed_out_in(phase, 50, |timeout_ms| options.connect_within(timeout_ms, None));
        assert!((50..10_000).contains(&timed_out_after(&error)), "{}", error.message);
    }
}

#[test]
fn response_during_send_is_accepted() {
    let clogged = BlockedSend::new();
    thread::scope(|scope| {
        let login = scope.spawn(|| clogged.login().run().map(drop));
        let server = clogged.accept_with_data();
        server.send(b"HTTP/1.1 413 Payload Too Large\r\nContent-Length: 0\r\n\r\n").unwrap();
        let error = login.join().unwrap().unwrap_err();
        assert_eq!((error.code, error.http_status, error.attempts), (CD_ERR_HTTP_STATUS, 413, 1));
    });
}

#[test]
fn reset_during_send_is_a_lost_connection() {
    let clogged = BlockedSend::new();
    thread::scope(|scope| {
        let login = scope.spawn(|| clogged.login().run().map(drop));
        let server = clogged.accept_with_data();
        // Unread data on close causes a reset.
        drop(server);
        let error = login.join().unwrap().unwrap_err();
        assert_eq!((error.code, error.attempts), (CD_ERR_CONNECTION_LOST, 1), "{}", error.message);
    });
}

/// The error of a call that times out in this phase. A busy machine may need more time to reach it.
fn timed_out_in(phase: &str, timeout_ms: u32, call: impl Fn(u32) -> Result<(), Error>) -> Error {
    let end = format!(" ms, {phase}.");
    let mut tried = (0..6).map(|more| call(timeout_ms << more).expect_err(phase));
    tried.find(|error| error.message.ends_with(&end)).expect(phase)
}

#[test]
fn connect_timeout_is_retried_and_named() {
    let silent = FaultServer::silent();
    let log = Log::new();
    let options = Options::to_silent(&silent);
    options.set_connect_timeout_ms(100).unwrap().set_max_retries(2).unwrap();
    options.set_logger(&log, CD_LOG_DEBUG).unwrap();
    let error = options.login("ada@example.com", PASSWORD).unwrap_err();
    assert!((100..10_000).contains(&timed_out_after(&error)), "{}", error.message);
    assert!(error.message.starts_with("The connect timeout passed after "), "{}", error.message);
    assert!(error.message.ends_with(", in the TLS handshake."), "{}", error.message);
    assert_eq!((error.http_status, error.attempts), (0, 0));
    assert_eq!((silent.connected(), log.count("retrying in")), (3, 2));
}

#[test]
fn connect_timeout_includes_tcp_connect() {
    let hole = BlackHole::new();
    let log = Log::new();
    let options = Options::to(&hole.url());
    options.set_connect_timeout_ms(50).unwrap().set_max_retries(1).unwrap();
    options.set_logger(&log, CD_LOG_DEBUG).unwrap();
    let error = options.login("ada@example.com", PASSWORD).unwrap_err();
    assert!(error.message.starts_with("The connect timeout passed after "), "{}", error.message);
    assert!(error.message.ends_with(", connecting."), "{}", error.message);
    assert_eq!((error.code, error.attempts, log.count("connecting to")), (CD_ERR_TIMEOUT, 0, 2));
}

#[test]
fn connect_timeout_does_not_limit_the_response() {
    let server = FaultServer::responding(|_| {
        // Longer than the connect timeout, as this test requires.
        thread::sleep(Duration::from_millis(300));
        reply_token("t")
    });
    let options = Options::to(&server.url());
    options.set_connect_timeout_ms(200).unwrap();
    options.login("ada@example.com", PASSWORD).unwrap();
}

#[test]
fn deadline_includes_retries() {
    let silent = FaultServer::silent();
    let options = Options::to_silent(&silent);
    options.set_connect_timeout_ms(200).unwrap().set_max_retries(10).unwrap();
    let (done, took) = timed(|| login(Login { timeout_ms: 300, ..Login::of(&options) }));
    timed_out_after(&done.unwrap_err());
    // Eleven attempts of 200 ms would take longer.
    assert!((Duration::from_millis(200)..SOON).contains(&took), "{took:?}");
}

/// The status of an earlier attempt is not reported.
#[test]
fn timed_out_retry_has_no_status() {
    let server = FaultServer::replying([reply_with(429, "Retry-After: 0\r\n", "slow down"), Vec::new()]);
    let options = Options::to(&server.url());
    let error = login(Login { timeout_ms: 300, ..Login::of(&options) }).unwrap_err();
    assert!(timed_out_after(&error) >= 300);
    assert_eq!((error.http_status, error.attempts, error.retry_after), (0, 2, -1));
    assert_eq!(error.server_message, None);
}
