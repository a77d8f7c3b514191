//! The journal: segments, group commit, checkpoint slots, snapshots, the transparency log.

pub mod error;
pub mod files;
pub mod frame;
pub mod keys;
pub mod memory;
pub mod os;
pub mod segment;
pub mod slot;
mod derived;
mod scan;
