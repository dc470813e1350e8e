//! What is handed over open: described, sent, received, and taken one by one by whoever wants it.

use super::{
    channel::{Channel, Error},
    messages::{Inventory, Item, MAX_DESCRIPTORS, MAX_ITEMS, Malformed, Message},
};
use crate::{
    config::ListenAddress,
    http::endpoint::Listening,
    metrics, state,
    udp::bind,
    unix::{Ours, SocketFile},
    xdp::{interface::Inherited, link::Mode},
};
use std::{
    net::{SocketAddr, TcpListener, UdpSocket},
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::net::UnixListener,
    },
    path::{Path, PathBuf},
    time::Duration,
};

/// What is handed over open, each with what it is.
#[derive(Debug)]
pub struct Open {
    /// Descriptors of this process, or further ones.
    pub items: Vec<(Item, OwnedFd)>,
    /// What connection IDs are made of.
    pub ids: state::ConnectionIdState,
}

impl Open {
    /// Sends it.
    ///
    /// # Errors
    /// As [`Channel::send`].
    pub fn send(&self, channel: &mut Channel, patience: Duration) -> Result<(), Error> {
        let descriptors: Vec<BorrowedFd<'_>> = self.items.iter().map(|(_, fd)| fd.as_fd()).collect();
        for some in descriptors.chunks(MAX_DESCRIPTORS) {
            channel.send_descriptors(some, patience)?;
        }
        let items = self.items.iter().map(|(item, _)| item.clone()).collect();
        let inventory = Inventory::new(items, self.ids.master, self.ids.clock_base_ns);
        channel.send(&Message::Inventory(inventory), patience)
    }
}

/// What was received open and nobody has taken yet.
#[derive(Debug)]
pub struct Received {
    items: Vec<(Item, OwnedFd)>,
    ids: state::ConnectionIdState,
    ours: Ours,
}

impl Received {
    /// Receives it.
    ///
    /// # Errors
    /// As [`Channel::receive`], or when it is not what it says.
    pub fn receive(channel: &mut Channel, patience: Duration) -> Result<Self, Error> {
        let mut descriptors = Vec::new();
        loop {
            match channel.receive(patience)? {
                Message::Descriptors(count) => {
                    descriptors.extend(channel.take_descriptors(count));
                    if descriptors.len() > MAX_ITEMS {
                        return Err(Malformed("more descriptors than can be".to_owned()).into());
                    }
                }
                Message::Inventory(inventory) => {
                    let master = inventory.master().filter(|_| inventory.items.len() == descriptors.len());
                    let Some(master) = master else {
                        let (told, came) = (inventory.items.len(), descriptors.len());
                        let reason = format!(
                            "{came} descriptors came of {told}; see that there are enough (`ulimit -n`)"
                        );
                        return Err(Malformed(reason).into());
                    };
                    let ids = state::ConnectionIdState { master, clock_base_ns: inventory.clock_base_ns };
                    let items = inventory.items.into_iter().zip(descriptors).collect();
                    return Ok(Self { items, ids, ours: Ours::new(false) });
                }
                other => return Err(Error::Unexpected(other.name())),
            }
        }
    }

    /// What connection IDs are made of.
    #[must_use]
    pub const fn ids(&self) -> state::ConnectionIdState {
        self.ids
    }

    /// Whose the names of Unix sockets are that were taken.
    #[must_use]
    pub fn ours(&self) -> Ours {
        self.ours.clone()
    }

    /// The UDP sockets of a configured address, if there are any: those that were configured so, or are bound there.
    pub fn udp(&mut self, wanted: SocketAddr) -> Option<bind::Listener> {
        let text = wanted.to_string();
        let kind = |item: &Item| match item {
            Item::Udp { configured, address } => Some([configured.clone(), address.clone()]),
            _ => None,
        };
        let [_, address] = self.find(&text, kind)?;
        let is_its = |(item, _): &mut (Item, OwnedFd)| kind(item).is_some_and(|[_, its]| its == address);
        let sockets = self.items.extract_if(.., is_its).map(|(_, fd)| UdpSocket::from(fd)).collect();
        Some(bind::Listener { configured: wanted, address: address.parse().ok()?, sockets })
    }

    /// What listens at a configured address of HTTP, and where that is.
    pub fn http(&mut self, wanted: &ListenAddress) -> Option<(ListenAddress, Listening)> {
        let text = wanted.to_string();
        let kind = |item: &Item| match item {
            Item::Http { configured, address } => Some([configured.clone(), address.clone()]),
            _ => None,
        };
        let (address, fd) = self.take(&text, kind)?;
        Some(match wanted {
            ListenAddress::Tcp(_) => {
                (ListenAddress::Tcp(address.parse().ok()?), Listening::Tcp(TcpListener::from(fd)))
            }
            ListenAddress::Unix(path) => {
                let file = SocketFile::of(path.clone(), self.ours()).ok()?;
                (wanted.clone(), Listening::Unix(UnixListener::from(fd), file))
            }
        })
    }

    /// The listener of metrics at a configured address.
    pub fn metrics(&mut self, wanted: SocketAddr) -> Option<metrics::listener::Listener> {
        let kind = |item: &Item| match item {
            Item::Metrics { configured, address } => Some([configured.clone(), address.clone()]),
            _ => None,
        };
        let (_, fd) = self.take(&wanted.to_string(), kind)?;
        metrics::listener::Listener::opened(wanted, TcpListener::from(fd)).ok()
    }

    /// The listener of the control socket at this path.
    pub fn control(&mut self, wanted: &Path) -> Option<(UnixListener, SocketFile)> {
        let is_it = |(item, _): &mut (Item, OwnedFd)| matches!(item, Item::Control { path } if Path::new(path) == wanted);
        let (_, fd) = self.items.extract_if(.., is_it).next()?;
        Some((UnixListener::from(fd), SocketFile::of(wanted.to_owned(), self.ours()).ok()?))
    }

    /// What programs hang on.
    pub fn links(&mut self) -> Vec<Inherited> {
        let is_link = |(item, _): &mut (Item, OwnedFd)| matches!(item, Item::Link { .. });
        let inherited = |(item, link)| match item {
            Item::Link { interface, index, mode } => {
                let mode = [Mode::Native, Mode::Generic].into_iter().find(|known| known.label() == mode)?;
                Some(Inherited { interface, index, mode, link })
            }
            _ => None,
        };
        self.items.extract_if(.., is_link).filter_map(inherited).collect()
    }

    /// What nobody has taken, in words.
    pub fn rest(&self) -> impl Iterator<Item = String> {
        self.items.iter().filter_map(|(item, _)| match item {
            Item::Udp { address, .. } => Some(format!("udp {address}")),
            Item::Http { address, .. } => Some(format!("http {address}")),
            Item::Metrics { address, .. } => Some(format!("metrics {address}")),
            Item::Control { path } => Some(format!("control {path}")),
            Item::Link { .. } | Item::Unknown => None,
        })
    }

    /// The UDP sockets that nobody has taken.
    pub fn rest_of_udp(&self) -> impl Iterator<Item = &OwnedFd> {
        self.items.iter().filter(|(item, _)| matches!(item, Item::Udp { .. })).map(|(_, fd)| fd)
    }

    /// The Unix sockets of HTTP that nobody has taken: their names go when this is dropped, once they are ours.
    pub fn unwanted_names(&self) -> Vec<SocketFile> {
        let path = |(item, _): &(Item, OwnedFd)| match item {
            Item::Http { address, .. } => address.strip_prefix("unix:").map(PathBuf::from),
            Item::Control { path } => Some(PathBuf::from(path)),
            _ => None,
        };
        self.items.iter().filter_map(path).filter_map(|path| SocketFile::of(path, self.ours()).ok()).collect()
    }

    fn take(
        &mut self,
        wanted: &str,
        kind: impl Fn(&Item) -> Option<[String; 2]> + Copy,
    ) -> Option<(String, OwnedFd)> {
        let places = self.find(wanted, kind)?;
        let is_it = |(item, _): &mut (Item, OwnedFd)| kind(item).as_ref() == Some(&places);
        let (_, fd) = self.items.extract_if(.., is_it).next()?;
        let [_, address] = places;
        Some((address, fd))
    }

    /// Where something is bound that was configured so, or is bound there.
    fn find(&self, wanted: &str, kind: impl Fn(&Item) -> Option<[String; 2]>) -> Option<[String; 2]> {
        let all = || self.items.iter().filter_map(|(item, _)| kind(item));
        all()
            .find(|[configured, _]| configured == wanted)
            .or_else(|| all().find(|[_, address]| address == wanted))
    }
}
