//! `artel peers`: the nodes that this one is connected to.

use super::context::Context;
use super::show::Column;
use clap::Args;

/// Show the nodes that this node is connected to.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  artel peers --data ./node\n  artel peers --data ./node --json")]
pub struct Peers {}

const COLUMNS: &[Column] = &[
    ("peer", "peer_id"),
    ("status", "status"),
    ("direction", "direction"),
    ("by", "transport"),
    ("round trip ms", "round_trip_ms"),
    ("score", "score"),
    ("addresses", "addresses"),
];

impl Peers {
    /// Shows them.
    pub async fn run(self, context: &Context) -> anyhow::Result<()> {
        let answer = context.client()?.get_text("/v1/peers").await?;
        context.show.list(
            &answer,
            COLUMNS,
            "no peers; a node that listens (artel up --listen) can be joined with: artel invite",
        )
    }
}
