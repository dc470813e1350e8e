//! The program, loaded with the matrix's world.

use super::{BASE_NS, LIFETIME_SLOTS, MASTER, destinations, settings};
use std::os::fd::AsRawFd as _;
use tracker_common::connection_id::{keys_at, slot_at};
use tracker_user::{
    clock::Clock,
    xdp::{
        program::{Counters, LoadOptions, Program},
        socket::{Options, XskSocket},
    },
};

/// Loads it, with a socket for queue 0, in a network namespace of its own, whose loopback interface nobody else has
/// an `AF_XDP` socket on.
pub(crate) fn load() -> (Program, Counters, XskSocket) {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("root");
    let (mut program, counters, _) =
        Program::load(LoadOptions { queues: 1, log: false }).expect("the program loads");
    let slot = slot_at(Clock::new(BASE_NS).now_ns());
    program.set_settings(settings()).unwrap();
    program.set_keys(keys_at(MASTER, slot, LIFETIME_SLOTS)).unwrap();
    program.set_destinations(&destinations()).unwrap();
    let options = Options {
        interface_index: 1,
        queue: 0,
        ring_size: 64,
        frames: 128,
        copy_backlog: 64,
        zero_copy: false,
        busy_poll: false,
    };
    let socket = XskSocket::new("lo", options).expect("an AF_XDP socket");
    program.set_socket(0, socket.as_raw_fd()).unwrap();
    (program, counters, socket)
}
