//! Opening connections: TCP, and TLS where the address says so.

use super::{
    finding::Step,
    target::Target,
    tls::Trust,
    trouble::{Transport, Trouble},
};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Instant, timeout},
};

/// A stream of bytes both ways, encrypted or not.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Who opens connections to a tracker at one of its addresses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dialer<'a> {
    pub(super) target: &'a Target,
    pub(super) tracker: SocketAddr,
    pub(super) trust: &'a Trust,
    pub(super) patience: Duration,
}

impl Dialer<'_> {
    /// Opens one, and adds what there is to say of it. Without one, the last step says why.
    pub(super) async fn open(&self, steps: &mut Vec<Step>) -> Result<Box<dyn Stream>, Trouble> {
        let connect = Step::new("connect", None);
        let began = Instant::now();
        let stream = self.connect().await?;
        steps.push(connect.took(began.elapsed()));
        if !self.target.scheme.is_secure() {
            return Ok(Box::new(stream));
        }
        let (stream, step) = self.trust.shake_hands(stream, &self.target.host, self.patience).await?;
        steps.push(step);
        Ok(Box::new(stream))
    }

    /// The same for clients that come later, of whose connection nothing is told.
    pub(super) async fn open_quietly(&self) -> Result<Box<dyn Stream>, Trouble> {
        self.open(&mut Vec::new()).await
    }

    async fn connect(&self) -> Result<TcpStream, Trouble> {
        let trouble = |error| Trouble::of(error, Transport::Tcp, (self.tracker.ip(), self.tracker.port()));
        match timeout(self.patience, TcpStream::connect(self.tracker)).await {
            Ok(connected) => {
                let stream = connected.map_err(trouble)?;
                // Otherwise times would be those of this machine's waiting for acknowledgements.
                stream.set_nodelay(true).map_err(trouble)?;
                Ok(stream)
            }
            Err(_) => Err(Trouble::Silent(self.patience)),
        }
    }

    /// The step at which opening a connection failed, where so many steps had gone well.
    pub(super) fn failed(done: usize, trouble: &Trouble) -> Step {
        let step = Step::new(if done == 0 { "connect" } else { "TLS" }, None);
        match trouble {
            // This machine's matter, and not the tracker's.
            Trouble::NoWay { .. } => step.note(trouble.to_string()),
            _ => step.wrong(trouble.to_string()),
        }
    }
}
