//! A home as it ships, on a disk in memory: the rules, the journal and the commit loop between them. Inputs go in, frames
//! are gathered, one sync covers all who wait, and only then do the held effects leave. After a failed commit the live
//! state is thrown away and folded again; after a power loss the disk is what the fault layer left of it.
//!
//! Whatever comes off the disk and whatever leaves is shown to the invariants first.

use crate::book::{Book, Life};
use crate::invariants::{
    self, EntrySeen, FrameSeen, StateSeen, Told, Violation, evidence, journal, progress,
};
use crate::letter::{Answer, Letter};
use crate::rng::Rng;
use crate::sabotage::{self, LyingDisk, Sabotage};
use crate::witness::Witness;
use artel_audit::files::Files;
use artel_audit::memory::{Fault, MemoryDisk, Plan};
use artel_audit::{Appended, Commit, Fate, Journal, KeyRing, NewEntry, SegmentSizes, SnapshotJob, verify};
use artel_federation::effect::Lease;
use artel_federation::fact::{Admission, End, Outcome};
use artel_federation::{
    Effect, Entry, Fact, Federation, Genesis, Identity, Input, Now, Options, Principal, Reply, ReplyTo,
    Request,
};
use artel_protocol::id::{Digest, Epoch, StepId};
use artel_protocol::key::{AgentId, NodeId, SecretKey};
use artel_protocol::log::{Hash, Origin, consistency};
use artel_protocol::time::{Mono, Wall};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// The bytes of a segment: small, so that worlds of minutes see many of them.
const SEGMENT_BYTES: u64 = 48 << 10;

/// The bytes of a segment that is made in haste.
const HASTY_SEGMENT_BYTES: u64 = 8 << 10;

/// After how many commits the live state is compared with the fold, besides at every start.
const FOLD_EVERY: u64 = 16;

/// By how much a lease may outlive its term: the timer's millisecond, a commit on a slow disk, and room.
const LEASE_SLACK_MS: u64 = 3_000;

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

/// How many offers agents hear of.
const OFFERS_HEARD: usize = 24;

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
        Now { mono: Mono(ran_ms), wall: self.wall(at), entropy: self.rng.entropy() }
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

    fn second_winner(&self, to: ReplyTo, effect: Effect) -> Effect {
        let (Some(pending), Some(live)) = (self.pending.get(&to), &self.live) else { return effect };
        let (Request::Claim(id), Effect::Reply { answer: Err(_), .. }) = (&pending.letter.request, &effect)
        else {
            return effect;
        };
        let Some((run, step)) = live.federation.view().step(id).filter(|(_, step)| step.epoch.0 > 0) else {
            return effect;
        };
        let task = &step.spec.task;
        let lease = Lease {
            step: *id,
            run: run.id,
            epoch: step.epoch,
            expires: task.deadline,
            lease_ms: self.options.lease_ms,
            index: step.granted_at.unwrap_or(0),
            title: task.title.clone(),
            description: String::new(),
            name: step.spec.name.clone(),
            input: task.input.clone(),
            inputs: run.inputs.clone(),
            needs: Vec::new(),
            artifacts: Vec::new(),
            output_schema: None,
            reward: task.reward,
            deadline: task.deadline,
        };
        Effect::Reply { to, answer: Ok(Reply::Leased(Box::new(lease))) }
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
            self.stale_state = Some(self.fold.snapshot());
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

    /// Reads the frames of a commit back from the disk and shows them to the invariants.
    fn read_back(&mut self, at: u64, appended: &[Appended]) -> Result<(), Violation> {
        let Some(live) = &self.live else { return Ok(()) };
        let reader = live.journal.reader();
        for frame in appended {
            let mut bodies = Vec::with_capacity(frame.leaves.len());
            let mut leaves = Vec::with_capacity(frame.leaves.len());
            for index in frame.first_index..frame.first_index + frame.leaves.len() as u64 {
                let entry = reader.entry(index);
                let entry =
                    entry.map_err(|e| self.unsound(format!("synced entry {index} cannot be read: {e}")))?;
                leaves.push(entry.leaf.hash());
                bodies.push(entry.body);
            }
            let decided = self.decided.pop_front();
            let wanted = decided.as_deref();
            journal::invariant_frames_are_whole(
                self.number,
                std::iter::once(&bodies[..]),
                wanted.into_iter(),
            )?;
            let entries = self.decode(&bodies)?;
            take_frame(self.number, &mut self.book, &self.witness, &self.options, &entries, &leaves)?;
            self.counts.entries += entries.len() as u64;
            let folded = self.fold.fold(&entries, &mut Vec::new());
            folded.map_err(|e| self.unsound(e.to_string()))?;
            self.hear_of(at, &entries);
        }
        Ok(())
    }

    fn unsound(&self, what: String) -> Violation {
        Violation { invariant: "invariant_a_sound_disk_opens", home: self.number, what }
    }

    fn decode(&self, bodies: &[Vec<u8>]) -> Result<Vec<Entry>, Violation> {
        let decode = |body: &Vec<u8>| {
            Entry::decode(body).map_err(|e| self.unsound(format!("an entry is unreadable: {e}")))
        };
        bodies.iter().map(decode).collect()
    }

    /// What the world remembers of fresh entries: offers to talk about, terms to hold the home to.
    fn hear_of(&mut self, at: u64, entries: &[Entry]) {
        for entry in entries {
            *self.tally.entry(entry.fact.kind().name()).or_default() += 1;
            match &entry.fact {
                Fact::Offered(f) => {
                    self.offers.push_back(f.step);
                    if self.offers.len() > OFFERS_HEARD {
                        self.offers.pop_front();
                    }
                }
                Fact::StepEnded(f) => *self.tally.entry(end_name(f.end)).or_default() += 1,
                Fact::Granted(f) => self.expect_end(f.step, f.epoch, at + u64::from(f.lease_ms)),
                _ => {}
            }
        }
    }

    fn expect_end(&mut self, step: StepId, epoch: Epoch, by: u64) {
        if let Some(live) = &mut self.live {
            live.leases.insert(step, (epoch, by));
        }
    }

    /// Lets one effect out.
    fn release(&mut self, at: u64, effect: Effect) -> Result<(), Violation> {
        match effect {
            Effect::Append(_) => unreachable!("entries are journalled, not released"),
            Effect::Reply { to, answer } => self.answer(at, to, answer),
            Effect::Check { step, epoch, .. } => {
                if let Some(live) = &mut self.live {
                    live.checks.insert((step, epoch));
                }
                self.out.push(Out::Check(step, epoch));
                Ok(())
            }
            Effect::Closed(run) => {
                let open =
                    (0..run.steps.len()).map(|i| run.id.step(i)).find(|id| self.book.open.contains(id));
                match open {
                    None => Ok(()),
                    Some(id) => Err(Violation {
                        invariant: "invariant_runs_end",
                        home: self.number,
                        what: format!("run {} is closed while step {id} is open", run.id),
                    }),
                }
            }
        }
    }

    fn answer(
        &mut self,
        at: u64,
        to: ReplyTo,
        said: Result<Reply, artel_federation::Refusal>,
    ) -> Result<(), Violation> {
        let Some(pending) = self.pending.remove(&to) else {
            return progress::invariant_requests_are_answered_once(self.number, None);
        };
        let Pending { letter, serial_min, .. } = pending;
        let answer = Answer { to: letter.from, home: letter.home, number: letter.number, said };
        let told =
            Told { book: &self.book, witness: &self.witness, letter: &letter, answer: &answer, serial_min };
        invariants::told(self.number, &told)?;
        *self.tally.entry(answer_name(&answer)).or_default() += 1;
        self.remember(at, &letter, &answer);
        self.counts.answers += 1;
        self.out.push(Out::Answer(answer));
        Ok(())
    }

    fn remember(&mut self, at: u64, letter: &Letter, answer: &Answer) {
        let Ok(reply) = &answer.said else { return };
        let mut lease = None;
        match reply {
            Reply::Leased(won) => lease = Some(won.as_ref()),
            Reply::Submitted(receipt) => {
                lease = receipt.next.as_deref();
                if let Some(judged) = &receipt.verdict {
                    self.witness.verdicts.insert((receipt.step, receipt.epoch), judged.index);
                }
            }
            Reply::Renewed { .. } => {
                if let Request::Renew { step, epoch } = letter.request {
                    self.expect_end(step, epoch, at + u64::from(self.options.lease_ms));
                }
            }
            Reply::Run { .. } | Reply::Repeated(_) => {
                let run = match reply {
                    Reply::Run { run, .. } => run.id,
                    Reply::Repeated(run) => *run,
                    _ => return,
                };
                if let Request::Post(post) = &letter.request
                    && let Some((key, _)) = &post.key
                {
                    let who = (letter.from.number(), Digest::of(key.as_bytes()));
                    self.witness.posted.insert(who, run);
                }
            }
            _ => {}
        }
        if let (Some(lease), Principal::Agent { id, .. }) = (lease, letter.principal) {
            self.witness.winners.insert((lease.step, lease.epoch), id);
        }
    }

    fn look_at_state(&mut self) -> Result<(), Violation> {
        let Some(live) = &self.live else { return Ok(()) };
        let seen = StateSeen { book: &self.book, view: live.federation.view() };
        invariants::state(self.number, &seen)?;
        let due = |step: &StepId, epoch: &Epoch| live.checks.contains(&(*step, *epoch));
        progress::invariant_checks_are_asked_for(self.number, &self.book, due)?;
        if live.commits.is_multiple_of(FOLD_EVERY) {
            journal::invariant_state_is_the_fold(self.number, &live.federation, &self.fold)?;
        }
        Ok(())
    }

    /// Looks whether somebody waits too long, or a lease lives too long. Runs after every event.
    ///
    /// # Errors
    /// The invariant that does not hold.
    pub fn look_at_time(&mut self, at: u64) -> Result<(), Violation> {
        let Some(live) = &mut self.live else { return Ok(()) };
        if let Some(first) = self.pending.values().find(|pending| pending.at != u64::MAX) {
            progress::invariant_requests_are_answered_once(self.number, Some(at.saturating_sub(first.at)))?;
        }
        let late = |by: &u64| at.saturating_sub(*by) > LEASE_SLACK_MS;
        let book = &self.book;
        let is_live = |step: &StepId, epoch: &Epoch| {
            book.steps
                .get(step)
                .is_some_and(|page| matches!(page.life, Life::Leased(_)) && page.epoch == *epoch)
        };
        if live.leases.values().any(|(_, by)| late(by)) {
            live.leases.retain(|step, (epoch, _)| is_live(step, epoch));
            if let Some((_, by)) = live.leases.values().find(|(_, by)| late(by)) {
                progress::invariant_leases_end(self.number, at - by, LEASE_SLACK_MS)?;
            }
        }
        Ok(())
    }

    /// Publishes a head, with the proof that it continues the last one.
    ///
    /// # Errors
    /// The invariant that does not hold.
    pub fn publish(&mut self, _at: u64) -> Result<(), Violation> {
        let Some(live) = &mut self.live else { return Ok(()) };
        let Ok(checkpoint) = live.journal.checkpoint() else {
            return if self.disk.crashed() { self.fall(true) } else { Ok(()) };
        };
        let (mut size, root) = (checkpoint.size(), checkpoint.root());
        if self.sabotage == Some(Sabotage::HeadTooHigh) {
            size = live.federation.size();
        }
        journal::invariant_heads_never_shrink(self.number, &self.witness, &self.book, size)?;
        journal::invariant_roots_are_consistent_now(self.number, &self.book, size, root)?;
        if let Some((old, old_root)) =
            self.witness.heads.last().copied().filter(|(old, _)| *old < size && *old > 0)
        {
            let proof = live.journal.reader().consistency(old, size);
            let holds = proof.map_err(|e| e.to_string()).and_then(|proof| {
                consistency::verify(old, &old_root, size, &root, &proof).map_err(|e| e.to_string())
            });
            journal::invariant_heads_are_proven(self.number, holds)?;
        }
        self.counts.heads += 1;
        self.witness.heads.push((size, root));
        Ok(())
    }

    /// Begins a snapshot, or writes the one that was begun.
    ///
    /// # Errors
    /// The invariant that does not hold.
    pub fn snapshot(&mut self) -> Result<(), Violation> {
        let Some(live) = &mut self.live else { return Ok(()) };
        if let Some((job, state)) = live.snapshot.take() {
            return if job.run(&state).is_err() && self.disk.crashed() { self.fall(true) } else { Ok(()) };
        }
        // The live state is the fold over what is synced only while no frame waits.
        if !live.group.is_empty() {
            return Ok(());
        }
        let Ok(job) = live.journal.snapshot() else {
            return if self.disk.crashed() { self.fall(true) } else { Ok(()) };
        };
        let state = self.stale_state.clone().unwrap_or_else(|| live.federation.snapshot());
        live.snapshot = Some((job, state));
        if let Some(spare) = live.journal.spare_job()
            && self.rng.chance(500)
            && spare.run().is_err()
            && self.disk.crashed()
        {
            return self.fall(true);
        }
        Ok(())
    }

    /// Plans a fault of the disk at one of the next writes and syncs.
    pub fn plan(&mut self, fault: Fault, count: u64) {
        let from = self.rng.below(24);
        self.plan_at(fault, from, count);
    }

    /// Plans a fault of the disk, so many writes and syncs from now.
    pub fn plan_at(&mut self, fault: Fault, from: u64, count: u64) {
        self.disk.plan(Plan { fault, from: self.disk.points() + from, count });
    }

    /// Loses power.
    ///
    /// # Errors
    /// Never; the answer is what callers pass on.
    pub fn power_loss(&mut self) -> Result<(), Violation> {
        self.disk.crash();
        if self.live.is_some() { self.fall(false) } else { Ok(()) }
    }

    /// The process ends, by a signal or in good order; what the disk was told stays.
    pub fn kill(&mut self) {
        self.counts.restarts += 1;
        if let Some(live) = self.live.take()
            && self.rng.chance(500)
        {
            // What does not close is found so at the next start.
            let _ = live.journal.close();
        }
        self.lie_down();
    }

    /// Looks whether the log alone shows that agents wanted what it says of them.
    ///
    /// # Errors
    /// The invariant that does not hold.
    pub fn look_at_signatures(&self) -> Result<(), Violation> {
        let holds = evidence::invariant_membership_is_signed(&self.identity, &self.book);
        holds.map_err(|what| Violation {
            invariant: "invariant_membership_is_signed",
            home: self.number,
            what,
        })
    }

    fn fall(&mut self, at_point: bool) -> Result<(), Violation> {
        self.counts.crashes += 1;
        self.counts.crashes_at_points += u64::from(at_point);
        self.lie_down();
        Ok(())
    }

    fn lie_down(&mut self) {
        self.live = None;
        self.pending.clear();
        self.out.push(Out::Down);
    }

    /// After its end a home's directory is verified as a stranger would, by the shipped code for it.
    ///
    /// # Errors
    /// The invariant that does not hold.
    pub fn verify(&self) -> Result<(), Violation> {
        let report = verify::directory(Arc::new(self.disk.clone()));
        let holds = report.map_err(|e| e.to_string()).and_then(|report| match report.outcome {
            verify::Outcome::Damaged { file, what } => Err(format!("{file}: {what}")),
            verify::Outcome::Sound if report.bodies_sealed > 0 => Err("bodies do not open".to_owned()),
            verify::Outcome::Sound if report.entries != self.book.size() => {
                Err(format!("{} entries are verified, {} were read", report.entries, self.book.size()))
            }
            verify::Outcome::Sound => Ok(()),
        });
        journal::invariant_the_log_verifies(self.number, holds)
    }

    /// All faults of the disk end.
    pub fn heal(&mut self) {
        self.disk.heal();
        self.disk.set_capacity(None);
    }

    /// After a failed commit: the live state is thrown away. With the frames known to be gone, the journal goes on and the
    /// state is folded again from it; else the process starts anew.
    fn refold(&mut self, at: u64, gone: bool) -> Result<(), Violation> {
        self.counts.restarts += 1;
        self.pending.clear();
        let Some(live) = self.live.take() else { return Ok(()) };
        if !gone {
            self.out.push(Out::Down);
            return Ok(());
        }
        self.wake_up(at, live.journal, None)
    }

    /// Starts: opens the journal on the disk as it is found.
    ///
    /// # Errors
    /// The invariant that does not hold.
    pub fn boot(&mut self, at: u64) -> Result<(), Violation> {
        if self.live.is_some() {
            return Ok(());
        }
        if self.disk.crashed() {
            self.points_before += self.disk.points();
            self.disk = self.disk.after_crash(self.rng.draw());
        }
        if self.falls_again > 0 && self.rng.chance(self.falls_again) {
            self.plan(Fault::Crash, 1);
        }
        let files: Arc<dyn Files> = match self.sabotage {
            Some(Sabotage::LyingSync) => Arc::new(LyingDisk(self.disk.clone())),
            _ => Arc::new(self.disk.clone()),
        };
        let origin = Origin::new(self.identity.federation, self.identity.node, 0);
        let options = artel_audit::Options {
            origin,
            sizes: SegmentSizes { usual: SEGMENT_BYTES, hasty: HASTY_SEGMENT_BYTES },
        };
        let entropy = Box::new(self.rng.fork());
        match Journal::open(files, options, self.secret.clone(), self.ring.clone(), entropy) {
            Ok(opened) => {
                self.wake_up(at, opened.journal, opened.state.map(|saved| (saved.size, saved.bytes)))
            }
            Err(artel_audit::Error::Io { .. }) => {
                // The fault is still there, or power was lost while starting.
                self.counts.crashes += u64::from(self.disk.crashed());
                self.out.push(Out::Down);
                Ok(())
            }
            Err(error) => journal::invariant_a_sound_disk_opens(self.number, Err(error.to_string())),
        }
    }

    /// Folds what the journal holds, compares it with everything that is known, and begins to take letters.
    fn wake_up(&mut self, at: u64, journal: Journal, state: Option<(u64, Vec<u8>)>) -> Result<(), Violation> {
        let reader = journal.reader();
        let mut frames: Vec<(Vec<Vec<u8>>, Vec<Hash>)> = Vec::new();
        let read = reader.replay(0, |entries| {
            let leaves = entries.iter().map(|entry| entry.leaf.hash()).collect();
            frames.push((entries.into_iter().map(|entry| entry.body).collect(), leaves));
            Ok::<(), artel_audit::Error>(())
        });
        if let Err(error) = read {
            return self.unreadable(error);
        }
        let mut found = Book::default();
        let mut fold = Federation::new(self.identity, self.options.clone());
        let mut decoded = Vec::with_capacity(frames.len());
        for (bodies, leaves) in &frames {
            let entries = self.decode(bodies)?;
            take_frame(self.number, &mut found, &self.witness, &self.options, &entries, leaves)?;
            fold.fold(&entries, &mut Vec::new()).map_err(|e| self.unsound(e.to_string()))?;
            decoded.push(entries);
        }
        self.compare(&found, &frames)?;
        let federation = self.restore(state, decoded, &fold)?;
        self.counts.entries += found.size() - self.book.size();
        self.book = found;
        self.fold = fold;
        self.decided.clear();
        self.booted_at = at;
        let leases = self.book.open.iter().filter_map(|id| {
            let page = &self.book.steps[id];
            let by = at + u64::from(self.options.lease_ms);
            matches!(page.life, Life::Leased(_)).then_some((*id, (page.epoch, by)))
        });
        let leases = leases.collect();
        let live = Live {
            journal,
            federation,
            group: Commit::new(),
            commit_due: false,
            commits: 0,
            leases,
            checks: BTreeSet::new(),
            snapshot: None,
        };
        self.live = Some(live);
        self.start(at)
    }

    fn unreadable(&mut self, error: artel_audit::Error) -> Result<(), Violation> {
        if matches!(error, artel_audit::Error::Io { .. }) {
            self.out.push(Out::Down);
            return Ok(());
        }
        journal::invariant_a_sound_disk_opens(self.number, Err(error.to_string()))
    }

    /// Compares the journal as it is found with what was synced, decided and published before.
    fn compare(&self, found: &Book, frames: &[(Vec<Vec<u8>>, Vec<Hash>)]) -> Result<(), Violation> {
        let synced = self.book.size();
        journal::invariant_acknowledged_survives(self.number, &self.book, synced, found)?;
        let kept = self.book.frames.len();
        if found.frames.get(..kept) != Some(&self.book.frames[..]) {
            let what = "synced frames are found with other bounds".to_owned();
            return Err(Violation { invariant: "invariant_frames_are_whole", home: self.number, what });
        }
        let fresh = frames[kept..].iter().map(|(bodies, _)| &bodies[..]);
        journal::invariant_frames_are_whole(self.number, fresh, self.decided.iter().map(|frame| &frame[..]))?;
        journal::invariant_roots_are_consistent(self.number, &self.witness, found)
    }

    /// The state that the node starts with: a snapshot and the tail, or everything.
    fn restore(
        &mut self,
        state: Option<(u64, Vec<u8>)>,
        frames: Vec<Vec<Entry>>,
        fold: &Federation,
    ) -> Result<Federation, Violation> {
        let (from, mut federation) = match state {
            None => (0, Federation::new(self.identity, self.options.clone())),
            Some((size, bytes)) => {
                self.counts.restored += 1;
                let restored = Federation::from_snapshot(self.identity, self.options.clone(), &bytes);
                (size, restored.map_err(|e| self.unsound(format!("a snapshot does not open: {e}")))?)
            }
        };
        let (mut index, frames_count) = (0, frames.len());
        for (i, frame) in frames.into_iter().enumerate() {
            let begins = index;
            index += frame.len() as u64;
            if begins < from {
                continue;
            }
            for entries in sabotage::bend_replay(self.sabotage, frame, i + 1 == frames_count) {
                let folded = federation.fold(&entries, &mut Vec::new());
                folded.map_err(|e| self.unsound(format!("from the snapshot at {from}: {e}")))?;
            }
        }
        journal::invariant_snapshot_is_the_fold(self.number, &federation, fold, from)?;
        Ok(federation)
    }

    fn start(&mut self, at: u64) -> Result<(), Violation> {
        let now = self.now(at);
        let genesis = (self.book.size() == 0).then(|| self.genesis.clone());
        let Some(live) = &mut self.live else { return Ok(()) };
        let mut effects = Vec::new();
        let software = ("netsim".to_owned(), Digest::of(b"configuration"));
        live.federation.start(genesis, software, now, &mut effects);
        if self.sabotage == Some(Sabotage::CheckLost) {
            effects.retain(|effect| !matches!(effect, Effect::Check { .. }));
        }
        self.take(at, effects)
    }
}

/// Takes one frame off the disk into the book, past the invariants.
fn take_frame(
    home: usize,
    book: &mut Book,
    witness: &Witness,
    options: &Options,
    frame: &[Entry],
    leaves: &[Hash],
) -> Result<(), Violation> {
    book.open_frame();
    for (at, leaf) in leaves.iter().enumerate() {
        invariants::entry(home, &EntrySeen { book, frame, at, witness, options })?;
        book.take(*leaf, &frame[at]);
    }
    invariants::frame(home, &FrameSeen { book, frame, options })
}

fn end_name(end: End) -> &'static str {
    match end {
        End::AttemptsSpent => "ended: attempts spent",
        End::LapsesSpent => "ended: lapses spent",
        End::DeadlinePassed => "ended: deadline passed",
        End::NeedFailed => "ended: need failed",
        End::Cancelled => "ended: cancelled",
    }
}

fn answer_name(answer: &Answer) -> &'static str {
    match &answer.said {
        Err(refusal) => refusal.code.as_str(),
        Ok(Reply::Leased(_)) => "answer: leased",
        Ok(Reply::Submitted(receipt)) if receipt.next.is_some() => "answer: receipt and lease",
        Ok(Reply::Submitted(receipt)) if receipt.verdict.is_some() => "answer: receipt with verdict",
        Ok(Reply::Submitted(_)) => "answer: receipt",
        Ok(Reply::Run { repeated: true, .. } | Reply::Repeated(_)) => "answer: run again",
        Ok(Reply::Run { .. }) => "answer: run",
        Ok(Reply::Nothing) => "answer: nothing",
        Ok(Reply::Token { .. }) => "answer: token",
        Ok(Reply::Renewed { .. }) => "answer: renewed",
        Ok(_) => "answer: other",
    }
}

/// A check's answer, drawn.
pub fn judge(rng: &mut Rng, reject: u64) -> Outcome {
    if rng.chance(reject) {
        return Outcome::Rejected { check: "schema".into(), findings: "not an object".into() };
    }
    Outcome::Accepted { quality: rng.between(0, 100) as u8, checked: true }
}
