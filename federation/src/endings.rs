//! What nodes' public records say of delegations that ended: who stopped letting which node act in its name. A home serves no
//! visit on a warrant that is older than that, whoever brings it.

use artel_protocol::codec::{Decode, Encode};
use artel_protocol::key::{AgentId, NodeId};
use artel_protocol::time::Wall;
use std::collections::BTreeMap;

/// How many agents' endings are remembered of one node, some 80 bytes each. Where there is one more, all that was delegated to
/// the node before the newest of them is over: its agents enroll again there. Nothing that ended comes back by it.
pub const ENDINGS_EACH: usize = 4_096;

/// How many are remembered in all. At the limit the node with most is dealt with like one that has too many.
pub const ENDINGS_MAX: usize = 65_536;

/// Of how many nodes any are remembered; those of a further one are not heard. As many members have a place.
pub const NODES_MAX: usize = 65_536;

/// The moments up to which what was delegated is over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endings {
    nodes: BTreeMap<NodeId, OfNode>,
    count: usize,
}

/// What is remembered of one node.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct OfNode {
    /// Of all its agents.
    all: Option<Wall>,
    agents: BTreeMap<AgentId, Wall>,
}

impl Endings {
    /// A node says that what an agent delegated to it up to a moment is over.
    pub fn hear(&mut self, node: NodeId, agent: AgentId, before: Wall) {
        if !self.nodes.contains_key(&node) && self.nodes.len() >= NODES_MAX {
            return;
        }
        let of = self.nodes.entry(node).or_insert(OfNode { all: None, agents: BTreeMap::new() });
        if of.all.is_some_and(|all| all >= before) {
            return;
        }
        match of.agents.get_mut(&agent) {
            Some(known) => *known = before.max(*known),
            None => {
                of.agents.insert(agent, before);
                self.count += 1;
            }
        }
        if of.agents.len() > ENDINGS_EACH {
            self.count -= of.join();
        } else if self.count > ENDINGS_MAX {
            let most = self.nodes.values_mut().max_by_key(|of| of.agents.len()).expect("some are remembered");
            self.count -= most.join();
        }
    }

    /// The moment up to which what an agent delegated to a node is over, if any of it is.
    pub fn ended(&self, node: &NodeId, agent: &AgentId) -> Option<Wall> {
        let of = self.nodes.get(node)?;
        of.agents.get(agent).copied().max(of.all)
    }

    /// All that is remembered, by node.
    pub fn all(&self) -> impl Iterator<Item = (&NodeId, &OfNode)> {
        self.nodes.iter()
    }

    /// Takes what [`Endings::all`] said.
    pub fn take(&mut self, rows: impl IntoIterator<Item = (NodeId, OfNode)>) {
        for (node, of) in rows {
            for (agent, before) in of.agents {
                self.hear(node, agent, before);
            }
            if let Some(known) = self.nodes.get_mut(&node) {
                known.all = known.all.max(of.all);
            } else if of.all.is_some() && self.nodes.len() < NODES_MAX {
                self.nodes.insert(node, OfNode { all: of.all, agents: BTreeMap::new() });
            }
        }
    }
}

impl OfNode {
    /// Remembers one moment for all agents; how many had one of their own.
    fn join(&mut self) -> usize {
        self.all = self.agents.values().max().copied().max(self.all);
        std::mem::take(&mut self.agents).len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_protocol::key::PublicKey;

    fn key(n: u32) -> PublicKey {
        let mut key = [7; 32];
        key[..4].copy_from_slice(&n.to_le_bytes());
        PublicKey::from_bytes(key)
    }

    #[test]
    fn the_latest_ending_stands_whatever_order_they_come_in() {
        for order in [[5, 9], [9, 5]] {
            let mut endings = Endings::default();
            order.iter().for_each(|at| endings.hear(NodeId(key(1)), AgentId(key(2)), Wall(*at)));
            assert_eq!(endings.ended(&NodeId(key(1)), &AgentId(key(2))), Some(Wall(9)));
            assert_eq!(endings.ended(&NodeId(key(3)), &AgentId(key(2))), None, "at another node");
            assert_eq!(endings.ended(&NodeId(key(1)), &AgentId(key(4))), None, "of another agent");
        }
    }

    #[test]
    fn however_many_a_node_says_nothing_that_ended_comes_back() {
        let mut endings = Endings::default();
        let node = |n: u32| NodeId(key(1_000_000 + n));
        let most = ENDINGS_EACH as u32;
        for n in 0..=most {
            endings.hear(node(0), AgentId(key(n)), Wall(u64::from(n)));
        }
        assert_eq!(endings.count, 0);
        assert!((0..=most).all(|n| endings.ended(&node(0), &AgentId(key(n))) == Some(Wall(most.into()))));
        // Many nodes, each within its part: the largest gives way.
        for n in 1..40 {
            for agent in 0..ENDINGS_EACH as u32 / 2 {
                endings.hear(node(n), AgentId(key(agent)), Wall(10));
            }
        }
        assert!(endings.count <= ENDINGS_MAX);
        assert!((1..40).all(|n| endings.ended(&node(n), &AgentId(key(5))) == Some(Wall(10))));
        let mut restored = Endings::default();
        restored.take(endings.all().map(|(node, of)| (*node, of.clone())).collect::<Vec<_>>());
        assert_eq!(restored, endings);
    }
}
