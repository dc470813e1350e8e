//! Certificates that the tracker gets for itself, from a server that speaks ACME (RFC 8555): whether a name leads here the
//! server sees at the listener of HTTPS itself (TLS-ALPN-01).
//!
//! One task sees to it. The certificate, the account and what was tried are in the state directory, and whatever is tried is
//! written down before, so that a tracker that is killed again and again orders no more than one that runs. Of several
//! processes one asks at a time. Nothing here holds up an answer to a client.

mod client;
mod failure;
mod keeper;
mod ledger;
mod order;
mod schedule;
mod settings;
mod store;

pub use failure::Outcome;
pub use settings::Settings;

use super::Tls;
use crate::farewell::Farewell;
use keeper::Keeper;
use std::{path::Path, sync::Arc};
use store::Store;
use tokio::sync::{mpsc, watch};

/// The task that sees to the certificate.
#[derive(Debug)]
pub struct Acme {
    settings: watch::Sender<Settings>,
    lending: Lending,
}

/// The way to leave certificates to another process.
#[derive(Clone, Debug)]
pub struct Lending(Arc<watch::Sender<bool>>);

impl Lending {
    /// Asks for none from now on: another process does. An order in hand is given up.
    pub fn lend(&self) {
        self.0.send_replace(false);
    }

    /// Asks for them again.
    pub fn reclaim(&self) {
        self.0.send_replace(true);
    }
}

/// Serves the certificate that is kept in the state directory, if there is one that can be used. Reads from disk; what is
/// wrong with it the task tells that is started later.
pub fn serve_kept(tls: &Tls, directory: &Path) {
    if let Ok(Some(kept)) = Store::new(directory).certificate(&tls.provider) {
        // It fails where the task will fail, too.
        let _ = tls.serve(kept.key);
    }
}

impl Acme {
    /// Starts the task on the runtime in whose context this is called. `ended` hears of an end that nobody asked for.
    #[must_use]
    pub fn start(
        settings: Settings,
        tls: Arc<Tls>,
        directory: &Path,
        ended: &mpsc::UnboundedSender<String>,
    ) -> Self {
        let (settings, seen) = watch::channel(settings);
        let (acts, acting) = watch::channel(true);
        let farewell = Farewell::new("the ACME client", ended.clone());
        tokio::spawn(Keeper::new(tls, Store::new(directory), seen, acting).run(farewell));
        Self { settings, lending: Lending(Arc::new(acts)) }
    }

    /// Has other settings from now on. Where something has failed, it is tried again at once, as often as may be.
    pub fn take_up(&self, settings: Settings) {
        self.settings.send_replace(settings);
    }

    /// The way to leave certificates to another process.
    #[must_use]
    pub fn lending(&self) -> Lending {
        self.lending.clone()
    }
}
