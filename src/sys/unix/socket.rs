//! Non-blocking TCP sockets. The descriptor of a kept one is checked before it is reused or closed after a call.

use std::io;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use super::descriptor::{Identity, above_standard};

/// A socket whose descriptor the host may have closed, and reused, since the last call.
pub struct KeptSocket {
    socket: ManuallyDrop<Socket>,
    /// Set once the socket is kept between calls.
    identity: Option<Identity>,
    /// Data arrived since the last send: the kernel may delay its acknowledgement.
    unacknowledged: AtomicBool,
}

impl KeptSocket {
    pub fn new(socket: Socket) -> KeptSocket {
        KeptSocket {
            socket: ManuallyDrop::new(socket),
            identity: None,
            unacknowledged: AtomicBool::new(false),
        }
    }

    /// Records the identity, before the call ends.
    pub fn remember(&mut self) {
        if self.identity.is_none() {
            self.identity = Identity::of(self.socket.as_raw_fd());
        }
    }

    /// True if the descriptor still refers to this socket.
    pub fn is_intact(&self) -> bool {
        self.identity.is_none() || Identity::of(self.socket.as_raw_fd()) == self.identity
    }

    /// Reads the available data. Never blocks, even if the descriptor was set to block.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        // SAFETY: the bytes are initialised, and recv writes no uninitialised ones.
        let buffer = unsafe { &mut *(std::ptr::from_mut(buffer) as *mut [MaybeUninit<u8>]) };
        let count = self.socket.recv_with_flags(buffer, libc::MSG_DONTWAIT)?;
        self.unacknowledged.store(true, Ordering::Relaxed);
        Ok(count)
    }

    /// Acknowledges received data now. Linux delays that by up to 40 ms, and until then a peer with Nagle's algorithm
    /// holds back the rest of its response. Call it before a wait for more data. It does nothing on other systems.
    pub fn acknowledge(&self) {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if self.unacknowledged.load(Ordering::Relaxed) {
            self.unacknowledged.store(false, Ordering::Relaxed);
            let _ = self.socket.set_tcp_quickack(true);
        }
    }

    /// Limits the time that sent data may stay unacknowledged, and so the time to detect a dead peer.
    pub fn set_user_timeout(&self, timeout: Duration) {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let _ = self.socket.set_tcp_user_timeout(Some(timeout));
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let _ = timeout;
    }

    /// Sends as much as the kernel accepts. Never blocks, and never raises SIGPIPE, whose default action kills the
    /// host.
    pub fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        #[cfg(any(target_os = "macos", target_os = "ios"))]
        let flags = libc::MSG_DONTWAIT; // SO_NOSIGPIPE was set when the socket was made
        #[cfg(not(any(target_os = "macos", target_os = "ios")))]
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        let count = self.socket.send_with_flags(bytes, flags)?;
        self.unacknowledged.store(false, Ordering::Relaxed);
        Ok(count)
    }
}

impl AsRawFd for KeptSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl Drop for KeptSocket {
    fn drop(&mut self) {
        if self.is_intact() {
            // SAFETY: dropped only here.
            unsafe { ManuallyDrop::drop(&mut self.socket) };
        }
    }
}

/// Starts to connect to an address. The socket is writable when the connect has ended.
pub fn start_connect(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?; // close-on-exec
    let socket = Socket::from(above_standard(socket.into())?);
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    #[cfg(any(target_os = "macos", target_os = "ios"))]
    socket.set_nosigpipe(true)?;
    match socket.connect(&address.into()) {
        Ok(()) => Ok(socket),
        Err(error)
            if error.raw_os_error() == Some(libc::EINPROGRESS)
                || error.kind() == io::ErrorKind::WouldBlock =>
        {
            Ok(socket)
        }
        Err(error) => Err(error),
    }
}

/// The result of a connect that has ended.
pub fn connect_result(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    match socket.take_error()? {
        Some(error) => Err(error),
        // Connecting to an unused ephemeral port can succeed as a TCP self-connect.
        None if socket.local_addr()?.as_socket() == Some(address) => {
            Err(io::ErrorKind::ConnectionRefused.into())
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn reused_descriptor_is_not_closed() {
        let (ours, _peer) = UnixStream::pair().unwrap();
        let (theirs, _other) = UnixStream::pair().unwrap();
        let mut kept = KeptSocket::new(Socket::from(std::os::fd::OwnedFd::from(ours)));
        let number = kept.as_raw_fd();
        kept.remember();
        assert!(kept.is_intact());
        // SAFETY: the host takes the socket's place.
        assert_eq!(unsafe { libc::dup2(theirs.as_raw_fd(), number) }, number);
        assert!(!kept.is_intact());
        drop(kept);
        // SAFETY: still open, and closed here once.
        assert_eq!(unsafe { libc::close(number) }, 0);
    }

    #[test]
    fn blocking_descriptor_does_not_block() {
        let (ours, _peer) = UnixStream::pair().unwrap();
        let kept = KeptSocket::new(Socket::from(std::os::fd::OwnedFd::from(ours)));
        assert!(!kept.socket.nonblocking().unwrap());
        assert_eq!(kept.receive(&mut [0; 1]).unwrap_err().kind(), ErrorKind::WouldBlock);
        let bytes = vec![0; 1 << 20];
        let full = (0..100).find_map(|_| kept.send(&bytes).err()).unwrap();
        assert_eq!(full.kind(), ErrorKind::WouldBlock);
    }

    #[test]
    fn self_connect_is_refused() {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let own = socket.local_addr().unwrap();
        socket.connect(&own).unwrap();
        let own = own.as_socket().unwrap();
        assert_eq!(connect_result(&socket, own).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        assert!(connect_result(&socket, SocketAddr::from(([127, 0, 0, 2], own.port()))).is_ok());
    }

    #[test]
    fn socket_avoids_the_standard_descriptors() {
        crate::sys::waker::tests::without_standard_descriptors(|| {
            start_connect(SocketAddr::from(([127, 0, 0, 1], 9))).map_or(-1, |socket| socket.as_raw_fd())
        });
    }
}
