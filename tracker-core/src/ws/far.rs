//! Offers and answers between clients of different nodes.
//!
//! An offer carries a ticket of the node it is from, which the answer has to carry back: nothing of it is kept there, and
//! still no node can have answers delivered to an offer that it was not sent. What nodes send is not trusted: it is as
//! bounded as what clients send, and goes through the same checks before a client gets it. It is never sent on.
//!
//! As bytes:
//!
//! | field | bytes |
//! | --- | --- |
//! | kind: 1 an offer, 2 an answer | 1 |
//! | info hash | 20 |
//! | peer ID of the receiver | 20 |
//! | peer ID of the sender | 20 |
//! | offer ID | 20 |
//! | ticket, little-endian | 8 |
//! | the offer or answer, a JSON object in UTF-8 | the rest |

use super::{
    message::{Answer, OfferId},
    relay::{Back, Relay},
    text::check_relayed,
    tickets::Tickets,
    write,
};
use crate::{
    engine::{ConnectionKey, Engine},
    model::{InfoHash, PeerId},
    nodes::NodeNumber,
};
use serde_json::value::RawValue;

/// A message from a client of one node for a client of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Far {
    /// What it is.
    pub kind: FarKind,
    /// The torrent.
    pub info_hash: InfoHash,
    /// Who is to get it.
    pub to: PeerId,
    /// Who sent it.
    pub from: PeerId,
    /// Which offer it is or answers.
    pub offer_id: OfferId,
    /// What the node that sent the offer knows it by.
    pub ticket: u64,
    /// The offer's or answer's JSON object.
    pub json: String,
}

/// What a [`Far`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FarKind {
    /// An offer, which may be answered once.
    Offer = 1,
    /// An answer.
    Answer = 2,
}

/// The bytes are no [`Far`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFar {
    /// They are fewer than its fixed part.
    #[error("{0} bytes, of which a relay has at least {head}", head = Far::HEAD)]
    Short(usize),
    /// Its JSON is longer than [`Far::MAX_JSON`].
    #[error("{0} bytes of JSON, of which a relay has at most {most}", most = Far::MAX_JSON)]
    Long(usize),
    /// It is of no kind that is known.
    #[error("a relay of kind {0}, which is not known")]
    Kind(u8),
    /// What it carries is no JSON object that every client can read.
    #[error("a relay of what is no offer and no answer")]
    NotRelayable,
}

impl Far {
    /// Bytes before the JSON.
    pub const HEAD: usize = 1 + 4 * 20 + 8;
    /// The longest offer or answer that leaves its node, bytes: real ones have some thousand.
    pub const MAX_JSON: usize = 255 << 10;

    /// An offer for a peer of another node.
    pub(super) fn offer(
        to: (NodeNumber, &PeerId),
        info_hash: &InfoHash,
        from: &PeerId,
        offer_id: &OfferId,
        json: &str,
        tickets: &Tickets,
    ) -> Self {
        Self {
            kind: FarKind::Offer,
            info_hash: *info_hash,
            to: *to.1,
            from: *from,
            offer_id: *offer_id,
            ticket: tickets.sent(to, info_hash, from, offer_id),
            json: json.to_owned(),
        }
    }

    /// An answer to an offer of this way back.
    pub(super) fn answer(answer: &Answer<'_>, Back { ticket: [low, high], .. }: Back) -> Self {
        Self {
            kind: FarKind::Answer,
            info_hash: answer.info_hash,
            to: answer.to_peer_id,
            from: answer.peer_id,
            offer_id: answer.offer_id,
            ticket: u64::from(high) << 32 | u64::from(low),
            json: answer.json.to_owned(),
        }
    }

    /// As bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::HEAD + self.json.len());
        bytes.push(self.kind as u8);
        for id in [&self.info_hash.0, &self.to.0, &self.from.0, &self.offer_id.0] {
            bytes.extend_from_slice(id);
        }
        bytes.extend_from_slice(&self.ticket.to_le_bytes());
        bytes.extend_from_slice(self.json.as_bytes());
        bytes
    }

    /// Of bytes, whatever they are.
    ///
    /// # Errors
    /// If they are none, or carry what must not be handed to a client.
    pub fn decode(bytes: &[u8]) -> Result<Self, NotFar> {
        let Some((head, json)) = bytes.split_first_chunk::<{ Self::HEAD }>() else {
            return Err(NotFar::Short(bytes.len()));
        };
        if json.len() > Self::MAX_JSON {
            return Err(NotFar::Long(json.len()));
        }
        let [kind, rest @ ..] = head;
        let kind = match kind {
            1 => FarKind::Offer,
            2 => FarKind::Answer,
            other => return Err(NotFar::Kind(*other)),
        };
        let (ids, rest) = rest.as_chunks::<20>();
        let (&[info_hash, to, from, offer_id], Ok(ticket)) = (ids, rest.try_into()) else {
            return Err(NotFar::Short(bytes.len()));
        };
        let json = std::str::from_utf8(json).ok().filter(|json| is_relayable(json));
        Ok(Self {
            kind,
            info_hash: InfoHash(info_hash),
            to: PeerId(to),
            from: PeerId(from),
            offer_id: OfferId(offer_id),
            ticket: u64::from_le_bytes(ticket),
            json: json.ok_or(NotFar::NotRelayable)?.to_owned(),
        })
    }

    /// What it leads to at the node that it was sent to, by `node`: for whom it is, and what. Nothing where its receiver is
    /// not at this node, or where it answers an offer that was not sent to that peer of that node.
    #[must_use]
    pub fn arrive(
        &self,
        node: NodeNumber,
        engine: &Engine,
        tickets: &Tickets,
    ) -> Option<(ConnectionKey, Relay)> {
        let Self { kind, info_hash, to, from, offer_id, ticket, json } = self;
        // Roles were the other way about when an answer's offer was sent.
        if *kind == FarKind::Answer && *ticket != tickets.sent((node, from), info_hash, to, offer_id) {
            return None;
        }
        let key = engine.find_webrtc(info_hash, to).filter(|key| key.node().is_none())?;
        let relay = match kind {
            FarKind::Offer => Relay::Offer {
                ticket: tickets.given(info_hash, from, offer_id),
                text: write::offer(info_hash, from, offer_id, json),
                back: Some(Back { node, ticket: [*ticket as u32, (ticket >> 32) as u32] }),
            },
            FarKind::Answer => {
                let (info_hash, peer_id, to_peer_id, offer_id) = (*info_hash, *from, *to, *offer_id);
                let answer = Answer { info_hash, peer_id, to_peer_id, offer_id, json };
                Relay::Answer { text: write::answer(&answer) }
            }
        };
        Some((key, relay))
    }
}

/// Whether a client may be handed this as an offer or answer: what a client sends is checked as it is read.
fn is_relayable(json: &str) -> bool {
    let token = serde_json::from_str::<&RawValue>(json).map(RawValue::get);
    token.is_ok_and(|token| token.len() == json.len() && check_relayed(token).is_ok())
}
