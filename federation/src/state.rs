//! The durable state: the fold over the journal's entries, and nothing else. Everything here is rebuilt by `fold`; a
//! snapshot is only a shortcut to it. What becomes of a step is in `state/step.rs`, of results that are run again in `state/redo.rs`.

mod redo;
mod step;

use crate::away::Engagements;
use crate::closed::ClosedRun;
use crate::fact::*;
use crate::ledger::Ledger;
use crate::member::Agent;
use crate::nodes::Nodes;
use crate::offers::Offers;
use crate::options::{RECENT_RUNS, RECENT_RUNS_BYTES, RECENT_STEPS};
use crate::post_keys::PostKeys;
use crate::run::{Run, Step};
use crate::visit::guests::{Counted, Guests};
use artel_protocol::amount::Credits;
use artel_protocol::id::{Epoch, FederationId, RunId, StepId};
use artel_protocol::key::AgentId;
use artel_protocol::time::Wall;
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
    pub(crate) recent: BTreeMap<RunId, Arc<ClosedRun>>,
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
    pub fn fold(&mut self, entries: &[Entry], closed: &mut Vec<Arc<ClosedRun>>) -> Result<(), FoldError> {
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
    pub(crate) fn close_finished(&mut self, closed: &mut Vec<Arc<ClosedRun>>) {
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
            let run = Arc::new(ClosedRun::new(run));
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

    fn remember(&mut self, run: Arc<ClosedRun>) {
        self.recent_order.push_back(run.id());
        self.recent_steps += run.steps();
        self.recent_bytes += run.bytes();
        self.recent.insert(run.id(), run);
        while self.recent_order.len() > RECENT_RUNS
            || self.recent_steps > RECENT_STEPS
            || self.recent_bytes > RECENT_RUNS_BYTES
        {
            let oldest = self.recent_order.pop_front().expect("no run at all is below the limits");
            let run = self.recent.remove(&oldest).expect("both tell of the same runs");
            self.recent_steps -= run.steps();
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
        self.runs.get(id).or_else(|| self.recent.get(id)?.run())
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

fn with_genesis<T>(
    genesis: &Option<Genesis>,
    fold: impl FnOnce(&Genesis) -> Result<T, String>,
) -> Result<T, String> {
    fold(genesis.as_ref().ok_or("there is no federation yet")?)
}
