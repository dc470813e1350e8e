//! What goes from one process to the other, held against bytes written by hand and a plain list of who is there.

use super::{
    channel::Channel,
    messages::{HEAD, Hello, Inventory, Item, MAX_REST, Message},
    swarms::Following,
    taker::{Swarms, until},
};
use crate::{
    clock::Clock,
    metrics::before::{Counted, Series, Took},
    swarms::take_in::TakeIn,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    os::unix::net::UnixStream,
    sync::Arc,
    time::Duration,
};
use tracker_common::{address::Address, siphash::Key};
use tracker_core::{
    engine::{Announce, CountedBy, Cursor, Engine, Listener, Lists, Place, Seen, Verdict, Visitor, Want},
    model::{Counts, Event, InfoHash, Role},
    nodes::SharedNodes,
    policy::Policy,
    records::{PeerRecord, RecordWriter, State, TorrentRecord},
    rng::Rng,
};

fn frame(kind: u8, rest: &[u8]) -> Vec<u8> {
    [&[kind, 0, 0, 0], &u32::try_from(rest.len()).unwrap().to_le_bytes()[..], rest].concat()
}

fn read(frame: &[u8]) -> Message {
    let (head, rest) = frame.split_first_chunk::<HEAD>().unwrap();
    assert_eq!(Message::rest_len(*head), Ok(rest.len()));
    Message::read(head[0], rest).unwrap()
}

#[test]
fn seconds_that_were_counted_are_read_as_they_were_written() {
    // Digits that a reader of numbers in a hurry rounds to the one beside it.
    for seconds in ["2.0000000000000003e-16", "5.0e-324", "0.1", "123456.78901234567"] {
        let text = format!(r#"{{"counters":[],"durations":[[["udp","scrape"],[2,0],{seconds}]]}}"#);
        let sent = frame(b'c', text.as_bytes());
        let again = read(&sent).frame();
        assert_eq!(again, read(&again).frame(), "{seconds}");
        let Message::Counted(counted) = read(&sent) else { panic!("counters") };
        let exact = seconds.parse::<f64>().unwrap();
        assert!(
            counted.durations.values().all(|took| took.seconds.to_bits() == exact.to_bits()),
            "{seconds}"
        );
    }
}

#[test]
fn messages_are_as_they_are_described() {
    let hello = Hello { version: [1, 0], release: "1.2.3".to_owned(), pid: 7 };
    let udp = Item::Udp { configured: "127.0.0.1:0".to_owned(), address: "127.0.0.1:5".to_owned() };
    let link = Item::Link { interface: "eth0".to_owned(), index: 2, mode: "native".to_owned() };
    let master = Key::from_bytes(std::array::from_fn(|i| i as u8));
    let series =
        Series { name: "riptide_a_total".to_owned(), labels: vec![("path".to_owned(), "xsk".to_owned())] };
    let counted = Counted {
        counters: BTreeMap::from([(series, 5)]),
        durations: BTreeMap::from([(
            ["udp", "scrape"].map(str::to_owned),
            Took { buckets: vec![1, 0], seconds: 0.5 },
        )]),
    };
    for (message, kind, rest) in [
        (Message::Hello(hello), b'h', r#"{"version":[1,0],"release":"1.2.3","pid":7}"#),
        (Message::Descriptors(3), b'd', "3"),
        (
            Message::Inventory(Inventory::new(vec![udp, link], master, 17)),
            b'i',
            concat!(
                r#"{"items":[{"kind":"udp","configured":"127.0.0.1:0","address":"127.0.0.1:5"},"#,
                r#"{"kind":"link","interface":"eth0","index":2,"mode":"native"}],"#,
                r#""key":"000102030405060708090a0b0c0d0e0f","clock_base_ns":17}"#
            ),
        ),
        (Message::Fetch, b'f', ""),
        (Message::Written(0x7a79_7877), b't', "wxyz"),
        (Message::Swarms(b"records".to_vec()), b's', "records"),
        (
            Message::Shares { node: "ams-1".to_owned(), records: b"records".to_vec() },
            b'n',
            "\x05ams-1records",
        ),
        (Message::Walked, b'w', ""),
        (Message::Prepared, b'p', ""),
        (
            Message::Counted(counted),
            b'c',
            concat!(
                r#"{"counters":[["riptide_a_total",[["path","xsk"]],5]],"#,
                r#""durations":[[["udp","scrape"],[1,0],0.5]]}"#
            ),
        ),
        (Message::Yours, b'y', ""),
        (Message::Serving, b'r', ""),
        (Message::Left, b'l', ""),
        (Message::Bye, b'b', ""),
        (Message::Revoked("why".to_owned()), b'x', "\"why\""),
    ] {
        let bytes = frame(kind, rest.as_bytes());
        assert_eq!(message.frame(), bytes, "{}", message.name());
        assert_eq!(read(&bytes), message);
    }
    // What a later version adds is passed over.
    assert_eq!(read(&frame(b'!', b"later")), Message::Unknown(b'!'));
    let later = br#"{"items":[{"kind":"later","x":1}],"key":"000102030405060708090a0b0c0d0e0f","clock_base_ns":1,"y":2}"#;
    let Message::Inventory(inventory) = read(&frame(b'i', later)) else { panic!("an inventory") };
    assert_eq!((inventory.items, inventory.clock_base_ns), (vec![Item::Unknown], 1));
}

#[test]
fn what_is_out_of_bounds_is_no_message() {
    assert!(Message::rest_len([b'h', 0, 1, 0, 0, 0, 0, 0]).is_err());
    let [a, b, c, d] = u32::try_from(MAX_REST + 1).unwrap().to_le_bytes();
    assert!(Message::rest_len([b's', 0, 0, 0, a, b, c, d]).is_err());
    for (kind, rest) in [
        (b'h', &b"{}"[..]),
        (b'd', b"0"),
        (b'd', b"129"),
        (b'd', b"-1"),
        (b'i', br#"{"items":[],"key":"00","clock_base_ns":1}"#),
        (b'x', b"\xff"),
        (b'c', b"[]"),
        (b'n', b""),
        (b'n', b"\x06ams-1"),
        (b'n', b"\x05ams.1records"),
    ] {
        assert!(Message::read(kind, rest).is_err(), "{}", String::from_utf8_lossy(rest));
    }
    let long = Message::Revoked("x".repeat(100_000)).frame();
    assert!(long.len() < 5000);
}

const PEERS: u16 = 3000;

fn engine() -> Arc<Engine> {
    Arc::new(Engine::new(Policy::default(), [3, 4]))
}

fn peer(number: u16) -> (Address, u16) {
    let [a, b] = number.to_be_bytes();
    (Address::from_ipv4([10, 0, a, b]), 1 + number)
}

/// Torrents by their first byte, and peers by their number.
fn announce(engine: &Engine, torrent: u8, number: u16, event: Event) {
    let (address, port) = peer(number);
    let announce = Announce {
        info_hash: InfoHash([torrent; 20]),
        address,
        port,
        event,
        left: u64::from(number % 2),
        want: Want::Own(0),
    };
    let mut rng = Rng::new([1, 2]);
    engine.announce(&announce, clock().now(), &mut rng, &mut Lists::default()).unwrap();
}

fn clock() -> Clock {
    Clock::new(1_000_000_000_000)
}

#[derive(Default)]
struct Present(u8, BTreeSet<(u8, u16)>);

impl Visitor for Present {
    fn torrent(&mut self, info_hash: &InfoHash, _: &Counts, _: bool) -> Verdict {
        self.0 = info_hash.0[0];
        Verdict::Keep
    }

    fn peer(&mut self, seen: &Seen<'_>) -> Verdict {
        let Place::At(_, port) = seen.place() else { panic!("a peer at an address") };
        self.1.insert((self.0, port - 1));
        Verdict::Keep
    }
}

fn present(engine: &Engine) -> BTreeSet<(u8, u16)> {
    let (mut cursor, mut present) = (Cursor::default(), Present::default());
    while !engine.walk(&mut cursor, clock().now(), 1000, &mut present).ended {}
    present.1
}

#[test]
fn a_copy_follows_what_comes_and_goes() {
    let (from, to) = (engine(), engine());
    let mut expected = BTreeSet::new();
    for number in 0..PEERS {
        let torrent = (number % 7) as u8;
        announce(&from, torrent, number, Event::Started);
        expected.insert((torrent, number));
    }
    let mut following = Following::new(from.clone(), SharedNodes::default(), clock());
    let mut written = 0;
    let mut take = |message: Message| {
        let records = match message {
            Message::Swarms(records) => records,
            Message::Written(_) => return Ok(()),
            other => panic!("{other:?}"),
        };
        written += records.len();
        TakeIn::new(&to, clock().now()).records(&records, 0, CountedBy::Own).unwrap();
        Ok::<_, Infallible>(())
    };
    following.walk(&mut take).unwrap();
    assert_eq!(present(&to), expected);
    // More than a journal holds, all in one torrent, and less in another.
    for number in 0..2 * PEERS {
        announce(&from, 1, number, Event::None);
        expected.insert((1, number));
    }
    for number in (0..PEERS).step_by(7) {
        announce(&from, 0, number, Event::Stopped);
        expected.remove(&(0, number));
    }
    following.changes(&mut take).unwrap();
    assert_eq!(present(&to), expected);
    following.changes(&mut take).unwrap();
    let before = written;
    let mut nothing = |message: Message| Err(message.name());
    assert_eq!(following.changes(&mut nothing), Ok(()), "nothing has changed");
    assert!(before > 0);
    drop(following);
    announce(&from, 1, 1, Event::None);
    assert_eq!(
        from.take_changes(Listener::Successor, 0, &mut Vec::new()).changes,
        0,
        "nobody listens any more"
    );
}

/// Records wait until they are taken in. Meanwhile time goes on, and others tell that a peer has gone.
#[test]
fn who_went_before_a_record_of_it_is_taken_in_stays_away() {
    let (name, patience) = (InfoHash([1; 20]), Duration::from_secs(10));
    let record =
        |port, state, age| PeerRecord { address: Address::from_ipv4([10, 0, 0, 1]), port, state, age };
    let here = State::Here { role: Role::Leecher, counted: false };
    let torrent = TorrentRecord { info_hash: name, downloaded: 0, age: 0 };
    let to = engine();
    to.listen(Listener::Cluster, 100);
    // Three seconds ago it was written down that two were heard of just then; one of them has gone within that second.
    let now = clock().now();
    to.import(&torrent, &[record(1, State::Gone, 3)], now, CountedBy::Own).unwrap();
    let mut writer = RecordWriter::default();
    writer.torrent(torrent);
    [1, 2].into_iter().for_each(|port| writer.peer(&record(port, here, 0)));
    let (a, b) = UnixStream::pair().unwrap();
    let [mut giver, mut taker] = [a, b].map(|stream| Channel::new(stream, Vec::new()).unwrap());
    for message in [Message::Written(now - 3), Message::Swarms(writer.take()), Message::Walked] {
        giver.send(&message, patience).unwrap();
    }
    let (nodes, clock) = (SharedNodes::default(), clock());
    until(&mut taker, patience, &Message::Walked, Swarms { engine: &to, nodes: &nodes, clock }, None)
        .unwrap();
    assert_eq!(present(&to), BTreeSet::from([(1, 1)]));
}

/// A copy has the same counts, each node's by its name, whatever numbers the two give them.
#[test]
fn a_copy_counts_downloads_as_each_node_did() {
    let (from, to) = (engine(), engine());
    let [here, there] = [(); 2].map(|()| SharedNodes::default());
    there.lock().number("fra-1").unwrap();
    let now = clock().now();
    let tell = |torrent: u8, downloaded, node: Option<&str>| {
        let by = node.map(|name| CountedBy::Node(here.lock().number(name).unwrap()));
        let record = TorrentRecord { info_hash: InfoHash([torrent; 20]), downloaded, age: 0 };
        from.import(&record, &[], now, by.unwrap_or(CountedBy::Own)).unwrap();
    };
    announce(&from, 1, 0, Event::Completed);
    tell(1, 5, Some("ams-1"));
    tell(1, 7, Some("fra-1"));
    tell(2, 3, Some("ams-1"));
    tell(2, 4, None);
    let mut following = Following::new(from.clone(), here.clone(), clock());
    let take = |message: Message| {
        let mut take_in = TakeIn::new(&to, now);
        match read(&message.frame()) {
            Message::Written(_) => Ok(()),
            Message::Swarms(records) => take_in.records(&records, 0, CountedBy::Own),
            Message::Shares { node, records } => take_in.shares(&there, &node, &records, 0),
            other => panic!("{other:?}"),
        }
        .map_err(|error| error.to_string())
    };
    following.walk(take).unwrap();
    announce(&from, 1, 2, Event::Completed);
    following.changes(take).unwrap();
    let totals = |engine: &Engine| [1, 2].map(|torrent| engine.scrape(&InfoHash([torrent; 20])).downloaded);
    assert_eq!((totals(&from), totals(&to)), ([14, 7], [14, 7]));
    // What is told again is counted once.
    following.walk(take).unwrap();
    assert_eq!(totals(&to), [14, 7]);
    let ams = there.lock().find("ams-1").unwrap();
    let record = TorrentRecord { info_hash: InfoHash([1; 20]), downloaded: 6, age: 0 };
    to.import(&record, &[], now, CountedBy::Node(ams)).unwrap();
    assert_eq!(totals(&to), [15, 7]);
}
