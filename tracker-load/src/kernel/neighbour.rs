//! The link-layer address of the target, from the kernel's neighbour table.

use crate::error::Error;
use std::{
    fs,
    net::{Ipv4Addr, SocketAddrV4, UdpSocket},
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// How long the neighbour may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often the table is looked at.
const STEP: Duration = Duration::from_millis(20);
/// Set for entries that hold an address.
const COMPLETE: u32 = 2;

/// The MAC address of a neighbour on an interface; the kernel is made to ask for it by an empty datagram.
///
/// # Errors
/// When nobody answers.
pub fn resolve(target: SocketAddrV4, interface: &str) -> Result<[u8; 6], Error> {
    let deadline = Instant::now() + PATIENCE;
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).map_err(Error::system("no socket"))?;
    loop {
        // An error of an earlier datagram says no more than the table does.
        let _ = socket.send_to(&[], target);
        let table = fs::read_to_string(Path::new("/proc/net/arp"))
            .map_err(Error::system("the neighbour table cannot be read"))?;
        if let Some(mac) = find(&table, *target.ip(), interface) {
            return Ok(mac);
        }
        if Instant::now() >= deadline {
            return Err(Error::Unreachable {
                target: target.to_string(),
                reason: format!(
                    "it does not answer ARP requests on {interface}, where --interface says that it is"
                ),
            });
        }
        thread::sleep(STEP);
    }
}

/// Reads the table as `/proc/net/arp` has it: address, type, flags, MAC address, mask, interface.
fn find(table: &str, address: Ipv4Addr, interface: &str) -> Option<[u8; 6]> {
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [ip, _, flags, mac, _, device] = fields.as_slice() else { return None };
        let flags = u32::from_str_radix(flags.trim_start_matches("0x"), 16).ok()?;
        if ip.parse() != Ok(address) || *device != interface || flags & COMPLETE == 0 {
            return None;
        }
        parse_mac(mac)
    })
}

/// Reads `02:00:00:00:00:01`.
#[must_use]
pub fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let mut bytes = [0; 6];
    let mut parts = text.trim().split(':');
    for byte in &mut bytes {
        *byte = u8::from_str_radix(parts.next()?, 16).ok()?;
    }
    parts.next().is_none().then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complete_entry_of_the_interface_is_found() {
        let table = "IP address       HW type     Flags       HW address            Mask     Device\n\
                     10.88.0.1        0x1         0x0         00:00:00:00:00:00     *        bw\n\
                     10.88.0.1        0x1         0x2         02:aa:00:00:00:01     *        other\n\
                     10.88.0.3        0x1         0x6         02:aa:00:00:00:03     *        bw\n";
        let find = |last| find(table, Ipv4Addr::new(10, 88, 0, last), "bw");
        assert_eq!(find(1), None, "it has not answered on this interface");
        assert_eq!(find(3), Some([2, 0xaa, 0, 0, 0, 3]));
        assert_eq!(parse_mac("02:00:00:00:00"), None);
        assert_eq!(parse_mac("02:00:00:00:00:01:02"), None);
    }
}
