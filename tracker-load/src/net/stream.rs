//! A connection to the tracker, with or without TLS, that never blocks.

use super::tls::Tls;
use crate::error::Error;
use rustls::ClientConnection;
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpStream},
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

/// How long the first connection is given to come about, and its first answer to arrive.
pub const PATIENCE: Duration = Duration::from_secs(3);

/// A connection.
#[derive(Debug)]
pub struct Stream {
    tcp: TcpStream,
    tls: Option<Box<ClientConnection>>,
}

impl Stream {
    /// Begins to connect, from this address of the host if one is named. What is written before the connection is there would block.
    ///
    /// # Errors
    /// When the system refuses at once.
    pub fn connect(target: SocketAddr, source: Option<IpAddr>, tls: Option<&Tls>) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(target), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if let Some(source) = source {
            socket.bind(&SocketAddr::new(source, 0).into())?;
        }
        match socket.connect(&target.into()) {
            Err(error) if error.raw_os_error() == Some(nix::errno::Errno::EINPROGRESS as i32) => {}
            other => other?,
        }
        Self::new(socket.into(), tls)
    }

    /// The first connection, which waits: tells what is wrong with a target before any load.
    ///
    /// # Errors
    /// [`Error::Unreachable`] if it does not come about.
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
        let attempt = || {
            let tcp = TcpStream::connect_timeout(&target, PATIENCE)?;
            tcp.set_read_timeout(Some(PATIENCE))?;
            tcp.set_write_timeout(Some(PATIENCE))?;
            Self::new(tcp, tls)
        };
        let mut stream = attempt().map_err(unreachable)?;
        stream
            .handshake()
            .map_err(|error| Error::Tls { target: target.to_string(), reason: error.to_string() })?;
        Ok(stream)
    }

    fn new(tcp: TcpStream, tls: Option<&Tls>) -> io::Result<Self> {
        let tls = match tls {
            Some(tls) => Some(Box::new(tls.connection().map_err(io::Error::other)?)),
            None => None,
        };
        Ok(Self { tcp, tls })
    }

    fn handshake(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            while tls.is_handshaking() {
                tls.complete_io(&mut self.tcp)?;
            }
        }
        Ok(())
    }

    /// Reads what is there; 0 at the end.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is there, or what the system or TLS says.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.tls {
            None => self.tcp.read(buffer),
            Some(tls) => rustls::Stream::new(tls.as_mut(), &mut self.tcp).read(buffer),
        };
        match read {
            // Peers that close without saying so in TLS are many, and lengths tell whether anything is missing.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            other => other,
        }
    }

    /// Writes what the system takes.
    ///
    /// # Errors
    /// `WouldBlock` if it takes nothing, or what the system or TLS says.
    pub fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.tcp.write(buffer),
            Some(tls) => rustls::Stream::new(tls.as_mut(), &mut self.tcp).write(buffer),
        }
    }

    /// Sends what TLS still holds back.
    ///
    /// # Errors
    /// `WouldBlock` if some is left, or what the system says.
    pub fn flush(&mut self) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        while tls.wants_write() {
            tls.write_tls(&mut self.tcp)?;
        }
        Ok(())
    }

    /// Whether it goes without TLS.
    #[must_use]
    pub const fn is_plain(&self) -> bool {
        self.tls.is_none()
    }

    /// Closes it with a reset, so that its port is free again at once.
    pub fn abort(self) {
        let socket = Socket::from(self.tcp);
        // Without it, the port rests for a minute.
        let _ = socket.set_linger(Some(Duration::ZERO));
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.tcp.as_fd()
    }
}
