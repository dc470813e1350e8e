//! The declaration as text: the file of defaults and the reference.

use super::{keys, values::Apply};
use std::fmt::Write;

/// A complete, commented configuration file with every key at its default.
#[must_use]
pub fn default_file() -> String {
    let mut text = String::from(
        "# Riptide configuration. Every key is here at its default, so any line may be removed.\n\
         # A flag goes before the environment (RIPTIDE_<TABLE>__<KEY>), that before this file.\n",
    );
    for table in keys::tables() {
        text.push('\n');
        comment(&mut text, table.doc);
        let _ = writeln!(text, "[{}]", table.name);
        for key in table.keys {
            text.push('\n');
            comment(&mut text, key.doc);
            let _ = writeln!(text, "# {}.", capitalised(&key.accepts));
            let _ = writeln!(text, "{} = {}", key.name, key.default);
        }
    }
    text
}

/// The reference of all keys in Markdown, as `docs/configuration.md` holds it.
#[must_use]
pub fn reference() -> String {
    let mut text = String::from(INTRODUCTION);
    for table in keys::tables() {
        let name = table.name;
        let _ = write!(text, "\n## `[{name}]`\n\n{}\n", paragraph(table.doc));
        for key in &table.keys {
            let variable = table.variable(key.name);
            let _ = write!(
                text,
                "\n### `{name}.{}`\n\n{}\n\n- Accepts: {}.\n- Default: `{}`\n- Environment: `{variable}`\n- A change takes effect at {}.\n",
                key.name,
                paragraph(key.doc),
                key.accepts,
                key.default,
                moment(key.apply),
            );
        }
    }
    text
}

const INTRODUCTION: &str = "\
# Configuration

<!-- Written from the declaration in tracker-user/src/config/keys.rs; a test compares. To write it anew:
     WRITE_REFERENCE=1 cargo test -p tracker-user --lib config -->

`riptide config default` prints a complete file with every key at its default; `riptide config check FILE` names
everything that is wrong with one. A flag goes before the environment, the environment before the file, the file
before the default. Without `--config` no file is read.

- An unknown key is an error. An unknown environment variable that begins with `RIPTIDE_` is a warning.
- Durations are strings with a unit: `ms`, `s`, `m`, `h`, `d`. Sizes are too: `B`, `KiB`, `MiB`, `GiB`.
- In the environment, a list is written with commas between its parts, or as a TOML array.
- A flag given for a list (`--udp`, `--http`, `--https`, `--interface`) replaces the whole list.
- SIGHUP reads everything again. If anything is wrong, all stays as it was and the log says why; of the changed keys
  that need a restart, the log names each. The files of the certificate are read again too.
";

fn comment(text: &mut String, lines: &[&str]) {
    for line in lines {
        let _ = writeln!(text, "#{line}");
    }
}

/// When a change takes effect, in words.
pub(super) const fn moment(apply: Apply) -> &'static str {
    match apply {
        Apply::Reload => "SIGHUP",
        Apply::Restart => "the next start",
    }
}

/// The lines of a declaration's documentation as text.
pub(super) fn paragraph(lines: &[&str]) -> String {
    lines.iter().map(|l| l.trim()).collect::<Vec<_>>().join("\n")
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|c| c.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
