//! Listeners, configuration, drain and statistics of the TCP doors, as an operator sees them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use nix::sys::signal::Signal;
use std::net::TcpListener;
use tests::{
    rig::Family,
    riptide::{Start, command},
    udp::{hex, id20},
    web::{
        house::{Door, House},
        http::{Announce, Announced},
        stream::try_tcp,
        websocket::{announce, counts, failure},
    },
};

#[test]
fn a_drain_finishes_what_is_in_hand() {
    for door in [Door::Plain, Door::Tls, Door::Unix] {
        let mut house = House::new(door);
        let client = house.client(Family::V4, 1);
        let mut idle = client.connect();
        assert_eq!(idle.get("/health").status, 200);
        let mut silent = client.connect();
        let mut sockets = [client.websocket(), client.websocket()];
        for (n, socket) in (0..).zip(&mut sockets) {
            let _ = socket.ask(&announce(id20("drain", 0), id20("webrtc", n)));
        }
        // All but the end of a request.
        let mut busy = client.connect();
        let target = Announce::leecher(id20("drain", 1), 1).target();
        let request = busy.request("GET", &target, "");
        let (most, rest) = request.split_at(request.len() - 2);
        busy.send(most);
        // The same on a connection that has been of use before.
        let mut kept = client.connect();
        assert_eq!(Announced::read(&kept.get(&target)).incomplete, 1);
        kept.send(most);
        let mut asking = client.connect();
        let health = asking.request("GET", "/health", "");
        asking.send(&health[..health.len() - 2]);
        // What was sent has arrived: it is read before anything that comes later.
        for _ in 0..20 {
            assert_eq!(idle.get("/health").status, 200);
        }

        house.riptide().signal(Signal::SIGTERM);
        for socket in &mut sockets {
            assert_eq!(socket.wait_closed(), Some(1001), "{door:?}");
        }
        // A kept connection is not given long.
        for connection in [&mut kept, &mut busy] {
            connection.send(rest);
            assert_eq!(Announced::read(&connection.receive()).incomplete, 1, "{door:?}");
            connection.wait_closed();
        }
        assert_eq!(idle.wait_closed(), 0);
        silent.wait_closed();
        asking.send(&health[health.len() - 2..]);
        let answer = asking.receive();
        assert_eq!((answer.status, answer.text().as_str()), (503, "draining\n"), "{door:?}");
        asking.wait_closed();
        drop((busy, kept, idle, silent, asking, client));
        assert_eq!(house.riptide_mut().wait().code(), Some(0), "{}", house.riptide().log_text());
        if door != Door::Unix {
            let _free = TcpListener::bind(house.address(Family::V4)).expect("the port to be free again");
        }
    }
}

/// Connections that neither ask nor leave do not keep it.
#[test]
fn a_drain_ends_in_time_whatever_clients_do() {
    let mut house = House::new(Door::Plain);
    let client = house.client(Family::V4, 1);
    let mut half = client.connect();
    half.send(b"GET /announce HTTP/1.1\r\n");
    // It says nothing more, not even to the closing handshake.
    let _socket = client.websocket();
    let mut idle = client.connect();
    assert_eq!(idle.get("/health").status, 200);
    house.riptide().signal(Signal::SIGTERM);
    house.riptide().wait_for_line("that it stops", |line| line.contains("stopping"));
    assert_eq!(house.riptide_mut().wait().code(), Some(0), "{}", house.riptide().log_text());
}

#[test]
fn new_connections_are_refused_while_it_drains() {
    let mut house = House::new(Door::Plain);
    let client = house.client(Family::V4, 1);
    let mut half = client.connect();
    assert_eq!(half.get("/health").status, 200);
    half.send(b"GET /announce HTTP/1.1\r\n");
    house.riptide().signal(Signal::SIGTERM);
    tests::eventually("no more to be accepted", || {
        try_tcp(client.address(), house.address(Family::V4)).is_err().then_some(())
    });
    drop(half);
    drop(client);
    assert_eq!(house.riptide_mut().wait().code(), Some(0), "{}", house.riptide().log_text());
}

#[test]
fn statistics_can_be_turned_off() {
    let house = House::with(Door::Plain, "stats = false", "");
    let client = house.client(Family::V4, 1);
    for path in ["/stats", "/stats.json", "/stats/", "/stats/events"] {
        assert_eq!(client.get(path).status, 404, "{path}");
    }
    assert!(!client.get("/").text().contains("stats"));
    assert_eq!(client.get("/health").status, 200);
}

/// The same numbers as in the metrics.
#[test]
fn statistics_tell_what_was_counted() {
    let house = House::every("", "");
    let client = house.client(Family::V4, 1);
    for port in 1..=3 {
        client.announce(&Announce::seeder(id20("counted", 0), port));
        house.client(Family::V6, 1).announce(&Announce::leecher(id20("counted", 1), port));
    }
    let udp = house.udp(Family::V4, 1);
    udp.announce(&tests::udp::Announce::leecher(id20("counted", 2), 1));
    let mut socket = client.websocket();
    let _ = socket.ask(&announce(id20("counted", 2), id20("webrtc", 0)));
    // Collected at most once a second.
    let value = tests::eventually("the numbers", || {
        let value: serde_json::Value = serde_json::from_slice(&client.get("/stats.json").body).expect("JSON");
        (value["torrents"] == 3 && value["connections"]["websocket"] == 1).then_some(value)
    });
    let peers = serde_json::json!({
        "ipv4": {"seeder": 3, "leecher": 1},
        "ipv6": {"seeder": 0, "leecher": 3},
        "webrtc": {"seeder": 0, "leecher": 1},
    });
    assert_eq!(value["peers"], peers, "{value}");
    let page = client.get("/stats").text();
    assert!(page.contains("WebRTC") || page.to_lowercase().contains("webrtc"), "{page}");
    assert!(page.contains(value["version"].as_str().expect("a version")), "{page}");
}

/// Some requests are timed, and how long they took is told by protocol.
#[test]
fn durations_are_sampled() {
    let house = House::new(Door::Plain);
    let client = house.client(Family::V4, 1);
    for port in 1..=500 {
        client.announce(&Announce::leecher(id20("timed", 0), port));
    }
    let labels = [("protocol", "http"), ("action", "announce")];
    house
        .riptide()
        .metrics_until("requests timed", |m| m.sum("riptide_request_duration_seconds_count", &labels) > 0.0);
}

#[test]
fn a_reload_holds_at_every_door() {
    let list = tempfile::NamedTempFile::new().expect("a file");
    let [one, two] = ["one", "two"].map(|name| id20(name, 0));
    let tables =
        format!("[access]\nmode = \"deny\"\ninfo_hashes = {:?}\n", list.path().display().to_string());
    let house = House::every("", &tables);
    let client = house.client(Family::V4, 1);
    let mut socket = client.websocket();
    for hash in [one, two] {
        client.announce(&Announce::leecher(hash, 1));
        let _ = socket.ask(&announce(hash, id20("webrtc", 0)));
    }
    std::fs::write(list.path(), hex(one)).expect("a list");
    house.riptide().signal(Signal::SIGHUP);
    house.riptide().metrics_until("the denied torrent's peers to be gone", |m| {
        m.sum("riptide_peers", &[("family", "webrtc")]) == 1.0 && m.sum("riptide_torrents", &[]) == 1.0
    });
    let _ = client.get(&Announce::leecher(one, 1).target()).failure();
    let _ = failure(&socket.ask(&announce(one, id20("webrtc", 0))));
    // The connection is there for the other torrent, and for both once the list is empty.
    assert_eq!(counts(&socket.ask(&announce(two, id20("webrtc", 0))), two), (0, 2));
    std::fs::write(list.path(), "").expect("a list");
    house.riptide().signal(Signal::SIGHUP);
    tests::eventually("it to be served again", || {
        let reply = socket.ask(&announce(one, id20("webrtc", 0)));
        reply.get("failure reason").is_none().then_some(())
    });
    socket.close();
    house
        .riptide()
        .metrics_until("no WebRTC peer", |m| m.sum("riptide_peers", &[("family", "webrtc")]) == 0.0);
}

#[test]
fn a_reload_takes_what_websockets_are_told_and_who_is_believed() {
    let house = House::new(Door::Plain);
    let client = house.client(Family::V4, 1);
    let hash = id20("reloaded", 0);
    let mut socket = client.websocket();
    let mut interval = || socket.ask(&announce(hash, id20("webrtc", 0)))["interval"].as_u64();
    // Half of it for the first that downloads, a tenth more or less, and somewhat more with others.
    assert!(interval().is_some_and(|interval| (54..=66).contains(&interval)));
    let claiming = Announce::leecher(hash, 1).with("ip", "203.0.113.7");
    let listed = || client.announce(&Announce::leecher(hash, 2)).all();
    client.announce(&claiming);
    assert_eq!(listed(), [client.at(1)]);
    let file = house.riptide().directory().path().join("riptide.toml");
    let mut text = std::fs::read_to_string(&file).expect("its configuration");
    text += "[websocket]\ninterval = \"3m\"\n[swarm]\ntrust_ip_networks = [\"127.0.0.0/8\"]\n";
    std::fs::write(&file, text).expect("a file");
    house.riptide().signal(Signal::SIGHUP);
    tests::eventually("the new interval", || interval().filter(|interval| (81..=130).contains(interval)));
    client.announce(&claiming);
    assert!(listed().contains(&"203.0.113.7:1".parse().expect("an address")), "{:?}", listed());
    assert!(!house.riptide().log_text().contains("restart"), "{}", house.riptide().log_text());
}

#[test]
fn flags_replace_the_listeners_of_the_file() {
    let riptide = Start::new(None)
        .http("listen = [\"127.0.0.1:1\"]")
        .arguments("--udp 127.0.0.1:0 --http 127.0.0.1:0 --http 127.0.0.2:0")
        .ready();
    assert_eq!((riptide.http().len(), riptide.https().len(), riptide.udp().len()), (2, 0, 1));
    let certificate = tests::web::tls::Certificate::new();
    let tls = format!("[tls]\nlisten = [\"127.0.0.1:1\"]\n{}", certificate.keys());
    let riptide = Start::new(None)
        .config(&tls)
        .arguments("--udp 127.0.0.1:0 --https 127.0.0.1:0 --http [::1]:0")
        .ready();
    assert_eq!((riptide.http().len(), riptide.https().len()), (1, 1));
    assert_ne!(riptide.https()[0].port(), 1);
    // HTTP alone is a tracker too.
    let riptide = Start::new(None).http("listen = [\"127.0.0.1:0\"]").config("[udp]\nlisten = []\n").ready();
    assert_eq!((riptide.http().len(), riptide.udp().len()), (1, 0));
    riptide.stop();
}

#[test]
fn a_port_in_use_is_exit_status_1_and_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let certificate = tests::web::tls::Certificate::new();
    for flag in ["--http", "--https"] {
        let tls = format!("[tls]\n{}", certificate.keys());
        let mut riptide =
            Start::new(None).config(&tls).arguments(&format!("--udp 127.0.0.1:0 {flag} {address}")).spawn();
        assert_eq!(riptide.wait().code(), Some(1), "{}", riptide.log_text());
        assert!(riptide.lines().pop().unwrap_or_default().contains(&address), "{}", riptide.log_text());
    }
}

#[test]
fn configuration_errors_name_the_key() {
    let certificate = tests::web::tls::Certificate::new();
    let tls_without_key =
        format!("[tls]\nlisten = [\"127.0.0.1:0\"]\ncertificate = {:?}\n", certificate.certificate_file());
    let wrong = [
        ("[http]\nlisten = [\"nowhere\"]\n", &["http.listen", "nowhere"][..]),
        ("[http]\nlisten = [\"unix:relative\"]\n", &["http.listen"]),
        ("[http]\nmax_connections = 0\n", &["http.max_connections"]),
        ("[http]\nrequest_timeout = \"soon\"\n", &["http.request_timeout", "soon"]),
        ("[http]\nidle_timeout = \"0s\"\n", &["http.idle_timeout"]),
        ("[http]\nmax_header_size = \"1KiB\"\n", &["http.max_header_size"]),
        ("[http]\nmax_scrape_hashes = 0\n", &["http.max_scrape_hashes"]),
        ("[http]\ntrusted_proxies = [\"10.0.0.0/33\"]\n", &["http.trusted_proxies", "10.0.0.0/33"]),
        ("[http]\nclient_address_header = \"no header\"\n", &["http.client_address_header"]),
        ("[http]\nproxy_protocol = true\n", &["http.proxy_protocol", "trusted_proxies"]),
        ("[http]\nunix_mode = \"rw\"\n", &["http.unix_mode"]),
        ("[http]\nstats = \"yes\"\n", &["http.stats"]),
        ("[http]\nmax_stats_streams = -1\n", &["http.max_stats_streams"]),
        ("[http]\npage = 1\n", &["http.page"]),
        ("[http]\npublic_host = \"tracker.example:80\"\n", &["http.public_host", "tracker.example:80"]),
        ("[http]\npublic_host = \"<b>\"\n", &["http.public_host"]),
        ("[http]\nno_such_key = 1\n", &["http.no_such_key"]),
        ("[tls]\nlisten = [\"127.0.0.1:0\"]\n", &["tls.certificate", "tls.key"]),
        (tls_without_key.as_str(), &["tls.key"]),
        ("[tls]\nmin_version = \"1.1\"\n", &["tls.min_version", "1.1"]),
        ("[tls]\ncertificate = \"relative.pem\"\n", &["tls.certificate"]),
        ("[websocket]\ninterval = \"0s\"\n", &["websocket.interval"]),
        ("[websocket]\nmax_message_size = \"1TiB\"\n", &["websocket.max_message_size"]),
        ("[websocket]\nmax_offers = -1\n", &["websocket.max_offers"]),
        ("[websocket]\nping_interval = \"2m\"\nidle_timeout = \"1m\"\n", &["websocket.ping_interval"]),
        ("[websocket]\nqueue_size = \"2KiB\"\nmax_message_size = \"4KiB\"\n", &["websocket.queue_size"]),
        ("[websocket]\nallowed_origins = [\"not an origin\"]\n", &["websocket.allowed_origins"]),
        ("[udp]\nlisten = []\n[http]\nlisten = []\n", &["listen"]),
    ];
    let directory = tempfile::tempdir().unwrap();
    for (text, named) in wrong {
        let file = directory.path().join("wrong.toml");
        std::fs::write(&file, text).unwrap();
        let output = command(&["config", "check", &file.display().to_string()]);
        let said =
            String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(2), "{text}{said}");
        for name in named {
            let short = name.rsplit('.').next().unwrap();
            assert!(said.contains(name) || said.contains(short), "{name} is not named:\n{text}{said}");
        }
    }
    let mut riptide = Start::new(None).http("max_connections = 0").spawn();
    assert_eq!(riptide.wait().code(), Some(2), "{}", riptide.log_text());
}
