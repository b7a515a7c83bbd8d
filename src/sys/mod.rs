//! Code that differs by operating system, behind one interface. `cfg(unix)`, `cfg(windows)` and `target_os` appear only
//! here. A port to another system implements the modules that `unix` exports.

pub mod fork_detect;
pub mod fork_local;
pub mod fork_snapshot;
pub mod fork_waker;
pub mod sync;

#[cfg(unix)]
mod unix;

#[cfg(unix)]
pub use unix::{
    clock, descriptor, errno, file, getaddrinfo, os_string, poll, privileges, socket, thread, thread_cancel,
    trust_store, waker,
};
