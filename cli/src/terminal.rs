//! The prompt for a password on the terminal, without echo.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;

use couchdrop::context::CallContext;
use couchdrop::error::cd_code;
use couchdrop::http::wait::wait_for;
use couchdrop::login::text::is_invisible;
use couchdrop::secret::Secret;
use couchdrop::sys::poll::PollEntry;
use rustix::io::Errno;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::failure::Failure;

/// Linux cuts a longer line silently.
const MAX_LINE_BYTES: usize = 4095;

/// Asks for a password on the terminal of this process. A signal stops it, and the terminal is restored.
pub fn ask(prompt: &str, call: &CallContext) -> Result<Secret, Failure> {
    let mut terminal = OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(|_| {
        Failure::usage(
            "there is no terminal to ask for the password: use --password-stdin, --password-file or \
             COUCHDROP_PASSWORD",
        )
    })?;
    let silent = Silent::new(&terminal).map_err(|error| unusable(&error))?;
    let prompt: String = prompt.chars().filter(|letter| !is_invisible(*letter)).collect();
    terminal.write_all(prompt.as_bytes()).map_err(|error| unusable(&error))?;
    let line = read_line(&terminal, call);
    drop(silent);
    // The user's line end was not shown.
    terminal.write_all(b"\n").map_err(|error| unusable(&error))?;
    line
}

fn read_line(terminal: &File, call: &CallContext) -> Result<Secret, Failure> {
    let mut line = Secret::with_capacity(MAX_LINE_BYTES + 1);
    loop {
        wait_for(call, PollEntry::readable(terminal.as_raw_fd()))?;
        let mut byte = [0];
        match rustix::io::read(terminal, &mut byte) {
            Ok(0) => return Ok(line),
            Ok(_) if byte == [b'\n'] => return Ok(line),
            Ok(_) if line.len() + 1 >= MAX_LINE_BYTES => {
                return Err(Failure::argument(
                    cd_code::CD_ERR_OUT_OF_RANGE,
                    "the password is longer than a line of the terminal may be: use --password-stdin",
                ));
            }
            Ok(_) => line.push(byte[0]),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(unusable(&io::Error::from(errno))),
        }
    }
}

fn unusable(error: &io::Error) -> Failure {
    Failure::usage(format!("the terminal could not be used: {error}"))
}

/// A terminal without echo. Dropping it restores the terminal.
struct Silent {
    terminal: File,
    before: Termios,
}

impl Silent {
    fn new(terminal: &File) -> io::Result<Silent> {
        let terminal = terminal.try_clone()?;
        let before = tcgetattr(&terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO | LocalModes::ECHONL);
        // Discards what was typed, and shown, before the prompt.
        tcsetattr(&terminal, OptionalActions::Flush, &silent)?;
        Ok(Silent { terminal, before })
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        // Also discards the rest of a line that is too long, which the shell would read.
        let _ = tcsetattr(&self.terminal, OptionalActions::Flush, &self.before);
    }
}
