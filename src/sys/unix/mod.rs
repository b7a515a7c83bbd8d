//! Linux, macOS and other systems with POSIX interfaces.

pub mod clock;
pub mod descriptor;
pub mod errno;
pub mod file;
pub mod getaddrinfo;
pub mod os_string;
pub mod poll;
pub mod privileges;
pub mod socket;
pub mod thread;
pub mod thread_cancel;
pub mod trust_store;
pub mod waker;
