//! The program's arguments.

use std::ffi::OsString;

use lexopt::prelude::*;
use stand_in::{ACCOUNTS, Account, Config};

pub(crate) const HELP: &str = "\
A stand-in of the Couchdrop API on loopback, with HTTP and HTTPS.

    stand_in [OPTION...]                      serve until SIGINT or SIGTERM
    stand_in run [OPTION...] COMMAND [ARG...] serve for as long as COMMAND runs, and exit with its status

Options:
    --as-service    stand in the service's place: COMMAND reaches it as api.couchdrop.io, unchanged
    --account NAME  COMMAND gets COUCHDROP_USERNAME and COUCHDROP_PASSWORD of this account (`ada` will do)
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

With --as-service it also finds HTTPS_PROXY, a proxy that leads to api.couchdrop.io and fileio.couchdrop.io on
port 443, which both end here, and to nothing else; and SSL_CERT_FILE, the certificate to trust. No other proxy is left
in its environment. Programs that go by these two variables, as libcouchdrop, curl, Python and Go do, log in here
unchanged.
";

pub(crate) struct Arguments {
    pub config: Config,
    pub mode: Mode,
}

pub(crate) enum Mode {
    Help,
    Serve { until_eof: bool },
    Run { command: OsString, arguments: Vec<OsString>, account: Option<&'static Account> },
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
                Long("account") => account = Some(known(&mut parser)?),
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

/// An account by its user name, or by what stands before the @.
fn known(parser: &mut lexopt::Parser) -> Result<&'static Account, lexopt::Error> {
    let value = parser.value()?;
    let is_called = |account: &&Account| {
        let name = account.username;
        value == name || name.split_once('@').is_some_and(|(short, _)| value == short)
    };
    ACCOUNTS.iter().find(is_called).ok_or_else(|| format!("there is no account {value:?}").into())
}

fn port(parser: &mut lexopt::Parser) -> Result<u16, lexopt::Error> {
    let value = parser.value()?;
    value.parse().map_err(|_| format!("a port is a number from 0 to 65535, not {value:?}").into())
}
