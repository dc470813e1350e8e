//! A byte stream to the tracker, whatever carries it.

use super::tls::TlsStream;
use crate::PATIENCE;
use std::{
    io::{ErrorKind, Read, Result, Write},
    net::{IpAddr, Shutdown, SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    time::Duration,
};

/// What carries the bytes. Reads wait [`PATIENCE`].
pub enum Stream {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
    /// TLS over TCP.
    Tls(Box<TlsStream>),
}

/// Opens a TCP connection from this address.
///
/// # Panics
/// If it cannot be opened.
#[must_use]
pub fn tcp(from: IpAddr, to: SocketAddr) -> TcpStream {
    try_tcp(from, to).unwrap_or_else(|e| panic!("a connection from {from} to {to}: {e}"))
}

/// Opens a TCP connection from this address.
///
/// # Errors
/// If it is refused.
pub fn try_tcp(from: IpAddr, to: SocketAddr) -> Result<TcpStream> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(to), socket2::Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(from, 0).into())?;
    socket.connect_timeout(&to.into(), PATIENCE)?;
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Opens a connection to a Unix socket.
///
/// # Panics
/// If it cannot be opened.
#[must_use]
pub fn unix(path: &std::path::Path) -> UnixStream {
    let stream = UnixStream::connect(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

impl Stream {
    /// Says that nothing more will be sent. (TLS: to the TCP socket below.)
    ///
    /// # Panics
    /// If the socket fails.
    pub fn finish(&self) {
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
            Self::Tls(stream) => stream.sock.shutdown(Shutdown::Write),
        }
        .expect("to shut it down");
    }

    /// How long a read waits.
    ///
    /// # Panics
    /// If the socket fails.
    pub fn patience(&self, patience: Duration) {
        match self {
            Self::Tcp(stream) => stream.set_read_timeout(Some(patience)),
            Self::Unix(stream) => stream.set_read_timeout(Some(patience)),
            Self::Tls(stream) => stream.sock.set_read_timeout(Some(patience)),
        }
        .expect("a timeout");
    }

    /// Waits until the tracker has closed it, dropping what still comes. Tells how many bytes came.
    ///
    /// # Panics
    /// If it stays open.
    pub fn wait_closed(&mut self) -> usize {
        let mut dropped = 0;
        let mut buffer = [0; 4096];
        loop {
            match self.read(&mut buffer) {
                Ok(0) => return dropped,
                Ok(length) => dropped += length,
                Err(e) if is_closed(&e) => return dropped,
                Err(e) => panic!("the tracker did not close the connection: {e}"),
            }
        }
    }
}

/// Whether an error tells that the other side is gone.
#[must_use]
pub fn is_closed(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof)
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> Result<()> {
        match self {
            Self::Tcp(stream) => stream.flush(),
            Self::Unix(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
