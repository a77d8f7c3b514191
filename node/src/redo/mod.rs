//! Redo before the verdict, this node's part as a home: witnesses are heard for each lot, and what was drawn is run again, by a neighbour in the lot's order where
//! one can, else in this node's own sandbox, and compared with what was handed in. What follows from it the rules decide.

mod asked;
mod bench;
mod compare;
pub mod late;
pub mod lots;
mod others;

pub use asked::{Asked, Heard};
pub use bench::{Bench, NoStep, REDO_WAIT, step};

use crate::given::Files;
use crate::handle::Handle;
use crate::neighbours::Neighbours;
use crate::store::{Blobs, Error};
use artel_federation::Input;
use artel_federation::effect::ToRedo;
use artel_federation::fact::Came;
use artel_federation::input::Ran;
use artel_federation::redo::message::{Redo, Reran};
use artel_protocol::id::Digest;
use artel_protocol::key::NodeId;
use artel_runner::Step;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt as _;
use tokio::sync::{Semaphore, mpsc};

/// How many redos are under way at once; each waits for a neighbour or for its turn most of the time, and holds no bytes
/// meanwhile. The others wait with the driver.
const UNDER_WAY_MAX: usize = 16;

/// How many neighbours are asked for one run. Each may take its time, and a verdict waits for it.
const ASKED_MAX: usize = 2;

/// How long whoever is to run a step first is waited for alone: then the other, home or a neighbour, begins beside it, and the first
/// that comes to an end is heard. Shorter, and most long steps run twice; longer, and a silent neighbour holds up more verdicts.
const ALONE_WAIT: Duration = Duration::from_secs(15);

/// How long the first run of a result may take in all; then it is inconclusive. This and what a doubt may take ([`DOUBT_WAIT`] for
/// each of four further runs, [`FURTHER_WAIT`] before two of them), and the ten seconds that a lot may take before, is less than the ten minutes
/// within which home judges.
const FIRST_WAIT: Duration = Duration::from_secs(200);

/// The same for each run that a doubt asks for.
const DOUBT_WAIT: Duration = Duration::from_secs(90);

/// How long it rests, times how many runs of a doubted result came to nothing, before a further one: what was in the way may pass.
const FURTHER_WAIT: Duration = Duration::from_secs(5);

/// Who runs steps again.
#[derive(Clone)]
pub struct Runners {
    /// This node.
    pub me: NodeId,
    /// Its own sandbox.
    pub bench: Arc<Bench>,
    /// Artifacts' bytes.
    pub blobs: Blobs,
    /// The neighbours, where there may be any.
    pub neighbours: Option<Neighbours>,
    /// Which of them are asked now.
    pub asked: Arc<Asked>,
}

/// Has everything run again that the rules drew, until they draw no more.
pub async fn run(mut drawn: mpsc::Receiver<ToRedo>, runners: Runners, handle: Handle) {
    let places = Arc::new(Semaphore::new(UNDER_WAY_MAX));
    while let Some(asked) = drawn.recv().await {
        let place = places.clone().acquire_owned().await.expect("never closed");
        let (runners, handle) = (runners.clone(), handle.clone());
        tokio::spawn(async move {
            let ran = runners.redo(&asked).await;
            drop(place);
            if let (Came::Other(_), Some(by)) = (ran.came, ran.by) {
                tracing::warn!(task = %asked.ask.step, %by, "a run came to another result than was handed in");
            }
            let (step, epoch, runs) = (asked.ask.step, asked.ask.epoch, asked.runs());
            let input = Input::Redone { step, epoch, runs, ran };
            // It waits for a place in the driver's queue.
            tokio::task::spawn_blocking(move || handle.tell_surely(input));
        });
    }
}

impl Runners {
    /// The first run that comes to an end that says something; where there is none in time, that nobody's did.
    async fn redo(&self, asked: &ToRedo) -> Ran {
        tokio::time::sleep(FURTHER_WAIT.saturating_mul(asked.unsaid.into())).await;
        let wait = if asked.doubted.is_empty() { FIRST_WAIT } else { DOUBT_WAIT };
        let (here, there) = (self.at_home(asked), self.elsewhere(asked));
        match asked.worker {
            // What an agent of this node's own did goes to no other node.
            None => within(wait, here).await,
            // Without a witness home has chosen the order, so it is the first in it itself.
            Some(_) if asked.begins_at_home(&self.me) => within(wait, either(ALONE_WAIT, here, there)).await,
            Some(_) => within(wait, either(ALONE_WAIT, there, here)).await,
        }
    }

    async fn at_home(&self, asked: &ToRedo) -> Option<Ran> {
        let reran = self.bench.run_own(read_step(&self.blobs, &asked.ask)).await?;
        conclusive(self.me, &reran, asked)
    }

    async fn elsewhere(&self, asked: &ToRedo) -> Option<Ran> {
        let neighbours = self.neighbours.as_ref()?;
        let free = |by: NodeId| Some((by, self.asked.begin(by, Instant::now())?));
        for (by, question) in neighbours.redoers(asked).into_iter().filter_map(free).take(ASKED_MAX) {
            let reran = match neighbours.redo(by, &asked.ask).await {
                Ok(reran) => reran,
                Err(heard) => {
                    question.heard(heard);
                    continue;
                }
            };
            if let Some(ran) = conclusive(by, &reran, asked) {
                question.heard(Heard::Word);
                return Some(ran);
            }
        }
        None
    }
}

/// A step with its module and files, from what is stored here.
async fn read_step(blobs: &Blobs, ask: &Redo) -> Result<Step, NoStep> {
    let mut files = Files::of(&ask.artifacts, ask.input.bytes()).map_err(|_| NoStep::CannotRun)?;
    let module = read(blobs, &ask.module, Bench::module_bytes_max()).await?;
    while let Some((digest, room)) = files.next() {
        let bytes = read(blobs, &digest, room).await?;
        files.take(bytes).map_err(|_| NoStep::CannotRun)?;
    }
    step(ask, module, files.here())
}

/// What a run comes to within a time, or that it came to nothing.
async fn within(wait: Duration, run: impl Future<Output = Option<Ran>>) -> Ran {
    let nothing = Ran { by: None, came: Came::Inconclusive, profile: None };
    tokio::time::timeout(wait, run).await.ok().flatten().unwrap_or(nothing)
}

/// The first of two that comes to something. The second begins when the first has come to nothing, or has taken so long alone; what
/// has not ended then is dropped.
async fn either<T>(
    alone: Duration,
    first: impl Future<Output = Option<T>>,
    second: impl Future<Output = Option<T>>,
) -> Option<T> {
    let (mut first, mut second) = (pin!(first), pin!(second));
    match tokio::time::timeout(alone, &mut first).await {
        Ok(Some(found)) => return Some(found),
        Ok(None) => return second.await,
        Err(_) => {}
    }
    tokio::select! {
        found = &mut first => match found {
            None => second.await,
            found => found,
        },
        found = &mut second => match found {
            None => first.await,
            found => found,
        },
    }
}

fn conclusive(by: NodeId, reran: &Reran, asked: &ToRedo) -> Option<Ran> {
    match compare::compare(reran, &asked.output, &asked.left) {
        Came::Inconclusive => None,
        came => Some(Ran { by: Some(by), came, profile: Some(reran.profile) }),
    }
}

/// What is stored here under a digest, where it has no more bytes than that. What is not stored a worker may have had from elsewhere;
/// what is too large nobody runs.
async fn read(blobs: &Blobs, digest: &Digest, bytes_max: u64) -> Result<Vec<u8>, NoStep> {
    let missing = |error: Error| {
        tracing::debug!(%digest, %error, "a step is not run again here");
        NoStep::Missing
    };
    let (file, bytes) = blobs.open_checked(digest).await.map_err(missing)?;
    if bytes > bytes_max {
        return Err(NoStep::CannotRun);
    }
    let mut content = Vec::new();
    file.take(bytes_max).read_to_end(&mut content).await.map_err(|error| missing(error.into()))?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};

    #[tokio::test]
    async fn the_first_that_says_something_is_heard_and_a_silent_one_holds_up_nobody_for_long() {
        let (now, long) = (Duration::ZERO, Duration::from_secs(600));
        assert_eq!(either(long, ready(Some(1)), ready(Some(2))).await, Some(1));
        assert_eq!(either(long, ready(None), ready(Some(2))).await, Some(2), "at once");
        assert_eq!(either(now, pending(), ready(Some(2))).await, Some(2), "beside a silent one");
        let late = async {
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            Some(1)
        };
        assert_eq!(either(now, late, ready(None)).await, Some(1), "the second one's nothing ends nothing");
        assert_eq!(either(now, ready(None::<u8>), ready(None)).await, None);
    }

    #[tokio::test]
    async fn what_takes_too_long_came_to_nothing() {
        let ran = within(Duration::ZERO, pending()).await;
        assert_eq!((ran.by, ran.came), (None, Came::Inconclusive));
    }

    #[tokio::test]
    async fn what_is_not_stored_says_nothing_and_what_is_too_large_cannot_run() {
        let dir = tempfile::tempdir().expect("a directory");
        let blobs = Blobs::open(dir.path()).expect("a store");
        let mut upload = blobs.upload().await.expect("an upload");
        upload.write(b"12345").await.expect("room");
        let stored = upload.finish(None).await.expect("stored").digest;
        assert_eq!(read(&blobs, &stored, 5).await, Ok(b"12345".to_vec()));
        assert_eq!(read(&blobs, &stored, 4).await, Err(NoStep::CannotRun));
        assert_eq!(read(&blobs, &Digest::of(b"other"), 5).await, Err(NoStep::Missing));
    }
}
