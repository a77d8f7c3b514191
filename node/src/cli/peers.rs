//! `artel peers`: the nodes that this one is connected to.

use super::context::Context;
use super::live::{self, Watched};
use super::show::{self, Column, fields, table};
use crate::client::escape;
use clap::Args;
use serde_json::{Value, json};

/// Show the nodes that this node is connected to.
#[derive(Args, Debug)]
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
    /// Show what went through the mesh since the start instead, by what carried it, and requests by what they are.
    #[arg(long, conflicts_with_all = ["journals", "homes", "refused", "cursor"])]
    traffic: bool,
    /// Keep the peers up to date until Ctrl-C; where they do not go to a terminal, a line for each change.
    #[arg(long, conflicts_with_all = ["journals", "homes", "refused", "traffic", "cursor"])]
    watch: bool,
    /// Where to go on in the journals or homes, as the last page said.
    #[arg(long)]
    cursor: Option<String>,
}

const COLUMNS: &[Column] = &[
    ("node", "node_id"),
    ("status", "status"),
    ("direction", "direction"),
    ("by", "transport"),
    ("round trip ms", "round_trip_ms"),
    ("score", "score"),
    ("witnessed us to", "witnessed_us_up_to"),
    ("behind", "witness_behind"),
    ("we witnessed to", "we_witnessed_up_to"),
    ("quarantine", "quarantine"),
    ("peer id", "peer_id"),
    ("addresses", "addresses"),
    ("reason", "reason"),
];

/// What changes for a reason; a round trip does with every ping.
const WATCHED: &[Column] = &[
    ("node", "node_id"),
    ("status", "status"),
    ("direction", "direction"),
    ("by", "transport"),
    ("witnessed us to", "witnessed_us_up_to"),
    ("we witnessed to", "we_witnessed_up_to"),
    ("quarantine", "quarantine"),
    ("reason", "reason"),
];

const JOURNALS: &[Column] = &[
    ("node", "node_id"),
    ("member", "member"),
    ("public held to", "held_up_to"),
    ("records", "records"),
    ("bytes", "bytes"),
    ("entries signed", "known_up_to"),
    ("entries cosigned", "cosigned_up_to"),
    ("quarantine", "quarantine"),
    ("summaries checked", "summaries.checked"),
    ("wrong", "summaries.wrong"),
];

/// Why the numbers of one row differ although nothing is missing.
const NUMBERS: &str = "held are a journal's public entries, by their own number; signed and cosigned is the whole journal, \
                       so those numbers are higher";

const HOMES: &[Column] = &[
    ("node", "node_id"),
    ("offers", "offers"),
    ("answered %", "answered_percent"),
    ("verdicts", "judged"),
    ("rejections", "rejected"),
    ("silences", "silences"),
    ("redeemed", "redeemed"),
    ("paid", "paid"),
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
            context.show.list(&answer, JOURNALS, "nothing is kept of other nodes' journals")?;
            let shown: Value = serde_json::from_str(&answer)?;
            if !context.show.json && shown["items"].as_array().is_some_and(|items| !items.is_empty()) {
                show::note(NUMBERS);
            }
            return Ok(());
        }
        if self.traffic {
            return traffic(context).await;
        }
        if self.refused {
            let traffic: Value = context.client()?.get("/v1/traffic").await?;
            let counts = traffic["refused"].as_object().into_iter().flatten();
            let items: Vec<Value> =
                counts.map(|(reason, times)| json!({"reason": reason, "times": times})).collect();
            let answer = json!({ "items": items }).to_string();
            return context.show.list(&answer, REFUSED, "nothing was refused");
        }
        let none = "no peers; a node that listens (artel up --listen) can be joined with: artel invite";
        if self.watch {
            let path = "/v1/peers".to_owned();
            return live::watch(context, Watched { path, columns: WATCHED, key: "node_id", none }).await;
        }
        let answer = context.client()?.get_text("/v1/peers").await?;
        context.show.list(&answer, COLUMNS, none)
    }
}

async fn traffic(context: &Context) -> anyhow::Result<()> {
    let answer = context.client()?.get_text("/v1/traffic").await?;
    context.show.answer(&answer, |traffic| {
        if traffic.is_null() {
            return "nothing went through: this node has to do with no other".to_owned();
        }
        let lanes = traffic["lanes"].as_object().into_iter().flatten();
        let ways = [("tcp", &traffic["tcp"]), ("quic", &traffic["quic"])].into_iter();
        let rows: Vec<Value> = ways
            .chain(lanes.map(|(lane, bytes)| (lane.as_str(), bytes)))
            .map(|(way, bytes)| json!({"way": way, "received": bytes["received"], "sent": bytes["sent"]}))
            .collect();
        let mut text =
            table(&rows, &[("through", "way"), ("bytes received", "received"), ("bytes sent", "sent")]);
        let requests = traffic["requests"].as_object().into_iter().flatten();
        let rows: Vec<Value> =
            requests.map(|(request, times)| json!({"request": request, "times": times})).collect();
        if !rows.is_empty() {
            text.push_str(&format!("\n{}", table(&rows, &[("request", "request"), ("times", "times")])));
        }
        text.push_str(&format!(
            "\n{}",
            fields(
                traffic,
                &[
                    ("gossip heard", "gossip_messages"),
                    ("copies of it", "gossip_copies"),
                    ("gossip told", "gossip_published"),
                    ("claims waiting", "claims_waiting"),
                ],
            )
        ));
        text
    })
}
