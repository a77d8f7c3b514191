//! What one node's journal says of the market, as a home and as a worker's node, entry by entry as it is synced.

use super::posting::{SECRET_CHARS, secrets};
use artel_federation::fact::{Abroad, Account, Cause, HandedAt, Judgement, Redone};
use artel_federation::{Entry, Fact};
use artel_protocol::amount::Credits;
use artel_protocol::id::{Digest, Epoch, StepId};
use artel_protocol::key::{AgentId, NodeId};
use artel_protocol::skill::Skill;
use std::collections::{BTreeMap, BTreeSet};

/// A lease of this home.
pub type Lease = (StepId, Epoch);

/// A grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// Where it stands.
    pub index: u64,
    /// Who won.
    pub agent: AgentId,
    /// The node that speaks for the winner, where that is another one.
    pub node: Option<NodeId>,
}

/// A result that was taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Where it stands.
    pub index: u64,
    /// Whose it is.
    pub agent: AgentId,
    /// The commitment to it.
    pub result: Digest,
    /// Where the worker's node recorded it.
    pub handed_at: Option<HandedAt>,
}

/// A result that was handed in for another home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Where it stands.
    pub index: u64,
    /// Whose it is.
    pub agent: AgentId,
    /// The commitment to it.
    pub result: Digest,
}

/// What a journal says of the market.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Which node speaks for an agent that is not enrolled here.
    guests: BTreeMap<AgentId, NodeId>,
    /// What was granted.
    pub granted: BTreeMap<Lease, Grant>,
    /// What was taken in.
    pub submitted: BTreeMap<Lease, Taken>,
    /// The digests of the entries that say so.
    pub taken_in: BTreeMap<Lease, Digest>,
    /// The verdicts, and where each stands.
    pub verdicts: BTreeMap<Lease, (u64, AgentId, Judgement)>,
    /// Who was paid for a step.
    pub paid: BTreeMap<StepId, AgentId>,
    /// How much.
    paid_units: BTreeMap<StepId, i64>,
    /// The accepted results that were refuted later: where that stands, and how many units go back for each.
    pub refuted: BTreeMap<Lease, (u64, u64)>,
    /// Those for which they went back.
    recalled: BTreeSet<Lease>,
    /// What came of runs of a result, in order.
    pub reruns: BTreeMap<Lease, Vec<Redone>>,
    /// What was won elsewhere: by whom, and where the grant stands in home's journal.
    pub undertaken: BTreeMap<Abroad, (AgentId, u64)>,
    /// What was handed in for other homes.
    pub handed: BTreeMap<Abroad, Sent>,
    /// What homes said of these in the end.
    pub concluded: BTreeMap<Abroad, (u64, Judgement)>,
    /// Those of them that homes refuted later.
    pub refuted_away: BTreeSet<Abroad>,
    /// What is over without a verdict, and why.
    pub let_go: BTreeMap<Abroad, String>,
    /// The secrets of posted steps' inputs.
    pub inputs: BTreeMap<[u8; SECRET_CHARS], StepId>,
    /// The steps that nothing is paid for.
    pub free: BTreeSet<StepId>,
    /// The leases that live.
    pub live: BTreeSet<Lease>,
    /// What offered steps ask for.
    pub offered: BTreeMap<StepId, Vec<Skill>>,
}

/// The invariant that what is refuted after its verdict stays accepted, is refuted once, and paid back once.
const ONCE: &str = "invariant_refuted_once_and_taken_back";

impl Ledger {
    fn is_accepted(&self, step: &StepId) -> bool {
        let verdicts = self.verdicts.range((*step, Epoch(0))..=(*step, Epoch(u32::MAX)));
        verdicts.into_iter().any(|(_, (.., judged))| matches!(judged, Judgement::Accepted { .. }))
    }

    /// Takes in the next entry.
    ///
    /// # Errors
    /// What no journal may say, with the invariant's name.
    pub fn take(&mut self, index: u64, entry: &Entry) -> Result<(), (&'static str, String)> {
        match &entry.fact {
            Fact::Introduced(f) => {
                self.guests.insert(f.agent, f.node);
            }
            Fact::RunPosted(f) => {
                for (n, step) in f.steps.iter().enumerate() {
                    let found = secrets(step.task.input.bytes());
                    self.inputs.extend(found.into_iter().map(|secret| (secret, f.run.step(n))));
                    if step.task.reward == Credits::ZERO {
                        self.free.insert(f.run.step(n));
                    }
                }
            }
            Fact::Offered(f) if self.is_accepted(&f.step) => {
                return Err((ONCE, format!("step {} is accepted and goes on", f.step)));
            }
            Fact::Offered(f) => drop(self.offered.insert(f.step, f.skills.clone())),
            Fact::Granted(f) => {
                self.live.insert((f.step, f.epoch));
                let grant = Grant { index, agent: f.agent, node: self.guests.get(&f.agent).copied() };
                if self.granted.insert((f.step, f.epoch), grant).is_some() {
                    return Err((
                        "invariant_one_winner_across_nodes",
                        format!("step {} is granted twice", f.step),
                    ));
                }
            }
            Fact::Lapsed(f) | Fact::Released(f) => {
                self.live.remove(&(f.step, f.epoch));
            }
            Fact::StepEnded(f) => self.live.retain(|(step, _)| *step != f.step),
            Fact::Submitted(f) => {
                self.live.remove(&(f.step, f.epoch));
                let (agent, result, handed_at) = (f.agent, f.result, f.handed_at);
                let taken = Taken { index, agent, result, handed_at };
                self.taken_in.insert((f.step, f.epoch), Digest::of(&entry.encode()));
                if self.submitted.insert((f.step, f.epoch), taken).is_some() {
                    return Err(("invariant_one_receipt_each", format!("step {} is taken in twice", f.step)));
                }
            }
            Fact::Verdict(f) => {
                let verdict = (index, f.agent, f.judgement.clone());
                if self.verdicts.insert((f.step, f.epoch), verdict).is_some() {
                    return Err(("invariant_one_receipt_each", format!("step {} is judged twice", f.step)));
                }
            }
            Fact::Transfer(f) => {
                let sum: i128 = f.legs.iter().map(|leg| i128::from(leg.units)).sum();
                if sum != 0 {
                    return Err(("invariant_money_sums_to_zero", format!("{sum} units come from nowhere")));
                }
                let to = f.legs.iter().filter(|leg| leg.units > 0).find_map(|leg| match leg.account {
                    Account::Agent(agent) => Some(agent),
                    _ => None,
                });
                let gained = f.legs.iter().filter(|leg| matches!(leg.account, Account::Agent(_)));
                if f.cause == Cause::Payment {
                    self.paid_units.insert(f.step, gained.map(|leg| leg.units).sum());
                }
                if let (Cause::Payment, Some(agent)) = (f.cause, to)
                    && self.paid.insert(f.step, agent).is_some()
                {
                    return Err(("invariant_one_receipt_each", format!("step {} is paid twice", f.step)));
                }
            }
            Fact::Refuted(f) => {
                let lease = (f.step, f.epoch);
                let stands = self.verdicts.get(&lease).is_some_and(|(at, agent, judged)| {
                    let is_accepted = matches!(judged, Judgement::Accepted { .. });
                    is_accepted && (*at, *agent) == (f.verdict, f.agent)
                });
                let paid = self.paid_units.get(&f.step).copied().unwrap_or_default();
                let is_within = i64::try_from(f.recalled.0).is_ok_and(|units| units <= paid);
                if !stands || !is_within || self.refuted.insert(lease, (index, f.recalled.0)).is_some() {
                    return Err((ONCE, format!("step {} is refuted: {f:?}, paid {paid}", f.step)));
                }
            }
            Fact::Recalled(f) => {
                let lease = (f.step, f.epoch);
                let sum: i128 = f.legs.iter().map(|leg| i128::from(leg.units)).sum();
                if sum != 0 {
                    return Err(("invariant_money_sums_to_zero", format!("{sum} units come from nowhere")));
                }
                let back: i64 = f.legs.iter().map(|leg| leg.units.max(0)).sum();
                let is_said =
                    self.refuted.get(&lease).is_some_and(|(_, units)| i64::try_from(*units) == Ok(back));
                if !is_said || !self.recalled.insert(lease) {
                    return Err((ONCE, format!("{back} units go back for step {}", f.step)));
                }
            }
            Fact::Redone(f) | Fact::Unsettled(f) => {
                self.reruns.entry((f.step, f.epoch)).or_default().push(f.clone());
            }
            Fact::Undertaken(f) => {
                self.undertaken.insert(f.lease, (f.agent, f.granted));
            }
            Fact::HandedIn(f) => {
                self.handed.insert(f.lease, Sent { index, agent: f.agent, result: f.result });
            }
            Fact::Concluded(f) => {
                self.concluded.insert(f.lease, (f.verdict, f.judgement.clone()));
            }
            Fact::RefutedAway(f) => drop(self.refuted_away.insert(f.lease)),
            Fact::LetGo(f) => {
                self.let_go.insert(f.lease, f.code.clone());
            }
            _ => {}
        }
        Ok(())
    }
}
