//! Files of aquatic.

use super::*;
use crate::config::AccessMode;
use std::{net::SocketAddr, time::Duration};

#[test]
fn programs_of_aquatic_are_told_by_their_keys() {
    for (text, program) in [
        ("[network]\nuse_io_uring = true\n", "aquatic_udp"),
        ("[statistics]\ninterval = 5\n", "aquatic_udp"),
        ("[protocol]\nmax_peers = 50\n", "aquatic_http"),
        ("swarm_workers = 1\n[network]\nuse_ipv4 = true\n", "aquatic_http"),
        ("[protocol]\nmax_offers = 10\n", "aquatic_ws"),
        ("[metrics]\npeer_clients = true\n", "aquatic_ws"),
        // The one that knows most of them, where none knows all.
        ("[protocol]\nmax_offers = 10\nmax_peers = 3\n[cleaning]\nmax_offer_age = 7\n", "aquatic_ws"),
    ] {
        let toml = converted(AQUATIC, text).toml;
        let first = toml.lines().next().unwrap();
        assert!(first.ends_with(&format!(" told {program}.")), "{text}{first}");
    }
    let stray =
        converted(AQUATIC, "[protocol]\nmax_offers = 10\nmax_peers = 3\n[cleaning]\nmax_offer_age = 7\n");
    assert_eq!(
        stray.warnings[0],
        "DIR/file:3: aquatic_ws has no key `protocol.max_peers`; it is one of aquatic_http"
    );
}

/// Its defaults, as its source has them, where clients see them.
#[test]
fn what_aquatic_does_by_itself_is_kept() {
    let seconds = Duration::from_secs;
    let udp_alone = config(named(Program::Udp), "");
    assert_eq!(udp(&udp_alone), ["0.0.0.0:3000", "[::]:3000"]);
    assert_eq!(http(&udp_alone), [""; 0]);
    assert_eq!((udp_alone.swarm.interval, udp_alone.swarm.peer_timeout), (seconds(900), seconds(1200)));
    assert_eq!((udp_alone.swarm.default_num_want, udp_alone.swarm.max_num_want), (30, 30));
    assert_eq!(udp_alone.udp.connection_id_lifetime, seconds(120));
    assert_eq!(udp_alone.udp.max_scrape_hashes, 70);
    assert_eq!(udp_alone.udp.workers, None);
    assert_eq!((udp_alone.access.mode, udp_alone.privileges.user), (AccessMode::Off, None));

    let http_alone = config(named(Program::Http), "");
    assert_eq!(http(&http_alone), ["0.0.0.0:3000", "[::]:3000"]);
    assert_eq!(udp(&http_alone), [""; 0]);
    assert_eq!((http_alone.swarm.interval, http_alone.swarm.peer_timeout), (seconds(120), seconds(1800)));
    assert_eq!((http_alone.swarm.default_num_want, http_alone.swarm.max_num_want), (50, 50));
    assert_eq!(http_alone.http.max_scrape_hashes, 100);
    assert!(http_alone.http.trusted_proxies.is_empty());

    let ws_alone = config(named(Program::Ws), "");
    assert_eq!(http(&ws_alone), ["0.0.0.0:3000"]);
    assert_eq!(udp(&ws_alone), [""; 0]);
    assert_eq!(ws_alone.websocket.interval, seconds(120));
    assert_eq!((ws_alone.websocket.max_offers, ws_alone.websocket.max_scrape_hashes), (10, 255));
    assert_eq!(ws_alone.websocket.offer_lifetime, seconds(120));
}

#[test]
fn aquatic_listens_where_it_is_told() {
    let listeners = |text: &str| udp(&config(named(Program::Udp), &format!("[network]\n{text}"))).join(" ");
    for (text, expected) in [
        ("use_ipv4 = false", "[::]:3000"),
        ("use_ipv6 = false", "0.0.0.0:3000"),
        ("use_ipv4 = false\nset_only_ipv6 = false", "0.0.0.0:3000 [::]:3000"),
        (
            "address_ipv4 = \"127.0.0.1:1\"\naddress_ipv6 = \"[::1]:2\"\nset_only_ipv6 = false",
            "127.0.0.1:1 [::1]:2",
        ),
        ("address = \"[::]:1\"", "0.0.0.0:1 [::]:1"),
        ("address = \"[::]:1\"\nonly_ipv6 = true", "[::]:1"),
        ("address = \"[::ffff:192.0.2.1]:1\"", "192.0.2.1:1"),
        ("only_ipv6 = false", "0.0.0.0:3000"),
    ] {
        assert_eq!(listeners(text), expected, "{text}");
    }
    // It would not start, and what it did not ask for is not served.
    for text in ["use_ipv4 = false\nuse_ipv6 = false", "address = \"here\"", "address = 3000"] {
        let error = try_convert(named(Program::Udp), format!("[network]\n{text}")).unwrap_err();
        assert!(error.contains("nothing is left to listen on"), "{error}");
    }
    let warnings = converted(named(Program::Udp), "[network]\naddress_ipv6 = \"224.0.0.1:1\"\n").warnings;
    assert!(warnings[0].starts_with("DIR/file:2: network.address_ipv6: "), "{warnings:?}");
}

#[test]
fn aquatic_over_tls_is_served_over_tls_alone() {
    let text = "swarm_workers = 1\n[network]\nuse_ipv6 = false\nenable_tls = true\ntls_certificate_path = \"/a.pem\"\n";
    let whole = config(AQUATIC, &format!("{text}tls_private_key_path = \"/b.pem\"\n"));
    assert_eq!(whole.tls.listen.addresses, ["0.0.0.0:3000".parse::<SocketAddr>().unwrap()]);
    assert_eq!((whole.tls.certificate, whole.tls.key), (Some("/a.pem".into()), Some("/b.pem".into())));
    assert!(whole.http.listen.addresses.is_empty() && whole.udp.listen.addresses.is_empty());
    let error = try_convert(AQUATIC, text).unwrap_err();
    assert!(error.contains("tls.key: TLS is to be served and no file is named"), "{error}");
}

#[test]
fn a_proxy_that_is_elsewhere_has_to_be_named() {
    let text = "[network]\nruns_behind_reverse_proxy = true\naddress_ipv6 = \"[::1]:3000\"\naddress_ipv4 = ";
    for (address, is_asked) in [("\"127.0.0.1:3000\"", false), ("\"0.0.0.0:3000\"", true)] {
        let text = format!("{text}{address}\n");
        let trusted = config(AQUATIC, &text).http.trusted_proxies;
        assert_eq!(trusted, ["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]);
        let warnings = converted(AQUATIC, &text).warnings;
        let asked = warnings.iter().any(|it| it.contains("/128\"]: name the networks"));
        assert_eq!(asked, is_asked, "{warnings:?}");
    }
}

#[test]
fn values_of_another_kind_are_named_once() {
    let text = "log_level = \"loud\"\nsocket_workers = -1\n[protocol]\nmax_response_peers = true\n[privileges]\n\
                drop_privileges = 1\n[access_list]\nmode = \"allow\"\npath = \"/list\"\n";
    let warnings = converted(AQUATIC, text).warnings;
    assert_eq!(
        warnings,
        [
            "DIR/file:1: log_level: `loud` is no level of aquatic",
            "DIR/file:2: socket_workers: found the number -1; a whole number from 0 on is needed",
            "DIR/file:4: protocol.max_response_peers: found `true`; a whole number from 0 on is needed",
            "DIR/file:6: privileges.drop_privileges: found the number 1; true or false is needed",
        ]
    );
}

/// Each limit that a conversion keeps to is the reader's own.
#[test]
fn numbers_beyond_every_range_give_a_file_that_is_taken() {
    let huge = i64::MAX;
    for number in [0, 1, huge] {
        let udp = format!(
            "socket_workers = {number}\n[network]\nsocket_recv_buffer_size = {number}\n[protocol]\n\
             max_scrape_torrents = {number}\nmax_response_peers = {number}\npeer_announce_interval = {number}\n[cleaning]\n\
             torrent_cleaning_interval = {number}\nmax_connection_age = {number}\nmax_peer_age = {number}\n"
        );
        let http = format!(
            "socket_workers = {number}\n[protocol]\nmax_scrape_torrents = {number}\nmax_peers = {number}\n\
             peer_announce_interval = {number}\n[cleaning]\ntorrent_cleaning_interval = {number}\nmax_peer_age = {number}\n\
             max_connection_idle = {number}\n"
        );
        let ws = format!(
            "socket_workers = {number}\n[network]\nwebsocket_max_message_size = {number}\n[protocol]\n\
             max_scrape_torrents = {number}\nmax_offers = {number}\npeer_announce_interval = {number}\n[cleaning]\n\
             max_offer_age = {number}\n"
        );
        for (program, text) in [(Program::Udp, udp), (Program::Http, http), (Program::Ws, ws)] {
            let config = config(named(program), &text);
            let most = Duration::from_secs(4 * 3600);
            assert!(config.swarm.interval <= most && config.swarm.peer_timeout <= most);
            if number == huge && program == Program::Udp {
                assert_eq!((config.swarm.interval, config.swarm.peer_timeout), (most, most));
                assert_eq!((config.swarm.max_num_want, config.udp.max_scrape_hashes), (1000, 102));
                assert_eq!(config.udp.connection_id_lifetime, Duration::from_secs(3600));
                assert_eq!(config.udp.receive_buffer, 1 << 30);
            }
        }
    }
}

#[test]
fn a_list_that_is_lost_opens_no_tracker() {
    for mode in ["\"maybe\"", "\"Allow\"", "\"\"", "3"] {
        let text = format!("[access_list]\nmode = {mode}\npath = \"/list\"\n");
        let error = try_convert(named(Program::Udp), text).unwrap_err();
        assert!(error.contains("access.mode: found"), "{error}");
    }
}
