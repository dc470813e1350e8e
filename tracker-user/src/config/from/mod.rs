//! `riptide config from`: other trackers' configuration files, turned into a `riptide.toml` that does the same.
//!
//! What a key means is taken from the other program's source. A key that decides what clients see is carried over even
//! where only that program's own default says it; others, such as numbers of threads, where the file has them.

mod aquatic;
mod error;
mod opentracker;
mod paths;
mod sheet;

pub use aquatic::Program;
pub use error::FromError;
pub use sheet::Converted;

use sheet::Sheet;
use std::path::Path;

/// Whose file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracker {
    /// A TOML file of one of the programs of aquatic; `None`: its keys tell which.
    Aquatic(Option<Program>),
    /// A file of opentracker, a setting a line.
    Opentracker,
}

/// Turns another tracker's file into Riptide's.
///
/// # Errors
/// If it cannot be read, is longer than a configuration may be (1 MiB), is not that tracker's, or asks for what no
/// configuration of Riptide can be.
pub fn convert(tracker: Tracker, path: &Path) -> Result<Converted, FromError> {
    let unreadable = |reason| FromError::Unreadable { path: path.to_owned(), reason };
    let bytes = super::bounded_bytes(path).map_err(unreadable)?;
    let directory = paths::directory_of(path);
    let mut sheet = Sheet::default();
    let program = match tracker {
        Tracker::Opentracker => {
            // Comments are in whatever encoding their author had.
            opentracker::convert(path, &String::from_utf8_lossy(&bytes), &directory, &mut sheet)?;
            "opentracker"
        }
        Tracker::Aquatic(program) => {
            let text = String::from_utf8(bytes).map_err(|e| {
                unreadable(format!("it is not UTF-8 at byte {}", e.utf8_error().valid_up_to()))
            })?;
            aquatic::convert(path, &text, program, &directory, &mut sheet)?.name()
        }
    };
    sheet.finish(program, path)
}

#[cfg(test)]
mod tests;
