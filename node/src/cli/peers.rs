//! `artel peers`: the nodes that this one is connected to.

use super::context::Context;
use super::show::Column;
use crate::client::escape;
use clap::Args;
use serde_json::{Value, json};

/// Show the nodes that this node is connected to.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  artel peers --data ./node\n  artel peers --data ./node --json\n  artel peers --journals --data ./node\n  artel peers --homes --data ./node\n  artel peers --refused --data ./node"
)]
pub struct Peers {
    /// Show what is kept of other nodes' journals instead.
    #[arg(long)]
    journals: bool,
    /// Show how other nodes deal with those who work for them instead.
    #[arg(long, conflicts_with = "journals")]
    homes: bool,
    /// Show what was refused of other nodes since the start instead, by reason.
    #[arg(long, conflicts_with_all = ["journals", "homes", "cursor"])]
    refused: bool,
    /// Where to go on in the journals or homes, as the last page said.
    #[arg(long)]
    cursor: Option<String>,
}

const COLUMNS: &[Column] = &[
    ("peer", "peer_id"),
    ("status", "status"),
    ("direction", "direction"),
    ("by", "transport"),
    ("round trip ms", "round_trip_ms"),
    ("score", "score"),
    ("witnessed us to", "witnessed_us_up_to"),
    ("behind", "witness_behind"),
    ("we witnessed to", "we_witnessed_up_to"),
    ("quarantine", "quarantine"),
    ("addresses", "addresses"),
    ("reason", "reason"),
];

const JOURNALS: &[Column] = &[
    ("node", "node_id"),
    ("member", "member"),
    ("held up to", "held_up_to"),
    ("records", "records"),
    ("bytes", "bytes"),
    ("known to", "known_up_to"),
    ("cosigned to", "cosigned_up_to"),
    ("quarantine", "quarantine"),
    ("summaries checked", "summaries.checked"),
    ("wrong", "summaries.wrong"),
];

const HOMES: &[Column] = &[
    ("node", "node_id"),
    ("offers", "offers"),
    ("answered %", "answered_percent"),
    ("verdicts", "judged"),
    ("rejections", "rejected"),
    ("silences", "silences"),
    ("redeemed", "redeemed"),
    ("breaches", "breaches"),
    ("first breach", "breach"),
];

const REFUSED: &[Column] = &[("reason", "reason"), ("times", "times")];

impl Peers {
    /// Shows them.
    pub async fn run(self, context: &Context) -> anyhow::Result<()> {
        let cursor = self.cursor.map(|c| format!("&cursor={}", escape(&c))).unwrap_or_default();
        if self.homes {
            let answer = context.client()?.get_text(&format!("/v1/homes?limit=50{cursor}")).await?;
            return context.show.list(&answer, HOMES, "nothing was heard of other nodes as homes");
        }
        if self.journals {
            let answer = context.client()?.get_text(&format!("/v1/journals?limit=50{cursor}")).await?;
            return context.show.list(&answer, JOURNALS, "nothing is kept of other nodes' journals");
        }
        if self.refused {
            let traffic: Value = context.client()?.get("/v1/traffic").await?;
            let counts = traffic["refused"].as_object().into_iter().flatten();
            let items: Vec<Value> =
                counts.map(|(reason, times)| json!({"reason": reason, "times": times})).collect();
            let answer = json!({ "items": items }).to_string();
            return context.show.list(&answer, REFUSED, "nothing was refused");
        }
        let answer = context.client()?.get_text("/v1/peers").await?;
        context.show.list(
            &answer,
            COLUMNS,
            "no peers; a node that listens (artel up --listen) can be joined with: artel invite",
        )
    }
}
