//! Which requests are answered, and with what.

use super::{assert_drops, client, hash};
use crate::{
    rig::{Family, Path, Rig},
    udp::{Announce, Client, Id20, Reply, Row, connect_bytes, id20, scrape_bytes},
};

/// Exactly 16 bytes, for a request of 16 and for longer ones.
pub fn a_connect_reply_is_sixteen_bytes(path: Path) {
    let rig = Rig::new(path);
    for family in Family::BOTH {
        let client = client(&rig, family);
        for tail in [0, 1, 2, 3, 26, 82, 984] {
            let mut request = connect_bytes(client.transaction());
            request.resize(16 + tail, 0xa5);
            // Reading it checks length, action and transaction ID.
            let reply = client.ask(&request);
            assert!(matches!(reply, Reply::Connected(_)), "{tail} bytes more: {reply:?}");
        }
    }
}

/// BEP 41's options, known, unknown and broken, and bytes that are none: never a reason to refuse.
pub fn options_and_longer_requests_are_accepted(path: Path) {
    let rig = Rig::new(path);
    let url_data = b"\x02\x0c/announce?a=";
    let tails: [&[u8]; 8] = [
        b"",
        url_data,
        b"\x02\x0c/announce?a=\x02\x02bc\x00",
        b"\x01\x01\x01\x00",
        b"\x7f\x03abc\x02\x01/",
        b"\x02\xff/",
        b"\x02",
        &[0xee; 1000],
    ];
    for family in Family::BOTH {
        let client = client(&rig, family);
        let info_hash = hash("options", family);
        for (n, tail) in (1..).zip(tails) {
            let announce = Announce { tail: tail.to_vec(), ..Announce::leecher(info_hash, n) };
            let reply = client.announce(&announce);
            assert_eq!(reply.leechers, u32::from(n), "with {tail:02x?}");
        }
    }
}

/// Neither helps a scan nor an amplification.
pub fn short_and_unknown_requests_are_dropped_and_counted(path: Path) {
    let rig = Rig::new(path);
    for family in Family::BOTH {
        let client = client(&rig, family);
        let id = client.connect();
        let announce = Announce::leecher(hash("short", family), 1).bytes(id, 7);
        let scrape = scrape_bytes(id, 7, &[hash("short", family)]);
        let with_action = |action: u32| [&announce[..8], &action.to_be_bytes(), &announce[12..]].concat();
        let mut wrong: Vec<Vec<u8>> = (0..16).map(|n| connect_bytes(7)[..n].to_vec()).collect();
        wrong.push([&[0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x81], &connect_bytes(7)[8..]].concat());
        wrong.extend([16, 20, 36, 97].map(|n| announce[..n].to_vec()));
        wrong.extend([16, 17, 35].map(|n| scrape[..n].to_vec()));
        wrong.extend([3, 4, 0x0100_0000, u32::MAX].map(with_action));
        let reason = [("reason", "malformed"), ("path", rig.connect_path())];
        assert_drops(&rig, &client, wrong.len(), &reason, || {
            wrong.iter().for_each(|bytes| client.send(bytes));
        });
    }
}

/// Fills a torrent with leechers and returns how many.
fn fill(client: &Client, info_hash: Id20, count: u16) {
    for port in 1..=count {
        client.announce(&Announce::leecher(info_hash, port).num_want(0));
    }
}

/// `num_want` is signed: negative is the default, zero none, and more than the cap the cap.
pub fn negative_zero_and_huge_numbers_of_peers(path: Path) {
    let rig = Rig::with_config(path, "[swarm]\ndefault_num_want = 7\nmax_num_want = 11\n");
    for family in Family::BOTH {
        let client = client(&rig, family);
        let info_hash = hash("num_want", family);
        fill(&client, info_hash, 20);
        let cases =
            [(-1, 7), (-100, 7), (i32::MIN, 7), (0, 0), (1, 1), (10, 10), (11, 11), (12, 11), (i32::MAX, 11)];
        for (wanted, given) in cases {
            let reply = client.announce(&Announce::leecher(info_hash, 1000).num_want(wanted));
            assert_eq!(reply.peers.len(), given, "{wanted} wanted");
            assert_eq!(reply.len, 20 + given * if family == Family::V4 { 6 } else { 18 });
        }
    }
}

/// 1232 bytes of payload: 202 IPv4 peers or 67 IPv6 ones, never repeated.
pub fn the_datagram_budget_bounds_a_reply(path: Path) {
    let rig = Rig::with_config(path, "[swarm]\nmax_num_want = 1000\n");
    for (family, most) in [(Family::V4, 202), (Family::V6, 67)] {
        let client = client(&rig, family);
        let info_hash = hash("budget", family);
        fill(&client, info_hash, 250);
        for wanted in [most, most + 1, 999, i32::MAX] {
            let reply = client.announce(&Announce::leecher(info_hash, 1000).num_want(wanted));
            assert_eq!(reply.peers.len(), usize::try_from(most).expect("a length"), "{wanted} wanted");
            assert!(reply.len <= 1232);
            let mut ports = reply.ports();
            ports.dedup();
            assert_eq!(ports.len(), reply.peers.len(), "a peer is listed once");
            assert!(ports.iter().all(|port| (1..=250).contains(port)), "{ports:?}");
        }
    }
}

/// One row for each hash, zero rows too, and what is no whole hash is ignored.
pub fn scrapes_are_answered_in_order(path: Path) {
    let rig = Rig::new(path);
    for family in Family::BOTH {
        let client = client(&rig, family);
        let [one, two, none] = ["one", "two", "none"].map(|name| hash(name, family));
        client.announce(&Announce::seeder(one, 1));
        client.announce(&Announce::leecher(two, 2));
        client.announce(&Announce::leecher(two, 3));
        let seeded = Row { seeders: 1, ..Row::default() };
        let wanted = Row { leechers: 2, ..Row::default() };
        assert_eq!(client.scrape(&[one, none, two]), [seeded, Row::default(), wanted]);
        assert_eq!(client.scrape(&[two, two, one]), [wanted, wanted, seeded]);
        for tail in [1, 19] {
            let mut request = scrape_bytes(client.connection(), client.transaction(), &[two, one]);
            request.resize(request.len() + tail, 0x11);
            assert_eq!(client.ask(&request), Reply::Scraped(vec![wanted, seeded]), "{tail} bytes more");
        }
    }
}

/// 74 rows at most; from there on a request is a fragmented datagram on an Ethernet wire and still answered.
pub fn a_scrape_of_too_many_hashes_is_cut(path: Path) {
    let rig = Rig::new(path);
    for family in Family::BOTH {
        let client = client(&rig, family);
        let hashes: Vec<Id20> = (0..90).map(|n| id20(family.label(), n)).collect();
        for place in [0, 69, 73] {
            client.announce(&Announce::seeder(hashes[place], 1));
        }
        for asked in [70, 74, 75, 90] {
            let rows = client.scrape(&hashes[..asked]);
            assert_eq!(rows.len(), asked.min(74), "{asked} asked");
            let seeded: Vec<usize> = (0..rows.len()).filter(|&n| rows[n].seeders == 1).collect();
            let expected: Vec<usize> = [0, 69, 73].into_iter().filter(|&n| n < asked).collect();
            assert_eq!(seeded, expected, "{asked} asked");
        }
    }
}

/// Nobody can be reached at port 0.
pub fn port_zero_is_dropped_and_counted(path: Path) {
    let rig = Rig::new(path);
    for family in Family::BOTH {
        let client = client(&rig, family);
        let info_hash = hash("port zero", family);
        let request = Announce::leecher(info_hash, 0).bytes(client.connect(), 7);
        assert_drops(&rig, &client, 2, &[("path", rig.request_path())], || {
            client.send(&request);
            client.send(&request);
        });
        assert_eq!(client.row(info_hash), Row::default());
    }
}

/// It would aim other clients at a victim.
pub fn the_ip_field_is_ignored(path: Path) {
    let rig = Rig::new(path);
    for family in Family::BOTH {
        let client = client(&rig, family);
        let info_hash = hash("ip field", family);
        client.announce(&Announce { ip: [192, 0, 2, 9], ..Announce::leecher(info_hash, 1) });
        let listed = client.announce(&Announce::leecher(info_hash, 2)).peers;
        assert_eq!(listed.len(), 1);
        assert_eq!((listed[0].ip(), listed[0].port()), (client.address().ip(), 1));
    }
}

/// A NAT or firewall lets nothing else through.
pub fn replies_come_from_the_address_that_was_asked(path: Path) {
    let rig = Rig::new(path);
    for family in Family::BOTH {
        for tracker in [Some(rig.tracker(family)), rig.second_tracker(family)].into_iter().flatten() {
            // The client checks the source of every reply.
            let client = client(&rig, family).at(tracker);
            client.connect();
            let info_hash = hash("source", family);
            client.announce(&Announce::leecher(info_hash, 1));
            assert_eq!(client.row(info_hash).leechers, 1);
            // Those that sockets answer on every path, since they arrive in fragments.
            assert_eq!(client.scrape(&[info_hash; 74]).len(), 74);
        }
    }
}

/// Noise of every kind and size, much of it nearly right: no harm, no long answer, and service as before.
pub fn random_datagrams_do_no_harm(path: Path) {
    let rig = Rig::new(path);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        // Xorshift: the same noise each time.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).expect("31 bits") % below
    };
    for family in Family::BOTH {
        let noisy = client(&rig, family);
        let id = noisy.connect();
        let info_hash = hash("noise", family);
        for round in 0..4000_u32 {
            let mut bytes = match random(4) {
                0 => connect_bytes(round),
                1 => Announce::leecher(info_hash, 7).bytes(id, round),
                2 => scrape_bytes(id, round, &[info_hash; 3]),
                _ => Vec::new(),
            };
            for _ in 0..random(4) {
                if !bytes.is_empty() {
                    let at = random(bytes.len());
                    bytes[at] ^= 1 << random(8);
                }
            }
            match random(4) {
                0 => bytes.truncate(random(bytes.len() + 1)),
                1 => (0..random(200)).for_each(|_| bytes.push(random(256).to_le_bytes()[0])),
                _ => {}
            }
            noisy.send(&bytes);
            if round % 32 == 0 {
                let longest = noisy.take_arrived().iter().map(Vec::len).max().unwrap_or(0);
                assert!(longest <= 1232, "a reply of {longest} bytes");
            }
        }
        let after = client(&rig, family);
        let served = hash("after the noise", family);
        assert_eq!(after.announce(&Announce::leecher(served, 1)).leechers, 1);
        assert_eq!(after.row(served).leechers, 1);
        assert!(after.row(info_hash).leechers <= 1000, "noise makes no crowds");
    }
}
