//! libcouchdrop: log in to Couchdrop from any language.
//!
//! A login passes through three layers: a caller's pointers → [`ffi`] → [`login`] → [`http`] → the service. The result
//! comes back as a token or an [`error::ErrorKind`]. Each layer imports the next one, never a previous one.
//!
//! - [`ffi`]: the C interface. Raw pointers are used only there.
//! - [`login`]: the login itself: it encodes the request, interprets the response and decides on retries.
//! - [`http`]: the transport: name lookup, connections, TLS, one request and its response.
//! - [`sys`]: code that differs by operating system. It imports no other module.
//!
//! The other modules are shared by all layers. They import no layer but [`sys`].
//!
//! The Rust interface is for this project's own tests. The stable interface is the C ABI in `include/couchdrop.h`.

// Allowed only for the C interface, instructions that clear registers, the allocator and system calls.
#![deny(unsafe_code)]

pub mod ca_file;
pub mod cancel;
pub mod certificates;
pub mod clock;
pub mod config;
pub mod context;
pub mod environment;
pub mod error;
#[allow(unsafe_code)]
pub mod ffi;
pub mod http;
pub mod limits;
pub mod logger;
pub mod login;
pub mod pem;
#[allow(unsafe_code)]
pub mod registers;
pub mod retry_after;
pub mod rng;
#[allow(unsafe_code)]
pub mod secret;
#[allow(unsafe_code)]
pub mod sys;
pub mod url;
pub mod x509;
