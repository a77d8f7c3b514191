//! Bytes that belong to a lease, over `blob` streams: what a home tells a winner where that is large, artifacts that the work
//! needs, artifacts that it brought. They go to the other party of a live lease or an open result, or to the node that home
//! asked to run the step again, and to nobody else, are hashed while they stream, and go on where a broken stream ended.

use super::patience::Patience;
use super::places::Sizes;
use super::refusals::{Fault, Reason};
use super::shared::Shared;
use crate::store::{Error as StoreError, Stored, Upload};
use anyhow::bail;
use artel_federation::fact::Abroad;
use artel_federation::run::StepState;
use artel_federation::visit::message::{Fetch, Served, Told, Wanted};
use artel_federation::{Entry, Fact};
use artel_mesh::limits::STREAMS_PER_PEER_MAX;
use artel_mesh::{Lane, Protocol, Stream};
use artel_protocol::codec::{FRAME_HEAD_BYTES, VALUE_BYTES_MAX};
use artel_protocol::id::{Digest, Epoch, StepId};
use artel_protocol::key::NodeId;
use artel_protocol::limits::ARTIFACT_BYTES_MAX;
use std::io::SeekFrom;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

/// How many streams are served at once, each with a piece in memory; all that a neighbour may have open can be, while the others
/// leave them. A further one ends at once, and is taken up again by its asker.
pub(super) const PLACES: Sizes = Sizes { own: 2, each: STREAMS_PER_PEER_MAX, common: 112 };

/// How long one read or write may take. Whoever is slower is asked again, from where it ended.
const PIECE_WAIT: Duration = Duration::from_secs(20);

/// How many bytes are moved at a time: each piece is a hop to the threads that wait for the disk.
const PIECE_BYTES: usize = 256 << 10;

/// How often a broken stream is taken up again without a byte having come; then the fetch fails.
const BREAKS_MAX: u32 = 3;

/// How long it rests before that.
const BREAK_WAIT: Duration = Duration::from_millis(500);

/// The most bytes of a question or an answer's head: a few numbers and a sentence.
const HEAD_BYTES_MAX: usize = 2 << 10;

/// Why bytes were not given.
#[derive(Debug, thiserror::Error)]
#[error("{code}: {message}")]
pub(super) struct Refused {
    pub code: String,
    pub message: String,
}

/// What a fetch must keep to, and where it says how it goes.
pub(super) struct Fetching<'a> {
    /// Rises with what comes.
    pub progress: &'a AtomicU64,
    /// Whether there is room for so many bytes; asked once it is known how many they are, before the first is read.
    pub admit: &'a (dyn Fn(u64) -> Result<(), Refused> + Sync),
}

/// Fetches an artifact of a lease from the other party. It has no name yet. What no honest party serves is counted against it.
pub(super) async fn artifact(
    shared: &Shared,
    peer: &NodeId,
    lease: (StepId, Epoch),
    digest: Digest,
    how: &Fetching<'_>,
) -> anyhow::Result<Upload> {
    let fetched = unnamed(shared, peer, lease, digest, how).await;
    if let Err(error) = &fetched {
        shared.refuse_stream(Lane::Blob, peer, error).await;
    }
    fetched
}

/// Puts what was fetched under its name. Other bytes than those it names are counted against whoever served them.
pub(super) async fn named(
    shared: &Shared,
    peer: &NodeId,
    upload: Upload,
    digest: Digest,
) -> anyhow::Result<Stored> {
    match upload.finish(Some(digest)).await {
        Err(error @ StoreError::WrongDigest { .. }) => {
            shared.refuse(Lane::Blob, peer, Reason::Bytes).await;
            Err(Fault::new(Reason::Bytes, error.to_string()).into())
        }
        finished => Ok(finished?),
    }
}

/// An artifact of a lease, over as many streams as it takes; they have one patience together.
async fn unnamed(
    shared: &Shared,
    peer: &NodeId,
    (step, epoch): (StepId, Epoch),
    digest: Digest,
    how: &Fetching<'_>,
) -> anyhow::Result<Upload> {
    let mut coming = Coming { upload: shared.blobs.upload().await?, start: 0, all: None };
    let mut patience = Patience::new(PIECE_WAIT);
    let mut breaks = 0;
    loop {
        let before = coming.start;
        let fetch = Fetch { step, epoch, what: Wanted::Artifact { digest, start: before } };
        match pieces(shared, (peer, &mut patience), &fetch, &mut coming, how).await {
            Ok(()) => return Ok(coming.upload),
            Err(error) if is_final(&error) || patience.is_spent() => return Err(error),
            Err(error) => {
                breaks = if coming.start > before { 0 } else { breaks + 1 };
                if breaks == BREAKS_MAX {
                    return Err(error);
                }
                let start = coming.start;
                tracing::debug!(%peer, %digest, start, error = format!("{error:#}"), "a fetch goes on");
                tokio::time::sleep(BREAK_WAIT).await;
            }
        }
    }
}

/// Whether a fetch ends with it: the other side's word, or this node's disk.
fn is_final(error: &anyhow::Error) -> bool {
    error.is::<Refused>()
        || error.is::<StoreError>()
        || Reason::of_stream(error).is_some_and(Reason::is_wrong)
}

/// An artifact on its way here.
struct Coming {
    upload: Upload,
    /// How much has come.
    start: u64,
    /// How much there is, once the other side has said so.
    all: Option<u64>,
}

/// One stream's worth of an artifact.
async fn pieces(
    shared: &Shared,
    (peer, patience): (&NodeId, &mut Patience),
    fetch: &Fetch,
    coming: &mut Coming,
    how: &Fetching<'_>,
) -> anyhow::Result<()> {
    let (mut stream, mut left) = ask(shared, (peer, patience), fetch).await?;
    let all = coming.start.checked_add(left).filter(|bytes| *bytes <= ARTIFACT_BYTES_MAX);
    let all = all.ok_or_else(|| Fault::new(Reason::Malformed, "more bytes than an artifact may have"))?;
    match coming.all {
        None => (how.admit)(all)?,
        Some(before) if before != all => {
            let what = format!("it had {before} bytes before and has {all} now");
            return Err(Fault::new(Reason::Bytes, what).into());
        }
        Some(_) => {}
    }
    coming.all = Some(all);
    let mut piece = vec![0; PIECE_BYTES];
    while left > 0 {
        let room = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE_BYTES);
        let read = patience.read(&mut stream, &mut piece[..room]).await?;
        if read == 0 {
            bail!("the stream ended {left} bytes early");
        }
        coming.upload.write(&piece[..read]).await?;
        left -= read as u64;
        coming.start += read as u64;
        how.progress.fetch_add(read as u64, Ordering::Relaxed);
    }
    Ok(())
}

/// What a home tells the winner of a lease, where it does not fit a direct frame.
pub(super) async fn lease(
    shared: &Shared,
    home: &NodeId,
    (step, epoch): (StepId, Epoch),
) -> anyhow::Result<Told> {
    let fetch = Fetch { step, epoch, what: Wanted::Lease };
    let bytes = in_memory(shared, home, &fetch, VALUE_BYTES_MAX as u64).await?;
    let told = Told::read(&bytes).map_err(anyhow::Error::from);
    if let Err(error) = &told {
        shared.refuse_stream(Lane::Blob, home, error).await;
    }
    told
}

/// An artifact of a step that is run again, from its home: in memory, since it is not kept.
pub(super) async fn whole(
    shared: &Shared,
    home: &NodeId,
    (step, epoch): (StepId, Epoch),
    digest: Digest,
    bytes_max: u64,
) -> anyhow::Result<Vec<u8>> {
    let fetch = Fetch { step, epoch, what: Wanted::Artifact { digest, start: 0 } };
    let bytes = in_memory(shared, home, &fetch, bytes_max).await?;
    if Digest::of(&bytes) != digest {
        shared.refuse(Lane::Blob, home, Reason::Bytes).await;
        bail!("the bytes that came for {digest} are others");
    }
    Ok(bytes)
}

/// All bytes of a stream, which may be at most so many. What no honest party serves is counted against it.
async fn in_memory(shared: &Shared, peer: &NodeId, fetch: &Fetch, bytes_max: u64) -> anyhow::Result<Vec<u8>> {
    let content = content(shared, peer, fetch, bytes_max).await;
    if let Err(error) = &content {
        shared.refuse_stream(Lane::Blob, peer, error).await;
    }
    content
}

async fn content(shared: &Shared, peer: &NodeId, fetch: &Fetch, bytes_max: u64) -> anyhow::Result<Vec<u8>> {
    let mut patience = Patience::new(PIECE_WAIT);
    let (mut stream, bytes) = ask(shared, (peer, &mut patience), fetch).await?;
    if bytes > bytes_max {
        bail!("{bytes} bytes are more than the {bytes_max} that it may have");
    }
    let bytes = usize::try_from(bytes)?;
    let mut content = Vec::new();
    let mut piece = vec![0; PIECE_BYTES];
    while content.len() < bytes {
        let room = (bytes - content.len()).min(PIECE_BYTES);
        let read = patience.read(&mut stream, &mut piece[..room]).await?;
        if read == 0 {
            bail!("the stream ended early");
        }
        content.extend_from_slice(&piece[..read]);
    }
    Ok(content)
}

async fn ask(
    shared: &Shared,
    (peer, patience): (&NodeId, &mut Patience),
    fetch: &Fetch,
) -> anyhow::Result<(Stream, u64)> {
    let mut stream = shared.mesh.open(peer, Protocol::Blob).await?;
    patience.write(&mut stream, &fetch.to_frame()).await?;
    patience.flush(&mut stream).await?;
    match Served::read(&head(&mut stream, patience).await?)? {
        Served::Bytes(bytes) => Ok((stream, bytes)),
        Served::Refused { code, message } => Err(Refused { code, message }.into()),
    }
}

/// Answers one question.
pub(super) async fn serve(shared: &Shared, from: NodeId, mut stream: Stream) -> anyhow::Result<()> {
    let mut patience = Patience::new(PIECE_WAIT);
    let fetch = Fetch::read(&head(&mut stream, &mut patience).await?)?;
    match open(shared, &from, &fetch).await? {
        Ok(Source::Frame(frame)) => {
            patience.write(&mut stream, &Served::Bytes(frame.len() as u64).to_frame()).await?;
            for piece in frame.chunks(PIECE_BYTES) {
                patience.write(&mut stream, piece).await?;
            }
        }
        Ok(Source::File(mut file, bytes)) => {
            patience.write(&mut stream, &Served::Bytes(bytes).to_frame()).await?;
            let mut piece = vec![0; PIECE_BYTES];
            let mut left = bytes;
            while left > 0 {
                let room = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE_BYTES);
                let read = file.read(&mut piece[..room]).await?;
                if read == 0 {
                    bail!("the artifact's file has become shorter");
                }
                patience.write(&mut stream, &piece[..read]).await?;
                left -= read as u64;
            }
        }
        Err(Refused { code, message }) => {
            shared.refusals.count(Lane::Blob, &code);
            patience.write(&mut stream, &Served::Refused { code, message }.to_frame()).await?;
        }
    }
    patience.shutdown(&mut stream).await
}

/// Where bytes come from.
enum Source {
    Frame(Arc<Vec<u8>>),
    File(tokio::fs::File, u64),
}

/// What is known of a lease that bytes are asked for.
enum Party {
    /// This node is home, and the asker speaks for the agent that holds the lease.
    Holder,
    /// The asker is home, and an agent of this node has handed in: the journal index of its result.
    Home(u64),
    /// This node is home, and has asked for the step to be run again with these bytes.
    Redoer,
    /// Neither.
    Nobody,
}

async fn open(shared: &Shared, from: &NodeId, fetch: &Fetch) -> anyhow::Result<Result<Source, Refused>> {
    let refused = |code: &str, message: &str| Ok(Err(Refused { code: code.into(), message: message.into() }));
    let party = party(shared, *from, fetch).await?;
    match (party, fetch.what) {
        (Party::Nobody, _) => refused("stale_epoch", "no agent of yours holds this lease"),
        (Party::Holder, Wanted::Lease) => match shared.large().of((*from, fetch.step, fetch.epoch)) {
            Some(frame) => Ok(Ok(Source::Frame(frame))),
            None => refused("not_found", "claim the task again, and then fetch what it needs"),
        },
        (Party::Home(_) | Party::Redoer, Wanted::Lease) => refused("not_found", "the lease is yours"),
        (party, Wanted::Artifact { digest, start }) => {
            if let Party::Home(index) = party
                && !handed_in(shared, index).await?.contains(&digest)
            {
                return refused("not_found", "this result names no such artifact");
            }
            // Whoever asks checks what comes against the digest.
            let Ok((mut file, bytes)) = shared.blobs.open_unchecked(&digest).await else {
                return refused("artifact_missing", "no artifact with this digest is stored here");
            };
            if start > bytes {
                return refused("invalid", "the artifact has fewer bytes");
            }
            file.seek(SeekFrom::Start(start)).await?;
            Ok(Ok(Source::File(file, bytes - start)))
        }
    }
}

async fn party(shared: &Shared, from: NodeId, fetch: &Fetch) -> anyhow::Result<Party> {
    let Fetch { step: id, epoch, what } = *fetch;
    if let (Wanted::Artifact { digest, .. }, Some(lent)) = (what, shared.lent().get(&(from, id, epoch)))
        && lent.contains(&digest)
    {
        return Ok(Party::Redoer);
    }
    let look = shared.handle.look(move |view| {
        if let Some((_, step)) = view.step(&id).filter(|(_, step)| step.epoch == epoch) {
            let StepState::Leased { agent, .. } = step.state else { return Party::Nobody };
            let guest = view.agent(&agent).and_then(|agent| agent.guest);
            return if guest.is_some_and(|guest| guest.node == from) { Party::Holder } else { Party::Nobody };
        }
        let lease = Abroad { home: from, step: id, epoch };
        let handed = view.away().get(&lease).and_then(|engagement| engagement.result.as_ref());
        handed.map_or(Party::Nobody, |handed| Party::Home(handed.index))
    });
    Ok(look.await?)
}

/// The artifacts of the result whose `HandedIn` entry stands at `index`.
async fn handed_in(shared: &Shared, index: u64) -> anyhow::Result<Vec<Digest>> {
    let reader = shared.reader.get();
    let stored = tokio::task::spawn_blocking(move || reader.entry(index - 1)).await??;
    match Entry::decode(&stored.body)?.fact {
        Fact::Outgoing(outgoing) => Ok(outgoing.artifacts),
        _ => bail!("what stands before a result is not its private half"),
    }
}

/// One frame, of few bytes.
async fn head(stream: &mut Stream, patience: &mut Patience) -> anyhow::Result<Vec<u8>> {
    let mut head = [0; FRAME_HEAD_BYTES];
    patience.read_exact(stream, &mut head).await?;
    let bytes = u32::from_le_bytes(head[4..].try_into().expect("four of eight bytes")) as usize;
    if bytes > HEAD_BYTES_MAX {
        let what = format!("{bytes} bytes are more than a question or its answer has");
        return Err(Fault::new(Reason::Malformed, what).into());
    }
    let mut frame = head.to_vec();
    frame.resize(FRAME_HEAD_BYTES + bytes, 0);
    patience.read_exact(stream, &mut frame[FRAME_HEAD_BYTES..]).await?;
    Ok(frame)
}
