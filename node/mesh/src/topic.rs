//! What is gossiped: the closed list of topics, their names on the wire, and what a message is called.

use crate::limits::GOSSIP_ID_BYTES;
use artel_protocol::id::FederationId;
use libp2p::gossipsub::{IdentTopic, TopicHash};
use sha2::{Digest, Sha256};
use std::fmt;

/// How many shards offers are spread over.
pub const TASK_SHARDS: u8 = 16;

/// A gossip topic of a federation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// Who is enrolled, with which skills.
    Agents,
    /// Receipts, reviews and summaries.
    Trust,
    /// Signed heads of logs.
    Heads,
    /// Offers of one shard.
    Tasks(Shard),
}

/// A shard of the offers, below [`TASK_SHARDS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard(u8);

impl Shard {
    /// The shard that a byte falls into, modulo [`TASK_SHARDS`].
    pub fn of(byte: u8) -> Self {
        Shard(byte % TASK_SHARDS)
    }

    /// Its number.
    pub fn number(self) -> u8 {
        self.0
    }
}

impl Topic {
    /// All topics.
    pub fn all() -> impl Iterator<Item = Topic> {
        [Topic::Agents, Topic::Trust, Topic::Heads]
            .into_iter()
            .chain((0..TASK_SHARDS).map(|number| Topic::Tasks(Shard(number))))
    }

    /// Its name on the wire, `artel/1/<federation>/…`.
    pub fn name(self, federation: &FederationId) -> String {
        format!("artel/1/{federation}/{self}")
    }

    pub(crate) fn wire(self, federation: &FederationId) -> IdentTopic {
        IdentTopic::new(self.name(federation))
    }
}

/// The part of the name after the federation.
impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Topic::Agents => f.write_str("agents"),
            Topic::Trust => f.write_str("trust"),
            Topic::Heads => f.write_str("heads"),
            Topic::Tasks(shard) => write!(f, "tasks/{}", shard.0),
        }
    }
}

/// What a gossip message is called: the first 20 bytes of SHA-256 over its topic's name, a zero byte and its data.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub [u8; GOSSIP_ID_BYTES]);

impl MessageId {
    /// The id of these bytes under this name of a topic. The zero byte keeps `tasks/1` with `5…` apart from `tasks/15`.
    pub fn of(topic: &str, data: &[u8]) -> Self {
        let digest = Sha256::new().chain_update(topic).chain_update([0]).chain_update(data).finalize();
        let mut id = [0; GOSSIP_ID_BYTES];
        id.copy_from_slice(&digest[..GOSSIP_ID_BYTES]);
        MessageId(id)
    }

    pub(crate) fn of_wire(topic: &TopicHash, data: &[u8]) -> Self {
        Self::of(topic.as_str(), data)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_the_protocol_says() {
        let federation = FederationId([0xab; 32]);
        let head = format!("artel/1/{}/", "ab".repeat(32));
        let names: Vec<_> = Topic::all().map(|topic| topic.name(&federation)).collect();
        assert_eq!(names.len(), 19);
        assert_eq!(names[0], format!("{head}agents"));
        assert_eq!(names[2], format!("{head}heads"));
        assert_eq!(names[18], format!("{head}tasks/15"));
        assert_eq!(Shard::of(0x1f).number(), 15);
    }

    #[test]
    fn an_id_covers_topic_and_data() {
        assert_ne!(MessageId::of("tasks/1", b"5x"), MessageId::of("tasks/15", b"x"));
        assert_ne!(MessageId::of("tasks/1", b"a"), MessageId::of("tasks/1", b"b"));
        // printf 'tasks/1\0a' | sha256sum
        assert_eq!(
            format!("{:?}", MessageId::of("tasks/1", b"a")),
            "69b11b33dbd383605fb8e534420e6cd4eda481d1"
        );
    }
}
