//! The rules of a federation: who is enrolled, who wins, what is owed. One input in, one ordered list of effects out.
//!
//! This crate is pure: time and entropy come in as arguments, and there is no file, socket, thread or clock. The one
//! place that decides a winner is `market.rs`; who qualifies and who goes first is `matching.rs`; what a submission is
//! worth is `settle.rs`. State changes by facts alone (`fact/`, folded in `state.rs`), so a restart is a replay.
#![warn(missing_docs)]

mod admission;
pub mod away;
#[cfg(test)]
mod bounds_test;
pub mod chain;
mod closed;
pub mod commitment;
pub mod conduct;
pub mod effect;
pub mod endings;
pub mod evidence;
pub mod exchange;
pub mod fact;
mod federation;
pub mod fetching;
#[cfg(test)]
mod fixture;
mod forms;
pub mod homes;
pub mod input;
pub mod interest;
pub mod json;
pub mod ledger;
mod market;
pub mod matching;
pub mod member;
mod membership;
pub mod nodes;
pub mod offers;
pub mod options;
mod post;
mod post_keys;
pub mod redo;
mod roll;
pub mod run;
mod settle;
mod snapshot;
#[cfg(test)]
mod snapshot_test;
pub mod state;
pub mod timer;
mod turn;
pub mod view;
pub mod visit;
pub mod watch;
mod window;
pub mod witness;
pub mod words;

pub use closed::ClosedRun;
pub use effect::{Code, Effect, Refusal, Reply};
pub use fact::{Entry, Fact, FraudProven, Genesis, Kind};
pub use federation::{Beginning, Federation};
pub use input::{Input, Now, Principal, ReplyTo, Request};
pub use json::Json;
pub use member::Identity;
pub use options::Options;
pub use snapshot::{FORM as STATE_FORM, Snapshot};
