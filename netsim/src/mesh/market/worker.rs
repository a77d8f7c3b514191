//! An agent: its key, its skills, what it holds, and how it is. It outlives the crashes of its node, and repeats what it was
//! not answered.

use super::posting::SKILLS;
use crate::desk::skill;
use crate::mesh::packet::Slot;
use crate::rng::Rng;
use artel_federation::Json;
use artel_federation::effect::Lease;
use artel_federation::fact::Abroad;
use artel_federation::input::Signed;
use artel_federation::member::{OwnAct, statement_text};
use artel_federation::visit::message::Act;
use artel_federation::visit::warrant::act_text;
use artel_federation::{Identity, Principal};
use artel_protocol::id::Digest;
use artel_protocol::key::{AgentId, SecretKey, Signature};
use artel_protocol::skill::Skill;
use artel_protocol::time::Wall;
use std::collections::BTreeMap;

/// How an agent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Temper {
    /// How many of a thousand results it falsifies.
    pub falsifies: u64,
    /// Whether it signs each act itself in place of letting its node speak for it.
    pub signs_itself: bool,
    /// How many of a thousand leases it lets lapse.
    pub lapses: u64,
    /// How many of a thousand it gives back.
    pub releases: u64,
    /// How many of its skills it has, of a thousand.
    pub skilled: u64,
    /// How many of a thousand times that it looks what there is to do it ends what it let its node do, where it has.
    pub ends: u64,
}

impl Temper {
    /// Without fault; those that come when all faults have ended are so.
    pub const CALM: Temper =
        Temper { falsifies: 0, signs_itself: false, lapses: 0, releases: 0, skilled: 1_000, ends: 0 };

    /// One agent's.
    pub fn draw(rng: &mut Rng) -> Temper {
        Temper {
            falsifies: if rng.chance(200) { rng.between(100, 700) } else { 0 },
            signs_itself: rng.chance(250),
            lapses: if rng.chance(300) { 200 } else { 0 },
            releases: if rng.chance(300) { 100 } else { 0 },
            skilled: rng.between(500, 1_000),
            ends: if rng.chance(500) { rng.between(5, 40) } else { 0 },
        }
    }
}

/// A lease that an agent holds, by what it was told.
#[derive(Debug, Clone)]
pub struct Held {
    /// What it was told.
    pub lease: Lease,
    /// When it is done, by the world's clock.
    pub done_at: u64,
    /// When it wants more time.
    pub renew_at: u64,
    /// What it does then.
    pub plan: Plan,
    /// Its result, once it is made: it is handed in until it is answered.
    pub result: Option<(Json, Vec<Digest>)>,
}

/// What an agent does with a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// It hands in what it is asked for.
    Works,
    /// It hands in something else.
    Falsifies,
    /// It forgets it.
    Lapses,
    /// It gives it back.
    Releases,
}

/// How an agent does for a while without its node acting in its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alone {
    /// Until when, by the world's clock: then it delegates anew.
    pub until: u64,
    /// Whether it is enrolled meanwhile, and signs its acts itself; else it does nothing.
    pub signs: bool,
}

/// An agent.
#[derive(Debug)]
pub struct Worker {
    /// Its key.
    pub key: SecretKey,
    /// Its id.
    pub id: AgentId,
    /// What it can do, sorted.
    pub skills: Vec<Skill>,
    /// How it is.
    pub temper: Temper,
    /// Its token's serial number, where it has one.
    pub serial: Option<u32>,
    /// What it holds, at its own node too.
    pub held: BTreeMap<Abroad, Held>,
    /// Whether it has ended what it let its node do, and has not delegated anew.
    pub alone: Option<Alone>,
}

impl Worker {
    /// The agent with this number at a node.
    pub fn new(slot: Slot, n: usize, temper: Temper, rng: &mut Rng) -> Worker {
        let key = SecretKey::from_seed(&Digest::of(format!("netsim worker {slot} {n}").as_bytes()).0);
        let mut skills: Vec<Skill> =
            SKILLS.iter().filter(|_| rng.chance(temper.skilled)).map(|text| skill(text)).collect();
        skills.sort_unstable();
        let (id, held) = (AgentId(key.public()), BTreeMap::new());
        Worker { id, key, skills, temper, serial: None, held, alone: None }
    }

    /// Who it is by its token.
    pub fn principal(&self) -> Option<Principal> {
        self.serial.map(|serial| Principal::Agent { id: self.id, serial })
    }

    /// Whether it signs its acts itself, now or always.
    pub fn signs_itself(&self) -> bool {
        self.temper.signs_itself || self.alone.is_some()
    }

    /// An act under its own signature, good for the serial number that it has.
    pub fn signed(&self, node: &Identity, act: OwnAct, serial: u32) -> Signed {
        let statement = statement_text(node, &self.id, act, serial).into_bytes();
        Signed { signature: self.key.sign(&statement), statement }
    }

    /// Its own signature over an act, where it signs itself.
    pub fn sign(&self, home: &Identity, act: &Act, at: Wall) -> Option<(Wall, Signature)> {
        self.signs_itself().then(|| {
            let text = act_text(home, &self.id, &self.skills, act, at);
            (at, self.key.sign(text.as_bytes()))
        })
    }

    /// It was told that it has won.
    pub fn take(&mut self, at: u64, lease: Abroad, told: Lease, rng: &mut Rng) {
        let term = u64::from(told.lease_ms);
        let plan = match rng.below(1_000) {
            n if n < self.temper.lapses => Plan::Lapses,
            n if n < self.temper.lapses + self.temper.releases => Plan::Releases,
            _ if rng.chance(self.temper.falsifies) => Plan::Falsifies,
            _ => Plan::Works,
        };
        let most = if self.temper == Temper::CALM { 1_000 } else { term * 3 / 2 };
        let held = Held {
            done_at: at + rng.between(100, most),
            renew_at: at + term / 2,
            lease: told,
            plan,
            result: None,
        };
        self.held.entry(lease).or_insert(held);
    }
}
