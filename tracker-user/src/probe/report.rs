//! What people read of a probe: a line for each step, and a last one that concludes.

use super::{
    finding::{Mark, Place, Step},
    shown::{count, measured},
};
use std::{env, fmt::Write, io::IsTerminal};

/// Where the text of a line begins: behind its mark, name and time.
const TEXT_COLUMN: usize = 32;

/// All that was found.
#[derive(Clone, Debug)]
pub(super) struct Report {
    /// The announce address.
    pub(super) url: String,
    /// The look-up of the host's name, where it is one.
    pub(super) name: Option<Step>,
    /// Where the tracker was asked.
    pub(super) places: Vec<Place>,
}

impl Report {
    /// The worst mark. What could be asked nowhere is wrong, though it may be this machine's fault.
    pub(super) fn worst(&self) -> Mark {
        let steps = self.name.iter().chain(self.places.iter().flat_map(|place| &place.steps));
        let worst = steps.map(Step::mark).max().unwrap_or(Mark::Ok);
        if self.was_asked() { worst } else { Mark::Wrong }
    }

    /// Whether the tracker could be asked at any address.
    pub(super) fn was_asked(&self) -> bool {
        self.places.iter().any(|place| !place.is_out_of_reach)
    }

    fn findings(&self, mark: Mark) -> usize {
        let steps = self.name.iter().chain(self.places.iter().flat_map(|place| &place.steps));
        steps.flat_map(|step| step.findings.iter()).filter(|finding| finding.mark == mark).count()
    }
}

/// Whether marks have colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Style {
    colours: bool,
}

impl Style {
    /// Colours on a terminal that has them, unless `NO_COLOR` says otherwise (<https://no-color.org>).
    pub(super) fn of_standard_output() -> Self {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty());
        let is_dumb = set("TERM").is_none_or(|terminal| terminal == "dumb");
        Self { colours: std::io::stdout().is_terminal() && set("NO_COLOR").is_none() && !is_dumb }
    }

    /// A mark in so many columns.
    fn mark(self, mark: Mark, columns: usize) -> String {
        let word = mark.word();
        let room = " ".repeat(columns.saturating_sub(word.len()));
        let colour = match mark {
            Mark::Ok => 32,
            Mark::Note => 33,
            Mark::Wrong => 31,
        };
        if self.colours { format!("\x1b[{colour}m{word}\x1b[0m{room}") } else { format!("{word}{room}") }
    }

    /// What stands first: what is asked, and at which addresses.
    pub(super) fn heading(self, report: &Report) -> String {
        let mut text = format!("{}\n", report.url);
        if let Some(step) = &report.name {
            self.line(&mut text, step);
        }
        text
    }

    /// The lines of one address.
    pub(super) fn place(self, place: &Place) -> String {
        let mut text = format!("\n{}\n", place.address);
        for step in &place.steps {
            self.line(&mut text, step);
        }
        text
    }

    fn line(self, text: &mut String, step: &Step) {
        let name = match step.client {
            Some(which) => format!("{} {}", step.name, which.number()),
            None => step.name.to_owned(),
        };
        let took = step.took.map(measured).unwrap_or_default();
        let mark = step.mark();
        let mut findings = step.findings.iter().peekable();
        let head = format!("  {}  {name:<12}{took:>9}", self.mark(mark, 5));
        let told = match findings.next_if(|finding| step.told.is_empty() && finding.mark == mark) {
            Some(finding) => finding.text.as_str(),
            None => &step.told,
        };
        // A string takes whatever is written.
        let _ = writeln!(text, "{}", format!("{head}  {told}").trim_end());
        for finding in findings {
            let _ = writeln!(text, "{:TEXT_COLUMN$}{}: {}", "", self.mark(finding.mark, 0), finding.text);
        }
    }

    /// What stands last.
    pub(super) fn conclusion(self, report: &Report) -> String {
        let worst = report.worst();
        let asked = report.places.len();
        let bad =
            report.places.iter().filter(|place| place.steps.iter().any(|step| step.mark() == Mark::Wrong));
        let (wrong, notes) = (report.findings(Mark::Wrong), report.findings(Mark::Note));
        let notes = if notes == 0 { String::new() } else { format!(", {}", count(notes, "note")) };
        let addresses = match asked {
            1 => "at 1 address".to_owned(),
            _ => format!("at {} of {asked} addresses", bad.count()),
        };
        let told = match worst {
            _ if asked == 0 => "the tracker could not be asked".to_owned(),
            _ if !report.was_asked() => {
                "no address of the tracker can be reached from this machine".to_owned()
            }
            Mark::Wrong => format!("{} wrong {addresses}{notes}", count(wrong, "thing")),
            Mark::Ok | Mark::Note => {
                let addresses =
                    if asked == 1 { String::new() } else { format!(" at all of {asked} addresses") };
                format!("two clients find each other{addresses}{notes}")
            }
        };
        format!("\n{}: {told}\n", self.mark(if worst == Mark::Note { Mark::Ok } else { worst }, 0))
    }
}

#[cfg(test)]
mod tests {
    use super::super::party::Which;
    use super::*;
    use std::time::Duration;

    const PLAIN: Style = Style { colours: false };

    fn report() -> Report {
        let steps = vec![
            Step::new("connect", Some(Which::First)).took(Duration::from_micros(11_312)),
            Step::new("announce", Some(Which::First))
                .took(Duration::from_micros(900))
                .told("1 seeder, 0 leechers")
                .note("odd"),
            Step::new("scrape", None).note("strange").wrong("no answer in 6 s"),
        ];
        let place =
            |address: &str, steps| Place { address: address.parse().unwrap(), steps, is_out_of_reach: false };
        Report {
            url: "udp://tracker.example:6969".to_owned(),
            name: Some(Step::new("name", None).took(Duration::from_millis(150)).told("2 addresses")),
            places: vec![place("192.0.2.1:6969", steps), place("[2001:db8::1]:6969", Vec::new())],
        }
    }

    #[test]
    fn steps_are_aligned_lines() {
        let report = report();
        assert_eq!(
            PLAIN.heading(&report),
            "udp://tracker.example:6969\n  ok     name           150 ms  2 addresses\n"
        );
        assert_eq!(
            PLAIN.place(&report.places[0]),
            "\n192.0.2.1:6969\n\
             \x20 ok     connect 1     11.3 ms\n\
             \x20 note   announce 1    0.90 ms  1 seeder, 0 leechers\n\
             \x20                               note: odd\n\
             \x20 wrong  scrape                 \n\
             \x20                               note: strange\n\
             \x20                               wrong: no answer in 6 s\n"
                .replace("scrape                 \n", "scrape\n")
        );
        assert!(PLAIN.place(&report.places[1]).starts_with("\n[2001:db8::1]:6969\n"));
        let coloured = Style { colours: true }.place(&report.places[0]);
        assert!(coloured.contains("\x1b[32mok\x1b[0m     connect 1     11.3 ms"), "{coloured:?}");
    }

    #[test]
    fn the_last_line_concludes() {
        let mut report = report();
        assert_eq!(PLAIN.conclusion(&report), "\nwrong: 1 thing wrong at 1 of 2 addresses, 2 notes\n");
        report.places[0].steps.pop();
        assert_eq!(
            PLAIN.conclusion(&report),
            "\nok: two clients find each other at all of 2 addresses, 1 note\n"
        );
        assert_eq!(report.worst(), Mark::Note);
        report.places.pop();
        report.places[0].steps.pop();
        assert_eq!(PLAIN.conclusion(&report), "\nok: two clients find each other\n");
        report.places[0].is_out_of_reach = true;
        assert!(PLAIN.conclusion(&report).starts_with("\nwrong: no address of the tracker can be reached"));
        report.places.clear();
        assert_eq!(PLAIN.conclusion(&report), "\nwrong: the tracker could not be asked\n");
    }
}
