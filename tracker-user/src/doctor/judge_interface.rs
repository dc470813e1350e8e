//! What the facts about an interface mean.

use super::{
    Finding, Level,
    ethtool::Ethtool,
    interfaces::{Interface, Link, Peer, Program},
};
use crate::config::{Config, XdpMode, ZeroCopy};

/// Drivers with zero-copy AF_XDP, for kernels that do not say themselves.
const ZERO_COPY: &[&str] = &["ixgbe", "i40e", "ice", "igb", "igc", "mlx5_core", "gve", "idpf", "stmmac"];
/// Further drivers with native XDP, for kernels that do not say themselves.
const NATIVE: &[&str] = &[
    "virtio_net",
    "ena",
    "veth",
    "hv_netvsc",
    "bnxt_en",
    "mlx4_en",
    "qede",
    "sfc",
    "nfp",
    "tun",
    "bond",
    "mvneta",
];
/// Up to this MTU every driver with native XDP keeps a frame in one buffer; most end between 3,000 and 3,500 bytes.
const SAFE_MTU: u32 = 3_000;

/// `asked`: whether the interface was named, so that what keeps the fast path from it is a failure.
pub(super) fn judge(interface: &Interface, config: &Config, asked: bool) -> Vec<Finding> {
    let bad = if asked { Level::Fail } else { Level::Warn };
    let name = interface.name.as_str();
    let Some(link) = &interface.link else {
        return vec![Finding::bad(
            bad,
            name,
            "there is no such interface",
            "`ip link` lists those there are",
        )];
    };
    let mut findings = Vec::new();
    if !link.is_up {
        findings.push(Finding::warn(name, "it is down", format!("ip link set {name} up")));
    }
    findings.extend(foreign_program(interface, bad));
    findings.push(mode(interface));
    findings.extend(mtu(name, link));
    findings.extend(veth(interface));
    match &interface.ethtool {
        Some(ethtool) => {
            findings.extend(queues(interface, ethtool, config));
            findings.extend(ring(interface, ethtool, config));
            findings.extend(offloads(interface, ethtool));
            findings.extend(hashing(name, ethtool));
        }
        None => findings.push(Finding::warn(
            name,
            "queues, rings and offloads were not looked at: the program ethtool is not installed",
            "install the package ethtool and run riptide doctor again",
        )),
    }
    findings
}

fn driver(interface: &Interface) -> &str {
    interface.driver.as_deref().unwrap_or("unknown")
}

fn foreign_program(interface: &Interface, bad: Level) -> Option<Finding> {
    let name = &interface.name;
    match interface.program.as_ref()? {
        Program::Ours => Some(Finding::ok(name, "the tracker's XDP program is on it")),
        Program::Foreign(program) => Some(Finding::bad(
            bad,
            name,
            format!("another XDP program, {program}, is on it, and an interface takes one"),
            format!("stop the program that put it there, or `ip link set dev {name} xdp off`"),
        )),
    }
}

/// Whether the driver has native XDP and zero-copy sockets, and who says so.
fn abilities(interface: &Interface) -> (bool, bool, &'static str) {
    match interface.features {
        Some(f) => (f.native() && f.redirect(), f.zero_copy(), "the kernel says"),
        None => {
            let driver = driver(interface);
            let zero_copy = ZERO_COPY.contains(&driver);
            (zero_copy || NATIVE.contains(&driver), zero_copy, "as far as known")
        }
    }
}

fn mode(interface: &Interface) -> Finding {
    let (name, driver) = (&interface.name, driver(interface));
    let (native, zero_copy, source) = abilities(interface);
    match (native, zero_copy) {
        (true, true) => Finding::ok(name, format!("driver {driver}: native XDP with zero-copy ({source})")),
        (true, false) => {
            Finding::ok(name, format!("driver {driver}: native XDP, sockets copy each frame ({source})"))
        }
        (false, _) => Finding::warn(
            name,
            format!("driver {driver}: no native XDP as it is now ({source}); generic XDP works, slower"),
            no_native_advice(driver),
        ),
    }
}

fn no_native_advice(driver: &str) -> &'static str {
    match driver {
        "vlan" | "macvlan" | "ipvlan" | "bridge" => {
            "attach to the interface below it: VLAN tags are understood there"
        }
        "virtio_net" => {
            "give the guest as many queue pairs as twice its CPUs, and turn off hardware GRO on the host"
        }
        _ => {
            "nothing, or use an interface whose driver has it (ixgbe, i40e, ice, igb, mlx5, gve, virtio_net, ena)"
        }
    }
}

fn mtu(name: &str, link: &Link) -> Option<Finding> {
    (link.mtu > SAFE_MTU && !link.is_loopback).then(|| {
        let what =
            format!("MTU {}: most drivers refuse native XDP beyond about 3,000 to 3,500 bytes", link.mtu);
        Finding::warn(name, what, format!("ip link set {name} mtu 1500, if native XDP is refused"))
    })
}

fn veth(interface: &Interface) -> Option<Finding> {
    let name = &interface.name;
    let advice = |end: &str| {
        format!(
            "attach a program that returns XDP_PASS {end}; without it, leave the interface out: sockets serve as well"
        )
    };
    let what = "a veth delivers what XDP sends only if its other end has an XDP program too";
    match interface.peer.as_ref()? {
        Peer::Here { name: peer, has_program: true } => {
            Some(Finding::ok(name, format!("its other end, {peer}, has an XDP program, as a veth needs")))
        }
        Peer::Here { name: peer, has_program: false } => {
            Some(Finding::warn(name, format!("{what}, and {peer} has none"), advice(&format!("to {peer}"))))
        }
        Peer::Elsewhere => Some(Finding::warn(
            name,
            format!("{what}; that end is in another namespace, such as the container's host"),
            advice("to it there"),
        )),
    }
}

fn queues(interface: &Interface, ethtool: &Ethtool, config: &Config) -> Option<Finding> {
    let name = &interface.name;
    let (queues, most) = ethtool.channels?;
    let workers = config.udp.workers.map_or_else(available_cpus, std::num::NonZeroUsize::get);
    let workers = u32::try_from(workers).unwrap_or(u32::MAX);
    if driver(interface) == "ena" && queues > most / 2 {
        return Some(Finding::warn(
            name,
            format!("{queues} queues of {most}: ena keeps half of them for XDP's own sending"),
            format!("ethtool -L {name} combined {}", (most / 2).max(1)),
        ));
    }
    let what = format!("{queues} receive queues, of {most} at most, for {workers} workers");
    Some(if queues < workers && queues < most {
        let which = if driver(interface) == "veth" { "rx" } else { "combined" };
        let advice =
            format!("ethtool -L {name} {which} {}, so that every worker has a queue", workers.min(most));
        Finding::warn(name, what, advice)
    } else {
        Finding::ok(name, what)
    })
}

fn available_cpus() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get)
}

/// With zero copy the card fills the ring by itself; where the kernel copies frames, `xdp.copy_backlog` tells how many wait.
fn ring(interface: &Interface, ethtool: &Ethtool, config: &Config) -> Option<Finding> {
    let (native, zero_copy, _) = abilities(interface);
    let xdp = &config.xdp;
    if !native || !zero_copy || xdp.zero_copy == ZeroCopy::Off || xdp.mode == XdpMode::Generic {
        return None;
    }
    let (name, theirs, ours) = (&interface.name, ethtool.receive_ring?, xdp.ring_size);
    Some(if theirs <= ours {
        Finding::ok(name, format!("receive rings of {theirs}, within xdp.ring_size = {ours}"))
    } else {
        Finding::warn(
            name,
            format!(
                "receive rings of {theirs} are longer than xdp.ring_size = {ours}: bursts overflow the shorter"
            ),
            format!("set xdp.ring_size = {} and xdp.frames to twice that", theirs.next_power_of_two()),
        )
    })
}

fn offloads(interface: &Interface, ethtool: &Ethtool) -> Vec<Finding> {
    let name = &interface.name;
    let mut findings = Vec::new();
    if ethtool.has("large-receive-offload") {
        let what = "large receive offload is on: frames are merged before XDP, so most drivers refuse it";
        findings.push(Finding::warn(name, what, format!("ethtool -K {name} lro off")));
    }
    if ethtool.has("rx-gro-hw") {
        let what = "hardware GRO is on: frames are merged before XDP, so most drivers refuse it";
        findings.push(Finding::warn(name, what, format!("ethtool -K {name} rx-gro-hw off")));
    }
    if ethtool.has("rx-vlan-offload") && !interface.vlans.is_empty() {
        let what = format!(
            "VLAN tags are stripped before XDP sees a frame, and {} is on top: sockets serve it",
            interface.vlans.join(", ")
        );
        findings.push(Finding::warn(name, what, format!("ethtool -K {name} rxvlan off")));
    }
    findings
}

fn hashing(name: &str, ethtool: &Ethtool) -> Vec<Finding> {
    // With one queue there is nothing to spread.
    if ethtool.channels.is_none_or(|(queues, _)| queues < 2) {
        return Vec::new();
    }
    let judge = |(protocol, by_port): (&str, Option<bool>)| match by_port? {
        true => Some(Finding::ok(name, format!("{protocol} is spread over the queues by address and port"))),
        false => Some(Finding::warn(
            name,
            format!(
                "{protocol} is spread over the queues by address alone: one busy address fills one queue"
            ),
            format!("ethtool -N {name} rx-flow-hash {protocol} sdfn"),
        )),
    };
    ["udp4", "udp6"].into_iter().zip(ethtool.hashes_ports).filter_map(judge).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cli::RunArgs, doctor::features::Features};

    const BASIC: u64 = 1;
    const REDIRECT: u64 = 2;
    const ZERO_COPY_BIT: u64 = 8;

    /// An interface with nothing to complain of.
    fn good() -> Interface {
        Interface {
            name: "eth0".into(),
            link: Some(Link { is_up: true, mtu: 1500, ..Link::default() }),
            driver: Some("ice".into()),
            features: Some(Features::new(BASIC | REDIRECT | ZERO_COPY_BIT)),
            ethtool: Some(Ethtool {
                driver: Some("ice".into()),
                channels: Some((4, 64)),
                receive_ring: Some(2048),
                features: vec!["rx-checksumming".into(), "rx-vlan-offload".into()],
                hashes_ports: [Some(true), Some(true)],
            }),
            ..Interface::default()
        }
    }

    fn findings(interface: &Interface, asked: bool) -> Vec<Finding> {
        let args = RunArgs { workers: Some("4".into()), ..RunArgs::default() };
        judge(interface, &Config::load(&args, &[]).whole().unwrap().0, asked)
    }

    fn one(change: impl FnOnce(&mut Interface), what: &str, advice: &str) -> Level {
        let mut interface = good();
        change(&mut interface);
        let found = findings(&interface, true);
        let bad: Vec<_> = found.into_iter().filter(|f| f.level != Level::Ok).collect();
        let [finding] = <[Finding; 1]>::try_from(bad).unwrap();
        assert!(finding.what.contains(what), "{}", finding.what);
        assert!(finding.advice.as_ref().unwrap().contains(advice), "{finding:?}");
        finding.level
    }

    fn ethtool(interface: &mut Interface) -> &mut Ethtool {
        interface.ethtool.as_mut().unwrap()
    }

    #[test]
    fn a_good_interface_has_nothing_to_change() {
        let found = findings(&good(), true);
        assert!(found.iter().all(|f| f.level == Level::Ok), "{found:?}");
        assert!(found.iter().any(|f| f.what == "driver ice: native XDP with zero-copy (the kernel says)"));
    }

    #[test]
    fn an_absent_interface_fails_if_it_was_named() {
        let absent = Interface { name: "eth9".into(), ..Interface::default() };
        assert_eq!(findings(&absent, true)[0].level, Level::Fail);
        assert_eq!(findings(&absent, true).len(), 1);
    }

    #[test]
    fn a_foreign_program_stands_in_the_way() {
        let set = |i: &mut Interface| i.program = Some(Program::Foreign("`xdp_pass`".into()));
        assert_eq!(one(set, "`xdp_pass`", "ip link set dev eth0 xdp off"), Level::Fail);
        let mut ours = good();
        ours.program = Some(Program::Ours);
        assert!(findings(&ours, true).iter().all(|f| f.level == Level::Ok));
    }

    #[test]
    fn what_the_kernel_says_goes_before_the_list() {
        let mut interface = good();
        interface.features = Some(Features::new(BASIC | REDIRECT));
        assert!(
            findings(&interface, true).iter().any(|f| f.what.contains("copy each frame (the kernel says)"))
        );
        interface.features = None;
        assert!(findings(&interface, true).iter().any(|f| f.what.contains("zero-copy (as far as known)")));
        interface.driver = Some("ena".into());
        assert!(
            findings(&interface, true).iter().any(|f| f.what.contains("copy each frame (as far as known)"))
        );
        one(|i| i.features = Some(Features::new(0)), "no native XDP", "nothing, or");
        one(|i| i.features = Some(Features::new(BASIC)), "no native XDP", "nothing, or");
        one(
            |i| (i.features, i.driver) = (None, Some("r8169".into())),
            "driver r8169: no native XDP",
            "nothing, or",
        );
        let vlan = |i: &mut Interface| (i.features, i.driver) = (Some(Features::new(0)), Some("vlan".into()));
        assert_eq!(one(vlan, "no native XDP", "interface below"), Level::Warn);
    }

    #[test]
    fn state_and_size_of_the_link() {
        one(|i| i.link.as_mut().unwrap().is_up = false, "it is down", "ip link set eth0 up");
        one(|i| i.link.as_mut().unwrap().mtu = 9000, "MTU 9000", "mtu 1500");
    }

    #[test]
    fn a_veth_needs_a_program_at_its_other_end() {
        let here = |has_program| Some(Peer::Here { name: "v1".into(), has_program });
        one(|i| i.peer = here(false), "v1 has none", "XDP_PASS to v1");
        one(|i| i.peer = Some(Peer::Elsewhere), "container", "XDP_PASS");
        let mut fine = good();
        fine.peer = here(true);
        assert!(findings(&fine, true).iter().all(|f| f.level == Level::Ok));
    }

    #[test]
    fn queues_and_rings_are_held_against_workers_and_keys() {
        one(
            |i| ethtool(i).channels = Some((2, 8)),
            "2 receive queues, of 8 at most, for 4",
            "-L eth0 combined 4",
        );
        one(|i| ethtool(i).channels = Some((2, 3)), "2 receive queues", "-L eth0 combined 3");
        let few = |i: &mut Interface| (i.driver, ethtool(i).channels) = (Some("ena".into()), Some((8, 8)));
        one(few, "ena keeps half", "-L eth0 combined 4");
        one(|i| ethtool(i).receive_ring = Some(4096), "rings of 4096", "xdp.ring_size = 4096");
        let mut copies = good();
        copies.features = Some(Features::new(BASIC | REDIRECT));
        ethtool(&mut copies).receive_ring = Some(4096);
        assert!(findings(&copies, true).iter().all(|f| f.level == Level::Ok), "the kernel copies");
        let mut single = good();
        ethtool(&mut single).channels = Some((1, 1));
        ethtool(&mut single).hashes_ports = [Some(false), None];
        assert!(findings(&single, true).iter().all(|f| f.level == Level::Ok), "nothing can be changed");
    }

    #[test]
    fn offloads_that_merge_frames_or_strip_tags() {
        one(|i| ethtool(i).features.push("large-receive-offload".into()), "large receive", "lro off");
        one(|i| ethtool(i).features.push("rx-gro-hw".into()), "hardware GRO", "rx-gro-hw off");
        one(|i| i.vlans.push("eth0.7".into()), "eth0.7 is on top", "rxvlan off");
    }

    #[test]
    fn hashing_without_ports() {
        one(|i| ethtool(i).hashes_ports[1] = Some(false), "udp6 is spread", "rx-flow-hash udp6 sdfn");
    }

    #[test]
    fn without_ethtool_that_is_said() {
        one(|i| i.ethtool = None, "not installed", "install the package ethtool");
    }
}
