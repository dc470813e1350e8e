//! What one scrape of a tracker says, as far as it is shown.

use super::exposition::Sample;
use std::collections::BTreeMap;

/// No name that comes with a metric is shown longer, characters.
const MAX_NAME: usize = 40;

/// A counter, or some that are shown as one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Count {
    /// Requests by the way that they came.
    Path(String),
    /// Requests by what they ask for, and offers that were passed on.
    Action(String),
    /// Bytes that came by UDP.
    Received,
    /// Bytes that left by UDP.
    Sent,
    /// What got lost, by where and why.
    Dropped(String),
    /// What got an answer but not what it wanted, by where and why.
    Refused(String),
    /// Announces by client software.
    Client(String),
    /// Changes that nodes told each other, by direction.
    Change(String),
    /// Batches of such that did not come the first time.
    Lost,
    /// Seconds in which a thread was busy.
    Busy(Worker),
}

/// A thread that serves clients.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Worker {
    /// What it serves.
    pub(super) serves: String,
    /// From 0.
    pub(super) number: u32,
}

/// An interface with the XDP program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) name: String,
    pub(super) mode: String,
    pub(super) bind: String,
}

/// Frames of an AF_XDP socket.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Queue {
    /// All that it has.
    pub(super) frames: f64,
    /// Those in no ring, or in the fill ring: room for what comes.
    pub(super) room: f64,
    /// Requests that wait for a worker.
    pub(super) rx: f64,
    /// Replies that wait for the device.
    pub(super) tx: f64,
}

/// Peers of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Peers {
    pub(super) seeders: f64,
    pub(super) leechers: f64,
}

/// A cluster, as the tracker sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Cluster {
    /// Nodes that it hears of, itself included.
    pub(super) nodes: f64,
    /// Nodes that it hears of and lacks changes of.
    pub(super) incomplete: f64,
    /// Nodes that it does not listen to.
    pub(super) cut_off: f64,
    /// Seconds.
    pub(super) lag: f64,
    /// 1 while there is a connection to NATS.
    pub(super) connected: f64,
    /// 1 once it has what others have.
    pub(super) joined: f64,
}

/// One scrape. What a tracker of another version does not tell is `None`, or not there.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Reading {
    pub(super) version: String,
    pub(super) commit: String,
    pub(super) ready: Option<bool>,
    /// When the process started, seconds since 1970.
    pub(super) started: Option<f64>,
    pub(super) interfaces: Vec<Interface>,
    pub(super) counts: BTreeMap<Count, f64>,
    pub(super) torrents: Option<f64>,
    /// By family.
    pub(super) peers: BTreeMap<String, Peers>,
    pub(super) peers_limit: Option<f64>,
    /// Bytes.
    pub(super) memory: Option<f64>,
    pub(super) memory_limit: Option<f64>,
    pub(super) websockets: Option<f64>,
    /// Bytes.
    pub(super) websocket_memory: Option<f64>,
    pub(super) websocket_memory_limit: Option<f64>,
    /// Seconds.
    pub(super) interval: Option<f64>,
    /// From 0 to 1.
    pub(super) pressure: Option<f64>,
    /// By interface and queue.
    pub(super) queues: BTreeMap<(String, u32), Queue>,
    pub(super) cluster: Option<Cluster>,
}

impl Reading {
    /// What these samples say; `None` if they are none of Riptide's.
    pub(super) fn of(samples: &[Sample<'_>]) -> Option<Self> {
        let mut reading = Self::default();
        for sample in samples {
            reading.add(sample);
        }
        let is_riptide = samples.iter().any(|sample| sample.name == "riptide_build_info");
        is_riptide.then_some(reading)
    }

    fn add(&mut self, sample: &Sample<'_>) {
        let value = sample.value;
        let label = |name| printable(sample.label(name));
        match sample.name {
            "riptide_build_info" => (self.version, self.commit) = (label("version"), label("commit")),
            "riptide_ready" => self.ready = Some(value > 0.0),
            "process_start_time_seconds" => self.started = Some(value),
            "riptide_torrents" => self.torrents = Some(value),
            "riptide_peers_limit" => self.peers_limit = Some(value),
            "process_resident_memory_bytes" => self.memory = Some(value),
            "riptide_memory_limit_bytes" => self.memory_limit = Some(value),
            "riptide_ws_connections" => self.websockets = Some(value),
            "riptide_ws_memory_bytes" => self.websocket_memory = Some(value),
            "riptide_ws_memory_limit_bytes" => self.websocket_memory_limit = Some(value),
            "riptide_announce_interval_seconds" => self.interval = Some(value),
            "riptide_pressure_ratio" => self.pressure = Some(value),
            "riptide_xdp_info" => self.interfaces.push(Interface {
                name: label("interface"),
                mode: label("mode"),
                bind: label("bind"),
            }),
            "riptide_peers" => {
                let peers = self.peers.entry(label("family")).or_default();
                match sample.label("role") {
                    "seeder" => peers.seeders += value,
                    _ => peers.leechers += value,
                }
            }
            "riptide_xsk_umem_frames" => {
                if let Some(queue) = self.queue(sample) {
                    queue.frames = value;
                }
            }
            "riptide_xsk_frames" => {
                if let Some(queue) = self.queue(sample) {
                    match sample.label("place") {
                        "free" | "fill" => queue.room += value,
                        "rx" => queue.rx = value,
                        "tx" => queue.tx = value,
                        _ => {}
                    }
                }
            }
            name => match self.of_cluster(name) {
                Some(level) => *level = value,
                None => self.count(sample),
            },
        }
    }

    /// What a metric of this name tells of a cluster, unless it is a counter.
    fn of_cluster(&mut self, name: &str) -> Option<&mut f64> {
        let level: fn(&mut Cluster) -> &mut f64 = match name {
            "riptide_cluster_nodes" => |cluster| &mut cluster.nodes,
            "riptide_cluster_incomplete_nodes" => |cluster| &mut cluster.incomplete,
            "riptide_cluster_cut_off_nodes" => |cluster| &mut cluster.cut_off,
            "riptide_cluster_lag_seconds" => |cluster| &mut cluster.lag,
            "riptide_cluster_connected" => |cluster| &mut cluster.connected,
            "riptide_cluster_joined" => |cluster| &mut cluster.joined,
            _ => return None,
        };
        Some(level(self.cluster.get_or_insert_default()))
    }

    fn queue(&mut self, sample: &Sample<'_>) -> Option<&mut Queue> {
        let number = sample.label("queue").parse().ok()?;
        Some(self.queues.entry((printable(sample.label("interface")), number)).or_default())
    }

    fn count(&mut self, sample: &Sample<'_>) {
        let label = |name| printable(sample.label(name));
        let mut add = |count: Count| *self.counts.entry(count).or_default() += sample.value;
        match sample.name {
            "riptide_udp_requests_total" => {
                add(Count::Path(label("path")));
                add(Count::Action(label("action")));
            }
            "riptide_udp_received_bytes_total" => add(Count::Received),
            "riptide_udp_sent_bytes_total" => add(Count::Sent),
            "riptide_udp_dropped_total" => {
                add(Count::Dropped(format!("{} {}", label("path"), label("reason"))));
            }
            "riptide_http_requests_total" => {
                // Pages and health checks are none of the tracker's requests, unless they are refused.
                if ["announce", "scrape"].contains(&sample.label("action")) {
                    add(Count::Path("http".to_owned()));
                    add(Count::Action(label("action")));
                }
                if sample.label("outcome") != "ok" {
                    add(Count::Refused(format!("http {}", label("outcome"))));
                }
            }
            "riptide_ws_messages_total" => match (sample.label("direction"), sample.label("kind")) {
                ("in", kind) => {
                    add(Count::Path("ws".to_owned()));
                    if ["announce", "scrape"].contains(&kind) {
                        add(Count::Action(printable(kind)));
                    }
                }
                (_, "offer") => add(Count::Action("offer".to_owned())),
                (_, kind @ ("failure" | "rate_limited")) => {
                    add(Count::Refused(format!("ws {}", printable(kind))));
                }
                _ => {}
            },
            "riptide_ws_lost_messages_total" => add(Count::Dropped(format!("ws {}", label("reason")))),
            "riptide_ws_refused_connections_total" => {
                add(Count::Refused(format!("ws {}", label("reason"))));
            }
            "riptide_peers_refused_total" => add(Count::Refused(format!("peer {}", label("reason")))),
            "riptide_cluster_changes_total" => add(Count::Change(label("direction"))),
            "riptide_cluster_lost_batches_total" => add(Count::Lost),
            "riptide_client_announces_total" => add(Count::Client(label("client"))),
            "riptide_worker_busy_seconds_total" => {
                if let Ok(number) = sample.label("worker").parse() {
                    add(Count::Busy(Worker { serves: label("serves"), number }));
                }
            }
            _ => {}
        }
    }

    /// Peers of all kinds.
    pub(super) fn all_peers(&self) -> f64 {
        self.peers.values().map(|peers| peers.seeders + peers.leechers).sum()
    }
}

/// What may be put on a screen of a text that comes from elsewhere.
pub(super) fn printable(text: &str) -> String {
    let shown = |c: char| if c.is_ascii_graphic() || c.is_alphanumeric() || c == ' ' { c } else { '?' };
    text.chars().take(MAX_NAME).map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::exposition::parse;

    fn reading(text: &str) -> Reading {
        let text = format!("riptide_build_info{{version=\"1.2.3\",commit=\"abc\"}} 1\n{text}");
        Reading::of(&parse(&text).unwrap()).unwrap()
    }

    #[test]
    fn levels_are_what_their_metrics_say() {
        let reading = reading(
            "riptide_ready 1\nprocess_start_time_seconds 1.7e9\nriptide_torrents 3\n\
             riptide_peers{family=\"ipv4\",role=\"seeder\"} 5\nriptide_peers{family=\"ipv4\",role=\"leecher\"} 7\n\
             riptide_peers{family=\"webrtc\",role=\"leecher\"} 1\nriptide_peers_limit 100\n\
             process_resident_memory_bytes 1024\nriptide_ws_connections 2\nriptide_pressure_ratio 0.25\n\
             riptide_xdp_info{interface=\"eth0\",mode=\"native\",bind=\"zerocopy\"} 1\n\
             riptide_xsk_frames{interface=\"eth0\",queue=\"1\",place=\"free\"} 10\n\
             riptide_xsk_frames{interface=\"eth0\",queue=\"1\",place=\"fill\"} 20\n\
             riptide_xsk_frames{interface=\"eth0\",queue=\"1\",place=\"rx\"} 3\n\
             riptide_xsk_frames{interface=\"eth0\",queue=\"1\",place=\"completion\"} 4\n\
             riptide_xsk_umem_frames{interface=\"eth0\",queue=\"1\"} 40\n",
        );
        assert_eq!((reading.version.as_str(), reading.commit.as_str()), ("1.2.3", "abc"));
        assert_eq!((reading.ready, reading.started, reading.torrents), (Some(true), Some(1.7e9), Some(3.0)));
        assert_eq!(reading.peers["ipv4"], Peers { seeders: 5.0, leechers: 7.0 });
        assert_eq!((reading.all_peers(), reading.peers_limit), (13.0, Some(100.0)));
        assert_eq!((reading.memory, reading.memory_limit), (Some(1024.0), None));
        assert_eq!(reading.interfaces[0].bind, "zerocopy");
        let queue = reading.queues[&("eth0".to_owned(), 1)];
        assert_eq!(queue, Queue { frames: 40.0, room: 30.0, rx: 3.0, tx: 0.0 });
    }

    #[test]
    fn counters_are_added_up_by_what_is_shown() {
        let reading = reading(
            "riptide_udp_requests_total{path=\"xsk\",action=\"announce\",family=\"ipv4\"} 10\n\
             riptide_udp_requests_total{path=\"socket\",action=\"announce\",family=\"ipv6\"} 5\n\
             riptide_udp_requests_total{path=\"kernel\",action=\"connect\",family=\"ipv6\"} 7\n\
             riptide_udp_dropped_total{path=\"kernel\",reason=\"malformed\"} 2\n\
             riptide_http_requests_total{action=\"announce\",family=\"ipv4\",outcome=\"ok\"} 3\n\
             riptide_http_requests_total{action=\"announce\",family=\"ipv4\",outcome=\"banned\"} 4\n\
             riptide_http_requests_total{action=\"stats\",family=\"ipv4\",outcome=\"ok\"} 100\n\
             riptide_ws_messages_total{direction=\"in\",kind=\"announce\"} 6\n\
             riptide_ws_messages_total{direction=\"in\",kind=\"ping\"} 1\n\
             riptide_ws_messages_total{direction=\"out\",kind=\"offer\"} 8\n\
             riptide_ws_messages_total{direction=\"out\",kind=\"announce\"} 6\n\
             riptide_ws_lost_messages_total{reason=\"gone\"} 9\n\
             riptide_peers_refused_total{reason=\"memory\"} 11\n\
             riptide_client_announces_total{client=\"qBittorrent\"} 12\n\
             riptide_worker_busy_seconds_total{serves=\"udp\",worker=\"1\"} 0.5\n\
             riptide_udp_sent_bytes_total{path=\"xsk\",family=\"ipv4\"} 13\n\
             riptide_udp_sent_bytes_total{path=\"socket\",family=\"ipv4\"} 1\n",
        );
        let named = |make: fn(String) -> Count, name: &str| make(name.to_owned());
        let expected = [
            (named(Count::Path, "xsk"), 10.0),
            (named(Count::Path, "socket"), 5.0),
            (named(Count::Path, "kernel"), 7.0),
            (named(Count::Path, "http"), 7.0),
            (named(Count::Path, "ws"), 7.0),
            (named(Count::Action, "announce"), 28.0),
            (named(Count::Action, "connect"), 7.0),
            (named(Count::Action, "offer"), 8.0),
            (named(Count::Dropped, "kernel malformed"), 2.0),
            (named(Count::Dropped, "ws gone"), 9.0),
            (named(Count::Refused, "http banned"), 4.0),
            (named(Count::Refused, "peer memory"), 11.0),
            (named(Count::Client, "qBittorrent"), 12.0),
            (Count::Busy(Worker { serves: "udp".to_owned(), number: 1 }), 0.5),
            (Count::Sent, 14.0),
        ];
        assert_eq!(reading.counts, expected.into_iter().collect());
    }

    #[test]
    fn a_cluster_is_there_where_it_is_told_of() {
        assert_eq!(reading("riptide_torrents 3\n").cluster, None);
        let reading = reading(
            "riptide_cluster_nodes 3\nriptide_cluster_lag_seconds 0.25\nriptide_cluster_connected 1\n\
             riptide_cluster_joined 1\nriptide_cluster_cut_off_nodes 2\nriptide_cluster_incomplete_nodes 4\n\
             riptide_cluster_changes_total{direction=\"in\"} 5\nriptide_cluster_lost_batches_total 6\n",
        );
        let expected =
            Cluster { nodes: 3.0, incomplete: 4.0, cut_off: 2.0, lag: 0.25, connected: 1.0, joined: 1.0 };
        assert_eq!(reading.cluster, Some(expected));
        assert_eq!(reading.counts, [(Count::Change("in".to_owned()), 5.0), (Count::Lost, 6.0)].into());
    }

    #[test]
    fn others_metrics_are_none_of_a_tracker() {
        assert_eq!(Reading::of(&parse("up 1\nnode_load1 0.5\n").unwrap()), None);
    }

    #[test]
    fn nothing_from_elsewhere_commands_the_terminal() {
        let reading = reading("riptide_client_announces_total{client=\"\u{1b}[2J\u{9b}31m\u{202e}µ\"} 1\n");
        assert_eq!(reading.counts.keys().next(), Some(&Count::Client("?[2J?31m?µ".to_owned())));
        assert_eq!(printable(&"x".repeat(1000)).len(), MAX_NAME);
    }
}
