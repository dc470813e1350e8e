//! Facts about network interfaces.

use super::{
    ethtool::Ethtool,
    features::{self, Features},
};
use futures_util::TryStreamExt as _;
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkInfo, LinkMessage, LinkXdp};
use std::{collections::HashMap, fs, io, path::Path};
use tracker_common::maps;

/// What was found about one interface.
#[derive(Clone, Debug, Default)]
pub(super) struct Interface {
    /// Its name.
    pub(super) name: String,
    /// What netlink says; absent if there is no such interface.
    pub(super) link: Option<Link>,
    /// The driver, or the kind of a virtual interface.
    pub(super) driver: Option<String>,
    /// What the driver's XDP can do, where the kernel says so.
    pub(super) features: Option<Features>,
    /// What ethtool says, if it is installed.
    pub(super) ethtool: Option<Ethtool>,
    /// The XDP program on it.
    pub(super) program: Option<Program>,
    /// VLAN interfaces on top of it.
    pub(super) vlans: Vec<String>,
    /// For a veth, its other end.
    pub(super) peer: Option<Peer>,
}

/// What netlink says of an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Link {
    /// Its number.
    pub(super) index: u32,
    /// Its name.
    pub(super) name: String,
    /// Whether it is up.
    pub(super) is_up: bool,
    /// Whether it is a loopback interface.
    pub(super) is_loopback: bool,
    /// The longest packet, in bytes.
    pub(super) mtu: u32,
    /// Its kind, if it is virtual.
    pub(super) kind: Option<String>,
    /// The interface below it, or its other end.
    pub(super) lower: Option<u32>,
    /// Whether that one is in another network namespace.
    pub(super) lower_is_elsewhere: bool,
    /// The number of the XDP program on it.
    pub(super) program: Option<u32>,
}

/// An XDP program on an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Program {
    /// The tracker's own.
    Ours,
    /// Another, by its name, or by its number where the name is not to be had.
    Foreign(String),
}

/// The other end of a veth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// In this network namespace, and whether an XDP program is on it.
    Here {
        /// Its name.
        name: String,
        /// Whether an XDP program is on it.
        has_program: bool,
    },
    /// In another one, which cannot be looked into.
    Elsewhere,
}

/// Asks about the interfaces named, or about all that are up besides loopback if none is.
pub(super) fn gather(names: &[String]) -> io::Result<Vec<Interface>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let links = runtime.block_on(links())?;
    let names: Vec<String> = if names.is_empty() {
        links.iter().filter(|l| l.is_up && !l.is_loopback).map(|l| l.name.clone()).collect()
    } else {
        names.to_vec()
    };
    let programs = program_names();
    Ok(names.into_iter().map(|name| look(name, &links, &programs)).collect())
}

async fn links() -> io::Result<Vec<Link>> {
    let (connection, handle, _) = rtnetlink::new_connection()?;
    tokio::spawn(connection);
    let mut messages = handle.link().get().execute();
    let mut links = Vec::new();
    while let Some(message) = messages.try_next().await.map_err(io::Error::other)? {
        links.push(read(&message));
    }
    Ok(links)
}

fn read(message: &LinkMessage) -> Link {
    let flags = message.header.flags;
    let mut link = Link {
        index: message.header.index,
        is_up: flags.contains(LinkFlags::Up),
        is_loopback: flags.contains(LinkFlags::Loopback),
        ..Link::default()
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::Link(index) => link.lower = Some(*index),
            LinkAttribute::LinkNetNsId(_) => link.lower_is_elsewhere = true,
            LinkAttribute::LinkInfo(infos) => {
                link.kind = infos.iter().find_map(|info| match info {
                    LinkInfo::Kind(kind) => Some(kind.to_string()),
                    _ => None,
                });
            }
            LinkAttribute::Xdp(attributes) => {
                link.program = attributes.iter().find_map(|attribute| match attribute {
                    LinkXdp::ProgId(id) => Some(*id),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    link
}

fn look(name: String, links: &[Link], programs: &HashMap<u32, String>) -> Interface {
    let Some(link) = links.iter().find(|l| l.name == name).cloned() else {
        return Interface { name, ..Interface::default() };
    };
    let ethtool = Ethtool::ask(&name);
    // The files of a device belong to the namespace that /sys was mounted in, so what netlink says goes first.
    let driver = link
        .kind
        .clone()
        .or_else(|| ethtool.as_ref().and_then(|e| e.driver.clone()).filter(|driver| !driver.is_empty()))
        .or_else(|| driver_file(&name));
    let program = link.program.map(|id| match programs.get(&id) {
        Some(name) if name == maps::PROGRAM => Program::Ours,
        Some(name) if !name.is_empty() => Program::Foreign(format!("`{name}`")),
        _ => Program::Foreign(format!("number {id}")),
    });
    let on_top =
        |l: &&Link| l.kind.as_deref() == Some("vlan") && l.lower == Some(link.index) && !l.lower_is_elsewhere;
    Interface {
        driver,
        features: features::ask(link.index),
        ethtool,
        program,
        vlans: links.iter().filter(on_top).map(|l| l.name.clone()).collect(),
        peer: (link.kind.as_deref() == Some("veth")).then(|| peer(&link, links)),
        link: Some(link),
        name,
    }
}

fn peer(link: &Link, links: &[Link]) -> Peer {
    let here = links.iter().find(|l| !link.lower_is_elsewhere && Some(l.index) == link.lower);
    here.map_or(Peer::Elsewhere, |l| Peer::Here { name: l.name.clone(), has_program: l.program.is_some() })
}

fn driver_file(name: &str) -> Option<String> {
    let link = fs::read_link(Path::new("/sys/class/net").join(name).join("device/driver")).ok()?;
    Some(link.file_name()?.to_str()?.to_owned())
}

/// The names of all loaded programs by number; empty without the right to ask.
fn program_names() -> HashMap<u32, String> {
    aya::programs::loaded_programs()
        .flatten()
        .map(|program| (program.id(), program.name_as_str().unwrap_or_default().to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn veth(index: u32, lower: u32, lower_is_elsewhere: bool, program: Option<u32>) -> Link {
        let (name, kind) = (format!("v{index}"), Some("veth".to_owned()));
        Link { index, name, kind, lower: Some(lower), lower_is_elsewhere, program, ..Link::default() }
    }

    #[test]
    fn a_veths_other_end_is_here_or_elsewhere() {
        let links = [veth(2, 3, false, None), veth(3, 2, false, Some(7)), veth(4, 3, true, None)];
        assert_eq!(peer(&links[0], &links), Peer::Here { name: "v3".into(), has_program: true });
        assert_eq!(peer(&links[1], &links), Peer::Here { name: "v2".into(), has_program: false });
        // Numbers repeat between namespaces.
        assert_eq!(peer(&links[2], &links), Peer::Elsewhere);
    }

    #[test]
    fn an_absent_interface_has_no_link() {
        let found = look("absent0".into(), &[veth(2, 3, false, None)], &HashMap::new());
        assert!(found.link.is_none());
        assert_eq!(found.name, "absent0");
    }
}
