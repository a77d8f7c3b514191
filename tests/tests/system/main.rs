//! Whole-system tests: the built program as real processes, spoken to over HTTP and the command line as strangers would.
//! What can be tested inside one crate is tested there; here it is whether the parts are one.
#![allow(clippy::print_stdout, reason = "figures and refusals are part of what these tests say")]

mod audit;
mod bad_input;
mod bad_peers;
mod boot;
mod command_line;
mod contract;
mod crash;
mod demo;
mod disk;
mod doctor;
mod examples;
mod holes;
mod interest;
mod join;
mod journey;
mod liar;
mod market;
mod mesh;
mod race;
mod readme;
mod redo;
mod refusals;
mod reputation;
mod retention;
mod room;
mod sandbox;
mod secrecy;
mod seeds;
mod socket;
mod strange_home;
mod survey;
mod tls;
mod up;
mod waiting;
mod watching;
mod witness;

use artel_tests::Artel;

/// The program, as cargo built it for these tests.
fn artel() -> Artel {
    Artel::at(env!("CARGO_BIN_EXE_artel-under-test"))
}

/// A fresh directory, removed at the end.
fn fresh() -> tempfile::TempDir {
    tempfile::tempdir().expect("a fresh directory")
}

/// A number that the environment may set, for longer runs than the suite's own.
fn amount(variable: &str, usual: usize) -> usize {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable}={text} is not a number")),
        Err(_) => usual,
    }
}
