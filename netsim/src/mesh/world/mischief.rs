//! Who means ill: a disk that is copied and started a second time, and the member that lies.

use super::{Event, World};
use crate::desk::Desk;
use crate::invariants::Violation;
use crate::mesh::member::Judged;
use crate::mesh::packet::Slot;
use crate::mesh::rogue::{ROGUE, STRANGER};
use artel_federation::{Principal, Request};
use artel_protocol::key::NodeId;
use std::collections::BTreeSet;

/// How many neighbours the rogue wants.
const ROGUE_NEIGHBOURS: usize = 12;

type Happens = Result<(), Violation>;

impl World {
    /// A disk is copied, and the copy is started elsewhere.
    pub(super) fn clone_a_node(&mut self) -> Happens {
        let slot = 1 + self.rng.below(self.shape.nodes as u64 - 1) as usize;
        if self.calm_since.is_some() || !self.nodes[slot].is_up() || !self.nodes[slot].is_let_in() {
            return Ok(());
        }
        self.context.counts.clones += 1;
        let (twin, rng) = (self.nodes.len(), self.rng.fork());
        self.note(10, slot, twin as u64, || format!("node {slot}'s disk is started again as {twin}"));
        let node = self.nodes[slot].identity.node;
        self.context.truth.liars.insert(node);
        self.context.truth.cloned.insert(node);
        let copy = self.nodes[slot].copy(twin, rng);
        self.nodes.push(copy);
        self.lives.push(0);
        self.desks.push(Desk::default());
        self.after(50, Event::Boot(twin));
        self.after(3_000, Event::Acts(twin));
        Ok(())
    }

    pub(super) fn rogue_dials(&mut self) -> Happens {
        if self.calm_since.is_some() {
            return Ok(());
        }
        self.after(1_500, Event::RogueDials);
        let Some(rogue) = &self.rogue else { return Ok(()) };
        let said = rogue.hello();
        let to = if said.chain.is_empty() { 0 } else { self.rng.below(self.nodes.len() as u64) as usize };
        let may = self.nodes[to].is_up()
            && rogue.up.len() < ROGUE_NEIGHBOURS
            && self.links.connection(ROGUE, to).is_none()
            && self.links.reaches(ROGUE, to)
            && !self.nodes[to].has_banned(ROGUE);
        if !may {
            return Ok(());
        }
        if said.chain.is_empty() {
            let request = Request::Admit { node: said.node, secret: None };
            let does = self.nodes[0].ask(&mut self.context, Principal::Operator, request).map(drop);
            self.did(0, does)?;
        }
        let Some(Judged::Welcome(chain)) = self.hears_hello(to, &said)? else { return Ok(()) };
        self.links.connect(ROGUE, to);
        let other = self.nodes[to].identity.node;
        if let Some(rogue) = &mut self.rogue {
            rogue.up.insert(to, other);
            if !chain.is_empty() {
                rogue.chain = chain;
            }
        }
        let does = self.nodes[to].up(&mut self.context, (ROGUE, said.node), false, BTreeSet::new());
        self.did(to, does)
    }

    pub(super) fn rogue_acts(&mut self) -> Happens {
        let Some(every) = self.shape.rogue_every_ms.filter(|_| self.calm_since.is_none()) else {
            return Ok(());
        };
        let next = self.rng.between(every / 2, every * 2);
        self.after(next, Event::Rogue);
        let victim = self.rng.below(self.nodes.len() as u64) as usize;
        let node = self.nodes[victim].identity.node;
        let Some(rogue) = self.rogue.as_mut().filter(|rogue| !rogue.chain.is_empty()) else {
            return Ok(());
        };
        let (act, mails) = rogue.act(&mut self.context.truth, self.at, node);
        self.note(11, victim, act, || format!("the rogue does {act}"));
        mails.into_iter().for_each(|(slot, mail)| self.send(ROGUE, slot, mail));
        self.false_hello(victim)
    }

    /// Somebody who is no member, or too far from a founder, comes to the door.
    fn false_hello(&mut self, to: Slot) -> Happens {
        let Some(rogue) = &mut self.rogue else { return Ok(()) };
        let said = rogue.false_hello();
        let Some(Judged::Welcome(_)) = self.hears_hello(to, &said)? else { return Ok(()) };
        let peer: (Slot, NodeId) = (STRANGER, said.node);
        let does = self.nodes[to].up(&mut self.context, peer, false, BTreeSet::new());
        self.did(to, does)
    }
}
