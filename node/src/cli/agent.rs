//! `artel agent`: enrolling, looking at and letting go of agents.

use super::context::{Context, Usage};
use super::enroll::{self, Profile};
use super::show::Column;
use crate::client::escape;
use clap::{Args, Subcommand};
use serde_json::json;

/// Enroll agents, look at them, end their tokens.
#[derive(Subcommand, Debug)]
pub enum Agent {
    /// Enroll a key: the node sends a text, the key signs it, the token is kept in FILE.token beside the key.
    Enroll(Enroll),
    /// List agents.
    List {
        /// Only those with this skill.
        #[arg(long, value_name = "SKILL")]
        capability: Option<String>,
        /// Where to go on, as the last page said.
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Show one agent, or the one that calls.
    Show {
        /// The agent's did; without it the agent whose key or token is named.
        did: Option<String>,
    },
    /// Get a new token for the old one, under the agent's own signature.
    Rotate,
    /// End a token and its delegation: one's own by signature, or another agent's as the operator.
    Revoke {
        /// The agent to let go, by the operator; without it the agent of --key.
        did: Option<String>,
    },
}

/// What an agent says of itself.
#[derive(Args, Debug, Clone)]
pub struct About {
    /// The agent's name for people.
    #[arg(long, default_value = "agent")]
    pub name: String,
    /// A skill, as name or name@version; may be given more than once.
    #[arg(long = "capability", value_name = "SKILL")]
    pub capabilities: Vec<String>,
    /// How many leases the agent wants to hold at once.
    #[arg(long, value_name = "N")]
    pub capacity: Option<u32>,
}

/// An agent that is to be enrolled.
#[derive(Args, Debug, Clone)]
pub struct Enroll {
    #[command(flatten)]
    about: About,
    /// Let the node claim, renew and submit in the agent's name, also at other nodes.
    #[arg(long)]
    delegate: bool,
}

impl About {
    /// The same for the enrollment.
    pub fn profile(&self, delegate: bool) -> Profile {
        Profile {
            name: self.name.clone(),
            capabilities: self.capabilities.clone(),
            capacity: self.capacity,
            delegate,
        }
    }
}

const COLUMNS: &[Column] = &[
    ("agent", "agent_id"),
    ("name", "agent_name"),
    ("skills", "capabilities"),
    ("status", "status"),
    ("score", "reputation_score"),
    ("level", "reputation_level"),
    ("done", "total_tasks_completed"),
    ("capacity", "capacity"),
    ("leases", "leases_held"),
    ("delegated until", "delegated_until"),
    ("token until", "token_expires_at"),
    ("earned", "total_earnings"),
    ("balance", "balance"),
    ("since", "created_at"),
];

impl Agent {
    /// Does it.
    pub async fn run(self, context: &Context) -> anyhow::Result<()> {
        match self {
            Agent::Enroll(Enroll { about, delegate }) => {
                let (key, token_file) = (context.agent_key()?, context.token_file()?);
                let profile = about.profile(delegate);
                let answer = enroll::enroll(&context.anonymous()?, &key, &profile, &token_file).await?;
                let shown = json!({"token_file": token_file, "answer": serde_json::from_str::<serde_json::Value>(&answer)?});
                if context.show.json {
                    return super::show::line(&answer);
                }
                context.show.fields(
                    &shown.to_string(),
                    &[
                        ("agent", "answer.agent.agent_id"),
                        ("name", "answer.agent.agent_name"),
                        ("skills", "answer.agent.capabilities"),
                        ("capacity", "answer.agent.capacity"),
                        ("token until", "answer.expires_at"),
                        ("token in", "token_file"),
                    ],
                )
            }
            Agent::List { capability, cursor } => {
                let mut path = "/v1/agents?limit=50".to_owned();
                for (name, value) in [("capability", capability), ("cursor", cursor)] {
                    path.push_str(&value.map(|v| format!("&{name}={}", escape(&v))).unwrap_or_default());
                }
                let answer = context.client()?.get_text(&path).await?;
                context.show.list(
                    &answer,
                    &COLUMNS[..7],
                    "no agents; enroll one with: artel agent enroll --key FILE",
                )
            }
            Agent::Show { did } => {
                let path = format!("/v1/agents/{}", did.as_deref().map_or("me".into(), escape));
                context.show.fields(&context.client()?.get_text(&path).await?, COLUMNS)
            }
            Agent::Rotate => {
                let (key, token_file) = (context.agent_key()?, context.token_file()?);
                let answer = enroll::rotate(&context.client()?, &key, &token_file).await?;
                context.show.fields(&answer, &[("agent", "agent.agent_id"), ("token until", "expires_at")])
            }
            Agent::Revoke { did: Some(did) } => {
                let path = format!("/v1/agents/{}/revoke", escape(&did));
                let answer = context.client()?.post(&path, &json!({}), 0).await?.unwrap_or_default();
                context.show.fields(&answer, &COLUMNS[..4])
            }
            Agent::Revoke { did: None } => {
                let Ok(key) = context.agent_key() else {
                    return Err(Usage(
                        "say whom: a did as the operator, or --key FILE as the agent itself".into(),
                    )
                    .into());
                };
                enroll::revoke(&context.client()?, &key).await?;
                let did = key.public().did();
                context.show.done(
                    &json!({"agent_id": did, "revoked": true}),
                    &format!("{did}: token and delegation ended"),
                )
            }
        }
    }
}
