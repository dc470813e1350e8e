//! The memory of all connections together.

use super::{
    super::budget::{CONNECTION, MESSAGE},
    Tracker, announce, announced,
    client::{CLOSE, Client, DEADLINE, FIN, TEXT, frame, until, within},
    offers,
};
use crate::ws::{Closed, Lost, Sent, handshake::Refusal};
use tokio::io::{AsyncWriteExt as _, DuplexStream};
use tracker_common::address::Address;
use tracker_core::keys::Pass;

const ROOM: usize = 1 << 20;

/// With memory for so many bytes, and nothing else that would end a connection.
fn tracker(memory: usize) -> Tracker {
    Tracker::new(|websocket| {
        websocket.memory = Some(memory);
        websocket.send_timeout = DEADLINE;
        websocket.idle_timeout = 2 * DEADLINE;
        websocket.ping_interval = DEADLINE;
        websocket.max_messages_per_second = None;
    })
}

fn used(tracker: &Tracker) -> usize {
    tracker.hub.memory().0
}

#[tokio::test]
async fn connections_are_refused_before_they_take_what_messages_need() {
    let tracker = tracker(8 * CONNECTION);
    let clients: Vec<_> = (0..6).map(|host| tracker.connect(host, ROOM)).collect();
    let address = Address::from_ipv4([10, 0, 0, 9]);
    assert_eq!(tracker.hub.enter(address, Pass::default()).map(|_| ()).unwrap_err(), Refusal::Memory);
    assert_eq!((tracker.hub.most_connections(), used(&tracker)), (6, 6 * CONNECTION));
    drop(clients);
    until("all to be gone", || used(&tracker) == 0).await;
    drop(tracker.hub.enter(address, Pass::default()).unwrap());
    assert_eq!(used(&tracker), 0);
}

#[tokio::test]
async fn what_a_message_took_is_given_back_as_soon_as_nothing_is_at_hand() {
    let tracker = tracker(1 << 20);
    let mut client = tracker.connect(1, ROOM);
    for _ in 0..3 {
        let long = announce('a', &offers(&"x".repeat(9_000), 5));
        client.raw(&frame(FIN | TEXT, long.as_bytes())[..1000]).await;
        until("the length to be counted", || used(&tracker) > CONNECTION + 40_000).await;
        client.raw(&frame(FIN | TEXT, long.as_bytes())[1000..]).await;
        assert_eq!(client.hear().await, announced(1));
        until("it to be given back", || used(&tracker) == CONNECTION).await;
    }
}

#[tokio::test]
async fn small_messages_pass_when_there_is_no_memory_left() {
    let tracker = tracker(4 * CONNECTION);
    let mut client = tracker.connect(1, ROOM);
    // Somebody has taken all the rest.
    let rest = "x".repeat(3 * CONNECTION - MESSAGE);
    assert!(tracker.hub.budget().take_message(&rest));
    assert_eq!(client.ask(&announce('a', "")).await, announced(1));
    // A longer one does not, and says so.
    client.say(&announce('a', &offers(&"x".repeat(9_000), 1))).await;
    assert_eq!(client.closed().await, 1013);
    drop(client);
    until("the end", || tracker.hub.connections() == 0).await;
    assert_eq!(tracker.hub.counters().closed.of(Closed::Memory), 1);
}

#[tokio::test]
async fn torrents_of_a_connection_are_counted() {
    let tracker = tracker(2 * CONNECTION);
    let mut client = tracker.connect(1, ROOM);
    let mut torrents = 0;
    let status = loop {
        torrents += 1;
        let hash = format!("{torrents:020}");
        client.say(&announce('a', &format!(r#","info_hash":"{hash}""#))).await;
        let frame = client.next().await.expect("closed without a word");
        if frame.opcode == CLOSE {
            break frame.status();
        }
        assert!(used(&tracker) <= 2 * CONNECTION);
    };
    // Each takes forty bytes, and there is room for about six hundred; the list doubles.
    assert_eq!((status, torrents), (1013, 513));
    drop(client);
    tracker.ended(Closed::Memory).await;
    assert_eq!(used(&tracker), 0);
}

#[tokio::test]
async fn who_does_not_read_lets_go_before_others_want() {
    let tracker = tracker(10 * CONNECTION);
    let mut slow = tracker.connect(1, 256);
    slow.ask(&announce('s', "")).await;
    let mut a = tracker.connect(2, ROOM);
    let offering = announce('a', &offers(&"z".repeat(6_000), 1));
    within("the end of the slow one", async {
        while tracker.hub.counters().closed.of(Closed::Reclaimed) == 0 {
            assert!(a.ask(&offering).await.starts_with(r#"{"action":"announce""#));
            assert!(used(&tracker) <= 10 * CONNECTION);
        }
    })
    .await;
    until("its memory to be free", || used(&tracker) == CONNECTION).await;
    assert_eq!(tracker.counts(), (0, 1));
    // And now others have it.
    let mut b = tracker.connect(3, ROOM);
    b.ask(&announce('b', "")).await;
    a.ask(&offering).await;
    assert!(b.hear().await.contains("zzz"));
    // What waited for it, or would have, is lost and counted.
    let counters = tracker.hub.counters();
    assert!(counters.lost.of(Lost::Gone) + counters.lost.of(Lost::Memory) > 0);
    assert!(counters.sent.of(Sent::Offer) > 0);
}

#[tokio::test]
async fn who_does_not_end_a_message_lets_go_the_longest_first() {
    let tracker = tracker(16 * CONNECTION);
    let long = announce('a', &offers(&"x".repeat(90_000), 1));
    let bytes = frame(FIN | TEXT, long.as_bytes());
    let mut begun: Vec<Client<DuplexStream>> = (1..=3).map(|host| tracker.connect(host, ROOM)).collect();
    let mut fourth = tracker.connect(4, ROOM);
    for (client, number) in begun.iter_mut().zip(1..) {
        client.raw(&bytes[..100]).await;
        until("it to be counted", || used(&tracker) > 4 * CONNECTION + number * 80_000).await;
    }
    // The fourth is one too many, and the first gives way.
    fourth.0.write_all(&bytes[..100]).await.unwrap();
    assert_eq!(fourth.closed().await, 1013);
    until("the first to be gone", || tracker.hub.counters().closed.of(Closed::Reclaimed) == 1).await;
    assert_eq!(begun[0].next().await, None, "without a word, which would have to be kept");
    drop(fourth);
    for client in &mut begun[1..] {
        client.raw(&bytes[100..]).await;
        assert!(client.hear().await.starts_with(r#"{"action":"announce""#));
    }
    let counters = tracker.hub.counters();
    assert_eq!((counters.closed.of(Closed::Memory), counters.closed.of(Closed::Reclaimed)), (1, 1));
    assert!(begun[0].next().await.is_none_or(|frame| frame.opcode != CLOSE));
}
