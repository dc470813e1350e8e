//! Prometheus metrics: everything is read from its owner at the moment of the scrape, kernel maps included.

pub mod before;
pub mod clients;
mod cluster;
mod described;
pub mod listener;
mod process;
pub mod serving;

use crate::{
    cluster::Cluster,
    counters::{DURATION_BOUNDS, Dropped, Path, PathCounters, WorkerCounters},
    events::Events,
    http::counters::{self as http},
    logging::Lines,
    swarms,
    tls::{Source, Tls},
    udp::{pool::OpenSocket, socket::receive_buffer_drops},
    ws::Hub,
    xdp::{interface::Report, manager::Reports, socket::Gauges},
};
use axum::{Router, extract::State, http::header, response::IntoResponse, routing};
use before::{Adding, Before, Counted, Took};
use metrics::{Label, Level, Metadata, NoopRecorder, counter, gauge};
use metrics_exporter_prometheus::PrometheusBuilder;
use serving::Serving;
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    os::fd::AsRawFd as _,
    sync::{Arc, Weak},
};
use tracker_common::{
    address::Family,
    bep15::{Action, CONNECT_RESPONSE_LEN},
    label::Labelled,
    maps::{Counter, Kind, Tally},
};
use tracker_core::{
    client_software::ClientSoftware,
    engine::{Engine, NotKept, SwarmSizes},
    model::Network,
};

/// Everything that metrics are read from.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The swarms.
    pub engine: Arc<Engine>,
    /// What the workers count.
    pub workers: Vec<Arc<WorkerCounters>>,
    /// The ordinary UDP sockets, by a descriptor of their own.
    pub sockets: Vec<Arc<OpenSocket>>,
    /// The interfaces.
    pub xdp: Reports,
    /// Names of the interfaces that XDP is wanted on, whether it is to be had or not.
    pub xdp_wanted: Vec<String>,
    /// What HTTP counts; nothing where it is not served.
    pub http: Arc<http::Counters>,
    /// The WebSockets, if they are served.
    pub websocket: Option<Arc<Hub>>,
    /// The log.
    pub log: Arc<Lines>,
    /// Saving and restoring.
    pub swarms: Arc<swarms::Tally>,
    /// TLS, if it is served.
    pub tls: Option<Arc<Tls>>,
    /// Which clients have a series.
    pub clients: Arc<clients::Named>,
    /// What processes before this one counted.
    pub before: Arc<Before>,
    /// Whether it serves, and by which threads.
    pub serving: Arc<Serving>,
    /// The other nodes, if a cluster is on.
    pub cluster: Option<Arc<Cluster>>,
}

/// The metrics listener's one route.
pub fn router(sources: Arc<Sources>) -> Router {
    Router::new().route("/metrics", routing::get(scrape)).with_state(sources)
}

async fn scrape(State(sources): State<Arc<Sources>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], sources.render())
}

type Labels = Vec<Label>;

/// Of what was counted before.
const METADATA: Metadata<'static> = Metadata::new("riptide", Level::INFO, None);

fn labels<const N: usize>(pairs: [(&'static str, &str); N]) -> Labels {
    pairs.into_iter().map(|(key, value)| Label::new(key, value.to_owned())).collect()
}

fn count(name: &'static str, labels: Labels, value: u64) {
    // Zero too: a series that appears only with its first event has no rate at that moment.
    counter!(name, labels).absolute(value);
}

/// A series for each label, after those that all of them have.
fn count_each<L: Labelled>(
    name: &'static str,
    same: &[(&'static str, &str)],
    key: &'static str,
    events: &Events<L>,
) {
    for (label, value) in events.each() {
        let pairs = same.iter().copied().chain([(key, label)]);
        count(name, pairs.map(|(key, value)| Label::new(key, value.to_owned())).collect(), value);
    }
}

#[expect(clippy::cast_precision_loss, reason = "gauges are doubles")]
fn level(name: &'static str, labels: Labels, value: u64) {
    gauge!(name, labels).set(value as f64);
}

impl Sources {
    /// The metrics in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        // A recorder for this scrape alone: series of interfaces that are gone do not linger.
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        let before = self.before.get();
        let adding = Adding::new(&recorder, before.clone());
        metrics::with_local_recorder(&adding, || {
            described::describe();
            self.collect();
        });
        adding.end(&METADATA);
        drop(recorder);
        let mut text = handle.render();
        self.serving.write_busy(&mut text);
        write_durations(&mut text, &self.durations(&before));
        write_swarm_sizes(&mut text, &self.engine.swarm_sizes());
        process::write(&mut text);
        text
    }

    /// All that was counted, here and before, for a process that goes on with the ordinary sockets: what these dropped it
    /// reads from them itself.
    #[must_use]
    pub fn counted(&self) -> Counted {
        let without_sockets = Self { sockets: Vec::new(), ..self.clone() };
        let before = self.before.get();
        let adding = Adding::new(&NoopRecorder, before.clone());
        metrics::with_local_recorder(&adding, || without_sockets.collect());
        Counted { counters: adding.end(&METADATA), durations: self.durations(&before) }
    }

    fn collect(&self) {
        let reports = self.xdp.read();
        for family in Family::ALL {
            self.collect_workers(family);
            collect_kernel(&reports, family);
        }
        for path in Path::ALL {
            for why in Dropped::ALL {
                let names = labels([("path", path.label()), ("reason", why.label())]);
                count("riptide_udp_dropped_total", names, self.udp_drops(&reports, path, why));
            }
        }
        collect_kernel_drops(&reports);
        for interface in &self.xdp_wanted {
            level("riptide_xdp_wanted", labels([("interface", interface.as_str())]), 1);
        }
        collect_interfaces(&reports);
        collect_http(&self.http);
        if let Some(hub) = &self.websocket {
            collect_websocket(hub);
        }
        self.collect_engine();
        for why in NotKept::ALL {
            count("riptide_peers_refused_total", labels([("reason", why.label())]), self.not_kept(why));
        }
        self.collect_clients();
        count("riptide_log_lines_lost_total", Labels::new(), self.log.lost());
        collect_saving(&self.swarms);
        if let Some(tls) = &self.tls {
            collect_tls(tls);
        }
        self.serving.collect();
        if let Some(cluster) = &self.cluster {
            cluster::collect(cluster);
        }
        let build = [("version", env!("CARGO_PKG_VERSION")), ("commit", env!("RIPTIDE_COMMIT"))];
        level("riptide_build_info", labels(build), 1);
    }

    fn collect_workers(&self, family: Family) {
        for path in Path::ALL {
            let place = [("path", path.label()), ("family", family.label())];
            let of = |action: Action| {
                labels([("path", path.label()), ("action", action.label()), ("family", family.label())])
            };
            for action in Action::ALL {
                let responses = self.paths(path).map(|path| path.responses(action, family)).sum();
                count("riptide_udp_responses_total", of(action), responses);
                if action != Action::Error {
                    let requests = self.udp_requests(path, action, family);
                    count("riptide_udp_requests_total", of(action), requests);
                }
            }
            let (received, sent) = self.udp_bytes(path, family);
            count("riptide_udp_received_bytes_total", labels(place), received);
            count("riptide_udp_sent_bytes_total", labels(place), sent);
        }
    }

    fn paths(&self, path: Path) -> impl Iterator<Item = &PathCounters> {
        self.workers.iter().map(move |worker| worker.path(path))
    }

    /// UDP requests that reached a worker by this path.
    #[must_use]
    pub fn udp_requests(&self, path: Path, action: Action, family: Family) -> u64 {
        self.paths(path).map(|path| path.requests(action, family)).sum()
    }

    /// UDP payload that workers received and sent by this path, bytes.
    #[must_use]
    pub fn udp_bytes(&self, path: Path, family: Family) -> (u64, u64) {
        self.paths(path)
            .map(|path| path.bytes(family))
            .fold((0, 0), |(received, sent), (more_in, more_out)| (received + more_in, sent + more_out))
    }

    /// UDP datagrams of this path without a reply, those among them that the kernel had no room for.
    #[must_use]
    pub fn udp_drops(&self, reports: &[Report], path: Path, why: Dropped) -> u64 {
        let own: u64 = self.paths(path).map(|path| path.drops(why)).sum();
        own + if why == Dropped::NoBuffer { self.lost_before(path, reports) } else { 0 }
    }

    /// Requests that the kernel dropped for want of room before a worker saw them.
    fn lost_before(&self, path: Path, reports: &[Report]) -> u64 {
        match path {
            Path::Socket => {
                self.sockets.iter().map(|open| receive_buffer_drops(open.socket.as_raw_fd())).sum()
            }
            Path::Xsk => reports
                .iter()
                .map(|report| {
                    let living = report.sockets.iter().filter_map(Weak::upgrade);
                    report.lost_before + living.map(|socket| socket.lost()).sum::<u64>()
                })
                .sum(),
        }
    }

    /// Peers that were not kept, by any protocol.
    #[must_use]
    pub fn not_kept(&self, why: NotKept) -> u64 {
        let udp: u64 =
            Path::ALL.iter().flat_map(|path| self.paths(*path)).map(|path| path.not_kept(why)).sum();
        let websocket = self.websocket.as_ref().map_or(0, |hub| hub.counters().not_kept.of(why));
        udp + self.http.not_kept.of(why) + websocket
    }

    /// Announces by software, as far as this process has counted them: the commonest first, those without a name last.
    #[must_use]
    pub fn client_announces(&self) -> Vec<(ClientSoftware, u64)> {
        self.clients.announces(|software| self.looks(software), &[])
    }

    /// Announces by this software that were looked at.
    fn looks(&self, software: ClientSoftware) -> u64 {
        let udp: u64 = self.workers.iter().map(|worker| worker.software.of(software)).sum();
        let websocket = self.websocket.as_ref().map_or(0, |hub| hub.counters().software.of(software));
        udp + self.http.software.of(software) + websocket
    }

    fn collect_clients(&self) {
        let before = clients::named_in(&self.before.get());
        for (software, announces) in self.clients.announces(|software| self.looks(software), &before) {
            count(clients::NAME, labels([(clients::CLIENT, software.name())]), announces);
        }
    }

    fn collect_engine(&self) {
        let (policy, measures) = (self.engine.policy(), self.engine.measures());
        let interval = policy.admission.present_interval(measures);
        level("riptide_announce_interval_seconds", Labels::new(), interval.into());
        level("riptide_announce_interval_base_seconds", Labels::new(), policy.admission.interval.into());
        let longest = policy.admission.max_interval.max(policy.admission.interval);
        level("riptide_announce_interval_limit_seconds", Labels::new(), longest.into());
        level("riptide_reply_peers_limit", Labels::new(), policy.admission.most_by_udp(measures) as u64);
        gauge!("riptide_pressure_ratio", Labels::new()).set(f64::from(measures.stretch) / 1000.0);
        level("riptide_peers_limit", Labels::new(), policy.max_peers as u64);
        let totals = self.engine.totals();
        level("riptide_torrents", Labels::new(), totals.torrents as u64);
        level("riptide_retained_torrents", Labels::new(), totals.retained as u64);
        for network in Network::ALL {
            for (role, peers) in
                [("seeder", totals.complete(network)), ("leecher", totals.incomplete(network))]
            {
                level("riptide_peers", labels([("family", network.label()), ("role", role)]), peers as u64);
            }
        }
    }

    /// How long requests took, by protocol and action, here and before.
    fn durations(&self, before: &Counted) -> BTreeMap<[String; 2], Took> {
        let mut all = before.durations.clone();
        let mut add = |protocol: &str, action: &str, buckets: &[u64], seconds: f64| {
            let took = all.entry([protocol, action].map(str::to_owned)).or_default();
            took.buckets.resize(buckets.len(), 0);
            took.buckets.iter_mut().zip(buckets).for_each(|(bucket, more)| *bucket += more);
            took.seconds += seconds;
        };
        for action in [Action::Connect, Action::Announce, Action::Scrape] {
            add("udp", action.label(), &[0; DURATION_BOUNDS.len() + 1], 0.0);
            for worker in &self.workers {
                let (buckets, seconds) = worker.durations.read(action);
                add("udp", action.label(), &buckets, seconds);
            }
        }
        for action in [http::Action::Announce, http::Action::Scrape] {
            let (buckets, seconds) = self.http.durations(action);
            add("http", action.label(), &buckets, seconds);
        }
        all
    }
}

fn write_durations(text: &mut String, durations: &BTreeMap<[String; 2], Took>) {
    let name = "riptide_request_duration_seconds";
    write_histogram_head(
        text,
        name,
        "For a sample of requests. udp: from the receipt of a request's batch until its replies are handed to the kernel. \
         http: inside the tracker, from a query to the body of its reply, without HTTP and TLS",
    );
    for ([protocol, action], Took { buckets, seconds }) in durations {
        let labels = format!("protocol=\"{protocol}\",action=\"{action}\"");
        write_histogram(text, name, &labels, &DURATION_BOUNDS, buckets, *seconds);
    }
}

#[expect(clippy::cast_precision_loss, reason = "the sum of a histogram is a double")]
fn write_swarm_sizes(text: &mut String, sizes: &SwarmSizes) {
    let name = "riptide_torrent_peers";
    write_histogram_head(text, name, "Peers per torrent, as of the last full round of the sweep");
    let bounds = SwarmSizes::BOUNDS.map(f64::from);
    write_histogram(text, name, "", &bounds, &sizes.torrents, sizes.peers as f64);
}

fn write_histogram_head(text: &mut String, name: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} histogram");
}

/// `buckets` are counts of their own, not cumulative, one more than `bounds`. The exporter cannot take a histogram as
/// a whole, only single values.
fn write_histogram(text: &mut String, name: &str, labels: &str, bounds: &[f64], buckets: &[u64], sum: f64) {
    let comma = if labels.is_empty() { "" } else { "," };
    let mut total = 0;
    for (i, count) in buckets.iter().enumerate() {
        total += count;
        let bound = bounds.get(i).map_or_else(|| "+Inf".to_owned(), ToString::to_string);
        let _ = writeln!(text, "{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {total}");
    }
    let _ = writeln!(text, "{name}_sum{{{labels}}} {sum}\n{name}_count{{{labels}}} {total}\n");
}

/// The sum over all interfaces of a counter of the program.
fn tally(reports: &[Report], counter: Counter, family: Family) -> Tally {
    reports.iter().fold(Tally::default(), |sum, report| {
        // A map that cannot be read has nothing to tell; the other interfaces do.
        let tally = report.counters.read(counter, family).unwrap_or_default();
        Tally { frames: sum.frames + tally.frames, payload_bytes: sum.payload_bytes + tally.payload_bytes }
    })
}

/// Connects that the XDP program answered.
#[must_use]
pub fn kernel_connects(reports: &[Report], family: Family) -> u64 {
    tally(reports, Counter::ConnectAnswered, family).frames
}

/// UDP payload that ended in the XDP program, and that it sent, bytes.
#[must_use]
pub fn kernel_bytes(reports: &[Report], family: Family) -> (u64, u64) {
    let answered = tally(reports, Counter::ConnectAnswered, family);
    let dropped: u64 = Counter::ALL
        .iter()
        .filter(|counter| counter.kind() == Kind::Drop)
        .map(|counter| tally(reports, *counter, family).payload_bytes)
        .sum();
    (answered.payload_bytes + dropped, answered.frames * CONNECT_RESPONSE_LEN as u64)
}

/// Datagrams that the XDP program dropped, by the counter that counts them.
pub fn kernel_drops(reports: &[Report]) -> impl Iterator<Item = (Counter, u64)> {
    Counter::ALL.iter().copied().filter(|counter| counter.kind() == Kind::Drop).map(|counter| {
        (counter, Family::ALL.iter().map(|family| tally(reports, counter, *family).frames).sum())
    })
}

fn collect_kernel(reports: &[Report], family: Family) {
    let answered = kernel_connects(reports, family);
    let of_connect = || labels([("path", "kernel"), ("action", "connect"), ("family", family.label())]);
    count("riptide_udp_requests_total", of_connect(), answered);
    count("riptide_udp_responses_total", of_connect(), answered);
    let place = || labels([("path", "kernel"), ("family", family.label())]);
    let (received, sent) = kernel_bytes(reports, family);
    count("riptide_udp_received_bytes_total", place(), received);
    count("riptide_udp_sent_bytes_total", place(), sent);
}

fn collect_kernel_drops(reports: &[Report]) {
    for (counter, frames) in kernel_drops(reports) {
        count("riptide_udp_dropped_total", labels([("path", "kernel"), ("reason", counter.label())]), frames);
    }
}

fn collect_interfaces(reports: &[Report]) {
    for report in reports {
        if let Some((mode, bind)) = report.attached {
            let bind = bind.map_or("none", super::xdp::socket::Bind::label);
            let names = [("interface", report.name.as_str()), ("mode", mode.label()), ("bind", bind)];
            level("riptide_xdp_info", labels(names), 1);
        }
        for counter in Counter::ALL {
            let frames = Family::ALL
                .iter()
                .map(|family| report.counters.read(*counter, *family).unwrap_or_default().frames)
                .sum();
            let names = [
                ("interface", report.name.as_str()),
                ("verdict", counter.kind().label()),
                ("reason", counter.label()),
            ];
            count("riptide_xdp_frames_total", labels(names), frames);
        }
        for socket in report.sockets.iter().filter_map(Weak::upgrade) {
            collect_socket(&socket);
        }
    }
}

fn collect_socket(socket: &Gauges) {
    let queue = socket.queue.to_string();
    let place = || labels([("interface", socket.interface.as_str()), ("queue", queue.as_str())]);
    if let Ok(statistics) = socket.statistics() {
        for (name, value) in [
            ("riptide_xsk_rx_dropped_total", statistics.rx_dropped),
            ("riptide_xsk_rx_invalid_descs_total", statistics.rx_invalid_descs),
            ("riptide_xsk_tx_invalid_descs_total", statistics.tx_invalid_descs),
            ("riptide_xsk_rx_ring_full_total", statistics.rx_ring_full),
            ("riptide_xsk_rx_fill_ring_empty_descs_total", statistics.rx_fill_ring_empty_descs),
            ("riptide_xsk_tx_ring_empty_descs_total", statistics.tx_ring_empty_descs),
        ] {
            count(name, place(), value);
        }
    }
    let levels = socket.levels();
    for (name, frames) in [
        ("free", levels.free),
        ("fill", levels.fill),
        ("rx", levels.rx),
        ("tx", levels.tx),
        ("completion", levels.completion),
    ] {
        let mut names = place();
        names.push(Label::new("place", name));
        level("riptide_xsk_frames", names, frames.into());
    }
    level("riptide_xsk_umem_frames", place(), socket.frames.into());
}

fn collect_http(counters: &http::Counters) {
    let families =
        Family::ALL.iter().map(|family| (Some(*family), family.label())).chain([(None, "unknown")]);
    for (family, of_family) in families {
        for action in http::Action::ALL {
            for outcome in http::Outcome::ALL {
                let names = [("action", action.label()), ("family", of_family), ("outcome", outcome.label())];
                let requests = counters.requests(action, family, outcome);
                count("riptide_http_requests_total", labels(names), requests);
            }
        }
    }
    for (tls, name) in [(false, "false"), (true, "true")] {
        let names = || labels([("tls", name)]);
        level("riptide_http_connections", names(), counters.connections(tls) as u64);
        count("riptide_http_accepted_connections_total", names(), counters.accepted(tls));
    }
    count_each("riptide_http_closed_connections_total", &[], "reason", &counters.closed);
    count_each("riptide_http_accept_pauses_total", &[], "reason", &counters.pauses);
}

fn collect_websocket(hub: &Hub) {
    let counters = hub.counters();
    level("riptide_ws_connections", Labels::new(), hub.connections() as u64);
    count_each("riptide_ws_messages_total", &[("direction", "in")], "kind", &counters.received);
    count_each("riptide_ws_messages_total", &[("direction", "out")], "kind", &counters.sent);
    count_each("riptide_ws_lost_messages_total", &[], "reason", &counters.lost);
    count_each("riptide_ws_node_relays_total", &[], "direction", &counters.crossed);
    count_each("riptide_ws_closed_connections_total", &[], "reason", &counters.closed);
    count_each("riptide_ws_refused_connections_total", &[], "reason", &counters.refused);
    let (used, most) = hub.memory();
    level("riptide_ws_memory_bytes", Labels::new(), used as u64);
    level("riptide_ws_memory_limit_bytes", Labels::new(), most as u64);
}

fn collect_saving(tally: &swarms::Tally) {
    for (outcome, saves) in [("ok", &tally.saved), ("error", &tally.failed)] {
        count("riptide_state_saves_total", labels([("outcome", outcome)]), saves.get());
    }
    level("riptide_state_last_save_timestamp_seconds", Labels::new(), tally.last_save.get());
    level("riptide_state_size_bytes", Labels::new(), tally.size.get());
    level("riptide_state_restored_peers", Labels::new(), tally.restored.get());
}

fn collect_tls(tls: &Tls) {
    let end = tls.leaf().map_or(0, |leaf| leaf.not_after);
    let source = [("source", tls.source().label())];
    level("riptide_tls_certificate_expiry_timestamp_seconds", labels(source), end);
    if tls.source() == Source::Acme {
        count_each("riptide_tls_acme_orders_total", &[], "outcome", tls.orders());
    }
}
