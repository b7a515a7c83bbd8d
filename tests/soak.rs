//! A soak test: 16 threads share one handle against a TLS server that fails pseudo-randomly. Each login must end as its
//! own account's does, with its own token or its own refusal text. After a warm-up neither memory, descriptors nor
//! threads may grow.
//!
//! `SOAK_LOGINS` sets the number; `make soak` runs a million. The server has its own process, so that only the client's
//! usage is measured.

mod common;

use std::collections::HashMap;
use std::fs;
use std::net::TcpListener;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{Login, Options, PATIENCE};
use couchdrop::error::cd_code::*;
use fault_server::Step::{Close, Cut, CutAfter, Repeat, Request, Reset};
use fault_server::{FaultServer, Script, ca_file, good_server, reply_with, respond, response_with, send};

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

// ---- accounts

/// The unique number of a login, from which its account derives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Account(u64);

impl Account {
    fn username(self) -> String {
        format!("account.{}", self.0)
    }

    fn password(self) -> String {
        format!("password.of.{}", self.0)
    }

    fn token(self) -> String {
        format!("token-of-{}", self.0)
    }

    /// The account of a login's body: its user name and its password must be those of one account.
    fn of(body: &[u8]) -> Option<Account> {
        let body = std::str::from_utf8(body).ok()?;
        let (username, password) = body.strip_prefix("username=")?.split_once("&password=")?;
        let account = Account(username.strip_prefix("account.")?.parse().ok()?);
        (account.username() == username && account.password() == password).then_some(account)
    }

    /// The text of a refusal.
    fn message(self) -> String {
        format!("not you, {}", self.0)
    }

    /// The same each time, but pseudo-randomly distributed.
    fn scenario(self) -> Scenario {
        let mut draw = mixed(self.0) % 10_000;
        for (scenario, often) in SCENARIOS {
            match draw.checked_sub(*often) {
                Some(rest) => draw = rest,
                None => return *scenario,
            }
        }
        Scenario::Token
    }
}

/// The mixing function of SplitMix64.
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Scenario {
    Token,
    /// Always 403.
    Denied,
    /// Always 500.
    ServerError,
    /// 500, then a token.
    ServerErrorOnce,
    /// 503 without a body, then a token.
    UnavailableOnce,
    /// 429 with `Retry-After: 0`, then a token.
    RateLimitedOnce,
    /// 429 with `Retry-After: 1`, then a token.
    RateLimitedForOneSecond,
    /// Always 429 with [`LONG_WAIT`].
    RateLimited,
    /// A reset instead of a response; a token on the retry.
    Reset,
    /// A close instead of a response; a token on the retry.
    Closed,
    /// Part of a response, then a reset; a token on the retry.
    ResetInResponse,
    /// Part of a response, then a close without close_notify.
    TruncatedResponse,
    /// A token, then a close.
    TokenThenClose,
    /// A token, then a reset.
    TokenThenReset,
    /// A token, and in the same TLS record a second good response that belongs to no request.
    ExtraResponse,
    /// A token after [`LATE`].
    LateToken,
}

/// The frequency of each scenario per ten thousand logins. All others get a token.
const SCENARIOS: &[(Scenario, u64)] = &[
    (Scenario::Denied, 300),
    (Scenario::ServerError, 50),
    (Scenario::ServerErrorOnce, 100),
    (Scenario::UnavailableOnce, 100),
    (Scenario::RateLimitedOnce, 200),
    (Scenario::RateLimitedForOneSecond, 2),
    (Scenario::RateLimited, 50),
    (Scenario::Reset, 60),
    (Scenario::Closed, 60),
    (Scenario::ResetInResponse, 60),
    (Scenario::TruncatedResponse, 60),
    (Scenario::TokenThenClose, 60),
    (Scenario::TokenThenReset, 60),
    (Scenario::ExtraResponse, 60),
    (Scenario::LateToken, 20),
];

/// In seconds.
const LONG_WAIT: i64 = 3600;
/// The delay of a late response, and the timeout of a login that does not wait for it.
const LATE: Duration = Duration::from_secs(2);
const SHORT_TIMEOUT_MS: u32 = 30;

/// The length of an incomplete part of a response: at least one byte.
fn part(account: Account, response: &[u8]) -> usize {
    1 + mixed(!account.0) as usize % (response.len() - 1)
}

/// The steps for an account's attempt of this number, from 1.
fn steps(account: Account, attempt: u32) -> Script {
    let token = response_with(200, "", format!(r#"{{"token":"{}"}}"#, account.token()));
    let refusal =
        |status, fields: &str| reply_with(status, fields, format!(r#"{{"err":"{}"}}"#, account.message()));
    match (account.scenario(), attempt) {
        (Scenario::Denied, _) => refusal(403, ""),
        (Scenario::ServerError, _) | (Scenario::ServerErrorOnce, 1) => refusal(500, ""),
        (Scenario::UnavailableOnce, 1) => reply_with(503, "", ""),
        (Scenario::RateLimitedOnce, 1) => refusal(429, "Retry-After: 0\r\n"),
        (Scenario::RateLimitedForOneSecond, 1) => refusal(429, "Retry-After: 1\r\n"),
        (Scenario::RateLimited, _) => refusal(429, &format!("Retry-After: {LONG_WAIT}\r\n")),
        (Scenario::Reset, 1) => vec![Reset],
        (Scenario::Closed, 1) => vec![Close],
        (Scenario::ResetInResponse, 1) => vec![send(&token[..part(account, &token)]), Reset],
        (Scenario::TruncatedResponse, _) => vec![send(&token[..part(account, &token)]), Cut],
        (Scenario::TokenThenClose, _) => vec![send(token), Close],
        (Scenario::TokenThenReset, 1) => vec![send(token), Reset],
        (Scenario::ExtraResponse, _) => {
            vec![send([token, response_with(200, "", r#"{"token":"unrequested-token"}"#)].concat())]
        }
        (Scenario::LateToken, _) => {
            thread::sleep(LATE); // this delay is the fault
            vec![send(token)]
        }
        _ => vec![send(token)],
    }
}

// ---- the test

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

/// One in this many connections is reset before its handshake, and one is cut during it.
const FAILED_HANDSHAKE_INTERVAL: usize = 20;

fn server(listener: TcpListener) -> FaultServer {
    let attempts = Mutex::new(HashMap::new());
    let answer = respond(move |request| {
        let Some(account) = Account::of(&request.body) else { return reply_with(400, "", "unknown account") };
        let attempt = *attempts.lock().unwrap().entry(account.0).and_modify(|count| *count += 1).or_insert(1);
        steps(account, attempt)
    });
    FaultServer::with(listener, Some(good_server()), move |number| match number % FAILED_HANDSHAKE_INTERVAL {
        1 => vec![Reset],
        2 => vec![CutAfter { bytes: 200, end: Box::new(Cut) }],
        _ => vec![Repeat(vec![Request, answer.clone()])],
    })
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
        ca_file(); // made before the fork, for both processes
        // SAFETY: the child does nothing but serve.
        match unsafe { libc::fork() } {
            0 => {
                // SAFETY: takes numbers.
                unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
                let _server = server(listener);
                loop {
                    thread::park();
                }
            }
            id => {
                assert!(id > 0, "fork failed");
                Server { id, url }
            }
        }
    }

    fn options(&self) -> Options {
        let options = Options::to(&self.url);
        options.set_ca_file(ca_file()).unwrap();
        options.set_proxy(None).unwrap();
        // One connection in ten fails, whatever the scenario. With the default of 4 retries, one login in a hundred
        // thousand would get no other.
        options.set_max_retries(10).unwrap();
        options
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SAFETY: a child of this process, waited for only here.
        unsafe {
            libc::kill(self.id, libc::SIGKILL);
            libc::waitpid(self.id, std::ptr::null_mut(), 0);
        }
    }
}
