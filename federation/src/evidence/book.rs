//! The book of evidence: how far each journal was read, and what its records add up to for each agent and home. The same
//! records give the same book, in whatever order the journals came.

use super::gaps::Gaps;
use super::pairs::{Half, Pairs};
use super::receipt::{Learnt, Receipt};
use super::{AHEAD_MAX, JOURNALS_MAX, ROWS_MAX, SETTLED_MAX};
use crate::fact::{Entry, Kind};
use artel_protocol::codec::{Decode, Encode};
use artel_protocol::id::Digest;
use artel_protocol::key::{AgentId, NodeId};
use artel_protocol::log::Origin;
use artel_protocol::sync::Mark;
use artel_protocol::time::Wall;
use artel_reputation::standing::AHEAD_MS_MAX;
use artel_reputation::{Outcome, Standing};
use std::collections::BTreeMap;
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

/// What one home's records say of one agent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub(super) struct Row {
    /// All receipts and lapses: what counts where home itself is the viewer.
    pub own: Standing,
    pub own_tally: Tally,
    /// The receipts that another node's record bears out: what counts for everybody else.
    pub borne: Standing,
    pub borne_tally: Tally,
}

/// What the public records that were read say of agents.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Book {
    /// Of each journal, the first `public_seq` that was not read.
    journals: BTreeMap<Origin, u64>,
    pairs: Pairs,
    pub(super) rows: BTreeMap<AgentId, BTreeMap<NodeId, Row>>,
    rows_count: u64,
    /// Accepted receipts between two nodes, the lower key first.
    settled: BTreeMap<(NodeId, NodeId), u64>,
    /// What is dated after the clock.
    ahead: Vec<Learnt>,
    /// The newest date of what counts.
    newest: Wall,
    /// Something was left out for a limit that another reader may have.
    partial: bool,
    gaps: Gaps,
}

impl Book {
    /// Whether a public entry's body has to be heard; all others only count.
    pub fn is_of_interest(body: &[u8]) -> bool {
        let number = body.first_chunk().map(|number| u16::from_le_bytes(*number));
        let wanted = [Kind::Submitted, Kind::Verdict, Kind::Lapsed, Kind::HandedIn];
        number.and_then(Kind::of).is_some_and(|kind| wanted.contains(&kind))
    }

    /// Reads the next record of a journal: its number, index and body. What it brought about goes to `learnt`. A record
    /// before those that were read changes nothing; one behind a gap is read, and the gap remembered.
    pub fn hear(
        &mut self,
        origin: Origin,
        (public_seq, index): (u64, u64),
        body: &[u8],
        now: Wall,
        learnt: &mut Vec<Learnt>,
    ) {
        if !self.reads(&origin) {
            return;
        }
        let next = self.journals.entry(origin).or_default();
        if public_seq < *next {
            return;
        }
        let gap = *next..public_seq;
        *next = public_seq + 1;
        if !gap.is_empty() {
            self.gaps.add(origin, gap);
        }
        let before = learnt.len();
        match Book::is_of_interest(body).then(|| Entry::decode(body)) {
            Some(Ok(entry)) => self.pairs.hear(origin, index, &entry, learnt),
            // Of a later version, or of another kind.
            _ => self.pairs.pass(origin, index + 1, learnt),
        }
        for piece in &learnt[before..] {
            self.date(*piece, now);
        }
        self.partial |= self.pairs.dropped() > 0;
    }

    /// Counts what was dated ahead of the clock and is not any more.
    pub fn tick(&mut self, now: Wall) {
        if self.ahead.is_empty() {
            return;
        }
        for piece in std::mem::take(&mut self.ahead) {
            self.date(piece, now);
        }
    }

    /// Whether records of a journal are read at all: it is one that its node may have, and there is a place for it.
    pub fn reads(&self, origin: &Origin) -> bool {
        let has_place = self.journals.contains_key(origin) || self.journals.len() < JOURNALS_MAX;
        origin.is_within_limit() && has_place
    }

    /// Whether a journal has to wait until others are read.
    pub fn is_full(&self, origin: &Origin) -> bool {
        self.pairs.is_full(origin)
    }

    /// The first `public_seq` of a journal that was not read.
    pub fn next(&self, origin: &Origin) -> u64 {
        self.journals.get(origin).copied().unwrap_or_default()
    }

    /// Up to where each journal was read, ascending by origin.
    pub fn marks(&self) -> Vec<Mark> {
        let mark = |(origin, next): (&Origin, &u64)| Mark { origin: *origin, next: *next };
        self.journals.iter().map(mark).collect()
    }

    /// The digest of what was read: of the marks, and of what was passed over below them.
    pub fn heads(&self) -> Digest {
        self.gaps.heads(&self.marks())
    }

    /// Whether the book is what the records that it has read say, so that another with the same heads is the same book.
    pub fn is_exact(&self) -> bool {
        !self.partial
    }

    /// Whether all records up to the marks are in the book, and count.
    pub fn is_whole(&self) -> bool {
        self.is_exact() && self.gaps.is_empty()
    }

    /// The newest date of what counts.
    pub fn newest(&self) -> Wall {
        self.newest
    }

    /// The agents that something is known of, from a place on, by key.
    pub fn agents_after(&self, start: Bound<AgentId>) -> impl Iterator<Item = &AgentId> {
        self.rows.range((start, Bound::Unbounded)).map(|(agent, _)| agent)
    }

    /// Whether something is known of an agent.
    pub fn knows(&self, agent: &AgentId) -> bool {
        self.rows.contains_key(agent)
    }

    /// How many accepted receipts two nodes have settled with each other, in either direction.
    pub fn settled(&self, one: NodeId, other: NodeId) -> u64 {
        self.settled.get(&pair(one, other)).copied().unwrap_or_default()
    }

    /// What is there of receipts that are not whole.
    pub fn halves(&self) -> impl Iterator<Item = Half> + '_ {
        self.pairs.halves()
    }

    fn date(&mut self, piece: Learnt, now: Wall) {
        let Some((agent, home, evidence)) = piece.evidence() else { return };
        if evidence.at.since_ms(now) > AHEAD_MS_MAX {
            self.partial |= self.ahead.len() >= AHEAD_MAX;
            if self.ahead.len() < AHEAD_MAX {
                self.ahead.push(piece);
            }
            return;
        }
        let is_new = self.rows.get(&agent).is_none_or(|homes| !homes.contains_key(&home));
        if is_new && self.rows_count as usize >= ROWS_MAX {
            self.partial = true;
            return;
        }
        self.rows_count += u64::from(is_new);
        self.newest = self.newest.max(evidence.at);
        let row = self.rows.entry(agent).or_default().entry(home).or_default();
        let add = |standing: &mut Standing| {
            standing.add(&evidence, evidence.at).expect("evidence of its own moment is not from the future");
        };
        add(&mut row.own);
        row.own_tally.count(&piece);
        let Learnt::Receipt(receipt) = piece else { return };
        let Some(worker) = receipt.worker() else { return };
        add(&mut row.borne);
        row.borne_tally.count(&piece);
        self.settle(&receipt, home, worker);
    }

    fn settle(&mut self, receipt: &Receipt, home: NodeId, worker: NodeId) {
        if !receipt.is_accepted() {
            return;
        }
        let pair = pair(home, worker);
        if let Some(count) = self.settled.get_mut(&pair) {
            *count += 1;
        } else if self.settled.len() < SETTLED_MAX {
            self.settled.insert(pair, 1);
        } else {
            self.partial = true;
        }
    }
}

impl Tally {
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
