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

    let (our_mac, our_mac_end) = (frame.u32(0)?, frame.u16(4)?);
    let (mac, mac_end) = (frame.u32(6)?, frame.u16(10)?);
    frame.set_u32(0, mac)?;
    frame.set_u16(4, mac_end)?;
    frame.set_u32(6, our_mac)?;
    frame.set_u16(10, our_mac_end)?;

    let ip = datagram.ip_offset;
    let [p0, p1, p2, p3] = bep15::connect_response(reply.transaction_id, reply.connection_id);
    let mut sum = Sum::ZERO.u32(p0).u32(p1).u32(p2).u32(p3);
    match datagram.family {
        Family::Ipv4 => {
            let (source, destination) = (datagram.destination.ipv4_word(), datagram.source.ipv4_word());
            let [h0, h1, h2, h3, h4] = headers::ipv4(source, destination, LEN);
            frame.set_u32(ip, h0)?;
            frame.set_u32(ip + 4, h1)?;
            frame.set_u32(ip + 8, h2)?;
            frame.set_u32(ip + 12, h3)?;
            frame.set_u32(ip + 16, h4)?;
            sum = sum.u32(source).u32(destination);
        }
        Family::Ipv6 => {
            let ([s0, s1], [d0, d1]) = (datagram.destination.words(), datagram.source.words());
            frame.set_u64(ip, headers::ipv6_head(LEN))?;
            frame.set_u64(ip + 8, s0)?;
            frame.set_u64(ip + 16, s1)?;
            frame.set_u64(ip + 24, d0)?;
            frame.set_u64(ip + 32, d1)?;
            sum = sum.u64(s0).u64(s1).u64(d0).u64(d1);
        }
    }

    let payload = datagram.payload_offset();
    let udp = headers::udp(datagram.ports.destination, datagram.ports.source, LEN, sum);
    frame.set_u64(payload - headers::UDP_LEN, udp)?;
    frame.set_u32(payload, p0)?;
    frame.set_u32(payload + 4, p1)?;
    frame.set_u32(payload + 8, p2)?;
    frame.set_u32(payload + 12, p3)?;
    frame.truncate(payload + CONNECT_RESPONSE_LEN)
}
