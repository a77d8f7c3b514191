//! As a home (`neighbours/home.rs`): agents of other nodes ask over direct requests, the rules answer.

use super::{Answer, Bringing, Context, DIRECT_BYTES_MAX, Does, Mail, Member, Out};
use crate::mesh::packet::Slot;
use artel_federation::effect::Receipt;
use artel_federation::visit::message::{Act, Told, Visit};
use artel_federation::visit::warrant::check_not_ended;
use artel_federation::{Principal, Reply, ReplyTo, Request};
use artel_protocol::codec;
use artel_protocol::id::FederationId;
use artel_protocol::key::{NodeId, SecretKey, Signature, signed_bytes};
use std::sync::Arc;

/// How many of those are kept (`LARGE_MAX`): few, so that some are gone before they are fetched.
const LARGE_MAX: usize = 2;

impl Member {
    /// A node's agent does something here.
    pub(super) fn visited(
        &mut self,
        context: &mut Context,
        (from, node): (Slot, NodeId),
        call: u64,
        visit: Visit,
    ) -> Does {
        if !self.live()?.exchange.is_member(&node) {
            return self.tell((from, node), call, Told::refused("forbidden", "no member"));
        }
        let ended = self.live()?.exchange.endings().ended(&node, &visit.agent);
        if let Err(refusal) = check_not_ended(&visit, ended) {
            let told = Told::refused(refusal.code.as_str(), &refusal.message);
            return self.tell((from, node), call, told);
        }
        context.counts.visits += 1;
        match &visit.act {
            Act::Submit(handing) if !handing.artifacts.is_empty() => {
                self.bring_in(context, (from, node), call, visit)
            }
            _ => self.ask_for(context, (from, node), call, Request::Visit(Box::new(visit))),
        }
    }

    /// Asks the rules for another node, now or later.
    pub(super) fn ask_for(
        &mut self,
        context: &mut Context,
        (from, node): (Slot, NodeId),
        call: u64,
        request: Request,
    ) -> Does {
        let (to, answer) = self.request(context, Principal::Node(node), request)?;
        let Some(answer) = answer else {
            self.trade()?.waiting.insert(to, ((from, node), call));
            return Ok(());
        };
        let told = self.told(answer);
        self.tell((from, node), call, told)
    }

    /// An answer that came later than its request: to a visit that waited.
    pub(super) fn answered_later(&mut self, to: ReplyTo, answer: Answer) -> Does {
        let Some((from, call)) = self.trade()?.waiting.remove(&to) else { return Ok(()) };
        let told = self.told(answer);
        self.tell(from, call, told)
    }

    /// What the rules have answered, as the node that visits is told it.
    pub(super) fn told(&self, answer: Answer) -> Told {
        match answer {
            Ok(Reply::Leased(lease)) => Told::Leased(lease),
            Ok(Reply::Nothing) => Told::Nothing,
            Ok(Reply::Renewed { expires }) => Told::Renewed { expires },
            Ok(Reply::Submitted(receipt)) => {
                let signature = acknowledge(&receipt, &self.secret, &self.identity.federation);
                Told::Submitted { receipt, signature }
            }
            Ok(_) => Told::Done,
            Err(refusal) => Told::refused(refusal.code.as_str(), &refusal.message),
        }
    }

    /// Tells a node; what does not fit is kept until it is fetched.
    pub(super) fn tell(&mut self, (from, node): (Slot, NodeId), call: u64, told: Told) -> Does {
        let mut frame = told.to_frame();
        if let Told::Leased(lease) = &told
            && frame.len() > DIRECT_BYTES_MAX
        {
            let (step, epoch) = (lease.step, lease.epoch);
            let of: Bringing = (node, step, epoch);
            let large = &mut self.trade()?.large;
            large.retain(|(known, _)| *known != of);
            if large.len() == LARGE_MAX {
                large.pop_front();
            }
            large.push_back((of, frame));
            frame = Told::Large { step, epoch }.to_frame();
        }
        self.reply(from, call, frame, Arc::default());
        Ok(())
    }

    /// Answers a request.
    pub(super) fn reply(&mut self, to: Slot, call: u64, frame: Vec<u8>, bytes: Arc<[u8]>) {
        self.out.push(Out::Send(to, Mail::Answer { call, frame, bytes }));
    }
}

/// Signs the acknowledgement of a submission (`hand.rs`).
fn acknowledge(receipt: &Receipt, key: &SecretKey, federation: &FederationId) -> Signature {
    key.sign(&acknowledged_bytes(receipt, federation))
}

/// Whether a home's signature acknowledges a submission.
pub(super) fn is_acknowledged(
    receipt: &Receipt,
    signature: &Signature,
    home: &NodeId,
    federation: &FederationId,
) -> bool {
    home.key().verify(&acknowledged_bytes(receipt, federation), signature).is_ok()
}

fn acknowledged_bytes(receipt: &Receipt, federation: &FederationId) -> Vec<u8> {
    let Receipt { step, epoch, agent, result, submitted, submitted_at, .. } = receipt;
    let payload = codec::encode(&(*step, *epoch, *agent, *result, *submitted, *submitted_at));
    signed_bytes("acknowledgement", federation, &payload)
}
