//! What nodes send each other, and what a node asks of the world.

use super::overlay::Rpc;
use super::packet::Slot;
use artel_protocol::continuity::Ask;
use artel_protocol::id::{Epoch, StepId};
use artel_protocol::sync::Message;
use artel_protocol::topic::Topic;
use std::sync::Arc;

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
    /// Show that your journal continues its own first entries.
    Prove {
        /// The asker's number for it.
        call: u64,
        /// The question.
        ask: Ask,
    },
    /// The answer: the frame of what is shown; nothing where it is refused.
    Proof {
        /// The asker's number for the question.
        call: u64,
        /// The frame.
        shown: Option<Vec<u8>>,
    },
    /// A cosignature's frame, for the head's node.
    Cosigned(Vec<u8>),
    /// A request: a visit, a step to be run again, or a question for bytes.
    Request {
        /// The asker's number for it.
        call: u64,
        /// Its frame.
        frame: Vec<u8>,
    },
    /// The answer to it.
    Answer {
        /// The asker's number for the request.
        call: u64,
        /// Its frame.
        frame: Vec<u8>,
        /// The bytes behind it, where bytes were asked for.
        bytes: Arc<[u8]>,
    },
}

impl Mail {
    /// Whether it goes to a node that may not be a neighbour: it is dialled for it.
    pub fn is_direct(&self) -> bool {
        use Mail::{Answer, Cosigned, Proof, Prove, Request};
        matches!(self, Prove { .. } | Proof { .. } | Cosigned(_) | Request { .. } | Answer { .. })
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
            Mail::Prove { call, ask } => [205, *call << 8 | ask.sizes().len() as u64],
            Mail::Proof { call, shown } => [206, *call << 16 | shown.as_ref().map_or(0, Vec::len) as u64],
            Mail::Cosigned(frame) => [207, frame.len() as u64],
            Mail::Request { call, frame } => [208, *call << 32 | frame.len() as u64],
            Mail::Answer { call, frame, bytes } => [209, *call << 32 | (frame.len() + bytes.len()) as u64],
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
    /// A turn to bring a journal has ended.
    TurnEnded,
    /// A fetch that waits for journals that others are bringing looks whether they are out of time.
    OutOfTime(Slot, u64, u32),
    /// Time to fetch from the next neighbour in turn.
    Round,
    /// Time to look for neighbours.
    Dial,
    /// Time to fetch what is missing and not waited for.
    Fill,
    /// Something of the market.
    Market(MarketWake),
}

/// Why a node that takes part in a market wants to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarketWake {
    /// The rules have a timer.
    Tick,
    /// An agent looks what there is to do.
    Agent(usize),
    /// A claim of an agent goes on, by its number.
    Errand(usize, u64),
    /// A request has waited long enough for an answer.
    Late(u64),
    /// Time to bring what waits in the outbox.
    Outbox,
    /// Time to say a summary.
    Summary,
    /// A result is checked.
    Checked(StepId, Epoch),
    /// It is looked whether a result's witnesses have cosigned.
    Lot(StepId, Epoch),
    /// A result is to be run again, or by the next one.
    Redo(StepId, Epoch),
    /// A run of another home's step is done.
    Ran(u64),
    /// Whoever has a copy of what was delegated to the node acts by it.
    Copy,
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
    /// Tell all neighbours that this topic is followed from now on: a stream that delivers, or breaks with the connection.
    Follow(Topic),
}
