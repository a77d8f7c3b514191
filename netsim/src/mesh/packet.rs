//! A gossip message as it travels: its bytes, shared by all copies, and its id, which follows from them.

use artel_protocol::id::{Digest, FederationId};
use artel_protocol::topic::Topic;
use std::fmt;
use std::sync::Arc;

/// A participant's place in a world.
pub type Slot = usize;

/// What a message is called: the first 20 bytes of SHA-256 over its topic's name, a zero byte and its data, as in
/// `node/mesh/src/topic.rs`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id(pub [u8; 20]);

impl Id {
    /// Some of it as a number, for the trace.
    pub fn number(&self) -> u64 {
        u64::from_le_bytes(self.0[..8].try_into().expect("eight of twenty bytes"))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.number())
    }
}

/// A message. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Packet {
    /// Its id.
    pub id: Id,
    /// Its topic.
    pub topic: Topic,
    /// Its bytes.
    pub data: Arc<[u8]>,
}

impl Packet {
    /// A message of these bytes on a topic. The id is computed once for all copies: it is a function of the bytes.
    pub fn new(federation: &FederationId, topic: Topic, data: &[u8]) -> Packet {
        let mut named = topic.name(federation).into_bytes();
        named.push(0);
        named.extend_from_slice(data);
        let mut id = [0; 20];
        id.copy_from_slice(&Digest::of(&named).0[..20]);
        Packet { id: Id(id), topic, data: data.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_covers_topic_and_data() {
        let federation = FederationId([7; 32]);
        let id = |topic, data: &[u8]| Packet::new(&federation, topic, data).id;
        assert_eq!(id(Topic::Heads, b"a"), id(Topic::Heads, b"a"));
        assert_ne!(id(Topic::Heads, b"a"), id(Topic::Heads, b"b"));
        assert_ne!(id(Topic::Tasks(1), b"5x"), id(Topic::Tasks(15), b"x"));
    }
}
