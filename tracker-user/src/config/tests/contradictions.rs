//! Files that are refused, each with what it must be told.

use super::Given;
use crate::config::ConfigError;

/// A file, and the beginning of the one error it must give.
const CONTRADICTIONS: &[(&str, &str)] = &[
    (
        "[swarm]\npeer_timeout = \"5h\"",
        "swarm.peer_timeout: found the string \"5h\"; a duration from \"1s\" to \"4h\"",
    ),
    ("[swarm]\nmin_interval = \"31m\"", "swarm.min_interval: 31m is longer than swarm.interval = 30m"),
    (
        "[swarm]\ninterval = \"30m\"\nmax_interval = \"20m\"",
        "swarm.max_interval: 20m is shorter than swarm.interval = 30m",
    ),
    (
        "[swarm]\nmax_interval = \"3h\"",
        "swarm.max_interval: 3h is too long: with a jitter of 0.1 and a quarter for late clients, peers would have to be \
         remembered for more than 4h, and at most 174m would not",
    ),
    (
        "[swarm]\nmax_interval = \"130m\"\ninterval_jitter = 0.5",
        "swarm.max_interval: 130m is too long: with a jitter of 0.5 and a quarter for late clients, peers would have to \
         be remembered for more than 4h, and at most 128m would not",
    ),
    (
        "[swarm]\ninterval_jitter = 0.51",
        "swarm.interval_jitter: found the number 0.51; a number from 0.0 to 0.5 is needed",
    ),
    ("[swarm]\ninterval_jitter = -0.1", "swarm.interval_jitter: found the number -0.1; a number from"),
    ("[swarm]\ninterval_jitter = 1", "swarm.interval_jitter: found the number 1; a number from"),
    ("[swarm]\ninterval_jitter = nan", "swarm.interval_jitter: found the number nan; a number from"),
    ("[swarm]\ninterval_jitter = \"10%\"", "swarm.interval_jitter: found the string \"10%\"; a number from"),
    (
        "[limits]\nudp_bytes_per_second = -1",
        "limits.udp_bytes_per_second: found the number -1; a whole number from 0 to",
    ),
    ("[limits]\nudp_bytes_per_second = \"10MB\"", "limits.udp_bytes_per_second: `10MB` is not a size"),
    (
        "[limits]\nudp_bytes_per_second = \"2048GiB\"",
        "limits.udp_bytes_per_second: found the string \"2048GiB\"",
    ),
    ("[limits]\nudp_bytes_per_second = true", "limits.udp_bytes_per_second: found `true`; a whole number"),
    ("[swarm]\ninterval = \"90500ms\"", "swarm.interval: the string \"90500ms\" has a fraction of a second"),
    ("[swarm]\ndefault_num_want = 201", "swarm.default_num_want: 201 is more than swarm.max_num_want = 200"),
    ("[udp]\nmax_scrape_hashes = 103", "udp.max_scrape_hashes: 103 rows make a reply of 1244 bytes"),
    ("[udp]\nlisten = [\"127.0.0.1:1\", \"127.0.0.1:1\"]", "udp.listen: `127.0.0.1:1` is in the list twice"),
    ("[udp]\nlisten = \"127.0.0.1:1\"", "udp.listen: found the string \"127.0.0.1:1\"; a list of up to 64"),
    ("[udp]\nconnection_id_lifetime = \"119s\"", "udp.connection_id_lifetime: found the string \"119s\""),
    (
        "[udp]\nreceive_buffer = \"2GiB\"",
        "udp.receive_buffer: found the string \"2GiB\"; a size from \"64KiB\"",
    ),
    ("[udp]\nreceive_buffer = 65536", "udp.receive_buffer: found the number 65536; a size from"),
    ("[udp]\ntrust_ip_field = [\"10.0.0.0/33\"]", "udp.trust_ip_field: `10.0.0.0/33` is not a network"),
    ("[xdp]\nmode = \"native\"", "xdp.mode: a mode is asked for by name but no interface"),
    (
        "[xdp]\nmode = \"fast\"",
        "xdp.mode: found the string \"fast\"; \"auto\", \"native\", \"generic\", \"off\" is needed",
    ),
    (
        "[xdp]\ninterfaces = [\"eth0\", \"../x\"]",
        "xdp.interfaces: `../x` cannot be the name of a network interface",
    ),
    (
        "[xdp]\nring_size = 4096\nframes = 4096",
        "xdp.frames: 4096 frames are less than twice xdp.ring_size = 4096",
    ),
    (
        "[udp]\nlisten = []\n[http]\nlisten = []",
        "udp.listen: nothing is left to listen on: udp.listen, http.listen and tls.listen are all empty",
    ),
    ("[udp]\nlisten = []\n[xdp]\ninterfaces = [\"eth0\"]", "xdp.interfaces: the fast path serves UDP alone"),
    ("[http]\nlisten = [\"unix:run/a\"]", "http.listen: `run/a` is not an absolute path"),
    ("[http]\nlisten = [\"/run/a\"]", "http.listen: `/run/a`: a Unix socket is written unix:/run/"),
    ("[http]\nlisten = [\"unix:/a\", \"unix:/a\"]", "http.listen: `unix:/a` is in the list twice"),
    ("[http]\nlisten = [\"127.0.0.1\"]", "http.listen: `127.0.0.1` is not an address with a port"),
    ("[http]\nlisten = [\"224.0.0.1:80\"]", "http.listen: `224.0.0.1:80` is a multicast address"),
    (
        "[http]\nlisten = [\"127.0.0.1:80\", \"unix:/a\"]\nclient_address_header = \"\"",
        "http.listen: the peers of a Unix socket have no address",
    ),
    ("[http]\nproxy_protocol = true", "http.proxy_protocol: nobody may send a PROXY header"),
    (
        "[http]\nclient_address_header = \"X Forwarded\"",
        "http.client_address_header: `X Forwarded` cannot be the name of an HTTP header",
    ),
    (
        "[http]\nmax_header_size = \"4KiB\"",
        "http.max_header_size: found the string \"4KiB\"; a size from \"8KiB\"",
    ),
    ("[http]\nunix_mode = \"660 \"", "http.unix_mode: `660 ` is not a file mode"),
    ("[http]\nunix_mode = \"1777\"", "http.unix_mode: `1777` is not a file mode"),
    ("[http]\nunix_mode = 660", "http.unix_mode: found the number 660; a file mode"),
    (
        "[tls]\nlisten = [\"127.0.0.1:443\"]\nkey = \"/a\"",
        "tls.certificate: TLS is to be served and no file is named",
    ),
    (
        "[tls]\nlisten = [\"127.0.0.1:443\"]\ncertificate = \"/a\"",
        "tls.key: TLS is to be served and no file is named",
    ),
    (
        "[tls]\nlisten = [\"127.0.0.1:443\"]\ncertificate = \"/a\"\nkey = \"/b\"\n[tls.acme]\ndomains = [\"a.example\"]",
        "tls.acme.domains: a certificate is to be had for these and tls.certificate names one",
    ),
    (
        "[tls]\nlisten = [\"127.0.0.1:443\"]\nkey = \"/b\"\n[tls.acme]\ndomains = [\"a.example\"]",
        "tls.acme.domains: a certificate is to be had for these and tls.key names one",
    ),
    (
        "[tls.acme]\ndomains = [\"a.example\"]",
        "tls.acme.domains: a certificate is to be had for these and tls.listen is empty",
    ),
    ("[tls.acme]\ndomains = [\"*.a.example\"]", "tls.acme.domains: `*.a.example` is a pattern"),
    ("[tls.acme]\ndomains = [\"192.0.2.1\"]", "tls.acme.domains: `192.0.2.1` is an address"),
    ("[tls.acme]\ndomains = [\"a.b\", \"A.b\"]", "tls.acme.domains: `A.b` is in the list twice"),
    ("[tls.acme]\ndirectory = \"http://a/d\"", "tls.acme.directory: `http://a/d` is not an https address"),
    ("[tls.acme]\ndirectory_ca = \"ca.pem\"", "tls.acme.directory_ca: `ca.pem` is not an absolute path"),
    ("[tls.acme]\ncontact = [\"a@a.example\"]", "tls.acme.contact: `a@a.example` is not a contact"),
    (
        "[tls.acme]\nrequest_timeout = \"0s\"",
        "tls.acme.request_timeout: found the string \"0s\"; a duration from \"1s\" to \"10m\"",
    ),
    ("[tls]\nacme = 1", "tls.acme: found the number 1; a table of keys is needed"),
    ("[tls.acme]\ndomain = []", "key `tls.acme.domain` does not exist; did you mean `tls.acme.domains`?"),
    ("[tls.acne]\ndomains = []", "key `tls.acne` does not exist; did you mean `tls.acme`?"),
    ("[tls]\nlisten = [\"unix:/a\"]", "tls.listen: `unix:/a` is not an address with a port"),
    ("[tls]\nkey = \"key.pem\"", "tls.key: `key.pem` is not an absolute path"),
    ("[tls]\nmin_version = \"1.1\"", "tls.min_version: found the string \"1.1\"; \"1.2\", \"1.3\" is needed"),
    (
        "[websocket]\nping_interval = \"2m\"\nidle_timeout = \"2m\"",
        "websocket.ping_interval: 2m is not shorter than websocket.idle_timeout = 2m",
    ),
    (
        "[websocket]\nqueue_size = \"64KiB\"\nmax_message_size = \"65KiB\"",
        "websocket.queue_size: 64KiB does not hold one message of websocket.max_message_size = 65KiB",
    ),
    (
        "[websocket]\nallowed_origins = [\"example.org\"]",
        "websocket.allowed_origins: `example.org` is not an origin",
    ),
    (
        "[websocket]\nallowed_origins = [\"https://a.org\"]\ndenied_origins = [\"https://A.org:443\"]",
        "websocket.denied_origins: `https://a.org` is in websocket.allowed_origins too",
    ),
    (
        "[cluster]\nservers = [\"a.example\"]",
        "cluster.servers: `a.example` is not the address of a NATS server",
    ),
    (
        "[cluster]\nservers = [\"tls://a:b@a.example\"]",
        "cluster.servers: a server is named without a user, whose password would",
    ),
    (
        "[cluster]\nservers = [\"tls://a\", \"tls://A:4222\"]",
        "cluster.servers: `tls://A:4222` is in the list twice",
    ),
    ("[cluster]\nname = \"a.b\"", "cluster.name: `a.b` cannot be the name of a cluster"),
    ("[cluster]\nname = \"\"", "cluster.name: `` cannot be the name of a cluster"),
    ("[cluster]\nnode = \"*\"", "cluster.node: `*` cannot be the name of a node"),
    (
        "[cluster]\nlogin = \"/a\"\nnkey = \"/b\"",
        "cluster.login: cluster.nkey is set, too, and a node has one way to log in",
    ),
    ("[cluster]\nnkey = \"a.nk\"", "cluster.nkey: `a.nk` is not an absolute path"),
    ("[cluster]\ntls_key = \"/a\"", "cluster.tls_certificate: cluster.tls_key is set and of no use alone"),
    ("[cluster]\ntls_certificate = \"/a\"", "cluster.tls_key: cluster.tls_certificate is set and of no use"),
    (
        "[cluster]\nservers = [\"nats://localhost\"]\ntls_ca = \"/a\"",
        "cluster.tls_ca: no server in cluster.servers has to speak TLS",
    ),
    (
        "[cluster]\nmax_nodes = 1025",
        "cluster.max_nodes: found the number 1025; a whole number from 1 to 1024",
    ),
    (
        "[cluster]\nmax_pending = \"1KiB\"",
        "cluster.max_pending: found the string \"1KiB\"; a size from \"1MiB\"",
    ),
    (
        "[cluster]\njoin_timeout = \"11m\"",
        "cluster.join_timeout: found the string \"11m\"; a duration from \"0s\"",
    ),
    ("[access]\nmode = \"allow\"", "access.mode: a list is asked for but none is named"),
    ("[state]\ndirectory = \"var\"", "state.directory: `var` is not an absolute path"),
    ("[privileges]\ngroup = \"tracker\"", "privileges.group: a group alone has no effect"),
    ("[privileges]\nuser = \"a b\"", "privileges.user: `a b` cannot be the name of a user"),
    ("[log]\nlevel = \"a=b=c\"", "log.level: `a=b=c` is not a log level or filter"),
    ("[log]\nlevel = \"\"", "log.level: an empty log level"),
    ("[xdp]\nlog = 1", "xdp.log: found the number 1; true or false is needed"),
    ("[limits]\ntorrents = 1.5", "limits.torrents: found the number 1.5"),
    (
        "[limits]\ntorrents = 9223372036854775808",
        "limits.torrents: found a value of type integer out of range",
    ),
];

#[test]
fn contradictions_and_bad_values_are_refused_with_a_reason() {
    for (text, expected) in CONTRADICTIONS {
        let given = Given::file(text);
        let found = given.load().unwrap_err().0;
        let [error] = <[ConfigError; 1]>::try_from(found).unwrap_or_else(|e| panic!("{text}: {e:#?}"));
        let error = error.to_string();
        let (_, reason) = error.split_once(": ").unwrap();
        assert!(reason.starts_with(expected), "{text}\n{error}\n{expected}");
    }
}
