//! `artel audit`: the log for people and its proofs for strangers. `verify` and `prove` also work on a copy of a data
//! directory, without a node and without its keys.

use super::conduct;
use super::context::{Context, Usage};
use super::fraud;
use super::log;
use super::lots;
use super::progress::Progress;
use super::show::Column;
use super::wording::{count, counted};
use crate::client::escape;
use crate::data::{self, DataDir};
use artel_audit::os::OsFiles;
use artel_audit::verify::{self, Outcome};
use artel_protocol::log::SignedCheckpoint;
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The directory that `audit rebuild` throws away.
const INDEX_DIR: &str = "index";
/// How much longer than other answers the node's word on a redo may take, in milliseconds: it waits for the run for a while.
const REDO_ANSWER_MS: u64 = 10_000;

/// Read the log, prove its entries, verify all of it.
#[derive(Subcommand, Debug)]
pub enum Audit {
    /// Show entries in their order, or the one that is named.
    Show(Filter),
    /// Verify a whole log: a data directory (or a copy of one) with the proofs of fraud in it, a node's log over HTTP, or one
    /// proof of fraud.
    Verify {
        /// A data directory, a node's URL, or a file with a proof of fraud.
        source: Option<String>,
    },
    /// Prove that an entry stands in the log: writes a C2SP .tlog-proof.
    Prove {
        /// The entry's index.
        index: u64,
        /// A copy of a data directory, to prove from without a node.
        dir: Option<PathBuf>,
        /// The file to write; stdout without it.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Run an accepted result again, in the node's own sandbox. Where two runs agree on another result, the log says so, and what the
    /// result brought its worker is taken back.
    Redo {
        /// The task.
        task: String,
    },
    /// Print the newest signed checkpoint (a C2SP signed note).
    Checkpoint,
    /// Throw the index of a stopped node away; its next start builds it again from the journal.
    Rebuild {
        /// The data directory, as for verify; --data names it as well.
        dir: Option<PathBuf>,
    },
}

/// Which entries to show.
#[derive(Args, Debug)]
pub struct Filter {
    /// The entry's index.
    index: Option<u64>,
    /// Only those of this kind, such as Granted or Verdict.
    #[arg(long)]
    kind: Option<String>,
    /// Only those about this agent.
    #[arg(long, value_name = "DID")]
    agent: Option<String>,
    /// Only those about this task.
    #[arg(long, value_name = "TASK")]
    task: Option<String>,
    /// Only those of this request.
    #[arg(long, value_name = "ID")]
    correlation: Option<String>,
    /// Where to go on, as the last page said.
    #[arg(long)]
    cursor: Option<String>,
    /// How many at most.
    #[arg(long, default_value_t = 50)]
    limit: u32,
}

#[derive(Deserialize)]
struct Redone {
    state: String,
}

#[derive(Deserialize)]
struct Proof {
    proof: String,
}

const COLUMNS: &[Column] = &[
    ("entry", "index"),
    ("at", "at"),
    ("kind", "kind"),
    ("public", "public"),
    ("request", "correlation_id"),
    ("fact", "fact"),
];

impl Audit {
    /// Does it.
    pub async fn run(self, context: &Context) -> anyhow::Result<()> {
        match self {
            Audit::Show(Filter { index: Some(index), .. }) => {
                let answer = context.client()?.get_text(&format!("/v1/audit/entries/{index}")).await?;
                context.show.fields(&answer, COLUMNS)
            }
            Audit::Show(filter) => {
                let answer = context.client()?.get_text(&filter.path()).await?;
                context.show.list(&answer, COLUMNS, "no such entries")
            }
            Audit::Verify { source: Some(url) }
                if url.starts_with("http://") || url.starts_with("https://") =>
            {
                verify_remote(context, &context.client_of(&url)?).await
            }
            Audit::Verify { source: Some(file) } if Path::new(&file).is_file() => {
                fraud::verify_file(context, Path::new(&file))
            }
            Audit::Verify { source: Some(dir) } => verify_directory(context, Path::new(&dir)).await,
            Audit::Verify { source: None } => match context.data() {
                Some(dir) => verify_directory(context, dir).await,
                None => verify_remote(context, &context.anonymous()?).await,
            },
            Audit::Prove { index, dir, out } => prove(context, index, dir, out).await,
            Audit::Redo { task } => redo(context, &task).await,
            Audit::Checkpoint => {
                let note = context.anonymous()?.get_text("/log/checkpoint").await?;
                let checkpoint = SignedCheckpoint::parse(&note)
                    .map_err(|e| anyhow::anyhow!("the node's checkpoint does not verify: {e}"))?;
                context.show.done(&checkpoint_json(&checkpoint), note.trim_end())
            }
            Audit::Rebuild { dir } => rebuild(context, &dir.unwrap_or_else(|| context.data_or_default())),
        }
    }
}

impl Filter {
    fn path(&self) -> String {
        let mut path = format!("/v1/audit/entries?limit={}", self.limit);
        let wanted = [
            ("kind", &self.kind),
            ("agent", &self.agent),
            ("task", &self.task),
            ("correlation", &self.correlation),
            ("cursor", &self.cursor),
        ];
        for (name, value) in wanted {
            path.push_str(&value.as_ref().map(|v| format!("&{name}={}", escape(v))).unwrap_or_default());
        }
        path
    }
}

async fn verify_remote(context: &Context, client: &crate::client::Client) -> anyhow::Result<()> {
    let report = log::verify(client, None, progress()).await?;
    let checkpoint = &report.checkpoint;
    let mut answer = checkpoint_json(checkpoint);
    answer["sound"] = json!(true);
    answer["public"] = json!(report.public);
    answer["tiles"] = json!(report.tiles);
    let text = format!(
        "sound: {} entries ({} public) and {} tiles lead to the root {}\nsigned by {} for {}",
        checkpoint.size(),
        report.public,
        report.tiles,
        checkpoint.root(),
        checkpoint.origin().node(),
        checkpoint.origin(),
    );
    context.show.done(&answer, &text)
}

async fn verify_directory(context: &Context, dir: &Path) -> anyhow::Result<()> {
    let report = directory_report(dir, progress()).await?;
    let (sound, damage) = match &report.outcome {
        Outcome::Sound => (true, None),
        Outcome::Damaged { file, what } => (false, Some((file.clone(), what.clone()))),
    };
    let mut answer = checkpoint_json(&report.checkpoint);
    answer["sound"] = json!(sound);
    answer["entries"] = json!(report.entries);
    answer["public"] = json!(report.public);
    answer["past_checkpoint"] = json!(report.past_checkpoint);
    answer["bodies_opened"] = json!(report.bodies_opened);
    answer["bodies_sealed"] = json!(report.bodies_sealed);
    answer["segments"] = json!(report.segments);
    answer["snapshots"] = json!(report.snapshots);
    answer["repairable"] = json!(report.repairable);
    answer["incomplete_end"] = json!(report.incomplete_end);
    answer["damage"] = json!(damage.as_ref().map(|(file, what)| json!({"file": file, "what": what})));
    let mut text = format!(
        "{} ({} public) in {}, {}; private bodies: {} opened, {} sealed\nroot of {}: {}\nsigned by {}",
        counted(report.entries, "entry", "entries"),
        count(report.public),
        counted(report.segments, "segment", "segments"),
        counted(report.snapshots, "snapshot", "snapshots"),
        count(report.bodies_opened),
        count(report.bodies_sealed),
        counted(report.checkpoint.size(), "entry", "entries"),
        report.checkpoint.root(),
        report.origin,
    );
    if report.past_checkpoint > 0 {
        text.push_str(&format!(
            "\n{} entries stand past the signed checkpoint; their check sums hold",
            report.past_checkpoint
        ));
    }
    for (file, what) in &report.repairable {
        text.push_str(&format!("\nthe next start repairs {file}: {what}"));
    }
    if report.incomplete_end {
        text.push_str(
            "\nan incomplete commit at the very end was never acknowledged; the next start cuts it",
        );
    }
    // What a log says is judged where its bytes are sound.
    let told = if sound { conduct_report(dir).await? } else { conduct::Found::default() };
    answer["illegal"] = told.json(&report.origin);
    answer["records"] = json!(told.records);
    for line in told.lines() {
        text.push_str(&format!("\n{line}"));
    }
    let lots = if sound { lots_report(dir).await? } else { lots::Found::default() };
    answer["lots"] = lots.json();
    for line in lots.lines() {
        text.push_str(&format!("\n{line}"));
    }
    let frauds = fraud::of_directory(dir)?;
    answer["frauds"] = json!(frauds.proven.iter().map(|proven| &proven.json).collect::<Vec<_>>());
    answer["bad_proofs"] = json!(frauds.bad);
    for proven in &frauds.proven {
        text.push_str(&format!("\n{}", proven.text));
    }
    context.show.done(&answer, &format!("{}{text}", if sound { "sound: " } else { "" }))?;
    let wrong_lot = lots.wrong_of(&report.origin);
    match damage {
        None if !told.own.is_empty() => {
            anyhow::bail!("{} is what was signed, but {}", dir.display(), told.lines()[0])
        }
        None if let Some(wrong) = wrong_lot => {
            anyhow::bail!("{} is what was signed, but {wrong}", dir.display())
        }
        None => frauds.refuse_bad(dir),
        Some((file, what)) => {
            anyhow::bail!("{} is damaged: {what}; put it back from a copy", dir.join(file).display())
        }
    }
}

/// Checks the lots in a directory's logs, off the threads that serve requests.
async fn lots_report(dir: &Path) -> anyhow::Result<lots::Found> {
    let files = Arc::new(OsFiles::new(dir));
    tokio::task::spawn_blocking(move || lots::of_directory(files)).await?
}

/// Judges what a directory's logs say, off the threads that serve requests.
async fn conduct_report(dir: &Path) -> anyhow::Result<conduct::Found> {
    let files = Arc::new(OsFiles::new(dir));
    tokio::task::spawn_blocking(move || conduct::of_directory(files)).await?
}

/// Verifies a directory off the threads that serve requests.
pub async fn directory_report(
    dir: &Path,
    mut progress: impl FnMut(u64) + Send + 'static,
) -> anyhow::Result<verify::Report> {
    if !dir.is_dir() {
        return Err(Usage(format!(
            "{} is no directory; name that of a node, or of a copy of one",
            dir.display()
        ))
        .into());
    }
    let (dir, shown) = (dir.to_owned(), dir.to_owned());
    let files = Arc::new(OsFiles::new(&dir));
    let verified = tokio::task::spawn_blocking(move || verify::directory_with(files, &mut progress)).await?;
    verified.map_err(|e| anyhow::anyhow!("{}: {e}", shown.display()))
}

/// Asks again until the run has come to something.
async fn redo(context: &Context, task: &str) -> anyhow::Result<()> {
    let (client, path) = (context.client()?, format!("/v1/tasks/{}/redo", escape(task)));
    loop {
        let answer = client.post(&path, &json!({}), REDO_ANSWER_MS).await?.unwrap_or_default();
        let Redone { state } = serde_json::from_str(&answer)?;
        let said = match state.as_str() {
            "running" => continue,
            "same" => "the run came to the result that was handed in",
            "refuted" => {
                "two runs agreed on another result: the log says so, and what it brought its worker was taken back"
            }
            _ => {
                "the run says nothing of the result: it cannot be run here, a limit ended it, or two runs differ"
            }
        };
        return context.show.done(&json!({"task_id": task, "state": state}), said);
    }
}

async fn prove(
    context: &Context,
    index: u64,
    dir: Option<PathBuf>,
    out: Option<PathBuf>,
) -> anyhow::Result<()> {
    let proof = match dir {
        Some(dir) => {
            let proven = tokio::task::spawn_blocking(move || {
                let reader = artel_audit::archive::open(Arc::new(OsFiles::new(&dir)))?;
                reader.tlog_proof(index).map(|proof| proof.to_string())
            });
            proven.await??
        }
        None => context.client()?.get::<Proof>(&format!("/v1/audit/proof/{index}")).await?.proof,
    };
    let Some(out) = out else {
        return context.show.done(&json!({"index": index, "proof": proof}), proof.trim_end());
    };
    std::fs::write(&out, &proof).map_err(|e| anyhow::anyhow!("cannot write {}: {e}", out.display()))?;
    context.show.done(
        &json!({"index": index, "file": out}),
        &format!("the proof of entry {index} is in {}", out.display()),
    )
}

fn rebuild(context: &Context, dir: &Path) -> anyhow::Result<()> {
    if !dir.join(artel_audit::JOURNAL_DIR).is_dir() {
        anyhow::bail!("{} is no data directory; name one with --data DIR", dir.display());
    }
    // Whoever holds the lock uses the index.
    let _held = match DataDir::open(dir) {
        Ok(held) => held,
        Err(data::Error::Locked(_)) => anyhow::bail!("a node runs on {}; stop it first", dir.display()),
        Err(error) => return Err(error.into()),
    };
    let index = dir.join(INDEX_DIR);
    match std::fs::remove_dir_all(&index) {
        Ok(()) => {}
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => anyhow::bail!("cannot remove {}: {e}", index.display()),
    }
    let next =
        format!("the index is gone; the next start builds it again: artel up --data {}", dir.display());
    context.show.done(&json!({"removed": index}), &next)
}

fn checkpoint_json(checkpoint: &SignedCheckpoint) -> serde_json::Value {
    json!({
        "origin": checkpoint.origin().to_string(),
        "node_id": checkpoint.origin().node().to_string(),
        "size": checkpoint.size(),
        "root": checkpoint.root().to_string(),
        "checkpoint": checkpoint.to_string(),
    })
}

/// Says on a terminal how many entries were read.
fn progress() -> impl FnMut(u64) + Send + 'static {
    let mut progress = Progress::new("entries read", None);
    move |entries| progress.update(entries, "")
}
