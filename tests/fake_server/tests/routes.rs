//! The routes, their refusals, and the record of a request.

mod common;

use common::{client, log_in_by_form, response};
use fake_server::{Encoding, FakeServer, MAX_BODY_BYTES, PASSWORD};
use serde_json::json;

const FORM: &str = "application/x-www-form-urlencoded";

#[test]
fn request_is_recorded_before_its_response() {
    let fake_server = FakeServer::start();
    let body = "username=ada%40example.com&password=wrong&system=nightly+backup";
    let request = client(&fake_server).post(format!("{}/authenticate", fake_server.https_url()));
    response(request.header("user-agent", "acme/2.1").content_type(FORM).send(body));

    let requests = fake_server.requests();
    let [request] = requests.as_slice() else { panic!("{requests:?}") };
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/authenticate"));
    assert!(request.secure);
    assert_eq!(request.connection, 1);
    assert_eq!(request.header("user-agent"), Some("acme/2.1"));
    assert_eq!(request.header("content-length"), Some(body.len().to_string().as_str()));
    assert_eq!(request.encoding, Some(Encoding::Form));
    assert_eq!(request.username.as_deref(), Some("ada@example.com"));
    assert_eq!(request.system.as_deref(), Some("nightly backup"));
    assert_eq!(request.body, body.as_bytes());
    assert_eq!(request.status, Some(403));
}

#[test]
fn system_is_read_from_json() {
    let fake_server = FakeServer::start();
    let login = json!({"username": "ada@example.com", "password": PASSWORD, "system": "резерв"});
    let request = client(&fake_server).post(format!("{}/authenticate", fake_server.http_url()));
    response(request.content_type("Application/JSON; charset=utf-8").send(login.to_string())).token();
    let request = &fake_server.requests()[0];
    assert_eq!((request.system.as_deref(), request.encoding), (Some("резерв"), Some(Encoding::Json)));
    assert!(!request.secure);
}

#[test]
fn base_url_accepts_a_path() {
    let fake_server = FakeServer::start();
    let base_url = format!("{}/some/prefix", fake_server.https_url());
    log_in_by_form(&client(&fake_server), &base_url, "ada@example.com", PASSWORD).token();
    assert_eq!(fake_server.requests()[0].path, "/some/prefix/authenticate");
}

#[test]
fn login_without_fields_is_refused_with_403() {
    let fake_server = FakeServer::start();
    let client = client(&fake_server);
    for (content_type, body) in [
        (FORM, ""),
        (FORM, "password=x"),
        (FORM, "username=ada%40example.com"),
        // JSON as a server reads it that accepts only forms.
        (FORM, r#"{"username": "ada@example.com", "password": "correct horse battery staple"}"#),
        ("application/json", "[]"),
        ("application/json", r#"{"username": 7, "password": "x"}"#),
    ] {
        let request = client.post(format!("{}/authenticate", fake_server.https_url()));
        let response = response(request.content_type(content_type).send(body));
        assert_eq!((response.status, response.json()), (403, json!({"err": "Access denied"})), "{body}");
    }
}

#[test]
fn invalid_bodies_have_distinct_statuses() {
    let fake_server = FakeServer::start();
    let url = format!("{}/authenticate", fake_server.https_url());
    let status = |content_type: Option<&str>, body: &str| {
        let mut request = client(&fake_server).post(&url);
        if let Some(content_type) = content_type {
            request = request.content_type(content_type);
        }
        let response = response(request.send(body.as_bytes()));
        assert!(response.json()["error"].is_string());
        response.status
    };
    assert_eq!(status(Some("application/json"), "{\"username\":"), 400);
    assert_eq!(status(Some("text/plain"), "username=a"), 415);
    assert_eq!(status(Some("multipart/form-data; boundary=x"), "--x--"), 415);
    assert_eq!(status(None, "username=a"), 415);
    let encodings: Vec<_> = fake_server.requests().into_iter().map(|request| request.encoding).collect();
    assert_eq!(encodings, [Some(Encoding::Json), None, None, None]);
}

/// The largest valid login is below the limit.
#[test]
fn body_over_the_limit_is_refused() {
    let fake_server = FakeServer::start();
    let client = client(&fake_server);
    let url = format!("{}/authenticate", fake_server.http_url());

    let longest = "ж".repeat(32 * 1024);
    let fits = log_in_by_form(&client, fake_server.http_url(), &longest, &longest);
    assert_eq!(fits.status, 403);
    assert_eq!(fake_server.requests()[0].username.as_deref(), Some(longest.as_str()));

    let full = "x".repeat(MAX_BODY_BYTES);
    assert_eq!(response(client.post(&url).content_type(FORM).send(&full)).status, 403);
    // Chunked: the head does not reveal that the body is too large.
    let mut chunks = std::io::repeat(b'x');
    let mut one_more = std::io::Read::take(&mut chunks, MAX_BODY_BYTES as u64 + 1);
    let request = client.post(&url).content_type(FORM).header("connection", "close");
    assert_eq!(response(request.send(ureq::SendBody::from_reader(&mut one_more))).status, 413);
    assert_eq!(fake_server.requests().pop().unwrap().status, Some(413));
}

#[test]
fn other_methods_and_paths_are_refused() {
    let fake_server = FakeServer::start();
    let client = client(&fake_server);
    for path in ["/authenticate", "/prefix/authenticate", "/file/ls?path=/"] {
        let response = response(client.get(format!("{}{path}", fake_server.https_url())).call());
        assert_eq!((response.status, response.header("allow")), (405, Some("POST")), "{path}");
    }
    for path in ["/", "/authenticate/", "/xauthenticat", "/file/ls/"] {
        let response = response(client.post(format!("{}{path}", fake_server.https_url())).send_empty());
        assert_eq!(response.status, 404, "{path}");
        assert!(response.json()["error"].is_string());
    }
    assert_eq!(fake_server.requests()[2].path, "/file/ls?path=/");
}

#[test]
fn token_lists_files_on_both_servers() {
    let fake_server = FakeServer::start();
    let client = client(&fake_server);
    let token = log_in_by_form(&client, fake_server.https_url(), "ada@example.com", PASSWORD).token();
    for base_url in [fake_server.https_url(), fake_server.http_url()] {
        let request = client.post(format!("{base_url}/file/ls?path=/")).header("token", &token);
        let response = response(request.send_empty());
        assert_eq!(response.status, 200);
        let listing = response.json();
        let names: Vec<_> =
            listing["ls"].as_array().unwrap().iter().map(|entry| &entry["filename"]).collect();
        assert_eq!(names, ["invoices", "readme.txt", "übersicht 2025.csv"]);
    }
    let recorded = fake_server.requests().pop().unwrap();
    assert_eq!(recorded.header("token"), Some(token.as_str()));
    assert!(!format!("{recorded:?}").contains(&token), "a failing test prints no token");
}

#[test]
fn only_issued_tokens_list_files() {
    let fake_server = FakeServer::start();
    let client = client(&fake_server);
    let elsewhere = FakeServer::start();
    let foreign = log_in_by_form(&client, elsewhere.http_url(), "ada@example.com", PASSWORD).token();
    let ls = || client.post(format!("{}/file/ls?path=/", fake_server.https_url()));
    for request in [ls(), ls().header("token", ""), ls().header("token", &foreign)] {
        let response = response(request.send_empty());
        assert_eq!((response.status, response.json()), (403, json!({"error": "Access denied"})));
    }
}

#[test]
fn uploaded_file_is_listed() {
    let fake_server = FakeServer::start();
    let client = client(&fake_server);
    let token = log_in_by_form(&client, fake_server.https_url(), "ada@example.com", PASSWORD).token();
    let post = |path: &str| client.post(format!("{}{path}", fake_server.https_url())).header("token", &token);
    let raw = response(post("/file/upload?path=/a%20b.txt").send("five!"));
    assert_eq!((raw.status, raw.json()), (200, json!({"path": "/a b.txt", "size": 5})));
    let form = "--x\r\nContent-Disposition: form-data; name=\"data\"\r\n\r\n\r\nseven\r\n--x--\r\n";
    for content_type in ["multipart/form-data; boundary=x", "Multipart/Form-Data; boundary=\"x\""] {
        let upload = response(post("/file/upload?path=/form").content_type(content_type).send(form));
        assert_eq!((upload.status, upload.json()), (200, json!({"path": "/form", "size": 7})));
    }
    response(post("/file/upload?path=/folder/inner").send("x"));
    let listing = response(post("/file/ls?path=/").send_empty()).json();
    let sizes: Vec<_> = listing["ls"].as_array().unwrap()[3..]
        .iter()
        .map(|entry| (&entry["filename"], &entry["size"]))
        .collect();
    assert_eq!(sizes, [(&json!("/a b.txt"[1..]), &json!(5)), (&json!("form"), &json!(7))]);

    for path in ["/file/upload", "/file/upload?path=", "/file/upload?path=/", "/file/upload?path=name"] {
        assert_eq!(response(post(path).send("x")).status, 400, "{path}");
    }
    let broken = post("/file/upload?path=/x").content_type("multipart/form-data; boundary=y");
    assert_eq!(response(broken.send(form)).status, 400);
    let anonymous = client.post(format!("{}/file/upload?path=/x", fake_server.https_url()));
    assert_eq!(response(anonymous.send("x")).status, 403);
}

#[test]
fn expired_tokens_get_401() {
    let fake_server = FakeServer::start();
    let client = client(&fake_server);
    let log_in = || log_in_by_form(&client, fake_server.http_url(), "ada@example.com", PASSWORD).token();
    let list = |token: &str| {
        let request =
            client.post(format!("{}/file/ls?path=/", fake_server.https_url())).header("token", token);
        response(request.send_empty()).status
    };
    let (first, second) = (log_in(), log_in());
    assert_eq!(list(&first), 200);
    assert_eq!(fake_server.expire_tokens(), 2);
    assert_eq!((list(&first), list(&second)), (401, 401));
    let third = log_in();
    assert_eq!(list(&third), 200);
    let expired = response(client.post(format!("{}/expire-tokens", fake_server.http_url())).send_empty());
    assert_eq!((expired.status, expired.json()), (200, json!({"expired": 1})));
    assert_eq!(list(&third), 401);
}
