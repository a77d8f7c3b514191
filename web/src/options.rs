//! What an operator may set about the HTTP side, and the numbers that hold until then.

use crate::rate::Rate;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// The operator's choices.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Names of this node that a `Host` or an `Origin` may bear, beside loopback and the address connected to.
    pub names: Vec<String>,
    /// TLS. Without it the server starts on loopback only.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Lets it start without TLS anywhere: something in front does TLS, or the network is trusted.
    pub insecure_http: bool,
    /// The most open connections, each up to about 70 KiB. At the limit none is accepted until one closes; the kernel's
    /// queue holds some and then refuses.
    pub connections_max: usize,
    /// The most of them from one address other than loopback; more are closed at once, so that one stranger cannot
    /// take all.
    pub connections_per_address_max: u32,
    /// How long a TLS handshake may take; then the connection is closed.
    pub handshake: Duration,
    /// How long a request's head may take from its first byte (a new connection: from the start); then the connection is
    /// closed. Longer, and a few half-sent heads hold many sockets.
    pub head: Duration,
    /// How long a connection may be quiet between requests; then it is closed. Just above what proxies keep.
    pub idle: Duration,
    /// The longest pause inside a body; then it gets `request_timeout`.
    pub body_idle: Duration,
    /// The slowest rate of a body in bytes a second, beyond one pause; a slower one gets `request_timeout`.
    pub body_rate_min: u64,
    /// How long a receiver may take nothing of an answer; then the connection is closed.
    pub write: Duration,
    /// How long the service may take for an answer; then the caller gets `timeout`. Waiting that the caller asked for
    /// comes on top.
    pub answer: Duration,
    /// The longest wait that a caller may ask for (`wait_ms`); a longer one is cut to this.
    pub wait_max: Duration,
    /// The most WebSockets that one agent has at a time. One carries many calls, so a few are enough for an agent on several
    /// machines; many would let one agent use up the others' connections.
    pub sockets_per_agent_max: u32,
    /// How long a WebSocket may take to say who it is; then it is ended. Longer, and strangers hold more of them.
    pub socket_unknown: Duration,
    /// After how long without a word of its peer a WebSocket is pinged. Below what proxies keep.
    pub socket_quiet: Duration,
    /// How much longer it may be silent then; after that it is ended.
    pub socket_silent: Duration,
    /// How long open requests may go on at shutdown; then their connections are cut.
    pub shutdown: Duration,
    /// Requests of one agent. The operator is not limited.
    pub agent_rate: Rate,
    /// Enrollments from one address (an IPv6 /64 counts as one).
    pub enroll_rate: Rate,
    /// Refused tokens from one address; beyond it only tokens that are known without a signature check are taken.
    pub refused_token_rate: Rate,
    /// How long somebody stays signed in to the pages without coming back; an agent never longer than its token.
    pub session: Duration,
    /// The most people signed in at once, each about 300 bytes. One more takes the place of the agent that was quiet longest.
    pub sessions_max: usize,
    /// The most live streams of pages at once, a few of them the operator's alone; a page beyond it shows what it showed last,
    /// and says so.
    pub streams_max: usize,
    /// How long one live stream goes on; then the page opens another. It bounds what a reader that never reads holds.
    pub stream: Duration,
    /// The most bytes of one artifact.
    pub artifact_bytes_max: u64,
    /// Whether callers' trace contexts are read and told to the service.
    pub traces: bool,
    /// Who may read `/metrics`.
    pub metrics: Audience,
}

/// Who may read something that is not for everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Whoever has the operator's token.
    Operator,
    /// They, and whoever connects from this machine. A proxy on it connects from it, too.
    Loopback,
    /// Whoever asks.
    Anyone,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            names: Vec::new(),
            tls: None,
            insecure_http: false,
            connections_max: 4_096,
            connections_per_address_max: 256,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            body_idle: Duration::from_secs(15),
            body_rate_min: 16 << 10,
            write: Duration::from_secs(30),
            answer: Duration::from_secs(30),
            wait_max: Duration::from_secs(30),
            sockets_per_agent_max: 16,
            socket_unknown: Duration::from_secs(10),
            socket_quiet: Duration::from_secs(30),
            socket_silent: Duration::from_secs(30),
            shutdown: Duration::from_secs(10),
            agent_rate: Rate { per_second: 5_000.0, burst: 10_000 },
            enroll_rate: Rate { per_second: 2.0, burst: 256 },
            refused_token_rate: Rate { per_second: 1.0, burst: 64 },
            session: Duration::from_hours(12),
            sessions_max: 4_096,
            streams_max: 256,
            stream: Duration::from_mins(10),
            artifact_bytes_max: artel_protocol::limits::ARTIFACT_BYTES_MAX,
            traces: false,
            metrics: Audience::Operator,
        }
    }
}
