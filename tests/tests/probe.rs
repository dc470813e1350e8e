//! `riptide probe` at Riptide itself, by every protocol, on the loopback interface.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use std::net::SocketAddr;
use tests::{
    private::Files,
    probe::{probe, probe_json},
    rig::Family,
    riptide::{Riptide, Start, command},
    web::{
        house::{Door, House},
        tls::Certificate,
    },
};

/// The addresses at which a tracker is spoken to by this protocol, IPv4 first.
fn doors(house: &House, scheme: &str) -> [SocketAddr; 2] {
    let riptide = house.riptide();
    let all = match scheme {
        "udp" => riptide.udp(),
        "http" | "ws" => riptide.http(),
        _ => riptide.https(),
    };
    let of = |ipv6| *all.iter().find(|address| address.is_ipv6() == ipv6).expect("a listener");
    [of(false), of(true)]
}

/// The flag that trusts a certificate.
fn trusting(certificate: &Certificate) -> String {
    format!("--ca {}", certificate.certificate_file().display())
}

/// The flag that trusts that of a house.
fn trusting_all(house: &House) -> String {
    trusting(house.certificate().expect("a certificate"))
}

const SCHEMES: [&str; 5] = ["udp", "http", "https", "ws", "wss"];

#[test]
fn all_is_well_over_every_protocol_and_both_families() {
    let house = House::every("", "");
    for scheme in SCHEMES {
        for address in doors(&house, scheme) {
            let probed = probe(&format!("{scheme}://{address}/announce {}", trusting_all(&house)));
            probed.is_fine();
            let text = &probed.text;
            assert!(text.starts_with(&format!("{scheme}://{address}/announce\n\n{address}\n")), "{text}");
            assert!(probed.finds("ok", "announce 1", "1 seeder, 0 leechers"), "{text}");
            assert!(probed.finds("ok", "announce 2", "1 seeder, 1 leecher"), "{text}");
            assert!(probed.finds("ok", "scrape", "1 seeder, 1 leecher, 0 downloads"), "{text}");
            assert!(probed.finds("ok", "stop 2", "") && probed.finds("ok", "stop 1", ""), "{text}");
            let steps = text.lines().filter(|line| line.starts_with("  ok ")).count();
            let expected = match scheme {
                // Connect, announce and stop for each, and a scrape.
                "udp" => 7,
                // One connection is told of.
                "http" => 6,
                "https" => 7,
                // Upgrades for each, offer and answer.
                "ws" => 10,
                _ => 11,
            };
            assert_eq!(steps, expected, "{text}");
            if scheme.ends_with('s') && scheme != "ws" {
                assert!(
                    probed.finds("ok", "TLS", "TLS 1.3, http/1.1; certificate for localhost, 127.0.0.1, ::1"),
                    "{text}"
                );
            }
            if scheme.starts_with("ws") {
                assert!(probed.finds("ok", "offer", "reached client 1"), "{text}");
                assert!(probed.finds("ok", "answer", "reached client 2"), "{text}");
            } else {
                assert!(
                    probed.finds("ok", "announce 2", &format!("client 1 found at {}", address.ip())),
                    "{text}"
                );
            }
        }
    }
    // Nobody is left.
    house.riptide().metrics_until("nobody", |metrics| {
        metrics.sum("riptide_peers", &[]) == 0.0 && metrics.sum("riptide_ws_connections", &[]) == 0.0
    });
    assert!(!house.riptide().log_text().contains("panicked"));
}

#[test]
fn names_and_families_are_chosen() {
    let house = House::new(Door::Plain);
    let [v4, v6] = doors(&house, "udp");
    let probed = probe(&format!("-4 udp://localhost:{}", v4.port()));
    probed.is_fine();
    assert!(probed.finds("ok", "name", "127.0.0.1"), "{}", probed.text);
    probe(&format!("-6 udp://{v6}")).is_fine();
    probe(&format!("-6 udp://{v4}")).is_wrong("name", "127.0.0.1 has no IPv6 address");
    probe("--timeout 2s udp://no-such-tracker.invalid:6969").is_wrong("name", "no-such-tracker.invalid");
}

#[test]
fn programs_read_json() {
    let house = House::new(Door::Plain);
    let [address, _] = doors(&house, "udp");
    let report = probe_json(&format!("udp://{address}/announce"));
    assert_eq!(
        (report["url"].as_str(), &report["result"]),
        (Some(&*format!("udp://{address}/announce")), &"ok".into())
    );
    let place = &report["addresses"][0];
    assert_eq!(place["address"], address.to_string());
    assert_eq!((&place["family"], &place["reachable"]), (&"ipv4".into(), &true.into()));
    let steps = place["steps"].as_array().unwrap();
    let names: Vec<&str> = steps.iter().map(|step| step["step"].as_str().unwrap()).collect();
    assert_eq!(names, ["connect", "announce", "connect", "announce", "scrape", "stop", "stop"]);
    let clients: Vec<Option<u64>> = steps.iter().map(|step| step["client"].as_u64()).collect();
    assert_eq!(clients, [Some(1), Some(1), Some(2), Some(2), None, Some(2), Some(1)]);
    for step in steps {
        assert!(step["result"] == "ok" && step["seconds"].as_f64().is_some_and(|took| took > 0.0), "{step}");
        assert_eq!(step["findings"], serde_json::json!([]));
    }
}

#[test]
fn wrong_usage_is_status_2_and_says_what_to_write() {
    for (arguments, part) in [
        ("tracker.example:6969", "write one such as udp://tracker.example:6969/announce"),
        ("ftp://tracker.example/", "`ftp:` cannot be asked"),
        ("udp://tracker.example/announce", "names no port"),
        ("udp://127.0.0.1:1 --timeout soon", "--timeout: `soon` is not a duration"),
        ("udp://127.0.0.1:1 --timeout 1h", "out of range"),
        ("udp://127.0.0.1:1 --info-hash 00ff", "40 hexadecimal digits"),
        ("https://127.0.0.1:1 --ca /nonexistent/ca.pem", "/nonexistent/ca.pem: No such file"),
        ("udp://127.0.0.1:1 -4 -6", "cannot be used with"),
    ] {
        let words: Vec<&str> = ["probe"].into_iter().chain(arguments.split(' ')).collect();
        let output = command(&words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments}: {said}");
        assert!(said.contains(part) && output.stdout.is_empty(), "{arguments}: {said}");
    }
}

const KEY: &str = "key-of_a_probe";

#[test]
fn a_private_tracker_is_asked_with_its_key() {
    let files = Files::new(&[KEY], "");
    let house = House::every("", &files.access());
    for scheme in SCHEMES {
        let [address, _] = doors(&house, scheme);
        let probed = probe(&format!("{scheme}://{address}/{KEY}/announce {}", trusting_all(&house)));
        if scheme == "udp" {
            // Scrapes over UDP bring no key and are answered with zeroes.
            probed.notes("scrape", "0 seeders and 0 leechers, though one of each has announced");
        } else {
            probed.is_fine();
        }
        let without = probe(&format!("{scheme}://{address}/announce {}", trusting_all(&house)));
        without.is_wrong("announce 1", "the tracker refuses: \"this tracker needs a key: ");
        assert!(!without.text.contains("announce 2"), "who is refused does not go on:\n{}", without.text);
    }
}

#[test]
fn a_list_of_torrents_is_asked_for_one_of_them() {
    let directory = tempfile::tempdir().unwrap();
    let (list, hash) = (directory.path().join("list"), "5a".repeat(20));
    std::fs::write(&list, format!("{hash}\n")).unwrap();
    let access = format!("[access]\nmode = \"allow\"\ninfo_hashes = {:?}", list.display().to_string());
    let house = House::every("", &access);
    for scheme in SCHEMES {
        let [address, _] = doors(&house, scheme);
        let flags = format!("{scheme}://{address}/announce {}", trusting_all(&house));
        probe(&flags).is_wrong("announce 1", "name one of them with --info-hash");
        probe(&format!("{flags} --info-hash {hash}")).is_fine();
    }
}

#[test]
fn certificates_that_are_not_trusted_are_told_and_looked_behind() {
    let house = House::new(Door::Tls);
    for (scheme, last) in [("https", "stop 1"), ("wss", "answer")] {
        let address = house.address(Family::V4);
        let probed = probe(&format!("{scheme}://{address}/announce"));
        // Where this machine knows no authorities, that is told instead.
        assert!(
            probed.finds("wrong", "TLS", "signed by itself")
                || probed.finds("wrong", "TLS", "knows no authorities"),
            "{}",
            probed.text
        );
        assert!(probed.finds("ok", last, ""), "{}", probed.text);
        assert!(probed.text.ends_with("\nwrong: 1 thing wrong at 1 address\n"), "{}", probed.text);
    }
}

/// A tracker whose certificate is good in these years.
fn certified(names: &[&str], years: [i32; 2]) -> (Riptide, Certificate) {
    let certificate = Certificate::new();
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut parameters = CertificateParams::new(names).unwrap();
    parameters.not_before = date_time_ymd(years[0], 1, 1);
    parameters.not_after = date_time_ymd(years[1], 1, 1);
    let key = KeyPair::generate().unwrap();
    let made = parameters.self_signed(&key).unwrap();
    certificate.install(&made.pem(), &key.serialize_pem());
    let tls = format!("[tls]\nlisten = [\"127.0.0.1:0\"]\n{}", certificate.keys());
    let riptide = Start::new(None).arguments("--udp 127.0.0.1:0").config(&tls).ready();
    (riptide, certificate)
}

#[test]
fn certificates_that_are_over_or_for_others_are_told() {
    let (riptide, certificate) = certified(&["127.0.0.1"], [2020, 2021]);
    let probed = probe(&format!("https://{}/announce {}", riptide.https()[0], trusting(&certificate)));
    probed.is_wrong("TLS", "the certificate expired ");
    assert!(probed.finds("ok", "announce 2", "") && probed.text.contains("1 thing wrong"), "{}", probed.text);
    let (riptide, certificate) = certified(&["tracker.example"], [2020, 2900]);
    let probed = probe(&format!("https://{}/announce {}", riptide.https()[0], trusting(&certificate)));
    probed.is_wrong("TLS", "the certificate is for tracker.example and not for 127.0.0.1");
}
