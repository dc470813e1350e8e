//! Which HTTP requests are answered, and how.

use super::{client, hash};
use crate::{
    rig::Family,
    udp::{Id20, id20},
    web::{
        house::{Door, House},
        http::{Announce, Announced, Connection, escaped},
        stream::is_closed,
    },
};

/// Upper case, lower case, and whatever stands for itself.
pub fn escapes_of_every_kind_are_read(door: Door) {
    let house = House::new(door);
    let client = client(&house, Family::V4);
    // Every byte there is comes by in one of these.
    let hashes: Vec<Id20> = (0..13_u8)
        .map(|n| std::array::from_fn(|at| n.wrapping_mul(20).wrapping_add(u8::try_from(at).expect("a byte"))))
        .collect();
    for hash in &hashes {
        let plain = hash.iter().fold(String::new(), |text, byte| match byte {
            // What a query cannot hold, or hyper does not take in one.
            b'&' | b'#' | b'%' | b'"' | b'<' | b'>' => text + &escaped(&[*byte]),
            0x21..0x7f => text + &String::from(char::from(*byte)),
            _ => text + &escaped(&[*byte]),
        });
        for (port, spelling) in (1..).zip([escaped(hash), escaped(hash).to_lowercase(), plain]) {
            let target =
                format!("/announce?info_hash={spelling}&peer_id=-XX0001-+abcdefghij+&port={port}&left=1");
            let answer = client.get(&target);
            assert_eq!(Announced::read(&answer).incomplete, port, "{target}");
        }
        assert_eq!(client.row(*hash).leechers, 3);
        // And in a scrape.
        assert_eq!(client.scrape(&[*hash]).len(), 1);
    }
    // A plus is a plus.
    let plus = *b"plus++++++++++++++++";
    client.announce(&Announce::leecher(plus, 1));
    let target = "/announce?info_hash=plus++++++++++++++++&peer_id=aaaaaaaaaaaaaaaaaaaa&port=2&left=1";
    assert_eq!(Announced::read(&client.get(target)).incomplete, 2);
}

/// A failure with status 200 whose reason names the parameter, and nothing that comes of it.
pub fn what_is_wrong_is_named(door: Door) {
    let house = House::new(door);
    let client = client(&house, Family::V4);
    let (hash, peer) = (escaped(&[7; 20]), "peer_id=aaaaaaaaaaaaaaaaaaaa");
    let wrong = [
        ("info_hash", format!("/announce?{peer}&port=1")),
        ("info_hash", format!("/announce?info_hash=&{peer}&port=1")),
        ("info_hash", format!("/announce?info_hash={}&{peer}&port=1", escaped(&[7; 19]))),
        ("info_hash", format!("/announce?info_hash={}&{peer}&port=1", escaped(&[7; 21]))),
        ("info_hash", format!("/announce?info_hash={}%0&{peer}&port=1", escaped(&[7; 19]))),
        ("info_hash", format!("/announce?info_hash={}%zz&{peer}&port=1", escaped(&[7; 19]))),
        ("peer_id", format!("/announce?info_hash={hash}&port=1")),
        ("port", format!("/announce?info_hash={hash}&{peer}")),
        ("port", format!("/announce?info_hash={hash}&{peer}&port=")),
        ("port", format!("/announce?info_hash={hash}&{peer}&port=0")),
        ("port", format!("/announce?info_hash={hash}&{peer}&port=65536")),
        ("port", format!("/announce?info_hash={hash}&{peer}&port=18446744073709551617")),
        ("port", format!("/announce?info_hash={hash}&{peer}&port=-1")),
        ("port", format!("/announce?info_hash={hash}&{peer}&port=http")),
        // A repeated parameter counts the first time.
        ("port", format!("/announce?info_hash={hash}&{peer}&port=0&port=1")),
        ("info_hash", "/announce".to_owned()),
        ("info_hash", "/announce?".to_owned()),
    ];
    for (parameter, target) in wrong {
        let reason = client.get(&target).failure();
        assert!(reason.contains(parameter), "{parameter}: {reason:?} for {target}");
    }
    let row = client.row([7; 20]);
    assert_eq!((row.seeders, row.leechers), (0, 0));
    house.riptide().metrics_until("no torrent", |m| m.sum("riptide_torrents", &[]) == 0.0);
}

/// Unknown, empty and repeated parameters, and numbers beyond every bound.
pub fn odd_but_harmless_queries_are_answered(door: Door) {
    let house = House::new(door);
    let client = client(&house, Family::V4);
    let hash = hash("odd", Family::V4);
    let base = Announce::leecher(hash, 1).target();
    let huge = "9".repeat(1000);
    for more in [
        "&",
        "&&&&",
        "&=",
        "&=value",
        "&key",
        "&key=",
        "&no_such_parameter=%00%ff",
        "&port=2&port=0",
        "&info_hash=short",
        "&left=0",
        "&supportcrypto=1&key=ABCDEF01&ipv6=%5B%3A%3A1%5D&azudp=1&corrupt=0&redundant=0&no_peer_id=1&trackerid=x",
        &format!("&uploaded={huge}"),
        &format!("&numwant={huge}"),
        "#fragment",
        "&a=b=c&d=%",
    ] {
        let reply = Announced::read(&client.get(&format!("{base}{more}")));
        assert_eq!((reply.complete, reply.incomplete), (0, 1), "{more}");
    }
    let many: Vec<Id20> = (0..100).map(|n| id20("many", n)).collect();
    assert_eq!(client.scrape(&many).len(), 100, "as many as may be asked for");
    let huge_left = Announce { left: Some(u64::MAX), ..Announce::leecher(hash, 2) };
    assert_eq!(client.announce(&huge_left).incomplete, 2);
    let target = format!("{}&left={huge}", Announce { left: None, ..Announce::leecher(hash, 3) }.target());
    assert_eq!(Announced::read(&client.get(&target)).incomplete, 3);
}

/// Slashes and spaces around a path are many clients' habit.
pub fn paths_are_read_with_tolerance(door: Door) {
    let house = House::new(door);
    let client = client(&house, Family::V4);
    let target = Announce::leecher(hash("paths", Family::V4), 1).target();
    for path in ["/announce", "//announce", "/announce/", "/announce%20", "/%61nnounce", "//announce//"] {
        let answer = client.get(&target.replacen("/announce", path, 1));
        assert_eq!(Announced::read(&answer).incomplete, 1, "{path}");
    }
    for path in ["/scrape", "//scrape", "/scrape/", "/scrape%20"] {
        let answer = client.get(&format!("{path}?info_hash={}", escaped(&[1; 20])));
        assert!(answer.dictionary().get("files").is_some(), "{path}");
    }
    // The absolute form of a target, which a server must take (RFC 9112, section 3.2.2).
    assert_eq!(Announced::read(&client.get(&format!("http://tracker{target}"))).incomplete, 1);
    for path in [
        "/stats/event",
        "/announcement",
        "/announce/more",
        "/no/such/path",
        "/%00",
        "/metrics",
        "/announce%2",
    ] {
        assert_eq!(client.get(path).status, 404, "{path}");
    }
}

/// Nothing but GET.
pub fn other_methods_are_refused(door: Door) {
    let house = House::new(door);
    let client = client(&house, Family::V4);
    let target = Announce::leecher(hash("methods", Family::V4), 1).target();
    for method in ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"] {
        let mut connection = client.connect();
        let request = connection.request(method, &target, "");
        connection.send(&request);
        let answer = connection.try_receive(method == "HEAD").expect("an answer");
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET")), "{method}");
        // A body may follow that nobody wants: the connection is closed, and it says so.
        if answer.header("connection") == Some("close") {
            assert_eq!(connection.wait_closed(), 0, "{method}");
        } else {
            assert_eq!(connection.get("/health").status, 200, "{method}");
        }
    }
    assert_eq!(client.row(hash("methods", Family::V4)).leechers, 0);
}

/// HEAD is GET without the body, OPTIONS says what may be asked, and a browser lets any site's page read what it gets.
pub fn pages_answer_head_and_options(door: Door) {
    let house = House::new(door);
    let client = client(&house, Family::V4);
    let mut connection = client.connect();
    let mut ask = |method: &str, path: &str| {
        let preflight = "Origin: https://elsewhere.example\r\nAccess-Control-Request-Method: GET\r\n";
        let request = connection.request(method, path, preflight);
        connection.send(&request);
        connection.try_receive(method == "HEAD").expect("an answer")
    };
    for path in ["/", "//", "/health", "/stats", "/stats.json", "/stats/"] {
        let (get, head, options) = (ask("GET", path), ask("HEAD", path), ask("OPTIONS", path));
        assert_eq!((get.status, head.status, options.status), (200, 200, 204), "{path}");
        let described = ["content-type", "cache-control", "content-security-policy"];
        assert_eq!(described.map(|name| head.header(name)), described.map(|name| get.header(name)), "{path}");
        let length: usize = head.header("content-length").expect("a length").parse().expect("a number");
        assert!(length > 0, "{path}");
        for answer in [&get, &head, &options] {
            assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{path}: {answer:?}");
        }
        assert_eq!(options.header("allow"), Some("GET, HEAD, OPTIONS"), "{path}");
        assert_eq!(options.header("access-control-allow-methods"), Some("GET, HEAD"), "{path}");
        assert_eq!(options.header("access-control-allow-headers"), Some("*"), "{path}");
    }
    for method in ["HEAD", "OPTIONS"] {
        assert_eq!(ask(method, "/nothing").status, 404, "{method}");
    }
    let announce = Announce::leecher(hash("open", Family::V4), 1).target();
    for target in [&announce, "/announce", &format!("/scrape?info_hash={}", escaped(&[1; 20])), "/scrape"] {
        assert_eq!(ask("GET", target).header("access-control-allow-origin"), Some("*"), "{target}");
    }
    for method in ["POST", "PUT", "DELETE", "PATCH", "BREW"] {
        let mut connection = client.connect();
        let request = connection.request(method, "/health", "Content-Length: 0\r\n");
        connection.send(&request);
        let answer = connection.receive();
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD, OPTIONS")), "{method}");
    }
}

/// Many at once, and one that comes in pieces; the connection stays for all of them.
pub fn pipelined_requests_are_answered_in_order(door: Door) {
    let house = House::new(door);
    let client = client(&house, Family::V4);
    let hash = hash("pipelined", Family::V4);
    let mut connection = client.connect();
    let requests: Vec<u8> = (1..=100)
        .flat_map(|port| connection.request("GET", &Announce::leecher(hash, port).target(), ""))
        .collect();
    connection.send(&requests);
    for n in 1..=100 {
        assert_eq!(Announced::read(&connection.receive()).incomplete, n);
    }
    let request = connection.request("GET", &Announce::leecher(hash, 101).target(), "");
    for piece in request.chunks(7) {
        connection.send(piece);
    }
    assert_eq!(Announced::read(&connection.receive()).incomplete, 101);
    // A request, and then nothing more to say: it is answered all the same.
    let request = connection.request("GET", &Announce::leecher(hash, 102).target(), "Connection: close\r\n");
    connection.send(&request);
    let answer = connection.receive();
    assert_eq!(Announced::read(&answer).incomplete, 102);
    assert_eq!(connection.wait_closed(), 0);
}

/// Head, body and time.
pub fn too_much_is_refused(door: Door) {
    let house = House::with(
        door,
        "max_header_size = \"16KiB\"\nmax_body_size = \"4KiB\"\nrequest_timeout = \"1s\"\nidle_timeout = \"1s\"",
        "",
    );
    let client = client(&house, Family::V4);
    // A long head is fine up to the limit.
    let mut connection = client.connect();
    let request = connection.request("GET", "/health", &format!("X-Long: {}\r\n", "x".repeat(12_000)));
    connection.send(&request);
    assert_eq!(connection.receive().status, 200);
    for line in [format!("X-Long: {}\r\n", "x".repeat(40_000)), "X-Many: x\r\n".repeat(3_000)] {
        let mut connection = client.connect();
        let request = connection.request("GET", "/health", &line);
        // It may be cut off while it is still being sent.
        let sent = std::io::Write::write_all(connection.stream(), &request);
        match connection.try_receive(false) {
            Ok(answer) => assert!([400, 414, 431].contains(&answer.status), "{answer:?}"),
            Err(e) => assert!(is_closed(&e), "{e} {sent:?}"),
        }
        connection.wait_closed();
    }
    // A body is of no use, but a small one does no harm.
    let mut connection = client.connect();
    let request = connection.request("GET", "/health", "Content-Length: 5\r\n");
    connection.send(&[&request[..], b"hello"].concat());
    assert_eq!(connection.receive().status, 200);
    assert_eq!(connection.get("/health").status, 200);
    for head in ["Content-Length: 100000\r\n", "Content-Length: 18446744073709551615\r\n"] {
        let mut connection = client.connect();
        let request = connection.request("GET", "/health", head);
        connection.send(&request);
        let answer = connection.receive();
        // A length beyond every number is refused by hyper already.
        assert!([413, 431].contains(&answer.status), "{answer:?}");
        connection.wait_closed();
    }
    // No request, half a request, half a second one, no further request.
    let mut silent: Vec<Connection> = (0..4).map(|_| client.connect()).collect();
    silent[1].send(b"GET /announce HTT");
    for connection in &mut silent[2..] {
        assert_eq!(connection.get("/health").status, 200);
    }
    silent[2].send(b"GET /health HTTP/1.1\r\nHost: a\r\n");
    for connection in &mut silent {
        connection.wait_closed();
    }
}

/// Whether it is ready, and what people and programs read.
pub fn health_and_statistics_are_served(door: Door) {
    let house = House::new(door);
    let client = client(&house, Family::V4);
    let health = client.get("/health");
    assert_eq!((health.status, health.text().lines().count()), (200, 1), "{health:?}");
    client.announce(&Announce::seeder(hash("statistics", Family::V4), 1));
    let page = client.get("/stats");
    assert_eq!(page.status, 200, "{page:?}");
    assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")), "{page:?}");
    let text = page.text();
    assert!(text.starts_with("<!DOCTYPE html>") || text.starts_with("<!doctype html>"), "{text}");
    assert!(text.contains("<svg") && text.contains("viewport"), "{text}");
    for external in ["<script src", "src=\"http", "href=\"http", "url(http", "@import"] {
        assert!(!text.contains(external), "{external} in {text}");
    }
    let policy = page.header("content-security-policy").unwrap_or_default();
    assert!(policy.contains("default-src 'none'"), "{page:?}");
    let json = client.get("/stats.json");
    assert_eq!(json.status, 200, "{json:?}");
    assert!(json.header("content-type").is_some_and(|kind| kind.starts_with("application/json")), "{json:?}");
    let value: serde_json::Value = serde_json::from_slice(&json.body).expect("JSON");
    assert!(value.is_object(), "{value}");
}

/// Under what they asked for, their family, and what became of them.
pub fn requests_are_counted(door: Door) {
    let house = House::new(door);
    for family in Family::BOTH {
        let client = client(&house, family);
        let hash = hash("counted", family);
        for port in 1..=3 {
            client.announce(&Announce::leecher(hash, port));
        }
        let _ = client.row(hash);
        client.get("/announce").failure();
        assert_eq!(client.get("/health").status, 200);
        let count = |metrics: &crate::metrics::Metrics, action, outcome| {
            let labels = [("action", action), ("family", family.label()), ("outcome", outcome)];
            metrics.sum("riptide_http_requests_total", &labels)
        };
        house.riptide().metrics_until("what was asked", |m| {
            count(m, "announce", "ok") == 3.0
                && count(m, "announce", "failure") == 1.0
                && count(m, "scrape", "ok") == 1.0
                && count(m, "health", "ok") == 1.0
        });
        let metrics = house.metrics();
        let leechers = [("family", family.label()), ("role", "leecher")];
        assert_eq!(metrics.sum("riptide_peers", &leechers), 3.0, "{}", metrics.text);
        assert!(metrics.text.contains("# TYPE riptide_http_requests_total counter"), "{}", metrics.text);
        assert!(metrics.text.contains("# HELP riptide_http_requests_total "), "{}", metrics.text);
    }
}
