//! What the operator comes in by.

use super::common::Common;
use crate::{
    control::{self, Control},
    http::Stage,
    metrics::listener::{Listener, Serving},
    orders::Orders,
    server::{
        Addresses,
        start_error::{StartError, system},
    },
    swarms::Saver,
};
use tokio::sync::watch;

/// Serves metrics, if they are to be served.
///
/// # Errors
/// When the listener cannot be watched.
pub(super) fn serve_metrics(
    common: Common<'_>,
    listener: Option<Listener>,
) -> Result<Option<Serving>, StartError> {
    let serve = |listener: Listener| {
        let _inside = common.crew.runtime.enter();
        listener.serve(&common.config.metrics, common.sources.clone())
    };
    listener.map(serve).transpose().map_err(system("the metrics listener"))
}

/// Serves the control socket, if there is to be one.
///
/// # Errors
/// When the socket cannot be watched.
pub(super) fn serve_control(
    common: Common<'_>,
    bound: Option<control::Bound>,
    (orders, saver): (&Orders, &Saver),
    stage: watch::Receiver<Stage>,
    addresses: &Addresses,
) -> Result<Option<Control>, StartError> {
    let serve = |bound: control::Bound| {
        let shared = control::Shared {
            engine: common.sources.engine.clone(),
            clock: common.clock,
            sources: common.sources.clone(),
            stage,
            orders: orders.clone(),
            saver: saver.clone(),
            listeners: addresses.told(bound.path()),
        };
        let _inside = common.crew.runtime.enter();
        Control::start(&common.config.control, bound, shared, common.farewell)
    };
    bound.map(serve).transpose().map_err(system("the control socket"))
}
