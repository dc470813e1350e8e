mod aquatic;
mod opentracker;

use super::*;
use crate::config::Config;
use std::fmt::Write as _;

const AQUATIC: Tracker = Tracker::Aquatic(None);

fn named(program: Program) -> Tracker {
    Tracker::Aquatic(Some(program))
}

fn try_convert(tracker: Tracker, bytes: impl AsRef<[u8]>) -> Result<Converted, String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    std::fs::write(&path, bytes).unwrap();
    let told = |text: String| text.replace(&directory.path().display().to_string(), "DIR");
    match convert(tracker, &path) {
        Ok(it) => Ok(Converted {
            toml: told(it.toml),
            warnings: it.warnings.into_iter().map(told).collect(),
            summary: told(it.summary),
        }),
        Err(error) => Err(told(error.to_string())),
    }
}

fn converted(tracker: Tracker, text: &str) -> Converted {
    try_convert(tracker, text).unwrap()
}

/// What Riptide's own reader makes of the result.
fn config(tracker: Tracker, text: &str) -> Config {
    let toml = converted(tracker, text).toml;
    crate::config::read_text(Path::new("result"), &toml).whole().unwrap_or_else(|e| panic!("{e}\n{toml}")).0
}

fn udp(config: &Config) -> Vec<String> {
    config.udp.listen.addresses.iter().map(ToString::to_string).collect()
}

fn http(config: &Config) -> Vec<String> {
    config.http.listen.addresses.iter().map(ToString::to_string).collect()
}

#[test]
fn other_files_are_told_from_these() {
    for (tracker, text, told) in [
        (
            Tracker::Opentracker,
            "[network]\naddress = \"a\"\n",
            "no configuration of opentracker: no line is one of its",
        ),
        (AQUATIC, "", "no configuration of aquatic: it is empty"),
        (
            AQUATIC,
            "[udp]\nlisten = []\n",
            "no configuration of aquatic: no key is one of its; line 2 is about `udp.listen`",
        ),
        (named(Program::Ws), "[http]\nstats = true\n", "no configuration of aquatic_ws: "),
        (AQUATIC, "listen.tcp_udp 0.0.0.0\n", "DIR/file:1: not valid TOML: "),
        (AQUATIC, "a = 1\na = 2\n", "DIR/file:2: not valid TOML: "),
        (AQUATIC, "socket_workers = 1\n", "these keys fit aquatic_udp and aquatic_http and aquatic_ws alike"),
        (
            AQUATIC,
            "[network]\nuse_ipv4 = true\n",
            "these keys fit aquatic_udp and aquatic_http alike: say by --program",
        ),
    ] {
        let error = try_convert(tracker, text).unwrap_err();
        assert!(error.starts_with("DIR/file") && error.contains(told), "{error}");
    }
    assert!(try_convert(AQUATIC, b"# \xfc\n").unwrap_err().contains("it is not UTF-8 at byte 2"));
    let missing = convert(AQUATIC, Path::new("/nonexistent/file")).unwrap_err().to_string();
    assert!(missing.starts_with("/nonexistent/file: cannot be read: "), "{missing}");
}

#[test]
fn a_file_longer_than_the_limit_is_refused() {
    let long = "#".repeat((crate::config::MAX_FILE + 1) as usize);
    for tracker in [Tracker::Opentracker, AQUATIC] {
        assert!(try_convert(tracker, &long).unwrap_err().ends_with("cannot be read: it is longer than 1MiB"));
    }
}

#[test]
fn the_longest_file_of_nonsense_is_read_in_good_time() {
    let mut text = "listen.udp 127.0.0.1\n".to_owned();
    while text.len() < (crate::config::MAX_FILE - 10) as usize {
        text.push_str("a b\n");
    }
    let lines = converted(Tracker::Opentracker, &text);
    assert!(lines.toml.len() < 20_000 && lines.warnings.len() < 200, "{}", lines.toml.len());
    let mut text = "[network]\nuse_io_uring = true\n".to_owned();
    for number in 0.. {
        if text.len() > (crate::config::MAX_FILE - 100) as usize {
            break;
        }
        let _ = writeln!(text, "a{number} = 1");
    }
    assert!(converted(AQUATIC, &text).toml.len() < 20_000);
}

/// The rows of a page's tables: what is between backquotes in the first column, and in the second.
fn rows(page: &str) -> Vec<(Vec<String>, Vec<String>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/book/src/moving").join(page);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let quoted = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    let cells = rows.map(|row| row.split(" | ").map(str::to_owned).collect::<Vec<_>>());
    cells.map(|row| (quoted(&format!("`{}", row[0])), quoted(&row[1]))).collect()
}

#[test]
fn the_handbook_has_every_key_beside_one_that_exists() {
    let ours = crate::config::keys::tables();
    let is_ours = |name: &str| {
        let (table, key) = name.split_once('.').unwrap();
        ours.iter().any(|it| it.name == table && it.keys.iter().any(|it| it.name == key))
    };
    for (page, theirs) in
        [("opentracker.md", super::opentracker::keys()), ("aquatic.md", super::aquatic::keys())]
    {
        let rows = rows(page);
        let mut told: Vec<&str> = rows.iter().flat_map(|(theirs, _)| theirs).map(String::as_str).collect();
        told.sort_unstable();
        told.dedup();
        let mut theirs = theirs;
        theirs.sort_unstable();
        theirs.dedup();
        assert_eq!(told, theirs, "{page}: what the page has, and what is known");
        for name in rows.iter().flat_map(|(_, ours)| ours) {
            assert!(is_ours(name), "{page} names {name}, which is no key");
        }
    }
}
