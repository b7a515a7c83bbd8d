//! An independent client: ureq.
#![allow(dead_code, reason = "each suite uses its own part")]

use std::time::Duration;

use fake_server::FakeServer;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body, Proxy, http::Response};

pub const SOON: Duration = Duration::from_secs(10);

/// Trusts only the fake server, keeps connections, follows no redirect, and returns every status as a response.
pub fn client(fake_server: &FakeServer) -> Agent {
    client_trusting(fake_server.ca_pem())
}

pub fn client_trusting(ca_pem: &str) -> Agent {
    agent(ca_pem, None)
}

pub fn client_trusting_through(ca_pem: &str, proxy_url: &str) -> Agent {
    agent(ca_pem, Some(Proxy::new(proxy_url).unwrap()))
}

fn agent(ca_pem: &str, proxy: Option<Proxy>) -> Agent {
    let root = Certificate::from_pem(ca_pem.as_bytes()).unwrap();
    Agent::config_builder()
        .tls_config(TlsConfig::builder().root_certs(RootCerts::new_with_certs(&[root])).build())
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(proxy)
        .timeout_global(Some(SOON))
        .build()
        .new_agent()
}

/// A response.
#[derive(Debug)]
pub struct TestResponse {
    pub status: u16,
    pub body: String,
    head: Response<()>,
}

impl TestResponse {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.headers().get(name).map(|value| value.to_str().unwrap())
    }

    pub fn json(&self) -> serde_json::Value {
        assert_eq!(self.header("content-type"), Some("application/json"));
        serde_json::from_str(&self.body).unwrap()
    }

    pub fn token(&self) -> String {
        assert_eq!(self.status, 200, "{self:?}");
        self.json()["token"].as_str().unwrap().to_owned()
    }
}

/// Reads the whole body, so that the connection returns to the pool.
pub fn response(response: Result<Response<Body>, ureq::Error>) -> TestResponse {
    let (head, mut body) = response.unwrap().into_parts();
    let body = body.read_to_string().unwrap();
    TestResponse { status: head.status.as_u16(), body, head: Response::from_parts(head, ()) }
}

pub fn log_in_by_form(client: &Agent, base_url: &str, username: &str, password: &str) -> TestResponse {
    let fields = [("username", username), ("password", password)];
    response(client.post(format!("{base_url}/authenticate")).send_form(fields))
}

pub fn log_in_by_json(client: &Agent, base_url: &str, username: &str, password: &str) -> TestResponse {
    let login = serde_json::json!({"username": username, "password": password});
    let request = client.post(format!("{base_url}/authenticate")).content_type("application/json");
    response(request.send(login.to_string()))
}
