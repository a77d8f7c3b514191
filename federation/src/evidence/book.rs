//! The book of evidence: how far each journal was read, and what its records add up to for each agent and home. The same
//! records give the same book, in whatever order the journals came, where it knows from the start whose payments it keeps.

use super::gaps::Gaps;
use super::paid::Paid;
use super::pairs::{Half, Pairs};
use super::receipt::{Learnt, Receipt};
use super::view::Viewer;
use super::{JOURNALS_MAX, ROWS_EACH, ROWS_MAX, SETTLED_MAX, UNSURE_MAX};
use crate::fact::{Entry as JournalEntry, Fact, Kind};
use artel_protocol::amount::Credits;
use artel_protocol::codec::{Decode, Encode};
use artel_protocol::id::Digest;
use artel_protocol::key::{AgentId, NodeId};
use artel_protocol::log::Origin;
use artel_protocol::sync::Mark;
use artel_protocol::time::Wall;
use artel_reputation::standing::AHEAD_MS_MAX;
use artel_reputation::{Outcome, Standing};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// How often something ended how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
pub struct Tally {
    /// Results that were taken.
    pub accepted: u64,
    /// Results that were not.
    pub rejected: u64,
    /// Leases that ran out.
    pub lapsed: u64,
}

/// What one home's records say of one agent, as far as one other node's records bear it out, or by home's word alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub(super) struct Row {
    pub standing: Standing,
    pub tally: Tally,
}

/// What the public records that were read say of agents, and what homes paid those whose payments it keeps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Book {
    pub(super) evidence: Evidence,
    pub(super) paid: Paid,
}

/// The evidence in a book.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub(super) struct Evidence {
    /// Of each journal, the first `public_seq` that was not read.
    journals: BTreeMap<Origin, u64>,
    pairs: Pairs,
    /// Of each agent by home and the worker's node; what home says alone, by home twice.
    pub rows: BTreeMap<AgentId, BTreeMap<(NodeId, NodeId), Row>>,
    /// How many rows each home has.
    rows_of: BTreeMap<NodeId, u64>,
    rows_count: u64,
    /// Accepted receipts between two nodes, the lower key first.
    settled: BTreeMap<(NodeId, NodeId), u64>,
    /// The journals whose next record is dated ahead of the clock, and its date.
    ahead: BTreeMap<Origin, Wall>,
    /// The newest date of what counts.
    newest: Wall,
    /// Between which home and worker's node a receipt was lost that another reader may have; home with itself for what counts
    /// for home alone.
    unsure: BTreeSet<(NodeId, NodeId)>,
    /// More was lost than can be told.
    partial: bool,
    gaps: Gaps,
}

impl Book {
    /// Whether a public entry's body has to be heard; all others only count.
    pub fn is_of_interest(body: &[u8]) -> bool {
        let number = body.first_chunk().map(|number| u16::from_le_bytes(*number));
        let wanted =
            [Kind::Submitted, Kind::Verdict, Kind::Lapsed, Kind::HandedIn, Kind::Refuted, Kind::Transfer];
        number.and_then(Kind::of).is_some_and(|kind| wanted.contains(&kind))
    }

    /// Reads the next record of a journal: its number, index and body. What it brought about goes to `learnt`. A record
    /// before those that were read changes nothing; one behind a gap is read, and the gap remembered. One that stands before
    /// another with a lower number is nobody's evidence: numbers and indices are the author's own, and a liar's may disagree.
    ///
    /// A verdict or lapse that is dated ahead of the clock is not read, nor is anything of its journal until [`Book::tick`]
    /// finds that its time has come. So it is left out by all, and the marks say so.
    pub fn hear(
        &mut self,
        origin: Origin,
        (public_seq, index): (u64, u64),
        body: &[u8],
        now: Wall,
        learnt: &mut Vec<Learnt>,
    ) {
        let next = self.next(&origin);
        if public_seq < next || self.has_to_wait(&origin) {
            return;
        }
        let counts = Book::is_of_interest(body) && !self.evidence.pairs.is_behind(&origin, index);
        // What does not decode is of a later version, or of another kind.
        let entry = counts.then(|| JournalEntry::decode(body).ok()).flatten();
        let dated = entry.as_ref().filter(|entry| matches!(entry.fact, Fact::Verdict(_) | Fact::Lapsed(_)));
        if let Some(at) = dated.map(|entry| entry.at).filter(|at| at.since_ms(now) > AHEAD_MS_MAX) {
            self.evidence.journals.entry(origin).or_default();
            self.evidence.ahead.insert(origin, at);
            return;
        }
        if public_seq > next {
            self.evidence.gaps.add(origin, next..public_seq);
        }
        self.evidence.journals.insert(origin, public_seq + 1);
        let before = learnt.len();
        match entry {
            Some(entry) => {
                self.paid.hear(origin.node(), &entry.fact);
                self.evidence.pairs.hear(origin, index, &entry, learnt);
            }
            None => self.evidence.pairs.pass(origin, index + 1, learnt),
        }
        for piece in &learnt[before..] {
            match piece {
                Learnt::Refuted(receipt) => self.uncount(receipt),
                _ => self.count(piece),
            }
        }
        for (home, worker) in self.evidence.pairs.take_unsure() {
            self.lose(home, worker);
        }
    }

    /// Has journals read on whose next record is dated ahead of the clock no more.
    pub fn tick(&mut self, now: Wall) {
        self.evidence.ahead.retain(|_, at| at.since_ms(now) > AHEAD_MS_MAX);
    }

    /// Whether records of a journal are read at all: it is one that its node may have, and there is a place for it.
    pub fn reads(&self, origin: &Origin) -> bool {
        let has_place =
            self.evidence.journals.contains_key(origin) || self.evidence.journals.len() < JOURNALS_MAX;
        origin.is_within_limit() && has_place
    }

    /// Whether a journal is not read on for now, or not at all.
    pub fn has_to_wait(&self, origin: &Origin) -> bool {
        !self.reads(origin) || self.evidence.ahead.contains_key(origin)
    }

    /// The first `public_seq` of a journal that was not read.
    pub fn next(&self, origin: &Origin) -> u64 {
        self.evidence.journals.get(origin).copied().unwrap_or_default()
    }

    /// Up to where each journal was read, ascending by origin.
    pub fn marks(&self) -> Vec<Mark> {
        let mark = |(origin, next): (&Origin, &u64)| Mark { origin: *origin, next: *next };
        self.evidence.journals.iter().filter(|(_, next)| **next > 0).map(mark).collect()
    }

    /// The digest of what was read: of the marks, and of what was passed over below them; all but what nodes wrote against which
    /// the reader holds proofs, and of these nodes.
    pub fn heads(&self, liars: &BTreeSet<NodeId>) -> Digest {
        self.evidence.gaps.heads(&self.marks(), liars)
    }

    /// Whether all records up to the marks are in the book, and nothing was lost of what they say.
    pub fn is_whole(&self) -> bool {
        !self.evidence.partial && self.evidence.unsure.is_empty() && self.evidence.gaps.is_empty()
    }

    /// Whether a viewer's scores follow from what was read alone: nothing was lost that weighs anything for it, or that makes
    /// something weigh.
    pub fn can_tell(&self, viewer: Viewer<'_>) -> bool {
        let weighs = |home: &NodeId| viewer.judges().any(|judge| self.settled(judge, *home) > 0);
        let concerns = |(home, worker): &(NodeId, NodeId)| {
            let counts = !viewer.liars.contains(home) && !viewer.liars.contains(worker);
            let is_between = viewer.judges().any(|judge| judge == *home || judge == *worker);
            counts && (is_between || home != worker && weighs(home))
        };
        !self.evidence.partial && !self.evidence.unsure.iter().any(concerns)
    }

    /// The newest date of what counts.
    pub fn newest(&self) -> Wall {
        self.evidence.newest
    }

    /// The agents that something is known of, from a place on, by key.
    pub fn agents_after(&self, start: Bound<AgentId>) -> impl Iterator<Item = &AgentId> {
        self.evidence.rows.range((start, Bound::Unbounded)).map(|(agent, _)| agent)
    }

    /// Whether something is known of an agent.
    pub fn knows(&self, agent: &AgentId) -> bool {
        self.evidence.rows.contains_key(agent)
    }

    /// How many accepted receipts two nodes have settled with each other, in either direction.
    pub fn settled(&self, one: NodeId, other: NodeId) -> u64 {
        self.evidence.settled.get(&pair(one, other)).copied().unwrap_or_default()
    }

    /// Keeps what a home pays an agent from now on.
    pub fn keep_paid(&mut self, home: NodeId, agent: AgentId) {
        self.paid.keep(home, agent);
    }

    /// Whom a public entry says that its node has handed something in for, and at which home; nothing of any other.
    pub fn handed_in(body: &[u8]) -> Option<(NodeId, AgentId)> {
        let number = body.first_chunk().map(|number| u16::from_le_bytes(*number))?;
        if Kind::of(number) != Some(Kind::HandedIn) {
            return None;
        }
        match JournalEntry::decode(body).ok()?.fact {
            Fact::HandedIn(f) => Some((f.lease.home, f.agent)),
            _ => None,
        }
    }

    /// What a home paid in all, by its own records.
    pub fn paid_by(&self, home: &NodeId) -> Credits {
        self.paid.by(home)
    }

    /// What a home paid an agent whose payments are kept, by its own records.
    pub fn paid_to(&self, home: &NodeId, agent: &AgentId) -> Credits {
        self.paid.to(home, agent)
    }

    /// What is there of receipts that are not whole.
    pub fn halves(&self) -> impl Iterator<Item = Half> + '_ {
        self.evidence.pairs.halves()
    }

    fn count(&mut self, piece: &Learnt) {
        let Some((agent, home, evidence)) = piece.evidence() else { return };
        let worker = match piece {
            Learnt::Receipt(receipt) => receipt.worker(),
            _ => None,
        };
        let key = (home, worker.unwrap_or(home));
        let is_new = self.evidence.rows.get(&agent).is_none_or(|rows| !rows.contains_key(&key));
        let of_home = self.evidence.rows_of.get(&home).copied().unwrap_or_default();
        if is_new && (of_home >= ROWS_EACH as u64 || self.evidence.rows_count >= ROWS_MAX as u64) {
            return self.lose(key.0, key.1);
        }
        if is_new {
            self.evidence.rows_count += 1;
            self.evidence.rows_of.insert(home, of_home + 1);
        }
        self.evidence.newest = self.evidence.newest.max(evidence.at);
        let row = self.evidence.rows.entry(agent).or_default().entry(key).or_default();
        row.standing.add(&evidence, evidence.at).expect("evidence of its own moment is not from the future");
        row.tally.count(piece);
        if let (Learnt::Receipt(receipt), Some(worker)) = (piece, worker) {
            self.settle(receipt, home, worker);
        }
    }

    /// A receipt that was counted counts no more.
    fn uncount(&mut self, receipt: &Receipt) {
        let (home, Some(worker)) = (receipt.home.node(), receipt.worker()) else { return };
        // Without a row it was lost, which was said.
        let Some(row) =
            self.evidence.rows.get_mut(&receipt.agent).and_then(|rows| rows.get_mut(&(home, worker)))
        else {
            return;
        };
        if let Some((_, _, evidence)) = Learnt::Receipt(*receipt).evidence() {
            row.standing.remove(&evidence);
            row.tally.accepted = row.tally.accepted.saturating_sub(1);
        }
        if let Entry::Occupied(mut settled) = self.evidence.settled.entry(pair(home, worker)) {
            *settled.get_mut() -= 1;
            if *settled.get() == 0 {
                settled.remove();
            }
        }
    }

    /// A receipt was lost.
    fn lose(&mut self, home: NodeId, worker: NodeId) {
        if self.evidence.unsure.len() < UNSURE_MAX {
            self.evidence.unsure.insert((home, worker));
        } else {
            self.evidence.partial |= !self.evidence.unsure.contains(&(home, worker));
        }
    }

    fn settle(&mut self, receipt: &Receipt, home: NodeId, worker: NodeId) {
        if !receipt.is_accepted() {
            return;
        }
        let pair = pair(home, worker);
        if let Some(count) = self.evidence.settled.get_mut(&pair) {
            *count += 1;
        } else if self.evidence.settled.len() < SETTLED_MAX {
            self.evidence.settled.insert(pair, 1);
        } else {
            self.lose(home, worker);
        }
    }
}

impl Tally {
    pub(super) fn add(&mut self, more: Tally) {
        self.accepted += more.accepted;
        self.rejected += more.rejected;
        self.lapsed += more.lapsed;
    }

    fn count(&mut self, piece: &Learnt) {
        match piece {
            Learnt::Receipt(receipt) if receipt.is_accepted() => self.accepted += 1,
            Learnt::Receipt(receipt) if receipt.outcome == Outcome::Rejected => self.rejected += 1,
            Learnt::Lapse(_) => self.lapsed += 1,
            _ => {}
        }
    }
}

fn pair(one: NodeId, other: NodeId) -> (NodeId, NodeId) {
    (one.min(other), one.max(other))
}
