//! Why a file cannot be turned into Riptide's.

use crate::config::ConfigErrors;
use std::path::PathBuf;

/// Why a file cannot be turned into Riptide's.
#[derive(Debug, thiserror::Error)]
pub enum FromError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why, in the system's words.
        reason: String,
    },
    /// The file is no TOML.
    #[error("{}:{line}: not valid TOML: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong, in the parser's words.
        reason: String,
    },
    /// Nothing in the file is a setting of that tracker.
    #[error("{}: no configuration of {program}: {reason}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Whose it should be.
        program: &'static str,
        /// What speaks against it, and what to do.
        reason: String,
    },
    /// The settings fit several programs, whose defaults differ.
    #[error("{}: these keys fit {programs} alike: say by --program whose file it is", path.display())]
    Ambiguous {
        /// The file.
        path: PathBuf,
        /// Those that they fit.
        programs: String,
    },
    /// What the file asks for, as a whole, is refused.
    #[error("{}: Riptide cannot be configured like this: {errors}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// What `riptide config check` would say of the result.
        errors: ConfigErrors,
    },
}
