//! Programs that take turns: A B A B, so that whatever else the machine does meets all. Each rests while others work. What
//! fails ends the program that it fails of; an error is an interruption.

use crate::bench::{
    aims::Aim,
    figures::amount,
    lab::Lab,
    load::{Figures, remarks, shown, undisturbed},
    program::Program,
    result::{Row, Shown},
};
use anyhow::Result;

/// A figure of a round.
pub(crate) type Of = fn(&Figures) -> Option<f64>;

/// A program with what is around it, or why it does not take part, and what it showed.
#[derive(Debug)]
pub(crate) struct Contender<P> {
    /// Its name in reports.
    pub(crate) name: String,
    /// It serves, or why not.
    pub(crate) serves: Result<P, String>,
    /// What it showed under loads of these names, round by round.
    rounds: Vec<(String, Vec<Figures>)>,
    /// Resident memory once it was full, bytes.
    pub(crate) resident: Option<f64>,
}

impl<P: AsMut<Program>> Contender<P> {
    /// Starts a program, and does what is to be done before its first turn; what fails is told here and now.
    pub(crate) fn start(lab: &Lab, name: &str, start: impl FnOnce() -> Result<(P, String)>) -> Result<Self> {
        let serves = lab.step(&format!("{name} starts"), || {
            let (mut serves, said) = start()?;
            // Its memory is told as it is now, unless it grows in its turns.
            let resident = serves.as_mut().resident()?;
            serves.as_mut().pause();
            Ok(((serves, resident), said))
        })?;
        let resident = serves.as_ref().ok().map(|(_, resident)| *resident);
        let serves = serves.map(|(serves, _)| serves);
        Ok(Self { serves, resident, ..Self::absent(name, String::new()) })
    }

    /// One that does not take part.
    pub(crate) fn absent(name: &str, why: String) -> Self {
        Self { name: name.to_owned(), serves: Err(why), rounds: Vec::new(), resident: None }
    }

    /// Does something with it while it has its processor. What fails here ends it for good.
    pub(crate) fn turn(
        &mut self,
        lab: &Lab,
        what: &str,
        work: impl FnOnce(&mut P) -> Result<String>,
    ) -> Result<()> {
        let Ok(serves) = &mut self.serves else { return Ok(()) };
        let done = lab.step(&format!("{what}, {}", self.name), || {
            serves.as_mut().resume(lab)?;
            let said = work(serves)?;
            serves.as_mut().pause();
            Ok(((), said))
        })?;
        if let Err(why) = done {
            self.serves = Err(why);
        }
        Ok(())
    }

    /// One round of a load, which `run` puts on it.
    pub(crate) fn round(
        &mut self,
        lab: &Lab,
        load: &str,
        mut run: impl FnMut(&mut P) -> Result<Figures>,
    ) -> Result<()> {
        let (round, mut taken) = (self.under(load).len() + 1, None);
        self.turn(lab, &format!("{load}, round {round}"), |serves| {
            let figures = undisturbed(|| run(serves))?;
            let rate = amount(Some(figures.answered_per_second), "/s");
            let cost = amount(figures.cpu_seconds_per_million, "CPU s");
            let p99 = amount(figures.latency_seconds.get("p99").copied(), "s");
            taken = Some(figures);
            Ok(format!("{rate}, {cost} per million, p99 {p99}"))
        })?;
        match self.rounds.iter_mut().find(|(of, _)| of == load) {
            Some((_, rounds)) => rounds.extend(taken),
            None => self.rounds.push((load.to_owned(), taken.into_iter().collect())),
        }
        Ok(())
    }

    /// Its rounds of a load.
    pub(crate) fn under(&self, load: &str) -> &[Figures] {
        self.rounds.iter().find(|(of, _)| of == load).map_or(&[], |(_, rounds)| rounds)
    }

    /// A figure of each of its rounds of a load.
    pub(crate) fn figures(&self, load: &str, of: Of) -> Vec<f64> {
        self.under(load).iter().filter_map(of).collect()
    }

    /// What it showed under a load.
    pub(crate) fn shown(&self, load: &str) -> Option<Shown> {
        let rounds = self.under(load);
        let shown = || Shown { resident_bytes: self.resident, ..shown(&self.name, load, rounds) };
        (!rounds.is_empty()).then(shown)
    }
}

/// The row of two that had the same turns, with what stands beside its figure.
pub(crate) fn row<P: AsMut<Program>>(
    aim: &Aim,
    load: &str,
    [ours, theirs]: [&Contender<P>; 2],
    of: Of,
) -> Row {
    let mut row = Row::of(aim).compare(&ours.figures(load, of), &theirs.figures(load, of));
    for side in [ours, theirs] {
        row = row.note(remarks(&side.name, side.under(load)));
        row = row.note(side.serves.as_ref().err().map_or("", String::as_str));
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::aims;

    fn contender(name: &str, costs: &[f64]) -> Contender<Program> {
        let figures = |cost: &f64| Figures { cpu_seconds_per_million: Some(*cost), ..Figures::default() };
        let rounds = vec![("mix".to_owned(), costs.iter().map(figures).collect())];
        Contender { rounds, ..Contender::absent(name, format!("{name} ended")) }
    }

    #[test]
    fn rounds_of_the_same_load_are_compared() {
        let (ours, theirs) = (contender("we", &[2.0, 3.0, 4.0]), contender("they", &[8.0, 6.0, 8.0]));
        let cost: Of = |figures| figures.cpu_seconds_per_million;
        let row = |load, of| row(&aims::CONNECT, load, [&ours, &theirs], of);
        let mix = row("mix", cost);
        assert_eq!(
            (mix.ours, mix.theirs, mix.note.as_str()),
            (Some(3.0), Some(8.0), "we 0/s; we ended; they 0/s; they ended")
        );
        assert_eq!(mix.rounds, [0.25, 0.5, 0.5]);
        assert_eq!(row("mix", Figures::per_busy_second).theirs, Some(125_000.0));
        assert_eq!(row("another", cost).ratio, None);
        assert!(ours.shown("mix").is_some() && ours.shown("another").is_none());
    }
}
