//! A federation's mind: the durable state, what is never journalled beside it, and the way from an input to its effects.

use crate::closed::ClosedRun;
use crate::effect::{Code, Effect, Refusal};
use crate::fact::{Abroad, Entry, Fact, Genesis, Joined, Poster, Refused, Started};
use crate::input::{Input, Now, Principal, ReplyTo, Request};
use crate::market::{HeldLease, Waiters};
use crate::member::{Challenges, Identity};
use crate::options::{Options, REFUSALS_MAX, TICK_ENTRIES_MAX};
use crate::run::{Run, Step, StepState};
use crate::snapshot::Snapshot;
use crate::state::{FoldError, State};
use crate::timer::{Timer, Timers};
use crate::turn::Turn;
use crate::view::View;
use crate::visit::guests::Pace;
use crate::window::{About, Windows};
use artel_protocol::amount::Credits;
use artel_protocol::id::{Digest, Epoch, StepId};
use artel_protocol::time::{Mono, Wall};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// One home's rules at work. Feed it one input, do all its effects in order, then the next.
pub struct Federation {
    pub(crate) options: Options,
    pub(crate) identity: Identity,
    pub(crate) state: State,
    pub(crate) live: Live,
}

/// What decision 1 keeps out of the journal: it is gone after a restart and nothing is lost by it.
#[derive(Default)]
pub(crate) struct Live {
    pub timers: Timers,
    pub challenges: Challenges,
    pub waiters: Waiters,
    pub windows: Windows,
    /// Which agents were about lately.
    pub about: About,
    /// Whether neighbours are connected from where agents may come.
    pub has_neighbours: bool,
    pub granted: BTreeMap<StepId, HeldLease>,
    /// The submissions whose witnesses are asked; no more than are open.
    pub lots: BTreeSet<(StepId, Epoch)>,
    /// What homes were heard to refute before their verdicts were: their index of it, and what goes back. One of each result that
    /// waits for its verdict at most, so no more than [`ENGAGEMENTS_MAX`](crate::options::ENGAGEMENTS_MAX).
    pub refuted_early: BTreeMap<Abroad, (u64, Credits)>,
    refusals: BTreeMap<(Poster, &'static str), u32>,
    /// How often nodes that asked for something were refused since the start, by code. They are strangers: no journal.
    pub refused_nodes: BTreeMap<&'static str, u64>,
    /// How fast other nodes have agents written down here.
    pub pace: Pace,
    /// The wall clock less the monotonic one, in milliseconds, when the deadlines were armed.
    clocks_apart: Option<i128>,
}

/// What a journal begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beginning {
    /// This node is a founder of the federation.
    Found(Genesis),
    /// This node joins a federation that others founded.
    Join(Joined),
}

impl From<Genesis> for Beginning {
    fn from(genesis: Genesis) -> Self {
        Beginning::Found(genesis)
    }
}

/// What an open step waits for when its home starts.
enum Wake {
    Deadline(Wall),
    Lease(u32),
    Redo(Effect),
    Verdict,
}

/// How far the clocks may move against each other before deadlines are armed anew, in milliseconds. Smaller, and a clock
/// that is slewed makes that walk again and again; larger, and deadlines come that much late.
const CLOCK_STEP_MS: u128 = 1_000;

/// The minute over which refusals are added up, in milliseconds.
const REFUSALS_MS: u64 = 60_000;

impl Federation {
    /// A mind without a past.
    pub fn new(identity: Identity, options: Options) -> Self {
        Federation { options, identity, state: State::default(), live: Live::default() }
    }

    /// A mind that continues from a snapshot's bytes.
    ///
    /// # Errors
    /// [`crate::fact::Error`] when the bytes are not a snapshot of ours.
    pub fn from_snapshot(
        identity: Identity,
        options: Options,
        bytes: &[u8],
    ) -> Result<Self, crate::fact::Error> {
        Ok(Federation { options, identity, state: State::decode(bytes)?, live: Live::default() })
    }

    /// The durable state at the present size, to be written down.
    pub fn snapshot(&self) -> Snapshot {
        self.state.snapshot()
    }

    /// Folds one frame of the journal at start; runs that ended by it go to `closed`.
    ///
    /// # Errors
    /// [`FoldError`] when an entry cannot follow what stands before it.
    pub fn fold(&mut self, entries: &[Entry], closed: &mut Vec<Arc<ClosedRun>>) -> Result<(), FoldError> {
        let is_first = self.state.size == 0;
        self.state.fold(entries, closed)?;
        if is_first { self.check_beginning() } else { Ok(()) }
    }

    /// Whether the journal's first entry is one that this node in this federation can have written.
    fn check_beginning(&self) -> Result<(), FoldError> {
        let Some(genesis) = &self.state.genesis else { return Ok(()) };
        let refused = |reason: String| FoldError { index: 0, kind: "Genesis", reason };
        if genesis.id() != self.identity.federation {
            return Err(refused(format!("it is of federation {}, not of this one", genesis.id())));
        }
        match (self.state.founded, genesis.is_founder(&self.identity.node)) {
            (true, false) => Err(refused(format!("{} did not found it", self.identity.node))),
            (false, true) => Err(refused(format!("{} founded it and does not join", self.identity.node))),
            _ => Ok(()),
        }
    }

    /// Begins to take inputs: founds or joins the federation on an empty journal, writes down the start, and resumes.
    ///
    /// # Panics
    /// When an empty journal is started without a beginning, or with one that is not this node's.
    pub fn start(
        &mut self,
        beginning: Option<impl Into<Beginning>>,
        (version, configuration): (String, Digest),
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let mut turn = Turn::new(now, None);
        if self.state.genesis.is_none() {
            let beginning = beginning.expect("an empty journal starts with a genesis").into();
            let fact = match beginning {
                Beginning::Found(genesis) => Fact::Genesis(genesis),
                Beginning::Join(joined) => Fact::Joined(joined),
            };
            turn.record(&mut self.state, fact);
            self.check_beginning().expect("a node begins its own journal");
        }
        let boot = self.state.boots + 1;
        turn.record(&mut self.state, Fact::Started(Started { boot, version, configuration }));
        turn.finish(&mut self.state, effects);
        self.resume(now, effects);
    }

    /// Takes up what is under way after a fold: every live lease gets a full term (decision 20), deadlines are armed,
    /// lots, redos and checks are asked for again.
    pub fn resume(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let mut turn = Turn::new(now, None);
        for (id, wake) in self.open_ends() {
            match wake {
                Wake::Deadline(deadline) => self.arm_deadline(id, deadline, &now),
                Wake::Lease(lease_ms) => self.arm_lease(id, lease_ms, None, &now),
                Wake::Redo(effect) => turn.effect(effect),
                Wake::Verdict if self.ask_witnesses(&mut turn, id, true) => {}
                Wake::Verdict => self.examine(&mut turn, id),
            }
        }
        let abroad: Vec<_> = self.state.away.all().map(|engagement| engagement.lease).collect();
        abroad.into_iter().for_each(|lease| self.watch_again(lease, &now));
        turn.finish(&mut self.state, effects);
    }

    /// Deadlines are moments of the wall clock, timers of the monotonic one: where the two have moved against each other
    /// (a clock that was set, a machine that slept), the deadlines are armed anew.
    fn follow_wall_clock(&mut self, now: &Now) {
        let apart = i128::from(now.wall.0) - i128::from(now.mono.0);
        let before = self.live.clocks_apart.replace(apart);
        if before.is_none_or(|before| before.abs_diff(apart) <= CLOCK_STEP_MS) {
            self.live.clocks_apart = before.or(Some(apart));
            return;
        }
        for (id, wake) in self.open_ends() {
            if let Wake::Deadline(deadline) = wake {
                self.arm_deadline(id, deadline, now);
            }
        }
    }

    /// What each open step waits for.
    fn open_ends(&self) -> Vec<(StepId, Wake)> {
        let wake = |id: StepId, step: &Step| match &step.state {
            StepState::Waiting | StepState::Offered => Some((id, Wake::Deadline(step.spec.task.deadline))),
            StepState::Leased { lease_ms, .. } => Some((id, Wake::Lease(*lease_ms))),
            StepState::Submitted { .. } => Some((id, self.to_redo(id).map_or(Wake::Verdict, Wake::Redo))),
            StepState::Accepted { .. } | StepState::Ended(_) => None,
        };
        let steps = |run: &Arc<Run>| -> Vec<_> {
            run.steps.iter().enumerate().filter_map(|(i, step)| wake(run.step_id(i), step)).collect()
        };
        self.state.runs.values().flat_map(steps).collect()
    }

    /// Takes one input and says what is to be done, in order.
    pub fn handle(&mut self, input: Input, now: Now, effects: &mut Vec<Effect>) {
        let correlation = match &input {
            Input::Request { correlation, .. } => correlation.clone(),
            _ => None,
        };
        self.serve_timers(now, effects);
        let mut turn = Turn::new(now, correlation);
        match input {
            Input::Request { to, principal, request, .. } => self.request(&mut turn, to, principal, request),
            Input::Abandoned(to) => self.stop_waiting(to),
            Input::EndWait(to) => self.wait_ends(&mut turn, to),
            Input::Checked { step, epoch, outcome } => self.checked(&mut turn, step, epoch, outcome),
            Input::Witnessed { step, epoch, witnesses } => {
                self.witnessed(&mut turn, (step, epoch), witnesses)
            }
            Input::Redone { step, epoch, runs, ran } => self.redone(&mut turn, (step, epoch), runs, ran),
            Input::RefusedAtEdge { who, code } => self.count_refusal(who, code, &now),
            Input::FraudProven(fraud) => drop(turn.record(&mut self.state, Fact::FraudProven(fraud))),
            Input::Neighbours(some) => self.live.has_neighbours = some,
            Input::Closing => self.end_all_waits(&mut turn),
            Input::Tick => {}
        }
        turn.finish(&mut self.state, effects);
    }

    /// Does what is due, before anything that comes in at the same moment. It makes a frame of its own, of bounded size;
    /// what is left is due at once again.
    fn serve_timers(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.follow_wall_clock(&now);
        let mut turn = Turn::new(now, None);
        while turn.entries() < TICK_ENTRIES_MAX {
            let Some(timer) = self.live.timers.pop_due(now.mono) else { break };
            self.due(&mut turn, timer);
        }
        turn.finish(&mut self.state, effects);
    }

    /// When the next timer goes off; a `Tick` is wanted then.
    pub fn next_timer(&self) -> Option<Mono> {
        self.live.timers.next()
    }

    /// How many journal entries the state is the fold of.
    pub fn size(&self) -> u64 {
        self.state.size
    }

    /// The state, for reading.
    pub fn view(&self) -> View<'_> {
        View::new(self)
    }

    fn request(&mut self, turn: &mut Turn, to: ReplyTo, principal: Principal, request: Request) {
        let answer = match self.admit(&principal, &request) {
            Ok(()) => self.serve(turn, to, principal, request),
            Err(refusal) => Err(refusal),
        };
        match answer {
            Ok(Some(reply)) => turn.reply(to, Ok(reply)),
            Ok(None) => {}
            Err(refusal) => {
                if let Some(who) = principal.poster().filter(|_| !refusal.code.is_lost_race()) {
                    self.count_refusal(who, refusal.code.as_str(), &turn.now);
                }
                if let Principal::Node(_) = principal {
                    *self.live.refused_nodes.entry(refusal.code.as_str()).or_default() += 1;
                }
                turn.reply(to, Err(refusal));
            }
        }
    }

    /// Whether the principal's credential still stands.
    fn admit(&self, principal: &Principal, request: &Request) -> Result<(), Refusal> {
        let open_to_all = matches!(request, Request::Enroll { .. } | Request::Respond { .. });
        match principal {
            Principal::Stranger if open_to_all => Ok(()),
            Principal::Stranger => {
                Err(Refusal::new(Code::Unauthenticated, "send a bearer token: enroll to get one"))
            }
            Principal::Operator => Ok(()),
            Principal::Node(peer) => match request {
                Request::Admit { node, .. } if node == peer => Ok(()),
                Request::Visit(_) | Request::Bring { .. } | Request::KeepForResult { .. } => Ok(()),
                Request::Hear { lease, .. } if lease.home == *peer => Ok(()),
                Request::Redo(redoing) if redoing.lease.home == *peer => Ok(()),
                _ => Err(Refusal::new(
                    Code::Forbidden,
                    "a node asks to be admitted itself, brings its agents' claims and results, says what became of ours, or has steps of its own run again; nothing else",
                )),
            },
            Principal::Agent { id, serial } => match self.state.agents.get(id) {
                None => {
                    Err(Refusal::new(Code::TokenRevoked, "this agent is not enrolled here; enroll again"))
                }
                Some(agent) if agent.revoked == Some(crate::fact::Revoker::Operator) => Err(Refusal::new(
                    Code::AgentRevoked,
                    "the operator has let this agent go; ask the operator",
                )),
                Some(agent) if agent.serial != *serial || agent.revoked.is_some() => Err(Refusal::new(
                    Code::TokenRevoked,
                    "this token was revoked or replaced; use the newest or enroll again",
                )),
                Some(_) => Ok(()),
            },
        }
    }

    fn due(&mut self, turn: &mut Turn, timer: Timer) {
        match timer {
            Timer::Lease(step) => self.lease_ends(turn, step),
            Timer::Deadline(step) => self.deadline_passes(turn, step),
            Timer::Window(step) => self.window_ends(turn, step),
            Timer::Wait(to) => self.wait_ends(turn, to),
            Timer::Challenge(id) => {
                self.live.challenges.spend(&id);
            }
            Timer::Refusals => self.write_refusals(turn),
            Timer::Abroad(lease) => self.abroad_is_due(turn, lease),
        }
    }

    fn count_refusal(&mut self, who: Poster, code: &'static str, now: &Now) {
        if self.live.refusals.len() >= REFUSALS_MAX && !self.live.refusals.contains_key(&(who, code)) {
            return;
        }
        if self.live.refusals.is_empty() {
            self.live.timers.set(Timer::Refusals, now.mono.plus_ms(REFUSALS_MS));
        }
        *self.live.refusals.entry((who, code)).or_default() += 1;
    }

    fn write_refusals(&mut self, turn: &mut Turn) {
        for ((who, code), count) in std::mem::take(&mut self.live.refusals) {
            turn.record(&mut self.state, Fact::Refused(Refused { who, code: code.into(), count }));
        }
    }
}

/// The wish to have a step's last submission checked.
pub(crate) fn check(id: StepId, step: &Step) -> Effect {
    let schema = step.spec.task.output_schema.clone().expect("only steps with a schema wait for a check");
    let output = step.output.clone().expect("a submitted step has its output");
    Effect::Check { step: id, epoch: step.epoch, schema, output }
}
