//! Who belongs to the federation by what a node has heard, computed once more in another way than the shipped rule does:
//! from all words at once, whatever order they came in. The world holds each node to it.

use artel_federation::{Fact, Genesis};
use artel_protocol::hello::CHAIN_LINKS_MAX;
use artel_protocol::key::NodeId;
use std::collections::{BTreeMap, BTreeSet};

/// Everything that was said about membership: by author and node, by journal index, whether it expels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heard {
    words: BTreeMap<(NodeId, NodeId), BTreeMap<u64, bool>>,
}

impl Heard {
    /// Takes in an entry; most say nothing of membership.
    pub fn take(&mut self, author: NodeId, index: u64, fact: &Fact) {
        let (node, expels) = match fact {
            Fact::Admitted(admitted) => (admitted.node, false),
            Fact::Expelled(expelled) => (expelled.node, true),
            _ => return,
        };
        self.words.entry((author, node)).or_default().insert(index, expels);
    }

    /// Takes in what another has heard.
    pub fn merge(&mut self, other: &Heard) {
        for (key, words) in &other.words {
            self.words.entry(*key).or_default().extend(words);
        }
    }

    /// Whether anybody has said that it expels a node.
    pub fn is_named(&self, node: &NodeId) -> bool {
        self.words.iter().any(|((_, of), words)| of == node && words.values().any(|expels| *expels))
    }

    /// Whether a node is one's own guest: admitted by oneself, and expelled neither by oneself nor by a founder. A node that
    /// has expelled somebody on its own way to a founder has guests that are no members in its eyes.
    pub fn is_guest(&self, genesis: &Genesis, judge: &NodeId, node: &NodeId) -> bool {
        let barred = genesis.founders.iter().any(|founder| self.last(founder, node) == Some(true));
        self.last(judge, node) == Some(false) && !barred
    }

    fn last(&self, author: &NodeId, node: &NodeId) -> Option<bool> {
        self.words.get(&(*author, *node))?.last_key_value().map(|(_, expels)| *expels)
    }

    /// The members as `judge` is to see them: founders, and whomever a chain of at most eight admissions leads to, each of
    /// which is its author's last word, with nobody in it whom a founder or the judge has expelled.
    pub fn members(&self, genesis: &Genesis, judge: &NodeId) -> BTreeSet<NodeId> {
        let mut members: BTreeSet<NodeId> = genesis.founders.iter().copied().collect();
        let mut nearest = members.clone();
        let barred = |node: &NodeId| {
            genesis.founders.iter().chain([judge]).any(|by| self.last(by, node) == Some(true))
        };
        for _ in 0..CHAIN_LINKS_MAX {
            let fits = |(author, node): &&(NodeId, NodeId)| {
                nearest.contains(author)
                    && !members.contains(node)
                    && self.last(author, node) == Some(false)
                    && !barred(node)
            };
            nearest = self.words.keys().filter(fits).map(|(_, node)| *node).collect();
            if nearest.is_empty() {
                break;
            }
            members.extend(&nearest);
        }
        members
    }
}
