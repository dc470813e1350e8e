//! From a batch of received datagrams to replies: the same code for the socket and the AF_XDP back end.

use crate::{
    admission::{Admission, Applicant, Claim, Door, Rejected},
    client_software::{ClientSoftware, Sampling},
    engine::{Announce, Engine, Lists, Located, NotKept, Want},
    interval::Interval,
    keys,
    model::{Counts, InfoHash, Seconds},
    pressure::Measures,
    rng::Rng,
    udp::{
        codec::{self, AnnounceBody, Request},
        options::{self, MAX_URL},
    },
};
use std::iter;
use tracker_common::{
    address::{Address, Family},
    bep15::{ANNOUNCE_RESPONSE_HEAD_LEN, Action, RESPONSE_HEAD_LEN, SCRAPE_ROW_LEN},
    connection_id::ConnectionIds,
    labelled,
    rate::Kind,
};

/// So many requests are worked on together; a longer batch is taken in several goes.
pub const MAX_BATCH: usize = 256;

/// A batch of received datagrams with room for their replies, as a back end holds them.
pub trait Batch {
    /// How many datagrams there are.
    fn len(&self) -> usize;
    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The datagram `i`. May be asked for several times, until `reply_buffer(i)` is.
    fn request(&self, i: usize) -> Received<'_>;
    /// Where the reply to datagram `i` goes: room for [`ResponderConfig::max_datagram`] bytes. It may overlay the
    /// request's payload, which is not read again. Asked for at most once per datagram.
    fn reply_buffer(&mut self, i: usize) -> &mut [u8];
    /// Tells what became of datagram `i`: exactly once for each, in no particular order.
    fn finish(&mut self, i: usize, outcome: Outcome);
    /// Tells what software announced: of one announce in [`ANNOUNCES_PER_LOOK`](crate::client_software::ANNOUNCES_PER_LOOK).
    fn announced_by(&mut self, _software: ClientSoftware) {}
}

/// A received datagram.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// Who sent it.
    pub source: Address,
    /// From which port, host byte order.
    pub source_port: u16,
    /// The UDP payload.
    pub payload: &'a [u8],
    /// The XDP program has let it through: its connection ID holds, and its source is not banned.
    pub verified: bool,
    /// It came in on a loopback interface, where loopback addresses are real.
    pub on_loopback: bool,
}

/// What became of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The first `len` bytes of the reply buffer are to be sent back.
    Reply {
        /// What was asked.
        request: Action,
        /// What is answered: the same, or an error.
        reply: Action,
        /// Bytes of reply, at most [`ResponderConfig::max_datagram`].
        len: usize,
        /// Why the announcer is not kept, if it is not for a limit.
        not_kept: Option<NotKept>,
    },
    /// Nothing is to be sent.
    Drop(DropReason),
}

labelled! {
    /// Why a datagram gets no reply.
    pub enum DropReason {
        /// It is no request.
        Malformed = "malformed",
        /// Its connection ID is forged, expired or from the future.
        BadConnectionId = "bad_connection_id",
        /// Its source cannot be answered: port 0, no unicast address, or loopback from elsewhere.
        BadSource = "bad_source",
        /// It announces port 0.
        BadPort = "bad_port",
        /// Its client network asks more often than it may.
        RateLimited = "rate_limited",
        /// Its source is in a network that is banned.
        Banned = "banned",
        /// The back end gave a reply buffer too small for any reply.
        NoBuffer = "no_buffer",
    }
}

/// What a [`Responder`] is told once.
#[derive(Clone, Copy, Debug)]
pub struct ResponderConfig {
    /// Bytes of UDP payload that no reply exceeds.
    pub max_datagram: usize,
    /// Rows that a scrape reply has at most; the datagram budget may cap it further.
    pub max_scrape_hashes: usize,
}

impl Default for ResponderConfig {
    /// A budget that fits the least MTU of IPv6 (1280), and 74 rows.
    fn default() -> Self {
        Self { max_datagram: 1232, max_scrape_hashes: 74 }
    }
}

/// Answers batches. Each worker has its own; after [`Responder::new`] it allocates nothing.
pub struct Responder {
    config: ResponderConfig,
    ids: ConnectionIds,
    rng: Rng,
    sampling: Sampling,
    pending: Vec<Pending>,
    scrape: Vec<(InfoHash, Located)>,
}

/// What holds for all requests of a batch.
struct Round<'a> {
    admission: &'a Admission,
    measures: Measures,
    now_ns: u64,
}

/// A request that waits for the memory it will touch.
struct Pending {
    index: usize,
    transaction_id: [u8; 4],
    located: Located,
    ask: Ask,
    /// Its swarm is large: the announcer is looked for in memory of its own.
    large: bool,
}

enum Ask {
    Announce(Admitted),
    Scrape,
}

/// An announce on its way to the engine, and what else its reply says.
struct Admitted {
    announce: Announce,
    /// That of the sender, whose peers it is given.
    family: Family,
    interval: Interval,
}

impl Responder {
    /// `ids` issues and checks connection IDs, `seed` decides which peers are handed out.
    #[must_use]
    pub fn new(config: ResponderConfig, ids: ConnectionIds, seed: [u64; 2]) -> Self {
        let rows = config.max_datagram.saturating_sub(RESPONSE_HEAD_LEN) / SCRAPE_ROW_LEN;
        let scrape = Vec::with_capacity(config.max_scrape_hashes.min(rows));
        Self {
            config,
            ids,
            rng: Rng::new(seed),
            sampling: Sampling::default(),
            pending: Vec::with_capacity(MAX_BATCH),
            scrape,
        }
    }

    /// Issues and checks connection IDs by these from now on.
    pub fn set_ids(&mut self, ids: ConnectionIds) {
        self.ids = ids;
    }

    /// Answers every datagram of a batch. `now_ns` is the protocol time in nanoseconds.
    pub fn handle_batch<B: Batch>(&mut self, engine: &Engine, now_ns: u64, batch: &mut B) {
        self.ids.advance(now_ns);
        let now = (now_ns / 1_000_000_000) as Seconds;
        let policy = engine.policy();
        let round = Round { admission: &policy.admission, measures: engine.measures(), now_ns };
        let length = batch.len();
        for start in (0..length).step_by(MAX_BATCH) {
            self.pending.clear();
            for index in start..length.min(start + MAX_BATCH) {
                self.receive(engine, &round, batch, index);
            }
            self.fetch(engine);
            self.answer(engine, now, batch);
        }
    }

    /// Answers a datagram that needs no engine, and notes the others.
    fn receive<B: Batch>(&mut self, engine: &Engine, round: &Round<'_>, batch: &mut B, index: usize) {
        let received = batch.request(index);
        // What the XDP program has let through it has counted, too.
        let admits = |kind| {
            received.verified
                || round.admission.admits(engine.buckets(), kind, &received.source, round.now_ns)
        };
        let (transaction_id, located, ask) = match self.judge(round, &received, admits) {
            Err(reason) => return batch.finish(index, Outcome::Drop(reason)),
            Ok(Judged::Connect { transaction_id, connection_id }) => {
                let buffer = budget(batch.reply_buffer(index), self.config.max_datagram);
                let len = codec::encode_connect(buffer, transaction_id, connection_id);
                return batch.finish(index, reply(Action::Connect, Action::Connect, len, None));
            }
            Ok(Judged::Announce { transaction_id, admitted }) => {
                (transaction_id, engine.locate(&admitted.announce.info_hash), Ask::Announce(admitted))
            }
            Ok(Judged::Refused { transaction_id, why }) => {
                let buffer = budget(batch.reply_buffer(index), self.config.max_datagram);
                let outcome = refusal(transaction_id, why, buffer);
                return batch.finish(index, outcome);
            }
            Ok(Judged::Scrape { transaction_id, first }) => {
                (transaction_id, engine.locate(&first), Ask::Scrape)
            }
            Ok(Judged::Secret { transaction_id, rows }) => {
                let buffer = budget(batch.reply_buffer(index), self.config.max_datagram);
                let zeroes = iter::repeat_n(Counts::default(), rows.min(self.config.max_scrape_hashes));
                let outcome = write_scrape(zeroes, transaction_id, buffer);
                return batch.finish(index, outcome);
            }
        };
        if matches!(ask, Ask::Announce(_))
            && self.sampling.is_due()
            && let Ok(Request::Announce { body, .. }) = codec::decode(batch.request(index).payload)
        {
            batch.announced_by(ClientSoftware::of(&body.peer_id.0));
        }
        self.pending.push(Pending { index, transaction_id, located, ask, large: false });
    }

    /// `admits` says whether the client keeps to the rate of a kind of request, and counts one.
    fn judge(
        &self,
        round: &Round<'_>,
        received: &Received<'_>,
        admits: impl Fn(Kind) -> bool,
    ) -> Result<Judged, DropReason> {
        let source = received.source;
        let stray_loopback = source.is_loopback() && !received.on_loopback;
        if received.source_port == 0 || stray_loopback || !source.is_unicast() {
            return Err(DropReason::BadSource);
        }
        if !received.verified && round.admission.banned.covers(source) {
            return Err(DropReason::Banned);
        }
        let in_time = |kind| if admits(kind) { Ok(()) } else { Err(DropReason::RateLimited) };
        // Nobody spends a share that is another's by a forged source.
        let check = |id| match received.verified || self.ids.is_valid(id, &source) {
            true => in_time(Kind::UdpRequests),
            false => Err(DropReason::BadConnectionId),
        };
        match codec::decode(received.payload).map_err(|codec::Malformed| DropReason::Malformed)? {
            Request::Connect { transaction_id } => {
                in_time(Kind::UdpConnects)?;
                Ok(Judged::Connect { transaction_id, connection_id: self.ids.issue(&source) })
            }
            Request::Announce { connection_id, transaction_id, body, options } => {
                check(connection_id)?;
                if body.port == 0 {
                    return Err(DropReason::BadPort);
                }
                let admitted = match round.admission.is_private() {
                    false => admit(round, source, &body, &[]),
                    true => admit_by_url(round, source, &body, options)?,
                };
                Ok(match admitted {
                    Ok(admitted) => Judged::Announce { transaction_id, admitted },
                    Err(why) => Judged::Refused { transaction_id, why },
                })
            }
            Request::Scrape { connection_id, transaction_id, hashes } => {
                check(connection_id)?;
                let first = *hashes.first().ok_or(DropReason::Malformed)?;
                // A scrape has no place for a key.
                if round.admission.is_private() {
                    return Ok(Judged::Secret { transaction_id, rows: hashes.len() });
                }
                Ok(Judged::Scrape { transaction_id, first })
            }
        }
    }

    /// Announces to large swarms.
    fn large(&self) -> impl Iterator<Item = (&Located, &Announce)> {
        self.pending.iter().filter(|pending| pending.large).filter_map(|pending| match &pending.ask {
            Ask::Announce(admitted) => Some((&pending.located, &admitted.announce)),
            Ask::Scrape => None,
        })
    }

    /// One stage for all, then the next: the waits for memory overlap.
    fn fetch(&mut self, engine: &Engine) {
        if self.pending.len() > 1 {
            engine.prefetch_torrents(self.pending.iter().map(|pending| &pending.located));
            self.pending
                .iter_mut()
                .for_each(|pending| pending.large = engine.prefetch_peers(&pending.located));
            self.large().for_each(|(located, announce)| engine.prefetch_peer_slot(located, announce));
            self.large().for_each(|(located, announce)| engine.prefetch_peer(located, announce));
        }
    }

    fn answer<B: Batch>(&mut self, engine: &Engine, now: Seconds, batch: &mut B) {
        for pending in &self.pending {
            let Pending { index, transaction_id, located, .. } = *pending;
            let outcome = match &pending.ask {
                Ask::Announce(admitted) => {
                    let buffer = budget(batch.reply_buffer(index), self.config.max_datagram);
                    answer_announce(engine, &located, admitted, now, &mut self.rng, transaction_id, buffer)
                }
                Ask::Scrape => {
                    self.scrape.clear();
                    if let Ok(Request::Scrape { hashes, .. }) = codec::decode(batch.request(index).payload) {
                        let rows =
                            hashes.iter().take(self.config.max_scrape_hashes.min(self.scrape.capacity()));
                        self.scrape.extend(rows.map(|hash| (*hash, engine.locate(hash))));
                    }
                    if self.scrape.len() > 1 {
                        engine.prefetch_torrents(self.scrape.iter().map(|(_, located)| located));
                    }
                    let buffer = budget(batch.reply_buffer(index), self.config.max_datagram);
                    let counts = self.scrape.iter().map(|(hash, located)| engine.scrape_at(located, hash));
                    write_scrape(counts, transaction_id, buffer)
                }
            };
            batch.finish(index, outcome);
        }
    }
}

enum Judged {
    Connect {
        transaction_id: [u8; 4],
        connection_id: [u8; 8],
    },
    Announce {
        transaction_id: [u8; 4],
        admitted: Admitted,
    },
    Refused {
        transaction_id: [u8; 4],
        why: Rejected,
    },
    Scrape {
        transaction_id: [u8; 4],
        first: InfoHash,
    },
    /// A scrape by somebody who is told nothing.
    Secret {
        transaction_id: [u8; 4],
        rows: usize,
    },
}

fn budget(buffer: &mut [u8], max_datagram: usize) -> &mut [u8] {
    let length = buffer.len().min(max_datagram);
    &mut buffer[..length]
}

fn reply(request: Action, reply: Action, len: Option<usize>, not_kept: Option<NotKept>) -> Outcome {
    len.map_or(Outcome::Drop(DropReason::NoBuffer), |len| Outcome::Reply { request, reply, len, not_kept })
}

fn refusal(transaction_id: [u8; 4], why: Rejected, buffer: &mut [u8]) -> Outcome {
    let len = codec::encode_error(buffer, transaction_id, why.message());
    reply(Action::Announce, Action::Error, len, why.not_kept())
}

/// Admits whom the options of an announce say by which address it asks.
#[inline(never)]
fn admit_by_url(
    round: &Round<'_>,
    source: Address,
    body: &AnnounceBody,
    options: &[u8],
) -> Result<Result<Admitted, Rejected>, DropReason> {
    let mut room = [0; MAX_URL];
    let url = options::url(options, &mut room).map_err(|codec::Malformed| DropReason::Malformed)?;
    Ok(admit(round, source, body, url))
}

/// `url` is the path by which the client asks, where that matters.
fn admit(round: &Round<'_>, source: Address, body: &AnnounceBody, url: &[u8]) -> Result<Admitted, Rejected> {
    let family = source.family();
    // BEP 15 has the field for IPv4 alone.
    let claim = (family == Family::Ipv4 && body.ip != [0; 4])
        .then(|| Claim { address: Address::from_ipv4(body.ip), port: None });
    let terms = round.admission.admit(
        &Applicant {
            door: Door::Udp,
            key: keys::of_path(url),
            peer_id: &body.peer_id.0,
            source,
            port: body.port,
            claim,
            num_want: Some(i64::from(body.num_want)),
        },
        round.measures,
    )?;
    let announce = Announce {
        info_hash: body.info_hash,
        address: terms.address,
        port: terms.port,
        event: body.event,
        left: body.left,
        want: Want::Own(terms.peers),
    };
    Ok(Admitted { announce, family, interval: terms.interval })
}

fn answer_announce(
    engine: &Engine,
    located: &Located,
    admitted: &Admitted,
    now: Seconds,
    rng: &mut Rng,
    transaction_id: [u8; 4],
    buffer: &mut [u8],
) -> Outcome {
    let Admitted { announce, family, interval } = admitted;
    let Some((head, peers)) = buffer.split_at_mut_checked(ANNOUNCE_RESPONSE_HEAD_LEN) else {
        return Outcome::Drop(DropReason::NoBuffer);
    };
    let mut lists = match family {
        Family::Ipv4 => Lists { ipv4: peers, ipv6: &mut [] },
        Family::Ipv6 => Lists { ipv4: &mut [], ipv6: peers },
    };
    match engine.announce_at(located, announce, now, rng, &mut lists) {
        Ok(announced) => {
            let peers = announced.ipv4_peers * 6 + announced.ipv6_peers * 18;
            let interval = interval.told(&announced.counts, rng);
            let head = codec::encode_announce_head(head, transaction_id, interval, announced.counts);
            let not_kept = announced.membership.not_kept();
            reply(Action::Announce, Action::Announce, head.map(|head| head + peers), not_kept)
        }
        Err(rejected) => refusal(transaction_id, rejected, buffer),
    }
}

fn write_scrape(asked: impl Iterator<Item = Counts>, transaction_id: [u8; 4], buffer: &mut [u8]) -> Outcome {
    let Some(head) = codec::encode_scrape_head(buffer, transaction_id) else {
        return Outcome::Drop(DropReason::NoBuffer);
    };
    let (rows, _) = buffer[head..].as_chunks_mut::<SCRAPE_ROW_LEN>();
    let mut len = head;
    for (row, counts) in rows.iter_mut().zip(asked) {
        *row = codec::scrape_row(counts);
        len += row.len();
    }
    reply(Action::Scrape, Action::Scrape, Some(len), None)
}
