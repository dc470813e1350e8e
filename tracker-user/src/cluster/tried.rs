//! Who was asked for a walk because something is lacking.

use std::time::Duration;

/// For how long a node that is silent may come back, and send again or tell what did not come.
pub(super) const GONE_AFTER_NS: u64 = Duration::from_secs(60).as_nanos() as u64;
/// Nodes that are asked for a walk because of the same.
const MAX_TRIED: usize = 8;

/// Who has given walks because something is lacking, which none of them told.
#[derive(Clone, Debug, Default)]
pub struct Tried {
    by: Vec<Box<str>>,
    /// Since when nobody is left to be asked.
    idle_since_ns: Option<u64>,
}

impl Tried {
    /// Whether nobody is left to be asked, and nobody who may know came back for a while.
    pub fn is_over(&mut self, donors: &[Box<str>], now_ns: u64) -> bool {
        let is_left = self.by.len() < MAX_TRIED && donors.iter().any(|donor| !self.by.contains(donor));
        if is_left {
            self.idle_since_ns = None;
            return false;
        }
        // Somebody who was away may come back, and know.
        now_ns.saturating_sub(*self.idle_since_ns.get_or_insert(now_ns)) > GONE_AFTER_NS
    }

    /// A node gave a walk.
    pub fn gave(&mut self, by: &str) {
        self.by.push(by.into());
    }

    /// Those of them who were not asked yet.
    #[must_use]
    pub fn untried(&self, of: &[Box<str>]) -> Vec<Box<str>> {
        let may_be_asked = self.idle_since_ns.is_none();
        of.iter().filter(|name| may_be_asked && !self.by.contains(name)).cloned().collect()
    }

    /// A node is back: it may know what others did not.
    pub fn is_back(&mut self, name: &str) {
        self.by.retain(|tried| **tried != *name);
    }
}
