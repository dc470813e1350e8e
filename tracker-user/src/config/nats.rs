//! How the addresses and names of `[cluster]` are read.

use super::values::NatsServer;
use crate::host::Host;
use tracker_core::nodes::is_name;

/// Reads `nats://host` or `tls://host`, either with a port.
pub(super) fn nats_server(text: &str) -> Result<NatsServer, String> {
    // A password is not repeated.
    if text.contains('@') {
        return Err("a server is named without a user, whose password would stand wherever the configuration does: write \
                    both into a file, user and password on a line each, and name that by cluster.login"
            .to_owned());
    }
    let wrong = || {
        format!(
            "`{text}` is not the address of a NATS server: write tls://nats.example.org:4222 or nats://[::1]:4222"
        )
    };
    let (tls, rest) = match text.split_once("://") {
        Some(("nats", rest)) => (false, rest),
        Some(("tls", rest)) => (true, rest),
        _ => return Err(wrong()),
    };
    let (host, port) = Host::parse_with_port(rest.strip_suffix('/').unwrap_or(rest)).ok_or_else(wrong)?;
    Ok(NatsServer { tls, host, port: port.unwrap_or(NatsServer::PORT) })
}

/// Reads the name of a cluster.
pub(super) fn cluster_name(text: &str) -> Result<String, String> {
    name("a cluster", text)
}

/// Reads the name of a node.
pub(super) fn node_name(text: &str) -> Result<String, String> {
    name("a node", text)
}

fn name(whose: &str, text: &str) -> Result<String, String> {
    if is_name(text) {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` cannot be the name of {whose}: write up to 64 letters, digits, - and _"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_named_by_scheme_host_and_port() {
        for (text, read) in [
            ("nats://a.example", "nats://a.example:4222"),
            ("tls://A.example:4443", "tls://a.example:4443"),
            ("nats://192.0.2.1/", "nats://192.0.2.1:4222"),
            ("tls://[2001:DB8::1]:1", "tls://[2001:db8::1]:1"),
        ] {
            assert_eq!(nats_server(text).map(|server| server.to_string()).as_deref(), Ok(read));
        }
        for text in [
            "",
            "a.example",
            "a.example:4222",
            "nats://",
            "nats:a.example",
            "NATS://a.example",
            "ws://a.example",
            "nats://a.example:0",
            "nats://a.example:65536",
            "nats://a.example:",
            "nats://a.example/b",
            "nats://a b",
            "nats://2001:db8::1",
        ] {
            assert!(nats_server(text).unwrap_err().contains("is not the address"), "{text}");
        }
    }

    #[test]
    fn a_password_in_an_address_is_refused_and_not_repeated() {
        for text in ["nats://user:secret@a.example", "tls://secret@a.example", "secret@a"] {
            let said = nats_server(text).unwrap_err();
            assert!(said.contains("cluster.login") && !said.contains("secret"), "{said}");
        }
    }

    #[test]
    fn names_are_tokens_of_subjects() {
        assert_eq!(node_name("node-1_A").as_deref(), Ok("node-1_A"));
        for text in ["", "a.b", "a b", "*", ">", "é", &"n".repeat(65)] {
            assert!(cluster_name(text).unwrap_err().contains("the name of a cluster"), "{text}");
            assert!(node_name(text).unwrap_err().contains("the name of a node"), "{text}");
        }
    }
}
