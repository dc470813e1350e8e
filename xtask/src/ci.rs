//! `cargo xtask ci`: the checks that a change must pass, in order, each with its time and the command to repeat it.

use crate::{
    aarch64, apt, book, build_ebpf, circles,
    machine::{self, Done},
    pins, process, say, test,
};
use anyhow::{Context, Result, bail};
use std::{
    process::Command,
    time::{Duration, Instant},
};

/// What `ci` takes.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Run only this step; may be given several times
    #[arg(long, value_name = "STEP", value_parser = STEPS.iter().map(|step| step.name).collect::<Vec<_>>())]
    only: Vec<String>,
}

/// One check.
struct Step {
    name: &'static str,
    /// What a person types to repeat it; this is also what runs, unless `run` is something else.
    line: &'static str,
    run: fn(&str) -> Result<Done>,
}

const STEPS: &[Step] = &[
    Step { name: "format", line: "cargo fmt --all --check", run: run_line },
    Step { name: "fuzz-format", line: "cargo fmt --manifest-path fuzz/Cargo.toml --check", run: run_line },
    Step { name: "lints", line: "cargo clippy --locked --all-targets -- -D warnings", run: run_line },
    Step { name: "circles", line: "cargo xtask ci --only circles", run: |_| ran(circles::run()) },
    Step { name: "docs", line: "RUSTDOCFLAGS=-Dwarnings cargo doc --locked --no-deps", run: run_line },
    Step { name: "book", line: "cargo xtask book", run: |_| ran(book::run().map(drop)) },
    Step {
        name: "dependencies",
        line: "cargo deny --locked check bans licenses sources",
        run: dependency_policy,
    },
    Step {
        name: "ebpf",
        line: "cargo xtask build-ebpf",
        run: |_| ran(build_ebpf::run(&build_ebpf::Arguments::default())),
    },
    Step { name: "tests", line: "cargo xtask test", run: |_| ran(test::run()) },
    Step { name: "aarch64", line: "cargo xtask ci --only aarch64", run: |_| aarch64::run() },
    Step {
        name: "fuzz",
        line: "cargo +nightly fuzz run TARGET -- -max_total_time=20 -rss_limit_mb=2048",
        run: fuzz_smoke,
    },
];

/// Runs the steps in order and stops at the first that fails.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let wanted =
        |step: &&Step| arguments.only.is_empty() || arguments.only.iter().any(|name| name == step.name);
    let steps: Vec<&Step> = STEPS.iter().filter(wanted).collect();
    let start = Instant::now();
    let (mut times, mut skipped) = (Vec::new(), Vec::new());
    for (number, step) in steps.iter().enumerate() {
        say::heading(&format!("{}/{} {}: {}", number + 1, steps.len(), step.name, step.line));
        let begin = Instant::now();
        let done = (step.run)(step.line);
        times.push((step.name, begin.elapsed()));
        match done {
            Ok(Done::Ran) => say::step(&format!("{} took {}", step.name, say::duration(begin.elapsed()))),
            Ok(Done::Skipped(why)) => skipped.push(format!("{}: {why}", step.name)),
            Err(error) => {
                table(&times, start.elapsed());
                return Err(
                    error.context(format!("step `{}` failed; to repeat it: {}", step.name, step.line))
                );
            }
        }
    }
    table(&times, start.elapsed());
    if !skipped.is_empty() {
        say::heading(&format!("{} of {} steps skipped", skipped.len(), steps.len()));
        skipped.iter().for_each(|step| say::detail(step));
    }
    Ok(())
}

fn ran(result: Result<()>) -> Result<Done> {
    result.map(|()| Done::Ran)
}

fn table(times: &[(&str, Duration)], total: Duration) {
    say::heading("time taken");
    for (name, time) in times.iter().chain(&[("total", total)]) {
        say::detail(&format!("{name:<20}{:>10}", say::duration(*time)));
    }
}

fn run_line(line: &str) -> Result<Done> {
    ran(process::run(&mut command(line)?))
}

/// The command of a line without quotes: variables, `cargo`, arguments.
fn command(line: &str) -> Result<Command> {
    let (variables, words) = split(line);
    let Some((&"cargo", arguments)) = words.split_first() else {
        bail!("`{line}` is not a cargo command");
    };
    let toolchain = arguments.first().is_some_and(|first| first.starts_with('+'));
    let mut command = if toolchain { process::cargo_of_rustup() } else { process::cargo() };
    command.args(arguments).envs(variables);
    Ok(command)
}

type Words<'a> = Vec<&'a str>;

/// Splits a line into the variables at its beginning and the words after them.
fn split(line: &str) -> (Vec<(&str, &str)>, Words<'_>) {
    let mut variables = Vec::new();
    let mut words = Vec::new();
    for word in line.split_whitespace() {
        match word.split_once('=') {
            Some(variable) if words.is_empty() => variables.push(variable),
            _ => words.push(word),
        }
    }
    (variables, words)
}

fn dependency_policy(line: &str) -> Result<Done> {
    pins::CARGO_DENY.ensure()?;
    run_line(line)?;
    say::step(
        "advisories are not checked here, as their database is not on crates.io: `cargo deny check advisories`",
    );
    Ok(Done::Ran)
}

fn fuzz_smoke(line: &str) -> Result<Done> {
    if machine::find_program("rustup").is_none()
        || process::probe(process::cargo_of_rustup().args(["+nightly", "--version"])).is_none()
    {
        bail!(
            "fuzzing needs the nightly toolchain: run `rustup toolchain install nightly --profile minimal`"
        );
    }
    apt::ensure(pins::FUZZ_PACKAGES, "the C++ compiler for libFuzzer")?;
    pins::CARGO_FUZZ.ensure()?;
    let targets = process::output(&mut command("cargo +nightly fuzz list")?)?;
    let targets: Words<'_> = targets.split_whitespace().collect();
    if targets.is_empty() {
        bail!("fuzz/ lists no targets");
    }
    for target in targets {
        say::step(&format!("fuzzing {target}"));
        run_line(&line.replace("TARGET", target)).with_context(|| {
            format!("fuzz target {target} failed; its input is in fuzz/artifacts/{target}/")
        })?;
    }
    Ok(Done::Ran)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_into_variables_and_words() {
        let (variables, words) = split("A=b C=-Dx cargo doc --config=x=y");
        assert_eq!(variables, [("A", "b"), ("C", "-Dx")]);
        assert_eq!(words, ["cargo", "doc", "--config=x=y"]);
    }

    #[test]
    fn every_line_is_a_command() {
        for step in STEPS {
            let command = command(step.line).unwrap();
            assert!(command.get_args().count() > 0, "{}", step.name);
        }
        assert!(command("make all").is_err());
    }

    #[test]
    fn a_toolchain_goes_through_rustup() {
        assert_eq!(command("cargo +nightly fuzz list").unwrap().get_program(), "cargo");
    }
}
