//! A node's part in the market: as a home for other nodes' agents, as the node of agents that work elsewhere, and as one that
//! runs steps again. The rules are the shipped ones; this is their shell, which does what `node/src/neighbours` and
//! `node/src/service` do, one thing at a time. What waits there is a call here, that is answered, or not in time.

mod away;
mod blob;
mod board;
mod bringing;
mod delegating;
mod evidence;
mod home;
mod late;
mod lots;
mod outbox;
mod redo;
mod rerun;
mod summaries;
mod work;

use super::{Context, Does, Live, Member, Out, Stop, wall};
use crate::mesh::context::held;
use crate::mesh::mail::{Mail, MarketWake, Wake};
use crate::mesh::market::posting;
use crate::mesh::market::program::{self, Blobs};
use crate::mesh::market::shape::MarketShape;
use crate::mesh::market::worker::{Temper, Worker};
use crate::mesh::packet::Slot;
use crate::mesh::sabotage::MeshSabotage;
use artel_federation::effect::{Lease, Refusal};
use artel_federation::fact::{Abroad, Outcome};
use artel_federation::homes::Homes;
use artel_federation::input::ArtifactPut;
use artel_federation::interest::Interest;
use artel_federation::visit::message::Visit;
use artel_federation::{Effect, Entry, Input, Json, Principal, Reply, ReplyTo, Request};
use artel_protocol::id::{Digest, Epoch, StepId};
use artel_protocol::key::{AgentId, NodeId, Signature};
use artel_protocol::log::Origin;
use artel_protocol::record::Records;
use artel_protocol::time::Wall;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

pub use artel_federation::evidence::Checks;
pub use evidence::Evidence;

/// The most bytes of a direct frame here: few, so that some leases are told over a stream.
pub(super) const DIRECT_BYTES_MAX: usize = 2 << 10;

/// How long a node takes to answer a request (`ANSWER_WAIT`), in milliseconds.
const ANSWER_MS: u64 = 10_000;

/// How often what waits in the outbox is brought again (`EACH`), in milliseconds.
const OUTBOX_MS: u64 = 5_000;

/// How often a summary is said, in milliseconds.
const SUMMARY_MS: u64 = 10_000;

/// The shortest and the longest pause of an agent, in milliseconds.
const AGENT_MS: (u64, u64) = (200, 1_500);

type Answer = Result<Reply, Refusal>;

/// An agent's own signature over an act, and the moment in it.
type Own = Option<(Wall, Signature)>;

/// A result that is brought: by which node, of which step, under which lease.
type Bringing = (NodeId, StepId, Epoch);

/// What a node keeps over its crashes, and who lives there.
pub(super) struct Seat {
    /// Its agents.
    pub workers: Vec<Worker>,
    /// What it stores.
    blobs: Blobs,
    /// The file of evidence: the book, and up to where its own journal was read.
    saved: Option<Vec<u8>>,
    calls: u64,
    runs_left: u64,
    posted: u64,
    lies_in_redo: bool,
    forges: bool,
    is_curious: bool,
    /// What agents had delegated here before they ended it, where somebody has a copy of it.
    copied: Option<Vec<delegating::Copied>>,
    /// Which offers its operator wants to hear of by gossip.
    pub interest: Interest,
    /// Whether all faults have ended.
    is_calm: bool,
}

/// A request to another node that is not answered yet.
struct Call {
    to: NodeId,
    then: Then,
}

/// What a node has in memory of the market.
pub(super) struct Trade {
    calls: BTreeMap<u64, Call>,
    /// Visits whose answer comes later.
    waiting: BTreeMap<ReplyTo, home::Waiting>,
    /// What winners are told that does not fit a direct frame.
    large: VecDeque<(Bringing, Vec<u8>)>,
    board: board::Board,
    homes: Homes,
    /// Results of this node's agents that no verdict was heard of.
    open: BTreeSet<Abroad>,
    /// Those that were judged lately: home may refute one.
    judged: BTreeSet<Abroad>,
    /// Those that are on their way.
    under_way: BTreeSet<Abroad>,
    /// Up to where kept records were looked through for verdicts.
    looked: BTreeMap<Origin, u64>,
    bringing: BTreeMap<Bringing, bringing::Coming>,
    lent: BTreeMap<Bringing, Vec<Digest>>,
    lots: BTreeMap<(StepId, Epoch), lots::OpenLot>,
    redos: BTreeMap<(StepId, Epoch), redo::UnderWay>,
    reruns: BTreeMap<u64, rerun::Rerun>,
    errands: BTreeMap<usize, away::Errand>,
    checks: BTreeMap<(StepId, Epoch), Outcome>,
    evidence: Evidence,
    summaries: summaries::Summaries,
    tick_at: Option<u64>,
}

/// What follows when a call is answered.
enum Then {
    /// An agent's claim; which of its errands, which step, by whose hand.
    Claim { worker: usize, errand: u64, step: Option<StepId>, own: bool },
    /// The lease that a home named for want of room.
    LeaseBytes { worker: usize, errand: u64, of: (StepId, Epoch), own: bool },
    /// More time for a lease.
    Renew { worker: usize, lease: Abroad },
    /// A lease is given back by its holder.
    Release { worker: usize, lease: Abroad },
    /// A lease is given back that nobody here can take on.
    GiveBack,
    /// A result.
    Bring { lease: Abroad, agent: AgentId, result: Digest, worker: Option<usize> },
    /// A file that an agent's work needs.
    File { worker: usize, lease: Abroad, digest: Digest },
    /// An artifact of a result that is brought here.
    Artifact { of: Bringing, digest: Digest },
    /// A run of a step of this home's.
    Rerun { of: (StepId, Epoch), by: NodeId },
    /// Bytes for a run of another home's step.
    RerunFile { rerun: u64, digest: Digest },
    /// Somebody else's bytes.
    Snoop,
    /// An act by a copy of what was delegated here once: whoever has that does nothing with the answer.
    Copied,
}

impl Trade {
    fn new(evidence: Evidence) -> Trade {
        Trade {
            calls: BTreeMap::new(),
            waiting: BTreeMap::new(),
            large: VecDeque::new(),
            board: board::Board::default(),
            homes: Homes::default(),
            open: BTreeSet::new(),
            judged: BTreeSet::new(),
            under_way: BTreeSet::new(),
            looked: BTreeMap::new(),
            bringing: BTreeMap::new(),
            lent: BTreeMap::new(),
            lots: BTreeMap::new(),
            redos: BTreeMap::new(),
            reruns: BTreeMap::new(),
            errands: BTreeMap::new(),
            checks: BTreeMap::new(),
            evidence,
            summaries: summaries::Summaries::default(),
            tick_at: None,
        }
    }
}

impl Member {
    /// This node takes part in a market.
    pub fn enter_market(&mut self, shape: &MarketShape) {
        let slot = self.slot;
        let rng = &mut self.rng;
        let worker = |(n, temper): (usize, &Temper)| Worker::new(slot, n, *temper, rng);
        let workers = shape.workers[slot].iter().enumerate().map(worker).collect();
        // Whoever posts has the modules.
        let modules =
            (0..posting::MODULES).map(program::module).map(|bytes| (Digest::of(&bytes), bytes.into()));
        let runs_left = shape.runs[slot];
        self.seat = Some(Box::new(Seat {
            workers,
            blobs: if runs_left > 0 { modules.collect() } else { Blobs::new() },
            saved: None,
            calls: 0,
            runs_left,
            posted: 0,
            lies_in_redo: shape.redo_liar == Some(slot),
            forges: shape.forger == Some(slot),
            is_curious: shape.snoop == Some(slot),
            interest: shape.interests[slot].clone(),
            copied: (shape.copied == Some(slot)).then(Vec::new),
            is_calm: false,
        }));
    }

    /// All faults have ended: newcomers without fault come here, and nobody here means ill any more.
    pub fn market_calms(&mut self, newcomers: usize) {
        let (slot, rng) = (self.slot, &mut self.rng);
        let Some(seat) = &mut self.seat else { return };
        seat.is_calm = true;
        seat.runs_left = seat.runs_left.min(1);
        for _ in 0..newcomers {
            let n = seat.workers.len();
            seat.workers.push(Worker::new(slot, n, Temper::CALM, rng));
            if self.live.is_some() {
                self.out.push(Out::Later(20, Wake::Market(MarketWake::Agent(n))));
            }
        }
    }

    fn seat(&mut self) -> Does<&mut Seat> {
        self.seat.as_deref_mut().ok_or(Stop::Down)
    }

    fn trade(&mut self) -> Does<&mut Trade> {
        self.live.as_mut().and_then(|live| live.trade.as_deref_mut()).ok_or(Stop::Down)
    }

    /// The market's part of a start, before the rules begin.
    pub(super) fn open_market(&mut self) -> Does {
        if self.seat.is_none() {
            return Ok(());
        }
        let evidence = self.restore_evidence();
        self.live()?.trade = Some(Box::new(Trade::new(evidence)));
        self.read_board_again()?;
        let away = self.live()?.federation.view().away();
        let open = away.all().filter(|one| one.result.is_some()).map(|one| one.lease).collect();
        let judged = away.concluded().map(|one| one.lease).collect();
        let trade = self.trade()?;
        (trade.open, trade.judged) = (open, judged);
        Ok(())
    }

    /// The market's part of a start, when the rules have begun.
    pub(super) fn begin_market(&mut self, context: &mut Context) -> Does {
        let Some(seat) = &self.seat else { return Ok(()) };
        let agents = seat.workers.len();
        for n in 0..agents {
            let ms = self.rng.between(AGENT_MS.0, AGENT_MS.1);
            self.later(ms, MarketWake::Agent(n));
        }
        let ms = self.rng.between(500, OUTBOX_MS);
        self.later(ms, MarketWake::Outbox);
        let ms = self.rng.between(500, SUMMARY_MS);
        self.later(ms, MarketWake::Summary);
        self.copy_waits();
        self.follow_more(context)
    }

    fn later(&mut self, ms: u64, wake: MarketWake) {
        self.out.push(Out::Later(ms, Wake::Market(wake)));
    }

    /// Something of the market that the node wanted to be woken for.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn wake_market(&mut self, context: &mut Context, wake: MarketWake) -> Does {
        match wake {
            MarketWake::Tick => {
                self.trade()?.tick_at = None;
                self.input(context, Input::Tick)
            }
            MarketWake::Agent(n) => {
                let ms = self.rng.between(AGENT_MS.0, AGENT_MS.1);
                self.later(ms, MarketWake::Agent(n));
                self.agent_wakes(context, n)
            }
            MarketWake::Errand(n, errand) => self.errand_goes_on(context, n, errand),
            MarketWake::Late(call) => self.is_late(context, call),
            MarketWake::Outbox => {
                self.later(OUTBOX_MS, MarketWake::Outbox);
                self.look_at_kept(context)?;
                self.looks_back(context)?;
                self.bring_some(context)
            }
            MarketWake::Summary => {
                self.later(SUMMARY_MS, MarketWake::Summary);
                self.catch_up(context)?;
                self.say_summary(context)
            }
            MarketWake::Checked(step, epoch) => {
                let Some(outcome) = self.trade()?.checks.remove(&(step, epoch)) else { return Ok(()) };
                self.input(context, Input::Checked { step, epoch, outcome })
            }
            MarketWake::Lot(step, epoch) => self.lot_goes_on(context, (step, epoch)),
            MarketWake::Redo(step, epoch) => self.redo_goes_on(context, (step, epoch)),
            MarketWake::Ran(rerun) => self.rerun_is_done(context, rerun),
            MarketWake::Copy => {
                self.copy_waits();
                self.copy_acts(context)
            }
        }
    }

    /// Something that nobody waits for is put to the rules.
    fn input(&mut self, context: &mut Context, input: Input) -> Does {
        let now = self.now(context.at);
        let Some(live) = &mut self.live else { return Err(Stop::Down) };
        let mut effects = Vec::new();
        live.federation.handle(input, now, &mut effects);
        self.carry_out(context, None, effects).map(drop)
    }

    /// Somebody asks the rules; nothing where the answer comes later.
    fn request(
        &mut self,
        context: &mut Context,
        principal: Principal,
        request: Request,
    ) -> Does<(ReplyTo, Option<Answer>)> {
        let answer = self.put(context, principal, request)?;
        Ok((ReplyTo(self.replies), answer))
    }

    /// What the rules want done when their entries are synced.
    pub(super) fn carry_out_for_market(&mut self, context: &mut Context, effect: Effect) -> Does {
        let at = context.at;
        match effect {
            Effect::Reply { to, answer } => self.answered_later(context, to, answer),
            Effect::Check { step, epoch, output, .. } => self.check(step, epoch, &output),
            Effect::AskWitnesses(ask) => self.begin_lot(at, ask),
            Effect::Redo(asked) => self.begin_redo(*asked),
            Effect::Append(_) | Effect::Closed(_) => Ok(()),
        }
    }

    /// A result is checked, which takes a while.
    fn check(&mut self, step: StepId, epoch: Epoch, output: &Json) -> Does {
        let is_calm = self.seat()?.is_calm;
        let rejected = output.is_empty() || !is_calm && self.rng.chance(60);
        let outcome = match rejected {
            true => Outcome::Rejected { check: "schema".into(), findings: "not an object".into() },
            false => Outcome::Accepted { quality: self.rng.between(50, 100) as u8, checked: true },
        };
        self.trade()?.checks.insert((step, epoch), outcome);
        let ms = self.rng.between(5, if is_calm { 300 } else { 4_000 });
        self.later(ms, MarketWake::Checked(step, epoch));
        Ok(())
    }

    /// When the rules want a tick; and what must hold of the state whenever it has changed.
    pub(super) fn look_at_market(&mut self, context: &mut Context) -> Does {
        let (at, booted_at, slot) = (context.at, self.booted_at, self.slot);
        let Some(Live { federation, trade: Some(trade), .. }) = &mut self.live else { return Ok(()) };
        let sum: i128 = federation.view().accounts().map(|(_, units)| i128::from(units)).sum();
        let holds = crate::invariants::ensure(sum == 0, || format!("all accounts together are at {sum}"));
        held("invariant_money_sums_to_zero", slot, holds)?;
        let wanted = federation.next_timer().map(|due| (booted_at + due.0).max(at + 1));
        if let Some(wanted) = wanted
            && trade.tick_at.is_none_or(|set| wanted < set)
        {
            trade.tick_at = Some(wanted);
            self.later(wanted - at, MarketWake::Tick);
        }
        Ok(())
    }

    /// Hears what newly kept records say of offers, verdicts and homes.
    pub(super) fn market_hears(&mut self, context: &mut Context, records: &Records) -> Does {
        if self.seat.is_none() {
            return Ok(());
        }
        let origin = records.origin();
        let slot = self.slot;
        let trade = self.trade()?;
        trade.board.hear(records, wall(context.at));
        for (place, record) in records.records().iter().enumerate() {
            let fact = Entry::decode(&record.body).ok().map(|entry| entry.fact);
            let seq = match context.is(MeshSabotage::StandingUnordered) {
                true => trade.looked.len() as u64 + place as u64,
                false => record.public_seq,
            };
            let illegal = trade.homes.hear(&origin, (seq, record.index), fact.as_ref());
            let holds = crate::invariants::ensure(illegal.is_empty(), || {
                format!("the log of honest {origin} is said to break the rules: {illegal:?}")
            });
            held("invariant_honest_homes_break_no_rule", slot, holds)?;
        }
        let words = self.words_in(records)?;
        for (lease, word) in words {
            self.tell_of(context, lease, word)?;
        }
        self.hear_evidence(context, records)?;
        self.is_curious_about(context, records)
    }

    /// Sends a request; `then` follows when it is answered or is late.
    fn call(&mut self, to: NodeId, frame: Vec<u8>, patience_ms: u64, then: Then) -> Does {
        let seat = self.seat()?;
        seat.calls += 1;
        let call = seat.calls;
        self.trade()?.calls.insert(call, Call { to, then });
        self.out.push(Out::SendTo(to, Mail::Request { call, frame }));
        self.later(patience_ms, MarketWake::Late(call));
        Ok(())
    }

    /// A node asks something.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn requested(
        &mut self,
        context: &mut Context,
        (from, node): (Slot, NodeId),
        call: u64,
        frame: &[u8],
    ) -> Does {
        use artel_federation::redo::message::REDO_KIND;
        use artel_federation::visit::message::{FETCH_KIND, VISIT_KIND};
        match artel_protocol::codec::Frame::parse(frame).map(|frame| frame.kind) {
            Ok(VISIT_KIND) => match Visit::read(frame) {
                Ok(visit) => self.visited(context, (from, node), call, visit),
                Err(error) => {
                    let holds = Err(format!("node {from} sends a visit that is none: {error}"));
                    held("invariant_honest_nodes_are_not_blamed", self.slot, holds)
                }
            },
            Ok(FETCH_KIND) => self.serve_bytes(context, (from, node), call, frame),
            Ok(REDO_KIND) => self.asked_to_redo((from, node), call, frame),
            _ => Ok(()),
        }
    }

    /// A node has answered.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn replied(
        &mut self,
        context: &mut Context,
        node: NodeId,
        call: u64,
        (frame, bytes): (Vec<u8>, Arc<[u8]>),
    ) -> Does {
        let trade = self.trade()?;
        // What comes twice or late is heard by nobody.
        if trade.calls.get(&call).is_none_or(|known| known.to != node) {
            return Ok(());
        }
        let Some(Call { to, then }) = trade.calls.remove(&call) else { return Ok(()) };
        self.goes_on(context, to, then, Some((frame, bytes)))
    }

    fn is_late(&mut self, context: &mut Context, call: u64) -> Does {
        let Some(Call { to, then }) = self.trade()?.calls.remove(&call) else { return Ok(()) };
        self.goes_on(context, to, then, None)
    }

    /// What follows an answer, or that there is none.
    fn goes_on(
        &mut self,
        context: &mut Context,
        to: NodeId,
        then: Then,
        answer: Option<(Vec<u8>, Arc<[u8]>)>,
    ) -> Does {
        match then {
            Then::Claim { .. } | Then::LeaseBytes { .. } | Then::Renew { .. } | Then::Release { .. } => {
                self.home_has_answered(context, to, then, answer)
            }
            Then::Bring { lease, agent, result, worker } => {
                self.brought(context, (lease, agent, result), worker, answer.map(|(frame, _)| frame))
            }
            Then::File { worker, lease, digest } => self.file_came(context, (worker, lease, digest), answer),
            Then::Artifact { of, digest } => self.artifact_came(context, of, digest, answer),
            Then::Rerun { of, by } => self.reran(context, of, by, answer.map(|(frame, _)| frame)),
            Then::RerunFile { rerun, digest } => self.rerun_file_came(rerun, digest, answer),
            Then::GiveBack | Then::Snoop | Then::Copied => Ok(()),
        }
    }

    /// Bytes are stored, and entered by whom they belong to.
    fn store(
        &mut self,
        context: &mut Context,
        principal: Principal,
        bytes: Vec<u8>,
        step: Option<StepId>,
    ) -> Does<Digest> {
        let digest = Digest::of(&bytes);
        let size = bytes.len() as u64;
        if self.seat()?.blobs.insert(digest, bytes.into()).is_none() {
            self.put(context, principal, Request::Store(entered(digest, size, step)))?;
        }
        Ok(digest)
    }

    /// Told to the world's evidence for the end: what this node has read, and how it found others' summaries.
    pub fn evidence(&self) -> Option<&Evidence> {
        self.live.as_ref().and_then(|live| live.trade.as_ref()).map(|trade| &trade.evidence)
    }

    /// How the summaries of each node were found here.
    pub fn checks(&self) -> BTreeMap<NodeId, Checks> {
        let trade = self.live.as_ref().and_then(|live| live.trade.as_ref());
        trade.map(|trade| trade.summaries.checks()).unwrap_or_default()
    }

    /// The agents that live here.
    pub fn workers(&self) -> impl Iterator<Item = &Worker> {
        self.seat.iter().flat_map(|seat| &seat.workers)
    }

    /// What of its market is not over: open runs, and work at other homes but one that is down for good.
    pub fn open_work(&self, gone: Option<NodeId>) -> Option<String> {
        let view = self.live.as_ref()?.federation.view();
        let steps = view.runs(None).flat_map(|run| run.steps.iter().map(|step| format!("{:?}", step.state)));
        let away = view.away().all().filter(|one| Some(one.lease.home) != gone);
        let open: Vec<String> = steps.chain(away.map(|one| format!("{one:?}"))).collect();
        (!open.is_empty()).then(|| open.join(", "))
    }
}

/// Bytes as they are entered.
fn entered(digest: Digest, bytes: u64, step: Option<StepId>) -> ArtifactPut {
    ArtifactPut {
        id: None,
        digest,
        bytes,
        bytes_new: bytes,
        name: "a file".into(),
        kind: "file".into(),
        content_type: "application/octet-stream".into(),
        step,
        run: step.map(|step| step.run()),
        metadata: Json::new(*b"{}"),
    }
}

/// Where a bug is planted, whoever is paid gets a unit less than was set aside.
pub(super) fn pay_short(entries: &mut [Entry]) {
    use artel_federation::Fact;
    use artel_federation::fact::Cause;
    let payments = entries.iter_mut().filter_map(|entry| match &mut entry.fact {
        Fact::Transfer(transfer) if transfer.cause == Cause::Payment => Some(transfer),
        _ => None,
    });
    let legs = payments.flat_map(|transfer| &mut transfer.legs);
    legs.filter(|leg| leg.units > 0).for_each(|leg| leg.units -= 1);
}

/// Where a bug is planted, what goes back for a refuted result goes back a second time.
pub(super) fn recall_twice(entries: &mut Vec<Entry>) {
    use artel_federation::Fact;
    let is_of_it = |entry: &&Entry| matches!(entry.fact, Fact::Recalled(_));
    let again: Vec<Entry> = entries.iter().filter(is_of_it).cloned().collect();
    entries.extend(again);
}

/// The lease that stands for what an agent holds at its own node.
fn here(node: NodeId, lease: &Lease) -> Abroad {
    Abroad { home: node, step: lease.step, epoch: lease.epoch }
}

impl Member {
    /// What the market's world makes of entries that are synced now.
    pub(super) fn synced_for_market(
        &mut self,
        context: &mut Context,
        leaves: &[artel_protocol::log::Leaf],
        entries: &[Entry],
    ) -> Does {
        let first = self.live()?.journal.size() - leaves.len() as u64;
        for (index, entry) in (first..).zip(entries) {
            self.count(context, entry);
            self.is_silence(context, entry)?;
            self.known_to_market(context, index, entry)?;
        }
        Ok(())
    }

    /// An entry stands in the journal: it is held against all others.
    pub(super) fn known_to_market(&self, context: &mut Context, index: u64, entry: &Entry) -> Does {
        if self.seat.is_none() {
            return Ok(());
        }
        let known = context.truth.market.take((self.slot, self.origin()), index, entry);
        known.map_err(|(invariant, what)| {
            Stop::Broken(crate::invariants::Violation { invariant, home: self.slot, what })
        })
    }

    /// No home is called silent whose verdict is held here.
    fn is_silence(&self, context: &Context, entry: &Entry) -> Does {
        let artel_federation::Fact::Unanswered(f) = &entry.fact else { return Ok(()) };
        let (Some(live), Some(home)) = (&self.live, context.truth.market.slot(&f.lease.home)) else {
            return Ok(());
        };
        let verdict = context.truth.market.ledger(home).verdicts.get(&(f.lease.step, f.lease.epoch));
        let book = &context.truth.books[&home];
        let place = verdict.and_then(|(index, ..)| book.public.get(index)).map(|(seq, _)| *seq);
        let is_held = place.is_some_and(|seq| live.kept.mark(&book.origin).next > seq);
        let holds = crate::invariants::ensure(!is_held, || {
            format!("node {home} is called silent, and its verdict on step {} is held", f.lease.step)
        });
        held("invariant_answered_homes_are_not_called_silent", self.slot, holds)
    }

    fn count(&self, context: &mut Context, entry: &Entry) {
        use artel_federation::Fact;
        use artel_federation::fact::Judgement;
        match &entry.fact {
            Fact::Unsettled(_) => context.counts.unsettled += 1,
            Fact::Refuted(_) => context.counts.refuted_late += 1,
            Fact::RefutedAway(_) => context.counts.refuted_away += 1,
            Fact::Unanswered(_) => context.counts.silences += 1,
            Fact::Concluded(f) => {
                context.counts.accepted += u64::from(matches!(f.judgement, Judgement::Accepted { .. }));
            }
            Fact::Verdict(f) => {
                let is_refuted = matches!(&f.judgement, Judgement::Rejected { check } if check == artel_federation::redo::CHECK);
                context.counts.refuted += u64::from(is_refuted);
            }
            _ => {}
        }
    }
}
