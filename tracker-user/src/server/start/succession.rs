//! Taking over from the process before: how it is asked, how it is left without a socket, and how that ends.

use super::swarms::Swarms;
use crate::{
    config::Config,
    control,
    counters::{self, Dropped, WorkerCounters},
    handover::{
        descriptors::Received,
        taker::{self, Taker},
    },
    metrics::before::Before,
    server::start_error::{StartError, system},
    threads::yield_to_answers,
    udp::socket::receive_buffer_drops,
};
use std::{
    os::{fd::AsRawFd as _, unix::net::UnixStream},
    sync::Arc,
    thread,
};

/// Asks the tracker that runs for all that it has open.
///
/// # Errors
/// When there is none, or it refuses.
pub(super) fn begin(config: &Config) -> Result<(Taker, Received), taker::Failure> {
    Taker::begin(control::path(&config.control).ok_or(taker::Failure::NoSocket)?)
}

/// Tells the process before that this one serves, lets go of what nobody wants here, and listens to what still comes. Gives
/// the way to end that.
///
/// # Errors
/// When that one has given up waiting, or there is no thread to listen in.
pub(super) fn finish(
    taker: Taker,
    received: Option<Received>,
    swarms: &Swarms,
    before: &Arc<Before>,
    closed: &WorkerCounters,
) -> Result<Option<UnixStream>, StartError> {
    let last = taker.serving()?;
    if let Some(received) = received {
        received.ours().set(true);
        let names = received.unwanted_names();
        for listener in received.rest() {
            tracing::info!("hand-over: {listener} is not wanted any more and is closed");
        }
        let drops = received.rest_of_udp().map(|socket| receive_buffer_drops(socket.as_raw_fd())).sum();
        closed.path(counters::Path::Socket).dropped_times(Dropped::NoBuffer, drops);
        drop((names, received));
    }
    let ender = last.ender();
    let (engine, nodes, clock, before) =
        (swarms.engine.clone(), swarms.nodes.clone(), swarms.clock, before.clone());
    let follow = move || {
        yield_to_answers();
        last.follow(taker::Swarms { engine: &engine, nodes: &nodes, clock }, &before);
    };
    thread::Builder::new().name("riptide-takeover".into()).spawn(follow).map_err(system("a thread"))?;
    Ok(ender)
}
