//! The library's own sources, run by a model checker. They are compiled against a standard library with shuttle's
//! locks, atomics and threads, and a C library with shuttle's `poll`.

extern crate modelled_std as std;

#[path = "../../../src/ca_file.rs"]
pub mod ca_file;
#[path = "../../../src/call.rs"]
pub mod call;
#[path = "../../../src/cancel.rs"]
pub mod cancel;
#[path = "../../../src/certificates.rs"]
pub mod certificates;
#[path = "../../../src/environment.rs"]
pub mod environment;
#[path = "../../../src/errno.rs"]
pub mod errno;
#[path = "../../../src/failure.rs"]
pub mod failure;
#[path = "../../../src/identity.rs"]
pub mod identity;
#[path = "../../../src/pem.rs"]
pub mod pem;
#[path = "../../../src/process.rs"]
pub mod process;
#[path = "../../../src/registers.rs"]
pub mod registers;
#[path = "../../../src/retry_after.rs"]
pub mod retry_after;
#[path = "../../../src/secret.rs"]
pub mod secret;
#[path = "../../../src/settings.rs"]
pub mod settings;
#[path = "../../../src/snapshot.rs"]
pub mod snapshot;
#[path = "../../../src/url.rs"]
pub mod url;
#[path = "../../../src/wake.rs"]
pub mod wake;
#[path = "../../../src/wire/mod.rs"]
pub mod wire;
#[path = "../../../src/x509.rs"]
pub mod x509;
