//! Carries messages, and descriptors with them, between two processes, each with a deadline.

use super::messages::{HEAD, Malformed, Message};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg, sockopt::socket_peercred,
};
use std::{
    collections::VecDeque,
    io::{self, ErrorKind, IoSlice, IoSliceMut, Write as _},
    mem::MaybeUninit,
    os::{
        fd::{BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    time::{Duration, Instant},
};

/// Bytes that are asked of the kernel at a time.
const CHUNK: usize = 64 << 10;
/// The kernel's limit of descriptors that come with one message.
const SCM_MAX_FD: usize = 253;
/// The shortest wait that the kernel takes for one.
const SHORTEST: Duration = Duration::from_micros(1);

/// Why no message came or went.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The other process is gone, or has closed the connection.
    #[error("the other process is gone")]
    Gone,
    /// Nothing came, or nothing was taken, within the time given.
    #[error("the other process did nothing for {0:?}")]
    Late(Duration),
    /// What came is none.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The system refused.
    #[error("the connection to the other process: {0}")]
    System(io::Error),
    /// The other one gave up.
    #[error("{0}")]
    Revoked(String),
    /// Something else was to come.
    #[error("the other process said {0} where something else was due")]
    Unexpected(&'static str),
}

/// A connection between two processes.
#[derive(Debug)]
pub struct Channel {
    stream: UnixStream,
    /// What has come and was not read yet.
    inbox: Vec<u8>,
    descriptors: VecDeque<OwnedFd>,
}

impl Channel {
    /// Over this connection, on which `inbox` has come already.
    ///
    /// # Errors
    /// When it cannot be made to block.
    pub fn new(stream: UnixStream, inbox: Vec<u8>) -> io::Result<Self> {
        stream.set_nonblocking(false)?;
        Ok(Self { stream, inbox, descriptors: VecDeque::new() })
    }

    /// The user that the process at the other end had when it connected.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn peer(&self) -> io::Result<u32> {
        Ok(socket_peercred(&self.stream)?.uid.as_raw())
    }

    /// The way to end the connection from another thread.
    ///
    /// # Errors
    /// When descriptors are short.
    pub fn ender(&self) -> io::Result<UnixStream> {
        self.stream.try_clone()
    }

    /// Sends a message.
    ///
    /// # Errors
    /// When the other one is gone, or takes nothing for so long.
    pub fn send(&mut self, message: &Message, patience: Duration) -> Result<(), Error> {
        self.send_bytes(&message.frame(), patience)
    }

    fn send_bytes(&mut self, bytes: &[u8], patience: Duration) -> Result<(), Error> {
        let limited = self.stream.set_write_timeout(Some(patience.max(SHORTEST)));
        limited.and_then(|()| self.stream.write_all(bytes)).map_err(|error| judge(error, patience))
    }

    /// Sends descriptors, at most [`super::messages::MAX_DESCRIPTORS`]; they stay open here as well.
    ///
    /// # Errors
    /// As [`Channel::send`].
    pub fn send_descriptors(
        &mut self,
        descriptors: &[BorrowedFd<'_>],
        patience: Duration,
    ) -> Result<(), Error> {
        let frame = Message::Descriptors(descriptors.len()).frame();
        let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(descriptors.len()))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let fits = control.push(SendAncillaryMessage::ScmRights(descriptors));
        if !fits {
            return Err(Error::System(ErrorKind::InvalidInput.into()));
        }
        let timed = self.stream.set_write_timeout(Some(patience.max(SHORTEST)));
        timed.map_err(|error| judge(error, patience))?;
        // They go with the first byte, whatever becomes of the rest.
        let sent = sendmsg(&self.stream, &[IoSlice::new(&frame)], &mut control, SendFlags::NOSIGNAL);
        let sent = sent.map_err(|error| judge(error.into(), patience))?;
        self.send_bytes(frame.get(sent..).unwrap_or_default(), patience)
    }

    /// The next message, for which so long is waited. One of a kind that this version does not know is passed over.
    ///
    /// # Errors
    /// When none comes; [`Error::Revoked`] when the other one gives up.
    pub fn receive(&mut self, patience: Duration) -> Result<Message, Error> {
        let begun = Instant::now();
        loop {
            match self.take()? {
                Some(Message::Unknown(kind)) => tracing::debug!(kind, "a message that is not known"),
                Some(Message::Revoked(reason)) => return Err(Error::Revoked(reason)),
                Some(message) => return Ok(message),
                None => {
                    let left = patience.saturating_sub(begun.elapsed());
                    if left.is_zero() {
                        return Err(Error::Late(patience));
                    }
                    self.fill(left, patience)?;
                }
            }
        }
    }

    /// The next message if it comes within so long.
    ///
    /// # Errors
    /// When none will come.
    pub fn receive_within(&mut self, wait: Duration) -> Result<Option<Message>, Error> {
        match self.receive(wait) {
            Ok(message) => Ok(Some(message)),
            Err(Error::Late(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The descriptors that have come, at most so many, in their order.
    pub fn take_descriptors(&mut self, most: usize) -> Vec<OwnedFd> {
        let count = most.min(self.descriptors.len());
        self.descriptors.drain(..count).collect()
    }

    /// A whole message from what has come.
    fn take(&mut self) -> Result<Option<Message>, Malformed> {
        let Some((head, rest)) = self.inbox.split_first_chunk::<HEAD>() else { return Ok(None) };
        let len = Message::rest_len(*head)?;
        let Some(rest) = rest.get(..len) else { return Ok(None) };
        let message = Message::read(head[0], rest)?;
        self.inbox.drain(..HEAD + len);
        Ok(Some(message))
    }

    /// Waits for bytes.
    fn fill(&mut self, wait: Duration, patience: Duration) -> Result<(), Error> {
        let timed = self.stream.set_read_timeout(Some(wait.max(SHORTEST)));
        timed.map_err(Error::System)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SCM_MAX_FD))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let before = self.inbox.len();
        self.inbox.resize(before + CHUNK, 0);
        let buffer = &mut [IoSliceMut::new(&mut self.inbox[before..])];
        let received = recvmsg(&self.stream, buffer, &mut control, RecvFlags::CMSG_CLOEXEC);
        self.inbox.truncate(before + received.as_ref().map_or(0, |received| received.bytes));
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                self.descriptors.extend(descriptors);
            }
        }
        match received {
            Ok(received) if received.bytes == 0 => Err(Error::Gone),
            Ok(_) => Ok(()),
            Err(error) => match judge(error.into(), patience) {
                // The time left is looked at by whoever waits.
                Error::Late(_) => Ok(()),
                error => Err(error),
            },
        }
    }
}

fn judge(error: io::Error, patience: Duration) -> Error {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Error::Late(patience),
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof => Error::Gone,
        _ => Error::System(error),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::messages::Hello, *};
    use std::{
        fs::File,
        io::{Read as _, Seek as _},
        os::fd::AsFd as _,
    };

    const PATIENCE: Duration = Duration::from_secs(10);

    fn pair() -> (Channel, Channel) {
        let (a, b) = UnixStream::pair().unwrap();
        (Channel::new(a, Vec::new()).unwrap(), Channel::new(b, Vec::new()).unwrap())
    }

    #[test]
    fn messages_and_descriptors_come_in_order() {
        let (mut a, mut b) = pair();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"handed over").unwrap();
        file.rewind().unwrap();
        a.send(&Message::Hello(Hello::own()), PATIENCE).unwrap();
        a.send(&Message::Unknown(200), PATIENCE).unwrap();
        a.send_descriptors(&[file.as_fd()], PATIENCE).unwrap();
        a.send(&Message::Swarms(vec![7; 3]), PATIENCE).unwrap();
        a.send(&Message::Revoked("no more".to_owned()), PATIENCE).unwrap();
        drop((a, file));
        assert_eq!(b.receive(PATIENCE).unwrap(), Message::Hello(Hello::own()));
        assert_eq!(b.receive(PATIENCE).unwrap(), Message::Descriptors(1));
        let [descriptor] = <[OwnedFd; 1]>::try_from(b.take_descriptors(9)).unwrap();
        let mut text = String::new();
        File::from(descriptor).read_to_string(&mut text).unwrap();
        assert_eq!(text, "handed over");
        assert_eq!(b.receive(PATIENCE).unwrap(), Message::Swarms(vec![7; 3]));
        assert!(matches!(b.receive(PATIENCE), Err(Error::Revoked(reason)) if reason == "no more"));
        assert!(matches!(b.receive(PATIENCE), Err(Error::Gone)));
    }

    #[test]
    fn what_comes_in_pieces_is_put_together() {
        let (mut a, mut b) = pair();
        let frame = Message::Swarms(vec![1; 300_000]).frame();
        let mut stream = a.ender().unwrap();
        let writer = std::thread::spawn(move || {
            for piece in frame.chunks(99_999) {
                stream.write_all(piece).unwrap();
            }
        });
        assert_eq!(b.receive(PATIENCE).unwrap(), Message::Swarms(vec![1; 300_000]));
        writer.join().unwrap();
        a.send_bytes(&[b's', 0, 0, 1, 0, 0, 0, 0], PATIENCE).unwrap();
        assert!(matches!(b.receive(PATIENCE), Err(Error::Malformed(_))));
    }

    #[test]
    fn nobody_is_waited_for_for_ever() {
        let (mut a, b) = pair();
        assert!(a.receive_within(Duration::from_millis(1)).unwrap().is_none());
        assert!(matches!(a.receive(Duration::from_millis(1)), Err(Error::Late(_))));
        let much = Message::Swarms(vec![0; 4 << 20]);
        assert!(matches!(a.send(&much, Duration::from_millis(1)), Err(Error::Late(_))));
        drop(b);
        assert!(matches!(a.send(&much, PATIENCE), Err(Error::Gone)));
        assert_eq!(a.peer().unwrap(), nix::unistd::geteuid().as_raw());
    }
}
