//! The key and the time of connection IDs, asked of the cluster before anything is served. Nobody knows yet whom to believe, so what most
//! nodes say counts, and a time that is far from this host's own does not.

use super::{
    ClusterMaterial,
    intake::intake,
    nats::{Link, sender},
    node::To,
    receive::Channel,
    wire::Message,
};
use crate::{config, utc};
use std::{
    cmp::Reverse,
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tokio::{
    runtime::Builder,
    sync::mpsc,
    time::{sleep, timeout, timeout_at},
};

/// How long a server may take until there is a connection.
const CONNECT: Duration = Duration::from_secs(3);
/// How long nodes may take to answer.
const ANSWER: Duration = Duration::from_millis(1500);
/// How often they are asked meanwhile, since a subscription takes a moment.
const ASK: Duration = Duration::from_millis(300);
/// How long all others together may take after the first.
const OTHERS: Duration = Duration::from_millis(500);
/// Bytes of what is received meanwhile.
const ROOM: usize = 1 << 20;
/// How far the time of a node may be from this host's clock: of one that is further off neither time nor key is taken.
const MAX_WRONG: Duration = Duration::from_secs(3600);
/// How far the times of nodes may be apart that say the same.
const MAX_APART: Duration = Duration::from_secs(20);
/// So many nodes are named in a line of the log.
const MAX_NAMED: usize = 8;

/// What another node has said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The node.
    pub from: Box<str>,
    /// The key.
    pub key: Secret,
    /// Since when it has been the cluster's, nanoseconds of protocol time.
    pub since: u64,
    /// The time of the cluster, nanoseconds.
    pub time_ns: u64,
    /// When that was told.
    at: Instant,
    /// How far that time was ahead of this host's clock, nanoseconds.
    ahead_ns: i128,
}

impl Told {
    /// The time of the cluster now, nanoseconds.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        self.time_ns.saturating_add(self.at.elapsed().as_nanos() as u64)
    }

    fn is_plausible(&self) -> bool {
        self.ahead_ns.unsigned_abs() <= MAX_WRONG.as_nanos()
    }

    fn says_as(&self, other: &Self) -> bool {
        (self.key, self.since) == (other.key, other.since)
            && self.ahead_ns.abs_diff(other.ahead_ns) <= MAX_APART.as_nanos()
    }
}

/// What came of asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What most nodes say, of equally many the older key; nothing if nobody answers whose time may be right.
    pub told: Option<Told>,
    /// How many say just that.
    pub agreeing: usize,
    /// How many say another key or time that may be right.
    pub others: usize,
    /// Whose time cannot be right, as this host's clock has it.
    pub wrong: Vec<Box<str>>,
}

impl Outcome {
    fn of(told: Vec<Told>) -> Self {
        let (fit, wrong): (Vec<_>, Vec<_>) = told.into_iter().partition(Told::is_plausible);
        let agreeing = |one: &Told| fit.iter().filter(|other| one.says_as(other)).count();
        let best = fit.iter().max_by_key(|one| (agreeing(one), Reverse(one.since), Reverse(&one.from)));
        let agreeing = best.map_or(0, agreeing);
        Self {
            told: best.cloned(),
            agreeing,
            others: fit.len() - agreeing,
            wrong: wrong.into_iter().map(|told| told.from).collect(),
        }
    }

    /// What the log says of those whose time cannot be right, if there are any.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let named = self.wrong.iter().take(MAX_NAMED).map(AsRef::as_ref).collect::<Vec<&str>>();
        let (first, more) = (named.join(", "), self.wrong.len() - named.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        (!named.is_empty()).then(|| {
            format!(
                "the time of node {first}{more} is more than an hour from this host's clock, so neither its time nor its key of \
                 connection IDs is taken: see that both keep time (NTP), then restart the one that is wrong"
            )
        })
    }
}

/// A key, which is never shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret(pub [u8; 16]);

/// Never shows the key.
impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// Asks the nodes that run for the key of connection IDs and their time. `None` if none was reached. Blocks for a few seconds at most, in
/// the calling thread and no other.
#[must_use]
pub fn ask(config: &config::Cluster, material: &ClusterMaterial) -> Option<Outcome> {
    let runtime = Builder::new_current_thread().enable_all().build().ok()?;
    let told = runtime.block_on(ask_all(config, material));
    runtime.shutdown_timeout(ASK);
    told.filter(|told| !told.is_empty()).map(Outcome::of)
}

async fn ask_all(config: &config::Cluster, material: &ClusterMaterial) -> Option<Vec<Told>> {
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
    let mut told = BTreeMap::new();
    let listening = async {
        let mut until = Instant::now() + ANSWER;
        // The first that a node says, and of so many nodes as are listened to later.
        while told.len() < config.max_nodes
            && let Ok(Some(arrived)) = timeout_at(until.into(), messages.next()).await
        {
            if let Some((from, Channel::Direct)) = sender(&config.name, &arrived.subject)
                && let Ok(Message::Key { key, now_ns, since }) = Message::read(&arrived.bytes)
                && !told.contains_key(from)
            {
                let (at, ahead_ns) = (Instant::now(), i128::from(now_ns) - wall_ns());
                if told.is_empty() {
                    until = at + OTHERS;
                }
                let from: Box<str> = from.into();
                let one = Told { from: from.clone(), key: Secret(key), since, time_ns: now_ns, at, ahead_ns };
                told.insert(from, one);
            }
        }
    };
    tokio::select! {
        () = listening => {}
        () = asking => {}
    }
    Some(told.into_values().collect())
}

/// This host's clock, nanoseconds since 1970.
fn wall_ns() -> i128 {
    i128::from(utc::wall_ms()) * 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(from: &str, key: u8, since: u64, ahead: i128) -> Told {
        let (from, key, ahead_ns) = (from.into(), Secret([key; 16]), ahead * 1_000_000_000);
        Told { from, key, since, time_ns: 5, at: Instant::now(), ahead_ns }
    }

    /// From whom, how many agree, how many do not, and who is wrong.
    fn outcome(told: &[Told]) -> (Option<String>, usize, usize, String) {
        let Outcome { told, agreeing, others, wrong } = Outcome::of(told.to_vec());
        (told.map(|told| told.from.into()), agreeing, others, wrong.join(" "))
    }

    #[test]
    fn what_most_nodes_say_counts() {
        let [a, b, c] = ["a", "b", "c"].map(|name| told(name, 1, 70, 1));
        let older = told("evil", 6, 0, 1);
        let some = |from: &str| Some(from.to_owned());
        let none = String::new;
        assert_eq!(outcome(&[older.clone(), a.clone(), b.clone()]), (some("a"), 2, 1, none()));
        // Of equally many the older one, as nodes that run agree.
        assert_eq!(outcome(&[a.clone(), older.clone()]), (some("evil"), 1, 1, none()));
        // The right key with another time, or another age, is another answer.
        for other in [told("evil", 1, 70, 1500), told("evil", 1, 0, 1), told("evil", 1, 70, -21)] {
            assert_eq!(outcome(&[other, b.clone(), c.clone()]), (some("b"), 2, 1, none()));
        }
        assert_eq!(outcome(&[told("evil", 1, 70, 20), b, c]), (some("b"), 3, 0, none()));
    }

    #[test]
    fn whose_time_cannot_be_right_is_not_heard_and_named() {
        let fit = told("a", 1, 70, -3600);
        let wrong =
            [3601, -3601, i128::from(u64::MAX) / 1_000_000_000].map(|ahead| told("evil", 6, 0, ahead));
        for wrong in wrong {
            assert_eq!(outcome(&[wrong.clone(), fit.clone()]), (Some("a".into()), 1, 0, "evil".into()));
            let alone = Outcome::of(vec![wrong]);
            assert_eq!((&alone.told, alone.agreeing), (&None, 0));
            assert!(alone.warning().unwrap().starts_with("the time of node evil is more than an hour from"));
        }
        assert_eq!(Outcome::of(vec![fit]).warning(), None);
        let many = (0..20).map(|n| told(&format!("n{n}"), 6, 0, 9999)).collect();
        let warning = Outcome::of(many).warning().unwrap();
        assert!(warning.contains("node n0, n1, n2, n3, n4, n5, n6, n7 and 12 more is more"), "{warning}");
    }

    #[test]
    fn no_key_is_shown() {
        let shown = format!("{:?}", Outcome::of(vec![told("a", 77, 0, 0)]));
        assert!(shown.contains("Secret") && !shown.contains("77, 77"), "{shown}");
    }
}
