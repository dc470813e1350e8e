//! Reads responses out of a buffer as they come in: heads by httparse, bodies with a length or to the end.

use crate::figures::Wrong;
use httparse::{Header, ParserConfig, Status};
use std::{mem::MaybeUninit, ops::Range};

/// The longest head that is read, bytes.
const MOST_HEAD: usize = 16 << 10;
/// The most headers in a head.
const MOST_HEADERS: usize = 64;
/// The longest body that is read, bytes: a thousand peers are far below.
const MOST_BODY: usize = 1 << 20;

/// Room for the headers of a head.
pub type Room<'b> = [MaybeUninit<Header<'b>>; MOST_HEADERS];

/// Room for [`head`].
#[must_use]
pub const fn room<'b>() -> Room<'b> {
    [const { MaybeUninit::uninit() }; MOST_HEADERS]
}

/// A whole head.
#[derive(Clone, Copy, Debug)]
pub struct Head<'h, 'b> {
    /// The minor version of HTTP/1.
    pub version: u8,
    /// The status.
    pub status: u16,
    /// The headers in order.
    pub headers: &'h [Header<'b>],
    /// Bytes to the end of the empty line.
    pub len: usize,
}

impl<'b> Head<'_, 'b> {
    /// The values of this header.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &'b [u8]> {
        let named = self.headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
        named.map(|header| header.value)
    }
}

/// A whole response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Its status.
    pub status: u16,
    /// Where its body lies in the buffer.
    pub body: Range<usize>,
    /// Whether the server closes the connection after it.
    pub close: bool,
}

/// The head at the beginning of `buffer`, if it is whole.
///
/// # Errors
/// [`Wrong::Malformed`] if it is none of HTTP/1.
pub fn head<'h, 'b>(buffer: &'b [u8], room: &'h mut Room<'b>) -> Result<Option<Head<'h, 'b>>, Wrong> {
    let mut read = httparse::Response::new(&mut []);
    match ParserConfig::default().parse_response_with_uninit_headers(&mut read, buffer, room) {
        Ok(Status::Complete(len)) => {
            let (Some(version), Some(status)) = (read.version, read.code) else {
                return Err(Wrong::Malformed);
            };
            Ok(Some(Head { version, status, headers: read.headers, len }))
        }
        Ok(Status::Partial) if buffer.len() <= MOST_HEAD => Ok(None),
        _ => Err(Wrong::Malformed),
    }
}

/// The response at the beginning of `buffer`, if it is whole; `ended` says that nothing more will come.
///
/// # Errors
/// [`Wrong::Malformed`] if it is none that this reader understands (HTTP/1, with a length or to the end).
pub fn read(buffer: &[u8], ended: bool) -> Result<Option<Response>, Wrong> {
    let mut room = room();
    let Some(head) = head(buffer, &mut room)? else {
        return if ended { Err(Wrong::Malformed) } else { Ok(None) };
    };
    if head.values("transfer-encoding").next().is_some() {
        return Err(Wrong::Malformed);
    }
    let mut length = None;
    for value in head.values("content-length") {
        length = Some(number(value).filter(|&length| length <= MOST_BODY).ok_or(Wrong::Malformed)?);
    }
    if head.status < 200 || matches!(head.status, 204 | 304) {
        length = Some(0);
    }
    let kept = head.values("connection").any(|value| value.eq_ignore_ascii_case(b"keep-alive"));
    let closed = head.values("connection").any(|value| value.eq_ignore_ascii_case(b"close"));
    let close = closed || head.version == 0 && !kept;
    let (status, start, there) = (head.status, head.len, buffer.len() - head.len);
    match length {
        Some(length) if there >= length => Ok(Some(Response {
            status,
            body: start..start + length,
            close: close || ended && there == length,
        })),
        Some(_) if ended => Err(Wrong::Length),
        None if ended => Ok(Some(Response { status, body: start..buffer.len(), close: true })),
        None if there > MOST_BODY => Err(Wrong::Malformed),
        _ => Ok(None),
    }
}

/// A length: digits alone, without a sign.
fn number(digits: &[u8]) -> Option<usize> {
    str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_read_when_it_is_whole() {
        let whole = b"HTTP/1.1 200 OK\r\ncontent-LENGTH:  3\r\nX: y\r\n\r\nd1eHTTP/1.1 404";
        let expected = Response { status: 200, body: 45..48, close: false };
        for len in 0..48 {
            assert_eq!(read(&whole[..len], false), Ok(None), "{len}");
        }
        for len in 48..whole.len() {
            assert_eq!(read(&whole[..len], false), Ok(Some(expected.clone())), "{len}");
        }
    }

    #[test]
    fn the_connection_lives_as_long_as_the_server_says() {
        let close = |head: &str| {
            read(format!("{head}\r\nContent-Length: 0\r\n\r\n").as_bytes(), false).unwrap().unwrap().close
        };
        assert!(!close("HTTP/1.1 200 OK"));
        assert!(close("HTTP/1.0 200 OK"));
        assert!(close("HTTP/1.1 200 OK\r\nConnection: Close"));
        assert!(!close("HTTP/1.0 200 OK\r\nConnection: Keep-Alive"));
    }

    #[test]
    fn without_a_length_the_end_is_the_end() {
        let text = b"HTTP/1.0 200 OK\r\n\r\nde";
        assert_eq!(read(text, false), Ok(None));
        assert_eq!(read(text, true), Ok(Some(Response { status: 200, body: 19..21, close: true })));
        let short = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nde";
        assert_eq!(read(short, true), Err(Wrong::Length));
    }

    #[test]
    fn what_is_no_response_is_said_to_be_none() {
        for text in [
            "SSH-2.0-x\r\n\r\n",
            "HTTP/2 200\r\n\r\n",
            "HTTP/1.1 2x0 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        ] {
            assert_eq!(read(text.as_bytes(), false), Err(Wrong::Malformed), "{text}");
        }
        assert_eq!(read(&[b'x'; MOST_HEAD + 1], false), Err(Wrong::Malformed));
        assert_eq!(read(b"HTTP/1.1 200", true), Err(Wrong::Malformed));
    }
}
