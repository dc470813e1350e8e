//! What is kept of a peer: where it is, when it was last heard of, and whether its download has been counted.

use super::{
    hash::HashKey,
    report::{ConnectionKey, Partner, Place},
};
use crate::{
    model::{PeerId, Seconds},
    nodes::NodeNumber,
    policy::Policy,
};
use tracker_common::{
    address::Address,
    bep15::{PEER_IPV4_LEN, PEER_IPV6_LEN},
};

/// Fifteen bits of seconds, and a bit that says that this peer's download has been counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(transparent)]
pub(super) struct Stamp(u16);

impl Stamp {
    const COUNTED: u16 = 1 << 15;
    const PERIOD: u32 = 1 << 15;
    /// Workers read the clock each for itself, so a stamp may be ahead of the sweep that looks at it.
    const SKEW: u32 = 1024;

    pub(super) const fn new(now: Seconds, counted: bool) -> Self {
        let seconds = (now % Self::PERIOD) as u16;
        Self(if counted { seconds | Self::COUNTED } else { seconds })
    }

    pub(super) const fn counted(self) -> bool {
        self.0 & Self::COUNTED != 0
    }

    /// The same time, and whether the download has been counted.
    #[inline]
    pub(super) const fn with_counted(self, counted: bool) -> Self {
        if counted { Self(self.0 | Self::COUNTED) } else { Self(self.0 & !Self::COUNTED) }
    }

    /// How old the stamp is; one from a clock that is ahead is not old at all.
    #[inline]
    pub(super) const fn age(self, now: Seconds) -> Seconds {
        let age = now.wrapping_sub((self.0 & !Self::COUNTED) as u32) % Self::PERIOD;
        if age < Self::PERIOD - Self::SKEW { age } else { 0 }
    }
}

// What is left of the period is the time in which a sweep has to come by: over four hours.
const _: () = assert!(Policy::MAX_PEER_TIMEOUT + Stamp::SKEW + 4 * 3600 < Stamp::PERIOD);

/// A peer of one network.
pub(super) trait Peer: Copy + Default {
    /// Whether both are the same peer of a torrent, whatever else is known of them.
    fn is(&self, other: &Self) -> bool;
    /// The keyed hash of what makes it this peer.
    fn hash(&self, key: HashKey) -> u64;
    /// Where it speaks to the tracker from.
    fn address(&self) -> Address;
    /// How others tell it from the rest of its torrent's peers.
    fn place(&self) -> Place;
    /// Whether it is in the client network of `address`: the same address of IPv4, the same /64 of IPv6.
    fn shares_network(&self, address: &Address) -> bool {
        self.address().client_network() == address.client_network()
    }
    /// The node that reaches it, where that is another one. Its address is not known here.
    fn node(&self) -> Option<NodeNumber> {
        None
    }
    fn stamp(&self) -> Stamp;
    fn set_stamp(&mut self, stamp: Stamp);
}

/// A peer that is its address and port, and is handed out as these.
pub(super) trait Contact: Peer {
    /// Bytes of its compact form: address and port.
    const COMPACT: usize;
    /// A peer at an address of this family; the port is in host byte order.
    fn new(address: &Address, port: u16, stamp: Stamp) -> Self;
    /// Writes the compact forms of `peers`, for as many as there is room.
    fn write(peers: &[Self], out: &mut [u8]);
}

/// An IPv4 peer. Its first six bytes are its compact form.
#[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub(super) struct Peer4 {
    address: [u8; 4],
    port: [u8; 2],
    stamp: Stamp,
}
const _: () = assert!(size_of::<Peer4>() == 8);

/// An IPv6 peer. Its first eighteen bytes are its compact form.
#[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub(super) struct Peer6 {
    address: [u8; 16],
    port: [u8; 2],
    stamp: Stamp,
}
const _: () = assert!(size_of::<Peer6>() == 20);

impl Peer4 {
    /// Address and port as the low six bytes of a word.
    #[inline(always)]
    fn word(self) -> u64 {
        u64::from(u32::from_le_bytes(self.address)) | u64::from(u16::from_le_bytes(self.port)) << 32
    }
}

impl Peer for Peer4 {
    #[inline(always)]
    fn is(&self, other: &Self) -> bool {
        self.word() == other.word()
    }

    #[inline]
    fn hash(&self, key: HashKey) -> u64 {
        key.hash([self.word() | 6 << 56])
    }

    fn address(&self) -> Address {
        Address::from_ipv4(self.address)
    }

    fn place(&self) -> Place {
        Place::At(self.address(), u16::from_be_bytes(self.port))
    }

    #[inline(always)]
    fn stamp(&self) -> Stamp {
        self.stamp
    }

    fn set_stamp(&mut self, stamp: Stamp) {
        self.stamp = stamp;
    }
}

impl Contact for Peer4 {
    const COMPACT: usize = PEER_IPV4_LEN;

    fn new(address: &Address, port: u16, stamp: Stamp) -> Self {
        Self { address: address.ipv4_bytes(), port: port.to_be_bytes(), stamp }
    }

    #[inline]
    fn write(peers: &[Self], out: &mut [u8]) {
        let (entries, _) = out.as_chunks_mut::<PEER_IPV4_LEN>();
        for (entry, peer) in entries.iter_mut().zip(peers) {
            entry.copy_from_slice(&bytemuck::bytes_of(peer)[..PEER_IPV4_LEN]);
        }
    }
}

impl Peer for Peer6 {
    #[inline(always)]
    fn is(&self, other: &Self) -> bool {
        self.address == other.address && self.port == other.port
    }

    #[inline]
    fn hash(&self, key: HashKey) -> u64 {
        let [high, low]: [[u8; 8]; 2] = bytemuck::cast(self.address);
        let last = u64::from(u16::from_le_bytes(self.port)) | 18 << 56;
        key.hash([u64::from_le_bytes(high), u64::from_le_bytes(low), last])
    }

    fn address(&self) -> Address {
        Address::from_octets(self.address)
    }

    fn place(&self) -> Place {
        Place::At(self.address(), u16::from_be_bytes(self.port))
    }

    #[inline(always)]
    fn stamp(&self) -> Stamp {
        self.stamp
    }

    fn set_stamp(&mut self, stamp: Stamp) {
        self.stamp = stamp;
    }
}

impl Contact for Peer6 {
    const COMPACT: usize = PEER_IPV6_LEN;

    fn new(address: &Address, port: u16, stamp: Stamp) -> Self {
        Self { address: address.octets(), port: port.to_be_bytes(), stamp }
    }

    #[inline]
    fn write(peers: &[Self], out: &mut [u8]) {
        let (entries, _) = out.as_chunks_mut::<PEER_IPV6_LEN>();
        for (entry, peer) in entries.iter_mut().zip(peers) {
            entry.copy_from_slice(&bytemuck::bytes_of(peer)[..PEER_IPV6_LEN]);
        }
    }
}

/// What is kept of a WebRTC peer.
#[derive(Clone, Copy, Debug)]
pub(super) struct WebrtcPeer {
    pub(super) connection: ConnectionKey,
    pub(super) address: Address,
    pub(super) peer_id: PeerId,
    /// Of one of this node the age means nothing.
    pub(super) stamp: Stamp,
}
const _: () = assert!(size_of::<WebrtcPeer>() == 48);

impl WebrtcPeer {
    /// Anybody with this peer ID.
    pub(super) fn named(peer_id: &PeerId) -> Self {
        Self { peer_id: *peer_id, ..Self::default() }
    }

    /// One that another node holds.
    pub(super) fn elsewhere(peer_id: &PeerId, node: NodeNumber, stamp: Stamp) -> Self {
        Self { connection: ConnectionKey::of_node(node), stamp, ..Self::named(peer_id) }
    }

    pub(super) const fn partner(&self) -> Partner {
        Partner { peer_id: self.peer_id, connection: self.connection }
    }
}

impl Default for WebrtcPeer {
    fn default() -> Self {
        Self {
            connection: ConnectionKey(0),
            address: Address::from_words([0, 0]),
            peer_id: PeerId([0; 20]),
            stamp: Stamp::default(),
        }
    }
}

impl Peer for WebrtcPeer {
    fn is(&self, other: &Self) -> bool {
        self.peer_id == other.peer_id
    }

    fn hash(&self, key: HashKey) -> u64 {
        key.id(&self.peer_id.0)
    }

    fn address(&self) -> Address {
        self.address
    }

    fn place(&self) -> Place {
        Place::Named(self.peer_id)
    }

    fn node(&self) -> Option<NodeNumber> {
        self.connection.node()
    }

    fn stamp(&self) -> Stamp {
        self.stamp
    }

    fn set_stamp(&mut self, stamp: Stamp) {
        self.stamp = stamp;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        hash::{DefaultHasher, Hasher},
        net::IpAddr,
    };

    fn address(text: &str) -> Address {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn compact_forms_are_in_network_order() {
        let mut out = [0xee; 8];
        Peer4::write(&[Peer4::new(&address("1.2.3.4"), 0x0506, Stamp::new(1, true))], &mut out);
        assert_eq!(out, [1, 2, 3, 4, 5, 6, 0xee, 0xee]);
        let mut out = [0xee; 20];
        Peer6::write(&[Peer6::new(&address("2001:db8::9"), 0x0506, Stamp::new(1, true))], &mut out);
        assert_eq!(out, [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 5, 6, 0xee, 0xee]);
    }

    #[test]
    fn a_peer_is_its_address_and_port() {
        let peer = |text, port, now| Peer4::new(&address(text), port, Stamp::new(now, false));
        assert!(peer("1.2.3.4", 5, 0).is(&peer("1.2.3.4", 5, 99)));
        assert!(!peer("1.2.3.4", 5, 0).is(&peer("1.2.3.4", 6, 0)));
        assert!(!peer("1.2.3.4", 5, 0).is(&peer("1.2.3.5", 5, 0)));
        assert_eq!(peer("1.2.3.4", 5, 0).address(), address("1.2.3.4"));
        let peer = |text, port| Peer6::new(&address(text), port, Stamp::new(0, false));
        assert!(peer("::1", 5).is(&peer("::1", 5)));
        assert!(!peer("::1", 5).is(&peer("::1", 6)));
        assert!(!peer("::1", 5).is(&peer("::2", 5)));
        assert_eq!(peer("::1", 5).address(), address("::1"));
    }

    #[test]
    fn peers_hash_as_their_compact_forms_do() {
        let oracle = |bytes: &[u8]| {
            let mut hasher = DefaultHasher::new();
            hasher.write(bytes);
            hasher.finish()
        };
        let key = HashKey::new([0, 0]);
        let four = Peer4::new(&address("1.2.3.4"), 0x0506, Stamp::new(77, true));
        assert_eq!(four.hash(key), oracle(&[1, 2, 3, 4, 5, 6]));
        let six = Peer6::new(&address("2001:db8::9"), 0x0506, Stamp::new(77, true));
        assert_eq!(six.hash(key), oracle(&[0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 5, 6]));
    }

    #[test]
    fn a_stamp_ages_through_the_wrap() {
        for start in [0, 1, 32_767, 32_768, 1_000_000, u32::MAX - 50_000] {
            for counted in [false, true] {
                let stamp = Stamp::new(start, counted);
                assert_eq!(stamp.counted(), counted);
                assert_eq!(stamp.with_counted(!counted), Stamp::new(start, !counted));
                for later in [0, 1, 2699, 2700, 20_000, 31_000] {
                    assert_eq!(stamp.age(start + later), later, "{start} + {later}");
                }
            }
        }
    }

    #[test]
    fn a_stamp_from_a_clock_ahead_is_young() {
        assert_eq!(Stamp::new(1001, false).age(1000), 0);
        assert_eq!(Stamp::new(32_768, false).age(32_767), 0);
    }
}
