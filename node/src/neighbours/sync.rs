//! The exchange of records over a `sync` stream, from both of its ends: what is missing is fetched, and whoever asks is
//! answered from this node's journal and its record store. A stream that breaks loses nothing.

use super::patience::Patience;
use super::places::Sizes;
use super::refusals::{Fault, Reason};
use super::shared::Shared;
use super::turns::Turn;
use super::witness;
use anyhow::{Context as _, bail};
use artel_audit::Reader;
use artel_audit::records::{Kept, Records as Stored};
use artel_federation::exchange::{self, Judgement};
use artel_federation::fetching;
use artel_mesh::{Protocol, Stream};
use artel_protocol::codec::FRAME_HEAD_BYTES;
use artel_protocol::holes::{Holes, clipped};
use artel_protocol::key::NodeId;
use artel_protocol::log::Origin;
use artel_protocol::record::Records;
use artel_protocol::sync::{MARKS_MAX, Mark, Message, marks_digest};
use artel_protocol::time::Mono;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

/// How many exchanges are served at once: a node has one with each neighbour at a time, and another one where its connection was
/// just replaced. A further one ends at once; its asker tries again, or another neighbour.
pub(super) const PLACES: Sizes = Sizes { own: 2, each: 8, common: 48 };

/// How long one message may take. Whoever is slower is asked again later, or another neighbour is.
const MESSAGE_WAIT: Duration = Duration::from_secs(20);

/// How often one stream asks what else there is: authors become known by records of others, a link of a chain each time. It is
/// answered no more often, nor are more journals wanted of one answer than that can name.
const ROUNDS_MAX: usize = 16;

/// How many frames of a stream may wait to be kept before it reads on: with 64 KiB each at most 2 MiB a stream.
const UNKEPT_MAX: usize = 32;

/// How often more of one journal is wanted after each answer to what there is: what is lacking between records, and what is
/// behind them. It is answered no more often.
const WANTS_EACH: usize = 2;

/// How much is read for one want (16 MiB), whatever of it is sent; then its asker asks again, so that streams take turns.
const WANT_BYTES_MAX: usize = 16 << 20;

/// What finding one range of holes counts, beside the frames that are read for it: some look-ups, and entries that lie around it. So
/// the most ranges count 4 MiB.
const RANGE_BYTES: usize = 4 << 10;

/// How much one want may be answered with before its asker gives up: twice what an honest neighbour sends.
const ANSWER_BYTES_MAX: usize = 2 * WANT_BYTES_MAX;

/// How much is read from the store at once.
const READ_BYTES: usize = 256 << 10;

/// What a neighbour answered of a journal on one stream: all that it has before `next`. It lacks what is lacking here before `lacks`.
#[derive(Default)]
struct Answered {
    next: u64,
    lacks: Option<u64>,
}

/// What came of a want: how many frames were kept, the first number that was answered, and where the answer ended.
struct Fetched {
    kept: usize,
    first: Option<u64>,
    next: u64,
}

/// What came of a fetch: how many frames were kept, and whether something was left to other neighbours that were bringing it.
pub(super) struct Pulled {
    pub kept: usize,
    pub left: bool,
}

/// Fetches from a neighbour what this node lacks and no other one is bringing. It waits for these no longer once it is told that
/// something is wanted of that neighbour again.
pub(super) async fn pull(shared: &Arc<Shared>, peer: &NodeId, again: &Notify) -> anyhow::Result<Pulled> {
    let mut line = Line::new(shared.mesh.open(peer, Protocol::Sync).await?);
    let mut pulled = Pulled { kept: 0, left: false };
    let mut answered = BTreeMap::new();
    for _ in 0..ROUNDS_MAX {
        let marks = shared.marks().await?;
        line.say(&Message::Ask(marks_digest(&marks))).await?;
        pulled.left = false;
        let theirs = match line.hear().await? {
            Some(Message::Same) => break,
            Some(Message::Marks(theirs)) => theirs,
            Some(_) => return Err(Fault::new(Reason::Turn, "another answer than to what there is").into()),
            None => bail!("no answer to what there is"),
        };
        let mut asked = (&mut line, &mut answered);
        if !fetch_missing(shared, *peer, &theirs, &mut asked, &mut pulled, again).await? {
            break;
        }
    }
    line.patience.shutdown(&mut line.stream).await?;
    Ok(pulled)
}

/// Fetches what is lacking of the journals that a neighbour has, and of those that others are bringing what they do not bring.
/// Says whether something came, so that there may be more.
async fn fetch_missing(
    shared: &Arc<Shared>,
    peer: NodeId,
    theirs: &[Mark],
    (line, answered): &mut (&mut Line, &mut BTreeMap<Origin, Answered>),
    pulled: &mut Pulled,
    again: &Notify,
) -> anyhow::Result<bool> {
    let (mut goes_on, mut done, mut waits_until) = (false, BTreeSet::new(), None);
    loop {
        let turn_ended = shared.turns.next_end();
        // What others brought meanwhile may have made authors known.
        let mut missing = shared.exchange().missing(theirs);
        missing.retain(|mark| !done.contains(&mark.origin));
        missing.retain(|mark| shared.watch().quarantine(&mark.origin.node()).is_none());
        let mut others_until: Option<Mono> = None;
        for theirs in missing {
            let turn = match shared.turns.take(theirs.origin, shared.mono()) {
                Ok(turn) => turn,
                Err(until) => {
                    others_until = Some(others_until.map_or(until, |first| first.min(until)));
                    continue;
                }
            };
            done.insert(theirs.origin);
            let answered = answered.entry(theirs.origin).or_default();
            let before = answered.next;
            pulled.kept += fetch_more(shared, line, (peer, theirs), answered, &turn).await?;
            goes_on |= answered.next > before;
        }
        pulled.left = others_until.is_some();
        let Some(until) = others_until else { return Ok(goes_on) };
        let now = Instant::now();
        let end = *waits_until.get_or_insert(now + Duration::from_millis(fetching::WAIT_MS));
        if now >= end {
            return Ok(goes_on);
        }
        let looks_again = end.min(now + Duration::from_millis(until.since_ms(shared.mono())));
        tokio::select! {
            // Ended or out of time: it may be free now.
            _ = tokio::time::timeout_at(looks_again, turn_ended) => {}
            () = again.notified() => return Ok(goes_on),
        }
    }
}

/// Fetches more of a journal's records, up to where the neighbour has them and from where its last answer ended: first what is
/// lacking between those that are held, then what is behind them.
async fn fetch_more(
    shared: &Arc<Shared>,
    line: &mut Line,
    (peer, theirs): (NodeId, Mark),
    answered: &mut Answered,
    turn: &Turn<'_>,
) -> anyhow::Result<usize> {
    let mut kept = 0;
    for _ in 0..WANTS_EACH {
        let knows_holes = !shared.holes_unanswered().contains(&peer);
        let lacking = shared.records.lacking(&theirs.origin);
        let within = answered.next..theirs.next;
        let Some(question) = question(theirs.origin, lacking, within, knows_holes) else { break };
        let fetched = fetch(shared, line, peer, &question, turn).await;
        if let (Err(error), Message::Holes(_)) = (&fetched, &question)
            && Reason::of_stream(error).is_none()
            && shared.up().contains(&peer)
        {
            // A node of the version before ends the stream there, and blames whoever says it.
            shared.holes_unanswered().insert(peer);
        }
        let fetched = fetched?;
        kept += fetched.kept;
        // What comes later than the first holes says nothing of what is lacking first.
        if answered.next == 0 || matches!(question, Message::Want(_)) {
            let lacks = exchange::lacks_below(&question, fetched.first, fetched.next);
            answered.lacks = answered.lacks.or(lacks);
        }
        if let Some(below) = answered.lacks {
            shared.keeper.lacks(peer, theirs.origin, below).await;
        }
        if fetched.next <= exchange::asked_from(&question) {
            break;
        }
        answered.next = fetched.next;
    }
    Ok(kept)
}

/// Fetches what a neighbour is asked for.
async fn fetch(
    shared: &Arc<Shared>,
    line: &mut Line,
    peer: NodeId,
    question: &Message,
    turn: &Turn<'_>,
) -> anyhow::Result<Fetched> {
    line.say(question).await?;
    let (mut unkept, mut kept, mut answered) = (Vec::new(), 0, 0);
    let mut first = None;
    loop {
        match line.hear().await? {
            Some(Message::Records(bytes)) => {
                answered += bytes.len();
                if answered > ANSWER_BYTES_MAX {
                    return Err(Fault::new(Reason::Turn, "more than was asked for").into());
                }
                let records = Records::check(&bytes, &shared.me.federation()).map_err(|error| {
                    Fault::new(Reason::from(&error), format!("records that do not hold: {error}"))
                })?;
                if !exchange::answers(&records, question) {
                    return Err(
                        Fault::new(Reason::Turn, "other records than those that were asked for").into()
                    );
                }
                first = first.or(records.records().first().map(|record| record.public_seq));
                if !witness::may_take(shared, &records).await {
                    // Its author lied or is suspected: whoever sends it need not know that yet.
                    continue;
                }
                let judged = shared.exchange().judge(None, &records);
                match judged {
                    Judgement::Keep => {
                        let lacks = |seq| !shared.records.has(&records.origin(), seq);
                        if records.records().iter().any(|record| lacks(record.public_seq)) {
                            turn.brought(bytes.len(), shared.mono());
                        }
                        unkept.push(shared.keeper.keep(records, peer).await);
                    }
                    Judgement::Known | Judgement::Unwanted => {}
                    Judgement::Wrong(what) => {
                        let what = format!("records that no honest node sends: {what}");
                        return Err(Fault::new(Reason::Entry, what).into());
                    }
                }
                if unkept.len() >= UNKEPT_MAX {
                    kept += all_kept(std::mem::take(&mut unkept)).await?;
                }
            }
            Some(Message::End { next }) => {
                kept += all_kept(unkept).await?;
                return Ok(Fetched { kept, first, next });
            }
            Some(_) => return Err(Fault::new(Reason::Turn, "another answer than to a want").into()),
            None => bail!("no answer to a want"),
        }
    }
}

async fn all_kept(waiting: Vec<oneshot::Receiver<Kept>>) -> anyhow::Result<usize> {
    let mut new = 0;
    for kept in waiting {
        new += usize::from(kept.await.context("records could not be written")? == Kept::New);
    }
    Ok(new)
}

/// Answers a neighbour until it is content, or has asked as much as anybody may on one stream.
pub(super) async fn serve(shared: &Arc<Shared>, stream: Stream) -> anyhow::Result<()> {
    let mut line = Line::new(stream);
    let (mut rounds, mut wants) = (0, 0);
    while let Some(message) = line.hear().await? {
        shared.asked.count_on_sync(&message);
        match message {
            Message::Ask(digest) if rounds < ROUNDS_MAX => {
                (rounds, wants) = (rounds + 1, WANTS_EACH * MARKS_MAX);
                let marks = shared.marks().await?;
                let same = marks_digest(&marks) == digest;
                line.say(&if same { Message::Same } else { Message::Marks(marks) }).await?;
            }
            Message::Want(want) if wants > 0 => {
                wants -= 1;
                let wanted = want.next..u64::MAX;
                give(shared, &mut line, (want.origin, vec![wanted]), None).await?;
            }
            Message::Holes(holes) if wants > 0 => {
                wants -= 1;
                let wanted = (holes.origin(), holes.ranges().to_vec());
                give(shared, &mut line, wanted, Some(Arc::new(holes))).await?;
            }
            Message::Ask(_) | Message::Want(_) | Message::Holes(_) => {
                return Err(Fault::new(Reason::Turn, "more questions than one stream may have").into());
            }
            _ => return Err(Fault::new(Reason::Turn, "an answer where a question was wanted").into()),
        }
    }
    Ok(())
}

/// Sends a journal's records of some ranges of numbers, as far as they are here: as they were made, or of holes what is lacking
/// alone. Where it cannot be said what is here, the stream ends without an end of the answer.
async fn give(
    shared: &Arc<Shared>,
    line: &mut Line,
    (origin, wanted): (Origin, Vec<Range<u64>>),
    holes: Option<Arc<Holes>>,
) -> anyhow::Result<()> {
    let mut giving = Giving::new(wanted);
    while giving.goes_on() {
        let (reads, holes, left) = (shared.clone(), holes.clone(), giving.wanted.clone());
        let reading = move || match origin == reads.me {
            true => read_own(&reads.reader.get(), &left, holes.is_some()),
            false => read_kept(&reads.records, &origin, &left, holes.as_deref())
                .inspect_err(|_| reads.keeper.mend()),
        };
        for frame in giving.take(tokio::task::spawn_blocking(reading).await??) {
            line.patience.write(&mut line.stream, &frame).await?;
        }
    }
    line.say(&Message::End { next: giving.end(holes.as_deref()) }).await
}

/// How far an answer has come.
struct Giving {
    /// What is to be looked for still.
    wanted: Vec<Range<u64>>,
    next: u64,
    read: usize,
}

/// Some frames with wanted records, and the number behind them.
#[derive(Debug, PartialEq, Eq)]
struct Page {
    frames: Vec<Vec<u8>>,
    then: u64,
    /// What it took to read them.
    read: usize,
}

impl Giving {
    fn new(wanted: Vec<Range<u64>>) -> Self {
        Giving { next: wanted[0].start, wanted, read: 0 }
    }

    fn goes_on(&self) -> bool {
        self.read < WANT_BYTES_MAX && !self.wanted.is_empty()
    }

    /// Takes in what was read of what is wanted, where there was anything: the frames.
    fn take(&mut self, page: Option<Page>) -> Vec<Vec<u8>> {
        let wanted = std::mem::take(&mut self.wanted);
        let Some(Page { frames, then, read }) = page else { return Vec::new() };
        (self.next, self.wanted) = (then, clipped(&wanted, then..u64::MAX));
        self.read += read;
        frames
    }

    /// The number behind what was looked for: where nothing more of holes is here, behind all of them.
    fn end(&self, holes: Option<&Holes>) -> u64 {
        holes.filter(|_| self.wanted.is_empty()).map_or(self.next, Holes::end)
    }
}

fn read_own(reader: &Reader, wanted: &[Range<u64>], are_holes: bool) -> anyhow::Result<Option<Page>> {
    let Some(records) = reader.records_in(wanted)? else { return Ok(None) };
    let then = records.records().last().expect("a frame has records").public_seq + 1;
    let read = records.bytes().len() + if are_holes { ranges_bytes(wanted, then) } else { 0 };
    Ok(Some(Page { frames: vec![records.bytes().to_vec()], then, read }))
}

/// The same of another node's journal. Of holes the frames have what is lacking alone.
fn read_kept(
    kept: &Stored,
    origin: &Origin,
    wanted: &[Range<u64>],
    holes: Option<&Holes>,
) -> anyhow::Result<Option<Page>> {
    let sound = kept.sound();
    let (mut frames, then) = kept.frames_in(origin, wanted, READ_BYTES);
    if sound.is_none() || kept.sound() != sound {
        bail!("what is kept is not whole just now");
    }
    if frames.is_empty() {
        return Ok(None);
    }
    let mut read = frames.iter().map(Vec::len).sum();
    if let Some(holes) = holes {
        read += ranges_bytes(wanted, then);
        frames = frames.iter().filter_map(|frame| holes.cut(frame)).collect();
    }
    Ok(Some(Page { frames, then, read }))
}

/// What it took to find those of some ranges that begin before a number.
fn ranges_bytes(wanted: &[Range<u64>], then: u64) -> usize {
    wanted.partition_point(|range| range.start < then) * RANGE_BYTES
}

/// What a neighbour is asked for of a journal, as far as it lies within what it has and has not been asked for yet: where it does
/// not know holes, all from the first one on.
fn question(
    origin: Origin,
    (holes, behind): (Vec<Range<u64>>, u64),
    within: Range<u64>,
    knows_holes: bool,
) -> Option<Message> {
    match holes.first() {
        Some(first) if !knows_holes => exchange::question(origin, (&[], first.start), within),
        _ => exchange::question(origin, (&holes, behind), within),
    }
}

/// A stream of messages.
struct Line {
    stream: Stream,
    patience: Patience,
}

impl Line {
    fn new(stream: Stream) -> Self {
        Line { stream, patience: Patience::new(MESSAGE_WAIT) }
    }

    async fn say(&mut self, message: &Message) -> anyhow::Result<()> {
        self.patience.write(&mut self.stream, &message.encode()).await?;
        self.patience.flush(&mut self.stream).await
    }

    /// The next message; nothing where the other side has ended the stream.
    async fn hear(&mut self) -> anyhow::Result<Option<Message>> {
        let Line { stream, patience } = self;
        let mut head = [0; FRAME_HEAD_BYTES];
        if patience.read(stream, &mut head[..1]).await? == 0 {
            return Ok(None);
        }
        patience.read_exact(stream, &mut head[1..]).await?;
        let mut bytes = head.to_vec();
        bytes.resize(FRAME_HEAD_BYTES + Message::payload_len(&head)?, 0);
        patience.read_exact(stream, &mut bytes[FRAME_HEAD_BYTES..]).await?;
        Ok(Some(Message::decode(&bytes)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_audit::index::MemoryStore;
    use artel_audit::memory::MemoryDisk;
    use artel_audit::records::{Item, Limits, NewFrame, RecordStore};
    use artel_protocol::id::FederationId;
    use artel_protocol::key::SecretKey;
    use artel_protocol::log::tree::root_of;
    use artel_protocol::log::{Checkpoint, Class, Leaf, SignedCheckpoint};
    use artel_protocol::record::Record;

    const FEDERATION: FederationId = FederationId([3; 32]);

    fn key() -> SecretKey {
        SecretKey::from_seed(&[1; 32])
    }

    fn origin() -> Origin {
        Origin::new(FEDERATION, NodeId(key().public()), 0)
    }

    /// All of a journal with so many records, as one frame.
    fn records(count: u64) -> Records {
        let record = |n| Record { index: n, public_seq: n, salt: [n as u8; 16], body: vec![n as u8; 300] };
        let all: Vec<Record> = (0..count).map(record).collect();
        let leaves = all.iter().map(|r| Leaf::commit(Class::Public, r.public_seq, &r.salt, &r.body).hash());
        let plain = Checkpoint::new(origin(), count, root_of(&leaves.collect::<Vec<_>>())).expect("plain");
        let signed = SignedCheckpoint::sign(plain, &key()).expect("its own key");
        Records::new(&signed, all, vec![]).expect("sound")
    }

    /// A store that keeps them.
    fn kept(disk: &MemoryDisk, records: &Records) -> RecordStore {
        let (files, index) = (Arc::new(disk.clone()), Arc::new(MemoryStore::default()));
        let opened = RecordStore::open(files, index, FEDERATION, Limits::default()).expect("a good disk");
        let mut store = opened.store;
        let item = |r: &Record| Item { public_seq: r.public_seq, index: r.index };
        let items = records.records().iter().map(item).collect();
        let frame = NewFrame { origin: origin(), topic: 0, bytes: records.bytes().to_vec(), items };
        store.append(vec![frame]).expect("a good disk");
        store
    }

    #[test]
    fn of_holes_all_that_is_read_counts_whatever_is_sent() {
        let (disk, all) = (MemoryDisk::new(), records(64));
        let store = kept(&disk, &all);
        let lacking = vec![5..6, 9..10];
        let holes = Holes::new(origin(), lacking.clone()).expect("ascending");
        let page = read_kept(&store.reader(), &origin(), &lacking, Some(&holes)).expect("sound");
        let page = page.expect("they are here");
        let sent: usize = page.frames.iter().map(Vec::len).sum();
        assert!(sent < all.bytes().len() / 4, "{sent}");
        assert_eq!(page.read, all.bytes().len() + 2 * RANGE_BYTES);
        let whole = read_kept(&store.reader(), &origin(), &[0..u64::MAX], None).expect("sound");
        assert_eq!(whole.expect("they are here").read, all.bytes().len());
    }

    #[test]
    fn an_answer_ends_where_enough_was_read_for_it_and_says_how_far_it_looked() {
        let ranges: Vec<Range<u64>> = (0..100).map(|n| 10 * n..10 * n + 1).collect();
        let holes = Holes::new(origin(), ranges.clone()).expect("ascending");
        let page = |then| Page { frames: vec![vec![0; 100]], then, read: WANT_BYTES_MAX / 2 };
        let mut giving = Giving::new(ranges.clone());
        assert_eq!(giving.take(Some(page(101))), [[0; 100]]);
        assert!(giving.goes_on());
        giving.take(Some(page(201)));
        assert!(!giving.goes_on());
        assert_eq!(giving.end(Some(&holes)), 201, "whatever is lacking behind may be here");
        let mut giving = Giving::new(ranges);
        giving.take(Some(page(101)));
        giving.take(None);
        assert!(!giving.goes_on());
        assert_eq!((giving.end(Some(&holes)), giving.end(None)), (991, 101));
    }

    #[test]
    fn while_the_store_is_not_sound_nobody_is_told_what_it_lacks() {
        let (disk, all) = (MemoryDisk::new(), records(8));
        let mut store = kept(&disk, &all);
        let reader = store.reader();
        let (segment, bytes) =
            disk.files().into_iter().find(|(path, _)| path.ends_with(".seg")).expect("one");
        assert!(disk.flip(&segment, (bytes - 64) * 8));
        let asks = || read_kept(&reader, &origin(), &[0..u64::MAX], None);
        assert!(asks().is_err(), "it finds out just now");
        assert!(asks().is_err(), "and knows it");
        store.append(Vec::new()).expect("it mends itself");
        assert_eq!(asks().expect("sound"), None, "it was taken for missing");
    }

    #[test]
    fn who_does_not_know_holes_is_asked_for_all_from_the_first_one_on() {
        let ask = |within, knows_holes| question(origin(), (vec![5..7, 9..10], 20), within, knows_holes);
        let want = |next| Some(Message::Want(Mark { origin: origin(), next }));
        assert!(matches!(ask(0..30, true), Some(Message::Holes(_))));
        assert_eq!((ask(0..30, false), ask(12..30, false)), (want(5), want(12)));
        assert_eq!((ask(30..30, false), ask(0..5, false)), (None, None));
        let whole = |knows_holes| question(origin(), (vec![], 20), 0..30, knows_holes);
        assert_eq!((whole(true), whole(false)), (want(20), want(20)));
    }
}
