//! The durable state: the fold over the journal's entries, and nothing else. Everything here is rebuilt by `fold`; a
//! snapshot is only a shortcut to it.

use crate::away::Engagements;
use crate::commitment::Opening;
use crate::fact::*;
use crate::ledger::{Ledger, poster_account};
use crate::member::Agent;
use crate::nodes::Nodes;
use crate::offers::Offers;
use crate::options::{RECENT_RUNS, RECENT_RUNS_BYTES, RECENT_STEPS};
use crate::post_keys::PostKeys;
use crate::redo::{self, Redo};
use crate::run::{Handed, Run, Step, StepState};
use crate::visit::guests::{Counted, Guests};
use artel_protocol::amount::Credits;
use artel_protocol::id::{Digest, Epoch, FederationId, RunId, StepId};
use artel_protocol::key::AgentId;
use artel_protocol::time::Wall;
use artel_reputation::{self as reputation, Evidence, Quality, Standing};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Why an entry does not fold: the journal tells of something that cannot have happened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("entry {index} ({kind}) cannot follow what stands before it: {reason}")]
pub struct FoldError {
    /// The entry's journal index.
    pub index: u64,
    /// Its kind.
    pub kind: &'static str,
    /// What does not fit.
    pub reason: String,
}

/// How much of the book is taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Open {
    /// Steps of open runs.
    pub steps: usize,
    /// What those runs count ([`Run::bytes`]).
    pub bytes: u64,
}

/// The fold. Runs and agents are shared with whoever was shown them (answers, snapshots under way): a change copies one
/// that somebody still looks at.
#[derive(Debug, Default)]
pub struct State {
    pub(crate) genesis: Option<Genesis>,
    /// Whether this journal's node founded its federation, or joined one.
    pub(crate) founded: bool,
    pub(crate) nodes: Nodes,
    pub(crate) size: u64,
    pub(crate) boots: u64,
    pub(crate) agents: BTreeMap<AgentId, Arc<Agent>>,
    pub(crate) runs: BTreeMap<RunId, Arc<Run>>,
    pub(crate) recent: BTreeMap<RunId, Arc<Run>>,
    pub(crate) recent_order: VecDeque<RunId>,
    pub(crate) ledger: Ledger,
    pub(crate) post_keys: PostKeys,
    pub(crate) artifact_bytes: u64,
    pub(crate) totals: Totals,
    /// What this node's agents have under way at other homes.
    pub(crate) away: Engagements,
    /// The accepted results that were found to be others.
    pub(crate) refuted: BTreeSet<(StepId, Epoch)>,
    // Derived from the above; never in a snapshot.
    pub(crate) offers: Offers,
    pub(crate) leases: BTreeMap<AgentId, BTreeSet<StepId>>,
    pub(crate) open: Open,
    pub(crate) open_by: BTreeMap<AgentId, Open>,
    pub(crate) recent_steps: usize,
    pub(crate) recent_bytes: u64,
    pub(crate) agent_bytes: u64,
    pub(crate) guests: Guests,
    touched: BTreeSet<RunId>,
    /// What the entry before said of the release behind it. Never between two inputs.
    unused: Option<LeaseEnded>,
    /// The step whose lease was withdrawn in the entry before.
    withdrawn: Option<StepId>,
    /// What the entry before has to be followed by: how much of what was paid goes back. Never between two inputs.
    recalling: Option<(StepId, Epoch, AgentId, Credits)>,
}

/// Counts since the first entry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct Totals {
    /// Runs posted.
    pub runs: u64,
    /// Leases granted.
    pub granted: u64,
    /// Submissions accepted.
    pub accepted: u64,
    /// Submissions rejected.
    pub rejected: u64,
    /// Leases lapsed.
    pub lapsed: u64,
    /// Units paid to agents.
    pub paid_units: u64,
}

impl State {
    /// Folds one input's entries; runs that are over by it go to `closed`.
    ///
    /// # Errors
    /// [`FoldError`] when an entry cannot follow what stands before it.
    pub fn fold(&mut self, entries: &[Entry], closed: &mut Vec<Arc<Run>>) -> Result<(), FoldError> {
        for entry in entries {
            self.apply(entry)?;
        }
        self.close_finished(closed);
        Ok(())
    }

    /// Folds one entry. The runs that it touched are closed by [`State::close_finished`] once its input is through.
    pub(crate) fn apply(&mut self, entry: &Entry) -> Result<(), FoldError> {
        let index = self.size;
        let weighed = step_of(&entry.fact).and_then(|id| Some((id, self.weight(&id)?)));
        let result = match &entry.fact {
            other if index == 0 && !matches!(other, Fact::Genesis(_) | Fact::Joined(_)) => {
                Err("a journal begins with the record of its federation".into())
            }
            other if self.recalling.is_some() && !matches!(other, Fact::Recalled(_)) => {
                Err("what was paid for a refuted result does not go back right behind it".into())
            }
            other if self.unused.is_some() && !matches!(other, Fact::Released(_)) => {
                Err("what was not used is not given back right behind it".into())
            }
            other
                if self
                    .withdrawn
                    .is_some_and(|step| !matches!(other, Fact::StepEnded(f) if f.step == step)) =>
            {
                Err("a lease is withdrawn whose step does not end right behind it".into())
            }
            Fact::Genesis(f) => self.begin(f, true, index),
            Fact::Joined(f) => self.begin(&f.genesis, false, index),
            Fact::Admitted(f) => with_genesis(&self.genesis, |genesis| {
                self.nodes.admitted(f, (genesis, self.founded), (entry.at, index))
            }),
            Fact::Expelled(f) => {
                with_genesis(&self.genesis, |genesis| self.nodes.expel(f, genesis, (entry.at, index)))
            }
            Fact::Invited(f) => self.nodes.invited(f, entry.at),
            Fact::InvitationEnded(f) => self.nodes.ended(f),
            Fact::Started(f) => {
                self.boots = f.boot;
                Ok(())
            }
            Fact::Enrolled(f) => {
                self.enrolled(f, entry.at, index);
                Ok(())
            }
            Fact::Introduced(f) => self.introduced(f, entry.at, index),
            Fact::Forgotten(f) => self.forgotten(f),
            Fact::Configured(f) => self.configured(f, entry.at),
            Fact::Rotated(f) => self.with_agent(&f.agent, |agent| {
                agent.serial = f.serial;
                agent.expires = f.expires;
            }),
            Fact::Revoked(f) => self.with_agent(&f.agent, |agent| {
                agent.serial = f.serial;
                agent.delegation = None;
                agent.revoked = Some(f.by);
                if f.by == Revoker::Agent {
                    agent.revoked_itself = Some(entry.at);
                }
            }),
            Fact::RunPosted(f) => self.run_posted(f, entry, index),
            Fact::CancelAsked(f) => self.cancel_asked(f),
            Fact::Offered(f) => self.offered(f),
            Fact::Granted(f) => self.granted(f, entry.at, index),
            Fact::Unused(f) => self.unused(f),
            Fact::Released(f) => self.released(f),
            Fact::Lapsed(f) => self.lapsed(f, entry.at),
            Fact::Withdrawn(f) => self.withdrawn(f),
            Fact::Submitted(f) => self.submitted(f, entry, index),
            Fact::Output(f) => self.output(f, index),
            Fact::Findings(f) => self.findings(f, index),
            Fact::Drawn(f) => self.drawn(f, index),
            Fact::Lot(f) => self.lot(f),
            Fact::Redone(f) => self.redone(f),
            Fact::Unsettled(f) => self.unsettled(f),
            Fact::Verdict(f) => self.verdict(f, entry.at, index),
            Fact::StepEnded(f) => self.step_ended(f, entry.at),
            Fact::Transfer(f) => self.transfer(f),
            Fact::Refuted(f) => self.refute(f),
            Fact::Recalled(f) => self.recall(f),
            Fact::ArtifactStored(f) => {
                self.artifact_bytes = self.artifact_bytes.saturating_add(f.bytes_new);
                Ok(())
            }
            Fact::Undertaken(f) => self.away.undertaken(f, entry.at),
            Fact::Outgoing(f) => self.away.outgoing(f),
            Fact::HandedIn(f) => self.away.handed_in(f, (entry.at, index)),
            Fact::Acknowledged(f) => self.away.acknowledged(f),
            Fact::Concluded(f) => self.away.conclude(f),
            Fact::LetGo(f) => self.away.let_go(f),
            Fact::RefutedAway(f) => self.away.refuted(f),
            Fact::DelegationEnded(f) => self.with_agent(&f.agent, |agent| agent.let_no_more(f.before)),
            Fact::Unanswered(f) => self.away.unanswered(f),
            Fact::RunEnded(_)
            | Fact::Emitted(_)
            | Fact::Refused(_)
            | Fact::FraudProven(_)
            | Fact::Redoing(_) => Ok(()),
        };
        if let Some((id, before)) = weighed {
            self.reweigh(&id, before);
        }
        self.size += 1;
        result.map_err(|reason| FoldError { index, kind: entry.fact.kind().name(), reason })
    }

    /// The runs of none or several steps that this input has brought to their end.
    pub(crate) fn ended_now(&self) -> Vec<Arc<Run>> {
        let ended = |id: &RunId| self.runs.get(id).filter(|run| run.steps.len() != 1 && run.is_over());
        self.touched.iter().filter_map(ended).map(settled).collect()
    }

    /// Moves the runs that are over out of the book.
    pub(crate) fn close_finished(&mut self, closed: &mut Vec<Arc<Run>>) {
        for id in std::mem::take(&mut self.touched) {
            if !self.runs.get(&id).is_some_and(|run| run.is_over()) {
                continue;
            }
            let mut run = self.runs.remove(&id).expect("just seen");
            let (steps, bytes) = (run.steps.len(), run.bytes());
            self.count_open(run.poster, |open| Open { steps: open.steps - steps, bytes: open.bytes - bytes });
            let ended = Arc::make_mut(&mut run);
            ended.settle_end();
            ended.trim();
            self.remember(run.clone());
            closed.push(run);
        }
    }

    /// Keeps what is taken of the book, in all and by an agent that posted it.
    pub(crate) fn count_open(&mut self, poster: Poster, change: impl Fn(Open) -> Open) {
        self.open = change(self.open);
        let Poster::Agent(agent) = poster else { return };
        let open = change(self.open_of(poster));
        if open == Open::default() {
            self.open_by.remove(&agent)
        } else {
            self.open_by.insert(agent, open)
        };
    }

    /// What an agent has taken of the book; the operator's part is not counted.
    pub(crate) fn open_of(&self, poster: Poster) -> Open {
        match poster {
            Poster::Operator => Open::default(),
            Poster::Agent(agent) => self.open_by.get(&agent).copied().unwrap_or_default(),
        }
    }

    /// What a step of an open run counts.
    fn weight(&self, id: &StepId) -> Option<u64> {
        self.runs.get(&id.run())?.steps.get(id.index()).map(Step::bytes)
    }

    fn reweigh(&mut self, id: &StepId, before: u64) {
        let Some(after) = self.weight(id).filter(|after| *after != before) else { return };
        let poster = self.runs[&id.run()].poster;
        self.count_open(poster, |open| Open { bytes: open.bytes - before + after, ..open });
    }

    fn remember(&mut self, run: Arc<Run>) {
        self.recent_order.push_back(run.id);
        self.recent_steps += run.steps.len();
        self.recent_bytes += run.bytes();
        self.recent.insert(run.id, run);
        while self.recent_order.len() > RECENT_RUNS
            || self.recent_steps > RECENT_STEPS
            || self.recent_bytes > RECENT_RUNS_BYTES
        {
            let oldest = self.recent_order.pop_front().expect("no run at all is below the limits");
            let run = self.recent.remove(&oldest).expect("both tell of the same runs");
            self.recent_steps -= run.steps.len();
            self.recent_bytes -= run.bytes();
        }
    }

    /// The federation, once there is one.
    pub fn federation(&self) -> Option<FederationId> {
        self.genesis.as_ref().map(Genesis::id)
    }

    /// A step and its run, open or lately finished.
    pub fn step(&self, id: &StepId) -> Option<(&Run, &Step)> {
        let run = self.run(&id.run())?;
        run.steps.get(id.index()).map(|step| (run, step))
    }

    /// A run, open or lately finished.
    pub fn run(&self, id: &RunId) -> Option<&Run> {
        self.shared(id).map(Arc::as_ref)
    }

    /// A run, open or lately finished, as it stands when this input is through.
    pub(crate) fn shown(&self, id: &RunId) -> Option<Arc<Run>> {
        self.shared(id).map(settled)
    }

    fn shared(&self, id: &RunId) -> Option<&Arc<Run>> {
        self.runs.get(id).or_else(|| self.recent.get(id))
    }

    /// How many leases an agent holds, here and at other homes.
    pub fn live_leases(&self, agent: &AgentId) -> u32 {
        self.leases.get(agent).map_or(0, |steps| steps.len() as u32) + self.away.live_leases(agent)
    }

    fn begin(&mut self, genesis: &Genesis, founded: bool, index: u64) -> Result<(), String> {
        if index != 0 {
            return Err("the record of its federation stands only at a journal's beginning".into());
        }
        (self.genesis, self.founded) = (Some(genesis.clone()), founded);
        Ok(())
    }

    fn enrolled(&mut self, f: &Enrolled, at: Wall, index: u64) {
        self.with_new_agent(&f.agent, at, |agent| agent.enroll(f, at, index));
    }

    /// An agent of another node; one that was enrolled here and has left may come back so.
    fn introduced(&mut self, f: &Introduced, at: Wall, index: u64) -> Result<(), String> {
        if self.agents.get(&f.agent).is_some_and(|agent| agent.guest.is_none() && agent.revoked.is_none()) {
            return Err(format!("{} is enrolled here", f.agent));
        }
        self.with_new_agent(&f.agent, at, |agent| agent.introduce(f, at, index));
        Ok(())
    }

    fn forgotten(&mut self, f: &Forgotten) -> Result<(), String> {
        let agent = self.agents.get(&f.agent).filter(|agent| agent.may_be_forgotten());
        // Older versions forgot whose result was still open: their journals fold on.
        let agent = agent.filter(|agent| !self.leases.contains_key(&agent.id));
        let agent = agent.ok_or_else(|| format!("{} is no guest that may be forgotten", f.agent))?;
        let was = Counted::of(agent).expect("only guests are forgotten");
        self.agent_bytes -= agent.bytes();
        self.guests.remove(f.agent, was);
        self.agents.remove(&f.agent);
        Ok(())
    }

    /// Changes an agent, a new one where there was none, and keeps the counts that follow from it.
    fn with_new_agent(&mut self, id: &AgentId, at: Wall, change: impl FnOnce(&mut Agent)) {
        let known = self.agents.get(id);
        let before = known.map_or(0, |agent| agent.bytes());
        if let Some(was) = known.and_then(|agent| Counted::of(agent)) {
            self.guests.remove(*id, was);
        }
        let agent = self.agents.entry(*id).or_insert_with(|| Arc::new(Agent::new(*id, at)));
        let agent = Arc::make_mut(agent);
        change(agent);
        self.agent_bytes = self.agent_bytes - before + agent.bytes();
        self.guests.add(agent);
    }

    fn configured(&mut self, f: &Configured, at: Wall) -> Result<(), String> {
        if !self.agents.contains_key(&f.agent) {
            return Err(format!("{} is not enrolled", f.agent));
        }
        // It may be a guest by now, which is counted twice.
        self.with_new_agent(&f.agent, at, |agent| {
            agent.name.clone_from(&f.name);
            agent.skills.clone_from(&f.skills);
            agent.metadata = f.metadata.clone();
            agent.capacity = f.capacity;
            agent.updated = at;
        });
        Ok(())
    }

    fn with_agent(&mut self, id: &AgentId, change: impl FnOnce(&mut Agent)) -> Result<(), String> {
        let agent = self.agents.get_mut(id).ok_or_else(|| format!("{id} is not enrolled"))?;
        change(Arc::make_mut(agent));
        Ok(())
    }

    /// Changes an agent that has handed something in; nothing where an older version has forgotten it since.
    fn with_worker(&mut self, id: &AgentId, change: impl FnOnce(&mut Agent)) {
        if let Some(agent) = self.agents.get_mut(id) {
            change(Arc::make_mut(agent));
        }
    }

    fn run_posted(&mut self, f: &RunPosted, entry: &Entry, index: u64) -> Result<(), String> {
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

    fn cancel_asked(&mut self, f: &CancelAsked) -> Result<(), String> {
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

    fn offered(&mut self, f: &Offered) -> Result<(), String> {
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
    fn open_step(&mut self, id: &StepId) -> Result<&mut Step, String> {
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

    fn granted(&mut self, f: &Granted, at: Wall, index: u64) -> Result<(), String> {
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

    fn released(&mut self, f: &LeaseEnded) -> Result<(), String> {
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
    fn unused(&mut self, f: &LeaseEnded) -> Result<(), String> {
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
    fn withdrawn(&mut self, f: &LeaseEnded) -> Result<(), String> {
        let step = self.open_step(&f.step)?;
        match step.state {
            StepState::Leased { agent, .. } if agent == f.agent && step.epoch == f.epoch => {
                self.withdrawn = Some(f.step);
                Ok(())
            }
            _ => Err(format!("{} does not hold step {} under {}", f.agent, f.step, f.epoch)),
        }
    }

    fn lapsed(&mut self, f: &LeaseEnded, at: Wall) -> Result<(), String> {
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

    fn submitted(&mut self, f: &Submitted, entry: &Entry, index: u64) -> Result<(), String> {
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

    fn output(&mut self, f: &Output, index: u64) -> Result<(), String> {
        let step = self.open_step(&f.step)?;
        step.output = Some(f.output.clone());
        step.output_at = Some(index);
        let opening = Opening { salt: f.salt, output: f.output.digest(), artifacts: f.artifacts.clone() };
        step.handing = Some((f.epoch, opening));
        Ok(())
    }

    fn drawn(&mut self, f: &Drawn, index: u64) -> Result<(), String> {
        let step = self.open_step(&f.step)?;
        let open = matches!(step.state, StepState::Submitted { agent, .. } if agent == f.agent);
        let fresh = step.handed.last().is_some_and(|h| h.epoch == f.epoch && h.index + 1 == index);
        if !open || !fresh {
            return Err(format!("no submission of step {} stands right before its draw", f.step));
        }
        (step.undrawn, step.redo) = (None, Some(Redo::new(f.lot, false)));
        Ok(())
    }

    fn lot(&mut self, f: &Lot) -> Result<(), String> {
        let step = self.open_step(&f.step)?;
        let open = matches!(step.state, StepState::Submitted { agent, .. } if agent == f.agent);
        let is_of = |handed: &Handed| (handed.epoch, handed.index) == (f.epoch, f.submitted);
        let Some(digest) = step.undrawn.filter(|_| open && step.handed.last().is_some_and(is_of)) else {
            return Err(format!("no submission of step {} waits for its lot", f.step));
        };
        let follows = redo::lot::drawn_by(&digest, &f.witnesses).is_none_or(|lot| lot == f.lot);
        if !follows || redo::draws(&f.lot, f.rate) != f.drawn {
            return Err(format!("the lot of step {} is not what its witnesses drew", f.step));
        }
        step.undrawn = None;
        step.redo = f.drawn.then(|| Redo::new(f.lot, !f.is_witnessed()));
        Ok(())
    }

    /// The redo of the submission that a run was of, while it is open.
    fn open_redo(&mut self, f: &Redone) -> Result<(&mut Option<Redo>, Redo), String> {
        let step = self.open_step(&f.step)?;
        let open = matches!(step.state, StepState::Submitted { agent, .. } if agent == f.agent);
        let redo = step.redo.clone().filter(|redo| open && step.epoch == f.epoch && !redo.is_over);
        let redo =
            redo.ok_or_else(|| format!("step {} has no drawn submission of epoch {}", f.step, f.epoch))?;
        Ok((&mut step.redo, redo))
    }

    /// A run that ends the redo, but for a first one with another result.
    fn redone(&mut self, f: &Redone) -> Result<(), String> {
        let (place, mut redo) = self.open_redo(f)?;
        *place = match f.came {
            Came::Same => None,
            Came::Other(result) if redo.is_agreed(&result) => None,
            Came::Other(result) if redo.doubts.is_empty() => {
                redo.doubts.push((f.by.ok_or("nobody came to another result")?, result));
                Some(redo)
            }
            Came::Other(_) | Came::Inconclusive => Some(Redo { is_over: true, ..redo }),
        };
        Ok(())
    }

    /// A run that leaves a doubt open.
    fn unsettled(&mut self, f: &Redone) -> Result<(), String> {
        let (place, mut redo) = self.open_redo(f)?;
        if redo.doubts.is_empty() {
            return Err(format!("nobody doubts the result of step {}", f.step));
        }
        match f.came {
            Came::Other(result) if redo.doubts.len() < redo::DOUBTS_MAX => {
                redo.doubts.push((f.by.ok_or("nobody came to another result")?, result));
            }
            Came::Inconclusive if redo.unsaid < redo::UNSAID_MAX => redo.unsaid += 1,
            _ => return Err(format!("that run settled step {}", f.step)),
        }
        *place = Some(redo);
        Ok(())
    }

    fn findings(&mut self, f: &Findings, index: u64) -> Result<(), String> {
        let step = self.open_step(&f.step)?;
        let handed = step.handed.last_mut().filter(|h| h.epoch == f.epoch);
        let handed =
            handed.ok_or_else(|| format!("step {} has no submission of epoch {}", f.step, f.epoch))?;
        handed.findings = Some((index, f.findings.clone()));
        Ok(())
    }

    fn verdict(&mut self, f: &Verdict, at: Wall, index: u64) -> Result<(), String> {
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
                    Judgement::Rejected { check } if check == redo::CHECK => agent.unrefuted = 0,
                    _ => {}
                }
                learn(&mut agent.standing, at, outcome, quality);
            });
        }
        self.work_ends(&f.agent);
        Ok(())
    }

    fn refute(&mut self, f: &Refuted) -> Result<(), String> {
        if let Some((_, step)) = self.step(&f.step) {
            let is_of = |h: &Handed| (h.epoch, h.index) == (f.epoch, f.submitted);
            let stands = step.state == StepState::Accepted { agent: f.agent }
                && step.handed.last().is_some_and(is_of)
                && f.recalled <= step.paid;
            if !stands {
                return Err(format!("step {} has no such accepted result", f.step));
            }
        }
        if !self.refuted.insert((f.step, f.epoch)) {
            return Err(format!("the result of step {} was refuted before", f.step));
        }
        if f.recalled > Credits::ZERO {
            self.recalling = Some((f.step, f.epoch, f.agent, f.recalled));
        }
        let outcome = if f.late { reputation::Outcome::Late } else { reputation::Outcome::OnTime };
        let quality = f.quality.and_then(Quality::new);
        let evidence = Evidence { at: f.judged, fact: reputation::Fact::Receipt { outcome, quality } };
        self.with_worker(&f.agent, |agent| {
            agent.refuted += 1;
            agent.unrefuted = 0;
            agent.earned_units = agent.earned_units.saturating_sub(f.recalled.0);
            agent.standing.remove(&evidence);
        });
        Ok(())
    }

    fn recall(&mut self, f: &Recalled) -> Result<(), String> {
        let due = self.recalling.take().filter(|(step, epoch, ..)| (*step, *epoch) == (f.step, f.epoch));
        let Some((.., agent, amount)) = due else {
            return Err(format!("nothing goes back for step {}", f.step));
        };
        let [from, to] = f.legs.as_slice() else { return Err("not two legs".into()) };
        let is_posters = matches!(to.account, Account::Operator | Account::Agent(_));
        let units = i64::try_from(amount.0).map_err(|_| "more than a ledger holds")?;
        if from != (&Leg { account: Account::Agent(agent), units: -units })
            || !is_posters
            || to.units != units
        {
            return Err(format!("what goes back for step {} is not what was said", f.step));
        }
        let transfer = Transfer { cause: Cause::Refund, step: f.step, legs: f.legs.clone() };
        self.ledger.enter(&transfer, to.account).map_err(|error| error.to_string())
    }

    fn step_ended(&mut self, f: &StepEnded, at: Wall) -> Result<(), String> {
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

    fn transfer(&mut self, f: &Transfer) -> Result<(), String> {
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

/// A run with its end filled in where it is over.
fn settled(run: &Arc<Run>) -> Arc<Run> {
    let mut run = run.clone();
    if run.ended.is_none() && run.is_over() {
        Arc::make_mut(&mut run).settle_end();
    }
    run
}

/// The step that a fact is about, where it changes what that step holds.
fn step_of(fact: &Fact) -> Option<StepId> {
    match fact {
        Fact::Granted(f) => Some(f.step),
        Fact::Unused(f) | Fact::Released(f) | Fact::Lapsed(f) => Some(f.step),
        Fact::Submitted(f) => Some(f.step),
        Fact::Output(f) => Some(f.step),
        Fact::Verdict(f) => Some(f.step),
        Fact::StepEnded(f) => Some(f.step),
        _ => None,
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

fn with_genesis<T>(
    genesis: &Option<Genesis>,
    fold: impl FnOnce(&Genesis) -> Result<T, String>,
) -> Result<T, String> {
    fold(genesis.as_ref().ok_or("there is no federation yet")?)
}
