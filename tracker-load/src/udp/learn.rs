//! Before the load: a connection ID for each source, and proof that a tracker is there.

use super::{
    Settings,
    mix::Kind,
    wire::{self, REQUEST_LEN},
};
use crate::{error::Error, figures::Wrong, progress::Watch, rng::Rng};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::{
    io,
    net::UdpSocket,
    os::fd::AsFd as _,
    time::{Duration, Instant},
};
use tracker_common::address::{Address, Family};

/// How often a request is sent before the tracker counts as silent.
const TRIES: u32 = 3;
/// How long each try waits.
const WAIT: Duration = Duration::from_secs(1);
/// How many sources ask at a time: a burst that no receive buffer is too small for.
const AT_A_TIME: usize = 128;
/// Sets the transaction IDs of this phase apart from those of the load.
const SEED: u64 = 0x6c65_6172;
/// Room for a reply: larger ones are cut, and wrong.
const REPLY_LEN: usize = 4096;

/// Learns a connection ID for every socket. The sockets are connected to the tracker and do not block.
///
/// # Errors
/// When the tracker cannot be reached, is silent, or answers something else than BEP 15 says.
pub fn connection_ids(sockets: &[UdpSocket], settings: &Settings, watch: &Watch) -> Result<Vec<u64>, Error> {
    let mut rng = Rng::new(settings.seed ^ SEED);
    let mut ids = Vec::with_capacity(sockets.len());
    // The first alone: if there is no tracker, nothing more is sent.
    let first = sockets.len().min(1);
    for group in sockets[..first].chunks(1).chain(sockets[first..].chunks(AT_A_TIME)) {
        if watch.is_stopped() {
            return Err(Error::Stopped);
        }
        let found = ask(
            group,
            settings,
            "connect",
            &mut |transaction, buffer| (Kind::Connect, 0, wire::connect(buffer, transaction)),
            &mut rng,
        )?;
        ids.extend(found.into_iter().flatten());
        if ids.len() == 1 {
            prove(&sockets[..1], ids[0], settings, &mut rng)?;
        }
    }
    Ok(ids)
}

/// One announce, so that a tracker that answers connects alone is found out before the load.
fn prove(socket: &[UdpSocket], id: u64, settings: &Settings, rng: &mut Rng) -> Result<(), Error> {
    let peer = settings.workload.peer(0);
    let wanted = settings.wanted;
    ask(
        socket,
        settings,
        "announce",
        &mut |transaction, buffer| {
            (Kind::Announce, wanted, wire::announce(buffer, id, transaction, &peer, wanted))
        },
        rng,
    )?;
    Ok(())
}

type Write<'a> = &'a mut dyn FnMut(u32, &mut [u8; REQUEST_LEN]) -> (Kind, u16, usize);

/// Sends a request from each socket until each has its reply.
fn ask(
    sockets: &[UdpSocket],
    settings: &Settings,
    what: &'static str,
    write: Write<'_>,
    rng: &mut Rng,
) -> Result<Vec<Option<u64>>, Error> {
    let target = settings.target.to_string();
    let family = Address::from(settings.target.ip()).family();
    let mut strange = false;
    let mut replies: Vec<Option<Option<u64>>> = vec![None; sockets.len()];
    for _ in 0..TRIES {
        let mut asked = Vec::new();
        for (i, socket) in sockets.iter().enumerate().filter(|(i, _)| replies[*i].is_none()) {
            let (mut buffer, transaction) = ([0; REQUEST_LEN], rng.next_u32());
            let (kind, amount, len) = write(transaction, &mut buffer);
            match socket.send(&buffer[..len]) {
                Ok(_) => {}
                // The kernel is short of room; the next try comes.
                Err(error) if is_full(&error) => {}
                Err(error) => return Err(unreachable(&target, &error)),
            }
            asked.push((i, transaction, kind, amount));
        }
        let deadline = Instant::now() + WAIT;
        while !asked.is_empty() && Instant::now() < deadline {
            wait(asked.iter().map(|&(i, ..)| &sockets[i]), deadline)?;
            let mut failed = None;
            asked.retain(|&(i, transaction, kind, amount)| {
                match read(&sockets[i], transaction, kind, amount, family, &mut strange) {
                    Ok(None) => true,
                    Ok(Some(reply)) => {
                        replies[i] = Some(reply);
                        false
                    }
                    Err(failure) => {
                        failed = Some(failure);
                        false
                    }
                }
            });
            match failed {
                Some(Failure::Odd(what)) => return Err(Error::NotATracker { target, what }),
                Some(Failure::System(error)) => return Err(unreachable(&target, &error)),
                None => {}
            }
        }
        if asked.is_empty() {
            return Ok(replies.into_iter().map(Option::flatten).collect());
        }
    }
    if strange {
        let what = format!("it answered the first {what} with another transaction ID than was sent");
        return Err(Error::NotATracker { target, what });
    }
    Err(Error::Silent { target, what, waited: WAIT * TRIES })
}

enum Failure {
    System(io::Error),
    Odd(String),
}

/// Reads until the reply to this transaction is there: `None` if it is not yet.
fn read(
    socket: &UdpSocket,
    transaction: u32,
    kind: Kind,
    amount: u16,
    family: Family,
    strange: &mut bool,
) -> Result<Option<Option<u64>>, Failure> {
    let mut buffer = [0; REPLY_LEN];
    loop {
        let len = match socket.recv(&mut buffer) {
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Failure::System(error)),
        };
        let reply = &buffer[..len];
        if wire::transaction(reply).is_some_and(|other| other != transaction) {
            // Perhaps the answer to an earlier try: the right one may still come.
            *strange = true;
            continue;
        }
        return match wire::check(reply, kind, amount, family) {
            Ok(id) => Ok(Some(id)),
            Err(Wrong::Refused) => {
                let message: String = String::from_utf8_lossy(reply.get(8..).unwrap_or_default())
                    .chars()
                    .filter(|c| !c.is_control())
                    .take(200)
                    .collect();
                Err(Failure::Odd(format!("it refused the first {}: {message}", name(kind))))
            }
            Err(wrong) => Err(Failure::Odd(format!(
                "it answered the first {} with {len} bytes that BEP 15 does not allow ({})",
                name(kind),
                wrong.label()
            ))),
        };
    }
}

const fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Connect => "connect",
        Kind::Announce => "announce",
        Kind::Scrape => "scrape",
    }
}

fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || error.raw_os_error() == Some(nix::errno::Errno::ENOBUFS as i32)
}

fn unreachable(target: &str, error: &io::Error) -> Error {
    let reason = match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            "nothing listens on that UDP port; is the tracker running?".into()
        }
        _ => error.to_string(),
    };
    Error::Unreachable { target: target.to_owned(), reason }
}

fn wait<'a>(sockets: impl Iterator<Item = &'a UdpSocket>, deadline: Instant) -> Result<(), Error> {
    let mut descriptors: Vec<PollFd<'_>> =
        sockets.map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN)).collect();
    let left = deadline.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
    match poll(&mut descriptors, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
        Err(error) => Err(Error::system("the wait for replies failed")(error)),
    }
}
