//! What software announces, by the names that have a series of their own: the commonest, so many as there may be.

use super::before::Counted;
use parking_lot::Mutex;
use tracker_core::client_software::{ANNOUNCES_PER_LOOK, ClientSoftware};

/// The counter.
pub(super) const NAME: &str = "riptide_client_announces_total";
/// Its label.
pub(super) const CLIENT: &str = "client";
/// So many names have a series; all others are [`ClientSoftware::OTHER`].
const MOST_NAMES: usize = 50;

/// The names that have a series. One that has it keeps it, and one that has once been among the others stays there, so that
/// no counter goes back.
#[derive(Debug, Default)]
pub struct Named(Mutex<Vec<ClientSoftware>>);

impl Named {
    /// Announces by software, the commonest first, the others last. `looks` tells how many of each were looked at; those of
    /// `before` have had a series in a process before this one.
    pub(super) fn announces(
        &self,
        looks: impl Fn(ClientSoftware) -> u64,
        before: &[ClientSoftware],
    ) -> Vec<(ClientSoftware, u64)> {
        let announces = |software| (software, looks(software).saturating_mul(ANNOUNCES_PER_LOOK.into()));
        self.choose(ClientSoftware::ALL.map(announces).to_vec(), before)
    }

    fn choose(
        &self,
        mut counts: Vec<(ClientSoftware, u64)>,
        before: &[ClientSoftware],
    ) -> Vec<(ClientSoftware, u64)> {
        let mut named = self.0.lock();
        counts.sort_by_key(|(_, announces)| std::cmp::Reverse(*announces));
        let come = counts.iter().filter(|(_, announces)| *announces > 0).map(|(software, _)| software);
        for software in before.iter().chain(come) {
            let is_new = *software != ClientSoftware::OTHER && !named.contains(software);
            if is_new && named.len() < MOST_NAMES {
                named.push(*software);
            }
        }
        let (mut of_name, others): (Vec<_>, Vec<_>) =
            counts.into_iter().partition(|(software, _)| named.contains(software));
        of_name.push((ClientSoftware::OTHER, others.iter().map(|(_, announces)| announces).sum()));
        of_name
    }
}

/// Those that these counters of a process before this one name.
pub(super) fn named_in(before: &Counted) -> Vec<ClientSoftware> {
    let labels =
        before.counters.keys().filter(|series| series.name == NAME).flat_map(|series| &series.labels);
    let names = labels.filter(|(key, _)| key == CLIENT).map(|(_, name)| name);
    names
        .filter_map(|name| ClientSoftware::ALL.into_iter().find(|software| software.name() == name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{super::before::Series, *};

    fn all() -> Vec<ClientSoftware> {
        ClientSoftware::ALL.into_iter().filter(|software| *software != ClientSoftware::OTHER).collect()
    }

    #[test]
    fn the_commonest_have_a_name_and_the_rest_is_other() {
        let named = Named::default();
        // The later in the table, the more.
        let counts: Vec<_> = ClientSoftware::ALL.into_iter().zip(1_u64..).collect();
        let chosen = named.choose(counts.clone(), &[]);
        assert_eq!(chosen.len(), MOST_NAMES + 1);
        let expected: Vec<_> = all().into_iter().rev().take(MOST_NAMES).collect();
        assert_eq!(
            chosen.iter().map(|(software, _)| *software).take(MOST_NAMES).collect::<Vec<_>>(),
            expected
        );
        let sum = |counts: &[(_, u64)]| counts.iter().map(|(_, announces)| announces).sum::<u64>();
        assert_eq!(chosen.last().map(|(software, _)| *software), Some(ClientSoftware::OTHER));
        assert_eq!(sum(&chosen), sum(&counts), "none is lost");
    }

    #[test]
    fn nothing_has_come_to_a_fresh_tracker() {
        let counts: Vec<_> = ClientSoftware::ALL.into_iter().map(|software| (software, 0)).collect();
        assert_eq!(Named::default().choose(counts, &[]), [(ClientSoftware::OTHER, 0)]);
    }

    #[test]
    fn no_counter_ever_goes_back() {
        let named = Named::default();
        let mut rng = tracker_core::rng::Rng::new([1, 2]);
        let mut counts: Vec<_> = ClientSoftware::ALL.into_iter().map(|software| (software, 0)).collect();
        let mut last: Vec<(ClientSoftware, u64)> = Vec::new();
        for _ in 0..500 {
            let place = rng.below(counts.len());
            counts[place].1 += 1 + rng.below(1000) as u64;
            let chosen = named.choose(counts.clone(), &[]);
            assert!(chosen.len() <= MOST_NAMES + 1);
            for (software, announces) in last {
                let now = chosen.iter().find(|(other, _)| *other == software);
                assert!(now.is_some_and(|(_, now)| *now >= announces), "{}", software.name());
            }
            last = chosen;
        }
        assert_eq!(last.len(), MOST_NAMES + 1, "all names have come");
    }

    #[test]
    fn names_of_a_process_before_come_first() {
        let named = Named::default();
        let before = &all()[60..70];
        let counts: Vec<_> = ClientSoftware::ALL.into_iter().map(|software| (software, 5)).collect();
        let chosen = named.choose(counts, before);
        assert_eq!(chosen.len(), MOST_NAMES + 1);
        assert!(before.iter().all(|software| chosen.iter().any(|(other, _)| other == software)));
    }

    #[test]
    fn what_was_looked_at_stands_for_all() {
        let qbittorrent = ClientSoftware::of(b"-qB4630-");
        let looks = |software| if software == qbittorrent { 3 } else { 0 };
        let announces = Named::default().announces(looks, &[]);
        assert_eq!(announces, [(qbittorrent, 3 * 61), (ClientSoftware::OTHER, 0)]);
    }

    #[test]
    fn names_are_found_in_what_was_counted_before() {
        let series = |name: &str, client: &str| Series {
            name: name.to_owned(),
            labels: vec![(CLIENT.to_owned(), client.to_owned())],
        };
        let told =
            [series(NAME, "qBittorrent"), series(NAME, "of a later version"), series("x_total", "Deluge")];
        let before = Counted { counters: told.into_iter().map(|s| (s, 1)).collect(), ..Counted::default() };
        assert_eq!(named_in(&before), [ClientSoftware::of(b"-qB4630-")]);
    }
}
