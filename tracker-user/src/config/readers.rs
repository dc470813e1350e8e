//! How the strings among the values are read: addresses, paths, names.

use super::values::ListenAddress;
use crate::host::{Host, PublicHost};
use axum::http::{HeaderName, Uri};
use ipnet::IpNet;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};

/// Reads `192.0.2.1:6969` or `[2001:db8::1]:6969`.
pub(super) fn socket_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!("`{text}` is not an address with a port: write 192.0.2.1:6969 or [2001:db8::1]:6969")
    })
}

/// Reads an address that can be sent to and answered from.
pub(super) fn listening_address(text: &str) -> Result<SocketAddr, String> {
    let address = socket_address(text)?;
    match address.ip() {
        IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some() => Err(format!(
            "`{text}` is an IPv4 address: write it as {}",
            SocketAddr::new(ip.to_canonical(), address.port())
        )),
        IpAddr::V4(Ipv4Addr::BROADCAST) => {
            Err(format!("`{text}` is a broadcast address: name one of this host"))
        }
        ip if ip.is_multicast() => Err(format!("`{text}` is a multicast address: name one of this host")),
        _ => Ok(address),
    }
}

/// Reads `192.0.2.0/24`, or an address alone.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let alone = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse::<IpNet>()
        .or_else(|_| alone())
        .map(|network| network.trunc())
        .map_err(|_| format!("`{text}` is not a network: write 192.0.2.0/24 or 2001:db8::/32"))
}

/// Reads the name of a network interface, as Linux limits it.
pub(super) fn interface_name(text: &str) -> Result<String, String> {
    let valid = (1..16).contains(&text.len())
        && text != "."
        && text != ".."
        && !text.chars().any(|c| c == '/' || c == ':' || c.is_whitespace() || c.is_control());
    if valid {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` cannot be the name of a network interface"))
    }
}

/// Reads a path.
#[expect(clippy::unnecessary_wraps, reason = "the signature of all readers")]
pub(super) fn any_path(text: &str) -> Result<PathBuf, String> {
    Ok(PathBuf::from(text))
}

/// Reads a path that does not depend on the directory the process happens to be in.
pub(super) fn absolute_path(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_absolute() { Ok(path) } else { Err(format!("`{text}` is not an absolute path")) }
}

/// Reads the name or number of a user or group.
pub(super) fn account(text: &str) -> Result<String, String> {
    let valid = text.len() <= 256 && !text.chars().any(|c| c == ':' || c.is_whitespace() || c.is_control());
    if valid { Ok(text.to_owned()) } else { Err(format!("`{text}` cannot be the name of a user or group")) }
}

/// Reads a log filter: a level, or directives such as `info,tracker_user::xdp=debug`.
pub(super) fn log_filter(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("an empty log level: write error, warn, info, debug, trace or off".to_owned());
    }
    if let Some(word) = text.split(',').map(str::trim).find(|word| !is_directive(word)) {
        return Err(format!(
            "`{word}` is not a log level (error, warn, info, debug, trace or off); for a part of the program write \
             `{word}=debug`"
        ));
    }
    let read = tracing_subscriber::EnvFilter::builder().parse(text);
    read.map(|_| text.to_owned()).map_err(|e| format!("`{text}` is not a log level or filter: {e}"))
}

/// A word alone that is no level would be taken for a part of the program, and everything else fall silent.
pub(crate) fn is_directive(word: &str) -> bool {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    word.is_empty()
        || word.contains(['=', '[', ':'])
        || LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word))
        || word.parse::<u8>().is_ok_and(|number| number <= 5)
}

/// What begins the name of a Unix socket where an address may stand too.
const UNIX_PREFIX: &str = "unix:";

/// The longest path of a Unix socket in bytes: `sun_path` of unix(7) without its NUL.
const MAX_UNIX_PATH: usize = 107;

/// Reads an address with a port, or `unix:` and an absolute path.
pub(super) fn stream_address(text: &str) -> Result<ListenAddress, String> {
    let Some(path) = text.strip_prefix(UNIX_PREFIX) else {
        return listening_address(text).map(ListenAddress::Tcp).map_err(|problem| {
            // Only what looks like a path could have been meant as one.
            if text.contains('/') {
                format!("`{text}`: a Unix socket is written unix:/run/riptide/http.sock")
            } else {
                problem
            }
        });
    };
    unix_socket(path).map(ListenAddress::Unix)
}

/// Reads the absolute path of a Unix socket.
pub(super) fn unix_socket(path: &str) -> Result<PathBuf, String> {
    if path.len() > MAX_UNIX_PATH || path.contains('\0') {
        return Err(format!(
            "`{path}` cannot be the path of a Unix socket: it may have {MAX_UNIX_PATH} bytes"
        ));
    }
    absolute_path(path)
}

/// Reads the name of an HTTP header.
pub(super) fn header_name(text: &str) -> Result<HeaderName, String> {
    HeaderName::from_bytes(text.as_bytes()).map_err(|_| {
        format!("`{text}` cannot be the name of an HTTP header: write one such as X-Forwarded-For")
    })
}

/// Reads the name of a host that a certificate can be for, in lower case.
pub(super) fn domain_name(text: &str) -> Result<String, String> {
    if text.starts_with("*.") {
        return Err(format!(
            "`{text}` is a pattern, which would have to be proved in DNS: name each host, as \"tracker.example\""
        ));
    }
    if text.parse::<IpAddr>().is_ok() {
        return Err(format!("`{text}` is an address: certificates are had for names"));
    }
    // Other names of the DNS may have underscores (RFC 5890 section 2.3.1).
    let is_label = |label: &str| !label.contains('_') && !label.starts_with('-') && !label.ends_with('-');
    match Host::parse(text) {
        Some(Host::Name(name)) if !text.ends_with('.') && name.split('.').all(is_label) => Ok(name),
        _ => Err(format!(
            "`{text}` is not the name of a host: write letters, digits and hyphens between dots, as \"tracker.example\"; \
             others in their ASCII form (xn--…)"
        )),
    }
}

/// Reads the address of something that is asked over TLS.
pub(super) fn https_address(text: &str) -> Result<String, String> {
    let uri: Option<Uri> = text.parse().ok();
    let is_sound = uri.is_some_and(|uri| {
        uri.scheme_str() == Some("https")
            && uri
                .authority()
                .is_some_and(|authority| !authority.host().is_empty() && !authority.as_str().contains('@'))
    });
    if is_sound && !text.contains('#') {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "`{text}` is not an https address: write it whole, as \"https://acme.example/directory\""
        ))
    }
}

/// Reads a mail address as ACME servers take it (RFC 8555 section 7.3): one, without headers.
pub(super) fn contact(text: &str) -> Result<String, String> {
    let address = text.strip_prefix("mailto:").and_then(|address| address.split_once('@'));
    let is_sound = address.is_some_and(|(name, host)| {
        !name.is_empty()
            && domain_name(host).is_ok()
            && name.bytes().all(|b| b.is_ascii_graphic() && !b",?&@".contains(&b))
    });
    if is_sound && text.len() <= 320 {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "`{text}` is not a contact: write \"mailto:\" and one mail address, as \"mailto:admin@tracker.example\""
        ))
    }
}

/// Reads how clients reach the tracker.
pub(super) fn public_host(text: &str) -> Result<PublicHost, String> {
    PublicHost::parse(text).ok_or_else(|| {
        format!(
            "`{text}` is not how clients reach a host: write a name or an address without a port, or for a proxy as \
             https://tracker.example.org"
        )
    })
}

/// Reads the permission bits of a file, in octal digits.
pub(super) fn file_mode(text: &str) -> Result<u32, String> {
    let digits = (3..=4).contains(&text.len()) && text.bytes().all(|b| matches!(b, b'0'..=b'7'));
    match u32::from_str_radix(text, 8) {
        Ok(mode) if digits && mode <= 0o777 => Ok(mode),
        _ => Err(format!(
            "`{text}` is not a file mode: write octal digits from \"0000\" to \"0777\", as \"0660\""
        )),
    }
}

/// Reads the origin of a web page as browsers send it (RFC 6454 section 6.1): scheme and host in lower case, the port
/// unless it is the scheme's own, nothing after it.
pub(super) fn origin(text: &str) -> Result<String, String> {
    let text = text.to_ascii_lowercase();
    if text == "null" {
        return Ok(text);
    }
    let wrong = || {
        format!(
            "`{text}` is not an origin: write scheme and host, as \"https://example.org\", without a path"
        )
    };
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Err(wrong()) };
    let bare = text.len() == scheme.len() + "://".len() + authority.as_str().len();
    // A browser sends a name as it is: a pattern would match nothing.
    let host_is_sound = !authority.host().is_empty()
        && authority.host().bytes().all(|b| b.is_ascii_alphanumeric() || b"-._[]:".contains(&b));
    let port_is_sound = authority.as_str() == authority.host() || authority.port_u16().is_some();
    if !bare || !host_is_sound || !port_is_sound {
        return Err(wrong());
    }
    Ok(match (scheme, authority.port_u16()) {
        ("http", Some(80)) | ("https", Some(443)) | (_, None) => format!("{scheme}://{}", authority.host()),
        (_, Some(port)) => format!("{scheme}://{}:{port}", authority.host()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_what_browsers_send() {
        for (text, read) in [
            ("https://example.org", "https://example.org"),
            ("HTTPS://Example.ORG", "https://example.org"),
            ("https://example.org:443", "https://example.org"),
            ("http://example.org:80", "http://example.org"),
            ("http://example.org:443", "http://example.org:443"),
            ("http://[2001:db8::1]:3000", "http://[2001:db8::1]:3000"),
            ("chrome-extension://abcdefgh", "chrome-extension://abcdefgh"),
            ("null", "null"),
        ] {
            assert_eq!(origin(text).as_deref(), Ok(read));
        }
        for text in [
            "",
            "*",
            "example.org",
            "https://",
            "https://example.org/",
            "https://example.org?x",
            "https://example.org#x",
            "https://example.org:",
            "https://example.org:65536",
            "https://user@example.org",
            "https://*.example.org",
            "/a",
            "https://a b",
        ] {
            assert!(origin(text).is_err(), "{text}");
        }
    }

    #[test]
    fn streams_are_addresses_or_paths() {
        let path = "/".repeat(MAX_UNIX_PATH);
        assert_eq!(stream_address(&format!("unix:{path}")), Ok(ListenAddress::Unix(path.into())));
        for text in ["unix:", "unix:a", "unix:/a\0", &format!("unix:{}", "/".repeat(1 + MAX_UNIX_PATH))] {
            assert!(stream_address(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn domains_are_names_of_hosts() {
        for (text, read) in [
            ("tracker.example", "tracker.example"),
            ("Tracker.EXAMPLE", "tracker.example"),
            ("a-1.xn--bcher-kva.example", "a-1.xn--bcher-kva.example"),
            ("tracker", "tracker"),
            ("4.in-addr.arpa", "4.in-addr.arpa"),
        ] {
            assert_eq!(domain_name(text).as_deref(), Ok(read));
        }
        let long = format!("{}.example", "a".repeat(64));
        let longer = ["a"; 127].join(".") + ".a";
        for text in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "-a.b",
            "a-.b",
            "a_b.c",
            "bücher.example",
            "a b",
            "a.1",
            &long,
            &longer,
        ] {
            assert!(domain_name(text).unwrap_err().contains("is not the name of a host"), "{text}");
        }
        assert!(domain_name("*.a.example").unwrap_err().contains("is a pattern"));
        for text in ["192.0.2.1", "2001:db8::1"] {
            assert!(domain_name(text).unwrap_err().contains("is an address"), "{text}");
        }
    }

    #[test]
    fn directories_are_https_addresses() {
        for text in ["https://a.example/directory", "https://[::1]:14000/dir", "https://127.0.0.1"] {
            assert_eq!(https_address(text).as_deref(), Ok(text));
        }
        for text in
            ["", "http://a.example/d", "https://", "a.example", "https://u@a.example/", "https://a/#b", "/d"]
        {
            assert!(https_address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn contacts_are_mail_addresses() {
        assert_eq!(contact("mailto:a.b+c@a.example").as_deref(), Ok("mailto:a.b+c@a.example"));
        for text in [
            "",
            "a@a.example",
            "mailto:",
            "mailto:a",
            "mailto:@a.example",
            "mailto:a@",
            "mailto:a@a.example,b@a.example",
            "mailto:a@a.example?subject=x",
            "mailto:a b@a.example",
            "tel:1",
        ] {
            assert!(contact(text).is_err(), "{text}");
        }
    }

    #[test]
    fn modes_are_octal_permissions() {
        for (text, mode) in [("0660", 0o660), ("666", 0o666), ("0000", 0), ("0777", 0o777)] {
            assert_eq!(file_mode(text), Ok(mode));
        }
        for text in ["", "66", "+66", "0o660", "0888", "1777", "00660", "rw-"] {
            assert!(file_mode(text).is_err(), "{text}");
        }
    }
}
