//! Visits: agents of other nodes claim, renew, release and hand in here. A visit's warrant is checked, and from there on the
//! agent is one like the others: the market decides.

pub(crate) mod guests;
pub mod message;
pub mod warrant;

use crate::effect::{Code, Refusal, Reply};
use crate::fact::{HandedAt, Revoker};
use crate::federation::Federation;
use crate::input::{ArtifactPut, Brought, ClaimNext, ReplyTo, Submission};
use crate::member::Guest;
use crate::turn::Turn;
use artel_protocol::id::{Epoch, StepId};
use artel_protocol::key::{AgentId, NodeId};
use message::{Act, Visit};

impl Federation {
    /// Serves an agent of another node; `None` when the answer comes later. `came` is what was fetched of the artifacts that
    /// a result names, where all of them are here now.
    pub(crate) fn visit(
        &mut self,
        turn: &mut Turn,
        to: ReplyTo,
        node: NodeId,
        (visit, came): (Visit, Option<Vec<ArtifactPut>>),
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
            false => {
                if let Some(revoked) = known.and_then(|agent| agent.revoked_itself) {
                    warrant::check_newer(&visit, revoked)?;
                }
                Some(warrant::check(&self.identity, &node, &visit)?)
            }
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
            Some(agent) if !claims || !guests::is_news(agent, &of_node, &visit) => {}
            _ => return self.claim_anew(turn, to, of_node, &visit, will),
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
                    brought: Some(Brought { salt: handing.salt, at, came }),
                };
                self.submit(turn, to, agent, submission)
            }
        }
    }

    /// Home is fetching what a result names: the lease gets a full term, within the limit on renewals. A result is not to be lost
    /// while home itself brings it in.
    pub(crate) fn keep_for_result(
        &mut self,
        turn: &Turn,
        node: NodeId,
        (agent, step, epoch): (AgentId, StepId, Epoch),
    ) -> Result<Reply, Refusal> {
        self.must_speak_for(node, &agent)?;
        self.renew(turn, agent, step, epoch)
    }

    /// Whether a node is the one that an agent is known by here.
    fn must_speak_for(&self, node: NodeId, agent: &AgentId) -> Result<(), Refusal> {
        let guest = self.state.agents.get(agent).and_then(|agent| agent.guest);
        if guest.is_some_and(|guest| guest.node == node) {
            return Ok(());
        }
        Err(Refusal::new(Code::StaleEpoch, "this agent of yours holds no lease on that step here"))
    }
}
