//! `artel reputation`: an agent's score and what it follows from, as a node says or as its records prove.

use super::context::Context;
use super::recompute::Recompute;
use super::show::{self, Column};
use crate::client::{Client, escape};
use clap::Subcommand;
use serde::Deserialize;

/// Look at an agent's score.
#[derive(Subcommand, Debug)]
pub enum Reputation {
    /// Show an agent's layers, score, lower bound and level.
    Show {
        /// The agent's did; without it the agent whose key or token is named.
        did: Option<String>,
    },
    Recompute(Recompute),
}

#[derive(Deserialize)]
struct Me {
    agent_id: String,
}

/// The agent that a command is about: the one named, or the one that calls.
pub async fn subject(client: &Client, did: Option<String>) -> anyhow::Result<String> {
    match did {
        Some(did) => Ok(did),
        None => Ok(client.get::<Me>("/v1/agents/me").await?.agent_id),
    }
}

impl Reputation {
    /// Shows it.
    pub async fn run(self, context: &Context) -> anyhow::Result<()> {
        let did = match self {
            Reputation::Show { did } => did,
            Reputation::Recompute(recompute) => return recompute.run(context).await,
        };
        let client = context.client()?;
        let did = subject(&client, did).await?;
        let answer = client.get_text(&format!("/v1/agents/{}/reputation", escape(&did))).await?;
        context.show.answer(&answer, |reputation| {
            let mut text = show::fields(reputation, SHOWN);
            let homes = reputation["homes"].as_array().map(Vec::as_slice).unwrap_or_default();
            if !homes.is_empty() {
                text.push_str(&format!("\n{}", show::table(homes, HOMES)));
            }
            text
        })
    }
}

const SHOWN: &[Column] = &[
    ("agent", "agent_id"),
    ("score", "final_score"),
    ("lower bound", "lower_bound"),
    ("level", "reputation_level"),
    ("automated quality", "layer_1_score"),
    ("task success", "layer_2_score"),
    ("peer review", "layer_3_score"),
    ("accepted", "accepted"),
    ("rejected", "rejected"),
    ("lapsed", "lapsed"),
    ("receipts that count, in millionths", "receipts_micro"),
    ("as of", "calculated_at"),
];

/// What each home's evidence adds.
const HOMES: &[Column] = &[
    ("home", "home"),
    ("accepted", "accepted"),
    ("rejected", "rejected"),
    ("lapsed", "lapsed"),
    ("weighs of 8", "weight_eighths"),
];
