//! What NATS servers send, piece by piece (the client protocol of NATS): lines, and messages with a payload behind their line.

/// What a stream of bytes begins with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// A line of so many bytes, with its end.
    Line(usize),
    /// A message: its line, and all of it, each with its end.
    Message {
        /// Bytes of the line.
        line: usize,
        /// Bytes in all.
        whole: usize,
    },
    /// It is not all there.
    Incomplete,
    /// Nothing that a server says in the open: TLS has begun.
    Foreign,
}

const END: &[u8] = b"\r\n";

/// What these bytes begin with.
pub(super) fn piece(bytes: &[u8]) -> Piece {
    match bytes.first() {
        None => return Piece::Incomplete,
        // INFO, MSG, HMSG, PING and PONG, +OK, -ERR.
        Some(b'I' | b'M' | b'H' | b'P' | b'+' | b'-') => {}
        Some(_) => return Piece::Foreign,
    }
    let Some(end) = bytes.windows(END.len()).position(|pair| pair == END) else { return Piece::Incomplete };
    let line = end + END.len();
    let Some(payload) = payload(&bytes[..end]) else { return Piece::Line(line) };
    let whole = line + payload + END.len();
    if bytes.len() < whole { Piece::Incomplete } else { Piece::Message { line, whole } }
}

/// The length of what follows the line of a message: its last word, headers included.
fn payload(line: &[u8]) -> Option<usize> {
    let line = std::str::from_utf8(line).ok()?;
    let is_message = line.starts_with("MSG ") || line.starts_with("HMSG ");
    is_message.then(|| line.rsplit(' ').next()?.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_whole_with_what_follows_their_line() {
        for (bytes, expected) in [
            (&b"PING\r\nPONG\r\n"[..], Piece::Line(6)),
            (b"-ERR 'MSG 5'\r\n", Piece::Line(14)),
            (b"MSG a.b 1 5\r\nhello\r\nPING\r\n", Piece::Message { line: 13, whole: 20 }),
            (b"MSG a 1 reply 0\r\n\r\n", Piece::Message { line: 17, whole: 19 }),
            (b"HMSG a 1 12 13\r\nNATS/1.0\r\n\r\nx\r\n", Piece::Message { line: 16, whole: 31 }),
            (b"MSG a 1 6\r\n\r\n\r\n\r\n\r\n", Piece::Message { line: 11, whole: 19 }),
            (b"", Piece::Incomplete),
            (b"\x16\x03\x03", Piece::Foreign),
        ] {
            assert_eq!(piece(bytes), expected, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_part_of_a_message_is_none() {
        let message = b"MSG a.b 1 5\r\nhello\r\n";
        for length in 0..message.len() {
            assert_eq!(piece(&message[..length]), Piece::Incomplete, "{length}");
        }
    }
}
