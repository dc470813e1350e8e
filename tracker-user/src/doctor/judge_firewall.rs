//! What the facts about the firewall and connection tracking mean.

use super::{
    Finding,
    host::{Conntrack, Firewall, Host, ports},
    rules::{Replies, Rules},
};
use crate::config::Config;

/// Of a hundred entries of connection tracking so many are nearly all.
const NEARLY_FULL_PERCENT: u64 = 80;

/// `asked`: whether interfaces were named, so that XDP takes most.
pub(super) fn judge(host: &Host, config: &Config, asked: bool) -> Vec<Finding> {
    let mut findings = vec![firewall(host)];
    if let Firewall::Readable(rules) = &host.firewall {
        findings.push(replies(rules));
    }
    findings.push(tracking(host, &ports(config), asked));
    findings
}

fn firewall(host: &Host) -> Finding {
    let subject = "firewall";
    match &host.firewall {
        Firewall::Absent if host.legacy_tables.is_empty() => Finding::ok(
            subject,
            "its rules were not looked at: neither nft nor iptables-save is installed here",
        ),
        Firewall::Absent => Finding::warn(
            subject,
            format!(
                "there are rules of iptables (table {}), but no iptables-save to look at them",
                host.legacy_tables.join(", ")
            ),
            "install iptables, then run riptide doctor again",
        ),
        Firewall::Unreadable => Finding::warn(
            subject,
            "its rules cannot be read; on an XDP interface those that name the tracker's UDP ports do not apply",
            "run riptide doctor as root",
        ),
        Firewall::Readable(Rules { naming: 0, .. }) => {
            Finding::ok(subject, "no rule names the tracker's UDP ports")
        }
        Firewall::Readable(Rules { naming, .. }) => Finding::warn(
            subject,
            format!(
                "{naming} of its rules name the tracker's UDP ports; on an XDP interface they do not apply"
            ),
            "XDP answers before nftables, iptables and tcpdump see a packet: use [access] and [limits], or leave the \
             interface out",
        ),
    }
}

fn replies(rules: &Rules) -> Finding {
    let subject = "firewall, replies";
    let untracked = match rules.untracked {
        true => "; the ports are not tracked, so rules for established connections do not let them pass",
        false => "",
    };
    let advice = "let UDP from the tracker's ports pass, as by `udp sport 6969 accept`; replies by XDP pass no firewall";
    match &rules.replies {
        Replies::Leave => Finding::ok(subject, "nothing drops the tracker's UDP replies"),
        Replies::Dropped(by) => {
            Finding::warn(subject, format!("UDP replies by sockets are dropped by {by}{untracked}"), advice)
        }
        Replies::Unclear(chain) => Finding::warn(
            subject,
            format!(
                "{chain} drops UDP replies by sockets, unless a chain that it jumps to lets them pass; that was not followed"
            ),
            advice,
        ),
    }
}

fn tracking(host: &Host, ports: &[u16], asked: bool) -> Finding {
    let subject = "connection tracking";
    let Some(Conntrack { entries, most }) = host.conntrack else {
        return Finding::ok(subject, "not in this kernel, or not loaded");
    };
    let rules = match &host.firewall {
        Firewall::Readable(rules) => Some(rules),
        Firewall::Absent | Firewall::Unreadable => None,
    };
    let untracked = rules.is_some_and(|rules| rules.untracked);
    let filled = format!("{entries} of {most} entries are taken");
    if entries.saturating_mul(100) >= most.saturating_mul(NEARLY_FULL_PERCENT) {
        let (what, advice) = match untracked {
            true => ("the tracker's UDP ports are kept out, but connections over TCP are", larger(most)),
            false => ("each UDP client that sockets serve takes one, and new clients are", notrack(ports)),
        };
        return Finding::warn(subject, format!("nearly full: {filled}; {what} dropped when all are"), advice);
    }
    if untracked {
        return Finding::ok(subject, format!("the tracker's UDP ports are kept out of it; {filled}"));
    }
    if entries == 0 && !rules.is_some_and(|rules| rules.tracking) {
        return Finding::ok(subject, "loaded, but nothing is tracked here");
    }
    if asked {
        return Finding::ok(subject, format!("on: {filled}; what XDP takes is never tracked"));
    }
    Finding::warn(
        subject,
        format!("on: {filled}; each UDP client takes one, and when all are taken new clients are dropped"),
        notrack(ports),
    )
}

/// The rules that keep requests and replies of these ports out of connection tracking.
fn notrack(ports: &[u16]) -> String {
    let names = ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
    format!(
        "keep the ports out of it: nft 'table inet riptide {{ chain in {{ type filter hook prerouting priority raw; udp dport \
         {{ {names} }} notrack; }}; chain out {{ type filter hook output priority raw; udp sport {{ {names} }} notrack; }}; }}', \
         and let them pass by port where rules ask for established connections"
    )
}

fn larger(most: u64) -> String {
    format!("sysctl -w net.netfilter.nf_conntrack_max={}", most.saturating_mul(4))
}

#[cfg(test)]
mod tests {
    use super::{super::Level, *};
    use crate::cli::RunArgs;

    /// What is found, besides what is well.
    fn found(host: &Host, asked: bool) -> Vec<(String, Level, String, String)> {
        let (config, _) = Config::load(&RunArgs::default(), &[]).whole().unwrap();
        let findings = judge(host, &config, asked);
        assert!(findings.iter().all(|f| (f.level == Level::Ok) == f.advice.is_none()));
        let parts = |f: Finding| (f.subject, f.level, f.what, f.advice.unwrap_or_default());
        findings.into_iter().map(parts).collect()
    }

    fn of(host: &Host, asked: bool, subject: &str) -> (Level, String, String) {
        let all = found(host, asked);
        let [one] =
            <[_; 1]>::try_from(all.into_iter().filter(|f| f.0 == subject).collect::<Vec<_>>()).unwrap();
        (one.1, one.2, one.3)
    }

    fn host(rules: Rules, conntrack: Option<(u64, u64)>) -> Host {
        Host {
            firewall: Firewall::Readable(rules),
            conntrack: conntrack.map(|(entries, most)| Conntrack { entries, most }),
            ..Host::default()
        }
    }

    #[test]
    fn tracking_is_told_by_what_it_costs() {
        let rules = |tracking, untracked| Rules { tracking, untracked, ..Rules::default() };
        let max = 262_144;
        for (host, asked, level, what) in [
            (host(rules(true, false), None), false, Level::Ok, "not loaded"),
            (host(rules(false, false), Some((0, max))), false, Level::Ok, "nothing is tracked"),
            (host(rules(true, false), Some((0, max))), false, Level::Warn, "on: 0 of 262144"),
            (host(rules(false, false), Some((7, max))), false, Level::Warn, "on: 7 of 262144"),
            (host(rules(true, false), Some((7, max))), true, Level::Ok, "what XDP takes is never tracked"),
            (host(rules(true, true), Some((7, max))), false, Level::Ok, "kept out of it"),
            (host(rules(true, false), Some((800, 1000))), true, Level::Warn, "nearly full: 800 of 1000"),
            (host(rules(true, false), Some((799, 1000))), true, Level::Ok, "on: 799 of 1000"),
            (host(rules(true, true), Some((1000, 1000))), false, Level::Warn, "over TCP are dropped"),
        ] {
            let (found, text, advice) = of(&host, asked, "connection tracking");
            assert_eq!(found, level, "{text}");
            assert!(text.contains(what), "{text}");
            let is_cured_by_size = text.contains("TCP");
            assert_eq!(
                advice.contains("udp dport { 6969 } notrack"),
                level == Level::Warn && !is_cured_by_size
            );
            assert_eq!(advice.contains("nf_conntrack_max=4000"), is_cured_by_size, "{advice}");
        }
    }

    #[test]
    fn what_drops_replies_is_a_warning_that_names_it() {
        let of_replies = |replies, untracked| {
            let rules = Rules { replies, untracked, ..Rules::default() };
            of(&host(rules, None), true, "firewall, replies")
        };
        assert_eq!(of_replies(Replies::Leave, false).0, Level::Ok);
        let (level, what, advice) = of_replies(Replies::Dropped("the policy of x".into()), false);
        assert_eq!(level, Level::Warn);
        assert!(
            what.ends_with("dropped by the policy of x") && advice.contains("udp sport 6969 accept"),
            "{what}"
        );
        assert!(of_replies(Replies::Dropped("x".into()), true).1.contains("not tracked"));
        let (level, what, _) = of_replies(Replies::Unclear("chain x".into()), false);
        assert!(level == Level::Warn && what.contains("chain x") && what.contains("not followed"), "{what}");
    }

    #[test]
    fn what_could_not_be_looked_at_is_said() {
        let with = |firewall, tables: &[&str]| {
            let legacy_tables = tables.iter().map(|table| (*table).to_owned()).collect();
            let host = Host { firewall, legacy_tables, ..Host::default() };
            assert!(
                found(&host, true).iter().all(|f| f.0 != "firewall, replies"),
                "nothing is known of them"
            );
            of(&host, true, "firewall")
        };
        let (level, what, _) = with(Firewall::Absent, &[]);
        assert!(level == Level::Ok && what.contains("not looked at"), "{what}");
        let (level, what, _) = with(Firewall::Absent, &["filter", "nat"]);
        assert!(level == Level::Warn && what.contains("table filter, nat"), "{what}");
        let (level, what, _) = with(Firewall::Unreadable, &[]);
        assert!(level == Level::Warn && what.contains("cannot be read"), "{what}");
    }

    #[test]
    fn rules_that_xdp_goes_round_are_counted() {
        let rules = |naming| host(Rules { naming, ..Rules::default() }, None);
        assert_eq!(of(&rules(0), true, "firewall").0, Level::Ok);
        let (level, what, _) = of(&rules(3), true, "firewall");
        assert!(level == Level::Warn && what.contains("3 of its rules"), "{what}");
    }
}
