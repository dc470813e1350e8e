//! One worker's loop over its WebSockets.

use super::{
    Mode, Settings,
    frame::{self, opcode},
    message::{self, Message, Offer},
};
use crate::{
    error::Error,
    figures::{Figures, Wrong},
    net::{
        channel::{Broken, Channel, Read},
        load::Job,
        wait::Wait,
    },
    numbers::nanoseconds,
    record::Record,
};
use std::{collections::VecDeque, time::Duration};

/// Bytes read at a time.
const READ: usize = 16 << 10;
/// How often timeouts are looked for, nanoseconds.
const LOOK: u64 = 10_000_000;
/// How long a connection rests after it failed, nanoseconds.
const REST: u64 = 10_000_000;
/// Connections that a tick opens at the most, so that no backlog of a listener overflows.
const OPENED_PER_TICK: usize = 32;
/// How often new connections and the end are looked after.
const TICK: Duration = Duration::from_millis(1);
/// How long idle connections are given to come about before their time begins, nanoseconds.
const SETTLE: u64 = 60_000_000_000;

/// An announce, or the handshake before the first one, that waits for its reply.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    since: u64,
    counts: bool,
    info_hash: [u8; 20],
}

#[derive(Debug, Default)]
struct Connection {
    channel: Channel,
    /// Whether the handshake is done.
    open: bool,
    /// Which peer it is; a new one after each churn.
    member: u64,
    peer_id: [u8; 20],
    waiting: Option<Waiting>,
    /// Answers sent that no announce reply has come for: some trackers send one, though an answer is no announce.
    unacknowledged: u64,
    handshake_since: Option<u64>,
    /// Whether an announce was ever answered on it.
    settled: bool,
    rests_until: u64,
}

struct Lane<'a> {
    job: Job<'a, Settings>,
    wait: Wait,
    connections: Vec<Connection>,
    resting: VecDeque<usize>,
    figures: Figures,
    buffer: Box<[u8]>,
    text: Vec<u8>,
    started: u64,
    /// From when on requests count; nothing counts before it is known.
    from: u64,
    until: u64,
    ended: Option<u64>,
    next_offer: u64,
    opened: u64,
    failed: u64,
    cycles: u64,
    offers: u64,
    answers_sent: u64,
    answers: u64,
    acknowledged: u64,
}

/// Runs a probe over this worker's connections.
pub(super) fn run(job: Job<'_, Settings>) -> Result<Figures, Error> {
    let mut connections = Vec::new();
    connections.resize_with(job.connections, Connection::default);
    for (number, connection) in connections.iter_mut().enumerate() {
        connection.member = job.number + number as u64 * job.workers;
    }
    let started = nanoseconds(job.origin.elapsed());
    let mut lane = Lane {
        wait: Wait::new(TICK)?,
        resting: (0..job.connections).collect(),
        figures: Figures::default(),
        buffer: vec![0; READ].into(),
        text: Vec::new(),
        started,
        from: started + nanoseconds(job.span.warmup),
        until: 0,
        ended: None,
        // Offers of different workers, too, have different names.
        next_offer: job.number << 48,
        opened: 0,
        failed: 0,
        cycles: 0,
        offers: 0,
        answers_sent: 0,
        answers: 0,
        acknowledged: 0,
        connections,
        job,
    };
    lane.until = lane.from + nanoseconds(lane.job.span.duration);
    if lane.job.settings.mode == Mode::Idle {
        // Their time begins when all are there.
        (lane.from, lane.until) = (started, u64::MAX);
    }
    lane.run()
}

impl Lane<'_> {
    fn now(&self) -> u64 {
        nanoseconds(self.job.origin.elapsed())
    }

    fn run(mut self) -> Result<Figures, Error> {
        let mut looked = self.started;
        // Idle connections may take a while until their time begins.
        let until = (self.from + SETTLE + nanoseconds(self.job.span.duration)).min(self.until);
        let mut record = Record::new(self.job.watch, self.job.number as usize, self.from, until);
        loop {
            let now = self.now();
            if self.ended.is_none() {
                record.look(now, &self.figures);
            }
            if self.ended.is_none() && (now >= self.until || self.job.watch.is_stopped()) {
                self.ended = Some(now.min(self.until));
                record.stop();
            }
            if self.ended.is_none() {
                self.wake(now)?;
            }
            if now.saturating_sub(looked) >= LOOK {
                looked = now;
                self.give_up(now);
                self.settle(now);
            }
            let figures = &self.figures;
            self.job.published.publish(figures.sent, figures.answered, figures.wrong_in_all());
            if let Some(ended) = self.ended
                && self.connections.iter().all(|connection| connection.waiting.is_none())
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

    /// The time of idle connections begins when all are there.
    fn settle(&mut self, now: u64) {
        if self.until == u64::MAX
            && (self.connections.iter().all(|connection| connection.settled) || now - self.started > SETTLE)
        {
            self.until = now + nanoseconds(self.job.span.duration);
        }
    }

    fn finish(mut self, ended: u64, record: Record) -> Figures {
        let open = self.connections.iter().filter(|connection| connection.open).count();
        let figures = &mut self.figures;
        figures.seconds = ended.saturating_sub(self.from) as f64 / 1e9;
        figures.offered = figures.sent;
        for (name, count) in [
            ("relayed_offers", self.offers),
            ("answers_sent", self.answers_sent),
            ("relayed_answers", self.answers),
            ("replies_to_answers", self.acknowledged),
            ("connections_opened", self.opened),
            ("connections_failed", self.failed),
            ("connections_open_at_end", open as u64),
        ] {
            figures.add_more(name, count);
        }
        if self.job.settings.mode == Mode::Churn {
            figures.add_more("cycles", self.cycles);
        }
        record.finish(figures);
        self.figures
    }

    fn counts(&self, now: u64) -> bool {
        now >= self.from && self.ended.is_none()
    }

    /// Opens a few of the connections at rest.
    fn wake(&mut self, now: u64) -> Result<(), Error> {
        for _ in 0..OPENED_PER_TICK {
            match self.resting.front() {
                Some(&number) if self.connections[number].rests_until <= now => {
                    self.resting.pop_front();
                    self.open(number, now)?;
                }
                _ => break,
            }
        }
        Ok(())
    }

    fn open(&mut self, number: usize, now: u64) -> Result<(), Error> {
        let settings = self.job.settings;
        let connection = &mut self.connections[number];
        match connection.channel.open(&settings.path, connection.member, &self.wait, number)? {
            Ok(()) => {
                self.opened += 1;
                connection.handshake_since = Some(now);
                connection.channel.out.extend(&settings.handshake);
            }
            Err(Broken) => self.fail(number, now),
        }
        Ok(())
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
            self.take(number, now);
            if read == Read::End && self.connections[number].channel.is_open() {
                self.fail(number, now);
            }
            if read != Read::Some {
                break;
            }
        }
        // Replies to what was read, and what a TLS handshake held up.
        self.write(number, now);
        // A churned connection begins anew at once.
        if self.job.settings.mode == Mode::Churn && self.ended.is_none() { self.wake(now) } else { Ok(()) }
    }

    fn write(&mut self, number: usize, now: u64) {
        if self.connections[number].channel.write().is_err() {
            self.fail(number, now);
        }
    }

    /// Takes the handshake's answer and whole frames out of what was read.
    fn take(&mut self, number: usize, now: u64) {
        // Taken out, so that messages can be handled while they lie in it.
        let input = std::mem::take(&mut self.connections[number].channel.input);
        let mut start = 0;
        if !self.connections[number].open {
            match frame::handshake_answer(&input) {
                Ok(None) => {
                    self.connections[number].channel.input = input;
                    return;
                }
                Ok(Some(len)) => {
                    start = len;
                    self.connections[number].open = true;
                    self.connections[number].handshake_since = None;
                    self.announce(number, now);
                }
                Err(wrong) => return self.spoilt(number, wrong, now),
            }
        }
        loop {
            let frame = match frame::read(&input[start..]) {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(wrong) => return self.spoilt(number, wrong, now),
            };
            let payload = &input[start..][frame.payload.clone()];
            match (frame.last, frame.opcode) {
                (true, opcode::TEXT) => self.message(number, payload, now),
                (_, opcode::PING) => {
                    let mask = self.job.rng.next_u32();
                    frame::write(&mut self.connections[number].channel.out, opcode::PONG, payload, mask);
                }
                (_, opcode::PONG) => {}
                (_, opcode::CLOSE) => return self.fail(number, now),
                // No tracker's message comes in parts, or as bytes.
                _ => return self.spoilt(number, Wrong::Malformed, now),
            }
            start += frame.payload.end;
            if !self.connections[number].open {
                return;
            }
        }
        let channel = &mut self.connections[number].channel;
        channel.input = input;
        channel.input.drain(..start);
    }

    /// Where the next message begins is no longer known.
    fn spoilt(&mut self, number: usize, wrong: Wrong, now: u64) {
        self.figures.count_wrong(wrong);
        self.fail(number, now);
    }

    fn message(&mut self, number: usize, text: &[u8], now: u64) {
        let counts = self.counts(now);
        if counts {
            self.figures.received_bytes += text.len() as u64;
        }
        match message::read(text) {
            Ok(Message::Announced(info_hash)) => {
                let connection = &mut self.connections[number];
                match connection.waiting {
                    Some(waiting) if waiting.info_hash == info_hash => {
                        connection.waiting = None;
                        connection.settled = true;
                        if waiting.counts {
                            self.figures.count_answer(now.saturating_sub(waiting.since));
                        }
                        self.answered(number, now);
                    }
                    _ if connection.unacknowledged > 0 => {
                        connection.unacknowledged -= 1;
                        self.acknowledged += u64::from(counts);
                    }
                    _ => self.figures.count_wrong(Wrong::Unasked),
                }
            }
            Ok(Message::Offer(offer)) => {
                self.offers += u64::from(counts);
                self.answer(number, &offer, counts);
            }
            Ok(Message::Answer) => self.answers += u64::from(counts),
            Err(wrong) => {
                self.figures.count_wrong(wrong);
                // Most likely the reply to the announce; without this, the connection would wait for its timeout.
                if matches!(wrong, Wrong::Refused | Wrong::Field | Wrong::Counts)
                    && self.connections[number].waiting.take().is_some()
                {
                    self.answered(number, now);
                }
            }
        }
    }

    /// An announce has had its reply.
    fn answered(&mut self, number: usize, now: u64) {
        if self.ended.is_some() {
            return;
        }
        match self.job.settings.mode {
            Mode::Announce => self.announce(number, now),
            Mode::Idle => {}
            Mode::Churn => {
                self.cycles += u64::from(self.counts(now));
                self.reset(number);
                let all = self.job.settings.connections as u64;
                let connection = &mut self.connections[number];
                connection.member += all;
                connection.rests_until = now;
                // In front, since its turn is now: those that failed rest longer.
                self.resting.push_front(number);
            }
        }
    }

    fn announce(&mut self, number: usize, now: u64) {
        if self.ended.is_some() {
            return;
        }
        let counts = self.counts(now);
        let settings = self.job.settings;
        let connection = &mut self.connections[number];
        let torrents = settings.torrents_per_connection;
        let peer = settings.workload.member(connection.member, self.job.rng.below(torrents), torrents);
        connection.peer_id = peer.peer_id;
        connection.waiting = Some(Waiting { since: now, counts, info_hash: peer.info_hash });
        self.text.clear();
        message::announce(
            &mut self.text,
            &peer,
            settings.wanted,
            self.next_offer,
            settings.offers,
            &settings.sdp,
        );
        self.next_offer += u64::from(settings.offers);
        if counts {
            self.figures.sent += 1;
            self.figures.sent_bytes += self.text.len() as u64;
        }
        frame::write(&mut connection.channel.out, opcode::TEXT, &self.text, self.job.rng.next_u32());
    }

    fn answer(&mut self, number: usize, offer: &Offer, counts: bool) {
        let settings = self.job.settings;
        if self.job.rng.unit() >= settings.answers {
            return;
        }
        let connection = &mut self.connections[number];
        connection.unacknowledged += 1;
        self.text.clear();
        message::answer(&mut self.text, &connection.peer_id, offer, &settings.sdp);
        if counts {
            self.answers_sent += 1;
            self.figures.sent_bytes += self.text.len() as u64;
        }
        frame::write(&mut connection.channel.out, opcode::TEXT, &self.text, self.job.rng.next_u32());
    }

    /// A connection broke: what waits on it is unanswered, and it rests for a while.
    fn fail(&mut self, number: usize, now: u64) {
        self.failed += 1;
        self.reset(number);
        self.connections[number].rests_until = now + REST;
        // Idle connections are counted as they stay: one that is lost stays lost.
        if self.job.settings.mode != Mode::Idle || !self.connections[number].settled {
            self.resting.push_back(number);
        }
    }

    fn reset(&mut self, number: usize) {
        let connection = &mut self.connections[number];
        connection.channel.reset();
        connection.open = false;
        connection.unacknowledged = 0;
        connection.handshake_since = None;
        if let Some(waiting) = connection.waiting.take() {
            self.figures.unanswered += u64::from(waiting.counts);
        }
    }

    /// Gives up announces and handshakes that have waited too long, with their connections.
    fn give_up(&mut self, now: u64) {
        let before = now.saturating_sub(nanoseconds(self.job.settings.timeout));
        for number in 0..self.connections.len() {
            let connection = &self.connections[number];
            let since = connection.waiting.map(|waiting| waiting.since).or(connection.handshake_since);
            if since.is_some_and(|since| since < before) {
                self.fail(number, now);
            }
        }
    }
}
