//! What journals say of delegations: by which challenges agents let their nodes act, which of them are over, and which home has
//! heard so. It goes by the order of entries in the node's own journal, where the shipped rules go by moments in texts.

use crate::invariants::{Held, ensure};
use crate::mesh::packet::Slot;
use artel_federation::Fact;
use artel_federation::visit::message::Warrant;
use artel_protocol::id::Digest;
use artel_protocol::key::{AgentId, NodeId};
use std::collections::BTreeMap;

/// A challenge by which an agent has let its node act.
#[derive(Debug, Clone)]
pub struct Challenge {
    /// The agent.
    pub agent: AgentId,
    /// Where its answer stands in the node's journal.
    pub index: u64,
    /// The warrant that its node shows at homes.
    pub warrant: Warrant,
}

/// All that is known of them.
#[derive(Debug, Default)]
pub struct Delegations {
    made: BTreeMap<NodeId, BTreeMap<Digest, Challenge>>,
    /// Where the last entry stands by which what an agent delegated to a node is over.
    ended: BTreeMap<(NodeId, AgentId), u64>,
    /// The same, as far as each home has heard of it.
    heard: BTreeMap<(Slot, NodeId, AgentId), u64>,
}

impl Delegations {
    /// A node's journal is read again from its first entry.
    pub fn read_again(&mut self, node: &NodeId) {
        self.made.remove(node);
        self.ended.retain(|(of, _), _| of != node);
    }

    /// Takes in the next synced entry of a node.
    pub fn take(&mut self, node: NodeId, index: u64, fact: &Fact) {
        match fact {
            Fact::Enrolled(f) => {
                let Some(delegation) = f.delegation else { return };
                let (challenge, signature) = (f.challenge.clone(), f.signature);
                let digest = Digest::of(challenge.as_bytes());
                let warrant = Warrant::Delegated { challenge, until: delegation.until, signature };
                self.made
                    .entry(node)
                    .or_default()
                    .insert(digest, Challenge { agent: f.agent, index, warrant });
            }
            Fact::DelegationEnded(f) => drop(self.ended.insert((node, f.agent), index)),
            _ => {}
        }
    }

    /// A home keeps a record of a node, or has its bytes and no room for them: from now on it has heard it.
    pub fn hears(&mut self, home: Slot, node: NodeId, index: u64, fact: &Fact) {
        if let Fact::DelegationEnded(f) = fact {
            let heard = self.heard.entry((home, node, f.agent)).or_default();
            *heard = index.max(*heard);
        }
    }

    /// The challenges that stand in a node's journal, and whether each is over.
    pub fn all(&self, node: &NodeId) -> impl Iterator<Item = (&Challenge, bool)> {
        let all = self.made.get(node).into_iter().flatten();
        all.map(|(_, one)| (one, self.ended.get(&(*node, one.agent)).is_some_and(|at| *at > one.index)))
    }

    fn of(&self, node: &NodeId, challenge: &Digest) -> Option<&Challenge> {
        self.made.get(node)?.get(challenge)
    }

    /// Whether an ending that a home has heard covers a challenge; an unknown one is covered by none.
    fn is_covered(&self, home: Slot, node: &NodeId, challenge: &Digest) -> bool {
        let Some(one) = self.of(node, challenge) else { return false };
        self.heard.get(&(home, *node, one.agent)).is_some_and(|at| *at > one.index)
    }

    /// Whether a home has heard of an ending of this agent's, and yet what it delegates now is newer.
    pub fn is_anew(&self, home: Slot, node: &NodeId, challenge: &Digest) -> bool {
        let Some(one) = self.of(node, challenge) else { return false };
        self.heard.get(&(home, *node, one.agent)).is_some_and(|at| *at < one.index)
    }

    /// A home serves a visit on a challenge: no ending covers it that the home has heard.
    ///
    /// # Errors
    /// One does.
    pub fn may_be_served(&self, home: Slot, node: &NodeId, challenge: &Digest) -> Held {
        ensure(!self.is_covered(home, node, challenge), || {
            format!("an agent of {node} is served on what it delegated before it ended that, which was heard")
        })
    }

    /// A home says that the delegation is over by which it is visited: it has heard so, and nothing was delegated since.
    ///
    /// # Errors
    /// It is not.
    pub fn may_be_refused(&self, home: Slot, node: &NodeId, challenge: &Digest) -> Held {
        ensure(self.is_covered(home, node, challenge), || {
            format!("an agent of {node} is refused, and no ending was heard that covers what it delegated")
        })
    }
}

/// What identifies the challenge on which a visit rests; none where the agent signs the act itself.
pub fn challenge_of(warrant: &Warrant) -> Option<Digest> {
    match warrant {
        Warrant::Delegated { challenge, .. } => Some(Digest::of(challenge.as_bytes())),
        Warrant::Own { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_federation::Json;
    use artel_federation::fact::{Delegation, DelegationEnded, Enrolled};
    use artel_protocol::key::{SecretKey, Signature};
    use artel_protocol::time::Wall;

    #[test]
    fn what_was_delegated_before_an_ending_is_covered_once_that_is_heard() {
        let key = |n: u8| SecretKey::from_seed(&[n; 32]).public();
        let (node, agent) = (NodeId(key(1)), AgentId(key(2)));
        let enrolled = |challenge: &str| {
            Fact::Enrolled(Enrolled {
                agent,
                name: String::new(),
                skills: Vec::new(),
                metadata: Json::new(*b"{}"),
                capacity: 1,
                delegation: Some(Delegation { until: Wall(9) }),
                serial: 1,
                expires: Wall(9),
                challenge: challenge.into(),
                signature: Signature([0; 64]),
            })
        };
        let ended = Fact::DelegationEnded(DelegationEnded { agent, before: Wall(1) });
        let mut known = Delegations::default();
        known.take(node, 3, &enrolled("old"));
        known.take(node, 5, &ended);
        known.take(node, 8, &enrolled("new"));
        let (old, new) = (Digest::of(b"old"), Digest::of(b"new"));
        assert!(known.may_be_served(0, &node, &old).is_ok() && known.may_be_refused(0, &node, &old).is_err());
        known.hears(0, node, 5, &ended);
        assert!(known.may_be_served(0, &node, &old).is_err() && known.may_be_refused(0, &node, &old).is_ok());
        assert!(known.may_be_served(1, &node, &old).is_ok(), "another home has not heard it");
        assert!(known.may_be_refused(0, &node, &new).is_err() && known.is_anew(0, &node, &new));
        let over: Vec<(u64, bool)> = known.all(&node).map(|(one, over)| (one.index, over)).collect();
        assert!(over.contains(&(3, true)) && over.contains(&(8, false)));
    }
}
