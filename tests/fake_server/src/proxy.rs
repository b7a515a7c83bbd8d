//! The proxy that puts the fake server in the service's place: programs that use `HTTPS_PROXY` reach the fake server by the
//! names of the service. All other names are refused.

use std::convert::Infallible;
use std::io;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::http::uri::Authority;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::server::{Listeners, Server};

/// The hosts of the service, each on port 443.
pub(crate) const SERVICE: [&str; 2] = ["api.couchdrop.io", "fileio.couchdrop.io"];

/// Accepts HTTP CONNECT (RFC 9110, 9.3.6). A tunnel ends in the server itself: the proxy never opens a connection.
#[derive(Clone)]
pub(crate) struct Proxy {
    /// The HTTPS server.
    pub service: Server,
}

impl Proxy {
    /// Serves until the runtime ends.
    pub fn spawn(self, listeners: Listeners) -> io::Result<()> {
        listeners.spawn(move |socket| self.clone().connection(socket))
    }

    async fn connection(self, socket: TcpStream) {
        let service = service_fn(|request| self.respond(request));
        // A client may close early.
        let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).with_upgrades().await;
    }

    async fn respond(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        if request.method() != Method::CONNECT {
            return Ok(refusal(StatusCode::METHOD_NOT_ALLOWED));
        }
        if !request.uri().authority().is_some_and(is_service) {
            return Ok(refusal(StatusCode::FORBIDDEN));
        }
        let service = self.service.clone();
        tokio::spawn(async move {
            if let Ok(tunnel) = hyper::upgrade::on(request).await {
                service.connection(TokioIo::new(tunnel)).await;
            }
        });
        Ok(Response::default())
    }
}

fn is_service(target: &Authority) -> bool {
    target.port_u16() == Some(443) && SERVICE.iter().any(|host| target.host().eq_ignore_ascii_case(host))
}

fn refusal(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response =
        Response::new(Full::from("A tunnel to port 443 of the service's names, and nothing else\n"));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}
