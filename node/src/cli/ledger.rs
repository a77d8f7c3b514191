//! `artel ledger`: who has what. The operator sees all accounts, an agent its own earnings and payments.

use super::context::Context;
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
        let cursor = cursor.map(|c| format!("&cursor={}", crate::client::escape(&c))).unwrap_or_default();
        if caller["principal"] == "operator" {
            let answer = client.get_text(&format!("/v1/ledger/accounts?limit=200{cursor}")).await?;
            let columns =
                &[("account", "kind"), ("agent", "agent_id"), ("task", "task_id"), ("balance", "balance")];
            return context.show.list(&answer, columns, "no accounts");
        }
        let earnings = client.get_text("/v1/agents/me/earnings").await?;
        let paid = client.get_text(&format!("/v1/agents/me/contributions?limit=50{cursor}")).await?;
        if context.show.json {
            return super::show::line(&format!("{{\"earnings\":{earnings},\"contributions\":{paid}}}"));
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
        context.show.list(&paid, columns, "nothing was paid yet; work with: artel work --key FILE --exec CMD")
    }
}
