//! The referee's part for nodes: who was let in, on what, and who stays out; by what PROTOCOL.md says, without the shipped
//! code.

use artel_federation::fact::{Admission, AdmittedBy, Genesis};
use artel_federation::{Entry, Fact};
use artel_protocol::id::Digest;
use artel_protocol::key::NodeId;
use artel_protocol::time::Wall;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
pub struct Gatekeeper {
    genesis: Option<(Genesis, bool)>,
    inside: BTreeSet<NodeId>,
    outside: BTreeSet<NodeId>,
    invitations: BTreeMap<Digest, (Wall, BTreeSet<NodeId>, u32)>,
}

fn rule(holds: bool, says: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(says) }
}

impl Gatekeeper {
    pub fn read(&mut self, entry: &Entry) -> Result<(), &'static str> {
        match &entry.fact {
            Fact::Genesis(f) => self.genesis = Some((f.clone(), true)),
            Fact::Joined(f) => self.genesis = Some((f.genesis.clone(), false)),
            Fact::Admitted(f) => {
                let (genesis, founded) = self.genesis.as_ref().expect("there was a beginning");
                rule(!genesis.founders.contains(&f.node), "a founder is never admitted")?;
                rule(self.inside.insert(f.node), "nobody is let in twice")?;
                let was_out = self.outside.remove(&f.node);
                rule(!was_out || f.by == AdmittedBy::Operator, "the operator alone opens the door again")?;
                match f.by {
                    AdmittedBy::Open => {
                        rule(*founded && genesis.admission == Admission::Open, "the door is not open")?;
                    }
                    AdmittedBy::Invitation(digest) => {
                        let (until, let_in, uses) =
                            self.invitations.get_mut(&digest).ok_or("no such invitation")?;
                        rule(entry.at <= *until, "an invitation lets nobody in after its time")?;
                        rule(let_in.insert(f.node), "one node is one use")?;
                        rule(let_in.len() <= *uses as usize, "an invitation is used no more than it may")?;
                    }
                    AdmittedBy::Operator => {}
                }
            }
            Fact::Expelled(f) => {
                let (genesis, _) = self.genesis.as_ref().expect("there was a beginning");
                rule(!genesis.founders.contains(&f.node), "nobody expels a founder")?;
                self.inside.remove(&f.node);
                rule(self.outside.insert(f.node), "nobody is expelled twice")?;
            }
            Fact::Invited(f) => {
                let new = self.invitations.insert(f.invitation, (f.until, BTreeSet::new(), f.uses));
                rule(new.is_none(), "an invitation is made once")?;
            }
            Fact::InvitationEnded(f) => {
                rule(self.invitations.remove(&f.invitation).is_some(), "what ends has begun")?;
            }
            _ => {}
        }
        Ok(())
    }
}
