//! Reading what `nft list ruleset`, `iptables-save` and `ip6tables-save` print: what the rules do with the tracker's UDP
//! ports. Only chains at the hooks are followed, none that they jump to.

/// What the rules do with the tracker's UDP ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rules {
    /// How many of them name a port.
    pub(super) naming: usize,
    /// Whether any of them needs connections to be tracked.
    pub(super) tracking: bool,
    /// Whether requests and replies of all ports are kept out of connection tracking.
    pub(super) untracked: bool,
    /// What would drop replies.
    pub(super) replies: Replies,
}

/// What becomes of a reply that leaves by an ordinary socket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Replies {
    /// It leaves.
    #[default]
    Leave,
    /// This drops it, a rule or a chain's policy.
    Dropped(String),
    /// This chain drops it, unless one that it jumps to has it leave.
    Unclear(String),
}

impl Rules {
    /// `answers`: what each of the programs printed.
    pub(super) fn read(answers: &[&str], ports: &[u16]) -> Self {
        let naming = |text: &&str| text.lines().filter(|line| names_a_port(line, PORT, ports)).count();
        let lines = || answers.iter().flat_map(|text| text.lines());
        let keeps_out = |line: &str, keyword: &str, port: u16| {
            (line.contains("notrack") || line.contains("NOTRACK")) && names_a_port(line, keyword, &[port])
        };
        let untracked = !ports.is_empty()
            && ports.iter().all(|port| {
                [DESTINATION, SOURCE]
                    .iter()
                    .all(|keyword| lines().any(|line| keeps_out(line, keyword, *port)))
            });
        let chains: Vec<Chain<'_>> = answers.iter().flat_map(|text| output_chains(text)).collect();
        let judged = ports.iter().flat_map(|port| chains.iter().map(|chain| chain.judge(*port, untracked)));
        Self {
            // Where the older tools are front ends of the first, they list its rules again: so the most, not the sum.
            naming: answers.iter().map(naming).max().unwrap_or(0),
            tracking: lines().any(needs_tracking),
            untracked,
            replies: worst(judged),
        }
    }
}

fn worst(judged: impl Iterator<Item = Replies>) -> Replies {
    let mut worst = Replies::Leave;
    for replies in judged {
        match replies {
            Replies::Dropped(_) => return replies,
            Replies::Unclear(_) => worst = replies,
            Replies::Leave => {}
        }
    }
    worst
}

/// Words of rules that only work on tracked connections.
const TRACKING: [&str; 11] = [
    "ct",
    "masquerade",
    "snat",
    "dnat",
    "redirect",
    "--ctstate",
    "--state",
    "MASQUERADE",
    "SNAT",
    "DNAT",
    "REDIRECT",
];

fn needs_tracking(line: &str) -> bool {
    let line = line.trim_start();
    !line.starts_with(['#', ':']) && line.split_whitespace().any(|word| TRACKING.contains(&word))
}

/// A chain that packets pass on their way out.
struct Chain<'a> {
    name: String,
    drops_the_rest: bool,
    rules: Vec<&'a str>,
}

fn output_chains(text: &str) -> Vec<Chain<'_>> {
    let mut chains = chains_of_nft(text);
    chains.extend(chains_of_iptables(text));
    chains
}

fn chains_of_nft(text: &str) -> Vec<Chain<'_>> {
    let (mut table, mut chain, mut chains) = ("", None::<&str>, Vec::<Chain<'_>>::new());
    let mut is_output = false;
    for line in text.lines().map(str::trim) {
        if let Some(name) = opened(line, "table ") {
            (table, chain) = (name, None);
        } else if let Some(name) = opened(line, "chain ") {
            (chain, is_output) = (Some(name), false);
        } else if line == "}" {
            chain = None;
        } else if let Some(name) = chain {
            // Others carry no IP packets of this host, or other things than IP.
            let has_ip = ["ip ", "ip6 ", "inet "].iter().any(|family| table.starts_with(family));
            if has_ip && line.starts_with("type filter hook output") {
                let drops_the_rest = line.contains("policy drop");
                is_output = true;
                let name = format!("chain {name} of table {table}");
                chains.push(Chain { name, drops_the_rest, rules: Vec::new() });
            } else if is_output && let Some(chain) = chains.last_mut() {
                chain.rules.push(line);
            }
        }
    }
    chains
}

fn opened<'a>(line: &'a str, what: &str) -> Option<&'a str> {
    Some(line.strip_prefix(what)?.strip_suffix('{')?.trim_end())
}

fn chains_of_iptables(text: &str) -> Vec<Chain<'_>> {
    let (mut table, mut chains) = ("", Vec::<Chain<'_>>::new());
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('*') {
            table = name;
        } else if let Some(policy) = line.strip_prefix(":OUTPUT ") {
            let name = format!("chain OUTPUT of table {table}");
            chains.push(Chain { name, drops_the_rest: policy.starts_with("DROP"), rules: Vec::new() });
        } else if line.starts_with("-A OUTPUT ")
            && let Some(chain) = chains.last_mut()
        {
            chain.rules.push(line);
        }
    }
    chains
}

impl Chain<'_> {
    /// What becomes of a reply from this port. `untracked`: it belongs to no connection that is known.
    fn judge(&self, port: u16, untracked: bool) -> Replies {
        let mut jumps = false;
        for rule in &self.rules {
            let verdict = verdict(rule);
            if verdict == Verdict::Jump && !is_for_others(rule) {
                jumps = true;
            }
            if !takes_reply(rule, port, untracked) {
                continue;
            }
            match verdict {
                Verdict::Accept => return Replies::Leave,
                Verdict::Drop => return self.dropped(jumps, &format!("{}: {}", self.name, rule.trim())),
                Verdict::Jump | Verdict::None => {}
            }
        }
        if !self.drops_the_rest {
            return Replies::Leave;
        }
        self.dropped(jumps, &format!("the policy of {}", self.name))
    }

    fn dropped(&self, jumps: bool, by: &str) -> Replies {
        if jumps { Replies::Unclear(self.name.clone()) } else { Replies::Dropped(by.to_owned()) }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Accept,
    Drop,
    Jump,
    None,
}

fn verdict(rule: &str) -> Verdict {
    let rule = without_comment(rule);
    for word in rule.split_whitespace() {
        match word {
            "accept" | "ACCEPT" => return Verdict::Accept,
            "drop" | "DROP" | "reject" | "REJECT" => return Verdict::Drop,
            "jump" | "goto" | "-g" => return Verdict::Jump,
            _ => {}
        }
    }
    // Whatever else iptables goes to is a chain, or does something and goes on.
    let target = rule.split_whitespace().skip_while(|word| *word != "-j").nth(1);
    let goes_on = ["LOG", "NFLOG", "CT", "NOTRACK", "MARK", "CONNMARK", "RETURN", "ACCOUNT", "TCPMSS"];
    match target {
        Some(target) if !goes_on.contains(&target) => Verdict::Jump,
        _ => Verdict::None,
    }
}

/// A comment may hold any word.
fn without_comment(rule: &str) -> String {
    rule.split('"').step_by(2).collect()
}

fn is_for_others(rule: &str) -> bool {
    rule.contains("tcp") && !rule.contains("udp")
}

/// Whether a reply from this port is among what the rule is for. What depends on where it goes is taken as not.
fn takes_reply(rule: &str, port: u16, untracked: bool) -> bool {
    if is_for_others(rule) {
        return false;
    }
    if names_a_port(rule, SOURCE, &[port]) {
        return true;
    }
    let rule = without_comment(rule);
    let words: Vec<&str> = rule.split_whitespace().collect();
    if words.iter().any(|word| word.to_ascii_lowercase().contains("established")) {
        return !untracked;
    }
    words.iter().all(|word| is_no_condition(word))
}

/// Words of a rule for every datagram, besides numbers.
fn is_no_condition(word: &str) -> bool {
    const OF_NFT: [&str; 13] = [
        "counter",
        "packets",
        "bytes",
        "log",
        "meta",
        "l4proto",
        "udp",
        "accept",
        "drop",
        "reject",
        "with",
        "icmpx",
        "port-unreachable",
    ];
    const OF_IPTABLES: [&str; 8] = ["-A", "OUTPUT", "-p", "-m", "-j", "ACCEPT", "DROP", "REJECT"];
    const REJECTING: [&str; 3] = ["--reject-with", "icmp-port-unreachable", "icmp6-port-unreachable"];
    OF_NFT.contains(&word)
        || OF_IPTABLES.contains(&word)
        || REJECTING.contains(&word)
        || word.bytes().all(|byte| byte.is_ascii_digit())
}

/// What stands before a port.
const PORT: &str = "port";
const DESTINATION: &str = "dport";
const SOURCE: &str = "sport";

/// Whether the rule names one of the UDP ports behind this keyword.
fn names_a_port(rule: &str, keyword: &str, ports: &[u16]) -> bool {
    if rule.trim_start().starts_with('#') || is_for_others(rule) {
        return false;
    }
    let mut rest = rule;
    while let Some(at) = rest.find(keyword) {
        rest = rest[at + keyword.len()..].trim_start_matches('s');
        let value = rest.trim_start().trim_start_matches("!=").trim_start();
        let value = match value.strip_prefix('{') {
            Some(set) => set.split('}').next(),
            None => value.split_whitespace().next(),
        };
        if value.is_some_and(|value| value.split([',', ' ']).any(|part| covers(part, ports))) {
            return true;
        }
    }
    false
}

/// Whether `6969`, `6000-7000` or `6000:7000` covers one of the ports.
fn covers(part: &str, ports: &[u16]) -> bool {
    let (first, last) = part.split_once(['-', ':']).unwrap_or((part, part));
    match (first.parse::<u16>(), last.parse::<u16>()) {
        (Ok(first), Ok(last)) => ports.iter().any(|port| (first..=last).contains(port)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naming(text: &str, ports: &[u16]) -> usize {
        Rules::read(&[text], ports).naming
    }

    #[test]
    fn rules_that_name_the_port_are_counted() {
        let nft = "\
table inet filter {
	chain input {
		type filter hook input priority filter; policy drop;
		udp dport 6969 accept
		udp dport { 53, 6969 } counter packets 1 bytes 2 accept
		udp dport 6000-7000 drop
		udp sport 6969 notrack
		meta l4proto { tcp, udp } th dport 6969 accept
		udp dport != 6969 drop
		tcp dport 6969 accept
		udp dport 53 counter packets 6969 bytes 6969 accept
		udp dport { 5300-6000, 16969 } accept
	}
}";
        assert_eq!(naming(nft, &[6969]), 6);
        assert_eq!(naming(nft, &[53, 6969]), 7);
        let iptables = "\
-A INPUT -p udp -m udp --dport 6969 -j ACCEPT
-A INPUT -p udp -m multiport --dports 53,6000:7000 -j DROP
-A INPUT -p tcp -m tcp --dport 6969 -j ACCEPT
# --dport 6969
-A OUTPUT -p udp -m udp --sport 6969 -j ACCEPT";
        assert_eq!(naming(iptables, &[6969]), 3);
        assert_eq!(naming(iptables, &[]), 0);
        assert_eq!(Rules::read(&[nft, iptables], &[6969]).naming, 6, "the most, not the sum");
        assert_eq!(Rules::read(&[], &[6969]), Rules::default());
    }

    /// As `nft list ruleset` prints a chain with these rules.
    fn nft(policy: &str, rules: &str) -> String {
        format!(
            "table inet filter {{\n\tset s {{\n\t\ttype ipv4_addr\n\t}}\n\n\tchain input {{\n\t\ttype filter hook input priority \
             filter; policy drop;\n\t\tdrop\n\t}}\n\n\tchain out {{\n\t\ttype filter hook output priority filter; policy \
             {policy};\n\t\t{rules}\n\t}}\n\n\tchain other {{\n\t\tdrop\n\t}}\n}}\n"
        )
    }

    fn iptables(policy: &str, rules: &str) -> String {
        format!(
            "# Generated\n*filter\n:INPUT DROP [1:2]\n:FORWARD DROP [0:0]\n:OUTPUT {policy} [0:0]\n-A INPUT -j DROP\n{rules}\nCOMMIT\n"
        )
    }

    fn replies(text: &str) -> Replies {
        Rules::read(&[text], &[6969]).replies
    }

    #[test]
    fn replies_leave_where_nothing_is_in_their_way() {
        for text in [
            nft("accept", ""),
            nft("accept", "udp sport 53 drop\n\t\ttcp sport 6969 drop\n\t\tip daddr 192.0.2.0/24 drop"),
            nft("accept", "udp sport 6969 accept\n\t\tdrop"),
            nft("accept", "udp dport 6969 drop"),
            nft("drop", "udp sport 6969 counter packets 5 bytes 6 accept"),
            nft("drop", "oif \"lo\" accept\n\t\tudp sport { 53, 6969 } accept"),
            nft("drop", "ct state established,related accept"),
            nft("drop", "ct state { established, related } accept"),
            nft("drop", "meta l4proto udp accept"),
            nft("accept", "udp dport 53 accept comment \"then drop\""),
            nft("accept", "jump other"),
            iptables("ACCEPT", "-A OUTPUT -p udp -m udp --sport 53 -j DROP"),
            iptables("DROP", "-A OUTPUT -p udp -m udp --sport 6969 -j ACCEPT"),
            iptables("DROP", "-A OUTPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"),
            iptables("DROP", "-A OUTPUT -p udp -j ACCEPT"),
            iptables("ACCEPT", "-A OUTPUT -j LOG"),
            nft("drop", "").replace("table inet", "table bridge"),
            String::new(),
        ] {
            assert_eq!(replies(&text), Replies::Leave, "{text}");
        }
    }

    #[test]
    fn what_drops_replies_is_named() {
        let policy = "the policy of chain out of table inet filter";
        let legacy = "the policy of chain OUTPUT of table filter";
        for (text, by) in [
            (nft("drop", ""), policy),
            (nft("drop", "oif \"lo\" accept\n\t\tudp sport 53 accept\n\t\ttcp sport 6969 accept"), policy),
            (nft("drop", "udp dport 6969 accept"), policy),
            (
                nft("accept", "udp sport 6000-7000 drop"),
                "chain out of table inet filter: udp sport 6000-7000 drop",
            ),
            (nft("accept", "counter packets 7 bytes 8 drop"), "counter packets 7 bytes 8 drop"),
            (nft("accept", "reject with icmpx port-unreachable"), "reject with icmpx port-unreachable"),
            (iptables("DROP", ""), legacy),
            (iptables("DROP", "-A OUTPUT -o lo -j ACCEPT"), legacy),
            (iptables("DROP", "-A OUTPUT -p tcp -j out_tcp"), legacy),
            (
                iptables(
                    "ACCEPT",
                    "-A OUTPUT -p udp -m udp --sport 6969 -j REJECT --reject-with icmp-port-unreachable",
                ),
                "-m udp --sport 6969 -j REJECT",
            ),
            (iptables("ACCEPT", "-A OUTPUT -j DROP"), "-A OUTPUT -j DROP"),
        ] {
            let Replies::Dropped(found) = replies(&text) else { panic!("{text}") };
            assert!(found.contains(by), "{found}");
        }
    }

    #[test]
    fn a_chain_that_jumps_before_it_drops_is_not_clear() {
        for (text, name) in [
            (nft("drop", "jump services"), "chain out of table inet filter"),
            (iptables("DROP", "-A OUTPUT -j ufw-before-output"), "chain OUTPUT of table filter"),
        ] {
            assert_eq!(replies(&text), Replies::Unclear(name.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_port_is_untracked_both_ways_or_not_at_all() {
        let read = |text: &str, ports: &[u16]| Rules::read(&[text], ports);
        let rules = "udp dport 6969 notrack\n udp sport { 6969, 7000 } notrack";
        assert!(read(rules, &[6969]).untracked);
        assert!(!read(rules, &[6969, 7000]).untracked && !read(rules, &[]).untracked);
        assert!(!read("udp dport 6969 notrack", &[6969]).untracked);
        let legacy = "-A PREROUTING -p udp -m udp --dport 6969 -j CT --notrack\n-A OUTPUT -p udp -m udp --sport 6969 -j CT --notrack";
        assert!(read(legacy, &[6969]).untracked && !read(legacy, &[6969]).tracking);
        // What is not tracked is never established.
        let established = nft("drop", "ct state established accept");
        assert_eq!(read(&established, &[6969]).replies, Replies::Leave);
        let text = format!("{rules}\n{established}");
        assert!(matches!(read(&text, &[6969]).replies, Replies::Dropped(_)));
    }

    #[test]
    fn rules_that_need_tracking_are_seen() {
        for line in [
            "ct state established accept",
            "oifname \"eth0\" masquerade",
            "-A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT",
            "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE",
        ] {
            assert!(Rules::read(&[line], &[6969]).tracking, "{line}");
        }
        for line in ["udp dport 6969 notrack", "# ct state", "-A OUTPUT -j CT --notrack", ":ct - [0:0]"] {
            assert!(!Rules::read(&[line], &[6969]).tracking, "{line}");
        }
    }
}
