//! What this node follows of others' offers by gossip, and which authors it is interested in. The rules say which shards
//! (`artel_federation::interest`); here they are subscribed. What no gossip brings is fetched all the same, without haste: a
//! book of evidence with a hole in it says nothing, whatever stood there.

use super::shared::Shared;
use artel_federation::interest::Interest;
use artel_mesh::Topic;
use artel_protocol::key::NodeId;
use artel_protocol::topic::SHARDS;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// How long agents are not looked at again after they were: while many enroll, all of them are walked through each time.
const REST: Duration = Duration::from_secs(1);

/// How many agents are looked at at once; the rules wait meanwhile.
const PAGE: usize = 1_024;

/// What is followed. A shard that was followed once is followed until the node ends: to leave a topic and come back costs its
/// neighbours a minute in which they do not take this node into their mesh again.
pub(super) struct Following {
    interest: Interest,
    shards: Mutex<BTreeSet<u8>>,
    /// Other agents, or other skills, may be here than before.
    pub agents_changed: Notify,
}

impl Following {
    /// Nothing yet.
    pub fn new(interest: Interest) -> Self {
        let agents_changed = Notify::new();
        agents_changed.notify_one();
        Following { interest, shards: Mutex::default(), agents_changed }
    }

    /// Whether offers of all shards come by gossip, so that one that is missing was lost.
    pub fn is_all(&self) -> bool {
        self.shards().len() == usize::from(SHARDS)
    }

    /// The shards that are followed, ascending.
    pub fn followed(&self) -> BTreeSet<u8> {
        self.shards().clone()
    }

    fn shards(&self) -> MutexGuard<'_, BTreeSet<u8>> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Follows what concerns everybody, and with it all shards where the operator wants that.
///
/// # Errors
/// When the mesh has ended.
pub(super) async fn begin(mesh: &artel_mesh::Mesh, following: &Following) -> anyhow::Result<()> {
    for topic in [Topic::Agents, Topic::Trust, Topic::Heads] {
        mesh.subscribe(topic).await?;
    }
    if following.interest == Interest::All {
        for shard in 0..SHARDS {
            mesh.subscribe(Topic::Tasks(shard)).await?;
        }
        following.shards().extend(0..SHARDS);
    }
    Ok(())
}

/// Follows further shards as agents come that could work there, until the node ends. What was offered there before is fetched.
pub(super) async fn run(shared: Arc<Shared>) {
    loop {
        shared.following.agents_changed.notified().await;
        if shared.following.is_all() {
            continue;
        }
        let Some(wanted) = wanted(&shared).await else {
            // The journal is being opened again.
            tokio::time::sleep(REST).await;
            shared.following.agents_changed.notify_one();
            continue;
        };
        let new: Vec<u8> = wanted.difference(&shared.following.followed()).copied().collect();
        for shard in &new {
            if shared.mesh.subscribe(Topic::Tasks(*shard)).await.is_err() {
                return;
            }
        }
        if !new.is_empty() {
            tracing::info!(shards = ?new, "offers of further shards are followed");
            shared.following.shards().extend(new);
            let up: Vec<NodeId> = shared.up().iter().copied().collect();
            up.into_iter().for_each(|peer| shared.want_from(peer));
        }
        tokio::time::sleep(REST).await;
    }
}

/// The shards to be followed, by all agents; nothing where the rules cannot be asked.
async fn wanted(shared: &Shared) -> Option<BTreeSet<u8>> {
    let (mut wanted, mut last) = (BTreeSet::new(), None);
    loop {
        let interest = shared.following.interest.clone();
        let page = shared.handle.look(move |view| {
            let agents: Vec<_> = view.agents(last).take(PAGE).collect();
            let last = agents.last().filter(|_| agents.len() == PAGE).map(|agent| agent.id);
            (interest.shards(agents), last)
        });
        let (shards, then) = page.await.ok()?;
        wanted.extend(shards);
        last = then;
        if last.is_none() || wanted.len() == usize::from(SHARDS) {
            return Some(wanted);
        }
    }
}

impl Shared {
    /// Something is missing before what a neighbour's gossip brought of an author. Where all topics are followed it was lost, and
    /// is fetched at once. Else it is most likely of a shard that is not followed: it is fetched in a while, with all that is
    /// missing by then, from the author where that is a neighbour, since the others may not have it either.
    pub fn fill_hole(&self, author: NodeId, from: NodeId) {
        if self.following.is_all() {
            return self.want_from(from);
        }
        let from = if self.up().contains(&author) { author } else { from };
        self.want_later(from);
    }

    /// Whether a node's records have a whole share here: it is a founder, something was settled with it, or it offers work of a
    /// kind that is followed.
    pub fn is_of_interest(&self, node: &NodeId) -> bool {
        if self.following.is_all() || self.exchange().genesis().is_founder(node) {
            return true;
        }
        // One lock after the other, never two at once.
        if self.evidence.state().book.settled(self.me.node(), *node) > 0 {
            return true;
        }
        let followed = self.following.followed();
        self.board.offers_in(node, &followed)
    }
}
