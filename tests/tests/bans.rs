//! Bans of networks and torrents denied by control: at once, on every path that needs no privilege, and for good.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tempfile::TempDir;
use tests::{
    control::{ask, complaint, printed},
    eventually,
    handover::{Taker, stays},
    rig::{self, Family, Rig},
    riptide::{Riptide, Start, command},
    udp::{self, Client, Id20, Reply, connect_bytes, hex, id20},
    web::{
        house::{Door, House},
        http::Announce,
        websocket::{announce, counts, failure},
    },
};

/// A tracker at a free port on loopback, where clients have many addresses.
fn loopback(config: &str) -> Start<'static> {
    Start::new(None).arguments("--udp 127.0.0.1:0").config(config)
}

fn client(riptide: &Riptide, last: u8) -> Client {
    Client::new(Ipv4Addr::new(127, 0, 7, last).into(), riptide.udp()[0])
}

/// How many datagrams were dropped for a ban.
fn dropped(riptide: &Riptide) -> f64 {
    riptide.metrics().sum("riptide_udp_dropped_total", &[("reason", "banned")])
}

/// A client's connects are dropped, and it hears nothing.
fn gets_nothing(riptide: &Riptide, client: &Client) {
    let before = dropped(riptide);
    client.send(&connect_bytes(client.transaction()));
    riptide.metrics_until("the drop", |metrics| {
        metrics.sum("riptide_udp_dropped_total", &[("reason", "banned")]) > before
    });
    assert!(client.take_arrived().is_empty(), "it was answered");
}

fn is_denied(client: &Client, hash: Id20) {
    match client.try_announce(&udp::Announce::leecher(hash, 1)) {
        Reply::Error(reason) => assert!(reason.contains("not allowed"), "{reason}"),
        other => panic!("{other:?}"),
    }
}

/// Gives an order and checks that the answer is as described.
fn done(riptide: &Riptide, operation: &str) -> Value {
    let (status, found) = ask(riptide, operation);
    assert_eq!(status, 200, "{operation}: {found:#}");
    found
}

/// The entries of a list, as programs take them: the first word of each line.
fn entries(riptide: &Riptide, kind: &str) -> Vec<String> {
    let text = printed(&riptide.control(&format!("{kind} list")));
    text.lines().map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_ban_by_control_holds_at_once_and_over_a_restart() {
    let riptide = loopback("").ready();
    let (banned, other) = (client(&riptide, 1), client(&riptide, 129));
    banned.connect();
    let decided = done(&riptide, "PUT /ban/127.0.7.0%2F25");
    assert_eq!(decided, json!({ "entry": "127.0.7.0/25", "changed": true, "warnings": [] }));
    gets_nothing(&riptide, &banned);
    other.connect();
    assert_eq!(done(&riptide, "PUT /ban/127.0.7.0%2F25")["changed"], json!(false), "it holds already");
    let directory = riptide.stop();

    let riptide = loopback("").directory(directory).ready();
    let (banned, other) = (client(&riptide, 1), client(&riptide, 129));
    gets_nothing(&riptide, &banned);
    other.connect();
    let listed = done(&riptide, "GET /ban");
    assert_eq!((&listed["entries"], &listed["in_file"]), (&json!(["127.0.7.0/25"]), &Value::Null));
    // With when and where it was said last, before the restart.
    let when = listed["decided"][0]["when"].as_str().expect("a time");
    let (date, time) = when.strip_suffix('Z').and_then(|when| when.split_once('T')).expect("RFC 3339");
    let lengths = |text: &str, mark| text.split(mark).map(str::len).collect::<Vec<_>>();
    assert_eq!((lengths(date, '-'), lengths(time, ':')), (vec![4, 2, 2], vec![2, 2, 2]), "{when}");
    let node = listed["decided"][0]["node"].as_str().expect("a node");
    assert_eq!(listed["decided"], json!([{ "entry": "127.0.7.0/25", "when": when, "node": node }]));
    assert_eq!(printed(&riptide.control("ban list")), format!("127.0.7.0/25 {when} {node}\n"));
    let decided = done(&riptide, "DELETE /ban/127.0.7.9%2F25");
    assert_eq!((&decided["entry"], &decided["changed"]), (&json!("127.0.7.0/25"), &json!(true)));
    assert!(decided["warnings"][0].as_str().is_some_and(|text| text.contains("host bits")), "{decided}");
    banned.connect();
    assert_eq!(done(&riptide, "DELETE /ban/127.0.7.0%2F25")["changed"], json!(false));
    let riptide = loopback("").directory(riptide.stop()).ready();
    client(&riptide, 1).connect();
}

#[test]
fn a_denied_torrent_is_refused_in_every_mode_and_forgotten() {
    let lists = TempDir::new().expect("a directory");
    let (denied, other) = (id20("denied", 0), id20("denied", 1));
    let file = lists.path().join("hashes");
    for (mode, listed) in [("off", None), ("allow", Some([denied, other])), ("deny", None)] {
        let text: String = listed.iter().flatten().map(|hash| hex(*hash) + "\n").collect();
        fs::write(&file, text).expect("a list");
        let config = format!("[access]\nmode = \"{mode}\"\ninfo_hashes = {:?}\n", file.display().to_string());
        let riptide = loopback(&config).ready();
        let client = client(&riptide, 1);
        for hash in [denied, other] {
            client.announce(&udp::Announce::seeder(hash, 1));
        }
        assert_eq!(
            printed(&riptide.control(&format!("deny add {}", hex(denied)))).lines().next().unwrap(),
            format!("entry: {}", hex(denied))
        );
        is_denied(&client, denied);
        let (status, _) = ask(&riptide, &format!("GET /torrent/{}", hex(denied)));
        assert_eq!(status, 404, "its peers are gone");
        client.announce(&udp::Announce::leecher(other, 2));
        assert_eq!(client.row(other).seeders, 1, "another torrent keeps its peers");

        let riptide = loopback(&config).directory(riptide.stop()).ready();
        let client = self::client(&riptide, 1);
        is_denied(&client, denied);
        // A reload reads the lists anew, and leaves decisions alone.
        assert_eq!(printed(&riptide.control("reload")).lines().next().unwrap(), "taken up: none");
        is_denied(&client, denied);
        assert_eq!(entries(&riptide, "deny"), [hex(denied)], "{mode}");
        done(&riptide, &format!("DELETE /deny/{}", hex(denied)));
        client.announce(&udp::Announce::leecher(denied, 3));
        assert_eq!(printed(&riptide.control("deny list")), "");
    }
}

/// Writes a list, and gives the table that names it.
fn banning(directory: &Path, text: &str) -> String {
    let file = directory.join("networks");
    fs::write(&file, text).expect("a list");
    format!("[access]\ndenied_networks = {:?}\n", file.display().to_string())
}

#[test]
fn a_list_of_networks_is_read_again_and_a_bad_one_changes_nothing() {
    let lists = TempDir::new().expect("a directory");
    let config =
        banning(lists.path(), "\u{feff}# ours\r\n127.0.7.0/30\r\n\r\n127.0.7.0/30\r\n127.0.7.9/29\r\n");
    let riptide = loopback(&config).ready();
    let path = lists.path().join("networks").display().to_string();
    let told = format!("{path}: line 5: host bits are set: taken for 127.0.7.8/29");
    assert!(riptide.lines().iter().any(|line| line.ends_with(&told)), "{}", riptide.log_text());
    let clients = [1, 9, 100].map(|last| client(&riptide, last));
    let [first, second, third] = &clients;
    gets_nothing(&riptide, first);
    gets_nothing(&riptide, second);
    third.connect();

    for (text, says) in [
        ("127.0.7.100\n10.0.0.0/33\n", "line 2: expected a network such as 192.0.2.0/24"),
        ("0.0.0.0/0\n", "line 1: a network of all addresses is refused"),
    ] {
        banning(lists.path(), text);
        let (status, found) = ask(&riptide, "POST /reload");
        assert_eq!(status, 422, "{found:#}");
        let problem = found["problems"][0].as_str().expect("a problem");
        assert!(
            problem.contains("access.denied_networks") && problem.contains(&format!("{path}: {says}")),
            "{problem}"
        );
        gets_nothing(&riptide, first);
        third.connect();
    }
    // What is no file is refused, and nobody waits for it.
    fs::remove_file(&path).expect("to remove it");
    nix::unistd::mkfifo(path.as_str(), nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    let said = complaint(&riptide.control("reload"));
    assert!(said.contains("it is no regular file") && said.contains("not reloaded"), "{said}");
    fs::remove_file(&path).expect("to remove it");
    fs::create_dir(&path).expect("a directory");
    assert!(complaint(&riptide.control("reload")).contains("it is no regular file"));
    fs::remove_dir(&path).expect("to remove it");

    banning(lists.path(), "127.0.7.100 # another\n");
    let found = done(&riptide, "POST /reload");
    assert_eq!(found["denied_networks"], json!(1), "{found:#}");
    first.connect();
    second.connect();
    gets_nothing(&riptide, third);
}

#[test]
fn what_stands_in_a_file_is_taken_out_there() {
    let lists = TempDir::new().expect("a directory");
    let hash = id20("in a file", 0);
    let hashes = lists.path().join("hashes");
    fs::write(&hashes, hex(hash)).expect("a list");
    let config = banning(lists.path(), "127.0.7.0/28\n")
        + &format!("mode = \"deny\"\ninfo_hashes = {:?}\n", hashes.display().to_string());
    let riptide = loopback(&config).ready();
    for (remove, key, file) in [
        ("ban remove 127.0.7.0/28".to_owned(), "access.denied_networks", lists.path().join("networks")),
        (format!("deny remove {}", hex(hash)), "access.info_hashes", hashes.clone()),
    ] {
        let text = fs::read_to_string(&file).unwrap();
        let said = complaint(&riptide.control(&remove));
        assert!(said.contains(key) && said.contains(&file.display().to_string()), "{said}");
        // It may be decided besides; taken back, the file holds still.
        let _ = printed(&riptide.control(&remove.replace("remove", "add")));
        let _ = complaint(&riptide.control(&remove));
        assert_eq!(fs::read_to_string(&file).unwrap(), text, "the operator's files are never written");
    }
    gets_nothing(&riptide, &client(&riptide, 1));
    // A part of a larger one.
    let _ = printed(&riptide.control("ban add 127.0.7.4"));
    let text = printed(&riptide.control("ban remove 127.0.7.4"));
    assert!(text.contains("it is banned all the same, as a part of 127.0.7.0/28"), "{text}");
    assert_eq!(done(&riptide, "GET /ban"), json!({ "entries": [], "decided": [], "in_file": 1 }));
    assert_eq!(done(&riptide, "GET /deny"), json!({ "entries": [], "decided": [], "in_file": 1 }));
}

#[test]
fn what_cannot_be_decided_is_refused_with_a_reason() {
    let riptide = loopback("").control("listen = \"SOCKET\"\nmax_decisions = 2").ready();
    for (operation, status, word) in [
        ("PUT /ban/nonsense", 400, "expected a network"),
        ("PUT /ban/0.0.0.0%2F0", 400, "all addresses"),
        ("PUT /ban/::%2F0", 400, "all addresses"),
        ("DELETE /ban/10.0.0.0%2F33", 400, "expected a network"),
        ("PUT /deny/abc", 400, "40 hexadecimal digits"),
        ("PUT /ban/10.0.0.0%2F8", 200, "10.0.0.0/8"),
        ("PUT /ban/2001:db8::%2F32", 200, "2001:db8::/32"),
        ("PUT /ban/192.0.2.1", 409, "control.max_decisions"),
        ("PUT /ban/10.0.0.0%2F8", 200, "10.0.0.0/8"),
        ("DELETE /ban/10.0.0.0%2F8", 200, "10.0.0.0/8"),
        ("PUT /ban/192.0.2.1", 200, "192.0.2.1/32"),
    ] {
        let (found, value) = ask(&riptide, operation);
        assert_eq!(found, status, "{operation}: {value:#}");
        assert!(value.to_string().contains(word), "{operation}: {value:#}");
    }
    assert_eq!(entries(&riptide, "ban"), ["192.0.2.1/32", "2001:db8::/32"]);
    let json: Value = serde_json::from_str(&printed(&riptide.control("--json ban list"))).expect("JSON");
    assert_eq!(json, done(&riptide, "GET /ban"));
    let said = complaint(&riptide.control("ban add 300.0.0.0/8"));
    assert!(said.contains("expected a network"), "{said}");
}

#[test]
fn a_file_of_decisions_of_version_1_is_read() {
    let riptide = loopback("").ready();
    done(&riptide, "PUT /ban/127.0.7.128%2F25");
    let directory = riptide.stop();
    let file = directory.path().join("state/decisions.riptide");
    fs::write(&file, "riptide decisions 1\nban 127.0.7.0/25\nend 1\n").expect("to write it");
    let riptide = loopback("").directory(directory).ready();
    gets_nothing(&riptide, &client(&riptide, 1));
    let told = done(&riptide, "GET /ban");
    assert_eq!(told["entries"], json!(["127.0.7.0/25"]));
    assert_eq!(told["decided"][0]["when"], Value::Null, "nobody knows");
    // What is decided from here on counts, and is kept as version 2.
    assert_eq!(done(&riptide, "DELETE /ban/127.0.7.0%2F25")["changed"], json!(true));
    let text = fs::read_to_string(&file).expect("decisions");
    assert!(
        text.starts_with("riptide decisions 2\n") && text.contains("\nban 127.0.7.0/25 taken-back 1"),
        "{text}"
    );
    let riptide = loopback("").directory(riptide.stop()).ready();
    client(&riptide, 1).connect();
}

#[test]
fn a_file_of_decisions_that_is_not_right_is_set_aside() {
    let riptide = loopback("").ready();
    done(&riptide, "PUT /ban/127.0.7.0%2F24");
    let directory = riptide.stop();
    let file = directory.path().join("state/decisions.riptide");
    let text = fs::read_to_string(&file).expect("decisions");
    assert!(
        text.starts_with("riptide decisions 2\n") && text.contains("\nban 127.0.7.0/24 holds 1"),
        "{text}"
    );
    fs::write(&file, text.replace("end 1\n", "")).expect("to cut it");
    let riptide = loopback("").directory(directory).ready();
    let says = "decisions.riptide: its end is missing; no decision by control holds";
    assert_eq!(
        riptide.lines().iter().filter(|line| line.contains(says)).count(),
        1,
        "{}",
        riptide.log_text()
    );
    client(&riptide, 1).connect();
    done(&riptide, "PUT /ban/127.0.7.0%2F24");
    let directory = riptide.stop();
    let names: Vec<_> = fs::read_dir(directory.path().join("state"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(names.iter().any(|name| name.starts_with("decisions.riptide.bad-")), "{names:?}");
    let riptide = loopback("").directory(directory).ready();
    gets_nothing(&riptide, &client(&riptide, 1));
}

#[test]
fn config_check_reads_the_list_of_networks() {
    let lists = TempDir::new().expect("a directory");
    let file = lists.path().join("riptide.toml");
    let check = |text: &str| {
        fs::write(&file, banning(lists.path(), text)).expect("a configuration");
        let output = command(&["config", "check", &file.display().to_string()]);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(check("10.0.0.0/8\n"), (Some(0), String::new()));
    let (code, said) = check("10.0.0.1/8\n");
    assert!(code == Some(0) && said.contains("warning") && said.contains("line 1: host bits"), "{said}");
    let (code, said) = check("10.0.0.0/8\nnonsense\n");
    assert!(code == Some(2) && said.contains("access.denied_networks") && said.contains("line 2"), "{said}");
}

/// Three ways to be somebody: at TCP, in a header, in a PROXY header.
#[test]
fn whoever_is_banned_is_told_so_over_http() {
    for door in [Door::Plain, Door::Header, Door::ProxyV2] {
        let house = House::new(door);
        let riptide = house.riptide();
        let (client, other) = (house.client(Family::V4, 1), house.client(Family::V4, 2));
        let hash = id20("banned", 0);
        client.announce(&Announce::leecher(hash, 1));
        let IpAddr::V4(address) = client.address() else { panic!("no IPv4") };
        let _ = printed(&riptide.control(&format!("ban add {address}")));
        // By the connection that it has, which is closed then, and by another.
        for connection in ["kept", "new"] {
            let mut again = client.connect();
            let answers = match connection {
                "kept" => {
                    [client.get(&Announce::leecher(hash, 1).target()), again.get("/scrape?info_hash=x")]
                }
                _ => [again.get(&Announce::leecher(hash, 1).target()), client.connect().get("/scrape")],
            };
            for answer in answers {
                assert!(answer.failure().contains("banned"), "{answer:?}");
                assert_eq!(answer.header("connection"), Some("close"), "{answer:?}");
            }
        }
        let answer = client.connect().get("/stats");
        assert_eq!(answer.status, 403, "{answer:?}");
        other.announce(&Announce::leecher(hash, 2));
        let counted = [("action", "announce"), ("outcome", "banned")];
        assert_eq!(house.metrics().sum("riptide_http_requests_total", &counted), 2.0, "{door:?}");
        let _ = printed(&riptide.control(&format!("ban remove {address}")));
        // Its kept connection is gone.
        let announced = house.client(Family::V4, 1);
        announced.announce(&Announce::leecher(hash, 1));
    }
}

#[test]
fn websockets_of_whoever_is_banned_are_closed_and_refused() {
    for door in [Door::Plain, Door::Header] {
        let house = House::new(door);
        let riptide = house.riptide();
        let (client, other) = (house.client(Family::V4, 1), house.client(Family::V4, 2));
        let hash = id20("banned", 1);
        let (mut socket, mut others) = (client.websocket(), other.websocket());
        let _ = counts(&socket.ask(&announce(hash, id20("webrtc", 1))), hash);
        assert_eq!(counts(&others.ask(&announce(hash, id20("webrtc", 2))), hash).1, 2);
        let _ = printed(&riptide.control(&format!("ban add {}", client.address())));
        assert_eq!(socket.wait_closed(), Some(1008), "for a policy");
        // It has left the torrent, too.
        eventually("its leave", || {
            (counts(&others.ask(&announce(hash, id20("webrtc", 2))), hash).1 == 1).then_some(())
        });
        let Err(answer) = client.try_websocket("") else { panic!("it may connect") };
        assert_eq!(answer.status, 403, "{answer:?}");
        assert_eq!(house.metrics().sum("riptide_ws_closed_connections_total", &[("reason", "banned")]), 1.0);
        // A denied torrent is refused over a connection that stays.
        let _ = printed(&riptide.control(&format!("deny add {}", hex(hash))));
        assert!(failure(&others.ask(&announce(hash, id20("webrtc", 2)))).contains("not allowed"));
        let _ = printed(&riptide.control(&format!("ban remove {}", client.address())));
        client.websocket().close();
    }
}

#[test]
fn decisions_go_over_to_another_process() {
    let mut rig = Rig::new(rig::Path::Loopback);
    let hash = id20("handed over", 0);
    let ours = rig.client(Family::V4, 1);
    for entry in ["ban add 127.0.1.2".to_owned(), format!("deny add {}", hex(hash))] {
        let _ = printed(&rig.riptide().control(&entry));
    }
    for _ in 0..2 {
        rig.hand_over();
        let ours = rig.client(Family::V4, 1);
        is_denied(&ours, hash);
        gets_nothing(rig.riptide(), &rig.client(Family::V4, 2));
        assert_eq!(entries(rig.riptide(), "ban"), ["127.0.1.2/32"]);
    }
    drop(ours);
}

/// One that is made while another process takes over is made by this one or by that one.
#[test]
fn no_decision_is_lost_in_a_hand_over() {
    let mut rig = Rig::new(rig::Path::Loopback);
    let socket = rig.riptide().control_socket().display().to_string();
    let over = Arc::new(AtomicBool::new(false));
    let deciding = std::thread::spawn({
        let over = Arc::clone(&over);
        move || {
            let mut made = Vec::new();
            for n in 0.. {
                let network = format!("10.{}.{}.0/24", n / 256, n % 256);
                let output = command(&["control", "--socket", &socket, "ban", "add", &network]);
                assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
                made.push(network);
                if over.load(Ordering::Relaxed) {
                    return made;
                }
            }
            made
        }
    });
    for _ in 0..3 {
        rig.hand_over();
    }
    over.store(true, Ordering::Relaxed);
    let mut made = deciding.join().expect("whoever decides");
    let mut held = entries(rig.riptide(), "ban");
    made.sort();
    held.sort();
    assert_eq!(held, made);
    // And all are on disk.
    rig.restart();
    assert_eq!(entries(rig.riptide(), "ban").len(), made.len());
}

/// Whatever step it stops at.
#[test]
fn after_a_successor_that_stops_decisions_are_made_here_again() {
    let rig = Rig::new(rig::Path::Loopback);
    for step in 0..200_u8 {
        let mut taker = Taker::ask(&rig.riptide().control_socket());
        if taker.go_to(step.into()).is_none() {
            assert!(step > 3, "some steps");
            break;
        }
        drop(taker);
        // Until it has noticed, the next one would be one too many.
        stays(rig.riptide(), usize::from(step) + 1);
        let network = format!("10.0.0.{step}/32");
        let _ = printed(&rig.riptide().control(&format!("ban add {network}")));
    }
}
