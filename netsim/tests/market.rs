//! Worlds with a market between their nodes hold and are not dull, replay exactly, and each planted bug is noticed by an
//! invariant that is named for it. The many seeds are run with the release build (`netsim market`).

use artel_netsim::Telling;
use artel_netsim::mesh::context::MeshCounts;
use artel_netsim::mesh::market::invariants;
use artel_netsim::mesh::{MeshPlan, MeshSabotage, run};
use std::collections::BTreeSet;

/// Within how many seeds a planted bug must be noticed.
const SEEDS: u64 = 60;

/// How many worlds without a planted bug are run at least.
const WORLDS: u64 = 24;

fn plan() -> MeshPlan {
    MeshPlan { market: true, ..MeshPlan::default() }
}

fn has_the_rare(counts: &MeshCounts) -> bool {
    counts.refuted_late > 0 && counts.unsettled > 0
}

#[test]
fn worlds_hold_and_everything_that_matters_happens_in_them() {
    let mut counts = MeshCounts::default();
    // Some things are rare: then a few more worlds are run.
    for seed in 0..SEEDS {
        if seed >= WORLDS && has_the_rare(&counts) {
            break;
        }
        let report = run(seed, plan());
        assert_eq!(report.violation, None, "market seed {seed}");
        counts.add(report.counts);
    }
    let MeshCounts { undertaken, handed_in, acknowledged, brought, fetched_files, .. } = counts;
    let MeshCounts { reran, redone, refuted, refuted_late, unsettled, accepted, silences, .. } = counts;
    let MeshCounts { compared, flagged, forged, crashes, partitions, .. } = counts;
    let MeshCounts { endings, ended, anew, unwaited, .. } = counts;
    for (what, count) in [
        ("undertaken", undertaken),
        ("handed in", handed_in),
        ("acknowledged", acknowledged),
        ("brought", brought),
        ("fetched files", fetched_files),
        ("reran", reran),
        ("redone", redone),
        ("refuted", refuted),
        ("refuted late", refuted_late),
        ("unsettled", unsettled),
        ("accepted", accepted),
        ("silences", silences),
        ("delegations ended", endings),
        ("refused as ended", ended),
        ("delegated anew", anew),
        ("waited on what ended", unwaited),
        ("compared", compared),
        ("flagged", flagged),
        ("forged", forged),
        ("crashes", crashes),
        ("partitions", partitions),
    ] {
        assert!(count > 0, "{what}: {counts:?}");
    }
}

#[test]
fn one_seed_has_one_trace_whoever_listens() {
    let first = run(7, plan());
    assert_ne!(first.hash, run(8, plan()).hash);
    let told = run(7, MeshPlan { telling: Telling::Last, ..plan() });
    assert_eq!(told.hash, first.hash);
    assert!(!told.last.is_empty());
}

#[test]
#[allow(
    clippy::print_stdout,
    reason = "which invariant notices which bug is what a reader of this test wants to see"
)]
fn each_planted_bug_is_caught_by_an_invariant_named_for_it() {
    let of_market = || MeshSabotage::ALL.iter().filter(|sabotage| sabotage.is_of_market());
    assert!(of_market().count() >= 30);
    for sabotage in of_market() {
        let planted = |seed| run(seed, MeshPlan { sabotage: Some(*sabotage), ..plan() });
        let caught = (0..SEEDS).map(planted).find(|report| report.violation.is_some());
        let report = caught.unwrap_or_else(|| panic!("{}: no seed below {SEEDS} shows it", sabotage.name()));
        let violation = report.violation.expect("just found");
        assert!(
            sabotage.caught_by().contains(&violation.invariant),
            "{} is caught at market seed {} by {}: {}",
            sabotage.name(),
            report.seed,
            violation.invariant,
            violation.what
        );
        println!("{:24} market seed {:3}: {}", sabotage.name(), report.seed, violation.invariant);
        // Those below are run without the bug above.
        if report.seed >= WORLDS {
            let sound = run(report.seed, plan());
            assert_eq!(sound.violation, None, "market seed {} without the planted bug", report.seed);
        }
    }
}

#[test]
fn each_invariant_of_the_market_is_noticed_to_fail_by_a_planted_bug() {
    let of_market = MeshSabotage::ALL.iter().filter(|sabotage| sabotage.is_of_market());
    let named: BTreeSet<&str> = of_market.flat_map(|sabotage| sabotage.caught_by()).copied().collect();
    let all: BTreeSet<&str> = invariants::NAMES.iter().copied().collect();
    assert_eq!(named, all);
}
