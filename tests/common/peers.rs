//! Peers that don't do their part: they leave a connection undecided, take it and say nothing, or refuse it.

use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};

use socket2::{Domain, Socket, Type};

/// An address that no connection can be made to, and that does not refuse one either: the queue of its listening
/// socket is full, and nobody takes anything out of it.
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
        // More than any system makes of a backlog of nought.
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

/// Takes connections and never says a word.
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

    /// Waits for a connection, and for the first byte that the client sends over it.
    pub fn take_spoken_to(&self) -> TcpStream {
        let (mut stream, _) = self.listener.accept().unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 1);
        stream
    }

    /// How many connections have come that nobody has taken yet.
    pub fn waiting(&self) -> usize {
        self.listener.set_nonblocking(true).unwrap();
        let waiting = std::iter::from_fn(|| self.listener.accept().ok()).count();
        self.listener.set_nonblocking(false).unwrap();
        waiting
    }
}

/// An address that refuses connections: it is taken, and nobody listens there.
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
