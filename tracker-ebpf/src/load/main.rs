//! The load generator in the kernel: one program writes requests, another reads replies. `riptide-load` runs the
//! first by the test-run call in live-frame mode and attaches the second to the interface that the requests leave by.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

#[path = "../frame.rs"]
mod frame;
mod maps;

use aya_ebpf::{bindings::xdp_action, macros::xdp, programs::XdpContext};
use frame::Frame;
use maps::{
    connection, connection_learned, count, monotonic_ns, next_request, plan, record_latency, replied, sent,
};
use tracker_common::{
    bep15::{
        ANNOUNCE_REQUEST_LEN, ANNOUNCE_RESPONSE_HEAD_LEN, CONNECT_REQUEST_LEN, CONNECT_RESPONSE_LEN,
        PEER_IPV4_LEN, PROTOCOL_ID, REQUEST_HEAD_LEN, RESPONSE_HEAD_LEN, SCRAPE_HASH_LEN, SCRAPE_ROW_LEN,
    },
    headers::{self, ETHERNET_LEN, IPV4_LEN, PROTOCOL_UDP, UDP_LEN},
    load::{self, Kind, Plan, Request, Tally, info_hash, kind_of},
    packet::Bytes,
};

const IP: usize = ETHERNET_LEN;
const UDP: usize = IP + IPV4_LEN;
const PAYLOAD: usize = UDP + UDP_LEN;
/// The latency of one reply in so many is noted, which saves a clock call for the others.
const LATENCY_SAMPLE: u32 = 8;

/// Sends the next request if it is due. What is not due is dropped, which costs little: the page is used again.
#[xdp]
fn generate(context: XdpContext) -> u32 {
    let Some(plan) = plan() else { return xdp_action::XDP_DROP };
    let now = monotonic_ns();
    let Some(number) = next_request(plan, now) else { return xdp_action::XDP_DROP };
    let (request, source, id, is_flood) = match plan.frame(number) {
        load::Frame::Real(request) => {
            let id = if let Kind::Connect = request.kind { Some(0) } else { connection(request.source) };
            (request, plan.source + request.source, id, false)
        }
        load::Frame::Loud(request) => {
            (request, plan.source + request.source, connection(request.source), true)
        }
        load::Frame::Forged { request, source, id } => (request, source, Some(id), true),
    };
    // No closure: one that is not inlined is given registers that the verifier says nobody wrote.
    let written = match id {
        Some(id) => write(&Frame(&context), plan, &request, source, id),
        None => None,
    };
    match written {
        Some(()) => {
            if !is_flood {
                sent(request.transaction_id, now);
            }
            count(
                match request.kind {
                    _ if is_flood => Tally::SentFlood,
                    Kind::Connect => Tally::SentConnects,
                    Kind::Announce => Tally::SentAnnounces,
                    Kind::Scrape => Tally::SentScrapes,
                },
                1,
            );
            xdp_action::XDP_TX
        }
        None => {
            count(Tally::Unsent, 1);
            xdp_action::XDP_DROP
        }
    }
}

/// Writes the whole frame: what the last round left in its page must not be sent again.
#[inline(always)]
fn write(frame: &Frame<'_>, plan: &Plan, request: &Request, source: u32, id: u64) -> Option<()> {
    let length = match request.kind {
        Kind::Connect => CONNECT_REQUEST_LEN,
        Kind::Announce => ANNOUNCE_REQUEST_LEN,
        Kind::Scrape => REQUEST_HEAD_LEN + SCRAPE_HASH_LEN,
    };
    let transaction_id = request.transaction_id.to_be();
    let action = (request.kind as u32).to_be();
    match request.kind {
        Kind::Connect => {
            frame.set_long_words(PAYLOAD, [PROTOCOL_ID.to_be()])?;
            frame.set_words(PAYLOAD + 8, [action, transaction_id])?;
        }
        Kind::Announce | Kind::Scrape => {
            frame.set_long_words(PAYLOAD, [id])?;
            frame.set_words(PAYLOAD + 8, [action, transaction_id])?;
            frame.set_words(PAYLOAD + 16, info_hash(request.torrent, plan.seed as u32))?;
        }
    }
    if let Kind::Announce = request.kind {
        let left: u64 = if request.seeder { 0 } else { 1 << 30 };
        let peer = u64::from(request.source) << 16 | u64::from(request.port);
        // Peer ID; then downloaded, left, uploaded, and event and ip; then key and numwant.
        frame.set_long_words(PAYLOAD + 36, [u64::from_be_bytes(*b"-LD0100-").to_be(), peer])?;
        frame.set_words(PAYLOAD + 52, [0])?;
        frame.set_long_words(PAYLOAD + 56, [0, left.to_be(), 0, 0])?;
        frame.set_words(PAYLOAD + 88, [0, plan.wanted.to_be()])?;
        // The port ends the request: with the half of numwant before it, it is a word.
        frame.set_words(PAYLOAD + 94, [(plan.wanted << 16 | u32::from(request.port)).to_be()])?;
    }

    let [d0, d1, d2, d3, d4, d5, ..] = plan.destination_mac;
    let [s0, s1, s2, s3, s4, s5, ..] = plan.source_mac;
    frame.set_long_words(0, [u64::from_ne_bytes([d0, d1, d2, d3, d4, d5, s0, s1])])?;
    // The Ethertype, and two bytes of the IP header, which is written next.
    frame.set_words(8, [u32::from_ne_bytes([s2, s3, s4, s5]), 0x0800_0000_u32.to_be()])?;
    frame.set_words(IP, headers::ipv4(source.to_be(), plan.destination.to_be(), length as u16))?;
    // Without a checksum, as IPv4 permits.
    frame.set_words(UDP, [plan.ports.to_be(), (((UDP_LEN + length) as u32) << 16).to_be()])?;
    frame.truncate(PAYLOAD + length)
}

/// Checks and counts replies to the plan's port; passes all else.
#[xdp]
fn receive(context: XdpContext) -> u32 {
    let Some(plan) = plan() else { return xdp_action::XDP_PASS };
    if read(&Frame(&context), plan).is_some() { xdp_action::XDP_DROP } else { xdp_action::XDP_PASS }
}

/// `None` if this is no reply.
#[inline(always)]
fn read(frame: &Frame<'_>, plan: &Plan) -> Option<()> {
    if frame.u16(12)? != 0x0800_u16.to_be() || frame.u16(IP)?.to_ne_bytes()[0] != 0x45 {
        return None;
    }
    if frame.u16(IP + 8)?.to_ne_bytes()[1] != PROTOCOL_UDP {
        return None;
    }
    if frame.u32(UDP)? != plan.ports.rotate_right(16).to_be() {
        return None;
    }
    let source = u32::from_be(frame.u32(IP + 16)?).wrapping_sub(plan.source);
    let length = usize::from(u16::from_be(frame.u16(UDP + 4)?)).wrapping_sub(UDP_LEN);
    let action = u32::from_be(frame.u32(PAYLOAD)?);
    let transaction_id = u32::from_be(frame.u32(PAYLOAD + 4)?);
    // Which of its announces are answered is chance, so none waits.
    if plan.loud != 0 && source == plan.sources && action != 0 {
        count(Tally::LoudReplies, 1);
        return Some(());
    }
    let Some(sent_at) = replied(transaction_id) else {
        count(Tally::Unknown, 1);
        return Some(());
    };
    count(Tally::ReplyBytes, length as u64);
    if action == 3 {
        count(Tally::Errors, 1);
        return Some(());
    }
    if action != kind_of(transaction_id) {
        count(Tally::WrongKind, 1);
        return Some(());
    }
    let verdict = match action {
        0 if length == CONNECT_RESPONSE_LEN => {
            connection_learned(source, frame.u64(PAYLOAD + 8)?);
            Tally::Connected
        }
        1 if length >= ANNOUNCE_RESPONSE_HEAD_LEN => {
            read_announce(frame, plan, length).unwrap_or(Tally::WrongLength)
        }
        2 if length == RESPONSE_HEAD_LEN + SCRAPE_ROW_LEN => Tally::Scraped,
        _ => Tally::WrongLength,
    };
    count(verdict, 1);
    if transaction_id % LATENCY_SAMPLE == 0 {
        let units = ((monotonic_ns() >> 10) as u32).wrapping_sub(sent_at);
        // A clock that another processor read may be a little ahead.
        if (units as i32) >= 0 {
            record_latency(units);
        }
    }
    Some(())
}

#[inline(always)]
fn read_announce(frame: &Frame<'_>, plan: &Plan, length: usize) -> Option<Tally> {
    let list = (length - ANNOUNCE_RESPONSE_HEAD_LEN) as u32;
    let peers = list / PEER_IPV4_LEN as u32;
    if list % PEER_IPV4_LEN as u32 != 0 || peers > plan.wanted {
        return Some(Tally::WrongLength);
    }
    // Some trackers do not count the announcer, but none counts fewer than it lists.
    let leechers = u32::from_be(frame.u32(PAYLOAD + 12)?);
    let seeders = u32::from_be(frame.u32(PAYLOAD + 16)?);
    if leechers.saturating_add(seeders) < peers {
        return Some(Tally::WrongPeers);
    }
    if peers > 0 {
        let first_port = PAYLOAD + ANNOUNCE_RESPONSE_HEAD_LEN + PEER_IPV4_LEN - 2;
        let port = frame.u16(first_port)?;
        if port == 0 {
            return Some(Tally::WrongPeers);
        }
    }
    count(Tally::Peers, u64::from(peers));
    Some(Tally::Announced)
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
#[allow(unsafe_code, reason = "the kernel reads the licence from this section")]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
