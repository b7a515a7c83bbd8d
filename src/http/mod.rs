//! The transport: name lookup, connections, TLS, one request and its response. This layer knows nothing about passwords
//! or retries.

pub mod algorithms;
pub mod buffer;
pub mod chunked;
pub mod client;
pub mod connection;
pub mod dns;
pub mod endpoint;
pub mod fast_path;
pub mod happy_eyeballs;
pub mod key_exchange;
pub mod pool;
pub mod proxy;
pub mod request;
pub mod response;
pub mod response_head;
pub mod response_reader;
pub mod root_cache;
pub mod root_source;
mod shared;
pub mod tls;
pub mod tls_error;
pub mod tls_stream;
pub mod transport_error;
pub mod trust;
pub mod ureq_path;
pub mod verifier;
pub mod wait;
