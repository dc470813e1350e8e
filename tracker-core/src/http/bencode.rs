//! Bencode, written straight into the reply ([BEP 3](https://www.bittorrent.org/beps/bep_0003.html)).
//!
//! There is no tree: whoever writes a dictionary writes its keys in the order of their bytes.

use crate::admission::Retry;
use bytes::{BufMut as _, BytesMut};
use std::{io::Write as _, net::IpAddr};

/// Digits of the longest `u64`.
const MAX_DIGITS: usize = 20;
/// Characters of the longest IPv6 address: eight groups of four digits, and colons between them.
const MAX_IP_TEXT: usize = 39;

/// Appends a whole reply that says why there is no other: `reason`, plain ASCII, as `failure reason`, and `retry` as
/// `retry in`.
pub fn failure(out: &mut BytesMut, reason: &str, retry: Option<Retry>) {
    out.extend_from_slice(b"d14:failure reason");
    string(out, reason.as_bytes());
    match retry {
        None => {}
        Some(Retry::Never) => out.extend_from_slice(b"8:retry in5:never"),
        Some(Retry::Minutes(minutes)) => {
            out.extend_from_slice(b"8:retry in");
            integer(out, minutes.into());
        }
    }
    out.put_u8(b'e');
}

/// Appends a byte string.
pub(super) fn string(out: &mut BytesMut, bytes: &[u8]) {
    decimal(out, bytes.len() as u64);
    out.put_u8(b':');
    out.extend_from_slice(bytes);
}

/// Appends an integer.
pub(super) fn integer(out: &mut BytesMut, n: u64) {
    out.put_u8(b'i');
    decimal(out, n);
    out.put_u8(b'e');
}

/// Appends a peer as a dictionary with `ip` and `port`.
pub(super) fn peer(out: &mut BytesMut, ip: IpAddr, port: u16) {
    let mut text = [0; MAX_IP_TEXT];
    let mut rest = &mut text[..];
    // Longer than this no address is; the length is taken from what was written.
    let _ = write!(rest, "{ip}");
    let length = MAX_IP_TEXT - rest.len();
    out.extend_from_slice(b"d2:ip");
    string(out, &text[..length]);
    out.extend_from_slice(b"4:port");
    integer(out, port.into());
    out.put_u8(b'e');
}

fn decimal(out: &mut BytesMut, mut n: u64) {
    let mut digits = [0; MAX_DIGITS];
    let mut first = MAX_DIGITS;
    loop {
        first -= 1;
        digits[first] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[first..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut BytesMut)) -> String {
        let mut out = BytesMut::from("before ");
        write(&mut out);
        String::from_utf8(out.to_vec()).unwrap().strip_prefix("before ").unwrap().to_owned()
    }

    #[test]
    fn integers_and_strings_are_written_in_decimal() {
        for n in [0, 1, 9, 10, 42, 99, 100, 1_000_000_007, u64::from(u32::MAX), u64::MAX] {
            assert_eq!(written(|out| integer(out, n)), format!("i{n}e"));
        }
        assert_eq!(written(|out| string(out, b"")), "0:");
        assert_eq!(written(|out| string(out, &[b'x'; 12])), "12:xxxxxxxxxxxx");
    }

    #[test]
    fn a_failure_says_when_to_come_back_where_that_is_known() {
        assert_eq!(written(|out| failure(out, "no", None)), "d14:failure reason2:noe");
        assert_eq!(
            written(|out| failure(out, "no", Some(Retry::Never))),
            "d14:failure reason2:no8:retry in5:nevere"
        );
        assert_eq!(
            written(|out| failure(out, "no", Some(Retry::Minutes(30)))),
            "d14:failure reason2:no8:retry ini30ee"
        );
    }

    #[test]
    fn the_longest_address_has_room() {
        let longest = "2001:1db8:aaaa:bbbb:cccc:dddd:eeee:ffff";
        assert_eq!(longest.len(), MAX_IP_TEXT);
        let peer_of = |ip: &str, port| written(|out| peer(out, ip.parse().unwrap(), port));
        assert_eq!(peer_of(longest, 65535), format!("d2:ip39:{longest}4:porti65535ee"));
        assert_eq!(peer_of("192.0.2.1", 1), "d2:ip9:192.0.2.14:porti1ee");
    }
}
