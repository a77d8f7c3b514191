//! The exchange of records over a `sync` stream, from both of its ends: what is missing is fetched, and whoever asks is
//! answered from this node's journal and its record store. A stream that breaks loses nothing.

use super::patience::Patience;
use super::places::Sizes;
use super::refusals::{Fault, Reason};
use super::shared::Shared;
use super::witness;
use anyhow::{Context as _, bail};
use artel_audit::records::Kept;
use artel_federation::exchange::{self, Judgement};
use artel_mesh::{Protocol, Stream};
use artel_protocol::codec::FRAME_HEAD_BYTES;
use artel_protocol::holes::{Holes, clipped};
use artel_protocol::key::NodeId;
use artel_protocol::log::Origin;
use artel_protocol::record::Records;
use artel_protocol::sync::{MARKS_MAX, Mark, Message, marks_digest};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

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

/// How much one want is answered with (16 MiB); then its asker asks again, so that streams take turns.
const WANT_BYTES_MAX: usize = 16 << 20;

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

/// Fetches from a neighbour what this node lacks; says how many frames were kept.
pub(super) async fn pull(shared: &Arc<Shared>, peer: &NodeId) -> anyhow::Result<usize> {
    let mut line = Line::new(shared.mesh.open(peer, Protocol::Sync).await?);
    let (mut kept, mut answered) = (0, BTreeMap::new());
    for _ in 0..ROUNDS_MAX {
        let marks = shared.marks().await?;
        line.say(&Message::Ask(marks_digest(&marks))).await?;
        let theirs = match line.hear().await? {
            Some(Message::Same) => break,
            Some(Message::Marks(theirs)) => theirs,
            Some(_) => return Err(Fault::new(Reason::Turn, "another answer than to what there is").into()),
            None => bail!("no answer to what there is"),
        };
        let mut goes_on = false;
        let mut missing = shared.exchange().missing(&theirs);
        missing.retain(|mark| shared.watch().quarantine(&mark.origin.node()).is_none());
        for theirs in missing {
            let answered: &mut Answered = answered.entry(theirs.origin).or_default();
            let before = answered.next;
            kept += fetch_more(shared, &mut line, (*peer, theirs), answered).await?;
            goes_on |= answered.next > before;
        }
        if !goes_on {
            break;
        }
    }
    line.patience.shutdown(&mut line.stream).await?;
    Ok(kept)
}

/// Fetches more of a journal's records, up to where the neighbour has them and from where its last answer ended: first what is
/// lacking between those that are held, then what is behind them.
async fn fetch_more(
    shared: &Arc<Shared>,
    line: &mut Line,
    (peer, theirs): (NodeId, Mark),
    answered: &mut Answered,
) -> anyhow::Result<usize> {
    let mut kept = 0;
    for _ in 0..WANTS_EACH {
        let Some(question) = shared.question(&theirs.origin, answered.next..theirs.next) else { break };
        let fetched = fetch(shared, line, peer, &question).await?;
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
                    Judgement::Keep => unkept.push(shared.keeper.keep(records, peer).await),
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
/// alone.
async fn give(
    shared: &Arc<Shared>,
    line: &mut Line,
    (origin, mut wanted): (Origin, Vec<Range<u64>>),
    holes: Option<Arc<Holes>>,
) -> anyhow::Result<()> {
    let (mut next, mut sent) = (wanted[0].start, 0);
    while sent < WANT_BYTES_MAX && !wanted.is_empty() {
        let (shared, holes, left) = (shared.clone(), holes.clone(), std::mem::take(&mut wanted));
        let read = tokio::task::spawn_blocking(move || {
            let read = shared.frames_in(&origin, &left, holes.as_deref());
            read.map(|read| read.map(|(frames, then)| (frames, then, clipped(&left, then..u64::MAX))))
        });
        let Some((frames, then, left)) = read.await?? else { break };
        for frame in frames {
            sent += frame.len();
            line.patience.write(&mut line.stream, &frame).await?;
        }
        (next, wanted) = (then, left);
    }
    // Nothing more of holes is here: all of them were looked for.
    let looked_up_to = holes.filter(|_| wanted.is_empty()).map_or(next, |holes| holes.end());
    line.say(&Message::End { next: looked_up_to }).await
}

impl Shared {
    /// What a neighbour is asked for of a journal, as far as it lies within what it has and has not been asked for yet.
    fn question(&self, origin: &Origin, within: Range<u64>) -> Option<Message> {
        let (holes, behind) = self.records.lacking(origin);
        exchange::question(*origin, (&holes, behind), within)
    }

    /// Some of a journal's frames with records of these numbers, and the number behind them; nothing where there are none. Of holes
    /// the frames have what is lacking alone.
    fn frames_in(
        &self,
        origin: &Origin,
        wanted: &[Range<u64>],
        holes: Option<&Holes>,
    ) -> anyhow::Result<Option<(Vec<Vec<u8>>, u64)>> {
        if *origin == self.me {
            let Some(records) = self.reader.get().records_in(wanted)? else { return Ok(None) };
            let then = records.records().last().expect("a frame has records").public_seq + 1;
            return Ok(Some((vec![records.bytes().to_vec()], then)));
        }
        let (mut frames, then) = self.records.frames_in(origin, wanted, READ_BYTES);
        if frames.is_empty() {
            return Ok(None);
        }
        if let Some(holes) = holes {
            frames = frames.iter().filter_map(|frame| holes.cut(frame)).collect();
        }
        Ok(Some((frames, then)))
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
