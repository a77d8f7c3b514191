//! The machine: everything of a node that touches the world. The rules are in artel-federation, the journal in
//! artel-audit, HTTP in artel-web; here they are put together, started, driven and spoken to.

pub mod background;
pub mod bench;
pub mod boot;
pub mod check;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod data;
pub mod demo;
pub mod doctor;
pub mod driver;
pub mod events;
mod given;
pub mod hand;
pub mod handle;
pub mod hello;
pub mod index;
pub mod metrics;
pub mod neighbours;
pub mod news;
pub mod notices;
pub mod recompute;
pub mod redo;
mod rules;
pub mod service;
mod source;
pub mod store;
pub mod telemetry;
pub mod token;
pub mod traces;

use std::process::ExitCode;

/// The whole program: the command line in, an exit status out (0 done, 1 failed, 2 wrong use).
pub fn run() -> ExitCode {
    // Before anything else: a step's process is this program, and must have opened and started nothing.
    artel_runner::child_if_asked();
    // Several crates bring a TLS provider; one is chosen here, before anything can ask for it.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    cli::run(std::env::args_os())
}
