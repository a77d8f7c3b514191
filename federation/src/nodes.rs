//! Membership of nodes, as this node's own journal tells it: whom it admitted and expelled, and the invitations that it
//! gave out. What others' journals say is not here; it is judged in `chain.rs`.
//!
//! The fold alone changes it. Whether an invitation had expired was decided when the entry was made, so a fold never looks
//! at a moment again but to make place.

use crate::fact::{Admission, Admitted, AdmittedBy, Expelled, Genesis, InvitationEnded, Invited};
use crate::options::{INVITATIONS_MAX, REASON_BYTES_MAX};
use artel_protocol::codec::{self, Decode, Encode};
use artel_protocol::id::{Digest, FederationId};
use artel_protocol::invitation::GENESIS_BYTES_MAX;
use artel_protocol::key::{NodeId, PublicKey};
use artel_protocol::limits::NAME_BYTES_MAX;
use artel_protocol::text::is_plain;
use artel_protocol::time::Wall;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The most founders of a federation: all of their records are looked for, so more would cost every judgement.
pub const FOUNDERS_MAX: usize = 64;

/// Why bytes are not a genesis record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    /// The bytes are not in the one encoding, or too many.
    #[error("not a genesis record: {0}")]
    Codec(#[from] codec::Error),
    /// The name is empty, too long or not plain.
    #[error("the federation's name is not 1 to {NAME_BYTES_MAX} bytes of text on one line")]
    Name,
    /// None, too many, one twice, or a key that is none.
    #[error("a federation has 1 to {FOUNDERS_MAX} founders, each a good key and named once")]
    Founders,
}

impl Genesis {
    /// The federation's id: the digest of `artel/1/genesis ‖ 0 ‖` the record's encoding.
    pub fn id(&self) -> FederationId {
        FederationId::of_genesis(&codec::encode(self))
    }

    /// Reads a record that came from outside.
    ///
    /// # Errors
    /// [`GenesisError`], each case as it says.
    pub fn read(bytes: &[u8]) -> Result<Genesis, GenesisError> {
        if bytes.len() > GENESIS_BYTES_MAX {
            return Err(codec::Error::TooLarge.into());
        }
        let genesis: Genesis = codec::decode(bytes)?;
        if !is_plain(&genesis.name, NAME_BYTES_MAX, false) {
            return Err(GenesisError::Name);
        }
        let founders: std::collections::BTreeSet<_> = genesis.founders.iter().collect();
        let good = (1..=FOUNDERS_MAX).contains(&genesis.founders.len())
            && founders.len() == genesis.founders.len()
            && founders.iter().all(|founder| PublicKey::checked(*founder.key().bytes()).is_ok());
        if good { Ok(genesis) } else { Err(GenesisError::Founders) }
    }

    /// Whether a node is one of the founders.
    pub fn is_founder(&self, node: &NodeId) -> bool {
        self.founders.contains(node)
    }
}

/// A node that this one admitted or expelled.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Node {
    /// The node.
    pub id: NodeId,
    /// Its last admission here, if there was one.
    pub admitted: Option<AdmittedAt>,
    /// Its expulsion, while that stands.
    pub expelled: Option<ExpelledAt>,
}

/// One admission.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct AdmittedAt {
    /// On what.
    pub by: AdmittedBy,
    /// When.
    pub at: Wall,
    /// The journal index of its entry.
    pub index: u64,
}

/// One expulsion.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ExpelledAt {
    /// Why.
    pub reason: String,
    /// When.
    pub at: Wall,
    /// The journal index of its entry.
    pub index: u64,
}

impl Node {
    /// The journal index of the admission by which it is a member now.
    pub fn member_by(&self) -> Option<u64> {
        let admitted = self.admitted.as_ref().filter(|_| self.expelled.is_none());
        admitted.map(|admitted| admitted.index)
    }
}

/// An invitation that this node gave out and has not taken back.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct LiveInvitation {
    /// The digest of its secret, which names it.
    pub digest: Digest,
    /// Until when it is good.
    pub until: Wall,
    /// How many nodes it lets in.
    pub uses: u32,
    /// How many it has let in.
    pub used: u32,
    /// When it was made.
    pub made: Wall,
}

impl LiveInvitation {
    /// Whether it lets nobody in any more at a moment.
    pub fn is_over(&self, at: Wall) -> bool {
        self.used >= self.uses || at > self.until
    }
}

/// The nodes and invitations of one journal.
#[derive(Debug, Default)]
pub(crate) struct Nodes {
    known: BTreeMap<NodeId, Arc<Node>>,
    invitations: BTreeMap<Digest, LiveInvitation>,
    // Derived from the above.
    members: usize,
}

impl Nodes {
    pub fn node(&self, id: &NodeId) -> Option<&Arc<Node>> {
        self.known.get(id)
    }

    pub fn known(&self) -> &BTreeMap<NodeId, Arc<Node>> {
        &self.known
    }

    pub fn invitation(&self, digest: &Digest) -> Option<&LiveInvitation> {
        self.invitations.get(digest)
    }

    pub fn invitations(&self) -> impl ExactSizeIterator<Item = &LiveInvitation> {
        self.invitations.values()
    }

    /// How many nodes are members by this journal.
    pub fn members(&self) -> usize {
        self.members
    }

    /// How many are expelled.
    pub fn expelled(&self) -> usize {
        self.known.len() - self.members
    }

    /// The state of a snapshot's rows.
    pub fn from_rows(nodes: Vec<Node>, invitations: Vec<LiveInvitation>) -> Self {
        let members = nodes.iter().filter(|node| node.expelled.is_none()).count();
        Nodes {
            known: nodes.into_iter().map(|node| (node.id, Arc::new(node))).collect(),
            invitations: invitations.into_iter().map(|one| (one.digest, one)).collect(),
            members,
        }
    }

    /// Folds an admission. `founded` is whether this journal's node founded the federation.
    pub fn admitted(
        &mut self,
        f: &Admitted,
        (genesis, founded): (&Genesis, bool),
        (at, index): (Wall, u64),
    ) -> Result<(), String> {
        let known = self.known.get(&f.node);
        if genesis.is_founder(&f.node) || known.is_some_and(|node| node.expelled.is_none()) {
            return Err(format!("{} is a member already", f.node));
        }
        if known.is_some() && f.by != AdmittedBy::Operator {
            return Err(format!("{} is expelled, and only the operator lets it in again", f.node));
        }
        match f.by {
            AdmittedBy::Open if genesis.admission != Admission::Open || !founded => {
                return Err("only a founder of an open federation lets in whoever asks".into());
            }
            AdmittedBy::Invitation(digest) => {
                let invitation = self.invitations.get_mut(&digest).filter(|one| one.used < one.uses);
                let invitation = invitation.ok_or_else(|| format!("invitation {digest} lets nobody in"))?;
                invitation.used += 1;
            }
            AdmittedBy::Open | AdmittedBy::Operator => {}
        }
        let admitted = Some(AdmittedAt { by: f.by, at, index });
        self.known.insert(f.node, Arc::new(Node { id: f.node, admitted, expelled: None }));
        self.members += 1;
        Ok(())
    }

    /// Folds an expulsion.
    pub fn expel(&mut self, f: &Expelled, genesis: &Genesis, (at, index): (Wall, u64)) -> Result<(), String> {
        let known = self.known.get(&f.node);
        if genesis.is_founder(&f.node) {
            return Err(format!("{} is a founder, whom nobody expels", f.node));
        }
        if known.is_some_and(|node| node.expelled.is_some()) {
            return Err(format!("{} is expelled already", f.node));
        }
        if f.reason.len() > REASON_BYTES_MAX {
            return Err(format!("the reason has more than {REASON_BYTES_MAX} bytes"));
        }
        if known.is_some() {
            self.members -= 1;
        }
        let admitted = known.and_then(|node| node.admitted.clone());
        let expelled = Some(ExpelledAt { reason: f.reason.clone(), at, index });
        self.known.insert(f.node, Arc::new(Node { id: f.node, admitted, expelled }));
        Ok(())
    }

    /// Folds a new invitation; where there are as many as there may be, one that is over makes place.
    pub fn invited(&mut self, f: &Invited, at: Wall) -> Result<(), String> {
        if self.invitations.contains_key(&f.invitation) {
            return Err(format!("invitation {} exists", f.invitation));
        }
        if self.invitations.len() >= INVITATIONS_MAX {
            let over = self.over(at).ok_or("there are as many live invitations as there may be")?;
            self.invitations.remove(&over);
        }
        let Invited { invitation: digest, until, uses } = *f;
        self.invitations.insert(digest, LiveInvitation { digest, until, uses, used: 0, made: at });
        Ok(())
    }

    /// Whether there is place for one invitation more.
    pub fn has_place(&self, at: Wall) -> bool {
        self.invitations.len() < INVITATIONS_MAX || self.over(at).is_some()
    }

    /// The invitation that has been over for longest.
    fn over(&self, at: Wall) -> Option<Digest> {
        let over = self.invitations.values().filter(|one| one.is_over(at));
        over.min_by_key(|one| (one.until, one.digest)).map(|one| one.digest)
    }

    /// Folds the end of an invitation.
    pub fn ended(&mut self, f: &InvitationEnded) -> Result<(), String> {
        let ended = self.invitations.remove(&f.invitation);
        ended.map(drop).ok_or_else(|| format!("there is no invitation {}", f.invitation))
    }
}
