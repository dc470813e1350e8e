//! What an operator looks at: the page, the same as JSON, and the history of a day behind them.
//!
//! Everything comes from counters that exist anyway. A sample is taken every ten seconds; whoever asks for the page or
//! the JSON gets the numbers of that moment, made at most once a second. Those who follow the page get what changes, made
//! once for all of them.

mod chart;
mod events;
mod history;
mod json;
mod page;
mod reading;
mod reasons;
mod refusals;
mod text;

pub use json::Present;

use crate::{clock::monotonic_ns, html, http::Statistics, metrics::Sources};
use axum::{body::Bytes, http::HeaderValue};
use events::Ticks;
use futures_util::stream::BoxStream;
use history::{Course, History, Of};
use reading::{Interface, Reading};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::Semaphore, time::MissedTickBehavior};

#[cfg(test)]
mod tests;

/// From sample to sample.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(10);
/// How old a reading may be that is shown.
const FRESH_NS: u64 = 1_000_000_000;
const SECOND_NS: u64 = 1_000_000_000;

/// The page, its events and the JSON.
#[derive(Debug)]
pub struct Stats {
    sources: Arc<Sources>,
    started_ns: u64,
    shown: Mutex<Shown>,
    policy: HeaderValue,
    ticks: Ticks,
    /// A place for each who may follow.
    places: Arc<Semaphore>,
}

#[derive(Debug)]
struct Shown {
    history: History,
    view: View,
    at_ns: u64,
    page: Option<Bytes>,
    json: Option<Bytes>,
    /// Of the tick with this number.
    event: Option<(u64, Bytes)>,
}

/// Everything that is shown, as of one moment.
#[derive(Clone, Debug)]
struct View {
    version: &'static str,
    commit: &'static str,
    /// Seconds since the start.
    uptime: u64,
    reading: Reading,
    /// Per second, now.
    rates: Of<f64>,
    /// The last hour by minutes.
    hour: Course,
    /// The last day by quarters of an hour.
    day: Course,
}

impl View {
    fn new(reading: Reading, history: &History, started_ns: u64, at_ns: u64) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            commit: env!("RIPTIDE_COMMIT"),
            uptime: at_ns.saturating_sub(started_ns) / SECOND_NS,
            rates: history.rates(at_ns, &reading.counts),
            hour: history.hour(at_ns),
            day: history.day(at_ns),
            reading,
        }
    }
}

impl Stats {
    /// The history begins here; [`Stats::sample`] continues it. At most `max_streams` may follow at a time.
    #[must_use]
    pub fn new(sources: Arc<Sources>, max_streams: usize) -> Arc<Self> {
        let at_ns = monotonic_ns();
        let reading = Reading::take(&sources);
        let history = History::new(at_ns, &reading.counts);
        let view = View::new(reading, &history, at_ns, at_ns);
        let shown = Mutex::new(Shown { history, view, at_ns, page: None, json: None, event: None });
        Arc::new(Self {
            sources,
            started_ns: at_ns,
            shown,
            policy: html::policy(page::STYLE, page::SCRIPT),
            ticks: Ticks::new(),
            places: Arc::new(Semaphore::new(max_streams.min(Semaphore::MAX_PERMITS))),
        })
    }

    /// Takes a sample every ten seconds, for as long as the runtime lives.
    pub async fn sample(self: Arc<Self>) {
        let mut tick = tokio::time::interval(SAMPLE_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let counts = reading::counts(&self.sources);
            self.shown().history.record(monotonic_ns(), &counts);
        }
    }

    fn page_at(&self, now_ns: u64) -> Bytes {
        let mut shown = self.fresh(now_ns);
        let Shown { page, view, .. } = &mut *shown;
        page.get_or_insert_with(|| page::render(view).into()).clone()
    }

    fn json_at(&self, now_ns: u64) -> Bytes {
        let mut shown = self.fresh(now_ns);
        let Shown { json, view, .. } = &mut *shown;
        json.get_or_insert_with(|| json::render(view).into()).clone()
    }

    /// What has changed by the tick with this number, the same for all who ask for it.
    fn event_at(&self, tick: u64, now_ns: u64) -> Bytes {
        let mut shown = self.fresh(now_ns);
        if let Some((_, event)) = shown.event.as_ref().filter(|(made, _)| *made == tick) {
            return event.clone();
        }
        let event = Bytes::from(events::render(&shown.view, tick));
        shown.event = Some((tick, event.clone()));
        event
    }

    /// What is shown, read again if it has been shown for a second.
    fn fresh(&self, now_ns: u64) -> MutexGuard<'_, Shown> {
        let mut shown = self.shown();
        if now_ns.saturating_sub(shown.at_ns) >= FRESH_NS {
            shown.view = View::new(Reading::take(&self.sources), &shown.history, self.started_ns, now_ns);
            shown.at_ns = now_ns;
            shown.page = None;
            shown.json = None;
        }
        shown
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Statistics for Stats {
    /// Follows its events, or asks to be loaded again every ten seconds.
    fn page(&self) -> Bytes {
        self.page_at(monotonic_ns())
    }

    fn policy(&self) -> HeaderValue {
        self.policy.clone()
    }

    /// Its names are told in `docs/stats.md`, and are stable.
    fn json(&self) -> Bytes {
        self.json_at(monotonic_ns())
    }
    /// An event every two seconds, at the same moments for all.
    fn follow(self: Arc<Self>) -> Option<BoxStream<'static, Bytes>> {
        let place = self.places.clone().try_acquire_owned().ok()?;
        let ticks = self.ticks;
        Some(events::follow(ticks, place, move |tick| self.event_at(tick, monotonic_ns())))
    }
}
