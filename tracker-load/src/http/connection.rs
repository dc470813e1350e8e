//! A connection that speaks HTTP/1.1 and waits for its answers.

use super::response::{self, Response};
use crate::{figures::Wrong, net::stream::Stream};
use std::{
    io::{self, Read as _, Write as _},
    time::Instant,
};

/// A response with its head.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Headers in order, the names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header of this name, which is in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A connection. How long it waits is its stream's read timeout, which holds for a whole answer.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    /// What was received and not yet used.
    pub(crate) input: Vec<u8>,
}

impl Connection {
    /// Speaks over a stream.
    #[must_use]
    pub const fn new(stream: Stream) -> Self {
        Self { stream, input: Vec::new() }
    }

    /// What it speaks over.
    pub const fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// If the connection is gone, or takes nothing in time.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// Reads the next answer; that to a HEAD has no body, whatever its length says.
    ///
    /// # Errors
    /// `InvalidData` if it is none, `UnexpectedEof` if the connection ends before one is whole, `WouldBlock` or
    /// `TimedOut` if it does not come in time.
    pub fn receive(&mut self, head_only: bool) -> io::Result<Answer> {
        let patience = self.stream.socket().read_timeout()?;
        let deadline = patience.map(|patience| Instant::now() + patience);
        let (answer, len) = loop {
            if let Some(found) = answer(&self.input, head_only, false).map_err(invalid)? {
                break found;
            }
            if self.more()? == 0 {
                let last = answer(&self.input, head_only, true).ok().flatten();
                break last.ok_or_else(|| self.cut_off())?;
            }
            if deadline.is_some_and(|deadline| Instant::now() > deadline) {
                return Err(io::ErrorKind::TimedOut.into());
            }
        };
        self.input.drain(..len);
        Ok(answer)
    }

    /// Reads what is there, or waits for it, and tells how many bytes came: 0 at the end.
    pub(crate) fn more(&mut self) -> io::Result<usize> {
        let mut part = [0; 16 << 10];
        let len = self.stream.read(&mut part)?;
        self.input.extend(&part[..len]);
        Ok(len)
    }

    /// What an end is while something is awaited.
    pub(crate) fn cut_off(&self) -> io::Error {
        let when = if self.input.is_empty() { "instead of" } else { "in the middle of" };
        io::Error::new(io::ErrorKind::UnexpectedEof, format!("it closed the connection {when} an answer"))
    }
}

/// The answer at the beginning of a buffer and its length, if it is whole.
fn answer(buffer: &[u8], head_only: bool, ended: bool) -> Result<Option<(Answer, usize)>, Wrong> {
    let mut room = response::room();
    let Some(head) = response::head(buffer, &mut room)? else { return Ok(None) };
    let body = if head_only {
        head.len..head.len
    } else {
        match response::read(buffer, ended)? {
            Some(Response { body, .. }) => body,
            None => return Ok(None),
        }
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers = head.headers.iter().map(|header| (header.name.to_ascii_lowercase(), text(header.value)));
    let len = body.end;
    Ok(Some((Answer { status: head.status, headers: headers.collect(), body: buffer[body].to_vec() }, len)))
}

/// What cannot be read, as an error of reading it.
pub(crate) fn invalid(wrong: Wrong) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("what came cannot be read ({})", wrong.label()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::unix::net::UnixStream, time::Duration};

    /// A connection whose other side has sent these bytes, and the other side.
    fn sent(bytes: &[u8]) -> (Connection, UnixStream) {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        theirs.write_all(bytes).unwrap();
        (Connection::new(Stream::over(ours, None)), theirs)
    }

    #[test]
    fn answers_are_told_apart_by_their_lengths() {
        let (mut connection, theirs) = sent(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A:  b \r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n\
              HTTP/1.1 204 No\r\n\r\nHTTP/1.0 404 No\r\n\r\nto the end",
        );
        let answer = connection.receive(false).unwrap();
        assert_eq!((answer.status, answer.text().as_str(), answer.header("x-a")), (200, "ok", Some("b")));
        assert_eq!(connection.receive(true).unwrap().header("content-length"), Some("9"));
        assert_eq!(connection.receive(false).unwrap().status, 204);
        drop(theirs);
        let answer = connection.receive(false).unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (404, "to the end"));
        assert_eq!(connection.receive(false).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn what_does_not_come_is_an_error_of_its_own() {
        let (mut connection, theirs) = sent(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nno");
        assert_eq!(connection.receive(false).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(theirs);
        assert_eq!(connection.receive(false).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let (mut connection, _theirs) = sent(b"SSH-2.0-x\r\n");
        assert_eq!(connection.receive(false).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
