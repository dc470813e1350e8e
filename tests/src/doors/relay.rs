//! Offers and answers on their way from one WebRTC peer to another.

use super::{client, hash};
use crate::{
    eventually,
    rig::Family,
    udp::{Id20, id20},
    web::{
        house::{Client, Door, House},
        websocket::{Message, Socket, announce, answer, counts, failure, latin, offer_id, offering, with},
    },
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

fn peer(n: u32) -> Id20 {
    id20("relay", n)
}

/// So many sockets, each of which has announced itself without offers.
fn present(client: &Client, info_hash: Id20, peers: std::ops::Range<u32>) -> Vec<Socket> {
    let socket = |n| {
        let mut socket = client.websocket();
        let _ = socket.ask(&announce(info_hash, peer(n)));
        socket
    };
    peers.map(socket).collect()
}

/// Checks a relayed offer and gives its ID.
fn offered(message: &Value, info_hash: Id20, from: Id20) -> String {
    let keys: BTreeSet<&str> = message.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(keys, ["action", "info_hash", "offer", "offer_id", "peer_id"].into(), "{message}");
    assert_eq!(message["action"], "announce");
    assert_eq!(message["info_hash"], latin(&info_hash));
    assert_eq!(message["peer_id"], latin(&from));
    assert_eq!(message["offer"]["type"], "offer");
    message["offer_id"].as_str().expect("an ID").to_owned()
}

/// Distinct others, one offer each, no more than there are offers, and no more than the cap.
pub fn offers_go_to_that_many_others(door: Door) {
    let house = House::with(door, "", "[websocket]\nmax_offers = 4\n");
    let client = client(&house, Family::V4);
    let info_hash = hash("offers", Family::V4);
    let mut others = present(&client, info_hash, 1..8);
    let mut asker = client.websocket();
    let mut tag = 0;
    let mut ask = |offers: u8, fields: Value, left: u64, expected: usize| {
        tag += 1;
        let reply = asker.ask(&with(offering(info_hash, peer(0), tag, offers), &fields));
        assert_eq!(counts(&reply, info_hash), (0, left));
        let mut seen = BTreeMap::new();
        eventually(&format!("{expected} offers of {offers}, {fields}"), || {
            for (n, socket) in others.iter_mut().enumerate() {
                socket.fence();
                for message in socket.take_early() {
                    let id = offered(&message, info_hash, peer(0));
                    // A surplus of an earlier turn would have another tag.
                    assert_eq!(
                        u32::from(tag),
                        id.chars().map(u32::from).nth(18).expect("an ID"),
                        "{message}"
                    );
                    assert!(seen.insert(id, n).is_none(), "an offer goes to one peer: {message}");
                }
            }
            (seen.len() >= expected).then_some(())
        });
        let peers: BTreeSet<usize> = seen.values().copied().collect();
        assert_eq!((seen.len(), peers.len()), (expected, expected), "one offer each");
    };
    for (offers, expected) in [(1, 1), (3, 3), (4, 4), (9, 4), (0, 0)] {
        ask(offers, json!({}), 8, expected);
    }
    // As many as it wants, if it says so, and one that leaves offers nothing.
    ask(4, json!({"numwant": 2}), 8, 2);
    ask(3, json!({"numwant": null}), 8, 3);
    ask(3, json!({"event": "stopped"}), 7, 0);
    ask(1, json!({}), 8, 1);
}

/// As it was sent, once, and without a reply to the one who answers.
pub fn an_answer_goes_to_whom_made_the_offer(door: Door) {
    let house = House::new(door);
    for family in Family::BOTH {
        let client = client(&house, family);
        let info_hash = hash("answers", family);
        let mut others = present(&client, info_hash, 1..3);
        let mut asker = client.websocket();
        let reply = asker.ask(&offering(info_hash, peer(0), 1, 2));
        assert_eq!(counts(&reply, info_hash), (0, 3));
        for (n, socket) in (1..).zip(&mut others) {
            let offer = socket.json();
            let id = offered(&offer, info_hash, peer(0));
            assert!((0..2).any(|n| offer["offer"]["sdp"] == format!("v=0 offer 1 {n}")), "{offer}");
            let answer = with(answer(info_hash, peer(n), peer(0), [0; 20]), &json!({"offer_id": id}));
            // Repeated, it is nobody's answer any more.
            socket.send(&answer);
            socket.send(&answer);
            socket.fence();
            assert_eq!(socket.take_early(), Vec::<Value>::new(), "an answer is no announce");
            let relayed = asker.json();
            assert_eq!(relayed["action"], "announce");
            assert_eq!(relayed["info_hash"], latin(&info_hash));
            assert_eq!(relayed["peer_id"], latin(&peer(n)));
            assert_eq!(relayed["offer_id"], id);
            assert_eq!(relayed["answer"], json!({"type": "answer", "sdp": "v=0 answer"}));
            asker.fence();
            assert_eq!(asker.take_early(), Vec::<Value>::new(), "only once");
        }
    }
}

/// Whatever is in it: the tracker has no business with it.
pub fn an_offer_arrives_as_it_was_sent(door: Door) {
    let house = House::new(door);
    let client = client(&house, Family::V4);
    let info_hash = hash("as sent", Family::V4);
    let mut other = present(&client, info_hash, 1..2).remove(0);
    let mut asker = client.websocket();
    let sdp = "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\n\u{e9}\u{20ac}\u{1f980}\u{0}\"\\/";
    let offer =
        json!({"type": "offer", "sdp": sdp, "more": [1, -2.5e3, null, true, {"deeper": {"still": []}}]});
    let mut message = offering(info_hash, peer(0), 1, 1);
    message["offers"][0]["offer"] = offer.clone();
    let _ = asker.ask(&message);
    assert_eq!(other.json()["offer"], offer);
    // Not even its spelling is touched.
    let spelled = r"\u0076\u003d0\ud83e\udd80";
    asker.send_text(&message.to_string().replacen("v=0", spelled, 1));
    assert_eq!(counts(&asker.json(), info_hash), (0, 2));
    match other.receive() {
        Message::Text(text) => assert!(text.contains(spelled), "{text}"),
        other => panic!("{other:?}"),
    }
    let mut answer = answer(info_hash, peer(1), peer(0), offer_id(1, 0));
    answer["answer"] = offer.clone();
    other.send(&answer);
    assert_eq!(asker.json()["answer"], offer);
    // What its receiver could not read: nested too deep, and half a surrogate pair.
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    for wrong in [deep.as_str(), r#""v=0\ud800""#, r#""v=0\udc00\ud800""#] {
        let good = offering(info_hash, peer(0), 2, 1).to_string();
        asker.send_text(&good.replacen("\"v=0 offer 2 0\"", wrong, 1));
        let reason = failure(&asker.json());
        assert!(reason.contains("offer") || reason.contains("JSON"), "{reason}");
    }
    let _ = asker.ask(&offering(info_hash, peer(0), 3, 1));
    assert_eq!(other.json()["offer_id"], latin(&offer_id(3, 0)), "nothing came of them");
}

/// Forged in any part, or for somebody else: counted and ignored, and the socket stays open.
pub fn answers_that_nobody_asked_for_go_nowhere(door: Door) {
    let house = House::new(door);
    let client = client(&house, Family::V4);
    let info_hash = hash("forged", Family::V4);
    let other_hash = hash("forged elsewhere", Family::V4);
    let mut others = present(&client, info_hash, 1..2);
    let mut other = others.remove(0);
    let _ = other.ask(&announce(other_hash, peer(1)));
    let mut asker = client.websocket();
    let _ = asker.ask(&announce(other_hash, peer(0)));
    let mut stranger = client.websocket();
    let _ = stranger.ask(&announce(other_hash, peer(9)));
    let _ = asker.ask(&offering(info_hash, peer(0), 1, 1));
    let id = offered(&other.json(), info_hash, peer(0));
    assert_eq!(id, latin(&offer_id(1, 0)));
    let right = answer(info_hash, peer(1), peer(0), offer_id(1, 0));
    let forged = [
        json!({"offer_id": latin(&offer_id(1, 1))}),
        json!({"to_peer_id": latin(&peer(9))}),
        json!({"to_peer_id": latin(&peer(1))}),
        json!({"info_hash": latin(&other_hash)}),
        json!({"info_hash": latin(&id20("no such torrent", 0))}),
    ];
    for fields in &forged {
        other.send(&with(right.clone(), fields));
    }
    // By one that was not given the offer, under its own ID and under the other's.
    stranger.send(&right);
    stranger.send(&with(right.clone(), &json!({"peer_id": latin(&peer(9))})));
    for socket in [&mut other, &mut stranger] {
        socket.fence();
        assert_eq!(socket.take_early(), Vec::<Value>::new());
    }
    let lost = [("reason", "unroutable")];
    house
        .riptide()
        .metrics_until("seven answers for nobody", |m| m.sum("riptide_ws_lost_messages_total", &lost) == 7.0);
    // The right one still goes through, and is the first that arrives.
    other.send(&right);
    let relayed = asker.json();
    assert_eq!(
        (&relayed["offer_id"], &relayed["peer_id"]),
        (&json!(id), &json!(latin(&peer(1)))),
        "{relayed}"
    );
}

/// Two seeders have nothing for each other.
pub fn a_seeder_meets_leechers_only(door: Door) {
    let house = House::new(door);
    let client = client(&house, Family::V4);
    let info_hash = hash("seeders", Family::V4);
    let seeding = json!({"left": 0});
    let mut seeders: Vec<Socket> = (1..4)
        .map(|n| {
            let mut socket = client.websocket();
            let _ = socket.ask(&with(announce(info_hash, peer(n)), &seeding));
            socket
        })
        .collect();
    let mut leechers = present(&client, info_hash, 10..12);
    let mut asker = client.websocket();
    let _ = asker.ask(&with(offering(info_hash, peer(0), 1, 5), &seeding));
    for socket in &mut leechers {
        let _ = offered(&socket.json(), info_hash, peer(0));
    }
    for socket in &mut seeders {
        socket.fence();
        assert_eq!(socket.take_early(), Vec::<Value>::new());
    }
    // A leecher meets all.
    let _ = leechers[0].ask(&offering(info_hash, peer(10), 2, 9));
    for socket in seeders.iter_mut().chain(&mut leechers[1..]).chain([&mut asker]) {
        let _ = offered(&socket.json(), info_hash, peer(10));
    }
}

/// Whoever holds the peer ID when the answer comes gets it.
pub fn a_takeover_keeps_offers_answerable(door: Door) {
    let house = House::new(door);
    let client = client(&house, Family::V4);
    let info_hash = hash("reconnected", Family::V4);
    let mut other = present(&client, info_hash, 1..2).remove(0);
    let mut first = client.websocket();
    let _ = first.ask(&offering(info_hash, peer(0), 1, 1));
    let _ = offered(&other.json(), info_hash, peer(0));
    let mut second = client.websocket();
    assert_eq!(counts(&second.ask(&announce(info_hash, peer(0))), info_hash), (0, 2));
    other.send(&answer(info_hash, peer(1), peer(0), offer_id(1, 0)));
    assert_eq!(second.json()["answer"]["type"], "answer");
    // And offers go to the new connection alone.
    let _ = other.ask(&offering(info_hash, peer(1), 2, 5));
    let _ = offered(&second.json(), info_hash, peer(1));
}

/// Whoever a connection says it is in a torrent, it was before: its own offers never come back to it.
pub fn a_new_peer_id_replaces_the_old_one_of_its_connection(door: Door) {
    let house = House::new(door);
    let client = client(&house, Family::V4);
    let [info_hash, other_hash] = ["renamed", "not renamed"].map(|case| hash(case, Family::V4));
    let mut other = present(&client, info_hash, 1..2).remove(0);
    let mut asker = client.websocket();
    for torrent in [info_hash, other_hash] {
        let _ = asker.ask(&with(announce(torrent, peer(2)), &json!({"left": 0})));
    }
    for n in 3..6_u8 {
        let reply = asker.ask(&offering(info_hash, peer(n.into()), n, 3));
        assert_eq!(counts(&reply, info_hash), (0, 2));
        offered(&other.json(), info_hash, peer(n.into()));
        for socket in [&mut asker, &mut other] {
            socket.fence();
            assert_eq!(socket.take_early(), Vec::<Value>::new(), "one offer, to the one other peer");
        }
    }
    assert_eq!(client.row(other_hash).seeders, 1, "in another torrent it is who it was");
    // An end of somebody it is not takes nothing away.
    let _ = asker.ask(&with(announce(info_hash, peer(2)), &json!({"event": "stopped"})));
    assert_eq!(client.row(info_hash).leechers, 2);
    asker.close();
    house.riptide().metrics_until("one connection", |m| m.sum("riptide_ws_connections", &[]) == 1.0);
    assert_eq!((client.row(info_hash).leechers, client.row(other_hash).seeders), (1, 0));
}
