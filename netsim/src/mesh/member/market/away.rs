//! Agents of this node away from home (`neighbours/away.rs`, `service/away.rs`, `service/asking.rs`): claims at homes that were
//! heard to offer something, what is won and written down before the agent hears of it, renewals, and what is given back.

use super::{ANSWER_MS, Context, Does, MarketWake, Member, Own, Stop, Then, held, here, wall};
use crate::mesh::sabotage::MeshSabotage;
use artel_federation::effect::Lease;
use artel_federation::fact::{Abroad, Authority, Undertaken};
use artel_federation::input::{ClaimNext, Word};
use artel_federation::visit::message::{Act, Fetch, Served, Told, Visit, Wanted, Warrant};
use artel_federation::{Entry, Fact, Identity, Reply, Request};
use artel_protocol::id::StepId;
use artel_protocol::key::{AgentId, NodeId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How long a home has a claim to itself before the next one is asked beside it (`NEXT_AFTER`), in milliseconds.
const NEXT_AFTER_MS: u64 = 250;

/// How long a claim gives homes to answer (`ANSWERS_WAIT`), in milliseconds.
const ANSWERS_MS: u64 = 2_000;

/// How many homes are asked at once for one claim.
const ASKED_MAX: usize = 4;

/// For how long an agent that names a home waits there for a task, in milliseconds.
const WAIT_MS: u32 = 3_000;

/// An agent's claim that is under way.
pub(super) struct Errand {
    number: u64,
    tried: BTreeMap<NodeId, u64>,
    asked: usize,
    ends_at: u64,
    /// It is with one home alone, which the agent named.
    is_named: bool,
}

impl Member {
    /// An agent claims: what its own node offers first, then elsewhere.
    pub(super) fn claims(&mut self, context: &mut Context, n: usize) -> Does {
        if self.claims_here(context, n)? || !self.has_room(n)? {
            return Ok(());
        }
        let seat = self.seat()?;
        seat.calls += 1;
        let (number, by_hand) = (seat.calls, seat.workers[n].signs_itself());
        let named = by_hand || self.rng.chance(150);
        let wait = if named { u64::from(WAIT_MS) + ANSWER_MS } else { ANSWERS_MS };
        let errand =
            Errand { number, tried: BTreeMap::new(), asked: 0, ends_at: context.at + wait, is_named: named };
        self.trade()?.errands.insert(n, errand);
        if !named {
            return self.errand_goes_on(context, n, number);
        }
        self.later(wait, MarketWake::Errand(n, number));
        let skills = self.seat()?.workers[n].skills.clone();
        let now = wall(context.at);
        let offers = self.trade()?.board.offers(&skills, now);
        let Some((home, step)) = self.rng.pick(&offers).copied() else {
            self.trade()?.errands.remove(&n);
            return Ok(());
        };
        let act = match by_hand {
            true => Act::Claim(step),
            false => Act::ClaimNext { wait_ms: WAIT_MS },
        };
        self.claims_at(context, n, number, home, act)
    }

    /// Asks this node's own market; whether there was something.
    fn claims_here(&mut self, context: &mut Context, n: usize) -> Does<bool> {
        let Some(principal) = self.seat()?.workers[n].principal() else { return Ok(false) };
        let claim = Request::ClaimNext(ClaimNext { wait_ms: 0 });
        match self.request(context, principal, claim)?.1 {
            Some(Ok(Reply::Leased(lease))) => {
                let lease_here = here(self.identity.node, &lease);
                self.takes(context, n, lease_here, *lease)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn has_room(&mut self, n: usize) -> Does<bool> {
        let id = self.seat()?.workers[n].id;
        let view = self.live()?.federation.view();
        Ok(view.agent(&id).is_some_and(|agent| view.free_leases(agent) > 0))
    }

    /// Asks the next home that was not tried, beside those that have not answered.
    pub(super) fn errand_goes_on(&mut self, context: &mut Context, n: usize, number: u64) -> Does {
        let at = context.at;
        let skills = self.seat()?.workers[n].skills.clone();
        let trade = self.trade()?;
        let Some(errand) = trade.errands.get(&n).filter(|errand| errand.number == number) else {
            return Ok(());
        };
        if at >= errand.ends_at || errand.is_named {
            trade.errands.remove(&n);
            return Ok(());
        }
        let mut next = trade.board.homes_for(&skills, wall(at)).into_iter();
        let next = next.find(|(home, news)| errand.tried.get(home) != Some(news));
        let is_full = errand.asked >= ASKED_MAX;
        if let Some((home, news)) = next.filter(|_| !is_full) {
            // What is offered here meanwhile comes first.
            if self.claims_here(context, n)? || !self.has_room(n)? {
                self.trade()?.errands.remove(&n);
                return Ok(());
            }
            if let Some(errand) = self.trade()?.errands.get_mut(&n) {
                errand.tried.insert(home, news);
                errand.asked += 1;
            }
            self.claims_at(context, n, number, home, Act::ClaimNext { wait_ms: 0 })?;
        } else if self.trade()?.errands.get(&n).is_some_and(|errand| errand.asked == 0) {
            self.trade()?.errands.remove(&n);
            return Ok(());
        }
        self.later(NEXT_AFTER_MS, MarketWake::Errand(n, number));
        Ok(())
    }

    fn claims_at(&mut self, context: &mut Context, n: usize, errand: u64, home: NodeId, act: Act) -> Does {
        let (step, wait) = match act {
            Act::Claim(step) => (Some(step), 0),
            Act::ClaimNext { wait_ms } => (None, u64::from(wait_ms)),
            _ => (None, 0),
        };
        let own = self.signs(context, n, home, &act)?;
        let then = Then::Claim { worker: n, errand, step, own: own.is_some() };
        self.visit(n, home, act, own, ANSWER_MS + wait, then)
    }

    /// An agent's own signature over an act, where it signs itself.
    pub(super) fn signs(&mut self, context: &Context, n: usize, home: NodeId, act: &Act) -> Does<Own> {
        let home = Identity { node: home, ..self.identity };
        Ok(self.seat()?.workers[n].sign(&home, act, wall(context.at)))
    }

    /// Sends an agent's act to a home; nothing goes where nobody has the right.
    pub(super) fn visit(
        &mut self,
        n: usize,
        home: NodeId,
        act: Act,
        own: Own,
        patience_ms: u64,
        then: Then,
    ) -> Does {
        let agent = self.seat()?.workers[n].id;
        match self.visit_of(agent, act, own)? {
            Some(visit) => self.call(home, visit.to_frame(), patience_ms, then),
            None => Ok(()),
        }
    }

    /// An agent's act with what a home wants to know of the agent.
    pub(super) fn visit_of(&mut self, agent: AgentId, act: Act, own: Own) -> Does<Option<Visit>> {
        let live = self.live()?;
        let Some(known) = live.federation.view().agent(&agent) else { return Ok(None) };
        let (name, skills) = (known.name.clone(), known.skills.clone());
        let warrant = match (own, known.delegation) {
            (Some((at, signature)), _) => Warrant::Own { at, signature },
            (None, None) => return Ok(None),
            (None, Some(delegation)) => {
                let stored = live.journal.reader().entry(known.entry).map_err(|_| Stop::Down)?;
                let Ok(Entry { fact: Fact::Enrolled(enrolled), .. }) = Entry::decode(&stored.body) else {
                    return Ok(None);
                };
                let (challenge, signature) = (enrolled.challenge, enrolled.signature);
                Warrant::Delegated { challenge, until: delegation.until, signature }
            }
        };
        Ok(Some(Visit { agent, name, skills, warrant, act }))
    }

    /// A home has answered an act that is no result, or has not in time.
    pub(super) fn home_has_answered(
        &mut self,
        context: &mut Context,
        home: NodeId,
        then: Then,
        answer: Option<(Vec<u8>, Arc<[u8]>)>,
    ) -> Does {
        let told = match (&then, &answer) {
            (Then::LeaseBytes { .. }, Some((frame, bytes))) => match Served::read(frame) {
                Ok(Served::Bytes(_)) => Some(Told::read(bytes)),
                _ => None,
            },
            (_, Some((frame, _))) => Some(Told::read(frame)),
            (_, None) => None,
        };
        let told = told.transpose();
        let holds = told.as_ref().map(drop).map_err(|error| format!("{home} answers what is none: {error}"));
        held("invariant_honest_nodes_are_not_blamed", self.slot, holds)?;
        let told = told.ok().flatten();
        match (then, told) {
            (Then::Claim { worker, errand, step, own }, Some(Told::Large { step: won, epoch }))
                if step.is_none_or(|step| step == won) =>
            {
                let of = (won, epoch);
                let fetch = Fetch { step: won, epoch, what: Wanted::Lease };
                self.call(home, fetch.to_frame(), ANSWER_MS, Then::LeaseBytes { worker, errand, of, own })
            }
            (Then::Claim { worker, errand, step, own }, Some(Told::Leased(lease)))
                if step.is_none_or(|step| step == lease.step) =>
            {
                self.won(context, (worker, errand), home, own, *lease)
            }
            (Then::LeaseBytes { worker, errand, of, own }, Some(Told::Leased(lease)))
                if of == (lease.step, lease.epoch) =>
            {
                self.won(context, (worker, errand), home, own, *lease)
            }
            (Then::Claim { worker, errand, step, .. }, told) => {
                if let (Some(step), Some(Told::Refused { code, .. })) = (step, &told)
                    && matches!(code.as_str(), "task_taken" | "task_not_open" | "finished" | "not_found")
                {
                    self.trade()?.board.take_down(&home, &step);
                }
                self.got_nothing(worker, errand)
            }
            (Then::LeaseBytes { worker, errand, .. }, _) => self.got_nothing(worker, errand),
            (Then::Renew { lease, .. }, Some(Told::Renewed { .. })) => {
                self.tell_of(context, lease, Word::Renewed)
            }
            (Then::Renew { worker, lease }, Some(Told::Refused { code, .. })) => {
                self.is_over(context, worker, lease, code)
            }
            (Then::Release { lease, .. }, Some(Told::Done)) => {
                self.tell_of(context, lease, Word::Over("released".into()))
            }
            (Then::Release { worker, lease }, Some(Told::Refused { code, .. })) => {
                self.is_over(context, worker, lease, code)
            }
            _ => Ok(()),
        }
    }

    /// Where home says that a lease is over, it is.
    fn is_over(&mut self, context: &mut Context, n: usize, lease: Abroad, code: String) -> Does {
        if !matches!(code.as_str(), "stale_epoch" | "finished" | "not_found") {
            return Ok(());
        }
        self.tell_of(context, lease, Word::Over(code))?;
        // What was handed in meanwhile stands; the agent holds nothing any more.
        if self.live()?.federation.view().away().get(&lease).is_none() {
            self.seat()?.workers[n].held.remove(&lease);
        }
        Ok(())
    }

    fn got_nothing(&mut self, n: usize, number: u64) -> Does {
        let errands = &mut self.trade()?.errands;
        if let Some(errand) = errands.get_mut(&n).filter(|errand| errand.number == number) {
            errand.asked = errand.asked.saturating_sub(1);
            if errand.is_named {
                errands.remove(&n);
            }
        }
        Ok(())
    }

    /// A home gave a task: the agent has it, or it is given back where the agent has something else or waits no longer.
    fn won(
        &mut self,
        context: &mut Context,
        (n, number): (usize, u64),
        home: NodeId,
        own: bool,
        lease: Lease,
    ) -> Does {
        let errands = &mut self.trade()?.errands;
        let waits = errands.get(&n).is_some_and(|errand| errand.number == number);
        if !waits {
            return self.give_back(n, home, &lease);
        }
        errands.remove(&n);
        self.undertake(context, n, home, own, lease)
    }

    /// Writes down what was won before the agent hears of it, or gives it back.
    pub(super) fn undertake(
        &mut self,
        context: &mut Context,
        n: usize,
        home: NodeId,
        own: bool,
        lease: Lease,
    ) -> Does {
        let (step, epoch) = (lease.step, lease.epoch);
        let abroad = Abroad { home, step, epoch };
        let agents = self.seat()?.workers.len();
        let n = if context.is(MeshSabotage::WonByAnother) { (n + 1) % agents } else { n };
        let worker = &self.seat()?.workers[n];
        let (agent, Some(principal)) = (worker.id, worker.principal()) else { return Ok(()) };
        let undertaken = Undertaken {
            lease: abroad,
            agent,
            authority: if own { Authority::Own } else { Authority::Delegated },
            granted: lease.index,
            lease_ms: lease.lease_ms,
            verdict_within_ms: lease.verdict_within_ms,
        };
        let undertake = Request::Undertake(Box::new(undertaken));
        match self.request(context, principal, undertake)?.1 {
            Some(Ok(_)) => {
                context.counts.undertaken += 1;
                self.takes(context, n, abroad, lease)
            }
            _ => self.give_back(n, home, &lease),
        }
    }

    fn takes(&mut self, context: &mut Context, n: usize, lease: Abroad, told: Lease) -> Does {
        let mut rng = self.rng.fork();
        self.seat()?.workers[n].take(context.at, lease, told, &mut rng);
        Ok(())
    }

    /// Gives a lease back that nobody here can take on; without a delegation it lapses.
    fn give_back(&mut self, n: usize, home: NodeId, lease: &Lease) -> Does {
        let act = Act::Release { step: lease.step, epoch: lease.epoch };
        self.visit(n, home, act, None, ANSWER_MS, Then::GiveBack)
    }

    /// An agent's node asks for bytes that are told to another one.
    pub(super) fn snoops(
        &mut self,
        home: NodeId,
        step: StepId,
        epoch: artel_protocol::id::Epoch,
        what: Wanted,
    ) -> Does {
        self.call(home, Fetch { step, epoch, what }.to_frame(), ANSWER_MS, Then::Snoop)
    }
}
