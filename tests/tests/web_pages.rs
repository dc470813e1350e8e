//! The pages for people, as programs see them: what they say, what a browser may do with them, and who may follow them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use nix::sys::signal::Signal;
use std::io::Read as _;
use tests::{
    eventually,
    private::Files,
    rig::Family,
    scripts::node,
    udp::id20,
    web::{
        house::{Door, House},
        http::{Announce, Announced, Connection},
        stream::is_closed,
    },
};

/// The addresses that a page offers to copy.
fn urls(page: &str) -> Vec<String> {
    let codes = page.split("<code").skip(1);
    let inside =
        codes.map(|rest| rest.split_once('>').expect("an element").1.split('<').next().unwrap().to_owned());
    inside.collect()
}

/// The page at `/` of whoever calls the host so.
fn front(connection: &mut Connection, host: &str) -> String {
    connection.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
    let answer = connection.receive();
    assert_eq!(answer.status, 200, "{host}");
    answer.text()
}

#[test]
fn announce_urls_are_those_of_the_listeners() {
    let house = House::every("", "");
    let (udp, http, https) = (house.riptide().udp(), house.riptide().http(), house.riptide().https());
    for (host, family) in [("127.0.0.1:1", Family::V4), ("[::1]", Family::V6)] {
        let is_of = |address: &&std::net::SocketAddr| address.is_ipv6() == (family == Family::V6);
        let [udp, http, https] = [udp, http, https].map(|all| all.iter().find(is_of).expect("a listener"));
        let page = front(&mut house.client(Family::V4, 1).connect(), host);
        assert_eq!(
            urls(&page),
            [
                format!("udp://{udp}/announce"),
                format!("https://{https}/announce"),
                format!("http://{http}/announce"),
                format!("wss://{https}"),
                format!("ws://{http}"),
            ],
            "{page}"
        );
        // They are no mere words.
        let hash = id20("copied", 0);
        let answer = house.client(family, 1).get(&Announce::leecher(hash, 1).target());
        assert_eq!(Announced::read(&answer).incomplete, i64::from(family == Family::V6) + 1);
    }
}

#[test]
fn a_public_host_goes_before_what_the_request_says() {
    let house = House::with(Door::Plain, "public_host = \"https://Tracker.Example\"", "");
    let page = front(&mut house.client(Family::V4, 1).connect(), "other.example");
    // Its UDP listeners are loopback addresses, which nobody reaches by that name.
    assert_eq!(urls(&page), ["https://tracker.example/announce", "wss://tracker.example"]);
    assert!(!page.contains("other.example"));
}

#[test]
fn nothing_that_a_request_says_is_markup() {
    let house = House::new(Door::Plain);
    let mut connection = house.client(Family::V4, 1).connect();
    for host in
        ["<script>alert(1)</script>", "q\"onclick=\"z", "q'z", "&ltq;", "qq zz", "javascript:q", "q:y@z", "é"]
    {
        let page = front(&mut connection, host);
        assert!(!page.contains(host) && !page.contains("alert(1)") && !page.contains("onclick"), "{page}");
    }
    // Nor what the target says, which goes before the header.
    connection.send(b"GET http://b.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n");
    let page = connection.receive().text();
    assert!(
        !page.contains("a.example") && !page.contains("b.example"),
        "no listener is reached by it: {page}"
    );
    assert!(page.contains("http.public_host"), "{page}");
}

#[test]
fn a_private_tracker_shows_where_the_key_goes() {
    let files = Files::new(&["key-of_a_member"], "");
    let house = House::with(Door::Plain, "", &files.access());
    let page = front(&mut house.client(Family::V4, 1).connect(), "127.0.0.1");
    let urls = urls(&page);
    assert!(urls.len() == 3 && urls.iter().all(|url| url.contains("/KEY")), "{urls:?}");
    assert!(page.contains("is private") && !page.contains("key-of_a_member"), "{page}");
}

#[test]
fn pages_let_a_browser_do_nothing_else() {
    let house = House::new(Door::Plain);
    let client = house.client(Family::V4, 1);
    for path in ["/", "/stats"] {
        let answer = client.get(path);
        let policy = answer.header("content-security-policy").expect("a policy");
        for part in
            ["default-src 'none'", "script-src 'sha256-", "style-src 'sha256-", "frame-ancestors 'none'"]
        {
            assert!(policy.contains(part), "{part} in {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    }
    assert_eq!(client.get("/").header("cache-control"), Some("max-age=60"));
    assert_eq!(client.get("/stats").header("cache-control"), Some("no-store"));
    assert!(client.get("/").body.len() < 16 << 10);
}

#[test]
fn the_front_page_can_be_turned_off() {
    let house = House::with(Door::Plain, "page = false", "");
    let client = house.client(Family::V4, 1);
    assert_eq!((client.get("/").status, client.get("/stats").status), (404, 200));
    let _ = client.websocket();
}

/// Somebody who follows `/stats`.
struct Follower {
    connection: Connection,
    read: Vec<u8>,
}

impl Follower {
    fn new(mut connection: Connection) -> Self {
        let request = connection.request("GET", "/stats/events", "Accept: text/event-stream\r\n");
        connection.send(&request);
        let mut follower = Self { connection, read: Vec::new() };
        follower.until("retry: ");
        let head = String::from_utf8_lossy(&follower.read).to_lowercase();
        assert!(
            head.starts_with("http/1.1 200 ") && head.contains("\r\ncontent-type: text/event-stream\r\n"),
            "{head}"
        );
        follower
    }

    /// Reads until this has come; nothing before it counts again.
    fn until(&mut self, text: &str) {
        loop {
            if let Some(at) = self.read.windows(text.len()).position(|window| window == text.as_bytes()) {
                if text != "retry: " {
                    self.read.drain(..at);
                }
                return;
            }
            assert!(self.more() > 0, "the end before {text}: {}", String::from_utf8_lossy(&self.read));
        }
    }

    /// Reads to the end.
    fn until_end(mut self) -> Vec<u8> {
        while self.more() > 0 {}
        self.read
    }

    fn more(&mut self) -> usize {
        let mut part = [0; 16 << 10];
        match self.connection.stream().read(&mut part) {
            Ok(length) => {
                self.read.extend(&part[..length]);
                length
            }
            Err(error) if is_closed(&error) => 0,
            Err(error) => panic!("no event: {error}"),
        }
    }
}

fn is_told_of_what_changes(door: Door) {
    let mut house = House::with(door, "idle_timeout = \"1s\"", "");
    let client = house.client(Family::V4, 1);
    let mut follower = Follower::new(client.connect());
    follower.until("data: now\n");
    follower.until("<dt>Torrents</dt><dd class=\"big\">0<");
    client.announce(&Announce::leecher(id20("followed", 0), 1));
    follower.until("<dt>Torrents</dt><dd class=\"big\">1<");
    // It was quiet for longer than a client may be.
    follower.until("data: refusals\n");
    house.riptide().signal(Signal::SIGTERM);
    let rest = follower.until_end();
    assert!(rest.ends_with(b"0\r\n\r\n"), "{door:?}: {:?}", String::from_utf8_lossy(&rest));
    assert_eq!(house.riptide_mut().wait().code(), Some(0), "{}", house.riptide().log_text());
}

#[test]
fn who_follows_hears_of_what_changes_and_the_end_is_in_order() {
    std::thread::scope(|scope| {
        for door in [Door::Plain, Door::Tls, Door::Unix] {
            scope.spawn(move || is_told_of_what_changes(door));
        }
    });
}

#[test]
fn no_more_follow_than_may_and_their_places_come_free() {
    let house = House::with(Door::Plain, "max_stats_streams = 2", "");
    let client = house.client(Family::V4, 1);
    let followers = [Follower::new(client.connect()), Follower::new(client.connect())];
    let answer = client.get("/stats/events");
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("10")), "{answer:?}");
    assert!(answer.text().contains("http.max_stats_streams"));
    assert_eq!(client.get("/stats").status, 200);
    drop(followers);
    eventually("a place", || {
        let mut connection = client.connect();
        let request = connection.request("HEAD", "/stats/events", "");
        connection.send(&request);
        (connection.try_receive(true).expect("an answer").status == 200).then_some(())
    });
    house.is_well();
}

#[test]
fn nobody_follows_where_nobody_may() {
    let house = House::with(Door::Plain, "max_stats_streams = 0", "");
    assert_eq!(house.client(Family::V4, 1).get("/stats/events").status, 503);
}

/// The connection goes on at the process before until that parts from it, and the client comes back to the next one.
#[test]
fn a_hand_over_ends_what_is_followed() {
    let mut house = House::new(Door::Plain);
    let mut follower = Follower::new(house.client(Family::V4, 1).connect());
    follower.until("data: now\n");
    let mut before = house.hand_over();
    assert!(follower.until_end().ends_with(b"0\r\n\r\n"));
    assert_eq!(before.wait_alone().code(), Some(0), "{}", before.log_text());
    Follower::new(house.client(Family::V4, 1).connect()).until("data: now\n");
}

/// What people see and do, in a browser: see `tests/clients/tracker_pages.js`.
#[test]
fn a_browser_shows_the_pages_and_they_work_there() {
    let house = House::with(Door::Plain, "", "");
    let crowded = House::with(Door::Plain, "max_stats_streams = 1", "");
    let page = front(&mut house.client(Family::V4, 1).connect(), "127.0.0.1");
    let places = [&house, &crowded].map(|house| format!("http://{}/", house.address(Family::V4)));
    let said = node("tracker_pages.js", &[&places[0], &places[1], &urls(&page).join(" ")], None);
    assert_eq!(said.lines().filter(|line| line.starts_with("passed: ")).count(), 7, "{said}");
}
