//! libcouchdrop: log in to Couchdrop from any language.
//!
//! A login passes through three layers: a caller's pointers → [`ffi`] → [`login`] → [`wire`] → the service. The result
//! comes back as a token or a [`failure::Failure`]. Each layer imports the next one, never a previous one. The modules
//! that all layers share are in this folder and import no layer.
//!
//! - [`ffi`]: the C interface. Raw pointers are used only there.
//! - [`login`]: the login itself: it encodes the request, interprets the response and decides on retries.
//! - [`wire`]: the transport: name lookup, connections, TLS, one request and its response.
//!
//! The Rust interface is for this project's own tests. The stable interface is the C ABI in `include/couchdrop.h`.

pub mod ca_file;
pub mod call;
pub mod cancel;
pub mod certificates;
pub mod environment;
pub mod errno;
pub mod failure;
pub mod ffi;
pub mod identity;
pub mod login;
pub mod pem;
pub mod process;
pub mod registers;
pub mod retry_after;
pub mod secret;
pub mod settings;
pub mod snapshot;
pub mod url;
pub mod wake;
pub mod wire;
pub mod x509;
