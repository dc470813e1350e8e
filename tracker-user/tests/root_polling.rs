//! AF_XDP sockets that are to be polled, where the kernel does not let them. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation is how a test fails")]

use caps::{CapSet, Capability};
use tracker_user::xdp::socket::{Options, XskSocket};

/// Kernels without `CONFIG_NET_RX_BUSY_POLL` refuse it too: the socket serves on, woken by interrupts.
#[test]
fn root_a_socket_that_may_not_be_polled_still_opens() {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("root");
    caps::drop(None, CapSet::Effective, Capability::CAP_NET_ADMIN).unwrap();
    let options = Options {
        interface_index: 1,
        queue: 0,
        ring_size: 64,
        frames: 128,
        copy_backlog: 64,
        zero_copy: false,
        busy_poll: true,
    };
    XskSocket::new("lo", options).expect("a socket without polling");
}
