//! What topics and messages are called on the wire.

use crate::limits::GOSSIP_ID_BYTES;
use artel_protocol::id::FederationId;
use artel_protocol::topic::Topic;
use libp2p::gossipsub::{IdentTopic, TopicHash};
use sha2::{Digest, Sha256};
use std::fmt;

/// A topic's name, for gossipsub.
pub(crate) fn wire(topic: Topic, federation: &FederationId) -> IdentTopic {
    IdentTopic::new(topic.name(federation))
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
