//! Any frame through the verdict, as the XDP program would judge it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tracker_common::{
    address::{Address, Family},
    bep15::REQUEST_HEAD_LEN,
    connection_id::{ConnectionIds, key_index, keys_at, lifetime_slots, prepare, slot_at},
    maps::{Counter, Destination, Kind, Settings},
    packet, rate,
    siphash::{Key, SipHash24},
    verdict::{Environment, Verdict, judge},
};

const MASTER: Key = Key { k0: 1, k1: 2 };
const NOW_NS: u64 = 1_700_000_000_000_000_000;

/// Every frame is ours.
struct Ours(Settings, [Key; 2]);

impl Environment for Ours {
    fn settings(&self) -> Option<Settings> {
        Some(self.0)
    }

    fn prepared(&self, slot: u64, family: Family, _: u32) -> Option<SipHash24> {
        self.1.get(key_index(slot) as usize).map(|key| prepare(*key, slot, family))
    }

    fn monotonic_ns(&self) -> u64 {
        NOW_NS
    }

    fn is_ours(&self, _: &Destination, _: u32) -> bool {
        true
    }

    /// Who is limited may ask nothing at all.
    fn admits(&self, kind: rate::Kind, _: &Address, now_ns: u64) -> bool {
        assert_eq!((kind.bit() & self.0.limited, now_ns), (kind.bit(), NOW_NS));
        false
    }

    fn is_banned(&self, source: &Address, family: Family) -> bool {
        assert_eq!(source.family(), family);
        source.octets()[15] & 1 == 1
    }
}

fn check(frame: &[u8]) {
    let lifetime = lifetime_slots(600);
    let settings = Settings {
        clock_base_ns: 0,
        enabled: 1,
        lifetime_slots: lifetime,
        mac: packet::macs(frame).unwrap_or_default().0,
        allow_loopback: 0,
        removals: 0,
        key_changes: 0,
        limited: 0,
        banned: 0,
        reserved: 0,
    };
    let parsed = packet::parse(frame);
    if let Ok(datagram) = parsed {
        let end = datagram.payload_offset() + datagram.payload_len.unwrap_or(0);
        assert!(end <= frame.len(), "{datagram:?} reaches beyond {}", frame.len());
    }
    let verdict = |limited| {
        judge(frame, &Ours(Settings { limited, ..settings }, keys_at(MASTER, slot_at(NOW_NS), lifetime)))
    };
    for kind in [rate::Kind::UdpRequests, rate::Kind::UdpConnects] {
        let limited = match (verdict(0), kind) {
            (Verdict::Redirect(_, family, len), rate::Kind::UdpRequests) => {
                Verdict::Drop(Counter::RateLimited, family, len)
            }
            (Verdict::Answer(reply), rate::Kind::UdpConnects) => {
                Verdict::Drop(Counter::RateLimited, reply.datagram.family, reply.request_len)
            }
            (other, _) => other,
        };
        assert_eq!(verdict(kind.bit()), limited);
    }
    match verdict(0) {
        Verdict::Answer(reply) => {
            assert!(reply.request_len >= REQUEST_HEAD_LEN);
            assert_eq!(Ok(reply.datagram), parsed);
            assert!(reply.datagram.source.is_unicast() && !reply.datagram.source.is_loopback());
            let ids = ConnectionIds::new(MASTER, lifetime, NOW_NS);
            assert!(ids.is_valid(reply.connection_id.to_ne_bytes(), &reply.datagram.source));
        }
        Verdict::Redirect(counter, family, payload_len) => {
            assert_eq!(counter.kind(), Kind::Redirect);
            let Ok(datagram) = parsed else { panic!("redirected unread") };
            assert_eq!((datagram.family, datagram.payload_len), (family, Some(payload_len)));
            let id = &frame[datagram.payload_offset()..][..8];
            let ids = ConnectionIds::new(MASTER, lifetime, NOW_NS);
            assert!(id.try_into().is_ok_and(|id| ids.is_valid(id, &datagram.source)));
        }
        Verdict::Drop(counter, ..) => assert_eq!(counter.kind(), Kind::Drop),
        Verdict::Pass(counter, _) => assert_eq!(counter.kind(), Kind::Pass),
    }
}

fuzz_target!(|data: &[u8]| {
    check(data);
    // The same with a connection ID that holds, which no mutation would find.
    if let Ok(datagram) = packet::parse(data) {
        let id = ConnectionIds::new(MASTER, lifetime_slots(600), NOW_NS).issue(&datagram.source);
        let mut frame = data.to_vec();
        if let Some(place) = frame.get_mut(datagram.payload_offset()..).and_then(|rest| rest.get_mut(..8)) {
            place.copy_from_slice(&id);
            check(&frame);
        }
    }
});
