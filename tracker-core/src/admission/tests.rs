//! Each clamp as a table, alike at every door; and that each door tells what was decided.

use super::*;
use crate::{
    engine::{ConnectionKey, Engine},
    http,
    keys::Pass,
    model::{Counts, Role},
    policy::Policy,
    rng::Rng,
    udp, ws,
};
use bytes::BytesMut;
use std::net::IpAddr;
use tracker_common::{
    connection_id::{ConnectionIds, lifetime_slots},
    siphash::Key,
};

const DOORS: [Door; 3] = [Door::Udp, Door::Http, Door::Webtorrent];

fn address(text: &str) -> Address {
    text.parse::<IpAddr>().unwrap().into()
}

fn network(text: &str) -> Network {
    let (address, prefix) = text.split_once('/').unwrap();
    Network::new(address.parse().unwrap(), prefix.parse().unwrap())
}

fn applicant(door: Door) -> Applicant<'static> {
    let (key, peer_id) = (None, b"-XX0001-aaaaaaaaaaaa");
    Applicant { door, key, peer_id, source: address("198.51.100.1"), port: 6881, claim: None, num_want: None }
}

#[test]
fn how_many_peers() {
    let admission =
        Admission { default_num_want: 50, max_num_want: 200, max_offers: 200, ..Admission::default() };
    for door in DOORS {
        for (asked, given) in [
            (None, 50),
            (Some(-1), 50),
            (Some(i64::MIN), 50),
            (Some(0), 0),
            (Some(1), 1),
            (Some(200), 200),
            (Some(201), 200),
            (Some(0x7fff_ffff), 200),
            (Some(i64::MAX), 200),
        ] {
            let terms =
                admission.admit(&Applicant { num_want: asked, ..applicant(door) }, Measures::NONE).unwrap();
            assert_eq!(terms.peers, given, "{asked:?} by {door:?}");
        }
    }
}

#[test]
fn the_default_is_capped_too() {
    let admission =
        Admission { default_num_want: 90, max_num_want: 9, max_offers: 8, ..Admission::default() };
    assert_eq!(DOORS.map(|door| admission.admit(&applicant(door), Measures::NONE).unwrap().peers), [9, 9, 8]);
}

/// Only UDP has a ceiling.
#[test]
fn lists_by_udp_get_shorter() {
    let admission =
        Admission { default_num_want: 50, max_num_want: 200, max_offers: 30, ..Admission::default() };
    let measures = Measures { peers: 20, ..Measures::NONE };
    let given = |num_want| {
        DOORS.map(|door| admission.admit(&Applicant { num_want, ..applicant(door) }, measures).unwrap().peers)
    };
    assert_eq!(given(None), [20, 50, 30]);
    assert_eq!(given(Some(1000)), [20, 200, 30]);
    assert_eq!(given(Some(7)), [7, 7, 7]);
    assert_eq!((admission.most_by_udp(measures), admission.most_by_udp(Measures::NONE)), (20, 200));
}

/// Exact where chance is off, as [`Interval`]'s own tests have it on.
fn exact() -> Admission {
    Admission {
        interval: 1801,
        max_interval: 3601,
        interval_jitter: 0,
        min_interval: 302,
        webtorrent_interval: 123,
        max_webtorrent_interval: 223,
        ..Admission::default()
    }
}

#[test]
fn intervals() {
    for (stretch, expected) in [
        (0, [(1801, 302), (1801, 302), (123, 0)]),
        (500, [(2701, 452), (2701, 452), (173, 0)]),
        (1000, [(3601, 603), (3601, 603), (223, 0)]),
    ] {
        let measures = Measures { stretch, ..Measures::NONE };
        let told = DOORS.map(|door| {
            let interval = exact().admit(&applicant(door), measures).unwrap().interval;
            let told = interval.told(&Counts::default(), &mut Rng::new([1, 2]));
            (told, interval.least(told))
        });
        assert_eq!(told, expected, "{stretch}");
        assert_eq!(exact().present_interval(measures), expected[0].0);
    }
}

#[test]
fn claims_are_believed_of_trusted_networks_only() {
    let trusted = ["10.1.0.0/16", "2001:db8::/32", "127.0.0.1/32"].map(network).to_vec();
    let admission = Admission { trusted, ..Admission::default() };
    for door in DOORS {
        for (source, claimed, port, given) in [
            ("10.1.2.3", "192.0.2.9", None, ("192.0.2.9", 6881)),
            ("10.1.2.3", "192.0.2.9", Some(80), ("192.0.2.9", 80)),
            ("10.1.2.3", "2001:db8:9::9", None, ("2001:db8:9::9", 6881)),
            ("2001:db8::1", "2001:db8:9::9", Some(81), ("2001:db8:9::9", 81)),
            ("2001:db8::1", "192.0.2.9", None, ("192.0.2.9", 6881)),
            ("127.0.0.1", "10.66.0.1", None, ("10.66.0.1", 6881)),
            // What is no peer's address is not taken, and nor is its port.
            ("10.1.2.3", "0.0.0.0", Some(80), ("10.1.2.3", 6881)),
            ("10.1.2.3", "224.0.0.1", None, ("10.1.2.3", 6881)),
            ("10.1.2.3", "255.255.255.255", None, ("10.1.2.3", 6881)),
            ("10.1.2.3", "::", None, ("10.1.2.3", 6881)),
            ("10.1.2.3", "ff02::1", None, ("10.1.2.3", 6881)),
            // Strangers.
            ("10.2.2.3", "192.0.2.9", Some(80), ("10.2.2.3", 6881)),
            ("2001:db9::1", "2001:db8:9::9", None, ("2001:db9::1", 6881)),
            ("127.0.0.2", "10.66.0.1", None, ("127.0.0.2", 6881)),
        ] {
            let claim = Some(Claim { address: address(claimed), port });
            let asked = Applicant { source: address(source), claim, ..applicant(door) };
            let terms = admission.admit(&asked, Measures::NONE).unwrap();
            let (given, given_port) = given;
            assert_eq!(
                (terms.address, terms.port),
                (address(given), given_port),
                "{source}: {claimed} by {door:?}"
            );
        }
    }
    let nobody = Admission::default();
    let claim = Some(Claim { address: address("192.0.2.9"), port: None });
    for door in DOORS {
        let terms = nobody.admit(&Applicant { claim, ..applicant(door) }, Measures::NONE).unwrap();
        assert_eq!(terms.address, applicant(door).source);
    }
}

#[test]
fn whoever_is_refused_is_told_when_to_come_back() {
    for (rejected, interval, retry) in [
        (Rejected::NotPermitted, 1800, Some(Retry::Never)),
        (Rejected::Banned, 1800, Some(Retry::Never)),
        (Rejected::TooManyTorrents, 1800, Some(Retry::Minutes(30))),
        (Rejected::TooManyTorrents, 1801, Some(Retry::Minutes(31))),
        (Rejected::TooManyTorrents, 1, Some(Retry::Minutes(1))),
        (Rejected::TooManyTorrents, 0, Some(Retry::Minutes(1))),
        (Rejected::ClientDenied, 1800, Some(Retry::Never)),
        (Rejected::KeyMissing, 1800, Some(Retry::Never)),
        (Rejected::KeyUnknown, 1800, Some(Retry::Minutes(30))),
        (Rejected::PeerIdTaken, 1800, None),
        (Rejected::TooManyMemberships, 1800, None),
    ] {
        assert_eq!(Admission::default().retry(rejected, interval), retry, "{rejected:?} at {interval}");
        let message = rejected.message();
        assert!(!message.is_empty() && message.bytes().all(|b| (b' '..=b'~').contains(&b)), "{message}");
    }
}

const PEER_ID: &str = "-XX0001-aaaaaaaaaaaa";

struct Socket<'a>(&'a Engine, ws::Connection, u64);

impl Socket<'_> {
    fn say(&mut self, action: &str, torrent: &str) -> String {
        let mut out = ws::Outbox::default();
        let text = format!(r#"{{"action":"{action}","info_hash":"{torrent}","peer_id":"{PEER_ID}"}}"#);
        self.1.receive(&text, self.0, &ws::Settings::default(), 0, &mut Rng::new([self.2, 6]), &mut out);
        out.reply.unwrap()
    }
}

/// A tracker that holds a torrent of `aaaa…` and takes no other, asked by each protocol, and what chance begins with.
struct Doors(Engine, u64);

impl Doors {
    fn new(admission: Admission) -> Self {
        let doors = Self(Engine::new(Policy { admission, max_torrents: 1, ..Policy::default() }, [1, 2]), 5);
        doors.http("aaaaaaaaaaaaaaaaaaaa");
        doors
    }

    fn udp(&self, torrent: u8) -> Vec<u8> {
        self.udp_with(torrent, b"")
    }

    /// With these options behind it.
    fn udp_with(&self, torrent: u8, options: &[u8]) -> Vec<u8> {
        struct One(Vec<u8>, [u8; 1232], usize);
        impl udp::Batch for One {
            fn len(&self) -> usize {
                1
            }
            fn request(&self, _: usize) -> udp::Received<'_> {
                let source = address("198.51.100.2");
                udp::Received { source, source_port: 1, payload: &self.0, verified: true, on_loopback: false }
            }
            fn reply_buffer(&mut self, _: usize) -> &mut [u8] {
                &mut self.1
            }
            fn finish(&mut self, _: usize, outcome: udp::Outcome) {
                let udp::Outcome::Reply { len, .. } = outcome else { panic!("{outcome:?}") };
                self.2 = len;
            }
        }
        let mut request = vec![0; 98];
        request[11] = 1;
        request[16..36].fill(torrent);
        request[36..56].copy_from_slice(PEER_ID.as_bytes());
        request[96..].copy_from_slice(&7_u16.to_be_bytes());
        request.extend(options);
        let mut one = One(request, [0; 1232], 0);
        let ids = ConnectionIds::new(Key { k0: 1, k1: 2 }, lifetime_slots(600), 0);
        udp::Responder::new(udp::ResponderConfig::default(), ids, [self.1, 6])
            .handle_batch(&self.0, 0, &mut one);
        one.1[..one.2].to_vec()
    }

    fn http(&self, torrent: &str) -> String {
        self.http_with(torrent, None)
    }

    fn http_with(&self, torrent: &str, key: Option<&str>) -> String {
        let mut out = BytesMut::new();
        let query = format!("info_hash={torrent}&peer_id={PEER_ID}&port=1");
        let client = address("198.51.100.3");
        let key = key.map(str::as_bytes);
        http::Responder::new([self.1, 6], 1).announce(&self.0, query.as_bytes(), key, client, 0, &mut out);
        out.escape_ascii().to_string()
    }

    fn webtorrent(&self, torrent: &str) -> String {
        self.connection("").say("announce", torrent)
    }

    /// A WebSocket that came by this path.
    fn connection(&self, path: &str) -> Socket<'_> {
        let connection = ws::Connection::new(ConnectionKey(1), address("198.51.100.4"), [7, 8]);
        Socket(&self.0, connection.with_pass(Pass::of_path(path.as_bytes())), self.1)
    }
}

#[test]
fn every_door_tells_the_interval_that_was_decided() {
    let doors = Doors::new(exact());
    assert_eq!(doors.udp(b'a')[8..12], 1801_u32.to_be_bytes());
    assert!(doors.http("aaaaaaaaaaaaaaaaaaaa").contains("8:intervali1801e12:min intervali302e"));
    assert!(doors.webtorrent("aaaaaaaaaaaaaaaaaaaa").contains(r#""interval":123,"#));
    doors.0.take_measures(Measures { stretch: 500, ..Measures::NONE }, 0);
    assert_eq!(doors.udp(b'a')[8..12], 2701_u32.to_be_bytes());
    assert!(doors.http("aaaaaaaaaaaaaaaaaaaa").contains("8:intervali2701e12:min intervali452e"));
    assert!(doors.webtorrent("aaaaaaaaaaaaaaaaaaaa").contains(r#""interval":173,"#));
    // 45 minutes and a second.
    assert!(doors.http("bbbbbbbbbbbbbbbbbbbb").contains("8:retry ini46e"));
}

/// A seeder and two leechers: eight tenths of the half are off.
#[test]
fn every_door_tells_less_of_a_swarm_that_just_began() {
    let doors = Doors::new(exact());
    doors.0.take_measures(Measures { haste: 1000, ..Measures::NONE }, 0);
    doors.udp(b'a');
    doors.webtorrent("aaaaaaaaaaaaaaaaaaaa");
    assert_eq!(doors.udp(b'a')[8..12], (1801_u32 - 900 * 8 / 10).to_be_bytes());
    assert!(doors.http("aaaaaaaaaaaaaaaaaaaa").contains("8:intervali1081e12:min intervali302e"));
    assert!(doors.webtorrent("aaaaaaaaaaaaaaaaaaaa").contains(r#""interval":75,"#));
}

#[test]
fn every_door_leaves_something_to_chance() {
    let mut doors = Doors::new(Admission { interval_jitter: 100, ..exact() });
    let told = |number: &str, behind: &str| -> u32 { number.split(behind).next().unwrap().parse().unwrap() };
    let (mut udp, mut http, mut webtorrent) = (Vec::new(), Vec::new(), Vec::new());
    for seed in 0..50 {
        doors.1 = seed;
        udp.push(u32::from_be_bytes(doors.udp(b'a')[8..12].try_into().unwrap()));
        let reply = doors.http("aaaaaaaaaaaaaaaaaaaa");
        http.push(told(reply.split("8:intervali").nth(1).unwrap(), "e"));
        let reply = doors.webtorrent("aaaaaaaaaaaaaaaaaaaa");
        webtorrent.push(told(reply.split(r#""interval":"#).nth(1).unwrap(), ","));
    }
    for (told, least, most) in [(udp, 1621, 1981), (http, 1621, 1981), (webtorrent, 111, 135)] {
        assert!(told.iter().all(|told| (least..=most).contains(told)), "{told:?}");
        let different: std::collections::BTreeSet<_> = told.iter().collect();
        assert!(different.len() > 15, "{told:?}");
    }
}

#[test]
fn every_door_tells_the_same_of_a_refusal() {
    let doors = Doors::new(Admission { interval_jitter: 0, ..Admission::default() });
    assert_eq!(doors.udp(b'b')[8..], *b"tracker full, try again later");
    assert_eq!(
        doors.http("bbbbbbbbbbbbbbbbbbbb"),
        "d14:failure reason29:tracker full, try again later8:retry ini30ee"
    );
    assert!(
        doors
            .webtorrent("bbbbbbbbbbbbbbbbbbbb")
            .contains(r#""failure reason":"tracker full, try again later""#)
    );
}

#[test]
fn client_software_is_denied_by_the_beginning_of_its_peer_id() {
    let denied = |text: &str| Admission {
        denied_clients: Arc::new(ClientPrefixes::parse(text.as_bytes()).unwrap()),
        ..Admission::default()
    };
    for door in DOORS {
        for (peer_id, list, outcome) in [
            (&b"-XX0001-aaaaaaaaaaaa"[..], "-XX", Err(Rejected::ClientDenied)),
            (b"-XX0001-aaaaaaaaaaaa", "-XX0002-\n-XY\n", Ok(())),
            (b"-XX0001-aaaaaaaaaaaa", "", Ok(())),
            (b"-X", "-XX", Ok(())),
            (b"", "-XX", Ok(())),
        ] {
            let told = denied(list).admit(&Applicant { peer_id, ..applicant(door) }, Measures::NONE);
            assert_eq!(told.map(drop), outcome, "{list} by {door:?}");
        }
    }
}

#[test]
fn every_door_tells_a_denied_client_why() {
    let doors = Doors::new(Admission::default());
    let mut socket = doors.connection("");
    socket.say("announce", "aaaaaaaaaaaaaaaaaaaa");
    assert_eq!(doors.0.totals().peers_of(crate::model::Network::Webrtc, Role::Leecher), 1);
    let denied_clients = Arc::new(ClientPrefixes::parse(&b"-XX00\n"[..]).unwrap());
    let admission = Admission { denied_clients, ..Admission::default() };
    doors.0.set_policy(Policy { admission, ..Policy::default() });
    let message = "client not allowed on this tracker, use another program";
    assert_eq!(doors.udp(b'a')[..4], [0, 0, 0, 3]);
    assert_eq!(doors.udp(b'a')[8..], *message.as_bytes());
    let expected = format!("d14:failure reason{}:{message}8:retry in5:nevere", message.len());
    assert_eq!(doors.http("aaaaaaaaaaaaaaaaaaaa"), expected);
    assert!(socket.say("announce", "aaaaaaaaaaaaaaaaaaaa").contains(message));
    // And one that was there, it is no more.
    assert_eq!(doors.0.totals().peers_of(crate::model::Network::Webrtc, Role::Leecher), 0);
    assert_eq!(doors.0.scrape(&crate::model::InfoHash([b'a'; 20])).incomplete, 1, "the one before the list");
}

const KEY: &str = "correct-horse_battery-staple";

fn private() -> Admission {
    let keys = Keys::parse([1, 2, 3, 4], KEY.as_bytes()).unwrap();
    Admission { keys: Some(Arc::new(keys)), interval_jitter: 0, ..Admission::default() }
}

#[test]
fn a_key_is_needed_at_every_door() {
    for door in DOORS {
        for (key, outcome) in [
            (None, Err(Rejected::KeyMissing)),
            (Some(&b"correct-horse_battery-stapl"[..]), Err(Rejected::KeyUnknown)),
            (Some(b"x"), Err(Rejected::KeyUnknown)),
            (Some(KEY.as_bytes()), Ok(())),
        ] {
            let asked = Applicant { key, ..applicant(door) };
            assert_eq!(private().admit(&asked, Measures::NONE).map(drop), outcome, "{key:?} by {door:?}");
            assert_eq!(
                Admission::default().admit(&asked, Measures::NONE).map(drop),
                Ok(()),
                "{key:?} by {door:?}"
            );
        }
    }
}

#[test]
fn every_door_takes_the_key_from_its_address() {
    let doors = Doors(Engine::new(Policy { admission: private(), ..Policy::default() }, [1, 2]), 5);
    let [missing, unknown] = [Rejected::KeyMissing, Rejected::KeyUnknown].map(Rejected::message);
    let url = |path: &str| [&[2, path.len() as u8][..], path.as_bytes()].concat();
    let (path, wrong) = (format!("/{KEY}/announce"), "/correct-horse_battery-stapl/announce");
    let split =
        [&[1][..], &url(&path[..3]), &[9, 1, 0], &url(&path[3..20]), &url(&path[20..]), &[0, 2, 99]].concat();
    for (options, told) in [
        (&b""[..], Err(missing)),
        (&url("/announce"), Err(missing)),
        (&url(wrong), Err(unknown)),
        (&[url("/x"), url(&path)].concat(), Err(unknown)),
        (&url(&path), Ok(())),
        (&split, Ok(())),
    ] {
        let reply = doors.udp_with(b'a', options);
        match told {
            Ok(()) => assert_eq!(reply[..4], [0, 0, 0, 1], "{}", options.escape_ascii()),
            Err(why) => {
                assert_eq!((&reply[..4], &reply[8..]), (&[0, 0, 0, 3][..], why.as_bytes()), "{options:?}");
            }
        }
    }
    for (key, part) in [
        (None, format!("{missing}8:retry in5:never")),
        (Some("correct"), format!("{unknown}8:retry ini30e")),
        (Some(KEY), "8:intervali1800e".to_owned()),
    ] {
        let told = doors.http_with("aaaaaaaaaaaaaaaaaaaa", key);
        assert!(told.contains(&part), "{key:?}: {told}");
        let mut out = BytesMut::new();
        let query = b"info_hash=aaaaaaaaaaaaaaaaaaaa";
        http::Responder::new([5, 6], 1).scrape(&doors.0, query, key.map(str::as_bytes), &mut out);
        assert_eq!(out.starts_with(b"d5:files"), key == Some(KEY), "{out:?}");
    }
    for (path, part) in [
        ("", missing),
        ("/announce", missing),
        (wrong, unknown),
        (&path, r#""complete":1"#),
        (&path[..KEY.len() + 1], r#""complete":1"#),
    ] {
        for action in ["announce", "scrape"] {
            let told = doors.connection(path).say(action, "aaaaaaaaaaaaaaaaaaaa");
            assert!(told.contains(part) && told.contains(action), "{path}: {told}");
        }
    }
    let counts = doors.0.scrape(&crate::model::InfoHash([b'a'; 20]));
    assert_eq!((counts.complete, counts.incomplete), (1, 2), "one by each door");
}
