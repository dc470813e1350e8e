//! What the command line asks for, from arguments to exit status.

use crate::{
    cli::{
        Cli, Command, CommonArgs, HttpArgs, SearchArgs, TlsArgs, UdpArgs, UdpEngine, WorkloadArgs, WsArgs,
    },
    cpu::Cpu,
    engine::{Engine, Span},
    error::Error,
    http, kernel,
    net::{
        channel::Path,
        tls::{Tls, Trust},
    },
    progress::Watch,
    record,
    report::{self, JsonFile, Setup},
    route,
    run::{self, Load},
    search::Search,
    signals,
    target::{Protocol, Target},
    udp,
    workload::{Popularity, Workload},
    ws,
};
use serde_json::json;
use std::{
    collections::BTreeSet,
    fmt::{Display, Write as _},
    io::{self, Write as _},
    net::{IpAddr, SocketAddr},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};
use tracker_common::hex::Hex;

/// The figures were taken, but a reply was wrong, or the run failed.
const FAILED: u8 = 1;
/// Wrong usage.
const USAGE: u8 = 2;
/// Torrents of the workload where none are asked for.
const TORRENTS: u64 = 1_000_000;
/// The same for WebTorrent, where a few connections make up all swarms.
const WS_TORRENTS: u64 = 100;
/// When a datagram's reply is given up.
const UDP_TIMEOUT: Duration = Duration::from_secs(1);
/// When a reply on a connection is given up: segments that are lost are sent again.
const TCP_TIMEOUT: Duration = Duration::from_secs(5);

/// Does what the command line says, and says on standard error why it could not.
#[must_use]
pub fn run(cli: &Cli) -> ExitCode {
    let done = match &cli.command {
        Command::Udp(args) => load_udp(args),
        Command::Http(args) => load_http(args),
        Command::Ws(args) => load_ws(args),
        Command::Hashes(args) => print_hashes(args),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(FAILED),
        Err(error) => {
            complain(&error);
            ExitCode::from(if error.is_usage() { USAGE } else { FAILED })
        }
    }
}

fn complain(what: &dyn Display) {
    // Where standard error is gone there is nobody left to tell.
    let _ = writeln!(io::stderr().lock(), "riptide-load: {what}");
}

/// Writes a result to standard output. A reader that has seen enough (`| head`) is no failure.
fn print(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::system("standard output cannot be written")(error))
        }
        _ => Ok(()),
    }
}

fn workload(args: &WorkloadArgs, torrents: u64) -> Workload {
    let popularity = args.zipf.map_or(Popularity::Uniform, Popularity::Zipf);
    let torrents = args.torrents.unwrap_or(torrents);
    Workload::new(torrents, args.peers, args.seeders, popularity, args.seed)
}

fn print_hashes(args: &WorkloadArgs) -> Result<bool, Error> {
    let workload = workload(args, TORRENTS);
    let mut text = String::new();
    for torrent in 0..workload.torrents() {
        // Writing to memory cannot fail.
        let _ = writeln!(text, "{}", Hex(&workload.info_hash(torrent)));
        if text.len() > 1 << 16 {
            print(&text)?;
            text.clear();
        }
    }
    print(&text)?;
    Ok(true)
}

/// What all loads put into the report's head.
fn setup(protocol: &'static str, common: &CommonArgs, population: &Workload, timeout: Duration) -> Setup {
    let workload = &common.workload;
    vec![
        ("protocol", json!(protocol)),
        ("target", json!(common.target)),
        ("rate", json!(common.rate)),
        ("search", json!(common.search)),
        ("duration_seconds", json!(common.duration.as_secs_f64())),
        ("warmup_seconds", json!(common.warmup.as_secs_f64())),
        ("timeout_seconds", json!(timeout.as_secs_f64())),
        ("torrents", json!(population.torrents())),
        ("peers", json!(workload.peers)),
        ("seeders", json!(workload.seeders)),
        ("zipf", json!(workload.zipf)),
        ("seed", json!(workload.seed)),
        ("wanted", json!(common.wanted)),
        ("threads", json!(common.threads)),
        ("watch_cpu", json!(common.watch_cpu)),
        ("windows_seconds", json!(common.windows.map(|every| every.as_secs_f64()))),
        ("version", json!(env!("CARGO_PKG_VERSION"))),
    ]
}

fn load_udp(args: &UdpArgs) -> Result<bool, Error> {
    let common = &args.common;
    let load = match (common.rate, common.search) {
        (Some(rate), _) => Load::Rate(rate),
        (None, true) => Load::Search(search(&args.search)?),
        (None, false) => {
            return Err(Error::Usage("give --rate R, or --search to find the served rate".into()));
        }
    };
    let target = Target::parse(&common.target, Protocol::Udp, false)?.resolve()?;
    if args.engine == UdpEngine::Kernel {
        return load_udp_from_kernel(args, load, target);
    }
    for (is_there, flag) in
        [(args.fill.is_some(), "--fill"), (args.flood > 0, "--flood"), (args.loud > 0, "--loud")]
    {
        if is_there {
            return Err(Error::Usage(format!("{flag}: only the kernel engine can, see --engine")));
        }
    }
    let sources = common.sources.addresses(target.ip())?;
    if !common.i_own_this_target {
        route::refuse_far(target.ip(), &sources)?;
    }
    let timeout = common.timeout.unwrap_or(UDP_TIMEOUT);
    let population = Arc::new(workload(&common.workload, TORRENTS));
    let mut setup = setup("udp", common, &population, timeout);
    setup.extend([
        ("mix", json!(args.mix.to_string())),
        ("sources", json!(sources.len().max(1))),
        ("scrape_hashes", json!(args.scrape_hashes)),
        ("engine", json!("sockets")),
    ]);
    let settings = udp::Settings {
        target,
        mix: args.mix,
        wanted: common.wanted,
        scrape_hashes: args.scrape_hashes,
        workload: population,
        timeout,
        renew: udp::RENEW,
        threads: usize::from(common.threads),
        seed: common.workload.seed,
    };
    measure(common, load, &setup, |watch| {
        let engine = udp::sockets::Sockets::open(settings, &sources, watch)?;
        Ok(Box::new(engine))
    })
}

/// The target of a load over TCP, resolved and found to be near, and the way there.
fn tcp_path(common: &CommonArgs, protocol: Protocol, tls: &TlsArgs) -> Result<(Target, Path), Error> {
    let target = Target::parse(&common.target, protocol, tls.tls)?;
    let address = target.resolve()?;
    let sources = common.sources.addresses(address.ip())?;
    if !common.i_own_this_target {
        route::refuse_far(address.ip(), &sources)?;
    }
    let trust = Trust { anybody: tls.insecure, authorities: tls.ca.clone() };
    let tls = if target.tls { Some(Tls::new(&target.host, &trust)?) } else { None };
    Ok((target, Path { target: address, tls, sources: sources.into_iter().collect() }))
}

fn load_http(args: &HttpArgs) -> Result<bool, Error> {
    let common = &args.common;
    let (target, path) = tcp_path(common, Protocol::Http, &args.tls)?;
    let timeout = common.timeout.unwrap_or(TCP_TIMEOUT);
    let population = Arc::new(workload(&common.workload, TORRENTS));
    let mut setup = setup("http", common, &population, timeout);
    setup.extend([
        ("tls", json!(path.tls.is_some())),
        ("sources", json!(path.sources.len().max(1))),
        ("connections", json!(args.connections)),
        ("keep_alive", json!(!args.close)),
        ("pipeline", json!(args.pipeline)),
        ("scrapes", json!(args.scrapes)),
        ("scrape_hashes", json!(args.scrape_hashes)),
    ]);
    let settings = http::Settings {
        path,
        requests: http::request::Requests::new(&target, !args.close),
        keep_alive: !args.close,
        connections: args.connections as usize,
        pipeline: usize::from(args.pipeline),
        scrapes: args.scrapes,
        wanted: common.wanted,
        scrape_hashes: args.scrape_hashes,
        workload: population,
        timeout,
        threads: usize::from(common.threads),
        seed: common.workload.seed,
    };
    measure(common, common.rate.map_or(Load::Closed, Load::Rate), &setup, |_| {
        Ok(Box::new(http::Http::open(settings)?))
    })
}

fn load_ws(args: &WsArgs) -> Result<bool, Error> {
    let common = &args.common;
    if common.rate.is_some() {
        let why = "--rate is not for ws: each connection sends its next announce when the last is answered";
        return Err(Error::Usage(why.into()));
    }
    let (target, path) = tcp_path(common, Protocol::Ws, &args.tls)?;
    let timeout = common.timeout.unwrap_or(TCP_TIMEOUT);
    let population = Arc::new(workload(&common.workload, WS_TORRENTS));
    let (mode, name, connections, offers) = match (args.idle, args.churn) {
        (Some(idle), _) => (ws::Mode::Idle, "idle", idle, 0),
        (None, true) => (ws::Mode::Churn, "churn", args.connections, args.offers),
        (None, false) => (ws::Mode::Announce, "announce", args.connections, args.offers),
    };
    let mut setup = setup("ws", common, &population, timeout);
    setup.extend([
        ("tls", json!(path.tls.is_some())),
        ("sources", json!(path.sources.len().max(1))),
        ("mode", json!(name)),
        ("connections", json!(connections)),
        ("offers", json!(offers)),
        ("answers", json!(args.answers)),
        ("sdp_bytes", json!(args.sdp_bytes)),
        ("torrents_per_connection", json!(args.torrents_per_connection)),
    ]);
    let settings = ws::Settings {
        handshake: ws::frame::handshake(&target),
        path,
        mode,
        connections: connections as usize,
        offers,
        wanted: common.wanted.min(offers),
        answers: args.answers,
        sdp: "v".repeat(usize::from(args.sdp_bytes)),
        torrents_per_connection: args.torrents_per_connection,
        workload: population,
        timeout,
        threads: usize::from(common.threads),
        seed: common.workload.seed,
    };
    measure(common, Load::Closed, &setup, |_| Ok(Box::new(ws::Ws::open(settings)?)))
}

fn load_udp_from_kernel(args: &UdpArgs, load: Load, target: SocketAddr) -> Result<bool, Error> {
    let common = &args.common;
    let usage = |text: &str| Error::Usage(text.to_owned());
    let SocketAddr::V4(target) = target else { return Err(usage("the kernel engine speaks IPv4 only")) };
    if common.workload.zipf.is_some() {
        return Err(usage("the kernel engine has no --zipf: all its torrents are alike"));
    }
    let small = |number: u64, flag| {
        u32::try_from(number).map_err(|_| usage(&format!("{flag}: the kernel engine counts to {}", u32::MAX)))
    };
    let (source, sources) = common.sources.block()?;
    // What is not on the link has no MAC address: a gateway would be found out here, too.
    if !common.i_own_this_target {
        route::refuse_far(IpAddr::V4(*target.ip()), &BTreeSet::new())?;
    }
    let timeout = common.timeout.unwrap_or(UDP_TIMEOUT);
    let population = workload(&common.workload, TORRENTS);
    let mut setup = setup("udp", common, &population, timeout);
    setup.extend([
        ("mix", json!(args.mix.to_string())),
        ("sources", json!(sources)),
        ("scrape_hashes", json!(1)),
        ("engine", json!("kernel")),
        ("fill", json!(args.fill)),
        ("flood", json!(args.flood)),
        ("loud", json!(args.loud)),
    ]);
    let settings = kernel::Settings {
        target,
        interface: args.interface.clone().unwrap_or_default(),
        source,
        sources,
        mix: args.mix,
        wanted: common.wanted,
        torrents: small(population.torrents(), "--torrents")?,
        peers: small(common.workload.peers, "--peers")?,
        seeders: common.workload.seeders,
        seed: common.workload.seed,
        timeout,
        flood: args.flood.max(args.loud),
        loud: args.loud > 0,
        fill: args.fill,
    };
    measure(common, load, &setup, |watch| Ok(Box::new(kernel::Kernel::open(&settings, watch)?)))
}

fn search(args: &SearchArgs) -> Result<Search, Error> {
    if args.search_from > args.search_to {
        return Err(Error::Usage("--search-from is above --search-to".into()));
    }
    Ok(Search { from: args.search_from, to: args.search_to, tries: args.search_tries, ..Search::default() })
}

/// Opens the engine, runs the load, reports. `false` if a reply was wrong.
fn measure(
    common: &CommonArgs,
    load: Load,
    setup: &Setup,
    open: impl FnOnce(&Watch) -> Result<Box<dyn Engine>, Error>,
) -> Result<bool, Error> {
    let mut watch = Watch::new(usize::from(common.threads));
    if let Some(number) = common.watch_cpu {
        watch = watch.with_cpu(Cpu::find(number)?);
    }
    if let Some(every) = common.windows {
        record::check_windows(every, common.duration)?;
        watch = watch.with_windows(every);
    }
    let watch = Arc::new(watch);
    let file = common.json.as_deref().map(JsonFile::prepare).transpose()?;
    signals::stop_cleanly(Arc::clone(&watch))?;
    let mut engine = open(&watch)?;
    let span = Span { warmup: common.warmup, duration: common.duration };
    let outcome = run::run(engine.as_mut(), load, span, &watch)?;
    print(&report::table(&outcome))?;
    if let Some(file) = file {
        file.write(&report::json(setup, &outcome))?;
    }
    match outcome.figures.wrong_in_all() {
        0 => Ok(true),
        wrong => {
            complain(&format_args!("{wrong} replies were wrong; the table says how"));
            Ok(false)
        }
    }
}
