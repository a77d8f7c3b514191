//! Steps that are run again, between two nodes: a home asks a neighbour with one direct request, the neighbour fetches the module
//! and the artifacts from it, runs the step in its own sandbox and says what it came to.

use super::shared::Shared;
use super::{Neighbours, blob};
use crate::given::Files;
use crate::redo::{self, Bench, Heard, NoStep, REDO_WAIT};
use artel_federation::effect::ToRedo;
use artel_federation::fact::{Abroad, Redoing};
use artel_federation::redo::message::{Ended, Redo, Reran};
use artel_federation::redo::place;
use artel_federation::{Principal, Request};
use artel_mesh::RequestError;
use artel_mesh::limits::DIRECT_FRAME_BYTES_MAX;
use artel_protocol::id::{Digest, Epoch, StepId};
use artel_protocol::key::NodeId;
use artel_runner::Step;
use std::collections::BTreeMap;

/// What nodes that were asked to run a step again may fetch of it, while they do.
pub(super) type Lent = BTreeMap<(NodeId, StepId, Epoch), Vec<Digest>>;

impl Neighbours {
    /// The neighbours that may run a step again, in the lot's order: members, neither the worker's node nor its kin, none that has
    /// said what is doubted, and no proven liars.
    pub fn redoers(&self, asked: &ToRedo) -> Vec<NodeId> {
        let mut fit = self.others_than(asked.worker);
        fit.retain(|node| !asked.doubted.contains(node) && !self.shared.is_liar(node));
        fit.sort_by_key(|node| place(&asked.lot, node));
        fit
    }

    /// The neighbours that are members, neither a worker's node nor its kin.
    pub(super) fn others_than(&self, worker: Option<NodeId>) -> Vec<NodeId> {
        let up: Vec<NodeId> = self.shared.up().iter().copied().collect();
        let exchange = self.shared.exchange();
        let is_other =
            |node: &NodeId| worker.is_none_or(|worker| worker != *node && !exchange.are_kin(&worker, node));
        up.into_iter().filter(|node| exchange.is_member(node) && is_other(node)).collect()
    }

    /// Has a neighbour run a step of this node's again.
    ///
    /// # Errors
    /// What was heard instead.
    pub async fn redo(&self, by: NodeId, ask: &Redo) -> Result<Reran, Heard> {
        let frame = ask.to_frame();
        let files = Files::of(&ask.artifacts, ask.input.bytes()).map_err(|_| Heard::Unasked)?;
        if frame.len() > DIRECT_FRAME_BYTES_MAX {
            return Err(Heard::Unasked);
        }
        let lease = (by, ask.step, ask.epoch);
        let lent = files.missing().chain([ask.module]).collect();
        self.shared.lent().insert(lease, lent);
        let _ends = LentEnds { shared: &self.shared, lease };
        match self.shared.mesh.request(&by, frame.into(), REDO_WAIT).await {
            Ok(said) => Reran::read(&said).map_err(|error| {
                tracing::warn!(%by, %error, "a run that is none");
                Heard::Silence
            }),
            Err(error) => {
                tracing::debug!(%by, %error, "a neighbour did not run a step again");
                Err(if error == RequestError::Timeout { Heard::Silence } else { Heard::Nothing })
            }
        }
    }
}

/// Takes back what was lent, however the request ends.
struct LentEnds<'a> {
    shared: &'a Shared,
    lease: (NodeId, StepId, Epoch),
}

impl Drop for LentEnds<'_> {
    fn drop(&mut self) {
        self.shared.lent().remove(&self.lease);
    }
}

/// Runs a step of a neighbour again; nothing where that is not done here, or not in time.
pub(super) async fn answer(shared: &Shared, from: NodeId, data: &[u8]) -> Option<Vec<u8>> {
    let ask =
        Redo::read(data).inspect_err(|error| tracing::debug!(%from, %error, "a redo that is none")).ok()?;
    if !shared.exchange().is_member(&from) || shared.is_liar(&from) {
        return None;
    }
    let place = shared.bench.place(&from, &ask)?;
    let reran = async {
        // Nothing is fetched where nothing can run.
        let profile = shared.bench.profile().await?;
        let step = match fetch(shared, &from, &ask).await {
            Ok(step) => step,
            // Nothing starts for it, so nothing is written down.
            Err(NoStep::CannotRun) => return Some(Reran { profile, end: Ended::CannotRun }),
            Err(NoStep::Missing) => return None,
        };
        // A sandbox starts only once its entry is on disk.
        let lease = Abroad { home: from, step: ask.step, epoch: ask.epoch };
        let redoing = Request::Redo(Redoing { lease, module: ask.module });
        let _written = shared.handle.ask(Principal::Node(from), None, redoing).await.ok()?.ok()?;
        shared.bench.run_for(&place, step).await
    };
    // Home has given up by then; whoever gives its bytes in drops keeps no place for longer.
    Some(tokio::time::timeout(REDO_WAIT, reran).await.ok()??.to_frame())
}

/// A step of another home, with its module and files from there.
async fn fetch(shared: &Shared, home: &NodeId, ask: &Redo) -> Result<Step, NoStep> {
    let mut files = Files::of(&ask.artifacts, ask.input.bytes()).map_err(|_| NoStep::CannotRun)?;
    let lease = (ask.step, ask.epoch);
    let missing = |error: anyhow::Error| {
        tracing::debug!(%home, error = format!("{error:#}"), "a step could not be fetched");
        NoStep::Missing
    };
    let module =
        blob::whole(shared, home, lease, ask.module, Bench::module_bytes_max()).await.map_err(missing)?;
    while let Some((digest, room)) = files.next() {
        let bytes = blob::whole(shared, home, lease, digest, room).await.map_err(missing)?;
        files.take(bytes).map_err(|_| NoStep::CannotRun)?;
    }
    redo::step(ask, module, files.here())
}
