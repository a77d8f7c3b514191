//! What leaves a home: answers, past the invariants that look at them; checks; closed runs.

use super::{Home, Out, Pending};
use crate::invariants::{self, Told, Violation, progress, settlement};
use crate::letter::{Answer, Letter};
use artel_federation::effect::Lease;
use artel_federation::{Effect, Principal, Refusal, Reply, ReplyTo, Request};
use artel_protocol::id::Digest;

impl Home {
    /// Lets one effect out.
    pub(super) fn release(&mut self, at: u64, effect: Effect) -> Result<(), Violation> {
        match effect {
            Effect::Append(_) => unreachable!("entries are journalled, not released"),
            Effect::Reply { to, answer } => self.answer(at, to, answer),
            Effect::Check { step, epoch, .. } => {
                if let Some(live) = &mut self.live {
                    live.checks.insert((step, epoch));
                }
                self.out.push(Out::Check(step, epoch));
                Ok(())
            }
            Effect::AskWitnesses(_) | Effect::Redo(_) => unreachable!("no task of these worlds has a module"),
            Effect::Closed(closed) => {
                let run = closed.run().expect("it has just ended");
                let invariant = "invariant_a_closed_run_is_as_the_log_says";
                let holds = settlement::invariant_a_closed_run_is_as_the_log_says(&self.book, run);
                holds.map_err(|what| Violation { invariant, home: self.number, what })
            }
        }
    }

    fn answer(&mut self, at: u64, to: ReplyTo, said: Result<Reply, Refusal>) -> Result<(), Violation> {
        let Some(pending) = self.pending.remove(&to) else {
            return progress::invariant_requests_are_answered_once(self.number, None);
        };
        let Pending { letter, serial_min, .. } = pending;
        let answer = Answer { to: letter.from, home: letter.home, number: letter.number, said };
        let told =
            Told { book: &self.book, witness: &self.witness, letter: &letter, answer: &answer, serial_min };
        invariants::told(self.number, &told)?;
        *self.tally.entry(answer_name(&answer)).or_default() += 1;
        self.remember(at, &letter, &answer);
        self.counts.answers += 1;
        self.out.push(Out::Answer(answer));
        Ok(())
    }

    fn remember(&mut self, at: u64, letter: &Letter, answer: &Answer) {
        let Ok(reply) = &answer.said else { return };
        let mut lease = None;
        match reply {
            Reply::Leased(won) => lease = Some(won.as_ref()),
            Reply::Submitted(receipt) => {
                lease = receipt.next.as_deref();
                if let Some(judged) = &receipt.verdict {
                    self.witness.verdicts.insert((receipt.step, receipt.epoch), judged.index);
                }
            }
            Reply::Renewed { .. } => {
                if let Request::Renew { step, epoch } = letter.request {
                    self.expect_end(step, epoch, at + u64::from(self.options.lease_ms));
                }
            }
            Reply::Run { .. } | Reply::Repeated(_) => {
                let run = match reply {
                    Reply::Run { run, .. } => run.id,
                    Reply::Repeated(run) => *run,
                    _ => return,
                };
                if let Request::Post(post) = &letter.request
                    && let Some((key, _)) = &post.key
                {
                    let who = (letter.from.number(), Digest::of(key.as_bytes()));
                    self.witness.posted.insert(who, run);
                }
            }
            _ => {}
        }
        if let (Some(lease), Principal::Agent { id, .. }) = (lease, letter.principal) {
            self.witness.winners.insert((lease.step, lease.epoch), id);
        }
    }

    pub(super) fn second_winner(&self, to: ReplyTo, effect: Effect) -> Effect {
        let (Some(pending), Some(live)) = (self.pending.get(&to), &self.live) else { return effect };
        let (Request::Claim(id), Effect::Reply { answer: Err(_), .. }) = (&pending.letter.request, &effect)
        else {
            return effect;
        };
        let Some((run, step)) = live.federation.view().step(id).filter(|(_, step)| step.epoch.0 > 0) else {
            return effect;
        };
        let task = &step.spec.task;
        let lease = Lease {
            step: *id,
            run: run.id,
            epoch: step.epoch,
            expires: task.deadline,
            lease_ms: self.options.lease_ms,
            index: step.granted_at.unwrap_or(0),
            title: task.title.clone(),
            description: String::new(),
            name: step.spec.name.clone(),
            input: task.input.clone(),
            inputs: run.inputs.clone(),
            needs: Vec::new(),
            artifacts: Vec::new(),
            output_schema: None,
            runner: None,
            reward: task.reward,
            deadline: task.deadline,
            verdict_within_ms: self.options.verdict_within_ms,
            skills: task.skills.clone(),
        };
        Effect::Reply { to, answer: Ok(Reply::Leased(Box::new(lease))) }
    }
}

fn answer_name(answer: &Answer) -> &'static str {
    match &answer.said {
        Err(refusal) => refusal.code.as_str(),
        Ok(Reply::Leased(_)) => "answer: leased",
        Ok(Reply::Submitted(receipt)) if receipt.next.is_some() => "answer: receipt and lease",
        Ok(Reply::Submitted(receipt)) if receipt.verdict.is_some() => "answer: receipt with verdict",
        Ok(Reply::Submitted(_)) => "answer: receipt",
        Ok(Reply::Run { repeated: true, .. } | Reply::Repeated(_)) => "answer: run again",
        Ok(Reply::Run { .. }) => "answer: run",
        Ok(Reply::Nothing) => "answer: nothing",
        Ok(Reply::Token { .. }) => "answer: token",
        Ok(Reply::Renewed { .. }) => "answer: renewed",
        Ok(_) => "answer: other",
    }
}
