//! The failure of a command: exit status, text and JSON.

use std::io::{self, Write};

use couchdrop::error::{Error, ErrorKind, cd_code, code_name};
use couchdrop::login::text::is_invisible;
use serde_json::{Value, json};

use crate::interrupt;
use crate::usage::USAGE;

/// A failure that ends the program.
pub struct Failure {
    /// None for a failure that the library has no code for.
    code: Option<cd_code>,
    message: String,
    server_message: Option<String>,
    retry_after: Option<i64>,
    status: u8,
}

impl Failure {
    /// A wrong usage that the library has no code for.
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure { status: USAGE, ..Failure::new(None, message.into()) }
    }

    /// A wrong usage with a code of 2xxx.
    pub fn argument(code: cd_code, message: impl Into<String>) -> Failure {
        Failure::new(Some(code), message.into())
    }

    /// A failure to write to standard output.
    pub fn output(error: &io::Error) -> Failure {
        Failure::new(None, format!("standard output could not be written: {error}"))
    }

    fn new(code: Option<cd_code>, mut message: String) -> Failure {
        message.retain(|letter| !is_invisible(letter));
        let status = code.map_or(1, status_of);
        Failure { code, message, server_message: None, retry_after: None, status }
    }

    /// The exit status of the program.
    pub fn status(&self) -> u8 {
        match (self.code, interrupt::signal()) {
            (Some(cd_code::CD_ERR_CANCELLED), Some(signal)) => 128 + signal,
            _ => self.status,
        }
    }

    /// The sentence, with the name of the code.
    pub fn sentence(&self) -> String {
        match self.name() {
            Some(name) => format!("{} [{name}]", self.message),
            None => self.message.clone(),
        }
    }

    /// The members `code`, `name`, `message` and `retry_after`. Each is null if it is not known.
    pub fn json(&self) -> Value {
        json!({
            "code": self.code.map(|code| code as i32),
            "name": self.name(),
            "message": self.message,
            "retry_after": self.retry_after,
        })
    }

    /// Prints the failure on standard error. An interrupt needs no message.
    pub fn report(&self, json: bool) {
        let mut text = if json {
            self.json().to_string()
        } else if self.code == Some(cd_code::CD_ERR_CANCELLED) {
            return;
        } else {
            format!("couchdrop: {}", self.sentence())
        };
        if let Some(message) = self.server_message.as_ref().filter(|_| !json) {
            text.push_str(&format!("\nThe service says: {message}"));
        }
        if let Some(seconds) = self.retry_after.filter(|_| !json) {
            text.push_str(&format!("\nTry again in {seconds} seconds."));
        }
        // There is no place left to report a failure of standard error.
        let _ = writeln!(io::stderr(), "{text}");
    }

    fn name(&self) -> Option<&'static str> {
        self.code.and_then(|code| code_name(code as i32).to_str().ok())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure {
            server_message: error.server_message,
            retry_after: error.retry_after,
            ..Failure::new(Some(error.kind.code()), error.kind.to_string())
        }
    }
}

impl From<ErrorKind> for Failure {
    fn from(kind: ErrorKind) -> Failure {
        Error::from(kind).into()
    }
}

/// The exit status for a code, as in [`crate::arguments::EXIT_STATUS`].
fn status_of(code: cd_code) -> u8 {
    match code as i32 {
        0 => 0,
        1401 => 4,
        1403 => 3,
        1429 => 5,
        5001 => 130,
        other => match other / 1000 {
            1 | 4 => 7,
            2 => USAGE,
            3 => 6,
            _ => 1,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use couchdrop::error::cd_code::*;

    #[test]
    fn each_category_has_its_status() {
        for (code, status) in [
            (CD_OK, 0),
            (CD_ERR_HTTP_STATUS, 7),
            (CD_ERR_TWO_FACTOR_REQUIRED, 4),
            (CD_ERR_ACCESS_DENIED, 3),
            (CD_ERR_RATE_LIMITED, 5),
            (CD_ERR_SERVER, 7),
            (CD_ERR_UNAVAILABLE, 7),
            (CD_ERR_EMPTY_ARGUMENT, 2),
            (CD_ERR_CA_FILE, 2),
            (CD_ERR_DNS, 6),
            (CD_ERR_CONNECTION_LOST, 6),
            (CD_ERR_MALFORMED_RESPONSE, 7),
            (CD_ERR_RESPONSE_TOO_LARGE, 7),
            (CD_ERR_CANCELLED, 130),
            (CD_ERR_PANIC, 1),
            (CD_ERR_RESOURCES, 1),
        ] {
            assert_eq!(status_of(code), status, "{code:?}");
        }
    }
}
