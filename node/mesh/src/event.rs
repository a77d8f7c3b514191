//! What the mesh tells the node, and how the node answers.

use crate::address::{Address, Transport};
use crate::counts::Refusal;
use crate::direct::Answer;
use crate::hello::HelloAnswer;
use crate::stream::Stream;
use crate::topic::MessageId;
use artel_protocol::key::NodeId;
use artel_protocol::topic::Topic;
use bytes::Bytes;
use std::time::Duration;

/// The protocols of raw streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// `/artel/1/sync`: record exchange.
    Sync,
    /// `/artel/1/blob`: artifacts.
    Blob,
}

/// What happened. Nothing but hellos comes from a peer before its [`Event::Up`], nothing at all after its [`Event::Down`].
#[derive(Debug)]
pub enum Event {
    /// A peer says who it is. It is judged and answered by the node; no answer refuses it.
    Hello {
        /// Who, proven by the connection's handshake.
        from: NodeId,
        /// What it says.
        data: Bytes,
        /// The way back.
        answer: HelloAnswer,
    },
    /// A peer answered our hello.
    Welcomed {
        /// Who.
        by: NodeId,
        /// Whether it accepts us.
        accept: bool,
        /// What it says to it.
        data: Bytes,
    },
    /// Both hellos were accepted: the peer is admitted.
    Up(Neighbour),
    /// An admitted peer is gone, or not admitted any more.
    Down {
        /// Who.
        peer: NodeId,
        /// Why, if it was us who ended it.
        reason: Option<Refusal>,
    },
    /// A connection ended before its peer was admitted. Also counted; dropped when events are many.
    TurnedAway {
        /// Who.
        peer: NodeId,
        /// Why.
        reason: Refusal,
    },
    /// A new gossip message. [`crate::Mesh::verdict`] must follow; until then nobody else gets it.
    Gossip {
        /// The name of its content.
        id: MessageId,
        /// Where it was said.
        topic: Topic,
        /// The neighbour that brought it; who wrote it is in the data, or nowhere.
        from: NodeId,
        /// The message.
        data: Bytes,
    },
    /// A direct request.
    Request {
        /// Who asks.
        from: NodeId,
        /// What.
        data: Bytes,
        /// The way back; dropped, the asker hears that this node is busy.
        answer: Answer,
    },
    /// A peer opened a raw stream.
    Stream {
        /// For what.
        protocol: Protocol,
        /// Who.
        from: NodeId,
        /// The stream.
        stream: Stream,
    },
    /// We listen on a further address.
    Listening(Address),
    /// [`crate::Mesh::known`] changed and should be written down.
    KnownChanged,
}

/// A peer that was just admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// Who.
    pub node: NodeId,
    /// Where the connection goes to; of an incoming one, a port that nobody listens on.
    pub address: Address,
    /// Whether we dialled.
    pub outbound: bool,
    /// How.
    pub transport: Transport,
}

/// A connected peer, for pages and metrics.
#[derive(Debug, Clone, PartialEq)]
pub struct Peer {
    /// Who.
    pub node: NodeId,
    /// Where its connections go to.
    pub connections: Vec<Neighbour>,
    /// Where it says it listens.
    pub listens: Vec<Address>,
    /// Where it says that it sees this node, for each of its connections.
    pub sees_us: Vec<Sight>,
    /// Whether both hellos were accepted.
    pub admitted: bool,
    /// The last round trip.
    pub round_trip: Option<Duration>,
    /// Its gossip score; see [`crate::limits::SCORE_GRAYLIST`].
    pub score: f64,
    /// How long it is connected.
    pub since: Duration,
}

/// Where a peer says that it sees this node. It is the peer's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// The address.
    pub address: Address,
    /// Whether the peer reached this node there; otherwise this node dialled, and came from there.
    pub dialled: bool,
}

/// The node's judgement of a gossip message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Right: it goes on to the neighbours.
    Accept,
    /// Not wanted: it goes nowhere, and costs nobody anything.
    Ignore,
    /// Wrong: it goes nowhere, and costs whoever brought it.
    Reject,
}
