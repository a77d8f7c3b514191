//! The thread that keeps others' records: what was judged good is appended to the record store, many frames a sync, and
//! only then counted on. What it cannot write is dropped: its author has it still, and it is asked for again. Where there is no
//! room, the oldest records of an author give way, once what was to be read of them was read.

use super::members::Members;
use super::outbox::Before;
use super::shared::Shared;
use super::witness;
use artel_audit::records::{Error, Item, Kept, NewFrame, RecordStore};
use artel_protocol::key::NodeId;
use artel_protocol::log::Origin;
use artel_protocol::record::Records;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Weak;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// How many frames may wait to be kept. At the limit gossip is dropped, and streams wait.
const WAITING_MAX: usize = 256;

/// How many frames are written with one sync; at most 64 KiB each, so 4 MiB in all.
const BATCH_MAX: usize = 64;

/// How often others' records give way to one frame before it is not kept: a quarter of a share each time.
const GIVE_WAY_MAX: usize = 4;

/// How long the thread rests after a write that failed. What comes meanwhile waits or is dropped.
const REST: Duration = Duration::from_secs(1);

/// A frame to be kept, which neighbour brought it, and who waits for it.
struct Job {
    records: Records,
    from: NodeId,
    done: Option<oneshot::Sender<Kept>>,
}

/// What the thread is asked.
enum Ask {
    Keep(Box<Job>),
    /// A neighbour has nothing of a journal before this number.
    Lacks(NodeId, Origin, u64),
    /// Take what was found damaged for missing.
    Mend,
    /// Write down what shortens the next start, and end.
    End(oneshot::Sender<()>),
}

/// The way to the thread.
#[derive(Clone)]
pub(super) struct Keeper(mpsc::Sender<Ask>);

/// What the thread is told.
pub(super) struct Queue(mpsc::Receiver<Ask>);

/// Starts the thread. It ends when nobody can ask it any more; what is handed back ends when it does, however that came.
///
/// # Errors
/// What the system says.
pub(super) fn start(
    (store, members): (RecordStore, Members),
    queue: Queue,
    shared: Weak<Shared>,
) -> std::io::Result<oneshot::Receiver<()>> {
    let runtime = tokio::runtime::Handle::current();
    let (alive, ended) = oneshot::channel::<()>();
    let run = move || {
        let _alive = alive;
        run((store, members), queue.0, &shared, &runtime);
    };
    std::thread::Builder::new().name("keeper".into()).spawn(run).map(|_| ended)
}

impl Keeper {
    /// A way to a thread that is still to be started.
    pub fn new() -> (Self, Queue) {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        (Keeper(sender), Queue(receiver))
    }

    /// Keeps a frame if there is room for it just now.
    pub fn offer(&self, records: Records, from: NodeId) {
        if self.0.try_send(Ask::Keep(Box::new(Job { records, from, done: None }))).is_err() {
            tracing::debug!("too many records wait to be kept; a frame was dropped and will be fetched");
        }
    }

    /// Keeps a frame, and says what became of it once it is on disk; nothing where it could not be written.
    pub async fn keep(&self, records: Records, from: NodeId) -> oneshot::Receiver<Kept> {
        let (done, kept) = oneshot::channel();
        // The thread ends with the node; whoever waits is told by the dropped sender.
        let _ = self.0.send(Ask::Keep(Box::new(Job { records, from, done: Some(done) }))).await;
        kept
    }

    /// Says that a neighbour that was asked for more has nothing of a journal before this number. Where much is held from there
    /// on, what is missing is given up.
    pub async fn lacks(&self, peer: NodeId, origin: Origin, before: u64) {
        // It may have ended already.
        let _ = self.0.send(Ask::Lacks(peer, origin, before)).await;
    }

    /// Has what readers found damaged taken for missing, so that it is fetched. Where too much waits already, that does it.
    pub fn mend(&self) {
        let _ = self.0.try_send(Ask::Mend);
    }

    /// Ends the thread once it has done what waits before.
    pub async fn end(&self) {
        let (done, ended) = oneshot::channel();
        // It may have ended already.
        let _ = self.0.send(Ask::End(done)).await;
        let _ = ended.await;
    }
}

fn run(
    (mut store, mut members): (RecordStore, Members),
    mut queue: mpsc::Receiver<Ask>,
    shared: &Weak<Shared>,
    runtime: &tokio::runtime::Handle,
) {
    let mut end = None;
    while end.is_none()
        && let Some(first) = queue.blocking_recv()
    {
        let (mut jobs, mut lacking, mut next) = (Vec::new(), BTreeMap::new(), Some(first));
        while let Some(ask) = next {
            match ask {
                Ask::Keep(job) => jobs.push(*job),
                Ask::Lacks(peer, origin, before) => {
                    lacking.insert((origin, peer), before);
                }
                // Whatever is appended, and be it nothing, the store mends itself before.
                Ask::Mend => {}
                Ask::End(done) => end = Some(done),
            }
            next = if jobs.len() < BATCH_MAX && end.is_none() { queue.try_recv().ok() } else { None };
        }
        let Some(shared) = shared.upgrade() else { break };
        let grown: BTreeSet<NodeId> = jobs.iter().map(|job| job.records.origin().node()).collect();
        let overlaps: Vec<bool> = jobs.iter().map(|job| overlaps(&shared, &job.records)).collect();
        match store.append(jobs.iter().map(|job| frame_of(&job.records)).collect()) {
            Ok(kept) => {
                let mut roomless = Vec::new();
                for ((job, kept), overlaps) in jobs.into_iter().zip(kept).zip(overlaps) {
                    if overlaps || kept == Kept::Known {
                        witness::look_again(&shared, runtime, &job.records);
                    }
                    match kept {
                        Kept::OverCap => roomless.push(job),
                        kept => finish(&shared, &mut members, job, kept),
                    }
                }
                // All that was kept is counted on by now, so it may be given up.
                for job in roomless {
                    match keep_in_place(&mut store, &mut members, &shared, &job.records) {
                        Ok(kept) => finish(&shared, &mut members, job, kept),
                        Err(error) => tracing::error!(%error, "no room can be made for records of others"),
                    }
                }
            }
            Err(error) => {
                tracing::error!(%error, "records of others cannot be written; they will be fetched again");
                drop(jobs);
                std::thread::sleep(REST);
            }
        }
        if store.take_rebuilt() {
            tell_lost(&shared);
        }
        for node in grown {
            keep_less_of_distant(&mut store, &mut members, &shared, &node);
        }
        for ((origin, peer), before) in lacking {
            if let Err(error) = lacks(&mut store, &mut members, &shared, (peer, origin, before)) {
                tracing::error!(%error, %origin, "missing records cannot be given up; they will be asked for again");
            }
        }
        members.save_if_due(&shared.records, &shared.exchange);
        for notice in store.take_notices() {
            tracing::warn!(%notice, "the record store repaired something");
        }
    }
    if let Some(shared) = shared.upgrade() {
        members.save_if_possible(&store.reader(), &shared.exchange);
    }
    if let Err(error) = store.feed() {
        tracing::warn!(%error, "the index of records is behind; the next start brings it up");
    }
    // Whoever waited may be gone.
    end.map(|done| done.send(()));
}

/// Whether some of a frame's records are held already: they are compared, for they may have come while it waited.
fn overlaps(shared: &Shared, records: &Records) -> bool {
    records.records().iter().any(|record| shared.records.has(&records.origin(), record.public_seq))
}

fn frame_of(records: &Records) -> NewFrame {
    let item =
        |record: &artel_protocol::record::Record| Item { public_seq: record.public_seq, index: record.index };
    let items = records.records().iter().map(item).collect();
    NewFrame { origin: records.origin(), topic: 0, bytes: records.bytes().to_vec(), items }
}

/// Keeps a frame that there was no room for in the place of older ones, if there are some to give way.
fn keep_in_place(
    store: &mut RecordStore,
    members: &mut Members,
    shared: &Shared,
    records: &Records,
) -> Result<Kept, Error> {
    let frame = frame_of(records);
    for _ in 0..GIVE_WAY_MAX {
        // Room may have been made for another frame of its author.
        let kept = store.append(vec![frame.clone()])?[0];
        let gives_way = store
            .who_gives_way(&frame, |node| !shared.is_of_interest(node))
            .filter(|_| kept == Kept::OverCap);
        let Some(node) = gives_way else { return Ok(kept) };
        if !read_up(store, members, shared, &node) {
            return Ok(Kept::OverCap);
        }
        let given_up = store.give_up_oldest(&node);
        tell_given_up(shared, &node);
        given_up?;
    }
    Ok(store.append(vec![frame])?[0])
}

/// Of a node that nobody here is interested in less is kept than a share.
fn keep_less_of_distant(store: &mut RecordStore, members: &mut Members, shared: &Shared, node: &NodeId) {
    let too_much = store.is_more_than_distant(node) && !shared.is_of_interest(node);
    if !too_much || !read_up(store, members, shared, node) {
        return;
    }
    if let Err(error) = store.give_up_distant(node) {
        tracing::error!(%error, %node, "old records that nobody here is interested in cannot be given up");
    }
    tell_given_up(shared, node);
}

/// What a node's journals hold after some of it was given up.
fn tell_given_up(shared: &Shared, node: &NodeId) {
    for (origin, mark) in shared.records.marks_of(node) {
        tracing::info!(%origin, below = mark.floor, "old records gave way to new ones");
        shared.exchange().holds_up_to(origin, mark.next, false);
    }
}

/// Some of what was held may be lost: what is held by now is told, and the rest is fetched from a neighbour; from others in later
/// rounds, if that one has not all of it.
fn tell_lost(shared: &Shared) {
    let marks: Vec<_> =
        shared.records.marks().into_iter().map(|(origin, mark)| (origin, mark.next)).collect();
    shared.exchange().holds_no_more_than(marks);
    if let Some(peer) = shared.next_up(None) {
        shared.want_from(peer);
    }
}

/// Gives up the records of a journal that a neighbour lacks below a number, if others do too and enough is held from there on.
fn lacks(
    store: &mut RecordStore,
    members: &mut Members,
    shared: &Shared,
    (peer, origin, before): (NodeId, Origin, u64),
) -> Result<(), Error> {
    let Some(below) = store.lacks(&origin, peer, before)? else { return Ok(()) };
    if !read_up(store, members, shared, &origin.node()) {
        return Ok(());
    }
    let given_up = store.prune(&origin, below);
    tracing::info!(%origin, below, "missing records are not waited for any longer");
    shared.exchange().holds_up_to(origin, shared.records.mark(&origin).next, false);
    shared.evidence.news.notify_one();
    given_up
}

/// What may go is read first, and what it said is written down; whether it was, or nothing may go.
fn read_up(store: &RecordStore, members: &mut Members, shared: &Shared, node: &NodeId) -> bool {
    let written =
        shared.evidence.read_up(shared, node).and_then(|()| members.save(&store.reader(), &shared.exchange));
    if let Err(error) = &written {
        tracing::error!(%error, %node, "its records stay, for what they said cannot be written down");
    }
    written.is_ok()
}

/// Counts on what became of a frame, and says so.
fn finish(shared: &Shared, members: &mut Members, job: Job, kept: Kept) {
    count_on(shared, members, (&job.records, job.from), kept);
    // Whoever waited may be gone.
    job.done.map(|done| done.send(kept));
}

/// What is on disk is known from here on. What there is no room for says what it says all the same, to those who need no proof of
/// it later.
fn count_on(shared: &Shared, members: &mut Members, (records, from): (&Records, NodeId), kept: Kept) {
    let origin = records.origin();
    let mark = shared.records.mark(&origin);
    let mut exchange = shared.exchange();
    exchange.holds_up_to(origin, mark.next, kept == Kept::OverCap);
    if !matches!(kept, Kept::New | Kept::OverCap) {
        return;
    }
    let ended = members.learn(records, &mut exchange);
    drop(exchange);
    for agent in ended {
        shared.waits.end(&(origin.node(), agent));
    }
    shared.hear_of_home(records, Some(from));
    if shared.board.is_due(Instant::now()) {
        shared.board.sweep(&shared.dealt_with());
    }
    shared.outbox.hear(records, |seq| match Before::kept(&shared.records, &origin, seq) {
        // What is not kept is not read again either.
        Before::Lacking if kept == Kept::OverCap => Before::Nothing,
        before => before,
    });
    if kept == Kept::New {
        shared.evidence.hear(records, mark.floor);
    }
}
