//! Faulty peers: one leaves a connection attempt undecided, one accepts and sends nothing, and one refuses.

use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};

use socket2::{Domain, Socket, Type};

/// An address that neither accepts nor refuses a connection: the accept queue of its listening socket is full, and
/// nothing accepts from it.
pub struct BlackHole {
    address: SocketAddr,
    _listener: Socket,
    _queued: Vec<Socket>,
}

impl BlackHole {
    pub fn new() -> BlackHole {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        // More connections than any system queues for a backlog of 0.
        let queued = (0..16)
            .map(|_| {
                let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
                socket.set_nonblocking(true).unwrap();
                let _under_way = socket.connect(&address.into());
                socket
            })
            .collect();
        BlackHole { address, _listener: listener, _queued: queued }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// Accepts connections and never sends a byte.
pub struct Silent {
    listener: TcpListener,
}

impl Silent {
    pub fn new() -> Silent {
        Silent { listener: TcpListener::bind("127.0.0.1:0").unwrap() }
    }

    pub fn authority(&self) -> String {
        self.listener.local_addr().unwrap().to_string()
    }

    /// Accepts a connection, and waits for the first byte that the client sends on it.
    pub fn accept_with_data(&self) -> TcpStream {
        let (mut stream, _) = self.listener.accept().unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 1);
        stream
    }

    /// The number of connections that nothing has accepted yet.
    pub fn waiting(&self) -> usize {
        self.listener.set_nonblocking(true).unwrap();
        let waiting = std::iter::from_fn(|| self.listener.accept().ok()).count();
        self.listener.set_nonblocking(false).unwrap();
        waiting
    }
}

/// An address that refuses connections: the port is bound, but no socket listens there.
pub struct Refusing {
    address: SocketAddr,
    _taken: Socket,
}

impl Refusing {
    pub fn new() -> Refusing {
        let taken = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        taken.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let address = taken.local_addr().unwrap().as_socket().unwrap();
        Refusing { address, _taken: taken }
    }

    pub fn authority(&self) -> String {
        self.address.to_string()
    }
}
