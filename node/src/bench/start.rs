//! How long a node takes from its start to ready and to its first durable answer, with a journal of a given length, after
//! it was killed. The journal is filled by life-cycles as any other.

use super::load::{self, Queue, Results, Workers};
use super::measure::{self, mb};
use super::node::{Node, Scratch};
use super::report::Report;
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};

/// How many posts are under way at once while the journal is filled.
const IN_FLIGHT: u64 = 64;
/// How many agents work meanwhile.
const WORKERS: u64 = 8;
/// How many tasks are posted before the journal's length is looked at again.
const FILL_TASKS: u64 = 1_000;
/// Within which time that many tasks must be done.
const FILL_WITHIN: Duration = Duration::from_secs(120);

/// Measures the starts with at least `entries` entries in the journal.
///
/// # Errors
/// What the node, the disk or a socket says.
pub(super) async fn start(
    report: &Report,
    scratch: &Scratch,
    reward: u32,
    entries: u64,
    starts: u32,
) -> anyhow::Result<()> {
    let data = scratch.path().join(format!("start-{entries}"));
    let node = Node::start(&data).await?;
    let founded_in = node.ready_in;
    let held = fill(&node, reward, entries).await?;
    node.kill().await?;
    let (mut ready, mut answered, mut pss_kb) = (Vec::new(), Vec::new(), None);
    for _ in 0..starts {
        let (took, memory) = once(&data, reward, &mut answered).await?;
        ready.push(took);
        pss_kb = memory.or(pss_kb);
    }
    std::fs::remove_dir_all(&data)?;
    report.tell(
        "start",
        json!({
            "entries": held,
            "starts": starts,
            "fsync_p50_us": measure::fsync_p50_us(scratch.path())?,
            "founded_ms": measure::rounded(founded_in.as_secs_f64() * 1e3),
            "ready_ms": measure::percentiles(ready),
            "first_answer_ms": measure::percentiles(answered),
            "server_pss_mb": pss_kb.map(mb),
        }),
    )
}

/// Starts the node, has one task acknowledged, and kills it.
async fn once(
    data: &Path,
    reward: u32,
    answered: &mut Vec<Duration>,
) -> anyhow::Result<(Duration, Option<u64>)> {
    let begun = Instant::now();
    let node = Node::start(data).await?;
    let mut line = node.line().await?;
    load::post_one(&mut line, &Queue { skill: "bench-start".into(), reward }, 0).await?;
    answered.push(begun.elapsed());
    let (ready_in, usage) = (node.ready_in, node.usage());
    node.kill().await?;
    Ok((ready_in, usage.map(|usage| usage.pss_kb)))
}

/// Fills the journal; answers how many entries it has.
async fn fill(node: &Node, reward: u32, entries: u64) -> anyhow::Result<u64> {
    let queue = Queue { skill: "bench-fill".into(), reward };
    let mut line = node.line().await?;
    let mut held = load::entries(&mut line).await?;
    if held >= entries {
        return Ok(held);
    }
    let mut results = Results::watch(node).await?;
    let workers = Workers::start(load::enroll_all(node, &queue, WORKERS, false).await?);
    while held < entries {
        let (posted, done) = tokio::join!(
            load::post(node, &queue, FILL_TASKS, IN_FLIGHT),
            results.wait(FILL_TASKS, FILL_WITHIN)
        );
        posted?;
        done?;
        held = load::entries(&mut line).await?;
    }
    workers.stop().await?;
    Ok(held)
}
