//! The transparency log that every journal is: leaves, the RFC 6962 tree over them and its proofs, and the C2SP texts in
//! which checkpoints, cosignatures, proofs and tiles travel. Arithmetic and bytes only; storing and sending is others'.

pub mod checkpoint;
pub mod compact;
pub mod consistency;
pub mod cosignature;
pub mod inclusion;
pub mod leaf;
pub mod note;
pub mod proof;
pub mod range;
pub mod subset;
pub mod tile;
pub mod tree;

pub use checkpoint::{Checkpoint, JOURNALS_OF_NODE_MAX, Origin, SignedCheckpoint};
pub use compact::CompactRange;
pub use cosignature::{Cosignature, Witness};
pub use leaf::{Class, Leaf};
pub use note::{KeyName, Note, NoteKey};
pub use proof::{Included, Proof};
pub use tile::Tile;
pub use tree::{Hash, Subtree};
