//! The format, byte by byte.

use super::*;
use crate::model::InfoHash;

fn torrent(downloaded: u32, age: u32) -> TorrentRecord {
    TorrentRecord { info_hash: InfoHash([0xab; 20]), downloaded, age }
}

fn here(role: Role, counted: bool) -> State {
    State::Here { role, counted }
}

fn peer(address: &str, port: u16, state: State, age: u32) -> PeerRecord {
    let address = address.parse::<std::net::IpAddr>().unwrap().into();
    PeerRecord { address, port, state, age }
}

fn written(records: &[Record]) -> Vec<u8> {
    let mut writer = RecordWriter::default();
    for record in records {
        match record {
            Record::Torrent(torrent) => writer.torrent(*torrent),
            Record::Peer(peer) => writer.peer(peer),
        }
    }
    writer.take()
}

/// A torrent of three peers, written by hand.
fn sample() -> (Vec<Record>, Vec<u8>) {
    let records = vec![
        Record::Torrent(torrent(300, 0)),
        Record::Peer(peer("192.0.2.1", 6881, here(Role::Seeder, true), 15)),
        Record::Peer(peer("192.0.2.2", 1, State::Gone, 16)),
        Record::Peer(peer("2001:db8::9", 0xfffe, here(Role::Leecher, false), 2047)),
    ];
    let mut bytes = vec![0xab; 20];
    bytes.extend([0xac, 0x02, 0, 2, 1]);
    bytes.extend([192, 0, 2, 1, 0x1a, 0xe1, 15 << 3 | 7]);
    bytes.extend([192, 0, 2, 2, 0, 1, 0x81, 0x01]);
    bytes.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0xff, 0xfe, 0xfa, 0x7f]);
    (records, bytes)
}

#[test]
fn records_are_the_bytes_that_the_format_says() {
    let (records, bytes) = sample();
    assert_eq!(written(&records), bytes);
    assert_eq!(Reader::new(&bytes).collect::<Result<Vec<_>, _>>(), Ok(records));
}

#[test]
fn a_peer_just_heard_of_takes_a_byte_beside_its_address() {
    let records = [
        Record::Torrent(torrent(0, 0)),
        Record::Peer(peer("192.0.2.1", 1, here(Role::PartialSeed, true), 9)),
    ];
    assert_eq!(written(&records).len(), 20 + 4 + 7);
}

#[test]
fn the_families_are_put_in_order_and_a_torrent_goes_on() {
    let six = peer("2001:db8::9", 1, here(Role::Seeder, false), 0);
    let four = peer("192.0.2.1", 1, here(Role::Seeder, false), 0);
    let bytes = written(&[
        Record::Torrent(torrent(1, 0)),
        Record::Peer(six),
        Record::Torrent(torrent(2, 0)),
        Record::Peer(four),
        Record::Torrent(TorrentRecord { info_hash: InfoHash([1; 20]), ..torrent(7, 90) }),
    ]);
    let read: Vec<_> = Reader::new(&bytes).map(Result::unwrap).collect();
    let last = TorrentRecord { info_hash: InfoHash([1; 20]), ..torrent(7, 90) };
    let expected =
        [Record::Torrent(torrent(2, 0)), Record::Peer(four), Record::Peer(six), Record::Torrent(last)];
    assert_eq!(read, expected);
}

#[test]
fn what_is_cut_short_is_malformed_where_its_record_begins() {
    let (records, bytes) = sample();
    let starts = [0, 25, 32, 40, bytes.len()];
    for length in 1..bytes.len() {
        let read: Vec<_> = Reader::new(&bytes[..length]).collect();
        let whole = starts.iter().filter(|&&start| start > 0 && start <= length).count();
        let at = starts[whole];
        assert_eq!(read[..whole], records[..whole].iter().copied().map(Ok).collect::<Vec<_>>());
        assert_eq!(read[whole..], [Err(Malformed { at })], "{length} bytes");
    }
}

#[test]
fn what_is_no_record_is_malformed() {
    let torrent = |tail: &[u8]| [&[0xab; 20][..], tail].concat();
    for (bytes, what) in [
        (torrent(&[0x80, 0, 0, 0, 0]), "a number in more bytes than it needs"),
        (torrent(&[0xff, 0xff, 0xff, 0xff, 0x1f, 0, 0, 0]), "more downloads than 32 bits hold"),
        (torrent(&[0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0]), "a number without an end"),
        (torrent(&[0, 0, 1, 0, 1, 2, 3, 4, 5, 6, 0]), "a peer of no kind"),
        (torrent(&[0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x7f]), "many peers, none there"),
    ] {
        assert!(Reader::new(&bytes).any(|record| record.is_err()), "{what}");
        assert!(Reader::new(&bytes).count() <= 2, "{what}: reading ends");
    }
    let mapped = [&[0, 0, 0, 1][..], &[0; 10], &[0xff, 0xff, 1, 2, 3, 4, 0, 1, 2]].concat();
    assert!(Reader::new(&torrent(&mapped)).any(|record| record.is_err()), "IPv4 in the form of IPv6");
}
