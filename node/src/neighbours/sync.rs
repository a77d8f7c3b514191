//! The exchange of records over a `sync` stream, from both of its ends: what is missing is fetched, and whoever asks is
//! answered from this node's journal and its record store. A stream that breaks loses nothing.

use super::patience::Patience;
use super::places::Sizes;
use super::refusals::{Fault, Reason};
use super::shared::Shared;
use super::witness;
use anyhow::{Context as _, bail};
use artel_audit::records::Kept;
use artel_federation::exchange::Judgement;
use artel_mesh::{Protocol, Stream};
use artel_protocol::codec::FRAME_HEAD_BYTES;
use artel_protocol::key::NodeId;
use artel_protocol::log::Origin;
use artel_protocol::record::Records;
use artel_protocol::sync::{MARKS_MAX, Mark, Message, marks_digest};
use std::collections::BTreeMap;
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

/// How much one want is answered with (16 MiB); then its asker asks again, so that streams take turns.
const WANT_BYTES_MAX: usize = 16 << 20;

/// How much one want may be answered with before its asker gives up: twice what an honest neighbour sends.
const ANSWER_BYTES_MAX: usize = 2 * WANT_BYTES_MAX;

/// How much is read from the store at once.
const READ_BYTES: usize = 256 << 10;

/// What a neighbour that was asked for more of a journal lacks of it: all before `first`. Its last answer went up to `next`.
struct Lacks {
    first: u64,
    next: u64,
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
    let (mut kept, mut lacks) = (0, BTreeMap::new());
    for _ in 0..ROUNDS_MAX {
        let marks = shared.marks().await?;
        line.say(&Message::Ask(marks_digest(&marks))).await?;
        let theirs = match line.hear().await? {
            Some(Message::Same) => break,
            Some(Message::Marks(theirs)) => theirs,
            Some(_) => return Err(Fault::new(Reason::Turn, "another answer than to what there is").into()),
            None => bail!("no answer to what there is"),
        };
        let before = kept;
        let mut missing = shared.exchange().missing(&theirs);
        missing.retain(|mark| shared.watch().quarantine(&mark.origin.node()).is_none());
        for mark in missing {
            kept += fetch_on(shared, &mut line, (*peer, mark), &mut lacks).await?;
        }
        if kept == before {
            break;
        }
    }
    line.patience.shutdown(&mut line.stream).await?;
    Ok(kept)
}

/// Fetches more of a journal's records: from this node's mark on, or where the neighbour lacks what comes there, from where its
/// last answer ended.
async fn fetch_on(
    shared: &Arc<Shared>,
    line: &mut Line,
    (peer, mark): (NodeId, Mark),
    lacks: &mut BTreeMap<Origin, Lacks>,
) -> anyhow::Result<usize> {
    let answered = lacks.get(&mark.origin).map_or(0, |lacks| lacks.next);
    let want = Mark { next: mark.next.max(answered), ..mark };
    let fetched = fetch(shared, line, (peer, want)).await?;
    match (lacks.get_mut(&mark.origin), fetched.first) {
        (Some(lacks), _) => lacks.next = fetched.next,
        (None, Some(first)) if first > want.next => {
            lacks.insert(mark.origin, Lacks { first, next: fetched.next });
        }
        _ => {}
    }
    if let Some(Lacks { first, .. }) = lacks.get(&mark.origin) {
        shared.keeper.lacks(peer, mark.origin, *first).await;
    }
    Ok(fetched.kept)
}

/// Fetches one journal's records from a neighbour, from a number on.
async fn fetch(
    shared: &Arc<Shared>,
    line: &mut Line,
    (peer, want): (NodeId, Mark),
) -> anyhow::Result<Fetched> {
    line.say(&Message::Want(want)).await?;
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
                if records.origin() != want.origin {
                    let what = "records of another journal than the one that was asked for";
                    return Err(Fault::new(Reason::Turn, what).into());
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
        match message {
            Message::Ask(digest) if rounds < ROUNDS_MAX => {
                (rounds, wants) = (rounds + 1, MARKS_MAX);
                let marks = shared.marks().await?;
                let same = marks_digest(&marks) == digest;
                line.say(&if same { Message::Same } else { Message::Marks(marks) }).await?;
            }
            Message::Want(want) if wants > 0 => {
                wants -= 1;
                give(shared, &mut line, want).await?;
            }
            Message::Ask(_) | Message::Want(_) => {
                return Err(Fault::new(Reason::Turn, "more questions than one stream may have").into());
            }
            _ => return Err(Fault::new(Reason::Turn, "an answer where a question was wanted").into()),
        }
    }
    Ok(())
}

/// Sends a journal's records from a number on, as far as they are here.
async fn give(shared: &Arc<Shared>, line: &mut Line, want: Mark) -> anyhow::Result<()> {
    let (mut next, mut sent) = (want.next, 0);
    while sent < WANT_BYTES_MAX {
        let (shared, origin) = (shared.clone(), want.origin);
        let read = tokio::task::spawn_blocking(move || shared.frames_from(&origin, next)).await?;
        let Some((frames, then)) = read? else { break };
        for frame in frames {
            sent += frame.len();
            line.patience.write(&mut line.stream, &frame).await?;
        }
        next = then;
    }
    line.say(&Message::End { next }).await
}

impl Shared {
    /// Some of a journal's frames of records from a number on, and the number behind them; nothing where there are none.
    fn frames_from(&self, origin: &Origin, next: u64) -> anyhow::Result<Option<(Vec<Vec<u8>>, u64)>> {
        if *origin == self.me {
            let Some(records) = self.reader.get().records_from(next)? else { return Ok(None) };
            let then = records.records().last().expect("a frame has records").public_seq + 1;
            return Ok(Some((vec![records.bytes().to_vec()], then)));
        }
        let (frames, then) = self.records.frames(origin, next, READ_BYTES);
        Ok((!frames.is_empty()).then_some((frames, then)))
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
