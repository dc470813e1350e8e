//! Riptide's build and test commands: `cargo xtask COMMAND`.
//!
//! Each command brings the tools it needs, says what it installs and why, and does nothing twice. Cargo never
//! runs through sudo: only package installs and the finished binary do, and only if the caller is not root.

mod aarch64;
mod apt;
mod bench;
mod book;
mod build_ebpf;
mod cargo_tool;
mod ci;
mod circles;
mod debian_root;
mod machine;
mod npm;
mod package;
mod pins;
mod process;
mod root;
mod run;
mod say;
mod screenshot;
mod test;
mod toolchain;
mod unpacked;
mod wheel;

use clap::Parser;
use std::process::ExitCode;

/// Riptide's build and test commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
enum Command {
    /// Build everything that is missing, then run `riptide run ARGS`
    Run(run::Arguments),
    /// Install the test tools that are missing, build, and run every test
    Test,
    /// Build the eBPF object from source and put it at target/bpf/riptide.bpf.o
    BuildEbpf(build_ebpf::Arguments),
    /// Take the README's pictures of the tracker's pages and of `riptide top`, from one that has something to show
    Screenshot(screenshot::Arguments),
    /// Make what is handed out, in target/package: .deb, .rpm, a tarball, man pages, completions, checksums
    Package(package::Arguments),
    /// Measure Riptide beside other trackers and ceilings: ratios with floors and goals, in target/bench
    Bench(bench::Arguments),
    /// Write the handbook's pages to target/book
    Book,
    /// What CI runs: format, lints, circles of files, docs, handbook, dependency policy, eBPF, tests, 64-bit ARM, fuzz smoke
    Ci(ci::Arguments),
}

fn main() -> ExitCode {
    let done = match Command::parse() {
        Command::Run(arguments) => run::run(&arguments),
        Command::Test => test::run(),
        Command::BuildEbpf(arguments) => build_ebpf::run(&arguments),
        Command::Screenshot(arguments) => screenshot::run(&arguments),
        Command::Package(arguments) => package::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Book => book::run().map(drop),
        Command::Ci(arguments) => ci::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say::error(&error);
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Command::command().debug_assert();
    }

    #[test]
    fn the_documented_lines_are_understood() {
        for line in [
            "xtask run",
            "xtask run -- --interface eth0",
            "xtask test",
            "xtask build-ebpf",
            "xtask build-ebpf --way debian",
            "xtask screenshot",
            "xtask screenshot --minutes 1",
            "xtask package",
            "xtask package --fast --binary /bin/sh --package-version 1.2.3 --output /tmp/packages",
            "xtask bench",
            "xtask bench --quick",
            "xtask bench udp http ws engine",
            "xtask bench udp --peer aquatic_udp=/bin/sh --peer aquatic_ws=/bin/sh --quick",
            "xtask bench udp --peer aquatic_udp=/bin/sh --peer aquatic_udp@0.9=/bin/cat",
            "xtask bench soak --minutes 5",
            "xtask book",
            "xtask ci",
            "xtask ci --only lints --only fuzz",
        ] {
            assert!(Command::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
        for line in [
            "xtask",
            "xtask bench tcp",
            "xtask bench --peer nothing=/bin/sh",
            "xtask bench --peer aquatic_udp=/nonexistent",
            "xtask bench soak --minutes 0",
            "xtask ci --only nothing",
            "xtask build-ebpf --way c",
        ] {
            assert!(Command::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
