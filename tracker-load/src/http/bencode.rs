//! Bencode (BEP 3), strictly: nothing but the one right spelling of a value is taken. Reads values where they lie, and
//! checks that trackers' replies are plausible.

use crate::{figures::Wrong, peers};
use tracker_common::address::Family;

/// How deep lists and dictionaries may lie in each other.
const MOST_DEPTH: u32 = 8;
/// Counts above this are absurd: no swarm has so many peers.
const MOST_PEERS: i64 = 100_000_000;

/// A value that is known to be well-formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// `i…e`.
    Integer(i64),
    /// `length:bytes`.
    Bytes(&'a [u8]),
    /// `l…e`.
    List(List<'a>),
    /// `d…e`.
    Dictionary(Dictionary<'a>),
}

/// The items of a list that is known to be well-formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct List<'a>(&'a [u8]);

/// The entries of a dictionary that is known to be well-formed, in the order of their keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dictionary<'a>(&'a [u8]);

impl<'a> Value<'a> {
    /// The value that takes all of these bytes.
    #[must_use]
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        value(text, MOST_DEPTH).filter(|(_, rest)| rest.is_empty()).map(|(value, _)| value)
    }
}

impl<'a> Iterator for List<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        let (item, rest) = value(self.0, MOST_DEPTH)?;
        self.0 = rest;
        Some(item)
    }
}

impl<'a> Iterator for Dictionary<'a> {
    type Item = (&'a [u8], Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (key, rest) = bytes(self.0)?;
        let (found, rest) = value(rest, MOST_DEPTH)?;
        self.0 = rest;
        Some((key, found))
    }
}

/// Checks the reply to an announce (BEP 3, 7, 23).
///
/// # Errors
/// What is wrong with it.
pub fn check_announce(body: &[u8], wanted: u16) -> Result<(), Wrong> {
    let (mut listed, mut lists, mut interval, mut counted) = (0, 0, false, [None; 2]);
    for entry in whole(body)? {
        match entry {
            (b"failure reason", _) => return Err(Wrong::Refused),
            (b"peers", Value::Bytes(list)) => {
                listed += peers::check(list, usize::from(wanted), Family::Ipv4)?;
                lists += 1;
            }
            (b"peers6", Value::Bytes(list)) => {
                listed += peers::check(list, usize::from(wanted), Family::Ipv6)?;
                lists += 1;
            }
            (b"interval", Value::Integer(seconds)) => interval = seconds > 0,
            (b"complete", Value::Integer(count)) => counted[0] = Some(count),
            (b"incomplete", Value::Integer(count)) => counted[1] = Some(count),
            (b"peers" | b"peers6" | b"interval" | b"complete" | b"incomplete", _) => {
                return Err(Wrong::Field);
            }
            _ => {}
        }
    }
    if lists == 0 || !interval {
        return Err(Wrong::Field);
    }
    if listed > usize::from(wanted) {
        return Err(Wrong::TooMany);
    }
    if counted.iter().flatten().any(|count| !(0..=MOST_PEERS).contains(count)) {
        return Err(Wrong::Counts);
    }
    match counted {
        [Some(seeders), Some(leechers)] if (seeders + leechers).cast_unsigned() < listed as u64 => {
            Err(Wrong::Counts)
        }
        _ => Ok(()),
    }
}

/// Checks the reply to a scrape of this many torrents (BEP 48). Trackers may leave out torrents that they do not know.
///
/// # Errors
/// What is wrong with it.
pub fn check_scrape(body: &[u8], hashes: u16) -> Result<(), Wrong> {
    let mut files = None;
    for entry in whole(body)? {
        match entry {
            (b"failure reason", _) => return Err(Wrong::Refused),
            (b"files", Value::Dictionary(rows)) => files = Some(rows),
            (b"files", _) => return Err(Wrong::Field),
            _ => {}
        }
    }
    let mut count = 0;
    for (hash, row) in files.ok_or(Wrong::Field)? {
        let Value::Dictionary(row) = row else { return Err(Wrong::Field) };
        if hash.len() != 20 {
            return Err(Wrong::Field);
        }
        count += 1;
        let mut found = 0;
        for entry in row {
            if let (b"complete" | b"incomplete" | b"downloaded", Value::Integer(count)) = entry {
                found += 1;
                if !(0..=i64::from(u32::MAX)).contains(&count) {
                    return Err(Wrong::Counts);
                }
            }
        }
        if found != 3 {
            return Err(Wrong::Field);
        }
    }
    if count > hashes { Err(Wrong::Length) } else { Ok(()) }
}

/// The reason of a failure, if the reply is one.
#[must_use]
pub fn failure(body: &[u8]) -> Option<String> {
    let reason = whole(body).ok()?.find_map(|entry| match entry {
        (b"failure reason", Value::Bytes(text)) => Some(text),
        _ => None,
    })?;
    Some(String::from_utf8_lossy(reason).chars().filter(|c| !c.is_control()).take(200).collect())
}

/// The dictionary that is the whole reply. Clients read past a line end behind it, which some trackers send.
fn whole(body: &[u8]) -> Result<Dictionary<'_>, Wrong> {
    match value(body, MOST_DEPTH).ok_or(Wrong::Malformed)? {
        (Value::Dictionary(dictionary), rest) if rest.trim_ascii().is_empty() => Ok(dictionary),
        _ => Err(Wrong::Malformed),
    }
}

/// The value at the beginning, and what follows it.
fn value(text: &[u8], depth: u32) -> Option<(Value<'_>, &[u8])> {
    match text.first()? {
        b'i' => integer(&text[1..], b'e').map(|(number, rest)| (Value::Integer(number), rest)),
        b'l' => {
            let mut rest = &text[1..];
            while *rest.first()? != b'e' {
                rest = value(rest, depth.checked_sub(1)?)?.1;
            }
            Some((Value::List(List(&text[1..text.len() - rest.len()])), &rest[1..]))
        }
        b'd' => {
            let (mut rest, mut last) = (&text[1..], None);
            while *rest.first()? != b'e' {
                let (key, after) = bytes(rest)?;
                // Keys are sorted, and none is there twice.
                if last.is_some_and(|last: &[u8]| last >= key) {
                    return None;
                }
                last = Some(key);
                rest = value(after, depth.checked_sub(1)?)?.1;
            }
            Some((Value::Dictionary(Dictionary(&text[1..text.len() - rest.len()])), &rest[1..]))
        }
        _ => bytes(text).map(|(text, rest)| (Value::Bytes(text), rest)),
    }
}

fn bytes(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = integer(text, b':')?;
    rest.split_at_checked(usize::try_from(len).ok()?)
}

/// A number, without leading zeros, and what follows its end mark.
fn integer(text: &[u8], end: u8) -> Option<(i64, &[u8])> {
    let len = text.iter().take(21).position(|&byte| byte == end)?;
    let (number, rest) = (&text[..len], &text[len + 1..]);
    let (negative, digits) = match number.strip_prefix(b"-") {
        Some(digits) if end == b'e' => (true, digits),
        _ => (false, number),
    };
    if digits.is_empty() || digits[0] == b'0' && (digits.len() > 1 || negative) {
        return None;
    }
    let sum = digits.iter().try_fold(0_i64, |sum, digit| {
        let digit = digit.is_ascii_digit().then(|| i64::from(digit - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })?;
    Some((if negative { -sum } else { sum }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announce(body: &[u8]) -> Result<(), Wrong> {
        check_announce(body, 2)
    }

    #[test]
    fn values_are_read() {
        let Some(Value::Dictionary(entries)) = Value::parse(b"d1:ai-3e1:b2:xy1:cli0e0:ee") else { panic!() };
        let [(b"a", a), (b"b", b), (b"c", Value::List(c))] = entries.collect::<Vec<_>>()[..] else {
            panic!()
        };
        assert_eq!((a, b), (Value::Integer(-3), Value::Bytes(b"xy")));
        assert_eq!(c.collect::<Vec<_>>(), [Value::Integer(0), Value::Bytes(b"")]);
    }

    #[test]
    fn other_spellings_are_refused() {
        for wrong in
            ["", "i01e", "i-0e", "i e", "i1", "5:abcd", "01:a", "d1:bi1e1:ai1ee", "d1:ai1e1:ai1ee", "le1"]
        {
            assert_eq!(Value::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn good_announce_replies() {
        for body in [
            &b"d8:completei1e10:incompletei2e8:intervali1800e5:peers12:\x01\x02\x03\x04\x1a\xe1\x01\x02\x03\x05\x1a\xe16:peers60:e"[..],
            b"d8:intervali1800e5:peers0:e",
            b"d8:intervali1800e5:peers0:e\r\n",
            b"d8:completei0e10:incompletei1e8:intervali1e12:min intervali1e5:peers0:6:peers618:\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x1a\xe1e",
        ] {
            assert_eq!(announce(body), Ok(()), "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn bad_announce_replies() {
        let peer = b"\x01\x02\x03\x04\x1a\xe1";
        let with =
            |list: &[u8]| [format!("d8:intervali9e5:peers{}:", list.len()).as_bytes(), list, b"e"].concat();
        for (body, wrong) in [
            (b"d14:failure reason2:noe".to_vec(), Wrong::Refused),
            (b"".to_vec(), Wrong::Malformed),
            (b"d8:intervali9e5:peers0:".to_vec(), Wrong::Malformed),
            (b"d8:intervali9e5:peers0:ex".to_vec(), Wrong::Malformed),
            (b"d5:peers0:8:intervali9ee".to_vec(), Wrong::Malformed),
            (b"d8:intervali9e5:peers0:5:peers0:e".to_vec(), Wrong::Malformed),
            (b"d8:intervali09e5:peers0:e".to_vec(), Wrong::Malformed),
            (b"d8:intervali9e5:peers99:e".to_vec(), Wrong::Malformed),
            (b"le".to_vec(), Wrong::Malformed),
            (b"d8:intervali9ee".to_vec(), Wrong::Field),
            (b"d5:peers0:e".to_vec(), Wrong::Field),
            (b"d8:intervali0e5:peers0:e".to_vec(), Wrong::Field),
            (b"d8:intervali9e5:peersi1ee".to_vec(), Wrong::Field),
            (b"d8:completei-1e10:incompletei2e8:intervali9e5:peers0:e".to_vec(), Wrong::Counts),
            (
                b"d8:completei0e10:incompletei0e8:intervali9e5:peers6:\x01\x02\x03\x04\x1a\xe1e".to_vec(),
                Wrong::Counts,
            ),
            (with(&peer[..5]), Wrong::Length),
            (with(&peer.repeat(2)), Wrong::Repeated),
            (with(&peer.repeat(3)), Wrong::TooMany),
            (with(b"\x01\x02\x03\x04\0\0"), Wrong::Peer),
        ] {
            assert_eq!(announce(&body), Err(wrong), "{}", String::from_utf8_lossy(&body));
        }
        let both = b"d8:intervali9e5:peers12:\x01\x02\x03\x04\x1a\xe1\x01\x02\x03\x05\x1a\xe16:peers618:\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x1a\xe1e";
        assert_eq!(announce(both), Err(Wrong::TooMany), "two and one are more than two");
    }

    #[test]
    fn scrape_replies() {
        let hash = "h".repeat(20);
        let row = "d8:completei1e10:downloadedi2e10:incompletei3ee";
        let reply = |rows: &str| check_scrape(format!("d5:filesd{rows}ee").as_bytes(), 1);
        assert_eq!(reply(&format!("20:{hash}{row}")), Ok(()));
        assert_eq!(reply(""), Ok(()));
        assert_eq!(reply(&format!("20:{hash}{row}20:{}{row}", "i".repeat(20))), Err(Wrong::Length));
        assert_eq!(reply(&format!("4:hash{row}")), Err(Wrong::Field));
        assert_eq!(reply(&format!("20:{hash}d8:completei1ee")), Err(Wrong::Field));
        assert_eq!(
            reply(&format!("20:{hash}d8:completei-1e10:downloadedi2e10:incompletei3ee")),
            Err(Wrong::Counts)
        );
        assert_eq!(check_scrape(b"d5:filesi1ee", 1), Err(Wrong::Field));
        assert_eq!(check_scrape(b"de", 1), Err(Wrong::Field));
        assert_eq!(check_scrape(b"d14:failure reason2:noe", 1), Err(Wrong::Refused));
    }

    #[test]
    fn depth_is_bounded_and_nothing_panics() {
        let deep = [vec![b'l'; 100_000], vec![b'e'; 100_000]].concat();
        assert_eq!(announce(&deep), Err(Wrong::Malformed));
        let good = b"d8:completei1e10:incompletei2e8:intervali1800e5:peers6:\x01\x02\x03\x04\x1a\xe1e";
        for at in 0..good.len() {
            assert!(announce(&good[..at]).is_err(), "{at}");
            for byte in [0, b'0', b'9', b'd', b'e', b'i', b'l', b':', b'-', 0xff] {
                let mut bent = good.to_vec();
                bent[at] = byte;
                let _ = announce(&bent);
                let _ = check_scrape(&bent, 1);
            }
        }
    }

    #[test]
    fn failures_have_a_reason() {
        assert_eq!(failure(b"d14:failure reason2:noe"), Some("no".into()));
        assert_eq!(failure(b"d8:intervali1ee"), None);
        assert_eq!(failure(b"x"), None);
    }
}
