//! `couchdrop login`: the sources of the password, the output, and the exit status of each failure.

mod common;

use std::fs::{self, File};
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::process::Stdio;
use std::time::Duration;

use common::{ADA, couchdrop, ended, is_token_line, login, login_with_password, run, run_with_input};
use fake_server::{FakeServer, PASSWORD};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(20);

fn json_of(text: &str) -> Value {
    assert_eq!(text.matches('\n').count(), 1, "{text}");
    serde_json::from_str(text).unwrap()
}

#[test]
fn password_is_read_from_standard_input() {
    let fake_server = FakeServer::start();
    for end in ["", "\n", "\r\n"] {
        let input = format!("{PASSWORD}{end}");
        let done = run_with_input(&mut login(&fake_server, ADA, &["--password-stdin"]), input.as_bytes());
        assert_eq!((done.status, done.stderr.as_str()), (Some(0), ""));
        assert!(is_token_line(&done.stdout), "{}", done.stdout);
    }
    // Two line ends: one of them belongs to the password.
    let input = format!("{PASSWORD}\n\n");
    let done = run_with_input(&mut login(&fake_server, ADA, &["--password-stdin"]), input.as_bytes());
    assert_eq!((done.status, done.stdout.as_str()), (Some(3), ""));
}

#[test]
fn password_is_read_from_a_file_or_a_variable() {
    let fake_server = FakeServer::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    let path = file.to_str().unwrap();
    for mut command in
        [login(&fake_server, ADA, &["--password-file", path]), login_with_password(&fake_server, ADA, &[])]
    {
        let done = run(&mut command);
        assert_eq!((done.status, done.stderr.as_str()), (Some(0), ""));
        assert!(is_token_line(&done.stdout));
    }
}

#[test]
fn password_is_read_from_a_fifo() {
    let fake_server = FakeServer::start();
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let mut command = login(&fake_server, ADA, &["--password-file", fifo.to_str().unwrap()]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Waits until the program has opened it.
    fs::write(&fifo, PASSWORD).unwrap();
    let done = ended(child.wait_with_output().unwrap());
    assert_eq!((done.status, done.stderr.as_str()), (Some(0), ""));
}

#[test]
fn options_win_over_variables() {
    let fake_server = FakeServer::start();
    let mut command = login(&fake_server, ADA, &["--password-stdin"]);
    command.env("COUCHDROP_USERNAME", "nobody@example.com").env("COUCHDROP_PASSWORD", "another");
    assert_eq!(run_with_input(&mut command, PASSWORD.as_bytes()).status, Some(0));

    let mut command = couchdrop(&["login", "--base-url", fake_server.http_url(), "--system", "backup"]);
    command
        .env("COUCHDROP_USERNAME", "жук@example.com")
        .env("COUCHDROP_PASSWORD", "пароль & 100% + \"q\"\\ é");
    assert_eq!(run(&mut command).status, Some(0));
    let requests = fake_server.requests();
    assert_eq!(requests[0].username.as_deref(), Some(ADA));
    assert_eq!(requests[1].username.as_deref(), Some("жук@example.com"));
    assert_eq!(requests[1].system.as_deref(), Some("backup"));

    // With `--proxy ''` the proxy of the environment is not read.
    let mut command = couchdrop(&["login", "--username", ADA, "--proxy", "", "--timeout", "0.5"]);
    command.args(["--base-url", "https://127.0.0.1:1"]).env("HTTPS_PROXY", "ftp://proxy.example");
    let done = run(command.env("COUCHDROP_PASSWORD", PASSWORD));
    assert!(done.status == Some(6) && !done.stderr.contains("CD_ERR_PROXY"), "{}", done.stderr);
}

#[test]
fn proxy_leads_to_the_service() {
    let fake_server = fake_server::Config::new().as_service().start().unwrap();
    let proxy = fake_server.proxy_url().unwrap();
    let ca_file = fake_server.ca_file().to_str().unwrap();
    let log_in = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = couchdrop(&["login", "--username", ADA, "--password-stdin", "--timeout", "5"]);
        command.args(arguments).envs(variables.iter().copied());
        run_with_input(&mut command, PASSWORD.as_bytes())
    };
    for (arguments, variables) in [
        (&["--proxy", proxy, "--ca-file", ca_file][..], &[("HTTPS_PROXY", "http://127.0.0.1:1")][..]),
        (&["--ca-file", ca_file], &[("HTTPS_PROXY", proxy), ("SSL_CERT_FILE", "/nowhere")]),
        (&[], &[("HTTPS_PROXY", proxy), ("SSL_CERT_FILE", ca_file)]),
    ] {
        let done = log_in(arguments, variables);
        assert_eq!((done.status, done.stderr.as_str()), (Some(0), ""), "{arguments:?}");
    }
    assert!(fake_server.requests().iter().all(|request| request.path == "/authenticate"));
}

#[test]
fn header_is_one_line_for_curl() {
    let fake_server = FakeServer::start();
    let done = run(&mut login_with_password(&fake_server, ADA, &["--header"]));
    assert!(is_token_line(done.stdout.strip_prefix("token: ").unwrap()));
    assert_eq!((done.status, done.stderr.as_str()), (Some(0), ""));
}

#[test]
fn json_has_the_token_or_the_error() {
    let fake_server = FakeServer::start();
    let done = run(&mut login_with_password(&fake_server, ADA, &["--json"]));
    assert_eq!((done.status, done.stderr.as_str()), (Some(0), ""));
    let token = json_of(&done.stdout);
    assert_eq!(token.as_object().unwrap().len(), 1);
    assert!(is_token_line(&format!("{}\n", token["token"].as_str().unwrap())));

    let done = run(&mut login_with_password(&fake_server, "limited@example.com", &["--json"]));
    assert_eq!((done.status, done.stdout.as_str()), (Some(5), ""));
    let mut error = json_of(&done.stderr);
    assert!(error["message"].take().as_str().unwrap().contains("429"));
    let expected = json!({"code": 1429, "name": "CD_ERR_RATE_LIMITED", "message": null, "retry_after": 3600});
    assert_eq!(error, expected);

    let done = run(&mut login(&fake_server, ADA, &["--json", "--password-file", "/nowhere"]));
    assert_eq!((done.status, done.stdout.as_str()), (Some(2), ""));
    let error = json_of(&done.stderr);
    assert_eq!(
        (&error["code"], &error["name"], &error["retry_after"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    assert!(error["message"].as_str().unwrap().contains("/nowhere"));
}

/// A token may have any printable character of ASCII.
#[test]
fn token_is_escaped_in_json() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        for _ in 0..2 {
            let (mut connection, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            while !request.ends_with(b"password=pw") {
                let count = connection.read(&mut buffer).unwrap();
                assert!(count > 0);
                request.extend_from_slice(&buffer[..count]);
            }
            let body = r#"{"token":"a\"b\\c/<'>"}"#;
            let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            std::io::Write::write_all(&mut connection, response.as_bytes()).unwrap();
        }
    });
    let log_in = |format: &[&str]| {
        let mut command = couchdrop(&["login", "--username", ADA, "--base-url", &url]);
        run(command.args(format).env("COUCHDROP_PASSWORD", "pw")).stdout
    };
    assert_eq!(log_in(&[]), "a\"b\\c/<'>\n");
    assert_eq!(json_of(&log_in(&["--json"])), json!({"token": "a\"b\\c/<'>"}));
    server.join().unwrap();
}

#[test]
fn each_failure_has_its_status() {
    let fake_server = FakeServer::start();
    for (username, arguments, status, name) in [
        ("nobody@example.com", &[][..], 3, "CD_ERR_ACCESS_DENIED"),
        ("twofactor@example.com", &[], 4, "CD_ERR_TWO_FACTOR_REQUIRED"),
        ("limited@example.com", &[], 5, "CD_ERR_RATE_LIMITED"),
        ("slow@example.com", &["--timeout", "0.3"], 6, "CD_ERR_TIMEOUT"),
        ("portal@example.com", &[], 7, "CD_ERR_MALFORMED_RESPONSE"),
        ("moved@example.com", &[], 7, "CD_ERR_HTTP_STATUS"),
        // No retry fits into this limit.
        ("down@example.com", &["--timeout", "0.5"], 7, "CD_ERR_UNAVAILABLE"),
        ("broken@example.com", &["--timeout", "0.5"], 7, "CD_ERR_SERVER"),
    ] {
        let done = run(&mut login_with_password(&fake_server, username, arguments));
        assert_eq!((done.status, done.stdout.as_str()), (Some(status), ""), "{username}: {}", done.stderr);
        assert!(done.stderr.starts_with("couchdrop: "), "{}", done.stderr);
        assert!(done.stderr.contains(&format!("[{name}]")), "{username}: {}", done.stderr);
        assert!(!done.stderr.contains(PASSWORD), "{}", done.stderr);
    }
    let done = run(&mut login_with_password(&fake_server, "limited@example.com", &[]));
    assert!(done.stderr.contains("The service says: Too many requests\nTry again in 3600 seconds.\n"));
    let mut command = couchdrop(&["login", "--username", ADA, "--base-url", "http://127.0.0.1:1"]);
    let done = run(command.env("COUCHDROP_PASSWORD", PASSWORD).args(["--timeout", "0.2"]));
    assert_eq!(done.status, Some(6), "{}", done.stderr);
}

#[test]
fn unusable_input_names_its_source() {
    let fake_server = FakeServer::start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    let path = path.to_str().unwrap();
    let too_long = vec![b'a'; 65537];
    for (content, why) in [
        (&b""[..], "must not be empty"),
        (b"\n", "must not be empty"),
        (b"\xff", "is not valid UTF-8"),
        (b"pass\0word", "contains a NUL"),
        (&too_long, "must not be longer than 65536 bytes"),
    ] {
        fs::write(path, content).unwrap();
        for (arguments, source) in [
            (&["--password-file", path][..], format!("the password in {path}")),
            (&["--password-stdin"], "the password on standard input".into()),
        ] {
            let done = run_with_input(&mut login(&fake_server, ADA, arguments), content);
            assert_eq!((done.status, done.stdout.as_str()), (Some(2), ""));
            assert!(done.stderr.contains(&format!("{source} {why}")), "{}", done.stderr);
        }
    }
    let fits = vec![b'a'; 65536];
    let done =
        run_with_input(&mut login(&fake_server, ADA, &["--password-stdin"]), &[&fits[..], b"\r\n"].concat());
    assert_eq!(done.status, Some(3), "{}", done.stderr);
    assert_eq!(fake_server.requests().len(), 1, "the others sent nothing");

    let folder = folder.path().to_str().unwrap();
    for (arguments, variables, message) in [
        (
            &["--password-file", "/nowhere/password"][..],
            &[][..],
            "/nowhere/password could not be read: No such file",
        ),
        (&["--password-file", folder], &[], "could not be read: Is a directory"),
        (&[], &[("COUCHDROP_PASSWORD", &b""[..])], "the password in COUCHDROP_PASSWORD must not be empty"),
        (
            &[],
            &[("COUCHDROP_PASSWORD", &b"\xff"[..])],
            "the password in COUCHDROP_PASSWORD is not valid UTF-8",
        ),
        (&["--ca-file", "/nowhere/ca.pem"], &[], "cannot be used twice"),
    ] {
        let mut command = login(&fake_server, ADA, arguments);
        command.envs(variables.iter().map(|(name, value)| (name, std::ffi::OsStr::from_bytes(value))));
        let done = run(&mut command);
        assert_eq!((done.status, done.stdout.as_str()), (Some(2), ""), "{}", done.stderr);
        assert!(done.stderr.contains(message), "{}", done.stderr);
    }
}

#[test]
fn unusable_settings_send_nothing() {
    for (arguments, message) in [
        (&["--username", ""][..], "--username must not be empty"),
        (&[], "no user name: use --username or COUCHDROP_USERNAME"),
        (&["--username", ADA, "--base-url", "http://example.com"], "CD_ERR_INSECURE_URL"),
        (&["--username", ADA, "--base-url", "ftp://example.com"], "CD_ERR_INVALID_URL"),
        (&["--username", ADA, "--ca-file", "/nowhere/ca.pem"], "CD_ERR_CA_FILE"),
        (&["--username", ADA, "--proxy", "ftp://proxy.example"], "CD_ERR_INVALID_URL"),
        (&["--username", ADA, "--timeout", "nan"], "--timeout <SECONDS> must be a number from 0.001 to 3600"),
        (&["--username"], "--username <NAME> needs a value"),
        (&["--username", ADA, "--json", "--header"], "cannot be used with"),
        (&["--password-stdin", "--password-file", "x"], "cannot be used with"),
        (&["--usernme", ADA], "unknown option --usernme"),
    ] {
        let mut command = couchdrop(&["login"]);
        let done = run(command.args(arguments).env("COUCHDROP_PASSWORD", PASSWORD));
        assert_eq!((done.status, done.stdout.as_str()), (Some(2), ""), "{arguments:?}: {}", done.stderr);
        assert!(done.stderr.contains(message), "{arguments:?}: {}", done.stderr);
        assert!(!done.stderr.contains(PASSWORD));
    }
    // Only the network is at fault here, not the command line.
    let mut command = couchdrop(&["login", "--username", ADA, "--timeout", "1"]);
    let done = run(command.env("COUCHDROP_PASSWORD", PASSWORD).env("HTTPS_PROXY", "ftp://proxy.example"));
    assert_eq!(done.status, Some(6), "{}", done.stderr);
}

#[test]
fn password_argument_is_refused_and_not_repeated() {
    for arguments in [
        &["login", "--password", "hunter2"][..],
        &["login", "--password=hunter2"],
        &["login", "--username", ADA, "--password", "hunter2", "--json"],
        &["login", "-p", "hunter2"],
        &["login", "-phunter2"],
    ] {
        let done = run(&mut couchdrop(arguments));
        assert_eq!((done.status, done.stdout.as_str()), (Some(2), ""));
        assert!(done.stderr.contains("a password is never taken from the command line"), "{}", done.stderr);
        assert!(done.stderr.contains("--password-stdin") && !done.stderr.contains("hunter2"));
    }
    for arguments in [
        &["login", "hunter2"][..],
        &["login", ADA, "hunter2"],
        &["login", "--password-stdin=hunter2"],
        &["login", "--password-stdin", "hunter2"],
        &["login", "--timeout", "hunter2"],
        &["login", "--hunter2"],
        &["hunter2"],
        &["hunter2", "login"],
    ] {
        let done = run(&mut couchdrop(arguments));
        assert_eq!((done.status, done.stdout.as_str()), (Some(2), ""));
        assert!(!done.stderr.contains("hunter2") && !done.stderr.contains(ADA), "{}", done.stderr);
    }
}

#[test]
fn token_that_cannot_be_written_is_an_error() {
    let fake_server = FakeServer::start();
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    drop(reader);
    let full = File::options().write(true).open("/dev/full").unwrap();
    for (stdout, why) in [(Stdio::from(writer), "Broken pipe"), (Stdio::from(full), "No space left")] {
        let mut command = login_with_password(&fake_server, ADA, &[]);
        let child = command.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped()).spawn().unwrap();
        let done = ended(child.wait_with_output().unwrap());
        assert_eq!(done.status, Some(1));
        assert!(
            done.stderr.starts_with("couchdrop: standard output could not be written"),
            "{}",
            done.stderr
        );
        assert!(done.stderr.contains(why), "{}", done.stderr);
    }
}

#[test]
fn closed_standard_error_changes_no_status() {
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    drop(reader);
    for arguments in [&["login", "--username", ADA, "--password-stdin"][..], &["hunter2"]] {
        let mut command = couchdrop(arguments);
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::from(writer.try_clone().unwrap()))
            .spawn()
            .unwrap();
        assert_eq!(ended(child.wait_with_output().unwrap()).status, Some(2));
    }
}

#[test]
fn signal_stops_a_waiting_login() {
    let fake_server = FakeServer::start();
    for (count, (signal, status)) in
        [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)].into_iter().enumerate()
    {
        let mut command = login_with_password(&fake_server, "slow@example.com", &[]);
        let child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        assert!(fake_server.wait_for_requests(count + 1, SOON));
        kill_process(Pid::from_child(&child), signal).unwrap();
        let done = ended(child.wait_with_output().unwrap());
        assert_eq!((done.status, done.stdout.as_str(), done.stderr.as_str()), (Some(status), "", ""));
    }
}

#[test]
fn signal_stops_waiting_for_standard_input() {
    let fake_server = FakeServer::start();
    let mut command = login(&fake_server, ADA, &["--password-stdin", "--json"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let stdin = child.stdin.take();
    wait_for_handler(child.id());
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let done = ended(child.wait_with_output().unwrap());
    drop(stdin);
    assert_eq!((done.status, done.stdout.as_str()), (Some(130), ""));
    assert_eq!(json_of(&done.stderr)["name"], "CD_ERR_CANCELLED");
    assert!(fake_server.requests().is_empty());
}

/// Waits until the process handles SIGINT.
fn wait_for_handler(pid: u32) {
    let is_caught = || {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        assert!(!status.contains("\nState:\tZ"), "the program has ended");
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        u64::from_str_radix(caught.trim(), 16).unwrap() & (1 << (libc::SIGINT - 1)) != 0
    };
    while !is_caught() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn help_and_version_are_printed() {
    let help = run(&mut couchdrop(&["login", "--help"]));
    assert_eq!((help.status, help.stderr.as_str()), (Some(0), ""));
    for text in ["--password-stdin", "--header", "Exit status:", "130  Interrupted", "COUCHDROP_PASSWORD"] {
        assert!(help.stdout.contains(text), "{}", help.stdout);
    }
    let version = run(&mut couchdrop(&["--version"]));
    assert_eq!(version.stdout, format!("couchdrop {}\n", env!("CARGO_PKG_VERSION")));
    let missing = run(&mut couchdrop(&[]));
    assert_eq!((missing.status, missing.stdout.as_str()), (Some(2), ""));
    assert!(missing.stderr.contains("a command is missing"), "{}", missing.stderr);
}

/// The program has the version of its library.
#[test]
fn program_and_library_have_one_version() {
    let manifest = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml")).unwrap();
    assert!(manifest.contains(&format!("\nversion = \"{}\"\n", env!("CARGO_PKG_VERSION"))));
}
