//! A relay between a client and a server. It greets the client as a proxy does, passes on bytes, which it may change,
//! and records the bytes that the client sent.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// Exchanges the proxy's greeting with the client before the relay passes on bytes. Returns the bytes that it read.
type Greet = dyn Fn(&mut TcpStream) -> io::Result<Vec<u8>> + Send + Sync;
/// Makes, for each connection, the function that changes the server's bytes.
type Change = dyn Fn() -> Box<dyn FnMut(&[u8]) -> Vec<u8>> + Send + Sync;

/// A relay on loopback. A connection ends when either of its ends closes.
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    target: SocketAddr,
    greet: Box<Greet>,
    change: Box<Change>,
    sent: Mutex<Vec<Vec<u8>>>,
    stopping: AtomicBool,
}

impl Relay {
    /// A proxy in front of `target`.
    pub fn greeting(
        target: SocketAddr,
        greet: impl Fn(&mut TcpStream) -> io::Result<Vec<u8>> + Send + Sync + 'static,
    ) -> Relay {
        Relay::start(target, Box::new(greet), Box::new(|| Box::new(<[u8]>::to_vec)))
    }

    /// A network that changes the bytes that `target` sends.
    pub fn changing<C: FnMut(&[u8]) -> Vec<u8> + 'static>(
        target: SocketAddr,
        change: impl Fn() -> C + Send + Sync + 'static,
    ) -> Relay {
        Relay::start(target, Box::new(|_| Ok(Vec::new())), Box::new(move || Box::new(change())))
    }

    fn start(target: SocketAddr, greet: Box<Greet>, change: Box<Change>) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            target,
            greet,
            change,
            sent: Mutex::default(),
            stopping: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        let acceptor = thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                if accepting.stopping.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&accepting);
                // Every connection ends in an error.
                thread::spawn(move || shared.serve(client));
            }
        });
        Relay { address, shared, acceptor: Some(acceptor) }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The bytes that the client has sent so far on each connection.
    pub fn sent(&self) -> Vec<Vec<u8>> {
        self.shared.sent.lock().unwrap().clone()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address)); // wakes the acceptor
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.join().unwrap();
        }
    }
}

impl Shared {
    fn serve(self: Arc<Shared>, mut client: TcpStream) -> io::Result<()> {
        client.set_nodelay(true)?;
        let greeted = (self.greet)(&mut client)?;
        let index = {
            let mut sent = self.sent.lock().unwrap();
            sent.push(greeted);
            sent.len() - 1
        };
        let server = TcpStream::connect(self.target)?;
        server.set_nodelay(true)?;
        thread::scope(|scope| {
            scope.spawn(|| {
                let done = pass(&client, &server, |part| {
                    self.sent.lock().unwrap()[index].extend_from_slice(part);
                    part.to_vec()
                });
                let _ = server.shutdown(Shutdown::Write);
                done
            });
            let done = pass(&server, &client, (self.change)());
            let _ = client.shutdown(Shutdown::Both);
            done
        })
    }
}

fn pass(
    mut from: &TcpStream,
    mut to: &TcpStream,
    mut through: impl FnMut(&[u8]) -> Vec<u8>,
) -> io::Result<()> {
    let mut part = vec![0; 64 << 10];
    loop {
        match from.read(&mut part)? {
            0 => return Ok(()),
            count => to.write_all(&through(&part[..count]))?,
        }
    }
}
