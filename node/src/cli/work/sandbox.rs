//! Running steps in this node's sandbox: the module is fetched by its digest and checked, what the step leaves goes back as
//! artifacts. What may run is the operator's to say.

use super::Tell;
use super::session::Backoff;
use crate::cli::artifact;
use crate::cli::context::Usage;
use crate::client::{Client, Error};
use crate::given::Files;
use crate::rules;
use artel_protocol::id::{Digest, StepId};
use artel_protocol::key::NodeId;
use artel_protocol::skill::Skill;
use artel_runner::{Ask, Given, Kind, Limits, Module, Options, Outcome, Policy, Rule, Runner, Step, allows};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// How many modules are kept, so that a run of like steps fetches its module once. The oldest goes first.
const MODULES_MAX: usize = 8;

/// What a step's log is called as an artifact.
const LOG_NAME: &str = "log.txt";

/// What is looked at in a lease.
#[derive(Deserialize)]
struct Asked {
    task_id: String,
    #[serde(default)]
    runner: Option<AskedRunner>,
    input: Box<RawValue>,
    #[serde(default)]
    needs: BTreeMap<String, Box<RawValue>>,
    #[serde(default)]
    artifacts: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    capabilities: Vec<String>,
    /// The home that offers it, where it is another than the node that is worked for.
    #[serde(default)]
    home: Option<String>,
}

#[derive(Deserialize)]
struct AskedRunner {
    kind: String,
    #[serde(default)]
    module: String,
}

/// What is handed in.
pub(super) struct Work {
    /// The output.
    pub output: Box<RawValue>,
    /// Digests of its artifacts.
    pub artifacts: Vec<String>,
}

/// A sandbox and what may run in it.
pub(super) struct Sandbox {
    runner: Runner,
    policy: Policy,
    home: NodeId,
    /// Where nothing else was allowed, the one home whose tasks are worth a claim.
    only: Option<NodeId>,
    modules: Mutex<VecDeque<Module>>,
}

impl Sandbox {
    /// Starts it. Without rules, what the node that is worked for offers may run, and nothing else.
    ///
    /// # Errors
    /// That a wall is missing here, which one and why; nothing runs then.
    pub async fn start(
        mut policy: Policy,
        slots: u32,
        cache_dir: Option<PathBuf>,
        home: NodeId,
    ) -> anyhow::Result<Self> {
        let only = policy.allow.is_empty().then_some(home);
        if only.is_some() {
            policy.allow.push(Rule { home: Some(home), ..Rule::default() });
        }
        let steps_max = slots as usize;
        let options = Options { cache_dir, steps_max, pool_size: steps_max.min(2), ..Options::default() };
        let runner =
            Runner::start(options).await.map_err(|e| anyhow::anyhow!("no step can be run here: {e}"))?;
        Ok(Sandbox { runner, policy, home, only, modules: Mutex::default() })
    }

    /// The one home whose tasks are to be claimed, where the policy lets no other's run; without it any.
    pub fn only_home(&self) -> Option<NodeId> {
        self.only
    }

    /// Runs one step and puts what it left.
    ///
    /// # Errors
    /// A sentence that says why there is no result.
    pub async fn run(&self, client: &Client, step: &RawValue, tell: Tell) -> Result<Work, String> {
        let asked: Asked =
            serde_json::from_str(step.get()).map_err(|e| format!("the lease cannot be read: {e}"))?;
        let Some(runner) = &asked.runner else {
            return Err("it names no runner; a worker with --exec can do it".to_owned());
        };
        let kind = Kind::parse(&runner.kind).ok_or_else(|| format!("this worker runs no {}", runner.kind))?;
        let module = Digest::parse(&runner.module).map_err(|e| format!("its module: {e}"))?;
        let skills = asked.capabilities.iter().map(|skill| Skill::parse(skill).map_err(|e| e.to_string()));
        let skills = skills.collect::<Result<Vec<Skill>, String>>()?;
        let home = match &asked.home {
            Some(did) => NodeId::from_did(did).map_err(|e| format!("its home: {e}"))?,
            None => self.home,
        };
        if !allows(&self.policy, &Ask { home: &home, kind, module: &module, skills: &skills }) {
            return Err(format!("the policy of this worker does not allow {module}; see --allow"));
        }
        let program = self.module(client, &module).await?;
        // It is compiled and loaded while its files come. Where it cannot be, the run says why.
        let prepared = async {
            let _ = self.runner.prepare(&program).await;
            Ok(())
        };
        let ((), artifacts) = tokio::try_join!(prepared, given(client, &asked))?;
        let step = Step {
            module: program.clone(),
            input: asked.input.get().to_owned(),
            needs: asked.needs.iter().map(|(name, output)| (name.clone(), output.get().to_owned())).collect(),
            artifacts,
            deadline_ms: None,
        };
        let (outcome, profile) = (self.runner.run(step).await, self.runner.profile());
        let (output, artifacts, log, spent) = match outcome {
            Outcome::Done { output, artifacts, log, spent } => (output, artifacts, log, spent),
            Outcome::Failed { fault, log, .. } => return Err(with_log(&fault.to_string(), &log.text())),
            Outcome::Inconclusive { resource, log, .. } => {
                return Err(with_log(&format!("{resource}; another node may see another end"), &log.text()));
            }
            Outcome::NotRun(refusal) => return Err(refusal.to_string()),
        };
        tell.event(
            "ran",
            json!({"module": module.to_string(), "fuel": spent.fuel, "cpu_us": spent.cpu_us, "profile": profile.to_string()}),
            &format!("ran {module} in {} µs of CPU", spent.cpu_us),
        );
        // Of another home's step the node that is worked for keeps the bytes, and knows no step.
        let of = if asked.home.is_none() { StepId::parse(&asked.task_id).ok() } else { None };
        let mut digests = Vec::new();
        for left in artifacts {
            digests
                .push(put(client, (&left.name, "output", "application/octet-stream"), left.bytes, of).await?);
        }
        if !log.bytes.is_empty() {
            digests.push(
                put(client, (LOG_NAME, "log", "text/plain; charset=utf-8"), log.text().into_bytes(), of)
                    .await?,
            );
        }
        // Two files with the same bytes are one artifact.
        let mut seen = std::collections::BTreeSet::new();
        digests.retain(|digest| seen.insert(digest.clone()));
        let output = RawValue::from_string(output).map_err(|e| format!("its output is not JSON: {e}"))?;
        Ok(Work { output, artifacts: digests })
    }

    async fn module(&self, client: &Client, digest: &Digest) -> Result<Module, String> {
        if let Some(known) = self.modules().iter().find(|module| module.digest() == *digest).cloned() {
            return Ok(known);
        }
        let max = Limits::default().module_bytes as usize;
        let bytes = fetch(client, digest, max).await.map_err(|e| format!("its module: {e}"))?;
        let module = Module::new(bytes);
        let mut modules = self.modules();
        modules.push_back(module.clone());
        if modules.len() > MODULES_MAX {
            modules.pop_front();
        }
        Ok(module)
    }

    fn modules(&self) -> std::sync::MutexGuard<'_, VecDeque<Module>> {
        self.modules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The files of a step, fetched.
async fn given(client: &Client, asked: &Asked) -> Result<Vec<Given>, String> {
    let of_needs = asked.artifacts.values().flatten().map(|text| Digest::parse(text));
    let of_needs = of_needs.collect::<Result<Vec<Digest>, _>>().map_err(|e| format!("an artifact: {e}"))?;
    let mut files = Files::of(&of_needs, asked.input.get().as_bytes())?;
    while let Some((digest, room)) = files.next() {
        files.take(fetch(client, &digest, room as usize).await.map_err(|e| format!("an artifact: {e}"))?)?;
    }
    Ok(files.here())
}

/// Fetches bytes; waits for a node or a home that is away, as long as whoever attends to the lease lets it.
async fn fetch(client: &Client, digest: &Digest, max: usize) -> anyhow::Result<Vec<u8>> {
    let mut backoff = Backoff::new();
    loop {
        let error = match artifact::fetch(client, digest, max).await {
            Ok(bytes) => return Ok(bytes),
            Err(error) => error,
        };
        let Some(cause) = error.downcast_ref::<Error>().filter(|cause| is_away(cause)) else {
            return Err(error);
        };
        tokio::time::sleep(backoff.next(cause.retry_after())).await;
    }
}

/// Whether the node, or the task's home, is away or busy: then it is worth waiting. A node without room, or one that is broken, is
/// better told by giving the task back.
fn is_away(error: &Error) -> bool {
    matches!(error, Error::Away { .. } | Error::Refused { status: 429 | 503 | 504, .. })
}

async fn put(
    client: &Client,
    (name, kind, media_type): (&str, &str, &str),
    bytes: Vec<u8>,
    mut of: Option<StepId>,
) -> Result<String, String> {
    let mut backoff = Backoff::new();
    loop {
        match artifact::put(client, name, kind, media_type, bytes.clone(), of).await {
            Ok(digest) => return Ok(digest.to_string()),
            Err(error) => match error.downcast_ref::<Error>() {
                Some(cause) if is_away(cause) => tokio::time::sleep(backoff.next(cause.retry_after())).await,
                // The lease is gone; whoever hands in hears that, and why.
                Some(Error::Refused { status: 403 | 404, .. }) if of.is_some() => of = None,
                _ => return Err(format!("what it left cannot be stored: {error}")),
            },
        }
    }
}

/// A reason with the end of the log, which says more.
fn with_log(why: &str, log: &str) -> String {
    const TAIL_BYTES: usize = 400;
    let log = log.trim();
    if log.is_empty() {
        return why.to_owned();
    }
    let from = log.ceil_char_boundary(log.len().saturating_sub(TAIL_BYTES));
    format!("{why}; its log ends: {}", log[from..].replace('\n', " | "))
}

/// What the operator says on the command line.
#[derive(clap::Args, Debug, Default)]
pub struct Rules {
    /// Let steps run in the sandbox that fit all of RULE: any, or parts like home=DID,module=sha256:HEX,skill=NAME,kind=wasm
    /// [default: what the node that is worked for offers]. A skill without a version means all of that name; what a task requires
    /// is its poster's word.
    #[arg(long, value_name = "RULE", conflicts_with = "exec")]
    allow: Vec<String>,
    /// Let no step run that fits all of RULE, whatever is allowed.
    #[arg(long, value_name = "RULE", conflicts_with = "exec")]
    deny: Vec<String>,
}

impl Rules {
    /// The policy that they say.
    ///
    /// # Errors
    /// [`Usage`]: which of them is none.
    pub(super) fn policy(&self) -> anyhow::Result<Policy> {
        Ok(Policy { allow: read_rules(&self.allow)?, deny: read_rules(&self.deny)? })
    }
}

fn read_rules(texts: &[String]) -> anyhow::Result<Vec<Rule>> {
    texts
        .iter()
        .map(|text| rules::read(text).map_err(|why| Usage(format!("{text:?} is no rule: {why}")).into()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_has_the_end_of_the_log() {
        assert_eq!(with_log("bad", " \n"), "bad");
        assert_eq!(with_log("bad", "a\nb\n"), "bad; its log ends: a | b");
        let long = with_log("bad", &"é".repeat(1000));
        assert!(long.len() < 450, "{}", long.len());
    }
}
