//! `riptide config default` and `riptide config check FILE`.

use super::{Config, default_file};
use crate::{
    cli::ConfigCommand,
    exit::{Exit, print},
};

/// Does what the command asks and says how it ended: wrong configuration is [`Exit::Usage`].
#[must_use]
pub fn run(command: &ConfigCommand) -> Exit {
    match command {
        ConfigCommand::Default => print(&default_file()),
        ConfigCommand::Check { file } => match Config::check_file(file) {
            Ok(_) => print(&format!("{}: no errors\n", file.display())),
            Err(errors) => errors.0.iter().fold(Exit::Usage, |exit, error| exit.because(error)),
        },
    }
}
