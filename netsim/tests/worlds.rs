//! Worlds of all sizes hold, and what they do is not dull: the entries, answers and refusals that matter occur. The many
//! seeds are run with the release build (`netsim run`); these are the few that every test run repeats.

use artel_audit::memory::Fault;
use artel_netsim::home::{Counts, Tally};
use artel_netsim::{Plan, run};

#[test]
fn worlds_hold_and_do_everything_that_matters() {
    let (mut tally, mut counts) = (Tally::new(), Counts::default());
    for seed in 0..40 {
        let report = run(seed, Plan::default());
        assert_eq!(report.violation, None, "seed {seed}");
        counts.add(report.counts);
        for (name, times) in report.tally {
            *tally.entry(name).or_default() += times;
        }
    }
    for name in [
        "ArtifactStored",
        "CancelAsked",
        "Configured",
        "Emitted",
        "Enrolled",
        "Findings",
        "Lapsed",
        "Refused",
        "Released",
        "Revoked",
        "Rotated",
        "answer: receipt and lease",
        "answer: renewed",
        "answer: run again",
        "already_submitted",
        "barred",
        "capacity_full",
        "ended: attempts spent",
        "ended: cancelled",
        "ended: deadline passed",
        "ended: lapses spent",
        "ended: need failed",
        "idempotency_conflict",
        "insufficient_credit",
        "not_qualified",
        "stale_epoch",
        "task_taken",
        "token_revoked",
    ] {
        assert!(tally.contains_key(name), "{name} never occurs in {tally:?}");
    }
    assert!(counts.crashes_at_points > 0 && counts.restarts > 0 && counts.restored > 0, "{counts:?}");
}

#[test]
fn a_world_of_twenty_nodes_holds() {
    let report = run(1, Plan { nodes: Some(20), ..Plan::default() });
    assert_eq!(report.violation, None);
    assert!(report.size.1 >= 22, "{:?}", report.size);
}

#[test]
fn one_fault_at_any_write_or_sync_of_a_small_world_loses_nothing() {
    let plan = |only| Plan { only: Some(only), ..Plan::default() };
    let points = run(1, plan((Fault::Crash, u64::MAX / 2))).points;
    assert!(points > 100, "{points} points");
    // Every seventh here; `netsim points` visits all of them.
    for point in (0..points).step_by(7) {
        for fault in [Fault::Crash, Fault::Eio, Fault::Full] {
            let report = run(1, plan((fault, point)));
            assert_eq!(report.violation, None, "{fault:?} at point {point}");
        }
    }
}
