//! The page's parts as server-sent events (the HTML standard, section 9.2), for those who have it open.

use super::{View, page};
use axum::body::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use std::time::Duration;
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

/// From tick to tick.
const TICK: Duration = Duration::from_secs(2);
/// What a stream begins with: how long a client waits, once its stream has ended, until it asks for another one.
const BEGINNING: &str = "retry: 2000\n\n";

/// The moments of events.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticks {
    first: Instant,
}

impl Ticks {
    /// They begin now.
    pub(super) fn new() -> Self {
        Self { first: Instant::now() }
    }

    /// Waits for the next one, and tells its number.
    async fn next(self) -> u64 {
        let passed = self.first.elapsed().as_millis() / TICK.as_millis();
        let number = u32::try_from(passed).unwrap_or(u32::MAX - 1) + 1;
        tokio::time::sleep_until(self.first + TICK * number).await;
        number.into()
    }
}

/// The events from now on, for as long as whoever has the stream asks for them; `place` is theirs meanwhile. Who is late for
/// one gets the next one.
pub(super) fn follow(
    ticks: Ticks,
    place: OwnedSemaphorePermit,
    event: impl Fn(u64) -> Bytes + Send + 'static,
) -> BoxStream<'static, Bytes> {
    let beginning = stream::once(async { Bytes::from_static(BEGINNING.as_bytes()) });
    let events = stream::unfold((event, place), move |(event, place)| async move {
        let tick = ticks.next().await;
        Some((event(tick), (event, place)))
    });
    beginning.chain(events).boxed()
}

/// What may have changed by the tick with this number: an event for each part of the page, which is told first.
pub(super) fn render(view: &View, tick: u64) -> String {
    let mut all = String::with_capacity(16 << 10);
    let seconds = tick * TICK.as_secs();
    for part in page::PARTS.iter().filter(|part| seconds.is_multiple_of(part.every)) {
        all.push_str("data: ");
        all.push_str(part.id);
        for line in part.render(view).lines() {
            all.push_str("\ndata: ");
            all.push_str(line);
        }
        all.push_str("\n\n");
    }
    all
}
