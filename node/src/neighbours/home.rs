//! This node as a home: agents of other nodes ask over direct requests, the rules answer.

use super::again::Again;
use super::bringing;
use super::shared::Shared;
use crate::hand::acknowledge;
use crate::handle::{Answer, Unavailable};
use artel_federation::effect::{Code, Refusal};
use artel_federation::visit::message::{Act, Enough, Error, Told, Visit};
use artel_federation::visit::warrant::check_not_ended;
use artel_federation::{Principal, Reply, Request};
use artel_mesh::limits::DIRECT_FRAME_BYTES_MAX;
use artel_mesh::{Answer as Asker, Lane};
use artel_protocol::id::{Epoch, StepId};
use artel_protocol::key::NodeId;
use std::collections::VecDeque;
use std::sync::Arc;

/// Answers a visit. Nothing for bytes that no honest node sends.
pub(super) async fn answer(
    shared: &Arc<Shared>,
    from: NodeId,
    data: &[u8],
    asker: &Asker,
) -> Option<Vec<u8>> {
    let told = match Visit::read(data) {
        Ok(visit) => match serve(shared, from, visit, asker).await {
            Ok(told) => told,
            Err(told) => told,
        },
        Err(error @ Error::NotJson { .. }) => refused("invalid", &error.to_string()),
        Err(error) => {
            tracing::debug!(%from, %error, "a visit that is none");
            return None;
        }
    };
    if let Told::Refused { code, .. } = &told {
        shared.refusals.count(Lane::Direct, code);
    }
    let frame = told.to_frame();
    match told {
        Told::Leased(lease) if frame.len() > DIRECT_FRAME_BYTES_MAX => {
            let (step, epoch) = (lease.step, lease.epoch);
            shared.large().keep((from, step, epoch), frame);
            Some(Told::Large { step, epoch }.to_frame())
        }
        _ => Some(frame),
    }
}

/// Ends what an agent waits for here through the node that says so. Nothing for bytes that no honest node sends.
pub(super) fn enough(shared: &Shared, from: NodeId, data: &[u8]) -> Option<Vec<u8>> {
    match Enough::read(data) {
        Ok(Enough { agent }) => {
            shared.waits.end(&(from, agent));
            Some(Told::Done.to_frame())
        }
        Err(error) => {
            tracing::debug!(%from, %error, "a word about an agent that is none");
            None
        }
    }
}

async fn serve(shared: &Shared, from: NodeId, mut visit: Visit, asker: &Asker) -> Result<Told, Told> {
    if !shared.exchange().is_member(&from) {
        return Err(refused("forbidden", "your node is no member of this federation"));
    }
    let again = Again::of(&visit);
    let mut wait = match waits_for(&mut visit.act) {
        Some(wait_ms) if *wait_ms > 0 => {
            let wait = shared.waits.begin((from, visit.agent));
            if wait.is_none() {
                *wait_ms = 0;
            }
            wait
        }
        _ => None,
    };
    // Asked once the claim can be ended from outside, so that no word comes in between.
    let ended = shared.exchange().endings().ended(&from, &visit.agent);
    check_not_ended(&visit, ended).map_err(|Refusal { code, message }| refused(code.as_str(), &message))?;
    let told = match (&visit.act, &mut wait) {
        (Act::Submit(handing), _) if !handing.artifacts.is_empty() => {
            bringing::submit(shared, from, visit).await
        }
        (Act::ClaimNext { .. }, Some(wait)) => {
            // What is won in the very moment in which its node goes lapses there, as where an answer is lost.
            let enough = async {
                tokio::select! {
                    () = wait.enough() => {}
                    () = asker.gone() => {}
                }
            };
            let request = Request::Visit(Box::new(visit));
            answered(shared, shared.handle.ask_until(Principal::Node(from), None, request, enough).await)
        }
        _ => answered(shared, ask(shared, from, Request::Visit(Box::new(visit))).await),
    };
    drop(wait);
    match (told, again) {
        (Err(unknown), Some(again)) if is_not_found(&unknown) => Ok(again.told(shared, unknown).await),
        (told, _) => told,
    }
}

/// For how long an act waits for the next task, where it may.
fn waits_for(act: &mut Act) -> Option<&mut u32> {
    match act {
        Act::ClaimNext { wait_ms } => Some(wait_ms),
        Act::Submit(handing) => handing.next.as_mut(),
        Act::Claim(_) | Act::Renew { .. } | Act::Release { .. } => None,
    }
}

fn is_not_found(told: &Told) -> bool {
    matches!(told, Told::Refused { code, .. } if code == Code::NotFound.as_str())
}

pub(super) async fn ask(shared: &Shared, from: NodeId, request: Request) -> Answer {
    shared.handle.ask(Principal::Node(from), None, request).await
}

/// What the rules have answered, as the node that visits is told it.
pub(super) fn answered(shared: &Shared, answer: Answer) -> Result<Told, Told> {
    match answer {
        Ok(Ok(reply)) => Ok(told(shared, reply)),
        Ok(Err(Refusal { code, message })) => Err(refused(code.as_str(), &message)),
        Err(error) => Err(unavailable(&error)),
    }
}

/// This node cannot say at the moment; the same again may be answered.
pub(super) fn unavailable(error: &Unavailable) -> Told {
    refused("unavailable", &error.to_string())
}

fn told(shared: &Shared, reply: Reply) -> Told {
    match reply {
        Reply::Leased(lease) => Told::Leased(lease),
        Reply::Nothing => Told::Nothing,
        Reply::Renewed { expires } => Told::Renewed { expires },
        Reply::Submitted(receipt) => {
            let signature = acknowledge(&receipt, &shared.hand, &shared.me.federation());
            Told::Submitted { receipt, signature }
        }
        _ => Told::Done,
    }
}

pub(super) fn refused(code: &str, message: &str) -> Told {
    Told::refused(code, message)
}

/// What winners are told that does not fit a direct frame, until they fetch it.
#[derive(Default)]
pub(super) struct Large(VecDeque<(Winner, Arc<Vec<u8>>)>);

/// Which node's agent won which step, under which epoch.
type Winner = (NodeId, StepId, Epoch);

/// How many of those are kept, of at most 4 MiB each. For a further one the oldest goes: its winner claims it again, and hears
/// the same.
const LARGE_MAX: usize = 16;

impl Large {
    fn keep(&mut self, lease: Winner, frame: Vec<u8>) {
        self.0.retain(|(known, _)| *known != lease);
        if self.0.len() == LARGE_MAX {
            self.0.pop_front();
        }
        self.0.push_back((lease, Arc::new(frame)));
    }

    /// What the holder of this lease, at this node, is told.
    pub fn of(&self, lease: Winner) -> Option<Arc<Vec<u8>>> {
        self.0.iter().find(|(known, _)| *known == lease).map(|(_, frame)| frame.clone())
    }
}
