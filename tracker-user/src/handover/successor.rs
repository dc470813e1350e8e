//! Starts the program that is now installed where this process's was, so that it takes over.

use std::{
    ffi::OsString,
    io,
    os::unix::ffi::OsStringExt as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

/// What the kernel says behind the path of a program that was replaced.
const DELETED: &[u8] = b" (deleted)";
/// Has the new process take over.
const FLAG: &str = "--take-over";

/// How this process was started, remembered from its beginning.
#[derive(Clone, Debug)]
pub struct Successor {
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl Successor {
    /// Of this process.
    ///
    /// # Errors
    /// When the kernel does not tell the path of the program.
    pub fn of_this_process() -> io::Result<Self> {
        Ok(Self::new(std::env::current_exe()?, std::env::args_os().skip(1)))
    }

    fn new(program: PathBuf, arguments: impl Iterator<Item = OsString>) -> Self {
        let bytes = program.into_os_string().into_vec();
        let program = OsString::from_vec(bytes.strip_suffix(DELETED).unwrap_or(&bytes).to_vec()).into();
        let mut arguments: Vec<OsString> = arguments.collect();
        if !arguments.iter().any(|argument| argument == FLAG) {
            arguments.push(FLAG.into());
        }
        Self { program, arguments }
    }

    /// Starts it. It writes where this process writes.
    ///
    /// # Errors
    /// When there is no such program, or it may not be run.
    pub fn start(&self) -> io::Result<Child> {
        let started = Command::new(&self.program).args(&self.arguments).stdin(Stdio::null()).spawn();
        started.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", self.program.display())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn a_program_that_was_replaced_is_the_one_that_is_there_now() {
        let new = Successor::new("/usr/bin/riptide (deleted)".into(), words("run --workers 2").into_iter());
        assert_eq!(new.program, PathBuf::from("/usr/bin/riptide"));
        assert_eq!(new.arguments, words("run --workers 2 --take-over"));
        let again = Successor::new(new.program, new.arguments.into_iter());
        assert_eq!(again.arguments, words("run --workers 2 --take-over"));
    }

    #[test]
    fn one_that_is_not_there_is_told() {
        let error = Successor::new("/none/such".into(), std::iter::empty()).start().unwrap_err();
        assert!(error.to_string().starts_with("/none/such: "), "{error}");
    }
}
