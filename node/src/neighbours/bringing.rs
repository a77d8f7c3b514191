//! Results with artifacts at their home: the bytes are fetched from the worker's node, within bounds that are asked before they
//! are read, while the lease goes on; and only a result whose artifacts are all here is taken in, with them or not at all.

use super::blob::{self, Fetching, Refused};
use super::home::{answered, ask, refused, unavailable};
use super::shared::Shared;
use crate::handle::Unavailable;
use crate::store::{Error as StoreError, Stored, Upload};
use artel_federation::input::ArtifactPut;
use artel_federation::options::LEASE_ARTIFACT_BYTES_MAX;
use artel_federation::run::StepState;
use artel_federation::visit::message::{Act, Told, Visit};
use artel_federation::{Code, Json, Reply, Request};
use artel_protocol::id::{ArtifactId, Digest, Epoch, StepId};
use artel_protocol::key::{AgentId, NodeId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often in a lease's term it is looked whether bytes have come, so that the lease goes on: once more than needed.
const LOOKS_A_TERM: u32 = 3;

/// A result that is brought: by which node, of which step, under which lease.
type Bringing = (NodeId, StepId, Epoch);

/// The results that are brought here at the moment.
#[derive(Default)]
pub(super) struct Results {
    /// The same result again waits until the first has its answer, instead of fetching everything beside it.
    turns: Mutex<BTreeMap<Bringing, Arc<tokio::sync::Mutex<()>>>>,
    /// Bytes that are on their way, and in nobody's count yet.
    coming: AtomicU64,
}

/// Takes a result out of the list when nobody brings it any more.
struct Turn<'a> {
    results: &'a Results,
    result: Bringing,
}

impl Results {
    fn turn(&self, result: Bringing) -> (Arc<tokio::sync::Mutex<()>>, Turn<'_>) {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        (turns.entry(result).or_default().clone(), Turn { results: self, result })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut turns = self.results.turns.lock().unwrap_or_else(PoisonError::into_inner);
        // The list's own, and the one that goes right after this.
        if turns.get(&self.result).is_some_and(|turn| Arc::strong_count(turn) <= 2) {
            turns.remove(&self.result);
        }
    }
}

/// Bytes that were let in, until they are counted or thrown away.
struct LetIn<'a> {
    results: &'a Results,
    bytes: AtomicU64,
}

impl LetIn<'_> {
    /// Lets in so many more, where the result and what home keeps have room for them.
    fn admit(&self, bytes: u64, room: u64) -> Result<(), Refused> {
        let refused = |code: Code, message: String| Err(Refused { code: code.as_str().into(), message });
        let of_result = self.bytes.load(Ordering::Relaxed) + bytes;
        if of_result > LEASE_ARTIFACT_BYTES_MAX {
            let message =
                format!("what home fetches for one result has at most {LEASE_ARTIFACT_BYTES_MAX} bytes");
            return refused(Code::TooMany, message);
        }
        let coming = self.results.coming.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.bytes.store(of_result, Ordering::Relaxed);
        if coming > room {
            let message = "this home keeps no more artifacts of other nodes' agents";
            return refused(Code::ArtifactQuota, message.into());
        }
        Ok(())
    }
}

impl Drop for LetIn<'_> {
    fn drop(&mut self) {
        self.results.coming.fetch_sub(*self.bytes.get_mut(), Ordering::Relaxed);
    }
}

/// A live lease whose result is brought.
#[derive(Clone, Copy)]
struct Held {
    term: Duration,
    /// How many bytes of artifacts are still kept.
    room: u64,
}

/// Takes a result with artifacts in.
pub(super) async fn submit(shared: &Shared, from: NodeId, visit: Visit) -> Result<Told, Told> {
    let Act::Submit(handing) = &visit.act else { return Err(refused("invalid", "this is no result")) };
    let result = (from, handing.step, handing.epoch);
    let (turn, _listed) = shared.results.turn(result);
    let _turn = turn.lock().await;
    let Some(held) = held(shared, visit.agent, result).await? else {
        // Where it holds no lease, the rules say so, or give the same answer again.
        return answered(shared, ask(shared, from, Request::Visit(Box::new(visit))).await);
    };
    let named: BTreeSet<Digest> = handing.artifacts.iter().copied().collect();
    let let_in = LetIn { results: &shared.results, bytes: AtomicU64::new(0) };
    let progress = AtomicU64::new(0);
    let how = Fetching { progress: &progress, admit: &|bytes| let_in.admit(bytes, held.room) };
    let agent = visit.agent;
    let goes_on = |came| go_on(shared, agent, result, came);
    let came = while_it_comes(held.term, &progress, goes_on, fetch(shared, result, &named, &how)).await??;
    let mut first = visit.clone();
    if let Act::Submit(handing) = &mut first.act {
        handing.next = None;
    }
    let answer = enter(shared, result, &named, came, first).await;
    drop(let_in);
    let asks_for_next = matches!(&visit.act, Act::Submit(handing) if handing.next.is_some());
    match answer {
        // The same again brings the next task, for which it may wait: until then nobody's bytes are to wait for this.
        Ok(_) if asks_for_next => answered(shared, ask(shared, from, Request::Visit(Box::new(visit))).await),
        other => other,
    }
}

/// Fetches what is not here yet.
async fn fetch(
    shared: &Shared,
    (from, step, epoch): Bringing,
    named: &BTreeSet<Digest>,
    how: &Fetching<'_>,
) -> Result<Vec<(Digest, Upload)>, Told> {
    let mut came = Vec::new();
    for digest in named {
        if shared.blobs.len(digest).await.map_err(|error| of_disk(&error))?.is_some() {
            continue;
        }
        match blob::artifact(shared, &from, (step, epoch), *digest, how).await {
            Ok(upload) => came.push((*digest, upload)),
            Err(error) => {
                tracing::debug!(%from, %digest, error = format!("{error:#}"), "an artifact did not come");
                return Err(match error.downcast::<Refused>() {
                    Ok(Refused { code, message }) if code == "too_many" || code == "artifact_quota" => {
                        refused(&code, &message)
                    }
                    _ => missing(digest),
                });
            }
        }
    }
    Ok(came)
}

/// Gives the bytes their names and has the result taken in with them; where it is not, they are gone again.
async fn enter(
    shared: &Shared,
    (from, step, _): Bringing,
    named: &BTreeSet<Digest>,
    came: Vec<(Digest, Upload)>,
    visit: Visit,
) -> Result<Told, Told> {
    let all: Vec<Digest> = named.iter().copied().collect();
    let _alone = shared.blobs.alone(&all).await;
    let mut new = New { shared, digests: Vec::new() };
    let mut puts = Vec::new();
    for (digest, upload) in came {
        let stored = match blob::named(shared, &from, upload, digest).await {
            Ok(stored) => stored,
            Err(error) => {
                tracing::debug!(%from, %digest, error = format!("{error:#}"), "an artifact is none");
                new.remove().await;
                return Err(missing(&digest));
            }
        };
        if stored.is_new {
            new.digests.push(digest);
        }
        puts.push(fetched(stored, Some(step)));
    }
    for digest in named {
        // What was here before may have been taken away since.
        if !matches!(shared.blobs.len(digest).await, Ok(Some(_))) {
            new.remove().await;
            return Err(missing(digest));
        }
    }
    let answer = ask(shared, from, Request::Bring { visit: Box::new(visit), came: puts }).await;
    match &answer {
        Ok(Ok(_)) | Err(Unavailable::Unknown(_) | Unavailable::Stopping) => {}
        Ok(Err(_)) | Err(Unavailable::Overloaded | Unavailable::Journal(_)) => new.remove().await,
    }
    answered(shared, answer)
}

/// Bytes that nothing names yet.
struct New<'a> {
    shared: &'a Shared,
    digests: Vec<Digest>,
}

impl New<'_> {
    async fn remove(self) {
        for digest in self.digests {
            if let Err(error) = self.shared.blobs.remove(&digest).await {
                tracing::warn!(%error, %digest, "bytes that were refused cannot be removed");
            }
        }
    }
}

fn missing(digest: &Digest) -> Told {
    refused(
        "artifact_missing",
        &format!("artifact {digest} could not be fetched from your node; submit again"),
    )
}

fn of_disk(error: &StoreError) -> Told {
    tracing::error!(%error, "artifacts cannot be read");
    refused("unavailable", "this home cannot read its artifacts at the moment; submit again")
}

/// How bytes that came from another node are entered.
pub(super) fn fetched(stored: Stored, step: Option<StepId>) -> ArtifactPut {
    let mut entropy = [0; 9];
    rand::Rng::fill_bytes(&mut rand::rng(), &mut entropy);
    ArtifactPut {
        id: Some(ArtifactId::new(crate::clock::wall(), entropy)),
        digest: stored.digest,
        bytes: stored.bytes,
        bytes_new: if stored.is_new { stored.bytes } else { 0 },
        name: stored.digest.to_string(),
        kind: "fetched".into(),
        content_type: "application/octet-stream".into(),
        step,
        run: step.map(|step| step.run()),
        metadata: Json::new(*b"{}"),
    }
}

/// The live lease that an agent of this node holds, if it does.
async fn held(shared: &Shared, agent: AgentId, (from, id, epoch): Bringing) -> Result<Option<Held>, Told> {
    let look = shared.handle.look(move |view| {
        let guest = view.agent(&agent).and_then(|agent| agent.guest)?;
        let (_, step) = view.step(&id)?;
        let StepState::Leased { agent: holder, lease_ms, .. } = step.state else { return None };
        let holds = guest.node == from && holder == agent && step.epoch == epoch;
        let term = Duration::from_millis(u64::from(lease_ms));
        holds.then(|| Held { term, room: view.artifact_room_for_guests() })
    });
    look.await.map_err(|error| unavailable(&error))
}

/// Gives the lease another term where bytes have come; else only looks whether it still lives.
async fn go_on(shared: &Shared, agent: AgentId, result: Bringing, came: bool) -> Result<(), Told> {
    let over = || refused("stale_epoch", "this lease is over; claim the task again");
    let (from, step, epoch) = result;
    if !came {
        return held(shared, agent, result).await?.map(drop).ok_or_else(over);
    }
    match ask(shared, from, Request::KeepForResult { agent, step, epoch }).await {
        Ok(Ok(Reply::Renewed { .. })) => Ok(()),
        // The term that it has must do.
        Ok(Err(refusal)) if refusal.code == Code::RenewalSpent => Ok(()),
        Ok(_) => Err(over()),
        Err(error) => Err(unavailable(&error)),
    }
}

/// Does the work, and says at its beginning and some times in a term whether anything has come since; ends where that is not
/// wanted any more.
async fn while_it_comes<T, E, F: Future<Output = Result<(), E>>>(
    term: Duration,
    progress: &AtomicU64,
    goes_on: impl Fn(bool) -> F,
    work: impl Future<Output = T>,
) -> Result<T, E> {
    goes_on(true).await?;
    let mut work = std::pin::pin!(work);
    let mut seen = progress.load(Ordering::Relaxed);
    loop {
        tokio::select! {
            biased;
            done = &mut work => {
                goes_on(true).await?;
                return Ok(done);
            }
            () = tokio::time::sleep(term / LOOKS_A_TERM) => {
                let now = progress.load(Ordering::Relaxed);
                goes_on(now > seen).await?;
                seen = now;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn bytes_are_let_in_as_far_as_the_result_and_the_home_have_room() {
        let results = Results::default();
        let one = LetIn { results: &results, bytes: AtomicU64::new(0) };
        let code = |refused: Result<(), Refused>| refused.expect_err("no room").code;
        let max = LEASE_ARTIFACT_BYTES_MAX;
        one.admit(max - 1, u64::MAX).expect("room");
        assert_eq!(code(one.admit(2, u64::MAX)), "too_many");
        one.admit(1, u64::MAX).expect("to the last byte");
        let other = LetIn { results: &results, bytes: AtomicU64::new(0) };
        assert_eq!(code(other.admit(1, max)), "artifact_quota", "what is on its way counts");
        drop(other);
        drop(one);
        let third = LetIn { results: &results, bytes: AtomicU64::new(0) };
        third.admit(max, max).expect("what was thrown away does not");
    }

    #[tokio::test]
    async fn one_brings_a_result_at_a_time_and_the_list_gets_empty() {
        let key = |n: u8| artel_protocol::key::SecretKey::from_seed(&[n; 32]).public();
        let step = artel_protocol::id::RunId::new(artel_protocol::time::Wall(1), [2; 9]).step(0);
        let result = |n: u8| (NodeId(key(n)), step, Epoch(1));
        let results = Results::default();
        let (first, listed) = results.turn(result(1));
        let held = first.lock().await;
        let (again, again_listed) = results.turn(result(1));
        assert!(again.try_lock().is_err(), "the same result");
        let (other, other_listed) = results.turn(result(2));
        assert!(other.try_lock().is_ok(), "another one");
        drop((other_listed, other));
        drop((held, listed));
        drop(first);
        assert_eq!(results.turns.lock().expect("unpoisoned").len(), 1);
        assert!(again.try_lock().is_ok());
        drop((again_listed, again));
        assert!(results.turns.lock().expect("unpoisoned").is_empty());
    }

    /// The work comes on by one each time that it is asked, and is done at the fourth.
    async fn looked(stops_at: usize, moves: bool) -> (Result<u64, &'static str>, Vec<bool>) {
        let progress = AtomicU64::new(0);
        let looks = RefCell::new(Vec::new());
        let goes_on = |came: bool| {
            looks.borrow_mut().push(came);
            std::future::ready(if looks.borrow().len() > stops_at { Err("over") } else { Ok(()) })
        };
        let work = std::future::poll_fn(|context| {
            let before = progress.load(Ordering::Relaxed);
            if moves {
                progress.store(before + 1, Ordering::Relaxed);
            }
            context.waker().wake_by_ref();
            match looks.borrow().len() {
                0..5 => std::task::Poll::Pending,
                _ => std::task::Poll::Ready(7),
            }
        });
        let done = while_it_comes(Duration::ZERO, &progress, goes_on, work).await;
        (done, looks.into_inner())
    }

    #[tokio::test]
    async fn a_lease_goes_on_as_long_as_something_comes() {
        let (done, looks) = looked(usize::MAX, true).await;
        assert_eq!(done, Ok(7));
        assert_eq!(looks, [true; 6], "at the beginning, at each look, and at the end");
        let (done, looks) = looked(usize::MAX, false).await;
        assert_eq!(done, Ok(7));
        assert_eq!(looks, [true, false, false, false, false, true]);
        let (done, looks) = looked(2, true).await;
        assert_eq!((done, looks.len()), (Err("over"), 3));
    }
}
