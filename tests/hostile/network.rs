//! A network that is at fault: it stands between a client and a server and cuts, stalls, throttles or delays what they
//! send, each direction for itself.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::SockRef;

/// What becomes of the bytes of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    Good,
    /// After so many of them both directions end, for the client as it is said.
    Cut(usize, End),
    /// After so many of them no more come through, and nothing says so.
    Stall(usize),
    /// One comes through each [`PACE`].
    Throttled,
    /// Each comes so much later.
    Late(Duration),
}

const PACE: Duration = Duration::from_micros(50);

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
    /// How many bytes went by, of all connections.
    to_server: AtomicUsize,
    to_client: AtomicUsize,
}

impl Network {
    /// A network in front of `target`; `path` tells the links of the first connection, the second, and so on.
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
                // An error is how every connection ends.
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

    /// How many bytes went to the server, and how many to the client.
    pub fn passed(&self) -> (usize, usize) {
        (self.shared.to_server.load(Ordering::SeqCst), self.shared.to_client.load(Ordering::SeqCst))
    }
}

/// Waits until all connections have ended: the client must have ended its own.
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
        // Has both directions end. A reset comes when the last of them lets go of the socket.
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

/// Passes bytes on until they end.
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
        let room = part.len().min(most - count);
        let came = match from.read(&mut part[..room])? {
            0 => return Ok(()),
            came => &part[..came],
        };
        // Before whoever waits for it goes on.
        passed.fetch_add(came.len(), Ordering::SeqCst);
        if link == Link::Throttled {
            for byte in came {
                thread::sleep(PACE); // it is the fault
                to.write_all(&[*byte])?;
            }
        } else {
            to.write_all(came)?;
        }
        count += came.len();
    }
    if let Link::Cut(_, end) = link {
        cut(end);
        return Ok(());
    }
    // Stalled: what comes is lost, until the sender ends.
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
                thread::sleep(due.saturating_duration_since(Instant::now())); // it is the fault
                passed.fetch_add(bytes.len(), Ordering::SeqCst);
                if to.write_all(&bytes).is_err() {
                    return;
                }
            }
        });
        let mut part = vec![0; 64 << 10];
        loop {
            let came = match from.read(&mut part)? {
                0 => return Ok(()),
                came => part[..came].to_vec(),
            };
            if under_way.send((Instant::now() + delay, came)).is_err() {
                return Ok(());
            }
        }
    })
}
