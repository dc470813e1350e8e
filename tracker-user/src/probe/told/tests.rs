use super::super::{finding::Mark, party::samples::party};
use super::*;

fn told(seeders: i64, leechers: i64, peers: &[&str]) -> Told {
    Told {
        interval: Some(1800),
        min_interval: None,
        seeders: Some(seeders),
        leechers: Some(leechers),
        peers: peers.iter().map(|peer| peer.parse().unwrap()).collect(),
    }
}

/// The worst mark and all that was found, of what the second client was told.
fn second(told: &Told) -> (Mark, String) {
    let party = party("192.0.2.1:6969");
    let mut findings = judge(told, &party, Which::Second);
    findings.extend(judge_meeting(told, &party));
    said(&findings)
}

fn first(told: &Told) -> (Mark, String) {
    said(&judge(told, &party("192.0.2.1:6969"), Which::First))
}

fn said(findings: &Findings) -> (Mark, String) {
    let texts: Vec<&str> = findings.iter().map(|finding| finding.text.as_str()).collect();
    (findings.worst(), texts.join(" | "))
}

#[track_caller]
fn is((mark, text): (Mark, String), expected: Mark, part: &str) {
    assert!(mark == expected && text.contains(part), "{mark:?}: {text}");
}

/// Where the first client is.
const FIRST: &str = "203.0.113.9:1001";

#[test]
fn two_clients_that_meet_are_fine() {
    assert_eq!(first(&told(1, 0, &[])), (Mark::Ok, String::new()));
    assert_eq!(second(&told(1, 1, &[FIRST])), (Mark::Ok, String::new()));
    assert_eq!(second(&told(1, 1, &["[2001:db8::9]:1001"])), (Mark::Ok, String::new()));
    let silent = Told { interval: Some(900), peers: vec![FIRST.parse().unwrap()], ..Told::default() };
    assert_eq!(second(&silent), (Mark::Ok, String::new()), "counts are no duty");
    let party = party("192.0.2.1:6969");
    assert_eq!(
        summary(&told(1, 1, &[FIRST]), &party, Which::Second),
        "1 seeder, 1 leecher; client 1 found at 203.0.113.9; again in 30 min"
    );
    assert_eq!(summary(&told(1, 0, &[]), &party, Which::First), "1 seeder, 0 leechers; again in 30 min");
}

#[test]
fn whoever_is_not_found_is_missed() {
    is(second(&told(1, 1, &[])), Mark::Wrong, "the first client is not in the list (0 peers), though");
    // Found by its port, since its address may be another behind a network's router.
    is(second(&told(1, 1, &["203.0.113.9:1003"])), Mark::Wrong, "is not in the list (1 peer)");
    let at = |tracker: &str, is_alone, seeders| {
        let party = Party { is_alone, ..party(tracker) };
        said(&judge_meeting(&told(seeders, 1, &["198.51.100.1:7"]), &party))
    };
    is(at("127.0.0.1:6969", true, 1), Mark::Wrong, "ask this one from another host");
    // In a torrent of others a list is a part of it.
    is(at("192.0.2.1:6969", false, 700), Mark::Note, "1 peer of 701: that may be chance");
    is(at("192.0.2.1:6969", false, 1), Mark::Wrong, "not in the list");
}

#[test]
fn a_proxy_that_hides_its_clients_shows() {
    for inside in
        ["10.0.0.1:1001", "127.0.0.1:1001", "[fd00::1]:1001", "[::1]:1001", "[::ffff:10.0.0.1]:1001"]
    {
        is(second(&told(1, 1, &[inside])), Mark::Note, "does a proxy before it hide its clients?");
    }
    let findings = judge_meeting(&told(1, 1, &["10.0.0.1:1001"]), &party("10.0.0.9:6969"));
    assert_eq!(findings, Findings::default(), "inside one network that is as it should be");
}

#[test]
fn lists_are_judged() {
    is(second(&told(1, 1, &[FIRST, "203.0.113.9:1002"])), Mark::Note, "the client's own address");
    is(first(&told(1, 0, &[FIRST])), Mark::Note, "the client's own address");
    is(second(&told(1, 1, &[FIRST, "192.0.2.1:6969"])), Mark::Wrong, "its own address as that of a peer");
    is(
        second(&told(1, 1, &[FIRST, "198.51.100.1:6881"])),
        Mark::Wrong,
        "lists 198.51.100.1:6881, though nobody but",
    );
    is(second(&told(1, 1, &[FIRST, FIRST])), Mark::Note, "of 2 peers listed, 1 are there twice");
    for nobody in ["203.0.113.9:0", "0.0.0.0:1001", "255.255.255.255:1001", "224.0.0.1:1001", "[::]:1001"] {
        is(second(&told(1, 1, &[FIRST, nobody])), Mark::Wrong, "to which nobody can connect");
    }
    let many: Vec<String> = (0..51).map(|n| format!("203.0.113.{n}:1001")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    is(second(&told(1, 1, &many)), Mark::Note, "lists 51 peers where 50 were asked for");
    // Where there are others they are listed.
    let theirs = Party { is_alone: false, ..party("192.0.2.1:6969") };
    assert_eq!(
        judge(&told(9, 9, &[FIRST, "198.51.100.1:6881"]), &theirs, Which::Second),
        Findings::default()
    );
}

#[test]
fn counts_are_judged() {
    is(first(&told(0, 1, &[])), Mark::Wrong, "0 seeders and 1 leecher, though a seeder has announced");
    is(first(&told(0, 0, &[])), Mark::Note, "does not count the client");
    is(first(&told(1, 1, &[])), Mark::Wrong, "1 seeder and 1 leecher, though only one client has");
    is(second(&told(2, 1, &[FIRST])), Mark::Wrong, "though only two clients have");
    is(second(&told(2, 0, &[FIRST])), Mark::Wrong, "though only two clients have");
    is(second(&told(1, 0, &[FIRST])), Mark::Note, "though a seeder and a leecher have announced");
    is(second(&told(-1, 1, &[FIRST])), Mark::Wrong, "-1 seeders: no swarm has so many");
    is(second(&told(1, i64::MAX, &[FIRST])), Mark::Wrong, "no swarm has so many");
    let theirs = Party { is_alone: false, ..party("192.0.2.1:6969") };
    assert_eq!(judge(&told(900, 0, &[]), &theirs, Which::First), Findings::default());
    let left = |seeders| said(&judge_left(&told(seeders, 0, &[]), &party("192.0.2.1:6969")));
    assert_eq!(left(0).0, Mark::Ok);
    is(left(1), Mark::Note, "still counts peers after both have left");
}

#[test]
fn intervals_are_judged() {
    let with = |interval, min_interval| first(&Told { interval, min_interval, ..told(1, 0, &[]) });
    is(with(None, None), Mark::Wrong, "no interval");
    is(with(Some(0), None), Mark::Wrong, "the interval is 0 s");
    is(with(Some(-1), None), Mark::Wrong, "the interval is -1 s");
    is(with(Some(29), None), Mark::Note, "only 29 s");
    is(with(Some(86_401), None), Mark::Note, "listed for long");
    is(with(Some(1800), Some(-1)), Mark::Wrong, "the min interval is -1 s");
    is(with(Some(1800), Some(3600)), Mark::Note, "longer than the interval (1800 s)");
    for (interval, min) in
        [(30, None), (86_400, None), (1800, Some(900)), (1800, Some(1800)), (1800, Some(0))]
    {
        assert_eq!(with(Some(interval), min), (Mark::Ok, String::new()));
    }
}

#[test]
fn scrapes_are_judged() {
    let row = |seeders, leechers, downloads| Row { seeders, leechers, downloads };
    let judged = |row: Row| said(&row.judge(&party("192.0.2.1:6969")));
    assert_eq!(judged(row(1, 1, Some(0))), (Mark::Ok, String::new()));
    assert_eq!(row(1, 1, Some(0)).summary(), "1 seeder, 1 leecher, 0 downloads");
    assert_eq!(row(1, 1, None).summary(), "1 seeder, 1 leecher");
    is(judged(row(0, 0, Some(0))), Mark::Note, "though one of each has announced");
    is(judged(row(1, -1, Some(0))), Mark::Wrong, "-1 leechers: no torrent has so many");
    is(judged(row(4_000_000_000, 1, None)), Mark::Wrong, "no torrent has so many");
    is(judged(row(1, 1, Some(-1))), Mark::Wrong, "-1 downloads");
}
