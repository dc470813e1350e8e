//! `riptide`: reads the command line and hands over to the library.

use clap::Parser as _;
use std::{process::ExitCode, time::Duration};
use tracker_user::{
    check,
    cli::{Cli, Command, RunArgs},
    config::{Config, process_environment},
    control, doctor,
    exit::{Exit, survive_file_limits},
    logging,
    material::Material,
    probe,
    server::Server,
    top,
};

/// How long the end of a run waits for its last log lines to be written.
const LAST_WORDS: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    survive_file_limits();
    let exit = match Cli::parse().command {
        Command::Run(args) => run(args),
        Command::Config(command) => check::run(&command),
        Command::Doctor(args) => doctor::run(&args),
        Command::Probe(args) => probe::run(&args),
        Command::Control(args) => control::client::run(&args),
        Command::Top(args) => top::run(&args),
    };
    exit.into()
}

fn run(args: RunArgs) -> Exit {
    let mut loaded = Config::load(&args, &process_environment());
    let warnings = std::mem::take(&mut loaded.warnings);
    let (config, material) = match Material::complete(loaded) {
        Ok(complete) => complete,
        Err(errors) => return errors.0.iter().fold(Exit::Usage, |exit, error| exit.because(error)),
    };
    let log = match logging::start(&config.log) {
        Ok(log) => log,
        Err(error) => return Exit::Usage.because(&error),
    };
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    for warning in &material.warnings {
        tracing::warn!("{warning}");
    }
    let exit = match Server::start(config, material, args, log.clone()) {
        Err(error) => Exit::Failed.because_in(&log, &error),
        Ok(server) => {
            server.announce_ready();
            match server.run() {
                Ok(()) => Exit::Clean,
                Err(error) => Exit::Failed.because_in(&log, &error),
            }
        }
    };
    log.finish(LAST_WORDS);
    exit
}
