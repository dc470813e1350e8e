//! Byte streams below HTTP: the sockets, and how they are closed.

use super::{activity::Activity, limits::Place};
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
};

/// An accepted connection.
#[derive(Debug)]
pub(super) enum Socket {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
}

impl AsyncRead for Socket {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// Most bytes that are taken and thrown away at the end of a connection.
const LAST_BYTES: usize = 256 << 10;

/// What HTTP runs over: a socket, or TLS over one. It keeps the connection's place among those of its address for as
/// long as it lives, as a WebSocket too.
///
/// Closing a TCP socket while bytes of the client are unread makes the kernel reset the connection, and the client may
/// lose the very reply that told it what was wrong. So the end is: say that nothing more comes, take what the client is
/// still sending, within bounds, then close.
#[derive(Debug)]
pub(super) struct Stream<S> {
    inner: S,
    _place: Option<Place>,
    activity: Arc<Activity>,
    said_end: bool,
    taken: usize,
}

impl<S> Stream<S> {
    /// Over `inner`.
    pub(super) fn new(inner: S, place: Option<Place>, activity: Arc<Activity>) -> Self {
        Self { inner, _place: place, activity, said_end: false, taken: 0 }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stream<S> {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.inner).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            this.activity.read(&buffer.filled()[before..]);
        }
        polled
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, bytes)
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.said_end {
            ready!(Pin::new(&mut this.inner).poll_shutdown(cx))?;
            this.said_end = true;
        }
        let mut buffer = [0; 2048];
        while this.taken < LAST_BYTES {
            let mut buffer = ReadBuf::new(&mut buffer);
            match Pin::new(&mut this.inner).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    this.taken += buffer.filled().len();
                    this.activity.expect_more();
                }
                // The client's end, or the end of the connection.
                Poll::Ready(_) => break,
                Poll::Pending if this.activity.expects_more() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    fn expecting() -> Arc<Activity> {
        let activity = Arc::<Activity>::default();
        activity.expect_more();
        activity
    }

    fn run(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
    }

    #[test]
    fn the_end_takes_what_is_still_on_its_way() {
        run(async {
            let (ours, mut theirs) = duplex(64);
            let mut stream = Stream::new(ours, None, expecting());
            let closing = tokio::spawn(async move { stream.shutdown().await });
            // Far more than fits between the two: it is all taken, though nobody reads it as a request.
            theirs.write_all(&[b'x'; 10_000]).await.unwrap();
            assert_eq!(theirs.read(&mut [0]).await.unwrap(), 0, "the end comes first");
            assert!(!closing.is_finished());
            drop(theirs);
            closing.await.unwrap().unwrap();
        });
    }

    #[test]
    fn the_end_of_a_quiet_connection_waits_for_nobody() {
        run(async {
            let (ours, _theirs) = duplex(64);
            let mut stream = Stream::new(ours, None, Arc::default());
            stream.shutdown().await.unwrap();
        });
    }

    #[test]
    fn the_end_takes_no_more_than_its_bound() {
        run(async {
            let (ours, mut theirs) = duplex(1 << 20);
            theirs.write_all(&vec![b'x'; LAST_BYTES + 10_000]).await.unwrap();
            let mut stream = Stream::new(ours, None, expecting());
            stream.shutdown().await.unwrap();
            let mut rest = Vec::new();
            drop(theirs);
            stream.read_to_end(&mut rest).await.unwrap();
            assert!(!rest.is_empty());
        });
    }
}
