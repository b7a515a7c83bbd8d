//! A TLS server that fails pseudo-randomly. Each user name has its own password, token, refusal text and fate. Both
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
    pub fn words(self) -> String {
        format!("not you, {}", self.0)
    }

    /// The same each time, but pseudo-randomly distributed.
    pub fn fate(self) -> Fate {
        let mut draw = mixed(self.0) % 10_000;
        for (fate, often) in FATES {
            match draw.checked_sub(*often) {
                Some(rest) => draw = rest,
                None => return *fate,
            }
        }
        Fate::Token
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
pub enum Fate {
    Token,
    /// Always 403.
    Denied,
    /// Always 500.
    Broken,
    /// 500, then a token.
    BrokenOnce,
    /// 503 without a body, then a token.
    AwayOnce,
    /// 429 with `Retry-After: 0`, then a token.
    Busy,
    /// 429 with `Retry-After: 1`, then a token.
    BusyForASecond,
    /// Always 429 with [`LONG_WAIT`].
    Limited,
    /// A reset instead of a response; a token on the retry.
    Reset,
    /// A close instead of a response; a token on the retry.
    Closed,
    /// Part of a response, then a reset; a token on the retry.
    Torn,
    /// Part of a response, then a close without close_notify.
    Cut,
    /// A token, then a close.
    Last,
    /// A token, then a reset.
    LastTorn,
    /// A token, and in the same TLS record a second good response that belongs to no request.
    More,
    /// A token after [`LATE`].
    Late,
}

/// The frequency of each fate per ten thousand logins. All others get a token.
const FATES: &[(Fate, u64)] = &[
    (Fate::Denied, 300),
    (Fate::Broken, 50),
    (Fate::BrokenOnce, 100),
    (Fate::AwayOnce, 100),
    (Fate::Busy, 200),
    (Fate::BusyForASecond, 2),
    (Fate::Limited, 50),
    (Fate::Reset, 60),
    (Fate::Closed, 60),
    (Fate::Torn, 60),
    (Fate::Cut, 60),
    (Fate::Last, 60),
    (Fate::LastTorn, 60),
    (Fate::More, 60),
    (Fate::Late, 20),
];

/// In seconds.
pub const LONG_WAIT: i64 = 3600;
/// The delay of a late response, and the timeout of a login that does not wait for it.
pub const LATE: Duration = Duration::from_secs(2);
pub const IMPATIENT_MS: u32 = 30;

/// One in this many connections is reset before its handshake, and one is cut during it.
const SPOILED_HANDSHAKES: u64 = 20;

/// Serves until the process ends.
pub fn serve(listener: &TcpListener, tls: &Arc<ServerConfig>) -> ! {
    let seen = Arc::new(Mutex::new(HashMap::new()));
    for number in 0.. {
        let Ok((socket, _)) = listener.accept() else { continue };
        let (tls, seen) = (Arc::clone(tls), Arc::clone(&seen));
        // Every connection ends in an error.
        thread::spawn(move || attend(socket, tls, number, &seen));
    }
    unreachable!("there are more numbers than connections");
}

type Stream = StreamOwned<ServerConnection, TcpStream>;

fn attend(
    mut socket: TcpStream,
    tls: Arc<ServerConfig>,
    number: u64,
    seen: &Mutex<HashMap<u64, u32>>,
) -> io::Result<()> {
    socket.set_nodelay(true)?;
    match number % SPOILED_HANDSHAKES {
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
        let Some(account) = who(&body) else {
            return stream.write_all(&answer("400 X", "", "a request of nobody"));
        };
        let fate = account.fate();
        let turn = {
            let mut seen = seen.lock().unwrap();
            let turn = seen.entry(account.0).or_insert(0);
            *turn += 1;
            *turn
        };
        let token = answer("200 OK", "", &format!(r#"{{"token":"{}"}}"#, account.token()));
        let refusal =
            |status, headers| answer(status, headers, &format!(r#"{{"err":"{}"}}"#, account.words()));
        let said = match (fate, turn) {
            (Fate::Denied, _) => refusal("403 X", ""),
            (Fate::Broken, _) | (Fate::BrokenOnce, 1) => refusal("500 X", ""),
            (Fate::AwayOnce, 1) => answer("503 X", "", ""),
            (Fate::Busy, 1) => refusal("429 X", "Retry-After: 0\r\n"),
            (Fate::BusyForASecond, 1) => refusal("429 X", "Retry-After: 1\r\n"),
            (Fate::Limited, _) => refusal("429 X", &format!("Retry-After: {LONG_WAIT}\r\n")),
            (Fate::Reset, 1) => return reset(&stream.sock),
            (Fate::Closed, 1) => return close(&mut stream),
            (Fate::Torn, 1) => {
                stream.write_all(&token[..part(account, &token)])?;
                return reset(&stream.sock);
            }
            (Fate::Cut, _) => return stream.write_all(&token[..part(account, &token)]),
            (Fate::Last, _) => {
                stream.write_all(&token)?;
                return close(&mut stream);
            }
            (Fate::LastTorn, 1) => {
                stream.write_all(&token)?;
                return reset(&stream.sock);
            }
            (Fate::More, _) => [token, answer("200 OK", "", r#"{"token":"token-of-nobody"}"#)].concat(),
            (Fate::Late, _) => {
                thread::sleep(LATE); // this delay is the fault
                token
            }
            _ => token,
        };
        stream.write_all(&said)?;
    }
    Ok(())
}

/// The length of an incomplete part of a response: at least one byte.
fn part(account: Account, answer: &[u8]) -> usize {
    1 + mixed(!account.0) as usize % (answer.len() - 1)
}

fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
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
fn who(body: &[u8]) -> Option<Account> {
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
