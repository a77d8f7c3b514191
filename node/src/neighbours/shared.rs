//! What the tasks that deal with neighbours share.

use super::admission::Admission;
use super::board::Board;
use super::book;
use super::bringing::Results;
use super::clocks::Clocks;
use super::cosignatures::Cosignatures;
use super::evidence::Evidence;
use super::fetch::Want;
use super::home::Large;
use super::homes::Homes;
use super::inputs::Inputs;
use super::interest::Following;
use super::keeper::Keeper;
use super::manners::Manners;
use super::outbox::Outbox;
use super::redo::Lent;
use super::refusals::Refusals;
use super::remembered::Remembered;
use super::requests::Asked;
use super::summaries::Summaries;
use super::turns::Turns;
use super::waits::Waits;
use crate::events::Events;
use crate::hand::Hand;
use crate::handle::Handle;
use crate::index::Index;
use crate::redo::Bench;
use crate::source::SharedReader;
use crate::store::Blobs;
use artel_audit::records::Records as Kept;
use artel_federation::exchange::Exchange;
use artel_federation::watch::{Quarantine, Watch};
use artel_mesh::Mesh;
use artel_protocol::key::{AgentId, NodeId, SecretKey, Signature};
use artel_protocol::log::Origin;
use artel_protocol::record::Records;
use artel_protocol::sync::Mark;
use artel_protocol::time::Mono;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::{Notify, mpsc, watch};

/// How many refusals are remembered. A node that more do not let in has a reason that the first ones say.
const REFUSALS_MAX: usize = 64;

/// One for all.
pub(super) struct Shared {
    pub dir: PathBuf,
    pub me: Origin,
    pub key: Arc<SecretKey>,
    pub mesh: Mesh,
    pub handle: Handle,
    pub reader: SharedReader,
    pub events: Arc<Events>,
    pub records: Kept,
    pub keeper: Keeper,
    pub admission: Admission,
    pub exchange: Mutex<Exchange>,
    /// What is known of others' heads, and who lied.
    pub watch: Mutex<Watch>,
    /// What is on disk of that.
    pub remembered: Remembered,
    /// The neighbours whose head is judged just now, since they asked for a cosignature.
    pub showing: Mutex<BTreeSet<NodeId>>,
    /// This node's own heads, and who cosigned them.
    pub cosignatures: Mutex<Cosignatures>,
    /// Changes whenever a cosignature of them has come.
    pub cosigned: watch::Sender<u64>,
    /// Somebody waits for the next head.
    pub head_wanted: Notify,
    /// When this began.
    pub since: Instant,
    /// The neighbours that are admitted.
    pub up: Mutex<BTreeSet<NodeId>>,
    /// Those of them that left a question for holes unanswered: they are asked for all behind the first one instead, while they are
    /// connected.
    pub holes_unanswered: Mutex<BTreeSet<NodeId>>,
    /// How homes answered lately.
    pub manners: Mutex<Manners>,
    /// Changes whenever a neighbour came up.
    pub up_changes: watch::Sender<u64>,
    /// What signs acknowledgements.
    pub hand: Arc<Hand>,
    /// Artifacts' bytes.
    pub blobs: Blobs,
    /// Closed runs.
    pub index: Index,
    /// Offers of other homes.
    pub board: Board,
    /// How homes deal with those who work for them.
    pub homes: Homes,
    /// Results that no verdict was heard of.
    pub outbox: Outbox,
    /// What all records say of agents.
    pub evidence: Evidence,
    /// What others say that they say.
    pub summaries: Summaries,
    /// What winners are told that does not fit a direct frame.
    pub large: Mutex<Large>,
    /// Claims of other nodes' agents that wait here.
    pub waits: Waits,
    /// What neighbours have asked.
    pub asked: Asked,
    /// Results that are brought here.
    pub results: Results,
    /// What this node's agents need of other homes, on its way.
    pub inputs: Inputs,
    /// Where this node runs steps again.
    pub bench: Arc<Bench>,
    /// What nodes that run this node's steps again may fetch.
    pub lent: Mutex<Lent>,
    /// What agents signed when they enrolled, with its place in the journal.
    pub wills: Mutex<BTreeMap<AgentId, Will>>,
    /// Who does not let this node in, and why not, by what it said last.
    pub refused_by: Mutex<BTreeMap<NodeId, String>>,
    /// What was refused of neighbours.
    pub refusals: Refusals,
    /// How far neighbours' clocks are from this node's.
    pub clocks: Clocks,
    /// What is followed of others' offers.
    pub following: Following,
    /// Which journals are being fetched.
    pub turns: Turns,
    /// Whom something should be fetched from.
    pub wants: mpsc::Sender<Want>,
}

/// Where an enrollment stands in the journal, the challenge and the agent's signature over it.
type Will = (u64, String, Signature);

impl Shared {
    /// What is known of others. Never held over a wait.
    pub fn exchange(&self) -> MutexGuard<'_, Exchange> {
        self.exchange.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of others' heads. Never held over a wait.
    pub fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose head is judged just now. Never held over a wait.
    pub fn showing(&self) -> MutexGuard<'_, BTreeSet<NodeId>> {
        self.showing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This node's own heads. Never held over a wait.
    pub fn cosignatures(&self) -> MutexGuard<'_, Cosignatures> {
        self.cosignatures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Now, by this process's monotonic clock.
    pub fn mono(&self) -> Mono {
        Mono(u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// Whether there is proof that a node lied about its journal.
    pub fn is_liar(&self, node: &NodeId) -> bool {
        self.watch().quarantine(node) == Some(Quarantine::Proven)
    }

    /// The nodes that proofs of a lie are held against.
    pub fn liars(&self) -> BTreeSet<NodeId> {
        self.watch().frauds().map(|(node, _)| *node).collect()
    }

    /// The neighbours that are admitted. Never held over a wait.
    pub fn up(&self) -> MutexGuard<'_, BTreeSet<NodeId>> {
        self.up.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The neighbours that left a question for holes unanswered. Never held over a wait.
    pub fn holes_unanswered(&self) -> MutexGuard<'_, BTreeSet<NodeId>> {
        self.holes_unanswered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How homes answered lately. Never held over a wait.
    pub fn manners(&self) -> MutexGuard<'_, Manners> {
        self.manners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What winners fetch. Never held over a wait.
    pub fn large(&self) -> MutexGuard<'_, Large> {
        self.large.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What nodes that run steps again may fetch. Never held over a wait.
    pub fn lent(&self) -> MutexGuard<'_, Lent> {
        self.lent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What agents signed. Never held over a wait.
    pub fn wills(&self) -> MutexGuard<'_, BTreeMap<AgentId, Will>> {
        self.wills.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who does not let this node in, and why not. Never held over a wait.
    pub fn refused_by(&self) -> MutexGuard<'_, BTreeMap<NodeId, String>> {
        self.refused_by.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers why a node does not let this one in.
    pub fn remember_refusal(&self, by: NodeId, why: String) {
        let mut refused = self.refused_by();
        if refused.len() < REFUSALS_MAX || refused.contains_key(&by) {
            refused.insert(by, why);
        }
    }

    /// The homes with offers on the board that something is taken from: members, none of them in quarantine.
    pub fn dealt_with(&self) -> BTreeSet<NodeId> {
        self.deals_with(self.board.homes())
    }

    /// Those of some nodes that work is taken from: members, none of them in quarantine.
    pub fn deals_with(&self, mut homes: BTreeSet<NodeId>) -> BTreeSet<NodeId> {
        // One lock after the other, never two at once.
        {
            let exchange = self.exchange();
            homes.retain(|home| exchange.is_member(home));
        }
        let watch = self.watch();
        homes.retain(|home| watch.quarantine(home).is_none());
        homes
    }

    /// Sends away whoever is connected and is no member any more.
    pub async fn dismiss_strangers(&self) {
        let up: Vec<NodeId> = self.up().iter().copied().collect();
        let strangers: Vec<NodeId> = {
            let exchange = self.exchange();
            up.into_iter().filter(|peer| !exchange.is_member(peer)).collect()
        };
        for peer in strangers {
            tracing::info!(%peer, "a neighbour is no member any more");
            // The mesh may have ended, and every connection with it.
            let _ = self.mesh.refuse(&peer).await;
        }
    }

    /// Takes in what a home's records say of its offers and of itself, and which neighbour brought them. Where its log breaks the
    /// rules, nothing that it offers is listed.
    pub fn hear_of_home(&self, records: &Records, from: Option<NodeId>) {
        let breaks_rules = self.homes.hear(records);
        if let Some(from) = from.filter(|_| self.homes.is_behind(&records.origin())) {
            self.want_from(from);
        }
        if breaks_rules {
            self.board.forget(&records.origin().node());
        } else {
            self.board.hear(records, from);
        }
    }

    /// The neighbour after `last`, in turn.
    pub fn next_up(&self, last: Option<NodeId>) -> Option<NodeId> {
        let up = self.up();
        let after = last.map_or(Bound::Unbounded, Bound::Excluded);
        up.range((after, Bound::Unbounded)).next().or(up.first()).copied()
    }

    /// Where this node listens.
    pub fn addresses(&self) -> Vec<String> {
        self.mesh.listening().iter().map(ToString::to_string).collect()
    }

    /// Asks that what is missing is fetched from a neighbour. Where too many are asked for already, gossip or the next round
    /// asks again.
    pub fn want_from(&self, peer: NodeId) {
        let _ = self.wants.try_send(Want::Now(peer));
    }

    /// The same, in a while: what is missing is not waited for.
    pub fn want_later(&self, peer: NodeId) {
        let _ = self.wants.try_send(Want::Later(peer));
    }

    /// Writes down whom this node knows.
    pub async fn remember_peers(&self) {
        let Ok(known) = self.mesh.known().await else { return };
        let dir = self.dir.clone();
        let written = tokio::task::spawn_blocking(move || book::write(&dir, &known)).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(%error, "the known peers cannot be written down; they are learnt anew after a restart");
        }
    }

    /// Up to where each journal's records are held, this node's own under the newest checkpoint that may be shown.
    pub async fn marks(&self) -> anyhow::Result<Vec<Mark>> {
        let reader = self.reader.get();
        let next = tokio::task::spawn_blocking(move || match reader.checkpoint().size() {
            0 => Ok(0),
            size => reader.leaf(size - 1).map(|leaf| leaf.next_public_seq()),
        })
        .await??;
        Ok(self.exchange().marks(Mark { origin: self.me, next }))
    }
}
