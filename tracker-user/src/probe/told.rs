//! Judges what an announce was answered, whatever the protocol.

use super::{
    finding::Findings,
    party::{Party, WANTED, Which},
    shown::{count, interval},
};
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// Counts above this are absurd: no swarm has so many peers.
const MOST_PEERS: i64 = 100_000_000;
/// Below this many seconds a tracker asks for more load than peers have news.
const SHORT_INTERVAL: i64 = 30;
/// Above this many seconds a tracker does not know who is there any more.
const LONG_INTERVAL: i64 = 86_400;

/// What an announce was answered. What the tracker did not tell is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// Seconds until the next announce.
    pub(super) interval: Option<i64>,
    /// Seconds before which there must be none.
    pub(super) min_interval: Option<i64>,
    /// Peers with the whole torrent.
    pub(super) seeders: Option<i64>,
    /// Peers without it.
    pub(super) leechers: Option<i64>,
    /// Peers to connect to.
    pub(super) peers: Vec<SocketAddr>,
}

/// Judges what one of the clients was told: interval, counts and list.
pub(super) fn judge(told: &Told, party: &Party, which: Which) -> Findings {
    let mut findings = Findings::default();
    judge_interval(told, &mut findings);
    judge_counts(told, party, which, &mut findings);
    judge_list(told, party, which, &mut findings);
    findings
}

fn judge_interval(told: &Told, findings: &mut Findings) {
    match told.interval {
        None => findings.wrong("no interval: clients do not know when to come back"),
        Some(seconds @ ..=0) => {
            findings.wrong(format!("the interval is {seconds} s: clients come back at once, or never"));
        }
        Some(seconds @ 1..SHORT_INTERVAL) => {
            findings
                .note(format!("the interval is only {seconds} s; many clients wait longer than that anyway"));
        }
        Some(seconds) if seconds > LONG_INTERVAL => {
            findings.note(format!(
                "the interval is {}: peers that are gone are listed for long",
                interval(seconds)
            ));
        }
        Some(_) => {}
    }
    match (told.min_interval, told.interval) {
        (Some(seconds @ ..=-1), _) => findings.wrong(format!("the min interval is {seconds} s")),
        (Some(min), Some(usual)) if min > usual => findings.note(format!(
            "the min interval ({min} s) is longer than the interval ({usual} s): clients keep to one or the other"
        )),
        _ => {}
    }
}

fn judge_counts(told: &Told, party: &Party, which: Which, findings: &mut Findings) {
    let [seeders, leechers] = [("seeders", told.seeders), ("leechers", told.leechers)].map(|(what, told)| {
        if let Some(number) = told
            && !(0..=MOST_PEERS).contains(&number)
        {
            findings.wrong(format!("{number} {what}: no swarm has so many"));
            return None;
        }
        told
    });
    let (Some(seeders), Some(leechers)) = (seeders, leechers) else { return };
    if !party.is_alone {
        return;
    }
    let told = format!("{} and {}", count(seeders, "seeder"), count(leechers, "leecher"));
    match which {
        Which::First if (seeders, leechers) == (0, 1) => findings.wrong(format!(
            "it counts {told}, though a seeder has announced and nobody else: are the two fields exchanged?"
        )),
        Which::First | Which::Second
            if seeders > 1 || leechers > 1 || seeders + leechers > which.number().into() =>
        {
            findings.wrong(format!(
                "it counts {told}, though {} announced this torrent, which was made up for this probe",
                if which == Which::First { "only one client has" } else { "only two clients have" }
            ));
        }
        Which::First if seeders == 0 => {
            findings.note("it does not count the client, a seeder, that has just announced");
        }
        Which::Second if seeders + leechers < 2 => {
            findings.note(format!("it counts {told}, though a seeder and a leecher have announced"));
        }
        _ => {}
    }
}

fn judge_list(told: &Told, party: &Party, which: Which, findings: &mut Findings) {
    let peers = &told.peers;
    for peer in peers.iter().filter(|peer| !is_usable(**peer)).take(1) {
        findings.wrong(format!("it lists {peer}, to which nobody can connect"));
    }
    if peers.len() > WANTED.into() {
        findings.note(format!("it lists {} peers where {WANTED} were asked for", peers.len()));
    }
    let distinct: BTreeSet<&SocketAddr> = peers.iter().collect();
    if distinct.len() < peers.len() {
        findings.note(format!(
            "of {} listed, {} are there twice",
            count(peers.len(), "peer"),
            peers.len() - distinct.len()
        ));
    }
    let own = party.client(which).port;
    if peers.iter().any(|peer| peer.port() == own) {
        findings.note(
            "it lists the client's own address, which takes the place of a peer and makes some clients connect to themselves",
        );
    }
    if peers.iter().any(|peer| same(peer.ip(), party.tracker.ip()) && peer.port() == party.tracker.port()) {
        findings.wrong("it lists its own address as that of a peer");
    } else if party.is_alone
        && let Some(stranger) = peers.iter().find(|peer| is_usable(**peer) && !is_ours(**peer, party))
    {
        findings.wrong(format!(
            "it lists {stranger}, though nobody but this probe has announced this torrent: the peer is made up"
        ));
    }
}

/// Judges whether the second client was told of the first.
pub(super) fn judge_meeting(told: &Told, party: &Party) -> Findings {
    let mut findings = Findings::default();
    let first = party.first.port;
    let Some(found) = told.peers.iter().find(|peer| peer.port() == first) else {
        let missing = "the first client is not in the list";
        let counted = told.seeders.unwrap_or(0).saturating_add(told.leechers.unwrap_or(0));
        let listed = count(told.peers.len(), "peer");
        if !party.is_alone && counted.max(0).cast_unsigned() > told.peers.len() as u64 + 1 {
            findings.note(format!("{missing}, which has {listed} of {counted}: that may be chance"));
        } else if party.tracker.ip().is_loopback() {
            findings.wrong(format!(
                "{missing} ({listed}). Some trackers give away no peer at a loopback address: ask this one from another host"
            ));
        } else {
            findings.wrong(format!(
                "{missing} ({listed}), though it has announced just before. Some trackers give nobody peers of their own \
                 address, which both clients share"
            ));
        }
        return findings;
    };
    let (found, tracker) = (found.ip(), party.tracker.ip());
    if is_inside(found) && !is_inside(tracker) {
        findings.note(format!(
            "it knows the first client as {found}, an address that nobody elsewhere reaches: does a proxy before it hide its \
             clients?"
        ));
    }
    findings
}

/// The answer in a few words.
pub(super) fn summary(told: &Told, party: &Party, which: Which) -> String {
    let mut parts = Vec::new();
    if let (Some(seeders), Some(leechers)) = (told.seeders, told.leechers) {
        parts.push(format!("{}, {}", count(seeders, "seeder"), count(leechers, "leecher")));
    }
    if which == Which::Second
        && let Some(found) = told.peers.iter().find(|peer| peer.port() == party.first.port)
    {
        parts.push(format!("client 1 found at {}", found.ip()));
    }
    if let Some(seconds) = told.interval {
        parts.push(format!("again in {}", interval(seconds)));
    }
    parts.join("; ")
}

/// Judges what the last of the two was told that left.
pub(super) fn judge_left(told: &Told, party: &Party) -> Findings {
    let mut findings = Findings::default();
    if party.is_alone && [told.seeders, told.leechers].iter().flatten().any(|&number| number > 0) {
        findings.note("it still counts peers after both have left");
    }
    findings
}

/// What a scrape told of a torrent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Row {
    /// Peers with the whole torrent.
    pub(super) seeders: i64,
    /// Peers without it.
    pub(super) leechers: i64,
    /// How often it was downloaded whole, where that was told.
    pub(super) downloads: Option<i64>,
}

impl Row {
    /// Judges it while both clients are there.
    pub(super) fn judge(&self, party: &Party) -> Findings {
        let mut findings = Findings::default();
        let all = [
            ("seeders", self.seeders),
            ("leechers", self.leechers),
            ("downloads", self.downloads.unwrap_or(0)),
        ];
        let mut absurd = all.iter().filter(|(what, number)| match *what {
            "downloads" => *number < 0,
            _ => !(0..=MOST_PEERS).contains(number),
        });
        if let Some((what, number)) = absurd.next() {
            findings.wrong(format!("{number} {what}: no torrent has so many"));
        } else if party.is_alone && (self.seeders, self.leechers) != (1, 1) {
            findings.note(format!(
                "it tells of {} and {}, though one of each has announced",
                count(self.seeders, "seeder"),
                count(self.leechers, "leecher")
            ));
        }
        findings
    }

    /// In a few words.
    pub(super) fn summary(&self) -> String {
        let downloads =
            self.downloads.map(|number| format!(", {}", count(number, "download"))).unwrap_or_default();
        format!("{}, {}{downloads}", count(self.seeders, "seeder"), count(self.leechers, "leecher"))
    }
}

/// The peers of a compact list, as far as they are whole.
pub(super) fn compact(list: &[u8], is_ipv4: bool) -> Vec<SocketAddr> {
    if is_ipv4 {
        let peer = |&[a, b, c, d, high, low]: &[u8; 6]| {
            SocketAddr::new(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), u16::from_be_bytes([high, low]))
        };
        list.as_chunks::<6>().0.iter().map(peer).collect()
    } else {
        let peer = |bytes: &[u8; 18]| {
            let (ip, port) = bytes.split_at(16);
            let ip: [u8; 16] = ip.try_into().ok()?;
            Some(SocketAddr::new(Ipv6Addr::from(ip).into(), u16::from_be_bytes(port.try_into().ok()?)))
        };
        list.as_chunks::<18>().0.iter().filter_map(peer).collect()
    }
}

/// Whether anybody could connect there.
fn is_usable(peer: SocketAddr) -> bool {
    let ip = peer.ip().to_canonical();
    let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    peer.port() != 0 && !ip.is_unspecified() && !ip.is_multicast() && !broadcast
}

fn is_ours(peer: SocketAddr, party: &Party) -> bool {
    [party.first.port, party.second.port].contains(&peer.port())
}

fn same(one: IpAddr, other: IpAddr) -> bool {
    one.to_canonical() == other.to_canonical()
}

/// Whether an address means something inside a network alone.
fn is_inside(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests;
