//! Turns a connect request into its reply, in the same frame.

use crate::frame::Frame;
use tracker_common::{
    address::Family,
    bep15::{self, CONNECT_RESPONSE_LEN},
    checksum::Sum,
    headers,
    packet::Bytes,
    verdict::ConnectReply,
};

/// Writes the reply and cuts the frame to its length. `None` if the frame could not be written; it is then half
/// changed and must not go anywhere.
#[inline(always)]
pub(crate) fn write(frame: &Frame<'_>, reply: &ConnectReply) -> Option<()> {
    const LEN: u16 = CONNECT_RESPONSE_LEN as u16;
    let datagram = &reply.datagram;

    frame.set_words(0, headers::swap_macs(frame.words(0)?))?;

    let ip = datagram.ip_offset;
    let [p0, p1, p2, p3] = bep15::connect_response(reply.transaction_id, reply.connection_id);
    let mut sum = Sum::ZERO.u32(p0).u32(p1).u32(p2).u32(p3);
    match datagram.family {
        Family::Ipv4 => {
            let (source, destination) = (datagram.destination.ipv4_word(), datagram.source.ipv4_word());
            frame.set_words(ip, headers::ipv4(source, destination, LEN))?;
            sum = sum.u32(source).u32(destination);
        }
        Family::Ipv6 => {
            let ([s0, s1], [d0, d1]) = (datagram.destination.words(), datagram.source.words());
            frame.set_long_words(ip, [headers::ipv6_head(LEN), s0, s1, d0, d1])?;
            sum = sum.u64(s0).u64(s1).u64(d0).u64(d1);
        }
    }

    let payload = datagram.payload_offset();
    let udp = headers::udp(datagram.ports.destination, datagram.ports.source, LEN, sum);
    frame.set_long_words(payload - headers::UDP_LEN, [udp])?;
    frame.set_words(payload, [p0, p1, p2, p3])?;
    let len = payload + CONNECT_RESPONSE_LEN;
    if frame.len() == len { Some(()) } else { frame.truncate(len) }
}
