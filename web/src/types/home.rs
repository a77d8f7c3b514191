//! Homes as this node sees them: nodes that offer work, and how they deal with those who do it.

use super::{edge, form};
use artel_protocol::amount::Credits;
use artel_protocol::key::NodeId;
use schemars::JsonSchema;
use serde::Serialize;

/// What a home's own records and those of its workers' nodes say of it, as far as this node has heard them since its start.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Home {
    /// The home.
    #[serde(serialize_with = "edge::text")]
    #[schemars(with = "form::Did")]
    pub node_id: NodeId,
    /// Its open offers that were heard.
    pub offers: u64,
    /// Verdicts that it gave.
    pub judged: u64,
    /// Of those, rejections.
    pub rejected: u64,
    /// Results that it has left without a verdict beyond the time that it promised.
    pub silences: u64,
    /// Silences that a verdict ended all the same.
    pub redeemed: u64,
    /// Of a hundred results, how many it has answered; 100 where nothing is known.
    pub answered_percent: u8,
    /// What it paid in all, by its own records: each payment is its IOU to an agent.
    #[serde(serialize_with = "edge::credits")]
    #[schemars(with = "form::Amount")]
    pub paid: Credits,
    /// How many entries of its log break the rules: then nothing that it offers is claimed.
    pub breaches: u64,
    /// The first of them, in words; else `null`.
    pub breach: Option<String>,
}
