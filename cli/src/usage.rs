//! The messages for an invalid command line. They never repeat a value, which may be a password.

use std::error::Error as _;
use std::io::{self, Write};

use clap::Error;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// The exit status of an invalid command line.
pub const USAGE: u8 = 2;

/// Prints the help, the version or an error, and returns the exit status.
pub fn report(error: Error) -> u8 {
    let message = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let printed = error.print();
            return u8::from(printed.is_err());
        }
        _ => message(&error),
    };
    // There is no place left to report a failure of standard error.
    let _ = writeln!(io::stderr(), "couchdrop: {message}\nMore help: couchdrop --help");
    USAGE
}

fn message(error: &Error) -> String {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.as_str(),
        _ => "",
    };
    let argument = text(ContextKind::InvalidArg);
    match error.kind() {
        ErrorKind::UnknownArgument if argument.starts_with("--pass") || argument.starts_with("-p") => {
            "a password is never taken from the command line, which other users of the machine can read; \
             use --password-stdin, --password-file, COUCHDROP_PASSWORD or the prompt"
                .into()
        }
        ErrorKind::UnknownArgument if is_option_name(argument) => format!("unknown option {argument}"),
        ErrorKind::UnknownArgument => "too many arguments (not shown here: one may be a password)".into(),
        ErrorKind::TooManyValues => {
            format!("{argument} takes no value (not shown here: it may be a password)")
        }
        ErrorKind::InvalidSubcommand => "unknown command; the commands are login and check".into(),
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            "a command is missing; the commands are login and check".into()
        }
        ErrorKind::ValueValidation => {
            format!("{argument} {}", error.source().map(ToString::to_string).unwrap_or_default())
        }
        ErrorKind::InvalidValue => format!("{argument} needs a value"),
        ErrorKind::ArgumentConflict => match text(ContextKind::PriorArg) {
            prior if prior == argument => format!("{argument} cannot be used twice"),
            prior => format!("{argument} cannot be used with {prior}"),
        },
        ErrorKind::InvalidUtf8 => "an argument is not valid UTF-8".into(),
        other => other.as_str().unwrap_or("invalid arguments").into(),
    }
}

/// False for text that may be a value: a password can begin with two hyphens.
fn is_option_name(argument: &str) -> bool {
    argument.strip_prefix("--").is_some_and(|name| {
        name.len() <= 20 && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
    })
}
