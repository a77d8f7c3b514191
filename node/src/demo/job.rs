//! The demo's job: cut a directory into chunks, post them as one run, watch it until it is over, fetch the report and
//! have everything proven.

use super::files::{self, FILE_BYTES_MAX, Found, LeftOut};
use super::follow::{Trouble, follow};
use super::outcome::Outcome;
use super::processes::{MERGE_SKILL, SURVEY_SKILL};
use super::report::Report;
use super::stage::Stage;
use super::survey::{CHUNK, MODULE};
use super::worker::{Input, Merged};
use super::{chunk, page, proof};
use crate::cli::artifact;
use crate::cli::progress::Progress;
use crate::client::Client;
use anyhow::Context as _;
use artel_protocol::id::Digest;
use serde::Deserialize;
use serde_json::{Value, json};
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

#[derive(Deserialize)]
struct Run {
    run_id: String,
}

#[derive(Deserialize)]
struct Task {
    task_id: String,
    name: String,
}

#[derive(Deserialize)]
struct MergeTask {
    output: Option<Merged>,
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
    (quiet, trouble): (bool, Option<Trouble>),
) -> anyhow::Result<Outcome> {
    let started = Instant::now();
    let Tree { root, files, mut left_out } = tree;
    let chunks = chunk::cut(&files);
    let client = stage.home().client.clone();
    let module =
        artifact::put(&client, "survey.wasm", "module", "application/wasm", MODULE.to_vec(), None).await?;
    let digests = store(&client, &root, &chunks, &mut left_out).await?;
    let title = root.file_name().map_or_else(|| "/".into(), |name| name.to_string_lossy().into_owned());
    let body = run_body(&title, &module, &digests, left_out);
    let run: Run = client.read(&client.post_once("/v1/runs", &body, "demo").await?)?;
    let tasks = digests.len() + 1;
    let mut progress = Progress::new("tasks", Some(tasks as u64)).or_lines(!quiet);
    let following = follow(stage, (&run.run_id, tasks), &mut progress, trouble);
    let watched = tokio::time::timeout(RUN_WITHIN, following).await;
    drop(progress);
    let watched =
        watched.map_err(|_| anyhow::anyhow!("the run took longer than {} s", RUN_WITHIN.as_secs()))??;
    let merged = merged(&client, &run.run_id).await?;
    let report = save(&client, &merged, out).await?;
    let proven = proof::prove(stage, &run.run_id).await?;
    Ok(Outcome {
        directory: root,
        run: run.run_id,
        tasks,
        watched,
        cast: stage.cast.clone(),
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
        digests.push(artifact::put(client, &name, "chunk", "application/octet-stream", packed, None).await?);
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

fn run_body(title: &str, module: &Digest, digests: &[Digest], left_out: LeftOut) -> Value {
    let names: Vec<String> = (0..digests.len()).map(step_name).collect();
    let mut steps: Vec<Value> = names
        .iter()
        .zip(digests)
        .map(|(name, digest)| {
            json!({"name": name, "task": {
                "title": format!("Survey {name}"),
                "description": "Measure the files of the chunk; look for leaked secrets.",
                "requirements": {"capabilities": [SURVEY_SKILL]},
                "reward": CHUNK_REWARD,
                "runner": {"kind": "wasm", "module": module.to_string()},
                "input": {"artifacts": {CHUNK: digest.to_string()}},
            }})
        })
        .collect();
    steps.push(json!({"name": MERGE, "needs": names, "task": {
        "title": "Merge the surveys into a report",
        "description": "Add up what the steps before found; store the report as JSON and as a page.",
        "requirements": {"capabilities": [MERGE_SKILL]},
        "reward": MERGE_REWARD,
        "input": Input { title: title.to_owned(), left_out },
    }}));
    json!({"name": format!("survey of {title}"), "steps": steps})
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
        let body = run_body("x", &Digest::of(MODULE), &digests, LeftOut::default());
        let steps = body["steps"].as_array().expect("steps");
        assert_eq!(steps.len(), 4);
        assert_eq!(steps[3]["needs"], json!(["chunk-001", "chunk-002", "chunk-003"]));
        assert_eq!(steps[1]["task"]["input"], json!({"artifacts": {"chunk": digests[1].to_string()}}));
    }

    #[test]
    fn a_file_that_went_away_is_counted() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("a"), "x").expect("writes");
        let chunk = ["a", "gone"].map(|path| Found { path: path.into(), bytes: 1 });
        let (packed, unreadable) = pack(dir.path(), &chunk);
        assert_eq!(unreadable, 1);
        assert_eq!(packed, chunk::pack(&[("a".to_owned(), b"x".to_vec())]));
    }
}
