//! Replies without an end: server-sent events, and who follows them.

use super::*;
use axum::http::HeaderValue;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use std::sync::atomic::{AtomicUsize, Ordering};

const EVENTS: &str = "GET /stats/events HTTP/1.1\r\nHost: t\r\n\r\n";

/// Has an event as often as it is asked for one, or a first one alone.
#[derive(Debug)]
struct Numbers {
    event: Bytes,
    goes_on: bool,
    followed: AtomicUsize,
    most: usize,
}

impl Numbers {
    fn new(event: Bytes, goes_on: bool) -> Self {
        Self { event, goes_on, followed: AtomicUsize::new(0), most: 2 }
    }
}

impl Statistics for Numbers {
    fn page(&self) -> Bytes {
        Bytes::from_static(b"<p>")
    }

    fn policy(&self) -> HeaderValue {
        HeaderValue::from_static("default-src 'none'")
    }

    fn json(&self) -> Bytes {
        Bytes::from_static(b"{}")
    }

    fn follow(self: Arc<Self>) -> Option<BoxStream<'static, Bytes>> {
        (self.followed.fetch_add(1, Ordering::Relaxed) < self.most).then(|| {
            let event = self.event.clone();
            let most = if self.goes_on { usize::MAX } else { 1 };
            stream::repeat(event).take(most).chain(stream::pending()).boxed()
        })
    }
}

/// Reads until this has come.
fn until(client: &mut Client, text: &str) {
    while !client.read.windows(text.len()).any(|window| window == text.as_bytes()) {
        assert!(client.more() > 0, "the end before {text}");
    }
}

#[test]
fn who_awaits_an_event_is_not_silent_and_a_drain_ends_it() {
    let rig = Rig::showing(Numbers::new("data: a\n\n".into(), false), |http| {
        http.request_timeout = Duration::from_millis(100);
        http.idle_timeout = Duration::from_millis(100);
    });
    let mut client = rig.client();
    client.send(EVENTS);
    until(&mut client, "data: a\n\n");
    let head = String::from_utf8_lossy(&client.read).to_lowercase();
    for part in
        ["http/1.1 200 ok\r\n", "content-type: text/event-stream", "no-store", "x-accel-buffering: no"]
    {
        assert!(head.contains(part), "{part} in {head}");
    }
    // Another connection's time passes, and more than once.
    for _ in 0..3 {
        assert!(rig.client().until_end().is_empty());
    }
    rig.until("it is the only one", |counters| counters.connections(false) == 1);
    assert_eq!(rig.counters.closed.of(Closed::IdleTimeout), 0);
    let http = rig.http.clone();
    let drained = rig.runtime.spawn(async move { http.drain().await });
    let rest = client.until_end();
    assert!(rest.ends_with(b"0\r\n\r\n"), "the reply is ended, not cut: {rest:?}");
    rig.runtime.block_on(drained).unwrap();
}

#[test]
fn who_does_not_take_events_is_closed() {
    let rig = Rig::showing(Numbers::new(vec![b'x'; 64 << 10].into(), true), |http| {
        http.idle_timeout = Duration::from_millis(200);
    });
    let mut client = rig.client();
    client.send(EVENTS);
    rig.until("it is closed", |counters| counters.closed.of(Closed::IdleTimeout) == 1);
    rig.until("it is gone", |counters| counters.connections(false) == 0);
    drop(client);
}

#[test]
fn further_ones_are_told_to_come_back() {
    let rig = Rig::showing(Numbers::new("data: a\n\n".into(), false), |_| {});
    let mut clients = [rig.client(), rig.client()];
    for client in &mut clients {
        client.send(EVENTS);
        until(client, "data: a\n\n");
    }
    let mut third = rig.client();
    let reply = third.ask(EVENTS);
    assert_eq!((reply.status(), reply.header("retry-after")), (503, Some("10")), "{reply:?}");
    assert_eq!(third.ask(get("/stats")).status(), 200, "the connection is kept, and the page is there");
    assert_eq!(rig.answered(Action::Stats, Outcome::Rejected), 1);
}
