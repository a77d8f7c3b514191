//! Work away from home: what this node's agents win at other homes, hand in there and hear of it. Home decides; here it is
//! written down before it is sent, so that no result is lost, and kept until home has judged it.

mod engagements;

pub use engagements::{Engagement, Engagements, Full, Handed};

use crate::commitment::Opening;
use crate::effect::{Code, Refusal, Reply};
use crate::fact::{
    Abroad, Acknowledged, Authority, Concluded, Fact, HandedIn, LetGo, Outgoing, RefutedAway, Unanswered,
    Undertaken,
};
use crate::federation::Federation;
use crate::input::{Conclusion, Now, Word, Work};
use crate::options::{
    ABROAD_TERMS, ENGAGEMENTS_MAX, ENGAGEMENTS_OF_AGENT_MAX, ENGAGEMENTS_OF_HOME_MAX, HEARD_AGAIN_MS,
    OUTBOX_MS,
};
use crate::timer::Timer;
use crate::turn::Turn;
use artel_protocol::amount::Credits;
use artel_protocol::key::AgentId;
use artel_protocol::limits::{OUTPUT_BYTES_MAX, STEP_ARTIFACTS_MAX};
use artel_protocol::time::Mono;

/// Whether home's refusal of a result with this code is its last word: the lease is over, home has another result, or its operator
/// has let the agent go. With every other code the result is brought again.
pub fn ends_a_result(code: &str) -> bool {
    matches!(code, "stale_epoch" | "finished" | "not_found" | "already_submitted" | "agent_revoked")
}

impl Full {
    /// What whoever asks for one more is told.
    pub fn refusal(self) -> Refusal {
        let (code, whose) = match self {
            Full::All => (
                Code::BookFull,
                format!("this node has {ENGAGEMENTS_MAX} leases and results at other homes; try later"),
            ),
            Full::Home => (
                Code::TooMany,
                format!(
                    "that home has not answered {ENGAGEMENTS_OF_HOME_MAX} leases and results of this node yet; work for another one"
                ),
            ),
            Full::Agent => (
                Code::TooMany,
                format!(
                    "{ENGAGEMENTS_OF_AGENT_MAX} leases and results of yours wait at other homes; try later"
                ),
            ),
        };
        Refusal::new(code, whose)
    }
}

impl Federation {
    /// An agent of this node won a step elsewhere. Where it cannot be taken on, the shell gives it back.
    pub(crate) fn undertake(
        &mut self,
        turn: &mut Turn,
        agent: AgentId,
        won: Undertaken,
    ) -> Result<Reply, Refusal> {
        if won.agent != agent {
            return Err(Refusal::new(Code::Forbidden, "an agent undertakes for itself"));
        }
        if self.state.away.get(&won.lease).is_some() {
            return Ok(Reply::Done);
        }
        // Taken on, what that home has it do would be handed in as the result of this node's own step.
        if self.state.step(&won.lease.step).is_some() {
            let message = "this home grants a step of this node's own, which no honest home does";
            return Err(Refusal::new(Code::Invalid, message));
        }
        if self.state.away.of(&agent, &won.lease.step, won.lease.epoch).is_some() {
            let message =
                "you hold a lease of another home on a step of the same id; submit or release that one first";
            return Err(Refusal::new(Code::CapacityFull, message));
        }
        if self.state.live_leases(&agent) >= self.state.agents[&agent].capacity {
            return Err(Refusal::new(
                Code::CapacityFull,
                "you hold as many leases as you may; submit or release one first",
            ));
        }
        if let Some(full) = self.state.away.is_full_for(&agent, Some(&won.lease.home)) {
            return Err(full.refusal());
        }
        let lease = won.lease;
        turn.record(&mut self.state, Fact::Undertaken(won));
        self.watch(lease, &turn.now);
        Ok(Reply::Done)
    }

    /// An agent hands in what another home asked for. From here on it is in the outbox.
    pub(crate) fn hand_in(&mut self, turn: &mut Turn, agent: AgentId, work: Work) -> Result<Reply, Refusal> {
        let away = &self.state.away;
        let known = away
            .of(&agent, &work.step, work.epoch)
            .or_else(|| away.concluded_of(&agent, &work.step, work.epoch));
        let Some(engagement) = known.cloned() else {
            return Err(Refusal::new(
                Code::StaleEpoch,
                "this lease is over or was never yours; claim the task again",
            ));
        };
        let lease = engagement.lease;
        if let Some(handed) = &engagement.result {
            let artifacts = work.artifacts;
            let again = Opening { salt: handed.salt, output: work.output.digest(), artifacts }.result();
            let same = again == handed.result;
            return match same {
                true => Ok(Reply::HandedIn(engagement)),
                false => Err(Refusal::new(
                    Code::AlreadySubmitted,
                    "another result was submitted under this lease before; the first one stands",
                )),
            };
        }
        if work.output.len() > OUTPUT_BYTES_MAX || work.artifacts.len() > STEP_ARTIFACTS_MAX {
            let message = format!(
                "a result has at most {OUTPUT_BYTES_MAX} bytes and {STEP_ARTIFACTS_MAX} artifacts. You still hold the lease"
            );
            return Err(Refusal::new(Code::TooMany, message));
        }
        let delegated = self.state.agents[&agent].delegation.is_some();
        if engagement.authority == Authority::Own && work.own.is_none() && !delegated {
            let message = "you signed the claim yourself and have not delegated to this node: sign the result, too (\"signed\"). You still hold the lease";
            return Err(Refusal::new(Code::BadStatement, message));
        }
        let (salt, artifacts) = (turn.now.salt(), work.artifacts);
        let opening = Opening { salt, output: work.output.digest(), artifacts: artifacts.clone() };
        let authority = if work.own.is_some() { Authority::Own } else { engagement.authority };
        let outgoing = Outgoing { lease, salt, output: work.output, artifacts, own: work.own };
        turn.record(&mut self.state, Fact::Outgoing(outgoing));
        let handed_in = HandedIn { lease, agent, result: opening.result(), authority };
        turn.record(&mut self.state, Fact::HandedIn(handed_in));
        self.watch(lease, &turn.now);
        self.serve_waits(turn, agent);
        let engagement = self.state.away.of(&agent, &lease.step, lease.epoch).expect("just handed in");
        Ok(Reply::HandedIn(engagement.clone()))
    }

    /// A home has said something of a lease there. What comes twice changes nothing.
    pub(crate) fn hear_of(&mut self, turn: &mut Turn, lease: Abroad, word: Word) -> Result<Reply, Refusal> {
        if let Word::Refuted { refuted, recalled } = word {
            self.refuted_away(turn, lease, (refuted, recalled));
            return Ok(Reply::Done);
        }
        let Some(engagement) = self.state.away.get(&lease) else {
            return Err(Refusal::new(Code::NotFound, "there is no such lease at that home"));
        };
        let agent = engagement.agent;
        let handed = engagement.result.as_ref();
        let acknowledged = handed.map(|handed| handed.acknowledged.is_some());
        match (word, acknowledged) {
            (Word::Renewed, None) => self.watch(lease, &turn.now),
            (Word::Acknowledged { submitted, at, signature, verdict }, Some(before)) => {
                if !before {
                    let acknowledged = Acknowledged { lease, submitted, at, signature };
                    turn.record(&mut self.state, Fact::Acknowledged(acknowledged));
                }
                if let Some(judged) = verdict {
                    self.conclude(turn, (lease, agent), judged);
                }
            }
            (Word::Judged(judged), Some(_)) => self.conclude(turn, (lease, agent), judged),
            (Word::Over(code), None) => self.let_go(turn, (lease, agent), code),
            // What home has acknowledged it cannot refuse any more.
            (Word::Refused(code), Some(false)) if ends_a_result(&code) => {
                self.let_go(turn, (lease, agent), code);
            }
            _ => {}
        }
        Ok(Reply::Done)
    }

    /// A home has refuted a result that it accepted. Where its verdict was not heard yet, that is said behind the verdict. What goes
    /// back is no more than what was heard to be paid.
    fn refuted_away(&mut self, turn: &mut Turn, lease: Abroad, (refuted, recalled): (u64, Credits)) {
        if let Some((agent, paid)) = self.state.away.accepted(&lease) {
            let refuted = RefutedAway { lease, agent, refuted, recalled: recalled.min(paid) };
            turn.record(&mut self.state, Fact::RefutedAway(refuted));
        } else if self.state.away.get(&lease).is_some_and(|engagement| engagement.result.is_some()) {
            self.live.refuted_early.insert(lease, (refuted, recalled));
        }
    }

    fn let_go(&mut self, turn: &mut Turn, (lease, agent): (Abroad, AgentId), code: String) {
        turn.record(&mut self.state, Fact::LetGo(LetGo { lease, code, agent: Some(agent) }));
        self.live.timers.cancel(Timer::Abroad(lease));
        self.live.refuted_early.remove(&lease);
        self.serve_waits(turn, agent);
    }

    fn conclude(&mut self, turn: &mut Turn, (lease, agent): (Abroad, AgentId), judged: Conclusion) {
        let Conclusion { verdict, judgement, paid } = judged;
        let concluded = Concluded { lease, verdict, judgement, agent: Some(agent), paid };
        turn.record(&mut self.state, Fact::Concluded(concluded));
        self.live.timers.cancel(Timer::Abroad(lease));
        if let Some(early) = self.live.refuted_early.remove(&lease) {
            self.refuted_away(turn, lease, early);
        }
    }

    /// Sets the timer for what a lease waits for.
    pub(crate) fn watch(&mut self, lease: Abroad, now: &Now) {
        self.watch_from(lease, now, now.mono);
    }

    /// The same after a start. This node was away itself: what homes said meanwhile is heard before they are called silent.
    pub(crate) fn watch_again(&mut self, lease: Abroad, now: &Now) {
        self.watch_from(lease, now, now.mono.plus_ms(HEARD_AGAIN_MS));
    }

    fn watch_from(&mut self, lease: Abroad, now: &Now, soonest: Mono) {
        let Some(engagement) = self.state.away.get(&lease) else { return };
        let at = match &engagement.result {
            // A lease that goes on is renewed, and then the timer is set anew.
            None => now.mono.plus_ms(ABROAD_TERMS * u64::from(engagement.lease_ms)),
            Some(handed) => {
                let due = match handed.unanswered {
                    false => handed.at.plus_ms(u64::from(engagement.verdict_within_ms)),
                    true => handed.at.plus_ms(OUTBOX_MS),
                };
                now.mono.plus_ms(due.since_ms(now.wall)).max(soonest)
            }
        };
        self.live.timers.set(Timer::Abroad(lease), at);
    }

    /// A lease was not renewed, a verdict has not come, or a result has found no home for too long.
    pub(crate) fn abroad_is_due(&mut self, turn: &mut Turn, lease: Abroad) {
        let Some(engagement) = self.state.away.get(&lease) else { return };
        let agent = engagement.agent;
        match &engagement.result {
            Some(handed) if !handed.unanswered => {
                let (handed_in, submitted) = (handed.index, handed.acknowledged);
                let unanswered = Unanswered { lease, agent, handed_in, submitted };
                turn.record(&mut self.state, Fact::Unanswered(unanswered));
                self.watch(lease, &turn.now);
            }
            result => {
                let code = if result.is_some() { "unheard" } else { "lapsed" };
                self.let_go(turn, (lease, agent), code.into());
            }
        }
    }
}
