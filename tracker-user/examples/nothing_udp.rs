//! The ceiling of a UDP tracker on ordinary sockets: the product's own back end, polled as it is, and a worker that
//! answers every request with a fixed reply, announces with one of a given length.
//!
//! `nothing_udp INTERFACE PORT BYTES` serves until it is ended; polling needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "measuring equipment: whatever fails ends it")]
#![expect(clippy::print_stderr, reason = "it says when it is ready")]

use nix::{
    net::if_::if_nametoindex,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use std::{
    env,
    net::{SocketAddr, UdpSocket},
    os::fd::{AsFd, AsRawFd},
    path::Path,
    sync::Arc,
    time::Duration,
};
use tracker_common::bep15::Action;
use tracker_core::udp::{Batch, DropReason, Outcome};
use tracker_user::{
    counters::WorkerCounters,
    udp::socket::{SocketPath, permit_fragments},
    xdp::{
        deferral::{Deferral, INTERFACES},
        network::Link,
        socket::allow_polling,
    },
};

/// As the tracker's sockets.
const PATIENCE: Duration = Duration::from_micros(200);
const BATCH: usize = 64;
const MAX_DATAGRAM: usize = 1232;
/// What a scrape reply has for each torrent, behind the action and the transaction ID (BEP 15).
const SCRAPED: usize = 12;
const HEADER: usize = 8;
const HASH: usize = 20;

fn main() {
    let mut arguments = env::args().skip(1);
    let interface = arguments.next().expect("an interface");
    let port: u16 = arguments.next().and_then(|text| text.parse().ok()).expect("a port");
    let length: usize = arguments.next().and_then(|text| text.parse().ok()).expect("a length");

    let address = SocketAddr::from(([0, 0, 0, 0], port));
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_nonblocking(true).unwrap();
    tracker_user::udp::socket::request_packet_info(&socket, false).unwrap();
    permit_fragments(&socket, false).unwrap();
    let link =
        Link { index: if_nametoindex(interface.as_str()).unwrap(), name: interface, ..Link::default() };
    let _deferral = Deferral::begin(Path::new(INTERFACES), &link, PATIENCE)
        .inspect(|_| allow_polling(socket.as_raw_fd()).unwrap());
    eprintln!("ready");

    let announce = announce(length);
    let mut path = SocketPath::new(socket, address, BATCH, MAX_DATAGRAM, Arc::new(WorkerCounters::default()));
    loop {
        if path.receive() == 0 {
            let _ = poll(&mut [PollFd::new(path.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE);
        } else {
            (0..path.len()).for_each(|i| answer(&mut path, i, &announce));
            path.send();
        }
    }
}

/// An announce reply with as many peers as fit (BEP 15).
fn announce(length: usize) -> Vec<u8> {
    let mut reply = Vec::with_capacity(length);
    for word in [1_u32, 0, 1800, 1000, 1000] {
        reply.extend(word.to_be_bytes());
    }
    for peer in 1..=length.saturating_sub(reply.len()) / 6 {
        reply.extend([10, 1, 1, u8::try_from(peer).expect("a list of some peers"), 0x1a, 0xe1]);
    }
    reply
}

/// Connects, announces and scrapes by their action alone; connection IDs are any.
fn answer(path: &mut SocketPath, i: usize, announce: &[u8]) {
    let payload = path.request(i).payload;
    let word = |at: usize| payload.get(at..at + 4).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
    let (Some(action), Some(transaction)) = (word(8), word(12)) else {
        return path.finish(i, Outcome::Drop(DropReason::Malformed));
    };
    let torrents = payload.len().saturating_sub(2 * HEADER) / HASH;
    let room = path.reply_buffer(i);
    let (reply, len) = match u32::from_be_bytes(action) {
        0 => {
            room[HEADER..2 * HEADER].fill(7);
            (Action::Connect, 2 * HEADER)
        }
        1 => {
            room[..announce.len()].copy_from_slice(announce);
            (Action::Announce, announce.len())
        }
        _ => {
            let len = HEADER + (SCRAPED * torrents).min(MAX_DATAGRAM - HEADER);
            room[HEADER..len].fill(0);
            (Action::Scrape, len)
        }
    };
    room[..4].copy_from_slice(&action);
    room[4..HEADER].copy_from_slice(&transaction);
    path.finish(i, Outcome::Reply { request: reply, reply, len, not_kept: None });
}
