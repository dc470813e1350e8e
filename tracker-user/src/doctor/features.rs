//! What the kernel says of an interface's XDP: the `netdev` family of generic netlink, which Linux 6.3 brought.

use rtnetlink::sys::{Socket, protocols::NETLINK_GENERIC};
use std::io;

/// What a driver can do, as `enum netdev_xdp_act` numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Features(u64);

impl Features {
    /// Of the kernel's bits.
    pub(super) const fn new(bits: u64) -> Self {
        Self(bits)
    }

    /// Programs run in the driver.
    pub(super) const fn native(self) -> bool {
        self.0 & 1 != 0
    }

    /// Frames can be redirected to AF_XDP sockets.
    pub(super) const fn redirect(self) -> bool {
        self.0 & 2 != 0
    }

    /// AF_XDP sockets can have zero-copy.
    pub(super) const fn zero_copy(self) -> bool {
        self.0 & 8 != 0
    }
}

const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 1;
/// The family that names families, its question and the attributes of its answer.
const GENL_ID_CTRL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
/// The question about a device and the attributes of its answer.
const NETDEV_CMD_DEV_GET: u8 = 1;
const NETDEV_A_DEV_IFINDEX: u16 = 1;
const NETDEV_A_DEV_XDP_FEATURES: u16 = 3;
/// Bytes of a message's header, and of the generic one after it.
const HEADER: usize = 16;
const GENERIC_HEADER: usize = 4;

/// Asks the kernel about the interface of this number; `None` if it cannot say.
pub(super) fn ask(index: u32) -> Option<Features> {
    let family = question(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME, b"netdev\0");
    let family = u16::from_ne_bytes(attribute(&exchange(&family).ok()?, CTRL_ATTR_FAMILY_ID)?);
    let device = question(family, NETDEV_CMD_DEV_GET, NETDEV_A_DEV_IFINDEX, &index.to_ne_bytes());
    let bits = u64::from_ne_bytes(attribute(&exchange(&device).ok()?, NETDEV_A_DEV_XDP_FEATURES)?);
    Some(Features::new(bits))
}

fn exchange(question: &[u8]) -> io::Result<Vec<u8>> {
    let mut socket = Socket::new(NETLINK_GENERIC)?;
    socket.bind_auto()?;
    socket.send(question, 0)?;
    Ok(socket.recv_from_full()?.0)
}

/// A message with one attribute.
fn question(family: u16, command: u8, attribute: u16, value: &[u8]) -> Vec<u8> {
    let padded = value.len().next_multiple_of(4);
    let length = HEADER + GENERIC_HEADER + 4 + padded;
    let mut message = Vec::with_capacity(length);
    message.extend((length as u32).to_ne_bytes());
    message.extend(family.to_ne_bytes());
    message.extend(NLM_F_REQUEST.to_ne_bytes());
    // Sequence and port: one question, one answer, so neither is needed.
    message.extend([0; 8]);
    message.extend([command, 1, 0, 0]);
    message.extend((4 + value.len() as u16).to_ne_bytes());
    message.extend(attribute.to_ne_bytes());
    message.extend(value);
    message.resize(length, 0);
    message
}

/// The value of an attribute of an answer, if it is `N` bytes long.
fn attribute<const N: usize>(message: &[u8], wanted: u16) -> Option<[u8; N]> {
    let number = |at: usize| Some(u16::from_ne_bytes(message.get(at..at + 2)?.try_into().ok()?));
    if number(4)? == NLMSG_ERROR {
        return None;
    }
    let mut at = HEADER + GENERIC_HEADER;
    loop {
        let (length, kind) = (usize::from(number(at)?), number(at + 2)?);
        if length < 4 {
            return None;
        }
        if kind == wanted {
            return message.get(at + 4..at + length)?.try_into().ok();
        }
        at += length.next_multiple_of(4);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The header, then family name "netdev" and family number 26, as a little-endian kernel sends them.
    #[cfg(target_endian = "little")]
    const ANSWER: [u8; 40] = [
        40, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, // headers
        11, 0, 2, 0, b'n', b'e', b't', b'd', b'e', b'v', 0, 0, // name, padded
        6, 0, 1, 0, 26, 0, 0, 0, // number, padded
    ];

    #[cfg(target_endian = "little")]
    #[test]
    fn attributes_are_found_behind_padding() {
        assert_eq!(attribute(&ANSWER, CTRL_ATTR_FAMILY_ID), Some([26, 0]));
        assert_eq!(attribute::<4>(&ANSWER, CTRL_ATTR_FAMILY_ID), None);
        assert_eq!(attribute::<2>(&ANSWER, 9), None);
        for length in 0..ANSWER.len() - 2 {
            assert_eq!(attribute::<2>(&ANSWER[..length], CTRL_ATTR_FAMILY_ID), None, "{length}");
        }
        let mut refused = ANSWER;
        refused[4] = 2;
        assert_eq!(attribute::<2>(&refused, CTRL_ATTR_FAMILY_ID), None);
        let mut endless = ANSWER;
        endless[20] = 0;
        assert_eq!(attribute::<2>(&endless, CTRL_ATTR_FAMILY_ID), None);
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn questions_are_laid_out_as_the_kernel_reads_them() {
        let expected = [
            28, 0, 0, 0, 26, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, // headers
            8, 0, 1, 0, 7, 0, 0, 0, // interface 7
        ];
        assert_eq!(question(26, NETDEV_CMD_DEV_GET, NETDEV_A_DEV_IFINDEX, &7_u32.to_ne_bytes()), expected);
    }

    #[test]
    fn an_interface_that_is_not_there_has_none() {
        assert_eq!(ask(0x7fff_ffff), None);
    }
}
