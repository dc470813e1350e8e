//! `riptide-load`: reads the command line and hands over to the library.

use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    tracker_load::command::run(&tracker_load::cli::Cli::parse())
}
