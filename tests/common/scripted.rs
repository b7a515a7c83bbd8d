//! A plain HTTP server on loopback that sends the bytes that a test gives it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};

use super::PATIENCE;

/// A request as the server received it.
#[derive(Clone, Debug)]
pub struct Request {
    /// The number of this request, from 0.
    pub number: usize,
    /// The number of its connection, from 0.
    pub connection: usize,
    pub head: String,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub fn is_json(&self) -> bool {
        self.header("content-type") == Some("application/json")
    }
}

/// The server's reaction to a request.
pub enum Reply {
    /// Send these bytes and keep the connection open.
    Bytes(Vec<u8>),
    /// Send these bytes and close the connection.
    LastBytes(Vec<u8>),
}

/// A well-formed response that any HTTP client accepts.
pub fn response(status: u16, body: impl AsRef<[u8]>) -> Reply {
    response_with(status, "", body)
}

/// The same with more header fields, each ended by CR LF.
pub fn response_with(status: u16, fields: &str, body: impl AsRef<[u8]>) -> Reply {
    let body = body.as_ref();
    let head = format!("HTTP/1.1 {status} Status\r\nContent-Length: {}\r\n{fields}\r\n", body.len());
    Reply::Bytes([head.as_bytes(), body].concat())
}

/// A successful response with this token.
pub fn token(token: &str) -> Reply {
    response(200, format!(r#"{{"token":"{token}"}}"#))
}

type Script = Box<dyn FnMut(&Request) -> Reply + Send>;

/// The running server. Dropping it closes all connections and waits for its threads.
pub struct Scripted {
    url: String,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    script: Mutex<Script>,
    seen: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Default)]
struct Seen {
    requests: Vec<Request>,
    connections: Vec<TcpStream>,
    stopped: bool,
}

impl Scripted {
    /// Calls `script` for each request, one at a time.
    pub fn start(script: impl FnMut(&Request) -> Reply + Send + 'static) -> Scripted {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            script: Mutex::new(Box::new(script)),
            seen: Mutex::default(),
            changed: Condvar::new(),
        });
        let accepting = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || accept(&listener, &shared))
        };
        Scripted { url, shared, accepting: Some(accepting) }
    }

    /// Sends these replies in order, and closes the connection on any further request.
    pub fn replying(replies: impl IntoIterator<Item = Reply> + 'static) -> Scripted {
        let replies: Vec<Reply> = replies.into_iter().collect();
        let mut replies = replies.into_iter();
        Scripted::start(move |_| replies.next().unwrap_or(Reply::LastBytes(Vec::new())))
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn requests(&self) -> Vec<Request> {
        self.shared.seen.lock().unwrap().requests.clone()
    }

    /// The number of connections since the start.
    pub fn connections(&self) -> usize {
        self.shared.seen.lock().unwrap().connections.len()
    }

    /// Waits until the server has received `count` requests.
    pub fn wait_for_requests(&self, count: usize) {
        let seen = self.shared.seen.lock().unwrap();
        let (_guard, waited) = self
            .shared
            .changed
            .wait_timeout_while(seen, PATIENCE, |seen| seen.requests.len() < count)
            .unwrap();
        assert!(!waited.timed_out(), "fewer than {count} requests arrived");
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.shared.seen.lock().unwrap().stopped = true;
        // Wakes the acceptor thread.
        let _ = TcpStream::connect(self.url.trim_start_matches("http://"));
        if let Some(accepting) = self.accepting.take() {
            let ended = accepting.join();
            if !thread::panicking() {
                ended.expect("the scripted server ran without a panic");
            }
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut serving = Vec::new();
    loop {
        let (stream, _) = listener.accept().expect("a connection");
        let number = {
            let mut seen = shared.seen.lock().unwrap();
            if seen.stopped {
                break;
            }
            seen.connections.push(stream.try_clone().unwrap());
            seen.connections.len() - 1
        };
        let shared = Arc::clone(shared);
        serving.push(thread::spawn(move || serve(stream, number, &shared)));
    }
    for connection in &shared.seen.lock().unwrap().connections {
        let _ = connection.shutdown(Shutdown::Both);
    }
    for thread in serving {
        thread.join().expect("a connection was served without a panic");
    }
}

fn serve(mut stream: TcpStream, connection: usize, shared: &Shared) {
    let mut input = Vec::new();
    while let Some((head, body)) = read(&mut stream, &mut input) {
        let request = {
            let mut seen = shared.seen.lock().unwrap();
            let request = Request { number: seen.requests.len(), connection, head, body };
            seen.requests.push(request.clone());
            request
        };
        shared.changed.notify_all();
        let reply = (shared.script.lock().unwrap())(&request);
        let (bytes, last) = match reply {
            Reply::Bytes(bytes) => (bytes, false),
            Reply::LastBytes(bytes) => (bytes, true),
        };
        // A test may want the client to have closed already.
        if stream.write_all(&bytes).is_err() || last {
            break;
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
}

/// The next request, or None when the client has closed.
fn read(stream: &mut TcpStream, input: &mut Vec<u8>) -> Option<(String, Vec<u8>)> {
    let mut part = [0; 16 << 10];
    loop {
        if let Some(end) = input.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(input[..end].to_vec()).expect("the head of a request is UTF-8");
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("Content-Length: "))
                .map_or(0, |length| length.parse().expect("a number"));
            if input.len() >= end + 4 + length {
                let body = input[end + 4..end + 4 + length].to_vec();
                input.drain(..end + 4 + length);
                return Some((head, body));
            }
        }
        match stream.read(&mut part) {
            Ok(0) | Err(_) => return None,
            Ok(count) => input.extend_from_slice(&part[..count]),
        }
    }
}
