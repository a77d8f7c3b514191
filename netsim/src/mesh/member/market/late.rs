//! An accepted result is run again after its verdict (`redo/late.rs`, `service/late.rs`): the operator picks one now and then.

use super::{Context, Does, Member};
use crate::mesh::market::program;
use crate::mesh::sabotage::MeshSabotage;
use artel_federation::fact::{Came, Judgement};
use artel_federation::input::LateRun;
use artel_federation::redo::late::asked;
use artel_federation::{Principal, Request};
use artel_protocol::id::StepId;
use std::sync::Arc;

/// Of a thousand times that the operator could, how often it has a result run again.
const LATE_PERMILLE: u64 = 250;

impl Member {
    /// The operator has an accepted result run again, here and twice; here both runs come to one thing.
    pub(super) fn looks_back(&mut self, context: &mut Context) -> Does {
        if !self.rng.chance(LATE_PERMILLE) {
            return Ok(());
        }
        let verdicts = context.truth.market.ledger(self.slot).verdicts.iter();
        let accepted = verdicts.filter(|(_, (.., judged))| matches!(judged, Judgement::Accepted { .. }));
        let steps: Vec<StepId> = accepted.map(|((step, _), _)| *step).collect();
        let Some(step) = self.rng.pick(&steps).copied() else { return Ok(()) };
        let Some(run) = self.live()?.federation.view().run(&step.run()).cloned() else { return Ok(()) };
        if run.trimmed {
            // The shell reads from the journal what has left memory; here it is passed over.
            return Ok(());
        }
        let (Ok(late), blobs) = (asked(&run, step), &self.seat()?.blobs) else { return Ok(()) };
        let (Some(reran), Some(output)) = (program::rerun(&late.ask, blobs), late.output) else {
            return Ok(());
        };
        let other = match program::compare(&reran, &output, &late.left) {
            Came::Other(other) => other,
            Came::Same if context.is(MeshSabotage::LateUnchecked) => output.digest(),
            Came::Same | Came::Inconclusive => return Ok(()),
        };
        let late = LateRun { step, run: Arc::new(run), other, profile: reran.profile };
        self.request(context, Principal::Operator, Request::Refute(Box::new(late))).map(drop)
    }
}
