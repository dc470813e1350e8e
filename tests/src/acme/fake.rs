//! An ACME server (RFC 8555) that does as a test wants: it counts, refuses, says nothing, or signs whatever is asked for. It checks
//! no signature and no challenge, which Pebble does.

use super::{Shown, strict};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, IsCa, Issuer, KeyIdMethod,
    KeyPair, SerialNumber,
};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, CertificateSigningRequestDer, PrivateKeyDer, pem::PemObject as _},
};
use serde_json::{Value, json};
use std::{
    io::{BufReader, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

/// How it treats an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mood {
    /// By a certificate.
    Signs,
    /// By "too many", with these words as Retry-After.
    Limits(String),
    /// By silence.
    IsSilent,
}

/// The key identifier of its CA and the serial number of what it signs, of which RFC 9773 section 4.1 makes [`ARI_IDENTIFIER`].
const KEY_IDENTIFIER: [u8; 20] = [
    0x69, 0x88, 0x5b, 0x6b, 0x87, 0x46, 0x40, 0x41, 0xe1, 0xb3, 0x7b, 0x84, 0x7b, 0xa0, 0xae, 0x2c, 0xde,
    0x01, 0xc8, 0xd4,
];
const SERIAL: [u8; 4] = [0x87, 0x65, 0x43, 0x21];

/// By what a server is asked when a certificate of this one is to be renewed, as RFC 9773 has it.
pub const ARI_IDENTIFIER: &str = "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE";

/// A request.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its target.
    pub path: String,
    /// What its JWS carries, if that is JSON.
    pub payload: Value,
}

/// The server. It is there until the test's process ends.
pub struct Fake {
    shown: Shown,
    address: SocketAddr,
    inside: Arc<Inside>,
}

struct Inside {
    base: String,
    mood: Mutex<Mood>,
    /// Whether it suggests times of renewal; those it then suggests are long past.
    suggests: Mutex<bool>,
    asked: Mutex<Vec<Asked>>,
    /// The chain that was signed last.
    chain: Mutex<String>,
    ca: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Fake {
    /// In this mood, with this certificate of its own.
    #[must_use]
    pub fn start(mood: Mood, shown: Shown) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("its number");
        let key = KeyPair::generate().expect("a key");
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, "Fake CA");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_identifier_method = KeyIdMethod::PreSpecified(KEY_IDENTIFIER.to_vec());
        let root = parameters.self_signed(&key).expect("a certificate").der().clone();
        let inside = Arc::new(Inside {
            base: format!("https://{address}"),
            mood: Mutex::new(mood),
            suggests: Mutex::default(),
            asked: Mutex::default(),
            chain: Mutex::default(),
            ca: Issuer::new(parameters, key),
            root,
        });
        let certificate = CertificateDer::from_pem_file(shown.file()).expect("a certificate");
        let key = PrivateKeyDer::from_pem_file(shown.key_file()).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions of TLS")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("a pair");
        let (tls, serving) = (Arc::new(tls), inside.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (tls, inside) = (tls.clone(), serving.clone());
                thread::spawn(move || inside.serve(tls, stream));
            }
        });
        Self { shown, address, inside }
    }

    /// The address of its directory.
    #[must_use]
    pub fn directory(&self) -> String {
        format!("https://{}/directory", self.address)
    }

    /// The file with the certificate that it shows itself.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.shown.file()
    }

    /// A client that trusts what it signs, and nothing else.
    #[must_use]
    pub fn client(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.inside.root.clone()).expect("a root");
        strict(roots, &["http/1.1"])
    }

    /// From now on it says that what it has signed should have been renewed long ago.
    pub fn suggest_renewal(&self) {
        *held(&self.inside.suggests) = true;
    }

    /// The requests so far whose target begins so.
    #[must_use]
    pub fn asked(&self, path: &str) -> Vec<Asked> {
        held(&self.inside.asked).iter().filter(|asked| asked.path.starts_with(path)).cloned().collect()
    }

    /// Orders so far.
    #[must_use]
    pub fn orders(&self) -> usize {
        self.asked("/new-order").len()
    }
}

/// A reply: its status, further lines of its head (each with its end), its body.
struct Reply(u16, String, String);

impl Inside {
    fn serve(&self, tls: Arc<ServerConfig>, stream: TcpStream) {
        let Ok(connection) = ServerConnection::new(tls) else { return };
        let mut stream = BufReader::new(StreamOwned::new(connection, stream));
        // Whoever does not like the certificate says nothing.
        let Some((method, path, body)) = read(&mut stream) else { return };
        let jws: Value = serde_json::from_str(&body).unwrap_or_default();
        let payload = jws["payload"].as_str().map(base64url).unwrap_or_default();
        let payload: Value = serde_json::from_slice(&payload).unwrap_or_default();
        let asked = Asked { path: path.clone(), payload: payload.clone() };
        held(&self.asked).push(asked);
        let mood = held(&self.mood).clone();
        if path == "/new-order" && mood == Mood::IsSilent {
            // Until the client is gone.
            let _ = stream.read(&mut [0]);
            return;
        }
        let Reply(status, head, body) = self.reply(&method, &path, &payload, &mood);
        let kind = match status {
            400.. => "application/problem+json",
            _ => "application/json",
        };
        let length = if method == "HEAD" { 0 } else { body.len() };
        let text = format!(
            "HTTP/1.1 {status} Status\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nReplay-Nonce: once\r\n\
             Connection: close\r\n{head}\r\n{}",
            &body[..length]
        );
        let stream = stream.get_mut();
        let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
        stream.conn.send_close_notify();
        let _ = stream.flush();
    }

    fn reply(&self, method: &str, path: &str, payload: &Value, mood: &Mood) -> Reply {
        let base = &self.base;
        let ok = |body: Value| Reply(200, String::new(), body.to_string());
        let (what, which) = path.trim_start_matches('/').split_once('/').unwrap_or((&path[1..], ""));
        match (method, what, mood) {
            ("GET", "directory", _) => {
                let mut directory = json!({
                    "newNonce": format!("{base}/nonce"),
                    "newAccount": format!("{base}/new-account"),
                    "newOrder": format!("{base}/new-order"),
                });
                if *held(&self.suggests) {
                    directory["renewalInfo"] = format!("{base}/renewal").into();
                }
                ok(directory)
            }
            ("GET", "renewal", _) => Reply(
                200,
                "Retry-After: 21600\r\n".to_owned(),
                json!({ "suggestedWindow": { "start": "2020-01-01T00:00:00Z", "end": "2020-01-02T00:00:00Z" } }).to_string(),
            ),
            ("HEAD", "nonce", _) => Reply(200, String::new(), String::new()),
            ("POST", "new-account", _) => {
                Reply(201, format!("Location: {base}/account/1\r\n"), json!({ "status": "valid" }).to_string())
            }
            ("POST", "new-order", Mood::Limits(after)) => Reply(
                429,
                format!("Retry-After: {after}\r\n"),
                json!({ "type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many certificates" }).to_string(),
            ),
            ("POST", "new-order", _) => {
                let names = payload["identifiers"].as_array().expect("identifiers");
                let names: Vec<&str> = names.iter().filter_map(|name| name["value"].as_str()).collect();
                let mut order = self.order(&names, "ready");
                if payload["replaces"].is_string() {
                    order["replaces"] = payload["replaces"].clone();
                }
                Reply(201, format!("Location: {base}/order/{}\r\n", names.join("+")), order.to_string())
            }
            ("POST", "order", _) => {
                let names: Vec<&str> = which.split('+').collect();
                let status = if held(&self.chain).is_empty() { "ready" } else { "valid" };
                ok(self.order(&names, status))
            }
            ("POST", "authorization", _) => ok(json!({
                "identifier": { "type": "dns", "value": which }, "status": "valid", "challenges": [],
            })),
            ("POST", "finalize", _) => {
                *held(&self.chain) = self.sign(payload["csr"].as_str().expect("a request"));
                let names: Vec<&str> = which.split('+').collect();
                ok(self.order(&names, "valid"))
            }
            // The next order begins anew.
            ("POST", "certificate", _) => Reply(200, String::new(), std::mem::take(&mut *held(&self.chain))),
            _ => Reply(404, String::new(), json!({ "detail": format!("no {method} {path}") }).to_string()),
        }
    }

    fn order(&self, names: &[&str], status: &str) -> Value {
        let (base, all) = (&self.base, names.join("+"));
        let authorizations: Vec<String> =
            names.iter().map(|name| format!("{base}/authorization/{name}")).collect();
        json!({
            "status": status,
            "identifiers": names.iter().map(|name| json!({ "type": "dns", "value": name })).collect::<Vec<_>>(),
            "authorizations": authorizations,
            "finalize": format!("{base}/finalize/{all}"),
            "certificate": format!("{base}/certificate/{all}"),
        })
    }

    /// A certificate for what is asked for, which signs with [`SERIAL`].
    fn sign(&self, csr: &str) -> String {
        let request = CertificateSigningRequestDer::from(base64url(csr));
        let mut request = CertificateSigningRequestParams::from_der(&request).expect("a request");
        request.params.serial_number = Some(SerialNumber::from_slice(&SERIAL));
        request.params.use_authority_key_identifier_extension = true;
        request.params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        request.params.not_after = rcgen::date_time_ymd(2096, 1, 1);
        request.signed_by(&self.ca).expect("a certificate").pem()
    }
}

/// The method, target and body of a request.
fn read(stream: &mut impl std::io::BufRead) -> Option<(String, String, String)> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.to_ascii_lowercase());
        if lines.len() == 1 {
            lines[0] = line;
        }
    }
    let mut words = lines.first()?.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let length = lines.iter().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).ok()?;
    Some((method, path, String::from_utf8(body).ok()?))
}

/// What a text is in base64url without padding (RFC 4648 section 5).
fn base64url(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digit = |byte: u8| ALPHABET.iter().position(|letter| *letter == byte).expect("base64url") as u32;
    text.as_bytes()
        .chunks(4)
        .flat_map(|four| {
            let bits = four.iter().fold(0, |bits, byte| bits << 6 | digit(*byte)) << (6 * (4 - four.len()));
            bits.to_be_bytes()[1..four.len()].to_vec()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 4648 section 10, without padding.
    #[test]
    fn base64url_is_read() {
        for (text, read) in [
            ("", ""),
            ("Zg", "f"),
            ("Zm8", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg", "foob"),
            ("Zm9vYmFy", "foobar"),
        ] {
            assert_eq!(base64url(text), read.as_bytes());
        }
        assert_eq!(base64url("-_8"), [0xfb, 0xff]);
    }
}
