//! What every handler of a node gets beside the node: the moment, what the world knows, what was planted, what is counted.

use super::memo::Memo;
use super::packet::Slot;
use super::sabotage::MeshSabotage;
use super::truth::Truth;
use crate::invariants::{Held, Violation};

/// Why a handler stops.
#[derive(Debug)]
pub enum Stop {
    /// The node is down: its disk failed, or power was lost.
    Down,
    /// An invariant does not hold.
    Broken(Violation),
}

/// What a handler says.
pub type Does<T = ()> = Result<T, Stop>;

/// What was counted in a world.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MeshCounts {
    /// Journal entries that were synced.
    pub entries: u64,
    /// Messages that were gossiped first.
    pub published: u64,
    /// First deliveries.
    pub delivered: u64,
    /// Copies that came in.
    pub copies: u64,
    /// Frames of records that were kept, from gossip and from exchanges.
    pub kept: u64,
    /// Of those, the ones from exchanges.
    pub fetched: u64,
    /// How often the oldest records of an author gave way to newer ones.
    pub given_up: u64,
    /// Exchanges that ended in good order.
    pub exchanges: u64,
    /// Heads that were cosigned.
    pub cosigned: u64,
    /// Cosignatures that came back to their node.
    pub returned: u64,
    /// Questions about how a head continues an older one.
    pub asked: u64,
    /// Proofs of fraud that nodes hold, at the end.
    pub frauds: u64,
    /// Messages that were rejected.
    pub rejected: u64,
    /// Power losses.
    pub crashes: u64,
    /// Starts.
    pub starts: u64,
    /// Admissions.
    pub admissions: u64,
    /// Expulsions.
    pub expulsions: u64,
    /// Partitions.
    pub partitions: u64,
    /// Clones.
    pub clones: u64,
    /// Visits of other nodes' agents that homes were asked.
    pub visits: u64,
    /// Leases of other homes that were taken on.
    pub undertaken: u64,
    /// Results that were handed in for other homes.
    pub handed_in: u64,
    /// How often a home acknowledged one.
    pub acknowledged: u64,
    /// Of those, with artifacts that home fetched.
    pub brought: u64,
    /// Files that agents' nodes fetched from homes.
    pub fetched_files: u64,
    /// Lots of results that fell.
    pub lots: u64,
    /// Of those, the ones that witnesses drew, and not home alone.
    pub witnessed: u64,
    /// Runs that neighbours did again.
    pub reran: u64,
    /// Runs that were told to the rules.
    pub redone: u64,
    /// Results that were refuted by runs.
    pub refuted: u64,
    /// Accepted results that were refuted after their verdict.
    pub refuted_late: u64,
    /// Of those, the ones that the agents' own nodes wrote down.
    pub refuted_away: u64,
    /// Runs that settled nothing, so that a further one was asked for.
    pub unsettled: u64,
    /// Results of other nodes' agents that were accepted.
    pub accepted: u64,
    /// Delegations that their agents ended.
    pub endings: u64,
    /// Visits that homes refused since what they rest on is over.
    pub ended: u64,
    /// Visits on what was delegated anew, at homes that had heard of the end of what was before.
    pub anew: u64,
    /// Claims that waited at a home until it heard that what they rest on is over.
    pub unwaited: u64,
    /// Silences of homes that were written down.
    pub silences: u64,
    /// Summaries that were compared.
    pub compared: u64,
    /// Of those, found wrong.
    pub flagged: u64,
    /// Summaries that were forged.
    pub forged: u64,
}

macro_rules! sum {
    ($one:ident, $other:ident: $($field:ident),*) => { $($one.$field += $other.$field;)* };
}

impl MeshCounts {
    /// Adds another world's.
    pub fn add(&mut self, other: MeshCounts) {
        sum!(self, other: entries, published, delivered, copies, kept, fetched, given_up, exchanges, cosigned, returned, asked,
             frauds, rejected, crashes, starts, admissions, expulsions, partitions, clones, visits, undertaken, handed_in,
             acknowledged, brought, fetched_files, lots, witnessed, reran, redone, refuted, refuted_late, refuted_away, unsettled, accepted, endings, ended, anew, unwaited, silences, compared, flagged, forged);
    }
}

/// What goes beside a node.
pub struct Context {
    /// The world's clock, in milliseconds.
    pub at: u64,
    /// What the world knows.
    pub truth: Truth,
    /// Answers of pure checks.
    pub memo: Memo,
    /// The planted bug.
    pub sabotage: Option<MeshSabotage>,
    /// How often the costly invariants look: at one of so many occasions.
    pub sampling: u64,
    /// How many such occasions there were.
    pub occasions: u64,
    /// What was counted.
    pub counts: MeshCounts,
}

impl Context {
    /// Whether a costly invariant looks this time: always in small worlds.
    pub fn looks(&mut self) -> bool {
        self.occasions += 1;
        self.occasions.is_multiple_of(self.sampling)
    }

    /// Whether this bug is planted.
    pub fn is(&self, sabotage: MeshSabotage) -> bool {
        self.sabotage == Some(sabotage)
    }
}

/// An invariant's word, in the name of a node.
///
/// # Errors
/// The violation.
pub fn held(invariant: &'static str, slot: Slot, holds: Held) -> Does {
    holds.map_err(|what| Stop::Broken(Violation { invariant, home: slot, what }))
}
