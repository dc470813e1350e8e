//! How many receive queues an interface has at this moment (`ETHTOOL_GCHANNELS`).
#![allow(unsafe_code, reason = "the question is an ioctl on a struct passed by pointer")]

use std::{io, net::UdpSocket, os::fd::AsRawFd as _};

const SIOCETHTOOL: u64 = 0x8946;
const ETHTOOL_GCHANNELS: u32 = 0x3c;

/// `struct ethtool_channels`.
#[repr(C)]
#[derive(Default)]
struct Channels {
    command: u32,
    max_rx: u32,
    max_tx: u32,
    max_other: u32,
    max_combined: u32,
    rx: u32,
    tx: u32,
    other: u32,
    combined: u32,
}

/// The receive queues in use, or `None` where the driver does not say; it then has one, as a rule.
///
/// # Errors
/// When the interface is gone.
pub fn receive_queues(interface: &str) -> io::Result<Option<u32>> {
    let socket = UdpSocket::bind("127.0.0.1:0").or_else(|_| UdpSocket::bind("[::1]:0"))?;
    let mut channels = Channels { command: ETHTOOL_GCHANNELS, ..Channels::default() };
    // SAFETY: a C struct of bytes and pointers, for which zeroes are valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if interface.len() >= request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (place, byte) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *place = libc::c_char::from_ne_bytes([byte]);
    }
    request.ifr_ifru.ifru_data = (&raw mut channels).cast();
    // SAFETY: the name ends with a zero and `ifru_data` points to a struct of the kind that the command names; both
    // outlive the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
    if result == 0 {
        return Ok(Some(channels.rx + channels.combined).filter(|queues| *queues > 0));
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
        assert_eq!(receive_queues("none-such").unwrap_err().raw_os_error(), Some(libc::ENODEV));
        assert!(receive_queues("a-name-that-no-interface-can-have").is_err());
    }
}
