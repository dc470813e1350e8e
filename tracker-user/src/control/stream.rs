//! A connection that is given up when its client takes nothing for too long.

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::UnixStream,
    time::{Sleep, sleep},
};

/// A connection to the control socket.
#[derive(Debug)]
pub(super) struct Stream {
    inner: UnixStream,
    patience: Duration,
    /// Runs while the client takes nothing.
    stuck: Option<Pin<Box<Sleep>>>,
}

impl Stream {
    /// Writing fails once nothing was taken for so long.
    pub(super) const fn new(inner: UnixStream, patience: Duration) -> Self {
        Self { inner, patience, stuck: None }
    }

    /// The socket below a connection that HTTP has let go of, and what was read of it already.
    ///
    /// # Errors
    /// If the connection is another one, or the runtime does not let go of it.
    pub(super) fn give_up(connection: Upgraded) -> io::Result<(std::os::unix::net::UnixStream, Vec<u8>)> {
        let parts = connection.downcast::<TokioIo<Self>>().map_err(|_| io::ErrorKind::InvalidInput)?;
        Ok((parts.io.into_inner().inner.into_std()?, parts.read_buf.to_vec()))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if let Poll::Ready(written) = Pin::new(&mut this.inner).poll_write(cx, bytes) {
            this.stuck = None;
            return Poll::Ready(written);
        }
        let stuck = this.stuck.get_or_insert_with(|| Box::pin(sleep(this.patience)));
        stuck.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn who_takes_nothing_is_given_up() {
        run(async {
            let (ours, _theirs) = UnixStream::pair().unwrap();
            let mut stream = Stream::new(ours, Duration::from_millis(1));
            // Far more than the kernel holds.
            let error = stream.write_all(&vec![0; 16 << 20]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        });
    }

    #[test]
    fn who_takes_something_is_waited_for_anew() {
        run(async {
            let (ours, mut theirs) = UnixStream::pair().unwrap();
            let mut stream = Stream::new(ours, Duration::from_secs(3600));
            let bytes = vec![7; 4 << 20];
            let writing = async {
                stream.write_all(&bytes).await.unwrap();
                assert!(stream.stuck.is_none(), "the wait is over with the last byte");
                drop(stream);
            };
            let mut read = Vec::new();
            let reading = async { theirs.read_to_end(&mut read).await.unwrap() };
            tokio::join!(writing, reading);
            assert_eq!(read, bytes);
        });
    }
}
