//! What software announces, by every protocol: in metrics and on the page of numbers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use tests::{
    eventually,
    rig::Family,
    udp::{self, Id20, id20},
    web::{
        house::{Door, House},
        http, websocket,
    },
};

/// One announce in so many is looked at, by each thread.
const PER_LOOK: u32 = 61;
const NAME: &str = "riptide_client_announces_total";

fn peer_id(start: &[u8]) -> Id20 {
    let mut id = id20("a client", 0);
    id[..start.len()].copy_from_slice(start);
    id
}

#[test]
fn client_software_is_counted_by_every_protocol() {
    let house = House::with(Door::Plain, "workers = 1\n", "[udp]\nworkers = 1\n");
    let hash = id20("software", 0);
    let fresh = house.metrics();
    let names = fresh.samples.iter().filter(|sample| sample.name == NAME);
    let names: Vec<_> = names.map(|sample| (sample.labels["client"].as_str(), sample.value)).collect();
    assert_eq!(names, [("other", 0.0)]);

    let client = house.udp(Family::V4, 1);
    let announce = |start: &[u8], times: u32| {
        let announce = udp::Announce { peer_id: peer_id(start), ..udp::Announce::leecher(hash, 1) };
        for _ in 0..times {
            client.announce(&announce);
        }
    };
    announce(b"-qB4630-", 2 * PER_LOOK);
    announce(b"-TR4040-", PER_LOOK);
    // Nothing that is no known code comes near a label.
    announce(b"-\"}\n\\0-", PER_LOOK - 1);
    announce(b"-zz9999-", 1);

    let web = house.client(Family::V4, 1);
    let mut connection = web.connect();
    let target =
        http::Announce { peer_id: peer_id(b"A2-1-37-0-"), ..http::Announce::leecher(hash, 2) }.target();
    for _ in 0..PER_LOOK {
        assert_eq!(connection.get(&target).status, 200);
    }
    let mut socket = web.websocket();
    let message = websocket::announce(hash, peer_id(b"-WW0201-"));
    for _ in 0..PER_LOOK {
        let _ = socket.ask(&message);
    }

    let expected = [
        ("qBittorrent", 2 * PER_LOOK),
        ("Transmission", PER_LOOK),
        ("aria2", PER_LOOK),
        ("WebTorrent", PER_LOOK),
        ("other", PER_LOOK),
    ];
    let metrics = house.metrics();
    assert_eq!(metrics.samples.iter().filter(|sample| sample.name == NAME).count(), expected.len());
    for (name, announces) in expected {
        assert_eq!(metrics.sum(NAME, &[("client", name)]).to_string(), announces.to_string(), "{name}");
    }
    // The page is made at most once a second.
    let clients = eventually("the clients on the page", || {
        let json: serde_json::Value = serde_json::from_slice(&web.get("/stats.json").body).expect("JSON");
        json["clients"].as_array().filter(|clients| clients.len() == expected.len()).cloned()
    });
    assert_eq!(
        (&clients[0]["name"], &clients[0]["announces"]),
        (&"qBittorrent".into(), &(2 * PER_LOOK).into())
    );
    assert_eq!(clients.last().expect("others")["name"], "other");
    assert!(web.get("/stats").text().contains(">WebTorrent</th>"));
}
