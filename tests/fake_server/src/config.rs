//! Settings that are chosen before the start.

use std::io;
use std::path::PathBuf;

use crate::FakeServer;

/// Settings for a [`FakeServer`]. The default is free ports and a new private directory.
///
/// ```no_run
/// let fake_server = fake_server::Config::new().https_port(8443).directory("/tmp/fake-server").start()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Config {
    pub(crate) http_port: u16,
    pub(crate) https_port: u16,
    pub(crate) directory: Option<PathBuf>,
    pub(crate) as_service: bool,
}

impl Config {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The port of the HTTP server; 0 chooses a free one.
    pub fn http_port(mut self, port: u16) -> Self {
        self.http_port = port;
        self
    }

    /// The port of the HTTPS server; 0 chooses a free one.
    pub fn https_port(mut self, port: u16) -> Self {
        self.https_port = port;
        self
    }

    /// The directory for `ca.pem`. It is created if it is missing, and the file is kept after the end. The default is a
    /// new private directory, which is removed at the end.
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Starts a third server, a proxy that connects the names of the service, `api.couchdrop.io` and
    /// `fileio.couchdrop.io`, to the HTTPS server and refuses all others: see [`FakeServer::proxy_url`].
    pub fn as_service(mut self) -> Self {
        self.as_service = true;
        self
    }

    /// Starts the servers. They accept connections when this returns.
    ///
    /// # Errors
    /// A port is in use, or a directory is not writable. The error names it.
    pub fn start(self) -> io::Result<FakeServer> {
        FakeServer::with(&self)
    }
}
