//! Names and addresses: lookups that hang, fail or are shared, and addresses that do not respond. A scripted function
//! replaces the C library's `getaddrinfo` in this program.

mod resolver;

use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use couchdrop::cancel::Cancel;
use couchdrop::config::Config;
use couchdrop::context::CallContext;
use couchdrop::error::{Error, ErrorKind, Phase};
use couchdrop::logger::{Level, Logger};
use couchdrop::login::{Client, Credentials};
use fake_server::{FakeServer, PASSWORD};
use fault_server::{BlackHole, FaultServer, Step, send};

// ---- the resolver

/// The behaviour of `getaddrinfo` for a name.
#[derive(Clone)]
enum LookupResult {
    Addresses(Vec<Ipv4Addr>),
    Fail,
    /// Hangs until the test sets another behaviour.
    Hang,
    /// Like Fail, and from here on the process may open no more descriptors.
    FailWithoutDescriptors,
}

#[derive(Default)]
struct Resolver {
    results: HashMap<String, LookupResult>,
    lookups: HashMap<String, usize>,
    /// The number of lookups inside `getaddrinfo` now, and its maximum so far.
    inside: usize,
    most_inside: usize,
    threads_refused: usize,
}

static RESOLVER: Mutex<Option<Resolver>> = Mutex::new(None);
static CHANGED: Condvar = Condvar::new();

fn resolver<T>(change: impl FnOnce(&mut Resolver) -> T) -> T {
    let mut resolver = RESOLVER.lock().unwrap();
    let done = change(resolver.get_or_insert_default());
    CHANGED.notify_all();
    done
}

fn set_lookup(name: &str, result: LookupResult) {
    resolver(|resolver| resolver.results.insert(name.to_owned(), result));
}

fn lookups(name: &str) -> usize {
    resolver(|resolver| resolver.lookups.get(name).copied().unwrap_or(0))
}

fn wait_until(what: impl Fn(&Resolver) -> bool) {
    let guard = RESOLVER.lock().unwrap();
    let done = CHANGED
        .wait_timeout_while(guard, Duration::from_secs(20), |resolver| {
            !what(resolver.get_or_insert_default())
        })
        .unwrap();
    assert!(!done.1.timed_out(), "the resolver never had the expected state");
}

/// Replaces the C library's getaddrinfo.
///
/// # Safety
/// Same contract as getaddrinfo.
#[unsafe(no_mangle)]
unsafe extern "C" fn getaddrinfo(
    node: *const c_char,
    _service: *const c_char,
    _hints: *const libc::addrinfo,
    result: *mut *mut libc::addrinfo,
) -> c_int {
    let name = unsafe { CStr::from_ptr(node) }.to_str().unwrap().to_owned();
    let mut guard = RESOLVER.lock().unwrap();
    {
        let resolver = guard.get_or_insert_default();
        *resolver.lookups.entry(name.clone()).or_default() += 1;
        resolver.inside += 1;
        resolver.most_inside = resolver.most_inside.max(resolver.inside);
    }
    CHANGED.notify_all();
    let outcome = loop {
        match guard.get_or_insert_default().results.get(&name).cloned().unwrap_or(LookupResult::Fail) {
            LookupResult::Hang => guard = CHANGED.wait(guard).unwrap(),
            outcome => break outcome,
        }
    };
    guard.get_or_insert_default().inside -= 1;
    CHANGED.notify_all();
    drop(guard);
    let addresses = match outcome {
        LookupResult::Addresses(addresses) => addresses,
        LookupResult::FailWithoutDescriptors => {
            limit_descriptors(0);
            return libc::EAI_NONAME;
        }
        LookupResult::Fail | LookupResult::Hang => return libc::EAI_NONAME,
    };
    // SAFETY: may be written to, as the caller promises.
    unsafe { *result = resolver::list(&addresses) };
    0
}

/// Limits the descriptors that the process may have, and returns the limit before.
fn limit_descriptors(count: libc::rlim_t) -> libc::rlim_t {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is only accessed during each call.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit), 0);
        let before = std::mem::replace(&mut limit.rlim_cur, count);
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &limit), 0);
        before
    }
}

// ---- threads

thread_local! {
    /// This thread can't start another one.
    static NO_THREADS: Cell<bool> = const { Cell::new(false) };
}

/// Replaces the C library's pthread_create.
///
/// # Safety
/// Same contract as pthread_create.
#[unsafe(no_mangle)]
unsafe extern "C" fn pthread_create(
    thread: *mut libc::pthread_t,
    attributes: *const libc::pthread_attr_t,
    run: extern "C" fn(*mut c_void) -> *mut c_void,
    argument: *mut c_void,
) -> c_int {
    type Create = unsafe extern "C" fn(
        *mut libc::pthread_t,
        *const libc::pthread_attr_t,
        extern "C" fn(*mut c_void) -> *mut c_void,
        *mut c_void,
    ) -> c_int;
    if NO_THREADS.get() {
        resolver(|resolver| resolver.threads_refused += 1);
        return libc::EAGAIN;
    }
    // SAFETY: calls the C library's function, or a sanitizer's in front of it, with the same arguments.
    unsafe {
        let sanitizers = libc::dlsym(libc::RTLD_DEFAULT, c"___interceptor_pthread_create".as_ptr());
        let next = match sanitizers.is_null() {
            true => libc::dlsym(libc::RTLD_NEXT, c"pthread_create".as_ptr()),
            false => sanitizers,
        };
        let create: Create = std::mem::transmute(next);
        create(thread, attributes, run, argument)
    }
}

// ---- logins

const NAME: &str = "api.couchdrop.test";
const ADA: Credentials<'static> =
    Credentials { username: "ada@example.com", password: PASSWORD, system: None };

/// A service under a name that only this test's resolver knows. Certificates are valid only for `NAME`, so logins to
/// other names end in a TLS failure, which is far enough for some tests.
fn service(server: &FakeServer, name: &str, change: impl FnOnce(&mut Config)) -> Client {
    let port = server.https_url().rsplit_once(':').unwrap().1.to_owned();
    let mut settings = Config::default();
    settings.set_base_url(&format!("https://{name}:{port}")).unwrap();
    settings.set_ca_file(server.ca_file().to_str().unwrap()).unwrap();
    settings.set_proxy(None).unwrap();
    settings.set_max_retries(0).unwrap();
    change(&mut settings);
    Client::new(settings).unwrap()
}

fn call(timeout: Duration) -> CallContext {
    CallContext::new(timeout, None, None)
}

fn login(service: &Client, timeout: Duration) -> Result<(), Error> {
    service.login(&call(timeout), &ADA).map(drop)
}

const LONG: Duration = Duration::from_secs(20);
/// No test waits this long. It is the bound for assertions that a call returned early.
const EARLY: Duration = Duration::from_secs(10);

/// The tests share the resolver and count its calls, so they run one at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> std::sync::MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[test]
fn warm_login_does_no_lookup() {
    let _alone = alone();
    let server = FakeServer::start();
    set_lookup(NAME, LookupResult::Addresses(vec![Ipv4Addr::LOCALHOST]));
    let service = service(&server, NAME, |_| ());
    let before = lookups(NAME);
    for _ in 0..3 {
        login(&service, LONG).unwrap();
    }
    assert_eq!(lookups(NAME) - before, 1);
}

#[test]
fn hung_lookup_ends_at_the_deadline() {
    let _alone = alone();
    let server = FakeServer::start();
    set_lookup("hangs.test", LookupResult::Hang);
    let service = service(&server, "hangs.test", |_| ());
    let error = login(&service, Duration::from_millis(80)).unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Timeout { phase: Phase::Lookup, .. }), "{}", error.kind);
    assert!(error.kind.to_string().contains("looking up the host name"));
    assert_eq!(error.attempts, 0);
    set_lookup("hangs.test", LookupResult::Fail);
}

#[test]
fn hung_lookup_ends_on_cancel() {
    let _alone = alone();
    let server = FakeServer::start();
    set_lookup("cancelled.test", LookupResult::Hang);
    let service = service(&server, "cancelled.test", |_| ());
    let cancel = Arc::new(Cancel::default());
    let returned = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let call = CallContext::new(LONG, Some(Arc::clone(&cancel)), None);
            let error = service.login(&call, &ADA).map(drop).unwrap_err();
            (error, Instant::now())
        });
        wait_until(|resolver| resolver.lookups.contains_key("cancelled.test"));
        let triggered = Instant::now();
        cancel.trigger();
        let (error, returned) = waiting.join().unwrap();
        assert!(matches!(error.kind, ErrorKind::Cancelled));
        returned - triggered
    });
    println!("returned {returned:?} after the trigger");
    assert!(returned < EARLY);
    set_lookup("cancelled.test", LookupResult::Fail);
}

#[test]
fn concurrent_logins_share_one_lookup() {
    let _alone = alone();
    let server = FakeServer::start();
    set_lookup(NAME, LookupResult::Hang);
    let before = lookups(NAME);
    let services: Vec<_> = (0..4).map(|_| service(&server, NAME, |_| ())).collect();
    std::thread::scope(|scope| {
        let logins: Vec<_> = (0..16)
            .map(|index| {
                scope.spawn({
                    let service = &services[index % 4];
                    move || login(service, LONG)
                })
            })
            .collect();
        // The first of the 16 threads has started the lookup.
        wait_until(|resolver| resolver.lookups.get(NAME).copied().unwrap_or(0) > before);
        set_lookup(NAME, LookupResult::Addresses(vec![Ipv4Addr::LOCALHOST]));
        for login in logins {
            login.join().unwrap().unwrap();
        }
    });
    // A thread that came after the lookup was done may have started one more, but not every thread its own.
    let lookups = lookups(NAME) - before;
    println!("{lookups} lookup(s) for 16 logins");
    assert!(lookups < 16);
}

#[test]
fn hung_lookups_use_a_bounded_number_of_threads() {
    let _alone = alone();
    let server = FakeServer::start();
    let names: Vec<String> = (0..40).map(|index| format!("many-{index}.test")).collect();
    for name in &names {
        set_lookup(name, LookupResult::Hang);
    }
    resolver(|resolver| resolver.most_inside = resolver.inside);
    std::thread::scope(|scope| {
        for name in &names {
            let service = service(&server, name, |_| ());
            scope.spawn(move || login(&service, Duration::from_millis(200)).unwrap_err());
        }
    });
    let most = resolver(|resolver| resolver.most_inside);
    println!("{most} lookups at once for 40 names");
    assert!((1..=8).contains(&most));
    for name in &names {
        set_lookup(name, LookupResult::Fail);
    }
    wait_until(|resolver| resolver.inside == 0);
}

/// A thread that already exists runs it later.
#[test]
fn lookup_without_a_thread_is_queued() {
    let _alone = alone();
    let server = FakeServer::start();
    set_lookup(NAME, LookupResult::Addresses(vec![Ipv4Addr::LOCALHOST]));
    set_lookup("busy.test", LookupResult::Hang);
    set_lookup("left.test", LookupResult::Addresses(vec![Ipv4Addr::LOCALHOST]));
    let without_threads = |name: &'static str, timeout: Duration| {
        let service = service(&server, name, |_| ());
        move || {
            NO_THREADS.set(true);
            login(&service, timeout)
        }
    };
    std::thread::scope(|scope| {
        // No other lookup runs, once those of earlier tests have ended.
        wait_until(|resolver| resolver.inside == 0);
        let error = (0..10_000)
            .find_map(|_| scope.spawn(without_threads(NAME, LONG)).join().unwrap().err())
            .expect("a thread for lookups stays");
        assert!(matches!(error.kind, ErrorKind::Resources(_)), "{}", error.kind);
        assert!(error.kind.to_string().contains("can't start a thread"), "{}", error.kind);

        let busy = service(&server, "busy.test", |_| ());
        let busy = scope.spawn(move || login(&busy, LONG));
        wait_until(|resolver| resolver.inside == 1);
        // A queued lookup is not started if no caller waits for it any more.
        scope.spawn(without_threads("left.test", Duration::from_millis(50))).join().unwrap().unwrap_err();
        let refused = resolver(|resolver| resolver.threads_refused);
        let waits = scope.spawn(without_threads(NAME, LONG));
        wait_until(|resolver| resolver.threads_refused > refused);
        set_lookup("busy.test", LookupResult::Fail);
        waits.join().unwrap().unwrap();
        busy.join().unwrap().unwrap_err();
    });
    assert_eq!(lookups("left.test"), 0);
}

#[test]
fn resolver_without_descriptors_is_a_resource_error() {
    let _alone = alone();
    let server = FakeServer::start();
    set_lookup("starved.test", LookupResult::FailWithoutDescriptors);
    let service = service(&server, "starved.test", |_| ());
    let before = limit_descriptors(1024);
    let error = login(&service, LONG).unwrap_err();
    limit_descriptors(before);
    assert!(matches!(error.kind, ErrorKind::Resources(_)), "{}", error.kind);
}

#[test]
fn failed_lookup_is_a_dns_error_with_the_name() {
    let _alone = alone();
    let server = FakeServer::start();
    set_lookup("unknown.test", LookupResult::Fail);
    let error = login(&service(&server, "unknown.test", |_| ()), LONG).unwrap_err();
    assert!(matches!(&error.kind, ErrorKind::Dns { host, .. } if host == "unknown.test"), "{}", error.kind);
    assert_eq!(error.attempts, 0);
    // In English, regardless of the host's locale.
    let sentence = "The host name unknown.test could not be resolved: Name or service not known.";
    assert_eq!(error.kind.to_string(), sentence);
}

#[test]
fn failed_lookup_is_retried() {
    let _alone = alone();
    let server = FakeServer::start();
    set_lookup("retried.test", LookupResult::Fail);
    let service = service(&server, "retried.test", |settings| {
        settings.set_max_retries(3).unwrap();
        settings.set_backoff(0, 0).unwrap();
    });
    login(&service, LONG).unwrap_err();
    assert_eq!(lookups("retried.test"), 4);
}

/// Also if the lookup takes too long.
#[test]
fn earlier_addresses_are_used_if_a_lookup_fails() {
    let _alone = alone();
    let server = FakeServer::start();
    set_lookup(NAME, LookupResult::Addresses(vec![Ipv4Addr::LOCALHOST]));
    let service = service(&server, NAME, |settings| settings.set_connect_timeout(2_000).unwrap());
    login(&service, LONG).unwrap();
    for outcome in [LookupResult::Fail, LookupResult::Hang] {
        server.close_connections();
        set_lookup(NAME, outcome);
        login(&service, LONG).unwrap();
    }
    assert_eq!(server.connections().https.accepted, 3);
    set_lookup(NAME, LookupResult::Fail);
}

#[test]
fn log_has_addresses_and_lookup_duration() {
    let _alone = alone();
    let server = FakeServer::start();
    set_lookup(NAME, LookupResult::Hang);
    let service = service(&server, NAME, |_| ());
    let lines = Arc::new(Mutex::new(Vec::new()));
    let keep = {
        let lines = Arc::clone(&lines);
        move |_, message: &CStr| lines.lock().unwrap().push(message.to_str().unwrap().to_owned())
    };
    let logger = Logger::new(Level::Debug as i32, Arc::new(keep));
    std::thread::scope(|scope| {
        let login =
            scope.spawn(|| service.login(&CallContext::new(LONG, None, Some(logger)), &ADA).map(drop));
        wait_until(|resolver| resolver.inside == 1);
        let since = Instant::now();
        while since.elapsed() < Duration::from_millis(5) {
            std::hint::spin_loop();
        }
        set_lookup(NAME, LookupResult::Addresses(vec![Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 7)]));
        login.join().unwrap().unwrap();
    });
    let lines = lines.lock().unwrap();
    let prefix = format!("{NAME} is 127.0.0.1, 127.0.0.7 after ");
    let took = lines.iter().find_map(|line| line.strip_prefix(&prefix)?.strip_suffix(" ms"));
    assert!(took.unwrap().parse::<u32>().unwrap() >= 5, "{lines:?}");
}

#[test]
fn changed_address_is_used() {
    let _alone = alone();
    let server = FakeServer::start();
    set_lookup(NAME, LookupResult::Addresses(vec![Ipv4Addr::LOCALHOST]));
    let service = service(&server, NAME, |_| ());
    login(&service, LONG).unwrap();
    server.close_connections();
    set_lookup(NAME, LookupResult::Hang);
    let error = std::thread::scope(|scope| {
        let login = scope.spawn(|| login(&service, LONG));
        wait_until(|resolver| resolver.inside == 1);
        set_lookup(NAME, LookupResult::Addresses(vec![Ipv4Addr::new(127, 0, 0, 5)]));
        login.join().unwrap().unwrap_err()
    });
    assert!(error.kind.to_string().contains("127.0.0.5"), "{}", error.kind);
}

fn https_port(server: &FakeServer) -> u16 {
    server.https_url().rsplit_once(':').unwrap().1.parse().unwrap()
}

#[test]
fn silent_address_costs_200_ms() {
    let _alone = alone();
    let server = FakeServer::start();
    let silent = Ipv4Addr::new(127, 0, 0, 2);
    let _hole = BlackHole::on((silent, https_port(&server)).into());
    set_lookup(NAME, LookupResult::Addresses(vec![silent, Ipv4Addr::LOCALHOST]));
    let service = service(&server, NAME, |_| ());
    let started = Instant::now();
    login(&service, LONG).unwrap();
    let took = started.elapsed();
    println!("logged in after {took:?}");
    assert!(took >= Duration::from_millis(200) && took < EARLY);
}

#[test]
fn first_address_to_accept_is_used() {
    type Hole = Mutex<Option<BlackHole>>;
    /// Accepts from the first address once the second is tried.
    fn accept_first(hole: &Hole, message: &CStr) {
        if message.to_bytes().starts_with(b"connecting to 127.0.0.6") {
            hole.lock().unwrap().take().unwrap().accept();
        }
    }
    let _alone = alone();
    let server = FakeServer::start();
    let [first, second] = [2, 6].map(|last| Ipv4Addr::new(127, 0, 0, last));
    let port = https_port(&server);
    let hole = Hole::new(Some(BlackHole::on((first, port).into())));
    let _other = BlackHole::on((second, port).into());
    set_lookup(NAME, LookupResult::Addresses(vec![first, second]));
    let service = service(&server, NAME, |settings| settings.set_connect_timeout(5_000).unwrap());
    let logger =
        Logger::new(Level::Debug as i32, Arc::new(move |_, message: &CStr| accept_first(&hole, message)));
    let error = service.login(&CallContext::new(LONG, None, Some(logger)), &ADA).map(drop).unwrap_err();
    // This address accepts and closes, which the other one never does.
    assert!(matches!(error.kind, ErrorKind::Lost { .. }), "{}", error.kind);
}

#[test]
fn refusing_address_costs_no_time() {
    let _alone = alone();
    let server = FakeServer::start();
    // Nothing listens on this address: it refuses at once, and the next is tried at once.
    set_lookup(NAME, LookupResult::Addresses(vec![Ipv4Addr::new(127, 0, 0, 3), Ipv4Addr::LOCALHOST]));
    let service = service(&server, NAME, |_| ());
    login(&service, LONG).unwrap();
}

#[test]
fn failed_connect_names_every_address() {
    let _alone = alone();
    let server = FakeServer::start();
    set_lookup(NAME, LookupResult::Addresses(vec![Ipv4Addr::new(127, 0, 0, 3), Ipv4Addr::new(127, 0, 0, 4)]));
    let error = login(&service(&server, NAME, |_| ()), LONG).unwrap_err();
    let message = error.kind.to_string();
    assert!(matches!(error.kind, ErrorKind::Connect { .. }), "{message}");
    assert!(message.contains("127.0.0.3: connection refused") && message.contains("127.0.0.4"), "{message}");
}

#[test]
fn connect_timeout_includes_the_lookup() {
    let _alone = alone();
    let server = FakeServer::start();
    set_lookup(NAME, LookupResult::Hang);
    let service = service(&server, NAME, |settings| {
        settings.set_connect_timeout(100).unwrap();
        settings.set_max_retries(2).unwrap();
        settings.set_backoff(0, 0).unwrap();
    });
    let error = login(&service, LONG).unwrap_err();
    assert!(
        matches!(error.kind, ErrorKind::Timeout { phase: Phase::Lookup, connect_timeout: true, .. }),
        "{}",
        error.kind
    );
    set_lookup(NAME, LookupResult::Fail);
}

#[test]
fn retry_tries_the_failed_address_last() {
    let _alone = alone();
    let server = FakeServer::start();
    // An address that accepts connections and closes them during the handshake.
    let rude = Ipv4Addr::new(127, 0, 0, 5);
    let listener = TcpListener::bind((rude, https_port(&server))).unwrap();
    let closing = FaultServer::on(listener, None, vec![vec![Step::Read(1), Step::End]]);
    set_lookup(NAME, LookupResult::Addresses(vec![rude, Ipv4Addr::LOCALHOST]));
    let service = service(&server, NAME, |settings| {
        settings.set_max_retries(1).unwrap();
        settings.set_backoff(0, 0).unwrap();
    });
    login(&service, LONG).unwrap();
    assert_eq!(closing.connected(), 1);
}

#[test]
fn localhost_is_never_looked_up() {
    let _alone = alone();
    let server = FakeServer::start();
    let service = service(&server, "localhost", |_| ());
    login(&service, LONG).unwrap();
    assert_eq!(lookups("localhost"), 0);
}

#[test]
fn localhost_for_a_socks_proxy_is_never_looked_up() {
    let _alone = alone();
    let server = FakeServer::start();
    let proxy = FaultServer::plain(vec![vec![Step::Read(3), send([5, 0]), Step::Read(10), Step::Close]]);
    let proxy_url = format!("socks5://{}", proxy.address());
    let service = service(&server, "localhost", |settings| settings.set_proxy(Some(&proxy_url)).unwrap());
    login(&service, LONG).unwrap_err();
    // The proxy receives an address, not a name.
    assert_eq!(proxy.connections()[0].received[3..11], [5, 1, 0, 1, 127, 0, 0, 1]);
    assert_eq!(lookups("localhost"), 0);
}
