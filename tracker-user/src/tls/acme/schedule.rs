//! When a certificate is asked for: pure reckoning, in whole seconds since 1970. `chance` is a random word.

use crate::tls::Leaf;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// The first pause after a failure of which the server knows, seconds. It doubles, so that five failures take more than an
/// hour: Let's Encrypt allows five an hour for each name.
const FIRST_PAUSE: u64 = 5 * MINUTE;
/// The first pause where the server was not even reached, seconds. It doubles, too.
const FIRST_PAUSE_UNREACHED: u64 = 15;
/// The longest pause, seconds; up to a quarter more comes by chance.
const LAST_PAUSE: u64 = 6 * HOUR;
/// The longest that a server's own word (Retry-After) is taken for, seconds: the longest window of Let's Encrypt's limits.
const LONGEST_WORD: u64 = 7 * DAY;

/// Attempts without success in [`ATTEMPTS_WINDOW`], whatever else says that it is time: changed names, an operator who asks.
pub(super) const MOST_ATTEMPTS: usize = 5;
/// Seconds.
const ATTEMPTS_WINDOW: u64 = HOUR;

/// A certificate younger than this is not renewed, nor one that has lived less than a third of its time, whatever the
/// server says and the clock shows: whoever gives nothing better is not to be asked again and again. Seconds.
const LEAST_AGE: u64 = DAY;

/// How long the server may ask to wait before it is asked again for a window, seconds (RFC 9773 section 4.3.2).
const ASK_AGAIN: (u64, u64) = (MINUTE, DAY);
/// How long before that where it has given none, seconds.
pub(super) const ASK_AGAIN_AFTER_FAILURE: u64 = HOUR;

/// When the server suggests that a certificate is renewed (RFC 9773 section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) start: u64,
    pub(super) end: u64,
}

/// A part of `whole`, by chance, always less than it.
fn part(chance: u64, whole: u64) -> u64 {
    u64::try_from((u128::from(chance) * u128::from(whole)) >> 64).unwrap_or(0)
}

/// When a certificate is renewed that was obtained then, if that is known: within the server's window where it suggests one,
/// else when two thirds of its time are over, or up to a thirtieth of it before.
pub(super) fn renewal(leaf: &Leaf, obtained: Option<u64>, window: Option<Window>, chance: u64) -> u64 {
    let lifetime = leaf.lifetime();
    // By a clock that was off, the certificate was not valid when it came: then its age counts.
    let off = obtained.filter(|at| !leaf.is_valid(*at));
    let due = match window {
        Some(Window { start, end }) if off.is_none() => {
            let chosen = start + part(chance, end.saturating_sub(start));
            chosen.min(leaf.not_after.saturating_sub(lifetime / 10))
        }
        _ => off.unwrap_or(leaf.not_before) + lifetime / 3 * 2 - part(chance, lifetime / 30),
    };
    due.max(obtained.unwrap_or(0).saturating_add(LEAST_AGE.min(lifetime / 3)))
}

/// How long nothing is tried after so many failures in a row, the last of which the server knows of or not.
pub(super) fn pause(failures: u32, reached: bool, chance: u64) -> u64 {
    let first = if reached { FIRST_PAUSE } else { FIRST_PAUSE_UNREACHED };
    let doublings = failures.saturating_sub(1).min(32);
    let pause = (first << doublings).min(LAST_PAUSE);
    pause + part(chance, pause / 4)
}

/// Until when a server is not asked that said to wait until then.
pub(super) fn server_word(now: u64, until: u64) -> u64 {
    until.min(now + LONGEST_WORD)
}

/// When it may be tried next: not before our own pause is over, nor before the server's word allows it, nor more often than
/// may be. `attempts` are the times of those without success, the oldest first. Where the clock was set back, what lies
/// further ahead than it can is over as soon as it can be.
pub(super) fn free_at(now: u64, own: u64, server: u64, attempts: &[u64]) -> u64 {
    let bounded = |at: u64, most: u64| if at > now + most { now + most } else { at };
    let too_many = match attempts.len().checked_sub(MOST_ATTEMPTS) {
        Some(first) => attempts[first].min(now) + ATTEMPTS_WINDOW,
        None => 0,
    };
    bounded(own, LAST_PAUSE + LAST_PAUSE / 4).max(bounded(server, LONGEST_WORD)).max(too_many)
}

/// When the server is asked again for a window, where it said to wait so long.
pub(super) fn ask_again(now: u64, after: u64) -> u64 {
    now + after.clamp(ASK_AGAIN.0, ASK_AGAIN.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;
    const HALF: u64 = 1 << 63;

    fn leaf(from: u64, lifetime: u64) -> Leaf {
        Leaf { names: Vec::new(), not_before: from, not_after: from + lifetime, signs_itself: false }
    }

    /// What is obtained at once: a lifetime, a chance, and how long after the beginning it is renewed.
    #[test]
    fn without_a_window_two_thirds_are_lived() {
        for (lifetime, chance, after) in [
            // 90 days: 60, or up to 3 less.
            (90 * DAY, 0, 60 * DAY),
            (90 * DAY, HALF, 60 * DAY - 36 * HOUR),
            (90 * DAY, u64::MAX, 57 * DAY + 1),
            (45 * DAY, 0, 30 * DAY),
            (6 * DAY, 0, 4 * DAY),
            (15, 0, 10),
            (15, u64::MAX, 10),
        ] {
            let renewed = renewal(&leaf(NOW, lifetime), Some(NOW), None, chance);
            assert_eq!(renewed - NOW, after, "{lifetime} {chance}");
        }
        // An hour back in time, as Let's Encrypt writes it, or found without a word on when it came.
        assert_eq!(renewal(&leaf(NOW - HOUR, 90 * DAY), Some(NOW), None, 0), NOW - HOUR + 60 * DAY);
        assert_eq!(renewal(&leaf(NOW, 90 * DAY), None, None, 0), NOW + 60 * DAY);
    }

    #[test]
    fn a_window_is_kept_to() {
        let leaf = leaf(NOW, 90 * DAY);
        let window = |start, end| Some(Window { start: NOW + start, end: NOW + end });
        for (window, chance, after) in [
            (window(50 * DAY, 52 * DAY), 0, 50 * DAY),
            (window(50 * DAY, 52 * DAY), HALF, 51 * DAY),
            (window(50 * DAY, 52 * DAY), u64::MAX, 52 * DAY - 1),
            // Backwards, and after the end.
            (window(50 * DAY, 40 * DAY), HALF, 50 * DAY),
            (window(100 * DAY, 101 * DAY), 0, 81 * DAY),
            // At once, since it is to be revoked: as soon as it is a day old.
            (Some(Window { start: 0, end: 1 }), 0, DAY),
        ] {
            assert_eq!(renewal(&leaf, Some(NOW), window, chance) - NOW, after, "{window:?}");
        }
        let at_once = Some(Window { start: 0, end: 1 });
        let older = Leaf { not_before: NOW - 3 * DAY, ..leaf };
        assert_eq!(renewal(&older, Some(NOW - 2 * DAY), at_once, 0), NOW - DAY);
    }

    #[test]
    fn with_a_clock_that_is_off_its_age_counts() {
        // A year fast: expired as it comes. Then a year slow: not valid yet.
        for off in [NOW + 365 * DAY, NOW - 365 * DAY] {
            assert_eq!(renewal(&leaf(NOW, 90 * DAY), Some(off), None, 0), off + 60 * DAY);
            let at_once = Some(Window { start: 0, end: 1 });
            assert_eq!(renewal(&leaf(NOW, 90 * DAY), Some(off), at_once, 0), off + 60 * DAY);
        }
    }

    #[test]
    fn pauses_double_up_to_six_hours() {
        for (failures, reached, unreached) in [
            (1, 300, 15),
            (2, 600, 30),
            (3, 1_200, 60),
            (4, 2_400, 120),
            (5, 4_800, 240),
            (6, 9_600, 480),
            (7, 19_200, 960),
            (8, 21_600, 1_920),
            (12, 21_600, 21_600),
            (u32::MAX, 21_600, 21_600),
        ] {
            assert_eq!(pause(failures, true, 0), reached, "{failures}");
            assert_eq!(pause(failures, false, 0), unreached, "{failures}");
        }
        assert_eq!(pause(1, true, HALF), 337);
        assert_eq!(pause(1, true, u64::MAX), 374);
        assert_eq!(pause(20, true, u64::MAX), 26_999);
    }

    #[test]
    fn a_server_is_waited_for_but_a_week_at_most() {
        assert_eq!(server_word(NOW, NOW + 3), NOW + 3);
        assert_eq!(server_word(NOW, u64::MAX), NOW + 7 * DAY);
    }

    #[test]
    fn the_latest_of_all_reasons_to_wait_counts() {
        for (own, server, attempts, expected) in [
            (0, 0, &[][..], 0),
            (NOW + 10, NOW + 20, &[], NOW + 20),
            (NOW + 20, NOW + 10, &[], NOW + 20),
            (0, 0, &[NOW - 9, NOW - 8, NOW - 7, NOW - 6], 0),
            (0, 0, &[NOW - 9, NOW - 8, NOW - 7, NOW - 6, NOW - 5], NOW - 9 + HOUR),
            (0, 0, &[NOW - 9, NOW - 8, NOW - 7, NOW - 6, NOW - 5, NOW - 4], NOW - 8 + HOUR),
            // Written by a clock that was ahead.
            (NOW + 365 * DAY, 0, &[], NOW + 27_000),
            (0, NOW + 365 * DAY, &[], NOW + 7 * DAY),
            (0, 0, &[NOW + 365 * DAY; 5], NOW + HOUR),
        ] {
            assert_eq!(free_at(NOW, own, server, attempts), expected, "{own} {server} {attempts:?}");
        }
    }

    #[test]
    fn the_window_is_asked_for_as_often_as_the_server_says_within_reason() {
        assert_eq!(ask_again(NOW, 6 * HOUR), NOW + 6 * HOUR);
        assert_eq!(ask_again(NOW, 0), NOW + 60);
        assert_eq!(ask_again(NOW, u64::MAX), NOW + DAY);
    }
}
