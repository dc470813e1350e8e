//! Facts about the machine.

use super::{ethtool::run, text};
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
    /// The limit of open descriptors.
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
}

/// What is known of the firewall.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Firewall {
    /// There is no tool to ask.
    #[default]
    Absent,
    /// There is a tool, but it does not answer this user.
    Unreadable,
    /// How many rules name the tracker's ports.
    Rules(usize),
}

/// Asks the machine.
pub(super) fn gather(config: &Config) -> Host {
    let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse().ok();
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let limit = |resource| getrlimit(resource).ok().map(|(soft, _)| soft);
    let mut udp_sockets = text::udp_sockets(&read("/proc/net/udp"));
    udp_sockets.extend(text::udp_sockets(&read("/proc/net/udp6")));
    Host {
        release: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        has_program: crate::xdp::program::is_built_in(),
        jit: number("/proc/sys/net/core/bpf_jit_enable"),
        unprivileged_bpf_disabled: number("/proc/sys/kernel/unprivileged_bpf_disabled"),
        io_uring_disabled: number("/proc/sys/kernel/io_uring_disabled"),
        capabilities: caps::read(None, CapSet::Effective).unwrap_or_default(),
        locked_memory: limit(Resource::RLIMIT_MEMLOCK),
        descriptors: limit(Resource::RLIMIT_NOFILE),
        receive_buffer_max: number("/proc/sys/net/core/rmem_max"),
        send_buffer_max: number("/proc/sys/net/core/wmem_max"),
        cpus: cpus(),
        udp_sockets,
        firewall: firewall(config),
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

fn firewall(config: &Config) -> Firewall {
    let ports: Vec<u16> = config.udp.listen.addresses.iter().map(SocketAddr::port).collect();
    let answers = [run("nft", &["list", "ruleset"]), run("iptables-save", &[]), run("ip6tables-save", &[])];
    let answers: Vec<_> = answers.into_iter().flatten().collect();
    // Where the older tools are front ends of the first, they list its rules again: so the most, not the sum.
    match answers.iter().map(|answer| text::rules_naming(&answer.text, &ports)).max() {
        None => Firewall::Absent,
        Some(_) if answers.iter().any(|answer| !answer.is_success) => Firewall::Unreadable,
        Some(count) => Firewall::Rules(count),
    }
}
