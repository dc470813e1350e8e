//! Command lines of `riptide` in documents, held against the binary.

use tests::{markdown::Block, riptide::command};

/// Nobody listens there, so a verb that is understood fails without doing anything.
const NOWHERE: &str = "/nonexistent/control.sock";

/// The lines that a block has somebody type, those that go on behind a backslash as one.
pub(crate) fn of_block(block: &Block) -> Vec<String> {
    let text = block.text.replace("\\\n", " ");
    let typed = |line: &str| match block.language.as_str() {
        "console" => line.strip_prefix("$ ").map(str::to_owned),
        _ => Some(line.to_owned()),
    };
    text.lines().filter_map(typed).collect()
}

/// The commands of a shell's line that are `riptide`, whatever they are run by and wherever it is.
pub(crate) fn of_line(line: &str) -> Vec<String> {
    let line = line.split(" #").next().unwrap_or_default();
    let mut found = Vec::new();
    for part in line.split(['|', ';', '>', '&']) {
        let part = part.trim().trim_end_matches('\\').trim();
        let words: Vec<_> =
            part.split_whitespace().skip_while(|word| *word == "sudo" || word.contains('=')).collect();
        let Some((program, arguments)) = words.split_first() else { continue };
        let name = program.rsplit('/').next().unwrap_or_default();
        // The program by itself, or a file of its directory, is no command.
        if name == "riptide" && !arguments.is_empty() {
            found.push(format!("riptide {}", arguments.join(" ")));
        }
    }
    found
}

/// What is wrong with a command, if the binary does not understand it. One that is not whole, as `riptide control ban` in
/// a sentence, may lack something at its end.
pub(crate) fn problem(line: &str, is_whole: bool) -> Option<String> {
    let mut arguments: Vec<&str> = line.split(' ').skip(1).collect();
    // Help comes only where all before it is understood. A verb is asked for in earnest, since then what is missing tells.
    let good = match arguments.as_slice() {
        ["control", _, ..] if is_whole && !arguments.contains(&"--socket") => {
            arguments.splice(1..1, ["--socket", NOWHERE]);
            1
        }
        _ => {
            arguments.push("--help");
            0
        }
    };
    let output = command(&arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    let why = format!("exit status {:?}: {}", output.status.code(), said.trim());
    (output.status.code() != Some(good)).then_some(why)
}

#[test]
fn commands_are_found_in_lines() {
    for (line, expected) in [
        ("sudo target/release/riptide run --interface IF", &["riptide run --interface IF"][..]),
        ("riptide config default | sudo tee /etc/riptide/riptide.toml", &["riptide config default"]),
        ("A=b riptide doctor && riptide control status # now", &["riptide doctor", "riptide control status"]),
        ("ban add\\|remove", &[]),
        ("riptide control ban add\\|remove|list NETWORK", &["riptide control ban add"]),
        ("install target/release/riptide /usr/bin/riptide", &[]),
        ("riptide", &[]),
    ] {
        assert_eq!(of_line(line), expected, "{line}");
    }
}

#[test]
fn what_the_binary_does_not_understand_is_told() {
    for line in ["riptide run --interface eth0", "riptide config check FILE", "riptide control deny add HASH"]
    {
        assert_eq!(problem(line, true), None, "{line}");
    }
    for line in [
        "riptide dance",
        "riptide run --turbo",
        "riptide run --xdp fast",
        "riptide doctor eth0",
        "riptide control dance",
    ] {
        assert!(problem(line, true).is_some() && problem(line, false).is_some(), "{line}");
    }
    let part = "riptide control deny add";
    assert!(problem(part, true).is_some() && problem(part, false).is_none());
}
