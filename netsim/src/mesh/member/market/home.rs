//! As a home (`neighbours/home.rs`): agents of other nodes ask over direct requests, the rules answer.

use super::{Answer, Bringing, Context, DIRECT_BYTES_MAX, Does, Mail, Member, Out, held};
use crate::mesh::market::delegations::challenge_of;
use crate::mesh::packet::Slot;
use crate::mesh::sabotage::MeshSabotage;
use artel_federation::effect::Receipt;
use artel_federation::fact::{DelegationEnded, Fact};
use artel_federation::visit::message::{Act, Told, Visit};
use artel_federation::visit::warrant::check_not_ended;
use artel_federation::{Input, Principal, Reply, ReplyTo, Request};
use artel_protocol::codec;
use artel_protocol::id::{Digest, FederationId};
use artel_protocol::key::{AgentId, NodeId, SecretKey, Signature, signed_bytes};
use std::sync::Arc;

/// How many of those are kept (`LARGE_MAX`): few, so that some are gone before they are fetched.
const LARGE_MAX: usize = 2;

/// How much longer than it is everything ended is where that is planted, in milliseconds.
const FOR_GOOD_MS: u64 = 365 * 24 * 3_600_000;

/// The invariant that no home serves what it has heard the end of.
const NOT_SERVED: &str = "invariant_no_visit_rests_on_what_ended";

/// A visit whose answer comes later (`waits.rs`).
pub(super) struct Waiting {
    from: (Slot, NodeId),
    call: u64,
    agent: AgentId,
    /// On which challenge it rests.
    challenge: Option<Digest>,
}

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
        let mut ended = self.live()?.exchange.endings().ended(&node, &visit.agent);
        if context.is(MeshSabotage::EndedForGood) {
            ended = ended.map(|before| before.plus_ms(FOR_GOOD_MS));
        }
        let ended = ended.filter(|_| !context.is(MeshSabotage::EndedServed));
        let checked = check_not_ended(&visit, ended);
        let known = &context.truth.market.delegations;
        if let Some(challenge) = challenge_of(&visit.warrant) {
            match &checked {
                Ok(()) => held(NOT_SERVED, self.slot, known.may_be_served(self.slot, &node, &challenge))?,
                Err(_) => {
                    let holds = known.may_be_refused(self.slot, &node, &challenge);
                    held("invariant_delegated_anew_is_served", self.slot, holds)?;
                }
            }
            context.counts.anew += u64::from(known.is_anew(self.slot, &node, &challenge));
        }
        if let Err(refusal) = checked {
            context.counts.ended += 1;
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
        let of = match &request {
            Request::Visit(visit) => Some((visit.agent, challenge_of(&visit.warrant))),
            _ => None,
        };
        let (to, answer) = self.request(context, Principal::Node(node), request)?;
        let Some(answer) = answer else {
            if let Some((agent, challenge)) = of {
                let waiting = Waiting { from: (from, node), call, agent, challenge };
                self.trade()?.waiting.insert(to, waiting);
            }
            return Ok(());
        };
        let told = self.told(answer);
        self.tell((from, node), call, told)
    }

    /// An answer that came later than its request: to a visit that waited.
    pub(super) fn answered_later(&mut self, context: &Context, to: ReplyTo, answer: Answer) -> Does {
        let Some(waiting) = self.trade()?.waiting.remove(&to) else { return Ok(()) };
        let Waiting { from, call, challenge, .. } = waiting;
        if let (Ok(Reply::Leased(_)), Some(challenge)) = (&answer, challenge) {
            let known = &context.truth.market.delegations;
            held(NOT_SERVED, self.slot, known.may_be_served(self.slot, &from.1, &challenge))?;
        }
        let told = self.told(answer);
        self.tell(from, call, told)
    }

    /// Delegations to a node are over, as its newly kept records say: what waits here by them waits no longer (`keeper.rs`).
    pub(in crate::mesh::member) fn market_learns(
        &mut self,
        context: &mut Context,
        node: &NodeId,
        ended: &[(u64, DelegationEnded)],
    ) -> Does {
        if self.seat.is_none() {
            return Ok(());
        }
        for (index, ending) in ended {
            let fact = Fact::DelegationEnded(*ending);
            context.truth.market.delegations.hears(self.slot, *node, *index, &fact);
        }
        for (_, DelegationEnded { agent, .. }) in ended {
            let waiting = self.trade()?.waiting.iter();
            let of_agent = waiting.filter(|(_, one)| (one.from.1, one.agent) == (*node, *agent));
            let of_agent: Vec<ReplyTo> = of_agent.map(|(to, _)| *to).collect();
            for to in of_agent {
                if !context.is(MeshSabotage::WaitsGoOn) {
                    context.counts.unwaited += 1;
                    self.input(context, Input::EndWait(to))?;
                }
            }
        }
        Ok(())
    }

    /// Whether this home serves a visit that rests on this; nothing while it is down.
    pub fn serves(&self, node: &NodeId, visit: &Visit) -> Option<bool> {
        let ended = self.live.as_ref()?.exchange.endings().ended(node, &visit.agent);
        Some(check_not_ended(visit, ended).is_ok())
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
