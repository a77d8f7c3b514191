//! `artel demo`: one node and some agents as real processes do a real job on a real directory, and then everything that
//! they did is proven. This file starts and ends the stage; the job is in `job`, what the agents do in `worker`.

mod chunk;
mod files;
mod job;
mod outcome;
mod page;
mod processes;
mod progress;
mod proof;
mod report;
mod secrets;
mod survey;
pub mod worker;

use crate::cli::context::{Context, read_token};
use crate::cli::{audit, show};
use crate::client::Client;
use anyhow::Context as _;
use artel_audit::verify::{Outcome as Verdict, Report};
use clap::Args;
use outcome::Outcome;
use processes::{Agent, NAMES, Process, Ready};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// See it work: a node and agents survey a directory, and all that they did is proven.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  artel demo --once\n  artel demo ./src --agents 8\n  artel demo --once --json\n\nNothing leaves this machine: the node listens on loopback, its data is in a temporary directory."
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
    /// Where to put report.html and report.json; a temporary directory unless it is named.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Kill one agent while it holds a task.
    #[arg(long, hide = true)]
    kill_one: bool,
}

/// Everything that was started. Dropping it kills what still runs.
pub(crate) struct Stage {
    node: Process,
    ready: Ready,
    agents: Vec<Agent>,
    client: Client,
}

impl Demo {
    /// Runs it.
    ///
    /// # Errors
    /// What went wrong, or what was not proven.
    pub async fn run(self, context: &Context) -> anyhow::Result<()> {
        let dir = match &self.dir {
            Some(dir) => dir.clone(),
            None => std::env::current_dir().context("there is no current directory")?,
        };
        let tree = job::Tree::read(&dir).await?;
        let base = make_base()?;
        let mut interrupt = Interrupt::new()?;
        let performed = tokio::select! {
            performed = self.perform(context, tree, &base) => performed,
            () = interrupt.wait() => Err(anyhow::anyhow!("it was interrupted")),
        };
        let ended = match performed {
            Ok((stage, outcome)) => self.end(context, &base, stage, outcome, interrupt).await,
            Err(error) => Err(error),
        };
        ended.map_err(|error| {
            error.context(format!("the demo did not end well; its logs are in {}", base.display()))
        })?;
        if !self.keep {
            clear(&base);
        }
        Ok(())
    }

    async fn perform(
        &self,
        context: &Context,
        tree: job::Tree,
        base: &Path,
    ) -> anyhow::Result<(Stage, Outcome)> {
        let mut stage = Stage::start(base, self.agents.into()).await?;
        let out = self.out.clone().unwrap_or_else(|| base.to_owned());
        let outcome = job::perform(&mut stage, tree, &out, (context.show.json, self.kill_one)).await?;
        Ok((stage, outcome))
    }

    async fn end(
        &self,
        context: &Context,
        base: &Path,
        mut stage: Stage,
        outcome: Outcome,
        mut interrupt: Interrupt,
    ) -> anyhow::Result<()> {
        let ready = stage.ready.clone();
        if self.once {
            stage.end().await?;
            let disk = prove_disk(&ready.data_dir).await?;
            return outcome.tell(context, &ready, Some(&disk));
        }
        outcome.tell(context, &ready, None)?;
        show::note(&format!(
            "\nThe node stays up at {} until Ctrl-C; look around with: artel status --data {}",
            ready.http_url,
            ready.data_dir.display()
        ));
        tokio::select! {
            () = interrupt.wait() => (),
            error = stage.node.ended() => return Err(error),
        }
        show::note(&format!("ending; the report stays in {}", self.out.as_deref().unwrap_or(base).display()));
        stage.end().await
    }
}

impl Stage {
    async fn start(base: &Path, agents: usize) -> anyhow::Result<Self> {
        let (node, ready) = processes::start_node(base).await?;
        let client = Client::new(&ready.http_url, None)?.with_token(&read_token(&ready.operator_token_file)?);
        let mut stage = Stage { node, agents: Vec::new(), client, ready };
        for name in NAMES.into_iter().take(agents) {
            stage.agents.push(processes::start_agent(base, name, &stage.ready)?);
        }
        Ok(stage)
    }

    /// Ends agents and node in order.
    async fn end(self) -> anyhow::Result<()> {
        for agent in self.agents {
            agent.process.stop().await?;
        }
        self.node.stop().await
    }
}

/// Verifies the data directory of the node that has ended, as `artel audit verify` does.
async fn prove_disk(dir: &Path) -> anyhow::Result<Report> {
    let report = audit::directory_report(dir, |_| ()).await?;
    match &report.outcome {
        Verdict::Sound => Ok(report),
        Verdict::Damaged { file, what } => anyhow::bail!("the log on disk is not sound: {file}: {what}"),
    }
}

/// A directory for this demo alone.
fn make_base() -> anyhow::Result<PathBuf> {
    let mut bytes = [0; 6];
    rand::Rng::fill_bytes(&mut rand::rng(), &mut bytes);
    let base = std::env::temp_dir().join(format!("artel-demo-{}", hex::encode(bytes)));
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(&base)
        .with_context(|| format!("cannot make {}", base.display()))?;
    Ok(base)
}

/// Removes all but the report.
fn clear(base: &Path) {
    let Ok(entries) = std::fs::read_dir(base) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            // What cannot be removed is told by nobody: it is in a temporary directory.
            let _ = std::fs::remove_dir_all(&path);
        } else if !path.file_name().is_some_and(|name| name == job::PAGE_FILE || name == job::REPORT_FILE) {
            let _ = std::fs::remove_file(&path);
        }
    }
    // Goes only when the report is elsewhere.
    let _ = std::fs::remove_dir(base);
}

/// SIGINT and SIGTERM, waited for from the start, so that children are ended rather than left.
struct Interrupt {
    int: Signal,
    term: Signal,
}

impl Interrupt {
    fn new() -> anyhow::Result<Self> {
        Ok(Interrupt { int: signal(SignalKind::interrupt())?, term: signal(SignalKind::terminate())? })
    }

    async fn wait(&mut self) {
        tokio::select! { _ = self.int.recv() => (), _ = self.term.recv() => () }
    }
}
