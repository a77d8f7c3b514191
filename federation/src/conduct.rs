//! What a home's own public entries say against it: a step granted twice at once, granted without an offer, epochs that do not
//! rise, two verdicts, two payments. PROTOCOL.md, "Life of a step", as far as a reader of the public entries can check it.
//!
//! It is a reader's judgement and changes nothing here: the entries are signed by their author, and whoever has them comes
//! to the same. Where entries are missing, only what is wrong whatever stood there is held against the author.

use crate::fact::{Account, Cause, Fact, Judgement, Transfer};
use artel_protocol::id::StepId;
use artel_protocol::key::AgentId;
use std::collections::BTreeMap;

/// The most steps of an author that are followed (1,048,576, some 100 MiB). Steps that begin later are not judged; what is
/// over is remembered like the rest, for a second payment may come at any time.
pub const STEPS_MAX: usize = 1 << 20;

/// What no honest home does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Breach {
    /// A step is granted while somebody holds it or has submitted.
    #[error("granted to a second agent at once")]
    GrantedTwice,
    /// A step is granted that was not offered.
    #[error("granted without an offer")]
    NotOffered,
    /// A step is offered that is offered, leased or submitted.
    #[error("offered while it was not free")]
    NotFree,
    /// The epoch of an offer or a grant is not the next one.
    #[error("the epoch does not rise by one")]
    Epoch,
    /// A lease ends, or is submitted under, that nobody holds.
    #[error("not under a lease that the agent holds")]
    NoLease,
    /// A verdict or a payment for what was not submitted, or for another submission.
    #[error("no such submission is open")]
    NotSubmitted,
    /// A submission is judged a second time.
    #[error("judged twice")]
    JudgedTwice,
    /// A step is paid for a second time.
    #[error("paid twice")]
    PaidTwice,
    /// A submission is rejected that was paid for.
    #[error("rejected after it was paid")]
    PaidAndRejected,
    /// A submission is not judged, but the step ends.
    #[error("ended while a submission waited for its verdict")]
    Unjudged,
    /// A result is refuted that was not accepted, a second time, as another's or another verdict's, or for more than was paid.
    #[error("refuted without a result that stands")]
    NotRefutable,
    /// Something happens to a step that is over.
    #[error("changed after its end")]
    Over,
}

/// An entry that is held against its author.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Illegal {
    /// The entry's index in its author's journal.
    pub index: u64,
    /// The step that it is about.
    pub step: StepId,
    /// What is wrong.
    pub breach: Breach,
}

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Entries are missing: it may be anywhere that is not the end.
    Unsure,
    Waiting,
    Offered,
    Leased(AgentId),
    Submitted(AgentId, u64),
    Rejected,
    /// Whose result, and the index of the verdict.
    Accepted(AgentId, u64),
    Ended,
}

#[derive(Debug, Clone, Copy)]
struct Step {
    at: At,
    /// The epoch of the last lease.
    epoch: u32,
    /// What its agent was paid, in units.
    paid: Option<u64>,
    refuted: bool,
}

/// An author's steps, as its public entries tell of them.
#[derive(Debug, Default)]
pub struct Conduct {
    steps: BTreeMap<StepId, Step>,
    /// Whether entries were missing: then a step that is not known may have been anything.
    has_gaps: bool,
}

impl Conduct {
    /// Entries are missing before the next one.
    pub fn miss(&mut self) {
        self.has_gaps = true;
        for step in self.steps.values_mut().filter(|step| !step.at.is_over()) {
            step.at = At::Unsure;
        }
    }

    /// How many steps are followed.
    pub fn steps(&self) -> usize {
        self.steps.len()
    }

    /// Reads the next public entry; says what is wrong with it. The step then stands where the entry says.
    pub fn read(&mut self, index: u64, fact: &Fact) -> Option<Illegal> {
        let id = match fact {
            Fact::Offered(f) => f.step,
            Fact::Granted(f) => f.step,
            Fact::Released(f) | Fact::Lapsed(f) => f.step,
            Fact::Submitted(f) => f.step,
            Fact::Verdict(f) => f.step,
            Fact::StepEnded(f) => f.step,
            Fact::Transfer(f) if f.cause == Cause::Payment => f.step,
            Fact::Refuted(f) => f.step,
            _ => return None,
        };
        let known = self.steps.get(&id).copied();
        if known.is_none() && (self.steps.len() >= STEPS_MAX || self.is_anothers(fact)) {
            return None;
        }
        let at = if self.has_gaps { At::Unsure } else { At::Waiting };
        let mut step = known.unwrap_or(Step { at, epoch: 0, paid: None, refuted: false });
        let breach = step.take(index, fact).err();
        self.steps.insert(id, step);
        breach.map(|breach| Illegal { index, step: id, breach })
    }

    /// A worker's node records submissions to other homes, too: their steps are not its own.
    fn is_anothers(&self, fact: &Fact) -> bool {
        matches!(fact, Fact::Submitted(_)) && !self.has_gaps
    }
}

impl At {
    fn is_over(self) -> bool {
        matches!(self, At::Accepted(..) | At::Ended)
    }
}

impl Step {
    /// Goes where a fact leads, whether it may or not.
    fn take(&mut self, index: u64, fact: &Fact) -> Result<(), Breach> {
        let (before, last) = (self.at, self.epoch);
        match fact {
            Fact::Offered(f) => {
                self.at = At::Offered;
                self.epoch = f.epoch.0.saturating_sub(1);
                match before {
                    At::Accepted(..) | At::Ended => Err(Breach::Over),
                    At::Offered | At::Leased(_) | At::Submitted(..) => Err(Breach::NotFree),
                    At::Waiting | At::Rejected => rule(self.epoch == last && f.epoch.0 > 0, Breach::Epoch),
                    At::Unsure => rule(f.epoch.0 > last, Breach::Epoch),
                }
            }
            Fact::Granted(f) => {
                (self.at, self.epoch) = (At::Leased(f.agent), f.epoch.0);
                match before {
                    At::Accepted(..) | At::Ended => Err(Breach::Over),
                    At::Leased(_) | At::Submitted(..) => Err(Breach::GrantedTwice),
                    At::Waiting | At::Rejected => Err(Breach::NotOffered),
                    At::Offered => rule(f.epoch.0.checked_sub(1) == Some(last), Breach::Epoch),
                    At::Unsure => rule(f.epoch.0 > last, Breach::Epoch),
                }
            }
            Fact::Released(f) | Fact::Lapsed(f) => {
                (self.at, self.epoch) = (At::Waiting, f.epoch.0);
                self.held(before, (f.agent, f.epoch.0), last)
            }
            Fact::Submitted(f) => {
                (self.at, self.epoch) = (At::Submitted(f.agent, index), f.epoch.0);
                self.held(before, (f.agent, f.epoch.0), last)
            }
            Fact::Transfer(f) => {
                let paid = self.paid.replace(to_agents(f));
                rule(paid.is_none(), Breach::PaidTwice)?;
                match before {
                    At::Accepted(..) | At::Ended => Err(Breach::Over),
                    At::Submitted(..) | At::Unsure => Ok(()),
                    _ => Err(Breach::NotSubmitted),
                }
            }
            Fact::Refuted(f) => {
                let again = std::mem::replace(&mut self.refuted, true);
                match before {
                    At::Accepted(agent, verdict) => {
                        let is_named = (agent, verdict, last) == (f.agent, f.verdict, f.epoch.0);
                        let is_within = self.paid.is_none_or(|paid| f.recalled.0 <= paid);
                        rule(!again && is_named && is_within, Breach::NotRefutable)
                    }
                    At::Unsure => rule(!again, Breach::NotRefutable),
                    _ => Err(Breach::NotRefutable),
                }
            }
            Fact::Verdict(f) => {
                let accepted = matches!(f.judgement, Judgement::Accepted { .. });
                self.at = if accepted { At::Accepted(f.agent, index) } else { At::Rejected };
                match before {
                    At::Accepted(..) | At::Rejected => Err(Breach::JudgedTwice),
                    At::Ended => Err(Breach::Over),
                    At::Submitted(agent, at) if (agent, at, last) != (f.agent, f.submitted, f.epoch.0) => {
                        Err(Breach::NotSubmitted)
                    }
                    At::Submitted(..) | At::Unsure => {
                        rule(accepted || self.paid.is_none(), Breach::PaidAndRejected)
                    }
                    _ => Err(Breach::NotSubmitted),
                }
            }
            _ => {
                self.at = At::Ended;
                match before {
                    At::Accepted(..) | At::Ended => Err(Breach::Over),
                    At::Submitted(..) => Err(Breach::Unjudged),
                    _ => Ok(()),
                }
            }
        }
    }

    /// Whether a lease that ends was held by this agent under this epoch.
    fn held(&self, before: At, (agent, epoch): (AgentId, u32), last: u32) -> Result<(), Breach> {
        match before {
            At::Accepted(..) | At::Ended => Err(Breach::Over),
            At::Leased(holder) => rule((holder, last) == (agent, epoch), Breach::NoLease),
            At::Unsure => rule(epoch >= last, Breach::NoLease),
            _ => Err(Breach::NoLease),
        }
    }
}

/// The part of a fact that is judged: little, whatever its author has written.
pub fn about_a_step(fact: Fact) -> Option<Fact> {
    match fact {
        Fact::Offered(mut offer) => {
            offer.skills = Vec::new();
            Some(Fact::Offered(offer))
        }
        Fact::Granted(_) | Fact::Released(_) | Fact::Lapsed(_) | Fact::Submitted(_) | Fact::Verdict(_) => {
            Some(fact)
        }
        Fact::StepEnded(_) | Fact::Transfer(_) | Fact::Refuted(_) => Some(fact),
        _ => None,
    }
}

/// What a payment brings agents, in units.
fn to_agents(payment: &Transfer) -> u64 {
    let legs = payment.legs.iter().filter(|leg| matches!(leg.account, Account::Agent(_)));
    legs.fold(0, |sum, leg| sum.saturating_add(u64::try_from(leg.units).unwrap_or(0)))
}

fn rule(holds: bool, breach: Breach) -> Result<(), Breach> {
    if holds { Ok(()) } else { Err(breach) }
}

#[cfg(test)]
#[path = "conduct_test.rs"]
mod tests;
