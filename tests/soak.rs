//! A soak test: 16 threads share one handle against a TLS server that fails pseudo-randomly. Each login must end as its
//! own account's does, with its own token or its own refusal text. After a warm-up neither memory, descriptors nor
//! threads may grow.
//!
//! `SOAK_LOGINS` sets the number; `make soak` runs a million. The server has its own process, so that only the client's
//! usage is measured.

mod common;
mod fault_server;
mod flaky_server;

use std::collections::HashMap;
use std::fs;
use std::net::TcpListener;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use common::{Login, Options, PATIENCE};
use couchdrop::error::cd_code::*;
use flaky_server::{Account, LONG_WAIT, SHORT_TIMEOUT_MS, Scenario};

const THREADS: usize = 16;
const PHASES: u64 = 8;

/// The most idle connections that a pool keeps.
const MAX_IDLE_CONNECTIONS: i64 = 64;
/// The memory by which the number of idle connections may vary: 16 of them, with their buffers.
const POOLED_BYTES: i64 = THREADS as i64 * (32 << 10);
/// The permitted growth of the heap once everything is freed.
const LEFT_BYTES: i64 = 32 << 10;
/// The variation in the pages that the allocator keeps.
const RESIDENT_BYTES: i64 = 4 << 20;

/// `SOAK_LOGINS` for a longer run.
fn logins() -> u64 {
    std::env::var("SOAK_LOGINS").ok().and_then(|count| count.parse().ok()).unwrap_or(4_000)
}

/// Each login gets its own account's result.
#[test]
fn repeated_logins_leak_nothing() {
    let server = Server::start();
    let threads = Usage::now().threads;
    let started = Instant::now();
    let count = logins();
    let next = AtomicU64::new(0);
    let tally = Tally::default();

    let warm_up = server.options();
    run(&warm_up, &next, count / 10, &tally);
    drop(warm_up);
    let before = Usage::once_settled(threads);

    let options = server.options();
    let mut phases = Vec::new();
    for phase in 1..=PHASES {
        let until = count / 10 + (count - count / 10) * phase / PHASES;
        run(&options, &next, until, &tally);
        phases.push(Usage::once_settled(threads));
    }
    drop(options);
    let after = Usage::once_settled(threads);

    let seconds = started.elapsed().as_secs_f64();
    for usage in [&before].into_iter().chain(&phases).chain([&after]) {
        println!("{usage:?}");
    }
    tally.check(count);
    let (first, last) = (&phases[0], &phases[PHASES as usize - 1]);
    for phase in &phases {
        // The most that a pool keeps: a login that found a dead connection opens a new one for each further attempt.
        let expected = before.descriptors..=before.descriptors + MAX_IDLE_CONNECTIONS;
        assert!(expected.contains(&phase.descriptors), "{phase:?}, not {expected:?}");
        assert_eq!(phase.threads, threads);
        assert!((first.heap - phase.heap).abs() <= POOLED_BYTES, "the heap grows");
        assert!(phase.resident - first.resident <= RESIDENT_BYTES, "memory grows");
    }
    assert_eq!((after.descriptors, after.threads), (before.descriptors, threads));
    assert!(after.heap - before.heap <= LEFT_BYTES, "the heap keeps {} bytes", after.heap - before.heap);
    println!("{count} logins, {} of another account, in {seconds:.0} s", tally.of_other_accounts());
    println!(
        "growth after the warm-up: {} bytes of heap once all is freed, {} KiB resident, {} descriptors, {} threads",
        after.heap - before.heap,
        (last.resident - first.resident) >> 10,
        after.descriptors - before.descriptors,
        after.threads - threads,
    );
}

/// Logs in on all threads at once until the number of logins is `until`.
fn run(options: &Options, next: &AtomicU64, until: u64, tally: &Tally) {
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let Ok(number) = next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |number| {
                        (number < until).then_some(number + 1)
                    }) else {
                        return;
                    };
                    let account = Account(number);
                    tally.note(account, log_in(options, account));
                }
            });
        }
    });
}

/// The result of a login that ended as expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Ending {
    Token,
    Refused,
    Lost,
    TimedOut,
}

/// Logs in. Err if the login ended in a way other than its scenario permits.
fn log_in(options: &Options, account: Account) -> Result<Ending, String> {
    let scenario = account.scenario();
    let (username, password) = (account.username(), account.password());
    let timeout_ms = if scenario == Scenario::LateToken { SHORT_TIMEOUT_MS } else { 0 };
    let login = Login { timeout_ms, username: &username, password: &password, ..Login::of(options) };
    let error = match login.run() {
        Ok(token) => {
            let token = token.text();
            return match scenario {
                _ if token != account.token() => Err(format!("{OTHER_ACCOUNT} {token}")),
                Scenario::Denied
                | Scenario::ServerError
                | Scenario::RateLimited
                | Scenario::TruncatedResponse => Err("a token".into()),
                // Late ones too, if this process was not scheduled for that long.
                _ => Ok(Ending::Token),
            };
        }
        Err(error) => error,
    };
    let message = Some(account.message());
    if error.server_message.as_ref().is_some_and(|_| error.server_message != message) {
        return Err(format!("{OTHER_ACCOUNT} {error:?}"));
    }
    match (scenario, error.code, error.http_status) {
        (Scenario::Denied, CD_ERR_ACCESS_DENIED, 403) | (Scenario::ServerError, CD_ERR_SERVER, 500)
            if error.server_message == message =>
        {
            Ok(Ending::Refused)
        }
        (Scenario::RateLimited, CD_ERR_RATE_LIMITED, 429)
            if error.server_message == message && error.retry_after == LONG_WAIT =>
        {
            Ok(Ending::Refused)
        }
        (
            Scenario::Reset
            | Scenario::Closed
            | Scenario::ResetInResponse
            | Scenario::TruncatedResponse
            | Scenario::TokenThenReset,
            CD_ERR_CONNECTION_LOST,
            _,
        ) => Ok(Ending::Lost),
        // Its last retry got a handshake that was cut.
        (Scenario::ServerError, CD_ERR_CONNECTION_LOST, 0) => Ok(Ending::Lost),
        (Scenario::LateToken, CD_ERR_TIMEOUT, _) => Ok(Ending::TimedOut),
        _ => Err(format!("{error:?}")),
    }
}

/// Marks a login that received another account's response.
const OTHER_ACCOUNT: &str = "of another account:";

/// The counts of results.
#[derive(Default)]
struct Tally {
    ends: Mutex<HashMap<(Scenario, Ending), u64>>,
    wrong: Mutex<Vec<String>>,
}

impl Tally {
    fn note(&self, account: Account, end: Result<Ending, String>) {
        match end {
            Ok(end) => *self.ends.lock().unwrap().entry((account.scenario(), end)).or_default() += 1,
            Err(why) => {
                self.wrong.lock().unwrap().push(format!("{account:?}, {:?}: {why}", account.scenario()))
            }
        }
    }

    fn of_other_accounts(&self) -> usize {
        self.wrong.lock().unwrap().iter().filter(|why| why.contains(OTHER_ACCOUNT)).count()
    }

    /// Checks that all logins ended as expected, and that each expected result occurred.
    fn check(&self, count: u64) {
        let ends = self.ends.lock().unwrap();
        let mut list: Vec<_> = ends.iter().map(|(what, count)| format!("{what:?}: {count}")).collect();
        list.sort();
        println!("{}", list.join("\n"));
        let wrong = self.wrong.lock().unwrap();
        assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong[..wrong.len().min(20)].join("\n"));
        assert_eq!(ends.values().sum::<u64>(), count);
        for end in [Ending::Token, Ending::Refused, Ending::Lost, Ending::TimedOut] {
            assert!(ends.keys().any(|(_, found)| *found == end), "no login ended with {end:?}");
        }
    }
}

/// The resource usage of this process.
#[derive(Debug)]
struct Usage {
    heap: i64,
    resident: i64,
    descriptors: i64,
    threads: i64,
}

impl Usage {
    /// The usage once at most `threads` remain: a joined thread may exist for a moment longer.
    fn once_settled(threads: i64) -> Usage {
        let started = Instant::now();
        loop {
            let usage = Usage::now();
            if usage.threads <= threads || started.elapsed() > PATIENCE {
                return usage;
            }
            thread::yield_now();
        }
    }

    fn now() -> Usage {
        let entries = |folder| fs::read_dir(folder).expect("proc").count() as i64;
        let pages = fs::read_to_string("/proc/self/statm").expect("proc");
        let pages: i64 = pages.split(' ').nth(1).unwrap().parse().unwrap();
        // SAFETY: takes a number.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        Usage {
            heap: heap_in_use(),
            resident: pages * page,
            descriptors: entries("/proc/self/fd") - 1, // the folder's own
            threads: entries("/proc/self/task"),
        }
    }
}

#[cfg(target_env = "gnu")]
fn heap_in_use() -> i64 {
    // SAFETY: takes nothing.
    let info = unsafe { libc::mallinfo2() };
    (info.uordblks + info.hblkhd) as i64
}

/// Other C libraries do not report it.
#[cfg(not(target_env = "gnu"))]
fn heap_in_use() -> i64 {
    0
}

/// The server in its own process, which ends with this one.
struct Server {
    id: libc::pid_t,
    url: String,
}

impl Server {
    fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let tls = fault_server::good_server();
        // SAFETY: the child does nothing but serve.
        match unsafe { libc::fork() } {
            0 => {
                // SAFETY: takes numbers.
                unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
                flaky_server::serve(&listener, &tls)
            }
            id => {
                assert!(id > 0, "fork failed");
                Server { id, url }
            }
        }
    }

    fn options(&self) -> Options {
        let options = Options::to(&self.url);
        options.set_ca_file(fault_server::ca_file()).unwrap();
        options.set_proxy(None).unwrap();
        options
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SAFETY: a child of this process that nobody has waited for.
        unsafe {
            libc::kill(self.id, libc::SIGKILL);
            libc::waitpid(self.id, std::ptr::null_mut(), 0);
        }
    }
}
