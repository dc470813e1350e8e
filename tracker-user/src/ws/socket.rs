//! A connection's WebSocket: what there is to do at it, and limits on how long and how much it may hold.

use super::{budget::Holding, counters::Closed, hub::Seat, watched::Watched};
use futures_util::{Sink, Stream};
use std::{
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    time::{Sleep, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self, Message,
        protocol::{CloseFrame, Role},
    },
};

/// The longest head of a frame that is sent.
const HEAD: usize = 10;
/// What a client may still send while its connection is being closed.
const FAREWELL_BYTES: usize = 1 << 20;

/// What there is to do.
#[derive(Debug, Default)]
pub(super) struct AtHand {
    /// A message, an error, or the end of all messages.
    pub(super) message: Option<Option<Result<Message, tungstenite::Error>>>,
    pub(super) relays: bool,
    pub(super) alarm: bool,
    /// Others want the memory of the message that is on its way.
    pub(super) wanted: bool,
}

/// The socket, with limits on how long it may stall.
pub(super) struct Socket<S> {
    inner: WebSocketStream<Watched<S>>,
    /// While a long message is on its way: ends when its memory is wanted.
    wanted: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    /// Begins with empty buffers, between two frames.
    pub(super) async fn open(stream: S, seat: &Seat) -> Self {
        let hub = &seat.hub;
        let holding = Holding::new(Arc::clone(hub.budget()));
        Self::over(Watched::new(stream, hub.clock(), hub.rules().bounds, holding), seat).await
    }

    async fn over(watched: Watched<S>, seat: &Seat) -> Self {
        let rules = seat.hub.rules();
        let inner = WebSocketStream::from_raw_socket(watched, Role::Server, Some(rules.socket)).await;
        Self { inner, wanted: None }
    }

    /// Whether there are large buffers that can be given back.
    pub(super) fn is_large(&self) -> bool {
        self.inner.get_ref().is_large()
    }

    /// Gives large buffers back. All messages that have been read must have been taken.
    pub(super) async fn renew(&mut self, seat: &Seat) {
        let watched = self.inner.get_mut().renew();
        *self = Self::over(watched, seat).await;
    }

    /// When the message began whose end has not been read, in protocol time.
    pub(super) fn begun_ns(&self) -> Option<u64> {
        self.inner.get_ref().begun_ns()
    }

    /// Looks for everything at once, so that nothing keeps something else from its turn.
    pub(super) fn poll(&mut self, seat: &Seat, alarm: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Poll<AtHand> {
        let mut at_hand = AtHand::default();
        if let Poll::Ready(message) = Pin::new(&mut self.inner).poll_next(cx) {
            at_hand.message = Some(message);
        }
        at_hand.relays = seat.queue.poll_ready(cx).is_ready();
        at_hand.alarm = alarm.poll(cx).is_ready();
        // Who has just been refused for want of memory is not the one to let go.
        at_hand.wanted = at_hand.message.is_none() && self.poll_wanted(seat, cx).is_ready();
        match at_hand {
            AtHand { message: None, relays: false, alarm: false, wanted: false } => Poll::Pending,
            some => Poll::Ready(some),
        }
    }

    fn poll_wanted(&mut self, seat: &Seat, cx: &mut Context<'_>) -> Poll<()> {
        if !self.inner.get_ref().waits_for_much() {
            self.wanted = None;
            return Poll::Pending;
        }
        let wanted = self.wanted.get_or_insert_with(|| Box::pin(Arc::clone(seat.hub.budget()).wanted()));
        wanted.as_mut().poll(cx)
    }

    /// Waits until there is room in the write buffer.
    pub(super) async fn ready(&mut self, seat: &Seat) -> Result<(), Closed> {
        self.patiently(seat, Sink::poll_ready).await
    }

    /// Puts a message into the write buffer, which has to be ready; says whether there was memory for it.
    pub(super) fn put(&mut self, message: Message) -> Result<bool, Closed> {
        if !self.inner.get_mut().expect(message.len() + HEAD) {
            return Ok(false);
        }
        Pin::new(&mut self.inner).start_send(message).map_err(|error| reason(&error))?;
        Ok(true)
    }

    /// Empties the write buffer.
    pub(super) async fn flush(&mut self, seat: &Seat) -> Result<(), Closed> {
        self.patiently(seat, Sink::poll_flush).await?;
        self.inner.get_mut().flushed();
        Ok(())
    }

    /// Waits for the client to take what is written, but only so long, and not when the tracker stops or others want the
    /// memory.
    async fn patiently(
        &mut self,
        seat: &Seat,
        mut poll: impl FnMut(
            Pin<&mut WebSocketStream<Watched<S>>>,
            &mut Context<'_>,
        ) -> Poll<Result<(), tungstenite::Error>>,
    ) -> Result<(), Closed> {
        let mut poll = |inner: &mut WebSocketStream<Watched<S>>, cx: &mut Context<'_>| {
            poll(Pin::new(inner), cx).map(|done| done.map_err(|error| reason(&error)))
        };
        if let Poll::Ready(done) = poll_fn(|cx| Poll::Ready(poll(&mut self.inner, cx))).await {
            return done;
        }
        if !self.inner.get_mut().stall() {
            return Err(Closed::Reclaimed);
        }
        // Boxed, since most connections never get here, and its size would be theirs.
        let done = Box::pin(async {
            let mut wanted = pin!(Arc::clone(seat.hub.budget()).wanted());
            let waiting = poll_fn(|cx| {
                if let Poll::Ready(why) = seat.queue.poll_close(cx) {
                    return Poll::Ready(Err(why));
                }
                match poll(&mut self.inner, cx) {
                    Poll::Pending => wanted.as_mut().poll(cx).map(|()| Err(Closed::Reclaimed)),
                    done => done,
                }
            });
            timeout(seat.hub.rules().send_timeout, waiting).await.unwrap_or(Err(Closed::Stalled))
        })
        .await;
        // Whatever it waited for, all is written then.
        self.inner.get_mut().flushed();
        done
    }

    /// Says why the connection ends, and ends it. What still comes is thrown away: a socket that is closed with bytes
    /// unread resets the connection, and the client would not learn the reason.
    pub(super) async fn part(&mut self, frame: CloseFrame) {
        if self.inner.close(Some(frame)).await.is_err() {
            return;
        }
        let stream = self.inner.get_mut();
        if stream.shutdown().await.is_err() {
            return;
        }
        let mut left = FAREWELL_BYTES;
        while left > 0 {
            let read = poll_fn(|cx| {
                let mut room = [0; 1024];
                let mut buffer = ReadBuf::new(&mut room);
                ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer))?;
                Poll::Ready(Ok::<usize, io::Error>(buffer.filled().len()))
            });
            match read.await {
                Ok(1..) => left = left.saturating_sub(1024),
                Ok(0) | Err(_) => return,
            }
        }
    }

    /// Why an error of a read ends the connection.
    pub(super) fn reason(&self, error: &tungstenite::Error) -> Closed {
        self.inner.get_ref().refused().unwrap_or_else(|| reason(error))
    }
}

/// Why an error ends the connection.
fn reason(error: &tungstenite::Error) -> Closed {
    use tungstenite::error::{Error, ProtocolError};
    match error {
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Io(_)
        | Error::Tls(_)
        | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake | ProtocolError::SendAfterClosing) => {
            Closed::Client
        }
        Error::Capacity(_) | Error::WriteBufferFull(_) => Closed::Oversize,
        Error::Protocol(_)
        | Error::Utf8(_)
        | Error::AttackAttempt
        | Error::Url(_)
        | Error::Http(_)
        | Error::HttpFormat(_) => Closed::Protocol,
    }
}
