//! The XDP program: one match from verdict to action.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod frame;
mod maps;
mod reply;

use aya_ebpf::{bindings::xdp_action, macros::xdp, programs::XdpContext};
use aya_log_ebpf::{info, warn};
use frame::Frame;
use maps::{Kernel, arrived, count, log_enabled, redirect};
use tracker_common::{
    maps::Counter,
    verdict::{Verdict, judge},
};

/// Answers connects, drops forgeries, gives announces and scrapes to AF_XDP, and passes all else untouched.
#[xdp]
fn riptide(context: XdpContext) -> u32 {
    let queue = context.rx_queue_index();
    arrived(queue);
    let frame = Frame(&context);
    match judge(&frame, &Kernel) {
        Verdict::Answer(answer) => {
            let family = answer.datagram.family;
            match reply::write(&frame, &answer) {
                Some(()) => {
                    count(Counter::ConnectAnswered, family, answer.request_len);
                    xdp_action::XDP_TX
                }
                None => {
                    if log_enabled() {
                        warn!(&context, "a connect reply could not be written");
                    }
                    count(Counter::ReplyFailed, family, answer.request_len);
                    xdp_action::XDP_DROP
                }
            }
        }
        Verdict::Redirect(counter, family, payload_len) => {
            if let Some(action) = redirect(queue) {
                count(counter, family, payload_len);
                action
            } else {
                if log_enabled() {
                    info!(
                        &context,
                        "queue {} has no AF_XDP socket, a request passes to the network stack", queue
                    );
                }
                count(Counter::NoSocket, family, payload_len);
                xdp_action::XDP_PASS
            }
        }
        Verdict::Drop(counter, family, payload_len) => {
            count(counter, family, payload_len);
            xdp_action::XDP_DROP
        }
        Verdict::Pass(counter, family) => {
            count(counter, family, 0);
            xdp_action::XDP_PASS
        }
    }
}

/// Passes every frame. On the far end of a veth pair a program is needed for what XDP sends to arrive there.
#[xdp]
fn pass(_: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
#[allow(unsafe_code, reason = "the kernel reads the licence from this section")]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
