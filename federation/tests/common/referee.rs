//! An independent reader of a journal: it knows the life of a step and the ledger's rules and none of the shipped code, and says
//! where a journal tells of an illegal step.

use super::courier::Courier;
use super::gatekeeper::Gatekeeper;
use artel_federation::fact::{Account, Came, Cause, End, Judgement, Leg, Poster, StepSpec};
use artel_federation::{Entry, Fact};
use artel_protocol::id::{Digest, RunId, StepId};
use artel_protocol::key::AgentId;
use artel_protocol::time::Wall;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Clone, PartialEq)]
enum At {
    Waiting,
    Offered,
    Leased(AgentId),
    Submitted(AgentId),
    Accepted,
    Ended,
}

/// Whether a submission is run again, and what came of it.
#[derive(Debug, Clone, PartialEq)]
enum Redo {
    No,
    /// The other results, and how many runs came to nothing since the first.
    Open(Vec<Digest>, u8),
    /// Two runs agreed on another result, or not.
    Over(bool),
}

#[derive(Debug)]
struct Step {
    spec: StepSpec,
    poster: Poster,
    at: At,
    epoch: u32,
    barred: BTreeSet<AgentId>,
    spared: BTreeSet<AgentId>,
    refuted: bool,
    submitted: Option<u64>,
    redo: Redo,
    escrow: i64,
    paid: bool,
}

#[derive(Debug, Default)]
struct Member {
    capacity: usize,
    revoked: bool,
    serial: u32,
    leases: BTreeSet<StepId>,
    /// Of another node: it has one lease and earns more, or loses them.
    guest: bool,
    accepted: usize,
    lost: usize,
}

impl Member {
    fn may_hold(&self) -> usize {
        if self.guest { 1 + (self.accepted / 2).saturating_sub(self.lost) } else { self.capacity }
    }
}

#[derive(Default)]
struct Referee {
    steps: BTreeMap<StepId, Step>,
    runs: BTreeMap<RunId, usize>,
    members: BTreeMap<AgentId, Member>,
    balances: BTreeMap<Account, i64>,
    gate: Gatekeeper,
    courier: Courier,
    unused: Option<(StepId, u32, AgentId)>,
}

/// Reads a whole journal.
///
/// # Panics
/// At the first entry that breaks a rule.
pub fn judge(journal: &[Entry]) {
    let mut referee = Referee::default();
    for (index, entry) in journal.iter().enumerate() {
        if let Err(rule) = referee.read(index as u64, entry) {
            panic!("entry {index} breaks a rule: {rule}\n{entry:?}");
        }
        let total: i64 = referee.balances.values().sum();
        assert_eq!(total, 0, "entry {index}: the ledger's total is zero");
    }
}

fn rule(holds: bool, says: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(says) }
}

impl Referee {
    fn read(&mut self, index: u64, entry: &Entry) -> Result<(), &'static str> {
        self.gate.read(entry)?;
        self.courier.read(entry)?;
        match &entry.fact {
            Fact::Genesis(_) | Fact::Joined(_) => rule(index == 0, "a beginning is the first entry"),
            _ if index == 0 => rule(false, "a journal has a beginning"),
            Fact::Enrolled(f) => {
                let member = self.members.entry(f.agent).or_default();
                rule(f.serial > member.serial, "a serial rises")?;
                (member.serial, member.capacity, member.revoked) = (f.serial, f.capacity as usize, false);
                member.guest = false;
                Ok(())
            }
            Fact::Introduced(f) => {
                let member = self.members.entry(f.agent).or_default();
                let enrolled = member.serial > 0 && !member.guest && !member.revoked;
                rule(!enrolled, "who is enrolled is not introduced")?;
                (member.guest, member.revoked) = (true, false);
                Ok(())
            }
            Fact::Forgotten(f) => {
                let member = self.members.remove(&f.agent).ok_or("an unknown agent")?;
                let judged = self.steps.values().all(|step| step.at != At::Submitted(f.agent));
                let idle = judged && member.leases.is_empty() && member.accepted + member.lost == 0;
                rule(member.guest && member.serial == 0 && idle, "only guests that won nothing are forgotten")
            }
            Fact::Undertaken(f) => {
                let elsewhere = self.courier.held_by(f.agent);
                let member = self.member(f.agent)?;
                rule(
                    member.leases.len() + elsewhere <= member.may_hold(),
                    "capacity, with what is held elsewhere",
                )
            }
            Fact::Configured(f) => {
                self.member(f.agent)?.capacity = f.capacity as usize;
                Ok(())
            }
            Fact::Rotated(f) => {
                let member = self.member(f.agent)?;
                rule(f.serial == member.serial + 1 && !member.revoked, "a token follows a good one")?;
                member.serial = f.serial;
                Ok(())
            }
            Fact::Revoked(f) => {
                let member = self.member(f.agent)?;
                (member.revoked, member.serial) = (true, f.serial);
                Ok(())
            }
            Fact::RunPosted(f) => {
                rule(self.runs.insert(f.run, f.steps.len()).is_none(), "a run is posted once")?;
                for (i, spec) in f.steps.iter().enumerate() {
                    let step = Step {
                        spec: spec.clone(),
                        poster: f.poster,
                        at: At::Waiting,
                        epoch: 0,
                        barred: BTreeSet::new(),
                        spared: BTreeSet::new(),
                        refuted: false,
                        submitted: None,
                        redo: Redo::No,
                        escrow: 0,
                        paid: false,
                    };
                    self.steps.insert(f.run.step(i), step);
                }
                Ok(())
            }
            Fact::Offered(f) => {
                let needs: Vec<StepId> = self
                    .step(f.step)?
                    .spec
                    .needs
                    .iter()
                    .map(|n| f.step.run().step(usize::from(*n)))
                    .collect();
                for need in needs {
                    rule(self.step(need)?.at == At::Accepted, "an offer's needs are accepted")?;
                }
                let step = self.step(f.step)?;
                rule(
                    step.at == At::Waiting && f.epoch.0 == step.epoch + 1,
                    "an offer is for the next epoch",
                )?;
                rule(entry.at < step.spec.task.deadline, "nothing is offered after its deadline")?;
                step.at = At::Offered;
                Ok(())
            }
            Fact::Granted(f) => {
                let step = self.step(f.step)?;
                rule(step.at == At::Offered, "only an offer is granted")?;
                rule(f.epoch.0 == step.epoch + 1, "epochs rise by one")?;
                rule(entry.at < step.spec.task.deadline, "nothing is granted after its deadline")?;
                rule(!step.barred.contains(&f.agent), "the barred may not retake")?;
                let own = step.poster == Poster::Agent(f.agent) && !step.spec.task.poster_may_claim;
                rule(!own, "a poster takes its own only if it said so")?;
                (step.at, step.epoch) = (At::Leased(f.agent), f.epoch.0);
                let elsewhere = self.courier.held_by(f.agent);
                let member = self.member(f.agent)?;
                rule(!member.revoked, "the revoked win nothing")?;
                rule(member.leases.insert(f.step), "one lease a step")?;
                rule(member.leases.len() + elsewhere <= member.may_hold(), "capacity")
            }
            Fact::Unused(f) => {
                let step = self.step(f.step)?;
                rule(step.at == At::Leased(f.agent) && step.epoch == f.epoch.0, "a live lease is unused")?;
                rule(step.spared.insert(f.agent), "an agent gives a step back unused once")?;
                rule(step.spared.len() <= 64, "so many give a step back unused")?;
                self.unused = Some((f.step, f.epoch.0, f.agent));
                Ok(())
            }
            Fact::Released(f) | Fact::Lapsed(f) => {
                let is_unused = self.unused.take() == Some((f.step, f.epoch.0, f.agent));
                let step = self.step(f.step)?;
                if !is_unused {
                    step.barred.insert(f.agent);
                }
                let own = step.poster == Poster::Agent(f.agent);
                if matches!(entry.fact, Fact::Lapsed(_)) && !own {
                    self.member(f.agent)?.lost += 1;
                }
                self.ends(f.step, f.epoch.0, f.agent, At::Waiting)
            }
            Fact::Submitted(f) => {
                self.ends(f.step, f.epoch.0, f.agent, At::Submitted(f.agent))?;
                let step = self.step(f.step)?;
                (step.submitted, step.redo) = (Some(index), Redo::No);
                Ok(())
            }
            Fact::Drawn(_) => Err("only older homes draw by themselves"),
            Fact::Lot(f) => {
                self.member(f.agent)?;
                let step = self.step(f.step)?;
                rule(step.at == At::Submitted(f.agent) && f.epoch.0 == step.epoch, "a submission is drawn")?;
                rule(step.submitted == Some(f.submitted), "a lot names its submission")?;
                rule(step.spec.task.runner.is_some(), "only a module is run again")?;
                rule((50..=700).contains(&f.rate), "the rate is within its bounds")?;
                rule(step.poster != Poster::Agent(f.agent), "own work is the poster's matter")?;
                rule(step.redo == Redo::No, "a lot falls once")?;
                rule(f.witnesses.len() <= 3, "three witnesses draw")?;
                let mut cosigned = f.witnesses.iter().filter_map(|one| one.cosigned);
                rule(cosigned.all(|said| said.size > f.submitted), "what is older draws nothing")?;
                step.redo = if f.drawn { Redo::Open(vec![], 0) } else { Redo::Over(false) };
                Ok(())
            }
            Fact::Redone(f) => {
                let step = self.step(f.step)?;
                rule(step.at == At::Submitted(f.agent) && f.epoch.0 == step.epoch, "a submission is redone")?;
                step.redo = match (&step.redo, f.came) {
                    (Redo::Open(others, _), Came::Other(result)) if others.is_empty() => {
                        Redo::Open(vec![result], 0)
                    }
                    (Redo::Open(others, _), Came::Other(result)) => {
                        rule(others.len() == 2 || others.contains(&result), "a third run breaks a tie")?;
                        Redo::Over(others.contains(&result))
                    }
                    (Redo::Open(others, unsaid), Came::Inconclusive) => {
                        rule(others.is_empty() || *unsaid == 2, "a doubt is not dropped unasked")?;
                        Redo::Over(false)
                    }
                    (Redo::Open(..), Came::Same) => Redo::Over(false),
                    _ => return Err("only what was drawn is run again"),
                };
                Ok(())
            }
            Fact::Unsettled(f) => {
                let step = self.step(f.step)?;
                rule(step.at == At::Submitted(f.agent) && f.epoch.0 == step.epoch, "a submission is redone")?;
                let Redo::Open(others, unsaid) = &mut step.redo else {
                    return Err("only what was drawn is run again");
                };
                rule(!others.is_empty(), "a first run settles or doubts")?;
                match f.came {
                    Came::Same => return Err("a run that agrees settles it"),
                    Came::Inconclusive => *unsaid += 1,
                    Came::Other(result) => {
                        rule(!others.contains(&result), "two that agree settle it")?;
                        others.push(result);
                    }
                }
                rule(others.len() <= 2 && *unsaid <= 2, "it is asked for a few times at most")
            }
            Fact::Verdict(f) => {
                let step = self.step(f.step)?;
                rule(step.at == At::Submitted(f.agent), "only a submission is judged, once")?;
                rule(
                    f.epoch.0 == step.epoch && step.submitted == Some(f.submitted),
                    "it names its submission",
                )?;
                rule(!matches!(step.redo, Redo::Open(..)), "a redo comes before the verdict")?;
                let refuted = matches!(&f.judgement, Judgement::Rejected { check } if check == "redo");
                rule(
                    refuted == (step.redo == Redo::Over(true)),
                    "two runs that agree reject, and nothing else",
                )?;
                let accepted = matches!(f.judgement, Judgement::Accepted { .. });
                let own = step.poster == Poster::Agent(f.agent);
                if accepted {
                    step.at = At::Accepted;
                    rule(step.escrow == 0, "what was accepted holds no escrow")?;
                } else {
                    step.barred.insert(f.agent);
                    step.at = At::Waiting;
                    rule(!step.paid, "what was rejected is not paid")?;
                }
                if !own {
                    let member = self.member(f.agent)?;
                    let count = if accepted { &mut member.accepted } else { &mut member.lost };
                    *count += 1;
                }
                Ok(())
            }
            Fact::Withdrawn(f) => {
                let step = self.step(f.step)?;
                rule(step.at == At::Leased(f.agent) && step.epoch == f.epoch.0, "a live lease is withdrawn")
            }
            Fact::StepEnded(f) => self.step_ended(f.step, f.end, entry.at),
            Fact::Transfer(f) => self.transfer(f),
            Fact::Refuted(f) => {
                let step = self.step(f.step)?;
                rule(step.at == At::Accepted && step.epoch == f.epoch.0, "only what is accepted is refuted")?;
                rule(step.spec.task.runner.is_some(), "only a module is run again")?;
                rule(step.poster != Poster::Agent(f.agent), "own work is the poster's matter")?;
                rule(!std::mem::replace(&mut step.refuted, true), "a result is refuted once")?;
                self.member(f.agent)?.lost += 1;
                Ok(())
            }
            Fact::Recalled(f) => {
                rule(self.step(f.step)?.refuted, "what was refuted is taken back")?;
                for leg in &f.legs {
                    *self.balances.entry(leg.account).or_default() += leg.units;
                }
                let is_below =
                    |leg: &Leg| leg.account != Account::Operator && self.balances[&leg.account] < 0;
                rule(!f.legs.iter().any(is_below), "nobody owes")
            }
            Fact::RunEnded(f) => {
                let count = *self.runs.get(&f.run).ok_or("an unknown run")?;
                let over =
                    (0..count).all(|i| matches!(self.steps[&f.run.step(i)].at, At::Accepted | At::Ended));
                rule(over, "a run ends when its steps have")
            }
            _ => Ok(()),
        }
    }

    fn step_ended(&mut self, id: StepId, end: End, at: Wall) -> Result<(), &'static str> {
        let step = self.step(id)?;
        let legal = matches!(
            (&step.at, end),
            (At::Waiting, _)
                | (At::Offered, End::DeadlinePassed | End::Cancelled)
                | (At::Leased(_), End::Cancelled)
        );
        rule(legal, "terminal states absorb, and a submission waits for its verdict")?;
        rule(end != End::DeadlinePassed || at >= step.spec.task.deadline, "the deadline has passed")?;
        let before = std::mem::replace(&mut step.at, At::Ended);
        if let At::Leased(agent) = before {
            self.member(agent)?.leases.remove(&id);
        }
        Ok(())
    }

    fn transfer(&mut self, f: &artel_federation::fact::Transfer) -> Result<(), &'static str> {
        let poster = match self.step(f.step)?.poster {
            Poster::Operator => Account::Operator,
            Poster::Agent(agent) => Account::Agent(agent),
        };
        for (i, leg) in f.legs.iter().enumerate() {
            let alias = leg.account == Account::Poster(f.step);
            let public = f.cause == Cause::Payment;
            let nameless = leg.account == [Account::Escrow(f.step), Account::Poster(f.step)][i / 2];
            rule(!public || i == 1 || nameless, "a payment names its worker and nobody else")?;
            rule(public || !alias, "what is private names the account itself")?;
            let account = if alias { poster } else { leg.account };
            let balance = self.balances.entry(account).or_default();
            *balance += leg.units;
            rule(*balance >= 0 || account == Account::Operator, "only the operator owes")?;
        }
        let escrow = self.balances.get(&Account::Escrow(f.step)).copied().unwrap_or(0);
        let step = self.step(f.step)?;
        step.escrow = escrow;
        match f.cause {
            Cause::Escrow => {
                rule(step.at == At::Waiting && step.epoch == 0, "money is set aside at the post")
            }
            Cause::Payment => {
                rule(matches!(step.at, At::Submitted(_)), "a submission is paid for")?;
                rule(!std::mem::replace(&mut step.paid, true), "a step is paid once")?;
                rule(escrow == 0, "the rest goes back with it")
            }
            Cause::Refund => rule(step.at == At::Ended && escrow == 0, "all of it goes back at the end"),
        }
    }

    fn ends(&mut self, id: StepId, epoch: u32, agent: AgentId, to: At) -> Result<(), &'static str> {
        let step = self.step(id)?;
        rule(step.at == At::Leased(agent) && step.epoch == epoch, "only a live lease ends")?;
        step.at = to;
        rule(self.member(agent)?.leases.remove(&id), "the holder held it")
    }

    fn step(&mut self, id: StepId) -> Result<&mut Step, &'static str> {
        self.steps.get_mut(&id).ok_or("an unknown step")
    }

    fn member(&mut self, id: AgentId) -> Result<&mut Member, &'static str> {
        self.members.get_mut(&id).ok_or("an unknown agent")
    }
}
