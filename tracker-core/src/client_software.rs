//! What software a client is, as its peer ID tells ([BEP 20](https://www.bittorrent.org/beps/bep_0020.html)). Nothing is
//! served or refused by it: it is for whoever wants to know who comes.

mod table;

use table::{OTHER, SOFTWARE};
use tracker_common::label::Labelled;

/// One announce in so many is looked at, and stands for all of them. A prime, so that no pattern of clients is always
/// passed over.
pub const ANNOUNCES_PER_LOOK: u32 = 61;

/// A client's software: one of a fixed set, or [`ClientSoftware::OTHER`]. What a stranger sends only chooses among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientSoftware(u8);

impl ClientSoftware {
    /// How many there are, [`ClientSoftware::OTHER`] among them.
    pub const COUNT: usize = SOFTWARE.len() + 1;
    /// None of those that are known by a name.
    pub const OTHER: Self = Self(SOFTWARE.len() as u8);

    /// Every one, [`ClientSoftware::OTHER`] last.
    pub const ALL: [Self; Self::COUNT] = {
        let mut all = [Self::OTHER; Self::COUNT];
        let mut i = 0;
        while i < all.len() {
            all[i] = Self(i as u8);
            i += 1;
        }
        all
    };

    /// What a peer ID tells. One shorter than it should be is read as far as it goes.
    #[must_use]
    pub fn of(peer_id: &[u8]) -> Self {
        let known = SOFTWARE.iter().position(|(_, signs)| signs.iter().any(|sign| sign.is_on(peer_id)));
        known.map_or(Self::OTHER, |place| Self(place as u8))
    }

    /// The name that people know, or `other`.
    #[must_use]
    pub fn name(self) -> &'static str {
        SOFTWARE.get(usize::from(self.0)).map_or(OTHER, |(name, _)| name)
    }
}

// Numbers are bytes.
const _: () = assert!(ClientSoftware::COUNT <= u8::MAX as usize);

impl Labelled for ClientSoftware {
    const ALL: &'static [Self] = &Self::ALL;

    fn label(self) -> &'static str {
        self.name()
    }

    fn number(self) -> usize {
        usize::from(self.0)
    }
}

/// Which announces are looked at. Each thread has one of its own.
#[derive(Clone, Debug, Default)]
pub struct Sampling {
    passed: u32,
}

impl Sampling {
    /// Another announce has come: whether it is the one of [`ANNOUNCES_PER_LOOK`] that is looked at, the last of them.
    #[inline]
    pub fn is_due(&mut self) -> bool {
        self.passed += 1;
        if self.passed < ANNOUNCES_PER_LOOK {
            return false;
        }
        self.passed = 0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn name(peer_id: &[u8]) -> &'static str {
        ClientSoftware::of(peer_id).name()
    }

    /// As these clients send them.
    #[test]
    fn peer_ids_are_read_by_hand_written_examples() {
        for (peer_id, expected) in [
            (&b"-qB4630-q8x)Zz!tW.0~"[..], "qBittorrent"),
            (b"-qB46A0-\x00\xff\x80\x01234567890", "qBittorrent"),
            (b"-TR3000-abcdefghijkl", "Transmission"),
            (b"-TR300Z-abcdefghijkl", "Transmission"),
            (b"-DE13F0-abcdefghijkl", "Deluge"),
            (b"-lt0D80-abcdefghijkl", "libTorrent (rTorrent)"),
            (b"-LT20B0-abcdefghijkl", "libtorrent (Rasterbar)"),
            (b"-UT3550-abcdefghijkl", "\u{b5}Torrent"),
            (b"-UT355S\x9c\x00bcdefghijkl", "\u{b5}Torrent"),
            (b"-UM1870-abcdefghijkl", "\u{b5}Torrent Mac"),
            (b"-UW1310-abcdefghijkl", "\u{b5}Torrent Web"),
            (b"-BT7b5W-abcdefghijkl", "BitTorrent"),
            (b"-AZ5760-abcdefghijkl", "Vuze"),
            (b"-BI3500-abcdefghijkl", "BiglyBT"),
            (b"-BC0187-abcdefghijkl", "BitComet"),
            (b"exbc\x00\x38abcdefghijklmn", "BitComet"),
            (b"exbc\x00\x38LORDefghijklmn", "BitLord"),
            (b"-XL0012-abcdefghijkl", "Xunlei"),
            (b"-SD0100-abcdefghijkl", "Xunlei"),
            (b"-WW0201-abcdefghijkl", "WebTorrent"),
            (b"-WD0024-abcdefghijkl", "WebTorrent Desktop"),
            (b"TIX0325-a1b2c3d4e5f6", "Tixati"),
            (b"A2-1-36-0-abcdefghij", "aria2"),
            (b"A2-1-8-3-abcdefghijk", "aria2"),
            (b"-ML2.7.2-kgjjfkdabcd", "MLDonkey"),
            (b"-FG0180abcdefghijklm", "FlashGet"),
            (b"-A~0010-abcdefghijkl", "Ares"),
            (b"-WT-abcdefghijklmnop", "BitLet"),
            (b"OP7685f2c1497b1680bf", "Opera"),
            (b"M7-10-1--abcdefghijk", "Mainline"),
            (b"M4-20-8--abcdefghijk", "Mainline"),
            (b"M10-0-0--abcdefghijk", "Mainline"),
            (b"M4-3-6--abcdefghijkl", "Mainline"),
            (b"Q1-10-0-abcdefghijkl", "Queen Bee"),
            (b"S58B-----abcdefghijk", "Shadow's client"),
            (b"T03I-----abcdefghijk", "BitTornado"),
            (b"A310--001abcdefghijk", "ABC"),
            (b"A310-----abcdefghijk", "ABC"),
            (b"R34------abcdefghijk", "Tribler"),
            (b"U2z1Z.---abcdefghijk", "UPnP NAT Bit Torrent"),
            (b"\x00\x03BSabcdefghijklmnop", "BitSpirit"),
        ] {
            assert_eq!(name(peer_id), expected, "{}", peer_id.escape_ascii());
        }
    }

    #[test]
    fn what_is_not_known_is_other_and_nothing_of_it_is_kept() {
        for peer_id in [
            &b""[..],
            b"-",
            b"-qB",
            b"-qB463",
            &[0; 20],
            &[0xff; 20],
            b"-zz0000-abcdefghijkl",
            b"-QB4630-abcdefghijkl",
            b"qB4630--abcdefghijkl",
            b"-qB\n\"}1-abcdefghijkl",
            b"-ML\"{}\\-kgjjfkdabcde",
            b"M-------abcdefghijkl",
            b"M7--1-0-abcdefghijkl",
            b"Mabcdefghijklmnopqrs",
            b"S-------------------",
            b"S5!B-----abcdefghijk",
            b"OPtical-abcdefghijkl",
            b"TIXABCD-abcdefghijkl",
            b"bbbbbbbbbbbbbbbbbbbb",
        ] {
            assert_eq!(ClientSoftware::of(peer_id), ClientSoftware::OTHER, "{}", peer_id.escape_ascii());
        }
        assert_eq!(ClientSoftware::OTHER.name(), "other");
    }

    #[test]
    fn every_name_is_there_once_and_fit_for_a_label() {
        let names: BTreeSet<&str> = ClientSoftware::ALL.iter().map(|software| software.name()).collect();
        assert_eq!(names.len(), ClientSoftware::COUNT);
        for name in names {
            assert!(
                !name.is_empty() && name.chars().all(|c| !c.is_control() && c != '"' && c != '\\'),
                "{name}"
            );
        }
        for (number, software) in <ClientSoftware as Labelled>::ALL.iter().enumerate() {
            assert_eq!(software.number(), number);
        }
    }

    /// Whoever comes late in the table is not taken for another.
    #[test]
    fn no_sign_of_one_is_hidden_by_another() {
        for (name, signs) in SOFTWARE {
            for sign in *signs {
                let example = sign.example();
                assert_eq!(self::name(&example), *name, "{}", example.escape_ascii());
            }
        }
    }

    #[test]
    fn the_last_of_so_many_announces_is_looked_at() {
        let mut sampling = Sampling::default();
        for round in 1..=10 * ANNOUNCES_PER_LOOK {
            assert_eq!(sampling.is_due(), round % ANNOUNCES_PER_LOOK == 0, "{round}");
        }
    }
}
