//! Each account responds as documented, to a form and to JSON, over HTTPS.

mod common;

use common::{client, log_in_by_form, log_in_by_json};
use fake_server::{ACCOUNTS, Encoding, FakeServer, PASSWORD};
use serde_json::json;

#[test]
fn each_login_gets_its_own_uuid_token() {
    let fake_server = FakeServer::start();
    let client = client(&fake_server);
    let first = log_in_by_form(&client, fake_server.https_url(), "ada@example.com", PASSWORD).token();
    let second = log_in_by_json(&client, fake_server.https_url(), "ada@example.com", PASSWORD).token();
    assert_ne!(first, second);
    for token in [first, second] {
        assert_eq!(token.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
    }
}

#[test]
fn wrong_password_is_refused_for_every_account() {
    let fake_server = FakeServer::start();
    let client = client(&fake_server);
    let denied = json!({"err": "Access denied"});
    let unknown = "nobody@example.com";
    for username in ACCOUNTS.iter().map(|account| account.username).chain([unknown]) {
        let response = log_in_by_json(&client, fake_server.https_url(), username, "wrong");
        assert_eq!((response.status, response.json()), (403, denied.clone()), "{username}");
        if username != "json@example.com" {
            let response = log_in_by_form(&client, fake_server.https_url(), username, "wrong");
            assert_eq!((response.status, response.json()), (403, denied.clone()), "{username}");
        }
    }
    let response = log_in_by_form(&client, fake_server.https_url(), unknown, PASSWORD);
    assert_eq!((response.status, response.json()), (403, denied));
}

#[test]
fn refusals_and_failures_are_as_listed() {
    let fake_server = FakeServer::start();
    let client = client(&fake_server);
    for log_in in [log_in_by_form, log_in_by_json] {
        let to = |username| log_in(&client, fake_server.https_url(), username, PASSWORD);

        let response = to("twofactor@example.com");
        assert_eq!(response.status, 401);
        assert_eq!(response.json(), json!({"err": "Two-factor authentication is required"}));

        let response = to("limited@example.com");
        assert_eq!((response.status, response.header("retry-after")), (429, Some("3600")));
        assert_eq!(response.json(), json!({"error": "Too many requests"}));

        let response = to("down@example.com");
        assert_eq!((response.status, response.body.as_str()), (503, ""));
        assert_eq!(response.header("retry-after"), None);

        let response = to("broken@example.com");
        assert_eq!((response.status, response.json()), (500, json!({"error": "Internal error 7"})));

        let response = to("portal@example.com");
        assert_eq!(
            (response.status, response.header("content-type")),
            (200, Some("text/html; charset=utf-8"))
        );
        assert!(response.body.starts_with("<!DOCTYPE html>"));
    }
}

#[test]
fn busy_account_is_limited_every_other_time() {
    let fake_server = FakeServer::start();
    let client = client(&fake_server);
    let log_in = |password| log_in_by_form(&client, fake_server.https_url(), "busy@example.com", password);
    for _ in 0..2 {
        let response = log_in(PASSWORD);
        assert_eq!((response.status, response.header("retry-after")), (429, Some("1")));
        assert_eq!(log_in("wrong").status, 403, "a wrong password does not count");
        log_in(PASSWORD).token();
    }
}

#[test]
fn json_account_refuses_every_form() {
    let fake_server = FakeServer::start();
    let client = client(&fake_server);
    for password in [PASSWORD, "wrong"] {
        let response = log_in_by_form(&client, fake_server.https_url(), "json@example.com", password);
        assert_eq!((response.status, response.json()), (415, json!({"error": "send JSON"})));
    }
    log_in_by_json(&client, fake_server.https_url(), "json@example.com", PASSWORD).token();
}

/// The target is a path of the same server.
#[test]
fn redirect_target_records_requests() {
    let fake_server = FakeServer::start();
    let client = client(&fake_server);
    let response = log_in_by_form(&client, fake_server.https_url(), "moved@example.com", PASSWORD);
    assert_eq!((response.status, response.header("location")), (307, Some("/elsewhere")));

    let followed = client.post(format!("{}/elsewhere", fake_server.https_url())).send("");
    assert_eq!(common::response(followed).status, 404);
    let paths: Vec<String> = fake_server.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(paths, ["/authenticate", "/elsewhere"]);
}

#[test]
fn special_characters_arrive_in_both_encodings() {
    let fake_server = FakeServer::start();
    let client = client(&fake_server);
    let (username, password) = ("жук@example.com", r#"пароль & 100% + "q"\ é"#);
    log_in_by_form(&client, fake_server.https_url(), username, password).token();
    log_in_by_json(&client, fake_server.https_url(), username, password).token();

    let requests = fake_server.requests();
    assert!(requests.iter().all(|request| request.username.as_deref() == Some(username)));
    assert_eq!(requests[0].encoding, Some(Encoding::Form));
    assert!(requests[0].body.starts_with(b"username=%D0%B6%D1%83%D0%BA%40example.com&password="));
    assert_eq!(requests[1].encoding, Some(Encoding::Json));
    let sent: serde_json::Value = serde_json::from_slice(&requests[1].body).unwrap();
    assert_eq!(sent, json!({"username": username, "password": password}));
}

#[test]
fn readme_names_every_account() {
    let readme = include_str!("../README.md");
    for account in ACCOUNTS {
        assert!(readme.contains(&format!("\n| `{}` |", account.username)), "{}", account.username);
        assert!(readme.contains(&format!("`{}`", account.password)), "{}", account.username);
    }
}
