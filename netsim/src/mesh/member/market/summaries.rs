//! Summaries (`neighbours/summaries.rs`): what this node makes of the records is said aloud, what others say is compared where
//! both have read the same, flagged where it is wrong, never believed.

use super::{Context, Does, Member, held, wall};
use crate::mesh::overlay::Verdict;
use crate::mesh::sabotage::MeshSabotage;
use artel_federation::evidence::Viewer;
use artel_protocol::id::Digest;
use artel_protocol::key::NodeId;
use artel_protocol::summary::{SUMMARY_SCORES_MAX, Said, Scored, Summary};
use artel_protocol::time::Wall;
use artel_protocol::topic::Topic;
use std::collections::BTreeMap;
use std::ops::Bound;

/// A viewer's summaries closer together than this are not passed on (`PACE_MS`).
const PACE_MS: u64 = 5_000;

/// Summaries that are older, or further ahead of the clock, are not passed on (`SKEW_MS`).
const SKEW_MS: u64 = 5 * 60 * 1_000;

/// How a viewer's summaries were found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checks {
    /// How many were compared.
    pub checked: u64,
    /// How many of these are not what the records say.
    pub wrong: u64,
}

#[derive(Default)]
struct Heard {
    at: Wall,
    checks: Checks,
    open: Option<Summary>,
}

/// What was heard of others, and the heads that were named last.
#[derive(Default)]
pub(super) struct Summaries {
    heard: BTreeMap<NodeId, Heard>,
    said: Digest,
}

impl Summaries {
    /// How each node's summaries were found.
    pub fn checks(&self) -> BTreeMap<NodeId, Checks> {
        self.heard.iter().map(|(node, heard)| (*node, heard.checks)).collect()
    }
}

impl Member {
    /// Says what this node makes of what it has read, where that has changed.
    pub(super) fn say_summary(&mut self, context: &mut Context) -> Does {
        let (me, at, key) = (self.origin(), wall(context.at), self.secret.clone());
        let founders = self.genesis.founders.clone();
        let liars = self.liars();
        let trade = self.trade()?;
        let book = &trade.evidence.book;
        let heads = book.heads(&liars);
        let viewer = Viewer { node: me.node(), founders: &founders, liars: &liars };
        if heads == trade.summaries.said || !book.can_tell(viewer) {
            return Ok(());
        }
        let scored = book.agents_after(Bound::Unbounded).filter_map(|agent| book.scored(viewer, agent, at));
        let mut scores: Vec<Scored> = scored.take(SUMMARY_SCORES_MAX).collect();
        let marks = if book.is_whole() { book.marks() } else { Vec::new() };
        trade.summaries.said = heads;
        let forges = self.seat()?.forges && self.rng.chance(500);
        if let Some(one) = scores.first_mut().filter(|_| forges) {
            one.receipts_micro += 1;
        }
        let Ok(summary) = Summary::sign(Said { viewer: me, at, heads, marks, scores }, &key) else {
            // Without a score there is nothing to say.
            return Ok(());
        };
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
        let (viewer, at, now) = (summary.said().viewer.node(), summary.said().at, wall(context.at));
        let is_member = viewer != self.identity.node && self.live()?.exchange.is_member(&viewer);
        if !is_member || at.0.abs_diff(now.0) > SKEW_MS {
            return Ok(Verdict::Ignore);
        }
        let heard = self.trade()?.summaries.heard.entry(viewer).or_default();
        if at < heard.at.plus_ms(PACE_MS) {
            return Ok(Verdict::Ignore);
        }
        heard.at = at;
        heard.open = Some(summary);
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
        for (viewer, heard) in &mut trade.summaries.heard {
            let Some(open) = heard.open.as_ref() else { continue };
            let mut agrees = with.agrees(open.said());
            if context.sabotage == Some(MeshSabotage::ComparedUnread) && agrees.is_none() {
                agrees = Some(false);
            }
            if context.sabotage == Some(MeshSabotage::ForgeryShrugged) && agrees == Some(false) {
                agrees = Some(true);
            }
            let Some(agrees) = agrees else { continue };
            let is_forged = context.truth.market.forged.contains(&Digest::of(open.bytes()));
            heard.open = None;
            heard.checks.checked += 1;
            heard.checks.wrong += u64::from(!agrees);
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
