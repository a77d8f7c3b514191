//! `artel run`: runs of several steps.

use super::context::{Context, Usage};
use super::live::{self, Watched};
use super::show::{self, Column};
use super::{input, task, watch};
use crate::client::escape;
use artel_protocol::id::RunId;
use clap::Subcommand;
use serde_json::{Value, json};

/// Start runs of several steps, follow and cancel them.
#[derive(Subcommand, Debug)]
pub enum Run {
    /// Start a run from JSON as POST /v1/runs takes it.
    Start {
        /// The file; - is stdin.
        file: String,
        /// A key under which starting again has no second effect.
        #[arg(long, value_name = "KEY")]
        idempotency_key: Option<String>,
    },
    /// List runs.
    List {
        /// created, running, completed, failed or cancelled.
        #[arg(long)]
        status: Option<String>,
        /// Where to go on, as the last page said.
        #[arg(long)]
        cursor: Option<String>,
        /// Keep the list up to date until Ctrl-C; where it does not go to a terminal, a line for each change.
        #[arg(long)]
        watch: bool,
    },
    /// Show a run and its steps.
    Show {
        /// The run.
        id: String,
    },
    /// Follow a run until it is over; fails unless it was completed.
    Watch {
        /// The run.
        id: String,
    },
    /// Cancel a run.
    Cancel {
        /// The run.
        id: String,
    },
}

const SHOWN: &[Column] = &[
    ("run", "run_id"),
    ("name", "name"),
    ("status", "status"),
    ("by", "actor"),
    ("steps", "progress.steps"),
    ("done", "progress.completed"),
    ("running", "progress.running"),
    ("created", "created_at"),
    ("started", "started_at"),
    ("completed", "completed_at"),
    ("error", "error.message"),
];

const STEPS: &[Column] = &[
    ("step", "step_id"),
    ("name", "name"),
    ("status", "status"),
    ("needs", "needs"),
    ("error", "error.message"),
];

impl Run {
    /// Does it.
    pub async fn run(self, context: &Context) -> anyhow::Result<()> {
        let client = context.client()?;
        match self {
            Run::Start { file, idempotency_key } => {
                let key = idempotency_key.unwrap_or_else(input::fresh_key);
                let answer = client.post_once("/v1/runs", &input::json_file("the run", &file)?, &key).await?;
                context.show.fields(&answer, SHOWN)
            }
            Run::List { status, cursor, watch } => {
                let mut path = "/v1/runs?limit=50".to_owned();
                for (name, value) in [("status", status), ("cursor", cursor)] {
                    path.push_str(&value.map(|v| format!("&{name}={}", escape(&v))).unwrap_or_default());
                }
                if watch {
                    let (columns, none) = (&SHOWN[..7], "no such runs now");
                    return live::watch(context, Watched { path, columns, key: "run_id", none }).await;
                }
                let answer = client.get_text(&path).await?;
                context.show.list(&answer, &SHOWN[..7], "no such runs; start one with: artel run start FILE")
            }
            Run::Show { id } => {
                let path = path(&id, "")?;
                let run = client.get_text(&path).await?;
                let steps: Vec<Value> = client.get_all(&format!("{path}/steps"), usize::MAX).await?;
                if context.show.json {
                    return show::line(&format!("{{\"run\":{run},\"steps\":{}}}", Value::Array(steps)));
                }
                context.show.fields(&run, SHOWN)?;
                show::line(&format!("\n{}", show::table(&steps, STEPS).trim_end()))
            }
            Run::Watch { id } => {
                let answer = watch::follow(context, &id, None, &path(&id, "")?, None).await?;
                context.show.fields(&answer, SHOWN)?;
                task::ended_well(&answer, "completed", "see why with: artel run show ID")
            }
            Run::Cancel { id } => {
                let answer = client.post(&path(&id, "/cancel")?, &json!({}), 0).await?.unwrap_or_default();
                context.show.fields(&answer, SHOWN)
            }
        }
    }
}

fn path(id: &str, rest: &str) -> Result<String, Usage> {
    let id = RunId::parse(id).map_err(|e| Usage(format!("{id}: {e}; list runs with: artel run list")))?;
    Ok(format!("/v1/runs/{id}{rest}"))
}
