//! Start, reload, overload and stop, as an operator sees them; no privilege needed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use nix::{
    sched::{CpuSet, sched_setaffinity},
    sys::signal::Signal,
    unistd::Pid,
};
use std::{
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    os::unix::net::UnixDatagram,
};
use tests::{
    eventually,
    rig::{Family, Path as Way, Rig},
    riptide::{Riptide, Start, command},
    udp::{Announce, Client, Id20, Reply, Row, event, hex, id20},
};

fn loopback() -> Start<'static> {
    Start::new(None).arguments("--udp 127.0.0.1:0")
}

fn client(riptide: &Riptide) -> Client {
    Client::new(Ipv4Addr::LOCALHOST.into(), riptide.udp()[0])
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn is_refused(client: &Client, hash: Id20) -> bool {
    matches!(client.try_announce(&Announce::leecher(hash, 1)), Reply::Error(_))
}

#[test]
fn ready_is_said_once_and_last() {
    let riptide = loopback().ready();
    let lines = riptide.lines();
    let says_ready = |line: &String| line.to_lowercase().contains("ready");
    assert_eq!(lines.iter().filter(|line| says_ready(line)).count(), 1, "{}", riptide.log_text());
    assert_eq!(riptide.udp().len(), 1);
    assert_ne!(riptide.udp()[0].port(), 0);
    assert_ne!(riptide.metrics_address().port(), 0);
    client(&riptide).connect();
}

/// Elsewhere `[::]` often takes IPv4 too.
#[test]
fn a_listener_for_ipv6_alone_says_so() {
    let lacking = |arguments: &str| -> Vec<String> {
        let riptide = Start::new(None).arguments(arguments).ready();
        riptide.lines().into_iter().filter(|line| line.contains("IPv4 has no listener")).collect()
    };
    let lines = lacking("--udp [::]:0 --http [::]:0");
    let [udp, http] = lines.as_slice() else { panic!("two lines: {lines:?}") };
    assert!(udp.contains("udp listens on [::]:") && http.contains("http listens on [::]:"), "{lines:?}");
    assert_eq!(lacking("--udp [::]:0 --udp 127.0.0.1:0 --http [::1]:0"), [""; 0]);
}

#[test]
fn json_lines_are_json() {
    let riptide = loopback().arguments("--log-format json").spawn();
    riptide.wait_for_line("the word ready", |line| line.contains("ready"));
    for line in riptide.lines() {
        assert!(line.starts_with('{') && line.ends_with('}'), "{line}");
    }
}

#[test]
fn sigterm_and_sigint_end_it_well() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut riptide = loopback().ready();
        client(&riptide).connect();
        riptide.signal(signal);
        assert_eq!(riptide.wait().code(), Some(0), "{signal}: {}", riptide.log_text());
        UdpSocket::bind(riptide.udp()[0]).expect("the port to be free again");
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut riptide = loopback().ready();
    // Both are there when it wakes.
    riptide.signal(Signal::SIGSTOP);
    riptide.signal(Signal::SIGTERM);
    riptide.signal(Signal::SIGINT);
    riptide.signal(Signal::SIGCONT);
    riptide.wait();
}

#[test]
fn a_port_in_use_is_exit_status_1_and_named() {
    let taken = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let mut riptide = Start::new(None).arguments(&format!("--udp {address}")).spawn();
    assert_eq!(riptide.wait().code(), Some(1), "{}", riptide.log_text());
    let last = riptide.lines().pop().unwrap_or_default();
    assert!(last.contains(&address), "the last line names the address:\n{}", riptide.log_text());
    assert!(!riptide.log_text().contains("panicked"), "{}", riptide.log_text());
}

#[test]
fn a_metrics_port_in_use_is_exit_status_1_and_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address");
    let mut riptide = loopback().metrics_address(address).spawn();
    assert_eq!(riptide.wait().code(), Some(1), "{}", riptide.log_text());
    assert!(
        riptide.lines().pop().unwrap_or_default().contains(&address.to_string()),
        "{}",
        riptide.log_text()
    );
}

#[test]
fn an_address_of_another_host_is_exit_status_1_and_named() {
    let mut riptide = Start::new(None).arguments("--udp 192.0.2.1:6969").spawn();
    assert_eq!(riptide.wait().code(), Some(1), "{}", riptide.log_text());
    assert!(riptide.lines().pop().unwrap_or_default().contains("192.0.2.1:6969"), "{}", riptide.log_text());
}

#[test]
fn every_configuration_error_is_told() {
    let wrong = "[udp]\nlisten = [\"nowhere\"]\nmax_datagram = 1\n[swarm]\ninterval = \"soon\"\n\
                 [limits]\nno_such_key = 1\n[no_such_table]\nkey = 1\n";
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("wrong.toml");
    std::fs::write(&file, wrong).expect("a file");
    let output = command(&["config", "check", &file.display().to_string()]);
    let said = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    let mut riptide = Start::new(None).config(wrong).spawn();
    assert_eq!(riptide.wait().code(), Some(2), "{}", riptide.log_text());
    for said in [said, riptide.log_text()] {
        for key in ["listen", "nowhere", "max_datagram", "interval", "soon", "no_such_key", "no_such_table"] {
            assert!(said.contains(key), "{key} is not named in\n{said}");
        }
    }
}

#[test]
fn wrong_usage_is_exit_status_2() {
    let wrong: [&[&str]; 7] = [
        &[],
        &["fly"],
        &["run", "--no-such-flag"],
        &["run", "--udp", "nowhere"],
        &["run", "--xdp", "fast"],
        &["run", "--config", "/no/such/file.toml"],
        &["config", "check", "/no/such/file.toml"],
    ];
    for arguments in wrong {
        let output = command(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output.stderr));
        assert!(!text(&output.stderr).contains("panicked"), "{}", text(&output.stderr));
    }
}

#[test]
fn the_default_file_is_valid_and_complete() {
    let output = command(&["config", "default"]);
    assert_eq!(output.status.code(), Some(0));
    let default = text(&output.stdout);
    for table in ["udp", "xdp", "swarm", "access", "limits", "state", "metrics", "privileges", "log"] {
        assert!(default.contains(&format!("\n[{table}]\n")), "no [{table}] in\n{default}");
    }
    assert!(default.contains("# "), "no comments");
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("default.toml");
    std::fs::write(&file, &default).expect("a file");
    let check = command(&["config", "check", &file.display().to_string()]);
    assert_eq!(check.status.code(), Some(0), "{}{}", text(&check.stdout), text(&check.stderr));
}

#[test]
fn flags_go_before_the_environment_and_that_before_the_file() {
    let file = "[swarm]\ninterval = \"10m\"\ninterval_jitter = 0\ndefault_num_want = 1\n[udp]\nlisten = [\"127.0.0.1:1\"]\n";
    let riptide = loopback()
        .config(file)
        .environment("RIPTIDE_SWARM__INTERVAL", "20m")
        .environment("RIPTIDE_UDP__LISTEN", "127.0.0.1:2")
        .environment("RIPTIDE_NO_SUCH_KEY", "1")
        .ready();
    assert!(riptide.udp()[0].port() > 2);
    let hash = id20("layers", 0);
    for port in 1..=3 {
        assert_eq!(client(&riptide).announce(&Announce::seeder(hash, port)).interval, 20 * 60);
    }
    assert_eq!(client(&riptide).announce(&Announce::leecher(hash, 4)).peers.len(), 1);
    let line = riptide.wait_for_line("a warning", |line| line.contains("RIPTIDE_NO_SUCH_KEY"));
    assert!(line.contains("WARN"), "{line}");
}

/// A list in a directory of its own, and a tracker that uses it.
fn with_list(mode: &str, list: &str) -> (tempfile::TempDir, std::path::PathBuf, Riptide) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("hashes");
    std::fs::write(&file, list).expect("a list");
    let config = format!("[access]\nmode = \"{mode}\"\ninfo_hashes = {:?}\n", file.display().to_string());
    let riptide = loopback().config(&config).ready();
    (directory, file, riptide)
}

#[test]
fn an_allow_list_allows_nothing_else() {
    let [listed, other] = [id20("listed", 0), id20("other", 0)];
    let (_directory, _file, riptide) =
        with_list("allow", &format!("# served\n\n{}  # with a comment\n", hex(listed).to_uppercase()));
    let client = client(&riptide);
    assert!(!is_refused(&client, listed));
    assert!(is_refused(&client, other));
    assert_eq!(client.scrape(&[other, listed]), [Row::default(), Row { leechers: 1, ..Row::default() }]);
}

#[test]
fn a_reload_swaps_the_list_and_denied_torrents_disappear_at_once() {
    let [one, two] = [id20("one", 0), id20("two", 0)];
    let (_directory, file, riptide) = with_list("deny", &hex(one));
    let client = client(&riptide);
    assert!(is_refused(&client, one));
    assert!(!is_refused(&client, two));
    assert_eq!(client.row(two).leechers, 1);
    std::fs::write(&file, hex(two)).expect("a list");
    riptide.signal(Signal::SIGHUP);
    eventually("the other torrent to be refused", || is_refused(&client, two).then_some(()));
    assert!(!is_refused(&client, one));
    assert_eq!(client.row(two), Row::default(), "its peers are gone from the counts");
    riptide.metrics_until("one torrent", |m| m.sum("riptide_torrents", &[]) == 1.0);
    // Allowed again, it is empty.
    std::fs::write(&file, "").expect("a list");
    riptide.signal(Signal::SIGHUP);
    eventually("both torrents to be served", || (!is_refused(&client, two)).then_some(()));
    assert_eq!(client.row(two).leechers, 1);
}

#[test]
fn a_bad_line_is_named_and_the_old_list_stays() {
    let [one, two] = [id20("one", 0), id20("two", 0)];
    let (_directory, file, riptide) = with_list("deny", &hex(one));
    let client = client(&riptide);
    let name = file.display().to_string();
    for (bad, place) in [("# fine\n\nnot a hash\n", "3"), (&*format!("{}\n{}0\n", hex(two), hex(two)), "2")] {
        std::fs::write(&file, bad).expect("a list");
        let before = riptide.lines().len();
        riptide.signal(Signal::SIGHUP);
        let line = eventually("the bad line to be named", || {
            riptide.lines().into_iter().skip(before).find(|line| line.contains(&name))
        });
        let rest = line.replace(&name, "");
        assert!(rest.contains(place), "line {place} is not named in {line}");
        assert!(is_refused(&client, one));
        assert!(!is_refused(&client, two));
    }
    std::fs::remove_file(&file).expect("to remove the list");
    let before = riptide.lines().len();
    riptide.signal(Signal::SIGHUP);
    eventually("the missing file to be named", || {
        riptide.lines().into_iter().skip(before).find(|line| line.contains(&name))
    });
    assert!(is_refused(&client, one));
    riptide.stop();
}

#[test]
fn a_reload_takes_policy_and_names_what_needs_a_restart() {
    let riptide = loopback().config("[swarm]\ninterval = \"10m\"\ninterval_jitter = 0\n").ready();
    let client = client(&riptide);
    let hash = id20("reload", 0);
    assert_eq!(client.announce(&Announce::seeder(hash, 1)).interval, 600);
    let file = riptide.directory().path().join("riptide.toml");
    let original = std::fs::read_to_string(&file).expect("its configuration");
    std::fs::write(&file, original.replace("10m", "20m") + "[udp]\nmax_datagram = 1000\n").expect("a file");
    riptide.signal(Signal::SIGHUP);
    eventually("the new interval", || {
        (client.announce(&Announce::seeder(hash, 1)).interval == 1200).then_some(())
    });
    riptide.wait_for_line("which key needs a restart", |line| line.contains("max_datagram"));
    // A mistake changes nothing.
    std::fs::write(&file, original.replace("10m", "soon")).expect("a file");
    riptide.signal(Signal::SIGHUP);
    riptide.wait_for_line("what is wrong", |line| line.contains("soon"));
    assert_eq!(client.announce(&Announce::seeder(hash, 1)).interval, 1200);
    riptide.stop();
}

#[test]
fn a_bad_list_at_the_start_is_an_error() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("hashes");
    std::fs::write(&file, "not a hash\n").expect("a list");
    let config = format!("[access]\nmode = \"allow\"\ninfo_hashes = {:?}\n", file.display().to_string());
    let mut riptide = loopback().config(&config).spawn();
    assert!(matches!(riptide.wait().code(), Some(1 | 2)), "{}", riptide.log_text());
    assert!(riptide.log_text().contains(&file.display().to_string()), "{}", riptide.log_text());
}

/// More than it can take while it takes nothing: it counts what was lost and answers as before.
#[test]
fn overload_is_counted_and_passes() {
    let riptide = loopback().config("[udp]\nreceive_buffer = \"64KiB\"\n").ready();
    let flooding = client(&riptide);
    let id = flooding.connect();
    riptide.signal(Signal::SIGSTOP);
    for n in 0..20_000 {
        flooding.send(&Announce::leecher(id20("overload", n % 16), 1).bytes(id, n));
    }
    riptide.signal(Signal::SIGCONT);
    let client = client(&riptide);
    let mut connects = 0;
    eventually("an answer as usual", || {
        client.send(&tests::udp::connect_bytes(client.transaction()));
        connects += 1;
        std::thread::sleep(std::time::Duration::from_millis(10));
        (!client.take_arrived().is_empty()).then_some(())
    });
    for port in 1..=100 {
        client.announce(&Announce::leecher(id20("after", 0), port));
    }
    // Everything is accounted for: served, or lost for want of a buffer, as the first connects after it may be too.
    let metrics = riptide.metrics_until("20,100 announces served or lost", |m| {
        let accounted = m.sum("riptide_udp_requests_total", &[("action", "announce")])
            + m.sum("riptide_udp_dropped_total", &[]);
        (20_100.0..=20_100.0 + f64::from(connects)).contains(&accounted)
    });
    let lost = metrics.sum("riptide_udp_dropped_total", &[("path", "socket")]);
    assert!(lost > 0.0, "the burst fitted into the buffer:\n{}", metrics.text);
    riptide.stop();
}

/// It works, but hardly as meant.
#[test]
fn a_timeout_shorter_than_the_interval_is_a_warning() {
    let riptide = loopback().config("[swarm]\ninterval = \"10m\"\npeer_timeout = \"5m\"\n").ready();
    riptide.wait_for_line("a warning", |line| line.contains("WARN") && line.contains("peer_timeout"));
}

/// Without a place for its state it says so once and runs on.
#[test]
fn an_unusable_state_directory_is_one_warning() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("a file");
    std::fs::write(&file, "in the way").expect("a file");
    let riptide = loopback()
        .environment("RIPTIDE_STATE__DIRECTORY", &file.display().to_string())
        .environment("RIPTIDE_STATE__SAVE_INTERVAL", "1s")
        .ready();
    riptide.metrics_until("a save that failed", |m| {
        m.sum("riptide_state_saves_total", &[("outcome", "error")]) >= 1.0
    });
    let told =
        riptide.lines().into_iter().filter(|line| line.contains("a file") && line.contains("WARN")).count();
    assert_eq!(told, 1, "{}", riptide.log_text());
    client(&riptide).connect();
    riptide.stop();
}

#[test]
fn limits_hold() {
    let riptide =
        loopback().config("[limits]\ntorrents = 2\npeers_per_torrent = 3\npeers_per_address = 2\n").ready();
    let near = client(&riptide);
    let far = Client::new(Ipv4Addr::new(127, 0, 0, 2).into(), riptide.udp()[0]);
    let hash = id20("limits", 0);
    for port in 1..=3 {
        near.announce(&Announce::leecher(hash, port));
    }
    assert_eq!(near.row(hash).leechers, 2, "two from one address");
    for port in 1..=2 {
        far.announce(&Announce::leecher(hash, port));
    }
    assert_eq!(near.row(hash).leechers, 3, "three in one torrent");
    // Who is in stays in, and may leave.
    assert_eq!(near.announce(&Announce::leecher(hash, 1)).leechers, 3);
    near.announce(&Announce::leecher(hash, 1).event(event::STOPPED));
    far.announce(&Announce::leecher(hash, 2));
    assert_eq!(near.row(hash).leechers, 3);
    near.announce(&Announce::leecher(id20("limits", 1), 1));
    let third = near.try_announce(&Announce::leecher(id20("limits", 2), 1));
    assert!(matches!(third, Reply::Error(_)), "a torrent too many: {third:?}");
    let metrics = riptide.metrics_until("two torrents", |m| m.sum("riptide_torrents", &[]) == 2.0);
    for (reason, announces) in
        [("address_full", 1.0), ("torrent_full", 1.0), ("torrents", 1.0), ("memory", 0.0)]
    {
        let refused = metrics.sum("riptide_peers_refused_total", &[("reason", reason)]);
        assert_eq!(refused, announces, "{reason}:\n{}", metrics.text);
    }
}

#[test]
fn the_ip_field_counts_for_trusted_networks() {
    // The name of today, and that of old.
    for config in
        ["[swarm]\ntrust_ip_networks = [\"127.0.0.1/32\"]\n", "[udp]\ntrust_ip_field = [\"127.0.0.1/32\"]\n"]
    {
        let riptide = loopback().config(config).ready();
        let hash = id20("trusted", 0);
        let trusted = client(&riptide);
        trusted.announce(&Announce { ip: [192, 0, 2, 7], ..Announce::leecher(hash, 1) });
        let other = Client::new(Ipv4Addr::new(127, 0, 0, 2).into(), riptide.udp()[0]);
        other.announce(&Announce { ip: [192, 0, 2, 8], ..Announce::leecher(hash, 2) });
        let mut listed = trusted.announce(&Announce::leecher(hash, 3)).peers;
        listed.sort_unstable();
        let expected: Vec<SocketAddr> =
            ["127.0.0.2:2", "192.0.2.7:1"].iter().map(|text| text.parse().expect("an address")).collect();
        assert_eq!(listed, expected, "{config}");
    }
}

/// Nothing spins: what is measured is the processor's time, not the clock's.
#[test]
fn an_idle_tracker_takes_under_one_percent_of_a_core() {
    let rig = Rig::new(Way::Loopback);
    rig.client(Family::V4, 1).connect();
    let before = rig.riptide().processor_time();
    std::thread::sleep(std::time::Duration::from_secs(3));
    let used = rig.riptide().processor_time() - before;
    assert!(used < 30_000_000, "{used} ns in three seconds");
}

/// Whoever gives it one processor gets one worker, and no thread elsewhere.
#[test]
fn workers_stay_inside_the_processors_they_are_given() {
    let count = std::thread::scope(|scope| {
        let started = scope.spawn(|| {
            let mut one = CpuSet::new();
            one.set(0).expect("a processor");
            // The child inherits what this thread may use.
            sched_setaffinity(Pid::from_raw(0), &one).expect("fewer processors");
            loopback().ready()
        });
        let riptide = started.join().expect("a start");
        let allowed = |text: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
                .map(|list| list.trim().to_owned())
        };
        for list in riptide.threads("status", allowed) {
            assert_eq!(list, "0");
        }
        client(&riptide).connect();
        riptide.threads("comm", |name| Some(name.contains("udp"))).into_iter().filter(|udp| *udp).count()
    });
    assert_eq!(count, 1, "UDP workers");
}

#[test]
fn systemd_is_told_when_it_is_ready() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(tests::PATIENCE)).expect("a timeout");
    let _riptide = loopback().environment("NOTIFY_SOCKET", &path.display().to_string()).ready();
    let mut buffer = [0; 256];
    let length = socket.recv(&mut buffer).expect("a notification");
    assert!(text(&buffer[..length]).lines().any(|line| line == "READY=1"));
}
