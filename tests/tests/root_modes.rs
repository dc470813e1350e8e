//! Ways to attach the program, and what is said when there is none.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use tests::{
    eventually,
    net::Wire,
    riptide::Start,
    service::{client, connects, native},
    udp::{Announce, id20},
};

#[test]
fn native_that_cannot_be_had_is_an_error() {
    let wire = Wire::new();
    // A bridge has no XDP of its own; a missing one has no driver at all.
    wire.tracker.ip("link add d0 type bridge\naddr add 10.80.0.1/24 dev d0\nlink set d0 up\n");
    for interface in ["d0", "nosuch0"] {
        let mut riptide = Start::new(Some(&wire.tracker))
            .arguments(&format!("--interface {interface} --xdp native --udp 0.0.0.0:6969"))
            .spawn();
        let status = riptide.wait();
        assert_eq!(status.code(), Some(1), "{}", riptide.log_text());
        let last = riptide.lines().pop().unwrap_or_default();
        assert!(last.contains(interface), "the last line names the interface: {}", riptide.log_text());
    }
}

#[test]
fn a_foreign_program_is_named() {
    let mut wire = Wire::new();
    wire.tracker.attach_pass("t0");
    let mut refused =
        Start::new(Some(&wire.tracker)).arguments("--interface t0 --xdp native --udp 0.0.0.0:6969").spawn();
    assert_eq!(refused.wait().code(), Some(1), "{}", refused.log_text());
    let last = refused.lines().pop().unwrap_or_default();
    assert!(last.contains("t0") && last.contains("program"), "{}", refused.log_text());

    let riptide =
        Start::new(Some(&wire.tracker)).arguments("--interface t0 --xdp auto --udp 0.0.0.0:6969").ready();
    let lines: Vec<String> = riptide.lines().into_iter().filter(|line| line.contains("t0")).collect();
    assert!(lines.iter().any(|line| line.contains("program")), "{}", riptide.log_text());
    client(&wire, "10.77.0.1:6969").connect();
    riptide.metrics_until("a connect on a socket", |m| connects(m, "socket") == 1.0);
}

#[test]
fn auto_falls_back_and_says_so() {
    let wire = Wire::new();
    wire.tracker.ip("link add d0 type bridge\nlink set d0 up\n");
    let riptide = Start::new(Some(&wire.tracker))
        .arguments("--interface d0 --interface t0 --xdp auto --udp 0.0.0.0:6969")
        .ready();
    let metrics = riptide.metrics();
    let info = |interface, mode| metrics.sum("riptide_xdp_info", &[("interface", interface), ("mode", mode)]);
    assert_eq!((info("d0", "generic"), info("t0", "native")), (1.0, 1.0), "{}", riptide.log_text());
    let lines: Vec<String> = riptide.lines().into_iter().filter(|line| line.contains("d0")).collect();
    assert!(lines.iter().any(|line| line.contains("generic")), "{}", riptide.log_text());
    client(&wire, "10.77.0.1:6969").connect();
    riptide.stop();
}

#[test]
fn off_is_off() {
    let wire = Wire::new();
    let riptide =
        Start::new(Some(&wire.tracker)).arguments("--interface t0 --xdp off --udp 0.0.0.0:6969").ready();
    client(&wire, "10.77.0.1:6969").connect();
    let metrics = riptide.metrics_until("a connect on a socket", |m| connects(m, "socket") == 1.0);
    assert_eq!(metrics.sum("riptide_xdp_info", &[]), 0.0);
}

#[test]
fn one_worker_does_it_all() {
    let wire = Wire::new();
    let riptide = native(&wire, "--udp 0.0.0.0:6969 --udp [::]:6969 --workers 1");
    for n in 1..=20 {
        for tracker in ["10.77.0.1:6969", "[fd77::1]:6969"] {
            let client = client(&wire, tracker);
            client.announce(&Announce::leecher(id20("one worker", 0), n));
            let rows = client.scrape(&[id20("one worker", 0); 74]);
            assert_eq!(rows[73].leechers, rows[0].leechers);
        }
    }
    riptide.metrics_until("forty announces and forty long scrapes", |m| {
        let count =
            |path, action| m.sum("riptide_udp_responses_total", &[("path", path), ("action", action)]);
        count("xsk", "announce") == 40.0 && count("socket", "scrape") == 40.0
    });
    riptide.stop();
}

/// A socket for each queue, shared among fewer workers.
#[test]
fn every_queue_is_served() {
    const QUEUES: usize = 4;
    let wire = Wire::with_queues(QUEUES);
    let riptide = native(&wire, "--udp 0.0.0.0:6969 --udp [::]:6969 --workers 2");
    let hash = id20("queues", 0);
    for port in 1..=50 {
        for tracker in ["10.77.0.1:6969", "[fd77::1]:6969"] {
            // Each has a source port of its own, which spreads them over the queues.
            let _ = client(&wire, tracker).announce(&Announce::leecher(hash, port));
        }
    }
    let metrics = riptide.metrics_until("a hundred announces", |m| {
        m.sum("riptide_udp_responses_total", &[("path", "xsk"), ("action", "announce")]) == 100.0
    });
    let sockets = metrics.samples.iter().filter(|s| s.name == "riptide_xsk_umem_frames").count();
    assert_eq!(sockets, QUEUES, "{}", metrics.text);
    assert_eq!(metrics.sum("riptide_udp_responses_total", &[("path", "socket")]), 0.0);
    riptide.stop();
}

/// With its rings attached too, nothing spins.
#[test]
fn an_idle_fast_path_takes_under_one_percent_of_a_core() {
    let wire = Wire::new();
    let riptide = native(&wire, "--udp 0.0.0.0:6969");
    client(&wire, "10.77.0.1:6969").announce(&Announce::leecher(id20("idle", 0), 1));
    let before = riptide.processor_time();
    std::thread::sleep(std::time::Duration::from_secs(3));
    let used = riptide.processor_time() - before;
    assert!(used < 30_000_000, "{used} ns in three seconds");
}

/// The smallest rings wrap every few requests, and a batch larger than them must wait its turn.
#[test]
fn small_rings_serve_and_lose_no_frame() {
    let wire = Wire::new();
    let riptide = Start::new(Some(&wire.tracker))
        .arguments("--interface t0 --xdp native --udp 0.0.0.0:6969 --workers 1")
        .config("[xdp]\nring_size = 64\nframes = 128\n[udp]\nbatch = 256\n")
        .ready();
    let client = client(&wire, "10.77.0.1:6969");
    let id = client.connect();
    let hash = id20("small rings", 0);
    for round in 0..100_u32 {
        for n in 0..20 {
            client.send(&Announce::leecher(hash, 1).num_want(0).bytes(id, round * 20 + n));
        }
        for n in 0..20 {
            let _ = client.read(&client.receive(), round * 20 + n);
        }
    }
    riptide.metrics_until("every frame in its place", |m| {
        m.sum("riptide_udp_responses_total", &[("path", "xsk"), ("action", "announce")]) == 2000.0
            && m.sum("riptide_xsk_frames", &[]) == 128.0
    });
    riptide.stop();
}

/// Busy workers fetch frames themselves; for that the interface interrupts them less while they serve, and not for good.
#[test]
fn interrupts_are_put_off_while_it_serves() {
    put_off_while_it_serves("native", "125077");
}

/// The same without XDP, for the interfaces named.
#[test]
fn interrupts_are_put_off_for_sockets_alone() {
    put_off_while_it_serves("off", "200077");
}

fn numbers(wire: &Wire) -> [String; 2] {
    ["napi_defer_hard_irqs", "gro_flush_timeout"].map(|name| {
        let file = format!("/sys/class/net/t0/{name}");
        let output = wire.tracker.command("cat").arg(&file).output().expect("cat");
        assert!(output.status.success(), "{file}");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    })
}

/// The next start knows the numbers of a tracker that was killed for ours, and sets them back in its end.
#[test]
fn what_a_killed_tracker_left_on_an_interface_is_set_back() {
    let wire = Wire::new();
    for mode in ["native", "off"] {
        let start = || {
            Start::new(Some(&wire.tracker))
                .arguments(&format!("--interface t0 --xdp {mode} --udp 0.0.0.0:6969 --workers 1"))
                .ready()
        };
        start().kill();
        assert_eq!(numbers(&wire)[0], "2", "a killed process sets nothing back");
        start().stop();
        assert_eq!(numbers(&wire), ["0", "0"]);
    }
}

fn put_off_while_it_serves(mode: &str, nanoseconds: &str) {
    let wire = Wire::new();
    let numbers = || numbers(&wire);
    assert_eq!(numbers(), ["0", "0"]);
    let riptide = Start::new(Some(&wire.tracker))
        .arguments(&format!("--interface t0 --xdp {mode} --udp 0.0.0.0:6969 --workers 1"))
        .ready();
    assert_eq!(numbers(), ["2", nanoseconds]);
    let client = client(&wire, "10.77.0.1:6969");
    let id = client.connect();
    for round in 0..50_u32 {
        for n in 0..40 {
            client.send(&Announce::leecher(id20("deferred", 0), 1).num_want(0).bytes(id, round * 40 + n));
        }
        for n in 0..40 {
            let _ = client.read(&client.receive(), round * 40 + n);
        }
    }
    riptide.stop();
    assert_eq!(numbers(), ["0", "0"]);
}

/// Without the rights that polling takes later on, nothing is changed for it.
#[test]
fn interrupts_stay_when_told_so() {
    let wire = Wire::new();
    let timeout = || {
        let output =
            wire.tracker.command("cat").arg("/sys/class/net/t0/gro_flush_timeout").output().expect("cat");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    };
    for mode in ["native", "off"] {
        for config in ["[xdp]\nbusy_poll = \"off\"\n", "[privileges]\nuser = \"nobody\"\n"] {
            let riptide = Start::new(Some(&wire.tracker))
                .arguments(&format!("--interface t0 --xdp {mode} --udp 0.0.0.0:6969 --workers 1"))
                .config(config)
                .ready();
            client(&wire, "10.77.0.1:6969").announce(&Announce::leecher(id20("interrupted", 0), 1));
            assert_eq!(timeout(), "0", "{mode}, {config}");
            riptide.stop();
        }
    }
}

/// Asked for, it spins, and serves as ever.
#[test]
fn busy_polling_serves() {
    let wire = Wire::new();
    let riptide = Start::new(Some(&wire.tracker))
        .arguments("--interface t0 --xdp native --udp 0.0.0.0:6969 --workers 1")
        .config("[xdp]\nbusy_poll = \"always\"\n")
        .ready();
    for port in 1..=20 {
        client(&wire, "10.77.0.1:6969").announce(&Announce::leecher(id20("busy", 0), port));
    }
    let before = riptide.processor_time();
    eventually("processor time to be used while idle", || {
        (riptide.processor_time() - before > 100_000_000).then_some(())
    });
    riptide.stop();
}
