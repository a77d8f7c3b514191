//! `artel demo`: nodes and agents as real processes do a real job on a real directory, and then everything that they did is
//! proven. Here is what can be typed and the order of things; who takes part is in `stage`, the job in `job`, what the agents
//! do in `survey` and `worker`.

mod chunk;
mod files;
mod follow;
mod job;
mod outcome;
mod page;
mod processes;
mod proof;
mod report;
mod stage;
mod survey;
pub mod worker;

use crate::cli::context::Context;
use crate::cli::show;
use anyhow::Context as _;
use clap::Args;
use follow::Trouble;
use outcome::Outcome;
use processes::{program, quoted};
use stage::Stage;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How many agents there are for each node, unless it is said.
const AGENTS_PER_NODE: u8 = 2;

/// See it work: nodes and agents survey a directory, and all that they did is proven.
#[derive(Args, Debug)]
pub struct Demo {
    /// The directory to survey; the current one unless it is named.
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
    /// End when all is proven; without it the nodes stay up until Ctrl-C.
    #[arg(long)]
    once: bool,
    /// How many nodes to start.
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=8))]
    nodes: u8,
    /// How many agents to start, spread over the nodes; one more merges [default: 2 for each node].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=16))]
    agents: Option<u8>,
    /// Keep the nodes' data, the keys and the logs.
    #[arg(long)]
    keep: bool,
    /// Where to put report.html and report.json; a temporary directory unless it is named.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Kill one agent while it holds a task.
    #[arg(long, hide = true)]
    kill_one: bool,
    /// Kill a node that is not the home, with its agents, in the middle.
    #[arg(long, hide = true, conflicts_with = "kill_one")]
    kill_node: bool,
    /// Kill the home in the middle and start it again.
    #[arg(long, hide = true, conflicts_with_all = ["kill_one", "kill_node"])]
    kill_home: bool,
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
        let agents = self.agents.unwrap_or(self.nodes * AGENTS_PER_NODE);
        let mut stage = Stage::start(base, self.nodes.into(), agents.into()).await?;
        let out = self.out.clone().unwrap_or_else(|| base.to_owned());
        let outcome = job::perform(&mut stage, tree, &out, (context.show.json, self.trouble())).await?;
        Ok((stage, outcome))
    }

    fn trouble(&self) -> Option<Trouble> {
        let wanted = [
            (self.kill_one, Trouble::Agent),
            (self.kill_node, Trouble::Node),
            (self.kill_home, Trouble::Home),
        ];
        wanted.into_iter().find(|(is_wanted, _)| *is_wanted).map(|(_, trouble)| trouble)
    }

    async fn end(
        &self,
        context: &Context,
        base: &Path,
        mut stage: Stage,
        outcome: Outcome,
        mut interrupt: Interrupt,
    ) -> anyhow::Result<()> {
        if self.once {
            stage.end().await?;
            let mut disks = Vec::new();
            for node in &outcome.proven.nodes {
                disks.push(proof::prove_disk(&node.data_dir).await?);
            }
            return outcome.tell(context, &disks);
        }
        outcome.tell(context, &[])?;
        let home = &stage.home().ready;
        show::note(&format!(
            "\nThe nodes stay up until Ctrl-C. The home's dashboard is at {}/ui; the token in {} opens it.\nLook around with: {} status --data {}",
            home.http_url,
            home.operator_token_file.display(),
            quoted(&program()?)?,
            quoted(&home.data_dir)?
        ));
        tokio::select! {
            () = interrupt.wait() => (),
            error = stage.home_ended() => return Err(error),
        }
        show::note(&format!("ending; the report stays in {}", self.out.as_deref().unwrap_or(base).display()));
        stage.end().await
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
