//! What is dropped, and for what reason.

use super::*;

#[test]
fn what_is_short_or_unknown_is_dropped() {
    let mut tracker = Tracker::new();
    let announce = TAIL.from("10.0.0.1");
    for length in 0..98 {
        let cut = Datagram { length, ..announce.clone() };
        assert_eq!(tracker.answer(cut), Err(DropReason::Malformed), "{length}");
    }
    let scrape = request("10.0.0.1", 1, 2, &[7; 19]);
    assert_eq!(tracker.answer(scrape), Err(DropReason::Malformed));
    for action in [0, 3, 4, 0x0100_0000, u32::MAX] {
        let unknown = request("10.0.0.1", 1, action, &TAIL.bytes());
        assert_eq!(tracker.answer(unknown), Err(DropReason::Malformed), "{action}");
    }
    let nearly = vec![0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x81, 0, 0, 0, 0, 1, 2, 3, 4];
    assert_eq!(tracker.answer(datagram("10.0.0.1", 1, nearly)), Err(DropReason::Malformed));
    assert_eq!(tracker.engine.totals().torrents, 0);
}

#[test]
fn a_forged_id_is_dropped_unless_the_kernel_has_checked_it() {
    let mut tracker = Tracker::new();
    for action in [1, 2] {
        let good = request("10.0.0.1", 1, action, &TAIL.bytes());
        for bit in 0..64 {
            let mut forged = good.clone();
            forged.frame[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(tracker.answer(forged.clone()), Err(DropReason::BadConnectionId), "bit {bit}");
            assert!(tracker.answer(Datagram { verified: true, ..forged }).is_ok());
        }
        assert!(tracker.answer(good).is_ok());
    }
}

#[test]
fn an_id_expires() {
    let mut tracker = Tracker::new();
    for (seconds, lives) in [(0, true), (120, true), (190, false)] {
        let mut frames = Frames(vec![TAIL.from("10.0.0.1")]);
        tracker.responder.handle_batch(&tracker.engine, NOW + seconds * 1_000_000_000, &mut frames);
        let dropped = frames.0[0].outcome == Some(Outcome::Drop(DropReason::BadConnectionId));
        assert_eq!(!dropped, lives, "{seconds}");
    }
}

#[test]
fn a_source_in_a_banned_network_is_dropped_unless_the_program_has_let_it_through() {
    let networks = ["10.0.0.0/30", "2001:db8::/64"].map(|text| Network::parse(text).unwrap().network);
    let banned = Banned::new(Arc::new(networks.into_iter().collect()), Arc::default());
    let mut tracker =
        Tracker::with(ResponderConfig::default(), policy(Admission { banned, ..Admission::default() }));
    let connect = vec![0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0, 9, 8, 7, 6];
    for (ip, is_banned) in
        [("10.0.0.3", true), ("10.0.0.4", false), ("2001:db8::ffff", true), ("2001:db8:0:1::1", false)]
    {
        let requests = [
            datagram(ip, 5, connect.clone()),
            TAIL.from(ip),
            request(ip, 5, 2, &[7; 20]),
            datagram(ip, 5, vec![]),
        ];
        for request in requests {
            let outcome = tracker.answer(request);
            assert_eq!(outcome == Err(DropReason::Banned), is_banned, "{ip}: {outcome:?}");
        }
        assert!(tracker.answer(Datagram { verified: true, ..TAIL.from(ip) }).is_ok(), "{ip}");
    }
}

#[test]
fn sources_that_cannot_be_answered_are_dropped() {
    let mut tracker = Tracker::new();
    for ip in
        ["0.0.0.0", "224.0.0.1", "255.255.255.255", "127.0.0.1", "::", "::1", "ff02::1", "::ffff:127.0.0.1"]
    {
        assert_eq!(tracker.answer(TAIL.from(ip)), Err(DropReason::BadSource), "{ip}");
    }
    for ip in ["127.0.0.1", "::1"] {
        assert!(tracker.answer(Datagram { on_loopback: true, ..TAIL.from(ip) }).is_ok(), "{ip}");
    }
    assert_eq!(
        tracker.answer(Datagram { source_port: 0, ..TAIL.from("10.0.0.1") }),
        Err(DropReason::BadSource)
    );
}

#[test]
fn a_peer_on_port_zero_is_dropped() {
    let mut tracker = Tracker::new();
    assert_eq!(tracker.answer(Tail { port: 0, ..TAIL }.from("10.0.0.1")), Err(DropReason::BadPort));
    assert_eq!(tracker.engine.totals().torrents, 0);
}

#[test]
fn a_buffer_too_small_is_dropped_and_not_overrun() {
    let config = ResponderConfig { max_datagram: 7, ..ResponderConfig::default() };
    let mut tracker = Tracker::with(config, Policy::default());
    assert_eq!(tracker.answer(TAIL.from("10.0.0.1")), Err(DropReason::NoBuffer));
    assert_eq!(tracker.answer(request("10.0.0.1", 1, 2, &[7; 20])), Err(DropReason::NoBuffer));
    let connect = vec![0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0, 9, 8, 7, 6];
    assert_eq!(tracker.answer(datagram("10.0.0.1", 5, connect)), Err(DropReason::NoBuffer));
    let config = ResponderConfig { max_datagram: 33, ..ResponderConfig::default() };
    let mut tracker = Tracker::with(config, Policy::default());
    tracker.fill(Family::Ipv4, 9);
    assert_eq!(tracker.answer(TAIL.from("10.0.9.1")).unwrap().len(), 32);
}

/// Announces and scrapes count together, connects apart, forged ones and those that the XDP program has counted not at all.
#[test]
fn a_network_that_asks_too_often_is_dropped() {
    let mut rates = [Rate::NONE; Kind::ALL.len()];
    rates[Kind::UdpRequests as usize] = Rate::new(1, 3);
    rates[Kind::UdpConnects as usize] = Rate::new(1, 1);
    let mut tracker =
        Tracker::with(ResponderConfig::default(), policy(Admission { rates, ..Admission::default() }));
    let connect =
        |ip: &str| datagram(ip, 5, b"\0\0\x04\x17\x27\x10\x19\x80\0\0\0\0\x09\x08\x07\x06".to_vec());
    let forged = |ip: &str| {
        let mut datagram = TAIL.from(ip);
        datagram.frame[0] ^= 1;
        datagram
    };
    for _ in 0..9 {
        assert_eq!(tracker.answer(forged("192.0.2.1")), Err(DropReason::BadConnectionId));
    }
    assert!(tracker.answer(connect("192.0.2.1")).is_ok());
    assert_eq!(tracker.answer(connect("192.0.2.1")), Err(DropReason::RateLimited));
    assert!(tracker.answer(TAIL.from("192.0.2.1")).is_ok());
    assert!(tracker.answer(request("192.0.2.1", 1, 2, &[7; 20])).is_ok());
    assert!(tracker.answer(TAIL.from("192.0.2.1")).is_ok());
    assert_eq!(tracker.answer(TAIL.from("192.0.2.1")), Err(DropReason::RateLimited));
    assert_eq!(tracker.answer(request("192.0.2.1", 1, 2, &[7; 20])), Err(DropReason::RateLimited));
    let counted_already = Datagram { verified: true, ..TAIL.from("192.0.2.1") };
    assert!(tracker.answer(counted_already).is_ok());
    assert!(tracker.answer(TAIL.from("192.0.2.2")).is_ok());
    for (host, answered) in [(1, true), (2, true), (0xffff, true), (3, false)] {
        let reply = tracker.answer(TAIL.from(&format!("2001:db8:0:1::{host:x}")));
        assert_eq!(reply.is_ok(), answered, "{host}");
    }
    assert!(tracker.answer(TAIL.from("2001:db8:0:2::1")).is_ok());
}
