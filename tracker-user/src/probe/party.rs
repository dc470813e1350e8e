//! The two clients that a probe plays, and the torrent where they should meet.

use std::{io, net::SocketAddr};

/// How many peers each client asks for: as many as clients usually do.
pub(super) const WANTED: u16 = 50;

/// Begins peer IDs, as clients of Azureus's convention do.
const PEER_ID_PREFIX: &[u8; 8] = b"-RP0100-";
/// The ports that are announced. Nobody listens there, and nobody is told but who asks for the same torrent.
const FIRST_PORT: u16 = 20_000;
const PORTS: u16 = 40_000;

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// Who announces first, with all of the torrent.
    First,
    /// Who comes after it, and wants the torrent.
    Second,
}

impl Which {
    /// 1 or 2.
    pub(super) const fn number(self) -> u8 {
        match self {
            Self::First => 1,
            Self::Second => 2,
        }
    }

    /// Bytes that it says are left.
    pub(super) const fn left(self) -> u64 {
        match self {
            Self::First => 0,
            Self::Second => 1 << 20,
        }
    }
}

/// Why a client announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// It comes.
    Started,
    /// It goes.
    Stopped,
}

impl Event {
    /// The word for it (BEP 3).
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Stopped => "stopped",
        }
    }
}

/// A client, as trackers know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Client {
    pub(super) which: Which,
    pub(super) peer_id: [u8; 20],
    pub(super) port: u16,
    /// What it would prove its identity by, and over UDP its first transaction ID.
    pub(super) key: u32,
    /// Names the offer that it makes to WebTorrent peers.
    pub(super) offer_id: [u8; 20],
}

/// Both, at one address of a tracker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Party {
    pub(super) tracker: SocketAddr,
    pub(super) info_hash: [u8; 20],
    /// The torrent was made up for this: nobody else is there.
    pub(super) is_alone: bool,
    pub(super) first: Client,
    pub(super) second: Client,
}

impl Party {
    /// Two new clients, for this torrent or for one of which nobody knows.
    ///
    /// # Errors
    /// If the system has no randomness.
    pub(super) fn new(tracker: SocketAddr, info_hash: Option<[u8; 20]>) -> io::Result<Self> {
        let first = Client::new(Which::First)?;
        let mut second = Client::new(Which::Second)?;
        if second.port == first.port {
            // They are told apart by it.
            second.port += 1;
        }
        let made_up = random()?;
        Ok(Self {
            tracker,
            info_hash: info_hash.unwrap_or(made_up),
            is_alone: info_hash.is_none(),
            first,
            second,
        })
    }

    /// One of the two.
    pub(super) const fn client(&self, which: Which) -> &Client {
        match which {
            Which::First => &self.first,
            Which::Second => &self.second,
        }
    }
}

impl Client {
    fn new(which: Which) -> io::Result<Self> {
        let mut peer_id: [u8; 20] = random()?;
        for byte in &mut peer_id {
            *byte = b"0123456789abcdefghijklmnopqrstuv"[usize::from(*byte % 32)];
        }
        peer_id[..PEER_ID_PREFIX.len()].copy_from_slice(PEER_ID_PREFIX);
        let port = FIRST_PORT + u16::from_ne_bytes(random()?) % PORTS;
        Ok(Self { which, peer_id, port, key: u32::from_ne_bytes(random()?), offer_id: random()? })
    }
}

/// Random bytes.
fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}

#[cfg(test)]
pub(super) mod samples {
    use super::*;

    /// Two clients that tests know, at a tracker at this address.
    pub(in crate::probe) fn party(tracker: &str) -> Party {
        let client = |which, port| Client {
            which,
            peer_id: *b"-RP0100-abcdefghijkl",
            port,
            key: 0x0a0b_0c0d,
            offer_id: [0xfe; 20],
        };
        Party {
            tracker: tracker.parse().unwrap(),
            info_hash: *b"aaaaaaaaaaaaaaaaaaaa",
            is_alone: true,
            first: client(Which::First, 1001),
            second: client(Which::Second, 1002),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_differ_and_so_do_probes() {
        let tracker = "192.0.2.1:6969".parse().unwrap();
        let (one, other) = (Party::new(tracker, None).unwrap(), Party::new(tracker, None).unwrap());
        assert!(one.is_alone && one.info_hash != other.info_hash);
        for party in [one, other] {
            assert_ne!(party.first.port, party.second.port);
            assert_ne!(party.first.peer_id, party.second.peer_id);
            assert!(party.first.peer_id.starts_with(b"-RP0100-"));
            assert!(party.first.peer_id.is_ascii());
        }
        let named = Party::new(tracker, Some([7; 20])).unwrap();
        assert!(!named.is_alone && named.info_hash == [7; 20]);
    }
}
