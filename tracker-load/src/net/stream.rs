//! A byte stream to the tracker: TCP or a Unix socket, with or without TLS, waiting or not.

use super::tls::Tls;
use crate::error::Error;
use rustls::ClientConnection;
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io::{self, Read, Write},
    net::{IpAddr, Shutdown, SocketAddr},
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

/// How long the first connection is given to come about, and its first answer to arrive.
pub const PATIENCE: Duration = Duration::from_secs(3);

/// A connection.
#[derive(Debug)]
pub struct Stream {
    socket: Socket,
    tls: Option<Box<ClientConnection>>,
}

impl Stream {
    /// Over a socket that is connected, or about to be. With TLS, the handshake comes with the first bytes, or with
    /// [`Stream::handshake`].
    pub fn over(socket: impl Into<Socket>, tls: Option<ClientConnection>) -> Self {
        Self { socket: socket.into(), tls: tls.map(Box::new) }
    }

    /// Begins to connect, from this address of the host if one is named. It never blocks: what is written before the connection is there would.
    ///
    /// # Errors
    /// When the system refuses at once.
    pub fn connect(target: SocketAddr, source: Option<IpAddr>, tls: Option<&Tls>) -> io::Result<Self> {
        let socket = socket(target, source)?;
        socket.set_nonblocking(true)?;
        match socket.connect(&target.into()) {
            Err(error) if error.raw_os_error() == Some(nix::errno::Errno::EINPROGRESS as i32) => {}
            other => other?,
        }
        Ok(Self::over(socket, begin(tls)?))
    }

    /// Connects and waits: for the connection, and at each read and write, this long. A TLS handshake is still to come.
    ///
    /// # Errors
    /// When there is no connection in time.
    pub fn wait_for(
        target: SocketAddr,
        source: Option<IpAddr>,
        tls: Option<&Tls>,
        patience: Duration,
    ) -> io::Result<Self> {
        let socket = socket(target, source)?;
        socket.connect_timeout(&target.into(), patience)?;
        socket.set_read_timeout(Some(patience))?;
        socket.set_write_timeout(Some(patience))?;
        Ok(Self::over(socket, begin(tls)?))
    }

    /// The first connection, which waits: tells what is wrong with a target before any load.
    ///
    /// # Errors
    /// [`Error::Unreachable`] if it does not come about, [`Error::Tls`] if its handshake fails.
    pub fn first(target: SocketAddr, tls: Option<&Tls>) -> Result<Self, Error> {
        let unreachable = |error: io::Error| {
            let reason = match error.kind() {
                io::ErrorKind::ConnectionRefused => {
                    "nothing listens on that TCP port; is the tracker running?".into()
                }
                io::ErrorKind::TimedOut => "no connection within 3 s; does a firewall forbid it?".into(),
                _ => error.to_string(),
            };
            Error::Unreachable { target: target.to_string(), reason }
        };
        let mut stream = Self::wait_for(target, None, tls, PATIENCE).map_err(unreachable)?;
        stream
            .handshake()
            .map_err(|error| Error::Tls { target: target.to_string(), reason: error.to_string() })?;
        Ok(stream)
    }

    /// Shakes hands, if TLS is spoken.
    ///
    /// # Errors
    /// What rustls or the system says.
    pub fn handshake(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            while tls.is_handshaking() {
                tls.complete_io(&mut self.socket)?;
            }
        }
        Ok(())
    }

    /// What carries the bytes, below TLS.
    #[must_use]
    pub const fn socket(&self) -> &Socket {
        &self.socket
    }

    /// The state of TLS, if it is spoken.
    #[must_use]
    pub fn tls(&self) -> Option<&ClientConnection> {
        self.tls.as_deref()
    }

    /// Says that nothing more will be sent; with TLS, to the socket below.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn finish(&self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    /// Closes it with a reset, so that its port is free again at once.
    pub fn abort(self) {
        // Without it, the port rests for a minute.
        let _ = self.socket.set_linger(Some(Duration::ZERO));
    }
}

fn socket(target: SocketAddr, source: Option<IpAddr>) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(target), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    if let Some(source) = source {
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    Ok(socket)
}

fn begin(tls: Option<&Tls>) -> io::Result<Option<ClientConnection>> {
    tls.map(Tls::connection).transpose().map_err(io::Error::other)
}

impl From<Stream> for Socket {
    /// What carries the bytes, without TLS.
    fn from(stream: Stream) -> Self {
        stream.socket
    }
}

impl Read for Stream {
    /// Reads what is there; 0 at the end.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.tls {
            None => self.socket.read(buffer),
            Some(tls) => rustls::Stream::new(tls.as_mut(), &mut self.socket).read(buffer),
        };
        match read {
            // Peers that close without saying so in TLS are many, and lengths tell whether anything is missing.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            other => other,
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.socket.write(buffer),
            Some(tls) => rustls::Stream::new(tls.as_mut(), &mut self.socket).write(buffer),
        }
    }

    /// Sends what TLS still holds back.
    fn flush(&mut self) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        while tls.wants_write() {
            tls.write_tls(&mut self.socket)?;
        }
        Ok(())
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
