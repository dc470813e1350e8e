//! Killed at any instant, under load: what was acknowledged before the last save is had again, and every start succeeds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use nix::sys::signal::Signal;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tests::{
    PATIENCE,
    random::Random,
    riptide::{Riptide, Start},
    udp::{Announce, Client, Id20, event, id20},
};

/// Trackers side by side, and how often each is killed.
const LANES: u32 = 5;
const KILLS: u32 = 4;
/// Peers of a torrent.
const PORTS: u16 = 15;

/// The port of who asks, which is in no torrent.
const ASKER: u16 = 999;

fn start(directory: Option<Arc<TempDir>>) -> Riptide {
    let start = Start::new(None)
        .arguments("--udp 127.0.0.1:0 --udp [::1]:0")
        .environment("RIPTIDE_STATE__SAVE_INTERVAL", "1s");
    match directory {
        Some(directory) => start.directory(directory).ready(),
        None => start.ready(),
    }
}

fn listener(riptide: &Riptide, ipv6: bool) -> SocketAddr {
    *riptide.udp().iter().find(|udp| udp.is_ipv6() == ipv6).expect("a listener")
}

fn saves(riptide: &Riptide) -> f64 {
    riptide.metrics().sum("riptide_state_saves_total", &[("outcome", "ok")])
}

/// Something that a peer said and that was acknowledged.
struct Deed {
    is_there: bool,
    /// Saves that had ended when it was known to be acknowledged. One more may have begun before it.
    saves: Option<f64>,
}

/// What was acknowledged of each peer of one round, in order.
#[derive(Default)]
struct Model(BTreeMap<Peer, Vec<Deed>>);

/// The number of a torrent, and a port.
type Peer = (u32, u16);

impl Model {
    fn note(&mut self, peer: Peer, is_there: bool) {
        self.0.entry(peer).or_default().push(Deed { is_there, saves: None });
    }

    /// So many saves have ended, and all so far was acknowledged before that was known.
    fn saved(&mut self, saves: f64) {
        self.0
            .values_mut()
            .flatten()
            .filter(|deed| deed.saves.is_none())
            .for_each(|deed| deed.saves = Some(saves));
    }

    fn last_torrent(&self) -> u32 {
        self.0.keys().next_back().map_or(0, |peer| peer.0)
    }

    /// Whether a peer may be there or not, after a kill at which so many saves had ended at least.
    fn may_be(&self, peer: &Peer, saves: f64) -> BTreeSet<bool> {
        let deeds = self.0.get(peer).map_or(&[][..], Vec::as_slice);
        // The save after the one that may have been on its way has it for sure.
        let sure = deeds.iter().rposition(|deed| deed.saves.is_some_and(|at| at + 2.0 <= saves));
        let before = sure.is_some_and(|at| deeds[at].is_there);
        let later = &deeds[sure.map_or(0, |at| at + 1)..];
        later.iter().map(|deed| deed.is_there).chain([before]).collect()
    }
}

/// Announces like many peers until there have been some saves and a few announces more, or a save is on its way.
fn load(riptide: &Riptide, round: u32, random: &mut Random) -> (Model, f64) {
    let client = Client::new(Ipv4Addr::LOCALHOST.into(), listener(riptide, false));
    let mut model = Model::default();
    let wanted = (1 + random.below(3)) as f64;
    let more = random.below(300);
    let in_a_save = round.is_multiple_of(2);
    let state = riptide.directory().path().join("state");
    let begun = Instant::now();
    let mut ended = 0.0;
    let mut left = more;
    for n in 0_u32.. {
        // Each is a new peer, but some that were there go or come again.
        let is_new = random.below(4) != 0;
        let number = if is_new { n } else { u32::try_from(random.below(u64::from(n) + 1)).expect("less") };
        let peer = (number / u32::from(PORTS), 1 + (number % u32::from(PORTS)) as u16);
        let is_there = is_new || random.below(2) == 0;
        let announce = Announce::leecher(torrent(round, peer.0), peer.1).num_want(0);
        client.announce(&if is_there { announce } else { announce.event(event::STOPPED) });
        model.note(peer, is_there);
        if ended < wanted && random.below(40) == 0 {
            ended = saves(riptide);
            model.saved(ended);
        } else if ended >= wanted {
            left = left.saturating_sub(1);
            if left == 0 && (!in_a_save || is_saving(&state)) {
                return (model, ended);
            }
        }
        assert!(begun.elapsed() < PATIENCE * 4, "no saves:\n{}", riptide.log_text());
    }
    (model, ended)
}

fn torrent(round: u32, number: u32) -> Id20 {
    id20("kill", round * 1_000_000 + number)
}

fn is_saving(state: &Path) -> bool {
    let mut entries = fs::read_dir(state).expect("its state").flatten();
    entries.any(|entry| entry.file_name().to_string_lossy().starts_with("swarms.riptide.new."))
}

/// Announces of others, so that a save takes its time. At the end nobody answers any more.
fn noise(tracker: SocketAddr, round: u32, stop: &AtomicBool) {
    let client = Client::new(Ipv6Addr::LOCALHOST.into(), tracker);
    let connection = client.connect();
    // An ID holds for an address, whatever the port.
    let socket = UdpSocket::bind("[::1]:0").expect("a socket");
    socket.connect(tracker).expect("an address");
    socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let hash = id20("noise", round * 1_000_000 + n / 2);
        let announce = Announce::seeder(hash, 1 + (n % 60_000) as u16).num_want(0);
        let _ = socket.send(&announce.bytes(connection, n));
        let _ = socket.recv(&mut [0; 100]);
    }
}

/// The ports that are in a torrent.
fn ports(client: &Client, torrent: Id20) -> BTreeSet<u16> {
    let asker = Announce::leecher(torrent, ASKER).num_want(100);
    let ports = client.announce(&asker).ports();
    client.announce(&asker.event(event::STOPPED));
    ports.into_iter().filter(|port| *port != ASKER).collect()
}

#[test]
fn kills_lose_nothing_that_was_saved() {
    std::thread::scope(|scope| {
        for lane in 0..LANES {
            scope.spawn(move || kill_again_and_again(Random::new(0x5eed_0017 + 2 * u64::from(lane))));
        }
    });
}

fn kill_again_and_again(mut random: Random) {
    let mut riptide = start(None);
    // What earlier rounds were seen to have left, which nothing changes any more.
    let mut settled: BTreeMap<Id20, BTreeSet<u16>> = BTreeMap::new();
    let (mut present, mut sure) = (0, 0);
    for round in 0..KILLS {
        let stop = AtomicBool::new(false);
        let (model, ended) = std::thread::scope(|scope| {
            let (other, stop) = (listener(&riptide, true), &stop);
            scope.spawn(move || noise(other, round, stop));
            let done = load(&riptide, round, &mut random);
            riptide.signal(Signal::SIGKILL);
            stop.store(true, Ordering::Relaxed);
            done
        });
        let directory = riptide.directory();
        riptide.kill();
        riptide = start(Some(directory));
        assert!(!riptide.log_text().contains("set the file aside"), "{}", riptide.log_text());
        let client = Client::new(Ipv4Addr::LOCALHOST.into(), listener(&riptide, false));
        for number in 0..=model.last_torrent() {
            let had = ports(&client, torrent(round, number));
            for port in 1..=PORTS {
                let may_be = model.may_be(&(number, port), ended);
                let is_there = had.contains(&port);
                assert!(may_be.contains(&is_there), "{number}, {port} is {is_there}, may be {may_be:?}");
                (present, sure) = (present + u32::from(is_there), sure + u32::from(may_be.len() == 1));
            }
            settled.insert(torrent(round, number), had);
        }
    }
    let client = Client::new(Ipv4Addr::LOCALHOST.into(), listener(&riptide, false));
    for (torrent, before) in &settled {
        assert_eq!(ports(&client, *torrent), *before);
    }
    let all = settled.len() as u32 * u32::from(PORTS);
    assert!(present > 500 && sure > all / 10, "{present} are there, {sure} of {all} have to be or not to be");
    let directory = riptide.stop();
    let names = fs::read_dir(directory.path().join("state")).expect("its state").flatten();
    let left: Vec<_> = names
        .map(|entry| entry.file_name())
        .filter(|name| name.to_string_lossy().contains(".new."))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
