//! fork() at any moment: while other threads of the parent are in lookups, handshakes and logins.

use std::ffi::CStr;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use couchdrop::config::Config;
use couchdrop::context::{CallContext, HostCheck};
use couchdrop::error::{Error, ErrorKind, cd_code};
use couchdrop::logger::{Level, Logger};
use couchdrop::login::{Client, Credentials};
use fake_server::{FakeServer, PASSWORD};

const ADA: Credentials<'static> =
    Credentials { username: "ada@example.com", password: PASSWORD, system: None };
const CHILDREN_AT_ONCE: usize = 4;
/// The timeouts of a child's login, of a login that must end early, and of one that would count as hung.
const CHILDS_DEADLINE: Duration = Duration::from_secs(4);
const SHORT: Duration = Duration::from_millis(300);
const HUNG: Duration = Duration::from_secs(30);

/// `COUCHDROP_TEST_FORKS` for a longer run.
fn forks() -> usize {
    std::env::var("COUCHDROP_TEST_FORKS").ok().and_then(|count| count.parse().ok()).unwrap_or(400)
}

/// Lets the parent's threads start one operation for each fork, so that each fork happens while they run.
#[derive(Default)]
struct Rounds {
    round: Mutex<u64>,
    changed: Condvar,
}

impl Rounds {
    const OVER: u64 = u64::MAX;

    fn advance(&self, round: impl FnOnce(u64) -> u64) {
        let mut current = self.round.lock().unwrap();
        *current = round(*current);
        self.changed.notify_all();
    }

    /// Runs `work` once in each round that it is in time for, until the test ends.
    fn run_each(&self, work: impl Fn()) {
        let mut seen = 0;
        loop {
            let current =
                self.changed.wait_while(self.round.lock().unwrap(), |round| *round == seen).unwrap();
            seen = *current;
            drop(current);
            if seen == Rounds::OVER {
                return;
            }
            work();
        }
    }
}

fn service(server: &FakeServer, base_url: &str, change: impl FnOnce(&mut Config)) -> Client {
    let mut settings = Config::default();
    settings.set_base_url(base_url).unwrap();
    settings.set_ca_file(server.ca_file().to_str().unwrap()).unwrap();
    settings.set_proxy(None).unwrap();
    change(&mut settings);
    Client::new(settings).unwrap()
}

fn login(service: &Client, timeout: Duration) -> Result<(), ErrorKind> {
    service.login(&CallContext::new(timeout, None, None), &ADA).map(drop).map_err(|error| error.kind)
}

/// Runs `child` in a child process. SIGALRM ends a child that hangs.
fn fork(child: impl FnOnce() -> i32) -> libc::pid_t {
    // SAFETY: the child does nothing but `child`, and leaves without running what the parent registered.
    match unsafe { libc::fork() } {
        0 => unsafe {
            libc::alarm(HUNG.as_secs() as u32);
            libc::_exit(child())
        },
        id => {
            assert!(id > 0, "fork failed");
            id
        }
    }
}

/// Waits for a child. Returns its exit status, or the negative number of the signal that ended it.
fn status(child: libc::pid_t) -> i32 {
    let mut status = 0;
    // SAFETY: our own child; `status` is local.
    unsafe { libc::waitpid(child, &mut status, 0) };
    if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { -libc::WTERMSIG(status) }
}

const GOOD: i32 = 0;

fn outcome(result: Result<(), ErrorKind>, allowed: &[cd_code]) -> i32 {
    match result {
        Ok(()) => GOOD,
        Err(kind) if allowed.contains(&kind.code()) => GOOD,
        Err(kind) => kind.code() as i32 / 1000 * 10 + kind.code() as i32 % 10,
    }
}

/// Each child logs in or fails by its deadline.
#[test]
fn children_finish_and_parent_logins_succeed() {
    let server = FakeServer::start();
    let kept = service(&server, server.https_url(), |_| ());
    // This name makes the system do a lookup, which may fail; the certificate is not valid for it.
    let port = server.https_url().rsplit_once(':').unwrap().1;
    let named = service(&server, &format!("https://ip6-localhost:{port}"), |settings| {
        settings.set_max_retries(0).unwrap();
    });
    let named_may_end =
        [cd_code::CD_ERR_DNS, cd_code::CD_ERR_TLS, cd_code::CD_ERR_TIMEOUT, cd_code::CD_ERR_CONNECT];
    login(&kept, HUNG).unwrap();

    let rounds = Rounds::default();
    let parents = AtomicU64::new(0);
    let (mut bad, mut hung) = (Vec::new(), 0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            // logins on pooled connections, which the children must not use
            scope.spawn(|| {
                rounds.run_each(|| {
                    login(&kept, HUNG).expect("the parent's logins succeed");
                    parents.fetch_add(1, Ordering::Relaxed);
                });
            });
        }
        scope.spawn(|| {
            // clients are created and freed, each with its own handshake
            rounds.run_each(|| {
                login(&service(&server, server.https_url(), |_| ()), HUNG)
                    .expect("the parent's logins succeed")
            });
        });
        scope.spawn(|| {
            rounds.run_each(|| {
                let ended = login(&named, HUNG).expect_err("no certificate for this name");
                assert!(named_may_end.contains(&ended.code()), "{ended}");
            });
        });
        let mut children = std::collections::VecDeque::new();
        for index in 0..forks() {
            rounds.advance(|round| round + 1);
            children.push_back(fork(|| match index % 4 {
                0 | 1 => outcome(login(&kept, CHILDS_DEADLINE), &[]),
                // If the fork interrupted a lookup, the C library's locks stay held in the child. The child's lookup
                // then hangs, and the timeout ends the call.
                2 => outcome(login(&named, SHORT), &named_may_end),
                _ => {
                    // Freeing the parent's objects must not affect its connections, and the same holds for a
                    // grandchild.
                    let grandchild = fork(|| outcome(login(&kept, CHILDS_DEADLINE), &[]));
                    status(grandchild).unsigned_abs() as i32
                }
            }));
            if children.len() == CHILDREN_AT_ONCE || index + 1 == forks() {
                for child in children.drain(..) {
                    match status(child) {
                        GOOD => {}
                        status if status.abs() == libc::SIGALRM => hung += 1,
                        other => bad.push(other),
                    }
                }
            }
        }
        rounds.advance(|_| Rounds::OVER);
    });
    println!(
        "{} children, {} logins of the parent meanwhile, {hung} hung, bad: {bad:?}",
        forks(),
        parents.into_inner()
    );
    assert!(hung == 0 && bad.is_empty(), "{hung} hung; exit states of those that failed: {bad:?}");
}

#[test]
fn child_freeing_handles_keeps_parents_connection() {
    let server = FakeServer::start();
    let kept = Box::new(service(&server, server.https_url(), |_| ()));
    login(&kept, HUNG).unwrap();
    let pointer = Box::into_raw(kept);
    let child = fork(|| {
        // SAFETY: the child's own copy.
        drop(unsafe { Box::from_raw(pointer) });
        GOOD
    });
    assert_eq!(status(child), GOOD);
    // SAFETY: the parent's.
    let kept = unsafe { Box::from_raw(pointer) };
    login(&kept, HUNG).unwrap();
    assert_eq!(server.connections().https.accepted, 1);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn child_trigger_does_not_stop_parents_login() {
    use couchdrop::cancel::Cancel;
    let server = FakeServer::start();
    let service = service(&server, server.https_url(), |_| ());
    let cancel = Arc::new(Cancel::default());
    let slow = Credentials { username: "slow@example.com", ..ADA };
    std::thread::scope(|scope| {
        let waiting =
            scope.spawn(|| service.login(&CallContext::new(HUNG, Some(Arc::clone(&cancel)), None), &slow));
        assert!(server.wait_for_requests(1, HUNG));
        let child = fork(|| {
            cancel.trigger();
            // The handle is triggered in the child: a login there ends at once.
            match service.login(&CallContext::new(HUNG, Some(Arc::clone(&cancel)), None), &ADA) {
                Err(error) if error.kind.code() == cd_code::CD_ERR_CANCELLED => GOOD,
                _ => 1,
            }
        });
        assert_eq!(status(child), GOOD);
        assert!(!waiting.is_finished() && !cancel.is_triggered());
        cancel.trigger();
        let error = waiting.join().unwrap().unwrap_err();
        assert_eq!(error.kind.code(), cd_code::CD_ERR_CANCELLED);
    });
}

#[test]
fn child_with_the_same_process_id_is_detected() {
    // The first process of a PID namespace has the id 1, and so has the first of a nested namespace.
    // SAFETY: plain system calls.
    let in_new_namespace = |child: &dyn Fn() -> i32| match unsafe { libc::unshare(libc::CLONE_NEWPID) } {
        0 => status(fork(child)),
        _ => {
            assert!(std::env::var_os("CI").is_none(), "no PID namespace can be made here");
            GOOD // not permitted: nothing to test
        }
    };
    let server = FakeServer::start();
    let kept = service(&server, server.https_url(), |_| ());
    login(&kept, HUNG).unwrap();
    // In a child, because a process cannot leave a namespace.
    let outer = fork(|| {
        in_new_namespace(&|| {
            if outcome(login(&kept, CHILDS_DEADLINE), &[]) != GOOD {
                return 1;
            }
            let (id, system) = (couchdrop::sys::fork_detect::generation(), std::process::id());
            let inner = in_new_namespace(&|| {
                let same_system_id = std::process::id() == system;
                let good = same_system_id && couchdrop::sys::fork_detect::generation() != id;
                if good { outcome(login(&kept, CHILDS_DEADLINE), &[]) } else { 2 }
            });
            // The connection still belongs to this process.
            if inner == GOOD { outcome(login(&kept, CHILDS_DEADLINE), &[]) } else { inner }
        })
    });
    assert_eq!(status(outer), GOOD);
    login(&kept, HUNG).unwrap();
}

/// Forks, and stores the child's id in the parent and 0 in the child, which ends in `assert_left_to_parent`.
fn fork_during_a_call(child: &AtomicI32) {
    // SAFETY: plain system calls, which a signal handler may make.
    unsafe {
        let id = libc::fork();
        child.store(id, Ordering::SeqCst);
        if id == 0 {
            libc::alarm(30);
        }
    }
}

/// The result of a call in the process that began it, after a fork during the call. In the child the call was cancelled.
fn assert_left_to_parent<T>(child: &AtomicI32, result: Result<T, Error>, what: &str) -> Result<(), cd_code> {
    let result = result.map(drop).map_err(|error| error.kind.code());
    match child.swap(NO_FORK, Ordering::SeqCst) {
        // SAFETY: leaves the child without running exit handlers of the parent.
        0 => unsafe { libc::_exit(if result == Err(cd_code::CD_ERR_CANCELLED) { GOOD } else { 1 }) },
        NO_FORK => panic!("{what}: no fork"),
        id => assert_eq!(status(id), GOOD, "{what}"),
    }
    result
}

const NO_FORK: i32 = -1;

#[test]
fn child_of_a_check_leaves_the_login_to_its_parent() {
    static CHILD: AtomicI32 = AtomicI32::new(NO_FORK);
    fn fork_once(_: [usize; 2]) -> bool {
        if CHILD.load(Ordering::SeqCst) == NO_FORK {
            fork_during_a_call(&CHILD);
        }
        false
    }
    let server = FakeServer::start();
    let client = service(&server, server.https_url(), |_| ());
    let slow = Credentials { username: "slow@example.com", ..ADA };
    let call = CallContext::new(Duration::from_millis(300), None, None)
        .with_check(Some(HostCheck::new(fork_once, [0; 2])));
    let result = assert_left_to_parent(&CHILD, client.login(&call, &slow), "a check");
    assert_eq!(result, Err(cd_code::CD_ERR_TIMEOUT));
}

#[test]
fn child_of_a_signal_handler_leaves_the_login_to_its_parent() {
    static CHILD: AtomicI32 = AtomicI32::new(NO_FORK);
    extern "C" fn fork_in_handler(_: libc::c_int) {
        fork_during_a_call(&CHILD);
    }
    let server = FakeServer::start();
    let client = service(&server, server.https_url(), |_| ());
    let slow = Credentials { username: "slow@example.com", ..ADA };
    // SAFETY: the handler calls only functions that are async-signal-safe; the id is this thread's.
    let thread = unsafe {
        libc::signal(libc::SIGUSR1, fork_in_handler as *const () as libc::sighandler_t);
        libc::pthread_self()
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            assert!(server.wait_for_requests(1, HUNG));
            // SAFETY: the thread is alive: it joins this one.
            assert_eq!(unsafe { libc::pthread_kill(thread, libc::SIGUSR1) }, 0);
        });
        let call = CallContext::new(Duration::from_secs(2), None, None);
        let result = assert_left_to_parent(&CHILD, client.login(&call, &slow), "a wait");
        assert_eq!(result, Err(cd_code::CD_ERR_TIMEOUT));
    });
}

/// The log lines are the moments: a signal arrives in each of them once.
#[test]
fn signal_handler_may_fork_at_any_step_of_a_call() {
    static CHILD: AtomicI32 = AtomicI32::new(NO_FORK);
    extern "C" fn fork_in_handler(_: libc::c_int) {
        fork_during_a_call(&CHILD);
    }
    // SAFETY: the handler calls only functions that are async-signal-safe.
    unsafe { libc::signal(libc::SIGUSR2, fork_in_handler as *const () as libc::sighandler_t) };
    let server = FakeServer::start();
    for (what, warm, closed, connect) in [
        ("a login", false, false, false),
        ("a login on a kept connection", true, false, false),
        ("a login with a kept connection that has ended", true, true, false),
        ("a connect", false, false, true),
    ] {
        for step in 0.. {
            let client = service(&server, server.https_url(), |_| ());
            if warm {
                login(&client, HUNG).unwrap();
            }
            if closed {
                server.close_connections();
            }
            let lines = Arc::new(AtomicI32::new(0));
            let raise = {
                let lines = Arc::clone(&lines);
                move |_, _: &CStr| {
                    if lines.fetch_add(1, Ordering::SeqCst) == step {
                        // SAFETY: the handler is set.
                        unsafe { libc::raise(libc::SIGUSR2) };
                    }
                }
            };
            let logger = Logger::new(Level::Debug as i32, Arc::new(raise));
            let call = CallContext::new(HUNG, None, Some(logger));
            let result = if connect { client.connect(&call) } else { client.login(&call, &ADA).map(drop) };
            if CHILD.load(Ordering::SeqCst) == NO_FORK {
                assert!(step >= 2, "{what} has so few lines: {step}");
                break;
            }
            let step = format!("step {step} of {what}");
            assert_eq!(assert_left_to_parent(&CHILD, result, &step), Ok(()), "{step}");
            // The parent's pooled connection is still usable.
            login(&client, HUNG).unwrap();
        }
    }
}
