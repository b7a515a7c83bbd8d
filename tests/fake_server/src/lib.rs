//! A fake server for the Couchdrop API: real HTTP and HTTPS servers on loopback that respond as the service does, with
//! [accounts](ACCOUNTS) for each way in which a login can end.
//!
//! A test starts one, points the program under test to it, and checks the recorded requests:
//!
//! ```
//! use fake_server::FakeServer;
//!
//! let fake_server = FakeServer::start();
//! println!("log in to {}, trusting {}", fake_server.https_url(), fake_server.ca_file().display());
//! assert!(fake_server.requests().is_empty());
//! ```
//!
//! The servers run on their own thread and stop when the [`FakeServer`] is dropped. All functions here block and may be
//! called from any thread. They are meant for tests: they panic on failure.
//!
//! # Routes
//!
//! | request | response |
//! | --- | --- |
//! | `POST …/authenticate` (any prefix) | depends on the account: see [`ACCOUNTS`] |
//! | `POST /file/ls?path=/` | 200 with a listing, which includes uploaded files |
//! | `POST /file/upload?path=/folder/name` | 200; the body is the file, or a multipart form with one part |
//! | `POST /expire-tokens` | 200; all tokens issued so far are invalid after it. Not a route of the service |
//! | another method | 405 with `Allow` |
//! | another path | 404 |
//!
//! The routes below `/file` need a token issued here in the header `token`: an expired one gets 401, any other 403.
//!
//! `/authenticate` accepts `username`, `password` and `system` as a form or as JSON. Another content type gets 415,
//! malformed JSON 400, a body over [`MAX_BODY_BYTES`] 413, and a login without user name or password 403.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod accounts;
mod api;
mod certificate;
mod config;
mod handle;
mod key_exchange;
mod login;
mod proxy;
mod record;
mod server;

pub use accounts::{ACCOUNTS, Account, PASSWORD};
pub use api::MAX_BODY_BYTES;
pub use config::Config;
pub use handle::FakeServer;
pub use hyper::HeaderMap;
pub use key_exchange::crypto_provider;
pub use login::Encoding;
pub use record::{Connections, Count, Recorded};

/// Compiles the code in the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
