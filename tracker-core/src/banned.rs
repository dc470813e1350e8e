//! The networks whose clients get nothing.

use crate::{
    lines::{self, ListError},
    networks::{Network, NoNetwork, Written},
};
use prefix_trie::PrefixSet;
use std::{fmt, io::BufRead, sync::Arc};
use tracker_common::address::{Address, Family};

/// A set of networks of both families.
#[derive(Clone, Default, PartialEq)]
pub struct NetworkSet {
    ipv4: PrefixSet<(u32, u8)>,
    ipv6: PrefixSet<(u128, u8)>,
}

impl Eq for NetworkSet {}

/// The longest prefixes.
const ADDRESS4: u8 = 32;
const ADDRESS6: u8 = 128;

impl NetworkSet {
    /// Reads a list of at most so many networks as [`lines::read`] does, in CIDR notation or addresses. `odd` is told of lines
    /// whose address has bits beyond the prefix, which do not count.
    ///
    /// # Errors
    /// At the first line that is anything else or a network of all addresses, at the first one too many, and if reading fails.
    pub fn parse(
        text: impl BufRead,
        most: usize,
        mut odd: impl FnMut(usize, Network),
    ) -> Result<Self, ListError> {
        let mut set = Self::default();
        lines::read(text, most, |line, entry| {
            let text = str::from_utf8(entry).map_err(|_| NoNetwork::Malformed)?;
            let Written { network, has_host_bits } = Network::parse(text)?;
            if has_host_bits {
                odd(line, network);
            }
            set.insert(&network);
            Ok::<_, NoNetwork>(())
        })?;
        Ok(set)
    }

    /// Adds a network. Whether it was new.
    pub fn insert(&mut self, network: &Network) -> bool {
        match key(network) {
            Key::Ipv4(key) => self.ipv4.insert(key),
            Key::Ipv6(key) => self.ipv6.insert(key),
        }
    }

    /// Whether an address is in one of the networks.
    #[inline]
    #[must_use]
    pub fn covers(&self, address: Address) -> bool {
        match address.family() {
            Family::Ipv4 => self.ipv4.is_covered(&(ipv4(address), ADDRESS4)),
            Family::Ipv6 => self.ipv6.is_covered(&(ipv6(address), ADDRESS6)),
        }
    }

    /// Whether this very network is among them.
    #[must_use]
    pub fn contains(&self, network: &Network) -> bool {
        match key(network) {
            Key::Ipv4(key) => self.ipv4.contains(&key),
            Key::Ipv6(key) => self.ipv6.contains(&key),
        }
    }

    /// The largest of the networks in which all of this one is, if there is one.
    #[must_use]
    pub fn cover(&self, network: &Network) -> Option<Network> {
        match key(network) {
            Key::Ipv4(key) => self.ipv4.get_spm(&key).map(network4),
            Key::Ipv6(key) => self.ipv6.get_spm(&key).map(network6),
        }
    }

    /// All of them, sorted.
    pub fn iter(&self) -> impl Iterator<Item = Network> {
        self.ipv4.iter().map(network4).chain(self.ipv6.iter().map(network6))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        Family::ALL.into_iter().map(|family| self.len_of(family)).sum()
    }

    /// How many there are of a family.
    #[must_use]
    pub fn len_of(&self, family: Family) -> usize {
        match family {
            Family::Ipv4 => self.ipv4.len(),
            Family::Ipv6 => self.ipv6.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl FromIterator<Network> for NetworkSet {
    fn from_iter<T: IntoIterator<Item = Network>>(networks: T) -> Self {
        let mut set = Self::default();
        for network in networks {
            set.insert(&network);
        }
        set
    }
}

impl fmt::Debug for NetworkSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} networks", self.len())
    }
}

enum Key {
    Ipv4((u32, u8)),
    Ipv6((u128, u8)),
}

fn key(network: &Network) -> Key {
    let (address, prefix) = (network.address(), network.prefix());
    match network.family() {
        Family::Ipv4 => Key::Ipv4((ipv4(address), prefix)),
        Family::Ipv6 => Key::Ipv6((ipv6(address), prefix)),
    }
}

fn ipv4(address: Address) -> u32 {
    u32::from_be_bytes(address.ipv4_bytes())
}

fn ipv6(address: Address) -> u128 {
    u128::from_be_bytes(address.octets())
}

fn network4((bits, prefix): (u32, u8)) -> Network {
    Network::new(std::net::Ipv4Addr::from_bits(bits).into(), prefix)
}

fn network6((bits, prefix): (u128, u8)) -> Network {
    Network::new(std::net::Ipv6Addr::from_bits(bits).into(), prefix)
}

/// What the operator has banned: by a file, which may be long, and by decisions while running, which are few. A copy
/// shares both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Banned {
    listed: Arc<NetworkSet>,
    decided: Arc<NetworkSet>,
    is_empty: IsEmpty,
}

/// Known beforehand, so that where nothing is banned a look costs a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct IsEmpty(bool);

impl Default for IsEmpty {
    fn default() -> Self {
        Self(true)
    }
}

impl Banned {
    /// Those that a file lists, and those that were decided besides.
    #[must_use]
    pub fn new(listed: Arc<NetworkSet>, decided: Arc<NetworkSet>) -> Self {
        let is_empty = IsEmpty(listed.is_empty() && decided.is_empty());
        Self { listed, decided, is_empty }
    }

    /// Whether a client at this address gets nothing.
    #[inline]
    #[must_use]
    pub fn covers(&self, address: Address) -> bool {
        !self.is_empty.0 && (self.decided.covers(address) || self.listed.covers(address))
    }

    /// Whether nobody is banned.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.is_empty.0
    }

    /// How many networks of a family are banned; some may count twice.
    #[must_use]
    pub fn len_of(&self, family: Family) -> usize {
        self.listed.len_of(family) + self.decided.len_of(family)
    }

    /// Those that the file lists.
    #[must_use]
    pub fn listed(&self) -> &Arc<NetworkSet> {
        &self.listed
    }

    /// Those that were decided besides.
    #[must_use]
    pub fn decided(&self) -> &Arc<NetworkSet> {
        &self.decided
    }

    /// The networks that are banned here and not there, each once or twice. It takes a look at those only that may be.
    pub fn without(&self, other: &Self) -> impl Iterator<Item = Network> {
        let same_list = Arc::ptr_eq(&self.listed, &other.listed);
        let listed = (!same_list).then(|| self.listed.iter()).into_iter().flatten();
        let is_there = |network: &Network| other.listed.contains(network) || other.decided.contains(network);
        listed.chain(self.decided.iter()).filter(move |network| !is_there(network))
    }

    /// Whether both share all that they hold.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.listed, &other.listed) && Arc::ptr_eq(&self.decided, &other.decided)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use std::collections::BTreeSet;

    fn network(text: &str) -> Network {
        Network::parse(text).unwrap().network
    }

    fn address(text: &str) -> Address {
        text.parse::<std::net::IpAddr>().unwrap().into()
    }

    fn set(texts: &[&str]) -> Arc<NetworkSet> {
        Arc::new(texts.iter().map(|text| network(text)).collect())
    }

    /// An address among few, so that networks and addresses meet.
    fn random_address(rng: &mut Rng) -> Address {
        let low = rng.below(64) as u8;
        match rng.below(4) {
            0 => Address::from_ipv4([10, low, rng.below(4) as u8, rng.below(256) as u8]),
            1 => Address::from_ipv4([low << 2, 0, 0, 0]),
            2 => {
                let mut octets = [0; 16];
                octets[..2].copy_from_slice(&[0x20, low]);
                octets[6 + rng.below(10)] = rng.below(256) as u8;
                Address::from_octets(octets)
            }
            // Beside the IPv4-mapped ones.
            _ => Address::from_octets([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, low, 10, 0, 0, 1]),
        }
    }

    #[test]
    fn a_set_is_what_a_look_at_each_of_its_networks_says() {
        let mut rng = Rng::new([7, 8]);
        for round in 0..60 {
            let networks: Vec<Network> = (0..rng.below(60))
                .map(|_| {
                    let address = random_address(&mut rng);
                    let longest = if address.family() == Family::Ipv4 { 32 } else { 128 };
                    Network::new(address.to_ip(), 1 + rng.below(longest) as u8)
                })
                .collect();
            let naive: BTreeSet<Network> = networks.iter().copied().collect();
            let set: NetworkSet = networks.into_iter().collect();
            assert_eq!(set.len(), naive.len());
            assert_eq!(set.iter().collect::<Vec<_>>(), naive.iter().copied().collect::<Vec<_>>(), "{round}");
            for _ in 0..2_000 {
                let address = random_address(&mut rng);
                let expected = naive.iter().any(|network| network.contains(address));
                assert_eq!(set.covers(address), expected, "{address:?} in {naive:?}");
            }
            for one in &naive {
                assert!(set.contains(one));
                let larger =
                    |other: &&Network| other.prefix() <= one.prefix() && other.contains(one.address());
                let largest = naive
                    .iter()
                    .filter(|other| other.family() == one.family())
                    .filter(larger)
                    .min_by_key(|other| other.prefix());
                assert_eq!(set.cover(one).as_ref(), largest, "{one} in {naive:?}");
            }
        }
    }

    #[test]
    fn a_short_prefix_of_ipv6_that_begins_as_ipv4_does_is_ipv6() {
        let set: NetworkSet = [network("::ffff:0.0.0.0/90"), network("::/1")].into_iter().collect();
        assert_eq!((set.len_of(Family::Ipv4), set.len_of(Family::Ipv6)), (0, 2));
        assert!(!set.covers(address("10.0.0.1")) && set.covers(address("::1")));
        assert_eq!(
            set.iter().map(|network| network.to_string()).collect::<Vec<_>>(),
            ["::/1", "::ffc0:0:0/90"]
        );
    }

    #[test]
    fn a_list_is_read_with_warnings_for_host_bits() {
        let text = "# ours\r\n10.0.0.0/8\r\n10.1.2.3/16 # odd\n2001:db8::1\n10.0.0.0/8\n";
        let mut odd = Vec::new();
        let set = NetworkSet::parse(text.as_bytes(), 4, |line, network| odd.push((line, network))).unwrap();
        assert_eq!(set.len(), 3);
        assert_eq!(odd, [(3, network("10.1.0.0/16"))]);
        let error = NetworkSet::parse(text.as_bytes(), 3, |_, _| {}).unwrap_err();
        assert_eq!(error.to_string(), "line 5: more than 3 entries");
        for (text, expected) in [
            (&b"10.0.0.0/8\n10.0.0.0/33\n"[..], "line 2: expected a network such as"),
            (b"\n0.0.0.0/0\n", "line 2: a network of all addresses is refused, found \"0.0.0.0/0\""),
            (b"\xff\xfe\n", "line 1: expected a network"),
        ] {
            let error = NetworkSet::parse(text, 9, |_, _| {}).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn what_differs_is_told_and_nothing_else() {
        let none = Banned::default();
        assert!(none.is_empty() && !none.covers(address("10.0.0.1")));
        let listed = set(&["10.0.0.0/8", "2001:db8::/32"]);
        let before = Banned::new(listed.clone(), set(&["192.0.2.0/24"]));
        let after = Banned::new(listed, set(&["10.0.0.0/8", "198.51.100.1"]));
        let other_list = Banned::new(set(&["10.0.0.0/8"]), set(&["192.0.2.0/24"]));
        let without = |one: &Banned, other: &Banned| {
            one.without(other).map(|network| network.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(without(&after, &before), ["198.51.100.1/32"]);
        assert_eq!(without(&before, &after), ["192.0.2.0/24"]);
        assert_eq!(without(&before, &other_list), ["2001:db8::/32"]);
        assert!(without(&other_list, &before).is_empty() && without(&none, &after).is_empty());
        assert_eq!(without(&before, &none), ["10.0.0.0/8", "2001:db8::/32", "192.0.2.0/24"]);
        assert!(after.covers(address("10.9.9.9")) && after.covers(address("198.51.100.1")));
        assert!(!after.covers(address("192.0.2.1")) && before.covers(address("192.0.2.1")));
    }
}
