//! Programs that answer as fast as they are asked, in turns: A B A B, so that whatever else the machine does meets all.

use crate::bench::{
    Lab,
    aims::Aim,
    load::{self, Figures},
    program::Program,
    report::{self, Detail, Latency, Performance, Row},
    rig::Namespace,
    table,
};
use anyhow::{Context, Error, Result, bail};
use std::{fs, path::PathBuf, time::Duration};

/// Below this share, a processor was waiting for something.
const BUSY: f64 = 0.95;

/// Of so many requests one may stay unanswered without a word.
const UNANSWERED: f64 = 0.005;

/// A program that listens may still be about to start threads, and some never serve if they are paused meanwhile.
const SETTLING: Duration = Duration::from_secs(1);

/// A load that is late by so much hangs: the last replies, and a slow start, are in it.
const LATE: Duration = Duration::from_secs(60);

/// What the connections of a load do, for all programs alike.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Load {
    /// Its name in reports.
    pub(crate) name: String,
    /// What is done to it: `http` or `ws` of `riptide-load`, then options, without the target.
    pub(crate) arguments: Vec<String>,
    /// Load before requests count.
    pub(crate) warmup: Duration,
    /// How long they count.
    pub(crate) duration: Duration,
    /// How often each program has its turn.
    pub(crate) rounds: usize,
}

impl Load {
    /// About how long one turn takes, seconds.
    pub(crate) fn seconds(&self) -> u64 {
        (self.warmup + self.duration).as_secs() + 2
    }

    /// One turn.
    pub(crate) fn run(&self, lab: &Lab, namespace: &Namespace, target: &str) -> Result<Figures> {
        let mut command = namespace.command(&[lab.cpus.load], &lab.binary("riptide-load"));
        command.args(&self.arguments).args(["--target", target]);
        command.args(["--warmup", &seconds(self.warmup), "--duration", &seconds(self.duration)]);
        command.args(["--watch-cpu", &lab.cpus.tracker.to_string()]);
        load::run(lab, command, self.warmup + self.duration + LATE)
    }
}

/// A time as `riptide-load` takes it.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{}ms", time.as_millis())
}

/// Writes a file that lives as long as the bench.
pub(crate) fn file(lab: &Lab, name: &str, text: &str) -> Result<PathBuf> {
    let path = lab.scratch().join(format!("{}-{name}", lab.number()));
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// A program that takes part, or why it does not.
#[derive(Debug)]
pub(crate) struct Contender {
    name: String,
    target: String,
    version: Option<String>,
    program: Option<Program>,
    /// Why there is none.
    missing: Option<String>,
    figures: Vec<Figures>,
    resident: Option<f64>,
}

impl Contender {
    /// A program that was started, or an error that is told here and now.
    ///
    /// # Errors
    /// The bench was interrupted.
    pub(crate) fn started(lab: &Lab, name: &str, target: &str, program: Result<Program>) -> Result<Self> {
        match program {
            Ok(program) => {
                lab.rest(SETTLING)?;
                program.pause();
                Ok(Self { program: Some(program), ..Self::new(name, target, None) })
            }
            Err(error) => Ok(Self::new(name, target, Some(lab.failed(name, error)?))),
        }
    }

    /// One that nobody asked for.
    pub(crate) fn absent(name: &str, why: String) -> Self {
        Self::new(name, "", Some(why))
    }

    fn new(name: &str, target: &str, missing: Option<String>) -> Self {
        Self {
            name: name.to_owned(),
            target: target.to_owned(),
            version: None,
            program: None,
            missing,
            figures: Vec::new(),
            resident: None,
        }
    }

    /// With the version that it tells.
    pub(crate) fn with_version(self, version: Option<String>) -> Self {
        Self { version, ..self }
    }

    /// Whether it takes part.
    pub(crate) fn is_there(&self) -> bool {
        self.program.is_some()
    }

    /// One turn of it alone. It rests before and after.
    ///
    /// # Errors
    /// It is not there, or the turn failed, or the bench was interrupted.
    pub(crate) fn turn(&mut self, lab: &Lab, namespace: &Namespace, load: &Load) -> Result<Figures> {
        let Some(program) = &mut self.program else {
            bail!("{}", self.missing.as_deref().unwrap_or("it does not run"));
        };
        program.resume(lab)?;
        let figures = load.run(lab, namespace, &self.target);
        // What the load says of a program that is gone is less than why it went.
        program.check()?;
        self.resident = Some(program.resident()?);
        program.pause();
        figures
    }

    /// It takes part no longer.
    ///
    /// # Errors
    /// The bench was interrupted: that is no reason.
    fn fail(&mut self, lab: &Lab, error: Error) -> Result<()> {
        self.program = None;
        self.missing = Some(lab.failed(&self.name, error)?);
        Ok(())
    }

    /// Responses a second, turn by turn.
    fn rates(&self) -> impl Iterator<Item = f64> {
        self.figures.iter().map(|figures| figures.answered_per_second)
    }

    /// How busy its processor was, from 0 to 1.
    fn busy(&self) -> Option<f64> {
        report::median(self.figures.iter().filter_map(Figures::busy))
    }

    /// What it showed.
    fn performance(&self) -> Performance {
        let middle =
            |figure: fn(&Figures) -> Option<f64>| report::median(self.figures.iter().filter_map(figure));
        let latency = middle(|figures| Some(figures.latency_seconds.p50))
            .zip(middle(|figures| Some(figures.latency_seconds.p99)))
            .zip(middle(|figures| Some(figures.latency_seconds.p999)))
            .map(|((p50, p99), p999)| Latency { p50, p99, p999 });
        Performance {
            served_rate: report::median(self.rates()),
            rounds: self.rates().collect(),
            cpu_seconds_per_million: middle(|figures| figures.cpu_seconds_per_million),
            latency_seconds: latency,
            resident_bytes: self.resident,
            version: self.version.clone(),
        }
    }

    /// What a reader must know of its replies.
    fn complaint(&self) -> Option<String> {
        let wrong: u64 = self.figures.iter().map(|figures| figures.wrong_in_all).sum();
        let lost = self.figures.iter().map(|figures| figures.unanswered_share).fold(0.0, f64::max);
        if wrong > 0 {
            return Some(format!("{}: {} wrong replies", self.name, table::grouped(wrong as f64)));
        }
        (lost > UNANSWERED).then(|| {
            format!("{}: {} % of a round's requests stayed unanswered", self.name, table::three(lost * 100.0))
        })
    }
}

/// Lets all that take part have their turns.
///
/// # Errors
/// The bench was interrupted.
pub(crate) fn take(
    lab: &Lab,
    namespace: &Namespace,
    load: &Load,
    contenders: &mut [&mut Contender],
) -> Result<()> {
    for round in 1..=load.rounds {
        for contender in &mut *contenders {
            if !contender.is_there() {
                lab.progress.skip(1);
                continue;
            }
            let step = lab.progress.begin(&format!("{}, {}, round {round}", load.name, contender.name));
            match contender.turn(lab, namespace, load) {
                Ok(figures) => {
                    step.end(&table::amount(Some(figures.answered_per_second), "/s"));
                    contender.figures.push(figures);
                }
                Err(error) => {
                    drop(step);
                    contender.fail(lab, error)?;
                }
            }
        }
    }
    Ok(())
}

/// The row of two that had the same turns.
pub(crate) fn row(aim: &Aim, ours: &Contender, theirs: &Contender) -> Row {
    let mut row = aim.row();
    for side in [ours, theirs] {
        if let Some(reason) = &side.missing {
            return row.note(reason);
        }
    }
    row = row.measured(&ours.rates().zip(theirs.rates()).collect::<Vec<_>>());
    for complaint in [ours, theirs].into_iter().filter_map(Contender::complaint) {
        row = row.note(complaint);
    }
    note_idle(row, (&ours.name, ours.busy()), (&theirs.name, theirs.busy()))
}

/// Says of a row whose core waited, with the names of both and how busy they kept it: then something else was the limit.
pub(crate) fn note_idle(row: Row, ours: (&str, Option<f64>), theirs: (&str, Option<f64>)) -> Row {
    match (ours, theirs) {
        ((our_name, Some(us)), (their_name, Some(them))) if us.min(them) < BUSY => row.note(format!(
            "busy shares of the core that serves: {our_name} {:.0} %, {their_name} {:.0} %",
            us * 100.0,
            them * 100.0
        )),
        _ => row,
    }
}

/// How many times as fast one was as the other.
pub(crate) fn ratio(ours: &Contender, theirs: &Contender) -> Option<f64> {
    Some(report::median(ours.rates())? / report::median(theirs.rates())?)
}

/// What each showed.
pub(crate) fn details(load: &Load, contenders: &[&Contender]) -> Result<Vec<Detail>> {
    let there = contenders.iter().filter(|contender| !contender.figures.is_empty());
    there.map(|one| Detail::performance(&one.name, &load.name, &one.performance())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::aims;

    fn contender(name: &str, rates: &[f64], busy: f64) -> Contender {
        let figures = rates.iter().map(|rate| Figures {
            seconds: 10.0,
            answered_per_second: *rate,
            cpu_seconds: Some(busy * 10.0),
            cpu_seconds_per_million: Some(2.0),
            latency_seconds: Latency { p50: 0.001, p99: 0.002, p999: 0.003 },
            ..Figures::default()
        });
        Contender { figures: figures.collect(), ..Contender::new(name, "", None) }
    }

    #[test]
    fn rounds_are_compared_one_by_one() {
        let row = row(
            &aims::HTTP_AQUATIC,
            &contender("Riptide", &[100.0, 120.0, 110.0], 1.0),
            &contender("other", &[10.0, 20.0, 11.0], 1.0),
        );
        assert_eq!((row.ours, row.theirs), (Some(110.0), Some(11.0)));
        assert_eq!(row.rounds, [10.0, 6.0, 10.0]);
        assert_eq!(row.note, "");
    }

    #[test]
    fn who_is_not_there_leaves_the_row_unmeasured() {
        let ours = contender("Riptide", &[100.0], 1.0);
        let theirs = Contender::absent("aquatic_http", "no --peer aquatic_http=PATH".into());
        let row = row(&aims::HTTP_AQUATIC, &ours, &theirs);
        assert_eq!((row.ratio(), row.note.as_str()), (None, "no --peer aquatic_http=PATH"));
    }

    #[test]
    fn a_core_that_waited_is_told() {
        let row =
            row(&aims::HTTP_AQUATIC, &contender("Riptide", &[9.0], 1.0), &contender("other", &[3.0], 0.424));
        assert_eq!(row.note, "busy shares of the core that serves: Riptide 100 %, other 42 %");
    }

    #[test]
    fn wrong_and_missing_replies_are_told() {
        let mut one = contender("one", &[1.0, 2.0], 1.0);
        assert_eq!(one.complaint(), None);
        one.figures[1].unanswered_share = 0.012;
        assert_eq!(one.complaint().unwrap(), "one: 1.20 % of a round's requests stayed unanswered");
        one.figures[0].wrong_in_all = 3;
        assert_eq!(one.complaint().unwrap(), "one: 3 wrong replies");
    }

    #[test]
    fn a_performance_has_medians() {
        let performance = contender("one", &[10.0, 30.0, 20.0], 0.5).performance();
        assert_eq!(performance.served_rate, Some(20.0));
        assert_eq!(performance.rounds, [10.0, 30.0, 20.0]);
        assert_eq!(performance.latency_seconds, Some(Latency { p50: 0.001, p99: 0.002, p999: 0.003 }));
        assert_eq!(contender("one", &[10.0], 0.5).busy(), Some(0.5));
        assert_eq!(contender("one", &[], 0.5).performance().latency_seconds, None);
    }

    #[test]
    fn who_did_nothing_has_no_ratio() {
        let (one, other) = (contender("one", &[30.0, 20.0, 10.0], 1.0), contender("other", &[40.0], 1.0));
        assert_eq!(ratio(&one, &other), Some(0.5));
        assert_eq!(ratio(&one, &contender("nobody", &[], 1.0)), None);
    }

    #[test]
    fn times_are_whole_milliseconds() {
        assert_eq!(seconds(Duration::from_millis(2_500)), "2500ms");
    }
}
