//! What processes before this one counted: added to its own counters when metrics are read, so that they go on where
//! another process was taken over from.

use metrics::{
    Counter, CounterFn, Gauge, Histogram, Key, KeyName, Label, Metadata, Recorder, SharedString, Unit,
};
use parking_lot::Mutex;
use std::{
    cell::RefCell,
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// A counter by its name and labels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// Names and values of its labels.
    pub labels: Vec<(String, String)>,
}

impl From<&Key> for Series {
    fn from(key: &Key) -> Self {
        let pair = |label: &Label| (label.key().to_owned(), label.value().to_owned());
        Self { name: key.name().to_owned(), labels: key.labels().map(pair).collect() }
    }
}

/// How long things took: how many in each bucket, and seconds in all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Took {
    /// Not cumulative.
    pub buckets: Vec<u64>,
    /// In all.
    pub seconds: f64,
}

/// All that is counted, at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counted {
    /// Counters.
    pub counters: BTreeMap<Series, u64>,
    /// Durations of requests, by protocol and action.
    pub durations: BTreeMap<[String; 2], Took>,
}

impl Counted {
    /// Keeps of each counter the higher value: what is no more counted stays as it was.
    pub fn keep_higher(&mut self, other: Self) {
        for (series, value) in other.counters {
            let kept = self.counters.entry(series).or_default();
            *kept = value.max(*kept);
        }
        self.durations.extend(other.durations);
    }
}

/// What processes before this one counted, as far as they have told.
#[derive(Debug, Default)]
pub struct Before(Mutex<Arc<Counted>>);

impl Before {
    /// They have counted so much.
    pub fn set(&self, counted: Counted) {
        *self.0.lock() = Arc::new(counted);
    }

    pub(super) fn get(&self) -> Arc<Counted> {
        self.0.lock().clone()
    }
}

/// Records counters with what was counted before them, into another recorder.
pub(super) struct Adding<'a> {
    inner: &'a dyn Recorder,
    before: Arc<Counted>,
    sums: RefCell<BTreeMap<Series, Arc<AtomicU64>>>,
}

impl<'a> Adding<'a> {
    pub(super) fn new(inner: &'a dyn Recorder, before: Arc<Counted>) -> Self {
        Self { inner, before, sums: RefCell::default() }
    }

    /// Records what was counted before and is no more, and gives all.
    pub(super) fn end(self, metadata: &Metadata<'_>) -> BTreeMap<Series, u64> {
        let sums = self.sums.into_inner().into_iter();
        let mut all: BTreeMap<Series, u64> =
            sums.map(|(series, sum)| (series, sum.load(Ordering::Relaxed))).collect();
        for (series, value) in &self.before.counters {
            if !all.contains_key(series) {
                let labels = series.labels.iter().map(|(key, value)| Label::new(key.clone(), value.clone()));
                let key = Key::from_parts(series.name.clone(), labels.collect::<Vec<_>>());
                self.inner.register_counter(&key, metadata).absolute(*value);
                all.insert(series.clone(), *value);
            }
        }
        all
    }
}

impl Recorder for Adding<'_> {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.inner.describe_counter(key, unit, description);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.inner.describe_gauge(key, unit, description);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.inner.describe_histogram(key, unit, description);
    }

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        let inner = self.inner.register_counter(key, metadata);
        let series = Series::from(key);
        let before = self.before.counters.get(&series).copied().unwrap_or_default();
        let sum = self.sums.borrow_mut().entry(series).or_default().clone();
        Counter::from_arc(Arc::new(Sum { inner, before, sum }))
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        self.inner.register_gauge(key, metadata)
    }

    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> Histogram {
        self.inner.register_histogram(key, metadata)
    }
}

struct Sum {
    inner: Counter,
    before: u64,
    sum: Arc<AtomicU64>,
}

impl CounterFn for Sum {
    /// Counters are only ever set, since each is read as a whole.
    fn increment(&self, value: u64) {
        self.sum.fetch_add(value, Ordering::Relaxed);
        self.inner.increment(value);
    }

    fn absolute(&self, value: u64) {
        let sum = value.saturating_add(self.before);
        self.sum.fetch_max(sum, Ordering::Relaxed);
        self.inner.absolute(sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metrics::{Level, NoopRecorder, counter};

    const METADATA: Metadata<'static> = Metadata::new("test", Level::INFO, None);

    fn series(name: &str, labels: &[(&str, &str)]) -> Series {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Series { name: name.to_owned(), labels }
    }

    #[test]
    fn what_was_counted_before_is_added_and_nothing_is_forgotten() {
        let before = Counted {
            counters: BTreeMap::from([
                (series("a_total", &[("x", "1")]), 10),
                (series("gone_total", &[]), 3),
            ]),
            durations: BTreeMap::new(),
        };
        let adding = Adding::new(&NoopRecorder, Arc::new(before));
        metrics::with_local_recorder(&adding, || {
            counter!("a_total", "x" => "1").absolute(5);
            counter!("a_total", "x" => "2").absolute(7);
        });
        let expected = BTreeMap::from([
            (series("a_total", &[("x", "1")]), 15),
            (series("a_total", &[("x", "2")]), 7),
            (series("gone_total", &[]), 3),
        ]);
        assert_eq!(adding.end(&METADATA), expected);
    }

    #[test]
    fn what_is_no_more_counted_stays() {
        let counted = |a: u64, b: Option<u64>| Counted {
            counters: [("a", Some(a)), ("b", b)]
                .into_iter()
                .filter_map(|(name, value)| Some((series(name, &[]), value?)))
                .collect(),
            durations: BTreeMap::new(),
        };
        let mut kept = counted(5, Some(2));
        kept.keep_higher(counted(6, None));
        assert_eq!(kept, counted(6, Some(2)));
        kept.keep_higher(counted(1, Some(3)));
        assert_eq!(kept, counted(6, Some(3)));
    }
}
