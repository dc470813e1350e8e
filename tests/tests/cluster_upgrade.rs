//! A node of a cluster is upgraded by control while clients announce: neither they nor other nodes notice.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};
use tests::{
    cluster::{Cluster, Hand, Node, Over, Peer, Swarms},
    control::printed,
    eventually,
    handover::Successor,
    random::Random,
    rig::Family,
    udp::{Announce, Client, Id20, Row, event, id20},
};

/// What a sign of life says of who goes.
const LEAVING: u8 = 2;

/// A swarm that stays as it is: at each node somebody who wants more, and somebody who has completed.
fn settled(cluster: &Cluster, swarms: &mut Swarms, hash: Id20) -> Vec<Peer> {
    let mut completed = Vec::new();
    for home in 0..cluster.nodes().len() {
        let [stays, completes] = [0, 1].map(|_| swarms.peer(Family::V4, Over::Udp, home));
        swarms.comes(cluster, hash, stays, false);
        swarms.comes(cluster, hash, completes, false);
        swarms.completes(cluster, hash, completes);
        completed.push(completes);
    }
    completed
}

/// Asks a node for a torrent that stays as it is until it is over; the same answer has to come each time.
fn watch(node: &Node, (hash, row): (Id20, Row), over: &AtomicBool, asked: &AtomicU64) {
    let client = Client::new("127.0.0.1".parse().unwrap(), node.udp(Family::V4));
    while !over.load(Ordering::Relaxed) {
        assert_eq!(client.row(hash), row, "{}", node.name());
        asked.fetch_add(1, Ordering::Relaxed);
        thread::sleep(Duration::from_millis(5));
    }
}

/// Upgrades a node while all the while somebody comes, completes or goes everywhere.
fn upgrade(cluster: &Cluster, number: usize, swarms: &mut Swarms, random: &mut Random) -> Successor {
    thread::scope(|scope| {
        let upgrade = scope.spawn(|| cluster.node(number).riptide().control("upgrade"));
        // From its start on, so that it ends with this whatever fails.
        let successor = Successor::of(cluster.node(number).riptide());
        while !upgrade.is_finished() {
            swarms.stir(cluster, &[0, 1, 2], 1, random);
        }
        let said = printed(&upgrade.join().expect("an answer"));
        assert!(said.contains(&successor.pid().to_string()), "{said}");
        successor
    })
}

#[test]
fn an_upgrade_by_control_is_noticed_by_nobody() {
    let mut cluster = Cluster::of(3);
    let (mut swarms, mut random) = (Swarms::default(), Random::fresh());
    swarms.crowd(&cluster, &[0, 1, 2], 2);
    swarms.agree(&cluster);
    let hash = id20("settled", 0);
    // Apart from the others, which are stirred.
    let mut still = Swarms::default();
    let completed = settled(&cluster, &mut still, hash);
    still.agree(&cluster);
    let row = still.rows()[&hash];
    assert_eq!(row, Row { seeders: 3, completed: 3, leechers: 3 });
    let mut ear = Hand::at(cluster.server.address(), "ear");
    let first = ear.alive("node-0").number(0);

    let (over, asked) = (AtomicBool::new(false), [(); 3].map(|()| AtomicU64::new(0)));
    let successor = thread::scope(|scope| {
        for (node, asked) in cluster.nodes().iter().zip(&asked) {
            let over = &over;
            scope.spawn(move || watch(node, (hash, row), over, asked));
        }
        // Whatever fails, they end.
        let _ends = Ends(&over);
        let go_round = || {
            for asked in &asked {
                let wanted = asked.load(Ordering::Relaxed) + 3;
                eventually("answers of each node", || {
                    (asked.load(Ordering::Relaxed) >= wanted).then_some(())
                });
            }
        };
        go_round();
        let successor = upgrade(&cluster, 0, &mut swarms, &mut random);
        swarms.stir(&cluster, &[0, 1, 2], 10, &mut random);
        // Who has completed before says so again: to the new process, and to another node.
        still.completes_again(cluster.node(0), hash, completed[0]);
        still.completes_again(cluster.node(1), hash, completed[0]);
        still.completes_again(cluster.node(0), hash, completed[1]);
        go_round();
        successor
    });
    let ended = cluster.node_mut(0).riptide_mut().wait_alone();
    assert_eq!(ended.code(), Some(0), "{}", cluster.node(0).riptide().log_text());
    swarms.stir(&cluster, &[0, 1, 2], 10, &mut random);
    swarms.agree(&cluster);
    still.agree(&cluster);
    // Who found its copy damaged gets the rest again, and has counted before.
    for peer in &completed[..2] {
        let client = Client::new(peer.address.ip(), cluster.node(0).udp(Family::V4));
        client.announce(&Announce::leecher(hash, peer.address.port()).event(event::NONE));
        still.completes_again(cluster.node(0), hash, *peer);
    }
    still.agree(&cluster);

    // Another process of the same name was heard, and none of them said that it goes.
    let mut mark = Hand::at(cluster.server.address(), "mark");
    mark.say_raw("to.nobody", b"\x01\x02");
    mark.flush();
    let (boots, has_left) = (RefCell::new(BTreeSet::from([first])), Cell::new(false));
    ear.wait_for("what was said last", |heard| {
        if heard.from == "node-0" && heard.kind == 2 {
            boots.borrow_mut().insert(heard.number(0));
            has_left.set(has_left.get() || heard.rest.get(64) == Some(&LEAVING));
        }
        heard.from == "mark"
    });
    assert_eq!((boots.borrow().len(), has_left.get()), (2, false));
    for node in &cluster.nodes()[1..] {
        let log = node.riptide().log_text();
        assert!(!log.contains("node-0 is not heard of any more"), "{log}");
        assert!(!log.contains("calls itself"), "{log}");
    }
    // Who comes now gets it all from one of them.
    cluster.add();
    swarms.agree(&cluster);
    still.agree(&cluster);
    drop(successor);
}

/// Says that it is over, once it is dropped.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
