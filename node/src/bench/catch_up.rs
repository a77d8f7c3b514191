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
use std::collections::{BTreeMap, BTreeSet};
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
    /// How many records there are before. A node keeps some 300,000 of the founder and 150,000 of any other one; of more it has
    /// given up the oldest.
    #[arg(long, default_value_t = 100_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1_000..=1_000_000))]
    of: u64,
    /// How many nodes made them: the founder and others, all neighbours of each other, each as many.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10))]
    homes: u64,
    /// How many scattered records it misses.
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=400))]
    scattered: u64,
}

/// Measures all three.
///
/// # Errors
/// What a node or a socket says, or that records did not come.
pub(super) async fn sync(report: &Report, scratch: &Scratch, what: CatchUp) -> anyhow::Result<()> {
    let mut nodes = mesh::start(scratch, usize::try_from(what.homes)?).await?;
    let mut away = nodes.pop().context("a home and one more")?;
    let homes = Homes(nodes);
    // Of those that joined it is the last.
    let number = homes.0.len() - 1;
    let something = vec![1; homes.0.len()];
    homes.until_held_by(&away, &something, WITHIN).await?;
    let before = homes.held_by(&away).await?;
    let expected = homes.post(&before, what.of).await?;
    let within = WITHIN * (1 + what.of as u32 / 100_000);
    homes.until_held_by(&away, &expected, within).await?;
    homes.until_held_by_each_other(&expected, within).await?;

    let (mut since_start, mut since_ready, mut missed) = (Vec::new(), Vec::new(), Spent::default());
    let mut kept = 0;
    for _ in 0..what.times {
        let held = homes.held_by(&away).await?;
        let kept_before = homes.bytes_kept_by(&away).await?;
        away.stop().await?;
        // Each task that is posted is one public record, its offer.
        let expected = homes.post(&held, what.records).await?;
        // Or whoever lacks something still has it of the one that comes back.
        homes.until_held_by_each_other(&expected, WITHIN).await?;
        let (begun, asked) = (Instant::now(), homes.trips().await?);
        away = mesh::start_again(scratch, number).await?;
        let ready = Instant::now();
        homes.until_held_by(&away, &expected, WITHIN).await?;
        since_start.push(begun.elapsed());
        since_ready.push(ready.elapsed());
        missed.add(&Spent::of(&away, &homes, asked).await?);
        // Old records may have given way meanwhile.
        kept += homes.bytes_kept_by(&away).await?.saturating_sub(kept_before);
    }
    let times = u64::from(what.times);
    let kept_each = kept / times;
    report.tell(
        "sync",
        json!({
            "records": what.records,
            "of": what.of,
            "homes": what.homes,
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

    // Among more, who asked whom is not told apart.
    if what.homes == 1 {
        report.tell("sync-equal", equal(&away, &homes).await?)?;
    }

    away.stop().await?;
    let (dir, of) = (scratch.path().join(format!("node-{number}")), homes.dids());
    let count = usize::try_from(what.scattered)?;
    let lost = tokio::task::spawn_blocking(move || loss::lose(&dir, &of, count)).await??;
    let (begun, asked) = (Instant::now(), homes.trips().await?);
    let away = mesh::start_again(scratch, number).await?;
    // At first it does not know what it lacks.
    while homes.trips().await?.get("holes") == asked.get("holes") {
        ensure!(begun.elapsed() < WITHIN, "what is missing was not asked for within {WITHIN:?}");
        tokio::time::sleep(LOOK_EACH).await;
    }
    let behind_the_last: Vec<u64> =
        lost.iter().map(|of_one| of_one.last().map_or(0, |last| last + 1)).collect();
    homes.until_held_by(&away, &behind_the_last, WITHIN).await?;
    let took = begun.elapsed();
    let spent = Spent::of(&away, &homes, asked).await?;
    report.tell(
        "sync-scattered",
        json!({
            "records": lost.iter().map(BTreeSet::len).sum::<usize>(),
            "of": what.of,
            "homes": what.homes,
            "since_start_ms": rounded(took.as_secs_f64() * 1_000.0),
            "sync_bytes": spent.bytes(),
            "goal_bytes": 150_000,
            "trips": spent.trips,
        }),
    )?;
    let mut all = homes.0;
    all.push(away);
    mesh::stop(all).await
}

/// The nodes whose records are missed, the founder first.
struct Homes(Vec<Node>);

impl Homes {
    fn dids(&self) -> Vec<String> {
        self.0.iter().map(|home| home.did.clone()).collect()
    }

    /// Posts so many tasks, at each home its part. Answers how far a node holds each one's journal that has all of it, after what it
    /// held before.
    async fn post(&self, held: &[u64], count: u64) -> anyhow::Result<Vec<u64>> {
        let queue = Queue { skill: "bench-sync".into(), reward: 0 };
        let homes = self.0.len() as u64;
        let mut expected = Vec::new();
        for (number, (home, held)) in (0..homes).zip(self.0.iter().zip(held)) {
            let part = count * (number + 1) / homes - count * number / homes;
            load::post_in_runs(home, &queue, part).await?;
            expected.push(held + part);
        }
        Ok(expected)
    }

    async fn held_by(&self, node: &Node) -> anyhow::Result<Vec<u64>> {
        let mut held = Vec::new();
        for home in &self.0 {
            held.push(mesh::held(node, &home.did).await?);
        }
        Ok(held)
    }

    async fn bytes_kept_by(&self, node: &Node) -> anyhow::Result<u64> {
        let mut bytes = 0;
        for home in &self.0 {
            bytes += mesh::kept_bytes(node, &home.did).await?;
        }
        Ok(bytes)
    }

    async fn until_held_by_each_other(&self, up_to: &[u64], within: Duration) -> anyhow::Result<()> {
        for home in &self.0 {
            self.until_held_by(home, up_to, within).await?;
        }
        Ok(())
    }

    /// Waits until a node holds so much of each one's journal, but of its own.
    async fn until_held_by(&self, node: &Node, up_to: &[u64], within: Duration) -> anyhow::Result<()> {
        let begun = Instant::now();
        for (home, up_to) in self.0.iter().zip(up_to).filter(|(home, _)| home.did != node.did) {
            while mesh::held(node, &home.did).await? < *up_to {
                ensure!(begun.elapsed() < within, "not all records came within {within:?}");
                tokio::time::sleep(LOOK_EACH).await;
            }
        }
        Ok(())
    }

    /// What all of them were asked on exchanges' streams.
    async fn trips(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        let mut of_all = BTreeMap::new();
        for home in &self.0 {
            for (name, count) in mesh::trips(home).await? {
                *of_all.entry(name).or_default() += count;
            }
        }
        Ok(of_all)
    }
}

/// What it costs two nodes to learn that nothing is missing: each of both asks the other in its turn.
async fn equal(away: &Node, homes: &Homes) -> anyhow::Result<Value> {
    let begun = Instant::now();
    let asks = async || -> anyhow::Result<(u64, BTreeMap<String, u64>)> {
        let mut of_both = mesh::trips(away).await?;
        for (name, count) in homes.trips().await? {
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
    async fn of(node: &Node, with: &Homes, asked_before: BTreeMap<String, u64>) -> anyhow::Result<Spent> {
        let (received, sent) = quiet(node).await?;
        let mut trips = with.trips().await?;
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
