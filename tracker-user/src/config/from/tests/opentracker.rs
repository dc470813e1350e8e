//! Files of opentracker.

use super::*;
use crate::config::{AccessMode, ListenAddress};
use std::time::Duration;

#[test]
fn without_a_setting_both_do_the_same() {
    for text in ["", "# listen.tcp_udp 192.0.2.1\n\n  \t\n", "\u{feff}# head\r\n"] {
        let mut expected = Config::default();
        // What its source has in place of a setting.
        expected.swarm.min_interval = Duration::from_secs(900);
        assert_eq!(config(Tracker::Opentracker, text), expected, "{text:?}");
        let summary = converted(Tracker::Opentracker, text).summary;
        let none = "DIR/file: 0 settings: 0 taken over, 0 without a counterpart, 0 not understood";
        assert_eq!(summary, none);
    }
}

#[test]
fn opentracker_listens_where_it_is_told() {
    let listeners = |text: &str| {
        let config = config(Tracker::Opentracker, text);
        (udp(&config).join(" "), http(&config).join(" "))
    };
    let both = "0.0.0.0:6969 [::]:6969";
    for (text, udp, http) in [
        ("listen.tcp_udp 0.0.0.0", "0.0.0.0:6969", "0.0.0.0:6969"),
        // Its sockets of IPv6 take IPv4 as well.
        ("listen.tcp_udp ::", both, both),
        ("listen.tcp_udp [::]:6969\nlisten.udp 0.0.0.0", both, both),
        ("listen.tcp 192.0.2.1:80", "", "192.0.2.1:80"),
        ("listen.udp\t192.0.2.1:80 and what follows", "192.0.2.1:80", ""),
        ("listen.udp ::1.7\nlisten.tcp ::1.8", "[::1]:7", "[::1]:8"),
        // Where each is wrong it has its defaults, as Riptide has.
        ("listen.udp 192.0.2.1:x", both, both),
    ] {
        assert_eq!(listeners(text), (udp.to_owned(), http.to_owned()), "{text}");
    }
}

#[test]
fn the_default_listeners_stay_the_built_in_ones() {
    assert_eq!(config(Tracker::Opentracker, "listen.udp ::1\n").swarm.min_interval, Duration::from_secs(300));
    // One of a family that the host lacks is then left out.
    let config = config(Tracker::Opentracker, "listen.tcp_udp [::]\n");
    assert!(config.udp.listen.is_default && config.http.listen.is_default);
}

#[test]
fn threads_are_counted_as_opentracker_starts_them() {
    let workers =
        |text: &str| config(Tracker::Opentracker, text).udp.workers.map(std::num::NonZeroUsize::get);
    for (text, threads) in [
        ("listen.udp.workers 4", Some(4)),
        ("listen.udp.workers 4\nlisten.udp 127.0.0.1", Some(4)),
        (
            "listen.udp.workers 4\nlisten.tcp_udp 127.0.0.1\nlisten.udp.workers 1\nlisten.udp 127.0.0.2",
            Some(5),
        ),
        ("listen.udp.workers 0\nlisten.udp 127.0.0.1", None),
        ("listen.udp 127.0.0.1\nlisten.udp.workers 4", None),
        ("listen.udp.workers 4000000000\nlisten.udp 127.0.0.1", Some(1024)),
    ] {
        assert_eq!(workers(text), threads, "{text}");
    }
    let late = converted(Tracker::Opentracker, "listen.udp 127.0.0.1\nlisten.udp.workers 4").toml;
    assert!(late.contains("listen.udp.workers: not in force"), "{late}");
}

#[test]
fn of_two_lists_the_whitelist_counts() {
    let text = "access.blacklist /b\naccess.whitelist /a\naccess.whitelist /w\n";
    let access = config(Tracker::Opentracker, text).access;
    assert_eq!((access.mode, access.info_hashes), (AccessMode::Allow, Some("/w".into())));
    let warnings = converted(Tracker::Opentracker, text).warnings;
    assert!(matches!(&warnings[..], [one] if one.starts_with("access.mode = \"allow\": ")), "{warnings:?}");
    let access = config(Tracker::Opentracker, "access.blacklist /b and c\n").access;
    assert_eq!((access.mode, access.info_hashes), (AccessMode::Deny, Some("/b and c".into())));
}

#[test]
fn hidden_statistics_stay_hidden() {
    for (text, shown) in [
        ("access.stats_path stats", true),
        ("access.stats_path secret", false),
        ("access.stats 192.0.2.1", false),
        ("access.stats nobody", true),
    ] {
        assert_eq!(config(Tracker::Opentracker, text).http.stats, shown, "{text}");
    }
}

#[test]
fn lines_that_are_wrong_are_named_with_their_numbers() {
    let long = format!("tracker.redirect_url /{}", "x".repeat(511));
    let text = format!(
        "# head\nlisten.tcp_udp=0.0.0.0\nlisten.udp\naccess.proxy here\n{long}\ntracker.user a b\nlisten.udp 127.0.0.1\n"
    );
    let mut bytes = text.into_bytes();
    bytes.extend(b"# \xfcber\ntracker.user \xfc\n");
    let warnings = try_convert(Tracker::Opentracker, bytes).unwrap().warnings;
    for (warning, start) in warnings.iter().zip([
        "DIR/file:2: opentracker has no key `listen.tcp_udp=0.0.0.0`",
        "DIR/file:3: listen.udp: it has no value",
        "DIR/file:4: access.proxy: `here` is not a network",
        "DIR/file:5: tracker.redirect_url: the line is longer than the 511 bytes",
        "DIR/file:6: tracker.user: `a b` cannot be the name",
        "DIR/file:9: tracker.user: its value is not UTF-8",
    ]) {
        assert!(warning.starts_with(start), "{warning}");
    }
    assert_eq!(warnings.len(), 6, "{warnings:?}");
}

#[test]
fn listeners_of_the_result_are_what_the_reader_takes() {
    let text = "listen.tcp 192.0.2.1\nlisten.tcp_udp 192.0.2.1\nlisten.tcp 192.0.2.1:6969\n";
    let config = config(Tracker::Opentracker, text);
    let expected = ListenAddress::Tcp("192.0.2.1:6969".parse().unwrap());
    assert_eq!(config.http.listen.addresses, [expected]);
    let many: String = (1..=65).map(|port| format!("listen.tcp 192.0.2.1:{port}\n")).collect();
    let error = try_convert(Tracker::Opentracker, many).unwrap_err();
    assert!(error.contains("http.listen: the list has 65 entries"), "{error}");
}

#[test]
fn a_list_that_is_lost_opens_no_tracker() {
    for line in ["access.whitelist", "access.blacklist", &format!("access.whitelist /{}", "x".repeat(511))] {
        let error = try_convert(Tracker::Opentracker, format!("listen.udp 127.0.0.1\n{line}\n")).unwrap_err();
        assert!(error.contains("access.mode: a list is asked for but none is named"), "{error}");
    }
}
