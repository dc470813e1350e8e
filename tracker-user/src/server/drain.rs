//! Drain and stop: everything ends in order, within one deadline.

use super::Server;
use crate::{clock::monotonic_ns, state};
use std::time::Duration;
use tokio::{sync::oneshot, time::timeout};

/// How long requests in hand may take once a stop was asked for.
const DEADLINE: Duration = Duration::from_secs(10);

/// How long HTTP clients among these may take: less, so that what is to be saved is saved.
const HTTP_DEADLINE: Duration = Duration::from_secs(5);

/// How long saving the swarms may take after all that. A disk of 100 MB/s writes those of fifty million peers meanwhile.
const SAVE_DEADLINE: Duration = Duration::from_secs(60);

/// How long an end at once waits for its last log lines to be written.
const LAST_WORDS: Duration = Duration::from_millis(100);

impl Server {
    /// Stops in order: what is served within one deadline, then saving within another. Returns what failed.
    pub(super) fn drain(self) -> Vec<String> {
        let Self {
            config,
            ids,
            mut signals,
            orders,
            xdp,
            http,
            control,
            mut pool,
            deferrals,
            runtime,
            log,
            saver,
            ..
        } = self;
        tracing::info!("stopping");
        // Whoever waits for one to be obeyed is told that it will not be.
        drop(orders);
        let (served, is_served) = oneshot::channel::<()>();
        runtime.spawn(async move {
            tokio::select! {
                Some(()) = signals.terminate.recv() => tracing::warn!("a second signal: ended at once, nothing is saved"),
                Some(()) = signals.interrupt.recv() => tracing::warn!("a second signal: ended at once, nothing is saved"),
                () = too_late(is_served) => {}
                // The runtime is going, and with it the signals.
                else => return,
            }
            log.finish(LAST_WORDS);
            std::process::exit(1);
        });
        if let Some(xdp) = xdp {
            runtime.block_on(xdp.stop());
        }
        pool.stop();
        runtime.block_on(async {
            if timeout(HTTP_DEADLINE, http.drain()).await.is_err() {
                tracing::info!("some HTTP clients did not take or finish their requests in time");
            }
        });
        let problems = pool.join();
        drop(deferrals);
        // Nothing changes any more, so this is all. The key first: it takes no time.
        let _ = served.send(());
        if let Err(warning) = ids.save(&config.state.directory, monotonic_ns(), &state::boot_id()) {
            // The start has told of a directory that cannot be written; what more is lost is the time of the stop.
            tracing::debug!("{warning}");
        }
        // Whoever asked by control for a save is told of it.
        saver.finish();
        if let Some(control) = control {
            runtime.block_on(control.finish());
        }
        runtime.shutdown_timeout(Duration::from_secs(1));
        problems
    }
}

/// Waits until stopping has taken too long, and says so.
async fn too_late(is_served: oneshot::Receiver<()>) {
    if timeout(DEADLINE, is_served).await.is_err() {
        tracing::error!("stopping took longer than {DEADLINE:?}: ended at once, nothing is saved");
        return;
    }
    tokio::time::sleep(SAVE_DEADLINE).await;
    tracing::error!(
        "saving took longer than {SAVE_DEADLINE:?}: ended at once, what was saved before is kept"
    );
}
