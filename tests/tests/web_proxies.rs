//! Whose word on a client's address is taken, and whose is not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    io::Write,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::unix::fs::PermissionsExt,
};
use tests::{
    riptide::{Riptide, Start},
    udp::id20,
    web::{
        http::{Announce, Announced, Answer, Connection},
        proxy,
        stream::{tcp, unix},
        tls::{Certificate, handshake},
        websocket::{Socket, announce, counts},
    },
};

const TRUSTED: &str = "trusted_proxies = [\"127.0.0.1\", \"192.0.2.0/24\", \"2001:db8:1::/48\"]";

fn start(keys: &str) -> Riptide {
    let http = format!("listen = [\"127.0.0.1:0\"]\nrequest_timeout = \"2s\"\n{TRUSTED}\n{keys}");
    Start::new(None).arguments("--udp 127.0.0.1:0").http(&http).ready()
}

fn proxied(riptide: &Riptide, headers: &str) -> Connection {
    Connection::new(tcp(Ipv4Addr::LOCALHOST.into(), riptide.http()[0]), headers)
}

fn announced(connection: &mut Connection) -> Answer {
    connection.get(&Announce::leecher(id20("proxied", 0), 1).target())
}

/// The address that the tracker sees, or the reason why it sees none.
fn seen(riptide: &Riptide, headers: &str) -> Result<IpAddr, String> {
    let answer = announced(&mut proxied(riptide, headers));
    if answer.dictionary().get("failure reason").is_some() {
        return Err(answer.failure());
    }
    Ok(Announced::read(&answer).external_ip)
}

fn check(riptide: &Riptide, cases: &[(&str, Option<&str>)]) {
    for (headers, expected) in cases {
        let expected: Option<IpAddr> = expected.map(|address| address.parse().unwrap());
        let found = seen(riptide, headers);
        assert_eq!(found.as_ref().ok(), expected.as_ref(), "{headers:?}: {found:?}");
    }
}

#[test]
fn the_right_most_address_that_is_not_trusted_counts() {
    let riptide = start("");
    check(
        &riptide,
        &[
            ("", Some("127.0.0.1")),
            ("X-Forwarded-For: 198.51.100.1\r\n", Some("198.51.100.1")),
            ("x-forwarded-for: 2001:db8::1\r\n", Some("2001:db8::1")),
            ("X-Forwarded-For: 203.0.113.1, 198.51.100.2\r\n", Some("198.51.100.2")),
            ("X-Forwarded-For: 198.51.100.3, 192.0.2.1\r\n", Some("198.51.100.3")),
            ("X-Forwarded-For: 203.0.113.1, 198.51.100.3, 192.0.2.1, 192.0.2.2\r\n", Some("198.51.100.3")),
            ("X-Forwarded-For: 198.51.100.4, 2001:db8:1::1\r\n", Some("198.51.100.4")),
            ("X-Forwarded-For: 198.51.100.4, ::ffff:192.0.2.1\r\n", Some("198.51.100.4")),
            ("X-Forwarded-For: 203.0.113.1\r\nX-Forwarded-For: 198.51.100.5\r\n", Some("198.51.100.5")),
            (
                "X-Forwarded-For: 198.51.100.5\r\nHost: b\r\nX-Forwarded-For: 192.0.2.1\r\n",
                Some("198.51.100.5"),
            ),
            ("X-Forwarded-For:198.51.100.6 ,\t192.0.2.1  \r\n", Some("198.51.100.6")),
            ("X-Forwarded-For: 198.51.100.7:5555\r\n", Some("198.51.100.7")),
            ("X-Forwarded-For: [2001:db8::2]:5555\r\n", Some("2001:db8::2")),
            ("X-Forwarded-For: [2001:db8::2]\r\n", Some("2001:db8::2")),
            ("X-Forwarded-For: ::ffff:198.51.100.8\r\n", Some("198.51.100.8")),
            ("X-Forwarded-For: 192.0.2.1, 192.0.2.2\r\n", Some("192.0.2.1")),
            ("X-Forwarded-For: garbage, 198.51.100.9\r\n", Some("198.51.100.9")),
            ("X-Forwarded-For: 198.51.100.9, garbage\r\n", None),
            ("X-Forwarded-For: unknown\r\n", None),
            ("X-Forwarded-For: 198.51.100.256\r\n", None),
            ("X-Forwarded-For: 0.0.0.0\r\n", None),
            ("X-Forwarded-For: 255.255.255.255\r\n", None),
            ("X-Forwarded-For: 224.0.0.1\r\n", None),
            ("X-Forwarded-For: ::\r\n", None),
            ("X-Forwarded-For: ff02::1\r\n", None),
            ("X-Real-IP: 198.51.100.1\r\nForwarded: for=198.51.100.1\r\n", Some("127.0.0.1")),
        ],
    );
    // A very long list is read like any other.
    let long = format!("X-Forwarded-For: {}198.51.100.10\r\n", "203.0.113.1, ".repeat(500));
    assert_eq!(seen(&riptide, &long).unwrap(), IpAddr::from([198, 51, 100, 10]));
    // Anybody else's word is nothing, even on the same host.
    let stranger = tcp(Ipv4Addr::new(127, 0, 0, 2).into(), riptide.http()[0]);
    let mut stranger = Connection::new(stranger, "X-Forwarded-For: 198.51.100.1\r\n");
    assert_eq!(Announced::read(&announced(&mut stranger)).external_ip, IpAddr::from([127, 0, 0, 2]));
    // A WebSocket without a usable address is none.
    let refused =
        Socket::open(proxied(&riptide, "X-Forwarded-For: garbage\r\n"), "/", "").err().expect("a refusal");
    assert!((400..500).contains(&refused.status), "{refused:?}");
}

#[test]
fn the_header_is_the_operators_choice() {
    let riptide = start("client_address_header = \"X-Real-IP\"");
    check(
        &riptide,
        &[
            ("X-Real-IP: 198.51.100.1\r\nX-Forwarded-For: 203.0.113.1\r\n", Some("198.51.100.1")),
            ("X-Forwarded-For: 203.0.113.1\r\n", Some("127.0.0.1")),
        ],
    );
    let riptide = start("client_address_header = \"Forwarded\"");
    check(
        &riptide,
        &[
            ("Forwarded: for=198.51.100.1\r\n", Some("198.51.100.1")),
            (
                "Forwarded: For=203.0.113.1, for=198.51.100.2;proto=https;by=192.0.2.1\r\n",
                Some("198.51.100.2"),
            ),
            ("Forwarded: proto=https;for=\"198.51.100.3:4711\", for=192.0.2.1\r\n", Some("198.51.100.3")),
            ("Forwarded: for=\"[2001:db8::7]:4711\"\r\n", Some("2001:db8::7")),
            ("Forwarded: for=\"[2001:db8::7]\";host=\"a, b;for=203.0.113.1\"\r\n", Some("2001:db8::7")),
            ("Forwarded: for=unknown\r\n", None),
            ("Forwarded: for=_hidden\r\n", None),
            ("X-Forwarded-For: 203.0.113.1\r\n", Some("127.0.0.1")),
        ],
    );
    let riptide = start("client_address_header = \"\"");
    check(&riptide, &[("X-Forwarded-For: 203.0.113.1\r\nForwarded: for=203.0.113.1\r\n", Some("127.0.0.1"))]);
}

const CLIENT: &str = "198.51.100.1:5000";
const CLIENT6: &str = "[2001:db8::1]:5000";

fn client(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn proxy_headers_are_read() {
    let riptide = start("proxy_protocol = true");
    let target = Announce::leecher(id20("proxied", 0), 1).target();
    let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes();
    let local: IpAddr = Ipv4Addr::LOCALHOST.into();
    let headers = [
        (proxy::v1(client(CLIENT)), client(CLIENT).ip()),
        (proxy::v1(client(CLIENT6)), client(CLIENT6).ip()),
        (proxy::v2(client(CLIENT)), client(CLIENT).ip()),
        (proxy::v2(client(CLIENT6)), client(CLIENT6).ip()),
        (b"PROXY UNKNOWN\r\n".to_vec(), local),
        (b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n".to_vec(), local),
        (proxy::v2_local(), local),
        // A local connection's addresses are to be ignored, those of another family too.
        (proxy::v2_header(0x20, 0x11, &[198, 51, 100, 1, 192, 0, 2, 1, 1, 1, 2, 2]), local),
        (proxy::v2_header(0x21, 0x00, &[]), local),
        (proxy::v2_header(0x21, 0x31, &[b'/'; 216]), local),
    ];
    for (header, expected) in &headers {
        // All at once, and each byte on its own.
        let whole = [&header[..], &request].concat();
        for size in [whole.len(), 1] {
            let mut connection = proxied(&riptide, "");
            whole.chunks(size).for_each(|piece| connection.send(piece));
            let reply = Announced::read(&connection.receive());
            assert_eq!(reply.external_ip, *expected, "{}", String::from_utf8_lossy(header));
            // It holds for the whole connection, whatever its requests say.
            connection.send(
                format!("GET {target} HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.1\r\n\r\n")
                    .as_bytes(),
            );
            let reply = Announced::read(&connection.receive());
            let says = if *expected == local { IpAddr::from([203, 0, 113, 1]) } else { *expected };
            assert_eq!(reply.external_ip, says, "{}", String::from_utf8_lossy(header));
        }
    }
    // A WebSocket too.
    let mut connection = proxied(&riptide, "");
    connection.send(&proxy::v2(client(CLIENT)));
    let mut socket = Socket::open(connection, "/", "").unwrap_or_else(|answer| panic!("{answer:?}"));
    let hash = id20("proxied socket", 0);
    assert_eq!(counts(&socket.ask(&announce(hash, id20("webrtc", 0))), hash), (0, 1));
}

#[test]
fn what_is_no_proxy_header_ends_the_connection() {
    let riptide = start("proxy_protocol = true");
    let request = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
    let v2 = proxy::v2(client(CLIENT));
    let wrong: [Vec<u8>; 13] = [
        request.clone(),
        b"PROXY TCP4 198.51.100.1 192.0.2.1 5000\r\n".to_vec(),
        b"PROXY TCP4 198.51.100.256 192.0.2.1 5000 443\r\n".to_vec(),
        b"PROXY TCP4 2001:db8::1 2001:db8::2 5000 443\r\n".to_vec(),
        b"PROXY TCP4 198.51.100.1 192.0.2.1 65536 443\r\n".to_vec(),
        b"PROXY TCP5 198.51.100.1 192.0.2.1 5000 443\r\n".to_vec(),
        b"PROXY TCP4 198.51.100.1 192.0.2.1 5000 443\n\n".to_vec(),
        [b"PROXY UNKNOWN ".to_vec(), vec![b'x'; 200], b"\r\n".to_vec()].concat(),
        proxy::v2_header(0x31, 0x11, &[0; 12]),
        proxy::v2_header(0x2f, 0x11, &[0; 12]),
        proxy::v2_header(0x21, 0x11, &[0; 11]),
        proxy::v2_header(0x21, 0x21, &[0; 35]),
        [&v2[..8], &request[..]].concat(),
    ];
    for header in wrong {
        let mut connection = proxied(&riptide, "");
        // It may be cut off before the rest is sent.
        let _ = connection.stream().write_all(&[&header[..], &request].concat());
        assert_eq!(connection.wait_closed(), 0, "{}", String::from_utf8_lossy(&header));
    }
    // Half of one, and then nothing: until the time for a request is over.
    let mut halves: Vec<Connection> = [&v2[..10], &v2[..20], b"PROXY TCP4 198.", b"\r"]
        .iter()
        .map(|part| {
            let mut connection = proxied(&riptide, "");
            connection.send(part);
            connection
        })
        .collect();
    for connection in &mut halves {
        assert_eq!(connection.wait_closed(), 0);
    }
    // From elsewhere it is no header but a bad request.
    let mut stranger = Connection::new(tcp(Ipv4Addr::new(127, 0, 0, 2).into(), riptide.http()[0]), "");
    stranger.send(&[&proxy::v1(client(CLIENT))[..], &request].concat());
    assert_eq!(stranger.receive().status, 400);
    stranger.wait_closed();
    let mut stranger = Connection::new(tcp(Ipv4Addr::new(127, 0, 0, 2).into(), riptide.http()[0]), "");
    assert_eq!(Announced::read(&announced(&mut stranger)).external_ip, IpAddr::from([127, 0, 0, 2]));
}

#[test]
fn tls_comes_behind_the_proxy_header() {
    let certificate = Certificate::new();
    let tls = format!("[tls]\nlisten = [\"127.0.0.1:0\"]\n{}", certificate.keys());
    let http = format!("listen = []\nproxy_protocol = true\n{TRUSTED}");
    let riptide = Start::new(None).arguments("--udp 127.0.0.1:0").http(&http).config(&tls).ready();
    for header in [proxy::v1(client(CLIENT6)), proxy::v2(client(CLIENT6))] {
        let mut tcp = tcp(Ipv4Addr::LOCALHOST.into(), riptide.https()[0]);
        tcp.write_all(&header).unwrap();
        let stream = handshake(certificate.any_client(), tcp).unwrap();
        let mut connection = Connection::new(stream, "");
        assert_eq!(Announced::read(&announced(&mut connection)).external_ip, client(CLIENT6).ip());
    }
}

#[test]
fn a_unix_socket_is_made_used_and_removed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("http.sock");
    let http = format!("listen = [\"unix:{}\"]\nunix_mode = \"0606\"", path.display());
    let start = || Start::new(None).arguments("--udp 127.0.0.1:0").http(&http);
    // What a killed process left is in nobody's way.
    start().ready().kill();
    assert!(path.exists());
    let riptide = start().ready();
    assert_eq!(riptide.unix(), std::slice::from_ref(&path));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o606);
    // Its clients have no address but what the header says.
    let connect = |headers| Connection::new(unix(&path), headers);
    let reply = Announced::read(&announced(&mut connect("X-Forwarded-For: 198.51.100.1\r\n")));
    assert_eq!(reply.external_ip, client(CLIENT).ip());
    let _ = announced(&mut connect("")).failure();
    assert_eq!(connect("").get("/health").status, 200);
    // Another process is not robbed of it.
    let mut second = start().spawn();
    assert_eq!(second.wait().code(), Some(1), "{}", second.log_text());
    assert!(second.lines().pop().unwrap_or_default().contains("http.sock"), "{}", second.log_text());
    assert_eq!(connect("").get("/health").status, 200);
    riptide.stop();
    assert!(!path.exists(), "the socket is left behind");
    // Nor is a file that is no socket.
    std::fs::write(&path, "precious").unwrap();
    let mut third = start().spawn();
    assert_eq!(third.wait().code(), Some(1), "{}", third.log_text());
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
}

#[test]
fn proxy_headers_come_by_unix_sockets_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("http.sock");
    let http = format!("listen = [\"unix:{}\"]\nproxy_protocol = true", path.display());
    let riptide = Start::new(None).arguments("--udp 127.0.0.1:0").http(&http).ready();
    for header in [proxy::v1(client(CLIENT)), proxy::v2(client(CLIENT))] {
        let mut connection = Connection::new(unix(&riptide.unix()[0]), "");
        connection.send(&header);
        assert_eq!(Announced::read(&announced(&mut connection)).external_ip, client(CLIENT).ip());
    }
}

/// Of strangers; a proxy brings many clients.
#[test]
fn connections_per_address_are_limited_if_asked() {
    let riptide = start("max_connections_per_address = 2");
    let connect = |last| {
        let from = Ipv4Addr::new(127, 0, 0, last).into();
        Connection::new(tcp(from, riptide.http()[0]), "")
    };
    let mut kept: Vec<Connection> = (0..2).map(|_| connect(2)).collect();
    for connection in &mut kept {
        assert_eq!(connection.get("/health").status, 200);
    }
    connect(2).wait_closed();
    assert_eq!(connect(3).get("/health").status, 200);
    let mut behind: Vec<Connection> = (0..5).map(|_| connect(1)).collect();
    for connection in behind.iter_mut().chain(&mut kept) {
        assert_eq!(connection.get("/health").status, 200);
    }
    kept.pop();
    tests::eventually("room for another", || {
        let mut connection = connect(2);
        let request = connection.request("GET", "/health", "");
        let _ = connection.stream().write_all(&request);
        connection.try_receive(false).ok().filter(|answer| answer.status == 200)
    });
}

/// A WebSocket is one client's for long, whoever brings it; an IPv6 client is its /64.
#[test]
fn websockets_per_address_are_limited_behind_a_proxy_too() {
    let riptide = start("max_connections_per_address = 2");
    let open = |client: &str| {
        let connection = Connection::new(tcp(Ipv4Addr::LOCALHOST.into(), riptide.http()[0]), "");
        Socket::open(connection, "/", &format!("X-Forwarded-For: {client}\r\n"))
    };
    for (addresses, neighbour) in [
        (["203.0.113.7", "203.0.113.7", "203.0.113.7"], "203.0.113.8"),
        (["2001:db8:0:1::1", "2001:db8:0:1::2", "2001:db8:0:1:ffff::3"], "2001:db8:0:2::1"),
    ] {
        let mut kept: Vec<Socket> =
            addresses[..2].iter().map(|address| open(address).unwrap_or_else(|a| panic!("{a:?}"))).collect();
        let refused = open(addresses[2]).err().expect("a refusal");
        assert_eq!(refused.status, 503, "{refused:?}");
        open(neighbour).unwrap_or_else(|answer| panic!("{answer:?}")).close();
        kept.remove(0).close();
        tests::eventually("room for another", || open(addresses[2]).ok());
    }
    let refused = riptide.metrics().sum("riptide_ws_refused_connections_total", &[("reason", "address")]);
    assert!(refused >= 2.0, "{refused}");
}
