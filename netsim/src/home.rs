//! A home as it ships, on a disk in memory: the rules, the journal and the commit loop between them. Inputs go in, frames
//! are gathered, one sync covers all who wait, and only then do the held effects leave. After a failed commit the live
//! state is thrown away and folded again; after a power loss the disk is what the fault layer left of it.
//!
//! Whatever comes off the disk and whatever leaves is shown to the invariants first.

mod answers;
mod life;
mod looks;

use crate::book::Book;
use crate::invariants::Violation;
use crate::letter::{Answer, Letter};
use crate::rng::Rng;
use crate::sabotage::{self, Sabotage};
use crate::witness::Witness;
use artel_audit::memory::MemoryDisk;
use artel_audit::{Commit, Fate, Journal, KeyRing, NewEntry, SnapshotJob};
use artel_federation::fact::{Admission, Outcome};
use artel_federation::{
    Effect, Entry, Federation, Genesis, Identity, Input, Now, Options, Principal, ReplyTo, Request,
};
use artel_protocol::id::{Digest, Epoch, StepId};
use artel_protocol::key::{AgentId, NodeId, SecretKey};
use artel_protocol::time::{Mono, Wall};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// The first moment of a world by a good clock.
pub const WALL_START_MS: u64 = 1_771_588_800_000;

/// What a home wants from the world.
#[derive(Debug)]
pub enum Out {
    /// An answer leaves.
    Answer(Answer),
    /// Time for a commit after so many milliseconds.
    CommitIn(u64),
    /// A submission is to be checked.
    Check(StepId, Epoch),
    /// The home is down.
    Down,
}

/// What happened at a home, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Commits that were synced.
    pub commits: u64,
    /// Entries in them.
    pub entries: u64,
    /// Power losses.
    pub crashes: u64,
    /// Of those, at a write or a sync that was under way.
    pub crashes_at_points: u64,
    /// Ends of the process alone, and failed commits.
    pub restarts: u64,
    /// Starts from a snapshot.
    pub restored: u64,
    /// Answers that left.
    pub answers: u64,
    /// Checkpoints published.
    pub heads: u64,
}

impl Counts {
    /// Adds another home's.
    pub fn add(&mut self, other: Counts) {
        self.commits += other.commits;
        self.entries += other.entries;
        self.crashes += other.crashes;
        self.crashes_at_points += other.crashes_at_points;
        self.restarts += other.restarts;
        self.restored += other.restored;
        self.answers += other.answers;
        self.heads += other.heads;
    }
}

/// How often each kind of entry, answer and refusal was seen: what the worlds exercise.
pub type Tally = BTreeMap<&'static str, u64>;

/// A request that waits for its answer.
struct Pending {
    letter: Letter,
    at: u64,
    serial_min: u32,
}

/// What a process has in memory.
struct Live {
    journal: Journal,
    federation: Federation,
    group: Commit<Effect>,
    commit_due: bool,
    commits: u64,
    /// By when each lease must be over, by the world's clock.
    leases: BTreeMap<StepId, (Epoch, u64)>,
    checks: BTreeSet<(StepId, Epoch)>,
    snapshot: Option<(SnapshotJob, Vec<u8>)>,
}

/// A home.
pub struct Home {
    number: usize,
    identity: Identity,
    genesis: Genesis,
    options: Options,
    secret: Arc<SecretKey>,
    ring: Arc<KeyRing>,
    disk: MemoryDisk,
    live: Option<Live>,
    booted_at: u64,
    wall_skew: i64,
    book: Book,
    fold: Federation,
    witness: Witness,
    pending: BTreeMap<ReplyTo, Pending>,
    replies: u64,
    /// Bodies of the frames that were decided and not yet read back from the disk.
    decided: VecDeque<Vec<Vec<u8>>>,
    offers: VecDeque<StepId>,
    /// The state one commit ago, for the bug that takes it for the present one.
    stale_state: Option<Vec<u8>>,
    sync_ms: u64,
    sabotage: Option<Sabotage>,
    rng: Rng,
    out: Vec<Out>,
    counts: Counts,
    tally: Tally,
    /// Writes and syncs on the disks before the present one.
    points_before: u64,
    /// How many of a thousand starts lose power before long.
    falls_again: u64,
}

impl Home {
    /// A home that was never started.
    pub fn new(
        number: usize,
        options: Options,
        sync_ms: u64,
        sabotage: Option<Sabotage>,
        mut rng: Rng,
    ) -> Home {
        let secret = SecretKey::from_seed(&Digest::of(format!("netsim home {number}").as_bytes()).0);
        let node = NodeId(secret.public());
        let genesis = Genesis {
            name: format!("federation {number}"),
            founders: vec![node],
            admission: Admission::Open,
            recovery: Digest::of(b"recovery"),
            created: Wall(WALL_START_MS),
        };
        let identity = Identity { node, federation: genesis.id() };
        Home {
            number,
            identity,
            genesis,
            fold: Federation::new(identity, options.clone()),
            options,
            secret: Arc::new(secret),
            ring: Arc::new(KeyRing::generate(&mut rng)),
            disk: MemoryDisk::with_seed(rng.draw()),
            live: None,
            booted_at: 0,
            wall_skew: 0,
            book: Book::default(),
            witness: Witness::default(),
            pending: BTreeMap::new(),
            replies: 0,
            decided: VecDeque::new(),
            offers: VecDeque::new(),
            stale_state: None,
            sync_ms,
            sabotage,
            rng,
            out: Vec::new(),
            counts: Counts::default(),
            tally: Tally::new(),
            points_before: 0,
            falls_again: 0,
        }
    }

    /// Puts the data keys on the disk, as an operator's first start does.
    pub fn found(&self) {
        self.ring.store(&self.disk).expect("a new disk has no faults");
    }

    /// How often each kind of entry, answer and refusal was seen.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// How many writes and syncs its disks saw.
    pub fn points(&self) -> u64 {
        self.points_before + self.disk.points()
    }

    /// From now on so many of a thousand starts lose power before long.
    pub fn set_falls_again(&mut self, permille: u64) {
        self.falls_again = permille;
    }

    /// The node and its federation.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What its journal says.
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// What was counted.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Whether its process runs.
    pub fn is_up(&self) -> bool {
        self.live.is_some()
    }

    /// Steps that were offered lately.
    pub fn offers(&mut self) -> &[StepId] {
        self.offers.make_contiguous()
    }

    /// What it wants from the world since the last call.
    pub fn take_out(&mut self) -> Vec<Out> {
        std::mem::take(&mut self.out)
    }

    /// When it wants a tick at the latest, by the world's clock.
    pub fn next_timer(&self) -> Option<u64> {
        let live = self.live.as_ref()?;
        let rules = live.federation.next_timer();
        let slot = live.journal.next_tick().map(|at| Mono(at.0.max(1)));
        rules.into_iter().chain(slot).min().map(|at| self.booted_at + at.0)
    }

    /// By its wall clock, what time it is.
    pub fn wall(&self, at: u64) -> Wall {
        Wall((WALL_START_MS + at).saturating_add_signed(self.wall_skew))
    }

    /// Its wall clock jumps.
    pub fn jump(&mut self, skew_ms: i64) {
        self.wall_skew = skew_ms;
    }

    fn now(&mut self, at: u64) -> Now {
        let ran_ms = if self.sabotage == Some(Sabotage::StoppedClock) { 0 } else { at - self.booted_at };
        let mut entropy = self.rng.entropy();
        sabotage::bend_entropy(self.sabotage, &mut entropy);
        Now { mono: Mono(ran_ms), wall: self.wall(at), entropy }
    }

    /// A letter arrives.
    ///
    /// # Errors
    /// The invariant that does not hold.
    pub fn deliver(&mut self, at: u64, letter: Letter) -> Result<(), Violation> {
        if self.live.is_none() {
            return Ok(());
        }
        self.witness.delivered(&letter);
        self.replies += 1;
        let to = ReplyTo(self.replies);
        let serial_min = match letter.principal {
            Principal::Agent { id, .. } => self.book.agents.get(&id).map_or(0, |page| page.serial),
            _ => 0,
        };
        let (principal, request) = (letter.principal, letter.request.clone());
        self.pending.insert(to, Pending { letter, at, serial_min });
        self.input(at, Input::Request { to, principal, correlation: None, request })
    }

    /// Whoever waits longest for an answer hangs up.
    ///
    /// # Errors
    /// The invariant that does not hold.
    pub fn hang_up(&mut self, at: u64) -> Result<(), Violation> {
        let waits = |pending: &Pending| matches!(pending.letter.request, Request::ClaimNext(_));
        let Some(to) = self.pending.iter().find(|(_, pending)| waits(pending)).map(|(to, _)| *to) else {
            return Ok(());
        };
        // Its answer may still come where it was decided already.
        self.input(at, Input::Abandoned(to))?;
        if let Some(pending) = self.pending.get_mut(&to) {
            pending.at = u64::MAX;
        }
        Ok(())
    }

    /// A check is done.
    ///
    /// # Errors
    /// The invariant that does not hold.
    pub fn checked(
        &mut self,
        at: u64,
        step: StepId,
        epoch: Epoch,
        outcome: Outcome,
    ) -> Result<(), Violation> {
        self.input(at, Input::Checked { step, epoch, outcome })
    }

    /// The edge refuses somebody.
    ///
    /// # Errors
    /// The invariant that does not hold.
    pub fn refuse_at_edge(&mut self, at: u64, who: AgentId) -> Result<(), Violation> {
        let who = artel_federation::fact::Poster::Agent(who);
        self.input(at, Input::RefusedAtEdge { who, code: "rate_limited" })
    }

    /// Time has passed: due timers go off, a due checkpoint slot is synced.
    ///
    /// # Errors
    /// The invariant that does not hold.
    pub fn tick(&mut self, at: u64) -> Result<(), Violation> {
        let mono = Mono(at.saturating_sub(self.booted_at));
        if let Some(live) = &mut self.live
            && live.journal.tick(mono).is_err()
            && self.disk.crashed()
        {
            return self.fall(true);
        }
        self.input(at, Input::Tick)
    }

    fn input(&mut self, at: u64, mut input: Input) -> Result<(), Violation> {
        let now = self.now(at);
        sabotage::bend_input(self.sabotage, &mut input, &self.book);
        let Some(live) = &mut self.live else { return Ok(()) };
        let mut effects = Vec::new();
        live.federation.handle(input, now, &mut effects);
        self.take(at, effects)
    }

    /// Gathers what an input decided. Effects behind a frame wait for it, and for all frames before it.
    fn take(&mut self, at: u64, effects: Vec<Effect>) -> Result<(), Violation> {
        for effect in effects {
            match effect {
                Effect::Append(entries) => self.append(entries),
                Effect::Reply { .. } if self.sabotage == Some(Sabotage::EarlyAnswer) => {
                    self.release(at, effect)?
                }
                Effect::Reply { to, .. } if self.sabotage == Some(Sabotage::SecondWinner) => {
                    let effect = self.second_winner(to, effect);
                    self.hold(effect);
                }
                other => self.hold(other),
            }
        }
        let Some(live) = &mut self.live else { return Ok(()) };
        if live.group.is_empty() {
            return self.commit(at);
        }
        if !live.commit_due {
            live.commit_due = true;
            self.out.push(Out::CommitIn(self.rng.between(1, self.sync_ms)));
        }
        Ok(())
    }

    fn append(&mut self, mut entries: Vec<Entry>) {
        sabotage::bend_entries(self.sabotage, &mut entries);
        self.decided.push_back(entries.iter().map(Entry::encode).collect());
        let Some(live) = &mut self.live else { return };
        for frame in sabotage::bend_frame(self.sabotage, entries) {
            let new = |entry: &Entry| NewEntry { class: entry.fact.class(), body: entry.encode() };
            live.group.frame(frame.iter().map(new).collect());
        }
    }

    fn hold(&mut self, effect: Effect) {
        if let Some(live) = &mut self.live {
            live.group.hold(effect);
        }
    }

    /// One write and one sync for all who wait.
    ///
    /// # Errors
    /// The invariant that does not hold.
    pub fn commit(&mut self, at: u64) -> Result<(), Violation> {
        let Some(live) = &mut self.live else { return Ok(()) };
        live.commit_due = false;
        let group = std::mem::take(&mut live.group);
        let wrote = !group.is_empty();
        if wrote && self.sabotage == Some(Sabotage::StaleSnapshot) {
            self.stale_state = Some(self.fold.snapshot().encode());
        }
        match live.journal.commit(group) {
            Ok(released) => {
                if wrote {
                    live.commits += 1;
                    self.counts.commits += 1;
                    self.read_back(at, &released.appended)?;
                }
                for effect in released.effects {
                    self.release(at, effect)?;
                }
                if wrote { self.look_at_state() } else { Ok(()) }
            }
            Err(failed) if self.disk.crashed() => {
                drop(failed);
                self.fall(true)
            }
            Err(failed) => self.refold(at, failed.fate == Fate::Gone && failed.error.is_full()),
        }
    }
}

/// A check's answer, drawn.
pub fn judge(rng: &mut Rng, reject: u64) -> Outcome {
    if rng.chance(reject) {
        return Outcome::Rejected { check: "schema".into(), findings: "not an object".into() };
    }
    Outcome::Accepted { quality: rng.between(0, 100) as u8, checked: true }
}
