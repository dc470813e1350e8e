//! The frame matrix: every kind of frame, judged on the host and by the loaded program through the kernel's test-run
//! call, against a verdict written by hand and frames built and read by a crate that the product does not use.
//! Needs root: it loads the program.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is how a test fails"
)]

mod matrix;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use matrix::{
    BASE_NS, Expect, LIFETIME_SLOTS, MASTER, OUR_MAC, Recipe, THEIR_MAC, destinations, id_for, ip, loaded,
    matrix, request, settings, v6,
};
use std::{
    collections::HashSet,
    net::IpAddr,
    sync::{Arc, atomic::AtomicU64},
};
use tracker_common::{
    address::{Address, Family},
    connection_id::{ConnectionIds, key_index, keys_at, prepare, slot_at},
    maps::{Counter, Destination, LIMITED_KINDS, Rates, Settings},
    rate::{self, BUCKETS_PER_KIND, Rate},
    siphash::{Key, SipHash24},
    verdict::{Environment, Verdict, judge},
};
use tracker_core::{
    banned::{Banned, NetworkSet},
    networks::Network,
};
use tracker_user::{
    clock::{Clock, monotonic_ns},
    xdp::{
        program::{Counters, Program},
        socket::XskSocket,
    },
};

const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
const XDP_TX: u32 = 3;
const XDP_REDIRECT: u32 = 4;

/// The verdict's world on the host.
struct Host {
    settings: Settings,
    destinations: HashSet<Destination>,
    limits: Option<(Rates, Vec<AtomicU64>)>,
    banned: Vec<Network>,
}

impl Default for Host {
    fn default() -> Self {
        Self { destinations: destinations(), settings: settings(), limits: None, banned: Vec::new() }
    }
}

impl Host {
    /// With these networks banned.
    fn banning(banned: &[Network]) -> Self {
        let bits = banned.iter().fold(0, |bits, network| bits | Settings::family_bit(network.family()));
        Self { settings: Settings { banned: bits, ..settings() }, banned: banned.to_vec(), ..Self::default() }
    }

    fn judge(&self, frame: &[u8]) -> Expect {
        match judge(frame, self) {
            Verdict::Answer(_) => Expect::Answer,
            Verdict::Redirect(..) => Expect::Redirect,
            Verdict::Drop(counter, ..) => Expect::Drop(counter),
            Verdict::Pass(counter, _) => Expect::Pass(counter),
        }
    }
}

impl Environment for Host {
    fn settings(&self) -> Option<Settings> {
        Some(self.settings)
    }
    fn prepared(&self, slot: u64, family: Family, _: u32) -> Option<SipHash24> {
        let now = slot_at(Clock::new(BASE_NS).now_ns());
        let key = keys_at(MASTER, now, LIFETIME_SLOTS).get(key_index(slot) as usize).copied()?;
        Some(prepare(key, slot, family))
    }
    fn monotonic_ns(&self) -> u64 {
        monotonic_ns()
    }
    fn is_ours(&self, destination: &Destination, _: u32) -> bool {
        self.destinations.contains(destination)
    }
    fn admits(&self, kind: rate::Kind, client: &Address, now_ns: u64) -> bool {
        let (rates, buckets) = self.limits.as_ref().expect("limits");
        let [one, other] = rate::places(rates.secret(), client);
        let first = kind as usize * BUCKETS_PER_KIND;
        rates.rates[kind as usize].admit([&buckets[first + one], &buckets[first + other]], now_ns)
    }

    fn is_banned(&self, source: &Address, family: Family) -> bool {
        assert_eq!(family, source.family(), "sources that say otherwise are dropped before");
        self.banned.iter().any(|network| network.contains(*source))
    }
}

fn on_host(frame: &[u8]) -> Expect {
    Host::default().judge(frame)
}

/// The loaded program with the same world, and a socket for queue 0.
struct Kernel {
    program: Program,
    counters: Counters,
    _socket: XskSocket,
}

impl Kernel {
    fn load() -> Self {
        let (program, counters, socket) = loaded::load();
        Self { program, counters, _socket: socket }
    }

    /// What the program does, by its action and by the one counter that moved; and the frame as it leaves it.
    fn judge(&mut self, frame: &[u8]) -> (u32, Vec<Counter>, Vec<u8>) {
        let read = |counters: &Counters| -> Vec<u64> {
            Counter::ALL
                .iter()
                .map(|counter| {
                    Family::ALL.iter().map(|family| counters.read(*counter, *family).unwrap().frames).sum()
                })
                .collect()
        };
        let before = read(&self.counters);
        let (action, out) = self.program.test_run(frame).unwrap();
        let after = read(&self.counters);
        let moved = Counter::ALL
            .iter()
            .zip(before.iter().zip(&after))
            .flat_map(|(counter, (before, after))| std::iter::repeat_n(*counter, (after - before) as usize))
            .collect();
        (action, moved, out)
    }

    fn check(&mut self, name: &str, frame: &[u8], expected: Expect) {
        let (action, moved, out) = self.judge(frame);
        let (expected_action, counters) = match expected {
            Expect::Answer => (XDP_TX, vec![Counter::ConnectAnswered]),
            Expect::Redirect if moved == [Counter::ScrapeRedirected] => (XDP_REDIRECT, moved.clone()),
            Expect::Redirect => (XDP_REDIRECT, vec![Counter::AnnounceRedirected]),
            Expect::Drop(counter) => (XDP_DROP, vec![counter]),
            Expect::Pass(counter) => (XDP_PASS, vec![counter]),
        };
        assert_eq!((action, &moved), (expected_action, &counters), "{name}");
        if expected == Expect::Answer {
            check_reply(name, frame, &out);
        } else {
            assert_eq!(out, frame, "{name}: the frame was changed");
        }
    }
}

/// Reads a connect reply with etherparse: addressed back, checksums right, exactly 16 bytes, with a valid ID.
fn check_reply(name: &str, request: &[u8], reply: &[u8]) {
    assert_eq!((&reply[..6], &reply[6..12]), (&THEIR_MAC[..], &OUR_MAC[..]), "{name}: MAC addresses");
    let asked = SlicedPacket::from_ethernet(request).unwrap();
    let packet = SlicedPacket::from_ethernet(reply).unwrap();
    let l2 = |p: &SlicedPacket<'_>| p.link_exts.len();
    assert_eq!(l2(&packet), l2(&asked), "{name}: tags");
    let tags = 14 + 4 * l2(&packet);
    assert_eq!(reply[12..tags], request[12..tags], "{name}: tags kept");
    let Some(TransportSlice::Udp(udp)) = packet.transport else { panic!("{name}: no UDP") };
    assert_eq!((udp.source_port(), udp.destination_port()), (6969, 40_000), "{name}: ports");
    let payload = udp.payload();
    let (source, destination, checksum, end) = match (packet.net.unwrap(), asked.net.unwrap()) {
        (NetSlice::Ipv4(ip), NetSlice::Ipv4(asked)) => {
            let (header, asked) = (ip.header().to_header(), asked.header().to_header());
            assert_eq!(header.header_checksum, header.calc_header_checksum(), "{name}: IP checksum");
            assert_eq!(header.time_to_live, 64, "{name}");
            assert_eq!((header.source, header.destination), (asked.destination, asked.source), "{name}");
            let checksum = udp.to_header().calc_checksum_ipv4(&header, payload).unwrap();
            (IpAddr::from(header.source), IpAddr::from(header.destination), checksum, tags + 20)
        }
        (NetSlice::Ipv6(ip), NetSlice::Ipv6(asked)) => {
            let (header, asked) = (ip.header().to_header(), asked.header().to_header());
            assert_eq!(header.hop_limit, 64, "{name}");
            assert_eq!((header.source, header.destination), (asked.destination, asked.source), "{name}");
            let checksum = udp.to_header().calc_checksum_ipv6(&header, payload).unwrap();
            (IpAddr::from(header.source), IpAddr::from(header.destination), checksum, tags + 40)
        }
        _ => panic!("{name}: another family"),
    };
    assert_ne!(source, destination);
    assert_ne!(udp.checksum(), 0, "{name}: a checksum is always sent");
    assert_eq!(udp.checksum(), checksum, "{name}: UDP checksum");
    assert_eq!(reply.len(), end + 8 + 16, "{name}: length of the frame");
    assert_eq!(payload[..8], *b"\0\0\0\0\xde\xad\xbe\xef", "{name}: action and transaction ID");
    let ids = ConnectionIds::new(MASTER, LIFETIME_SLOTS, Clock::new(BASE_NS).now_ns());
    assert!(
        ids.is_valid(payload[8..16].try_into().unwrap(), &Address::from(destination)),
        "{name}: connection ID"
    );
}

#[test]
fn the_host_judges_the_matrix_as_written() {
    for (name, recipe, expected) in matrix() {
        assert_eq!(on_host(&recipe.build()), expected, "{name}");
    }
}

#[test]
fn root_the_program_judges_the_matrix_as_written() {
    let mut kernel = Kernel::load();
    for (name, recipe, expected) in matrix() {
        kernel.check(name, &recipe.build(), expected);
    }
}

#[test]
fn root_truncated_at_every_byte_host_and_program_agree() {
    let mut kernel = Kernel::load();
    let peer = ip("198.51.100.7");
    let recipes = [
        Recipe { payload: request(1, id_for(peer, 0), 82), ..Recipe::default() },
        v6(Recipe::default()),
        Recipe { vlans: vec![(0x88a8, 10), (0x8100, 20)], destination: ip("10.20.0.1"), ..Recipe::default() },
    ];
    for recipe in recipes {
        let frame = recipe.build();
        // The test-run call takes no frame shorter than an Ethernet header.
        for length in 14..frame.len() {
            let cut = &frame[..length];
            assert_eq!(on_host(cut), Expect::Pass(Counter::Truncated), "{length} of {} bytes", frame.len());
            kernel.check(
                &format!("{length} of {} bytes", frame.len()),
                cut,
                Expect::Pass(Counter::Truncated),
            );
        }
        for length in 0..14 {
            assert_eq!(on_host(&frame[..length]), Expect::Pass(Counter::Truncated), "{length} bytes");
        }
    }
}

#[test]
fn root_damaged_at_random_host_and_program_agree() {
    let mut kernel = Kernel::load();
    let frames: Vec<Vec<u8>> = matrix().into_iter().map(|(_, recipe, _)| recipe.build()).collect();
    // A fixed sequence (xorshift64), so that a failure can be repeated.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    for round in 0..3000 {
        let mut frame = frames[random(frames.len())].clone();
        for _ in 0..=random(3) {
            let place = random(frame.len().min(100));
            frame[place] = random(256) as u8;
        }
        let host = on_host(&frame);
        let (action, moved, out) = kernel.judge(&frame);
        let agree = match host {
            Expect::Answer => action == XDP_TX && moved == [Counter::ConnectAnswered],
            Expect::Redirect => action == XDP_REDIRECT,
            Expect::Drop(counter) => action == XDP_DROP && moved == [counter],
            Expect::Pass(counter) => action == XDP_PASS && moved == [counter],
        };
        assert!(agree, "round {round}: host {host:?}, program {action} {moved:?}, frame {frame:02x?}");
        assert!(action == XDP_TX || out == frame, "round {round}: the frame was changed");
        assert!(out.len() <= frame.len(), "round {round}: the reply is longer than the request");
    }
}

#[test]
fn root_switched_off_everything_passes() {
    let mut kernel = Kernel::load();
    kernel.program.set_settings(Settings { enabled: 0, ..settings() }).unwrap();
    for (name, recipe, _) in matrix() {
        kernel.check(name, &recipe.build(), Expect::Pass(Counter::Disabled));
    }
}

#[test]
fn root_a_destination_that_was_removed_passes_at_once() {
    let mut kernel = Kernel::load();
    let connect = Recipe::default().build();
    for round in 0..3 {
        kernel.check(&format!("there, {round}"), &connect, Expect::Answer);
        kernel.program.set_destinations(&HashSet::new()).unwrap();
        kernel.check(&format!("gone, {round}"), &connect, Expect::Pass(Counter::ForeignDestination));
        kernel.program.set_destinations(&destinations()).unwrap();
    }
}

fn network(text: &str) -> Network {
    Network::parse(text).unwrap().network
}

fn banned(networks: &[Network]) -> Banned {
    Banned::new(Arc::new(networks.iter().copied().collect()), Arc::<NetworkSet>::default())
}

/// The verdict of the matrix, if these networks are banned: whatever else would have become of a request that is ours.
fn with_ban(recipe: &Recipe, expected: Expect, banned: &[Network]) -> Expect {
    let is_judged = !matches!(expected, Expect::Pass(_) | Expect::Drop(Counter::BadSource));
    // A datagram whose lengths contradict each other has no source that could be asked about.
    let is_readable = recipe.udp_length.is_none();
    let is_banned = banned.iter().any(|network| network.contains(recipe.source.into()));
    if is_judged && is_readable && is_banned { Expect::Drop(Counter::Banned) } else { expected }
}

#[test]
fn root_whoever_is_banned_gets_nothing_and_everybody_else_the_same() {
    let mut kernel = Kernel::load();
    for texts in [
        &["198.51.100.0/24"][..],
        &["198.51.100.7", "2001:db8::/33"],
        &["128.0.0.0/1"],
        &["::/1"],
        &["2001:db8::7"],
        &["198.51.100.8/32", "198.51.100.0/30", "2001:db8::8/128", "10.0.0.0/8"],
        &["198.0.0.0/7", "198.51.100.6/31", "198.51.100.128/25"],
        &[],
    ] {
        let networks: Vec<Network> = texts.iter().map(|text| network(text)).collect();
        kernel.program.set_banned(&banned(&networks)).unwrap();
        let host = Host::banning(&networks);
        for (name, recipe, expected) in matrix() {
            let expected = with_ban(&recipe, expected, &networks);
            let frame = recipe.build();
            assert_eq!(host.judge(&frame), expected, "{name}, {texts:?}");
            kernel.check(&format!("{name}, {texts:?}"), &frame, expected);
        }
    }
}

#[test]
fn root_random_networks_host_and_program_agree() {
    let mut kernel = Kernel::load();
    // xorshift64, as above.
    let mut state = 0x1234_5678_9abc_def1_u64;
    let mut random = move |below: u32| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % u64::from(below)) as u32
    };
    let mut before = 0;
    for round in 0..200 {
        let networks: Vec<Network> = (0..random(20))
            .map(|_| match random(2) {
                0 => Network::new(
                    IpAddr::from([10, random(3) as u8, random(2) as u8, random(256) as u8]),
                    1 + random(32) as u8,
                ),
                _ => {
                    let low = random(0x1_0000) as u16;
                    Network::new(
                        IpAddr::from([0x2001, 0xdb8, random(3) as u16, 0, 0, 0, 0, low]),
                        1 + random(128) as u8,
                    )
                }
            })
            .collect();
        let set = banned(&networks);
        let (added, removed) = kernel.program.set_banned(&set).unwrap();
        let held = set.listed().len();
        assert_eq!(before + added - removed, held, "round {round}");
        before = held;
        let host = Host::banning(&networks);
        for _ in 0..20 {
            let low = random(0x1_0000) as u16;
            let recipe = match random(2) {
                0 => Recipe {
                    source: IpAddr::from([10, random(3) as u8, random(2) as u8, 1 + random(250) as u8]),
                    ..Recipe::default()
                },
                _ => Recipe {
                    source: IpAddr::from([0x2001, 0xdb8, random(3) as u16, 0, 0, 0, 0, low]),
                    ..v6(Recipe::default())
                },
            };
            let frame = recipe.build();
            let expected = host.judge(&frame);
            kernel.check(&format!("round {round}: {} in {networks:?}", recipe.source), &frame, expected);
        }
    }
}

#[test]
fn root_without_a_socket_requests_pass() {
    let mut kernel = Kernel::load();
    kernel.program.unset_socket(0);
    for (name, recipe, expected) in matrix() {
        let expected = if expected == Expect::Redirect { Expect::Pass(Counter::NoSocket) } else { expected };
        kernel.check(name, &recipe.build(), expected);
    }
}

/// So many at once, and then none for an hour.
fn at_once(burst: u64) -> Rate {
    let interval_ns = 3_600_000_000_000;
    Rate { interval_ns, tolerance_ns: (burst - 1) * interval_ns }
}

#[test]
fn root_rates_are_kept_alike_by_host_and_program() {
    let mut kernel = Kernel::load();
    let rates = Rates { secret: [5, 6], rates: [at_once(3), at_once(2)] };
    kernel.program.set_rates(rates).unwrap();
    let buckets = (0..LIMITED_KINDS * BUCKETS_PER_KIND).map(|_| AtomicU64::new(0)).collect();
    let limited = rate::Kind::UdpRequests.bit() | rate::Kind::UdpConnects.bit();
    let host = Host {
        settings: Settings { limited, ..settings() },
        limits: Some((rates, buckets)),
        ..Host::default()
    };
    let from = |source: &str| Recipe { source: ip(source), ..Recipe::default() };
    let from6 = |source: &str| Recipe { source: ip(source), ..v6(Recipe::default()) };
    let announce = |recipe: Recipe| Recipe { payload: request(1, id_for(recipe.source, 0), 82), ..recipe };
    let scrape = |recipe: Recipe| Recipe { payload: request(2, id_for(recipe.source, 0), 20), ..recipe };
    let forged = |recipe: Recipe| Recipe { payload: request(1, [7; 8], 82), ..recipe };
    let over = Expect::Drop(Counter::RateLimited);
    let bad = Expect::Drop(Counter::BadConnectionId);
    for (name, recipe, expected) in [
        // Whoever forges a source spends nothing of its share.
        ("forged", forged(from("198.51.100.1")), vec![bad; 9]),
        (
            "announces",
            announce(from("198.51.100.1")),
            vec![Expect::Redirect, Expect::Redirect, Expect::Redirect, over, over],
        ),
        ("scrapes count among announces", scrape(from("198.51.100.1")), vec![over]),
        ("from another port", Recipe { source_port: 9, ..announce(from("198.51.100.1")) }, vec![over]),
        (
            "connects are counted apart",
            from("198.51.100.1"),
            vec![Expect::Answer, Expect::Answer, over, over],
        ),
        ("forged, once over", forged(from("198.51.100.1")), vec![bad]),
        ("another address", announce(from("198.51.100.2")), vec![Expect::Redirect; 3]),
        ("a /64", announce(from6("2001:db8:5::1")), vec![Expect::Redirect; 2]),
        ("the same /64", announce(from6("2001:db8:5::ffff:2")), vec![Expect::Redirect, over]),
        ("another /64", announce(from6("2001:db8:5:1::1")), vec![Expect::Redirect; 3]),
    ] {
        for (number, expected) in expected.into_iter().enumerate() {
            let (frame, name) = (recipe.build(), format!("{name}, {number}"));
            assert_eq!(host.judge(&frame), expected, "{name}");
            kernel.check(&name, &frame, expected);
        }
    }
    // Other rates begin anew, and none at all let everything through.
    kernel
        .program
        .set_rates(Rates { rates: [Rate::new(1_000_000, 1_000_000), Rate::NONE], ..rates })
        .unwrap();
    for _ in 0..9 {
        kernel.check("a higher rate", &announce(from("198.51.100.1")).build(), Expect::Redirect);
        kernel.check("no rate", &from("198.51.100.1").build(), Expect::Answer);
    }
    kernel.program.set_rates(Rates::default()).unwrap();
    for (name, recipe, expected) in matrix() {
        kernel.check(name, &recipe.build(), expected);
    }
}

#[test]
fn root_what_was_prepared_with_another_key_is_void() {
    let mut kernel = Kernel::load();
    let frame =
        Recipe { payload: request(1, id_for(ip("198.51.100.7"), 0), 82), ..Recipe::default() }.build();
    kernel.check("its key", &frame, Expect::Redirect);
    kernel.program.set_keys([Key { k0: 1, k1: 2 }; 2]).unwrap();
    kernel.check("another key", &frame, Expect::Drop(Counter::BadConnectionId));
    let slot = slot_at(Clock::new(BASE_NS).now_ns());
    kernel.program.set_keys(keys_at(MASTER, slot, LIFETIME_SLOTS)).unwrap();
    kernel.check("its key again", &frame, Expect::Redirect);
}
