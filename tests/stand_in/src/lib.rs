//! A stand-in of the Couchdrop API: a real HTTP and a real HTTPS server on loopback that answer as the service
//! does, with [accounts](ACCOUNTS) for each way in which a login can end.
//!
//! A test starts one, points the program under test to it, and looks at what arrived:
//!
//! ```
//! use stand_in::StandIn;
//!
//! let stand_in = StandIn::start();
//! println!("log in to {}, trusting {}", stand_in.https_url(), stand_in.ca_file().display());
//! assert!(stand_in.requests().is_empty());
//! ```
//!
//! The servers run on a thread of their own and stop when the [`StandIn`] is dropped. All functions here block,
//! may be called from any thread, and are meant for tests: what cannot work panics.
//!
//! # Routes
//!
//! | request | answer |
//! | --- | --- |
//! | `POST …/authenticate` (any prefix) | what the account says: see [`ACCOUNTS`] |
//! | `POST /file/ls?path=/` | 200 with a listing, for a `token` header that holds a token issued here; else 403 |
//! | another method | 405 with `Allow` |
//! | another path | 404 |
//!
//! `/authenticate` takes `username`, `password` and `system` as a form or as JSON. Another content type gets 415,
//! broken JSON 400, a body over [`MAX_BODY_BYTES`] 413, and a login without user name or password 403.

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
pub use handle::StandIn;
pub use hyper::HeaderMap;
pub use key_exchange::crypto_provider;
pub use login::Encoding;
pub use record::{Connections, Count, Recorded};

/// Has the code in the README compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
