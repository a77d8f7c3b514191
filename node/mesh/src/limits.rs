//! What a peer can make us keep, send or do at most: each limit with its unit, its reason and what happens at it.

use std::time::Duration;

/// The most bytes in a hello or a welcome (72 KiB): a chain of eight admissions with their proofs, and addresses. More ends
/// the connection.
pub const HELLO_BYTES_MAX: usize = 72 << 10;

/// How long a connection may take from its start until both hellos are accepted. Longer lets strangers hold places; much
/// shorter loses slow links. Then the connection is closed.
pub const HELLO_WAIT: Duration = Duration::from_secs(5);

/// How long a connection that was refused stays, so that the refusal arrives.
pub const REFUSED_WAIT: Duration = Duration::from_millis(500);

/// The most connections that are not admitted yet. More would let strangers hold memory (each holds up to
/// [`HELD_EVENTS_MAX`] messages); a further incoming one is closed at once.
pub const UNADMITTED_MAX: usize = 32;

/// The most messages of a behaviour that wait for a connection's admission: one round of 19 subscriptions, and room. What
/// is above is dropped; gossip and lookups are hints.
pub const HELD_EVENTS_MAX: usize = 32;

/// The most streams of a peer that wait for the last step of its admission. A further one is closed.
pub const HELD_STREAMS_MAX: usize = 4;

/// The most bytes in a direct frame (320 KiB): the largest step input or output (256 KiB as JSON) and what stands around
/// it. More from a peer breaks the framing; more from us is [`crate::RequestError::TooLarge`].
pub const DIRECT_FRAME_BYTES_MAX: usize = 320 << 10;

/// The most direct requests in flight to a peer, and as many from it: a node with a few hundred agents that all claim at
/// once. A further one of ours waits for a place; who asks us one more hears that this node is busy.
pub const DIRECT_IN_FLIGHT_MAX: usize = 256;

/// The most direct requests to a peer that wait for a place among those in flight: a thousand agents whose results come at once.
/// A further one is [`crate::RequestError::Busy`].
pub const DIRECT_QUEUED_MAX: usize = 1_024;

/// How long a direct request waits for a place. Longer, and an agent whose result could wait in the outbox waits for it; shorter,
/// and what a thousand agents hand in at once does not get through.
pub const DIRECT_QUEUE_WAIT: Duration = Duration::from_secs(5);

/// The most bytes that wait to or from one peer as direct frames, each way (4 MiB: a dozen of the largest). A frame above is
/// read over, and its asker hears that this node is busy.
pub const DIRECT_WAITING_BYTES_MAX: usize = 4 << 20;

/// The most bytes that wait as direct frames for all peers together (64 MiB), beside the first [`DIRECT_FRAME_BYTES_MAX`] of
/// each peer and way, which count for that peer alone: whoever has much waiting leaves everybody else, and our own requests,
/// a frame's room. As above.
pub const DIRECT_WAITING_ALL_BYTES_MAX: usize = 64 << 20;

/// How long the asker's own substream rests before it is opened again after a break. Shorter would spin against a peer
/// that resets it.
pub const DIRECT_REOPEN_WAIT: Duration = Duration::from_secs(1);

/// The most raw streams (sync and blob together) from one peer, and as many to it. A further one is closed, or
/// [`crate::OpenError::TooMany`].
pub const STREAMS_PER_PEER_MAX: usize = 16;

/// The most substreams of one TCP connection, all protocols (gossip and lookups take a few). Yamux ends a connection with
/// more; it bounds what unread windows hold (256 KiB each) to 32 MiB.
pub const SUBSTREAMS_MAX: usize = 128;

/// The most incoming substreams that negotiate their protocol on a connection. Further ones are dropped.
pub const NEGOTIATING_MAX: usize = 32;

/// How long a substream may negotiate its protocol.
pub const NEGOTIATION_WAIT: Duration = Duration::from_secs(5);

/// How long a connection may take to be encrypted and multiplexed.
pub const HANDSHAKE_WAIT: Duration = Duration::from_secs(10);

/// The most connections, both ways. At about 0.2 MB each this bounds memory; a further one is closed.
pub const CONNECTIONS_MAX: u32 = 160;

/// The most incoming connections: what remains of the total is for those we choose ourselves.
pub const CONNECTIONS_IN_MAX: u32 = 112;

/// The most connections of one peer: two of a simultaneous dial and two of a restart whose old ones are not noticed yet.
pub const CONNECTIONS_PER_PEER_MAX: u32 = 4;

/// The most incoming connections in their handshake, and as many outgoing ones. Further ones are closed.
pub const CONNECTIONS_PENDING_MAX: u32 = 64;

/// The process's resident bytes above which no new connection is accepted, unless the options say otherwise (2 GiB).
pub const MEMORY_BYTES_MAX: usize = 2 << 30;

/// How many neighbours a node keeps. Each costs gossip's control messages and a record exchange; with fewer a partition
/// is likelier.
pub const NEIGHBOURS_MIN: usize = 16;

/// How many neighbours a node chose itself, whoever else came: who fills our incoming places cannot cut us off.
pub const OUTBOUND_MIN: usize = 8;

/// The most dials at once. More only serves to fill the pending places.
pub const DIALS_MAX: usize = 8;

/// The first pause after a failed dial; it doubles with each failure, with a quarter of jitter either way.
pub const BACKOFF_MIN: Duration = Duration::from_secs(1);

/// The longest pause between two dials of a peer. Longer delays the meeting when a network comes back.
pub const BACKOFF_MAX: Duration = Duration::from_secs(60);

/// How long a neighbour must stay before its failures are forgotten; one that accepts and leaves keeps its pause.
pub const STABLE_WAIT: Duration = Duration::from_secs(10);

/// The most peers in the address book. For a new one the least useful goes: never met, failed most.
pub const KNOWN_PEERS_MAX: usize = 1_024;

/// The most addresses of one peer; the newest stay.
pub const ADDRESSES_PER_PEER_MAX: usize = 8;

/// The most bytes in one address. A longer one is not taken.
pub const ADDRESS_BYTES_MAX: usize = 256;

/// The most addresses without a peer id that are dialled until they answer. A further [`crate::Mesh::dial`] is not kept.
pub const UNNAMED_MAX: usize = 64;

/// The most peers that are banned, and the most that are kept off for a time. For a new one the oldest goes.
pub const BANNED_MAX: usize = 4_096;

/// How long a peer is kept off that lost its place by its score or by a flood.
pub const COOLDOWN: Duration = Duration::from_secs(600);

/// How often a node looks for strangers while it is short of neighbours.
pub const WALK_INTERVAL: Duration = Duration::from_secs(60);

/// How long one lookup may take.
pub const LOOKUP_WAIT: Duration = Duration::from_secs(10);

/// The most bytes in one message of a lookup (16 KiB, the protocol's usual limit).
pub const LOOKUP_BYTES_MAX: usize = 16 << 10;

/// How often the round trip is measured, and how long an answer may take. Two misses close the connection.
pub const PING_INTERVAL: Duration = Duration::from_secs(15);
/// See [`PING_INTERVAL`].
pub const PING_WAIT: Duration = Duration::from_secs(20);

/// The most bytes in a gossip message with its envelope (64 KiB): a frame of records of 32 KiB and room. A longer one is
/// not published; a peer that sends one loses the stream.
pub const GOSSIP_BYTES_MAX: usize = 64 << 10;

/// The most bytes of data in a gossip message of ours: the envelope (topic, lengths) takes the rest, and gossipsub itself
/// would send a message that the receiver then breaks off.
pub const GOSSIP_DATA_BYTES_MAX: usize = GOSSIP_BYTES_MAX - (1 << 10);

/// The bytes of a gossip message's id.
pub const GOSSIP_ID_BYTES: usize = 20;

/// The bytes that a peer's control message may have (16 KiB): above it gossipsub goes deaf for that peer, silently.
pub const GOSSIP_CONTROL_BYTES_MAX: usize = 16 << 10;

/// The most ids in one announcement (IHAVE): `16,384 / (20 + 2)` are 744; the rest is for the topic and its envelope. More
/// makes links deaf (ARCHITECTURE.md, experiment 2); fewer hides messages from peers outside the mesh above 230 a second.
pub const GOSSIP_IDS_SENT_MAX: usize = 690;

/// How many neighbours carry a topic's messages: wanted, at least, at most. Eight instead of six cost a third more bytes
/// and CPU for the same delivery.
pub const GOSSIP_MESH: (usize, usize, usize) = (6, 4, 9);

/// How long ids of seen messages are kept. Shorter would let old ones go round again.
pub const GOSSIP_SEEN: Duration = Duration::from_secs(60);

/// How long a message waits for our verdict; then it is ignored. It must be shorter than gossipsub's own memory of five
/// heartbeats (5 s).
pub const VERDICT_WAIT: Duration = Duration::from_secs(3);

/// The most messages that wait for our verdict. Further ones are ignored.
pub const VERDICTS_MAX: usize = 1_024;

/// The most bytes of messages that wait for our verdict (16 MiB). As above.
pub const VERDICTS_BYTES_MAX: usize = 16 << 20;

/// The most messages that gossipsub queues for one peer. What is above is dropped and counts as a slow peer.
pub const GOSSIP_QUEUE_MAX: usize = 1_024;

/// How many new messages a second a peer may bring us, in the long run. All topics at the pace that a core can check are
/// about 450; a neighbour is the first to bring a fifth of them. What is above is ignored and costs score.
pub const GOSSIP_PER_PEER_RATE: u32 = 256;

/// How many new messages a peer may bring us at once. With the rate this bounds the ids kept for one peer to about 17,000.
pub const GOSSIP_PER_PEER_BURST: u32 = 2_048;

/// How many messages above its rate a peer may bring before it is disconnected and kept off.
pub const GOSSIP_EXCESS_MAX: u32 = 1_024;

/// The score at which a peer's announcements and requests for messages are ignored: five invalid messages.
pub const SCORE_GOSSIP: f64 = -20.0;
/// The score at which we send a peer nothing of our own: seven invalid messages.
pub const SCORE_PUBLISH: f64 = -50.0;
/// The score at which a peer is not heard any more, disconnected and kept off: nine invalid messages, in gossip or elsewhere, or
/// three breaks of direct framing.
pub const SCORE_GRAYLIST: f64 = -80.0;
/// What one break of a framing costs. It fades by a tenth every ten seconds.
pub const SCORE_FRAMING: f64 = -30.0;

/// What it costs to say on another protocol than gossip what no honest node says. It fades as [`SCORE_FRAMING`] does.
pub const SCORE_WRONG: f64 = -9.0;

/// The most events that wait for the node. At half of it what may be refused is refused; at all of it the network waits.
pub const EVENTS_MAX: usize = 1_024;

/// The most commands that wait for the loop; then the callers wait.
pub const COMMANDS_MAX: usize = 1_024;

/// How long leaving takes at most.
pub const STOP_WAIT: Duration = Duration::from_secs(3);

/// How often deadlines, scores and the address book are looked at.
pub const TICK: Duration = Duration::from_millis(100);

const _: () = assert!(GOSSIP_IDS_SENT_MAX * (GOSSIP_ID_BYTES + 2) + 256 <= GOSSIP_CONTROL_BYTES_MAX);
const _: () = assert!(DIRECT_FRAME_BYTES_MAX > artel_protocol::limits::INPUT_BYTES_MAX);
const _: () = assert!(DIRECT_FRAME_BYTES_MAX <= DIRECT_WAITING_BYTES_MAX);
const _: () = assert!(OUTBOUND_MIN <= NEIGHBOURS_MIN && NEIGHBOURS_MIN < CONNECTIONS_MAX as usize);
const _: () =
    assert!(-(9.0 * 9.0) <= SCORE_GRAYLIST && -(8.0 * 8.0) > SCORE_GRAYLIST, "nine invalid messages");
const _: () =
    assert!(9.0 * SCORE_WRONG <= SCORE_GRAYLIST && 8.0 * SCORE_WRONG > SCORE_GRAYLIST, "nine wrong ones");
const _: () =
    assert!(3.0 * SCORE_FRAMING <= SCORE_GRAYLIST && 2.0 * SCORE_FRAMING > SCORE_GRAYLIST, "three breaks");
