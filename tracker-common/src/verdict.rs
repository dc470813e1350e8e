//! From a frame to what is to be done with it.

use crate::{
    address::{Address, Family},
    bep15,
    connection_id::{self, claimed_slot, slot_at},
    maps::{Counter, Destination, Settings},
    packet::{self, Bytes, Datagram, Unread},
    rate::Kind,
    siphash::SipHash24,
};

/// What the verdict depends on besides the frame: in the kernel, maps and the clock.
pub trait Environment {
    /// The settings as user space last wrote them, or `None` before that.
    fn settings(&self) -> Option<Settings>;
    /// What [`connection_id::prepare`] gives for a slot and family, or `None` before there are keys; `key_changes` is that
    /// of the settings.
    fn prepared(&self, slot: u64, family: Family, key_changes: u32) -> Option<SipHash24>;
    /// The coarse monotonic clock, nanoseconds.
    fn monotonic_ns(&self) -> u64;
    /// Whether this is one of the tracker's addresses and ports; `removals` is that of the settings.
    fn is_ours(&self, destination: &Destination, removals: u32) -> bool;
    /// Counts a request at the protocol time `now_ns`, of a kind that the settings say is limited. Whether its client's network
    /// keeps to the rate.
    fn admits(&self, kind: Kind, client: &Address, now_ns: u64) -> bool;
    /// Whether a network is banned that this address of that family is in. Asked only where the settings say that there is
    /// one.
    fn is_banned(&self, source: &Address, family: Family) -> bool;
}

/// What to do with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Send this connect reply to where the request came from.
    Answer(ConnectReply),
    /// Give the frame to the queue's AF_XDP socket and count it so, or pass it if there is none.
    Redirect(Counter, Family, usize),
    /// Discard it.
    Drop(Counter, Family, usize),
    /// Leave it to the network stack, every byte untouched.
    Pass(Counter, Family),
}

/// A connect request and the ID it is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectReply {
    /// The request.
    pub datagram: Datagram,
    /// Bytes of payload the request had.
    pub request_len: usize,
    /// Echoed, in memory order.
    pub transaction_id: u32,
    /// The ID as it is sent, in memory order.
    pub connection_id: u64,
}

/// Judges a frame.
#[inline(always)]
pub fn judge<B: Bytes + ?Sized, E: Environment>(frame: &B, environment: &E) -> Verdict {
    let settings = match environment.settings() {
        Some(settings) if settings.enabled != 0 => settings,
        _ => return Verdict::Pass(Counter::Disabled, Family::Ipv4),
    };
    let Some((destination, source)) = packet::macs(frame) else {
        return Verdict::Pass(Counter::Truncated, Family::Ipv4);
    };
    // A reply goes to the sender's MAC address: it must be a station's. On a loopback interface all are zero.
    let own = source == settings.mac && settings.allow_loopback == 0;
    if destination != settings.mac || source & packet::MAC_GROUP != 0 || own {
        return Verdict::Pass(Counter::ForeignMac, Family::Ipv4);
    }
    match packet::parse(frame) {
        Ok(datagram) => judge_datagram(frame, environment, &settings, datagram),
        Err(unread) => Verdict::Pass(unread_counter(unread), Family::Ipv4),
    }
}

#[inline(always)]
const fn unread_counter(unread: Unread) -> Counter {
    match unread {
        Unread::Truncated => Counter::Truncated,
        Unread::NotIp => Counter::NotIp,
        Unread::IpOptions => Counter::IpOptions,
        Unread::BadChecksum => Counter::BadChecksum,
        Unread::Fragment => Counter::Fragment,
        Unread::NotUdp => Counter::NotUdp,
    }
}

#[inline(always)]
fn judge_datagram<B: Bytes + ?Sized, E: Environment>(
    frame: &B,
    environment: &E,
    settings: &Settings,
    datagram: Datagram,
) -> Verdict {
    let family = datagram.family;
    let destination = Destination::new(datagram.destination, datagram.ports.destination, datagram.vlan);
    if !environment.is_ours(&destination, settings.removals) {
        return Verdict::Pass(Counter::ForeignDestination, family);
    }
    let Some(payload_len) = datagram.payload_len else {
        return Verdict::Drop(Counter::Malformed, family, 0);
    };
    // On the wire an IPv4-mapped address is nobody's: it would be answered over the wrong protocol.
    let mapped = matches!(family, Family::Ipv6) && matches!(datagram.source.family(), Family::Ipv4);
    let loopback = datagram.source.is_loopback() && settings.allow_loopback == 0;
    let ours = datagram.source == datagram.destination && settings.allow_loopback == 0;
    if datagram.ports.source == 0 || mapped || loopback || ours || !datagram.source.is_unicast() {
        return Verdict::Drop(Counter::BadSource, family, payload_len);
    }
    if settings.banned & Settings::family_bit(family) != 0 && environment.is_banned(&datagram.source, family)
    {
        return Verdict::Drop(Counter::Banned, family, payload_len);
    }
    // The shortest request of all is also the head of every other.
    if payload_len < bep15::REQUEST_HEAD_LEN {
        return Verdict::Drop(Counter::Malformed, family, payload_len);
    }
    let offset = datagram.payload_offset();
    let malformed = Verdict::Drop(Counter::Malformed, family, payload_len);
    let Some([id_high, id_low, action, transaction_id]) = frame.words(offset) else { return malformed };
    let id = u64::from(u32::from_be(id_high)) << 32 | u64::from(u32::from_be(id_low));
    let now_ns = environment.monotonic_ns().wrapping_add(settings.clock_base_ns);
    let slot = slot_at(now_ns);
    // A connect gets an ID of this slot, others bring one of the slot that it names.
    let (counter, slot) = match u32::from_be(action) {
        0 if id == bep15::PROTOCOL_ID => (Counter::ConnectAnswered, Some(slot)),
        1 if payload_len >= bep15::ANNOUNCE_REQUEST_LEN => {
            (Counter::AnnounceRedirected, claimed_slot(id, slot, settings.lifetime_slots))
        }
        2 if payload_len >= bep15::REQUEST_HEAD_LEN + bep15::SCRAPE_HASH_LEN => {
            (Counter::ScrapeRedirected, claimed_slot(id, slot, settings.lifetime_slots))
        }
        _ => return malformed,
    };
    let connects = matches!(counter, Counter::ConnectAnswered);
    let Some(slot) = slot else { return Verdict::Drop(Counter::BadConnectionId, family, payload_len) };
    let Some(prepared) = environment.prepared(slot, family, settings.key_changes) else {
        return Verdict::Pass(Counter::Disabled, family);
    };
    let expected = connection_id::complete(prepared, slot, family, &datagram.source);
    if !connects && expected ^ id != 0 {
        return Verdict::Drop(Counter::BadConnectionId, family, payload_len);
    }
    // Not before the ID is known to be valid, so that nobody spends a share that is another's.
    let kind = if connects { Kind::UdpConnects } else { Kind::UdpRequests };
    if settings.limited & kind.bit() != 0 && !environment.admits(kind, &datagram.source, now_ns) {
        return Verdict::Drop(Counter::RateLimited, family, payload_len);
    }
    if connects {
        let connection_id = expected.to_be();
        Verdict::Answer(ConnectReply { datagram, request_len: payload_len, transaction_id, connection_id })
    } else {
        Verdict::Redirect(counter, family, payload_len)
    }
}
