//! `artel ledger`: who has what. The operator sees all accounts, an agent its own earnings and payments.

use super::context::Context;
use crate::client::{Client, escape};
use clap::Subcommand;
use serde_json::Value;

/// Look at accounts and earnings.
#[derive(Subcommand, Debug)]
pub enum Ledger {
    /// Show all accounts (as the operator), or one's earnings and payments (as an agent).
    Show {
        /// Where to go on, as the last page said.
        #[arg(long)]
        cursor: Option<String>,
    },
}

impl Ledger {
    /// Shows it.
    pub async fn run(self, context: &Context) -> anyhow::Result<()> {
        let Ledger::Show { cursor } = self;
        let client = context.client()?;
        let caller: Value = client.get("/v1/auth/verify").await?;
        let cursor = cursor.map(|c| format!("&cursor={}", escape(&c))).unwrap_or_default();
        if caller["principal"] == "operator" {
            let answer = client.get_text(&format!("/v1/ledger/accounts?limit=200{cursor}")).await?;
            let columns =
                &[("account", "kind"), ("agent", "agent_id"), ("task", "task_id"), ("balance", "balance")];
            return context.show.list(&answer, columns, "no accounts");
        }
        let earnings = client.get_text("/v1/agents/me/earnings").await?;
        let paid = client.get_text(&format!("/v1/agents/me/contributions?limit=50{cursor}")).await?;
        let elsewhere = elsewhere(&client, &caller).await?;
        if context.show.json {
            let elsewhere = Value::Array(elsewhere);
            return super::show::line(&format!(
                "{{\"earnings\":{earnings},\"contributions\":{paid},\"elsewhere\":{elsewhere}}}"
            ));
        }
        context.show.fields(
            &earnings,
            &[
                ("agent", "agent_id"),
                ("earned", "total_earnings"),
                ("balance", "balance"),
                ("in escrow", "in_escrow"),
                ("tasks paid", "tasks_paid"),
            ],
        )?;
        let columns = &[
            ("at", "at"),
            ("task", "task_id"),
            ("base", "base_reward"),
            ("quality", "quality_score"),
            ("level", "reputation_level"),
            ("paid", "paid"),
            ("entry", "entry"),
        ];
        let none = "nothing was paid here yet; work with: artel work --key FILE --exec CMD";
        context.show.list(&paid, columns, none)?;
        if elsewhere.is_empty() {
            return Ok(());
        }
        let columns = &[
            ("elsewhere at home", "home"),
            ("accepted", "accepted"),
            ("rejected", "rejected"),
            ("paid", "paid"),
        ];
        super::show::line(&format!("\n{}", super::show::table(&elsewhere, columns).trim_end()))?;
        super::show::note(
            "what another home paid stands in that home's ledger; shown is what its records say",
        );
        Ok(())
    }
}

/// What became of an agent's work at other homes, by the receipts that its node has heard of.
async fn elsewhere(client: &Client, caller: &Value) -> anyhow::Result<Vec<Value>> {
    let (agent, here) = (caller["agent_id"].as_str().unwrap_or_default(), &caller["node_id"]);
    let reputation: Value = client.get(&format!("/v1/agents/{}/reputation", escape(agent))).await?;
    let homes = reputation["homes"].as_array().cloned().unwrap_or_default();
    Ok(homes.into_iter().filter(|home| home["home"] != *here).collect())
}
