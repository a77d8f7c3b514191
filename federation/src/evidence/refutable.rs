//! Which accepted results may still be found to be others: the newest of each home. What is said of an older one changes no book.
//! Which they are, and which of them were refuted, follows from the home's journal alone, so it is the same for every reader.

use super::REFUTABLE_MAX;
use super::receipt::Receipt;
use crate::fact::Refuted;
use artel_protocol::codec::{Decode, Encode};
use artel_protocol::id::{Epoch, StepId};
use artel_protocol::key::{AgentId, NodeId};
use artel_protocol::log::Origin;
use artel_protocol::time::Wall;
use artel_reputation::{Outcome, Quality};
use std::collections::BTreeMap;

/// Of each home's journal, its newest acceptances of work done elsewhere, by the index of the verdict.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub(super) struct Refutable(BTreeMap<Origin, BTreeMap<u64, Accepted>>);

/// What makes a receipt, but for what it is found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
struct Accepted {
    step: StepId,
    epoch: Epoch,
    agent: AgentId,
    submitted: u64,
    handed_in: (NodeId, u32, u64),
    at: Wall,
    outcome: Outcome,
    quality: Option<Quality>,
    is_whole: bool,
    is_refuted: bool,
}

/// What a `Refuted` brings about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// A receipt that counts.
    Whole(Receipt),
    /// One that counts as soon as it is whole, if it ever is.
    Half(Receipt),
}

impl Refutable {
    /// Home has accepted work that was done elsewhere.
    pub fn accepted(&mut self, receipt: &Receipt) {
        let Some((handed_in, index)) = receipt.handed_in else { return };
        let Receipt { step, epoch, agent, submitted, at, outcome, quality, .. } = *receipt;
        let handed_in = (handed_in.node(), handed_in.incarnation(), index);
        let (is_whole, is_refuted) = (false, false);
        let newest = self.0.entry(receipt.home).or_default();
        newest.insert(
            receipt.verdict,
            Accepted { step, epoch, agent, submitted, handed_in, at, outcome, quality, is_whole, is_refuted },
        );
        if newest.len() > REFUTABLE_MAX {
            newest.pop_first();
        }
    }

    /// A receipt is whole.
    pub fn whole(&mut self, receipt: &Receipt) {
        let accepted = self.0.get_mut(&receipt.home).and_then(|newest| newest.get_mut(&receipt.verdict));
        if let Some(accepted) = accepted {
            accepted.is_whole = true;
        }
    }

    /// Home says that an accepted result is another. What does not name it as home accepted it, or says it again, changes nothing.
    pub fn refuted(&mut self, home: &Origin, f: &Refuted) -> Option<Takes> {
        let accepted = self.0.get_mut(home)?.get_mut(&f.verdict)?;
        let named = (f.step, f.epoch, f.agent);
        if (accepted.step, accepted.epoch, accepted.agent) != named || accepted.is_refuted {
            return None;
        }
        accepted.is_refuted = true;
        let receipt = accepted.receipt(*home, f.verdict);
        Some(if accepted.is_whole { Takes::Whole(receipt) } else { Takes::Half(receipt) })
    }
}

impl Accepted {
    fn receipt(&self, home: Origin, verdict: u64) -> Receipt {
        let Accepted { step, epoch, agent, submitted, at, outcome, quality, .. } = *self;
        let (node, incarnation, index) = self.handed_in;
        let handed_in = Some((Origin::new(home.federation(), node, incarnation), index));
        Receipt { home, step, epoch, agent, submitted, verdict, handed_in, at, outcome, quality }
    }
}

#[cfg(test)]
mod tests {
    use super::Accepted;

    #[test]
    fn what_is_remembered_is_as_large_as_the_bound_says() {
        assert!(std::mem::size_of::<(u64, Accepted)>() <= 176);
    }
}
