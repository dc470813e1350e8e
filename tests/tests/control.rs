//! The control socket and `riptide control`, as an operator and a program use them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::{
    fs,
    io::{Read as _, Write as _},
    net::Ipv4Addr,
    os::unix::{
        fs::{FileTypeExt as _, PermissionsExt as _},
        net::{UnixListener, UnixStream},
    },
    path::Path,
};
use tests::{
    PATIENCE,
    control::{ask, ask_at, complaint, printed, status},
    eventually,
    openapi::OpenApi,
    riptide::{Riptide, Start, command},
    udp::{Announce, Client, id20},
    web::stream,
};

fn loopback() -> Start<'static> {
    Start::new(None).arguments("--udp 127.0.0.1:0")
}

fn client(riptide: &Riptide) -> Client {
    Client::new(Ipv4Addr::LOCALHOST.into(), riptide.udp()[0])
}

/// A connection that sends nothing yet.
fn connect(socket: &Path) -> UnixStream {
    let stream = UnixStream::connect(socket).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

#[test]
fn only_its_owner_and_group_may_use_the_socket() {
    let riptide = loopback().http("listen = [\"127.0.0.1:0\"]").ready();
    let socket = fs::symlink_metadata(riptide.control_socket()).expect("a socket");
    assert!(socket.file_type().is_socket());
    assert_eq!(socket.permissions().mode() & 0o7777, 0o660);
    let told = format!("control listens on unix:{}", riptide.control_socket().display());
    assert!(riptide.lines().iter().any(|line| line.ends_with(&told)), "{}", riptide.log_text());
    let name = riptide.control_socket();
    let _directory = riptide.stop();
    assert!(!name.exists(), "it goes with the tracker");
}

#[test]
fn status_tells_what_there_is() {
    let riptide = loopback().http("listen = [\"127.0.0.1:0\"]").config("[limits]\npeers = 12345\n").ready();
    let hash = id20("control", 0);
    let client = client(&riptide);
    client.announce(&Announce::leecher(hash, 1));
    client.announce(&Announce::leecher(hash, 2));
    client.announce(&Announce { left: 0, ..Announce::leecher(hash, 3) });
    client.announce(&Announce::leecher(id20("control", 1), 1));
    // A worker may count after it has answered.
    let found = eventually("five requests", || {
        let found = status(&riptide);
        (found["requests"]["udp_socket"].as_u64()? >= 5).then_some(found)
    });
    let address = |addresses: &[std::net::SocketAddr]| addresses[0].to_string();
    for (place, expected) in [
        ("/pid", json!(riptide.pid().as_raw())),
        ("/stage", json!("ready")),
        ("/version", json!(env!("CARGO_PKG_VERSION"))),
        ("/torrents", json!(2)),
        ("/retained_torrents", json!(0)),
        ("/peers/ipv4", json!({ "seeder": 1, "leecher": 3 })),
        ("/peers/ipv6", json!({ "seeder": 0, "leecher": 0 })),
        ("/listeners/udp/0", json!(address(riptide.udp()))),
        ("/listeners/http/0", json!(address(riptide.http()))),
        ("/listeners/https", json!([])),
        ("/listeners/metrics", json!(riptide.metrics_address().to_string())),
        ("/listeners/control", json!(riptide.control_socket())),
        ("/interfaces", json!([])),
        ("/room_peers", json!(12345)),
    ] {
        assert_eq!(found.pointer(place), Some(&expected), "{place} in {found:#}");
    }
    assert!(found["memory"]["resident_bytes"].as_u64().expect("bytes") > 1 << 20);

    // The client shows the same: as it is, and for people.
    let json: Value = serde_json::from_str(&printed(&riptide.control("--json status"))).expect("JSON");
    assert_eq!(json["listeners"], found["listeners"]);
    let text = printed(&riptide.control("status"));
    for line in ["stage: ready", "torrents: 2", "  ipv4: seeder 1, leecher 3", "room peers: 12345"] {
        assert!(text.lines().any(|found| found == line), "no {line:?} in\n{text}");
    }
}

#[test]
fn a_reload_tells_whoever_asked_what_came_of_it() {
    let riptide = loopback().config("[swarm]\ninterval = \"10m\"\ninterval_jitter = 0\n").ready();
    let client = client(&riptide);
    let hash = id20("control reload", 0);
    let file = riptide.directory().path().join("riptide.toml");
    let original = fs::read_to_string(&file).expect("its configuration");

    let changed = original.replace("10m", "20m") + "[udp]\nmax_datagram = 1000\n";
    fs::write(&file, changed).expect("a file");
    let (status, found) = ask(&riptide, "POST /reload");
    assert_eq!(status, 200, "{found:#}");
    assert_eq!(found["taken_up"], json!(["swarm.interval"]));
    assert_eq!(found["needs_restart"], json!(["udp.max_datagram"]));
    assert_eq!((&found["certificate"], &found["listed_torrents"]), (&Value::Null, &Value::Null));
    // At once, not some time later.
    assert_eq!(client.announce(&Announce::seeder(hash, 1)).interval, 1200);
    riptide.wait_for_line("the same in the log", |line| line.contains("udp.max_datagram has changed"));

    fs::write(&file, original.replace("10m", "soon") + "[udp]\nno_such_key = 1\n").expect("a file");
    let (status, found) = ask(&riptide, "POST /reload");
    assert_eq!(status, 422, "{found:#}");
    let problems = found["problems"].as_array().expect("problems");
    assert!(problems.len() == 2 && found.to_string().contains("soon"), "{found:#}");
    let said = complaint(&riptide.control("reload"));
    let lines: Vec<_> = said.lines().collect();
    assert!(lines.len() == 3 && lines[2].contains("not reloaded"), "{said}");
    for part in ["swarm.interval", "soon", "udp.no_such_key"] {
        assert!(said.contains(part), "no {part} in\n{said}");
    }
    assert_eq!(client.announce(&Announce::seeder(hash, 1)).interval, 1200);

    fs::write(&file, original).expect("a file");
    let text = printed(&riptide.control("reload"));
    assert!(text.lines().any(|line| line == "taken up: swarm.interval"), "{text}");
    assert!(text.lines().any(|line| line == "needs restart: none"), "{text}");
    riptide.stop();
}

#[test]
fn a_reload_counts_the_list_that_it_read() {
    let directory = tempfile::tempdir().expect("a directory");
    let list = directory.path().join("hashes");
    fs::write(&list, "").expect("a list");
    let config = format!("[access]\nmode = \"deny\"\ninfo_hashes = {:?}\n", list.display().to_string());
    let riptide = loopback().config(&config).ready();
    fs::write(&list, format!("{}\n{}\n", "a".repeat(40), "b".repeat(40))).expect("a list");
    let (_, found) = ask(&riptide, "POST /reload");
    assert_eq!(found["listed_torrents"], json!(2), "{found:#}");
    fs::write(&list, "not a hash\n").expect("a list");
    let said = complaint(&riptide.control("reload"));
    assert!(said.contains(&list.display().to_string()) && said.contains("not reloaded"), "{said}");
}

#[test]
fn a_socket_that_a_killed_tracker_left_is_replaced() {
    let first = loopback().ready();
    let (directory, socket) = (first.directory(), first.control_socket());
    first.kill();
    assert!(socket.exists(), "a kill leaves it behind");
    let gone = complaint(&command(&["control", "--socket", &socket.display().to_string(), "status"]));
    assert!(gone.contains("has ended and left its socket behind; start it"), "{gone}");
    let second = loopback().directory(directory).ready();
    assert_eq!(status(&second)["pid"], json!(second.pid().as_raw()));
    second.stop();
}

#[test]
fn a_socket_that_another_process_answers_at_is_an_error() {
    let first = loopback().ready();
    let keys = format!("listen = {:?}", first.control_socket().display().to_string());
    let mut second = loopback().control(&keys).spawn();
    assert_eq!(second.wait().code(), Some(1), "{}", second.log_text());
    let last = second.lines().pop().unwrap_or_default();
    assert!(last.contains("another program answers there"), "{last}");
    assert!(last.contains(&first.control_socket().display().to_string()), "{last}");
    assert_eq!(status(&first)["pid"], json!(first.pid().as_raw()), "the first is still there");
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("file");
    fs::write(&file, "mine").expect("a file");
    let mut riptide = loopback().control(&format!("listen = {:?}", file.display().to_string())).spawn();
    assert_eq!(riptide.wait().code(), Some(1), "{}", riptide.log_text());
    assert_eq!(fs::read(&file).expect("the file"), b"mine");
}

#[test]
fn off_is_off() {
    let riptide = loopback().control("listen = \"off\"").ready();
    assert!(!riptide.control_socket().exists());
    assert!(!riptide.log_text().contains("control"), "{}", riptide.log_text());
    let said = complaint(&riptide.control("status"));
    assert!(said.contains("no tracker is at") && said.contains("--socket"), "{said}");
    client(&riptide).connect();
}

/// In a file system of its own, since the built-in path is the machine's.
fn with_run(start: Start<'_>, mounts: &str) -> Riptide {
    let inside = format!("{mounts} && exec \"$@\"");
    start.control("max_connections = 16").through(&["unshare", "--mount", "sh", "-c", &inside, "sh"]).ready()
}

#[test]
fn root_the_built_in_socket_has_its_directory_made() {
    let riptide = with_run(loopback(), "mount -t tmpfs none /run");
    let socket = format!("/proc/{}/root/run/riptide/control.sock", riptide.pid());
    let (status, found) = ask_at(Path::new(&socket), "GET /status", "", b"");
    assert_eq!((status, &found["listeners"]["control"]), (200, &json!("/run/riptide/control.sock")));
    assert_eq!(fs::metadata(&socket).expect("a socket").permissions().mode() & 0o7777, 0o660);
    riptide.stop();
}

#[test]
fn root_the_built_in_socket_is_left_out_where_it_cannot_be_had() {
    let riptide = with_run(loopback(), "mount -t tmpfs -o ro none /run");
    let told: Vec<_> = riptide.lines().into_iter().filter(|line| line.contains("control")).collect();
    let [line] = told.as_slice() else { panic!("one line: {told:?}") };
    assert!(line.contains("INFO") && line.contains("/run/riptide/control.sock"), "{line}");
    assert!(line.contains("is left out"), "{line}");
    client(&riptide).connect();
    riptide.stop();
}

#[test]
fn root_others_are_told_that_they_may_not() {
    let riptide = loopback().ready();
    let socket = riptide.control_socket().display().to_string();
    let as_nobody = std::process::Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .arg(tests::riptide::binary())
        .args(["control", "--socket", &socket, "status"])
        .output()
        .expect("setpriv");
    let said = complaint(&as_nobody);
    assert!(said.contains("may not be used by this user") && said.contains(&socket), "{said}");
}

#[test]
fn every_refusal_is_json_and_says_why() {
    let riptide = loopback().control(&limited(&["max_body_size = \"1KiB\""])).ready();
    let socket = riptide.control_socket();
    let length = |bytes: usize| format!("Content-Length: {bytes}\r\n");
    let long = vec![b'x'; 1025];
    let chunked = [b"401\r\n".as_slice(), &long, b"\r\n0\r\n\r\n"].concat();
    for (operation, headers, body, expected, word) in [
        ("GET /nothing", String::new(), &[][..], 404, "/nothing"),
        ("POST /status", String::new(), &[], 405, "POST"),
        ("GET /reload", String::new(), &[], 405, "GET"),
        ("POST /reload", length(1025), &long, 413, "control.max_body_size"),
        ("POST /reload", length(1 << 40), &[], 413, "control.max_body_size"),
        ("POST /reload", "Transfer-Encoding: chunked\r\n".to_owned(), &chunked, 413, "control.max_body_size"),
        ("POST /reload", length(1024), &long[..1024], 200, "taken_up"),
    ] {
        let (status, found) = ask_at(&socket, operation, &headers, body);
        assert_eq!(status, expected, "{operation}: {found:#}");
        assert!(found.to_string().contains(word), "{operation}: {found:#}");
        if status != 200 {
            let problems = OpenApi::read().problems("GET /status", status, &found);
            assert!(problems.is_empty(), "{problems:#?}");
        }
    }
    // A head that never ends.
    let mut stream = connect(&socket);
    let _ = stream.write_all(&[b"GET / HTTP/1.1\r\nx: ", vec![b'y'; 1 << 20].as_slice()].concat());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.starts_with(b"HTTP/1.1 431 "), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(status(&riptide)["stage"], json!("ready"));
}

/// The harness's socket, with these keys too.
fn limited(keys: &[&str]) -> String {
    format!("listen = \"SOCKET\"\n{}", keys.join("\n"))
}

#[test]
fn who_says_nothing_is_closed_and_makes_room() {
    let riptide = loopback().control(&limited(&["max_connections = 2", "request_timeout = \"1s\""])).ready();
    let socket = riptide.control_socket();
    let mut silent = [connect(&socket), connect(&socket)];
    // A third one waits for one of them to be closed, not for ever.
    assert_eq!(status(&riptide)["stage"], json!("ready"));
    for stream in &mut silent {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    }
    // Nor does a body that never comes keep its place.
    let mut slow = connect(&socket);
    slow.write_all(b"POST /reload HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n").expect("to send");
    let mut answer = Vec::new();
    let _ = slow.read_to_end(&mut answer);
    assert!(answer.starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&answer));
}

#[test]
fn status_is_told_while_the_tracker_drains() {
    let mut riptide = loopback().http("listen = [\"127.0.0.1:0\"]").ready();
    // A request that has only begun keeps the drain waiting.
    let mut open = stream::tcp(Ipv4Addr::LOCALHOST.into(), riptide.http()[0]);
    open.write_all(b"GET /health HT").expect("to send");
    riptide.metrics_until("the connection", |m| m.sum("riptide_http_connections", &[]) == 1.0);
    riptide.signal(Signal::SIGTERM);
    eventually("the stage", || (status(&riptide)["stage"] == json!("draining")).then_some(()));
    let (code, found) = ask(&riptide, "POST /reload");
    assert_eq!(code, 503, "{found:#}");
    assert!(found.to_string().contains("stopping"), "{found:#}");
    open.write_all(b"TP/1.1\r\nHost: x\r\n\r\n").expect("to send");
    assert_eq!(riptide.wait().code(), Some(0), "{}", riptide.log_text());
    assert!(!riptide.control_socket().exists());
}

/// A client that is no tracker's: whoever answers there is named for what it is.
#[test]
fn another_program_at_the_socket_is_told() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("other.sock");
    let other = UnixListener::bind(&path).expect("a socket");
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = other.accept().expect("a client");
        let _ = stream.read(&mut [0; 1024]);
        stream.write_all(b"220 mail.example ESMTP\r\n").expect("to answer");
    });
    let said = complaint(&command(&["control", "--socket", &path.display().to_string(), "status"]));
    assert!(said.contains("the answer is not whole"), "{said}");
    answering.join().expect("the other program");
}

#[test]
fn a_save_is_on_disk_when_it_is_answered() {
    let riptide = loopback().ready();
    assert_eq!(status(&riptide)["saving"]["last_save_age_seconds"], Value::Null);
    let hash = id20("control save", 0);
    client(&riptide).announce(&Announce::leecher(hash, 1));
    client(&riptide).announce(&Announce { left: 0, ..Announce::leecher(hash, 2) });
    let (code, found) = ask(&riptide, "POST /save");
    assert_eq!((code, &found["torrents"], &found["peers"]), (200, &json!(1), &json!(2)), "{found:#}");
    let saving = &status(&riptide)["saving"];
    assert!(saving["last_save_age_seconds"].as_u64().is_some() && saving["failed"] == json!(0), "{saving}");
    assert_eq!(saving["size_bytes"], found["size_bytes"]);
    let directory = riptide.directory();
    let file = directory.path().join("state/swarms.riptide");
    assert_eq!(fs::metadata(&file).expect("a file").len(), found["size_bytes"].as_u64().expect("a size"));
    riptide.kill();
    let riptide = loopback().directory(directory).ready();
    let row = client(&riptide).row(hash);
    assert_eq!((row.seeders, row.leechers), (1, 1));

    // Where it cannot be written, whoever asked is told.
    fs::remove_file(&file).expect("to remove it");
    fs::create_dir_all(file.join("in the way")).expect("a directory");
    let (code, found) = ask(&riptide, "POST /save");
    assert_eq!(code, 500, "{found:#}");
    let said = complaint(&riptide.control("save"));
    assert!(said.contains("swarms.riptide") && said.contains("cannot be written"), "{said}");
    assert_eq!(status(&riptide)["saving"]["failed"], json!(2));
}

#[test]
fn nothing_is_saved_where_that_is_off() {
    let riptide = loopback().environment("RIPTIDE_STATE__SWARMS", "false").ready();
    let (code, found) = ask(&riptide, "POST /save");
    assert_eq!(code, 409, "{found:#}");
    assert!(complaint(&riptide.control("save")).contains("state.swarms"), "{found:#}");
}

/// Those that have no test of their own are found here.
#[test]
fn every_operation_answers_as_described() {
    let riptide = loopback().ready();
    client(&riptide).announce(&Announce::leecher(*b"abcdefghijklmnopqrst", 1));
    for operation in OpenApi::read().operations() {
        let target = match operation.as_str() {
            "GET /status" | "GET /ban" | "GET /deny" | "GET /key" | "POST /reload" | "POST /save" => {
                operation.as_str()
            }
            "PUT /ban/{network}" => "PUT /ban/10.0.0.0%2F8",
            "DELETE /ban/{network}" => "DELETE /ban/2001:db8::1",
            "PUT /key/{key}" => "PUT /key/ABCDEFGH",
            "DELETE /key/{key}" => "DELETE /key/ABCDEFGI",
            "PUT /deny/{info_hash}" => "PUT /deny/ffffffffffffffffffffffffffffffffffffffff",
            "DELETE /deny/{info_hash}" => "DELETE /deny/0000000000000000000000000000000000000000",
            "GET /torrent/{info_hash}" => "GET /torrent/6162636465666768696a6b6c6d6e6f7071727374",
            "GET /export" => continue,
            // They end the process; the tests of hand-overs try them.
            "POST /upgrade" | "POST /take-over" => continue,
            other => panic!("{other} is described, and nobody tries it"),
        };
        let (status, value) = ask(&riptide, target);
        assert_eq!(status, 200, "{operation}: {value:#}");
    }
}
