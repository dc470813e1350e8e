use super::{
    watch::{Look, Watch},
    *,
};
use crate::config::Config;
use rustls::{
    ClientConfig, HandshakeKind, ProtocolVersion, RootCertStore,
    client::Tls12Resumption,
    pki_types::{ServerName, pem::PemObject as _},
};
use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio_rustls::TlsConnector;

/// A certificate and its key, made for one test.
struct Issued {
    certificate: String,
    key: String,
    der: CertificateDer<'static>,
}

fn issue() -> Issued {
    let made = rcgen::generate_simple_self_signed(["tracker.test".to_owned()]).unwrap();
    Issued {
        certificate: made.cert.pem(),
        key: made.signing_key.serialize_pem(),
        der: made.cert.der().clone(),
    }
}

/// A directory with the two files.
struct Place {
    directory: tempfile::TempDir,
    min_version: TlsVersion,
}

impl Place {
    fn empty() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), min_version: TlsVersion::Tls12 }
    }

    fn with(issued: &Issued) -> Self {
        let place = Self::empty();
        place.write(&issued.certificate, &issued.key);
        place
    }

    fn certificate(&self) -> PathBuf {
        self.directory.path().join("certificate.pem")
    }

    fn key(&self) -> PathBuf {
        self.directory.path().join("key.pem")
    }

    /// Replaces a file as ACME clients do, by a rename.
    fn replace(&self, path: &Path, text: &str) {
        let new = self.directory.path().join("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, path).unwrap();
    }

    fn write(&self, certificate: &str, key: &str) {
        self.replace(&self.certificate(), certificate);
        self.replace(&self.key(), key);
    }

    fn load(&self) -> Result<Tls, TlsError> {
        let mut config = Config::default().tls;
        config.certificate = Some(self.certificate());
        config.key = Some(self.key());
        config.min_version = self.min_version;
        Tls::load(&config)
    }
}

/// A client that trusts these certificates.
fn client(
    trusted: &[&Issued],
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&str],
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for issued in trusted {
        roots.add(issued.der.clone()).unwrap();
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// What a client saw.
#[derive(Debug)]
struct Seen {
    certificate: CertificateDer<'static>,
    alpn: Option<Vec<u8>>,
    version: Option<ProtocolVersion>,
    kind: Option<HandshakeKind>,
}

/// One connection: a handshake, and a word each way.
async fn connect(tls: &Tls, client: &Arc<ClientConfig>) -> std::io::Result<Seen> {
    let (ours, theirs) = duplex(64 << 10);
    let acceptor = tls.acceptor();
    let server = async move {
        let mut stream = acceptor.accept(ours).await?.unwrap();
        let mut word = [0; 4];
        stream.read_exact(&mut word).await?;
        stream.write_all(&word).await?;
        stream.shutdown().await
    };
    let connector = TlsConnector::from(client.clone());
    let client = async move {
        let name = ServerName::try_from("tracker.test").unwrap();
        let mut stream = connector.connect(name, theirs).await?;
        stream.write_all(b"ping").await?;
        let mut word = Vec::new();
        // To the end, since tickets come with the first bytes.
        stream.read_to_end(&mut word).await?;
        assert_eq!(word, b"ping");
        let (_, connection) = stream.get_ref();
        Ok(Seen {
            certificate: connection.peer_certificates().unwrap()[0].clone().into_owned(),
            alpn: connection.alpn_protocol().map(<[u8]>::to_vec),
            version: connection.protocol_version(),
            kind: connection.handshake_kind(),
        })
    };
    let (served, seen) = tokio::join!(server, client);
    seen.and_then(|seen| served.map(|()| seen))
}

const BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

#[tokio::test]
async fn the_certificate_is_served_and_http_is_agreed_on() {
    let issued = issue();
    let tls = Place::with(&issued).load().unwrap();
    for (offered, agreed) in [
        (&["http/1.1", "h2"][..], Some(&b"h2"[..])),
        (&["http/1.1"], Some(b"http/1.1")),
        (&["webrtc", "http/1.1"], Some(b"http/1.1")),
        (&[], None),
    ] {
        let seen = connect(&tls, &client(&[&issued], BOTH, offered)).await.unwrap();
        assert_eq!(seen.alpn.as_deref(), agreed, "{offered:?}");
        assert_eq!(seen.certificate, issued.der);
        assert_eq!(seen.version, Some(ProtocolVersion::TLSv1_3));
    }
}

#[tokio::test]
async fn no_version_below_the_oldest_is_spoken() {
    let issued = issue();
    let mut place = Place::with(&issued);
    let old = client(&[&issued], &[&TLS12], &[]);
    let seen = connect(&place.load().unwrap(), &old).await.unwrap();
    assert_eq!(seen.version, Some(ProtocolVersion::TLSv1_2));
    place.min_version = TlsVersion::Tls13;
    let strict = place.load().unwrap();
    connect(&strict, &old).await.unwrap_err();
    let seen = connect(&strict, &client(&[&issued], BOTH, &[])).await.unwrap();
    assert_eq!(seen.version, Some(ProtocolVersion::TLSv1_3));
}

#[tokio::test]
async fn clients_resume_their_sessions() {
    let (first, second) = (issue(), issue());
    for version in [&TLS12, &TLS13] {
        let place = Place::with(&first);
        let tls = place.load().unwrap();
        let client = client(&[&first, &second], &[version], &[]);
        assert_eq!(connect(&tls, &client).await.unwrap().kind, Some(HandshakeKind::Full));
        assert_eq!(connect(&tls, &client).await.unwrap().kind, Some(HandshakeKind::Resumed));
        place.write(&second.certificate, &second.key);
        assert!(tls.reload().unwrap());
        assert_eq!(connect(&tls, &client).await.unwrap().kind, Some(HandshakeKind::Resumed));
    }
}

#[tokio::test]
async fn tickets_need_no_memory_of_sessions() {
    let (first, second) = (issue(), issue());
    for version in [&TLS12, &TLS13] {
        let place = Place::with(&first);
        let mut tls = place.load().unwrap();
        tls.sessions = Arc::new(rustls::server::NoServerSessionStorage {});
        place.write(&second.certificate, &second.key);
        assert!(tls.reload().unwrap());
        let client = client(&[&second], &[version], &[]);
        assert_eq!(connect(&tls, &client).await.unwrap().kind, Some(HandshakeKind::Full));
        assert_eq!(connect(&tls, &client).await.unwrap().kind, Some(HandshakeKind::Resumed));
    }
}

#[tokio::test]
async fn clients_without_tickets_are_remembered() {
    let (first, second) = (issue(), issue());
    let place = Place::with(&first);
    let tls = place.load().unwrap();
    let mut client = (*client(&[&first, &second], &[&TLS12], &[])).clone();
    client.resumption = client.resumption.tls12_resumption(Tls12Resumption::SessionIdOnly);
    let client = Arc::new(client);
    assert_eq!(connect(&tls, &client).await.unwrap().kind, Some(HandshakeKind::Full));
    place.write(&second.certificate, &second.key);
    assert!(tls.reload().unwrap());
    assert_eq!(connect(&tls, &client).await.unwrap().kind, Some(HandshakeKind::Resumed));
}

#[tokio::test]
async fn new_connections_get_the_renewed_certificate() {
    let (first, second) = (issue(), issue());
    let place = Place::with(&first);
    let tls = place.load().unwrap();
    assert!(!tls.reload().unwrap());
    let earlier = tls.acceptor();
    place.write(&second.certificate, &second.key);
    assert!(tls.reload().unwrap());
    let seen = connect(&tls, &client(&[&first, &second], BOTH, &[])).await.unwrap();
    assert_eq!(seen.certificate, second.der);
    assert!(!Arc::ptr_eq(earlier.config(), tls.acceptor().config()));
}

#[tokio::test]
async fn what_cannot_be_used_changes_nothing() {
    let (first, second) = (issue(), issue());
    let place = Place::with(&first);
    let tls = place.load().unwrap();
    let client = client(&[&first, &second], BOTH, &[]);
    for (certificate, key) in [(&second.certificate, &first.key), (&second.certificate, &String::new())] {
        place.write(certificate, key);
        tls.reload().unwrap_err();
        assert_eq!(connect(&tls, &client).await.unwrap().certificate, first.der);
    }
}

/// A client's hello, and what it is shown. `None` on the server's side: an ACME server was answered.
async fn shake(
    tls: &Tls,
    client: &Arc<ClientConfig>,
    name: &str,
) -> (Option<bool>, std::io::Result<Vec<u8>>) {
    let (ours, theirs) = duplex(64 << 10);
    let acceptor = tls.acceptor();
    let server = async move { acceptor.accept(ours).await.ok().map(|stream| stream.is_some()) };
    let connector = TlsConnector::from(client.clone());
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let client = async move {
        let stream = connector.connect(name, theirs).await?;
        Ok(stream.get_ref().1.peer_certificates().unwrap()[0].to_vec())
    };
    tokio::join!(server, client)
}

fn certified(issued: &Issued) -> CertifiedKey {
    let provider = ring::default_provider();
    let key = rustls::pki_types::PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
    CertifiedKey::new(vec![issued.der.clone()], provider.key_provider.load_private_key(key).unwrap())
}

#[tokio::test]
async fn without_a_certificate_whoever_comes_is_refused() {
    let issued = issue();
    let tls = Tls::new(&Config::default().tls).unwrap();
    assert_eq!((tls.source(), tls.leaf()), (Source::Acme, None));
    let (served, seen) = shake(&tls, &client(&[&issued], BOTH, &[]), "tracker.test").await;
    assert_eq!(served, None);
    assert!(seen.unwrap_err().to_string().contains("AccessDenied"));
    tls.serve(certified(&issued)).unwrap();
    assert_eq!(connect(&tls, &client(&[&issued], BOTH, &[])).await.unwrap().certificate, issued.der);
    assert_eq!(tls.leaf().unwrap().names, ["tracker.test"]);
    assert!(!tls.reload().unwrap(), "there are no files");
}

#[tokio::test]
async fn an_acme_server_alone_is_shown_its_challenge() {
    let (own, challenge) = (issue(), issue());
    let tls = Tls::new(&Config::default().tls).unwrap();
    tls.serve(certified(&own)).unwrap();
    let asks = client(&[&own, &challenge], BOTH, &["acme-tls/1"]);
    let (served, seen) = shake(&tls, &asks, "tracker.test").await;
    assert!(
        served.is_none() && seen.unwrap_err().to_string().contains("NoApplicationProtocol"),
        "none is pending"
    );

    let answers = [("tracker.test".to_owned(), Arc::new(certified(&challenge)))];
    tls.challenges.set(answers.into(), &tls.provider).unwrap();
    for name in ["tracker.test", "Tracker.TEST"] {
        let (served, seen) = shake(&tls, &asks, name).await;
        assert_eq!((served, seen.unwrap()), (Some(false), challenge.der.to_vec()), "{name}");
    }
    let (served, seen) = shake(&tls, &asks, "other.test").await;
    assert!(served.is_none() && seen.unwrap_err().to_string().contains("AccessDenied"));
    // Others see nothing of it, whatever they offer besides.
    for alpn in [&["h2", "http/1.1"][..], &["http/1.1"], &[], &["acme-tls/1", "h2"], &["h2", "acme-tls/1"]] {
        for versions in [&[&TLS12][..], &[&TLS13]] {
            let seen = connect(&tls, &client(&[&own, &challenge], versions, alpn)).await.unwrap();
            assert_eq!(seen.certificate, own.der, "{alpn:?}");
            assert_ne!(seen.alpn.as_deref(), Some(&b"acme-tls/1"[..]));
        }
    }
    tls.challenges.clear();
    let (served, seen) = shake(&tls, &asks, "tracker.test").await;
    assert!(served.is_none() && seen.is_err());
}

#[test]
fn the_chain_may_have_several_certificates_and_the_key_its_own_comments() {
    let (first, second) = (issue(), issue());
    let place = Place::with(&first);
    place.write(
        &format!("leaf\n{}\nissuer\r\n{}", first.certificate, second.certificate),
        &format!("# key\n{}", first.key),
    );
    assert_eq!(place.load().unwrap().current.load().chain, [first.der, second.der]);
}

/// The files' texts, and what the error must hold, one after the other.
#[test]
fn errors_say_which_file_what_is_wrong_and_what_to_do() {
    let issued = issue();
    let (certificate, key) = (issued.certificate.as_str(), issued.key.as_str());
    let other = issue();
    let encrypted = key.replace(" PRIVATE", " ENCRYPTED PRIVATE");
    let older = key.replacen("-----\n", "-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n", 1);
    let damaged = format!("{}\n", key.replace("-----END PRIVATE KEY-----", ""));
    let no_base64 = certificate.replacen("-----\nMII", "-----\n!!!", 1);
    let no_der = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let no_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let long = "#".repeat(1 + (1 << 20));
    let cases: &[(&str, &str, &[&str])] = &[
        ("", key, &["tls.certificate", "/certificate.pem: there is no certificate in it"]),
        (key, certificate, &["no certificate in it", "seem to be swapped"]),
        (certificate, "", &["tls.key", "/key.pem: there is no private key in it"]),
        (certificate, certificate, &["no private key in it", "seem to be swapped"]),
        (certificate, &encrypted, &["tls.key", "/key.pem: the key is encrypted", "openssl pkey"]),
        (certificate, &older, &["tls.key", "/key.pem: the key is encrypted", "openssl pkey"]),
        (
            certificate,
            &other.key,
            &["/key.pem: the key does not belong to", "/certificate.pem", "issued together"],
        ),
        (
            certificate,
            &damaged,
            &["tls.key", "not valid PEM: the line `-----END PRIVATE KEY-----` is missing"],
        ),
        (&no_base64, key, &["tls.certificate", "not valid PEM: ", "anew"]),
        (no_der, key, &["tls.certificate", "the first certificate in it cannot be used"]),
        (certificate, no_key, &["tls.key", "the key cannot be used", "ECDSA"]),
        (&long, key, &["tls.certificate", "longer than 1048576 bytes"]),
    ];
    for (certificate, key, expected) in cases {
        let place = Place::empty();
        place.write(certificate, key);
        let error = place.load().unwrap_err().to_string();
        let mut rest = error.as_str();
        for part in *expected {
            let Some((_, after)) = rest.split_once(part) else { panic!("{error}\n{part}") };
            rest = after;
        }
    }
}

#[test]
fn a_file_that_cannot_be_opened_is_named() {
    let place = Place::empty();
    let error = place.load().unwrap_err().to_string();
    assert!(
        error.contains("/certificate.pem: No such file") && error.contains("name an existing file"),
        "{error}"
    );
    fs::create_dir(place.certificate()).unwrap();
    let error = place.load().unwrap_err().to_string();
    assert!(error.contains("/certificate.pem: this is no regular file"), "{error}");
    let source = std::io::ErrorKind::PermissionDenied.into();
    let error = TlsError::Unreadable { role: Role::Key, path: "/k".into(), source }.to_string();
    assert!(error.starts_with("tls.key /k: permission denied; the user that the tracker runs as"), "{error}");
    let error = Tls::load(&Config::default().tls).unwrap_err().to_string();
    assert!(error.starts_with("tls.certificate: no file is named"), "{error}");
}

#[test]
fn a_look_tells_of_each_change_once() {
    let (first, second) = (issue(), issue());
    let place = Place::with(&first);
    let tls = place.load().unwrap();
    let mut watch = Watch::new(tls.files.as_ref().unwrap().1);
    assert!(matches!(watch.look(&tls), Look::Quiet));

    // A renewal that is seen half done is no error.
    place.replace(&place.certificate(), &second.certificate);
    assert!(matches!(watch.look(&tls), Look::Quiet));
    place.replace(&place.key(), &second.key);
    assert!(matches!(watch.look(&tls), Look::Renewed));
    assert!(matches!(watch.look(&tls), Look::Quiet));

    // One that stays half done is, once.
    place.replace(&place.certificate(), &first.certificate);
    assert!(matches!(watch.look(&tls), Look::Quiet));
    assert!(matches!(watch.look(&tls), Look::Broken(TlsError::Mismatch { .. })));
    assert!(matches!(watch.look(&tls), Look::Quiet));
    place.replace(&place.certificate(), &second.certificate);
    assert!(matches!(watch.look(&tls), Look::Mended));

    // A file that is gone, too.
    fs::remove_file(place.key()).unwrap();
    assert!(matches!(watch.look(&tls), Look::Quiet));
    assert!(matches!(watch.look(&tls), Look::Broken(TlsError::Unreadable { .. })));
    place.write(&first.certificate, &first.key);
    assert!(matches!(watch.look(&tls), Look::Renewed));

    // The same content under another identity is nothing to tell of.
    place.write(&first.certificate, &first.key);
    assert!(matches!(watch.look(&tls), Look::Quiet));
}

#[test]
fn links_are_followed() {
    let (first, second) = (issue(), issue());
    let place = Place::empty();
    for (name, issued) in [("1", &first), ("2", &second)] {
        let directory = place.directory.path().join(name);
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("certificate.pem"), &issued.certificate).unwrap();
        fs::write(directory.join("key.pem"), &issued.key).unwrap();
    }
    let link = |target: &str| {
        for path in [place.certificate(), place.key()] {
            let _ = fs::remove_file(&path);
            std::os::unix::fs::symlink(Path::new(target).join(path.file_name().unwrap()), &path).unwrap();
        }
    };
    link("1");
    let tls = place.load().unwrap();
    let mut watch = Watch::new(tls.files.as_ref().unwrap().1);
    link("2");
    assert!(matches!(watch.look(&tls), Look::Renewed));
    assert_eq!(tls.current.load().chain, [second.der]);
}

#[tokio::test]
async fn the_watcher_loads_what_is_renewed() {
    let (first, second) = (issue(), issue());
    let place = Place::with(&first);
    let tls = Arc::new(place.load().unwrap());
    let watcher = tokio::spawn(tls.clone().watch(Duration::from_millis(5)));
    place.write(&second.certificate, &second.key);
    let deadline = Instant::now() + Duration::from_secs(30);
    while tls.current.load().chain != [second.der.clone()] {
        assert!(Instant::now() < deadline && !watcher.is_finished());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    watcher.abort();
}

#[test]
fn an_error_tells_whose_file_it_is_and_whether_another_user_might_read_it() {
    let place = Place::with(&issue());
    place.write("", &issue().key);
    assert_eq!(place.load().unwrap_err().role(), Some(Role::Certificate));
    let place = Place::with(&issue());
    place.replace(&place.key(), &issue().key);
    let mismatch = place.load().unwrap_err();
    assert_eq!((mismatch.role(), mismatch.is_permission_denied()), (Some(Role::Key), false));
    for (kind, denied) in
        [(std::io::ErrorKind::PermissionDenied, true), (std::io::ErrorKind::NotFound, false)]
    {
        let error = TlsError::Unreadable { role: Role::Key, path: place.key(), source: kind.into() };
        assert_eq!((error.role(), error.is_permission_denied()), (Some(Role::Key), denied));
    }
}
