//! What nodes send each other, and what a node asks of the world.

use super::overlay::Rpc;
use super::packet::Slot;
use artel_protocol::log::{Hash, SignedCheckpoint};
use artel_protocol::sync::Message;

/// Something on its way from one node to another.
#[derive(Debug, Clone)]
pub enum Mail {
    /// Gossip.
    Gossip(Rpc),
    /// A question on a `sync` stream.
    Sync {
        /// The stream.
        stream: u64,
        /// Which of its questions.
        step: u32,
        /// What is asked.
        question: Message,
    },
    /// All that answers it, in order: a stream delivers that or breaks.
    Synced {
        /// The stream.
        stream: u64,
        /// Which of its questions.
        step: u32,
        /// The answer.
        answer: Vec<Message>,
    },
    /// Prove that your journal at this head continues its first `old` entries.
    Prove {
        /// What is remembered.
        old: u64,
        /// The head.
        head: SignedCheckpoint,
    },
    /// The answer: the root of the first `old` entries, and the proof.
    Proof {
        /// The head that was asked about.
        head: SignedCheckpoint,
        /// The root.
        root: Hash,
        /// The proof.
        proof: Vec<Hash>,
    },
    /// A cosignature's frame, for the head's node.
    Cosigned(Vec<u8>),
}

impl Mail {
    /// Whether it goes to a node that may not be a neighbour: it is dialled for it.
    pub fn is_direct(&self) -> bool {
        matches!(self, Mail::Prove { .. } | Mail::Proof { .. } | Mail::Cosigned(_))
    }

    /// Its kind and what it is about, for the trace.
    pub fn numbers(&self) -> [u64; 2] {
        match self {
            Mail::Gossip(Rpc::Publish(packet, hops)) => [u64::from(*hops), packet.id.number()],
            Mail::Gossip(Rpc::IHave(topic, ids)) => [100 + u64::from(topic.number()), ids.len() as u64],
            Mail::Gossip(Rpc::IWant(ids)) => [200, ids.len() as u64],
            Mail::Gossip(Rpc::Graft(topic)) => [201, u64::from(topic.number())],
            Mail::Gossip(Rpc::Prune(topic)) => [202, u64::from(topic.number())],
            Mail::Sync { stream, step, .. } => [203, *stream << 8 | u64::from(*step)],
            Mail::Synced { stream, answer, .. } => [204, *stream << 16 | answer.len() as u64],
            Mail::Prove { old, head } => [205, *old << 32 | head.size()],
            Mail::Proof { head, proof, .. } => [206, head.size() << 8 | proof.len() as u64],
            Mail::Cosigned(frame) => [207, frame.len() as u64],
        }
    }
}

/// Why a node wants to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// What became public is to be told.
    Publish,
    /// A head is to be told.
    Head,
    /// Gossip's heartbeat.
    Heartbeat,
    /// A fetch has waited long enough for an answer.
    Late(Slot, u64, u32),
    /// A fetch is over and its pause too.
    Rested(Slot),
    /// Time to fetch from the next neighbour in turn.
    Round,
    /// Time to look for neighbours.
    Dial,
}

/// What a node wants from the world.
#[derive(Debug)]
pub enum Out {
    /// Send this.
    Send(Slot, Mail),
    /// Send this to every running node with this key but the asker, neighbour or not.
    SendTo(artel_protocol::key::NodeId, Mail),
    /// Wake me after so many milliseconds.
    Later(u64, Wake),
    /// A neighbour is to go.
    Drop(Slot),
    /// Look for a neighbour.
    Seek,
}
