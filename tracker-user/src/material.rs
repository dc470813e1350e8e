//! What the configuration names and the machine has to have: lists, certificates, secrets, the user. `riptide run` uses it, a
//! reload takes up what may change, and `riptide config check` only looks, so that none of them finds what another misses.

use crate::{
    access_file::{self, AccessFileError},
    clientele::{Clientele, ClienteleError},
    cluster::{ClusterMaterial, MaterialError},
    config::{Config, ConfigErrors, Loaded},
    privileges::{Identity, PrivilegeError},
    tls::{Role, Tls, TlsError, acme::Settings, roots::RootsError},
};
use std::sync::Arc;
use tracker_core::{access::AccessList, banned::NetworkSet};

/// What was found. Where there is a problem, its place is empty.
#[derive(Debug)]
pub struct Material {
    /// The list of `[access]`.
    pub access: AccessList,
    /// The networks of `access.denied_networks`.
    pub networks: Arc<NetworkSet>,
    /// Who is served.
    pub clientele: Clientele,
    /// TLS, where it is served: with the certificate and key of `[tls]`, or yet without one.
    pub tls: Option<Tls>,
    /// Whom to ask for a certificate, where one is to be had so.
    pub acme: Option<Settings>,
    /// What the connection to NATS servers takes, where some are named.
    pub cluster: Option<ClusterMaterial>,
    /// Who `[privileges]` says to become.
    pub identity: Option<Identity>,
    /// What is odd about it all.
    pub warnings: Vec<String>,
}

/// One thing that is not to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The table of the key that names it.
    pub table: &'static str,
    /// That key.
    pub key: &'static str,
    /// What is wrong and what to do.
    pub reason: String,
    /// Whether another user might have it.
    pub of_this_user: bool,
}

impl Material {
    /// Everything that the configuration names, and what of it is not to be had.
    #[must_use]
    pub fn gather(config: &Config) -> (Self, Vec<Problem>) {
        let mut problems = Vec::new();
        let access = access_file::read_hashes(&config.access).unwrap_or_else(|error| {
            problems.push(of_list("info_hashes", &error));
            AccessList::off()
        });
        let (networks, mut warnings) = access_file::read_networks(&config.access).unwrap_or_else(|error| {
            problems.push(of_list("denied_networks", &error));
            Default::default()
        });
        let clientele = Clientele::read(&config.access, |error| problems.push(error.into()));
        let served = !config.tls.listen.addresses.is_empty();
        let is_asked_for = !config.tls_acme.domains.is_empty();
        let load = || if is_asked_for { Tls::new(&config.tls) } else { Tls::load(&config.tls) };
        let tls = served.then(load).transpose().unwrap_or_else(|error| {
            problems.push(error.into());
            None
        });
        let acme = Settings::of(&config.tls_acme).unwrap_or_else(|error| {
            problems.push(error.into());
            None
        });
        let cluster = ClusterMaterial::gather(&config.cluster, &mut warnings, |error| {
            problems.push(error.into());
        });
        let identity = Identity::resolve(&config.privileges).unwrap_or_else(|error| {
            problems.push(error.into());
            None
        });
        let networks = Arc::new(networks);
        (Self { access, networks, clientele, tls, acme, cluster, identity, warnings }, problems)
    }

    /// The configuration that was read, with all that it names.
    ///
    /// # Errors
    /// Everything that is wrong with either.
    pub fn complete(mut loaded: Loaded) -> Result<(Config, Self), ConfigErrors> {
        let Some(config) = loaded.config.take() else { return Err(ConfigErrors(loaded.errors)) };
        let (material, problems) = Self::gather(&config);
        for problem in problems {
            loaded.wrong(problem.table, problem.key, problem.reason);
        }
        if loaded.errors.is_empty() { Ok((config, material)) } else { Err(ConfigErrors(loaded.errors)) }
    }
}

/// Of a list that a key of `[access]` names.
fn of_list(key: &'static str, error: &AccessFileError) -> Problem {
    let (reason, of_this_user) = (error.to_string(), error.is_permission_denied());
    Problem { table: "access", key, reason, of_this_user }
}

impl From<ClienteleError> for Problem {
    fn from(error: ClienteleError) -> Self {
        let (key, of_this_user) = (error.key(), error.is_permission_denied());
        Self { table: "access", key, reason: error.to_string(), of_this_user }
    }
}

impl From<TlsError> for Problem {
    fn from(error: TlsError) -> Self {
        let key = error.role().unwrap_or(Role::Certificate).key();
        let (reason, of_this_user) =
            (without_key(&error.to_string(), "tls", key), error.is_permission_denied());
        Self { table: "tls", key, reason, of_this_user }
    }
}

impl From<RootsError> for Problem {
    fn from(error: RootsError) -> Self {
        let of_this_user = error.is_permission_denied();
        Self { table: "tls.acme", key: "directory_ca", reason: error.to_string(), of_this_user }
    }
}

impl From<MaterialError> for Problem {
    fn from(error: MaterialError) -> Self {
        let (key, of_this_user) = (error.key(), error.is_permission_denied());
        let reason = match &error {
            // It names the key of `[tls]` that means the same.
            MaterialError::Certificate(error) => {
                without_key(&error.to_string(), "tls", error.role().unwrap_or(Role::Certificate).key())
            }
            other => other.to_string(),
        };
        Self { table: "cluster", key, reason, of_this_user }
    }
}

impl From<PrivilegeError> for Problem {
    fn from(error: PrivilegeError) -> Self {
        let key = error.key();
        let of_this_user = matches!(error, PrivilegeError::NotRoot { .. });
        Self {
            table: "privileges",
            key,
            reason: without_key(&error.to_string(), "privileges", key),
            of_this_user,
        }
    }
}

/// The text without the key that it begins with: errors of the configuration say it by themselves.
fn without_key(text: &str, table: &str, key: &str) -> String {
    let rest = text.strip_prefix(&format!("{table}.{key}")).unwrap_or(text);
    rest.trim_start_matches(':').trim_start().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use std::{fs, path::PathBuf};

    /// A certificate and its key in a directory, and the configuration that serves them.
    struct Pair {
        directory: tempfile::TempDir,
        config: Config,
    }

    impl Pair {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            let mut pair = Self { directory, config: Config::default() };
            fs::write(pair.file("certificate"), issued.cert.pem()).unwrap();
            fs::write(pair.file("key"), issued.signing_key.serialize_pem()).unwrap();
            pair.config.tls.listen.addresses = vec!["127.0.0.1:443".parse().unwrap()];
            pair.config.tls.certificate = Some(pair.file("certificate"));
            pair.config.tls.key = Some(pair.file("key"));
            pair
        }

        fn file(&self, key: &str) -> PathBuf {
            self.directory.path().join(key)
        }
    }

    #[test]
    fn files_of_tls_are_read_where_they_are_served() {
        type Break = fn(&Pair);
        let broken: [(Break, &str, &str); 5] = [
            (|pair| fs::remove_file(pair.file("key")).unwrap(), "key", "PAIR/key: No such file"),
            (
                |pair| fs::write(pair.file("certificate"), "nothing").unwrap(),
                "certificate",
                "PAIR/certificate: there is no certificate in it",
            ),
            (
                |pair| fs::write(pair.file("key"), "-----BEGIN PRIVATE KEY-----\n").unwrap(),
                "key",
                "PAIR/key: it is not valid PEM",
            ),
            (
                |pair| fs::write(pair.file("key"), fs::read(Pair::new().file("key")).unwrap()).unwrap(),
                "key",
                "PAIR/key: the key does not belong to the first certificate",
            ),
            (
                |pair| {
                    fs::remove_file(pair.file("certificate")).unwrap();
                    fs::create_dir(pair.file("certificate")).unwrap();
                },
                "certificate",
                "PAIR/certificate: this is no regular file",
            ),
        ];
        for (break_it, key, expected) in broken {
            let mut pair = Pair::new();
            let (material, problems) = Material::gather(&pair.config);
            assert!(material.tls.is_some() && problems.is_empty(), "{problems:?}");
            break_it(&pair);
            let (_, problems) = Material::gather(&pair.config);
            let [problem] = problems.as_slice() else { panic!("{expected}: {problems:?}") };
            assert_eq!((problem.table, problem.key, problem.of_this_user), ("tls", key, false));
            let reason = problem.reason.replace(&pair.directory.path().display().to_string(), "PAIR");
            assert!(reason.starts_with(expected), "{reason}\n{expected}");
            // Files that are not served are nobody's business.
            pair.config.tls.listen.addresses.clear();
            assert_eq!(Material::gather(&pair.config).1, []);
        }
    }

    #[test]
    fn every_problem_is_found_at_once() {
        let pair = Pair::new();
        let mut config = pair.config.clone();
        config.access.mode = config::AccessMode::Deny;
        config.access.info_hashes = Some("/nonexistent/list".into());
        config.access.denied_networks = Some("/nonexistent/networks".into());
        config.tls.key = Some("/nonexistent/key".into());
        config.privileges.user = Some("no-such-user-here".into());
        let found: Vec<_> = Material::gather(&config).1.into_iter().map(|p| (p.table, p.key)).collect();
        let expected = [
            ("access", "info_hashes"),
            ("access", "denied_networks"),
            ("tls", "key"),
            ("privileges", "user"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_certificate_that_is_to_be_had_needs_no_files() {
        let mut config = Config::default();
        config.tls.listen.addresses = vec!["127.0.0.1:443".parse().unwrap()];
        config.tls_acme.domains = vec!["a.example".to_owned()];
        let (material, problems) = Material::gather(&config);
        assert_eq!(problems, []);
        assert!(material.tls.is_some_and(|tls| tls.leaf().is_none()) && material.acme.is_some());
        config.tls_acme.directory_ca = Some("/nonexistent/ca.pem".into());
        let (_, problems) = Material::gather(&config);
        let [problem] = problems.as_slice() else { panic!("{problems:?}") };
        assert_eq!((problem.table, problem.key, problem.of_this_user), ("tls.acme", "directory_ca", false));
    }

    #[test]
    fn secrets_of_the_cluster_are_read_where_it_is_one() {
        let pair = Pair::new();
        let mut config = Config::default();
        config.cluster.servers = vec![config::NatsServer {
            tls: true,
            host: crate::host::Host::here(),
            port: config::NatsServer::PORT,
        }];
        config.cluster.node = Some("a".to_owned());
        config.cluster.tls_ca = Some(pair.file("certificate"));
        config.cluster.tls_certificate = Some(pair.file("certificate"));
        config.cluster.tls_key = Some(pair.file("key"));
        let (material, problems) = Material::gather(&config);
        assert!(material.cluster.is_some() && problems.is_empty(), "{problems:?}");
        fs::write(pair.file("key"), fs::read(Pair::new().file("key")).unwrap()).unwrap();
        config.cluster.login = Some("/nonexistent/login".into());
        let (material, problems) = Material::gather(&config);
        let [login, key] = problems.as_slice() else { panic!("{problems:?}") };
        assert!(material.cluster.is_none());
        assert_eq!(
            [(login.table, login.key), (key.table, key.key)],
            [("cluster", "login"), ("cluster", "tls_key")]
        );
        let expected = format!("{}: the key does not belong", pair.file("key").display());
        assert!(key.reason.starts_with(&expected), "{}", key.reason);
    }

    #[test]
    fn a_reason_does_not_repeat_its_key() {
        let error =
            Identity::resolve(&config::Privileges { user: Some("no-such-user-here".into()), group: None });
        let problem = Problem::from(error.unwrap_err());
        assert_eq!(
            problem.reason,
            "there is no user `no-such-user-here` on this machine; create it or name another"
        );
    }
}
