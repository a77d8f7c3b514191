//! `artel status`: whether a node is well, who it is, how long its log is.

use super::context::Context;
use artel_protocol::log::SignedCheckpoint;
use clap::Args;
use serde_json::{Value, json};

/// Say whether the node is well and how long its log is.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  artel status --data ./node\n  artel status --node http://127.0.0.1:7433 --json"
)]
pub struct Status {}

impl Status {
    /// Asks the node.
    pub async fn run(self, context: &Context) -> anyhow::Result<()> {
        let client = context.anonymous()?;
        let health: Value = client.get("/v1/health").await?;
        let note = client.get_text("/log/checkpoint").await?;
        let checkpoint = SignedCheckpoint::parse(&note)
            .map_err(|e| anyhow::anyhow!("the node's checkpoint does not verify: {e}"))?;
        let origin = checkpoint.origin();
        let answer = json!({
            "url": client.base(),
            "health": health,
            "federation_id": origin.federation().to_string(),
            "node_id": origin.node().to_string(),
            "peer_id": origin.node().key().peer_id(),
            "log": {"size": checkpoint.size(), "root": checkpoint.root().to_string(), "origin": origin.to_string()},
        });
        context.show.fields(
            &answer.to_string(),
            &[
                ("url", "url"),
                ("health", "health.status"),
                ("version", "health.version"),
                ("up for seconds", "health.uptime_seconds"),
                ("federation", "federation_id"),
                ("node", "node_id"),
                ("peer id", "peer_id"),
                ("log entries", "log.size"),
                ("log root", "log.root"),
            ],
        )?;
        if health["status"] != "ok" {
            anyhow::bail!("the node takes no work; see its log on stderr, or: artel audit checkpoint");
        }
        Ok(())
    }
}
