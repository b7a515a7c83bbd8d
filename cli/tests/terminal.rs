//! The prompt on a terminal, which is a pseudo-terminal here.

mod common;

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use common::{ADA, is_token_line, login, run, with_default_signals};
use fake_server::{FakeServer, PASSWORD};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

/// Runs the program, prints its exit status, and stays until the user ends the session: the terminal hangs up then.
const SESSION: &str = r#"trap : INT; "$@"; echo "<$?>"; read -r line"#;
/// The same, with standard output in a file.
const REDIRECTED: &str = r#"trap : INT; "$@" > "$OUTPUT"; echo "<$?>"; read -r line"#;

/// The user's end of a terminal, and the session of a shell that runs the program on it.
struct Terminal {
    user: File,
    program: File,
    shown: String,
    shell: Child,
}

impl Terminal {
    fn start(script: &str, command: &Command) -> Terminal {
        let user = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&user).unwrap();
        unlockpt(&user).unwrap();
        let name = ptsname(&user, Vec::new()).unwrap();
        let mut options = File::options();
        // Not the terminal of the tests.
        options.read(true).write(true).custom_flags(libc::O_NOCTTY);
        let program = options.open(name.to_str().unwrap()).unwrap();
        let end = || Stdio::from(program.try_clone().unwrap());
        let mut shell = Command::new("/bin/sh");
        shell.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell.args(["-c", script, "sh"]).arg(command.get_program()).args(command.get_args());
        shell.stdin(end()).stdout(end()).stderr(end());
        with_default_signals(&mut shell);
        // SAFETY: both functions are system calls, which are allowed between fork and exec.
        unsafe {
            shell.pre_exec(|| {
                rustix::process::setsid()?;
                rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
                Ok(())
            });
        }
        let shell = shell.spawn().unwrap();
        Terminal { user: user.into(), program, shown: String::new(), shell }
    }

    /// Reads until the terminal shows `text`.
    fn wait_for(&mut self, text: &str) {
        let mut buffer = [0; 1024];
        while !self.shown.contains(text) {
            let count = self.user.read(&mut buffer).unwrap();
            self.shown.push_str(&std::str::from_utf8(&buffer[..count]).unwrap().replace("\r\n", "\n"));
        }
    }

    fn types(&mut self, text: &str) {
        self.user.write_all(text.as_bytes()).unwrap();
    }

    fn has_echo(&self) -> bool {
        tcgetattr(&self.program).unwrap().local_modes.contains(LocalModes::ECHO)
    }

    /// Waits for the end of the program, and checks that the terminal is as before.
    fn check_status(&mut self, status: u8) {
        self.wait_for(">");
        assert!(self.shown.contains(&format!("<{status}>")), "{}", self.shown);
        assert!(self.has_echo());
        self.types("\n");
        self.shell.wait().unwrap();
    }
}

fn prompt() -> String {
    format!("Password of {ADA}: ")
}

#[test]
fn typed_password_is_not_shown() {
    let fake_server = FakeServer::start();
    let mut terminal = Terminal::start(SESSION, &login(&fake_server, ADA, &[]));
    assert!(terminal.has_echo());
    terminal.wait_for(&prompt());
    assert!(!terminal.has_echo());
    terminal.types(&format!("{PASSWORD}\n"));
    terminal.check_status(0);
    let output = terminal.shown.strip_prefix(&prompt()).unwrap().strip_prefix('\n').unwrap();
    let (token, _) = output.split_once("<0>").unwrap();
    assert!(is_token_line(token), "{}", terminal.shown);
}

#[test]
fn prompt_is_not_a_part_of_standard_output() {
    let fake_server = FakeServer::start();
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("output");
    let mut terminal = Terminal::start(REDIRECTED, login(&fake_server, ADA, &[]).env("OUTPUT", &output));
    terminal.wait_for(&prompt());
    terminal.types(&format!("{PASSWORD}\n"));
    terminal.check_status(0);
    let output = std::fs::read_to_string(output).unwrap();
    assert!(is_token_line(&output), "{output}");
}

#[test]
fn interrupt_restores_the_terminal() {
    let fake_server = FakeServer::start();
    let mut terminal = Terminal::start(SESSION, &login(&fake_server, ADA, &[]));
    terminal.wait_for(&prompt());
    terminal.types("hunter2\u{3}");
    terminal.check_status(130);
    assert!(!terminal.shown.contains("hunter2"), "{}", terminal.shown);
    assert!(fake_server.requests().is_empty());
}

#[test]
fn empty_and_long_lines_are_usage_errors() {
    let fake_server = FakeServer::start();
    let long = "a".repeat(4095);
    for (typed, message) in [
        ("\n", "the password must not be empty"),
        ("\u{4}", "the password must not be empty"),
        (&format!("{long}\n"), "use --password-stdin"),
    ] {
        let mut terminal = Terminal::start(SESSION, &login(&fake_server, ADA, &[]));
        terminal.wait_for(&prompt());
        terminal.types(typed);
        terminal.check_status(2);
        assert!(terminal.shown.contains(message), "{}", terminal.shown);
    }
    assert!(fake_server.requests().is_empty());
}

#[test]
fn prompt_needs_a_terminal() {
    let fake_server = FakeServer::start();
    let mut command = login(&fake_server, ADA, &[]);
    // SAFETY: setsid is a system call. A new session has no terminal.
    unsafe { command.pre_exec(|| Ok(rustix::process::setsid().map(drop)?)) };
    let done = run(&mut command);
    assert_eq!((done.status, done.stdout.as_str()), (Some(2), ""));
    assert!(done.stderr.contains("there is no terminal to ask for the password: use --password-stdin"));
}
