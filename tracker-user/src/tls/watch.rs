//! Looks for renewed files.

use super::{Tls, TlsError, files::Identity};
use std::{future::pending, sync::Arc, time::Duration};

/// What the watcher knows of the files.
#[derive(Debug)]
pub(super) struct Watch {
    /// The state of the files that needs nothing more.
    settled: Identity,
    /// A state in which they could not be used when it was first seen.
    broken: Option<Identity>,
    /// That was told.
    told: bool,
}

/// What a look brought.
#[derive(Debug)]
pub(super) enum Look {
    /// Nothing to tell.
    Quiet,
    /// Another certificate is served.
    Renewed,
    /// After an error that was told, the files can be used again, and hold what is served.
    Mended,
    /// The files cannot be used and stay as they are.
    Broken(TlsError),
}

impl Watch {
    /// Begins with files in this state, which were loaded.
    pub(super) fn new(identity: Identity) -> Self {
        Self { settled: identity, broken: None, told: false }
    }

    /// Looks once, and reloads what has changed.
    ///
    /// Files are renewed one after the other, so an error is told only once they stayed the same from one look to the
    /// next.
    pub(super) fn look(&mut self, tls: &Tls) -> Look {
        let Some((files, _)) = &tls.files else { return Look::Quiet };
        let identity = files.identity();
        if identity == self.settled {
            return Look::Quiet;
        }
        match tls.reload() {
            Ok(changed) => {
                self.settled = identity;
                self.broken = None;
                match (changed, std::mem::take(&mut self.told)) {
                    (true, _) => Look::Renewed,
                    (false, true) => Look::Mended,
                    (false, false) => Look::Quiet,
                }
            }
            Err(error) if self.broken == Some(identity) => {
                self.settled = identity;
                self.told = true;
                Look::Broken(error)
            }
            Err(_) => {
                self.broken = Some(identity);
                Look::Quiet
            }
        }
    }
}

impl Tls {
    /// Looks at the files again and again and loads what has changed; the log tells of each change once. With an
    /// interval of zero, or without files, it does nothing. It never returns.
    pub async fn watch(self: Arc<Self>, every: Duration) {
        let Some((_, first)) = self.files.as_ref().filter(|_| !every.is_zero()) else {
            return pending().await;
        };
        let mut watch = Watch::new(*first);
        loop {
            tokio::time::sleep(every).await;
            let tls = self.clone();
            // A disk may be slow, and a file on a network slower.
            let looked = tokio::task::spawn_blocking(move || {
                let look = watch.look(&tls);
                (watch, look)
            });
            let look = match looked.await {
                Ok((after, look)) => {
                    watch = after;
                    look
                }
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                // The runtime is going.
                Err(_) => return pending().await,
            };
            match look {
                Look::Quiet => {}
                Look::Renewed => tracing::info!("tls: a renewed certificate is served"),
                Look::Mended => tracing::info!("tls: the files can be used again; they hold what is served"),
                Look::Broken(error) => {
                    tracing::error!("tls: the certificate that was loaded before is served on: {error}");
                }
            }
        }
    }
}
