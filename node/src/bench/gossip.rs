//! How far and fast an offer spreads over many real nodes, and what that costs each.

use super::load::{self, Queue};
use super::measure::{PAYLOAD_BYTES, percentiles, rounded};
use super::mesh;
use super::node::{Node, Scratch};
use super::report::Report;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// How the skills of what is offered begin.
const SKILL: &str = "bench-gossip";

/// How long all nodes rest before their CPU is read, so that what is still under way is counted.
const REST: Duration = Duration::from_secs(2);

/// How long nodes that have just met are left alone before anything is counted: they exchange what they have, and make meshes.
const SETTLE: Duration = Duration::from_secs(20);

/// How an offer spreads over many real nodes: when each heard of it, and what CPU it cost each.
#[derive(clap::Args, Debug, Clone, Copy)]
pub(super) struct Spread {
    /// How many nodes.
    #[arg(long, default_value_t = 30, value_name = "N", value_parser = clap::value_parser!(u64).range(2..=64))]
    pub nodes: u64,
    /// How many offers.
    #[arg(long, default_value_t = 1_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=4_000))]
    pub offers: u64,
    /// How many a second.
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub rate: u64,
    /// How many skills they ask for in turn: each is gossiped in the shard of its name, and each shard has a mesh of its own.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=64))]
    pub skills: u64,
    /// How many of the nodes offer them in turn.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=64))]
    pub homes: u64,
}

/// Measures it.
///
/// # Errors
/// What a node or a socket says, or that an offer did not come.
pub(super) async fn gossip(report: &Report, scratch: &Scratch, spread: Spread) -> anyhow::Result<()> {
    let nodes = mesh::start(scratch, spread.nodes as usize - 1).await?;
    let cpu = || nodes.iter().filter_map(|node| node.usage()).map(|usage| usage.cpu_us).sum::<u64>();
    // What they cost while nothing is offered, over as long a time.
    let time = Duration::from_micros(1_000_000 * spread.offers / spread.rate) + REST;
    tokio::time::sleep(SETTLE).await;
    let (before, traffic) = (cpu(), Traffic::of(&nodes).await?);
    tokio::time::sleep(time).await;
    let (idle, idle_traffic) = (cpu() - before, Traffic::of(&nodes).await?.since(&traffic));
    let queues: Vec<Queue> =
        (0..spread.skills).map(|n| Queue { skill: format!("{SKILL}-{n}").into(), reward: 0 }).collect();
    let mut homes = Vec::new();
    for home in nodes.iter().take(spread.homes as usize) {
        homes.push(home.line().await?);
    }
    let (before, traffic) = (cpu(), Traffic::of(&nodes).await?);
    let mut tick = tokio::time::interval(Duration::from_micros(1_000_000 / spread.rate));
    for number in 0..spread.offers {
        tick.tick().await;
        let home = number as usize % homes.len();
        load::post_one(&mut homes[home], &queues[number as usize % queues.len()], number).await?;
    }
    tokio::time::sleep(REST).await;
    let (spent, traffic) = (cpu() - before, Traffic::of(&nodes).await?.since(&traffic));
    let (mut heard, mut paths, mut neighbours) = (Vec::new(), Paths::default(), 0);
    for node in &nodes {
        let mut line = node.line().await?;
        let status = line.get("/v1/peers").await?;
        neighbours += line.read::<Value>(status, 200)?["items"].as_array().map_or(0, Vec::len);
        let mut rows = mesh::all_pages(&mut line, "/v1/offers?").await?;
        rows.retain(|row| {
            row["requirements"]["capabilities"][0].as_str().is_some_and(|skill| skill.starts_with(SKILL))
        });
        heard.extend(rows.iter().filter_map(took));
        rows.iter().for_each(|row| paths.take(&node.did, row));
    }
    let hops = paths.hops();
    let wanted = spread.offers * (spread.nodes - 1);
    let each = (spent.saturating_sub(idle)) as f64 / (spread.offers * spread.nodes) as f64;
    report.tell(
        "gossip",
        json!({
            "nodes": spread.nodes,
            "offers": spread.offers,
            "rate_s": spread.rate,
            "skills": spread.skills,
            "homes": spread.homes,
            "payload_bytes": PAYLOAD_BYTES,
            "heard": heard.len(),
            "not_heard": wanted.saturating_sub(heard.len() as u64),
            "of": wanted,
            "heard_ms": percentiles(heard),
            "neighbours_mean": rounded(neighbours as f64 / spread.nodes as f64),
            "hops": hops,
            "hops_mean": rounded(mean(&hops)),
            "cpu_us_per_offer_and_node": rounded(each),
            "received_bytes_per_offer_and_node": (traffic.received.saturating_sub(idle_traffic.received)) / (spread.offers * spread.nodes),
            "idle_received_bytes_s_per_node": rounded(idle_traffic.received as f64 / time.as_secs_f64() / spread.nodes as f64),
            "copies_per_message_and_node": rounded(traffic.copies as f64 / traffic.messages.max(1) as f64),
            "messages_per_node": traffic.messages / spread.nodes,
            "idle_cpu_pct_per_node": rounded(idle as f64 / time.as_micros() as f64 / spread.nodes as f64 * 100.0),
        }),
    )?;
    mesh::stop(nodes).await
}

/// Which neighbour brought each offer to each node.
#[derive(Default)]
struct Paths(HashMap<String, HashMap<String, String>>);

impl Paths {
    fn take(&mut self, node: &str, row: &Value) {
        let text = |name: &str| row[name].as_str().map(str::to_owned);
        if let (Some(task), Some(from)) = (text("task_id"), text("heard_from")) {
            self.0.entry(task).or_default().insert(node.to_owned(), from);
        }
    }

    /// How many nodes are how many links away from the home, on the way that an offer took to them, over all offers.
    fn hops(&self) -> BTreeMap<usize, u64> {
        let mut counts = BTreeMap::new();
        for from in self.0.values() {
            for node in from.keys() {
                // Nobody brings an offer to its home; a way has no more links than there are nodes that heard.
                let way = std::iter::successors(from.get(node), |node| from.get(*node));
                *counts.entry(way.take(from.len()).count()).or_default() += 1;
            }
        }
        counts
    }
}

fn mean(hops: &BTreeMap<usize, u64>) -> f64 {
    let (sum, count) =
        hops.iter().fold((0, 0), |(sum, all), (hops, count)| (sum + *hops as u64 * count, all + count));
    sum as f64 / count.max(1) as f64
}

/// What went through all nodes since their start.
#[derive(Default)]
struct Traffic {
    received: u64,
    copies: u64,
    messages: u64,
}

impl Traffic {
    async fn of(nodes: &[Node]) -> anyhow::Result<Traffic> {
        let mut sum = Traffic::default();
        for node in nodes {
            let mut line = node.line().await?;
            let status = line.get("/v1/traffic").await?;
            let said: Value = line.read(status, 200)?;
            let number = |value: &Value| value.as_u64().unwrap_or_default();
            sum.received += number(&said["tcp"]["received"]) + number(&said["quic"]["received"]);
            sum.copies += number(&said["gossip_copies"]);
            sum.messages += number(&said["gossip_messages"]);
        }
        Ok(sum)
    }

    fn since(&self, before: &Traffic) -> Traffic {
        Traffic {
            received: self.received - before.received,
            copies: self.copies - before.copies,
            messages: self.messages - before.messages,
        }
    }
}

/// From an offer's entry until a node has heard of it; both clocks are this machine's.
fn took(row: &Value) -> Option<Duration> {
    let at = |name: &str| milliseconds(row[name].as_str()?);
    Some(Duration::from_millis(at("heard_at")?.saturating_sub(at("offered_at")?)))
}

fn milliseconds(text: &str) -> Option<u64> {
    artel_web::types::parse_time(text).ok().map(|wall| wall.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_counted_along_the_way_that_an_offer_took() {
        let mut paths = Paths::default();
        let row = |from: &str| json!({"task_id": "t", "heard_from": from});
        for (node, from) in [("b", "home"), ("c", "b"), ("d", "c"), ("e", "b")] {
            paths.take(node, &row(from));
        }
        assert_eq!(paths.hops(), BTreeMap::from([(1, 1), (2, 2), (3, 1)]));
        assert_eq!(mean(&paths.hops()), 2.0);
    }
}
