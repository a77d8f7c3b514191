//! What the leases of this node's agents at other homes name: fetched once for all who wait for it, for as long as it takes and
//! also while nobody waits, within the room that there is. An agent asks again where its request ran out of time.

use super::away::{Error, is_wrong};
use super::bringing::fetched;
use super::shared::Shared;
use super::{Neighbours, blob};
use artel_federation::{Principal, Request};
use artel_protocol::id::{Digest, Epoch, StepId};
use artel_protocol::key::NodeId;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// How many are fetched at once. A further one is told that its home cannot be reached, and asked for again.
const COMING_MAX: usize = 64;

/// How many of one home: slow ones leave room for the others.
const COMING_EACH: usize = 8;

/// An artifact of a lease.
type Input = (NodeId, StepId, Epoch, Digest);

/// Why an artifact has not come.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotFetched {
    /// Its home is away, slow, or has as many under way as it may.
    #[error("its home cannot be reached at the moment")]
    Unreachable,
    /// What came is not what no honest home would send otherwise.
    #[error("its home sends what no honest home sends")]
    Dishonest,
    /// This node keeps no more artifacts.
    #[error("this node has no room for it")]
    NoRoom,
    /// Its home does not give it, or this node cannot keep it.
    #[error("{0}")]
    Other(String),
}

type Outcome = Result<u64, NotFetched>;

/// What is on its way.
#[derive(Default)]
pub(super) struct Inputs {
    coming: Mutex<BTreeMap<Input, watch::Receiver<Option<Outcome>>>>,
    /// Bytes that were let in, and are in nobody's count yet.
    bytes: AtomicU64,
}

impl Inputs {
    fn coming(&self) -> MutexGuard<'_, BTreeMap<Input, watch::Receiver<Option<Outcome>>>> {
        self.coming.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for one that is on its way, or begins it with `start`; nothing where there is no place for it.
    fn join(
        &self,
        input: Input,
        start: impl FnOnce(watch::Sender<Option<Outcome>>),
    ) -> Option<watch::Receiver<Option<Outcome>>> {
        let mut coming = self.coming();
        let of_home = coming.keys().filter(|(home, ..)| *home == input.0).count();
        let is_full = coming.len() >= COMING_MAX || of_home >= COMING_EACH;
        match coming.entry(input) {
            Entry::Occupied(on_its_way) => Some(on_its_way.get().clone()),
            Entry::Vacant(_) if is_full => None,
            Entry::Vacant(free) => {
                let (says, heard) = watch::channel(None);
                free.insert(heard.clone());
                start(says);
                Some(heard)
            }
        }
    }
}

/// Takes an input off the list, however its fetch ends, and its bytes out of the count.
struct OnItsWay {
    shared: Arc<Shared>,
    input: Input,
    bytes: AtomicU64,
}

impl OnItsWay {
    /// Lets in so many bytes, where there is room for them.
    fn admit(&self, bytes: u64, room: u64) -> Result<(), blob::Refused> {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if self.shared.inputs.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > room {
            let message = "this node keeps no more artifacts of other homes' work".into();
            return Err(blob::Refused { code: NO_ROOM.into(), message });
        }
        Ok(())
    }
}

/// The code of a refusal of this node's own.
const NO_ROOM: &str = "artifact_quota";

impl Drop for OnItsWay {
    fn drop(&mut self) {
        self.shared.inputs.coming().remove(&self.input);
        self.shared.inputs.bytes.fetch_sub(*self.bytes.get_mut(), Ordering::Relaxed);
    }
}

impl Neighbours {
    /// Fetches an artifact of a lease at another home and enters it as this node's; says how many bytes it has. The fetch goes on
    /// where this is dropped.
    ///
    /// # Errors
    /// [`NotFetched`].
    pub async fn fetch(&self, home: &NodeId, (step, epoch): (StepId, Epoch), digest: Digest) -> Outcome {
        let (shared, input) = (self.shared.clone(), (*home, step, epoch, digest));
        let begin = |says: watch::Sender<Option<Outcome>>| {
            let on_its_way = OnItsWay { shared, input, bytes: AtomicU64::new(0) };
            tokio::spawn(async move {
                let outcome = on_its_way.fetch().await;
                if let Err(error) = &outcome {
                    tracing::debug!(home = %input.0, digest = %input.3, %error, "an input did not come");
                }
                drop(on_its_way);
                // Nobody may wait any more.
                let _ = says.send(Some(outcome));
            });
        };
        let mut heard = self.shared.inputs.join(input, begin).ok_or(NotFetched::Unreachable)?;
        match heard.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or(Err(NotFetched::Unreachable)),
            // Its task has panicked, or the node ends.
            Err(_) => Err(NotFetched::Unreachable),
        }
    }
}

impl OnItsWay {
    async fn fetch(&self) -> Outcome {
        let (shared, (home, step, epoch, digest)) = (&self.shared, self.input);
        let other = |error: &dyn std::fmt::Display| NotFetched::Other(error.to_string());
        if let Some(bytes) = shared.blobs.len(&digest).await.map_err(|error| other(&error))? {
            return Ok(bytes);
        }
        shared.reach(&home).await.map_err(|error| match error {
            Error::Unreachable(_) => NotFetched::Unreachable,
            error => other(&error),
        })?;
        let room = shared.handle.look(|view| view.artifact_room_for_guests()).await;
        let room = room.map_err(|error| other(&error))?;
        let admit = |bytes| self.admit(bytes, room);
        let how = blob::Fetching { progress: &AtomicU64::new(0), admit: &admit };
        let upload =
            blob::artifact(shared, &home, (step, epoch), digest, &how).await.map_err(|error| why(&error))?;
        let _alone = shared.blobs.alone(&[digest]).await;
        let stored = blob::named(shared, &home, upload, digest).await.map_err(|error| why(&error))?;
        if stored.is_new {
            let store = Request::Store(fetched(stored, None));
            let entered = shared.handle.ask(Principal::Operator, None, store).await;
            if let Err(refusal) = entered.map_err(|error| other(&error))? {
                shared.blobs.remove(&digest).await.map_err(|error| other(&error))?;
                return Err(NotFetched::Other(refusal.message));
            }
        }
        Ok(stored.bytes)
    }
}

fn why(error: &anyhow::Error) -> NotFetched {
    if is_wrong(error) {
        return NotFetched::Dishonest;
    }
    match error.downcast_ref::<blob::Refused>() {
        Some(refused) if refused.code == NO_ROOM => NotFetched::NoRoom,
        Some(refused) => NotFetched::Other(refused.to_string()),
        None if error.is::<crate::store::Error>() => NotFetched::Other(format!("{error:#}")),
        None => NotFetched::Unreachable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_protocol::id::RunId;
    use artel_protocol::key::SecretKey;
    use artel_protocol::time::Wall;

    fn input(home: u8, n: u64) -> Input {
        let home = NodeId(SecretKey::from_seed(&[home; 32]).public());
        (home, RunId::new(Wall(n), [0; 9]).step(0), Epoch(1), Digest([0; 32]))
    }

    #[tokio::test]
    async fn who_asks_for_what_is_on_its_way_waits_for_it_and_slow_homes_leave_room() {
        let (inputs, mut begun) = (Inputs::default(), Vec::new());
        let mut join = |home, n| inputs.join(input(home, n), |says| begun.push(says));
        let first = join(1, 0).expect("a place");
        let second = join(1, 0).expect("the same");
        for n in 1..COMING_EACH as u64 {
            assert!(join(1, n).is_some());
        }
        assert!(join(1, 99).is_none(), "of one home");
        assert!(join(1, 0).is_some(), "what is on its way takes no further place");
        for home in 2..=(COMING_MAX / COMING_EACH) as u8 {
            assert!((0..COMING_EACH as u64).all(|n| join(home, n).is_some()));
        }
        assert!(join(99, 0).is_none(), "of all");
        assert_eq!(begun.len(), COMING_MAX, "each was begun once");
        begun[0].send(Some(Ok(7))).expect("somebody waits");
        for mut waits in [first, second] {
            assert_eq!(waits.wait_for(Option::is_some).await.expect("said").clone(), Some(Ok(7)));
        }
    }
}
