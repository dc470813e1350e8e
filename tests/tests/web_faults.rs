//! What strangers send to do harm, and what the system withholds: a clear failure or a closed connection, bounded
//! memory, and others served as before.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{io::Write, net::Ipv4Addr, time::Duration};
use tests::{
    eventually,
    process::{descriptors, limit_descriptors},
    rig::Family,
    udp::id20,
    web::{
        house::{Door, House},
        http::{Announce, Connection},
        http2,
        stream::{is_closed, tcp, wait_closed},
        tls::handshake,
        websocket::{Socket, announce, counts, offering, opcode},
    },
};

/// Pseudo-random numbers, the same at each run.
fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[test]
fn requests_that_never_end_hold_nobody_up() {
    let house = House::with(Door::Plain, "request_timeout = \"2s\"\nidle_timeout = \"2s\"", "");
    let client = house.client(Family::V4, 1);
    let mut slow: Vec<Connection> = (0..200).map(|_| client.connect()).collect();
    house.bounded(32, || {
        for connection in &mut slow {
            connection.send(b"GET /announce?info_hash=");
        }
        for round in 0..5 {
            house.is_well();
            for connection in &mut slow {
                // A byte now and then does not count as a request.
                let sent = connection.stream().write_all(b"%");
                assert!(sent.as_ref().err().is_none_or(is_closed), "round {round}: {sent:?}");
            }
        }
    });
    for connection in &mut slow {
        connection.wait_closed();
    }
    house.riptide().metrics_until("no connection left", |m| m.sum("riptide_http_connections", &[]) <= 1.0);
}

#[test]
fn malformed_requests_end_their_connection_alone() {
    let house = House::new(Door::Plain);
    let client = house.client(Family::V4, 1);
    let malformed: [&[u8]; 17] = [
        b"\r\n\r\n\r\n\r\nnonsense\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /announce\r\n\r\n",
        b"GET /announce HTTP/9.9\r\nHost: a\r\n\r\n",
        b"GET /announce HTTP/1.1 more\r\nHost: a\r\n\r\n",
        b"GET  /announce HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /announce?info_hash=\xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /announce?info_hash=a b HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /announce HTTP/1.1\r\nNo colon\r\n\r\n",
        b"GET /announce HTTP/1.1\r\nA: \0\r\n\r\n",
        b"GET /announce HTTP/1.1\r\nA : b\r\n\r\n",
        b"GET /announce HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 2\r\n\r\n",
        b"GET /announce HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"GET /announce HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST /announce HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nno frame at all, but bytes enough for one",
    ];
    for bytes in malformed {
        let mut connection = client.connect();
        connection.send(bytes);
        connection.finish();
        connection.wait_closed();
    }
    // A client that has asked and then says that it says nothing more is answered.
    for _ in 0..20 {
        let mut connection = client.connect();
        let request = connection.request("GET", &Announce::leecher(id20("half", 0), 1).target(), "");
        connection.send(&request);
        connection.finish();
        assert_eq!(connection.receive().dictionary().integer("incomplete"), 1);
        connection.wait_closed();
    }
    // Old clients.
    let mut connection = client.connect();
    let target = Announce::leecher(id20("old", 0), 1).target();
    connection.send(format!("GET {target} HTTP/1.0\r\n\r\n").as_bytes());
    assert_eq!(connection.receive().dictionary().integer("incomplete"), 1);
    connection.wait_closed();
    // Bytes without any sense, and good requests with a few bytes changed.
    let mut state = 0x5eed_0001_u64;
    let request = client.connect().request("GET", &target, "");
    house.bounded(32, || {
        for round in 0..300_u64 {
            let bytes: Vec<u8> = if round % 2 == 0 {
                (0..random(&mut state) % 600).map(|_| random(&mut state).to_le_bytes()[3]).collect()
            } else {
                let mut bytes = request.clone();
                for _ in 0..=random(&mut state) % 4 {
                    let at = usize::try_from(random(&mut state)).unwrap_or_default() % bytes.len();
                    bytes[at] = random(&mut state).to_le_bytes()[5];
                }
                bytes
            };
            let mut connection = client.connect();
            let _ = connection.stream().write_all(&bytes);
            let _ = connection.stream().finish();
            connection.wait_closed();
        }
    });
    house.is_well();
}

#[test]
fn wrong_bytes_over_tls_and_websockets_end_their_connection_alone() {
    let house = House::with(Door::Tls, "request_timeout = \"1s\"", "");
    let client = house.client(Family::V4, 1);
    let mut state = 0x5eed_0002_u64;
    let raw = || tcp(Ipv4Addr::LOCALHOST.into(), house.address(Family::V4));
    let mut junk =
        |length: u64| -> Vec<u8> { (0..length).map(|_| random(&mut state).to_le_bytes()[3]).collect() };
    house.bounded(32, || {
        // No hello, half a hello, a plain request, and nothing at all.
        for bytes in [
            b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
            b"\x16\x03\x01".to_vec(),
            vec![],
            junk(5_000),
        ] {
            let mut stream = raw();
            let _ = stream.write_all(&bytes);
            wait_closed(&mut stream);
        }
        for round in 0..100 {
            let mut stream = raw();
            let _ = stream.write_all(&junk(200));
            drop(stream);
            let mut socket = client.websocket();
            let bytes = match round % 3 {
                0 => junk(300),
                1 => Socket::frame(true, opcode::TEXT, &junk(40)),
                _ => {
                    let mut text = announce(id20("junk", 0), id20("junk", 1)).to_string().into_bytes();
                    let at = usize::from(junk(1)[0]) % text.len();
                    text[at] = b' ' + junk(1)[0] % 95;
                    Socket::frame(true, opcode::TEXT, &text)
                }
            };
            let _ = socket.try_send(&bytes);
        }
    });
    house.riptide().metrics_until("no WebSocket left", |m| m.sum("riptide_ws_connections", &[]) == 0.0);
    house.is_well();
}

/// Asks and never reads, over each protocol: what waits for it is bounded.
#[test]
fn clients_that_read_nothing_are_not_answered_without_bound() {
    let tables = "[websocket]\nsend_timeout = \"1s\"\n";
    let house = House::with(Door::Tls, "idle_timeout = \"2s\"", tables);
    let client = house.client(Family::V4, 1);
    let patience = Duration::from_millis(500);
    house.bounded(32, || {
        let mut connection = client.connect();
        connection.stream().socket().set_write_timeout(Some(patience)).expect("a timeout");
        let requests = connection.request("GET", "/stats", "").repeat(100);
        let mut rounds = 0;
        // The page is some kilobytes: the tracker stops reading long before the last of 100,000.
        while rounds < 1_000 && connection.stream().write_all(&requests).is_ok() {
            rounds += 1;
        }
        assert!(rounds < 1_000, "all of it was taken");
        house.is_well();
        let mut socket = client.websocket();
        socket.stream().socket().set_write_timeout(Some(patience)).expect("a timeout");
        let pings = Socket::frame(true, opcode::PING, &[0; 125]).repeat(100);
        let mut rounds = 0;
        while rounds < 2_000 && socket.try_send(&pings).is_ok() {
            rounds += 1;
        }
        house.is_well();
        let config = house.certificate().expect("one").client(rustls::ALL_VERSIONS, &["h2"]);
        let stream = handshake(config, tcp(client.address(), house.address(Family::V4))).expect("TLS");
        let http2 = http2::Connection::new(stream);
        let _ = http2.open_and_reset(5_000, "/stats");
        house.is_well();
    });
    house.riptide().metrics_until("no connection left", |m| {
        m.sum("riptide_ws_connections", &[]) == 0.0 && m.sum("riptide_http_connections", &[]) == 0.0
    });
}

/// More wait in the kernel's queue until there is room.
#[test]
fn connections_are_limited_in_number() {
    let house = House::with(Door::Plain, "max_connections = 5", "");
    let client = house.client(Family::V4, 1);
    // All of them, though there are two listeners that wait for more.
    let mut kept: Vec<Connection> = (0..5).map(|_| client.connect()).collect();
    for connection in &mut kept {
        assert_eq!(connection.get("/health").status, 200);
    }
    let mut waiting = client.connect();
    let request = waiting.request("GET", "/health", "");
    waiting.send(&request);
    house.udp(Family::V4, 1).connect();
    kept.pop();
    assert_eq!(waiting.receive().status, 200);
    for connection in &mut kept {
        assert_eq!(connection.get("/health").status, 200);
    }
}

/// Accepts pause and say so, nothing spins, and service resumes.
#[test]
fn the_descriptor_limit_is_survived() {
    let house = House::new(Door::Plain);
    let riptide = house.riptide();
    let client = house.client(Family::V4, 1);
    house.is_well();
    let mut kept = client.connect();
    assert_eq!(kept.get("/health").status, 200);
    limit_descriptors(riptide, descriptors(riptide) + 4);
    let mut crowd: Vec<Connection> = (0..40).map(|_| client.connect()).collect();
    let metrics = tcp(Ipv4Addr::LOCALHOST.into(), riptide.metrics_address());
    let line = riptide
        .wait_for_line("that accepts pause", |line| line.contains("WARN") && line.contains("accepts no"));
    assert!(line.contains("descriptor") || line.contains("files"), "the line names the limit: {line}");
    let before = riptide.processor_time();
    for _ in 0..10 {
        // Whoever is in is served.
        assert_eq!(kept.get("/health").status, 200);
        house.udp(Family::V4, 1).connect();
        std::thread::sleep(Duration::from_millis(150));
    }
    let used = Duration::from_nanos(riptide.processor_time() - before);
    assert!(used < Duration::from_millis(700), "{used:?} of processor time in 1.5 s of waiting");
    let listener = house.address(Family::V4).to_string();
    let told =
        riptide.lines().iter().filter(|line| line.contains("WARN") && line.contains(&listener)).count();
    assert_eq!(told, 1, "once, not at each attempt:\n{}", riptide.log_text());
    // Those that wait get their turn when others leave.
    crowd.drain(..38);
    for connection in &mut crowd {
        assert_eq!(connection.get("/health").status, 200);
    }
    drop(metrics);
    drop(crowd);
    riptide.wait_for_line("that accepts go on", |line| {
        line.contains("INFO") && line.contains("accepts connections again")
    });
    let metrics =
        riptide.metrics_until("the pause", |m| m.sum("riptide_http_accept_pauses_total", &[]) >= 1.0);
    assert!(metrics.text.contains("# TYPE riptide_http_accept_pauses_total counter"), "{}", metrics.text);
    house.is_well();
}

#[test]
fn nothing_is_left_of_connections_that_come_and_go() {
    let house = House::every("", "");
    let round = |times: u32| {
        for n in 0..times {
            let door = [Door::Plain, Door::Tls, Door::Unix][usize::try_from(n).unwrap() % 3];
            let client = house.client_by(door, Family::V4, 1);
            assert_eq!(client.get("/health").status, 200);
            let mut socket = client.websocket();
            let hash = id20("churn", n);
            let _ = counts(&socket.ask(&offering(hash, id20("webrtc", n), 1, 5)), hash);
            if n % 2 == 0 {
                socket.close();
            }
        }
        house.riptide().metrics_until("no connection left", |m| {
            m.sum("riptide_ws_connections", &[]) == 0.0
                && m.sum("riptide_http_connections", &[]) == 0.0
                && m.sum("riptide_torrents", &[]) == 0.0
        });
    };
    round(60);
    let open = descriptors(house.riptide());
    house.bounded(8, || round(600));
    // Those of the last scrapes of the metrics come and go too.
    eventually("no more descriptors than before", || (descriptors(house.riptide()) <= open).then_some(()));
}
