//! A non-blocking TCP socket. Its descriptor is checked before it is reused or closed after a call.

use std::cell::Cell;
use std::io;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::ops::Deref;
use std::os::fd::AsRawFd;

use socket2::Socket;

use crate::identity::Identity;

/// A socket whose descriptor the host may have closed, and reused, since the last call.
pub struct KeptSocket {
    socket: ManuallyDrop<Socket>,
    /// Set once the socket is kept between calls.
    identity: Option<Identity>,
    /// Data arrived since the last send: the kernel may delay its acknowledgement.
    unacknowledged: Cell<bool>,
}

impl KeptSocket {
    pub fn new(socket: Socket) -> KeptSocket {
        KeptSocket { socket: ManuallyDrop::new(socket), identity: None, unacknowledged: Cell::new(false) }
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
        self.unacknowledged.set(true);
        Ok(count)
    }

    /// Acknowledges received data now. Linux delays that by up to 40 ms, and until then a peer with Nagle's algorithm
    /// holds back the rest of its response. Call it before a wait for more data. It does nothing on other systems.
    pub fn acknowledge(&self) {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if self.unacknowledged.take() {
            let _ = self.socket.set_tcp_quickack(true);
        }
    }

    /// Sends as much as the kernel accepts. Never blocks, and never raises SIGPIPE, whose default action kills the
    /// host.
    pub fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        #[cfg(any(target_os = "macos", target_os = "ios"))]
        let flags = libc::MSG_DONTWAIT; // SO_NOSIGPIPE was set when the socket was made
        #[cfg(not(any(target_os = "macos", target_os = "ios")))]
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        let count = self.socket.send_with_flags(bytes, flags)?;
        self.unacknowledged.set(false);
        Ok(count)
    }
}

impl Deref for KeptSocket {
    type Target = Socket;
    fn deref(&self) -> &Socket {
        &self.socket
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

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn reused_number_is_found_and_not_closed() {
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
        assert!(!kept.nonblocking().unwrap());
        assert_eq!(kept.receive(&mut [0; 1]).unwrap_err().kind(), ErrorKind::WouldBlock);
        let bytes = vec![0; 1 << 20];
        let full = (0..100).find_map(|_| kept.send(&bytes).err()).unwrap();
        assert_eq!(full.kind(), ErrorKind::WouldBlock);
    }
}
