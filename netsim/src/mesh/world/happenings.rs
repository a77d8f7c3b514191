//! What happens in a mesh world, event by event.

use super::{Event, LAST_WORDS_MS, LOOK_MS, World};
use crate::invariants::Violation;
use crate::mesh::mail::Mail;
use crate::mesh::packet::Slot;
use crate::mesh::rogue::ROGUE;
use artel_audit::memory::Fault;
use artel_federation::{Principal, Reply, Request};
use std::collections::BTreeSet;

/// One of how many nodes of a wide world still writes when all faults have ended.
const LAST_WORDS_WIDE: usize = 8;

/// How long a node takes to notice that a neighbour does not answer any more, at most, in milliseconds.
const PING_MS: u64 = 20_000;

/// How many agents without fault come to a node when all faults have ended, so that what others are barred from is done.
const NEWCOMERS: usize = 2;

type Happens = Result<(), Violation>;

impl World {
    /// One event.
    pub(super) fn happens(&mut self, event: Event) -> Happens {
        match event {
            Event::Arrives(to, from, connection, mail) => self.arrives(to, from, connection, *mail),
            Event::Wakes(slot, life, wake) if life == self.lives[slot] => {
                self.note(1, slot, 0, || format!("node {slot} wakes: {wake:?}"));
                let does = self.nodes[slot].wake(&mut self.context, wake);
                self.did(slot, does)
            }
            Event::Wakes(..) => Ok(()),
            Event::Boot(slot) => {
                self.note(2, slot, 0, || format!("node {slot} starts"));
                let does = self.nodes[slot].boot(&mut self.context);
                self.did(slot, does)
            }
            Event::Invite(slot) => self.invites(slot),
            Event::Acts(slot) => self.acts(slot),
            Event::Expel => self.expels(),
            Event::Fault => self.fault(),
            Event::Healed(slot) => {
                self.nodes[slot].heal();
                Ok(())
            }
            Event::Part(ms) => self.part(ms),
            Event::Join => {
                self.links.join();
                Ok(())
            }
            Event::Breaks(one, other, connection) => self.breaks(one, other, connection),
            Event::Clone => self.clone_a_node(),
            Event::Rogue => self.rogue_acts(),
            Event::RogueDials => self.rogue_dials(),
            Event::Calm => self.calm(),
            Event::Look => Ok(()),
            Event::Leaves(slot, ms) => self.leaves(slot, ms),
        }
    }

    pub(super) fn note(&mut self, tag: u8, slot: Slot, number: u64, line: impl FnOnce() -> String) {
        self.trace.event(self.at, tag, &[slot as u64, number], line);
    }

    fn is_honest(&self, slot: Slot) -> bool {
        slot < self.nodes.len()
    }

    fn arrives(&mut self, to: Slot, from: Slot, connection: u64, mail: Mail) -> Happens {
        let [kind, about] = mail.numbers();
        let numbers = [to as u64, from as u64, kind, about];
        self.trace.event(self.at, 3, &numbers, || format!("node {to} <- {from}: {kind} {about:016x}"));
        if connection != 0 && self.links.connection(to, from) != Some(connection) {
            return Ok(());
        }
        if to == ROGUE {
            let answers = self.rogue.as_mut().map(|rogue| rogue.hear(from, mail)).unwrap_or_default();
            answers.into_iter().for_each(|(slot, mail)| self.send(ROGUE, slot, mail));
            return Ok(());
        }
        if !self.nodes[to].is_up() {
            return Ok(());
        }
        let honest = self.is_honest(from);
        let asker = self.nodes.get(from).map(|node| node.identity.node);
        let (node, context) = (&mut self.nodes[to], &mut self.context);
        let does = match mail {
            Mail::Gossip(rpc) => node.hear(context, from, honest, rpc),
            Mail::Sync { stream, step, question } => node.serve(context, from, (stream, step, question)),
            Mail::Synced { stream, step, answer } => {
                node.answered(context, from, honest, (stream, step, answer))
            }
            Mail::Prove { call, ask } => node.prove(from, call, &ask),
            Mail::Proof { call, shown } => node.proven(context, (from, honest), call, shown),
            Mail::Cosigned(frame) => node.cosigned(context, &frame),
            Mail::Request { call, frame } => match asker {
                Some(asker) => node.requested(context, (from, asker), call, &frame),
                None => Ok(()),
            },
            Mail::Answer { call, frame, bytes } => match asker {
                Some(asker) => node.replied(context, asker, call, (frame, bytes)),
                None => Ok(()),
            },
        };
        self.did(to, does)
    }

    /// Somebody is invited, or admitted by name, and starts.
    fn invites(&mut self, slot: Slot) -> Happens {
        let (by, by_name, _) = self.shape.joins[slot - 1];
        if !self.nodes[by].is_up() || !self.nodes[by].is_let_in() {
            self.after(500, Event::Invite(slot));
            return Ok(());
        }
        self.note(4, slot, by as u64, || format!("node {by} invites {slot}"));
        let node = self.nodes[slot].identity.node;
        let request = if by_name {
            Request::Admit { node, secret: None }
        } else {
            Request::Invite { for_ms: 3_600_000, uses: 1 }
        };
        match self.nodes[by].ask(&mut self.context, Principal::Operator, request) {
            Ok(answer) => {
                let secret = match answer {
                    Some(Ok(Reply::Invited { secret, .. })) => secret,
                    _ => None,
                };
                self.context.counts.admissions += 1;
                self.nodes[slot].invited = Some((by, secret));
                self.after(10, Event::Boot(slot));
                let ms = self.rng.between(100, self.shape.write_every_ms);
                self.after(ms, Event::Acts(slot));
                self.settle(by)
            }
            Err(stop) => {
                self.after(500, Event::Invite(slot));
                self.did(by, Err(stop))
            }
        }
    }

    /// A node's people do something.
    fn acts(&mut self, slot: Slot) -> Happens {
        let every = self.shape.write_every_ms;
        let ms = match self.calm_since {
            None => self.rng.between(every / 4, every * 2),
            Some(since) if self.at < since + LAST_WORDS_MS => LAST_WORDS_MS / 2,
            Some(_) => return Ok(()),
        };
        let speaks =
            !self.shape.is_wide() || self.calm_since.is_none() || slot.is_multiple_of(LAST_WORDS_WIDE);
        let is_cloned = self.context.truth.cloned.contains(&self.nodes[slot].identity.node);
        if !speaks && !is_cloned {
            return Ok(());
        }
        self.after(ms, Event::Acts(slot));
        if !self.nodes[slot].is_up() {
            return Ok(());
        }
        self.note(5, slot, 0, || format!("node {slot} acts"));
        let does = self.nodes[slot].work(&mut self.context, &mut self.desks[slot]);
        self.did(slot, does)
    }

    /// Somebody expels somebody: a founder, whoever let it in, or one whose word does not count; or takes it back.
    fn expels(&mut self) -> Happens {
        let whom = 1 + self.rng.below(self.shape.nodes as u64 - 1) as usize;
        let by = match self.rng.below(4) {
            0 => 0,
            1 | 2 => self.shape.joins[whom - 1].0,
            _ => self.rng.below(self.shape.nodes as u64) as usize,
        };
        if by == whom || !self.nodes[by].is_up() || !self.nodes[whom].is_let_in() {
            return Ok(());
        }
        self.context.counts.expulsions += 1;
        self.note(6, whom, by as u64, || format!("node {by} expels {whom}"));
        let node = self.nodes[whom].identity.node;
        let request = Request::Expel { node, reason: "it was drawn".into() };
        let mut does = self.nodes[by].ask(&mut self.context, Principal::Operator, request).map(drop);
        let admitted_it = by == self.shape.joins[whom - 1].0 || by == 0;
        if does.is_ok() && admitted_it && self.rng.chance(500) {
            // At once or a little later: the two words may go in one frame or in two.
            if self.rng.chance(500) {
                self.did(by, Ok(()))?;
                let told = self.nodes[by].publish(&mut self.context);
                self.did(by, told)?;
            }
            if self.nodes[by].is_up() {
                let request = Request::Admit { node, secret: None };
                does = self.nodes[by].ask(&mut self.context, Principal::Operator, request).map(drop);
            }
        }
        self.did(by, does)
    }

    fn fault(&mut self) -> Happens {
        if self.calm_since.is_some() {
            return Ok(());
        }
        let next = self.rng.between(100, self.shape.fault_every_ms * 2);
        self.after(next, Event::Fault);
        let slot = self.rng.below(self.nodes.len() as u64) as usize;
        if !self.nodes[slot].is_up() {
            return Ok(());
        }
        let kind = self.rng.below(6);
        self.note(7, slot, kind, || format!("node {slot}: fault {kind}"));
        match kind {
            0 | 1 => self.nodes[slot].plan(Fault::Crash, 1),
            2 => {
                self.nodes[slot].power_loss();
                self.goes_down(slot);
            }
            3 => self.goes_down(slot),
            other => {
                let fault = if other == 4 { Fault::Eio } else { Fault::Full };
                let count = self.rng.between(1, 5);
                self.nodes[slot].plan(fault, count);
                let ms = self.rng.between(1_000, 10_000);
                self.after(ms, Event::Healed(slot));
            }
        }
        Ok(())
    }

    fn part(&mut self, ms: u64) -> Happens {
        if self.calm_since.is_some() {
            return Ok(());
        }
        let share = self.rng.between(100, 600);
        let side: BTreeSet<Slot> = (0..self.nodes.len()).filter(|_| self.rng.chance(share)).collect();
        self.context.counts.partitions += 1;
        self.note(8, side.len(), ms, || format!("{side:?} are cut off for {ms} ms"));
        self.links.part(side);
        for (one, other, connection) in self.links.cut() {
            let noticed = self.rng.between(1_000, PING_MS);
            self.after(noticed, Event::Breaks(one, other, connection));
        }
        self.after(ms, Event::Join);
        Ok(())
    }

    fn breaks(&mut self, one: Slot, other: Slot, connection: u64) -> Happens {
        if !self.links.end(one, other, connection) {
            return Ok(());
        }
        for (end, peer) in [(one, other), (other, one)] {
            if end == ROGUE {
                self.rogue.as_mut().map(|rogue| rogue.up.remove(&peer));
            } else if let Some(node) = self.nodes.get_mut(end).filter(|node| node.is_up()) {
                node.down(peer);
                self.settle(end)?;
            }
        }
        Ok(())
    }

    /// A node goes down for longer than a lease, or for good.
    fn leaves(&mut self, slot: Slot, ms: Option<u64>) -> Happens {
        if self.calm_since.is_some() || !self.nodes[slot].is_up() || !self.nodes[slot].is_let_in() {
            return Ok(());
        }
        self.note(14, slot, ms.unwrap_or_default(), || format!("node {slot} is away: {ms:?}"));
        if ms.is_none() {
            self.context.truth.gone = Some(slot);
        }
        self.lies_down(slot);
        if let Some(ms) = ms {
            self.after(ms, Event::Boot(slot));
        }
        Ok(())
    }

    /// All faults end. The second phase begins.
    fn calm(&mut self) -> Happens {
        self.note(12, 0, 0, || "all faults end".to_owned());
        self.calm_since = Some(self.at);
        self.links.heal();
        for (peer, connection) in self.links.of(ROGUE) {
            self.after(0, Event::Breaks(ROGUE, peer, connection));
        }
        for slot in 0..self.nodes.len() {
            self.nodes[slot].heal();
            let is_invited = slot == 0 || slot >= self.shape.nodes || self.nodes[slot].invited.is_some();
            let is_here = self.context.truth.gone != Some(slot);
            if is_here {
                let is_welcoming = self.market.as_ref().is_some_and(|market| market.welcomes[slot]);
                self.nodes[slot].market_calms(if is_welcoming { NEWCOMERS } else { 0 });
            }
            if !self.nodes[slot].is_up() && is_invited && is_here {
                self.after(1, Event::Boot(slot));
            }
            let ms = self.rng.between(10, 2_000);
            self.after(ms, Event::Acts(slot));
        }
        self.after(LOOK_MS, Event::Look);
        Ok(())
    }
}
