//! From a submission to its receipt: taken in under a live lease, checked, judged, paid once; and what follows for the
//! steps behind it.

use crate::effect::{Code, Judged, Receipt, Refusal, Reply};
use crate::fact::{
    CancelAsked, End, Fact, Findings, Judgement, LeaseEnded, Outcome, Output, Poster, StepEnded, Submitted,
    Verdict,
};
use crate::federation::Federation;
use crate::input::{ArtifactPut, Brought, ReplyTo, Submission};
use crate::ledger;
use crate::market::authority;
use crate::member::Agent;
use crate::options::{FINDINGS_BYTES_MAX, HELD_BYTES_MAX, LEASE_ARTIFACT_BYTES_MAX, RELEASES_MAX};
use crate::run::{Handed, Step, StepState};
use crate::timer::Timer;
use crate::turn::Turn;
use artel_protocol::amount::Credits;
use artel_protocol::id::{Epoch, RunId, StepId};
use artel_protocol::key::AgentId;
use artel_protocol::limits::{NAME_BYTES_MAX, OUTPUT_BYTES_MAX, STEP_ARTIFACTS_MAX};
use artel_reputation::{Level, Quality, reward};

impl Federation {
    /// An agent hands in a result; `None` when the answer waits for the next task that was asked for.
    pub(crate) fn submit(
        &mut self,
        turn: &mut Turn,
        to: ReplyTo,
        agent: AgentId,
        submission: Submission,
    ) -> Result<Option<Reply>, Refusal> {
        let (id, epoch) = (submission.step, submission.epoch);
        if let Some(receipt) = self.same_again(agent, &submission)? {
            return self.answer_submission(turn, to, agent, &submission, receipt);
        }
        self.held_lease(agent, id, epoch)?;
        self.is_about(turn, &agent);
        self.artifacts_could_come(&self.state.agents[&agent], &submission)?;
        if submission.output.len() > OUTPUT_BYTES_MAX {
            let message = format!(
                "an output has at most {OUTPUT_BYTES_MAX} bytes; store more as an artifact. You still hold the lease"
            );
            return Err(Refusal::new(Code::TooMany, message));
        }
        if submission.artifacts.len() > STEP_ARTIFACTS_MAX {
            let message = format!(
                "a submission names at most {STEP_ARTIFACTS_MAX} artifacts. You still hold the lease"
            );
            return Err(Refusal::new(Code::TooMany, message));
        }
        if let Err(refusal) = self.take_what_needs_room(turn, agent, &submission) {
            if submission.brought.is_some() && refusal.code != Code::TooMany {
                // Its node brings it again, and its agent cannot renew: the lease goes on, as long as leases may.
                self.renew(turn, agent, id, epoch).ok();
            }
            return Err(refusal);
        }
        self.take_in(turn, agent, &submission);
        // Whoever asks for the next task waits already: what its result makes ready is not kept for others.
        turn.claimer = submission.next.map(|_| (agent, (id, epoch)));
        if !self.ask_witnesses(turn, id, false) {
            self.examine(turn, id);
        }
        let receipt = self.receipt(id, epoch).expect("just taken in");
        self.answer_submission(turn, to, agent, &submission, receipt)
    }

    /// Artifacts of another node's agent come through the node that it is known by here, and no other; without them its
    /// result is none.
    fn artifacts_could_come(&self, agent: &Agent, submission: &Submission) -> Result<(), Refusal> {
        let other = |brought: &Brought| agent.guest.is_none_or(|guest| guest.node != brought.at.node);
        if submission.artifacts.is_empty() || !submission.brought.as_ref().is_some_and(other) {
            return Ok(());
        }
        let message = "this home does not know the agent by your node, so its artifacts cannot come from there; submit where it claimed";
        Err(Refusal::new(Code::Invalid, message))
    }

    fn take_what_needs_room(
        &mut self,
        turn: &mut Turn,
        agent: AgentId,
        submission: &Submission,
    ) -> Result<(), Refusal> {
        if self.state.open.bytes > HELD_BYTES_MAX {
            let message =
                "this node's memory of open work is full; submit again in a moment. You still hold the lease";
            return Err(Refusal::new(Code::BookFull, message));
        }
        self.take_artifacts(turn, agent, submission)
    }

    /// Enters what was fetched for a result, all of it or nothing. Without its artifacts' bytes a result is none.
    fn take_artifacts(
        &mut self,
        turn: &mut Turn,
        agent: AgentId,
        submission: &Submission,
    ) -> Result<(), Refusal> {
        let Some(brought) = &submission.brought else { return Ok(()) };
        let Some(came) = &brought.came else {
            return match submission.artifacts.is_empty() {
                true => Ok(()),
                false => Err(Refusal::new(
                    Code::ArtifactMissing,
                    "this result's artifacts are not here; submit again. You still hold the lease",
                )),
            };
        };
        let new = |count: fn(&ArtifactPut) -> u64| came.iter().map(count).fold(0, u64::saturating_add);
        if new(|put| put.bytes) > LEASE_ARTIFACT_BYTES_MAX {
            let message = format!(
                "what home fetches for one result has at most {LEASE_ARTIFACT_BYTES_MAX} bytes. You still hold the lease"
            );
            return Err(Refusal::new(Code::TooMany, message));
        }
        if new(|put| put.bytes_new) > self.artifact_room(true) {
            let message =
                "this home keeps no more artifacts of other nodes' agents. You still hold the lease";
            return Err(Refusal::new(Code::ArtifactQuota, message));
        }
        for put in came {
            self.store(turn, Poster::Agent(agent), put.clone()).expect("its holder enters what fits");
        }
        Ok(())
    }

    /// The receipt of the same submission made before.
    fn same_again(&self, agent: AgentId, submission: &Submission) -> Result<Option<Receipt>, Refusal> {
        let (id, epoch) = (submission.step, submission.epoch);
        let Some((_, step)) = self.state.step(&id) else {
            return Ok(None);
        };
        let Some(handed) = step.handed.iter().find(|h| h.epoch == epoch && h.agent == agent) else {
            return Ok(None);
        };
        let before = &handed.opening;
        if before.artifacts == submission.artifacts && before.output == submission.output.digest() {
            return Ok(self.receipt(id, epoch));
        }
        Err(Refusal::new(
            Code::AlreadySubmitted,
            "another result was submitted under this lease before; the first one stands",
        ))
    }

    fn answer_submission(
        &mut self,
        turn: &mut Turn,
        to: ReplyTo,
        agent: AgentId,
        submission: &Submission,
        mut receipt: Receipt,
    ) -> Result<Option<Reply>, Refusal> {
        let Some(claim) = submission.next else {
            return Ok(Some(Reply::Submitted(Box::new(receipt))));
        };
        if let Some(lease) = self.granted_after(agent, (submission.step, submission.epoch), &turn.now) {
            receipt.next = Some(Box::new(lease));
        } else if self.free_leases(&self.state.agents[&agent]) > 0 {
            match self.grant_best(turn, agent, Some((submission.step, submission.epoch))) {
                Some(lease) => receipt.next = Some(Box::new(lease)),
                None => {
                    return self.wait_for_task(turn, to, agent, claim, Reply::Submitted(Box::new(receipt)));
                }
            }
        }
        Ok(Some(Reply::Submitted(Box::new(receipt))))
    }

    fn take_in(&mut self, turn: &mut Turn, agent: AgentId, submission: &Submission) {
        let (id, epoch) = (submission.step, submission.epoch);
        let (_, step) = self.state.step(&id).expect("the lease was seen");
        let late = turn.now.wall > step.spec.task.deadline;
        let authority = authority(&self.state.agents[&agent], turn.now.wall);
        self.disarm_lease(id);
        let (output, artifacts) = (submission.output.clone(), submission.artifacts.clone());
        let salt = submission.brought.as_ref().map_or(turn.now.salt(), |brought| brought.salt);
        let private = Output { step: id, epoch, salt, output, artifacts };
        turn.record(&mut self.state, Fact::Output(private));
        let (_, step) = self.state.step(&id).expect("the lease was seen");
        let (_, opening) = step.handing.as_ref().expect("the private half was just written");
        let (result, handed_at) = (opening.result(), submission.brought.as_ref().map(|brought| brought.at));
        let submitted = Submitted { step: id, epoch, agent, result, authority, late, handed_at };
        turn.record(&mut self.state, Fact::Submitted(submitted));
    }

    /// The checks of a submission are done.
    pub(crate) fn checked(&mut self, turn: &mut Turn, id: StepId, epoch: Epoch, outcome: Outcome) {
        let Some((_, step)) = self.state.step(&id) else {
            return;
        };
        let is_its_turn = !step.is_being_redone() && !self.live.lots.contains(&(id, epoch));
        if matches!(step.state, StepState::Submitted { .. }) && step.epoch == epoch && is_its_turn {
            self.judge(turn, id, outcome);
        }
    }

    /// Gives the verdict on a step's open submission and does what follows from it: payment, steps that are ready now,
    /// another offer, the end.
    pub(crate) fn judge(&mut self, turn: &mut Turn, id: StepId, outcome: Outcome) {
        let (_, step) = self.state.step(&id).expect("a submission has its step");
        let StepState::Submitted { agent, level } = step.state else { panic!("only a submission is judged") };
        let handed = step.handed.last().expect("a submitted step has a submission");
        let (epoch, submitted) = (handed.epoch, handed.index);
        let (escrow, base) = (step.escrow, step.spec.task.reward);
        let outcome = bounded(outcome);
        if let Outcome::Accepted { quality, .. } = outcome {
            let paid = reward(base, Quality::new(quality).unwrap_or(Quality::FULL), level);
            if let Some(transfer) = ledger::payment(id, escrow, agent, paid) {
                turn.record(&mut self.state, Fact::Transfer(transfer));
            }
        }
        let judgement = match outcome {
            Outcome::Accepted { quality, checked } => Judgement::Accepted { quality, checked },
            Outcome::Rejected { check, findings } => {
                turn.record(&mut self.state, Fact::Findings(Findings { step: id, epoch, findings }));
                Judgement::Rejected { check }
            }
        };
        let accepted = matches!(judgement, Judgement::Accepted { .. });
        turn.record(&mut self.state, Fact::Verdict(Verdict { step: id, epoch, agent, submitted, judgement }));
        if accepted {
            self.offer_ready(turn, id.run())
        } else {
            self.try_again(turn, id)
        }
        self.serve_waits(turn, agent);
    }

    /// After a rejection, a lapse or a release: another offer (which ends a step past its deadline), or the end where
    /// attempts, lapses or releases are spent or the step was cancelled meanwhile.
    pub(crate) fn try_again(&mut self, turn: &mut Turn, id: StepId) {
        let (run, step) = self.state.step(&id).expect("its lease just ended");
        let end = if run.cancelled || step.cancelled {
            Some(End::Cancelled)
        } else if step.attempts >= run.attempts_max {
            Some(End::AttemptsSpent)
        } else if step.lapses >= run.lapses_max {
            Some(End::LapsesSpent)
        } else if step.releases >= RELEASES_MAX {
            Some(End::ReleasesSpent)
        } else {
            None
        };
        match end {
            Some(end) => self.end_step(turn, id, end),
            None => self.offer(turn, id),
        }
    }

    /// Offers the steps of a run that wait for nothing any more.
    pub(crate) fn offer_ready(&mut self, turn: &mut Turn, id: RunId) {
        let Some(run) = self.state.run(&id).filter(|run| !run.cancelled) else {
            return;
        };
        for i in run.ready() {
            self.offer(turn, id.step(i));
        }
    }

    /// Ends a step without a result: its escrow goes back, and whatever needs it can never start.
    pub(crate) fn end_step(&mut self, turn: &mut Turn, id: StepId, end: End) {
        let (run, _) = self.state.step(&id).expect("only known steps end");
        let doomed = run.doomed_by(id.index());
        self.end_one(turn, id, end);
        for i in doomed {
            self.end_one(turn, id.run().step(i), if end == End::Cancelled { end } else { End::NeedFailed });
        }
    }

    fn end_one(&mut self, turn: &mut Turn, id: StepId, end: End) {
        let (run, step) = self.state.step(&id).expect("only known steps end");
        let refund = ledger::refund(id, run.poster, step.escrow);
        if let StepState::Leased { agent, .. } = step.state {
            let withdrawn = LeaseEnded { step: id, epoch: step.epoch, agent };
            turn.record(&mut self.state, Fact::Withdrawn(withdrawn));
        }
        self.disarm_lease(id);
        self.live.timers.cancel(Timer::Deadline(id));
        self.live.timers.cancel(Timer::Window(id));
        self.live.windows.close(&id);
        turn.record(&mut self.state, Fact::StepEnded(StepEnded { step: id, end }));
        if let Some(transfer) = refund {
            turn.record(&mut self.state, Fact::Transfer(transfer));
        }
    }

    /// Somebody wants a run, or one step of it, to stop. What was handed in already waits for its verdict.
    pub(crate) fn cancel(
        &mut self,
        turn: &mut Turn,
        by: Poster,
        id: RunId,
        step: Option<StepId>,
    ) -> Result<Reply, Refusal> {
        let Some(run) = self.state.run(&id) else {
            return Err(Refusal::new(Code::NotFound, "there is no such run here"));
        };
        if by != Poster::Operator && by != run.poster {
            return Err(Refusal::new(Code::Forbidden, "only the poster and the operator may cancel"));
        }
        if step.is_some_and(|s| s.run() != id || s.index() >= run.steps.len()) {
            return Err(Refusal::new(Code::NotFound, "this run has no such step"));
        }
        let over = |s: &Step| s.state.is_terminal();
        let finished = run.ended.is_some() || step.is_some_and(|s| over(&run.steps[s.index()]));
        let again = match step {
            None => run.cancelled,
            Some(s) => run.steps[s.index()].cancelled,
        };
        if again {
            let run = self.state.shown(&id).expect("just seen");
            return Ok(Reply::Run { run, repeated: true });
        }
        if finished {
            return Err(Refusal::new(Code::Finished, "this is over and cannot be cancelled any more"));
        }
        let targets: Vec<StepId> = match step {
            Some(step) => vec![step],
            None => (0..run.steps.len()).map(|i| id.step(i)).collect(),
        };
        turn.record(&mut self.state, Fact::CancelAsked(CancelAsked { run: id, step, by }));
        for target in targets {
            let (_, step) = self.state.step(&target).expect("steps of this run");
            if !step.state.is_terminal() && !matches!(step.state, StepState::Submitted { .. }) {
                self.end_step(turn, target, End::Cancelled);
            }
        }
        let run = self.state.shown(&id).expect("still in the book until the turn ends");
        Ok(Reply::Run { run, repeated: false })
    }

    /// The receipt of a submission, as far as it has come.
    pub(crate) fn receipt(&self, id: StepId, epoch: Epoch) -> Option<Receipt> {
        let (_, step) = self.state.step(&id)?;
        receipt_of(id, step, epoch)
    }
}

/// The receipt of a step's submission under `epoch`, as far as it has come.
pub fn receipt_of(id: StepId, step: &Step, epoch: Epoch) -> Option<Receipt> {
    let handed: &Handed = step.handed.iter().find(|h| h.epoch == epoch)?;
    let verdict = handed.verdict.as_ref().map(|(index, outcome)| {
        let paid = if matches!(outcome, Outcome::Accepted { .. }) { step.paid } else { Credits::ZERO };
        Judged { index: *index, outcome: outcome.clone(), paid }
    });
    Some(Receipt {
        step: id,
        epoch,
        agent: handed.agent,
        result: handed.result,
        opening: handed.opening.clone(),
        authority: handed.authority,
        submitted: handed.index,
        submitted_at: handed.at,
        verdict,
        next: None,
    })
}

/// The highest level that any offer admits, which the escrow must cover.
pub(crate) const HIGHEST_ADMITTED: Level = Level::Master;

fn bounded(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Accepted { quality, checked } => Outcome::Accepted { quality: quality.min(100), checked },
        Outcome::Rejected { mut check, mut findings } => {
            check.truncate(check.floor_char_boundary(NAME_BYTES_MAX));
            findings.truncate(findings.floor_char_boundary(FINDINGS_BYTES_MAX));
            Outcome::Rejected { check, findings }
        }
    }
}
