//! `artel task`: posting tasks and doing them by hand.

use super::context::{Context, Usage};
use super::live::{self, Watched};
use super::show::{self, Column};
use super::{input, watch};
use crate::client::escape;
use artel_protocol::amount::Credits;
use artel_protocol::id::{Digest, StepId};
use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

/// Post tasks, look at them, claim and submit them by hand.
#[derive(Subcommand, Debug)]
pub enum Task {
    /// Post a task.
    Post(Post),
    /// List tasks; those that are open to claims unless --status says otherwise.
    List(List),
    /// List what other homes offer, as far as this node has heard.
    Offers {
        /// Only those that ask for this skill.
        #[arg(long, value_name = "SKILL")]
        capability: Option<String>,
        /// Where to go on, as the last page said.
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Show a task with its submissions.
    Show {
        /// The task.
        id: String,
    },
    /// Claim a task as an agent: the one named, or the best one, waiting for it where asked.
    Claim {
        /// The task; without it the best one that the agent qualifies for.
        id: Option<String>,
        /// For how many seconds to wait for a task.
        #[arg(long, default_value_t = 0, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(0..=30))]
        wait: u32,
    },
    /// Hand in a result under a lease.
    Submit(Submit),
    /// Follow a task until it is over; fails unless it was accepted.
    Watch {
        /// The task.
        id: String,
    },
    /// Cancel a task.
    Cancel {
        /// The task.
        id: String,
    },
}

/// A task to post.
#[derive(Args, Debug)]
pub struct Post {
    /// A line for people; needed where no --file is given.
    #[arg(long, required_unless_present = "file")]
    title: Option<String>,
    /// What is to be done.
    #[arg(long, default_value = "")]
    description: String,
    /// A skill that the agent must have; may be given more than once.
    #[arg(long = "capability", value_name = "SKILL")]
    capabilities: Vec<String>,
    /// The least level: novice, intermediate, expert or master.
    #[arg(long)]
    level: Option<String>,
    /// The base reward in credits.
    #[arg(long, default_value = "0", value_name = "CREDITS", value_parser = credits, allow_negative_numbers = true)]
    reward: Credits,
    /// simple, medium, complex or premium.
    #[arg(long, default_value = "simple")]
    complexity: String,
    /// When it should be done, as 2026-02-20T12:00:00Z.
    #[arg(long, value_name = "TIME")]
    deadline: Option<String>,
    /// The input: JSON, @FILE or - for stdin.
    #[arg(long, default_value = "{}", value_name = "JSON")]
    input: String,
    /// A JSON Schema that the output must meet: JSON or @FILE.
    #[arg(long, value_name = "JSON")]
    schema: Option<String>,
    /// The whole task as the API takes it, from a file or - for stdin, instead of all of the above.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["title", "description", "capabilities", "level", "deadline", "schema"])]
    file: Option<String>,
    /// A key under which posting again has no second effect.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Follow it until it is over; fails unless it was accepted.
    #[arg(long)]
    watch: bool,
}

/// Which tasks to list.
#[derive(Args, Debug)]
pub struct List {
    /// created, available, claimed, submitted, accepted, failed, cancelled or any.
    #[arg(long)]
    status: Option<String>,
    /// Only those that ask for this skill.
    #[arg(long, value_name = "SKILL")]
    capability: Option<String>,
    /// Only those of this run.
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    /// Where to go on, as the last page said.
    #[arg(long)]
    cursor: Option<String>,
    /// How many at most.
    #[arg(long, default_value_t = 50)]
    limit: u32,
    /// Keep the list up to date until Ctrl-C; where it does not go to a terminal, a line for each change.
    #[arg(long)]
    watch: bool,
}

/// A result.
#[derive(Args, Debug)]
pub struct Submit {
    /// The task.
    id: String,
    /// The lease's epoch, as the claim said.
    #[arg(long)]
    epoch: u32,
    /// The output: JSON, @FILE or - for stdin.
    #[arg(long, value_name = "JSON")]
    output: String,
    /// The digest of an artifact that belongs to it; may be given more than once.
    #[arg(long = "artifact", value_name = "DIGEST", value_parser = digest)]
    artifacts: Vec<Digest>,
}

#[derive(Serialize)]
struct PostBody<'a> {
    title: &'a str,
    description: &'a str,
    requirements: serde_json::Value,
    reward: Box<RawValue>,
    complexity: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline: Option<&'a str>,
    input: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_schema: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Posted {
    task_id: String,
}

#[derive(Serialize)]
struct SubmitBody {
    epoch: u32,
    output: Box<RawValue>,
    artifacts: Vec<String>,
}

const LISTED: &[Column] = &[
    ("task", "task_id"),
    ("status", "status"),
    ("title", "title"),
    ("reward", "reward"),
    ("complexity", "complexity"),
    ("agent", "assigned_agent_id"),
];

const OFFERED: &[Column] = &[
    ("task", "task_id"),
    ("home", "home"),
    ("skills", "requirements.capabilities"),
    ("level", "requirements.level"),
    ("complexity", "complexity"),
    ("reward", "reward"),
    ("deadline", "deadline"),
    ("heard", "heard_at"),
];

const SHOWN: &[Column] = &[
    ("task", "task_id"),
    ("run", "run_id"),
    ("step", "name"),
    ("title", "title"),
    ("description", "description"),
    ("skills", "requirements.capabilities"),
    ("complexity", "complexity"),
    ("reward", "reward"),
    ("deadline", "deadline"),
    ("status", "status"),
    ("posted by", "posted_by"),
    ("agent", "assigned_agent_id"),
    ("epoch", "epoch"),
    ("rejected", "attempts"),
    ("lapsed", "lapses"),
    ("paid", "paid"),
    ("input", "input"),
    ("output", "output"),
];

fn credits(text: &str) -> Result<Credits, String> {
    Credits::parse(text).map_err(|e| e.to_string())
}

fn digest(text: &str) -> Result<Digest, String> {
    Digest::parse(text).map_err(|e| e.to_string())
}

impl Task {
    /// Does it.
    pub async fn run(self, context: &Context) -> anyhow::Result<()> {
        match self {
            Task::Post(post) => {
                let client = context.client()?;
                // What a key of the caller's own stands for may have been posted long ago.
                let is_new = post.idempotency_key.is_none();
                let key = post.idempotency_key.clone().unwrap_or_else(input::fresh_key);
                let body = post.body()?;
                let after = if post.watch && is_new { watch::now(&client).await? } else { None };
                let answer = client.post_once("/v1/tasks", &body, &key).await?;
                if post.watch {
                    let posted: Posted = client.read(&answer)?;
                    show::note(&format!("posted {}", show::plain(&posted.task_id)));
                    return follow(context, &posted.task_id, after).await;
                }
                context.show.fields(&answer, SHOWN)
            }
            Task::List(list) if list.watch => {
                let (path, none) = (list.path(), "no such tasks now");
                live::watch(context, Watched { path, columns: LISTED, key: "task_id", none }).await
            }
            Task::List(list) => {
                let answer = context.client()?.get_text(&list.path()).await?;
                context.show.list(
                    &answer,
                    LISTED,
                    "no such tasks; post one with: artel task post --title TITLE",
                )
            }
            Task::Offers { capability, cursor } => {
                let mut path = "/v1/offers?limit=50".to_owned();
                for (name, value) in [("capability", capability), ("cursor", cursor)] {
                    path.push_str(&value.map(|v| format!("&{name}={}", escape(&v))).unwrap_or_default());
                }
                let none = "no offers of other homes were heard; see who is connected with: artel peers";
                context.show.list(&context.client()?.get_text(&path).await?, OFFERED, none)
            }
            Task::Show { id } => {
                let answer = context.client()?.get_text(&path(&id, "")?).await?;
                context.show.answer(&answer, |task| {
                    let mut text = super::show::fields(task, SHOWN);
                    for submission in task["submissions"].as_array().into_iter().flatten() {
                        text.push_str(&format!("\n{}", super::show::fields(submission, SUBMISSION)));
                    }
                    text
                })
            }
            Task::Claim { id, wait } => claim(context, id, wait).await,
            Task::Submit(submit) => {
                let path = path(&submit.id, "/submit")?;
                let body = SubmitBody {
                    epoch: submit.epoch,
                    output: input::json("the output", &submit.output)?,
                    artifacts: submit.artifacts.iter().map(Digest::to_string).collect(),
                };
                let answer = context.client()?.post(&path, &body, 0).await?.unwrap_or_default();
                context.show.fields(
                    &answer,
                    &[
                        ("task", "acknowledgement.task_id"),
                        ("epoch", "acknowledgement.epoch"),
                        ("output", "acknowledgement.output_digest"),
                        ("entry", "acknowledgement.entry"),
                        ("accepted", "receipt.accepted"),
                        ("quality", "receipt.quality_score"),
                        ("paid", "receipt.paid"),
                        ("check", "receipt.check"),
                        ("findings", "receipt.findings"),
                    ],
                )
            }
            Task::Watch { id } => follow(context, &id, None).await,
            Task::Cancel { id } => {
                let answer =
                    context.client()?.post(&path(&id, "/cancel")?, &json!({}), 0).await?.unwrap_or_default();
                context.show.fields(&answer, SHOWN)
            }
        }
    }
}

const SUBMISSION: &[Column] = &[
    ("submission", "epoch"),
    ("by", "agent_id"),
    ("at", "submitted_at"),
    ("output", "output_digest"),
    ("accepted", "verdict.accepted"),
    ("quality", "verdict.quality_score"),
    ("check", "verdict.check"),
    ("findings", "verdict.findings"),
    ("paid", "verdict.paid"),
];

/// Follows a task until it is over; fails unless it was accepted.
async fn follow(context: &Context, id: &str, after: Option<String>) -> anyhow::Result<()> {
    let path = path(id, "")?;
    let run = StepId::parse(id).map_err(|e| Usage(format!("{id}: {e}")))?.run().to_string();
    let answer = watch::follow(context, &run, Some(id), &path, after).await?;
    context.show.fields(&answer, SHOWN)?;
    ended_well(&answer, "accepted", &format!("see why with: artel task show {id}"))
}

/// Fails unless what ended has this status.
pub fn ended_well(answer: &str, wanted: &str, next: &str) -> anyhow::Result<()> {
    let value: serde_json::Value = serde_json::from_str(answer)?;
    match value["status"].as_str() {
        Some(status) if status == wanted => Ok(()),
        status => {
            anyhow::bail!("it ended as {}; {next}", super::show::plain(status.unwrap_or("nothing known")))
        }
    }
}

async fn claim(context: &Context, id: Option<String>, wait: u32) -> anyhow::Result<()> {
    let wait_ms = wait * 1_000;
    let path = match &id {
        Some(id) => path(id, "/claim")?,
        None => "/v1/tasks/claim".into(),
    };
    let answer = context.client()?.post(&path, &json!({"wait_ms": wait_ms}), wait_ms.into()).await?;
    let Some(answer) = answer else {
        anyhow::bail!("there is no task for this agent now; wait for one with --wait 30");
    };
    context.show.fields(
        &answer,
        &[
            ("task", "task_id"),
            ("epoch", "epoch"),
            ("lease until", "expires_at"),
            ("title", "title"),
            ("description", "description"),
            ("reward", "reward"),
            ("input", "input"),
            ("inputs of the run", "inputs"),
            ("needs", "needs"),
            ("artifacts", "artifacts"),
        ],
    )
}

impl Post {
    fn body(&self) -> anyhow::Result<Box<RawValue>> {
        if let Some(file) = &self.file {
            return input::json_file("the task", file);
        }
        let mut requirements = json!({"capabilities": self.capabilities});
        if let Some(level) = &self.level {
            requirements["level"] = json!(level);
        }
        let body = PostBody {
            title: self.title.as_deref().unwrap_or_default(),
            description: &self.description,
            requirements,
            reward: RawValue::from_string(self.reward.decimal())?,
            complexity: &self.complexity,
            deadline: self.deadline.as_deref(),
            input: input::json("the input", &self.input)?,
            output_schema: self.schema.as_deref().map(|s| input::json("the schema", s)).transpose()?,
        };
        Ok(serde_json::value::to_raw_value(&body)?)
    }
}

impl List {
    fn path(&self) -> String {
        let mut path = format!("/v1/tasks?limit={}", self.limit);
        let wanted = [
            ("status", &self.status),
            ("capability", &self.capability),
            ("run_id", &self.run),
            ("cursor", &self.cursor),
        ];
        for (name, value) in wanted {
            path.push_str(&value.as_ref().map(|v| format!("&{name}={}", escape(v))).unwrap_or_default());
        }
        path
    }
}

fn path(id: &str, rest: &str) -> Result<String, Usage> {
    let id = StepId::parse(id)
        .map_err(|e| Usage(format!("{id}: {e}; list tasks with: artel task list --status any")))?;
    Ok(format!("/v1/tasks/{id}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::super::Cli;
    use super::*;
    use clap::Parser as _;

    fn post(line: &[&str]) -> Post {
        let cli = Cli::try_parse_from(["artel", "task", "post"].iter().chain(line)).expect("parses");
        match cli.verb {
            super::super::Verb::Task(Task::Post(post)) => post,
            other => panic!("not a post: {other:?}"),
        }
    }

    #[test]
    fn a_reward_reaches_the_node_digit_by_digit() {
        let body = post(&["--title", "t", "--reward", "999999999.999999", "--input", "{\"n\": 1.10}"])
            .body()
            .expect("a body");
        assert!(body.get().contains("\"reward\":999999999.999999"), "{body}");
        assert!(body.get().contains("{\"n\": 1.10}"), "{body}");
    }

    #[test]
    fn ids_are_checked_before_anything_is_sent() {
        assert!(path("nonsense", "").is_err());
        assert_eq!(
            path("01981f5e-0000-7000-8000-000000000001", "/claim").ok().as_deref(),
            Some("/v1/tasks/01981f5e-0000-7000-8000-000000000001/claim")
        );
    }
}
