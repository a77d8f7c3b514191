//! Agents of other nodes, as this home knows them: written down when they win something or wait for it, at a pace that their
//! node cannot exceed, and forgotten again where others need the room. What is enrolled here has room of its own.

use super::message::{Act, Visit, Warrant};
use super::warrant;
use crate::effect::{Code, Refusal, Reply};
use crate::fact::{Fact, Forgotten, Introduced};
use crate::federation::Federation;
use crate::input::{ClaimNext, ReplyTo};
use crate::json::Json;
use crate::member::{Agent, Guest, text_bytes};
use crate::options::{
    AGENT_FIXED_BYTES, AGENTS_BYTES_MAX, AGENTS_MAX, FORGOTTEN_MAX, GUEST_ACCEPTED_PER_LEASE,
    GUEST_CHANGE_MS, GUESTS_BYTES_MAX, GUESTS_MAX, GUESTS_PER_NODE_MAX, NODE_CHANGE_MS, NODE_CHANGES_BURST,
};
use crate::state::State;
use crate::turn::Turn;
use artel_protocol::key::{AgentId, NodeId};
use artel_protocol::time::{Mono, Wall};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// From how many nodes on those whose changes lie far enough back are dropped.
const PACED_MAX: usize = 1_024;

/// How fast each node makes this one write down what it says of its agents: for each, the moment up to which its changes so
/// far are paid for. Gone after a restart, which a node cannot cause.
#[derive(Debug, Default)]
pub(crate) struct Pace(BTreeMap<NodeId, Mono>);

impl Pace {
    /// Takes one change of a node into account; `false` where it has made too many of late.
    fn allows(&mut self, node: NodeId, now: Mono) -> bool {
        if self.0.len() >= PACED_MAX {
            self.0.retain(|_, paid| *paid > now);
        }
        let paid = self.0.entry(node).or_insert(now);
        *paid = (*paid).max(now);
        if paid.since_ms(now) > (NODE_CHANGES_BURST - 1) * NODE_CHANGE_MS {
            return false;
        }
        *paid = paid.plus_ms(NODE_CHANGE_MS);
        true
    }
}

/// How many guests there are, and which of them may be forgotten: what follows from the agents.
#[derive(Debug, Default)]
pub(crate) struct Guests {
    by_node: BTreeMap<NodeId, usize>,
    count: usize,
    bytes: u64,
    /// How many leases and results without a verdict each agent has, guest or not.
    under_way: BTreeMap<AgentId, usize>,
    /// The guests with which nothing would be lost, the one that was written down longest ago first: no work of theirs counts
    /// and none is under way.
    idle: BTreeSet<(Wall, AgentId)>,
}

/// What an agent counts among the guests, before it changes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counted {
    node: NodeId,
    bytes: u64,
    updated: Wall,
}

impl Counted {
    pub fn of(agent: &Agent) -> Option<Self> {
        let Guest { node, .. } = agent.guest?;
        Some(Counted { node, bytes: agent.bytes(), updated: agent.updated })
    }
}

impl Guests {
    /// How many agents of another node are known.
    fn of(&self, node: &NodeId) -> usize {
        self.by_node.get(node).copied().unwrap_or_default()
    }

    /// An agent is a guest now, or still one.
    pub fn add(&mut self, agent: &Agent) {
        let Some(counted) = Counted::of(agent) else { return };
        *self.by_node.entry(counted.node).or_default() += 1;
        self.count += 1;
        self.bytes += counted.bytes;
        self.rests(agent);
    }

    /// What was counted of an agent no longer holds.
    pub fn remove(&mut self, id: AgentId, was: Counted) {
        if let Some(count) = self.by_node.get_mut(&was.node) {
            *count -= 1;
            if *count == 0 {
                self.by_node.remove(&was.node);
            }
        }
        self.count -= 1;
        self.bytes -= was.bytes;
        self.idle.remove(&(was.updated, id));
    }

    /// An agent has won a lease.
    pub fn begins(&mut self, id: &AgentId, agent: Option<&Agent>) {
        *self.under_way.entry(*id).or_default() += 1;
        agent.into_iter().for_each(|agent| self.rests(agent));
    }

    /// A lease of an agent ended without a result, or its result has a verdict.
    pub fn ends(&mut self, id: &AgentId, agent: Option<&Agent>) {
        if let Some(count) = self.under_way.get_mut(id) {
            *count -= 1;
            if *count == 0 {
                self.under_way.remove(id);
            }
        }
        agent.into_iter().for_each(|agent| self.rests(agent));
    }

    /// Whether an agent has a lease or a result without a verdict.
    pub fn is_under_way(&self, agent: &AgentId) -> bool {
        self.under_way.contains_key(agent)
    }

    fn rests(&mut self, agent: &Agent) {
        if agent.may_be_forgotten() && !self.is_under_way(&agent.id) {
            self.idle.insert((agent.updated, agent.id));
        } else {
            self.idle.remove(&(agent.updated, agent.id));
        }
    }
}

/// What agents take of the room that there is.
#[derive(Debug, Clone, Copy)]
struct Taken {
    of_node: usize,
    guests: usize,
    guest_bytes: u64,
    agents: usize,
    agent_bytes: u64,
}

impl Taken {
    fn fits_node(&self) -> bool {
        self.of_node <= GUESTS_PER_NODE_MAX
    }

    fn fits(&self) -> bool {
        self.fits_node()
            && self.guests <= GUESTS_MAX
            && self.guest_bytes <= GUESTS_BYTES_MAX
            && self.agents <= AGENTS_MAX
            && self.agent_bytes <= AGENTS_BYTES_MAX
    }
}

impl Federation {
    /// Serves a claim of an agent of which the visit says something new. It is decided as if that were written down already,
    /// and written down only with what it wins or waits for.
    pub(super) fn claim_anew(
        &mut self,
        turn: &mut Turn,
        to: ReplyTo,
        guest: Guest,
        visit: &Visit,
        will: Option<warrant::Will>,
    ) -> Result<Option<Reply>, Refusal> {
        let introduced = self.introduction(guest, visit, will)?;
        let agent = introduced.agent;
        let known = self.state.agents.get(&agent);
        let mut member = known.map_or_else(|| Agent::new(agent, turn.now.wall), |known| Agent::clone(known));
        member.introduce(&introduced, turn.now.wall, self.state.size);
        match visit.act {
            Act::Claim(step) => {
                if let Some(lease) = self.may_claim(&turn.now, &member, step)? {
                    return Ok(Some(Reply::Leased(Box::new(lease))));
                }
                self.write_down(turn, introduced)?;
                Ok(Some(Reply::Leased(Box::new(self.grant(turn, agent, step, None)))))
            }
            Act::ClaimNext { wait_ms } => {
                self.must_be_free(&member)?;
                let claim = ClaimNext { wait_ms };
                if let Some(best) = self.best_for(&turn.now, &member, None) {
                    self.write_down(turn, introduced)?;
                    return Ok(Some(Reply::Leased(Box::new(self.grant(turn, agent, best, None)))));
                }
                if !self.may_wait(&member, claim, &Reply::Nothing)? {
                    return Ok(Some(Reply::Nothing));
                }
                self.write_down(turn, introduced)?;
                self.wait_for_task(turn, to, agent, claim, Reply::Nothing)
            }
            Act::Renew { .. } | Act::Release { .. } | Act::Submit(_) => {
                Err(Refusal::new(Code::NotFound, "this agent holds nothing here"))
            }
        }
    }

    /// What a visit says of its agent, as far as the agent has signed it.
    fn introduction(
        &self,
        guest: Guest,
        visit: &Visit,
        will: Option<warrant::Will>,
    ) -> Result<Introduced, Refusal> {
        let will = match will {
            Some(will) => will,
            None => warrant::check(&self.identity, &guest.node, visit)?,
        };
        let (Warrant::Delegated { signature, .. } | Warrant::Own { signature, .. }) = &visit.warrant;
        Ok(Introduced {
            agent: visit.agent,
            node: guest.node,
            name: visit.name.clone(),
            skills: visit.skills.clone(),
            delegation: will.delegation,
            warrant: guest.warrant,
            will: will.text,
            signature: *signature,
        })
    }

    fn write_down(&mut self, turn: &mut Turn, introduced: Introduced) -> Result<(), Refusal> {
        let known = self.state.agents.get(&introduced.agent).filter(|known| known.guest.is_some());
        if known.is_some_and(|known| turn.now.wall < known.updated.plus_ms(GUEST_CHANGE_MS)) {
            let message = format!(
                "what is known of this agent changes at most every {GUEST_CHANGE_MS} ms; try again in a moment"
            );
            return Err(Refusal::new(Code::TooMany, message));
        }
        let elsewhere =
            known.and_then(|known| known.guest).is_some_and(|guest| guest.node != introduced.node);
        if elsewhere && self.state.guests.is_under_way(&introduced.agent) {
            let message = "this agent has work of this home under way at another node, whose bytes go there; try again when it has its verdict";
            return Err(Refusal::new(Code::TooMany, message));
        }
        let leave = self.who_makes_room(&introduced)?;
        if !self.live.pace.allows(introduced.node, turn.now.mono) {
            let message = format!(
                "your node makes this home write down agents faster than one in {NODE_CHANGE_MS} ms; try again in a moment"
            );
            return Err(Refusal::new(Code::TooMany, message));
        }
        for agent in leave {
            turn.record(&mut self.state, Fact::Forgotten(Forgotten { agent }));
        }
        let agent = introduced.agent;
        turn.record(&mut self.state, Fact::Introduced(introduced));
        self.is_about(turn, &agent);
        self.live.waiters.reskill(&self.state.agents[&agent]);
        Ok(())
    }

    /// The guests that are to be forgotten so that another one has room: of those that rest and do not wait, the ones that were
    /// written down longest ago; of the same node where that node has too many.
    fn who_makes_room(&self, coming: &Introduced) -> Result<Vec<AgentId>, Refusal> {
        let State { agents, guests, agent_bytes, .. } = &self.state;
        let known = agents.get(&coming.agent);
        let was_guest = known.and_then(|known| known.guest);
        let (old, new) = (
            known.map_or(0, |known| known.bytes()),
            text_bytes(&coming.name, &coming.skills, &Json::new(*b"{}")) + AGENT_FIXED_BYTES as u64,
        );
        let of_same = was_guest.is_some_and(|guest| guest.node == coming.node);
        let mut taken = Taken {
            of_node: guests.of(&coming.node) + usize::from(!of_same),
            guests: guests.count + usize::from(was_guest.is_none()),
            guest_bytes: guests.bytes - if was_guest.is_some() { old } else { 0 } + new,
            agents: agents.len() + usize::from(known.is_none()),
            agent_bytes: agent_bytes - old + new,
        };
        let mut leave = Vec::new();
        for (_, id) in &guests.idle {
            if taken.fits() || leave.len() == FORGOTTEN_MAX {
                break;
            }
            let agent = &agents[id];
            let of_node = agent.guest.is_some_and(|guest| guest.node == coming.node);
            let waits = self.live.waiters.waits(id);
            if *id == coming.agent || waits || !(of_node || taken.fits_node()) {
                continue;
            }
            taken.of_node -= usize::from(of_node);
            taken.guests -= 1;
            taken.agents -= 1;
            taken.guest_bytes -= agent.bytes();
            taken.agent_bytes -= agent.bytes();
            leave.push(*id);
        }
        if taken.fits() {
            return Ok(leave);
        }
        let message = match taken.fits_node() {
            false => {
                format!("this home knows at most {GUESTS_PER_NODE_MAX} agents of one node; work elsewhere")
            }
            true => "this home's memory of other nodes' agents is full; work elsewhere".into(),
        };
        Err(Refusal::new(Code::TooMany, message))
    }

    /// How many leases an agent may hold at once: what it is enrolled with; an agent of another node has one, and one more
    /// for each few of its results that were accepted here, less what it lapsed, had rejected or refuted (decision 10).
    pub(crate) fn leases_allowed(&self, agent: &Agent) -> u32 {
        if agent.guest.is_none() {
            return agent.capacity;
        }
        let earned = agent.accepted / GUEST_ACCEPTED_PER_LEASE;
        let lost = agent.rejected + agent.lapsed + agent.refuted;
        let more = u32::try_from(earned.saturating_sub(lost)).unwrap_or(u32::MAX);
        more.saturating_add(1).min(self.options.leases_max)
    }
}

/// Whether a visit says something of an agent that is not known. What an enrolled agent is, it says itself.
pub(super) fn is_news(known: &Arc<Agent>, guest: &Guest, visit: &Visit) -> bool {
    let enrolled = known.guest.is_none() && known.revoked.is_none();
    !enrolled && (known.guest != Some(*guest) || known.skills != visit.skills || known.name != visit.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_a_burst_of_changes_and_then_one_a_term() {
        let node = |n: u8| NodeId(artel_protocol::key::SecretKey::from_seed(&[n; 32]).public());
        let (one, other) = (node(1), node(2));
        let mut pace = Pace::default();
        let now = Mono(1_000_000);
        let allowed = (0..2 * NODE_CHANGES_BURST).filter(|_| pace.allows(one, now)).count();
        assert_eq!(allowed as u64, NODE_CHANGES_BURST);
        assert!(pace.allows(other, now), "another node has its own");
        assert!(!pace.allows(one, now.plus_ms(NODE_CHANGE_MS - 1)));
        assert!(pace.allows(one, now.plus_ms(NODE_CHANGE_MS)));
        assert!(!pace.allows(one, now.plus_ms(NODE_CHANGE_MS)));
        let later = now.plus_ms(10 * NODE_CHANGES_BURST * NODE_CHANGE_MS);
        let allowed = (0..2 * NODE_CHANGES_BURST).filter(|_| pace.allows(one, later)).count();
        assert_eq!(allowed as u64, NODE_CHANGES_BURST, "what was not used is not saved up");
    }
}
