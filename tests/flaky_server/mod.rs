//! A TLS server that fails pseudo-randomly. Each user name has its own password, token, refusal text and scenario. Both
//! sides derive all of these from the name.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use socket2::SockRef;

/// The unique number of a login, from which its account derives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account(pub u64);

impl Account {
    pub fn username(self) -> String {
        format!("account.{}", self.0)
    }

    pub fn password(self) -> String {
        format!("password.of.{}", self.0)
    }

    pub fn token(self) -> String {
        format!("token-of-{}", self.0)
    }

    /// The text of a refusal.
    pub fn message(self) -> String {
        format!("not you, {}", self.0)
    }

    /// The same each time, but pseudo-randomly distributed.
    pub fn scenario(self) -> Scenario {
        let mut draw = mixed(self.0) % 10_000;
        for (scenario, often) in SCENARIOS {
            match draw.checked_sub(*often) {
                Some(rest) => draw = rest,
                None => return *scenario,
            }
        }
        Scenario::Token
    }
}

/// The mixing function of SplitMix64.
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scenario {
    Token,
    /// Always 403.
    Denied,
    /// Always 500.
    ServerError,
    /// 500, then a token.
    ServerErrorOnce,
    /// 503 without a body, then a token.
    UnavailableOnce,
    /// 429 with `Retry-After: 0`, then a token.
    RateLimitedOnce,
    /// 429 with `Retry-After: 1`, then a token.
    RateLimitedForOneSecond,
    /// Always 429 with [`LONG_WAIT`].
    RateLimited,
    /// A reset instead of a response; a token on the retry.
    Reset,
    /// A close instead of a response; a token on the retry.
    Closed,
    /// Part of a response, then a reset; a token on the retry.
    ResetInResponse,
    /// Part of a response, then a close without close_notify.
    TruncatedResponse,
    /// A token, then a close.
    TokenThenClose,
    /// A token, then a reset.
    TokenThenReset,
    /// A token, and in the same TLS record a second good response that belongs to no request.
    ExtraResponse,
    /// A token after [`LATE`].
    LateToken,
}

/// The frequency of each scenario per ten thousand logins. All others get a token.
const SCENARIOS: &[(Scenario, u64)] = &[
    (Scenario::Denied, 300),
    (Scenario::ServerError, 50),
    (Scenario::ServerErrorOnce, 100),
    (Scenario::UnavailableOnce, 100),
    (Scenario::RateLimitedOnce, 200),
    (Scenario::RateLimitedForOneSecond, 2),
    (Scenario::RateLimited, 50),
    (Scenario::Reset, 60),
    (Scenario::Closed, 60),
    (Scenario::ResetInResponse, 60),
    (Scenario::TruncatedResponse, 60),
    (Scenario::TokenThenClose, 60),
    (Scenario::TokenThenReset, 60),
    (Scenario::ExtraResponse, 60),
    (Scenario::LateToken, 20),
];

/// In seconds.
pub const LONG_WAIT: i64 = 3600;
/// The delay of a late response, and the timeout of a login that does not wait for it.
pub const LATE: Duration = Duration::from_secs(2);
pub const SHORT_TIMEOUT_MS: u32 = 30;

/// One in this many connections is reset before its handshake, and one is cut during it.
const FAILED_HANDSHAKE_INTERVAL: u64 = 20;

/// Serves until the process ends.
pub fn serve(listener: &TcpListener, tls: &Arc<ServerConfig>) -> ! {
    let seen = Arc::new(Mutex::new(HashMap::new()));
    for number in 0.. {
        let Ok((socket, _)) = listener.accept() else { continue };
        let (tls, seen) = (Arc::clone(tls), Arc::clone(&seen));
        // Every connection ends in an error.
        thread::spawn(move || serve_connection(socket, tls, number, &seen));
    }
    unreachable!("there are more numbers than connections");
}

type Stream = StreamOwned<ServerConnection, TcpStream>;

fn serve_connection(
    mut socket: TcpStream,
    tls: Arc<ServerConfig>,
    number: u64,
    seen: &Mutex<HashMap<u64, u32>>,
) -> io::Result<()> {
    socket.set_nodelay(true)?;
    match number % FAILED_HANDSHAKE_INTERVAL {
        1 => return reset(&socket),
        2 => {
            socket.read_exact(&mut [0; 100])?;
            return socket.write_all(b"\x16\x03\x03\x00");
        }
        _ => {}
    }
    let mut stream = StreamOwned::new(ServerConnection::new(tls).map_err(io::Error::other)?, socket);
    let mut unread = Vec::new();
    while let Some(body) = next_request(&mut stream, &mut unread)? {
        let Some(account) = account_of(&body) else {
            return stream.write_all(&response("400 X", "", "unknown account"));
        };
        let scenario = account.scenario();
        let attempt = {
            let mut seen = seen.lock().unwrap();
            let attempt = seen.entry(account.0).or_insert(0);
            *attempt += 1;
            *attempt
        };
        let token = response("200 OK", "", &format!(r#"{{"token":"{}"}}"#, account.token()));
        let refusal =
            |status, headers| response(status, headers, &format!(r#"{{"err":"{}"}}"#, account.message()));
        let response = match (scenario, attempt) {
            (Scenario::Denied, _) => refusal("403 X", ""),
            (Scenario::ServerError, _) | (Scenario::ServerErrorOnce, 1) => refusal("500 X", ""),
            (Scenario::UnavailableOnce, 1) => response("503 X", "", ""),
            (Scenario::RateLimitedOnce, 1) => refusal("429 X", "Retry-After: 0\r\n"),
            (Scenario::RateLimitedForOneSecond, 1) => refusal("429 X", "Retry-After: 1\r\n"),
            (Scenario::RateLimited, _) => refusal("429 X", &format!("Retry-After: {LONG_WAIT}\r\n")),
            (Scenario::Reset, 1) => return reset(&stream.sock),
            (Scenario::Closed, 1) => return close(&mut stream),
            (Scenario::ResetInResponse, 1) => {
                stream.write_all(&token[..part(account, &token)])?;
                return reset(&stream.sock);
            }
            (Scenario::TruncatedResponse, _) => return stream.write_all(&token[..part(account, &token)]),
            (Scenario::TokenThenClose, _) => {
                stream.write_all(&token)?;
                return close(&mut stream);
            }
            (Scenario::TokenThenReset, 1) => {
                stream.write_all(&token)?;
                return reset(&stream.sock);
            }
            (Scenario::ExtraResponse, _) => {
                [token, response("200 OK", "", r#"{"token":"unrequested-token"}"#)].concat()
            }
            (Scenario::LateToken, _) => {
                thread::sleep(LATE); // this delay is the fault
                token
            }
            _ => token,
        };
        stream.write_all(&response)?;
    }
    Ok(())
}

/// The length of an incomplete part of a response: at least one byte.
fn part(account: Account, response: &[u8]) -> usize {
    1 + mixed(!account.0) as usize % (response.len() - 1)
}

fn response(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// The body of the next request, or None if the client has closed the connection.
fn next_request(stream: &mut Stream, unread: &mut Vec<u8>) -> io::Result<Option<Vec<u8>>> {
    let mut part = [0; 4096];
    loop {
        if let Some(head) = unread.windows(4).position(|window| window == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&unread[..head]);
            let length = text.lines().find_map(|line| line.strip_prefix("Content-Length: "));
            let length: usize = length.and_then(|length| length.parse().ok()).unwrap_or(0);
            if unread.len() >= head + 4 + length {
                return Ok(Some(unread.drain(..head + 4 + length).skip(head + 4).collect()));
            }
        }
        match stream.read(&mut part)? {
            0 => return Ok(None),
            count => unread.extend_from_slice(&part[..count]),
        }
    }
}

/// The account of a login's body: its user name and its password must be those of one account.
fn account_of(body: &[u8]) -> Option<Account> {
    let body = std::str::from_utf8(body).ok()?;
    let (username, password) = body.strip_prefix("username=")?.split_once("&password=")?;
    let account = Account(username.strip_prefix("account.")?.parse().ok()?);
    (account.username() == username && account.password() == password).then_some(account)
}

fn reset(socket: &TcpStream) -> io::Result<()> {
    SockRef::from(socket).set_linger(Some(Duration::ZERO))
}

fn close(stream: &mut Stream) -> io::Result<()> {
    stream.conn.send_close_notify();
    stream.flush()
}
