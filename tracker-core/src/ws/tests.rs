use super::*;
use crate::{
    access::{AccessList, Mode},
    admission::Admission,
    client_software::{ANNOUNCES_PER_LOOK, ClientSoftware},
    engine::{ConnectionKey, Engine},
    model::{Counts, InfoHash},
    nodes::NodeNumber,
    policy::Policy,
    rng::Rng,
};
use tracker_common::{
    address::Address,
    rate::{self, Rate},
};

mod far;
mod offers;

const HASH: &str = "aaaaaaaaaaaaaaaaaaaa";
const OTHER: &str = "bbbbbbbbbbbbbbbbbbbb";
const NOW: u32 = 1_700_000_000;

/// A tracker with clients 0, 1, 2, ….
struct World {
    engine: Engine,
    settings: Settings,
    rng: Rng,
    now: u32,
    clients: Vec<Connection>,
    out: Outbox,
}

/// What a message led to.
struct Got {
    received: Received,
    reply: String,
    relays: Vec<(usize, Relay)>,
    far: Vec<(NodeNumber, Far)>,
}

impl World {
    fn new(clients: usize) -> Self {
        Self::with_key(clients, [7, 8])
    }

    fn with_key(clients: usize, hash_key: [u64; 2]) -> Self {
        let client = |number| {
            let address = Address::from_ipv4([10, 0, 0, number as u8]);
            Connection::new(ConnectionKey(number as u64), address, hash_key)
        };
        let admission = Admission { interval_jitter: 0, ..Admission::default() };
        Self {
            engine: Engine::new(Policy { admission, ..Policy::default() }, [1, 2]),
            settings: Settings::default(),
            rng: Rng::new([3, 4]),
            now: NOW,
            clients: (0..clients).map(client).collect(),
            out: Outbox::default(),
        }
    }

    fn send(&mut self, client: usize, text: &str) -> Got {
        let Self { engine, settings, rng, now, clients, out } = self;
        let received =
            clients[client].receive(text, engine, settings, u64::from(*now) * 1_000_000_000, rng, out);
        let relays = out.relays.drain(..).map(|(key, relay)| (key.0 as usize, relay)).collect();
        let far = std::mem::take(&mut out.far);
        Got { received, reply: out.reply.take().unwrap_or_default(), relays, far }
    }

    fn deliver(&mut self, client: usize, relay: Relay) -> String {
        self.clients[client].deliver(relay, &self.settings, self.now)
    }

    fn counts(&self, hash: &str) -> (u32, u32, u32) {
        let Counts { complete, incomplete, downloaded, .. } =
            self.engine.scrape(&InfoHash(hash.as_bytes().try_into().unwrap()));
        (complete, incomplete, downloaded)
    }
}

fn announce(hash: &str, peer: &str, more: &str) -> String {
    format!(r#"{{"action":"announce","info_hash":"{hash}","peer_id":"{peer:p>20}"{more}}}"#)
}

/// Offers with these IDs, each twenty characters long after padding.
fn offers(ids: &[&str]) -> String {
    let item =
        |id: &&str| format!(r#"{{"offer":{{"type":"offer","sdp":"of {id}"}},"offer_id":"{id:o>20}"}}"#);
    format!(r#","offers":[{}]"#, ids.iter().map(item).collect::<Vec<_>>().join(","))
}

fn answer(hash: &str, peer: &str, to: &str, offer: &str) -> String {
    let json = r#"{"type":"answer","sdp":"v=0\r\n"}"#;
    let more = format!(r#","to_peer_id":"{to:p>20}","offer_id":"{offer:o>20}","answer":{json}"#);
    announce(hash, peer, &more)
}

#[track_caller]
fn fails(text: &str, reply: &str) {
    let mut world = World::new(1);
    let got = world.send(0, text);
    assert_eq!(got.reply, reply, "{text}");
    assert_eq!(got.received, Received { kind: Kind::Malformed, outcome: Outcome::Failed });
    assert_eq!(world.engine.totals().torrents, 0);
}

#[test]
fn an_announce_is_answered_with_the_swarm() {
    let mut world = World::new(2);
    let got = world.send(0, &announce(HASH, "0", r#","left":5,"event":"started""#));
    assert_eq!(
        got.reply,
        r#"{"action":"announce","info_hash":"aaaaaaaaaaaaaaaaaaaa","interval":120,"complete":0,"incomplete":1}"#
    );
    assert_eq!(got.received, Received { kind: Kind::Announce, outcome: Outcome::Done });
    let got = world.send(1, &announce(HASH, "1", r#","left":0"#));
    assert_eq!(
        got.reply,
        r#"{"action":"announce","info_hash":"aaaaaaaaaaaaaaaaaaaa","interval":120,"complete":1,"incomplete":1}"#
    );
    assert!(got.relays.is_empty());
}

#[test]
fn who_asks_too_often_is_told_so_and_may_still_answer() {
    let mut world = World::new(3);
    let mut policy = Policy::default();
    policy.admission.rates[rate::Kind::HttpRequests as usize] = Rate::new(1, 2);
    world.engine.set_policy(policy);
    // One network, as 10.0.0.0 and 10.0.0.1 are not.
    world.clients[1].address = world.clients[0].address;
    world.send(2, &announce(HASH, "2", ""));
    let relays = world.send(2, &announce(HASH, "2", &offers(&["x"]))).relays;
    assert!(relays.is_empty());
    world.send(0, &announce(HASH, "0", ""));
    let offered = world.send(0, &format!(r#"{{"action":"scrape","info_hash":"{HASH}"}}"#));
    assert_eq!(offered.received, Received { kind: Kind::Scrape, outcome: Outcome::Done });
    // Both connections have one share.
    let got = world.send(1, &announce(HASH, "1", ""));
    assert_eq!(got.received, Received { kind: Kind::Announce, outcome: Outcome::RateLimited });
    assert_eq!(
        got.reply,
        r#"{"action":"announce","info_hash":"aaaaaaaaaaaaaaaaaaaa","failure reason":"too many requests, try again later"}"#
    );
    assert_eq!(world.counts(HASH), (0, 2, 0));
    let got = world.send(1, &format!(r#"{{"action":"scrape","info_hash":"{HASH}"}}"#));
    assert_eq!(got.received.outcome, Outcome::RateLimited);
    assert_eq!(
        got.reply,
        r#"{"action":"scrape","info_hash":"aaaaaaaaaaaaaaaaaaaa","failure reason":"too many requests, try again later"}"#
    );
    let got = world.send(1, &answer(HASH, "1", "2", "x"));
    assert_eq!(got.received, Received { kind: Kind::Answer, outcome: Outcome::Unroutable });
    world.now += 1;
    assert_eq!(world.send(1, &announce(HASH, "1", "")).received.outcome, Outcome::Done);
}

#[test]
fn what_is_left_decides_the_role_in_whatever_form_it_comes() {
    let seeders = ["0", "-0", "0.0", "0e9", "-0.0"];
    let leechers = [
        "null",
        "1",
        "-1",
        "-0.5",
        "0.5",
        "1e400",
        "-1e400",
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999999999999999",
        "1e-3",
    ];
    for (values, counts) in [(&seeders[..], (1, 0, 0)), (&leechers[..], (0, 1, 0))] {
        for value in values {
            let mut world = World::new(1);
            world.send(0, &announce(HASH, "0", &format!(r#","left":{value}"#)));
            assert_eq!(world.counts(HASH), counts, "{value}");
        }
    }
    let mut world = World::new(1);
    world.send(0, &announce(HASH, "0", ""));
    assert_eq!(world.counts(HASH), (0, 1, 0));
}

#[test]
fn events() {
    let mut world = World::new(1);
    let mut say = |event: &str, left: u8| {
        let got = world.send(0, &announce(HASH, "0", &format!(r#","left":{left},"event":{event}"#)));
        assert_eq!(got.received.outcome, Outcome::Done, "{event}");
        world.counts(HASH)
    };
    assert_eq!(say(r#""started""#, 1), (0, 1, 0));
    assert_eq!(say(r#""completed""#, 0), (1, 0, 1));
    assert_eq!(say(r#""p\u0061used""#, 0), (0, 1, 1));
    for unknown in [r#""update""#, r#""""#, "null", "7", "{}", r#""stopped ""#, r#""STOPPED""#] {
        assert_eq!(say(unknown, 0), (1, 0, 1), "{unknown}");
    }
    assert_eq!(say(r#""stopped""#, 0), (0, 0, 1));
}

#[test]
fn strings_of_twenty_bytes_are_code_points_and_come_back_as_such() {
    let written = r#"\u0000\u0001\n\r\t\b\f\"\\\/ ~¡ÿ\u00FF\u00ffzz"#;
    let bytes: [u8; 20] = [
        0, 1, 10, 13, 9, 8, 12, b'"', b'\\', b'/', b' ', b'~', 0x7f, 0x80, 0xa1, 0xff, 0xff, 0xff, b'z', b'z',
    ];
    let written = written.replace("~¡", "~\u{7f}\u{80}¡");
    let mut world = World::new(1);
    let got = world.send(0, &announce(&written, "0", ""));
    assert_eq!(world.engine.scrape(&InfoHash(bytes)).incomplete, 1);
    let back = "\\u0000\\u0001\\u000a\\u000d\\u0009\\u0008\\u000c\\\"\\\\/ ~\u{7f}\u{80}¡ÿÿÿzz";
    assert!(got.reply.contains(&format!(r#""info_hash":"{back}""#)), "{}", got.reply);
}

#[test]
fn a_failure_names_the_field_and_the_torrent() {
    let ok = r#""action":"announce","info_hash":"aaaaaaaaaaaaaaaaaaaa","peer_id":"pppppppppppppppppppp""#;
    let head = r#"{"action":"announce","info_hash":"aaaaaaaaaaaaaaaaaaaa","failure reason":""#;
    for (more, reason) in [
        (r#""left":"7""#, "left: not a number"),
        (r#""left":true"#, "left: not a number"),
        (r#""left":[]"#, "left: not a number"),
        (r#""numwant":{}"#, "numwant: not a number"),
        (r#""offers":{}"#, "offers: not an array"),
        (r#""offers":7"#, "offers: not an array"),
        (r#""offers":[7]"#, "offers[0]: not an object"),
        (r#""offers":[{}]"#, "offers[0].offer_id: missing"),
        (r#""offers":[{"offer_id":7}]"#, "offers[0].offer_id: not a string"),
        (r#""offers":[{"offer_id":"oooooooooooooooooooo"}]"#, "offers[0].offer: missing"),
        (r#""offers":[{"offer_id":"oooooooooooooooooooo","offer":"x"}]"#, "offers[0].offer: not an object"),
        (
            r#""offers":[{"offer_id":"oooooooooooooooooooo","offer":{}},{"offer":{}}]"#,
            "offers[1].offer_id: missing",
        ),
        (r#""peer_id":7"#, "peer_id: not a string"),
        (r#""peer_id":"ppppppppppppppppppp""#, "peer_id: not 20 bytes long"),
        (r#""peer_id":"ppppppppppppppppppppp""#, "peer_id: not 20 bytes long"),
        (r#""peer_id":"pppppppppppppppppppĀ""#, "peer_id: not a string of code points from 0 to 255"),
        (r#""peer_id":"ppppppppppppppppppp\ud800""#, "peer_id: not a string of code points from 0 to 255"),
        (r#""peer_id":"ppppppppppppppppppp😀""#, "peer_id: not a string of code points from 0 to 255"),
        (r#""answer":{}"#, "to_peer_id: missing"),
        (r#""answer":7,"to_peer_id":"pppppppppppppppppppp""#, "offer_id: missing"),
        (
            r#""answer":7,"to_peer_id":"pppppppppppppppppppp","offer_id":"pppppppppppppppppppp""#,
            "answer: not an object",
        ),
    ] {
        fails(&format!("{{{ok},{more}}}"), &format!(r#"{head}{reason}"}}"#));
    }
    fails(&format!("{{{ok}"), &format!(r#"{head}message: not valid JSON"}}"#));
    fails(&format!("{{{ok}}} x"), &format!(r#"{head}message: not valid JSON"}}"#));
    fails(r#"{"action":"announce"}"#, r#"{"action":"announce","failure reason":"info_hash: missing"}"#);
    fails(
        r#"{"info_hash":"aaaaaaaaaaaaaaaaaaaa","action":"dance"}"#,
        r#"{"info_hash":"aaaaaaaaaaaaaaaaaaaa","failure reason":"action: unknown"}"#,
    );
    for (action, reason) in [("", "missing"), (r#""action":7"#, "unknown"), (r#""action":null"#, "missing")] {
        fails(&format!("{{{action}}}"), &format!(r#"{{"failure reason":"action: {reason}"}}"#));
    }
    for text in ["", "{", "hello", "{]", "{\"x\":7,}", "\u{0}"] {
        fails(text, r#"{"failure reason":"message: not valid JSON"}"#);
    }
    for text in ["7", "[]", "null", r#""announce""#, "[{}]"] {
        fails(text, r#"{"failure reason":"message: not a JSON object"}"#);
    }
}

#[test]
fn the_last_of_a_repeated_field_counts_and_unknown_ones_do_not() {
    let mut world = World::new(1);
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    let got = world
        .send(0, &announce(OTHER, "0", &format!(r#","info_hash":"{HASH}","x":{deep},"y":[{{"z":1e9}}]"#)));
    assert_eq!(got.received.outcome, Outcome::Done);
    assert_eq!((world.counts(HASH), world.counts(OTHER)), ((0, 1, 0), (0, 0, 0)));
}

#[test]
fn seeders_are_given_leechers_only() {
    let mut world = World::new(3);
    world.send(0, &announce(HASH, "0", r#","left":0"#));
    world.send(1, &announce(HASH, "1", r#","left":1"#));
    let got = world.send(2, &announce(HASH, "2", &format!(r#"{},"left":0"#, offers(&["a", "b", "c"]))));
    assert_eq!(got.relays.iter().map(|(to, _)| *to).collect::<Vec<_>>(), [1]);
}

#[test]
fn who_stops_leaves_and_is_answered_and_its_offers_are_not_read() {
    let mut world = World::new(2);
    world.send(0, &announce(HASH, "0", ""));
    world.send(1, &announce(HASH, "1", ""));
    let got = world.send(1, &announce(HASH, "1", r#","event":"stopped","offers":[7],"numwant":"x""#));
    assert_eq!(
        got.reply,
        r#"{"action":"announce","info_hash":"aaaaaaaaaaaaaaaaaaaa","interval":120,"complete":0,"incomplete":1}"#
    );
    assert!(got.relays.is_empty());
    let got = world.send(1, &announce(OTHER, "1", r#","event":"stopped""#));
    assert_eq!(got.received.outcome, Outcome::Done);
}

#[test]
fn a_connection_carries_many_torrents_and_peer_ids_up_to_its_limit() {
    let mut world = World::new(2);
    world.settings.max_torrents_per_connection = 2;
    for (hash, peer) in [(HASH, "0"), (OTHER, "1"), (OTHER, "2"), (HASH, "0")] {
        assert_eq!(world.send(0, &announce(hash, peer, "")).received.outcome, Outcome::Done);
    }
    let third = "cccccccccccccccccccc";
    let full = world.send(0, &announce(third, "0", ""));
    assert_eq!(
        full.reply,
        r#"{"action":"announce","info_hash":"cccccccccccccccccccc","failure reason":"too many torrents on one connection"}"#
    );
    assert_eq!(full.received, Received { kind: Kind::Announce, outcome: Outcome::Failed });
    assert_eq!(
        (world.counts(HASH), world.counts(OTHER), world.counts(third)),
        ((0, 1, 0), (0, 1, 0), (0, 0, 0))
    );
    world.send(0, &announce(HASH, "0", r#","event":"stopped""#));
    assert_eq!(world.send(0, &announce(third, "0", "")).received.outcome, Outcome::Done);
    let World { clients, engine, now, .. } = &mut world;
    clients[0].close(engine, *now);
    assert_eq!(world.engine.totals().torrents, 0);
}

#[test]
fn a_peer_id_that_changes_replaces_the_old_one_of_its_connection() {
    let mut world = World::new(2);
    world.send(1, &announce(HASH, "1", ""));
    world.send(0, &announce(HASH, "0", r#","left":0"#));
    let got = world.send(0, &announce(HASH, "9", &offers(&["a", "b", "c"])));
    assert_eq!(got.relays.iter().map(|(to, _)| *to).collect::<Vec<_>>(), [1], "none to itself");
    assert_eq!(world.counts(HASH), (0, 2, 0), "the seeder it was is gone");
    // Offers made by the old one are answered to nobody, and the old one answers nothing.
    let got = world.send(1, &announce(HASH, "1", &offers(&["d"])));
    world.deliver(0, got.relays[0].1.clone());
    assert_eq!(world.send(0, &answer(HASH, "0", "1", "d")).received.outcome, Outcome::Unroutable);
    assert_eq!(world.send(0, &answer(HASH, "9", "1", "d")).received.outcome, Outcome::Done);
    // Elsewhere it may be somebody else.
    world.send(0, &announce(OTHER, "0", ""));
    assert_eq!((world.counts(HASH), world.counts(OTHER)), ((0, 2, 0), (0, 1, 0)));
    // A stop is of the peer that it names.
    assert_eq!(world.send(0, &announce(HASH, "0", r#","event":"stopped""#)).received.outcome, Outcome::Done);
    assert_eq!(world.counts(HASH), (0, 2, 0));
    let World { clients, engine, now, .. } = &mut world;
    clients[0].close(engine, *now);
    assert_eq!((world.counts(HASH), world.counts(OTHER)), ((0, 1, 0), (0, 0, 0)));
}

#[test]
fn a_new_peer_id_makes_room_for_itself_where_an_address_is_full() {
    let mut world = World::new(2);
    world.engine.set_policy(Policy { peers_per_address: Some(1), ..Policy::default() });
    world.send(0, &announce(HASH, "0", ""));
    world.send(0, &announce(HASH, "1", ""));
    assert_eq!((world.counts(HASH), world.clients[0].memberships.len()), ((0, 1, 0), 1));
    // One that is taken is a failure, and the connection is nobody there.
    world.send(1, &announce(HASH, "2", ""));
    assert_eq!(world.send(0, &announce(HASH, "2", "")).received.outcome, Outcome::Failed);
    assert_eq!((world.counts(HASH), world.clients[0].memberships.len()), ((0, 1, 0), 0));
}

#[test]
fn a_peer_id_is_taken_over_from_the_same_address_alone() {
    let mut world = World::new(3);
    let address = world.clients[0].address;
    world.clients[1] = Connection::new(ConnectionKey(1), address, [7, 8]);
    world.send(0, &announce(HASH, "0", ""));
    let got = world.send(2, &announce(HASH, "0", ""));
    assert_eq!(
        got.reply,
        r#"{"action":"announce","info_hash":"aaaaaaaaaaaaaaaaaaaa","failure reason":"peer ID is in use by another client"}"#
    );
    assert!(world.clients[2].memberships.is_empty());
    // Its offer, made before, is answered to the connection that has taken over.
    let got = world.send(0, &announce(HASH, "0", &offers(&["1"])));
    assert!(got.relays.is_empty(), "alone");
    world.send(2, &announce(HASH, "2", ""));
    let got = world.send(0, &announce(HASH, "0", &offers(&["1"])));
    world.deliver(2, got.relays[0].1.clone());
    assert_eq!(world.send(1, &announce(HASH, "0", "")).received.outcome, Outcome::Done);
    let World { clients, engine, now, .. } = &mut world;
    clients[0].close(engine, *now);
    assert_eq!(world.counts(HASH), (0, 2, 0));
    let got = world.send(2, &answer(HASH, "2", "0", "1"));
    assert_eq!(got.relays[0].0, 1);
}

#[test]
fn who_is_not_stored_is_answered_and_offers_nothing() {
    let mut world = World::new(2);
    world.send(0, &announce(HASH, "0", ""));
    world.engine.set_policy(Policy { max_peers_per_torrent: 1, ..Policy::default() });
    let got = world.send(1, &announce(HASH, "1", &offers(&["1"])));
    assert_eq!((got.received.outcome, got.relays.len()), (Outcome::Done, 0));
    assert!(world.clients[1].memberships.is_empty());
}

#[test]
fn a_torrent_that_is_not_permitted_is_a_failure() {
    let mut world = World::new(1);
    world.send(0, &announce(HASH, "0", ""));
    world.engine.set_access(AccessList::new(Mode::Allow, vec![]).unwrap(), 0);
    let got = world.send(0, &announce(HASH, "0", ""));
    assert_eq!(
        got.reply,
        r#"{"action":"announce","info_hash":"aaaaaaaaaaaaaaaaaaaa","failure reason":"info hash not allowed on this tracker"}"#
    );
    assert!(world.clients[0].memberships.is_empty());
}

#[test]
fn scrapes() {
    let mut world = World::new(2);
    world.send(0, &announce(HASH, "0", r#","left":0,"event":"completed""#));
    world.send(1, &announce(HASH, "1", ""));
    let row = r#""aaaaaaaaaaaaaaaaaaaa":{"complete":1,"incomplete":1,"downloaded":1}"#;
    let zero = r#""bbbbbbbbbbbbbbbbbbbb":{"complete":0,"incomplete":0,"downloaded":0}"#;
    let got = world.send(0, &format!(r#"{{"action":"scrape","info_hash":"{HASH}"}}"#));
    assert_eq!(got.reply, format!(r#"{{"action":"scrape","info_hash":"{HASH}","files":{{{row}}}}}"#));
    assert_eq!(got.received, Received { kind: Kind::Scrape, outcome: Outcome::Done });
    let many = format!(r#"{{"action":"scrape","info_hash":["{OTHER}","{HASH}","{OTHER}"]}}"#);
    assert_eq!(world.send(0, &many).reply, format!(r#"{{"action":"scrape","files":{{{row},{zero}}}}}"#));
    world.settings.max_scrape_hashes = 1;
    assert_eq!(world.send(0, &many).reply, format!(r#"{{"action":"scrape","files":{{{zero}}}}}"#));
    let none = world.send(0, r#"{"action":"scrape","info_hash":[]}"#);
    assert_eq!(none.reply, r#"{"action":"scrape","files":{}}"#);
    for (field, reason) in [
        ("", "info_hash: missing"),
        (r#","info_hash":null"#, "info_hash: missing"),
        (r#","info_hash":7"#, "info_hash: not a string or an array of strings"),
        (r#","info_hash":"a""#, "info_hash: not 20 bytes long"),
        (r#","info_hash":["a"]"#, "info_hash[0]: not 20 bytes long"),
        (r#","info_hash":[["a"]]"#, "info_hash[0]: not a string"),
    ] {
        fails(
            &format!(r#"{{"action":"scrape"{field}}}"#),
            &format!(r#"{{"action":"scrape","failure reason":"{reason}"}}"#),
        );
    }
}

#[test]
fn what_could_break_the_parser_of_another_client_is_not_relayed() {
    let nested = |depth: usize| format!("{}{}", r#"{"a":"#.repeat(depth - 1) + "{", "}".repeat(depth));
    let cases = [
        (nested(16), None),
        (nested(17), Some("nested too deeply")),
        (format!(r#"{{"a":"{}"}}"#, "[{".repeat(50)), None),
        (format!(r#"{{"a":"\"{}"}}"#, "[{".repeat(50)), None),
        (format!(r#"{{"a":[{}0]}}"#, "[],".repeat(50)), None),
        (r#"{"a":"\ud83d\ude00\u00e9"}"#.to_owned(), None),
        (r#"{"a":"\ud83d"}"#.to_owned(), Some("not valid Unicode")),
        (r#"{"a":"\ud83dx"}"#.to_owned(), Some("not valid Unicode")),
        (r#"{"a":"\ud83d\n"}"#.to_owned(), Some("not valid Unicode")),
        (r#"{"a":"\ude00"}"#.to_owned(), Some("not valid Unicode")),
        (r#"{"a":"\uD83D\uD83D\uDE00"}"#.to_owned(), Some("not valid Unicode")),
        (r#"{"a":"\\ude00"}"#.to_owned(), None),
    ];
    for (json, fault) in cases {
        let text = format!(r#","offers":[{{"offer":{json},"offer_id":"oooooooooooooooooooo"}}]"#);
        let text = announce(HASH, "0", &text);
        match fault {
            Some(fault) => fails(
                &text,
                &format!(
                    r#"{{"action":"announce","info_hash":"{HASH}","failure reason":"offers[0].offer: {fault}"}}"#
                ),
            ),
            None => assert_eq!(World::new(1).send(0, &text).received.outcome, Outcome::Done, "{json}"),
        }
    }
}

#[test]
fn an_idle_connection_in_one_torrent_is_small() {
    assert!(size_of::<Connection>() <= 128, "{}", size_of::<Connection>());
    let mut world = World::new(1);
    world.send(0, &announce(HASH, "0", ""));
    assert!(world.clients[0].memberships.capacity() <= 4);
    assert!(world.clients[0].memory() <= 160, "{}", world.clients[0].memory());
    for n in 0..100 {
        world.send(0, &announce(&format!("{n:020}"), "0", ""));
    }
    assert!((4_000..=6_000).contains(&world.clients[0].memory()), "{}", world.clients[0].memory());
    let World { clients, engine, now, .. } = &mut world;
    clients[0].close(engine, *now);
    assert_eq!(clients[0].memory(), 0);
}

#[test]
fn the_software_of_one_announce_in_so_many_is_told() {
    let mut world = World::new(1);
    let text = format!(r#"{{"action":"announce","info_hash":"{HASH}","peer_id":"-WW0201-abcdefghijkl"}}"#);
    for round in 1..=3 * ANNOUNCES_PER_LOOK {
        world.send(0, &text);
        let told = world.out.software.map(ClientSoftware::name);
        assert_eq!(told, round.is_multiple_of(ANNOUNCES_PER_LOOK).then_some("WebTorrent"), "{round}");
        world.send(0, &format!(r#"{{"action":"scrape","info_hash":"{HASH}"}}"#));
        assert_eq!(world.out.software, None);
    }
}
