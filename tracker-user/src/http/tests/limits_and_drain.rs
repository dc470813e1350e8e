//! How connections end: by silence, by their number, and when the tracker drains.

use super::*;

#[test]
fn silence_ends_a_connection() {
    let rig = Rig::new(|http| {
        http.request_timeout = Duration::from_millis(200);
        http.idle_timeout = Duration::from_millis(200);
    });
    let timeouts = |why| rig.counters.closed.of(why);
    // Nothing at all, and half a request.
    assert!(rig.client().until_end().is_empty());
    let mut client = rig.client();
    client.send("GET /announce HTTP/1.1\r\nHost:");
    assert!(client.until_end().is_empty());
    assert_eq!((timeouts(Closed::RequestTimeout), timeouts(Closed::IdleTimeout)), (2, 0));
    // A request, then nothing, and then half of one.
    for rest in ["", "GET /announce HTTP/1.1\r\n"] {
        let mut client = rig.client();
        assert_eq!(client.ask(ANNOUNCE).status(), 200);
        client.send(rest);
        assert!(client.until_end().is_empty());
    }
    // A body that never ends.
    let mut client = rig.client();
    client.send(format!("{}\r\nContent-Length: 100\r\n\r\nx", ANNOUNCE.trim_end()));
    assert!(client.until_end().is_empty());
    assert_eq!((timeouts(Closed::RequestTimeout), timeouts(Closed::IdleTimeout)), (2, 3));
}

#[test]
fn requests_keep_a_connection() {
    let rig = Rig::new(|http| {
        http.request_timeout = Duration::from_millis(100);
        http.idle_timeout = Duration::from_secs(10);
    });
    let mut client = rig.client();
    assert_eq!(client.ask(ANNOUNCE).status(), 200);
    // Another connection's time passes meanwhile.
    assert!(rig.client().until_end().is_empty());
    assert_eq!(client.ask(ANNOUNCE).status(), 200);
    assert_eq!(rig.counters.closed.of(Closed::IdleTimeout), 0);
}

#[test]
fn no_more_connections_than_configured_until_one_ends() {
    let rig = Rig::new(|http| http.max_connections = Some(2));
    let mut first = rig.client();
    let mut second = rig.client();
    assert_eq!((first.ask(ANNOUNCE).status(), second.ask(ANNOUNCE).status()), (200, 200));
    let mut third = rig.client();
    third.send(ANNOUNCE);
    rig.until("a pause", |counters| counters.pauses.of(Pause::Connections) == 1);
    assert_eq!(rig.counters.accepted(false), 2, "the third waits");
    drop(first);
    assert_eq!(third.reply().status(), 200);
    assert_eq!(second.ask(ANNOUNCE).status(), 200);
}

#[test]
fn no_more_connections_of_an_address_than_configured() {
    let rig = Rig::new(|http| http.max_connections_per_address = Some(2));
    let mut first = rig.client();
    let mut second = rig.client();
    assert_eq!((first.ask(ANNOUNCE).status(), second.ask(ANNOUNCE).status()), (200, 200));
    assert!(rig.client().until_end().is_empty());
    rig.until("it is told", |counters| counters.closed.of(Closed::AddressLimit) == 1);
    drop(first);
    rig.until("a place", |counters| counters.connections(false) == 1);
    assert_eq!(rig.client().ask(ANNOUNCE).status(), 200);
}

#[test]
fn a_drain_lets_requests_in_hand_finish() {
    let mut rig = Rig::new(|_| {});
    let (most, rest) = ANNOUNCE.split_at(ANNOUNCE.len() - 5);
    let body = format!("{}\r\nContent-Length: 1\r\n\r\nx", ANNOUNCE.trim_end());
    let mut idle = rig.client();
    assert_eq!(idle.ask(ANNOUNCE).status(), 200);
    let mut silent = rig.client();
    let mut first = rig.client();
    first.send(most);
    let mut further = rig.client();
    assert_eq!(further.ask(&body).status(), 200);
    further.send(most);
    let mut done = rig.client();
    assert_eq!(done.ask(&body).status(), 200);
    rig.until("five connections", |counters| counters.connections(false) == 5);
    // What was sent has been read before what comes after it.
    for _ in 0..20 {
        assert_eq!(idle.ask(ANNOUNCE).status(), 200);
    }
    let http = rig.http.clone();
    let drained = rig.runtime.spawn(async move { http.drain().await });
    assert_eq!(rig.ended.blocking_recv().as_deref(), Some(&*format!("accepting on http {}", rig.address)));
    assert!(TcpStream::connect(rig.address).is_err(), "the port is closed");
    // The rest of a further request may not take long.
    further.send(rest);
    assert_eq!(further.reply().status(), 200);
    for client in [&mut idle, &mut silent, &mut done] {
        assert!(client.until_end().is_empty());
    }
    assert!(!drained.is_finished());
    first.send(rest);
    let reply = first.reply();
    assert_eq!((reply.status(), reply.header("connection")), (200, Some("close")));
    for client in [&mut first, &mut further] {
        assert!(client.until_end().is_empty());
    }
    rig.runtime.block_on(drained).unwrap();
    assert_eq!(rig.counters.connections(false), 0);
}

#[test]
fn a_drain_serves_what_had_come() {
    // Nothing runs on this runtime before the drain.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let rig = Rig::on(runtime, 1, None, |_| {});
    let mut clients: Vec<_> = (0..50).map(|_| rig.client()).collect();
    for client in &mut clients {
        client.send(ANNOUNCE);
    }
    rig.runtime.block_on(rig.http.drain());
    for client in &mut clients {
        assert_eq!(client.reply().status(), 200);
        assert!(client.until_end().is_empty());
    }
}

#[test]
fn a_drain_waits_for_the_request_behind_another_but_not_for_line_ends() {
    let rig = Rig::new(|_| {});
    let (most, rest) = ANNOUNCE.split_at(ANNOUNCE.len() - 5);
    let mut half = rig.client();
    // One and a half in one segment.
    assert_eq!(half.ask(format!("{ANNOUNCE}{most}")).status(), 200);
    // A line end that belongs to nothing, alone and behind a request.
    let mut stray = [rig.client(), rig.client()];
    assert_eq!(stray[0].ask(format!("{ANNOUNCE}\r\n")).status(), 200);
    assert_eq!(stray[1].ask(ANNOUNCE).status(), 200);
    stray[1].send("\r\n");
    let http = rig.http.clone();
    let drained = rig.runtime.spawn(async move { http.drain().await });
    rig.until("no more than the half request", |counters| counters.connections(false) <= 1);
    half.send(rest);
    assert_eq!(half.reply().status(), 200);
    for client in stray.iter_mut().chain([&mut half]) {
        assert!(client.until_end().is_empty());
    }
    rig.runtime.block_on(drained).unwrap();
}

#[test]
fn a_listener_without_clients_keeps_no_permit_from_another() {
    let rig = Rig::with(2, |http| http.max_connections = Some(1));
    let mut client = rig.client();
    assert_eq!(client.ask(ANNOUNCE).status(), 200);
}
