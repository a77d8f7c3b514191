//! Tasks through the API, in the terms of the peers' harness: how many life-cycles a second, how long one takes on an
//! idle node, what a race of many does, and what a backlog costs.

use super::load::{self, Queue, Results, Workers, enroll};
use super::measure::{self, mb, percentiles, rate};
use super::node::Node;
use super::report::Report;
use clap::Args;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

/// Within which time everything that was posted must be done.
const DONE_WITHIN: Duration = Duration::from_secs(300);
/// Tasks before the ones whose latency counts.
const WARM_UP: u64 = 20;

/// How many tasks, and how they are given out.
#[derive(Args, Debug, Clone, Copy)]
pub(super) struct Shape {
    /// How many tasks.
    #[arg(long, default_value_t = 10_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub tasks: u64,
    /// How many posts are under way at once.
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=2_000))]
    pub in_flight: u64,
    /// How many tasks are in hand at once.
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub workers: u64,
    /// How many of them each agent has on its WebSocket.
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100))]
    pub slots: u64,
    /// The agents are at another node, which joined the one that tasks are posted to.
    #[arg(long)]
    pub away: bool,
    /// Over HTTP, an agent for each task in hand and one request after the other on each connection, instead of WebSockets.
    #[arg(long)]
    pub plain: bool,
}

/// Queues of tasks at one node, each with a skill of its own.
pub(super) struct Bench<'a> {
    pub node: &'a Node,
    /// Where agents enroll: the same node, or another one.
    pub at: &'a Node,
    pub report: &'a Report,
    pub dir: &'a Path,
    pub reward: u32,
    pub queues: u32,
}

impl Bench<'_> {
    /// A new queue. Its name differs from those of other processes at the same node.
    pub fn queue(&mut self) -> Queue {
        self.queues += 1;
        Queue { skill: format!("bench-{}-{}", std::process::id(), self.queues).into(), reward: self.reward }
    }

    /// Durable life-cycles a second, with the CPU that they cost.
    pub async fn throughput(&mut self, shape: Shape) -> anyhow::Result<()> {
        let queue = self.queue();
        let away = !std::ptr::eq(self.node, self.at);
        let (mut results, workers) = if shape.plain {
            let lines = load::enroll_all(self.at, &queue, shape.workers, away).await?;
            (Results::watch(self.node).await?, Workers::start(lines))
        } else {
            let sockets = load::sockets(self.at, &queue, (shape.workers, shape.slots), away).await?;
            (Results::watch_on_a_socket(self.node).await?, Workers::start_on_sockets(sockets))
        };
        let fsync_us = measure::fsync_p50_us(self.dir)?;
        let used =
            || self.node.usage().map(|home| (home, self.at.usage().filter(|_| away).unwrap_or_default()));
        let (before, own) = (used(), measure::usage(std::process::id())?);
        let begun = Instant::now();
        let (posted, done) = tokio::join!(
            async {
                match shape.plain {
                    true => load::post(self.node, &queue, shape.tasks, shape.in_flight).await?,
                    false => load::post_on_a_socket(self.node, &queue, shape.tasks, shape.in_flight).await?,
                }
                Ok::<_, anyhow::Error>(begun.elapsed())
            },
            async { results.wait(shape.tasks, DONE_WITHIN).await.map(|()| begun.elapsed()) },
        );
        let (posted, done) = (posted?, done?);
        let (after, own_after) = (used(), measure::usage(std::process::id())?);
        workers.stop().await?;
        let generator_us = own_after.cpu_us - own.cpu_us;
        let cpu = |(home, at): (measure::Usage, measure::Usage)| home.cpu_us + at.cpu_us;
        let server_us = before.zip(after).map(|(before, after)| cpu(after) - cpu(before));
        let each = |us: u64| (us as f64 / shape.tasks as f64).round();
        self.report.tell(
            "throughput",
            json!({
                "n": shape.tasks,
                "in_flight": shape.in_flight,
                "workers": shape.workers,
                "away": away,
                "plain": shape.plain,
                "slots": if shape.plain { 1 } else { shape.slots },
                "fsync_p50_us": fsync_us,
                "tasks_s": rate(shape.tasks, done),
                "submit_s": rate(shape.tasks, posted),
                "server_cpu_us_per_task": server_us.map(each),
                "cpu_us_per_task": server_us.map(|us| each(us + generator_us)),
                "after_server_pss_mb": after.map(|(home, _)| mb(home.pss_kb)),
            }),
        )
    }

    /// From post to claim and to visible result, one task after the other.
    pub async fn latency(&mut self, tasks: u64, workers: u64) -> anyhow::Result<()> {
        let queue = self.queue();
        let mut results = Results::watch(self.node).await?;
        let mut workers = Workers::start(load::enroll_all(self.node, &queue, workers, false).await?);
        let mut line = self.node.line().await?;
        let fsync_us = measure::fsync_p50_us(self.dir)?;
        let (mut claimed, mut seen) = (Vec::new(), Vec::new());
        for number in 0..WARM_UP + tasks {
            let begun = Instant::now();
            let (posted, result) = tokio::join!(load::post_one(&mut line, &queue, number), async {
                results.wait(1, DONE_WITHIN).await.map(|()| begun.elapsed())
            },);
            posted?;
            let (result, claim) = (result?, workers.claim().await);
            if number >= WARM_UP {
                seen.push(result);
                claimed.extend(claim.map(|claim| claim.at - begun));
            }
        }
        workers.stop().await?;
        let figures = json!({"n": tasks, "fsync_p50_us": fsync_us, "claim_ms": percentiles(claimed), "result_ms": percentiles(seen)});
        self.report.tell("latency", figures)
    }

    /// Many workers empty a queue: nobody gets what another has, and nothing is left.
    pub async fn contention(&mut self, racers: u64, tasks: u64) -> anyhow::Result<()> {
        let queue = self.queue();
        load::post_in_runs(self.node, &queue, tasks).await?;
        let mut results = Results::watch(self.node).await?;
        let lines = load::enroll_all(self.node, &queue, racers, false).await?;
        let begun = Instant::now();
        let workers = Workers::start(lines);
        results.wait(tasks, DONE_WITHIN).await?;
        let took = begun.elapsed();
        let titles = workers.stop().await?;
        let (distinct, double) = distinct_and_double(titles);
        let figures = json!({"workers": racers, "tasks": tasks, "claims_s": rate(tasks, took), "double_claims": double, "claimed": distinct});
        self.report.tell("contention", figures)
    }

    /// Many agents each try to claim every one of the named tasks.
    pub async fn named_race(&mut self, racers: u64, tasks: u64) -> anyhow::Result<()> {
        let queue = self.queue();
        let runs = load::post_in_runs(self.node, &queue, tasks).await?;
        let names: Arc<Vec<String>> = Arc::new(load::tasks_of(self.node, &runs).await?);
        let ready = Arc::new(Barrier::new(racers as usize + 1));
        let mut race: JoinSet<anyhow::Result<Vec<String>>> = JoinSet::new();
        for _ in 0..racers {
            let (mut line, names, ready) =
                (enroll(self.node.address, &queue.skill, false).await?, names.clone(), ready.clone());
            race.spawn(async move {
                ready.wait().await;
                let mut won = Vec::new();
                for name in names.iter() {
                    match line.post(&format!("/v1/tasks/{name}/claim"), "{}").await? {
                        409 => {}
                        status => {
                            line.read::<serde::de::IgnoredAny>(status, 200).map(|_| won.push(name.clone()))?
                        }
                    }
                }
                Ok(won)
            });
        }
        ready.wait().await;
        let begun = Instant::now();
        let mut won = Vec::new();
        while let Some(done) = race.join_next().await {
            won.extend(done??);
        }
        let took = begun.elapsed();
        let (distinct, double) = distinct_and_double(won);
        let tries = racers * tasks;
        let figures = json!({"racers": racers, "tasks": tasks, "wins_s": rate(tasks, took), "attempts_s": rate(tries, took), "double_claims": double, "claimed": distinct});
        self.report.tell("named_race", figures)
    }

    /// What is drained a second from a backlog of this many tasks.
    pub async fn growth(&mut self, backlog: u64, drain: u64, workers: u64) -> anyhow::Result<()> {
        let queue = self.queue();
        let begun = Instant::now();
        load::post_in_runs(self.node, &queue, backlog).await?;
        let loaded = begun.elapsed();
        let (usage, drained) = (self.node.usage(), backlog.min(drain));
        let mut results = Results::watch(self.node).await?;
        let lines = load::enroll_all(self.node, &queue, workers, false).await?;
        let begun = Instant::now();
        let workers = Workers::start(lines);
        results.wait(drained, DONE_WITHIN).await?;
        let took = begun.elapsed();
        workers.stop().await?;
        self.report.tell(
            "growth",
            json!({
                "backlog": backlog,
                "drained": drained,
                "tasks_s": rate(drained, took),
                "bulk_load_s": rate(backlog, loaded),
                "server_pss_mb": usage.map(|usage| mb(usage.pss_kb)),
            }),
        )
    }

    /// What a node costs while its workers wait.
    pub async fn idle(&mut self, workers: u64, for_s: u64) -> anyhow::Result<()> {
        let queue = self.queue();
        let workers = Workers::start(load::enroll_all(self.node, &queue, workers, false).await?);
        // What the start left to do is done, and every worker waits.
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let before = self.node.usage();
        tokio::time::sleep(Duration::from_secs(for_s)).await;
        let after = self.node.usage();
        workers.stop().await?;
        let spent = before
            .zip(after)
            .map(|(before, after)| (after.cpu_us - before.cpu_us) as f64 / (for_s as f64 * 1e4));
        let figures: Value = json!({
            "server_pss_mb": after.map(|usage| mb(usage.pss_kb)),
            "server_cpu_pct": spent.map(measure::rounded),
        });
        self.report.tell("idle", figures)
    }
}

/// How many different names there are, and how many of them more than once.
fn distinct_and_double(names: Vec<String>) -> (usize, usize) {
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    names.into_iter().for_each(|name| *counts.entry(name).or_default() += 1);
    (counts.len(), counts.values().filter(|count| **count > 1).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_two_won_is_seen() {
        let names = ["a", "b", "a", "c", "a"].map(str::to_owned).to_vec();
        assert_eq!(distinct_and_double(names), (3, 1));
    }
}
