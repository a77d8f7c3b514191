//! `artel bench`: a load generator of our own, in the terms of the peers' harness (tests/bench). It starts a node as a
//! process, or takes one that runs, and speaks to it over HTTP like anybody else; nothing here reaches into a node.

mod across;
mod audit;
mod catch_up;
mod gossip;
mod load;
pub mod loss;
mod measure;
mod mesh;
mod node;
mod report;
mod socket;
mod start;
mod step;
mod tasks;
mod wire;

use crate::cli::context::Context;
use catch_up::CatchUp;
use clap::{Args, Subcommand};
use gossip::Spread;
use node::{Node, Scratch};
use report::Report;
use std::path::PathBuf;
use std::time::Duration;
use tasks::{Bench as Queues, Shape};

/// Measure how fast a node is on this machine.
#[derive(Args, Debug)]
pub struct Bench {
    #[command(flatten)]
    how: How,
    #[command(subcommand)]
    what: What,
}

#[derive(Args, Debug)]
struct How {
    /// Measure the node that --node or --data names instead of one that is started for it.
    #[arg(long, global = true)]
    running: bool,
    /// On which disk to work; a directory is made there and removed again.
    #[arg(long, global = true, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// What a task pays, in credits; 0 leaves escrow and payment out.
    #[arg(long, global = true, default_value_t = 1, value_name = "CREDITS")]
    reward: u32,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Durable life-cycles a second: post, claim, submit, result seen.
    Throughput(Shape),
    /// From post to claim and to visible result on an idle node.
    Latency {
        /// How many tasks, one after the other.
        #[arg(long, default_value_t = 500, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
        tasks: u64,
        /// How many agents wait for them.
        #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000))]
        workers: u64,
    },
    /// Racers empty a queue, then all try to claim the same named tasks.
    Contention {
        /// How many agents race.
        #[arg(long, default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000))]
        racers: u64,
        /// For how many tasks.
        #[arg(long, default_value_t = 1_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
        tasks: u64,
    },
    /// What a backlog costs: tasks drained a second beside waiting ones.
    Growth {
        /// How many tasks wait; may be given more than once.
        #[arg(long, default_values_t = [1_000, 10_000, 100_000], value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
        backlog: Vec<u64>,
        /// How many of them are drained at most.
        #[arg(long, default_value_t = 4_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
        drain: u64,
        /// How many agents drain them.
        #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000))]
        workers: u64,
    },
    /// The journal beside bare group commit, and what a proof costs.
    Audit {
        /// How many records share a sync; may be given more than once.
        #[arg(long, default_values_t = [1, 8, 64, 512], value_name = "N", value_parser = clap::value_parser!(u64).range(1..=4_096))]
        group: Vec<u64>,
        /// How long each figure is measured, in milliseconds.
        #[arg(long, default_value_t = 1_000, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=600_000))]
        each_ms: u64,
    },
    /// From start to ready after a kill, by the length of the journal.
    Start {
        /// How many entries the journal has at least; may be given more than once.
        #[arg(long, default_values_t = [0, 10_000, 1_000_000], value_name = "N")]
        entries: Vec<u64>,
        /// How often the node is started with each.
        #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
        starts: u32,
    },
    /// A step in the sandbox, its module compiled before, beside starting /bin/true and one sync.
    Step {
        /// How many steps, one after the other.
        #[arg(long, default_value_t = 500, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        steps: u32,
    },
    /// A claim and a result at another home, beside the same at home.
    Claim {
        /// How many claims, one after the other.
        #[arg(long, default_value_t = 500, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
        claims: u64,
    },
    /// An artifact fetched from another home, beside a plain copy over loopback.
    Blob {
        /// How large it is, in megabytes of 1,048,576 bytes.
        #[arg(long, default_value_t = 64, value_name = "MB", value_parser = clap::value_parser!(u64).range(1..=230))]
        mb: u64,
        /// How many.
        #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
        times: u32,
    },
    /// Bytes and round trips of two nodes that hold the same, or of which one lacks the newest records, or scattered ones.
    Sync(CatchUp),
    /// How an offer spreads over many nodes.
    Gossip(Spread),
    /// What a node takes of memory and CPU while its agents wait.
    Idle {
        /// How many agents wait.
        #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000))]
        workers: u64,
        /// For how long, in seconds.
        #[arg(long, default_value_t = 5, value_name = "S", value_parser = clap::value_parser!(u64).range(1..=3_600))]
        seconds: u64,
        /// Beside another node that it is joined with.
        #[arg(long)]
        meshed: bool,
    },
}

impl Bench {
    /// Measures.
    ///
    /// # Errors
    /// What could not be measured, and why.
    pub async fn run(self, context: &Context) -> anyhow::Result<()> {
        let How { running, dir, reward } = self.how;
        let report =
            Report::new(context.show, if reward == 0 { "fsync-first-unpaid" } else { "fsync-first" });
        let _ticking = report.tick();
        let scratch = Scratch::new(dir.as_deref())?;
        match &self.what {
            What::Audit { group, each_ms } => {
                let (group, each) = (group.clone(), Duration::from_millis(*each_ms));
                let measuring = move || audit::audit(&report, &scratch, &group, each);
                return tokio::task::spawn_blocking(measuring).await?;
            }
            What::Start { entries, starts } => {
                for entries in entries {
                    start::start(&report, &scratch, reward, *entries, *starts).await?;
                }
                return Ok(());
            }
            What::Step { steps } => return step::step(&report, &scratch, *steps).await,
            What::Claim { claims } => return across::claim(&report, &scratch, reward, *claims).await,
            What::Blob { mb, times } => return across::blob(&report, &scratch, *mb, *times).await,
            What::Sync(catch_up) => return catch_up::sync(&report, &scratch, *catch_up).await,
            What::Gossip(spread) => return gossip::gossip(&report, &scratch, *spread).await,
            What::Throughput(Shape { away: true, .. }) | What::Idle { meshed: true, .. } => {
                let nodes = mesh::start(&scratch, 1).await?;
                let (node, at) = (&nodes[0], &nodes[1]);
                let mut queues = Queues { node, at, report: &report, dir: scratch.path(), reward, queues: 0 };
                through_the_api(&mut queues, self.what).await?;
                return mesh::stop(nodes).await;
            }
            _ => {}
        }
        let node =
            if running { Node::running(context)? } else { Node::start(&scratch.path().join("node")).await? };
        let mut queues =
            Queues { node: &node, at: &node, report: &report, dir: scratch.path(), reward, queues: 0 };
        through_the_api(&mut queues, self.what).await?;
        node.stop().await
    }
}

async fn through_the_api(queues: &mut Queues<'_>, what: What) -> anyhow::Result<()> {
    match what {
        What::Throughput(shape) => queues.throughput(shape).await,
        What::Latency { tasks, workers } => queues.latency(tasks, workers).await,
        What::Contention { racers, tasks } => {
            queues.contention(racers, tasks).await?;
            queues.named_race(racers, tasks).await
        }
        What::Growth { backlog, drain, workers } => {
            for backlog in backlog {
                queues.growth(backlog, drain, workers).await?;
            }
            Ok(())
        }
        What::Idle { workers, seconds, .. } => queues.idle(workers, seconds).await,
        What::Audit { .. }
        | What::Start { .. }
        | What::Step { .. }
        | What::Claim { .. }
        | What::Blob { .. }
        | What::Sync(_)
        | What::Gossip(_) => {
            unreachable!("these start what they need themselves")
        }
    }
}
