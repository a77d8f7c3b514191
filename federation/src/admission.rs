//! Requests about the membership of nodes: invitations, admissions, expulsions. The one place that decides who is let in.
//!
//! A node that asks is a stranger until it is admitted: what it is refused is only counted, in memory (decision 1).

use crate::effect::{Code, Refusal, Reply};
use crate::fact::{Admission, Admitted, AdmittedBy, Expelled, Fact, Genesis, InvitationEnded, Invited};
use crate::federation::Federation;
use crate::input::Principal;
use crate::options::{
    EXPELLED_MAX, INVITATION_MS_MAX, INVITATION_USES_MAX, INVITATIONS_MAX, MEMBERS_MAX, REASON_BYTES_MAX,
};
use crate::turn::Turn;
use artel_protocol::id::Digest;
use artel_protocol::invitation::InvitationSecret;
use artel_protocol::key::NodeId;
use artel_protocol::text::is_plain;

impl Federation {
    /// Gives out an invitation. In an open federation it holds no secret and nothing is written down: whoever asks a
    /// founder is let in anyway.
    pub(crate) fn invite(&mut self, turn: &mut Turn, for_ms: u64, uses: u32) -> Result<Reply, Refusal> {
        if !(1..=INVITATION_MS_MAX).contains(&for_ms) || !(1..=INVITATION_USES_MAX).contains(&uses) {
            let message = format!(
                "an invitation is good for 1 to {INVITATION_MS_MAX} ms and 1 to {INVITATION_USES_MAX} nodes"
            );
            return Err(Refusal::new(Code::Invalid, message));
        }
        let until = turn.now.wall.plus_ms(for_ms);
        if self.genesis().admission == Admission::Open {
            if !self.has_founded() {
                return Err(Refusal::new(Code::Forbidden, NOT_A_FOUNDER));
            }
            return Ok(Reply::Invited { secret: None, until, uses: None });
        }
        if !self.state.nodes.has_place(turn.now.wall) {
            let message =
                format!("there are {INVITATIONS_MAX} live invitations; take some back before you make more");
            return Err(Refusal::new(Code::TooMany, message));
        }
        let secret = turn.now.invitation_secret();
        let invitation = secret.digest();
        if self.state.nodes.invitation(&invitation).is_some() {
            return Err(Refusal::new(Code::Invalid, "this secret was given out before; ask again"));
        }
        turn.record(&mut self.state, Fact::Invited(Invited { invitation, until, uses }));
        Ok(Reply::Invited { secret: Some(secret), until, uses: Some(uses) })
    }

    /// Takes an invitation back. Whom it let in stays.
    pub(crate) fn uninvite(&mut self, turn: &mut Turn, invitation: Digest) -> Result<Reply, Refusal> {
        if self.state.nodes.invitation(&invitation).is_none() {
            return Err(Refusal::new(Code::NotFound, "there is no such invitation; see: artel invite list"));
        }
        turn.record(&mut self.state, Fact::InvitationEnded(InvitationEnded { invitation }));
        Ok(Reply::Done)
    }

    /// Lets a node in, or says that it is in. Asked again it answers the same and writes nothing.
    pub(crate) fn admit_node(
        &mut self,
        turn: &mut Turn,
        principal: &Principal,
        (node, secret): (NodeId, Option<InvitationSecret>),
    ) -> Result<Reply, Refusal> {
        if self.genesis().is_founder(&node) {
            return Ok(Reply::Admitted { node, index: None });
        }
        let known = self.state.nodes.node(&node);
        if let Some(index) = known.and_then(|known| known.member_by()) {
            return Ok(Reply::Admitted { node, index: Some(index) });
        }
        let by = match principal {
            Principal::Operator => AdmittedBy::Operator,
            _ if known.is_some() => return Err(Refusal::new(Code::NodeExpelled, EXPELLED)),
            _ => self.ground(turn, secret)?,
        };
        if self.state.nodes.members() >= MEMBERS_MAX {
            let message =
                format!("this node has admitted {MEMBERS_MAX} nodes, as many as it may; ask another");
            return Err(Refusal::new(Code::MembersFull, message));
        }
        let index = turn.record(&mut self.state, Fact::Admitted(Admitted { node, by }));
        Ok(Reply::Admitted { node, index: Some(index) })
    }

    /// On what a node that asks for itself is let in.
    fn ground(&self, turn: &Turn, secret: Option<InvitationSecret>) -> Result<AdmittedBy, Refusal> {
        let is_open = self.genesis().admission == Admission::Open;
        if is_open && self.has_founded() {
            return Ok(AdmittedBy::Open);
        }
        if is_open {
            return Err(Refusal::new(Code::InvitationNeeded, NOT_A_FOUNDER));
        }
        let Some(digest) = secret.map(|secret| secret.digest()) else {
            let message = "this federation admits by invitation; ask a member's operator for one (artel invite) and start with: artel up --join INVITATION";
            return Err(Refusal::new(Code::InvitationNeeded, message));
        };
        let Some(invitation) = self.state.nodes.invitation(&digest) else {
            let message = "this node knows no such invitation: it was taken back, or another node made it; ask for a new one";
            return Err(Refusal::new(Code::InvitationUnknown, message));
        };
        if invitation.used >= invitation.uses {
            let message = format!(
                "this invitation has let in {} nodes, as many as it may; ask for a new one",
                invitation.uses
            );
            return Err(Refusal::new(Code::InvitationSpent, message));
        }
        if invitation.is_over(turn.now.wall) {
            let until = invitation.until.iso8601();
            let message = format!("this invitation was good until {until}; ask for a new one");
            return Err(Refusal::new(Code::InvitationExpired, message));
        }
        Ok(AdmittedBy::Invitation(digest))
    }

    /// Expels a node, whoever admitted it. Asked again it answers the same and writes nothing.
    pub(crate) fn expel(&mut self, turn: &mut Turn, node: NodeId, reason: String) -> Result<Reply, Refusal> {
        if !is_plain(&reason, REASON_BYTES_MAX, false) {
            let message = format!(
                "a reason is 1 to {REASON_BYTES_MAX} bytes of text on one line; everybody can read it"
            );
            return Err(Refusal::new(Code::Invalid, message));
        }
        if self.genesis().is_founder(&node) {
            let message =
                "a founder stands in the genesis record, which nobody can change; it cannot be expelled";
            return Err(Refusal::new(Code::Forbidden, message));
        }
        if node == self.identity.node {
            return Err(Refusal::new(Code::Forbidden, "a node does not expel itself; stop it instead"));
        }
        let expelled = |known: &std::sync::Arc<crate::nodes::Node>| known.expelled.is_some();
        if !self.state.nodes.node(&node).is_some_and(expelled) {
            if self.state.nodes.expelled() >= EXPELLED_MAX {
                let message = format!("this node has expelled {EXPELLED_MAX} nodes, as many as it may");
                return Err(Refusal::new(Code::TooMany, message));
            }
            turn.record(&mut self.state, Fact::Expelled(Expelled { node, reason }));
        }
        Ok(Reply::Expelled(self.state.nodes.node(&node).expect("just expelled").clone()))
    }

    pub(crate) fn genesis(&self) -> &Genesis {
        self.state.genesis.as_ref().expect("a journal that takes requests has its first entry")
    }

    fn has_founded(&self) -> bool {
        self.genesis().is_founder(&self.identity.node)
    }
}

const NOT_A_FOUNDER: &str = "this federation is open, and its founders alone let nodes in; ask one of them, or use a founder's invitation";
const EXPELLED: &str =
    "this node was expelled; only the operator who expelled it can let it in again, by name";
