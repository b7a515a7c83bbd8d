//! Log messages for the host.

use std::ffi::{CStr, CString};
use std::sync::Arc;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i32)]
pub enum Level {
    Error = 1,
    Warn = 2,
    Info = 3,
    Debug = 4,
}

/// The host's function that receives log messages.
pub type Sink = dyn Fn(Level, &CStr) + Send + Sync;

#[derive(Clone)]
pub struct Logger {
    sink: Arc<Sink>,
    max_level: i32,
}

impl Logger {
    /// `sink` receives messages up to `max_level`.
    pub fn new(max_level: i32, sink: Arc<Sink>) -> Logger {
        Logger { sink, max_level }
    }

    /// True if the host receives messages of this level.
    pub fn is_enabled(&self, level: Level) -> bool {
        level as i32 <= self.max_level
    }

    /// Passes one line to the host, without control characters.
    #[cold]
    pub fn write(&self, level: Level, mut message: String) {
        message.retain(|letter| !letter.is_control());
        if let Ok(message) = CString::new(message) {
            (self.sink)(level, &message);
        }
    }
}
