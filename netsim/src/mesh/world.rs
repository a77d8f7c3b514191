//! One mesh world: nodes, links and what goes wrong on one virtual clock. First everything that can go wrong does; then all
//! faults end, and within a bounded time every member must hold what every member made public.

mod doors;
mod happenings;
mod links;
mod mischief;

use super::context::{Context, Does, MeshCounts, Stop};
use super::invariants;
use super::mail::{Mail, Out, Wake};
use super::market::{self, MarketShape};
use super::member::{Member, key_of};
use super::memo::Memo;
use super::packet::Slot;
use super::report::{MeshPlan, MeshReport};
use super::rogue::{ROGUE, Rogue};
use super::shape::MeshShape;
use super::truth::Truth;
use crate::desk::Desk;
use crate::home::WALL_START_MS;
use crate::invariants::Violation;
use crate::rng::Rng;
use crate::trace::Trace;
use artel_federation::Genesis;
use artel_federation::fact::Admission;
use artel_protocol::id::Digest;
use artel_protocol::key::NodeId;
use artel_protocol::time::Wall;
use links::Links;
use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Within how many virtual milliseconds after the last fault all members must agree: four rounds of the exchange, and the
/// time to find each other again.
pub const AGREEMENT_MS_MAX: u64 = 150_000;

/// The same in a wide world. What a node says before it has a neighbour is not gossiped: it spreads by rounds of the exchange
/// alone, of which each node has one with each neighbour in turn, so it takes as many as doublings reach everybody.
pub const AGREEMENT_WIDE_MS_MAX: u64 = 400_000;

/// Within how many virtual milliseconds after the last fault all work of a market must be done, and everybody must have read all
/// of it: several leases one after the other for each step that was open, and three terms until one that nobody renews is let go.
pub const REST_MS_MAX: u64 = 400_000;

/// How long after the last fault nodes still write, in milliseconds.
const LAST_WORDS_MS: u64 = 8_000;

/// How often it is looked whether they agree, in milliseconds.
const LOOK_MS: u64 = 2_000;

/// At one of how many occasions the costly invariants look in a wide world.
const SAMPLING: u64 = 64;

/// The most events of one world; more means that something goes round in circles.
const EVENTS_MAX: u64 = 20_000_000;

enum Event {
    /// A mail arrives: at whom, from whom, over which connection (0: dialled for it).
    Arrives(Slot, Slot, u64, Box<Mail>),
    Wakes(Slot, u64, Wake),
    Boot(Slot),
    Invite(Slot),
    Acts(Slot),
    Expel,
    Fault,
    Healed(Slot),
    Part(u64),
    Join,
    Breaks(Slot, Slot, u64),
    Clone,
    Rogue,
    RogueDials,
    Calm,
    Look,
    /// A node goes down for good, or for so long.
    Leaves(Slot, Option<u64>),
}

struct World {
    at: u64,
    queue: BTreeMap<(u64, u64), Event>,
    queued: u64,
    rng: Rng,
    shape: MeshShape,
    /// The market, where there is one.
    market: Option<MarketShape>,
    nodes: Vec<Member>,
    /// Counts each node's starts and ends, so that what was meant for an earlier process finds nobody.
    lives: Vec<u64>,
    desks: Vec<Desk>,
    rogue: Option<Rogue>,
    links: Links,
    context: Context,
    calm_since: Option<u64>,
    trace: Trace,
}

/// Runs the mesh world of a seed.
pub fn run(seed: u64, plan: MeshPlan) -> MeshReport {
    let mut world = World::new(seed, plan);
    // The state behind a panic is looked at for the report alone.
    let ran = catch_unwind(AssertUnwindSafe(|| world.run()));
    let violation = ran.unwrap_or_else(|panic| Err(panicked(panic.as_ref()))).err();
    world.report(seed, violation)
}

fn panicked(panic: &(dyn Any + Send)) -> Violation {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let what =
        text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("something panicked").to_owned();
    Violation { invariant: "invariant_nothing_panics", home: 0, what }
}

impl World {
    fn new(seed: u64, plan: MeshPlan) -> World {
        let mut rng = Rng::new(seed ^ 0x6d65_7368);
        let shape = match plan.market {
            false => MeshShape::draw(&mut rng, plan.nodes),
            true => {
                let drawn = rng.between(market::shape::NODES_MIN, market::shape::NODES_MAX);
                let nodes = plan.nodes.unwrap_or(drawn).min(market::shape::NODES_MAX);
                MeshShape::draw(&mut rng, Some(nodes)).with_market()
            }
        };
        let market = plan.market.then(|| MarketShape::draw(&mut rng, &shape));
        let genesis = Genesis {
            name: format!("mesh {seed}"),
            founders: vec![NodeId(key_of(0).public())],
            admission: Admission::Invitation,
            recovery: Digest::of(b"recovery"),
            created: Wall(WALL_START_MS),
        };
        let mut nodes: Vec<Member> =
            (0..shape.nodes).map(|slot| Member::new(slot, &genesis, plan.sabotage, rng.fork())).collect();
        let mut truth = Truth::new(genesis.clone());
        if let Some(market) = &market {
            truth.market.redo_liar = market.redo_liar.map(|slot| nodes[slot].identity.node);
            for node in &mut nodes {
                node.enter_market(market);
                truth.market.enter(node.slot, node.identity.node);
            }
        }
        let rogue = shape.rogue_every_ms.map(|_| Rogue::new(&mut truth, rng.fork()));
        let context = Context {
            at: 0,
            memo: Memo::new(genesis.id()),
            truth,
            sabotage: plan.sabotage,
            sampling: if shape.is_wide() { SAMPLING } else { 1 },
            occasions: 0,
            counts: MeshCounts::default(),
        };
        World {
            at: 0,
            queue: BTreeMap::new(),
            queued: 0,
            lives: vec![0; nodes.len()],
            desks: nodes.iter().map(|_| Desk::default()).collect(),
            nodes,
            rogue,
            links: Links::new(shape.weather, rng.fork()),
            context,
            calm_since: None,
            trace: Trace::new(plan.telling, plan.sink),
            rng,
            shape,
            market,
        }
    }

    fn begin(&mut self) {
        self.after(0, Event::Boot(0));
        self.after(3_000, Event::Acts(0));
        for (n, (_, _, at)) in self.shape.joins.clone().into_iter().enumerate() {
            self.after(at, Event::Invite(n + 1));
        }
        for at in self.shape.expulsions.clone() {
            self.after(at, Event::Expel);
        }
        for (at, ms) in self.shape.partitions.clone() {
            self.after(at, Event::Part(ms));
        }
        if let Some(at) = self.shape.clone {
            self.after(at, Event::Clone);
        }
        if let Some(every) = self.shape.rogue_every_ms {
            self.after(300, Event::RogueDials);
            self.after(2_000 + every, Event::Rogue);
        }
        if let Some(market) = self.market.clone() {
            market.gone.into_iter().for_each(|(slot, at)| self.after(at, Event::Leaves(slot, None)));
            market.away.into_iter().for_each(|(slot, at, ms)| self.after(at, Event::Leaves(slot, Some(ms))));
        }
        self.after(self.shape.fault_every_ms, Event::Fault);
        self.after(self.shape.chaos_ms, Event::Calm);
    }

    fn after(&mut self, ms: u64, event: Event) {
        self.queued += 1;
        self.queue.insert((self.at + ms, self.queued), event);
    }

    fn run(&mut self) -> Result<(), Violation> {
        self.begin();
        while let Some(((at, _), event)) = self.queue.pop_first() {
            self.at = at;
            self.context.at = at;
            if let Event::Look = event {
                if self.look()? {
                    return self.end();
                }
                continue;
            }
            self.happens(event)?;
            if self.trace.events() > EVENTS_MAX {
                let what = format!("{EVENTS_MAX} events in {at} ms");
                return Err(Violation { invariant: "invariant_worlds_end", home: 0, what });
            }
        }
        Ok(())
    }

    /// Looks whether all members agree by now.
    fn look(&mut self) -> Result<bool, Violation> {
        self.after(LOOK_MS, Event::Look);
        let since = self.at - self.calm_since.unwrap_or(self.at);
        if since < LAST_WORDS_MS + LOOK_MS {
            return Ok(false);
        }
        let most = match (&self.market, self.shape.is_wide()) {
            (Some(_), _) => REST_MS_MAX,
            (None, true) => AGREEMENT_WIDE_MS_MAX,
            (None, false) => AGREEMENT_MS_MAX,
        };
        let settled = invariants::settled(&self.context, &self.nodes);
        let agree = invariants::members_agree(&self.context, &self.nodes, &settled);
        let proofs = invariants::proofs_of_fraud_spread(&self.context, &self.nodes, &settled);
        let rest = match &self.market {
            Some(_) if agree.is_ok() => {
                market::invariants::is_at_rest(&self.context, &self.nodes, &settled.nodes)
            }
            _ => Ok(()),
        };
        if let Err((home, what)) = rest {
            let what = format!("{what}, {since} ms after the last fault");
            let violation = Violation { invariant: "invariant_the_market_comes_to_rest", home, what };
            return if since < most { Ok(false) } else { Err(violation) };
        }
        match (agree, proofs) {
            (Ok(()), Ok(())) => Ok(true),
            _ if since < most => Ok(false),
            (Err((home, what)), _) => {
                let what = format!("{what}, {since} ms after the last fault");
                Err(Violation { invariant: "invariant_members_agree", home, what })
            }
            (_, Err(stop)) => self.broken(stop).map(|()| false),
        }
    }

    fn broken(&self, stop: Stop) -> Result<(), Violation> {
        match stop {
            Stop::Broken(violation) => Err(violation),
            Stop::Down => Ok(()),
        }
    }

    /// What a node did is taken note of: it may be down now, or have broken something.
    fn did(&mut self, slot: Slot, does: Does) -> Result<(), Violation> {
        match does {
            Ok(()) => self.settle(slot),
            Err(Stop::Down) => {
                self.goes_down(slot);
                Ok(())
            }
            Err(Stop::Broken(violation)) => Err(violation),
        }
    }

    fn goes_down(&mut self, slot: Slot) {
        self.lies_down(slot);
        if self.context.truth.gone == Some(slot) {
            return;
        }
        let soon = self.calm_since.is_some() || self.rng.chance(700);
        let ms = if soon { 100 } else { self.rng.between(100, 20_000) };
        self.after(ms, Event::Boot(slot));
    }

    fn lies_down(&mut self, slot: Slot) {
        self.trace.event(self.at, 13, &[slot as u64], || format!("node {slot} is down"));
        self.context.counts.crashes += u64::from(self.nodes[slot].has_crashed());
        self.lives[slot] += 1;
        self.nodes[slot].lie_down();
        for (peer, connection) in self.links.of(slot) {
            self.after(1, Event::Breaks(slot, peer, connection));
        }
    }

    /// What a node wants is set on its way.
    fn settle(&mut self, slot: Slot) -> Result<(), Violation> {
        for out in self.nodes[slot].take_out() {
            match out {
                Out::Send(to, mail) => {
                    self.is_for(to, &mail)?;
                    self.send(slot, to, mail);
                }
                Out::SendTo(node, mail) => {
                    let to = (0..self.nodes.len()).filter(|to| {
                        *to != slot && self.nodes[*to].identity.node == node && self.nodes[*to].is_up()
                    });
                    let rogue = self.rogue.as_ref().filter(|rogue| rogue.node == node).map(|_| ROGUE);
                    for to in to.chain(rogue).collect::<Vec<_>>() {
                        self.is_for(to, &mail)?;
                        self.send(slot, to, mail.clone());
                    }
                }
                Out::Later(ms, wake) => {
                    let life = self.lives[slot];
                    self.after(ms, Event::Wakes(slot, life, wake));
                }
                Out::Drop(peer) => self.part_from(slot, peer),
                Out::Seek => self.seek(slot)?,
                Out::Follow(topic) => {
                    for (peer, _) in self.links.of(slot) {
                        if self.nodes.get(peer).is_some_and(Member::is_up) {
                            let does = self.nodes[peer].hears_follow(&self.context, slot, topic);
                            self.did(peer, does)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// What is told directly is for whoever is told it.
    fn is_for(&self, to: Slot, mail: &Mail) -> Result<(), Violation> {
        let parts: [&[u8]; 2] = match mail {
            Mail::Request { frame, .. } => [frame, &[]],
            Mail::Answer { frame, bytes, .. } => [frame, bytes],
            _ => return Ok(()),
        };
        for bytes in parts {
            let told = self.context.truth.market.is_told_to_whom_it_is_for(to, bytes);
            let invariant = "invariant_secrets_go_to_whom_they_are_for";
            told.map_err(|what| Violation { invariant, home: to, what })?;
        }
        Ok(())
    }

    fn send(&mut self, from: Slot, to: Slot, mail: Mail) {
        let connection = match self.links.connection(from, to) {
            Some(connection) => connection,
            None if mail.is_direct() => 0,
            None => return,
        };
        for at in self.links.send(self.at, from, to) {
            self.after(at - self.at, Event::Arrives(to, from, connection, Box::new(mail.clone())));
        }
    }

    fn end(&mut self) -> Result<(), Violation> {
        if self.market.is_some() {
            let settled = invariants::settled(&self.context, &self.nodes);
            if let Err(stop) = market::invariants::all_adds_up(&self.context, &self.nodes, &settled.nodes) {
                self.broken(stop)?;
            }
        }
        for slot in 0..self.nodes.len() {
            if let Err(stop) = invariants::kept_records_verify(&mut self.context, &self.nodes[slot]) {
                self.broken(stop)?;
            }
            self.context.counts.frauds += self.nodes[slot].frauds().count() as u64;
            let size = self.context.truth.books.get(&slot).map_or(0, |book| book.size());
            self.trace.bytes(&size.to_le_bytes());
        }
        Ok(())
    }

    fn report(mut self, seed: u64, violation: Option<Violation>) -> MeshReport {
        MeshReport {
            seed,
            hash: self.trace.hash(),
            events: self.trace.events(),
            nodes: self.shape.nodes,
            clock_ms: (self.at, self.calm_since.map_or(0, |since| self.at - since)),
            counts: self.context.counts,
            checks: self.context.memo.asked,
            violation,
            last: self.trace.last(),
        }
    }
}
