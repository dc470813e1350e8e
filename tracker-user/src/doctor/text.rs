//! Reading what the kernel prints.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The two leading numbers of a kernel release, as `6.18.44-generic`.
pub(super) fn kernel_version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// The local addresses in `/proc/net/udp` or `/proc/net/udp6`.
pub(super) fn udp_sockets(table: &str) -> Vec<SocketAddr> {
    table.lines().skip(1).filter_map(|line| local_address(line.split_whitespace().nth(1)?)).collect()
}

fn local_address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    // The kernel prints each 32 bits of the address, which are in network order, as a number of the host's order.
    let word = |i: usize| u32::from_str_radix(address.get(8 * i..8 * i + 8)?, 16).ok().map(u32::to_ne_bytes);
    let address = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (i, part) in bytes.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                *part = word(i)?;
            }
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some(SocketAddr::new(address, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_begin_with_two_numbers() {
        assert_eq!(kernel_version("6.18.44-fc-v657"), Some((6, 18)));
        assert_eq!(kernel_version("5.10.0-30-amd64\n"), Some((5, 10)));
        assert_eq!(kernel_version("5.4-rc1"), Some((5, 4)));
        assert_eq!(kernel_version("linux"), None);
        assert_eq!(kernel_version(""), None);
    }

    /// As little-endian machines print it: 192.0.2.1:6969 and a wildcard.
    #[cfg(target_endian = "little")]
    #[test]
    fn sockets_are_read_from_the_kernels_tables() {
        let v4 = "  sl  local_address rem_address   st\n   1: 010200C0:1B39 00000000:0000 07\n   2: 00000000:0044 00000000:0000 07\n";
        assert_eq!(udp_sockets(v4), ["192.0.2.1:6969".parse().unwrap(), "0.0.0.0:68".parse().unwrap()]);
        let v6 = "  sl  local_address remote_address st\n   1: B80D0120000000000000000001000000:1B39 0:0 07\n   2: junk 0 0\n";
        assert_eq!(udp_sockets(v6), ["[2001:db8::1]:6969".parse().unwrap()]);
        assert_eq!(udp_sockets(""), []);
    }
}
