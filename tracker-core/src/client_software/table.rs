//! Who writes which peer ID. Gathered from the lists of [BEP 20](https://www.bittorrent.org/beps/bep_0020.html), of
//! libtorrent (`src/identify_client.cpp`) and of Transmission (`libtransmission/clients.cc`); where they name the same
//! software differently, the name is that by which it goes today.

use Sign::{Azureus, Begins, Digits, Holds, Mainline, Shadow};

/// The name of what is not in the table.
pub(super) const OTHER: &str = "other";

/// What tells a software in a peer ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// `-`, these two characters, four more of version; mostly another `-`, which some leave out.
    Azureus(&'static [u8; 2]),
    /// This letter, up to five characters of version padded with `-`, and `---`; or three of version and `--`.
    Shadow(u8),
    /// This letter and three numbers with `-` between: `M7-10-1--`.
    Mainline(u8),
    /// It begins with this.
    Begins(&'static [u8]),
    /// It begins with this and four digits.
    Digits(&'static [u8]),
    /// At this place it holds this, and begins with what follows.
    Holds(usize, &'static [u8], &'static [u8]),
}

impl Sign {
    pub(super) fn is_on(self, peer_id: &[u8]) -> bool {
        match self {
            Azureus([a, b]) => match peer_id {
                [b'-', first, second, version @ ..] => {
                    let is_version = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'.';
                    (first, second) == (a, b) && version.get(..4).is_some_and(|v| v.iter().all(is_version))
                }
                _ => false,
            },
            Shadow(letter) => peer_id.first() == Some(&letter) && is_shadow(peer_id),
            Mainline(letter) => peer_id.first() == Some(&letter) && is_mainline(peer_id),
            Begins(start) => peer_id.starts_with(start),
            Digits(start) => peer_id
                .strip_prefix(start)
                .and_then(|rest| rest.get(..4))
                .is_some_and(|version| version.iter().all(u8::is_ascii_digit)),
            Holds(place, part, start) => {
                peer_id.starts_with(start) && peer_id.get(place..).is_some_and(|rest| rest.starts_with(part))
            }
        }
    }
}

fn is_shadow(peer_id: &[u8]) -> bool {
    let is_version = |version: &[u8]| {
        !version.is_empty() && version.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'.')
    };
    let Some(rest) = peer_id.get(1..9) else { return false };
    match rest.split_at(5) {
        (version, b"---") => {
            let length = version.iter().rposition(|byte| *byte != b'-').map_or(0, |last| last + 1);
            is_version(&version[..length])
        }
        _ => is_version(&rest[..3]) && rest[3..].starts_with(b"--"),
    }
}

fn is_mainline(peer_id: &[u8]) -> bool {
    // Three numbers are at most eight characters with what is between and behind them.
    let Some(rest) = peer_id.get(1..9) else { return false };
    let mut parts = rest.split(|byte| *byte == b'-');
    let mut number = || {
        parts.next().is_some_and(|part| matches!(part.len(), 1..=3) && part.iter().all(u8::is_ascii_digit))
    };
    number() && number() && number()
}

/// Names, and the signs of each. Those that come most often are found first.
pub(super) const SOFTWARE: &[(&str, &[Sign])] = &[
    ("qBittorrent", &[Azureus(b"qB")]),
    ("\u{b5}Torrent", &[Azureus(b"UT")]),
    ("Transmission", &[Azureus(b"TR")]),
    // Before the one that it comes from.
    ("BitLord", &[Azureus(b"BL"), Holds(6, b"LORD", b"exbc")]),
    ("BitComet", &[Azureus(b"BC"), Begins(b"FUTB"), Begins(b"xUTB"), Begins(b"exbc")]),
    ("libtorrent (Rasterbar)", &[Azureus(b"LT")]),
    ("libTorrent (rTorrent)", &[Azureus(b"lt")]),
    ("Deluge", &[Azureus(b"DE")]),
    ("BitTorrent", &[Azureus(b"BT")]),
    ("WebTorrent", &[Azureus(b"WW")]),
    ("Xunlei", &[Azureus(b"XL"), Azureus(b"SD")]),
    ("BiglyBT", &[Azureus(b"BI")]),
    ("\u{b5}Torrent Web", &[Azureus(b"UW")]),
    ("\u{b5}Torrent Mac", &[Azureus(b"UM")]),
    ("Tixati", &[Digits(b"TIX")]),
    ("aria2", &[Begins(b"A2-"), Begins(b"aria2-")]),
    ("Vuze", &[Azureus(b"AZ")]),
    ("MediaGet", &[Azureus(b"MG")]),
    ("Free Download Manager", &[Azureus(b"FD")]),
    ("FrostWire", &[Azureus(b"FW")]),
    ("PicoTorrent", &[Azureus(b"PI")]),
    ("Folx", &[Azureus(b"FL")]),
    ("KTorrent", &[Azureus(b"KT")]),
    ("WebTorrent Desktop", &[Azureus(b"WD")]),
    ("Zona", &[Azureus(b"ZO")]),
    ("Baidu Netdisk", &[Azureus(b"BN")]),
    ("QQDownload", &[Azureus(b"QD")]),
    ("\u{b5}Torrent Embedded", &[Azureus(b"UE")]),
    ("aTorrent", &[Azureus(b"7T")]),
    ("Tribler", &[Azureus(b"TL"), Shadow(b'R')]),
    ("MonoTorrent", &[Azureus(b"MO")]),
    ("Shareaza", &[Azureus(b"SZ"), Azureus(b"S~")]),
    ("Mainline", &[Mainline(b'M')]),
    ("ABC", &[Shadow(b'A')]),
    ("Amazon S3", &[Begins(b"S3-1-")]),
    ("AnyEvent BitTorrent", &[Azureus(b"AB")]),
    ("Arctic Torrent", &[Azureus(b"AR")]),
    ("Ares", &[Azureus(b"AG"), Azureus(b"A~")]),
    ("Artemis", &[Azureus(b"AT")]),
    ("Avicora", &[Azureus(b"AV")]),
    ("BTG", &[Azureus(b"BG")]),
    ("BTQueue", &[Shadow(b'Q')]),
    ("BTSlave", &[Azureus(b"BS")]),
    ("BTugaXP", &[Begins(b"btuga"), Begins(b"oernu")]),
    ("BigUp", &[Azureus(b"BU")]),
    ("BitBuddy", &[Azureus(b"BB")]),
    ("BitLet", &[Azureus(b"WT"), Begins(b"-WT-")]),
    ("BitMagnet", &[Azureus(b"BM")]),
    ("BitPump", &[Azureus(b"AX")]),
    ("BitRocket", &[Azureus(b"BR")]),
    ("BitSpirit", &[Azureus(b"SP"), Holds(2, b"BS", b"\0")]),
    ("BitTornado", &[Shadow(b'T')]),
    ("BitTorrent DNA", &[Digits(b"DNA")]),
    ("BitTorrent Pro", &[Azureus(b"BP")]),
    ("BitTorrent SDK", &[Azureus(b"BE")]),
    ("BitTyrant", &[Begins(b"AZ2500BT")]),
    ("BitWombat", &[Azureus(b"BW")]),
    ("BitZilla", &[Azureus(b"BH")]),
    ("Bitflu", &[Azureus(b"BF")]),
    ("Bits on Wheels", &[Begins(b"-BOW")]),
    ("BittorrentX", &[Azureus(b"BX")]),
    ("Blizzard Downloader", &[Begins(b"BLZ")]),
    ("Burst!", &[Begins(b"Mbrst")]),
    ("CTorrent", &[Azureus(b"CT")]),
    ("EBit", &[Azureus(b"EB")]),
    ("Electric Sheep", &[Azureus(b"ES")]),
    ("Enhanced CTorrent", &[Azureus(b"CD")]),
    ("FileCroc", &[Azureus(b"FC")]),
    ("FireTorrent", &[Azureus(b"WY")]),
    ("FlashGet", &[Azureus(b"FG")]),
    ("FoxTorrent", &[Azureus(b"FT")]),
    ("Freebox BitTorrent", &[Azureus(b"FX")]),
    ("G3 Torrent", &[Begins(b"-G3")]),
    ("GSTorrent", &[Azureus(b"GS")]),
    ("GetRight", &[Azureus(b"GR")]),
    ("Halite", &[Azureus(b"HL")]),
    ("Hekate", &[Azureus(b"HK")]),
    ("Hydranode", &[Azureus(b"HN")]),
    ("KGet", &[Azureus(b"KG")]),
    ("LH-ABC", &[Azureus(b"LH")]),
    ("LeechCraft", &[Azureus(b"LC")]),
    ("LimeWire", &[Azureus(b"LW"), Begins(b"LIME")]),
    ("MLDonkey", &[Azureus(b"ML")]),
    ("Miro", &[Azureus(b"MR")]),
    ("MooPolice", &[Azureus(b"MP")]),
    ("MoonlightTorrent", &[Azureus(b"MT")]),
    ("Net Transport", &[Azureus(b"NX")]),
    ("OmegaTorrent", &[Azureus(b"OT")]),
    ("OneSwarm", &[Azureus(b"OS")]),
    ("Opera", &[Digits(b"OP")]),
    ("Osprey Permaseed", &[Shadow(b'O')]),
    ("Pando", &[Azureus(b"PD"), Begins(b"Pando-")]),
    ("Propagate Data Client", &[Azureus(b"DP")]),
    ("QVOD", &[Begins(b"QVOD")]),
    ("Qt 4 Torrent example", &[Azureus(b"QT"), Begins(b"-Qt-")]),
    ("Queen Bee", &[Mainline(b'Q')]),
    ("Retriever", &[Azureus(b"RT")]),
    ("RezTorrent", &[Azureus(b"RZ")]),
    ("Shadow's client", &[Shadow(b'S')]),
    ("SharkTorrent", &[Azureus(b"st")]),
    ("SoMud", &[Azureus(b"SM")]),
    ("SwarmScope", &[Azureus(b"SS")]),
    ("Swiftbit", &[Azureus(b"SB")]),
    ("SymTorrent", &[Azureus(b"ST")]),
    ("Torrent.NET", &[Azureus(b"TN")]),
    ("TorrentStorm", &[Azureus(b"TS")]),
    ("TuoTu", &[Azureus(b"TT")]),
    ("UPnP NAT Bit Torrent", &[Shadow(b'U')]),
    ("Vagaa", &[Azureus(b"VG")]),
    ("XBT Client", &[Begins(b"XBT")]),
    ("XSwifter", &[Azureus(b"XS")]),
    ("XanTorrent", &[Azureus(b"XT"), Begins(b"DansClient")]),
    ("Xfplay", &[Azureus(b"XF")]),
    ("Xtorrent", &[Azureus(b"XX"), Azureus(b"XC")]),
    ("ZipTorrent", &[Azureus(b"ZT")]),
    ("btpd", &[Begins(b"btpd/")]),
    ("eXeem", &[Begins(b"eX")]),
    ("lphant", &[Azureus(b"LP")]),
    ("pbTorrent", &[Azureus(b"pb")]),
    ("\u{b5}Leecher", &[Azureus(b"UL")]),
];

#[cfg(test)]
impl Sign {
    /// A peer ID with this sign, which any sign before it would take too.
    pub(super) fn example(self) -> Vec<u8> {
        let mut id = match self {
            Azureus([a, b]) => vec![b'-', *a, *b, b'1', b'2', b'3', b'0', b'-'],
            Shadow(letter) => [&[letter][..], b"58B-----"].concat(),
            Mainline(letter) => [&[letter][..], b"7-10-1--"].concat(),
            Begins(start) => start.to_vec(),
            Digits(start) => [start, b"1234"].concat(),
            Holds(place, part, start) => {
                let mut id = start.to_vec();
                id.resize(place, b'x');
                [&id[..], part].concat()
            }
        };
        id.resize(20, b'y');
        id
    }
}
