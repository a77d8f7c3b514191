//! Steps that are run again, between two nodes: a home asks a neighbour with one direct request, the neighbour fetches the module
//! and the artifacts from it, runs the step in its own sandbox and says what it came to.

use super::shared::Shared;
use super::{Neighbours, blob};
use crate::given::Files;
use crate::redo::{Bench, REDO_WAIT};
use artel_federation::effect::ToRedo;
use artel_federation::fact::{Abroad, Redoing};
use artel_federation::redo::message::{Redo, Reran};
use artel_federation::redo::place;
use artel_federation::{Principal, Request};
use artel_mesh::limits::DIRECT_FRAME_BYTES_MAX;
use artel_protocol::id::{Digest, Epoch, StepId};
use artel_protocol::key::NodeId;
use artel_runner::Given;
use std::collections::BTreeMap;

/// How many neighbours are asked for one run. Each may take its time, and a verdict waits for it.
const ASKED_MAX: usize = 2;

/// What nodes that were asked to run a step again may fetch of it, while they do.
pub(super) type Lent = BTreeMap<(NodeId, StepId, Epoch), Vec<Digest>>;

impl Neighbours {
    /// The neighbours that may run a step again, in the lot's order: members, neither the worker's node nor one that has said
    /// what is doubted, and no proven liars.
    pub fn redoers(&self, asked: &ToRedo) -> Vec<NodeId> {
        let up: Vec<NodeId> = self.shared.up().iter().copied().collect();
        let mut fit: Vec<NodeId> = up
            .into_iter()
            .filter(|node| Some(*node) != asked.worker && Some(*node) != asked.doubted)
            .filter(|node| self.shared.exchange().is_member(node) && !self.shared.is_liar(node))
            .collect();
        fit.sort_by_key(|node| place(&asked.lot, node));
        fit.truncate(ASKED_MAX);
        fit
    }

    /// Has a neighbour run a step of this node's again; nothing where it does not.
    pub async fn redo(&self, by: NodeId, ask: &Redo) -> Option<Reran> {
        let frame = ask.to_frame();
        if frame.len() > DIRECT_FRAME_BYTES_MAX {
            return None;
        }
        let lease = (by, ask.step, ask.epoch);
        let files = Files::of(&ask.artifacts, ask.input.bytes()).ok()?;
        let lent = files.missing().chain([ask.module]).collect();
        self.shared.lent().insert(lease, lent);
        let _ends = LentEnds { shared: &self.shared, lease };
        match self.shared.mesh.request(&by, frame.into(), REDO_WAIT).await {
            Ok(said) => {
                Reran::read(&said).inspect_err(|error| tracing::warn!(%by, %error, "a run that is none")).ok()
            }
            Err(error) => {
                tracing::debug!(%by, %error, "a neighbour did not run a step again");
                None
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

/// Runs a step of a neighbour again; nothing where that is not done here.
pub(super) async fn answer(shared: &Shared, from: NodeId, data: &[u8]) -> Option<Vec<u8>> {
    let ask =
        Redo::read(data).inspect_err(|error| tracing::debug!(%from, %error, "a redo that is none")).ok()?;
    if !shared.exchange().is_member(&from) || shared.is_liar(&from) {
        return None;
    }
    let _place = shared.bench.place().await?;
    // Home waits no longer, and whoever drips should not hold the place.
    let fetched = tokio::time::timeout(REDO_WAIT, fetch(shared, &from, &ask));
    let (module, given) = fetched
        .await
        .map_err(anyhow::Error::from)
        .flatten()
        .inspect_err(
            |error| tracing::debug!(%from, error = format!("{error:#}"), "a step could not be fetched"),
        )
        .ok()?;
    // A sandbox starts only once its entry is on disk.
    let lease = Abroad { home: from, step: ask.step, epoch: ask.epoch };
    let redoing = Request::Redo(Redoing { lease, module: ask.module });
    let _written = shared.handle.ask(Principal::Node(from), None, redoing).await.ok()?.ok()?;
    Some(shared.bench.run(&ask, module, given).await?.to_frame())
}

/// A module, and the files that its step is given.
type Fetched = (Vec<u8>, Vec<Given>);

async fn fetch(shared: &Shared, home: &NodeId, ask: &Redo) -> anyhow::Result<Fetched> {
    let mut files = Files::of(&ask.artifacts, ask.input.bytes()).map_err(anyhow::Error::msg)?;
    let lease = (ask.step, ask.epoch);
    let module = blob::whole(shared, home, lease, ask.module, Bench::module_bytes_max()).await?;
    while let Some((digest, room)) = files.next() {
        let bytes = blob::whole(shared, home, lease, digest, room).await?;
        files.take(bytes).map_err(anyhow::Error::msg)?;
    }
    Ok((module, files.here()))
}
