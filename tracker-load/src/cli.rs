//! The command line.

use crate::{
    numbers::{parse_duration, parse_percent, parse_rate},
    sources::Sources,
    udp::mix::Mix,
};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::{path::PathBuf, time::Duration};

/// The command line of `riptide-load`.
#[derive(Debug, Parser)]
#[command(
    name = "riptide-load",
    version,
    about = "Puts paced load on a BitTorrent tracker and checks its replies"
)]
#[command(subcommand_required = true, arg_required_else_help = true, propagate_version = false)]
#[command(
    after_help = "Exit status: 0 if every reply was right, 1 if the run failed or a reply was wrong, 2 for wrong \
usage. Unanswered requests are figures, not failures. Ctrl-C ends a run with the figures so far."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What `riptide-load` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Load a UDP tracker (BEP 15)
    Udp(UdpArgs),
    /// Load an HTTP tracker (BEP 3)
    ///
    /// Without --rate, each connection sends its next request when the last is answered, and the served rate is what
    /// comes of that.
    Http(HttpArgs),
    /// Load a WebTorrent tracker (WebSocket)
    ///
    /// Each connection sends its next announce when the reply to the last is there; the served rate is what comes of that.
    Ws(WsArgs),
    /// Print the info hashes of the workload, one per line in hexadecimal: for a tracker that serves listed torrents only
    Hashes(WorkloadArgs),
}

/// Who announces what.
#[derive(Args, Clone, Debug)]
pub struct WorkloadArgs {
    /// How many torrents there are (default: 1000000; for ws 100, so that swarms are large enough to relay offers)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub torrents: Option<u64>,
    /// How many peers there are
    #[arg(long, value_name = "N", default_value_t = 2_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub peers: u64,
    /// The share of peers that have everything
    #[arg(long, value_name = "PERCENT", default_value = "75", value_parser = parse_percent)]
    pub seeders: f64,
    /// Torrents are popular by Zipf's law with this exponent, such as 1.0; without it, all alike
    #[arg(long, value_name = "S", value_parser = parse_exponent)]
    pub zipf: Option<f64>,
    /// Torrents, peers and requests follow from this number
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

/// What all loads have in common.
#[derive(Args, Clone, Debug)]
pub struct CommonArgs {
    /// The tracker: HOST:PORT or its announce URL
    #[arg(long, value_name = "TARGET")]
    pub target: String,
    /// Offer this many requests a second, evenly (20k is 20000)
    #[arg(long, value_name = "R", value_parser = parse_rate, conflicts_with = "search")]
    pub rate: Option<f64>,
    /// Find the served rate
    #[arg(long)]
    pub search: bool,
    /// How long requests are counted; in a search, at each rate
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    pub duration: Duration,
    /// Load before anything is counted
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_duration)]
    pub warmup: Duration,
    /// A request is unanswered if its reply is not there within this time (default: 1s for UDP, else 5s)
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub timeout: Option<Duration>,
    /// Peers wanted in each announce
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u16).range(0..=1000))]
    pub wanted: u16,
    /// Send from this many addresses of this host, or from all that it has in a network (CIDR)
    #[arg(long, value_name = "N|CIDR", default_value = "1")]
    pub sources: Sources,
    /// Threads that generate load
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: u16,
    /// Tell how busy this processor of this host is while requests count: for a tracker that runs on it alone
    #[arg(long, value_name = "CPU")]
    pub watch_cpu: Option<usize>,
    /// Tell the figures of each window of this length, too, such as 10s; they are in the JSON
    #[arg(long, value_name = "TIME", value_parser = parse_duration, requires = "json")]
    pub windows: Option<Duration>,
    /// Write the figures to this file as JSON, too
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Load a target beyond a gateway. Only for what is yours: load on other people's trackers is an attack
    #[arg(long)]
    pub i_own_this_target: bool,
    /// Who announces what.
    #[command(flatten)]
    pub workload: WorkloadArgs,
}

/// Where a search looks.
#[derive(Args, Clone, Debug)]
pub struct SearchArgs {
    /// Where a search begins, requests a second
    #[arg(long, value_name = "R", default_value = "10000", value_parser = parse_rate)]
    pub search_from: f64,
    /// The highest rate that a search offers, requests a second
    #[arg(long, value_name = "R", default_value = "20M", value_parser = parse_rate)]
    pub search_to: f64,
    /// How often a rate is offered at most until it passes: on a shared host, a stolen processor fails what would pass
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub search_tries: u32,
}

/// The flags of `riptide-load udp`.
#[derive(Args, Clone, Debug)]
pub struct UdpArgs {
    /// What all loads have in common.
    #[command(flatten)]
    pub common: CommonArgs,
    /// Where a search looks.
    #[command(flatten)]
    pub search: SearchArgs,
    /// Shares of requests: CONNECT:ANNOUNCE:SCRAPE
    #[arg(long, value_name = "MIX", default_value = "50:50:1")]
    pub mix: Mix,
    /// How requests are made: sockets works everywhere; kernel sends many times more, over IPv4, and needs root, --interface
    /// and --sources with a network of which no address has to be configured, if the tracker has a route back
    #[arg(long, value_enum, default_value = "sockets")]
    pub engine: UdpEngine,
    /// The interface that the target is reached by, for the kernel engine
    #[arg(long, value_name = "IF", required_if_eq("engine", "kernel"))]
    pub interface: Option<String>,
    /// Before the load, announce every peer once at this rate (kernel engine)
    #[arg(long, value_name = "R", value_parser = parse_rate)]
    pub fill: Option<f64>,
    /// Beside each request, send so many announces with forged sources and connection IDs, which no tracker may answer (kernel
    /// engine)
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1_000))]
    pub flood: u32,
    /// Beside each request, send so many announces of one client more, whose address is the one after --sources (kernel engine)
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1_000), conflicts_with = "flood")]
    pub loud: u32,
    /// Torrents in each scrape; the kernel engine asks for one
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=74))]
    pub scrape_hashes: u16,
}

/// TLS.
#[derive(Args, Clone, Debug)]
pub struct TlsArgs {
    /// Speak TLS; an https or wss target does so anyway
    #[arg(long)]
    pub tls: bool,
    /// Take any certificate
    #[arg(long, conflicts_with = "ca")]
    pub insecure: bool,
    /// Take certificates from the authorities in this PEM file only
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
}

/// The flags of `riptide-load http`.
#[derive(Args, Clone, Debug)]
pub struct HttpArgs {
    /// What all loads have in common.
    #[command(flatten)]
    pub common: CommonArgs,
    /// TLS.
    #[command(flatten)]
    pub tls: TlsArgs,
    /// Connections at a time
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub connections: u32,
    /// Open a new connection for each request
    #[arg(long, conflicts_with = "pipeline")]
    pub close: bool,
    /// Requests on their way at a time on each connection
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub pipeline: u16,
    /// The share of scrapes among the requests
    #[arg(long, value_name = "PERCENT", default_value = "0", value_parser = parse_percent)]
    pub scrapes: f64,
    /// Torrents in each scrape
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=74))]
    pub scrape_hashes: u16,
}

/// The flags of `riptide-load ws`.
#[derive(Args, Clone, Debug)]
pub struct WsArgs {
    /// What all loads have in common.
    #[command(flatten)]
    pub common: CommonArgs,
    /// TLS.
    #[command(flatten)]
    pub tls: TlsArgs,
    /// Connections at a time
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub connections: u32,
    /// Offers in each announce
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(0..=100))]
    pub offers: u16,
    /// The share of received offers that are answered
    #[arg(long, value_name = "PERCENT", default_value = "100", value_parser = parse_percent)]
    pub answers: f64,
    /// Bytes of the session description in each offer and answer
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..=8192))]
    pub sdp_bytes: u16,
    /// Torrents that each connection announces
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub torrents_per_connection: u64,
    /// Open N connections that announce once, without offers, and stay; tell how many are still open at the end
    #[arg(long, value_name = "N", conflicts_with_all = ["churn", "connections", "offers"], value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub idle: Option<u32>,
    /// Connect, announce once and close, over and over; tell how many cycles were made
    #[arg(long)]
    pub churn: bool,
}

/// How UDP requests are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum UdpEngine {
    /// By system calls.
    Sockets,
    /// By XDP programs.
    Kernel,
}

fn parse_exponent(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value <= 10.0 => Ok(value),
        _ => Err("an exponent is a number above 0 and at most 10".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn defaults_are_the_projects_workload() {
        let Command::Udp(args) = parse("riptide-load udp --target 127.0.0.1:1").unwrap().command else {
            panic!("not udp")
        };
        let workload = &args.common.workload;
        assert_eq!((workload.torrents, workload.peers), (None, 2_000_000));
        assert!((workload.seeders - 0.75).abs() < 1e-9 && workload.zipf.is_none());
        assert_eq!((args.common.wanted, args.common.duration), (30, Duration::from_secs(10)));
        assert_eq!(args.mix, "50:50:1".parse().unwrap());
    }

    #[test]
    fn wrong_usage_is_status_2() {
        for line in [
            "riptide-load",
            "riptide-load udp",
            "riptide-load udp --target a:1 --rate 5 --search",
            "riptide-load udp --target a:1 --rate 0",
            "riptide-load udp --target a:1 --mix 1:2",
            "riptide-load udp --target a:1 --sources 0",
            "riptide-load udp --target a:1 --torrents 0",
            "riptide-load udp --target a:1 --zipf 0",
            "riptide-load udp --target a:1 --duration 10",
            "riptide-load udp --target a:1 --engine kernel",
            "riptide-load udp --target a:1 --watch-cpu one",
            "riptide-load udp --target a:1 --windows 10s",
            "riptide-load flood --target a:1",
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }
}
