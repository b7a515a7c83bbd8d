//! The library's use of its process: the proxies and trust stores of its environment, and descriptors. Each case runs
//! in its own process.

mod common;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use couchdrop::config::Config;
use couchdrop::error::cd_code::*;
use couchdrop::http::proxy;
use fake_server::{FakeServer, PASSWORD};

use common::Options;

const ADA: &str = "ada@example.com";
const CASE: &str = "COUCHDROP_TEST_CASE";
/// All variables that the library reads.
const READ: [&str; 9] = [
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
    "http_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

type Variables = Vec<(&'static str, OsString)>;

/// Runs the test of this name once for each case in a process with only the case's variables, and calls `check` there.
fn each<C>(test: &str, cases: &[C], variables: impl Fn(&C) -> Variables, check: impl Fn(&C)) {
    if let Ok(number) = std::env::var(CASE) {
        return check(&cases[number.parse::<usize>().unwrap()]);
    }
    for (number, case) in cases.iter().enumerate() {
        let mut program = Command::new(std::env::current_exe().unwrap());
        program.args(["--exact", test]).env(CASE, number.to_string());
        READ.iter().for_each(|name| _ = program.env_remove(name));
        let done = program.envs(variables(case)).output().unwrap();
        let stdout = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success() && stdout.contains("1 passed"), "case {number}: {stdout}");
    }
}

fn named(variables: &[(&'static str, &str)]) -> Variables {
    variables.iter().map(|(name, value)| (*name, value.into())).collect()
}

// ---- proxies

const AWAY: &str = "https://files.example.com";

#[test]
fn first_proxy_variable_is_used() {
    type Set = &'static [(&'static str, &'static str)];
    let cases: [(&str, Set, Option<&str>); 17] = [
        (AWAY, &[], None),
        (AWAY, &[("https_proxy", "http://a.test:1")], Some("http://a.test:1")),
        (AWAY, &[("HTTPS_PROXY", "a.test:1")], Some("http://a.test:1")),
        (AWAY, &[("all_proxy", "socks5://a.test:1")], Some("socks5://a.test:1")),
        (AWAY, &[("ALL_PROXY", "socks5h://a.test:1")], Some("socks5h://a.test:1")),
        (AWAY, &[("http_proxy", "http://a.test:1")], None),
        // In this order of precedence; an empty variable counts as unset.
        (AWAY, &[("https_proxy", "a.test:1"), ("HTTPS_PROXY", "b.test:1")], Some("http://a.test:1")),
        (AWAY, &[("HTTPS_PROXY", "a.test:1"), ("all_proxy", "b.test:1")], Some("http://a.test:1")),
        (AWAY, &[("all_proxy", "a.test:1"), ("ALL_PROXY", "b.test:1")], Some("http://a.test:1")),
        (AWAY, &[("https_proxy", ""), ("HTTPS_PROXY", "b.test:1")], Some("http://b.test:1")),
        // Exceptions.
        (AWAY, &[("https_proxy", "a.test:1"), ("no_proxy", "example.com")], None),
        (AWAY, &[("https_proxy", "a.test:1"), ("NO_PROXY", "*")], None),
        (AWAY, &[("https_proxy", "a.test:1"), ("no_proxy", ""), ("NO_PROXY", "example.com")], None),
        (
            AWAY,
            &[("https_proxy", "a.test:1"), ("no_proxy", "x.test"), ("NO_PROXY", "*")],
            Some("http://a.test:1"),
        ),
        // This machine is reached without a proxy.
        ("https://localhost", &[("https_proxy", "a.test:1")], None),
        ("https://127.0.0.2", &[("https_proxy", "a.test:1")], None),
        ("http://[::1]", &[("https_proxy", "a.test:1"), ("ALL_PROXY", "a.test:1")], None),
    ];
    each(
        "first_proxy_variable_is_used",
        &cases,
        |case| named(case.1),
        |(base_url, _, expected)| {
            let mut settings = Config::default();
            settings.set_base_url(base_url).unwrap();
            let chosen = proxy::choose(&settings).unwrap().map(|proxy| proxy.to_string());
            assert_eq!(chosen.as_deref(), *expected);
        },
    );
}

#[test]
fn invalid_proxy_variable_is_named() {
    let cases: [(&str, &[u8], &str); 3] = [
        ("https_proxy", b"ftp://a.test", "must be an http, socks5 or socks5h URL"),
        ("ALL_PROXY", b"http://", "its value"),
        ("HTTPS_PROXY", b"http://\xff", "it is not valid UTF-8"),
    ];
    each(
        "invalid_proxy_variable_is_named",
        &cases,
        |case| vec![(case.0, OsStr::from_bytes(case.1).to_owned())],
        |(name, _, reason)| {
            let error = Options::to(AWAY).login(ADA, PASSWORD).unwrap_err();
            assert_eq!((error.code, error.attempts), (CD_ERR_PROXY, 0));
            for part in [&format!("The environment variable {name} can't be used: "), *reason] {
                assert!(error.message.contains(part), "{}", error.message);
            }
        },
    );
}

#[test]
fn login_uses_the_proxy_of_the_environment() {
    let proxy = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}", proxy.local_addr().unwrap());
    // It closes at once.
    let hung_up = std::env::var_os(CASE).is_none().then(|| thread::spawn(move || proxy.accept().map(drop)));
    each(
        "login_uses_the_proxy_of_the_environment",
        &[()],
        |()| vec![("HTTPS_PROXY", OsString::from(&url))],
        |()| {
            let options = Options::to(AWAY);
            options.set_max_retries(0).unwrap();
            let error = options.login(ADA, PASSWORD).unwrap_err();
            let proxy = format!("the proxy {}", std::env::var("HTTPS_PROXY").unwrap());
            assert!(error.message.contains(&proxy) && error.attempts == 0, "{}", error.message);
        },
    );
    if let Some(hung_up) = hung_up {
        hung_up.join().unwrap().unwrap();
    }
}

#[test]
fn given_variables_replace_the_environment() {
    let proxy = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = proxy.local_addr().unwrap().to_string();
    let hung_up = std::env::var_os(CASE).is_none().then(|| thread::spawn(move || proxy.accept().map(drop)));
    each(
        "given_variables_replace_the_environment",
        &[()],
        |()| {
            named(&[
                ("https_proxy", "ftp://unusable"),
                ("SSL_CERT_FILE", "/nowhere"),
                ("all_proxy", &address),
            ])
        },
        |()| {
            let error = Options::to(AWAY).login(ADA, PASSWORD).unwrap_err();
            assert_eq!(error.code, CD_ERR_PROXY);

            let options = Options::to(AWAY);
            options.set_max_retries(0).unwrap();
            options.set_environment("HTTPS_PROXY", Some("ftp://given")).unwrap();
            // A variable that cannot be used does not freeze the options: the next call reads the variables set since.
            for _ in 0..2 {
                let error = options.login(ADA, PASSWORD).unwrap_err();
                assert_eq!(error.code, CD_ERR_PROXY);
                assert!(error.message.contains("HTTPS_PROXY"), "{}", error.message);
            }
            let address = std::env::var("all_proxy").unwrap();
            options.set_environment("HTTPS_PROXY", Some(&address)).unwrap();
            let error = options.login(ADA, PASSWORD).unwrap_err();
            assert!(error.message.contains(&format!("the proxy http://{address}")), "{}", error.message);

            // Variables that were not set in the options count as unset.
            let fake_server = FakeServer::start();
            let options = Options::to(fake_server.https_url());
            options.set_environment("SSL_CERT_DIR", None).unwrap();
            let error = options.login(ADA, PASSWORD).unwrap_err();
            assert!(error.message.starts_with("The server's certificate"), "{}", error.message);
        },
    );
    if let Some(hung_up) = hung_up {
        hung_up.join().unwrap().unwrap();
    }
}

// ---- trust stores

/// A folder for this test alone, emptied.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("process-{name}"));
    if std::env::var_os(CASE).is_none() {
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
    }
    folder
}

/// The content of a case's trust store: the fake server's root, another server's, or something else.
#[derive(Clone, Copy, PartialEq)]
enum Content {
    Ours,
    Theirs,
    Text,
}

struct Store {
    /// The content of SSL_CERT_FILE, if it is set and exists.
    file: Option<Content>,
    /// The folders of SSL_CERT_DIR, each with its files by name.
    folders: &'static [&'static [(&'static str, Content)]],
    /// Names that the variables contain and that do not exist.
    missing: &'static [&'static str],
    /// Part of the message, or empty if the login succeeds.
    refused: &'static str,
}

#[test]
fn trust_variables_replace_the_systems_trust_store() {
    use Content::{Ours, Text, Theirs};
    const UNKNOWN: &str = "The server's certificate ";
    const NONE: &str = "SSL_CERT_DIR names no directory with certificates by their hash";
    const FILE: &str = "SSL_CERT_FILE can't be used: ";
    const FOLDER: &str = "SSL_CERT_DIR names a directory that can't be used: ";
    let store = |file, folders, missing, refused| Store { file, folders, missing, refused };
    let cases = [
        store(None, &[], &[], UNKNOWN),
        store(Some(Ours), &[], &[], ""),
        store(Some(Theirs), &[], &[], UNKNOWN),
        store(Some(Text), &[], &[], FILE),
        store(None, &[], &["SSL_CERT_FILE"], FILE),
        store(None, &[], &["SSL_CERT_DIR"], FOLDER),
        store(None, &[&[("0123abCD.0", Ours)]], &[], ""),
        store(None, &[&[("0123abcd.12", Ours)]], &[], ""),
        store(None, &[&[("0123abcd.0", Theirs)]], &[], UNKNOWN),
        store(None, &[&[("0123abcd.0", Text), ("0123abcd.1", Ours)]], &[], ""),
        store(None, &[&[("0123abcd.0", Text)]], &[], NONE),
        store(None, &[&[("0123abc.0", Ours), ("0123abcde.0", Ours)]], &[], NONE),
        store(None, &[&[("0123abcx.0", Ours), ("0123abcd.", Ours)]], &[], NONE),
        store(None, &[&[("0123abcd.x", Ours), ("0123abcd", Ours)]], &[], NONE),
        store(None, &[&[]], &[], NONE),
        // One matching certificate is enough. The file and the folders are combined.
        store(None, &[&[], &[("0123abcd.0", Ours)]], &[], ""),
        store(None, &[&[("0123abcd.0", Ours)]], &["SSL_CERT_DIR"], ""),
        store(Some(Theirs), &[&[("0123abcd.0", Ours)]], &[], ""),
        store(Some(Ours), &[&[("0123abcd.0", Ours)]], &[], ""),
        store(Some(Ours), &[&[]], &[], ""),
        store(Some(Ours), &[], &["SSL_CERT_DIR"], ""),
    ];
    let place = folder("trust");
    let variables = |case: &Store| {
        let number = cases.iter().position(|other| std::ptr::eq(other, case)).unwrap();
        let at = |name: String| place.join(format!("{number}-{name}"));
        let mut variables = Vec::new();
        if case.file.is_some() || case.missing.contains(&"SSL_CERT_FILE") {
            variables.push(("SSL_CERT_FILE", at("file".into()).into_os_string()));
        }
        let mut folders: Vec<PathBuf> = (0..case.folders.len()).map(|index| at(format!("{index}"))).collect();
        if case.missing.contains(&"SSL_CERT_DIR") {
            folders.push(at("none".into()));
        }
        if !folders.is_empty() {
            variables.push(("SSL_CERT_DIR", std::env::join_paths(folders).unwrap()));
        }
        variables
    };
    each("trust_variables_replace_the_systems_trust_store", &cases, variables, |case| {
        let (fake_server, other) = (FakeServer::start(), FakeServer::start());
        let write = |path: &Path, content: Content| {
            let text = match content {
                Ours => fake_server.ca_pem().to_owned(),
                Theirs => other.ca_pem().to_owned(),
                Text => "no certificate\n".into(),
            };
            fs::write(path, text).unwrap();
        };
        for (name, value) in variables(case) {
            if let ("SSL_CERT_FILE", Some(content)) = (name, case.file) {
                write(Path::new(&value), content);
            }
            if name == "SSL_CERT_DIR" {
                for (path, files) in std::env::split_paths(&value).zip(case.folders) {
                    fs::create_dir(&path).unwrap();
                    files.iter().for_each(|(name, content)| write(&path.join(name), *content));
                }
            }
        }
        let done = Options::to(fake_server.https_url()).login(ADA, PASSWORD);
        match case.refused {
            "" => drop(done.unwrap()),
            part => {
                let error = done.map(drop).unwrap_err();
                assert_eq!(error.code, CD_ERR_TLS);
                assert!(error.message.contains(part), "{}", error.message);
            }
        }
    });
}

#[test]
fn reading_the_trust_store_counts_as_call_time() {
    let place = folder("slow").join("many.pem");
    let variables = |_: &()| vec![("SSL_CERT_FILE", place.clone().into_os_string())];
    each("reading_the_trust_store_counts_as_call_time", &[()], variables, |()| {
        let fake_server = FakeServer::start();
        // More certificates than can be read in a millisecond.
        fs::write(&place, fake_server.ca_pem().repeat(3_000)).unwrap();
        let options = Options::to(fake_server.https_url());
        options.set_timeout_ms(1).unwrap();
        let error = options.login(ADA, PASSWORD).map(drop).unwrap_err();
        assert_eq!(error.code, CD_ERR_TIMEOUT);
        assert!(error.message.contains("before anything was sent"), "{}", error.message);
    });
}

/// A later chdir does not change it.
#[test]
fn relative_path_is_resolved_at_the_first_login() {
    let variables = |name: &&'static str| {
        folder(name);
        vec![(*name, "here".into())]
    };
    each(
        "relative_path_is_resolved_at_the_first_login",
        &["SSL_CERT_FILE", "SSL_CERT_DIR"],
        variables,
        |variable| {
            let fake_server = FakeServer::start();
            let place = folder(variable);
            std::env::set_current_dir(&place).unwrap();
            if *variable == "SSL_CERT_FILE" {
                fs::write("here", fake_server.ca_pem()).unwrap();
            } else {
                fs::create_dir("here").unwrap();
                fs::write("here/0123abcd.0", fake_server.ca_pem()).unwrap();
            }
            let options = Options::to(fake_server.https_url());
            options.login(ADA, PASSWORD).unwrap();
            std::env::set_current_dir("/").unwrap();
            // A new connection, before which the store is checked again.
            fake_server.close_connections();
            options.login(ADA, PASSWORD).unwrap();
        },
    );
}

// ---- descriptors

#[test]
fn process_without_descriptors_gets_a_resource_error() {
    each(
        "process_without_descriptors_gets_a_resource_error",
        &[()],
        |()| Vec::new(),
        |()| {
            let fake_server = FakeServer::start();
            let options = Options::to(fake_server.http_url());
            options.set_max_retries(0).unwrap();
            let mut before = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            let limit_to = |limit: libc::rlimit| {
                // SAFETY: `limit` is only read during the call. A limit below the open descriptors closes nothing.
                assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
            };
            // SAFETY: `before` is only written during the call.
            assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut before) }, 0);
            limit_to(libc::rlimit { rlim_cur: 0, ..before });
            let error = options.login(ADA, PASSWORD).unwrap_err();
            assert_eq!(error.code, CD_ERR_RESOURCES);
            assert!(error.message.contains("can't open a socket"), "{}", error.message);
            limit_to(before);
            options.login(ADA, PASSWORD).unwrap();
        },
    );
}
