//! One worker's loop: send what is due, read what has come, sleep until the next tick.

use super::{
    Settings,
    mix::Kind,
    table::{Reply, Request, Table},
    wire::{self, REQUEST_LEN},
};
use crate::{
    engine::Span,
    error::Error,
    figures::{Figures, Wrong},
    net::wait::{self, Wait},
    numbers::{nanoseconds, whole},
    pace::Pace,
    progress::{Lane as Published, Watch},
    record::Record,
    rng::Rng,
};
use nix::{
    errno::Errno,
    sys::{
        socket::{MsgFlags, MultiHeaders, recvmmsg, sendmmsg},
        time::TimeSpec,
    },
};
use std::{
    array,
    io::{IoSlice, IoSliceMut},
    net::UdpSocket,
    os::fd::AsRawFd as _,
    time::Instant,
};
use tracker_common::address::{Address, Family};

/// Datagrams in one system call.
const BATCH: usize = 32;
/// Room for a reply: what is longer is cut, and wrong.
const REPLY_LEN: usize = 2048;
/// Nothing is sent with a connection ID of this age, nanoseconds.
const LIFE: u64 = 110_000_000_000;
/// How long the answer to a renewal is waited for until the next one, nanoseconds.
const RENEW_AGAIN: u64 = 1_000_000_000;
/// How many batches are read from a socket before others have their turn.
const READS: usize = 8;
/// Requests in flight that a worker keeps account of at the most.
const MOST_IN_FLIGHT: f64 = 4_194_304.0;

/// A socket that requests come from, bound and connected.
#[derive(Debug)]
pub struct Source {
    pub(super) socket: UdpSocket,
    /// Its number among all sources of the load.
    pub(super) number: u64,
    pub(super) connection: u64,
    /// When the connection ID was learned, on the engine's clock.
    pub(super) learned: u64,
    /// When a new one was asked for.
    pub(super) renewing: u64,
}

/// What a worker's loop needs from outside.
#[derive(Debug)]
pub(super) struct Job<'a> {
    pub(super) settings: &'a Settings,
    /// The worker's number.
    pub(super) number: usize,
    /// How many sources there are in all.
    pub(super) sources: u64,
    /// The zero of the engine's clock.
    pub(super) origin: Instant,
    /// This worker's share of the rate, requests/s.
    pub(super) rate: f64,
    pub(super) span: Span,
    pub(super) watch: &'a Watch,
    pub(super) published: &'a Published,
    pub(super) rng: Rng,
}

struct Lane<'a> {
    job: Job<'a>,
    sources: &'a mut [Source],
    next_source: usize,
    family: Family,
    table: Table,
    figures: Figures,
    requests: Box<[[u8; REQUEST_LEN]]>,
    lengths: [usize; BATCH],
    replies: Box<[u8]>,
    send: MultiHeaders<()>,
    receive: MultiHeaders<()>,
}

/// Runs a probe from these sources.
pub(super) fn run(mut job: Job<'_>, sources: &mut [Source]) -> Result<Figures, Error> {
    let in_flight = job.rate * job.settings.timeout.as_secs_f64() * 1.25 + 2.0 * BATCH as f64;
    let room = whole(in_flight.min(MOST_IN_FLIGHT)) as u32;
    let first = job.rng.next_u32();
    let family = Address::from(job.settings.target.ip()).family();
    Lane {
        job,
        sources,
        next_source: 0,
        family,
        table: Table::new(room, first),
        figures: Figures::default(),
        requests: vec![[0; REQUEST_LEN]; BATCH].into(),
        lengths: [0; BATCH],
        replies: vec![0; BATCH * REPLY_LEN].into(),
        send: MultiHeaders::preallocate(BATCH, None),
        receive: MultiHeaders::preallocate(BATCH, None),
    }
    .run()
}

impl Lane<'_> {
    fn now(&self) -> u64 {
        nanoseconds(self.job.origin.elapsed())
    }

    fn run(mut self) -> Result<Figures, Error> {
        let wait = Wait::new(wait::tick(self.job.rate))?;
        for (number, source) in self.sources.iter().enumerate() {
            wait.readable(&source.socket, number)?;
        }
        let timeout = nanoseconds(self.job.settings.timeout);
        let start = self.now();
        let from = start + nanoseconds(self.job.span.warmup);
        let until = from + nanoseconds(self.job.span.duration);
        let mut pace = Pace::new(self.job.rate, start);
        let mut record = Record::new(self.job.watch, self.job.number, from, until);
        let mut ended = None;
        loop {
            let now = self.now();
            if ended.is_none() {
                record.look(now, &self.figures);
                if now >= until || self.job.watch.is_stopped() {
                    ended = Some(now.min(until));
                    record.stop();
                } else {
                    let due = pace.due(now);
                    let counts = now >= from;
                    if counts {
                        self.figures.offered += due.now + due.missed;
                    }
                    self.send_due(due.now, now, counts);
                }
            }
            let (table, figures) = (&mut self.table, &mut self.figures);
            table.expire(now.saturating_sub(timeout), |request| {
                figures.unanswered += u64::from(request.counts);
            });
            self.publish();
            if let Some(ended) = ended
                && self.table.is_empty()
            {
                self.figures.seconds = ended.saturating_sub(from) as f64 / 1e9;
                record.finish(&mut self.figures);
                return Ok(self.figures);
            }
            // Until the tick, replies are read as they come, so that latencies are told exactly.
            loop {
                let ready = wait.wait()?;
                for source in ready.sockets() {
                    self.read(source)?;
                }
                if ready.tick {
                    break;
                }
            }
        }
    }

    fn publish(&self) {
        let figures = &self.figures;
        self.job.published.publish(figures.sent, figures.answered, figures.wrong_in_all());
    }

    /// Sends this many requests, in batches from one source after the other.
    fn send_due(&mut self, mut due: u64, now: u64, counts: bool) {
        while due > 0 {
            let room = u64::from(self.table.free());
            let count = due.min(BATCH as u64).min(room) as usize;
            if count == 0 {
                // More in flight than there is account of: what is due is not sent.
                return;
            }
            due -= count as u64;
            let source = self.next_source;
            self.next_source = (source + 1) % self.sources.len();
            let filled = self.fill(source, count, now, counts);
            let sent = self.send(source, filled);
            self.table.retract((filled - sent) as u32);
            if counts {
                self.figures.sent += sent as u64;
                self.figures.sent_bytes += self.lengths[..sent].iter().sum::<usize>() as u64;
            }
        }
    }

    /// Writes requests of one source and gives how many.
    fn fill(&mut self, source: usize, count: usize, now: u64, counts: bool) -> usize {
        let Self { job, table, requests, lengths, .. } = self;
        let settings = job.settings;
        let Source { number, connection, learned, renewing, .. } = &mut self.sources[source];
        let age = now.saturating_sub(*learned);
        let renew = age > nanoseconds(settings.renew) && now.saturating_sub(*renewing) > RENEW_AGAIN;
        if renew {
            *renewing = now;
        }
        let count = if age > LIFE { usize::from(renew) } else { count };
        for (i, (buffer, length)) in requests.iter_mut().zip(lengths.iter_mut()).enumerate().take(count) {
            let kind = if renew && i == 0 { Kind::Connect } else { settings.mix.draw(&mut job.rng) };
            let amount = match kind {
                Kind::Connect => 0,
                Kind::Announce => settings.wanted,
                Kind::Scrape => settings.scrape_hashes,
            };
            let request = Request { sent_at: now, source: source as u32, kind, amount, counts };
            let transaction = table.push(request);
            *length = match kind {
                Kind::Connect => wire::connect(buffer, transaction),
                Kind::Announce => {
                    let peer = settings.workload.peer_of_source(*number, job.sources, &mut job.rng);
                    wire::announce(buffer, *connection, transaction, &peer, amount)
                }
                Kind::Scrape => {
                    let (workload, rng) = (&settings.workload, &mut job.rng);
                    let hashes = (0..amount).map(|_| workload.info_hash(workload.torrent(rng)));
                    wire::scrape(buffer, *connection, transaction, hashes)
                }
            };
        }
        count
    }

    /// Sends the first `count` requests and gives how many the kernel took.
    fn send(&mut self, source: usize, count: usize) -> usize {
        let socket = self.sources[source].socket.as_raw_fd();
        let slices: [[IoSlice<'_>; 1]; BATCH] =
            array::from_fn(|i| [IoSlice::new(&self.requests[i][..self.lengths[i]])]);
        let nowhere = [None::<()>; BATCH];
        let mut sent = 0;
        // An ICMP error about an earlier datagram is reported instead of sending; it is not this one's.
        let mut excuses = 1;
        while sent < count {
            let taken = sendmmsg(
                socket,
                &mut self.send,
                &slices[sent..count],
                &nowhere[..count - sent],
                [],
                MsgFlags::MSG_DONTWAIT,
            )
            .map(Iterator::count);
            match taken {
                Ok(taken) => sent += taken,
                Err(Errno::EINTR) => {}
                Err(Errno::ECONNREFUSED | Errno::EHOSTUNREACH | Errno::ENETUNREACH) if excuses > 0 => {
                    excuses -= 1;
                }
                // No room: the rest is not sent, which the figures show.
                Err(_) => break,
            }
        }
        sent
    }

    /// Reads the replies that a source has got.
    fn read(&mut self, source: usize) -> Result<(), Error> {
        for _ in 0..READS {
            let Some(source_socket) = self.sources.get(source) else { return Ok(()) };
            let socket = source_socket.socket.as_raw_fd();
            let mut lengths = [0; BATCH];
            let mut parts = self.replies.chunks_exact_mut(REPLY_LEN);
            let mut slices: [[IoSliceMut<'_>; 1]; BATCH] =
                array::from_fn(|_| [IoSliceMut::new(parts.next().unwrap_or_default())]);
            let received = match recvmmsg(
                socket,
                &mut self.receive,
                slices.iter_mut(),
                MsgFlags::MSG_DONTWAIT,
                None::<TimeSpec>,
            ) {
                Ok(messages) => {
                    let mut count = 0;
                    for (length, message) in lengths.iter_mut().zip(messages) {
                        *length = message.bytes;
                        count += 1;
                    }
                    count
                }
                Err(Errno::EAGAIN) => return Ok(()),
                // What ICMP says of lost requests shows in the figures as unanswered.
                Err(Errno::EINTR | Errno::ECONNREFUSED | Errno::EHOSTUNREACH | Errno::ENETUNREACH) => {
                    continue;
                }
                Err(error) => return Err(Error::system("replies cannot be received")(error)),
            };
            let now = self.now();
            for (i, length) in lengths.into_iter().enumerate().take(received) {
                self.judge(source, i, length.min(REPLY_LEN), now);
            }
            if received < BATCH {
                return Ok(());
            }
        }
        Ok(())
    }

    fn judge(&mut self, source: usize, i: usize, length: usize, now: u64) {
        let reply = &self.replies[i * REPLY_LEN..][..length];
        let figures = &mut self.figures;
        let Some(transaction) = wire::transaction(reply) else {
            return figures.count_wrong(Wrong::Length);
        };
        let request = match self.table.take(transaction, source as u32) {
            Reply::Of(request) => request,
            Reply::Late => {
                figures.late += 1;
                return;
            }
            Reply::Nobodys => return figures.count_wrong(Wrong::Unasked),
        };
        let checked = wire::check(reply, request.kind, request.amount, self.family);
        if let Ok(Some(connection)) = checked {
            let source = &mut self.sources[source];
            (source.connection, source.learned) = (connection, request.sent_at);
        }
        // A wrong reply counts in the warm-up too: it is never right.
        match checked {
            Err(wrong) => figures.count_wrong(wrong),
            Ok(_) if request.counts => {
                figures.received_bytes += length as u64;
                figures.count_answer(now.saturating_sub(request.sent_at));
            }
            Ok(_) => {}
        }
    }
}
