//! The page and the JSON as a browser and a program take them.

use super::{
    FRESH_NS, History, Interface, Of, Reading, Stats, View, events,
    history::{MINUTES, Series},
    json, page,
    reading::{self, Cluster, Connections},
    refusals,
};
use crate::{
    clock::Clock,
    config::Config,
    counters::Path,
    html::assert_well_formed,
    http::{
        Statistics as _,
        counters::{self as http, Counters},
    },
    logging::Lines,
    metrics::{Sources, serving::Serving},
    ws::Hub,
    xdp::manager::Reports,
};
use futures_util::StreamExt as _;
use serde_json::Value;
use std::{collections::BTreeSet, sync::Arc};
use tracker_common::{address::Family, bep15::Action};
use tracker_core::{
    client_software::ClientSoftware,
    engine::{Engine, SwarmSizes, Totals},
    policy::Policy,
    udp,
};

const SECOND_NS: u64 = 1_000_000_000;

fn fresh() -> View {
    let counts = Of::default();
    let reading = Reading {
        counts,
        totals: Totals::default(),
        announce_interval: 1800,
        reply_peers_limit: 200,
        sizes: SwarmSizes::default(),
        connections: Connections::default(),
        clients: vec![(ClientSoftware::OTHER, 0)],
        interfaces: Vec::new(),
        cluster: None,
    };
    View::new(reading, &History::new(0, &counts), 0, SECOND_NS)
}

/// Two minutes with 1 request a second on the first path, 2 on the next and so on.
fn busy() -> View {
    let counts_at = |seconds: u64| {
        let mut counts = Of::default();
        for (i, path) in Series::PATHS.into_iter().enumerate() {
            counts.add(path, seconds * (i as u64 + 1));
        }
        counts.add(Series::Ipv4, seconds * 9);
        counts.add(Series::Ipv6, seconds);
        counts.refuse(0, 2 * seconds);
        counts
    };
    let mut history = History::new(0, &counts_at(0));
    let mut reading = fresh().reading;
    for seconds in (10..=120).step_by(10) {
        reading.counts = counts_at(seconds);
        history.record(seconds * SECOND_NS, &reading.counts);
    }
    reading.totals = Totals { torrents: 12_345, peers: [[1, 1, 1], [3, 1, 3], [5, 1, 5]], retained: 7 };
    reading.sizes.torrents[0] = 12_344;
    reading.sizes.torrents[18] = 1;
    reading.connections = Connections { plain: 1, tls: 2, websocket: 3 };
    let of = |peer_id: &[u8]| ClientSoftware::of(peer_id);
    reading.clients = vec![(of(b"-qB4630-"), 7_503), (of(b"-TR3000-"), 2_440), (ClientSoftware::OTHER, 61)];
    reading.interfaces = vec![
        Interface { name: "<&\"'>".to_owned(), mode: Some("native"), bind: Some("zerocopy"), sockets: 8 },
        Interface { name: "eth1".to_owned(), mode: None, bind: None, sockets: 0 },
    ];
    reading.cluster = Some(Cluster { nodes: 3, connected: true });
    View::new(reading, &history, 0, 120 * SECOND_NS)
}

#[test]
fn pages_are_well_formed_and_need_nothing_from_elsewhere() {
    for view in [fresh(), busy()] {
        let html = page::render(&view);
        assert_well_formed(&html);
        // The name of a namespace is no address.
        let html = html.replace("xmlns='http://www.w3.org/2000/svg'", "");
        for part in ["http://", "https://", "url(", "src=", "@import", "style=", "onclick", "NaN", "inf"] {
            assert!(!html.contains(part), "{part}");
        }
        assert_eq!(html.matches("<script").count(), 1);
        assert!(html.contains(r#"<noscript><meta http-equiv="refresh" content="10"></noscript>"#));
    }
}

#[test]
fn the_page_of_a_fresh_tracker_says_that_there_is_nothing() {
    let html = page::render(&fresh());
    for text in [
        "No requests yet",
        "No torrents yet",
        "On no interface",
        ">up 1 s<",
        "No announces yet",
        "Nothing so far",
    ] {
        assert!(html.contains(text), "{text}");
    }
}

#[test]
fn the_page_shows_the_numbers_and_no_markup_of_others() {
    let html = page::render(&busy());
    for text in [
        "<dt>Torrents</dt><dd class=\"big\">12,345<",
        "<dt>Peers</dt><dd class=\"big\">21<",
        "<dt>Requests per second</dt><dd class=\"big\">15<",
        "&lt;&amp;&quot;&#39;&gt;",
        "more than 500,000 peers: 1 torrent<",
        "2 peers: 0 torrents<",
        "90% IPv4, 10% IPv6",
        "<dt>Announce interval</dt><dd class=\"big\">30 min</dd><dd><small>200 peers at most<",
        "not attached",
        "UDP sockets: 3.0/s",
        "<th scope=\"row\">qBittorrent</th><td>7,503</td><td>75%</td>",
        "<th scope=\"row\">Other</th><td>61</td><td>1%</td>",
        "UDP sockets</th><td>3</td><td>3</td><td>3</td><td>360</td>",
        "<th scope=\"row\">UDP: connection ID forged or expired</th><td>2</td><td>240</td>",
        "for each minute of the last hour; at most 15.0",
        "for each quarter of an hour of the last day; at most 15.0",
    ] {
        assert!(html.contains(text), "{text}");
    }
    assert!(!html.contains("<&"));
}

#[test]
fn a_node_says_whose_the_numbers_are() {
    let mut view = fresh();
    for (cluster, said) in [
        (None, "></p>"),
        (
            Some(Cluster { nodes: 3, connected: true }),
            ">Torrents and peers are those of all 3 nodes; requests, connections and refusals are this node's own.</p>",
        ),
        (
            Some(Cluster { nodes: 1, connected: true }),
            ">Torrents and peers are those of this node, the only one; ",
        ),
        (
            Some(Cluster { nodes: 1, connected: false }),
            ">This node has no connection to others and serves alone, ",
        ),
    ] {
        view.reading.cluster = cluster;
        let html = page::render(&view);
        assert_well_formed(&html);
        let said = format!("<p id=\"whose\" class=\"note\"{said}");
        assert!(html.contains(&said), "{said}");
    }
}

#[test]
fn the_json_holds_the_same_numbers() {
    let json: Value = serde_json::from_slice(&json::render(&busy())).unwrap();
    assert_eq!(json["torrents"], 12_345);
    assert_eq!((&json["announce_interval_seconds"], &json["reply_peers_limit"]), (&1800.into(), &200.into()));
    assert_eq!(json["peers"]["webrtc"]["leecher"], 6);
    assert_eq!(json["requests"]["total"]["websocket"], 600);
    assert_eq!(json["requests"]["per_second"]["http"], 4.0);
    assert_eq!(json["connections"]["https"], 2);
    let hour = json["hour"].as_array().unwrap();
    assert_eq!(hour.len(), MINUTES);
    assert_eq!((&hour[0]["minutes_ago"], &hour[0]["requests_per_second"]), (&59.into(), &Value::Null));
    assert_eq!(hour[58]["requests_per_second"]["udp_xsk"], 2.0);
    let day = json["day"].as_array().unwrap();
    assert_eq!((day.len(), &day[0]["quarters_ago"], &day[95]["quarters_ago"]), (96, &95.into(), &0.into()));
    assert_eq!(
        (&day[94]["requests_per_second"], &day[95]["requests_per_second"]["http"]),
        (&Value::Null, &4.0.into())
    );
    let forged =
        serde_json::json!({"at": "udp", "reason": "bad_connection_id", "per_second": 2.0, "total": 240});
    assert_eq!(json["refusals"][0], forged);
    let sizes = json["swarm_sizes"].as_array().unwrap();
    assert_eq!((&sizes[0]["at_most"], &sizes[18]["at_most"]), (&1.into(), &Value::Null));
    assert_eq!(
        (&json["clients"][1]["name"], &json["clients"][1]["announces"]),
        (&"Transmission".into(), &2_440.into())
    );
    assert_eq!(json["clients"][2]["name"], "other");
    assert_eq!(json["interfaces"][0]["name"], "<&\"'>");
    let mut without = names(&json);
    let comes_later = ["interfaces[]", "cluster.", "hour[].requests", "day[].requests"];
    without.retain(|name| !comes_later.iter().any(|later| name.starts_with(later)));
    let fresh: Value = serde_json::from_slice(&json::render(&fresh())).unwrap();
    assert_eq!(names(&fresh), without, "all names are there from the start");
}

/// The path of every value, as `docs/stats.md` writes it.
fn names(json: &Value) -> BTreeSet<String> {
    fn walk(value: &Value, path: &str, names: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                let dot = if path.is_empty() { "" } else { "." };
                members.iter().for_each(|(name, value)| walk(value, &format!("{path}{dot}{name}"), names));
            }
            Value::Array(values) => values.iter().for_each(|value| walk(value, &format!("{path}[]"), names)),
            Value::Null if path == "cluster" || path.ends_with("[].requests_per_second") => {}
            _ => {
                names.insert(path.to_owned());
            }
        }
    }
    let mut all = BTreeSet::new();
    walk(json, "", &mut all);
    all
}

#[test]
fn every_name_of_the_json_is_documented() {
    let document = include_str!("../../../docs/stats.md");
    let documented: BTreeSet<String> = document
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|line| Some(line.split_once('`')?.0))
        .flat_map(|name| match name.split_once('{') {
            Some((before, rest)) => {
                let (all, after) = rest.split_once('}').unwrap();
                all.split(',').map(|one| format!("{before}{one}{after}")).collect()
            }
            None => vec![name.to_owned()],
        })
        .collect();
    let json: Value = serde_json::from_slice(&json::render(&busy())).unwrap();
    assert_eq!(names(&json), documented);
}

fn sources() -> Arc<Sources> {
    Arc::new(Sources {
        engine: Arc::new(Engine::new(Policy::default(), [1, 2])),
        workers: vec![Arc::default(), Arc::default()],
        sockets: Vec::new(),
        xdp: Reports::default(),
        xdp_wanted: Vec::new(),
        http: Arc::new(Counters::new(1)),
        websocket: None,
        log: Arc::new(Lines::new(0)),
        swarms: Arc::default(),
        tls: None,
        clients: Arc::default(),
        before: Arc::default(),
        serving: Arc::new(Serving::new(Vec::new())),
        cluster: None,
    })
}

#[test]
fn requests_are_counted_by_path_action_and_family() {
    let sources = sources();
    let answered = |request| udp::Outcome::Reply { request, reply: Action::Error, len: 8, not_kept: None };
    for (worker, path) in [(0, Path::Xsk), (1, Path::Xsk), (1, Path::Socket)] {
        let path = sources.workers[worker].path(path);
        path.judged(Family::Ipv4, answered(Action::Announce));
        path.judged(Family::Ipv6, answered(Action::Connect));
        path.judged(Family::Ipv6, udp::Outcome::Drop(udp::DropReason::Malformed));
        path.received(Family::Ipv4, 98);
        path.sent(Family::Ipv6, Action::Connect, 16);
    }
    sources.http.answered(http::Action::Announce, Some(Family::Ipv6), http::Outcome::Ok);
    sources.http.answered(http::Action::Announce, Some(Family::Ipv6), http::Outcome::Failure);
    sources.http.answered(http::Action::Scrape, None, http::Outcome::Ok);
    // The page does not count those who look at it.
    sources.http.answered(http::Action::Stats, Some(Family::Ipv4), http::Outcome::Ok);
    let counts = reading::counts(&sources);
    for (series, count) in [
        (Series::UdpKernel, 0),
        (Series::UdpXsk, 4),
        (Series::UdpSocket, 2),
        (Series::Http, 3),
        (Series::Connect, 3),
        (Series::Announce, 5),
        (Series::Scrape, 1),
        (Series::Ipv4, 3),
        (Series::Ipv6, 5),
        (Series::Dropped, 3),
        (Series::Received, 294),
        (Series::Sent, 48),
    ] {
        assert_eq!(counts[series], count, "{series:?}");
    }
}

#[test]
fn what_is_shown_stays_for_a_second() {
    let stats = Stats::new(sources(), 1);
    let at = stats.started_ns;
    let first = stats.page_at(at);
    assert_eq!(stats.page_at(at + FRESH_NS - 1).as_ptr(), first.as_ptr());
    let json = stats.json_at(at + FRESH_NS - 1);
    let later = stats.json_at(at + FRESH_NS);
    assert!(later != json && stats.page_at(at + FRESH_NS) != first, "the time since the start has changed");
    assert_eq!(stats.json_at(at + 2 * FRESH_NS - 1).as_ptr(), later.as_ptr());
}

/// The parts of the page that an event tells of, and what is in them.
fn parts(event: &str) -> Vec<(&str, String)> {
    let mut parts = Vec::new();
    for one in event.split_terminator("\n\n") {
        let mut lines = one.lines().map(|line| line.strip_prefix("data: ").expect("a line of data"));
        let id = lines.next().expect("a name");
        parts.push((id, lines.collect::<Vec<_>>().join("\n")));
    }
    parts
}

#[test]
fn events_hold_the_parts_of_the_page_as_they_stand_in_it() {
    let view = busy();
    let html = page::render(&view);
    let (all, some) = (events::render(&view, 15), events::render(&view, 1));
    let (all, some) = (parts(&all), parts(&some));
    assert_eq!((all.len(), some.len()), (page::PARTS.len(), 8), "charts change less often");
    for (id, inside) in all.iter().chain(&some) {
        assert!(
            !inside.is_empty() && html.contains(&format!(" id=\"{id}\"")) && html.contains(inside),
            "{id}"
        );
        assert_well_formed(inside);
    }
}

#[test]
fn a_tick_is_made_once_for_all_who_follow() {
    let stats = Stats::new(sources(), 1);
    let at = stats.started_ns;
    let first = stats.event_at(7, at);
    assert_eq!(stats.event_at(7, at + 10 * FRESH_NS).as_ptr(), first.as_ptr());
    assert_ne!(stats.event_at(8, at + 10 * FRESH_NS), first);
}

#[tokio::test]
async fn who_follows_has_a_place_until_they_go() {
    let stats = Stats::new(sources(), 2);
    let mut first = stats.clone().follow().unwrap();
    let second = stats.clone().follow().unwrap();
    assert!(stats.clone().follow().is_none());
    assert_eq!(first.next().await.unwrap(), "retry: 2000\n\n");
    drop(second);
    assert!(stats.follow().is_some());
}

#[test]
fn every_reason_for_a_refusal_has_its_words() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _inside = runtime.enter();
    let mut sources = Arc::into_inner(sources()).unwrap();
    let websocket = Config::default().websocket;
    sources.websocket = Some(Hub::new(&websocket, 1, sources.engine.clone(), Clock::new(0), [1, 2], [3, 4]));
    refusals::assert_all_known(&sources);
}
