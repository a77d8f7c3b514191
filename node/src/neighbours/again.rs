//! A result that is brought again to this home after its run has left the rules' memory: answered from the index, as over HTTP.

use super::shared::Shared;
use crate::hand::acknowledge;
use crate::service::receipt_of;
use artel_federation::visit::message::{Act, Handing, Told, Visit};
use artel_protocol::id::{Digest, Epoch, StepId};
use artel_protocol::key::AgentId;

/// What a visit hands in, as far as it says whether it is the same again.
pub(super) struct Again {
    agent: AgentId,
    step: StepId,
    epoch: Epoch,
    output: Digest,
    artifacts: Vec<Digest>,
}

impl Again {
    /// Nothing for a visit that hands nothing in.
    pub fn of(visit: &Visit) -> Option<Self> {
        let Act::Submit(handing) = &visit.act else { return None };
        let Handing { step, epoch, output, artifacts, .. } = &**handing;
        let (output, artifacts) = (output.digest(), artifacts.clone());
        Some(Again { agent: visit.agent, step: *step, epoch: *epoch, output, artifacts })
    }

    /// What was said of it, by the conditions of the rules; `unknown` where no run had such a step. The rules have checked the
    /// warrant of the visit before they did not know the task.
    pub async fn told(self, shared: &Shared, unknown: Told) -> Told {
        let (index, run) = (shared.index.clone(), self.step.run());
        let found = tokio::task::spawn_blocking(move || index.run(&run)).await;
        let run = match found {
            Ok(Ok(run)) => run.filter(|run| self.step.index() < run.steps.len()),
            // It does not know yet what it has: to say that there is no such task would end the result.
            Ok(Err(_)) | Err(_) => {
                return Told::refused("unavailable", "the index is still opening; submit again");
            }
        };
        let Some(run) = run else { return unknown };
        match receipt_of(&run, self.step.index(), self.epoch, &self.agent) {
            Some(receipt)
                if (receipt.opening.output, &receipt.opening.artifacts) == (self.output, &self.artifacts) =>
            {
                let signature = acknowledge(&receipt, &shared.hand, &shared.me.federation());
                Told::Submitted { receipt: Box::new(receipt), signature }
            }
            Some(_) => Told::refused(
                "already_submitted",
                "another result was submitted under this lease before; the first one stands",
            ),
            None => Told::refused("finished", "this task is over"),
        }
    }
}
