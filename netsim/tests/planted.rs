//! Planted bugs: each is noticed by an invariant that is named for it, and the seeds that showed it hold without it.

use artel_netsim::{Plan, Sabotage, invariants, run};

/// Within how many seeds a planted bug must be noticed.
const SEEDS: u64 = 25;

#[test]
#[allow(
    clippy::print_stdout,
    reason = "which invariant notices which bug is what a reader of this test wants to see"
)]
fn each_planted_bug_is_caught_by_an_invariant_named_for_it() {
    assert!(Sabotage::ALL.len() >= 10);
    for sabotage in Sabotage::ALL {
        let planted = |seed| run(seed, Plan { sabotage: Some(*sabotage), ..Plan::default() });
        let caught = (0..SEEDS).map(planted).find(|report| report.violation.is_some());
        let report = caught.unwrap_or_else(|| panic!("{}: no seed below {SEEDS} shows it", sabotage.name()));
        let violation = report.violation.expect("just found");
        assert!(
            sabotage.caught_by().contains(&violation.invariant),
            "{} is caught at seed {} by {}: {}",
            sabotage.name(),
            report.seed,
            violation.invariant,
            violation.what
        );
        println!("{:24} seed {:3}: {}", sabotage.name(), report.seed, violation.invariant);
        let sound = run(report.seed, Plan::default());
        assert_eq!(sound.violation, None, "seed {} without the planted bug", report.seed);
    }
}

#[test]
fn planted_bugs_name_invariants_that_exist() {
    let names = invariants::names();
    for sabotage in Sabotage::ALL {
        for name in sabotage.caught_by() {
            assert!(names.contains(name), "{} names {name}", sabotage.name());
        }
        assert_eq!(Sabotage::parse(sabotage.name()), Some(*sabotage));
    }
}
