//! What journals say of membership: the last word of each author on each node, by which it admitted or expelled it. Who is a
//! member follows from all of them, in `chain.rs` for what a peer shows and in `roll.rs` for everybody.

use crate::chain::Link;
use crate::fact::{Admission, AdmittedBy, Fact, Genesis};
use artel_protocol::codec::{Decode, Encode};
use artel_protocol::key::{NodeId, PublicKey};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// The most words that are remembered, some 150 bytes each. Larger, and members that admit the whole world fill our memory;
/// smaller, and a large federation's youngest are strangers here. A further one is not heard.
pub const WORDS_MAX: usize = 131_072;

/// How many of these may be members' who are no founders. The rest is the founders' alone, and this node's own: nobody else
/// makes their words unheard.
pub const WORDS_OF_OTHERS_MAX: usize = WORDS_MAX / 2;

/// How many of these may be one member's, each on another node. Larger, and a few members use up the part of all; smaller,
/// and a member that lets in more than so many lets in strangers.
pub const WORDS_EACH: usize = 4_096;

/// How often a member may let in again whom it had expelled. Each time all come back whom that node let in, which is work for
/// as many as they are. A further return is not heard: the node stays expelled. It bounds what one member makes a running node
/// do, so it is counted from the node's start on and stands in no file.
pub const RETURNS_MAX: u32 = 64;

/// An author's last word on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Word {
    /// Where it stands in the author's journal.
    pub index: u64,
    /// On what the author let the node in; nothing where it expelled it.
    pub admitted: Option<AdmittedBy>,
}

/// What became of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// It is remembered: the last one on this node.
    New(NodeId),
    /// It is of no account: an older one than the last, one that nobody has to hear, or no word at all.
    Nothing,
    /// There was no place for it.
    NoPlace,
}

/// The last word of each author on each node, as far as it has a say.
#[derive(Debug, Clone)]
pub struct Words {
    me: NodeId,
    genesis: Genesis,
    by: BTreeMap<NodeId, Said>,
    /// Node and author of each word.
    on: BTreeSet<(NodeId, NodeId)>,
    /// Whom a founder, or this node, has expelled.
    barred: BTreeSet<NodeId>,
    of_others: usize,
}

/// What an author has said.
#[derive(Debug, Clone, Default)]
struct Said {
    words: BTreeMap<NodeId, Word>,
    returns: u32,
}

impl Words {
    /// No word yet. `me` is the node that judges by them.
    pub fn new(me: NodeId, genesis: Genesis) -> Self {
        let (by, on, barred) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        Words { me, genesis, by, on, barred, of_others: 0 }
    }

    /// The record that founded the federation.
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// Learns an entry of a journal. An author's entries may come in any order.
    pub fn learn(&mut self, author: NodeId, index: u64, fact: &Fact) -> Heard {
        match fact {
            Fact::Admitted(f) => self.take(author, f.node, Word { index, admitted: Some(f.by) }),
            Fact::Expelled(f) => self.take(author, f.node, Word { index, admitted: None }),
            _ => Heard::Nothing,
        }
    }

    /// Takes a word as [`Words::after`] has it.
    pub fn take(&mut self, author: NodeId, node: NodeId, word: Word) -> Heard {
        let has_a_say = self.has_the_last_say(&author);
        // Where founders alone admit, nobody else's word changes anything; and nobody's on a founder.
        let is_idle = !has_a_say && self.genesis.admission == Admission::Open;
        if is_idle || self.genesis.is_founder(&node) {
            return Heard::Nothing;
        }
        let total = self.on.len();
        let said = self.by.get(&author);
        match said.and_then(|said| said.words.get(&node)) {
            Some(last) if last.index >= word.index => return Heard::Nothing,
            Some(last) if last.admitted.is_none() && word.admitted.is_some() && !has_a_say => {
                let said = self.by.get_mut(&author).expect("just seen");
                if said.returns >= RETURNS_MAX {
                    return Heard::NoPlace;
                }
                said.returns += 1;
            }
            Some(_) => {}
            None => {
                let each = said.map_or(0, |said| said.words.len());
                let is_full = each >= WORDS_EACH || self.of_others >= WORDS_OF_OTHERS_MAX;
                if total >= WORDS_MAX || !has_a_say && is_full {
                    return Heard::NoPlace;
                }
                self.of_others += usize::from(!has_a_say);
                self.on.insert((node, author));
            }
        }
        self.by.entry(author).or_default().words.insert(node, word);
        if has_a_say {
            match self.expelled_by_any(&node, None) {
                true => self.barred.insert(node),
                false => self.barred.remove(&node),
            };
        }
        Heard::New(node)
    }

    /// All words behind an author's on a node, or all, in this order.
    pub fn after(&self, last: Option<(NodeId, NodeId)>) -> impl Iterator<Item = (NodeId, NodeId, Word)> + '_ {
        let from = last.map_or(Bound::Unbounded, |(author, _)| Bound::Included(author));
        self.by.range((from, Bound::Unbounded)).flat_map(move |(author, said)| {
            let from = match last {
                Some((of, node)) if of == *author => Bound::Excluded(node),
                _ => Bound::Unbounded,
            };
            said.words.range((from, Bound::Unbounded)).map(move |(node, word)| (*author, *node, *word))
        })
    }

    /// Where in an author's journal its last word on a node stands, if that is an expulsion.
    pub fn stands(&self, author: &NodeId, node: &NodeId) -> Option<u64> {
        let word = self.by.get(author).and_then(|said| said.words.get(node));
        word.filter(|word| word.admitted.is_none()).map(|word| word.index)
    }

    /// Whether no admission by whomever lets a node in: a founder's last word on it, or this node's own, is that it is
    /// expelled. An admission of it that is shown may be the later word of its author.
    pub fn is_barred(&self, node: &NodeId, shown: Option<&Link>) -> bool {
        self.barred.contains(node) && self.expelled_by_any(node, shown)
    }

    /// On what an author's last word on a node lets it in, if it does.
    pub(crate) fn admission(&self, author: &NodeId, node: &NodeId) -> Option<AdmittedBy> {
        self.by.get(author).and_then(|said| said.words.get(node)).and_then(|word| word.admitted)
    }

    /// The authors whose last word on a node lets it in.
    pub(crate) fn who_let_in(&self, node: &NodeId) -> impl Iterator<Item = &NodeId> {
        let of = *node;
        let on = self.on.range((of, lowest())..).take_while(move |(node, _)| *node == of);
        on.map(|(_, author)| author).filter(move |author| {
            let word = self.by.get(*author).and_then(|said| said.words.get(&of));
            word.is_some_and(|word| self.lets_in(author, word))
        })
    }

    /// The nodes that an author's last word lets in.
    pub(crate) fn let_in_by(&self, author: &NodeId) -> impl Iterator<Item = &NodeId> {
        let said = self.by.get_key_value(author);
        said.into_iter().flat_map(move |(author, said)| {
            let words = said.words.iter().filter(move |(_, word)| self.lets_in(author, word));
            words.map(|(node, _)| node)
        })
    }

    fn lets_in(&self, author: &NodeId, word: &Word) -> bool {
        match (self.genesis.admission, word.admitted) {
            (_, None) | (Admission::Invitation, Some(AdmittedBy::Open)) => false,
            (Admission::Open, Some(_)) => self.genesis.is_founder(author),
            (Admission::Invitation, Some(_)) => true,
        }
    }

    fn has_the_last_say(&self, author: &NodeId) -> bool {
        *author == self.me || self.genesis.is_founder(author)
    }

    fn expelled_by_any(&self, node: &NodeId, shown: Option<&Link>) -> bool {
        let shown = shown.filter(|link| link.admitted.node == *node);
        let is_ended = |by: &NodeId, at| shown.is_some_and(|link| link.author == *by && link.index > at);
        let expels = |by: &NodeId| self.stands(by, node).is_some_and(|at| !is_ended(by, at));
        self.genesis.founders.iter().chain([&self.me]).any(expels)
    }
}

/// The lowest key, which is nobody's: where a range over all authors begins.
fn lowest() -> NodeId {
    NodeId(PublicKey::from_bytes([0; 32]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_protocol::id::Digest;
    use artel_protocol::time::Wall;

    fn nth(n: u32) -> NodeId {
        let mut key = [0; 32];
        key[..4].copy_from_slice(&n.to_le_bytes());
        NodeId(PublicKey::from_bytes(key))
    }

    const FOUNDER: u32 = 1_000_000;
    const ME: u32 = 1_000_001;
    const MEMBER: u32 = 1_000_002;
    const OTHER: u32 = 1_000_003;

    fn words(admission: Admission) -> Words {
        let (name, recovery) = ("f".into(), Digest::of(b""));
        let founders = vec![nth(FOUNDER)];
        Words::new(nth(ME), Genesis { name, founders, admission, recovery, created: Wall(0) })
    }

    fn admits(index: u64) -> Word {
        Word { index, admitted: Some(AdmittedBy::Operator) }
    }

    fn expels(index: u64) -> Word {
        Word { index, admitted: None }
    }

    #[test]
    fn one_member_fills_its_own_part_and_all_of_them_theirs_and_founders_the_rest() {
        let mut words = words(Admission::Invitation);
        let mut say = |by: u32, on: u32, word| words.take(nth(by), nth(on), word);
        for n in 0..WORDS_EACH as u32 {
            assert_eq!(say(MEMBER, n, admits(n.into())), Heard::New(nth(n)));
        }
        assert_eq!(say(MEMBER, 70_000, admits(70_000)), Heard::NoPlace);
        assert_eq!(say(OTHER, 70_000, admits(1)), Heard::New(nth(70_000)), "another's");
        for n in 0..WORDS_OF_OTHERS_MAX as u32 {
            say(2_000_000 + n, n, expels(0));
        }
        assert_eq!(say(OTHER, 70_001, admits(2)), Heard::NoPlace, "all others' part is full");
        assert_eq!(
            say(OTHER, 70_000, expels(3)),
            Heard::New(nth(70_000)),
            "what is there already is in its place"
        );
        for n in 0..(WORDS_MAX - WORDS_OF_OTHERS_MAX) as u32 {
            let by = if n % 2 == 0 { FOUNDER } else { ME };
            assert_eq!(say(by, n, admits(n.into())), Heard::New(nth(n)));
        }
        assert_eq!(say(FOUNDER, 90_000, expels(1)), Heard::NoPlace);
        assert_eq!((words.on.len(), words.after(None).count()), (WORDS_MAX, WORDS_MAX));
    }

    #[test]
    fn the_last_word_stands_whatever_comes_after_it() {
        let order = [expels(3), admits(4), expels(7), admits(9)];
        for first in 0..4 {
            let mut words = words(Admission::Invitation);
            for at in 0..4 {
                words.take(nth(MEMBER), nth(1), order[(first + at) % 4]);
            }
            let left: Vec<_> = words.after(None).collect();
            assert_eq!(left, [(nth(MEMBER), nth(1), admits(9))], "begun with {first}");
            assert_eq!(words.stands(&nth(MEMBER), &nth(1)), None);
        }
    }

    #[test]
    fn a_member_lets_in_again_so_often_and_a_founder_without_end() {
        for (by, returns) in [(MEMBER, RETURNS_MAX), (FOUNDER, 2 * RETURNS_MAX)] {
            let mut words = words(Admission::Invitation);
            let mut heard = 0;
            for turn in 0..2 * u64::from(RETURNS_MAX) {
                words.take(nth(by), nth(1), expels(2 * turn));
                let is_heard = words.take(nth(by), nth(1), admits(2 * turn + 1)) == Heard::New(nth(1));
                heard += u32::from(is_heard);
            }
            assert_eq!(heard, returns);
            assert_eq!(words.stands(&nth(by), &nth(1)).is_some(), by == MEMBER, "it stays expelled");
        }
    }

    #[test]
    fn words_that_change_nothing_take_no_place() {
        let mut open = words(Admission::Open);
        assert_eq!(open.take(nth(MEMBER), nth(1), admits(1)), Heard::Nothing, "founders alone admit");
        assert_eq!(open.take(nth(ME), nth(1), expels(1)), Heard::New(nth(1)));
        assert_eq!(open.take(nth(FOUNDER), nth(1), admits(1)), Heard::New(nth(1)));
        assert_eq!(open.who_let_in(&nth(1)).count(), 1);
        assert!(open.is_barred(&nth(1), None));
        let mut invited = words(Admission::Invitation);
        assert_eq!(invited.take(nth(MEMBER), nth(FOUNDER), expels(1)), Heard::Nothing);
        let by_open = Word { index: 1, admitted: Some(AdmittedBy::Open) };
        assert_eq!(invited.take(nth(MEMBER), nth(2), by_open), Heard::New(nth(2)));
        assert_eq!(invited.let_in_by(&nth(MEMBER)).count(), 0, "not in this federation");
    }

    #[test]
    fn words_are_paged_in_their_order() {
        let mut words = words(Admission::Invitation);
        for n in 0..30 {
            words.take(nth(n % 4), nth(100 + n), admits(n.into()));
        }
        let all: Vec<_> = words.after(None).collect();
        let (mut paged, mut last) = (Vec::new(), None);
        loop {
            let page: Vec<_> = words.after(last).take(7).collect();
            let Some((author, node, _)) = page.last() else { break };
            last = Some((*author, *node));
            paged.extend(page);
        }
        assert_eq!((all.len(), paged), (30, all));
    }
}
