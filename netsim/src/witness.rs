//! What the world itself knows of one home, whatever the home says: what was asked of it, what it answered, what it
//! published. It outlives every crash.

use crate::letter::Letter;
use artel_federation::{Principal, Request};
use artel_protocol::id::{Digest, Epoch, RunId, StepId};
use artel_protocol::key::AgentId;
use artel_protocol::log::Hash;
use std::collections::{BTreeMap, BTreeSet};

/// The evidence against one home.
#[derive(Debug, Default)]
pub struct Witness {
    /// Submissions that agents sent.
    pub submitted: BTreeSet<(StepId, Epoch, AgentId, Digest)>,
    /// Releases that agents sent.
    pub released: BTreeSet<(StepId, Epoch, AgentId)>,
    /// How many requests that may win a lease were delivered, by agent.
    pub claims: BTreeMap<AgentId, u64>,
    /// Runs and steps that somebody asked to stop.
    pub cancelled: BTreeSet<(RunId, Option<StepId>)>,
    /// Revocations that somebody asked for.
    pub revoked: BTreeSet<AgentId>,
    /// Who was told that it won, by step and epoch.
    pub winners: BTreeMap<(StepId, Epoch), AgentId>,
    /// The verdict's index that somebody was told, by step and epoch.
    pub verdicts: BTreeMap<(StepId, Epoch), u64>,
    /// The run that a sender's key got, as told.
    pub posted: BTreeMap<(u64, Digest), RunId>,
    /// Journal entries below this were acknowledged.
    pub acknowledged: u64,
    /// The heads that were published.
    pub heads: Vec<(u64, Hash)>,
}

impl Witness {
    /// Notes a letter as it is delivered to the home, copies too.
    pub fn delivered(&mut self, letter: &Letter) {
        if let (Principal::Operator, Request::RevokeAgent(agent)) = (letter.principal, &letter.request) {
            self.revoked.insert(*agent);
        }
        if let Request::Cancel { run, step } = &letter.request {
            self.cancelled.insert((*run, *step));
        }
        let Principal::Agent { id, .. } = letter.principal else {
            return;
        };
        match &letter.request {
            Request::Claim(_) | Request::ClaimNext(_) => *self.claims.entry(id).or_default() += 1,
            Request::Submit(submission) => {
                let output = submission.output.digest();
                self.submitted.insert((submission.step, submission.epoch, id, output));
                if submission.next.is_some() {
                    *self.claims.entry(id).or_default() += 1;
                }
            }
            Request::Release { step, epoch } => {
                self.released.insert((*step, *epoch, id));
            }
            Request::RevokeOwn(_) => {
                self.revoked.insert(id);
            }
            _ => {}
        }
    }
}
