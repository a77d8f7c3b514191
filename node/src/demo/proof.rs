//! What the demo proves in the end: every task has a receipt that holds, each result is the one that was handed in, the node of
//! each worker says the same of it, what was paid is what stands in the ledger, and each node's whole log leads to the root that
//! the node signed.

use super::stage::{Node, Stage};
use crate::cli::receipt::{self, Checked, Worker};
use crate::cli::{audit, log};
use crate::client::{Amount, Client, Error, escape};
use artel_audit::source::LogReport;
use artel_audit::verify::{Outcome as Verdict, Report};
use artel_protocol::amount::Credits;
use artel_protocol::id::Digest;
use artel_protocol::key::{AgentId, NodeId, PublicKey};
use artel_protocol::log::{Origin, SignedCheckpoint};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long the record of a worker's node may take to come to the home: it is gossiped at once, or fetched when that was lost.
const RECORD_WITHIN: Duration = Duration::from_secs(60);
/// The pause between two looks for it.
const RECORD_PAUSE: Duration = Duration::from_millis(200);

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
    /// Who did what.
    pub shares: BTreeMap<AgentId, Share>,
    /// Receipts that hold.
    pub receipts: usize,
    /// Of these, receipts of other nodes' agents.
    pub elsewhere: usize,
    /// Of these, those with the record of the worker's node.
    pub paired: usize,
    /// The nodes, the home first.
    pub nodes: Vec<Seen>,
}

/// What is known of one node.
pub struct Seen {
    /// Its name.
    pub name: &'static str,
    /// Its peer id.
    pub peer_id: String,
    /// Its federation.
    pub federation_id: String,
    /// Where its API is, or was.
    pub http_url: String,
    /// Its data directory.
    pub data_dir: PathBuf,
    /// What it answered; nothing where it was killed.
    pub answers: Option<Answers>,
}

/// What a node answered.
pub struct Answers {
    /// Whose journal it is.
    pub origin: Origin,
    /// Its log.
    pub log: LogReport,
    /// What it says of each agent that it knows, by did: `GET /v1/agents/{did}/reputation`.
    pub reputations: BTreeMap<String, Value>,
    /// What went through its mesh since it was started: `GET /v1/traffic`.
    pub traffic: Value,
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

/// Proves all of a run.
///
/// # Errors
/// The first thing that does not hold.
pub async fn prove(stage: &Stage, run: &str) -> anyhow::Result<Proven> {
    let client = &stage.home().client;
    let home = origin(stage.home()).await?;
    let gone = gone(stage)?;
    let tasks: Vec<TaskId> =
        client.get_all(&format!("/v1/tasks?status=any&run_id={run}"), usize::MAX).await?;
    let mut shares: BTreeMap<AgentId, Share> = BTreeMap::new();
    let (mut elsewhere, mut paired) = (0, 0);
    for TaskId { task_id } in &tasks {
        let (checked, paid) = prove_task(client, task_id, &home, &gone).await?;
        let share = shares.entry(checked.agent).or_default();
        share.tasks += 1;
        share.earned =
            share.earned.checked_add(paid).ok_or_else(|| anyhow::anyhow!("more was paid than can be"))?;
        elsewhere += usize::from(checked.worker.is_some());
        paired += usize::from(checked.worker.is_some_and(|worker| worker.is_proven));
    }
    compare_with_ledger(client, &shares).await?;
    let mut nodes = Vec::with_capacity(stage.nodes.len());
    for node in &stage.nodes {
        nodes.push(look(stage, node).await?);
    }
    Ok(Proven { shares, receipts: tasks.len(), elsewhere, paired, nodes })
}

/// The nodes that were killed for good: what they did not tell in time they do not tell any more.
fn gone(stage: &Stage) -> anyhow::Result<BTreeSet<NodeId>> {
    let gone = stage.nodes.iter().filter(|node| !node.is_up());
    gone.map(|node| Ok(NodeId(PublicKey::from_peer_id(&node.ready.peer_id)?))).collect()
}

/// Verifies the data directory of a node that has ended, as `artel audit verify` does.
///
/// # Errors
/// What is not sound in it.
pub async fn prove_disk(dir: &Path) -> anyhow::Result<Report> {
    let report = audit::directory_report(dir, |_| ()).await?;
    match &report.outcome {
        Verdict::Sound => Ok(report),
        Verdict::Damaged { file, what } => {
            anyhow::bail!("the log in {} is not sound: {file}: {what}", dir.display())
        }
    }
}

async fn look(stage: &Stage, node: &Node) -> anyhow::Result<Seen> {
    let answers = if node.is_up() { Some(ask(stage, node).await?) } else { None };
    let ready = node.ready.clone();
    Ok(Seen {
        name: node.name,
        peer_id: ready.peer_id,
        federation_id: ready.federation_id,
        http_url: ready.http_url,
        data_dir: ready.data_dir,
        answers,
    })
}

async fn ask(stage: &Stage, node: &Node) -> anyhow::Result<Answers> {
    let origin = origin(node).await?;
    let mut reputations = BTreeMap::new();
    for member in &stage.cast {
        let path = format!("/v1/agents/{}/reputation", escape(&member.did));
        match node.client.get::<Value>(&path).await {
            Ok(reputation) => drop(reputations.insert(member.did.clone(), reputation)),
            Err(Error::Refused { status: 404, .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let traffic = node.client.get("/v1/traffic").await?;
    let log = log::verify(&node.client, Some(origin), |_| ()).await;
    let log = log.map_err(|error| error.context(format!("the log of {}", node.name)))?;
    Ok(Answers { origin, log, reputations, traffic })
}

/// The journal's name, from its own checkpoint, which must be of the node that was started.
async fn origin(node: &Node) -> anyhow::Result<Origin> {
    let note = node.client.get_text("/log/checkpoint").await?;
    let origin = SignedCheckpoint::parse(&note)?.origin();
    let ready = &node.ready;
    if origin.node().key().peer_id() != ready.peer_id
        || origin.federation().to_string() != ready.federation_id
    {
        anyhow::bail!("the checkpoint is of {origin}, which is not the node that was started");
    }
    Ok(origin)
}

/// Proves one task: its receipt, and that its output is the one that was handed in.
async fn prove_task(
    client: &Client,
    id: &str,
    home: &Origin,
    gone: &BTreeSet<NodeId>,
) -> anyhow::Result<(Checked, Credits)> {
    let checked = checked_receipt(client, id, home, gone).await?;
    let task: Task = client.read(&client.get_text(&format!("/v1/tasks/{id}")).await?)?;
    let output = task.output.as_deref().map(RawValue::get).unwrap_or_default();
    if task.task_id != checked.step.to_string() || Digest::of(output.as_bytes()) != checked.output {
        anyhow::bail!("the output of task {id} is not the one that its receipt names");
    }
    if checked.accepted.is_none() {
        anyhow::bail!("the receipt of task {id} is of a rejection");
    }
    Ok((checked, task.paid.0))
}

/// A receipt that holds; with the record of the worker's node, unless that node is gone and has not told it.
async fn checked_receipt(
    client: &Client,
    id: &str,
    home: &Origin,
    gone: &BTreeSet<NodeId>,
) -> anyhow::Result<Checked> {
    let started = Instant::now();
    loop {
        let answer = client.get_text(&format!("/v1/tasks/{id}/receipt")).await?;
        let checked =
            receipt::check(&answer, home).map_err(|e| anyhow::anyhow!("the receipt of task {id}: {e}"))?;
        let missing = checked.worker.filter(|Worker { is_proven, node }| !is_proven && !gone.contains(node));
        let Some(Worker { node, .. }) = missing else { return Ok(checked) };
        if started.elapsed() > RECORD_WITHIN {
            anyhow::bail!("the home has not got the record of task {id} that {node} made");
        }
        tokio::time::sleep(RECORD_PAUSE).await;
    }
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
