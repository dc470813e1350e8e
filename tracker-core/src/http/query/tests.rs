//! Queries as clients write them.

use super::*;
use proptest::prelude::*;

const REST: &str = "peer_id=-XX0001-abcdefghijkl&port=6881";

fn read(query: &str) -> AnnounceQuery<'_> {
    announce(query.as_bytes()).unwrap_or_else(|error| panic!("{query}: {error}"))
}

fn with(parameters: &str) -> AnnounceQuery<'static> {
    read(format!("info_hash=aaaaaaaaaaaaaaaaaaaa&{REST}&{parameters}").leak())
}

#[test]
fn everything_is_read() {
    let query = "info_hash=%12%34%56%78%9a%BC%de%F1%23Eg%89%ab%cd%ef%124Vx%9a&peer_id=-TR2940-abcdefghijkl\
        &port=51413&uploaded=1&downloaded=2&left=3&numwant=80&key=x&compact=1&supportcrypto=1&event=started\
        &ip=192.0.2.1&ipv4=192.0.2.2%3A80&ipv6=%5B2001%3adb8::1]:443";
    let expected = AnnounceQuery {
        info_hash: InfoHash(*b"\x12\x34\x56\x78\x9a\xbc\xde\xf1\x23Eg\x89\xab\xcd\xef\x124Vx\x9a"),
        peer_id: b"-TR2940-abcdefghijkl",
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
fn a_peer_id_is_read_as_far_as_there_is_room() {
    for (escaped, bytes) in [
        ("-TR2940-abcdefghijkl", &b"-TR2940-abcdefghijkl"[..]),
        ("%2DTR2940%2d%00%ff%zz+", b"-TR2940-\0\xff%zz+"),
        ("p", b"p"),
        ("-TR2940-abcdefghijkl-and-more%", b"-TR2940-abcdefghijkl"),
    ] {
        let query = format!("info_hash=aaaaaaaaaaaaaaaaaaaa&port=1&peer_id={escaped}");
        assert_eq!(read(&query).read_peer_id(&mut [0xee; 20]), bytes, "{escaped}");
    }
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
    let read = with("port=1&info_hash=short&left=7&left=0&event=stopped&event=started&compact=0&compact=1");
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
        ("2001:1db8:aaaa:bbbb:cccc:dddd:eeee:ffff", Some(("2001:1db8:aaaa:bbbb:cccc:dddd:eeee:ffff", None))),
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
    let query =
        b"info_hash=cccccccccccccccccccc&x=1&info_hash=bbbbbbbbbbbbbbbbbbbb&info_hash=%63ccccccccccccccccccc\
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
