//! Processes killed at random instants of hand-overs under load: one serves then, never none and never two.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use nix::sys::signal::Signal;
use std::{
    net::UdpSocket,
    thread::sleep,
    time::{Duration, Instant},
};
use tests::{
    control, eventually,
    handover::{Persistent, Successor},
    random::Random,
    rig::{PORT, Path, Rig},
    riptide::Riptide,
};

/// Kills on each path, of each of the two.
const KILLS: usize = 10;

/// One process is left, which answers everybody, and with XDP by way of it again.
fn one_serves(rig: &Rig, clients: &Persistent) {
    let own = rig.riptide().pid().as_raw();
    let host = &rig.wire().expect("a wire").tracker;
    eventually("the others to be gone", || (host.processes() == [own]).then_some(()));
    clients.go_on();
    let labels = [("path", rig.request_path()), ("action", "announce")];
    let before = rig.metrics().sum("riptide_udp_responses_total", &labels);
    rig.riptide().metrics_until("announces on the path of this rig", |metrics| {
        metrics.sum("riptide_udp_responses_total", &labels) > before
    });
    let status = control::status(rig.riptide());
    assert_eq!((&status["stage"], &status["pid"]), (&"ready".into(), &own.into()));
}

/// How long the steps of a hand-over take here, so that kills fall into its middle.
struct Pace {
    /// Until the new process is ready, from its start on.
    from_start: Duration,
    /// The same from when it has received the sockets.
    from_received: Duration,
}

impl Pace {
    /// That of one hand-over of a rig.
    fn of(rig: &mut Rig) -> Self {
        let begun = Instant::now();
        let mut next = rig.next().arguments("--take-over").spawn();
        has_received(&next);
        let received = begun.elapsed();
        next.wait_ready();
        let from_start = begun.elapsed();
        let mut before = rig.replace(next);
        assert_eq!(before.wait().code(), Some(0), "{}", before.log_text());
        Self { from_start, from_received: from_start.saturating_sub(received) }
    }

    /// Waits for a random instant of the hand-over that this process, just started, makes.
    fn wait(&self, random: &mut Random, next: &Riptide) {
        // Most of the time goes by before it asks.
        if random.below(4) == 0 {
            sleep(random.within(self.from_start));
        } else {
            has_received(next);
            sleep(random.within(self.from_received.mul_f64(1.2)));
        }
    }
}

const RECEIVED: &str = "taking over from";

fn has_received(next: &Riptide) {
    next.wait_for_line("that it has the sockets", |line| line.contains(RECEIVED));
}

/// Where the process that served is gone, whoever looks after it starts another one.
fn start_again(rig: &mut Rig) -> Riptide {
    let host = &rig.wire().expect("a wire").tracker;
    // The last threads of a killed process hold what it had for a moment.
    eventually("all that it had to be free", || {
        let is_free = host.run(|| UdpSocket::bind(("0.0.0.0", PORT)).is_ok()) && !host.is_attached("t0");
        (is_free && host.processes().is_empty()).then_some(())
    });
    let next = rig.next().ready();
    rig.replace(next)
}

/// What became of a hand-over of which the new process was killed: whether the one before serves on. One that was not asked
/// does.
fn serves_on(riptide: &Riptide, successor: &Riptide) -> bool {
    let pid = format!("process {} ", successor.pid());
    if !successor.lines().iter().any(|line| line.contains(RECEIVED)) {
        return true;
    }
    eventually("what came of the hand-over", || {
        let lines = riptide.lines();
        let begin = lines.iter().position(|line| line.contains(&pid) && line.contains("takes over"))?;
        let mut rest = lines[begin + 1..].iter();
        rest.find_map(|line| match line {
            line if line.contains("serves on") => Some(true),
            line if line.contains(&pid) && line.contains("serves;") => Some(false),
            _ => None,
        })
    })
}

/// A successor that somebody else started is killed. Whether the one before serves on.
fn kill_a_successor(rig: &Rig, random: &mut Random, pace: &Pace) -> bool {
    let mut next = rig.next().arguments("--take-over").spawn();
    pace.wait(random, &next);
    next.signal(Signal::SIGKILL);
    next.wait();
    serves_on(rig.riptide(), &next)
}

/// A successor that the tracker started itself is killed. Whether the one before serves on.
fn kill_an_own_successor(rig: &Rig, random: &mut Random, pace: &Pace, others: usize) -> bool {
    let riptide = rig.riptide();
    std::thread::scope(|scope| {
        let upgrade = scope.spawn(|| control::ask(riptide, "POST /upgrade"));
        let successor = Successor::after(riptide, others);
        sleep(random.within(pace.from_start));
        successor.signal(Signal::SIGKILL);
        let (status, told) = upgrade.join().expect("an answer");
        assert!([200, 409].contains(&status), "{status} {told}");
        status == 409
    })
}

#[test]
fn whenever_the_successor_is_killed_one_serves() {
    let mut random = Random::fresh();
    for path in [Path::Sockets, Path::Native] {
        let mut rig = Rig::new(path);
        let clients = Persistent::of(&rig);
        let pace = Pace::of(&mut rig);
        let (mut stayed, mut own) = (0, 0);
        for round in 0..KILLS {
            let stays = match round % 2 {
                0 => kill_a_successor(&rig, &mut random, &pace),
                _ => {
                    own += 1;
                    kill_an_own_successor(&rig, &mut random, &pace, own - 1)
                }
            };
            if stays {
                stayed += 1;
            } else {
                let mut left = start_again(&mut rig);
                assert_eq!(left.wait_alone().code(), Some(0), "{}", left.log_text());
                own = 0;
            }
            one_serves(&rig, &clients);
        }
        clients.end();
        // Whatever the kills left behind, it can be taken over from.
        rig.hand_over();
        println!("{path:?}: the one before served on {stayed} times of {KILLS}");
    }
}

#[test]
fn whenever_the_predecessor_is_killed_its_successor_serves() {
    let mut random = Random::fresh();
    for path in [Path::Sockets, Path::Native] {
        let mut rig = Rig::new(path);
        let clients = Persistent::of(&rig);
        let pace = Pace::of(&mut rig);
        let mut in_the_middle = 0;
        for _ in 0..KILLS {
            let mut next = rig.next().arguments("--take-over").spawn();
            pace.wait(&mut random, &next);
            rig.riptide().signal(Signal::SIGKILL);
            in_the_middle += usize::from(!next.is_ready());
            eventually("an end of the start", || (next.is_ready() || next.has_ended()).then_some(()));
            let had_all = next.lines().iter().any(|line| line.contains(RECEIVED));
            let before = if next.is_ready() {
                next.wait_ready();
                rig.replace(next)
            } else {
                // There was nothing to be had any more.
                assert!(!had_all && next.wait().code() == Some(1), "{}", next.log_text());
                start_again(&mut rig)
            };
            before.kill();
            one_serves(&rig, &clients);
        }
        clients.end();
        rig.hand_over();
        println!("{path:?}: killed before the new one was ready {in_the_middle} times of {KILLS}");
    }
}
