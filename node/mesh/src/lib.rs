//! The mesh: libp2p, and the only place that names it. It carries bytes and judges none of them.
//!
//! [`Mesh::start`] spawns one task, the loop, which owns the swarm; [`Mesh`] is the handle to it and [`Events`] what it
//! tells. Until both sides have accepted each other's hello nothing else of a peer is believed or relayed, and soon it is
//! disconnected. What a peer can make us keep is bounded in [`limits`]; what it sends wrong is counted ([`Refusal`]),
//! costs it score and, soon, its connection, and is never a panic.

mod address;
mod admission;
mod behaviour;
mod book;
mod budget;
pub mod counts;
mod direct;
mod error;
mod event;
mod gate;
mod gossip;
mod hello;
pub mod limits;
mod mesh;
mod options;
mod peers;
mod run;
mod standing;
mod stream;
mod streams;
#[cfg(test)]
mod tests;
mod topic;
mod traffic;
mod transport;

pub use address::{Address, AddressError, Transport};
pub use artel_protocol::topic::Topic;
pub use counts::{Counts, Lane, Refusal};
pub use direct::Answer;
pub use error::{Error, OpenError, PublishError, RequestError};
pub use event::{Event, Neighbour, Peer, Protocol, Sight, Verdict};
pub use hello::HelloAnswer;
pub use mesh::{Events, Mesh, Running};
pub use options::{Options, Pace};
pub use stream::Stream;
pub use topic::MessageId;
