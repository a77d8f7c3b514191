//! Nodes that are joined into one federation on this machine, for what is measured between them.

use super::node::{Node, Scratch};
use super::wire::Line;
use anyhow::ensure;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Any port of this machine.
const LISTEN: &[&str] = &["--listen", "/ip4/127.0.0.1/tcp/0"];
/// How long it may take until all have met.
const MEET_WITHIN: Duration = Duration::from_secs(120);
/// How often is looked whether they have.
const LOOK_EACH: Duration = Duration::from_millis(50);

/// Starts a home and `others` nodes that join it, and waits until each has met somebody and holds home's first records.
///
/// # Errors
/// That a node was not ready, or that they have not met.
pub(super) async fn start(scratch: &Scratch, others: usize) -> anyhow::Result<Vec<Node>> {
    let home = Node::start_with(&scratch.path().join("home"), LISTEN).await?;
    let invitation = invite(&home, others).await?;
    let mut nodes = vec![home];
    for number in 0..others {
        nodes.push(join(scratch, number, &invitation).await?);
    }
    let begun = Instant::now();
    for at in 1..nodes.len() {
        while held(&nodes[at], &nodes[0].did).await? == 0 {
            ensure!(begun.elapsed() < MEET_WITHIN, "node {at} has not met home within {MEET_WITHIN:?}");
            tokio::time::sleep(LOOK_EACH).await;
        }
    }
    Ok(nodes)
}

/// Starts a node that joined and was stopped once more.
///
/// # Errors
/// That it was not ready.
pub(super) async fn start_again(scratch: &Scratch, number: usize) -> anyhow::Result<Node> {
    Node::start_with(&scratch.path().join(format!("node-{number}")), LISTEN).await
}

async fn join(scratch: &Scratch, number: usize, invitation: &str) -> anyhow::Result<Node> {
    let words = [LISTEN, &["--join", invitation]].concat();
    Node::start_with(&scratch.path().join(format!("node-{number}")), &words).await
}

async fn invite(home: &Node, uses: usize) -> anyhow::Result<String> {
    #[derive(Deserialize)]
    struct Made {
        invitation: String,
    }
    let mut line = home.line().await?;
    let status = line.post("/v1/invitations", &json!({"uses": uses}).to_string()).await?;
    Ok(line.read::<Made>(status, 201)?.invitation)
}

/// How many records a node holds of another one's journal, without a gap.
///
/// # Errors
/// What the node or the socket says.
pub(super) async fn held(node: &Node, of: &str) -> anyhow::Result<u64> {
    of_journal(node, of, "held_up_to").await
}

/// How many bytes of another one's journal a node keeps.
///
/// # Errors
/// As [`held`].
pub(super) async fn kept_bytes(node: &Node, of: &str) -> anyhow::Result<u64> {
    of_journal(node, of, "bytes").await
}

async fn of_journal(node: &Node, of: &str, field: &str) -> anyhow::Result<u64> {
    let page = get(node, "/v1/journals?limit=200").await?;
    let rows = page["items"].as_array().into_iter().flatten();
    Ok(rows.filter(|row| row["node_id"] == of).filter_map(|row| row[field].as_u64()).max().unwrap_or(0))
}

/// The bytes that a node received and sent by a protocol since its start.
///
/// # Errors
/// As [`held`].
pub(super) async fn lane_bytes(node: &Node, lane: &str) -> anyhow::Result<(u64, u64)> {
    let said = get(node, "/v1/traffic").await?;
    let count = |way: &str| said["lanes"][lane][way].as_u64().unwrap_or(0);
    Ok((count("received"), count("sent")))
}

/// How many questions a node has answered on exchanges' streams since its start, by what they are: each is a round trip of a neighbour.
///
/// # Errors
/// As [`held`].
pub(super) async fn trips(node: &Node) -> anyhow::Result<BTreeMap<String, u64>> {
    let said = get(node, "/v1/traffic").await?;
    let requests = said["requests"].as_object().into_iter().flatten();
    let on_sync = requests.filter_map(|(name, count)| Some((name.strip_prefix("sync_")?, count.as_u64()?)));
    Ok(on_sync.map(|(name, count)| (name.to_owned(), count)).collect())
}

async fn get(node: &Node, path: &str) -> anyhow::Result<Value> {
    let mut line = node.line().await?;
    let status = line.get(path).await?;
    line.read(status, 200)
}

/// Stops them, home last.
///
/// # Errors
/// What one of them said.
pub(super) async fn stop(nodes: Vec<Node>) -> anyhow::Result<()> {
    for node in nodes.into_iter().rev() {
        node.stop().await?;
    }
    Ok(())
}

/// The rows of a list, page by page.
///
/// # Errors
/// What the node or the socket says.
pub(super) async fn all_pages(line: &mut Line, path: &str) -> anyhow::Result<Vec<Value>> {
    let (mut rows, mut cursor) = (Vec::new(), String::new());
    loop {
        let status = line.get(&format!("{path}&limit=200{cursor}")).await?;
        let mut page: Value = line.read(status, 200)?;
        rows.extend(page["items"].as_array_mut().map(std::mem::take).unwrap_or_default());
        let Some(next) = page["next_cursor"].as_str() else { return Ok(rows) };
        cursor = format!("&cursor={}", crate::client::escape(next));
    }
}
