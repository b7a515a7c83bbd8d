//! A faulty network: a relay between a client and a server that cuts, stalls, throttles or delays the bytes of each
//! direction independently.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::SockRef;

/// A fault in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    Good,
    /// After this many bytes both directions end; the client's connection ends as `End` says.
    Cut(usize, End),
    /// After this many bytes no more get through, and the relay signals nothing.
    Stall(usize),
    /// One byte gets through per `BYTE_DELAY`.
    Throttled,
    /// Each byte is delayed by this time.
    Late(Duration),
}

const BYTE_DELAY: Duration = Duration::from_micros(50);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Close,
    Reset,
}

/// The links of one connection.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    pub to_server: Link,
    pub to_client: Link,
}

pub const GOOD_PATH: Path = Path { to_server: Link::Good, to_client: Link::Good };

/// A relay on loopback.
pub struct Network {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    target: SocketAddr,
    path: Box<dyn Fn(usize) -> Path + Send + Sync>,
    stopping: AtomicBool,
    accepted: AtomicUsize,
    /// The number of bytes passed on, over all connections.
    to_server: AtomicUsize,
    to_client: AtomicUsize,
}

impl Network {
    /// A network in front of `target`. `path` returns the links of the first connection, the second, and so on.
    pub fn new(target: SocketAddr, path: impl Fn(usize) -> Path + Send + Sync + 'static) -> Network {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            target,
            path: Box::new(path),
            stopping: AtomicBool::new(false),
            accepted: AtomicUsize::new(0),
            to_server: AtomicUsize::new(0),
            to_client: AtomicUsize::new(0),
        });
        let accepting = Arc::clone(&shared);
        let acceptor = thread::spawn(move || {
            let mut connections = Vec::new();
            while let Ok((client, _)) = listener.accept() {
                if accepting.stopping.load(Ordering::SeqCst) {
                    break;
                }
                let shared = Arc::clone(&accepting);
                // Every connection ends in an error.
                connections.push(thread::spawn(move || drop(shared.serve(client))));
            }
            for connection in connections {
                connection.join().unwrap();
            }
        });
        Network { address, shared, acceptor: Some(acceptor) }
    }

    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    pub fn connections(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// The number of bytes sent to the server, and to the client.
    pub fn passed(&self) -> (usize, usize) {
        (self.shared.to_server.load(Ordering::SeqCst), self.shared.to_client.load(Ordering::SeqCst))
    }
}

/// Waits until all connections have ended. The client must have closed its own.
impl Drop for Network {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address)); // wakes the acceptor
        if let Some(acceptor) = self.acceptor.take() {
            let joined = acceptor.join();
            assert!(joined.is_ok() || thread::panicking(), "a connection of the network panicked");
        }
    }
}

impl Shared {
    fn serve(&self, client: TcpStream) -> io::Result<()> {
        let client = &client;
        let path = (self.path)(self.accepted.fetch_add(1, Ordering::SeqCst));
        let server = &TcpStream::connect(self.target)?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let over = &AtomicBool::new(false);
        // Ends both directions. A reset is sent when the last of them drops the socket.
        let cut = |end| {
            over.store(true, Ordering::SeqCst);
            if end == End::Reset {
                let _ = SockRef::from(client).set_linger(Some(Duration::ZERO));
            }
            let _ = client.shutdown(if end == End::Reset { Shutdown::Read } else { Shutdown::Both });
            let _ = server.shutdown(Shutdown::Both);
        };
        thread::scope(|scope| {
            scope.spawn(|| {
                let _ = pass(path.to_server, client, server, &self.to_server, &cut);
                let _ = server.shutdown(Shutdown::Write);
            });
            let _ = pass(path.to_client, server, client, &self.to_client, &cut);
            if !over.load(Ordering::SeqCst) {
                let _ = client.shutdown(Shutdown::Write);
            }
        });
        Ok(())
    }
}

/// Passes bytes on until the sender ends.
fn pass(
    link: Link,
    mut from: &TcpStream,
    mut to: &TcpStream,
    passed: &AtomicUsize,
    cut: &dyn Fn(End),
) -> io::Result<()> {
    let most = match link {
        Link::Cut(most, _) | Link::Stall(most) => most,
        _ => usize::MAX,
    };
    if let Link::Late(delay) = link {
        return pass_late(delay, from, to, passed);
    }
    let mut part = vec![0; 64 << 10];
    let mut count = 0;
    while count < most {
        let available = part.len().min(most - count);
        let received = match from.read(&mut part[..available])? {
            0 => return Ok(()),
            received => &part[..received],
        };
        // Count the bytes before a thread that waits for them continues.
        passed.fetch_add(received.len(), Ordering::SeqCst);
        if link == Link::Throttled {
            for byte in received {
                thread::sleep(BYTE_DELAY); // this delay is the fault
                to.write_all(&[*byte])?;
            }
        } else {
            to.write_all(received)?;
        }
        count += received.len();
    }
    if let Link::Cut(_, end) = link {
        cut(end);
        return Ok(());
    }
    // Stalled: discard the bytes until the sender ends.
    while from.read(&mut part)? > 0 {}
    Ok(())
}

fn pass_late(
    delay: Duration,
    mut from: &TcpStream,
    mut to: &TcpStream,
    passed: &AtomicUsize,
) -> io::Result<()> {
    thread::scope(|scope| {
        let (under_way, arriving) = mpsc::channel::<(Instant, Vec<u8>)>();
        scope.spawn(move || {
            for (due, bytes) in arriving {
                thread::sleep(due.saturating_duration_since(Instant::now())); // the fault itself
                passed.fetch_add(bytes.len(), Ordering::SeqCst);
                if to.write_all(&bytes).is_err() {
                    return;
                }
            }
        });
        let mut part = vec![0; 64 << 10];
        loop {
            let received = match from.read(&mut part)? {
                0 => return Ok(()),
                received => part[..received].to_vec(),
            };
            if under_way.send((Instant::now() + delay, received)).is_err() {
                return Ok(());
            }
        }
    })
}
