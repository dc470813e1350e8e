//! The connection to NATS: subjects, subscriptions, and who may say what.

use super::{
    ClusterMaterial, Credentials,
    intake::{Arrived, Door},
    node::To,
    receive::Channel,
};
use crate::{config, random::seed};
use async_nats::{Client, ConnectOptions, Event, connection::State};
use bytes::Bytes;
use futures_util::StreamExt as _;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{sync::mpsc, time::timeout};
use tracker_core::{nodes, rng::Rng};

/// Messages that the client keeps for each subscription until they are taken: they are at once.
const WAITING: usize = 1024;
/// Messages that wait to be sent.
const SENDING: usize = 1024;
/// How long a message may wait to be sent before it is lost. Others ask for it again.
const SEND: Duration = Duration::from_secs(1);
/// The shortest time from one attempt to connect to the next, and the longest; half of it is left to chance.
const RECONNECT: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(8)];
/// How long an attempt may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How often the server is asked whether it is there; after two questions without an answer the connection is given up.
const PING: Duration = Duration::from_secs(5);

/// The oldest servers without known holes in what they ask of each other: (2, 12, 7), and 2.14 and later.
const MINIMUM: [(u32, u32, u32); 2] = [(2, 12, 7), (2, 14, 0)];

/// Why there can be no connection, whatever the network does.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The credentials are none.
    #[error(
        "{file}: these are no credentials of NATS ({source}): have them made anew, by `nsc generate creds`"
    )]
    Credentials {
        /// Where they are.
        file: String,
        /// What is wrong.
        source: std::io::Error,
    },
    /// The client does not begin.
    #[error("cluster.servers: {0}")]
    Begin(#[from] async_nats::ConnectError),
    /// A subscription cannot be made.
    #[error("NATS, subject {subject}: {source}")]
    Subscribe {
        /// Of which subject.
        subject: String,
        /// Why.
        source: async_nats::client::SubscribeError,
    },
}

/// What becomes of the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// It is there.
    Connected,
    /// It is not.
    Disconnected,
    /// A message was dropped, since those before were not taken in time.
    Slow,
    /// Something is wrong with it, of which the operator has to know.
    Trouble(String),
}

/// A connection, which comes again by itself whenever it is lost.
#[derive(Debug)]
pub struct Link {
    client: Client,
    name: Box<str>,
    node: Box<str>,
    /// Messages that could not be sent.
    unsent: AtomicU64,
}

impl Link {
    /// Begins to connect; `news` hears what becomes of it. Has to be called in a runtime, which then has to run.
    ///
    /// # Errors
    /// If there can be no connection.
    pub async fn begin(
        config: &config::Cluster,
        material: &ClusterMaterial,
        news: mpsc::Sender<News>,
    ) -> Result<Self, Error> {
        let client = options(config, material, news)?.connect(addresses(config)).await?;
        let [name, node] = [config.name.as_str(), material.node.as_str()].map(Into::into);
        Ok(Self { client, name, node, unsent: AtomicU64::new(0) })
    }

    /// Lets everything that is for this node in by a door.
    ///
    /// # Errors
    /// If a subscription cannot be made.
    pub async fn listen(&self, door: &Door) -> Result<(), Error> {
        let Self { name, node, .. } = self;
        for subject in [format!("{name}.changes.*"), format!("{name}.alive.*"), format!("{name}.to.{node}.*")]
        {
            let subscribed = self.client.subscribe(subject.clone()).await;
            let mut messages = subscribed.map_err(|source| Error::Subscribe { subject, source })?;
            let door = door.clone();
            tokio::spawn(async move {
                while let Some(message) = messages.next().await {
                    door.push(Arrived { subject: message.subject.as_str().into(), bytes: message.payload });
                }
            });
        }
        Ok(())
    }

    /// Sends a message, if there is a connection and it takes it in time. Whether it did.
    pub async fn send(&self, to: &To, message: Bytes) -> bool {
        let Self { name, node, .. } = self;
        let subject = match to {
            To::Changes => format!("{name}.changes.{node}"),
            To::Alive => format!("{name}.alive.{node}"),
            To::Node(other) => format!("{name}.to.{other}.{node}"),
        };
        let is_sent = self.is_connected()
            && matches!(timeout(SEND, self.client.publish(subject, message)).await, Ok(Ok(())));
        if !is_sent {
            self.lose(1);
        }
        is_sent
    }

    /// So many messages are not sent.
    pub fn lose(&self, messages: usize) {
        self.unsent.fetch_add(messages as u64, Ordering::Relaxed);
    }

    /// Waits until what was sent has left, for a moment at most.
    pub async fn flush(&self) {
        if self.is_connected() {
            let _ = timeout(SEND, self.client.flush()).await;
        }
    }

    /// Whether there is a connection.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Messages that could not be sent.
    #[must_use]
    pub fn unsent(&self) -> u64 {
        self.unsent.load(Ordering::Relaxed)
    }

    /// The server's version, and what is wrong with it.
    #[must_use]
    pub fn server(&self) -> (String, Option<String>) {
        let version = self.client.server_info().version;
        let warning = is_too_old(&version).then(|| {
            format!(
                "the NATS server is version {version}, in which others can get past what it asks of them: install 2.12.7, or 2.14 \
                 or later"
            )
        });
        (version, warning)
    }
}

/// Whether a server of this version has known holes. One that is not understood has none.
fn is_too_old(version: &str) -> bool {
    let mut parts = version.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let (Some(major), Some(minor), Some(patch)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let version = (major, minor, patch);
    let [first, second] = MINIMUM;
    version < first || (first.0, first.1 + 1, 0) <= version && version < second
}

fn addresses(config: &config::Cluster) -> Vec<async_nats::ServerAddr> {
    config.servers.iter().filter_map(|server| server.to_string().parse().ok()).collect()
}

fn options(
    config: &config::Cluster,
    material: &ClusterMaterial,
    news: mpsc::Sender<News>,
) -> Result<ConnectOptions, Error> {
    let options = ConnectOptions::new()
        .name(format!("riptide {}", material.node))
        .no_echo()
        .retry_on_initial_connect()
        .connection_timeout(CONNECT)
        .ping_interval(PING)
        .subscription_capacity(WAITING)
        .client_capacity(SENDING)
        .ignore_discovered_servers()
        .max_reconnects(None)
        .reconnect_delay_callback(reconnect_delay())
        .require_tls(config.servers.iter().any(|server| server.tls))
        .event_callback(move |event| {
            let news = news.clone();
            async move {
                let told = match event {
                    Event::Connected => News::Connected,
                    Event::Disconnected | Event::Closed => News::Disconnected,
                    Event::ServerError(error) => News::Trouble(error.to_string()),
                    Event::ClientError(error) => News::Trouble(error.to_string()),
                    Event::SlowConsumer(_) => News::Slow,
                    Event::LameDuckMode | Event::Draining => return,
                };
                // Whoever hears it may be busy, or gone.
                let _ = news.try_send(told);
            }
        });
    let options = options.tls_client_config(material.tls.clone());
    match &material.credentials {
        Credentials::None => Ok(options),
        Credentials::Creds(text) => {
            let file =
                config.credentials.as_ref().map_or_else(String::new, |file| file.display().to_string());
            options.credentials(text).map_err(|source| Error::Credentials { file, source })
        }
        Credentials::NKey(seed) => Ok(options.nkey(seed.clone())),
        Credentials::Login { user, password } => {
            Ok(options.user_and_password(user.clone(), password.clone()))
        }
    }
}

/// Longer from attempt to attempt, by chance, so that nodes do not come back all at once.
fn reconnect_delay() -> impl Fn(usize) -> Duration + Send + Sync + 'static {
    let rng = Arc::new(parking_lot::Mutex::new(Rng::new(seed().unwrap_or_default())));
    move |attempts| {
        let [least, most] = RECONNECT;
        let longest = least.saturating_mul(1 << attempts.min(16)).min(most);
        let half = longest / 2;
        half + Duration::from_millis(rng.lock().below(half.as_millis() as usize + 1) as u64)
    }
}

/// Who sent a message, and how, by its subject in the cluster of this name.
#[must_use]
pub fn sender<'a>(name: &str, subject: &'a str) -> Option<(&'a str, Channel)> {
    let mut tokens = subject.strip_prefix(name)?.strip_prefix('.')?.split('.');
    let channel = match tokens.next()? {
        "changes" => Channel::Changes,
        "alive" => Channel::Alive,
        "to" => {
            tokens.next()?;
            Channel::Direct
        }
        _ => return None,
    };
    let from = tokens.next().filter(|from| nodes::is_name(from))?;
    tokens.next().is_none().then_some((from, channel))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subject_says_who_sent_a_message() {
        let cases = [
            ("rt.changes.a", Some(("a", Channel::Changes))),
            ("rt.alive.b-1", Some(("b-1", Channel::Alive))),
            ("rt.to.a.b", Some(("b", Channel::Direct))),
            ("rt.to.a", None),
            ("rt.to.a.b.c", None),
            ("rt.changes.", None),
            ("rt.other.a", None),
            ("rtx.changes.a", None),
            ("rt", None),
        ];
        for (subject, expected) in cases {
            assert_eq!(sender("rt", subject), expected, "{subject}");
        }
    }

    #[test]
    fn old_servers_are_known() {
        for old in ["2.9.10", "2.12.6", "2.13.0", "2.13.9", "1.99.99"] {
            assert!(is_too_old(old), "{old}");
        }
        for new in ["2.12.7", "2.12.8-RC.1", "2.14.0", "2.15.1", "3.0.0", "", "dev"] {
            assert!(!is_too_old(new), "{new}");
        }
    }

    #[test]
    fn attempts_to_connect_are_ever_further_apart_and_never_at_once() {
        let delay = reconnect_delay();
        for attempts in 0..40 {
            assert!((RECONNECT[0] / 2..=RECONNECT[1]).contains(&delay(attempts)), "{attempts}");
        }
        assert!(delay(30) >= RECONNECT[1] / 2);
    }
}
