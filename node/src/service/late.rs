//! Having an accepted result run again after its verdict.

use super::inner::NodeService;
use super::refusal;
use super::shown::Viewer;
use crate::redo::late::State;
use artel_federation::Json;
use artel_federation::redo::late::{Late, asked};
use artel_federation::run::Run;
use artel_protocol::id::StepId;
use artel_web::types::task::{LateRedo, LateState};
use artel_web::{Call, Code, Problem};
use std::sync::Arc;
use std::time::Duration;

/// How long an answer waits for the run, less than a request may take; who asks again waits on.
const ANSWER_WAIT: Duration = Duration::from_secs(10);

/// `POST /v1/tasks/{id}/redo`.
pub(super) async fn redo(service: &NodeService, call: &Call, id: StepId) -> Result<LateRedo, Problem> {
    let redos = service.parts().redos.clone();
    let told = match redos.known(&id) {
        Some(told) => told,
        None => {
            let whole = |run: &Run, _: &Viewer| Some(Arc::new(run.clone()));
            let run = service.in_run(call, id.run(), whole).await?;
            let late = asked(&run, id).map_err(refusal::of_rules)?;
            let filled = fill(service, &run, late).await?;
            redos.begin(id, run, filled).ok_or_else(|| {
                Problem::new(Code::TooManyWaiting, "too many results are run again at the moment; try again")
            })?
        }
    };
    let state = match redos.answer(&id, told, ANSWER_WAIT).await {
        State::Running => LateState::Running,
        State::Same => LateState::Same,
        State::Refuted => LateState::Refuted,
        State::Inconclusive => LateState::Inconclusive,
    };
    Ok(LateRedo { task_id: id, state })
}

/// Reads what has left memory from the journal, and the output that is compared.
async fn fill(service: &NodeService, run: &Run, mut late: Late) -> Result<(Late, Json), Problem> {
    let gone = || Problem::new(Code::NotFound, "its input or its output was erased; it cannot be run again");
    if late.ask.input.is_empty() {
        let posted = service.posted(Some(run.posted_at)).await?.ok_or_else(gone)?;
        let step = posted.steps.into_iter().nth(late.ask.step.index()).ok_or_else(gone)?;
        late.ask.input = step.task.input;
    }
    for ((_, output), at) in late.ask.needs.iter_mut().zip(&late.outputs) {
        if output.is_empty() {
            *output = service.output(*at).await?.ok_or_else(gone)?;
        }
    }
    let output = match late.output.take() {
        Some(output) => output,
        None => service.output(late.outputs.last().copied().flatten()).await?.ok_or_else(gone)?,
    };
    Ok((late, output))
}
