//! Private mode and denied clients, over HTTP, WebSocket and UDP: who is served, what others are told, and what changes
//! while the tracker runs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use std::{
    fs,
    net::Ipv4Addr,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};
use tests::{
    control::{complaint, printed},
    private::{Files, url_data},
    rig::Family,
    riptide::{Riptide, Start, command},
    udp::{self, Id20, Reply, id20},
    web::{
        house::{Client, Door, House},
        http::{Announce, Announced},
        websocket::{Socket, announce, counts, with},
    },
};

const KEYS: [&str; 2] = ["ABCDEFGH", "a-rather_long-key_of_64_characters_that_is_all_that_a_key_may_ha"];
const NEEDED: &str = "this tracker needs a key: ";
const DENIED: &str = "client not allowed on this tracker";

/// The announce at the address of whoever has this key.
fn below(key: &str, announce: &Announce) -> String {
    format!("/{key}{}", announce.target())
}

fn by_udp(riptide: &House, tail: Vec<u8>, hash: Id20) -> Reply {
    let client = riptide.udp(Family::V4, 1);
    client.try_announce(&udp::Announce { tail, ..udp::Announce::leecher(hash, 99) })
}

/// A WebSocket that came by this path.
fn socket(client: &Client, path: &str) -> Socket {
    Socket::open(client.connect(), path, "").unwrap_or_else(|answer| panic!("{path}: {answer:?}"))
}

fn failure(socket: &mut Socket, message: &Value) -> String {
    let reply = socket.ask(message);
    reply["failure reason"].as_str().unwrap_or_else(|| panic!("{reply:#}")).to_owned()
}

/// With more in its log than anybody wants.
fn private(door: Door) -> (Files, House) {
    let files = Files::new(&KEYS, "-ZZ99 # a client that asks too often\n0x2d5a5a3937\n");
    let tables = format!("{}[log]\nlevel = \"trace\"\n[swarm]\ninterval_jitter = 0\n", files.access());
    let house = House::with(door, "", &tables);
    (files, house)
}

/// No line of the log and no metric tells a key.
fn tells_no_key(house: &House, more: &[&str]) {
    let pages = ["/stats", "/stats.json", "/"].map(|page| house.client(Family::V4, 1).get(page).0.body);
    let (log, metrics) = (house.riptide().log_text(), house.metrics().text);
    for key in KEYS.iter().chain(more) {
        assert!(!log.contains(key), "{key} in\n{log}");
        assert!(!metrics.contains(key), "{key} in\n{metrics}");
        for page in &pages {
            assert!(!String::from_utf8_lossy(page).contains(key), "{key} in a page");
        }
    }
}

fn only_keys_are_served(door: Door) {
    let (_files, house) = private(door);
    for family in Family::BOTH {
        let client = house.client(family, 1);
        let hash = id20("private", u32::from(family == Family::V6));
        let asked = Announce::leecher(hash, 1);
        for (target, retry) in [
            (asked.target(), "never"),
            (below("ABCDEFGX", &asked), "30"),
            (below("ABCDEFG", &asked), "30"),
            (below("%41BCDEFGH", &asked), "30"),
            (below(&"A".repeat(2000), &asked), "30"),
        ] {
            let answer = client.get(&target);
            assert_eq!(answer.status, 200, "{target}");
            assert!(answer.failure().starts_with(NEEDED), "{target}: {answer:?}");
            let body = String::from_utf8_lossy(&answer.0.body).into_owned();
            let never = body.ends_with("8:retry in5:nevere");
            assert!(if retry == "never" { never } else { body.ends_with("8:retry ini30ee") }, "{body}");
            let scrape = target.replace("/announce", "/scrape");
            assert!(client.get(&scrape).failure().starts_with(NEEDED), "{scrape}");
        }
        for (port, key) in (2..).zip(KEYS) {
            let reply = Announced::read(&client.get(&below(key, &Announce::leecher(hash, port))));
            assert_eq!(reply.incomplete, i64::from(port) - 1);
            let target = format!("//{key}//scrape/?info_hash={}", tests::web::http::escaped(&hash));
            let row = tests::web::http::read_scrape(&client.get(&target))[&hash];
            assert_eq!(row.leechers, u32::from(port) - 1);
        }
        // Key or not.
        let denied = Announce { peer_id: *b"-ZZ9999-aaaaaaaaaaaa", ..Announce::leecher(hash, 9) };
        assert!(client.get(&below(KEYS[0], &denied)).failure().starts_with(DENIED));
        assert!(client.get(&denied.target()).failure().starts_with(NEEDED));
        // Pages are for everybody, and nothing else is below a key.
        assert_eq!((client.get("/health").status, client.get("/stats").status), (200, 200));
        for target in ["/ABCDEFGH", "/ABCDEFGH/health", "/ABCDEFGH/stats", "/x/ABCDEFGH/announce"] {
            assert_eq!(client.get(target).status, 404, "{target}");
        }
    }
    let metrics = house.metrics();
    let failures = [("action", "announce"), ("outcome", "failure")];
    assert_eq!(metrics.sum("riptide_http_requests_total", &failures), 14.0);
    let refused = |reason| metrics.sum("riptide_peers_refused_total", &[("reason", reason)]);
    assert_eq!((refused("key"), refused("client")), (12.0, 2.0), "{}", metrics.text);
    tells_no_key(&house, &["ABCDEFGX"]);
}

#[test]
fn only_keys_are_served_over_http() {
    only_keys_are_served(Door::Plain);
}

#[test]
fn only_keys_are_served_over_tls() {
    only_keys_are_served(Door::Tls);
}

#[test]
fn only_keys_are_served_behind_a_proxy() {
    only_keys_are_served(Door::ProxyV2);
}

#[test]
fn only_keys_are_served_through_a_unix_socket() {
    only_keys_are_served(Door::Unix);
}

#[test]
fn only_keys_are_served_over_websocket() {
    for door in [Door::Plain, Door::Tls, Door::Unix] {
        let (_files, house) = private(door);
        let client = house.client(Family::V4, 1);
        let hash = id20("private", 3);
        for (n, path) in (1..).zip(["/ABCDEFGH", "/ABCDEFGH/", &format!("/{}/announce", KEYS[1])]) {
            let mut member = socket(&client, path);
            assert_eq!(counts(&member.ask(&announce(hash, id20("member", n))), hash), (0, 1), "{path}");
            let scraped =
                member.ask(&json!({"action": "scrape", "info_hash": tests::web::websocket::latin(&hash)}));
            assert_eq!(scraped["files"].as_object().unwrap().len(), 1);
            // Key or not.
            let denied = announce(hash, *b"-ZZ9700-aaaaaaaaaaaa");
            assert!(failure(&mut member, &denied).starts_with(DENIED), "{path}");
            member.close();
            house.riptide().metrics_until("nobody", |m| m.sum("riptide_ws_connections", &[]) == 0.0);
        }
        for path in ["/", "/announce", "/ABCDEFGX", "/ABCDEFG/announce"] {
            let mut stranger = socket(&client, path);
            let asked = with(announce(hash, id20("stranger", 0)), &json!({"left": 0}));
            assert!(failure(&mut stranger, &asked).starts_with(NEEDED), "{path}");
            let scrape = json!({"action": "scrape", "info_hash": tests::web::websocket::latin(&hash)});
            assert!(failure(&mut stranger, &scrape).starts_with(NEEDED), "{path}");
        }
        assert_eq!(house.metrics().sum("riptide_peers", &[]), 0.0);
        tells_no_key(&house, &["ABCDEFGX"]);
    }
}

#[test]
fn only_keys_are_served_over_udp() {
    let (_files, house) = private(Door::Plain);
    let hash = id20("private", 4);
    for tail in [vec![], url_data(&["/announce"]), url_data(&["/ABCDEFGX/announce"])] {
        match by_udp(&house, tail, hash) {
            Reply::Error(text) => assert!(text.starts_with(NEEDED), "{text}"),
            other => panic!("{other:?}"),
        }
    }
    let Reply::Announced(reply) = by_udp(&house, url_data(&["/ABCD", "EFGH/announce"]), hash) else {
        panic!("a key in two pieces")
    };
    assert_eq!(reply.leechers, 1);
    tells_no_key(&house, &["ABCDEFGX"]);
}

/// What a reload is answered with: its status and what it says.
fn reload(riptide: &Riptide) -> (u16, Value) {
    tests::control::ask(riptide, "POST /reload")
}

#[test]
fn keys_come_and_go_by_a_reload() {
    let (files, house) = private(Door::Plain);
    let client = house.client(Family::V4, 1);
    let hash = id20("reloaded", 0);
    let served =
        |key: &str| client.get(&below(key, &Announce::leecher(hash, 1))).0.body.starts_with(b"d8:complete");
    let [mut first, mut second] = KEYS.map(|key| socket(&client, &format!("/{key}")));
    let _ = first.ask(&announce(hash, id20("webrtc", 1)));
    let _ = second.ask(&announce(hash, id20("webrtc", 2)));
    assert!(served(KEYS[0]) && !served("NEW_ONE_"));
    let by_udp = |url| matches!(by_udp(&house, url_data(&[url]), hash), Reply::Announced(_));
    assert!(by_udp("/ABCDEFGH"));

    files.write_keys(&format!("{}\nNEW_ONE_\n", KEYS[1]));
    let (status, told) = reload(house.riptide());
    assert_eq!((status, &told["keys"], &told["denied_clients"]), (200, &json!(2), &json!(2)), "{told:#}");
    assert!(!served(KEYS[0]) && served("NEW_ONE_") && served(KEYS[1]));
    assert!(!by_udp("/ABCDEFGH") && by_udp("/NEW_ONE_"));
    // Who came by the key that is gone is gone, and the other is not.
    assert_eq!(first.wait_closed(), Some(1008));
    let closed = [("reason", "key")];
    house.riptide().metrics_until("one to leave", |metrics| {
        metrics.sum("riptide_ws_connections", &[]) == 1.0
            && metrics.sum("riptide_ws_closed_connections_total", &closed) == 1.0
            && metrics.sum("riptide_peers", &[("family", "webrtc")]) == 1.0
    });
    let _ = counts(&second.ask(&announce(hash, id20("webrtc", 2))), hash);

    // Whatever is wrong with the file, those that are served stay.
    for (text, wrong) in [
        (
            format!("NEW_ONE_\n{}\ntoo_few\n", KEYS[1]),
            "line 3: a key has at least 8 characters, this one has 7",
        ),
        (
            "NEW_ONE_\nwhat ever this is\n".to_owned(),
            "line 2: a key consists of A-Z, a-z, 0-9, - and _; character 5",
        ),
        (
            format!("NEW_ONE_\n\n#\n{}\n", "x".repeat(65)),
            "line 4: a key has at most 64 characters, this one has 65",
        ),
        ("\u{feff}announce\r\n".to_owned(), "line 1: a key is no word"),
    ] {
        files.write_keys(&text);
        let (status, told) = reload(house.riptide());
        let problems = told["problems"].to_string();
        assert_eq!(status, 422, "{told:#}");
        assert!(problems.contains("access.keys: ") && problems.contains(wrong), "{problems}");
        assert!(!problems.contains("too_few") && !problems.contains("what ever"), "{problems}");
        assert!(served("NEW_ONE_") && served(KEYS[1]) && !served(KEYS[0]));
    }
    let _ = counts(&second.ask(&announce(hash, id20("webrtc", 2))), hash);
    tells_no_key(&house, &["NEW_ONE_"]);
}

/// Puts something into the place of a file.
type Make = dyn Fn(&Path);

#[test]
fn files_that_are_none_are_refused_without_a_wait() {
    let files = Files::new(&KEYS, "");
    let house = House::with(Door::Plain, "", &files.access());
    let client = house.client(Family::V4, 1);
    let hash = id20("odd files", 0);
    let served =
        |key: &str| client.get(&below(key, &Announce::leecher(hash, 1))).0.body.starts_with(b"d8:complete");
    for (key, path) in [("keys", files.keys()), ("denied_clients", files.clients())] {
        let replace: [(&str, &Make); 4] = [
            ("it is no regular file", &|path| fs::create_dir(path).unwrap()),
            ("it is no regular file", &|path| {
                let made = std::process::Command::new("mkfifo").arg(path).status().unwrap();
                assert!(made.success());
            }),
            ("it is no regular file", &|path| symlink("/dev/zero", path).unwrap()),
            ("No such file", &|_| ()),
        ];
        let before = fs::read(&path).unwrap();
        for (reason, make) in replace {
            if path.is_dir() { fs::remove_dir(&path) } else { fs::remove_file(&path) }.unwrap_or_default();
            make(&path);
            let (status, told) = reload(house.riptide());
            let problems = told["problems"].to_string();
            assert_eq!(status, 422, "{told:#}");
            let expected = format!("access.{key}: {}: cannot be read: {reason}", path.display());
            assert!(problems.contains(&expected), "{problems}\n{expected}");
            assert!(served(KEYS[0]) && !served("NEW_ONE_"));
        }
        fs::write(&path, before).unwrap();
    }
    for (line, reason) in
        [("0x", "an empty prefix matches every client"), ("-AA0001-abcdefghijklm", "this prefix has 21")]
    {
        fs::write(files.clients(), format!("# one\n-ZZ\n{line}\n")).unwrap();
        let (status, told) = reload(house.riptide());
        let problems = told["problems"].to_string();
        assert!(status == 422 && problems.contains("line 3: ") && problems.contains(reason), "{told:#}");
    }
    fs::write(files.clients(), "-ZZ\n").unwrap();
    assert_eq!(reload(house.riptide()).1["denied_clients"], json!(1));
    let denied = Announce { peer_id: *b"-ZZ9999-aaaaaaaaaaaa", ..Announce::leecher(hash, 9) };
    assert!(client.get(&below(KEYS[0], &denied)).failure().starts_with(DENIED));
}

#[test]
fn a_tracker_becomes_private_and_public_while_it_runs() {
    let files = Files::new(&KEYS, "");
    let house = House::with(Door::Plain, "", "");
    let client = house.client(Family::V4, 1);
    let hash = id20("turned", 0);
    let mut stranger = socket(&client, "/announce");
    let _ = counts(&stranger.ask(&announce(hash, id20("webrtc", 1))), hash);
    // Without keys there is nothing below one.
    assert_eq!(client.get(&below(KEYS[0], &Announce::leecher(hash, 1))).status, 404);
    let file = house.riptide().directory().path().join("riptide.toml");
    let before = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{before}\n{}", files.access())).unwrap();
    let (_, told) = reload(house.riptide());
    assert_eq!(told["taken_up"], json!(["access.denied_clients", "access.keys"]), "{told:#}");
    assert_eq!(stranger.wait_closed(), Some(1008));
    house.riptide().metrics_until("nobody", |metrics| metrics.sum("riptide_peers", &[]) == 0.0);
    assert!(client.get(&Announce::leecher(hash, 1).target()).failure().starts_with(NEEDED));
    assert_eq!(Announced::read(&client.get(&below(KEYS[0], &Announce::leecher(hash, 1)))).incomplete, 1);
    fs::write(&file, before).unwrap();
    assert_eq!(reload(house.riptide()).1["keys"], Value::Null);
    assert_eq!(client.announce(&Announce::leecher(hash, 2)).incomplete, 2);
}

#[test]
fn a_start_with_a_bad_file_is_refused() {
    let files = Files::new(&["ABCDEFGH", "short"], "-ZZ\n0xzz\n");
    let mut riptide = Start::new(None).arguments("--udp 127.0.0.1:0").config(&files.access()).spawn();
    assert_eq!(riptide.wait().code(), Some(2), "{}", riptide.log_text());
    let log = riptide.log_text();
    for part in
        ["access.keys: ", "line 2: a key has at least 8", "access.denied_clients: ", "line 2: after 0x"]
    {
        assert!(log.contains(part), "no {part} in\n{log}");
    }
    assert!(!log.contains("short") && !log.contains("ABCDEFGH"), "{log}");
    let file = riptide.directory().path().join("riptide.toml").display().to_string();
    let checked = command(&["config", "check", &file]);
    assert_eq!(checked.status.code(), Some(2));
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(said.contains("access.keys: ") && said.contains("access.denied_clients: "), "{said}");
    // The file alone decides: nobody is served to whom no key was given.
    files.write_keys("# none yet\n");
    fs::write(files.clients(), "").unwrap();
    let house = House::with(Door::Plain, "", &files.access());
    house
        .riptide()
        .wait_for_line("a warning", |line| line.contains("there is no key, so everybody is refused"));
}

#[test]
fn keys_come_and_go_by_control() {
    let (files, house) = private(Door::Plain);
    let riptide = house.riptide();
    let client = house.client(Family::V4, 1);
    let hash = id20("by control", 0);
    let decide = |operation: &str| {
        let (status, told) = tests::control::ask(riptide, operation);
        assert_eq!(status, 200, "{operation}: {told:#}");
        told
    };
    let served =
        |key: &str| client.get(&below(key, &Announce::leecher(hash, 1))).0.body.starts_with(b"d8:complete");
    let by_udp = |url| matches!(by_udp(&house, url_data(&[url]), hash), Reply::Announced(_));
    let mut early = socket(&client, "/BY_CONTROL");
    let asked = announce(hash, id20("webrtc", 1));
    assert!(failure(&mut early, &asked).starts_with(NEEDED));
    assert!(!served("BY_CONTROL") && !by_udp("/BY_CONTROL"));

    let told = decide("PUT /key/BY_CONTROL");
    assert_eq!(told, json!({ "entry": "BY_CONTROL", "changed": true, "warnings": [] }));
    assert!(served("BY_CONTROL") && by_udp("/BY_CONTROL") && served(KEYS[0]));
    let _ = counts(&early.ask(&asked), hash);
    assert_eq!(decide("PUT /key/BY_CONTROL")["changed"], json!(false));
    let listed = decide("GET /key");
    assert_eq!((&listed["entries"], &listed["in_file"]), (&json!(["BY_CONTROL"]), &json!(2)));
    assert!(printed(&riptide.control("key list")).starts_with("BY_CONTROL 2"));
    // A reload changes nothing of it.
    assert_eq!(reload(riptide).1["keys"], json!(2));
    assert!(served("BY_CONTROL"));
    let _ = counts(&early.ask(&asked), hash);

    // What stands in the file is taken out there.
    let (status, told) = tests::control::ask(riptide, &format!("DELETE /key/{}", KEYS[0]));
    assert!(status == 409 && told.to_string().contains(&files.keys().display().to_string()), "{told:#}");
    assert!(served(KEYS[0]));
    let refused = complaint(&riptide.control("key add too_few"));
    assert!(refused.contains("a key has at least 8 characters, this one has 7"), "{refused}");

    let _ = printed(&riptide.control("key add -begins-with-a-dash"));
    assert!(served("-begins-with-a-dash"));
    assert_eq!(decide("DELETE /key/BY_CONTROL")["changed"], json!(true));
    assert_eq!(early.wait_closed(), Some(1008));
    assert!(!served("BY_CONTROL") && !by_udp("/BY_CONTROL"));
    assert_eq!(decide("DELETE /key/BY_CONTROL")["changed"], json!(false));
    assert_eq!(decide("GET /key")["entries"], json!(["-begins-with-a-dash"]));
    let log = riptide.log_text();
    assert!(log.contains("control: decided: a key") && log.contains("control: taken back: a key"), "{log}");
    tells_no_key(&house, &["BY_CONTROL", "-begins-with-a-dash"]);
}

#[test]
fn keys_by_control_outlive_the_process() {
    let files = Files::new(&[], "");
    let start = || Start::new(None).arguments("--udp 127.0.0.1:0").config(&files.access());
    let url = url_data(&["/BY_CONTROL/announce"]);
    let served = |riptide: &Riptide| {
        let client = udp::Client::new(Ipv4Addr::LOCALHOST.into(), riptide.udp()[0]);
        let announce = udp::Announce { tail: url.clone(), ..udp::Announce::leecher(id20("outlives", 0), 1) };
        matches!(client.try_announce(&announce), Reply::Announced(_))
    };
    let first = start().ready();
    assert!(!served(&first));
    let _ = printed(&first.control("key add BY_CONTROL"));
    assert!(served(&first));
    let kept = first.directory().path().join("state/decisions.riptide");
    assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    // Over a restart, then a hand-over.
    let mut second = start().directory(first.stop()).ready();
    assert!(served(&second));
    let third = start().directory(second.directory()).arguments("--take-over").ready();
    assert_eq!(second.wait().code(), Some(0), "{}", second.log_text());
    assert!(served(&third));
    // Of a file that is damaged, no key is told.
    let directory = third.stop();
    let text = fs::read_to_string(&kept).unwrap();
    fs::write(&kept, text.replace("key BY_CONTROL", "key BY_CONTROL!")).unwrap();
    let fourth = start().directory(directory).ready();
    assert!(!served(&fourth));
    let log = fourth.log_text();
    assert!(log.contains("decisions.riptide: line 3: a key consists of"), "{log}");
    assert!(!log.contains("BY_CONTROL"), "{log}");
    // Where everybody is served, whoever adds a key is told so.
    let public = Start::new(None).arguments("--udp 127.0.0.1:0").ready();
    let (_, told) = tests::control::ask(&public, "PUT /key/BY_CONTROL");
    assert!(told["warnings"][0].as_str().is_some_and(|text| text.contains("access.keys")), "{told:#}");
}
