//! Has workers fetch datagrams from the interfaces named themselves where the network stack serves all of them.

use crate::{
    config::{BusyPoll, Config, XdpMode},
    xdp::{
        deferral::{Deferral, INTERFACES},
        network::Link,
        socket::allow_polling,
    },
};
use nix::net::if_::if_nametoindex;
use std::{io, net::UdpSocket, os::fd::AsRawFd, path::Path, time::Duration};

/// How long nothing may be polled before the kernel does it: a worker takes so long for a batch of announces, which cost
/// the network stack more than AF_XDP.
const PATIENCE: Duration = Duration::from_micros(200);

/// Has receiving from an empty socket poll, and puts the interfaces' interrupts off until the result is dropped. Where
/// that is not to be had, a line says why, and the kernel is interrupted as ever.
#[must_use]
pub fn begin<'a>(config: &Config, sockets: &(impl Iterator<Item = &'a UdpSocket> + Clone)) -> Vec<Deferral> {
    let xdp = &config.xdp;
    // Whoever becomes another user cannot set the numbers back.
    if xdp.mode != XdpMode::Off || xdp.busy_poll != BusyPoll::Auto || config.privileges.user.is_some() {
        return Vec::new();
    }
    let mut deferrals = Vec::new();
    for name in &xdp.interfaces {
        let polled = put_off_interrupts(name).and_then(|deferral| {
            sockets.clone().try_for_each(|socket| allow_polling(socket.as_raw_fd()))?;
            Ok(deferral)
        });
        match polled {
            Ok(deferral) => {
                let gathering = gathering(config.udp.latency);
                tracing::info!("udp {name}: under load workers poll it{gathering}");
                deferrals.push(deferral);
            }
            Err(error) => tracing::info!("udp {name}: workers do not poll under load: {error}"),
        }
    }
    deferrals
}

/// For how long requests may gather, as a line of the log goes on.
fn gathering(latency: Duration) -> String {
    match latency.is_zero() {
        true => String::new(),
        false => format!(", and requests gather for up to {latency:?}"),
    }
}

fn put_off_interrupts(name: &str) -> io::Result<Deferral> {
    let link = Link { index: if_nametoindex(name)?, name: name.to_owned(), ..Link::default() };
    Deferral::begin(Path::new(INTERFACES), &link, PATIENCE)
}
