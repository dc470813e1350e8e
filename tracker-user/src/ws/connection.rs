//! The life of one connection: a task that reads messages, takes relays from its queue, and keeps time.

use super::{
    counters::{Closed, Lost, Sent},
    hub::{Hub, Seat},
    queue::Next,
    rules::Rules,
    socket::Socket,
};
use crate::clock::seconds;
use std::{cell::RefCell, convert::Infallible, future::poll_fn, pin::pin, task::Poll, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, sleep, timeout},
};
use tokio_tungstenite::tungstenite::{
    Bytes, Message, Utf8Bytes,
    protocol::{CloseFrame, frame::coding::CloseCode},
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
/// How long a client may take to end a connection that is being closed.
const FAREWELL: Duration = Duration::from_secs(1);

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
        Closed::Client | Closed::Stalled | Closed::Reclaimed => return None,
        Closed::Oversize => (CloseCode::Size, "message too large"),
        Closed::Protocol => (CloseCode::Protocol, "not WebSocket as it should be"),
        Closed::Flood => (CloseCode::Policy, "too many messages"),
        Closed::Idle => (CloseCode::Policy, "no sign of life, or no end of a message"),
        Closed::Memory => (CloseCode::Again, "no memory for this"),
        Closed::Drained => (CloseCode::Away, "the tracker is stopping"),
        Closed::Banned => (CloseCode::Policy, "your network is banned from this tracker"),
        Closed::Key => (CloseCode::Policy, "this tracker needs a key that it knows"),
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
        let more = poll_fn(|cx| Poll::Ready(socket.poll(seat, alarm.as_mut(), cx))).await;
        if turns > 0 && (more.is_pending() || turns == TURNS) {
            socket.flush(seat).await?;
            turns = 0;
        }
        let at_hand = match more {
            Poll::Ready(at_hand) => at_hand,
            Poll::Pending => {
                if socket.is_large() {
                    // Boxed, since its size would be every connection's.
                    Box::pin(socket.renew(seat)).await;
                }
                poll_fn(|cx| socket.poll(seat, alarm.as_mut(), cx)).await
            }
        };
        turns += 1;
        if at_hand.wanted {
            return Err(Closed::Reclaimed);
        }
        if let Some(message) = at_hand.message {
            let message = message.ok_or(Closed::Client)?.map_err(|error| socket.reason(&error))?;
            // Before it is acted on, so that no reply waits where nobody counts it.
            socket.ready(seat).await?;
            let reply = seat.receive(&message, &mut signs)?;
            // Its memory is the read buffer's, which can be used again.
            drop(message);
            if let Some(reply) = reply
                && !socket.put(Message::text(reply))?
            {
                seat.hub.counters().lost.add(Lost::Memory);
            }
        }
        if at_hand.relays {
            deliver(seat, socket).await?;
        }
        if at_hand.alarm {
            let (ask, again) = signs.judge(socket.begun_ns(), seat.hub.now_ns(), seat.hub.rules())?;
            if ask {
                seat.hub.counters().sent.add(Sent::Ping);
                socket.ready(seat).await?;
                socket.put(Message::Ping(Bytes::new()))?;
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
        // While it has to wait, the message does so in the queue.
        socket.ready(seat).await?;
        let relay = match seat.queue.next() {
            Next::Relay(relay) => relay,
            Next::Empty => break,
            Next::Close(why) => return Err(why),
        };
        let kind = if matches!(relay, Relay::Offer { .. }) { Sent::Offer } else { Sent::Answer };
        let text = seat.peer.deliver(relay, &seat.hub.rules().signal, now);
        match socket.put(Message::text(text)) {
            Ok(true) => seat.hub.counters().sent.add(kind),
            Ok(false) => seat.hub.counters().lost.add(Lost::Memory),
            Err(closed) => {
                seat.hub.counters().lost.add(Lost::Gone);
                return Err(closed);
            }
        }
    }
    Ok(())
}

impl Seat {
    /// Takes a message from the client; gives the reply.
    fn receive(&mut self, message: &Message, signs: &mut SignsOfLife) -> Result<Option<String>, Closed> {
        let Self { hub, peer, holding, node_relays, .. } = self;
        let now_ns = hub.now_ns();
        signs.heard_ns = now_ns;
        if matches!(message, Message::Text(_) | Message::Binary(_) | Message::Ping(_)) {
            signs.count(seconds(now_ns), hub.rules().bounds.messages_per_second)?;
        }
        DESK.with_borrow_mut(|desk| {
            let desk = desk.get_or_insert_with(|| Desk { rng: hub.generator(), out: Outbox::default() });
            let Desk { rng, out } = desk;
            let received = match message {
                Message::Text(text) => {
                    peer.receive(text, hub.engine(), &hub.rules().signal, now_ns, rng, out)
                }
                Message::Binary(_) => ws::refuse_binary(out),
                Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => {
                    return Ok(None);
                }
            };
            note(hub, received);
            if let Some(why) = out.not_kept {
                hub.counters().not_kept.add(why);
            }
            if let Some(software) = out.software {
                hub.counters().software.add(software);
            }
            for (to, relay) in out.relays.drain(..) {
                hub.relay(to, relay);
            }
            for (node, message) in out.far.drain(..) {
                hub.relay_far(node_relays, now_ns, node, message);
            }
            if holding.set(peer.memory()) { Ok(out.reply.take()) } else { Err(Closed::Memory) }
        })
    }
}

fn note(hub: &Hub, received: Received) {
    let counters = hub.counters();
    counters.received.add(received.kind);
    match (received.outcome, received.kind) {
        (Outcome::Unroutable, _) => counters.lost.add(Lost::Unroutable),
        (Outcome::Failed, _) => counters.sent.add(Sent::Failure),
        (Outcome::RateLimited, _) => counters.sent.add(Sent::RateLimited),
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
