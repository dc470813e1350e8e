//! Any queries through the HTTP codec, against a naive reading, and through the responder, whose replies are read again.

#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use std::net::{IpAddr, SocketAddr};
use tracker_common::address::{Address, Family};
use tracker_core::{
    admission::{Admission, Claim},
    engine::Engine,
    http::{AnnounceQuery, Outcome, QueryError, Responder, query},
    model::{Event, InfoHash},
    networks::Network,
    policy::Policy,
};

const MAX_SCRAPE_HASHES: usize = 5;
const MAX_NUM_WANT: usize = 8;

/// Decodes by the letter of it: two digits behind a `%` are a byte, all else is itself.
fn decode(escaped: &[u8]) -> Vec<u8> {
    let digits = |at: usize| {
        let pair = escaped.get(at..at + 2).filter(|pair| pair.iter().all(u8::is_ascii_hexdigit))?;
        u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()
    };
    let (mut decoded, mut at) = (Vec::new(), 0);
    while at < escaped.len() {
        let escape = if escaped[at] == b'%' { digits(at + 1) } else { None };
        decoded.push(escape.unwrap_or(escaped[at]));
        at += if escape.is_some() { 3 } else { 1 };
    }
    decoded
}

fn pairs(query: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    query
        .split(|&byte| byte == b'&')
        .map(|pair| {
            let mut parts = pair.splitn(2, |&byte| byte == b'=');
            (decode(parts.next().unwrap_or_default()), decode(parts.next().unwrap_or_default()))
        })
        .collect()
}

fn digits(text: &[u8]) -> Option<&str> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| digits)
}

/// Endpoints first, then addresses, the brackets of one alone filled up to an endpoint's.
fn claim(text: &[u8]) -> Option<Claim> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.len() <= 47)?;
    let alone = if text.starts_with('[') && !text.contains('%') {
        format!("{text}:1").parse::<SocketAddr>().ok()
    } else {
        None
    };
    match (text.parse::<SocketAddr>(), text.parse::<IpAddr>(), alone) {
        (Ok(endpoint), ..) if endpoint.port() == 0 => None,
        (Ok(endpoint), ..) => Some(Claim { address: endpoint.ip().into(), port: Some(endpoint.port()) }),
        (_, Ok(address), _) => Some(Claim { address: address.into(), port: None }),
        (.., Some(endpoint)) => Some(Claim { address: endpoint.ip().into(), port: None }),
        _ => None,
    }
}

fn naive_announce<'a>(query: &[u8], peer_id: &'a [u8]) -> Result<AnnounceQuery<'a>, QueryError> {
    let pairs = pairs(query);
    let first = |name: &str| pairs.iter().find(|pair| pair.0 == name.as_bytes()).map(|pair| &pair.1[..]);
    let info_hash = first("info_hash").ok_or(QueryError::InfoHashMissing)?;
    let info_hash = InfoHash(info_hash.try_into().map_err(|_| QueryError::InfoHashLength)?);
    if first("peer_id").unwrap_or_default().is_empty() {
        return Err(QueryError::PeerIdMissing);
    }
    let port = digits(first("port").ok_or(QueryError::PortMissing)?).and_then(|port| port.parse().ok());
    let left = first("left").and_then(digits).and_then(|left| left.parse().ok());
    let num_want = first("numwant").unwrap_or_default();
    let (sign, magnitude) = num_want.strip_prefix(b"-").map_or((1, num_want), |rest| (-1, rest));
    Ok(AnnounceQuery {
        info_hash,
        peer_id,
        port: port.filter(|&port| port != 0).ok_or(QueryError::PortInvalid)?,
        event: match first("event").unwrap_or_default() {
            b"started" => Event::Started,
            b"completed" => Event::Completed,
            b"stopped" => Event::Stopped,
            b"paused" => Event::Paused,
            _ => Event::None,
        },
        left: left.unwrap_or(u64::MAX),
        num_want: digits(magnitude).map(|digits| sign * digits.parse().unwrap_or(i64::MAX)),
        compact: digits(first("compact").unwrap_or_default())
            .is_none_or(|compact| compact.bytes().any(|b| b != b'0')),
        ip: first("ip").and_then(claim),
        ipv4: first("ipv4").and_then(claim).filter(|claim| claim.address.family() == Family::Ipv4),
        ipv6: first("ipv6").and_then(claim).filter(|claim| claim.address.family() == Family::Ipv6),
    })
}

/// Reads a bencoded value, calls `visit` with each path and string, and gives what follows.
fn read<'a>(bytes: &'a [u8], path: &str, visit: &mut dyn FnMut(&str, &[u8])) -> &'a [u8] {
    let until = |end: u8| bytes.iter().position(|&byte| byte == end).expect("no end");
    match bytes[0] {
        b'i' => {
            let text = std::str::from_utf8(&bytes[1..until(b'e')]).expect("digits");
            assert_eq!(text.parse::<u64>().expect("a number").to_string(), text);
            &bytes[until(b'e') + 1..]
        }
        b'l' => {
            let mut rest = &bytes[1..];
            while rest[0] != b'e' {
                rest = read(rest, path, visit);
            }
            &rest[1..]
        }
        b'd' => {
            let (mut rest, mut last) = (&bytes[1..], None);
            while rest[0] != b'e' {
                let mut key = Vec::new();
                rest = read(rest, "", &mut |_, string| key = string.to_vec());
                assert!(last.as_ref() < Some(&key), "keys are not sorted");
                rest = read(rest, &format!("{path}/{}", String::from_utf8_lossy(&key)), visit);
                last = Some(key);
            }
            &rest[1..]
        }
        _ => {
            let length: usize =
                std::str::from_utf8(&bytes[..until(b':')]).expect("digits").parse().expect("a length");
            let (string, rest) = bytes[until(b':') + 1..].split_at(length);
            visit(path, string);
            rest
        }
    }
}

fn check_reply(reply: &[u8], outcome: Outcome, client: Address) {
    let (mut failed, mut external, mut entries) = (false, None, 0);
    let rest = read(reply, "", &mut |path, string| match path {
        "/failure reason" => {
            failed = true;
            assert!(string.is_ascii());
        }
        "/external ip" => external = Some(string.to_vec()),
        "/peers" | "/peers6" => {
            let length = if path == "/peers" { 6 } else { 18 };
            assert_eq!(string.len() % length, 0);
            entries += string.len() / length;
        }
        "/peers/ip" => entries += 1,
        _ => {}
    });
    assert!(rest.is_empty(), "bytes behind the reply");
    assert_eq!(failed, outcome == Outcome::Failure);
    assert!(entries <= MAX_NUM_WANT);
    if let Some(external) = external {
        let expected = match client.family() {
            Family::Ipv4 => client.ipv4_bytes().to_vec(),
            Family::Ipv6 => client.octets().to_vec(),
        };
        assert_eq!(external, expected);
    }
}

// Each line is a query; its first byte says who asks for what.
fuzz_target!(|data: &[u8]| {
    let trusted = vec![Network::new([10, 0, 0, 0].into(), 25)];
    let admission = Admission { max_num_want: MAX_NUM_WANT, trusted, ..Admission::default() };
    let policy = Policy { admission, max_torrents: 3, ..Policy::default() };
    let engine = Engine::new(policy, [3, 4]);
    let mut responder = Responder::new([5, 6], MAX_SCRAPE_HASHES);
    let mut out = BytesMut::new();
    for line in data.split(|&byte| byte == b'\n') {
        let Some((&who, text)) = line.split_first() else { continue };
        let client = match who & 1 {
            0 => Address::from_ipv4([10, 0, 0, who]),
            _ => Address::from_octets([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, who]),
        };
        let asked = query::announce(text);
        let escaped = asked.map_or(&[][..], |asked| asked.peer_id);
        assert_eq!(asked, naive_announce(text, escaped));
        if let Ok(asked) = asked {
            let all = pairs(text);
            let peer_id = &all.iter().find(|pair| pair.0 == b"peer_id").expect("a peer ID").1;
            assert_eq!(asked.read_peer_id(&mut [0; 20]), &peer_id[..peer_id.len().min(20)]);
        }
        out.clear();
        let (outcome, _) = responder.announce(&engine, text, None, client, 1_000, &mut out);
        assert!(asked.is_ok() || outcome == Outcome::Failure);
        check_reply(&out, outcome, client);

        let all = pairs(text);
        let all = all.iter().filter(|pair| pair.0 == b"info_hash").take(MAX_SCRAPE_HASHES);
        let all: Option<Vec<InfoHash>> = all.map(|pair| pair.1[..].try_into().ok().map(InfoHash)).collect();
        let mut hashes = Vec::new();
        let scraped = query::scrape(text, MAX_SCRAPE_HASHES, &mut hashes);
        match all {
            None => assert_eq!(scraped, Err(QueryError::InfoHashLength)),
            Some(all) if all.is_empty() => assert_eq!(scraped, Err(QueryError::InfoHashMissing)),
            Some(mut all) => {
                all.sort();
                all.dedup();
                assert_eq!((scraped, &hashes), (Ok(()), &all));
            }
        }
        out.clear();
        let outcome = responder.scrape(&engine, text, None, &mut out);
        check_reply(&out, outcome, client);
    }
});
