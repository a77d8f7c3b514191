//! Homes' standing: whom a home has answered and whom it has left without a verdict, by its own public entries and by those of
//! the nodes whose agents worked for it; and whether its log breaks the rules (`conduct.rs`). Agents may choose homes by it.
//!
//! It is a reader's judgement of what it heard lately, and rebuildable: nothing is paid or refused by it but the reader's own
//! choice of homes. A silence is the word of one node; its share is bounded, and a verdict ends it.

use crate::conduct::{Conduct, Illegal, about_a_step};
use crate::fact::{Fact, Judgement};
use artel_protocol::id::{Epoch, StepId};
use artel_protocol::key::NodeId;
use artel_protocol::log::Origin;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The most homes that have a standing (as many as a federation's members are expected to be); of further ones nothing is known.
pub const HOMES_MAX: usize = 4_096;

/// The most silences of one home that are remembered, of all nodes together. Further ones are not counted.
pub const SILENCES_MAX: usize = 1_024;

/// The most silences of one home that one node's word counts for: whoever tells lies of a home counts no more than so.
pub const SILENCES_OF_NODE_MAX: usize = 16;

/// How many of a home's last verdicts are remembered by their lease: a silence that is heard after its verdict is none.
pub const VERDICTS_MAX: usize = 4_096;

/// The most steps whose life is followed, of all homes together (some 100 bytes each). At the limit the home with the most begins
/// anew, as after a gap: what is wrong whatever stood before is still seen.
pub const STEPS_MAX: usize = 1 << 18;

/// What is known of a home.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// Verdicts that it gave.
    pub judged: u64,
    /// Of those, rejections.
    pub rejected: u64,
    /// Results that it has left without a verdict beyond the time that it promised.
    pub silences: u64,
    /// Silences that ended with a verdict all the same.
    pub redeemed: u64,
    /// Entries of its log that break the rules, and the first of them.
    pub breaches: u64,
    /// The first of them.
    pub breach: Option<Illegal>,
}

impl Standing {
    /// Of a hundred results, how many it has answered, rounded down; a home that nothing is known of has answered all.
    pub fn answered_percent(&self) -> u8 {
        let all = self.judged.saturating_add(self.silences).max(1);
        let answered = if self.silences == 0 { all } else { self.judged };
        u8::try_from(u128::from(answered) * 100 / u128::from(all)).unwrap_or(100)
    }
}

/// How many records of one journal wait for those before them: frames of offers and of grants come by themselves. With more, what is
/// missing is taken for lost.
pub const EARLY_MAX: usize = 1_024;

/// How many of all journals wait (some 200 bytes each). With more the journal that the last one is of waits no longer.
pub const EARLY_TOTAL_MAX: usize = 65_536;

/// With how many that wait in one journal, what is missing before them should be fetched at once: a fetch takes seconds, and after
/// [`EARLY_MAX`] what is missing is taken for lost for good. Smaller, and every hole in what comes by gossip has records fetched.
pub const EARLY_MANY: usize = 128;

type Lease = (StepId, Epoch);

#[derive(Debug, Default)]
struct Home {
    told: Standing,
    /// Whose word it is that no verdict came, by lease.
    silences: BTreeMap<Lease, BTreeSet<NodeId>>,
    verdicts: BTreeSet<Lease>,
    verdicts_in_order: VecDeque<Lease>,
}

/// A journal's life of steps, as far as it was read.
#[derive(Debug, Default)]
struct Journal {
    /// The number of the record that comes next.
    next: u64,
    /// Records that came before others that belong before them: the entry's index, and what it says of a step.
    early: BTreeMap<u64, (u64, Option<Fact>)>,
    conduct: Conduct,
}

/// All homes.
#[derive(Debug)]
pub struct Homes {
    homes: BTreeMap<NodeId, Home>,
    journals: BTreeMap<Origin, Journal>,
    steps: usize,
    steps_max: usize,
    early: usize,
}

impl Default for Homes {
    fn default() -> Self {
        Homes::within(STEPS_MAX)
    }
}

impl Homes {
    fn within(steps_max: usize) -> Self {
        Homes { homes: BTreeMap::new(), journals: BTreeMap::new(), steps: 0, steps_max, early: 0 }
    }

    /// Hears a public entry of a journal at its place (the record's number, the entry's index), in whatever order they come.
    /// Nothing is to be said of one that a later version wrote. Says what is wrong with it, and with those that have waited for it.
    pub fn hear(&mut self, origin: &Origin, (seq, index): (u64, u64), fact: Option<&Fact>) -> Vec<Illegal> {
        let author = origin.node();
        if !self.journals.contains_key(origin) && self.journals.len() >= HOMES_MAX {
            return Vec::new();
        }
        match fact {
            Some(Fact::Verdict(f)) => {
                let rejected = matches!(f.judgement, Judgement::Rejected { .. });
                self.judged(author, (f.step, f.epoch), rejected);
            }
            // What home has not acknowledged it may never have got.
            Some(Fact::Unanswered(f)) if f.submitted.is_some() => {
                self.silent(f.lease.home, author, (f.lease.step, f.lease.epoch));
            }
            _ => {}
        }
        let journal = self.journals.entry(*origin).or_default();
        if seq >= journal.next
            && journal.early.insert(seq, (index, fact.cloned().and_then(about_a_step))).is_none()
        {
            self.early += 1;
        }
        let (is_full, mut illegal) = (self.early > EARLY_TOTAL_MAX, Vec::new());
        while let Some((index, fact)) =
            self.journals.get_mut(origin).and_then(|journal| journal.take_next(is_full))
        {
            self.early -= 1;
            illegal.extend(fact.and_then(|fact| self.follow(origin, index, &fact)));
        }
        illegal
    }

    /// Whether so many records of a journal wait for those before them that these should be fetched.
    pub fn is_behind(&self, origin: &Origin) -> bool {
        self.journals.get(origin).is_some_and(|journal| journal.early.len() > EARLY_MANY)
    }

    /// A home's standing.
    pub fn standing(&self, home: &NodeId) -> Standing {
        self.homes.get(home).map(Home::standing).unwrap_or_default()
    }

    /// Everybody's, by key.
    pub fn all(&self) -> impl Iterator<Item = (NodeId, Standing)> + '_ {
        self.homes.iter().map(|(node, home)| (*node, home.standing()))
    }

    fn home(&mut self, node: NodeId) -> Option<&mut Home> {
        let has_room = self.homes.len() < HOMES_MAX || self.homes.contains_key(&node);
        has_room.then(|| self.homes.entry(node).or_default())
    }

    fn judged(&mut self, node: NodeId, lease: Lease, rejected: bool) {
        let Some(home) = self.home(node) else { return };
        if home.silences.remove(&lease).is_some() {
            home.told.redeemed += 1;
        }
        if !home.verdicts.insert(lease) {
            return;
        }
        home.told.judged += 1;
        home.told.rejected += u64::from(rejected);
        home.verdicts_in_order.push_back(lease);
        if home.verdicts_in_order.len() > VERDICTS_MAX
            && let Some(oldest) = home.verdicts_in_order.pop_front()
        {
            home.verdicts.remove(&oldest);
        }
    }

    /// A node says that a home is silent.
    pub fn silent(&mut self, node: NodeId, by: NodeId, lease: Lease) {
        if node == by {
            return;
        }
        let Some(home) = self.home(node) else { return };
        let said = home.silences.values().filter(|by_whom| by_whom.contains(&by)).count();
        let is_full = home.silences.len() >= SILENCES_MAX && !home.silences.contains_key(&lease);
        if home.verdicts.contains(&lease) || said >= SILENCES_OF_NODE_MAX || is_full {
            return;
        }
        home.silences.entry(lease).or_default().insert(by);
    }

    /// Follows the life of a step.
    fn follow(&mut self, origin: &Origin, index: u64, fact: &Fact) -> Option<Illegal> {
        let journal = self.journals.get_mut(origin)?;
        let before = journal.conduct.steps();
        let illegal = journal.conduct.read(index, fact);
        self.steps += journal.conduct.steps() - before;
        if self.steps > self.steps_max {
            self.begin_anew();
        }
        if let Some(illegal) = illegal
            && let Some(home) = self.home(origin.node())
        {
            home.told.breaches += 1;
            home.told.breach.get_or_insert(illegal);
        }
        illegal
    }

    fn begin_anew(&mut self) {
        if let Some(journal) = self.journals.values_mut().max_by_key(|journal| journal.conduct.steps()) {
            self.steps -= journal.conduct.steps();
            journal.conduct = Conduct::default();
            journal.conduct.miss();
        }
    }
}

impl Journal {
    /// The next record in order; where too many wait, the first of those.
    fn take_next(&mut self, is_full: bool) -> Option<(u64, Option<Fact>)> {
        let first = *self.early.first_key_value()?.0;
        if first > self.next {
            if self.early.len() <= EARLY_MAX && !is_full {
                return None;
            }
            self.conduct.miss();
        }
        self.next = first + 1;
        self.early.remove(&first)
    }
}

impl Home {
    fn standing(&self) -> Standing {
        Standing { silences: self.silences.len() as u64, ..self.told }
    }
}

#[cfg(test)]
#[path = "homes_test.rs"]
mod tests;
