//! Others' journals: whose records are kept, which are wrong, what is missing, and who belongs to the federation by them.
//!
//! Records are never this node's facts: they change nothing of its market, so they have a state of their own. It is made
//! from what is kept and can be made again. Whether a record stands where it says was checked before
//! (`artel_protocol::record`); carrying and keeping is the shell's.

use crate::chain::{self, Link};
use crate::endings::{Endings, OfNode};
use crate::fact::{AdmittedBy, Entry, Error, Fact, Genesis};
use crate::nodes::Node;
use crate::roll::Roll;
use crate::words::{Word, Words};
use artel_protocol::holes::{HOLES_MAX, Holes, clipped};
use artel_protocol::key::NodeId;
use artel_protocol::log::Origin;
use artel_protocol::log::leaf::Class;
use artel_protocol::record::{Record, Records};
use artel_protocol::sync::{MARKS_MAX, Mark, Message};
use artel_protocol::topic::Topic;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// The most journals that are remembered to have found no room. One that is forgotten here costs a frame again when it is next
/// heard of.
pub const FULL_MAX: usize = 65_536;

/// The topic that a public fact is gossiped on; nothing for a private one.
pub fn topic_of(fact: &Fact) -> Option<Topic> {
    match fact {
        _ if fact.class() == Class::Private => None,
        Fact::Offered(offer) => Some(Topic::of_offer(&offer.skills)),
        Fact::Genesis(_) | Fact::Joined(_) | Fact::Started(_) | Fact::Admitted(_) | Fact::Expelled(_) => {
            Some(Topic::Agents)
        }
        Fact::DelegationEnded(_) => Some(Topic::Agents),
        _ => Some(Topic::Trust),
    }
}

/// What becomes of a frame of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// It is kept where there is room, and passed on.
    Keep,
    /// All of it is held already, or it is this node's own.
    Known,
    /// Its author is no member by what this node knows, or names more journals than a node may have: not kept, and nobody's
    /// fault.
    Unwanted,
    /// No honest node sends this.
    Wrong(&'static str),
}

/// What is known of the other nodes' journals.
pub struct Exchange {
    me: NodeId,
    roll: Roll,
    held: BTreeMap<Origin, u64>,
    full: BTreeSet<Origin>,
    endings: Endings,
}

impl Exchange {
    /// Knows the founders, and nothing yet of anybody else.
    pub fn new(me: NodeId, genesis: Genesis) -> Self {
        let (held, full, endings) = (BTreeMap::new(), BTreeSet::new(), Endings::default());
        Exchange { me, roll: Roll::new(me, genesis), held, full, endings }
    }

    /// The record that founded the federation.
    pub fn genesis(&self) -> &Genesis {
        self.roll.words().genesis()
    }

    /// Whether a node belongs to the federation, by all that is known here.
    pub fn is_member(&self, node: &NodeId) -> bool {
        self.roll.has(node)
    }

    /// The members that are known, in order of their keys.
    pub fn members(&self) -> impl Iterator<Item = &NodeId> {
        self.roll.members()
    }

    /// Whether two nodes may be in one hand: without the word of the one, or an invitation that let it in, the other would be
    /// no member. This node's own word and the founders' are everybody's.
    pub fn are_kin(&self, a: &NodeId, b: &NodeId) -> bool {
        !self.stands_without(a, b) || !self.stands_without(b, a)
    }

    /// Whether admissions lead to a node from a founder, or from this node, that neither another one gave nor an invitation
    /// that let in that one too.
    fn stands_without(&self, node: &NodeId, other: &NodeId) -> bool {
        let (words, genesis) = (self.roll.words(), self.genesis());
        let is_root = |node: &NodeId| genesis.is_founder(node) || *node == self.me;
        if is_root(other) {
            return true;
        }
        let is_shared = |author: &NodeId, node: &NodeId| {
            let by = words.admission(author, node);
            matches!(by, Some(AdmittedBy::Invitation(_))) && words.admission(author, other) == by
        };
        let (mut seen, mut open) = (BTreeSet::from([*node]), vec![*node]);
        while let Some(next) = open.pop() {
            if is_root(&next) {
                return true;
            }
            let by =
                words.who_let_in(&next).filter(|author| self.is_member(author) && !is_shared(author, &next));
            open.extend(by.filter(|author| *author != other && seen.insert(**author)));
        }
        false
    }

    /// Learns of entries of a journal, this node's own or another's; those that say nothing of membership or of the end of a
    /// delegation change nothing.
    /// Gossip brings them in any order: the last word on a node is the one with the highest index.
    pub fn hear<'a>(&mut self, author: NodeId, entries: impl IntoIterator<Item = (u64, &'a Fact)>) {
        let endings = &mut self.endings;
        self.roll.hear(
            author,
            entries.into_iter().inspect(|(_, fact)| {
                if let Fact::DelegationEnded(f) = fact {
                    endings.hear(author, f.agent, f.before);
                }
            }),
        );
    }

    /// What was heard of delegations that ended.
    pub fn endings(&self) -> &Endings {
        &self.endings
    }

    /// Takes what was heard of delegations that ended, as [`Endings::all`] has it.
    pub fn take_endings(&mut self, rows: impl IntoIterator<Item = (NodeId, OfNode)>) {
        self.endings.take(rows);
    }

    /// Learns whom this node itself admitted and expelled, as its own journal's fold has it.
    pub fn hear_own(&mut self, nodes: &[Node]) {
        let me = self.me;
        let words = nodes.iter().flat_map(|node| {
            let admitted = node.admitted.as_ref().map(|at| (at.index, Some(at.by)));
            let expelled = node.expelled.as_ref().map(|at| (at.index, None));
            let words = admitted.into_iter().chain(expelled);
            words.map(move |(index, admitted)| (me, node.id, Word { index, admitted }))
        });
        self.roll.take(words);
    }

    /// Takes words that were heard, as [`Words::after`] has them.
    pub fn take_words(&mut self, words: impl IntoIterator<Item = (NodeId, NodeId, Word)>) {
        self.roll.take(words);
    }

    /// What was heard of membership.
    pub fn words(&self) -> &Words {
        self.roll.words()
    }

    /// How many words of membership were not heard for want of a place.
    pub fn unheard(&self) -> u64 {
        self.roll.unheard()
    }

    /// Judges a chain of admissions.
    ///
    /// # Errors
    /// [`chain::Error`]: the first thing that does not hold.
    pub fn judge_chain(&self, peer: &NodeId, chain: &[Link]) -> Result<(), chain::Error> {
        chain::membership(peer, chain, self.roll.words())
    }

    /// Judges a frame of records that came over a topic, or where that is none, over a stream.
    pub fn judge(&self, topic: Option<Topic>, records: &Records) -> Judgement {
        if let Some(wrong) = records.records().iter().find_map(|record| wrong(topic, record)) {
            return Judgement::Wrong(wrong);
        }
        let origin = records.origin();
        if origin.node() == self.me {
            return Judgement::Known;
        }
        if !self.is_member(&origin.node()) || !origin.is_within_limit() {
            return Judgement::Unwanted;
        }
        let last = records.records().last().expect("a frame has records").public_seq;
        if self.held.get(&origin).is_some_and(|next| last < *next) {
            Judgement::Known
        } else {
            Judgement::Keep
        }
    }

    /// Whether records of this journal are missing before these.
    pub fn lacks_before(&self, records: &Records) -> bool {
        let first = records.records().first().expect("a frame has records").public_seq;
        self.held.get(&records.origin()).copied().unwrap_or_default() < first
    }

    /// Up to where a journal's records are held now, or were given up; `is_full` when there is no room for more of them.
    pub fn holds_up_to(&mut self, origin: Origin, next: u64, is_full: bool) {
        if !origin.is_within_limit() {
            return;
        }
        // What nothing is held of needs no place here, so there are as many as the store has journals.
        if next > 0 {
            self.held.insert(origin, next);
        }
        if !is_full {
            self.full.remove(&origin);
        } else if self.full.len() < FULL_MAX {
            self.full.insert(origin);
        }
    }

    /// Up to where all other nodes' journals are held, after some of what was held was lost.
    pub fn holds_no_more_than(&mut self, marks: impl IntoIterator<Item = (Origin, u64)>) {
        self.held.clear();
        marks.into_iter().for_each(|(origin, next)| self.holds_up_to(origin, next, false));
    }

    /// What is told to a neighbour: up to where each journal's records are held, with this node's own. Where they are too many,
    /// nodes' newest journals are named before older ones, so that who names many takes no place from others.
    pub fn marks(&self, own: Mark) -> Vec<Mark> {
        let others = self.held.iter().map(|(origin, next)| Mark { origin: *origin, next: *next });
        let mut marks: Vec<Mark> = others.filter(|mark| mark.origin != own.origin && mark.next > 0).collect();
        if marks.len() >= MARKS_MAX {
            marks = newest_first(marks);
            marks.truncate(MARKS_MAX - 1);
        }
        marks.push(own);
        marks.sort();
        marks
    }

    /// The journals of which a neighbour has what this node lacks and wants, as far as it knows the authors by now, and up to where
    /// the neighbour has them.
    pub fn missing(&self, theirs: &[Mark]) -> Vec<Mark> {
        let lacks = |mark: &Mark| {
            let node = mark.origin.node();
            let next = self.held.get(&mark.origin).copied().unwrap_or_default();
            let has_room = mark.origin.is_within_limit() && !self.full.contains(&mark.origin);
            let wanted = node != self.me && self.is_member(&node) && has_room;
            wanted && next < mark.next
        };
        theirs.iter().filter(|mark| lacks(mark)).copied().collect()
    }
}

/// What a neighbour is asked for of a journal, as far as it lies `within` what it has and has not been asked for yet: first the
/// holes in what is held, then all that is `behind` it.
pub fn question(
    origin: Origin,
    (holes, behind): (&[Range<u64>], u64),
    within: Range<u64>,
) -> Option<Message> {
    let mut lacking = clipped(holes, within.clone());
    lacking.truncate(HOLES_MAX);
    if let Some(holes) = Holes::new(origin, lacking) {
        return Some(Message::Holes(holes));
    }
    let next = behind.max(within.start);
    (next < within.end).then_some(Message::Want(Mark { origin, next }))
}

/// The first number that a question asks for. An answer that ends there says that nothing of it is to be had.
pub fn asked_from(question: &Message) -> u64 {
    match question {
        Message::Want(mark) => mark.next,
        Message::Holes(holes) => holes.start(),
        _ => 0,
    }
}

/// Whether records may be in the answer to a question: those of its journal, and of holes what is lacking alone.
pub fn answers(records: &Records, question: &Message) -> bool {
    match question {
        Message::Want(mark) => records.origin() == mark.origin,
        Message::Holes(holes) => {
            let all_lack = || records.records().iter().all(|record| holes.has(record.public_seq));
            records.origin() == holes.origin() && all_lack()
        }
        _ => false,
    }
}

/// The number below which a neighbour has nothing of what is lacking first, by its answer to a question: the first number that came,
/// and where the answer ended. Nothing where it has that.
pub fn lacks_below(question: &Message, first: Option<u64>, end: u64) -> Option<u64> {
    match question {
        Message::Want(mark) => first.filter(|first| *first > mark.next),
        Message::Holes(holes) => {
            let hole = &holes.ranges()[0];
            Some(first.unwrap_or(end).min(hole.end)).filter(|below| *below > hole.start)
        }
        _ => None,
    }
}

/// Marks, ascending by origin, in another order: those of all nodes' newest journals, then of the next older ones, and so on.
fn newest_first(marks: Vec<Mark>) -> Vec<Mark> {
    let mut ranked: Vec<(u32, Mark)> = Vec::with_capacity(marks.len());
    for mark in marks.into_iter().rev() {
        let newer = ranked.last().filter(|(_, newer)| newer.origin.node() == mark.origin.node());
        ranked.push((newer.map_or(0, |(rank, _)| rank + 1), mark));
    }
    ranked.sort();
    ranked.into_iter().map(|(_, mark)| mark).collect()
}

/// What is wrong with a record that stands in its author's journal all the same; kinds of later versions are left unread.
fn wrong(topic: Option<Topic>, record: &Record) -> Option<&'static str> {
    let entry = match Entry::decode(&record.body) {
        Ok(entry) => entry,
        Err(Error::UnknownKind(_) | Error::UnknownVersion(..)) => return None,
        Err(Error::Codec(_)) => return Some("malformed"),
    };
    if entry.encode() != record.body {
        return Some("not_canonical");
    }
    if entry.correlation.is_some() {
        return Some("correlated");
    }
    match topic_of(&entry.fact) {
        None => Some("private"),
        Some(of) if topic.is_some_and(|topic| topic != of) => Some("topic"),
        Some(_) => None,
    }
}

#[cfg(test)]
#[path = "exchange_test.rs"]
mod tests;
