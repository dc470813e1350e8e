//! Messages are the bytes that their table says, and whatever else comes is told from them.

use crate::cluster::{
    digest::GROUPS,
    wire::{Alive, Content, Extent, MAX_MESSAGE, Message, Records, Seen, SeenList, Stage, Unreadable},
};

fn le(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

#[test]
fn messages_are_the_bytes_that_the_table_says() {
    let digests = vec![7; 8 * GROUPS];
    let seen = SeenList::write([Seen { name: "a-1", boot: 5, next: 6 }].into_iter());
    let alive = Alive {
        boot: 1,
        next: 2,
        now_ns: 3,
        torrents: 4,
        peers: 5,
        decisions: 6,
        key: 7,
        key_since: 8,
        stage: Stage::Joined,
        release: "0.1",
    };
    let records = Records { plain: &[9, 8], webrtc: &[7] };
    let cases: [(Message<'_>, Vec<u8>); 16] = [
        (
            Message::Changes { boot: 1, sequence: 2, written_ns: 3, records },
            [&[1, 1][..], &le(&[1, 2, 3]), &[2, 0, 0, 0, 9, 8, 7]].concat(),
        ),
        (
            Message::Alive(alive),
            [&[1, 2][..], &le(&[1, 2, 3, 4, 5, 6, 7, 8]), &[1, 3, b'0', b'.', b'1']].concat(),
        ),
        (Message::Resend { boot: 1, from: 2, to: 3 }, [&[1, 3][..], &le(&[1, 2, 3])].concat()),
        (Message::Lost { boot: 1, from: 2, to: 3 }, [&[1, 4][..], &le(&[1, 2, 3])].concat()),
        (
            Message::Walk { session: 1, extent: Extent::Webrtc, digests: None },
            [&[1, 5][..], &le(&[1]), &[1]].concat(),
        ),
        (
            Message::Walk { session: 1, extent: Extent::Everything, digests: Some(&digests) },
            [&[1, 5][..], &le(&[1]), &[0], &digests].concat(),
        ),
        (Message::More { session: 1, pieces: 258 }, [&[1, 6][..], &le(&[1]), &[2, 1, 0, 0]].concat()),
        (
            Message::Piece { session: 1, number: 2, written_ns: 3, content: Content::Records(&[9]) },
            [&[1, 7][..], &le(&[1]), &[2, 0, 0, 0], &le(&[3]), &[0, 9]].concat(),
        ),
        (
            Message::Piece { session: 1, number: 2, written_ns: 3, content: Content::Counts(&[9]) },
            [&[1, 7][..], &le(&[1]), &[2, 0, 0, 0], &le(&[3]), &[1, 9]].concat(),
        ),
        (
            Message::Piece { session: 1, number: 2, written_ns: 3, content: Content::Webrtc(&[9]) },
            [&[1, 7][..], &le(&[1]), &[2, 0, 0, 0], &le(&[3]), &[2, 9]].concat(),
        ),
        (
            Message::End { session: 1, number: 2, seen: SeenList::of(&seen) },
            [&[1, 8][..], &le(&[1]), &[2, 0, 0, 0, 3, b'a', b'-', b'1'], &le(&[5, 6])].concat(),
        ),
        (Message::NoWalk { session: 1 }, [&[1, 9][..], &le(&[1])].concat()),
        (Message::Key { key: [3; 16], now_ns: 1, since: 2 }, [&[1, 11][..], &[3; 16], &le(&[1, 2])].concat()),
        (Message::Decisions(b"x"), vec![1, 13, b'x']),
        (Message::Relay(b"y"), vec![1, 14, b'y']),
        (Message::Silent(SeenList::of(&seen)), [&[1, 15, 3, b'a', b'-', b'1'][..], &le(&[5, 6])].concat()),
    ];
    for (message, bytes) in cases {
        assert_eq!(message.write(), bytes, "{message:?}");
        assert_eq!(Message::read(&bytes), Ok(message));
    }
    assert_eq!(SeenList::of(&seen).iter().collect::<Vec<_>>(), [Seen { name: "a-1", boot: 5, next: 6 }]);
}

#[test]
fn what_is_no_message_is_told() {
    let long = [&[1, 13][..], &vec![0; MAX_MESSAGE]].concat();
    for (bytes, why) in [
        (&[][..], Unreadable::Malformed),
        (&[1], Unreadable::Malformed),
        (&[2, 1, 0], Unreadable::Version(2)),
        (&[1, 0], Unreadable::Kind(0)),
        (&[1, 16], Unreadable::Kind(16)),
        (&[1, 10, 0], Unreadable::Malformed),
        (&[1, 9, 0], Unreadable::Malformed),
        (&[1, 5, 0, 0, 0, 0, 0, 0, 0, 0, 2], Unreadable::Malformed),
        (&[1, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], Unreadable::Malformed),
        (&long, Unreadable::Malformed),
    ] {
        assert_eq!(Message::read(bytes), Err(why), "{:?}", bytes.get(..12));
    }
    // A length beyond the end.
    let changes = [&[1, 1][..], &le(&[1, 2, 3]), &[3, 0, 0, 0, 9, 8]].concat();
    assert_eq!(Message::read(&changes), Err(Unreadable::Malformed));
}
