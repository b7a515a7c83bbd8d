//! A lower bound on the cost of a login: HTTP request and response by hand, over the same TLS library.
//!
//! It has no deadline, cancellation, retry, wiping, proxy or pool, and panics on any unexpected response. Its arguments
//! are those of the baselines in C (baselines/baseline.h).

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

const USERNAME: &str = "ada@example.com";
const PASSWORD: &str = "correct horse battery staple";

struct Handle {
    host: String,
    port: u16,
    /// The head of the request, up to the value of Content-Length.
    head: String,
    tls: Option<Arc<ClientConfig>>,
}

impl Handle {
    fn new(base_url: &str, ca_file: &str) -> Handle {
        let (scheme, rest) = base_url.split_once("://").unwrap();
        let (authority, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = authority.split_once(':').unwrap();
        let slash = if prefix.is_empty() { "" } else { "/" };
        Handle {
            host: host.to_owned(),
            port: port.parse().unwrap(),
            head: format!(
                "POST {slash}{prefix}/authenticate HTTP/1.1\r\nHost: {authority}\r\nAccept: application/json\r\n\
                 Content-Type: application/x-www-form-urlencoded\r\nContent-Length: "
            ),
            tls: (scheme == "https").then(|| client_config(ca_file)),
        }
    }

    fn connect(&self) -> Connection {
        let mut socket = TcpStream::connect((self.host.as_str(), self.port)).unwrap();
        socket.set_nodelay(true).unwrap();
        let tls = self.tls.as_ref().map(|config| {
            let name = ServerName::try_from(self.host.clone()).unwrap();
            let mut tls = ClientConnection::new(config.clone(), name).unwrap();
            // The last message of the handshake is sent with the request.
            while tls.is_handshaking() {
                while tls.wants_write() {
                    tls.write_tls(&mut socket).unwrap();
                }
                assert_ne!(tls.read_tls(&mut socket).unwrap(), 0);
                tls.process_new_packets().unwrap();
            }
            tls
        });
        Connection { socket, tls, request: Vec::with_capacity(1024), response: vec![0; 4096] }
    }
}

fn client_config(ca_file: &str) -> Arc<ClientConfig> {
    let pem = std::fs::read(ca_file).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).map(Result::unwrap));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

struct Connection {
    socket: TcpStream,
    tls: Option<ClientConnection>,
    request: Vec<u8>,
    response: Vec<u8>,
}

#[derive(serde::Deserialize)]
struct Response {
    token: String,
}

impl Connection {
    fn login(&mut self, handle: &Handle) -> String {
        let mut body = String::with_capacity(128);
        form_urlencoded::Serializer::new(&mut body)
            .append_pair("username", USERNAME)
            .append_pair("password", PASSWORD);
        self.request.clear();
        write!(self.request, "{}{}\r\n\r\n{body}", handle.head, body.len()).unwrap();
        match &mut self.tls {
            None => self.socket.write_all(&self.request).unwrap(),
            Some(tls) => {
                tls.writer().write_all(&self.request).unwrap();
                while tls.wants_write() {
                    tls.write_tls(&mut self.socket).unwrap();
                }
            }
        }
        let mut length = 0;
        loop {
            length += self.receive(length);
            if let Some(response) = read_response(&mut self.response[..length]) {
                return response.token;
            }
        }
    }

    fn receive(&mut self, from: usize) -> usize {
        let target = &mut self.response[from..];
        let count = match &mut self.tls {
            None => self.socket.read(target).unwrap(),
            Some(tls) => loop {
                match tls.reader().read(target) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        assert_ne!(tls.read_tls(&mut self.socket).unwrap(), 0);
                        tls.process_new_packets().unwrap();
                    }
                    count => break count.unwrap(),
                }
            },
        };
        assert_ne!(count, 0, "the server closed the connection");
        count
    }
}

/// The response, once it is complete.
fn read_response(bytes: &mut [u8]) -> Option<Response> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let (head, rest) = bytes.split_at_mut(end);
    assert!(head.starts_with(b"HTTP/1.1 200 "));
    let mut length = None;
    for line in head.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let value = line[colon + 1..].trim_ascii();
        if line[..colon].eq_ignore_ascii_case(b"content-length") {
            length = Some(std::str::from_utf8(value).unwrap().parse().unwrap());
        }
    }
    let body = match length {
        Some(length) => rest.get(..length)?,
        None => dechunk(rest)?,
    };
    Some(serde_json::from_slice(body).unwrap())
}

/// Moves the data of the chunks together.
fn dechunk(bytes: &mut [u8]) -> Option<&[u8]> {
    let (mut from, mut to) = (0, 0);
    loop {
        let line = bytes[from..].windows(2).position(|two| two == b"\r\n")?;
        let size =
            usize::from_str_radix(std::str::from_utf8(&bytes[from..from + line]).unwrap(), 16).unwrap();
        from += line + 2;
        bytes.get(from..from + size + 2)?;
        if size == 0 {
            return Some(&bytes[..to]);
        }
        bytes.copy_within(from..from + size, to);
        from += size + 2;
        to += size;
    }
}

fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    let logins: usize = arguments[3].parse().unwrap();
    let handle = Handle::new(&arguments[1], &arguments[2]);
    let Some(threads) = arguments.get(4) else {
        let mut connection = handle.connect();
        for _ in 1..logins {
            connection.login(&handle);
        }
        println!("{}", connection.login(&handle));
        return;
    };
    let start = Instant::now();
    handle.connect().login(&handle);
    println!("{}", start.elapsed().as_nanos());
    time_threads(&handle, logins, threads.parse().unwrap());
}

fn time_threads(handle: &Handle, logins: usize, count: usize) {
    let (warm, end) = (Barrier::new(count + 1), Barrier::new(count + 1));
    std::thread::scope(|scope| {
        let run = || {
            let mut connection = handle.connect();
            let mut took = Vec::with_capacity(logins);
            for _ in 0..=logins / 10 {
                connection.login(handle);
            }
            warm.wait();
            for _ in 0..logins {
                let start = Instant::now();
                connection.login(handle);
                took.push(start.elapsed());
            }
            end.wait();
            took
        };
        let threads: Vec<_> = (0..count).map(|_| scope.spawn(run)).collect();
        warm.wait();
        let (wall, cpu) = (Instant::now(), cpu_time());
        end.wait();
        println!("{}", (cpu_time() - cpu).as_nanos());
        println!("{}", wall.elapsed().as_nanos());
        for thread in threads {
            for took in thread.join().unwrap() {
                println!("{}", took.as_nanos());
            }
        }
    });
}

/// The CPU time of this process.
fn cpu_time() -> Duration {
    #[repr(C)]
    struct Timespec {
        seconds: i64,
        nanoseconds: i64,
    }
    unsafe extern "C" {
        fn clock_gettime(clock: i32, time: *mut Timespec) -> i32;
    }
    const CLOCK_PROCESS_CPUTIME_ID: i32 = 2;
    let mut time = Timespec { seconds: 0, nanoseconds: 0 };
    // SAFETY: as the C library declares it on 64-bit Linux.
    unsafe { clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    Duration::new(time.seconds as u64, time.nanoseconds as u32)
}
