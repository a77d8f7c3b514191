//! Which accepted results may still be found to be others: the newest of each home. What is said of an older one changes no book.
//! Which are the newest follows from the home's journal alone, so it is the same for every reader.

use super::REFUTABLE_MAX;
use super::receipt::Receipt;
use crate::fact::Refuted;
use artel_protocol::codec::{Decode, Encode};
use artel_protocol::id::{Epoch, StepId};
use artel_protocol::key::AgentId;
use artel_protocol::log::Origin;
use std::collections::BTreeMap;

/// What a `Refuted` names.
type Result = (StepId, Epoch, AgentId);

/// Of each home's journal, its newest acceptances of work done elsewhere, by the index of the verdict.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub(super) struct Refutable(BTreeMap<Origin, BTreeMap<u64, Stands>>);

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
enum Stands {
    /// It is no receipt yet, and perhaps never is one.
    Waits,
    /// It is one.
    Counts(Box<Receipt>),
    /// It was refuted before it was one.
    RefutedBefore(Result),
    /// It was refuted.
    Refuted,
}

impl Refutable {
    /// Home has accepted work that was done elsewhere.
    pub fn accepted(&mut self, home: Origin, verdict: u64) {
        let newest = self.0.entry(home).or_default();
        newest.insert(verdict, Stands::Waits);
        if newest.len() > REFUTABLE_MAX {
            newest.pop_first();
        }
    }

    /// A receipt is whole; whether it was refuted before.
    pub fn whole(&mut self, receipt: &Receipt) -> bool {
        let stands = self.0.get_mut(&receipt.home).and_then(|newest| newest.get_mut(&receipt.verdict));
        let Some(stands) = stands else { return false };
        let was_refuted = *stands == Stands::RefutedBefore((receipt.step, receipt.epoch, receipt.agent));
        *stands = if was_refuted { Stands::Refuted } else { Stands::Counts(Box::new(*receipt)) };
        was_refuted
    }

    /// Home says that an accepted result is another; the receipt that counts no more.
    pub fn refuted(&mut self, home: &Origin, f: &Refuted) -> Option<Receipt> {
        let stands = self.0.get_mut(home)?.get_mut(&f.verdict)?;
        let result = (f.step, f.epoch, f.agent);
        match stands {
            Stands::Waits => {
                *stands = Stands::RefutedBefore(result);
                None
            }
            Stands::Counts(receipt) if (receipt.step, receipt.epoch, receipt.agent) == result => {
                let receipt = **receipt;
                *stands = Stands::Refuted;
                Some(receipt)
            }
            Stands::Counts(_) | Stands::RefutedBefore(_) | Stands::Refuted => None,
        }
    }
}
