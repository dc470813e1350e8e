//! A node that is written by hand, from the table of bytes that nodes go by: one that is as it should be, or a hostile one.

use crate::{PATIENCE, nats::Client};
use std::{net::SocketAddr, time::Instant};

/// A message of another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Where it went, behind the cluster's name: `changes`, `alive`, or `to` and a node.
    pub to: String,
    /// Who sent it.
    pub from: String,
    /// Its version.
    pub version: u8,
    /// Its kind.
    pub kind: u8,
    /// The rest of it.
    pub rest: Vec<u8>,
}

impl Heard {
    /// The number at this place, of eight bytes.
    #[must_use]
    pub fn number(&self, at: usize) -> u64 {
        let bytes = self.rest.get(at..at + 8).unwrap_or_else(|| panic!("a number at {at} of {self:?}"));
        u64::from_le_bytes(bytes.try_into().expect("eight bytes"))
    }
}

/// A node by hand.
pub struct Hand {
    client: Client,
    name: String,
    version: u8,
    /// The process that it says it is.
    pub boot: u64,
}

impl Hand {
    /// Is connected there, and hears what all nodes say.
    #[must_use]
    pub fn at(server: SocketAddr, name: &str) -> Self {
        let mut client = Client::connect(server);
        client.subscribe("riptide.>");
        assert!(client.flush().is_empty());
        Self { client, name: name.to_owned(), version: 1, boot: 77 }
    }

    /// The same with another version of messages.
    #[must_use]
    pub fn speaking(self, version: u8) -> Self {
        Self { version, ..self }
    }

    /// Says these bytes to all or to a node: `changes`, `alive`, or `to` and its name.
    pub fn say_raw(&mut self, to: &str, bytes: &[u8]) {
        self.client.publish(&format!("riptide.{to}.{}", self.name), bytes);
    }

    /// Says these bytes by any subject of the cluster.
    pub fn say_beside(&mut self, subject: &str, bytes: &[u8]) {
        self.client.publish(&format!("riptide.{subject}"), bytes);
    }

    /// Says a message of this kind.
    pub fn say(&mut self, to: &str, kind: u8, rest: &[&[u8]]) {
        self.say_raw(to, &[&[self.version, kind], &rest.concat()[..]].concat());
    }

    /// Tells of changes, to all or to a node.
    pub fn say_changes(&mut self, to: &str, sequence: u64, written_ns: u64, records: &[u8]) {
        let length = u32::try_from(records.len()).expect("a short message").to_le_bytes();
        let numbers = [self.boot, sequence, written_ns].map(u64::to_le_bytes).concat();
        self.say(to, 1, &[&numbers, &length, records]);
    }

    /// Says that it is alive, has all that others have, and sends these changes next.
    pub fn say_alive(&mut self, next: u64, as_told: &Heard) {
        // The time, the decisions, the key and since when are those of the other.
        let [now, decisions, key, since] = [16, 40, 48, 56].map(|at| as_told.number(at));
        let numbers = [self.boot, next, now, 0, 0, decisions, key, since].map(u64::to_le_bytes).concat();
        self.say("alive", 2, &[&numbers, &[1, 5], b"0.0.0"]);
    }

    /// Waits until the server has passed on what was said.
    pub fn flush(&mut self) {
        assert!(self.client.flush().is_empty());
    }

    /// The next message of others for which this holds; what comes before is passed over.
    pub fn wait_for(&mut self, awaited: &str, wanted: impl Fn(&Heard) -> bool) -> Heard {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let message = self.client.message_within(left);
            let message = message.unwrap_or_else(|| panic!("never heard: {awaited}"));
            let Some(heard) = heard(&message.subject, &message.payload) else { continue };
            if heard.from != self.name && wanted(&heard) {
                return heard;
            }
        }
    }

    /// The next sign of life of a node that has joined.
    pub fn alive(&mut self, of: &str) -> Heard {
        self.wait_for("a sign of life", |heard| heard.from == of && joined(heard))
    }
}

/// Whether this is a sign of life of a node that has what others have.
#[must_use]
pub fn joined(heard: &Heard) -> bool {
    heard.kind == 2 && heard.rest.get(64) == Some(&1)
}

fn heard(subject: &str, payload: &[u8]) -> Option<Heard> {
    let (to, from) = subject.strip_prefix("riptide.")?.rsplit_once('.')?;
    let [version, kind, rest @ ..] = payload else { return None };
    Some(Heard { to: to.into(), from: from.into(), version: *version, kind: *kind, rest: rest.to_vec() })
}
