//! The demo's job: cut a directory into chunks, post them as one run, watch it until it is over, fetch the report and
//! have everything proven.

use super::files::{self, FILE_BYTES_MAX, Found, LeftOut};
use super::outcome::Outcome;
use super::processes::SKILL;
use super::progress::Progress;
use super::report::Report;
use super::worker::{Input, Merged};
use super::{Stage, chunk, outcome, page, proof};
use crate::cli::watch::{Event, Events, is_over};
use crate::cli::{artifact, show};
use crate::client::{Client, escape};
use anyhow::Context as _;
use artel_protocol::id::Digest;
use rustix::process::Signal;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The report as a page.
pub const PAGE_FILE: &str = "report.html";
/// The report as JSON.
pub const REPORT_FILE: &str = "report.json";
/// The name of the step that merges.
const MERGE: &str = "merge";
/// What the survey of a chunk is worth, in credits.
const CHUNK_REWARD: u32 = 1;
/// What the merge is worth, in credits.
const MERGE_REWARD: u32 = 5;
/// The longest that the run may take. A larger tree than the limits allow would not take longer.
const RUN_WITHIN: Duration = Duration::from_secs(1_800);
/// The most bytes of the report that are fetched: far above what its own limits lead to.
const REPORT_BYTES_MAX: usize = 64 << 20;
/// How often a stopped agent is looked at until it holds a task, and the pause between (only with `--kill-one`).
const HOLDS_LOOKS: u32 = 20;
const HOLDS_PAUSE: Duration = Duration::from_millis(50);

#[derive(Deserialize)]
struct Run {
    run_id: String,
    status: String,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Task {
    task_id: String,
    name: String,
    epoch: u32,
    assigned_agent_id: Option<String>,
}

#[derive(Deserialize)]
struct MergeTask {
    output: Option<Merged>,
}

/// What was seen while the run went on.
#[derive(Default)]
pub struct Watched {
    /// Lapsed leases by agent.
    pub lapses: BTreeMap<String, u64>,
    /// The agent that was killed.
    pub killed: Option<&'static str>,
}

/// A directory to survey.
pub struct Tree {
    root: PathBuf,
    files: Vec<Found>,
    left_out: LeftOut,
}

impl Tree {
    /// Lists a directory's files.
    ///
    /// # Errors
    /// A sentence when it cannot be read or holds no text.
    pub async fn read(dir: &Path) -> anyhow::Result<Self> {
        let root = dir
            .canonicalize()
            .map_err(|e| anyhow::anyhow!("cannot read the directory {}: {e}", dir.display()))?;
        let tree = tokio::task::spawn_blocking(move || {
            let (files, left_out) = files::find(&root)?;
            anyhow::Ok(Tree { root, files, left_out })
        })
        .await??;
        if tree.files.is_empty() {
            anyhow::bail!("there are no text files in {}; name another directory", tree.root.display());
        }
        Ok(tree)
    }
}

/// Does all of it.
///
/// # Errors
/// What went wrong, or what was not proven.
pub async fn perform(
    stage: &mut Stage,
    tree: Tree,
    out: &Path,
    (quiet, kill_one): (bool, bool),
) -> anyhow::Result<Outcome> {
    let started = Instant::now();
    let cast = outcome::cast(stage);
    let Tree { root, files, mut left_out } = tree;
    let chunks = chunk::cut(&files);
    let digests = store(&stage.client, &root, &chunks, &mut left_out).await?;
    let title = root.file_name().map_or_else(|| "/".into(), |name| name.to_string_lossy().into_owned());
    let body = run_body(&title, &digests, left_out);
    let run: Run = stage.client.read(&stage.client.post_once("/v1/runs", &body, "demo").await?)?;
    let mut progress = Progress::new(digests.len() + 1, quiet);
    let watched = tokio::time::timeout(RUN_WITHIN, follow(stage, &run.run_id, &mut progress, kill_one)).await;
    progress.finish();
    let watched =
        watched.map_err(|_| anyhow::anyhow!("the run took longer than {} s", RUN_WITHIN.as_secs()))??;
    let merged = merged(&stage.client, &run.run_id).await?;
    let report = save(&stage.client, &merged, out).await?;
    let proven =
        proof::prove(&stage.client, &run.run_id, (&stage.ready.peer_id, &stage.ready.federation_id)).await?;
    Ok(Outcome {
        directory: root,
        run: run.run_id,
        tasks: digests.len() + 1,
        watched,
        cast,
        left_out: page::sentences(&report),
        report,
        merged,
        out: out.to_owned(),
        proven,
        took: started.elapsed(),
    })
}

/// Puts each chunk's bytes into the node.
async fn store(
    client: &Client,
    root: &Path,
    chunks: &[&[Found]],
    left_out: &mut LeftOut,
) -> anyhow::Result<Vec<Digest>> {
    let mut digests = Vec::with_capacity(chunks.len());
    for (number, chunk) in chunks.iter().enumerate() {
        let (root, chunk) = (root.to_owned(), chunk.to_vec());
        let (packed, unreadable) = tokio::task::spawn_blocking(move || pack(&root, &chunk)).await?;
        left_out.unreadable += unreadable;
        let name = format!("{}.chunk", step_name(number));
        digests.push(artifact::put(client, &name, "chunk", "application/octet-stream", packed).await?);
    }
    Ok(digests)
}

/// A chunk's bytes, and how many of its files could no longer be read.
fn pack(root: &Path, chunk: &[Found]) -> (Vec<u8>, u64) {
    let mut unreadable = 0;
    let mut contents = Vec::with_capacity(chunk.len());
    for file in chunk {
        let mut content = Vec::new();
        let opened = std::fs::File::open(root.join(&file.path));
        // It may have grown since it was found.
        match opened.and_then(|f| f.take(FILE_BYTES_MAX).read_to_end(&mut content)) {
            Ok(_) => contents.push((file.path.clone(), content)),
            Err(_) => unreadable += 1,
        }
    }
    (chunk::pack(&contents), unreadable)
}

fn step_name(number: usize) -> String {
    format!("chunk-{:03}", number + 1)
}

fn run_body(title: &str, digests: &[Digest], left_out: LeftOut) -> Value {
    let requirements = json!({"capabilities": [SKILL]});
    let names: Vec<String> = (0..digests.len()).map(step_name).collect();
    let mut steps: Vec<Value> = names
        .iter()
        .zip(digests)
        .map(|(name, digest)| {
            let input = Input::Survey { chunk: digest.to_string() };
            json!({"name": name, "task": {
                "title": format!("Survey {name}"),
                "description": "Fetch the chunk by its digest; measure its files; look for leaked secrets.",
                "requirements": requirements,
                "reward": CHUNK_REWARD,
                "input": input,
            }})
        })
        .collect();
    steps.push(json!({"name": MERGE, "needs": names, "task": {
        "title": "Merge the surveys into a report",
        "description": "Add up what the steps before found; store the report as JSON and as a page.",
        "requirements": requirements,
        "reward": MERGE_REWARD,
        "input": Input::Merge { title: title.to_owned(), left_out },
    }}));
    json!({"name": format!("survey of {title}"), "steps": steps})
}

/// Watches the run until it is over.
async fn follow(
    stage: &mut Stage,
    run: &str,
    progress: &mut Progress,
    kill_one: bool,
) -> anyhow::Result<Watched> {
    let client = stage.client.clone();
    let mut events = Events::new(&client, format!("run_id={}", escape(run)), None);
    let (mut working, mut done) = (BTreeSet::new(), BTreeSet::new());
    let mut watched = Watched::default();
    // Taken now, so that a killed agent still has its name.
    let names: BTreeMap<String, &str> = stage.agents.iter().map(|a| (a.id.to_string(), a.name)).collect();
    progress.update(0, 0);
    loop {
        let items = tokio::select! {
            items = events.next_patiently() => items?,
            error = stage.node.ended() => return Err(error),
        };
        if items.is_empty() {
            still_going(stage, &client, run).await?;
        }
        for item in items {
            let event: Event = client.read(item.get())?;
            let step = event.step_id.clone().unwrap_or_default();
            match event.event_name.as_str() {
                "xyn.task.claimed" => {
                    working.insert(step);
                    if kill_one && watched.killed.is_none() {
                        watched.killed = Some(kill(stage, run, &event).await?);
                        progress.note("one agent was killed in the middle of its work");
                    }
                }
                "xyn.task.accepted" => {
                    working.remove(&step);
                    done.insert(step);
                }
                "xyn.task.lapsed" => {
                    working.remove(&step);
                    let agent = event.data["agent_id"].as_str().unwrap_or_default().to_owned();
                    let name = names.get(&agent).copied().unwrap_or("a stranger");
                    progress.note(&format!("a lease of {name} lapsed; another agent takes the task"));
                    *watched.lapses.entry(agent).or_default() += 1;
                }
                "xyn.task.released" | "xyn.task.rejected" => {
                    working.remove(&step);
                }
                "xyn.run.completed" => return Ok(watched),
                "xyn.run.failed" | "xyn.run.cancelled" => still_going(stage, &client, run).await?,
                _ => {}
            }
        }
        progress.update(done.len(), working.len());
    }
}

/// Fails when the run ended badly or nobody is left to do it.
async fn still_going(stage: &mut Stage, client: &Client, run: &str) -> anyhow::Result<()> {
    let run: Run = client.get(&format!("/v1/runs/{run}")).await?;
    if is_over(&run.status) && run.status != "completed" {
        let why = run.error.map(|e| e["message"].to_string()).unwrap_or_default();
        anyhow::bail!("the run {} ended as {} {}", run.run_id, run.status, show::plain(&why));
    }
    if stage.agents.iter_mut().all(|agent| agent.process.has_ended()) {
        anyhow::bail!("no agent is left to do the rest");
    }
    Ok(())
}

/// Kills an agent that holds a task: stops it first, so that it cannot hand the task in between the look and the kill.
async fn kill(stage: &mut Stage, run: &str, claimed: &Event) -> anyhow::Result<&'static str> {
    let first = claimed.data["agent_id"].as_str().unwrap_or_default().to_owned();
    stage.agents.sort_by_key(|agent| agent.id.to_string() != first);
    for at in 0..stage.agents.len() {
        let agent = &stage.agents[at];
        agent.process.signal(Signal::STOP);
        if holds(&stage.client, run, &agent.id.to_string()).await? {
            let agent = stage.agents.remove(at);
            // Dropping the process kills it, stopped or not.
            return Ok(agent.name);
        }
        agent.process.signal(Signal::CONT);
    }
    anyhow::bail!("no agent held a task when one was to be killed; survey a larger directory");
}

/// Whether a stopped agent holds one task at two looks: what it had sent before it was stopped has arrived by then.
async fn holds(client: &Client, run: &str, did: &str) -> anyhow::Result<bool> {
    let mut before = None;
    for _ in 0..HOLDS_LOOKS {
        let tasks: Vec<Task> =
            client.get_all(&format!("/v1/tasks?status=claimed&run_id={run}"), usize::MAX).await?;
        let held = tasks
            .into_iter()
            .find(|t| t.assigned_agent_id.as_deref() == Some(did))
            .map(|t| (t.task_id, t.epoch));
        if held.is_some() && held == before {
            return Ok(true);
        }
        before = held;
        tokio::time::sleep(HOLDS_PAUSE).await;
    }
    Ok(false)
}

/// What the merge step handed in.
async fn merged(client: &Client, run: &str) -> anyhow::Result<Merged> {
    let tasks: Vec<Task> = client.get_all(&format!("/v1/tasks?status=any&run_id={run}"), usize::MAX).await?;
    let Some(merge) = tasks.into_iter().find(|t| t.name == MERGE) else {
        anyhow::bail!("the run has no merge step")
    };
    let merge: MergeTask = client.get(&format!("/v1/tasks/{}", merge.task_id)).await?;
    merge.output.context("the merge step has no output")
}

/// Fetches the report by its digests and puts it into files.
async fn save(client: &Client, merged: &Merged, out: &Path) -> anyhow::Result<Report> {
    let json = artifact::fetch(client, &Digest::parse(&merged.report)?, REPORT_BYTES_MAX).await?;
    let html = artifact::fetch(client, &Digest::parse(&merged.page)?, REPORT_BYTES_MAX).await?;
    let report = serde_json::from_slice(&json).context("the report is not of its form")?;
    std::fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    for (name, bytes) in [(REPORT_FILE, json), (PAGE_FILE, html)] {
        let path = out.join(name);
        std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_merge_needs_every_chunk() {
        let digests: Vec<Digest> = (0..3_u8).map(|n| Digest::of(&[n])).collect();
        let body = run_body("x", &digests, LeftOut::default());
        let steps = body["steps"].as_array().expect("steps");
        assert_eq!(steps.len(), 4);
        assert_eq!(steps[3]["needs"], json!(["chunk-001", "chunk-002", "chunk-003"]));
        assert_eq!(steps[1]["task"]["input"], json!({"kind": "survey", "chunk": digests[1].to_string()}));
    }

    #[test]
    fn a_file_that_went_away_is_counted() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("a"), "x").expect("writes");
        let chunk = ["a", "gone"].map(|path| Found { path: path.into(), bytes: 1 });
        let (packed, unreadable) = pack(dir.path(), &chunk);
        assert_eq!(unreadable, 1);
        assert_eq!(chunk::unpack(&packed).expect("reads"), [("a".to_owned(), &b"x"[..])]);
    }
}
