//! Facts about agents: who is enrolled or known here, and what they let their node do.

use crate::json::Json;
use artel_protocol::codec::{Decode, Encode};
use artel_protocol::id::Digest;
use artel_protocol::key::{AgentId, NodeId, Signature};
use artel_protocol::skill::Skill;
use artel_protocol::time::Wall;

/// What an agent lets its node do in its name (decision 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Delegation {
    /// Until when the node may claim, renew and submit for the agent.
    pub until: Wall,
}

/// An agent answered its challenge; it is enrolled, or enrolled anew under the same key.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Enrolled {
    /// The agent.
    pub agent: AgentId,
    /// Its name for people.
    pub name: String,
    /// Its skills, sorted, each once.
    pub skills: Vec<Skill>,
    /// Its metadata, a JSON object as sent.
    pub metadata: Json,
    /// How many leases it may hold at once.
    pub capacity: u32,
    /// What it delegated, if anything.
    pub delegation: Option<Delegation>,
    /// Its token's serial number; a token with a lower one is revoked.
    pub serial: u32,
    /// When the token expires.
    pub expires: Wall,
    /// The challenge that it signed, so that the journal alone shows whose will it was.
    pub challenge: String,
    /// The agent's signature over the challenge's bytes.
    pub signature: Signature,
}

/// An agent of another node is known here from now on, or with other words: it may claim as its node says, on what it
/// signed.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Introduced {
    /// The agent.
    pub agent: AgentId,
    /// The node that speaks for it.
    pub node: NodeId,
    /// Its name for people.
    pub name: String,
    /// Its skills, sorted, each once.
    pub skills: Vec<Skill>,
    /// What it delegated to that node, if anything.
    pub delegation: Option<Delegation>,
    /// What identifies that delegation.
    pub warrant: Option<Digest>,
    /// The text that it signed: the challenge of its enrollment there, or the statement of its act here.
    pub will: String,
    /// The agent's signature over the text's bytes.
    pub signature: Signature,
}

/// An agent of another node that has never won anything is not known here any more: another one needed the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Forgotten {
    /// The agent.
    pub agent: AgentId,
}

/// An agent changed what it says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Configured {
    /// The agent.
    pub agent: AgentId,
    /// Its name for people.
    pub name: String,
    /// Its skills, sorted, each once.
    pub skills: Vec<Skill>,
    /// Its metadata, a JSON object as sent.
    pub metadata: Json,
    /// How many leases it may hold at once.
    pub capacity: u32,
}

/// An agent got a new token; the ones before it are revoked.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Rotated {
    /// The agent.
    pub agent: AgentId,
    /// The new token's serial number.
    pub serial: u32,
    /// When the new token expires.
    pub expires: Wall,
    /// The agent's signature over its statement (`member::statement_text` with the serial before this one).
    pub signature: Signature,
}

/// Who let an agent go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum Revoker {
    /// The agent itself: its token and delegation end, it may enroll again.
    Agent,
    /// The operator: it may not come back.
    Operator,
}

/// What an agent let this node do in its name is over: no home is to take this node's word for it any more. Public, and without a
/// reason: whose will it was is the agent's and this node's matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct DelegationEnded {
    /// The agent.
    pub agent: AgentId,
    /// Every challenge by which it delegated that was made up to this moment is void.
    pub before: Wall,
}

/// An agent's token and delegation ended.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Revoked {
    /// The agent.
    pub agent: AgentId,
    /// By whom.
    pub by: Revoker,
    /// The first serial number that is not revoked.
    pub serial: u32,
    /// The agent's signature over its statement (with the serial before this one), where it was the agent's will.
    pub signature: Option<Signature>,
}
