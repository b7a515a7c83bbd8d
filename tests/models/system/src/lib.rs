//! The standard library, with locks, atomics and threads that a model checker runs in any order it chooses.

pub use ::std::*;

pub mod sync {
    pub use ::std::sync::*;

    pub use shuttle::sync::{Mutex, MutexGuard};

    pub mod atomic {
        pub use shuttle::sync::atomic::*;
    }
}

pub mod thread {
    pub use ::std::thread::*;

    pub use shuttle::thread::{spawn, yield_now};
}
