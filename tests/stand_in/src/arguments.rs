//! The program's arguments.

use std::ffi::OsString;

use lexopt::prelude::*;
use stand_in::Config;

pub(crate) const HELP: &str = "\
A stand-in of the Couchdrop API on loopback, with HTTP and HTTPS.

    stand_in [OPTIONS]                      serve until SIGINT or SIGTERM
    stand_in [OPTIONS] run COMMAND [ARG...] serve for as long as COMMAND runs, and exit with its status

Options:
    --port N        the port of the HTTP server (a free one)
    --https-port N  the port of the HTTPS server (a free one)
    --dir DIR       where ca.pem goes, and stays (a private directory, removed at the end)
    --until-eof     serve until standard input ends, too
    --help          this text

The first lines on standard output are the addresses and the certificate to trust:
    https https://localhost:PORT
    http http://127.0.0.1:PORT
    ca /path/to/ca.pem
The accounts follow.

COMMAND finds them in its environment: COUCHDROP_BASE_URL and COUCHDROP_FILES_URL (https),
COUCHDROP_HTTP_URL, COUCHDROP_CA_FILE. Nothing is printed then.
";

pub(crate) struct Arguments {
    pub config: Config,
    pub mode: Mode,
}

pub(crate) enum Mode {
    Help,
    Serve { until_eof: bool },
    Run { command: OsString, arguments: Vec<OsString> },
}

impl Arguments {
    pub fn parse() -> Result<Self, lexopt::Error> {
        let mut parser = lexopt::Parser::from_env();
        let mut config = Config::new();
        let mut until_eof = false;
        while let Some(argument) = parser.next()? {
            match argument {
                Long("port") => config = config.http_port(port(&mut parser)?),
                Long("https-port") => config = config.https_port(port(&mut parser)?),
                Long("dir") => config = config.directory(parser.value()?),
                Long("until-eof") => until_eof = true,
                Short('h') | Long("help") => return Ok(Self { config, mode: Mode::Help }),
                Value(word) if word == "run" => {
                    if until_eof {
                        return Err(
                            "--until-eof does not go with run: the command may need standard input".into()
                        );
                    }
                    let mut rest = parser.raw_args()?;
                    let command = rest.next().ok_or("run needs a command")?;
                    return Ok(Self { config, mode: Mode::Run { command, arguments: rest.collect() } });
                }
                _ => return Err(argument.unexpected()),
            }
        }
        Ok(Self { config, mode: Mode::Serve { until_eof } })
    }
}

fn port(parser: &mut lexopt::Parser) -> Result<u16, lexopt::Error> {
    let value = parser.value()?;
    value.parse().map_err(|_| format!("a port is a number from 0 to 65535, not {value:?}").into())
}
