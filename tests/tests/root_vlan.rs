//! Tagged frames end to end: answered under the tags they came with, and only where the address lives under them.
//!
//! Which addresses live under which tags is read from the host's VLAN devices. Not every kernel has those (the one
//! that this is built on has not), so the test writes the entries into the running program's map itself, in the
//! layout that the program reads, and plays the tagged client with raw frames.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use aya::maps::{HashMap, Map};
use std::net::IpAddr;
use tests::{
    frames::{self, Link, Sender, Tap},
    maps,
    rig::{Path, Rig},
    riptide::Riptide,
    service::{address, connects},
    udp::{Announce, connect_bytes, id20, scrape_bytes},
};

/// The tags of a frame: TPID and identifier, outermost first.
type Tags = &'static [(u16, u16)];

const NONE: Tags = &[];
const ONE: Tags = &[(0x8100, 10)];
const TWO: Tags = &[(0x88a8, 5), (0x8100, 20)];

/// Makes `address` one of the tracker's under these tags, in the map that the process holds.
fn add_destination(riptide: &Riptide, address: &str, tags: Tags) {
    let map = Map::HashMap(maps::held_by(riptide, "DESTINATIONS"));
    let mut map: HashMap<_, [u8; 24], u8> = HashMap::try_from(map).expect("entries of 24 bytes");
    let octets = match address.parse().expect("an address") {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    };
    // The address, two tags with a bit that says they are there, the port, two bytes of nothing.
    let tag = |n: usize| tags.get(n).map_or(0, |(_, id)| id | 0x8000);
    let mut key = [0; 24];
    key[..16].copy_from_slice(&octets);
    for (at, value) in [(16, tag(0)), (18, tag(1)), (20, 6969)] {
        key[at..at + 2].copy_from_slice(&value.to_ne_bytes());
    }
    map.insert(key, 0, 0).expect("room in the map");
}

fn with_tags(frame: &[u8], tags: Tags) -> Vec<u8> {
    let tags = tags.iter().flat_map(|(tpid, id)| [tpid.to_be_bytes(), id.to_be_bytes()].concat());
    frame[..12].iter().copied().chain(tags).chain(frame[12..].iter().copied()).collect()
}

/// Both ends of the wire at the level of frames.
struct Ends {
    link: Link,
    sender: Sender,
    tap: Tap,
}

impl Ends {
    fn new(rig: &Rig) -> Self {
        let wire = rig.wire().expect("a wire");
        let link = Link::over(wire);
        Self { link, sender: Sender::new(&wire.clients, "c0"), tap: Tap::new(&wire.clients, "c0") }
    }

    fn send(&self, tags: Tags, source: &str, tracker: &str, payload: &[u8]) {
        let frame = frames::udp(self.link, address(source), address(tracker), payload);
        self.sender.send(&with_tags(&frame, tags));
    }

    /// Sends a request and returns the payload of the reply, which must be a right frame with the same tags.
    fn ask(&self, tags: Tags, source: &str, tracker: &str, payload: &[u8]) -> Vec<u8> {
        self.send(tags, source, tracker, payload);
        let transaction = &payload[12..16];
        let back = Link { source: self.link.destination, destination: self.link.source };
        self.tap.wait_for(&format!("a reply from {tracker} under {tags:?}"), |frame| {
            // The expected frame is built anew around the payload, checksums and all.
            let headers = 12 + tags.len() * 4 + 2 + if source.starts_with('[') { 40 } else { 20 } + 8;
            let payload = frame.get(headers..).filter(|payload| payload.get(4..8) == Some(transaction))?;
            let expected = with_tags(&frames::udp(back, address(tracker), address(source), payload), tags);
            let different: Vec<usize> = (0..frame.len().max(expected.len()))
                .filter(|&n| frame.get(n) != expected.get(n) && !may_differ(n, tags, source))
                .collect();
            assert_eq!(different, Vec::<usize>::new(), "\n{frame:02x?}\n{expected:02x?}");
            Some(payload.to_vec())
        })
    }
}

/// The identification and flags of IPv4, with the header checksum that follows from them, are the sender's to choose.
fn may_differ(n: usize, tags: Tags, source: &str) -> bool {
    let ip = 14 + tags.len() * 4;
    !source.starts_with('[') && (ip + 4..ip + 8).contains(&n) || (ip + 10..ip + 12).contains(&n)
}

fn served_under(tags: Tags, path: Path) {
    let rig = Rig::new(path);
    let ends = Ends::new(&rig);
    let places = [
        ("10.77.10.1", "10.77.10.1:6969", "10.77.10.101:4000"),
        ("fd77:10::1", "[fd77:10::1]:6969", "[fd77:10::101]:4000"),
    ];
    for (own, tracker, client) in places {
        add_destination(rig.riptide(), own, tags);
        let info_hash = id20(own, 0);
        let connected = ends.ask(tags, client, tracker, &connect_bytes(1));
        assert_eq!((connected.len(), &connected[..8]), (16, &[0, 0, 0, 0, 0, 0, 0, 1][..]));
        let id: [u8; 8] = connected[8..].try_into().expect("eight bytes");
        for (n, port) in (2..).zip(1..=3) {
            let announced = ends.ask(tags, client, tracker, &Announce::leecher(info_hash, port).bytes(id, n));
            // The interval is up to chance.
            assert_eq!(announced[12..20], [[0, 0, 0, u8::try_from(port).unwrap()], [0; 4]].concat());
        }
        let scraped = ends.ask(tags, client, tracker, &scrape_bytes(id, 9, &[info_hash]));
        assert_eq!(scraped[8..], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3]);
    }
    let metrics =
        rig.riptide().metrics_until("ten replies", |m| m.sum("riptide_udp_responses_total", &[]) == 10.0);
    let count = |path| metrics.sum("riptide_udp_responses_total", &[("path", path)]);
    assert_eq!((count("kernel"), count("xsk")), (2.0, 8.0));
}

#[test]
fn one_tag_is_served_and_kept() {
    served_under(ONE, Path::Native);
}

#[test]
fn two_tags_are_served_and_kept() {
    served_under(TWO, Path::Native);
}

#[test]
fn tags_are_served_and_kept_in_generic_mode() {
    served_under(ONE, Path::Generic);
    served_under(TWO, Path::Generic);
}

/// No tag at all is the ordinary case, checked byte for byte here too.
#[test]
fn no_tag_is_served_and_none_is_added() {
    served_under(NONE, Path::Native);
    served_under(NONE, Path::Generic);
}

/// The address of one VLAN, asked for under another's tag, under none, or under one too many; and an untagged
/// address under a tag.
#[test]
fn an_address_is_answered_under_its_own_tags_only() {
    const OTHER: Tags = &[(0x8100, 11)];
    const SWAPPED: Tags = &[(0x88a8, 20), (0x8100, 5)];
    const THREE: Tags = &[(0x88a8, 5), (0x8100, 20), (0x8100, 20)];
    let rig = Rig::new(Path::Native);
    let ends = Ends::new(&rig);
    add_destination(rig.riptide(), "10.77.10.1", ONE);
    add_destination(rig.riptide(), "10.77.20.1", TWO);
    let strays = [
        ("10.77.10.1:6969", [NONE, OTHER, TWO].as_slice()),
        ("10.77.20.1:6969", [NONE, ONE, SWAPPED, THREE].as_slice()),
        ("10.77.0.1:6969", [ONE, OTHER, TWO].as_slice()),
    ];
    for (tracker, wrong) in strays {
        for tags in wrong {
            ends.send(tags, "10.77.10.101:4000", tracker, &connect_bytes(1));
            // Its connection ID is wrong as well: passed on, not dropped.
            ends.send(tags, "10.77.10.101:4000", tracker, &Announce::leecher([1; 20], 1).bytes([9; 8], 1));
        }
    }
    let _ = ends.ask(ONE, "10.77.10.101:4000", "10.77.10.1:6969", &connect_bytes(2));
    let _ = ends.ask(TWO, "10.77.10.101:4000", "10.77.20.1:6969", &connect_bytes(3));
    let metrics = rig.metrics();
    assert_eq!(connects(&metrics, "kernel"), 2.0);
    assert_eq!(metrics.sum("riptide_udp_dropped_total", &[("path", "kernel")]), 0.0);
}
