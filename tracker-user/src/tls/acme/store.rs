//! What outlives the process, in files of the state directory that only the tracker may read: the certificate with its key,
//! the account, and what was tried. All of it reads and writes the disk.

use super::ledger::Ledger;
use crate::{
    kept_file::{self, Unfit},
    state_directory::{
        self, ACME_ACCOUNT_FILE, ACME_CERTIFICATE_FILE, ACME_LOCK_FILE, ACME_ORDERS_FILE, FLAGS, Replacement,
    },
};
use rustls::{
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};
use serde::{Deserialize, Serialize};
use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

/// The longest file that can be one of ours, bytes.
const MAX_FILE: u64 = 1 << 20;
/// What stands before the server's address in the certificate's file.
const DIRECTORY: &str = "Directory: ";
/// What stands before the names that were asked for.
const DOMAINS: &str = "Domains: ";

/// Why a file is of no use.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// It is not even opened.
    #[error("{}: {reason}", path.display())]
    Unfit { path: PathBuf, reason: Unfit },
    /// It cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// It is not what was written.
    #[error("{}: {reason}", path.display())]
    Damaged { path: PathBuf, reason: String },
}

/// A certificate, and what was asked for when it was given.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) directory: String,
    pub(super) domains: Vec<String>,
    pub(super) key: CertifiedKey,
}

/// An account at a server.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct KeptAccount {
    pub(super) directory: String,
    pub(super) contact: Vec<String>,
    /// As the library writes them; the private key is among them.
    pub(super) credentials: serde_json::Value,
}

/// The right to ask for certificates, which one process has at a time. It ends with this, or with the process.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "closing it gives the right back")] File);

/// The files in a directory.
#[derive(Clone, Debug)]
pub(super) struct Store(PathBuf);

impl Store {
    pub(super) fn new(directory: &Path) -> Self {
        Self(directory.to_owned())
    }

    /// Where they are.
    pub(super) fn directory(&self) -> &Path {
        &self.0
    }

    /// The certificate that is kept, if there is one.
    pub(super) fn certificate(&self, provider: &CryptoProvider) -> Result<Option<Kept>, Fault> {
        let Some(text) = self.read(ACME_CERTIFICATE_FILE)? else { return Ok(None) };
        let key = certified(&text, provider)
            .map_err(|reason| Fault::Damaged { path: self.0.join(ACME_CERTIFICATE_FILE), reason })?;
        let after = |mark: &str| text.lines().find_map(|line| line.strip_prefix(mark)).unwrap_or_default();
        let domains = after(DOMAINS).split(' ').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        Ok(Some(Kept { directory: after(DIRECTORY).to_owned(), domains, key }))
    }

    /// Keeps a certificate, chain and key as PEM, in place of the one before. What stands before PEM in a file is skipped by
    /// whoever reads it (RFC 7468 section 2).
    pub(super) fn keep_certificate(
        &self,
        directory: &str,
        domains: &[String],
        chain_and_key: &str,
    ) -> io::Result<()> {
        let text = format!(
            "Had from an ACME server by Riptide, which writes this anew at each renewal.\n{DIRECTORY}{directory}\n{DOMAINS}{}\n\n\
             {chain_and_key}",
            domains.join(" ")
        );
        self.write(ACME_CERTIFICATE_FILE, text.as_bytes())
    }

    /// The account at this server, if one is kept.
    pub(super) fn account(&self, directory: &str) -> Result<Option<KeptAccount>, Fault> {
        let Some(text) = self.read(ACME_ACCOUNT_FILE)? else { return Ok(None) };
        // The library's words could quote the key.
        let account: KeptAccount = serde_json::from_str(&text).map_err(|_| Fault::Damaged {
            path: self.0.join(ACME_ACCOUNT_FILE),
            reason: "it is not what was written".to_owned(),
        })?;
        Ok(Some(account).filter(|account| account.directory == directory))
    }

    /// Keeps an account, in place of the one before.
    pub(super) fn keep_account(&self, account: &KeptAccount) -> io::Result<()> {
        self.write(ACME_ACCOUNT_FILE, &serde_json::to_vec_pretty(account)?)
    }

    /// What was tried, if anything was.
    pub(super) fn ledger(&self) -> Result<Option<Ledger>, Fault> {
        let Some(text) = self.read(ACME_ORDERS_FILE)? else { return Ok(None) };
        serde_json::from_str(&text).map(Some).map_err(|error| Fault::Damaged {
            path: self.0.join(ACME_ORDERS_FILE),
            reason: format!("it is not what was written: {error}"),
        })
    }

    /// Keeps what was tried, in place of what was known before.
    pub(super) fn keep_ledger(&self, ledger: &Ledger) -> io::Result<()> {
        self.write(ACME_ORDERS_FILE, &serde_json::to_vec_pretty(ledger)?)
    }

    /// The right to ask, unless another process has it.
    pub(super) fn lock(&self) -> io::Result<Option<Lock>> {
        state_directory::make(&self.0)?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600).custom_flags(FLAGS);
        let file = options.open(self.0.join(ACME_LOCK_FILE))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn read(&self, name: &str) -> Result<Option<String>, Fault> {
        let path = self.0.join(name);
        let opened = kept_file::open(&path, MAX_FILE);
        let Some((file, _)) = opened.map_err(|reason| Fault::Unfit { path: path.clone(), reason })? else {
            return Ok(None);
        };
        let mut text = String::new();
        let read = file.take(MAX_FILE).read_to_string(&mut text);
        read.map_err(|source| Fault::Unreadable { path, source })?;
        Ok(Some(text))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut replacement = Replacement::begin(&self.0, name)?;
        replacement.file().write_all(bytes)?;
        replacement.finish()
    }
}

/// The chain of certificates and the private key in a text, if they are a pair.
pub(super) fn certified(text: &str, provider: &CryptoProvider) -> Result<CertifiedKey, String> {
    let chain = CertificateDer::pem_slice_iter(text.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("its certificates are not valid PEM: {error}"))?;
    if chain.is_empty() {
        return Err("there is no certificate in it".to_owned());
    }
    let key = PrivateKeyDer::from_pem_slice(text.as_bytes())
        .map_err(|_| "there is no private key in it that can be read".to_owned())?;
    let key = provider.key_provider.load_private_key(key).map_err(|error| format!("its key: {error}"))?;
    let certified = CertifiedKey::new(chain, key);
    certified.keys_match().map_err(|error| format!("its key and its certificate are no pair: {error}"))?;
    Ok(certified)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::acme::settings::Settings;
    use rustls::crypto::ring;
    use std::{
        fs,
        os::unix::fs::{PermissionsExt, symlink},
    };

    fn store() -> (tempfile::TempDir, Store) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(&directory.path().join("state"));
        (directory, store)
    }

    /// A key and its certificate.
    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        (made.signing_key.serialize_pem(), made.cert.pem())
    }

    #[test]
    fn a_certificate_is_kept_with_what_was_asked_for() {
        let (_directory, store) = store();
        let provider = ring::default_provider();
        assert!(store.certificate(&provider).unwrap().is_none());
        let names = ["a.example".to_owned(), "b.example".to_owned()];
        let (key, certificate) = pair();
        store.keep_certificate("https://acme.example/d", &names, &(key + &certificate)).unwrap();
        let kept = store.certificate(&provider).unwrap().unwrap();
        assert_eq!(
            (kept.directory.as_str(), kept.domains.as_slice()),
            ("https://acme.example/d", &names[..])
        );
        assert_eq!(kept.key.cert.len(), 1);
        let file = store.directory().join("acme-certificate.pem");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
    }

    #[test]
    fn files_that_are_not_ours_are_not_used() {
        let (_directory, store) = store();
        let provider = ring::default_provider();
        let ((key, _), (_, certificate)) = (pair(), pair());
        store.keep_certificate("d", &[], &(key + &certificate)).unwrap();
        let fault = store.certificate(&provider).unwrap_err().to_string();
        assert!(fault.contains("acme-certificate.pem: ") && fault.contains("no pair"), "{fault}");
        let file = store.directory().join("acme-certificate.pem");
        fs::write(&file, "nothing").unwrap();
        assert!(store.certificate(&provider).unwrap_err().to_string().contains("no certificate in it"));
        fs::set_permissions(&file, PermissionsExt::from_mode(0o666)).unwrap();
        assert!(store.certificate(&provider).unwrap_err().to_string().contains("other users may write"));
        fs::remove_file(&file).unwrap();
        symlink("/etc/passwd", &file).unwrap();
        assert!(store.certificate(&provider).unwrap_err().to_string().contains("symbolic link"));
        fs::write(store.directory().join("acme-orders.json"), "{").unwrap();
        assert!(store.ledger().unwrap_err().to_string().contains("acme-orders.json: it is not what was"));
    }

    #[test]
    fn an_account_is_of_its_server_and_its_key_is_never_told() {
        let (_directory, store) = store();
        let account = KeptAccount {
            directory: "https://a".to_owned(),
            contact: vec!["mailto:a@a.example".to_owned()],
            credentials: serde_json::json!({ "key": "secret" }),
        };
        store.keep_account(&account).unwrap();
        assert_eq!(store.account("https://a").unwrap().unwrap().credentials, account.credentials);
        assert!(store.account("https://b").unwrap().is_none());
        fs::write(store.directory().join("acme-account.json"), "\"secret\"").unwrap();
        let fault = store.account("https://a").unwrap_err().to_string();
        assert!(fault.contains("acme-account.json") && !fault.contains("secret"), "{fault}");
    }

    #[test]
    fn what_was_tried_is_read_as_it_was_written() {
        let (_directory, store) = store();
        assert!(store.ledger().unwrap().is_none());
        let ledger = Ledger::unknown(&Settings::example(), 1_800_000_000, 0);
        store.keep_ledger(&ledger).unwrap();
        assert_eq!(store.ledger().unwrap().unwrap(), ledger);
    }

    #[test]
    fn one_has_the_right_to_ask_at_a_time() {
        let (_directory, store) = store();
        let lock = store.lock().unwrap();
        assert!(lock.is_some() && store.lock().unwrap().is_none());
        drop(lock);
        assert!(store.lock().unwrap().is_some());
    }
}
