//! The NATS server, the client and the proxy of the tests do what other tests take for granted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{collections::BTreeSet, net::SocketAddr};
use tests::{
    eventually,
    nats::{Client, Login, Message, NatsServer, Proxy, Way},
    net::Namespace,
};

fn message(subject: &str, payload: &[u8]) -> Message {
    Message { subject: subject.into(), reply: None, headers: Vec::new(), payload: payload.into() }
}

/// A client that hears all that is said below `a`.
fn listener(at: SocketAddr) -> Client {
    let mut client = Client::connect(at);
    client.subscribe("a.>");
    assert!(client.flush().is_empty());
    client
}

#[test]
fn what_one_says_others_hear() {
    let server = NatsServer::start();
    let mut hears = listener(server.address());
    let mut says = Client::connect(server.address());
    let long = vec![b'\n'; 300_000];
    says.publish("a.b", b"hello\r\nMSG");
    says.publish("c", b"unheard");
    says.publish("a.c", &long);
    assert!(says.flush().is_empty());
    assert_eq!([hears.message(), hears.message()], [message("a.b", b"hello\r\nMSG"), message("a.c", &long)]);
    assert_eq!(hears.arrived(), []);
}

#[test]
fn a_server_that_was_killed_comes_back_at_its_place() {
    let mut server = NatsServer::start();
    let (address, client) = (server.address(), Client::connect(server.address()));
    server.kill();
    client.wait_closed();
    assert!(Client::login(address, &Login::default()).is_err());
    server.restart();
    assert_eq!(server.address(), address);
    assert!(Client::connect(address).flush().is_empty());
}

#[test]
fn a_frozen_server_goes_on_where_it_stood() {
    let server = NatsServer::start();
    let mut client = listener(server.address());
    server.pause();
    assert!(server.is_paused());
    client.publish("a.b", b"1");
    server.resume();
    assert!(client.message() == message("a.b", b"1") && !server.is_paused());
}

#[test]
fn who_may_not_is_told_so() {
    let server = NatsServer::with(
        "authorization { users = [ { user: a, password: b, permissions: { publish: \"a.ok\", subscribe: \"a.>\" } } ] }\n",
    );
    let no = |login: &Login| Client::login(server.address(), login).err().expect("a refusal");
    for login in [Login::default(), Login::user("a", "c")] {
        assert!(no(&login).contains("Authorization Violation"));
    }
    let mut client = Client::login(server.address(), &Login::user("a", "b")).expect("a login");
    client.subscribe("a.>");
    client.subscribe("b");
    client.publish("a.no", b"");
    client.publish("a.ok", b"");
    let errors = client.flush();
    let [subscribe, publish] = errors.as_slice() else { panic!("{errors:?}") };
    assert!(
        subscribe.contains("Subscription to \"b\"") && publish.contains("Publish to \"a.no\""),
        "{errors:?}"
    );
    assert_eq!(client.arrived(), [message("a.ok", b"")]);
}

#[test]
fn a_proxy_can_be_cut_and_healed() {
    let server = NatsServer::start();
    let proxy = Proxy::to(server.address());
    let mut client = listener(proxy.address());
    client.publish("a.b", b"hello");
    assert_eq!(client.message(), message("a.b", b"hello"));
    // Each way has the message, and more.
    let message = b"PUB a.b 5\r\nhello\r\n".len() as u64;
    assert!(proxy.bytes(Way::Up) > message && proxy.bytes(Way::Down) > message);
    assert_eq!(proxy.connections(), 1);
    proxy.drop_connections();
    client.wait_closed();
    let client = Client::connect(proxy.address());
    proxy.cut();
    client.wait_closed();
    assert!(Client::login(proxy.address(), &Login::default()).is_err());
    proxy.heal();
    assert!(Client::connect(proxy.address()).flush().is_empty());
}

#[test]
fn a_proxy_can_be_silent_in_either_way() {
    let server = NatsServer::start();
    let proxy = Proxy::to(server.address());
    let (mut far, mut near) = (listener(proxy.address()), listener(server.address()));
    proxy.stall(Way::Down);
    let before = proxy.bytes(Way::Down);
    near.publish("a.b", b"1");
    assert_eq!(near.message(), message("a.b", b"1"));
    eventually("the message to be held back", || (proxy.held(Way::Down) > 0).then_some(()));
    assert_eq!(proxy.bytes(Way::Down), before);
    proxy.heal();
    assert_eq!(far.message(), message("a.b", b"1"));
    proxy.stall(Way::Up);
    let before = proxy.bytes(Way::Up);
    far.publish("a.b", b"2");
    eventually("the message to be held back", || (proxy.held(Way::Up) > 0).then_some(()));
    assert!(near.arrived().is_empty() && proxy.bytes(Way::Up) == before);
    proxy.heal();
    assert_eq!([near.message(), far.message()], [message("a.b", b"2"), message("a.b", b"2")]);
    // A connection may end while it is held back.
    proxy.stall(Way::Down);
    near.publish("a.b", b"3");
    eventually("the message to be held back", || (proxy.held(Way::Down) > 0).then_some(()));
    proxy.drop_connections();
    far.wait_closed();
}

/// Which of a thousand messages come through.
fn survivors(server: &NatsServer, seed: u64) -> BTreeSet<u16> {
    let proxy = Proxy::to(server.address());
    let mut hears = listener(proxy.address());
    let mut says = Client::connect(server.address());
    proxy.lose(0.2, seed);
    for number in 0..1000_u16 {
        says.publish("a.number", &number.to_be_bytes());
    }
    assert!(says.flush().is_empty() && hears.flush().is_empty());
    let numbers = |messages: Vec<Message>| -> BTreeSet<u16> {
        messages
            .iter()
            .map(|m| u16::from_be_bytes(m.payload.as_slice().try_into().expect("a number")))
            .collect()
    };
    // What the server had sent before it answered has come.
    let come = numbers(hears.arrived());
    assert_eq!(come.len() as u64 + proxy.lost(), 1000);
    proxy.lose_none();
    says.publish("a.number", &1000_u16.to_be_bytes());
    assert_eq!(hears.message(), message("a.number", &1000_u16.to_be_bytes()));
    come
}

#[test]
fn a_proxy_loses_a_share_of_messages_by_a_seed() {
    let server = NatsServer::start();
    let one = survivors(&server, 5);
    // A fifth, give or take four standard deviations.
    assert!((750..850).contains(&one.len()), "{}", one.len());
    assert_eq!(one, survivors(&server, 5));
    assert_ne!(one, survivors(&server, 6));
}

#[test]
fn root_a_server_belongs_to_the_namespace_that_starts_it() {
    let namespace = Namespace::new("nats");
    let (server, proxy) = namespace.run(|| {
        let server = NatsServer::start();
        let proxy = Proxy::to(server.address());
        assert!(Client::connect(proxy.address()).flush().is_empty());
        (server, proxy)
    });
    assert!(Client::login(server.address(), &Login::default()).is_err(), "it is reached from outside");
    assert!(Client::login(proxy.address(), &Login::default()).is_err(), "the proxy is reached from outside");
}
