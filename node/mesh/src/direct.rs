//! Direct requests: one long-lived substream for each peer and direction, with many requests in flight on it.
//!
//! A frame is `id u64 LE ‖ len u32 LE ‖ bytes`. The asker's ids rise; an answer carries its request's id. Two lengths stand
//! without bytes: `ff ff ff ff` says that the node refused the request, `fe ff ff ff` that it had no room or no time for it.

use crate::budget::{Budget, Taken};
use crate::counts::{Counters, Lane, Refusal};
use crate::error::RequestError;
use crate::limits::{DIRECT_FRAME_BYTES_MAX, DIRECT_IN_FLIGHT_MAX, DIRECT_QUEUE_WAIT, DIRECT_QUEUED_MAX};
use bytes::{BufMut, Bytes, BytesMut};
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;

/// The bytes before a frame's own.
const HEAD_BYTES: usize = 12;

/// The length that says "refused": the node looked at the request, and does not do it.
const REFUSED: u32 = u32::MAX;

/// The length that says "busy": nobody looked at the request, or nobody came to an answer. It says nothing about what was asked.
const BUSY: u32 = REFUSED - 1;

/// How many bytes are gathered into one write.
const WRITE_BYTES: usize = 64 << 10;

/// A refused request's bytes are read over in pieces of this size.
const SKIP_BYTES: usize = 8 << 10;

const _: () = assert!(DIRECT_FRAME_BYTES_MAX < BUSY as usize);

/// Why a substream of direct frames ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The peer, or the connection, closed it.
    Closed,
    /// The peer broke the framing.
    Broken,
}

/// What a frame says.
enum Said {
    Data(Bytes),
    Refused,
    Busy,
}

/// A frame on its way out.
struct Frame {
    id: u64,
    said: Said,
    /// Held while it waits. Not until it is written: whoever has the answer may ask again at once.
    _place: Option<OwnedSemaphorePermit>,
    /// Held until it is written.
    taken: Option<Taken>,
}

// The asking side.

type Reply = oneshot::Sender<Result<Bytes, RequestError>>;

/// The requests that wait for an answer. Ids and frames go out in the same order.
#[derive(Debug, Default)]
struct Asked {
    next_id: u64,
    waiting: HashMap<u64, Reply>,
    /// Another substream has taken its place; only answers are still to come.
    replaced: bool,
    ended: bool,
}

/// Asks one peer; a cheap clone.
#[derive(Clone)]
pub(crate) struct Asker {
    asked: Arc<Mutex<Asked>>,
    frames: mpsc::Sender<Frame>,
    budget: Arc<Budget>,
    /// A place for each request in flight.
    in_flight: Arc<Semaphore>,
    /// A place for each of these, and for each that waits for one.
    here: Arc<Semaphore>,
}

/// What [`Asker::run`] needs.
pub(crate) struct AskerTask {
    asked: EndsWaiting,
    frames: mpsc::Receiver<Frame>,
}

impl Asker {
    pub(crate) fn new(budget: Arc<Budget>) -> (Self, AskerTask) {
        let (sender, frames) = mpsc::channel(DIRECT_IN_FLIGHT_MAX);
        let asked = Arc::<Mutex<Asked>>::default();
        let in_flight = Arc::new(Semaphore::new(DIRECT_IN_FLIGHT_MAX));
        let here = Arc::new(Semaphore::new(DIRECT_IN_FLIGHT_MAX + DIRECT_QUEUED_MAX));
        (
            Asker { asked: asked.clone(), frames: sender, budget, in_flight, here },
            AskerTask { asked: EndsWaiting(asked), frames },
        )
    }

    /// Asks and waits for the answer, for `patience` from when the request is on its way. While as many requests as may be are in
    /// flight it waits for a place, no longer than for an answer; whoever has got none in time, or before another substream took
    /// this one's place, hears that nobody looked at the request.
    pub(crate) async fn request(self, data: Bytes, patience: Duration) -> Result<Bytes, RequestError> {
        if data.len() > DIRECT_FRAME_BYTES_MAX {
            return Err(RequestError::TooLarge);
        }
        let Asker { asked, frames, budget, in_flight, here } = self;
        let taken = budget.take(data.len()).ok_or(RequestError::Busy)?;
        let _here = here.try_acquire_owned().map_err(|_| RequestError::Busy)?;
        // Whoever waits keeps no substream open that nobody else asks on.
        let way = frames.downgrade();
        drop(frames);
        let place = timeout(patience.min(DIRECT_QUEUE_WAIT), in_flight.acquire_owned()).await;
        let _place = place.ok().and_then(Result::ok).ok_or(RequestError::Busy)?;
        let answer = {
            let frames = way.upgrade().ok_or(RequestError::Busy)?;
            lock(&asked).send(&frames, data, taken).ok_or(RequestError::Busy)?
        };
        match timeout(patience, answer).await {
            Err(_) => Err(RequestError::Timeout),
            Ok(answer) => answer.unwrap_or(Err(RequestError::Gone)),
        }
    }
}

impl Asked {
    /// Puts a request on its way; nothing where the substream takes none any more.
    fn send(
        &mut self,
        frames: &mpsc::Sender<Frame>,
        data: Bytes,
        taken: Taken,
    ) -> Option<oneshot::Receiver<Result<Bytes, RequestError>>> {
        if self.ended {
            return None;
        }
        if self.waiting.len() >= DIRECT_IN_FLIGHT_MAX {
            // Who gave up waiting has left an entry behind.
            self.waiting.retain(|_, reply| !reply.is_closed());
        }
        let id = self.next_id;
        let frame = Frame { id, said: Said::Data(data), _place: None, taken: Some(taken) };
        frames.try_send(frame).ok()?;
        self.next_id += 1;
        let (reply, answer) = oneshot::channel();
        self.waiting.insert(id, reply);
        Some(answer)
    }
}

impl AskerTask {
    /// Serves one substream until it ends; then everybody who still waits hears that the peer is gone. When all
    /// [`Asker`]s are dropped it serves what is under way, and ends.
    pub(crate) async fn run(self, stream: impl AsyncRead + AsyncWrite, counters: Arc<Counters>) -> Ended {
        let (reader, writer) = tokio::io::split(stream);
        let reading = Self::read(reader, &self.asked.0, &counters);
        let writing = write(writer, self.frames, &counters);
        let mut reading = std::pin::pin!(reading);
        let written = tokio::select! {
            ended = &mut reading => return ended,
            written = writing => written,
        };
        if written.is_err() || self.asked.replace() {
            return Ended::Closed;
        }
        reading.await
    }

    async fn read(reader: impl AsyncRead + Unpin, asked: &Mutex<Asked>, counters: &Counters) -> Ended {
        let mut reader = BufReader::new(reader);
        loop {
            let Ok((id, len)) = read_head(&mut reader, counters).await else {
                return Ended::Closed;
            };
            let reply = {
                let mut asked = lock(asked);
                if id >= asked.next_id {
                    return Ended::Broken;
                }
                asked.waiting.remove(&id)
            };
            let answer = match len {
                REFUSED => Err(RequestError::Refused),
                BUSY => Err(RequestError::Busy),
                len if len as usize > DIRECT_FRAME_BYTES_MAX => return Ended::Broken,
                len => match read_body(&mut reader, len as usize, counters).await {
                    Ok(data) => Ok(data),
                    Err(_) => {
                        reply.map(|reply| reply.send(Err(RequestError::Gone)));
                        return Ended::Closed;
                    }
                },
            };
            // Nobody waits for a late answer.
            reply.map(|reply| reply.send(answer));
            let asked = lock(asked);
            if asked.replaced && asked.waiting.is_empty() {
                return Ended::Closed;
            }
        }
    }
}

/// Tells those who wait that the peer is gone, when the task is done and when it is dropped before it began.
struct EndsWaiting(Arc<Mutex<Asked>>);

impl EndsWaiting {
    /// No more requests come; true if nobody waits for an answer either.
    fn replace(&self) -> bool {
        let mut asked = lock(&self.0);
        asked.replaced = true;
        asked.waiting.retain(|_, reply| !reply.is_closed());
        asked.waiting.is_empty()
    }
}

impl Drop for EndsWaiting {
    fn drop(&mut self) {
        let mut asked = lock(&self.0);
        asked.ended = true;
        for (_, reply) in asked.waiting.drain() {
            let _ = reply.send(Err(RequestError::Gone));
        }
    }
}

fn lock(asked: &Mutex<Asked>) -> MutexGuard<'_, Asked> {
    asked.lock().unwrap_or_else(PoisonError::into_inner)
}

// The answering side.

/// A request that came.
pub(crate) struct Request {
    pub(crate) data: Bytes,
    pub(crate) answer: Answer,
}

/// The way back to who asked. Dropped without [`Answer::send`] and [`Answer::refuse`], as when the node ends, the asker hears
/// that this node was busy: that says nothing about what was asked.
pub struct Answer {
    way: Option<Way>,
}

struct Way {
    id: u64,
    frames: mpsc::Sender<Frame>,
    budget: Arc<Budget>,
    place: OwnedSemaphorePermit,
    /// What the request takes from the budget, as long as the node works on it.
    _taken: Taken,
    counters: Arc<Counters>,
}

impl Answer {
    /// Answers. More than [`DIRECT_FRAME_BYTES_MAX`] bytes, or more than may wait for the peer, is a refusal.
    pub fn send(mut self, data: Bytes) {
        let Some(way) = self.way.take() else { return };
        if data.len() > DIRECT_FRAME_BYTES_MAX {
            tracing::error!(bytes = data.len(), "an answer is larger than a frame; the request is refused");
            return way.fail(Refusal::DirectUnanswered, Said::Refused);
        }
        match way.budget.take(data.len()) {
            None => way.fail(Refusal::DirectTooMany, Said::Busy),
            Some(taken) => way.send(Said::Data(data), Some(taken)),
        }
    }

    /// Waits until whoever asked is gone: the substream has ended, and an answer would reach nobody.
    pub async fn gone(&self) {
        if let Some(way) = &self.way {
            way.frames.closed().await;
        }
    }

    /// Says that this node does not do what was asked.
    pub fn refuse(mut self) {
        if let Some(way) = self.way.take() {
            way.fail(Refusal::DirectUnanswered, Said::Refused);
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(way) = self.way.take() {
            way.fail(Refusal::DirectTooMany, Said::Busy);
        }
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answer")
    }
}

impl Way {
    fn fail(self, reason: Refusal, said: Said) {
        self.counters.refuse(reason);
        self.send(said, None);
    }

    fn send(self, said: Said, taken: Option<Taken>) {
        let frame = Frame { id: self.id, said, _place: Some(self.place), taken };
        // The queue has a place for each request in flight, so it is never full; closed, the peer is gone.
        let _ = self.frames.try_send(frame);
    }
}

/// Serves one substream of a peer's requests until it ends. A request is handed on when there is room for it; when
/// there is none its bytes are read over, and the peer hears that this node is busy.
pub(crate) async fn serve<P: Copy>(
    stream: impl AsyncRead + AsyncWrite,
    (budget_in, budget_out): (Arc<Budget>, Arc<Budget>),
    counters: Arc<Counters>,
    (peer, hand_on): (P, mpsc::Sender<(P, Request)>),
) -> Ended {
    let (reader, writer) = tokio::io::split(stream);
    let places = Arc::new(Semaphore::new(DIRECT_IN_FLIGHT_MAX));
    // As many again for refusals; while they are full the reader waits. So the queue has a place for each frame.
    let refusals = Arc::new(Semaphore::new(DIRECT_IN_FLIGHT_MAX));
    let (frames, outgoing) = mpsc::channel::<Frame>(2 * DIRECT_IN_FLIGHT_MAX);
    let reading = async {
        let mut reader = BufReader::new(reader);
        let mut next_id = 0;
        loop {
            let Ok((id, len)) = read_head(&mut reader, &counters).await else {
                return Ended::Closed;
            };
            let bytes = len as usize;
            if bytes > DIRECT_FRAME_BYTES_MAX || id < next_id || id == u64::MAX {
                return Ended::Broken;
            }
            next_id = id + 1;
            let place = places.clone().try_acquire_owned().ok();
            let room = place.zip(budget_in.take(bytes));
            let Some((place, taken)) = room else {
                counters.refuse(Refusal::DirectTooMany);
                let refusal = refusals.clone().acquire_owned().await.ok();
                let frame = Frame { id, said: Said::Busy, _place: refusal, taken: None };
                if skip(&mut reader, bytes, &counters).await.is_err() || frames.try_send(frame).is_err() {
                    return Ended::Closed;
                }
                continue;
            };
            let Ok(data) = read_body(&mut reader, bytes, &counters).await else {
                return Ended::Closed;
            };
            let way = Way {
                id,
                frames: frames.clone(),
                budget: budget_out.clone(),
                place,
                _taken: taken,
                counters: counters.clone(),
            };
            let request = Request { data, answer: Answer { way: Some(way) } };
            if hand_on.send((peer, request)).await.is_err() {
                return Ended::Closed;
            }
        }
    };
    tokio::select! {
        ended = reading => ended,
        _ = write(writer, outgoing, &counters) => Ended::Closed,
    }
}

// Both sides.

async fn read_head(reader: &mut (impl AsyncRead + Unpin), counters: &Counters) -> io::Result<(u64, u32)> {
    let head = (reader.read_u64_le().await?, reader.read_u32_le().await?);
    counters.lane(Lane::Direct).received(HEAD_BYTES);
    Ok(head)
}

async fn read_body(
    reader: &mut (impl AsyncRead + Unpin),
    bytes: usize,
    counters: &Counters,
) -> io::Result<Bytes> {
    let mut data = vec![0; bytes];
    reader.read_exact(&mut data).await?;
    counters.lane(Lane::Direct).received(bytes);
    Ok(data.into())
}

async fn skip(reader: &mut (impl AsyncRead + Unpin), bytes: usize, counters: &Counters) -> io::Result<()> {
    let mut piece = [0; SKIP_BYTES];
    let mut left = bytes;
    while left > 0 {
        let read = left.min(SKIP_BYTES);
        reader.read_exact(&mut piece[..read]).await?;
        left -= read;
    }
    counters.lane(Lane::Direct).received(bytes);
    Ok(())
}

/// Writes frames as they come, those that wait together in one write.
async fn write(
    mut writer: impl AsyncWrite + Unpin,
    mut frames: mpsc::Receiver<Frame>,
    counters: &Counters,
) -> io::Result<()> {
    let mut buffer = BytesMut::new();
    while let Some(frame) = frames.recv().await {
        let mut held = vec![put(&mut buffer, frame)];
        while buffer.len() < WRITE_BYTES
            && let Ok(frame) = frames.try_recv()
        {
            held.push(put(&mut buffer, frame));
        }
        writer.write_all(&buffer).await?;
        writer.flush().await?;
        counters.lane(Lane::Direct).sent(buffer.len());
        buffer.clear();
        if buffer.capacity() > 2 * WRITE_BYTES {
            buffer = BytesMut::new();
        }
    }
    Ok(())
}

fn put(buffer: &mut BytesMut, frame: Frame) -> Option<Taken> {
    buffer.put_u64_le(frame.id);
    match &frame.said {
        Said::Refused => buffer.put_u32_le(REFUSED),
        Said::Busy => buffer.put_u32_le(BUSY),
        Said::Data(data) => {
            buffer.put_u32_le(u32::try_from(data.len()).expect("checked against the most bytes of a frame"));
            buffer.put_slice(data);
        }
    }
    frame.taken
}
