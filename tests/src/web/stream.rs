//! Byte streams to the tracker that wait [`PATIENCE`], whatever carries them.

use crate::PATIENCE;
use std::{
    io::{ErrorKind, Read, Result},
    net::{IpAddr, SocketAddr},
    os::unix::net::UnixStream,
};
pub use tracker_load::net::stream::Stream;

/// Opens a TCP connection from this address.
#[must_use]
pub fn tcp(from: IpAddr, to: SocketAddr) -> Stream {
    try_tcp(from, to).unwrap_or_else(|e| panic!("a connection from {from} to {to}: {e}"))
}

/// Opens a TCP connection from this address.
///
/// # Errors
/// If it is refused.
pub fn try_tcp(from: IpAddr, to: SocketAddr) -> Result<Stream> {
    Stream::wait_for(to, Some(from), None, PATIENCE)
}

/// Opens a connection to a Unix socket.
#[must_use]
pub fn unix(path: &std::path::Path) -> Stream {
    let stream = UnixStream::connect(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    Stream::over(stream, None)
}

/// Waits until the tracker has closed it, dropping what still comes. Tells how many bytes came.
pub fn wait_closed(stream: &mut Stream) -> usize {
    let mut dropped = 0;
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return dropped,
            Ok(length) => dropped += length,
            Err(e) if is_closed(&e) => return dropped,
            Err(e) => panic!("the tracker did not close the connection: {e}"),
        }
    }
}

/// Whether an error tells that the other side is gone.
#[must_use]
pub fn is_closed(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof)
}
