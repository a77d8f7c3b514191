//! Redo before the verdict, this node's part as a home: what the rules drew is run again, by a neighbour in the lot's order where
//! one can, else in this node's own sandbox, and compared with what was handed in. What follows from it the rules decide.

mod bench;

pub use bench::{Bench, REDO_WAIT};

use crate::given::Files;
use crate::handle::Handle;
use crate::neighbours::Neighbours;
use crate::store::Blobs;
use artel_federation::effect::ToRedo;
use artel_federation::fact::Came;
use artel_federation::input::Ran;
use artel_federation::redo::message::{Ended, Reran};
use artel_federation::{Input, Json};
use artel_protocol::id::Digest;
use artel_protocol::key::NodeId;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc};

/// How many redos are under way at once; each waits for a neighbour most of the time. The others wait with the driver.
const UNDER_WAY_MAX: usize = 16;

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
            let (step, epoch, doubted) = (asked.ask.step, asked.ask.epoch, asked.doubted);
            let input = Input::Redone { step, epoch, doubted, ran };
            // It waits for a place in the driver's queue.
            tokio::task::spawn_blocking(move || handle.tell_surely(input));
        });
    }
}

impl Runners {
    /// The first run that comes to an end that says something; where there is none, that nobody's did.
    async fn redo(&self, asked: &ToRedo) -> Ran {
        let home_first = asked.doubted.is_some_and(|by| by != self.me);
        if home_first && let Some(ran) = self.at_home(asked).await {
            return ran;
        }
        if let Some(ran) = self.elsewhere(asked).await {
            return ran;
        }
        let last = if home_first { None } else { self.at_home(asked).await };
        last.unwrap_or(Ran { by: None, came: Came::Inconclusive, profile: None })
    }

    async fn at_home(&self, asked: &ToRedo) -> Option<Ran> {
        let module = bench::read(&self.blobs, &asked.ask.module, Bench::module_bytes_max()).await?;
        let mut files = Files::of(&asked.ask.artifacts, asked.ask.input.bytes()).ok()?;
        while let Some((digest, room)) = files.next() {
            files.take(bench::read(&self.blobs, &digest, room).await?).ok()?;
        }
        let reran = self.bench.run(&asked.ask, module, files.here()).await?;
        conclusive(self.me, &reran, asked)
    }

    async fn elsewhere(&self, asked: &ToRedo) -> Option<Ran> {
        let neighbours = self.neighbours.as_ref()?;
        for by in neighbours.redoers(asked) {
            let Some(reran) = neighbours.redo(by, &asked.ask).await else { continue };
            if let Some(ran) = conclusive(by, &reran, asked) {
                return Some(ran);
            }
        }
        None
    }
}

fn conclusive(by: NodeId, reran: &Reran, asked: &ToRedo) -> Option<Ran> {
    match compare(&reran.end, &asked.output, &asked.left) {
        Came::Inconclusive => None,
        came => Some(Ran { by: Some(by), came, profile: Some(reran.profile) }),
    }
}

/// Whether a run came to what was handed in: to an output that is the same JSON value, and to the same artifacts. The log counts
/// for nothing, since a worker need not hand it in.
fn compare(end: &Ended, output: &Json, left: &[Digest]) -> Came {
    let (again, artifacts, log) = match end {
        Ended::Inconclusive => return Came::Inconclusive,
        Ended::Failed(fault) => return Came::Other(Digest::of(&[b"failed\0", fault.as_bytes()].concat())),
        Ended::Done { output, artifacts, log } => (output, artifacts, *log),
    };
    let value = |json: &Json| serde_json::from_slice::<serde_json::Value>(json.bytes()).ok();
    let without_log =
        |all: &[Digest]| -> BTreeSet<Digest> { all.iter().filter(|d| Some(**d) != log).copied().collect() };
    let (new, left) = (without_log(artifacts), without_log(left));
    let value_again = value(again);
    let equal = again == output || (value_again.is_some() && value_again == value(output));
    if equal && new == left {
        return Came::Same;
    }
    // Two runs that agree have one digest, however their JSON is written.
    let text = value_again.map_or_else(|| again.bytes().to_vec(), |value| value.to_string().into_bytes());
    let mut bytes = b"done\0".to_vec();
    bytes.extend_from_slice(&Digest::of(&text).0);
    new.iter().for_each(|digest| bytes.extend_from_slice(&digest.0));
    Came::Other(Digest::of(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(output: &str, artifacts: &[u8], log: Option<u8>) -> Ended {
        let digest = |n: &u8| Digest([*n; 32]);
        Ended::Done {
            output: Json::new(output.as_bytes()),
            artifacts: artifacts.iter().map(digest).collect(),
            log: log.as_ref().map(digest),
        }
    }

    #[test]
    fn results_are_compared_by_value_and_without_the_log() {
        let handed = Json::new(*br#"{"a":1,"b":[2.5]}"#);
        let left = [Digest([1; 32]), Digest([9; 32])];
        for (end, same) in [
            (done(r#"{"a":1,"b":[2.5]}"#, &[1], Some(9)), true),
            (done(r#"{ "b": [2.50], "a": 1 }"#, &[1], Some(9)), true),
            (done(r#"{"a":1,"b":[2.5]}"#, &[1, 9], None), true),
            (done(r#"{"a":1,"b":[2.5]}"#, &[1], None), false),
            (done(r#"{"a":1,"b":[2.5]}"#, &[], Some(9)), false),
            (done(r#"{"a":2,"b":[2.5]}"#, &[1], Some(9)), false),
            (done("not JSON", &[1], Some(9)), false),
            (Ended::Failed("exit 7".into()), false),
        ] {
            assert_eq!(compare(&end, &handed, &left) == Came::Same, same, "{end:?}");
        }
        assert_eq!(compare(&Ended::Inconclusive, &handed, &left), Came::Inconclusive);
        // A worker that hands its log in is no other than one that does not.
        assert_eq!(compare(&done("1", &[], Some(9)), &Json::new(*b"1"), &[]), Came::Same);
    }

    #[test]
    fn two_runs_that_agree_on_another_result_have_one_digest() {
        let other = |end: &Ended| match compare(end, &Json::new(*b"1"), &[]) {
            Came::Other(digest) => digest,
            came => panic!("{came:?}"),
        };
        let one = other(&done(r#"{"a":1,"b":2}"#, &[3], Some(4)));
        assert_eq!(other(&done(r#"{"b":2, "a":1}"#, &[3], None)), one);
        assert_ne!(other(&done(r#"{"a":1,"b":2}"#, &[], Some(3))), one);
        assert_ne!(other(&Ended::Failed("exit 7".into())), other(&Ended::Failed("exit 8".into())));
    }
}
