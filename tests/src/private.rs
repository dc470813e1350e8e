//! The files that say whom a tracker serves.

use std::path::PathBuf;
use tempfile::TempDir;

/// A file of keys and one of prefixes of peer IDs.
pub struct Files {
    directory: TempDir,
}

impl Files {
    /// With these keys and these prefixes, a line each.
    #[must_use]
    pub fn new(keys: &[&str], clients: &str) -> Self {
        let files = Self { directory: TempDir::with_prefix("riptide-access-").expect("a directory") };
        files.write_keys(&keys.join("\n"));
        std::fs::write(files.clients(), clients).expect("a file");
        files
    }

    /// Where the keys are.
    #[must_use]
    pub fn keys(&self) -> PathBuf {
        self.directory.path().join("keys")
    }

    /// Where the prefixes are.
    #[must_use]
    pub fn clients(&self) -> PathBuf {
        self.directory.path().join("clients")
    }

    /// Writes the file of keys anew.
    pub fn write_keys(&self, text: &str) {
        std::fs::write(self.keys(), text).expect("a file");
    }

    /// The table of the configuration that names both.
    #[must_use]
    pub fn access(&self) -> String {
        let [keys, clients] = [self.keys(), self.clients()].map(|path| path.display().to_string());
        format!("[access]\nkeys = {keys:?}\ndenied_clients = {clients:?}\n")
    }
}

/// Options that bring an address in these pieces (BEP 41).
#[must_use]
pub fn url_data(pieces: &[&str]) -> Vec<u8> {
    let option = |piece: &&str| {
        let length = u8::try_from(piece.len()).expect("at most 255 bytes");
        [&[2, length], piece.as_bytes()].concat()
    };
    pieces.iter().flat_map(option).collect()
}
