//! This node's own sandbox, in which it runs steps again: its own and, for members, theirs. It starts when it is first wanted.
//! Where the operator does not want it, or a wall is missing, nothing runs.

use crate::store::Blobs;
use artel_federation::Json;
use artel_federation::redo::message::{Ended, Redo, Reran};
use artel_protocol::id::Digest;
use artel_runner::{Given, Limits, Module, Options, Outcome, Runner, Step};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};

/// How many steps run again at once: one, so that a node that only does its share is little disturbed. More wait.
const RUNS_MAX: usize = 1;

/// How many steps may wait for that; with one more, home's is inconclusive and a neighbour's refused.
const QUEUE_MAX: usize = 16;

/// How many requests of neighbours are dealt with at once. Each may hold a module and its artifacts, 72 MiB at the most.
const FOR_OTHERS_MAX: usize = 4;

/// How long a neighbour may take with a step, its fetches and a compilation among that. With two that are asked, and this node's
/// own run after them, it is less than the ten minutes within which home judges.
pub const REDO_WAIT: Duration = Duration::from_secs(120);

/// The sandbox.
pub struct Bench {
    wanted: bool,
    runner: OnceCell<Option<Runner>>,
    for_others: Arc<Semaphore>,
}

impl Bench {
    /// One that starts when it is first wanted, or never where the operator does not want it.
    pub fn new(wanted: bool) -> Self {
        Bench { wanted, runner: OnceCell::new(), for_others: Arc::new(Semaphore::new(FOR_OTHERS_MAX)) }
    }

    /// A place for a neighbour's request, where there is one and steps can be run here.
    pub async fn place(&self) -> Option<OwnedSemaphorePermit> {
        let place = self.for_others.clone().try_acquire_owned().ok()?;
        self.runner().await.map(|_| place)
    }

    /// The most bytes of a module.
    pub fn module_bytes_max() -> u64 {
        Limits::default().module_bytes
    }

    /// Runs a step; nothing where steps cannot be run here.
    pub async fn run(&self, ask: &Redo, module: Vec<u8>, given: Vec<Given>) -> Option<Reran> {
        let runner = self.runner().await?;
        let text = |json: &Json| String::from_utf8(json.bytes().to_vec()).ok();
        let needs: Option<BTreeMap<String, String>> =
            ask.needs.iter().map(|(name, output)| Some((name.clone(), text(output)?))).collect();
        let step = Step {
            module: Module::new(module),
            input: text(&ask.input)?,
            needs: needs?,
            artifacts: given,
            deadline_ms: None,
        };
        let end = match runner.run(step).await {
            Outcome::Done { output, artifacts, log, .. } => {
                let mut left: Vec<Digest> = artifacts.iter().map(|left| Digest::of(&left.bytes)).collect();
                left.sort_unstable();
                left.dedup();
                let log = (!log.bytes.is_empty()).then(|| Digest::of(log.text().as_bytes()));
                Ended::Done { output: Json::new(output.into_bytes()), artifacts: left, log }
            }
            Outcome::Failed { fault, .. } => Ended::Failed(fault.to_string()),
            Outcome::Inconclusive { resource, .. } => {
                tracing::debug!(%resource, task = %ask.step, "a run says nothing");
                Ended::Inconclusive
            }
            Outcome::NotRun(refusal) => {
                tracing::debug!(%refusal, task = %ask.step, "a step was not run");
                return None;
            }
        };
        Some(Reran { profile: runner.profile(), end })
    }

    async fn runner(&self) -> Option<&Runner> {
        if !self.wanted {
            return None;
        }
        let start = || async {
            let options =
                Options { steps_max: RUNS_MAX, queue_max: QUEUE_MAX, pool_size: 1, ..Options::default() };
            match Runner::start(options).await {
                Ok(runner) => Some(runner),
                Err(error) => {
                    tracing::warn!(%error, "no step can be run again here until the next start");
                    None
                }
            }
        };
        self.runner.get_or_init(start).await.as_ref()
    }
}

/// What is stored here under a digest, where it has no more bytes than that.
pub async fn read(blobs: &Blobs, digest: &Digest, bytes_max: u64) -> Option<Vec<u8>> {
    let (file, bytes) = blobs.open_checked(digest).await.ok()?;
    if bytes > bytes_max {
        return None;
    }
    let mut content = Vec::new();
    file.take(bytes_max).read_to_end(&mut content).await.ok()?;
    Some(content)
}
