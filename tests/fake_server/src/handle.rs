//! The handle of a test. It starts the servers, reports the requests and connections, and stops the servers.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tempfile::TempDir;
use tokio::runtime;
use tokio::sync::{oneshot, watch};
use tokio_rustls::TlsAcceptor;

use crate::Config;
use crate::api::Api;
use crate::certificate::Certificate;
use crate::proxy::Proxy;
use crate::record::{Connections, Record, Recorded};
use crate::server::{Listeners, Server};

/// The running servers. Dropping it stops them, closes all connections and frees the ports, and returns when that is
/// done. Threads may share it.
pub struct FakeServer {
    http_url: String,
    https_url: String,
    proxy_url: Option<String>,
    ca_pem: String,
    ca_file: PathBuf,
    api: Arc<Api>,
    record: Arc<Record>,
    close: watch::Sender<()>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// The directory of `ca_file`, unless [`Config::directory`] set another one. Removed when dropped.
    _directory: Option<TempDir>,
}

impl FakeServer {
    /// Starts both servers on free ports. They accept connections when this returns.
    ///
    /// # Panics
    /// Panics if the machine refuses a socket, a thread or a temporary file. [`Config::start`] returns an error
    /// instead.
    pub fn start() -> Self {
        Config::new().start().expect("the fake server starts")
    }

    pub(crate) fn with(config: &Config) -> io::Result<Self> {
        let http = Listeners::bind(config.http_port)?;
        let https = Listeners::bind(config.https_port)?;
        let proxy = if config.as_service { Some(Listeners::bind(0)?) } else { None };
        let certificate = Certificate::new().map_err(io::Error::other)?;
        let (directory, ca_file) = write_ca(config.directory.as_deref(), &certificate.ca_pem)?;

        let record = Arc::<Record>::default();
        let close = watch::Sender::new(());
        let (stop, stopped) = oneshot::channel();
        let http_url = format!("http://127.0.0.1:{}", http.port);
        let https_url = format!("https://localhost:{}", https.port);
        let proxy_url = proxy.as_ref().map(|proxy| format!("http://127.0.0.1:{}", proxy.port));
        let api = Arc::<Api>::default();
        let plain = Server { api: api.clone(), record: record.clone(), close: close.clone(), tls: None };
        let secure = Server { tls: Some(TlsAcceptor::from(certificate.tls)), ..plain.clone() };

        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        {
            let _entered = runtime.enter();
            if let Some(proxy) = proxy {
                Proxy { service: secure.clone() }.spawn(proxy)?;
            }
            plain.spawn(http)?;
            secure.spawn(https)?;
        }
        let thread = thread::Builder::new().name("fake server".into()).spawn(move || {
            // An error means that the handle was dropped, so stop as well.
            let _ = runtime.block_on(stopped);
        })?;
        Ok(Self {
            http_url,
            https_url,
            proxy_url,
            ca_pem: certificate.ca_pem,
            ca_file,
            api,
            record,
            close,
            stop: Some(stop),
            thread: Some(thread),
            _directory: directory,
        })
    }

    /// `http://127.0.0.1:PORT`, without a trailing slash.
    pub fn http_url(&self) -> &str {
        &self.http_url
    }

    /// `https://localhost:PORT`, without a trailing slash. The certificate is also valid for `127.0.0.1`, `::1`,
    /// `api.couchdrop.test` and the names of the service.
    pub fn https_url(&self) -> &str {
        &self.https_url
    }

    /// The proxy's URL `http://127.0.0.1:PORT`, for `HTTPS_PROXY`; `None` without [`Config::as_service`]. It accepts
    /// `CONNECT` only to `api.couchdrop.io:443` and `fileio.couchdrop.io:443`. Both tunnels end in this process:
    /// nothing is forwarded to another machine.
    pub fn proxy_url(&self) -> Option<&str> {
        self.proxy_url.as_deref()
    }

    /// The PEM file with the certificate of the CA that signed the server's certificate.
    pub fn ca_file(&self) -> &Path {
        &self.ca_file
    }

    /// The content of [`ca_file`](Self::ca_file).
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// All requests so far, of both servers, in the order in which they had arrived in full. A request is recorded
    /// before its response is sent. Bytes that are not HTTP get 400 and are not recorded.
    pub fn requests(&self) -> Vec<Recorded> {
        self.record.seen().requests.clone()
    }

    /// Waits until at least `count` requests have arrived. Returns true if they did within `timeout`.
    #[must_use]
    pub fn wait_for_requests(&self, count: usize, timeout: Duration) -> bool {
        self.record.wait(timeout, |seen| seen.requests.len() >= count)
    }

    /// The connections so far.
    pub fn connections(&self) -> Connections {
        self.record.seen().connections
    }

    /// Waits until `condition` holds for the connections. Returns true if it did within `timeout`.
    #[must_use]
    pub fn wait_for_connections(&self, timeout: Duration, condition: impl Fn(&Connections) -> bool) -> bool {
        self.record.wait(timeout, |seen| condition(&seen.connections))
    }

    /// Makes all tokens issued so far invalid: a request with one of them gets 401. Returns their number.
    pub fn expire_tokens(&self) -> usize {
        self.api.expire_tokens()
    }

    /// Closes all open connections, even those in use, and waits until they are closed: a client that had pooled one
    /// finds it closed. New connections are accepted as before.
    pub fn close_connections(&self) {
        let open = self.record.open();
        self.close.send_replace(());
        self.record.wait_until_closed(&open);
    }
}

impl fmt::Debug for FakeServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeServer")
            .field("http_url", &self.http_url)
            .field("https_url", &self.https_url)
            .field("proxy_url", &self.proxy_url)
            .field("ca_file", &self.ca_file)
            .finish_non_exhaustive()
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn write_ca(directory: Option<&Path>, pem: &str) -> io::Result<(Option<TempDir>, PathBuf)> {
    let (temporary, directory) = match directory {
        Some(directory) => (None, directory.to_owned()),
        None => {
            let temporary = tempfile::Builder::new().prefix("fake-server-").tempdir()?;
            let path = temporary.path().to_owned();
            (Some(temporary), path)
        }
    };
    let file = directory.join("ca.pem");
    fs::create_dir_all(&directory)
        .and_then(|()| fs::write(&file, pem))
        .map_err(|error| io::Error::new(error.kind(), format!("cannot write {}: {error}", file.display())))?;
    Ok((temporary, file))
}
