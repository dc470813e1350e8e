//! Reads responses out of a buffer as they come in: status, length, body, and nothing more.

use crate::figures::Wrong;
use std::ops::Range;

/// The longest head that is read, bytes.
const MOST_HEAD: usize = 16 << 10;
/// The longest body that is read, bytes: a thousand peers are far below.
const MOST_BODY: usize = 1 << 20;

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

/// The response at the beginning of `buffer`, if it is whole; `ended` says that nothing more will come.
///
/// # Errors
/// [`Wrong::Malformed`] if it is none that this reader understands (HTTP/1, with a length or to the end).
pub fn read(buffer: &[u8], ended: bool) -> Result<Option<Response>, Wrong> {
    let Some(head_len) = buffer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return if ended || buffer.len() > MOST_HEAD { Err(Wrong::Malformed) } else { Ok(None) };
    };
    let mut lines = buffer[..head_len].split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
    let (version, status) = read_status(lines.next().unwrap_or_default()).ok_or(Wrong::Malformed)?;
    let (mut length, mut close) = (None, version == 0);
    for line in lines {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { return Err(Wrong::Malformed) };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            length = Some(number(value).filter(|&length| length <= MOST_BODY).ok_or(Wrong::Malformed)?);
        } else if name.eq_ignore_ascii_case(b"connection") {
            close = if value.eq_ignore_ascii_case(b"close") {
                true
            } else {
                close && !value.eq_ignore_ascii_case(b"keep-alive")
            };
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            return Err(Wrong::Malformed);
        }
    }
    let start = head_len + 4;
    let there = buffer.len() - start;
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

/// The minor version and the status of `HTTP/1.1 200 OK`.
fn read_status(line: &[u8]) -> Option<(usize, u16)> {
    let rest = line.strip_prefix(b"HTTP/1.")?;
    let (minor, rest) = rest.split_first_chunk::<1>()?;
    let status = rest.strip_prefix(b" ")?.get(..3)?;
    Some((number(minor)?, u16::try_from(number(status)?).ok()?))
}

fn number(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() || digits.len() > 9 {
        return None;
    }
    digits
        .iter()
        .try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + usize::from(digit - b'0')))
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
