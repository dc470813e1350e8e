//! The configurations of aquatic: a TOML file for each of its programs, `aquatic_udp`, `aquatic_http` and `aquatic_ws`.
//!
//! What a key means, and what holds without it, is read from the `config.rs` of each, after version 0.9.0; the keys that
//! 0.9.0 has for addresses are known too. Keys of features that are chosen when aquatic is built are taken for meant.

mod given;
mod known;
mod listeners;
mod programs;
mod shared;

pub use known::Program;

use super::{
    error::FromError,
    sheet::{Sheet, shown},
};
use crate::config::layers::nearest;
use given::{Given, Keys};
use std::path::Path;

/// Gathers what a file of aquatic says and tells whose it is: `program`'s, else that of the one whose keys it has.
/// `directory` is where the file is.
///
/// # Errors
/// If it is no TOML, has no key of aquatic, or its keys are those of several programs.
pub(super) fn convert(
    path: &Path,
    text: &str,
    program: Option<Program>,
    directory: &Path,
    sheet: &mut Sheet,
) -> Result<Program, FromError> {
    let given = given::read(text).map_err(|(line, reason)| FromError::Syntax {
        path: path.to_owned(),
        line,
        reason,
    })?;
    let program = recognise(path, &given, program)?;
    for Given { name, line, .. } in &given {
        sheet.count();
        match program.key(name) {
            None => sheet.misread(*line, || unknown(program, name)),
            Some(key) => {
                if let Some(why) = key.why_not {
                    sheet.leave_out(key.name, why);
                }
            }
        }
    }
    programs::write(program, &mut Keys::new(&given, directory, sheet));
    Ok(program)
}

/// Whose file this is: of the program that knows most of its keys.
fn recognise(path: &Path, given: &[Given], program: Option<Program>) -> Result<Program, FromError> {
    let known = |program: Program| given.iter().filter(|it| program.key(&it.name).is_some()).count();
    let candidates = program.map_or_else(|| Program::ALL.to_vec(), |program| vec![program]);
    let most = candidates.iter().map(|program| known(*program)).max().unwrap_or_default();
    // An empty file is any program's that is named.
    if most == 0 && (program.is_none() || !given.is_empty()) {
        let reason = match given.first() {
            None => "it is empty".to_owned(),
            Some(first) => {
                format!("no key is one of its; line {} is about {}", first.line, shown(&first.name))
            }
        };
        let program = program.map_or("aquatic", Program::name);
        return Err(FromError::Foreign { path: path.to_owned(), program, reason });
    }
    let best: Vec<Program> = candidates.into_iter().filter(|program| known(*program) == most).collect();
    match best[..] {
        [program] => Ok(program),
        _ => {
            let names: Vec<&str> = best.iter().map(|program| program.name()).collect();
            Err(FromError::Ambiguous { path: path.to_owned(), programs: names.join(" and ") })
        }
    }
}

fn unknown(program: Program, name: &str) -> String {
    let hint = match Program::ALL.into_iter().find(|other| other.key(name).is_some()) {
        Some(other) => format!("; it is one of {}", other.name()),
        None => match nearest(name, program.keys().map(|key| key.name)) {
            Some(near) => format!("; did you mean {near}?"),
            None => String::new(),
        },
    };
    format!("{} has no key {}{hint}", program.name(), shown(name))
}

/// The names of all keys.
#[cfg(test)]
pub(super) fn keys() -> Vec<&'static str> {
    Program::ALL.into_iter().flat_map(Program::keys).map(|key| key.name).collect()
}
