//! Drain and stop: everything ends in order, within one deadline.

use super::Server;
use std::{net::Shutdown, time::Duration};
use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};

/// How long requests in hand may take once a stop was asked for.
const DEADLINE: Duration = Duration::from_secs(10);

/// How long HTTP clients among these may take: less, so that what is to be saved is saved.
const HTTP_DEADLINE: Duration = Duration::from_secs(5);

/// How long saving the swarms may take after all that. A disk of 100 MB/s writes those of fifty million peers meanwhile.
const SAVE_DEADLINE: Duration = Duration::from_secs(60);
/// Over how long WebSockets are closed, one by one, where another process serves on: their clients come back to that one,
/// and each announces all its torrents then.
const WEBSOCKETS_PART: Duration = Duration::from_secs(60);

/// How long an end at once waits for its last log lines to be written.
const LAST_WORDS: Duration = Duration::from_millis(100);

impl Server {
    /// Stops in order: what is served within one deadline, then saving within another. Where another process serves on
    /// (`left`), sockets are read no more, and what would be saved is its to save. Returns what failed.
    pub(super) fn drain(self, left: bool) -> Vec<String> {
        let Self { config, mut signals, orders, xdp, http, control, mut pool, runtime, log, .. } = self;
        let Self { premises, saver, cluster, giving, started, last, .. } = self;
        tracing::info!("{}", if left { "leaving" } else { "stopping" });
        // Whoever waits for one to be obeyed is told that it will not be.
        drop(orders);
        if left {
            saver.give_up();
        }
        if let Some(last) = last {
            let _ = last.shutdown(Shutdown::Both);
        }
        drop(started);
        let giving = match giving {
            Some(giving) if !left => {
                giving.end();
                None
            }
            giving => giving,
        };
        let (deferrals, rekey) = (premises.deferrals.clone(), premises.rekey.clone());
        // What it holds keeps ports open.
        drop(premises);
        // Whoever spreads clients over nodes is told before this one serves them no more.
        let notice = if left || cluster.is_none() { Duration::ZERO } else { config.cluster.drain_delay };
        let (served, is_served) = oneshot::channel::<()>();
        runtime.spawn(async move {
            let nothing = if left { "nothing is lost but the last connections" } else { "nothing is saved" };
            tokio::select! {
                Some(()) = signals.terminate.recv() => tracing::warn!("a signal while ending: ended at once, {nothing}"),
                Some(()) = signals.interrupt.recv() => tracing::warn!("a signal while ending: ended at once, {nothing}"),
                () = too_late(is_served, notice + if left { WEBSOCKETS_PART + DEADLINE } else { DEADLINE }) => {}
                // The runtime is going, and with it the signals.
                else => return,
            }
            log.finish(LAST_WORDS);
            std::process::exit(i32::from(!left));
        });
        if !notice.is_zero() {
            tracing::info!(
                "/health says so for {notice:?} before (cluster.drain_delay), and clients are served meanwhile"
            );
            http.closing();
            runtime.block_on(async { sleep(notice).await });
        }
        if let Some(xdp) = xdp {
            runtime.block_on(xdp.stop());
        }
        pool.stop();
        runtime.block_on(async {
            let (patience, drained) = match left {
                true => (
                    WEBSOCKETS_PART + HTTP_DEADLINE,
                    timeout(WEBSOCKETS_PART + HTTP_DEADLINE, http.leave(WEBSOCKETS_PART)).await,
                ),
                false => (HTTP_DEADLINE, timeout(HTTP_DEADLINE, http.drain()).await),
            };
            if drained.is_err() {
                tracing::info!("some HTTP clients did not take or finish their requests within {patience:?}");
            }
        });
        let problems = pool.join();
        if let Some(giving) = giving {
            giving.finish();
        }
        if let Some(cluster) = cluster {
            cluster.end(!left);
        }
        deferrals.lock().clear();
        // Nothing changes any more, so this is all. The key first: it takes no time.
        let _ = served.send(());
        if !left && let Err(warning) = rekey.save() {
            // The start has told of a directory that cannot be written; what more is lost is the time of the stop.
            tracing::debug!("{warning}");
        }
        // Whoever asked by control for a save is told of it.
        if !left {
            saver.finish();
        }
        if let Some(control) = control {
            runtime.block_on(control.finish());
        }
        runtime.shutdown_timeout(Duration::from_secs(1));
        problems
    }
}

/// Waits until stopping has taken too long, and says so.
async fn too_late(is_served: oneshot::Receiver<()>, deadline: Duration) {
    if timeout(deadline, is_served).await.is_err() {
        tracing::error!("stopping took longer than {deadline:?}: ended at once, nothing is saved");
        return;
    }
    sleep(SAVE_DEADLINE).await;
    tracing::error!(
        "saving took longer than {SAVE_DEADLINE:?}: ended at once, what was saved before is kept"
    );
}
