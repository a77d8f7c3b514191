//! Why the mesh could not do what it was asked to.

use std::io;

/// Why a mesh does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration of a protocol contradicts itself.
    #[error("the mesh cannot be set up: {0}")]
    Setup(String),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where.
        address: crate::Address,
        /// What the system said.
        source: io::Error,
    },
    /// The loop has ended.
    #[error("the mesh has ended")]
    Ended,
}

/// Why a request has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum RequestError {
    /// The peer is not admitted, or not connected.
    #[error("the peer is not admitted")]
    NotAdmitted,
    /// The request has more than [`crate::limits::DIRECT_FRAME_BYTES_MAX`] bytes.
    #[error("the request is too large")]
    TooLarge,
    /// Too many requests, or bytes, are on their way to the peer, or wait there.
    #[error("too much is on its way to the peer, or waits there")]
    Busy,
    /// The peer looked at it, and does not do it.
    #[error("the peer refused")]
    Refused,
    /// No answer came in time. It may have been done all the same.
    #[error("no answer in time")]
    Timeout,
    /// The peer went away. It may have been done all the same.
    #[error("the peer went away")]
    Gone,
}

/// Why there is no stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum OpenError {
    /// The peer is not admitted, or not connected.
    #[error("the peer is not admitted")]
    NotAdmitted,
    /// [`crate::limits::STREAMS_PER_PEER_MAX`] streams to it are open.
    #[error("too many streams to the peer are open")]
    TooMany,
    /// The peer does not speak the protocol, or did not answer in time.
    #[error("the peer did not take the stream")]
    Refused,
    /// The peer went away.
    #[error("the peer went away")]
    Gone,
}

/// Why a message was not published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum PublishError {
    /// It went round within the last minute.
    #[error("the message was published already")]
    Duplicate,
    /// Nobody is there who wants it; it is forgotten.
    #[error("no peer takes part in the topic")]
    Nobody,
    /// It has more than [`crate::limits::GOSSIP_DATA_BYTES_MAX`] bytes.
    #[error("the message is too large")]
    TooLarge,
    /// All queues to peers are full.
    #[error("all queues to peers are full")]
    Busy,
    /// The loop has ended.
    #[error("the mesh has ended")]
    Ended,
}
