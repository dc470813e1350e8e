//! Who may have signed the certificate that a server shows to the tracker.

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

/// Bytes of a file that are read at most.
const LIMIT: u64 = 1 << 20;

/// Why nobody is trusted.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// The file cannot be read.
    #[error("{}: {source}; name a file with the CA's certificate in PEM", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is nothing in it that could be trusted.
    #[error(
        "{}: {reason}; it must hold the CA's certificate in PEM, from a line `-----BEGIN CERTIFICATE-----`", path.display()
    )]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The system trusts nobody.
    #[error(
        "this machine has no certificates of public CAs; install them (`apt-get install ca-certificates`), or name the \
         server's own CA by {key}"
    )]
    NoneInSystem {
        /// The key that could name a CA, with its table.
        key: &'static str,
    },
}

impl RootsError {
    /// Whether another user might be let where this one is not.
    #[must_use]
    pub fn is_permission_denied(&self) -> bool {
        matches!(self, Self::Unreadable { source, .. } if source.kind() == io::ErrorKind::PermissionDenied)
    }
}

/// Those in a file.
///
/// # Errors
/// If the file cannot be read, or there is no certificate in it.
pub fn in_file(path: &Path) -> Result<RootCertStore, RootsError> {
    let unreadable = |source| RootsError::Unreadable { path: path.to_owned(), source };
    let unusable = |reason: String| RootsError::Unusable { path: path.to_owned(), reason };
    // Opening a pipe would wait for somebody to write into it.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(unusable("this is no regular file".to_owned()));
    }
    let mut text = Vec::new();
    File::open(path).map_err(unreadable)?.take(LIMIT + 1).read_to_end(&mut text).map_err(unreadable)?;
    if text.len() as u64 > LIMIT {
        return Err(unusable(format!("it is longer than {LIMIT} bytes")));
    }
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| unusable(format!("it is not valid PEM: {error}")))?;
        roots
            .add(certificate)
            .map_err(|error| unusable(format!("a certificate in it is of no use: {error}")))?;
    }
    if roots.is_empty() { Err(unusable("there is no certificate in it".to_owned())) } else { Ok(roots) }
}

/// Those that the system trusts. Reads from disk. `key` is the one that could name others.
///
/// # Errors
/// If the system trusts nobody.
pub fn of_system(key: &'static str) -> Result<RootCertStore, RootsError> {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::debug!("tls: a certificate of the system: {error}");
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() { Err(RootsError::NoneInSystem { key }) } else { Ok(roots) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_must_hold_certificates() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        let made = rcgen::generate_simple_self_signed(["ca.test".to_owned()]).unwrap();
        fs::write(&path, made.cert.pem().repeat(2)).unwrap();
        assert_eq!(in_file(&path).unwrap().len(), 2);
        for (text, expected) in [
            (String::new(), "there is no certificate in it"),
            (made.signing_key.serialize_pem(), "there is no certificate in it"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n".to_owned(), "it is not valid PEM"),
            (
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned(),
                "a certificate in it is of no use",
            ),
            ("#".repeat(1 + (1 << 20)), "it is longer than 1048576 bytes"),
        ] {
            fs::write(&path, text).unwrap();
            let error = in_file(&path).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("ca.pem"), "{error}\n{expected}");
        }
        let absent = in_file(&directory.path().join("absent")).unwrap_err();
        assert!(absent.to_string().contains("absent: No such file"), "{absent}");
        assert!(in_file(directory.path()).unwrap_err().to_string().contains("no regular file"));
    }
}
