//! The driver: the one thread that owns the rules' state and the journal's writer.
//!
//! It takes what waits, feeds it to the rules one by one, writes all that they decided with one sync, and only then
//! lets answers, checks and news out. A commit that fails throws the state away and folds it anew from disk; until that
//! has worked, nothing privileged is done. It does no judging of its own.

use crate::background::{Background, Busy};
use crate::check;
use crate::clock::Clock;
use crate::events::Events;
use crate::handle::{Answer, Handle, Message, QUEUE_MAX, Unavailable};
use crate::index::Feed;
use crate::metrics;
use crate::news::News;
use crate::source::{SharedReader, Source, State};
use artel_audit::{COMMIT_BYTES_MAX, Commit, FRAME_BYTES_MAX, Fate, NewEntry};
use artel_federation::effect::{Effect, Refusal, ToRedo, ToWitness};
use artel_federation::{ClosedRun, Entry, Federation, Input, Json, Now, Reply, ReplyTo};
use artel_protocol::id::{Epoch, StepId};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// How many messages one commit takes in. More would make the first of them wait longer for its answer.
const BATCH_MAX: usize = 1_024;

/// With how many bytes of frames a commit is full (1 MiB); the rest waits for the next one. What the last message adds (a
/// frame of at most 4 MiB, and one of timers) still fits the journal's limit for a commit.
const BATCH_BYTES_MAX: usize = 1 << 20;

/// The most bytes of a frame of timers: 1,024 entries of at most 2 KiB, and a minute's refusals.
const TIMERS_BYTES_MAX: usize = 3 << 20;

const _: () = assert!(BATCH_BYTES_MAX + FRAME_BYTES_MAX + TIMERS_BYTES_MAX <= COMMIT_BYTES_MAX);

/// How long the driver waits before it tries a journal again that could not be written, in milliseconds.
const RETRY_MS: u64 = 1_000;

/// After how many entries a snapshot is taken, at least. Folding this many at a start takes about 7 milliseconds, half of what
/// an empty node takes to be ready. Taking none at all would save 3 to 5 % of the CPU.
const SNAPSHOT_ENTRIES: u64 = 3_072;

/// With much open work a snapshot is taken after so many entries for each open step, so that snapshots cost a small and
/// constant share of the work. With one or two, draining 100,000 tasks was a fifth slower than draining 1,000; with four,
/// a start with 100,000 open tasks takes up to 0.8 s.
const SNAPSHOT_ENTRIES_PER_STEP: u64 = 4;

/// How many checks the checker thread has before it; the others wait with the driver, at most one for each open step.
const CHECKS_MAX: usize = 64;

/// How many steps wait to be run again with those who see to that; the others wait with the driver, as checks do.
const REDOS_MAX: usize = 64;

/// How many lots wait for who sees to them; the others wait with the driver, as checks do.
const LOTS_MAX: usize = 64;

/// What waits for a commit.
enum Held {
    Answer { to: ReplyTo, answer: Result<Reply, Refusal> },
    Check(ToCheck),
    Lot(ToWitness),
    Redo(Box<ToRedo>),
    News { frame: usize, bytes: usize, entries: Vec<Entry>, closed: Vec<Arc<ClosedRun>> },
}

/// A submission to be checked.
struct ToCheck {
    step: StepId,
    epoch: Epoch,
    schema: Json,
    output: Json,
}

/// Why nothing privileged is done at the moment, for those who are refused.
#[derive(Clone, Default)]
pub struct Down(Arc<Mutex<Option<String>>>);

impl Down {
    /// The reason, while there is one.
    pub fn reason(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, reason: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = reason;
    }
}

/// The thread's own.
pub struct Driver {
    source: Source,
    reader: SharedReader,
    /// The rules and the writer; nothing while the journal cannot be written.
    state: Option<State>,
    down: Down,
    retry_at: Instant,
    clock: Clock,
    queue: Receiver<Message>,
    answers: HashMap<ReplyTo, oneshot::Sender<Answer>>,
    events: Arc<Events>,
    feed: Feed,
    checks: SyncSender<ToCheck>,
    unchecked: VecDeque<ToCheck>,
    lots: mpsc::Sender<ToWitness>,
    unheard: VecDeque<ToWitness>,
    redos: mpsc::Sender<ToRedo>,
    unredone: VecDeque<ToRedo>,
    background: Background,
    metrics: Arc<metrics::Journal>,
    /// When the next segment may be made ahead at the soonest: not beside the start, and one that could not be made is not
    /// tried all the time.
    spare_at: Instant,
    snapshot_size: u64,
    /// A snapshot is being written.
    snapshotting: Arc<AtomicBool>,
    stopping: bool,
}

/// A driver that runs.
pub struct Running {
    /// The way in.
    pub handle: Handle,
    /// Whether, and why, privileged work is refused.
    pub down: Down,
    /// What is measured of the journal's commits.
    pub metrics: Arc<metrics::Journal>,
    /// The submissions whose witnesses are to be heard; taken by who sees to it.
    pub lots: Option<mpsc::Receiver<ToWitness>>,
    /// What was drawn to be run again; taken by who sees to it.
    pub redos: Option<mpsc::Receiver<ToRedo>>,
    /// The thread.
    pub thread: JoinHandle<()>,
    /// Ends when the thread does, however that comes.
    pub ended: oneshot::Receiver<()>,
}

impl Driver {
    /// Starts the driver on a state that was just opened; `start` is what the rules wanted done at their start.
    ///
    /// # Errors
    /// What the first commit met: a node that cannot write down its start does not start.
    pub fn start(
        (source, reader): (Source, SharedReader),
        state: State,
        start: Vec<Effect>,
        (clock, events, feed): (Clock, Arc<Events>, Feed),
    ) -> anyhow::Result<Running> {
        let (sender, queue) = sync_channel(QUEUE_MAX);
        let handle = Handle::new(sender, clock.begun());
        let down = Down::default();
        let (lots, asked) = mpsc::channel(LOTS_MAX);
        let (redos, drawn) = mpsc::channel(REDOS_MAX);
        let mut driver = Driver {
            snapshot_size: state.snapshot_size,
            source,
            reader,
            state: Some(state),
            down: down.clone(),
            retry_at: Instant::now(),
            clock,
            queue,
            answers: HashMap::new(),
            events,
            feed,
            checks: checker(handle.clone())?,
            unchecked: VecDeque::new(),
            lots,
            unheard: VecDeque::new(),
            redos,
            unredone: VecDeque::new(),
            background: Background::start()?,
            metrics: Arc::default(),
            spare_at: Instant::now() + Duration::from_millis(RETRY_MS),
            snapshotting: Arc::default(),
            stopping: false,
        };
        let metrics = driver.metrics.clone();
        let mut commit = Commit::new();
        driver.collect(start, &mut commit);
        driver.settle(commit);
        if let Some(reason) = down.reason() {
            anyhow::bail!("the journal cannot be written: {reason}");
        }
        let (alive, ended) = oneshot::channel();
        let thread = std::thread::Builder::new().name("driver".into()).spawn(move || {
            let _alive: oneshot::Sender<()> = alive;
            driver.run();
        })?;
        Ok(Running { handle, down, metrics, lots: Some(asked), redos: Some(drawn), thread, ended })
    }

    fn run(mut self) {
        while !self.stopping {
            let (mut next, mut taken) = (self.wait(), 0);
            let mut commit = Commit::new();
            let mut looks = Vec::new();
            while let Some(message) = next {
                self.take(message, &mut commit, &mut looks);
                taken += 1;
                let has_room = taken < BATCH_MAX && commit.bytes_max() < BATCH_BYTES_MAX;
                next = if has_room { self.queue.try_recv().ok() } else { None };
            }
            if commit.bytes_max() < BATCH_BYTES_MAX {
                self.feed(Input::Tick, &mut commit);
            }
            self.settle(commit);
            self.answer_looks(looks);
            self.keep_up();
        }
        self.end();
    }

    /// Waits for a message, or until something is due.
    fn wait(&mut self) -> Option<Message> {
        let due = match &self.state {
            None => Some(self.retry_at),
            Some(state) => {
                let timers = [state.federation.next_timer(), state.journal.next_tick()];
                timers.into_iter().flatten().min().map(|at| self.clock.instant(at))
            }
        };
        let Some(due) = due else {
            return self.queue.recv().ok();
        };
        match self.queue.recv_timeout(due.saturating_duration_since(Instant::now())) {
            Ok(message) => Some(message),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                self.stopping = true;
                None
            }
        }
    }

    fn take(&mut self, message: Message, commit: &mut Commit<Held>, looks: &mut Vec<Message>) {
        match message {
            Message::Ask { request, to, answer } => {
                if self.state.is_none() {
                    // Whoever asked may be gone.
                    let _ = answer.send(Err(Unavailable::Journal(self.down.reason().unwrap_or_default())));
                    return;
                }
                self.answers.insert(to, answer);
                self.feed(*request, commit);
            }
            Message::Input(input) => {
                if let Input::Abandoned(to) = input.as_ref() {
                    self.answers.remove(to);
                }
                self.feed(*input, commit);
            }
            look @ (Message::Look(_) | Message::Checkpoint(_)) => looks.push(look),
            Message::Stop => self.stopping = true,
        }
    }

    fn feed(&mut self, input: Input, commit: &mut Commit<Held>) {
        let Some(state) = &mut self.state else { return };
        let mut effects = Vec::new();
        state.federation.handle(input, self.clock.now(), &mut effects);
        self.collect(effects, commit);
    }

    /// Puts one input's effects into the commit: its entries as one frame, everything else behind it.
    fn collect(&mut self, effects: Vec<Effect>, commit: &mut Commit<Held>) {
        let mut after = Vec::new();
        let mut news: Option<Held> = None;
        for effect in effects {
            match effect {
                Effect::Append(entries) => {
                    let bodies = entries.iter().map(|e| NewEntry { class: e.fact.class(), body: e.encode() });
                    let bodies: Vec<NewEntry> = bodies.collect();
                    let bytes = bodies.iter().map(|entry| entry.body.len()).sum();
                    let frame = commit.frame(bodies).expect("an append has entries");
                    news.take().into_iter().for_each(|held| commit.hold(held));
                    news = Some(Held::News { frame, bytes, entries, closed: Vec::new() });
                }
                Effect::Closed(run) => match &mut news {
                    Some(Held::News { closed, .. }) => closed.push(run),
                    _ => unreachable!("a run closes by its entries"),
                },
                Effect::Reply { to, answer } => after.push(Held::Answer { to, answer }),
                Effect::AskWitnesses(ask) => after.push(Held::Lot(ask)),
                Effect::Redo(asked) => after.push(Held::Redo(asked)),
                Effect::Check { step, epoch, schema, output } => {
                    after.push(Held::Check(ToCheck { step, epoch, schema, output }));
                }
            }
        }
        news.into_iter().chain(after).for_each(|held| commit.hold(held));
    }

    /// Writes and syncs, then lets out what waited; or tells those who waited that nothing was done, or that nobody knows.
    fn settle(&mut self, commit: Commit<Held>) {
        let Some(state) = &mut self.state else {
            return self.try_again();
        };
        let begun = Instant::now();
        match state.journal.commit(commit) {
            Ok(released) => {
                let took = begun.elapsed();
                let (mut news, mut answers) = (Vec::new(), Vec::new());
                for held in released.effects {
                    match held {
                        Held::Answer { to, answer } => answers.push((to, answer)),
                        Held::Check(check) => self.unchecked.push_back(check),
                        Held::Lot(ask) => self.unheard.push_back(ask),
                        Held::Redo(asked) => self.unredone.push_back(*asked),
                        Held::News { frame, bytes, entries, closed } => {
                            let first_index = released.appended[frame].first_index;
                            news.push(News { first_index, entries: Arc::new(entries), bytes, closed });
                        }
                    }
                }
                if !news.is_empty() {
                    let sum = |of: fn(&News) -> usize| news.iter().map(of).sum();
                    let (entries, bytes) = (sum(|frame| frame.entries.len()), sum(|frame| frame.bytes));
                    self.metrics.committed(news.len(), entries, bytes, took);
                }
                // Whoever has an answer finds its events.
                self.tell(news);
                answers.into_iter().for_each(|(to, answer)| self.answer(to, answer));
            }
            Err(failed) => {
                self.metrics.failed();
                tracing::error!(error = %failed.error, fate = ?failed.fate, "the journal cannot be written");
                self.go_down(failed.fate, failed.error.to_string());
            }
        }
    }

    fn answer(&mut self, to: ReplyTo, answer: Result<Reply, Refusal>) {
        if let Some(sender) = self.answers.remove(&to) {
            // Whoever asked may be gone; what was done stays done.
            let _ = sender.send(Ok(answer));
        }
    }

    /// Tells those who follow the journal what one commit has brought.
    fn tell(&self, news: Vec<News>) {
        let Some(state) = self.state.as_ref().filter(|_| !news.is_empty()) else { return };
        self.events.publish(&news, state.federation.view());
        // Before those who wait are woken: what they then look for is in the index.
        self.feed.push(news);
        self.events.synced(state.journal.size());
    }

    /// Throws the speculative state away and answers everybody who waits for something of it.
    fn go_down(&mut self, fate: Fate, reason: String) {
        self.state = None;
        self.unchecked.clear();
        self.unheard.clear();
        self.unredone.clear();
        self.retry_at = Instant::now() + Duration::from_millis(RETRY_MS);
        for (_, sender) in self.answers.drain() {
            // Whoever asked may be gone.
            let _ = sender.send(Err(match fate {
                Fate::Gone => Unavailable::Journal(reason.clone()),
                Fate::Unknown => Unavailable::Unknown(reason.clone()),
            }));
        }
        self.down.set(Some(reason));
    }

    /// Opens the journal again and folds it anew, once a second until it works.
    fn try_again(&mut self) {
        if Instant::now() < self.retry_at {
            return;
        }
        self.retry_at = Instant::now() + Duration::from_millis(RETRY_MS);
        match self.source.open() {
            Ok(mut state) => {
                let mut effects = Vec::new();
                state.federation.resume(self.clock.now(), &mut effects);
                self.snapshot_size = state.snapshot_size;
                self.reader.set(state.journal.reader());
                // Frames of the commit that failed may have been kept, and nobody was told of them. The index first, as ever.
                self.feed.begin_again();
                self.events.begin_again(state.journal.size());
                self.state = Some(state);
                self.down.set(None);
                tracing::warn!("the journal can be written again");
                let mut commit = Commit::new();
                self.collect(effects, &mut commit);
                self.settle(commit);
            }
            Err(error) => {
                let reason = format!("{error:#}");
                tracing::error!(error = %reason, "the journal still cannot be opened");
                self.down.set(Some(reason));
            }
        }
    }

    fn answer_looks(&mut self, looks: Vec<Message>) {
        for look in looks {
            let state = match &mut self.state {
                Some(state) => Ok(state),
                None => Err(Unavailable::Journal(self.down.reason().unwrap_or_default())),
            };
            match look {
                Message::Look(look) => look(state.map(|state| state.federation.view())),
                Message::Checkpoint(answer) => {
                    let note = state.and_then(|state| {
                        let checkpoint = state.journal.checkpoint();
                        checkpoint
                            .map(|c| c.note().to_string())
                            .map_err(|e| Unavailable::Journal(e.to_string()))
                    });
                    // Whoever asked may be gone.
                    let _ = answer.send(note);
                }
                _ => unreachable!("only looks are kept"),
            }
        }
    }

    /// What is due beside the requests: checks, lots, redos, the slot behind the segments, the next segment, a snapshot.
    fn keep_up(&mut self) {
        while let Some(check) = self.unchecked.pop_front() {
            if let Err(TrySendError::Full(check)) = self.checks.try_send(check) {
                // A finished check is an input, so the driver comes by here again.
                self.unchecked.push_front(check);
                break;
            }
        }
        // As above: a lot that fell, and what was run again, comes back as an input.
        hand_on(&mut self.unheard, &self.lots);
        hand_on(&mut self.unredone, &self.redos);
        let now = self.clock.mono();
        let Some(state) = &mut self.state else { return };
        if let Err(error) = state.journal.tick(now) {
            // The segments are the truth and unharmed; the slot is tried again, and commits judge the disk for themselves.
            tracing::error!(%error, "the checkpoint slot cannot be written");
        }
        for notice in state.journal.take_notices() {
            tracing::warn!(%notice, "the journal repaired something");
        }
        let spare = if self.spare_at <= Instant::now() { state.journal.spare_job() } else { None };
        if let Some(job) = spare {
            self.spare_at = Instant::now() + Duration::from_millis(RETRY_MS);
            self.background.take(move || {
                if let Err(error) = job.run() {
                    tracing::warn!(%error, "the next segment cannot be made ahead");
                }
            });
        }
        self.snapshot_if_due();
    }

    fn snapshot_if_due(&mut self) {
        let Some(state) = &mut self.state else { return };
        let open = state.federation.view().counts().steps_open as u64;
        let size = state.journal.size();
        if size - self.snapshot_size < SNAPSHOT_ENTRIES.max(SNAPSHOT_ENTRIES_PER_STEP * open) {
            return;
        }
        let Some(busy) = Busy::begin(&self.snapshotting) else { return };
        let job = match state.journal.snapshot() {
            Ok(job) => job,
            Err(error) => {
                self.snapshot_size = size;
                return tracing::warn!(%error, "a snapshot cannot be begun");
            }
        };
        let snapshot = state.federation.snapshot();
        let taken = self.background.take(move || {
            let _busy = busy;
            match job.run_with(snapshot.bytes_about(), |bytes| snapshot.encode_into(bytes)) {
                Ok(()) => tracing::debug!(size, "snapshot written"),
                Err(error) => {
                    tracing::warn!(%error, "a snapshot cannot be written; the journal is folded instead")
                }
            }
        });
        if taken {
            self.snapshot_size = size;
        }
    }

    /// The last snapshot and the last checkpoint, so that the next start has nothing to fold.
    fn end(mut self) {
        for (_, sender) in self.answers.drain() {
            // Whoever asked may be gone.
            let _ = sender.send(Err(Unavailable::Stopping));
        }
        let Some(mut state) = self.state.take() else { return };
        // What it is writing must not meet the last snapshot.
        self.background.end();
        let snapshot = state.federation.snapshot();
        let encode = |bytes: &mut Vec<u8>| snapshot.encode_into(bytes);
        let written = state.journal.snapshot().and_then(|job| job.run_with(snapshot.bytes_about(), encode));
        if let Err(error) = written {
            tracing::warn!(%error, "the last snapshot cannot be written");
        }
        if let Err(error) = state.journal.close() {
            tracing::error!(%error, "the last checkpoint cannot be written");
        }
    }
}

/// Hands on what there is room for.
fn hand_on<T>(waiting: &mut VecDeque<T>, to: &mpsc::Sender<T>) {
    while let Some(next) = waiting.pop_front() {
        if let Err(mpsc::error::TrySendError::Full(next)) = to.try_send(next) {
            waiting.push_front(next);
            break;
        }
    }
}

/// A thread that checks submissions and tells the rules what it found.
fn checker(handle: Handle) -> std::io::Result<SyncSender<ToCheck>> {
    let (sender, receiver) = sync_channel::<ToCheck>(CHECKS_MAX);
    let work = move || {
        for ToCheck { step, epoch, schema, output } in receiver {
            let outcome = check::output(&schema, &output);
            handle.tell_surely(Input::Checked { step, epoch, outcome });
        }
    };
    std::thread::Builder::new().name("checker".into()).spawn(work)?;
    Ok(sender)
}

/// What the rules want done at a node's very first moment, and at every start.
pub fn start_effects(
    federation: &mut Federation,
    beginning: Option<impl Into<artel_federation::Beginning>>,
    marks: (String, artel_protocol::id::Digest),
    now: Now,
) -> Vec<Effect> {
    let mut effects = Vec::new();
    federation.start(beginning, marks, now, &mut effects);
    effects
}
