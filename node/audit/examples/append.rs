//! Prints how many records a second the journal appends and syncs, beside bare group commit in the same run.
//! `cargo run --release -p artel-audit --example append -- DIRECTORY`
#![allow(clippy::print_stdout, reason = "it is a command")]

use std::path::PathBuf;
use std::time::Duration;

fn main() {
    let dir =
        std::env::args_os().nth(1).map(PathBuf::from).expect("the first argument is an empty directory");
    let report =
        artel_audit::bench::run(&dir, &[1, 64, 512], Duration::from_secs(3)).expect("the disk can be used");
    println!("group  bare, growing  bare, filled  journal  of bare (growing, filled)");
    for row in &report.rows {
        println!(
            "{:>5} {:>14.0} {:>13.0} {:>8.0}  {:.2}, {:.2}",
            row.group,
            row.raw_growing,
            row.raw,
            row.journal,
            row.journal / row.raw_growing,
            row.journal / row.raw
        );
    }
    println!(
        "at {} entries: a proof is made in {:?} and checked in {:?}",
        report.entries, report.proof_made, report.proof_checked
    );
}
