//! Messages of WebTorrent: those that the clients send, and what those of a tracker say: text in, findings out.

use super::{
    party::{Client, Event, Party},
    shown,
    told::{Row, Told},
};
use serde_json::{Value, json};

/// A description of a connection, as short as one can be. Trackers do not look into it.
const SDP: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";

/// What a tracker says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Message {
    /// The answer to an announce.
    Announced(Told),
    /// An offer of another peer.
    Offer(Relayed),
    /// The answer of another peer to an offer.
    Answer(Relayed),
    /// The counts of the torrent; none, where the tracker does not know it.
    Scraped(Option<Row>),
    /// The tracker refuses, and says why.
    Refused(String),
    /// Something of another torrent, or of which nobody knows.
    Other,
    /// What is no message.
    Broken(String),
}

/// What a tracker hands on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Relayed {
    /// The offer or answer.
    pub(super) description: Value,
    /// Who sent it, if that is twenty bytes.
    pub(super) peer_id: Option<[u8; 20]>,
    /// Which offer it is, or answers.
    pub(super) offer_id: Option<[u8; 20]>,
}

/// What a client offers, or answers.
pub(super) fn description(kind: &str) -> Value {
    json!({ "type": kind, "sdp": SDP })
}

/// An announce, with an offer where the client comes.
pub(super) fn announce(party: &Party, client: &Client, event: Event) -> String {
    let mut message = json!({
        "action": "announce",
        "info_hash": latin(&party.info_hash),
        "peer_id": latin(&client.peer_id),
        "uploaded": 0,
        "downloaded": 0,
        "left": client.which.left(),
        "event": event.word(),
    });
    if event == Event::Started {
        message["numwant"] = json!(1);
        message["offers"] = json!([{ "offer": description("offer"), "offer_id": latin(&client.offer_id) }]);
    }
    message.to_string()
}

/// The answer of the first client to the offer of the second.
pub(super) fn answer(party: &Party) -> String {
    let (from, to) = (&party.first, &party.second);
    json!({
        "action": "announce",
        "info_hash": latin(&party.info_hash),
        "peer_id": latin(&from.peer_id),
        "to_peer_id": latin(&to.peer_id),
        "offer_id": latin(&to.offer_id),
        "answer": description("answer"),
    })
    .to_string()
}

/// A scrape of the torrent.
pub(super) fn scrape(party: &Party) -> String {
    json!({ "action": "scrape", "info_hash": latin(&party.info_hash) }).to_string()
}

/// Reads what a tracker sent to a client of this torrent.
pub(super) fn read(text: &str, info_hash: [u8; 20]) -> Message {
    let message: Value = match serde_json::from_str(text) {
        Ok(message @ Value::Object(_)) => message,
        Ok(_) => {
            return Message::Broken(format!(
                "a message is no JSON object: {}",
                shown::beginning(text.as_bytes())
            ));
        }
        Err(_) => {
            return Message::Broken(format!("a message is no JSON: {}", shown::beginning(text.as_bytes())));
        }
    };
    if let Some(reason) = message["failure reason"].as_str() {
        return Message::Refused(shown::text(reason.as_bytes()));
    }
    if message["action"] == "scrape" {
        return scraped(&message["files"], info_hash);
    }
    // Clients use one socket for many torrents and pass over what names none of them.
    if message["action"] != "announce" || bytes(&message["info_hash"]) != Some(info_hash) {
        return Message::Other;
    }
    let relayed = |description: &Value| Relayed {
        description: description.clone(),
        peer_id: bytes(&message["peer_id"]),
        offer_id: bytes(&message["offer_id"]),
    };
    match (&message["offer"], &message["answer"]) {
        (Value::Null, Value::Null) => {
            let number = |key: &str| integer(&message[key]);
            Message::Announced(Told {
                interval: number("interval"),
                min_interval: number("min interval"),
                seeders: number("complete"),
                leechers: number("incomplete"),
                peers: Vec::new(),
            })
        }
        (offer, Value::Null) => Message::Offer(relayed(offer)),
        (_, answer) => Message::Answer(relayed(answer)),
    }
}

fn scraped(files: &Value, info_hash: [u8; 20]) -> Message {
    let Some(files) = files.as_object() else {
        return Message::Broken("the answer to a scrape has no object `files`".to_owned());
    };
    let Some(row) = files.get(&latin(&info_hash)) else { return Message::Scraped(None) };
    match (integer(&row["complete"]), integer(&row["incomplete"])) {
        (Some(seeders), Some(leechers)) => {
            Message::Scraped(Some(Row { seeders, leechers, downloads: integer(&row["downloaded"]) }))
        }
        _ => Message::Broken("the torrent's row has no `complete` or no `incomplete`".to_owned()),
    }
}

/// What is wrong with what was handed on, where this description of this client was to arrive.
pub(super) fn judge(relayed: &Relayed, kind: &str, from: &Client, offer_id: [u8; 20]) -> Option<String> {
    if relayed.offer_id != Some(offer_id) {
        return Some(format!(
            "the {kind} arrives with another offer_id: clients cannot tell what it belongs to"
        ));
    }
    if relayed.peer_id != Some(from.peer_id) {
        return Some(format!(
            "the {kind} arrives with another peer_id than its sender's: nobody can reply to it"
        ));
    }
    if relayed.description != description(kind) {
        return Some(format!(
            "the {kind} arrives changed: {}",
            shown::beginning(relayed.description.to_string().as_bytes())
        ));
    }
    None
}

/// A whole number, which JavaScript may have written in another way.
fn integer(value: &Value) -> Option<i64> {
    value
        .as_i64()
        .or_else(|| value.as_f64().filter(|number| number.fract() == 0.0).map(|number| number as i64))
}

/// Bytes as a string of one code point for each.
fn latin(bytes: &[u8; 20]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// The same read back.
fn bytes(value: &Value) -> Option<[u8; 20]> {
    let bytes: Result<Vec<u8>, _> =
        value.as_str()?.chars().map(|unit| u8::try_from(u32::from(unit))).collect();
    bytes.ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::super::party::samples::party;
    use super::*;

    const HASH: [u8; 20] = *b"aaaaaaaaaaaaaaaaaaa\xe9";

    /// The hash as the wire has it.
    const WIRE: &str = "aaaaaaaaaaaaaaaaaaa\u{e9}";

    fn look(text: &str) -> Message {
        read(&text.replace("HASH", WIRE), HASH)
    }

    #[test]
    fn messages_are_those_of_webtorrent() {
        let party = Party { info_hash: HASH, ..party("192.0.2.1:80") };
        let parsed = |text: String| serde_json::from_str::<Value>(&text).unwrap();
        let offer_id = "\u{fe}".repeat(20);
        let offer = json!({ "type": "offer", "sdp": SDP });
        assert_eq!(
            parsed(announce(&party, &party.second, Event::Started)),
            json!({
                "action": "announce", "info_hash": WIRE, "peer_id": "-RP0100-abcdefghijkl", "uploaded": 0,
                "downloaded": 0, "left": 1_048_576, "event": "started", "numwant": 1,
                "offers": [{ "offer": offer, "offer_id": offer_id }],
            })
        );
        let stop = parsed(announce(&party, &party.first, Event::Stopped));
        assert_eq!(
            (&stop["event"], &stop["left"], &stop["offers"]),
            (&json!("stopped"), &json!(0), &Value::Null)
        );
        let answer = parsed(answer(&party));
        assert_eq!(
            (&answer["to_peer_id"], &answer["offer_id"]),
            (&json!("-RP0100-abcdefghijkl"), &json!(offer_id))
        );
        assert_eq!(answer["answer"]["type"], "answer");
        assert_eq!(parsed(scrape(&party)), json!({ "action": "scrape", "info_hash": WIRE }));
    }

    #[test]
    fn answers_are_read() {
        let told = Told { interval: Some(120), seeders: Some(1), leechers: Some(0), ..Told::default() };
        let text = r#"{"action":"announce","info_hash":"HASH","interval":120,"complete":1.0,"incomplete":0}"#;
        assert_eq!(look(text), Message::Announced(told));
        assert_eq!(look(&text.replace("HASH", "another")), Message::Other);
        assert_eq!(look(r#"{"action":"announce","interval":120}"#), Message::Other);
        assert_eq!(look(r#"{"failure reason":"no\u0007"}"#), Message::Refused("no\\u{7}".to_owned()));
        let row = Row { seeders: 1, leechers: 2, downloads: Some(3) };
        assert_eq!(
            look(r#"{"action":"scrape","files":{"HASH":{"complete":1,"incomplete":2,"downloaded":3}}}"#),
            Message::Scraped(Some(row))
        );
        assert_eq!(look(r#"{"action":"scrape","files":{}}"#), Message::Scraped(None));
        for broken in
            ["", "[]", "nonsense", r#"{"action":"scrape"}"#, r#"{"action":"scrape","files":{"HASH":{}}}"#]
        {
            assert!(matches!(look(broken), Message::Broken(_)), "{broken}");
        }
    }

    #[test]
    fn what_is_handed_on_has_to_be_whole() {
        let party = party("192.0.2.1:80");
        let sent = json!({ "type": "offer", "sdp": SDP });
        let offer = |peer_id: &str, id: &str, offer: &Value| {
            let text = json!({
                "action": "announce", "info_hash": WIRE, "offer": offer, "offer_id": id, "peer_id": peer_id,
            });
            match read(&text.to_string(), HASH) {
                Message::Offer(offer) => judge(&offer, "offer", &party.second, party.second.offer_id),
                other => panic!("{other:?}"),
            }
        };
        let (peer_id, id) = ("-RP0100-abcdefghijkl", "\u{fe}".repeat(20));
        assert_eq!(offer(peer_id, &id, &sent), None);
        assert!(offer(peer_id, "x", &sent).unwrap().contains("another offer_id"));
        assert!(offer("x", &id, &sent).unwrap().contains("another peer_id"));
        assert!(
            offer(peer_id, &id, &json!({ "type": "offer" })).unwrap().contains("the offer arrives changed")
        );
        let answer = format!(r#"{{"action":"announce","info_hash":"HASH","offer":null,"answer":{sent}}}"#);
        assert!(matches!(look(&answer), Message::Answer(_)));
    }
}
