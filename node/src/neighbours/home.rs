//! This node as a home: agents of other nodes ask over direct requests, the rules answer.

use super::blob;
use super::shared::Shared;
use crate::hand::acknowledge;
use artel_federation::effect::Refusal;
use artel_federation::input::ArtifactPut;
use artel_federation::run::StepState;
use artel_federation::visit::message::{Act, Handing, Told, Visit};
use artel_federation::{Json, Principal, Reply, Request};
use artel_mesh::Lane;
use artel_mesh::limits::DIRECT_FRAME_BYTES_MAX;
use artel_protocol::id::{Digest, Epoch, StepId};
use artel_protocol::key::{AgentId, NodeId};
use std::collections::VecDeque;
use std::sync::Arc;

/// Answers a visit. Nothing for bytes that no honest node sends.
pub(super) async fn answer(shared: &Arc<Shared>, from: NodeId, data: &[u8]) -> Option<Vec<u8>> {
    let visit = match Visit::read(data) {
        Ok(visit) => visit,
        Err(error) => {
            tracing::debug!(%from, %error, "a visit that is none");
            return None;
        }
    };
    let told = match serve(shared, from, visit).await {
        Ok(told) => told,
        Err(told) => told,
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

async fn serve(shared: &Shared, from: NodeId, visit: Visit) -> Result<Told, Told> {
    if !shared.exchange().is_member(&from) {
        return Err(refused("forbidden", "your node is no member of this federation"));
    }
    if let Act::Submit(handing) = &visit.act {
        bring(shared, from, visit.agent, handing).await?;
    }
    let asked = shared.handle.ask(Principal::Node(from), None, Request::Visit(Box::new(visit)));
    match asked.await {
        Ok(Ok(reply)) => Ok(told(shared, reply)),
        Ok(Err(Refusal { code, message })) => Err(refused(code.as_str(), &message)),
        Err(unavailable) => Err(refused("unavailable", &unavailable.to_string())),
    }
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

fn refused(code: &str, message: &str) -> Told {
    Told::refused(code, message)
}

/// Fetches the artifacts of a result before it is taken in, and enters them.
async fn bring(shared: &Shared, from: NodeId, agent: AgentId, handing: &Handing) -> Result<(), Told> {
    for digest in &handing.artifacts {
        let lease = (handing.step, handing.epoch);
        let held = shared.blobs.len(digest).await;
        if matches!(held, Ok(Some(_))) || !holds(shared, from, agent, lease).await {
            // Where it holds no lease, the rules say so.
            continue;
        }
        let stored = match blob::artifact(shared, &from, lease, *digest).await {
            Ok(stored) => stored,
            Err(error) => {
                tracing::debug!(%from, %digest, error = format!("{error:#}"), "an artifact did not come");
                let message = format!("artifact {digest} could not be fetched from your node; submit again");
                return Err(refused("artifact_missing", &message));
            }
        };
        let put = Box::new(fetched(*digest, stored, Some(handing.step)));
        let entered = shared.handle.ask(Principal::Node(from), None, Request::Bring { agent, put }).await;
        match entered {
            Ok(Ok(_)) => {}
            Ok(Err(refusal)) => {
                if stored.is_new
                    && let Err(error) = shared.blobs.remove(digest).await
                {
                    tracing::warn!(%error, %digest, "bytes that were refused cannot be removed");
                }
                return Err(refused(refusal.code.as_str(), &refusal.message));
            }
            Err(unavailable) => return Err(refused("unavailable", &unavailable.to_string())),
        }
    }
    Ok(())
}

/// How bytes that came from another node are entered.
pub(super) fn fetched(digest: Digest, stored: crate::store::Stored, step: Option<StepId>) -> ArtifactPut {
    ArtifactPut {
        id: None,
        digest,
        bytes: stored.bytes,
        bytes_new: if stored.is_new { stored.bytes } else { 0 },
        name: digest.to_string(),
        kind: "fetched".into(),
        content_type: "application/octet-stream".into(),
        step,
        run: step.map(|step| step.run()),
        metadata: Json::new(*b"{}"),
    }
}

async fn holds(shared: &Shared, from: NodeId, agent: AgentId, (id, epoch): (StepId, Epoch)) -> bool {
    let look = shared.handle.look(move |view| {
        let guest = view.agent(&agent).and_then(|agent| agent.guest);
        let held = view.step(&id).is_some_and(|(_, step)| {
            let holder = matches!(step.state, StepState::Leased { agent: holder, .. } if holder == agent);
            holder && step.epoch == epoch
        });
        held && guest.is_some_and(|guest| guest.node == from)
    });
    look.await.unwrap_or(false)
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
