//! A read-only view of the state for outsiders. It shows what the fold shows; the caller sees to it that only synced
//! positions are looked at.

use crate::away::Engagements;
use crate::fact::{Account, Genesis};
use crate::federation::Federation;
use crate::member::{Agent, Identity};
use crate::nodes::{LiveInvitation, Node};
use crate::options::{ABROAD_TERMS, Options};
use crate::run::{Run, Step, StepState};
use crate::state::Totals;
use crate::timer::Timer;
use artel_protocol::id::{Epoch, RunId, StepId};
use artel_protocol::key::{AgentId, NodeId};
use artel_protocol::time::{Mono, Wall};
use artel_reputation::Assessment;
use std::collections::BTreeMap;
use std::ops::Bound;

/// What can be read.
#[derive(Clone, Copy)]
pub struct View<'a>(&'a Federation);

/// A live lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveLease {
    /// Its home, where that is another node.
    pub home: Option<NodeId>,
    /// The step.
    pub step: StepId,
    /// Its epoch.
    pub epoch: Epoch,
    /// Its term in milliseconds.
    pub lease_ms: u32,
    /// When it ends, by this node's monotonic clock.
    pub ends: Mono,
}

/// How much of everything there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Enrolled agents.
    pub agents: usize,
    /// Runs that are not over.
    pub runs_open: usize,
    /// Steps of those runs.
    pub steps_open: usize,
    /// Open offers.
    pub offers: usize,
    /// Live leases.
    pub leases: usize,
    /// Claims that wait for a task.
    pub waiting: usize,
    /// Bytes of artifacts on disk.
    pub artifact_bytes: u64,
    /// Since the first entry.
    pub totals: Totals,
    /// Starts of this node.
    pub boots: u64,
    /// Nodes that this one admitted and has not expelled.
    pub nodes: usize,
}

impl<'a> View<'a> {
    pub(crate) fn new(federation: &'a Federation) -> Self {
        View(federation)
    }

    /// This node in its federation.
    pub fn identity(&self) -> &'a Identity {
        &self.0.identity
    }

    /// The operator's numbers.
    pub fn options(&self) -> &'a Options {
        &self.0.options
    }

    /// The federation's genesis record.
    pub fn genesis(&self) -> Option<&'a Genesis> {
        self.0.state.genesis.as_ref()
    }

    /// How many journal entries are folded.
    pub fn size(&self) -> u64 {
        self.0.state.size
    }

    /// A run that is open or lately finished.
    pub fn run(&self, id: &RunId) -> Option<&'a Run> {
        self.0.state.run(id)
    }

    /// A step that is open or lately finished, with its run.
    pub fn step(&self, id: &StepId) -> Option<(&'a Run, &'a Step)> {
        self.0.state.step(id)
    }

    /// Open runs after a position, oldest first.
    pub fn runs(&self, after: Option<RunId>) -> impl Iterator<Item = &'a Run> + use<'a> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.0.state.runs.range((start, Bound::Unbounded)).map(|(_, run)| run.as_ref())
    }

    /// An agent.
    pub fn agent(&self, id: &AgentId) -> Option<&'a Agent> {
        self.0.state.agents.get(id).map(AsRef::as_ref)
    }

    /// Agents after a position, by key.
    pub fn agents(&self, after: Option<AgentId>) -> impl Iterator<Item = &'a Agent> + use<'a> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.0.state.agents.range((start, Bound::Unbounded)).map(|(_, agent)| agent.as_ref())
    }

    /// What an agent's record says at a moment.
    pub fn assessment(&self, agent: &Agent, at: Wall) -> Assessment {
        self.0.assess(agent, at)
    }

    /// The steps that an agent holds leases on.
    pub fn leases(&self, agent: &AgentId) -> Vec<StepId> {
        self.0.state.leases.get(agent).into_iter().flatten().copied().collect()
    }

    /// The live leases of an agent, of this home and then of others: when each ends where it is not renewed.
    pub fn leases_of(&self, agent: &AgentId) -> impl Iterator<Item = LiveLease> + use<'a> {
        let (state, timers) = (&self.0.state, &self.0.live.timers);
        let here = state.leases.get(agent).into_iter().flatten().filter_map(move |id| {
            let (_, step) = state.step(id)?;
            let StepState::Leased { lease_ms, .. } = step.state else { return None };
            let ends = timers.at(Timer::Lease(*id))?;
            Some(LiveLease { home: None, step: *id, epoch: step.epoch, lease_ms, ends })
        });
        let away = state.away.held_by(agent).filter_map(move |lease| {
            let lease_ms = state.away.get(lease)?.lease_ms;
            // This node waits for some terms more before it lets go of one that nobody renews.
            let over = timers.at(Timer::Abroad(*lease))?.0;
            let ends = Mono(over.saturating_sub((ABROAD_TERMS - 1) * u64::from(lease_ms)));
            Some(LiveLease { home: Some(lease.home), step: lease.step, epoch: lease.epoch, lease_ms, ends })
        });
        here.chain(away)
    }

    /// What this node's agents have under way at other homes.
    pub fn away(&self) -> &'a Engagements {
        &self.0.state.away
    }

    /// How many more leases an agent may take.
    pub fn free_leases(&self, agent: &Agent) -> u32 {
        self.0.free_leases(agent)
    }

    /// How many more bytes of artifacts that agents of other nodes leave are kept.
    pub fn artifact_room_for_guests(&self) -> u64 {
        self.0.artifact_room(true)
    }

    /// A node that this one admitted or expelled.
    pub fn node(&self, id: &NodeId) -> Option<&'a Node> {
        self.0.state.nodes.node(id).map(AsRef::as_ref)
    }

    /// Nodes that this one admitted or expelled after a position, by key.
    pub fn nodes(&self, after: Option<NodeId>) -> impl Iterator<Item = &'a Node> + use<'a> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.0.state.nodes.known().range((start, Bound::Unbounded)).map(|(_, node)| node.as_ref())
    }

    /// The invitations that were not taken back, by digest.
    pub fn invitations(&self) -> impl Iterator<Item = &'a LiveInvitation> + use<'a> {
        self.0.state.nodes.invitations()
    }

    /// How often nodes that asked to be admitted were refused since the start, by code.
    pub fn refused_nodes(&self) -> &'a BTreeMap<&'static str, u64> {
        &self.0.live.refused_nodes
    }

    /// All accounts that are not at zero.
    pub fn accounts(&self) -> impl Iterator<Item = (Account, i64)> + use<'a> {
        self.0.state.ledger.accounts()
    }

    /// An account's balance in units.
    pub fn balance(&self, account: Account) -> i64 {
        self.0.state.ledger.balance(account)
    }

    /// How much of everything there is.
    pub fn counts(&self) -> Counts {
        let state = &self.0.state;
        Counts {
            agents: state.agents.len(),
            runs_open: state.runs.len(),
            steps_open: state.open.steps,
            offers: state.offers.len(),
            leases: state.leases.values().map(|steps| steps.len()).sum(),
            waiting: self.0.live.waiters.len(),
            artifact_bytes: state.artifact_bytes,
            totals: state.totals,
            boots: state.boots,
            nodes: state.nodes.members(),
        }
    }
}
