//! Writes what packages ship and the program's own code tells: man pages and completions for shells. `cargo xtask package` calls
//! it; nothing of it is in the program.
//!
//! ```text
//! cargo run --example generate -- DIRECTORY
//! ```

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use std::{error::Error, fs, path::Path};
use tracker_user::{cli::Cli, config};

/// What follows the sections that the command line tells.
const MORE: &str = r".SH FILES
.TP
\fI/etc/riptide/riptide.toml\fR
The configuration of the tracker that the packages' unit starts; see
.BR riptide.toml (5).
.TP
\fI/var/lib/riptide\fR
What outlives a restart: swarms, keys of connection IDs, decisions of control.
.TP
\fI/run/riptide/control.sock\fR
Where
.B riptide control
finds the running tracker.
.SH SEE ALSO
.BR riptide.toml (5),
.BR riptide\-run (1),
.BR riptide\-config (1),
.BR riptide\-doctor (1),
.BR riptide\-control (1)
";

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args_os().nth(1).ok_or("name a directory to write to")?;
    let (man, completions) = (Path::new(&directory).join("man"), Path::new(&directory).join("completions"));
    for directory in [&man, &completions] {
        fs::create_dir_all(directory)?;
    }
    let mut command = Cli::command().disable_help_subcommand(true);
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut command.clone(), "riptide", &completions)?;
    }
    command.build();
    pages(&command, &man)?;
    let about_the_file = config::manual(env!("CARGO_PKG_VERSION"));
    fs::write(man.join("riptide.toml.5"), about_the_file)?;
    Ok(())
}

/// A page for a command, and one for each below it.
fn pages(command: &Command, directory: &Path) -> Result<(), Box<dyn Error>> {
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        pages(below, directory)?;
    }
    let source = format!("Riptide {}", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone()).source(source).manual("Riptide");
    let name = man.get_filename();
    let mut page = Vec::new();
    man.render(&mut page)?;
    if name == "riptide.1" {
        page.extend_from_slice(MORE.as_bytes());
    }
    fs::write(directory.join(name), page)?;
    Ok(())
}
