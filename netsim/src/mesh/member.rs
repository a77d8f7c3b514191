//! A node as it ships, on a disk in memory: journal, rules, others' records, the witness table, the exchange; and the shell
//! around them, which is the simulator's own and does what `node/src/neighbours` does, one thing at a time.

mod exchange;
mod gossip;
mod greeting;
mod heads;
mod interest;
mod life;
mod market;
mod publish;
mod turns;

use super::context::{Context, Does, Stop, held};
use super::heard::Heard;
use super::invariants;
use super::mail::{Mail, Out, Wake};
use super::overlay::{Flaws, Overlay, Rpc, Traffic};
use super::packet::{Id, Slot};
use super::sabotage::MeshSabotage;
use crate::home::WALL_START_MS;
use crate::invariants::Violation;
use crate::rng::Rng;
use artel_audit::index::MemoryStore;
use artel_audit::memory::{Fault, MemoryDisk, Plan};
use artel_audit::records::witness::WitnessTable;
use artel_audit::records::{Limits, RecordStore, Records as Kept};
use artel_audit::{Commit, Journal, KeyRing, NewEntry};
use artel_federation::effect::Refusal;
use artel_federation::exchange::Exchange;
use artel_federation::fact::Cosigned;
use artel_federation::fetching::Fetching;
use artel_federation::watch::Watch;
use artel_federation::{Effect, Entry, Fact, Federation, Identity, Input, Now, Options, Principal, ReplyTo};
use artel_federation::{Genesis, Reply, Request};
use artel_protocol::continuity::Ask;
use artel_protocol::id::Digest;
use artel_protocol::invitation::InvitationSecret;
use artel_protocol::key::{NodeId, SecretKey};
use artel_protocol::log::leaf::Class;
use artel_protocol::log::{Leaf, Origin, SignedCheckpoint};
use artel_protocol::time::{Mono, Wall};
use exchange::Pull;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use exchange::ROUND_MS;
pub use greeting::{Hello, Judged};

/// For how long entries are gathered into frames (`publisher.rs`), in milliseconds.
const GATHER_MS: u64 = 100;

/// What others may take here: small, so that a flood in a world of minutes meets the limit.
pub const LIMITS: Limits = Limits {
    author_bytes_max: 64 << 10,
    store_bytes_max: 16 << 20,
    authors_max: 1_024,
    segment_bytes: 32 << 10,
};

/// After how many rejected messages a neighbour is dropped (`SCORE_GRAYLIST`).
const BLAMES_MAX: u32 = 9;

/// An entry that admits, expels or ends a delegation: its author, its index, what it says.
type Word = (NodeId, u64, Fact);

/// How a node's agent stands.
#[derive(Debug, Default)]
struct Agent {
    serial: Option<u32>,
}

/// What a process has in memory.
struct Live {
    journal: Journal,
    federation: Federation,
    exchange: Exchange,
    store: RecordStore,
    kept: Kept,
    table: WitnessTable,
    /// What is known of others' journals.
    watch: Watch,
    /// What nodes were asked about their journals, by the question's number.
    asking: BTreeMap<u64, (Origin, Ask)>,
    overlay: Overlay,
    /// From whom is fetched in a while what is missing of what is not followed.
    later: BTreeSet<Slot>,
    up: BTreeMap<Slot, NodeId>,
    blames: BTreeMap<Slot, u32>,
    /// Up to which entry the publisher has told.
    told: u64,
    publish_due: bool,
    /// The size of the last head that was told.
    last_head: u64,
    pulls: BTreeMap<Slot, Pull>,
    fetching: Fetching,
    again: BTreeSet<Slot>,
    turn: Option<Slot>,
    /// Proofs of fraud, by whose journal they are about.
    frauds: BTreeMap<Origin, Vec<u8>>,
    /// Who has cosigned which sizes of this node's journal.
    witnesses: BTreeMap<u64, BTreeMap<NodeId, Cosigned>>,
    /// What was heard of membership since the start, for the invariants.
    heard: Heard,
    /// All of that which others said, and of delegations that ended, for the file `members`.
    words: Vec<Word>,
    /// Messages that were judged, with their moments, and those that may be passed on, for the invariants.
    judged: BTreeMap<Id, u64>,
    passed: BTreeSet<Id>,
    /// Its part in the market, where there is one.
    trade: Option<Box<market::Trade>>,
}

/// A node.
pub struct Member {
    /// Its place.
    pub slot: Slot,
    /// Its key and federation.
    pub identity: Identity,
    genesis: Genesis,
    secret: Arc<SecretKey>,
    ring: Arc<KeyRing>,
    disk: MemoryDisk,
    index: Arc<MemoryStore>,
    live: Option<Live>,
    booted_at: u64,
    /// What lets it in: the frames of its admission and of those above it (the file `admission`).
    chain: Vec<Vec<u8>>,
    /// What others said of membership, as of when records were last given up (the file `members`).
    words: Vec<Word>,
    /// Who invited it, and the invitation's secret where it has one.
    pub invited: Option<(Slot, Option<InvitationSecret>)>,
    agent: Agent,
    replies: u64,
    streams: u64,
    sabotage: Option<MeshSabotage>,
    rng: Rng,
    out: Vec<Out>,
    traffic: Traffic,
    seat: Option<Box<market::Seat>>,
}

/// The key of a node's place.
pub fn key_of(slot: Slot) -> SecretKey {
    SecretKey::from_seed(&Digest::of(format!("netsim mesh {slot}").as_bytes()).0)
}

impl Member {
    /// A node that was never started. Whoever stands in the genesis record founds, the others join.
    pub fn new(slot: Slot, genesis: &Genesis, sabotage: Option<MeshSabotage>, mut rng: Rng) -> Member {
        let secret = key_of(slot);
        let identity = Identity { node: NodeId(secret.public()), federation: genesis.id() };
        let ring = Arc::new(KeyRing::generate(&mut rng));
        let disk = MemoryDisk::with_seed(rng.draw());
        ring.store(&disk).expect("a new disk has no faults");
        Member {
            slot,
            identity,
            genesis: genesis.clone(),
            secret: Arc::new(secret),
            ring,
            disk,
            index: Arc::default(),
            live: None,
            booted_at: 0,
            chain: Vec::new(),
            words: Vec::new(),
            invited: None,
            agent: Agent::default(),
            replies: 0,
            streams: 0,
            sabotage,
            rng,
            out: Vec::new(),
            traffic: Traffic::default(),
            seat: None,
        }
    }

    /// The same node from a copy of its disk, in another place.
    pub fn copy(&self, slot: Slot, mut rng: Rng) -> Member {
        Member {
            slot,
            identity: self.identity,
            genesis: self.genesis.clone(),
            secret: self.secret.clone(),
            ring: self.ring.clone(),
            disk: self.disk.copy(),
            index: Arc::default(),
            live: None,
            booted_at: 0,
            chain: self.chain.clone(),
            words: self.words.clone(),
            invited: None,
            agent: Agent::default(),
            replies: 0,
            streams: rng.below(1 << 20),
            sabotage: self.sabotage,
            rng,
            out: Vec::new(),
            traffic: Traffic::default(),
            seat: None,
        }
    }

    /// Its journal's name.
    pub fn origin(&self) -> Origin {
        Origin::new(self.identity.federation, self.identity.node, 0)
    }

    /// Whether its process runs.
    pub fn is_up(&self) -> bool {
        self.live.is_some()
    }

    /// Whether it was let in, or founded.
    pub fn is_let_in(&self) -> bool {
        !self.chain.is_empty() || self.genesis.is_founder(&self.identity.node)
    }

    /// How long its chain of admissions is.
    pub fn depth(&self) -> usize {
        self.chain.len()
    }

    /// Its neighbours.
    pub fn neighbours(&self) -> impl Iterator<Item = (Slot, NodeId)> + '_ {
        self.live.iter().flat_map(|live| live.up.iter().map(|(slot, node)| (*slot, *node)))
    }

    /// What gossip carried here, over all its lives.
    pub fn traffic(&self) -> Traffic {
        let live = self.live.as_ref().map(|live| live.overlay.traffic()).unwrap_or_default();
        Traffic {
            copies: self.traffic.copies + live.copies,
            repeats: self.traffic.repeats + live.repeats,
            announced: self.traffic.announced + live.announced,
            asked: self.traffic.asked + live.asked,
        }
    }

    /// What it wants from the world since the last call.
    pub fn take_out(&mut self) -> Vec<Out> {
        std::mem::take(&mut self.out)
    }

    /// Plans a fault of the disk at one of the next writes and syncs.
    pub fn plan(&mut self, fault: Fault, count: u64) {
        let from = self.disk.points() + self.rng.below(40);
        self.disk.plan(Plan { fault, from, count });
    }

    /// All faults of the disk end.
    pub fn heal(&mut self) {
        self.disk.heal();
    }

    /// Loses power.
    pub fn power_loss(&mut self) {
        self.disk.crash();
    }

    /// Whether power was lost.
    pub fn has_crashed(&self) -> bool {
        self.disk.crashed()
    }

    /// The process ends, however; what the disk was told stays.
    pub fn lie_down(&mut self) {
        self.traffic = self.traffic();
        self.live = None;
        self.out.clear();
    }

    fn flaws(&self) -> Flaws {
        Flaws {
            heedless: self.sabotage == Some(MeshSabotage::ShardsForAll),
            forgets: self.sabotage == Some(MeshSabotage::CopiesJudged),
            hasty: self.sabotage == Some(MeshSabotage::ForwardUnjudged),
        }
    }

    fn now(&mut self, at: u64) -> Now {
        Now { mono: Mono(at - self.booted_at), wall: wall(at), entropy: self.rng.entropy() }
    }

    /// Somebody asks the rules; answers what they say once that is synced.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn ask(
        &mut self,
        context: &mut Context,
        principal: Principal,
        request: Request,
    ) -> Does<Option<Result<Reply, Refusal>>> {
        if let (Principal::Operator, Request::Admit { node, .. }) = (principal, &request) {
            context.truth.named.insert((self.slot, *node));
        }
        self.put(context, principal, request)
    }

    /// Puts a request to the rules.
    fn put(
        &mut self,
        context: &mut Context,
        principal: Principal,
        request: Request,
    ) -> Does<Option<Result<Reply, Refusal>>> {
        self.replies += 1;
        let to = ReplyTo(self.replies);
        let input = Input::Request { to, principal, correlation: None, request };
        let now = self.now(context.at);
        let Some(live) = &mut self.live else { return Err(Stop::Down) };
        let mut effects = Vec::new();
        live.federation.handle(input, now, &mut effects);
        self.carry_out(context, Some(to), effects)
    }

    /// Appends what an input decided, syncs, and hands out the answer to it.
    fn carry_out(
        &mut self,
        context: &mut Context,
        asked: Option<ReplyTo>,
        effects: Vec<Effect>,
    ) -> Does<Option<Result<Reply, Refusal>>> {
        let Some(live) = &mut self.live else { return Err(Stop::Down) };
        let mut commit = Commit::new();
        let mut bodies = Vec::new();
        let mut facts = Vec::new();
        for effect in effects {
            match effect {
                Effect::Append(mut entries) => {
                    if self.sabotage == Some(MeshSabotage::PaidShort) {
                        market::pay_short(&mut entries);
                    }
                    if self.sabotage == Some(MeshSabotage::RecalledTwice) {
                        market::recall_twice(&mut entries);
                    }
                    let class = |entry: &Entry| match self.sabotage {
                        Some(MeshSabotage::PrivateMadePublic) => Class::Public,
                        Some(MeshSabotage::EndingUntold)
                            if matches!(entry.fact, Fact::DelegationEnded(_)) =>
                        {
                            Class::Private
                        }
                        _ => entry.fact.class(),
                    };
                    let new = |entry: &Entry| NewEntry { class: class(entry), body: entry.encode() };
                    let frame: Vec<NewEntry> = entries.iter().map(new).collect();
                    bodies.extend(frame.iter().map(|entry| entry.body.clone()));
                    facts.extend(entries);
                    commit.frame(frame);
                }
                other => commit.hold(other),
            }
        }
        let Ok(released) = live.journal.commit(commit) else { return Err(Stop::Down) };
        let leaves: Vec<Leaf> = released.appended.iter().flat_map(|frame| frame.leaves.clone()).collect();
        invariants::admissions_have_grounds(self.slot, &mut context.truth, &facts)?;
        let book = context.truth.books.get_mut(&self.slot).expect("every node has one");
        for (leaf, body) in leaves.iter().zip(&bodies) {
            book.take(leaf, body);
        }
        context.counts.entries += bodies.len() as u64;
        if !bodies.is_empty() && !std::mem::replace(&mut live.publish_due, true) {
            self.out.push(Out::Later(GATHER_MS, Wake::Publish));
        }
        if self.seat.is_some() {
            self.synced_for_market(context, &leaves, &facts)?;
        }
        let mut said = None;
        for effect in released.effects {
            match effect {
                Effect::Reply { to, answer } if Some(to) == asked => said = Some(answer),
                other if self.seat.is_some() => self.carry_out_for_market(context, other)?,
                _ => {}
            }
        }
        self.look_at_market(context)?;
        Ok(said)
    }

    /// The newest checkpoint, on disk before it is shown.
    fn checkpoint(&mut self, context: &mut Context) -> Does<SignedCheckpoint> {
        let Some(live) = &mut self.live else { return Err(Stop::Down) };
        let Ok(checkpoint) = live.journal.checkpoint() else { return Err(Stop::Down) };
        let book = context.truth.books.get_mut(&self.slot).expect("every node has one");
        book.shown = book.shown.max(checkpoint.size());
        Ok(checkpoint)
    }

    /// Sends gossip that the overlay decided on; nothing leaves that was not judged.
    fn send_all(&mut self, outbox: Vec<(Slot, Rpc)>) -> Does {
        let Some(live) = &self.live else { return Err(Stop::Down) };
        for (to, rpc) in outbox {
            if let Rpc::Publish(packet, _) = &rpc {
                invariants::nothing_is_forwarded_unjudged(self.slot, &live.passed, &packet.id)?;
            }
            self.out.push(Out::Send(to, Mail::Gossip(rpc)));
        }
        Ok(())
    }

    fn live(&mut self) -> Does<&mut Live> {
        self.live.as_mut().ok_or(Stop::Down)
    }

    fn unsound(&self, what: String) -> Stop {
        Stop::Broken(Violation { invariant: "invariant_a_sound_disk_opens", home: self.slot, what })
    }

    /// What the shipped exchange says of membership is what follows from all that was heard.
    fn look_at_members(&mut self, context: &mut Context) -> Does {
        if !context.looks() {
            return Ok(());
        }
        let Some(live) = &self.live else { return Err(Stop::Down) };
        let wanted = live.heard.members(&self.genesis, &self.identity.node);
        held(
            "invariant_membership_is_as_heard",
            self.slot,
            invariants::membership_is_as_heard(&live.exchange, &wanted),
        )
    }
}

/// The wall clock at a moment of the world's.
pub fn wall(at: u64) -> Wall {
    Wall(WALL_START_MS + at)
}

/// The rules' numbers in a mesh world.
fn options(has_market: bool) -> Options {
    let usual = Options { window_ms: 0, ..Options::default() };
    match has_market {
        // Short, so that leases run out and homes are silent in a world of minutes.
        true => Options { lease_ms: 20_000, lease_total_ms: 120_000, verdict_within_ms: 30_000, ..usual },
        false => usual,
    }
}

impl Member {
    /// Up to where it holds a journal's records, as it tells others; nothing while it is down.
    pub fn mark_of(&self, origin: &Origin) -> Option<u64> {
        let live = self.live.as_ref()?;
        let own = artel_protocol::sync::Mark { origin: self.origin(), next: 0 };
        let marks = live.exchange.marks(own);
        Some(marks.iter().find(|mark| mark.origin == *origin).map_or(0, |mark| mark.next))
    }

    /// All that it keeps of others, journal by journal.
    pub fn kept_frames(&self, bytes: usize) -> Vec<(Origin, Vec<Vec<u8>>)> {
        let Some(live) = &self.live else { return Vec::new() };
        let all = |origin: Origin| {
            let (mut next, mut all) = (0, Vec::new());
            loop {
                let (frames, then) = live.kept.frames(&origin, next, bytes);
                if frames.is_empty() || then <= next {
                    return (origin, all);
                }
                all.extend(frames);
                next = then;
            }
        };
        live.kept.marks().into_iter().map(|(origin, _)| all(origin)).collect()
    }
}
