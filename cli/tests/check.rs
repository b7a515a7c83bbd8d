//! `couchdrop check`: its lines, its JSON and its exit status. The phases are tested beside their code.

mod common;

use common::{couchdrop, run};
use fake_server::FakeServer;
use serde_json::Value;

#[test]
fn each_phase_has_a_line() {
    let fake_server = FakeServer::start();
    let ca_file = fake_server.ca_file().to_str().unwrap();
    let done = run(&mut couchdrop(&["check", "--base-url", fake_server.https_url(), "--ca-file", ca_file]));
    assert_eq!((done.status, done.stderr.as_str()), (Some(0), ""));
    let lines: Vec<Vec<&str>> = done.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines.len(), 2, "{}", done.stdout);
    for (line, name) in lines.iter().zip(["connect", "tls"]) {
        assert_eq!((line[0], line[1], line[3]), (name, "ok", "ms"), "{line:?}");
        assert!(line[2].parse::<f64>().unwrap() >= 0.0);
    }
    assert!(fake_server.requests().is_empty());
}

#[test]
fn failed_phase_gives_the_status() {
    let fake_server = FakeServer::start();
    let done = run(&mut couchdrop(&["check", "--base-url", fake_server.https_url()]));
    assert_eq!((done.status, done.stderr.as_str()), (Some(6), ""));
    let last = done.stdout.lines().last().unwrap();
    assert!(last.starts_with("tls      failed") && last.ends_with("[CD_ERR_TLS]"), "{last}");
}

#[test]
fn json_has_phases_and_errors() {
    let fake_server = fake_server::Config::new().as_service().start().unwrap();
    let proxy = fake_server.proxy_url().unwrap();
    let mut command = couchdrop(&["check", "--json", "--timeout", "20", "--proxy", proxy]);
    let done = run(command.env("SSL_CERT_FILE", fake_server.ca_file()));
    assert_eq!((done.status, done.stderr.as_str()), (Some(0), ""));
    let phases: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(phases.as_object().unwrap().len(), 1);
    let phases = phases["phases"].as_array().unwrap();
    assert_eq!(phases.iter().map(|phase| &phase["name"]).collect::<Vec<_>>(), ["connect", "proxy", "tls"]);
    for phase in phases {
        assert_eq!(phase.as_object().unwrap().len(), 3);
        assert!(phase["ms"].as_f64().unwrap() >= 0.0 && phase["error"].is_null());
    }

    let other = ["check", "--json", "--proxy", proxy, "--base-url", "https://other.example"];
    let done = run(&mut couchdrop(&other));
    assert_eq!((done.status, done.stderr.as_str()), (Some(6), ""));
    let phases: Value = serde_json::from_str(&done.stdout).unwrap();
    let error = phases["phases"][1]["error"].as_object().unwrap();
    assert_eq!((&error["code"], &error["name"]), (&Value::from(3003), &Value::from("CD_ERR_PROXY")));
    assert_eq!(error.keys().collect::<Vec<_>>(), ["code", "message", "name", "retry_after"]);
}

#[test]
fn unusable_settings_are_usage_errors() {
    let done = run(&mut couchdrop(&["check", "--base-url", "http://example.com", "--json"]));
    assert_eq!((done.status, done.stdout.as_str()), (Some(2), ""));
    let error: Value = serde_json::from_str(&done.stderr).unwrap();
    assert_eq!(error["code"], 2006);
    assert_eq!(run(&mut couchdrop(&["check", "--username", "ada"])).status, Some(2));
}
