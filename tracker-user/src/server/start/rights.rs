//! The last that needs root, programs of XDP, and how root is given up.

use super::standing::Standing;
use crate::{
    config::Config,
    control,
    http::endpoint::Bound,
    policy,
    privileges::{Identity, Needs},
    random::seed,
    server::{
        Addresses,
        decide::Lists,
        start_error::{StartError, system},
    },
    xdp::{
        interface::{Context, Inherited},
        manager::{self, Prepared},
    },
};
use tracker_common::{connection_id::lifetime_slots, maps::Rates};

/// Loads and attaches the programs, switched off. `links` are what those of the process before hang on.
///
/// # Errors
/// When one is not to be had that was asked for by name, or random bytes are short.
pub(super) fn prepare_xdp(
    config: &Config,
    addresses: &Addresses,
    standing: &Standing,
    lists: &Lists,
    links: &mut Vec<Inherited>,
) -> Result<Prepared, StartError> {
    let context = Context {
        config: config.xdp.clone(),
        listeners: addresses.udp.clone(),
        latency: config.udp.latency,
        clock: standing.clock(),
        master: standing.ids.master,
        lifetime_slots: lifetime_slots(config.udp.connection_id_lifetime.as_secs()),
        rates: Rates {
            secret: seed().map_err(system("random bytes"))?,
            rates: policy::rates_of_xdp(&config.limits),
        },
        banned: lists.banned(&standing.decisions),
        // Sockets are opened when that user is all that is left.
        keeps_rights: config.privileges.user.is_none(),
    };
    Ok(manager::prepare(context, links)?)
}

/// Becomes another user, who gets the state directory and the names of Unix sockets.
///
/// # Errors
/// When any of it fails.
pub(super) fn become_user(
    identity: &Identity,
    config: &Config,
    listeners: &[Bound],
    control: Option<&control::Bound>,
    needs: Needs,
) -> Result<(), StartError> {
    identity.hand_over(&config.state.directory)?;
    let streams = listeners.iter().filter_map(Bound::unix_path);
    for path in streams.chain(control.map(control::Bound::path)) {
        identity.hand_over_socket(path)?;
    }
    Ok(identity.become_it(needs)?)
}
