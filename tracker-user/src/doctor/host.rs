//! Facts about the machine.

use super::{ethtool::run, rules::Rules, text};
use crate::config::Config;
use caps::{CapSet, Capability, CapsHashSet};
use nix::{
    sched::{CpuSet, sched_getaffinity},
    sys::resource::{Resource, getrlimit},
    unistd::Pid,
};
use std::{fs, net::SocketAddr};

/// What was found; what the machine does not say is absent.
#[derive(Clone, Debug, Default)]
pub(super) struct Host {
    /// The kernel's release.
    pub(super) release: String,
    /// Whether this binary carries the XDP program.
    pub(super) has_program: bool,
    /// `net.core.bpf_jit_enable`.
    pub(super) jit: Option<u64>,
    /// `kernel.unprivileged_bpf_disabled`.
    pub(super) unprivileged_bpf_disabled: Option<u64>,
    /// `kernel.io_uring_disabled`.
    pub(super) io_uring_disabled: Option<u64>,
    /// Effective capabilities.
    pub(super) capabilities: CapsHashSet,
    /// The limit of locked memory, in bytes.
    pub(super) locked_memory: Option<u64>,
    /// The limit of open descriptors, as far as the tracker may raise it.
    pub(super) descriptors: Option<u64>,
    /// `net.core.rmem_max`, in bytes.
    pub(super) receive_buffer_max: Option<u64>,
    /// `net.core.wmem_max`, in bytes.
    pub(super) send_buffer_max: Option<u64>,
    /// CPUs this process may use.
    pub(super) cpus: usize,
    /// The local addresses of all UDP sockets.
    pub(super) udp_sockets: Vec<SocketAddr>,
    /// What is known of the firewall.
    pub(super) firewall: Firewall,
    /// Tables of the older iptables that are in use.
    pub(super) legacy_tables: Vec<String>,
    /// The table of connections, if they are tracked.
    pub(super) conntrack: Option<Conntrack>,
}

/// The kernel's table of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Conntrack {
    /// `net.netfilter.nf_conntrack_count`: those in this network namespace.
    pub(super) entries: u64,
    /// `net.netfilter.nf_conntrack_max`.
    pub(super) most: u64,
}

/// What is known of the firewall.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Firewall {
    /// There is no tool to ask.
    #[default]
    Absent,
    /// There is a tool, but it does not answer this user.
    Unreadable,
    /// What its rules do with the tracker's ports.
    Readable(Rules),
}

/// Asks the machine.
pub(super) fn gather(config: &Config) -> Host {
    let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse().ok();
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let mut udp_sockets = text::udp_sockets(&read("/proc/net/udp"));
    udp_sockets.extend(text::udp_sockets(&read("/proc/net/udp6")));
    Host {
        release: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        has_program: crate::xdp::program::is_built_in(),
        jit: number("/proc/sys/net/core/bpf_jit_enable"),
        unprivileged_bpf_disabled: number("/proc/sys/kernel/unprivileged_bpf_disabled"),
        io_uring_disabled: number("/proc/sys/kernel/io_uring_disabled"),
        capabilities: caps::read(None, CapSet::Effective).unwrap_or_default(),
        locked_memory: getrlimit(Resource::RLIMIT_MEMLOCK).ok().map(|(soft, _)| soft),
        descriptors: getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(_, hard)| hard),
        receive_buffer_max: number("/proc/sys/net/core/rmem_max"),
        send_buffer_max: number("/proc/sys/net/core/wmem_max"),
        cpus: cpus(),
        udp_sockets,
        firewall: firewall(config),
        legacy_tables: legacy_tables(),
        conntrack: conntrack(),
    }
}

impl Host {
    /// Whether an effective capability is there.
    pub(super) fn can(&self, capability: Capability) -> bool {
        self.capabilities.contains(&capability)
    }
}

fn cpus() -> usize {
    sched_getaffinity(Pid::from_raw(0))
        .map_or(1, |set| (0..CpuSet::count()).filter(|cpu| set.is_set(*cpu).unwrap_or(false)).count())
}

/// The UDP ports that the tracker has by its configuration; none that the kernel chooses.
pub(super) fn ports(config: &Config) -> Vec<u16> {
    let mut ports: Vec<u16> = config.udp.listen.addresses.iter().map(SocketAddr::port).collect();
    ports.retain(|port| *port != 0);
    ports.sort_unstable();
    ports.dedup();
    ports
}

fn firewall(config: &Config) -> Firewall {
    let answers = [run("nft", &["list", "ruleset"]), run("iptables-save", &[]), run("ip6tables-save", &[])];
    let answers: Vec<_> = answers.into_iter().flatten().collect();
    if answers.is_empty() {
        Firewall::Absent
    } else if answers.iter().any(|answer| !answer.is_success) {
        Firewall::Unreadable
    } else {
        let texts: Vec<&str> = answers.iter().map(|answer| answer.text.as_str()).collect();
        Firewall::Readable(Rules::read(&texts, &ports(config)))
    }
}

fn conntrack() -> Option<Conntrack> {
    let number = |name: &str| {
        let text = fs::read_to_string(format!("/proc/sys/net/netfilter/{name}")).ok()?;
        text.trim().parse().ok()
    };
    Some(Conntrack { entries: number("nf_conntrack_count")?, most: number("nf_conntrack_max")? })
}

/// Tables of the older iptables that are in use, as far as this user may see.
fn legacy_tables() -> Vec<String> {
    let mut tables: Vec<String> = ["/proc/net/ip_tables_names", "/proc/net/ip6_tables_names"]
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .flat_map(|names| names.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    tables.sort();
    tables.dedup();
    tables
}
