//! What was tried and what came of it, written down before it is tried: however often the tracker is killed meanwhile, it
//! knows when it may try again.

use super::{
    schedule::{self, MOST_ATTEMPTS},
    settings::Settings,
};
use serde::{Deserialize, Serialize};

/// What is known of attempts to get a certificate. Times are seconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ledger {
    /// Whom was asked.
    directory: String,
    /// For which names.
    domains: Vec<String>,
    /// Failures since the last success.
    failures: u32,
    /// Nothing is tried before, by our own pause.
    own_pause_until: u64,
    /// Nothing is tried before, as the server said.
    server_pause_until: u64,
    /// The last attempts without success, the oldest first, [`MOST_ATTEMPTS`] at most.
    attempts: Vec<u64>,
    /// When the certificate was obtained that is kept.
    obtained: Option<u64>,
}

impl Ledger {
    /// Of a time that nobody knows anything of: as if something had failed just now.
    pub(super) fn unknown(settings: &Settings, now: u64, chance: u64) -> Self {
        let mut ledger = Self::default();
        ledger.about(settings);
        ledger.begin(now, chance);
        ledger
    }

    /// From now on it is about this. What failed with another server, or for other names, says nothing of these; how often
    /// was tried does.
    pub(super) fn about(&mut self, settings: &Settings) {
        if self.directory == settings.directory && self.domains == settings.domains {
            return;
        }
        self.directory.clone_from(&settings.directory);
        self.domains.clone_from(&settings.domains);
        (self.failures, self.own_pause_until, self.server_pause_until) = (0, 0, 0);
    }

    /// Something is about to be tried: taken for a failure until it has come to a good end.
    pub(super) fn begin(&mut self, now: u64, chance: u64) {
        self.failures = self.failures.saturating_add(1);
        self.own_pause_until = now + schedule::pause(self.failures, true, chance);
        self.attempts.push(now);
        let too_many = self.attempts.len().saturating_sub(MOST_ATTEMPTS);
        self.attempts.drain(..too_many);
    }

    /// It has failed, and the server knows of it or not. It may have said until when to wait.
    pub(super) fn failed(&mut self, now: u64, reached: bool, word: Option<u64>, chance: u64) {
        self.own_pause_until = now + schedule::pause(self.failures, reached, chance);
        if let Some(until) = word {
            self.server_pause_until = schedule::server_word(now, until);
        }
        if !reached {
            // What nobody has heard of counts against no limit.
            self.attempts.pop();
        }
    }

    /// There is a certificate.
    pub(super) fn succeeded(&mut self, now: u64) {
        (self.failures, self.own_pause_until, self.server_pause_until) = (0, 0, 0);
        self.attempts.clear();
        self.obtained = Some(now);
    }

    /// Somebody wants it tried: our own pause is over.
    pub(super) fn asked(&mut self) {
        self.own_pause_until = 0;
    }

    /// When it may be tried.
    pub(super) fn free_at(&self, now: u64) -> u64 {
        schedule::free_at(now, self.own_pause_until, self.server_pause_until, &self.attempts)
    }

    /// Failures since the last success.
    pub(super) const fn failures(&self) -> u32 {
        self.failures
    }

    /// When the certificate was obtained that is kept, if that is known.
    pub(super) const fn obtained(&self) -> Option<u64> {
        self.obtained
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn settings(domain: &str) -> Settings {
        Settings { domains: vec![domain.to_owned()], ..Settings::example() }
    }

    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        ledger.about(&settings("a.example"));
        ledger
    }

    #[test]
    fn an_attempt_is_a_failure_until_it_has_succeeded() {
        let mut ledger = ledger();
        assert_eq!(ledger.free_at(NOW), 0);
        ledger.begin(NOW, 0);
        assert_eq!((ledger.failures(), ledger.free_at(NOW)), (1, NOW + 300));
        ledger.succeeded(NOW + 5);
        assert_eq!((ledger.failures(), ledger.free_at(NOW + 5)), (0, 0));
        assert_eq!(ledger.obtained(), Some(NOW + 5));
    }

    /// Killed and started again and again, at once each time: the time of each attempt.
    #[test]
    fn a_crash_loop_tries_less_and_less_often() {
        let mut ledger = ledger();
        let mut now = NOW;
        let mut after = Vec::new();
        for _ in 0..7 {
            after.push(now - NOW);
            ledger.begin(now, 0);
            let kept: Ledger = serde_json::from_str(&serde_json::to_string(&ledger).unwrap()).unwrap();
            assert_eq!(kept, ledger);
            now = kept.free_at(now);
        }
        assert_eq!(after, [0, 300, 900, 2_100, 4_500, 9_300, 18_900]);
    }

    #[test]
    fn who_asks_is_heard_five_times_an_hour() {
        let mut ledger = ledger();
        for n in 0..5 {
            ledger.asked();
            assert!(ledger.free_at(NOW + n) <= NOW + n);
            ledger.begin(NOW + n, 0);
            ledger.failed(NOW + n, true, None, 0);
        }
        ledger.asked();
        assert_eq!(ledger.free_at(NOW + 5), NOW + 3_600);
        // Other names begin anew, but are no way around it.
        ledger.about(&settings("b.example"));
        assert_eq!((ledger.failures(), ledger.free_at(NOW + 5)), (0, NOW + 3_600));
    }

    #[test]
    fn what_nobody_heard_of_is_tried_again_soon() {
        let mut ledger = ledger();
        for (n, pause) in [15, 30, 60, 120, 240, 480].into_iter().enumerate() {
            ledger.begin(NOW, 0);
            ledger.failed(NOW, false, None, 0);
            assert_eq!(ledger.free_at(NOW), NOW + pause, "{n}");
        }
    }

    #[test]
    fn the_servers_word_holds_whoever_asks() {
        let mut ledger = ledger();
        ledger.begin(NOW, 0);
        ledger.failed(NOW, true, Some(NOW + 4_000), 0);
        assert_eq!(ledger.free_at(NOW), NOW + 4_000);
        ledger.asked();
        assert_eq!(ledger.free_at(NOW), NOW + 4_000);
        ledger.about(&settings("b.example"));
        assert_eq!(ledger.free_at(NOW), 0);
    }

    #[test]
    fn of_what_is_not_known_the_worst_is_thought() {
        assert_eq!(Ledger::unknown(&settings("a.example"), NOW, 0).free_at(NOW), NOW + 300);
    }
}
