//! The life of a step, as its home's entries have it: posted, offered, leased, handed in, judged, paid, ended.

use super::{Open, State};
use crate::commitment::Opening;
use crate::fact::*;
use crate::ledger::poster_account;
use crate::redo::CHECK;
use crate::run::{Handed, Run, Step, StepState};
use artel_protocol::amount::Credits;
use artel_protocol::id::{Digest, Epoch, RunId, StepId};
use artel_protocol::key::AgentId;
use artel_protocol::time::Wall;
use artel_reputation::{self as reputation, Evidence, Quality, Standing};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

impl State {
    pub(super) fn run_posted(&mut self, f: &RunPosted, entry: &Entry, index: u64) -> Result<(), String> {
        if self.run(&f.run).is_some() {
            return Err(format!("run {} exists", f.run));
        }
        let run = Run {
            id: f.run,
            poster: f.poster,
            name: f.name.clone(),
            inputs: f.inputs.clone(),
            priority: f.priority,
            correlation: entry.correlation.clone(),
            created: entry.at,
            posted_at: index,
            post_key: f.post_key,
            steps: f.steps.iter().cloned().map(Step::new).collect(),
            attempts_max: f.attempts_max,
            lapses_max: f.lapses_max,
            salt: f.salt,
            cancelled: false,
            ended: None,
            trimmed: false,
        };
        let (steps, bytes) = (run.steps.len(), run.bytes());
        self.count_open(run.poster, |open| Open { steps: open.steps + steps, bytes: open.bytes + bytes });
        self.totals.runs += 1;
        if let Some(key) = f.post_key {
            self.post_keys.remember((f.poster, key), f.run, entry.at);
        }
        self.touched.insert(run.id);
        self.runs.insert(run.id, Arc::new(run));
        Ok(())
    }

    pub(super) fn cancel_asked(&mut self, f: &CancelAsked) -> Result<(), String> {
        let run = self.runs.get_mut(&f.run).ok_or_else(|| format!("run {} is not open", f.run))?;
        let run = Arc::make_mut(run);
        match f.step {
            None => run.cancelled = true,
            Some(step) => match run.steps.get_mut(step.index()) {
                Some(step) => step.cancelled = true,
                None => return Err(format!("run {} has no such step", f.run)),
            },
        }
        Ok(())
    }

    pub(super) fn offered(&mut self, f: &Offered) -> Result<(), String> {
        let step = self.open_step(&f.step)?;
        if !matches!(step.state, StepState::Waiting) || f.epoch != step.epoch.next() {
            return Err(format!("step {} is not ready for epoch {}", f.step, f.epoch));
        }
        step.state = StepState::Offered;
        let (run, step) = open(&self.runs, &f.step)?;
        self.offers.insert(run.poster, &step.spec.task, (Reverse(run.priority), run.posted_at, f.step));
        Ok(())
    }

    /// A step of an open run, which is looked at again when the input is through.
    pub(super) fn open_step(&mut self, id: &StepId) -> Result<&mut Step, String> {
        let run = self.runs.get_mut(&id.run()).ok_or_else(|| format!("run {} is not open", id.run()))?;
        self.touched.insert(run.id);
        Arc::make_mut(run)
            .steps
            .get_mut(id.index())
            .ok_or_else(|| format!("run {} has no such step", id.run()))
    }

    fn withdraw_offer(&mut self, id: &StepId) -> Result<(), String> {
        let (run, step) = open(&self.runs, id)?;
        self.offers.remove(run.poster, &step.spec.task, (Reverse(run.priority), run.posted_at, *id));
        Ok(())
    }

    pub(super) fn granted(&mut self, f: &Granted, at: Wall, index: u64) -> Result<(), String> {
        self.withdraw_offer(&f.step)?;
        let step = self.open_step(&f.step)?;
        if step.state != StepState::Offered || f.epoch != step.epoch.next() {
            return Err(format!("step {} is not offered for epoch {}", f.step, f.epoch));
        }
        step.epoch = f.epoch;
        step.granted_at = Some(index);
        step.started.get_or_insert(at);
        step.state = StepState::Leased {
            agent: f.agent,
            level: f.level,
            authority: f.authority,
            lease_ms: f.lease_ms,
        };
        self.leases.entry(f.agent).or_default().insert(f.step);
        self.guests.begins(&f.agent, self.agents.get(&f.agent).map(AsRef::as_ref));
        self.totals.granted += 1;
        Ok(())
    }

    /// Ends the lease that `agent` holds on a step under `epoch`; the step waits to be offered anew or ended.
    fn end_lease(&mut self, id: &StepId, epoch: Epoch, agent: AgentId) -> Result<&mut Step, String> {
        self.drop_lease(&agent, id);
        let step = self.open_step(id)?;
        match step.state {
            StepState::Leased { agent: holder, .. } if holder == agent && step.epoch == epoch => {
                step.state = StepState::Waiting;
                Ok(step)
            }
            _ => Err(format!("{agent} holds no lease of epoch {epoch} on step {id}")),
        }
    }

    fn drop_lease(&mut self, agent: &AgentId, id: &StepId) {
        if let Some(steps) = self.leases.get_mut(agent) {
            steps.remove(id);
            if steps.is_empty() {
                self.leases.remove(agent);
            }
        }
    }

    /// A lease of an agent ended without a result, or its result has a verdict.
    fn work_ends(&mut self, agent: &AgentId) {
        self.guests.ends(agent, self.agents.get(agent).map(AsRef::as_ref));
    }

    pub(super) fn released(&mut self, f: &LeaseEnded) -> Result<(), String> {
        let is_unused = self.unused.take().is_some_and(|unused| unused == *f);
        let step = self.end_lease(&f.step, f.epoch, f.agent)?;
        if is_unused {
            step.spared.push(f.agent);
        } else {
            step.releases = step.releases.saturating_add(1);
            step.barred.push(f.agent);
        }
        self.work_ends(&f.agent);
        Ok(())
    }

    /// The release behind it is held against nobody.
    pub(super) fn unused(&mut self, f: &LeaseEnded) -> Result<(), String> {
        let step = self.open_step(&f.step)?;
        let is_held = matches!(step.state, StepState::Leased { agent, .. } if agent == f.agent)
            && step.epoch == f.epoch;
        if !is_held || step.spared.contains(&f.agent) {
            return Err(format!("{} cannot give step {} back unused", f.agent, f.step));
        }
        self.unused = Some(f.clone());
        Ok(())
    }

    /// Says whose lease the end of the step behind it ends.
    pub(super) fn withdrawn(&mut self, f: &LeaseEnded) -> Result<(), String> {
        let step = self.open_step(&f.step)?;
        match step.state {
            StepState::Leased { agent, .. } if agent == f.agent && step.epoch == f.epoch => {
                self.withdrawn = Some(f.step);
                Ok(())
            }
            _ => Err(format!("{} does not hold step {} under {}", f.agent, f.step, f.epoch)),
        }
    }

    pub(super) fn lapsed(&mut self, f: &LeaseEnded, at: Wall) -> Result<(), String> {
        let own_work = open(&self.runs, &f.step)?.0.poster == Poster::Agent(f.agent);
        let step = self.end_lease(&f.step, f.epoch, f.agent)?;
        step.lapses = step.lapses.saturating_add(1);
        step.barred.push(f.agent);
        self.totals.lapsed += 1;
        if !own_work {
            self.with_agent(&f.agent, |agent| {
                agent.lapsed += 1;
                learn(&mut agent.standing, at, reputation::Outcome::Lapsed, None);
            })?;
        }
        self.work_ends(&f.agent);
        Ok(())
    }

    pub(super) fn submitted(&mut self, f: &Submitted, entry: &Entry, index: u64) -> Result<(), String> {
        self.drop_lease(&f.agent, &f.step);
        let step = self.open_step(&f.step)?;
        let level = match step.state {
            StepState::Leased { agent, level, .. } if agent == f.agent && step.epoch == f.epoch => level,
            _ => {
                return Err(format!("{} holds no lease of epoch {} on step {}", f.agent, f.epoch, f.step));
            }
        };
        let before = step.output_at.is_some_and(|at| at + 1 == index);
        let opening = match step.handing.take() {
            Some((epoch, opening)) if before && epoch == f.epoch && opening.result() == f.result => opening,
            _ => {
                return Err(format!(
                    "what stands right before it does not open the result of step {}",
                    f.step
                ));
            }
        };
        step.state = StepState::Submitted { agent: f.agent, level };
        step.undrawn = step.spec.task.runner.is_some().then(|| Digest::of(&entry.encode()));
        step.handed.push(Handed {
            epoch: f.epoch,
            agent: f.agent,
            result: f.result,
            opening,
            authority: f.authority,
            index,
            at: entry.at,
            late: f.late,
            findings: None,
            verdict: None,
        });
        Ok(())
    }

    pub(super) fn output(&mut self, f: &Output, index: u64) -> Result<(), String> {
        let step = self.open_step(&f.step)?;
        step.output = Some(f.output.clone());
        step.output_at = Some(index);
        let opening = Opening { salt: f.salt, output: f.output.digest(), artifacts: f.artifacts.clone() };
        step.handing = Some((f.epoch, opening));
        Ok(())
    }

    pub(super) fn findings(&mut self, f: &Findings, index: u64) -> Result<(), String> {
        let step = self.open_step(&f.step)?;
        let handed = step.handed.last_mut().filter(|h| h.epoch == f.epoch);
        let handed =
            handed.ok_or_else(|| format!("step {} has no submission of epoch {}", f.step, f.epoch))?;
        handed.findings = Some((index, f.findings.clone()));
        Ok(())
    }

    pub(super) fn verdict(&mut self, f: &Verdict, at: Wall, index: u64) -> Result<(), String> {
        let own_work = open(&self.runs, &f.step)?.0.poster == Poster::Agent(f.agent);
        let step = self.open_step(&f.step)?;
        let open = matches!(step.state, StepState::Submitted { agent, .. } if agent == f.agent)
            && step.epoch == f.epoch;
        let open = open && !step.is_being_redone();
        // Without a run that says that it is right it is no reason to look less often.
        let of_module = step.spec.task.runner.is_some() && step.redo.is_none();
        let Some(handed) = step.handed.last_mut().filter(|h| open && h.verdict.is_none()) else {
            return Err(format!("step {} has no submission of epoch {} to judge", f.step, f.epoch));
        };
        let late = handed.late;
        let (outcome, kept, quality) = match &f.judgement {
            Judgement::Accepted { quality, checked } => {
                step.state = StepState::Accepted { agent: f.agent };
                step.completed = Some(at);
                let outcome = if late { reputation::Outcome::Late } else { reputation::Outcome::OnTime };
                let kept = Outcome::Accepted { quality: *quality, checked: *checked };
                (outcome, kept, Quality::new(*quality).filter(|_| *checked))
            }
            Judgement::Rejected { check } => {
                let findings = match handed.findings.take() {
                    Some((at, findings)) if at + 1 == index => findings,
                    _ => return Err(format!("the findings on step {} do not stand right before it", f.step)),
                };
                step.attempts = step.attempts.saturating_add(1);
                step.barred.push(f.agent);
                step.state = StepState::Waiting;
                (reputation::Outcome::Rejected, Outcome::Rejected { check: check.clone(), findings }, None)
            }
        };
        handed.verdict = Some((index, kept));
        (step.undrawn, step.redo) = (None, None);
        let accepted = matches!(f.judgement, Judgement::Accepted { .. });
        if accepted {
            self.totals.accepted += 1
        } else {
            self.totals.rejected += 1
        };
        if !own_work {
            self.with_worker(&f.agent, |agent| {
                if accepted {
                    agent.accepted += 1
                } else {
                    agent.rejected += 1
                };
                match &f.judgement {
                    Judgement::Accepted { .. } if of_module => agent.unrefuted += 1,
                    Judgement::Rejected { check } if check == CHECK => agent.unrefuted = 0,
                    _ => {}
                }
                learn(&mut agent.standing, at, outcome, quality);
            });
        }
        self.work_ends(&f.agent);
        Ok(())
    }

    pub(super) fn step_ended(&mut self, f: &StepEnded, at: Wall) -> Result<(), String> {
        self.withdrawn = None;
        if self.open_step(&f.step)?.state == StepState::Offered {
            self.withdraw_offer(&f.step)?;
        }
        let step = self.open_step(&f.step)?;
        match step.state {
            StepState::Waiting | StepState::Offered => {}
            StepState::Leased { agent, .. } => {
                self.drop_lease(&agent, &f.step);
                self.work_ends(&agent);
            }
            _ => return Err(format!("step {} cannot end now", f.step)),
        }
        let step = self.open_step(&f.step)?;
        step.state = StepState::Ended(f.end);
        step.completed = Some(at);
        Ok(())
    }

    pub(super) fn transfer(&mut self, f: &Transfer) -> Result<(), String> {
        let poster = poster_account(open(&self.runs, &f.step)?.0.poster);
        self.ledger.enter(f, poster).map_err(|e| e.to_string())?;
        let escrow = self.ledger.balance(Account::Escrow(f.step));
        let step = self.open_step(&f.step)?;
        step.escrow = Credits(u64::try_from(escrow).map_err(|_| "an escrow below zero")?);
        if f.cause == Cause::Payment {
            let worker = match step.state {
                StepState::Submitted { agent, .. } => agent,
                _ => return Err(format!("step {} has nothing to pay for", f.step)),
            };
            let leg = f.legs.get(1).filter(|leg| leg.account == Account::Agent(worker));
            let leg = leg.ok_or_else(|| format!("the second leg is not {worker}'s"))?;
            let named = |leg: &Leg| matches!(leg.account, Account::Escrow(_) | Account::Poster(_));
            if f.legs.iter().enumerate().any(|(i, leg)| i != 1 && !named(leg)) {
                return Err(format!("the payment of step {} names more than its worker", f.step));
            }
            let earned = u64::try_from(leg.units).map_err(|_| "a payment below zero")?;
            step.paid = Credits(earned);
            self.totals.paid_units += earned;
            self.with_worker(&worker, |agent| agent.earned_units += earned);
        }
        Ok(())
    }
}

fn open<'a>(runs: &'a BTreeMap<RunId, Arc<Run>>, id: &StepId) -> Result<(&'a Run, &'a Step), String> {
    let run = runs.get(&id.run()).ok_or_else(|| format!("run {} is not open", id.run()))?;
    let step = run.steps.get(id.index()).ok_or_else(|| format!("run {} has no such step", id.run()))?;
    Ok((run, step))
}

/// Adds one receipt to an agent's record, dated as its entry is.
fn learn(standing: &mut Standing, at: Wall, outcome: reputation::Outcome, quality: Option<Quality>) {
    let evidence = Evidence { at, fact: reputation::Fact::Receipt { outcome, quality } };
    standing.add(&evidence, at).expect("evidence of this very moment is not from the future");
}
