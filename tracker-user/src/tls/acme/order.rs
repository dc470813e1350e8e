//! One order, from the account to the certificate (RFC 8555), with TLS-ALPN-01 (RFC 8737) for each name.

use super::{
    client::Client,
    failure::{Failure, kind, tame, told},
    settings::Settings,
    store::{KeptAccount, Store, certified},
};
use crate::tls::{Leaf, Tls, roots};
use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, CertificateIdentifier, ChallengeType, Error,
    Identifier, NewAccount, NewOrder, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::{
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    sign::CertifiedKey,
};
use std::{collections::HashMap, error::Error as StdError, sync::Arc, time::Duration};
use tokio::time::timeout;

/// How long a server may take to look at the names, and again to make the certificate. Each look at it waits half as long again
/// as the one before.
const PATIENCE: Duration = Duration::from_secs(180);
const FIRST_LOOK: Duration = Duration::from_millis(250);
const SLOWER: f32 = 1.5;
/// How long an order may take in all.
const WHOLE: Duration = Duration::from_secs(600);

/// Names the CA of a server that no public one has signed.
const CA_KEY: &str = "tls.acme.directory_ca";

/// What an order is made of.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) settings: Settings,
    pub(super) store: Store,
    pub(super) tls: Arc<Tls>,
    /// The certificate that the new one is to take the place of.
    pub(super) replaces: Option<CertificateDer<'static>>,
}

/// What was given.
#[derive(Debug)]
pub(super) struct Obtained {
    pub(super) key: CertifiedKey,
    pub(super) leaf: Leaf,
    /// Both as PEM.
    pub(super) chain_and_key: String,
}

/// Nothing was, and the server may have said until when to wait: seconds since 1970.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) failure: Failure,
    pub(super) retry_after: Option<u64>,
}

/// What a server says about when a certificate is renewed: between two times, seconds since 1970, and after how long it
/// wants to be asked again, seconds. `None`: it says nothing of the kind.
pub(super) type Suggestion = Option<(u64, u64, u64)>;

/// Nobody sees challenges any more when it is dropped, whatever has become of the order.
struct Shown<'a>(&'a Tls);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        self.0.challenges.clear();
    }
}

impl Order {
    /// Asks for a certificate.
    pub(super) async fn obtain(&self) -> Result<Obtained, Failed> {
        let without_word = |failure| Failed { failure, retry_after: None };
        let client = self.client().await.map_err(without_word)?;
        let _shown = Shown(&self.tls);
        let outcome = timeout(WHOLE, self.go(&client)).await;
        outcome
            .unwrap_or(Err(Failure::Slow))
            .map_err(|failure| Failed { failure, retry_after: client.retry_after() })
    }

    /// Asks when this certificate is to be renewed (RFC 9773).
    pub(super) async fn suggestion(&self, certificate: &CertificateDer<'_>) -> Result<Suggestion, Failure> {
        let Ok(identifier) = CertificateIdentifier::try_from(certificate) else { return Ok(None) };
        let client = self.client().await?;
        let Some(account) = self.kept_account(&client).await? else { return Ok(None) };
        match account.renewal_info(&identifier).await {
            Ok((info, again)) => {
                let seconds = |time: i64| u64::try_from(time).unwrap_or(0);
                let window = info.suggested_window;
                let [start, end] = [window.start, window.end].map(|time| seconds(time.unix_timestamp()));
                Ok(Some((start, end, again.as_secs())))
            }
            Err(Error::Unsupported(_)) => Ok(None),
            Err(error) => Err(self.failure(error)),
        }
    }

    async fn client(&self) -> Result<Client, Failure> {
        let roots = match &self.settings.roots {
            Some(roots) => roots.clone(),
            None => Arc::new(blocking(|| roots::of_system(CA_KEY)).await?),
        };
        Client::new(roots, &self.tls.provider, self.settings.request_timeout).map_err(no_key)
    }

    fn failure(&self, error: Error) -> Failure {
        Failure::of(error, &self.settings.directory)
    }

    async fn go(&self, client: &Client) -> Result<Obtained, Failure> {
        let account = match self.kept_account(client).await? {
            Some(account) => account,
            None => self.new_account(client).await?,
        };
        let mut order = match self.place(&account).await {
            // A server that has forgotten the account gives another.
            Err(Error::Api(problem)) if kind(&problem) == "accountDoesNotExist" => {
                let account = self.new_account(client).await?;
                self.place(&account).await
            }
            placed => placed,
        }
        .map_err(|error| self.failure(error))?;
        self.meet_challenges(&mut order).await?;
        let looks = RetryPolicy::new().initial_delay(FIRST_LOOK).backoff(SLOWER).timeout(PATIENCE);
        let ready = order.poll_ready(&looks).await;
        if !matches!(ready, Ok(OrderStatus::Ready)) {
            let reasons = reasons(&mut order).await;
            return Err(match ready {
                _ if !reasons.is_empty() => Failure::Challenge(tame(&reasons.join("; "))),
                Err(error) => self.failure(error),
                Ok(status) => Failure::Refused(format!("the order has become {status:?}, without a reason")),
            });
        }
        let key = KeyPair::generate().map_err(no_key)?;
        let mut parameters = CertificateParams::new(self.settings.domains.clone()).map_err(no_key)?;
        parameters.distinguished_name = DistinguishedName::new();
        let request = parameters.serialize_request(&key).map_err(no_key)?;
        order.finalize_csr(request.der()).await.map_err(|error| self.failure(error))?;
        let chain = order.poll_certificate(&looks).await.map_err(|error| self.failure(error))?;
        obtained(&self.settings.domains, &format!("{}{chain}", key.serialize_pem()), &self.tls.provider)
    }

    /// The account that is kept for this server, with the contact of now.
    async fn kept_account(&self, client: &Client) -> Result<Option<Account>, Failure> {
        let (store, directory) = (self.store.clone(), self.settings.directory.clone());
        let kept = blocking(move || store.account(&directory)).await.unwrap_or_else(|fault| {
            tracing::warn!("acme: {fault}; another account takes the place of the one in it");
            None
        });
        let Some(mut kept) = kept else { return Ok(None) };
        let Ok(credentials) = serde_json::from_value::<AccountCredentials>(kept.credentials.clone()) else {
            tracing::warn!("acme: the account that is kept cannot be used; another takes its place");
            return Ok(None);
        };
        let builder = Account::builder_with_http(Box::new(client.clone()));
        let account = builder.from_credentials(credentials).await.map_err(|error| self.failure(error))?;
        if kept.contact != self.settings.contact {
            let contact: Vec<&str> = self.settings.contact.iter().map(String::as_str).collect();
            account.update_contacts(&contact).await.map_err(|error| self.failure(error))?;
            kept.contact.clone_from(&self.settings.contact);
            self.keep(kept).await?;
        }
        Ok(Some(account))
    }

    async fn new_account(&self, client: &Client) -> Result<Account, Failure> {
        let Settings { directory, contact, .. } = &self.settings;
        let contacts: Vec<&str> = contact.iter().map(String::as_str).collect();
        let wanted =
            NewAccount { contact: &contacts, terms_of_service_agreed: true, only_return_existing: false };
        let builder = Account::builder_with_http(Box::new(client.clone()));
        let (account, credentials) =
            builder.create(&wanted, directory.clone(), None).await.map_err(|error| self.failure(error))?;
        let credentials = serde_json::to_value(credentials).map_err(|error| self.failure(error.into()))?;
        let (directory, contact) = (directory.clone(), contact.clone());
        self.keep(KeptAccount { directory, contact, credentials }).await?;
        Ok(account)
    }

    async fn keep(&self, account: KeptAccount) -> Result<(), Failure> {
        let store = self.store.clone();
        let kept = blocking(move || store.keep_account(&account)).await;
        kept.map_err(|source| Failure::NotKept { path: self.store.directory().to_owned(), source })
    }

    async fn place(&self, account: &Account) -> Result<instant_acme::Order, Error> {
        let names: Vec<Identifier> = self.settings.domains.iter().cloned().map(Identifier::Dns).collect();
        if let Some(identifier) =
            self.replaces.as_ref().and_then(|old| CertificateIdentifier::try_from(old).ok())
        {
            match account.new_order(&NewOrder::new(&names).replaces(identifier)).await {
                // It knows of no replacing, or the old one was replaced already, by an order of which nothing came.
                Err(Error::Unsupported(_)) => {}
                Err(Error::Api(problem)) if ["alreadyReplaced", "malformed"].contains(&kind(&problem)) => {}
                placed => return placed,
            }
        }
        account.new_order(&NewOrder::new(&names)).await
    }

    /// Shows the server what it wants to see, and says so.
    async fn meet_challenges(&self, order: &mut instant_acme::Order) -> Result<(), Failure> {
        let mut answers = HashMap::new();
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.map_err(|error| self.failure(error))?;
            let name = authorization.identifier().to_string();
            if authorization.status == AuthorizationStatus::Valid {
                continue;
            }
            let challenge = authorization.challenge(ChallengeType::TlsAlpn01);
            let mut challenge = challenge.ok_or_else(|| Failure::NoChallenge(name.clone()))?;
            let answer = answer(&name, challenge.key_authorization().digest().as_ref(), &self.tls.provider)?;
            answers.insert(name.to_ascii_lowercase(), Arc::new(answer));
            self.tls.challenges.set(answers.clone(), &self.tls.provider).map_err(no_key)?;
            challenge.set_ready().await.map_err(|error| self.failure(error))?;
        }
        Ok(())
    }
}

/// Why challenges were not met, in the server's words.
async fn reasons(order: &mut instant_acme::Order) -> Vec<String> {
    let mut reasons = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        if authorization.refresh().await.is_err() {
            continue;
        }
        let name = authorization.identifier().to_string();
        let problems = authorization.challenges.iter().filter_map(|challenge| challenge.error.as_ref());
        reasons.extend(problems.map(|problem| format!("{name}: {}", told(problem))));
    }
    reasons
}

/// The certificate by which a challenge is met (RFC 8737 section 3).
fn answer(name: &str, digest: &[u8], provider: &CryptoProvider) -> Result<CertifiedKey, Failure> {
    let key = KeyPair::generate().map_err(no_key)?;
    let mut parameters = CertificateParams::new([name.to_owned()]).map_err(no_key)?;
    parameters.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let certificate = parameters.self_signed(&key).map_err(no_key)?;
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let signing = provider.key_provider.load_private_key(private).map_err(no_key)?;
    Ok(CertifiedKey::new(vec![certificate.der().clone()], signing))
}

/// What a server gave, if it is for these names and can be used.
fn obtained(domains: &[String], chain_and_key: &str, provider: &CryptoProvider) -> Result<Obtained, Failure> {
    let key = certified(chain_and_key, provider).map_err(|reason| Failure::Useless(tame(&reason)))?;
    let leaf = key.cert.first().and_then(Leaf::read);
    let leaf = leaf.ok_or_else(|| Failure::Useless("the first certificate cannot be read".to_owned()))?;
    if let Some(lacking) =
        domains.iter().find(|name| !leaf.names.iter().any(|it| it.eq_ignore_ascii_case(name)))
    {
        return Err(Failure::Useless(format!("the certificate is not for {lacking}")));
    }
    Ok(Obtained { key, leaf, chain_and_key: chain_and_key.to_owned() })
}

fn no_key(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Failure {
    Failure::NoKey(error.into())
}

/// Does what may wait for a disk.
pub(super) async fn blocking<T: Send + 'static, E: Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime is going.
        Err(_) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::crypto::ring;
    use x509_parser::parse_x509_certificate;

    #[test]
    fn a_challenge_is_met_by_a_critical_extension_with_its_digest() {
        let digest: [u8; 32] = std::array::from_fn(|n| n as u8);
        let answer = answer("a.example", &digest, &ring::default_provider()).unwrap();
        let (_, certificate) = parse_x509_certificate(&answer.cert[0]).unwrap();
        assert_eq!(Leaf::read(&answer.cert[0]).unwrap().names, ["a.example"]);
        let its = certificate.extensions().iter().filter(|it| it.oid.to_id_string() == "1.3.6.1.5.5.7.1.31");
        let [extension] = its.collect::<Vec<_>>()[..] else { panic!("one extension") };
        assert!(extension.critical);
        assert_eq!(extension.value, [&[0x04, 0x20][..], &digest].concat());
    }

    #[test]
    fn a_certificate_must_be_for_all_names() {
        let provider = ring::default_provider();
        let names = ["a.example", "b.example"].map(str::to_owned);
        let made = rcgen::generate_simple_self_signed(names.clone()).unwrap();
        let text = format!("{}{}", made.signing_key.serialize_pem(), made.cert.pem());
        assert_eq!(obtained(&names, &text, &provider).unwrap().leaf.names, names);
        let more = ["b.example", "c.example"].map(str::to_owned);
        let failure = obtained(&more, &text, &provider).unwrap_err();
        assert!(failure.to_string().contains("not for c.example"), "{failure}");
        let failure = obtained(&names, &made.cert.pem(), &provider).unwrap_err();
        assert!(failure.to_string().contains("no private key"), "{failure}");
    }
}
