//! Other nodes of a cluster, by numbers: what is known of swarms tells from whom by two bytes instead of a name.

use parking_lot::Mutex;
use std::sync::Arc;

/// The most nodes that have a number: as many names as a process hears of in its life.
pub const MAX_NODES: usize = 1024;
/// The longest name, bytes.
pub const MAX_NAME: usize = 64;

/// Another node, for as long as this process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeNumber(u16);

impl NodeNumber {
    /// From 0, below [`MAX_NODES`].
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// The node with this number, if it may be one.
    #[must_use]
    pub const fn new(number: u16) -> Option<Self> {
        if (number as usize) < MAX_NODES { Some(Self(number)) } else { None }
    }
}

/// The registry that a whole process has in common: a number means the same node everywhere in it.
pub type SharedNodes = Arc<Mutex<Nodes>>;

/// Names and numbers of nodes. A number is never given to another name.
#[derive(Clone, Debug, Default)]
pub struct Nodes {
    names: Vec<Box<str>>,
}

impl Nodes {
    /// The number of a node, which gets one if it has none. `None` once there are [`MAX_NODES`], or if the name has no byte,
    /// more than [`MAX_NAME`], or any but letters, digits, `-` and `_`.
    pub fn number(&mut self, name: &str) -> Option<NodeNumber> {
        if let Some(number) = self.find(name) {
            return Some(number);
        }
        if self.names.len() >= MAX_NODES || !is_name(name) {
            return None;
        }
        self.names.push(name.into());
        NodeNumber::new((self.names.len() - 1) as u16)
    }

    /// The number of a node that has one.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<NodeNumber> {
        let at = self.names.iter().position(|known| **known == *name)?;
        NodeNumber::new(at as u16)
    }

    /// The name of a node.
    #[must_use]
    pub fn name(&self, number: NodeNumber) -> Option<&str> {
        self.names.get(usize::from(number.0)).map(AsRef::as_ref)
    }

    /// All that have a number, in its order.
    pub fn all(&self) -> impl Iterator<Item = (NodeNumber, &str)> {
        self.names.iter().enumerate().filter_map(|(at, name)| Some((NodeNumber::new(at as u16)?, &**name)))
    }
}

/// Whether a node may have this name, which is a token of a NATS subject and of a file.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_number() {
        let mut nodes = Nodes::default();
        let [a, b] = ["a-1", "B_2"].map(|name| nodes.number(name).unwrap());
        assert_eq!((a.get(), b.get(), nodes.number("a-1")), (0, 1, Some(a)));
        assert_eq!((nodes.find("c"), nodes.name(b)), (None, Some("B_2")));
        assert_eq!(nodes.all().collect::<Vec<_>>(), [(a, "a-1"), (b, "B_2")]);
    }

    #[test]
    fn names_are_bounded() {
        let mut nodes = Nodes::default();
        let long = "n".repeat(MAX_NAME + 1);
        for bad in ["", "a.b", "a b", "*", ">", "é", &long] {
            assert_eq!(nodes.number(bad), None, "{bad}");
        }
        assert!((0..MAX_NODES).all(|at| nodes.number(&format!("n{at}")).is_some()));
        assert_eq!((nodes.number("more"), nodes.number("n7").map(NodeNumber::get)), (None, Some(7)));
    }
}
