//! The ledger's accounts. The operator's account issues, so its balance is below zero by what is in circulation.

use super::{edge, form};
use artel_protocol::id::StepId;
use artel_protocol::key::AgentId;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

/// A balance in units of a millionth of a credit; may be below zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance(pub i64);

impl Serialize for Balance {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let amount = artel_protocol::amount::Credits(self.0.unsigned_abs()).decimal();
        let sign = if self.0 < 0 { "-" } else { "" };
        edge::decimal(format!("{sign}{amount}"), serializer)
    }
}

/// Kinds of accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccountKind {
    /// The operator's, which issues.
    Operator,
    /// An agent's.
    Agent,
    /// What is set aside for a task.
    Escrow,
}

/// One account.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Account {
    /// Whose it is.
    pub kind: AccountKind,
    /// The agent.
    #[serde(serialize_with = "edge::text_or_null")]
    #[schemars(with = "Option<form::Did>")]
    pub agent_id: Option<AgentId>,
    /// The task.
    #[serde(serialize_with = "edge::text_or_null")]
    #[schemars(with = "Option<form::Uuid>")]
    pub task_id: Option<StepId>,
    /// What stands in it.
    pub balance: Balance,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn balances_are_signed_decimals() {
        for (units, text) in
            [(0, "0"), (1_500_000, "1.5"), (-1, "-0.000001"), (i64::MIN, "-9223372036854.775808")]
        {
            assert_eq!(serde_json::to_string(&Balance(units)).expect("plain"), text);
        }
    }
}
