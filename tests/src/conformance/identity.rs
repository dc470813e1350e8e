//! Connection IDs: proof of an address, of nothing less and nothing more.

use super::{assert_drops, client, hash};
use crate::{
    rig::{Family, Path, Rig, SECOND_PORT},
    udp::{Announce, Id20, PROTOCOL_ID, Row, scrape_bytes},
};
use std::net::SocketAddr;

/// NATs change ports between a connect and an announce.
pub fn an_id_is_valid_from_every_port_of_an_address(path: Path) {
    let rig = Rig::new(path);
    for family in Family::BOTH {
        let id = client(&rig, family).connect();
        for n in 1..=3 {
            let other_port = client(&rig, family).with_connection(id);
            assert_eq!(
                other_port.announce(&Announce::leecher(hash("ports", family), n)).leechers,
                u32::from(n)
            );
        }
    }
}

/// And on every address of it.
pub fn an_id_is_valid_on_every_port_of_the_tracker(path: Path) {
    let rig = Rig::new(path);
    for family in Family::BOTH {
        let id = client(&rig, family).connect();
        let mut others: Vec<SocketAddr> = rig.second_tracker(family).into_iter().collect();
        if rig.wire().is_some() {
            others.push(SocketAddr::new(rig.tracker(family).ip(), SECOND_PORT));
        }
        for tracker in others {
            let client = client(&rig, family).at(tracker).with_connection(id);
            assert_eq!(client.announce(&Announce::leecher(hash("listeners", family), 1)).leechers, 1);
        }
    }
}

/// What was sent to one address is of no use at another, whichever way it was issued.
pub fn an_id_is_bound_to_its_address(path: Path) {
    let rig = Rig::new(path);
    for family in Family::BOTH {
        let other = match family {
            // One family's ID for the other, where there is but one address.
            _ if rig.client_addresses(family) > 1 => rig.client(family, 2),
            Family::V4 => client(&rig, Family::V6),
            Family::V6 => client(&rig, Family::V4),
        };
        let stolen = client(&rig, family).connect();
        let info_hash = hash("stolen", family);
        let reason = [("reason", "bad_connection_id"), ("path", rig.connect_path())];
        assert_drops(&rig, &other, 2, &reason, || {
            other.send(&Announce::leecher(info_hash, 1).bytes(stolen, 7));
            other.send(&scrape_bytes(stolen, 7, &[info_hash]));
        });
        assert_eq!(other.row(info_hash), Row::default());
    }
}

/// Every bit counts.
pub fn forged_ids_are_dropped_and_counted(path: Path) {
    let rig = Rig::new(path);
    for family in Family::BOTH {
        let client = client(&rig, family);
        let id = u64::from_be_bytes(client.connect());
        let info_hash: Id20 = hash("forged", family);
        let mut forged: Vec<[u8; 8]> = (0..64).map(|bit| (id ^ (1 << bit)).to_be_bytes()).collect();
        forged.extend([[0; 8], [0xff; 8], PROTOCOL_ID, id.swap_bytes().to_be_bytes()]);
        let reason = [("reason", "bad_connection_id"), ("path", rig.connect_path())];
        assert_drops(&rig, &client, forged.len() * 2, &reason, || {
            for id in &forged {
                client.send(&Announce::leecher(info_hash, 1).bytes(*id, 7));
                client.send(&scrape_bytes(*id, 7, &[info_hash]));
            }
        });
        assert_eq!(client.row(info_hash), Row::default());
    }
}

/// The key and its clock are part of the saved state.
pub fn ids_survive_a_restart(path: Path) {
    let mut rig = Rig::new(path);
    let ids = Family::BOTH.map(|family| (family, client(&rig, family).connect()));
    rig.restart();
    for (family, id) in ids {
        let client = client(&rig, family).with_connection(id);
        assert_eq!(client.announce(&Announce::leecher(hash("restart", family), 1)).leechers, 1);
    }
    let metrics = rig.metrics();
    assert_eq!(
        metrics.sum("riptide_udp_responses_total", &[("action", "connect")]),
        0.0,
        "no connect was needed"
    );
}
