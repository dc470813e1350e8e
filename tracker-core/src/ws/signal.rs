//! One client's connection: which swarms it is in, which offers it was given, and what a message of it leads to.

use super::{
    far::Far,
    message::{self, Action, Announce, Answer, Limits, Lists, Malformed, Request},
    pending::PendingOffers,
    relay::{Back, Relay},
    tickets::Tickets,
    write,
};
use crate::{
    admission::{Applicant, Door, Terms},
    client_software::{ClientSoftware, Sampling},
    engine::{ConnectionKey, Engine, Membership, NotKept, Partner, Rejected, WebrtcAnnounce},
    keys::Pass,
    model::{Counts, Event, InfoHash, PeerId, Seconds},
    nodes::NodeNumber,
    rng::Rng,
};
use tracker_common::{address::Address, labelled, rate};

/// What every connection has in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Torrents that one connection may be in; more are a failure.
    pub max_torrents_per_connection: usize,
    /// Torrents that one scrape may ask for; more are ignored.
    pub max_scrape_hashes: usize,
    /// Offers that a client has been given and can still answer; the oldest is forgotten for a new one.
    pub max_pending_offers: usize,
    /// How long an offer can be answered.
    pub offer_lifetime: Seconds,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_torrents_per_connection: 1000,
            max_scrape_hashes: 100,
            max_pending_offers: 256,
            offer_lifetime: 120,
        }
    }
}

/// What a message leads to. Reused from message to message, and from connection to connection.
#[derive(Debug, Default)]
pub struct Outbox {
    /// For the client itself, JSON text.
    pub reply: Option<String>,
    /// For others.
    pub relays: Vec<(ConnectionKey, Relay)>,
    /// For clients of other nodes.
    pub far: Vec<(NodeNumber, Far)>,
    /// Why the peer that announced itself is not kept, if it is not for a limit.
    pub not_kept: Option<NotKept>,
    /// What software announced: of one announce in [`ANNOUNCES_PER_LOOK`](crate::client_software::ANNOUNCES_PER_LOOK).
    pub software: Option<ClientSoftware>,
    sampling: Sampling,
    pub(super) lists: Lists,
    partners: Vec<Partner>,
}

/// Answers a binary message, which means nothing here. `out` is cleared first.
pub fn refuse_binary(out: &mut Outbox) -> Received {
    out.relays.clear();
    out.far.clear();
    out.not_kept = None;
    out.software = None;
    out.reply = Some(write::failure(None, None, Malformed::NotText));
    Received { kind: Kind::Malformed, outcome: Outcome::Failed }
}

fn too_often(action: Action, info_hash: Option<&InfoHash>) -> String {
    write::failure(Some(action), info_hash, Rejected::RateLimited.message())
}

/// What a message was and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// What it was.
    pub kind: Kind,
    /// What became of it.
    pub outcome: Outcome,
}

labelled! {
    /// What a message was.
    pub enum Kind {
        /// A peer tells of itself.
        Announce = "announce",
        /// An answer to an offer.
        Answer = "answer",
        /// A question for counts.
        Scrape = "scrape",
        /// No request at all.
        Malformed = "malformed",
    }
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Done.
    Done,
    /// The client is told of a failure.
    Failed,
    /// The client is told that its network asks more often than it may.
    RateLimited,
    /// Ignored: the answer is to an offer that this client was not given or has answered, or its sender is gone, or it
    /// comes from no peer of this connection.
    Unroutable,
}

/// One client's connection.
#[derive(Debug)]
pub struct Connection {
    key: ConnectionKey,
    pub(super) address: Address,
    pass: Pass,
    tickets: Tickets,
    /// One peer for each torrent, sorted by torrent: who a connection is in a torrent is the last it said, and its
    /// offers never come back to itself. Some may have been taken over by other connections meanwhile.
    pub(super) memberships: Vec<(InfoHash, PeerId)>,
    pending: PendingOffers,
    /// Those of clients of other nodes, of which it may have been given none.
    pending_far: Option<Box<PendingOffers<Back>>>,
}

impl Connection {
    /// A client that is in no swarm. `key` is its alone; `address` is where it comes from, behind any proxies;
    /// `hash_key` is random and the same for all connections that relay to each other.
    #[must_use]
    pub fn new(key: ConnectionKey, address: Address, hash_key: [u64; 2]) -> Self {
        Self {
            key,
            address,
            pass: Pass::default(),
            tickets: Tickets::new(hash_key),
            memberships: Vec::new(),
            pending: PendingOffers::default(),
            pending_far: None,
        }
    }

    /// The same, of a client that shows this.
    #[must_use]
    pub fn with_pass(self, pass: Pass) -> Self {
        Self { pass, ..self }
    }

    /// Takes a text message from the client at the protocol time `now_ns`. What it leads to is in `out`, which is cleared
    /// first.
    pub fn receive(
        &mut self,
        text: &str,
        engine: &Engine,
        settings: &Settings,
        now_ns: u64,
        rng: &mut Rng,
        out: &mut Outbox,
    ) -> Received {
        out.reply = None;
        out.not_kept = None;
        out.software = None;
        out.relays.clear();
        out.far.clear();
        let now = (now_ns / 1_000_000_000) as Seconds;
        let policy = engine.policy();
        let limits = Limits { offers: policy.admission.max_offers, hashes: settings.max_scrape_hashes };
        // Answers are not limited: there are no more of them than of offers that were given.
        let keeps_to_rate =
            || policy.admission.admits(engine.buckets(), rate::Kind::HttpRequests, &self.address, now_ns);
        match message::read(text, &limits, &mut out.lists) {
            Ok(Request::Announce(announce)) if !keeps_to_rate() => {
                out.reply = Some(too_often(Action::Announce, Some(&announce.info_hash)));
                Received { kind: Kind::Announce, outcome: Outcome::RateLimited }
            }
            Ok(Request::Scrape(alone)) if !keeps_to_rate() => {
                out.reply = Some(too_often(Action::Scrape, alone.as_ref()));
                Received { kind: Kind::Scrape, outcome: Outcome::RateLimited }
            }
            Ok(Request::Announce(announce)) => {
                out.software = out.sampling.is_due().then(|| ClientSoftware::of(&announce.peer_id.0));
                let outcome = self.announce(&announce, text, engine, settings, now, rng, out);
                Received { kind: Kind::Announce, outcome }
            }
            Ok(Request::Answer(answer)) => {
                Received { kind: Kind::Answer, outcome: self.answer(&answer, engine, settings, now, out) }
            }
            Ok(Request::Scrape(alone)) => {
                if let Err(why) = engine.policy().admission.check_key(self.pass.key()) {
                    out.reply = Some(write::failure(Some(Action::Scrape), alone.as_ref(), why.message()));
                    return Received { kind: Kind::Scrape, outcome: Outcome::Failed };
                }
                let rows = out.lists.hashes.iter().map(|hash| (*hash, engine.scrape(hash)));
                out.reply = Some(write::scraped(alone, rows));
                Received { kind: Kind::Scrape, outcome: Outcome::Done }
            }
            Err(refused) => {
                let reply = write::failure(refused.action, refused.info_hash.as_ref(), refused.malformed);
                out.reply = Some(reply);
                Received { kind: Kind::Malformed, outcome: Outcome::Failed }
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the tail of one method")]
    fn announce(
        &mut self,
        announce: &Announce,
        text: &str,
        engine: &Engine,
        settings: &Settings,
        now: Seconds,
        rng: &mut Rng,
        out: &mut Outbox,
    ) -> Outcome {
        let info_hash = announce.info_hash;
        match self.join_or_leave(announce, engine, settings, now, rng, out) {
            Ok((interval, counts)) => {
                out.reply = Some(write::announced(&info_hash, interval, counts));
                let (from, tickets) = (&announce.peer_id, &self.tickets);
                for (partner, offer) in out.partners.iter().zip(&out.lists.offers) {
                    let json = text.get(offer.json.clone()).unwrap_or_default();
                    if let Some(node) = partner.connection.node() {
                        let to = (node, &partner.peer_id);
                        let far = Far::offer(to, &info_hash, from, &offer.id, json, tickets);
                        out.far.push((node, far));
                    } else {
                        let ticket = tickets.given(&info_hash, from, &offer.id);
                        let text = write::offer(&info_hash, from, &offer.id, json);
                        out.relays.push((partner.connection, Relay::Offer { ticket, text, back: None }));
                    }
                }
                Outcome::Done
            }
            Err(rejected) => {
                let action = Some(Action::Announce);
                out.reply = Some(write::failure(action, Some(&info_hash), rejected.message()));
                Outcome::Failed
            }
        }
    }

    /// Fills `out.partners`, and gives the interval that the client is told.
    fn join_or_leave(
        &mut self,
        announce: &Announce,
        engine: &Engine,
        settings: &Settings,
        now: Seconds,
        rng: &mut Rng,
        out: &mut Outbox,
    ) -> Result<(Seconds, Counts), Rejected> {
        let Announce { info_hash, peer_id, event, left } = *announce;
        let place = self.place(&info_hash);
        let room = self.memberships.len() < settings.max_torrents_per_connection;
        if place.is_err() && event != Event::Stopped && !room {
            return Err(Rejected::TooManyMemberships);
        }
        let own = place.ok().and_then(|place| self.memberships.get(place).copied());
        let other = own.filter(|own| own.1 != peer_id);
        if let Some((_, other)) = other.filter(|_| event != Event::Stopped) {
            engine.leave_webrtc(&info_hash, &other, self.key, now);
        }
        let applicant = Applicant {
            door: Door::Webtorrent,
            key: self.pass.key(),
            peer_id: &peer_id.0,
            source: self.address,
            port: 0,
            claim: None,
            num_want: i64::try_from(out.lists.offers.len()).ok(),
        };
        let admitted = engine.policy().admission.admit(&applicant, engine.measures());
        let Terms { address, peers: partners, interval, .. } = admitted.inspect_err(|why| {
            out.not_kept = why.not_kept();
            // Who is not served is in no swarm.
            if let Ok(place) = place {
                let (_, own) = self.memberships.remove(place);
                engine.leave_webrtc(&info_hash, &own, self.key, now);
            }
        })?;
        let connection = self.key;
        let asked = WebrtcAnnounce { info_hash, peer_id, connection, address, event, left, partners };
        let announced = engine.announce_webrtc(&asked, now, rng, &mut out.partners);
        out.not_kept = match &announced {
            Ok(announced) => announced.membership.not_kept(),
            Err(rejected) => rejected.not_kept(),
        };
        let member = announced
            .as_ref()
            .is_ok_and(|announced| matches!(announced.membership, Membership::Added | Membership::Refreshed));
        match (place, member) {
            (Err(place), true) => self.memberships.insert(place, (info_hash, peer_id)),
            (Ok(place), true) => self.memberships[place].1 = peer_id,
            // Who stops as somebody else stays who it is.
            (Ok(_), false) if other.is_some() && event == Event::Stopped => {}
            (Ok(place), false) => drop(self.memberships.remove(place)),
            (Err(_), false) => {}
        }
        if !member {
            // Nobody could send an answer to a peer that is not stored.
            out.partners.clear();
        }
        announced.map(|announced| (interval.told(&announced.counts, rng), announced.counts))
    }

    fn answer(
        &mut self,
        answer: &Answer<'_>,
        engine: &Engine,
        settings: &Settings,
        now: Seconds,
        out: &mut Outbox,
    ) -> Outcome {
        let Answer { info_hash, peer_id, to_peer_id, offer_id, .. } = *answer;
        let ticket = self.tickets.given(&info_hash, &to_peer_id, &offer_id);
        let own = self.place(&info_hash).ok().and_then(|place| self.memberships.get(place));
        if own.is_none_or(|own| own.1 != peer_id) {
            return Outcome::Unroutable;
        }
        let lifetime = settings.offer_lifetime;
        if self.pending.take(ticket, lifetime, now).is_some() {
            // Whoever went to another node meanwhile sent no offer from there.
            let to = engine.find_webrtc(&info_hash, &to_peer_id).filter(|key| key.node().is_none());
            let Some(to) = to else { return Outcome::Unroutable };
            out.relays.push((to, Relay::Answer { text: write::answer(answer) }));
            return Outcome::Done;
        }
        let back = self.pending_far.as_mut().and_then(|pending| pending.take(ticket, lifetime, now));
        let Some(back) = back else { return Outcome::Unroutable };
        out.far.push((back.node, Far::answer(answer, back)));
        Outcome::Done
    }

    /// A relay from the connection's queue is about to be written: an offer is noted, so that it can be answered.
    /// Gives its JSON text.
    pub fn deliver(&mut self, relay: Relay, settings: &Settings, now: Seconds) -> String {
        match relay {
            Relay::Offer { ticket, text, back } => {
                let (most, lifetime) = (settings.max_pending_offers, settings.offer_lifetime);
                match back {
                    None => self.pending.note(ticket, (), most, lifetime, now),
                    Some(back) => {
                        self.pending_far.get_or_insert_default().note(ticket, back, most, lifetime, now);
                    }
                }
                text
            }
            Relay::Answer { text } => text,
        }
    }

    /// What it keeps besides itself, bytes: it grows with the torrents it is in and the offers it was given.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.memberships.capacity() * size_of::<(InfoHash, PeerId)>()
            + self.pending.memory()
            + self.pending_far.as_ref().map_or(0, |pending| pending.memory())
    }

    /// Leaves every torrent.
    pub fn close(&mut self, engine: &Engine, now: Seconds) {
        for (info_hash, peer_id) in std::mem::take(&mut self.memberships) {
            engine.leave_webrtc(&info_hash, &peer_id, self.key, now);
        }
        self.pending = PendingOffers::default();
        self.pending_far = None;
    }

    /// Where the membership in a torrent is, or where it would go.
    fn place(&self, info_hash: &InfoHash) -> Result<usize, usize> {
        self.memberships.binary_search_by(|own| own.0.cmp(info_hash))
    }
}
