//! `netsim`: runs seeds of the simulator, replays one with every line, shows that planted bugs are caught. It has no
//! logic of its own.

mod cli;

use artel_audit::memory::Fault;
use artel_netsim::home::{Counts, Tally};
use artel_netsim::mesh::measure::Measure;
use artel_netsim::mesh::{self, MeshSabotage};
use artel_netsim::trace::Sink;
use artel_netsim::{Plan, Report, Sabotage, Telling, invariants, run};
use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

/// The most threads: seeds are spread over them, and the machines this is made for have two cores.
const THREADS_MAX: u64 = 2;

/// The most messages that the model of gossip is asked for.
const GOSSIP_MESSAGES_MAX: u64 = 100_000;

/// The most nodes that it has: what one machine's memory holds.
const GOSSIP_NODES_MAX: u64 = 10_000;

/// The longest message: what a gossip message may have.
const MESSAGE_BYTES_MAX: u64 = 64 << 10;

/// How many shards of offers there are.
const SHARDS: u64 = 16;

/// Of a hundred nodes how many may fall silent: somebody must be left to say and to hear.
const GONE_PERCENT_MAX: u64 = 50;

/// The longest link, in microseconds: once around the world and more.
const LINK_US_MAX: u64 = 1_000_000;

const HELP: &str = "\
netsim: many homes and agents on one virtual clock, with bad channels, disks and clocks

  netsim run --seeds A..B [--nodes N] [--threads 1|2] [--sabotage NAME] [--each] [--all] [--tally]
  netsim replay SEED [--nodes N] [--sabotage NAME] [--trace]
  netsim mesh --seeds A..B [--nodes N] [--threads 1|2] [--sabotage NAME] [--each] [--all] [--trace]
  netsim market --seeds A..B [--nodes N] [--threads 1|2] [--sabotage NAME] [--each] [--all] [--trace]
  netsim gossip [--nodes N] [--neighbours N] [--messages N] [--bytes N] [--shards N] [--gone PERCENT] [--link-us N]
                [--seed SEED] [--json]
  netsim points SEED
  netsim sabotages [--seeds N]
  netsim invariants

run         runs the seeds from A up to B; prints what happened and, of the first that fails, seed, invariant, last events;
            --all goes on and lists all that fail, --each prints each seed's hash, --tally what was seen how often
replay      runs one seed; --trace prints every event
mesh        runs the seeds from A up to B of worlds of many nodes: records, exchange, membership, witnesses
market      the same with a market between 3 to 8 nodes: agents work for other nodes' runs, results travel, are run again and
            become evidence
gossip      measures the model of gossip: copies, hops, time and bytes of messages among N nodes (default 30, at most
            10000), each with as many neighbours as --neighbours says (default 16), of which --gone percent fall silent
            first; messages of --bytes (default 300) go in turns over --shards topics (default 16), a link takes
            --link-us beside what it takes on one machine (default 0)
points      runs a small world again and again, each time with one power loss, one error or one full disk at the next of all
            writes and syncs of its home
sabotages   runs each planted bug until an invariant notices it, at most N seeds (default 200)
invariants  lists what is looked at

A node is a home with its operator or a place where agents live: 1 to 20 of them, drawn from the seed unless --nodes says.
In a mesh each is a home: 3 to 30, or as many as --nodes says, at most 200.
Exit status: 0 all held, 1 something did not, 2 wrong use.

Example: netsim run --seeds 0..1800 --threads 2
";

struct Options {
    seeds: (u64, u64),
    nodes: Option<u64>,
    threads: u64,
    sabotage: Option<Sabotage>,
    mesh_sabotage: Option<MeshSabotage>,
    each: bool,
    all: bool,
    tally: bool,
    trace: bool,
    json: bool,
    gossip: Measure,
    replayed: Option<u64>,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((command, rest)) = args.split_first() else {
        return wrong("say what to do");
    };
    if command == "--help" || command == "help" || rest.iter().any(|arg| arg == "--help") {
        say(HELP.trim_end());
        return ExitCode::SUCCESS;
    }
    let options = match parse(rest) {
        Ok(options) => options,
        Err(what) => return wrong(&what),
    };
    match (command.as_str(), options.replayed) {
        ("run", None) => run_seeds(&options),
        ("replay", Some(seed)) => replay(seed, &options),
        ("mesh", None) => cli::mesh::run_seeds(&wanted(&options, false)),
        ("market", None) => cli::mesh::run_seeds(&wanted(&options, true)),
        ("gossip", None) => cli::gossip::tell(measure(&options), options.json),
        ("points", Some(seed)) => points(seed),
        ("sabotages", None) => sabotages(&options),
        ("invariants", None) => {
            let names = invariants::names();
            let all = names.iter().chain(mesh::invariants::NAMES).chain(mesh::market::invariants::NAMES);
            all.for_each(|name| say(name));
            ExitCode::SUCCESS
        }
        _ => wrong("that is no command of netsim's"),
    }
}

fn say(line: &str) {
    // Whoever has closed our output does not want to read on.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

fn wrong(what: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr().lock(), "netsim: {what}\n\n{HELP}");
    ExitCode::from(2)
}

fn parse(args: &[String]) -> Result<Options, String> {
    let mut options = Options {
        seeds: (0, 200),
        nodes: None,
        threads: 1,
        sabotage: None,
        mesh_sabotage: None,
        each: false,
        all: false,
        tally: false,
        trace: false,
        json: false,
        gossip: Measure::default(),
        replayed: None,
    };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} wants a value"));
        let number = |text: &str| text.parse::<u64>().map_err(|_| format!("{text:?} is not a number"));
        match arg.as_str() {
            "--seeds" => {
                let text = value()?;
                options.seeds = match text.split_once("..") {
                    Some((from, to)) => (number(from)?, number(to)?),
                    None => (0, number(text)?),
                };
            }
            "--nodes" => options.nodes = Some(number(value()?)?),
            "--threads" => options.threads = number(value()?)?.clamp(1, THREADS_MAX),
            "--sabotage" => {
                let name = value()?;
                let mut names: Vec<&str> = Sabotage::ALL.iter().map(|s| s.name()).collect();
                names.extend(MeshSabotage::ALL.iter().map(|s| s.name()));
                (options.sabotage, options.mesh_sabotage) =
                    (Sabotage::parse(name), MeshSabotage::parse(name));
                if options.sabotage.is_none() && options.mesh_sabotage.is_none() {
                    return Err(format!("no planted bug {name:?}; there are {names:?}"));
                }
            }
            "--each" => options.each = true,
            "--all" => options.all = true,
            "--tally" => options.tally = true,
            "--trace" => options.trace = true,
            "--json" => options.json = true,
            "--messages" => options.gossip.messages = number(value()?)?.min(GOSSIP_MESSAGES_MAX),
            "--neighbours" => {
                options.gossip.neighbours = number(value()?)?.clamp(1, GOSSIP_NODES_MAX) as usize;
            }
            "--bytes" => options.gossip.bytes = number(value()?)?.min(MESSAGE_BYTES_MAX) as usize,
            "--shards" => options.gossip.shards = number(value()?)?.clamp(1, SHARDS) as u8,
            "--gone" => options.gossip.gone_percent = number(value()?)?.min(GONE_PERCENT_MAX),
            "--link-us" => options.gossip.link_us = number(value()?)?.min(LINK_US_MAX),
            "--seed" => options.gossip.seed = number(value()?)?,
            text => options.replayed = Some(number(text)?),
        }
    }
    Ok(options)
}

fn measure(options: &Options) -> Measure {
    let nodes = options.nodes.map(|nodes| nodes.clamp(2, GOSSIP_NODES_MAX) as usize);
    Measure { nodes: nodes.unwrap_or(options.gossip.nodes), ..options.gossip }
}

fn wanted(options: &Options, market: bool) -> cli::mesh::Wanted {
    cli::mesh::Wanted {
        market,
        seeds: options.seeds,
        nodes: options.nodes,
        threads: options.threads,
        sabotage: options.mesh_sabotage,
        each: options.each,
        all: options.all,
        trace: options.trace,
    }
}

fn plan(options: &Options, telling: Telling) -> Plan {
    let sink: Option<Sink> = if telling == Telling::All { Some(Box::new(say)) } else { None };
    Plan { nodes: options.nodes, sabotage: options.sabotage, only: None, telling, sink }
}

/// What many worlds did, added up.
#[derive(Default)]
struct Sum {
    worlds: u64,
    events: u64,
    counts: Counts,
    tally: Tally,
    steps: (u64, u64),
    clock_ms: (u64, u64),
    failures: u64,
    failed: Option<Report>,
}

impl Sum {
    fn add(&mut self, report: Report) {
        self.worlds += 1;
        self.events += report.events;
        self.counts.add(report.counts);
        self.tell(&report.tally);
        self.steps = (self.steps.0 + report.steps.0, self.steps.1 + report.steps.1);
        self.clock_ms = (self.clock_ms.0 + report.clock_ms.0, self.clock_ms.1.max(report.clock_ms.1));
        if report.violation.is_some() {
            self.failures += 1;
            self.failed.get_or_insert(report);
        }
    }

    fn tell(&mut self, tally: &Tally) {
        for (name, times) in tally {
            *self.tally.entry(name).or_default() += times;
        }
    }

    fn merge(&mut self, other: Sum) {
        self.worlds += other.worlds;
        self.events += other.events;
        self.counts.add(other.counts);
        self.tell(&other.tally);
        self.steps = (self.steps.0 + other.steps.0, self.steps.1 + other.steps.1);
        self.clock_ms = (self.clock_ms.0 + other.clock_ms.0, self.clock_ms.1.max(other.clock_ms.1));
        self.failures += other.failures;
        let first = |a: &Report, b: &Report| a.seed <= b.seed;
        self.failed = match (self.failed.take(), other.failed) {
            (Some(a), Some(b)) => Some(if first(&a, &b) { a } else { b }),
            (a, b) => a.or(b),
        };
    }
}

fn run_seeds(options: &Options) -> ExitCode {
    let (from, to) = options.seeds;
    let began = Instant::now();
    let stop = AtomicBool::new(false);
    let work = |offset: u64| {
        let mut sum = Sum::default();
        let mut seed = from + offset;
        while seed < to && !stop.load(Ordering::Relaxed) {
            let report = run(seed, plan(options, Telling::Hash));
            if options.each {
                say(&format!("seed {seed}: {} events, trace {}", report.events, report.hash));
            }
            if let Some(violation) = &report.violation {
                if options.all {
                    say(&format!("seed {seed}: {}: {}", violation.invariant, violation.what));
                }
                stop.fetch_or(!options.all, Ordering::Relaxed);
            }
            sum.add(report);
            seed += options.threads;
        }
        sum
    };
    let mut sum = Sum::default();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..options.threads).map(|offset| scope.spawn(move || work(offset))).collect();
        for worker in workers {
            sum.merge(worker.join().expect("a world that panics ends the run with its message"));
        }
    });
    let seconds = began.elapsed().as_secs_f64();
    say(&format!(
        "{} seeds in {seconds:.1} s ({:.1} seeds/s, {:.0} events/s)",
        sum.worlds,
        sum.worlds as f64 / seconds,
        sum.events as f64 / seconds
    ));
    say(&totals(sum.events, &sum.counts, sum.steps));
    say(&format!(
        "{} virtual hours; the slowest world came to rest {:.1} s after its last fault",
        sum.clock_ms.0 / 3_600_000,
        sum.clock_ms.1 as f64 / 1_000.0
    ));
    if options.tally {
        sum.tally.iter().for_each(|(name, times)| say(&format!("{times:>10} {name}")));
    }
    match sum.failed {
        None => ExitCode::SUCCESS,
        Some(_) if options.all => {
            say(&format!("{} seeds failed", sum.failures));
            ExitCode::FAILURE
        }
        Some(report) => failed(&report, options),
    }
}

fn totals(events: u64, counts: &Counts, steps: (u64, u64)) -> String {
    format!(
        "{events} events; {} commits of {} entries; {} power losses ({} at a write or sync), {} restarts, {} starts from a \
         snapshot; {} answers, {} heads; {} steps accepted, {} ended otherwise",
        counts.commits,
        counts.entries,
        counts.crashes,
        counts.crashes_at_points,
        counts.restarts,
        counts.restored,
        counts.answers,
        counts.heads,
        steps.0,
        steps.1
    )
}

fn failed(report: &Report, options: &Options) -> ExitCode {
    // The seed replays exactly, now with its last lines.
    let again = run(report.seed, plan(options, Telling::Last));
    again.last.iter().for_each(|line| say(line));
    if let Some(violation) = &report.violation {
        let nodes = options.nodes.map_or_else(String::new, |n| format!(" --nodes {n}"));
        let sabotage = options.sabotage.map_or_else(String::new, |s| format!(" --sabotage {}", s.name()));
        say(&format!("FAILED: {} at home {}: {}", violation.invariant, violation.home, violation.what));
        say(&format!(
            "seed {}; again with: netsim replay {}{nodes}{sabotage} --trace",
            report.seed, report.seed
        ));
    }
    ExitCode::FAILURE
}

fn replay(seed: u64, options: &Options) -> ExitCode {
    let report = run(seed, plan(options, if options.trace { Telling::All } else { Telling::Hash }));
    say(&format!(
        "seed {seed}: {} homes, {} agents, {:.1} s by the virtual clock, trace {}",
        report.size.0,
        report.size.1,
        report.clock_ms.0 as f64 / 1_000.0,
        report.hash
    ));
    say(&totals(report.events, &report.counts, report.steps));
    match &report.violation {
        None => ExitCode::SUCCESS,
        Some(_) if !options.trace => failed(&report, options),
        Some(violation) => {
            say(&format!("FAILED: {} at home {}: {}", violation.invariant, violation.home, violation.what));
            ExitCode::FAILURE
        }
    }
}

fn points(seed: u64) -> ExitCode {
    let faults =
        [("power loss", Fault::Crash), ("input/output error", Fault::Eio), ("full disk", Fault::Full)];
    let plan = |only| Plan { only: Some(only), ..Plan::default() };
    // A point that is never reached: how many there are when nothing goes wrong.
    let all = run(seed, plan((Fault::Crash, u64::MAX / 2))).points;
    let mut failures = 0;
    for (name, fault) in faults {
        for point in 0..all {
            if let Some(violation) = run(seed, plan((fault, point))).violation {
                failures += 1;
                say(&format!("{name} at point {point}: {}: {}", violation.invariant, violation.what));
            }
        }
        say(&format!("seed {seed}: {name} at each of {all} writes and syncs"));
    }
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn sabotages(options: &Options) -> ExitCode {
    let mut missed = 0;
    for sabotage in Sabotage::ALL {
        let planted =
            |seed| run(seed, Plan { sabotage: Some(*sabotage), nodes: options.nodes, ..Plan::default() });
        let caught =
            (options.seeds.0..options.seeds.1).map(planted).find_map(|r| r.violation.map(|v| (r.seed, v)));
        match caught {
            Some((seed, violation)) => {
                let right = sabotage.caught_by().contains(&violation.invariant);
                missed += u64::from(!right);
                let note = if right { "" } else { " (not by the one that should)" };
                say(&format!(
                    "{:24} seed {seed:4}: {}{note}: {}",
                    sabotage.name(),
                    violation.invariant,
                    violation.what
                ));
            }
            None => {
                missed += 1;
                say(&format!("{:24} NOT CAUGHT", sabotage.name()));
            }
        }
    }
    missed += cli::mesh::sabotages(options.seeds);
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
