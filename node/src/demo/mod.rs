//! `artel demo`: one node and some agents as real processes do a real job on a real directory, and then everything that
//! they did is proven. What the agents do is in `worker`; here the job is cut, posted, watched and checked.

mod chunk;
mod files;
mod page;
mod processes;
mod progress;
mod proof;
mod report;
mod secrets;
mod survey;
pub mod worker;

use crate::cli::context::{Context, read_token};
use crate::cli::watch::{Event, Events};
use crate::cli::{artifact, audit, show};
use crate::client::{Client, escape};
use anyhow::Context as _;
use artel_audit::verify::Outcome;
use artel_protocol::id::Digest;
use artel_protocol::key::AgentId;
use clap::Args;
use processes::{Agent, NAMES, Process, Ready, SKILL};
use progress::Progress;
use proof::Proven;
use rustix::process::Signal;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use worker::{Input, Merged};

/// The name of the step that merges.
const MERGE: &str = "merge";
/// What the survey of a chunk is worth.
const CHUNK_REWARD: u32 = 1;
/// What the merge is worth.
const MERGE_REWARD: u32 = 5;
/// The longest that the whole run may take; a run has an hour in all.
const RUN_WITHIN: Duration = Duration::from_secs(1_800);
/// The most bytes of the report that are fetched.
const REPORT_BYTES_MAX: usize = 64 << 20;
/// How often a stopped agent is looked at until it holds a task, and for how long each time. Only for `--kill-one`.
const HOLDS_LOOKS: u32 = 40;
const HOLDS_PAUSE: Duration = Duration::from_millis(50);

/// See it work: a node and agents survey a directory, and all that they did is proven.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  artel demo --once\n  artel demo ~/src/project --agents 8\n  artel demo --once --json > result.json\n\nNothing leaves this machine: the node listens on loopback, its data is in a temporary directory."
)]
pub struct Demo {
    /// The directory to survey; the current one unless it is named.
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
    /// End when all is proven; without it the node stays up until Ctrl-C.
    #[arg(long)]
    once: bool,
    /// How many agents to start.
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=16))]
    agents: u8,
    /// Keep the node's data, the keys and the logs.
    #[arg(long)]
    keep: bool,
    /// Where to put report.html and report.json.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Kill one agent that holds a task.
    #[arg(long, hide = true)]
    kill_one: bool,
}

/// Everything that was started.
struct Stage {
    base: PathBuf,
    node: Process,
    ready: Ready,
    agents: Vec<Agent>,
    client: Client,
}

/// What came of the run.
struct Result {
    files: usize,
    tasks: usize,
    run: String,
    lapses: BTreeMap<String, u64>,
    killed: Option<&'static str>,
    merged: Merged,
    report: (PathBuf, PathBuf),
    left_out: Vec<String>,
    proven: Proven,
    took: Duration,
}

#[derive(Deserialize)]
struct Run {
    run_id: String,
    status: String,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Task {
    assigned_agent_id: Option<String>,
}

#[derive(Deserialize)]
struct MergeTask {
    name: String,
    output: Option<Merged>,
    task_id: String,
}

impl Demo {
    /// Runs it.
    pub async fn run(self, context: &Context) -> anyhow::Result<()> {
        let dir = self.dir.clone().map_or_else(std::env::current_dir, Ok).context("there is no current directory")?;
        let base = make_base()?;
        let mut interrupt = Interrupt::new()?;
        let done = tokio::select! {
            done = self.perform(context, &dir, &base) => done,
            () = interrupt.wait() => Err(anyhow::anyhow!("interrupted")),
        };
        let (stage, result) = done.with_context(|| format!("the demo did not end well; its logs are in {}", base.display()))?;
        let directory = if self.once { Some(stage.end().await?) } else { None.inspect(|_: &Value| ()) };
        let stage = if self.once { None } else { Some(()) };
        let _ = (directory, stage, result);
        Ok(())
    }
}
