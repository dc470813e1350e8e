//! Latency while very many peers expire, beside latency when none does.

use super::{
    Figure,
    field::{self, Outcome},
};
use crate::bench::{
    Lab, aims,
    load::{Pace, Population, Udp, Window, watch},
    progress::Plan,
    report::{Detail, Report, median},
    rig::Namespace,
    table,
    tracker::{METRICS, Purpose, Tracker},
};
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

/// Those that all fall due together.
const OLD: Population = Population { torrents: 500_000, peers: 1_000_000, seed: 2 };
/// Those that go on announcing, each several times before it is forgotten.
const YOUNG: Population = Population { torrents: 50_000, peers: 100_000, seed: 1 };
/// When a peer is forgotten: after a while in which latency is measured without expiry.
const TIMEOUT: Duration = Duration::from_secs(20);
/// The figures' windows, and how often peers are counted.
const WINDOW: Duration = Duration::from_secs(1);
/// So many peers less than before are an expiry; those that only come and go are fewer.
const FEW: f64 = 2_000.0;

/// Time that a round of expiry takes: as it does by itself, or in the quick bench, less.
fn sweep(lab: &Lab) -> Duration {
    lab.choose(Duration::from_secs(15), crate::bench::tracker::SWEEP)
}

/// How long the load lasts: until all have expired, and a little longer.
fn duration(lab: &Lab) -> Duration {
    TIMEOUT + sweep(lab) + Duration::from_secs(10)
}

/// What is ahead.
pub(crate) fn plan(lab: &Lab) -> Plan {
    Plan::steps(1, duration(lab).as_secs() + 10)
}

/// Adds the row. The load is half of what the usual population was served with.
pub(crate) fn measure(lab: &Lab, usual: Result<&Outcome, String>, report: &mut Report) -> Result<()> {
    let step = lab.progress.begin(&format!("p99.9 while {} peers expire", table::grouped(OLD.peers as f64)));
    let row = aims::EXPIRY.row();
    let served = usual.ok().and_then(Outcome::served).unwrap_or(Tracker::Native.fill());
    let seen = match expire(lab, served / 2.0) {
        Ok(seen) => seen,
        Err(error) => {
            drop(step);
            let reason = lab.failed("p99.9 while peers expire", error)?;
            report.rows.push(row.note(reason));
            return Ok(());
        }
    };
    let (calm, expiring) = split(&seen.windows, &seen.fallen);
    let (quiet, busy) = (median(calm.iter().copied()), median(expiring.iter().copied()));
    step.end(&format!("{} beside {} without", table::amount(busy, "s"), table::amount(quiet, "s")));
    let mut row = row.note(format!(
        "medians of {} windows of a second in which peers expired and {} in which none did, at half of the served rate; \
         a round of expiry takes {} s",
        expiring.len(),
        calm.len(),
        sweep(lab).as_secs()
    ));
    (row.ours, row.theirs) = (busy, quiet);
    report.rows.push(row);
    report.details.push(Detail {
        program: Tracker::Native.name().to_owned(),
        figure: "p99.9 while peers expire".to_owned(),
        values: json!({
            "load": served / 2.0,
            "p999_expiring": expiring,
            "p999_calm": calm,
            "peers": seen.peers,
            "unanswered_share": seen.unanswered_share,
        }),
    });
    Ok(())
}

struct Seen {
    windows: Vec<Window>,
    /// Peers that went between the beginning and the end of each window.
    fallen: Vec<f64>,
    /// Peers, each time that they were counted.
    peers: Vec<f64>,
    unanswered_share: f64,
}

fn expire(lab: &Lab, rate: f64) -> Result<Seen> {
    let purpose = Purpose { peer_timeout: TIMEOUT, sweep: sweep(lab), ..Purpose::of(OLD) };
    let (running, share, _) = field::start(lab, Tracker::Native, &purpose)?;
    if share < 0.9 {
        bail!("only {:.0} % of the peers that are to expire got in", share * 100.0);
    }
    let load = Udp {
        mix: Figure::Mix.shares(),
        pace: Pace::Rate(rate),
        duration: duration(lab),
        warmup: Duration::from_secs(1),
        fill: None,
        windows: Some(WINDOW),
        population: YOUNG,
    };
    let begun = Instant::now();
    let mut counts: Vec<(Duration, f64)> = Vec::new();
    let figures = watch(lab, running.load(lab, &load), load.deadline(), WINDOW / 4, || {
        counts.push((begun.elapsed(), peers(&running.rig.tracker)?));
        Ok(())
    })?;
    // It ends with the last window, but for a moment in which it waits for late replies.
    let end = begun.elapsed().saturating_sub(AFTER);
    let fallen = fallen(&counts, &figures.windows, end);
    let peers = counts.into_iter().map(|(_, peers)| peers).collect();
    Ok(Seen { windows: figures.windows, fallen, peers, unanswered_share: figures.unanswered_share })
}

/// From a load's last window to its end.
const AFTER: Duration = Duration::from_millis(150);

/// Peers that went in each window, half a window before and after included, since it is not known to the moment when
/// windows begin.
fn fallen(counts: &[(Duration, f64)], windows: &[Window], end: Duration) -> Vec<f64> {
    let at = |time: f64| {
        let before = counts.iter().take_while(|(when, _)| when.as_secs_f64() <= time).last();
        before.or(counts.first()).map_or(0.0, |(_, peers)| *peers)
    };
    let length = WINDOW.as_secs_f64();
    let first = end.as_secs_f64() - windows.len() as f64 * length;
    (0..windows.len())
        .map(|number| {
            let begin = first + number as f64 * length;
            at(begin - length / 2.0) - at(begin + length * 1.5)
        })
        .collect()
}

/// p99.9 of the windows in which no peer went, and of those in which many went.
fn split(windows: &[Window], fallen: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let of = |expiring: bool| {
        let chosen = windows.iter().zip(fallen).filter(|(_, fallen)| (**fallen > FEW) == expiring);
        chosen.filter_map(|(window, _)| window.p999).collect()
    };
    (of(false), of(true))
}

/// How many peers Riptide has.
pub(crate) fn peers(namespace: &Namespace) -> Result<f64> {
    let text = namespace.inside(|| -> std::io::Result<String> {
        const PATIENCE: Option<Duration> = Some(Duration::from_secs(5));
        let mut stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, METRICS)))?;
        stream.set_read_timeout(PATIENCE)?;
        stream.set_write_timeout(PATIENCE)?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    })?;
    sum(&text.context("cannot read Riptide's metrics")?, "riptide_peers")
        .context("Riptide's metrics have no peers")
}

/// The sum of a metric over its labels.
fn sum(metrics: &str, name: &str) -> Option<f64> {
    let values = metrics.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        rest.starts_with('{').then(|| rest.rsplit(' ').next()?.parse::<f64>().ok()).flatten()
    });
    values.fold(None, |sum: Option<f64>, value| Some(sum.unwrap_or_default() + value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_summed_over_its_labels() {
        let text = "# TYPE riptide_peers gauge\nriptide_peers{family=\"ipv4\",role=\"seeder\"} 5\n\
                    riptide_peers{family=\"ipv4\",role=\"leecher\"} 1.5e3\nriptide_peers_other{a=\"b\"} 9\n";
        assert_eq!(sum(text, "riptide_peers"), Some(1_505.0));
        assert_eq!(sum("", "riptide_peers"), None);
    }

    #[test]
    fn windows_are_told_apart_by_who_went() {
        let window = |p999| Window { p999: Some(p999), ..Window::default() };
        let windows: Vec<_> = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0].map(window).to_vec();
        // The windows begin at 2 s; between 5 s and 6 s half of the peers go.
        let counts: Vec<_> = (0..40)
            .map(|quarter| {
                let time = f64::from(quarter) / 4.0;
                (Duration::from_secs_f64(time), 1e6 - 5e5 * (time - 5.0).clamp(0.0, 1.0))
            })
            .collect();
        let fallen = fallen(&counts, &windows, Duration::from_secs(8));
        let (calm, expiring) = split(&windows, &fallen);
        assert_eq!(expiring, [3.0, 4.0, 5.0], "and those around, whose moment is not exact");
        assert_eq!(calm, [1.0, 2.0, 6.0]);
    }
}
