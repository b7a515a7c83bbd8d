//! Addresses without a server: one leaves a connection attempt undecided, and one refuses it.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

/// An address that neither accepts nor refuses a connection: the accept queue of its listening socket is full, and
/// nothing accepts from it.
pub struct BlackHole {
    listener: TcpListener,
    queued: Vec<TcpStream>,
}

impl BlackHole {
    pub fn new() -> BlackHole {
        BlackHole::on(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    pub fn on(address: SocketAddr) -> BlackHole {
        let listener = TcpListener::bind(address).unwrap();
        // It may be called again on a listening socket, with a shorter queue.
        SockRef::from(&listener).listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let connect = |_| TcpStream::connect_timeout(&address, Duration::from_millis(100)).ok();
        let queued: Vec<_> = (0..100).map_while(connect).collect();
        assert!(queued.len() < 100, "the queue has no end");
        BlackHole { listener, queued }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.listener.local_addr().unwrap())
    }

    /// Accepts the queued connections and one more, and closes them.
    pub fn accept(self) {
        thread::spawn(move || (0..=self.queued.len()).for_each(|_| drop(self.listener.accept())));
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

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn authority(&self) -> String {
        self.address.to_string()
    }
}
