//! What catching up costs two nodes, in bytes and round trips: where both hold the same, where one lacks the newest records, and
//! where it lacks scattered ones.

use super::load::{self, Queue};
use super::loss;
use super::measure::{percentiles, rounded};
use super::mesh;
use super::node::{Node, Scratch};
use super::report::Report;
use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long something may take that takes a moment; for each hundred thousand records as long again.
const WITHIN: Duration = Duration::from_secs(120);
/// How often is looked whether it has come.
const LOOK_EACH: Duration = Duration::from_millis(10);
/// For how long nothing may go over streams of exchanges until all is said: longer than a node rests between two.
const QUIET: Duration = Duration::from_millis(1_500);

/// What is missed, and of how much.
#[derive(clap::Args, Debug, Clone, Copy)]
pub(super) struct CatchUp {
    /// How many of the newest records a node misses.
    #[arg(long, default_value_t = 1_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    records: u64,
    /// How often it misses those.
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    times: u32,
    /// How many records there are before. A node keeps some 300,000 of another one; of more it has given up the oldest.
    #[arg(long, default_value_t = 100_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1_000..=1_000_000))]
    of: u64,
    /// How many scattered records it misses.
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=400))]
    scattered: u64,
}

/// Measures all three.
///
/// # Errors
/// What a node or a socket says, or that records did not come.
pub(super) async fn sync(report: &Report, scratch: &Scratch, what: CatchUp) -> anyhow::Result<()> {
    let mut nodes = mesh::start(scratch, 1).await?;
    let home = nodes.remove(0);
    let mut away = nodes.pop().context("two nodes")?;
    let queue = Queue { skill: "bench-sync".into(), reward: 0 };
    let before = mesh::held(&away, &home.did).await?;
    load::post_in_runs(&home, &queue, what.of).await?;
    until_held(&away, &home, before + what.of, WITHIN * (1 + what.of as u32 / 100_000)).await?;

    let (mut since_start, mut since_ready, mut missed) = (Vec::new(), Vec::new(), Spent::default());
    let mut kept = 0;
    for _ in 0..what.times {
        let held = mesh::held(&away, &home.did).await?;
        let kept_before = mesh::kept_bytes(&away, &home.did).await?;
        away.stop().await?;
        // Each task that is posted is one public record, its offer.
        load::post_in_runs(&home, &queue, what.records).await?;
        let (begun, asked) = (Instant::now(), mesh::trips(&home).await?);
        away = mesh::start_again(scratch, 0).await?;
        let ready = Instant::now();
        until_held(&away, &home, held + what.records, WITHIN).await?;
        since_start.push(begun.elapsed());
        since_ready.push(ready.elapsed());
        missed.add(&Spent::of(&away, &home, asked).await?);
        // Old records may have given way meanwhile.
        kept += mesh::kept_bytes(&away, &home.did).await?.saturating_sub(kept_before);
    }
    let times = u64::from(what.times);
    let kept_each = kept / times;
    report.tell(
        "sync",
        json!({
            "records": what.records,
            "of": what.of,
            "n": times,
            "since_start_ms": percentiles(since_start),
            "since_ready_ms": percentiles(since_ready),
            "kept_bytes_per_record": rounded(kept_each as f64 / what.records as f64),
            "sync_received_bytes_per_record": rounded(missed.received as f64 / (what.records * times) as f64),
            "sync_sent_bytes_each": missed.sent / times,
            "sync_bytes_each": missed.bytes() / times,
            "goal_bytes": 4_096 + kept_each * 105 / 100,
            "trips": missed.trips,
            "goal_trips_each": 3,
        }),
    )?;

    report.tell("sync-equal", equal(&away, &home).await?)?;

    away.stop().await?;
    let (dir, of) = (scratch.path().join("node-0"), home.did.clone());
    let count = usize::try_from(what.scattered)?;
    let lost = tokio::task::spawn_blocking(move || loss::lose(&dir, &of, count)).await??;
    let (begun, asked) = (Instant::now(), mesh::trips(&home).await?);
    let away = mesh::start_again(scratch, 0).await?;
    // At first it does not know what it lacks.
    while mesh::trips(&home).await?.get("holes") == asked.get("holes") {
        ensure!(begun.elapsed() < WITHIN, "what is missing was not asked for within {WITHIN:?}");
        tokio::time::sleep(LOOK_EACH).await;
    }
    let first = lost.first().copied().unwrap_or_default();
    until_held(&away, &home, lost.last().map_or(first, |last| last + 1), WITHIN).await?;
    let took = begun.elapsed();
    let spent = Spent::of(&away, &home, asked).await?;
    report.tell(
        "sync-scattered",
        json!({
            "records": lost.len(),
            "of": what.of,
            "since_start_ms": rounded(took.as_secs_f64() * 1_000.0),
            "sync_bytes": spent.bytes(),
            "goal_bytes": 150_000,
            "trips": spent.trips,
        }),
    )?;
    mesh::stop(vec![home, away]).await
}

/// What it costs to learn that nothing is missing: each of both asks the other in its turn.
async fn equal(away: &Node, home: &Node) -> anyhow::Result<Value> {
    let begun = Instant::now();
    let asks = async || -> anyhow::Result<(u64, BTreeMap<String, u64>)> {
        let mut of_both = mesh::trips(away).await?;
        for (name, count) in mesh::trips(home).await? {
            *of_both.entry(name).or_default() += count;
        }
        Ok((of_both.get("ask").copied().unwrap_or_default(), of_both))
    };
    let ((before, all_before), bytes_before) = (asks().await?, mesh::lane_bytes(away, "sync").await?);
    let mut now = asks().await?;
    while now.0 < before + 2 {
        ensure!(begun.elapsed() < WITHIN, "nobody asked within {WITHIN:?}");
        tokio::time::sleep(LOOK_EACH).await;
        now = asks().await?;
    }
    let bytes = quiet(away).await?;
    let now = asks().await?;
    let exchanges = now.0 - before;
    let spent = (bytes.0 - bytes_before.0) + (bytes.1 - bytes_before.1);
    let trips: u64 = now.1.values().sum::<u64>() - all_before.values().sum::<u64>();
    Ok(json!({
        "n": exchanges,
        "sync_bytes_each": spent / exchanges,
        "goal_bytes": 100,
        "trips_each": rounded(trips as f64 / exchanges as f64),
        "goal_trips_each": 1,
    }))
}

/// What a node that was just started has spent with another one.
#[derive(Default)]
struct Spent {
    received: u64,
    sent: u64,
    trips: BTreeMap<String, u64>,
}

impl Spent {
    async fn of(node: &Node, with: &Node, asked_before: BTreeMap<String, u64>) -> anyhow::Result<Spent> {
        let (received, sent) = quiet(node).await?;
        let mut trips = mesh::trips(with).await?;
        for (name, count) in &mut trips {
            *count -= asked_before.get(name).copied().unwrap_or_default();
        }
        trips.retain(|_, count| *count > 0);
        Ok(Spent { received, sent, trips })
    }

    fn bytes(&self) -> u64 {
        self.received + self.sent
    }

    fn add(&mut self, other: &Spent) {
        (self.received, self.sent) = (self.received + other.received, self.sent + other.sent);
        for (name, count) in &other.trips {
            *self.trips.entry(name.clone()).or_default() += count;
        }
    }
}

/// The bytes on streams of exchanges, once nothing goes over them.
async fn quiet(node: &Node) -> anyhow::Result<(u64, u64)> {
    let begun = Instant::now();
    let mut before = mesh::lane_bytes(node, "sync").await?;
    loop {
        tokio::time::sleep(QUIET).await;
        let now = mesh::lane_bytes(node, "sync").await?;
        if now == before {
            return Ok(now);
        }
        ensure!(begun.elapsed() < WITHIN, "exchanges went on for {WITHIN:?}");
        before = now;
    }
}

async fn until_held(node: &Node, of: &Node, up_to: u64, within: Duration) -> anyhow::Result<()> {
    let begun = Instant::now();
    while mesh::held(node, &of.did).await? < up_to {
        ensure!(begun.elapsed() < within, "not all records came within {within:?}");
        tokio::time::sleep(LOOK_EACH).await;
    }
    Ok(())
}
