//! The commands of the binary that deal with meshes.

pub mod gossip;
pub mod mesh;
