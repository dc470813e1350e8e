//! `riptide top` as people have it, in a terminal, beside a tracker that comes and goes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    process::Output,
    time::SystemTime,
};
use tests::{
    rig::Family,
    riptide::{Riptide, Start, binary, command},
    terminal::Terminal,
    udp::{Announce, Client, id20},
    web::house::{Door, House},
};

fn metrics_url(riptide: &Riptide) -> String {
    format!("http://{}/metrics", riptide.metrics_address())
}

fn top(columns: u16, rows: u16, url: &str) -> Terminal {
    Terminal::run(columns, rows, &binary(), &["top", "--url", url])
}

/// The number in the row of this label, as it is shown.
fn number<'a>(lines: &'a [String], label: &str) -> Option<&'a str> {
    let row = lines.iter().find(|line| line.split_whitespace().next() == Some(label))?;
    row.split_whitespace().nth(1)
}

/// Whether the row of this label has a rate that is known and is not zero.
fn happens(lines: &[String], label: &str) -> bool {
    number(lines, label).is_some_and(|number| !["0", "-"].contains(&number))
}

fn is_ready(lines: &[String]) -> bool {
    lines[0].contains("riptide 0.1.0  ready")
}

#[test]
fn a_tracker_is_shown_while_it_comes_and_goes() {
    let riptide = Start::new(None).arguments("--udp 127.0.0.1:0").http("listen = [\"127.0.0.1:0\"]").ready();
    let address = riptide.metrics_address();
    let terminal = top(80, 24, &metrics_url(&riptide));
    terminal.wait("a tracker that is ready", is_ready);

    let client = Client::new("127.0.0.1".parse().unwrap(), riptide.udp()[0]);
    let mut port = 1000;
    let mut announces = |lines: &[String], label: &str| {
        port += 1;
        client.announce(&Announce::seeder(id20("top", 0), port));
        happens(lines, label)
    };
    let lines = terminal.wait("announces", |lines| announces(lines, "announce") && happens(lines, "socket"));
    assert!(lines[0].contains(&address.to_string()), "{lines:?}");
    assert_eq!((number(&lines, "kernel"), number(&lines, "dropped")), (Some("0"), Some("0")), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("udp 0")), "{lines:?}");

    terminal.resize(20, 6);
    let lines = terminal.wait("a small screen", |lines| {
        announces(lines, "all");
        lines.len() == 6 && lines[0] == "riptide 0.1.0  ready" && lines[5] == "q quit  ? help"
    });
    assert!(lines[1].starts_with("all ") && lines[3].starts_with("peers "), "{lines:?}");

    riptide.kill();
    terminal.resize(80, 24);
    let lines = terminal.wait("that it is gone", |lines| lines[0].contains("riptide 0.1.0  no answer"));
    assert!(lines[1].starts_with("last reading ") && lines[1].contains("cannot be reached"), "{lines:?}");
    assert_eq!(number(&lines, "all"), Some("-"), "what is not known is no number: {lines:?}");

    let riptide = Start::new(None).arguments("--udp 127.0.0.1:0").metrics_address(address).ready();
    let lines = terminal.wait("that it is back", is_ready);
    assert!(lines.iter().all(|line| !line.contains("cannot be reached")), "{lines:?}");
    // Its counters began anew, which is no rate.
    terminal.wait("rates of the new one", |lines| number(lines, "all") == Some("0"));
    riptide.stop();

    terminal.press("q");
    assert_eq!(terminal.wait_restored(), 0);
}

#[test]
fn keys_pause_sort_explain_and_end() {
    let riptide = Start::new(None).arguments("--udp 127.0.0.1:0").ready();
    let terminal = top(80, 24, &metrics_url(&riptide));
    terminal.wait("a tracker that is ready", is_ready);
    for (key, last) in [
        ("s", "q quit  ? help  p pause  s by total  +/- every 1s"),
        ("+", "q quit  ? help  p pause  s by total  +/- every 2s"),
        ("-", "q quit  ? help  p pause  s by total  +/- every 1s"),
        ("p", "q quit  ? help  p go on  s by total  +/- every 1s"),
    ] {
        terminal.press(key);
        terminal.wait(last, |lines| lines[23] == last);
    }
    let lines = terminal.lines();
    assert!(lines[0].starts_with("riptide 0.1.0  paused"), "{lines:?}");
    terminal.press("Space");
    terminal.wait("that it goes on", is_ready);
    terminal.press("?");
    terminal.wait("help", |lines| lines.iter().any(|line| line.starts_with("xsk       through AF_XDP")));
    // Leaves help alone.
    terminal.press("Escape");
    terminal.wait("swarms", |lines| lines.iter().any(|line| line.contains("seeders leechers")));
    terminal.press("C-c");
    assert_eq!(terminal.wait_restored(), 0);
}

#[test]
fn signals_end_it_as_keys_do() {
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT] {
        // Nobody is there, which is said on the screen.
        let terminal = top(60, 10, "127.0.0.1:1");
        terminal.wait("that nobody answers", |lines| {
            lines[0] == "riptide  no answer  127.0.0.1:1" && lines[1].starts_with("no reading yet: ")
        });
        kill(Pid::from_raw(terminal.program()), signal).unwrap();
        assert_eq!(terminal.wait_restored(), 0, "{signal}");
    }
}

#[test]
fn without_a_terminal_it_says_what_to_do() {
    let output = command(&["top", "--url", "127.0.0.1:1"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    for advice in ["no terminal", "riptide top --once", "curl http://127.0.0.1:1/metrics"] {
        assert!(said.contains(advice), "{said}");
    }
    assert!(output.stdout.is_empty());
}

fn once(url: &str) -> Output {
    command(&["top", "--once", "--url", url])
}

#[test]
fn one_frame_is_printed_as_text() {
    let begun = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    let house = House::with(Door::Plain, "", "[udp]\nworkers = 2\n[limits]\npeers = 8\n");
    let client = house.udp(Family::V4, 1);
    client.announce(&Announce::seeder(id20("once", 0), 1));
    client.announce(&Announce::leecher(id20("once", 0), 2));
    let output = once(&metrics_url(house.riptide()));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    let rows: Vec<_> =
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let has = |part: &str| assert!(rows.iter().any(|row| row.contains(part)), "no {part:?} in\n{text}");
    assert!(rows[0].starts_with("riptide 0.1.0 ready 127.0.0.1:"), "{text}");
    assert!(rows[1].starts_with("no XDP interval 30m pressure 0%"), "{text}");
    for part in ["peers 2 of 8 25%", "ipv4 1 1", "webrtc 0 0", "torrents 1", "udp 0 ", "udp 1 ", "http 0 "] {
        has(part);
    }
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");

    // What it is made of.
    let metrics = house.metrics();
    let value = |name| metrics.sum(name, &[]);
    assert_eq!((value("riptide_ready"), value("riptide_peers_limit")), (1.0, 8.0));
    assert_eq!(value("riptide_pressure_ratio"), 0.0);
    let (used, limit) = (value("process_resident_memory_bytes"), value("riptide_memory_limit_bytes"));
    assert!(used > f64::from(1 << 20) && limit > used, "{used} of {limit}");
    let started = value("process_start_time_seconds");
    assert!(started >= begun - 1.0, "{started}, and the test began at {begun}");
    let workers = metrics.samples.iter().filter(|s| s.name == "riptide_worker_busy_seconds_total");
    assert_eq!(workers.filter(|s| s.labels["serves"] == "udp").count(), 2);
}

/// Something that answers requests so, whatever they are.
fn answering(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}

#[test]
fn what_is_no_tracker_is_told() {
    let page = "HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n<!doctype html>\n";
    let others = "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nnode_load1 1\n";
    for (url, expected, status) in [
        (answering(page).to_string(), "but not with metrics: line 1", 1),
        (answering(others).to_string(), "of something else than Riptide", 1),
        (answering("HTTP/1.1 404 Not Found\r\n\r\n").to_string(), "status 404", 1),
        ("127.0.0.1:1".to_owned(), "cannot be reached", 1),
        ("https://127.0.0.1:1/metrics".to_owned(), "not plain HTTP", 2),
        ("http://".to_owned(), "no address of metrics", 2),
    ] {
        let output = once(&url);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(expected), "{url}: {said}");
        assert_eq!((output.status.code(), said.lines().count()), (Some(status), 1), "{url}: {said}");
    }
    let output = command(&["top", "--every", "5ms"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[test]
fn a_program_that_is_no_tracker_is_told_on_the_screen() {
    let address = answering("HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nnode_load1 1\n");
    let terminal = top(80, 12, &address.to_string());
    let lines = terminal.wait("what is there", |lines| {
        lines.join(" ").contains("has metrics, but of something else than Riptide")
    });
    assert!(lines[1].starts_with("no reading yet: http://127.0.0.1:"), "{lines:?}");
}
