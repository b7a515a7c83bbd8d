//! The locks and atomics that threads share. With `cfg(shuttle)` they are those of a model checker: tests/models.

#[cfg(shuttle)]
pub use shuttle::sync::{Mutex, MutexGuard, atomic};
#[cfg(not(shuttle))]
pub use std::sync::{Mutex, MutexGuard, atomic};
