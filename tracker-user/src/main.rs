//! `riptide`: reads the command line and hands over to the library.

use clap::Parser as _;
use std::process::ExitCode;
use tracker_user::{
    cli::{Cli, Command, RunArgs},
    config::{self, Config, process_environment},
    doctor,
    exit::Exit,
    logging,
    server::Server,
};

fn main() -> ExitCode {
    let exit = match Cli::parse().command {
        Command::Run(args) => run(args),
        Command::Config(command) => config::command::run(&command),
        Command::Doctor(args) => doctor::run(&args),
    };
    exit.into()
}

fn run(args: RunArgs) -> Exit {
    let (config, warnings) = match Config::load(&args, &process_environment()) {
        Ok(loaded) => loaded,
        Err(errors) => return errors.0.iter().fold(Exit::Usage, |exit, error| exit.because(error)),
    };
    if let Err(error) = logging::start(&config.log) {
        return Exit::Usage.because(&error);
    }
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let server = match Server::start(config, args) {
        Ok(server) => server,
        Err(error) => return Exit::Failed.because(&error),
    };
    server.announce_ready();
    match server.run() {
        Ok(()) => Exit::Clean,
        Err(error) => Exit::Failed.because(&error),
    }
}
