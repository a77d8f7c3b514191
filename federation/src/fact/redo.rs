//! Facts about results that are run again before their verdict: who drew them, and what the runs came to.

use super::Abroad;
use artel_protocol::amount::Credits;
use artel_protocol::codec::{Decode, Encode};
use artel_protocol::id::{Digest, Epoch, StepId};
use artel_protocol::key::{AgentId, NodeId, Signature};
use artel_protocol::log::Hash;
use artel_protocol::time::Wall;

/// A submission was drawn, by home's own entropy: its module is run again before the verdict. Older homes wrote it; [`Lot`] has taken
/// its place.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Drawn {
    /// The step.
    pub step: StepId,
    /// The lease.
    pub epoch: Epoch,
    /// Who submitted.
    pub agent: AgentId,
    /// Of a thousand submissions with its record how many are drawn.
    pub rate: u32,
    /// What drew it, and orders those who may run it again (`redo`).
    pub lot: Digest,
}

/// What a witness said of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Cosigned {
    /// The size of the checkpoint.
    pub size: u64,
    /// Its root.
    pub root: Hash,
    /// When, in seconds since 1970 by the witness's clock.
    pub at_s: u64,
    /// The witness's signature over the time and the checkpoint (C2SP tlog-cosignature).
    pub signature: Signature,
}

/// A witness that was asked to draw, and the first that it cosigned behind the submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Witnessing {
    /// The node.
    pub node: NodeId,
    /// What it said; nothing where it said nothing in time.
    pub cosigned: Option<Cosigned>,
}

/// The lot of a submission that a module made fell: whether it is run again before the verdict (`redo::lot`). Public: whoever has the
/// records of home can check that home did not choose.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Lot {
    /// The step.
    pub step: StepId,
    /// The lease.
    pub epoch: Epoch,
    /// Who submitted.
    pub agent: AgentId,
    /// The journal index of the `Submitted` entry.
    pub submitted: u64,
    /// Of a thousand submissions with its record how many are drawn.
    pub rate: u32,
    /// The witnesses that the submission fixed, in its order; none where there was none to ask.
    pub witnesses: Vec<Witnessing>,
    /// What they drew, or where none has cosigned, home. It orders those who may run the module again.
    pub lot: Digest,
    /// Whether that draws the submission.
    pub drawn: bool,
}

/// What a run of a drawn submission's module came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Came {
    /// To the same result.
    Same,
    /// To another one: the salted commitment to it, by which two runs that agree show.
    Other(Digest),
    /// To none: a limit of the machine ended it, or nobody could run it. It says nothing of the worker.
    Inconclusive,
}

/// A drawn submission's module was run again, or nobody could run it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Redone {
    /// The step.
    pub step: StepId,
    /// The lease.
    pub epoch: Epoch,
    /// Who submitted.
    pub agent: AgentId,
    /// Who ran it, by what that node says; none where nobody could.
    pub by: Option<NodeId>,
    /// What the run came to.
    pub came: Came,
    /// Digest of the engine that ran it, with all its settings.
    pub profile: Option<Digest>,
}

/// An accepted result was run again after its verdict, by this home itself, and two runs agreed on another one (decision 13). The step
/// stays accepted: what the result brought its worker is taken back. It convinces whoever is given module and input.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Refuted {
    /// The step.
    pub step: StepId,
    /// The lease.
    pub epoch: Epoch,
    /// Who submitted.
    pub agent: AgentId,
    /// The journal index of the `Submitted` entry.
    pub submitted: u64,
    /// The journal index of the `Verdict` entry.
    pub verdict: u64,
    /// When that was given.
    pub judged: Wall,
    /// Whether the result was late.
    pub late: bool,
    /// The quality that checkers gave it, where there were any.
    pub quality: Option<u8>,
    /// The salted commitment to what the runs came to, as in [`Came::Other`].
    pub other: Digest,
    /// Digest of the engine that ran both, with all its settings.
    pub profile: Digest,
    /// What is taken back of the payment.
    pub recalled: Credits,
}

/// This node is about to run a step of another home again, which asked it to.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Redoing {
    /// The step and the lease, at the home that asks.
    pub lease: Abroad,
    /// The module.
    pub module: Digest,
}
