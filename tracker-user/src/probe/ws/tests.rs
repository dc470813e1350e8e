//! At trackers made of tungstenite's server side, which do all as they should but for one thing.

use super::super::{finding::Mark, target::Target, tls::Trust};
use super::*;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};
use tokio::{net::TcpListener, sync::mpsc};

/// What goes to each of the two clients.
type Outs = Arc<Mutex<BTreeMap<String, mpsc::UnboundedSender<String>>>>;

/// Answers a message: who gets what. The sender is `me`, by its peer ID.
type Bend = fn(Vec<(String, Value)>) -> Vec<(String, Value)>;

/// What an honest tracker sends on account of a message, while so many are in the swarm.
fn honest(message: &Value, before: &[String]) -> Vec<(String, Value)> {
    let me = message["peer_id"].as_str().unwrap_or_default().to_owned();
    let hash = &message["info_hash"];
    if message["action"] == "scrape" {
        let files = json!({ hash.as_str().unwrap(): { "complete": 1, "incomplete": 1, "downloaded": 0 } });
        return vec![("second".to_owned(), json!({ "action": "scrape", "files": files }))];
    }
    if !message["answer"].is_null() {
        let to = message["to_peer_id"].as_str().unwrap().to_owned();
        let relayed = json!({
            "action": "announce", "info_hash": hash, "peer_id": me, "answer": message["answer"],
            "offer_id": message["offer_id"],
        });
        return vec![(to, relayed)];
    }
    let told = json!({
        "action": "announce", "info_hash": hash, "interval": 120, "complete": 1,
        "incomplete": before.len(),
    });
    let mut sent = vec![(me.clone(), told)];
    if let Some(offer) = message["offers"].get(0) {
        for other in before {
            sent.push((
                other.clone(),
                json!({
                    "action": "announce", "info_hash": hash, "peer_id": me, "offer": offer["offer"],
                    "offer_id": offer["offer_id"],
                }),
            ));
        }
    }
    sent
}

async fn serve(listener: TcpListener, bend: Bend) {
    let outs = Outs::default();
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let outs = outs.clone();
        connections.spawn(async move {
            let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
            let (out, mut queue) = mpsc::unbounded_channel::<String>();
            loop {
                tokio::select! {
                    Some(text) = queue.recv() => {
                        if socket.send(tungstenite::Message::text(text)).await.is_err() { return }
                    }
                    message = socket.next() => {
                        let Some(Ok(message)) = message else { return };
                        let tungstenite::Message::Text(text) = message else { continue };
                        let message: Value = serde_json::from_str(&text).unwrap();
                        let mut outs = outs.lock().unwrap();
                        let before: Vec<String> = outs.keys().filter(|key| *key != "second").cloned().collect();
                        if message["event"] == "started" {
                            outs.insert(message["peer_id"].as_str().unwrap().to_owned(), out.clone());
                            if !before.is_empty() {
                                outs.insert("second".to_owned(), out.clone());
                            }
                        }
                        for (to, text) in bend(honest(&message, &before)) {
                            if let Some(out) = outs.get(&to) {
                                let _ = out.send(text.to_string());
                            }
                        }
                    }
                }
            }
        });
    }
}

/// Probes such a tracker, and gives each step with its mark and text.
async fn probed(bend: Bend, patience: Duration) -> Vec<(&'static str, Mark, String)> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tracker = listener.local_addr().unwrap();
    let server = tokio::spawn(serve(listener, bend));
    let target = Target::parse(&format!("ws://{tracker}/announce")).unwrap();
    let party = Party::new(tracker, None).unwrap();
    let trust = Trust::nobody();
    let dialer = Dialer { target: &target, tracker, trust: &trust, patience };
    let (steps, _) = ask(&party, &dialer).await;
    server.abort();
    let text =
        |step: &Step| step.findings.iter().map(|found| found.text.clone()).collect::<Vec<_>>().join(" | ");
    steps.iter().map(|step| (step.name, step.mark(), text(step))).collect()
}

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(300);

/// Where the first thing is that is wrong, and what.
async fn wrong(bend: Bend, patience: Duration) -> (&'static str, String) {
    let steps = probed(bend, patience).await;
    let found = steps.iter().find(|step| step.1 == Mark::Wrong);
    let (name, _, text) = found.unwrap_or_else(|| panic!("nothing is wrong: {steps:?}"));
    (name, text.clone())
}

/// With each message that has this key changed by this.
fn change(sent: Vec<(String, Value)>, key: &str, with: impl Fn(&mut Value)) -> Vec<(String, Value)> {
    let changed = sent.into_iter().map(|(to, mut message)| {
        if !message[key].is_null() {
            with(&mut message);
        }
        (to, message)
    });
    changed.collect()
}

#[tokio::test]
async fn an_honest_tracker_is_fine() {
    let steps = probed(|sent| sent, LONG).await;
    let names: Vec<&str> = steps.iter().map(|step| step.0).collect();
    let expected = [
        "connect", "upgrade", "announce", "upgrade", "announce", "offer", "answer", "scrape", "stop", "stop",
    ];
    assert_eq!(names, expected);
    assert!(steps.iter().all(|step| step.1 == Mark::Ok), "{steps:?}");
}

#[tokio::test]
async fn offers_and_answers_that_do_not_arrive_are_missed() {
    let found = wrong(|sent| sent.into_iter().filter(|(_, it)| it["offer"].is_null()).collect(), SHORT).await;
    assert!(
        found.0 == "offer" && found.1.contains("the second client's offer did not come in 0.3 s"),
        "{found:?}"
    );
    let found =
        wrong(|sent| sent.into_iter().filter(|(_, it)| it["answer"].is_null()).collect(), SHORT).await;
    assert!(found.0 == "answer" && found.1.contains("the first client's answer did not come"), "{found:?}");
}

#[tokio::test]
async fn offers_and_answers_that_arrive_changed_are_told() {
    let cases: [(Bend, &str, &str); 4] = [
        (
            |sent| change(sent, "offer", |it| it["offer"]["sdp"] = json!("x")),
            "offer",
            "the offer arrives changed",
        ),
        (|sent| change(sent, "offer", |it| it["peer_id"] = json!("x")), "offer", "with another peer_id"),
        (|sent| change(sent, "answer", |it| it["offer_id"] = json!("x")), "answer", "with another offer_id"),
        (
            |sent| change(sent, "answer", |it| it["answer"] = json!("x")),
            "answer",
            "the answer arrives changed",
        ),
    ];
    for (bend, step, part) in cases {
        let found = wrong(bend, LONG).await;
        assert!(found.0 == step && found.1.contains(part), "{found:?}");
    }
}

#[tokio::test]
async fn answers_that_are_none_are_told() {
    let cases: [(Bend, Duration, &str); 5] = [
        (
            |sent| change(sent, "interval", |it| it["info_hash"] = json!("x")),
            SHORT,
            "an answer that names the torrent did not come",
        ),
        (
            |sent| change(sent, "interval", |it| *it = json!("hello")),
            SHORT,
            "a message is no JSON object: \"\"hello\"\"",
        ),
        (
            |sent| change(sent, "interval", |it| *it = json!({ "failure reason": "no" })),
            LONG,
            "the tracker refuses: \"no\"",
        ),
        (|sent| change(sent, "interval", |it| it["interval"] = json!(0)), LONG, "the interval is 0 s"),
        (
            |sent| change(sent, "interval", |it| it["more"] = json!("x".repeat(MOST_MESSAGE))),
            LONG,
            "longer than 256 KiB: clients do not read on",
        ),
    ];
    for (bend, patience, part) in cases {
        let found = wrong(bend, patience).await;
        assert!(found.0 == "announce" && found.1.contains(part), "{found:?}");
    }
}
