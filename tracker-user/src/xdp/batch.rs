//! Turns the frames of an AF_XDP socket into requests, and writes the replies into the same frames.

use super::{frame::Frame, gathering::Gathering, socket::XskSocket};
use crate::counters::{Dropped, Path, WorkerCounters};
use std::sync::Arc;
use tracker_common::{
    address::Family,
    checksum::Sum,
    headers::{self, UDP_LEN},
    packet::{self, Datagram},
};
use tracker_core::{
    client_software::ClientSoftware,
    udp::{Batch, Outcome, Received},
};

/// A received datagram.
#[derive(Debug)]
struct Item {
    /// Where it lies, until it is finished.
    frame: Option<Frame>,
    datagram: Datagram,
    payload_len: usize,
}

/// An AF_XDP socket as a back end of the responder.
#[derive(Debug)]
pub struct XskPath {
    socket: XskSocket,
    counters: Arc<WorkerCounters>,
    items: Vec<Item>,
    on_loopback: bool,
}

impl XskPath {
    /// Serves `socket` in batches of at most `batch` frames. `on_loopback` if its interface is a loopback one.
    #[must_use]
    pub fn new(socket: XskSocket, batch: usize, on_loopback: bool, counters: Arc<WorkerCounters>) -> Self {
        Self { socket, counters, items: Vec::with_capacity(batch), on_loopback }
    }

    /// The socket.
    #[must_use]
    pub fn socket(&self) -> &XskSocket {
        &self.socket
    }

    /// How frames are had to gather in the device, where that can be.
    pub fn gathering(&mut self) -> Option<&mut Gathering> {
        self.socket.gathering()
    }

    /// Takes what has been received, at most a batch. Returns how many datagrams there are.
    pub fn receive(&mut self) -> usize {
        self.items.clear();
        let mut unread = false;
        while self.items.len() < self.items.capacity() {
            let Some((frame, len)) = self.socket.receive() else { break };
            let bytes = self.socket.bytes(&frame);
            let bytes = &bytes[..bytes.len().min(len as usize)];
            // The program redirects only what it has parsed; a frame that does not parse is not one of those.
            let datagram = packet::parse(bytes).ok();
            if let Some(datagram) = datagram.filter(|datagram| packet::checksum_holds(bytes, datagram)) {
                let payload_len = datagram.payload_len.unwrap_or(0);
                self.items.push(Item { frame: Some(frame), datagram, payload_len });
                continue;
            }
            if let Some(Datagram { family, payload_len, .. }) = datagram {
                let counters = self.counters.path(Path::Xsk);
                counters.received(family, payload_len.unwrap_or(0));
                counters.dropped(Dropped::BadChecksum);
            }
            self.socket.recycle(frame);
            unread = true;
        }
        if unread && self.items.is_empty() {
            // Nothing will be sent, so the slots must be given back here.
            self.socket.flush();
        }
        self.items.len()
    }

    /// Hands the replies to the kernel and gives it room for new frames.
    pub fn send(&mut self) {
        self.socket.flush();
    }
}

impl Batch for XskPath {
    fn len(&self) -> usize {
        self.items.len()
    }

    #[inline]
    fn request(&self, i: usize) -> Received<'_> {
        let Item { frame, datagram, payload_len } = &self.items[i];
        let bytes = frame.as_ref().map_or(&[][..], |frame| self.socket.bytes(frame));
        Received {
            source: datagram.source,
            source_port: datagram.ports.source,
            payload: bytes
                .get(datagram.payload_offset()..)
                .and_then(|rest| rest.get(..*payload_len))
                .unwrap_or(&[]),
            verified: true,
            on_loopback: self.on_loopback,
        }
    }

    #[inline]
    fn reply_buffer(&mut self, i: usize) -> &mut [u8] {
        let Item { frame, datagram, .. } = &mut self.items[i];
        let bytes = frame.as_mut().map_or(&mut [][..], |frame| self.socket.bytes_mut(frame));
        bytes.get_mut(datagram.payload_offset()..).unwrap_or(&mut [])
    }

    fn finish(&mut self, i: usize, outcome: Outcome) {
        let Item { frame, datagram, payload_len } = &mut self.items[i];
        let Some(mut frame) = frame.take() else { return };
        let counters = self.counters.path(Path::Xsk);
        counters.received(datagram.family, *payload_len);
        counters.judged(datagram.family, outcome);
        let Outcome::Reply { reply, len, .. } = outcome else {
            self.socket.recycle(frame);
            return;
        };
        let frame_len = address_reply(self.socket.bytes_mut(&mut frame), datagram, len);
        if self.socket.send(frame, frame_len as u32) {
            counters.sent(datagram.family, reply, len);
        } else {
            counters.dropped(Dropped::NoBuffer);
        }
    }

    fn announced_by(&mut self, software: ClientSoftware) {
        self.counters.software.add(software);
    }
}

/// Writes the headers that send the `len` bytes of payload in `frame` back to where `request` came from, VLAN tags
/// kept. Returns the length of the frame.
fn address_reply(frame: &mut [u8], request: &Datagram, len: usize) -> usize {
    let payload = request.payload_offset();
    let (destination_mac, source_mac) = frame[..12].split_at_mut(6);
    destination_mac.swap_with_slice(source_mac);
    let (source, destination) = (request.destination, request.source);
    let (ports, payload_len) = (request.ports, len as u16);
    let mut sum = Sum::ZERO.slice(&frame[payload..][..len]);
    let ip = &mut frame[request.ip_offset..payload - UDP_LEN];
    match request.family {
        Family::Ipv4 => {
            let (source, destination) = (source.ipv4_word(), destination.ipv4_word());
            sum = sum.u32(source).u32(destination);
            ip.copy_from_slice(bytemuck::bytes_of(&headers::ipv4(source, destination, payload_len)));
        }
        Family::Ipv6 => {
            let ([s0, s1], [d0, d1]) = (source.words(), destination.words());
            sum = sum.u64(s0).u64(s1).u64(d0).u64(d1);
            ip.copy_from_slice(bytemuck::bytes_of(&[headers::ipv6_head(payload_len), s0, s1, d0, d1]));
        }
    }
    let udp = headers::udp(ports.destination, ports.source, payload_len, sum);
    frame[payload - UDP_LEN..payload].copy_from_slice(&udp.to_ne_bytes());
    payload + len
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TransportSlice};

    const REPLY: &[u8] = b"a reply of odd length, longer than its request";

    /// Turns a request built by etherparse around and has etherparse read the result.
    fn turn_around(build: impl FnOnce(&mut Vec<u8>)) {
        let mut frame = Vec::new();
        build(&mut frame);
        let request = packet::parse(frame.as_slice()).unwrap();
        let before = frame.clone();
        frame.resize(512, 0xee);
        frame[request.payload_offset()..][..REPLY.len()].copy_from_slice(REPLY);
        let len = address_reply(&mut frame, &request, REPLY.len());
        frame.truncate(len);

        assert_eq!((&frame[..6], &frame[6..12]), (&before[6..12], &before[..6]), "addresses swapped");
        assert_eq!(frame[12..request.ip_offset], before[12..request.ip_offset], "tags kept");
        let packet = SlicedPacket::from_ethernet(&frame).unwrap();
        let Some(TransportSlice::Udp(udp)) = packet.transport else { panic!("no UDP") };
        assert_eq!((udp.source_port(), udp.destination_port()), (6969, 5555));
        assert_eq!(udp.payload(), REPLY);
        let expected = match packet.net.unwrap() {
            NetSlice::Ipv4(ip) => {
                let header = ip.header().to_header();
                assert_eq!(header.calc_header_checksum(), header.header_checksum);
                assert_eq!(header.time_to_live, 64);
                assert_eq!((header.source, header.destination), ([10, 0, 0, 1], [10, 0, 0, 2]));
                udp.to_header().calc_checksum_ipv4(&header, REPLY)
            }
            NetSlice::Ipv6(ip) => {
                let header = ip.header().to_header();
                assert_eq!(header.hop_limit, 64);
                assert_eq!((header.source, header.destination), ([1; 16], [2; 16]));
                udp.to_header().calc_checksum_ipv6(&header, REPLY)
            }
            NetSlice::Arp(_) => panic!("ARP"),
        };
        assert_eq!(udp.checksum(), expected.unwrap());
    }

    #[test]
    fn replies_go_back_over_ipv4() {
        turn_around(|frame| {
            PacketBuilder::ethernet2([2; 6], [4; 6])
                .ipv4([10, 0, 0, 2], [10, 0, 0, 1], 3)
                .udp(5555, 6969)
                .write(frame, b"request")
                .unwrap();
        });
    }

    #[test]
    fn replies_go_back_over_ipv6_through_two_vlans() {
        turn_around(|frame| {
            PacketBuilder::ethernet2([2; 6], [4; 6])
                .double_vlan(7.try_into().unwrap(), 9.try_into().unwrap())
                .ipv6([2; 16], [1; 16], 3)
                .udp(5555, 6969)
                .write(frame, b"request")
                .unwrap();
        });
    }
}
