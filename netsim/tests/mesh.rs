//! Mesh worlds hold and are not dull, replay exactly, and each planted bug is noticed by an invariant that is named for it.
//! The many seeds, and those with 200 nodes, are run with the release build (`netsim mesh`).

use artel_netsim::Telling;
use artel_netsim::mesh::context::MeshCounts;
use artel_netsim::mesh::{MeshPlan, MeshSabotage, invariants, market, run};
use std::collections::BTreeSet;
use std::process::Command;

/// Within how many seeds a planted bug must be noticed.
const SEEDS: u64 = 60;

/// How many worlds without a planted bug are run.
const WORLDS: u64 = 12;

fn netsim(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_netsim")).args(args).output().expect("netsim runs");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stdout).expect("netsim prints text")
}

#[test]
fn worlds_hold_and_everything_that_matters_happens_in_them() {
    let mut counts = MeshCounts::default();
    for seed in 0..WORLDS {
        let report = run(seed, MeshPlan::default());
        assert_eq!(report.violation, None, "mesh seed {seed}");
        counts.add(report.counts);
    }
    let MeshCounts { fetched, cosigned, returned, asked, frauds, rejected, .. } = counts;
    let MeshCounts { crashes, admissions, expulsions, partitions, clones, .. } = counts;
    for (what, count) in [
        ("fetched", fetched),
        ("cosigned", cosigned),
        ("returned", returned),
        ("asked", asked),
        ("frauds", frauds),
        ("rejected", rejected),
        ("crashes", crashes),
        ("admissions", admissions),
        ("expulsions", expulsions),
        ("partitions", partitions),
        ("clones", clones),
    ] {
        assert!(count > 0, "{what}: {counts:?}");
    }
}

#[test]
fn one_seed_has_one_trace_in_two_processes_whoever_listens() {
    let line = |seed: &str| {
        let out = netsim(&["mesh", "--seeds", seed, "--each"]);
        let (_, trace) = out.split_once("trace ").expect("it is printed");
        trace.lines().next().expect("a line").to_owned()
    };
    let first = line("7..8");
    assert_eq!(first, line("7..8"));
    assert_ne!(first, line("8..9"));
    let told = run(7, MeshPlan { telling: Telling::Last, ..MeshPlan::default() });
    assert_eq!(told.hash.to_string(), first);
    assert!(!told.last.is_empty());
}

#[test]
#[allow(
    clippy::print_stdout,
    reason = "which invariant notices which bug is what a reader of this test wants to see"
)]
fn each_planted_bug_is_caught_by_an_invariant_named_for_it() {
    let of_mesh = || MeshSabotage::ALL.iter().filter(|sabotage| !sabotage.is_of_market());
    assert!(of_mesh().count() >= 20);
    for sabotage in of_mesh() {
        let planted = |seed| run(seed, MeshPlan { sabotage: Some(*sabotage), ..MeshPlan::default() });
        let caught = (0..SEEDS).map(planted).find(|report| report.violation.is_some());
        let report = caught.unwrap_or_else(|| panic!("{}: no seed below {SEEDS} shows it", sabotage.name()));
        let violation = report.violation.expect("just found");
        assert!(
            sabotage.caught_by().contains(&violation.invariant),
            "{} is caught at mesh seed {} by {}: {}",
            sabotage.name(),
            report.seed,
            violation.invariant,
            violation.what
        );
        println!("{:24} mesh seed {:3}: {}", sabotage.name(), report.seed, violation.invariant);
        // Those below are run without the bug above.
        if report.seed >= WORLDS {
            let sound = run(report.seed, MeshPlan::default());
            assert_eq!(sound.violation, None, "mesh seed {} without the planted bug", report.seed);
        }
    }
}

#[test]
fn planted_bugs_name_invariants_that_exist() {
    let names = invariants::NAMES.iter().chain(market::invariants::NAMES);
    let names: BTreeSet<&str> = names.copied().collect();
    for sabotage in MeshSabotage::ALL {
        for name in sabotage.caught_by() {
            assert!(names.contains(name), "{} names {name}", sabotage.name());
        }
        assert_eq!(MeshSabotage::parse(sabotage.name()), Some(*sabotage));
    }
}

#[test]
fn the_model_of_gossip_says_that_it_is_one() {
    let out = netsim(&["gossip", "--nodes", "12", "--messages", "20"]);
    assert!(out.lines().all(|line| line.starts_with("model: ")), "{out}");
    assert!(
        netsim(&["gossip", "--nodes", "12", "--messages", "20", "--json"]).contains("\"source\":\"model\"")
    );
}
