//! Drain and stop: everything ends in order, within one deadline.

use super::Server;
use crate::{logging::Lines, orders::Order};
use std::{net::Shutdown, time::Duration};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep, sleep_until, timeout},
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
    pub(super) fn drain(mut self, left: bool) -> Vec<String> {
        tracing::info!("{}", if left { "leaving" } else { "stopping" });
        if left {
            self.saver.give_up();
        }
        if let Some(last) = self.last.take() {
            let _ = last.shutdown(Shutdown::Both);
        }
        drop(self.started.take());
        let giving = match self.giving.take() {
            Some(giving) if !left => {
                giving.end();
                None
            }
            giving => giving,
        };
        // Whoever spreads clients over nodes is told before this one serves them no more.
        let is_alone = self.cluster.is_none();
        let notice = if left || is_alone { Duration::ZERO } else { self.config.cluster.drain_delay };
        let (served, is_served) = oneshot::channel::<()>();
        let deadline = notice + if left { WEBSOCKETS_PART + DEADLINE } else { DEADLINE };
        let log = self.log.clone();
        self.runtime.spawn(async move {
            too_late(is_served, deadline).await;
            end_at_once(&log, left)
        });
        if !notice.is_zero() {
            self.serve_on(notice);
        }
        let Self { mut signals, orders, xdp, http, control, mut pool, runtime, log, .. } = self;
        let Self { premises, saver, cluster, .. } = self;
        // Whoever waits for one to be obeyed is told that it will not be.
        drop(orders);
        let (deferrals, rekey) = (premises.deferrals.clone(), premises.rekey.clone());
        // What it holds keeps ports open.
        drop(premises);
        runtime.spawn(async move {
            tokio::select! {
                Some(()) = signals.terminate.recv() => {}
                Some(()) = signals.interrupt.recv() => {}
                // The runtime is going, and with it the signals.
                else => return,
            }
            told_again(&log, left)
        });
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

    /// Serves on for so long while whoever spreads clients over nodes turns away from this one. What is decided here or elsewhere
    /// holds at once as before; nothing else is begun.
    fn serve_on(&mut self, notice: Duration) {
        tracing::info!(
            "/health says so for {notice:?} before (cluster.drain_delay), and clients are served meanwhile"
        );
        self.http.closing();
        let until = Instant::now() + notice;
        loop {
            let Self { runtime, signals, orders, .. } = &mut *self;
            let order = runtime.block_on(async {
                tokio::select! {
                    _ = signals.terminate.recv() => Err(()),
                    _ = signals.interrupt.recv() => Err(()),
                    Some(order) = orders.recv() => Ok(Some(order)),
                    () = sleep_until(until) => Ok(None),
                }
            });
            match order {
                Ok(Some(order @ (Order::Decide(..) | Order::Merge(..) | Order::List(..)))) => {
                    self.obey(order);
                }
                // Whoever waits for another one is told that it will not be obeyed.
                Ok(Some(order)) => drop(order),
                Ok(None) => return,
                Err(()) => told_again(&self.log, false),
            }
        }
    }
}

/// Another signal came while ending.
fn told_again(log: &Lines, left: bool) -> ! {
    let nothing = if left { "nothing is lost but the last connections" } else { "nothing is saved" };
    tracing::warn!("a signal while ending: ended at once, {nothing}");
    end_at_once(log, left)
}

fn end_at_once(log: &Lines, left: bool) -> ! {
    log.finish(LAST_WORDS);
    std::process::exit(i32::from(!left))
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
