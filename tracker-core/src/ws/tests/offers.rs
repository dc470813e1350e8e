//! Offers find a peer, and answers their way back.

use super::*;

#[test]
fn an_offer_goes_to_a_peer_and_its_answer_comes_back() {
    let mut world = World::new(2);
    world.send(0, &announce(HASH, "0", ""));
    // Spaces, member order and escapes of the offer stay as they are.
    let json = r#"{ "sdp" :"v=0\r\né", "type":"offer","x":[1.0, 1e2]}"#;
    let text = announce(HASH, "1", &format!(r#","offers":[{{"offer_id":"{:o>20}","offer": {json} }}]"#, 1));
    let mut got = world.send(1, &text);
    let (to, relay) = got.relays.remove(0);
    assert_eq!((to, got.relays.len()), (0, 0));
    let text = world.deliver(0, relay);
    let expected = format!(
        r#"{{"action":"announce","info_hash":"{HASH}","peer_id":"{:p>20}","offer_id":"{:o>20}","offer":{json}}}"#,
        1, 1
    );
    assert_eq!(text, expected);

    let mut got = world.send(0, &answer(HASH, "0", "1", "1"));
    assert_eq!(got.received, Received { kind: Kind::Answer, outcome: Outcome::Done });
    assert_eq!((got.reply.as_str(), got.relays.len()), ("", 1));
    let (to, relay) = got.relays.remove(0);
    assert_eq!(to, 1);
    assert_eq!(
        world.deliver(1, relay),
        format!(
            r#"{{"action":"announce","info_hash":"{HASH}","peer_id":"{:p>20}","offer_id":"{:o>20}","answer":{{"type":"answer","sdp":"v=0\r\n"}}}}"#,
            0, 1
        )
    );
    // Once.
    let got = world.send(0, &answer(HASH, "0", "1", "1"));
    assert_eq!(got.received, Received { kind: Kind::Answer, outcome: Outcome::Unroutable });
    assert_eq!((got.reply.as_str(), got.relays.len()), ("", 0));
}

#[test]
fn an_answer_to_what_was_not_offered_goes_nowhere() {
    for text in [
        answer(OTHER, "0", "1", "1"),
        answer(HASH, "2", "1", "1"),
        answer(HASH, "0", "2", "1"),
        answer(HASH, "0", "1", "2"),
    ] {
        let mut world = World::new(3);
        world.send(0, &announce(HASH, "0", ""));
        let got = world.send(1, &announce(HASH, "1", &offers(&["1"])));
        // An offer that has not been delivered cannot be answered, nor by another client.
        let real = answer(HASH, "0", "1", "1");
        assert_eq!(world.send(0, &real).received.outcome, Outcome::Unroutable);
        world.deliver(0, got.relays[0].1.clone());
        assert_eq!(world.send(2, &real).received.outcome, Outcome::Unroutable);
        assert_eq!(world.send(0, &text).received.outcome, Outcome::Unroutable, "{text}");
        assert_eq!(world.send(0, &real).received.outcome, Outcome::Done);
    }
}

#[test]
fn an_offer_can_be_answered_until_it_expires_or_is_crowded_out_or_its_sender_goes() {
    let real = answer(HASH, "0", "1", "1");
    let offered = || {
        let mut world = World::new(2);
        world.settings.max_pending_offers = 2;
        world.send(0, &announce(HASH, "0", ""));
        let got = world.send(1, &announce(HASH, "1", &offers(&["1"])));
        world.deliver(0, got.relays[0].1.clone());
        world
    };
    let mut world = offered();
    world.now += 119;
    assert_eq!(world.send(0, &real).received.outcome, Outcome::Done);

    let mut world = offered();
    world.now += 120;
    assert_eq!(world.send(0, &real).received.outcome, Outcome::Unroutable);

    for (more, outcome) in [(1, Outcome::Done), (2, Outcome::Unroutable)] {
        let mut world = offered();
        for id in &["2", "3"][..more] {
            let got = world.send(1, &announce(HASH, "1", &offers(&[id])));
            world.deliver(0, got.relays[0].1.clone());
        }
        assert_eq!(world.send(0, &real).received.outcome, outcome, "{more}");
    }

    let mut world = offered();
    let World { clients, engine, now, .. } = &mut world;
    clients[1].close(engine, *now);
    assert_eq!(world.send(0, &real).received.outcome, Outcome::Unroutable);
}

#[test]
fn each_offer_goes_to_another_peer_as_many_as_are_wanted() {
    let ids: Vec<String> = (0..20).map(|id| id.to_string()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let cases = [
        ("", 10),
        (r#","numwant":3"#, 3),
        (r#","numwant":0"#, 0),
        (r#","numwant":2.5"#, 3),
        (r#","numwant":1e99"#, 10),
        (r#","numwant":null"#, 10),
        (r#","numwant":-1"#, 10),
    ];
    for (numwant, expected) in cases {
        let mut world = World::new(16);
        for client in 1..16 {
            world.send(client, &announce(HASH, &client.to_string(), ""));
        }
        let got = world.send(0, &announce(HASH, "0", &format!("{}{numwant}", offers(&ids))));
        let mut to: Vec<usize> = got.relays.iter().map(|(to, _)| *to).collect();
        to.sort_unstable();
        to.dedup();
        assert_eq!((got.relays.len(), to.len()), (expected, expected), "{numwant}");
        assert!(!to.contains(&0));
        for (number, (_, relay)) in got.relays.iter().enumerate() {
            assert!(relay.text().contains(&format!(r#""sdp":"of {number}""#)));
        }
    }
}

#[test]
fn a_hundred_thousand_offers_are_not_kept() {
    let mut world = World::new(2);
    world.send(1, &announce(HASH, "1", ""));
    let many = format!(
        r#","offers":[{}{{}}]"#,
        r#"{"offer":{},"offer_id":"oooooooooooooooooooo"},"#.repeat(100_000)
    );
    let got = world.send(0, &announce(HASH, "0", &many));
    assert_eq!((got.received.outcome, got.relays.len()), (Outcome::Done, 1));
    assert!(world.out.lists.offers.capacity() <= 16);
}
