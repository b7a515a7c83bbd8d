//! The messages that a host's logger receives, when and on which thread, and the secrets that it must not receive.

mod common;

use std::cell::Cell;
use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;

use couchdrop::error::cd_code::CD_ERR_CANCELLED;
use couchdrop::ffi::options::{CD_LOG_DEBUG, CD_LOG_ERROR, CD_LOG_INFO, CD_LOG_WARN};
use fake_server::{ACCOUNTS, FakeServer, PASSWORD};

use common::log::{Line, Log};
use common::{Cancel, Login, Options};
use fault_server::{FaultServer, Refusing, last, reply, reply_token};

const ADA: &str = "ada@example.com";

/// Logins of every kind: successes, refusals, retries, JSON after a form, malformed responses.
fn log_in_to_every_account(options: &Options) {
    for account in ACCOUNTS {
        // Do not wait for accounts that get no response, or a Retry-After of a second.
        let timeout_ms = match account.username {
            "slow@example.com" => 50,
            "busy@example.com" => 500,
            _ => 0,
        };
        let _any = Login {
            timeout_ms,
            username: account.username,
            password: account.password,
            ..Login::of(options)
        }
        .run();
    }
    let _refused = options.login(ADA, "wrong");
}

fn levels(log: &Log) -> Vec<i32> {
    let mut levels: Vec<i32> = log.lines().iter().map(|line| line.level).collect();
    levels.sort();
    levels.dedup();
    levels
}

// ---- levels

#[test]
fn messages_above_the_level_are_not_logged() {
    let fake_server = FakeServer::start();
    for max_level in CD_LOG_ERROR..=CD_LOG_DEBUG {
        let log = Log::new();
        let options = Options::secure(&fake_server);
        options.set_max_retries(1).unwrap().set_logger(&log, max_level).unwrap();
        log_in_to_every_account(&options);
        assert_eq!(levels(&log), (CD_LOG_ERROR..=max_level).collect::<Vec<_>>());
    }
}

#[test]
fn each_login_logs_one_line_at_info_or_error() {
    let fake_server = FakeServer::start();
    let log = Log::new();
    let options = Options::to(fake_server.http_url());
    options.set_max_retries(0).unwrap().set_logger(&log, CD_LOG_INFO).unwrap();
    options.login(ADA, PASSWORD).unwrap();
    options.login(ADA, "wrong").unwrap_err();
    let lines = log.lines();
    assert_eq!(lines.iter().map(|line| line.level).collect::<Vec<_>>(), [CD_LOG_INFO, CD_LOG_ERROR]);
    assert!(lines[0].message.starts_with("logged in: 1 request(s), "), "{}", lines[0].message);
    assert!(lines[1].message.starts_with("login failed: 1 request(s), "), "{}", lines[1].message);
    assert!(lines[1].message.contains("denied access"), "{}", lines[1].message);
}

#[test]
fn login_line_has_the_duration() {
    let fake_server = FakeServer::start();
    let log = Log::new();
    let options = Options::to(fake_server.http_url());
    options.set_logger(&log, CD_LOG_INFO).unwrap();
    Login { timeout_ms: 60, username: "slow@example.com", ..Login::of(&options) }.run().unwrap_err();
    let lines = log.lines();
    let ms = lines[0].message.split(", ").nth(1).and_then(|rest| rest.split_once(" ms: ")).unwrap().0;
    assert!(ms.parse::<u32>().unwrap() >= 60, "{}", lines[0].message);
}

#[test]
fn retry_is_logged_as_a_warning_with_its_reason() {
    let server = FaultServer::replying([reply(503, ""), reply(415, ""), reply_token("t")]);
    let log = Log::new();
    let options = Options::to(&server.url());
    options.set_logger(&log, CD_LOG_WARN).unwrap();
    options.login(ADA, PASSWORD).unwrap();
    let lines = log.lines();
    assert_eq!(lines.iter().map(|line| line.level).collect::<Vec<_>>(), [CD_LOG_WARN; 2]);
    assert!(lines[0].message.starts_with("retrying in "), "{}", lines[0].message);
    assert!(lines[0].message.contains("temporarily unavailable"), "{}", lines[0].message);
    assert!(lines[1].message.contains("415") && lines[1].message.contains("JSON"), "{}", lines[1].message);
}

#[test]
fn debug_level_logs_connection_events() {
    let fake_server = FakeServer::start();
    let log = Log::new();
    let options = Options::secure(&fake_server);
    options.set_logger(&log, CD_LOG_DEBUG).unwrap();
    options.login(ADA, PASSWORD).unwrap();
    for part in ["connecting to 127.0.0.1:", "connected to 127.0.0.1:", "TLS handshake with 127.0.0.1:"] {
        assert_eq!(log.count(part), 1, "{part}");
    }
    options.login(ADA, PASSWORD).unwrap();
    assert_eq!(log.count("connecting to"), 1, "the second login has taken the same connection");
    fake_server.close_connections();
    options.login(ADA, PASSWORD).unwrap();
    assert_eq!((log.count("dropped an idle connection"), log.count("connecting to")), (1, 2));
}

#[test]
fn failed_cd_connect_is_logged_as_an_error() {
    let refusing = Refusing::new();
    let log = Log::new();
    let options = Options::to(&format!("https://{}", refusing.authority()));
    options.set_logger(&log, CD_LOG_ERROR).unwrap();
    let error = options.connect().unwrap_err();
    let lines = log.lines();
    assert_eq!(lines.len(), 1);
    assert!(lines[0].message.contains(&error.message), "{}", lines[0].message);
}

// ---- secrets

/// Secrets that no message may contain, raw and encoded as a form or as JSON.
fn secrets() -> Vec<String> {
    let mut secrets: Vec<String> = ACCOUNTS
        .iter()
        .flat_map(|account| [account.username, account.password, account.username.split('@').next().unwrap()])
        .map(str::to_owned)
        .collect();
    secrets.extend(
        [
            "distinctive-user-31",
            "distinctive word 37",
            "distinctive+word+37",
            "distinctive%20word%2037",
            "distinctive-system-41",
            "correct+horse",
            "%40example.com",
            "%D0%B6%D1%83%D0%BA",
            "%D0%BF%D0%B0%D1%80",
            "\\\"q\\\"",
            "username=",
            "password=",
        ]
        .map(str::to_owned),
    );
    // A user's name may also be a word of a message.
    secrets.retain(|secret| {
        !matches!(secret.as_str(), "json" | "busy" | "down" | "broken" | "moved" | "limited")
    });
    secrets
}

#[test]
fn log_contains_no_credentials_or_token() {
    let fake_server = FakeServer::start();
    for options in [Options::to(fake_server.http_url()), Options::secure(&fake_server)] {
        let log = Log::new();
        options.set_max_retries(2).unwrap().set_logger(&log, CD_LOG_DEBUG).unwrap();
        log_in_to_every_account(&options);
        let mut shown_secrets = secrets();
        let distinctive = Login {
            username: "distinctive-user-31@example.com",
            password: "distinctive word 37",
            system: Some("distinctive-system-41"),
            ..Login::of(&options)
        };
        distinctive.run().unwrap_err();
        for _ in 0..3 {
            shown_secrets.push(options.login(ADA, PASSWORD).unwrap().text());
        }
        fake_server.close_connections();
        shown_secrets.push(options.login(ADA, PASSWORD).unwrap().text());

        let lines = log.lines();
        assert!(lines.len() > ACCOUNTS.len(), "there is something to search");
        for Line { message, .. } in &lines {
            for secret in &shown_secrets {
                assert!(!message.contains(secret.as_str()), "{secret:?} in: {message}");
            }
        }
        // The log does not contain the server's text either, because it may repeat secrets.
        assert_eq!((log.count("Internal error 7"), log.count("Access denied"), log.count("<p>")), (0, 0, 0));
    }
}

#[test]
fn errors_contain_no_credentials() {
    let fake_server = FakeServer::start();
    let options = Options::secure(&fake_server);
    options.set_max_retries(0).unwrap();
    let shown_secrets = secrets();
    for account in ACCOUNTS {
        for password in [account.password, "distinctive word 37"] {
            let login = Login { timeout_ms: 50, username: account.username, password, ..Login::of(&options) };
            let Err(error) = login.run() else { continue };
            for secret in &shown_secrets {
                assert!(!error.message.contains(secret.as_str()), "{secret:?} in: {}", error.message);
            }
        }
    }
}

#[test]
fn echoed_credentials_are_not_logged() {
    let password = "distinctive word 37";
    let server = FaultServer::responding(move |request| {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        match request.number % 4 {
            0 => reply(200, &body),
            1 => reply(403, &body),
            2 => last(format!("HTTP/1.1 {body}\r\n\r\n")),
            _ => last(format!("HTTP/1.1 403 {body}\r\n{body}: {body}\r\n\r\n{password}")),
        }
    });
    let log = Log::new();
    let options = Options::to(&server.url());
    options.set_logger(&log, CD_LOG_DEBUG).unwrap();
    for _ in 0..4 {
        let error = options.login("distinctive-user-31@example.com", password).unwrap_err();
        assert!(!error.message.contains("distinctive"), "{}", error.message);
        assert!(!error.server_message.is_some_and(|message| message.contains("word")));
    }
    assert_eq!(log.count("distinctive"), 0);
    assert!(log.count("login failed") == 4);
}

// ---- time and thread

thread_local! {
    /// This thread is inside a call.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

fn inside<T>(call: impl FnOnce() -> T) -> T {
    INSIDE.set(true);
    let done = call();
    INSIDE.set(false);
    done
}

/// It never runs after the call has returned.
#[test]
fn logger_runs_on_the_calling_thread() {
    let fake_server = FakeServer::start();
    let silent = FaultServer::silent();
    let strays = Arc::new(AtomicUsize::new(0));
    let log = {
        let strays = Arc::clone(&strays);
        Log::with_callback(move |_| {
            // A panic must not leave this function.
            if !INSIDE.get() {
                strays.fetch_add(1, Ordering::SeqCst);
            }
        })
    };
    {
        let options = Options::secure(&fake_server);
        options.set_max_retries(1).unwrap().set_logger(&log, CD_LOG_DEBUG).unwrap();
        let hanging = Options::to_silent(&silent);
        hanging.set_connect_timeout_ms(20).unwrap().set_logger(&log, CD_LOG_DEBUG).unwrap();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    inside(|| log_in_to_every_account(&options));
                    inside(|| options.connect()).unwrap();
                    inside(|| hanging.login(ADA, PASSWORD)).unwrap_err();
                    let cancel = Cancel::new();
                    cancel.trigger();
                    inside(|| Login { cancel: Some(&cancel), ..Login::of(&options) }.run()).unwrap_err();
                });
            }
        });
        assert!(log.lines().len() > 4 * ACCOUNTS.len());
        let count = log.lines().len();
        drop((options, hanging));
        assert_eq!(log.lines().len(), count, "freeing options logs nothing");
    }
    drop(fake_server);
    assert_eq!(strays.load(Ordering::SeqCst), 0);
}

#[test]
fn cancelled_login_is_not_logged_as_an_error() {
    let fake_server = FakeServer::start();
    let log = Log::new();
    let options = Options::secure(&fake_server);
    options.set_logger(&log, CD_LOG_DEBUG).unwrap();
    let cancel = Cancel::new();
    cancel.trigger();
    let error = Login { cancel: Some(&cancel), ..Login::of(&options) }.run().unwrap_err();
    assert_eq!(error.code, CD_ERR_CANCELLED);
    let lines = log.lines();
    assert!(
        lines.iter().any(|line| line.level == CD_LOG_INFO && line.message.contains("cancelled")),
        "{lines:?}"
    );
    assert!(lines.iter().all(|line| line.level > CD_LOG_WARN), "{lines:?}");
}

#[test]
fn no_lock_is_held_while_the_logger_runs() {
    thread_local! {
        static DEPTH: Cell<u32> = const { Cell::new(0) };
    }
    let fake_server = FakeServer::start();
    let same: Arc<OnceLock<Options>> = Arc::default();
    let log = {
        let same = Arc::downgrade(&same);
        // The logger logs in with the same options, on any message.
        Log::with_callback(move |_| {
            if DEPTH.get() == 0 {
                DEPTH.set(1);
                let options = same.upgrade().expect("they outlive the call");
                let options = options.get().expect("they are set");
                let _any = (options.connect(), options.login(ADA, PASSWORD));
                DEPTH.set(0);
            }
        })
    };
    let options = same.get_or_init(|| {
        let options = Options::secure(&fake_server);
        options.set_logger(&log, CD_LOG_DEBUG).unwrap();
        options
    });
    options.login(ADA, PASSWORD).unwrap();
    fake_server.close_connections();
    options.login(ADA, PASSWORD).unwrap();
    options.login("json@example.com", PASSWORD).unwrap();
    options.login(ADA, "wrong").unwrap_err();
    assert!(fake_server.requests().len() > 10, "the logger has logged in too");
}

#[test]
fn message_is_one_line_without_control_characters() {
    let responses = [
        "HTTP/1.1 403 \x1b[31mno\r\nX-\x07: \x07\r\nContent-Length: 7\r\n\r\n\x1b[31m\r\nx",
        "HTTP/1.1 500 a\tb\r\nContent-Length: 5\r\n\r\na\nb\rc",
        "\x1b[31mSSH-2.0\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 3\n\n\n\n\n",
        "HTTP/1.1 2\r\n\r\n",
    ];
    let server = FaultServer::responding(move |request| last(responses[request.number % responses.len()]));
    let fake_server = FakeServer::start();
    let log = Log::new();
    for options in [Options::to(&server.url()), Options::secure(&fake_server)] {
        options.set_max_retries(2).unwrap().set_logger(&log, CD_LOG_DEBUG).unwrap();
        for _ in responses {
            let _any = options.login(ADA, "wrong\r\n\u{1b}[31m");
        }
        log_in_to_every_account(&options);
    }
    for line in log.lines() {
        assert!(
            !line.message.is_empty() && !line.message.chars().any(char::is_control),
            "{:?}",
            line.message
        );
    }
}

#[test]
fn path_with_line_breaks_is_logged_in_one_line() {
    const VARIABLE: &str = "SSL_CERT_FILE";
    let path = concat!(env!("CARGO_TARGET_TMPDIR"), "/logging-\n\u{1b}[31m.pem");
    if std::env::var(VARIABLE).as_deref() != Ok(path) {
        // The environment belongs to the whole process, so the test runs in its own.
        let this = "path_with_line_breaks_is_logged_in_one_line";
        let own = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", this])
            .env(VARIABLE, path)
            .output()
            .unwrap();
        let stdout = String::from_utf8_lossy(&own.stdout);
        assert!(own.status.success() && stdout.contains("1 passed"), "{stdout}");
        return;
    }
    let fake_server = FakeServer::start();
    fs::write(path, fake_server.ca_pem()).unwrap();
    let log = Log::new();
    let options = Options::to(fake_server.https_url());
    options.set_logger(&log, CD_LOG_DEBUG).unwrap();
    options.login(ADA, PASSWORD).unwrap();
    fake_server.close_connections();
    fs::remove_file(path).unwrap();
    // The trust store is read again for a new connection, and the file is gone.
    options.login(ADA, PASSWORD).unwrap();
    assert_eq!(log.count("/logging-[31m.pem"), 1);
    assert!(log.lines().iter().all(|line| !line.message.chars().any(char::is_control)));
}
