//! The program `fake_server`.

mod common;

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use common::{client_trusting, client_trusting_through, log_in_by_form, log_in_by_json};
use fake_server::{ACCOUNTS, PASSWORD};

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fake_server"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn output(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = program(arguments).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// Reads the first three lines: https, http, ca.
fn addresses(child: &mut Child) -> [String; 3] {
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    ["https ", "http ", "ca "].map(|key| {
        let line = lines.next().unwrap().unwrap();
        line.strip_prefix(key).unwrap_or_else(|| panic!("{line}")).to_owned()
    })
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("sh").args(["-c", &format!("kill -s {name} {}", child.id())]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn program_prints_its_urls_and_serves_until_a_signal() {
    for name in ["INT", "TERM"] {
        let mut child = program(&[]).stdout(Stdio::piped()).spawn().unwrap();
        let [https, http, ca] = addresses(&mut child);
        assert!(https.starts_with("https://localhost:"), "{https}");
        assert!(http.starts_with("http://127.0.0.1:"), "{http}");
        let client = client_trusting(&std::fs::read_to_string(&ca).unwrap());
        log_in_by_form(&client, &https, "ada@example.com", PASSWORD).token();
        log_in_by_form(&client, &http, "ada@example.com", PASSWORD).token();

        signal(&child, name);
        assert_eq!(child.wait().unwrap().code(), Some(0));
        assert!(!Path::new(&ca).exists());
    }
}

#[test]
fn program_lists_accounts_and_ends_with_its_input() {
    let mut command = program(&["--until-eof"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert!(line.starts_with("https https://localhost:"));

    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    for account in ACCOUNTS {
        assert!(rest.contains(account.username) && rest.contains(account.password), "{rest}");
    }
}

#[test]
fn run_sets_the_environment_and_returns_the_status() {
    let script = r#"echo "$COUCHDROP_BASE_URL $COUCHDROP_FILES_URL $COUCHDROP_HTTP_URL"; cat "$COUCHDROP_CA_FILE"
                    echo "$0 $1" >&2; exit 7"#;
    let (status, out, err) = output(&["run", "sh", "-c", script, "--dir", "a b"]);
    assert_eq!(status, Some(7));
    assert_eq!(err, "--dir a b\n");
    let (urls, pem) = out.split_once('\n').unwrap();
    let [base, files, http] = urls.split(' ').collect::<Vec<_>>().try_into().unwrap();
    assert!(base.starts_with("https://localhost:") && files == base, "{urls}");
    assert!(http.starts_with("http://127.0.0.1:"), "{urls}");
    assert!(pem.starts_with("-----BEGIN CERTIFICATE-----"));
}

#[test]
fn run_serves_while_the_command_runs() {
    // The command is this test program itself. It runs only the test that logs in with the values of its environment.
    let this = std::env::current_exe().unwrap();
    let test =
        ["run", this.to_str().unwrap(), "--exact", "login_with_the_values_of_the_environment", "--ignored"];
    let (status, out, err) = output(&test);
    assert_eq!(status, Some(0), "{out}{err}");
    assert!(out.contains("1 passed"), "{out}");
}

#[test]
#[ignore = "run by run_serves_while_the_command_runs"]
fn login_with_the_values_of_the_environment() {
    let environment = |name| std::env::var(name).unwrap();
    let client = client_trusting(&std::fs::read_to_string(environment("COUCHDROP_CA_FILE")).unwrap());
    for base_url in ["COUCHDROP_BASE_URL", "COUCHDROP_HTTP_URL"] {
        log_in_by_form(&client, &environment(base_url), "ada@example.com", PASSWORD).token();
    }
}

#[test]
fn run_as_service_replaces_every_other_proxy() {
    let script = r#"env | grep -iE '_proxy=|^SSL_|_BUNDLE=' | LC_ALL=C sort; echo "$COUCHDROP_CA_FILE""#;
    let before = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"];
    let before = before.iter().chain(&["HTTP_PROXY", "http_proxy", "FTP_PROXY", "ftp_proxy"]);
    let before = before.chain(&["SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"]);
    let mut command = program(&["run", "--as-service", "sh", "-c", script]);
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .envs(before.map(|name| (name, "mine")));
    let out = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let lines: Vec<&str> = out.lines().collect();
    let (ca, variables) = lines.split_last().unwrap();
    let proxy = variables.iter().find_map(|line| line.strip_prefix("HTTPS_PROXY=")).unwrap();
    assert!(proxy.starts_with("http://127.0.0.1:"), "{out}");
    let near = "localhost,127.0.0.1,::1";
    let expected = [
        format!("CURL_CA_BUNDLE={ca}"),
        format!("HTTPS_PROXY={proxy}"),
        format!("NO_PROXY={near}"),
        format!("REQUESTS_CA_BUNDLE={ca}"),
        format!("SSL_CERT_FILE={ca}"),
        format!("https_proxy={proxy}"),
        format!("no_proxy={near}"),
    ];
    assert_eq!(variables, expected);
}

#[test]
fn run_as_service_serves_the_services_name() {
    let this = std::env::current_exe().unwrap();
    let test = ["--exact", "login_through_the_proxy", "--ignored"];
    let run = ["run", "--as-service", "--account", "json", this.to_str().unwrap()];
    let (status, out, err) = output(&[&run[..], &test].concat());
    assert_eq!(status, Some(0), "{out}{err}");
    assert!(out.contains("1 passed"), "{out}");
}

#[test]
#[ignore = "run by run_as_service_serves_the_services_name"]
fn login_through_the_proxy() {
    let environment = |name| std::env::var(name).unwrap();
    let pem = std::fs::read_to_string(environment("SSL_CERT_FILE")).unwrap();
    let client = client_trusting_through(&pem, &environment("HTTPS_PROXY"));
    let (username, password) = (environment("COUCHDROP_USERNAME"), environment("COUCHDROP_PASSWORD"));
    assert_eq!(username, "json@example.com");
    log_in_by_json(&client, "https://api.couchdrop.io", &username, &password).token();
}

#[test]
fn run_account_sets_credentials() {
    let script = r#"printf '%s\n' "$COUCHDROP_USERNAME" "$COUCHDROP_PASSWORD""#;
    let cases = [
        ("ada", "ada@example.com", PASSWORD),
        ("ada@example.com", "ada@example.com", PASSWORD),
        ("жук", "жук@example.com", r#"пароль & 100% + "q"\ é"#),
        ("wrong", "wrong@example.com", PASSWORD),
        ("wrong@example.org", "wrong@example.org", PASSWORD),
    ];
    for (name, username, password) in cases {
        let (status, out, err) = output(&["run", "--account", name, "sh", "-c", script]);
        assert_eq!((status, out), (Some(0), format!("{username}\n{password}\n")), "{name}: {err}");
    }
}

#[test]
fn run_with_an_unknown_account_is_refused_with_403() {
    let this = std::env::current_exe().unwrap();
    for name in ["wrong", "ada@example.org"] {
        let run = ["run", "--as-service", "--account", name, this.to_str().unwrap()];
        let test = ["--exact", "login_that_is_refused", "--ignored"];
        let (status, out, err) = output(&[&run[..], &test].concat());
        assert_eq!(status, Some(0), "{name}: {out}{err}");
        assert!(out.contains("1 passed"), "{out}");
    }
}

#[test]
#[ignore = "run by run_with_an_unknown_account_is_refused_with_403"]
fn login_that_is_refused() {
    let environment = |name| std::env::var(name).unwrap();
    let client = client_trusting(&std::fs::read_to_string(environment("COUCHDROP_CA_FILE")).unwrap());
    let (username, password) = (environment("COUCHDROP_USERNAME"), environment("COUCHDROP_PASSWORD"));
    for log_in in [log_in_by_form, log_in_by_json] {
        let response = log_in(&client, &environment("COUCHDROP_BASE_URL"), &username, &password);
        assert_eq!((response.status, response.json()), (403, serde_json::json!({"err": "Access denied"})));
    }
}

#[test]
fn program_prints_its_proxy() {
    let mut command = program(&["--as-service", "--until-eof"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let input = child.stdin.take();
    let [_, _, ca, proxy] = {
        let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        ["https ", "http ", "ca ", "proxy "]
            .map(|key| lines.next().unwrap().unwrap().strip_prefix(key).expect(key).to_owned())
    };
    let client = client_trusting_through(&std::fs::read_to_string(ca).unwrap(), &proxy);
    log_in_by_form(&client, "https://api.couchdrop.io", "ada@example.com", PASSWORD).token();
    drop(input);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn run_forwards_signals_and_reports_them_like_a_shell() {
    assert_eq!(output(&["run", "sh", "-c", "kill -s KILL $$"]).0, Some(128 + 9));

    let mut command = program(&["run", "sh", "-c", "trap 'exit 3' TERM; echo ready; read -r _"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    // Keep it open: `wait` would close it, and the command's `read` would end.
    let _input = child.stdin.take();
    let mut ready = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut ready).unwrap();
    assert_eq!(ready, "ready\n");
    // The command decides how to react to signals that a terminal sends to both.
    signal(&child, "INT");
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(3));
}

#[test]
fn failed_exec_has_the_shells_exit_status() {
    let (status, out, err) = output(&["run", "/nonexistent/command"]);
    assert_eq!((status, out.as_str()), (Some(127), ""));
    assert!(err.contains("cannot run /nonexistent/command"), "{err}");
    assert_eq!(output(&["run", "/"]).0, Some(126));
}

#[test]
fn invalid_arguments_exit_with_message_and_status_2() {
    for (arguments, reason) in [
        (&["--port", "65536"][..], "a port is a number from 0 to 65535, not \"65536\""),
        (&["--https-port=x"], "a port is a number"),
        (&["--port"], "--port"),
        (&["--bogus"], "--bogus"),
        (&["serve"], "serve"),
        (&["run"], "run needs a command"),
        (&["--as-service", "run", "--port", "0"], "run needs a command"),
        (&["run", "--bogus", "true"], "--bogus"),
        (&["run", "--account", "", "true"], "--account needs a name that is not empty"),
        (&["--account", "ada"], "--account needs run"),
        (&["run", "--until-eof", "true"], "--until-eof does not go with run"),
        (&["--until-eof", "run", "true"], "--until-eof does not go with run"),
    ] {
        let (status, out, err) = output(arguments);
        assert_eq!((status, out.as_str()), (Some(2), ""), "{arguments:?}: {err}");
        assert!(err.starts_with("fake_server: ") && err.contains(reason), "{arguments:?}: {err}");
        assert_eq!(err.lines().count(), 1, "{err}");
    }
}

#[test]
fn unavailable_resources_exit_with_message_and_status_1() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (status, out, err) = output(&["--port", &port]);
    assert_eq!((status, out.as_str()), (Some(1), ""));
    assert!(err.contains(&format!("cannot listen on port {port}")), "{err}");

    let (status, _, err) = output(&["--dir", "/dev/null/x"]);
    assert_eq!(status, Some(1));
    assert!(err.contains("cannot write /dev/null/x/ca.pem"), "{err}");
}

#[test]
fn help_names_every_option() {
    let (status, out, _) = output(&["--help"]);
    assert_eq!(status, Some(0));
    for option in ["--as-service", "--account", "--port", "--https-port", "--dir", "--until-eof", "run"] {
        assert!(out.contains(option), "{out}");
    }
}
