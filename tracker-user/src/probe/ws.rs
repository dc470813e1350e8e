//! Asking a tracker of WebTorrent, over WebSocket: an offer of the second client has to reach the first, and its answer the
//! second.

use super::{
    dial::{Dialer, Stream},
    finding::Step,
    party::{Event, Party, Which},
    shown, told,
    trouble::Trouble,
    ws_message::{self, Message},
};
use futures_util::{SinkExt as _, StreamExt as _};
use std::{collections::VecDeque, time::Duration};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{self, protocol::WebSocketConfig},
};

/// The longest message that is read, bytes.
const MOST_MESSAGE: usize = 256 << 10;
/// Buffers, bytes.
const BUFFER: usize = 4 << 10;
/// Messages that are kept until somebody waits for them.
const MOST_KEPT: usize = 64;

/// A client's WebSocket.
struct Socket<'a> {
    stream: WebSocketStream<Box<dyn Stream>>,
    party: &'a Party,
    which: Which,
    patience: Duration,
    /// What came and nobody has waited for yet.
    kept: VecDeque<Message>,
}

/// What was waited for, or why it did not come.
type Heard<T> = Result<T, String>;

/// Asks as both clients, and says what came of each step, and whether this machine could send there at all.
pub(super) async fn ask(party: &Party, dialer: &Dialer<'_>) -> (Vec<Step>, bool) {
    let mut steps = Vec::new();
    let stream = match dialer.open(&mut steps).await {
        Ok(stream) => stream,
        Err(trouble) => {
            steps.push(Dialer::failed(steps.len(), &trouble));
            return (steps, matches!(trouble, Trouble::NoWay { .. }));
        }
    };
    let Some(mut first) = Socket::join(stream, party, dialer, Which::First, &mut steps).await else {
        return (steps, false);
    };
    let second = match dialer.open_quietly().await {
        Ok(stream) => Socket::join(stream, party, dialer, Which::Second, &mut steps).await,
        Err(trouble) => {
            steps.push(Step::new("upgrade", Some(Which::Second)).wrong(trouble.to_string()));
            None
        }
    };
    if let Some(mut second) = second {
        steps.extend(meet(&mut first, &mut second).await);
        steps.push(second.scrape().await);
        steps.push(second.stop().await);
        steps.push(first.stop().await);
    } else {
        steps.push(first.stop().await);
    }
    (steps, false)
}

/// Looks whether the second client's offer reaches the first, and the first one's answer the second.
async fn meet(first: &mut Socket<'_>, second: &mut Socket<'_>) -> Vec<Step> {
    let party = first.party;
    let (offering, began) = (Step::new("offer", None), Instant::now());
    let offer = first.hear("the second client's offer", |message| match message {
        Message::Offer(offer) => Ok(offer),
        other => Err(other),
    });
    let offer = match offer.await {
        Err(reason) => return vec![offering.wrong(format!("{reason}: pages do not find each other"))],
        Ok(offer) => offer,
    };
    let offering = offering.took(began.elapsed()).told("client 2's reached client 1");
    if let Some(reason) = ws_message::judge(&offer, "offer", &party.second, party.second.offer_id) {
        return vec![offering.wrong(reason)];
    }
    let (answering, began) = (Step::new("answer", None), Instant::now());
    if let Err(reason) = first.say(ws_message::answer(party)).await {
        return vec![offering, answering.wrong(reason)];
    }
    let answer = second.hear("the first client's answer", |message| match message {
        Message::Answer(answer) => Ok(answer),
        other => Err(other),
    });
    let answering = match answer.await {
        Err(reason) => answering.wrong(format!("{reason}: pages do not find each other")),
        Ok(answer) => {
            let answering = answering.took(began.elapsed()).told("client 1's reached client 2");
            match ws_message::judge(&answer, "answer", &party.first, party.second.offer_id) {
                Some(reason) => answering.wrong(reason),
                None => answering,
            }
        }
    };
    vec![offering, answering]
}

impl<'a> Socket<'a> {
    /// Asks for WebSocket at an open connection, and announces.
    async fn join(
        stream: Box<dyn Stream>,
        party: &'a Party,
        dialer: &Dialer<'_>,
        which: Which,
        steps: &mut Vec<Step>,
    ) -> Option<Self> {
        let (step, socket) = Self::upgrade(stream, party, dialer, which).await;
        steps.push(step);
        let mut socket = socket?;
        let (step, is_in) = socket.announce().await;
        steps.push(step);
        is_in.then_some(socket)
    }

    async fn upgrade(
        stream: Box<dyn Stream>,
        party: &'a Party,
        dialer: &Dialer<'_>,
        which: Which,
    ) -> (Step, Option<Self>) {
        let step = Step::new("upgrade", Some(which));
        let began = Instant::now();
        let config = WebSocketConfig::default()
            .max_message_size(Some(MOST_MESSAGE))
            .max_frame_size(Some(MOST_MESSAGE))
            .read_buffer_size(BUFFER)
            .write_buffer_size(BUFFER);
        // A client says `ws` inside TLS as well: the words before the path are not sent.
        let url = dialer.target.to_string();
        let upgrading = client_async_with_config(url, stream, Some(config));
        match timeout(dialer.patience, upgrading).await {
            Err(_) => (step.wrong(Trouble::SilentNow(dialer.patience).to_string()), None),
            Ok(Err(error)) => (step.wrong(not_upgraded(error)), None),
            Ok(Ok((stream, _))) => {
                let socket = Self { stream, party, which, patience: dialer.patience, kept: VecDeque::new() };
                (step.took(began.elapsed()), Some(socket))
            }
        }
    }

    async fn announce(&mut self) -> (Step, bool) {
        let step = Step::new("announce", Some(self.which));
        let began = Instant::now();
        let message = ws_message::announce(self.party, self.party.client(self.which), Event::Started);
        match self.announced(message).await {
            Ok(told) => {
                let findings = told::judge(&told, self.party, self.which);
                let text = told::summary(&told, self.party, self.which);
                (step.took(began.elapsed()).told(text).found(findings), true)
            }
            Err(reason) => (step.wrong(reason), false),
        }
    }

    /// Leaves. What is counted then is not looked at: some trackers answer what has come before only now.
    async fn stop(&mut self) -> Step {
        let step = Step::new("stop", Some(self.which));
        let began = Instant::now();
        let message = ws_message::announce(self.party, self.party.client(self.which), Event::Stopped);
        let answered = self.announced(message).await;
        // Who closes has left anyway.
        let _ = timeout(self.patience, self.stream.close(None)).await;
        match answered {
            Ok(_) => step.took(began.elapsed()),
            Err(reason) => step.note(reason),
        }
    }

    /// What an announce is answered.
    async fn announced(&mut self, message: String) -> Heard<told::Told> {
        self.say(message).await?;
        let awaited = "an answer that names the torrent";
        let heard = self.hear(awaited, |message| match message {
            Message::Announced(told) => Ok(told),
            other => Err(other),
        });
        heard.await
    }

    async fn scrape(&mut self) -> Step {
        let step = Step::new("scrape", None);
        let began = Instant::now();
        if let Err(reason) = self.say(ws_message::scrape(self.party)).await {
            return step.wrong(reason);
        }
        let row = self.hear("an answer", |message| match message {
            Message::Scraped(row) => Ok(row),
            other => Err(other),
        });
        match row.await {
            Ok(Some(row)) => step.took(began.elapsed()).told(row.summary()).found(row.judge(self.party)),
            Ok(None) => step.note("it does not tell of the torrent, though two clients have announced it"),
            // No BEP has it: clients ask, and get along without.
            Err(reason) => step.note(format!("the tracker answers no scrapes: {reason}")),
        }
    }

    async fn say(&mut self, text: String) -> Heard<()> {
        match timeout(self.patience, self.stream.send(tungstenite::Message::text(text))).await {
            Err(_) => Err(format!("nothing could be sent for {}", shown::patience(self.patience))),
            Ok(sent) => sent.map_err(lost),
        }
    }

    /// Waits for a message, and keeps what comes before it.
    async fn hear<T>(&mut self, awaited: &str, wanted: impl Fn(Message) -> Result<T, Message>) -> Heard<T> {
        let end = Instant::now() + self.patience;
        for _ in 0..self.kept.len() {
            match self.kept.pop_front().map(&wanted) {
                Some(Ok(found)) => return Ok(found),
                Some(Err(other)) => self.kept.push_back(other),
                None => {}
            }
        }
        let silent = || format!("{awaited} did not come in {}", shown::patience(self.patience));
        let mut broken = None;
        loop {
            let message = match timeout_at(end, self.stream.next()).await {
                Err(_) => return Err(broken.unwrap_or_else(silent)),
                Ok(None) => return Err("the tracker closed the connection".to_owned()),
                Ok(Some(Err(error))) => return Err(lost(error)),
                Ok(Some(Ok(message))) => message,
            };
            let message = match message {
                tungstenite::Message::Text(text) => ws_message::read(&text, self.party.info_hash),
                tungstenite::Message::Binary(_) => {
                    Message::Broken("a message is binary, where text is due".to_owned())
                }
                tungstenite::Message::Close(_) => return Err("the tracker closed the connection".to_owned()),
                _ => continue,
            };
            match wanted(message) {
                Ok(found) => return Ok(found),
                Err(Message::Refused(reason)) => return Err(shown::refused(&reason, self.party.is_alone)),
                Err(Message::Broken(reason)) => broken = Some(reason),
                Err(Message::Other) => {}
                Err(other) if self.kept.len() < MOST_KEPT => self.kept.push_back(other),
                Err(_) => {}
            }
        }
    }
}

/// Why there is no WebSocket.
fn not_upgraded(error: tungstenite::Error) -> String {
    match error {
        tungstenite::Error::Http(response) => {
            format!(
                "the tracker answers with status {} instead of WebSocket: is this its address?",
                response.status().as_u16()
            )
        }
        tungstenite::Error::HttpFormat(error) => format!("the answer is not HTTP: {error}"),
        tungstenite::Error::Protocol(error) => {
            format!(
                "the answer is none that upgrades to WebSocket: {}",
                shown::text(error.to_string().as_bytes())
            )
        }
        error => lost(error),
    }
}

/// Why a connection was lost.
fn lost(error: tungstenite::Error) -> String {
    match error {
        tungstenite::Error::Capacity(_) => {
            format!("a message is longer than {} KiB: clients do not read on", MOST_MESSAGE >> 10)
        }
        tungstenite::Error::ConnectionClosed
        | tungstenite::Error::AlreadyClosed
        | tungstenite::Error::Io(_) => "the tracker closed the connection".to_owned(),
        error => format!(
            "the tracker breaks the rules of WebSocket: {}",
            shown::text(error.to_string().as_bytes())
        ),
    }
}

#[cfg(test)]
mod tests;
