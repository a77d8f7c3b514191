//! Connected peers: their connections, how far the hello of each has come, and what each peer holds here.

use crate::budget::Budget;
use crate::counts::Refusal;
use crate::limits::{self, DIRECT_FRAME_BYTES_MAX, DIRECT_WAITING_BYTES_MAX, STREAMS_PER_PEER_MAX};
use crate::streams::Channel;
use artel_protocol::key::NodeId;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

/// All connected peers; at most as many as there are connections.
#[derive(Default)]
pub(crate) struct Peers(pub(crate) BTreeMap<PeerId, Peer>);

/// A connected peer.
pub(crate) struct Peer {
    pub(crate) node: NodeId,
    pub(crate) connections: BTreeMap<ConnectionId, Connection>,
    pub(crate) since: Instant,
    /// Since when it is admitted.
    pub(crate) up: Option<Instant>,
    /// Where it says it listens; believed only once it is admitted.
    pub(crate) listens: Vec<Multiaddr>,
    pub(crate) round_trip: Option<Duration>,
    pub(crate) direct_in: Arc<Budget>,
    pub(crate) answers_out: Arc<Budget>,
    pub(crate) direct_out: Arc<Budget>,
    pub(crate) streams_in: Arc<Semaphore>,
    pub(crate) streams_out: Arc<Semaphore>,
    /// The connection that our direct requests travel on, and a number that tells one such substream from the next.
    pub(crate) asking: Option<(ConnectionId, u64)>,
    pub(crate) ask_again_at: Option<Instant>,
    /// Streams that wait for the last step of the admission; at most [`limits::HELD_STREAMS_MAX`].
    pub(crate) held: Vec<(ConnectionId, Channel, libp2p::Stream)>,
}

/// A connection and its hellos.
pub(crate) struct Connection {
    pub(crate) remote: Multiaddr,
    pub(crate) outbound: bool,
    /// Where the peer says that it sees this node: of an incoming connection what it dialled, else where this node came from.
    pub(crate) sees_us: Option<Multiaddr>,
    pub(crate) since: Instant,
    /// When it is closed unless it is admitted by then.
    pub(crate) until: Instant,
    pub(crate) ours: Ours,
    pub(crate) theirs: Theirs,
    pub(crate) pings_missed: u32,
    /// Why we close it, once we do.
    pub(crate) closing: Option<Refusal>,
    /// The task that serves the peer's direct requests.
    pub(crate) serving: Option<AbortHandle>,
}

/// What became of our hello.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ours {
    Said,
    Accepted,
    Refused,
}

/// What became of the peer's hello.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Theirs {
    Unsaid,
    Said,
    Accepted,
    Refused,
}

impl Connection {
    pub(crate) fn new(remote: Multiaddr, outbound: bool, now: Instant, wait: Duration) -> Self {
        Connection {
            remote,
            outbound,
            sees_us: None,
            since: now,
            until: now + wait,
            ours: Ours::Said,
            theirs: Theirs::Unsaid,
            pings_missed: 0,
            closing: None,
            serving: None,
        }
    }

    pub(crate) fn is_admitted(&self) -> bool {
        self.ours == Ours::Accepted && self.theirs == Theirs::Accepted && self.closing.is_none()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(task) = &self.serving {
            task.abort();
        }
    }
}

impl Peer {
    pub(crate) fn new(node: NodeId, all: &Arc<Budget>, now: Instant) -> Self {
        let budget = || Budget::shared(DIRECT_WAITING_BYTES_MAX, DIRECT_FRAME_BYTES_MAX, all);
        Peer {
            node,
            connections: BTreeMap::new(),
            since: now,
            up: None,
            listens: Vec::new(),
            round_trip: None,
            direct_in: budget(),
            answers_out: budget(),
            direct_out: budget(),
            streams_in: Arc::new(Semaphore::new(STREAMS_PER_PEER_MAX)),
            streams_out: Arc::new(Semaphore::new(STREAMS_PER_PEER_MAX)),
            asking: None,
            ask_again_at: None,
            held: Vec::new(),
        }
    }

    /// The admitted connection that came last.
    pub(crate) fn best(&self) -> Option<ConnectionId> {
        let admitted = self.connections.iter().filter(|(_, connection)| connection.is_admitted());
        admitted.max_by_key(|(id, connection)| (connection.since, **id)).map(|(id, _)| *id)
    }

    /// Whether the admission now only waits for the peer's welcome to arrive: the peer may think us admitted already.
    pub(crate) fn is_nearly_up(&self, id: ConnectionId) -> bool {
        let has_accepted =
            |c: &Connection| c.theirs == Theirs::Accepted && c.ours == Ours::Said && c.closing.is_none();
        self.connections.get(&id).is_some_and(has_accepted) && self.held.len() < limits::HELD_STREAMS_MAX
    }

    pub(crate) fn has_outbound(&self) -> bool {
        self.connections.values().any(|connection| connection.outbound)
    }

    /// Whether it is on this machine.
    pub(crate) fn is_local(&self) -> bool {
        self.connections.values().any(|c| crate::address::ip_of(&c.remote).is_some_and(|ip| ip.is_loopback()))
    }
}

impl Peers {
    pub(crate) fn connection(&mut self, peer: &PeerId, id: ConnectionId) -> Option<&mut Connection> {
        self.0.get_mut(peer)?.connections.get_mut(&id)
    }

    pub(crate) fn is_up(&self, peer: &PeerId) -> bool {
        self.0.get(peer).is_some_and(|peer| peer.up.is_some())
    }

    pub(crate) fn up(&self) -> impl Iterator<Item = (&PeerId, &Peer)> {
        self.0.iter().filter(|(_, peer)| peer.up.is_some())
    }

    pub(crate) fn unadmitted_connections(&self) -> usize {
        self.0.values().flat_map(|peer| peer.connections.values()).filter(|c| !c.is_admitted()).count()
    }

    pub(crate) fn connections(&self) -> usize {
        self.0.values().map(|peer| peer.connections.len()).sum()
    }

    /// The connections whose time is up, and why.
    pub(crate) fn overdue(&self, now: Instant) -> Vec<(PeerId, ConnectionId)> {
        let of_peer = |(peer, state): (&PeerId, &Peer)| {
            let due = state.connections.iter().filter(|(_, c)| !c.is_admitted() && c.until <= now);
            due.map(|(id, _)| (*peer, *id)).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(of_peer).collect()
    }
}
