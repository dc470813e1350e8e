//! Load over many connections: what HTTP and WebTorrent share.

use crate::{
    engine::{Engine, Offered, Span},
    error::Error,
    figures::Figures,
    limits,
    progress::{Lane, Watch},
    rng::{Rng, mix},
    workers,
};
use std::{fmt::Debug, time::Instant};

/// A protocol over connections, with what is asked in it.
pub trait Protocol: Debug + Sized + Sync {
    /// Connections at a time, at least one.
    fn connections(&self) -> usize;

    /// Worker threads.
    fn threads(&self) -> usize;

    /// Requests follow from this number.
    fn seed(&self) -> u64;

    /// Asks once, on a connection of its own, so that what is no tracker is found out before the load.
    ///
    /// # Errors
    /// When it cannot be reached, is silent, or answers something else than a tracker does.
    fn prove(&self) -> Result<(), Error>;

    /// Runs a probe over a worker's connections.
    ///
    /// # Errors
    /// As [`Engine::probe`].
    fn work(job: Job<'_, Self>) -> Result<Figures, Error>;
}

/// What a worker needs from outside.
#[derive(Debug)]
pub struct Job<'a, P> {
    /// What is asked.
    pub settings: &'a P,
    /// This worker's share of the connections.
    pub connections: usize,
    /// This worker's number.
    pub number: u64,
    /// How many workers there are: peers and connections are numbered across all.
    pub workers: u64,
    /// The zero of the clock.
    pub origin: Instant,
    /// How fast this worker is to ask.
    pub offered: Offered,
    /// For how long.
    pub span: Span,
    /// The run.
    pub watch: &'a Watch,
    /// Where this worker's counters are published.
    pub published: &'a Lane,
    /// This worker's random numbers.
    pub rng: Rng,
}

/// Load over connections.
#[derive(Debug)]
pub struct Connections<P> {
    settings: P,
    origin: Instant,
    probes: u64,
}

impl<P: Protocol> Connections<P> {
    /// Makes sure that a tracker is there.
    ///
    /// # Errors
    /// When there is no room for so many connections, or as [`Protocol::prove`].
    pub fn open(settings: P) -> Result<Self, Error> {
        limits::room_for(settings.connections() as u64 + 3 * settings.threads() as u64)?;
        settings.prove()?;
        Ok(Self { settings, origin: Instant::now(), probes: 0 })
    }
}

impl<P: Protocol> Engine for Connections<P> {
    fn probe(&mut self, offered: Offered, span: Span, watch: &Watch) -> Result<Figures, Error> {
        self.probes += 1;
        let Self { settings, origin, probes } = self;
        let connections = settings.connections();
        let workers = settings.threads().clamp(1, connections.max(1));
        workers::run((0..workers).collect(), |number| {
            P::work(Job {
                settings,
                // The first ones take what does not divide.
                connections: connections / workers + usize::from(number < connections % workers),
                number: number as u64,
                workers: workers as u64,
                origin: *origin,
                offered: match offered {
                    Offered::Rate(rate) => Offered::Rate(rate / workers as f64),
                    Offered::Closed => Offered::Closed,
                },
                span,
                watch,
                published: watch.lane(number),
                rng: Rng::new(settings.seed() ^ mix(*probes ^ ((number as u64) << 32))),
            })
        })
    }
}
