//! One viewer's view of the book: what each home's evidence weighs for it, and the score that comes of it. The same function
//! for everybody, so that anybody can compute what another says.

use super::book::{Book, Tally};
use crate::fact::Genesis;
use artel_protocol::amount::Credits;
use artel_protocol::id::Digest;
use artel_protocol::key::{AgentId, NodeId};
use artel_protocol::summary::{Said, Scored};
use artel_protocol::time::Wall;
use artel_reputation::standing::AHEAD_MS_MAX;
use artel_reputation::{Assessment, Eighths, Share, Source, Standing, viewed};
use std::collections::{BTreeMap, BTreeSet};

/// Whose view it is.
#[derive(Debug, Clone, Copy)]
pub struct Viewer<'a> {
    /// The node.
    pub node: NodeId,
    /// The federation's founders, whose word counts for everybody.
    pub founders: &'a [NodeId],
    /// The nodes that it holds proofs of a lie against: no receipt counts in which a record of theirs stands.
    pub liars: &'a BTreeSet<NodeId>,
}

/// What one home adds to a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The home.
    pub home: NodeId,
    /// What its evidence weighs.
    pub weight: Eighths,
    /// The most receipts that the viewer or a founder settled with it; nothing for the viewer itself.
    pub settled: u64,
    /// How often what was said.
    pub tally: Tally,
    /// What of it counts.
    pub share: Share,
    /// What it paid the agent, by its own records, where the book keeps that.
    pub paid: Credits,
}

/// A view of one agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The score, its bound and its layers.
    pub assessment: Assessment,
    /// What each home adds, by its key; homes without weight too.
    pub parts: Vec<Part>,
}

/// A book to compare summaries with. The digest of its marks is made once for all of them.
pub struct Comparing<'a> {
    book: &'a Book,
    founders: &'a [NodeId],
    liars: &'a BTreeSet<NodeId>,
    heads: Digest,
}

impl<'a> Viewer<'a> {
    /// A node's view in the federation that a record founded, with proofs against these nodes.
    pub fn new(node: NodeId, genesis: &'a Genesis, liars: &'a BTreeSet<NodeId>) -> Self {
        Viewer { node, founders: &genesis.founders, liars }
    }

    /// By what whose settled something with a home it weighs: the founders and the viewer.
    pub(super) fn judges(self) -> impl Iterator<Item = NodeId> {
        let all = self.founders.iter().copied().chain([self.node]);
        all.filter(move |judge| !self.liars.contains(judge))
    }
}

impl Book {
    /// What a viewer makes of an agent.
    pub fn view(&self, viewer: Viewer<'_>, agent: &AgentId, now: Wall) -> View {
        self.view_with(viewer, agent, None, now)
    }

    /// The same, where the viewer knows its own part better than its public records say: it knows who posted what, so that it
    /// leaves out an agent's work for itself.
    pub fn view_with(
        &self,
        viewer: Viewer<'_>,
        agent: &AgentId,
        own: Option<(&Standing, Tally)>,
        now: Wall,
    ) -> View {
        let mut homes = BTreeMap::<NodeId, (Standing, Tally)>::new();
        for ((home, worker), row) in self.evidence.rows.get(agent).into_iter().flatten() {
            let is_own = *home == viewer.node;
            if is_own && own.is_some() {
                continue;
            }
            let (standing, tally) = homes.entry(*home).or_default();
            let is_borne = home != worker && !viewer.liars.contains(worker);
            if is_borne || is_own && home == worker {
                standing.add_all(&row.standing);
                tally.add(row.tally);
            }
        }
        if let Some((standing, tally)) = own.filter(|(standing, _)| **standing != Standing::default()) {
            homes.insert(viewer.node, (standing.clone(), tally));
        }
        let weight = |home: &NodeId| match own.is_some() && *home == viewer.node {
            true => (Eighths::FULL, 0),
            false => self.weight(viewer, *home),
        };
        let weights: Vec<(Eighths, u64)> = homes.keys().map(weight).collect();
        let sources: Vec<Source<'_>> = homes
            .iter()
            .zip(&weights)
            .map(|((home, (standing, _)), (weight, _))| Source {
                standing,
                weight: *weight,
                capped: *home != viewer.node,
            })
            .collect();
        let seen = viewed(&sources, now);
        let parts = homes.iter().zip(weights).zip(seen.shares);
        let parts = parts.map(|(((home, (_, tally)), (weight, settled)), share)| Part {
            home: *home,
            weight,
            settled,
            tally: *tally,
            share,
            paid: self.paid_to(home, agent),
        });
        View { assessment: seen.assessment, parts: parts.collect() }
    }

    /// What a home's evidence weighs for a viewer, and how many receipts that follows from: its own and a founder's count in
    /// full, another's as much as was settled with it; that of a home against which there is proof, not at all.
    fn weight(&self, viewer: Viewer<'_>, home: NodeId) -> (Eighths, u64) {
        if home == viewer.node && !viewer.liars.contains(&home) {
            return (Eighths::FULL, 0);
        }
        let judges = viewer.judges().filter(|judge| *judge != home);
        let settled = judges.map(|judge| self.settled(judge, home)).max().unwrap_or_default();
        if viewer.liars.contains(&home) {
            return (Eighths::NONE, settled);
        }
        match viewer.founders.contains(&home) {
            true => (Eighths::FULL, settled),
            false => (Eighths::of_settled(settled), settled),
        }
    }

    /// A line of a summary; nothing for an agent of whom nothing counts.
    pub fn scored(&self, viewer: Viewer<'_>, agent: &AgentId, now: Wall) -> Option<Scored> {
        let Assessment { score, lower, receipts_micro, .. } = self.view(viewer, agent, now).assessment;
        (receipts_micro > 0).then_some(Scored {
            agent: *agent,
            score: score.0,
            lower: lower.0,
            receipts_micro,
        })
    }

    /// This book as it stands, to compare summaries with.
    pub fn comparing<'a>(&'a self, founders: &'a [NodeId], liars: &'a BTreeSet<NodeId>) -> Comparing<'a> {
        Comparing { book: self, founders, liars, heads: self.heads(liars) }
    }
}

impl Comparing<'_> {
    /// The digest of what the book has read and what proofs its reader holds.
    pub fn heads(&self) -> &Digest {
        &self.heads
    }

    /// Whether a summary is what its viewer's records say; nothing where the book cannot tell: it has read other records, or its
    /// reader holds other proofs,
    /// has lost what counts for that viewer, or counts what the viewer could not count yet.
    pub fn agrees(&self, said: &Said) -> Option<bool> {
        let (book, founders, liars) = (self.book, self.founders, self.liars);
        let viewer = Viewer { node: said.viewer.node(), founders, liars };
        let is_ahead = book.newest().since_ms(said.at) > AHEAD_MS_MAX;
        if self.heads != said.heads || is_ahead || !book.can_tell(viewer) {
            return None;
        }
        let is_true = |one: &Scored| book.scored(viewer, &one.agent, said.at).as_ref() == Some(one);
        Some(said.scores.iter().all(is_true))
    }
}
