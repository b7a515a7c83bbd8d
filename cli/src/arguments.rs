//! The command line.

// The doc comments are the help, which is plain text.
#![allow(rustdoc::bare_urls, rustdoc::broken_intra_doc_links)]

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueHint};

/// The exit statuses, with their meaning for the help and the man page.
pub const EXIT_STATUS: [(u8, &str); 9] = [
    (0, "Success."),
    (1, "An internal error (a code of 9xxx), or standard output could not be written."),
    (2, "Wrong usage (a code of 2xxx, or an invalid command line). Nothing was sent."),
    (3, "The service denied access: wrong user name or password, or an unconfirmed account."),
    (4, "The account requires two-factor authentication, which the API cannot do."),
    (5, "The service limits the rate of logins."),
    (6, "The network failed (a code of 3xxx): name, connection, proxy, TLS or timeout."),
    (7, "The service failed or its response is invalid (a code of 1400, 15xx or 4xxx)."),
    (130, "Interrupted by Ctrl-C. Another signal gives 128 and its number."),
];

/// The environment variables that the program reads.
pub const ENVIRONMENT: [(&str, &str); 5] = [
    ("COUCHDROP_USERNAME", "The user name, if the option --username is missing."),
    ("COUCHDROP_PASSWORD", "The password, if --password-stdin and --password-file are missing."),
    ("HTTPS_PROXY, ALL_PROXY", "The proxy, if the option --proxy is missing. Lower case has precedence."),
    ("NO_PROXY", "Hosts that bypass the proxy of the environment, separated by commas."),
    ("SSL_CERT_FILE, SSL_CERT_DIR", "Certificates to trust, if the option --ca-file is missing."),
];

/// Commands with an explanation.
pub const EXAMPLES: [(&str, &str); 3] = [
    ("Log in, and type the password at the prompt:", "couchdrop login --username ada@example.com"),
    (
        "List a folder. The token does not appear in the list of processes:",
        "couchdrop login --header | curl -H @- -X POST 'https://fileio.couchdrop.io/file/ls?path=/'",
    ),
    ("Find out why this machine cannot reach the service:", "couchdrop check"),
];

/// Log in to Couchdrop, the managed file-transfer service
#[derive(Parser)]
#[command(name = "couchdrop", version, disable_help_subcommand = true, after_help = exit_status())]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    Login(Login),
    Check(Check),
}

/// Log in and print the token
///
/// Prints the token alone on standard output, and everything else on standard error. The password comes from
/// standard input (--password-stdin), a file (--password-file), the variable COUCHDROP_PASSWORD, or a prompt on the
/// terminal, in this order. It is never an argument: other users of the machine can read arguments.
#[derive(Args)]
#[command(after_help = exit_status())]
pub struct Login {
    /// The user name; without it, COUCHDROP_USERNAME
    #[arg(long, value_name = "NAME")]
    pub username: Option<String>,

    /// Read the password from standard input; one line end is removed
    #[arg(long)]
    pub password_stdin: bool,

    /// Read the password from a file; one line end is removed
    #[arg(long, value_name = "FILE", conflicts_with = "password_stdin", value_hint = ValueHint::FilePath)]
    pub password_file: Option<PathBuf>,

    /// Print the token as the line `token: TOKEN`, for `curl -H @-`
    #[arg(long)]
    pub header: bool,

    /// Print JSON: {"token"}, or {"code","name","message","retry_after"} on standard error
    #[arg(long, conflicts_with = "header")]
    pub json: bool,

    /// The name of the program or system that logs in
    #[arg(long, value_name = "NAME")]
    pub system: Option<String>,

    /// The limit for the whole login, retries included: 0.001 to 3600 seconds [default: 30]
    #[arg(long, value_name = "SECONDS", value_parser = timeout)]
    pub timeout: Option<Duration>,

    #[command(flatten)]
    pub service: Service,
}

/// Check if this machine can reach the service
///
/// Looks up the name, connects (through the proxy if one is used) and finishes the TLS handshake. Prints one line for
/// each of these phases, with its result and its milliseconds. Sends no credentials.
///
/// The phases are dns, connect, proxy and tls. A phase that is not needed is left out. With a proxy, dns and connect
/// are those of the proxy.
#[derive(Args)]
#[command(after_help = exit_status())]
pub struct Check {
    /// Print JSON: {"phases":[{"name","ms","error"}]}; an error has the members of `couchdrop login --json`
    #[arg(long)]
    pub json: bool,

    /// The limit for all phases together: 0.001 to 3600 seconds [default: 10]
    #[arg(long, value_name = "SECONDS", value_parser = timeout)]
    pub timeout: Option<Duration>,

    #[command(flatten)]
    pub service: Service,
}

// Not a doc comment, which would replace the description of the command.
#[derive(Args)]
pub struct Service {
    /// The URL of the service [default: https://api.couchdrop.io]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub base_url: Option<String>,

    /// A file of certificates (PEM) to trust in place of the system's
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub ca_file: Option<String>,

    /// The proxy: [http://|socks5://|socks5h://]HOST[:PORT]; '' = none [default: the environment's]
    ///
    /// Other users of the machine can read a password in this URL. Set HTTPS_PROXY for a proxy with a password.
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub proxy: Option<String>,
}

/// Parses seconds, and rounds up to milliseconds.
fn timeout(text: &str) -> Result<Duration, &'static str> {
    text.parse()
        .ok()
        .and_then(|seconds: f64| Duration::try_from_secs_f64((seconds * 1000.0).ceil() / 1000.0).ok())
        .filter(|timeout| (Duration::from_millis(1)..=Duration::from_secs(3600)).contains(timeout))
        .ok_or("must be a number from 0.001 to 3600")
}

/// The table of exit statuses.
fn exit_status() -> String {
    let lines = EXIT_STATUS.map(|(status, meaning)| format!("  {status:>3}  {meaning}"));
    format!("Exit status:\n{}", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeout_is_rounded_up_and_checked() {
        assert_eq!(timeout("30"), Ok(Duration::from_secs(30)));
        assert_eq!(timeout("0.0011"), Ok(Duration::from_millis(2)));
        assert_eq!(timeout("0.001"), Ok(Duration::from_millis(1)));
        assert_eq!(timeout("3600"), Ok(Duration::from_secs(3600)));
        for text in ["0", "-1", "3600.1", "nan", "inf", "1e999", "", "soon", "5s"] {
            assert!(timeout(text).is_err(), "{text}");
        }
    }
}
