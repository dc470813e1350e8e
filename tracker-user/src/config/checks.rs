//! What no key can check alone.

use super::{
    error::Warning,
    keys::Config,
    layers::Values,
    units,
    values::{AccessMode, Place, XdpMode},
};
use std::fs::File;

/// Bytes of a scrape reply before the rows, and of each row (BEP 15).
const SCRAPE_HEAD: usize = 8;
const SCRAPE_ROW: usize = 12;

/// Fits defaults to the keys that were given: a key that nobody set contradicts nobody. What a peer's timeout should be
/// is a decision, so that one is not among them.
pub(super) fn fit_defaults(config: &mut Config, values: &Values) {
    let Config { udp, xdp, swarm, .. } = config;
    let is_default = |table, key| values.place(table, key) == Place::Default;
    if is_default("udp", "max_scrape_hashes") {
        udp.max_scrape_hashes = udp.max_scrape_hashes.min((udp.max_datagram - SCRAPE_HEAD) / SCRAPE_ROW);
    }
    if is_default("xdp", "frames") {
        xdp.frames = xdp.frames.max(2 * xdp.ring_size);
    }
    if is_default("swarm", "min_interval") {
        swarm.min_interval = swarm.min_interval.min(swarm.interval);
    }
    if is_default("swarm", "default_num_want") {
        swarm.default_num_want = swarm.default_num_want.min(swarm.max_num_want);
    }
}

/// Notes every contradiction between keys, and what the configuration names but the system does not have.
pub(super) fn cross_check(config: &Config, values: &mut Values) {
    let Config { udp, xdp, swarm, access, privileges, .. } = config;
    let mut wrong = |table: &'static str, key: &'static str, reason: String| {
        let place = values.place(table, key);
        values.wrong(place, table, key, reason);
    };

    let scrape = SCRAPE_HEAD + SCRAPE_ROW * udp.max_scrape_hashes;
    if scrape > udp.max_datagram {
        wrong(
            "udp",
            "max_scrape_hashes",
            format!(
                "{} rows make a reply of {scrape} bytes, longer than udp.max_datagram = {}; at most {} fit",
                udp.max_scrape_hashes,
                udp.max_datagram,
                (udp.max_datagram - SCRAPE_HEAD) / SCRAPE_ROW
            ),
        );
    }
    if let (XdpMode::Native | XdpMode::Generic, true) = (xdp.mode, xdp.interfaces.is_empty()) {
        let reason =
            "a mode is asked for by name but no interface: name one by --interface or xdp.interfaces";
        wrong("xdp", "mode", reason.to_owned());
    }
    if u64::from(xdp.frames) < 2 * u64::from(xdp.ring_size) {
        let reason = format!("{} frames are less than twice xdp.ring_size = {}", xdp.frames, xdp.ring_size);
        wrong("xdp", "frames", reason);
    }
    let interval = units::duration(swarm.interval);
    if swarm.min_interval > swarm.interval {
        let reason =
            format!("{} is longer than swarm.interval = {interval}", units::duration(swarm.min_interval));
        wrong("swarm", "min_interval", reason);
    }
    if swarm.default_num_want > swarm.max_num_want {
        let (ours, most) = (swarm.default_num_want, swarm.max_num_want);
        wrong("swarm", "default_num_want", format!("{ours} is more than swarm.max_num_want = {most}"));
    }
    if swarm.peer_timeout <= swarm.interval {
        // Of use to nobody but tests, yet it works: a warning.
        values
            .warnings
            .push(Warning::ShortPeerTimeout { peer_timeout: units::duration(swarm.peer_timeout), interval });
    }
    let mut wrong = |table: &'static str, key: &'static str, reason: String| {
        let place = values.place(table, key);
        values.wrong(place, table, key, reason);
    };
    match (access.mode, &access.info_hashes) {
        (AccessMode::Off, _) => {}
        (_, None) => {
            let reason = "a list is asked for but none is named: set access.info_hashes to its file";
            wrong("access", "mode", reason.to_owned());
        }
        (_, Some(path)) => {
            if let Err(error) = File::open(path).and_then(|f| f.metadata()).and_then(|m| match m.is_dir() {
                true => Err(std::io::ErrorKind::IsADirectory.into()),
                false => Ok(()),
            }) {
                wrong("access", "info_hashes", format!("{} cannot be read: {error}", path.display()));
            }
        }
    }
    if privileges.user.is_none() && privileges.group.is_some() {
        wrong("privileges", "group", "a group alone has no effect: set privileges.user too".to_owned());
    }
}
