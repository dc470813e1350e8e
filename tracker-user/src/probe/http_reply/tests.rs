use super::super::{finding::Mark, party::samples::party};
use super::*;

const OK: Head<'_> = Head { status: 200, encoding: None };

type Looked = (Result<Reply, String>, Mark, String);

fn look(read: impl FnOnce(&mut Findings) -> Result<Reply, String>) -> Looked {
    let mut findings = Findings::default();
    let read = read(&mut findings);
    let texts: Vec<&str> = findings.iter().map(|finding| finding.text.as_str()).collect();
    (read, findings.worst(), texts.join(" | "))
}

fn announce(body: &[u8]) -> Looked {
    look(|findings| read_announce(OK, body, findings))
}

fn scrape(body: &str) -> Looked {
    look(|findings| read_scrape(OK, body.as_bytes(), *b"hhhhhhhhhhhhhhhhhhhh", findings))
}

#[track_caller]
fn is(looked: &Looked, expected: Mark, part: &str) {
    assert!(looked.0.is_ok() && looked.1 == expected && looked.2.contains(part), "{looked:?}");
}

#[track_caller]
fn fails(looked: Looked, part: &str) {
    let reason = looked.0.unwrap_err();
    assert!(reason.contains(part), "{reason}");
}

#[test]
fn an_announce_has_what_trackers_ask_for() {
    let party = party("192.0.2.1:80");
    let id = "-RP0100-abcdefghijkl";
    assert_eq!(
        parameters(&party, &party.first, Event::Started),
        format!(
            "info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id={id}&port=1001&uploaded=0&downloaded=0&left=0&key=0A0B0C0D&\
             event=started&numwant=50&compact=1&no_peer_id=1"
        )
    );
    let stop = parameters(&party, &party.second, Event::Stopped);
    assert!(
        stop.contains("port=1002&uploaded=0&downloaded=0&left=1048576&")
            && stop.contains("=stopped&numwant=0&")
    );
}

#[test]
fn good_announce_replies() {
    let body = b"d8:completei2e10:incompletei1e8:intervali1800e12:min intervali900e5:peers12:\x0a\0\0\x01\x1a\xe1\xc0\0\x02\x01\0\x016:peers618:\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x1a\xe1e";
    let peers = ["10.0.0.1:6881", "192.0.2.1:1", "[2001:db8::1]:6881"].map(|peer| peer.parse().unwrap());
    let told = Told {
        interval: Some(1800),
        min_interval: Some(900),
        seeders: Some(2),
        leechers: Some(1),
        peers: peers.to_vec(),
    };
    assert_eq!(announce(body), (Ok(Reply::Announced(told, None)), Mark::Ok, String::new()));
    let (read, mark, _) = announce(b"d11:external ip4:\xc0\0\x02\x018:intervali1800e6:peers60:e");
    let told = Told { interval: Some(1800), ..Told::default() };
    assert_eq!((read, mark), (Ok(Reply::Announced(told, Some("192.0.2.1".parse().unwrap()))), Mark::Ok));
}

#[test]
fn odd_announce_replies() {
    let odd: [(&[u8], Mark, &str); 16] = [
        (b"d8:intervali9e5:peers5:\x0a\0\0\x01\x1ae", Mark::Wrong, "`peers` has 5 bytes, no multiple of 6"),
        (b"d8:intervali9e5:peers0:6:peers66:\x0a\0\0\x01\x1a\xe1e", Mark::Wrong, "no multiple of 18 (BEP 7)"),
        (b"d8:intervali9e6:peers6lee", Mark::Wrong, "`peers6` is no string"),
        (b"d8:intervali9e5:peersi1ee", Mark::Wrong, "neither a string nor a list"),
        (b"d8:intervali9ee", Mark::Wrong, "there is no list of peers"),
        (b"d8:interval1:95:peers0:e", Mark::Wrong, "`interval` is no number"),
        (
            b"d5:peers0:8:intervali9ee",
            Mark::Wrong,
            "keys are not sorted: \"interval\" stands behind \"peers\"",
        ),
        (
            b"d8:intervali9e5:peers0:5:peers0:e",
            Mark::Wrong,
            "is there twice: strict clients refuse that (BEP 3)",
        ),
        (b"d8:intervali09e5:peers0:e", Mark::Wrong, "more than it needs"),
        (b"d8:intervali9e5:peers0:ex", Mark::Wrong, "1 bytes follow the dictionary: \"x\""),
        (b"d8:intervali9e5:peers0:e\r\n", Mark::Note, "white space"),
        (b"d8:intervali9e5:peersld2:ip9:192.0.2.14:porti1eeee", Mark::Note, "a compact one was asked for"),
        (b"d8:intervali9e5:peersld2:ip9:192.0.2.1eee", Mark::Wrong, "no `port` that is one"),
        (b"d8:intervali9e5:peersld2:ip9:192.0.2.14:porti65536eeee", Mark::Wrong, "no `port` that is one"),
        (b"d11:external ip3:abc8:intervali9e5:peers0:e", Mark::Wrong, "neither 4 nor 16 bytes"),
        (
            b"d8:intervali9e5:peers0:15:warning message4:\x1b[2Je",
            Mark::Note,
            "the tracker warns: \"\\u{1b}[2J\"",
        ),
    ];
    for (body, mark, part) in odd {
        is(&announce(body), mark, part);
    }
    let (read, ..) = announce(b"d8:intervali9e5:peersld2:ip9:192.0.2.14:porti1eeee");
    let Ok(Reply::Announced(told, _)) = read else { panic!("{read:?}") };
    assert_eq!(told.peers, ["192.0.2.1:1".parse().unwrap()]);
}

#[test]
fn what_is_no_reply_of_a_tracker() {
    fails(announce(b""), "the answer is empty (it ends in the middle)");
    fails(
        announce(b"\n<!doctype html><html>"),
        "is a page and not bencoded: is this the announce address? \"<!doctype",
    );
    fails(announce(b"\x1f\x8b\x08\0"), "compressed (gzip)");
    fails(announce(b"it works"), "not bencoded: \"it works\"");
    fails(announce(b"d8:intervali9e5:peers12:abc"), "ends in the middle");
    fails(announce(b"le"), "bencoded, but no dictionary: \"le\"");
    let with = |status, encoding, body: &[u8]| {
        look(|findings| read_announce(Head { status, encoding }, body, findings))
    };
    fails(with(404, None, b"<html>"), "status 404 where clients expect 200: the answer is a page");
    fails(with(200, Some("gzip"), b"x"), "compressed (gzip), which was not asked for");
    is(&with(400, None, b"d14:failure reason2:noe"), Mark::Wrong, "status 400");
    is(&with(200, Some("identity"), b"d8:intervali9e5:peers0:e"), Mark::Ok, "");
}

#[test]
fn failures_are_shown() {
    let refused = |reason: &str| Ok(Reply::Refused(reason.to_owned()));
    for good in [
        "d14:failure reason2:noe",
        "d14:failure reason2:no8:retry ini30ee",
        "d14:failure reason2:no8:retry in5:nevere",
    ] {
        assert_eq!(announce(good.as_bytes()), (refused("no"), Mark::Ok, String::new()));
    }
    for (odd, part) in [
        ("d14:failure reason0:e", "says nothing"),
        ("d14:failure reasoni1ee", "says nothing"),
        ("d14:failure reason2:no8:retry ini0ee", "neither a number of minutes"),
        ("d14:failure reason2:no8:retry in5:latere", "neither a number of minutes"),
    ] {
        is(&announce(odd.as_bytes()), Mark::Wrong, part);
    }
    assert_eq!(scrape("d14:failure reason2:noe").0, refused("no"));
}

#[test]
fn scrape_replies() {
    let hash = "h".repeat(20);
    let row = Row { seeders: 1, leechers: 3, downloads: Some(2) };
    let good = scrape(&format!("d5:filesd20:{hash}d8:completei1e10:downloadedi2e10:incompletei3eeee"));
    assert_eq!(good, (Ok(Reply::Scraped(Some(row))), Mark::Ok, String::new()));
    assert_eq!(scrape("d5:filesdee"), (Ok(Reply::Scraped(None)), Mark::Ok, String::new()));
    is(
        &scrape(&format!("d5:filesd20:{hash}d8:completei1e10:incompletei3eeee")),
        Mark::Note,
        "no `downloaded`",
    );
    let two = format!("20:{hash}d8:completei1e10:downloadedi2e10:incompletei3ee20:{}de", "i".repeat(20));
    is(&scrape(&format!("d5:filesd{two}ee")), Mark::Note, "and 2 are told of");
    fails(scrape("de"), "no dictionary `files`");
    fails(scrape(&format!("d5:filesd20:{hash}d8:completei1eeee")), "no `complete` or no `incomplete`");
}
