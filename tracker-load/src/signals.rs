//! Ctrl-C and SIGTERM: stop cleanly, with the figures so far; the second one at once.

use crate::{error::Error, progress::Watch};
use nix::sys::signal::{SigSet, Signal};
use std::{process, sync::Arc, thread};

/// Exit status of a process that a second signal ended: failed.
const KILLED: i32 = 1;

/// Takes SIGINT and SIGTERM away from every thread started later and waits for them in one of its own. Call it before
/// any other thread is started.
///
/// # Errors
/// When the system gives no thread or refuses the mask.
pub fn stop_cleanly(watch: Arc<Watch>) -> Result<(), Error> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGTERM);
    signals.thread_block().map_err(Error::system("signals cannot be blocked"))?;
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            // Only an empty set makes the wait fail.
            while signals.wait().is_ok() {
                if watch.is_stopped() {
                    process::exit(KILLED);
                }
                watch.stop();
            }
        })
        .map_err(Error::system("no thread for signals"))?;
    Ok(())
}
