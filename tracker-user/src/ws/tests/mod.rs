mod client;
mod elsewhere;
mod keys;
mod loopback;
mod memory;

use super::{Closed, Hub, Lost, Sent, connection, handshake::Refusal};
use crate::{
    clock::Clock,
    config::{self, Config},
};
use client::{BINARY, CLOSE, Client, FIN, PING, PONG, TEXT, frame, until, within};
use std::{sync::Arc, time::Duration};
use tokio::io::{AsyncWriteExt as _, DuplexStream, duplex};
use tracker_common::address::Address;
use tracker_core::{
    admission::Admission, engine::Engine, keys::Pass, model::InfoHash, policy::Policy, ws::Kind,
};

const HASH: &str = "aaaaaaaaaaaaaaaaaaaa";
const SCRAPE: &str = r#"{"action":"scrape","info_hash":"aaaaaaaaaaaaaaaaaaaa"}"#;
const ROOM: usize = 1 << 16;

struct Tracker {
    engine: Arc<Engine>,
    hub: Arc<Hub>,
}

impl Tracker {
    fn new(change: impl FnOnce(&mut config::Websocket)) -> Self {
        let mut config = Config::default().websocket;
        change(&mut config);
        let admission = Admission { interval_jitter: 0, ..Admission::default() };
        let engine = Arc::new(Engine::new(Policy { admission, ..Policy::default() }, [1, 2]));
        let most = config.max_connections.unwrap_or(100);
        let hub = Hub::new(&config, most, engine.clone(), Clock::new(1 << 60), [3, 4], [5, 6]);
        Self { engine, hub }
    }

    /// A client at 10.0.0.`host`, behind a pipe with room for so many bytes each way.
    fn connect(&self, host: u8, room: usize) -> Client<DuplexStream> {
        self.connect_by("", host, room)
    }

    /// One that came by this path.
    fn connect_by(&self, path: &str, host: u8, room: usize) -> Client<DuplexStream> {
        let pass = Pass::of_path(path.as_bytes());
        let seat = self.hub.enter(Address::from_ipv4([10, 0, 0, host]), pass).unwrap();
        let (ours, theirs) = duplex(room);
        tokio::spawn(connection::run(seat, ours));
        Client(theirs)
    }

    /// Complete and incomplete.
    fn counts(&self) -> (u32, u32) {
        let counts = self.engine.scrape(&InfoHash([b'a'; 20]));
        (counts.complete, counts.incomplete)
    }

    async fn ended(&self, reason: Closed) {
        until("the end", || self.hub.connections() == 0).await;
        assert_eq!(self.hub.counters().closed.of(reason), 1);
        assert_eq!(self.engine.totals().torrents, 0, "still in a torrent");
    }
}

fn announce(peer: char, more: &str) -> String {
    let peer: String = [peer; 20].iter().collect();
    format!(r#"{{"action":"announce","info_hash":"{HASH}","peer_id":"{peer}"{more}}}"#)
}

fn offers(sdp: &str, count: usize) -> String {
    let offer = |number| format!(r#"{{"offer":{{"sdp":"{sdp}"}},"offer_id":"{number:020}"}}"#);
    format!(r#","offers":[{}]"#, (0..count).map(offer).collect::<Vec<_>>().join(","))
}

fn announced(incomplete: u32) -> String {
    format!(
        r#"{{"action":"announce","info_hash":"{HASH}","interval":120,"complete":0,"incomplete":{incomplete}}}"#
    )
}

#[tokio::test]
async fn an_offer_and_its_answer_cross_the_tracker() {
    let tracker = Tracker::new(|_| ());
    let (mut a, mut b) = (tracker.connect(1, ROOM), tracker.connect(2, ROOM));
    assert_eq!(a.ask(&announce('a', "")).await, announced(1));
    assert_eq!(b.ask(&announce('b', &offers("x", 3))).await, announced(2));
    assert_eq!(
        a.hear().await,
        r#"{"action":"announce","info_hash":"aaaaaaaaaaaaaaaaaaaa","peer_id":"bbbbbbbbbbbbbbbbbbbb","offer_id":"00000000000000000000","offer":{"sdp":"x"}}"#
    );
    let to = r#","to_peer_id":"bbbbbbbbbbbbbbbbbbbb","offer_id":"00000000000000000000","answer":{"sdp":"y"}"#;
    a.say(&announce('a', to)).await;
    assert_eq!(
        b.hear().await,
        r#"{"action":"announce","info_hash":"aaaaaaaaaaaaaaaaaaaa","peer_id":"aaaaaaaaaaaaaaaaaaaa","offer_id":"00000000000000000000","answer":{"sdp":"y"}}"#
    );
    // A second answer to it goes nowhere, and the connection stays.
    a.say(&announce('a', to)).await;
    assert!(a.ask(SCRAPE).await.contains(r#""incomplete":2"#));
    let counters = tracker.hub.counters();
    assert_eq!(Kind::ALL.map(|kind| counters.received.of(kind)), [2, 2, 1, 0]);
    assert_eq!(Sent::ALL.map(|kind| counters.sent.of(kind)), [2, 1, 0, 0, 1, 1, 0]);
    assert_eq!(Lost::ALL.map(|reason| counters.lost.of(reason)), [0, 0, 1, 0, 0, 0]);
    assert_eq!(tracker.hub.connections(), 2);
}

#[tokio::test]
async fn what_is_no_request_is_a_failure_and_the_connection_stays() {
    let tracker = Tracker::new(|_| ());
    let mut client = tracker.connect(1, ROOM);
    assert_eq!(client.ask("hello").await, r#"{"failure reason":"message: not valid JSON"}"#);
    client.raw(&frame(FIN | BINARY, b"\x00\xff")).await;
    assert_eq!(client.hear().await, r#"{"failure reason":"message: not a text frame"}"#);
    assert_eq!(client.ask(&announce('a', "")).await, announced(1));
    assert_eq!(tracker.hub.counters().received.of(Kind::Malformed), 2);
    assert_eq!(tracker.hub.counters().sent.of(Sent::Failure), 2);
}

#[tokio::test]
async fn fragments_make_a_message_and_pings_may_come_between() {
    let tracker = Tracker::new(|_| ());
    let mut client = tracker.connect(1, ROOM);
    let text = announce('a', "");
    let (one, rest) = text.as_bytes().split_at(10);
    let (two, three) = rest.split_at(20);
    client.raw(&frame(TEXT, one)).await;
    client.raw(&frame(FIN | PING, b"between")).await;
    let pong = client.next().await.unwrap();
    assert_eq!((pong.opcode, pong.payload.as_slice()), (PONG, &b"between"[..]));
    client.raw(&frame(0, two)).await;
    client.raw(&frame(FIN, three)).await;
    assert_eq!(client.hear().await, announced(1));
}

#[tokio::test]
async fn messages_in_one_segment_and_a_byte_at_a_time() {
    let tracker = Tracker::new(|_| ());
    let mut client = tracker.connect(1, 1 << 20);
    let many: Vec<u8> = (0..500).flat_map(|_| frame(FIN | TEXT, SCRAPE.as_bytes())).collect();
    client.raw(&many).await;
    for byte in frame(FIN | TEXT, announce('a', "").as_bytes()) {
        client.raw(&[byte]).await;
    }
    for _ in 0..500 {
        assert!(client.hear().await.starts_with(r#"{"action":"scrape""#));
    }
    assert_eq!(client.hear().await, announced(1));
}

#[tokio::test]
async fn the_largest_message_passes_and_a_larger_one_closes() {
    let tracker = Tracker::new(|websocket| websocket.max_message_size = 4096);
    let mut client = tracker.connect(1, ROOM);
    client.ask(&announce('a', "")).await;
    let padded = |length| format!("{SCRAPE:length$}");
    assert!(client.ask(&padded(4096)).await.starts_with(r#"{"action":"scrape""#));
    client.say(&padded(4097)).await;
    assert_eq!(client.closed().await, 1009);
    drop(client);
    tracker.ended(Closed::Oversize).await;

    // The same in fragments, and a length that is announced alone.
    let tracker = Tracker::new(|websocket| websocket.max_message_size = 4096);
    let mut client = tracker.connect(1, ROOM);
    client.raw(&frame(TEXT, &[b' '; 3000])).await;
    client.raw(&frame(FIN, &[b' '; 3000])).await;
    assert_eq!(client.closed().await, 1009);
    drop(client);
    tracker.ended(Closed::Oversize).await;
    let tracker = Tracker::new(|_| ());
    let mut client = tracker.connect(1, ROOM);
    client.raw(&[FIN | TEXT, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]).await;
    assert_eq!(client.closed().await, 1009);
}

#[tokio::test]
async fn breaking_the_rules_closes() {
    let unmasked = [FIN | TEXT, 2, b'{', b'}'];
    let reserved = frame(FIN | 3, b"");
    let compressed = frame(FIN | 0x40 | TEXT, b"{}");
    let not_utf8 = frame(FIN | TEXT, b"\xc3\x28");
    let stray_end = frame(FIN, b"{}");
    let long_ping = frame(FIN | PING, &[0; 126]);
    for bytes in [&unmasked[..], &reserved, &compressed, &not_utf8, &stray_end, &long_ping] {
        let tracker = Tracker::new(|_| ());
        let mut client = tracker.connect(1, ROOM);
        client.ask(&announce('a', "")).await;
        client.raw(bytes).await;
        assert_eq!(client.closed().await, 1002, "{bytes:x?}");
        drop(client);
        tracker.ended(Closed::Protocol).await;
    }
}

#[tokio::test]
async fn a_client_may_close_in_every_way() {
    let tracker = Tracker::new(|_| ());
    let mut client = tracker.connect(1, ROOM);
    client.ask(&announce('a', "")).await;
    client.raw(&frame(FIN | CLOSE, &1000_u16.to_be_bytes())).await;
    assert_eq!(client.closed().await, 1000);
    tracker.ended(Closed::Client).await;

    let tracker = Tracker::new(|_| ());
    let mut client = tracker.connect(1, ROOM);
    client.ask(&announce('a', "")).await;
    // Half a frame, and nothing more is ever written.
    client.raw(&[FIN | TEXT]).await;
    client.0.shutdown().await.unwrap();
    tracker.ended(Closed::Client).await;

    let tracker = Tracker::new(|_| ());
    let mut client = tracker.connect(1, ROOM);
    client.ask(&announce('a', "")).await;
    drop(client);
    tracker.ended(Closed::Client).await;
}

#[tokio::test]
async fn a_flood_closes() {
    let tracker = Tracker::new(|websocket| websocket.max_messages_per_second = Some(10));
    let mut client = tracker.connect(1, ROOM);
    client.ask(&announce('a', "")).await;
    // So many that one second has more than ten, wherever it begins.
    for _ in 0..30 {
        client.say(SCRAPE).await;
    }
    assert_eq!(client.closed().await, 1008);
    drop(client);
    tracker.ended(Closed::Flood).await;
}

#[tokio::test]
async fn a_flood_of_frames_that_are_no_messages_closes() {
    for (begin, flood) in [
        (&[][..], frame(FIN | PONG, b"")),
        (&frame(TEXT, b"{"), frame(0, b"")),
        (&[], frame(FIN | PONG, b"x")),
    ] {
        let tracker = Tracker::new(|websocket| websocket.max_messages_per_second = Some(10));
        let mut client = tracker.connect(1, ROOM);
        client.ask(&announce('a', "")).await;
        client.raw(begin).await;
        // So many that one second has more than a hundred, wherever it begins.
        client.raw(&flood.repeat(300)).await;
        assert_eq!(client.closed().await, 1008);
        drop(client);
        tracker.ended(Closed::Flood).await;
    }
}

#[tokio::test]
async fn a_message_that_never_ends_closes_though_pings_are_answered() {
    let tracker = Tracker::new(|websocket| {
        websocket.ping_interval = Duration::from_millis(50);
        websocket.idle_timeout = Duration::from_millis(500);
    });
    let mut client = tracker.connect(1, ROOM);
    client.ask(&announce('a', "")).await;
    client.raw(&frame(TEXT, b"{")).await;
    let status = within("the end", async {
        loop {
            let next = client.next().await.expect("closed without a word");
            if next.opcode == CLOSE {
                return next.status();
            }
            // It may have been closed meanwhile.
            let _ = client.0.write_all(&frame(FIN | PONG, b"")).await;
        }
    });
    assert_eq!(status.await, 1008);
    drop(client);
    tracker.ended(Closed::Idle).await;
}

#[tokio::test]
async fn who_gives_no_sign_of_life_is_asked_and_then_closed() {
    let tracker = Tracker::new(|websocket| {
        websocket.ping_interval = Duration::from_millis(50);
        websocket.idle_timeout = Duration::from_millis(500);
    });
    let mut client = tracker.connect(1, ROOM);
    client.ask(&announce('a', "")).await;
    assert_eq!(client.next().await.unwrap().opcode, PING);
    assert_eq!(client.closed().await, 1008);
    drop(client);
    tracker.ended(Closed::Idle).await;
    assert!(tracker.hub.counters().sent.of(Sent::Ping) > 0);
}

#[tokio::test]
async fn who_answers_pings_stays() {
    let tracker = Tracker::new(|websocket| {
        websocket.ping_interval = Duration::from_millis(100);
        websocket.idle_timeout = Duration::from_secs(2);
    });
    let mut client = tracker.connect(1, ROOM);
    client.ask(&announce('a', "")).await;
    // Three seconds at least, which is longer than the timeout.
    for _ in 0..30 {
        assert_eq!(client.next().await.unwrap().opcode, PING);
        client.raw(&frame(FIN | PONG, b"")).await;
    }
    assert_eq!(tracker.counts(), (0, 1));
}

#[tokio::test]
async fn nothing_is_lost_where_a_quiet_connection_gives_its_buffers_back() {
    let tracker = Tracker::new(|websocket| {
        websocket.ping_interval = Duration::from_millis(50);
        websocket.idle_timeout = client::DEADLINE;
    });
    let mut client = tracker.connect(1, ROOM);
    let large = announce('a', &offers(&"x".repeat(2000), 5));
    let bytes = frame(FIN | TEXT, large.as_bytes());
    let (some, fragment) = (&bytes[..3000], frame(TEXT, &large.as_bytes()[..6000]));
    // Between messages, within a frame, and between the frames of a message.
    for (before, after) in [
        (&[][..], &bytes[..]),
        (some, &bytes[some.len()..]),
        (&fragment, &frame(FIN, &large.as_bytes()[6000..])),
    ] {
        assert_eq!(client.ask(&large).await, announced(1));
        client.raw(before).await;
        for _ in 0..2 {
            assert_eq!(client.next().await.unwrap().opcode, PING);
        }
        client.raw(after).await;
        assert_eq!(client.hear().await, announced(1));
    }
}

#[tokio::test]
async fn who_reads_slowly_loses_messages_and_then_its_connection_and_stalls_nobody() {
    let tracker = Tracker::new(|websocket| {
        websocket.queue_messages = 4;
        websocket.send_timeout = Duration::from_millis(500);
    });
    let mut slow = tracker.connect(1, 1024);
    slow.ask(&announce('s', "")).await;
    let (mut a, mut b) = (tracker.connect(2, ROOM), tracker.connect(3, ROOM));
    b.ask(&announce('b', "")).await;
    let sdp = "z".repeat(900);
    // Offers go to the slow one and to b, until the slow one is gone.
    let mut offered = 0;
    within("the end of the slow one", async {
        while tracker.hub.counters().closed.of(Closed::Stalled) == 0 {
            let reply = a.ask(&announce('a', &offers(&sdp, 2))).await;
            assert!(reply.starts_with(r#"{"action":"announce""#));
            assert!(b.hear().await.contains(&sdp));
            offered += 1;
        }
    })
    .await;
    until("it to be gone", || tracker.hub.connections() == 2).await;
    assert_eq!(tracker.counts(), (0, 2));
    let counters = tracker.hub.counters();
    assert!(counters.lost.of(Lost::QueueFull) > 0, "{offered}");
    // Each announce has an offer for both; the slow one may have gone before the last.
    let lost: u64 = Lost::ALL.iter().map(|reason| counters.lost.of(*reason)).sum();
    let unseen = 2 * offered - counters.sent.of(Sent::Offer) - lost;
    assert!(unseen <= 1, "{unseen} of {offered}");
}

#[tokio::test]
async fn bytes_that_wait_are_limited_too() {
    let tracker = Tracker::new(|websocket| {
        websocket.queue_messages = 1000;
        websocket.queue_size = 4000;
        websocket.send_timeout = client::DEADLINE;
    });
    let mut slow = tracker.connect(1, 256);
    slow.ask(&announce('s', "")).await;
    let mut a = tracker.connect(2, ROOM);
    let sdp = "z".repeat(900);
    // The pipe and the write buffer take some, then at most four of a thousand bytes wait.
    for _ in 0..40 {
        a.ask(&announce('a', &offers(&sdp, 1))).await;
    }
    assert!(tracker.hub.counters().lost.of(Lost::QueueFull) > 0);
}

#[tokio::test]
async fn a_takeover_leaves_the_displaced_connection_open() {
    let tracker = Tracker::new(|_| ());
    let (mut old, mut new) = (tracker.connect(1, ROOM), tracker.connect(1, ROOM));
    let mut stranger = tracker.connect(2, ROOM);
    old.ask(&announce('a', "")).await;
    assert_eq!(
        stranger.ask(&announce('a', "")).await,
        r#"{"action":"announce","info_hash":"aaaaaaaaaaaaaaaaaaaa","failure reason":"peer ID is in use by another client"}"#
    );
    assert_eq!(new.ask(&announce('a', "")).await, announced(1));
    assert!(old.ask(SCRAPE).await.contains(r#""incomplete":1"#));
    // Offers for it go to the new connection, and the end of the old one changes nothing.
    stranger.ask(&announce('b', &offers("x", 1))).await;
    assert!(new.hear().await.contains(r#""offer":"#));
    drop(old);
    until("the end", || tracker.hub.connections() == 2).await;
    assert_eq!(tracker.counts(), (0, 2));
}

#[tokio::test]
async fn a_drain_closes_all_and_admits_none() {
    let tracker = Tracker::new(|websocket| websocket.send_timeout = client::DEADLINE);
    let mut clients = [tracker.connect(1, ROOM), tracker.connect(2, ROOM)];
    clients[0].ask(&announce('a', "")).await;
    // One that reads nothing, with a message on its way.
    let mut stuck = tracker.connect(3, 64);
    stuck.say(&announce('s', "")).await;
    until("the announce", || tracker.counts() == (0, 2)).await;
    let hub = tracker.hub.clone();
    let drain = tokio::spawn(async move { hub.drain().await });
    for client in &mut clients {
        assert_eq!(client.closed().await, 1001);
    }
    drop(clients);
    within("the drain", drain).await.unwrap();
    let address = Address::from_ipv4([10, 0, 0, 9]);
    assert_eq!(tracker.hub.enter(address, Pass::default()).map(|_| ()).unwrap_err(), Refusal::Draining);
    assert_eq!((tracker.hub.connections(), tracker.engine.totals().torrents), (0, 0));
    assert_eq!(tracker.hub.counters().closed.of(Closed::Drained), 3);
    // Nothing is left to wait for.
    within("a second drain", tracker.hub.drain()).await;
    drop(stuck);
}

#[tokio::test]
async fn there_are_no_more_connections_than_there_may_be() {
    let tracker = Tracker::new(|websocket| websocket.max_connections = Some(2));
    let (first, _second) = (tracker.connect(1, ROOM), tracker.connect(2, ROOM));
    let address = Address::from_ipv4([10, 0, 0, 9]);
    assert_eq!(tracker.hub.enter(address, Pass::default()).map(|_| ()).unwrap_err(), Refusal::Full);
    drop(first);
    until("room", || tracker.hub.connections() == 1).await;
    drop(tracker.hub.enter(address, Pass::default()).unwrap());
    assert_eq!(tracker.hub.connections(), 1);
}

#[tokio::test]
async fn a_task_that_is_killed_leaves_every_torrent() {
    let tracker = Tracker::new(|_| ());
    let seat = tracker.hub.enter(Address::from_ipv4([10, 0, 0, 1]), Pass::default()).unwrap();
    let (ours, theirs) = duplex(ROOM);
    let task = tokio::spawn(connection::run(seat, ours));
    let mut client = Client(theirs);
    client.ask(&announce('a', "")).await;
    task.abort();
    until("the end", || tracker.hub.connections() == 0).await;
    assert_eq!(tracker.engine.totals().torrents, 0);
}

/// Most of an idle connection's memory is its task.
#[tokio::test]
async fn the_task_of_a_connection_is_small() {
    let tracker = Tracker::new(|_| ());
    let seat = tracker.hub.enter(Address::from_ipv4([10, 0, 0, 1]), Pass::default()).unwrap();
    let (ours, _theirs) = duplex(64);
    let size = size_of_val(&connection::run(seat, ours));
    assert!(size <= 2048, "{size}");
}
