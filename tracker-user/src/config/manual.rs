//! The declaration as a man page, riptide.toml(5).

use super::{
    document::{moment, paragraph},
    keys,
    table::Table,
};
use std::fmt::Write;

/// The man page of the configuration file, in roff, for this version of the program.
#[must_use]
pub fn manual(version: &str) -> String {
    let mut page = format!(".TH riptide.toml 5 \"\" \"Riptide {}\" \"Riptide\"\n", escaped(version));
    page.push_str(BEFORE);
    for Table { name, doc, keys } in keys::tables() {
        let _ = write!(page, ".SH [{name}]\n{}\n", prose(&paragraph(doc)));
        for key in keys {
            let _ = write!(
                page,
                ".TP\n.B \"{} = {}\"\n{}\n.IP\nAccepts: {}.\n.IP\nA change takes effect at {}.\n",
                escaped(key.name),
                quoted(key.default),
                prose(&paragraph(key.doc)),
                prose(&key.accepts),
                moment(key.apply),
            );
        }
    }
    page.push_str(AFTER);
    page
}

const BEFORE: &str = r#".SH NAME
riptide.toml \- configuration of the Riptide BitTorrent tracker
.SH SYNOPSIS
.I /etc/riptide/riptide.toml
.SH DESCRIPTION
.B riptide config default
prints a complete file with every key at its default;
.B "riptide config check \fIFILE\fB"
names everything that is wrong with one. A flag goes before the environment, the environment before the file, the
file before the default.
.PP
An unknown key is an error. Durations are strings with a unit: ms, s, m, h, d. Sizes are too: B, KiB, MiB, GiB.
.SH ENVIRONMENT
.TP
.BI RIPTIDE_ TABLE __ KEY
Goes before the file, as RIPTIDE_SWARM__PEER_TIMEOUT. A list is written with commas between its parts, or as a TOML
array.
"#;

const AFTER: &str = r".SH SIGNALS
SIGHUP reads everything again. If anything is wrong, all stays as it was and the log says why; of the changed keys that need a
restart, the log names each.
.SH SEE ALSO
.BR riptide (1),
.BR riptide\-config (1),
.BR riptide\-control (1)
";

/// Text that roff takes as it is, with what stands between backticks in bold.
fn prose(text: &str) -> String {
    let mut bold = false;
    let mut page = String::with_capacity(text.len());
    for (number, line) in text.lines().enumerate() {
        if number > 0 {
            page.push('\n');
        }
        // A request to roff begins with one of these.
        if line.starts_with(['.', '\'']) {
            page.push_str("\\&");
        }
        for (number, part) in line.split('`').enumerate() {
            if number > 0 {
                bold = !bold;
                page.push_str(if bold { "\\fB" } else { "\\fR" });
            }
            page.push_str(&escaped(part));
        }
    }
    page
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-")
}

/// Text inside the quotation marks of a request.
fn quoted(text: &str) -> String {
    escaped(text).replace('"', "\\(dq")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_no_request_to_roff() {
        assert_eq!(prose(".conf\n'a' b-c \\"), "\\&.conf\n\\&'a' b\\-c \\e");
        assert_eq!(prose("see `a.b`, and `c"), "see \\fBa.b\\fR, and \\fBc");
        assert_eq!(quoted(r#"["a-b"]"#), r"[\(dqa\-b\(dq]");
    }

    #[test]
    fn every_key_is_there_and_every_line_of_its_own_kind() {
        let page = manual("1.2.3");
        for table in keys::tables() {
            assert!(page.contains(&format!("\n.SH [{}]\n", table.name)));
            for key in table.keys {
                assert!(
                    page.contains(&format!("\n.TP\n.B \"{} = ", key.name)),
                    "{}.{}",
                    table.name,
                    key.name
                );
            }
        }
        for line in page.lines().filter(|line| line.starts_with(['.', '\''])) {
            let request = line.split(' ').next().unwrap_or_default();
            assert!(
                [".TH", ".SH", ".TP", ".IP", ".PP", ".B", ".I", ".BI", ".BR"].contains(&request),
                "{line}"
            );
        }
    }
}
