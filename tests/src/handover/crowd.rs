//! Clients that ask all the while something is done to the tracker, and miss no reply.

use crate::{
    metrics::Metrics,
    udp::{Announce, Client, event, id20},
};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

/// Peers that each client announces, and torrents that they are in.
const PEERS: u16 = 50;
/// Another torrent for each so many ports.
const PER_TORRENT: u16 = 10;

/// What clients have had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answered {
    /// Connects.
    pub connects: u64,
    /// Announces.
    pub announces: u64,
    /// Scrapes.
    pub scrapes: u64,
}

impl Answered {
    /// All.
    #[must_use]
    pub const fn all(self) -> u64 {
        self.connects + self.announces + self.scrapes
    }
}

/// Clients that ask one request after the other, and wait for each reply: what is not answered ends the test.
pub struct Crowd {
    over: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    clients: Vec<JoinHandle<Answered>>,
}

impl Crowd {
    /// Begins to ask. Each client has its own peers in its own torrents; it connects once, and keeps its ID.
    #[must_use]
    pub fn new(clients: Vec<Client>) -> Self {
        let (over, asked) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let run = |(number, client): (usize, Client)| {
            let (over, asked) = (Arc::clone(&over), Arc::clone(&asked));
            std::thread::spawn(move || {
                let mut answered = Answered::default();
                client.connect();
                answered.connects += 1;
                while !over.load(Ordering::Relaxed) {
                    ask(number, &client, &mut answered);
                    asked.fetch_add(1, Ordering::Relaxed);
                }
                answered
            })
        };
        let threads = clients.into_iter().enumerate().map(run).collect();
        Self { over, asked, clients: threads }
    }

    /// Waits until the clients have gone round once more, each over all its peers.
    pub fn goes_round(&self) {
        let rounds = self.clients.len() as u64 * 2;
        let wanted = self.asked.load(Ordering::Relaxed) + rounds;
        crate::eventually("the clients to go round", || {
            assert!(!self.clients.iter().any(JoinHandle::is_finished), "a client had no reply");
            (self.asked.load(Ordering::Relaxed) >= wanted).then_some(())
        });
    }

    /// Ends it, and says what all have had.
    #[must_use]
    pub fn end(self) -> Answered {
        self.over.store(true, Ordering::Relaxed);
        let each =
            self.clients.into_iter().map(|client| client.join().expect("a client that had all replies"));
        each.fold(Answered::default(), |all, one| Answered {
            connects: all.connects + one.connects,
            announces: all.announces + one.announces,
            scrapes: all.scrapes + one.scrapes,
        })
    }

    /// Torrents and peers of so many clients.
    #[must_use]
    pub fn size(clients: u64) -> [u64; 2] {
        [clients * u64::from(PEERS.div_ceil(PER_TORRENT)), clients * u64::from(PEERS)]
    }
}

/// One round: every peer announces, and each torrent has who it is to have.
fn ask(number: usize, client: &Client, answered: &mut Answered) {
    let number = u32::try_from(number).expect("a small number");
    client.connect();
    answered.connects += 1;
    // The first ID is as good as the last.
    for port in 1..=PEERS {
        let hash = id20("crowd", number * 1000 + u32::from((port - 1) / PER_TORRENT));
        let announce = match port % 2 {
            0 => Announce::seeder(hash, port),
            _ => Announce::leecher(hash, port),
        };
        let reply = client.announce(&announce.event(event::NONE));
        assert!(reply.seeders + reply.leechers <= u32::from(PER_TORRENT), "{reply:?}");
        answered.announces += 1;
        if port % PER_TORRENT == 0 {
            let row = client.row(hash);
            let half = u32::from(PER_TORRENT) / 2;
            assert_eq!((row.seeders, row.leechers), (half, half));
            answered.scrapes += 1;
        }
    }
}

/// So many clients of a tracker on this host.
#[must_use]
pub fn loopback_clients(tracker: SocketAddr, count: usize) -> Vec<Client> {
    let own = if tracker.is_ipv4() { "127.0.0.1" } else { "::1" };
    (0..count).map(|_| Client::new(own.parse().expect("an address"), tracker)).collect()
}

/// Every counter of the first is at least as high in the second, but those of the process itself, which is another one.
pub fn goes_on(before: &Metrics, after: &Metrics) {
    const OF_THE_PROCESS: [&str; 2] = ["process_cpu_seconds_total", "riptide_worker_busy_seconds_total"];
    let goes_on = |name: &str| name.ends_with("_total") && !OF_THE_PROCESS.contains(&name);
    for sample in before.samples.iter().filter(|sample| goes_on(&sample.name)) {
        let labels: Vec<(&str, &str)> = sample.labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let now = after.sum(&sample.name, &labels);
        assert!(now >= sample.value, "{} {labels:?} was {} and is {now}", sample.name, sample.value);
    }
}
