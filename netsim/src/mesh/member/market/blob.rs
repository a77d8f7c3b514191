//! Bytes of a lease (`neighbours/blob.rs`): they go to the other party of a live lease or an open result, or to the node that
//! was asked to run the step again, and to nobody else.

use super::{Bringing, Context, Does, Member};
use crate::mesh::packet::Slot;
use crate::mesh::sabotage::MeshSabotage;
use artel_federation::run::StepState;
use artel_federation::visit::message::{Fetch, Served, Wanted};
use artel_federation::{Entry, Fact};
use artel_protocol::key::NodeId;
use artel_protocol::record::Records;
use std::sync::Arc;

/// What is known of a lease that bytes are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Party {
    Holder,
    Home,
    Redoer,
    Nobody,
}

impl Member {
    /// Answers a question for bytes.
    pub(super) fn serve_bytes(
        &mut self,
        context: &mut Context,
        (from, node): (Slot, NodeId),
        call: u64,
        frame: &[u8],
    ) -> Does {
        let Ok(fetch) = Fetch::read(frame) else { return Ok(()) };
        let (frame, bytes) = match self.opens(context, node, &fetch)? {
            Ok(bytes) => (Served::Bytes(bytes.len() as u64), bytes),
            Err(code) => {
                let message = "it is not for you".to_owned();
                (Served::Refused { code: code.to_owned(), message }, Arc::default())
            }
        };
        self.reply(from, call, frame.to_frame(), bytes);
        Ok(())
    }

    fn opens(
        &mut self,
        context: &Context,
        from: NodeId,
        fetch: &Fetch,
    ) -> Does<Result<Arc<[u8]>, &'static str>> {
        let of: Bringing = (from, fetch.step, fetch.epoch);
        let mut party = self.party(of, fetch.what)?;
        match fetch.what {
            Wanted::Lease if context.is(MeshSabotage::LeaseForAnybody) => {
                let large = self.trade()?.large.iter();
                let found =
                    large.clone().find(|((_, step, epoch), _)| (*step, *epoch) == (fetch.step, fetch.epoch));
                if let Some((_, frame)) = found {
                    return Ok(Ok(frame.as_slice().into()));
                }
            }
            Wanted::Artifact { .. } if context.is(MeshSabotage::FilesForAnybody) => party = Party::Holder,
            _ => {}
        }
        match (party, fetch.what) {
            (Party::Nobody, _) => Ok(Err("stale_epoch")),
            (Party::Holder, Wanted::Lease) => {
                let found = self.trade()?.large.iter().find(|(known, _)| *known == of);
                Ok(found.map(|(_, frame)| frame.as_slice().into()).ok_or("not_found"))
            }
            (Party::Home | Party::Redoer, Wanted::Lease) => Ok(Err("not_found")),
            (party, Wanted::Artifact { digest, .. }) => {
                let named = match party {
                    Party::Home => self.artifacts_handed_in(of)?.unwrap_or_default().contains(&digest),
                    _ => true,
                };
                if !named {
                    return Ok(Err("not_found"));
                }
                Ok(self.seat()?.blobs.get(&digest).cloned().ok_or("artifact_missing"))
            }
        }
    }

    fn party(&mut self, of: Bringing, what: Wanted) -> Does<Party> {
        if let (Wanted::Artifact { digest, .. }, Some(lent)) = (what, self.trade()?.lent.get(&of))
            && lent.contains(&digest)
        {
            return Ok(Party::Redoer);
        }
        let (from, id, epoch) = of;
        let view = self.live()?.federation.view();
        if let Some((_, step)) = view.step(&id).filter(|(_, step)| step.epoch == epoch) {
            let StepState::Leased { agent, .. } = step.state else { return Ok(Party::Nobody) };
            let guest = view.agent(&agent).and_then(|agent| agent.guest);
            return Ok(if guest.is_some_and(|guest| guest.node == from) {
                Party::Holder
            } else {
                Party::Nobody
            });
        }
        Ok(if self.artifacts_handed_in(of)?.is_some() { Party::Home } else { Party::Nobody })
    }

    /// Where this node is curious, it asks a home for what others have won there.
    pub(super) fn is_curious_about(&mut self, context: &Context, records: &Records) -> Does {
        let seat = self.seat()?;
        if !seat.is_curious || seat.is_calm {
            return Ok(());
        }
        let home = records.origin().node();
        for record in records.records() {
            let Ok(Entry { fact: Fact::Granted(f), .. }) = Entry::decode(&record.body) else { continue };
            self.snoops(home, f.step, f.epoch, Wanted::Lease)?;
            // It may have heard somewhere what the files are called.
            if let Some(digest) = context.truth.market.a_file_of(&f.step.run()) {
                self.snoops(home, f.step, f.epoch, Wanted::Artifact { digest, start: 0 })?;
            }
        }
        Ok(())
    }
}
