//! What the `ethtool` program says of an interface, and reading it. The kernel's own interface for this is an ioctl,
//! which cannot be called safely.

use std::process::{Command, Stdio};

/// What it says; what an interface does not support is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ethtool {
    /// The driver's name.
    pub(super) driver: Option<String>,
    /// Receive queues in use and at most.
    pub(super) channels: Option<(u32, u32)>,
    /// Descriptors of a receive ring.
    pub(super) receive_ring: Option<u32>,
    /// Features that are on, by ethtool's long names.
    pub(super) features: Vec<String>,
    /// Whether receive hashing takes UDP ports, over IPv4 and IPv6.
    pub(super) hashes_ports: [Option<bool>; 2],
}

impl Ethtool {
    /// Asks about an interface; `None` if there is no such program.
    pub(super) fn ask(interface: &str) -> Option<Self> {
        let ask = |arguments: &[&str]| run("ethtool", arguments).map(|answer| answer.text);
        let driver = ask(&["-i", interface])?;
        let hashes =
            |protocol| ask(&["-n", interface, "rx-flow-hash", protocol]).and_then(|t| hashes_ports(&t));
        Some(Self {
            driver: value(&driver, "driver").map(str::to_owned),
            channels: ask(&["-l", interface]).and_then(|t| channels(&t)),
            receive_ring: ask(&["-g", interface]).and_then(|t| receive_ring(&t)),
            features: ask(&["-k", interface]).map(|t| features_on(&t)).unwrap_or_default(),
            hashes_ports: [hashes("udp4"), hashes("udp6")],
        })
    }

    /// Whether a feature is on.
    pub(super) fn has(&self, feature: &str) -> bool {
        self.features.iter().any(|f| f == feature)
    }
}

/// How a program ended.
pub(super) struct Answer {
    /// Whether with status 0.
    pub(super) is_success: bool,
    /// What it printed on standard output.
    pub(super) text: String,
}

/// Runs a program; `None` if there is none of this name. Administrators' programs are often outside an ordinary user's
/// search path.
pub(super) fn run(program: &str, arguments: &[&str]) -> Option<Answer> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let mut command = Command::new(program);
    command.args(arguments).env("PATH", path).env("LC_ALL", "C").stdin(Stdio::null()).stderr(Stdio::null());
    let output = command.output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Some(Answer { is_success: output.status.success(), text })
}

fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// The part about what is set now, and the part about what could be.
fn now_and_most(text: &str) -> Option<(&str, &str)> {
    let (most, now) = text.split_once("Current hardware settings:")?;
    Some((now, most))
}

fn channels(text: &str) -> Option<(u32, u32)> {
    let (now, most) = now_and_most(text)?;
    let number = |part, name| value(part, name).and_then(|v| v.parse::<u32>().ok()).unwrap_or(0);
    let receive = |part| number(part, "RX") + number(part, "Combined");
    Some((receive(now), receive(most))).filter(|(now, _)| *now > 0)
}

fn receive_ring(text: &str) -> Option<u32> {
    value(now_and_most(text)?.0, "RX")?.parse().ok()
}

fn features_on(text: &str) -> Vec<String> {
    let on = |line: &str| {
        let (name, state) = line.trim().split_once(':')?;
        (state.split_whitespace().next() == Some("on")).then(|| name.to_owned())
    };
    text.lines().skip(1).filter_map(on).collect()
}

fn hashes_ports(text: &str) -> Option<bool> {
    let (_, fields) = text.split_once("flow key:")?;
    Some(fields.contains("L4 bytes 0 & 1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANNELS: &str = "\
Channel parameters for eth0:
Pre-set maximums:
RX:		n/a
TX:		n/a
Other:		1
Combined:	63
Current hardware settings:
RX:		n/a
TX:		n/a
Other:		1
Combined:	8
";

    #[test]
    fn channels_are_combined_or_apart() {
        assert_eq!(channels(CHANNELS), Some((8, 63)));
        let apart = "Pre-set maximums:\nRX:\t\t2\nTX:\t\t2\nCombined:\tn/a\nCurrent hardware settings:\nRX:\t\t1\nTX:\t\t1\nCombined:\tn/a\n";
        assert_eq!(channels(apart), Some((1, 2)));
        assert_eq!(channels(""), None);
    }

    #[test]
    fn the_ring_is_the_one_in_use() {
        let text = "Ring parameters for eth0:\nPre-set maximums:\nRX:\t\t4096\nRX Mini:\tn/a\nTX:\t\t4096\nCurrent hardware settings:\nRX:\t\t512\nRX Mini:\tn/a\nTX:\t\t512\n";
        assert_eq!(receive_ring(text), Some(512));
        assert_eq!(receive_ring("netlink error: Operation not supported\n"), None);
    }

    #[test]
    fn features_that_are_on() {
        let text = "Features for eth0:\nrx-checksumming: on [fixed]\nlarge-receive-offload: off [fixed]\nrx-vlan-offload: on\n\ttx-checksum-ipv4: off\n\trx-gro-hw: on\n";
        assert_eq!(features_on(text), ["rx-checksumming", "rx-vlan-offload", "rx-gro-hw"]);
    }

    #[test]
    fn hashing_by_port() {
        let head = "UDP over IPV4 flows use these fields for computing Hash flow key:\nIP SA\nIP DA\n";
        let ports = "L4 bytes 0 & 1 [TCP/UDP src port]\nL4 bytes 2 & 3 [TCP/UDP dst port]\n";
        assert_eq!(hashes_ports(head), Some(false));
        assert_eq!(hashes_ports(&(head.to_owned() + ports)), Some(true));
        assert_eq!(hashes_ports(""), None);
    }

    #[test]
    fn the_driver_is_named() {
        assert_eq!(value("driver: veth\nversion: 1.0\n", "driver"), Some("veth"));
    }
}
