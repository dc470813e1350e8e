//! The program itself: exit statuses, what goes where, the JSON file, Ctrl-C.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs,
    net::{SocketAddr, UdpSocket},
    process::{Command, Output, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

fn load(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_riptide-load"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = load(arguments).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// Answers connects, and announces with this many peers on the same address and port; tells of the `tell`th request.
fn tracker(peers: usize, tell: u64) -> (SocketAddr, mpsc::Receiver<()>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let (send, told) = mpsc::channel();
    // It lives as long as the test process.
    thread::spawn(move || {
        let (mut buffer, mut count) = ([0; 2048], 0);
        while let Ok((len, from)) = socket.recv_from(&mut buffer) {
            let mut reply = vec![0, 0, 0, buffer[11]];
            reply.extend(&buffer[12..16]);
            match buffer[11] {
                0 => reply.extend(*b"8bytesID"),
                1 => {
                    reply.extend([0, 0, 7, 8, 0, 0, 0, 9, 0, 0, 0, 9]);
                    // The first announce, before the load, is answered rightly.
                    let repeats = if count < 2 { 1 } else { peers };
                    reply.extend([10, 0, 0, 1, 0x1a, 0xe1].repeat(repeats));
                }
                _ => reply.extend([0; 12].repeat((len - 16) / 20)),
            }
            let _ = socket.send_to(&reply, from);
            count += 1;
            if count == tell {
                let _ = send.send(());
            }
        }
    });
    (address, told)
}

#[test]
fn a_good_run_is_status_0_with_a_table_and_json() {
    let (address, _) = tracker(1, 0);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("figures.json");
    let target = address.to_string();
    let (status, out, err) = run(&[
        "udp",
        "--target",
        &target,
        "--rate",
        "200",
        "--duration",
        "500ms",
        "--warmup",
        "0s",
        "--watch-cpu",
        "0",
        "--windows",
        "200ms",
        "--json",
        file.to_str().unwrap(),
    ]);
    assert_eq!((status, err.as_str()), (Some(0), ""), "{out}");
    for row in [
        "processor busy",
        "offered",
        "sent",
        "answered",
        "unanswered",
        "wrong replies",
        "latency",
        "p99.9",
        "bytes",
    ] {
        assert!(out.contains(row), "{row} in {out}");
    }
    let json: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(json["setup"]["target"], target.as_str());
    assert_eq!(json["wrong_in_all"], 0);
    assert!(json["answered"].as_u64().unwrap() > 0);
    assert!(json["cpu_seconds"].as_f64().unwrap() >= 0.0);
    let windows = json["windows"].as_array().unwrap();
    let starts: Vec<_> = windows.iter().map(|window| window["seconds"].as_f64().unwrap()).collect();
    assert_eq!(starts, [0.0, 0.2, 0.4]);
    for name in ["sent", "answered"] {
        let sum: u64 = windows.iter().map(|window| window[name].as_u64().unwrap()).sum();
        assert_eq!(json[name], sum, "{name}");
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "no part is left");
}

#[test]
fn wrong_replies_are_status_1() {
    let (address, _) = tracker(2, 0);
    let target = address.to_string();
    let (status, out, err) =
        run(&["udp", "--target", &target, "--rate", "200", "--duration", "500ms", "--warmup", "0s"]);
    assert_eq!(status, Some(1), "{out}{err}");
    assert!(out.contains("repeated_peer") && err.contains("replies were wrong"), "{out}{err}");
}

#[test]
fn ctrl_c_ends_with_the_figures_so_far() {
    let (address, told) = tracker(1, 20);
    let target = address.to_string();
    let child = load(&["udp", "--target", &target, "--rate", "100", "--duration", "1h", "--warmup", "0s"])
        .spawn()
        .unwrap();
    told.recv_timeout(Duration::from_secs(30)).unwrap();
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
    let Output { status, stdout, .. } = child.wait_with_output().unwrap();
    let out = String::from_utf8(stdout).unwrap();
    assert_eq!(status.code(), Some(0), "{out}");
    assert!(out.contains("stopped") && out.contains("answered"), "{out}");
}

#[test]
fn what_cannot_be_is_one_line_and_a_status() {
    for (arguments, status, part) in [
        (&["udp", "--target", "127.0.0.1:1"][..], 2, "--rate"),
        (&["udp", "--target", "127.0.0.1", "--search"], 2, "port is missing"),
        (&["udp", "--target", "http://127.0.0.1:1", "--search"], 2, "scheme"),
        (&["udp", "--target", "[::1]:1", "--rate", "1", "--sources", "10.0.0.0/30"], 2, "families"),
        (
            &["udp", "--target", "127.0.0.1:1", "--search", "--search-from", "9", "--search-to", "5"],
            2,
            "above",
        ),
        (&["udp", "--target", "127.0.0.1:1", "--rate", "1", "--json", "/no/such/place"], 2, "/no/such/place"),
        (
            &["udp", "--target", "127.0.0.1:1", "--rate", "1", "--watch-cpu", "4096"],
            2,
            "no such processor online",
        ),
        (
            &[
                "udp",
                "--target",
                "127.0.0.1:1",
                "--rate",
                "1",
                "--windows",
                "1ms",
                "--json",
                "/no/such/place",
            ],
            2,
            "a longer time",
        ),
        (&["ws", "--target", "127.0.0.1:1", "--rate", "1"], 2, "not for ws"),
        (&["http", "--target", "https://127.0.0.1:1", "--ca", "/dev/null"], 2, "--insecure"),
        (&["udp", "--target", "255.255.255.255:1", "--rate", "1"], 1, "unreachable"),
    ] {
        let (code, out, err) = run(arguments);
        assert_eq!((code, out.as_str()), (Some(status), ""), "{arguments:?}: {err}");
        assert!(err.starts_with("riptide-load: ") && err.lines().count() == 1, "{arguments:?}: {err}");
        assert!(err.contains(part), "{arguments:?}: {err}");
    }
}

#[test]
fn hashes_are_printed() {
    let (status, out, _) = run(&["hashes", "--torrents", "3"]);
    assert_eq!(status, Some(0));
    assert_eq!(out.lines().count(), 3);
    assert!(
        out.lines().all(|line| line.len() == 40 && line.bytes().all(|byte| byte.is_ascii_hexdigit())),
        "{out}"
    );
}

#[test]
fn the_page_describes_all_that_is_written() {
    let page = include_str!("../../docs/load.md");
    let (address, _) = tracker(1, 0);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("figures.json");
    let target = address.to_string();
    let span = ["--duration", "100ms", "--warmup", "0s", "--search-from", "50", "--search-to", "50"];
    let json = ["--search", "--windows", "50ms", "--json", file.to_str().unwrap()];
    let (_, out, err) = run(&[&["udp", "--target", &target][..], &span, &json].concat());
    assert!(err.contains("offered 50/s: "), "a line for each probe: {out}{err}");
    let json: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let mut names: Vec<String> = json.as_object().unwrap().keys().cloned().collect();
    for part in [
        &json["search"],
        &json["search"]["probes"][0],
        &json["latency_seconds"],
        &json["windows"][0],
        &json["wrong"],
        &json["setup"],
    ] {
        names.extend(part.as_object().unwrap().keys().cloned());
    }
    for name in names {
        assert!(page.contains(&format!("`{name}`")), "{name} is missing in docs/load.md");
    }
    for command in ["udp", "http", "ws", "hashes"] {
        let (status, help, _) = run(&[command, "--help"]);
        assert_eq!(status, Some(0));
        for flag in help.split_whitespace().filter(|word| word.starts_with("--") && word.len() > 2) {
            let flag = flag.trim_end_matches([',', '.', ';', ':']);
            assert!(page.contains(&format!("`{flag}")), "{flag} of {command} is missing in docs/load.md");
        }
    }
}
