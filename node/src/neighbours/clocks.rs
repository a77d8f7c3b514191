//! How far neighbours' clocks are from this node's, by what they dated: hellos and cosignatures. For the operator to see;
//! nothing is decided by it.

use crate::doctor::Difference;
use artel_protocol::key::NodeId;
use artel_protocol::time::Wall;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// How many neighbours' are kept. Above the connections that there may be, so that none is missing; one more is dropped.
const NODES_MAX: usize = 256;

/// How old a hello may be when it comes: its node signs it anew once a minute. So much is no difference.
const HELLO_AGE_MS: i64 = 60_000;

/// The last difference of each neighbour's clock.
#[derive(Default)]
pub(super) struct Clocks(Mutex<BTreeMap<NodeId, i64>>);

impl Clocks {
    /// A hello came that was signed at `theirs`.
    pub fn hello(&self, from: NodeId, theirs: Wall, ours: Wall) {
        let ahead = difference(theirs.0, ours.0);
        let known = if ahead < 0 { (ahead + HELLO_AGE_MS).min(0) } else { ahead };
        self.keep(from, known);
    }

    /// A cosignature came that was signed at this moment, in whole seconds.
    pub fn cosignature(&self, from: NodeId, theirs_s: u64, ours: Wall) {
        self.keep(from, difference(theirs_s.saturating_mul(1_000), ours.0 / 1_000 * 1_000));
    }

    fn keep(&self, from: NodeId, ahead_ms: i64) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < NODES_MAX || kept.contains_key(&from) {
            kept.insert(from, ahead_ms);
        }
    }

    /// All of them, by key.
    pub fn all(&self) -> Vec<Difference> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().map(|(node, ahead_ms)| Difference { node: *node, ahead_ms: *ahead_ms }).collect()
    }
}

fn difference(theirs: u64, ours: u64) -> i64 {
    let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
    signed(theirs).saturating_sub(signed(ours))
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_protocol::key::SecretKey;

    fn node(seed: u64) -> NodeId {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        NodeId(SecretKey::from_seed(&bytes).public())
    }

    #[test]
    fn a_hello_may_be_a_minute_old_and_a_cosignature_not() {
        let now = 1_800_000_000_000;
        for (theirs, wanted) in [
            (now, 0),
            (now - 60_000, 0),
            (now - 61_000, -1_000),
            (now + 500, 500),
            (u64::MAX, i64::MAX - now as i64),
        ] {
            let clocks = Clocks::default();
            clocks.hello(node(1), Wall(theirs), Wall(now));
            assert_eq!(clocks.all()[0].ahead_ms, wanted, "{theirs}");
        }
        let clocks = Clocks::default();
        clocks.hello(node(1), Wall(now + 900_000), Wall(now));
        clocks.cosignature(node(1), now / 1_000 - 7, Wall(now + 999));
        assert_eq!(clocks.all(), [Difference { node: node(1), ahead_ms: -7_000 }], "the last word counts");
    }

    #[test]
    fn strangers_do_not_fill_the_memory() {
        let clocks = Clocks::default();
        (0..300).for_each(|seed| clocks.hello(node(seed), Wall(0), Wall(0)));
        assert_eq!(clocks.all().len(), NODES_MAX);
        clocks.hello(node(0), Wall(9), Wall(0));
        assert!(clocks.all().iter().any(|one| one.ahead_ms == 9), "a known one is heard all the same");
    }
}
