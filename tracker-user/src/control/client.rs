//! `riptide control`: asks a running tracker at its control socket, and prints what it answers.

use super::text;
use crate::{
    cli::{BanVerb, ControlArgs, DenyVerb, KeyVerb, Verb},
    config::CONTROL_SOCKET,
    exit::{self, Exit, print},
};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    client::conn::http1,
    header::HOST,
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::{
    env,
    error::Error as _,
    io,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{
    net::UnixStream,
    time::{sleep, timeout},
};

/// The longest reply that is read whole, bytes: a list of a million decisions is shorter.
const MAX_REPLY: usize = 320 << 20;
/// How long the tracker may be silent that is asked something.
const ANSWER: Duration = Duration::from_secs(30);
/// How long it may be silent that is to do something.
const DEED: Duration = Duration::from_secs(300);
/// How often a decision is offered again while another process of the tracker takes over, and how long after another.
const OFFERS: u32 = 50;
const BETWEEN_OFFERS: Duration = Duration::from_millis(200);

/// Why a tracker could not be asked.
#[derive(Debug, thiserror::Error)]
enum ClientError {
    #[error("control is \"off\" in the environment: name the socket with --socket")]
    Off,
    #[error(
        "no tracker is at {}: there is no such socket; see that it runs, and that this is its control.listen, or name \
         another with --socket", .0.display()
    )]
    Absent(PathBuf),
    #[error("no tracker answers at {}: it has ended and left its socket behind; start it", .0.display())]
    Gone(PathBuf),
    #[error(
        "{} may not be used by this user: the tracker's own user, its group and root may", .0.display()
    )]
    Forbidden(PathBuf),
    #[error("{} cannot be reached: {source}", .path.display())]
    Unreachable { path: PathBuf, source: io::Error },
    #[error("the tracker gave no answer for {} seconds; see its log, and whether its process hangs", .0.as_secs())]
    Silent(Duration),
    #[error("the answer is not whole: {0}; the tracker may have ended meanwhile, see its log")]
    Broken(String),
    #[error("the answer is not what a tracker says: {0}; see that {path} is its control socket", path = .1.display())]
    Strange(String, PathBuf),
    #[error("a thread could not be had: {0}")]
    Runtime(io::Error),
}

/// What a verb is in HTTP.
struct Call {
    method: Method,
    target: String,
    patience: Duration,
}

impl Call {
    fn of(verb: &Verb, json: bool) -> Self {
        let ask = |target: String| Self { method: Method::GET, target, patience: ANSWER };
        let order = |target: &str| Self { method: Method::POST, target: target.to_owned(), patience: DEED };
        let decide = |method, kind: &str, entry: &str| {
            let target = format!("/{kind}/{}", escaped(entry));
            Self { method, target, patience: DEED }
        };
        match verb {
            Verb::Status => ask("/status".to_owned()),
            Verb::Torrent { info_hash } => ask(format!("/torrent/{}", escaped(info_hash))),
            Verb::Export { format } => {
                let usual = if json { "jsonl" } else { "text" };
                ask(format!("/export?format={}", format.as_deref().unwrap_or(usual)))
            }
            Verb::Deny(DenyVerb::Add { info_hash }) => decide(Method::PUT, "deny", info_hash),
            Verb::Deny(DenyVerb::Remove { info_hash }) => decide(Method::DELETE, "deny", info_hash),
            Verb::Deny(DenyVerb::List) => ask("/deny".to_owned()),
            Verb::Ban(BanVerb::Add { network }) => decide(Method::PUT, "ban", network),
            Verb::Ban(BanVerb::Remove { network }) => decide(Method::DELETE, "ban", network),
            Verb::Ban(BanVerb::List) => ask("/ban".to_owned()),
            Verb::Key(KeyVerb::Add { key }) => decide(Method::PUT, "key", key),
            Verb::Key(KeyVerb::Remove { key }) => decide(Method::DELETE, "key", key),
            Verb::Key(KeyVerb::List) => ask("/key".to_owned()),
            Verb::Reload => order("/reload"),
            Verb::Save => order("/save"),
            Verb::Upgrade => order("/upgrade"),
        }
    }
}

impl Call {
    /// Whether it means the same however often it is asked for, and is to be done at once.
    fn is_repeatable(&self) -> bool {
        [Method::PUT, Method::DELETE].contains(&self.method)
    }
}

/// Whether the answer is a list, of which people want the decisions.
const fn lists(verb: &Verb) -> bool {
    matches!(verb, Verb::Deny(DenyVerb::List) | Verb::Ban(BanVerb::List) | Verb::Key(KeyVerb::List))
}

/// Asks, prints, and says how it ended: [`Exit::Failed`] if the tracker could not be asked, or did not do it.
#[must_use]
pub fn run(args: &ControlArgs) -> Exit {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = socket(args).and_then(|socket| {
        let runtime = runtime.map_err(ClientError::Runtime)?;
        runtime.block_on(speak(&socket, args))
    });
    outcome.unwrap_or_else(|error| Exit::Failed.because(&error))
}

/// The socket that the flag names, or the tracker's own environment, or the built-in one.
fn socket(args: &ControlArgs) -> Result<PathBuf, ClientError> {
    let named = args.socket.clone().or_else(|| env::var_os("RIPTIDE_CONTROL__LISTEN").map(PathBuf::from));
    match named {
        Some(path) if path.as_os_str() == "off" => Err(ClientError::Off),
        Some(path) => Ok(path),
        None => Ok(CONTROL_SOCKET.into()),
    }
}

async fn speak(socket: &Path, args: &ControlArgs) -> Result<Exit, ClientError> {
    let call = Call::of(&args.verb, args.json);
    let mut response = ask(socket, &call).await?;
    for _ in 0..OFFERS {
        if response.status() != StatusCode::SERVICE_UNAVAILABLE || !call.is_repeatable() {
            break;
        }
        // Whoever takes over answers at the same socket soon.
        sleep(BETWEEN_OFFERS).await;
        match ask(socket, &call).await {
            Ok(again) => response = again,
            // It was stopping, then.
            Err(_) => break,
        }
    }
    let status = response.status();
    if status.is_success() && matches!(args.verb, Verb::Export { .. }) {
        return pass_on(response.into_body(), call.patience).await;
    }
    let body = whole(response, call.patience).await?;
    let value: Value = serde_json::from_slice(&body)
        .map_err(|error| ClientError::Strange(error.to_string(), socket.to_owned()))?;
    let printed = match args.json {
        true => print(&String::from_utf8_lossy(&body)),
        false if status.is_success() && lists(&args.verb) => print(&text::decisions(&value["decided"])),
        false if status.is_success() => print(&text::render(&value)),
        false => Exit::Clean,
    };
    Ok(if status.is_success() { printed } else { refused(status, &value) })
}

/// Says why the tracker did not do it: each part, then the whole.
fn refused(status: StatusCode, value: &Value) -> Exit {
    for problem in value["problems"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let _ = Exit::Failed.because(&problem);
    }
    match value["error"].as_str() {
        Some(error) => Exit::Failed.because(&error),
        None => Exit::Failed.because(&format!("the tracker refused this with status {status}")),
    }
}

/// Writes to standard output what comes, as it comes.
async fn pass_on(mut body: Incoming, patience: Duration) -> Result<Exit, ClientError> {
    loop {
        let frame = match timeout(patience, body.frame()).await {
            Ok(Some(frame)) => frame.map_err(|error| broken(&error))?,
            Ok(None) => return Ok(Exit::Clean),
            Err(_) => return Err(ClientError::Silent(patience)),
        };
        // Whoever reads may have seen enough, or its disk be full: there is nobody to write more for.
        if let Some(bytes) = frame.data_ref()
            && let Err(exit) = exit::write(bytes)
        {
            return Ok(exit);
        }
    }
}

/// Everything but letters and digits as percent-escapes, so that whatever was typed is one part of a path.
fn escaped(text: &str) -> String {
    let escape = |byte: u8| match byte.is_ascii_alphanumeric() {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

/// Asks, and returns once the head of the answer is there.
async fn ask(socket: &Path, call: &Call) -> Result<Response<Incoming>, ClientError> {
    let stream = UnixStream::connect(socket).await.map_err(|source| unreachable(socket, source))?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
    // Its errors are told by what waits for the answer.
    tokio::spawn(connection);
    let request = Request::builder()
        .method(&call.method)
        .uri(&call.target)
        .header(HOST, "riptide")
        .body(Empty::<Bytes>::new())
        .map_err(|error| ClientError::Broken(error.to_string()))?;
    let answered = timeout(call.patience, sender.send_request(request)).await;
    answered.map_err(|_| ClientError::Silent(call.patience))?.map_err(|error| broken(&error))
}

fn unreachable(path: &Path, source: io::Error) -> ClientError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound => ClientError::Absent(path),
        io::ErrorKind::ConnectionRefused => ClientError::Gone(path),
        io::ErrorKind::PermissionDenied => ClientError::Forbidden(path),
        _ => ClientError::Unreachable { path, source },
    }
}

fn broken(error: &hyper::Error) -> ClientError {
    let cause = error.source().map(|cause| format!(" ({cause})")).unwrap_or_default();
    ClientError::Broken(format!("{error}{cause}"))
}

/// The body of an answer that is not long.
async fn whole(response: Response<Incoming>, patience: Duration) -> Result<Bytes, ClientError> {
    match timeout(patience, Limited::new(response.into_body(), MAX_REPLY).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) => Err(ClientError::Broken(error.to_string())),
        Err(_) => Err(ClientError::Silent(patience)),
    }
}
