//! The library's own sources, run by a model checker. They are compiled against a standard library with shuttle's
//! locks, atomics and threads, and a C library with shuttle's `poll`.

extern crate modelled_std as std;

#[path = "../../../src/ca_file.rs"]
pub mod ca_file;
#[path = "../../../src/cancel.rs"]
pub mod cancel;
#[path = "../../../src/certificates.rs"]
pub mod certificates;
#[path = "../../../src/clock.rs"]
pub mod clock;
#[path = "../../../src/config.rs"]
pub mod config;
#[path = "../../../src/context.rs"]
pub mod context;
#[path = "../../../src/environment.rs"]
pub mod environment;
#[path = "../../../src/error.rs"]
pub mod error;
#[path = "../../../src/http/mod.rs"]
pub mod http;
#[path = "../../../src/limits.rs"]
pub mod limits;
#[path = "../../../src/logger.rs"]
pub mod logger;
#[path = "../../../src/pem.rs"]
pub mod pem;
#[path = "../../../src/registers.rs"]
pub mod registers;
#[path = "../../../src/retry_after.rs"]
pub mod retry_after;
#[path = "../../../src/rng.rs"]
pub mod rng;
#[path = "../../../src/secret.rs"]
pub mod secret;
#[path = "../../../src/sys/mod.rs"]
pub mod sys;
#[path = "../../../src/url.rs"]
pub mod url;
#[path = "../../../src/x509.rs"]
pub mod x509;
