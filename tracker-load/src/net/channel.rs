//! A connection with its buffers: bytes to be written, bytes that were read.

use super::{stream::Stream, tls::Tls, wait::Wait};
use crate::error::Error;
use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, SocketAddr},
};

/// Where connections go, and from where.
#[derive(Clone, Debug)]
pub struct Path {
    /// The tracker.
    pub target: SocketAddr,
    /// TLS, if it is spoken.
    pub tls: Option<Tls>,
    /// Addresses of this host, used in turn; the kernel chooses if there is none.
    pub sources: Vec<IpAddr>,
}

impl Path {
    /// The address that this connection comes from.
    #[must_use]
    pub fn source(&self, number: u64) -> Option<IpAddr> {
        let count = self.sources.len() as u64;
        number.checked_rem(count).and_then(|i| self.sources.get(usize::try_from(i).ok()?)).copied()
    }
}

/// The connection is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// What a read came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// Bytes, and perhaps more.
    Some,
    /// The last bytes for now.
    Last,
    /// Nothing for now.
    Nothing,
    /// The end: nothing will ever come again.
    End,
}

/// A connection, closed or open.
#[derive(Debug, Default)]
pub struct Channel {
    stream: Option<Stream>,
    /// What is to be written; append only.
    pub out: Vec<u8>,
    written: usize,
    /// What was read and not yet used; taken from the front.
    pub input: Vec<u8>,
}

impl Channel {
    /// Whether it is open, or about to be.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.stream.is_some()
    }

    /// Begins to connect, and has its changes reported under `number`.
    ///
    /// # Errors
    /// When it cannot be waited for, which ends a run; `Ok(Err(Broken))` when the connection was refused at once.
    pub fn open(
        &mut self,
        path: &Path,
        source: u64,
        wait: &Wait,
        number: usize,
    ) -> Result<Result<(), Broken>, Error> {
        let Ok(stream) = Stream::connect(path.target, path.source(source), path.tls.as_ref()) else {
            return Ok(Err(Broken));
        };
        wait.changes(&stream, number)?;
        self.stream = Some(stream);
        Ok(Ok(()))
    }

    /// Writes what the system takes.
    ///
    /// # Errors
    /// When the connection is lost.
    pub fn write(&mut self) -> Result<(), Broken> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        if self.out.is_empty() && stream.tls().is_none() {
            return Ok(());
        }
        let done = loop {
            if self.written == self.out.len() {
                self.out.clear();
                self.written = 0;
                break stream.flush();
            }
            match stream.write(&self.out[self.written..]) {
                Ok(len) => self.written += len,
                Err(error) => break Err(error),
            }
        };
        match done {
            Err(error) if !is_wait(&error) => Err(Broken),
            _ => Ok(()),
        }
    }

    /// Reads a part into [`Channel::input`], through `buffer`.
    pub fn read(&mut self, buffer: &mut [u8]) -> Read {
        let Some(stream) = &mut self.stream else { return Read::Nothing };
        loop {
            return match stream.read(buffer) {
                Ok(0) => Read::End,
                Ok(len) => {
                    self.input.extend(&buffer[..len]);
                    // A part that was not filled was the last one; the next comes with an event of its own.
                    if stream.tls().is_none() && len < buffer.len() { Read::Last } else { Read::Some }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if is_wait(&error) => Read::Nothing,
                Err(_) => Read::End,
            };
        }
    }

    /// Closes it, if it is open, and forgets what was to be written and what was read.
    pub fn reset(&mut self) {
        if let Some(stream) = self.stream.take() {
            stream.abort();
        }
        self.out.clear();
        self.input.clear();
        self.written = 0;
    }
}

/// Not yet: `NotConnected` is what some calls say while a connection comes about.
fn is_wait(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected)
}
