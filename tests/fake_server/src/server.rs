//! The servers: sockets, TLS and HTTP, each from a library.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::api::{Api, HttpResponse, MAX_BODY_BYTES};
use crate::login::Encoding;
use crate::record::{OpenConnection, Record, Recorded};

/// The listening sockets of one server: one port, on 127.0.0.1 and, if the machine has it, on ::1.
pub(crate) struct Listeners {
    pub port: u16,
    sockets: Vec<StdListener>,
}

impl Listeners {
    /// Port 0 chooses a free one.
    pub fn bind(port: u16) -> io::Result<Self> {
        let failed = |error: io::Error| {
            io::Error::new(error.kind(), format!("cannot listen on port {port} of loopback: {error}"))
        };
        loop {
            let v4 = StdListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(failed)?;
            v4.set_nonblocking(true)?;
            let chosen = v4.local_addr()?.port();
            match StdListener::bind((Ipv6Addr::LOCALHOST, chosen)) {
                Ok(v6) => {
                    v6.set_nonblocking(true)?;
                    return Ok(Self { port: chosen, sockets: vec![v4, v6] });
                }
                // Free on only one address: choose another port.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && port == 0 => {}
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(failed(error)),
                Err(_no_ipv6) => return Ok(Self { port: chosen, sockets: vec![v4] }),
            }
        }
    }

    /// Passes every connection to `serve`, until the runtime ends.
    pub fn spawn<F, S>(self, serve: F) -> io::Result<()>
    where
        F: Fn(TcpStream) -> S + Clone + Send + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        for socket in self.sockets {
            tokio::spawn(accept(TcpListener::from_std(socket)?, serve.clone()));
        }
        Ok(())
    }
}

async fn accept<S>(listener: TcpListener, serve: impl Fn(TcpStream) -> S)
where
    S: Future<Output = ()> + Send + 'static,
{
    loop {
        match listener.accept().await {
            Ok((socket, _)) => {
                let _ = socket.set_nodelay(true);
                tokio::spawn(serve(socket));
            }
            // Most likely the process is out of descriptors, which lasts until a connection ends.
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    }
}

/// One server with all its sockets.
#[derive(Clone)]
pub(crate) struct Server {
    pub api: Arc<Api>,
    pub record: Arc<Record>,
    /// Changes when all current connections must close.
    pub close: watch::Sender<()>,
    /// `None`: plain HTTP.
    pub tls: Option<TlsAcceptor>,
}

impl Server {
    /// Serves until the runtime ends.
    pub fn spawn(self, listeners: Listeners) -> io::Result<()> {
        listeners.spawn(move |socket| self.clone().connection(socket))
    }

    /// Serves one connection, which may also come through a tunnel.
    pub async fn connection(self, socket: impl AsyncRead + AsyncWrite + Unpin) {
        // Subscribe before recording: a recorded connection then never misses the request to close.
        let mut closing = self.close.subscribe();
        let open = self.record.accepted(self.tls.is_some());
        match &self.tls {
            None => self.serve(socket, &mut closing, &open).await,
            Some(tls) => {
                tokio::select! {
                    stream = tls.accept(socket) => if let Ok(stream) = stream {
                        self.record.handshake();
                        self.serve(stream, &mut closing, &open).await;
                    },
                    _ = closing.changed() => {}
                }
            }
        }
    }

    async fn serve<S>(&self, stream: S, closing: &mut watch::Receiver<()>, open: &OpenConnection)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let service = service_fn(|request| self.respond(request, open));
        let mut http = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::select! {
            // A client may close early; complete requests are already recorded.
            _ = &mut http => {}
            _ = closing.changed() => {
                // A clean close: TLS sends close_notify, TCP sends FIN. A client that does not read can't delay it.
                let mut stream = http.into_parts().io.into_inner();
                let _ = timeout(Duration::from_secs(1), stream.shutdown()).await;
            }
        }
    }

    /// Records a request, and responds or never returns.
    async fn respond(
        &self,
        request: Request<Incoming>,
        open: &OpenConnection,
    ) -> Result<HttpResponse, hyper::Error> {
        let (head, body) = request.into_parts();
        let body = read(body).await?;
        let reply = self.api.reply(&head, body.as_deref());
        self.record.request(Recorded {
            secure: open.secure,
            connection: open.number,
            method: head.method.to_string(),
            path: head.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
            encoding: Encoding::of(&head.headers),
            headers: with_hidden_token(head.headers),
            username: reply.login.username,
            system: reply.login.system,
            body: body.unwrap_or_default(),
            status: reply.response.as_ref().map(|response| response.status().as_u16()),
        });
        match reply.response {
            Some(response) => Ok(response),
            None => std::future::pending().await,
        }
    }
}

/// `None` if it is larger than [`MAX_BODY_BYTES`].
async fn read(body: Incoming) -> Result<Option<Vec<u8>>, hyper::Error> {
    if body.size_hint().lower() > MAX_BODY_BYTES as u64 {
        return Ok(None);
    }
    match Limited::new(body, MAX_BODY_BYTES).collect().await {
        Ok(body) => Ok(Some(body.to_bytes().to_vec())),
        Err(error) => error.downcast().map_or(Ok(None), |lost| Err(*lost)),
    }
}

/// A failing test prints the record, so the token is left out.
fn with_hidden_token(mut headers: HeaderMap) -> HeaderMap {
    for (name, value) in &mut headers {
        if name == "token" {
            value.set_sensitive(true);
        }
    }
    headers
}
