use super::super::{finding::Mark, party::samples::party};
use super::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// What was read, the worst mark, and what was found.
fn look(reply: &str, asked: Action, is_ipv4: bool) -> (Result<Reply, String>, Mark, String) {
    let mut findings = Findings::default();
    let read = read(&hex(reply), asked, is_ipv4, &mut findings);
    let texts: Vec<&str> = findings.iter().map(|finding| finding.text.as_str()).collect();
    (read, findings.worst(), texts.join(" | "))
}

/// Bytes of BEP 15, field by field.
#[test]
fn requests_are_what_bep_15_says() {
    assert_eq!(connect(0x0102_0304), hex("0000041727101980 00000000 01020304"));
    assert_eq!(
        scrape([0xaa; 20], 0x1122_3344_5566_7788, 0x0102_0304),
        hex(&format!("1122334455667788 00000002 01020304 {}", "aa".repeat(20)))
    );
    let party = party("192.0.2.1:6969");
    let to = |url: &str, event, client| {
        announce(&party, client, event, (0x1122_3344_5566_7788, 9), &Target::parse(url).unwrap())
    };
    let fields = |left: &str, event: &str, wanted: &str, port: &str| {
        let peer_id = "2d52503031 30302d6162636465666768696a6b6c";
        hex(&format!(
            "1122334455667788 00000001 00000009 {} {peer_id} {} {left} {} {event} 00000000 0a0b0c0d {wanted} {port}",
            "61".repeat(20),
            "00".repeat(8),
            "00".repeat(8),
        ))
    };
    let plain = "udp://192.0.2.1:6969";
    assert_eq!(
        to(plain, Event::Started, &party.first),
        fields("0000000000000000", "00000002", "00000032", "03e9")
    );
    assert_eq!(
        to(plain, Event::Stopped, &party.second),
        fields("0000000000100000", "00000003", "00000000", "03ea")
    );
    // BEP 41: the path goes behind it, in pieces of at most 255 bytes.
    let with_path = to("udp://192.0.2.1:6969/KEY/announce?a=1", Event::Started, &party.first);
    assert_eq!(with_path.len(), 98 + 2 + 17);
    assert_eq!(&with_path[98..], b"\x02\x11/KEY/announce?a=1");
    let long = to(&format!("udp://192.0.2.1:6969/{}", "x".repeat(299)), Event::Started, &party.first);
    assert_eq!(long[98..][..3], [2, 255, b'/']);
    assert_eq!(long[98 + 257..], [&[2, 45][..], &[b'x'; 45]].concat());
}

#[test]
fn connect_replies() {
    let connect = |reply| look(reply, Action::Connect, true);
    assert_eq!(
        connect("00000000 01020304 1122334455667788"),
        (Ok(Reply::Connected(0x1122_3344_5566_7788)), Mark::Ok, String::new())
    );
    assert_eq!(transaction(&hex("00000000 01020304")), Some(0x0102_0304));
    assert_eq!(transaction(&hex("00000000 010203")), None);
    let (read, ..) = connect("00000000 01020304 11223344556677");
    assert_eq!(read.unwrap_err(), "the reply to a connect has 15 bytes, and 16 are the least");
    let (read, ..) = connect("00000001 01020304 1122334455667788");
    assert!(
        read.unwrap_err().starts_with("the reply is one to action 1, and action 0 (connect) was asked for")
    );
    for (reply, part) in [
        ("00000000 01020304 1122334455667788 00", "has 17 bytes where 16"),
        ("00000000 01020304 0000041727101980", "0x41727101980 for everybody"),
        ("00000000 01020304 0000000000000000", "proves no address"),
    ] {
        let (read, mark, text) = connect(reply);
        assert!(read.is_ok() && mark == Mark::Note && text.contains(part), "{text}");
    }
}

#[test]
fn announce_replies() {
    let announce = |reply: &str| look(reply, Action::Announce, true);
    let told = |peers: &[&str]| {
        Ok(Reply::Announced(Told {
            interval: Some(1800),
            min_interval: None,
            seeders: Some(2),
            leechers: Some(1),
            peers: peers.iter().map(|peer| peer.parse().unwrap()).collect(),
        }))
    };
    let head = "00000001 01020304 00000708 00000001 00000002";
    assert_eq!(announce(head), (told(&[]), Mark::Ok, String::new()));
    let two = format!("{head} 0a000001 1ae1 c0000201 0001");
    assert_eq!(announce(&two), (told(&["10.0.0.1:6881", "192.0.2.1:1"]), Mark::Ok, String::new()));
    let six = format!("{head} 20010db8000000000000000000000001 1ae1");
    assert_eq!(look(&six, Action::Announce, false), (told(&["[2001:db8::1]:6881"]), Mark::Ok, String::new()));

    let (read, ..) = announce("00000001 01020304 00000708 00000001 000000");
    assert_eq!(read.unwrap_err(), "the reply to an announce has 19 bytes, and 20 are the least");
    let (read, ..) = announce("00000001 01020304");
    assert!(read.unwrap_err().starts_with("the reply to an announce has nothing behind its head"));
    let (read, mark, text) = announce(&format!("{two} 41"));
    assert_eq!((read, mark), (told(&["10.0.0.1:6881", "192.0.2.1:1"]), Mark::Wrong));
    assert_eq!(
        text,
        "the list of peers has 13 bytes, no multiple of 6, as each takes over IPv4; it ends in \"A\""
    );
    let (_, mark, text) = look(&two, Action::Announce, false);
    assert!(
        mark == Mark::Wrong && text.contains("no multiple of 18") && text.contains("over IPv6?"),
        "{text}"
    );
    let (read, ..) = announce("00000001 01020304 ffffffff 80000000 00000002");
    let Ok(Reply::Announced(told)) = read else { panic!("{read:?}") };
    assert_eq!((told.interval, told.leechers), (Some(-1), Some(i64::from(i32::MIN))));
}

#[test]
fn scrape_replies() {
    let scrape = |reply| look(reply, Action::Scrape, true);
    let row = Ok(Reply::Scraped(Row { seeders: 1, leechers: 3, downloads: Some(2) }));
    assert_eq!(
        scrape("00000002 01020304 00000001 00000002 00000003"),
        (row.clone(), Mark::Ok, String::new())
    );
    let (read, ..) = scrape("00000002 01020304 00000001 00000002");
    assert_eq!(read.unwrap_err(), "the reply to a scrape has 16 bytes, and 20 are the least");
    let (read, mark, text) = scrape("00000002 01020304 00000001 00000002 00000003 00");
    assert!(read == row && mark == Mark::Wrong && text.contains("has 21 bytes instead of 20"), "{text}");
}

#[test]
fn errors_are_shown() {
    let error = |reply| look(reply, Action::Announce, true);
    assert_eq!(
        error("00000003 01020304 6e6f206b6579"),
        (Ok(Reply::Refused("no key".to_owned())), Mark::Ok, String::new())
    );
    for (reply, message, part) in [
        ("00000003 01020304", "", "no message"),
        ("00000003 01020304 6e6f00", "no", "has a NUL"),
        ("00000003 01020304 ff", "\u{fffd}", "not UTF-8"),
    ] {
        let (read, mark, text) = error(reply);
        assert_eq!((read, mark), (Ok(Reply::Refused(message.to_owned())), Mark::Note));
        assert!(text.contains(part), "{text}");
    }
    assert!(error("0000").0.is_err());
}
