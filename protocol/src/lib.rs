//! What Artel nodes say to each other and to strangers: ids and keys, the one encoding, leaves and proofs of the
//! transparency log, and the limits that everybody keeps.
//!
//! This crate is pure: no clock, no randomness, no files, no sockets. `PROTOCOL.md` beside it describes every byte.
#![warn(missing_docs)]

pub mod amount;
pub mod codec;
pub mod continuity;
pub mod hello;
pub mod holes;
pub mod id;
pub mod invitation;
pub mod json;
pub mod key;
pub mod limits;
pub mod log;
pub mod record;
pub mod skill;
pub mod summary;
pub mod sync;
pub mod text;
pub mod time;
pub mod topic;
pub mod witness;
