//! The key and the time of connection IDs, asked of the cluster before anything is served.

use super::{
    ClusterMaterial,
    intake::intake,
    nats::{Link, sender},
    node::To,
    receive::Channel,
    wire::Message,
};
use crate::config;
use std::time::{Duration, Instant};
use tokio::{
    runtime::Builder,
    sync::mpsc,
    time::{sleep, timeout},
};

/// How long a server may take until there is a connection.
const CONNECT: Duration = Duration::from_secs(3);
/// How long nodes may take to answer.
const ANSWER: Duration = Duration::from_millis(1500);
/// How often they are asked meanwhile, since a subscription takes a moment.
const ASK: Duration = Duration::from_millis(300);
/// How long others may take after the first: the one whose key is the oldest counts.
const OTHERS: Duration = Duration::from_millis(100);
/// Bytes of what is received meanwhile.
const ROOM: usize = 1 << 20;

/// What another node has said.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// The key.
    pub key: [u8; 16],
    /// Since when it has been the cluster's, nanoseconds of protocol time.
    pub since: u64,
    /// The time of the cluster, nanoseconds.
    pub time_ns: u64,
    /// When that was told.
    at: Instant,
}

impl Told {
    /// The time of the cluster now, nanoseconds.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        self.time_ns.saturating_add(self.at.elapsed().as_nanos() as u64)
    }
}

/// Never shows the key.
impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Told")
            .field("since", &self.since)
            .field("time_ns", &self.time_ns)
            .finish_non_exhaustive()
    }
}

/// Asks the nodes that run for the key of connection IDs. `None` if nobody answers in time. Blocks for a few seconds at most, in the calling
/// thread and no other.
#[must_use]
pub fn ask(config: &config::Cluster, material: &ClusterMaterial) -> Option<Told> {
    let runtime = Builder::new_current_thread().enable_all().build().ok()?;
    let told = runtime.block_on(ask_all(config, material));
    runtime.shutdown_timeout(ASK);
    told
}

async fn ask_all(config: &config::Cluster, material: &ClusterMaterial) -> Option<Told> {
    let (news, _heard) = mpsc::channel(1);
    let link = Link::begin(config, material, news).await.ok()?;
    let (door, mut messages) = intake(ROOM);
    link.listen(&door).await.ok()?;
    let connected = async {
        while !link.is_connected() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(CONNECT, connected).await.ok()?;
    let question = Message::AskKey.write();
    let asking = async {
        loop {
            // Until a node answers: what is lost is asked again.
            let _ = link.send(&To::Alive, question.clone().into()).await;
            sleep(ASK).await;
        }
    };
    let answer = async {
        let mut best: Option<Told> = None;
        loop {
            let next = async {
                loop {
                    let arrived = messages.next().await?;
                    let is_for_us =
                        matches!(sender(&config.name, &arrived.subject), Some((_, Channel::Direct)));
                    if is_for_us
                        && let Ok(Message::Key { key, now_ns, since }) = Message::read(&arrived.bytes)
                    {
                        return Some(Told { key, since, time_ns: now_ns, at: Instant::now() });
                    }
                }
            };
            let patience = if best.is_some() { OTHERS } else { ANSWER };
            let Ok(Some(told)) = timeout(patience, next).await else { return best };
            if best.is_none_or(|best| told.since < best.since) {
                best = Some(told);
            }
        }
    };
    tokio::select! {
        best = answer => best,
        () = asking => None,
    }
}
