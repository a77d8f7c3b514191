//! How nodes find each other: dialling, hellos and welcomes, and sending away.

use super::{Event, World};
use crate::invariants::Violation;
use crate::mesh::mail::Wake;
use crate::mesh::member::{Hello, Judged};
use crate::mesh::packet::Slot;

/// How many neighbours a node keeps (`NEIGHBOURS_MIN`).
const NEIGHBOURS: usize = 16;

/// How many a node of a wide world keeps: fewer, since each costs an exchange of all marks.
const NEIGHBOURS_WIDE: usize = 10;

type Happens = Result<(), Violation>;

impl World {
    /// A node sends a neighbour away.
    pub(super) fn part_from(&mut self, slot: Slot, peer: Slot) {
        if let Some(connection) = self.links.connection(slot, peer) {
            self.after(0, Event::Breaks(slot, peer, connection));
        }
    }

    /// A node looks for a neighbour: whoever invited it while it is not let in, else anybody, until it has enough.
    pub(super) fn seek(&mut self, slot: Slot) -> Happens {
        let life = self.lives[slot];
        let pause = self.rng.between(200, 3_000);
        let most = if self.shape.is_wide() { NEIGHBOURS_WIDE } else { NEIGHBOURS };
        let wanted = most.min(self.nodes.len() - 1);
        if self.links.degree(slot) >= wanted {
            return Ok(());
        }
        self.after(pause, Event::Wakes(slot, life, Wake::Dial));
        for _ in 0..if self.shape.is_wide() { 4 } else { 1 } {
            let to = if self.nodes[slot].is_let_in() || self.rng.chance(200) {
                self.rng.below(self.nodes.len() as u64) as usize
            } else {
                self.nodes[slot].invited.map_or(0, |(by, _)| by)
            };
            self.dial(slot, to)?;
        }
        Ok(())
    }

    fn dial(&mut self, slot: Slot, to: Slot) -> Happens {
        let may = to != slot
            && self.nodes[slot].is_up()
            && self.nodes[to].is_up()
            && self.nodes[slot].identity.node != self.nodes[to].identity.node
            && self.links.connection(slot, to).is_none()
            && self.links.reaches(slot, to)
            && !self.nodes[slot].has_banned(to)
            && !self.nodes[to].has_banned(slot);
        if !may {
            return Ok(());
        }
        self.note(9, slot, to as u64, || format!("node {slot} dials {to}"));
        let said = self.nodes[slot].hello();
        let Some(answer) = self.hears_hello(to, &said)? else { return Ok(()) };
        if let Judged::Welcome(chain) = answer {
            let does = self.nodes[slot].welcomed(&mut self.context, chain);
            self.did(slot, does)?;
            // The other hello is judged with what the first exchange taught.
            let said = self.nodes[to].hello();
            if let Some(Judged::Welcome(chain)) = self.hears_hello(slot, &said)?
                && self.nodes[to].is_up()
            {
                let does = self.nodes[to].welcomed(&mut self.context, chain);
                self.did(to, does)?;
                self.connect(slot, to)?;
            }
        }
        Ok(())
    }

    /// A node answers a hello; nothing where it goes down by it.
    pub(super) fn hears_hello(&mut self, slot: Slot, said: &Hello) -> Result<Option<Judged>, Violation> {
        if !self.nodes[slot].is_up() {
            return Ok(None);
        }
        match self.nodes[slot].answer_hello(&mut self.context, said) {
            Ok(judged) => self.settle(slot).map(|()| Some(judged)),
            Err(stop) => self.did(slot, Err(stop)).map(|()| None),
        }
    }

    fn connect(&mut self, slot: Slot, to: Slot) -> Happens {
        self.links.connect(slot, to);
        for (end, peer, outbound) in [(slot, to, true), (to, slot, false)] {
            let node = self.nodes[peer].identity.node;
            let unfollowed = self.nodes[peer].unfollowed();
            let does = self.nodes[end].up(&mut self.context, (peer, node), outbound, unfollowed);
            self.did(end, does)?;
        }
        Ok(())
    }
}
