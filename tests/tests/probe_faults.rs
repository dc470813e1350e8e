//! `riptide probe` at trackers that are not there, do not answer, or lie.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use tests::{
    liars::{ANNOUNCE, CONNECT, ClosedPort, HttpAnswer, HttpTracker, SCRAPE, UdpTracker, ok},
    probe::{Probed, probe},
    rig::Family,
    web::house::{Door, House},
};

/// Long enough for an answer on this host, however busy it is; a third of it is waited before a request goes again.
const PATIENT: &str = "--timeout 20s";
/// For where no answer comes.
const IMPATIENT: &str = "--timeout 300ms";

/// Probes a tracker over UDP whose answers go through this.
fn udp(flags: &str, bend: impl FnMut(u8, &[u8], Vec<u8>) -> Vec<Vec<u8>> + Send + 'static) -> Probed {
    let tracker = UdpTracker::new(bend);
    probe(&format!("{flags} {}", tracker.url()))
}

/// The same for the answers to one action.
fn bent(flags: &str, of: u8, mut bend: impl FnMut(&mut Vec<u8>) + Send + 'static) -> Probed {
    udp(flags, move |action, _, mut reply| {
        if action == of {
            bend(&mut reply);
        }
        vec![reply]
    })
}

#[test]
fn honest_trackers_are_fine() {
    udp(PATIENT, |_, _, reply| vec![reply]).is_fine();
    http(PATIENT, |_, body| ok(&body)).is_fine();
}

#[test]
fn what_is_sent_is_what_clients_send() {
    // The path goes along (BEP 41), as the last thing of each announce.
    let probed = udp(PATIENT, |action, request, reply| {
        let expected: &[u8] = if action == ANNOUNCE { b"\x02\x09/announce" } else { b"" };
        let fixed = [16, 98, 36][usize::from(action)];
        assert_eq!(&request[fixed..], expected);
        vec![reply]
    });
    probed.is_fine();
    let tracker = HttpTracker::new(|request, body| {
        assert!(
            request.head.contains("User-Agent: riptide-probe/")
                || request.head.contains("user-agent: riptide-probe/")
        );
        let secret = request.parameter("secret");
        assert_eq!(secret, Some("1"), "what stands in the address stays");
        assert!(request.is_to("/x/announce") || request.is_to("/x/scrape"));
        ok(&body)
    });
    probe(&format!("{PATIENT} {}", tracker.url("/x/announce?secret=1"))).is_fine();
}

#[test]
fn closed_ports_are_told_from_silence() {
    let port = ClosedPort::new();
    let closed = port.address;
    let probed = probe(&format!("{PATIENT} udp://{closed}"));
    probed.is_wrong("connect 1", &format!("refused: nothing listens on UDP port {}", closed.port()));
    for scheme in ["http", "https", "ws", "wss"] {
        let probed = probe(&format!("{PATIENT} {scheme}://{closed}/announce"));
        probed.is_wrong("connect", &format!("refused: nothing listens on TCP port {}", closed.port()));
    }
    let hole = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let probed = probe(&format!("{IMPATIENT} udp://{}", hole.local_addr().unwrap()));
    probed.is_wrong("connect 1", "no answer in 0.3 s: nothing runs there, or a firewall drops");
    // It was asked twice, with the same words.
    let mut buffers = [[0; 64]; 2];
    let lengths = buffers.each_mut().map(|buffer| hole.recv(buffer).unwrap());
    assert_eq!((lengths, buffers[0]), ([16, 16], buffers[1]));
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = silent.local_addr().unwrap();
    for (scheme, step) in [("http", "announce 1"), ("ws", "upgrade 1"), ("https", "TLS"), ("wss", "TLS")] {
        probe(&format!("{IMPATIENT} {scheme}://{address}/announce")).is_wrong(step, "in 0.3 s");
    }
}

#[test]
fn other_transaction_ids_are_told() {
    let probed = bent(IMPATIENT, CONNECT, |reply| reply[7] ^= 1);
    probed.is_wrong("connect 1", "came with another transaction ID (0x");
    let probed = bent(IMPATIENT, ANNOUNCE, |reply| reply[4] ^= 0x80);
    probed.is_wrong("announce 1", "came with another transaction ID (0x");
    // Beside a good one they do no harm.
    let probed = udp(PATIENT, |_, _, reply| {
        let mut stray = reply.clone();
        stray[5] ^= 1;
        vec![stray, reply.clone(), reply]
    });
    probed.is_fine();
    bent(IMPATIENT, CONNECT, |reply| reply.truncate(7)).is_wrong("connect 1", "what came has 7 bytes");
}

#[test]
fn truncated_replies_are_told() {
    bent(PATIENT, CONNECT, |reply| reply.truncate(15))
        .is_wrong("connect 1", "has 15 bytes, and 16 are the least");
    bent(PATIENT, ANNOUNCE, |reply| reply.truncate(19))
        .is_wrong("announce 1", "has 19 bytes, and 20 are the least");
    bent(PATIENT, SCRAPE, |reply| reply.truncate(19))
        .is_wrong("scrape", "has 19 bytes, and 20 are the least");
    bent(PATIENT, ANNOUNCE, |reply| reply[3] = 2)
        .is_wrong("announce 1", "one to action 2, and action 1 (announce)");
}

#[test]
fn lists_that_lie_are_told() {
    let probed = bent(PATIENT, ANNOUNCE, |reply| {
        if reply.len() > 20 {
            reply.push(9);
        }
    });
    probed.is_wrong("announce 2", "the list of peers has 7 bytes, no multiple of 6");
    // Whoever asks, in the place of whom it looks for.
    let own = |request: &[u8]| [&[127, 0, 0, 1][..], &request[96..98]].concat();
    let probed = udp(PATIENT, move |action, request, mut reply| {
        if action == ANNOUNCE {
            reply.truncate(20);
            reply.extend(own(request));
        }
        vec![reply]
    });
    probed.is_wrong("announce 2", "the first client is not in the list (1 peer)");
    assert!(probed.text.contains("note: it lists the client's own address"), "{}", probed.text);
    // Beside the other it is a waste, and nothing wrong.
    let probed = udp(PATIENT, move |action, request, mut reply| {
        if action == ANNOUNCE {
            reply.extend(own(request));
        }
        vec![reply]
    });
    probed.notes("announce 2", "it lists the client's own address");
    // Somebody who has never announced.
    let probed = bent(PATIENT, ANNOUNCE, |reply| reply.extend([203, 0, 113, 1, 0x1a, 0xe1]));
    probed.is_wrong("announce 2", "though nobody but this probe has announced this torrent");
    bent(PATIENT, ANNOUNCE, |reply| reply.truncate(20))
        .is_wrong("announce 2", "ask this one from another host");
}

#[test]
fn a_tracker_that_lists_itself_is_told() {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let [high, low] = socket.local_addr().unwrap().port().to_be_bytes();
    let tracker = UdpTracker::with(socket, move |action, _, mut reply| {
        if action == ANNOUNCE {
            reply.extend([127, 0, 0, 1, high, low]);
        }
        vec![reply]
    });
    let probed = probe(&format!("{PATIENT} {}", tracker.url()));
    probed.is_wrong("announce 2", "it lists its own address as that of a peer");
}

#[test]
fn lost_datagrams_are_asked_for_again() {
    let mut seen = 0;
    let probed = udp("--timeout 3s", move |_, _, reply| {
        seen += 1;
        if seen == 1 { Vec::new() } else { vec![reply] }
    });
    probed.notes("connect 1", "was lost: this came after it was sent again");
}

#[test]
fn refusals_are_shown_without_what_a_terminal_would_obey() {
    let probed = udp(PATIENT, |action, request, reply| match action {
        ANNOUNCE => vec![[&[0, 0, 0, 3], &request[12..16], b"go \x1b[31maway\x1b[0m"].concat()],
        _ => vec![reply],
    });
    probed.is_wrong("announce 1", "the tracker refuses: \"go \\u{1b}[31maway\\u{1b}[0m\"");
    assert!(!probed.text.contains('\x1b'), "{:?}", probed.text);
    assert!(!probed.text.contains("stop"), "who was refused has nothing to leave:\n{}", probed.text);
}

/// Probes a tracker over HTTP whose answers go through this.
fn http(
    flags: &str,
    bend: impl FnMut(&tests::liars::Request, Vec<u8>) -> HttpAnswer + Send + 'static,
) -> Probed {
    let tracker = HttpTracker::new(bend);
    probe(&format!("{flags} {}", tracker.url("/announce")))
}

#[test]
fn pages_instead_of_replies_are_told() {
    let probed = http(PATIENT, |_, _| ok(b"<!DOCTYPE html><html><body>hello</body></html>"));
    probed.is_wrong("announce 1", "a page and not bencoded: is this the announce address? \"<!DOCTYPE html>");
    let probed = http(PATIENT, |_, _| {
        HttpAnswer::Whole(b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope".to_vec())
    });
    probed
        .is_wrong("announce 1", "status 404 where clients expect 200: the answer is not bencoded: \"nope\"");
    let probed = http(PATIENT, |_, _| HttpAnswer::Whole(b"220 mail.example ESMTP\r\n".to_vec()));
    probed.is_wrong("announce 1", "the answer is not HTTP");
    http(PATIENT, |_, _| HttpAnswer::Whole(Vec::new())).is_wrong("announce 1", "closed without an answer");
}

#[test]
fn bent_bencode_is_told() {
    let probed = http(PATIENT, |_, body| {
        let text = String::from_utf8_lossy(&body).replace("d8:completei", "d8:intervali9e8:completei");
        ok(text.as_bytes())
    });
    probed.is_wrong("announce 1", "keys are not sorted: \"complete\" stands behind \"interval\"");
    http(PATIENT, |_, body| ok(&body[..body.len() / 2])).is_wrong("announce 1", "it ends in the middle");
    let probed = http(PATIENT, |_, body| {
        let end = body.iter().rposition(|&byte| byte == b':').unwrap();
        ok(&[&body[..end - 1], b"5:abcdee"].concat())
    });
    probed.is_wrong("announce 1", "`peers` has 5 bytes, no multiple of 6 (BEP 23)");
}

#[test]
fn answers_without_an_end_have_one_all_the_same() {
    let head = || b"HTTP/1.1 200 OK\r\n\r\nd5:peers".to_vec();
    let probed = http(PATIENT, move |_, _| HttpAnswer::Endless(head(), vec![b'x'; 65_536]));
    probed.is_wrong("announce 1", "longer than 1024 KiB: clients do not read on");
    let probed =
        http(PATIENT, |_, _| HttpAnswer::Endless(b"HTTP/1.1 200 OK\r\n".to_vec(), b"a: b\r\n".repeat(1000)));
    probed.is_wrong("announce 1", "the answer is not HTTP");
    let probed = http(IMPATIENT, move |_, _| HttpAnswer::Stuck(head()));
    probed.is_wrong("announce 1", "not whole after 0.3 s: 8 bytes of it came");
    http(IMPATIENT, |_, _| HttpAnswer::Stuck(b"HTTP/1.1 20".to_vec()))
        .is_wrong("announce 1", "no answer in 0.3 s");
}

#[test]
fn redirects_are_followed_as_far_as_they_lead_anywhere() {
    let to = |location: &str| {
        HttpAnswer::Whole(
            format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n").into_bytes(),
        )
    };
    let probed = http(PATIENT, move |request, body| match request.target.strip_prefix("/announce") {
        Some(query) => to(&format!("/elsewhere{query}")),
        None => ok(&body),
    });
    probed.notes("announce 1", "status 302 redirects to http://127.0.0.1:");
    let probed = http(PATIENT, move |request, _| to(&format!("{}x", request.target)));
    probed.is_wrong("announce 1", "more than 5 redirects");
    http(PATIENT, move |_, _| to("ftp://127.0.0.1/")).is_wrong("announce 1", "which is no address");
    http(PATIENT, move |_, _| to("udp://127.0.0.1:1/")).is_wrong("announce 1", "where HTTP is not spoken");
    let port = ClosedPort::new();
    let gone = port.address;
    http(PATIENT, move |_, _| to(&format!("http://{gone}/")))
        .is_wrong("announce 1", "refused: nothing listens");
}

#[test]
fn scrapes_that_are_not_answered_are_no_fault() {
    let not_found = || HttpAnswer::Whole(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec());
    let probed =
        http(PATIENT, move |request, body| if request.is_to("/scrape") { not_found() } else { ok(&body) });
    probed.notes("scrape", "the tracker answers no scrapes: status 404");
    let tracker = HttpTracker::new(|_, body| ok(&body));
    probe(&format!("{PATIENT} {}", tracker.url("/a")))
        .notes("scrape", "there is no address for scrapes (BEP 48)");
}

#[test]
fn plain_http_where_tls_is_due_is_told() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        let mut rest = Vec::new();
        let _ = std::io::Read::read_to_end(&mut stream, &mut rest);
    });
    let probed = probe(&format!("{PATIENT} https://{address}/announce"));
    probed.is_wrong("TLS", "does not speak TLS: is this the port of plain HTTP?");
    server.join().unwrap();
}

#[test]
fn a_tracker_that_relays_no_offers_is_told() {
    let house = House::with(Door::Plain, "", "[websocket]\nmax_offers = 0");
    let address = house.address(Family::V4);
    let probed = probe(&format!("--timeout 2s ws://{address}"));
    probed.is_wrong("offer", "the second client's offer did not come in 2 s: pages do not find each other");
    assert!(probed.finds("ok", "announce 2", "1 seeder, 1 leecher"), "{}", probed.text);
}
