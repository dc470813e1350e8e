//! Why TLS cannot be served with the files that are there.

use std::{io, path::PathBuf};

/// Which of the two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The chain of certificates.
    Certificate,
    /// The private key.
    Key,
}

impl Role {
    /// The key of `[tls]` that names the file.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Key => "key",
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "tls.{}", self.key())
    }
}

/// Why the certificate and key cannot be used. Each text says which file, what is wrong, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// No file is configured.
    #[error("{0}: no file is named; set it, or leave tls.listen empty")]
    NotNamed(Role),
    /// The file cannot be read.
    #[error("{role} {}: {source}{hint}", path.display(), hint = hint(.source))]
    Unreadable {
        /// Which of the two.
        role: Role,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The path leads to a directory or a device.
    #[error("{role} {}: this is no regular file; name the file itself", path.display())]
    NotAFile {
        /// Which of the two.
        role: Role,
        /// What was named.
        path: PathBuf,
    },
    /// The file is longer than any chain of certificates.
    #[error("{role} {}: it is longer than {limit} bytes; this is no file of certificates or keys", path.display())]
    TooLong {
        /// Which of the two.
        role: Role,
        /// The file.
        path: PathBuf,
        /// Bytes that are read at most.
        limit: u64,
    },
    /// The text between two marks is no PEM.
    #[error("{role} {}: it is not valid PEM: {reason}; write the file anew", path.display())]
    BadPem {
        /// Which of the two.
        role: Role,
        /// The file.
        path: PathBuf,
        /// What is wrong, in the parser's words.
        reason: String,
    },
    /// There is no certificate in the file.
    #[error(
        "tls.certificate {}: there is no certificate in it; it must hold the server's in PEM, from a line \
         `-----BEGIN CERTIFICATE-----`, and after it those that signed it{}", path.display(), swapped(*.holds_key)
    )]
    NoCertificate {
        /// The file.
        path: PathBuf,
        /// There is a private key in it instead.
        holds_key: bool,
    },
    /// There is no private key in the file.
    #[error(
        "tls.key {}: there is no private key in it; it must hold one in PEM, from a line \
         `-----BEGIN PRIVATE KEY-----`{}", path.display(), swapped(*.holds_certificate)
    )]
    NoKey {
        /// The file.
        path: PathBuf,
        /// There is a certificate in it instead.
        holds_certificate: bool,
    },
    /// The key has a passphrase.
    #[error(
        "tls.key {}: the key is encrypted with a passphrase; write one without: \
         `openssl pkey -in OLD.pem -out NEW.pem`, readable by the tracker alone", path.display()
    )]
    EncryptedKey {
        /// The file.
        path: PathBuf,
    },
    /// The key is damaged or of a kind that is not supported.
    #[error(
        "tls.key {}: the key cannot be used: {source}; supported are RSA of 2048 bits or more, ECDSA on P-256 or \
         P-384, and Ed25519", path.display()
    )]
    BadKey {
        /// The file.
        path: PathBuf,
        /// What is wrong, in the library's words.
        source: rustls::Error,
    },
    /// The first certificate cannot be parsed.
    #[error("tls.certificate {}: the first certificate in it cannot be used: {source}; get it anew", path.display())]
    BadCertificate {
        /// The file.
        path: PathBuf,
        /// What is wrong, in the library's words.
        source: rustls::Error,
    },
    /// The two do not belong together.
    #[error(
        "tls.key {}: the key does not belong to the first certificate in {}; name the pair that was issued together, \
         the server's own certificate first", key.display(), certificate.display()
    )]
    Mismatch {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// The library refused its own settings, or there is no randomness.
    #[error("TLS cannot be set up: {0}; this is a fault in the program or the system has no randomness")]
    Setup(rustls::Error),
}

impl TlsError {
    /// Whose file has to be put right, unless it is neither's.
    #[must_use]
    pub const fn role(&self) -> Option<Role> {
        match self {
            Self::NotNamed(role)
            | Self::Unreadable { role, .. }
            | Self::NotAFile { role, .. }
            | Self::TooLong { role, .. }
            | Self::BadPem { role, .. } => Some(*role),
            Self::NoCertificate { .. } | Self::BadCertificate { .. } => Some(Role::Certificate),
            Self::NoKey { .. } | Self::EncryptedKey { .. } | Self::BadKey { .. } | Self::Mismatch { .. } => {
                Some(Role::Key)
            }
            Self::Setup(_) => None,
        }
    }

    /// Whether another user might be let where this one is not.
    #[must_use]
    pub fn is_permission_denied(&self) -> bool {
        matches!(self, Self::Unreadable { source, .. } if source.kind() == io::ErrorKind::PermissionDenied)
    }
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "; name an existing file, by its absolute path",
        io::ErrorKind::PermissionDenied => {
            "; the user that the tracker runs as must be able to read the file and pass every directory above it, also \
             after [privileges] were given up, so that a renewed one can be loaded: give its group the right to"
        }
        _ => "",
    }
}

fn swapped(swapped: bool) -> &'static str {
    if swapped { "; the two files seem to be swapped" } else { "" }
}
