//! Any datagrams through the responder, with keys and without.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::Arc;
use tracker_common::{
    address::Address,
    bep15::{Action, CONNECT_RESPONSE_LEN},
    connection_id::{ConnectionIds, lifetime_slots},
    siphash::Key,
};
use tracker_core::{
    admission::Admission,
    engine::Engine,
    keys::Keys,
    networks::Network,
    policy::Policy,
    udp::{Batch, Outcome, Received, Responder, ResponderConfig},
};

const MASTER: Key = Key { k0: 1, k1: 2 };
const NOW_NS: u64 = 1_700_000_000_000_000_000;
const KEY: &str = "ABCDEFGH";

/// Whether the options behind an announce bring the key, read one by one.
fn shows_key(payload: &[u8]) -> bool {
    let mut url = Vec::new();
    let mut at = 98;
    while at < payload.len() {
        match payload[at] {
            0 => break,
            1 => at += 1,
            option => {
                let Some(&size) = payload.get(at + 1) else { return false };
                let end = at + 2 + usize::from(size);
                let Some(data) = payload.get(at + 2..end) else { return false };
                if option == 2 {
                    url.extend(data);
                }
                at = end;
            }
        }
    }
    url.truncate(255);
    let url = String::from_utf8_lossy(&url).into_owned();
    let behind = url.trim_start_matches('/').strip_prefix(KEY);
    behind.is_some_and(|behind| behind.is_empty() || behind.starts_with(['/', '?']))
}

struct Datagram {
    source: Address,
    source_port: u16,
    frame: Vec<u8>,
    length: usize,
    outcome: Option<Outcome>,
}

struct Frames(Vec<Datagram>);

impl Batch for Frames {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn request(&self, i: usize) -> Received<'_> {
        let Datagram { source, source_port, frame, length, .. } = &self.0[i];
        let payload = &frame[..*length];
        Received { source: *source, source_port: *source_port, payload, verified: false, on_loopback: false }
    }

    fn reply_buffer(&mut self, i: usize) -> &mut [u8] {
        &mut self.0[i].frame
    }

    fn finish(&mut self, i: usize, outcome: Outcome) {
        assert!(self.0[i].outcome.replace(outcome).is_none(), "finished twice");
    }
}

/// The input is cut into datagrams: a head of four bytes (source, whether the ID holds, length), then the payload.
fn datagrams(mut data: &[u8], ids: &ConnectionIds) -> Vec<Datagram> {
    let mut all = Vec::new();
    while let Some(([who, flags, high, low], rest)) = data.split_first_chunk::<4>() {
        let length = usize::from(u16::from_be_bytes([*high, *low]) % 2048).min(rest.len());
        let (payload, rest) = rest.split_at(length);
        data = rest;
        let source = match flags & 2 {
            0 => Address::from_ipv4([10, 0, 0, *who]),
            _ => Address::from_octets([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, *who]),
        };
        let mut frame = payload.to_vec();
        if flags & 1 == 1
            && let Some(id) = frame.get_mut(..8)
        {
            id.copy_from_slice(&ids.issue(&source));
        }
        // Room for the largest budget that the input can ask for, and then some.
        frame.resize(4096, 0xee);
        all.push(Datagram { source, source_port: u16::from(*flags), frame, length, outcome: None });
    }
    all
}

fuzz_target!(|data: &[u8]| {
    let Some((&[budget, rows], data)) = data.split_first_chunk::<2>() else { return };
    let max_datagram = 16 + usize::from(budget) * 8;
    let config = ResponderConfig { max_datagram, max_scrape_hashes: usize::from(rows & 0x7f) };
    let is_private = rows & 0x80 != 0;
    let keys = is_private.then(|| Arc::new(Keys::parse([1, 2, 3, 4], KEY.as_bytes()).expect("one key")));
    let ids = ConnectionIds::new(MASTER, lifetime_slots(600), NOW_NS);
    let trusted = vec![Network::new([10, 0, 0, 0].into(), 25)];
    let admission = Admission { trusted, keys, ..Admission::default() };
    let engine = Engine::new(Policy { admission, ..Policy::default() }, [3, 4]);
    let mut responder = Responder::new(config, ids.clone(), [5, 6]);
    let mut frames = Frames(datagrams(data, &ids));
    let valid: Vec<bool> = frames
        .0
        .iter()
        .map(|datagram| {
            let id = datagram.frame[..datagram.length].first_chunk::<8>();
            id.is_some_and(|id| ids.is_valid(*id, &datagram.source))
        })
        .collect();
    let shown: Vec<bool> =
        frames.0.iter().map(|datagram| shows_key(&datagram.frame[..datagram.length])).collect();
    responder.handle_batch(&engine, NOW_NS, &mut frames);
    for ((datagram, valid), shown) in frames.0.iter().zip(valid).zip(shown) {
        match datagram.outcome.expect("not finished") {
            Outcome::Reply { request: Action::Connect, reply, len, .. } => {
                assert_eq!((reply, len), (Action::Connect, CONNECT_RESPONSE_LEN));
                assert!(len <= datagram.length, "larger than the request, to an unproven address");
            }
            Outcome::Reply { reply, len, .. } => {
                match (is_private, reply) {
                    (true, Action::Announce) => assert!(shown, "served without a key"),
                    (true, Action::Scrape) => assert!(datagram.frame[8..len].iter().all(|&byte| byte == 0)),
                    _ => {}
                }
                assert!(valid, "answered without a valid ID");
                assert!(len <= max_datagram);
                assert!(datagram.frame[max_datagram.max(datagram.length)..].iter().all(|&byte| byte == 0xee));
            }
            Outcome::Drop(_) => {}
        }
    }
});
