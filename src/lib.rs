//! libcouchdrop: log in to Couchdrop from any language.
//!
//! A login flows one way through three rooms: a caller's pointers → [`ffi`] → [`login`] → [`wire`] → the service, and
//! back as a token or a [`failure::Failure`]. Each room imports the next, never one before it; the words that all of
//! them speak stand beside them in this folder and import no room.
//!
//! - [`ffi`]: what C sees. Raw pointers end here.
//! - [`login`]: what a login is: what to send, what an answer means, whether to try again.
//! - [`wire`]: how bytes travel: names, connections, TLS, one request out and one answer in.
//!
//! The Rust interface is for this project's own tests; what is stable is the C ABI in `include/couchdrop.h`.

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
