//! `artel node`: the nodes of the federation that this one knows of: who they are, letting one go, letting one in by name.

use super::context::Context;
use super::show::Column;
use crate::client::escape;
use clap::Subcommand;
use serde_json::json;

/// Look at the federation's nodes, expel one, admit one.
#[derive(Subcommand, Debug)]
pub enum Node {
    /// List the nodes that belong to the federation, or did, as far as this one knows.
    List {
        /// Where to go on, as the last page said.
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Expel a node: nothing is taken of it any more, and others hear that it was expelled, and why.
    Expel {
        /// Its did, as artel node list and artel peers show it.
        did: String,
        /// Why; it is public.
        #[arg(long)]
        reason: String,
    },
    /// Let a node in by name, without an invitation; the way back for one that was expelled.
    Admit {
        /// Its did, which artel up says when it starts.
        did: String,
    },
}

const COLUMNS: &[Column] = &[
    ("node", "node_id"),
    ("status", "status"),
    ("by", "admitted_by"),
    ("since", "admitted_at"),
    ("expelled", "expelled_at"),
    ("reason", "reason"),
    ("peer id", "peer_id"),
];

impl Node {
    /// Does it.
    pub async fn run(self, context: &Context) -> anyhow::Result<()> {
        let client = context.client()?;
        match self {
            Node::List { cursor } => {
                let cursor = cursor.map(|c| format!("&cursor={}", escape(&c))).unwrap_or_default();
                let answer = client.get_text(&format!("/v1/nodes?limit=50{cursor}")).await?;
                context.show.list(&answer, COLUMNS, "no nodes; invite one with: artel invite")
            }
            Node::Expel { did, reason } => {
                let path = format!("/v1/nodes/{}/expel", escape(&did));
                let answer = client.post(&path, &json!({"reason": reason}), 0).await?.unwrap_or_default();
                context.show.fields(&answer, COLUMNS)
            }
            Node::Admit { did } => {
                let path = format!("/v1/nodes/{}/admit", escape(&did));
                let answer = client.post(&path, &json!({}), 0).await?.unwrap_or_default();
                context.show.fields(&answer, COLUMNS)
            }
        }
    }
}
