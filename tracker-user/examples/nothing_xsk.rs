//! The ceiling of a UDP tracker behind XDP: the product's own program, rings and frames, and a worker that answers
//! every announce with a fixed reply of a given length.
//!
//! `nothing_xsk INTERFACE PORT BYTES` serves the interface's first queue until it is ended; needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "measuring equipment: whatever fails ends it")]
#![expect(clippy::print_stderr, reason = "it says when it is ready")]

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::{
    env,
    net::SocketAddr,
    os::fd::{AsFd, AsRawFd},
    path::Path,
    sync::Arc,
};
use tracker_common::{
    bep15::Action,
    connection_id::{keys_at, lifetime_slots, slot_at},
    maps::Settings,
    siphash::Key,
};
use tracker_core::udp::{Batch, DropReason, Outcome};
use tracker_user::{
    clock::Clock,
    counters::WorkerCounters,
    xdp::{
        batch::XskPath,
        deferral::{Deferral, INTERFACES, PATIENCE},
        destinations::destinations,
        link::Mode,
        network::{Netlink, Network},
        program::{LoadOptions, Program},
        socket::{Options, XskSocket},
    },
};

/// As the defaults of the tracker.
const RING_SIZE: u32 = 2048;
const FRAMES: u32 = 4096;
const COPY_BACKLOG: u32 = 512;
const BATCH: usize = 64;
const LIFETIME_SECONDS: u64 = 120;

fn main() {
    let mut arguments = env::args().skip(1);
    let interface = arguments.next().expect("an interface");
    let port: u16 = arguments.next().and_then(|text| text.parse().ok()).expect("a port");
    let length: usize = arguments.next().and_then(|text| text.parse().ok()).expect("a length");

    let network = look();
    let link = network.link(&interface).expect("the interface to be there");
    let clock = Clock::new(0);
    let lifetime_slots = lifetime_slots(LIFETIME_SECONDS);
    let (mut program, ..) = Program::load(LoadOptions { queues: 1, log: false }).unwrap();
    program.attach(link.index, Mode::Native).unwrap();
    let mac = link.mac.expect("an Ethernet interface");
    let keys = keys_at(Key::from_bytes([7; 16]), slot_at(clock.now_ns()), lifetime_slots);
    program.set_keys(keys).unwrap();
    let listener = SocketAddr::from(([0, 0, 0, 0], port));
    program.set_destinations(&destinations(&network, link, &[listener])).unwrap();
    // As the tracker by default.
    let deferral = Deferral::begin(Path::new(INTERFACES), link, PATIENCE);
    let options = Options {
        interface_index: link.index,
        queue: 0,
        ring_size: RING_SIZE,
        frames: FRAMES,
        copy_backlog: COPY_BACKLOG,
        zero_copy: false,
        busy_poll: deferral.is_ok(),
    };
    let socket = XskSocket::new(&interface, options).unwrap();
    program.set_socket(0, socket.as_raw_fd()).unwrap();
    program
        .set_settings(Settings {
            clock_base_ns: clock.base_ns(),
            enabled: 1,
            lifetime_slots,
            mac,
            allow_loopback: 0,
            removals: 0,
            key_changes: 0,
            limited: 0,
            banned: 0,
            reserved: 0,
        })
        .unwrap();
    eprintln!("ready");

    let reply = reply(length);
    let mut path = XskPath::new(socket, BATCH, false, Arc::new(WorkerCounters::default()));
    loop {
        if path.receive() == 0 {
            let timeout =
                if path.socket().has_unsent() { PollTimeout::from(10_u8) } else { PollTimeout::NONE };
            let _ = poll(&mut [PollFd::new(path.socket().as_fd(), PollFlags::POLLIN)], timeout);
        } else {
            (0..path.len()).for_each(|i| answer(&mut path, i, &reply));
        }
        path.send();
    }
}

/// The host's links and addresses as they are now.
fn look() -> Network {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { Netlink::open().unwrap().snapshot().await }).unwrap()
}

/// An announce reply with as many peers as fit (BEP 15).
fn reply(length: usize) -> Vec<u8> {
    let mut reply = Vec::with_capacity(length);
    for word in [1_u32, 0, 1800, 1000, 1000] {
        reply.extend(word.to_be_bytes());
    }
    for peer in 1..=length.saturating_sub(reply.len()) / 6 {
        reply.extend([10, 1, 1, u8::try_from(peer).expect("a list of some peers"), 0x1a, 0xe1]);
    }
    reply
}

fn answer(path: &mut XskPath, i: usize, reply: &[u8]) {
    let payload = path.request(i).payload;
    let Some(transaction) = payload.get(12..16).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok()) else {
        return path.finish(i, Outcome::Drop(DropReason::Malformed));
    };
    let room = path.reply_buffer(i);
    room[..reply.len()].copy_from_slice(reply);
    room[4..8].copy_from_slice(&transaction);
    let (request, len) = (Action::Announce, reply.len());
    path.finish(i, Outcome::Reply { request, reply: request, len, not_kept: None });
}
