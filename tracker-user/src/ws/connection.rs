//! The life of one connection: a task that reads messages, takes relays from its queue, and keeps time.

use super::{
    counters::{Closed, Lost, Sent},
    hub::{Hub, Rules, Seat, seconds},
    queue::{Next, Queue},
    watched::Watched,
};
use futures_util::{Sink, Stream};
use std::{
    cell::RefCell,
    convert::Infallible,
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    time::{Instant, Sleep, sleep, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self, Bytes, Message, Utf8Bytes,
        protocol::{CloseFrame, Role, frame::coding::CloseCode},
    },
};
use tracker_core::{
    model::Seconds,
    rng::Rng,
    ws::{self, Kind, Outbox, Outcome, Received, Relay},
};

/// Relays taken from the queue before the socket has its turn.
const RELAYS_PER_TURN: usize = 32;
/// Turns after which what is written is sent, though more is at hand.
const TURNS: usize = 16;
/// How long a client may take to end a connection that is being closed, and how much it may still send meanwhile.
const FAREWELL: Duration = Duration::from_secs(1);
const FAREWELL_BYTES: usize = 1 << 20;

/// What a thread works with, one message at a time.
struct Desk {
    rng: Rng,
    out: Outbox,
}

thread_local! {
    static DESK: RefCell<Option<Desk>> = const { RefCell::new(None) };
}

/// Runs a connection until it ends.
pub(super) async fn run<S: AsyncRead + AsyncWrite + Unpin>(mut seat: Seat, stream: S) {
    let mut socket = Socket::open(stream, &seat).await;
    let Err(closed) = serve(&mut seat, &mut socket).await;
    seat.hub.counters().closed.add(closed);
    // First, so that nothing is relayed to a connection that sends only its farewell.
    seat.leave();
    if let Some(frame) = close_frame(closed) {
        // However that ends, the connection is over.
        let _ = timeout(FAREWELL, Box::pin(socket.part(frame))).await;
    }
}

/// What the client is told, if it is there to be told.
fn close_frame(closed: Closed) -> Option<CloseFrame> {
    let (code, reason) = match closed {
        Closed::Client | Closed::Stalled => return None,
        Closed::Oversize => (CloseCode::Size, "message too large"),
        Closed::Protocol => (CloseCode::Protocol, "not WebSocket as it should be"),
        Closed::Flood => (CloseCode::Policy, "too many messages"),
        Closed::Idle => (CloseCode::Policy, "no sign of life, or no end of a message"),
        Closed::Drained => (CloseCode::Away, "the tracker is stopping"),
    };
    Some(CloseFrame { code, reason: Utf8Bytes::from_static(reason) })
}

/// Serves until there is a reason to end.
async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    seat: &mut Seat,
    socket: &mut Socket<S>,
) -> Result<Infallible, Closed> {
    let mut alarm = pin!(sleep(seat.hub.rules().ping_interval));
    let mut signs = SignsOfLife::new(seat.hub.now_ns());
    let mut turns = 0;
    loop {
        let more = poll_fn(|cx| Poll::Ready(socket.poll(&seat.queue, alarm.as_mut(), cx))).await;
        if turns > 0 && (more.is_pending() || turns == TURNS) {
            socket.flush(seat).await?;
            turns = 0;
        }
        let at_hand = match more {
            Poll::Ready(at_hand) => at_hand,
            Poll::Pending => poll_fn(|cx| socket.poll(&seat.queue, alarm.as_mut(), cx)).await,
        };
        turns += 1;
        let quiet = at_hand.message.is_none();
        if let Some(message) = at_hand.message {
            let message = message.ok_or(Closed::Client)?.map_err(|error| {
                if socket.0.get_ref().is_flooded() { Closed::Flood } else { reason(&error) }
            })?;
            let reply = seat.receive(&message, &mut signs)?;
            // Its memory is the read buffer's, which can be used again.
            drop(message);
            if let Some(reply) = reply {
                socket.feed(Message::text(reply), seat).await?;
            }
        }
        if at_hand.relays {
            deliver(seat, socket).await?;
        }
        if at_hand.alarm {
            let (ask, again) =
                signs.judge(socket.0.get_ref().begun_ns(), seat.hub.now_ns(), seat.hub.rules())?;
            if ask {
                if quiet {
                    // Boxed, since it is rare, and its size would be every connection's.
                    Box::pin(socket.shrink(seat)).await?;
                }
                seat.hub.counters().sent.add(Sent::Ping);
                socket.feed(Message::Ping(Bytes::new()), seat).await?;
            }
            alarm.as_mut().reset(Instant::now() + again);
        }
    }
}

/// Writes some of what waits in the queue.
async fn deliver<S: AsyncRead + AsyncWrite + Unpin>(
    seat: &mut Seat,
    socket: &mut Socket<S>,
) -> Result<(), Closed> {
    let now = seconds(seat.hub.now_ns());
    for _ in 0..RELAYS_PER_TURN {
        let relay = match seat.queue.next() {
            Next::Relay(relay) => relay,
            Next::Empty => break,
            Next::Close => return Err(Closed::Drained),
        };
        let kind = if matches!(relay, Relay::Offer { .. }) { Sent::Offer } else { Sent::Answer };
        let text = seat.peer.deliver(relay, &seat.hub.rules().signal, now);
        let fed = socket.feed(Message::text(text), seat).await;
        match fed {
            Ok(()) => seat.hub.counters().sent.add(kind),
            Err(_) => seat.hub.counters().lost.add(Lost::Gone),
        }
        fed?;
    }
    Ok(())
}

impl Seat {
    /// Takes a message from the client; gives the reply.
    fn receive(&mut self, message: &Message, signs: &mut SignsOfLife) -> Result<Option<String>, Closed> {
        let Self { hub, peer, .. } = self;
        let now_ns = hub.now_ns();
        signs.heard_ns = now_ns;
        if matches!(message, Message::Text(_) | Message::Binary(_) | Message::Ping(_)) {
            signs.count(seconds(now_ns), hub.rules().max_messages_per_second)?;
        }
        DESK.with_borrow_mut(|desk| {
            let desk = desk.get_or_insert_with(|| Desk { rng: hub.generator(), out: Outbox::default() });
            let Desk { rng, out } = desk;
            let received = match message {
                Message::Text(text) => {
                    let now = seconds(now_ns);
                    peer.receive(text, hub.engine(), &hub.rules().signal, now, rng, out)
                }
                Message::Binary(_) => ws::refuse_binary(out),
                Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => {
                    return Ok(None);
                }
            };
            note(hub, received);
            for (to, relay) in out.relays.drain(..) {
                hub.relay(to, relay);
            }
            Ok(out.reply.take())
        })
    }
}

fn note(hub: &Hub, received: Received) {
    let counters = hub.counters();
    counters.received.add(received.kind);
    match (received.outcome, received.kind) {
        (Outcome::Unroutable, _) => counters.lost.add(Lost::Unroutable),
        (Outcome::Failed, _) => counters.sent.add(Sent::Failure),
        (Outcome::Done, Kind::Announce) => counters.sent.add(Sent::Announce),
        (Outcome::Done, Kind::Scrape) => counters.sent.add(Sent::Scrape),
        (Outcome::Done, Kind::Answer | Kind::Malformed) => {}
    }
}

/// When a client was last heard of, and how much it says.
struct SignsOfLife {
    heard_ns: u64,
    second: Seconds,
    messages: u32,
}

impl SignsOfLife {
    fn new(now_ns: u64) -> Self {
        Self { heard_ns: now_ns, second: seconds(now_ns), messages: 0 }
    }

    /// Counts a message among those of the same second.
    fn count(&mut self, second: Seconds, most: Option<u32>) -> Result<(), Closed> {
        if second != self.second {
            (self.second, self.messages) = (second, 0);
        }
        self.messages = self.messages.saturating_add(1);
        if most.is_some_and(|most| self.messages > most) { Err(Closed::Flood) } else { Ok(()) }
    }

    /// Whether to ask for a sign of life, and when to look again. `begun_ns` is when the message began that has not
    /// ended: one that never does is held however much else is heard.
    fn judge(&self, begun_ns: Option<u64>, now_ns: u64, rules: &Rules) -> Result<(bool, Duration), Closed> {
        let since = |then_ns: u64| Duration::from_nanos(now_ns.saturating_sub(then_ns));
        let silent = since(self.heard_ns);
        let left = rules.idle_timeout.saturating_sub(silent.max(begun_ns.map_or(Duration::ZERO, since)));
        if left.is_zero() {
            return Err(Closed::Idle);
        }
        let until_ping = rules.ping_interval.saturating_sub(silent);
        let ask = until_ping.is_zero();
        let again = if ask { rules.ping_interval } else { until_ping };
        Ok((ask, again.min(left)))
    }
}

/// What there is to do.
#[derive(Debug, Default)]
struct AtHand {
    /// A message, an error, or the end of all messages.
    message: Option<Option<Result<Message, tungstenite::Error>>>,
    relays: bool,
    alarm: bool,
}

/// The socket, with limits on how long it may stall.
struct Socket<S>(WebSocketStream<Watched<S>>);

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    /// Begins with empty buffers, between two frames.
    async fn open(stream: S, seat: &Seat) -> Self {
        let rules = seat.hub.rules();
        let watched = Watched::new(stream, seat.hub.clock(), rules.max_messages_per_second);
        Self(WebSocketStream::from_raw_socket(watched, Role::Server, Some(rules.socket)).await)
    }

    /// Gives back large buffers, if they are empty. All messages that have been read must have been taken.
    async fn shrink(&mut self, seat: &Seat) -> Result<(), Closed> {
        self.flush(seat).await?;
        if let Some(stream) = self.0.get_mut().take_if_large() {
            *self = Self::open(stream, seat).await;
        }
        Ok(())
    }

    /// Looks for everything at once, so that nothing keeps something else from its turn.
    fn poll(&mut self, queue: &Queue, alarm: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Poll<AtHand> {
        let mut at_hand = AtHand::default();
        if let Poll::Ready(message) = Pin::new(&mut self.0).poll_next(cx) {
            at_hand.message = Some(message);
        }
        at_hand.relays = queue.poll_ready(cx).is_ready();
        at_hand.alarm = alarm.poll(cx).is_ready();
        match at_hand {
            AtHand { message: None, relays: false, alarm: false } => Poll::Pending,
            some => Poll::Ready(some),
        }
    }

    /// Puts a message into the write buffer, once there is room.
    async fn feed(&mut self, message: Message, seat: &Seat) -> Result<(), Closed> {
        self.patiently(seat, Sink::poll_ready).await?;
        Pin::new(&mut self.0).start_send(message).map_err(|error| reason(&error))
    }

    /// Empties the write buffer.
    async fn flush(&mut self, seat: &Seat) -> Result<(), Closed> {
        self.patiently(seat, Sink::poll_flush).await
    }

    /// Waits for the client to take what is written, but only so long, and not when the tracker stops.
    async fn patiently(
        &mut self,
        seat: &Seat,
        mut poll: impl FnMut(
            Pin<&mut WebSocketStream<Watched<S>>>,
            &mut Context<'_>,
        ) -> Poll<Result<(), tungstenite::Error>>,
    ) -> Result<(), Closed> {
        let mut poll = |cx: &mut Context<'_>| {
            poll(Pin::new(&mut self.0), cx).map(|done| done.map_err(|error| reason(&error)))
        };
        if let Poll::Ready(done) = poll_fn(|cx| Poll::Ready(poll(cx))).await {
            return done;
        }
        let waiting = poll_fn(|cx| match seat.queue.poll_close(cx) {
            Poll::Ready(()) => Poll::Ready(Err(Closed::Drained)),
            Poll::Pending => poll(cx),
        });
        // Boxed, since most connections never get here, and its size would be theirs.
        Box::pin(timeout(seat.hub.rules().send_timeout, waiting)).await.unwrap_or(Err(Closed::Stalled))
    }

    /// Says why the connection ends, and ends it. What still comes is thrown away: a socket that is closed with bytes
    /// unread resets the connection, and the client would not learn the reason.
    async fn part(&mut self, frame: CloseFrame) {
        if self.0.close(Some(frame)).await.is_err() {
            return;
        }
        let stream = self.0.get_mut();
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
