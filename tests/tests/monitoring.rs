//! The alert rules, their pages and the dashboard, against the metrics that a running tracker shows and against Prometheus'
//! own programs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{collections::BTreeSet, fs, time::UNIX_EPOCH};
use tests::{
    eventually,
    metrics::Metrics,
    monitoring::{
        dashboard::Dashboard,
        known::Known,
        prometheus::{Prometheus, promtool, with_variables},
        promql::{self, Asked},
        read_file,
        rules::{self, alerts},
    },
    nats::NatsServer,
    net::{Wire, workspace},
    riptide::{Riptide, Start},
    service::{self, native},
    udp::{Announce, id20},
    web::tls::Certificate,
};

/// Where the pages of alerts are in the source, and where the package has them.
const PAGES: &str = "docs/book/src/alerts";
const INSTALLED: &str = "file:///usr/share/doc/riptide/book/alerts/";
/// The list of metrics.
const LIST: &str = "docs/book/src/metrics.md";

/// A tracker that serves everything but XDP, as a node of a cluster.
fn tracker() -> (Riptide, NatsServer) {
    let (certificate, nats) = (Certificate::new(), NatsServer::start());
    let tls = format!("[tls]\nlisten = [\"127.0.0.1:0\"]\n{}", certificate.keys());
    let cluster = format!("[cluster]\nservers = [\"{}\"]\nnode = \"a\"\ndrain_delay = \"0s\"\n", nats.url());
    let start = Start::new(None).arguments("--udp 127.0.0.1:0").http("listen = [\"127.0.0.1:0\"]");
    (start.config(&tls).config(&cluster).ready(), nats)
}

/// An expression with the place where it stands, and the labels that are told of each of its series.
struct Use {
    place: String,
    asked: Asked,
    told: Vec<String>,
}

impl Use {
    /// Whether it asks for what is there with XDP alone.
    fn is_of_xdp(&self) -> bool {
        let is = |metric: &str| metric.starts_with("riptide_xdp_") || metric.starts_with("riptide_xsk_");
        self.asked.selectors.iter().any(|selector| is(&selector.metric))
    }
}

fn uses() -> Vec<Use> {
    let of_alerts = alerts().into_iter().map(|alert| Use {
        place: alert.name,
        asked: promql::read(&alert.expression),
        told: alert.labels,
    });
    let of_dashboard = Dashboard::read().queries().into_iter().map(|(place, query)| Use {
        place,
        asked: promql::read(&query.expression),
        told: query.legend,
    });
    of_alerts.chain(of_dashboard).collect()
}

/// Checks those expressions against what a tracker shows.
fn check(metrics: &Metrics, of_xdp: bool, least: usize) {
    let mut known = Known::of(metrics);
    if of_xdp {
        // What one machine has is one of several.
        known.add("riptide_xdp_info", "mode", &["native", "generic"]);
        known.add("riptide_xdp_info", "bind", &["zerocopy", "copy", "none"]);
    }
    let uses: Vec<_> = uses().into_iter().filter(|it| it.is_of_xdp() == of_xdp).collect();
    assert!(uses.len() >= least, "{} expressions only", uses.len());
    let problems: Vec<String> = uses
        .iter()
        .flat_map(|it| {
            let strange = known.strange_labels(&it.asked, &it.told);
            let all = known.problems(&it.asked).into_iter().chain(strange);
            all.map(|problem| format!("{}: {problem}", it.place)).collect::<Vec<_>>()
        })
        .collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn whatever_is_asked_for_is_there() {
    let (riptide, _nats) = tracker();
    check(&riptide.metrics(), false, 80);
    in_the_handbook(&riptide.metrics());
    riptide.stop();
}

/// Each metric that a tracker shows is in the handbook's list.
fn in_the_handbook(metrics: &Metrics) {
    let list = read_file(LIST);
    let parts = ["_bucket", "_sum", "_count"];
    let whole = |name: &str| parts.iter().find_map(|part| name.strip_suffix(part)).unwrap_or(name).to_owned();
    let shown: BTreeSet<String> = metrics.samples.iter().map(|sample| whole(&sample.name)).collect();
    let missing: Vec<_> = shown.iter().filter(|name| !list.contains(&format!("`{name}`"))).collect();
    assert!(shown.len() > 30 && missing.is_empty(), "{LIST} lacks {missing:?}");
}

#[test]
fn root_whatever_is_asked_for_of_xdp_is_there() {
    let wire = Wire::new();
    let riptide = native(&wire, "--udp 0.0.0.0:6969");
    service::client(&wire, "10.77.0.1:6969").announce(&Announce::leecher(id20("monitoring", 0), 1));
    let metrics = riptide.metrics();
    check(&metrics, true, 12);
    in_the_handbook(&metrics);
    assert_eq!(metrics.sum("riptide_xdp_wanted", &[("interface", "t0")]), 1.0);
    riptide.stop();
}

/// The alert about XDP that is wanted and not there sees it, whatever the reason: here the interface is missing.
#[test]
fn xdp_that_is_not_to_be_had_is_wanted_all_the_same() {
    let riptide = Start::new(None).arguments("--udp 127.0.0.1:0 --interface nosuch0 --xdp auto").ready();
    let metrics = riptide.metrics();
    assert_eq!(metrics.sum("riptide_xdp_wanted", &[("interface", "nosuch0")]), 1.0);
    assert_eq!(metrics.sum("riptide_xdp_info", &[]), 0.0);
    riptide.stop();
    let riptide = Start::new(None).arguments("--udp 127.0.0.1:0 --interface nosuch0 --xdp off").ready();
    assert_eq!(riptide.metrics().sum("riptide_xdp_wanted", &[]), 0.0);
    riptide.stop();
}

#[test]
fn limits_are_told_beside_what_they_limit() {
    let seconds = || UNIX_EPOCH.elapsed().expect("a time after 1970").as_secs_f64();
    let before = seconds();
    let riptide = Start::new(None)
        .arguments("--udp 127.0.0.1:0")
        .config("[limits]\npeers = 12345\n[swarm]\ninterval = \"20m\"\nmax_interval = \"50m\"\n")
        .ready();
    let metrics = riptide.metrics();
    for (name, expected) in [
        ("riptide_peers_limit", 12_345.0),
        ("riptide_announce_interval_seconds", 1_200.0),
        ("riptide_announce_interval_base_seconds", 1_200.0),
        ("riptide_announce_interval_limit_seconds", 3_000.0),
    ] {
        assert_eq!(metrics.sum(name, &[]), expected, "{name}");
    }
    let started = metrics.sum("process_start_time_seconds", &[]);
    // The system tells its own start in whole seconds.
    assert!((before - 2.0..seconds() + 2.0).contains(&started), "{started}, and the test began at {before}");
    let (resident, limit) =
        (metrics.sum("process_resident_memory_bytes", &[]), metrics.sum("riptide_memory_limit_bytes", &[]));
    assert!(resident > 1e6 && limit > resident, "{resident} of {limit}");
    let own = tests::process::resident(&riptide);
    assert!((own as f64 / resident - 1.0).abs() < 0.5, "the kernel says {own}, the tracker {resident}");
    riptide.stop();
}

#[test]
fn every_alert_has_a_page_and_every_page_an_alert() {
    let alerts = alerts();
    let names: BTreeSet<String> = alerts.iter().map(|alert| alert.name.clone()).collect();
    assert_eq!(names.len(), alerts.len(), "a name twice");
    let pages = fs::read_dir(workspace().join(PAGES)).expect("the pages").flatten();
    let pages: BTreeSet<String> = pages
        .filter_map(|entry| Some(entry.file_name().to_string_lossy().strip_suffix(".md")?.to_owned()))
        .filter(|name| name != "index")
        .collect();
    assert_eq!(pages, names, "pages, and alerts");
    let index = read_file(format!("{PAGES}/index.md"));
    for alert in &alerts {
        let name = &alert.name;
        assert_eq!(alert.runbook_url, format!("{INSTALLED}{name}.html"));
        assert_eq!(alert.annotations, ["summary", "description", "runbook_url"], "{name}");
        assert!(["critical", "warning"].contains(&alert.severity.as_str()), "{name}: {:?}", alert.severity);
        let page = read_file(format!("{PAGES}/{name}.md"));
        assert!(
            page.starts_with(&format!("# {name}\n\nSeverity: {}.\n", alert.severity)),
            "{name}: its head"
        );
        for section in ["What clients notice", "Look first", "What to do", "Another threshold"] {
            assert!(page.contains(&format!("\n## {section}\n")), "{name} has no {section:?}");
        }
        let row = format!("\n| [{name}]({name}.md) | {} | ", alert.severity);
        assert!(index.contains(&row), "{name} is not in the list");
    }
}

#[test]
fn every_alert_fires_when_it_should_and_only_then() {
    for arguments in [["check", "rules", "riptide.rules.yml"], ["test", "rules", "riptide.rules.test.yml"]] {
        let (content, said) = promtool(&arguments);
        assert!(content, "promtool {}:\n{said}", arguments.join(" "));
    }
    let cases: BTreeSet<(String, bool)> = rules::cases().into_iter().collect();
    let wanted: BTreeSet<(String, bool)> = alerts()
        .into_iter()
        .flat_map(|alert| [true, false].map(|fires| (alert.name.clone(), fires)))
        .collect();
    assert_eq!(cases, wanted, "cases that are tried, and that should be: an alert, and whether it fires");
}

#[test]
fn the_dashboard_is_laid_out() {
    let dashboard = Dashboard::read();
    let panels: Vec<_> = dashboard.panels().collect();
    let ids: BTreeSet<u64> = panels.iter().map(tests::monitoring::dashboard::Panel::id).collect();
    assert_eq!(ids.len(), panels.len(), "a number twice");
    assert!(panels.first().is_some_and(|first| first.title() == "Are we serving?"), "the first question");
    for (number, panel) in panels.iter().enumerate() {
        let (name, place) = (panel.name(), panel.place());
        assert!(!panel.title().is_empty(), "{name} has no title");
        assert!(place.width > 0 && place.height > 0 && place.x + place.width <= 24, "{name}: {place:?}");
        for other in &panels[number + 1..] {
            assert!(!place.overlaps(&other.place()), "{name} lies over {}", other.name());
        }
        if !panel.is_row() {
            assert!(panel.description().len() > 20, "{name} says nothing of itself");
            assert!(!panel.unit().is_empty(), "{name} has no unit");
            assert!(!panel.queries().is_empty(), "{name} asks for nothing");
        }
    }
    let variables = dashboard.variables();
    assert_eq!(variables, ["datasource", "instance"]);
    for (place, query) in dashboard.queries() {
        assert_eq!(query.source, "${datasource}", "{place}");
        assert!(query.expression.contains("$instance"), "{place} shows trackers that were not chosen");
    }
}

/// Prometheus itself asks a tracker: no expression is wrong in a way that reading does not tell, panels show something,
/// and no alert is about to fire.
#[test]
fn prometheus_finds_a_healthy_tracker() {
    let (riptide, _nats) = tracker();
    let prometheus = Prometheus::beside(riptide.metrics_address());
    eventually("some scrapes", || {
        let scrapes = prometheus.query("count_over_time(riptide_build_info[10s]) >= 4").expect("an answer");
        (!scrapes.is_empty()).then_some(())
    });
    let ask = |place: &str, expression: &str| {
        let answer = prometheus.query(&with_variables(expression));
        answer.unwrap_or_else(|error| panic!("{place}: {expression}: {error}"))
    };
    for (place, query) in Dashboard::read().queries() {
        let series = ask(&place, &query.expression);
        let is_of_xdp =
            query.expression.contains("riptide_xdp_") || query.expression.contains("riptide_xsk_");
        // Some show only what has happened.
        let may_be_empty = is_of_xdp || query.expression.contains("> 0");
        assert!(may_be_empty || !series.is_empty(), "{place} shows nothing: {}", query.expression);
    }
    for alert in alerts() {
        assert_eq!(ask(&alert.name, &alert.expression), Vec::<serde_json::Value>::new(), "{}", alert.name);
    }
    riptide.stop();
}
