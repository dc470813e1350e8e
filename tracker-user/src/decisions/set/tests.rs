use super::{super::wire, *};
use tracker_core::rng::Rng;

const NOW: u64 = 1_790_000_000_000;
const MANY: usize = 1000;

fn node(name: &str) -> NodeName {
    NodeName::parse(name).unwrap()
}

fn entry(kind: Kind, text: &str) -> Entry {
    Entry::parse(kind, text).unwrap().0
}

fn ban(n: usize) -> Entry {
    entry(Kind::Ban, &format!("10.0.{n}.0/24"))
}

fn holds(entry: Entry, when: u64, name: &str) -> Verdict {
    Verdict { entry, stamp: Stamp { when, node: node(name), taken_back: false } }
}

fn over(entry: Entry, when: u64, name: &str) -> Verdict {
    Verdict { entry, stamp: Stamp { when, node: node(name), taken_back: true } }
}

fn of(verdicts: impl IntoIterator<Item = Verdict>) -> Decisions {
    let mut decisions = Decisions::default();
    decisions.merge(verdicts, NOW, MANY);
    decisions
}

/// One among few, so that they meet.
fn random(rng: &mut Rng) -> Verdict {
    let n = rng.below(3);
    let entry = match rng.below(3) {
        0 => ban(n),
        1 => entry(Kind::Deny, &n.to_string().repeat(40)),
        _ => entry(Kind::Key, &format!("key-of_{n}")),
    };
    let node = node(["a", "B", "b1"][rng.below(3)]);
    let stamp = Stamp { when: NOW + rng.below(4) as u64, node, taken_back: rng.below(2) == 0 };
    Verdict { entry, stamp }
}

/// The rule again, in other words: what is known of each entry by its text.
#[derive(Default)]
struct Naive(BTreeMap<String, (u64, String, bool)>);

impl Naive {
    fn hear(&mut self, verdict: &Verdict) {
        let text = format!("{} {}", verdict.entry.kind().label(), verdict.entry);
        let (when, name, taken_back) =
            (verdict.stamp.when, verdict.stamp.node.to_string(), verdict.stamp.taken_back);
        let wins = match self.0.get(&text) {
            None => true,
            Some((then, _, _)) if when > *then => true,
            Some((then, _, _)) if when < *then => false,
            Some((_, other, _)) if name.as_bytes() > other.as_bytes() => true,
            Some((_, other, _)) if name.as_bytes() < other.as_bytes() => false,
            Some((_, _, other_taken_back)) => taken_back && !other_taken_back,
        };
        if wins {
            self.0.insert(text, (when, name, taken_back));
        }
    }

    fn of(verdicts: impl IntoIterator<Item = Verdict>) -> Self {
        let mut naive = Self::default();
        verdicts.into_iter().for_each(|verdict| naive.hear(&verdict));
        naive
    }
}

#[test]
fn whatever_the_order_all_end_alike() {
    let mut rng = Rng::new([20, 26]);
    for round in 0..300 {
        let said: Vec<_> = (0..1 + rng.below(40)).map(|_| random(&mut rng)).collect();
        let naive = Naive::of(said.clone());
        let mut nodes = [(); 3].map(|()| (Decisions::default(), BTreeSet::new()));
        // Each hears each at least once, as it comes, and now and then all that another one knows.
        let mut left = [(); 3].map(|()| said.clone());
        while let waiting @ 1.. = left.iter().map(Vec::len).max().unwrap_or_default() {
            let to = rng.below(3);
            let mut told = Vec::new();
            for _ in 0..rng.below(waiting + 1) {
                if !left[to].is_empty() {
                    let at = rng.below(left[to].len());
                    // It may come again.
                    let is_last = rng.below(3) > 0;
                    told.push(if is_last { left[to].swap_remove(at) } else { left[to][at].clone() });
                }
            }
            if rng.below(3) == 0 {
                let pieces = wire::write(nodes[rng.below(3)].0.verdicts());
                told.extend(pieces.iter().flat_map(|piece| wire::read(piece).unwrap()));
            }
            let (decisions, in_force) = &mut nodes[to];
            let merged = decisions.merge(told, NOW, MANY);
            assert!(!merged.has_left_out(), "{merged:?}");
            for verdict in merged.changed {
                assert_eq!(decisions.has(&verdict.entry), verdict.holds());
                let is_another = match verdict.holds() {
                    true => in_force.insert(verdict.entry),
                    false => in_force.remove(&verdict.entry),
                };
                assert!(is_another, "{verdict:?} has changed nothing");
            }
            for (one, _) in &nodes {
                for (other, _) in &nodes {
                    let are_alike = one.verdicts().eq(other.verdicts());
                    assert_eq!(one.digest() == other.digest(), are_alike, "round {round}");
                }
            }
        }
        for (decisions, in_force) in &nodes {
            assert_eq!(Naive::of(decisions.verdicts()).0, naive.0, "round {round}");
            assert_eq!(decisions, &nodes[0].0, "round {round}");
            let held: BTreeSet<_> = decisions.verdicts().filter(Verdict::holds).map(|it| it.entry).collect();
            assert_eq!(*in_force, held, "round {round}");
            let lengths: usize = Kind::ALL.into_iter().map(|kind| decisions.len_of(kind)).sum();
            assert_eq!(lengths, held.len());
        }
    }
}

/// By another implementation of SipHash, in Python.
#[test]
fn the_digest_is_the_sum_of_hashes_of_lines() {
    let hash = entry(Kind::Deny, "0123456789abcdef0123456789abcdef01234567");
    let both = [holds(entry(Kind::Ban, "192.0.2.0/24"), NOW, "node-a"), over(hash, NOW + 1, "node-b")];
    assert_eq!(of([]).digest(), 0);
    assert_eq!(of(both[..1].to_vec()).digest(), 0x438d_6955_aefc_a67c);
    assert_eq!(of(both[1..].to_vec()).digest(), 0x14ba_0657_44b9_631d);
    assert_eq!(of(both).digest(), 0x5847_6fac_f3b6_0999);
}

#[test]
fn what_is_decided_here_is_newer_than_what_is_known() {
    let mut decisions = of([holds(ban(1), NOW + 5, "z"), over(ban(2), NOW + 5, "z")]);
    for (n, holds, when) in [(1, false, NOW + 6), (2, true, NOW + 6), (1, true, NOW + 7), (3, true, 7)] {
        assert!(decisions.decide(ban(n), holds, 7, node("a")));
        let verdict = decisions.verdicts().find(|verdict| verdict.entry == ban(n)).unwrap();
        assert_eq!((verdict.stamp.when, verdict.holds()), (when, holds), "{n}");
    }
    // Said again, it is said now.
    let digest = decisions.digest();
    assert!(!decisions.decide(ban(1), true, NOW + 100, node("a")));
    assert_ne!(decisions.digest(), digest);
    assert!(!decisions.decide(ban(9), false, NOW, node("a")));
    assert!(decisions.verdicts().any(|verdict| verdict == over(ban(9), NOW, "a")));
    // What no node would say leaves room for no later one.
    let mut last = Decisions::default();
    last.take_up(holds(ban(1), MAX_WHEN, "z"));
    assert!(last.decide(ban(1), false, NOW, node("a")) && !last.has(&ban(1)));
    assert_eq!(last.verdicts().next().unwrap().stamp.when, MAX_WHEN);
}

#[test]
fn what_is_of_a_time_to_come_is_left_out() {
    let mut decisions = Decisions::default();
    let told = [holds(ban(1), NOW + MOST_AHEAD, "a"), holds(ban(2), NOW + MOST_AHEAD + 1, "b")];
    let merged = decisions.merge(told, NOW, MANY);
    assert_eq!((merged.ahead.count, &merged.ahead.node), (1, &Some(node("b"))));
    assert!(decisions.has(&ban(1)) && !decisions.has(&ban(2)));
    let far = holds(ban(3), MAX_WHEN, "b");
    assert_eq!(decisions.merge([far], u64::MAX, MANY).ahead.count, 0, "no clock overflows");
}

#[test]
fn no_more_of_a_kind_are_taken_in_than_may_be() {
    let mut decisions = of([holds(ban(1), NOW, "a"), over(ban(2), NOW, "a")]);
    let key = entry(Kind::Key, "another-kind");
    let told = [
        holds(ban(2), NOW + 1, "a"),
        holds(ban(3), NOW, "a"),
        holds(ban(4), NOW, "b"),
        holds(key, NOW, "a"),
        holds(ban(1), NOW + 1, "a"),
    ];
    let merged = decisions.merge(told.clone(), NOW, 2);
    assert_eq!((merged.full.count, decisions.len_of(Kind::Ban)), (2, 2));
    assert!(decisions.has(&ban(1)) && decisions.has(&ban(2)) && decisions.has(&key));
    assert_eq!(decisions.verdicts().find(|it| it.entry == ban(1)).unwrap().stamp.when, NOW + 1);
    // What is taken back at the same time makes room, wherever it stands.
    let back = told.into_iter().chain([over(ban(1), NOW + 2, "a")]);
    let merged = decisions.merge(back, NOW, 2);
    assert_eq!((merged.full.count, decisions.len_of(Kind::Ban)), (1, 2));
    assert!(!decisions.has(&ban(1)));
}

#[test]
fn what_was_taken_back_is_forgotten_in_time() {
    let mut decisions = of([over(ban(1), NOW, "a"), over(ban(2), NOW + 1, "a"), holds(ban(3), NOW, "a")]);
    assert_eq!(decisions, of(decisions.verdicts()));
    decisions.forget(NOW + REMEMBERED - 1, MANY);
    assert_eq!(decisions.verdicts().count(), 3);
    decisions.forget(NOW + REMEMBERED, MANY);
    assert_eq!(decisions, of([over(ban(2), NOW + 1, "a"), holds(ban(3), NOW, "a")]));
    // Nobody brings it back after that, but it still ends what holds.
    let late = [over(ban(1), NOW, "a"), over(ban(3), NOW + 1, "a")];
    let merged = decisions.merge(late.clone(), NOW + REMEMBERED + 1, MANY);
    assert_eq!(merged.changed, [over(ban(3), NOW + 1, "a")]);
    assert_eq!((decisions.verdicts().count(), decisions.digest()), (0, 0));
    // Nor does what comes with it.
    let both = late.into_iter().chain([holds(ban(1), 7, "a"), holds(ban(3), 7, "a")]);
    let merged = decisions.merge(both, NOW + REMEMBERED + 1, MANY);
    assert!(!merged.is_new && merged.changed.is_empty(), "{merged:?}");
}

#[test]
fn the_oldest_are_forgotten_beyond_as_many_as_may_be() {
    let mut decisions = of((0..10).map(|n| over(ban(n), NOW + (n as u64 * 7) % 10, "a")));
    let digest = decisions.digest();
    decisions.forget(NOW, 10);
    assert_eq!(decisions.digest(), digest);
    decisions.forget(NOW, 3);
    let newest =
        (0..10).map(|n| over(ban(n), NOW + (n as u64 * 7) % 10, "a")).filter(|it| it.stamp.when > NOW + 6);
    assert_eq!(decisions, of(newest));
    // An older one is nothing new, so there is nothing to be kept.
    let merged = decisions.merge([over(ban(20), NOW, "a")], NOW, 3);
    assert!(!merged.is_new && merged.changed.is_empty(), "{merged:?}");
}

#[test]
fn what_is_taken_back_here_is_not_pushed_out_by_what_others_tell() {
    let mut decisions = of([holds(ban(100), NOW, "z"), holds(ban(101), NOW, "z")]);
    // Somebody has filled all that is remembered, with the latest times that are taken in.
    let flood = |first: usize| (first..first + 3).map(|n| over(ban(n), NOW + MOST_AHEAD, "evil"));
    decisions.merge(flood(0), NOW, 3);
    for n in [100, 101] {
        assert!(decisions.decide(ban(n), false, NOW, node("a")));
        decisions.forget(NOW, 3);
        decisions.merge(flood(n - 90), NOW, 3);
        assert_eq!(decisions.verdict(&ban(n)), Some(over(ban(n), NOW + 1, "a")));
    }
    let merged = decisions.merge([holds(ban(100), NOW, "z")], NOW, 3);
    assert!(!merged.is_new && !decisions.has(&ban(100)), "who has it still does not bring it back");
    assert_eq!(decisions.verdicts().count(), 3, "no more than may be");
    // Nor do others remember less for it than there is room.
    assert_eq!((decisions.len_of(Kind::Ban), decisions.clone()), (0, of(decisions.verdicts())));
    // What is decided here is bounded, too, and what others take back ends what holds.
    for n in 102..104 {
        decisions.decide(ban(n), false, NOW + n as u64, node("a"));
        decisions.forget(NOW, 3);
    }
    decisions.take_up(holds(ban(50), NOW, "z"));
    assert_eq!(decisions.merge([over(ban(50), NOW + 1, "z")], NOW, 3).changed.len(), 1);
    let known: Vec<_> = decisions.verdicts().map(|verdict| verdict.entry).collect();
    assert_eq!(known, [ban(101), ban(102), ban(103)]);
    // Decided once more by others, it is theirs.
    decisions.merge([holds(ban(102), NOW + 500, "z")], NOW, 3);
    assert!(decisions.has(&ban(102)) && decisions.len_of(Kind::Ban) == 1);
    // After a while it is one like any other.
    let later = NOW + KEPT_HERE + 200;
    let told: Vec<_> = (0..3).map(|n| over(ban(n), later, "b")).collect();
    decisions.merge(told.clone(), later, 3);
    let mut expected = of([holds(ban(102), NOW + 500, "z")]);
    told.into_iter().for_each(|verdict| expected.take_up(verdict));
    assert_eq!(decisions, expected);
}

#[test]
fn no_key_is_shown_where_they_are_debugged() {
    let decisions = of([holds(entry(Kind::Key, "secret-key"), NOW, "a")]);
    assert!(!format!("{decisions:?}").contains("secret"), "{decisions:?}");
}
