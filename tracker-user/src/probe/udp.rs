//! Asking a tracker over UDP (BEP 15).

use super::{
    finding::{Findings, Step},
    party::{Client, Event, Party, Which},
    shown,
    target::Target,
    told,
    trouble::{Transport, Trouble},
    udp_reply::{self, Reply},
};
use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};
use tokio::{
    net::UdpSocket,
    time::{Instant, timeout_at},
};
use tracker_common::bep15::Action;

/// The longest datagram there is, bytes.
const MOST_DATAGRAM: usize = 65_535;
/// A request that is lost is sent again after this part of the patience: BEP 15 has clients wait for 15 seconds and then
/// for twice as long.
const FIRST_PART: u32 = 3;

/// A client's socket, which the tracker alone can send to.
struct Line<'a> {
    socket: UdpSocket,
    tracker: SocketAddr,
    party: &'a Party,
    client: &'a Client,
    target: &'a Target,
    patience: Duration,
    /// Transaction IDs of the requests so far, the latest last.
    sent: Vec<u32>,
    connection: u64,
}

/// A reply to the latest request.
struct Arrived {
    bytes: Vec<u8>,
    took: Duration,
    findings: Findings,
}

/// Asks as both clients, and says what came of each step, and whether this machine could send there at all.
pub(super) async fn ask(party: &Party, target: &Target, patience: Duration) -> (Vec<Step>, bool) {
    let mut steps = Vec::new();
    let (mut lines, mut is_understood) = (Vec::new(), true);
    let mut is_out_of_reach = false;
    for client in [&party.first, &party.second] {
        let connect = Step::new("connect", Some(client.which));
        let mut line = match Line::open(party, client, target, patience).await {
            Ok(line) => line,
            Err(trouble) => {
                is_out_of_reach = matches!(trouble, Trouble::NoWay { .. });
                steps.push(unanswered(connect, &trouble));
                break;
            }
        };
        let (step, connected) = line.connect(connect).await;
        steps.push(step);
        if !connected {
            break;
        }
        let (step, may_be_there, answered) = line.announce().await;
        steps.push(step);
        is_understood = answered || !may_be_there;
        if may_be_there {
            lines.push(line);
        }
        if !answered {
            break;
        }
    }
    if let Some(line) = lines.get_mut(1) {
        let step = line.scrape().await;
        steps.push(step);
    }
    // Whoever may have been taken in leaves, whatever else went wrong. The first goes last.
    let both = lines.len() == 2;
    while let Some(mut line) = lines.pop() {
        let is_last = both && lines.is_empty();
        let step = line.stop(is_last).await;
        // Where an announce had no answer that can be read, the other has none either.
        if is_understood {
            steps.push(step);
        }
    }
    (steps, is_out_of_reach)
}

/// A step that had no answer.
fn unanswered(step: Step, trouble: &Trouble) -> Step {
    match trouble {
        // This machine's matter, and not the tracker's.
        Trouble::NoWay { .. } => step.note(trouble.to_string()),
        _ => step.wrong(trouble.to_string()),
    }
}

impl<'a> Line<'a> {
    async fn open(
        party: &'a Party,
        client: &'a Client,
        target: &'a Target,
        patience: Duration,
    ) -> Result<Self, Trouble> {
        let tracker = party.tracker;
        let any = match tracker {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let trouble = |error| Trouble::of(error, Transport::Udp, (tracker.ip(), tracker.port()));
        let socket = UdpSocket::bind(any).await.map_err(trouble)?;
        // Only a connected socket is told that a port is closed.
        socket.connect(tracker).await.map_err(trouble)?;
        Ok(Self { socket, tracker, party, client, target, patience, sent: Vec::new(), connection: 0 })
    }

    /// The next transaction ID.
    fn transaction(&mut self) -> u32 {
        let next = self.sent.last().map_or(self.client.key, |last| last.wrapping_add(0x0101_0101));
        self.sent.push(next);
        next
    }

    /// Sends a request, once more if there is no reply for a while, and waits for the reply to it.
    async fn exchange(&mut self, request: &[u8]) -> Result<Arrived, Trouble> {
        let began = Instant::now();
        let mut findings = Findings::default();
        let ends = [began + self.patience / FIRST_PART, began + self.patience];
        let mut strays = Strays::default();
        for (sending, end) in ends.into_iter().enumerate() {
            self.socket.send(request).await.map_err(|error| self.trouble(error))?;
            if let Some(bytes) = self.receive(end, &mut strays).await? {
                if sending > 0 {
                    findings.note(
                        "the first request, or the reply to it, was lost: this came after it was sent again",
                    );
                }
                return Ok(Arrived { bytes, took: began.elapsed(), findings });
            }
        }
        Err(strays.trouble(self.patience, *self.sent.last().unwrap_or(&0), self.sent.len() > 1))
    }

    /// The reply to the latest request, if it comes before this time.
    async fn receive(&self, end: Instant, strays: &mut Strays) -> Result<Option<Vec<u8>>, Trouble> {
        let mut buffer = vec![0; MOST_DATAGRAM];
        loop {
            let length = match timeout_at(end, self.socket.recv(&mut buffer)).await {
                Ok(received) => received.map_err(|error| self.trouble(error))?,
                Err(_) => return Ok(None),
            };
            match udp_reply::transaction(&buffer[..length]) {
                Some(transaction) if Some(&transaction) == self.sent.last() => {
                    buffer.truncate(length);
                    return Ok(Some(buffer));
                }
                // It was sent twice and is answered twice.
                Some(transaction) if self.sent.contains(&transaction) => {}
                Some(transaction) => strays.other(transaction),
                None => strays.shortest = Some(length),
            }
        }
    }

    fn trouble(&self, error: io::Error) -> Trouble {
        Trouble::of(error, Transport::Udp, (self.tracker.ip(), self.tracker.port()))
    }

    async fn connect(&mut self, step: Step) -> (Step, bool) {
        let transaction = self.transaction();
        let (mut step, reply) = self.put(&udp_reply::connect(transaction), Action::Connect, step).await;
        match reply {
            Some(Reply::Connected(connection)) => {
                self.connection = connection;
                (step, true)
            }
            Some(Reply::Refused(reason)) => {
                step.findings.wrong(shown::refused(&reason, self.party.is_alone));
                (step, false)
            }
            _ => (step, false),
        }
    }

    /// Announces. Says whether the tracker may count the client now, and whether it is of use to go on.
    async fn announce(&mut self) -> (Step, bool, bool) {
        let which = self.client.which;
        let request = self.announce_bytes(Event::Started);
        let (mut step, reply) =
            self.put(&request, Action::Announce, Step::new("announce", Some(which))).await;
        match reply {
            Some(Reply::Announced(told)) => {
                step.findings.extend(told::judge(&told, self.party, which));
                if which == Which::Second {
                    step.findings.extend(told::judge_meeting(&told, self.party));
                }
                (step.told(told::summary(&told, self.party, which)), true, true)
            }
            Some(Reply::Refused(reason)) => {
                step.findings.wrong(shown::refused(&reason, self.party.is_alone));
                (step, false, false)
            }
            _ => (step, true, false),
        }
    }

    async fn scrape(&mut self) -> Step {
        let transaction = self.transaction();
        let request = udp_reply::scrape(self.party.info_hash, self.connection, transaction);
        let (mut step, reply) = self.put(&request, Action::Scrape, Step::new("scrape", None)).await;
        match reply {
            Some(Reply::Scraped(row)) => {
                step.findings.extend(row.judge(self.party));
                step.told(row.summary())
            }
            Some(Reply::Refused(reason)) => {
                step.note(format!("the tracker answers no scrapes: {}", shown::quoted(&reason)))
            }
            _ => step,
        }
    }

    async fn stop(&mut self, is_last: bool) -> Step {
        let request = self.announce_bytes(Event::Stopped);
        let step = Step::new("stop", Some(self.client.which));
        let (mut step, reply) = self.put(&request, Action::Announce, step).await;
        match reply {
            Some(Reply::Announced(told)) if is_last => {
                step.findings.extend(told::judge_left(&told, self.party));
                step
            }
            Some(Reply::Refused(reason)) => step.wrong(shown::refused(&reason, self.party.is_alone)),
            _ => step,
        }
    }

    fn announce_bytes(&mut self, event: Event) -> Vec<u8> {
        let ids = (self.connection, self.transaction());
        udp_reply::announce(self.party, self.client, event, ids, self.target)
    }

    /// Sends a request and reads the reply to it; what is wrong is in the step.
    async fn put(&mut self, request: &[u8], asked: Action, step: Step) -> (Step, Option<Reply>) {
        match self.exchange(request).await {
            Err(trouble) => (unanswered(step, &trouble), None),
            Ok(Arrived { bytes, took, mut findings }) => {
                let read = udp_reply::read(&bytes, asked, self.tracker.is_ipv4(), &mut findings);
                let step = step.took(took).found(findings);
                match read {
                    Ok(reply) => (step, Some(reply)),
                    Err(reason) => (step.wrong(reason), None),
                }
            }
        }
    }
}

/// What came instead of the reply.
#[derive(Debug, Default)]
struct Strays {
    others: u32,
    first: u32,
    shortest: Option<usize>,
}

impl Strays {
    fn other(&mut self, transaction: u32) {
        if self.others == 0 {
            self.first = transaction;
        }
        self.others = self.others.saturating_add(1);
    }

    /// Why there is no reply to the request with this transaction ID.
    fn trouble(&self, patience: Duration, sent: u32, has_answered: bool) -> Trouble {
        if self.others > 0 {
            let came =
                if self.others == 1 { "a reply".to_owned() } else { format!("{} replies", self.others) };
            Trouble::OtherTransaction { patience, came, sent, got: self.first }
        } else if let Some(length) = self.shortest {
            Trouble::Runt(length)
        } else if has_answered {
            Trouble::SilentNow(patience)
        } else {
            Trouble::Silent(patience)
        }
    }
}
