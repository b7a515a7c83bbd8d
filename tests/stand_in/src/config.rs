//! What can be chosen before the start.

use std::io;
use std::path::PathBuf;

use crate::StandIn;

/// Choices for a [`StandIn`]: free ports and a directory of its own unless said otherwise.
///
/// ```no_run
/// let stand_in = stand_in::Config::new().https_port(8443).directory("/tmp/stand-in").start()?;
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

    /// The port of the HTTP server; 0 takes a free one.
    pub fn http_port(mut self, port: u16) -> Self {
        self.http_port = port;
        self
    }

    /// The port of the HTTPS server; 0 takes a free one.
    pub fn https_port(mut self, port: u16) -> Self {
        self.https_port = port;
        self
    }

    /// Where `ca.pem` goes. The directory is made if it is missing, and the file stays there after the end.
    /// Without this it is a new private directory, removed at the end.
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Starts a third server, a proxy that leads to the HTTPS server by the names of the service,
    /// `api.couchdrop.io` and `fileio.couchdrop.io`, and refuses all others: see [`StandIn::proxy_url`].
    pub fn as_service(mut self) -> Self {
        self.as_service = true;
        self
    }

    /// Starts the servers. They take connections when this returns.
    ///
    /// # Errors
    /// A port that is in use, a directory that can't be written; the error names it.
    pub fn start(self) -> io::Result<StandIn> {
        StandIn::with(&self)
    }
}
