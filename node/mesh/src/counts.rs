//! What went through the mesh and what was refused, in numbers that only grow.

use std::array;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! closed {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// All of them.
            pub const ALL: &[$name] = &[$($name::$variant,)*];

            /// Its stable name, for labels.
            pub fn name(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

closed!(
    /// Why something of a peer was refused.
    Refusal {
        /// Not both hellos were accepted in time.
        HelloLate = "hello_late",
        /// The node did not accept the peer's hello.
        HelloRefused = "hello_refused",
        /// The peer did not accept ours.
        RefusedByPeer = "refused_by_peer",
        /// A second hello on one connection.
        HelloTwice = "hello_twice",
        /// A hello or welcome over its size, or torn.
        HelloBroken = "hello_broken",
        /// A stream before admission.
        NotAdmitted = "not_admitted",
        /// Messages and lookups before admission, beyond what is held.
        HeldTooMany = "held_too_many",
        /// Too many connections that are not admitted.
        UnadmittedTooMany = "unadmitted_too_many",
        /// A connection over one of the limits.
        ConnectionLimit = "connection_limit",
        /// A handshake that failed.
        Handshake = "handshake",
        /// A banned peer, or one that is kept off for a time.
        KeptOff = "kept_off",
        /// A key that is no usable Ed25519 key.
        NotEd25519 = "not_ed25519",
        /// Too many raw streams.
        StreamsTooMany = "streams_too_many",
        /// Broken direct framing.
        DirectBroken = "direct_broken",
        /// Direct requests over the number or the bytes that may wait, or that nobody came to.
        DirectTooMany = "direct_too_many",
        /// A direct request that the node did not do.
        DirectUnanswered = "direct_unanswered",
        /// A message above the peer's rate.
        GossipTooMany = "gossip_too_many",
        /// A message that the node found wrong.
        GossipRejected = "gossip_rejected",
        /// A message that the node did not want.
        GossipIgnored = "gossip_ignored",
        /// A message without a verdict in time.
        GossipUnanswered = "gossip_unanswered",
        /// A message of no topic of ours.
        GossipTopic = "gossip_topic",
        /// A subscription to no topic of ours.
        GossipSubscription = "gossip_subscription",
        /// The node's events are full.
        EventsFull = "events_full",
        /// What the node found that no honest peer sends, outside gossip.
        Blamed = "blamed",
        /// A peer disconnected for its score.
        Score = "score",
        /// A peer disconnected since pings were not answered.
        Silent = "silent",
        /// A peer that the node sent away.
        SentAway = "sent_away",
    }
);

closed!(
    /// The protocols whose bytes are counted apart, as their payload.
    Lane {
        /// Hellos and welcomes.
        Hello = "hello",
        /// Direct requests and answers.
        Direct = "direct",
        /// Record exchange.
        Sync = "sync",
        /// Artifacts.
        Blob = "blob",
        /// Gossip data: every copy in, what we publish out.
        Gossip = "gossip",
    }
);

/// Bytes one way and the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bytes {
    /// Received.
    pub received: u64,
    /// Sent.
    pub sent: u64,
}

/// All counts at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// Over TCP, with encryption and multiplexing (TCP payload).
    pub tcp: Bytes,
    /// Over QUIC: the streams' bytes, without encryption and headers.
    pub quic: Bytes,
    /// By protocol, payload.
    pub lanes: Vec<(Lane, Bytes)>,
    /// By reason.
    pub refused: Vec<(Refusal, u64)>,
    /// Copies of gossip messages that arrived.
    pub gossip_copies: u64,
    /// Gossip messages that arrived for the first time.
    pub gossip_messages: u64,
    /// Gossip messages of our own.
    pub gossip_published: u64,
    /// Connections that came about.
    pub connections: u64,
    /// Dials that failed.
    pub dials_failed: u64,
    /// Connections now.
    pub connected: u64,
    /// Admitted peers now.
    pub admitted: u64,
}

impl Counts {
    /// How often something was refused for this reason.
    pub fn refused(&self, reason: Refusal) -> u64 {
        self.refused.iter().find(|(r, _)| *r == reason).map_or(0, |(_, count)| *count)
    }

    /// The payload of one protocol.
    pub fn lane(&self, lane: Lane) -> Bytes {
        self.lanes.iter().find(|(l, _)| *l == lane).map_or(Bytes::default(), |(_, bytes)| *bytes)
    }
}

/// A pair of counters.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    received: AtomicU64,
    sent: AtomicU64,
}

impl Flow {
    pub(crate) fn received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Relaxed);
    }

    fn read(&self) -> Bytes {
        Bytes { received: self.received.load(Relaxed), sent: self.sent.load(Relaxed) }
    }
}

/// The counters themselves; shared by the loop and all tasks.
#[derive(Debug)]
pub(crate) struct Counters {
    pub(crate) tcp: Flow,
    pub(crate) quic: Flow,
    lanes: [Flow; Lane::ALL.len()],
    refused: [AtomicU64; Refusal::ALL.len()],
    pub(crate) gossip_copies: AtomicU64,
    pub(crate) gossip_messages: AtomicU64,
    pub(crate) gossip_published: AtomicU64,
    pub(crate) connections: AtomicU64,
    pub(crate) dials_failed: AtomicU64,
    pub(crate) connected: AtomicU64,
    pub(crate) admitted: AtomicU64,
}

impl Default for Counters {
    fn default() -> Self {
        Counters {
            tcp: Flow::default(),
            quic: Flow::default(),
            lanes: array::from_fn(|_| Flow::default()),
            refused: array::from_fn(|_| AtomicU64::new(0)),
            gossip_copies: AtomicU64::new(0),
            gossip_messages: AtomicU64::new(0),
            gossip_published: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            dials_failed: AtomicU64::new(0),
            connected: AtomicU64::new(0),
            admitted: AtomicU64::new(0),
        }
    }
}

impl Counters {
    pub(crate) fn lane(&self, lane: Lane) -> &Flow {
        &self.lanes[lane as usize]
    }

    pub(crate) fn refuse(&self, reason: Refusal) {
        self.refused[reason as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn read(&self) -> Counts {
        let lanes = Lane::ALL.iter().map(|lane| (*lane, self.lane(*lane).read())).collect();
        let refused = Refusal::ALL.iter().map(|r| (*r, self.refused[*r as usize].load(Relaxed))).collect();
        Counts {
            tcp: self.tcp.read(),
            quic: self.quic.read(),
            lanes,
            refused,
            gossip_copies: self.gossip_copies.load(Relaxed),
            gossip_messages: self.gossip_messages.load(Relaxed),
            gossip_published: self.gossip_published.load(Relaxed),
            connections: self.connections.load(Relaxed),
            dials_failed: self.dials_failed.load(Relaxed),
            connected: self.connected.load(Relaxed),
            admitted: self.admitted.load(Relaxed),
        }
    }
}
