//! Taking over from the process before: where it is asked, and how that ends.

use super::start_error::{StartError, system};
use crate::{
    clock::Clock,
    config::Config,
    control,
    counters::{self, Dropped, WorkerCounters},
    handover::{
        descriptors::Received,
        taker::{self, Taker},
    },
    metrics::before::Before,
    threads::yield_to_answers,
    udp::socket::receive_buffer_drops,
};
use std::{
    os::{fd::AsRawFd as _, unix::net::UnixStream},
    path::Path,
    sync::Arc,
    thread,
};
use tracker_core::{engine::Engine, nodes::SharedNodes};

/// Where the tracker that runs is asked.
pub(super) fn control_socket(config: &Config) -> Result<&Path, taker::Failure> {
    control::path(&config.control).ok_or(taker::Failure::NoSocket)
}

/// Tells the process before that this one serves, lets go of what nobody wants here, and listens to what still comes. Gives
/// the way to end that.
pub(super) fn finish_taking(
    taker: Taker,
    received: Option<Received>,
    (engine, nodes): (&Arc<Engine>, &SharedNodes),
    clock: Clock,
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
    let (engine, nodes, before) = (engine.clone(), nodes.clone(), before.clone());
    let follow = move || {
        yield_to_answers();
        last.follow(taker::Swarms { engine: &engine, nodes: &nodes, clock }, &before);
    };
    thread::Builder::new().name("riptide-takeover".into()).spawn(follow).map_err(system("a thread"))?;
    Ok(ender)
}
