mod contradictions;

use super::*;
use crate::cli::RunArgs;
use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf, time::Duration};

struct Given {
    directory: tempfile::TempDir,
    args: RunArgs,
    environment: Vec<(OsString, OsString)>,
}

impl Given {
    fn nothing() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), args: RunArgs::default(), environment: Vec::new() }
    }

    fn file(text: &str) -> Self {
        let mut given = Self::nothing();
        let path = given.directory.path().join("riptide.toml");
        std::fs::write(&path, text).unwrap();
        given.args.config = Some(path);
        given
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    fn flags(mut self, set: impl FnOnce(&mut RunArgs)) -> Self {
        set(&mut self.args);
        self
    }

    fn path(&self) -> &Path {
        self.args.config.as_deref().unwrap()
    }

    fn load(&self) -> Result<(Config, Vec<Warning>), ConfigErrors> {
        Config::load(&self.args, &self.environment).whole()
    }

    fn config(&self) -> Config {
        let (config, warnings) = self.load().unwrap();
        assert_eq!(warnings, []);
        config
    }

    fn errors(&self) -> Vec<String> {
        let found = self.load().unwrap_err().0;
        found
            .iter()
            .map(|e| e.to_string().replace(&format!("{}", self.directory.path().display()), "DIR"))
            .collect()
    }

    fn one_error(&self) -> String {
        let [error] = self.errors().try_into().unwrap();
        error
    }
}

/// A certificate and its key in files.
/// Keys of a certificate, which nothing here reads.
const PAIR: &str = "[tls]\ncertificate = \"/a\"\nkey = \"/b\"\n";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn defaults() -> Config {
    Given::nothing().config()
}

#[test]
fn the_defaults_are_the_contracts() {
    let config = defaults();
    assert_eq!(config.udp.listen.addresses, [address("0.0.0.0:6969"), address("[::]:6969")]);
    assert!(config.udp.listen.is_default);
    assert_eq!(config.udp.workers, None);
    assert_eq!(config.udp.connection_id_lifetime, Duration::from_secs(600));
    assert_eq!((config.udp.max_datagram, config.udp.max_scrape_hashes, config.udp.batch), (1232, 74, 64));
    assert_eq!(config.udp.receive_buffer, 8 << 20);
    assert_eq!(config.xdp.mode, XdpMode::Auto);
    assert!(config.xdp.interfaces.is_empty() && config.xdp.busy_poll == BusyPoll::Auto && !config.xdp.log);
    assert_eq!((config.xdp.ring_size, config.xdp.frames), (2048, 4096));
    let policy = tracker_core::policy::Policy::default();
    let admission = &policy.admission;
    let seconds = |seconds: u32| Duration::from_secs(u64::from(seconds));
    assert_eq!(config.swarm.interval, Duration::from_secs(30 * 60));
    assert_eq!(config.swarm.interval, seconds(admission.interval));
    assert_eq!(config.swarm.max_interval, Duration::from_secs(3600));
    assert_eq!(config.swarm.max_interval, seconds(admission.max_interval));
    assert_eq!(config.swarm.interval_jitter.to_string(), "0.1");
    assert_eq!(config.swarm.interval_jitter.thousandths(), admission.interval_jitter);
    assert_eq!((config.swarm.full_load_announces, config.limits.udp_bytes_per_second), (None, None));
    assert_eq!(config.swarm.min_interval, seconds(admission.min_interval));
    assert_eq!(config.swarm.peer_timeout, Duration::from_secs(45 * 60));
    assert_eq!(config.swarm.peer_timeout, seconds(policy.peer_timeout));
    assert_eq!(config.swarm.default_num_want, admission.default_num_want);
    assert_eq!(config.swarm.max_num_want, admission.max_num_want);
    assert_eq!(config.swarm.downloaded_retention, Duration::from_secs(7 * 86_400));
    assert_eq!(config.swarm.downloaded_retention, seconds(policy.downloaded_retention));
    assert_eq!(config.swarm.downloaded_entries, policy.downloaded_entries);
    assert_eq!(config.websocket.interval, seconds(admission.webtorrent_interval));
    assert_eq!(config.websocket.max_offers, admission.max_offers);
    assert_eq!(crate::policy::from_config(&config).admission, *admission);
    assert!(config.swarm.trust_ip_networks.is_empty() && !config.swarm.hide_private_addresses);
    assert_eq!(config.limits.torrents, policy.max_torrents);
    assert_eq!(config.limits.peers_per_torrent, policy.max_peers_per_torrent);
    assert_eq!((config.access.mode, config.access.info_hashes), (AccessMode::Off, None));
    assert_eq!(config.limits.peers_per_address, None);
    assert_eq!(config.state.directory, Path::new("/var/lib/riptide"));
    assert_eq!(config.metrics.listen, Some(address("127.0.0.1:9000")));
    assert_eq!(config.privileges, Privileges { user: None, group: None });
    assert_eq!(config.log, Log { format: LogFormat::Text, level: "info".into(), queue_size: 1 << 20 });
}

#[test]
fn the_defaults_of_http_tls_and_websocket_are_the_contracts() {
    let Config { http, tls, websocket, udp, .. } = defaults();
    let tcp: Vec<_> = udp.listen.addresses.into_iter().map(ListenAddress::Tcp).collect();
    assert_eq!((http.listen.addresses, http.listen.is_default), (tcp, true));
    assert_eq!((http.workers, http.max_connections, http.max_connections_per_address), (None, None, None));
    assert_eq!((http.request_timeout.as_secs(), http.idle_timeout.as_secs()), (10, 60));
    assert_eq!((http.max_header_size, http.max_body_size, http.max_scrape_hashes), (16_384, 4096, 100));
    assert_eq!(http.client_address_header.unwrap(), "x-forwarded-for");
    assert!(http.trusted_proxies.is_empty() && !http.proxy_protocol && http.stats);
    assert_eq!(http.unix_mode, 0o660);
    assert!(tls.listen.addresses.is_empty());
    assert_eq!((tls.certificate, tls.key, tls.min_version), (None, None, TlsVersion::Tls12));
    assert_eq!(tls.reload_interval, Duration::from_secs(10));
    assert!(websocket.enabled && websocket.allowed_origins.is_empty() && websocket.denied_origins.is_empty());
    assert_eq!((websocket.interval.as_secs(), websocket.offer_lifetime.as_secs()), (120, 120));
    assert_eq!((websocket.max_connections, websocket.max_message_size), (None, 131_072));
    assert_eq!(
        (websocket.max_offers, websocket.max_scrape_hashes, websocket.max_pending_offers),
        (10, 100, 256)
    );
    assert_eq!(websocket.max_torrents_per_connection, 1000);
    assert_eq!((websocket.queue_messages, websocket.queue_size), (256, 524_288));
    assert_eq!((websocket.send_timeout.as_secs(), websocket.ping_interval.as_secs()), (10, 30));
    assert_eq!((websocket.idle_timeout.as_secs(), websocket.max_messages_per_second), (120, Some(10_000)));
    assert_eq!(websocket.max_node_relays_per_second, Some(100));
}

#[test]
fn the_defaults_of_the_cluster_are_the_contracts() {
    let cluster = defaults().cluster;
    assert!(cluster.servers.is_empty() && cluster.node.is_none());
    assert_eq!(cluster.name, "riptide");
    assert_eq!((cluster.join_timeout.as_secs(), cluster.drain_delay.as_secs()), (10, 5));
    assert_eq!((cluster.max_nodes, cluster.max_pending, cluster.max_replay), (256, 64 << 20, 64 << 20));
    let rates = (cluster.max_records_per_second, cluster.max_relays_per_second);
    assert_eq!(rates, (Some(1_000_000), Some(10_000)));
}

#[test]
fn a_cluster_that_can_be_overheard_is_a_warning() {
    let servers = "[cluster]\nservers = [\"nats://a.example\", \"tls://b.example\", \"nats://localhost\"]\n";
    let (config, warnings) = Given::file(servers).load().unwrap();
    assert_eq!(config.cluster.servers.len(), 3);
    assert_eq!(warnings, [Warning::OpenCluster { server: "nats://a.example:4222".to_owned() }]);
    let given = Given::nothing().variable("RIPTIDE_CLUSTER__SERVERS", "tls://a.example, tls://[::1]:1");
    let servers = given.config().cluster.servers;
    assert_eq!(
        servers.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["tls://a.example:4222", "tls://[::1]:1"]
    );
}

#[test]
fn the_printed_file_says_the_defaults() {
    assert_eq!(Given::file(&default_file()).config(), defaults());
}

#[test]
fn the_printed_file_explains_every_key() {
    let text = default_file();
    for table in keys::tables() {
        assert!(!table.doc.is_empty(), "{}", table.name);
        assert!(text.contains(&format!("\n[{}]\n", table.name)));
        for key in table.keys {
            assert!(!key.doc.is_empty(), "{}.{}", table.name, key.name);
            assert!(
                text.contains(&format!("\n{} = {}\n", key.name, key.default)),
                "{}.{}",
                table.name,
                key.name
            );
        }
    }
    assert!(text.lines().all(|line| line.len() <= 120));
}

#[test]
fn the_reference_in_the_documents_is_the_declarations() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    if std::env::var_os("WRITE_REFERENCE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, reference()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(
        written == reference(),
        "docs/configuration.md is not what the declaration says: its head tells how to write it"
    );
}

#[test]
fn a_flag_goes_before_the_environment_before_the_file_before_the_default() {
    let file = "[udp]\nworkers = 2\nbatch = 32\nlisten = [\"127.0.0.1:1\"]\nmax_datagram = 1000\n";
    let given = Given::file(file)
        .variable("RIPTIDE_UDP__WORKERS", "3")
        .variable("RIPTIDE_UDP__BATCH", "16")
        .flags(|args| args.workers = Some("4".into()))
        .flags(|args| args.udp = vec!["127.0.0.1:2".into(), "[::1]:3".into()]);
    let udp = given.config().udp;
    assert_eq!(udp.workers, NonZeroUsize::new(4));
    assert_eq!((udp.batch, udp.max_datagram, udp.max_scrape_hashes), (16, 1000, 74));
    assert_eq!(udp.listen.addresses, [address("127.0.0.1:2"), address("[::1]:3")]);
    assert!(!udp.listen.is_default);
}

#[test]
fn listeners_given_by_hand_are_not_skipped() {
    let both = "[udp]\nlisten = [\"0.0.0.0:6969\", \"[::]:6969\"]\n";
    assert!(Given::file(both).config().udp.listen.is_default);
    assert!(!Given::file(both.replace("6969\"]", "6970\"]").as_str()).config().udp.listen.is_default);
    let by_flag = Given::nothing().flags(|a| a.udp = vec!["0.0.0.0:6969".into(), "[::]:6969".into()]);
    assert!(!by_flag.config().udp.listen.is_default);
    let ports = Given::nothing().flags(|a| a.udp = vec!["127.0.0.1:0".into(), "127.0.0.1:0".into()]);
    assert_eq!(ports.config().udp.listen.addresses.len(), 2);
}

#[test]
fn any_listener_may_be_the_only_one() {
    let http = Given::file("[udp]\nlisten = []\n")
        .flags(|a| a.http = vec!["unix:/run/a.sock".into(), "[::1]:0".into(), "[::1]:0".into()])
        .config();
    assert!(http.udp.listen.addresses.is_empty());
    let entries = http.http.listen.addresses;
    assert_eq!(
        entries[..2],
        [ListenAddress::Unix("/run/a.sock".into()), ListenAddress::Tcp(address("[::1]:0"))]
    );
    assert_eq!(entries.len(), 3);
    assert_eq!(entries[0].to_string(), "unix:/run/a.sock");
    let tls = format!("[udp]\nlisten = []\n[http]\nlisten = []\n{PAIR}");
    let tls = Given::file(&tls).flags(|a| a.https = vec!["127.0.0.1:443".into()]).config().tls;
    assert_eq!(tls.listen, Listen { addresses: vec![address("127.0.0.1:443")], is_default: false });
    let udp = Given::nothing().variable("RIPTIDE_HTTP__LISTEN", "[]").config();
    assert_eq!(udp.http.listen.addresses, []);
}

#[test]
fn a_certificate_that_is_not_served_is_a_warning() {
    let given = Given::file(PAIR);
    let (_, warnings) = given.load().unwrap();
    assert_eq!(warnings, [Warning::NoTlsListener]);
    assert_eq!(given.flags(|a| a.https = vec!["127.0.0.1:443".into()]).load().unwrap().1, []);
}

#[test]
fn a_table_may_lie_in_another() {
    let table = "[tls]\nlisten = [\"127.0.0.1:443\"]\n[tls.acme]\ndomains = [\"a.example\"]\n";
    let dotted = "tls.listen = [\"127.0.0.1:443\"]\ntls.acme.domains = [\"a.example\"]\n";
    for text in [table, dotted] {
        assert_eq!(Given::file(text).config().tls_acme.domains, ["a.example"]);
    }
    let given = Given::file(table).variable("RIPTIDE_TLS__ACME__DOMAINS", "b.example, c.example");
    assert_eq!(given.config().tls_acme.domains, ["b.example", "c.example"]);
    assert_eq!(defaults().tls_acme.directory, "https://acme-v02.api.letsencrypt.org/directory");
    let changes = Config::changed_keys(&defaults(), &Given::file(table).config());
    let texts: Vec<_> = changes.iter().map(|c| (c.to_string(), c.apply)).collect();
    let expected = [("tls.listen", Apply::Restart), ("tls.acme.domains", Apply::Reload)];
    assert_eq!(texts, expected.map(|(key, apply)| (key.to_owned(), apply)));
}

#[test]
fn an_acme_server_must_find_a_port_443() {
    for (listen, warnings) in
        [("127.0.0.1:8443", &[Warning::NoAcmePort][..]), ("127.0.0.1:8443\", \"127.0.0.1:443", &[])]
    {
        let text = format!("[tls]\nlisten = [\"{listen}\"]\n[tls.acme]\ndomains = [\"a.example\"]\n");
        assert_eq!(Given::file(&text).load().unwrap().1, warnings);
    }
}

#[test]
fn a_proxy_header_needs_somebody_who_may_send_it() {
    let by_unix = "[http]\nproxy_protocol = true\nlisten = [\"unix:/a\"]\nunix_mode = \"600\"\n";
    let config = Given::file(by_unix).config().http;
    assert!(config.proxy_protocol);
    assert_eq!(config.unix_mode, 0o600);
    let without_header = format!("{by_unix}client_address_header = \"\"\n");
    assert_eq!(Given::file(&without_header).config().http.client_address_header, None);
    let by_network =
        "[http]\nproxy_protocol = true\ntrusted_proxies = [\"10.0.0.1\"]\nclient_address_header = \"\"\n";
    assert_eq!(Given::file(by_network).config().http.client_address_header, None);
}

#[test]
fn the_environment_is_read_by_each_keys_kind() {
    let config = Given::nothing()
        .variable("RIPTIDE_UDP__LISTEN", "127.0.0.1:1, [::1]:2")
        .variable("RIPTIDE_UDP__TRUST_IP_FIELD", "[\"10.0.0.0/8\", \"2001:db8::1\"]")
        .variable("RIPTIDE_UDP__RECEIVE_BUFFER", "1MiB")
        .variable("RIPTIDE_UDP__WORKERS", "auto")
        .variable("RIPTIDE_XDP__BUSY_POLL", "always")
        .variable("RIPTIDE_XDP__INTERFACES", "")
        .variable("RIPTIDE_SWARM__PEER_TIMEOUT", "90m")
        .variable("RIPTIDE_LIMITS__PEERS_PER_ADDRESS", "12")
        .variable("RIPTIDE_SWARM__INTERVAL_JITTER", "0.25")
        .variable("RIPTIDE_LIMITS__UDP_BYTES_PER_SECOND", "10MiB")
        .variable("RIPTIDE_METRICS__LISTEN", "")
        .variable("RIPTIDE_PRIVILEGES__USER", "1000")
        .variable("PATH", "/bin")
        .config();
    assert_eq!(config.udp.listen.addresses, [address("127.0.0.1:1"), address("[::1]:2")]);
    assert_eq!(
        config.swarm.trust_ip_networks,
        ["10.0.0.0/8".parse().unwrap(), "2001:db8::1/128".parse().unwrap()]
    );
    assert_eq!(config.udp.receive_buffer, 1 << 20);
    assert!(config.xdp.busy_poll == BusyPoll::Always && config.xdp.interfaces.is_empty());
    assert_eq!(config.swarm.peer_timeout, Duration::from_secs(5400));
    assert_eq!(config.limits.peers_per_address, Some(12));
    assert_eq!(config.swarm.interval_jitter.thousandths(), 250);
    assert_eq!(config.limits.udp_bytes_per_second, Some(10 << 20));
    assert_eq!(config.metrics.listen, None);
    assert_eq!(config.privileges.user.as_deref(), Some("1000"));
}

#[test]
fn the_old_name_of_the_trusted_networks_counts() {
    let [old, new] = ["[udp]\ntrust_ip_field", "[swarm]\ntrust_ip_networks"];
    let [ten, other] = ["= [\"10.0.0.0/8\"]\n", "= [\"192.0.2.0/24\"]\n"];
    for file in [
        format!("{old} {ten}"),
        format!("{new} {ten}"),
        format!("{old} {ten}{new} {ten}"),
        format!("{old} = []\n{new} {ten}"),
        format!("{old} {ten}{new} = []\n"),
    ] {
        let config = Given::file(&file).config();
        assert_eq!(config.swarm.trust_ip_networks, ["10.0.0.0/8".parse().unwrap()], "{file}");
        let policy = crate::policy::from_config(&config);
        let sources = ["10.1.2.3", "192.0.2.1"].map(|text| text.parse::<std::net::IpAddr>().unwrap().into());
        assert_eq!(
            sources.map(|source| policy.admission.trusted.iter().any(|network| network.contains(source))),
            [true, false],
            "{file}"
        );
        // Another spelling of the same changes nothing.
        assert_eq!(Config::changed_keys(&config, &Given::file(&format!("{new} {ten}")).config()), []);
    }
    let error = Given::file(&format!("{old} {ten}{new} {other}")).one_error();
    assert!(error.contains("udp.trust_ip_field: this is the old name of swarm.trust_ip_networks"), "{error}");
}

#[test]
fn one_bracketed_address_in_the_environment_is_no_array() {
    let given = Given::nothing().variable("RIPTIDE_UDP__LISTEN", "[::1]:6969");
    assert_eq!(given.config().udp.listen.addresses, [address("[::1]:6969")]);
}

#[test]
fn an_unknown_variable_is_a_warning() {
    let given = Given::nothing()
        .variable("RIPTIDE_SWARM__PEER_TIMEOUTS", "90m")
        .variable("RIPTIDE_", "x")
        .variable("riptide_udp__batch", "x");
    let (config, warnings) = given.load().unwrap();
    assert_eq!(config, defaults());
    let texts: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert!(texts[1].contains("did you mean `RIPTIDE_SWARM__PEER_TIMEOUT`?"), "{texts:?}");
}

#[test]
fn a_variable_that_is_not_text_is_an_error() {
    use std::os::unix::ffi::OsStringExt;
    let mut given = Given::nothing();
    given.environment.push(("RIPTIDE_STATE__DIRECTORY".into(), OsString::from_vec(vec![b'/', 0xff])));
    assert_eq!(
        given.one_error(),
        "environment variable RIPTIDE_STATE__DIRECTORY: state.directory: the value is not UTF-8"
    );
}

#[test]
fn every_error_is_found_at_once_with_its_line() {
    let text = "\
[udp]
batch = 0
workers = \"many\"
wrokers = 4

[udpp]
x = 1

[swarm]
interval = \"5 minutes\"

[htp]
listen = []
";
    let given = Given::file(text)
        .variable("RIPTIDE_XDP__RING_SIZE", "1000")
        .flags(|args| args.udp = vec!["127.0.0.1".into()]);
    let errors = given.errors();
    let expected = [
        "DIR/riptide.toml:4: key `udp.wrokers` does not exist; did you mean `udp.workers`?",
        "DIR/riptide.toml:6: table `udpp` does not exist; did you mean `udp`?",
        "DIR/riptide.toml:12: table `htp` does not exist; did you mean `http`?",
        "flag --udp: udp.listen: `127.0.0.1` is not an address with a port",
        "DIR/riptide.toml:3: udp.workers: found the string \"many\"; \"auto\" or a whole number from 0 to 1024",
        "DIR/riptide.toml:2: udp.batch: found the number 0; a whole number from 1 to 256 is needed",
        "environment variable RIPTIDE_XDP__RING_SIZE: xdp.ring_size: found the number 1000; a power of two from 64",
        "DIR/riptide.toml:10: swarm.interval: `5 minutes` is not a duration",
    ];
    assert_eq!(errors.len(), expected.len(), "{errors:#?}");
    for (error, expected) in errors.iter().zip(expected) {
        assert!(error.starts_with(expected), "{error}\n{expected}");
    }
}

#[test]
fn broken_toml_names_the_line() {
    let error = Given::file("[udp]\nbatch = 1\nlisten = [\n").one_error();
    assert!(error.starts_with("DIR/riptide.toml:") && error.contains("not valid TOML"), "{error}");
    let twice = Given::file("[udp]\nbatch = 1\nbatch = 2\n").one_error();
    assert!(twice.starts_with("DIR/riptide.toml:3: not valid TOML"), "{twice}");
    let no_table = Given::file("udp = 3\n").one_error();
    assert_eq!(no_table, "DIR/riptide.toml:1: udp: found the number 3; a table of keys is needed");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let mut given = Given::nothing();
    given.args.config = Some(PathBuf::from("/nonexistent/riptide.toml"));
    assert!(given.one_error().starts_with("/nonexistent/riptide.toml: cannot be read: "));
    let long = Given::file(&"#".repeat(1 + (1 << 20)));
    assert!(long.one_error().ends_with("it is longer than 1MiB"));
    assert!(Config::check_file(long.path()).whole().is_err());
    let binary = Given::file("");
    std::fs::write(binary.path(), b"[udp]\n\xff").unwrap();
    assert!(binary.one_error().ends_with("it is not UTF-8 at byte 6"));
}

#[test]
fn defaults_give_way_to_what_is_given() {
    let config = Given::file(
        "[udp]\nmax_datagram = 576\n[xdp]\nring_size = 8192\n[swarm]\ninterval = \"1m\"\nmax_num_want = 10\n",
    )
    .config();
    assert_eq!((config.udp.max_scrape_hashes, config.xdp.frames), (47, 16_384));
    assert_eq!((config.swarm.min_interval, config.swarm.default_num_want), (Duration::from_secs(60), 10));
    let sockets = |text: &str| Given::file(&format!("[websocket]\n{text}\n")).config().websocket;
    assert_eq!(sockets("max_message_size = \"1MiB\"").queue_size, 1 << 20);
    assert_eq!(sockets("queue_size = \"8KiB\"").max_message_size, 8 << 10);
    assert_eq!(sockets("idle_timeout = \"3s\"").ping_interval, Duration::from_secs(1));
    assert_eq!(sockets("ping_interval = \"10m\"").idle_timeout, Duration::from_secs(1200));
    let intervals = |text: &str| {
        let swarm = Given::file(&format!("[swarm]\npeer_timeout = \"4h\"\n{text}\n")).config().swarm;
        [swarm.interval, swarm.max_interval].map(|interval| interval.as_secs() / 60)
    };
    assert_eq!(intervals("interval = \"90m\""), [90, 90]);
    assert_eq!(intervals("interval = \"5m\""), [5, 60]);
    assert_eq!(intervals("max_interval = \"10m\""), [10, 10]);
    assert_eq!(intervals("max_interval = \"174m\""), [30, 174]);
    // Where it does not grow, nobody need be remembered for longer than the operator says.
    assert_eq!(intervals("interval = \"210m\""), [210, 210]);
    // How long a peer lives is the operator's to say.
    let given = Given::file("[swarm]\ninterval = \"1h\"\n");
    let (config, warnings) = given.load().unwrap();
    assert_eq!(config.swarm.peer_timeout, Duration::from_secs(45 * 60));
    let [warning] = warnings.as_slice() else { panic!("one warning: {warnings:?}") };
    assert!(
        warning.to_string().starts_with("swarm.peer_timeout = 45m is not longer than swarm.interval = 1h")
    );
    // 42 minutes and a tenth are 46.2.
    let [no_jitter, jitter] = ["0", "0.1"].map(|jitter| {
        Given::file(&format!("[swarm]\ninterval = \"42m\"\ninterval_jitter = {jitter}\n"))
            .load()
            .unwrap()
            .1
            .len()
    });
    assert_eq!([no_jitter, jitter], [0, 1]);
}

#[test]
fn changes_are_told_apart_by_when_they_take_effect() {
    let old = defaults();
    assert_eq!(Config::changed_keys(&old, &old), []);
    let new = Given::file("[udp]\nbatch = 8\n[swarm]\ninterval = \"20m\"\n[limits]\ntorrents = 5\n").config();
    let changes = Config::changed_keys(&old, &new);
    let texts: Vec<_> = changes.iter().map(|c| (c.to_string(), c.apply)).collect();
    let expected = [
        ("udp.batch", Apply::Restart),
        ("swarm.interval", Apply::Reload),
        ("limits.torrents", Apply::Reload),
    ];
    assert_eq!(texts, expected.map(|(key, apply)| (key.to_owned(), apply)));
}

#[test]
fn the_policy_the_access_list_and_the_limits_reload_and_nothing_else() {
    let whole = ["swarm", "access", "limits"];
    let mut others = Vec::new();
    for table in keys::tables() {
        let reloading = table.keys.iter().filter(|key| key.apply == Apply::Reload);
        let names: Vec<_> = reloading.map(|key| format!("{}.{}", table.name, key.name)).collect();
        if whole.contains(&table.name) {
            assert_eq!(names.len(), table.keys.len(), "{}", table.name);
        } else {
            others.extend(names);
        }
    }
    let expected = [
        "udp.trust_ip_field",
        "tls.acme.domains",
        "tls.acme.directory",
        "tls.acme.directory_ca",
        "tls.acme.contact",
        "tls.acme.request_timeout",
        "websocket.interval",
        "websocket.max_offers",
    ];
    assert_eq!(others, expected);
}
