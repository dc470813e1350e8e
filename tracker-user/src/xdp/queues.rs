//! How many receive queues an interface has at this moment (`ETHTOOL_GCHANNELS`), and how long they are
//! (`ETHTOOL_GRINGPARAM`).
#![allow(unsafe_code, reason = "the question is an ioctl on a struct passed by pointer")]

use std::{io, net::UdpSocket, os::fd::AsRawFd as _};

const SIOCETHTOOL: u64 = 0x8946;
const ETHTOOL_GRINGPARAM: u32 = 0x10;
const ETHTOOL_GCHANNELS: u32 = 0x3c;
/// The fields behind the command in `struct ethtool_channels` and `struct ethtool_ringparam`.
const FIELDS: usize = 8;
/// In `struct ethtool_channels`: queues that receive, and queues that do both.
const RX_COUNT: usize = 4;
const COMBINED_COUNT: usize = 7;
/// In `struct ethtool_ringparam`: descriptors of a queue that receives.
const RX_PENDING: usize = 4;

/// The receive queues in use, or `None` where the driver does not say; it then has one, as a rule.
///
/// # Errors
/// When the interface is gone.
pub fn receive_queues(interface: &str) -> io::Result<Option<u32>> {
    let channels = ask(interface, ETHTOOL_GCHANNELS)?;
    Ok(channels.map(|fields| fields[RX_COUNT] + fields[COMBINED_COUNT]).filter(|queues| *queues > 0))
}

/// Frames that a receive queue holds.
#[must_use]
pub fn queue_length(interface: &str) -> u32 {
    // As many as that of a veth, whose driver does not say.
    const UNTOLD: u32 = 256;
    let told = ask(interface, ETHTOOL_GRINGPARAM).ok().flatten().map(|fields| fields[RX_PENDING]);
    told.filter(|frames| *frames > 0).unwrap_or(UNTOLD)
}

/// What a driver answers to a question for eight numbers, if it knows the question.
fn ask(interface: &str, command: u32) -> io::Result<Option<[u32; FIELDS]>> {
    let socket = UdpSocket::bind("127.0.0.1:0").or_else(|_| UdpSocket::bind("[::1]:0"))?;
    let mut question = [0; 1 + FIELDS];
    question[0] = command;
    // SAFETY: a C struct of bytes and pointers, for which zeroes are valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if interface.len() >= request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (place, byte) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *place = libc::c_char::from_ne_bytes([byte]);
    }
    request.ifr_ifru.ifru_data = question.as_mut_ptr().cast();
    // SAFETY: the name ends with a zero and `ifru_data` points to as many bytes as the struct has that the command names;
    // both outlive the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
    if result == 0 {
        let [_, fields @ ..] = question;
        return Ok(Some(fields));
    }
    match io::Error::last_os_error() {
        error if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(None),
        error => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_that_does_not_say_and_an_interface_that_is_not_there() {
        assert_eq!(receive_queues("lo").unwrap(), None);
        assert_eq!(queue_length("lo"), 256);
        assert_eq!(receive_queues("none-such").unwrap_err().raw_os_error(), Some(libc::ENODEV));
        assert!(receive_queues("a-name-that-no-interface-can-have").is_err());
    }
}
