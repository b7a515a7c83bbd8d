//! The fake server as a program: serves until it is stopped, or as long as a command runs.

#![forbid(unsafe_code)]

mod arguments;

use std::env;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitCode, ExitStatus};

use fake_server::{ACCOUNTS, Config, FakeServer};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use arguments::{Arguments, Credentials, Mode};

fn main() -> ExitCode {
    let arguments = match Arguments::parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("fake_server: {error} (fake_server --help tells more)");
            return ExitCode::from(2);
        }
    };
    match perform(arguments) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("fake_server: {error}");
            ExitCode::FAILURE
        }
    }
}

fn perform(arguments: Arguments) -> io::Result<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match arguments.mode {
        Mode::Help => {
            io::stdout().write_all(arguments::HELP.as_bytes())?;
            Ok(0)
        }
        Mode::Serve { until_eof } => runtime.block_on(serve(arguments.config, until_eof)),
        Mode::Run { command, arguments: rest, account } => {
            let mut command = Command::new(command);
            command.args(rest);
            runtime.block_on(run(arguments.config, command, account))
        }
    }
}

/// Prints the addresses and accounts, and serves until it is stopped.
async fn serve(config: Config, until_eof: bool) -> io::Result<u8> {
    // Before the start, so that a signal never leaves a temporary directory behind.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let fake_server = config.start()?;
    announce(&fake_server)?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hang_up.recv() => {}
        _ = end_of_input(), if until_eof => {}
    }
    Ok(0)
}

fn announce(fake_server: &FakeServer) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "https {}", fake_server.https_url())?;
    writeln!(out, "http {}", fake_server.http_url())?;
    // A path need not be valid UTF-8.
    out.write_all(&[b"ca ", fake_server.ca_file().as_os_str().as_bytes(), b"\n"].concat())?;
    if let Some(url) = fake_server.proxy_url() {
        writeln!(out, "proxy {url}")?;
    }
    writeln!(out)?;
    writeln!(out, "{:23}{:30}response", "user name", "password")?;
    for account in ACCOUNTS {
        writeln!(out, "{:23}{:30}{}", account.username, account.password, account.response)?;
    }
    writeln!(out, "{:23}{:30}403", "anything else", "")?;
    out.flush()
}

/// On its own thread, because a read from standard input can't be interrupted and must not delay the exit.
async fn end_of_input() {
    let (ended, end) = oneshot::channel::<()>();
    std::thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        drop(ended);
    });
    let _ = end.await;
}

/// Runs the command with the fake server's addresses in its environment. Returns its exit status as a shell does.
async fn run(config: Config, mut command: Command, account: Option<Credentials>) -> io::Result<u8> {
    // A terminal sends these two signals to the command as well, and the command decides how to react.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut quit = signal(SignalKind::quit())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let fake_server = config.start()?;
    command
        .env("COUCHDROP_BASE_URL", fake_server.https_url())
        .env("COUCHDROP_FILES_URL", fake_server.https_url())
        .env("COUCHDROP_HTTP_URL", fake_server.http_url())
        .env("COUCHDROP_CA_FILE", fake_server.ca_file());
    if let Some(url) = fake_server.proxy_url() {
        lead_here(&mut command, url, fake_server.ca_file());
    }
    if let Some(account) = account {
        command.env("COUCHDROP_USERNAME", account.username).env("COUCHDROP_PASSWORD", account.password);
    }
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            eprintln!(
                "fake_server: cannot run {}: {error}",
                command.as_std().get_program().to_string_lossy()
            );
            return Ok(if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 });
        }
    };
    loop {
        let passed_on = tokio::select! {
            status = child.wait() => return Ok(exit_code(status?)),
            _ = interrupt.recv() => continue,
            _ = quit.recv() => continue,
            _ = terminate.recv() => Signal::TERM,
            _ = hang_up.recv() => Signal::HUP,
        };
        // `id` is set until the child has been waited for, so that the signal can't reach another process.
        if let Some(pid) = child.id().and_then(|id| Pid::from_raw(id as i32)) {
            kill_process(pid, passed_on)?;
        }
    }
}

/// Sets the variables that make the command connect through the proxy and trust the fake server's certificate.
fn lead_here(command: &mut Command, proxy_url: &str, ca_file: &Path) {
    // `http_proxy`, `ALL_PROXY`, `ftp_proxy` and others could let a request leave this machine.
    for (name, _) in env::vars_os() {
        if name.as_bytes().to_ascii_lowercase().ends_with(b"_proxy") {
            command.env_remove(name);
        }
    }
    command.env_remove("SSL_CERT_DIR");
    for name in ["HTTPS_PROXY", "https_proxy"] {
        command.env(name, proxy_url);
    }
    // Without these, most programs would use the proxy even for addresses on this machine.
    for name in ["NO_PROXY", "no_proxy"] {
        command.env(name, "localhost,127.0.0.1,::1");
    }
    // The curl program reads the first two (libcurl reads neither), and requests reads the last two.
    for name in ["SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"] {
        command.env(name, ca_file);
    }
}

fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}
