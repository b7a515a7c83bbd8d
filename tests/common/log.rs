//! A logger that records each message, its level and its thread.

use std::ffi::{CStr, c_char, c_void};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, ThreadId};

use super::PATIENCE;

/// One message, and the thread on which the library logged it.
#[derive(Clone, Debug)]
pub struct Line {
    pub level: i32,
    pub message: String,
    pub thread: ThreadId,
}

/// Called with each message while the logger runs.
type Callback = Box<dyn Fn(&Line) + Send + Sync>;

#[derive(Default)]
pub struct Log {
    lines: Mutex<Vec<Line>>,
    changed: Condvar,
    callback: Option<Callback>,
}

impl Log {
    pub fn new() -> Arc<Log> {
        Arc::default()
    }

    /// A log that also calls `callback` with each message, on the thread of the call.
    pub fn with_callback(callback: impl Fn(&Line) + Send + Sync + 'static) -> Arc<Log> {
        Arc::new(Log { callback: Some(Box::new(callback)), ..Log::default() })
    }

    pub fn user_data(&self) -> *mut c_void {
        std::ptr::from_ref(self).cast_mut().cast()
    }

    pub fn lines(&self) -> Vec<Line> {
        self.since(0)
    }

    /// The messages from this number on.
    pub fn since(&self, number: usize) -> Vec<Line> {
        self.lines.lock().unwrap()[number..].to_vec()
    }

    /// The number of messages that contain `part`.
    pub fn count(&self, part: &str) -> usize {
        self.lines.lock().unwrap().iter().filter(|line| line.message.contains(part)).count()
    }

    /// Waits until a message contains `part`.
    pub fn wait_for(&self, part: &str) {
        self.wait_for_count(part, 1);
    }

    /// Waits until `count` messages contain `part`.
    pub fn wait_for_count(&self, part: &str, count: usize) {
        let lines = self.lines.lock().unwrap();
        let (_guard, waited) = self
            .changed
            .wait_timeout_while(lines, PATIENCE, |lines| {
                lines.iter().filter(|line| line.message.contains(part)).count() < count
            })
            .unwrap();
        assert!(!waited.timed_out(), "never logged: {part}");
    }
}

/// The logger callback for the library; `user_data` is a [`Log`].
///
/// # Safety
/// Same as for `cd_log_fn`.
pub unsafe extern "C" fn record(user_data: *mut c_void, level: i32, message: *const c_char) {
    let log = unsafe { &*user_data.cast::<Log>() };
    let message = unsafe { CStr::from_ptr(message) }.to_str().expect("messages are UTF-8").to_owned();
    let line = Line { level, message, thread: thread::current().id() };
    log.lines.lock().unwrap().push(line.clone());
    log.changed.notify_all();
    if let Some(callback) = &log.callback {
        callback(&line);
    }
}
