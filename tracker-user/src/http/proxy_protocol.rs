//! The PROXY header, by which a proxy tells whose connection it passes on: versions 1 and 2 of HAProxy's
//! [specification](https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt).

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// What a header of version 2 begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// What a header of version 1 begins with.
const WORD: &[u8] = b"PROXY ";
/// The longest header of version 1 in bytes, its line end included (section 2.1).
const MAX_V1: usize = 107;
/// Bytes of version 2 before the addresses.
const V2_HEAD: usize = 16;
/// Bytes of the longest addresses of version 2 that are read: two of IPv6, two ports.
const V2_INET6: usize = 36;
/// Bytes of the addresses of version 2 for IPv4.
const V2_INET: usize = 12;
/// Why there is no header that can be used. The connection has no meaning then.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The connection failed, or ended within the header.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It begins with something else.
    #[error("no PROXY header")]
    Missing,
    /// A line of version 1 that is longer than one may be.
    #[error("the PROXY header is too long")]
    TooLong,
    /// It breaks the specification.
    #[error("the PROXY header is malformed: {0}")]
    Malformed(&'static str),
}

/// Reads the header and not a byte more. `None`: it speaks for the proxy itself, or for a client without an internet
/// address.
///
/// # Errors
/// If there is no header, or none that can be understood. The stream is of no use then.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<SocketAddr>, Error> {
    let mut buffer = [0; MAX_V1];
    // No header of either version is shorter.
    stream.read_exact(&mut buffer[..SIGNATURE.len()]).await?;
    if buffer[..SIGNATURE.len()] == SIGNATURE {
        stream.read_exact(&mut buffer[SIGNATURE.len()..V2_HEAD]).await?;
        let rest = usize::from(u16::from_be_bytes([buffer[14], buffer[15]]));
        let addresses = rest.min(V2_INET6);
        stream.read_exact(&mut buffer[V2_HEAD..V2_HEAD + addresses]).await?;
        let client = parse_v2(buffer[12], buffer[13], &buffer[V2_HEAD..V2_HEAD + addresses])?;
        // Records about the connection follow, 64 KiB at most, for which nobody here has a use.
        let mut left = rest - addresses;
        while left > 0 {
            let part = left.min(buffer.len());
            stream.read_exact(&mut buffer[..part]).await?;
            left -= part;
        }
        return Ok(client);
    }
    if !buffer.starts_with(WORD) {
        return Err(Error::Missing);
    }
    let mut length = SIGNATURE.len();
    loop {
        let more = least_left(&buffer[..length]);
        if more == 0 {
            return parse_v1(&buffer[..length]);
        }
        let part = buffer.get_mut(length..length + more).ok_or(Error::TooLong)?;
        stream.read_exact(part).await?;
        length += more;
    }
}

/// How many bytes a line of version 1 that begins like this has left at least. That many can be read without taking
/// what follows it.
fn least_left(line: &[u8]) -> usize {
    if line.contains(&b'\n') {
        return 0;
    }
    if line.ends_with(b"\r") {
        return 1;
    }
    let known = [&b"PROXY TCP4 "[..], b"PROXY TCP6 "].iter().any(|start| line.starts_with(start));
    // Two addresses and two ports are before the line end, each with a byte at least.
    let spaces = line.iter().filter(|byte| **byte == b' ').count();
    let fields = if known { 5_usize.saturating_sub(spaces) } else { 0 };
    2 * fields + usize::from(fields > 0 && line.ends_with(b" ")) + 2
}

/// Reads a line of version 1 (section 2.1), its line end included.
fn parse_v1(line: &[u8]) -> Result<Option<SocketAddr>, Error> {
    let line = line.strip_suffix(b"\r\n").ok_or(Error::Malformed("the line does not end in CR LF"))?;
    let line = str::from_utf8(line).map_err(|_| Error::Malformed("the line is not ASCII"))?;
    let mut words = line.split(' ').skip(1);
    let is_ipv4 = match words.next() {
        // What follows is to be ignored.
        Some("UNKNOWN") => return Ok(None),
        Some("TCP4") => true,
        Some("TCP6") => false,
        _ => return Err(Error::Malformed("the protocol is none of TCP4, TCP6 and UNKNOWN")),
    };
    let (Some(source), Some(destination), Some(source_port), Some(destination_port), None) =
        (words.next(), words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Error::Malformed("there are not two addresses and two ports"));
    };
    let address = |text: &str| {
        let address =
            if is_ipv4 { text.parse().map(IpAddr::V4).ok() } else { text.parse().map(IpAddr::V6).ok() };
        address.ok_or(Error::Malformed("an address is not of its family"))
    };
    let port = |text: &str| {
        let sound = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
        text.parse::<u16>()
            .ok()
            .filter(|_| sound)
            .ok_or(Error::Malformed("a port is not a number of 16 bits"))
    };
    let client = client(address(source)?, port(source_port)?);
    address(destination)?;
    port(destination_port)?;
    Ok(Some(client))
}

/// Reads version 2 (section 2.2): the byte of version and command, that of family and protocol, and the addresses.
fn parse_v2(command: u8, family: u8, addresses: &[u8]) -> Result<Option<SocketAddr>, Error> {
    match command {
        // LOCAL, such as the proxy's own checks: the rest is to be ignored.
        0x20 => return Ok(None),
        0x21 => {}
        _ => return Err(Error::Malformed("neither LOCAL nor PROXY of version 2")),
    }
    let short = Error::Malformed("the addresses are cut off");
    match family {
        // TCP over IPv4: the two addresses, then the two ports.
        0x11 => {
            let Some(block) = addresses.first_chunk::<V2_INET>() else { return Err(short) };
            let [a, b, c, d, _, _, _, _, high, low, ..] = *block;
            Ok(Some(client(Ipv4Addr::new(a, b, c, d).into(), u16::from_be_bytes([high, low]))))
        }
        // TCP over IPv6.
        0x21 => {
            let Some(block) = addresses.first_chunk::<V2_INET6>() else { return Err(short) };
            let mut source = [0; 16];
            source.copy_from_slice(&block[..16]);
            Ok(Some(client(Ipv6Addr::from(source).into(), u16::from_be_bytes([block[32], block[33]]))))
        }
        // Unspecified, datagrams, Unix sockets: nobody who can be named.
        0x00 | 0x12 | 0x22 | 0x31 | 0x32 => Ok(None),
        _ => Err(Error::Malformed("the family or protocol does not exist")),
    }
}

fn client(address: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(address.to_canonical(), port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        pin::Pin,
        task::{Context, Poll},
    };
    use tokio::io::ReadBuf;

    /// A stream that gives at most so many bytes at a time.
    struct Drip<'a> {
        bytes: &'a [u8],
        most: usize,
    }

    impl AsyncRead for Drip<'_> {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            into: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let (now, later) = self.bytes.split_at(self.most.min(into.remaining()).min(self.bytes.len()));
            into.put_slice(now);
            self.bytes = later;
            Poll::Ready(Ok(()))
        }
    }

    /// Reads `header` with a request behind it, which must be whole afterwards.
    async fn read_before(header: &[u8], request: &[u8]) -> Result<Option<SocketAddr>, Error> {
        let bytes = [header, request].concat();
        let mut results = Vec::new();
        for most in [usize::MAX, 1, 7] {
            let mut stream = Drip { bytes: &bytes, most };
            let result = read(&mut stream).await;
            if result.is_ok() {
                assert_eq!(stream.bytes, request, "{header:?} {most}");
            }
            results.push(result);
        }
        let texts: Vec<_> = results.iter().map(|result| format!("{result:?}")).collect();
        assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
        results.swap_remove(0)
    }

    async fn found(header: &[u8]) -> Option<SocketAddr> {
        for request in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x16\x03\x01", b"\n", b""] {
            read_before(header, request).await.unwrap();
        }
        read_before(header, b"PROXY ").await.unwrap()
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn version_1_names_the_client() {
        for (line, expected) in [
            // The examples of section 2.1: the longest line of each kind, and the shortest.
            ("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255:65535"),
            ("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", "192.168.0.1:56324"),
            ("PROXY TCP4 1.2.3.4 5.6.7.8 0 0\r\n", "1.2.3.4:0"),
            (
                "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
                "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
            ),
            ("PROXY TCP6 2001:db8::1 2001:db8::2 50000 80\r\n", "[2001:db8::1]:50000"),
            ("PROXY TCP6 :: :: 1 2\r\n", "[::]:1"),
            ("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 1 2\r\n", "192.0.2.1:1"),
        ] {
            assert_eq!(found(line.as_bytes()).await, Some(address(expected)), "{line}");
        }
        let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(MAX_V1 - 16));
        for line in ["PROXY UNKNOWN\r\n", "PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", &longest] {
            assert_eq!(found(line.as_bytes()).await, None, "{line}");
        }
    }

    #[tokio::test]
    async fn version_1_is_refused_where_it_breaks_the_rules() {
        for line in [
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
            "PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
            "PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
            "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY TCP4 192.0.2.1 2001:db8::2 1 2\r\n",
            "PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 x\r\n",
            "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY tcp4 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY \r\nGET / HTTP/1.1\r\n",
            "PROXY TCP4 192.0.2.1\r\n192.0.2.2 1 2\r\n",
        ] {
            let error = read_before(line.as_bytes(), b"GET / HTTP/1.1\r\n\r\n").await.unwrap_err();
            assert!(matches!(error, Error::Malformed(_)), "{line:?}: {error}");
        }
        let endless = format!("PROXY UNKNOWN {}\r\n", "x".repeat(MAX_V1 - 15));
        assert!(matches!(read_before(endless.as_bytes(), b"").await.unwrap_err(), Error::TooLong));
        let bytes = read_before(b"PROXY TCP4 \xff\xfe 1.1.1.1 1 2\r\n", b"").await.unwrap_err();
        assert!(matches!(bytes, Error::Malformed(_)), "{bytes}");
    }

    #[tokio::test]
    async fn anything_else_is_no_header() {
        for bytes in [
            &b"GET /announce HTTP/1.1\r\n\r\n"[..],
            b"proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
            b"\r\n\r\n\0\r\nQUIX\n\x21\x11\x00\x00",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00",
        ] {
            assert!(matches!(read_before(bytes, b"").await.unwrap_err(), Error::Missing), "{bytes:?}");
        }
        for cut in [
            &b""[..],
            b"PROXY TCP4",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00",
        ] {
            let error = read_before(cut, b"").await.unwrap_err();
            assert!(
                matches!(&error, Error::Io(e) if e.kind() == io::ErrorKind::UnexpectedEof),
                "{cut:?}: {error}"
            );
        }
    }

    /// The twelve bytes of section 2.2, the two of command and family, the length, and what follows.
    fn v2(command: u8, family: u8, length: u16, rest: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];
        bytes.extend([command, family]);
        bytes.extend(length.to_be_bytes());
        bytes.extend(rest);
        bytes
    }

    // 192.0.2.1:50000 to 198.51.100.2:443.
    const INET: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 2, 0xc3, 0x50, 0x01, 0xbb];
    // [2001:db8::1]:50000 to [2001:db8::2]:443.
    #[rustfmt::skip]
    const INET6: [u8; 36] = [
        0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
        0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2,
        0xc3, 0x50, 0x01, 0xbb,
    ];

    #[tokio::test]
    async fn version_2_names_the_client() {
        assert_eq!(found(&v2(0x21, 0x11, 12, &INET)).await, Some(address("192.0.2.1:50000")));
        assert_eq!(found(&v2(0x21, 0x21, 36, &INET6)).await, Some(address("[2001:db8::1]:50000")));
        let mut mapped = INET6;
        mapped[..16].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 9]);
        assert_eq!(found(&v2(0x21, 0x21, 36, &mapped)).await, Some(address("192.0.2.9:50000")));
        // Further records (section 2.2.7), such as the name that TLS was asked for, are passed over, long ones too.
        let name = [&[0x02, 0x00, 0x0c][..], b"tracker.test"].concat();
        let rest = [&INET[..], &name].concat();
        assert_eq!(found(&v2(0x21, 0x11, 27, &rest)).await, Some(address("192.0.2.1:50000")));
        let filled = [&INET6[..], &vec![0x04; 0xffff - 36]].concat();
        assert_eq!(found(&v2(0x21, 0x21, 0xffff, &filled)).await, Some(address("[2001:db8::1]:50000")));
    }

    #[tokio::test]
    async fn version_2_may_name_nobody() {
        // LOCAL: whatever stands behind it.
        assert_eq!(found(&v2(0x20, 0x00, 0, &[])).await, None);
        assert_eq!(found(&v2(0x20, 0x11, 12, &INET)).await, None);
        assert_eq!(found(&v2(0x20, 0xff, 3, &[1, 2, 3])).await, None);
        // Unspecified, datagrams, Unix sockets.
        assert_eq!(found(&v2(0x21, 0x00, 0, &[])).await, None);
        assert_eq!(found(&v2(0x21, 0x12, 12, &INET)).await, None);
        assert_eq!(found(&v2(0x21, 0x22, 36, &INET6)).await, None);
        assert_eq!(found(&v2(0x21, 0x31, 216, &[b'/'; 216])).await, None);
    }

    #[tokio::test]
    async fn version_2_is_refused_where_it_breaks_the_rules() {
        for header in [
            v2(0x11, 0x11, 12, &INET),
            v2(0x22, 0x11, 12, &INET),
            v2(0x31, 0x11, 12, &INET),
            v2(0x21, 0x13, 12, &INET),
            v2(0x21, 0x41, 12, &INET),
            v2(0x21, 0x11, 11, &INET[..11]),
            v2(0x21, 0x21, 35, &INET6[..35]),
            v2(0x21, 0x21, 12, &INET),
        ] {
            let error = read_before(&header, b"").await.unwrap_err();
            assert!(matches!(error, Error::Malformed(_)), "{header:?}: {error}");
        }
        let cut = v2(0x21, 0x11, 20, &INET);
        assert!(matches!(read_before(&cut, b"").await.unwrap_err(), Error::Io(_)));
    }
}
