//! Turns a connect request into its reply, in the same frame.

use crate::frame::Frame;
use tracker_common::{
    address::{Family, join},
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

    let (macs, rest) = headers::swap_macs(frame.u64(0)?, frame.u32(8)?);
    frame.set_long_words(0, [macs])?;
    frame.set_words(8, [rest])?;

    let ip = datagram.ip_offset;
    let [p0, p1] = bep15::connect_response(reply.transaction_id, reply.connection_id);
    let sum = Sum::ZERO.u64(p0).u64(p1);
    let (from, to) = (datagram.ports.destination, datagram.ports.source);
    // All that follows at once: each place is looked up again after a write.
    match datagram.family {
        Family::Ipv4 => {
            let (source, destination) = (datagram.destination.ipv4_word(), datagram.source.ipv4_word());
            let udp = headers::udp(from, to, LEN, sum.u32(source).u32(destination));
            let [i0, i1, i2, i3, i4] = headers::ipv4(source, destination, LEN);
            frame.set_words(ip, [i0])?;
            frame.set_long_words(ip + 4, [join(i1, i2), join(i3, i4), udp, p0, p1])?;
        }
        Family::Ipv6 => {
            let ([s0, s1], [d0, d1]) = (datagram.destination.words(), datagram.source.words());
            let udp = headers::udp(from, to, LEN, sum.u64(s0).u64(s1).u64(d0).u64(d1));
            frame.set_long_words(ip, [headers::ipv6_head(LEN), s0, s1, d0, d1, udp, p0, p1])?;
        }
    }
    let len = datagram.payload_offset() + CONNECT_RESPONSE_LEN;
    if frame.len() == len { Some(()) } else { frame.truncate(len) }
}
