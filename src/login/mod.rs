//! The login: it encodes the request, exchanges it, interprets the response and decides on a retry. This layer does not
//! know its callers or the transport's details.

pub mod client;
pub mod credentials;
pub mod json;
pub mod redact;
pub mod request;
pub mod response;
pub mod retry;
pub mod session;
pub mod text;
pub mod unescape;

pub use client::Client;
pub use credentials::Credentials;
pub use session::Session;
