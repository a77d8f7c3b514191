//! Visits: agents of other nodes claim, renew, release and hand in here. A visit's warrant is checked, the agent is
//! introduced where it is not known yet, and from there on it is an agent like the others: the market decides.

pub mod message;
pub mod warrant;

use crate::effect::{Code, Refusal, Reply};
use crate::fact::{Fact, HandedAt, Introduced, Poster, Revoker};
use crate::federation::Federation;
use crate::input::{ArtifactPut, Brought, ClaimNext, ReplyTo, Submission};
use crate::member::{Agent, Guest};
use crate::options::{AGENTS_MAX, GUEST_ACCEPTED_PER_LEASE, GUEST_CHANGE_MS, GUESTS_PER_NODE_MAX};
use crate::turn::Turn;
use artel_protocol::key::{AgentId, NodeId};
use message::{Act, Visit, Warrant};

impl Federation {
    /// Serves an agent of another node; `None` when the answer comes later.
    pub(crate) fn visit(
        &mut self,
        turn: &mut Turn,
        to: ReplyTo,
        node: NodeId,
        visit: Visit,
    ) -> Result<Option<Reply>, Refusal> {
        warrant::check_moment(&visit, turn.now.wall)?;
        let standing = warrant::standing_digest(&visit.warrant);
        let known = self.state.agents.get(&visit.agent);
        let of_node = Guest { node, warrant: standing };
        let was_checked = standing.is_some()
            && known.is_some_and(|agent| {
                agent.guest == Some(of_node) && agent.delegation == warrant::delegation(&visit.warrant)
            });
        let will = match was_checked {
            true => None,
            false => Some(warrant::check(&self.identity, &node, &visit)?),
        };
        if let Some(Revoker::Operator) = known.and_then(|agent| agent.revoked) {
            return Err(Refusal::new(
                Code::AgentRevoked,
                "the operator of this home has let this agent go; work elsewhere",
            ));
        }
        let claims = matches!(visit.act, Act::Claim(_) | Act::ClaimNext { .. });
        match known {
            None if !claims => {
                return Err(Refusal::new(Code::NotFound, "this agent holds nothing here"));
            }
            Some(agent) if !claims || !is_news(agent, &of_node, &visit) => {}
            _ => self.introduce(turn, of_node, &visit, will)?,
        }
        let agent = visit.agent;
        match visit.act {
            Act::Claim(step) => self.claim(turn, agent, step).map(Some),
            Act::ClaimNext { wait_ms } => self.claim_next(turn, to, agent, ClaimNext { wait_ms }),
            Act::Renew { step, epoch } => self.renew(turn, agent, step, epoch).map(Some),
            Act::Release { step, epoch } => self.release(turn, agent, step, epoch).map(Some),
            Act::Submit(handing) => {
                let at = HandedAt { node, incarnation: handing.incarnation, index: handing.index };
                let submission = Submission {
                    step: handing.step,
                    epoch: handing.epoch,
                    output: handing.output,
                    artifacts: handing.artifacts,
                    next: handing.next.map(|wait_ms| ClaimNext { wait_ms }),
                    brought: Some(Brought { salt: handing.salt, at }),
                };
                self.submit(turn, to, agent, submission)
            }
        }
    }

    /// Enters bytes that a guest's result names, for a step that it holds.
    pub(crate) fn bring(
        &mut self,
        turn: &mut Turn,
        node: NodeId,
        agent: AgentId,
        put: ArtifactPut,
    ) -> Result<Reply, Refusal> {
        let speaks =
            self.state.agents.get(&agent).and_then(|agent| agent.guest).is_some_and(|g| g.node == node);
        let holds =
            put.step.is_some_and(|step| self.state.leases.get(&agent).is_some_and(|s| s.contains(&step)));
        if !speaks || !holds {
            return Err(Refusal::new(
                Code::StaleEpoch,
                "this agent of yours holds no lease on that step here",
            ));
        }
        self.store(turn, Poster::Agent(agent), put)
    }

    /// Writes down who the agent is and what it can do, as its node says and as far as the agent has signed.
    fn introduce(
        &mut self,
        turn: &mut Turn,
        guest: Guest,
        visit: &Visit,
        will: Option<warrant::Will>,
    ) -> Result<(), Refusal> {
        let known = self.state.agents.get(&visit.agent);
        if let Some(known) = known.filter(|known| known.guest.is_some()) {
            let soonest = known.updated.plus_ms(GUEST_CHANGE_MS);
            if turn.now.wall < soonest {
                let message = format!(
                    "what is known of this agent changes at most every {GUEST_CHANGE_MS} ms; try again in a moment"
                );
                return Err(Refusal::new(Code::TooMany, message));
            }
        } else if self.state.agents.len() >= AGENTS_MAX
            || self.state.guests_of(&guest.node) >= GUESTS_PER_NODE_MAX
        {
            let message =
                format!("this home knows at most {GUESTS_PER_NODE_MAX} agents of one node; work elsewhere");
            return Err(Refusal::new(Code::TooMany, message));
        }
        self.check_guests_room(visit)?;
        let will = match will {
            Some(will) => will,
            None => warrant::check(&self.identity, &guest.node, visit)?,
        };
        let (Warrant::Delegated { signature, .. } | Warrant::Own { signature, .. }) = &visit.warrant;
        let introduced = Introduced {
            agent: visit.agent,
            node: guest.node,
            name: visit.name.clone(),
            skills: visit.skills.clone(),
            delegation: will.delegation,
            warrant: guest.warrant,
            will: will.text,
            signature: *signature,
        };
        turn.record(&mut self.state, Fact::Introduced(introduced));
        self.live.waiters.reskill(&self.state.agents[&visit.agent]);
        Ok(())
    }

    /// How many leases an agent may hold at once: what it is enrolled with; an agent of another node has one, and one more
    /// for each few of its results that were accepted here, less what it lapsed or had rejected (decision 10).
    pub(crate) fn leases_allowed(&self, agent: &Agent) -> u32 {
        if agent.guest.is_none() {
            return agent.capacity;
        }
        let earned = agent.accepted / GUEST_ACCEPTED_PER_LEASE;
        let lost = agent.rejected + agent.lapsed;
        let more = u32::try_from(earned.saturating_sub(lost)).unwrap_or(u32::MAX);
        more.saturating_add(1).min(self.options.leases_max)
    }
}

/// Whether a visit says something of an agent that is not known. What an enrolled agent is, it says itself.
fn is_news(known: &Agent, guest: &Guest, visit: &Visit) -> bool {
    let enrolled = known.guest.is_none() && known.revoked.is_none();
    !enrolled && (known.guest != Some(*guest) || known.skills != visit.skills || known.name != visit.name)
}
