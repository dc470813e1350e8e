//! The query of a request, as real clients write it ([BEP 3](https://www.bittorrent.org/beps/bep_0003.html)).
//!
//! Percent-escapes are read in either case, a `%` without two digits behind it is a `%`, and a `+` is a plus: info
//! hashes come in every mix of escapes and plain characters. Names may be escaped too. Of a repeated parameter the
//! first counts, and unknown ones are ignored.

use crate::{
    admission::Claim,
    model::{Event, InfoHash},
};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use tracker_common::{address::Family, hex, labelled};

/// What an announce says, as far as it is used; nothing is clamped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnnounceQuery {
    /// The torrent.
    pub info_hash: InfoHash,
    /// Where the client listens, host byte order; not zero.
    pub port: u16,
    /// Why; what is not known is [`Event::None`].
    pub event: Event,
    /// Bytes still to get. A magnet link does not tell: `u64::MAX`, as for whatever is no number.
    pub left: u64,
    /// How many peers are wanted; negative, or nothing said, for the default.
    pub num_want: Option<i64>,
    /// Peers as byte strings (BEP 23): so unless the client says `compact=0`.
    pub compact: bool,
    /// Where it says that it is: `ip` (BEP 3).
    pub ip: Option<Claim>,
    /// The same for IPv4: `ipv4` (BEP 7), an address or an address with a port.
    pub ipv4: Option<Claim>,
    /// The same for IPv6: `ipv6` (BEP 7).
    pub ipv6: Option<Claim>,
}

impl AnnounceQuery {
    /// Where a client says that it is that is connected over this family: `ip` goes before the one of BEP 7 for the
    /// family; that for the other one would be a second peer, which it becomes by announcing over that family.
    #[must_use]
    pub fn claim(&self, family: Family) -> Option<Claim> {
        self.ip.or(match family {
            Family::Ipv4 => self.ipv4,
            Family::Ipv6 => self.ipv6,
        })
    }
}

labelled! {
    /// What is wrong with a query.
    #[derive(thiserror::Error)]
    pub enum QueryError {
        /// There is no info hash.
        #[error("info_hash is missing")]
        InfoHashMissing = "info_hash_missing",
        /// An info hash has another length.
        #[error("info_hash must be 20 bytes")]
        InfoHashLength = "info_hash_length",
        /// There is no peer ID. It is not kept, but only something that is no client leaves it out.
        #[error("peer_id is missing")]
        PeerIdMissing = "peer_id_missing",
        /// There is no port.
        #[error("port is missing")]
        PortMissing = "port_missing",
        /// The port is zero, too large, or no number.
        #[error("port must be a number from 1 to 65535")]
        PortInvalid = "port_invalid",
    }
}

impl QueryError {
    /// What the client is told: plain ASCII that names the parameter.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::InfoHashMissing => "info_hash is missing",
            Self::InfoHashLength => "info_hash must be 20 bytes",
            Self::PeerIdMissing => "peer_id is missing",
            Self::PortMissing => "port is missing",
            Self::PortInvalid => "port must be a number from 1 to 65535",
        }
    }
}

/// Reads the query of an announce: what stands behind the `?`, without it.
///
/// # Errors
/// If a parameter is missing or bad that there is no announce without.
pub fn announce(query: &[u8]) -> Result<AnnounceQuery, QueryError> {
    let mut first: [Option<&[u8]>; Parameter::COUNT] = [None; Parameter::COUNT];
    for (parameter, value) in parameters(query) {
        first[parameter as usize].get_or_insert(value);
    }
    let value = |parameter: Parameter| first[parameter as usize];
    let info_hash = info_hash(value(Parameter::InfoHash).ok_or(QueryError::InfoHashMissing)?)?;
    value(Parameter::PeerId).filter(|id| !id.is_empty()).ok_or(QueryError::PeerIdMissing)?;
    let port = number(value(Parameter::Port).ok_or(QueryError::PortMissing)?)
        .and_then(|port| u16::try_from(port).ok())
        .filter(|&port| port != 0)
        .ok_or(QueryError::PortInvalid)?;
    Ok(AnnounceQuery {
        info_hash,
        port,
        event: value(Parameter::Event).map_or(Event::None, event),
        left: value(Parameter::Left).and_then(number).unwrap_or(u64::MAX),
        num_want: value(Parameter::NumWant).and_then(signed_number),
        compact: value(Parameter::Compact).and_then(number) != Some(0),
        ip: value(Parameter::Ip).and_then(place),
        ipv4: value(Parameter::Ipv4).and_then(place).filter(|claim| claim.address.family() == Family::Ipv4),
        ipv6: value(Parameter::Ipv6).and_then(place).filter(|claim| claim.address.family() == Family::Ipv6),
    })
}

/// Reads the query of a scrape: clears `hashes` and fills it with the distinct hashes asked for, sorted. Only the first
/// `most` of the query are looked at.
///
/// # Errors
/// If there is no hash, or one is not 20 bytes.
pub fn scrape(query: &[u8], most: usize, hashes: &mut Vec<InfoHash>) -> Result<(), QueryError> {
    hashes.clear();
    let asked = parameters(query).filter(|(parameter, _)| *parameter == Parameter::InfoHash);
    for (_, value) in asked.take(most) {
        hashes.push(info_hash(value)?);
    }
    if hashes.is_empty() {
        return Err(QueryError::InfoHashMissing);
    }
    hashes.sort_unstable();
    hashes.dedup();
    Ok(())
}

/// The parameters that count.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Parameter {
    InfoHash,
    PeerId,
    Port,
    Event,
    Left,
    NumWant,
    Compact,
    Ip,
    Ipv4,
    Ipv6,
}

impl Parameter {
    const COUNT: usize = 10;
    /// Bytes of the longest name.
    const MAX_NAME: usize = 9;

    fn from_name(name: &[u8]) -> Option<Self> {
        match name {
            b"info_hash" => Some(Self::InfoHash),
            b"peer_id" => Some(Self::PeerId),
            b"port" => Some(Self::Port),
            b"event" => Some(Self::Event),
            b"left" => Some(Self::Left),
            b"numwant" => Some(Self::NumWant),
            b"compact" => Some(Self::Compact),
            b"ip" => Some(Self::Ip),
            b"ipv4" => Some(Self::Ipv4),
            b"ipv6" => Some(Self::Ipv6),
            _ => None,
        }
    }
}

/// The parameters of a query that count, in its order, their values still escaped. One without `=` has an empty value.
fn parameters(query: &[u8]) -> impl Iterator<Item = (Parameter, &[u8])> {
    query.split(|&byte| byte == b'&').filter_map(|pair| {
        let equals = pair.iter().position(|&byte| byte == b'=').unwrap_or(pair.len());
        let (name, value) = pair.split_at(equals);
        let mut buffer = [0; Parameter::MAX_NAME];
        let name = if name.contains(&b'%') { decode_into(name, &mut buffer)? } else { name };
        Some((Parameter::from_name(name)?, value.get(1..).unwrap_or_default()))
    })
}

/// The bytes that an escaped text stands for.
fn decode(escaped: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = escaped;
    std::iter::from_fn(move || {
        if let [b'%', high, low, behind @ ..] = rest
            && let Some(byte) = hex::byte(*high, *low)
        {
            rest = behind;
            return Some(byte);
        }
        let (first, behind) = rest.split_first()?;
        rest = behind;
        Some(*first)
    })
}

/// Decodes into `buffer` and gives the part of it that was filled, or `None` where it is too small.
fn decode_into<'a>(escaped: &[u8], buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    let mut length = 0;
    for byte in decode(escaped) {
        *buffer.get_mut(length)? = byte;
        length += 1;
    }
    Some(&buffer[..length])
}

fn info_hash(escaped: &[u8]) -> Result<InfoHash, QueryError> {
    let mut bytes = [0; InfoHash::LEN];
    match decode_into(escaped, &mut bytes).map(<[u8]>::len) {
        Some(InfoHash::LEN) => Ok(InfoHash(bytes)),
        _ => Err(QueryError::InfoHashLength),
    }
}

fn event(escaped: &[u8]) -> Event {
    let mut buffer = [0; b"completed".len()];
    match decode_into(escaped, &mut buffer) {
        Some(b"started") => Event::Started,
        Some(b"completed") => Event::Completed,
        Some(b"stopped") => Event::Stopped,
        Some(b"paused") => Event::Paused,
        _ => Event::None,
    }
}

/// Bytes of the longest address with a port: eight groups of four digits with colons between, brackets, five digits.
const MAX_PLACE: usize = 39 + 2 + 1 + 5;

/// An address, alone or with a port; IPv6 with a port has brackets, and may have them without. A host name is nothing.
fn place(escaped: &[u8]) -> Option<Claim> {
    let mut buffer = [0; MAX_PLACE];
    let text = str::from_utf8(decode_into(escaped, &mut buffer)?).ok()?;
    if let Ok(endpoint) = text.parse::<SocketAddr>() {
        return (endpoint.port() != 0)
            .then(|| Claim { address: endpoint.ip().into(), port: Some(endpoint.port()) });
    }
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = match bracketed {
        Some(ipv6) => ipv6.parse::<Ipv6Addr>().ok()?.into(),
        None => text.parse::<IpAddr>().ok()?,
    };
    Some(Claim { address: address.into(), port: None })
}

/// A decimal number; one beyond 64 bits counts as the largest.
fn number(escaped: &[u8]) -> Option<u64> {
    magnitude(decode(escaped))
}

/// A decimal number, perhaps negative; one beyond 64 bits counts as the smallest or largest.
fn signed_number(escaped: &[u8]) -> Option<i64> {
    let mut characters = decode(escaped).peekable();
    let negative = characters.next_if_eq(&b'-').is_some();
    let magnitude = i64::try_from(magnitude(characters)?).unwrap_or(i64::MAX);
    Some(if negative { -magnitude } else { magnitude })
}

fn magnitude(characters: impl Iterator<Item = u8>) -> Option<u64> {
    let mut number = None;
    for character in characters {
        let digit = character.checked_sub(b'0').filter(|&digit| digit < 10)?;
        number = Some(number.unwrap_or(0_u64).saturating_mul(10).saturating_add(digit.into()));
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const REST: &str = "peer_id=-XX0001-abcdefghijkl&port=6881";

    fn read(query: &str) -> AnnounceQuery {
        announce(query.as_bytes()).unwrap_or_else(|error| panic!("{query}: {error}"))
    }

    fn with(parameters: &str) -> AnnounceQuery {
        read(&format!("info_hash=aaaaaaaaaaaaaaaaaaaa&{REST}&{parameters}"))
    }

    #[test]
    fn everything_is_read() {
        let query = "info_hash=%12%34%56%78%9a%BC%de%F1%23Eg%89%ab%cd%ef%124Vx%9a&peer_id=-TR2940-abcdefghijkl\
            &port=51413&uploaded=1&downloaded=2&left=3&numwant=80&key=x&compact=1&supportcrypto=1&event=started\
            &ip=192.0.2.1&ipv4=192.0.2.2%3A80&ipv6=%5B2001%3adb8::1]:443";
        let expected = AnnounceQuery {
            info_hash: InfoHash(*b"\x12\x34\x56\x78\x9a\xbc\xde\xf1\x23Eg\x89\xab\xcd\xef\x124Vx\x9a"),
            port: 51413,
            event: Event::Started,
            left: 3,
            num_want: Some(80),
            compact: true,
            ip: Some(claim("192.0.2.1", None)),
            ipv4: Some(claim("192.0.2.2", Some(80))),
            ipv6: Some(claim("2001:db8::1", Some(443))),
        };
        assert_eq!(read(query), expected);
    }

    #[test]
    fn a_plus_is_a_plus_and_a_lone_percent_a_percent() {
        for (escaped, bytes) in [
            ("++++++++++++++++++++", *b"++++++++++++++++++++"),
            ("%2b+%2B+%2b+%2B+%2b+%2B+%2b+%2B+%2b+%2B+", *b"++++++++++++++++++++"),
            ("%%%%%%%%%%%%%%%%%%%%", *b"%%%%%%%%%%%%%%%%%%%%"),
            ("aaaaaaaaaaaaaaaaaaa%", *b"aaaaaaaaaaaaaaaaaaa%"),
            ("aaaaaaaaaaaaaaaaaa%4", *b"aaaaaaaaaaaaaaaaaa%4"),
            ("aaaaaaaaaaaaaaaaa%4g", *b"aaaaaaaaaaaaaaaaa%4g"),
            ("aaaaaaaaaaaaaaaaa%g4", *b"aaaaaaaaaaaaaaaaa%g4"),
            ("aaaaaaaaaaaaaaaaaa%%41", *b"aaaaaaaaaaaaaaaaaa%A"),
            ("aaaaaaaaaaaaaaaaa%4%41", *b"aaaaaaaaaaaaaaaaa%4A"),
            ("=aaaaaaaaaaaaaaaaaa=", *b"=aaaaaaaaaaaaaaaaaa="),
            ("%00%26%3d%3Daaaaaaaaaaaaaaaa", *b"\0&==aaaaaaaaaaaaaaaa"),
        ] {
            assert_eq!(read(&format!("info_hash={escaped}&{REST}")).info_hash, InfoHash(bytes), "{escaped}");
        }
    }

    #[test]
    fn names_may_be_escaped_and_empty_parts_are_nothing() {
        let query = "&&%69nfo_has%68=aaaaaaaaaaaaaaaaaaaa&=&x&peer%5Fid=p&%70%6f%72%74=%31&&lef%74=0&";
        let read = read(query);
        assert_eq!((read.info_hash, read.port, read.left), (InfoHash([b'a'; 20]), 1, 0));
    }

    #[test]
    fn other_names_are_no_parameters() {
        for query in ["Port=2", "port%00=2", "port2=2", "port%2=2", "aport=2", "portportportport=2", "%=2"] {
            assert_eq!(with(query).port, 6881, "{query}");
        }
    }

    #[test]
    fn the_first_of_a_repeated_parameter_counts() {
        let read =
            with("port=1&info_hash=short&left=7&left=0&event=stopped&event=started&compact=0&compact=1");
        assert_eq!((read.port, read.left, read.event, read.compact), (6881, 7, Event::Stopped, false));
        let query = format!("info_hash=short&info_hash=aaaaaaaaaaaaaaaaaaaa&{REST}");
        assert_eq!(announce(query.as_bytes()), Err(QueryError::InfoHashLength));
    }

    #[test]
    fn whoever_does_not_tell_what_is_left_is_a_leecher() {
        for (parameters, left) in [
            ("", u64::MAX),
            ("left", u64::MAX),
            ("left=", u64::MAX),
            ("left=-1", u64::MAX),
            ("left=-0", u64::MAX),
            ("left=0x0", u64::MAX),
            ("left=+0", u64::MAX),
            ("left=99999999999999999999999", u64::MAX),
            ("left=18446744073709551616", u64::MAX),
            ("left=18446744073709551614", u64::MAX - 1),
            ("left=0", 0),
            ("left=%30", 0),
            ("left=00", 0),
            ("left=10", 10),
        ] {
            assert_eq!(with(parameters).left, left, "{parameters}");
        }
    }

    #[test]
    fn how_many_are_wanted() {
        for (parameters, num_want) in [
            ("", None),
            ("numwant=", None),
            ("numwant=-", None),
            ("numwant=many", None),
            ("numwant=--1", None),
            ("numwant=1-", None),
            ("numwant=-1", Some(-1)),
            ("numwant=0", Some(0)),
            ("numwant=50", Some(50)),
            ("numwant=99999999999999999999", Some(i64::MAX)),
            ("numwant=-99999999999999999999", Some(-i64::MAX)),
        ] {
            assert_eq!(with(parameters).num_want, num_want, "{parameters}");
        }
    }

    fn claim(address: &str, port: Option<u16>) -> Claim {
        Claim { address: address.parse::<IpAddr>().unwrap().into(), port }
    }

    #[test]
    fn where_a_client_says_that_it_is() {
        for (text, expected) in [
            ("192.0.2.1", Some(("192.0.2.1", None))),
            ("192.0.2.1:6881", Some(("192.0.2.1", Some(6881)))),
            ("2001:db8::1", Some(("2001:db8::1", None))),
            ("[2001:db8::1]", Some(("2001:db8::1", None))),
            ("[2001:db8::1]:1", Some(("2001:db8::1", Some(1)))),
            ("%5b2001%3Adb8%3a%3A1%5D%3A65535", Some(("2001:db8::1", Some(65535)))),
            ("::ffff:192.0.2.1", Some(("192.0.2.1", None))),
            (
                "2001:1db8:aaaa:bbbb:cccc:dddd:eeee:ffff",
                Some(("2001:1db8:aaaa:bbbb:cccc:dddd:eeee:ffff", None)),
            ),
            (
                "[2001:1db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:65535",
                Some(("2001:1db8:aaaa:bbbb:cccc:dddd:eeee:ffff", Some(65535))),
            ),
            // What no peer can have is not this place's to judge.
            ("127.0.0.1", Some(("127.0.0.1", None))),
            ("224.0.0.1", Some(("224.0.0.1", None))),
            ("", None),
            ("seed.example.org", None),
            ("localhost", None),
            ("192.0.2.1:0", None),
            ("192.0.2.1:65536", None),
            ("192.0.2.1:", None),
            ("192.0.2", None),
            ("[192.0.2.1]", None),
            ("[2001:db8::1", None),
            ("2001:db8::1]:1", None),
            ("192.0.2.1 ", None),
            ("%ff%fe", None),
            ("0192.0.2.1", None),
            ("[2001:1db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:655350", None),
        ] {
            let expected = expected.map(|(address, port)| claim(address, port));
            assert_eq!(with(&format!("ip={text}")).ip, expected, "{text}");
            let [v4, v6] = [Family::Ipv4, Family::Ipv6]
                .map(|family| expected.filter(|claim| claim.address.family() == family));
            let read = with(&format!("ipv4={text}&ipv6={text}"));
            assert_eq!((read.ip, read.ipv4, read.ipv6), (None, v4, v6), "{text}");
        }
    }

    #[test]
    fn the_general_address_goes_before_that_of_the_family() {
        let [general, v4, v6] = ["192.0.2.1", "192.0.2.4", "2001:db8::6"].map(|text| Some(claim(text, None)));
        let read = with("ipv6=2001:db8::6&ipv4=192.0.2.4");
        assert_eq!((read.claim(Family::Ipv4), read.claim(Family::Ipv6)), (v4, v6));
        let read = with("ipv6=2001:db8::6&ipv4=192.0.2.4&ip=192.0.2.1");
        assert_eq!((read.claim(Family::Ipv4), read.claim(Family::Ipv6)), (general, general));
        let read = with("ip=a.host&ipv6=2001:db8::6");
        assert_eq!((read.claim(Family::Ipv4), read.claim(Family::Ipv6)), (None, v6));
    }

    #[test]
    fn only_a_zero_asks_for_dictionaries() {
        for (parameters, compact) in
            [("", true), ("compact=1", true), ("compact=", true), ("compact=x", true), ("compact=0", false)]
        {
            assert_eq!(with(parameters).compact, compact, "{parameters}");
        }
    }

    #[test]
    fn events() {
        for (parameters, event) in [
            ("", Event::None),
            ("event=", Event::None),
            ("event=empty", Event::None),
            ("event=startedd", Event::None),
            ("event=completed0", Event::None),
            ("event=started", Event::Started),
            ("event=completed", Event::Completed),
            ("event=stopped", Event::Stopped),
            ("event=%70%61used", Event::Paused),
        ] {
            assert_eq!(with(parameters).event, event, "{parameters}");
        }
    }

    #[test]
    fn ports() {
        for (port, expected) in [
            ("1", Ok(1)),
            ("65535", Ok(65535)),
            ("00080", Ok(80)),
            ("0", Err(QueryError::PortInvalid)),
            ("", Err(QueryError::PortInvalid)),
            ("65536", Err(QueryError::PortInvalid)),
            ("-1", Err(QueryError::PortInvalid)),
            ("6881x", Err(QueryError::PortInvalid)),
            ("18446744073709551617", Err(QueryError::PortInvalid)),
        ] {
            let query = format!("info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=p&port={port}");
            assert_eq!(announce(query.as_bytes()).map(|query| query.port), expected, "{port}");
        }
    }

    #[test]
    fn errors_say_the_same_to_all_and_have_their_own_label() {
        for (i, error) in QueryError::ALL.into_iter().enumerate() {
            assert_eq!(error.to_string(), error.message());
            assert!(error.message().is_ascii());
            assert!(QueryError::ALL[..i].iter().all(|other| other.label() != error.label()));
        }
    }

    #[test]
    fn hashes_of_a_scrape_are_distinct_sorted_and_bounded() {
        let mut hashes = vec![InfoHash([1; 20])];
        let query = b"info_hash=cccccccccccccccccccc&x=1&info_hash=bbbbbbbbbbbbbbbbbbbb&info_hash=%63ccccccccccccccccccc\
            &info_hash=aaaaaaaaaaaaaaaaaaaa";
        assert_eq!(scrape(query, 10, &mut hashes), Ok(()));
        assert_eq!(hashes, [b'a', b'b', b'c'].map(|byte| InfoHash([byte; 20])));
        assert_eq!(scrape(query, 3, &mut hashes), Ok(()));
        assert_eq!(hashes, [b'b', b'c'].map(|byte| InfoHash([byte; 20])));
    }

    proptest! {
        /// However each byte is written, the hash is the same.
        #[test]
        fn any_mix_of_escapes_is_read(bytes: [u8; 20], forms: [u8; 20]) {
            let mut query = b"info_hash=".to_vec();
            for (byte, form) in bytes.iter().zip(forms) {
                match form % 3 {
                    0 if !b"%&".contains(byte) => query.push(*byte),
                    1 => query.extend(format!("%{byte:02x}").bytes()),
                    _ => query.extend(format!("%{byte:02X}").bytes()),
                }
            }
            query.extend(format!("&{REST}").bytes());
            prop_assert_eq!(announce(&query).map(|query| query.info_hash), Ok(InfoHash(bytes)));
        }

        #[test]
        fn numbers_are_those_of_the_standard_library(n: i64) {
            let read = with(&format!("numwant={n}&left={n}"));
            prop_assert_eq!(read.num_want, Some(n.max(-i64::MAX)));
            prop_assert_eq!(read.left, u64::try_from(n).unwrap_or(u64::MAX));
        }
    }
}
