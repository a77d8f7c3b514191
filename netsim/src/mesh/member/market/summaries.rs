//! Summaries (`neighbours/summaries.rs`): what this node makes of the records is said aloud, what others say is compared where
//! both have read the same, flagged where it is wrong, never believed.

use super::{Context, Does, Member, held, wall};
use crate::mesh::overlay::Verdict;
use crate::mesh::sabotage::MeshSabotage;
use artel_federation::evidence::{Checks, Hearsay, Saying, Taken};
use artel_protocol::id::Digest;
use artel_protocol::key::NodeId;
use artel_protocol::summary::Summary;
use artel_protocol::topic::Topic;
use std::collections::BTreeMap;

/// What was said, and what was heard of others.
#[derive(Default)]
pub(super) struct Summaries {
    saying: Saying,
    heard: Hearsay,
}

impl Summaries {
    /// How each node's summaries were found.
    pub fn checks(&self) -> BTreeMap<NodeId, Checks> {
        self.heard.checks().map(|(node, checks)| (*node, checks)).collect()
    }
}

impl Member {
    /// Says what this node makes of what it has read, where that has changed.
    pub(super) fn say_summary(&mut self, context: &mut Context) -> Does {
        let (me, at, key) = (self.origin(), wall(context.at), self.secret.clone());
        let founders = self.genesis.founders.clone();
        let liars = self.liars();
        let trade = self.trade()?;
        let said = trade.summaries.saying.next(&trade.evidence.book, me, (&founders, &liars), at);
        let Some(mut said) = said else { return Ok(()) };
        let forges = self.seat()?.forges && self.rng.chance(500);
        if let Some(one) = said.scores.first_mut().filter(|_| forges) {
            one.receipts_micro += 1;
        }
        let summary = Summary::sign(said, &key).expect("what is said is within bounds");
        if forges {
            context.counts.forged += 1;
            context.truth.market.forged.insert(Digest::of(summary.bytes()));
        }
        self.say(context, Topic::Trust, summary.bytes())
    }

    /// Takes up what gossip brought: the newest of each viewer, at its pace.
    pub fn hear_summary(&mut self, context: &mut Context, bytes: &[u8]) -> Does<Verdict> {
        if self.seat.is_none() {
            return Ok(Verdict::Accept);
        }
        let Ok(summary) = Summary::check(bytes, &self.identity.federation) else {
            return Ok(Verdict::Reject);
        };
        let viewer = summary.said().viewer.node();
        if viewer == self.identity.node || !self.live()?.exchange.is_member(&viewer) {
            return Ok(Verdict::Ignore);
        }
        match self.trade()?.summaries.heard.take(summary, wall(context.at)) {
            Taken::Open => {}
            Taken::Full => return Ok(Verdict::Accept),
            Taken::Clock | Taken::Pace => return Ok(Verdict::Ignore),
        }
        self.catch_up(context)?;
        Ok(Verdict::Accept)
    }

    /// Compares what can be compared now.
    pub(super) fn compare_summaries(&mut self, context: &mut Context) -> Does {
        let founders = self.genesis.founders.clone();
        let slot = self.slot;
        let liars = self.liars();
        let trade = self.trade()?;
        let with = trade.evidence.book.comparing(&founders, &liars);
        let open = trade.summaries.heard.open_after(None);
        let open: Vec<(NodeId, Option<bool>, Digest)> = open
            .map(|(viewer, open)| (*viewer, with.agrees(open.said()), Digest::of(open.bytes())))
            .collect();
        for (viewer, mut agrees, digest) in open {
            if context.sabotage == Some(MeshSabotage::ComparedUnread) && agrees.is_none() {
                agrees = Some(false);
            }
            if context.sabotage == Some(MeshSabotage::ForgeryShrugged) && agrees == Some(false) {
                agrees = Some(true);
            }
            let Some(agrees) = agrees else { continue };
            let is_forged = context.truth.market.forged.contains(&digest);
            trade.summaries.heard.found(&viewer, agrees);
            context.counts.compared += 1;
            context.counts.flagged += u64::from(!agrees);
            let holds = crate::invariants::ensure(agrees != is_forged, || {
                let how = if is_forged { "forged" } else { "true" };
                format!(
                    "a summary of {viewer} that is {how} is found {}",
                    if agrees { "true" } else { "wrong" }
                )
            });
            held("invariant_forged_summaries_alone_are_flagged", slot, holds)?;
        }
        Ok(())
    }
}
