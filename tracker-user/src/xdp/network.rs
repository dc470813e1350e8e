//! The host's network as netlink tells it: links, and the addresses of the `local` routing table.

use futures_util::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use rtnetlink::{
    Handle, MulticastGroup, RouteMessageBuilder, new_multicast_connection,
    packet_route::{
        AddressFamily,
        link::{InfoData, InfoKind, InfoVlan, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, LinkXdp},
        route::{RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteScope, RouteType},
    },
    sys::AsyncSocket as _,
};
use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};
use tracker_common::address::Address;

/// The routing table of the host's own addresses (`RT_TABLE_LOCAL`).
const LOCAL_TABLE: u32 = 255;
/// How long a burst of changes is given to end.
const BURST: Duration = Duration::from_millis(50);

/// Why the kernel could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No netlink socket.
    #[error("netlink cannot be opened: {0}")]
    Open(#[from] io::Error),
    /// No answer in time.
    #[error("netlink did not answer in time")]
    Silent,
    /// A question was refused.
    #[error("netlink did not answer: {0}")]
    Ask(#[from] rtnetlink::Error),
}

/// A network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its MAC address as a number, six bytes big-endian, if it is Ethernet.
    pub mac: Option<u64>,
    /// Whether it is a loopback interface.
    pub is_loopback: bool,
    /// For a VLAN device its identifier and the number of the interface below.
    pub vlan: Option<(u16, u32)>,
    /// Whether it is a bond, whose frames arrive on other interfaces.
    pub is_bond: bool,
    /// The XDP program on it, by the kernel's number.
    pub xdp_program: Option<u32>,
}

/// A unicast address that the host answers for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalAddress {
    /// The interface it is on.
    pub device: u32,
    /// The address.
    pub address: Address,
}

/// A snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// All interfaces.
    pub links: Vec<Link>,
    /// All addresses of the `local` routing table.
    pub addresses: Vec<LocalAddress>,
}

impl Network {
    /// The interface of this name.
    #[must_use]
    pub fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }
}

/// A connection to the kernel that asks, and hears of changes. Lives in the tokio runtime it was opened in.
pub struct Netlink {
    handle: Handle,
    changes: BoxStream<'static, ()>,
}

impl std::fmt::Debug for Netlink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Netlink").finish_non_exhaustive()
    }
}

impl Netlink {
    /// Opens the connection and subscribes to changes of links and addresses.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn open() -> Result<Self, Error> {
        let groups = [MulticastGroup::Link, MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv6Ifaddr];
        let (mut connection, handle, changes) = new_multicast_connection(&groups)?;
        // So that the kernel itself leaves out all tables but the one asked for, however large they are.
        connection.socket_mut().socket_mut().set_netlink_get_strict_chk(true)?;
        tokio::spawn(connection);
        Ok(Self { handle, changes: changes.map(|_| ()).boxed() })
    }

    /// Waits for a change, and for the burst of them that a single command makes to be over. `false` when the
    /// connection is lost.
    pub async fn changed(&mut self) -> bool {
        if self.changes.next().await.is_none() {
            return false;
        }
        // The kernel tells of an IPv6 address before its route is in the table.
        let burst = tokio::time::sleep(BURST);
        tokio::pin!(burst);
        loop {
            tokio::select! {
                () = &mut burst => return true,
                more = self.changes.next() => if more.is_none() { return false },
            }
        }
    }

    /// Asks for everything.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub async fn snapshot(&self) -> Result<Network, Error> {
        let mut network = Network::default();
        let mut links = self.handle.link().get().execute();
        while let Some(message) = links.try_next().await? {
            network.links.extend(read_link(&message));
        }
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut question = RouteMessageBuilder::<Ipv4Addr>::new()
                .table_id(LOCAL_TABLE)
                .protocol(RouteProtocol::Unspec)
                .scope(RouteScope::Universe)
                .kind(RouteType::Unspec)
                .build();
            question.header.address_family = family;
            let mut routes = self.handle.route().get(question).execute();
            while let Some(message) = routes.try_next().await? {
                network.addresses.extend(read_local_address(&message));
            }
        }
        Ok(network)
    }
}

fn read_link(message: &LinkMessage) -> Option<Link> {
    let mut link = Link {
        index: message.header.index,
        name: String::new(),
        mac: None,
        is_loopback: message.header.flags.contains(LinkFlags::Loopback),
        vlan: None,
        is_bond: false,
        xdp_program: None,
    };
    let (mut vlan_id, mut below) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::Address(bytes) => link.mac = mac_number(bytes),
            LinkAttribute::Link(index) => below = Some(*index),
            LinkAttribute::LinkInfo(infos) => {
                vlan_id = infos.iter().find_map(read_vlan_id);
                link.is_bond = infos.contains(&LinkInfo::Kind(InfoKind::Bond));
            }
            LinkAttribute::Xdp(attributes) => {
                link.xdp_program = attributes.iter().find_map(|attribute| match attribute {
                    LinkXdp::ProgId(id) => Some(*id),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    link.vlan = vlan_id.zip(below);
    (!link.name.is_empty()).then_some(link)
}

fn mac_number(bytes: &[u8]) -> Option<u64> {
    let [a, b, c, d, e, f] = *bytes else { return None };
    Some(u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
}

fn read_vlan_id(info: &LinkInfo) -> Option<u16> {
    let LinkInfo::Data(InfoData::Vlan(infos)) = info else { return None };
    infos.iter().find_map(|info| match info {
        InfoVlan::Id(id) => Some(*id),
        _ => None,
    })
}

fn read_local_address(message: &RouteMessage) -> Option<LocalAddress> {
    let header = &message.header;
    // A longer range that is local as a whole has no place in the program's map: the ordinary sockets serve it.
    let whole = match header.address_family {
        AddressFamily::Inet => header.destination_prefix_length == 32,
        AddressFamily::Inet6 => header.destination_prefix_length == 128,
        _ => false,
    };
    let (mut address, mut device, mut table) = (None, None, u32::from(header.table));
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(ip)) => address = Some(IpAddr::V4(*ip)),
            RouteAttribute::Destination(RouteAddress::Inet6(ip)) => address = Some(IpAddr::V6(*ip)),
            RouteAttribute::Oif(index) => device = Some(*index),
            RouteAttribute::Table(id) => table = *id,
            _ => {}
        }
    }
    let local = header.kind == RouteType::Local && table == LOCAL_TABLE && whole;
    match (local, address, device) {
        (true, Some(address), Some(device)) => Some(LocalAddress { device, address: address.into() }),
        _ => None,
    }
}
