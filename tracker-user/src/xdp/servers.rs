//! Who serves AF_XDP sockets, as the code of XDP sees it. The workers of `udp` do.

use super::socket::XskSocket;

/// Threads that serve AF_XDP sockets.
pub trait Servers {
    /// Hands a socket over to one of them; its interface is a loopback one or not. Whether it was taken; if not, it is
    /// closed.
    fn give(&mut self, socket: XskSocket, on_loopback: bool) -> bool;

    /// Has all sockets of an interface closed, and waits until they are, for a limited time.
    fn take_back(&mut self, interface_index: u32);
}
