//! The journal: segments, group commit, checkpoint slots, snapshots, the transparency log.

pub mod files;
pub mod memory;
pub mod os;
