//! The task that has a certificate, and sees that there is another before its time is over.

use super::{
    failure::{Failure, Outcome},
    ledger::Ledger,
    order::{Failed, Obtained, Order, Suggestion, blocking},
    schedule::{self, Window},
    settings::Settings,
    store::{Kept, Store},
};
use crate::{
    farewell::Farewell,
    random,
    tls::{Leaf, Tls},
    utc,
};
use rustls::pki_types::CertificateDer;
use std::{future::pending, sync::Arc, time::Duration};
use tokio::{sync::watch, time::sleep};

/// How long is slept at most: clocks are set, and machines suspended. Seconds.
const LONGEST_SLEEP: u64 = 600;
/// How long another process is left to finish its order, before it is looked what came of it. Seconds.
const ANOTHERS_TURN: u64 = 30;

/// What is served, and what was asked for when it was given.
#[derive(Debug)]
struct Served {
    directory: String,
    domains: Vec<String>,
    certificate: CertificateDer<'static>,
    leaf: Leaf,
}

impl Served {
    /// Whether it is what is wanted.
    fn suits(&self, settings: &Settings) -> bool {
        self.directory == settings.directory && self.domains == settings.domains
    }
}

/// When the server wants the certificate renewed, as far as it has said.
#[derive(Debug, Default)]
struct Wish {
    window: Option<Window>,
    /// It is asked again then.
    ask_at: u64,
}

/// What the task works with.
#[derive(Debug)]
pub(super) struct Keeper {
    tls: Arc<Tls>,
    store: Store,
    settings: watch::Receiver<Settings>,
    /// Whether this process is the one to ask for certificates.
    acts: watch::Receiver<bool>,
    served: Option<Served>,
    ledger: Ledger,
    wish: Wish,
    /// Somebody wants it tried, and it has not been since.
    is_asked: bool,
    /// Nothing is tried before, since another process is at it.
    anothers_until: u64,
    /// Places the renewal within its window.
    chance: u64,
}

impl Keeper {
    pub(super) fn new(
        tls: Arc<Tls>,
        store: Store,
        settings: watch::Receiver<Settings>,
        acts: watch::Receiver<bool>,
    ) -> Self {
        let (ledger, wish, chance) = (Ledger::default(), Wish::default(), chance());
        Self {
            tls,
            store,
            settings,
            acts,
            served: None,
            ledger,
            wish,
            is_asked: false,
            anothers_until: 0,
            chance,
        }
    }

    /// Never returns.
    pub(super) async fn run(mut self, _farewell: Farewell) {
        let mut is_new = true;
        loop {
            if is_new || !*self.acts.borrow() {
                // Errors are the end of the server.
                if self.acts.wait_for(|acts| *acts).await.is_err() {
                    return pending().await;
                }
                // Another process may have had its turn.
                self.look_up().await;
                self.tell_beginning(std::mem::take(&mut is_new));
            }
            self.ask_for_a_window().await;
            let now = utc::wall();
            let next = self.next(now);
            if next <= now {
                self.attempt().await;
                continue;
            }
            tokio::select! {
                () = sleep(Duration::from_secs((next - now).min(LONGEST_SLEEP))) => {}
                changed = self.settings.changed() => match changed {
                    Ok(()) => self.asked(),
                    Err(_) => return pending().await,
                },
                changed = self.acts.changed() => if changed.is_err() {
                    return pending().await;
                },
            }
        }
    }

    /// Takes up what is on disk.
    async fn look_up(&mut self) {
        let (store, provider) = (self.store.clone(), self.tls.provider.clone());
        match blocking(move || store.certificate(&provider)).await {
            Ok(Some(kept)) => self.take_up(kept),
            Ok(None) => {}
            Err(fault) => tracing::warn!("acme: {fault}; another certificate will take its place"),
        }
        let store = self.store.clone();
        let settings = self.settings.borrow_and_update().clone();
        match blocking(move || store.ledger()).await {
            Ok(Some(ledger)) => self.ledger = ledger,
            Ok(None) => {}
            Err(fault) => {
                tracing::warn!("acme: {fault}; it is taken for one attempt that failed just now");
                self.ledger = Ledger::unknown(&settings, utc::wall(), chance());
            }
        }
        self.ledger.about(&settings);
        if self.is_asked {
            self.ledger.asked();
        }
    }

    fn take_up(&mut self, kept: Kept) {
        let Kept { directory, domains, key } = kept;
        let Some(certificate) = key.cert.first().cloned() else { return };
        let Some(leaf) = Leaf::read(&certificate) else { return };
        if self.served.as_ref().is_some_and(|served| served.certificate == certificate) {
            return;
        }
        match self.tls.serve(key) {
            Ok(()) => {
                self.served = Some(Served { directory, domains, certificate, leaf });
                (self.wish, self.chance) = (Wish::default(), chance());
            }
            Err(error) => tracing::error!("acme: {error}"),
        }
    }

    /// Somebody has reloaded the configuration.
    fn asked(&mut self) {
        let settings = self.settings.borrow_and_update().clone();
        self.ledger.about(&settings);
        self.ledger.asked();
        self.is_asked = true;
        self.wish.ask_at = 0;
    }

    /// When something is to be tried.
    fn next(&self, now: u64) -> u64 {
        let due = match &self.served {
            Some(served) if served.suits(&self.settings.borrow()) => {
                schedule::renewal(&served.leaf, self.ledger.obtained(), self.wish.window, self.chance)
            }
            _ => 0,
        };
        due.max(self.ledger.free_at(now)).max(self.anothers_until)
    }

    /// Asks the server when it wants the certificate renewed, if it is time to.
    async fn ask_for_a_window(&mut self) {
        let now = utc::wall();
        let settings = self.settings.borrow().clone();
        let Some(served) = self.served.as_ref().filter(|served| served.suits(&settings)) else { return };
        if now < self.wish.ask_at {
            return;
        }
        let order = self.order(settings);
        let mut acts = self.acts.clone();
        let asked: Result<Suggestion, Failure> = tokio::select! {
            asked = order.suggestion(&served.certificate) => asked,
            _ = acts.wait_for(|acts| !acts) => return,
        };
        match asked {
            Ok(Some((start, end, again))) => {
                let window = Some(Window { start, end });
                if window != self.wish.window {
                    tracing::debug!(
                        "acme: the server suggests to renew between {} and {}",
                        utc::readable(start),
                        utc::readable(end)
                    );
                }
                self.wish = Wish { window, ask_at: schedule::ask_again(now, again) };
            }
            Ok(None) => self.wish = Wish { window: None, ask_at: schedule::ask_again(now, u64::MAX) },
            Err(failure) => {
                tracing::debug!("acme: when to renew is not known: {failure}");
                self.wish.ask_at = now + schedule::ASK_AGAIN_AFTER_FAILURE;
            }
        }
    }

    fn order(&self, settings: Settings) -> Order {
        let replaces = self.served.as_ref().filter(|served| served.directory == settings.directory);
        let shares = |served: &&Served| served.domains.iter().any(|name| settings.domains.contains(name));
        let replaces = replaces.filter(shares).map(|served| served.certificate.clone());
        Order { settings, store: self.store.clone(), tls: self.tls.clone(), replaces }
    }

    /// Asks for a certificate, if no other process does. What is tried is written down before, so that a tracker that is killed
    /// meanwhile knows of it.
    async fn attempt(&mut self) {
        let store = self.store.clone();
        // Held until this returns: a file's lock, for which nobody in this process waits.
        let _lock = match blocking(move || store.lock()).await {
            Ok(Some(lock)) => lock,
            Ok(None) => {
                tracing::info!("acme: another process asks for a certificate");
                self.anothers_until = utc::wall() + ANOTHERS_TURN;
                return self.look_up().await;
            }
            Err(source) => return self.not_kept(source),
        };
        self.look_up().await;
        let now = utc::wall();
        if self.next(now) > now {
            return;
        }
        let settings = self.settings.borrow().clone();
        self.is_asked = false;
        self.ledger.begin(now, chance());
        if let Err(source) = self.keep_ledger().await {
            return self.not_kept(source);
        }
        let order = self.order(settings);
        let mut acts = self.acts.clone();
        let outcome = tokio::select! {
            outcome = order.obtain() => outcome,
            // Another process takes over: it is asked from now on, and would know nothing of the challenges.
            _ = acts.wait_for(|acts| !acts) => return,
        };
        match outcome {
            Ok(obtained) => self.succeeded(&order.settings, obtained).await,
            Err(failed) => self.failed(failed).await,
        }
    }

    async fn succeeded(&mut self, settings: &Settings, obtained: Obtained) {
        let Obtained { key, leaf, chain_and_key } = obtained;
        let (store, directory, domains) =
            (self.store.clone(), settings.directory.clone(), settings.domains.clone());
        let kept = blocking(move || store.keep_certificate(&directory, &domains, &chain_and_key)).await;
        if let Err(source) = kept {
            let path = self.store.directory().to_owned();
            tracing::warn!(
                "acme: the certificate is served, but not kept: {}",
                Failure::NotKept { path, source }
            );
        }
        let (directory, domains) = (settings.directory.clone(), settings.domains.clone());
        self.take_up(Kept { directory, domains, key });
        self.tls.orders.add(Outcome::Ok);
        let now = utc::wall();
        self.ledger.succeeded(now);
        if let Err(source) = self.keep_ledger().await {
            tracing::warn!("acme: {}", Failure::NotKept { path: self.store.directory().to_owned(), source });
        }
        tracing::info!(
            "acme: a certificate for {} is served, from {}; it expires at {}",
            leaf.told_names(),
            settings.directory,
            utc::readable(leaf.not_after)
        );
        if !leaf.is_valid(now) {
            tracing::warn!(
                "acme: that certificate is valid from {} to {}, and by this machine's clock it is {}: set the clock \
                 (`timedatectl` shows it)",
                utc::readable(leaf.not_before),
                utc::readable(leaf.not_after),
                utc::readable(now)
            );
        }
    }

    async fn failed(&mut self, failed: Failed) {
        let Failed { failure, retry_after } = failed;
        let now = utc::wall();
        self.ledger.failed(now, failure.reached(), retry_after, chance());
        // What was written down before says as much, but for how long to wait.
        if let Err(source) = self.keep_ledger().await {
            tracing::debug!("acme: {source}");
        }
        self.tell(&failure, now);
    }

    /// Nothing was tried.
    fn not_kept(&mut self, source: std::io::Error) {
        let now = utc::wall();
        self.ledger.begin(now, chance());
        self.ledger.failed(now, false, None, chance());
        self.tell(&Failure::NotKept { path: self.store.directory().to_owned(), source }, now);
    }

    async fn keep_ledger(&self) -> std::io::Result<()> {
        let (store, ledger) = (self.store.clone(), self.ledger.clone());
        blocking(move || store.keep_ledger(&ledger)).await
    }

    fn tell(&self, failure: &Failure, now: u64) {
        self.tls.orders.add(failure.outcome());
        let next = self.next(now);
        tracing::warn!(
            "acme: no certificate for {}: {failure}. {}. It is tried again in {} (at {}), after {} in a row; `riptide control \
             reload` tries it sooner",
            self.settings.borrow().domains.join(", "),
            self.meanwhile(),
            told_wait(next.saturating_sub(now)),
            utc::readable(next),
            match self.ledger.failures() {
                1 => "one failure".to_owned(),
                more => format!("{more} failures"),
            }
        );
    }

    /// What clients get meanwhile.
    fn meanwhile(&self) -> String {
        match &self.served {
            None => "TLS handshakes are refused until there is one".to_owned(),
            Some(served) => {
                let end = utc::readable(served.leaf.not_after);
                format!("The one for {} that expires at {end} is served on", served.leaf.told_names())
            }
        }
    }

    /// Says what is served from the beginning, and what is waited for.
    fn tell_beginning(&self, is_new: bool) {
        let (now, settings) = (utc::wall(), self.settings.borrow());
        let (wanted, directory) = (settings.domains.join(", "), &settings.directory);
        match &self.served {
            Some(served) if is_new => tracing::info!(
                "acme: the certificate for {} is served, which expires at {}",
                served.leaf.told_names(),
                utc::readable(served.leaf.not_after)
            ),
            None if is_new => tracing::info!(
                "acme: there is no certificate for {wanted} yet: TLS handshakes are refused until {directory} gives one"
            ),
            _ => {}
        }
        let free = self.ledger.free_at(now);
        if is_new && free > now && self.next(now) == free {
            tracing::info!(
                "acme: the last attempt to get a certificate for {wanted} came to no good end; the next is in {}",
                told_wait(free - now)
            );
        }
    }
}

/// A random word. Without randomness everything happens at its earliest.
fn chance() -> u64 {
    random::seed().map_or(0, |[word, _]| word)
}

/// The greatest unit of a time in seconds, rounded up.
fn told_wait(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h", seconds.div_ceil(3600)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_told_in_one_unit() {
        for (seconds, text) in [(0, "0 s"), (119, "119 s"), (300, "5 min"), (301, "6 min"), (21_600, "6 h")] {
            assert_eq!(told_wait(seconds), text);
        }
    }
}
