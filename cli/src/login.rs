//! `couchdrop login`.

use std::os::unix::ffi::OsStrExt;

use couchdrop::error::cd_code;
use couchdrop::limits::MAX_STRING_BYTES;
use couchdrop::login::{Client, Credentials};
use couchdrop::secret::Secret;

use crate::arguments::Login;
use crate::failure::Failure;
use crate::password::Source;
use crate::{Done, interrupt, output, service};

const USERNAME: &str = "COUCHDROP_USERNAME";

pub fn run(options: &Login) -> Done {
    let cancel = interrupt::handle();
    // Before the prompt: nobody should type a password in vain.
    let config = service::configure(&options.service)?;
    let client = Client::new(config)?;
    let variable = std::env::var_os(USERNAME);
    let username = match (&options.username, &variable) {
        (Some(username), _) => text("--username", username.as_bytes())?,
        (None, Some(username)) => text(USERNAME, username.as_bytes())?,
        (None, None) => return Err(Failure::usage(format!("no user name: use --username or {USERNAME}"))),
    };
    let system = options.system.as_deref().filter(|system| !system.is_empty());
    let system = system.map(|system| text("--system", system.as_bytes())).transpose()?;

    let source = Source::choose(options, username);
    let password = source.read(&cancel)?;
    let credentials = Credentials { username, password: text(&source.to_string(), &password)?, system };

    let timeout = options.timeout.unwrap_or(client.config().timeout);
    let call = service::context(client.config(), timeout, &cancel);
    let token = service::guarded(|| client.login(&call, &credentials))?;
    output::write(&printed(options, &token))?;
    Ok(0)
}

/// The line to print. The token has only characters that JSON does not escape, except `"` and `\`.
fn printed(options: &Login, token: &Secret) -> Secret {
    // Large enough, so that no copy is left behind.
    let mut line = Secret::with_capacity(2 * token.len() + 32);
    if options.json {
        line.extend(b"{\"token\":\"");
        for byte in token.iter() {
            if matches!(byte, b'"' | b'\\') {
                line.push(b'\\');
            }
            line.push(*byte);
        }
        line.extend(b"\"}\n");
    } else {
        if options.header {
            line.extend(b"token: ");
        }
        line.extend(token);
        line.push(b'\n');
    }
    line
}

/// Checks an argument of the login as the C interface does. `source` names it.
fn text<'a>(source: &str, bytes: &'a [u8]) -> Result<&'a str, Failure> {
    let failure = |code, why: &str| Err(Failure::argument(code, format!("{source} {why}")));
    if bytes.is_empty() {
        return failure(cd_code::CD_ERR_EMPTY_ARGUMENT, "must not be empty");
    }
    if bytes.len() > MAX_STRING_BYTES {
        return failure(cd_code::CD_ERR_OUT_OF_RANGE, "must not be longer than 65536 bytes");
    }
    if bytes.contains(&0) {
        return failure(cd_code::CD_ERR_INVALID_UTF8, "contains a NUL");
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(_) => failure(cd_code::CD_ERR_INVALID_UTF8, "is not valid UTF-8"),
    }
}
