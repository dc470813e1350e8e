//! One worker's loop over its connections.

use super::{Asked, Settings, judge, response};
use crate::{
    engine::Offered,
    error::Error,
    figures::{Figures, Wrong},
    net::{
        channel::{Broken, Channel, Read},
        load::Job,
        wait::{self, Wait},
    },
    numbers::nanoseconds,
    pace::Pace,
    record::Record,
};
use std::{collections::VecDeque, time::Duration};

/// Bytes read at a time.
const READ: usize = 16 << 10;
/// The longest buffer that a response may need, bytes.
const MOST_BUFFER: usize = 2 << 20;
/// How often timeouts are looked for, nanoseconds.
const LOOK: u64 = 10_000_000;
/// How long a connection rests after it failed, nanoseconds.
const REST: u64 = 10_000_000;
/// Connections that a tick opens at the most, so that no backlog of a listener overflows.
const OPENED_PER_TICK: usize = 64;
/// The tick without a pace.
const TICK: Duration = Duration::from_millis(1);

/// A request on its way.
#[derive(Clone, Copy, Debug)]
struct Request {
    /// When it was due, nanoseconds.
    due_at: u64,
    asked: Asked,
    counts: bool,
}

#[derive(Debug, Default)]
struct Connection {
    channel: Channel,
    waiting: VecDeque<Request>,
    /// Whether it is among the free ones.
    free: bool,
    /// When it may be used again after a failure, nanoseconds.
    rests_until: u64,
}

struct Lane<'a> {
    job: Job<'a, Settings>,
    wait: Wait,
    connections: Vec<Connection>,
    /// Connections with room for a request.
    free: VecDeque<usize>,
    resting: VecDeque<usize>,
    /// When requests were due that no connection had room for.
    backlog: VecDeque<u64>,
    figures: Figures,
    buffer: Box<[u8]>,
    hashes: Vec<[u8; 20]>,
    from: u64,
    ended: Option<u64>,
    opened: u64,
    failed: u64,
    crowded: u64,
}

/// Runs a probe over this worker's connections.
pub(super) fn run(job: Job<'_, Settings>) -> Result<Figures, Error> {
    let tick = match job.offered {
        Offered::Rate(rate) => wait::tick(rate),
        Offered::Closed => TICK,
    };
    let mut connections = Vec::new();
    connections.resize_with(job.connections, Connection::default);
    Lane {
        wait: Wait::new(tick)?,
        free: VecDeque::with_capacity(job.connections),
        // All begin at rest, and are taken from there a few at a time.
        resting: (0..job.connections).collect(),
        backlog: VecDeque::new(),
        figures: Figures::default(),
        buffer: vec![0; READ].into(),
        hashes: Vec::new(),
        from: 0,
        ended: None,
        opened: 0,
        failed: 0,
        crowded: 0,
        connections,
        job,
    }
    .run()
}

impl Lane<'_> {
    fn now(&self) -> u64 {
        nanoseconds(self.job.origin.elapsed())
    }

    fn run(mut self) -> Result<Figures, Error> {
        let start = self.now();
        self.from = start + nanoseconds(self.job.span.warmup);
        let until = self.from + nanoseconds(self.job.span.duration);
        let mut pace = match self.job.offered {
            Offered::Rate(rate) => Some(Pace::new(rate, start)),
            Offered::Closed => None,
        };
        let mut looked = start;
        let mut record = Record::new(self.job.watch, self.job.number as usize, self.from, until);
        loop {
            let now = self.now();
            if self.ended.is_none() {
                record.look(now, &self.figures);
            }
            if self.ended.is_none() && (now >= until || self.job.watch.is_stopped()) {
                self.ended = Some(now.min(until));
                record.stop();
                self.backlog.clear();
            }
            if self.ended.is_none() {
                self.wake(now);
                if let Some(pace) = &mut pace {
                    let due = pace.due(now);
                    if now >= self.from {
                        self.figures.offered += due.now + due.missed;
                    }
                    self.backlog.extend((0..due.now).map(|_| now));
                }
                self.dispatch(now)?;
            }
            if now.saturating_sub(looked) >= LOOK {
                looked = now;
                self.give_up(now);
            }
            self.publish();
            if let Some(ended) = self.ended
                && self.connections.iter().all(|connection| connection.waiting.is_empty())
            {
                return Ok(self.finish(ended, record));
            }
            loop {
                let ready = self.wait.wait()?;
                for number in ready.sockets() {
                    self.react(number)?;
                }
                if ready.tick {
                    break;
                }
            }
        }
    }

    fn finish(mut self, ended: u64, record: Record) -> Figures {
        let figures = &mut self.figures;
        figures.seconds = ended.saturating_sub(self.from) as f64 / 1e9;
        if self.job.offered == Offered::Closed {
            figures.offered = figures.sent;
        }
        figures.add_more("connections_opened", self.opened);
        figures.add_more("connections_failed", self.failed);
        figures.add_more("no_free_connection", self.crowded);
        record.finish(figures);
        self.figures
    }

    fn publish(&self) {
        let figures = &self.figures;
        self.job.published.publish(figures.sent, figures.answered, figures.wrong_in_all());
    }

    /// Takes a few connections from rest.
    fn wake(&mut self, now: u64) {
        for _ in 0..OPENED_PER_TICK {
            match self.resting.front() {
                Some(&number) if self.connections[number].rests_until <= now => {
                    self.resting.pop_front();
                    self.set_free(number);
                }
                _ => return,
            }
        }
    }

    fn set_free(&mut self, number: usize) {
        let connection = &mut self.connections[number];
        if !connection.free && connection.waiting.len() < self.job.settings.pipeline {
            connection.free = true;
            self.free.push_back(number);
        }
    }

    /// Gives requests that are due, or without a pace as many as have room, to free connections.
    fn dispatch(&mut self, now: u64) -> Result<(), Error> {
        if self.ended.is_some() {
            return Ok(());
        }
        let closed = self.job.offered == Offered::Closed;
        while let Some(&number) = self.free.front() {
            let due_at = if closed { Some(now) } else { self.backlog.pop_front() };
            let Some(due_at) = due_at else { break };
            self.free.pop_front();
            self.connections[number].free = false;
            self.send(number, due_at, now)?;
            // A connection without pipelining is full, or has failed.
            if self.connections[number].channel.is_open() && self.job.settings.keep_alive {
                self.set_free(number);
            }
        }
        Ok(())
    }

    /// Writes a request into a connection, and opens it first if need be.
    fn send(&mut self, number: usize, due_at: u64, now: u64) -> Result<(), Error> {
        let Self { job, connections, .. } = self;
        let (settings, connection) = (job.settings, &mut connections[number]);
        if !connection.channel.is_open() {
            let source = job.number + number as u64 * job.workers;
            match connection.channel.open(&settings.path, source, &self.wait, number)? {
                Ok(()) => self.opened += 1,
                Err(Broken) => {
                    self.fail(number, now);
                    return Ok(());
                }
            }
        }
        let before = connection.channel.out.len();
        let asked = if settings.scrapes > 0.0 && job.rng.unit() < settings.scrapes {
            let (workload, rng) = (&settings.workload, &mut job.rng);
            self.hashes.clear();
            self.hashes
                .extend((0..settings.scrape_hashes).map(|_| workload.info_hash(workload.torrent(rng))));
            // In order, since trackers that answer in the order asked would otherwise send unsorted dictionaries.
            self.hashes.sort_unstable();
            self.hashes.dedup();
            settings.requests.scrape(&mut connection.channel.out, self.hashes.iter().copied());
            Asked::Scrape
        } else {
            let peer = settings.workload.peer_of_source(job.number, job.workers, &mut job.rng);
            settings.requests.announce(&mut connection.channel.out, &peer, settings.wanted);
            Asked::Announce
        };
        let counts = now >= self.from;
        if counts {
            self.figures.sent += 1;
            self.figures.sent_bytes += (connection.channel.out.len() - before) as u64;
        }
        connection.waiting.push_back(Request { due_at, asked, counts });
        self.write(number, now);
        Ok(())
    }

    fn write(&mut self, number: usize, now: u64) {
        if self.connections[number].channel.write().is_err() {
            self.fail(number, now);
        }
    }

    /// Something happened to a connection.
    fn react(&mut self, number: usize) -> Result<(), Error> {
        let now = self.now();
        self.write(number, now);
        loop {
            let read = self.connections[number].channel.read(&mut self.buffer);
            if read == Read::Nothing {
                break;
            }
            self.take(number, read == Read::End, now);
            if read != Read::Some {
                break;
            }
        }
        // Reading may have ended a TLS handshake that the request was waiting for.
        self.write(number, now);
        if self.connections[number].channel.is_open() {
            self.set_free(number);
        }
        self.dispatch(now)
    }

    /// Takes whole responses out of what was read.
    fn take(&mut self, number: usize, ended: bool, now: u64) {
        let settings = self.job.settings;
        let (mut start, mut over) = (0, false);
        while !over {
            let connection = &mut self.connections[number];
            let input = &connection.channel.input[start..];
            if input.is_empty() {
                over = ended;
                break;
            }
            let response = match response::read(input, ended) {
                Ok(Some(response)) => response,
                Ok(None) => break,
                Err(wrong) => {
                    // Where a reply begins is no longer known.
                    self.figures.count_wrong(wrong);
                    connection.waiting.pop_front();
                    over = true;
                    break;
                }
            };
            let Some(request) = connection.waiting.pop_front() else {
                self.figures.count_wrong(Wrong::Unasked);
                over = true;
                break;
            };
            let end = response.body.end;
            match judge(response.status, &input[response.body], request.asked, settings) {
                Err(wrong) => self.figures.count_wrong(wrong),
                Ok(()) if request.counts => {
                    self.figures.received_bytes += end as u64;
                    self.figures.count_answer(now.saturating_sub(request.due_at));
                }
                Ok(()) => {}
            }
            start += end;
            over = response.close || !settings.keep_alive;
        }
        let connection = &mut self.connections[number];
        connection.channel.input.drain(..start);
        if over || connection.channel.input.len() > MOST_BUFFER {
            self.close(number, now);
        }
    }

    /// Closes a connection that has served; what is still waiting on it stays unanswered.
    fn close(&mut self, number: usize, now: u64) {
        if self.connections[number].waiting.is_empty() {
            self.reset(number);
            self.set_free(number);
        } else {
            self.fail(number, now);
        }
    }

    /// A connection broke: what waits on it is unanswered, and it rests for a while.
    fn fail(&mut self, number: usize, now: u64) {
        self.failed += 1;
        self.reset(number);
        let connection = &mut self.connections[number];
        connection.rests_until = now + REST;
        // One that is listed as free comes to its next request soon enough.
        if !connection.free {
            self.resting.push_back(number);
        }
    }

    fn reset(&mut self, number: usize) {
        let connection = &mut self.connections[number];
        connection.channel.reset();
        let lost = connection.waiting.drain(..).filter(|request| request.counts).count();
        self.figures.unanswered += lost as u64;
    }

    /// Gives up requests that have waited too long, with their connections.
    fn give_up(&mut self, now: u64) {
        let before = now.saturating_sub(nanoseconds(self.job.settings.timeout));
        for number in 0..self.connections.len() {
            if self.connections[number].waiting.front().is_some_and(|request| request.due_at < before) {
                self.fail(number, now);
            }
        }
        while self.backlog.front().is_some_and(|&due_at| due_at < before) {
            self.backlog.pop_front();
            self.crowded += 1;
        }
    }
}
