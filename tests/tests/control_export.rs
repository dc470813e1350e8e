//! `riptide control export` and `torrent`: what the tracker holds, against a naive model of what was announced.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::Signal,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::Ipv4Addr,
    os::{fd::AsFd as _, unix::net::UnixStream},
    sync::LazyLock,
};
use tests::{
    PATIENCE,
    control::{ask, complaint, printed, status},
    openapi::OpenApi,
    riptide::{Riptide, Start},
    udp::{Announce, Client, Id20, event, hex, id20},
    web::bencode::Dictionary,
};

fn loopback() -> Start<'static> {
    Start::new(None).arguments("--udp 127.0.0.1:0")
}

fn client(riptide: &Riptide) -> Client {
    Client::new(Ipv4Addr::LOCALHOST.into(), riptide.udp()[0])
}

/// Seeders, leechers, downloads of each torrent.
type Model = BTreeMap<Id20, [u64; 3]>;

/// Announces what makes swarms of every kind, and says what they are then.
fn fill(riptide: &Riptide, torrents: u32) -> Model {
    let client = client(riptide);
    let mut model = Model::new();
    for number in 0..torrents {
        let hash = id20("export", number);
        let row = model.entry(hash).or_default();
        let seeder = |port| Announce { left: 0, ..Announce::leecher(hash, port) };
        client.announce(&Announce::leecher(hash, 1));
        match number % 4 {
            0 => row[1] += 1,
            1 => {
                client.announce(&seeder(1).event(event::COMPLETED));
                client.announce(&Announce::leecher(hash, 2));
                *row = [1, 1, 1];
            }
            2 => {
                client.announce(&Announce::leecher(hash, 1).event(event::PAUSED));
                client.announce(&seeder(2));
                *row = [1, 1, 0];
            }
            // Nobody is left, and the download is kept.
            _ => {
                client.announce(&seeder(1).event(event::COMPLETED));
                client.announce(&seeder(1).event(event::STOPPED));
                *row = [0, 0, 1];
            }
        }
    }
    // So large that a walk comes by it several times.
    let large = id20("large", 0);
    (1..=3_000).for_each(|port| _ = client.announce(&Announce::leecher(large, port)));
    model.insert(large, [0, 3_000, 0]);
    // Nothing is left of this one.
    let gone = id20("gone", 0);
    client.announce(&Announce::leecher(gone, 1));
    client.announce(&Announce::leecher(gone, 1).event(event::STOPPED));
    model
}

fn is_model(found: &[(Id20, [u64; 3])], model: &Model) {
    let unique: Model = found.iter().copied().collect();
    assert_eq!(unique.len(), found.len(), "each once");
    for (hash, counts) in model {
        assert_eq!(unique.get(hash), Some(counts), "{}", hex(*hash));
    }
    assert_eq!(unique.len(), model.len(), "and no other");
}

fn unhex(text: &str) -> Id20 {
    let digit = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("a digit");
    assert_eq!(text.len(), 40, "{text}");
    std::array::from_fn(|i| digit(2 * i))
}

fn from_text(text: &str) -> Vec<(Id20, [u64; 3])> {
    let row = |line: &str| {
        let words: Vec<_> = line.split(' ').collect();
        let [hash, counts @ ..] = words.as_slice() else { panic!("{line:?}") };
        let counts: Vec<u64> = counts.iter().map(|word| word.parse().expect("a number")).collect();
        (unhex(hash), counts.try_into().expect("three counts"))
    };
    text.lines().map(row).collect()
}

fn from_jsonl(text: &str) -> Vec<(Id20, [u64; 3])> {
    static PAGE: LazyLock<OpenApi> = LazyLock::new(OpenApi::read);
    let row = |line: &str| {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{line:?}: {e}"));
        let problems = PAGE.problems_of("GET /export", 200, "application/jsonl", &value);
        assert!(problems.is_empty(), "{problems:#?}");
        let count = |name: &str| value[name].as_u64().expect("a count");
        (
            unhex(value["info_hash"].as_str().expect("a hash")),
            ["seeders", "leechers", "downloaded"].map(count),
        )
    };
    text.lines().map(row).collect()
}

/// The length of the bencoded value that these bytes begin with. It says nothing of the order of keys.
fn length(bytes: &[u8]) -> usize {
    let position = |byte: u8| bytes.iter().position(|b| *b == byte).expect("an end");
    match bytes[0] {
        b'i' => position(b'e') + 1,
        b'l' | b'd' => {
            let mut at = 1;
            while bytes[at] != b'e' {
                at += length(&bytes[at..]);
            }
            at + 1
        }
        _ => {
            let colon = position(b':');
            let digits = std::str::from_utf8(&bytes[..colon]).expect("digits");
            colon + 1 + digits.parse::<usize>().expect("a length")
        }
    }
}

/// The whole is one dictionary with one key; each torrent's own dictionary is read strictly.
fn from_bencode(bytes: &[u8]) -> Vec<(Id20, [u64; 3])> {
    assert_eq!(length(bytes), bytes.len(), "one value");
    let rows = bytes.strip_prefix(b"d5:files").and_then(|rest| rest.strip_suffix(b"e")).expect("files");
    assert_eq!(length(rows), rows.len(), "one value");
    let mut rows = rows.strip_prefix(b"d").and_then(|rest| rest.strip_suffix(b"e")).expect("a dictionary");
    let mut found = Vec::new();
    while !rows.is_empty() {
        let (key, rest) = rows.split_at(length(rows));
        let (value, rest) = rest.split_at(length(rest));
        let hash = key.strip_prefix(b"20:").expect("a key of 20 bytes").try_into().expect("20 bytes");
        let counts = Dictionary::parse(value);
        assert_eq!(counts.keys(), ["complete", "downloaded", "incomplete"]);
        let count = |name: &str| u64::try_from(counts.integer(name)).expect("a count");
        found.push((hash, ["complete", "incomplete", "downloaded"].map(count)));
        rows = rest;
    }
    found
}

#[test]
fn everything_is_exported_in_three_formats() {
    let riptide = loopback().ready();
    assert_eq!(printed(&riptide.control("export")), "");
    assert_eq!(riptide.control("export --format bencode").stdout, b"d5:filesdee");
    let model = fill(&riptide, 4_000);
    is_model(&from_text(&printed(&riptide.control("export"))), &model);
    is_model(&from_text(&printed(&riptide.control("export --format text --json"))), &model);
    is_model(&from_jsonl(&printed(&riptide.control("export --format jsonl"))), &model);
    is_model(&from_jsonl(&printed(&riptide.control("export --json"))), &model);
    is_model(&from_bencode(&riptide.control("export --format bencode").stdout), &model);
    riptide.stop();
}

#[test]
fn an_unknown_format_is_refused() {
    let riptide = loopback().ready();
    for query in ["?format=xml", "?form=text", "?format=text&format=jsonl", "?"] {
        let (code, found) = ask(&riptide, &format!("GET /export{query}"));
        assert!(code == 400 && found.to_string().contains("format=bencode"), "{query}: {found:#}");
    }
    assert_eq!(riptide.control("export --format xml").status.code(), Some(2));
}

/// Asks for all of it and reads nothing.
fn begin(riptide: &Riptide) -> UnixStream {
    let mut stream = UnixStream::connect(riptide.control_socket()).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.write_all(b"GET /export?format=jsonl HTTP/1.1\r\nHost: x\r\n\r\n").expect("to ask");
    stream
}

/// Waits until the tracker has closed it, since reading would be a sign of life; then checks that it has begun and is not
/// whole.
fn is_cut_off(mut stream: UnixStream) {
    let mut asked = [PollFd::new(stream.as_fd(), PollFlags::empty())];
    let patience = PollTimeout::try_from(PATIENCE).expect("less than a month");
    assert_eq!(poll(&mut asked, patience), Ok(1), "it is never given up");
    let mut all = Vec::new();
    // The rest is lost with the connection.
    let _ = stream.read_to_end(&mut all);
    assert!(all.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&all[..all.len().min(100)]));
    assert!(!all.ends_with(b"0\r\n\r\n"), "all {} bytes came", all.len());
}

/// What the kernel holds for a reader that reads nothing is less than this makes.
const MANY: u32 = 8_000;

#[test]
fn who_reads_nothing_is_given_up_and_delays_nobody() {
    let keys = "listen = \"SOCKET\"\nmax_connections = 2\nrequest_timeout = \"1s\"";
    let riptide = loopback().control(keys).ready();
    let model = fill(&riptide, MANY);
    let stuck = begin(&riptide);
    // There is another place.
    is_model(&from_text(&printed(&riptide.control("export"))), &model);
    let second = begin(&riptide);
    // Now there is none, until they are given up.
    assert_eq!(status(&riptide)["stage"], json!("ready"));
    is_model(&from_text(&printed(&riptide.control("export"))), &model);
    is_cut_off(stuck);
    is_cut_off(second);
    riptide.stop();
}

#[test]
fn who_goes_away_makes_room() {
    let riptide = loopback().control("listen = \"SOCKET\"\nmax_connections = 1").ready();
    fill(&riptide, MANY);
    for _ in 0..20 {
        let mut stream = begin(&riptide);
        stream.read_exact(&mut [0; 1000]).expect("the beginning");
    }
    assert_eq!(status(&riptide)["stage"], json!("ready"));
}

#[test]
fn the_end_of_the_tracker_does_not_wait_for_a_reader() {
    let mut riptide = loopback().ready();
    fill(&riptide, MANY);
    let mut stuck = begin(&riptide);
    stuck.read_exact(&mut [0; 1]).expect("the beginning");
    riptide.signal(Signal::SIGTERM);
    assert_eq!(riptide.wait().code(), Some(0), "{}", riptide.log_text());
    let mut all = Vec::new();
    let _ = stuck.read_to_end(&mut all);
    assert!(!all.ends_with(b"0\r\n\r\n"), "all {} bytes came", all.len());
}

/// What reads is a program that is told so, too: a part would look like everything.
#[test]
fn an_export_that_is_cut_off_is_a_failure() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("short.sock");
    let short = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = short.accept().expect("a client");
        let _ = stream.read(&mut [0; 1024]);
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(format!("{head}5\r\nhalf\n\r\n").as_bytes()).expect("to answer");
    });
    let output = tests::riptide::command(&["control", "--socket", &path.display().to_string(), "export"]);
    assert_eq!(output.stdout, b"half\n");
    assert!(complaint(&output).contains("the answer is not whole"), "{output:?}");
    answering.join().expect("the other side");
}

#[test]
fn a_torrent_is_shown() {
    let riptide = loopback().control("listen = \"SOCKET\"\nmax_peers = 100").ready();
    let (client, hash) = (client(&riptide), *b"abcdefghijklmnopqrst");
    let target = format!("GET /torrent/{}", hex(hash));
    let (code, found) = ask(&riptide, &target);
    assert_eq!(code, 404, "{found:#}");
    client.announce(&Announce::leecher(hash, 7));
    client.announce(&Announce { left: 0, ..Announce::leecher(hash, 8) });
    client.announce(&Announce::leecher(hash, 9).event(event::PAUSED));
    let (code, found) = ask(&riptide, &target);
    assert_eq!(code, 200, "{found:#}");
    for (name, expected) in [("seeders", 1), ("leechers", 2), ("downloaded", 0), ("unlisted_peers", 0)] {
        assert_eq!(found[name], json!(expected), "{name} in {found:#}");
    }
    let mut peers: Vec<_> = found["peers"].as_array().expect("peers").iter().map(row).collect();
    peers.sort_unstable();
    assert_eq!(peers, ["127.0.0.1:7 leecher", "127.0.0.1:8 seeder", "127.0.0.1:9 partial_seed"]);

    let text = printed(&riptide.control(&format!("torrent {}", hex(hash).to_uppercase())));
    assert!(text.lines().any(|line| line == "seeders: 1"), "{text}");
    assert!(text.contains("  address 127.0.0.1:8, family ipv4, role seeder, age "), "{text}");

    (1_000..2_000).for_each(|port| _ = client.announce(&Announce::leecher(hash, port)));
    let (_, found) = ask(&riptide, &target);
    assert_eq!(found["peers"].as_array().expect("peers").len(), 100);
    assert_eq!((&found["leechers"], &found["unlisted_peers"]), (&json!(1_002), &json!(903)));

    for wrong in ["short", "..%2Fstatus", &"g".repeat(40)] {
        let said = complaint(&riptide.control(&format!("torrent {wrong}")));
        assert!(said.contains("is no info hash: it has 40 hexadecimal digits"), "{said}");
    }
    let said = complaint(&riptide.control(&format!("torrent {}", "0".repeat(40))));
    assert!(said.contains("nothing is known of 0000"), "{said}");
}

fn row(peer: &Value) -> String {
    let text = |name: &str| peer[name].as_str().expect("text").to_owned();
    assert_eq!(text("family"), "ipv4");
    assert!(peer["age_seconds"].as_u64().expect("an age") < 60, "{peer}");
    format!("{} {}", text("address"), text("role"))
}
