//! What was forgotten for want of room, so roughly as it takes little room: which of a node's records, towards which other
//! node, and between which places. It says whether a receipt may have been lost that another reader has.

use super::LOST_EACH;
use artel_protocol::codec::{Decode, Encode};
use artel_protocol::key::{NodeId, PublicKey};
use std::collections::BTreeMap;

/// The first and the last place that was forgotten, by whose it was and whom it concerned.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub(super) struct Lost(BTreeMap<(NodeId, NodeId), (u64, u64)>);

impl Lost {
    /// Something of a node was forgotten that concerned another one, at a place in a journal.
    pub fn add(&mut self, of: NodeId, with: NodeId, index: u64) {
        let is_known = self.0.contains_key(&(of, with));
        let known = self.0.range((of, anybody())..).take_while(|(key, _)| key.0 == of);
        let with = if !is_known && known.count() >= LOST_EACH { anybody() } else { with };
        let (first, last) = self.0.entry((of, with)).or_insert((index, index));
        (*first, *last) = (index.min(*first), index.max(*last));
    }

    /// Whether what is said to be at a place may have been forgotten.
    pub fn may_have(&self, of: NodeId, with: NodeId, index: u64) -> bool {
        let is_between = |(first, last): &(u64, u64)| (*first..=*last).contains(&index);
        [with, anybody()].iter().any(|with| self.0.get(&(of, *with)).is_some_and(is_between))
    }
}

/// Stands for all others of whom a node has too many: no node's key.
fn anybody() -> NodeId {
    NodeId(PublicKey::from_bytes([0; 32]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_forgotten_is_never_denied_and_little_else_said() {
        let node = |n: usize| NodeId(PublicKey::from_bytes([n as u8 + 1; 32]));
        let mut lost = Lost::default();
        for index in [40, 20, 60] {
            lost.add(node(0), node(1), index);
        }
        let said: Vec<bool> =
            [19, 20, 50, 60, 61].iter().map(|at| lost.may_have(node(0), node(1), *at)).collect();
        assert_eq!(said, [false, true, true, true, false]);
        assert!(!lost.may_have(node(0), node(2), 40) && !lost.may_have(node(1), node(0), 40));
        for n in 0..LOST_EACH + 9 {
            lost.add(node(3), node(n), n as u64);
        }
        assert_eq!(lost.0.len(), 1 + LOST_EACH + 1);
        assert!((0..LOST_EACH + 9).all(|n| lost.may_have(node(3), node(n), n as u64)));
    }
}
