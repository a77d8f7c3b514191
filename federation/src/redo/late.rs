//! A mismatch that is found after the verdict (decision 13): accepted stays terminal, and the record that says so takes back what
//! the result brought its worker: its part of the score, and of what was paid as much as is there.
//!
//! It rests on this node's own runs alone; who may have it run again, and that two runs agree, is the shell's to see to.

use super::message::Redo;
use super::{asked_of, salted};
use crate::effect::{Code, Refusal, Reply};
use crate::fact::{Fact, Leg, Outcome, Poster, Recalled, Refuted};
use crate::federation::Federation;
use crate::input::LateRun;
use crate::json::Json;
use crate::ledger::{self, poster_account};
use crate::options::{OWN_STEPS_ENDED_MAX, REFUTED_MAX};
use crate::run::{Handed, Run, Step, StepState};
use crate::turn::Turn;
use artel_protocol::amount::Credits;
use artel_protocol::id::{Digest, StepId};
use artel_protocol::key::AgentId;
use std::cmp::Reverse;

/// What it takes to run an accepted result again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Late {
    /// The step. What left memory (a large input, outputs of steps before it) is empty in it.
    pub ask: Redo,
    /// The journal indexes of the outputs that it needs, in the order of their names; of its own, at the end.
    pub outputs: Vec<Option<u64>>,
    /// The output, where it is in memory.
    pub output: Option<Json>,
    /// Digests of the artifacts that were handed in.
    pub left: Vec<Digest>,
}

/// The accepted submission of a step that may be refuted.
struct Stands<'a> {
    agent: AgentId,
    step: &'a Step,
    handed: &'a Handed,
}

/// What it takes to run a step's accepted result again.
///
/// # Errors
/// A refusal that says why it cannot be.
pub fn asked(run: &Run, id: StepId) -> Result<Late, Refusal> {
    let Stands { step, handed, .. } = stands(run, id)?;
    let (ask, outputs) = asked_of(id, run, step).expect("it has a module");
    let outputs = outputs.into_iter().chain([step.output_at]).collect();
    Ok(Late { ask, outputs, output: step.output.clone(), left: handed.opening.artifacts.clone() })
}

fn stands(run: &Run, id: StepId) -> Result<Stands<'_>, Refusal> {
    let step = run.steps.get(id.index()).filter(|_| run.id == id.run());
    let step = step.ok_or_else(|| Refusal::new(Code::NotFound, "there is no such task here"))?;
    let StepState::Accepted { agent } = step.state else {
        let message = "only an accepted result is run again after its verdict";
        return Err(Refusal::new(Code::TaskNotOpen, message));
    };
    if step.spec.task.runner.is_none() {
        let message = "no module made this result, so nobody can run it again";
        return Err(Refusal::new(Code::RunnerUnavailable, message));
    }
    if run.poster == Poster::Agent(agent) {
        let message = "its worker posted it itself; what it makes of its own work is its own matter";
        return Err(Refusal::new(Code::Invalid, message));
    }
    let handed = step.handed.last().expect("an accepted step has a submission");
    Ok(Stands { agent, step, handed })
}

impl Federation {
    /// This node's own runs of an accepted result agreed on another one. Said again, it changes nothing.
    pub(crate) fn refute(&mut self, turn: &mut Turn, late: LateRun) -> Result<Reply, Refusal> {
        let run = self.state.shown(&late.step.run()).unwrap_or(late.run);
        let Stands { agent, step, handed } = stands(&run, late.step)?;
        let (id, epoch) = (late.step, handed.epoch);
        if self.state.refuted.contains(&(id, epoch)) {
            return Ok(Reply::Done);
        }
        if self.state.refuted.len() >= REFUTED_MAX {
            let message = format!("this node remembers at most {REFUTED_MAX} refuted results");
            return Err(Refusal::new(Code::TooMany, message));
        }
        let Some((verdict, Outcome::Accepted { quality, checked })) = &handed.verdict else {
            unreachable!("it was accepted")
        };
        self.end_own_offers(turn, agent, step.paid);
        let recalled = self.recalled(agent, step.paid);
        let refuted = Refuted {
            step: id,
            epoch,
            agent,
            submitted: handed.index,
            verdict: *verdict,
            judged: step.completed.expect("an accepted step is over"),
            late: handed.late,
            quality: checked.then_some(*quality),
            other: salted(handed.opening.salt, late.other),
            profile: late.profile,
            recalled,
        };
        turn.record(&mut self.state, Fact::Refuted(refuted));
        if recalled > Credits::ZERO {
            let legs: Vec<Leg> = ledger::recall(agent, poster_account(run.poster), recalled);
            turn.record(&mut self.state, Fact::Recalled(Recalled { step: id, epoch, legs }));
        }
        Ok(Reply::Done)
    }

    /// Ends offers of an agent's own while it has less than is to go back, those that set most aside first: what it set aside for
    /// work that nobody else has taken up comes back to it so, and is no place to hide pay in. What others work for stays theirs.
    fn end_own_offers(&mut self, turn: &mut Turn, agent: AgentId, wanted: Credits) {
        let is_own = |step: &Step| match step.state {
            StepState::Waiting | StepState::Offered => true,
            StepState::Leased { agent: holder, .. } => holder == agent,
            _ => false,
        };
        let posted = self.state.runs.values().filter(|run| run.poster == Poster::Agent(agent));
        let steps = posted.flat_map(|run| {
            let own = run.steps.iter().enumerate().filter(|(_, step)| is_own(step));
            own.map(|(n, step)| (step.escrow, run.step_id(n)))
        });
        let mut steps: Vec<(Credits, StepId)> = steps.filter(|(aside, _)| *aside > Credits::ZERO).collect();
        steps.sort_unstable_by_key(|(aside, id)| (Reverse(*aside), *id));
        let mut left = OWN_STEPS_ENDED_MAX;
        for (_, id) in steps.into_iter().take(OWN_STEPS_ENDED_MAX) {
            if self.recalled(agent, wanted) == wanted {
                return;
            }
            let Some((run, _)) = self.state.step(&id).filter(|(_, step)| is_own(step)) else { continue };
            let ended = 1 + run.doomed_by(id.index()).len();
            if ended <= left {
                left -= ended;
                self.cancel(turn, Poster::Operator, id.run(), Some(id)).expect("it is open");
            }
        }
    }

    /// What is taken back of a payment: no more than the agent still has, since an agent never owes. The rest is the poster's loss.
    fn recalled(&self, agent: AgentId, paid: Credits) -> Credits {
        let has = self.state.ledger.balance(crate::fact::Account::Agent(agent));
        Credits(u64::try_from(has).unwrap_or(0).min(paid.0))
    }
}
