//! The program's arguments.

use std::ffi::OsString;

use fake_server::{ACCOUNTS, Config, PASSWORD};
use lexopt::prelude::*;

pub(crate) const HELP: &str = "\
A fake server of the Couchdrop API on loopback, with HTTP and HTTPS.

    fake_server [OPTION...]                      serve until SIGINT or SIGTERM
    fake_server run [OPTION...] COMMAND [ARG...] serve for as long as COMMAND runs, and exit with its status

Options:
    --as-service    stand in the service's place: COMMAND reaches it as api.couchdrop.io, unchanged
    --account NAME  COMMAND gets COUCHDROP_USERNAME and COUCHDROP_PASSWORD of this account (`ada` is short for
                    `ada@example.com`); a login with a name that is not in the list gets 403
    --port N        the port of the HTTP server (a free one)
    --https-port N  the port of the HTTPS server (a free one)
    --dir DIR       where ca.pem goes, and stays (a private directory, removed at the end)
    --until-eof     serve until standard input ends, too; not with run
    --help          this text

The first lines on standard output are the addresses and the certificate to trust:
    https https://localhost:PORT
    http http://127.0.0.1:PORT
    ca /path/to/ca.pem
    proxy http://127.0.0.1:PORT (with --as-service)
The accounts follow.

COMMAND finds them in its environment: COUCHDROP_BASE_URL and COUCHDROP_FILES_URL (https),
COUCHDROP_HTTP_URL, COUCHDROP_CA_FILE. Nothing is printed then.

With --as-service it also finds HTTPS_PROXY, a proxy that connects to api.couchdrop.io and fileio.couchdrop.io on
port 443, which are both this server, and refuses all else; and SSL_CERT_FILE, the certificate to trust, which is in
CURL_CA_BUNDLE and REQUESTS_CA_BUNDLE too. NO_PROXY names this machine. All other proxy variables are removed.
A program that reads these variables logs in here unchanged: libcouchdrop, the program curl, Python and Go do.
libcurl reads HTTPS_PROXY, but no variable for the certificate: set CURLOPT_CAINFO to COUCHDROP_CA_FILE.
";

pub(crate) struct Arguments {
    pub config: Config,
    pub mode: Mode,
}

pub(crate) enum Mode {
    Help,
    Serve { until_eof: bool },
    Run { command: OsString, arguments: Vec<OsString>, account: Option<Credentials> },
}

/// The user name and the password for the command.
pub(crate) struct Credentials {
    pub username: String,
    pub password: &'static str,
}

impl Arguments {
    pub fn parse() -> Result<Self, lexopt::Error> {
        let mut parser = lexopt::Parser::from_env();
        let mut config = Config::new();
        let mut until_eof = false;
        let mut is_run = false;
        let mut account = None;
        while let Some(argument) = parser.next()? {
            match argument {
                Long("as-service") => config = config.as_service(),
                Long("account") => account = Some(credentials(&mut parser)?),
                Long("port") => config = config.http_port(port(&mut parser)?),
                Long("https-port") => config = config.https_port(port(&mut parser)?),
                Long("dir") => config = config.directory(parser.value()?),
                Long("until-eof") => until_eof = true,
                Short('h') | Long("help") => return Ok(Self { config, mode: Mode::Help }),
                Value(command) if is_run => {
                    if until_eof {
                        return Err(
                            "--until-eof does not go with run: the command may need standard input".into()
                        );
                    }
                    let arguments = parser.raw_args()?.collect();
                    return Ok(Self { config, mode: Mode::Run { command, arguments, account } });
                }
                Value(word) if word == "run" => is_run = true,
                _ => return Err(argument.unexpected()),
            }
        }
        if is_run {
            return Err("run needs a command".into());
        }
        if account.is_some() {
            return Err("--account needs run: it is for the command".into());
        }
        Ok(Self { config, mode: Mode::Serve { until_eof } })
    }
}

/// The credentials for a user name, or for the part of it before `@example.com`. A name that is not in [`ACCOUNTS`]
/// gets the usual password, and the server refuses the login.
fn credentials(parser: &mut lexopt::Parser) -> Result<Credentials, lexopt::Error> {
    let name = parser.value()?.string()?;
    if name.is_empty() {
        return Err("--account needs a name that is not empty".into());
    }
    let username = if name.contains('@') { name } else { format!("{name}@example.com") };
    let known = ACCOUNTS.iter().find(|account| account.username == username);
    Ok(Credentials { username, password: known.map_or(PASSWORD, |account| account.password) })
}

fn port(parser: &mut lexopt::Parser) -> Result<u16, lexopt::Error> {
    let value = parser.value()?;
    value.parse().map_err(|_| format!("a port is a number from 0 to 65535, not {value:?}").into())
}
