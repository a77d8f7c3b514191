//! A seed replays exactly: in one process, in two, and whoever listens.

use artel_netsim::{Plan, Telling, run};
use std::process::Command;

fn netsim(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_netsim")).args(args).output().expect("netsim runs");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stdout).expect("netsim prints text")
}

#[test]
fn one_seed_has_one_trace_in_two_processes_and_another_seed_another() {
    let (first, second) = (netsim(&["replay", "7"]), netsim(&["replay", "7"]));
    assert!(first.contains("trace sha256:"));
    assert_eq!(first, second);
    assert_ne!(first, netsim(&["replay", "8"]));
    let here = run(7, Plan::default());
    assert!(first.contains(&here.hash.to_string()), "this process agrees with those");
}

#[test]
fn telling_what_happens_changes_nothing() {
    let plain = run(3, Plan::default());
    let told = run(3, Plan { telling: Telling::Last, ..Plan::default() });
    assert_eq!(plain.hash, told.hash);
    assert!(plain.last.is_empty() && !told.last.is_empty());
}

#[test]
fn wrong_use_is_answered_with_help() {
    for args in [&["run", "--seeds", "x"][..], &["replay"], &["run", "--sabotage", "none-such"], &[]] {
        let output = Command::new(env!("CARGO_BIN_EXE_netsim")).args(args).output().expect("netsim runs");
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("netsim run --seeds"));
    }
}
