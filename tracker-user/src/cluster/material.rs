//! What the connection to NATS servers takes and the machine has to have: a name, credentials, certificates. All of it is read
//! at the start, so that it may be readable to root alone.

use super::credentials::{Credentials, CredentialsError};
use crate::{
    config,
    node_name::NodeName,
    tls::{
        Role, TlsError, read_pair,
        roots::{self, RootsError},
    },
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::{CryptoProvider, ring},
    sign::SingleCertAndKey,
};
use std::{fmt, sync::Arc};

/// The key that names a CA.
const CA_KEY: &str = "cluster.tls_ca";

/// All that `[cluster]` names.
#[derive(Clone)]
pub struct ClusterMaterial {
    /// This node's name.
    pub node: NodeName,
    /// By what it logs in.
    pub credentials: Credentials,
    /// How it speaks TLS to a server that does.
    pub tls: ClientConfig,
}

impl fmt::Debug for ClusterMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("ClusterMaterial");
        shown.field("node", &self.node).field("credentials", &self.credentials).finish_non_exhaustive()
    }
}

/// Why a part of it is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum MaterialError {
    /// The host has no name of its own.
    #[error(
        "none is set, and this host is called `{host}`, as others may be: set a name that no other node has"
    )]
    NoName {
        /// How the system calls it.
        host: String,
    },
    /// The file with which to log in.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// Those who may have signed the servers' certificates.
    #[error(transparent)]
    Roots(#[from] RootsError),
    /// The certificate of this node and its key.
    #[error(transparent)]
    Certificate(#[from] TlsError),
}

impl MaterialError {
    /// The key of `[cluster]` that it is about.
    #[must_use]
    pub fn key(&self) -> &'static str {
        match self {
            Self::NoName { .. } => "node",
            Self::Credentials(error) => error.key(),
            Self::Roots(_) => "tls_ca",
            Self::Certificate(error) => match error.role() {
                Some(Role::Key) => "tls_key",
                Some(Role::Certificate) | None => "tls_certificate",
            },
        }
    }

    /// Whether another user might be let where this one is not.
    #[must_use]
    pub fn is_permission_denied(&self) -> bool {
        match self {
            Self::NoName { .. } => false,
            Self::Credentials(error) => error.is_permission_denied(),
            Self::Roots(error) => error.is_permission_denied(),
            Self::Certificate(error) => error.is_permission_denied(),
        }
    }
}

impl ClusterMaterial {
    /// Has all of it, or nothing where no server is named or a part is missing: each reason goes to `wrong`, what is odd to
    /// `warnings`. Reads from disk.
    pub fn gather(
        config: &config::Cluster,
        warnings: &mut Vec<String>,
        mut wrong: impl FnMut(MaterialError),
    ) -> Option<Self> {
        if config.servers.is_empty() {
            return None;
        }
        // Each part is looked at before any is asked for, so that every error is found.
        let node = named(config).map_err(&mut wrong).ok();
        let credentials = Credentials::read(config, warnings).map_err(|error| wrong(error.into())).ok();
        let tls = client(config, &mut wrong);
        Some(Self { node: node?, credentials: credentials?, tls: tls? })
    }
}

/// The name that is set, or the host's.
fn named(config: &config::Cluster) -> Result<NodeName, MaterialError> {
    match config.node.as_deref().and_then(NodeName::parse) {
        Some(name) => Ok(name),
        None => NodeName::of_this_host().map_err(|host| MaterialError::NoName { host }),
    }
}

fn client(config: &config::Cluster, wrong: &mut impl FnMut(MaterialError)) -> Option<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let roots = trusted(config).map_err(|error| wrong(error.into())).ok();
    let pair = config.tls_certificate.as_deref().zip(config.tls_key.as_deref());
    let shown = pair.map(|(certificate, key)| read_pair(certificate, key, &provider)).transpose();
    let shown = shown.map_err(|error| wrong(error.into())).ok();
    built(provider, roots?, shown?.map(SingleCertAndKey::from)).map_err(|error| wrong(error.into())).ok()
}

fn trusted(config: &config::Cluster) -> Result<RootCertStore, RootsError> {
    match &config.tls_ca {
        Some(path) => roots::in_file(path),
        None if config.servers.iter().any(|server| server.tls) => roots::of_system(CA_KEY),
        // A server that speaks TLS all the same is then trusted as far as the system does.
        None => Ok(roots::of_system(CA_KEY).unwrap_or_else(|_| RootCertStore::empty())),
    }
}

fn built(
    provider: Arc<CryptoProvider>,
    roots: RootCertStore,
    shown: Option<SingleCertAndKey>,
) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Setup)?
        .with_root_certificates(roots);
    Ok(match shown {
        Some(shown) => builder.with_client_cert_resolver(Arc::new(shown)),
        None => builder.with_no_client_auth(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Cluster, Config, NatsServer};
    use std::{fs, path::PathBuf};

    /// A certificate that is its own CA, with its key, in files.
    struct Files(tempfile::TempDir);

    impl Files {
        fn new() -> Self {
            let files = Self(tempfile::tempdir().unwrap());
            let issued = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
            fs::write(files.at("ca.pem"), issued.cert.pem()).unwrap();
            fs::write(files.at("node.pem"), issued.cert.pem()).unwrap();
            fs::write(files.at("node.key"), issued.signing_key.serialize_pem()).unwrap();
            files
        }

        fn at(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn cluster(&self) -> Cluster {
            let host = crate::host::Host::parse("a.example").unwrap();
            Cluster {
                servers: vec![NatsServer { tls: true, host, port: NatsServer::PORT }],
                node: Some("a".to_owned()),
                tls_ca: Some(self.at("ca.pem")),
                tls_certificate: Some(self.at("node.pem")),
                tls_key: Some(self.at("node.key")),
                ..Config::default().cluster
            }
        }
    }

    /// What came of it, and what was wrong with which key.
    fn gather(cluster: &Cluster) -> (Option<ClusterMaterial>, Vec<(&'static str, String)>) {
        let mut problems = Vec::new();
        let material = ClusterMaterial::gather(cluster, &mut Vec::new(), |error| {
            problems.push((error.key(), error.to_string()));
        });
        (material, problems)
    }

    #[test]
    fn without_servers_no_file_is_touched() {
        let files = Files::new();
        let cluster = Cluster { servers: Vec::new(), tls_ca: Some("/nonexistent".into()), ..files.cluster() };
        assert!(matches!(gather(&cluster), (None, problems) if problems.is_empty()));
    }

    #[test]
    fn certificates_are_shown_and_asked_for() {
        let files = Files::new();
        let (material, problems) = gather(&files.cluster());
        let material = material.unwrap_or_else(|| panic!("{problems:?}"));
        assert_eq!((material.node.as_str(), &material.credentials), ("a", &Credentials::None));
        assert!(material.tls.client_auth_cert_resolver.has_certs());
        let alone = Cluster { tls_certificate: None, tls_key: None, ..files.cluster() };
        assert!(!gather(&alone).0.unwrap().tls.client_auth_cert_resolver.has_certs());
    }

    #[test]
    fn everything_wrong_is_found_at_once() {
        let files = Files::new();
        let other = Files::new();
        let cluster = Cluster {
            login: Some("/nonexistent/login".into()),
            tls_ca: Some(files.at("node.key")),
            tls_key: Some(other.at("node.key")),
            ..files.cluster()
        };
        let (material, problems) = gather(&cluster);
        let keys: Vec<_> = problems.iter().map(|(key, _)| *key).collect();
        assert!(material.is_none() && keys == ["login", "tls_ca", "tls_key"], "{problems:?}");
    }

    #[test]
    fn a_host_that_is_called_like_any_other_lends_no_name() {
        let said = MaterialError::NoName { host: "localhost".to_owned() };
        assert!(said.to_string().contains("`localhost`, as others may be: set a name"), "{said}");
        assert_eq!(said.key(), "node");
    }

    #[test]
    fn nothing_secret_is_shown() {
        let files = Files::new();
        let shown = format!("{:?}", gather(&files.cluster()).0.unwrap());
        assert_eq!(shown, "ClusterMaterial { node: a, credentials: None, .. }");
    }
}
