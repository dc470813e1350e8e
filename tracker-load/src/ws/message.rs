//! WebTorrent messages from the client's side: JSON in which 20-byte values are strings of code points 0 to 255.

use crate::{figures::Wrong, workload::Peer};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::io::Write as _;

/// What a leecher of the workload still wants, bytes.
const LEFT: u64 = 1_000_000_000;
/// Counts above this are absurd: no swarm has so many peers.
const MOST_PEERS: u64 = 100_000_000;

/// Appends an announce with this many offers. `sdp` is plain ASCII without quotes or backslashes.
pub fn announce(to: &mut Vec<u8>, peer: &Peer, wanted: u16, first_offer: u64, offers: u16, sdp: &str) {
    to.extend(br#"{"action":"announce","info_hash":""#);
    bytes(to, &peer.info_hash);
    to.extend(br#"","peer_id":""#);
    bytes(to, &peer.peer_id);
    let left = if peer.seeder { 0 } else { LEFT };
    // Writing to memory cannot fail.
    let _ = write!(
        to,
        r#"","uploaded":0,"downloaded":0,"left":{left},"event":"started","numwant":{wanted},"offers":["#
    );
    for number in 0..u64::from(offers) {
        let comma = if number == 0 { "" } else { "," };
        // The offer ID is any 20 bytes; its number makes it differ from all others.
        let _ = write!(
            to,
            r#"{comma}{{"offer":{{"type":"offer","sdp":"{sdp}"}},"offer_id":"{:020}"}}"#,
            first_offer.wrapping_add(number)
        );
    }
    to.extend(b"]}");
}

/// Appends the answer to an offer.
pub fn answer(to: &mut Vec<u8>, own_peer_id: &[u8; 20], offer: &Offer, sdp: &str) {
    to.extend(br#"{"action":"announce","info_hash":""#);
    bytes(to, &offer.info_hash);
    to.extend(br#"","peer_id":""#);
    bytes(to, own_peer_id);
    to.extend(br#"","to_peer_id":""#);
    bytes(to, &offer.peer_id);
    to.extend(br#"","offer_id":""#);
    bytes(to, &offer.offer_id);
    let _ = write!(to, r#"","answer":{{"type":"answer","sdp":"{sdp}"}}}}"#);
}

/// Twenty bytes as a JSON string's inside.
fn bytes(to: &mut Vec<u8>, value: &[u8; 20]) {
    for &byte in value {
        match byte {
            b'"' | b'\\' => to.extend([b'\\', byte]),
            ..0x20 => {
                let _ = write!(to, "\\u{byte:04x}");
            }
            0x20..0x80 => to.push(byte),
            // Two bytes of UTF-8.
            0x80.. => to.extend([0xc0 | byte >> 6, 0x80 | byte & 0x3f]),
        }
    }
}

/// An offer that was relayed to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The torrent.
    pub info_hash: [u8; 20],
    /// Who sent it.
    pub peer_id: [u8; 20],
    /// Its name.
    pub offer_id: [u8; 20],
}

/// A message from the tracker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// The reply to an announce of this torrent.
    Announced([u8; 20]),
    /// Somebody's offer.
    Offer(Offer),
    /// Somebody's answer to an offer of ours.
    Answer,
}

#[derive(Deserialize)]
struct Fields<'a> {
    action: Option<String>,
    info_hash: Option<String>,
    peer_id: Option<String>,
    offer_id: Option<String>,
    #[serde(borrow)]
    offer: Option<&'a RawValue>,
    #[serde(borrow)]
    answer: Option<&'a RawValue>,
    interval: Option<u64>,
    complete: Option<u64>,
    incomplete: Option<u64>,
    #[serde(rename = "failure reason")]
    failure: Option<String>,
}

/// Why the tracker refused, if the message says that it did.
#[must_use]
pub fn failure(text: &[u8]) -> Option<String> {
    let fields: Fields<'_> = serde_json::from_slice(text).ok()?;
    Some(fields.failure?.chars().filter(|c| !c.is_control()).take(200).collect())
}

/// Reads and checks a message.
///
/// # Errors
/// What is wrong with it.
pub fn read(text: &[u8]) -> Result<Message, Wrong> {
    let fields: Fields<'_> = serde_json::from_slice(text).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => Wrong::Field,
        _ => Wrong::Malformed,
    })?;
    if fields.failure.is_some() {
        return Err(Wrong::Refused);
    }
    if fields.action.as_deref() != Some("announce") {
        return Err(Wrong::Action);
    }
    let info_hash = twenty(fields.info_hash.as_deref())?;
    match (fields.offer, fields.answer) {
        (None, None) => {
            let (Some(interval), Some(complete), Some(incomplete)) =
                (fields.interval, fields.complete, fields.incomplete)
            else {
                return Err(Wrong::Field);
            };
            if interval == 0 {
                return Err(Wrong::Field);
            }
            if complete > MOST_PEERS || incomplete > MOST_PEERS {
                return Err(Wrong::Counts);
            }
            Ok(Message::Announced(info_hash))
        }
        (Some(offer), None) if is_object(offer) => Ok(Message::Offer(Offer {
            info_hash,
            peer_id: twenty(fields.peer_id.as_deref())?,
            offer_id: twenty(fields.offer_id.as_deref())?,
        })),
        (None, Some(answer)) if is_object(answer) => {
            twenty(fields.peer_id.as_deref())?;
            twenty(fields.offer_id.as_deref())?;
            Ok(Message::Answer)
        }
        _ => Err(Wrong::Field),
    }
}

fn is_object(value: &RawValue) -> bool {
    value.get().starts_with('{')
}

/// Twenty code points up to 255 as bytes.
fn twenty(text: Option<&str>) -> Result<[u8; 20], Wrong> {
    let mut value = [0; 20];
    let mut points = text.ok_or(Wrong::Field)?.chars();
    for byte in &mut value {
        *byte = points.next().and_then(|point| u8::try_from(u32::from(point)).ok()).ok_or(Wrong::Field)?;
    }
    if points.next().is_some() { Err(Wrong::Field) } else { Ok(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SDP: &str = "v=0";

    fn peer() -> Peer {
        let mut info_hash = [b'h'; 20];
        info_hash[..6].copy_from_slice(&[0, b'"', b'\\', 0x7f, 0x80, 0xff]);
        Peer { info_hash, peer_id: *b"-RL0100-000000000000", port: 1, seeder: false }
    }

    /// The info hash of [`peer`] as JSON.
    const HASH: &str = "\\u0000\\\"\\\\\u{7f}\u{80}\u{ff}hhhhhhhhhhhhhh";

    #[test]
    fn an_announce_is_what_clients_send() {
        let mut bytes = Vec::new();
        announce(&mut bytes, &peer(), 5, 7, 2, SDP);
        let expected = format!(
            "{{\"action\":\"announce\",\"info_hash\":\"{HASH}\",\"peer_id\":\"-RL0100-000000000000\",\
             \"uploaded\":0,\"downloaded\":0,\"left\":1000000000,\"event\":\"started\",\"numwant\":5,\"offers\":[\
             {{\"offer\":{{\"type\":\"offer\",\"sdp\":\"v=0\"}},\"offer_id\":\"00000000000000000007\"}},\
             {{\"offer\":{{\"type\":\"offer\",\"sdp\":\"v=0\"}},\"offer_id\":\"00000000000000000008\"}}]}}"
        );
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }

    #[test]
    fn an_answer_is_what_clients_send() {
        let offer = Offer { info_hash: peer().info_hash, peer_id: [b'p'; 20], offer_id: [b'o'; 20] };
        let mut bytes = Vec::new();
        answer(&mut bytes, &[b'q'; 20], &offer, SDP);
        let (p, q, o) = ("p".repeat(20), "q".repeat(20), "o".repeat(20));
        let expected = format!(
            "{{\"action\":\"announce\",\"info_hash\":\"{HASH}\",\"peer_id\":\"{q}\",\"to_peer_id\":\"{p}\",\
             \"offer_id\":\"{o}\",\"answer\":{{\"type\":\"answer\",\"sdp\":\"v=0\"}}}}"
        );
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }

    #[test]
    fn messages_are_told_apart() {
        let (p, o) = ("p".repeat(20), "o".repeat(20));
        let read = |text: String| read(text.as_bytes());
        let head = format!("{{\"action\":\"announce\",\"info_hash\":\"{HASH}\"");
        let announced = format!("{head},\"interval\":120,\"complete\":1,\"incomplete\":2}}");
        assert_eq!(read(announced.clone()), Ok(Message::Announced(peer().info_hash)));
        let offer = format!("{head},\"peer_id\":\"{p}\",\"offer_id\":\"{o}\",\"offer\":{{\"sdp\":\"x\"}}}}");
        let expected = Offer { info_hash: peer().info_hash, peer_id: [b'p'; 20], offer_id: [b'o'; 20] };
        assert_eq!(read(offer.clone()), Ok(Message::Offer(expected)));
        let answer = offer.replace("\"offer\"", "\"answer\"");
        assert_eq!(read(answer), Ok(Message::Answer));
        for (text, wrong) in [
            (String::new(), Wrong::Malformed),
            ("{".into(), Wrong::Malformed),
            ("[]".into(), Wrong::Field),
            ("{}".into(), Wrong::Action),
            ("{\"failure reason\":\"no\"}".into(), Wrong::Refused),
            (announced.replace("announce", "scrape"), Wrong::Action),
            (announced.replace("120", "0"), Wrong::Field),
            (announced.replace("120", "\"120\""), Wrong::Field),
            (announced.replace("\"complete\"", "\"completed\""), Wrong::Field),
            (announced.replace(":2}", ":-2}"), Wrong::Field),
            (announced.replace(":2}", ":200000000}"), Wrong::Counts),
            (announced.replace("hhh\"", "hh\""), Wrong::Field),
            (announced.replace("hhh\"", "hhhh\""), Wrong::Field),
            (announced.replace("hhh\"", "hh\u{100}\""), Wrong::Field),
            (offer.replace("offer_id", "offer-id"), Wrong::Field),
            (offer.replace("{\"sdp\":\"x\"}", "\"x\""), Wrong::Field),
        ] {
            assert_eq!(read(text.clone()), Err(wrong), "{text}");
        }
    }

    #[test]
    fn refusals_have_a_reason() {
        assert_eq!(failure(b"{\"failure reason\":\"go\\n away\"}"), Some("go away".into()));
        assert_eq!(failure(b"{}"), None);
    }
}
