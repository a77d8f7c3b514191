//! `netsim mesh`: many seeds of mesh worlds, and the planted bugs of the mesh.

use artel_netsim::Telling;
use artel_netsim::mesh::context::MeshCounts;
use artel_netsim::mesh::{MeshPlan, MeshReport, MeshSabotage, run};
use artel_netsim::trace::Sink;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

/// What was asked for.
pub struct Wanted {
    /// The seeds, from and up to.
    pub seeds: (u64, u64),
    /// How many nodes.
    pub nodes: Option<u64>,
    /// Whether there is a market between them.
    pub market: bool,
    /// How many threads.
    pub threads: u64,
    /// A planted bug.
    pub sabotage: Option<MeshSabotage>,
    /// Whether each seed's hash is printed.
    pub each: bool,
    /// Whether all failures are listed.
    pub all: bool,
    /// Whether every event is printed.
    pub trace: bool,
}

impl Wanted {
    fn plan(&self, telling: Telling) -> MeshPlan {
        let sink: Option<Sink> = if telling == Telling::All { Some(Box::new(crate::say)) } else { None };
        MeshPlan { nodes: self.nodes, market: self.market, sabotage: self.sabotage, telling, sink }
    }
}

/// What many worlds did, added up.
#[derive(Default)]
struct Sum {
    worlds: u64,
    nodes: u64,
    events: u64,
    counts: MeshCounts,
    checks: (u64, u64),
    clock_ms: (u64, u64),
    failures: u64,
    failed: Option<MeshReport>,
}

impl Sum {
    fn add(&mut self, report: MeshReport) {
        let (clock, checks) = (report.clock_ms, report.checks);
        let failures = u64::from(report.violation.is_some());
        let one = Sum {
            worlds: 1,
            nodes: report.nodes as u64,
            events: report.events,
            counts: report.counts,
            checks,
            clock_ms: clock,
            failures,
            failed: report.violation.is_some().then_some(report),
        };
        self.merge(one);
    }

    fn merge(&mut self, other: Sum) {
        self.worlds += other.worlds;
        self.nodes += other.nodes;
        self.events += other.events;
        self.counts.add(other.counts);
        self.checks = (self.checks.0 + other.checks.0, self.checks.1 + other.checks.1);
        self.clock_ms = (self.clock_ms.0 + other.clock_ms.0, self.clock_ms.1.max(other.clock_ms.1));
        self.failures += other.failures;
        self.failed = match (self.failed.take(), other.failed) {
            (Some(a), Some(b)) => Some(if a.seed <= b.seed { a } else { b }),
            (a, b) => a.or(b),
        };
    }
}

/// What such worlds are called.
fn kind(market: bool) -> &'static str {
    if market { "market" } else { "mesh" }
}

/// Runs seeds of mesh worlds.
pub fn run_seeds(wanted: &Wanted) -> ExitCode {
    let began = Instant::now();
    let stop = AtomicBool::new(false);
    let kind = kind(wanted.market);
    let work = |offset: u64| {
        let mut sum = Sum::default();
        let mut seed = wanted.seeds.0 + offset;
        while seed < wanted.seeds.1 && !stop.load(Ordering::Relaxed) {
            let began = Instant::now();
            let report = run(seed, wanted.plan(if wanted.trace { Telling::All } else { Telling::Hash }));
            if wanted.each {
                crate::say(&format!(
                    "{kind} seed {seed}: {} nodes, {} events in {} ms, trace {}",
                    report.nodes,
                    report.events,
                    began.elapsed().as_millis(),
                    report.hash
                ));
            }
            if let Some(violation) = &report.violation {
                if wanted.all {
                    let (name, what) = (violation.invariant, &violation.what);
                    crate::say(&format!("{kind} seed {seed}: {name} at node {}: {what}", violation.home));
                }
                stop.fetch_or(!wanted.all, Ordering::Relaxed);
            }
            sum.add(report);
            seed += wanted.threads;
        }
        sum
    };
    let mut sum = Sum::default();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..wanted.threads).map(|offset| scope.spawn(move || work(offset))).collect();
        for worker in workers {
            sum.merge(worker.join().expect("a world that panics ends the run with its message"));
        }
    });
    tell(&sum, kind, began.elapsed().as_secs_f64());
    match &sum.failed {
        None => ExitCode::SUCCESS,
        Some(_) if wanted.all => {
            crate::say(&format!("{} {kind} seeds failed", sum.failures));
            ExitCode::FAILURE
        }
        Some(report) => failed(report, wanted),
    }
}

fn tell(sum: &Sum, kind: &str, seconds: f64) {
    let c = &sum.counts;
    crate::say(&format!(
        "{} {kind} seeds of {} nodes in {seconds:.1} s ({:.0} events/s)",
        sum.worlds,
        sum.nodes,
        sum.events as f64 / seconds
    ));
    crate::say(&format!(
        "{} events; {} entries; {} messages gossiped, {} deliveries in {} copies (model); {} frames kept, {} of them \
         fetched in {} exchanges; {} rejected; {} times old ones gave way",
        sum.events,
        c.entries,
        c.published,
        c.delivered,
        c.copies,
        c.kept,
        c.fetched,
        c.exchanges,
        c.rejected,
        c.given_up
    ));
    crate::say(&format!(
        "{} heads cosigned, {} returned, {} questions; {} clones, {} proofs of fraud held at the end; {} admissions, {} \
         expulsions; {} power losses, {} starts, {} partitions",
        c.cosigned,
        c.returned,
        c.asked,
        c.clones,
        c.frauds,
        c.admissions,
        c.expulsions,
        c.crashes,
        c.starts,
        c.partitions
    ));
    if c.visits > 0 {
        crate::say(&format!(
            "{} visits; {} leases of other homes taken on, {} results handed in, {} acknowledged ({} with files that home \
             fetched), {} accepted in the end; {} files fetched by workers; {} lots fell, {} of them by \
             witnesses; {} runs again by neighbours, {} told to the rules, {} of \
             them settled nothing, {} results refuted, {} later ({} told to their agents); {} silences; {} summaries compared, {} forged, {} times one was found wrong",
            c.visits,
            c.undertaken,
            c.handed_in,
            c.acknowledged,
            c.brought,
            c.accepted,
            c.fetched_files,
            c.lots,
            c.witnessed,
            c.reran,
            c.redone,
            c.unsettled,
            c.refuted,
            c.refuted_late,
            c.refuted_away,
            c.silences,
            c.compared,
            c.forged,
            c.flagged
        ));
        crate::say(&format!(
            "{} delegations ended; {} visits on one refused, {} claims that waited on one; {} visits on a newer one",
            c.endings, c.ended, c.unwaited, c.anew
        ));
    }
    crate::say(&format!(
        "{} checks asked for, {} computed; the slowest world agreed {:.1} s after its last fault",
        sum.checks.0,
        sum.checks.1,
        sum.clock_ms.1 as f64 / 1_000.0
    ));
}

fn failed(report: &MeshReport, wanted: &Wanted) -> ExitCode {
    // The seed replays exactly, now with its last lines.
    let again = run(report.seed, wanted.plan(Telling::Last));
    again.last.iter().for_each(|line| crate::say(line));
    if let Some(violation) = &report.violation {
        let nodes = wanted.nodes.map_or_else(String::new, |n| format!(" --nodes {n}"));
        let sabotage = wanted.sabotage.map_or_else(String::new, |s| format!(" --sabotage {}", s.name()));
        crate::say(&format!(
            "FAILED: {} at node {}: {}",
            violation.invariant, violation.home, violation.what
        ));
        let (seed, next) = (report.seed, report.seed + 1);
        let kind = kind(wanted.market);
        crate::say(&format!(
            "{kind} seed {seed}; again with: netsim {kind} --seeds {seed}..{next}{nodes}{sabotage} --trace"
        ));
    }
    ExitCode::FAILURE
}

/// Runs each planted bug of the mesh until an invariant notices it; answers how many were not noticed as they should be.
pub fn sabotages(seeds: (u64, u64)) -> u64 {
    let mut missed = 0;
    for sabotage in MeshSabotage::ALL {
        let market = sabotage.is_of_market();
        let planted = |seed| run(seed, MeshPlan { market, sabotage: Some(*sabotage), ..MeshPlan::default() });
        let caught = (seeds.0..seeds.1).map(planted).find_map(|r| r.violation.map(|v| (r.seed, v)));
        let Some((seed, violation)) = caught else {
            missed += 1;
            crate::say(&format!("{:24} NOT CAUGHT", sabotage.name()));
            continue;
        };
        let right = sabotage.caught_by().contains(&violation.invariant);
        missed += u64::from(!right);
        let note = if right { "" } else { " (not by the one that should)" };
        let (name, what) = (violation.invariant, violation.what);
        crate::say(&format!("{:24} {} seed {seed:4}: {name}{note}: {what}", sabotage.name(), kind(market)));
    }
    missed
}
