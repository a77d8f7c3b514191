//! What a mesh is started with.

use crate::address::Address;
use crate::limits;
use artel_protocol::id::FederationId;
use artel_protocol::key::NodeId;
use bytes::Bytes;
use std::time::Duration;

/// What a mesh is started with. The node's key is given beside it, so that options can be printed.
#[derive(Debug, Clone)]
pub struct Options {
    /// The federation; it is in the topics' names and in the lookups' protocol name.
    pub federation: FederationId,
    /// Where to listen; a port of 0 is chosen by the system. None: this node only dials.
    pub listen: Vec<Address>,
    /// Peers and their addresses, as [`crate::Mesh::known`] gave them.
    pub known: Vec<(NodeId, Vec<Address>)>,
    /// What we say first; see [`crate::Mesh::set_hello`].
    pub hello: Bytes,
    /// Whether nodes of the local network are looked for.
    pub mdns: bool,
    /// The process's resident bytes above which no new connection is accepted.
    pub memory_bytes_max: usize,
    /// Times that tests shorten.
    pub pace: Pace,
}

impl Options {
    /// Options of a node that listens nowhere, knows nobody and is not looked for.
    pub fn new(federation: FederationId) -> Self {
        Options {
            federation,
            listen: Vec::new(),
            known: Vec::new(),
            hello: Bytes::new(),
            mdns: false,
            memory_bytes_max: limits::MEMORY_BYTES_MAX,
            pace: Pace::default(),
        }
    }
}

/// Times and rates that tests shorten; what each is for stands in [`limits`].
#[derive(Debug, Clone)]
pub struct Pace {
    /// [`limits::HELLO_WAIT`].
    pub hello_wait: Duration,
    /// [`limits::BACKOFF_MIN`].
    pub backoff_min: Duration,
    /// [`limits::BACKOFF_MAX`].
    pub backoff_max: Duration,
    /// [`limits::WALK_INTERVAL`].
    pub walk_interval: Duration,
    /// [`limits::VERDICT_WAIT`].
    pub verdict_wait: Duration,
    /// [`limits::GOSSIP_PER_PEER_RATE`].
    pub gossip_rate: u32,
    /// [`limits::GOSSIP_PER_PEER_BURST`].
    pub gossip_burst: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Pace {
            hello_wait: limits::HELLO_WAIT,
            backoff_min: limits::BACKOFF_MIN,
            backoff_max: limits::BACKOFF_MAX,
            walk_interval: limits::WALK_INTERVAL,
            verdict_wait: limits::VERDICT_WAIT,
            gossip_rate: limits::GOSSIP_PER_PEER_RATE,
            gossip_burst: limits::GOSSIP_PER_PEER_BURST,
        }
    }
}
