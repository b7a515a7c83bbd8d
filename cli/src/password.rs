//! The sources of the password.

use std::fmt;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use couchdrop::cancel::SharedCancel;
use couchdrop::context::CallContext;
use couchdrop::http::wait::wait_for;
use couchdrop::limits::MAX_STRING_BYTES;
use couchdrop::secret::Secret;
use couchdrop::sys::poll::PollEntry;
use rustix::io::Errno;

use crate::arguments::Login;
use crate::failure::Failure;
use crate::terminal;

const VARIABLE: &str = "COUCHDROP_PASSWORD";

/// The limit for a prompt and for reading a password: a day.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// A source, which messages name.
pub enum Source<'a> {
    StandardInput,
    File(&'a Path),
    Variable,
    Prompt { username: &'a str },
}

impl fmt::Display for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::StandardInput => f.write_str("the password on standard input"),
            Source::File(path) => write!(f, "the password in {}", path.display()),
            Source::Variable => write!(f, "the password in {VARIABLE}"),
            Source::Prompt { .. } => f.write_str("the password"),
        }
    }
}

impl<'a> Source<'a> {
    /// Options win over the variable, and the variable over the prompt.
    pub fn choose(options: &'a Login, username: &'a str) -> Source<'a> {
        match &options.password_file {
            _ if options.password_stdin => Source::StandardInput,
            Some(path) => Source::File(path),
            None if std::env::var_os(VARIABLE).is_some() => Source::Variable,
            None => Source::Prompt { username },
        }
    }

    /// Reads the password, without the line end of a file or of standard input. A signal stops it.
    pub fn read(&self, cancel: &SharedCancel) -> Result<Secret, Failure> {
        let call = CallContext::new(PATIENCE, Some(cancel.clone()), None);
        let content = match self {
            Source::StandardInput => self.read_all(&call, io::stdin().as_fd()),
            Source::File(path) => {
                // Opening a FIFO would wait for its writer, and Rust repeats an interrupted call.
                let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
                let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
                let file = file.map_err(|error| self.unreadable(&error))?;
                self.read_all(&call, file.as_fd())
            }
            Source::Variable => {
                return Ok(std::env::var_os(VARIABLE).unwrap_or_default().into_vec().into());
            }
            Source::Prompt { username } => return terminal::ask(&format!("Password of {username}: "), &call),
        };
        content.map(without_line_end)
    }

    fn read_all(&self, call: &CallContext, from: impl AsFd) -> Result<Secret, Failure> {
        // One allocation, for the largest password with a line end and one byte too many.
        let mut content = Secret::with_capacity(MAX_STRING_BYTES + 3);
        // The allocator wipes it, as every block that it frees.
        let mut buffer = vec![0; 4096];
        loop {
            wait_for(call, PollEntry::readable(from.as_fd().as_raw_fd()))?;
            match rustix::io::read(from.as_fd(), &mut buffer[..]) {
                Ok(0) => return Ok(content),
                Ok(count) => {
                    let room = MAX_STRING_BYTES + 3 - content.len();
                    content.extend(buffer.get(..count.min(room)).unwrap_or_default());
                    // Too long in any case: `text()` in login.rs says so.
                    if count >= room {
                        return Ok(content);
                    }
                }
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(errno) => return Err(self.unreadable(&io::Error::from(errno))),
            }
        }
    }

    fn unreadable(&self, error: &io::Error) -> Failure {
        Failure::usage(format!("{self} could not be read: {error}"))
    }
}

/// Removes one line end.
fn without_line_end(mut content: Secret) -> Secret {
    let end = if content.ends_with(b"\r\n") { 2 } else { usize::from(content.ends_with(b"\n")) };
    content.truncate(content.len() - end);
    content
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_end_is_removed() {
        for (content, password) in [
            ("pw", "pw"),
            ("pw\n", "pw"),
            ("pw\r\n", "pw"),
            ("pw\n\n", "pw\n"),
            ("pw\r", "pw\r"),
            ("pw \n", "pw "),
            ("\n", ""),
            ("", ""),
        ] {
            assert_eq!(&without_line_end(content.as_bytes().into())[..], password.as_bytes(), "{content:?}");
        }
    }
}
