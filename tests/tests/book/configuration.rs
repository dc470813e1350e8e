//! Keys and pieces of configuration in documents, held against the binary.

use std::{collections::BTreeSet, fs, path::Path};
use tests::{
    markdown::{Block, Page},
    riptide::command,
    web::tls::Certificate,
};

/// What stands for the directory of the operator's files.
const FILES: &str = "/etc/riptide/";

/// Every table and key that there is, as `table.key`.
pub(crate) struct Keys {
    tables: BTreeSet<String>,
    keys: BTreeSet<String>,
}

impl Keys {
    /// As the binary prints them.
    pub(crate) fn read() -> Self {
        let output = command(&["config", "default"]);
        let (mut tables, mut keys) = (BTreeSet::new(), BTreeSet::new());
        let mut table = String::new();
        for line in String::from_utf8(output.stdout).expect("text").lines() {
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                name.clone_into(&mut table);
                tables.insert(table.clone());
            } else if let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
                keys.insert(format!("{table}.{key}"));
            }
        }
        assert!(tables.contains("udp") && keys.contains("udp.listen"), "{tables:?} {keys:?}");
        Self { tables, keys }
    }

    /// Whether this looks like a key of one of the tables and is none.
    pub(crate) fn lack(&self, name: &str) -> bool {
        let first = name.split('.').next().unwrap_or_default();
        let is_ours = self.tables.iter().any(|table| table.split('.').next() == Some(first));
        is_ours && !self.keys.contains(name) && !self.tables.contains(name)
    }
}

/// What a page quotes in the form of a key. Pages about moving have other trackers' keys in the first column of tables.
pub(crate) fn named(page: &Page, book: &str) -> Vec<String> {
    let moving = page.path.starts_with(Path::new(book).join("moving"));
    let mut page = page.clone();
    if moving {
        let rest = |line: &str| match line.strip_prefix('|') {
            Some(row) => row.split_once('|').map_or_else(String::new, |(_, rest)| rest.to_owned()),
            None => line.to_owned(),
        };
        page.text = page.text.lines().map(rest).collect::<Vec<_>>().join("\n");
    }
    let word = |text: String| text.split([' ', '=']).next().unwrap_or_default().to_owned();
    page.quoted().into_iter().map(word).filter(|name| is_key(name)).collect()
}

fn is_key(name: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    let file = [".rs", ".md", ".toml", ".json", ".service", ".riptide"].iter().any(|end| name.ends_with(end));
    name.contains('.') && name.split('.').all(part) && !file
}

/// Has the binary check a piece, with the files that it names there.
pub(crate) fn check(page: &Page, block: &Block) {
    let place = format!("{}:{}", page.path.display(), block.line);
    let directory = tempfile::tempdir().expect("a directory");
    for line in block.text.lines() {
        let Some((_, rest)) = line.split_once(&format!("\"{FILES}")) else { continue };
        let name = rest.split('"').next().unwrap_or_default();
        write(&place, line.split(' ').next().unwrap_or_default(), &directory.path().join(name));
    }
    let own = format!("{}/", directory.path().display());
    let file = directory.path().join("the.toml");
    fs::write(&file, block.text.replace(FILES, &own)).expect("a file");
    let output = command(&["config", "check", &file.display().to_string()]);
    let said = String::from_utf8_lossy(&output.stderr);
    let theirs = "; what is another tracker's is marked ```toml,theirs";
    assert_eq!(output.status.code(), Some(0), "{place}: {said}{theirs}\n{}", block.text);
}

/// A file as the key wants it.
fn write(place: &str, key: &str, file: &Path) {
    let text = match key {
        "info_hashes" => "0123456789abcdef0123456789abcdef01234567\n".to_owned(),
        "denied_networks" => "192.0.2.0/24\n".to_owned(),
        "denied_clients" => "-XL0012-\n".to_owned(),
        "keys" => "0123456789abcdef\n".to_owned(),
        "login" => "node-a\npassword\n".to_owned(),
        "directory_ca" | "tls_ca" => {
            fs::read_to_string(Certificate::new().certificate_file()).expect("a certificate")
        }
        "certificate" | "key" => {
            // Both belong together, and are named in one piece.
            let certificate = Certificate::new();
            let beside = |name: &str| file.with_file_name(name);
            fs::copy(certificate.certificate_file(), beside("fullchain.pem")).expect("a certificate");
            fs::copy(certificate.key_file(), beside("privkey.pem")).expect("its key");
            return assert!(
                file.exists(),
                "{place}: a certificate is fullchain.pem here, its key privkey.pem"
            );
        }
        "tls_certificate" | "tls_key" => {
            let certificate = Certificate::new();
            let beside = |name: &str| file.with_file_name(name);
            fs::copy(certificate.certificate_file(), beside("node-a.pem")).expect("a certificate");
            fs::copy(certificate.key_file(), beside("node-a.key")).expect("its key");
            return assert!(
                file.exists(),
                "{place}: a node's certificate is node-a.pem here, its key node-a.key"
            );
        }
        _ => panic!("{place}: {key} names a file, and nothing here says what is in it"),
    };
    fs::write(file, text).expect("a file");
}

#[test]
fn keys_are_told_from_files_and_words() {
    for (name, expected) in [
        ("udp.listen", true),
        ("tls.acme.domains", true),
        ("state.rs", false),
        ("swarms.riptide", false),
        ("/run/riptide/control.sock", false),
        ("192.0.2.0", false),
        ("listen", false),
        ("udp.", false),
    ] {
        assert_eq!(is_key(name), expected, "{name}");
    }
}

#[test]
fn the_first_column_is_another_trackers_where_one_moves() {
    let text = "| `http.addr` | `http.listen` |\n`udp.listen = []`\n";
    let page = |path: &str| Page { path: path.into(), text: text.to_owned() };
    assert_eq!(named(&page("b/moving/a.md"), "b"), ["http.listen", "udp.listen"]);
    assert_eq!(named(&page("b/a.md"), "b"), ["http.addr", "http.listen", "udp.listen"]);
    let keys = Keys::read();
    assert!(keys.lack("http.addr") && !keys.lack("http.listen") && !keys.lack("core.listed"));
}
