//! What the demo proves in the end: every task has a receipt that holds, each result is the one that was handed in, what
//! was paid is what stands in the ledger, and the whole log leads to the root that the node signed.

use crate::cli::{log, receipt};
use crate::client::{Amount, Client};
use artel_audit::source::LogReport;
use artel_protocol::amount::Credits;
use artel_protocol::id::Digest;
use artel_protocol::key::AgentId;
use artel_protocol::log::{Origin, SignedCheckpoint};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// What one agent did and got.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Share {
    /// Accepted tasks.
    pub tasks: u64,
    /// What it was paid for them.
    pub earned: Credits,
}

/// What was proven.
pub struct Proven {
    /// Whose journal it is.
    pub origin: Origin,
    /// Who did what.
    pub shares: BTreeMap<AgentId, Share>,
    /// Receipts that hold.
    pub receipts: usize,
    /// The log.
    pub log: LogReport,
}

#[derive(Deserialize)]
struct Task {
    task_id: String,
    paid: Amount,
    output: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct TaskId {
    task_id: String,
}

#[derive(Deserialize)]
struct Account {
    agent_id: Option<String>,
    balance: Box<RawValue>,
}

/// Proves all of a run. `node` is who the node said that it is: its peer id and its federation.
///
/// # Errors
/// The first thing that does not hold.
pub async fn prove(client: &Client, run: &str, node: (&str, &str)) -> anyhow::Result<Proven> {
    let origin = origin(client, node).await?;
    let tasks: Vec<TaskId> =
        client.get_all(&format!("/v1/tasks?status=any&run_id={run}"), usize::MAX).await?;
    let mut shares: BTreeMap<AgentId, Share> = BTreeMap::new();
    for TaskId { task_id } in &tasks {
        let (agent, paid) = prove_task(client, task_id, &origin).await?;
        let share = shares.entry(agent).or_default();
        share.tasks += 1;
        share.earned =
            share.earned.checked_add(paid).ok_or_else(|| anyhow::anyhow!("more was paid than can be"))?;
    }
    compare_with_ledger(client, &shares).await?;
    let log = log::verify(client, Some(origin), |_| ()).await?;
    Ok(Proven { origin, shares, receipts: tasks.len(), log })
}

/// The journal's name, from its own checkpoint, which must be of the node that was started.
async fn origin(client: &Client, (peer_id, federation): (&str, &str)) -> anyhow::Result<Origin> {
    let note = client.get_text("/log/checkpoint").await?;
    let origin = SignedCheckpoint::parse(&note)?.origin();
    if origin.node().key().peer_id() != peer_id || origin.federation().to_string() != federation {
        anyhow::bail!("the checkpoint is of {origin}, which is not the node that was started");
    }
    Ok(origin)
}

async fn prove_task(client: &Client, id: &str, origin: &Origin) -> anyhow::Result<(AgentId, Credits)> {
    let answer = client.get_text(&format!("/v1/tasks/{id}/receipt")).await?;
    let checked =
        receipt::check(&answer, origin).map_err(|e| anyhow::anyhow!("the receipt of task {id}: {e}"))?;
    let task: Task = client.read(&client.get_text(&format!("/v1/tasks/{id}")).await?)?;
    let output = task.output.as_deref().map(RawValue::get).unwrap_or_default();
    if task.task_id != checked.step.to_string() || Digest::of(output.as_bytes()) != checked.output {
        anyhow::bail!("the output of task {id} is not the one that its receipt names");
    }
    if checked.accepted.is_none() {
        anyhow::bail!("the receipt of task {id} is of a rejection");
    }
    Ok((checked.agent, task.paid.0))
}

async fn compare_with_ledger(client: &Client, shares: &BTreeMap<AgentId, Share>) -> anyhow::Result<()> {
    let accounts: Vec<Account> = client.get_all("/v1/ledger/accounts", usize::MAX).await?;
    for (agent, share) in shares {
        let did = agent.to_string();
        let account = accounts.iter().find(|a| a.agent_id.as_deref() == Some(&did));
        let balance = account.map_or("0", |a| a.balance.get());
        if Credits::parse(balance).ok() != Some(share.earned) {
            anyhow::bail!("the ledger gives {did} {balance}, its receipts say {}", share.earned.decimal());
        }
    }
    Ok(())
}
