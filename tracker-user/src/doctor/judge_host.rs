//! What the facts about the machine mean.

use super::{Finding, Level, host::Host, judge_firewall, text};
use crate::{config::Config, http::MostConnections, privileges::START_CAPABILITIES, xdp::frame::FRAME_LEN};
use caps::Capability;
use std::net::SocketAddr;

/// The oldest kernel the XDP program runs on: it brought the coarse clock that the program reads.
const KERNEL_FLOOR: (u32, u32) = (5, 11);
/// Descriptors that a tracker without HTTP opens: sockets, rings, maps, metrics connections.
const FEW_DESCRIPTORS: u64 = 1024;

/// `asked`: whether interfaces were named, so that what keeps the fast path from them is a failure.
pub(super) fn judge(host: &Host, config: &Config, asked: bool) -> Vec<Finding> {
    let bad = if asked { Level::Fail } else { Level::Warn };
    let mut findings = vec![kernel(host, bad), program(host, bad), jit(host), rights(host, bad)];
    findings.extend(unprivileged_bpf(host));
    findings.extend(locked_memory(host, config));
    findings.extend(descriptors(host, config));
    let buffers = [
        (
            "receive buffer",
            "net.core.rmem_max",
            host.receive_buffer_max,
            "udp.receive_buffer",
            config.udp.receive_buffer,
        ),
        ("send buffer", "net.core.wmem_max", host.send_buffer_max, "udp.send_buffer", config.udp.send_buffer),
    ];
    for (subject, setting, most, key, wanted) in buffers {
        findings.extend(buffer(subject, setting, most, key, wanted as u64));
    }
    findings.extend(io_uring(host));
    findings.extend(judge_firewall::judge(host, config, asked));
    findings.extend(shadowed(host, config));
    findings
}

fn kernel(host: &Host, bad: Level) -> Finding {
    let (major, minor) = KERNEL_FLOOR;
    match text::kernel_version(&host.release) {
        Some(version) if version >= KERNEL_FLOOR => {
            Finding::ok("kernel", format!("{}; the fast path needs {major}.{minor}", host.release))
        }
        _ => Finding::bad(
            bad,
            "kernel",
            format!("{}; the fast path needs {major}.{minor}, sockets serve without it", host.release),
            format!("install a kernel of version {major}.{minor} or later"),
        ),
    }
}

fn program(host: &Host, bad: Level) -> Finding {
    if host.has_program {
        Finding::ok("XDP program", "built into this binary")
    } else {
        let advice = "run `cargo xtask build-ebpf`, then build riptide again";
        Finding::bad(bad, "XDP program", "not built into this binary: sockets only", advice)
    }
}

fn jit(host: &Host) -> Finding {
    match host.jit {
        Some(0) => Finding::warn(
            "BPF compiler",
            "off: the kernel interprets the XDP program, several times slower",
            "sysctl -w net.core.bpf_jit_enable=1",
        ),
        Some(_) => Finding::ok("BPF compiler", "on"),
        // A kernel that is built to compile always has no setting to turn it off in some namespaces.
        None => Finding::ok("BPF compiler", "net.core.bpf_jit_enable cannot be read here"),
    }
}

fn rights(host: &Host, bad: Level) -> Finding {
    let mut missing: Vec<String> = START_CAPABILITIES
        .iter()
        .filter(|c| !host.capabilities.contains(c))
        // What it gives is judged with the limit of locked memory.
        .filter(|c| **c != Capability::CAP_IPC_LOCK)
        .map(ToString::to_string)
        .collect();
    missing.sort();
    if missing.is_empty() {
        return Finding::ok("capabilities", "all that the fast path needs");
    }
    Finding::bad(
        bad,
        "capabilities",
        format!("the fast path needs {} too; sockets need none", missing.join(", ")),
        "run as root (privileges.user gives root up after the start), or grant them to the service",
    )
}

fn unprivileged_bpf(host: &Host) -> Option<Finding> {
    Some(match host.unprivileged_bpf_disabled? {
        0 => Finding::ok("unprivileged BPF", "allowed on this machine; the tracker does not need it"),
        _ => Finding::ok("unprivileged BPF", "off; the tracker keeps CAP_BPF for that"),
    })
}

fn locked_memory(host: &Host, config: &Config) -> Option<Finding> {
    let subject = "locked memory";
    if host.can(Capability::CAP_IPC_LOCK) {
        return Some(Finding::ok(subject, "no limit for this process (CAP_IPC_LOCK)"));
    }
    let limit = host.locked_memory?;
    let queue = u64::from(config.xdp.frames) * FRAME_LEN as u64;
    let what = format!("{} for this process; each queue's packet memory takes {}", size(limit), size(queue));
    Some(if limit / queue.max(1) >= host.cpus as u64 {
        Finding::ok(subject, what)
    } else {
        Finding::warn(subject, what, "grant CAP_IPC_LOCK, or set LimitMEMLOCK=infinity for the service")
    })
}

fn descriptors(host: &Host, config: &Config) -> Option<Finding> {
    let limit = host.descriptors?;
    let has_http = !config.http.listen.addresses.is_empty() || !config.tls.listen.addresses.is_empty();
    let (wanted, what_for) = match has_http {
        true => (
            MostConnections::wanted(&config.http, &config.websocket).descriptors(),
            "http.max_connections and websocket.max_connections may take",
        ),
        false => (FEW_DESCRIPTORS, "a small tracker has"),
    };
    Some(if limit >= wanted {
        Finding::ok("descriptors", format!("up to {limit} open at once; {what_for} {wanted}"))
    } else {
        Finding::warn(
            "descriptors",
            format!("only {limit} may be open at once; {what_for} {wanted}"),
            format!(
                "set LimitNOFILE={wanted} or more for the service (or `ulimit -Hn`), or lower these keys"
            ),
        )
    })
}

fn buffer(subject: &str, setting: &str, most: Option<u64>, key: &str, wanted: u64) -> Option<Finding> {
    let most = most?;
    Some(if most >= wanted {
        Finding::ok(subject, format!("{key} = {} fits {setting}", size(wanted)))
    } else {
        Finding::warn(
            subject,
            format!("{key} = {} is cut to {setting} = {}: bursts are lost sooner", size(wanted), size(most)),
            format!("sysctl -w {setting}={wanted}"),
        )
    })
}

fn io_uring(host: &Host) -> Option<Finding> {
    let state = match host.io_uring_disabled? {
        0 => "allowed",
        1 => "for privileged processes only",
        _ => "off",
    };
    Some(Finding::ok("io_uring", format!("{state}; the tracker's sockets do not need it")))
}

/// Sockets of other programs at an address that a wildcard listener of ours covers too.
fn shadowed(host: &Host, config: &Config) -> Vec<Finding> {
    let listeners = &config.udp.listen.addresses;
    let wildcard = |socket: &SocketAddr| {
        let same = |ours: &&SocketAddr| ours.is_ipv4() == socket.is_ipv4() && ours.port() == socket.port();
        listeners.iter().filter(same).any(|ours| ours.ip().is_unspecified() && ours.port() != 0)
    };
    let explicit = |socket: &SocketAddr| listeners.contains(socket);
    let mut others: Vec<_> = host
        .udp_sockets
        .iter()
        .filter(|s| !s.ip().is_unspecified() && !s.ip().is_loopback() && wildcard(s) && !explicit(s))
        .collect();
    others.sort();
    others.dedup();
    let finding = |socket: &SocketAddr| {
        Finding::warn(
            "UDP sockets",
            format!(
                "another program has {socket}, which the tracker's wildcard address covers: XDP would take its packets"
            ),
            "name the tracker's own addresses by --udp or udp.listen instead of the wildcard",
        )
    };
    if others.is_empty() {
        return vec![Finding::ok("UDP sockets", "none is shadowed by the tracker's addresses")];
    }
    others.into_iter().map(finding).collect()
}

/// A size for people, rounded down.
fn size(bytes: u64) -> String {
    match bytes {
        0x1000_0000_0000.. => "no limit".to_owned(),
        0x10_0000.. => format!("{} MiB", bytes >> 20),
        0x400.. => format!("{} KiB", bytes >> 10),
        _ => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::RunArgs,
        doctor::{
            host::{Conntrack, Firewall},
            rules::Rules,
        },
    };

    /// A machine with nothing to complain of.
    fn good() -> Host {
        Host {
            release: "6.18.44".into(),
            has_program: true,
            jit: Some(1),
            unprivileged_bpf_disabled: Some(2),
            io_uring_disabled: Some(0),
            capabilities: START_CAPABILITIES.into_iter().collect(),
            locked_memory: Some(8 << 20),
            // What the defaults want: 16384 + 65536 connections, and 512 of its own.
            descriptors: Some(82_432),
            receive_buffer_max: Some(8 << 20),
            send_buffer_max: Some(2 << 20),
            cpus: 2,
            udp_sockets: vec!["0.0.0.0:68".parse().unwrap(), "0.0.0.0:6969".parse().unwrap()],
            firewall: Firewall::Readable(Rules::default()),
            legacy_tables: Vec::new(),
            conntrack: Some(Conntrack { entries: 0, most: 262_144 }),
        }
    }

    fn bad_ones(change: impl FnOnce(&mut Host), asked: bool) -> Vec<(Level, String, String)> {
        let (config, _) = Config::load(&RunArgs::default(), &[]).whole().unwrap();
        let mut host = good();
        change(&mut host);
        let findings = judge(&host, &config, asked);
        assert!(findings.iter().all(|f| (f.level == Level::Ok) == f.advice.is_none()));
        let bad = findings.into_iter().filter(|f| f.level != Level::Ok);
        bad.map(|f| (f.level, f.subject, f.what)).collect()
    }

    fn one(change: impl FnOnce(&mut Host), level: Level, subject: &str, what: &str) {
        let found = bad_ones(change, level == Level::Fail);
        let [(found_level, found_subject, found_what)] = <[_; 1]>::try_from(found).unwrap();
        assert_eq!((found_level, found_subject.as_str()), (level, subject));
        assert!(found_what.contains(what), "{found_what}");
    }

    #[test]
    fn a_good_machine_has_nothing_to_change() {
        assert_eq!(bad_ones(|_| {}, true), []);
    }

    #[test]
    fn what_keeps_the_fast_path_away_fails_only_if_it_was_asked_for() {
        for level in [Level::Warn, Level::Fail] {
            one(|h| h.release = "5.10.0-30".into(), level, "kernel", "needs 5.11");
            one(|h| h.release = "6".into(), level, "kernel", "needs 5.11");
            one(|h| h.has_program = false, level, "XDP program", "not built");
            one(
                |h| h.capabilities.retain(|c| !matches!(c, Capability::CAP_BPF | Capability::CAP_NET_RAW)),
                level,
                "capabilities",
                "needs CAP_BPF, CAP_NET_RAW too",
            );
        }
    }

    #[test]
    fn settings_that_slow_it_down_are_warnings() {
        one(|h| h.jit = Some(0), Level::Warn, "BPF compiler", "off");
        one(
            |h| h.descriptors = Some(82_431),
            Level::Warn,
            "descriptors",
            "only 82431 may be open at once; http.max_connections",
        );
        one(
            |h| h.firewall = Firewall::Readable(Rules { naming: 3, ..Rules::default() }),
            Level::Warn,
            "firewall",
            "3 of its rules",
        );
    }

    #[test]
    fn packet_memory_is_held_against_the_limit() {
        let without = |h: &mut Host| {
            h.capabilities.remove(&Capability::CAP_IPC_LOCK);
        };
        // Two queues of 4096 frames of 2 KiB are 16 MiB.
        one(
            without,
            Level::Warn,
            "locked memory",
            "8 MiB for this process; each queue's packet memory takes 8 MiB",
        );
        let enough = |h: &mut Host| {
            without(h);
            h.locked_memory = Some(16 << 20);
        };
        assert_eq!(bad_ones(enough, true), []);
    }

    #[test]
    fn buffers_are_held_against_the_kernels_settings() {
        let small = "udp.receive_buffer = 8 MiB is cut to net.core.rmem_max = 208 KiB";
        one(|h| h.receive_buffer_max = Some(212_992), Level::Warn, "receive buffer", small);
        one(
            |h| h.send_buffer_max = Some(212_992),
            Level::Warn,
            "send buffer",
            "udp.send_buffer = 2 MiB is cut",
        );
    }

    #[test]
    fn sockets_under_the_wildcard_are_named() {
        let taken = |h: &mut Host| {
            for socket in
                ["192.0.2.1:6969", "192.0.2.1:6969", "127.0.0.1:6969", "192.0.2.1:53", "[2001:db8::1]:6969"]
            {
                h.udp_sockets.push(socket.parse().unwrap());
            }
        };
        let found = bad_ones(taken, false);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].2.contains(" 192.0.2.1:6969,") && found[1].2.contains(" [2001:db8::1]:6969,"));
    }
}
