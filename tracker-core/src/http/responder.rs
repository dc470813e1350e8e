//! From the query of a request to the body of its reply.

use super::{
    bencode,
    query::{self, AnnounceQuery},
};
use crate::{
    admission::{Admission, Applicant, Door, Rejected, Retry, Terms},
    client_software::{ClientSoftware, Sampling},
    engine::{Announce, Announced, Engine, Lists, NotKept, Want},
    model::{Counts, InfoHash, PeerId, Seconds},
    pressure::Measures,
    rng::Rng,
};
use bytes::{BufMut as _, BytesMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use tracker_common::{
    address::{Address, Family},
    labelled,
};

/// Bytes of a compact IPv4 peer (BEP 23).
const ENTRY4: usize = 6;
/// Bytes of a compact IPv6 peer (BEP 7).
const ENTRY6: usize = 18;
/// More than an announce reply has besides its peers, and than a row of a scrape reply has.
const HEAD: usize = 256;
/// More than a peer has as a dictionary.
const DICTIONARY: usize = 72;

labelled! {
    /// What became of a request.
    pub enum Outcome {
        /// It was answered.
        Ok = "ok",
        /// The client was told why not.
        Failure = "failure",
    }
}

/// Answers requests, one at a time; each thread has one of its own.
#[derive(Debug)]
pub struct Responder {
    rng: Rng,
    sampling: Sampling,
    max_scrape_hashes: usize,
    hashes: Vec<InfoHash>,
    /// Lists in compact form, before their length is known.
    ipv4: Vec<u8>,
    ipv6: Vec<u8>,
}

impl Responder {
    /// `seed` decides who is handed out, and is no secret. Of a scrape the first `max_scrape_hashes` hashes count.
    #[must_use]
    pub fn new(seed: [u64; 2], max_scrape_hashes: usize) -> Self {
        Self {
            rng: Rng::new(seed),
            sampling: Sampling::default(),
            max_scrape_hashes,
            hashes: Vec::new(),
            ipv4: Vec::new(),
            ipv6: Vec::new(),
        }
    }

    /// What software announces by this query, if it is looked at: of one announce in
    /// [`ANNOUNCES_PER_LOOK`](crate::client_software::ANNOUNCES_PER_LOOK). One that is malformed is nobody's.
    pub fn software(&mut self, query: &[u8]) -> Option<ClientSoftware> {
        if !self.sampling.is_due() {
            return None;
        }
        let asked = query::announce(query).ok()?;
        Some(ClientSoftware::of(asked.read_peer_id(&mut [0; PeerId::LEN])))
    }

    /// Announces the peer at `client`, which shows `key`, and appends the reply to `out`: a bencoded dictionary, whatever
    /// the outcome. Also gives why the peer is not kept, if it is not for a limit.
    pub fn announce(
        &mut self,
        engine: &Engine,
        query: &[u8],
        key: Option<&[u8]>,
        client: Address,
        now: Seconds,
        out: &mut BytesMut,
    ) -> (Outcome, Option<NotKept>) {
        let asked = match query::announce(query) {
            Ok(asked) => asked,
            Err(error) => return (refuse(out, error.message(), None), None),
        };
        let AnnounceQuery { info_hash, port, event, left, num_want, compact, .. } = asked;
        let policy = engine.policy();
        let claim = asked.claim(client.family());
        let mut own_id = [0; PeerId::LEN];
        let peer_id = match policy.admission.denied_clients.is_empty() {
            true => &[],
            false => asked.read_peer_id(&mut own_id),
        };
        let applicant = Applicant { door: Door::Http, key, peer_id, source: client, port, claim, num_want };
        let measures = engine.measures();
        let terms = match policy.admission.admit(&applicant, measures) {
            Ok(terms) => terms,
            Err(why) => return (self.refuse_by(&policy.admission, measures, out, why), why.not_kept()),
        };
        let Terms { address, port, peers: most, interval } = terms;
        let announce = Announce { info_hash, address, port, event, left, want: Want::Both(most) };
        let mut lists =
            Lists { ipv4: room(&mut self.ipv4, most * ENTRY4), ipv6: room(&mut self.ipv6, most * ENTRY6) };
        match engine.announce(&announce, now, &mut self.rng, &mut lists) {
            Ok(announced) => {
                let peers = Peers::new(&announced, &self.ipv4, &self.ipv6);
                out.reserve(HEAD + peers.room(compact));
                let told = interval.told(&announced.counts, &mut self.rng);
                write_announced(out, [told, interval.least(told)], client, announced.counts);
                match compact {
                    true => peers.write_compact(out),
                    false => peers.write_dictionaries(out, client.family()),
                }
                out.put_u8(b'e');
                (Outcome::Ok, announced.membership.not_kept())
            }
            Err(why) => (self.refuse_by(&policy.admission, measures, out, why), why.not_kept()),
        }
    }

    /// Appends the counts of the torrents asked for to `out`: a bencoded dictionary, whatever the outcome. `key` is what
    /// the client shows as one.
    pub fn scrape(
        &mut self,
        engine: &Engine,
        query: &[u8],
        key: Option<&[u8]>,
        out: &mut BytesMut,
    ) -> Outcome {
        let policy = engine.policy();
        if let Err(why) = policy.admission.check_key(key) {
            return self.refuse_by(&policy.admission, engine.measures(), out, why);
        }
        if let Err(error) = query::scrape(query, self.max_scrape_hashes, &mut self.hashes) {
            return refuse(out, error.message(), None);
        }
        out.reserve(HEAD * self.hashes.len());
        out.extend_from_slice(b"d5:filesd");
        for info_hash in &self.hashes {
            let Counts { complete, incomplete, downloaders, downloaded } = engine.scrape(info_hash);
            bencode::string(out, &info_hash.0);
            out.extend_from_slice(b"d8:complete");
            bencode::integer(out, complete.into());
            out.extend_from_slice(b"10:downloaded");
            bencode::integer(out, downloaded.into());
            out.extend_from_slice(b"11:downloaders");
            bencode::integer(out, downloaders.into());
            out.extend_from_slice(b"10:incomplete");
            bencode::integer(out, incomplete.into());
            out.put_u8(b'e');
        }
        out.extend_from_slice(b"ee");
        Outcome::Ok
    }

    /// Whoever may come back does so at a time of its own.
    fn refuse_by(
        &mut self,
        admission: &Admission,
        measures: Measures,
        out: &mut BytesMut,
        why: Rejected,
    ) -> Outcome {
        let interval = admission.interval_by(Door::Http, measures).told(&Counts::default(), &mut self.rng);
        refuse(out, why.message(), admission.retry(why, interval))
    }
}

/// The first `length` bytes of a buffer that grows to the longest list ever asked for, which the policy bounds.
fn room(buffer: &mut Vec<u8>, length: usize) -> &mut [u8] {
    if buffer.len() < length {
        buffer.resize(length, 0);
    }
    &mut buffer[..length]
}

fn refuse(out: &mut BytesMut, reason: &str, retry: Option<Retry>) -> Outcome {
    bencode::failure(out, reason, retry);
    Outcome::Failure
}

/// Begins the dictionary, up to the key before `peers`.
fn write_announced(
    out: &mut BytesMut,
    [interval, min_interval]: [Seconds; 2],
    client: Address,
    counts: Counts,
) {
    out.extend_from_slice(b"d8:complete");
    bencode::integer(out, counts.complete.into());
    out.extend_from_slice(b"10:downloaded");
    bencode::integer(out, counts.downloaded.into());
    out.extend_from_slice(b"11:external ip");
    match client.family() {
        Family::Ipv4 => bencode::string(out, &client.ipv4_bytes()),
        Family::Ipv6 => bencode::string(out, &client.octets()),
    }
    out.extend_from_slice(b"10:incomplete");
    bencode::integer(out, counts.incomplete.into());
    out.extend_from_slice(b"8:interval");
    bencode::integer(out, interval.into());
    out.extend_from_slice(b"12:min interval");
    bencode::integer(out, min_interval.into());
}

/// The lists of an answer.
struct Peers<'a> {
    ipv4: &'a [u8],
    ipv6: &'a [u8],
}

impl<'a> Peers<'a> {
    fn new(announced: &Announced, ipv4: &'a [u8], ipv6: &'a [u8]) -> Self {
        Self { ipv4: &ipv4[..announced.ipv4_peers * ENTRY4], ipv6: &ipv6[..announced.ipv6_peers * ENTRY6] }
    }

    /// At most so many bytes are written.
    const fn room(&self, compact: bool) -> usize {
        match compact {
            true => self.ipv4.len() + self.ipv6.len(),
            false => (self.ipv4.len() / ENTRY4 + self.ipv6.len() / ENTRY6) * DICTIONARY,
        }
    }

    fn write_compact(&self, out: &mut BytesMut) {
        out.extend_from_slice(b"5:peers");
        bencode::string(out, self.ipv4);
        out.extend_from_slice(b"6:peers6");
        bencode::string(out, self.ipv6);
    }

    fn write_dictionaries(&self, out: &mut BytesMut, first: Family) {
        out.extend_from_slice(b"5:peersl");
        match first {
            Family::Ipv4 => {
                self.write_ipv4(out);
                self.write_ipv6(out);
            }
            Family::Ipv6 => {
                self.write_ipv6(out);
                self.write_ipv4(out);
            }
        }
        out.put_u8(b'e');
    }

    fn write_ipv4(&self, out: &mut BytesMut) {
        for [a, b, c, d, high, low] in self.ipv4.as_chunks::<ENTRY4>().0 {
            let ip = IpAddr::V4(Ipv4Addr::new(*a, *b, *c, *d));
            bencode::peer(out, ip, u16::from_be_bytes([*high, *low]));
        }
    }

    fn write_ipv6(&self, out: &mut BytesMut) {
        for entry in self.ipv6.as_chunks::<ENTRY6>().0 {
            if let Some((ip, port)) = entry.split_first_chunk::<16>()
                && let [high, low] = *port
            {
                let ip = IpAddr::V6(Ipv6Addr::from_octets(*ip));
                bencode::peer(out, ip, u16::from_be_bytes([high, low]));
            }
        }
    }
}
