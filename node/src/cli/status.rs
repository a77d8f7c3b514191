//! `artel status`: whether a node is well, who it is, how long its log is.

use super::context::{Context, Usage};
use super::live::{self, Watched};
use super::show::{self, Column};
use crate::client::{Client, Error};
use artel_protocol::log::SignedCheckpoint;
use clap::Args;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long to wait before a node that does not answer yet is asked again.
const AGAIN: Duration = Duration::from_millis(100);

/// After how long it is said that there is no answer yet.
const SOON: Duration = Duration::from_secs(2);

/// Say whether the node is well and how long its log is.
#[derive(Args, Debug)]
pub struct Status {
    /// Keep it up to date until Ctrl-C; where it does not go to a terminal, a line for each change.
    #[arg(long)]
    watch: bool,
    /// Wait until the node answers, for so many seconds at the most.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "30", conflicts_with = "watch")]
    wait: Option<u32>,
}

/// What changes for a reason; the time that it is up does always.
const WATCHED: &[Column] = &[
    ("health", "health.status"),
    ("version", "health.version"),
    ("log entries", "log.size"),
    ("log root", "log.root"),
    ("url", "url"),
];

const SHOWN: &[Column] = &[
    ("url", "url"),
    ("health", "health.status"),
    ("version", "health.version"),
    ("up for seconds", "health.uptime_seconds"),
    ("federation", "federation_id"),
    ("node", "node_id"),
    ("peer id", "peer_id"),
    ("log entries", "log.size"),
    ("log root", "log.root"),
];

impl Status {
    /// Asks the node.
    pub async fn run(self, context: &Context) -> anyhow::Result<()> {
        if let Some(seconds) = self.wait {
            wait(context, Duration::from_secs(seconds.into())).await?;
        }
        let client = context.anonymous()?;
        if self.watch {
            let watched = Watched { path: String::new(), columns: WATCHED, key: "url", none: "" };
            // Whoever may not hear of events sees what changed a few seconds later.
            let news = context.client().ok().filter(|client| client.token().is_some());
            return live::follow(context, &watched, news.as_ref(), async || Ok(vec![ask(&client).await?]))
                .await;
        }
        let answer = ask(&client).await?;
        context.show.fields(&answer.to_string(), SHOWN)?;
        if answer["health"]["status"] != "ok" {
            anyhow::bail!("the node takes no work; see why with: artel doctor --data DIR");
        }
        Ok(())
    }
}

/// Waits until the node has said where it is, and answers there.
async fn wait(context: &Context, at_most: Duration) -> anyhow::Result<()> {
    let (begun, mut told) = (Instant::now(), false);
    loop {
        let why = match context.anonymous() {
            Ok(client) => match client.get_text("/v1/health").await {
                Ok(_) => return Ok(()),
                Err(error) if error.is_passing() => error.into(),
                Err(error) => return Err(error.into()),
            },
            // Nothing will ever come of a command without a node.
            Err(error) if error.is::<Usage>() => return Err(error),
            Err(error) => error,
        };
        if begun.elapsed() >= at_most {
            return Err(why);
        }
        if !told && begun.elapsed() >= SOON {
            told = true;
            show::note("waiting for the node");
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn ask(client: &Client) -> Result<Value, Error> {
    let health: Value = client.get("/v1/health").await?;
    let note = client.get_text("/log/checkpoint").await?;
    let checkpoint = SignedCheckpoint::parse(&note).map_err(|error| Error::Foreign {
        url: client.base().to_owned(),
        reason: format!("its checkpoint does not verify: {error}"),
    })?;
    let origin = checkpoint.origin();
    Ok(json!({
        "url": client.base(),
        "health": health,
        "federation_id": origin.federation().to_string(),
        "node_id": origin.node().to_string(),
        "peer_id": origin.node().key().peer_id(),
        "log": {"size": checkpoint.size(), "root": checkpoint.root().to_string(), "origin": origin.to_string()},
    }))
}
