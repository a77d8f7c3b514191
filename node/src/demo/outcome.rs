//! What the demo says in the end: who did what, what each earned, and what was proven.

use super::job::{PAGE_FILE, REPORT_FILE, Watched};
use super::page::{count, counted, size};
use super::processes::Ready;
use super::proof::{Proven, Share};
use super::report::Report;
use super::worker::Merged;
use super::{Agent, Stage};
use crate::cli::context::Context;
use crate::cli::show::{self, table};
use artel_audit::verify::Report as DiskReport;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

/// What came of it.
pub struct Outcome {
    /// The directory.
    pub directory: PathBuf,
    /// The run.
    pub run: String,
    /// Its steps.
    pub tasks: usize,
    /// What was seen while it went on.
    pub watched: Watched,
    /// Who took part: name and did.
    pub cast: Vec<(String, String)>,
    /// The report.
    pub report: Report,
    /// What was left out, as parts of a sentence.
    pub left_out: Vec<String>,
    /// What the merge step handed in.
    pub merged: Merged,
    /// Where the report is.
    pub out: PathBuf,
    /// What was proven.
    pub proven: Proven,
    /// How long it took.
    pub took: Duration,
}

impl Outcome {
    /// Says it: one JSON object for programs, or a page of text.
    ///
    /// # Errors
    /// What stdout says.
    pub fn tell(&self, context: &Context, ready: &Ready, disk: Option<&DiskReport>) -> anyhow::Result<()> {
        if context.show.json {
            return show::line(&self.json(ready, disk)?.to_string());
        }
        show::line(&self.text(disk)?)
    }

    fn json(&self, ready: &Ready, disk: Option<&DiskReport>) -> anyhow::Result<Value> {
        let log = &self.proven.log;
        let disk = disk.map(|disk| {
            json!({
                "sound": true,
                "entries": disk.entries,
                "root": disk.checkpoint.root().to_string(),
                "bodies_opened": disk.bodies_opened,
                "past_checkpoint": disk.past_checkpoint,
            })
        });
        Ok(json!({
            "ok": true,
            "directory": self.directory,
            "run_id": self.run,
            "tasks": self.tasks,
            "seconds": self.took.as_secs_f64(),
            "node": {"peer_id": ready.peer_id, "federation_id": ready.federation_id, "http_url": ready.http_url, "data_dir": ready.data_dir},
            "agents": self.agents()?,
            "killed": self.watched.killed,
            "report": {
                "html": self.out.join(PAGE_FILE),
                "json": self.out.join(REPORT_FILE),
                "html_digest": self.merged.page,
                "json_digest": self.merged.report,
                "files": self.report.files,
                "lines": self.report.lines,
                "bytes": self.report.bytes,
                "languages": self.report.languages.len(),
                "duplicate_groups": self.report.duplicate_groups,
                "secrets": self.secrets(),
                "left_out": self.report.left_out,
            },
            "receipts": {"verified": self.proven.receipts, "of": self.tasks},
            "log": {
                "sound": true,
                "origin": self.proven.origin.to_string(),
                "size": log.checkpoint.size(),
                "root": log.checkpoint.root().to_string(),
                "public": log.public,
                "on_disk": disk,
            },
        }))
    }

    fn text(&self, disk: Option<&DiskReport>) -> anyhow::Result<String> {
        let report = &self.report;
        let log = &self.proven.log;
        let mut text = format!(
            "{} ({}) of {} in {} tasks, {}.{} s\n\n{}\n",
            counted(report.files, "file", "files"),
            size(report.bytes),
            show::plain(&self.directory.display().to_string()),
            self.tasks,
            self.took.as_secs(),
            self.took.subsec_millis() / 100,
            table(
                &self.agents()?,
                &[
                    ("agent", "name"),
                    ("tasks", "tasks"),
                    ("lapsed", "lapsed"),
                    ("earned", "earned"),
                    ("did", "agent_id")
                ]
            ),
        );
        if let Some(killed) = self.watched.killed {
            text.push_str(&format!("{killed} was killed in the middle; another agent took its task.\n\n"));
        }
        text.push_str(&format!(
            "report    {} (and {REPORT_FILE} beside it)\n          {} in {}, {}, {}\n",
            show::plain(&self.out.join(PAGE_FILE).display().to_string()),
            counted(report.lines, "line", "lines"),
            counted(report.languages.len() as u64, "language", "languages"),
            counted(report.duplicate_groups, "group of duplicates", "groups of duplicates"),
            counted(self.secrets(), "possible secret", "possible secrets"),
        ));
        if !self.left_out.is_empty() {
            text.push_str(&format!("          left out: {}\n", self.left_out.join(", ")));
        }
        text.push_str(&format!(
            "receipts  {} of {} verified; what was paid is what the ledger says\n",
            self.proven.receipts, self.tasks
        ));
        text.push_str(&format!(
            "log       verified over HTTP: {} entries lead to the signed root {}\n",
            count(log.checkpoint.size()),
            log.checkpoint.root()
        ));
        if let Some(disk) = disk {
            text.push_str(&format!(
                "          verified on disk: {} entries, {} private bodies opened, root {}\n",
                count(disk.entries),
                count(disk.bodies_opened),
                disk.checkpoint.root()
            ));
        }
        text.pop();
        Ok(text)
    }

    fn secrets(&self) -> u64 {
        self.report.secrets.len() as u64 + self.report.secrets_left_out
    }

    fn agents(&self) -> anyhow::Result<Vec<Value>> {
        let mut agents = Vec::new();
        for (name, did) in &self.cast {
            let share =
                self.proven.shares.iter().find(|(id, _)| id.to_string() == *did).map(|(_, share)| *share);
            let Share { tasks, earned } = share.unwrap_or_default();
            let earned: Value = serde_json::from_str(&earned.decimal())?;
            let lapsed = self.watched.lapses.get(did).copied().unwrap_or(0);
            agents.push(
                json!({"name": name, "agent_id": did, "tasks": tasks, "lapsed": lapsed, "earned": earned}),
            );
        }
        Ok(agents)
    }
}

/// Who takes part.
pub fn cast(stage: &Stage) -> Vec<(String, String)> {
    stage.agents.iter().map(|Agent { name, id, .. }| ((*name).to_owned(), id.to_string())).collect()
}
