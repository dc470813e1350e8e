//! What clients get: replies and relays as JSON text. Each is one string, written straight, and the only allocation.

use super::{
    message::{Action, Answer, OfferId},
    text::write_bytes,
};
use crate::model::{Counts, InfoHash, PeerId, Seconds};
use std::fmt::{self, Write as _};

/// Room for the fixed parts of a reply or relay, with its twenty-byte strings.
const HEAD: usize = 256;

fn begin(action: Option<Action>, info_hash: Option<&InfoHash>, room: usize) -> String {
    let mut out = String::with_capacity(HEAD + room);
    out.push('{');
    if let Some(action) = action {
        member(&mut out, "action");
        out.push('"');
        out.push_str(action.word());
        out.push('"');
    }
    if let Some(info_hash) = info_hash {
        member(&mut out, "info_hash");
        write_bytes(&mut out, &info_hash.0);
    }
    out
}

/// Begins the next member of an object.
fn member(out: &mut String, name: &str) {
    if !out.ends_with('{') {
        out.push(',');
    }
    out.push('"');
    out.push_str(name);
    out.push_str("\":");
}

/// A `String` takes whatever is written to it.
fn put(out: &mut String, value: impl fmt::Display) {
    let _ = write!(out, "{value}");
}

/// The reply to an announce.
pub(super) fn announced(info_hash: &InfoHash, interval: Seconds, counts: Counts) -> String {
    let mut out = begin(Some(Action::Announce), Some(info_hash), 0);
    for (name, value) in
        [("interval", interval), ("complete", counts.complete), ("incomplete", counts.incomplete)]
    {
        member(&mut out, name);
        put(&mut out, value);
    }
    out.push('}');
    out
}

/// The reply to a scrape: a row for each torrent asked for, and the info hash where it was asked for alone.
pub(super) fn scraped(
    alone: Option<InfoHash>,
    rows: impl ExactSizeIterator<Item = (InfoHash, Counts)>,
) -> String {
    let mut out = begin(Some(Action::Scrape), alone.as_ref(), rows.len() * HEAD / 2);
    member(&mut out, "files");
    out.push('{');
    for (info_hash, counts) in rows {
        if !out.ends_with('{') {
            out.push(',');
        }
        write_bytes(&mut out, &info_hash.0);
        out.push_str(":{");
        for (name, value) in [
            ("complete", counts.complete),
            ("incomplete", counts.incomplete),
            ("downloaded", counts.downloaded),
        ] {
            member(&mut out, name);
            put(&mut out, value);
        }
        out.push('}');
    }
    out.push_str("}}");
    out
}

/// The reply that tells why a request is refused. `reason` displays as plain ASCII without quotes and backslashes.
pub(super) fn failure(
    action: Option<Action>,
    info_hash: Option<&InfoHash>,
    reason: impl fmt::Display,
) -> String {
    let mut out = begin(action, info_hash, 0);
    member(&mut out, "failure reason");
    out.push('"');
    put(&mut out, reason);
    out.push_str("\"}");
    out
}

/// An offer as it goes to the peer that may answer it.
pub(super) fn offer(info_hash: &InfoHash, peer_id: &PeerId, offer_id: &OfferId, json: &str) -> String {
    relay(info_hash, peer_id, offer_id, "offer", json)
}

/// An answer as it goes to the peer that sent the offer.
pub(super) fn answer(answer: &Answer<'_>) -> String {
    relay(&answer.info_hash, &answer.peer_id, &answer.offer_id, "answer", answer.json)
}

fn relay(info_hash: &InfoHash, peer_id: &PeerId, offer_id: &OfferId, name: &str, json: &str) -> String {
    let mut out = begin(Some(Action::Announce), Some(info_hash), json.len());
    member(&mut out, "peer_id");
    write_bytes(&mut out, &peer_id.0);
    member(&mut out, "offer_id");
    write_bytes(&mut out, &offer_id.0);
    member(&mut out, name);
    out.push_str(json);
    out.push('}');
    out
}
