//! WebTorrent's messages but for the relay of offers: announces, scrapes, and what is wrong with them.

use super::{client, hash};
use crate::{
    rig::Family,
    udp::id20,
    web::{
        house::{Client, Door, House},
        websocket::{Message, Socket, announce, counts, failure, handshake, latin, opcode, with},
    },
};
use serde_json::json;

/// The info hash above all, since libtorrent ignores replies without one.
pub fn a_signal_reply_has_every_key(door: Door) {
    let house = House::new(door);
    for family in Family::BOTH {
        let client = client(&house, family);
        let info_hash = hash("signal keys", family);
        let [one, two] = [1, 2].map(|n| id20("signal", n));
        let mut socket = client.websocket();
        for _ in 0..2 {
            let reply = socket.ask(&announce(info_hash, one));
            assert_eq!(counts(&reply, info_hash), (0, 1));
            // Half of two minutes for the first, a tenth more or less.
            assert!((54..=66).contains(&reply["interval"].as_u64().expect("an interval")), "{reply}");
        }
        for left in
            [json!({"left": null}), json!({"left": 18_446_744_073_709_551_615_u64}), json!({"left": 1e300})]
        {
            assert_eq!(
                counts(&socket.ask(&with(announce(info_hash, one), &left)), info_hash),
                (0, 1),
                "{left}"
            );
        }
        let mut message = announce(info_hash, one);
        for field in ["left", "uploaded", "downloaded", "numwant"] {
            message.as_object_mut().expect("fields").remove(field);
        }
        assert_eq!(counts(&socket.ask(&message), info_hash), (0, 1));
        let mut other = client.websocket();
        let reply = other.ask(&with(announce(info_hash, two), &json!({"left": 0, "event": "started"})));
        assert_eq!(counts(&reply, info_hash), (1, 1));
        // They are of the swarm that HTTP tells of, and handed to nobody there.
        let row = client.row(info_hash);
        assert_eq!((row.seeders, row.leechers), (1, 1));
        let reply = client.announce(&crate::web::http::Announce::leecher(info_hash, 1));
        assert_eq!((reply.counts(), reply.all()), ((1, 0, 2), vec![]));
        other.close();
        house.riptide().metrics_until("one peer less", |m| {
            m.sum("riptide_peers", &[("family", "webrtc"), ("role", "seeder")]) == 0.0
                && m.sum("riptide_ws_connections", &[]) == 1.0
        });
        assert_eq!(client.row(info_hash).seeders, 0);
        socket.close();
        house
            .riptide()
            .metrics_until("no WebRTC peer", |m| m.sum("riptide_peers", &[("family", "webrtc")]) == 0.0);
    }
}

/// As for any other peer.
pub fn completed_and_stopped_count(door: Door) {
    let house = House::new(door);
    let client = client(&house, Family::V4);
    let info_hash = hash("signal events", Family::V4);
    let peer = id20("signal", 1);
    let mut socket = client.websocket();
    let mut send = |fields: serde_json::Value| {
        let reply = socket.ask(&with(announce(info_hash, peer), &fields));
        let counts = counts(&reply, info_hash);
        (counts, client.row(info_hash).completed)
    };
    assert_eq!(send(json!({"event": "started"})), ((0, 1), 0));
    assert_eq!(send(json!({"event": "completed"})), ((0, 1), 0), "with something left");
    for _ in 0..2 {
        assert_eq!(send(json!({"event": "completed", "left": 0})), ((1, 0), 1));
    }
    for event in [json!(null), json!(""), json!("update"), json!("no such event")] {
        assert_eq!(send(json!({"event": event, "left": 0})), ((1, 0), 1));
    }
    assert_eq!(send(json!({"event": "paused"})), ((0, 1), 1));
    assert_eq!(send(json!({"event": "stopped"})), ((0, 0), 1));
    assert_eq!(send(json!({"event": "stopped"})), ((0, 0), 1));
}

/// Each with a peer ID of its own; all are gone with the connection.
pub fn one_connection_carries_many_torrents(door: Door) {
    let house = House::with(door, "", "[websocket]\nmax_torrents_per_connection = 20\n");
    let client = client(&house, Family::V4);
    let mut socket = client.websocket();
    for n in 0..20 {
        let info_hash = id20("many", n);
        assert_eq!(counts(&socket.ask(&announce(info_hash, id20("signal", n))), info_hash), (0, 1));
    }
    house.riptide().metrics_until("20 peers", |m| m.sum("riptide_peers", &[("family", "webrtc")]) == 20.0);
    let beyond = id20("many", 20);
    let reply = socket.ask(&announce(beyond, id20("signal", 20)));
    failure(&reply);
    assert_eq!(reply["info_hash"], latin(&beyond));
    // Room again after one is left.
    let left = with(announce(id20("many", 0), id20("signal", 0)), &json!({"event": "stopped"}));
    let _ = socket.ask(&left);
    assert_eq!(counts(&socket.ask(&announce(beyond, id20("signal", 20))), beyond), (0, 1));
    // Without a closing handshake, as when a browser dies.
    drop(socket);
    house.riptide().metrics_until("no peer", |m| {
        m.sum("riptide_peers", &[]) == 0.0 && m.sum("riptide_torrents", &[]) == 0.0
    });
}

/// Every peer sees peer IDs, so they prove nothing.
pub fn a_peer_id_is_taken_over_from_the_same_address_only(door: Door) {
    let house = House::new(door);
    let [near, far] = [1, 2].map(|number| house.client(Family::V4, number));
    let info_hash = hash("takeover", Family::V4);
    let peer = id20("taken", 0);
    let mut first = near.websocket();
    let _ = first.ask(&announce(info_hash, peer));
    let mut thief = far.websocket();
    for fields in [json!({}), json!({"event": "stopped"}), json!({"event": "completed", "left": 0})] {
        let reply = thief.ask(&with(announce(info_hash, peer), &fields));
        failure(&reply);
        assert_eq!(reply["info_hash"], latin(&info_hash));
        assert_eq!(near.row(info_hash).leechers, 1);
    }
    // After a reconnect that the tracker has not noticed yet.
    let mut second = near.websocket();
    assert_eq!(counts(&second.ask(&announce(info_hash, peer)), info_hash), (0, 1));
    first.close();
    house.riptide().metrics_until("two connections", |m| m.sum("riptide_ws_connections", &[]) == 2.0);
    assert_eq!(near.row(info_hash).leechers, 1, "the old connection's end takes nothing from the new one");
    // The ID is free once nobody has it.
    second.close();
    house.riptide().metrics_until("one connection", |m| m.sum("riptide_ws_connections", &[]) == 1.0);
    assert_eq!(counts(&thief.ask(&announce(info_hash, peer)), info_hash), (0, 1));
}

/// For one hash, for several, and for none at all.
pub fn scrapes_are_answered(door: Door) {
    let house = House::with(door, "", "[websocket]\nmax_scrape_hashes = 5\n");
    let client = client(&house, Family::V4);
    let [one, two] = [1, 2].map(|n| id20("signal scrape", n));
    let mut socket = client.websocket();
    let _ = socket.ask(&with(announce(one, id20("signal", 1)), &json!({"event": "completed", "left": 0})));
    let row = json!({"complete": 1, "incomplete": 0, "downloaded": 1});
    let empty = json!({"complete": 0, "incomplete": 0, "downloaded": 0});
    let reply = socket.ask(&json!({"action": "scrape", "info_hash": latin(&one)}));
    assert_eq!(reply, json!({"action": "scrape", "info_hash": latin(&one), "files": {latin(&one): row}}));
    let both = json!({"action": "scrape", "info_hash": [latin(&two), latin(&one), latin(&two)]});
    let reply = socket.ask(&both);
    assert_eq!(reply, json!({"action": "scrape", "files": {latin(&one): row, latin(&two): empty}}));
    for none in [json!({"action": "scrape"}), json!({"action": "scrape", "info_hash": null})] {
        failure(&socket.ask(&none));
    }
    for wrong in [json!("short"), json!(7), json!([latin(&one), "short"])] {
        let reason = failure(&socket.ask(&json!({"action": "scrape", "info_hash": wrong})));
        assert!(reason.contains("info_hash"), "{reason} for {wrong}");
    }
    let many: Vec<String> = (0..50).map(|n| latin(&id20("many", n))).collect();
    let reply = socket.ask(&json!({"action": "scrape", "info_hash": many}));
    assert_eq!(reply["files"].as_object().map(serde_json::Map::len), Some(5), "{reply}");
    socket.close();
}

/// A failure that names the field and, where it can be read, the torrent.
pub fn what_is_wrong_is_named_and_the_connection_stays(door: Door) {
    let house = House::new(door);
    let client = client(&house, Family::V4);
    let info_hash = hash("signal wrong", Family::V4);
    let good = announce(info_hash, id20("signal", 1));
    let mut socket = client.websocket();
    let above: String = (0..20).map(|_| '\u{100}').collect();
    let fields = [
        ("info_hash", json!({"info_hash": null})),
        ("info_hash", json!({"info_hash": 20})),
        ("info_hash", json!({"info_hash": "short"})),
        ("info_hash", json!({"info_hash": "x".repeat(21)})),
        ("info_hash", json!({"info_hash": above})),
        ("info_hash", json!({"info_hash": {"a": []}})),
        ("peer_id", json!({"peer_id": null})),
        ("peer_id", json!({"peer_id": "short"})),
        ("peer_id", json!({"peer_id": above})),
        ("offers", json!({"offers": 7, "numwant": 1})),
        ("offers", json!({"offers": {"offer": 1}, "numwant": 1})),
        ("offer", json!({"offers": [7], "numwant": 1})),
        (
            "offer_id",
            json!({"offers": [{"offer": {"type": "offer", "sdp": "v=0"}, "offer_id": "short"}], "numwant": 1}),
        ),
        ("action", json!({"action": "sing"})),
        ("action", json!({"action": null})),
        ("action", json!({"action": 7})),
    ];
    for (field, wrong) in fields {
        let reply = socket.ask(&with(good.clone(), &wrong));
        let reason = failure(&reply);
        assert!(reason.contains(field), "{field}: {reason:?} for {wrong}");
        if field != "info_hash" {
            assert_eq!(reply["info_hash"], latin(&info_hash), "{reply} for {wrong}");
        }
    }
    let raw_hash = |text: &str| {
        format!(r#"{{"action":"announce","info_hash":"{text}","peer_id":"aaaaaaaaaaaaaaaaaaaa","left":1}}"#)
    };
    let texts = [
        String::new(),
        "{".to_owned(),
        "null".to_owned(),
        "7".to_owned(),
        "\"announce\"".to_owned(),
        "[]".to_owned(),
        "{\"action\":\"announce\",}".to_owned(),
        format!("{good}{good}"),
        // Half a surrogate pair, and one the wrong way round.
        raw_hash(r"aaaaaaaaaaaaaaaaaaa\ud800"),
        raw_hash(r"aaaaaaaaaaaaaaaaaaa\udc00\ud800"),
        raw_hash(r"\u"),
        "[".repeat(100_000),
        format!("{{\"action\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000)),
    ];
    for text in texts {
        socket.send_text(&text);
        failure(&socket.json());
    }
    // Binary messages are nothing that WebTorrent knows.
    socket.send_bytes(&Socket::frame(true, opcode::BINARY, good.to_string().as_bytes()));
    failure(&socket.json());
    // Deep and huge where nothing is read: it is skipped.
    let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    let harmless = format!(r#"{{"no_such_field":{deep},"huge":1{},"#, "0".repeat(5_000));
    socket.send_text(&good.to_string().replacen('{', &harmless, 1));
    assert_eq!(counts(&socket.json(), info_hash), (0, 1));
    // Escapes of every kind spell the same bytes.
    let spelled: String = info_hash.iter().map(|byte| format!("\\u00{byte:02x}")).collect();
    socket.send_text(&format!(
        r#"{{"action":"announce","info_hash":"{spelled}","peer_id":"{}","left":1}}"#,
        id20("signal", 1).iter().map(|byte| format!("\\u00{byte:02X}")).collect::<String>()
    ));
    assert_eq!(counts(&socket.json(), info_hash), (0, 1));
    socket.close();
}

/// Pings are answered, messages may come in pieces, and what breaks the protocol ends the connection.
pub fn control_frames_and_fragments_are_understood(door: Door) {
    let house = House::with(door, "", "[websocket]\nmax_message_size = \"64KiB\"\n");
    let client = client(&house, Family::V4);
    let info_hash = hash("frames", Family::V4);
    let good = announce(info_hash, id20("signal", 1)).to_string();
    let mut socket = client.websocket();
    socket.send_bytes(&Socket::frame(true, opcode::PING, b"payload"));
    assert_eq!(socket.receive(), Message::Pong(b"payload".to_vec()));
    socket.send_bytes(&Socket::frame(true, opcode::PONG, b"unasked"));
    // In three pieces, with a ping between two of them, and each byte on its own.
    let (one, rest) = good.as_bytes().split_at(10);
    let (two, three) = rest.split_at(20);
    let frames = [
        Socket::frame(false, opcode::TEXT, one),
        Socket::frame(true, opcode::PING, b"between"),
        Socket::frame(false, opcode::CONTINUE, two),
        Socket::frame(true, opcode::CONTINUE, three),
    ];
    for byte in frames.concat() {
        socket.send_bytes(&[byte]);
    }
    assert_eq!(socket.receive(), Message::Pong(b"between".to_vec()));
    assert_eq!(counts(&socket.json(), info_hash), (0, 1));
    socket.close();
    // As long as allowed.
    let mut socket = client.websocket();
    let padded = |length: usize| format!("{good}{}", " ".repeat(length - good.len()));
    socket.send_text(&padded(64 * 1024));
    assert_eq!(counts(&socket.json(), info_hash), (0, 1));
    let halves = vec![b' '; 40_000];
    let mut unmasked = Socket::frame(true, opcode::TEXT, b"");
    unmasked[1] = 0;
    unmasked.truncate(2);
    let breaking: [(&str, Vec<u8>); 8] = [
        ("a message too long", Socket::frame(true, opcode::TEXT, padded(64 * 1024 + 1).as_bytes())),
        (
            "a message too long in all",
            [Socket::frame(false, opcode::TEXT, &halves), Socket::frame(true, opcode::CONTINUE, &halves)]
                .concat(),
        ),
        ("a length beyond memory", [&[0x81, 0xff][..], &[0x7f; 8], &[0; 4]].concat()),
        ("wrong UTF-8", Socket::frame(true, opcode::TEXT, b"{\"action\":\"\xff\xfe\"}")),
        ("an unknown type", Socket::frame(true, 3, b"")),
        ("no mask", unmasked),
        ("a long ping", Socket::frame(true, opcode::PING, &[0; 126])),
        ("nothing to go on with", Socket::frame(true, opcode::CONTINUE, b"{}")),
    ];
    for (what, bytes) in breaking {
        let mut socket = client.websocket();
        // It may be gone before all is sent.
        let sent = socket.try_send(&bytes);
        let code = socket.wait_closed();
        assert!(matches!(code, None | Some(1002 | 1003 | 1007 | 1009)), "{what}: {code:?} {sent:?}");
    }
    socket.fence();
    socket.close();
}

/// An error status, and the tracker goes on.
pub fn handshakes_that_are_none_are_refused(door: Door) {
    let allowing = "[websocket]\nallowed_origins = [\"https://good.example\"]\n";
    let house = House::with(door, "", allowing);
    let client = client(&house, Family::V4);
    let good = handshake();
    for (wrong, statuses) in [
        (good.replace("Version: 13", "Version: 8"), &[400, 426][..]),
        (good.replace("Sec-WebSocket-Version: 13\r\n", ""), &[400, 426]),
        (good.replace("dGhlIHNhbXBsZSBub25jZQ==", "short"), &[400]),
        (good.replace("Sec-WebSocket-Key", "X-Key"), &[400]),
    ] {
        let mut connection = client.connect();
        let request = connection.request("GET", "/", &format!("{wrong}Origin: https://good.example\r\n"));
        connection.send(&request);
        let answer = connection.receive();
        assert!(statuses.contains(&answer.status), "{answer:?} for {wrong}");
    }
    let origins = [
        ("https://good.example", true),
        ("https://other.example", false),
        ("https://good.example.evil.example", false),
        ("http://good.example", false),
        ("null", false),
    ];
    for (origin, allowed) in origins {
        check_origin(&client, origin, allowed);
    }
    let denying = "[websocket]\ndenied_origins = [\"https://bad.example\"]\n";
    let other_house = House::with(door, "", denying);
    check_origin(&other_house.client(Family::V4, 1), "https://bad.example", false);
    check_origin(&other_house.client(Family::V4, 1), "https://good.example", true);
    other_house.client(Family::V4, 1).websocket().close();
    // Every path takes one.
    let socket = Socket::open(client.connect(), "/no/such/path?x=y", "Origin: https://good.example\r\n");
    socket.unwrap_or_else(|answer| panic!("{answer:?}")).close();
}

fn check_origin(client: &Client, origin: &str, allowed: bool) {
    match client.try_websocket(&format!("Origin: {origin}\r\n")) {
        Ok(socket) => {
            assert!(allowed, "{origin}");
            socket.close();
        }
        Err(answer) => assert!(!allowed && answer.status == 403, "{origin}: {answer:?}"),
    }
}

/// In and out, by kind.
pub fn messages_are_counted(door: Door) {
    let house = House::new(door);
    let client = client(&house, Family::V4);
    let info_hash = hash("signal counted", Family::V4);
    let mut socket = client.websocket();
    for _ in 0..3 {
        let _ = socket.ask(&announce(info_hash, id20("signal", 1)));
    }
    for _ in 0..2 {
        let _ = socket.ask(&json!({"action": "scrape", "info_hash": latin(&info_hash)}));
    }
    let _ = socket.ask(&json!({"action": "sing"}));
    let count = |m: &crate::metrics::Metrics, direction, kind| {
        m.sum("riptide_ws_messages_total", &[("direction", direction), ("kind", kind)])
    };
    house.riptide().metrics_until("what was sent", |m| {
        ["in", "out"].iter().all(|way| count(m, way, "announce") == 3.0 && count(m, way, "scrape") == 2.0)
            && m.sum("riptide_ws_messages_total", &[("direction", "in")]) == 6.0
            && m.sum("riptide_ws_messages_total", &[("direction", "out")]) == 6.0
            && m.sum("riptide_ws_connections", &[]) == 1.0
            && m.sum("riptide_http_requests_total", &[("action", "websocket"), ("outcome", "ok")]) == 1.0
    });
    socket.close();
    let metrics =
        house.riptide().metrics_until("no connection", |m| m.sum("riptide_ws_connections", &[]) == 0.0);
    for (name, kind) in [("riptide_ws_connections", "gauge"), ("riptide_ws_messages_total", "counter")] {
        assert!(metrics.text.contains(&format!("# TYPE {name} {kind}")), "{}", metrics.text);
        assert!(metrics.text.contains(&format!("# HELP {name} ")), "{}", metrics.text);
    }
}
