//! Worlds of many nodes that do not trust each other: each with the shipped journal, record store, witness table and rules
//! on a disk that fails, joined by a model of gossip over links that lose, repeat and reorder, with partitions, a clone of a
//! disk, and a member that lies.
//!
//! What is modelled is the shell: who calls which rule with what (`member/`), as `node/src/neighbours` does it, and libp2p
//! (`overlay.rs`). Invariants are in `invariants.rs`, planted bugs in `sabotage.rs`.

pub mod context;
pub mod forger;
pub mod heard;
pub mod invariants;
pub mod mail;
pub mod market;
pub mod measure;
pub mod member;
pub mod memo;
pub mod overlay;
pub mod packet;
pub mod report;
pub mod rogue;
pub mod sabotage;
pub mod shape;
pub mod truth;
pub mod world;

pub use report::{MeshPlan, MeshReport};
pub use sabotage::MeshSabotage;
pub use world::run;
