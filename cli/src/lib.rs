//! The program `couchdrop`: logs in at the command line, and checks if this machine can reach the service.
//!
//! It uses the Rust interface of libcouchdrop, which is not stable. Its tests generate the man pages and the shell
//! completions in `packaging/`.

pub mod arguments;
mod check;
mod failure;
mod interrupt;
mod login;
mod output;
mod password;
mod service;
mod terminal;
mod usage;

#[cfg(test)]
#[path = "../../tests/resolver/mod.rs"]
mod resolver;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};
use failure::Failure;

/// Runs the program and returns its exit status.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return ExitCode::from(usage::report(error)),
    };
    let (done, json) = match &arguments.command {
        Command::Login(login) => (login::run(login), login.json),
        Command::Check(check) => (check::run(check), check.json),
    };
    match done {
        Ok(status) => ExitCode::from(status),
        Err(failure) => {
            failure.report(json);
            ExitCode::from(failure.status())
        }
    }
}

type Done = Result<u8, Failure>;
