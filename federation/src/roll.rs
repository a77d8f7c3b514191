//! The roll of members: everybody to whom a chain of admissions leads from a founder, by the words that were heard. It is
//! kept as they come: a word costs what it changes, not the whole federation.

use crate::fact::{Fact, Genesis};
use crate::words::{Heard, Word, Words};
use artel_protocol::hello::CHAIN_LINKS_MAX;
use artel_protocol::key::NodeId;
use std::collections::{BTreeMap, BTreeSet};

/// Who belongs to the federation.
#[derive(Debug, Clone)]
pub(crate) struct Roll {
    words: Words,
    /// How many admissions a member's shortest chain has.
    members: BTreeMap<NodeId, usize>,
    unheard: u64,
}

impl Roll {
    /// The founders' alone.
    pub fn new(me: NodeId, genesis: Genesis) -> Self {
        let members = genesis.founders.iter().map(|founder| (*founder, 0)).collect();
        Roll { words: Words::new(me, genesis), members, unheard: 0 }
    }

    /// What was heard.
    pub fn words(&self) -> &Words {
        &self.words
    }

    /// How many words found no place.
    pub fn unheard(&self) -> u64 {
        self.unheard
    }

    /// Whether a node is a member.
    pub fn has(&self, node: &NodeId) -> bool {
        self.members.contains_key(node)
    }

    /// The members, in order of their keys.
    pub fn members(&self) -> impl Iterator<Item = &NodeId> {
        self.members.keys()
    }

    /// Hears entries of a journal.
    pub fn hear<'a>(&mut self, author: NodeId, entries: impl IntoIterator<Item = (u64, &'a Fact)>) {
        let heard = entries.into_iter().map(|(index, fact)| self.words.learn(author, index, fact)).collect();
        self.settle(heard);
    }

    /// Takes words as [`Words::after`] has them.
    pub fn take(&mut self, words: impl IntoIterator<Item = (NodeId, NodeId, Word)>) {
        let taken =
            words.into_iter().map(|(author, node, word)| self.words.take(author, node, word)).collect();
        self.settle(taken);
    }

    fn settle(&mut self, heard: Vec<Heard>) {
        self.unheard += heard.iter().filter(|heard| **heard == Heard::NoPlace).count() as u64;
        let new = heard.into_iter().filter_map(|heard| match heard {
            Heard::New(node) => Some(node),
            Heard::Nothing | Heard::NoPlace => None,
        });
        let new: BTreeSet<NodeId> = new.collect();
        let mut open = self.strike_out(&new);
        open.extend(new);
        self.enter(&open);
    }

    /// Strikes out whoever has lost the shortest chain, the nearest to a founder first, so that nobody stays by one who goes.
    /// Some of them are led to by a longer one.
    fn strike_out(&mut self, from: &BTreeSet<NodeId>) -> BTreeSet<NodeId> {
        let mut open: BTreeSet<(usize, NodeId)> =
            from.iter().filter_map(|node| Some((*self.members.get(node)?, *node))).collect();
        let mut gone = BTreeSet::new();
        while let Some((length, node)) = open.pop_first() {
            if self.nearest(&node).is_some_and(|nearest| nearest <= length) {
                continue;
            }
            self.members.remove(&node);
            gone.insert(node);
            let next = self.words.let_in_by(&node);
            let rests = |next: &&NodeId| self.members.get(*next) == Some(&(length + 1));
            open.extend(next.filter(rests).map(|next| (length + 1, *next)));
        }
        gone
    }

    /// Enters whoever a chain leads to, and all to whom it leads on from there, the nearest first.
    fn enter(&mut self, from: &BTreeSet<NodeId>) {
        let mut open: BTreeSet<(usize, NodeId)> =
            from.iter().filter_map(|node| Some((self.nearest(node)?, *node))).collect();
        while let Some((length, node)) = open.pop_first() {
            if self.members.get(&node).is_some_and(|known| *known <= length) {
                continue;
            }
            self.members.insert(node, length);
            if length == CHAIN_LINKS_MAX {
                continue;
            }
            let is_nearer = |next: &&NodeId| {
                let known = self.members.get(*next);
                known.is_none_or(|known| *known > length + 1) && !self.words.is_barred(next, None)
            };
            let next = self.words.let_in_by(&node).filter(is_nearer);
            open.extend(next.map(|next| (length + 1, *next)));
        }
    }

    /// How many admissions the shortest chain to a node has by those who are members now.
    fn nearest(&self, node: &NodeId) -> Option<usize> {
        if self.words.genesis().is_founder(node) {
            return Some(0);
        }
        if self.words.is_barred(node, None) {
            return None;
        }
        let by = self.words.who_let_in(node).filter_map(|author| self.members.get(author));
        by.min().map(|length| length + 1).filter(|length| *length <= CHAIN_LINKS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fact::{Admission, AdmittedBy};
    use artel_protocol::id::Digest;
    use artel_protocol::key::PublicKey;
    use artel_protocol::time::Wall;
    use proptest::prelude::*;

    const NODES: u8 = 14;

    fn node(n: u8) -> NodeId {
        NodeId(PublicKey::from_bytes([n + 1; 32]))
    }

    /// Nodes 0 and 1 are founders, node 2 judges.
    fn roll(admission: Admission) -> Roll {
        let (name, recovery) = ("f".into(), Digest::of(b""));
        let founders = vec![node(0), node(1)];
        Roll::new(node(2), Genesis { name, founders, admission, recovery, created: Wall(0) })
    }

    /// Everybody, found from nothing: the nearest first, as the rule says.
    fn found_anew(roll: &Roll) -> Vec<NodeId> {
        let mut found: BTreeSet<NodeId> = roll.words.genesis().founders.iter().copied().collect();
        for _ in 0..CHAIN_LINKS_MAX {
            let next: Vec<NodeId> =
                found.iter().flat_map(|node| roll.words.let_in_by(node)).copied().collect();
            found.extend(next.into_iter().filter(|next| !roll.words.is_barred(next, None)));
        }
        found.into_iter().collect()
    }

    fn word() -> impl Strategy<Value = (NodeId, NodeId, Word)> {
        let by = prop_oneof![
            5 => Just(Some(AdmittedBy::Operator)),
            1 => Just(Some(AdmittedBy::Open)),
            3 => Just(None),
        ];
        (0..NODES, 0..NODES, 0..40u64, by)
            .prop_map(|(author, on, index, admitted)| (node(author), node(on), Word { index, admitted }))
    }

    proptest! {
        #[test]
        fn word_by_word_gives_the_same_members_as_all_at_once(
            words in prop::collection::vec(word(), 1..160), open in any::<bool>()
        ) {
            let admission = if open { Admission::Open } else { Admission::Invitation };
            let (mut one, mut all) = (roll(admission), roll(admission));
            for word in &words {
                one.take([*word]);
                let members: Vec<NodeId> = one.members().copied().collect();
                prop_assert_eq!(members, found_anew(&one));
            }
            all.take(words);
            prop_assert_eq!(one.members, all.members);
        }
    }

    #[test]
    fn a_chain_has_so_many_admissions_and_no_more() {
        let mut roll = roll(Admission::Invitation);
        let says =
            |by: u8, on: u8| (node(by), node(on), Word { index: 1, admitted: Some(AdmittedBy::Operator) });
        let last = 2 + CHAIN_LINKS_MAX as u8;
        roll.take((3..=last).map(|n| says(if n == 3 { 0 } else { n - 1 }, n)));
        roll.take([says(last, last + 1)]);
        assert!(roll.has(&node(last)) && !roll.has(&node(last + 1)));
        roll.take([says(1, 5)]);
        assert!(roll.has(&node(last + 1)), "a shorter way leads on");
        roll.take([(node(1), node(5), Word { index: 2, admitted: None })]);
        assert!(roll.has(&node(4)) && !roll.has(&node(5)) && !roll.has(&node(last)), "and no way any more");
    }
}
