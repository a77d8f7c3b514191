//! The demo's merging worker: reads a step as JSON on stdin, writes its result as JSON on stdout, stores artifacts over HTTP
//! with its agent's token. It is what any command behind `artel work --exec` is.

use super::files::LeftOut;
use super::page;
use super::report;
use super::survey::Survey;
use crate::cli::artifact;
use crate::cli::context::TOKEN_VARIABLE;
use crate::cli::show;
use crate::client::Client;
use artel_protocol::id::StepId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Read as _;

/// The kind under which the report is stored.
pub const REPORT_KIND: &str = "report";

/// What the merging step asks for.
#[derive(Debug, Serialize, Deserialize)]
pub struct Input {
    /// The report's title.
    pub title: String,
    /// What no chunk holds.
    pub left_out: LeftOut,
}

#[derive(Deserialize)]
struct Step {
    task_id: String,
    input: Input,
    #[serde(default)]
    needs: BTreeMap<String, Survey>,
}

/// What the merge step hands in; the report itself is in the artifacts.
#[derive(Debug, Serialize, Deserialize)]
pub struct Merged {
    /// Digest of the report as JSON.
    pub report: String,
    /// Digest of the report as a page.
    pub page: String,
    /// Both, so that they are handed in as artifacts.
    pub artifacts: Vec<String>,
    /// Files surveyed.
    pub files: u64,
    /// Lines.
    pub lines: u64,
    /// Bytes.
    pub bytes: u64,
    /// Languages.
    pub languages: u64,
    /// Groups of duplicates.
    pub duplicate_groups: u64,
    /// Strings that look like secrets.
    pub secrets: u64,
}

/// Does one step.
///
/// # Errors
/// What stdin or the node is wrong in.
pub async fn run() -> anyhow::Result<()> {
    let mut text = String::new();
    std::io::stdin().lock().take(crate::client::ANSWER_BYTES_MAX as u64).read_to_string(&mut text)?;
    let step: Step =
        serde_json::from_str(&text).map_err(|e| anyhow::anyhow!("the step is not one of the demo's: {e}"))?;
    drop(text);
    let of = StepId::parse(&step.task_id)?;
    let client = client()?;
    let Input { title, left_out } = step.input;
    let report = report::merge(&title, step.needs.into_values(), left_out);
    let json = serde_json::to_vec_pretty(&report)?;
    let html = page::render(&report).into_bytes();
    let put = async |name, media_type, bytes| {
        let digest = artifact::put(&client, name, REPORT_KIND, media_type, bytes, Some(of)).await?;
        anyhow::Ok(digest.to_string())
    };
    let json = put("report.json", "application/json", json).await?;
    let html = put("report.html", "text/html; charset=utf-8", html).await?;
    let merged = Merged {
        artifacts: vec![json.clone(), html.clone()],
        report: json,
        page: html,
        files: report.files,
        lines: report.lines,
        bytes: report.bytes,
        languages: report.languages.len() as u64,
        duplicate_groups: report.duplicate_groups,
        secrets: report.secrets.len() as u64 + report.secrets_left_out,
    };
    show::line(&serde_json::to_string(&merged)?)
}

fn client() -> anyhow::Result<Client> {
    let variable = |name: &str| {
        std::env::var(name)
            .map_err(|_| anyhow::anyhow!("{name} is not set; this runs under: artel work --exec"))
    };
    Ok(Client::new(&variable("ARTEL_NODE")?, None)?.with_token(&variable(TOKEN_VARIABLE)?))
}
