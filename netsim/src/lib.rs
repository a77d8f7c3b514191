//! Federation minds on one virtual clock: the shipped rules and the shipped journal, with network, disks, clocks, agents
//! and checkers simulated. A seed decides everything and replays exactly.
//!
//! The invariants (`invariants/`) look at durable evidence after every event; `sabotage.rs` holds planted bugs that they
//! must notice.

pub mod agent;
pub mod book;
pub mod desk;
pub mod home;
pub mod invariants;
pub mod letter;
pub mod mesh;
pub mod network;
pub mod report;
pub mod rng;
pub mod sabotage;
pub mod shape;
pub mod trace;
pub mod witness;
pub mod world;

pub use report::{Plan, Report};
pub use sabotage::Sabotage;
pub use trace::Telling;
pub use world::run;
