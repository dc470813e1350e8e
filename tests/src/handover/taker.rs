//! The side of the new process in a hand-over, step by step: frames written and read by hand.

use crate::{PATIENCE, eventually, riptide::Riptide};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
};

/// The kinds of frames, by their first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Who speaks.
    Hello = b'h' as isize,
    /// Descriptors come with it.
    Descriptors = b'd' as isize,
    /// What they are.
    Inventory = b'i' as isize,
    /// The swarms may come.
    Fetch = b'f' as isize,
    /// When what comes next was written.
    Written = b't' as isize,
    /// Records.
    Swarms = b's' as isize,
    /// All that there was has come.
    Walked = b'w' as isize,
    /// All is prepared.
    Prepared = b'p' as isize,
    /// Counters.
    Counted = b'c' as isize,
    /// The taker serves from now on.
    Yours = b'y' as isize,
    /// It does.
    Serving = b'r' as isize,
    /// The giver has heard that.
    Left = b'l' as isize,
    /// No more comes.
    Bye = b'b' as isize,
    /// Who says it gives up.
    Revoked = b'x' as isize,
}

impl Kind {
    const ALL: [Self; 14] = [
        Self::Hello,
        Self::Descriptors,
        Self::Inventory,
        Self::Fetch,
        Self::Written,
        Self::Swarms,
        Self::Walked,
        Self::Prepared,
        Self::Counted,
        Self::Yours,
        Self::Serving,
        Self::Left,
        Self::Bye,
        Self::Revoked,
    ];
}

/// The name of a step, and how it is gone.
type Step = (&'static str, fn(&mut Taker));

/// Somebody who asks to take over.
pub struct Taker(UnixStream);

impl Taker {
    /// Asks at a control socket.
    #[must_use]
    pub fn ask(socket: &Path) -> Self {
        let mut stream = UnixStream::connect(socket).expect("a control socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let request = "POST /take-over HTTP/1.1\r\nHost: riptide\r\nContent-Length: 0\r\nConnection: upgrade\r\nUpgrade: riptide-handover\r\n\r\n";
        stream.write_all(request.as_bytes()).expect("to ask");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0; 1];
            stream.read_exact(&mut byte).expect("an answer");
            head.extend(byte);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        Self(stream)
    }

    /// Sends a frame.
    pub fn send(&mut self, kind: Kind, rest: &[u8]) {
        self.send_raw(kind as u8, rest);
    }

    /// Sends a frame of any kind.
    pub fn send_raw(&mut self, kind: u8, rest: &[u8]) {
        let len = u32::try_from(rest.len()).expect("a short frame").to_le_bytes();
        self.0.write_all(&[&[kind, 0, 0, 0], &len[..], rest].concat()).expect("to send a frame");
    }

    /// Sends bytes as they are.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("to send bytes");
    }

    /// Says who it is, with this version of the protocol.
    pub fn greet(&mut self, version: [u32; 2]) {
        let hello = json!({ "version": version, "release": "9.9.9", "pid": 1, "something": "new" });
        self.send(Kind::Hello, hello.to_string().as_bytes());
    }

    /// The next frame, or nothing where the other one has closed.
    #[must_use]
    pub fn receive(&mut self) -> Option<(Kind, Vec<u8>)> {
        let mut head = [0; 8];
        self.0.read_exact(&mut head).ok()?;
        let mut rest = vec![0; u32::from_le_bytes(head[4..].try_into().expect("four bytes")) as usize];
        self.0.read_exact(&mut rest).expect("a whole frame");
        let kind = Kind::ALL.into_iter().find(|kind| *kind as u8 == head[0]);
        Some((kind.unwrap_or_else(|| panic!("a frame of kind {}", head[0])), rest))
    }

    /// Reads up to a frame of this kind.
    pub fn until(&mut self, wanted: Kind) -> Vec<u8> {
        loop {
            match self.receive() {
                Some((kind, rest)) if kind == wanted => return rest,
                Some((Kind::Revoked, reason)) => panic!("revoked: {}", String::from_utf8_lossy(&reason)),
                Some(_) => {}
                None => panic!("closed before {wanted:?}"),
            }
        }
    }

    /// Why the other one gave up.
    #[must_use]
    pub fn refusal(&mut self) -> String {
        loop {
            match self.receive() {
                Some((Kind::Revoked, reason)) => {
                    let reason: Value = serde_json::from_slice(&reason).expect("JSON");
                    return reason.as_str().expect("a text").to_owned();
                }
                Some(_) => {}
                None => panic!("closed without a reason"),
            }
        }
    }

    /// Goes on to this step, counted from 0, and says its name; `None` beyond the last.
    pub fn go_to(&mut self, step: usize) -> Option<&'static str> {
        let steps: [Step; 7] = [
            ("asked", |_| {}),
            ("greeted", |taker| {
                taker.greet([1, 0]);
                let _ = taker.until(Kind::Hello);
            }),
            ("received", |taker| drop(taker.until(Kind::Inventory))),
            ("fetching", |taker| taker.send(Kind::Fetch, b"")),
            ("walked", |taker| drop(taker.until(Kind::Walked))),
            ("prepared", |taker| taker.send(Kind::Prepared, b"")),
            ("yours", |taker| drop(taker.until(Kind::Yours))),
        ];
        steps.get(..=step)?.iter().for_each(|(_, run)| run(self));
        Some(steps[step].0)
    }
}

/// Waits until the tracker has told so many times that it serves on.
pub fn stays(riptide: &Riptide, times: usize) {
    eventually("a line that says that it serves on", || {
        let lines = riptide.lines();
        (lines.iter().filter(|line| line.contains("serves on")).count() == times).then_some(())
    });
}
