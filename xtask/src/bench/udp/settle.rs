//! From about where a tracker's served rate is to where it is.

use crate::bench::load::{Figures, SEARCH_TRIES};
use anyhow::Result;

/// The share of requests that may stay unanswered at a rate that counts as served.
pub(super) const LOSS: f64 = 0.005;
/// The share of what is offered that has to be sent.
const SENT: f64 = 0.98;
/// A round that loses more goes down by this factor, and one that does not goes up by it.
const STEP: f64 = 0.97;
/// A rate that loses more than this share is not offered again, and the next one is this much lower.
const HOPELESS: f64 = 0.05;
const FAR: f64 = 0.9;
/// So many rates are offered in a round at most.
const MOST_OFFERS: usize = 8;
/// So often in a round a rate is offered again that would have been served, had the host not given processor time to others.
const MOST_DISTURBED: usize = 4;

/// From a rate that is served up by growing steps while rates are served, and from one that is not down until one is; so
/// many offers in all. Returns the last rate that was served, or else offered, and what came of it.
pub(super) fn settle(mut rate: f64, mut probe: impl FnMut(f64) -> Result<Figures>) -> Result<(f64, Figures)> {
    let (mut offers, mut disturbed) = (0, 0);
    let mut offer = |rate: f64, mut tries: usize| {
        offers += 1;
        loop {
            let figures = probe(rate)?;
            if is_disturbed(&figures) && disturbed < MOST_DISTURBED {
                disturbed += 1;
                continue;
            }
            tries -= 1;
            if tries == 0 || is_served(&figures) || figures.unanswered_share > HOPELESS {
                return anyhow::Ok((figures, offers < MOST_OFFERS));
            }
        }
    };
    let (mut figures, mut go_on) = offer(rate, SEARCH_TRIES)?;
    if is_served(&figures) {
        let mut step = 1.0 / STEP;
        while go_on {
            // Once: who is held up here goes on from there in the next round.
            let (higher, more) = offer(rate * step, 1)?;
            if !is_served(&higher) {
                break;
            }
            (rate, figures, go_on) = (rate * step, higher, more);
            step *= step;
        }
    }
    while go_on && !is_served(&figures) {
        rate *= if figures.unanswered_share > HOPELESS { FAR } else { STEP };
        (figures, go_on) = offer(rate, SEARCH_TRIES)?;
    }
    Ok((rate, figures))
}

fn is_served(figures: &Figures) -> bool {
    is_served_but_for(figures, 0.0)
}

/// Whether it was the host that made the difference: what it took is as long as what was lost too much.
fn is_disturbed(figures: &Figures) -> bool {
    let away = figures.stolen_seconds / figures.seconds;
    !is_served(figures) && is_served_but_for(figures, away)
}

/// Whether the rate was served, less this share that may be lost besides.
fn is_served_but_for(figures: &Figures, away: f64) -> bool {
    figures.unanswered_share <= LOSS + away && figures.sent >= figures.offered * (SENT - away)
}

/// Whether the load could send what it was to send: else the rate is the generator's.
pub(super) fn is_sent(figures: &Figures) -> bool {
    figures.sent >= figures.offered * SENT
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn a_round_goes_to_where_rates_are_served() {
        let tracker = |capacity: f64| {
            move |rate: f64| {
                let unanswered_share = (1.0 - capacity / rate).max(0.0);
                Ok(Figures {
                    unanswered_share,
                    answered_per_second: rate.min(capacity),
                    ..Figures::default()
                })
            }
        };
        let served = |capacity| settle(100_000.0, tracker(capacity)).unwrap().1.answered_per_second;
        assert_eq!(served(100_500.0), 100_000.0, "as asked for");
        assert_eq!(served(97_500.0), 97_000.0, "one step down");
        let (rate, figures) = settle(100_000.0, tracker(200_000.0)).unwrap();
        assert!((150_000.0..=200_000.0).contains(&rate) && figures.answered_per_second == rate, "up: {rate}");
        let (rate, figures) = settle(100_000.0, tracker(50_000.0)).unwrap();
        assert!(rate < 50_000.0 && figures.unanswered_share == 0.0, "far away: {rate}");
        let (rate, figures) = settle(100_000.0, tracker(1_000.0)).unwrap();
        assert!(rate > 1_000.0 && figures.answered_per_second == 1_000.0, "too far away: what was answered");
        assert!(settle(1.0, |_| Err(anyhow!("it ended"))).is_err());
    }

    #[test]
    fn what_was_lost_while_the_host_was_away_is_offered_again() {
        // In the first probes, half a second of ten was stolen.
        let settled = |first: usize, lost: f64| {
            let mut probes = 0;
            let probe = |rate: f64| {
                probes += 1;
                let is_away = probes <= first;
                Ok(Figures {
                    seconds: 10.0,
                    stolen_seconds: if is_away { 0.5 } else { 0.0 },
                    unanswered_share: if is_away { lost } else { 0.0 },
                    answered_per_second: rate,
                    ..Figures::default()
                })
            };
            settle(100_000.0, probe).unwrap().0
        };
        assert!(settled(MOST_DISTURBED, 0.05) >= 100_000.0, "nothing was the tracker's loss");
        assert!(settled(usize::MAX, 0.05) < 100_000.0, "not for ever");
        assert!(settled(1, 0.06) < 100_000.0, "more was lost than the host took");
    }

    #[test]
    fn a_load_that_was_away_is_not_the_generators_limit() {
        let figures = |sent, stolen_seconds| Figures {
            seconds: 10.0,
            offered: 100.0,
            sent,
            stolen_seconds,
            ..Figures::default()
        };
        assert!(is_disturbed(&figures(95.0, 0.4)));
        for (sent, stolen_seconds) in [(95.0, 0.0), (95.0, 0.2), (99.0, 0.4)] {
            assert!(!is_disturbed(&figures(sent, stolen_seconds)), "{sent} {stolen_seconds}");
        }
    }
}
