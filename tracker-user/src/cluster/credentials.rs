//! How NATS servers know this node: secrets in files, which are read once and never shown.

use crate::config;
use async_nats::ConnectOptions;
use nkeys::{KeyPair, KeyPairType};
use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// Bytes of a file that are read at most. Credentials have one or two KiB.
const LIMIT: u64 = 1 << 16;

/// Permission bits of whoever is neither the owner nor in the group: to read and to write.
const OTHERS: u32 = 0o006;

/// By what this node logs in.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// By nothing, or by its certificate.
    None,
    /// By a JWT and the NKey that proves it: the text of a file of credentials.
    Creds(String),
    /// By an NKey: its seed.
    NKey(String),
    /// By name and password.
    Login {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
}

/// Shows which it is, and no secret.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Creds(_) => "Creds(…)",
            Self::NKey(_) => "NKey(…)",
            Self::Login { .. } => "Login(…)",
        })
    }
}

/// Why they are not to be had. No text holds anything of the file's.
#[derive(Debug, thiserror::Error)]
#[error("{}: {fault}", path.display())]
pub struct CredentialsError {
    key: &'static str,
    path: PathBuf,
    fault: Fault,
}

#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("{0}; the file must be there and readable when the tracker starts")]
    Unreadable(io::Error),
    #[error("this is no regular file; name the file itself")]
    Irregular,
    #[error("it is longer than {LIMIT} bytes; this is no file of credentials")]
    TooLong,
    #[error("it is not text in UTF-8; write the file anew")]
    NotText,
    #[error(
        "there is no JWT of a user with the NKey seed for it; write the file anew, by \
         `nsc generate creds --account ACCOUNT --name USER`"
    )]
    NoCreds,
    #[error(
        "there is no NKey seed of a user in it, a line of 58 characters that begins with SU; `nk -gen user` makes one, and \
         the servers get its public part"
    )]
    NoSeed,
    #[error("the user must be in its first line, the password in its second, and nothing after them")]
    NoLogin,
}

impl CredentialsError {
    /// The key of `[cluster]` that names the file.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        self.key
    }

    /// Whether another user might be let where this one is not.
    #[must_use]
    pub fn is_permission_denied(&self) -> bool {
        matches!(&self.fault, Fault::Unreadable(error) if error.kind() == io::ErrorKind::PermissionDenied)
    }
}

impl Credentials {
    /// Reads the file that is named, if one is. That others may read it, too, goes to `warnings`.
    ///
    /// # Errors
    /// If the file cannot be read, or does not hold what it should.
    pub fn read(config: &config::Cluster, warnings: &mut Vec<String>) -> Result<Self, CredentialsError> {
        type Parse = fn(&str) -> Result<Credentials, Fault>;
        let ways: [(&'static str, &Option<PathBuf>, Parse); 3] = [
            ("credentials", &config.credentials, creds),
            ("nkey", &config.nkey, seed),
            ("login", &config.login, login),
        ];
        let named = ways.into_iter().find_map(|(key, path, parse)| Some((key, path.as_deref()?, parse)));
        let Some((key, path, parse)) = named else { return Ok(Self::None) };
        let text = text(path, key, warnings);
        text.and_then(|text| parse(&text)).map_err(|fault| CredentialsError {
            key,
            path: path.to_owned(),
            fault,
        })
    }
}

fn text(path: &Path, key: &str, warnings: &mut Vec<String>) -> Result<String, Fault> {
    // Opening a pipe would wait for its writer otherwise.
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = opened.map_err(Fault::Unreadable)?;
    let metadata = file.metadata().map_err(Fault::Unreadable)?;
    if !metadata.is_file() {
        return Err(Fault::Irregular);
    }
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & OTHERS != 0 {
        let file = path.display();
        warnings.push(format!(
            "cluster.{key}: {file}: other users may read or write it (mode {mode:04o}): run `chmod o= {file}`"
        ));
    }
    bounded(file)
}

fn bounded(file: File) -> Result<String, Fault> {
    let mut bytes = Vec::new();
    file.take(LIMIT + 1).read_to_end(&mut bytes).map_err(Fault::Unreadable)?;
    if bytes.len() as u64 > LIMIT {
        return Err(Fault::TooLong);
    }
    String::from_utf8(bytes).map_err(|_| Fault::NotText)
}

fn creds(text: &str) -> Result<Credentials, Fault> {
    // What the client would refuse later, while the tracker serves.
    ConnectOptions::with_credentials(text).map_err(|_| Fault::NoCreds)?;
    Ok(Credentials::Creds(text.to_owned()))
}

fn seed(text: &str) -> Result<Credentials, Fault> {
    // There may be the marks around it that it has in a file of credentials.
    let seed = text.lines().map(str::trim).find(|line| line.starts_with("SU")).ok_or(Fault::NoSeed)?;
    match KeyPair::from_seed(seed) {
        Ok(pair) if pair.key_pair_type() == KeyPairType::User => Ok(Credentials::NKey(seed.to_owned())),
        _ => Err(Fault::NoSeed),
    }
}

fn login(text: &str) -> Result<Credentials, Fault> {
    let mut lines = text.lines();
    let [user, password] = [lines.next(), lines.next()].map(Option::unwrap_or_default);
    if user.is_empty() || password.is_empty() || lines.any(|line| !line.is_empty()) {
        return Err(Fault::NoLogin);
    }
    Ok(Credentials::Login { user: user.to_owned(), password: password.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Cluster, Config};
    use std::fs::{self, Permissions};

    /// Made by the tools of NATS for examples, and of use nowhere.
    const SEED: &str = "SUANQDPB2RUOE4ETUA26CNX7FUKE5ZZKFCQIIW63OX225F2CO7UEXTM7ZY";

    fn creds_text(seed: &str) -> String {
        format!(
            "-----BEGIN NATS USER JWT-----\neyJ0eXAiOiJqd3QiLCJhbGciOiJlZDI1NTE5In0.e30.c2ln\n------END NATS USER JWT------\n\n\
             ************************* IMPORTANT *************************\nNKEY Seed printed below is a secret.\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        )
    }

    fn named(key: &str, path: &Path) -> Cluster {
        let mut cluster = Config::default().cluster;
        let place = match key {
            "credentials" => &mut cluster.credentials,
            "nkey" => &mut cluster.nkey,
            _ => &mut cluster.login,
        };
        *place = Some(path.to_owned());
        cluster
    }

    /// Reads a file with this text, which others may read or not.
    fn read(key: &str, bytes: &[u8], mode: u32) -> (Result<Credentials, CredentialsError>, Vec<String>) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let mut warnings = Vec::new();
        (Credentials::read(&named(key, &path), &mut warnings), warnings)
    }

    #[test]
    fn each_kind_is_read_from_its_file() {
        let creds = creds_text(SEED);
        let of =
            |user: &str, password: &str| Credentials::Login { user: user.into(), password: password.into() };
        for (key, text, expected) in [
            ("credentials", creds.as_str(), Credentials::Creds(creds.clone())),
            ("nkey", SEED, Credentials::NKey(SEED.into())),
            ("nkey", &format!("# riptide\r\n{SEED}\r\n"), Credentials::NKey(SEED.into())),
            ("nkey", &creds, Credentials::NKey(SEED.into())),
            ("login", "node-a\npass word\n", of("node-a", "pass word")),
            ("login", "node-a\r\n p \r\n\r\n", of("node-a", " p ")),
        ] {
            let (read, warnings) = read(key, text.as_bytes(), 0o640);
            assert_eq!((read.unwrap(), warnings), (expected, vec![]), "{key}");
        }
        let mut warnings = Vec::new();
        assert_eq!(Credentials::read(&Config::default().cluster, &mut warnings).unwrap(), Credentials::None);
    }

    #[test]
    fn what_is_wrong_is_told_without_the_secret() {
        let broken = SEED.replace("ZY", "ZX");
        let account = KeyPair::new(KeyPairType::Account).seed().unwrap();
        for (key, text, expected) in [
            ("credentials", SEED.to_owned(), "there is no JWT"),
            ("credentials", creds_text(&broken), "there is no JWT"),
            ("nkey", broken, "there is no NKey seed"),
            ("nkey", account, "there is no NKey seed"),
            ("nkey", String::new(), "there is no NKey seed"),
            ("login", "secret".to_owned(), "the user must be in its first line"),
            ("login", "\nsecret\n".to_owned(), "the user must be in its first line"),
            ("login", "a\nsecret\nmore\n".to_owned(), "the user must be in its first line"),
            ("login", "secret\n".repeat(10_000), "it is longer than 65536 bytes"),
        ] {
            let error = read(key, text.as_bytes(), 0o600).0.unwrap_err();
            let (said, shown) = (error.to_string(), format!("{error:?}"));
            assert!(
                said.contains(&format!("secret: {expected}")) && error.key() == key,
                "{said}\n{expected}"
            );
            let rest = said.replace("/secret: ", "");
            assert!(
                ![rest, shown.replace("/secret\"", "")]
                    .iter()
                    .any(|text| text.contains("secret") || text.contains("SU") && text.contains("ANQ")),
                "{said} {shown}"
            );
        }
        assert!(read("login", b"a\n\xff\n", 0o600).0.unwrap_err().to_string().contains("it is not text"));
    }

    #[test]
    fn what_is_no_file_is_told() {
        let mut warnings = Vec::new();
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        for path in [directory.path(), &pipe] {
            let error = Credentials::read(&named("login", path), &mut warnings).unwrap_err().to_string();
            assert!(error.contains("this is no regular file"), "{error}");
        }
        let absent = named("login", &directory.path().join("absent"));
        let error = Credentials::read(&absent, &mut warnings).unwrap_err();
        assert!(
            error.to_string().contains("absent: No such file") && !error.is_permission_denied(),
            "{error}"
        );
    }

    #[test]
    fn a_file_that_others_may_read_is_a_warning() {
        for (mode, is_odd) in [(0o600, false), (0o640, false), (0o644, true), (0o662, true)] {
            let (credentials, warnings) = read("login", b"a\nb\n", mode);
            assert!(credentials.is_ok() && warnings.len() == usize::from(is_odd), "{mode:o}: {warnings:?}");
            assert!(warnings.iter().all(|warning| warning.contains("cluster.login: ")), "{warnings:?}");
        }
    }

    #[test]
    fn no_secret_is_shown() {
        let all = [
            Credentials::None,
            Credentials::Creds("secret".into()),
            Credentials::NKey("secret".into()),
            Credentials::Login { user: "secret".into(), password: "secret".into() },
        ];
        assert_eq!(format!("{all:?}"), "[None, Creds(…), NKey(…), Login(…)]");
    }
}
