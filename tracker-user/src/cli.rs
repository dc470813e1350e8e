//! The command line.

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// The command line of `riptide`.
#[derive(Debug, Parser)]
#[command(name = "riptide", version, about = "A BitTorrent tracker", long_about = None)]
#[command(subcommand_required = true, arg_required_else_help = true, propagate_version = false)]
#[command(
    after_help = "Exit status: 0 after a clean stop, 1 if starting or running failed, 2 for wrong usage or \
configuration."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What `riptide` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the tracker
    Run(RunArgs),
    /// Show or check configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Say what this machine can do for the tracker, and what to change
    Doctor(DoctorArgs),
    /// Ask any tracker as two clients would, and say what is wrong
    Probe(ProbeArgs),
    /// Ask a running tracker, or tell it what to do, over its control socket
    Control(ControlArgs),
    /// Show what a running tracker does, live in the terminal
    Top(TopArgs),
}

/// The flags of `riptide run`. Values are text here: [`crate::config::Config::load`] gives them types, with the same
/// checks as for the file and the environment.
#[derive(Args, Clone, Debug, Default)]
#[command(
    after_help = "A flag goes before the environment (RIPTIDE_<TABLE>__<KEY>), that before the file, the file \
before the defaults. `riptide config default` prints all keys.

Signals: SIGTERM and SIGINT stop it cleanly, a second one at once; SIGHUP reloads [swarm], [access], [limits] and the
certificate of [tls]; SIGUSR2 starts the program that is now installed with --take-over, and hands everything over to it.

Example: sudo riptide run --interface eth0"
)]
pub struct RunArgs {
    /// Read this configuration file; without it, the built-in defaults hold
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Attach the XDP fast path to this network interface (needs root); may be repeated. Without any, plain sockets
    /// serve everything. With --xdp off, busy workers poll it for their sockets
    #[arg(long, value_name = "IF")]
    pub interface: Vec<String>,
    /// How to attach it: auto tries native, then generic, then sockets
    #[arg(long, value_name = "MODE", value_parser = ["auto", "native", "generic", "off"])]
    pub xdp: Option<String>,
    /// Serve UDP at this address and port (IPv6 in brackets); may be repeated. Port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    pub udp: Vec<String>,
    /// Serve HTTP and WebSocket at this address and port, or "unix:/path"; may be repeated. Port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    pub http: Vec<String>,
    /// Serve HTTPS and secure WebSocket at this address and port, with the certificate that the tls table names; may be repeated
    #[arg(long, value_name = "ADDR")]
    pub https: Vec<String>,
    /// Serve metrics here, such as 127.0.0.1:9000; "off" turns them off
    #[arg(long, value_name = "ADDR")]
    pub metrics: Option<String>,
    /// UDP worker threads; "auto" is one per CPU this process may use
    #[arg(long, value_name = "N")]
    pub workers: Option<String>,
    /// How log lines look
    #[arg(long, value_name = "FORMAT", value_parser = ["text", "json"])]
    pub log_format: Option<String>,
    /// Take everything over from the tracker that runs, which is asked over its control socket: sockets, keys, swarms,
    /// counters. It ends once this one serves, and serves on if this one cannot
    #[arg(long)]
    pub take_over: bool,
}

/// What can be done with configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print a complete, commented configuration file with every key at its default
    Default,
    /// Check a configuration file and print every error with its key and reason
    Check {
        /// The file
        file: PathBuf,
    },
    /// Print the configuration that does what another tracker's file says, and name what has no counterpart
    #[command(
        subcommand,
        after_help = "The result goes to standard output; what to look at, and a line that counts, to standard error.

Example: riptide config from opentracker /etc/opentracker/opentracker.conf > riptide.toml"
    )]
    From(FromCommand),
}

/// Whose configuration is turned into Riptide's.
#[derive(Debug, Subcommand)]
pub enum FromCommand {
    /// A file of aquatic_udp, aquatic_http or aquatic_ws
    Aquatic {
        /// Whose file it is, where its keys do not tell
        #[arg(long, value_name = "PROGRAM", value_parser = ["udp", "http", "ws"])]
        program: Option<String>,
        /// The file
        file: PathBuf,
    },
    /// A file of opentracker
    Opentracker {
        /// The file
        file: PathBuf,
    },
}

/// The flags of `riptide control`.
#[derive(Args, Clone, Debug)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Who may write to the socket may use it: the tracker's user, its group, and root.

Exit status: 0 if it was done, 1 if the tracker could not be asked or did not do it, 2 for wrong usage."
)]
pub struct ControlArgs {
    /// The control.listen of the tracker [default: the environment's RIPTIDE_CONTROL__LISTEN, or
    /// /run/riptide/control.sock]
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Print the answer as it comes, in JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// What to ask or to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What a running tracker can be asked or told.
#[derive(Clone, Debug, Subcommand)]
pub enum Verb {
    /// Say what it is, where it listens, what it holds and what it has answered
    Status,
    /// Show a torrent: its counts, its peers with role and age
    Torrent {
        /// The info hash, in hexadecimal digits
        #[arg(value_name = "HASH")]
        info_hash: String,
    },
    /// Write every torrent to standard output: hash, seeders, leechers, downloads
    Export {
        /// How: lines of text, lines of JSON, or as trackers answer a scrape for everything. Without it text, with --json
        /// jsonl
        #[arg(long, value_name = "FORMAT", value_parser = ["text", "jsonl", "bencode"])]
        format: Option<String>,
    },
    /// Refuse torrents, at once and whatever the lists of `[access]` say; kept over restarts
    #[command(subcommand)]
    Deny(DenyVerb),
    /// Give clients of networks nothing, at once; kept over restarts, beside access.denied_networks
    #[command(subcommand)]
    Ban(BanVerb),
    /// Serve those who have a key, at once; kept over restarts, beside access.keys
    #[command(subcommand)]
    Key(KeyVerb),
    /// Take up what has changed of the configuration, as SIGHUP does; say what needs a restart, or what is wrong
    Reload,
    /// Save the swarms to disk, now
    Save,
    /// Start the program that is now installed and hand everything over to it, as SIGUSR2 does; say once it serves, or why not
    Upgrade,
}

/// What can be done about torrents that are refused.
#[derive(Clone, Debug, Subcommand)]
pub enum DenyVerb {
    /// Refuse a torrent, and forget its peers
    Add {
        /// The info hash, in hexadecimal digits
        #[arg(value_name = "HASH")]
        info_hash: String,
    },
    /// Take that back. What the file of access.info_hashes denies stays denied
    Remove {
        /// The info hash, in hexadecimal digits
        #[arg(value_name = "HASH")]
        info_hash: String,
    },
    /// Print those that were added, one a line, with when and at which node
    List,
}

/// What can be done about networks that are banned.
#[derive(Clone, Debug, Subcommand)]
pub enum BanVerb {
    /// Give the clients of a network nothing, and close their WebSockets
    Add {
        /// The network, such as 192.0.2.0/24 or 2001:db8::/32, or an address
        network: String,
    },
    /// Take that back. What the file of access.denied_networks bans stays banned
    Remove {
        /// The network
        network: String,
    },
    /// Print those that were added, one a line, with when and at which node
    List,
}

/// What can be done about the keys of a private tracker.
#[derive(Clone, Debug, Subcommand)]
pub enum KeyVerb {
    /// Serve whoever has this key
    Add {
        /// The key: 8 to 64 of A-Z, a-z, 0-9, - and _
        // One may begin with a dash.
        #[arg(allow_hyphen_values = true)]
        key: String,
    },
    /// Take that back: its peers expire, and its WebSockets are closed. What the file of access.keys lists is served still
    Remove {
        /// The key
        #[arg(allow_hyphen_values = true)]
        key: String,
    },
    /// Print those that were added, one a line, with when and at which node
    List,
}

/// The flags of `riptide doctor`.
#[derive(Args, Clone, Debug, Default)]
pub struct DoctorArgs {
    /// Look at this network interface; may be repeated. Without any, all that are up
    #[arg(long, value_name = "IF")]
    pub interface: Vec<String>,
}

/// The flags of `riptide probe`. Values are text here: [`crate::probe::run`] gives them types.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Two clients announce a torrent that nobody knows, one after the other, and have to find each other; they \
scrape, and leave.
Each address that the name has is asked by itself, IPv4 and IPv6. A note tells of what is odd, and leaves the status at 0.
A tracker that serves a list of torrents alone wants one of them named with --info-hash.

Exit status: 0 if all is well, 1 if anything is wrong, 2 for wrong usage.

Example: riptide probe udp://tracker.example:6969/announce"
)]
pub struct ProbeArgs {
    /// The announce address, of udp:, http:, https:, ws: or wss:
    #[arg(value_name = "URL")]
    pub url: String,
    /// Ask at IPv4 addresses alone
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    pub ipv4: bool,
    /// Ask at IPv6 addresses alone
    #[arg(short = '6', long)]
    pub ipv6: bool,
    /// How long each step may take. Over UDP a request is sent again after a third of it
    #[arg(long, value_name = "TIME", default_value = "6s")]
    pub timeout: String,
    /// Announce this torrent, which others may have, instead of one that is made up
    #[arg(long, value_name = "HASH")]
    pub info_hash: Option<String>,
    /// Trust the authorities in this file (PEM) too, besides those that the system trusts
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Print the report in JSON
    #[arg(long)]
    pub json: bool,
}

/// The flags of `riptide top`.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Keys: q ends it, p pauses, s sorts, + and - change how often it reads, ? tells of all. NO_COLOR is respected.

For a tracker elsewhere, whose metrics are best left on its loopback address: ssh -t HOST riptide top

Exit status: 0 if it was ended, 1 if there is no terminal, or with --once nothing to read, 2 for wrong usage."
)]
pub struct TopArgs {
    /// Where the tracker serves metrics, as its log tells; a bare HOST:PORT will do
    #[arg(long, value_name = "METRICS_URL", default_value = "http://127.0.0.1:9000/metrics")]
    pub url: String,
    /// How often to read them, from 1s to 1m
    #[arg(long, value_name = "DURATION", default_value = "1s")]
    pub every: String,
    /// Read twice, print what would be on the screen as text, and end
    #[arg(long)]
    pub once: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, error::ErrorKind};

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn run_takes_the_contracts_flags() {
        let line = "riptide run --config a.toml --interface eth0 --interface eth1 --xdp native --udp 127.0.0.1:1 \
                    --udp [::1]:2 --http 127.0.0.1:3 --http unix:/run/a.sock --https [::1]:4 --metrics off --workers 3 --log-format json --take-over";
        let Command::Run(args) = parse(line).unwrap().command else { panic!("not run") };
        assert_eq!(args.config, Some(PathBuf::from("a.toml")));
        assert_eq!((args.interface.len(), args.udp.len()), (2, 2));
        assert_eq!(args.http, ["127.0.0.1:3", "unix:/run/a.sock"]);
        assert_eq!(args.https, ["[::1]:4"]);
        assert_eq!(args.xdp.as_deref(), Some("native"));
        assert_eq!(args.metrics.as_deref(), Some("off"));
        assert_eq!(args.workers.as_deref(), Some("3"));
        assert_eq!(args.log_format.as_deref(), Some("json"));
        assert!(args.take_over);
    }

    #[test]
    fn the_other_commands_are_there() {
        assert!(matches!(
            parse("riptide config default").unwrap().command,
            Command::Config(ConfigCommand::Default)
        ));
        let check = parse("riptide config check a.toml").unwrap().command;
        assert!(
            matches!(check, Command::Config(ConfigCommand::Check { file }) if file.as_os_str() == "a.toml")
        );
        let from = parse("riptide config from aquatic --program ws a.toml").unwrap().command;
        assert!(
            matches!(from, Command::Config(ConfigCommand::From(FromCommand::Aquatic { program: Some(program), file }))
            if program == "ws" && file.as_os_str() == "a.toml")
        );
        let from = parse("riptide config from opentracker a.conf").unwrap().command;
        assert!(matches!(from, Command::Config(ConfigCommand::From(FromCommand::Opentracker { .. }))));
        assert!(matches!(parse("riptide doctor --interface eth0").unwrap().command, Command::Doctor(_)));
        let line = "riptide probe -6 --timeout 2s --info-hash 00 --ca ca.pem --json wss://a";
        let Command::Probe(args) = parse(line).unwrap().command else { panic!("not probe") };
        assert!(args.ipv6 && !args.ipv4 && args.json && args.url == "wss://a" && args.timeout == "2s");
        let Command::Top(args) = parse("riptide top --url [::1]:9000 --every 5s --once").unwrap().command
        else {
            panic!("not top")
        };
        assert_eq!((args.url.as_str(), args.every.as_str(), args.once), ("[::1]:9000", "5s", true));
        for line in [
            "riptide control --socket /a.sock --json status",
            "riptide control --socket /a.sock status --json",
        ] {
            let Command::Control(args) = parse(line).unwrap().command else { panic!("not control") };
            assert!(args.json && matches!(args.verb, Verb::Status));
            assert_eq!(args.socket, Some(PathBuf::from("/a.sock")));
        }
    }

    #[test]
    fn wrong_usage_is_status_2() {
        for line in [
            "riptide",
            "riptide dance",
            "riptide run --xdp fast",
            "riptide run --turbo",
            "riptide config check",
            "riptide config from",
            "riptide config from chihaya a.yaml",
            "riptide config from opentracker",
            "riptide config from opentracker --program udp a.conf",
            "riptide config from aquatic --program tcp a.toml",
            "riptide probe",
            "riptide probe -4 -6 udp://a:1",
            "riptide control",
            "riptide control dance",
            "riptide control ban",
            "riptide control ban add",
            "riptide control deny list all",
            "riptide control key add",
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
        assert_eq!(parse("riptide --version").unwrap_err().kind(), ErrorKind::DisplayVersion);
    }
}
