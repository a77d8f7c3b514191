//! What the demo says in the end: who did what and where, what each earned, how each node sees them, what went between the
//! nodes, and what was proven.

use super::follow::Watched;
use super::job::{PAGE_FILE, REPORT_FILE};
use super::proof::{Proven, Seen, Share};
use super::report::Report;
use super::stage::{Member, NODES};
use super::worker::Merged;
use crate::cli::context::Context;
use crate::cli::live;
use crate::cli::paint::Paint;
use crate::cli::show::{self, Column, list, table, widest};
use crate::cli::wording::{count, counted, size};
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
    /// Who took part.
    pub cast: Vec<Member>,
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

/// How each node's score of an agent stands in the table.
const SCORES: [Column; NODES.len()] = [
    ("by home", "reputations.home.final_score"),
    ("by node-2", "reputations.node-2.final_score"),
    ("by node-3", "reputations.node-3.final_score"),
    ("by node-4", "reputations.node-4.final_score"),
    ("by node-5", "reputations.node-5.final_score"),
    ("by node-6", "reputations.node-6.final_score"),
    ("by node-7", "reputations.node-7.final_score"),
    ("by node-8", "reputations.node-8.final_score"),
];
/// What went through a node's mesh, in and out, by protocol.
const TRAFFIC: [Column; 7] = [
    ("in / out", "name"),
    ("hello", "hello"),
    ("direct", "direct"),
    ("blob", "blob"),
    ("gossip", "gossip"),
    ("sync", "sync"),
    ("all over tcp", "tcp"),
];

impl Outcome {
    /// Says it: one JSON object for programs, or a page of text. `disks` are the nodes' directories, verified after their end.
    ///
    /// # Errors
    /// What stdout says.
    pub fn tell(&self, context: &Context, disks: &[DiskReport]) -> anyhow::Result<()> {
        if context.show.json {
            return show::line(&self.json(disks)?.to_string());
        }
        show::line(&self.text(disks)?)
    }

    fn json(&self, disks: &[DiskReport]) -> anyhow::Result<Value> {
        let nodes: Vec<Value> = self
            .proven
            .nodes
            .iter()
            .enumerate()
            .map(|(at, node)| {
                json!({
                    "name": node.name,
                    "peer_id": node.peer_id,
                    "federation_id": node.federation_id,
                    "http_url": node.http_url,
                    "data_dir": node.data_dir,
                    "killed": self.watched.killed_node == Some(node.name),
                    "log": log_json(node, disks.get(at)),
                    "traffic": node.answers.as_ref().map(|answers| &answers.traffic),
                })
            })
            .collect();
        let home = &self.proven.nodes[0];
        Ok(json!({
            "ok": true,
            "directory": self.directory,
            "run_id": self.run,
            "tasks": self.tasks,
            "seconds": self.took.as_secs_f64(),
            "node": {"peer_id": home.peer_id, "federation_id": home.federation_id, "http_url": home.http_url, "data_dir": home.data_dir},
            "nodes": nodes,
            "agents": self.agents()?,
            "killed": self.watched.killed,
            "killed_node": self.watched.killed_node,
            "home_restarted": self.watched.home_restarted,
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
            "receipts": {
                "verified": self.proven.receipts,
                "of": self.tasks,
                "of_other_nodes": self.proven.elsewhere,
                "with_their_record": self.proven.paired,
            },
            "log": log_json(home, disks.first()),
        }))
    }

    fn text(&self, disks: &[DiskReport]) -> anyhow::Result<String> {
        let (width, _) = live::size();
        let mut text = format!(
            "{} ({}) of {} in {} tasks, {}.{} s\n\n",
            counted(self.report.files, "file", "files"),
            size(self.report.bytes),
            show::plain(&self.directory.display().to_string()),
            self.tasks,
            self.took.as_secs(),
            self.took.subsec_millis() / 100,
        );
        let mut columns: Vec<Column> = vec![
            ("agent", "name"),
            ("at", "node"),
            ("tasks", "tasks"),
            ("lapsed", "lapsed"),
            ("earned", "earned"),
        ];
        columns.extend(&SCORES[..self.proven.nodes.len()]);
        columns.push(("did", "agent_id"));
        let agents = self.agents()?;
        // Who is who matters less than one line an agent.
        if widest(&table(&agents, &columns)) > width {
            columns.pop();
        }
        text.push_str(&table(&agents, &columns));
        text.push('\n');
        if let Some(killed) = self.watched.killed {
            text.push_str(&format!("{killed} was killed in the middle; another agent took its task.\n\n"));
        }
        if let Some(killed) = self.watched.killed_node {
            text.push_str(&format!(
                "{killed} was killed in the middle with its agents; others took their tasks.\n\n"
            ));
        }
        if self.watched.home_restarted {
            text.push_str("The home was killed in the middle and started again where it was.\n\n");
        }
        let traffic: Vec<Value> = self.proven.nodes.iter().filter_map(traffic).collect();
        if traffic.len() > 1 {
            text.push_str(&format!("{}\n", list(&traffic, &TRAFFIC, Paint::PLAIN, width)));
        }
        self.write_report(&mut text);
        self.write_proofs(&mut text, disks);
        text.pop();
        Ok(text)
    }

    fn write_report(&self, text: &mut String) {
        let report = &self.report;
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
    }

    fn write_proofs(&self, text: &mut String, disks: &[DiskReport]) {
        let Proven { receipts, elsewhere, paired, nodes, .. } = &self.proven;
        text.push_str(&format!(
            "receipts  {receipts} of {} verified; what was paid is what the ledger says\n",
            self.tasks
        ));
        if *elsewhere > 0 {
            text.push_str(&format!(
                "          {paired} of {elsewhere} of other nodes' agents with the record of the worker's node\n"
            ));
        }
        if paired < elsewhere {
            text.push_str("          the others' node was killed before it told of them\n");
        }
        for (at, node) in nodes.iter().enumerate() {
            let heading = if at == 0 { "logs" } else { "" };
            let over_http = match &node.answers {
                Some(answers) => {
                    let checkpoint = &answers.log.checkpoint;
                    format!("{} entries over HTTP, root {}", count(checkpoint.size()), checkpoint.root())
                }
                None => "killed".to_owned(),
            };
            text.push_str(&format!("{heading:10}{}: {over_http}\n", node.name));
            if let Some(disk) = disks.get(at) {
                text.push_str(&format!(
                    "{:10}{} entries on disk, {} private bodies opened, root {}\n",
                    "",
                    count(disk.entries),
                    count(disk.bodies_opened),
                    disk.checkpoint.root()
                ));
            }
        }
    }

    fn secrets(&self) -> u64 {
        self.report.secrets.len() as u64 + self.report.secrets_left_out
    }

    fn agents(&self) -> anyhow::Result<Vec<Value>> {
        let mut agents = Vec::new();
        for Member { name, did, node } in &self.cast {
            let share =
                self.proven.shares.iter().find(|(id, _)| id.to_string() == *did).map(|(_, share)| *share);
            let Share { tasks, earned } = share.unwrap_or_default();
            let earned: Value = serde_json::from_str(&earned.decimal())?;
            let lapsed = self.watched.lapses.get(did).copied().unwrap_or(0);
            let said = self.proven.nodes.iter().filter_map(|node| {
                let reputation = node.answers.as_ref()?.reputations.get(did)?;
                Some((node.name.to_owned(), reputation.clone()))
            });
            let reputations: serde_json::Map<String, Value> = said.collect();
            agents.push(json!({
                "name": name,
                "agent_id": did,
                "node": node,
                "tasks": tasks,
                "lapsed": lapsed,
                "earned": earned,
                "reputations": reputations,
            }));
        }
        Ok(agents)
    }
}

/// A node's log: over HTTP where it ran at the end, and on disk where it has ended since.
fn log_json(node: &Seen, disk: Option<&DiskReport>) -> Value {
    let disk = disk.map(|disk| {
        json!({
            "sound": true,
            "entries": disk.entries,
            "root": disk.checkpoint.root().to_string(),
            "bodies_opened": disk.bodies_opened,
            "past_checkpoint": disk.past_checkpoint,
        })
    });
    let Some(answers) = &node.answers else { return json!({"sound": null, "on_disk": disk}) };
    let log = &answers.log;
    json!({
        "sound": true,
        "origin": answers.origin.to_string(),
        "size": log.checkpoint.size(),
        "root": log.checkpoint.root().to_string(),
        "public": log.public,
        "on_disk": disk,
    })
}

/// A row of the table of traffic; none for a node that was killed.
fn traffic(node: &Seen) -> Option<Value> {
    let traffic = &node.answers.as_ref()?.traffic;
    let both = |bytes: &Value| {
        let size = |name: &str| size(bytes[name].as_u64().unwrap_or_default());
        format!("{} / {}", size("received"), size("sent"))
    };
    let mut row = json!({"name": node.name, "tcp": both(&traffic["tcp"])});
    for (lane, bytes) in traffic["lanes"].as_object()? {
        row[lane] = both(bytes).into();
    }
    Some(row)
}
