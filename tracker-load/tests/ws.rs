//! The WebTorrent engine against small trackers that are honest, lying or none at all.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Fake, SPAN, TIMEOUT, head, more};
use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};
use tracker_load::{
    engine::{Engine as _, Offered},
    error::Error,
    figures::{Figures, Wrong},
    net::channel::Path,
    progress::Watch,
    target::{Protocol, Target},
    workload::{Popularity, Workload},
    ws::{Mode, Settings, Ws, frame::handshake},
};

const SWITCH: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// What a tracker makes of a message and its number: the frames it sends; `None` closes the connection.
type Judge = dyn Fn(&str, u64) -> Option<Vec<Vec<u8>>>;

/// A tracker that begins with these bytes.
fn start(
    switch: &'static [u8],
    judge: impl Fn(&str, u64) -> Option<Vec<Vec<u8>>> + Send + Sync + 'static,
) -> Fake {
    let messages = AtomicU64::new(0);
    Fake::start(move |stream| serve(stream, switch, &judge, &messages))
}

fn start_honest() -> Fake {
    start(SWITCH, |text, _| Some(honest(text)))
}

fn serve(mut stream: TcpStream, switch: &[u8], judge: &Judge, messages: &AtomicU64) {
    let (mut input, mut part, mut open) = (Vec::new(), [0; 4096], false);
    loop {
        match stream.read(&mut part) {
            Ok(len) if len > 0 => input.extend(&part[..len]),
            _ => return,
        }
        if !open {
            let Some(head) = head(&mut input) else { continue };
            assert!(head.starts_with("GET /tracker HTTP/1.1\r\n"), "{head}");
            assert!(
                head.contains("Upgrade: websocket\r\n") && head.contains("Sec-WebSocket-Version: 13\r\n")
            );
            open = true;
            if stream.write_all(switch).is_err() {
                return;
            }
        }
        while let Some((opcode, payload, len)) = unmask(&input) {
            input.drain(..len);
            if opcode != 1 {
                continue;
            }
            let text = String::from_utf8(payload).unwrap();
            let Some(frames) = judge(&text, messages.fetch_add(1, Relaxed)) else { return };
            if frames.iter().any(|frame| stream.write_all(frame).is_err()) {
                return;
            }
        }
    }
}

/// A client's frame: opcode, payload, length of the whole.
fn unmask(bytes: &[u8]) -> Option<(u8, Vec<u8>, usize)> {
    let short = usize::from(bytes.get(1)? & 0x7f);
    assert_eq!((bytes[0] & 0xf0, bytes[1] & 0x80), (0x80, 0x80), "final and masked");
    let (head, len) = match short {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().unwrap()))),
        127 => (10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().unwrap())).unwrap()),
        len => (2, len),
    };
    let mask = bytes.get(head..head + 4)?;
    let payload = bytes.get(head + 4..head + 4 + len)?;
    let payload = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    Some((bytes[0] & 15, payload, head + 4 + len))
}

fn frame(text: &str) -> Vec<u8> {
    let len = u16::try_from(text.len()).unwrap();
    let mut bytes = vec![0x81, 126];
    bytes.extend(len.to_be_bytes());
    bytes.extend(text.as_bytes());
    bytes
}

/// The raw JSON text of a string field that is followed by another one.
fn field<'a>(text: &'a str, name: &str) -> &'a str {
    let start = text.find(&format!("\"{name}\":\"")).unwrap() + name.len() + 4;
    let end = text[start..].find("\",\"").unwrap();
    &text[start..start + end]
}

const PEER: &str = "-XX0000-aaaaaaaaaaaa";

/// An announce gets its reply and an offer from another peer; an answer is sent on, as if to itself.
fn honest(text: &str) -> Vec<Vec<u8>> {
    let hash = field(text, "info_hash");
    let head = format!("{{\"action\":\"announce\",\"info_hash\":\"{hash}\"");
    if text.contains("\"answer\":") {
        assert!(text.contains(&format!("\"to_peer_id\":\"{PEER}\"")), "{text}");
        assert!(text.contains("\"offer_id\":\"bbbbbbbbbbbbbbbbbbbb\""), "{text}");
        let answer = "\"offer_id\":\"bbbbbbbbbbbbbbbbbbbb\",\"answer\":{\"type\":\"answer\",\"sdp\":\"x\"}";
        return vec![frame(&format!("{head},\"peer_id\":\"{PEER}\",{answer}}}"))];
    }
    let reply = frame(&format!("{head},\"interval\":120,\"complete\":1,\"incomplete\":2}}"));
    if !text.contains("\"offers\":[{") {
        return vec![reply];
    }
    assert_eq!(text.matches("\"type\":\"offer\"").count(), 3, "{text}");
    let offer = "\"offer_id\":\"bbbbbbbbbbbbbbbbbbbb\",\"offer\":{\"type\":\"offer\",\"sdp\":\"x\"}";
    let ping = vec![0x89, 1, b'p'];
    vec![frame(&format!("{head},\"peer_id\":\"{PEER}\",{offer}}}")), ping, reply]
}

fn settings(address: SocketAddr, mode: Mode) -> Settings {
    let target = Target::parse(&format!("ws://{address}/tracker"), Protocol::Ws, false).unwrap();
    Settings {
        path: Path { target: address, tls: None, sources: vec![] },
        handshake: handshake(&target),
        mode,
        connections: 4,
        offers: 3,
        wanted: 3,
        answers: 1.0,
        sdp: "sdp".into(),
        torrents_per_connection: 10,
        workload: Arc::new(Workload::new(20, 2000, 0.75, Popularity::Uniform, 1)),
        timeout: TIMEOUT,
        threads: 2,
        seed: 1,
    }
}

fn probe(settings: Settings) -> Figures {
    Ws::open(settings).unwrap().probe(Offered::Closed, SPAN, &Watch::new(2)).unwrap()
}

#[test]
fn announces_are_answered_and_offers_relayed() {
    let fake = start_honest();
    let figures = probe(settings(fake.address, Mode::Announce));
    assert!(figures.sent > 20, "{figures:?}");
    assert_eq!(figures.wrong_in_all(), 0, "{figures:?}");
    // What was on its way at the end may be answered or not, and its relays are not counted.
    assert!(figures.answered + figures.unanswered == figures.sent && figures.unanswered == 0, "{figures:?}");
    let offers = more(&figures, "relayed_offers");
    assert!(offers >= figures.answered - 4 && offers <= figures.sent, "{figures:?}");
    assert_eq!(more(&figures, "answers_sent"), offers);
    assert!(more(&figures, "relayed_answers") > 0 && more(&figures, "relayed_answers") <= offers);
    assert_eq!((more(&figures, "connections_opened"), more(&figures, "connections_open_at_end")), (4, 4));
}

#[test]
fn nothing_is_answered_where_nothing_shall_be() {
    let fake = start_honest();
    let figures = probe(Settings { answers: 0.0, ..settings(fake.address, Mode::Announce) });
    assert!(more(&figures, "relayed_offers") > 0);
    assert_eq!((more(&figures, "answers_sent"), more(&figures, "relayed_answers")), (0, 0));
}

#[test]
fn churn_opens_a_connection_for_each_announce() {
    let connections = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&connections);
    let fake = Fake::start(move |stream| {
        counted.fetch_add(1, Relaxed);
        serve(stream, SWITCH, &|text, _| Some(honest(text)), &AtomicU64::new(0));
    });
    let figures = probe(settings(fake.address, Mode::Churn));
    assert_eq!((figures.wrong_in_all(), more(&figures, "connections_failed")), (0, 0), "{figures:?}");
    let cycles = more(&figures, "cycles");
    assert!(cycles > 0 && cycles <= figures.answered, "{figures:?}");
    // One connection proved the tracker; some may have been on their way at the end.
    let opened = more(&figures, "connections_opened");
    assert!(opened >= cycles && opened <= cycles + 2 * 4, "{figures:?}");
    assert!(connections.load(Relaxed) > cycles);
}

#[test]
fn idle_connections_stay_and_the_lost_are_missed() {
    let fake = start(SWITCH, |text, number| {
        assert!(!text.contains("\"type\":\"offer\""));
        let mut frames = honest(text);
        if number == 5 {
            // Answered, then closed: going away.
            frames.push(vec![0x88, 2, 0x03, 0xe9]);
        }
        Some(frames)
    });
    let settings = Settings { connections: 20, offers: 0, ..settings(fake.address, Mode::Idle) };
    let figures = probe(settings);
    assert_eq!((figures.answered, figures.wrong_in_all()), (20, 0), "{figures:?}");
    assert_eq!(more(&figures, "connections_open_at_end"), 19, "{figures:?}");
}

/// A tracker whose every tenth reply is spoilt: wrong replies of this kind must be found, and no others.
fn lies(kind: Wrong, lie: impl Fn(&str) -> Option<Vec<Vec<u8>>> + Send + Sync + 'static) {
    let lies = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&lies);
    let judge = move |text: &str, number: u64| {
        if number == 0 || !number.is_multiple_of(10) || text.contains("\"answer\":") {
            return Some(honest(text));
        }
        counter.fetch_add(1, Relaxed);
        lie(text)
    };
    let fake = start(SWITCH, judge);
    let settings = Settings { answers: 0.0, timeout: TIMEOUT, ..settings(fake.address, Mode::Announce) };
    let figures = probe(settings);
    assert!(lies.load(Relaxed) > 0);
    assert_eq!(figures.wrong[kind as usize], lies.load(Relaxed), "{kind:?}: {figures:?}");
    assert_eq!(figures.wrong_in_all(), lies.load(Relaxed), "{kind:?}: {figures:?}");
}

#[test]
fn lies_are_told_apart() {
    lies(Wrong::Refused, |_| Some(vec![frame("{\"action\":\"announce\",\"failure reason\":\"no\"}")]));
    lies(Wrong::Malformed, |text| Some([vec![frame("{")], honest(text)].concat()));
    lies(Wrong::Malformed, |_| Some(vec![vec![0x82, 0]]));
    lies(Wrong::Unasked, |text| {
        let reply = honest(text).pop().unwrap();
        Some(vec![reply.clone(), reply])
    });
    lies(Wrong::Field, |text| {
        let hash = field(text, "info_hash");
        Some(vec![frame(&format!("{{\"action\":\"announce\",\"info_hash\":\"{hash}\",\"interval\":0}}"))])
    });
}

#[test]
fn a_broken_connection_is_opened_again() {
    let fake = start(SWITCH, |text, number| (number % 10 != 9).then(|| honest(text)));
    let figures = probe(Settings { answers: 0.0, ..settings(fake.address, Mode::Announce) });
    let failed = more(&figures, "connections_failed");
    assert!(failed > 0 && figures.answered > 0, "{figures:?}");
    assert_eq!((figures.unanswered, figures.wrong_in_all()), (failed, 0), "{figures:?}");
}

#[test]
fn what_is_no_tracker_is_said_to_be_none() {
    let refused = |address| Ws::open(settings(address, Mode::Announce)).unwrap_err();
    let answers = |switch, frames: fn(&str) -> Option<Vec<Vec<u8>>>| {
        let fake = start(switch, move |text, _| frames(text));
        match refused(fake.address) {
            Error::NotATracker { what, .. } => what,
            other => panic!("{other}"),
        }
    };
    let none = |_: &str| None;
    assert!(answers(b"HTTP/1.1 404 Not Found\r\n\r\n", none).contains("404"));
    assert!(answers(b"SSH-2.0\r\n\r\n", none).contains("no WebSocket handshake"));
    assert!(answers(SWITCH, none).contains("ended the connection"));
    assert!(answers(SWITCH, |_| Some(vec![frame("{\"failure reason\":\"go away\"}")])).contains("go away"));
    assert!(answers(SWITCH, |_| Some(vec![frame("{}")])).contains("no reply"));
    assert!(answers(SWITCH, |_| Some(vec![vec![0x88, 0]])).contains("closed"));

    let silent = start(SWITCH, |_, _| Some(vec![]));
    assert!(matches!(refused(silent.address), Error::Silent { what: "announce", .. }));
    let mute = start(b"", |_, _| None);
    assert!(matches!(refused(mute.address), Error::Silent { what: "handshake", .. }));
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert!(matches!(refused(free), Error::Unreachable { .. }));
}

#[test]
fn a_pace_is_refused() {
    let fake = start_honest();
    let mut engine = Ws::open(settings(fake.address, Mode::Announce)).unwrap();
    assert!(matches!(engine.probe(Offered::Rate(1.0), SPAN, &Watch::new(2)), Err(Error::Usage(_))));
}
