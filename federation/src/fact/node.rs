//! Facts about nodes: the federation's beginning, who belongs to it, a node's starts, and what nodes lied about.

use artel_protocol::codec::{Decode, Encode};
use artel_protocol::id::Digest;
use artel_protocol::key::NodeId;
use artel_protocol::time::Wall;
use artel_protocol::witness::Contradiction;

/// Who a node lets in beside its founder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Admission {
    /// Whoever asks.
    Open,
    /// Whoever a member invites.
    Invitation,
}

/// The first entry of a founder's journal; the digest of its encoding is the federation's id.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Genesis {
    /// The federation's name.
    pub name: String,
    /// The founding nodes' keys.
    pub founders: Vec<NodeId>,
    /// How others come in.
    pub admission: Admission,
    /// SHA-256 of the recovery key that may move this node to a new key (decision 6).
    pub recovery: Digest,
    /// When it was founded, by the founder's wall clock.
    pub created: Wall,
}

/// The first entry of a journal whose node did not found its federation: it carries the genesis record whole, so that the
/// journal alone says which federation it is of.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Joined {
    /// The record of the federation that it joined.
    pub genesis: Genesis,
    /// SHA-256 of the recovery key that may move this node to a new key (decision 6).
    pub recovery: Digest,
}

/// On what a node was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum AdmittedBy {
    /// The federation is open: whoever asks a founder.
    Open,
    /// An invitation of this node; the digest of its secret.
    Invitation(Digest),
    /// The operator, by name; the one way back for a node that was expelled.
    Operator,
}

/// A node became a member. Public: it is what the member shows to others.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Admitted {
    /// The node.
    pub node: NodeId,
    /// On what.
    pub by: AdmittedBy,
}

/// A node is a member no more, as far as this node has a say.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Expelled {
    /// The node.
    pub node: NodeId,
    /// Why, in a sentence that everybody can read.
    pub reason: String,
}

/// The operator gave out an invitation.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Invited {
    /// SHA-256 of its secret, which is in no journal.
    pub invitation: Digest,
    /// Until when it lets nodes in, by this node's wall clock.
    pub until: Wall,
    /// How many nodes it lets in.
    pub uses: u32,
}

/// The operator took an invitation back. Whom it let in stays.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct InvitationEnded {
    /// SHA-256 of its secret.
    pub invitation: Digest,
}

/// A node's process has folded its journal and begins to take requests.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Started {
    /// Counts this node's starts from 1.
    pub boot: u64,
    /// The software's version.
    pub version: String,
    /// Digest of the effective configuration.
    pub configuration: Digest,
}

/// How a node lied about its journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum Lie {
    /// It signed two roots of one size.
    TwoRoots,
    /// It signed two leaves of one entry.
    TwoLeaves,
    /// It signed a later checkpoint that continues another root of an earlier size than it signed.
    Rewritten,
}

impl From<&Contradiction> for Lie {
    fn from(contradiction: &Contradiction) -> Self {
        match contradiction {
            Contradiction::TwoRoots { .. } => Lie::TwoRoots,
            Contradiction::TwoLeaves { .. } => Lie::TwoLeaves,
            Contradiction::Rewritten { .. } => Lie::Rewritten,
        }
    }
}

/// An alarm: this node holds a proof that another one signed two histories of its journal, and deals with it no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct FraudProven {
    /// The node that lied.
    pub node: NodeId,
    /// How.
    pub lie: Lie,
    /// SHA-256 of the proof's frame.
    pub proof: Digest,
}
