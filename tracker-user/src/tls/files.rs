//! The two files: what is in them, and whether they are still those that were read.

use super::error::{Role, TlsError};
use crate::config;
use rustls::{
    Error, InconsistentKeys,
    crypto::CryptoProvider,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    sign::CertifiedKey,
};
use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Bytes of a file that are read at most. Chains of certificates have a few KiB.
const LIMIT: u64 = 1 << 20;

/// What the mark before an encrypted key holds: that of PKCS #8, and the header of the older form (RFC 1421).
const ENCRYPTED: [&str; 2] = ["-----BEGIN ENCRYPTED PRIVATE KEY-----", "Proc-Type: 4,ENCRYPTED"];

/// Where the certificate and key are.
#[derive(Clone, Debug)]
pub(super) struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// Tells one state of the two files from another; links are followed, as most ACME clients use them. `None`: the file
/// cannot be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity([Option<FileIdentity>; 2]);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileIdentity {
    device: u64,
    inode: u64,
    size: u64,
    /// Seconds and nanoseconds of the last change of the content.
    modified: (i64, i64),
    /// The same of owner, permissions and the like: a file that becomes readable is a change.
    changed: (i64, i64),
}

impl Files {
    /// The configured ones.
    pub(super) fn new(config: &config::Tls) -> Result<Self, TlsError> {
        let certificate = config.certificate.clone().ok_or(TlsError::NotNamed(Role::Certificate))?;
        let key = config.key.clone().ok_or(TlsError::NotNamed(Role::Key))?;
        Ok(Self { certificate, key })
    }

    /// These.
    pub(super) fn at(certificate: &Path, key: &Path) -> Self {
        Self { certificate: certificate.to_owned(), key: key.to_owned() }
    }

    /// Their state.
    pub(super) fn identity(&self) -> Identity {
        Identity([&self.certificate, &self.key].map(|path| {
            let metadata = fs::metadata(path).ok()?;
            Some(FileIdentity {
                device: metadata.dev(),
                inode: metadata.ino(),
                size: metadata.size(),
                modified: (metadata.mtime(), metadata.mtime_nsec()),
                changed: (metadata.ctime(), metadata.ctime_nsec()),
            })
        }))
    }

    /// What they hold: a chain of certificates and the key of the first.
    pub(super) fn read(&self, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
        let chain = read_chain(&self.certificate)?;
        let key = read_key(&self.key)?;
        let signing = provider
            .key_provider
            .load_private_key(key)
            .map_err(|source| TlsError::BadKey { path: self.key.clone(), source })?;
        let certified = CertifiedKey::new(chain, signing);
        match certified.keys_match() {
            Ok(()) => Ok(certified),
            Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
                Err(TlsError::Mismatch { certificate: self.certificate.clone(), key: self.key.clone() })
            }
            Err(source) => Err(TlsError::BadCertificate { path: self.certificate.clone(), source }),
        }
    }
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = bounded(Role::Certificate, path)?;
    let chain = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| bad_pem(Role::Certificate, path, &error))?;
    if chain.is_empty() {
        let holds_key = PrivateKeyDer::from_pem_slice(&text).is_ok();
        return Err(TlsError::NoCertificate { path: path.to_owned(), holds_key });
    }
    Ok(chain)
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = bounded(Role::Key, path)?;
    let contains = |needle: &str| text.windows(needle.len()).any(|window| window == needle.as_bytes());
    match PrivateKeyDer::from_pem_slice(&text) {
        // The older form of an encrypted key has the marks of a plain one.
        _ if ENCRYPTED.into_iter().any(contains) => Err(TlsError::EncryptedKey { path: path.to_owned() }),
        Ok(key) => Ok(key),
        Err(pem::Error::NoItemsFound) => {
            let holds_certificate = CertificateDer::from_pem_slice(&text).is_ok();
            Err(TlsError::NoKey { path: path.to_owned(), holds_certificate })
        }
        Err(error) => Err(bad_pem(Role::Key, path, &error)),
    }
}

fn bad_pem(role: Role, path: &Path, error: &pem::Error) -> TlsError {
    // The library prints the marks as numbers.
    let reason = match error {
        pem::Error::MissingSectionEnd { end_marker } => {
            format!("the line `-----END {}-----` is missing", String::from_utf8_lossy(end_marker).trim_end())
        }
        pem::Error::IllegalSectionStart { line } => {
            format!("`{}` begins nothing", String::from_utf8_lossy(line).trim_end())
        }
        other => other.to_string(),
    };
    TlsError::BadPem { role, path: path.to_owned(), reason }
}

fn bounded(role: Role, path: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |source: io::Error| TlsError::Unreadable { role, path: path.to_owned(), source };
    // Opening a pipe would wait for somebody to write into it.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(TlsError::NotAFile { role, path: path.to_owned() });
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(LIMIT + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > LIMIT {
        return Err(TlsError::TooLong { role, path: path.to_owned(), limit: LIMIT });
    }
    Ok(bytes)
}
