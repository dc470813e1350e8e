//! The engine that works everywhere: ordinary sockets, batches by `sendmmsg` and `recvmmsg`.

use super::{
    Settings,
    lane::{self, Job, Source},
    learn,
};
use crate::{
    engine::{Engine, Offered, Span},
    error::Error,
    figures::Figures,
    limits,
    progress::Watch,
    rng::{Rng, mix},
    workers,
};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    time::Instant,
};

/// What each socket asks the kernel for, bytes: replies must not be lost on the way to their check.
const RECEIVE_BUFFER: usize = 4 << 20;

/// Load from ordinary sockets.
#[derive(Debug)]
pub struct Sockets {
    settings: Settings,
    lanes: Vec<Vec<Source>>,
    sources: u64,
    origin: Instant,
    probes: u64,
}

impl Sockets {
    /// Opens the sockets and learns their connection IDs. Without `sources`, the kernel chooses the address.
    ///
    /// # Errors
    /// When the system refuses a socket, or there is no tracker.
    pub fn open(settings: Settings, sources: &BTreeSet<IpAddr>, watch: &Watch) -> Result<Self, Error> {
        let threads = settings.threads.max(1);
        let any: IpAddr = match settings.target {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let addresses: Vec<IpAddr> =
            if sources.is_empty() { vec![any] } else { sources.iter().copied().collect() };
        // A worker without a source would have nothing to send from.
        let count = addresses.len().max(threads);
        limits::room_for(count as u64 + 3 * threads as u64)?;
        let sockets = (0..count)
            .map(|number| open(addresses[number % addresses.len()], settings.target))
            .collect::<Result<Vec<_>, _>>()?;
        let origin = Instant::now();
        let ids = learn::connection_ids(&sockets, &settings, watch)?;
        let mut lanes: Vec<Vec<Source>> = (0..threads).map(|_| Vec::new()).collect();
        for (number, (socket, connection)) in sockets.into_iter().zip(ids).enumerate() {
            let source = Source { socket, number: number as u64, connection, learned: 0, renewing: 0 };
            lanes[number % threads].push(source);
        }
        Ok(Self { settings, lanes, sources: count as u64, origin, probes: 0 })
    }
}

fn open(source: IpAddr, target: SocketAddr) -> Result<UdpSocket, Error> {
    let attempt = || {
        let socket = Socket::new(Domain::for_address(target), Type::DGRAM, Some(Protocol::UDP))?;
        // What the kernel gives instead is at least its default.
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
        socket.bind(&SocketAddr::new(source, 0).into())?;
        socket.connect(&target.into())?;
        socket.set_nonblocking(true)?;
        Ok(socket.into())
    };
    attempt().map_err(Error::system::<std::io::Error>(format!("no socket from {source} to {target}")))
}

impl Engine for Sockets {
    fn probe(&mut self, offered: Offered, span: Span, watch: &Watch) -> Result<Figures, Error> {
        let Offered::Rate(rate) = offered else {
            return Err(Error::Usage(
                "a UDP load needs --rate or --search: without a pace it would be a flood".into(),
            ));
        };
        self.probes += 1;
        let Self { settings, lanes, sources, origin, probes } = self;
        let workers = lanes.len();
        workers::run(lanes.iter_mut().enumerate().collect(), |(number, lane)| {
            let job = Job {
                settings,
                number,
                sources: *sources,
                origin: *origin,
                rate: rate / workers as f64,
                span,
                watch,
                published: watch.lane(number),
                rng: Rng::new(settings.seed ^ mix(*probes ^ ((number as u64) << 32))),
            };
            lane::run(job, lane)
        })
    }
}
