//! Runs the program.
#![allow(dead_code, reason = "each suite uses its own part")]

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};

use fake_server::{FakeServer, PASSWORD};

pub const ADA: &str = "ada@example.com";

/// The program with these arguments and an empty environment.
pub fn couchdrop(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_couchdrop"));
    command.env_clear().args(arguments);
    with_default_signals(&mut command);
    command
}

/// Makes a command start without ignored signals, which it would otherwise inherit: a shell ignores SIGINT for a job in
/// the background, and `nohup` SIGHUP.
pub fn with_default_signals(command: &mut Command) {
    // SAFETY: `signal` is async-signal-safe.
    unsafe {
        command.pre_exec(|| {
            for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
                if libc::signal(signal, libc::SIG_DFL) == libc::SIG_ERR {
                    return Err(io::Error::last_os_error());
                }
            }
            Ok(())
        });
    }
}

/// `couchdrop login` at the fake server, with a user name.
pub fn login(fake_server: &FakeServer, username: &str, arguments: &[&str]) -> Command {
    let mut command = couchdrop(&["login", "--username", username]);
    command.args(["--base-url", fake_server.https_url(), "--ca-file"]).arg(fake_server.ca_file());
    command.args(arguments);
    command
}

/// The same, with the password of the fake server's accounts in the environment.
pub fn login_with_password(fake_server: &FakeServer, username: &str, arguments: &[&str]) -> Command {
    let mut command = login(fake_server, username, arguments);
    command.env("COUCHDROP_PASSWORD", PASSWORD);
    command
}

#[derive(Debug, PartialEq, Eq)]
pub struct Ended {
    /// The exit status; None after a signal.
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a command with `input` on standard input.
pub fn run_with_input(command: &mut Command, input: &[u8]) -> Ended {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A program that reads nothing may have ended already.
    let _ = child.stdin.take().unwrap().write_all(input);
    ended(child.wait_with_output().unwrap())
}

pub fn run(command: &mut Command) -> Ended {
    run_with_input(command, b"")
}

pub fn ended(output: Output) -> Ended {
    Ended {
        status: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// True for the line of a token as the fake server issues it.
pub fn is_token_line(line: &str) -> bool {
    line.strip_suffix('\n').is_some_and(|token| {
        token.len() == 36 && token.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
    })
}
